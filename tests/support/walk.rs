//! Every operation that the running daemon describes, with requests for each made from its description alone: what
//! other parts of the gateway add is walked without a word here.

use std::fmt;

use serde_json::{Map, Value, json};

use super::client::{Answer, Ask};
use super::daemon::{CONNECT, Daemon};
use super::task::{KEY_HEADER, NO_SUCH_TASK};

/// How deep bodies are made up.
const DEPTH: usize = 6;

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    /// As it is described: `/api/context/tasks/{id}`.
    pub(crate) path: String,
    /// `None`: public. None in the list: any key.
    pub(crate) scopes: Option<Vec<String>>,
    /// Whether it takes the pair of Cloudflare Access, too.
    pub(crate) takes_pair: bool,
    /// Whether its answer goes on for ever.
    pub(crate) streams: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What requests are filled with.
#[derive(Clone, Debug)]
pub(crate) struct Filling {
    /// Stands in every text that says nothing else.
    pub(crate) text: String,
    /// Where a session is named.
    pub(crate) session: String,
    /// Where a chitty id is named; `None` = it is left out.
    pub(crate) chitty_id: Option<String>,
    /// In paths; the last one again where a path has more places.
    pub(crate) ids: Vec<String>,
}

impl Default for Filling {
    fn default() -> Self {
        Self { text: "x".to_owned(), session: "x".to_owned(), chitty_id: None, ids: vec![NO_SUCH_TASK.to_owned()] }
    }
}

/// The description, and every operation in it.
pub(crate) struct Walk {
    document: Value,
    pub(crate) operations: Vec<Operation>,
}

impl Walk {
    #[track_caller]
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let document = daemon.get(CONNECT, "/openapi.json").json();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in ["get", "put", "post", "delete", "patch"] {
                let Some(operation) = item.get(method) else { continue };
                let list = |of: &Value| of["parameters"].as_array().cloned().unwrap_or_default();
                let requirements = operation["security"].as_array().cloned().unwrap_or_default();
                let of_key = requirements.iter().find_map(|requirement| requirement.get("apiKey"));
                let responses = operation["responses"].as_object().into_iter().flatten();
                operations.push(Operation {
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                    scopes: of_key.map(|scopes| serde_json::from_value(scopes.clone()).unwrap()),
                    takes_pair: requirements.iter().any(|requirement| requirement.get("cfAccess").is_some()),
                    streams: responses.clone().any(|(_, answer)| answer["content"].get("text/event-stream").is_some()),
                    parameters: [list(item), list(operation)].concat(),
                    body: operation["requestBody"]["content"]["application/json"].get("schema").cloned(),
                });
            }
        }
        assert!(operations.len() > 10, "{document}");
        Self { document, operations }
    }

    /// Those that ask for a key.
    pub(crate) fn guarded(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| operation.scopes.is_some())
    }

    /// A request without a key; `body` in place of one that is made up.
    pub(crate) fn ask(&self, operation: &Operation, filling: &Filling, body: Option<&Value>) -> Ask {
        let mut target = String::new();
        let mut ids = filling.ids.iter();
        let mut id = ids.next();
        for part in operation.path.split_inclusive('}') {
            let (fixed, place) = part.split_once('{').unwrap_or((part, ""));
            target.push_str(fixed);
            if place.contains("session") {
                target.push_str(&filling.session);
            } else if !place.is_empty() {
                target.push_str(id.map_or("x", String::as_str));
                id = ids.next().or(id);
            }
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for parameter in operation.parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let is_session = matches!(name, "session_id" | "sessionId");
            if is_session || parameter["required"] == true {
                let value = self.made_up(name, &parameter["schema"], filling, false, 0);
                query.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
            }
        }
        let query = query.finish();
        if !query.is_empty() {
            target = format!("{target}?{query}");
        }
        let mut ask = Ask::new(&operation.method, CONNECT, &target);
        if let Some(chitty_id) = &filling.chitty_id {
            ask = ask.header("X-ChittyID", chitty_id);
        }
        match body {
            Some(body) => ask.header("Content-Type", "application/json").body(body.to_string()),
            None if operation.method == "GET" => ask,
            None => ask.body("{}"),
        }
    }

    /// Bodies as the description says they are: the least, and everything.
    pub(crate) fn bodies(&self, operation: &Operation, filling: &Filling) -> Vec<Value> {
        let Some(schema) = &operation.body else { return Vec::new() };
        [true, false].map(|least| self.made_up("", schema, filling, least, 0)).into()
    }

    fn made_up(&self, name: &str, schema: &Value, filling: &Filling, least: bool, depth: usize) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default();
            return if depth > DEPTH { Value::Null } else { self.made_up(name, &target, filling, least, depth + 1) };
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            let options = schema[choice].as_array().into_iter().flatten();
            if let Some(option) = options.into_iter().find(|option| option["type"] != "null") {
                return self.made_up(name, option, filling, least, depth + 1);
            }
        }
        if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return fixed.clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")),
            kind => kind.as_str(),
        };
        match kind {
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
            Some("boolean") => json!(true),
            Some("array") if depth < DEPTH => json!([self.made_up(name, &schema["items"], filling, least, depth + 1)]),
            Some("array") => json!([]),
            Some("object") => self.object(schema, filling, least, depth),
            _ => json!(match name {
                "session_id" | "sessionId" => filling.session.clone(),
                "chitty_id" | "chittyId" => filling.chitty_id.clone().unwrap_or_default(),
                _ if schema["format"] == "uuid" => NO_SUCH_TASK.to_owned(),
                _ if schema["format"] == "date-time" => "2030-01-01T00:00:00Z".to_owned(),
                _ if schema["format"] == "uri" || name.contains("uri") =>
                    format!("https://files.example/{}", filling.text),
                _ => filling.text.clone(),
            }),
        }
    }

    fn object(&self, schema: &Value, filling: &Filling, least: bool, depth: usize) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let of_tenant = matches!(name.as_str(), "chitty_id" | "chittyId") && filling.chitty_id.is_none();
            if !of_tenant && depth < DEPTH && (!least || required.contains(&json!(name))) {
                object.insert(name.clone(), self.made_up(name, property, filling, least, depth + 1));
            }
        }
        Value::Object(object)
    }
}

/// Asks, and does not wait for the end of an answer that has none.
#[track_caller]
pub(crate) fn answer(daemon: &Daemon, operation: &Operation, ask: &Ask) -> Answer {
    if !operation.streams {
        return daemon.ask(ask);
    }
    let mut client = daemon.connect();
    let head = client.send(ask.to_bytes()).head(&operation.method).unwrap();
    let mut body = Vec::new();
    // A refusal ends; a stream begins with a piece.
    if let Ok(Some(piece)) = client.piece() {
        body = piece;
    }
    Answer { head, body, ending: super::client::Ending::Whole, informational: Vec::new() }
}

/// The same request with a key.
pub(crate) fn keyed(ask: Ask, key: &str) -> Ask {
    ask.header(KEY_HEADER, key)
}
