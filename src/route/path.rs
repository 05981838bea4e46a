//! Dot segments, plain or encoded, resolved before a path is routed (DESIGN.md, "Prefixes"; RFC 3986 §5.2.4).

use std::borrow::Cow;

/// A path that climbs above `/`, or hides dots behind `/`, `\` or NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path climbs above / or hides dot segments")]
pub struct BadPath;

/// Resolves the dot segments of `path` (no query). Every other byte stays as it is; nothing to resolve costs no
/// allocation.
///
/// # Errors
/// [`BadPath`].
pub fn resolve_dots(path: &[u8]) -> Result<Cow<'_, [u8]>, BadPath> {
    if !may_hold_dots(path) {
        return Ok(Cow::Borrowed(path));
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut changed = false;
    let mut ends_in_dots = false;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|&b| b == b'/') {
        let dots = dots_of(segment)?;
        match dots {
            Dots::None => segments.push(segment),
            Dots::One => {}
            Dots::Two => {
                segments.pop().ok_or(BadPath)?;
            }
        }
        ends_in_dots = !matches!(dots, Dots::None);
        changed |= ends_in_dots;
    }
    if !changed {
        return Ok(Cow::Borrowed(path));
    }
    let mut resolved = Vec::with_capacity(path.len());
    for segment in &segments {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    if ends_in_dots || segments.is_empty() {
        resolved.push(b'/');
    }
    Ok(Cow::Owned(resolved))
}

/// Whether any segment begins with a dot, or holds something encoded, a backslash or NUL: all others are left alone.
fn may_hold_dots(path: &[u8]) -> bool {
    let mut after_slash = true;
    path.iter().any(|&b| {
        let suspicious = matches!(b, b'%' | b'\\' | 0) || (after_slash && b == b'.');
        after_slash = b == b'/';
        suspicious
    })
}

enum Dots {
    None,
    One,
    Two,
}

/// What `segment` means once percent-decoded, one time.
fn dots_of(segment: &[u8]) -> Result<Dots, BadPath> {
    let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode(segment).into();
    match &*decoded {
        b"." => return Ok(Dots::One),
        b".." => return Ok(Dots::Two),
        _ => {}
    }
    let is_cut = |b: &u8| matches!(b, b'/' | b'\\' | 0);
    let hidden = decoded.iter().any(is_cut) && decoded.split(is_cut).any(|part| part == b"." || part == b"..");
    if hidden { Err(BadPath) } else { Ok(Dots::None) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::property;

    fn resolved(path: &str) -> Option<String> {
        resolve_dots(path.as_bytes()).ok().map(|p| String::from_utf8(p.into_owned()).unwrap())
    }

    #[test]
    fn dots_are_resolved_and_everything_else_stays() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/.", "/"),
            ("/echo/api/a%2Fb/%2e%2e/c%20d", "/echo/api/c%20d"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a//../b", "/a/b"),
            ("//a", "//a"),
            ("/a//b//", "/a//b//"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
            ("/a/..;/b", "/a/..;/b"),
            ("/a%2fb", "/a%2fb"),
            ("/a%00b", "/a%00b"),
            ("/%252e%252e/b", "/%252e%252e/b"),
            ("/a%", "/a%"),
            ("/%zz/../b", "/b"),
            ("/a\\b", "/a\\b"),
        ] {
            assert_eq!(resolved(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn climbing_and_hidden_dots_are_refused() {
        for path in [
            "/..",
            "/../a",
            "/a/../..",
            "/%2e%2e",
            "/a/../../b",
            "/a/..%2f",
            "/a/..%2Fb",
            "/a/%2e%2e%5cb",
            "/a/..\\b",
            "/a/.%00",
            "/a/..%00",
            "/a\0../b",
            "/a\0.",
            "/a%2f..%2fb",
            "/a%5c..",
            "/.%2f",
        ] {
            assert_eq!(resolved(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_resolved_as_they_are_meant(path in prop::collection::vec(any::<u8>(), 0..64)) {
            property::path::check(&path);
        }

        #[test]
        fn what_has_dots_is_resolved_as_it_is_meant(
            path in "/?([a-z.%/\\\\\0]|%2e|%2E|%2f|%5C|%00|%25|\\.\\.|/\\.\\./|/\\./){0,12}",
        ) {
            property::path::check(path.as_bytes());
        }
    }
}
