//! `lethe cache`: what the cache holds, whether it is sound, and making room.

use super::{Ending, start};
use crate::data::catalog::decoded_files::Decodes;
use crate::experiment::cache::Models;
use crate::report::screen;
use crate::runtime::cache_folder::{About, Item, LEFTOVER, Shelf, Soundness, Stock};
use crate::runtime::io_error::reason;
use crate::runtime::{Error, Result, cache_folder, output, user_dirs};
use clap::builder::PossibleValuesParser;
use comfy_table::{CellAlignment, Table};
use indicatif::{HumanBytes, HumanDuration};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe cache list                                    the files, their sizes and ages
  lethe cache list --json | jq '.items[].file'
  lethe cache verify --remove                         read everything, remove what is damaged
  lethe cache clear --older-than 30                   what would be removed
  lethe cache clear --dataset digits --kind retrained --yes

It holds trained networks (original, retrained) and the decoded images of data sets (decoded).
Everything can be computed again: networks by training (the list says how long it took), images by
decoding their files. Several processes may use it at once. LETHE_CACHE names its folder.")]
pub struct CacheOptions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the files: kind, data set, network, seed, split, size, age, and the seconds that training took
    List(ListOptions),
    /// Read every file and check that it is undamaged
    Verify(VerifyOptions),
    /// Remove files; without --yes, only say which
    Clear(ClearOptions),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe cache list
  lethe cache list --json | jq '[.items[] | select(.dataset == \"digits\")] | length'

A dash: this kind of file has no such value, or an older version did not store it. Files that only
an earlier version used are kept until they are cleared (--kind earlier).
Drafts that a killed process left behind are listed after a day.")]
struct ListOptions {
    /// For machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe cache verify
  lethe cache verify --remove

Damaged files do no harm: they are noticed when they are read, and made again. Files that lethe
has not written, or that cannot be read, are reported and never touched. Exit code 2 when a
damaged, unreadable or foreign file remains.")]
struct VerifyOptions {
    /// Remove the damaged files
    #[arg(long)]
    remove: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lethe cache clear                                   what is there, removing nothing
  lethe cache clear --yes                             everything
  lethe cache clear --older-than 30 --yes             what was written 30 days ago or before
  lethe cache clear --dataset digits --model convnet --kind retrained --yes
  lethe cache clear --kind earlier --yes              what earlier versions left

A file goes when it fits every filter; one that does not tell its data set or network fits no
filter by it. Drafts that a killed process left behind (kind `leftover`) go after a day, whatever
the filters. Files that lethe has not written stay.")]
struct ClearOptions {
    /// Remove them; without it nothing is removed
    #[arg(long)]
    yes: bool,
    /// Written at least so many days ago
    #[arg(long, value_name = "DAYS", value_parser = days)]
    older_than: Option<Duration>,
    /// Of this data set
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Of this network, e.g. convnet
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(kinds()))]
    kind: Option<String>,
}

/// Every room that keeps files in the cache.
fn shelves() -> [&'static dyn Shelf; 2] {
    [&Models, &Decodes]
}

/// What `--kind` calls files of every kind that earlier versions wrote and this one does not use.
const EARLIER: &str = "earlier";

/// The kinds that `--kind` knows.
fn kinds() -> impl Iterator<Item = &'static str> {
    shelves().into_iter().flat_map(|shelf| shelf.kinds()).copied().chain([EARLIER, LEFTOVER])
}

/// A number of days, fractions included.
fn days(text: &str) -> std::result::Result<Duration, String> {
    let days = text.parse::<f64>().ok().filter(|days| *days >= 0.0);
    let duration = days.and_then(|days| Duration::try_from_secs_f64(days * 24.0 * 3600.0).ok());
    duration.ok_or_else(|| "expected a number of days, e.g. 30 or 0.5".into())
}

/// Lists, verifies or clears.
pub fn cache(options: &CacheOptions) -> Ending {
    let done = match &options.command {
        Command::List(options) => list(options),
        Command::Verify(options) => verify(options),
        Command::Clear(options) => clear(options),
    };
    done.unwrap_or_else(|error| start::complain(&error))
}

/// What lies on all shelves.
fn stocks() -> Result<Stock> {
    let (cache, mut all) = (user_dirs::cache(), Stock::default());
    for shelf in shelves() {
        let Stock { items, leftovers, foreign } = cache_folder::stock(shelf, &cache)?;
        all.items.extend(items);
        all.leftovers.extend(leftovers);
        all.foreign.extend(foreign);
    }
    Ok(all)
}

fn say(text: &str) {
    output::write(text);
}

/// `1 file`, `3 files`.
fn files(n: usize) -> String {
    format!("{n} file{}", if n == 1 { "" } else { "s" })
}

fn bytes(items: &[Item]) -> u64 {
    items.iter().map(|item| item.bytes).sum()
}

