//! Fuzzing on the stable toolchain: every reader of files that others made, the option reader, the documented examples and all
//! that is callable, fed with what nobody should have written. What is expected is a result or an error in words, in time;
//! a panic, the end of the process, a hang or torch's own text is a finding. Each target runs in a process of its own, with
//! a limit of memory; the input at work is on disk, so that it is there when the process is not.
//!
//! `scripts/fuzz.sh --help` says how to run it for long. With the tests it takes 60 seconds in all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod mutate;
mod random;
mod readers;
mod watch;

use random::Random;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// How an input ended that ended well.
pub type Verdict = Result<(), String>;

/// Makes an input.
pub type Draw = Box<dyn Fn(&mut Random) -> Vec<u8>>;

/// Feeds one; what is wrong with how it ended. Panics are caught outside.
pub type Feed = Box<dyn Fn(&[u8]) -> Verdict>;

/// Something that is fed.
pub struct Target {
    pub name: &'static str,
    pub draw: Draw,
    pub feed: Feed,
}

/// What the command line asks for.
struct Order {
    seconds: Option<f64>,
    seed: u64,
    targets: Vec<String>,
    input: Option<PathBuf>,
    child: bool,
}

/// Seconds of all targets together when nothing is asked for.
const IN_ALL: f64 = 60.0;

/// More memory than an input may make a target take.
#[cfg(target_os = "linux")]
const MEMORY: libc::rlim_t = 6 << 30;

fn main() -> ExitCode {
    let Some(order) = read_order() else { return ExitCode::SUCCESS };
    lethe::host::evaluate::quiet_panics();
    if order.child { child(&order) } else { parent(&order) }
}

/// `None` when only other tests are asked for.
fn read_order() -> Option<Order> {
    let mut order = Order { seconds: None, seed: 1, targets: vec![], input: None, child: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => order.seconds = Some(value().parse().expect("--seconds takes a number")),
            "--seed" => order.seed = value().parse().expect("--seed takes a whole number"),
            "--target" => order.targets.push(value()),
            "--input" => order.input = Some(value().into()),
            "--child" => order.child = true,
            "--list" => {
                names().iter().for_each(|name| println!("{name}"));
                return None;
            }
            // The filter of `cargo test NAME`.
            other if !other.starts_with('-') && !"fuzz".contains(other) => return None,
            _ => {}
        }
    }
    Some(order)
}

fn names() -> Vec<&'static str> {
    readers::NAMES.iter().chain(calls::NAMES).copied().collect()
}

fn target(name: &str) -> Target {
    readers::target(name).or_else(|| calls::target(name)).unwrap_or_else(|| {
        panic!("there is no target {name}; there are {}", names().join(", "));
    })
}

/// Where inputs are kept.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("a folder for inputs");
    folder
}

/// The file of the input that a target is at work on.
pub fn current(target: &str) -> PathBuf {
    folder().join(format!("current-{target}"))
}

/// Runs each target in a process of its own and tells how they ended.
fn parent(order: &Order) -> ExitCode {
    let all = names();
    let chosen: Vec<&str> =
        if order.targets.is_empty() { all } else { order.targets.iter().map(String::as_str).collect() };
    let seconds = order.seconds.unwrap_or(IN_ALL / chosen.len() as f64);
    let mut found = 0;
    for name in &chosen {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([
            "--child",
            "--target",
            name,
            "--seconds",
            &seconds.to_string(),
            "--seed",
            &order.seed.to_string(),
        ]);
        if let Some(input) = &order.input {
            command.arg("--input").arg(input);
        }
        let ended = command.output().expect("a process for the target");
        let said = String::from_utf8_lossy(&ended.stdout);
        print!("fuzz {name}: {}", said.lines().last().map(|line| format!("{line}\n")).unwrap_or_default());
        if !ended.status.success() {
            found += 1;
            tell(name, &ended, order);
        }
    }
    let outcome = if found == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {outcome}. {} passed; {found} failed; 0 ignored", chosen.len() - found);
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Keeps the input that a target failed on, and says how to feed it again.
fn tell(name: &str, ended: &std::process::Output, order: &Order) {
    println!("FAILED ({})", ended.status);
    let said = String::from_utf8_lossy(&ended.stderr);
    said.lines().take(12).for_each(|line| println!("    {line}"));
    if order.input.is_some() {
        return;
    }
    let bytes = std::fs::read(current(name)).unwrap_or_default();
    let kept = folder().join(format!("{name}-{:08x}", crc32fast::hash(&bytes)));
    match std::fs::write(&kept, &bytes) {
        Ok(()) => println!("    again: scripts/fuzz.sh --target {name} --input {}", kept.display()),
        Err(problem) => println!("    the input could not be kept: {problem}"),
    }
}

/// Feeds one target until its time is over.
fn child(order: &Order) -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
        // SAFETY: the structure outlives the call, which only reads it.
        unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) };
    }
    let name = order.targets.first().expect("a target").clone();
    let place = tempfile::tempdir().expect("a folder");
    for (variable, inside) in [("LETHE_CACHE", "cache"), ("LETHE_CONFIG", "config"), ("LETHE_STATE", "state")] {
        let inside = place.path().join(inside);
        std::fs::create_dir_all(&inside).expect("a folder");
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(variable, inside) };
    }
    let input = order.input.as_ref().map(|file| std::fs::read(file).expect("the input"));
    std::env::set_current_dir(place.path()).expect("the folder");
    tch::set_num_threads(1);
    // As deep as the interpreter's own.
    let (seconds, seed) = (order.seconds.unwrap_or(1.0), order.seed);
    let work = move || run(&target(&name), &name, seconds, seed, input);
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(work).expect("a thread");
    thread.join().unwrap_or(ExitCode::FAILURE)
}

fn run(target: &Target, name: &str, seconds: f64, seed: u64, input: Option<Vec<u8>>) -> ExitCode {
    let mut random = Random::new(seed, name);
    let watch = watch::Watch::new();
    let (start, file) = (Instant::now(), current(name));
    let mut count = 0_u64;
    loop {
        let bytes = input.clone().unwrap_or_else(|| (target.draw)(&mut random));
        std::fs::write(&file, &bytes).expect("the input is written");
        watch.begin();
        let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (target.feed)(&bytes)));
        watch.end();
        count += 1;
        match fed {
            Ok(Ok(())) => {}
            Ok(Err(wrong)) => {
                eprintln!("{wrong}");
                return ExitCode::FAILURE;
            }
            Err(_) => {
                eprintln!("it panicked");
                return ExitCode::FAILURE;
            }
        }
        if input.is_some() || start.elapsed() > Duration::from_secs_f64(seconds) {
            break;
        }
    }
    println!("{count} inputs in {:.1} s", start.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
