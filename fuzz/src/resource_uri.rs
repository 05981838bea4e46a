//! URIs of files, as agents hand them around.

use chittyconnect::blob::uri::{MAX_URI, ResourceUri};

/// The session and the contents that names are tried in.
const SESSION: &str = "s-1";
const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `text`: a URI, a name of contents, and the key of a file.
pub fn check(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    check_uri(text);
    check_name(text);
    check_key(text);
}

/// What `text` is as a URI.
pub fn check_uri(text: &str) {
    let Ok(uri) = ResourceUri::parse(text) else { return };
    assert!(text.len() <= MAX_URI && !text.chars().any(char::is_control), "{text:?}");
    match &uri {
        ResourceUri::Contents { session_id, name, .. } => {
            assert!(text.starts_with("resource://connect/"), "{text}");
            assert_session(session_id.as_str());
            assert_part(name);
            assert!(!name.is_empty(), "{text}");
            // Nothing of the text is left out but the case of the hash.
            assert!(uri.to_string().eq_ignore_ascii_case(text), "{text}");
        }
        ResourceUri::File { session_id, key } => {
            assert!(text.starts_with("r2://files/"), "{text}");
            assert_session(session_id.as_str());
            key.as_str().split('/').for_each(assert_part);
            assert!(!key.as_str().starts_with('/') && !key.as_str().is_empty(), "{text}");
            assert_eq!(uri.to_string(), text);
        }
        ResourceUri::Elsewhere { url, text: kept } => {
            assert_eq!((url.scheme(), url.has_host(), &**kept), ("https", true, text));
            assert!(url.username().is_empty() && url.password().is_none(), "{text}");
        }
    }
    assert_eq!(ResourceUri::parse(&uri.to_string()), Ok(uri));
}

/// What contents are called with `name`.
pub fn check_name(name: &str) {
    let uri = ResourceUri::of_contents(SESSION.parse().unwrap(), HASH.parse().unwrap(), name);
    let text = uri.to_string();
    if text.len() <= MAX_URI {
        assert_eq!(ResourceUri::parse(&text), Ok(uri), "{name:?}");
        check_uri(&text);
    }
}

/// What the file with this key is called.
pub fn check_key(key: &str) {
    let text = format!("r2://files/{SESSION}/{key}");
    match key.parse() {
        Ok(key) => {
            let uri = ResourceUri::File { session_id: SESSION.parse().unwrap(), key };
            assert_eq!((uri.to_string(), ResourceUri::parse(&text)), (text, Ok(uri)));
        }
        Err(_) => assert!(ResourceUri::parse(&text).is_err(), "{text:?}"),
    }
}

fn assert_session(session: &str) {
    let fits = session.starts_with(|c: char| c.is_ascii_alphanumeric())
        && session.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    assert!(fits, "{session:?}");
}

/// One part of a path leads nowhere else.
fn assert_part(part: &str) {
    assert!(!part.contains('/') && !matches!(part, "." | "..") && !part.chars().any(char::is_control), "{part:?}");
}
