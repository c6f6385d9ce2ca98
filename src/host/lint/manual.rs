//! What the catalog says that functions take and give, in a form that calls can be compared with.

use super::known::{Known, arguments};
use crate::host::catalog::{Catalog, Kind, script_type};
use crate::host::explain::split_list;
use rhai::Engine;
use std::collections::{HashMap, HashSet};

/// Types whose values answer to names that no registration lists.
const OPEN_TYPES: [&str; 2] = ["Net", "Outcome"];

/// The language's own types.
const BASIC: [&str; 10] = ["int", "float", "string", "bool", "array", "map", "function", "range", "char", "()"];

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

/// One documented option.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionForm {
    /// The key.
    pub key: String,
    /// The types and words it takes; empty where the manual does not say.
    pub kinds: Vec<String>,
}

/// What there is to know about functions, properties and options.
pub struct Manual {
    forms: HashMap<String, Vec<Form>>,
    options: HashMap<String, Vec<(String, Vec<OptionForm>)>>,
    properties: HashMap<String, HashMap<String, String>>,
    /// Parameter types of registered functions, by `space::name`.
    overloads: HashMap<String, Vec<Vec<String>>>,
    /// Rhai's own functions.
    standard: HashSet<String>,
    types: HashSet<String>,
}

impl Manual {
    /// Reads the catalog and what is registered.
    pub fn of(engine: &Engine, catalog: &Catalog) -> Self {
        let mut manual = Self {
            forms: HashMap::new(),
            options: HashMap::new(),
            properties: HashMap::new(),
            overloads: HashMap::new(),
            standard: HashSet::new(),
            types: catalog.entries().iter().filter(|e| e.kind == Kind::Type).map(|e| e.name.clone()).collect(),
        };
        for entry in catalog.entries() {
            match entry.kind {
                Kind::Function | Kind::Method => {
                    let forms = entry.signatures.iter().filter_map(|text| form(text, &entry.of));
                    manual.forms.entry(entry.name.clone()).or_default().extend(forms);
                    let listed: Vec<_> =
                        entry.doc.options.iter().flat_map(|one| option_forms(&one.name, &one.detail)).collect();
                    if !listed.is_empty() {
                        let space = entry.signatures.first().map_or(String::new(), |text| space_of(text));
                        manual.options.entry(entry.name.clone()).or_default().push((space, listed));
                    }
                }
                Kind::Property => {
                    let kind = entry.signatures.first().and_then(|text| text.split_once(" -> ")).map_or("", |(_, k)| k);
                    let known = manual.properties.entry(entry.of.clone()).or_default();
                    known.insert(entry.name.clone(), single(kind));
                }
                _ => {}
            }
        }
        manual.register(engine);
        manual
    }

    fn register(&mut self, engine: &Engine) {
        let list = engine.collect_fn_metadata(
            None,
            |info| {
                let params =
                    info.metadata.params_info.iter().map(|one| one.rsplit(": ").next().unwrap_or("").to_string());
                let mut kinds: Vec<String> = params.collect();
                kinds.resize(info.metadata.num_params, String::new());
                Some((info.namespace.to_string(), info.metadata.name.to_string(), kinds))
            },
            true,
        );
        for (space, name, kinds) in list {
            let kinds: Vec<String> = kinds.iter().map(|kind| script_type(kind)).collect();
            if let Some(property) = name.strip_prefix("get$") {
                let of = kinds.first().cloned().unwrap_or_default();
                self.properties.entry(of).or_default().entry(property.to_string()).or_default();
                continue;
            }
            // What lies in a module is reached by its bare name, too, where it is registered globally.
            for key in [name.clone(), format!("{space}::{name}")] {
                self.overloads.entry(key).or_default().push(kinds.clone());
            }
        }
        let name = |info: rhai::FuncInfo| Some(info.metadata.name.to_string());
        self.standard = Engine::new().collect_fn_metadata(None, name, true).into_iter().collect();
    }

