//! The formats as they are on people's disks: what was written once must be read for ever.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Write as _};

use crate::store::migration::m0001_context_sync::{
    CommitRecord, ContextFileRecord, EventRecord, FormatRecord, KeyRecord, OnceAnswer, OnceRecord, SessionRecord,
    SyncEventRecord, TaskPlaceRecord, TaskRecord,
};
use crate::store::migration::m0002_identity_and_registry::{ProjectRecord, RegistrationRecord, TrimmedRecord};
use crate::store::migration::m0003_files::{
    BucketRecord, PartRecord, PendingRecord, RowsRecord, StoredFileRecord, TokenUsedRecord, UploadRecord, UsageRecord,
};
use crate::store::migration::{FORMAT, RecordError, decode, encode};

#[track_caller]
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: &T, hex: &str) {
    holds_in(1, record, hex);
}

/// `record` is `hex` in the format that had it first, but for its first byte in every later one too.
#[track_caller]
fn holds_in<T: Serialize + DeserializeOwned + PartialEq + Debug>(first_in: u8, record: &T, hex: &str) {
    let mut stored = encode(record).unwrap();
    assert_eq!(stored[0], FORMAT);
    stored[0] = first_in;
    let mut text = String::new();
    for byte in &stored {
        write!(text, "{byte:02x}").unwrap();
    }
    assert_eq!(text, hex);
    assert_eq!(decode::<T>(&stored).unwrap(), *record);
    assert_eq!(decode::<T>(&stored[..stored.len() - 1]), Err(RecordError::Damaged));
    assert_eq!(decode::<T>(&[&stored[..], &[0]].concat()), Err(RecordError::Damaged));
    assert_eq!(decode::<T>(&[&[FORMAT], &stored[1..]].concat()).unwrap(), *record);
    let later = FORMAT + 1;
    assert_eq!(decode::<T>(&[&[later], &stored[1..]].concat()), Err(RecordError::Format(later)));
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn tasks_and_files_are_written_as_format_1_says() {
    holds(&FormatRecord { format: 1, oldest_reader: text("0.1.0") }, "010105302e312e30");
    holds(&CommitRecord { commit: 300, event: 2, entries: 70_000 }, "01ac0202f0a204");
    holds(
        &TaskRecord {
            task_id: [7; 16],
            session_id: text("s"),
            chitty_id: text("alice"),
            task_type: text("t"),
            status: 1,
            title: text("é"),
            description: None,
            priority: 3,
            assigned_service: Some(text("x")),
            parent_task_id: Some([8; 16]),
            created_at: 1_767_323_045_678,
            updated_at: 1_767_323_045_679,
            started_at: Some(5),
            completed_at: None,
            metadata: Some(text("{}")),
            result: None,
            error: Some(String::new()),
            version: 2,
        },
        "0107070707070707070707070707070707017305616c69636501740102c3a900030101780108080808080808080808080808080808ae9ea6e5b733af9ea6e5b73301050001027b7d00010002",
    );
    holds(&TaskPlaceRecord { session_id: text("s"), updated_at: 9 }, "01017309");
    holds(
        &ContextFileRecord {
            id: [1; 16],
            session_id: text("s"),
            chitty_id: text("a"),
            uri: text("r2://k"),
            name: Some(text("n")),
            size: Some(5_368_709_120),
            sha256: None,
            mime: Some(text("text/plain")),
            r2_key: None,
            metadata: None,
            active: true,
            task_id: None,
            created_at: 1,
            modified_at: None,
            last_accessed: 2,
        },
        "0101010101010101010101010101010101017301610672323a2f2f6b01016e01808080801400010a746578742f706c61696e00000100010002",
    );
}

#[test]
fn what_stands_beside_them_is_written_as_format_1_says() {
    holds(
        &SyncEventRecord {
            id: [2; 16],
            session_id: text("s"),
            chitty_id: text("a"),
            event_type: text("sync-report"),
            source: text("rclone"),
            path_prefix: None,
            project: None,
            count: 3,
            payload: Some(text("[]")),
            created_at: 4,
        },
        "0102020202020202020202020202020202017301610b73796e632d7265706f72740672636c6f6e6500000301025b5d04",
    );
    holds(
        &SessionRecord {
            id: text("s"),
            chitty_id: text("a"),
            created: 1,
            updated: 2,
            expires: 3,
            metadata: None,
            state: text("active"),
            decisions: vec![text("{}")],
            interactions: 4,
            context: vec![(text("k"), text("1"))],
        },
        "0101730161010203000661637469766501027b7d0401016b0131",
    );
    holds(&EventRecord { name: text("task.created"), at: 1, body: text("{}") }, "010c7461736b2e6372656174656401027b7d");
    holds(
        &KeyRecord {
            id: text("k"),
            chitty_id: text("a"),
            session_id: text("s"),
            name: String::new(),
            scopes: vec![text("admin")],
            rate_limit: Some(1000),
            quota: None,
            created_at: 1,
            expires_at: Some(2),
            status: 0,
        },
        "01016b0161017300010561646d696e01e8070001010200",
    );
    let answer = OnceAnswer::TaskUpdated { updated_at: 1, version: 2 };
    holds(
        &OnceRecord { fingerprint: [3; 32], expires_at: 4, answer },
        "01030303030303030303030303030303030303030303030303030303030303030304010102",
    );
    let answer = OnceAnswer::TaskCreated { task_id: [4; 16], created_at: 1, version: 1 };
    holds(
        &OnceRecord { fingerprint: [3; 32], expires_at: 4, answer },
        "0103030303030303030303030303030303030303030303030303030303030303030400040404040404040404040404040404040101",
    );
}

#[test]
fn registrations_and_projects_are_written_as_format_2_says() {
    holds_in(2, &TrimmedRecord { event: 300 }, "02ac02");
    holds_in(
        2,
        &RegistrationRecord {
            name: text("score"),
            chitty_id: text("a"),
            entry: text("{}"),
            registered_at: 1,
            updated_at: 2,
            expires_at: 300,
        },
        "020573636f72650161027b7d0102ac02",
    );
    holds_in(
        2,
        &ProjectRecord { chitty_id: text("a"), key: text("project:o:p"), value: text("{}"), updated_at: 3 },
        "0201610b70726f6a6563743a6f3a70027b7d03",
    );
}

#[test]
fn stored_files_are_written_as_format_3_says() {
    holds_in(
        3,
        &StoredFileRecord {
            chitty_id: text("a"),
            session_id: text("s"),
            key: text("d/k"),
            sha256: [5; 32],
            size: 300,
            etag: text("e"),
            mime: Some(text("m")),
            headers: vec![(text("h"), text("v"))],
            metadata: vec![],
            key_id: text("k"),
            created_at: 1,
            modified_at: 2,
            source_modified_at: None,
        },
        &format!("030161017303642f6b{}ac02016501016d010168017600016b010200", "05".repeat(32)),
    );
    holds_in(3, &PendingRecord { since: 300 }, "03ac02");
    holds_in(3, &BucketRecord { created_at: 300 }, "03ac02");
    holds_in(3, &TokenUsedRecord { expires_at: 300 }, "03ac02");
    holds_in(3, &UsageRecord { bytes: 300, files: 1 }, "03ac0201");
    holds_in(3, &RowsRecord { rows: 300, stored: 1 }, "03ac0201");
    holds_in(
        3,
        &UploadRecord {
            key: text("k"),
            mime: None,
            headers: vec![],
            metadata: vec![(text("a"), text("b"))],
            key_id: text("k1"),
            created_at: 7,
        },
        "03016b00000101610162026b3107",
    );
    holds_in(
        3,
        &PartRecord { nonce: 300, size: 5, md5: [6; 16], modified_at: 8 },
        &format!("03ac0205{}08", "06".repeat(16)),
    );
}
