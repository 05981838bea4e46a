//! A store as text, one JSON object a line, to be read by any engine and any later version: [`export`](mod@export) writes
//! it, [`import`] makes a store of it, and [`d1`] reads the tables of the original.
//!
//! The first line is a header, the last one counts what stands between them, so that a file that was cut is noticed. Times
//! are RFC 3339, ids and hashes text, JSON values stand as themselves. Of an API key there is its SHA-256, never itself.

pub(super) mod build;
pub mod d1;
pub mod export;
pub mod import;
pub(super) mod line;
pub mod merge;
