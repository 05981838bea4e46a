//! One entry of a list: its names, its base URL, and whether it may be used at all (REGISTRY.md §2).

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use url::Url;

use super::field::{Entry, first_label, kind, shown, slugify};
use super::health::{self, Place};
use super::{Context, Unusable, base};
use crate::model::name::{Hostname, ServiceKey};
use crate::model::service::{Declaration, EndpointUrl, Rejected};
use crate::upstream::guard::{Guard, Refused};

const IDS: [&str; 5] = ["id", "chitty_id", "chittyId", "chittyid", "serviceId"];
const NAMES: [&str; 3] = ["name", "serviceName", "displayName"];
/// Subtypes that stand for something that answers requests; plugins and skills do not.
const ROUTABLE: [&str; 3] = ["service", "mcp", "agent"];
/// The key of the MCP registry's own notes on an entry.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// What becomes of one entry.
pub(super) enum Verdict {
    Usable(Box<Declaration>),
    /// A superseded version of an entry that the list also holds (E10, `isLatest: false`).
    Skipped,
    Rejected(Flaw),
}

/// A [`Rejected`] that does not know its place yet.
#[derive(Debug)]
pub(super) struct Flaw {
    id: Option<String>,
    base_url: Option<String>,
    /// The member that is at fault.
    field: &'static str,
    reason: String,
    /// Whether it is its address that is refused.
    guarded: bool,
}

impl Flaw {
    fn because(field: &'static str, reason: impl Into<String>) -> Self {
        Self { id: None, base_url: None, field, reason: reason.into(), guarded: false }
    }

    pub(super) fn at(self, index: usize) -> Rejected {
        Rejected { index, id: self.id, base_url: self.base_url, reason: self.reason }
    }
}

impl From<Flaw> for Unusable {
    fn from(flaw: Flaw) -> Self {
        Self { field: flaw.field, reason: flaw.reason, guarded: flaw.guarded }
    }
}

/// Reads one entry. `wrapped`: it is one of the MCP registry's (E10).
pub(super) fn read(value: &Value, wrapped: bool, context: &Context, guard: Option<&Guard>) -> Verdict {
    let Some(outer) = Entry::of(value) else {
        let text = value.as_str().map(|text| format!(" ({})", shown(text))).unwrap_or_default();
        return Verdict::Rejected(Flaw::because("the entry", format!("{}{text}, not an object", kind(value))));
    };
    let official = outer.object("_meta").and_then(|meta| meta.object(OFFICIAL));
    if wrapped && official.and_then(|notes| notes.value("isLatest")) == Some(&Value::Bool(false)) {
        return Verdict::Skipped;
    }
    let entry = if wrapped { outer.object("server").unwrap_or(outer) } else { outer };
    let mut read = match declaration(entry, wrapped, context, guard) {
        Ok(declaration) => declaration,
        Err(flaw) => return Verdict::Rejected(flaw),
    };
    if let Some(status) = official.and_then(|notes| notes.text(&["status"])) {
        read.status = Some(status.to_lowercase());
    }
    Verdict::Usable(Box::new(read))
}

fn declaration(entry: Entry<'_>, wrapped: bool, context: &Context, guard: Option<&Guard>) -> Result<Declaration, Flaw> {
    routable(entry)?;
    let base = base::of(entry, context);
    let base_url = base.as_ref().ok().map(ToString::to_string);
    let id = slug(entry, wrapped).map_err(|flaw| Flaw { base_url, ..flaw })?;
    let allowed = |url: &Url| EndpointUrl::origin_of(url, "").is_ok_and(|origin| check(&origin, guard).is_ok());
    let place = health::place(entry, allowed);
    let (health_url, health_path) = match place {
        Some(Place::Absolute(url)) => (Some(url), None),
        Some(Place::Path(path)) => (None, Some(path)),
        None => (None, None),
    };
    let owned = |text: &str| text.to_owned();
    let mut declaration = Declaration {
        external_id: entry
            .text(&IDS)
            .or_else(|| if wrapped { entry.text(&NAMES) } else { None })
            .filter(|external| *external != id.as_str())
            .map(owned),
        display_name: display_name(entry, wrapped, &id),
        description: entry.text(&["description"]).map(owned),
        version: entry.text(&["version"]).map(owned),
        subdomain: subdomain(entry, base.as_ref().ok(), context).filter(|label| !label.is_reserved()),
        health_url,
        health_path,
        mcp_url: health::mcp_url(entry, base.as_ref().ok(), allowed),
        status: entry.text(&["status"]).map(str::to_lowercase),
        health_state: health::state(entry),
        id: Some(id),
        ..Declaration::default()
    };
    match base {
        Ok(base) => declaration.endpoints = Some(vec![base.into()]),
        Err(why) => declaration.no_endpoint_because = Some(why),
    }
    admit(&declaration, context, guard).map_err(|flaw| flaw_of(&declaration, flaw))?;
    Ok(declaration)
}

