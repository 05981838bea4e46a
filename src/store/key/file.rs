//! The keys of files whose contents are kept (`migrations/embedded/m0003_files.rs`).

use super::{in_session, owned, split_owner, split_session, split_text, with};
use crate::model::id::{ChittyId, SessionId};
use crate::model::stored_file::{ContentHash, Contents, FileKey, StoredFile};
use crate::store::file::{ContentsOf, UploadId};
use crate::store::migration::m0003_files::{kind, meta};

/// What all files of a session begin with, in the order of their keys.
pub(in crate::store) fn stored_files(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::STORED_FILE, owner, session)
}

/// A file.
pub(in crate::store) fn stored_file(owner: &ChittyId, session: &SessionId, key: &FileKey) -> Vec<u8> {
    with(with(stored_files(owner, session), key.as_str().as_bytes()), &[0])
}

/// What a file is called whose key, behind `prefix`, is that of [`stored_file`]; `None` if it is the continuation of one.
pub(in crate::store) fn stored_file_key<'a>(prefix: &[u8], key: &'a [u8]) -> Option<&'a str> {
    let (name, []) = split_text(key.strip_prefix(prefix)?)? else { return None };
    Some(name)
}

/// What all files of a chitty id begin with, in the order of their contents.
pub(in crate::store) fn all_files_with(owner: &ChittyId) -> Vec<u8> {
    owned(kind::FILE_BY_CONTENTS, owner)
}

/// What all files with the same contents begin with.
pub(in crate::store) fn files_with(owner: &ChittyId, hash: &ContentHash) -> Vec<u8> {
    with(owned(kind::FILE_BY_CONTENTS, owner), &hash.0)
}

/// The same of one session.
pub(in crate::store) fn session_files_with(owner: &ChittyId, contents: Contents, session: &SessionId) -> Vec<u8> {
    let prefix = with(files_with(owner, &contents.hash), &contents.size.to_be_bytes());
    with(with(prefix, session.as_str().as_bytes()), &[0])
}

/// The place of a file among those with the same contents.
pub(in crate::store) fn file_by_contents(file: &StoredFile) -> Vec<u8> {
    let prefix = session_files_with(&file.chitty_id, file.contents, &file.session_id);
    with(with(prefix, file.key.as_str().as_bytes()), &[0])
}

/// What a key of [`file_by_contents`] says.
pub(in crate::store) struct FileWith {
    pub(in crate::store) owner: ChittyId,
    pub(in crate::store) contents: Contents,
    pub(in crate::store) session: SessionId,
    pub(in crate::store) key: FileKey,
}

/// The inverse of [`file_by_contents`].
pub(in crate::store) fn split_file_by_contents(key: &[u8]) -> Option<FileWith> {
    let (owner, rest) = split_owner(key)?;
    let (hash, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (session, rest) = split_text(rest)?;
    let (name, []) = split_text(rest)? else { return None };
    let contents = Contents { hash: ContentHash(*hash), size: u64::from_be_bytes(*size) };
    Some(FileWith { owner, contents, session: session.parse().ok()?, key: name.parse().ok()? })
}

/// Contents that no file has.
pub(in crate::store) fn pending(contents: &ContentsOf) -> Vec<u8> {
    with(owned(kind::PENDING, &contents.chitty_id), &contents.hash.0)
}

/// The inverse of [`pending`].
pub(in crate::store) fn split_pending(key: &[u8]) -> Option<ContentsOf> {
    let (chitty_id, hash) = split_owner(key)?;
    Some(ContentsOf { chitty_id, hash: ContentHash(hash.try_into().ok()?) })
}

/// What the buckets of a chitty id begin with.
pub(in crate::store) fn buckets(owner: &ChittyId) -> Vec<u8> {
    owned(kind::BUCKET, owner)
}

/// A session as a bucket.
pub(in crate::store) fn bucket(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::BUCKET, owner, session)
}

/// What the uploads of a chitty id begin with.
pub(in crate::store) fn all_uploads(owner: &ChittyId) -> Vec<u8> {
    owned(kind::UPLOAD, owner)
}

/// What the uploads of a session begin with.
pub(in crate::store) fn uploads(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    in_session(kind::UPLOAD, owner, session)
}

/// An upload in parts.
pub(in crate::store) fn upload(owner: &ChittyId, session: &SessionId, id: UploadId) -> Vec<u8> {
    with(uploads(owner, session), &id.0)
}

