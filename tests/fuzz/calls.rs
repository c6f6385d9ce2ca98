//! What is called rather than read: options, sources, the documented examples with their tokens mutated, everything callable
//! with arguments of all kinds, and numbers at the edges against every element type.

use super::random::Random;
use super::{Target, Verdict};
use lethe::host::Host;
use lethe::host::docs::catalog::Catalog;
use lethe::host::docs::entry::{Entry, Kind};
use lethe::runtime::Options;
use lethe::runtime::run::Settings;
use rhai::{Dynamic, Map};

pub const NAMES: &[&str] = &["options", "source", "examples", "calls", "numbers"];

/// Names that end or hold a script by their nature, or write where the driver did not say.
const LEFT_OUT: &[&str] = &["exit", "sleep", "eval", "input", "temporary_path"];

const DTYPES: &[&str] = &["u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "bool"];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "127",
    "128",
    "255",
    "256",
    "-129",
    "32768",
    "65505",
    "2147483647",
    "2147483648",
    "4294967296",
    "100000000000",
    "9223372036854775807",
    "(-9223372036854775807 - 1)",
    "0.0",
    "-0.0",
    "0.5",
    "-2.5",
    "1e-320",
    "65520.0",
    "1e39",
    "-1e39",
    "1e308",
    "NAN()",
    "INFINITY()",
    "-INFINITY()",
];

const OTHERS: &[&str] = &[
    "()",
    "true",
    "\"\"",
    "\"mean\"",
    "\"f32\"",
    "'x'",
    "[]",
    "[0]",
    "[-1]",
    "[2, 3]",
    "[1e300]",
    "[[1, 2], [3]]",
    "[()]",
    "[4294967296, 4294967296]",
    "#{}",
    "#{ dim: 7 }",
    "#{ seed: -1 }",
    "0..3",
    "3..0",
    "-1..=9223372036854775807",
    "|x| x",
    "|a, b| a - b",
    "|x| throw \"no\"",
    "blob(3)",
    "tensor([])",
    "zeros([0, 3])",
    "ones([2, 3])",
    "randn([4, 1, 8, 8])",
    "tensor([0, 2, 1])",
    "tensor(NAN())",
    "tensor([true, false])",
    "DATA",
    "DATA.train",
    "DATA.train.take(0..0)",
    "NET",
    "NET.copy()",
    "sgd(NET)",
    "forget(NET, DATA)",
    "nn::linear(4, 2)",
    "sequential([])",
];

/// The words a text is made of; spaces are left out.
const CLOSERS: &str = "()[]{},;.";

pub fn target(name: &str) -> Option<Target> {
    match name {
        "options" => Some(Target { name: "options", draw: Box::new(settings), feed: Box::new(read_options) }),
        "source" => Some(mutations("source", false)),
        "examples" => Some(mutations("examples", true)),
        "calls" => {
            let entries = entries();
            Some(scripts("calls", move |random| call(random.one(&entries), random)))
        }
        "numbers" => {
            let entries: Vec<_> = entries().into_iter().filter(|entry| entry.module == "tensor").collect();
            Some(scripts("numbers", move |random| numbers(&entries, random)))
        }
        _ => None,
    }
}

fn catalog() -> Vec<Entry> {
    Catalog::of(&Host::new(Settings::default()).engine).entries().to_vec()
}

fn entries() -> Vec<Entry> {
    let callable = |entry: &Entry| matches!(entry.kind, Kind::Function | Kind::Method | Kind::Property);
    catalog().into_iter().filter(|entry| callable(entry) && !LEFT_OUT.contains(&entry.name.as_str())).collect()
}

/// A target whose inputs are scripts.
fn scripts(name: &'static str, draw: impl Fn(&mut Random) -> String + 'static) -> Target {
    let host = Host::new(Settings::default());
    Target {
        name,
        draw: Box::new(move |random| draw(random).into_bytes()),
        feed: Box::new(move |bytes| judged(&host, &String::from_utf8_lossy(bytes))),
    }
}

