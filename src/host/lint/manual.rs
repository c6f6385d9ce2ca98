//! What the catalog says that functions take and give, in a form that calls can be compared with.

use super::known::Known;
use crate::host::docs::catalog::{Catalog, script_type};
use crate::host::docs::entry::Kind;
use crate::host::lint::signature::{BASIC, Form, form, plain_kind, single, space_of};
use rhai::Engine;
use std::collections::{HashMap, HashSet};

/// Types whose values answer to names that no registration lists.
const OPEN_TYPES: [&str; 2] = ["Net", "Outcome"];

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
    use crate::host::lint::signature::Refusal;

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
