//! A moment as the store keeps it and the contract writes it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z. Written `2026-01-02T03:04:05.678Z` in JSON, kept as a number in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The last moment that can be written: 9999-12-30T22:00:00.999Z.
    const LAST: u64 = 253_402_207_200_999;

    /// From milliseconds since the epoch; later than what can be written is taken for the last moment.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::LAST))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment. A clock before 1970 counts as 1970.
    #[must_use]
    pub fn now() -> Self {
        Self::from_millis(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0))
    }

    /// The day that it is in, in UTC: `2026-01-02`.
    #[must_use]
    pub fn date(self) -> String {
        self.to_string().chars().take(10).collect()
    }

    /// `duration` later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let timestamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        write!(f, "{timestamp:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_with_three_decimals() {
        assert_eq!(Time::from_millis(1_767_323_045_678).to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(Time::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time::from_millis(u64::MAX).to_string(), "9999-12-30T22:00:00.999Z");
    }
}
