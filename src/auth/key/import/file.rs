//! A file of key records: which shapes it may have, and where one record ends.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::Value;

use super::OldKey;
use super::record;

/// What the names of key records begin with; the original keeps other things beside them.
const PREFIX: &str = "key:";

/// Something about one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveDeserialize)]
pub struct Note {
    /// Its place among the records, from 0.
    pub index: usize,
    /// What is to be known of it. Holds nothing of the record.
    pub message: String,
}

/// A file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// Records in it, whatever they are.
    pub records: usize,
    /// The keys, each once.
    pub keys: Vec<OldKey>,
    /// Records whose key an earlier record has.
    pub repeated: usize,
    /// Records that are no keys: their names do not begin with `key:`.
    pub skipped: usize,
    /// Records that cannot be read.
    pub refused: Vec<Note>,
    /// What was left out of records that can.
    pub warnings: Vec<Note>,
}

/// A file holds no records.
#[derive(Debug, thiserror::Error)]
pub enum NotRecords {
    /// Not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Nothing of what is accepted.
    #[error(
        "not a list of key records; accepted: a JSON object `{{\"key:<apikey>\": {{…}}}}`, an array of `{{\"name\", \
         \"value\"}}` or `{{\"key\", \"value\"}}`, or one of these a line"
    )]
    Shape,
    /// The same, where it looks like JSON.
    #[error("not JSON: {0}")]
    Syntax(#[source] serde_json::Error),
}

/// Reads a file. A record that cannot be read costs itself.
///
/// # Errors
/// [`NotRecords`].
pub fn read(bytes: &[u8]) -> Result<KeyFile, NotRecords> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotRecords::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let mut reader = Reader::default();
    if text.starts_with('[') {
        let items: Vec<Value> = serde_json::from_str(text).map_err(NotRecords::Syntax)?;
        for item in &items {
            reader.item(item);
        }
    } else if text.starts_with('{') {
        match serde_json::from_str::<Pairs>(text) {
            Ok(pairs) => reader.object(pairs),
            Err(error) => read_lines(&mut reader, text, error)?,
        }
    } else if !text.is_empty() {
        return Err(NotRecords::Shape);
    }
    Ok(reader.file)
}

/// `whole`: why the text is no JSON document, which is what is wrong with it unless its first line is one.
fn read_lines(reader: &mut Reader, text: &str, whole: serde_json::Error) -> Result<(), NotRecords> {
    for (number, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        match serde_json::from_str::<Pairs>(line) {
            Ok(pairs) => reader.object(pairs),
            Err(_) if number == 0 => return Err(NotRecords::Syntax(whole)),
            Err(_) => reader.refuse("not a JSON object; accepted: one object a line".to_owned()),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Reader {
    file: KeyFile,
    seen: HashSet<String>,
}

impl Reader {
    /// `{"key:<apikey>": …, …}`, or one record.
    fn object(&mut self, Pairs(pairs): Pairs) {
        let find = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        match (find("name").or_else(|| find("key")), find("value")) {
            (Some(Value::String(name)), value) => self.record(name, value),
            _ => {
                for (name, value) in &pairs {
                    self.record(name, Some(value));
                }
            }
        }
    }

    /// `{"name": "key:<apikey>", "value": …}`.
    fn item(&mut self, item: &Value) {
        match (item.get("name").or_else(|| item.get("key")), item.get("value")) {
            (Some(Value::String(name)), value) => self.record(name, value),
            _ => self.refuse("neither `name` nor `key` is a text; accepted: \"key:<apikey>\"".to_owned()),
        }
    }

    fn record(&mut self, name: &str, value: Option<&Value>) {
        let Some(key) = name.strip_prefix(PREFIX) else {
            self.file.records += 1;
            self.file.skipped += 1;
            return;
        };
        let mut warnings = Vec::new();
        match record::read(key, value, &mut warnings) {
            Ok(key) => {
                let index = self.file.records;
                self.file.records += 1;
                self.file.warnings.extend(warnings.into_iter().map(|message| Note { index, message }));
                if self.seen.insert(key.hash.clone()) {
                    self.file.keys.push(key);
                } else {
                    self.file.repeated += 1;
                }
            }
            Err(message) => self.refuse(message),
        }
    }

    fn refuse(&mut self, message: String) {
        self.file.refused.push(Note { index: self.file.records, message });
        self.file.records += 1;
    }
}

/// The members of an object, in their order.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        from.deserialize_map(Members)
    }
}
