//! The paths of files with their contents: their bodies may be as large as a file, and the ends of some are tokens, which
//! whoever reads them could use.

/// Where a file is brought in; the token follows.
const UPLOAD: &[u8] = b"/api/files/upload/";
/// Where one is taken out; the token follows.
const DOWNLOAD: &[u8] = b"/api/files/download/";

/// Whether what is sent to `path`, with its dot segments resolved, may be as large as a file.
#[must_use]
pub fn takes_contents(path: &[u8]) -> bool {
    path.starts_with(UPLOAD)
}

/// `path` without the token in it, if it has one: what may be shown.
#[must_use]
pub fn without_token(path: &[u8]) -> &[u8] {
    let public = [UPLOAD, DOWNLOAD].into_iter().find(|public| path.starts_with(public));
    public.map_or(path, |public| &path[..public.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_nobody() {
        for (path, shown) in [
            ("/api/files/upload/abc", "/api/files/upload/"),
            ("/api/files/download/abc/d", "/api/files/download/"),
            ("/api/files/upload", "/api/files/upload"),
            ("/api/files/0011", "/api/files/0011"),
        ] {
            assert_eq!(without_token(path.as_bytes()), shown.as_bytes(), "{path}");
        }
        assert!(takes_contents(b"/api/files/upload/abc") && !takes_contents(b"/api/files/upload"));
    }
}
