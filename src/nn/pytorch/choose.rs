//! Which of a file's groups of named tensors is taken: the one whose names and shapes fit a network; without a network the
//! largest. Of several that are as good, the usual names come first, averages last, and what was left is said.

use crate::nn::pytorch::dictionaries::Rank;
use crate::nn::pytorch::fit_names::{Fit, Shown, Wanted, bare, readings};
use crate::nn::state_dict::compare;
use crate::runtime::options::nearest;
use crate::runtime::{Error, Result};
use std::cmp::Reverse;
use std::collections::HashSet;

/// Names that a message lists.
const LISTED: usize = 6;

/// Named tensors that lie together in a file.
pub struct Group<'s> {
    /// How they are reached in the file; nothing for its root.
    pub path: &'s str,
    pub rank: Rank,
    pub shown: Vec<Shown<'s>>,
    /// Names of what is no tensor, and what it is.
    pub others: Vec<(&'s str, String)>,
}

/// The group that is taken.
pub struct Picked {
    pub group: usize,
    /// The name of each of its tensors, `None` for those that are left.
    pub names: Vec<Option<String>>,
    /// What a user has to know about it.
    pub remarks: Vec<String>,
}

/// One way to read a group.
struct Reading<'g, 's> {
    place: usize,
    group: &'g Group<'s>,
    fit: Fit,
}

impl Reading<'_, '_> {
    /// How it is reached: the group's path and the prefix.
    fn path(&self) -> String {
        joined(self.group.path, self.fit.prefix.trim_end_matches('.'))
    }

    fn rank(&self) -> Rank {
        self.group.rank.max(self.fit.rank)
    }

    fn outside(&self) -> Vec<&str> {
        let names = self.group.shown.iter().zip(&self.fit.names);
        names.filter(|(_, name)| name.is_none()).map(|((name, _), _)| *name).collect()
    }

    /// A part of a larger network may be taken for this one only under a name that says so, or that the user gave.
    fn taken(&self, key: &str) -> bool {
        self.fit.whole && (!key.is_empty() || self.fit.rank != Rank::Other || self.outside().is_empty())
    }

    fn picked(self, remarks: Vec<String>) -> Picked {
        Picked { group: self.place, names: self.fit.names, remarks }
    }
}

