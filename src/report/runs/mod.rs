//! Run folders: rows, predictions, locks, what an earlier run left, and finished runs put together.

pub mod difference;
pub mod finished_runs;
pub mod folder;
pub mod gathering;
pub mod kinship;
pub mod lock;
pub mod predictions;
pub mod recorder;
pub mod rescue;
pub mod results;
pub mod row;
pub mod succession;