/// Runs a script. Errors have to be in words, with a place, and torch's own text is none.
pub fn judged(host: &Host, text: &str) -> Verdict {
    let found = match host.compile("input", text).and_then(|ast| host.run_script(&ast)) {
        Ok(()) => return Ok(()),
        Err(error) => host.diagnose(&error, "input"),
    };
    let said = format!("{} {}", found.message, found.notes.join(" "));
    let foreign = ["internal error", "frame #", "enforce fail", "c10::", ".cpp", "at::", "Exception raised"];
    match foreign.iter().find(|words| said.contains(**words)) {
        Some(words) => Err(format!("the message has {words:?}: {said}\n{text}")),
        None if found.place.is_none() && !found.interrupted => Err(format!("an error without a place: {said}\n{text}")),
        None => Ok(()),
    }
}

fn preface(text: &str) -> String {
    let mut lines = String::new();
    if text.contains("DATA") || text.contains("NET") {
        lines += "let DATA = dataset(\"digits\", #{ per_class: 4 }); ";
    }
    if text.contains("NET") {
        lines += "let NET = convnet(DATA, #{ width: 2, depth: 1 }); ";
    }
    if text.contains("unlearn::") {
        lines += "import \"std/unlearn\" as unlearn; ";
    }
    lines + text
}

fn argument(random: &mut Random) -> String {
    match random.below(3) {
        0 => (*random.one(NUMBERS)).into(),
        1 => (*random.one(OTHERS)).into(),
        _ => format!("tensor([1, 0], #{{ dtype: \"{}\" }})", random.one(DTYPES)),
    }
}

/// A call of something with arguments of all kinds; one of them may be an option.
fn call(entry: &Entry, random: &mut Random) -> String {
    let mut arguments: Vec<String> = (0..random.below(4)).map(|_| argument(random)).collect();
    if !entry.doc.options.is_empty() && !random.once_in(3) {
        let option = random.one(&entry.doc.options);
        arguments.push(format!("#{{ \"{}\": {} }}", option.name, argument(random)));
    }
    let spelled = entry.signatures.first().and_then(|signature| signature.split('(').next()).unwrap_or(&entry.name);
    let name = if spelled.contains("::") && !spelled.contains('.') { spelled } else { &entry.name };
    let text = match entry.kind {
        Kind::Property => format!("{}.{};", argument(random), entry.name),
        Kind::Method => format!("let x = {}; x.{}({});", argument(random), entry.name, arguments.join(", ")),
        _ => format!("{name}({});", arguments.join(", ")),
    };
    preface(&text)
}

/// A tensor of some element type against a number at an edge.
fn numbers(entries: &[Entry], random: &mut Random) -> String {
    let (dtype, value) = (*random.one(DTYPES), *random.one(NUMBERS));
    let shape = *random.one(&["[1, 2]", "[]", "[[0, 1], [1, 0]]", "1"]);
    let start = format!("let t = tensor({shape}, #{{ dtype: \"{dtype}\" }}); let v = {value};");
    if random.once_in(3) {
        let operator = *random.one(&["+", "-", "*", "/", "%", "**", "==", "<", ">=", "@", "&", "|", "^", "<<", ">>"]);
        let sides = *random.one(&[("t", "v"), ("v", "t"), ("t", "t"), ("t.to(\"f16\")", "v")]);
        return format!("{start} {} {operator} {};", sides.0, sides.1);
    }
    let entry = random.one(entries);
    let mut arguments: Vec<String> = vec!["t".into()];
    for _ in 0..random.below(4) {
        let other = argument(random);
        arguments.push(random.one(&["v".to_string(), "v".into(), "t".into(), "t > 0".into(), other]).clone());
    }
    let swap = random.below(arguments.len());
    arguments.swap(0, swap);
    preface(&format!("{start} {}({});", entry.name, arguments.join(", ")))
}

