//! The routes and custom domains of a Cloudflare account, over its API (developers.cloudflare.com/api: `GET /zones`,
//! `GET /zones/{id}/workers/routes`, `GET /accounts/{id}/workers/domains`).
//!
//! It only reads. Pages, waits and answers are bounded; what fails is said, and what was read by then stays. The token is
//! in no message, no log and no `Debug`, and goes to no other host.

mod client;
mod token;

use std::collections::HashMap;

use serde::Deserialize;

pub use self::client::{ApiError, Client};
pub use self::token::{Token, TokenError};
use super::claim::{Claim, Kind, Owner, Place};
use super::owner_of_script;
use super::pattern::Pattern;
use super::wrangler::Unread;

/// Where the API is, unless somebody says otherwise.
pub const API: &str = "https://api.cloudflare.com/client/v4";

/// What an account has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: String,
    zones: Vec<Zone>,
    routes: Vec<(usize, Route)>,
    domains: Vec<Domain>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Zone {
    id: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Route {
    id: String,
    pattern: String,
    #[serde(default)]
    script: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Domain {
    id: String,
    hostname: String,
    service: String,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    zone_id: Option<String>,
    #[serde(default)]
    zone_name: Option<String>,
}

/// Whether a text can be the id of an account: nothing of a path.
#[must_use]
pub fn is_account_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl Account {
    /// Asks for everything of the account `id`; `seen` is told what is being read. What cannot be read is in `unread`.
    pub async fn read(client: &Client, id: &str, unread: &mut Vec<Unread>, mut seen: impl FnMut(&str)) -> Self {
        let mut account = Self { id: id.to_owned(), ..Self::default() };
        seen("zones");
        let zones = client.list::<Zone>(&format!("/zones?account.id={id}"), true).await;
        let mut end = ends(&zones);
        account.zones = take(zones, "the zones of the account", unread);
        for index in 0..account.zones.len() {
            let zone = account.zones[index].clone();
            if end {
                break;
            }
            seen(&zone.name);
            if !is_account_id(&zone.id) {
                unread.push(Unread::new(format!("cloudflare: zone {}", zone.name), "has an id that is none"));
                continue;
            }
            let routes = client.list::<Route>(&format!("/zones/{}/workers/routes", zone.id), false).await;
            end = ends(&routes);
            let after = account.zones.len() - index - 1;
            let others = if end && after > 0 { format!(", and {after} zones after it") } else { String::new() };
            let routes = take(routes, &format!("the routes of zone {}{others}", zone.name), unread);
            account.routes.extend(routes.into_iter().map(|route| (index, route)));
        }
        if end {
            unread.push(Unread::new("cloudflare: the custom domains of the account", "were not asked for any more"));
            return account;
        }
        seen("custom domains");
        let domains = client.list::<Domain>(&format!("/accounts/{id}/workers/domains"), false).await;
        account.domains = take(domains, "the custom domains of the account", unread);
        account
    }

    /// What is claimed in it. `known`: a worker's name here → its name in its wrangler file.
    #[must_use]
    pub fn claims(&self, known: &HashMap<String, String>) -> Vec<Claim> {
        let routes = self.routes.iter().map(|(zone, route)| {
            let script = route.script.as_ref().filter(|script| !script.is_empty());
            let (owner, environment) = script.map_or((Owner::Nobody, None), |script| owner_of_script(script, known));
            let zone = &self.zones[*zone];
            Claim {
                text: route.pattern.clone(),
                pattern: Pattern::route(&route.pattern),
                kind: Kind::Route,
                owner,
                script: script.cloned(),
                environment,
                zone: Some(zone.name.clone()),
                zone_id: Some(zone.id.clone()),
                wrong: None,
                place: Place::Cloudflare { id: route.id.clone() },
                entry: None,
            }
        });
        let domains = self.domains.iter().map(|domain| {
            let (owner, environment) = owner_of_script(&domain.service, known);
            Claim {
                text: domain.hostname.clone(),
                pattern: Pattern::custom_domain(&domain.hostname),
                kind: Kind::CustomDomain,
                owner,
                script: Some(domain.service.clone()),
                environment: environment.or_else(|| domain.environment.clone()),
                zone: domain.zone_name.clone(),
                zone_id: domain.zone_id.clone(),
                wrong: None,
                place: Place::Cloudflare { id: domain.id.clone() },
                entry: None,
            }
        });
        routes.chain(domains).collect()
    }

    /// Gives claims that name their zone by its id the zone's name.
    pub fn name_zones(&self, claims: &mut [Claim]) {
        let names: HashMap<&str, &str> = self.zones.iter().map(|zone| (zone.id.as_str(), zone.name.as_str())).collect();
        for claim in claims.iter_mut().filter(|claim| claim.zone.is_none()) {
            let name = claim.zone_id.as_deref().and_then(|id| names.get(id));
            claim.zone = name.map(|name| (*name).to_owned());
        }
    }
}

/// Whether asking for more would come to the same.
fn ends<T>(list: &(Vec<T>, Option<ApiError>)) -> bool {
    list.1.as_ref().is_some_and(ApiError::is_final)
}

/// What a list has, be it whole or not; why it is not goes to `unread`.
fn take<T>(list: (Vec<T>, Option<ApiError>), what: &str, unread: &mut Vec<Unread>) -> Vec<T> {
    let (entries, error) = list;
    if let Some(error) = error {
        let read = if entries.is_empty() { String::new() } else { format!(" ({} were read)", entries.len()) };
        unread.push(Unread::new(format!("cloudflare: {what}"), format!("{error}{read}")));
    }
    entries
}
