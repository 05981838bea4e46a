//! What was last found of one service, and what is said of it.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use super::target::{Answer, Target, is_well};
use crate::model::time::Time;
use crate::telemetry::metrics::EndpointUp;
use crate::upstream::probe::ProbeError;

/// How a service fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ServiceHealth)]
pub enum Health {
    /// It answers 2xx, on every endpoint.
    Healthy,
    /// It answers, but not so.
    Degraded,
    /// It does not answer, or is not asked.
    Down,
    /// It has not been asked yet.
    Unknown,
}

/// What is known of one service's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its id.
    pub service_id: String,
    /// A name for people, else its id.
    pub name: String,
    /// Where its clients reach it.
    #[schema(required)]
    pub url: Option<String>,
    /// `healthy`: 2xx on every endpoint; `degraded`: another answer, or none from some of its endpoints; `down`: none at
    /// all, or it is disabled or has no endpoint; `unknown`: not asked yet.
    pub status: Health,
    /// What it answered, where it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Why it is not healthy, where that is no status: `connection failed`, `timeout`, `no HTTP answer`, `no usable
    /// address`, `no endpoint`, `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// When it was last asked: RFC 3339, milliseconds, UTC; `null` = never.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    pub last_checked: Option<Time>,
}

/// What was last found.
#[derive(Debug)]
pub(super) struct Found(Mutex<Last>);

#[derive(Debug)]
struct Last {
    finding: Finding,
    /// One for each place, in their order; none once the service is gone.
    gauges: Vec<EndpointUp>,
}

/// Of one round of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    health: Health,
    code: Option<u16>,
    error: Option<&'static str>,
    at: Option<Time>,
}

impl Finding {
    /// What the answers of one round say together.
    pub(super) fn of(answers: &[Answer], at: Time) -> Self {
        let worst = answers.iter().find(|answer| answer.is_err());
        let worst = worst.or_else(|| answers.iter().find(|answer| !is_well(**answer))).or(answers.first());
        let health = if answers.iter().copied().all(is_well) {
            Health::Healthy
        } else if answers.iter().any(Result::is_ok) {
            Health::Degraded
        } else {
            Health::Down
        };
        let (code, error) = match worst {
            Some(Ok(code)) => (Some(*code), None),
            Some(Err(error)) => (None, Some(word(*error))),
            None => (None, None),
        };
        Self { health, code, error, at: Some(at) }
    }
}

impl Found {
    /// `before`: what was known of the service as it was.
    pub(super) fn new(gauges: Vec<EndpointUp>, target: &Target, before: Option<&Self>) -> Self {
        let unasked = |health, error| Finding { health, code: None, error, at: None };
        let finding = if target.is_asked() {
            let before = before.map(|before| before.0.lock().unwrap_or_else(PoisonError::into_inner).finding);
            // What is known of a service that was not asked says nothing now.
            before.filter(|before| before.at.is_some()).unwrap_or(unasked(Health::Unknown, None))
        } else {
            unasked(Health::Down, Some(target.not_asked_because()))
        };
        Self(Mutex::new(Last { finding, gauges }))
    }

    /// Takes over what a round of questions gave.
    pub(super) fn take(&self, answers: &[Answer]) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.finding = Finding::of(answers, Time::now());
        for (gauge, answer) in last.gauges.iter().zip(answers) {
            gauge.set(is_well(*answer));
        }
    }

    /// Drops its series; what still comes in makes no new one. `by`: what takes its place, whose series are dropped as
    /// well, for they bear the same labels, and come back with its first answers.
    pub(super) fn retire(&self, by: Option<&Self>) {
        let gauges = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).gauges);
        // Held, so that none of them is set anew between.
        let _by = by.map(|by| by.0.lock().unwrap_or_else(PoisonError::into_inner));
        gauges.iter().for_each(EndpointUp::forget);
    }

    pub(super) fn status(&self, id: &str, name: &str, url: Option<String>) -> ServiceStatus {
        let finding = self.0.lock().unwrap_or_else(PoisonError::into_inner).finding;
        ServiceStatus {
            service_id: id.to_owned(),
            name: name.to_owned(),
            url,
            status: finding.health,
            status_code: finding.code,
            error: finding.error,
            last_checked: finding.at,
        }
    }
}

fn word(error: ProbeError) -> &'static str {
    match error {
        ProbeError::NoAddress => "no usable address",
        ProbeError::Connect => "connection failed",
        ProbeError::Timeout => "timeout",
        ProbeError::Broken => "no HTTP answer",
    }
}
