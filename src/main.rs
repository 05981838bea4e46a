//! The `chittyconnect` command.

fn main() {}
