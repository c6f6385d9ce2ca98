//! Calls whose arguments are known: types that nothing takes, options, names and files that are not there, properties that a
//! type does not have. What cannot be known is left alone.

use super::given::{self, Called};
use super::known::is_keyword;
use super::manual::Taken;
use super::paths::{self, Written};
use super::values::{Scope, Value, literal, operated};
use super::{rules, vocabulary};
use crate::host::custom_syntax::EVAL;
use crate::host::lint::advice::{advice, not_iterable};
use crate::host::lint::context::Context;
use crate::host::lint::finding::Raw;
use crate::host::lint::signature::{Refusal, compared};
use crate::runtime::options::nearest;
use crate::runtime::{imports, interrupt};
use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Map, Position, Stmt, StmtBlock};
use std::collections::{HashMap, HashSet};

/// Methods that change a map in place when they are called as functions.
const CHANGES: [&str; 8] = ["remove", "mixin", "fill_with", "set", "clear", "drain", "retain", "update"];

/// Checks the calls of a script.
pub fn check(context: &Context, ast: &AST, name: &str, file: usize) -> Vec<Raw> {
    let mut reader = Reader::new(context, ast, name, file);
    if reader.trusting {
        return vec![];
    }
    reader.block(ast.statements());
    let tries = reader.tries;
    for (_, _, function, _, definition) in ast.shared_lib().iter_script_fn_info() {
        reader.scope = Scope::default();
        definition.params.iter().for_each(|one| reader.scope.declare(one, Value::default()));
        // A closure may be called where its failure is awaited.
        reader.trying = usize::from(tries && function.starts_with("anon$"));
        reader.branches = 1;
        crate::host::syntax_tree::walk_body(definition, &mut |path| {
            if let [ASTNode::Stmt(statement)] = path {
                reader.statement(statement);
            }
        });
    }
    reader.findings
}

struct Reader<'a> {
    context: &'a Context<'a>,
    name: &'a str,
    file: usize,
    /// The script's own functions.
    own: HashSet<String>,
    /// The options that they declare.
    rules: HashMap<String, Map>,
    /// Modules of ours by the names that the script gives them; `None` of what is no module of ours.
    aliases: HashMap<String, Option<String>>,
    /// Variables that are given another value somewhere.
    assigned: HashSet<String>,
    /// Variables whose value may be changed in place somewhere.
    changed: HashSet<String>,
    written: Written,
    scope: Scope,
    /// How many `try` blocks there are around.
    trying: usize,
    /// Whether there is one anywhere.
    tries: bool,
    /// How many branches, loops and functions there are around.
    branches: usize,
    /// Whether a text that is evaluated may declare anything.
    trusting: bool,
    findings: Vec<Raw>,
}

/// The variable at the start of a chain.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(parts, ..) => Some(parts.1.as_str()),
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => root(&sides.lhs),
        _ => None,
    }
}

impl<'a> Reader<'a> {
    fn new(context: &'a Context<'a>, ast: &AST, name: &'a str, file: usize) -> Self {
        let mut reader = Self {
            context,
            name,
            file,
            own: ast.iter_functions().map(|function| function.name.to_string()).collect(),
            rules: rules::of(ast, &context.host.engine),
            aliases: HashMap::new(),
            assigned: HashSet::new(),
            changed: HashSet::new(),
            written: Written::of(ast),
            scope: Scope::default(),
            trying: 0,
            tries: false,
            branches: 0,
            trusting: false,
            findings: vec![],
        };
        ast.walk(&mut |path| {
            reader.prepare(path.last());
            !interrupt::raised()
        });
        reader
    }

