//! Rows of the original's tables, as records.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::model::id::{ChittyId, SessionId, TaskId};
use crate::model::json::Json;
use crate::model::task::{Priority, Status, Task};
use crate::model::time::Time;
use crate::store::migration::m0001_context_sync::{ContextFileRecord, SyncEventRecord};
use crate::store::record::{Kind, Record};

/// The tables, and what their rows become.
pub(super) const TABLES: [(&str, Kind); 4] = [
    ("context_tasks", Kind::Task),
    ("context_files", Kind::ContextFile),
    ("sync_events", Kind::SyncEvent),
    ("file_sync_events", Kind::SyncEvent),
];
/// Numbers above this are milliseconds, below it seconds: the year 5138 and March 1973.
const MILLISECONDS: f64 = 1e11;

/// A table that is there.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) kind: Kind,
    columns: Vec<String>,
}

/// One row.
pub(super) struct Row {
    pub(super) rowid: i64,
    values: HashMap<String, Value>,
}

/// A value that is not null.
#[derive(Clone, Debug)]
enum Value {
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes,
}

/// The tables that are there.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut found = Vec::new();
    for (name, kind) in TABLES {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        if connection.prepare(sql)?.exists(params![name])? {
            let statement = connection.prepare(&format!("SELECT * FROM \"{name}\" LIMIT 0"))?;
            let columns = statement.column_names().map(str::to_ascii_lowercase).collect();
            found.push(Table { name: name.to_owned(), kind, columns });
        }
    }
    Ok(found)
}

/// Whose each session is, as far as tables with both columns say.
pub(super) fn owners(connection: &Connection, tables: &[Table]) -> rusqlite::Result<HashMap<String, Option<ChittyId>>> {
    let mut owners: HashMap<String, Option<ChittyId>> = HashMap::new();
    for table in tables {
        if !["session_id", "chitty_id"].iter().all(|column| table.columns.iter().any(|name| name == column)) {
            continue;
        }
        let sql = format!(
            "SELECT DISTINCT session_id, chitty_id FROM \"{}\" WHERE typeof(session_id) = 'text' AND \
             typeof(chitty_id) = 'text'",
            table.name
        );
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (session, owner): (String, String) = (row.get(0)?, row.get(1)?);
            let Ok(owner) = owner.parse::<ChittyId>() else { continue };
            let known = owners.entry(session).or_insert_with(|| Some(owner.clone()));
            if *known != Some(owner) {
                *known = None;
            }
        }
    }
    Ok(owners)
}

/// Rows behind `after`.
pub(super) fn page(connection: &Connection, table: &Table, after: i64, limit: usize) -> rusqlite::Result<Vec<Row>> {
    // The smallest number there is, is a rowid too.
    let from = if after == i64::MIN { ">=" } else { ">" };
    let sql = format!("SELECT rowid, * FROM \"{}\" WHERE rowid {from} ?1 ORDER BY rowid LIMIT ?2", table.name);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let mut values = HashMap::new();
        for (index, column) in table.columns.iter().enumerate() {
            let value = match row.get_ref(index + 1)? {
                ValueRef::Null => continue,
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Text(text) => {
                    std::str::from_utf8(text).map_or(Value::Bytes, |text| Value::Text(text.to_owned()))
                }
                ValueRef::Blob(_) => Value::Bytes,
            };
            values.insert(column.clone(), value);
        }
        found.push(Row { rowid: row.get(0)?, values });
    }
    Ok(found)
}

impl Row {
    /// As a record; `owner` says whose a session is where the row does not.
    pub(super) fn record(&self, kind: Kind, owner: impl Fn(&str) -> Option<ChittyId>) -> Result<Record, String> {
        let session: SessionId = self.needed("session_id")?.parse().map_err(|error| format!("session_id: {error}"))?;
        let chitty_id: ChittyId = match self.text(&["chitty_id"])? {
            Some(text) => text.parse().map_err(|error| format!("chitty_id: {error}"))?,
            None => owner(session.as_str()).ok_or(
                "chitty_id: found nothing, and nothing or several in other rows of its session; accepted: --chitty-id, \
                 which says whose such rows are",
            )?,
        };
        match kind {
            Kind::Task => self.task(chitty_id, session).map(|task| Record::Task(Box::new(task))),
            Kind::ContextFile => {
                self.context_file(&chitty_id, &session).map(|file| Record::ContextFile(Box::new(file)))
            }
            _ => {
                let record = Box::new(self.sync_event(&chitty_id, &session)?);
                // Its number is that of the moment in which it is merged.
                Ok(Record::SyncEvent { number: 0, record })
            }
        }
    }