/// A path as seen from the cache folder.
fn inside(path: &Path) -> String {
    path.strip_prefix(user_dirs::cache()).unwrap_or(path).display().to_string()
}

fn place() -> String {
    let chosen = std::env::var_os("LETHE_CACHE").is_some_and(|value| !value.is_empty());
    let how = if chosen { "set by LETHE_CACHE" } else { "LETHE_CACHE names another one" };
    format!("{} ({how})", user_dirs::cache().display())
}

fn list(options: &ListOptions) -> Result<Ending> {
    let Stock { items, leftovers, foreign } = stocks()?;
    if options.json {
        let each = |items: &[Item]| items.iter().map(as_json).collect::<Vec<_>>();
        let (folder, total) = (user_dirs::cache().display().to_string(), bytes(&items) + bytes(&leftovers));
        let all = json!({ "folder": folder, "bytes": total, "items": each(&items), "leftovers": each(&leftovers) });
        say(&format!("{all:#}\n"));
        return Ok(Ending::Success);
    }
    let mut text = String::new();
    if items.is_empty() && leftovers.is_empty() {
        text = format!("The cache is empty: {}\n", place());
    } else {
        let all = [items.as_slice(), leftovers.as_slice()].concat();
        text += &table(&all);
        text += &format!("\n{}, {}, in {}\n", files(all.len()), HumanBytes(bytes(&all)), place());
    }
    let unreadable = items.iter().filter(|item| item.about.is_none()).count();
    for (n, what) in [
        (
            items.iter().filter(|item| is_earlier(item)).count(),
            "of an earlier version, used no more: lethe cache clear --kind earlier --yes",
        ),
        (leftovers.len(), "left behind by a killed process: lethe cache clear --kind leftover --yes"),
        (unreadable, "that cannot be read: lethe cache verify"),
        (foreign.len(), "not written by lethe: lethe cache verify"),
    ] {
        if n > 0 {
            text += &format!("{} {what}\n", files(n));
        }
    }
    say(&text);
    Ok(Ending::Success)
}

/// An item with a field for everything that is known.
fn as_json(item: &Item) -> Value {
    let About { dataset, model, seed, split, part, seconds, earlier } = item.about.clone().unwrap_or_default();
    json!({
        "kind": item.kind, "dataset": dataset, "part": part, "model": model, "seed": seed, "split": split,
        "bytes": item.bytes, "age_seconds": item.age.as_secs(), "training_seconds": seconds,
        "readable": item.about.is_some(), "earlier_version": earlier,
        "file": item.path.display().to_string(),
    })
}

const HEADINGS: [&str; 9] = ["kind", "dataset", "model", "seed", "split", "size", "age", "training", "file"];

/// The columns whose figures stand to the right.
const RIGHT: [&str; 4] = ["seed", "size", "age", "training"];

/// Whether an earlier version wrote this, so that it is not used.
fn is_earlier(item: &Item) -> bool {
    item.about.as_ref().is_some_and(|about| about.earlier)
}

/// Items in columns, below headings.
fn table(items: &[Item]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).force_no_tty().set_header(HEADINGS);
    for item in items {
        let About { dataset, model, seed, split, part, seconds, earlier } = item.about.clone().unwrap_or_default();
        let known = |text: Option<String>| text.unwrap_or_else(|| "–".into());
        table.add_row([
            format!("{}{}", item.kind, if earlier { " (earlier version)" } else { "" }),
            known(dataset.map(|name| part.map_or(name.clone(), |part| format!("{name} ({part})")))),
            known(model),
            known(seed.map(|seed| seed.to_string())),
            known(split),
            HumanBytes(item.bytes).to_string(),
            HumanDuration(item.age).to_string(),
            known(seconds.map(|seconds| format!("{} s", crate::report::leaderboard::columns::seconds(seconds)))),
            inside(&item.path),
        ]);
    }
    for (heading, column) in HEADINGS.iter().zip(table.column_iter_mut()) {
        column.set_padding((0, 2));
        column.set_cell_alignment(if RIGHT.contains(heading) { CellAlignment::Right } else { CellAlignment::Left });
    }
    screen::fit(&mut table);
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What verifying has found so far.
#[derive(Default)]
struct Found {
    lines: Vec<String>,
    read: usize,
    unchecked: usize,
    earlier: usize,
    damaged: usize,
    removed: usize,
    unreadable: usize,
    foreign: usize,
}

