//! The tools of these tests, tried on each other without a gateway between them: a blind tool would see nothing wrong.

use std::io::Write;
use std::net::TcpListener;

use serde_json::json;

use crate::support::client::chunk;
use crate::support::files::{KIB, MIB, contents, md5};
use crate::support::peer::{S3Server, peers_are_there, raw};
use crate::support::rclone::{Rclone, tree};
use crate::support::sigv4::{Signer, Unsigned, element, elements, fate, minutes_from_now};
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

fn signer(server: &S3Server) -> Signer {
    Signer {
        access_key: S3Server::ACCESS_KEY.to_owned(),
        secret_key: S3Server::SECRET_KEY.to_owned(),
        bucket: server.bucket.clone(),
        endpoint: String::new(),
        buckets: serde_json::Value::Null,
        region: "us-east-1".to_owned(),
    }
}

#[test]
fn an_s3_server_understands_what_the_signer_signs_and_nothing_else() {
    let mut server = S3Server::start("bucket");
    let s3 = signer(&server);
    let mut rows = Rows::new();
    let body = contents(1, 200 * KIB);
    let ask = |ask: &Ask| Client::connect(server.port).ask(ask);
    let put = s3.object("PUT", "a b/ü+%&").body(&body).header("x-amz-meta-mtime", "5");
    rows.eq("PUT", &"200".to_owned(), &fate(&ask(&s3.signed(&put))));
    let get = ask(&s3.signed(&s3.object("GET", "a b/ü+%&")));
    rows.holds("GET", get.body == body, fate(&get));
    rows.eq("metadata", &Some("5"), &get.header("x-amz-meta-mtime"));
    let pieces = s3.signed_in_pieces(s3.object("PUT", "pieces").body(&body), 64 * KIB, |_| {});
    rows.eq("in pieces", &"200".to_owned(), &fate(&ask(&pieces)));
    rows.holds("GET", ask(&s3.signed(&s3.object("GET", "pieces"))).body == body, ());
    let list = s3.bucket("GET").query("list-type", "2").query("prefix", "a b/");
    rows.eq("list", &vec!["a b/ü+%&".to_owned()], &elements(&ask(&s3.signed(&list)).text(), "Key"));
    let link = s3.presigned(&s3.object("GET", "pieces"), 60);
    rows.holds("by a link", ask(&link).body == body, ());
    let buckets = ask(&s3.signed(&Unsigned::new("GET", "/"))).text();
    rows.eq("buckets", &vec!["bucket".to_owned()], &elements(&buckets, "Name"));
    let begin = ask(&s3.signed(&s3.object("POST", "parts").query("uploads", ""))).text();
    rows.holds("an upload in parts", !element(&begin, "UploadId").is_empty(), &begin);

    let wrong = Signer { secret_key: "wrong".to_owned(), ..s3.clone() };
    let spoilt = s3.signed_in_pieces(s3.object("PUT", "x").body(&body), 64 * KIB, |sent| sent[1000] ^= 1);
    for (what, asked, seen) in [
        ("another secret", wrong.signed(&s3.object("GET", "pieces")), "403 SignatureDoesNotMatch"),
        ("an old date", s3.signed(&s3.object("GET", "pieces").at(&minutes_from_now(-20))), "403 RequestTimeTooSkewed"),
        ("an old link", s3.presigned(&s3.object("GET", "pieces").at(&minutes_from_now(-5)), 60), "403"),
        // This one has no better word for it.
        ("a spoilt piece", spoilt, "500"),
        ("nothing there", s3.signed(&s3.object("GET", "nothing")), "404 NoSuchKey"),
    ] {
        let answer = ask(&asked);
        rows.holds(what, fate(&answer).starts_with(seen), (fate(&answer), answer.text()));
    }
    rows.finish();
    let port = server.port;
    server.stop();
    assert!(Client::try_connect(port).is_err());
    server.start_again();
    assert_eq!(server.port, port);
    assert!(Client::connect(port).ask(&s3.signed(&s3.object("GET", "pieces"))).body == body);
    assert_eq!(get.header("etag"), Some(format!("\"{}\"", md5(&body)).as_str()));
}

#[test]
fn rclone_reaches_an_s3_server_as_if_it_had_a_name() {
    if !peers_are_there() {
        return;
    }
    let server = S3Server::start("bucket");
    let rclone = Rclone::with(server.port, signer(&server));
    for number in 0..5 {
        rclone.write(&format!("here/{number}/f.bin"), contents(number, 1000));
    }
    rclone.write("here/large.bin", contents(9, 11 * MIB));
    let parts = ["--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M"];
    rclone.done(&[&["sync", "here", &rclone.remote("")], &parts[..]].concat());
    rclone.done(&["sync", &rclone.remote(""), "back"]);
    assert!(tree(&rclone.local("back")) == tree(&rclone.local("here")));
    assert_eq!(tree(&server.root()).len(), 6);
    assert!(server.unfinished().is_empty());
    let wrong = Rclone::with(server.port, Signer { secret_key: "wrong".to_owned(), ..signer(&server) });
    assert!(!wrong.run(&["lsd", "chitty:"]).status.success());
}
