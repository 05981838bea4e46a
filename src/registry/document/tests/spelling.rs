//! Every spelling of REGISTRY.md §2, one table for each concept.

use url::Url;

use super::*;

const URL: &str = "https://a.example";

#[test]
fn ids_are_made_of_the_name_then_of_the_id_then_of_the_slugified_name() {
    for (value, id, external) in [
        (json!({"id": "alpha"}), "alpha", None),
        (json!({"id": "Alpha"}), "alpha", Some("Alpha")),
        (json!({"chitty_id": "alpha"}), "alpha", None),
        (json!({"chittyId": "alpha"}), "alpha", None),
        (json!({"chittyid": "alpha"}), "alpha", None),
        (json!({"serviceId": "alpha"}), "alpha", None),
        (json!({"name": "alpha"}), "alpha", None),
        (json!({"serviceName": "alpha"}), "alpha", None),
        (json!({"displayName": "Alpha"}), "alpha", None),
        (json!({"name": " alpha "}), "alpha", None),
        (json!({"name": "ChittyID", "id": "x"}), "chittyid", Some("x")),
        (json!({"name": "OpenAI Codex CLI"}), "openai-codex-cli", None),
        (json!({"name": "OpenAI Codex CLI", "id": "codex"}), "codex", None),
        (json!({"name": "OpenAI Codex CLI", "id": "a/b"}), "openai-codex-cli", Some("a/b")),
        (json!({"name": "--Über  Dienst!!"}), "ber-dienst", None),
        (json!({"name": "a/b"}), "a-b", None),
        (json!({"name": null, "id": "alpha"}), "alpha", None),
        (json!({"name": 7, "serviceName": ["x"], "id": "alpha"}), "alpha", None),
        (json!({"name": "", "id": {}, "chitty_id": "alpha"}), "alpha", None),
        (json!({"name": "a".repeat(63)}), &"a".repeat(63), None),
        (json!({"name": "a".repeat(64)}), &"a".repeat(63), None),
        (json!({"name": format!("{} b", "a".repeat(62))}), &"a".repeat(62), None),
    ] {
        let read = entry(value.clone()).unwrap();
        assert_eq!(read.id.as_ref().unwrap().as_str(), id, "{value}");
        assert_eq!(read.external_id.as_deref(), external, "{value}");
    }
}

#[test]
fn what_cannot_be_used_is_rejected_with_its_reason() {
    for (value, reason) in [
        (json!({"description": "x", "url": URL}), "it has neither a name nor an id"),
        (json!({"name": "", "id": null}), "it has neither a name nor an id"),
        (json!({"name": "日本"}), "no id can be made of `日本`"),
        (json!({"name": "API", "url": URL}), "its id `api` is a word that the gateway keeps for itself"),
        (json!({"id": "sse"}), "its id `sse` is a word that the gateway keeps for itself"),
        (json!({"name": "x", "subtype": "skill"}), "a skill is not routable"),
        (json!({"name": "x", "subtype": "Plugin"}), "a plugin is not routable"),
        (json!({"name": "x", "subtype": "extension"}), "an extension is not routable"),
        (json!({"name": "x", "url": "https://connect.chitty.cc/x"}), "its base URL is this gateway"),
        (json!({"name": "x", "url": "http://API.chitty.cc.:8080"}), "its base URL is this gateway"),
        (json!({"name": "x", "domain": "mcp.ch1tty.com"}), "its base URL is this gateway"),
        (json!({"name": "x", "host": "files.chitty.cc"}), "its base URL is this gateway"),
        (json!({"name": "x", "subdomain": "register.chitty.cc"}), "its base URL is this gateway"),
        (
            json!({"name": "x", "url": "http://10.0.0.1"}),
            "10.0.0.1 is a private address, and no allowed_networks of its source holds it",
        ),
        (
            json!({"name": "x", "url": "http://[::1]:80/"}),
            "::1 is a loopback address, and no allowed_networks of its source holds it",
        ),
        (
            json!({"name": "x", "url": "http://0x7f.1/"}),
            "127.0.0.1 is a loopback address, and no allowed_networks of its source holds it",
        ),
        (
            json!({"name": "x", "url": "http://LocalHost:9000"}),
            "127.0.0.1 is a loopback address, and no allowed_networks of its source holds it",
        ),
        (
            json!({"name": "x", "url": "http://169.254.169.254/latest"}),
            "169.254.169.254 is a link-local address, and no allowed_networks of its source holds it",
        ),
    ] {
        assert_eq!(entry(value.clone()).unwrap_err(), reason, "{value}");
    }
}

