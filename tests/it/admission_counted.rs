//! Every limit that is reached is counted under its name.

use crate::support::{Ask, Daemon, Rows, Upstream, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const LIMITS: [&str; 8] = [
    "connections",
    "connections_per_client",
    "header_timeout",
    "headers",
    "uri_bytes",
    "body_bytes",
    "body_min_rate",
    "in_flight",
];

#[test]
fn a_refusal_is_counted_under_its_limit_and_no_other() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("limits", "{headers: 10, header_bytes: 1KiB, uri_bytes: 100, body_bytes: 10}")
        .service(upstream.service_with("svc", "limits: {in_flight: 1}"))
        .start();
    let mut rows = Rows::new();
    let mut expected = [0.0; LIMITS.len()];
    let many = (0..20).fold(Ask::get(SERVICE, "/x"), |ask, n| ask.header(&format!("X-{n}"), "v"));
    for (row, limit, fate, ask) in [
        ("fields", "headers", "431 headers_too_large", many),
        ("bytes", "headers", "431 headers_too_large", Ask::get(SERVICE, "/x").header("X", &"v".repeat(2000))),
        ("a target", "uri_bytes", "414 uri_too_long", Ask::get(SERVICE, &format!("/{}", "u".repeat(200)))),
        ("a length", "body_bytes", "413 body_too_large", Ask::new("POST", SERVICE, "/x").body([b'x'; 11])),
        ("chunks", "body_bytes", "413 body_too_large", Ask::new("POST", SERVICE, "/x").chunked([b'x'; 11])),
    ] {
        rows.eq(row, &fate.to_owned(), &daemon.ask(&ask).fate());
        expected[LIMITS.iter().position(|name| *name == limit).unwrap()] += 1.0;
        let seen = LIMITS.map(|name| daemon.limit_reached(name));
        rows.eq(format!("{row}, counted"), &expected, &seen);
    }
    let mut held = daemon.connect();
    held.send(Ask::get(SERVICE, "/hold/held").to_bytes());
    upstream.wait_for_arrival("held");
    rows.eq("one too many at once", &"503 overloaded".to_owned(), &daemon.get(SERVICE, "/x").fate());
    expected[7] += 1.0;
    rows.eq("in flight, counted", &expected, &LIMITS.map(|name| daemon.limit_reached(name)));
    rows.finish();
    upstream.step("held", "end");
    assert_eq!(held.answer("GET").fate(), "-> /hold/held");
    eventually_eq("there is room again", &"-> /x".to_owned(), || daemon.get(SERVICE, "/x").fate());
}
