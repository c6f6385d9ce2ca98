//! Membership attacks, and the classifiers and curves behind them.

pub mod competition;
pub mod entropy;
pub mod epsilon;
pub mod logistic;
pub mod phi;
pub mod rbf_svm;
pub mod rmia;
pub mod roc;
pub mod salun;
pub mod stratified_folds;
