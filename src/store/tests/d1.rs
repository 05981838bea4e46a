//! The original's tables, from its own schema.

use std::fs;
use std::path::{Path, PathBuf};

use super::{all_of, chitty, open, session};
use crate::model::task::{Priority, Status};
use crate::store::Engine;
use crate::store::transfer::d1::{BadRows, D1, D1Error, Position};
use crate::store::transfer::merge::Merged;
use crate::store::{Store, TaskQuery, TaskStore, Upkeep};

/// What `wrangler d1 export` writes of a small database.
pub(super) const DUMP: &str = r#"PRAGMA defer_foreign_keys=TRUE;
-- Made by an export; it isn't ours.
CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL);
INSERT INTO "d1_migrations" VALUES(1,'context_tasks','2025-01-01 00:00:00');
CREATE TABLE context_files (
  id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  chitty_id TEXT NOT NULL,
  file_uri TEXT NOT NULL, -- r2://{key}; or resource://
  file_name TEXT,
  file_size INTEGER,
  sha256 TEXT,
  mime_type TEXT,
  is_active INTEGER DEFAULT 1,
  last_accessed INTEGER NOT NULL,
  synced_at INTEGER NOT NULL,
  metadata TEXT,
  UNIQUE(session_id, file_uri)
);
INSERT INTO "context_files" VALUES('11111111-1111-4111-8111-111111111111','s','alice','r2://files/s/x','x.txt',12,NULL,'text/plain',0,1767323045,1767323000,'{"a":1}');
CREATE TABLE context_tasks (
  task_id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  chitty_id TEXT NOT NULL,
  task_type TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending' CHECK(status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
  title TEXT NOT NULL,
  description TEXT,
  priority TEXT DEFAULT 'normal' CHECK(priority IN ('low', 'normal', 'high', 'urgent')),
  assigned_service TEXT,
  parent_task_id TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  started_at INTEGER,
  completed_at INTEGER,
  metadata TEXT,
  result TEXT,
  error TEXT,
  FOREIGN KEY (parent_task_id) REFERENCES context_tasks(task_id) ON DELETE CASCADE
);
INSERT INTO "context_tasks" VALUES('22222222-2222-4222-8222-222222222222','s','alice','user_request','completed','42.0',replace('two\nlines; it''s','\n',char(10)),'urgent','chittyid',NULL,1767323045,1767323046,1767323045,1767323046,'{}','plain text',NULL);
INSERT INTO "context_tasks" VALUES('33333333-3333-4333-8333-333333333333','s','alice','user_request','pending','child','',NULL,NULL,'22222222-2222-4222-8222-222222222222',1767323045,1767323047,NULL,NULL,NULL,'{"ok":true}',NULL);
INSERT INTO "context_tasks" VALUES('44444444-4444-4444-8444-444444444444','unknown','unknown','t','pending','of nobody',NULL,'low',NULL,NULL,1767323045,1767323045,NULL,NULL,'{}',NULL,'e');
CREATE TABLE sync_events (
  event_id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  source TEXT NOT NULL,
  items_count INTEGER DEFAULT 0,
  bytes_synced INTEGER DEFAULT 0,
  status TEXT DEFAULT 'success',
  error_message TEXT,
  synced_at INTEGER NOT NULL,
  metadata TEXT
);
INSERT INTO "sync_events" VALUES('55555555-5555-4555-8555-555555555555','s','file_sync','rclone',3,0,'success',NULL,1767323045,'{"path_prefix":"docs"}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('d1_migrations',1);
CREATE INDEX idx_context_tasks_session ON context_tasks(session_id, status, updated_at DESC);
"#;

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("dump.sql");
    fs::write(&path, text).unwrap();
    path
}

async fn merged(store: &impl Upkeep, d1: &mut D1) -> Merged {
    let mut merging = store.begin_merge().await.unwrap();
    let (mut position, mut merged) = (Position::default(), Merged::default());
    while let Some(rows) = d1.rows(&mut position).unwrap() {
        merged = merged.and(store.merge(&mut merging, rows).await.unwrap());
    }
    merged
}

fn counts(merged: Merged) -> [(u64, u64); 3] {
    [merged.tasks, merged.context_files, merged.sync_events].map(|count| (count.imported, count.skipped))
}

#[tokio::test]
async fn a_dump_and_the_database_itself_give_the_same_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("d1.sqlite");
    rusqlite::Connection::open(&database).unwrap().execute_batch(DUMP).unwrap();
    let store = open(Engine::Sled, folder.path());
    let mut from_dump = D1::open(&file(folder.path(), DUMP), None).unwrap();
    assert_eq!(from_dump.check().unwrap(), BadRows::default());
    assert_eq!(counts(merged(&store, &mut from_dump).await), [(3, 0), (1, 0), (1, 0)]);
    let mut from_database = D1::open(&database, None).unwrap();
    assert_eq!(counts(merged(&store, &mut from_database).await), [(0, 3), (0, 1), (0, 1)]);
    assert_eq!(store.verify().unwrap().findings, [""; 0]);

    let tasks = store.list_tasks(all_of("alice")).await.unwrap().tasks;
    let [child, parent] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!((parent.title.as_str(), parent.status, parent.priority), ("42.0", Status::Completed, Priority::Urgent));
    assert_eq!(parent.description.as_deref(), Some("two\nlines; it's"));
    assert_eq!(parent.result.as_ref().unwrap().text(), "\"plain text\"");
    assert_eq!(parent.completed_at.unwrap().to_string(), "2026-01-02T03:04:06.000Z");
    assert_eq!((child.parent_task_id, child.priority), (Some(parent.task_id), Priority::Normal));
    assert_eq!((child.description.as_deref(), child.result.as_ref().unwrap().text()), (None, "{\"ok\":true}"));
    let unknown = TaskQuery { chitty_id: chitty("unknown"), session_id: session("unknown"), ..all_of("alice") };
    assert_eq!(store.list_tasks(unknown).await.unwrap().tasks.len(), 1);
    let export = super::transfer::exported(&store).await;
    let of = |kind: &str| export.lines().find(|line| line.starts_with(&format!("{{\"kind\":\"{kind}\""))).unwrap();
    for (kind, words) in [
        ("context_file", &["r2://files/s/x", "\"active\":false", "\"size\":12", "\"metadata\":{\"a\":1}"][..]),
        ("sync_event", &["\"chitty_id\":\"alice\"", "\"count\":3", "file_sync", "{\"path_prefix\":\"docs\"}"]),
    ] {
        assert!(words.iter().all(|word| of(kind).contains(word)), "{}", of(kind));
    }
    store.close().await;
}

