//! "What these documents must give", row by row; the documents stand in `tests/golden/registry`.

use std::path::Path;

use super::*;

fn shape(document: &Document) -> Value {
    let ok = document.declarations.iter().map(|declaration| {
        json!({
            "id": declaration.id,
            "subdomain": declaration.subdomain.as_ref().or(declaration.id.as_ref()),
            "base_url": base_url(declaration),
            "health_url": health_url(declaration),
            "status": declaration.status.as_deref().unwrap_or("unknown"),
            "health_state": declaration.health_state,
            "mcp_url": declaration.mcp_url,
            "external_id": declaration.external_id,
            "display_name": declaration.display_name,
            "version": declaration.version,
            "unroutable": declaration.no_endpoint_because,
        })
    });
    json!({ "ok": ok.collect::<Vec<_>>(), "rejected": document.rejected })
}

fn golden(document: &str, expected: &str, guard: Option<&Guard>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/registry");
    let bytes = std::fs::read(folder.join(document)).unwrap();
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join(expected)).unwrap()).unwrap();
    let read = shape(&read(&bytes, &context(), guard).unwrap());
    assert_eq!(read, expected, "{document} gave {read:#}");
}

#[test]
fn the_documents_of_the_contract_give_what_it_says() {
    let guard = Guard::default();
    for name in ["e1", "e2", "e3", "e4", "e10"] {
        golden(&format!("{name}.json"), &format!("{name}.http.expected.json"), Some(&guard));
    }
}

#[test]
fn the_operators_own_file_may_point_at_loopback() {
    golden("e3.json", "e3.file.expected.json", None);
}
