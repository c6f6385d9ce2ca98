//! Builds the engine once: limits, operators, every room's functions.

use super::evaluate::evaluate;
use super::resolver::Resolver;
use crate::host::custom_syntax::CALL_LEVELS;
use crate::host::diagnostics::diagnostic::{Diagnostic, Sources};
use crate::host::docs::catalog::Catalog;
use crate::runtime::run::Settings;
use crate::runtime::sources::SourceMap;
use crate::runtime::{Run, heap, interrupt, notation};
use rhai::{AST, Dynamic, Engine, EvalAltResult, LexError, OptimizationLevel, Position, Scope, Token};
use std::rc::Rc;

/// An engine with everything registered, and the run it belongs to.
pub struct Host {
    /// The engine.
    pub engine: Rc<Engine>,
    /// Settings and state shared by every primitive.
    pub run: Run,
}

impl Host {
    /// An engine for these settings.
    pub fn new(settings: Settings) -> Self {
        let run = Run::new(settings);
        let mut engine = Engine::new();
        engine.set_max_call_levels(CALL_LEVELS).set_max_expr_depths(512, 512).set_max_modules(256);
        engine.set_default_tag(Dynamic::from(run.clone()));
        engine.set_module_resolver(Resolver::new(&run));
        // Simple folds constants only; full optimisation would call natives such as `randn` while compiling.
        engine.set_optimization_level(OptimizationLevel::Simple);
        // A text of many thousand lines can be given up while it is read.
        #[allow(deprecated, reason = "not deprecated, says its note, but volatile")]
        engine.on_parse_token(|token, _, _| match interrupt::raised() {
            true => Token::LexError(LexError::Runtime("interrupted".into()).into()),
            false => token,
        });
        engine.on_progress(|_| match interrupt::raised() {
            true => Some(interrupt::cut().map_or(Dynamic::UNIT, Dynamic::from)),
            false => heap::beyond().map(Dynamic::from),
        });
        if let Err(error) = super::custom_syntax::register(&mut engine) {
            run.progress().warn(&format!("the constructs no_grad and timed are missing: {error}"));
        }
        let progress = run.progress().clone();
        engine.on_print(move |text| progress.print(text));
        for room in super::rooms::ROOMS {
            (room.register)(&mut engine);
        }
        if let Err(error) = super::stdlib::register(&mut engine, &run) {
            run.progress().warn(&format!("the embedded library is incomplete: {error}"));
        }
        let engine = Rc::new(engine);
        run.set_engine(&engine);
        Self { engine, run }
    }

    /// Compiles a script under the name that errors give it.
    ///
    /// # Errors
    /// Syntax errors, located in the script.
    pub fn compile(&self, name: &str, text: &str) -> Result<AST, Box<EvalAltResult>> {
        self.run.slot::<SourceMap>().insert(name, text);
        let mut ast = notation::compile(&self.engine, text).map_err(|problem| {
            Box::new(EvalAltResult::ErrorInModule(name.into(), Box::new(problem.into()), Position::NONE))
        })?;
        ast.set_source(name);
        self.run.slot::<SourceMap>().insert_closures(name, &ast);
        Ok(ast)
    }

    /// Runs a compiled script from its beginning.
    ///
    /// # Errors
    /// Whatever the script raises.
    pub fn run_script(&self, ast: &AST) -> Result<(), Box<EvalAltResult>> {
        let mut global = self.engine.new_global_runtime_state();
        global.lib.push(ast.shared_lib().clone());
        evaluate(&self.engine, &mut global, &mut Scope::new(), ast).map(|_| ())
    }

    /// Explains an error that came out of the script `main`.
    pub fn diagnose(&self, error: &EvalAltResult, main: &str) -> Diagnostic {
        let map = self.run.slot::<SourceMap>();
        Diagnostic::of(error, &Sources { map: &map, main }, &Catalog::of(&self.engine))
    }
}
