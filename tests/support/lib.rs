//! What the tests of several crates share: golden files, the plain specification they are judged
//! by, and every backend.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub mod backends;
pub mod golden;
pub mod losses;
pub mod plain;
pub mod residual;
