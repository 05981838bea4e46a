//! What must hold for any JSON: no panic, and no good entry lost to what stands beside it.

use proptest::prelude::*;

use super::*;

/// Keys that the reader looks at, so that junk reaches every branch.
const KEYS: &[&str] = &[
    "id",
    "chitty_id",
    "name",
    "serviceName",
    "displayName",
    "url",
    "baseUrl",
    "endpoint",
    "endpoints",
    "primary",
    "domain",
    "host",
    "hostname",
    "sub",
    "subdomain",
    "health",
    "health_url",
    "healthCheck",
    "healthEndpoint",
    "path",
    "mcp",
    "capabilities",
    "remotes",
    "server",
    "_meta",
    "io.modelcontextprotocol.registry/official",
    "isLatest",
    "status",
    "subtype",
    "services",
    "tools",
    "servers",
    "metadata",
    "nextCursor",
    "success",
    "description",
    "version",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(https?|ftp)://[a-z0-9.:@/\\[\\]%-]{0,20}",
        "/{0,3}[a-z.%/\\\\?#]{0,10}",
        "[a-z]{1,8}\\.chitty\\.cc",
        Just("é".repeat(200)),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let key = prop_oneof![4 => prop::sample::select(KEYS).prop_map(str::to_owned), 1 => any::<String>()];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(value in json_value(), trusted: bool) {
        let guard = Guard::default();
        let read = read(value.to_string().as_bytes(), &context(), (!trusted).then_some(&guard));
        if let Ok(document) = read {
            prop_assert!(document.declarations.len() + document.rejected.len() <= document.entries);
            for one in &document.declarations {
                prop_assert!(one.id.as_ref().is_some_and(|id| !id.is_reserved()));
                prop_assert_eq!(one.endpoints.is_none(), one.no_endpoint_because.is_some());
                for endpoint in one.endpoints.iter().flatten() {
                    prop_assert!(!endpoint.url.host().is_some_and(|host| context().is_gateway(host)));
                    prop_assert!(trusted || endpoint.url.ip().is_none_or(|ip| guard.check(ip).is_ok()));
                }
                let _ = health_url(one);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &context(), None);
    }

    #[test]
    fn a_good_entry_survives_the_junk_beside_it(
        before in prop::collection::vec(json_value(), 0..5),
        after in prop::collection::vec(json_value(), 0..5),
        envelope in prop::sample::select(&["", "services", "tools", "canonical"][..]),
    ) {
        let good = json!({"id": "the-good-one", "url": "https://good.example.org"});
        let mut list = before;
        list.push(good);
        list.extend(after);
        let document = if envelope.is_empty() { Value::from(list) } else { json!({ envelope: list }) };
        let read = over_http(&document);
        let good = read.declarations.iter().find(|one| one.id.as_ref().unwrap().as_str() == "the-good-one");
        let base = good.and_then(base_url);
        prop_assert_eq!(base.as_deref(), Some("https://good.example.org"));
    }
}
