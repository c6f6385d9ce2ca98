//! The leaderboard's script face. (What knows of tasks and results is in `experiment::board`.)

/// What scripts see of leaderboards.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod board {
    use crate::eval::metrics::to_json;
    use crate::report::leaderboard::seed_statistics::{Query, Statistic};
    use crate::report::leaderboard::{export, figure, table};
    use crate::report::runs::finished_runs;
    use crate::runtime::places::to_read;
    use crate::runtime::{Error, Run, Script};
    use rhai::{Array, Map, NativeCallContext};

    /// Results beside each other: `add(result)`, `print(board)`, `save(name)`, `csv()`, `to_markdown()`, `svg()`, `warnings`,
    /// `statistics()`, `paired(a, b, metric)`.
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

    /// Shows these figures as the leaderboard's columns in place of the usual ones: metrics (`lethe list metrics`), those of two
    /// networks such as `"js"` and `"epsilon"` among them, numbers added by `record`, `average_gap`, `tow`, `seconds.unlearn`, ...
    /// An empty array shows the usual ones again. Returns the leaderboard. Files keep every figure.
    ///
    /// # Signature
    /// board.columns(names: array) -> Leaderboard
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "mine", metrics: #{ test_accuracy: 0.5, kl: 0.25 } });
    /// assert(board.columns(["kl"]).to_markdown().contains("| mine | full | 0.250 |"));
    /// ```
    #[rhai_fn(return_raw, name = "columns")]
    pub fn columns(board: Leaderboard, names: Array) -> Script<Leaderboard> {
        board.choose(names.into_iter().map(|name| name.to_string()).collect())?;
        Ok(board)
    }

    /// Shows below the leaderboard how every entry differs from this one (or from "retrain" or "original"): mean paired difference
    /// with its 90 % t-interval and the verdict, see `statistics`. Returns the leaderboard.
    ///
    /// # Signature
    /// board.against(name: string) -> Leaderboard
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// board.add(#{ label: "one", split_id: "s", metrics: #{ test_accuracy: 0.75 } });
    /// board.add(#{ label: "two", split_id: "s", metrics: #{ test_accuracy: 0.50 } });
    /// assert(board.against("two").to_markdown().contains("Differences from two"));
    /// assert(board.to_markdown().contains("+25.0"));
    /// ```
    #[rhai_fn(return_raw, name = "against")]
    pub fn against(board: Leaderboard, name: &str) -> Script<Leaderboard> {
        board.measure_against(name)?;
        Ok(board)
    }

    /// The leaderboards of finished runs: one for each data set, network and kind of request. Metrics are computed anew from
    /// the stored predictions; `lethe report` shows the same. A result that several folders have counts once; one that a later
    /// run of its folder did not ask for any more does not count.
    ///
    /// # Signature
    /// leaderboards(folder: string) -> array
    /// leaderboards(folders: array) -> array
    ///
    /// # Example
    /// ```rhai
    /// let message = "";
    /// try { leaderboards(temporary_path("nothing")); } catch (e) { message = e.message; }
    /// assert(message.contains("is no run folder"));
    /// ```
    #[rhai_fn(return_raw, name = "leaderboards")]
    pub fn leaderboards(context: NativeCallContext, folder: &str) -> Script<Array> {
        let run = Run::of(&context);
        let boards = finished_runs::boards(&run, &[to_read(&run, folder)], false)?;
        Ok(boards.into_iter().map(rhai::Dynamic::from).collect())
    }

    #[rhai_fn(return_raw, name = "leaderboards")]
    pub fn leaderboards_of(context: NativeCallContext, folders: Array) -> Script<Array> {
        let run = Run::of(&context);
        let folders: Vec<_> = folders.into_iter().map(|folder| to_read(&run, &folder.to_string())).collect();
        let boards = finished_runs::boards(&run, &folders, false)?;
        Ok(boards.into_iter().map(rhai::Dynamic::from).collect())
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

    /// Alarms (no effect, over-unlearning, lost utility, a weak original) as an array of sentences.
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

    /// What the splits and seeds of every entry say together, as an array of maps, one for each entry and metric: `label`,
    /// `retain` (the kind of retain set), `metric`, `n` values (and `missing` ones), `mean`, `sd` and the 95 % t-interval
    /// `low` to `high` of the mean; then, measured `against` the retrained network of the same split, the number of `pairs`,
    /// the mean `difference` with its 90 % interval `difference_low` to `difference_high`, `p` (two-sided, of the paired
    /// t-test), `margin` and `verdict`: "equivalent" when that interval lies within ± `margin`, else "different" when the 95 %
    /// interval excludes 0, else "undecided", or "too few seeds" (see `equivalence`). Without a retrained network the latter
    /// fields are missing; without a margin there is no verdict but `()`. The network before unlearning has the label
    /// "original".
    ///
    /// Pairs have equal split and seeds; a run whose seeds the other side does not have is compared with that side's mean on
    /// the same split.
    ///
    /// # Signature
    /// board.statistics(#{ metrics: array = ["retain_accuracy", "forget_accuracy", "test_accuracy", "mia_auc"], margin: float | map, against: string = "retrain" }) -> array
    ///
    /// # Options
    /// - `metrics` (array of string, the four of the table): metrics of rows, `average_gap`, `tow`, `seconds.unlearn`, ..
    /// - `margin` (float or map, 0.01 for accuracies and shares, 0.02 for AUCs): for all metrics, or by name
    /// - `against` (string, "retrain"): what every entry is compared with: an entry by its name (of a reduced retain set
    ///   `"acf on blend"`), "retrain" or "original"
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// let row = |label, seed, x| #{ label: label, method: label, split_id: `s${seed}`, metrics: #{ test_accuracy: x } };
    /// for seed in 0..3 {
    ///     board.add(row.call("retrain", seed, 0.90 + 0.01 * seed));
    ///     board.add(row.call("finetune", seed, 0.901 + 0.01 * seed));
    /// }
    /// let found = board.statistics(#{ metrics: ["test_accuracy"] })[1];
    /// assert(found.label == "finetune" && found.n == 3 && found.verdict == "equivalent");
    /// assert_close(found.difference, 0.001, 1e-9);
    /// ```
    #[rhai_fn(return_raw, name = "statistics")]
    pub fn statistics(board: Leaderboard, options: Map) -> Script<Array> {
        let query = Query::read(options)?;
        Ok(board.view().statistics(&query)?.iter().map(Statistic::to_script).collect())
    }

    #[rhai_fn(return_raw, name = "statistics")]
    pub fn statistics_plain(board: Leaderboard) -> Script<Array> {
        statistics(board, Map::new())
    }

    /// The paired difference `a - b` of a metric between two entries over their common splits: pairs have equal split and
    /// seeds, and a run of `a` whose seeds `b` does not have is compared with the mean of `b` on that split. A map of `n`
    /// pairs (and `missing` ones), `mean`, `sd`, the 95 % t-interval `low` to `high`, `p` (two-sided, of the paired t-test),
    /// `margin` and `verdict` (see `equivalence`; `()` without a margin). Entries go by their names in the table, those of a
    /// reduced retain set as in `"acf on blend"`; "original" are the networks before unlearning.
    ///
    /// # Signature
    /// board.paired(a: string, b: string, metric: string, #{ margin: float }) -> map
    /// board.paired(a: string, b: string, metric: string) -> map
    ///
    /// # Options
    /// - `margin` (float, 0.01 for accuracies and shares, 0.02 for AUCs): the difference that would not matter
    ///
    /// # Example
    /// ```rhai
    /// let board = leaderboard();
    /// for seed in 0..3 {
    ///     board.add(#{ label: "one", split_id: `s${seed}`, metrics: #{ test_accuracy: 0.9 + 0.01 * seed } });
    ///     board.add(#{ label: "two", split_id: `s${seed}`, metrics: #{ test_accuracy: 0.8 + 0.01 * seed } });
    /// }
    /// let found = board.paired("one", "two", "test_accuracy");
    /// assert_close(found.mean, 0.1, 1e-9);
    /// assert(found.n == 3 && found.verdict == "different");
    /// ```
    #[rhai_fn(return_raw, name = "paired")]
    pub fn paired(board: Leaderboard, a: &str, b: &str, metric: &str, options: Map) -> Script<Map> {
        Ok(board.view().paired(a, b, metric, options)?)
    }

    #[rhai_fn(return_raw, name = "paired")]
    pub fn paired_plain(board: Leaderboard, a: &str, b: &str, metric: &str) -> Script<Map> {
        Ok(board.view().paired(a, b, metric, Map::new())?)
    }

    /// The leaderboard as CSV: a line for the original and one for every row, with every metric and beside it the retrained
    /// network's on the same split (`retrained_<metric>`) and the original's (`original_<metric>`), the gaps to retraining and the seconds of every stage; missing
    /// figures are empty.
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

    /// The leaderboard's picture, accuracy and attack against seconds, as SVG; of requests for classes the accuracy on the forgotten
    /// ones as well.
    ///
    /// # Example
    /// ```rhai
    /// assert(leaderboard().svg().starts_with("<svg"));
    /// ```
    pub fn svg(board: Leaderboard) -> String {
        figure::of(&board.view()).svg()
    }

    /// Saves the leaderboard as `name.csv`, `.json`, `.md` and `.svg`, or only as what the extension of the name asks for (one of
    /// these or `.png`); returns the paths. A relative name is below the run's output folder (`lethe run --out`), else below the
    /// current folder.
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
            let kinds = paths.iter().filter_map(|path| path.extension()).map(|kind| kind.to_string_lossy());
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            let folder = if folder.as_os_str().is_empty() { ".".into() } else { folder.display().to_string() };
            board.run().progress().say(&format!("saved {name} ({kinds}) in {folder}"));
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
