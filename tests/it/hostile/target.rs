//! Targets: which service, and which path of it?

use super::case::{After, Arrives, Case, HOST, get_target};
use super::run::run;
use crate::support::CONNECT;

const FORMS: &str = "9112 §3.2";
const PATH: &str = "3986 §3.3";
const DOTS: &str = "3986 §5.2.4";
const CHARACTERS: &str = "3986 §2";
/// A recipient should not mend a request line and go on (RFC 9112 §3.2).
const ENCODED: &str = "Pingora percent-encodes what no target may have, and goes on";
const USERINFO: &str = "9110 §4.2.4";

#[test]
fn hostile_forms_of_targets_are_refused() {
    let target = |rfc, target: &str| Case::new(target, rfc, get_target(target)).either();
    let mut cases: Vec<Case> = [
        "http://nope.example/x",
        "http://svc.chitty.test.nope.example/x",
        "http://small.chitty.test/x",
        "https://keyed.chitty.test/",
        "http://svc.chitty.test:81/x",
        "http://nope.example",
        "http://nope.example?x",
        "http:///x",
        "http://",
        "http:/x",
        "http:x",
        "http:\\\\svc.chitty.test/x",
        "http:/\\svc.chitty.test/x",
        "http://svc.chitty.test\\@nope.example/",
        "http://svc.chitty.test%2f@nope.example/",
        "ftp://svc.chitty.test/x",
        "file:///etc/passwd",
        "javascript:x",
        "ws://svc.chitty.test/x",
        "unix:/run/x.sock:/x",
        "svc.chitty.test",
        "svc.chitty.test:80",
        "svc.chitty.test/x",
        "x",
        "?x",
        "*",
        "@nope.example",
        "\\x",
        "\\\\nope.example\\x",
        "%2fx",
        ".",
        "..",
        "../x",
        "/x#y",
        "#",
        "/#/../..",
        "/x?y#z",
    ]
    .map(|t| target(FORMS, t))
    .to_vec();
    cases.extend(
        [
            "http://user@svc.chitty.test/x",
            "http://user:password@svc.chitty.test/x",
            "http://@svc.chitty.test/x",
            "http://svc.chitty.test@nope.example/x",
            "http://nope.example@svc.chitty.test/x",
            "http://svc.chitty.test:80@nope.example/",
        ]
        .map(|t| target(USERINFO, t)),
    );
    run(&cases);
}

#[test]
fn hostile_absolute_targets_are_of_one_host() {
    let absolute = |name: &str, line: &str, host: &str| Case::new(name, "9112 §3.2.2", format!("{line}\r\n{host}\r\n"));
    run(&[
        absolute("the same host", "GET http://svc.chitty.test/x HTTP/1.1", "Host: svc.chitty.test\r\n")
            .served()
            .line("GET /x HTTP/1.1"),
        absolute("without a path", "GET http://svc.chitty.test HTTP/1.1", "Host: svc.chitty.test\r\n")
            .served()
            .line("GET / HTTP/1.1"),
        absolute("with a query alone", "GET http://svc.chitty.test?x HTTP/1.1", "Host: svc.chitty.test\r\n")
            .served()
            .line("GET /?x HTTP/1.1"),
        absolute(
            "with a URL as its path",
            "GET http://svc.chitty.test/http://nope.example/ HTTP/1.1",
            "Host: svc.chitty.test\r\n",
        )
        .served()
        .line("GET /http://nope.example/ HTTP/1.1"),
        absolute("without a Host", "GET http://svc.chitty.test/x HTTP/1.1", "").either(),
        absolute("with an empty Host", "GET http://svc.chitty.test/x HTTP/1.1", "Host:\r\n").either(),
        absolute("another host", "GET http://nope.example/x HTTP/1.1", "Host: svc.chitty.test\r\n"),
        absolute("another Host", "GET http://svc.chitty.test/x HTTP/1.1", "Host: nope.example\r\n"),
        absolute("another service", "GET http://svc.chitty.test/x HTTP/1.1", "Host: keyed.chitty.test\r\n"),
        absolute(
            "two Hosts",
            "GET http://svc.chitty.test/x HTTP/1.1",
            "Host: svc.chitty.test\r\nHost: nope.example\r\n",
        ),
        absolute("in HTTP/1.0 without a Host", "GET http://svc.chitty.test/x HTTP/1.0", "")
            .status(&[200, 400, 404])
            .arrives(Arrives::AtMost(1)),
        // Names of hosts know no case: as one host or as two that differ.
        absolute("the host in upper case", "GET http://SVC.CHITTY.TEST/x HTTP/1.1", "Host: svc.chitty.test\r\n")
            .status(&[200, 400])
            .either()
            .status(&[200, 400])
            .arrives(Arrives::AtMost(1)),
    ]);
}

