use std::convert::Infallible;
use std::path::Path;

use ::http::StatusCode;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::registry::document::tests::context;
use crate::registry::tests::server::{Server, redirect};

fn config(server: &Server, paths: &[&str]) -> HttpConfig {
    HttpConfig {
        url: server.url.clone(),
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        token_file: None,
        timeout: Duration::from_secs(20),
        max_bytes: 100_000,
        allowed_networks: Vec::new(),
    }
}

fn source(config: HttpConfig) -> HttpSource {
    HttpSource::new(config, &context(), false).unwrap()
}

fn alpha() -> Value {
    json!({"services": [{"id": "alpha", "url": "https://alpha.example"}]})
}

/// The ids of a list; `unchanged` for 304.
async fn ids(source: &mut HttpSource) -> String {
    match source.fetch().await.unwrap() {
        Fetched::Unchanged => "unchanged".to_owned(),
        Fetched::List(list) => {
            list.declarations.iter().map(|one| one.id.as_ref().unwrap().as_str()).collect::<Vec<_>>().join(" ")
        }
    }
}

async fn failure(source: &mut HttpSource) -> String {
    crate::registry::source::describe(&source.fetch().await.unwrap_err())
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/registry").join(name)).unwrap()
}

#[tokio::test]
async fn the_first_path_with_a_list_wins_each_time() {
    let server = Server::start().await;
    server.gives("/b", "<!DOCTYPE html>");
    server.lists("/c", &alpha());
    server.lists("/d", &json!([]));
    let mut source = source(config(&server, &["/a", "/b", "/c", "/d"]));
    assert_eq!(ids(&mut source).await, "alpha");
    assert_eq!(server.paths_asked(), ["/a", "/b", "/c"]);
    server.lists("/a", &json!([{"id": "beta"}]));
    assert_eq!(ids(&mut source).await, "beta");
    assert_eq!(server.paths_asked(), ["/a"]);
}

