//! Builds the engine once: limits, operators, every room's functions.

use super::resolver::Resolver;
use crate::runtime::sources::SourceMap;
use crate::runtime::{Run, interrupt, run::Settings};
use rhai::{Dynamic, Engine, EvalAltResult, OptimizationLevel, Position, Scope};
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
        engine.set_max_call_levels(256).set_max_expr_depths(512, 512).set_max_modules(256);
        engine.set_default_tag(Dynamic::from(run.clone()));
        engine.set_module_resolver(Resolver::new(&run));
        // Simple folds constants only; full optimisation would call natives such as `randn` while compiling.
        engine.set_optimization_level(OptimizationLevel::Simple);
        engine.on_progress(|_| interrupt::raised().then_some(Dynamic::UNIT));
        if let Err(error) = super::syntax::register(&mut engine) {
            run.progress().warn(&format!("the constructs no_grad and timed are missing: {error}"));
        }
        let progress = run.progress().clone();
        engine.on_print(move |text| progress.print(text));
        for room in super::rooms::ROOMS {
            (room.register)(&mut engine);
        }
        let engine = Rc::new(engine);
        run.set_engine(&engine);
        Self { engine, run }
    }

    /// Runs a script file.
    ///
    /// # Errors
    /// Whatever the script raises.
    pub fn run_file(&self, path: &str) -> Result<(), Box<EvalAltResult>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| EvalAltResult::ErrorSystem(format!("{path} cannot be read"), error.into()))?;
        self.run.slot::<SourceMap>().insert(path, text.as_str());
        let compiled = self.engine.compile(&text);
        let mut ast = compiled
            .map_err(|error| EvalAltResult::ErrorInModule(path.into(), Box::new(error.into()), Position::NONE))?;
        ast.set_source(path);
        self.engine.run_ast_with_scope(&mut Scope::new(), &ast)
    }
}
