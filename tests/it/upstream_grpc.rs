//! gRPC through the gateway: a server and a client of another make, over HTTP/2 without TLS on both sides.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::peer::peers_are_there;
use crate::support::{Daemon, Rows, eventually_eq};

/// The Python that has grpcio; `tests/run.sh` makes it.
const PYTHON: &str = "CHITTY_GRPC_PYTHON";
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/grpc_peer.py");
const SERVICE: &str = "svc.chitty.test";

fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into()));
    command.arg(PEER).args(arguments);
    command
}

/// A gRPC server that ends with this.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let mut child = python(&["server"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("no port from the gRPC server; tests/run.sh installs grpcio"));
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daemon(endpoint: &str) -> Daemon {
    Daemon::builder()
        .set("listeners", "[{bind: \"127.0.0.1:@PORT@\", h2c: true}]")
        .service(format!(
            "{{id: svc, endpoints: [\"{endpoint}\"], timeouts: {{read: 300ms}}, limits: {{in_flight: 20}}}}"
        ))
        .start()
}

#[track_caller]
fn ask(what: &str, daemon: &Daemon, authority: &str) -> Value {
    let output = python(&[what, &daemon.port.to_string(), authority]).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_kind_of_call_passes_with_its_metadata_and_its_status() {
    if !peers_are_there() {
        return;
    }
    let server = Server::start();
    let daemon = daemon(&format!("h2c://127.0.0.1:{}", server.port));
    let told = ask("client", &daemon, SERVICE);
    let mut rows = Rows::new();
    let ok = json!("OK");
    rows.eq("unary", &json!("olleh"), &told["unary"]["reply"]);
    rows.eq("unary: its status", &ok, &told["unary"]["code"]);
    rows.eq("unary: what came before", &json!("first"), &told["unary"]["initial"]["x-initial"]);
    rows.eq("unary: its trailer", &json!("last"), &told["unary"]["trailing"]["x-trailer"]);
    let all_bytes = hex::encode((0..=255).collect::<Vec<u8>>());
    rows.eq("unary: a trailer of bytes", &json!(all_bytes), &told["unary"]["trailing"]["x-bin-trailer-bin"]);
    let sent: Vec<(String, String)> =
        serde_json::from_str(told["metadata"]["reply"].as_str().unwrap_or("[]")).unwrap_or_default();
    let of = |name: &str| sent.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    rows.eq("metadata", &Some("sent"), &of("x-custom"));
    rows.eq("metadata of bytes", &Some("00ff"), &of("x-raw-bin"));
    rows.eq("forwarded for", &Some("127.0.0.1"), &of("x-forwarded-for"));
    rows.eq("forwarded host", &Some(SERVICE), &of("x-forwarded-host"));
    rows.holds("a request id", of("x-request-id").is_some(), &sent);
    rows.eq("a large message, both ways", &json!(3_000_000), &told["large"]["reply"]);
    rows.eq("an error", &json!("INVALID_ARGUMENT"), &told["failing"]["code"]);
    rows.eq("an error's text", &json!("not: this, 100% \u{fc}"), &told["failing"]["details"]);
    rows.eq("an error's trailer", &json!("of an error"), &told["failing"]["trailing"]["x-trailer"]);
    rows.eq("no such method", &json!("UNIMPLEMENTED"), &told["unknown"]["code"]);
    rows.eq("an error after a message", &json!(["one"]), &told["half"]["got"]);
    rows.eq("an error after a message: its status", &json!("DATA_LOSS"), &told["half"]["code"]);
    rows.eq("a stream silent for longer than timeouts.read", &json!(["one", "two", "three"]), &told["silent"]["got"]);
    rows.eq("a stream silent for longer than timeouts.read: its status", &ok, &told["silent"]["code"]);
    rows.eq("a stream of requests", &json!("a,b,c"), &told["collect"]["reply"]);
    let chat: Vec<String> = (0..5).map(|number| format!("re: message {number}")).collect();
    rows.eq("messages in turn", &json!(chat), &told["chat"]["got"]);
    rows.eq("messages in turn: their status", &ok, &told["chat"]["code"]);
    rows.eq("a call that is given up", &json!({"first": "one", "code": "CANCELLED"}), &told["cancelled"]);
    rows.finish();
    eventually_eq("nothing is in flight", &json!([0, 20]), || {
        daemon.explained("http://svc.chitty.test/")["in_flight"].clone()
    });
    eventually_eq("no connection is open", &0.0, || daemon.metric_sum("chittyconnect_connections", &[]));
}

#[test]
fn a_call_that_cannot_be_forwarded_is_told_so() {
    if !peers_are_there() {
        return;
    }
    let nobody = crate::support::daemon::reserve_port();
    let daemon = daemon(&format!("h2c://127.0.0.1:{nobody}"));
    // gRPC takes 502, 503 and 504 for this, and 404 for the other (its "HTTP to gRPC Status Code Mapping").
    assert_eq!(ask("once", &daemon, SERVICE)["code"], "UNAVAILABLE");
    assert_eq!(ask("once", &daemon, "nobody.chitty.test")["code"], "UNIMPLEMENTED");
}
