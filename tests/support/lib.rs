//! Support for the tests of several crates: the golden files, the specification in plain loops, and
//! macros that test every backend.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/training.md")]
struct Training;

#[cfg(doctest)]
#[doc = include_str!("../../docs/codes.md")]
struct Codes;

#[cfg(doctest)]
#[doc = include_str!("../../crates/bitcodes-core/README.md")]
struct CoreReadme;

pub mod backends;
pub mod golden;
pub mod joint;
pub mod losses;
pub mod plain;
