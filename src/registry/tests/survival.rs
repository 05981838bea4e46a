//! What a restart finds.

use axum::http::StatusCode;

use super::*;

/// Waits until the snapshot at `path` holds all of `texts`.
async fn kept(path: &Path, texts: &[&str]) -> String {
    let look = async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if texts.iter().all(|wanted| text.contains(wanted)) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, look).await.expect("the snapshot is not written")
}

#[tokio::test]
async fn a_restart_begins_with_the_last_good_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (file, snapshot) = (folder.path().join("services.json"), folder.path().join("store/registry.json"));
    write(&file, &["filed"]);
    let server = Server::start().await;
    server.lists("/list", &list(&["listed"]));
    let sources = vec![SourceConfig::File(file.clone()), over_http(&server)];
    let config = Config { snapshot: Some(snapshot.clone()), ..config(sources) };
    let mut first = Watched::new(config.clone());
    first.until_ids(&["filed", "listed"]).await;
    kept(&snapshot, &["filed", "listed"]).await;
    drop(first);

    std::fs::remove_file(&file).unwrap();
    server.refuses("/list", StatusCode::INTERNAL_SERVER_ERROR);
    let second = Watched::new(config);
    let merged = second.published.borrow()[0].clone();
    assert_eq!(ids(&merged), ["filed", "listed"]);
    assert!(merged.settled(), "a list from the snapshot counts as an answer");
    let [file, http] = &second.registry.status()[..] else { panic!() };
    assert!(file.failing && file.last_error.as_ref().unwrap().text.contains("cannot read it"), "{file:?}");
    assert!(http.answered && http.last_success.is_some(), "{http:?}");
    second.registry.refresh_now().await;
    assert_eq!(ids(&second.registry.merged()), ["filed", "listed"]);
    server.gives("/list", "[]");
    second.registry.refresh_now().await;
    assert_eq!(ids(&second.registry.merged()), ["filed", "listed"], "full before the restart counts as full");
}

#[tokio::test]
async fn a_list_from_the_snapshot_passes_the_guard_again() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("registry.json");
    let server = Server::start().await;
    server.lists("/list", &list(&["alpha", "beta", "gamma"]));
    let config = Config { snapshot: Some(snapshot.clone()), ..config(vec![over_http(&server)]) };
    let mut first = Watched::new(config.clone());
    first.until_ids(&["alpha", "beta", "gamma"]).await;
    let text = kept(&snapshot, &["gamma"]).await;
    drop(first);
    let text = text
        .replace("https://alpha.example", "http://127.0.0.1:9")
        .replace("https://beta.example", "https://api.chitty.cc");
    std::fs::write(&snapshot, text).unwrap();
    server.refuses("/list", StatusCode::INTERNAL_SERVER_ERROR);
    let second = Watched::new(config);
    let merged = second.published.borrow()[0].clone();
    assert_eq!(ids(&merged), ["gamma"]);
    let reasons: Vec<_> = merged.rejected[0].1.iter().map(|one| one.reason.as_str()).collect();
    assert!(reasons[0].contains("loopback") && reasons[1] == "its base URL is this gateway", "{reasons:?}");
}

#[tokio::test]
async fn a_damaged_snapshot_is_put_aside_and_the_lists_are_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("registry.json");
    std::fs::write(&snapshot, "{").unwrap();
    let server = Server::start().await;
    server.lists("/list", &list(&["listed"]));
    let mut watched = Watched::new(Config { snapshot: Some(snapshot.clone()), ..config(vec![over_http(&server)]) });
    assert!(!watched.published.borrow()[0].settled());
    watched.until_ids(&["listed"]).await;
    kept(&snapshot, &["listed"]).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("registry.json.damaged")).unwrap(), "{");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_costs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let server = Server::start().await;
    server.lists("/list", &list(&["listed"]));
    let snapshot = Some(blocked.join("registry.json"));
    let mut watched = Watched::new(Config { snapshot, ..config(vec![over_http(&server)]) });
    watched.until_ids(&["listed"]).await;
}
