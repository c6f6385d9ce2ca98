//! How well a network knows what it should, and how well it has forgotten the rest: accuracies, attacks, distances, gaps.

pub mod attacks;
pub mod confusion;
pub mod evaluate;
pub mod histogram;
pub mod metric_list;
pub mod metrics;
pub mod predict;
pub mod retrained;
pub mod scores;
pub mod split_predictions;
pub mod statistics;
pub mod summary_scores;
pub mod warnings;

pub use evaluate::evaluate;
pub use metric_list::Direction;
pub use metrics::{Basis, Metrics};
pub use predict::{Predictions, predict};
pub use retrained::compare::compare;
pub use scores::Scores;
pub use split_predictions::{PartPredictions, Parts, predict_parts};

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_type_with_name::<Predictions>("Predictions");
    engine.register_type_with_name::<PartPredictions>("PartPredictions");
    for module in [
        rhai::exported_module!(attacks::roc::script),
        rhai::exported_module!(scores::script),
        rhai::exported_module!(retrained::output_distance::script),
        rhai::exported_module!(attacks::phi::script),
        rhai::exported_module!(attacks::salun::script),
        rhai::exported_module!(attacks::entropy::script),
        rhai::exported_module!(attacks::competition::script),
        rhai::exported_module!(histogram::script),
        rhai::exported_module!(summary_scores::script),
        rhai::exported_module!(retrained::gaps::script),
        rhai::exported_module!(warnings::script),
        rhai::exported_module!(attacks::epsilon::script),
        rhai::exported_module!(attacks::rmia::script),
        rhai::exported_module!(retrained::compare::script),
        rhai::exported_module!(retrained::weight_distance::script),
        rhai::exported_module!(retrained::relearn_time::script),
        rhai::exported_module!(confusion::script),
        rhai::exported_module!(predict::script),
        rhai::exported_module!(split_predictions::script),
        rhai::exported_module!(evaluate::script),
        rhai::exported_module!(statistics::script),
        rhai::exported_module!(metric_list::script),
    ] {
        engine.register_global_module(module.into());
    }
}
