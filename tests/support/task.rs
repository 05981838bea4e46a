//! Tasks as their clients have them: a key from the command line, and requests that carry it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, json};

use super::client::{Answer, Ask};
use super::daemon::{CONNECT, Daemon};

/// All tasks; one of them is a segment below.
pub(crate) const TASKS: &str = "/api/context/tasks";
/// Where a key is looked for first.
pub(crate) const KEY_HEADER: &str = "X-ChittyOS-API-Key";
/// An id that no task has.
pub(crate) const NO_SUCH_TASK: &str = "5f0c0a52-6a39-4c1b-9a49-3d1f5b0a7e11";

/// The fields of a task in the contract's order.
pub(crate) const FIELDS: [&str; 17] = [
    "task_id",
    "session_id",
    "chitty_id",
    "task_type",
    "status",
    "title",
    "description",
    "priority",
    "assigned_service",
    "parent_task_id",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
    "metadata",
    "result",
    "error",
];

/// What parsers, engines and our own code say of themselves, and no answer may.
const INSIDE: [&str; 16] = [
    "serde",
    "expected value at",
    "expected ident",
    "EOF while",
    " column ",
    "recursion limit",
    "invalid type:",
    "missing field",
    "sled",
    "fjall",
    "SQL",
    "CHECK",
    "D1_",
    "os error",
    "panicked",
    ".rs:",
];

/// One key, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) key: String,
    pub(crate) key_id: String,
    pub(crate) chitty_id: String,
    pub(crate) session_id: String,
}

impl Tenant {
    /// A key for this chitty id with everything else left out.
    #[track_caller]
    pub(crate) fn new(daemon: &Daemon, chitty_id: &str) -> Self {
        Self::with(daemon, chitty_id, &[])
    }

    /// The same with further arguments of `keys create`.
    #[track_caller]
    pub(crate) fn with(daemon: &Daemon, chitty_id: &str, more: &[&str]) -> Self {
        let made = new_key(daemon, chitty_id, more);
        let text = |field: &str| made[field].as_str().unwrap_or_else(|| panic!("{field} in {made}")).to_owned();
        Self { key: text("key"), key_id: text("id"), chitty_id: text("chitty_id"), session_id: text("session_id") }
    }

    pub(crate) fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(method, CONNECT, target).header(KEY_HEADER, &self.key)
    }

    pub(crate) fn create(&self, body: &impl fmt::Display) -> Ask {
        self.ask("POST", TASKS).body(body.to_string())
    }

    pub(crate) fn get(&self, id: &str) -> Ask {
        self.ask("GET", &at(id))
    }

    /// A query is given without its question mark.
    pub(crate) fn list(&self, query: &str) -> Ask {
        self.ask("GET", &format!("{TASKS}?{query}"))
    }

    pub(crate) fn patch(&self, id: &str, body: &impl fmt::Display) -> Ask {
        self.ask("PATCH", &at(id)).body(body.to_string())
    }

    pub(crate) fn delete(&self, id: &str) -> Ask {
        self.ask("DELETE", &at(id))
    }

    /// Makes a task and returns its id.
    #[track_caller]
    pub(crate) fn made(&self, daemon: &Daemon, body: &impl fmt::Display) -> String {
        let answer = daemon.ask(&self.create(body));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["task_id"].as_str().unwrap_or_else(|| panic!("no id in {}", answer.text())).to_owned()
    }

    /// Makes a task of which only the title matters.
    #[track_caller]
    pub(crate) fn titled(&self, daemon: &Daemon, title: &str) -> String {
        self.made(daemon, &json!({ "title": title }))
    }

    /// Changes a task and returns its new `updated_at`.
    #[track_caller]
    pub(crate) fn patched(&self, daemon: &Daemon, id: &str, body: &impl fmt::Display) -> Value {
        let answer = daemon.ask(&self.patch(id, body));
        assert_eq!(answer.status(), 200, "{body}: {}", answer.text());
        answer.json()["updated_at"].clone()
    }

    /// The task as GET shows it.
    #[track_caller]
    pub(crate) fn task(&self, daemon: &Daemon, id: &str) -> Value {
        let answer = daemon.ask(&self.get(id));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["task"].clone()
    }

    /// The `ETag` with which GET shows the task.
    #[track_caller]
    pub(crate) fn tag(&self, daemon: &Daemon, id: &str) -> String {
        tag(&daemon.ask(&self.get(id)))
    }

    /// One page.
    #[track_caller]
    pub(crate) fn page(&self, daemon: &Daemon, query: &str) -> Value {
        let answer = daemon.ask(&self.list(query));
        assert_eq!(answer.status(), 200, "?{query}: {}", answer.text());
        answer.json()
    }

    /// The titles of one page in its order.
    #[track_caller]
    pub(crate) fn titles(&self, daemon: &Daemon, query: &str) -> Vec<String> {
        column(&self.page(daemon, query)["tasks"], "title")
    }

    /// Every task there is, page after page, with its title.
    #[track_caller]
    pub(crate) fn listed(&self, daemon: &Daemon) -> BTreeMap<String, Value> {
        let mut tasks = BTreeMap::new();
        let mut query = "limit=1000".to_owned();
        loop {
            let page = self.page(daemon, &query);
            for task in page["tasks"].as_array().unwrap() {
                tasks.insert(task["task_id"].as_str().unwrap().to_owned(), task["title"].clone());
            }
            let Some(cursor) = page["next_cursor"].as_str() else { return tasks };
            let cursor = percent_encoding::utf8_percent_encode(cursor, percent_encoding::NON_ALPHANUMERIC);
            query = format!("limit=1000&cursor={cursor}");
        }
    }

    /// The titles of one page without the order.
    #[track_caller]
    pub(crate) fn sorted_titles(&self, daemon: &Daemon, query: &str) -> Vec<String> {
        let mut titles = self.titles(daemon, query);
        titles.sort();
        titles
    }
}

/// What `keys create` prints for programs.
#[track_caller]
pub(crate) fn new_key(daemon: &Daemon, chitty_id: &str, more: &[&str]) -> Value {
    let arguments = [&["keys", "create", "--chitty-id", chitty_id, "--format", "json"], more].concat();
    let output = daemon.command(&arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {output:?}"))
}

/// Where this task is.
pub(crate) fn at(id: &str) -> String {
    format!("{TASKS}/{id}")
}

/// The strong `ETag` of an answer.
#[track_caller]
pub(crate) fn tag(answer: &Answer) -> String {
    let tag = answer.header("etag").unwrap_or_else(|| panic!("no ETag: {:?} {}", answer.head, answer.text()));
    let strong = tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"');
    assert!(strong, "not a strong tag: {tag}");
    tag.to_owned()
}

/// One field of every task of a list.
pub(crate) fn column(tasks: &Value, field: &str) -> Vec<String> {
    let tasks = tasks.as_array().unwrap_or_else(|| panic!("not a list: {tasks}"));
    tasks.iter().map(|task| task[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Whether this is a time as the contract writes it, to the millisecond and in UTC.
pub(crate) fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

/// A word from inside that the answer gives away.
pub(crate) fn leak(answer: &Answer) -> Option<&'static str> {
    let text = answer.text();
    INSIDE.into_iter().find(|word| text.contains(word))
}

/// Lists in lists, so deep.
pub(crate) fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// A JSON string that takes so many bytes, its quotes counted.
pub(crate) fn long_json(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

/// The names of an object's members in the order in which they were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Members(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Members(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}
