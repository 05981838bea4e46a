//! Who asks too often (CONTRACT.md §0, "Rate limit").

use std::time::Duration;

use http::StatusCode;

use super::Problem;
use crate::auth::rate::Exceeded;

impl Problem {
    /// 429: the request is one too many. `Retry-After` is when the next one is allowed, in whole seconds.
    #[must_use]
    pub fn rate_limited(exceeded: Exceeded) -> Self {
        let seconds = whole_seconds(exceeded.wait);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let message = format!("Too many requests. Please try again in {seconds} {unit}.");
        Self {
            retry_after: Some(seconds),
            beside: Box::new([
                ("limit", exceeded.rate.count.get().into()),
                ("window", exceeded.rate.per.as_secs().into()),
                ("retryAfter", seconds.into()),
            ]),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded", message)
        }
    }
}

/// Rounded up, and at least one: a client that waits so long is let in.
fn whole_seconds(wait: Duration) -> u32 {
    let up = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(up).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use serde_json::{Value, json};

    use super::*;
    use crate::auth::rate::Rate;
    use crate::model::time::Time;

    #[test]
    fn the_contracts_body_and_a_wait_that_is_true() {
        for (wait, seconds) in [(0, 1), (1000, 1), (1001, 2), (59_000, 59)] {
            let rate = Rate::a_minute(NonZeroU32::new(100).unwrap());
            let wait = Duration::from_millis(wait);
            let problem = Problem::rate_limited(Exceeded { rate, wait, full_at: Time::from_millis(0) });
            let body: Value = serde_json::from_slice(&problem.render("id", None).1).unwrap();
            let shown = |name: &str| body[name].clone();
            assert_eq!(
                ["error", "limit", "window", "retryAfter"].map(shown),
                [json!("Rate limit exceeded"), json!(100), json!(60), json!(seconds)]
            );
            let after = problem.headers().find(|(name, _)| name == http::header::RETRY_AFTER).unwrap().1;
            assert_eq!(after, seconds.to_string());
        }
    }
}