fn joined(path: &str, prefix: &str) -> String {
    [path, prefix].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

fn titled(path: &str) -> String {
    if path.is_empty() { "the names at the file's root".into() } else { format!("`{path}`") }
}

/// A few names, and how many more there are.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| name.chars().take(80).collect()).collect();
    let more = names.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn tensors(count: usize) -> String {
    if count == 1 { "1 tensor".into() } else { format!("{count} tensors") }
}

/// Picks the group that fits a network. `key` restricts it to the group of this path, or to names that begin with it.
///
/// # Errors
/// The first difference of the nearest group, when none fits; a key that is not there.
pub fn fitting(groups: &[Group<'_>], wanted: &Wanted<'_>, key: &str) -> Result<Picked> {
    let mut all: Vec<Reading<'_, '_>> = vec![];
    for (place, group) in groups.iter().enumerate() {
        let under = key.strip_prefix(group.path).map(|rest| rest.trim_start_matches('.'));
        let fits = readings(wanted, &group.shown, under.filter(|under| !under.is_empty()));
        let near = |fit: &Fit| fit.prefix.is_empty() || fit.names.iter().any(Option::is_some);
        all.extend(fits.into_iter().filter(near).map(|fit| Reading { place, group, fit }));
    }
    if !key.is_empty() {
        all.retain(|reading| reading.path() == key || (reading.group.path == key && reading.fit.rank != Rank::Other));
        if all.is_empty() {
            return Err(no_key(groups, key));
        }
    }
    all.sort_by_key(|reading| (!reading.taken(key), reading.rank()));
    let fits = all.iter().filter(|reading| reading.taken(key)).count();
    if fits == 0 {
        return Err(nothing_fits(groups, all, wanted));
    }
    let mut all = all.into_iter();
    let Some(first) = all.next() else { return Err(empty()) };
    let mut remarks = vec![];
    let rest: Vec<String> = all.take(fits - 1).map(|reading| titled(&reading.path())).collect();
    if !rest.is_empty() {
        let others = listed(rest.iter().map(String::as_str));
        let example = rest.first().map(|path| path.trim_matches('`')).unwrap_or_default();
        let (count, taken) = (rest.len() + 1, titled(&first.path()));
        remarks.push(format!(
            "{count} state dicts of the file fit the network: {taken} was taken, {others} left; \
             load(net, path, \"{example}\") takes another"
        ));
    }
    let outside = first.outside();
    if !outside.is_empty() {
        let (count, under) = (tensors(outside.len()), titled(first.fit.prefix.trim_end_matches('.')));
        remarks.push(format!("{count} outside {under} left: {}", listed(outside)));
    }
    Ok(first.picked(remarks))
}

fn empty() -> Error {
    Error::new("load", "holds no state dict").hint("save one with torch.save(net.state_dict(), path)")
}

/// The error of a key that no group has.
fn no_key(groups: &[Group<'_>], key: &str) -> Error {
    let paths: Vec<&str> = groups.iter().map(|group| group.path).filter(|path| !path.is_empty()).collect();
    let error = Error::new("load", format!("has no state dict named {key:?}")).word(key);
    let error = match nearest(key, paths.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error,
    };
    if paths.is_empty() { error } else { error.note(format!("its state dicts: {}", listed(paths))) }
}

/// The first difference of the reading that comes nearest.
fn nothing_fits(groups: &[Group<'_>], mut all: Vec<Reading<'_, '_>>, wanted: &Wanted<'_>) -> Error {
    all.sort_by_key(|reading| {
        (
            Reverse(reading.fit.matched.1),
            Reverse(reading.fit.matched.0),
            reading.rank(),
            Reverse(reading.group.shown.len()),
        )
    });
    let Some(reading) = all.into_iter().next() else { return empty() };
    let names = reading.fit.names.iter().zip(&reading.group.shown);
    let given: Vec<Shown<'_>> =
        names.clone().filter_map(|(name, (_, shape))| Some((name.as_deref()?, *shape))).collect();
    let distinct: HashSet<&str> = given.iter().map(|(name, _)| *name).collect();
    let path = reading.path();
    let unread = |name: &str| {
        let full = format!("{}{name}", reading.fit.prefix);
        reading.group.others.iter().find(|(other, _)| *other == name || *other == full).map(|(_, what)| what)
    };
    let missing =
        wanted.names.iter().map(|(name, _)| *name).find(|name| !distinct.contains(name) && unread(name).is_some());
    if let Some((name, what)) = missing.and_then(|name| Some((name, unread(name)?))) {
        return Error::new("load", format!("{name}: {what}"));
    }
    let error = match compare("load", &wanted.names, &given) {
        Err(error) => error,
        Ok(()) if distinct.len() < given.len() => {
            Error::new("load", "two names of the file are one when what wrappers add is taken off")
        }
        Ok(()) => {
            let outside = reading.outside();
            let message = format!(
                "the network fits a part of the file, {}, beside {} of other parts ({})",
                titled(&path),
                tensors(outside.len()),
                listed(outside)
            );
            return Error::new("load", message).hint(format!("load(net, path, \"{path}\") takes this part"));
        }
    };
    let error = match reading.fit.prefix.as_str() {
        "" => error,
        prefix => error.note(format!("{prefix:?} at the front of the file's names was taken off")),
    };
    if groups.len() == 1 && reading.group.path.is_empty() {
        return error;
    }
    let paths = listed(groups.iter().map(|group| if group.path.is_empty() { "its root" } else { group.path }));
    let count = tensors(reading.group.shown.len());
    error.note(format!("compared with {} ({count}), the nearest of: {paths}", titled(&path)))
}

/// Picks the group with the most tensors; of several the one with the most usual name.
///
/// # Errors
/// No group; a key that is not there.
pub fn largest(groups: &[Group<'_>], key: &str) -> Result<Picked> {
    let mut all: Vec<(usize, &Group<'_>)> = groups.iter().enumerate().collect();
    if !key.is_empty() {
        all.retain(|(_, group)| group.path == key);
        if all.is_empty() {
            return Err(no_key(groups, key));
        }
    }
    all.sort_by_key(|(_, group)| (Reverse(group.shown.len()), group.rank));
    let Some((place, group)) = all.first() else { return Err(empty()) };
    let mut remarks = vec![];
    // Lone tensors beside a state dict are figures: an accuracy, a temperature.
    let rest: Vec<&Group<'_>> =
        all.iter().skip(1).map(|(_, group)| *group).filter(|other| other.shown.len() > 1).collect();
    if let Some(other) = rest.first() {
        let (count, example) = (tensors(group.shown.len()), other.path);
        let others =
            rest.iter().map(|other| format!("{} ({})", titled(other.path), other.shown.len())).collect::<Vec<_>>();
        let others = listed(others.iter().map(String::as_str));
        let how =
            if example.is_empty() { String::new() } else { format!("; load_pth(path, \"{example}\") reads another") };
        remarks.push(format!("{} was read, with {count}; {others} left{how}", titled(group.path)));
    }
    if !group.others.is_empty() {
        let others = group.others.iter().map(|(name, what)| format!("{name} ({what})")).collect::<Vec<_>>();
        let others = listed(others.iter().map(String::as_str));
        remarks.push(format!("{} of its entries not read: {others}", group.others.len()));
    }
    let names: Vec<&str> = group.shown.iter().map(|(name, _)| *name).collect();
    let names = bare(&names).into_iter().map(Some).collect();
    Ok(Picked { group: *place, names, remarks })
}
