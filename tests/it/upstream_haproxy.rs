//! `HAProxy` as the endpoint: another server's TLS and HTTP/2, and one that asks for certificates before anything else.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::authority::{Authority, Pair};
use crate::support::daemon::reserve_port;
use crate::support::peer::peers_are_there;
use crate::support::{Ask, Client, Daemon, Rows, eventually};

const SERVICE: &str = "svc.chitty.test";
const NAME: &str = "inside.test";

/// Tells each request what it was asked by. It ends with this.
struct Haproxy {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// Starts it with these words behind its `bind`; `pair` is what it shows of itself.
    fn start(bind: &str, pair: Option<&Pair>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut words = bind.to_owned();
        if let Some(pair) = pair {
            let both = folder.path().join("both.pem");
            fs::write(&both, [fs::read(&pair.cert).unwrap(), fs::read(&pair.key).unwrap()].concat()).unwrap();
            words = format!("ssl crt {} {bind}", both.display());
        }
        let port = reserve_port();
        let told = "%[req.ver]|%[ssl_fc_sni]|%[req.hdr(host)]|%[ssl_c_verify]|%[req.body_len]";
        let configuration = format!(
            "global\n  maxconn 100\ndefaults\n  mode http\n  option http-buffer-request\n  timeout client 20s\n  timeout server 20s\n  \
             timeout connect 5s\n  timeout http-request 20s\nfrontend all\n  bind 127.0.0.1:{port} {words}\n  \
             http-request return status 200 content-type text/plain lf-string {told}\n"
        );
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration).unwrap();
        let mut child = Command::new("haproxy")
            .args(["-q", "-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("haproxy: {e}; tests/run.sh installs it"));
        eventually("haproxy listens", || {
            assert!(child.try_wait().unwrap().is_none(), "haproxy has ended");
            Client::try_connect(port)
        });
        Self { child, port, _folder: folder }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(endpoint: &str, more: &str) -> Daemon {
    Daemon::builder().service(format!("{{id: svc, endpoints: [\"{endpoint}\"], retry: {{attempts: 0}}{more}}}")).start()
}

#[test]
fn http2_is_spoken_with_and_without_tls() {
    if !peers_are_there() {
        return;
    }
    let authority = Authority::new("ours");
    let pair = authority.issue(NAME);
    let tls = format!(", tls: {{ca_file: \"{}\", sni: {NAME}}}", authority.cert().display());
    let mut rows = Rows::new();
    for (what, haproxy, scheme, more, expected) in [
        ("h2c", Haproxy::start("proto h2", None), "h2c", "", format!("2.0||{SERVICE}|")),
        (
            "h2 agreed on",
            Haproxy::start("alpn h2,http/1.1", Some(&pair)),
            "https",
            &*tls,
            format!("2.0|{NAME}|{SERVICE}|"),
        ),
        (
            "only HTTP/1.1",
            Haproxy::start("alpn http/1.1", Some(&pair)),
            "https",
            &tls,
            format!("1.1|{NAME}|{SERVICE}|"),
        ),
        ("nothing agreed on", Haproxy::start("", Some(&pair)), "https", &tls, format!("1.1|{NAME}|{SERVICE}|")),
    ] {
        let daemon = start(&format!("{scheme}://127.0.0.1:{}", haproxy.port), more);
        let mut client = daemon.connect();
        for (method, length) in [("GET", "|0"), ("POST", "|5"), ("GET", "|0")] {
            let ask = Ask::new(method, SERVICE, "/x");
            let answer = client.ask(&if method == "POST" { ask.body("hello") } else { ask });
            rows.eq(format!("{what}: {method}"), &200, &answer.status());
            rows.holds(
                format!("{what}: {method}, asked by"),
                answer.text().starts_with(&expected) && answer.text().ends_with(length),
                answer.text(),
            );
        }
    }
    rows.finish();
}

#[test]
fn an_endpoint_that_ends_the_handshake_for_want_of_a_certificate_is_a_502_that_the_log_explains() {
    if !peers_are_there() {
        return;
    }
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let ca = authority.cert().display().to_string();
    let (ours, theirs) = (authority.issue("us.test"), other.issue("us.test"));
    let mut rows = Rows::new();
    for alpn in ["alpn h2,http/1.1", "alpn http/1.1"] {
        let haproxy = Haproxy::start(&format!("{alpn} ca-file {ca} verify required"), Some(&authority.issue(NAME)));
        let endpoint = format!("https://127.0.0.1:{}", haproxy.port);
        let with = |pair: Option<&Pair>| {
            let client = pair.map_or(String::new(), |pair| {
                format!(", client_cert: \"{}\", client_key: \"{}\"", pair.cert.display(), pair.key.display())
            });
            start(&endpoint, &format!(", tls: {{ca_file: \"{ca}\", sni: {NAME}{client}}}"))
        };
        let known = with(Some(&ours)).get(SERVICE, "/");
        rows.eq(format!("{alpn}: ours"), &(200, Some("0")), &(known.status(), known.text().split('|').nth(3)));
        for (what, pair, word) in [("none", None, "certificaterequired"), ("another's", Some(&theirs), "unknownca")] {
            let daemon = with(pair);
            let answer = daemon.get(SERVICE, "/");
            rows.eq(format!("{alpn}: {what}"), &"502 proxy_failed".to_owned(), &answer.fate());
            rows.holds(
                format!("{alpn}: {what}: nothing of the inside"),
                !answer.text().contains("ertificate"),
                answer.text(),
            );
            // Over TLS 1.3 its refusal comes once the handshake is over for us. HTTP/2 may find the connection closed before it
            // reads why, and then the log can tell no more than that.
            if alpn == "alpn http/1.1" {
                eventually(&format!("the log names {word}"), || {
                    daemon.get(SERVICE, "/");
                    let log = daemon.log();
                    if log.to_lowercase().contains(word) { Ok(()) } else { Err(log) }
                });
            }
        }
    }
    rows.finish();
}
