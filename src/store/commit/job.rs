//! A change on its way through the writer, whatever it answers.

use tokio::sync::oneshot;

use super::Transaction;
use crate::store::StoreError;

/// One change on its way.
pub(super) trait Job: Send {
    /// Puts the change into `transaction`, or keeps why not. Whether there is anything to commit.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// Tells who asked; `failed` = nothing of the group counts.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

pub(super) struct Pending<T, F> {
    change: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    asked: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Pending<T, F> {
    /// Not run yet; the answer goes to `asked`.
    pub(super) fn new(change: F, asked: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { change: Some(change), outcome: None, asked }
    }
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let outcome = self.change.take().map(|change| change(transaction));
        let done = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        done
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let Self { outcome, asked, .. } = *self;
        let closed = || Err(StoreError::Unavailable("it is closed".into()));
        let outcome = failed.map_or_else(|| outcome.unwrap_or_else(closed), Err);
        // Who asked may have gone.
        asked.send(outcome).ok();
    }
}