    /// The signatures of a function, those of its module alone where it has one.
    pub fn forms(&self, space: &str, name: &str) -> Vec<&Form> {
        self.forms.get(name).into_iter().flatten().filter(|form| form.space == space).collect()
    }

    /// Whether Rhai itself has a function of this name, of which the manual tells only a part.
    pub fn is_standard(&self, name: &str) -> bool {
        self.standard.contains(name)
    }

    /// The options of a function; `None` where it documents none.
    pub fn options(&self, space: &str, name: &str) -> Option<Vec<OptionForm>> {
        let lists = self.options.get(name)?.iter().filter(|(of, _)| of == space);
        let all: Vec<OptionForm> = lists.flat_map(|(_, list)| list.clone()).collect();
        (!all.is_empty()).then_some(all)
    }

    /// How something registered takes arguments of these types; an empty type may be any. Where nothing with as many
    /// parameters is registered, that is for others to say.
    pub fn takes(&self, space: &str, name: &str, given: &[String]) -> Taken {
        let key = if space.is_empty() { name.to_string() } else { format!("{space}::{name}") };
        let mut same =
            self.overloads.get(&key).into_iter().flatten().filter(|kinds| kinds.len() == given.len()).peekable();
        if same.peek().is_none() {
            return Taken::Loosely;
        }
        let exact =
            |kinds: &Vec<String>| kinds.iter().zip(given).all(|(kind, given)| given.is_empty() || kind == given);
        let fits = |kinds: &Vec<String>| kinds.iter().zip(given).all(|(kind, given)| self.matches(kind, given));
        let how = same.map(|kinds| match () {
            () if exact(kinds) => Taken::Exactly,
            () if fits(kinds) => Taken::Loosely,
            () => Taken::No,
        });
        how.max().unwrap_or(Taken::Loosely)
    }

    /// Whether a parameter of a registered type takes a value of this type.
    fn matches(&self, kind: &str, given: &str) -> bool {
        given.is_empty() || kind == given || !self.is_type(kind)
    }

    /// Whether this is a type of values that the language or the catalog knows.
    pub fn is_type(&self, kind: &str) -> bool {
        BASIC.contains(&kind) || self.types.contains(kind)
    }

    /// The properties of a type; `None` where they cannot be listed.
    pub fn properties(&self, kind: &str) -> Option<&HashMap<String, String>> {
        if OPEN_TYPES.contains(&kind) || !self.types.contains(kind) {
            return None;
        }
        self.properties.get(kind)
    }

    /// The type of a property; empty where it is not known.
    pub fn property(&self, kind: &str, name: &str) -> String {
        self.properties.get(kind).and_then(|known| known.get(name)).cloned().unwrap_or_default()
    }

    /// The type of what a call gives: that on which the signatures agree.
    pub fn result(&self, space: &str, name: &str, of: Option<&str>, known: &Known) -> String {
        let forms = self.forms(space, name);
        let typed = |form: &&&Form| of.is_none_or(|of| form.takes_first(of));
        let mut kinds: Vec<&str> = forms.iter().filter(typed).map(|form| form.result.as_str()).collect();
        kinds.dedup();
        match kinds.as_slice() {
            [kind] if !self.is_standard(name) || of.is_some_and(|of| self.types.contains(of)) => {
                let whole = known.functions.contains_key(name) || !space.is_empty();
                Some(*kind).filter(|kind| whole && self.is_type(kind)).unwrap_or_default().to_string()
            }
            _ => String::new(),
        }
    }
}

