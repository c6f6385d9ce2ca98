//! What every room needs of the process it runs in: errors, options, randomness, the run's settings, progress, interrupts.

pub mod allocator;
pub mod budget;
pub mod callback;
pub mod clock;
pub mod cuda;
pub mod error;
pub mod heap;
pub mod hex;
pub mod imports;
pub mod interrupt;
pub mod io_error;
pub mod json;
pub mod mapped;
pub mod moment;
pub mod notation;
pub mod options;
pub mod output;
pub mod places;
pub mod progress;
pub mod random;
pub mod regular;
pub mod run;
pub mod sources;
pub mod text;
pub mod torch_words;
pub mod versions;

pub use callback::Callback;
pub use error::{Error, Result, Script};
pub use options::Options;
pub use random::Stream;
pub use run::Run;
pub use torch_words::At;
