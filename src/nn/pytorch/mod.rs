//! PyTorch's files, read without running anything in them, and written.

pub mod before_1_6;
pub mod checkpoint;
pub mod choose;
pub mod dictionaries;
pub mod fit_names;
pub mod pickle;
pub mod pickle_machine;
pub mod read;
pub mod write;
