//! Every wire shape of a registry's list, read into declarations (REGISTRY.md §1 and §2). Pure: bytes in, values out.
//!
//! Accepted are the envelopes E1 to E7 and E10. One entry that cannot be used costs itself, never the list; what is JSON
//! but no list, and what is not JSON, is an error that says what was found. It does not fetch, merge or resolve names.

mod base;
mod entry;
mod field;
mod health;

#[cfg(test)]
pub(super) mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use self::entry::Verdict;
pub use self::entry::admitted;
use self::field::{Entry, kind, shown};
pub use self::health::{health_path, health_url};
use crate::model::name::Hostname;
use crate::model::service::{Declaration, Rejected};
use crate::route;
use crate::upstream::guard::Guard;

/// The keys of the envelopes, in the order in which they are looked for.
const LISTS: [&str; 4] = ["services", "tools", "canonical", SERVERS];
/// The envelope of the MCP registry (E10), whose entries are wrapped once more.
const SERVERS: &str = "servers";
/// Most keys of a wrong document that its error names.
const KEYS_SHOWN: usize = 8;
/// Most characters of something that is not JSON that its error shows.
const BEGINNING_SHOWN: usize = 40;

/// What the reader knows of this gateway.
#[derive(Clone, Debug)]
pub struct Context {
    /// Zone of the service hosts.
    pub domain: Hostname,
    /// Every host of `gateway`, all five lists: no entry may have its base URL there.
    pub gateway_hosts: Arc<[Hostname]>,
    /// Addresses of this daemon, which a registry over HTTP may not point at.
    pub own_addresses: Arc<[IpAddr]>,
}

impl Context {
    /// From the `domain` and `gateway` keys and the daemon's own addresses.
    #[must_use]
    pub fn new(config: &route::Config, own_addresses: Arc<[IpAddr]>) -> Self {
        let lists = [&config.connect, &config.api, &config.mcp, &config.files, &config.register];
        let gateway_hosts = lists.into_iter().flatten().cloned().collect();
        Self { domain: config.domain.clone(), gateway_hosts, own_addresses }
    }

    /// Whether `host` is one that the gateway itself answers.
    #[must_use]
    pub fn is_gateway(&self, host: &Hostname) -> bool {
        self.gateway_hosts.contains(host)
    }
}

/// A list, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The entries that can be used, in their order. One without endpoints says why in `no_endpoint_because`.
    pub declarations: Vec<Declaration>,
    /// The entries that cannot be used, by their place in the list.
    pub rejected: Vec<Rejected>,
    /// Entries in the list, whatever became of them.
    pub entries: usize,
    /// Where the next page begins (E10).
    pub next_cursor: Option<String>,
}

/// Why bytes are not a list.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON at all.
    #[error("not JSON, {begins}")]
    NotJson {
        /// How it begins, for a person.
        begins: String,
        /// Where the reader gave up.
        #[source]
        source: serde_json::Error,
    },
    /// JSON, but none of the lists of REGISTRY.md §1.
    #[error(
        "JSON but no list: {found}; accepted: an array, or an object with an array `services`, `tools`, `canonical` \
         or `servers`"
    )]
    NoList {
        /// What was found, for a person.
        found: String,
    },
}

/// Reads a list. `guard` is `None` for the operator's own files, which may point anywhere.
///
/// # Errors
/// [`DocumentError`] when `bytes` are no JSON, or no list. An empty list is fine.
pub fn read(bytes: &[u8], context: &Context, guard: Option<&Guard>) -> Result<Document, DocumentError> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value =
        serde_json::from_slice(text).map_err(|source| DocumentError::NotJson { begins: beginning(text), source })?;
    let (list, key) = list_of(&value).ok_or_else(|| DocumentError::NoList { found: found(&value) })?;
    let mut document = Document { entries: list.len(), next_cursor: next_cursor(&value), ..Document::default() };
    for (index, value) in list.iter().enumerate() {
        match entry::read(value, key == SERVERS, context, guard) {
            Verdict::Usable(declaration) => document.declarations.push(*declaration),
            Verdict::Skipped => {}
            Verdict::Rejected(flaw) => document.rejected.push(flaw.at(index)),
        }
    }
    Ok(document)
}

/// Why one entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The member that is at fault, or `the entry` where that is all of it.
    pub field: &'static str,
    /// Why, for the operator.
    pub reason: String,
    /// Whether it is its address that is refused.
    pub guarded: bool,
}

/// Reads one entry that is in no list. It may lack a base URL, and then says why in `no_endpoint_because`.
///
/// # Errors
/// [`Unusable`], as in a list.
pub fn read_entry(entry: &Value, context: &Context, guard: Option<&Guard>) -> Result<Declaration, Unusable> {
    match entry::read(entry, false, context, guard) {
        Verdict::Usable(declaration) => Ok(*declaration),
        Verdict::Skipped => Err(Unusable { field: "the entry", reason: "it is superseded".to_owned(), guarded: false }),
        Verdict::Rejected(flaw) => Err(flaw.into()),
    }
}

/// The list inside a document, and the key it stood under (empty for a bare array).
fn list_of(value: &Value) -> Option<(&[Value], &'static str)> {
    match value {
        Value::Array(list) => Some((list, "")),
        Value::Object(object) if !says_failure(object) => {
            LISTS.into_iter().find_map(|key| Some((object.get(key)?.as_array()?.as_slice(), key)))
        }
        _ => None,
    }
}

fn says_failure(object: &Map<String, Value>) -> bool {
    object.get("success") == Some(&Value::Bool(false))
}

fn next_cursor(value: &Value) -> Option<String> {
    let metadata = Entry::of(value.get("metadata")?)?;
    metadata.text(&["nextCursor", "next_cursor"]).map(str::to_owned)
}

/// What a document that is no list holds, for a person.
fn found(value: &Value) -> String {
    let Value::Object(object) = value else { return kind(value).to_owned() };
    if object.is_empty() {
        return "an object without any key".to_owned();
    }
    let keys: Vec<_> = object.keys().take(KEYS_SHOWN).map(|key| shown(key)).collect();
    let more = if object.len() > KEYS_SHOWN { " and more" } else { "" };
    let failure = if says_failure(object) { ", `success` being false" } else { "" };
    format!("an object with {}{more}{failure}", keys.join(", "))
}

/// How something that is not JSON begins, for a person.
fn beginning(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing at all".to_owned();
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * BEGINNING_SHOWN)]);
    let head: String = head.trim_start().chars().take(BEGINNING_SHOWN).flat_map(char::escape_default).collect();
    format!("it begins with `{head}`")
}
