//! The program as its user runs it.

mod bad_input;
mod codes;
mod place;
mod train;
