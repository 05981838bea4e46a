//! The paths under which services register themselves (REGISTRY.md §3): all that a host of `gateway.register` answers.

/// Where a service is registered.
pub const REGISTER: [&str; 4] = ["/api/register", "/api/v1/register", "/api/v1/tools", "/api/services/register"];
/// What one that is registered stands below.
const SERVICES: &str = "/api/services/";
/// What of one that is registered can be changed, beside itself.
const PARTS: [&str; 2] = ["status", "heartbeat"];

/// Whether `path`, with its dot segments resolved, is one of them.
#[must_use]
pub fn is_registration(path: &[u8]) -> bool {
    if REGISTER.iter().any(|known| known.as_bytes() == path) {
        return true;
    }
    let Some(below) = path.strip_prefix(SERVICES.as_bytes()) else { return false };
    let mut segments = below.split(|&byte| byte == b'/');
    let name = segments.next().unwrap_or_default();
    let part = segments.next();
    let is_part = part.is_none_or(|part| PARTS.iter().any(|known| known.as_bytes() == part));
    // `/api/services/status` is the status of all services, which is nobody's to change.
    !name.is_empty() && name != b"status" && is_part && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_paths_of_the_contract() {
        for path in [
            "/api/register",
            "/api/v1/register",
            "/api/v1/tools",
            "/api/services/register",
            "/api/services/x",
            "/api/services/x/status",
            "/api/services/x/heartbeat",
        ] {
            assert!(is_registration(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/health",
            "/api/register/",
            "/api/v1/tools/x",
            "/api/services",
            "/api/services/",
            "/api/services/status",
            "/api/services/x/",
            "/api/services/x/other",
            "/api/services/x/status/",
            "/api/services//status",
            "/api/context/tasks",
        ] {
            assert!(!is_registration(path.as_bytes()), "{path}");
        }
    }
}
