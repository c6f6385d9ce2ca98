//! Properties that are read though nothing can have them: Rhai gives `()` for an unknown key of a map, and says nothing.

use super::known::Known;
use crate::host::lint::finding::Raw;
use crate::runtime::options::nearest;
use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};
use std::collections::{HashMap, HashSet};

/// The manual: what it does not mention, no result of ours has.
const MANUAL: &str = include_str!("../../../stdlib/REFERENCE.md");

/// Keys that the manual does not mention.
const UNTOLD: &str = "age_seconds attacked captured closures commit condensation_time config detail devices dirty earlier_acc forget_acc forget_loss \
                      git hint kmeans_time libraries message native operation per_decade peak_memory prep quit retain_loss \
                      sampling_time signature summary test_acc test_activation_distance test_completeness test_js test_js_legacy \
                      test_loss threads training_seconds unlearning_time unseen_mia_auc versions word";

/// Functions that give what others have written: their keys are anybody's.
pub const OPEN: &[&str] = &["arg", "parse_json", "load_npz", "load_safetensors", "load_pth", "call"];

/// Words that a text consists of.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Keys that scripts give to maps: in literals, by assignment, or, as texts, in any other way.
pub fn written(ast: &AST, keys: &mut HashSet<String>) {
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::Map(parts, _))) => {
                keys.extend(parts.0.iter().map(|(key, _)| key.name.to_string()))
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => constant_keys(value, keys),
            Some(ASTNode::Expr(Expr::StringConstant(text, _))) if !reads_by(path) => keys.extend([text.to_string()]),
            Some(ASTNode::Stmt(Stmt::Assignment(parts))) => {
                keys.extend(steps(&parts.1.lhs).into_iter().last().map(|(name, _)| name));
            }
            _ => {}
        }
        true
    });
}

/// The keys of a folded map, and of those inside it.
fn constant_keys(value: &rhai::Dynamic, keys: &mut HashSet<String>) {
    if let Some(map) = value.read_lock::<rhai::Map>() {
        keys.extend(map.keys().map(ToString::to_string));
        map.values().for_each(|value| constant_keys(value, keys));
    } else if let Some(items) = value.read_lock::<rhai::Array>() {
        items.iter().for_each(|item| constant_keys(item, keys));
    } else if value.is_string() {
        keys.insert(value.to_string());
    }
}

/// Whether the text at the end of a path is the index in `x["text"]`.
fn reads_by(path: &[ASTNode]) -> bool {
    matches!(path, [.., ASTNode::Expr(Expr::Index(..)), ASTNode::Expr(_)])
}

/// The first expression of a chain such as `a.b[0].c`.
pub fn root(expr: &Expr) -> &Expr {
    match expr {
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => root(&sides.lhs),
        other => other,
    }
}

/// The properties along a chain, with their places; texts in brackets count as such.
pub fn steps(expr: &Expr) -> Vec<(String, Position)> {
    match expr {
        Expr::Property(property, position) => vec![(property.2.to_string(), *position)],
        Expr::Dot(sides, ..) => [steps(&sides.lhs), steps(&sides.rhs)].concat(),
        Expr::Index(sides, ..) => {
            let index = match &sides.rhs {
                Expr::StringConstant(text, position) => vec![(text.to_string(), *position)],
                Expr::Dot(inner, ..) | Expr::Index(inner, ..) => match &inner.lhs {
                    Expr::StringConstant(text, position) => {
                        [vec![(text.to_string(), *position)], steps(&inner.rhs)].concat()
                    }
                    _ => steps(&inner.rhs),
                },
                _ => vec![],
            };
            [steps(&sides.lhs), index].concat()
        }
        _ => vec![],
    }
}

/// The call that a chain ends with.
pub fn last_call(expr: &Expr) -> Option<&FnCallExpr> {
    match expr {
        Expr::FnCall(call, _) | Expr::MethodCall(call, _) => Some(call),
        Expr::Dot(sides, ..) => last_call(&sides.rhs),
        _ => None,
    }
}

/// The names of Rhai's own functions.
pub fn standard() -> HashSet<String> {
    let names = Engine::new().collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
    names.into_iter().collect()
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A function of ours that returns a map, or an array of them; or a property of an object of ours.
    Result,
    /// Another function of ours. Objects refuse unknown properties themselves.
    Object,
    /// Anywhere else.
    Elsewhere,
}

/// What is known of one script.
struct Reader<'a> {
    known: &'a Known,
    /// Names of functions that return maps or arrays; of scripts in the library, which do not say, too.
    makers: HashSet<String>,
    /// Names of Rhai's own functions, which hand on what they are given.
    standard: HashSet<String>,
    /// The script's own functions.
    own: HashSet<String>,
    variables: HashMap<String, Origin>,
}

impl<'a> Reader<'a> {
    fn new(ast: &AST, known: &'a Known, engine: &Engine) -> Self {
        let makers = engine.collect_fn_metadata(
            None,
            |info| {
                let kind = &info.metadata.return_type;
                let makes = kind.is_empty() || kind.contains("Map") || kind.contains("Array");
                makes.then(|| info.metadata.name.to_string())
            },
            false,
        );
        let own = ast.iter_functions().map(|function| function.name.to_string()).collect();
        let (makers, standard) = (makers.into_iter().collect(), standard());
        let mut reader = Self { known, makers, standard, own, variables: HashMap::new() };
        reader.follow(ast);
        reader
    }

