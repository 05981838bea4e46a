//! Fields: pseudo-headers, fields for one hop, names and values that are none.

use super::run::{Case, GET, HOST, get_with, run, whole};

const PSEUDO: &str = "9113 §8.3";
const REQUEST: &str = "9113 §8.3.1";
const ONE_HOP: &str = "9113 §8.2.2";
const SYNTAX: &str = "9113 §8.2.1";

/// A GET in which this field stands instead of its namesake.
fn with(name: &str, value: &str) -> Vec<u8> {
    whole(&GET.map(|(n, v)| if n == name { (n, value) } else { (n, v) }))
}

/// A GET without this field.
fn without(name: &str) -> Vec<u8> {
    whole(&GET.into_iter().filter(|(n, _)| *n != name).collect::<Vec<_>>())
}

#[test]
fn hostile_h2_honest_requests_are_served() {
    run(&[
        Case::served("a GET", REQUEST, get_with(&[])),
        Case::served("pseudo-headers in another order", REQUEST, whole(&[GET[3], GET[2], GET[1], GET[0]])),
        Case::served("te: trailers", ONE_HOP, get_with(&[("te", "trailers")])),
        Case::served("Host that is the authority", REQUEST, get_with(&[("host", HOST)])),
        Case::served("Host without an authority", REQUEST, whole(&[GET[0], GET[1], GET[3], ("host", HOST)])),
        Case::served("two cookies", "9113 §8.2.3", get_with(&[("cookie", "a=1"), ("cookie", "b=2")])),
        Case::served("an empty value", SYNTAX, get_with(&[("x", "")])),
    ]);
}

#[test]
fn hostile_h2_fields_of_one_hop_are_refused() {
    let fields = [
        ("connection", "close"),
        ("connection", "keep-alive"),
        ("connection", "x-forwarded-for"),
        ("connection", "upgrade"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", ""),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", "chunked"),
    ];
    run(&fields.map(|(name, value)| Case::refused(format!("{name}: {value}"), ONE_HOP, get_with(&[(name, value)]))));
}

#[test]
fn hostile_h2_pseudo_headers_are_there_once_and_first() {
    run(&[
        Case::refused("no method", REQUEST, without(":method")),
        Case::refused("no scheme", REQUEST, without(":scheme")),
        Case::refused("no path", REQUEST, without(":path")),
        Case::refused("no authority and no Host", REQUEST, without(":authority")),
        Case::refused("nothing of it", REQUEST, whole(&[])),
        Case::refused("two methods", PSEUDO, get_with(&[(":method", "POST")])),
        Case::refused("two paths", PSEUDO, get_with(&[(":path", "/smuggled")])),
        Case::refused("two schemes", PSEUDO, get_with(&[(":scheme", "https")])),
        Case::refused("two authorities", PSEUDO, get_with(&[(":authority", "nope.example")])),
        Case::refused("one behind a field", PSEUDO, whole(&[GET[0], GET[1], GET[2], ("x", "y"), GET[3]])),
        Case::refused("the method behind a field", PSEUDO, whole(&[("x", "y"), GET[0], GET[1], GET[2], GET[3]])),
        Case::refused("one that there is not", PSEUDO, whole(&[GET[0], GET[1], GET[2], GET[3], (":x", "y")])),
        Case::refused("one of answers", PSEUDO, get_with(&[(":status", "200")])),
        Case::refused(
            ":protocol, which nobody offered",
            "8441 §4",
            whole(&[(":method", "CONNECT"), (":protocol", "websocket"), GET[1], GET[2], GET[3]]),
        ),
        Case::refused(
            ":protocol on a GET",
            "8441 §4",
            whole(&[GET[0], GET[1], GET[2], GET[3], (":protocol", "websocket")]),
        ),
        Case::refused("CONNECT", "9113 §8.5", whole(&[(":method", "CONNECT"), (":authority", "svc.chitty.test:80")]))
            .status(&[400, 405]),
        Case::refused(
            "CONNECT to loopback",
            "9113 §8.5",
            whole(&[(":method", "CONNECT"), (":authority", "127.0.0.1:22")]),
        )
        .status(&[400, 405]),
        Case::refused("CONNECT with a path", "9113 §8.5", with(":method", "CONNECT")).status(&[400, 405]),
    ]);
}

