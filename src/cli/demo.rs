//! `demo`: the gateway with two sample services, all on this machine.
pub(super) fn run(_port: u16) -> Result<(), String> {
    Err("not yet".to_owned())
}