impl Found {
    fn verify(&mut self, shelf: &dyn Shelf, item: &Item, remove: bool) {
        let file = item.path.display();
        match shelf.verify(&item.path) {
            Ok(Soundness::Gone) => return,
            Ok(Soundness::Sound) => {}
            Ok(Soundness::Unchecked) => self.unchecked += 1,
            Ok(Soundness::Damaged(problem)) => {
                self.damaged += 1;
                self.lines.push(format!("damaged     {file}: {problem}"));
                self.removed += usize::from(remove && removes(item, &mut self.lines));
            }
            Err(problem) => {
                self.unreadable += 1;
                self.lines.push(format!("unreadable  {}", message(&problem)));
            }
        }
        self.read += 1;
        self.earlier += usize::from(is_earlier(item));
    }

    fn summary(&self) -> Vec<String> {
        let Self { read, unchecked, earlier, damaged, removed, unreadable, foreign, .. } = self;
        let mut lines =
            vec![format!("{} in {}: {damaged} damaged, {foreign} not written by lethe", files(*read), place())];
        if *unreadable > 0 {
            lines.push(format!("{} could not be read", files(*unreadable)));
        }
        if *unchecked > 0 {
            lines.push(format!("{} of an older version: readable, and compared in full when used", files(*unchecked)));
        }
        if *earlier > 0 {
            lines.push(format!("{} of an earlier version, used no more", files(*earlier)));
        }
        if *removed > 0 {
            lines.push(format!("{} removed", files(*removed)));
        } else if *damaged > 0 {
            lines.push("damaged files are computed again when needed; --remove removes them".into());
        }
        lines
    }
}

fn verify(options: &VerifyOptions) -> Result<Ending> {
    let (cache, mut found) = (user_dirs::cache(), Found::default());
    for shelf in shelves() {
        let stock = cache_folder::stock(shelf, &cache)?;
        stock.items.iter().for_each(|item| found.verify(shelf, item, options.remove));
        found.foreign += stock.foreign.len();
        let alone = |path: &PathBuf| format!("foreign     {}: not written by lethe, left alone", path.display());
        found.lines.extend(stock.foreign.iter().map(alone));
    }
    found.lines.extend(found.summary());
    say(&(found.lines.join("\n") + "\n"));
    let sound = found.damaged == found.removed && found.unreadable == 0 && found.foreign == 0;
    Ok(if sound { Ending::Success } else { Ending::Usage })
}

/// The message of an error without the operation: the file stands first.
fn message(error: &Error) -> String {
    match error {
        Error::Fault(fault) => fault.message.clone(),
        other => other.to_string(),
    }
}

/// Removes a file; says so when that fails. One that is gone already is as good as removed.
fn removes(item: &Item, lines: &mut Vec<String>) -> bool {
    match std::fs::remove_file(&item.path) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => {
            lines.push(format!("stays       {}: {}", item.path.display(), reason(&problem)));
            false
        }
        _ => true,
    }
}

impl ClearOptions {
    fn take(&self, item: &Item) -> bool {
        let about = item.about.clone().unwrap_or_default();
        let fits = |wanted: &Option<String>, own: Option<&str>| wanted.as_deref().is_none_or(|name| own == Some(name));
        let kind = if is_earlier(item) && self.kind.as_deref() == Some(EARLIER) { EARLIER } else { item.kind };
        fits(&self.kind, Some(kind))
            && fits(&self.dataset, about.dataset.as_deref())
            && fits(&self.model, about.model.as_deref())
            && self.older_than.is_none_or(|age| item.age >= age)
    }
}

fn clear(options: &ClearOptions) -> Result<Ending> {
    let Stock { items, leftovers, .. } = stocks()?;
    let all = items.len();
    let chosen: Vec<Item> = items.into_iter().filter(|item| options.take(item)).chain(leftovers).collect();
    if chosen.is_empty() {
        let what = if all == 0 { "the cache is empty".into() } else { format!("none of {} fits", files(all)) };
        say(&format!("Nothing to remove: {what}: {}\n", place()));
        return Ok(Ending::Success);
    }
    let (shown, all) = (table(&chosen), chosen.len());
    if !options.yes {
        let (n, size) = (files(all), HumanBytes(bytes(&chosen)));
        say(&format!(
            "{shown}\nThis would remove {n}, {size}, from {}\nNothing removed yet. Repeat with --yes to remove.\n",
            place()
        ));
        return Ok(Ending::Success);
    }
    let mut lines = vec![];
    let gone: Vec<Item> = chosen.into_iter().filter(|item| removes(item, &mut lines)).collect();
    lines.push(format!("Removed {}, {}, from {}", files(gone.len()), HumanBytes(bytes(&gone)), place()));
    say(&format!("{shown}\n{}\n", lines.join("\n")));
    Ok(if gone.len() < all { Ending::Usage } else { Ending::Success })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_numbers_from_zero() {
        assert_eq!(days("30"), Ok(Duration::from_secs(30 * 24 * 3600)));
        assert_eq!(days("0.5"), Ok(Duration::from_secs(12 * 3600)));
        for wrong in ["-1", "soon", "nan", "inf", "1e300", ""] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
