//! Everything callable with name, signature, summary, options and example, read from doc comments.

use crate::host::docs::construct_docs::NAMES;
use crate::host::docs::doc_comment::{Doc, parse};
use crate::host::docs::entry::{Entry, Kind};
use crate::host::rooms::ROOMS;
use crate::runtime::sources::STDLIB;
use rhai::{AST, Engine};
use serde_json::Value;
use std::collections::HashSet;

/// All of them, in the order of the manual.
#[derive(Debug, Clone)]
pub struct Catalog {
    entries: Vec<Entry>,
}

/// One registered function, before overloads are folded.
struct Overload {
    name: String,
    kind: Kind,
    of: String,
    module: String,
    signature: String,
    doc: Doc,
}

/// Names every type has; they need no entry of their own.
const EVERYWHERE: &[&str] = &["to_string", "to_debug", "print", "debug", "==", "!="];

impl Catalog {
    /// Reads the rooms and the embedded library; `engine` only compiles the latter.
    pub fn of(engine: &Engine) -> Self {
        let mut entries = super::construct_docs::entries();
        let mut bare = vec![];
        for room in ROOMS {
            let mut alone = Engine::new_raw();
            (room.register)(&mut alone);
            let text = alone.gen_fn_metadata_to_json(false).unwrap_or_default();
            let value = serde_json::from_str(&text).unwrap_or(Value::Null);
            let mut overloads = vec![];
            read_module(&value, "", room.name, &mut overloads, &mut entries);
            let (documented, rest): (Vec<_>, Vec<_>) = overloads.into_iter().partition(|o| !o.doc.summary.is_empty());
            entries.extend(fold(documented.into_iter().filter(|o| !NAMES.contains(&o.name.as_str()))));
            bare.extend(rest);
        }
        let own = standard_names();
        for one in bare.into_iter().filter(|one| !own.contains(&one.name)) {
            if !entries.iter().any(|entry| entry.name == one.name) {
                entries.push(one.entry());
            }
        }
        for (file, text) in STDLIB {
            if let Ok(ast) = engine.compile(text) {
                // Methods are also registered natively (`unlearn::finetune`), with the same comment.
                let scripts = read_script(&ast, file);
                entries.retain(|entry| !scripts.iter().any(|s| s.name == entry.name && s.doc == entry.doc));
                entries.extend(scripts);
            }
        }
        Self { entries }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of this name: `item`, `Tensor.item` or `unlearn::run`.
    pub fn find(&self, name: &str) -> Vec<&Entry> {
        let bare = name.rsplit("::").next().unwrap_or(name).trim_end_matches("()");
        if bare.is_empty() {
            return vec![];
        }
        let (of, bare) = match bare.split_once('.') {
            Some((of, rest)) if !of.is_empty() && !rest.is_empty() => (Some(of), rest),
            _ => (None, bare),
        };
        let mut found: Vec<_> = self.entries.iter().filter(|entry| entry.name == bare).collect();
        if let Some(of) = of {
            // A word before the dot that is no type is taken for a variable.
            if found.iter().any(|entry| entry.of.eq_ignore_ascii_case(of)) {
                found.retain(|entry| entry.of.eq_ignore_ascii_case(of));
            }
        }
        found.sort_by_key(|entry| entry.doc.summary.is_empty());
        found
    }

    /// The names nearest to a word that is none, best first.
    pub fn nearest(&self, word: &str) -> Vec<&str> {
        let word = word.rsplit([':', '.']).next().unwrap_or(word);
        let limit = if word.chars().count() < 5 { 1 } else { 2.max(word.chars().count() / 3) };
        let mut near: Vec<(usize, &str)> = self
            .entries
            .iter()
            .map(|entry| (strsim::damerau_levenshtein(word, &entry.name), entry.name.as_str()))
            .filter(|(distance, name)| *distance <= limit && *distance < name.len().max(word.len()))
            .collect();
        let inside = |name: &str| word.len() >= 3 && name.contains(word);
        near.extend(
            self.entries.iter().filter(|entry| inside(&entry.name)).map(|entry| (limit + 1, entry.name.as_str())),
        );
        near.sort_unstable();
        near.dedup_by_key(|(_, name)| *name);
        near.into_iter().map(|(_, name)| name).take(5).collect()
    }
}

/// Reads one module of an engine's metadata, and those inside it.
fn read_module(value: &Value, namespace: &str, room: &str, overloads: &mut Vec<Overload>, types: &mut Vec<Entry>) {
    let list = |key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for custom in list("customTypes") {
        let doc = parse(&texts(&custom, "docComments"));
        if !doc.summary.is_empty() {
            let name = text_of(&custom, "displayName");
            types.push(Entry {
                signatures: vec![name.clone()],
                name,
                kind: Kind::Type,
                of: String::new(),
                module: room.into(),
                doc,
            });
        }
    }
    overloads.extend(list("functions").iter().filter_map(|function| overload(function, namespace, room)));
    for (name, inner) in value.get("modules").and_then(Value::as_object).into_iter().flatten() {
        read_module(inner, name, room, overloads, types);
    }
}

fn text_of(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let items = value.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

/// Reads one function of an engine's metadata.
fn overload(function: &Value, namespace: &str, room: &str) -> Option<Overload> {
    let raw = text_of(function, "name");
    let doc = parse(&texts(function, "docComments"));
    let params: Vec<(String, String)> = function
        .get("params")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|param| (text_of(param, "name"), text_of(param, "type")))
        .collect();
    let first = params.first().map(|(_, kind)| kind.trim_start_matches("&mut ").to_string()).unwrap_or_default();
    let by_reference = params.first().is_some_and(|(_, kind)| kind.starts_with("&mut"));
    let of = script_type(&first);
    // Values of our own types are spelled with a capital letter.
    let of = if of.starts_with(|c: char| c.is_uppercase()) { of } else { String::new() };
    let result = script_type(&text_of(function, "returnType"));
    let shown: Vec<String> = params.iter().map(|(name, kind)| parameter(name, kind)).collect();
    let arrow = if result == "()" || result.is_empty() { String::new() } else { format!(" -> {result}") };
    let (name, kind, signature) = if let Some(name) = raw.strip_prefix("get$") {
        (name.to_string(), Kind::Property, format!("{of}.{name}{arrow}"))
    } else if let Some(name) = raw.strip_prefix("set$") {
        let value = params.get(1).map(|(_, kind)| script_type(kind)).unwrap_or_default();
        (name.to_string(), Kind::Property, format!("{of}.{name} = {value}"))
    } else if raw.starts_with("index$") {
        let index = params.get(1).map(|(_, kind)| script_type(kind)).unwrap_or_default();
        let value = params.get(2).map(|(_, kind)| format!(" = {}", script_type(kind)));
        ("[]".to_string(), Kind::Operator, format!("{of}[{index}]{}", value.unwrap_or(arrow)))
    } else if raw.contains('$') {
        return None;
    } else if raw.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        let place = if namespace.is_empty() { String::new() } else { format!("{namespace}::") };
        let signature = format!("{place}{raw}({}){arrow}", shown.join(", "));
        (raw, if by_reference { Kind::Method } else { Kind::Function }, signature)
    } else {
        let types: Vec<_> = params.iter().map(|(_, kind)| script_type(kind)).collect();
        let signature = match types.as_slice() {
            [one] => format!("{raw}{one}{arrow}"),
            _ => format!("{}{arrow}", types.join(&format!(" {raw} "))),
        };
        (raw, Kind::Operator, signature)
    };
    if EVERYWHERE.contains(&name.as_str()) && doc.summary.is_empty() {
        return None;
    }
    Some(Overload { name, kind, of, module: room.into(), signature, doc })
}

