//! What goes by itself: what was on its way when the process before ended, contents that no file has any more, and uploads
//! in parts that nobody has ended. Nothing that a file has is ever removed here.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};

use super::contents::noted;
use super::{FileError, Files};
use crate::model::time::Time;
use crate::store::StoreError;
use crate::store::file::ContentsOf;

/// Contents that are looked at in one go.
const LOOKED_AT: usize = 256;
/// Contents that are removed at once: each waits for the disk twice, together.
const AT_ONCE: usize = 16;
/// Between two looks when nobody says that there is something.
const EVERY: Duration = Duration::from_secs(600);
/// Between two looks at the least: each is made for all that has happened meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// Before trying again where the place or the store cannot be used.
const PATIENCE: Duration = Duration::from_secs(5);
/// An upload in parts that has not ended after this long is given up: seven days.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

impl Files {
    /// Removes what the process before left behind. For the time before anything is served.
    ///
    /// # Errors
    /// [`FileError`]: then some of it is left for the next time, and harms nobody.
    pub async fn sweep(&self) -> Result<(), FileError> {
        let mut known = Vec::new();
        for upload in self.store.all_part_uploads().await? {
            let Some((_, parts)) = self.store.part_upload(upload.place, upload.id).await? else { continue };
            known.extend(parts.iter().map(|part| self.contents.part(upload.id, part)));
        }
        let left = self.contents.left_uploads().await.map_err(FileError::place)?;
        let uploads = left.len();
        // Before their notes go with what was on its way.
        for of in left.iter().filter_map(|name| noted(name)) {
            self.remove_noted(of).await?;
        }
        self.contents.sweep_uploads(left).await.map_err(FileError::place)?;
        let parts = self.contents.sweep_parts(&known).await.map_err(FileError::place)?;
        if uploads + parts > 0 {
            tracing::info!(uploads, parts, "what unfinished uploads left behind was removed");
        }
        Ok(())
    }

    /// Removes contents with a note in their place, unless a file has them.
    async fn remove_noted(&self, of: ContentsOf) -> Result<(), FileError> {
        let Some(removal) = self.pins.removal(of.clone()) else { return Ok(()) };
        if self.store.is_referenced(of.clone()).await? {
            return Ok(());
        }
        let contents = Arc::clone(&self.contents);
        // Whoever brings the same waits for its end, though whoever asked for it may have given up waiting.
        let removing = tokio::spawn(async move {
            let removed = contents.remove(&of).await;
            drop(removal);
            removed
        });
        removing.await.unwrap_or_else(|error| Err(error.into())).map_err(FileError::place)
    }

    /// Removes contents that no file has any more, whenever there are some, for as long as it is polled.
    pub async fn remove_unreferenced(self: Arc<Self>) {
        loop {
            let told = self.unreferenced.notified();
            match self.remove_all_unreferenced().await {
                Ok(()) => drop(tokio::time::timeout(EVERY, told).await),
                Err(error) => {
                    tracing::warn!(
                        error = crate::telemetry::describe(&error),
                        "contents that no file has stay for now"
                    );
                    tokio::time::sleep(PATIENCE).await;
                }
            }
            if let Err(error) = self.give_up_old_uploads().await {
                tracing::debug!(%error, "old uploads stay for now");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes every one that is noted now, but for those that somebody is at work on.
    pub(super) async fn remove_all_unreferenced(&self) -> Result<(), FileError> {
        let mut after = None;
        loop {
            let found = self.store.unreferenced(after, LOOKED_AT).await?;
            let Some(last) = found.last().cloned() else { return Ok(()) };
            let mut removals = stream::iter(found).map(|of| self.remove_one(of)).buffer_unordered(AT_ONCE);
            while let Some(removed) = removals.next().await {
                removed?;
            }
            after = Some(last);
        }
    }

    async fn remove_one(&self, of: ContentsOf) -> Result<(), FileError> {
        // Somebody needs them: they will be referenced, or noted still.
        let Some(removal) = self.pins.removal(of.clone()) else { return Ok(()) };
        if !self.store.is_referenced(of.clone()).await? {
            self.contents.remove(&of).await.map_err(FileError::place)?;
        }
        self.store.forget_contents(of).await?;
        drop(removal);
        Ok(())
    }

    async fn give_up_old_uploads(&self) -> Result<(), FileError> {
        let now = Time::now();
        for upload in self.store.all_part_uploads().await? {
            if upload.created_at.after(GIVEN_UP_AFTER) <= now {
                match self.abort_parts(upload.place, upload.id).await {
                    Ok(_) | Err(FileError::Store(StoreError::NoSuchUpload)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