#[test]
fn hostile_looking_paths_reach_the_host_byte_for_byte() {
    let paths = [
        "/@x",
        "/a@b:c",
        "//",
        "//nope.example/x",
        "///x",
        "//svc.chitty.test/../x",
        "/a//b",
        "/a/./b",
        "/./a",
        "/a/../b",
        "/a/%2e%2E/b",
        "/a/%2e/b",
        "/a\\b",
        "/\\nope.example",
        "/\\\\x",
        "/a%2fb",
        "/a%5cb",
        "/%2f%2fnope.example",
        "/a%00b",
        "/%00",
        "/%0d%0aHost:%20x",
        "/%20",
        "/%7f",
        "/%80%ff",
        "/%c0%ae%c0%ae/x",
        "/%252e%252e/x",
        "/%u002e%u002e/x",
        "/%",
        "/%2",
        "/%zz",
        "/a/..;/b",
        "/..;/x",
        "/.;/x",
        "/a;../b",
        "/...",
        "/....//x",
        "/~root",
        "/a:80/x",
        "/x?../../y",
        "/x?a=/../..&b=%2e%2e/..%2f",
        "/x??",
        "/?",
        "/x?\\..\\",
        "/x?%00%0d%0a",
        "/http://nope.example/",
        "/.git/config",
        "/.env",
        "/|id",
        "//user@svc.chitty.test:x@/../..",
        "/$(id)",
        "/\"x\"",
        "/{x}",
        "/[x]",
        "/^x",
        "/a|b",
    ];
    run(&paths.map(|path| Case::new(path, PATH, get_target(path)).served().line(format!("GET {path} HTTP/1.1"))));
}

#[test]
fn hostile_paths_that_climb_are_refused() {
    let paths = [
        "/..",
        "/../",
        "/../x",
        "/../../etc/passwd",
        "/a/../../x",
        "/./../x",
        "/%2e%2e",
        "/%2e%2e/x",
        "/.%2e/x",
        "/%2E./x",
        "/%2e%2e%2f",
        "/%2e%2e%2fx",
        "/..%2f",
        "/..%2fx",
        "/..%2F..%2Fetc",
        "/a%2f..%2fx",
        "/a/..%2f..%2fx",
        "/..\\",
        "/..\\x",
        "/..%5c",
        "/..%5Cx",
        "/%2e%2e%5cx",
        "/a\\..\\x",
        "/a%5c..%5cx",
        "/..%00",
        "/..%00/x",
        "/.%00",
        "/.%2f",
        "/%2e%2f",
        "/%2f..",
        "/%5c..",
        "/a/..%00/b",
        "/..?x",
        "/../?x",
        "http://svc.chitty.test/..",
        "http://svc.chitty.test/../x",
        "http://svc.chitty.test/%2e%2e%2fx",
        "/..//x/../..",
    ];
    let mut cases: Vec<Case> = paths.map(|path| Case::new(path, DOTS, get_target(path)).either()).to_vec();
    cases.extend(paths.iter().filter(|path| path.starts_with('/')).map(|path| {
        let bytes = get_target(path).replace(HOST, CONNECT);
        Case::new(format!("{path} on the gateway's own host"), DOTS, bytes).either()
    }));
    run(&cases);
}

