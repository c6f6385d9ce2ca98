//! Completion: names, members, options of calls, commands, files.

use super::commands::COMMANDS;
use super::words::{Class, KEYWORDS, Piece, pieces};
use crate::host::docs::catalog::{Catalog, script_type};
use crate::host::docs::entry::Kind;
use crate::host::session::Named;
use rhai::Engine;
use rustyline::completion::{FilenameCompleter, Pair};
use std::cell::OnceCell;
use std::rc::Rc;

/// Knows what can stand where.
pub struct Completer {
    engine: Rc<Engine>,
    catalog: Rc<Catalog>,
    names: Vec<Named>,
    /// Type of the first argument and name of every native function; gathered when first needed.
    natives: OnceCell<Vec<(String, String)>>,
    files: FilenameCompleter,
}

impl Completer {
    /// Knows the language.
    pub fn new(engine: &Rc<Engine>, catalog: &Rc<Catalog>) -> Self {
        let (engine, catalog) = (engine.clone(), catalog.clone());
        Self { engine, catalog, names: vec![], natives: OnceCell::new(), files: FilenameCompleter::new() }
    }

    /// Knows the session's names, too.
    pub fn learn(&mut self, names: Vec<Named>) {
        self.names = names;
    }

    /// Where the word at the cursor starts, and what could stand there.
    pub fn complete(&self, line: &str, pos: usize) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..pos).unwrap_or(line);
        let start = typed
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |at| at + typed.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        let (before, word) = typed.split_at(start);
        let found = pieces(typed);
        let in_text = found.last().is_some_and(|last| last.class == Class::Text && !last.closed);
        if in_text || before.starts_with(":load ") {
            return self.files.complete_path(line, pos);
        }
        if found.last().is_some_and(|last| last.class == Class::Comment && !last.closed) {
            return Ok((pos, vec![]));
        }
        let mut names = self.candidates(before, word, &found);
        names.retain(|name| name.starts_with(word));
        names.sort_unstable();
        names.dedup();
        Ok((start, names.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()))
    }

    fn candidates(&self, before: &str, word: &str, found: &[Piece]) -> Vec<String> {
        if before == ":" {
            return COMMANDS.iter().map(|command| command.name.to_string()).collect();
        }
        if before == "?" || before.starts_with(":doc ") {
            return self.catalog.entries().iter().map(|entry| entry.name.clone()).collect();
        }
        if let Some(module) = before.strip_suffix("::") {
            return self.of_module(last_name(module));
        }
        if let Some(value) = before.strip_suffix('.').filter(|value| !value.ends_with('.')) {
            return self.of_value(value);
        }
        if let Some(options) = self.options(before, found) {
            return options;
        }
        // Everything there is would be no help.
        if word.is_empty() { vec![] } else { self.everything() }
    }

    /// Functions of an imported module, or of one of ours.
    fn of_module(&self, alias: &str) -> Vec<String> {
        if let Some(module) = self.names.iter().rev().find(|known| known.kind == "module" && known.name == alias) {
            return module.members.clone();
        }
        let inside = format!("{alias}::");
        let ours = self.catalog.entries().iter().filter(|e| e.signatures.iter().any(|s| s.starts_with(&inside)));
        ours.map(|entry| entry.name.clone()).collect()
    }

    /// Methods and properties of a variable's type; those of every type when the type is not known.
    fn of_value(&self, value: &str) -> Vec<String> {
        let name = last_name(value);
        let chained = value.strip_suffix(name).is_some_and(|rest| rest.ends_with(['.', ':']));
        let known = self.names.iter().rev().find(|known| !chained && known.name == name);
        let kind = known.map(|known| known.kind.as_str());
        let fits = |of: &str| !of.is_empty() && kind.is_none_or(|kind| kind == of);
        let ours = self.catalog.entries().iter().filter(|entry| fits(&entry.of) && entry.kind != Kind::Operator);
        let mut names: Vec<String> = ours.map(|entry| entry.name.clone()).collect();
        if let Some(known) = known {
            names.extend(known.members.iter().cloned());
            let natives = self.natives().iter().filter(|(of, _)| *of == known.kind);
            names.extend(natives.map(|(_, name)| name.clone()));
        }
        names
    }

    /// The options of the call whose map the cursor is in, when a key is to come.
    fn options(&self, before: &str, found: &[Piece]) -> Option<Vec<String>> {
        let text = |piece: &Piece| before.get(piece.range.clone()).unwrap_or_default();
        // The brackets around the cursor, each with the piece in front of it.
        let mut open: Vec<(&str, &str)> = vec![];
        let mut last = "";
        for piece in found.iter().filter(|piece| piece.range.end <= before.len()) {
            match piece.class {
                Class::Open => open.push((text(piece), last)),
                Class::Close => {
                    open.pop();
                }
                _ => {}
            }
            last = text(piece);
        }
        let [.., ("(", function), ("#{", _)] = open.as_slice() else { return None };
        let options = self.catalog.find(function).into_iter().flat_map(|entry| &entry.doc.options);
        let names = options.flat_map(|option| option.name.split(", ")).map(|name| format!("{name}: "));
        matches!(last, "#{" | ",").then(|| names.collect())
    }

    /// Every word that can begin an expression or a statement.
    fn everything(&self) -> Vec<String> {
        let words = KEYWORDS.iter().map(|word| word.to_string());
        let callable = |kind: Kind| matches!(kind, Kind::Function | Kind::Method | Kind::Construct);
        let ours = self.catalog.entries().iter().filter(|entry| callable(entry.kind)).map(|entry| entry.name.clone());
        let known = self.names.iter().map(|known| known.name.split('(').next().unwrap_or_default().to_string());
        words.chain(ours).chain(known).chain(self.natives().iter().map(|(_, name)| name.clone())).collect()
    }

    fn natives(&self) -> &[(String, String)] {
        self.natives.get_or_init(|| {
            let read = |info: rhai::FuncInfo| {
                let name = info.metadata.name.strip_prefix("get$").unwrap_or(&info.metadata.name);
                let first = info.metadata.params_info.first().and_then(|param| param.split_once(": "));
                let own = rhai::is_valid_identifier(name).then(|| name.to_string())?;
                Some((first.map_or_else(String::new, |(_, kind)| script_type(kind)), own))
            };
            self.engine.collect_fn_metadata(None, read, true)
        })
    }
}

