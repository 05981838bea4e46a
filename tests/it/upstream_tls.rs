//! `https` endpoints: whom they are taken for, whom they take us for, and what they speak.

use std::path::Path;

use tokio_tungstenite::tungstenite::{Message, client};

use crate::support::authority::{Authority, Pair, replace};
use crate::support::peer::peers_are_there;
use crate::support::{Ask, Daemon, Ending, Nginx, Rows, Upstream, eventually, eventually_eq};

const SERVICE: &str = "svc.chitty.test";
const NAME: &str = "inside.test";

/// nginx behind TLS, over HTTP/2 where that is asked for. `/` tells what it was asked by, `/up/` goes on to `behind`.
fn nginx(pair: &Pair, more: &str, behind: &str) -> Nginx {
    let (cert, key) = (pair.cert.display(), pair.key.display());
    Nginx::with(tempfile::tempdir().unwrap(), |port| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {cert}; ssl_certificate_key {key}; {more}\n\
             client_max_body_size 0;\n\
             location / {{ return 200 \"$server_protocol|$ssl_server_name|$http_host|$ssl_client_verify|$connection\"; }}\n\
             location /up/ {{ proxy_pass {behind}/; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\n\
             proxy_set_header Connection $http_connection; proxy_request_buffering off; }} }}"
        )
    })
}

fn service(nginx: &Nginx, tls: &str) -> String {
    format!("{{id: svc, endpoints: [\"https://127.0.0.1:{}\"], tls: {tls}, retry: {{attempts: 0}}}}", nginx.port)
}

fn start(nginx: &Nginx, tls: &str) -> Daemon {
    Daemon::builder().service(service(nginx, tls)).start()
}

