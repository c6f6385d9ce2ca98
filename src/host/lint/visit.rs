//! A walk over a script's syntax tree that knows which variables each expression can see.

use crate::runtime::interrupt;
use rhai::{Expr, FnCallExpr, Namespace, Position, ScriptFuncDef, Stmt, StmtBlock};
use std::collections::HashMap;

/// What a walk meets.
pub trait Visitor {
    /// A call: `f(..)`, `space::f(..)` or, as a method, `x.f(..)`.
    fn call(&mut self, call: &FnCallExpr, position: Position, method: bool, scope: &Scope);
    /// A variable that is read or written.
    fn variable(&mut self, name: &str, space: &Namespace, position: Position, scope: &Scope);
}

/// The variables in sight.
#[derive(Default)]
pub struct Scope {
    names: Vec<String>,
    /// How often each stands in the list: scripts may declare tens of thousands.
    counts: HashMap<String, usize>,
    /// The function whose body this is; `None` at the top of a script.
    pub function: Option<String>,
}

impl Scope {
    /// The variables at the start of a function.
    pub fn of(function: &ScriptFuncDef) -> Self {
        let mut scope = Self { function: Some(function.name.to_string()), ..Self::default() };
        function.params.iter().for_each(|name| scope.declare(name));
        scope
    }

    /// Adds a variable.
    fn declare(&mut self, name: &str) {
        *self.counts.entry(name.into()).or_default() += 1;
        self.names.push(name.into());
    }

    /// Forgets all but the first variables.
    fn truncate(&mut self, length: usize) {
        for name in self.names.drain(length..) {
            if let Some(count) = self.counts.get_mut(&name) {
                *count -= 1;
            }
        }
    }

    /// Whether a variable of this name is in sight.
    pub fn has(&self, name: &str) -> bool {
        self.counts.get(name).is_some_and(|count| *count > 0)
    }

    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

/// Walks the statements in order.
pub fn statements<'a>(list: impl IntoIterator<Item = &'a Stmt>, scope: &mut Scope, visitor: &mut impl Visitor) {
    for one in list {
        if interrupt::raised() {
            return;
        }
        statement(one, scope, visitor);
    }
}

/// A block: what it declares is gone at its end.
fn block(body: &StmtBlock, scope: &mut Scope, visitor: &mut impl Visitor, declared: &[&str]) {
    let outside = scope.names.len();
    declared.iter().for_each(|name| scope.declare(name));
    statements(body.iter(), scope, visitor);
    scope.truncate(outside);
}

/// Walks one statement; what it declares stays in sight.
pub fn statement(statement: &Stmt, scope: &mut Scope, visitor: &mut impl Visitor) {
    match statement {
        Stmt::If(flow, _) => {
            expression(&flow.expr, scope, visitor);
            block(&flow.body, scope, visitor, &[]);
            block(&flow.branch, scope, visitor, &[]);
        }
        Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
            expression(&flow.expr, scope, visitor);
            block(&flow.body, scope, visitor, &[]);
        }
        Stmt::For(parts, _) => {
            let (item, counter, flow) = &**parts;
            expression(&flow.expr, scope, visitor);
            let mut declared = vec![item.name.as_str()];
            declared.extend(counter.as_ref().map(|counter| counter.name.as_str()));
            block(&flow.body, scope, visitor, &declared);
        }
        Stmt::TryCatch(flow, _) => {
            block(&flow.body, scope, visitor, &[]);
            match &flow.expr {
                Expr::Variable(caught, ..) => block(&flow.branch, scope, visitor, &[&caught.1]),
                _ => block(&flow.branch, scope, visitor, &[]),
            }
        }
        Stmt::Switch(parts, _) => {
            expression(&parts.0, scope, visitor);
            for case in &parts.1.expressions {
                expression(&case.lhs, scope, visitor);
                expression(&case.rhs, scope, visitor);
            }
        }
        Stmt::Var(parts, ..) => {
            expression(&parts.1, scope, visitor);
            scope.declare(&parts.0.name);
        }
        Stmt::Assignment(parts) => {
            expression(&parts.1.lhs, scope, visitor);
            expression(&parts.1.rhs, scope, visitor);
        }
        Stmt::FnCall(call, position) => called(call, *position, false, scope, visitor),
        Stmt::Block(body) => block(body, scope, visitor, &[]),
        Stmt::Expr(inner) => expression(inner, scope, visitor),
        Stmt::BreakLoop(Some(inner), ..) | Stmt::Return(Some(inner), ..) => expression(inner, scope, visitor),
        Stmt::Import(parts, _) => expression(&parts.0, scope, visitor),
        Stmt::Export(parts, _) => visitor.variable(&parts.0.name, &Namespace::NONE, parts.0.pos, scope),
        _ => {}
    }
}

fn called(call: &FnCallExpr, position: Position, method: bool, scope: &mut Scope, visitor: &mut impl Visitor) {
    visitor.call(call, position, method, scope);
    for argument in &call.args {
        expression(argument, scope, visitor);
    }
}

fn expression(expr: &Expr, scope: &mut Scope, visitor: &mut impl Visitor) {
    match expr {
        Expr::Variable(parts, _, position) => visitor.variable(&parts.1, &parts.2, *position, scope),
        Expr::FnCall(call, position) => called(call, *position, false, scope, visitor),
        Expr::MethodCall(call, position) => called(call, *position, true, scope, visitor),
        Expr::Stmt(body) => block(body, scope, visitor, &[]),
        Expr::Dot(sides, ..) | Expr::Index(sides, ..) => {
            expression(&sides.lhs, scope, visitor);
            expression(&sides.rhs, scope, visitor);
        }
        Expr::Map(parts, _) => parts.0.iter().for_each(|(_, value)| expression(value, scope, visitor)),
        Expr::Array(items, _) | Expr::InterpolatedString(items, _) => {
            items.iter().for_each(|item| expression(item, scope, visitor));
        }
        Expr::And(items, _) | Expr::Or(items, _) | Expr::Coalesce(items, _) => {
            items.iter().for_each(|item| expression(item, scope, visitor));
        }
        Expr::Custom(custom, _) => custom.inputs.iter().for_each(|input| expression(input, scope, visitor)),
        _ => {}
    }
}
