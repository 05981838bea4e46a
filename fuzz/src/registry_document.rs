//! Lists of services as registries send them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use chittyconnect::config::Config;
use chittyconnect::model::service::{Declaration, Rejected};
use chittyconnect::registry::document::{Context, Document, admitted, health_url, read, read_entry};
use chittyconnect::upstream::guard::Guard;
use serde_json::Value;
use url::{Host, Url};

/// Of the gateway that reads them.
const CONFIG: &str = "
domain: chitty.cc
gateway: {connect: [connect.chitty.cc], api: [api.chitty.cc], mcp: [mcp.chitty.cc, mcp.ch1tty.com],
  files: [files.chitty.cc], register: [register.chitty.cc]}
";
/// Longest reason, and longest message about a document, in characters: both quote what they found, and not all of it.
const LONGEST: usize = 1500;

static CONTEXT: LazyLock<Context> =
    LazyLock::new(|| Context::new(&Config::parse(CONFIG, "registry").unwrap().route, Arc::from([])));

/// `bytes`: a document, read as one of a registry and as one of the operator's own.
pub fn check(bytes: &[u8]) {
    check_from(bytes, Some(&Guard::default()));
    check_from(bytes, None);
}

fn check_from(bytes: &[u8], guard: Option<&Guard>) {
    let list = serde_json::from_slice::<Value>(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok();
    let document = match read(bytes, &CONTEXT, guard) {
        Ok(document) => document,
        Err(error) => {
            assert_one_line(&error.to_string());
            assert!(list.is_none_or(|list| !list.is_array()), "{error}");
            return;
        }
    };
    let list = list.unwrap();
    let keys = ["services", "tools", "canonical", "servers"];
    let under = |key: &str| Some((list.get(key)?.as_array()?, key == "servers"));
    let bare = list.as_array().map(|entries| (entries, false));
    let (entries, is_wrapped) = bare.or_else(|| keys.into_iter().find_map(under)).unwrap();
    assert_eq!(document.entries, entries.len());
    for one in &document.declarations {
        assert_usable(one, guard);
    }
    for (before, one) in document.rejected.iter().enumerate() {
        assert!(one.index < document.entries && one.index >= before, "{one:?}");
        assert_rejected(one);
    }
    assert!(document.rejected.is_sorted_by(|a, b| a.index < b.index), "{:?}", document.rejected);

    let accounted = document.declarations.len() + document.rejected.len();
    let superseded = entries.iter().filter(|entry| is_wrapped && is_superseded(entry)).count();
    assert_eq!(accounted + superseded, document.entries);
    if !is_wrapped {
        assert_one_by_one(&document, entries, guard);
    }
    // What was read can be kept, and read again by the next process.
    let (usable, rejected) = admitted(document.declarations.clone(), &CONTEXT, guard);
    assert_eq!((usable, rejected), (document.declarations.clone(), Vec::new()));
    let kept = serde_json::to_string(&document.declarations).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Declaration>>(&kept).unwrap(), document.declarations);
}

/// No entry is another for what stands beside it.
fn assert_one_by_one(document: &Document, entries: &[Value], guard: Option<&Guard>) {
    let (mut usable, mut rejected) = (document.declarations.iter(), document.rejected.iter());
    for (index, entry) in entries.iter().enumerate() {
        match read_entry(entry, &CONTEXT, guard) {
            Ok(declaration) => assert_eq!(usable.next(), Some(&declaration)),
            Err(unusable) => {
                let one = rejected.next().unwrap();
                assert_eq!((one.index, &one.reason), (index, &unusable.reason));
            }
        }
    }
}

fn is_superseded(entry: &Value) -> bool {
    entry["_meta"]["io.modelcontextprotocol.registry/official"]["isLatest"] == false
}

fn assert_usable(one: &Declaration, guard: Option<&Guard>) {
    assert!(one.id.as_ref().is_some_and(|id| !id.is_reserved()), "{one:?}");
    assert!(one.subdomain.as_ref().is_none_or(|label| !label.is_reserved()), "{one:?}");
    assert_eq!(one.endpoints.is_none(), one.no_endpoint_because.is_some(), "{one:?}");
    if let Some(why) = &one.no_endpoint_because {
        assert_one_line(why);
    }
    for endpoint in one.endpoints.iter().flatten() {
        assert!(!endpoint.url.host().is_some_and(|host| CONTEXT.is_gateway(host)), "{one:?}");
    }
    assert!(one.endpoints.as_ref().is_none_or(|endpoints| endpoints.len() == 1), "{one:?}");
    let endpoints = one.endpoints.iter().flatten().map(|endpoint| Url::parse(&endpoint.to_string()).unwrap());
    for url in endpoints.chain(health_url(one)).chain(one.mcp_url.clone()) {
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{one:?}");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{one:?}");
        assert!(guard.is_none() || !is_inside(&url), "{url}: {one:?}");
    }
    if let Some(path) = &one.health_path {
        assert!(path.starts_with('/') && !path.starts_with("//"), "{one:?}");
    }
    // Nothing that a registry says opens a service, closes it, or gives it more than its own names.
    assert!(one.auth.is_none() && one.enabled.is_none() && one.forward_credentials.is_none(), "{one:?}");
    assert!(one.aliases.is_none() && one.hosts.is_none() && one.host_header.is_none(), "{one:?}");
    assert!(one.headers.is_none() && one.tls == chittyconnect::model::service::TlsDeclaration::default(), "{one:?}");
}

/// Whether it is plainly an address of this machine or of the network that it is in.
fn is_inside(url: &Url) -> bool {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(v4)) => v4.into(),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6).to_canonical(),
        Some(Host::Domain(name)) if name.trim_end_matches('.') == "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => return false,
    };
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn assert_rejected(one: &Rejected) {
    assert_one_line(&one.reason);
}

fn assert_one_line(reason: &str) {
    assert!(!reason.is_empty() && reason.chars().count() <= LONGEST, "{reason:?}");
    assert!(!reason.chars().any(char::is_control), "{reason:?}");
}
