//! `services:` of a YAML file, strict, a bad entry costing itself.
//!
//! A stand-in with the fields that name and place a service, until the reader of the configuration's own `services:`
//! can be called here.

use std::path::Path;

use serde::Deserialize;
use serde_yaml::Value;
use url::Url;

use crate::model::name::{Hostname, ServiceKey};
use crate::model::service::{Declaration, EndpointUrl, Rejected};
use crate::registry::document::Document;

/// Why a YAML file is no list of services.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is not `services:` with a list")]
pub(in crate::registry) struct YamlError {
    path: String,
    #[source]
    source: serde_yaml::Error,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Services {
    services: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: ServiceKey,
    subdomain: Option<ServiceKey>,
    aliases: Option<Vec<ServiceKey>>,
    hosts: Option<Vec<Hostname>>,
    endpoints: Option<Vec<EndpointUrl>>,
    url: Option<Url>,
    enabled: Option<bool>,
    reason: Option<String>,
}

/// Reads `text`, which stands in the file at `path`.
pub(super) fn read(text: &str, path: &Path) -> Result<Document, YamlError> {
    let error = |source| YamlError { path: path.display().to_string(), source };
    let list = serde_yaml::from_str::<Services>(text).map_err(error)?.services;
    let mut document = Document { entries: list.len(), ..Document::default() };
    for (index, value) in list.into_iter().enumerate() {
        let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
        match serde_yaml::from_value::<Entry>(value) {
            Ok(entry) => document.declarations.push(entry.into()),
            Err(error) => {
                let reason = error.to_string();
                document.rejected.push(Rejected { index, id, base_url: None, reason });
            }
        }
    }
    Ok(document)
}

impl From<Entry> for Declaration {
    fn from(entry: Entry) -> Self {
        let Entry { id, subdomain, aliases, hosts, endpoints, url, enabled, reason } = entry;
        Self { id: Some(id), subdomain, aliases, hosts, endpoints, url, enabled, reason, ..Self::default() }
    }
}
