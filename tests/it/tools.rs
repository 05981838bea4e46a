//! The tools of these tests, tried on each other without a gateway between them: a blind tool would see nothing wrong.

use std::io::Write;
use std::net::TcpListener;

use serde_json::json;

use crate::support::client::chunk;
use crate::support::peer::raw;
use crate::support::{Answer, Ask, Client, Ending, Registry, Rows, Upstream, eventually_eq};

fn get(upstream: &Upstream, target: &str) -> Result<Answer, Ending> {
    Client::connect(upstream.port()).send(Ask::get("h", target).to_bytes()).try_answer("GET")
}

#[test]
fn the_client_tells_a_whole_answer_from_a_broken_one() {
    let upstream = Upstream::start();
    let mut rows = Rows::new();
    let ok = "HTTP/1.1 200 OK\r\n";
    for (bytes, then, ending, body) in [
        (format!("{ok}Content-Length: 2\r\n\r\nok"), "close", Ending::Whole, "ok"),
        (format!("{ok}Content-Length: 3\r\n\r\nok"), "close", Ending::Fin, "ok"),
        (format!("{ok}Content-Length: 3\r\n\r\nok"), "reset", Ending::Reset, "ok"),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "reset", Ending::Whole, "ok"),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), "close", Ending::Fin, "ok"),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"), "reset", Ending::Reset, "ok"),
        (format!("{ok}\r\nok"), "close", Ending::Whole, "ok"),
        (format!("{ok}\r\nok"), "reset", Ending::Reset, "ok"),
    ] {
        let answer = get(&upstream, &raw(&bytes, then)).unwrap();
        rows.eq(format!("{bytes:?} {then}"), &(ending, body.to_owned()), &(answer.ending, answer.text()));
    }
    rows.eq("nothing", &Some(Ending::Fin), &get(&upstream, &raw("", "close")).err());
    rows.eq("nothing, reset", &Some(Ending::Reset), &get(&upstream, &raw("", "reset")).err());
    rows.finish();
}

#[test]
fn the_echo_reports_every_byte_of_a_request() {
    let upstream = Upstream::start();
    let mut client = Client::connect(upstream.port());
    let ask = Ask::new("POST", "H", "/a/../%2e?b=%zz#").header("x-Odd", "ü").header("X-odd", "2").chunked("hello");
    let echo = client.ask(&ask).echo();
    assert_eq!((&echo.0["target"], &echo.0["body_bytes"]), (&json!("/a/../%2e?b=%zz#"), &json!(5)));
    let headers = json!([["Host", "H"], ["x-Odd", "Ã¼"], ["X-odd", "2"], ["Transfer-Encoding", "chunked"]]);
    assert_eq!(echo.0["headers"], headers);
    let again = client.ask(&Ask::get("H", "/")).echo();
    assert_eq!(again.0["connection"], echo.0["connection"]);
    assert_eq!((upstream.connections(), upstream.targets().len()), (1, 2));
}

#[test]
fn a_gate_shows_what_has_arrived_and_releases_piece_by_piece() {
    let upstream = Upstream::start();
    let mut client = Client::connect(upstream.port());
    client
        .send(Ask::new("POST", "h", "/upload/u").header("Transfer-Encoding", "chunked").to_bytes())
        .send(chunk("abc"));
    eventually_eq("three bytes", &3.into(), || upstream.gate("u", "received"));
    assert_eq!(upstream.gate("u", "finished"), false);
    drop(client);
    eventually_eq("it broke off", &true.into(), || upstream.gate("u", "left"));

    let mut client = Client::connect(upstream.port());
    client.send(Ask::get("h", "/stream/s").to_bytes());
    upstream.push("s", "one");
    client.head("GET").unwrap();
    assert_eq!(client.body_until("one"), "one");
    upstream.step("s", "reset");
    assert_eq!(client.piece(), Err(Ending::Reset));
}

#[test]
fn the_registry_serves_what_it_was_given() {
    let registry = Registry::with("[1]");
    let mut client = Client::connect(url::Url::parse(&registry.url()).unwrap().port().unwrap());
    let answer = client.ask(&Ask::get("h", "/api/services"));
    assert_eq!((answer.status(), answer.text().as_str()), (200, "[1]"));
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(client.ask(&Ask::get("h", "/api/services").header("If-None-Match", &tag)).status(), 304);
    registry.put_as("/api/services", "bearer=t&cursor=a%20b", "[2]");
    assert_eq!(client.ask(&Ask::get("h", "/api/services?cursor=a+b")).status(), 401);
    let keyed = Ask::get("h", "/api/services?limit=3&cursor=a%20b").header("Authorization", "Bearer t");
    assert_eq!(client.ask(&keyed).text(), "[2]");
    registry.remove("/api/services");
    assert_eq!(client.ask(&Ask::get("h", "/api/services")).status(), 404);
    registry.put_as("/api/services", "cut=1", "[1,2,3]");
    assert_eq!(client.ask(&Ask::get("h", "/api/services")).ending, Ending::Fin);
}

#[test]
fn a_table_names_every_row_that_fails() {
    let mut rows = Rows::new();
    for (row, seen) in [("first", 1), ("second", 2), ("third", 3)] {
        rows.eq(row, &2, &seen);
    }
    let message = *std::panic::catch_unwind(|| rows.finish()).unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("2 of 3 rows") && message.contains("first") && message.contains("third"), "{message}");
}

#[test]
fn the_client_reads_interim_answers_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap().port());
    let (mut other, _) = listener.accept().unwrap();
    other.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let answer = client.answer("GET");
    assert_eq!((answer.informational.len(), answer.status(), answer.ending), (1, 204, Ending::Whole));
}