/// Those of `list` that may be used here, and the others with the reason; for what was read elsewhere (a YAML file, the
/// snapshot). `guard` is `None` for the operator's own files.
#[must_use]
pub fn admitted(
    list: impl IntoIterator<Item = Declaration>,
    context: &Context,
    guard: Option<&Guard>,
) -> (Vec<Declaration>, Vec<Rejected>) {
    let (mut usable, mut rejected) = (Vec::new(), Vec::new());
    for (index, declaration) in list.into_iter().enumerate() {
        match admit(&declaration, context, guard) {
            Ok(()) => usable.push(declaration),
            Err(flaw) => rejected.push(flaw_of(&declaration, flaw).at(index)),
        }
    }
    (usable, rejected)
}

/// Whether a declaration may be used here: its id is no reserved word, no endpoint is this gateway, and none is an
/// address that `guard` refuses. The error is the reason, for the operator.
fn admit(declaration: &Declaration, context: &Context, guard: Option<&Guard>) -> Result<(), Flaw> {
    let Some(id) = &declaration.id else { return Err(Flaw::because("name", "it has no id")) };
    if id.is_reserved() {
        return Err(Flaw::because("name", format!("its id `{id}` is a word that the gateway keeps for itself")));
    }
    for endpoint in declaration.endpoints.iter().flatten() {
        if endpoint.url.host().is_some_and(|host| context.is_gateway(host)) {
            return Err(Flaw::because("url", "its base URL is this gateway"));
        }
        check(&endpoint.url, guard)
            .map_err(|refused| Flaw { guarded: true, ..Flaw::because("url", refused.to_string()) })?;
    }
    Ok(())
}

/// What is wrong with a declaration, with what it is called.
fn flaw_of(declaration: &Declaration, flaw: Flaw) -> Flaw {
    let base = declaration.endpoints.as_ref().and_then(|endpoints| endpoints.first());
    Flaw { id: declaration.id.as_ref().map(ToString::to_string), base_url: base.map(ToString::to_string), ..flaw }
}

/// The guard's verdict on an address that is written out; `localhost` is one (RFC 6761 §6.3). Names are checked when
/// they are resolved.
fn check(endpoint: &EndpointUrl, guard: Option<&Guard>) -> Result<(), Refused> {
    let Some(guard) = guard else { return Ok(()) };
    // Sockets of this host are in the operator's own files alone: no document's endpoint is read as one.
    let Some(host) = endpoint.host().map(Hostname::as_str) else { return guard.check(Ipv4Addr::LOCALHOST.into()) };
    let literal = endpoint
        .ip()
        .or_else(|| (host == "localhost" || host.ends_with(".localhost")).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    literal.map_or(Ok(()), |address| guard.check(address))
}

fn routable(entry: Entry<'_>) -> Result<(), Flaw> {
    let Some(subtype) = entry.text(&["subtype"]).map(str::to_lowercase) else { return Ok(()) };
    if ROUTABLE.contains(&subtype.as_str()) {
        return Ok(());
    }
    let article = if subtype.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    let subtype = shown(&subtype).trim_matches('`').to_owned();
    Err(Flaw::because("subtype", format!("{article} {subtype} is not routable")))
}

/// The id: the name if it is a label (of an MCP registry's entry what follows the last `/`), else the registry's own id
/// if it is one, else the name made into one.
fn slug(entry: Entry<'_>, wrapped: bool) -> Result<ServiceKey, Flaw> {
    let id = entry.text(&IDS);
    let name = entry
        .text(&NAMES)
        .map(|name| match name.rsplit_once('/') {
            Some((_, last)) if wrapped && !last.is_empty() => last,
            _ => name,
        })
        .or(id)
        .ok_or_else(|| Flaw::because("name", "it has neither a name nor an id"))?;
    ServiceKey::parse(name)
        .ok()
        .or_else(|| id.and_then(|id| ServiceKey::parse(id).ok()))
        .or_else(|| slugify(name))
        .ok_or_else(|| Flaw::because("name", format!("no id can be made of {}", shown(name))))
}

/// A name for people, where there is one beside the slug.
fn display_name(entry: Entry<'_>, wrapped: bool, id: &ServiceKey) -> Option<String> {
    let plain = entry.text(&["name", "serviceName"]).filter(|_| !wrapped);
    entry.text(&["displayName"]).or(plain).filter(|name| *name != id.as_str()).map(str::to_owned)
}

/// The label under the domain, where the entry or its base URL says one.
fn subdomain(entry: Entry<'_>, base: Option<&EndpointUrl>, context: &Context) -> Option<ServiceKey> {
    let from_base = || Hostname::label_under(base?.host()?, &context.domain);
    entry.texts(&["sub", "subdomain"]).find_map(first_label).or_else(from_base)
}