    fn task(&self, chitty_id: ChittyId, session_id: SessionId) -> Result<Task, String> {
        let id = |column: &'static str, text: &str| {
            TaskId::parse(text).ok_or_else(|| format!("{column}: found {text:?}; accepted: a UUID"))
        };
        let created_at = self.time(&["created_at"])?.ok_or("created_at: found nothing; accepted: a time")?;
        let parent = self.text(&["parent_task_id"])?.filter(|text| !text.is_empty());
        let json = |column| {
            let value = self.json(&[column])?;
            value.map(Json::parse).transpose().map_err(|error| format!("{column}: {error}"))
        };
        Ok(Task {
            task_id: id("task_id", &self.needed("task_id")?)?,
            session_id,
            chitty_id,
            task_type: self.text(&["task_type"])?.unwrap_or_else(|| "user_request".to_owned()),
            status: self.word("status", "pending, in_progress, completed, failed, cancelled", Status::Pending)?,
            title: self.needed("title")?,
            description: self.text(&["description"])?.filter(|text| !text.is_empty()),
            priority: self.word("priority", "low, normal, high, urgent", Priority::Normal)?,
            assigned_service: self.text(&["assigned_service"])?.filter(|text| !text.is_empty()),
            parent_task_id: parent.map(|text| id("parent_task_id", &text)).transpose()?,
            created_at,
            updated_at: self.time(&["updated_at"])?.unwrap_or(created_at),
            started_at: self.time(&["started_at"])?,
            completed_at: self.time(&["completed_at"])?,
            metadata: json("metadata")?,
            result: json("result")?,
            error: self.text(&["error"])?,
            version: 1,
        })
    }

    fn context_file(&self, chitty_id: &ChittyId, session_id: &SessionId) -> Result<ContextFileRecord, String> {
        let seen = self.time(&["created_at", "synced_at", "last_accessed"])?;
        let created_at = seen.ok_or("created_at: found nothing; accepted: a time")?.as_millis();
        let uri = self.text(&["uri", "file_uri"])?.filter(|uri| !uri.is_empty());
        let task_id = self.text(&["task_id"])?.filter(|text| !text.is_empty());
        Ok(ContextFileRecord {
            id: self.uuid(&["id"])?,
            session_id: session_id.to_string(),
            chitty_id: chitty_id.to_string(),
            uri: uri.ok_or("file_uri: found nothing; accepted: a URI")?,
            name: self.text(&["name", "file_name"])?,
            size: self.number(&["size", "file_size"])?,
            sha256: self.text(&["sha256"])?,
            mime: self.text(&["mime", "mime_type"])?,
            r2_key: self.text(&["r2_key"])?,
            metadata: self.json(&["metadata"])?,
            active: self.number(&["active", "is_active"])?.is_none_or(|active| active > 0),
            task_id: task_id.map(|text| uuid("task_id", &text)).transpose()?,
            created_at,
            modified_at: self.time(&["modified_at"])?.map(Time::as_millis),
            last_accessed: self.time(&["last_accessed"])?.map_or(created_at, Time::as_millis),
        })
    }

    fn sync_event(&self, chitty_id: &ChittyId, session_id: &SessionId) -> Result<SyncEventRecord, String> {
        let created_at = self.time(&["created_at", "synced_at"])?;
        Ok(SyncEventRecord {
            id: self.uuid(&["id", "event_id"])?,
            session_id: session_id.to_string(),
            chitty_id: chitty_id.to_string(),
            event_type: self.text(&["event_type"])?.unwrap_or_else(|| "sync-report".to_owned()),
            source: self.text(&["source"])?.unwrap_or_else(|| "unknown".to_owned()),
            path_prefix: self.text(&["path_prefix"])?,
            project: self.text(&["project"])?,
            count: self.number(&["count", "event_count", "items_count"])?.unwrap_or(0),
            payload: self.json(&["payload", "metadata"])?,
            created_at: created_at.ok_or("created_at: found nothing; accepted: a time")?.as_millis(),
        })
    }

    /// The first of these columns that is not null.
    fn value(&self, columns: &[&'static str]) -> Option<(&'static str, &Value)> {
        columns.iter().find_map(|column| self.values.get(*column).map(|value| (*column, value)))
    }

    fn text(&self, columns: &[&'static str]) -> Result<Option<String>, String> {
        let Some((column, value)) = self.value(columns) else { return Ok(None) };
        match value {
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Integer(number) => Ok(Some(number.to_string())),
            Value::Real(number) => Ok(Some(format!("{number:?}"))),
            Value::Bytes => Err(format!("{column}: found bytes that are no text; accepted: text")),
        }
    }

    fn needed(&self, column: &'static str) -> Result<String, String> {
        let text = self.text(&[column])?.filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("{column}: found nothing; accepted: text"))
    }

    fn word<T: std::str::FromStr>(&self, column: &'static str, accepted: &str, usual: T) -> Result<T, String> {
        let Some(text) = self.text(&[column])? else { return Ok(usual) };
        text.parse().map_err(|_| format!("{column}: found {text:?}; accepted: {accepted}"))
    }

    fn uuid(&self, columns: &[&'static str]) -> Result<[u8; 16], String> {
        let column = self.value(columns).map_or(columns[0], |(column, _)| column);
        uuid(column, &self.text(columns)?.unwrap_or_default())
    }

    fn number(&self, columns: &[&'static str]) -> Result<Option<u64>, String> {
        let Some((column, value)) = self.value(columns) else { return Ok(None) };
        let refused = || format!("{column}: found {value:?}; accepted: a whole number from 0 on");
        match value {
            Value::Integer(number) => u64::try_from(*number).map(Some).map_err(|_| refused()),
            Value::Text(text) => text.trim().parse().map(Some).map_err(|_| refused()),
            Value::Real(_) | Value::Bytes => Err(refused()),
        }
    }

    /// JSON as it is written; what is no JSON is text, which the original stored without its quotes.
    fn json(&self, columns: &[&'static str]) -> Result<Option<String>, String> {
        let Some(text) = self.text(columns)? else { return Ok(None) };
        if Json::parse(text.clone()).is_ok() {
            return Ok(Some(text));
        }
        serde_json::to_string(&text).map(Some).map_err(|error| error.to_string())
    }

    fn time(&self, columns: &[&'static str]) -> Result<Option<Time>, String> {
        let Some((column, value)) = self.value(columns) else { return Ok(None) };
        let found = match value {
            Value::Integer(number) => epoch(*number),
            Value::Real(number) => epoch_of(*number),
            Value::Text(text) => moment(text.trim()),
            Value::Bytes => None,
        };
        let accepted = "a time such as 2026-01-02T03:04:05.678Z, or seconds or milliseconds since 1970";
        found.map(Some).ok_or_else(|| format!("{column}: found {value:?}; accepted: {accepted}"))
    }
}

fn uuid(column: &str, text: &str) -> Result<[u8; 16], String> {
    let id = Uuid::try_parse(text).map_err(|_| format!("{column}: found {text:?}; accepted: a UUID"))?;
    Ok(*id.as_bytes())
}

#[allow(clippy::cast_precision_loss, reason = "only which of two scales it is on is asked of it")]
fn epoch(number: i64) -> Option<Time> {
    let unsigned = u64::try_from(number).ok()?;
    let millis = if (number as f64) < MILLISECONDS { unsigned.checked_mul(1000)? } else { unsigned };
    Some(Time::from_millis(millis))
}

#[allow(clippy::cast_possible_truncation, reason = "what is not in range is refused before")]
fn epoch_of(number: f64) -> Option<Time> {
    let millis = if number < MILLISECONDS { number * 1000.0 } else { number };
    (0.0..9e15).contains(&millis).then(|| epoch_millis(millis as i64))?
}

fn epoch_millis(millis: i64) -> Option<Time> {
    u64::try_from(millis).ok().map(Time::from_millis)
}

/// RFC 3339, what `SQLite`'s `datetime()` writes (in UTC), or a number as text.
fn moment(text: &str) -> Option<Time> {
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number);
    }
    if let Ok(number) = text.parse::<f64>() {
        return epoch_of(number);
    }
    let timestamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date_time = text.parse::<jiff::civil::DateTime>().ok()?;
        jiff::tz::Offset::UTC.to_timestamp(date_time).ok()
    })?;
    epoch_millis(timestamp.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_they_come_in() {
        for (text, millis) in [
            ("1767323045", 1_767_323_045_000),
            ("1767323045678", 1_767_323_045_678),
            ("1767323045.678", 1_767_323_045_678),
            ("2026-01-02T03:04:05.678Z", 1_767_323_045_678),
            ("2026-01-02T04:04:05+01:00", 1_767_323_045_000),
            ("2026-01-02 03:04:05", 1_767_323_045_000),
            ("2026-01-02T03:04:05", 1_767_323_045_000),
            ("0", 0),
        ] {
            assert_eq!(moment(text), Some(Time::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-5", "NaN", "inf", "1e300", "1960-01-01T00:00:00Z"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
