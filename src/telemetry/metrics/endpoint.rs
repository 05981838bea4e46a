//! Whether endpoints answer: one series for each endpoint of a service whose health is asked.

use prometheus::IntGaugeVec;

/// The gauge of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointUp {
    pub(super) vec: IntGaugeVec,
    pub(super) service: Box<str>,
    pub(super) endpoint: Box<str>,
}

impl EndpointUp {
    /// Notes whether it answers well. The series appears with the first time.
    pub fn set(&self, up: bool) {
        self.vec.with_label_values(&[&self.service, &self.endpoint]).set(i64::from(up));
    }

    /// Drops the series.
    pub fn forget(&self) {
        self.vec.remove_label_values(&[&self.service, &self.endpoint]).ok();
    }
}
