//! A service's rules for headers, ready to be applied.

use http::{HeaderName, HeaderValue};

use crate::model::service::{HeaderEdit, HeaderRules};

/// [`HeaderRules`], parsed once.
#[derive(Debug, Default)]
pub struct HeaderEdits {
    /// Of requests.
    pub request: Edits,
    /// Of answers.
    pub response: Edits,
}

/// What is put in and taken out, one way.
#[derive(Debug, Default)]
pub struct Edits {
    /// Put in, in place of what is there.
    pub set: Box<[(HeaderName, HeaderValue)]>,
    /// Taken out, before that.
    pub remove: Box<[HeaderName]>,
}

impl HeaderEdits {
    pub(super) fn of(rules: &HeaderRules) -> Self {
        Self { request: Edits::of(&rules.request), response: Edits::of(&rules.response) }
    }
}

impl Edits {
    /// Names and values were checked when they were read.
    fn of(edit: &HeaderEdit) -> Self {
        let pair = |(name, value): &(String, String)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?));
        Self {
            set: edit.set.iter().filter_map(pair).collect(),
            remove: edit.remove.iter().filter_map(|name| name.parse().ok()).collect(),
        }
    }
}
