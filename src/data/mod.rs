//! Datasets, batches, and the requests that divide them.

pub mod batch;
pub mod catalog;
pub mod class_names;
pub mod dataset;
pub mod dataset_file;
pub mod dataset_script;
pub mod dataset_splits;
pub mod forget_request;
pub mod formats;
pub mod from_tensors;
pub mod image_folder;
pub mod load;
pub mod relabel;
pub mod share;
pub mod storage;
pub mod subset;
pub mod teacher_logits;
#[cfg(test)]
mod tests;
pub mod train_validation_split;

pub use batch::{Batch, Batches};
pub use dataset::Dataset;
pub use dataset_splits::Data;
pub use load::{Listing, list};
pub use storage::DatasetInfo;

/// Adds this room's types and functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(dataset_script::script).into());
    engine.register_global_module(rhai::exported_module!(batch::script).into());
    engine.register_global_module(rhai::exported_module!(load::script).into());
    engine.register_global_module(rhai::exported_module!(dataset_splits::script).into());
    engine.register_global_module(rhai::exported_module!(dataset_file::script).into());
    engine.register_global_module(rhai::exported_module!(from_tensors::script).into());
    engine.register_global_module(rhai::exported_module!(image_folder::script).into());
    engine.register_global_module(rhai::exported_module!(subset::script).into());
    engine.register_global_module(rhai::exported_module!(teacher_logits::script).into());
    engine.register_global_module(rhai::exported_module!(relabel::script).into());
    engine.register_iterator_result::<batch::ScriptBatches, std::rc::Rc<Batch>>();
}
