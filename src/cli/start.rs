//! What happens before a script runs: signals, threads, the device.

use super::{Color, Ending, Machine};
use crate::runtime::run::Settings;
use crate::runtime::{Error, cuda, interrupt, output};
use std::io::IsTerminal;

/// Reads `key=value`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.into())),
        _ => Err("expected KEY=VALUE, e.g. --set epochs=20".into()),
    }
}

/// Signals, once, before any thread starts.
pub fn prepare_process() {
    // A write beyond a file-size limit shall be an error that can be reported, not the end of the process.
    // SAFETY: sets a disposition that needs no handler; nothing else of this process uses the signal.
    #[cfg(unix)]
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Runs `work` on a thread whose stack is deep enough for scripts that recurse up to the limit.
pub fn on_large_stack(work: impl FnOnce() -> Ending + Send + 'static) -> Ending {
    const STACK: usize = 256 << 20;
    crate::host::evaluate::quiet_panics();
    let guarded = || crate::host::evaluate::guarded(work);
    let thread = std::thread::Builder::new().name("lethe".into()).stack_size(STACK).spawn(guarded);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(ending))) => ending,
        Ok(Ok(Err(said))) => {
            let error = Error::new("", format!("internal error: {said}"));
            complain(&error.hint("this is a defect of Lethe, not of the script; please report it"));
            Ending::ScriptError
        }
        Ok(Err(_)) => Ending::ScriptError,
        Err(problem) => complain(&Error::new("", format!("no thread for the interpreter: {problem}"))),
    }
}

/// What batch systems send before they kill: the run ends as by Ctrl-C, however often they send it.
#[cfg(unix)]
extern "C" fn asked_to_stop(_signal: libc::c_int) {
    interrupt::raise();
}

/// Ctrl-C and termination: the first asks the script to stop, the second leaves at once.
pub fn listen_to_signals() {
    let listening = ctrlc::set_handler(|| {
        if interrupt::raised() {
            interrupt::leave();
            std::process::exit(Ending::Interrupted.code().into());
        }
        interrupt::raise();
    });
    #[cfg(unix)]
    for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGXCPU] {
        // SAFETY: the handler only stores into an atomic.
        unsafe { libc::signal(signal, asked_to_stop as *const () as libc::sighandler_t) };
    }
    if let Err(problem) = listening {
        output::tell(&format!("warning: Ctrl-C will end the process at once: {problem}"));
    }
}

/// Makes everything that colours its output follow `--color`: bars and tables look at these two variables, as we do.
pub fn prepare_colors(choice: Color) {
    let (set, unset) = match choice {
        Color::Auto => return,
        Color::Always => ("CLICOLOR_FORCE", "NO_COLOR"),
        Color::Never => ("NO_COLOR", "CLICOLOR_FORCE"),
    };
    // SAFETY: called at the start of the process, before any other thread could read the environment.
    unsafe {
        std::env::set_var(set, "1");
        std::env::remove_var(unset);
    }
}

/// Whether what goes to `terminal` is coloured.
pub fn colored(terminal: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    set("CLICOLOR_FORCE") || (terminal.is_terminal() && !set("NO_COLOR"))
}

/// Prints an error of the command line itself.
pub fn complain(error: &Error) -> Ending {
    let red = if colored(&std::io::stderr()) { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    output::tell(&format!("{}error{}: {error}", red.0, red.1));
    if let Error::Fault(fault) = error {
        fault.notes.iter().for_each(|note| output::tell(&format!("   = {note}")));
        if !fault.hint.is_empty() {
            output::tell(&format!("help: {}", fault.hint));
        }
    }
    Ending::Usage
}

/// Decides threads and device; libtorch's thread counts are set here, once.
///
/// # Errors
/// When the device is not available.
pub fn settings(machine: &Machine, arguments: Vec<(String, String)>, quiet: bool) -> Result<Settings, Error> {
    let choice = cuda::choose(&machine.device)?;
    if let Some(remark) = choice.remark.filter(|_| !quiet) {
        output::tell(&format!("note: {remark}"));
    }
    tch::set_num_interop_threads(1);
    let threads = machine.threads.map_or_else(default_threads, |n| n as usize);
    tch::set_num_threads(threads as i32);
    Ok(Settings { seed: machine.seed, device: choice.device, threads, quiet, arguments })
}

/// As many threads as libtorch would take (one per core, or OMP_NUM_THREADS), within what the process may use.
pub fn default_threads() -> usize {
    let torch = tch::get_num_threads().max(1) as usize;
    std::thread::available_parallelism().map_or(torch, |available| torch.min(available.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_script_are_split_at_the_first_equals_sign() {
        assert_eq!(key_value("name=a=b"), Ok(("name".into(), "a=b".into())));
        assert_eq!(key_value("empty="), Ok(("empty".into(), String::new())));
        assert!(key_value("epochs").is_err() && key_value("=3").is_err());
    }
}