/// `name: type` of a parameter.
fn parameter(name: &str, kind: &str) -> String {
    let kind = script_type(kind);
    let name = name.trim_start_matches("mut ").trim_start_matches('_');
    if name.is_empty() { kind } else { format!("{name}: {kind}") }
}

/// The script's name of a Rust type.
pub fn script_type(kind: &str) -> String {
    let plain: String = kind.replace("&mut ", "").replace('&', "").chars().filter(|c| !c.is_whitespace()).collect();
    let inner = ["Script<", "Result<", "RhaiResultOf<", "Option<", "Shared<", "Rc<"];
    let outer = plain.split('<').next().unwrap_or_default();
    if inner.iter().any(|name| outer.ends_with(name.trim_end_matches('<'))) && plain.len() > outer.len() {
        let inside = plain.get(outer.len() + 1..).unwrap_or_default();
        let inside = inside.strip_suffix('>').unwrap_or(inside);
        return script_type(inside.split(",alloc::").next().and_then(|t| t.split(",Box<").next()).unwrap_or(inside));
    }
    let last = plain.split('<').next().unwrap_or(&plain).rsplit("::").next().unwrap_or(&plain);
    match last {
        "i64" | "INT" | "usize" | "u64" | "i32" => "int",
        "f64" | "FLOAT" => "float",
        "str" | "String" | "ImmutableString" | "string" => "string",
        "Map" | "map" => "map",
        "Array" | "Vec" | "array" => "array",
        "Dynamic" | "RhaiResult" | "?" => "any",
        "FnPtr" | "Fn" => "function",
        "Range" | "ExclusiveRange" | "RangeInclusive" | "InclusiveRange" => "range",
        other => other,
    }
    .to_string()
}

