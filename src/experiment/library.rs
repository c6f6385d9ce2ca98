//! Modules of the embedded library that are scripts: `std/condense` is reachable as `condense::..` without being imported. A
//! script is compiled when one of its functions is first called.

use super::methods;
use crate::runtime::sources::embedded;
use crate::runtime::{Error, Run, Script};
use rhai::{AST, CallFnOptions, Dynamic, EvalAltResult, FuncRegistration, Module, NativeCallContext, Scope};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Compiled scripts by file; a run slot.
#[derive(Default)]
struct Compiled(RefCell<HashMap<&'static str, Rc<AST>>>);

/// The module of the documented functions of an embedded script.
pub fn module(file: &'static str) -> Module {
    let mut module = Module::new();
    for (name, parameters, comments) in methods::declarations(embedded(file).unwrap_or_default()) {
        // What has no comment is for the script itself.
        if !comments.is_empty() {
            add(&mut module, file, name, &parameters, comments);
        }
    }
    module.build_index();
    module
}

fn add(module: &mut Module, file: &'static str, name: String, parameters: &[String], comments: Vec<String>) {
    let called = name.clone();
    let function = FuncRegistration::new(name).with_params_info(parameters).with_comments(comments).with_purity(true);
    type Context<'a> = NativeCallContext<'a>;
    match parameters.len() {
        2 => function.set_into_module(module, move |context: Context, a: Dynamic, b: Dynamic| -> Script<Dynamic> {
            call(&context, file, &called, vec![a, b])
        }),
        3 => function.set_into_module(
            module,
            move |context: Context, a: Dynamic, b: Dynamic, c: Dynamic| -> Script<Dynamic> {
                call(&context, file, &called, vec![a, b, c])
            },
        ),
        _ => return,
    };
}

/// Calls a function of an embedded script on behalf of the native function whose context this is.
fn call(context: &NativeCallContext, file: &'static str, name: &str, arguments: Vec<Dynamic>) -> Script<Dynamic> {
    let (run, engine) = (Run::of(context), context.engine());
    let compiled = run.slot::<Compiled>();
    let known = compiled.0.borrow().get(file).cloned();
    let script = match known {
        Some(script) => script,
        None => {
            let text = embedded(file).ok_or_else(|| Error::new(name, "the built-in script has gone"))?;
            let script = Rc::new(methods::compile(&run, engine, file, text)?);
            compiled.0.borrow_mut().insert(file, script.clone());
            script
        }
    };
    let how = CallFnOptions::new().eval_ast(false);
    let result = engine.call_fn_with_options(how, &mut Scope::new(), &script, name, arguments);
    result.map_err(|error| match error.is_system_exception() {
        true => error,
        // Rhai does not say in which script the outermost function of such a call is.
        false => Box::new(EvalAltResult::ErrorInFunctionCall(name.into(), file.into(), error, context.call_position())),
    })
}
