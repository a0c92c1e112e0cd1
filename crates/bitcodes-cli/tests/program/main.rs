//! The program as its user runs it.

mod bad_input;
mod place;
mod train;
