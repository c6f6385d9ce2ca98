//! The options that a function of a script declares with `options(opt, #{ .. })`, read off its text.

use rhai::{AST, ASTNode, Caches, Dynamic, Engine, Expr, FnCallExpr, Map, Scope, ScriptFuncDef, Shared, Stmt};
use std::collections::HashMap;

/// The functions that declare a range in `options`.
const RULES: [&str; 6] = ["positive", "non_negative", "between", "count", "whole", "one_of"];

/// The rules of the functions of a script, by name.
pub fn of(ast: &AST, engine: &Engine) -> HashMap<String, Map> {
    let functions = ast.shared_lib().iter_script_fn_info();
    functions.filter_map(|(_, _, name, _, function)| Some((name.to_string(), declared(function, engine)?))).collect()
}

/// The rules of one function: those of its only call of `options`, when its last parameter goes nowhere else.
fn declared(function: &Shared<ScriptFuncDef>, engine: &Engine) -> Option<Map> {
    let given = function.params.last()?;
    let (mut found, mut uses, mut calls) = (None, 0, 0);
    crate::host::syntax_tree::walk_body(function, &mut |path| match path.last() {
        Some(ASTNode::Expr(Expr::Variable(variable, ..))) if variable.1 == given => uses += 1,
        Some(ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _)))
            if call.name == "options" && call.namespace.is_empty() =>
        {
            calls += 1;
            found = found.take().or_else(|| rules(call, given, engine));
        }
        _ => {}
    });
    found.filter(|_| uses == 1 && calls == 1)
}

fn rules(call: &FnCallExpr, given: &str, engine: &Engine) -> Option<Map> {
    let [Expr::Variable(variable, ..), rules] = call.args.as_slice() else { return None };
    if variable.1 != given {
        return None;
    }
    match rules {
        Expr::DynamicConstant(value, _) => value.clone().try_cast::<Map>(),
        Expr::Map(parts, _) => {
            let pairs = parts.0.iter().map(|(key, value)| (key.name.as_str().into(), rule(value, engine)));
            Some(pairs.collect())
        }
        _ => None,
    }
}

/// The value of one rule; `()`, which takes anything, where the text does not tell.
fn rule(expr: &Expr, engine: &Engine) -> Dynamic {
    let plain = match expr {
        Expr::FnCall(call, _) => {
            RULES.contains(&call.name.as_str()) && call.namespace.is_empty() && call.args.iter().all(Expr::is_constant)
        }
        other => other.is_constant(),
    };
    if !plain {
        return Dynamic::UNIT;
    }
    let statement = [Stmt::Expr(Box::new(expr.clone()))];
    let (mut global, mut caches) = (engine.new_global_runtime_state(), Caches::new());
    engine.eval_statements_raw(&mut global, &mut caches, &mut Scope::new(), &statement).unwrap_or(Dynamic::UNIT)
}