#[test]
fn rows_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let id = "66666666-6666-4666-8666-66666666666";
    let row = |number: u8, session: &str, status: &str, created: &str| {
        format!(
            "INSERT INTO context_tasks VALUES('{id}{number}','{session}','bob','t','{status}','x',NULL,'low',NULL,NULL,\
             {created},1,NULL,NULL,NULL,NULL,NULL);\n"
        )
    };
    let lenient = DUMP.replace(" CHECK(status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled'))", "");
    let more = [
        row(1, "s/../t", "pending", "1"),
        row(2, "t", "done", "1"),
        row(3, "t", "pending", "'soon'"),
        row(4, "t", "pending", "1"),
        "INSERT INTO sync_events(event_id,session_id,event_type,source,synced_at) VALUES('77777777-7777-4777-8777-777777777777','nobodys','x','y',1);\n".to_owned(),
        "INSERT INTO context_files VALUES('not a uuid','s','alice','r2://b',NULL,NULL,NULL,NULL,1,1,1,NULL);\n".to_owned(),
        format!("INSERT INTO context_tasks VALUES('{id}5','t','bob','t','pending','{}',NULL,'low',NULL,NULL,1,1,NULL,NULL,NULL,NULL,NULL);\n", "x".repeat(2 << 20)),
    ];
    let mut d1 = D1::open(&file(folder.path(), &(lenient + &more.concat())), None).unwrap();
    let bad = d1.check().unwrap();
    let found: Vec<String> = bad.rows.iter().map(ToString::to_string).collect();
    let wanted = [
        ("context_tasks rowid 4: session_id: ", "not a session id"),
        ("context_tasks rowid 5: status: found \"done\"", "accepted: pending"),
        ("context_tasks rowid 6: created_at: ", "accepted: a time such as"),
        ("context_tasks rowid 8: found a task of", "accepted: 1 MiB"),
        ("context_files rowid 2: id: found \"not a uuid\"", "accepted: a UUID"),
        ("sync_events rowid 2: chitty_id: ", "--chitty-id"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (found, (begin, word)) in found.iter().zip(wanted) {
        assert!(found.starts_with(begin) && found.contains(word), "{found}");
    }
    let (mut position, mut rows) = (Position::default(), 0);
    while let Some(good) = d1.rows(&mut position).unwrap() {
        rows += String::from_utf8(good.lines().unwrap()).unwrap().lines().count();
    }
    assert_eq!(rows, 6);
    let mut d1 = D1::open(&folder.path().join("dump.sql"), Some(chitty("carol"))).unwrap();
    assert_eq!(d1.check().unwrap().count, 5, "the event of nobody's session is carol's");
}

#[test]
fn what_is_none_of_it_is_refused_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |text: &str| D1::open(&file(folder.path(), text), None).err().unwrap().to_string();
    assert!(refused("").contains("has none of the tables"));
    assert!(refused("CREATE TABLE x(y);").contains("has none of the tables"));
    assert!(refused("SQLite format 3\0 and junk").contains("as a SQLite database"));
    let wrong = format!("{DUMP}INSERT INTO context_tasks VALUES(1);\n");
    let line = DUMP.lines().count() + 1;
    assert!(refused(&wrong).contains(&format!("dump.sql:{line}: ")), "{}", refused(&wrong));
    let target = folder.path().join("made.sqlite");
    for evil in [
        format!("ATTACH DATABASE '{}' AS context_tasks;", target.display()),
        format!("VACUUM INTO '{}';", target.display()),
        "CREATE TABLE context_tasks AS SELECT * FROM sync_events, (SELECT randomblob(1000000000));".to_owned(),
        "INSERT INTO context_tasks SELECT load_extension('x'),1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1;".to_owned(),
        "INSERT INTO sync_events WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM r) SELECT x,1,1,1,1,1,1,1,1,1 FROM r;".to_owned(),
    ] {
        let opened = D1::open(&file(folder.path(), &format!("{DUMP}{evil}\n")), None);
        match opened {
            Ok(mut d1) => assert_eq!(d1.check().unwrap().count, 0, "{evil}: it was left out"),
            Err(error) => assert!(matches!(error, D1Error::Statement { .. }), "{evil}: {error}"),
        }
    }
    assert!(!target.exists());
}
