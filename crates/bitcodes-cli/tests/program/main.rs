//! The program as its user runs it.

mod bad_input;
mod bad_models;
mod codes;
mod place;
mod train;
