//! What must hold for any JSON: no panic, and no good entry lost to what stands beside it.

use proptest::prelude::*;

use super::*;
use crate::property;

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

/// The documents of REGISTRY.md.
const GOLDEN: [&str; 5] = [
    include_str!("../../../../tests/golden/registry/e1.json"),
    include_str!("../../../../tests/golden/registry/e2.json"),
    include_str!("../../../../tests/golden/registry/e3.json"),
    include_str!("../../../../tests/golden/registry/e4.json"),
    include_str!("../../../../tests/golden/registry/e10.json"),
];

/// A document that is right, with some of its values replaced.
fn altered() -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), json_value()), 1..6);
    (prop::sample::select(&GOLDEN[..]), changes).prop_map(|(text, changes)| {
        let mut document: Value = serde_json::from_str(text).unwrap();
        for (place, value) in changes {
            let mut places = 0;
            visit(&mut document, &mut |_| places += 1);
            let place = place.index(places);
            let mut at = 0;
            visit(&mut document, &mut |found| {
                if at == place {
                    *found = value.clone();
                }
                at += 1;
            });
        }
        document
    })
}

/// Every value inside of a document, those that hold others after what they hold.
fn visit(value: &mut Value, see: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|inner| visit(inner, see)),
        Value::Object(object) => object.values_mut().for_each(|inner| visit(inner, see)),
        _ => {}
    }
    see(value);
}

/// A document that is right, with some of its bytes replaced.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    (prop::sample::select(&GOLDEN[..]), damage).prop_map(|(text, damage)| {
        let mut bytes = text.as_bytes().to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn every_entry_of_any_json_is_usable_or_rejected_for_a_reason(value in prop_oneof![json_value(), altered()]) {
        property::registry_document::check(value.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged()]) {
        property::registry_document::check(&bytes);
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
