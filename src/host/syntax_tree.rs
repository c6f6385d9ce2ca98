//! Walks through parsed scripts.

use crate::runtime::interrupt;
use rhai::{AST, ASTNode, Module, ScriptFuncDef, Shared};

/// Shows every node of a function's body, with the nodes around it. Rhai gives no direct access to bodies: a script of this
/// function alone does.
pub fn walk_body(function: &Shared<ScriptFuncDef>, see: &mut impl FnMut(&[ASTNode])) {
    let mut alone = Module::new();
    alone.set_script_fn(function.clone());
    AST::new_from_module(alone).walk(&mut |path| {
        see(path);
        !interrupt::raised()
    });
}
