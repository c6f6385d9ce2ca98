//! The leaderboard's script face. (What knows of tasks and results is in `experiment::board`.)

/// What scripts see of leaderboards.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod board {
    use crate::eval::metrics::to_json;
    use crate::report::{export, picture, table};
    use crate::runtime::{Error, Run, Script};
    use rhai::{Array, Map, NativeCallContext};

    /// Results beside each other: `add(result)`, `print(board)`, `save(name)`, `csv()`, `to_markdown()`, `svg()`, `warnings`.
    pub type Leaderboard = crate::report::Leaderboard;

    #[rhai_fn(name = "leaderboard")]
    pub fn leaderboard_plain(context: NativeCallContext) -> Leaderboard {
        Leaderboard::new(&Run::of(&context), "")
    }

    /// Adds a result of `unlearn::run`, or a row as a map, to a leaderboard, which is returned. Rows of one label under
    /// several seeds are shown as mean ± standard deviation; a row added again replaces its former self.
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "mine", metrics: #{ test_accuracy: 0.98 }, seconds: #{ unlearn: 1.5 } });
    /// assert(board.len() == 1 && board.to_markdown().contains("98.0"));
    /// ```
    #[rhai_fn(return_raw, name = "add")]
    pub fn add(board: Leaderboard, row: Map) -> Script<Leaderboard> {
        let value = to_json(&rhai::Dynamic::from(row));
        if value.get("metrics").is_none_or(|metrics| !metrics.is_object()) {
            let error = Error::new("add", "a row needs a map `metrics`");
            return Err(error
                .hint("pass the result of unlearn::run, or #{ label: .., metrics: #{ .. }, seconds: #{ .. } }")
                .into());
        }
        board.add(value);
        Ok(board)
    }

    /// How many rows the leaderboard has.
    ///
    /// # Example
    /// ```rhai
    /// assert(leaderboard().len() == 0);
    /// ```
    #[rhai_fn(name = "len", pure)]
    pub fn len(board: &mut Leaderboard) -> i64 {
        board.len() as i64
    }

    /// Alarms (no-op, over-unlearning, lost utility, a weak original) as an array of sentences.
    ///
    /// # Example
    /// ```rhai
    /// assert(leaderboard().warnings == []);
    /// ```
    #[rhai_fn(get = "warnings", pure)]
    pub fn warnings(board: &mut Leaderboard) -> Array {
        board.view().warnings().into_iter().map(Into::into).collect()
    }

    /// Remarks: a missing reference, and what the reduced retain sets cost and save.
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "mine", metrics: #{ test_accuracy: 0.98 } });
    /// assert(board.notes[0].contains("no retrained reference"));
    /// ```
    #[rhai_fn(get = "notes", pure)]
    pub fn notes(board: &mut Leaderboard) -> Array {
        board.view().notes().into_iter().map(Into::into).collect()
    }

    /// The leaderboard as CSV: a line for the original and one for every row, with every metric, the gaps to retraining and
    /// the seconds of every stage; missing figures are empty.
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "a, b", metrics: #{ test_accuracy: 0.5 } });
    /// assert(board.csv().contains("\"a, b\""));
    /// ```
    #[rhai_fn(return_raw, name = "csv")]
    pub fn csv(board: Leaderboard) -> Script<String> {
        Ok(export::csv(&board.view())?)
    }

    /// The leaderboard as a Markdown table, with its warnings and remarks.
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "mine", metrics: #{ test_accuracy: 0.5 } });
    /// assert(board.to_markdown().contains("| mine |"));
    /// ```
    pub fn to_markdown(board: Leaderboard) -> String {
        table::markdown(&board.view())
    }

    /// The leaderboard's picture, accuracy and attack against seconds, as SVG.
    ///
    /// # Example
    /// ```rhai
    /// assert(leaderboard().svg().starts_with("<svg"));
    /// ```
    pub fn svg(board: Leaderboard) -> String {
        picture::of(&board.view()).svg()
    }

    /// Saves the leaderboard as `name.csv`, `.json`, `.md` and `.svg` in the run folder (a name that is a path is taken as
    /// one); returns the paths.
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "mine", metrics: #{ test_accuracy: 0.5 } });
    /// let message = "";
    /// write_text("plain", "a file, not a folder");
    /// try { board.save("plain/below"); } catch (e) { message = e.message; }
    /// assert(message.contains("is a file"));
    /// ```
    #[rhai_fn(return_raw, name = "save")]
    pub fn save(board: Leaderboard, name: &str) -> Script<Array> {
        let paths = export::save(&board, name)?;
        if let Some(folder) = paths.first().and_then(|path| path.parent()) {
            board.run().progress().say(&format!("saved {name} (csv, json, md, svg) in {}", folder.display()));
        }
        Ok(paths.into_iter().map(|path| path.display().to_string().into()).collect())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(board: &mut Leaderboard) -> String {
        table::terminal(&board.view())
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equal(a: &mut Leaderboard, b: Leaderboard) -> bool {
        a.same(&b)
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn unequal(a: &mut Leaderboard, b: Leaderboard) -> bool {
        !a.same(&b)
    }
}
