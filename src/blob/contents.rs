//! Where contents are: a folder or a bucket, through `object_store`. Contents have their SHA-256 for a name, in a folder of
//! their chitty id; what is on its way has a random one, elsewhere.
//!
//! `contents/{chitty id}/{2 digits}/{SHA-256}` · `uploads/{random}` · `parts/{upload}/{number}-{random}`. In a folder,
//! what has its name is whole and on the disk: it is written under another, synced, and renamed; or it is short, and has
//! both names until the store has heard of it ([`small`]).

mod read;
mod small;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, RetryConfig};
use url::Url;

use crate::store::Durability;
use crate::store::file::{ContentsOf, Part, UploadId};
use crate::telemetry::describe;
use small::Needless;
pub(super) use small::{Note, Put, noted};

/// What is on its way.
const UPLOADS: &str = "uploads";
/// Parts of uploads that have not ended.
const PARTS: &str = "parts";
/// What is in its place.
const CONTENTS: &str = "contents";
/// What is written at once into a folder, and the largest body that is held in memory until it is whole.
const LOCAL_PIECE: usize = 1 << 20;
/// The same elsewhere: S3 takes no smaller part.
const REMOTE_PIECE: usize = 5 << 20;
/// How long a request to a bucket is repeated: a client waits for it.
const RETRY_FOR: Duration = Duration::from_secs(20);
/// Repeated so many times at the most.
const RETRIES: usize = 4;
/// How long a bucket may take for one request, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// `files.store`: where contents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a folder, which is made if it is not there.
    Folder(PathBuf),
    /// In a bucket: `s3://`, `gs://`, `az://`, with a prefix or none. Credentials come from the environment.
    Bucket(Url),
}

/// The place for contents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// The folder cannot be made.
    #[error("files.store: `{path}` cannot be made or used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bucket's settings are not complete.
    #[error("files.store: `{url}` cannot be used; its credentials and region come from the environment")]
    Bucket {
        /// Where it was to be.
        url: String,
        /// Why.
        #[source]
        source: Box<object_store::Error>,
    },
}

/// The place for contents.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    store: Arc<dyn ObjectStore>,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
    /// What contents in a folder survive; a bucket has its own.
    durability: Durability,
    prefix: String,
    needless: Arc<Needless>,
    trouble: Arc<Trouble>,
}

/// What the place said last, if that was no good.
#[derive(Debug, Default)]
struct Trouble(Mutex<Option<Arc<str>>>);

impl Trouble {
    /// Notes how something went. That something is not there is an answer like others.
    fn note<T>(&self, went: object_store::Result<T>) -> object_store::Result<T> {
        let found = match &went {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => Some(describe(error).into()),
        };
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_some() || found.is_some() {
            *now = found;
        }
        went
    }
}

impl Contents {
    /// Opens the place. Asks no bucket anything.
    ///
    /// # Errors
    /// [`LocationError`].
    pub(super) fn open(location: &Location, durability: Durability) -> Result<Self, LocationError> {
        match location {
            Location::Folder(path) => {
                let failed = |source| LocationError::Folder { path: path.clone(), source };
                for folder in [UPLOADS, PARTS, CONTENTS] {
                    fs::create_dir_all(path.join(folder)).map_err(failed)?;
                }
                let folder = fs::canonicalize(path).map_err(failed)?;
                let local = LocalFileSystem::new_with_prefix(&folder).map_err(|error| failed(error.into()))?;
                let local = local.with_fsync(durability == Durability::PowerLoss);
                Ok(Self::new(Arc::new(local), (Some(folder), durability), String::new()))
            }
            Location::Bucket(url) => {
                let failed = |source| LocationError::Bucket { url: url.to_string(), source: Box::new(source) };
                let store = open_bucket(url).map_err(failed)?;
                let prefix = url.path().trim_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Ok(Self::new(store, (None, durability), prefix))
            }
        }
    }

    fn new(store: Arc<dyn ObjectStore>, (folder, durability): (Option<PathBuf>, Durability), prefix: String) -> Self {
        Self { store, folder, durability, prefix, needless: Arc::default(), trouble: Arc::default() }
    }

    /// What is wrong with the place, as far as that was seen.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bodies up to this many bytes are best held in memory until they are whole; larger ones are written in pieces of
    /// this many.
    pub(super) fn piece(&self) -> usize {
        if self.folder.is_some() { LOCAL_PIECE } else { REMOTE_PIECE }
    }

