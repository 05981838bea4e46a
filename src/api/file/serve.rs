//! Contents as an answer: whole or a range of them (RFC 9110 §14), never as something that a browser would run.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::ApiState;
use crate::model::stored_file::StoredFile;
use crate::problem::Problem;

/// Whatever has no media type.
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// What stands as it is in an extended value (RFC 8187 §3.2.1, `attr-char`).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Answers with the contents of `file`, or the range that `headers` ask for.
///
/// # Errors
/// 412, 416, 503.
pub(super) async fn contents(
    state: &ApiState,
    file: &StoredFile,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let size = file.contents.size;
    let tag = format!("\"{}\"", file.contents.hash);
    if headers.contains_key(header::IF_MATCH) && !names(headers, &header::IF_MATCH, &tag) {
        return Err(Problem::file_precondition_failed());
    }
    if names(headers, &header::IF_NONE_MATCH, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    // Of another version, the whole is what is wanted (RFC 9110 §13.1.5).
    let same = headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == tag.as_bytes());
    let asked = headers.get(header::RANGE).filter(|_| same && method == Method::GET);
    let range = match asked.map(|asked| range_of(asked, size)) {
        None | Some(Asked::Whole) => None,
        Some(Asked::Range(start, end)) => Some((start, end)),
        Some(Asked::Nothing) => {
            let mut response = Problem::range_not_satisfiable(size).into_response();
            set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
    };
    let (start, end) = range.unwrap_or((0, size));
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(state.files.open(file, start, end).await.map_err(Problem::from)?)
    };
    let mut response = Response::new(body);
    let answer = response.headers_mut();
    let mime = file.mime.as_deref().and_then(|mime| HeaderValue::from_str(mime).ok());
    answer.insert(header::CONTENT_TYPE, mime.unwrap_or(OCTETS));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set(answer, header::ETAG, &tag);
    set(answer, header::CONTENT_DISPOSITION, &disposition(file.name()));
    if let Some((_, coding)) = file.headers.iter().find(|(name, _)| name == "content-encoding") {
        set(answer, header::CONTENT_ENCODING, coding);
    }
    if range.is_some() {
        set(answer, header::CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// What a `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Everything: it has no range that is understood, or several, which are answered with the whole.
    Whole,
    /// From here up to there, which is not in it.
    Range(u64, u64),
    /// Nothing that there is.
    Nothing,
}

fn range_of(asked: &HeaderValue, size: u64) -> Asked {
    let parsed = asked.to_str().ok().and_then(|text| http_range_header::parse_range_header(text).ok());
    let Some(parsed) = parsed else { return Asked::Whole };
    match parsed.validate(size).as_deref() {
        Ok([one]) => Asked::Range(*one.start(), *one.end() + 1),
        Ok(_) => Asked::Whole,
        Err(_) => Asked::Nothing,
    }
}

fn names(headers: &HeaderMap, name: &HeaderName, tag: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// To be saved under its name (RFC 6266 §4.3): for old clients in ASCII, for others as it is.
fn disposition(name: &str) -> String {
    if name.is_empty() {
        return "attachment".to_owned();
    }
    let ascii: String =
        name.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '_' }).collect();
    if ascii == name {
        return format!("attachment; filename=\"{ascii}\"");
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_is_asked_for_of_what_there_is() {
        for (asked, size, expected) in [
            ("bytes=0-3", 10, Asked::Range(0, 4)),
            ("bytes=4-", 10, Asked::Range(4, 10)),
            ("bytes=-3", 10, Asked::Range(7, 10)),
            ("bytes=0-99", 10, Asked::Range(0, 10)),
            ("bytes=10-", 10, Asked::Nothing),
            ("bytes=5-99", 0, Asked::Nothing),
            ("bytes=0-1,3-4", 10, Asked::Whole),
            ("lines=0-1", 10, Asked::Whole),
            ("nonsense", 10, Asked::Whole),
        ] {
            assert_eq!(range_of(&HeaderValue::from_str(asked).unwrap(), size), expected, "{asked} of {size}");
        }
    }

    #[test]
    fn a_file_is_saved_under_its_name() {
        for (name, expected) in [
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            ("a\"b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
            ("ü", "attachment; filename=\"_\"; filename*=UTF-8''%C3%BC"),
            ("", "attachment"),
        ] {
            assert_eq!(disposition(name), expected);
        }
    }
}