#[test]
fn hostile_h2_values_of_pseudo_headers_are_refused() {
    let paths = [
        "",
        "x",
        "*",
        "http://nope.example/",
        "/x HTTP/1.1\r\nX: y",
        "/x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: svc.chitty.test\r\n\r\n",
        "/x\n",
        "/x\r",
        "/x y",
        "/x\0",
        "/x\ty",
        "/..",
        "/../x",
        "/..%2fx",
        "/%2e%2e/x",
        "\\x",
        "?x",
    ];
    let mut cases: Vec<Case> =
        paths.iter().map(|path| Case::refused(format!(":path {path:?}"), REQUEST, with(":path", path))).collect();
    let methods = ["", "GET /smuggled HTTP/1.1", "GET\r\nX: y", "G ET", "GET\0", "G\tT", "GET:", "G@T"];
    cases.extend(
        methods.iter().map(|method| Case::refused(format!(":method {method:?}"), REQUEST, with(":method", method))),
    );
    let authorities = [
        "user@svc.chitty.test",
        "user:password@svc.chitty.test",
        "svc.chitty.test/x",
        "svc.chitty.test?x",
        "svc.chitty.test nope.example",
        "svc.chitty.test\r\nX: y",
        "svc.chitty.test\0",
        "svc.chitty.test:x",
        "svc.chitty.test:80:80",
        "[svc.chitty.test]",
        "[::1",
        "\\",
        "svc.chitty.test,nope.example",
        "http://svc.chitty.test",
    ];
    cases.extend(authorities.iter().map(|authority| {
        Case::refused(format!(":authority {authority:?}"), REQUEST, with(":authority", authority)).status(&[400, 404])
    }));
    let schemes = ["", "http\r\nX: y", "ht tp", "file", "http://nope.example/?", "\0"];
    cases.extend(
        schemes.iter().map(|scheme| Case::borne(format!(":scheme {scheme:?}"), REQUEST, with(":scheme", scheme), 1)),
    );
    cases.extend([
        Case::refused("a path with a fragment", REQUEST, with(":path", "/x#y"))
            .finding("the crate http cuts the fragment off before anything of the gateway sees it"),
        Case::refused("Host against the authority", REQUEST, get_with(&[("host", "nope.example")])),
        Case::refused("Host of another service", REQUEST, get_with(&[("host", "small.chitty.test")])),
        Case::refused("two Hosts", REQUEST, get_with(&[("host", HOST), ("host", HOST)])),
        Case::refused(
            "two Hosts without an authority",
            REQUEST,
            whole(&[GET[0], GET[1], GET[3], ("host", HOST), ("host", "nope.example")]),
        ),
        Case::refused("an empty Host against the authority", REQUEST, get_with(&[("host", "")])),
        Case::refused("an authority of nobody", REQUEST, with(":authority", "nope.example")).status(&[404]),
    ]);
    run(&cases);
}

#[test]
fn hostile_h2_names_and_values_that_are_none_are_refused() {
    let names = [
        "X",
        "x-Upper",
        "",
        "x y",
        "x\r\ny",
        "x\0",
        "x:",
        "x: y\r\nz",
        "x\t",
        "x\x7f",
        "\u{e4}",
        "x(y)",
        "x@y",
        "x/y",
        "x\"",
        "x,y",
    ];
    let mut cases: Vec<Case> = names
        .iter()
        .map(|name| Case::refused(format!("a name of {name:?}"), SYNTAX, get_with(&[(name, "y")])))
        .collect();
    let values = ["a\r\nX: y", "a\rb", "a\nb", "a\0b", "\0", "a\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", "\r", "\n"];
    cases.extend(
        values.iter().map(|value| Case::refused(format!("a value of {value:?}"), SYNTAX, get_with(&[("x", value)]))),
    );
    // Malformed, too; but what leaves for the service has them trimmed off.
    cases.extend(
        [" a", "a ", "\ta", "a\t"]
            .iter()
            .map(|value| Case::borne(format!("a value of {value:?}"), SYNTAX, get_with(&[("x", value)]), 1)),
    );
    run(&cases);
}