    fn path(&self, rest: &str) -> Path {
        Path::parse(format!("{}{rest}", self.prefix)).unwrap_or_else(|_| Path::from(format!("{}{rest}", self.prefix)))
    }

    fn of(&self, contents: &ContentsOf) -> Path {
        let hash = contents.hash.to_string();
        self.path(&format!("{CONTENTS}/{}/{}/{hash}", contents.chitty_id, &hash[..2]))
    }

    /// A name for what is on its way.
    pub(super) fn upload(&self) -> Path {
        self.path(&format!("{UPLOADS}/{}", uuid::Uuid::new_v4().simple()))
    }

    /// Where a part is.
    pub(super) fn part(&self, upload: UploadId, part: &Part) -> Path {
        self.path(&format!("{PARTS}/{}/{}-{:016x}", hex::encode(upload.0), part.number, part.nonce))
    }

    /// Begins to write a long body.
    pub(super) async fn begin(&self, at: &Path) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.trouble.note(self.store.put_multipart(at).await)
    }

    /// Writes a short body to where it is on its way.
    pub(super) async fn write(&self, at: &Path, body: Bytes) -> object_store::Result<()> {
        self.trouble.note(self.store.put(at, body.into()).await).map(drop)
    }

    /// Puts a short body in its place.
    pub(super) async fn put(&self, contents: &ContentsOf, body: Bytes) -> object_store::Result<()> {
        self.write(&self.of(contents), body).await
    }

    /// Puts in its place what is at `from`, and nowhere else then.
    pub(super) async fn settle(&self, from: &Path, contents: &ContentsOf) -> object_store::Result<()> {
        self.rename(from, &self.of(contents)).await
    }

    /// Moves what is on its way.
    pub(super) async fn rename(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        self.trouble.note(self.store.rename(from, to).await)
    }

    /// Removes what was on its way; that it is not there is no error.
    pub(super) async fn discard(&self, at: &Path) -> object_store::Result<()> {
        absent_is_fine(self.store.delete(at).await)
    }

    /// Whether contents are in their place, with so many bytes.
    pub(super) async fn has(&self, contents: &ContentsOf, size: u64) -> object_store::Result<bool> {
        match self.store.head(&self.of(contents)).await {
            Ok(found) => Ok(found.size == size),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether contents are in their place, with whatever size.
    pub(super) async fn is_there(&self, contents: &ContentsOf) -> object_store::Result<bool> {
        match self.store.head(&self.of(contents)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes contents, with what a process that was killed while it put them there may have left beside.
    pub(super) async fn remove(&self, contents: &ContentsOf) -> object_store::Result<()> {
        let at = self.of(contents);
        absent_is_fine(self.store.delete(&at).await)?;
        if let Some(folder) = &self.folder {
            let at = folder.join(at.as_ref());
            let swept = tokio::task::spawn_blocking(move || remove_unfinished(&at)).await;
            swept.unwrap_or(Ok(())).map_err(local_error)?;
        }
        Ok(())
    }

    /// The names of everything that is on its way, or was when the process before ended.
    pub(super) async fn left_uploads(&self) -> object_store::Result<Vec<String>> {
        if let Some(folder) = &self.folder {
            let uploads = folder.join(UPLOADS);
            let reading = tokio::task::spawn_blocking(move || names_in(&uploads));
            return reading.await.unwrap_or_else(|error| Err(error.into())).map_err(local_error);
        }
        let listed = self.store.list(Some(&self.path(UPLOADS)));
        listed.map_ok(|found| found.location.filename().unwrap_or_default().to_owned()).try_collect().await
    }

    /// Removes those, and nothing that came since: whoever asked for it may have given up waiting.
    pub(super) async fn sweep_uploads(&self, left: Vec<String>) -> object_store::Result<()> {
        if let Some(folder) = &self.folder {
            let uploads = folder.join(UPLOADS);
            let sweeping = tokio::task::spawn_blocking(move || {
                left.iter().try_for_each(|name| remove_if_there(&uploads.join(name)))
            });
            return sweeping.await.unwrap_or_else(|error| Err(error.into())).map_err(local_error);
        }
        for name in left {
            self.discard(&self.path(&format!("{UPLOADS}/{name}"))).await?;
        }
        Ok(())
    }

    /// Removes every part that is not among `known`. None may be on its way now. How many.
    pub(super) async fn sweep_parts(&self, known: &[Path]) -> object_store::Result<usize> {
        let known: std::collections::HashSet<&Path> = known.iter().collect();
        let mut removed = 0;
        let mut listed = self.store.list(Some(&self.path(PARTS)));
        while let Some(found) = listed.next().await {
            let at = found?.location;
            if !known.contains(&at) {
                self.discard(&at).await?;
                removed += 1;
            }
        }
        if let Some(folder) = &self.folder {
            let parts = folder.join(PARTS);
            let swept = tokio::task::spawn_blocking(move || remove_unfinished_parts(&parts)).await;
            removed += swept.unwrap_or(Ok(0)).map_err(local_error)?;
        }
        Ok(removed)
    }

    /// Removes the folder of an upload that has ended, where there are folders.
    pub(super) async fn forget_upload(&self, upload: UploadId) {
        if let Some(folder) = &self.folder {
            let folder = folder.join(PARTS).join(hex::encode(upload.0));
            // It is empty, or a part came late: the next start removes it.
            tokio::task::spawn_blocking(move || fs::remove_dir(folder)).await.ok();
        }
    }

    /// Everything that is in its place, with its size, in no order. A name that is none of ours is told as it is.
    pub(super) async fn list(
        &self,
        found: &mut (dyn FnMut(Result<ContentsOf, String>, u64) + Send),
    ) -> object_store::Result<()> {
        let root = self.path(CONTENTS);
        let mut listed = self.store.list(Some(&root));
        while let Some(entry) = listed.next().await {
            let entry = entry?;
            found(contents_at(&root, &entry.location), entry.size);
        }
        Ok(())
    }
}

fn contents_at(root: &Path, at: &Path) -> Result<ContentsOf, String> {
    let foreign = || at.to_string();
    let below = at.as_ref().strip_prefix(root.as_ref()).ok_or_else(foreign)?;
    let [chitty_id, digits, hash] = below.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] else {
        return Err(foreign());
    };
    let contents =
        ContentsOf { chitty_id: chitty_id.parse().map_err(|_| foreign())?, hash: hash.parse().map_err(|_| foreign())? };
    if hash.starts_with(digits) && contents.hash.to_string() == hash { Ok(contents) } else { Err(foreign()) }
}

fn open_bucket(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
    let options = ClientOptions::new().with_timeout(REQUEST_TIMEOUT);
    Ok(match url.scheme() {
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
            Arc::new(builder.with_retry(retry).with_client_options(options).build()?)
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
            Arc::new(builder.with_retry(retry).with_client_options(options).build()?)
        }
        _ => {
            // A server of one's own is often asked without TLS, and from_env reads whether that is allowed.
            let allowed = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|allowed| allowed.eq_ignore_ascii_case("true"));
            let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_allow_http(allowed);
            Arc::new(builder.with_retry(retry).with_client_options(options.with_allow_http(allowed)).build()?)
        }
    })
}

fn absent_is_fine(done: object_store::Result<()>) -> object_store::Result<()> {
    match done {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        done => done,
    }
}

fn local_error(source: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(source) }
}

/// Removes `{at}#…`: what is not whole yet is called so in a folder.
fn remove_unfinished(at: &std::path::Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (at.parent(), at.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let unfinished = entry
            .file_name()
            .to_str()
            .is_some_and(|found| found.strip_prefix(name).is_some_and(|rest| rest.starts_with('#')));
        if unfinished {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn names_in(folder: &std::path::Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn remove_if_there(at: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(at) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn remove_unfinished_parts(parts: &std::path::Path) -> io::Result<usize> {
    let mut removed = 0;
    for upload in fs::read_dir(parts)? {
        let upload = upload?;
        if !upload.file_type()?.is_dir() {
            continue;
        }
        for part in fs::read_dir(upload.path())? {
            let part = part?;
            if part.file_name().to_string_lossy().contains('#') {
                fs::remove_file(part.path())?;
                removed += 1;
            }
        }
        // Only one without parts can be removed so.
        fs::remove_dir(upload.path()).ok();
    }
    Ok(removed)
}
