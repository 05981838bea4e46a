//! The SQL of a dump: statements that make or fill the original's tables are done, all others left out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::D1Error;
use super::row::TABLES;

/// The longest statement, in bytes: a row of the original's database has 2 MB at the most.
const STATEMENT: usize = 64 << 20;
/// What dumps call to write line breaks and the like in a literal.
const FUNCTIONS: [&str; 3] = ["replace", "char", "unistr"];

/// A temporary database of what is in `file`; a large one is on the disk.
pub(super) fn load(file: &Path) -> Result<Connection, D1Error> {
    let unreadable = |source| D1Error::File { file: file.to_owned(), source };
    let mut connection =
        prepared().map_err(|error| D1Error::Database { file: file.to_owned(), what: error.to_string() })?;
    let mut statements = Statements::new(BufReader::new(File::open(file).map_err(unreadable)?));
    while let Some((line, sql)) = statements.next().map_err(unreadable)? {
        let failed = |what: String| D1Error::Statement { file: file.to_owned(), line, what };
        if sql.len() > STATEMENT {
            return Err(failed(format!("found a statement of more than {STATEMENT} bytes; accepted: up to that")));
        }
        if concerns_us(&sql) {
            let sql = std::str::from_utf8(&sql).map_err(|_| failed("found bytes that are not UTF-8".to_owned()))?;
            connection.execute_batch(sql).map_err(|error| failed(error.to_string()))?;
        }
    }
    let ended = connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    ended.map_err(|error| D1Error::Database { file: file.to_owned(), what: error.to_string() })?;
    Ok(connection)
}

fn prepared() -> rusqlite::Result<Connection> {
    // Without a name it is on the disk once it is too large for the cache, and gone when it is closed.
    let mut connection = Connection::open("")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let statement = i32::try_from(STATEMENT).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, statement)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, statement)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;")?;
    connection.authorizer(Some(|context: AuthContext<'_>| {
        let ours = |table: &str| TABLES.iter().any(|(name, _)| *name == table) || table.starts_with("sqlite_");
        let allowed = match context.action {
            AuthAction::CreateTable { table_name }
            | AuthAction::Insert { table_name }
            | AuthAction::Read { table_name, .. }
            | AuthAction::Update { table_name, .. }
            // What a primary key or a unique column makes.
            | AuthAction::CreateIndex { table_name, .. } => ours(table_name),
            AuthAction::Function { function_name } => FUNCTIONS.contains(&function_name),
            AuthAction::Select | AuthAction::Reindex { .. } => true,
            _ => false,
        };
        if allowed { Authorization::Allow } else { Authorization::Deny }
    }))?;
    Ok(connection)
}

/// Whether a statement makes or fills one of the original's tables.
fn concerns_us(sql: &[u8]) -> bool {
    let begin = String::from_utf8_lossy(&sql[..sql.len().min(300)]).to_ascii_lowercase();
    let mut words = begin.split(|c: char| c.is_whitespace() || "\"`[]'(".contains(c)).filter(|word| !word.is_empty());
    let known = |word: Option<&str>| TABLES.iter().any(|(name, _)| Some(*name) == word);
    match (words.next(), words.next()) {
        (Some("create"), Some("table")) => {
            let mut words = words.skip_while(|word| ["if", "not", "exists"].contains(word));
            known(words.next())
        }
        (Some("insert" | "replace"), Some(_)) => {
            // `INSERT INTO t`, `INSERT OR IGNORE INTO t`, `REPLACE INTO t`.
            let mut after = begin
                .split(|c: char| c.is_whitespace() || "\"`[]'(".contains(c))
                .filter(|word| !word.is_empty())
                .skip_while(|word| *word != "into")
                .skip(1);
            known(after.next())
        }
        _ => false,
    }
}

/// Statements of a text, with the lines that they begin in.
struct Statements<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Statements<R> {
    fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    /// The next one; it ends with the line in which its `;` is the last character outside of quotes.
    fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let (mut sql, mut quote, mut begin) = (Vec::new(), None, self.line + 1);
        loop {
            let from = sql.len();
            let room = (STATEMENT + 1).saturating_sub(from) as u64;
            let read = self.input.by_ref().take(room).read_until(b'\n', &mut sql)?;
            if read == 0 {
                let some = !sql.trim_ascii().is_empty();
                return Ok(some.then_some((begin, sql)));
            }
            self.line += 1;
            if sql.len() > STATEMENT {
                return Ok(Some((begin, sql)));
            }
            let mut last = None;
            let mut bytes = sql[from..].iter().copied().peekable();
            let mut comment = false;
            while let Some(byte) = bytes.next() {
                match (quote, byte) {
                    (Some(mark), byte) if byte == mark => quote = None,
                    (None, b'\'' | b'"' | b'`') => quote = Some(byte),
                    (None, b'-') if bytes.peek() == Some(&b'-') => {
                        comment = true;
                        break;
                    }
                    _ => {}
                }
                if !byte.is_ascii_whitespace() {
                    last = Some(byte);
                }
            }
            if quote.is_some() {
                continue;
            }
            if sql.trim_ascii().is_empty() || (comment && last.is_none() && from == 0) {
                sql.clear();
                begin = self.line + 1;
            } else if last == Some(b';') {
                return Ok(Some((begin, sql)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_their_quotes_say() {
        let text = "-- a comment; with 'a quote\nCREATE TABLE a (b);\n\nINSERT INTO a VALUES('x;\n;--y''');\nSELECT 1";
        let mut statements = Statements::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some((line, sql)) = statements.next().unwrap() {
            found.push((line, String::from_utf8(sql).unwrap().trim().to_owned()));
        }
        let wanted = [(2, "CREATE TABLE a (b);"), (4, "INSERT INTO a VALUES('x;\n;--y''');"), (6, "SELECT 1")];
        assert_eq!(found, wanted.map(|(line, sql)| (line, sql.to_owned())));
    }

    #[test]
    fn only_what_makes_or_fills_the_tables_is_done() {
        for (sql, wanted) in [
            ("CREATE TABLE IF NOT EXISTS \"context_tasks\" (x)", true),
            ("create table context_files(id)", true),
            ("INSERT INTO \"sync_events\" VALUES(1);", true),
            ("INSERT OR IGNORE INTO context_tasks VALUES(1)", true),
            ("INSERT INTO d1_migrations VALUES('context_tasks')", false),
            ("CREATE INDEX i ON context_tasks(x)", false),
            ("CREATE TABLE other(x)", false),
            ("ATTACH DATABASE '/tmp/x' AS context_tasks", false),
            ("DELETE FROM context_tasks", false),
        ] {
            assert_eq!(concerns_us(sql.as_bytes()), wanted, "{sql}");
        }
    }
}
