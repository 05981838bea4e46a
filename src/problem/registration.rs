//! What is wrong with a request concerning services, and what the registry says to one (CONTRACT.md §5, REGISTRY.md §3).

use http::StatusCode;

use super::{Problem, Shape};
use crate::registry::embedded::RegisterError;

impl Problem {
    /// 404: no service has this name.
    #[must_use]
    pub fn service_not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Service not found", message)
    }

    /// 409: the name is somebody else's.
    #[must_use]
    pub fn name_taken(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "name_taken", message)
    }

    /// The same error to one who registers a service.
    #[must_use]
    pub fn of_registration(self) -> Self {
        Self { shape: Shape::Registration, ..self }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        let message = error.to_string();
        match error {
            RegisterError::NotConfigured => Self::not_found(message),
            RegisterError::Unusable { .. } => Self::bad_request(message),
            RegisterError::NamedElsewhere { .. } => Self::name_taken(message),
            RegisterError::Store(error) => Self::from(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn each_error_has_its_status_and_word() {
        let unusable = || RegisterError::Unusable { field: "url", reason: "no base URL".to_owned() };
        let elsewhere = RegisterError::NamedElsewhere { name: "a".to_owned(), by: "a file".into() };
        for (error, status, word) in [
            (RegisterError::NotConfigured, 404, "not_found"),
            (unusable(), 400, "bad_request"),
            (elsewhere, 409, "name_taken"),
            (RegisterError::Store(StoreError::NameTaken), 409, "name_taken"),
            (RegisterError::Store(StoreError::NoSuchRegistration), 404, "Service not found"),
            (RegisterError::Store(StoreError::TooManyRegistrations(5)), 409, "too_many_registrations"),
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status.as_u16(), problem.word), (status, word));
        }
        let (_, body) = Problem::from(unusable()).of_registration().render("id", None);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["success"], false);
        assert_eq!(body["details"], json!(["url: no base URL"]));
        assert_eq!(body["error"], "bad_request");
    }
}
