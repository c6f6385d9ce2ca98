//! Samples by a list in a text file: positions, names of files, or their paths.

use crate::data::class_names::composed;
use crate::data::{Data, Dataset};
use crate::runtime::text::MARK;
use crate::runtime::{Error, Result, options};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Candidates that a message names at most.
const NAMED: usize = 3;

/// The lines of a list that name samples.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What the file is called.
    pub name: String,
    /// Number and text of each line.
    lines: Vec<(usize, String)>,
}

/// What a line says about samples, or why it says nothing.
type Found = std::result::Result<Vec<usize>, Problem>;

/// Why a line names no sample.
struct Problem {
    message: String,
    hint: String,
}

impl Listed {
    /// Takes a text apart: blank lines and those that start with `#` say nothing.
    pub fn read(name: &str, text: &str) -> Self {
        // Lists that were joined have marks within.
        let lines = text.lines().map(|line| line.trim_start_matches(MARK).trim()).zip(1..);
        let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        Self { name: name.into(), lines: lines.map(|(line, number)| (number, line.to_string())).collect() }
    }

    /// The list in a few words.
    pub fn describe(&self) -> String {
        let positions: Option<usize> = self.lines.iter().map(|(_, line)| numbers(cut(line)).map(|n| n.len())).sum();
        match positions {
            Some(count) => format!("{}({count} positions)", self.name),
            None => format!("{}({} lines)", self.name, self.lines.len()),
        }
    }

    /// The positions in the training part of the samples that the list names.
    ///
    /// # Errors
    /// Lines that name no training sample, or several: the first of them, by its number.
    pub fn resolve(&self, data: &Data) -> Result<BTreeSet<usize>> {
        let index = Index::of(data);
        let (mut positions, mut problems) = (BTreeSet::new(), vec![]);
        for (number, line) in &self.lines {
            match index.line(line) {
                Ok(found) => positions.extend(found),
                Err(problem) => problems.push((number, problem)),
            }
        }
        let others = problems.len().saturating_sub(1);
        let Some((number, problem)) = problems.into_iter().next() else { return Ok(positions) };
        let message = format!("{}, line {number}: {}", self.name, problem.message);
        let error = Error::new("samples_from", message).hint(problem.hint);
        Err(match others {
            0 => error,
            1 => error.note("another line of the list names no sample either"),
            _ => error.note(format!("{others} other lines of the list name no sample either")),
        })
    }
}

/// A line without a comment at its end.
fn cut(line: &str) -> &str {
    let comment = line.char_indices().find(|(at, c)| {
        let before = line.get(..*at).unwrap_or_default();
        *c == '#' && (before.ends_with(char::is_whitespace) || numbers(before).is_some())
    });
    comment.map_or(line, |(at, _)| line.get(..at).unwrap_or_default()).trim()
}