impl Form {
    /// Whether the value before the dot may be of this type.
    fn takes_first(&self, of: &str) -> bool {
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

/// How a function takes arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// Not at all.
    No,
    /// Values of any type, which it looks at itself.
    Loosely,
    /// Values of these very types.
    Exactly,
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
fn plain_kind(text: &str) -> String {
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
fn single(text: &str) -> String {
    if text.contains(" | ") && !text.starts_with("#{") {
        return String::new();
    }
    let kind = plain_kind(text);
    if matches!(kind.as_str(), "any" | "value" | "number") { String::new() } else { kind }
}

/// The module in a signature.
fn space_of(text: &str) -> String {
    let head = text.split('(').next().unwrap_or_default();
    head.rsplit_once("::").map_or(String::new(), |(space, _)| space.trim().to_string())
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

/// The options that one line of the manual tells of: several may share it.
fn option_forms(names: &str, detail: &str) -> Vec<OptionForm> {
    // `float | "auto", "auto"` and `int or "auto", "auto"`: kinds, then the default.
    let mut kinds_text = String::new();
    let mut depth = 0_i32;
    for letter in detail.chars() {
        depth += i32::from(matches!(letter, '[' | '(' | '{')) - i32::from(matches!(letter, ']' | ')' | '}'));
        if depth == 0 && matches!(letter, ',' | ';') {
            break;
        }
        kinds_text.push(letter);
    }
    let several = detail.contains(';');
    let texts = kinds_text.split(" | ").flat_map(|part| part.split(" or ")).map(str::trim);
    let kinds: Vec<String> = texts.filter(|text| !text.is_empty()).map(plain_kind).collect();
    let alone = !names.contains(", ") && !several;
    let form = |key: &str| OptionForm { key: key.trim().into(), kinds: if alone { kinds.clone() } else { vec![] } };
    names.split(", ").map(form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_with_what_may_be_left_out() {
        let read = |text: &str| form(text, "").unwrap();
        let mean = read("mean(tensor: Tensor[, dims: int | array], #{ keepdim: bool = false }) -> Tensor");
        assert_eq!((mean.range(), mean.result.as_str()), ((1, 3), "Tensor"));
        assert_eq!(mean.parameters[1].kinds, ["int", "array"]);
        let arange = read("arange([start: number,] end: number[, step: number], #{ dtype: string }) -> Tensor[n]");
        assert_eq!(arange.range(), (1, 4));
        assert_eq!(arange.parameters[1].name, "end");
        let conv = read("conv2d(x: Tensor[n, c], weight: Tensor[o, c], #{ bias: Tensor[o] }) -> Tensor[n, o]");
        assert_eq!((conv.range(), conv.parameters[1].kinds.clone()), ((2, 3), vec!["Tensor".to_string()]));
        let reduce = form("task.reduce(#{ method: string = \"blend\", .. }) -> Task", "Task").unwrap();
        assert_eq!((reduce.range(), reduce.parameters[0].kinds[0].as_str()), ((1, 2), "Task"));
        assert_eq!(read("nn::linear(input: int, output: int, #{ bias: bool = true }) -> Net").space, "nn");
        assert_eq!(read("f(what: Dataset | Tensor) -> string | ()").result, "");
    }

    #[test]
    fn arguments_that_no_signature_takes_are_told() {
        let form = form("randn(shape: array | int, #{ dtype: string = \"f32\" }) -> Tensor", "").unwrap();
        let kinds = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(form.refuses(&kinds(&["string"])), Some(Refusal::Argument(0)));
        assert_eq!(form.refuses(&kinds(&["array", "string"])), Some(Refusal::Argument(1)));
        assert_eq!(form.refuses(&[]), Some(Refusal::Number));
        assert_eq!(form.refuses(&kinds(&["array", "map"])), None);
        assert_eq!(form.refuses(&kinds(&["", ""])), None);
    }

    #[test]
    fn options_know_their_types() {
        let kinds = |detail: &str| option_forms("a", detail)[0].kinds.clone();
        assert_eq!(kinds("int, 200"), ["int"]);
        assert_eq!(kinds("\"sgd\" | \"adam\", \"sgd\""), ["\"sgd\"", "\"adam\""]);
        assert_eq!(kinds("int or array of two, 1"), ["int", "array"]);
        assert_eq!(kinds("int or \"auto\", \"auto\""), ["int", "\"auto\""]);
        assert_eq!(kinds("float; dc 0.1, dm 1"), Vec::<String>::new());
        assert_eq!(option_forms("a, b", "").len(), 2);
    }
}
