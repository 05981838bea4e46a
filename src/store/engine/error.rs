//! Why a store is not opened: what, where, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::store::kv::KvError;
use crate::store::migration::FORMAT;

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("store.path: `{path}` is in use by {by}; a store is open in one process at a time")]
    Locked {
        /// The store's folder.
        path: PathBuf,
        /// Which process.
        by: String,
    },
    /// The folder, or a file in it, cannot be used.
    #[error("store.path: `{path}` cannot be used")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no room on the disk for what opening needs.
    #[error("store.path: the disk of `{path}` has no room to open the store: {needed}")]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// What it needs.
        needed: String,
    },
    /// A newer version of the program wrote it.
    #[error(
        "store.path: `{path}` is in format {format}, and this version reads up to {FORMAT}; accepted: chittyconnect {reader}"
    )]
    TooNew {
        /// The store's folder.
        path: PathBuf,
        /// The format found.
        format: u8,
        /// The versions that read it.
        reader: String,
    },
    /// An older version of the program wrote it.
    #[error(
        "store.path: `{path}` is in format {format}, and this version writes {FORMAT}; `chittyconnect migrate` makes a \
         backup and brings it up to date"
    )]
    TooOld {
        /// The store's folder.
        path: PathBuf,
        /// The format found.
        format: u8,
    },
    /// Another engine wrote it.
    #[error(
        "store.engine: `{path}` was made by the engine {found}; set `store.engine: {found}` again, or bring what is in it into \
         a new folder with `chittyconnect store export` and `store import`"
    )]
    OtherEngine {
        /// The store's folder.
        path: PathBuf,
        /// The engine that made it.
        found: String,
    },
    /// The witness cannot be read.
    #[error(
        "store.path: `{path}` is damaged, so it cannot be told whether the store is whole; if you know that it is, remove \
         this file and start again"
    )]
    Witness {
        /// The witness file.
        path: PathBuf,
    },
    /// The engine's files are gone.
    #[error(
        "store.path: `{engine}` is missing, but {commit} changes were acknowledged; bring it back, or remove `{witness}` \
         to begin with an empty store"
    )]
    Missing {
        /// Where the engine's files should be.
        engine: PathBuf,
        /// The witness file.
        witness: PathBuf,
        /// The last change that was acknowledged.
        commit: u64,
    },
    /// Acknowledged changes are not in it.
    #[error(
        "the store is damaged: it came up with change {commit}, but change {acknowledged} was acknowledged; its files are as \
         they were found in `{files}`. To go on without the lost changes, `chittyconnect store repair`, or remove `{witness}` and start again"
    )]
    Behind {
        /// The last change in it.
        commit: u64,
        /// The last change that was acknowledged.
        acknowledged: u64,
        /// Where the files as they were found are.
        files: PathBuf,
        /// The witness file.
        witness: PathBuf,
    },
    /// It cannot be read, or not all of it is there.
    #[error(
        "the store is damaged: {what}; its files are as they were found in `{files}`. Bring back a backup, or have \
         `chittyconnect store repair` save what can be read, or move them and `{witness}` elsewhere to begin with an empty \
         store"
    )]
    Damaged {
        /// What is wrong.
        what: String,
        /// Where the files as they were found are.
        files: PathBuf,
        /// The witness file.
        witness: PathBuf,
    },
    /// The engine does not open.
    #[error("store.path: the engine in `{path}` cannot be opened")]
    Engine {
        /// The engine's folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: KvError,
    },
    /// The API keys cannot be read.
    #[error("the store is damaged: its API keys cannot be read: {why}")]
    Keys {
        /// What is wrong.
        why: String,
    },
    /// The registrations of services cannot be read.
    #[error("the store is damaged: its registrations of services cannot be read: {why}")]
    Registrations {
        /// What is wrong.
        why: String,
    },
    /// A thread cannot be started.
    #[error("the store's thread cannot be started")]
    Thread(#[source] io::Error),
}
