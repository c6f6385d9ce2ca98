//! What scripts see of requests that come one after another.

/// Requests in rounds.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::data::{Data, Dataset};
    use crate::experiment::selector::Selector;
    use crate::experiment::{Outcome, Task};
    use crate::nn::Net;
    use crate::runtime::options::describe;
    use crate::runtime::{Error, Result, Run, Script};
    use rhai::{Array, Dynamic, Map, NativeCallContext};

    /// Forget requests that come one after another: a loop over their tasks.
    pub type Requests = crate::experiment::requests::Requests;

    /// Forget requests that come one after another: `for task in stream` gives a task for each round, and
    /// `stream.advance(result)` ends the round: the result's network is the one that the next round's task has to make forget.
    ///
    /// Each round forgets a share of what the rounds before have left (or a class, or what a choice says); earlier forget sets
    /// are in no later retain set. `task.earlier` holds them; the row of every result tells under `round` what the network says
    /// about each of them now, and the seconds of the round by stage (clustering counts in the first round that needs it,
    /// condensing in every round) and `cumulative`. The metrics `earlier_accuracy` and `earlier_mia_auc` are the means over
    /// earlier samples. `task.reduce` finds the clusters once; a cluster is free when no request so far touches it, so the
    /// reduction gains less in each round: see `stream.history`. The first round's task equals that of `forget`. Source:
    /// arXiv 2507.09786, section 4.5.
    ///
    /// # Signature
    /// requests(net: Net, data: Data, #{ mode: string = "uniform", rounds: int = 3, fraction: float = 0.1, count: int, classes: array, variant: string = "canonical", seed: int }) -> Requests
    /// requests(net: Net, data: Data, choices: [Selector], #{ variant: string, seed: int }) -> Requests
    ///
    /// # Options
    /// - `mode` ("uniform" | "classwise", "uniform"): random samples of what is left, or a class in each round
    /// - `rounds` (int, 3): how many requests
    /// - `fraction` (float, 0.1): share of what is left that each round forgets
    /// - `count` (int): a number of samples instead of a share
    /// - `classes` (array of int): of `classwise`: the classes in their order; further ones are drawn from the seed
    /// - `variant` ("canonical" | "reference", "canonical"): as for `forget`
    /// - `seed` (int, the run's): what the splits are drawn from
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let stream = requests(convnet(d, #{ width: 4, depth: 1 }), d, #{ fraction: 0.1, rounds: 2 });
    /// for task in stream {
    ///     let result = unlearn::run("finetune", task, #{ epochs: 1 });
    ///     stream.advance(result);
    /// }
    /// assert(stream.history.len() == 2 && stream.history[1].earlier[0].samples == 79);
    /// assert(stream.history[1].cumulative > stream.history[0].cumulative);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn requests(context: NativeCallContext, net: Net, data: Data, options: Map) -> Script<Requests> {
        Ok(Requests::read(&Run::of(&context), &net, &data, options)?)
    }

    #[rhai_fn(name = "requests", return_raw)]
    pub fn requests_plain(context: NativeCallContext, net: Net, data: Data) -> Script<Requests> {
        Ok(Requests::read(&Run::of(&context), &net, &data, Map::new())?)
    }

    #[rhai_fn(name = "requests", return_raw)]
    pub fn requests_chosen(
        context: NativeCallContext,
        net: Net,
        data: Data,
        choices: Array,
        options: Map,
    ) -> Script<Requests> {
        let read = |item: &Dynamic| {
            item.clone().try_cast::<Selector>().ok_or_else(|| {
                let message = format!("needs an array of choices such as class(3), got {} in it", describe(item));
                Error::new("requests", message)
            })
        };
        let choices = choices.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Requests::chosen(&Run::of(&context), &net, &data, choices, options)?)
    }

    #[rhai_fn(name = "requests", return_raw)]
    pub fn requests_chosen_plain(context: NativeCallContext, net: Net, data: Data, choices: Array) -> Script<Requests> {
        requests_chosen(context, net, data, choices, Map::new())
    }

    /// Ends the round that is going on. The network of `result`, which `unlearn::run` returned for the round's task or a
    /// reduction of it, is the next round's original, and its seconds count; `result.net` will do as well. Of any other network
    /// nothing is known: the round then has no metrics, and its seconds are not in `cumulative`.
    ///
    /// # Signature
    /// stream.advance(result: Outcome | Net)
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let stream = requests(convnet(d, #{ width: 4, depth: 1 }), d);
    /// let task = stream.task;
    /// stream.advance(unlearn::run("finetune", task, #{ epochs: 1 }));
    /// assert(stream.round == 1 && stream.task.earlier.len == 79 && stream.task.original == stream.net);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn advance(requests: Requests, result: Outcome) -> Script<()> {
        Ok(requests.advance(&result)?)
    }

    #[rhai_fn(name = "advance", return_raw)]
    pub fn advance_net(requests: Requests, net: Net) -> Script<()> {
        Ok(requests.advance_net(&net)?)
    }

    /// The task of the round that is going on; `()` when all rounds are over.
    #[rhai_fn(get = "task", pure, return_raw)]
    pub fn task(requests: &mut Requests) -> Script<Dynamic> {
        Ok(requests.task()?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// The number of the round that is going on, from 0; that of all rounds when they are over.
    #[rhai_fn(get = "round", pure)]
    pub fn round(requests: &mut Requests) -> i64 {
        requests.round() as i64
    }

    /// How many requests there are.
    #[rhai_fn(get = "rounds", pure)]
    pub fn rounds(requests: &mut Requests) -> i64 {
        requests.rounds() as i64
    }

    /// The network as the rounds so far have left it.
    #[rhai_fn(get = "net", pure)]
    pub fn net(requests: &mut Requests) -> Net {
        requests.net()
    }

    /// What the rounds that are over tell, an array of maps: `round`, `label`, `run_id`, `split_id`, numbers of samples `forget`
    /// and `whole_retain`; `retain` (`size` and `ratio` of the set trained on: how much the reduction still gains); `metrics`;
    /// `earlier`, for every earlier request `samples`, `accuracy`, `loss`, `mia_auc`, `mia_auc_se`, `mia_ref`; `seconds` by
    /// stage and `cumulative`.
    #[rhai_fn(get = "history", pure)]
    pub fn history(requests: &mut Requests) -> Array {
        requests.history_map()
    }

    /// The samples that the requests before a task's have removed; none in a first round.
    ///
    /// # Signature
    /// task.earlier -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let stream = requests(convnet(d, #{ width: 4, depth: 1 }), d);
    /// assert(stream.task.earlier.len == 0);
    /// ```
    #[rhai_fn(get = "earlier", pure)]
    pub fn earlier(task: &mut Task) -> Dataset {
        task.train().subset(&task.parts().split.gone)
    }

    /// Which of several requests a task is, from 0; `()` when it is not one of several.
    #[rhai_fn(get = "round", pure)]
    pub fn round_of(task: &mut Task) -> Dynamic {
        task.round().map_or(Dynamic::UNIT, |round| (round.number as i64).into())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(requests: &mut Requests) -> String {
        requests.describe()
    }
}
