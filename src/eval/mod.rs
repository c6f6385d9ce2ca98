//! How well a network knows what it should, and how well it has forgotten the rest: accuracies, attacks, distances, gaps.

pub mod attacks;
pub mod confidence;
pub mod distance;
pub mod evaluate;
pub mod folds;
pub mod gaps;
pub mod listing;
pub mod logistic;
pub mod metrics;
pub mod predict;
pub mod rank;
pub mod scores;
pub mod statistics;

pub use evaluate::{Parts, evaluate};
pub use metrics::{Basis, Metrics};
pub use predict::{Predictions, predict};
pub use scores::Scores;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_type_with_name::<Predictions>("Predictions");
    for module in [
        rhai::exported_module!(rank::script),
        rhai::exported_module!(scores::script),
        rhai::exported_module!(distance::script),
        rhai::exported_module!(attacks::script),
        rhai::exported_module!(confidence::script),
        rhai::exported_module!(gaps::script),
        rhai::exported_module!(predict::script),
        rhai::exported_module!(evaluate::script),
        rhai::exported_module!(statistics::script),
    ] {
        engine.register_global_module(module.into());
    }
}
