//! The `lethe` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lethe::cli::main()
}