/// The inverse of [`upload`].
pub(in crate::store) fn split_upload(key: &[u8]) -> Option<(ChittyId, SessionId, UploadId)> {
    let (owner, session, id) = split_session(key)?;
    Some((owner, session, UploadId(id.try_into().ok()?)))
}

/// What the parts of a chitty id begin with.
pub(in crate::store) fn all_parts(owner: &ChittyId) -> Vec<u8> {
    owned(kind::PART, owner)
}

/// What the parts of an upload begin with.
pub(in crate::store) fn parts(owner: &ChittyId, session: &SessionId, id: UploadId) -> Vec<u8> {
    with(in_session(kind::PART, owner, session), &id.0)
}

/// A part of an upload.
pub(in crate::store) fn part(owner: &ChittyId, session: &SessionId, id: UploadId, number: u16) -> Vec<u8> {
    with(parts(owner, session, id), &number.to_be_bytes())
}

/// The inverse of [`part`].
pub(in crate::store) fn split_part(key: &[u8]) -> Option<(ChittyId, SessionId, UploadId, u16)> {
    let (owner, session, rest) = split_session(key)?;
    let (id, number) = rest.split_first_chunk()?;
    Some((owner, session, UploadId(*id), u16::from_be_bytes(number.try_into().ok()?)))
}

/// A token that was used.
pub(in crate::store) fn token_used(owner: &ChittyId, token: &[u8; 16]) -> Vec<u8> {
    with(owned(kind::TOKEN_USED, owner), token)
}

/// The inverse of [`token_used`].
pub(in crate::store) fn split_token_used(key: &[u8]) -> Option<(ChittyId, [u8; 16])> {
    let (owner, token) = split_owner(key)?;
    Some((owner, token.try_into().ok()?))
}

/// What a chitty id has: a meta record.
pub(in crate::store) fn usage(owner: &ChittyId) -> Vec<u8> {
    with(meta::USAGE.to_vec(), owner.as_str().as_bytes())
}

/// The inverse of [`usage`].
pub(in crate::store) fn split_usage(key: &[u8]) -> Option<ChittyId> {
    std::str::from_utf8(key.strip_prefix(meta::USAGE)?).ok()?.parse().ok()
}

/// How much the context of a session has: a meta record.
pub(in crate::store) fn rows(owner: &ChittyId, session: &SessionId) -> Vec<u8> {
    let key = with(with(meta::ROWS.to_vec(), owner.as_str().as_bytes()), &[0]);
    with(key, session.as_str().as_bytes())
}

/// The inverse of [`rows`].
pub(in crate::store) fn split_rows(key: &[u8]) -> Option<(ChittyId, SessionId)> {
    let (owner, session) = std::str::from_utf8(key.strip_prefix(meta::ROWS)?).ok()?.split_once('\0')?;
    Some((owner.parse().ok()?, session.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::KeyId;
    use crate::model::time::Time;

    #[test]
    fn a_hash_full_of_zeros_is_no_end_of_anything() {
        let owner: ChittyId = "a".parse().unwrap();
        for hash in [[0; 32], [255; 32]] {
            let key_id: KeyId = "k".parse().unwrap();
            let file = StoredFile {
                chitty_id: owner.clone(),
                session_id: "s".parse().unwrap(),
                key: "d/k".parse().unwrap(),
                contents: Contents { hash: ContentHash(hash), size: 0 },
                etag: String::new(),
                mime: None,
                headers: vec![],
                metadata: vec![],
                key_id,
                created_at: Time::from_millis(0),
                modified_at: Time::from_millis(0),
                source_modified_at: None,
            };
            let key = file_by_contents(&file);
            let found = split_file_by_contents(&key).unwrap();
            assert_eq!((found.owner, found.contents), (owner.clone(), file.contents));
            assert_eq!((found.session, found.key), (file.session_id, file.key));
            assert!(split_file_by_contents(&[&key[..], &[1]].concat()).is_none());
            let contents = ContentsOf { chitty_id: owner.clone(), hash: ContentHash(hash) };
            assert_eq!(split_pending(&pending(&contents)), Some(contents));
            let (session, id) = ("s".parse().unwrap(), UploadId([0; 16]));
            assert_eq!(split_part(&part(&owner, &session, id, 256)), Some((owner.clone(), session.clone(), id, 256)));
            assert_eq!(split_upload(&upload(&owner, &session, id)), Some((owner.clone(), session.clone(), id)));
            assert_eq!(split_rows(&rows(&owner, &session)), Some((owner.clone(), session)));
            assert_eq!(split_usage(&usage(&owner)), Some(owner.clone()));
        }
    }
}
