//! Fields that are for one hop: they end here, and no client takes away with them what the gateway says.

use super::case::{After, Arrives, Case, HOST, SMUGGLED, get, post};
use super::run::run;
use crate::support::CONNECT;

const CONNECTION: &str = "9110 §7.6.1";
const UPGRADE: &str = "9110 §7.8";
const EXPECT: &str = "9110 §10.1.1";

#[test]
fn hostile_nominations_take_nothing_of_the_gateways_away() {
    let refused = |value: &str| {
        Case::new(
            format!("Connection: {value}"),
            CONNECTION,
            get(&format!("Connection: {value}\r\nX-Forwarded-For: 192.0.2.1\r\n")),
        )
        .either()
    };
    let served = |value: &str| {
        Case::new(format!("Connection: {value}"), CONNECTION, get(&format!("Connection: {value}\r\nX: y\r\n"))).served()
    };
    let prefixed = format!("GET /svc/api/x HTTP/1.1\r\nHost: {CONNECT}\r\nConnection: X-Forwarded-Prefix\r\n\r\n");
    run(&[
        refused("Host"),
        refused("host"),
        refused("close, X-Forwarded-For"),
        refused("X-Forwarded-For"),
        refused("x-forwarded-FOR"),
        refused("X-Forwarded-Host"),
        refused("X-Forwarded-Proto"),
        refused("keep-alive, Host"),
        refused("\"X-Forwarded-For\""),
        refused("X-Forwarded-For;"),
        refused(":authority"),
        refused(":path"),
        refused("a,b,c,d,e,f,g,h,i,j,k,l"),
        refused("a b"),
        refused("@"),
        served("X").lacks("x"),
        served("x, y").lacks("x"),
        served(",, X ,,").lacks("x"),
        served("X-Request-ID").seen(super::case::Seen::Line("GET /x HTTP/1.1".to_owned())),
        served("Forwarded").field("forwarded", format!("for=127.0.0.1;host={HOST};proto=http")),
        served("Via, traceparent").field("x", "y"),
        served("Authorization, Cookie").lacks("authorization"),
        served("Transfer-Encoding, TE, Trailer"),
        served("Connection"),
        served("keep-alive"),
        served(""),
        served("close, X").lacks("x").after(After::Closes),
        Case::new("Connection: X-Forwarded-Prefix", CONNECTION, prefixed).served().field("x-forwarded-prefix", "/svc"),
        Case::new(
            "Connection: Content-Length",
            CONNECTION,
            post("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
        )
        .served()
        .body("hello"),
        Case::new(
            "Connection: Content-Length, and a request as the body",
            CONNECTION,
            post(&format!("Connection: Content-Length\r\nContent-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
        )
        .served()
        .body(SMUGGLED),
        Case::new(
            "Connection: Expect",
            CONNECTION,
            post("Connection: Expect\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
        )
        .served()
        .body("hello"),
    ]);
}

#[test]
fn hostile_fields_of_one_hop_end_here() {
    let lines = [
        "TE: trailers",
        "TE: gzip;q=1, chunked",
        "Trailer: Content-Length",
        "Keep-Alive: timeout=5, max=1000",
        "Keep-Alive: timeout=99999999999999999999",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: x",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Upgrade: foo",
        "Upgrade: TLS/1.0",
        "Upgrade: h2c",
        "Upgrade:",
        "Upgrade: websocket, h2c",
    ];
    run(&lines.map(|line| Case::new(line, CONNECTION, get(&format!("{line}\r\n"))).served().lacks("upgrade")));
}

#[test]
fn hostile_upgrades_open_nothing() {
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let web_socket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let two: [&[u16]; 2] = [&[200], &[200]];
    run(&[
        Case::new("h2c", UPGRADE, get(h2c)).served().lacks("upgrade").lacks("http2-settings"),
        Case::new("h2c without the nomination of its settings", UPGRADE, get(&h2c.replace(", HTTP2-Settings", "")))
            .served()
            .lacks("upgrade")
            .lacks("http2-settings"),
        Case::new("h2c with HTTP/2 behind it", UPGRADE, get(h2c) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .answers(&[&[200], &[400, 505, 0]])
            .arrives(Arrives::Whole(1)),
        Case::new("h2c with a request behind it", UPGRADE, get(h2c) + &get(""))
            .served()
            .answers(&two)
            .arrives(Arrives::Whole(2)),
        Case::new(
            "h2c with a request as its body",
            UPGRADE,
            post(&format!("{h2c}Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
        )
        .served()
        .lacks("upgrade")
        .body(SMUGGLED),
        Case::new("h2c of the gateway", UPGRADE, get(h2c).replace(HOST, CONNECT).replace("/x", "/health"))
            .status(&[200])
            .after(After::Either),
        Case::new("h2c in HTTP/1.0", UPGRADE, get(h2c).replace("HTTP/1.1", "HTTP/1.0")).normalised().lacks("upgrade"),
        // The service says 200 instead of 101: what follows is HTTP.
        Case::new(
            "a web socket that the service does not open",
            UPGRADE,
            get(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{web_socket}")),
        )
        .served()
        .field("upgrade", "websocket")
        .after(After::Either),
        Case::new(
            "a web socket that the service does not open, and a request",
            UPGRADE,
            get(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{web_socket}")) + &get(""),
        )
        .served()
        .answers(&two)
        .arrives(Arrives::Whole(2))
        .field("upgrade", "websocket")
        .after(After::Either),
        Case::new("a web socket without Connection", UPGRADE, get(&format!("Upgrade: websocket\r\n{web_socket}")))
            .served()
            .lacks("upgrade")
            .finding("Pingora asks the service for an upgrade that Connection does not name"),
        Case::new(
            "a web socket in HTTP/1.0",
            UPGRADE,
            get(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{web_socket}")).replace("HTTP/1.1", "HTTP/1.0"),
        )
        .normalised()
        .lacks("upgrade"),
        Case::new(
            "a web socket of the gateway",
            UPGRADE,
            get(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{web_socket}"))
                .replace(HOST, CONNECT)
                .replace("/x", "/health"),
        )
        .status(&[200])
        .after(After::Either),
    ]);
}

#[test]
fn hostile_expectations_frame_nothing() {
    let with = |value: &str| {
        Case::new(
            format!("Expect: {value}"),
            EXPECT,
            post(&format!("Expect: {value}\r\nContent-Length: 5\r\n"), "hello"),
        )
    };
    let served = |value: &str| with(value).served().body("hello");
    let either = |value: &str| with(value).status(&[200, 417]).after(After::Either).arrives(Arrives::AtMost(1));
    run(&[
        served("100-continue"),
        served("100-Continue"),
        served("100-CONTINUE"),
        served("\t100-continue "),
        either("100-continue, 100-continue"),
        either("100-continue;x"),
        either("200-ok"),
        either("x"),
        either(""),
        either("100-continue\r\nExpect: 100-continue"),
        Case::new("without a body", EXPECT, get("Expect: 100-continue\r\n")).served().body(""),
        Case::new(
            "in HTTP/1.0",
            EXPECT,
            post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello").replace("HTTP/1.1", "HTTP/1.0"),
        )
        .normalised()
        .body("hello"),
        Case::new(
            "with a request as its body",
            EXPECT,
            post(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
        )
        .served()
        .body(SMUGGLED),
        Case::new(
            "in chunks",
            EXPECT,
            post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        )
        .served()
        .body("hello"),
    ]);
}
