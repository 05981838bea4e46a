//! Programs from outside on both sides: nginx as upstream, curl as client. `tests/run.sh` installs them.

use std::fs;
use std::process::Command;

use crate::support::peer::peers_are_there;
use crate::support::{Ask, CONNECT, Daemon, Ending, Nginx};

const SERVICE: &str = "svc.chitty.test";

fn daemon(nginx: &Nginx) -> Daemon {
    Daemon::builder().service(format!("{{id: svc, endpoints: [\"http://127.0.0.1:{}\"]}}", nginx.port)).start()
}

#[test]
fn nginx_serves_files_ranges_and_conditions_through_the_gateway() {
    if !peers_are_there() {
        return;
    }
    let nginx = Nginx::start("");
    let daemon = daemon(&nginx);
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    fs::write(nginx.root().join("file.bin"), &content).unwrap();
    let mut client = daemon.connect();
    let whole = client.ask(&Ask::get(SERVICE, "/file.bin"));
    assert_eq!((whole.status(), whole.ending), (200, Ending::Whole));
    assert!(whole.body == content, "the file is the file");
    let range = client.ask(&Ask::get(SERVICE, "/file.bin").header("Range", "bytes=1000-1999"));
    assert_eq!(range.status(), 206);
    assert!(range.body == content[1000..2000]);
    let tag = whole.header("etag").unwrap();
    let unchanged = client.ask(&Ask::get(SERVICE, "/file.bin").header("If-None-Match", tag));
    assert_eq!((unchanged.status(), unchanged.body.len()), (304, 0));
    let head = client.ask(&Ask::new("HEAD", SERVICE, "/file.bin"));
    assert_eq!((head.status(), head.header("content-length")), (200, Some("3000000")));
    assert_eq!(client.ask(&Ask::get(SERVICE, "/absent")).status(), 404);
}

#[test]
fn nginx_sees_the_prefix_resolved_and_the_forwarded_headers() {
    if !peers_are_there() {
        return;
    }
    let nginx = Nginx::start(
        "location / { default_type text/plain; return 200 \
         \"$request_uri|$host|$http_x_forwarded_for|$http_x_forwarded_prefix|$http_via\"; }",
    );
    let daemon = daemon(&nginx);
    let text = daemon.get(CONNECT, "/svc/api/a/../b%2Fc?x=../y").text();
    let parts: Vec<&str> = text.split('|').collect();
    assert_eq!(parts[..4], ["/api/b%2Fc?x=../y", SERVICE, "127.0.0.1", "/svc"]);
    assert!(parts[4].starts_with("1.1 chittyconnect-"), "{text}");
}

#[test]
fn curl_gets_what_it_asks_for() {
    if !peers_are_there() {
        return;
    }
    let nginx = Nginx::start("location /moved { return 301 /elsewhere; }");
    fs::write(nginx.root().join("hello.txt"), "hello\n").unwrap();
    let daemon = daemon(&nginx);
    let curl = |arguments: &[&str]| {
        let base = format!("http://{SERVICE}:{}", daemon.port);
        let resolve = format!("{SERVICE}:{}:127.0.0.1", daemon.port);
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "30", "--path-as-is", "--resolve", &resolve]);
        let arguments = arguments.iter().map(|a| a.replace('@', &base));
        let output = command.args(arguments).output().unwrap_or_else(|e| panic!("curl: {e}; tests/run.sh installs it"));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(&["@/hello.txt"]), "hello\n");
    assert_eq!(curl(&["--http1.0", "@/hello.txt"]), "hello\n");
    assert_eq!(curl(&["--write-out", "%{http_code}", "--output", "/dev/null", "@/moved"]), "301");
    assert_eq!(curl(&["--write-out", "%{http_code}", "--output", "/dev/null", "@/../etc/passwd"]), "400");
    assert_eq!(curl(&["@/hello.txt", "@/hello.txt", "--write-out", "%{num_connects}"]), "hello\n1hello\n0");
}
