//! Any JSON value, kept as it was written.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// One JSON value as text: numbers of any size and objects in any order come back as they were given.
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Takes `text` if it is one JSON value; white space around it is dropped.
    ///
    /// # Errors
    /// serde's, which is not for clients.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// What `value` looks like as JSON.
    ///
    /// # Errors
    /// When `value` has maps with keys that are no strings.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Arrays and objects inside each other, at the most: `1` has depth 0, `[]` has 1.
    #[must_use]
    pub fn depth(text: &str) -> usize {
        let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'[' | b'{' if !quoted => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        deepest
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl From<Box<RawValue>> for Json {
    fn from(value: Box<RawValue>) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was_written() {
        for text in ["1e400", "12345678901234567890.10", r#"{"b":1,"a":[ ]}"#, r#""\u00e9""#, "null"] {
            let json = Json::parse(text.to_owned()).unwrap();
            assert_eq!(serde_json::to_string(&json).unwrap(), text);
        }
        assert!(Json::parse("[1,]".to_owned()).is_err());
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        for (text, depth) in [("1", 0), ("[]", 1), (r#"{"a":[{}]}"#, 3), (r#""[[[""#, 0), (r#"["\"[[["]"#, 1)] {
            assert_eq!(Json::depth(text), depth, "{text}");
        }
    }
}