/// The documented examples with tokens lost, doubled, exchanged or replaced; run, or read only.
fn mutations(name: &'static str, run: bool) -> Target {
    let examples: Vec<String> =
        catalog().into_iter().map(|entry| entry.doc.example).filter(|text| !text.is_empty()).collect();
    let mut words: Vec<String> = examples.iter().flat_map(|text| tokens(text)).collect();
    words.extend(NUMBERS.iter().chain(OTHERS).map(ToString::to_string));
    let host = Host::new(Settings::default());
    Target {
        name,
        draw: Box::new(move |random| {
            let mut parts = tokens(random.one::<String>(&examples));
            for _ in 0..=random.below(if run { 2 } else { 6 }) {
                let at = random.below(parts.len());
                match random.below(6) {
                    0 => drop(parts.drain(at..(at + 1).min(parts.len()))),
                    1 => parts.insert(at, random.one(&words).clone()),
                    2 => parts.insert(at, CLOSERS[random.below(CLOSERS.len())..][..1].to_string()),
                    3 => {
                        let other = random.below(parts.len());
                        parts.swap(at, other);
                    }
                    4 => parts[at] = (*random.one(NUMBERS)).into(),
                    _ => parts[at] = random.one(&words).clone(),
                }
            }
            parts.join(" ").into_bytes()
        }),
        feed: Box::new(move |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if LEFT_OUT.iter().any(|name| text.contains(name)) {
                return Ok(());
            }
            if run {
                return judged(&host, &text);
            }
            let report = lethe::host::lint::check(&host, "input", &text);
            let _ = report.render(false);
            Ok(())
        }),
    }
}

/// The words, numbers, strings and marks of a text, without its comments.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![];
    let code = text.lines().map(|line| line.split("// ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let mut rest = code.as_str();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '`' {
            rest[1..].find(first).map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if first.is_whitespace() {
            first.len_utf8()
        } else {
            let marks = ["..=", "::", "**", "==", "!=", "<=", ">=", "&&", "||", "#{", "..", "=>", "+=", "-="];
            marks.iter().find(|mark| rest.starts_with(**mark)).map_or(first.len_utf8(), |mark| mark.len())
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_string());
        }
        rest = &rest[length..];
    }
    if tokens.is_empty() { vec![";".into()] } else { tokens }
}

/// Options as text: keys and values, a line each.
fn settings(random: &mut Random) -> Vec<u8> {
    let keys = ["a", "b", "A", "", "a ", "ab", "widths", "\u{feff}a"];
    let lines = (0..random.below(5)).map(|_| format!("{}={}", random.one(&keys), argument(random)));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Asks for every kind of option.
fn read_options(bytes: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    let value = |text: &str| -> Dynamic {
        match (text.parse::<i64>(), text.parse::<f64>(), text) {
            (Ok(number), ..) => number.into(),
            (_, Ok(number), _) => number.into(),
            (.., "NAN()") => f64::NAN.into(),
            (.., "INFINITY()") => f64::INFINITY.into(),
            (.., "()") => Dynamic::UNIT,
            (.., "true") => true.into(),
            (.., "[]") => rhai::Array::new().into(),
            (.., "[2, 3]") => vec![Dynamic::from(2_i64), Dynamic::from(3_i64)].into(),
            (.., "#{}") => Map::new().into(),
            _ => text.to_string().into(),
        }
    };
    let given: Map =
        text.lines().filter_map(|line| line.split_once('=')).map(|(key, text)| (key.into(), value(text))).collect();
    let new = || Options::new("fuzz", given.clone());
    let _ =
        (new().number("a", 1.0), new().maybe_number("a"), new().between("a", 0.5, 0.0, 1.0), new().positive("a", 1.0));
    let _ = (
        new().non_negative("a", 1.0),
        new().integer("a", 1, 0),
        new().maybe_integer("a", i64::MIN),
        new().count("a", 1),
    );
    let _ =
        (new().flag("a", true), new().maybe_flag("a"), new().choice("a", "x", &["x", "mean"]), new().maybe_text("a"));
    let _ = (new().text("a", "x"), new().maybe_integers("a"), new().maybe_function("a"), new().map("a"));
    let mut options = new();
    let _ = (options.count("ab", 1), options.number("b", 0.0), options.describe_valid());
    match options.finish() {
        Ok(()) => Ok(()),
        Err(error) if error.to_string().contains("fuzz") => Ok(()),
        Err(error) => Err(format!("an error without its operation: {error}")),
    }
}
