//! Support for the tests of several crates: the golden files, the specification in plain loops, and
//! macros that test every backend.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub mod backends;
pub mod golden;
pub mod losses;
pub mod plain;
pub mod residual;