#[test]
fn hostile_prefixes_stay_below_their_service() {
    let prefixed = |target: &str| Case::new(target, DOTS, get_target(target).replace(HOST, CONNECT));
    let served = |target: &str, line: &str| prefixed(target).served().line(format!("GET {line} HTTP/1.1"));
    run(&[
        served("/svc/api/./x", "/api/x"),
        served("/svc/api/a/../b", "/api/b"),
        served("/svc/api/%2e%2e/mcp/x", "/mcp/x"),
        served("/off/../svc/api/x", "/api/x"),
        served("/svc/api//x", "/api//x"),
        served("/svc/api/a%2fb", "/api/a%2fb"),
        served("/svc/api/a%00b", "/api/a%00b"),
        served("/svc/api/..;/x", "/api/..;/x"),
        served("/svc/api/http://nope.example/", "/api/http://nope.example/"),
        served("/svc/api/@nope.example", "/api/@nope.example"),
        prefixed("/svc/api/../../../x").either(),
        prefixed("/svc/api/..%2f..%2fx").either(),
        prefixed("/svc/api/..%5c..%5cx").either(),
        prefixed("/svc/api/..\\..\\x").either(),
        prefixed("/svc/api/..%00/x").either(),
        prefixed("/svc/api/%2e%2e%2f%2e%2e%2fx").either(),
        prefixed("/svc%2fapi/x").status(&[400, 404]).after(After::Either),
        prefixed("/svc%00/api/x").status(&[400, 404]).after(After::Either),
        prefixed("/SVC/api/x").status(&[200, 404]).after(After::Either).arrives(Arrives::AtMost(1)),
        prefixed("/%73vc/api/x").status(&[400, 404]).after(After::Either),
        prefixed("//svc/api/x").status(&[400, 404]).after(After::Either),
        prefixed("/svc\\api\\x").status(&[400, 404]).after(After::Either),
        prefixed("/svc;x/api/x").status(&[400, 404]).after(After::Either),
        prefixed("/svc@nope/api/x").status(&[400, 404]).after(After::Either),
        prefixed("/off/api/x").status(&[503]).after(After::Either),
        prefixed("/off/api/../../off/api/x").status(&[503]).after(After::Either),
        prefixed("/keyed/api/../../keyed/api/x").status(&[401]).after(After::Either),
        prefixed("/svc/api/../../keyed/api/x").status(&[401]).after(After::Either),
    ]);
}

#[test]
fn hostile_controls_in_targets_are_refused() {
    let encoded = |name: &str, target: &str| Case::new(name, CHARACTERS, get_target(target)).either().finding(ENCODED);
    let mut cases: Vec<Case> = vec![
        encoded("NUL", "/a\0b"),
        encoded("a control", "/a\x01b"),
        encoded("a tab", "/a\tb"),
        encoded("a carriage return", "/a\rb"),
        encoded("an escape", "/a\x1bb"),
        encoded("DEL", "/a\x7fb"),
        encoded("NUL in the query", "/x?\0"),
        Case::new("angles", CHARACTERS, get_target("/<x>")),
        Case::new("backticks", CHARACTERS, get_target("/`id`")),
    ];
    let beyond = [b"GET /\xff\xfe HTTP/1.1\r\nHost: " as &[u8], HOST.as_bytes(), b"\r\n\r\n"].concat();
    cases.extend([
        Case::new("a letter beyond ASCII", CHARACTERS, get_target("/ä"))
            .either()
            .status(&[200, 400])
            .arrives(Arrives::AtMost(1)),
        Case::new("no UTF-8", CHARACTERS, beyond).either().status(&[200, 400]).arrives(Arrives::AtMost(1)),
        Case::new("NUL at the beginning", CHARACTERS, get_target("\0/x")).either(),
        Case::new("NUL alone", CHARACTERS, get_target("\0")).either(),
        Case::new("NUL in an absolute target", CHARACTERS, get_target("http://svc.chitty.test\0/x")).either(),
    ]);
    run(&cases);
}
