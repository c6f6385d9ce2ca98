//! The `lethe` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lethe::runtime::allocator::prepare();
    lethe::cli::main()
}
