//! The secret of this gateway: 256 random bits in a file that only it can read (`auth.secret_file`). Nothing is signed with
//! it; what signs is made of it, a key for each purpose, so that none tells anything of another.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::Sha256;

/// Bytes of the secret.
const BYTES: usize = 32;
/// Whoever else may read the file could sign.
const OTHERS: u32 = 0o077;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "their messages say it")]
pub enum SecretFileError {
    #[error("auth.secret_file: `{path}` cannot be read or made")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("auth.secret_file: `{0}` holds no secret; accepted: 64 hexadecimal digits, as `serve` writes them")]
    NoSecret(PathBuf),
    #[error("auth.secret_file: others than its owner may read `{path}` (mode {mode:o}); accepted: mode 600")]
    Mode { path: PathBuf, mode: u32 },
    #[error("the operating system gives no random numbers")]
    Random(#[source] rand::rand_core::OsError),
}

/// The secret. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewaySecret([u8; BYTES]);

impl fmt::Debug for GatewaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewaySecret(…)")
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Tokens of files.
    FileTokens,
    /// The secrets of S3 clients.
    S3Secrets,
}

impl GatewaySecret {
    /// Reads the secret, or makes one where there is no file.
    ///
    /// # Errors
    /// [`SecretFileError`].
    pub fn open(path: &Path) -> Result<Self, SecretFileError> {
        let failed = |source| SecretFileError::Io { path: path.to_owned(), source };
        match fs::read_to_string(path) {
            Ok(text) => {
                let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
                if mode & OTHERS != 0 {
                    return Err(SecretFileError::Mode { path: path.to_owned(), mode });
                }
                let mut secret = [0; BYTES];
                let read = hex::decode_to_slice(text.trim(), &mut secret);
                read.map(|()| Self(secret)).map_err(|_| SecretFileError::NoSecret(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(failed(error)),
        }
    }

    fn make(path: &Path) -> Result<Self, SecretFileError> {
        let failed = |source| SecretFileError::Io { path: path.to_owned(), source };
        let mut secret = [0; BYTES];
        OsRng.try_fill_bytes(&mut secret).map_err(SecretFileError::Random)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        // Such a file is its owner's alone from the first.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        writeln!(file, "{}", hex::encode(secret)).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        match file.persist_noclobber(path) {
            Ok(_) => fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?,
            // Somebody else made it at the same moment: that is the one.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Self::open(path),
            Err(error) => return Err(failed(error.error)),
        }
        Ok(Self(secret))
    }

    /// The key for a purpose.
    #[must_use]
    pub fn key_for(&self, purpose: Purpose) -> [u8; BYTES] {
        let label: &[u8] = match purpose {
            Purpose::FileTokens => b"file-tokens",
            Purpose::S3Secrets => b"s3-secrets",
        };
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        key[..BYTES].copy_from_slice(&self.0);
        Hmac::<Sha256>::new(&key).chain_update(label).finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/secret");
        let made = GatewaySecret::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(GatewaySecret::open(&path).unwrap(), made);
        assert_ne!(made.key_for(Purpose::FileTokens), made.key_for(Purpose::S3Secrets));
        assert_eq!(format!("{made:?}"), "GatewaySecret(…)");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(GatewaySecret::open(&path), Err(SecretFileError::Mode { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(matches!(GatewaySecret::open(&path), Err(SecretFileError::NoSecret(_))));
    }
}
