//! Evaluates what `import` names. Rhai's own resolver breaks nested relative imports and overflows the stack on circular
//! ones.

use crate::runtime::imports::{Modules, find, native};
use crate::runtime::sources::SourceMap;
use crate::runtime::{Run, notation};
use rhai::{Engine, EvalAltResult, FnNamespace, Module, ModuleResolver, Position, Scope, Shared};
use std::cell::RefCell;
use std::rc::Rc;

/// The resolver of one engine.
pub struct Resolver {
    run: Run,
    modules: Rc<Modules>,
    loading: RefCell<Vec<String>>,
}

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// An error about an import, which keeps its text (Rhai drops that of a plain not-found).
fn failure(path: &str, message: String, position: Position) -> Box<EvalAltResult> {
    let inner = EvalAltResult::ErrorRuntime(message.into(), Position::NONE);
    Box::new(EvalAltResult::ErrorInModule(path.into(), inner.into(), position))
}

impl Resolver {
    /// A resolver that records what it reads in the run's source map.
    pub fn new(run: &Run) -> Self {
        Self { run: run.clone(), modules: run.slot(), loading: RefCell::default() }
    }

    /// Compiles and evaluates a module.
    fn load(&self, engine: &Engine, name: &str, text: &str, path: &str, position: Position) -> Outcome<Shared<Module>> {
        self.run.slot::<SourceMap>().insert(name, text);
        let compiled = notation::compile(engine, text);
        let mut ast = compiled.map_err(|error| {
            let inner = EvalAltResult::ErrorInModule(name.into(), Box::new(error.into()), position);
            Box::new(inner)
        })?;
        ast.set_source(name);
        self.run.slot::<SourceMap>().insert_closures(name, &ast);
        let evaluated = Module::eval_ast_as_new(Scope::new(), &ast, engine);
        let mut module = evaluated.map_err(|error| {
            let located = EvalAltResult::ErrorInFunctionCall(format!("import {path:?}"), name.into(), error, position);
            Box::new(located)
        })?;
        reveal_closures(&mut module);
        module.build_index();
        Ok(module.into())
    }
}

/// Lets callers call the closures that a module returns: since Rhai 1.26 a function pointer is only a name, so the
/// functions behind closures (`anon$…`) must be found from outside.
pub fn reveal_closures(module: &mut Module) {
    let closures: Vec<_> = module
        .iter_script_fn_info()
        .filter(|(_, _, name, _, _)| name.starts_with("anon$"))
        .map(|(_, _, _, _, definition)| definition.clone())
        .collect();
    for definition in closures {
        let hash = Module::new().set_script_fn(definition);
        module.update_fn_namespace(hash, FnNamespace::Global);
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Outcome<Shared<Module>> {
        if native(path).is_some() {
            if let Some(module) = self.modules.get(path) {
                return Ok(module);
            }
            let module = crate::experiment::unlearn_module();
            self.modules.insert(path, &module);
            return Ok(module);
        }
        let (name, text) = find(source, path).map_err(|message| failure(path, message, position))?;
        if let Some(module) = self.modules.get(&name) {
            return Ok(module);
        }
        if self.loading.borrow().contains(&name) {
            let chain = self.loading.borrow().join(" imports ");
            return Err(failure(path, format!("circular import: {chain} imports {name}"), position));
        }
        self.loading.borrow_mut().push(name.clone());
        let loaded = self.load(engine, &name, &text, path, position);
        self.loading.borrow_mut().pop();
        let module = loaded?;
        self.modules.insert(&name, &module);
        Ok(module)
    }
}