/// What nginx told of the request, or what became of it instead.
#[track_caller]
fn told(daemon: &Daemon) -> Vec<String> {
    let answer = daemon.get(SERVICE, "/");
    if answer.status() == 200 { answer.text().split('|').map(str::to_owned).collect() } else { vec![answer.fate()] }
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[test]
fn an_endpoint_is_verified_with_the_authority_and_by_the_name_that_are_set() {
    if !peers_are_there() {
        return;
    }
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let right = nginx(&authority.issue(NAME), "", "http://127.0.0.1:1");
    let expired = nginx(&authority.issue_for(NAME, -1), "", "http://127.0.0.1:1");
    let ca = quoted(&authority.cert());
    let mut rows = Rows::new();
    let daemon = start(&right, &format!("{{ca_file: {ca}, sni: {NAME}}}"));
    rows.eq("verified", &["HTTP/2.0", NAME, SERVICE, "NONE"].map(str::to_owned).to_vec(), &told(&daemon)[..4].to_vec());
    for (what, nginx, tls, words) in [
        ("another authority", &right, format!("{{ca_file: {}, sni: {NAME}}}", quoted(&other.cert())), "UnknownIssuer"),
        ("the system's authorities", &right, format!("{{sni: {NAME}}}"), "UnknownIssuer"),
        ("another name", &right, format!("{{ca_file: {ca}, sni: other.test}}"), "not valid for name"),
        ("the name of the Host", &right, format!("{{ca_file: {ca}}}"), "not valid for name"),
        ("an expired certificate", &expired, format!("{{ca_file: {ca}, sni: {NAME}}}"), "expired"),
    ] {
        let daemon = start(nginx, &tls);
        let answer = daemon.get(SERVICE, "/");
        rows.eq(what, &"502 proxy_failed".to_owned(), &answer.fate());
        rows.holds(format!("{what}: nothing of the inside"), !answer.text().contains("ertificate"), answer.text());
        let line = eventually("a line of the log", || {
            let log = daemon.log();
            log.lines().find(|line| line.contains("upstream failed")).map(str::to_owned).ok_or(log)
        });
        rows.holds(format!("{what}: the log names it"), line.to_lowercase().contains(&words.to_lowercase()), &line);
        let counted = daemon.metric_sum("chittyconnect_upstream_failures_total", &["reason=\"tls\""]);
        rows.eq(format!("{what}: counted"), &"1".to_owned(), &counted.to_string());
    }
    for (what, nginx, tls) in [
        ("another authority", &right, format!("{{verify: false, ca_file: {}}}", quoted(&other.cert()))),
        ("another name", &right, "{verify: false, sni: other.test}".to_owned()),
        ("an expired certificate", &expired, "{verify: false}".to_owned()),
    ] {
        let told = told(&start(nginx, &tls));
        rows.eq(format!("{what}, not verified"), &"HTTP/2.0".to_owned(), &told[0]);
    }
    rows.finish();
}

#[test]
fn a_verified_service_does_not_share_the_connections_of_one_that_is_not() {
    if !peers_are_there() {
        return;
    }
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let nginx = nginx(&authority.issue(NAME), "", "http://127.0.0.1:1");
    let service = |id: &str, tls: &str| {
        format!("{{id: {id}, endpoints: [\"https://127.0.0.1:{}\"], tls: {tls}, retry: {{attempts: 0}}}}", nginx.port)
    };
    let daemon = Daemon::builder()
        .service(service("careless", &format!("{{verify: false, sni: {NAME}}}")))
        .service(service("right", &format!("{{ca_file: {}, sni: {NAME}}}", quoted(&authority.cert()))))
        .service(service("wrong", &format!("{{ca_file: {}, sni: {NAME}}}", quoted(&other.cert()))))
        .service(service("system", &format!("{{sni: {NAME}}}")))
        .start();
    let mut rows = Rows::new();
    for _ in 0..2 {
        for (id, status) in [("careless", 200), ("right", 200), ("wrong", 502), ("system", 502)] {
            rows.eq(id, &status, &daemon.get(&format!("{id}.chitty.test"), "/").status());
        }
    }
    rows.finish();
}

#[test]
fn an_endpoint_that_asks_for_a_certificate_gets_ours() {
    if !peers_are_there() {
        return;
    }
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let clients = format!("ssl_verify_client on; ssl_client_certificate {};", authority.cert().display());
    let nginx = nginx(&authority.issue(NAME), &clients, "http://127.0.0.1:1");
    let tls = |pair: Option<Pair>| {
        let client = pair.map_or(String::new(), |pair| {
            format!(", client_cert: {}, client_key: {}", quoted(&pair.cert), quoted(&pair.key))
        });
        format!("{{ca_file: {}, sni: {NAME}{client}}}", quoted(&authority.cert()))
    };
    let known = start(&nginx, &tls(Some(authority.issue("us.test"))));
    assert_eq!(told(&known)[3], "SUCCESS");
    // nginx answers 400 itself where a certificate is missing or unknown: what it says is the service's answer.
    for (what, pair) in [("none", None), ("of another authority", Some(other.issue("us.test")))] {
        let answer = start(&nginx, &tls(pair)).get(SERVICE, "/");
        assert_eq!(answer.status(), 400, "{what}: {}", answer.text());
    }
}

#[test]
fn files_that_are_missing_or_wrong_cost_the_service_and_are_named() {
    if !peers_are_there() {
        return;
    }
    let authority = Authority::new("ours");
    let pair = authority.issue(NAME);
    let nginx = nginx(&pair, "", "http://127.0.0.1:1");
    for tls in [
        "{ca_file: /nonexistent/ca.pem}".to_owned(),
        format!("{{ca_file: {}}}", quoted(&pair.key)),
        format!("{{client_cert: {}, client_key: {}}}", quoted(&pair.cert), quoted(&pair.cert)),
    ] {
        let daemon = start(&nginx, &tls);
        assert_eq!(daemon.get(SERVICE, "/").fate(), "503 no_healthy_endpoint", "{tls}");
        let key = if tls.contains("client_key") { "tls.client_key" } else { "tls.ca_file" };
        assert!(daemon.log().contains(key), "{tls}: {}", daemon.log());
    }
}

#[test]
fn a_wrong_file_costs_only_the_endpoints_that_need_it() {
    if !peers_are_there() {
        return;
    }
    let plain = Upstream::start();
    let nginx = nginx(&Authority::new("ours").issue(NAME), "", "http://127.0.0.1:1");
    let daemon = Daemon::builder()
        .service(format!(
            "{{id: svc, endpoints: [\"https://127.0.0.1:{}\", \"{}\"], tls: {{ca_file: /nonexistent/ca.pem}}}}",
            nginx.port,
            plain.url()
        ))
        .start();
    for _ in 0..4 {
        assert_eq!(daemon.get(SERVICE, "/x").fate(), "-> /x");
    }
}

#[test]
fn renewed_files_are_taken_up_with_a_reload() {
    if !peers_are_there() {
        return;
    }
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let nginx = nginx(&authority.issue(NAME), "", "http://127.0.0.1:1");
    let builder = Daemon::builder()
        .file("ca.pem", std::fs::read_to_string(other.cert()).unwrap())
        .service(service(&nginx, &format!("{{ca_file: \"@DIR@/ca.pem\", sni: {NAME}}}")));
    let daemon = builder.clone().start();
    assert_eq!(told(&daemon), ["502 proxy_failed"]);
    replace(&daemon.folder().join("ca.pem"), &authority.cert());
    daemon.reload(&builder);
    eventually_eq("the new authority is trusted", &"HTTP/2.0".to_owned(), || told(&daemon)[0].clone());
    // And the old one is not, though a connection that was verified with it stands.
    replace(&daemon.folder().join("ca.pem"), &other.cert());
    daemon.reload(&builder);
    eventually_eq("the other is trusted no more", &vec!["502 proxy_failed".to_owned()], || told(&daemon));
    // A file that is gone costs the service until it is back.
    std::fs::remove_file(daemon.folder().join("ca.pem")).unwrap();
    daemon.reload(&builder);
    eventually_eq("without it nothing is dialled", &vec!["503 no_healthy_endpoint".to_owned()], || told(&daemon));
    replace(&daemon.folder().join("ca.pem"), &authority.cert());
    daemon.reload(&builder);
    eventually_eq("it is back", &"HTTP/2.0".to_owned(), || told(&daemon)[0].clone());
}

#[test]
fn http2_carries_bodies_and_upgrades_come_over_http1() {
    if !peers_are_there() {
        return;
    }
    let authority = Authority::new("ours");
    let behind = Upstream::start();
    let nginx = nginx(&authority.issue(NAME), "", &behind.url());
    let daemon = start(&nginx, &format!("{{ca_file: {}, sni: {NAME}}}", quoted(&authority.cert())));
    let connections: Vec<String> = (0..5).map(|_| told(&daemon)[4].clone()).collect();
    assert!(connections.iter().all(|one| *one == connections[0]), "one connection serves all: {connections:?}");
    let (mut socket, response) = client("ws://svc.chitty.test/up/ws", daemon.connect().into_stream()).unwrap();
    assert_eq!(response.status(), 101);
    socket.send(Message::text("over TLS")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("over TLS"));
    assert_eq!(told(&daemon)[0], "HTTP/2.0", "others still go over HTTP/2");
    let body = vec![b'x'; 3_000_000];
    for chunked in [false, true] {
        let ask = Ask::new("PUT", SERVICE, "/up/put");
        let echo = daemon.ask(&if chunked { ask.chunked(&body) } else { ask.body(&body) }).echo();
        assert_eq!(echo.0["body_bytes"], 3_000_000, "chunked: {chunked}");
    }
    for framing in ["", "?framing=chunked"] {
        let big = daemon.get(SERVICE, &format!("/up/big/3000000{framing}"));
        assert_eq!((big.status(), big.body.len(), big.ending), (200, 3_000_000, Ending::Whole), "{framing}");
    }
    let head = daemon.ask(&Ask::new("HEAD", SERVICE, "/up/head"));
    assert_eq!((head.status(), head.body.len()), (200, 0));
}

#[test]
fn an_answer_over_http2_that_breaks_off_is_never_complete() {
    if !peers_are_there() {
        return;
    }
    let authority = Authority::new("ours");
    let behind = Upstream::start();
    let mut nginx = nginx(&authority.issue(NAME), "", &behind.url());
    let daemon = start(&nginx, &format!("{{ca_file: {}, sni: {NAME}}}", quoted(&authority.cert())));
    for framing in ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let target = crate::support::peer::raw(format!("HTTP/1.1 200 OK\r\n{framing}"), "close");
        let mut client = daemon.connect();
        client.send(Ask::get(SERVICE, &format!("/up{target}")).to_bytes());
        let answer = client.try_answer("GET");
        assert!(
            !answer.as_ref().is_ok_and(|a| a.status() == 200 && a.ending == Ending::Whole),
            "{framing}: {answer:?}"
        );
    }
    // What goes away in an orderly way is dialled anew, though nothing is ever tried twice here.
    nginx.signal(crate::support::Signal::SIGQUIT);
    nginx.start_again();
    eventually("it is dialled anew", || match told(&daemon) {
        told if told[0] == "HTTP/2.0" => Ok(()),
        told => Err(told),
    });
}