    /// Notes what variables are given.
    fn follow(&mut self, ast: &AST) {
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Var(parts, ..))) => self.given(&parts.0.name, &parts.1),
                Some(ASTNode::Stmt(Stmt::For(parts, _))) => self.given(&parts.0.name, &parts.2.expr),
                Some(ASTNode::Stmt(Stmt::Assignment(parts))) => {
                    if let Expr::Variable(variable, ..) = &parts.1.lhs {
                        self.given(&variable.1, &parts.1.rhs);
                    }
                }
                _ => {}
            }
            true
        });
    }

    fn given(&mut self, name: &str, value: &Expr) {
        let origin = self.origin(value);
        let known = self.variables.entry(name.into()).or_insert(origin);
        if *known != origin {
            *known = Origin::Elsewhere;
        }
    }

    /// Where a call's value comes from.
    fn called(&self, call: &FnCallExpr) -> Origin {
        let name = call.name.as_str();
        let ours = match call.namespace.is_empty() {
            true => {
                self.known.functions.contains_key(name) && !self.own.contains(name) && !self.standard.contains(name)
            }
            false => self.known.spaces.contains_key(&call.namespace.to_string()),
        };
        match ours && !call.is_operator_call() && !OPEN.contains(&name) {
            false => Origin::Elsewhere,
            true if self.makers.contains(name) => Origin::Result,
            true => Origin::Object,
        }
    }

    /// Where the value of a chain comes from.
    fn origin(&self, expr: &Expr) -> Origin {
        if let Some(call) = last_call(expr) {
            return self.called(call);
        }
        let first = match root(expr) {
            Expr::Variable(parts, ..) => self.variables.get(parts.1.as_str()).copied().unwrap_or(Origin::Elsewhere),
            Expr::FnCall(call, _) => self.called(call),
            _ => Origin::Elsewhere,
        };
        match first {
            Origin::Object if !steps(expr).is_empty() => Origin::Result,
            first => first,
        }
    }
}

/// Properties read in a script that neither the manual nor `keys`, those of all scripts read, know, and that are nearly one
/// of them: an error where the value comes from a function of ours, else a warning.
pub fn check(ast: &AST, known: &Known, engine: &Engine, keys: &HashSet<String>, file: usize) -> Vec<Raw> {
    let reads = reads(ast);
    if reads.is_empty() {
        return vec![];
    }
    let vocabulary: HashSet<&str> = words(MANUAL).chain(words(UNTOLD)).chain(keys.iter().map(String::as_str)).collect();
    let unknown: Vec<_> = reads.into_iter().filter(|read| !vocabulary.contains(read.name.as_str())).collect();
    if unknown.is_empty() {
        return vec![];
    }
    let reader = Reader::new(ast, known, engine);
    let raw = |read: Read| {
        let origin = reader.origin(root(&read.chain));
        let near = near(&read.name, &vocabulary, if origin == Origin::Elsewhere { 1 } else { 2 })?;
        let message = format!("nothing has a property `{}`", read.name);
        let raw = match (origin, read.step) {
            // It refuses the property itself, or has it in a way of its own.
            (Origin::Object, 0) => return None,
            (Origin::Elsewhere, _) => Raw::warning(file, read.position, message),
            _ => Raw::error(file, read.position, message),
        };
        Some(raw.hint(format!("did you mean `{near}`?")))
    };
    unknown.into_iter().filter_map(raw).collect()
}

/// The word that a property is a slip of, at most `limit` letters away.
fn near<'a>(name: &str, vocabulary: &HashSet<&'a str>, limit: usize) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = if length < 6 { 1 } else { limit };
    let near = nearest(name, vocabulary.iter().copied())?;
    (length > 2 && strsim::damerau_levenshtein(name, near) <= limit).then_some(near)
}

/// A property that is read.
pub struct Read {
    pub name: String,
    pub position: Position,
    /// The chain it is part of, and how many properties stand before it there.
    pub chain: Expr,
    pub step: usize,
}

/// The properties that chains read.
fn reads(ast: &AST) -> Vec<Read> {
    let mut found = vec![];
    ast.walk(&mut |path| {
        found.extend(read_at(path));
        true
    });
    found
}

/// The properties that the chain at the end of a path reads.
pub fn read_at(path: &[ASTNode]) -> Vec<Read> {
    let [before @ .., ASTNode::Expr(chain @ (Expr::Dot(..) | Expr::Index(..)))] = path else { return vec![] };
    let continues = |outer: &Expr| match outer {
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => std::ptr::eq(&sides.rhs, *chain),
        _ => false,
    };
    let mut steps = steps(chain);
    match before.last() {
        Some(ASTNode::Expr(outer)) if continues(outer) => return vec![],
        Some(ASTNode::Stmt(Stmt::Assignment(parts))) if std::ptr::eq(&parts.1.lhs, *chain) => {
            steps.pop();
        }
        _ => {}
    }
    let read = |(step, (name, position))| Read { name, position, chain: (*chain).clone(), step };
    steps.into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that the sources give to maps must be known, or reading them would be called a slip.
    #[test]
    fn every_key_of_ours_is_known() {
        let vocabulary: HashSet<&str> = words(MANUAL).chain(words(UNTOLD)).collect();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut missing = vec![];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.extension().is_none_or(|extension| extension != "rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                for piece in text.split(".insert(\"").skip(1) {
                    let key = piece.split('"').next().unwrap();
                    let named = piece[key.len()..].starts_with("\".into()") && rhai::is_valid_identifier(key);
                    if named && !vocabulary.contains(key) {
                        missing.push(key.to_string());
                    }
                }
            }
        }
        assert!(missing.is_empty(), "add them to UNTOLD: {missing:?}");
    }
}
