//! The command line: reads it, dispatches, and turns what happened into an exit code.

mod cache;
mod check;
mod data;
mod doc;
mod doctor;
mod list;
mod record;
mod repl;
mod report;
mod run;
mod script;
mod start;

use crate::runtime::output;
use clap::{Parser, Subcommand, ValueEnum};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a command ended: the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All went well: 0.
    Success,
    /// The script raised an error: 1.
    ScriptError,
    /// The command line or a check was at fault: 2.
    Usage,
    /// Ctrl-C or a termination signal; rows recorded so far are on disk: 130.
    Interrupted,
    /// The script has called `exit` with this code.
    Chosen(u8),
}

impl Ending {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ScriptError => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
            Self::Chosen(code) => code,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}

const EXAMPLES: &str = "\
Examples:
  lethe run examples/quickstart.rhai            forget a fifth of the digits, five ways
  lethe run exp.rhai --set epochs=20 --seed 3   override arg(\"epochs\", ..), choose the seed
  lethe repl                                    try things out
  lethe check my_method.rhai                    find mistakes before anything runs
  lethe doc mmd                                 what a function does, with an example
  lethe list unlearners                         which methods there are
  lethe report runs/table                       the leaderboards of a finished run
  lethe cache list                              which trained networks are kept
  lethe data fetch cifar10                      get a data set
  lethe doctor                                  is everything in place, is CUDA usable

Exit codes: 0 success, 1 script error, or results or output that could not be written, 2 usage or check failed, 130 interrupted;
exit(n) in a script: n.";

/// An embedded scripting host for machine unlearning.
#[derive(Debug, Parser)]
#[command(name = "lethe", version, about, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// No progress on stderr
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a script, then run it
    Run(RunOptions),
    /// Try things out: a session that remembers
    Repl(ReplOptions),
    /// Find mistakes without running anything: syntax, unknown names, arity, imports
    Check(CheckOptions),
    /// What a function does, with its options and an example; without a name, everything there is
    Doc(DocOptions),
    /// List unlearners, datasets, models, condensers or metrics
    List(ListOptions),
    /// The leaderboards of finished runs, with every metric computed from the stored predictions
    Report(report::ReportOptions),
    /// The cache of trained networks: list, verify or clear it
    Cache(cache::CacheOptions),
    /// Data sets: which are here, getting them, checking them
    Data(DataOptions),
    /// Versions, libtorch, devices, folders, datasets: is everything in place
    Doctor,
}

/// What scripts run on.
#[derive(Debug, clap::Args)]
struct Machine {
    /// Random seed of the whole run
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    seed: u64,
    /// Threads of libtorch [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// auto, cpu, cuda or cuda:N; auto takes CUDA where there is an NVIDIA driver
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe run examples/quickstart.rhai
  lethe run exp.rhai --set epochs=20 --set 'widths=[16, 32]' --seed 3 --out results/first
  lethe run table.rhai --out results/table --resume     starts, or goes on where it stopped
  echo 'print(randn([2, 3]));' | lethe run -")]
struct RunOptions {
    /// The script; - reads it from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Override arg("KEY", default) of the script; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = start::key_value)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    machine: Machine,
    /// The run folder, of one process at a time [default: a new one below runs/, opened by the first recorded row]. Files that
    /// the script writes by relative names go there as well (without --out, to the current folder)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue in the folder of --out where an earlier run stopped: finished results are reused if everything they depend on
    /// is unchanged and their files are undamaged; results that the script no longer uses are kept and marked superseded
    #[arg(long, requires = "out")]
    resume: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe repl --seed 3
  echo 'mmd(randn([8]), randn([8]))' | lethe repl

History is kept in the file LETHE_HISTORY names, else in your folder for state. In the session, :help lists the commands.")]
struct ReplOptions {
    #[command(flatten)]
    machine: Machine,
}

#[derive(Debug, clap::Args)]
struct CheckOptions {
    /// The scripts; - reads one from standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe doc mmd
  lethe doc Tensor.item
  lethe doc --json | jq '.[].name'
  lethe doc --markdown > stdlib/REFERENCE.md")]
struct DocOptions {
    /// A function, method, property, operator or type
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
    /// The whole manual
    #[arg(long, conflicts_with_all = ["json", "name"])]
    markdown: bool,
    /// Whether this manual is current: exit code 2 when it is not
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "name", "markdown"])]
    check: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ListOptions {
    /// What to list
    what: Listed,
    /// For machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe data list
  lethe data fetch cifar10 svhn
  lethe data fetch cinic10 --url https://mirror.example/CINIC-10.tar.gz
  lethe data verify

Files go below LETHE_DATA, else below the folder that `data = \"FOLDER\"` in config.toml names, else below your folder for
data. Mirrors: a table [mirrors] in config.toml, e.g. cifar10 = \"https://mirror.example/cifar/\". Proxies: HTTPS_PROXY,
HTTP_PROXY, ALL_PROXY, NO_PROXY.

Exit codes: 0 success, 1 download failed or checksum wrong, 2 usage, 130 interrupted (partial downloads are kept).")]
struct DataOptions {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// List datasets, and how to get the missing ones
    List {
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Download data sets: continues where it was cut off, checks, then puts the files in place
    Fetch {
        /// The data sets
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Another server: the folder of the files (ends in /) or the file; may be repeated, tried in this order
        #[arg(long, value_name = "ADDRESS")]
        url: Vec<String>,
    },
    /// Compare installed files with the published checksums [default: all installed data sets]
    Verify {
        /// The data sets
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Print where a data set is or should be; without a name, the folder of all data sets
    Path {
        /// The data set
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listed {
    Unlearners,
    Datasets,
    Models,
    Condensers,
    Metrics,
}

/// Runs the command the arguments of the process ask for.
pub fn main() -> ExitCode {
    crate::runtime::allocator::prepare();
    start::prepare_process();
    let ending = match Cli::try_parse() {
        Ok(cli) => {
            start::prepare_colors(cli.color);
            start::on_large_stack(move || dispatch(&cli))
        }
        Err(told) => told_by_clap(&told),
    };
    // A script may have ended well; what it printed is lost nevertheless.
    match output::failure() {
        Some(error) => {
            start::complain(&error);
            if ending.code() == 0 { Ending::ScriptError } else { ending }
        }
        None => ending,
    }
    .into()
}

/// Prints help, the version, or what is wrong with the command line.
fn told_by_clap(told: &clap::Error) -> Ending {
    if let Err(problem) = told.print().and_then(|()| std::io::stdout().flush())
        && !told.use_stderr()
        && problem.kind() != std::io::ErrorKind::BrokenPipe
    {
        output::remember(&problem);
    }
    if told.use_stderr() { Ending::Usage } else { Ending::Success }
}

fn dispatch(cli: &Cli) -> Ending {
    match &cli.command {
        Command::Run(options) => run::run(options, cli.quiet),
        Command::Repl(options) => repl::repl(options, cli.quiet),
        Command::Check(options) => check::check(options, cli.quiet),
        Command::Doc(options) => doc::doc(options),
        Command::List(options) => list::list(options),
        Command::Report(options) => report::report(options, cli.quiet),
        Command::Cache(options) => cache::cache(options),
        Command::Data(options) => data::data(&options.command, cli.quiet),
        Command::Doctor => doctor::doctor(),
    }
}
