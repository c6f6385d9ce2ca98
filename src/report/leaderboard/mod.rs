//! Leaderboards: entries of several seeds, columns, tables, statistics, pictures and exports.

pub mod about;
pub mod board;
pub mod columns;
pub mod entry;
pub mod export;
pub mod figure;
pub mod legend;
pub mod originals;
pub mod pairwise_metrics;
pub mod script;
pub mod seed_statistics;
pub mod seed_tables;
pub mod spread;
pub mod table;
pub mod text_grid;
pub mod view;
