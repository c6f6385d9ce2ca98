//! Tiny ImageNet as it is published: classes are folders named by WordNet's numbers, what to test on lies in one folder with a
//! list of its labels, and `words.txt` says what the numbers mean.

use super::class_folders::Tree;
use crate::runtime::{Error, Result};
use crate::tensor::io::safetensors_file::read_text;
use std::collections::HashMap;
use std::path::Path;

/// The list of labels, below the folder of a part.
const LABELS: &str = "val_annotations.txt";

/// What classes are called, beside the folders of the parts.
const WORDS: &str = "words.txt";

/// Whether a folder of a part has a list of labels instead of class folders.
pub fn is_listed(part: &Path) -> bool {
    part.join(LABELS).is_file()
}

/// The labelled pictures of a part.
///
/// # Errors
/// A list that cannot be read, names no class, or names files that are not there: by its line.
pub fn listed(part: &Path, classes: &[String]) -> Result<Tree> {
    let list = part.join(LABELS);
    let numbers: HashMap<&str, u16> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut files = vec![];
    for (line, number) in read_text("dataset", &list)?.lines().zip(1..) {
        let fail = |problem: String| Error::file("dataset", &list, format!("line {number}: {problem}"));
        let mut fields = line.split_whitespace();
        let (name, class) = match (fields.next(), fields.next()) {
            (None, _) => continue,
            (Some(name), Some(class)) => (name, class),
            _ => return Err(fail("a picture and its class are expected".into())),
        };
        let class = *numbers.get(class).ok_or_else(|| fail(format!("{class:?} is none of the classes of `train`")))?;
        let file = [part.join("images").join(name), part.join(name)].into_iter().find(|file| file.is_file());
        files.push((file.ok_or_else(|| fail(format!("there is no picture {name:?}")))?, class));
    }
    if files.is_empty() {
        return Err(Error::file("dataset", &list, "names no picture"));
    }
    files.sort_by(|(a, first), (b, second)| (first, a).cmp(&(second, b)));
    let note = format!("{} pictures labelled by {LABELS} are the test part, as `test` has no labels", files.len());
    Ok(Tree::listed(part, classes, files, note))
}

/// The names of classes that are numbers of WordNet: the first word for each, where no two classes have the same.
///
/// # Errors
/// A list that cannot be read.
pub fn words(root: &Path, classes: &[String]) -> Result<Vec<String>> {
    let list = root.join(WORDS);
    if !list.is_file() {
        return Ok(classes.to_vec());
    }
    let text = read_text("dataset", &list)?;
    let entries = text.lines().filter_map(|line| line.split_once('\t'));
    let words: HashMap<&str, &str> =
        entries.map(|(number, words)| (number, words.split(',').next().unwrap_or(words).trim())).collect();
    let word = |class: &String| words.get(class.as_str()).copied().filter(|word| !word.is_empty());
    let mut counts: HashMap<&str, usize> = HashMap::new();
    classes.iter().filter_map(word).for_each(|word| *counts.entry(word).or_default() += 1);
    let name = |class: &String| match word(class) {
        Some(word) if counts.get(word) == Some(&1) => word.to_string(),
        _ => class.clone(),
    };
    Ok(classes.iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_names_come_from_the_lists() {
        let folder = tempfile::tempdir().unwrap();
        let val = folder.path().join("val");
        std::fs::create_dir_all(val.join("images")).unwrap();
        ["val_0.JPEG", "val_1.JPEG"]
            .iter()
            .for_each(|name| std::fs::write(val.join("images").join(name), "x").unwrap());
        let classes = ["n01", "n02", "n03"].map(String::from);
        let list = |text: &str| std::fs::write(val.join(LABELS), text).unwrap();
        list("val_1.JPEG\tn03\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n");
        let tree = listed(&val, &classes).unwrap();
        let labels: Vec<u16> = tree.files.iter().map(|(_, class)| *class).collect();
        assert!(labels == [0, 2] && tree.files[0].0.ends_with("images/val_0.JPEG"));
        for (text, problem) in [
            ("val_0.JPEG\tn01\nval_1.JPEG\tn09", "line 2: \"n09\" is none of the classes"),
            ("val_7.JPEG\tn01", "line 1: there is no picture"),
            ("val_0.JPEG", "line 1: a picture and its class"),
            ("\n", "names no picture"),
        ] {
            list(text);
            let said = listed(&val, &classes).unwrap_err().to_string();
            assert!(said.contains(problem), "{said}");
        }
        assert_eq!(words(folder.path(), &classes).unwrap(), classes);
        std::fs::write(folder.path().join(WORDS), "n01\tgoldfish, Carassius\nn02\tcrane\nn03\tcrane\nn04\tx").unwrap();
        assert_eq!(words(folder.path(), &classes).unwrap(), ["goldfish", "n02", "n03"]);
    }
}
