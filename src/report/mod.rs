//! What is left of a run: the run folder, the leaderboard, its files and pictures.

pub mod cells;
pub mod commit;
pub mod leaderboard;
pub mod line;
pub mod plot;
pub mod raster;
pub mod runs;
pub mod screen;
pub mod table_files;
pub mod table_script;
pub mod target;
#[cfg(test)]
mod tests;
pub mod titles;

pub use leaderboard::board::Leaderboard;
pub use runs::predictions::PredictionStore;
pub use runs::recorder::Recorder;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_type_with_name::<Leaderboard>("Leaderboard");
    engine.register_global_module(rhai::exported_module!(leaderboard::script::board).into());
    engine.register_global_module(rhai::exported_module!(plot::plot_script::script).into());
    engine.register_global_module(rhai::exported_module!(plot::image_grid::script).into());
    engine.register_global_module(rhai::exported_module!(table_script::script).into());
    engine.register_global_module(rhai::exported_module!(titles::script).into());
}