/// The numbers of a line that has nothing else.
fn numbers(line: &str) -> Option<Vec<i64>> {
    let words = line.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|word| !word.is_empty());
    let numbers: Option<Vec<i64>> = words.map(|word| word.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

/// A path as the index has it.
fn tidy(path: &str) -> String {
    let quoted = |mark: char| path.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    let path = quoted('"').or_else(|| quoted('\'')).unwrap_or(path);
    let path = composed(path).replace('\\', "/");
    path.trim_start_matches("./").to_string()
}

/// Training and validation samples by the ends of their paths; the latter count from the end of the former.
struct Index<'a> {
    data: &'a Data,
    whole: HashMap<String, Vec<usize>>,
    ends: HashMap<String, Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(data: &'a Data) -> Self {
        let (mut whole, mut ends) = (HashMap::<String, Vec<usize>>::new(), HashMap::<String, Vec<usize>>::new());
        let parts = [(&data.train, 0), (&data.validation, data.train.len())];
        for (part, first) in parts {
            for (position, file) in (0..part.len()).filter_map(|at| Some((at + first, part.file(at)?))) {
                let path = tidy(file);
                path.match_indices('/').filter_map(|(at, _)| path.get(at + 1..)).for_each(|end| {
                    ends.entry(end.to_string()).or_default().push(position);
                });
                whole.entry(path).or_default().push(position);
            }
        }
        Self { data, whole, ends }
    }

    /// The samples of a line.
    fn line(&self, line: &str) -> Found {
        let short = cut(line);
        if let Some(numbers) = numbers(short) {
            return numbers.into_iter().map(|number| self.position(number)).collect();
        }
        // A name may have the mark of a comment in it: the longest text that is a file counts.
        let shorter = line.rmatch_indices('#').filter_map(|(at, _)| line.get(..at)).map(str::trim);
        if let Some(found) = [line].into_iter().chain(shorter).find_map(|text| self.file(text)) {
            return found.map(|position| vec![position]);
        }
        let words: Vec<&str> = short.split([',', ';', '\t']).map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.len() > 1 && words.iter().all(|word| self.file(word).is_some()) {
            return words.into_iter().map(|word| self.file(word).unwrap_or_else(|| Err(self.unknown(word)))).collect();
        }
        Err(self.unknown(short))
    }

    /// A position, unless a file has the number as its name.
    fn position(&self, number: i64) -> std::result::Result<usize, Problem> {
        if let Some(place) = self.ends.get(&number.to_string()).and_then(|places| places.first()) {
            let message = format!("{number} is a position and the name of the file {:?}", self.path(*place));
            return Err(Problem {
                message,
                hint: "write the path of the file, or leave the name away from the list".into(),
            });
        }
        let len = self.data.train.len();
        usize::try_from(number).ok().filter(|position| *position < len).ok_or_else(|| Problem {
            message: format!("position {number} is outside the training set (0..{len})"),
            hint: "positions count from 0, in the order of data.train".into(),
        })
    }

    /// The sample of a file; none where no file is meant.
    fn file(&self, text: &str) -> Option<std::result::Result<usize, Problem>> {
        let path = tidy(text);
        let below = || self.below_root(&path).and_then(|path| self.whole.get(&path));
        let places = self.whole.get(&path).or_else(|| self.ends.get(&path)).or_else(below)?;
        Some(match places.as_slice() {
            [place] if *place < self.data.train.len() => Ok(*place),
            [place] => Err(Problem {
                message: format!("{:?} is in the validation part, which nothing was trained on", self.path(*place)),
                hint: "load the folder with `validation: 0`, so that all of its training part trains".into(),
            }),
            several => {
                let shown: Vec<String> =
                    several.iter().take(NAMED).map(|place| format!("{:?}", self.path(*place))).collect();
                let more = several.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Err(Problem {
                    message: format!("{text:?} is the name of {} files: {}{more}", several.len(), shown.join(", ")),
                    hint: "write as much of the path as tells them apart".into(),
                })
            }
        })
    }

    /// A path from elsewhere as one below the folder of the data set.
    fn below_root(&self, path: &str) -> Option<String> {
        let root = self.data.train.root()?.canonicalize().ok()?;
        let own = Path::new(path).canonicalize().ok()?;
        Some(tidy(&own.strip_prefix(root).ok()?.to_string_lossy()))
    }

    /// The path of a training or validation sample.
    fn path(&self, place: usize) -> &str {
        let trained = self.data.train.len();
        let file = match place.checked_sub(trained) {
            None => self.data.train.file(place),
            Some(place) => self.data.validation.file(place),
        };
        file.unwrap_or_default()
    }

    /// The problem of a text that is neither a position nor a file.
    fn unknown(&self, text: &str) -> Problem {
        if self.whole.is_empty() {
            let message = format!("{text:?} is no position, and the samples of {} have no files", self.data.name);
            return Problem { message, hint: "one whole number a line, counted from 0".into() };
        }
        let path = tidy(text);
        if let Some(file) = held_out(&self.data.test, &path) {
            let message = format!("{file:?} is in the test part, which nothing was trained on");
            return Problem { message, hint: "only training samples can be forgotten".into() };
        }
        let names = self.whole.keys().chain(self.ends.keys()).map(String::as_str);
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        let hint = match options::nearest(&path, names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "data.train.files() lists the paths that can be named".into(),
        };
        Problem { message: format!("{text:?} is neither a position nor a file of the training set"), hint }
    }
}

