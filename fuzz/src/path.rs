//! Dot segments of paths.

use std::borrow::Cow;

use chittyconnect::route::path::resolve_dots;

/// `path`: as sent, without the query.
pub fn check(path: &[u8]) {
    let shown = path.escape_ascii();
    let found = resolve_dots(path).ok();
    let meant = meant(path);
    let show = |path: Option<&[u8]>| path.map(|path| path.escape_ascii().to_string());
    assert!(
        found.as_deref() == meant.as_deref(),
        "{shown}: {:?} for {:?}",
        show(found.as_deref()),
        show(meant.as_deref())
    );
    let Some(found) = found else { return };

    assert!(!has_dots(&found), "{shown}: {}", found.escape_ascii());
    let changed = *found != *path;
    assert_eq!(matches!(found, Cow::Owned(_)), changed, "{shown}");
    assert!(!changed || found.first() == Some(&b'/'), "{shown}: {}", found.escape_ascii());
    let again = resolve_dots(&found).ok();
    assert_eq!(again.as_deref(), Some(&*found), "{shown}");
}

/// Whether a segment of `path` means `.` or `..`, or hides one of them.
#[must_use]
pub fn has_dots(path: &[u8]) -> bool {
    path.split(|&b| b == b'/').any(|segment| dots(segment).is_some() || hides_dots(segment))
}

/// The path that is meant, read slowly: the first dot segment is removed, with the one before it if it is `..`, until there
/// is none. `None` where nothing can be meant.
#[must_use]
pub fn meant(path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"/").unwrap_or(path);
    let mut segments: Vec<&[u8]> = rest.split(|&b| b == b'/').collect();
    if segments.iter().any(|segment| hides_dots(segment)) {
        return None;
    }
    if segments.iter().all(|segment| dots(segment).is_none()) {
        return Some(path.to_vec());
    }
    while let Some((at, climbs)) = segments.iter().enumerate().find_map(|(at, one)| Some((at, dots(one)?))) {
        let from = at.checked_sub(climbs)?;
        let is_last = at + 1 == segments.len();
        segments.drain(from..=at);
        if is_last {
            segments.push(b"");
        }
    }
    Some([b"/", &*segments.join(&b'/')].concat())
}

/// How many segments a dot segment climbs.
fn dots(segment: &[u8]) -> Option<usize> {
    match &*decoded(segment) {
        b"." => Some(0),
        b".." => Some(1),
        _ => None,
    }
}

/// Whether there are dots between the slashes, backslashes and NULs inside of a segment.
fn hides_dots(segment: &[u8]) -> bool {
    let decoded = decoded(segment);
    let parts: Vec<_> = decoded.split(|b| matches!(b, b'/' | b'\\' | 0)).collect();
    parts.len() > 1 && parts.iter().any(|part| matches!(*part, b"." | b".."))
}

/// What is encoded of the bytes that matter here, decoded once.
fn decoded(segment: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = segment;
    while let Some((&first, behind)) = rest.split_first() {
        let code = rest.get(..3).map(<[u8]>::to_ascii_lowercase);
        let byte = match code.as_deref() {
            Some(b"%2e") => Some(b'.'),
            Some(b"%2f") => Some(b'/'),
            Some(b"%5c") => Some(b'\\'),
            Some(b"%00") => Some(0),
            _ => None,
        };
        decoded.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &rest[3..] } else { behind };
    }
    decoded
}
