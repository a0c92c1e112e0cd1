//! The program as its user runs it.

mod adapters;
mod bad_input;
mod bad_models;
mod codes;
mod place;
mod train;