/// The file of a part that a path means.
fn held_out<'a>(part: &'a Dataset, path: &str) -> Option<&'a str> {
    let files = (0..part.len()).filter_map(|position| part.file(position));
    let meant = |file: &&str| {
        let own = tidy(file);
        own == path || own.strip_suffix(path).is_some_and(|above| above.ends_with('/'))
    };
    files.into_iter().find(meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::storage::{DatasetInfo, Labelling, Storage};
    use tch::{Device, Kind, Tensor};

    fn part(files: &[&str]) -> Dataset {
        let n = files.len() as i64;
        let images = Tensor::zeros([n, 1, 2, 2], (Kind::Uint8, Device::Cpu));
        let labels = Tensor::zeros([n], (Kind::Int64, Device::Cpu));
        let storage = Storage::new(&images, &labels, DatasetInfo::default(), Device::Cpu).unwrap();
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        Dataset::new(storage.with_labelling(Labelling { files: files.into(), ..Labelling::default() }))
    }

    fn data() -> Data {
        let train = part(&["train/cat/1.png", "train/cat/a, b.png", "train/dog/1.png", "train/dog/caf\u{e9} #2.png"]);
        let (validation, test) = (part(&["train/cat/9.png", "train/dog/7.png"]), part(&["test/dog/55.png"]));
        Data::from_parts("pets", &train, &validation, &test).unwrap()
    }

    fn resolve(text: &str) -> std::result::Result<Vec<usize>, String> {
        let found = Listed::read("list.txt", text).resolve(&data());
        found.map(|found| found.into_iter().collect()).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn positions_have_commas_lines_and_comments() {
        assert_eq!(resolve("3, 1\r\n\r\n# none\r\n0 # the first\n2#").unwrap(), [0, 1, 2, 3]);
        assert!(resolve("0\n4").unwrap_err().contains("list.txt, line 2: position 4 is outside"));
        assert!(resolve("-1").unwrap_err().contains("position -1"));
        assert_eq!(Listed::read("l", "3, 1\n# none\n7 # the last\n").describe(), "l(3 positions)");
    }

    #[test]
    fn files_are_named_by_as_much_of_their_path_as_tells_them_apart() {
        assert_eq!(resolve("\u{feff}dog/1.png\n").unwrap(), [2]);
        assert_eq!(resolve("train/cat/1.png # asked twice\n\"./train/cat/1.png\"").unwrap(), [0]);
        assert_eq!(resolve("train\\dog\\1.png").unwrap(), [2]);
        assert_eq!(resolve("a, b.png").unwrap(), [1]);
        assert_eq!(resolve("cat/1.png, dog/1.png").unwrap(), [0, 2]);
        assert_eq!(resolve("cafe\u{301} #2.png # accents").unwrap(), [3]);
        let said = resolve("# names\n1.png").unwrap_err();
        assert!(said.contains("line 2") && said.contains("2 files") && said.contains("train/dog/1.png"), "{said}");
    }

    #[test]
    fn what_is_held_out_or_nowhere_is_told() {
        let said = resolve("dog/7.png").unwrap_err();
        assert!(said.contains("train/dog/7.png") && said.contains("validation: 0"), "{said}");
        assert!(resolve("dog/55.png").unwrap_err().contains("in the test part"));
        let said = resolve("0\ndog/11.png\nnothing\nnowhere").unwrap_err();
        assert!(said.contains("line 2") && said.contains("did you mean") && said.contains("2 other lines"), "{said}");
        assert!(resolve("dog/1.png, 3").unwrap_err().contains("neither a position nor a file"));
    }
}