impl Overload {
    fn entry(self) -> Entry {
        let signatures = if self.doc.signature.is_empty() { vec![self.signature] } else { self.doc.signature.clone() };
        Entry { name: self.name, kind: self.kind, of: self.of, module: self.module, signatures, doc: self.doc }
    }
}

/// What Rhai itself registers: overloads of ours for other types (`ln` of an integer) need no entry.
fn standard_names() -> HashSet<String> {
    let name = |info: rhai::FuncInfo| Some(info.metadata.name.to_string());
    Engine::new().collect_fn_metadata(None, name, true).into_iter().collect()
}

/// The documented functions of a room: one doc comment for both number types, say, is one entry.
fn fold(documented: impl Iterator<Item = Overload>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = vec![];
    for one in documented {
        if !entries.iter().any(|e| e.name == one.name && e.of == one.of && e.doc == one.doc) {
            entries.push(one.entry());
        }
    }
    entries.sort_by(|a, b| (a.kind, a.name.to_lowercase(), &a.of).cmp(&(b.kind, b.name.to_lowercase(), &b.of)));
    entries
}

/// The public functions of a script of the embedded library.
fn read_script(ast: &AST, file: &str) -> Vec<Entry> {
    let own = |name: &str| !name.starts_with('_') && !name.contains('$');
    let functions = ast.iter_functions().filter(|f| f.access == rhai::FnAccess::Public && own(f.name));
    let mut entries: Vec<Entry> = functions
        .map(|function| {
            let doc = parse(&function.comments.iter().map(ToString::to_string).collect::<Vec<_>>());
            let plain = format!("{}({})", function.name, function.params.join(", "));
            let signatures = if doc.signature.is_empty() { vec![plain] } else { doc.signature.clone() };
            let of = function.this_type.unwrap_or_default().to_string();
            let kind = if of.is_empty() { Kind::Function } else { Kind::Method };
            Entry { name: function.name.into(), kind, of, module: file.into(), signatures, doc }
        })
        .collect();
    // An overload without a comment is told by the one that has it.
    let told: HashSet<String> = entries.iter().filter(|e| !e.doc.summary.is_empty()).map(|e| e.name.clone()).collect();
    entries.retain(|entry| !entry.doc.summary.is_empty() || !told.contains(&entry.name));
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}
