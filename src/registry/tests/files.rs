//! File sources: what is read, and that changes are seen however they are made.

use super::*;

fn from(path: &Path) -> Watched {
    Watched::new(config(vec![SourceConfig::File(path.to_path_buf())]))
}

/// Follows `path` through `steps`: a change, and the ids that must be published after it.
async fn follows(path: &Path, steps: &[(&dyn Fn(), &[&str])]) {
    let mut watched = from(path);
    for (change, wanted) in steps {
        change();
        watched.until_ids(wanted).await;
    }
}

#[tokio::test]
async fn a_file_is_followed_however_it_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.json");
    let beside = folder.path().join("services.json.new");
    write(&path, &["one"]);
    follows(
        &path,
        &[
            (&|| {}, &["one"]),
            (&|| write(&path, &["two"]), &["two"]),
            (
                &|| {
                    write(&beside, &["three", "four"]);
                    std::fs::rename(&beside, &path).unwrap();
                },
                &["three", "four"],
            ),
            (
                &|| {
                    std::fs::remove_file(&path).unwrap();
                    write(&path, &["five"]);
                },
                &["five"],
            ),
            (&|| std::fs::write(&path, "[]").unwrap(), &[]),
            (&|| write(&path, &["six"]), &["six"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_config_map_that_swaps_its_link_is_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, id) in [("v1", "one"), ("v2", "two")] {
        std::fs::create_dir(at(version)).unwrap();
        write(&at(version).join("services.json"), &[id]);
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/services.json", at("services.json")).unwrap();
    let swap = || {
        symlink("v2", at("..new")).unwrap();
        std::fs::rename(at("..new"), at("..data")).unwrap();
    };
    follows(&at("services.json"), &[(&|| {}, &["one"]), (&swap, &["two"])]).await;
}

#[tokio::test]
async fn a_file_that_is_missing_or_wrong_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.json");
    write(&path, &["one"]);
    let watched = from(&path);
    for (break_it, what) in [
        (&(|| std::fs::write(&path, "{").unwrap()) as &dyn Fn(), "not JSON"),
        (&|| std::fs::write(&path, "{}").unwrap(), "JSON but no list"),
        (&|| std::fs::remove_file(&path).unwrap(), "cannot read it: No such file"),
        (&|| std::fs::create_dir(&path).unwrap(), "cannot read it: Is a directory"),
    ] {
        break_it();
        watched.registry.refresh_now().await;
        assert_eq!(ids(&watched.registry.merged()), ["one"]);
        let status = watched.registry.status().remove(0);
        assert!(status.failing && status.last_error.as_ref().unwrap().text.contains(what), "{what}: {status:?}");
    }
    assert!(watched.refreshes("failure") >= 4.0);
    std::fs::remove_dir(&path).unwrap();
    write(&path, &["two"]);
    watched.registry.refresh_now().await;
    assert_eq!(ids(&watched.registry.merged()), ["two"]);
    assert!(!watched.registry.status()[0].failing);
}

#[tokio::test]
async fn a_file_that_is_missing_at_the_start_is_found_when_it_appears() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("services.json");
    let mut watched = from(&path);
    assert!(watched.registry.settled(), "it has failed once");
    write(&path, &["one"]);
    watched.until_ids(&["one"]).await;
}

#[tokio::test]
async fn where_nothing_is_seen_the_slow_look_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not-yet/services.json");
    let mut config = config(vec![SourceConfig::File(path.clone())]);
    config.refresh = Duration::from_millis(10);
    let mut watched = Watched::new(config);
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    write(&path, &["one"]);
    watched.until_ids(&["one"]).await;
}

#[tokio::test]
async fn json_files_are_trusted_and_yaml_files_hold_services() {
    let folder = tempfile::tempdir().unwrap();
    let (json, yaml) = (folder.path().join("list.JSON"), folder.path().join("list.yml"));
    std::fs::write(&json, r#"{"tools": [{"name": "local", "url": "http://127.0.0.1:9"}]}"#).unwrap();
    let text = "services:\n  - {id: own, aliases: [mine], endpoints: ['http://10.0.0.1:9001']}\n  - {id: UP.PER}\n  \
                - {id: x, endpont: y}\n  - {id: api}\n  - {id: loop, endpoints: ['https://connect.chitty.cc']}\n";
    std::fs::write(&yaml, text).unwrap();
    let watched = Watched::new(config(vec![SourceConfig::File(json), SourceConfig::File(yaml)]));
    let merged = watched.registry.merged();
    assert_eq!(ids(&merged), ["local", "own"]);
    assert!(merged.services.iter().all(|service| service.trusted && service.endpoints.len() == 1));
    let rejected = &merged.rejected[0].1;
    assert_eq!(rejected.len(), 4, "{rejected:?}");
}

#[test]
fn what_is_no_list_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, what) in [
        ("a.txt", "[]", "neither .json nor .yaml or .yml"),
        ("a", "[]", "neither .json nor .yaml or .yml"),
        ("a.yaml", "[]", "a.yaml:1:1: found a list; accepted: a section"),
        ("a.yaml", "services: 7", "a.yaml:1:11: services:"),
        ("a.yaml", "services: []\nother: 1", "a.yaml:2:1: other:"),
        ("a.json", "", "it is empty"),
        ("a.yaml", " \n", "it is empty"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let registry =
            Registry::new(config(vec![SourceConfig::File(path)]), context(), Arc::new(Metrics::new().unwrap()));
        let status = registry.status().remove(0);
        assert!(status.last_error.as_ref().unwrap().text.contains(what), "{name}: {status:?}");
        assert!(registry.settled() && registry.merged().services.is_empty());
    }
}
