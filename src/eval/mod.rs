//! How well a network knows what it should, and how well it has forgotten the rest: accuracies, attacks, distances, gaps.

pub mod alarms;
pub mod attacks;
pub mod compare;
pub mod competition;
pub mod confusion;
pub mod distance;
pub mod entropy;
pub mod epsilon;
pub mod evaluate;
pub mod folds;
pub mod gaps;
pub mod histogram;
pub mod listing;
pub mod logistic;
pub mod machine;
pub mod metrics;
pub mod parts;
pub mod predict;
pub mod rank;
pub mod relearn;
pub mod rmia;
pub mod salun;
pub mod scores;
pub mod statistics;
pub mod summaries;
pub mod weights;

pub use compare::compare;
pub use evaluate::evaluate;
pub use listing::Direction;
pub use metrics::{Basis, Metrics};
pub use parts::{PartPredictions, Parts, predict_parts};
pub use predict::{Predictions, predict};
pub use scores::Scores;

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_type_with_name::<Predictions>("Predictions");
    engine.register_type_with_name::<PartPredictions>("PartPredictions");
    for module in [
        rhai::exported_module!(rank::script),
        rhai::exported_module!(scores::script),
        rhai::exported_module!(distance::script),
        rhai::exported_module!(attacks::script),
        rhai::exported_module!(salun::script),
        rhai::exported_module!(entropy::script),
        rhai::exported_module!(competition::script),
        rhai::exported_module!(histogram::script),
        rhai::exported_module!(summaries::script),
        rhai::exported_module!(gaps::script),
        rhai::exported_module!(alarms::script),
        rhai::exported_module!(epsilon::script),
        rhai::exported_module!(rmia::script),
        rhai::exported_module!(compare::script),
        rhai::exported_module!(weights::script),
        rhai::exported_module!(relearn::script),
        rhai::exported_module!(confusion::script),
        rhai::exported_module!(predict::script),
        rhai::exported_module!(parts::script),
        rhai::exported_module!(evaluate::script),
        rhai::exported_module!(statistics::script),
        rhai::exported_module!(listing::script),
    ] {
        engine.register_global_module(module.into());
    }
}
