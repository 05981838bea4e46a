//! A service of the table as registries write one (REGISTRY.md §2), so that another gateway could read it again.

use serde::Serialize;
use utoipa::ToSchema;

use super::document::health_url;
use crate::model::service::Declaration;
use crate::route::table::Table;
use crate::upstream::Upstream;

/// The status of a service whose source states none.
const UNKNOWN: &str = "unknown";
/// The status of a service that the operator switched off.
const DISABLED: &str = "disabled";

/// One service, in the spellings of registries. What is not known is `null`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ListedService {
    /// What it is routed under: its key.
    id: String,
    /// The same.
    name: String,
    /// A name for people.
    #[serde(rename = "displayName")]
    #[schema(required)]
    display_name: Option<String>,
    /// The id that its registry has for it, where that is another.
    #[schema(required)]
    chitty_id: Option<String>,
    /// Where it listens: its base URL. `null` where nobody says.
    #[schema(required)]
    url: Option<String>,
    /// Everywhere it listens.
    endpoints: Vec<String>,
    /// Where its clients reach it: through this gateway, or where its source says.
    #[schema(required)]
    public_url: Option<String>,
    /// Its label under the domain.
    #[schema(required)]
    subdomain: Option<String>,
    #[schema(required)]
    health_url: Option<String>,
    /// Where it answers MCP.
    #[schema(required)]
    mcp: Option<String>,
    /// As its source states it, lower-case; `unknown` where it does not, `disabled` where it is switched off.
    status: String,
    /// Health as its source last saw it.
    #[schema(required)]
    health: Option<String>,
    #[schema(required)]
    version: Option<String>,
    #[schema(required)]
    description: Option<String>,
}

impl ListedService {
    /// What `upstream` is in `table`.
    #[must_use]
    pub fn of(upstream: &std::sync::Arc<Upstream>, table: &Table) -> Self {
        let service = upstream.service();
        let mut listed = Self::declared(&service.declared);
        listed.subdomain = Some(service.subdomain.to_string());
        listed.public_url = public_url(upstream, table);
        if !service.enabled {
            DISABLED.clone_into(&mut listed.status);
        }
        listed
    }

    /// What one source says of a service.
    #[must_use]
    pub fn declared(declared: &Declaration) -> Self {
        let id = declared.id.as_ref().map(ToString::to_string).unwrap_or_default();
        let endpoints: Vec<String> = declared.endpoints.iter().flatten().map(ToString::to_string).collect();
        Self {
            name: id.clone(),
            display_name: declared.display_name.clone(),
            chitty_id: declared.external_id.clone(),
            url: endpoints.first().cloned(),
            endpoints,
            public_url: declared.url.as_ref().map(ToString::to_string),
            subdomain: declared.subdomain.as_ref().or(declared.id.as_ref()).map(ToString::to_string),
            health_url: health_url(declared).map(Into::into),
            mcp: declared.mcp_url.as_ref().map(ToString::to_string),
            status: declared.status.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
            health: declared.health_state.clone(),
            version: declared.version.clone(),
            description: declared.description.clone(),
            id,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Where clients reach a service: what its source says, else the first host that this gateway serves it under.
#[must_use]
pub fn public_url(upstream: &std::sync::Arc<Upstream>, table: &Table) -> Option<String> {
    if let Some(url) = &upstream.service().declared.url {
        return Some(url.as_str().trim_end_matches('/').to_owned());
    }
    let (_, hosts) = table.names_of(upstream);
    hosts.first().map(|host| table.config().public_origin(host))
}

#[cfg(test)]
mod tests;
