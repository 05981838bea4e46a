//! What must hold for any input of the parsers that read what strangers write: one `check` each, which panics where it
//! does not hold.
//!
//! The fuzz targets call them with what the fuzzer makes up; the tests of the library call them with what proptest makes
//! up and, through [`corpus`], with what the fuzzer has found to be worth keeping. They see the library as its users do:
//! nothing is public for their sake.

#![allow(clippy::missing_panics_doc, reason = "it is what they are for")]

pub mod corpus;
pub mod host;
pub mod path;
pub mod prefix;
pub mod registry_document;
pub mod resource_uri;
pub mod sigv4_date;
pub mod yaml;