#[test]
fn services_mcps_agents_and_what_names_no_subtype_are_routable() {
    for subtype in [json!("service"), json!("mcp"), json!("Agent"), json!(null), json!(7), json!("")] {
        assert!(entry(json!({"name": "x", "subtype": subtype})).is_ok(), "{subtype}");
    }
}

#[test]
fn allowed_networks_let_private_addresses_pass() {
    let guard = Guard::new(Arc::from(["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()]), Arc::from([]));
    for url in ["http://10.0.0.1:9000", "http://localhost"] {
        let document = json!([{"name": "x", "url": url}]).to_string();
        assert_eq!(read(document.as_bytes(), &context(), Some(&guard)).unwrap().declarations.len(), 1, "{url}");
    }
}

#[test]
fn base_urls_are_found_in_every_spelling_and_only_their_origin_is_kept() {
    for (fields, base) in [
        (json!({"url": "https://a.example/x?y#z"}), URL),
        (json!({"url": "HTTPS://A.Example:443/"}), URL),
        (json!({"url": "http://a.example:8080"}), "http://a.example:8080"),
        (json!({"url": "https://user:secret@a.example/"}), URL),
        (json!({"baseUrl": "https://a.example/"}), URL),
        (json!({"endpoint": "https://a.example/"}), URL),
        (json!({"endpoint": "codex", "baseUrl": URL}), URL),
        (json!({"url": "not a url", "baseUrl": URL}), URL),
        (json!({"url": "ftp://b.example", "baseUrl": URL}), URL),
        (json!({"url": null, "baseUrl": ["x"], "endpoint": URL}), URL),
        (json!({"url": URL, "baseUrl": "https://b.example"}), URL),
        (json!({"endpoints": {"primary": URL}}), URL),
        (json!({"endpoints": {"main": URL, "health": "https://b.example/h"}}), URL),
        (json!({"domain": "a.example"}), URL),
        (json!({"domain": "https://a.example/x"}), URL),
        (json!({"domain": "a.example:8443"}), "https://a.example:8443"),
        (json!({"host": "a.example"}), URL),
        (json!({"hostname": "a.example"}), URL),
        (json!({"domain": "finance", "hostname": "a.example"}), URL),
        (json!({"subdomain": "registry.chitty.cc"}), "https://registry.chitty.cc"),
        (json!({"sub": "registry.chitty.cc"}), "https://registry.chitty.cc"),
        (json!({"endpoints": ["https://a.example/health", "https://b.example/api"]}), URL),
        (json!({"endpoints": ["/health", null, 7, {"path": "/x"}, "https://a.example/api"]}), URL),
        (json!({"endpoints": [{"url": "https://a.example/api"}]}), URL),
        (json!({"endpoints": "https://a.example/api"}), URL),
        (json!({"endpoints": {"zeta": "https://b.example", "health": "https://a.example/health"}}), URL),
        (json!({"endpoints": {"a": "https://b.example", "api": "https://a.example/health"}}), URL),
        (json!({"endpoints": {"a": "https://b.example", "mcp": "https://a.example/health"}}), URL),
        (json!({"endpoints": {"a": "/x", "b": "https://a.example/health"}}), URL),
        (json!({"endpoints": ["https://mcp.chitty.cc/x/mcp", "https://a.example/api"]}), URL),
        (json!({"endpoints": {"health": "https://connect.chitty.cc/x", "docs": "https://a.example"}}), URL),
        (json!({"remotes": [{"url": "stdio"}, {"url": "https://a.example/mcp"}]}), URL),
        (json!({"url": "https://[2606:4700::1111]:8443/x"}), "https://[2606:4700::1111]:8443"),
        (json!({"url": "https://id.chitty.cc"}), "https://id.chitty.cc"),
    ] {
        let mut value = fields.clone();
        value["name"] = json!("x");
        let read = entry(value).unwrap();
        assert_eq!(base_url(&read).as_deref(), Some(base), "{fields}");
        assert_eq!(read.no_endpoint_because, None);
    }
}

#[test]
fn an_entry_without_a_base_url_says_why() {
    for (fields, why) in [
        (json!({}), "no base URL"),
        (json!({"url": null, "endpoints": []}), "no base URL"),
        (json!({"url": "not a url"}), "`not a url`"),
        (json!({"endpoint": "codex"}), "`codex`"),
        (json!({"url": "ftp://user:secret@a.example"}), "`ftp://user@a.example/`"),
        (json!({"url": "//a.example"}), "`//a.example`"),
        (json!({"url": "https://"}), "`https://`"),
        (json!({"url": "line\nbreak"}), "`line break`"),
        (json!({"domain": "finance"}), "`finance`"),
        (json!({"sub": "a"}), "no base URL"),
        (json!({"endpoints": {"health": "/health"}}), "relative endpoints, no base URL"),
        (json!({"endpoints": [{"path": "/api"}]}), "relative endpoints, no base URL"),
        (json!({"endpoints": ["https://api.chitty.cc/x/api"]}), "its endpoints are this gateway's own, no base URL"),
    ] {
        let mut value = fields.clone();
        value["name"] = json!("x");
        let read = entry(value).unwrap();
        assert_eq!(read.no_endpoint_because.as_deref(), Some(why), "{fields}");
        assert_eq!(read.endpoints, None, "{fields}");
        assert_eq!(health_url(&read), None, "{fields}");
    }
}

#[test]
fn subdomains_are_the_first_label_and_never_a_reserved_word() {
    for (fields, label) in [
        (json!({"sub": "b"}), "b"),
        (json!({"sub": "B"}), "b"),
        (json!({"subdomain": "b"}), "b"),
        (json!({"sub": "b", "subdomain": "c"}), "b"),
        (json!({"sub": null, "subdomain": "c"}), "c"),
        (json!({"sub": "b_c", "subdomain": "c"}), "c"),
        (json!({"subdomain": "delta.chitty.cc"}), "delta"),
        (json!({"subdomain": "delta.chitty.cc."}), "delta"),
        (json!({"subdomain": "https://delta.chitty.cc/x"}), "delta"),
        (json!({"subdomain": "api"}), "x"),
        (json!({"subdomain": "health.chitty.cc"}), "x"),
        (json!({"url": "https://id.chitty.cc"}), "id"),
        (json!({"url": "https://ID.Chitty.cc:8443/x"}), "id"),
        (json!({"url": "https://a.id.chitty.cc"}), "x"),
        (json!({"url": "https://chitty.cc"}), "x"),
        (json!({"url": "https://id.example.org"}), "x"),
        (json!({"url": "https://admin.chitty.cc"}), "x"),
        (json!({"url": "https://id.chitty.cc", "sub": "other"}), "other"),
        (json!({"url": "https://1.1.1.1", "sub": "1.1.1.1"}), "x"),
        (json!({}), "x"),
    ] {
        let mut value = fields.clone();
        value["name"] = json!("x");
        let read = entry(value).unwrap();
        assert_eq!(read.subdomain.as_ref().or(read.id.as_ref()).unwrap().as_str(), label, "{fields}");
    }
}

#[test]
fn health_is_asked_where_any_spelling_says() {
    for (fields, health) in [
        (json!({}), "https://a.example/health"),
        (json!({"health_url": "https://h.example/x"}), "https://h.example/x"),
        (json!({"healthUrl": "/x"}), "https://a.example/x"),
        (json!({"healthCheckUrl": "https://a.example/x"}), "https://a.example/x"),
        (json!({"health_endpoint": "/x?deep=1"}), "https://a.example/x?deep=1"),
        (json!({"health": "https://a.example/x"}), "https://a.example/x"),
        (json!({"health": "/x"}), "https://a.example/x"),
        (json!({"health": "healthy"}), "https://a.example/health"),
        (json!({"health": {"path": "/x"}}), "https://a.example/x"),
        (json!({"health": {"status": "HEALTHY"}}), "https://a.example/health"),
        (json!({"endpoints": {"health": "/x"}}), "https://a.example/x"),
        (json!({"endpoints": {"health": "https://a.example/x"}}), "https://a.example/x"),
        (json!({"healthCheck": {"path": "/x", "method": "GET"}}), "https://a.example/x"),
        (json!({"healthCheck": "/x"}), "https://a.example/x"),
        (json!({"endpoints": ["https://a.example/api", "https://a.example/v2/health"]}), "https://a.example/v2/health"),
        (json!({"endpoints": [{"path": "/api"}, {"path": "/v2/health"}]}), "https://a.example/v2/health"),
        (json!({"healthEndpoint": "/x"}), "https://a.example/x"),
        (json!({"health_url": null, "healthUrl": 7, "healthCheckUrl": "/x"}), "https://a.example/x"),
        (json!({"health_url": "not a url"}), "https://a.example/health"),
        (json!({"health_url": "//evil.example/x"}), "https://a.example/health"),
        (json!({"health_url": "/\\evil.example/x"}), "https://a.example/health"),
        (json!({"health_url": "/../x y"}), "https://a.example/x%20y"),
        (json!({"health_url": "http://user:secret@a.example/x"}), "http://a.example/x"),
        (json!({"health_url": "http://127.0.0.1/x", "healthUrl": "/y"}), "https://a.example/y"),
        (json!({"health_url": "http://169.254.169.254/x"}), "https://a.example/health"),
        (json!({"health_url": "file:///etc/passwd"}), "https://a.example/health"),
    ] {
        let mut value = fields.clone();
        value["name"] = json!("x");
        value["url"] = json!(URL);
        assert_eq!(health_url(&entry(value).unwrap()).unwrap().as_str(), health, "{fields}");
    }
}

#[test]
fn a_path_of_health_stays_a_path_so_that_other_endpoints_keep_it() {
    let mut read = entry(json!({"name": "x", "url": URL, "endpoints": {"health": "/x"}})).unwrap();
    assert_eq!((read.health_path.as_deref(), read.health_url.as_ref()), (Some("/x"), None));
    read.endpoints = Some(vec![crate::model::service::EndpointUrl::parse("http://10.0.0.1:9001").unwrap().into()]);
    assert_eq!(health_url(&read).unwrap().as_str(), "http://10.0.0.1:9001/x");
}

#[test]
fn states_of_health_are_no_urls_and_lifecycles_are_no_states() {
    for (fields, state, status) in [
        (json!({"health": "Healthy"}), Some("healthy"), None),
        (json!({"health": "excluded", "status": "ACTIVE"}), Some("excluded"), Some("active")),
        (json!({"health": "https://a.example/h"}), None, None),
        (json!({"health": {"status": "UNHEALTHY", "responseTime": 1}}), Some("unhealthy"), None),
        (json!({"health": {"state": "degraded"}}), Some("degraded"), None),
        (json!({"health": 7, "healthStatus": "healthy"}), Some("healthy"), None),
        (json!({"currentHealth": {"status": "healthy"}}), Some("healthy"), None),
        (json!({"status": "healthy"}), Some("healthy"), Some("healthy")),
        (json!({"status": "live"}), None, Some("live")),
        (json!({"status": null}), None, None),
        (json!({"status": ["active"]}), None, None),
    ] {
        let mut value = fields.clone();
        value["name"] = json!("x");
        let read = entry(value).unwrap();
        assert_eq!(read.health_state.as_deref(), state, "{fields}");
        assert_eq!(read.status.as_deref(), status, "{fields}");
    }
}

#[test]
fn mcp_is_where_the_entry_says_or_at_its_usual_path_if_it_only_says_that_it_can() {
    for (fields, mcp) in [
        (json!({}), None),
        (json!({"endpoints": {"mcp": "/m"}}), Some("https://a.example/m")),
        (json!({"endpoints": {"mcp": "https://a.example/m"}}), Some("https://a.example/m")),
        (json!({"mcp": "/m"}), Some("https://a.example/m")),
        (json!({"mcp": "https://b.example/m"}), Some("https://b.example/m")),
        (json!({"mcp": {"url": "https://b.example/m"}}), Some("https://b.example/m")),
        (json!({"mcp": true}), Some("https://a.example/mcp")),
        (json!({"mcp": false}), None),
        (json!({"mcp": "http://127.0.0.1/m"}), None),
        (json!({"capabilities": ["api", "mcp"]}), Some("https://a.example/mcp")),
        (json!({"capabilities": ["MCP-Server"]}), Some("https://a.example/mcp")),
        (json!({"capabilities": ["trust-scoring", null, 7]}), None),
        (json!({"capabilities": "mcp"}), None),
        (json!({"remotes": [{"url": "https://b.example/m"}]}), Some("https://b.example/m")),
    ] {
        let mut value = fields.clone();
        value["name"] = json!("x");
        value["url"] = json!(URL);
        let read = entry(value).unwrap();
        assert_eq!(read.mcp_url.as_ref().map(Url::as_str), mcp, "{fields}");
    }
}

#[test]
fn what_is_shown_is_taken_over_and_the_rest_is_ignored() {
    let read = entry(json!({
        "name": "x", "displayName": "The X", "description": " one ", "version": "1.2.3", "tier": 3, "tools": [1],
        "metadata": {"a": null}, "repo": "o/x", "dependencies": null, "health_url": false, "unknown": {"deep": [[]]},
    }))
    .unwrap();
    assert_eq!(read.display_name.as_deref(), Some("The X"));
    assert_eq!(read.description.as_deref(), Some("one"));
    assert_eq!(read.version.as_deref(), Some("1.2.3"));
    let bare = entry(json!({"name": "x", "version": 2, "description": null, "displayName": []})).unwrap();
    assert_eq!((bare.version, bare.description, bare.display_name), (None, None, None));
}
