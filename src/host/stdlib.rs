//! The modules of the embedded library that are plain scripts: each is one object, reachable by its functions' bare names and
//! by `import "std/.."`. Methods are not among them: they are found by name when they are run.

use crate::host::resolver;
use crate::runtime::imports::Modules;
use crate::runtime::sources::{STDLIB, SourceMap};
use crate::runtime::{Run, notation};
use rhai::{Engine, EvalAltResult, Module, Scope, Shared};

/// Where the methods are.
const METHODS: &str = "std/unlearn/";

/// Compiles and registers every module.
///
/// # Errors
/// A module that does not compile or evaluate.
pub fn register(engine: &mut Engine, run: &Run) -> Result<(), Box<EvalAltResult>> {
    for (name, text) in STDLIB.iter().filter(|(name, _)| !name.starts_with(METHODS)) {
        run.slot::<SourceMap>().insert(*name, *text);
        let mut ast = notation::compile(engine, text)?;
        ast.set_source(*name);
        let mut module = Module::eval_ast_as_new(Scope::new(), &ast, engine)?;
        resolver::reveal_closures(&mut module);
        module.build_index();
        let module: Shared<Module> = module.into();
        run.slot::<Modules>().insert(name, &module);
        engine.register_global_module(module);
    }
    Ok(())
}
