//! The rooms that give scripts their words, in the order of the manual.

use rhai::Engine;

/// A room: where its functions are registered, and what the manual says about it.
pub struct Room {
    /// The name, as in `src/<name>`.
    pub name: &'static str,
    /// One line for the overview.
    pub about: &'static str,
    /// Adds the room's types and functions to an engine.
    pub register: fn(&mut Engine),
}

/// All rooms with functions of their own.
pub const ROOMS: &[Room] = &[
    Room { name: "tensor", about: "tensors, arithmetic, indexing, autograd, files", register: crate::tensor::register },
    Room { name: "nn", about: "layers, networks, losses, optimisers, schedules", register: crate::nn::register },
    Room { name: "data", about: "data sets, batches, sampling, splits", register: crate::data::register },
    Room { name: "condense", about: "clusters and condensation", register: crate::condense::register },
    Room { name: "unlearn", about: "building blocks of unlearning methods", register: crate::unlearn::register },
    Room { name: "eval", about: "accuracies, attacks, distances, gaps", register: crate::eval::register },
    Room {
        name: "experiment",
        about: "models, training, tasks, running a method",
        register: crate::experiment::register,
    },
    Room { name: "report", about: "leaderboards, exports, plots", register: crate::report::register },
    Room { name: "host", about: "arg, exit, sleep, functions of arrays", register: super::register },
];
