//! The lease against a made-up directory. No I/O.

#![allow(clippy::unwrap_used)]

mod ending;
mod held;
mod rivals;
mod told;
mod twins;
mod world;
