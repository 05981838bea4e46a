//! A new secret for a key: everything else that is known of it stays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::list::{KeyFacts, ListedKey};
use super::request::{KeyField, KeyMistake, Lifetime};
use super::{Fresh, IssueError, Secret};
use crate::model::id::KeyId;
use crate::model::key::Key;
use crate::model::time::Time;
use crate::store::{Store, StoreError};

/// The body of `POST /keys/{id}/rotate`: what the flags of `keys rotate` say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateWords {
    /// How long the old key is let in beside the new one, with a unit: `1h`. `None` = no longer.
    #[serde(default)]
    pub grace: Option<String>,
}

impl RotateWords {
    /// What they mean.
    ///
    /// # Errors
    /// What was found, and what is accepted.
    pub fn read(&self) -> Result<Option<Lifetime>, KeyMistake> {
        let read = self.grace.as_deref().map(Lifetime::read).transpose();
        read.map_err(|message| KeyMistake { field: KeyField::Grace, message })
    }
}

/// What the one who rotated a key is told, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotateReport {
    /// The new key itself.
    pub key: Secret,
    /// What is known of it.
    #[serde(flatten)]
    pub facts: KeyFacts,
    /// The key in whose place it is, as that is now.
    pub replaces: ListedKey,
}

/// Gives `old` a successor with the same facts, and ends it: after `grace`, else at once. Its session stays the same, so
/// what requests without a session see does, too; and so does its end, if it has one.
///
/// # Errors
/// [`IssueError::Store`] with [`StoreError::NoSuchKey`] or [`StoreError::KeyNotActive`]; the others of [`IssueError`].
pub async fn rotate(store: &dyn Store, old: &KeyId, grace: Option<Lifetime>) -> Result<RotateReport, IssueError> {
    let known = store.keys().await?.into_iter().find(|key| key.id == *old).ok_or(StoreError::NoSuchKey)?;
    let Fresh { secret, hash, id } = Fresh::generate()?;
    let now = Time::now();
    let new = Key { hash, id, created_at: now, ..Key::clone(&known) };
    let facts = KeyFacts::from(&new);
    let ends = grace.map(|grace| now.after(Duration::from(grace)));
    let old = store.rotate_key(old, new, ends).await?;
    Ok(RotateReport { key: secret, facts, replaces: ListedKey::from(&*old) })
}
