//! Tells systemd how far the process is (`sd_notify(3)`); without systemd, nothing.

use sd_notify::NotifyState;

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// Serving.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Draining.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}
