//! `lethe doctor`: what there is, where it came from, and what is missing.

use super::Ending;
use crate::data;
use crate::runtime::{cuda, output, user_dirs, versions};
use std::path::{Path, PathBuf};

/// The report, and whether anything needed is missing.
#[derive(Default)]
struct Report {
    missing: usize,
}

impl Report {
    fn title(&self, text: &str) {
        output::line(&format!("\n{text}"));
    }

    fn line(&self, name: &str, text: impl std::fmt::Display) {
        output::line(&format!("  {name:<14} {text}"));
    }

    fn needed(&mut self, name: &str, found: std::result::Result<String, String>) {
        match found {
            Ok(text) => self.line(name, text),
            Err(text) => {
                self.missing += 1;
                self.line(name, format!("MISSING: {text}"));
            }
        }
    }
}

/// Prints the report.
pub fn doctor() -> Ending {
    let mut report = Report::default();
    output::line(&format!("Lethe {}", versions::LETHE));
    software(&mut report);
    processor(&mut report);
    gpu(&report);
    places(&mut report);
    datasets(&report);
    match report.missing {
        0 => {
            output::line("\nEverything needed is in place.");
            Ending::Success
        }
        n => {
            output::line(&format!("\n{n} needed thing{} missing, see above.", if n == 1 { " is" } else { "s are" }));
            Ending::ScriptError
        }
    }
}

fn software(report: &mut Report) {
    report.title("software");
    report.line("rhai", versions::RHAI);
    let expected = versions::LIBTORCH_EXPECTED;
    let version = match versions::libtorch() {
        Some(version) if version.starts_with(expected) => Ok(version),
        Some(version) => Err(format!("this is {version}, {expected} is needed: run scripts/setup.sh")),
        None => Err(format!("its version cannot be read, {expected} is needed: run scripts/setup.sh")),
    };
    report.needed("libtorch", version);
    if let Some(folder) = cuda::libtorch_folder() {
        report.line("loaded from", folder.display());
        report.line("came from", provenance(&folder));
    }
    if let Some(linked) = option_env!("LETHE_LIBTORCH_LIB") {
        report.line("linked to", linked);
    }
}

/// Who put a libtorch where it is.
fn provenance(folder: &Path) -> String {
    let inside = |name: &str| folder.components().any(|part| part.as_os_str() == name);
    if std::env::var_os("LD_LIBRARY_PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|path| path == folder))
    {
        return "LD_LIBRARY_PATH".into();
    }
    let python = folder.ancestors().find(|part| part.file_name().is_some_and(|name| name == "lib" && *part != folder));
    match python.and_then(Path::parent) {
        Some(home) if inside(".venv") => {
            format!("the private Python environment {} (scripts/setup.sh)", home.display())
        }
        Some(home) if inside("site-packages") || inside("dist-packages") => {
            format!("the PyTorch of {}", home.display())
        }
        _ => "an unpacked libtorch".into(),
    }
}

fn processor(report: &mut Report) {
    report.title("processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    report.line("threads", format!("{} by default, {cores} cores usable", super::start::default_threads()));
    let yes = |have: bool| if have { "yes" } else { "no" };
    report.line(
        "libraries",
        format!(
            "MKL {}, oneDNN {}, OpenMP {}",
            yes(tch::utils::has_mkl()),
            yes(tch::utils::has_mkldnn()),
            yes(tch::utils::has_openmp())
        ),
    );
    // One product proves that the kernels load and run.
    let ones = tch::Tensor::f_ones([2, 2], (tch::Kind::Float, tch::Device::Cpu));
    let works = ones.and_then(|a| a.f_matmul(&a)).and_then(|c| c.f_double_value(&[0, 0]));
    report.needed(
        "arithmetic",
        match works {
            Ok(2.0) => Ok("works".into()),
            Ok(other) => Err(format!("1 + 1 came out as {other}")),
            Err(problem) => Err(problem.to_string().lines().next().unwrap_or_default().to_string()),
        },
    );
}

fn gpu(report: &Report) {
    report.title("devices");
    report.line("cpu", "usable");
    report.line("driver", cuda::driver().unwrap_or_else(|| "none".into()));
    match cuda::load() {
        Ok(1) => report.line("cuda", "usable: cuda:0"),
        Ok(count) => report.line("cuda", format!("usable: cuda:0 to cuda:{}", count - 1)),
        Err(reason) => report.line("cuda", format!("not usable: {reason}")),
    }
}

fn places(report: &mut Report) {
    report.title("folders");
    report.needed("cache", writable(user_dirs::cache()));
    report.needed("config", writable(user_dirs::config()));
    report.line("state", state(&user_dirs::state()));
    match user_dirs::data() {
        Ok(folder) => report.line("data", state(&folder)),
        Err(problem) => report.needed("data", Err(problem.to_string())),
    }
}

/// A folder with whether it is there.
fn state(folder: &Path) -> String {
    format!("{}{}", folder.display(), if folder.is_dir() { "" } else { " (not there yet)" })
}

/// A folder that can be written, or could be made.
fn writable(folder: PathBuf) -> std::result::Result<String, String> {
    let there = folder.ancestors().find(|part| part.symlink_metadata().is_ok());
    match there {
        Some(part) if !part.is_dir() => Err(format!("{}: {} is a file", folder.display(), part.display())),
        Some(part) if !crate::runtime::write_place::allows_writing(part) => {
            Err(format!("{}: {} cannot be written", folder.display(), part.display()))
        }
        _ => Ok(state(&folder)),
    }
}

fn datasets(report: &Report) {
    report.title("datasets");
    for one in data::list() {
        let where_ = if one.present { one.location } else { format!("not here: {}", one.location) };
        report.line(&one.name, where_);
    }
}
