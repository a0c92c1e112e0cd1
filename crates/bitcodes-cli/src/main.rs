//! The `bitcodes` program.

use std::process::ExitCode;

/// The system's allocator maps every large tensor anew and unmaps it when the tensor is dropped,
/// which would take half of the time of a training.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bitcodes_cli::main()
}
