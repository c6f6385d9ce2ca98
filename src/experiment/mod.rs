//! Experiments: tasks, running a method, presets, caches of originals and retrained references.

pub mod accelerate;
pub mod announce;
pub mod api;
pub mod assess;
pub mod board;
pub mod cache;
pub mod constraint;
pub mod declared;
pub mod epochs;
pub mod examiner;
pub mod frame;
pub mod identity;
pub mod kept_weights;
pub mod listed;
pub mod manifest;
pub mod method_options;
pub mod methods;
pub mod mislabel;
pub mod models;
pub mod optimizer;
pub mod order;
pub mod originals;
pub mod outcome;
pub mod presets;
pub mod primary_loss;
pub mod question;
pub mod reduction;
pub mod reference;
pub mod references;
pub mod regularizer;
pub mod regularizer_choice;
pub mod requests;
pub mod requests_api;
pub mod resume;
pub mod round;
pub mod round_costs;
pub mod row;
pub mod rules;
pub mod run;
pub mod run_api;
pub mod selection;
pub mod selector;
pub mod selector_api;
pub mod source;
pub mod space;
pub mod store;
pub mod task;
pub mod told;
pub mod train;
pub mod tune;
pub mod watch;

pub use outcome::Outcome;
pub use references::References;
pub use task::Task;

/// The module `unlearn`: `run`, and each built-in method as a function. It is reachable globally, and the module resolver
/// gives it out as `std/unlearn`.
pub fn unlearn_module() -> rhai::Shared<rhai::Module> {
    let mut module = rhai::exported_module!(run_api::unlearning);
    methods::add_functions(&mut module);
    module.build_index();
    module.into()
}

/// Adds this room's functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    for module in [
        rhai::exported_module!(models::script),
        rhai::exported_module!(train::script),
        rhai::exported_module!(rules::script),
        rhai::exported_module!(epochs::script),
        rhai::exported_module!(outcome::script),
        rhai::exported_module!(told::script),
        rhai::exported_module!(api::script),
        rhai::exported_module!(run_api::results),
        rhai::exported_module!(board::script),
        rhai::exported_module!(mislabel::script),
        rhai::exported_module!(requests_api::script),
        rhai::exported_module!(selector_api::script),
        rhai::exported_module!(tune::script),
    ] {
        engine.register_global_module(module.into());
    }
    engine.register_iterator_result::<epochs::Epochs, rhai::Dynamic>();
    engine.register_iterator_result::<requests::Requests, rhai::Dynamic>();
    engine.register_static_module("unlearn", unlearn_module());
}