    /// Notes what holds for the whole script.
    fn prepare(&mut self, node: Option<&ASTNode>) {
        match node {
            Some(ASTNode::Stmt(Stmt::Assignment(parts))) => match &parts.1.lhs {
                Expr::Variable(variable, ..) => drop(self.assigned.insert(variable.1.to_string())),
                other => self.changed.extend(root(other).map(String::from)),
            },
            Some(ASTNode::Expr(Expr::Dot(sides, ..))) if is_call(&sides.rhs) => {
                self.changed.extend(root(&sides.lhs).map(String::from));
            }
            Some(ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _)))
                if CHANGES.contains(&call.name.as_str()) =>
            {
                self.changed.extend(call.args.first().and_then(root).map(String::from));
            }
            Some(ASTNode::Stmt(Stmt::Import(parts, _))) => {
                let space = match &parts.0 {
                    Expr::StringConstant(path, _) => imports::native(path).map(String::from),
                    _ => None,
                };
                self.aliases.insert(parts.1.name.to_string(), space);
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(..))) => self.tries = true,
            Some(ASTNode::Expr(Expr::Custom(custom, _))) => {
                self.trusting |= custom.tokens.first().is_some_and(|word| word == EVAL);
            }
            _ => {}
        }
    }

    fn report(&mut self, raw: Raw) {
        if self.trying == 0 {
            self.findings.push(raw);
        }
    }

    fn declare(&mut self, name: &str, value: Value) {
        let value = match () {
            () if self.assigned.contains(name) => Value::default(),
            () if self.changed.contains(name) => value.changed(),
            () => value,
        };
        self.scope.declare(name, value);
    }

    fn block(&mut self, list: &[Stmt]) {
        for one in list {
            if interrupt::raised() {
                return;
            }
            self.statement(one);
        }
    }

    /// A block of its own: what it declares is gone at its end.
    fn inside(&mut self, body: &StmtBlock, branch: bool, declared: &[(&str, Value)]) {
        let outside = self.scope.len();
        self.branches += usize::from(branch);
        declared.iter().for_each(|(name, value)| self.declare(name, value.clone()));
        self.block(body.statements());
        self.scope.truncate(outside);
        self.branches -= usize::from(branch);
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::If(flow, _) => {
                self.expression(&flow.expr);
                self.inside(&flow.body, true, &[]);
                self.inside(&flow.branch, true, &[]);
            }
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.expression(&flow.expr);
                self.inside(&flow.body, true, &[]);
            }
            Stmt::For(parts, _) => self.repeat(parts),
            Stmt::TryCatch(flow, _) => {
                self.trying += 1;
                self.inside(&flow.body, true, &[]);
                self.trying -= 1;
                let caught = match &flow.expr {
                    Expr::Variable(caught, ..) => vec![(caught.1.as_str(), Value::default())],
                    _ => vec![],
                };
                self.inside(&flow.branch, true, &caught);
            }
            Stmt::Switch(parts, _) => {
                self.expression(&parts.0);
                self.branches += 1;
                for case in &parts.1.expressions {
                    self.expression(&case.lhs);
                    self.expression(&case.rhs);
                }
                self.branches -= 1;
            }
            Stmt::Var(parts, ..) => {
                let value = self.expression(&parts.1);
                self.declare(&parts.0.name, value);
            }
            Stmt::Assignment(parts) => {
                self.expression(&parts.1.rhs);
                if !matches!(parts.1.lhs, Expr::Variable(..) | Expr::Dot(..)) {
                    self.expression(&parts.1.lhs);
                }
            }
            Stmt::FnCall(call, position) => drop(self.call(call, *position, None)),
            Stmt::Block(body) => self.inside(body, false, &[]),
            Stmt::Expr(inner) => drop(self.expression(inner)),
            Stmt::BreakLoop(Some(inner), ..) | Stmt::Return(Some(inner), ..) => drop(self.expression(inner)),
            _ => {}
        }
    }

    fn repeat(&mut self, parts: &(rhai::Ident, Option<rhai::Ident>, rhai::FlowControl)) {
        let (item, counter, flow) = parts;
        let list = self.expression(&flow.expr);
        if let Some(hint) = not_iterable(&list.kind) {
            let message = format!("a for loop cannot go through {}", list.kind);
            self.report(Raw::error(self.file, flow.expr.position(), message).hint(hint));
        }
        let mut value = match (&list.items, list.kind.as_str()) {
            (Some(items), _) => Value::any_of(items.iter().map(|(_, item)| item.clone())),
            (None, "range") => Value::of("int"),
            _ => Value::default(),
        };
        value.keys = None;
        let mut declared = vec![(item.name.as_str(), value)];
        declared.extend(counter.as_ref().map(|counter| (counter.name.as_str(), Value::of("int"))));
        self.inside(&flow.body, true, &declared);
    }

    /// What is known of an expression, everything in it having been checked.
    fn expression(&mut self, expr: &Expr) -> Value {
        if let Some(value) = literal(expr) {
            return value;
        }
        match expr {
            Expr::Variable(parts, _, position) => self.variable(&parts.1, !parts.2.is_empty(), *position),
            Expr::FnCall(call, position) => self.call(call, *position, None),
            Expr::Stmt(body) => {
                self.inside(body, false, &[]);
                Value::default()
            }
            Expr::Dot(sides, ..) => {
                let first = self.expression(&sides.lhs);
                self.step(first, &sides.rhs)
            }
            Expr::Index(sides, flags, _) => {
                self.expression(&sides.lhs);
                self.indexed(&sides.rhs, *flags)
            }
            Expr::Map(parts, _) => {
                let keys = parts.0.iter().map(|(key, value)| (key.name.to_string(), key.pos, self.expression(value)));
                Value { keys: Some(keys.collect()), ..Value::of("map") }
            }
            Expr::Array(items, _) => {
                let items = items.iter().map(|item| (item.position(), self.expression(item))).collect();
                Value { items: Some(items), ..Value::of("array") }
            }
            Expr::InterpolatedString(items, _) => {
                items.iter().for_each(|item| drop(self.expression(item)));
                Value::of("string")
            }
            Expr::And(items, _) | Expr::Or(items, _) => {
                items.iter().for_each(|item| drop(self.expression(item)));
                Value::of("bool")
            }
            Expr::Coalesce(items, _) => {
                items.iter().for_each(|item| drop(self.expression(item)));
                Value::default()
            }
            Expr::Custom(custom, _) => {
                custom.inputs.iter().for_each(|input| drop(self.expression(input)));
                Value::default()
            }
            _ => Value::default(),
        }
    }

    fn variable(&self, name: &str, qualified: bool, _position: Position) -> Value {
        if qualified {
            return Value::default();
        }
        match self.scope.get(name) {
            Some(value) => value.clone(),
            None if self.own.contains(name) => Value::of("function"),
            None => Value::default(),
        }
    }

    /// What stands behind a dot.
    fn step(&mut self, value: Value, behind: &Expr) -> Value {
        match behind {
            Expr::Property(property, position) => self.property(&value, &property.2, *position),
            Expr::MethodCall(call, position) => self.call(call, *position, Some(value)),
            Expr::Dot(sides, ..) => {
                let value = self.step(value, &sides.lhs);
                self.step(value, &sides.rhs)
            }
            Expr::Index(sides, flags, _) => {
                self.step(value, &sides.lhs);
                self.indexed(&sides.rhs, *flags)
            }
            other => {
                self.expression(other);
                Value::default()
            }
        }
    }

    /// What stands behind `[`: the index, and where the chain goes on, steps from an element, of which nothing is known.
    fn indexed(&mut self, behind: &Expr, flags: ASTFlags) -> Value {
        match behind {
            Expr::Dot(sides, ..) | Expr::Index(sides, ..) if !flags.intersects(ASTFlags::BREAK) => {
                self.expression(&sides.lhs);
                self.step(Value::default(), &sides.rhs)
            }
            index => {
                self.expression(index);
                Value::default()
            }
        }
    }

    fn property(&mut self, value: &Value, name: &str, position: Position) -> Value {
        let manual = self.context.manual;
        let Some(known) = manual.properties(&value.kind) else {
            return Value::of(manual.property(&value.kind, name));
        };
        if known.contains_key(name) {
            return Value::of(manual.property(&value.kind, name));
        }
        let kind = &value.kind;
        let near = nearest(name, known.keys().map(String::as_str));
        let method = self.context.known.functions.contains_key(name);
        let raw = Raw::error(self.file, position, format!("{kind} has no property `{name}`"));
        let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
        names.sort_unstable();
        let notes = vec![format!("properties: {}", names.join(", "))];
        let hint = match near {
            _ if method => format!("`{name}` is a function: write .{name}()"),
            Some(near) => format!("did you mean `{near}`?"),
            None => String::new(),
        };
        self.report(Raw { notes, word: Some(name.into()), ..raw.hint(hint) });
        Value::default()
    }

    /// A call; `before` is what stands before the dot of a method.
    fn call(&mut self, call: &FnCallExpr, position: Position, before: Option<Value>) -> Value {
        let mut values: Vec<Value> = before.iter().cloned().collect();
        values.extend(call.args.iter().map(|argument| self.expression(argument)).collect::<Vec<_>>());
        let name = call.name.as_str();
        if call.op_token.is_some() || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return operated(name, &values);
        }
        let method = before.is_some();
        if self.own.contains(name) && call.namespace.is_empty() {
            self.own_call(name, &values);
            return Value::default();
        }
        if is_keyword(name) {
            let makes = matches!(name, "Fn" | "curry");
            return Value::of(if makes { "function" } else { "" });
        }
        let Some(space) = self.space(call) else { return Value::default() };
        let uncertain = method && values.first().is_some_and(|first| matches!(first.kind.as_str(), "" | "map"));
        if uncertain && self.context.keys.contains(name) {
            return Value::default();
        }
        let start = if call.namespace.is_empty() { position } else { call.namespace.position() };
        if self.types(&space, name, &values, start, method) {
            self.arguments(call, &space, name, &values, method);
        }
        if name == "arg" && values.len() == 2 {
            return values
                .pop()
                .filter(|default| default.kind != "()")
                .map_or_else(Value::default, |one| one.changed());
        }
        let of = values.first().map(|first| first.kind.as_str()).filter(|kind| !kind.is_empty());
        Value::of(self.context.manual.result(&space, name, of, self.context.known))
    }

    /// The module of ours that a call names; `None` where it is a script's.
    fn space(&self, call: &FnCallExpr) -> Option<String> {
        if call.namespace.is_empty() {
            return Some(String::new());
        }
        let root = call.namespace.root();
        match self.aliases.get(root) {
            Some(space) => space.clone(),
            None => self.context.known.spaces.contains_key(root).then(|| root.to_string()),
        }
    }

    /// Whether something takes arguments of these types; reports that nothing does.
    fn types(&mut self, space: &str, name: &str, values: &[Value], position: Position, method: bool) -> bool {
        let kinds: Vec<String> = values.iter().map(|value| value.kind.clone()).collect();
        let (manual, known) = (self.context.manual, self.context.known);
        let forms = manual.forms(space, name);
        let documented = !manual.is_standard(name) && !forms.is_empty();
        let counted = |arity: usize| match space.is_empty() {
            true => known.functions.get(name).is_some_and(|arities| arities.contains(&arity)),
            false => known.spaces.get(space).and_then(|all| all.get(name)).is_some_and(|all| all.contains(&arity)),
        };
        // A wrong number of arguments is told by the check of names.
        if !counted(kinds.len()) {
            return false;
        }
        // A variable may hold something else by the time of the call than its first value; of ranges that is not likely.
        let basic =
            kinds.first().is_some_and(|first| matches!(first.as_str(), "int" | "float" | "string" | "array" | "bool"));
        if method && basic || kinds.first().is_some_and(|first| first == "range") && name == "sum" {
            return true;
        }
        let taken = manual.takes(space, name, &kinds);
        let refused = documented && forms.iter().all(|form| matches!(form.refuses(&kinds), Some(Refusal::Argument(_))));
        if taken == Taken::Exactly || taken == Taken::Loosely && !refused {
            return true;
        }
        let shown: Vec<&str> = kinds.iter().map(|kind| if kind.is_empty() { "any" } else { kind }).collect();
        let whole = if space.is_empty() { name.to_string() } else { format!("{space}::{name}") };
        let (lead, shown) = match (method, shown.split_first()) {
            (true, Some((of, rest))) => (format!("{of}.{whole}"), rest.join(", ")),
            _ => (whole, shown.join(", ")),
        };
        let mut raw = Raw::error(self.file, position, format!("{lead} does not take ({shown})"));
        raw.notes = forms.iter().map(|form| compared(&form.text, &kinds)).collect();
        raw.hint = advice(name, &kinds);
        self.report(raw);
        false
    }

    /// Options, names and files among the arguments of a call of ours.
    fn arguments(&mut self, call: &FnCallExpr, space: &str, name: &str, values: &[Value], method: bool) {
        let whole = if space.is_empty() { name.to_string() } else { format!("{space}::{name}") };
        let place = |index: usize| {
            let index = if method { index.checked_sub(1) } else { Some(index) };
            index.and_then(|index| call.args.get(index)).map_or(Position::NONE, Expr::position)
        };
        for (index, value) in values.iter().enumerate() {
            if let Some(noun) = vocabulary::of_argument(&whole, index) {
                let found = value
                    .texts()
                    .iter()
                    .find_map(|text| vocabulary::check(noun, text, self.name, self.file, place(index)));
                found.into_iter().for_each(|raw| self.report(raw));
            }
            if paths::reads(name) == Some(index) && space.is_empty() {
                let certain = self.branches == 0;
                let found =
                    value.texts().iter().find_map(|text| self.written.check(text, certain, self.file, place(index)));
                found.into_iter().for_each(|raw| self.report(raw));
            }
        }
        let Some(keys) = values.last().and_then(|last| last.keys.as_ref()) else { return };
        if self.is_data(space, name, values.len(), method) {
            return;
        }
        let first = if space == "unlearn" && name == "run" { call.args.get(usize::from(method)) } else { None };
        let methods =
            first.or(call.args.first()).filter(|_| name == "run").and_then(|first| self.methods(first, values));
        let called = Called { space, name, methods };
        let found = given::check(self.context, &called, &self.rules, keys, self.file);
        found.into_iter().for_each(|raw| self.report(raw));
    }

    /// Whether the last argument may be a map of data rather than of options.
    fn is_data(&self, space: &str, name: &str, arguments: usize, method: bool) -> bool {
        self.context.manual.forms(space, name).iter().any(|form| {
            let receiver = usize::from(method && !form.of.is_empty());
            let last = arguments.checked_sub(1 + receiver).and_then(|last| form.parameters.get(last));
            last.is_some_and(|last| !last.name.is_empty() && last.kinds.iter().any(|kind| kind == "map"))
        })
    }

    /// The methods that the first argument of `unlearn::run` may be.
    fn methods(&self, first: &Expr, values: &[Value]) -> Option<Vec<String>> {
        match first {
            Expr::Variable(variable, ..)
                if self.scope.get(&variable.1).is_none() && self.own.contains(variable.1.as_str()) =>
            {
                Some(vec![variable.1.to_string()])
            }
            _ => Some(values.first()?.texts()).filter(|texts| !texts.is_empty()),
        }
    }

    /// A call of a function of the script whose options are known.
    fn own_call(&mut self, name: &str, values: &[Value]) {
        let Some(keys) = values.last().and_then(|last| last.keys.as_ref()) else { return };
        if self.rules.contains_key(name) {
            let called = Called { space: "", name, methods: None };
            let found = given::check(self.context, &called, &self.rules, keys, self.file);
            found.into_iter().for_each(|raw| self.report(raw));
        }
    }
}

/// Whether the first thing behind a dot is a call.
fn is_call(expr: &Expr) -> bool {
    match expr {
        Expr::MethodCall(..) => true,
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => is_call(&sides.lhs) || is_call(&sides.rhs),
        _ => false,
    }
}
