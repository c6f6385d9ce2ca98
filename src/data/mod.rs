//! Datasets, batches, and the requests that divide them.

pub mod batch;
pub mod checksum;
pub mod class_names;
pub mod dataset;
pub mod dataset_api;
pub mod decoded;
pub mod decoded_shelf;
pub mod digests;
pub mod division;
pub mod download;
pub mod fetch;
pub mod files;
pub mod folders;
pub mod formats;
pub mod installed;
pub mod known;
pub mod labels;
pub mod own;
pub mod parts;
pub mod pictures;
pub mod reading;
pub mod request;
pub mod share;
pub mod shelf;
pub mod sources;
pub mod storage;
pub mod subset;
pub mod teacher;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Batches};
pub use dataset::Dataset;
pub use parts::Data;
pub use sources::{Listing, list};
pub use storage::DatasetInfo;

/// Adds this room's types and functions to the engine.
pub fn register(engine: &mut rhai::Engine) {
    engine.register_global_module(rhai::exported_module!(dataset_api::script).into());
    engine.register_global_module(rhai::exported_module!(batch::script).into());
    engine.register_global_module(rhai::exported_module!(sources::script).into());
    engine.register_global_module(rhai::exported_module!(parts::script).into());
    engine.register_global_module(rhai::exported_module!(files::script).into());
    engine.register_global_module(rhai::exported_module!(own::script).into());
    engine.register_global_module(rhai::exported_module!(pictures::script).into());
    engine.register_global_module(rhai::exported_module!(subset::script).into());
    engine.register_global_module(rhai::exported_module!(teacher::script).into());
    engine.register_global_module(rhai::exported_module!(labels::script).into());
    engine.register_iterator_result::<batch::ScriptBatches, std::rc::Rc<Batch>>();
}
