//! Tests that run the program as a user does.

mod adapters;
mod bad_input;
mod bad_models;
mod codes;
mod inspect;
#[cfg(unix)]
mod interruptions;
mod outputs;
mod place;
mod streams;
mod train;
