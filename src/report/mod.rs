//! What is left of a run: the run folder, the leaderboard, its files and pictures.

pub mod about;
pub mod beside;
pub mod cells;
pub mod chart;
pub mod columns;
pub mod commit;
pub mod difference;
pub mod entry;
pub mod export;
pub mod finished;
pub mod folder;
mod frame;
pub mod gathering;
pub mod grid;
pub mod kinship;
pub mod labels;
pub mod leaderboard;
pub mod legend;
pub mod line;
pub mod lock;
pub mod looks;
pub mod marks;
pub mod originals;
pub mod panel;
pub mod picture;
pub mod plot;
pub mod predictions;
pub mod raster;
pub mod recorder;
pub mod rescue;
pub mod results;
pub mod row;
pub mod scale;
pub mod screen;
pub mod script;
pub mod seeds;
pub mod spread;
pub mod statistics;
pub mod succession;
mod svg;
pub mod table;
pub mod table_files;
pub mod table_script;
pub mod target;
#[cfg(test)]
mod tests;
pub mod text_grid;
pub mod titles;
pub mod view;

pub use leaderboard::Leaderboard;
pub use predictions::PredictionStore;
pub use recorder::Recorder;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_type_with_name::<Leaderboard>("Leaderboard");
    engine.register_global_module(rhai::exported_module!(script::board).into());
    engine.register_global_module(rhai::exported_module!(plot::script).into());
    engine.register_global_module(rhai::exported_module!(grid::script).into());
    engine.register_global_module(rhai::exported_module!(table_script::script).into());
    engine.register_global_module(rhai::exported_module!(titles::script).into());
}
