//! Documented signatures: what a function takes, and where a call differs from it.

use super::known::arguments;

/// The language's own types.
pub(super) const BASIC: [&str; 10] =
    ["int", "float", "string", "bool", "array", "map", "function", "range", "char", "()"];

/// One parameter of a documented signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The types it takes; empty where the signature does not say.
    pub kinds: Vec<String>,
    /// Whether a call may leave it out.
    pub optional: bool,
}

/// One documented signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The signature as written.
    pub text: String,
    /// The type of the value before the dot, in the signature of a method such as `task.reduce(..)`.
    pub of: String,
    /// The module in `nn::linear(..)`; empty for others.
    pub space: String,
    /// The parameters; a map of options is the last, named by nothing.
    pub parameters: Vec<Parameter>,
    /// The type of the result; empty where it is not one type.
    pub result: String,
}

impl Form {
    /// Whether the value before the dot may be of this type.
    pub(super) fn takes_first(&self, of: &str) -> bool {
        self.parameters.first().is_some_and(|first| accepts(&first.kinds, of))
    }

    /// The fewest and the most arguments.
    pub fn range(&self) -> (usize, usize) {
        (self.parameters.iter().filter(|one| !one.optional).count(), self.parameters.len())
    }

    /// Why arguments of these types are not taken; an empty type may be any.
    pub fn refuses(&self, given: &[String]) -> Option<Refusal> {
        let (least, most) = self.range();
        if given.len() < least || given.len() > most {
            return Some(Refusal::Number);
        }
        // Which of several optional parameters is meant is told by their types.
        let skipped = most - given.len();
        let fixed = self.parameters.iter().take_while(|one| !one.optional).count();
        let wrong = given.iter().enumerate().find_map(|(i, kind)| {
            let candidates = if i < fixed { i..i + 1 } else { i..i + skipped + 1 };
            let mut all = self.parameters.get(candidates).into_iter().flatten();
            (!kind.is_empty() && !all.any(|parameter| accepts(&parameter.kinds, kind))).then_some(i)
        });
        wrong.map(Refusal::Argument)
    }

    /// In words, what keeps the signature from taking these arguments; `None` when nothing does.
    pub fn difference(&self, given: &[String]) -> Option<String> {
        match self.refuses(given)? {
            Refusal::Number => {
                let (least, most) = self.range();
                // A value before the dot is not counted.
                let before = usize::from(!self.of.is_empty());
                let counted = arguments((least - before.min(least))..=(most - before.min(most)));
                Some(format!("it takes {counted}"))
            }
            Refusal::Argument(i) => {
                let (parameter, given) = (self.parameters.get(i)?, given.get(i)?);
                if parameter.name.is_empty() {
                    return Some(format!("the options are a map #{{ .. }}, got {given}"));
                }
                let name = parameter.name.trim_start_matches("...");
                Some(format!("{name} is {given}, not {}", parameter.kinds.join(" or ")))
            }
        }
    }
}

/// Why a signature does not take arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are too many, or too few.
    Number,
    /// The one at this place is of another type.
    Argument(usize),
}

/// Whether a value of type `given` is one of the documented kinds.
pub fn accepts(kinds: &[String], given: &str) -> bool {
    let one = |kind: &String| match kind.as_str() {
        "any" | "value" | "shape" | "" => true,
        "number" | "float" => matches!(given, "int" | "float"),
        "int" => matches!(given, "int" | "float"),
        "Fn" | "closure" | "function" => given == "function",
        kind if kind.starts_with('"') => given == "string",
        kind if kind.starts_with('|') => given == "function",
        kind if kind.starts_with("#{") => given == "map",
        kind if BASIC.contains(&kind) || kind.starts_with(char::is_uppercase) => kind == given,
        _ => true,
    };
    kinds.is_empty() || given.is_empty() || kinds.iter().any(one)
}

/// A type without its shape, its default and what it is an array of.
pub(super) fn plain_kind(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(['"', '|']) {
        return text.into();
    }
    if text.starts_with("#{") {
        return "map".into();
    }
    // `[Selector]`, `[rows, columns]`.
    if text.starts_with('[') || text.starts_with("array of") {
        return "array".into();
    }
    if text.starts_with("map of") {
        return "map".into();
    }
    text.split(['[', '=', ' ']).next().unwrap_or(text).trim_end_matches('?').to_string()
}

