//! Tests that run on every backend; in one program, because each compiles the backends anew.

// The program has every backend compiled in: what it and these tests share is not compiled again.
use bitcodes_cli as _;

mod checkpoints;
mod forms;
mod golden;
mod gradients;
mod init;
mod kernels;
mod losses;
mod module;
mod precision;
mod properties;
mod records;
mod residual;
mod residual_training;
mod sampling;
mod unused_bits;
