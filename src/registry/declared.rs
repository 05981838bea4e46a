//! A list of services as an operator writes it: `services:` of the configuration, and `.yaml` files as a source.
//!
//! Strict, and the operator is trusted: an entry may point anywhere. An entry that cannot be used is kept apart with
//! everything that is wrong with it; what that costs is the caller's decision. In the configuration it is an error, in a
//! file it costs itself.

mod entry;
mod leaf;
mod policy;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::model::name::ServiceKey;
use crate::model::service::{Declaration, Rejected};
use crate::yaml::{Document, Mistake, Section, Value};

/// What one list of services says.
#[derive(Debug, Default)]
pub struct Declared<'a> {
    /// The usable entries in their order, each with an id and with its place in the file.
    pub usable: Vec<(Value<'a>, Declaration)>,
    /// The others.
    pub unusable: Vec<Unusable>,
}

/// An entry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Its place in the list, from 0.
    pub index: usize,
    /// Its id, as it was written, where that much was readable.
    pub id: Option<String>,
    /// Its first endpoint, as it was written, where that much was readable.
    pub endpoint: Option<String>,
    /// Everything that is wrong with it; at least one.
    pub mistakes: Vec<Mistake>,
}

impl From<Unusable> for Rejected {
    fn from(entry: Unusable) -> Self {
        let reasons: Vec<_> = entry.mistakes.iter().map(Mistake::to_string).collect();
        Self { index: entry.index, id: entry.id, base_url: entry.endpoint, reason: reasons.join("\n") }
    }
}

/// A file of services, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceFile {
    /// The usable entries in their order, each with an id.
    pub declarations: Vec<Declaration>,
    /// The others, with their reasons.
    pub rejected: Vec<Rejected>,
    /// What the operator should know beside that, such as keys of later capabilities.
    pub warnings: Vec<Mistake>,
}

/// Reads a `.yaml` source: a section with the one key `services`. `file` is what messages call it. An empty file and an
/// empty list are empty lists.
///
/// # Errors
/// Every mistake that concerns more than one entry: not UTF-8, not YAML, an unknown key beside `services`, a
/// `services` that is not a list. Never empty.
pub fn parse_file(bytes: &[u8], file: &str) -> Result<ServiceFile, Vec<Mistake>> {
    let document = Document::parse_bytes(bytes, file);
    let list = read_list(&document.root());
    let declarations = list.usable.into_iter().map(|(_, declaration)| declaration).collect();
    let rejected = list.unusable.into_iter().map(Rejected::from).collect();
    let (mistakes, warnings) = document.into_findings();
    if mistakes.is_empty() { Ok(ServiceFile { declarations, rejected, warnings }) } else { Err(mistakes) }
}

/// Reads the key `services` of `section`. Mistakes inside an entry are in its [`Unusable`]; only what concerns the list
/// itself goes to the section's report. A second entry with the same id is unusable.
#[must_use]
pub fn read_list<'a>(section: &Section<'a>) -> Declared<'a> {
    let report = section.report();
    let mut list = Declared::default();
    let mut ids: HashMap<ServiceKey, u32> = HashMap::new();
    let Some(services) = section.value("services") else { return list };
    if !services.is_list() {
        // Notes that it should be one.
        drop(services.items());
    }
    for (index, value) in (0..).map_while(|index| Some((index, services.item(index)?))) {
        let mut mistakes = report.take_under(value.path());
        let mark = report.mark();
        let declaration = entry::read(&value.section());
        if let Some(id) = &declaration.id {
            // The first one keeps the id even if it turns out unusable: which of the two was meant is not ours to say.
            if let Some(line) = ids.get(id) {
                let at = value.peek("id").unwrap_or_else(|| value.clone());
                at.mistake(format!("`{id}` is declared already at line {line}; accepted: each id once"));
            } else {
                ids.insert(id.clone(), value.position().line);
            }
        }
        mistakes.extend(report.take_since(mark));
        if mistakes.is_empty() {
            list.usable.push((value, declaration));
        } else {
            mistakes.sort_by_key(|mistake| mistake.position);
            let id = value.raw_under("id").map(str::to_owned);
            list.unusable.push(Unusable { index, id, endpoint: entry::first_endpoint(&value), mistakes });
        }
    }
    list
}
