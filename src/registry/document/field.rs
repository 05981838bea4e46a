//! Reading fields that may be absent, null or of the wrong type: all three are "not said".

use serde_json::{Map, Value};
use url::Url;

use crate::model::name::{Hostname, MAX_LABEL, ServiceKey};
use crate::model::service::EndpointUrl;

/// Most characters of a foreign text that a reason shows.
const SHOWN: usize = 100;

/// One JSON object of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a>(&'a Map<String, Value>);

impl<'a> Entry<'a> {
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The value under `key` unless it is null.
    pub(super) fn value(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The texts under `keys`, in that order, trimmed, without the empty ones.
    pub(super) fn texts<'k>(self, keys: &'k [&str]) -> impl Iterator<Item = &'a str> + use<'a, 'k> {
        keys.iter().filter_map(move |key| self.value(key)?.as_str().map(str::trim)).filter(|text| !text.is_empty())
    }

    /// The first text under `keys`.
    pub(super) fn text(self, keys: &[&str]) -> Option<&'a str> {
        self.texts(keys).next()
    }

    /// The object under `key`.
    pub(super) fn object(self, key: &str) -> Option<Entry<'a>> {
        self.value(key).and_then(Entry::of)
    }

    /// The array under `key`; empty if there is none.
    pub(super) fn array(self, key: &str) -> &'a [Value] {
        self.value(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Every key with its value, nulls left out.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.as_str(), value))
    }
}

/// An absolute http or https URL with a usable host, without credentials and fragment.
pub(super) fn absolute(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    EndpointUrl::origin_of(&url, text).ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    Some(url)
}

/// The origin of an absolute http or https URL.
pub(super) fn origin(text: &str) -> Option<EndpointUrl> {
    EndpointUrl::origin_of(&absolute(text)?, text).ok()
}

/// A host without a scheme (`id.chitty.cc`, `10.0.0.1:8080`, `[::1]`), as https. One bare word is a label or a subject
/// (`domain: "finance"`), not a host.
pub(super) fn host_origin(text: &str) -> Option<EndpointUrl> {
    if let Some(origin) = origin(text) {
        return Some(origin);
    }
    let is_host = text.contains('.') || text.contains(':');
    let is_url = text.contains("://") || text.contains('@');
    if is_host && !is_url { origin(&format!("https://{text}")) } else { None }
}

/// An absolute path with its query, in the normal form of RFC 3986; `None` for what would leave the host (`//x`).
pub(super) fn path(text: &str) -> Option<String> {
    if !text.starts_with('/') {
        return None;
    }
    let base = Url::parse("http://base.invalid").ok()?;
    let joined = base.join(text).ok().filter(|url| url.origin() == base.origin())?;
    let query = joined.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}{query}", joined.path()))
}

/// `path` on the host of `base`.
pub(super) fn resolve(base: &EndpointUrl, path: &str) -> Option<Url> {
    Url::parse(&format!("{base}{path}")).ok()
}

/// The first DNS label of a label, a full host or a URL.
pub(super) fn first_label(text: &str) -> Option<ServiceKey> {
    let host = absolute(text).and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| text.to_owned());
    let host = Hostname::parse(&host).ok()?;
    if host.as_str().parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    ServiceKey::parse(host.as_str().split('.').next()?).ok()
}

/// A name for people as a label: lower-case, everything else turned into single hyphens. `None` if nothing is left.
pub(super) fn slugify(name: &str) -> Option<ServiceKey> {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(MAX_LABEL);
    ServiceKey::parse(slug.trim_end_matches('-')).ok()
}

/// A foreign text in back quotes: one line, not too long, without the password of a URL.
pub(super) fn shown(text: &str) -> String {
    let secret = Url::parse(text).ok().filter(|url| url.password().is_some());
    let bare = secret.map_or_else(
        || text.to_owned(),
        |mut url| match url.set_password(None) {
            Ok(()) => url.to_string(),
            Err(()) => url.scheme().to_owned(),
        },
    );
    let mut line: String = bare.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if bare.chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    format!("`{line}`")
}

/// What a JSON value is, for a person.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The URL or path an element of `endpoints` holds: a text, or an object with `url` or `path`.
pub(super) fn target(value: &Value) -> Option<&str> {
    let text = match value {
        Value::String(text) => text.trim(),
        _ => Entry::of(value)?.text(&["url", "path"])?,
    };
    Some(text).filter(|text| !text.is_empty())
}
