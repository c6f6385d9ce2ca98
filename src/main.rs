//! The `lethe` command.

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let host = lethe::host::Host::new(lethe::runtime::run::Settings::default());
    if let Err(error) = host.run_file(&arguments[2]) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