/// The name a text ends in.
fn last_name(text: &str) -> &str {
    let start = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map(|at| at + 1);
    start.map_or(text, |start| text.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::host::session::Session;
    use crate::runtime::run::Settings;

    fn names(completer: &Completer, text: &str) -> Vec<String> {
        let (_, found) = completer.complete(text, text.len()).unwrap();
        found.into_iter().map(|pair| pair.replacement).collect()
    }

    #[test]
    fn what_can_stand_at_the_cursor_is_offered() {
        let mut session = Session::new(Host::new(Settings::default()));
        session.run("let digits = dataset(\"digits\"); let list = [1]; fn shrink(x) { x }").unwrap();
        session.run("let setting = #{ rate: 0.1, rounds: 3 }").unwrap();
        let mut completer = Completer::new(&session.host().engine, session.catalog());
        completer.learn(session.names());
        let has = |text: &str, name: &str| names(&completer, text).iter().any(|known| known == name);
        assert!(has("let net = conv", "convnet") && has("dig", "digits") && has("shr", "shrink"));
        assert!(has("digits.tr", "train") && !has("digits.tr", "transpose"));
        assert!(has("list.pu", "push") && has("setting.r", "rate"));
        assert!(has("digits.train.", "take"));
        assert!(has("convnet(digits, #{ wi", "width: ") && has("convnet(digits, #{ width: 3, de", "depth: "));
        assert!(has(":ti", "time") && has(":doc mm", "mmd") && has("?mm", "mmd"));
        assert!(names(&completer, "// conv").is_empty() && names(&completer, "").is_empty());
    }
}
