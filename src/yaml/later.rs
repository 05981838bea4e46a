//! Keys that are understood and not used: only their type is looked at.

use std::ops::RangeInclusive;

use super::leaf::{Bounded, FromYaml};
use super::section::Section;
use super::value::Value;

impl Value<'_> {
    /// Warns that this value waits for a later capability.
    pub fn not_built(&self, capability: u8) {
        self.warn(format!("not built yet (capability {capability}), ignored"));
    }

    /// Sees that it is a `T`.
    pub fn check<T: FromYaml>(&self) {
        let _: Option<T> = self.read();
    }

    /// Sees that it is a `T` within `range`.
    pub fn check_within<T: Bounded>(&self, range: &RangeInclusive<T>) {
        let _: Option<T> = self.read_within(range);
    }

    /// Sees that it is one of `words`.
    pub fn check_word(&self, words: &[&'static str]) {
        let words: Vec<_> = words.iter().map(|&word| (word, ())).collect();
        let _: Option<()> = self.word(&words);
    }

    /// Sees that it is a list of `T`.
    pub fn check_leaves<T: FromYaml>(&self) {
        for item in self.items() {
            item.check::<T>();
        }
    }
}

impl<'a> Section<'a> {
    /// `key`, which a later capability brings: `check` sees to its type, then its presence is a warning. A value that is
    /// wrong is only that.
    pub fn later(&self, key: &'static str, capability: u8, check: impl FnOnce(&Value<'a>)) {
        if let Some(value) = self.value(key) {
            let mark = self.report().mark();
            check(&value);
            if self.report().mark() == mark {
                value.not_built(capability);
            }
        }
    }

    /// Sees that `key`, if it is there, is a `T`.
    pub fn check<T: FromYaml>(&self, key: &'static str) {
        self.value(key).iter().for_each(Value::check::<T>);
    }

    /// Sees that `key` is there and a `T`.
    pub fn check_required<T: FromYaml>(&self, key: &'static str) {
        let _: Option<T> = self.required(key);
    }

    /// Sees that `key`, if it is there, is a `T` within `range`.
    pub fn check_within<T: Bounded>(&self, key: &'static str, range: &RangeInclusive<T>) {
        self.value(key).iter().for_each(|value| value.check_within(range));
    }

    /// Sees that `key`, if it is there, is a list of `T`.
    pub fn check_leaves<T: FromYaml>(&self, key: &'static str) {
        self.value(key).iter().for_each(Value::check_leaves::<T>);
    }
}
