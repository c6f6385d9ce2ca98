//! Builds the engine once: limits, operators, every room's functions.

use crate::runtime::{Run, run::Settings};
use rhai::{Dynamic, Engine, EvalAltResult, Scope};
use std::path::PathBuf;
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
        let ast = self.engine.compile_file(PathBuf::from(path))?;
        self.engine.run_ast_with_scope(&mut Scope::new(), &ast)
    }
}
