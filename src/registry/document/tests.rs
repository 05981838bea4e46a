//! The golden documents of REGISTRY.md row by row, the spellings of §2 as tables, and what must hold for any JSON.

mod envelope;
mod golden;
mod property;
mod spelling;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn hosts(names: &[&str]) -> Vec<Hostname> {
    names.iter().map(|name| Hostname::parse(name).unwrap()).collect()
}

pub(in crate::registry) fn context() -> Context {
    let config = route::Config {
        domain: Hostname::parse("chitty.cc").unwrap(),
        connect: hosts(&["connect.chitty.cc"]),
        api: hosts(&["api.chitty.cc"]),
        mcp: hosts(&["mcp.chitty.cc", "mcp.ch1tty.com"]),
        files: hosts(&["files.chitty.cc"]),
        register: hosts(&["register.chitty.cc"]),
        public_scheme: "https",
        public_port: None,
    };
    Context::new(&config, Arc::from([]))
}

/// Reads a list as it comes over HTTP.
pub(super) fn over_http(value: &Value) -> Document {
    read(value.to_string().as_bytes(), &context(), Some(&Guard::default())).unwrap()
}

/// Reads one entry as it comes over HTTP: a declaration, or the reason of its rejection.
#[allow(clippy::needless_pass_by_value, reason = "the tables hand over what `json!` makes")]
pub(super) fn entry(value: Value) -> Result<Declaration, String> {
    let mut document = over_http(&json!([value]));
    match (document.declarations.pop(), document.rejected.pop()) {
        (Some(declaration), None) => Ok(declaration),
        (None, Some(rejected)) => Err(rejected.reason),
        other => panic!("one entry gave {other:?}"),
    }
}

pub(super) fn base_url(declaration: &Declaration) -> Option<String> {
    declaration.endpoints.as_ref().and_then(|endpoints| endpoints.first()).map(ToString::to_string)
}
