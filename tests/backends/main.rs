//! Tests that run on every backend. They are one program, because each program compiles the
//! backends anew.

// The library of the program contains every backend. Code that it shares with these tests is not
// compiled again.
use bitcodes_cli as _;

mod bad_samples;
mod balance;
mod checkpoints;
mod company;
mod constant_bits;
mod forms;
mod golden;
mod gradients;
mod init;
mod joint;
mod joint_pass;
mod joint_training;
mod kernels;
mod losses;
mod module;
mod precision;
mod properties;
mod records;
mod sampling;
mod units;
mod unquantized;
