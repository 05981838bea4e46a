//! One value of a file, with the way to it.

use std::ops::RangeInclusive;

use super::leaf::{Bounded, FromYaml};
use super::mistake::{Position, Report};
use super::node::{Kind, Node};
use super::parse::join;
use super::section::Section;

/// A value that somebody may take. Whatever does not fit is noted in the report, and `None` or nothing comes back.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) report: &'a Report,
}

impl<'a> Value<'a> {
    pub(super) fn new(node: &'a Node, path: String, report: &'a Report) -> Self {
        Self { node, path, report }
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.node.at
    }

    /// The way to it, `services[2].endpoints[0]`; empty for the whole document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Notes that this value is wrong.
    pub fn mistake(&self, message: impl Into<String>) {
        self.report.mistake(self.node.at, &self.path, message);
    }

    /// Notes something about this value that the operator should know.
    pub fn warn(&self, message: impl Into<String>) {
        self.report.warning(self.node.at, &self.path, message);
    }

    /// The report that it notes things in.
    #[must_use]
    pub fn report(&self) -> &'a Report {
        self.report
    }

    /// Whether it is nothing: empty, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.node.kind, Kind::Null)
    }

    /// Whether it is a single value, not a section, a list or nothing.
    #[must_use]
    pub fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar(_))
    }

    /// Whether it is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// Whether it is a list without entries.
    #[must_use]
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.node.kind, Kind::List(items) if items.is_empty())
    }

    /// Whether it is a section.
    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    /// Whether it is a section that has keys.
    #[must_use]
    pub fn is_filled(&self) -> bool {
        matches!(&self.node.kind, Kind::Map(entries) if !entries.is_empty())
    }

    /// Whether it is a section, if only an empty one.
    pub(super) fn is_section(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_) | Kind::Null)
    }

    /// What was written, where that is a single value; judges nothing.
    #[must_use]
    pub fn raw(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar.raw()),
            _ => None,
        }
    }

    /// What was written under `key`, if this is a section that has it as a single value; judges nothing.
    #[must_use]
    pub fn raw_under(&self, key: &str) -> Option<&'a str> {
        self.peek(key)?.raw()
    }

    /// The value under `key`, if this is a section that has it; the key does not count as asked for.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Value<'a>> {
        let Kind::Map(entries) = &self.node.kind else { return None };
        let entry = entries.iter().find(|entry| &*entry.key == key)?;
        Some(Value::new(&entry.node, join(&self.path, key), self.report))
    }

    /// The entry at `index`, if this is a list that has it; judges nothing.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Value<'a>> {
        let Kind::List(items) = &self.node.kind else { return None };
        Some(Value::new(items.get(index)?, format!("{}[{index}]", self.path), self.report))
    }

    /// As a `T`.
    #[must_use]
    pub fn read<T: FromYaml>(&self) -> Option<T> {
        self.read_or(T::ACCEPTED)
    }

    /// As a `T` within `range`.
    #[must_use]
    pub fn read_within<T: Bounded>(&self, range: &RangeInclusive<T>) -> Option<T> {
        let accepted = format!("{} to {}", range.start().shown(), range.end().shown());
        let value: T = self.read_or(&format!("{}, from {accepted}", T::ACCEPTED))?;
        if range.contains(&value) {
            return Some(value);
        }
        self.mistake(format!("{} is out of range; accepted: {accepted}", self.node.shown()));
        None
    }

    fn read_or<T: FromYaml>(&self, accepted: &str) -> Option<T> {
        let read = match &self.node.kind {
            Kind::Scalar(scalar) => T::from_scalar(scalar),
            _ => Err(format!("found {}", self.node.shown())),
        };
        read.map_err(|reason| self.mistake(format!("{reason}; accepted: {accepted}"))).ok()
    }

    /// As one of `words`.
    #[must_use]
    pub fn word<T: Clone>(&self, words: &[(&'static str, T)]) -> Option<T> {
        if let Some((_, value)) = words.iter().find(|(word, _)| self.raw() == Some(word)) {
            return Some(value.clone());
        }
        let accepted: Vec<_> = words.iter().map(|&(word, _)| word).collect();
        let near = self.raw().and_then(|found| nearest(found, &accepted));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let reason = if self.is_scalar() { "unknown word " } else { "found " };
        self.mistake(format!("{reason}{}; accepted: {}{hint}", self.node.shown(), accepted.join(", ")));
        None
    }

    /// As a section. Anything else is a mistake, and an empty section comes back.
    #[must_use]
    pub fn section(&self) -> Section<'a> {
        if let Kind::Map(entries) = &self.node.kind {
            return Section::new(self.clone(), entries);
        }
        if !self.is_null() {
            self.mistake(format!("found {}; accepted: a section (`key: value`)", self.node.shown()));
        }
        Section::new(self.clone(), &[])
    }

    /// As a list. Anything else is a mistake, and so is an entry without content; those are left out.
    #[must_use]
    pub fn items(&self) -> Vec<Value<'a>> {
        let Kind::List(items) = &self.node.kind else {
            self.mistake(format!(
                "found {}; accepted: a list (`[…]` or lines that begin with `- `)",
                self.node.shown()
            ));
            return Vec::new();
        };
        let items = items.iter().enumerate();
        let items = items.map(|(i, node)| Value::new(node, format!("{}[{i}]", self.path), self.report));
        let (empty, filled): (Vec<_>, Vec<_>) = items.partition(Self::is_null);
        for item in empty {
            item.mistake("found nothing; accepted: an entry of the list");
        }
        filled
    }

    /// As a list of `T`; entries that are none are left out.
    #[must_use]
    pub fn leaves<T: FromYaml>(&self) -> Vec<T> {
        self.items().iter().filter_map(Self::read).collect()
    }

    /// As a section whose keys are free.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let Kind::Map(entries) = &self.node.kind else {
            drop(self.section());
            return Vec::new();
        };
        let value = |key: &str, node| Value::new(node, join(&self.path, key), self.report);
        entries.iter().map(|entry| (&*entry.key, value(&entry.key, &entry.node))).collect()
    }
}

/// How alike two words must be for one to be named as what was meant, from 0 to 1. By trial: `hosst` is 0.8 like
/// `hosts`, and unrelated keys of the reference stay below 0.5.
const ALIKE: f64 = 0.5;

/// The word of `words` most like `found`, if one is alike at all.
pub(super) fn nearest<'w>(found: &str, words: &[&'w str]) -> Option<&'w str> {
    let found = found.to_ascii_lowercase();
    let scored = words.iter().map(|word| (strsim::normalized_damerau_levenshtein(&found, word), *word));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
