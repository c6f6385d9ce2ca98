//! What a leaderboard learns from tasks and results.

use super::assess;
use super::task::Task;
use crate::report::Leaderboard;
use crate::runtime::{Result, Run};

/// A leaderboard of these tasks: headed by what they are about, its first row their original networks.
///
/// # Errors
/// Those of evaluating the originals.
pub fn leaderboard(run: &Run, tasks: &[Task]) -> Result<Leaderboard> {
    let board = Leaderboard::new(run, title(tasks));
    for task in tasks {
        let original = assess::original(run, task)?;
        board.add_original(task.split_id(), &original.key, original.metrics.clone());
    }
    Ok(board)
}

/// `digits · convnet · 159 of 797 samples forgotten (uniform) · seed 0`.
fn title(tasks: &[Task]) -> String {
    let Some(task) = tasks.first() else { return String::new() };
    let split = &task.parts().split;
    let mode = if split.classes.is_empty() { split.mode.clone() } else { format!("{} {}", split.mode, classes(tasks)) };
    let seeds = match tasks {
        [_] => format!("seed {}", task.seed()),
        _ => format!("{} splits", tasks.len()),
    };
    let (forgotten, all) = (task.forget().len(), task.train().len());
    format!("{} · {} · {forgotten} of {all} samples forgotten ({mode}) · {seeds}", task.data().name, task.model_name())
}

/// The classes forgotten, `[1] or [9]` where tasks differ.
fn classes(tasks: &[Task]) -> String {
    let mut all: Vec<String> = tasks.iter().map(|task| format!("{:?}", task.parts().split.classes)).collect();
    all.sort();
    all.dedup();
    all.join(" or ")
}

/// What scripts see of boards with tasks and results on them.
#[rhai::export_module]
pub mod script {
    use crate::experiment::{Outcome, Task};
    use crate::report::Leaderboard;
    use crate::runtime::options::describe;
    use crate::runtime::{Error, Run, Script};
    use rhai::{Array, NativeCallContext};

    /// A leaderboard for a task: its first row is the original network; `add` results to it, `print` it, `save` it. Of an
    /// array of tasks (the same request under several seeds) each result is compared within its own split. Without a task it
    /// takes its title and the original networks from its results. Without a retrained network among its results it shows no
    /// gaps: it never trains one by itself.
    ///
    /// # Signature
    /// leaderboard(task: Task) -> Leaderboard
    /// leaderboard(tasks: [Task]) -> Leaderboard
    /// leaderboard() -> Leaderboard
    ///
    /// # Example
    /// ```rhai
    /// import "std/unlearn" as unlearn;
    /// let data = dataset("digits");
    /// let net = convnet(data, #{ width: 4, depth: 1 });
    /// let task = forget(net, data, #{ fraction: 0.1 });
    /// let board = leaderboard(task);
    /// board.add(unlearn::run("finetune", task, #{ epochs: 1 }));
    /// assert(board.to_markdown().contains("original") && board.to_markdown().contains("finetune"));
    /// let both = [3, 5].map(|class| forget(net, data, #{ mode: "classwise", class: class }));
    /// assert(leaderboard(both).to_markdown().contains("(classwise [3] or [5]) · 2 splits"));
    /// ```
    #[rhai_fn(return_raw, name = "leaderboard")]
    pub fn leaderboard(context: NativeCallContext, task: Task) -> Script<Leaderboard> {
        Ok(super::leaderboard(&Run::of(&context), &[task])?)
    }

    #[rhai_fn(return_raw, name = "leaderboard")]
    pub fn leaderboard_of(context: NativeCallContext, tasks: Array) -> Script<Leaderboard> {
        let mut found = vec![];
        for task in tasks {
            let kind = describe(&task);
            let task = task.try_cast::<Task>();
            found.push(task.ok_or_else(|| Error::new("leaderboard", format!("needs an array of tasks, got {kind}")))?);
        }
        Ok(super::leaderboard(&Run::of(&context), &found)?)
    }

    #[rhai_fn(name = "add")]
    pub fn add(board: Leaderboard, result: Outcome) -> Leaderboard {
        super::assess::tell_original(result.run(), &board, &result.row());
        board.add(result.row());
        board
    }
}
