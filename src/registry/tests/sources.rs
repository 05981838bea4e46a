//! What is published when.

use axum::http::StatusCode;

use super::*;

#[tokio::test]
async fn the_first_list_is_published_at_once_with_files_and_static_services() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.json");
    write(&path, &["filed"]);
    let server = Server::start().await;
    server.lists("/list", &list(&["listed"]));
    let mut config = config(vec![SourceConfig::File(path.clone()), over_http(&server)]);
    config.services = vec![service("own")];
    let mut watched = Watched::new(config);
    let first = watched.published.borrow()[0].clone();
    assert_eq!(ids(&first), ["filed", "own"]);
    assert!(!first.settled());
    let settled = watched.until_ids(&["filed", "listed", "own"]).await;
    assert!(settled.settled() && watched.registry.settled());
    let names: Vec<_> = watched.registry.status().into_iter().map(|source| source.name.to_string()).collect();
    assert_eq!(
        names,
        [format!("file:{}", path.display()), format!("http:{}", server.url).trim_end_matches('/').into()]
    );
}

#[tokio::test]
async fn without_sources_everything_is_settled() {
    let watched = Watched::new(Config { services: vec![service("own")], ..config(Vec::new()) });
    assert_eq!(ids(&watched.registry.merged()), ["own"]);
    assert!(watched.registry.settled() && watched.registry.status().is_empty());
    watched.registry.refresh_now().await;
    assert_eq!(watched.published.borrow().len(), 1);
}

#[tokio::test]
async fn a_source_that_fails_settles_too_and_that_is_published() {
    let server = Server::start().await;
    server.refuses("/list", StatusCode::INTERNAL_SERVER_ERROR);
    let mut watched = Watched::new(config(vec![over_http(&server)]));
    watched.until(Merged::settled).await;
    let [status] = &watched.registry.status()[..] else { panic!() };
    assert!(status.failing && status.answered && !status.stale && status.last_success.is_none());
    assert!(status.last_error.as_ref().unwrap().text.contains("/list: answered 500"), "{status:?}");
    assert!(watched.refreshes("failure") >= 1.0);
}

#[tokio::test]
async fn a_refresh_on_demand_ends_when_the_new_list_is_published() {
    let server = Server::start().await;
    server.lists("/list", &list(&["one"]));
    let mut watched = Watched::new(config(vec![over_http(&server)]));
    watched.until_ids(&["one"]).await;
    server.lists("/list", &list(&["one", "two"]));
    watched.registry.refresh_now().await;
    assert_eq!(ids(&watched.registry.merged()), ["one", "two"]);
    assert_eq!(ids(watched.published.borrow().last().unwrap()), ["one", "two"]);
    let published = watched.published.borrow().len();
    watched.registry.refresh_now().await;
    assert_eq!(watched.published.borrow().len(), published, "nothing changed, so nothing is published");
    assert!((watched.refreshes("success") - 3.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn the_last_good_list_outlives_failures_and_empty_lists() {
    let server = Server::start().await;
    server.lists("/list", &list(&["one"]));
    let mut watched = Watched::new(config(vec![over_http(&server)]));
    watched.until_ids(&["one"]).await;
    assert!(!watched.registry.status()[0].stale);
    for (body, outcome) in [("[]", "refused"), ("nonsense", "failure"), (r#"{"services": 7}"#, "failure")] {
        server.gives("/list", body);
        let before = watched.refreshes(outcome);
        watched.registry.refresh_now().await;
        assert!(watched.refreshes(outcome) > before, "{body}");
        let status = watched.registry.status().remove(0);
        assert!(status.failing && status.entries == 1 && status.last_error.is_some(), "{body}: {status:?}");
        assert_eq!(ids(&watched.registry.merged()), ["one"], "{body}");
    }
    server.lists("/list", &list(&["two"]));
    watched.registry.refresh_now().await;
    assert_eq!(ids(&watched.registry.merged()), ["two"]);
    let status = watched.registry.status().remove(0);
    assert!(!status.failing && status.last_error.is_some(), "the last error stays to be read: {status:?}");
}

#[tokio::test]
async fn a_list_older_than_the_limit_is_stale() {
    let server = Server::start().await;
    server.lists("/list", &list(&["one"]));
    let mut watched = Watched::new(Config { stale_after: Duration::ZERO, ..config(vec![over_http(&server)]) });
    watched.until_ids(&["one"]).await;
    assert!(watched.registry.status()[0].stale);
}

#[tokio::test]
async fn a_reload_leaves_unchanged_sources_alone() {
    let (kept, changed, gone) = (Server::start().await, Server::start().await, Server::start().await);
    kept.lists("/list", &list(&["kept"]));
    changed.lists("/list", &list(&["changed"]));
    gone.lists("/list", &list(&["gone"]));
    let mut watched = Watched::new(config(vec![over_http(&kept), over_http(&changed), over_http(&gone)]));
    watched.until_ids(&["kept", "changed", "gone"]).await;
    kept.asked();
    changed.refuses("/list", StatusCode::INTERNAL_SERVER_ERROR);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.json");
    write(&path, &["filed"]);
    let SourceConfig::Http(mut other) = over_http(&changed) else { panic!() };
    other.max_bytes += 1;
    let sources = vec![SourceConfig::File(path), SourceConfig::Http(other), over_http(&kept)];
    watched.registry.reload(Config { services: vec![service("own")], ..config(sources) }).await;
    let merged = watched.registry.merged();
    assert_eq!(ids(&merged), ["filed", "changed", "kept", "own"], "a changed source keeps its list until it answers");
    assert!(merged.settled());
    assert_eq!(kept.asked().len(), 0);
    watched.registry.refresh_now().await;
    assert_eq!(ids(&watched.registry.merged()), ["filed", "changed", "kept", "own"]);
    assert_eq!(kept.asked().len(), 1);
}

#[tokio::test]
async fn a_list_that_is_kept_over_a_reload_passes_the_new_guard() {
    let server = Server::start().await;
    server.lists("/list", &json!([{"id": "a", "url": "http://10.0.0.1"}, {"id": "b", "url": "https://b.example"}]));
    let SourceConfig::Http(strict) = over_http(&server) else { panic!() };
    let open = HttpConfig { allowed_networks: vec!["10.0.0.0/8".parse().unwrap()], ..strict.clone() };
    let mut watched = Watched::new(config(vec![SourceConfig::Http(open)]));
    watched.until_ids(&["a", "b"]).await;
    server.refuses("/list", StatusCode::INTERNAL_SERVER_ERROR);
    watched.registry.reload(config(vec![SourceConfig::Http(strict)])).await;
    assert_eq!(ids(&watched.registry.merged()), ["b"]);
    assert_eq!(watched.registry.merged().rejected[0].1[0].id.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_source_that_is_named_twice_counts_once() {
    let server = Server::start().await;
    server.lists("/list", &list(&["one"]));
    let mut watched = Watched::new(config(vec![over_http(&server), over_http(&server)]));
    watched.until_ids(&["one"]).await;
    assert_eq!(watched.registry.status().len(), 1);
}

#[tokio::test]
async fn dropping_the_registry_ends_its_tasks() {
    let server = Server::start().await;
    server.lists("/list", &list(&["one"]));
    let mut watched = Watched::new(config(vec![over_http(&server)]));
    watched.until_ids(&["one"]).await;
    let Watched { registry, mut published, .. } = watched;
    drop(registry);
    let ended = async { while published.changed().await.is_ok() {} };
    tokio::time::timeout(DEADLINE, ended).await.expect("the publisher is still held");
}