/// The single type of a result; empty for several.
pub(super) fn single(text: &str) -> String {
    if text.contains(" | ") && !text.starts_with("#{") {
        return String::new();
    }
    let kind = plain_kind(text);
    if matches!(kind.as_str(), "any" | "value" | "number") { String::new() } else { kind }
}

/// The module in a signature.
pub(super) fn space_of(text: &str) -> String {
    let head = text.split('(').next().unwrap_or_default();
    head.rsplit_once("::").map_or(String::new(), |(space, _)| space.trim().to_string())
}

/// The inside of the parameter list, optional parameters marked by `?`, and what follows it.
fn marked(text: &str) -> Option<(String, String)> {
    let (mut out, mut open): (String, Vec<char>) = (String::new(), vec![]);
    for (at, letter) in text.char_indices() {
        let rest = text.get(at + letter.len_utf8()..)?;
        let optional = open.last() == Some(&'?');
        match letter {
            '[' if rest.trim_start().starts_with(',') => open.push('?'),
            '[' if out.trim_end().is_empty() || out.trim_end().ends_with(',') => {
                open.push('?');
                out.push('?');
            }
            ']' if optional => {
                open.pop();
                if !rest.trim_start().starts_with([',', ')']) && !out.trim_end().ends_with(',') {
                    out.push(',');
                }
            }
            ')' if open.is_empty() => return Some((out, rest.trim_start().to_string())),
            ',' if optional && !rest.trim_start().starts_with(']') => out.push_str(", ?"),
            _ => {
                match letter {
                    '(' | '[' | '{' => open.push(letter),
                    ')' | ']' | '}' => drop(open.pop()),
                    _ => {}
                }
                out.push(letter);
            }
        }
    }
    None
}

fn parameter(text: &str) -> Parameter {
    let text = text.trim();
    let (text, marked) = text.strip_prefix('?').map_or((text, false), |rest| (rest.trim(), true));
    if text.starts_with("#{") {
        // `#{ .. } | tolerance: number` is a map or something else.
        let kinds = if text.ends_with('}') { vec!["map".into()] } else { vec![] };
        return Parameter { name: String::new(), kinds, optional: true };
    }
    let (name, kinds) = text.split_once(':').unwrap_or((text, ""));
    let default = kinds.rsplit_once(" = ").filter(|(_, value)| !value.contains('|'));
    let (kinds, optional) = default.map_or((kinds, marked), |(kinds, _)| (kinds, true));
    let kinds = kinds.split(" | ").map(plain_kind).filter(|kind| !kind.is_empty()).collect();
    let repeated = name.starts_with("...");
    Parameter { name: name.trim().into(), kinds, optional: optional || repeated }
}

/// A signature, and what keeps it from taking these arguments.
pub fn compared(text: &str, given: &[String]) -> String {
    match form(text, "").and_then(|form| form.difference(given)) {
        Some(difference) => format!("exists: {text}, but {difference}"),
        None => format!("exists: {text}"),
    }
}

/// The items of a list separated by commas, those inside brackets left together.
pub fn split_list(text: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (vec![], String::new(), 0_i32);
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(std::mem::take(&mut item).trim().to_string());
                continue;
            }
            _ => {}
        }
        item.push(letter);
    }
    items.extend(Some(item.trim().to_string()).filter(|item| !item.is_empty()));
    items
}

/// Reads a signature such as `mean(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor`.
pub fn form(text: &str, of: &str) -> Option<Form> {
    let (head, rest) = text.split_once('(')?;
    let marked = marked(rest)?;
    let (inside, after) = marked;
    let mut parameters: Vec<Parameter> = vec![];
    let receiver = head.contains('.');
    if let Some((name, _)) = head.split_once('.') {
        let kind = if of.is_empty() { name } else { of };
        parameters.push(Parameter { name: name.into(), kinds: vec![kind.into()], optional: false });
    }
    parameters.extend(split_list(&inside).iter().map(|text| parameter(text)));
    let result = after.split_once("-> ").map_or(String::new(), |(_, kind)| single(kind.trim()));
    let of = if receiver { of.to_string() } else { String::new() };
    Some(Form { text: text.into(), of, space: space_of(text), parameters, result })
}
