//! Hostile HTTP/1: each row is bytes on a socket, and what may come of them at the client and at the service.
//!
//! Whatever the row, its service gets no more requests than the row allows, each of them written without a doubt; what is
//! refused reaches nobody; the daemon goes on; and no answer tells what is inside.

mod case;
mod chunks;
mod coding;
mod fields;
mod hops;
mod host;
mod length;
mod line;
mod method;
mod pipeline;
mod run;
mod size;
mod target;
