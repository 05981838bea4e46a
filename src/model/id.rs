//! Who and what stored things belong to, and what they are called: [`ChittyId`], [`SessionId`], [`KeyId`], [`TaskId`],
//! [`FileId`], [`SyncId`].
//!
//! They become parts of store keys, file names and event channels, so each is checked when made and holds no separator.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest [`ChittyId`] and [`SessionId`], in bytes.
pub const MAX_ID: usize = 128;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {what}; accepted: 1 to 128 of {accepted}, beginning with a letter or digit")]
pub struct IdError {
    what: &'static str,
    accepted: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $beside:literal, $accepted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let inside = |byte: u8| byte.is_ascii_alphanumeric() || $beside.contains(&byte);
                let fits = (1..=MAX_ID).contains(&text.len())
                    && text.as_bytes()[0].is_ascii_alphanumeric()
                    && text.bytes().all(inside);
                if fits { Ok(Self(text.into())) } else { Err(IdError { what: $what, accepted: $accepted }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A tenant: everything that is stored belongs to one. `^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$`.
    ChittyId,
    "a chitty id",
    b"._:@-",
    "A-Z, a-z, 0-9, `.`, `_`, `:`, `@` and `-`"
);
text_id!(
    /// A session inside a [`ChittyId`]: `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$` (DESIGN.md, "Who is calling").
    SessionId,
    "a session id",
    b"._-",
    "A-Z, a-z, 0-9, `.`, `_` and `-`"
);
text_id!(
    /// What a key is called in lists and logs; says nothing of the key itself.
    KeyId,
    "a key id",
    b"-",
    "A-Z, a-z, 0-9 and `-`"
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// As 16 bytes, ordered as the text is.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The inverse of `as_bytes`.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Reads the hyphenated form, in which it is always written; no other is an id.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
                Uuid::try_parse(text).ok().filter(|_| hyphenated).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id!(
    /// A task, unique in the whole store: a version 4 UUID (RFC 9562 §5.4).
    TaskId
);
uuid_id!(
    /// A file in the context of a session: a version 4 UUID.
    FileId
);
uuid_id!(
    /// A synchronisation: a version 4 UUID.
    SyncId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_nothing_that_separates() {
        for good in ["a", "01-A-TST-1234-P-2511-0-7", "did:chitty:x", "a@b.c", &"a".repeat(128)] {
            assert_eq!(good.parse::<ChittyId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".", "..", "a/b", "a\0b", "a b", "é", &"a".repeat(129)] {
            assert!(bad.parse::<ChittyId>().is_err(), "{bad}");
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
        assert!("a:b".parse::<SessionId>().is_err());
    }

    #[test]
    fn a_task_id_is_read_in_the_form_it_is_written() {
        let id = TaskId::random();
        assert_eq!(TaskId::parse(&id.to_string()), Some(id));
        assert_eq!(TaskId::from_bytes(*id.as_bytes()), id);
        for bad in ["", "nope", &id.to_string().replace('-', ""), &format!("{{{id}}}"), &format!("urn:uuid:{id}")] {
            assert_eq!(TaskId::parse(bad), None, "{bad}");
        }
    }
}
