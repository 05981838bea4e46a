//! `files`: where contents are kept, and what files may be at the most.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use url::Url;

use crate::blob::{Config, Limits, Location};
use crate::store::Config as Store;
use crate::yaml::{FromYaml, Scalar, Section};

/// From a second to ten years.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 3600);
/// From one byte to more than any disk holds.
const SIZES: RangeInclusive<ByteSize> = ByteSize::b(1)..=ByteSize::tib(1024);
/// What S3 takes in one request, and copies in one.
const MAX_BYTES: ByteSize = ByteSize::gib(5);
/// The quota that the original tells its callers of.
const QUOTA: ByteSize = ByteSize::gib(1);
/// As long as the original's.
const TOKEN_TTL: Duration = Duration::from_secs(3600);
/// The folder of contents, in that of the store.
const FOLDER: &str = "files";

/// Reads the section.
pub(super) fn read(files: &Section<'_>, store: &Store) -> Config {
    let size = |key, usual: ByteSize| files.within(key, &SIZES).unwrap_or(usual).as_u64();
    Config {
        location: files
            .optional::<Place>("store")
            .map_or_else(|| Location::Folder(store.path.join(FOLDER)), |place| place.0),
        durability: store.durability,
        limits: Limits {
            max_bytes: size("max_bytes", MAX_BYTES),
            quota: size("quota", QUOTA),
            token_ttl: files.within("token_ttl", &TIMES).unwrap_or(TOKEN_TTL),
        },
    }
}

/// Where contents go.
struct Place(Location);

impl FromYaml for Place {
    const ACCEPTED: &'static str = "a directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix";

    fn from_scalar(scalar: &Scalar) -> Result<Self, String> {
        let text = scalar.text()?;
        let wrong = || format!("{} is not a place for files", scalar.shown());
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { Err(wrong()) } else { Ok(Self(Location::Folder(text.into()))) };
        };
        if !["s3", "gs", "az"].contains(&scheme) || rest.is_empty() {
            return Err(wrong());
        }
        let url = Url::parse(text).map_err(|error| format!("{}: {error}", wrong()))?;
        if !url.username().is_empty() || url.password().is_some() {
            // What is refused here may be a password, so it is not repeated.
            return Err("it holds credentials, which belong into the environment".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Err(wrong());
        }
        Ok(Self(Location::Bucket(url)))
    }
}
