//! A section whose keys are known: every key is asked for by name, and what nobody asked for is a mistake.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::leaf::{Bounded, FromYaml};
use super::mistake::{Position, Report};
use super::node::Entry;
use super::parse::join;
use super::value::{Value, nearest};

/// A section being read. A key that is absent and one whose value is nothing are the same, but for
/// [`Section::nullable`]. When it goes out of scope, keys that were never asked for become mistakes.
#[derive(Debug)]
pub struct Section<'a> {
    value: Value<'a>,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
    /// Keys that must be there and are not, with what is accepted.
    missing: RefCell<Vec<(&'static str, String)>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(value: Value<'a>, entries: &'a [Entry]) -> Self {
        Self { value, entries, asked: RefCell::default(), missing: RefCell::default() }
    }

    /// The section itself as a value, for mistakes that concern all of it.
    #[must_use]
    pub fn itself(&self) -> &Value<'a> {
        &self.value
    }

    /// Where it begins.
    #[must_use]
    pub fn position(&self) -> Position {
        self.value.position()
    }

    /// The report that it notes things in.
    #[must_use]
    pub fn report(&self) -> &'a Report {
        self.value.report
    }

    /// The value of `key`, if it is there and not nothing.
    #[must_use]
    pub fn value(&self, key: &'static str) -> Option<Value<'a>> {
        self.present(key).filter(|value| !value.is_null())
    }

    /// The value of `key`, nothing included.
    fn present(&self, key: &'static str) -> Option<Value<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        Some(Value::new(&entry.node, join(&self.value.path, key), self.value.report))
    }

    /// `key` as a `T`; `None` if it is absent or wrong.
    #[must_use]
    pub fn optional<T: FromYaml>(&self, key: &'static str) -> Option<T> {
        self.value(key)?.read()
    }

    /// `key` as a `T`; absence is a mistake.
    #[must_use]
    pub fn required<T: FromYaml>(&self, key: &'static str) -> Option<T> {
        match self.value(key) {
            Some(value) => value.read(),
            None => self.missing(key, T::ACCEPTED),
        }
    }

    /// Notes that `key` must be there; not if this is no section at all, which was noted before.
    pub fn missing<T>(&self, key: &'static str, accepted: &str) -> Option<T> {
        if self.value.is_section() {
            self.missing.borrow_mut().push((key, accepted.to_owned()));
        }
        None
    }

    /// `key` as a `T` within `range`; `None` if it is absent or wrong.
    #[must_use]
    pub fn within<T: Bounded>(&self, key: &'static str, range: &RangeInclusive<T>) -> Option<T> {
        self.value(key)?.read_within(range)
    }

    /// `key` as a `T`, where nothing has a meaning of its own: the outer `None` is "absent or wrong", the inner one
    /// nothing.
    #[must_use]
    #[allow(clippy::option_option, reason = "absent and nothing are two different things for these keys")]
    pub fn nullable<T: FromYaml>(&self, key: &'static str) -> Option<Option<T>> {
        let value = self.present(key)?;
        if value.is_null() { Some(None) } else { value.read().map(Some) }
    }

    /// [`Section::nullable`] within `range`.
    #[must_use]
    #[allow(clippy::option_option, reason = "absent and nothing are two different things for these keys")]
    pub fn nullable_within<T: Bounded>(&self, key: &'static str, range: &RangeInclusive<T>) -> Option<Option<T>> {
        let value = self.present(key)?;
        if value.is_null() { Some(None) } else { value.read_within(range).map(Some) }
    }

    /// `key` as one of `words`.
    #[must_use]
    pub fn word<T: Clone>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        self.value(key)?.word(words)
    }

    /// `key` as a list of `T`; `None` if it is absent.
    #[must_use]
    pub fn leaves<T: FromYaml>(&self, key: &'static str) -> Option<Vec<T>> {
        self.value(key).map(|value| value.leaves())
    }

    /// `key` as a list; `None` if it is absent.
    #[must_use]
    pub fn list(&self, key: &'static str) -> Option<Vec<Value<'a>>> {
        self.value(key).map(|value| value.items())
    }

    /// `key` as a section; an empty one if it is absent or wrong.
    #[must_use]
    pub fn section(&self, key: &'static str) -> Section<'a> {
        let empty = || Value { path: join(&self.value.path, key), ..self.value.clone() };
        match self.value(key) {
            Some(value) => value.section(),
            None => Section::new(empty(), &[]),
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let (asked, mut missing) = (self.asked.borrow(), self.missing.borrow_mut());
        for entry in self.entries.iter().filter(|entry| !asked.contains(&&*entry.key)) {
            let message = match nearest(&entry.key, &asked) {
                Some(near) => {
                    // A key that is only misspelt is one mistake, not two.
                    missing.retain(|(key, _)| *key != near);
                    format!("unknown key; did you mean `{near}`?")
                }
                None => format!("unknown key; accepted: {}", asked.join(", ")),
            };
            self.report().mistake(entry.at, &join(&self.value.path, &entry.key), message);
        }
        for (key, accepted) in missing.drain(..) {
            let at =
                self.entries.iter().find(|entry| &*entry.key == key).map_or(self.position(), |entry| entry.node.at);
            self.report().mistake(at, &join(&self.value.path, key), format!("missing; accepted: {accepted}"));
        }
    }
}