#[tokio::test]
async fn where_the_list_was_only_404_means_that_it_has_moved() {
    let server = Server::start().await;
    server.lists("/b", &alpha());
    let mut source = source(config(&server, &["/a", "/b", "/c"]));
    ids(&mut source).await;
    server.asked();
    server.refuses("/b", StatusCode::INTERNAL_SERVER_ERROR);
    server.lists("/c", &json!([{"id": "beta"}]));
    assert!(failure(&mut source).await.contains("/b: answered 500"));
    assert_eq!(server.paths_asked(), ["/a", "/b"]);
    server.refuses("/b", StatusCode::NOT_FOUND);
    assert_eq!(ids(&mut source).await, "beta");
    assert_eq!(server.paths_asked(), ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn an_error_says_what_every_path_gave_and_what_is_accepted() {
    let server = Server::start().await;
    server.gives("/b", "<!DOCTYPE html><title>hi</title>");
    server.gives("/c", r#"{"error": "Endpoint not found"}"#);
    server.refuses("/d", StatusCode::UNAUTHORIZED);
    server.refuses("/e", StatusCode::NO_CONTENT);
    let error = failure(&mut source(config(&server, &["/a", "/b", "/c", "/d", "/e"]))).await;
    for part in [
        format!("{} gave no list", public_url(&server.url)).as_str(),
        "/a: not here (404)",
        "/b: 200 with not JSON, it begins with `<!DOCTYPE html>",
        "/c: 200 with JSON but no list: an object with `error`",
        "/d: answered 401 Unauthorized; no token_file is configured",
        "/e: answered 204",
        "accepted: 200 with one of the lists",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(failure(&mut source(config(&server, &[]))).await.contains("no paths are configured"));
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let server = Server::start().await;
    server.on("/a", |asked| match asked.header("if-none-match") {
        Some("\"1\"") => StatusCode::NOT_MODIFIED.into_response(),
        _ => ([("etag", "\"1\"")], alpha().to_string()).into_response(),
    });
    let mut source = source(config(&server, &["/x", "/a"]));
    assert_eq!(ids(&mut source).await, "alpha");
    assert_eq!(ids(&mut source).await, "unchanged");
    let asked = server.asked();
    assert_eq!(
        asked.iter().map(|asked| asked.header("if-none-match")).collect::<Vec<_>>(),
        [None, None, None, Some("\"1\"")]
    );
    server.on("/a", |asked| (asked.header("if-none-match") == Some("\"1\"")).to_string().into_response());
    server.lists("/x", &alpha());
    assert_eq!(ids(&mut source).await, "alpha");
    assert_eq!(server.asked()[0].header("if-none-match"), None, "the tag belongs to the other path");
}

#[tokio::test]
async fn unchanged_is_no_answer_to_whoever_knows_nothing() {
    let server = Server::start().await;
    server.refuses("/a", StatusCode::NOT_MODIFIED);
    assert!(failure(&mut source(config(&server, &["/a"]))).await.contains("/a: answered 304"));
}

#[tokio::test]
async fn an_empty_list_is_not_believed_after_a_full_one() {
    let server = Server::start().await;
    server.on("/a", |_| ([("etag", "\"1\"")], "[]").into_response());
    let mut source = source(config(&server, &["/a"]));
    assert_eq!(ids(&mut source).await, "");
    server.lists("/a", &alpha());
    assert_eq!(ids(&mut source).await, "alpha");
    for empty in ["[]", r#"[{"id": "api"}]"#] {
        server.on("/a", move |_| ([("etag", "\"2\"")], empty).into_response());
        let error = source.fetch().await.unwrap_err();
        assert!(matches!(error, HttpError::Emptied { .. }), "{error:?}");
    }
    server.asked();
    server.lists("/a", &alpha());
    assert_eq!(ids(&mut source).await, "alpha");
    assert_eq!(server.asked()[0].header("if-none-match"), None, "the tag of what was refused is not kept");
    assert!(HttpSource::new(config(&server, &["/a"]), &context(), true).unwrap().full);
}

#[tokio::test]
async fn gzip_is_read_and_counts_as_what_it_becomes() {
    let server = Server::start().await;
    for (path, file) in [("/a", "list.json.gz"), ("/b", "blank.json.gz")] {
        server.on(path, move |_| ([("content-encoding", "gzip")], golden(file)).into_response());
    }
    assert_eq!(ids(&mut source(config(&server, &["/a"]))).await, "alpha");
    assert!(server.asked()[0].header("accept-encoding").unwrap().contains("gzip"));
    let error = failure(&mut source(config(&server, &["/b"]))).await;
    assert!(error.contains("/b: the answer is larger than max_bytes (100000)"), "{error}");
}

#[tokio::test]
async fn pages_are_followed_to_the_last_one() {
    let server = Server::start().await;
    server.on("/v0.1/servers", |asked| {
        let (page, next) = match asked.query.as_str() {
            "limit=2" => (json!([{"server": {"name": "x/one"}}, null]), json!("a b&c")),
            "limit=2&cursor=a+b%26c" => (json!([7, {"server": {"name": "x/two"}}]), json!("last")),
            "limit=2&cursor=last" => (json!([{"server": {"name": "x/three"}}]), Value::Null),
            other => panic!("{other}"),
        };
        let body = json!({"servers": page, "metadata": {"nextCursor": next}}).to_string();
        ([("etag", "\"1\"")], body).into_response()
    });
    let mut source = source(config(&server, &["/v0.1/servers?limit=2"]));
    let Fetched::List(list) = source.fetch().await.unwrap() else { panic!("unchanged") };
    assert_eq!(list.declarations.len(), 3);
    assert_eq!(list.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((list.entries, list.next_cursor), (5, None));
    assert_eq!(source.tag, None, "the tag of one page says nothing of the others");
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    let server = Server::start().await;
    let page = |next: &str| json!({"servers": [{"server": {"name": "x/one"}}], "metadata": {"nextCursor": next}});
    server.lists("/circle", &page("again"));
    server.on("/endless", move |asked| page(&format!("x{}", asked.query)).to_string().into_response());
    server.on("/half", move |asked| match asked.query.as_str() {
        "" => page("two").to_string().into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    });
    let error = failure(&mut source(config(&server, &["/circle"]))).await;
    assert!(error.contains("/circle: its pages come round again (cursor again)"), "{error}");
    let error = failure(&mut source(config(&server, &["/endless"]))).await;
    assert!(error.contains("/endless: the answer is larger than max_bytes"), "{error}");
    let error = failure(&mut source(config(&server, &["/half"]))).await;
    assert!(error.contains("/half: answered 500"), "half a list is no list: {error}");
}

#[tokio::test]
async fn the_token_is_read_for_every_refresh_and_never_shown() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut source = source(HttpConfig { token_file: Some(file.clone()), ..config(&server, &["/a"]) });
    assert!(failure(&mut source).await.contains("cannot read the token file"));
    for bad in ["", " \n", "two\nlines", "\u{7}bell"] {
        std::fs::write(&file, bad).unwrap();
        let error = failure(&mut source).await;
        assert!(error.contains("is empty, or holds what no header can carry"), "{error}");
        assert!(!error.contains("lines") && !error.contains("bell"), "{error}");
    }
    assert_eq!(server.asked().len(), 0, "nothing is asked without the token");
    for token in ["sesame-1", " sesame-2\n"] {
        std::fs::write(&file, token).unwrap();
        let error = failure(&mut source).await;
        assert_eq!(server.asked()[0].header("authorization"), Some(format!("Bearer {}", token.trim()).as_str()));
        assert!(!error.contains(token.trim()), "{error}");
    }
    server.refuses("/a", StatusCode::FORBIDDEN);
    assert!(failure(&mut source).await.contains("answered 403 Forbidden to the token of token_file"));
    assert!(!format!("{source:?}").contains("sesame"));
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let server = Server::start().await;
    let other = Server::start().await;
    other.lists("/list", &alpha());
    server.lists("/list", &alpha());
    let elsewhere = other.url.join("/list").unwrap();
    server.on("/here", |_| redirect("/list"));
    server.on("/there", move |_| redirect(elsewhere.as_str()));
    server.on("/round", |_| redirect("/round"));
    assert_eq!(ids(&mut source(config(&server, &["/here"]))).await, "alpha");
    let error = failure(&mut source(config(&server, &["/there", "/round"]))).await;
    assert!(error.contains(&format!("/there: redirects to another place ({}list)", other.url)), "{error}");
    assert!(error.contains("/round: redirects to another place (/round)"), "{error}");
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn whatever_comes_is_an_error_at_worst() {
    let server = Server::start().await;
    let endless = || Body::from_stream(stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[b' '; 1024]))));
    server.on("/endless", move |_| endless().into_response());
    server.on("/huge", |_| vec![b' '; 100_001].into_response());
    server.gives("/half", &b"[{\"id\": \"a\""[..]);
    server.gives("/binary", (0..=255).collect::<Vec<u8>>());
    server.gives("/nothing", "");
    server.gives("/deep", "[".repeat(50_000));
    server.on("/not-gzip", |_| ([("content-encoding", "gzip")], "[]").into_response());
    for (path, what) in [
        ("/endless", "larger than max_bytes"),
        ("/huge", "larger than max_bytes"),
        ("/half", "not JSON"),
        ("/binary", "not JSON"),
        ("/nothing", "not JSON, nothing at all"),
        ("/deep", "recursion limit"),
        ("/not-gzip", "the answer broke off"),
        ("bad path", "not here (404)"),
    ] {
        let error = failure(&mut source(config(&server, &[path]))).await;
        assert!(error.contains(what), "{path}: {error}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_list() {
    for (answer, what) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[]", "the answer broke off"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n", "the answer broke off"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "no answer"),
        ("\0\x01\x02 what is this\r\n\r\n", "no answer"),
        ("", "no answer"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // Whole requests are read, lest closing the socket resets it before the answer is through.
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        };
        let server = Server::start().await;
        let mut source = source(HttpConfig { url, ..config(&server, &["/a"]) });
        let error = tokio::select! { error = failure(&mut source) => error, () = serve => unreachable!() };
        assert!(error.contains(&format!("/a: {what}")), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn a_registry_that_does_not_come_to_an_end_is_given_up() {
    let server = Server::start().await;
    let stuck = |head: &'static str| {
        let head = stream::iter([Ok::<_, Infallible>(Bytes::from_static(head.as_bytes()))]);
        Response::new(Body::from_stream(head.chain(stream::pending())))
    };
    server.on("/stuck", move |_| stuck("["));
    let short = Duration::from_millis(50);
    let mut source = source(HttpConfig { timeout: short, ..config(&server, &["/stuck", "/b"]) });
    let error = failure(&mut source).await;
    assert!(error.ends_with("gave no list within 50ms"), "{error}");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_tried_once() {
    let server = Server::start().await;
    let mut config = config(&server, &["/a", "/b"]);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.url = Url::parse(&format!("http://user:secret@{}/x/", closed.local_addr().unwrap())).unwrap();
    drop(closed);
    let error = failure(&mut source(config)).await;
    assert!(error.contains("/a: cannot be reached") && !error.contains("/b:"), "{error}");
    assert!(!error.contains("secret") && !error.contains("user"), "{error}");
}

#[tokio::test]
async fn what_a_registry_names_passes_the_guard() {
    let server = Server::start().await;
    server.lists("/a", &json!([{"id": "a", "url": "http://127.0.0.1:1"}, {"id": "b", "url": "http://10.0.0.1"}]));
    assert_eq!(ids(&mut source(config(&server, &["/a"]))).await, "");
    let allowed_networks = vec!["10.0.0.0/8".parse().unwrap()];
    assert_eq!(ids(&mut source(HttpConfig { allowed_networks, ..config(&server, &["/a"]) })).await, "b");
}

#[test]
fn paths_stand_behind_the_path_of_the_registry() {
    for (base, path, url) in [
        ("https://r.example", "/api/services", "https://r.example/api/services"),
        ("https://r.example/", "api/services", "https://r.example/api/services"),
        ("https://r.example/registry/?x#y", "/list?category=a", "https://r.example/registry/list?category=a"),
        ("https://r.example", "//evil.example/x", "https://r.example/evil.example/x"),
        ("https://r.example", "@evil.example", "https://r.example/@evil.example"),
    ] {
        assert_eq!(list_url(&Url::parse(base).unwrap(), path).unwrap().as_str(), url);
    }
}

#[test]
fn a_registry_is_shown_without_credentials() {
    for (url, shown) in [
        ("https://registry.chitty.cc", "https://registry.chitty.cc"),
        ("https://user:secret@registry.chitty.cc:8443/x/?token=y#z", "https://registry.chitty.cc:8443/x"),
        ("http://[::1]:80/", "http://[::1]"),
    ] {
        assert_eq!(public_url(&Url::parse(url).unwrap()), shown);
    }
}
