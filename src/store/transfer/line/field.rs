//! Values of lines that have a form of their own: moments, hashes, ids, JSON as it was written.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::model::time::Time;

/// Milliseconds since the epoch, as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) u64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Time::from_millis(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || D::Error::custom(format!("found {text:?}; accepted: a time such as 2026-01-02T03:04:05.678Z"));
        let moment: jiff::Timestamp = text.parse().map_err(|_| refused())?;
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| refused())
    }
}

/// Bytes as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hex(pub(super) [u8; 32]);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        // It may be a key itself, so it is not repeated.
        bytes.map(Self).ok_or_else(|| D::Error::custom("found what is no SHA-256; accepted: 64 hexadecimal digits"))
    }
}

/// An id of 16 bytes, as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) [u8; 16]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Uuid::from_bytes(self.0))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = Uuid::try_parse(&text).map_err(|_| D::Error::custom(format!("found {text:?}; accepted: a UUID")))?;
        Ok(Self(*id.as_bytes()))
    }
}

/// A JSON value, kept as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw(pub(super) String);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Between the tokens of JSON a line break is a space like any other, and within them there is none.
        let text = if self.0.contains(['\n', '\r']) { self.0.replace(['\n', '\r'], " ") } else { self.0.clone() };
        RawValue::from_string(text).map_err(|_| S::Error::custom("a JSON value in it is none"))?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get().to_owned()))
    }
}

/// A JSON value that is there, be it null.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Raw>, D::Error> {
    Raw::deserialize(deserializer).map(Some)
}
