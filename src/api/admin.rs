//! Answers for the operator: metrics, liveness, readiness, routes.
