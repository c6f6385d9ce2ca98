//! Requests that come one after another: each network that has forgotten is the one that the next request is put to.

use super::outcome::{Absent, Outcome};
use super::round::{Round, Spent};
use super::selector::{Selector, Subject};
use super::task::Task;
use crate::data::forget_request::{Request, Split};
use crate::data::share::truncated;
use crate::data::{Data, Dataset, forget_request};
use crate::experiment::round_costs;
use crate::nn::Net;
use crate::runtime::json::from_json;
use crate::runtime::{Error, Options, Result, Run, Stream};
use rhai::{Dynamic, EvalAltResult, Map};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// A sequence of forget requests on one network; an iterator of tasks. Clones share it.
#[derive(Clone)]
pub struct Requests(Rc<Inner>);

struct Inner {
    run: Run,
    data: Data,
    plan: Plan,
    rounds: usize,
    reference: bool,
    seed: u64,
    state: RefCell<State>,
}

/// What each round forgets.
enum Plan {
    /// This share of what is left, at random.
    Share(f64),
    /// So many random samples of what is left.
    Count(usize),
    /// A class each; beyond those named, drawn ones.
    Classes(Vec<i64>),
    /// A choice each.
    Chosen(Vec<Selector>),
}

/// How far the requests have come.
struct State {
    net: Net,
    /// The request that is being worked on.
    task: Option<Task>,
    /// Rounds that are over.
    done: usize,
    /// The positions that each of them removed.
    earlier: Vec<Vec<usize>>,
    spent: Spent,
    history: Vec<Value>,
}

impl Requests {
    /// Reads the options of `requests(net, data, #{ .. })`.
    ///
    /// # Errors
    /// Unknown options, values out of range, more classes than rounds or than there are.
    pub fn read(run: &Run, net: &Net, data: &Data, given: Map) -> Result<Self> {
        let mut o = Options::new("requests", given);
        let mode = o.choice("mode", "uniform", &["uniform", "classwise"])?;
        let plan = match mode.as_str() {
            "classwise" => Plan::Classes(o.maybe_integers("classes")?.unwrap_or_default()),
            _ => match (o.maybe_number("fraction")?, o.maybe_integer("count", 1)?) {
                (Some(_), Some(_)) => {
                    return Err(Error::new("requests", "give `fraction` or `count`, not both").word("count"));
                }
                (_, Some(count)) => Plan::Count(count as usize),
                (fraction, None) => Plan::Share(fraction.unwrap_or(0.1)),
            },
        };
        let rounds = o.count("rounds", if let Plan::Classes(c) = &plan { c.len().max(3) } else { 3 })?;
        let requests = Self::finish(run, net, data, plan, rounds, o)?;
        requests.check_classes()?;
        Ok(requests)
    }

    /// One request for each choice.
    ///
    /// # Errors
    /// No choice; unknown options.
    pub fn chosen(run: &Run, net: &Net, data: &Data, choices: Vec<Selector>, given: Map) -> Result<Self> {
        if choices.is_empty() {
            return Err(Error::new("requests", "needs at least one choice, e.g. [class(3), class(5)]"));
        }
        let rounds = choices.len();
        Self::finish(run, net, data, Plan::Chosen(choices), rounds, Options::new("requests", given))
    }

    fn finish(run: &Run, net: &Net, data: &Data, plan: Plan, rounds: usize, mut o: Options) -> Result<Self> {
        let reference = o.choice("variant", "canonical", &["canonical", "reference"])? == "reference";
        let seed = o.integer("seed", run.seed() as i64, 0)? as u64;
        o.finish()?;
        let (task, done, earlier, spent, history) = Default::default();
        let state = RefCell::new(State { net: net.clone(), task, done, earlier, spent, history });
        Ok(Self(Rc::new(Inner { run: run.clone(), data: data.clone(), plan, rounds, reference, seed, state })))
    }

    /// The classes named are so few as there are rounds, and one class is left at the end.
    fn check_classes(&self) -> Result<()> {
        let Plan::Classes(classes) = &self.0.plan else { return Ok(()) };
        let (rounds, present) = (self.0.rounds, self.0.data.train.present().len());
        if classes.len() > rounds {
            let message = format!("{} classes are named for {rounds} rounds", classes.len());
            return Err(Error::new("requests", message).word("classes"));
        }
        if rounds >= present {
            let message = format!("{rounds} rounds would forget all of the {present} classes");
            return Err(Error::new("requests", message).word("rounds"));
        }
        Ok(())
    }

    /// How many requests there are.
    pub fn rounds(&self) -> usize {
        self.0.rounds
    }

    /// The number of the request that is being worked on; that of rounds once all are over.
    pub fn round(&self) -> usize {
        self.0.state.borrow().done
    }

    /// The network that the present request is put to; at the end the last one.
    pub fn net(&self) -> Net {
        self.0.state.borrow().net.clone()
    }

    /// What the rounds that are over tell.
    pub fn history(&self) -> Vec<Value> {
        self.0.state.borrow().history.clone()
    }

    /// The present request; `None` once all are over.
    ///
    /// # Errors
    /// A request that leaves nothing to forget or to retain.
    pub fn task(&self) -> Result<Option<Task>> {
        let known = self.0.state.borrow().task.clone();
        if known.is_some() || self.round() == self.0.rounds {
            return Ok(known);
        }
        let number = self.round() + 1;
        let task = self.make().map_err(|error| error.note(format!("in round {number} of {}", self.0.rounds)))?;
        self.0.state.borrow_mut().task = Some(task.clone());
        Ok(Some(task))
    }

    /// Makes the task of the present round.
    fn make(&self) -> Result<Task> {
        let Inner { run, data, rounds, reference, seed, .. } = &*self.0;
        let state = self.0.state.borrow();
        let number = state.done;
        let mut gone = state.earlier.concat();
        gone.sort_unstable();
        let request = self.request(&state, &gone)?;
        let parts = if gone.is_empty() {
            forget_request::partition(data, &request, *reference, *seed)?
        } else {
            forget_request::with_held_out(data, self.split(&request, gone)?, *reference)?
        };
        let first = state.earlier.first().unwrap_or(&parts.split.forget).clone();
        let earlier: Vec<Dataset> = state.earlier.iter().map(|positions| data.train.subset(positions)).collect();
        let round = Round { number, of: *rounds, earlier, first, spent: state.spent.clone(), results: Rc::default() };
        let task = Task::of_parts(&state.net, data, parts, *reference)?.in_round(round);
        task.tell(run);
        Ok(task)
    }

    /// What the present round asks for: positions of the training set, none of them gone.
    fn request(&self, state: &State, gone: &[usize]) -> Result<Request> {
        let Inner { run, data, plan, seed, .. } = &*self.0;
        let number = state.done;
        let some = |share: Option<f64>, count: usize| {
            let (mode, first) = ("uniform".to_string(), number == 0);
            match share {
                // The first round is the request that `forget` makes, so that both have one split and one reference.
                Some(fraction) if first => Request::Fraction { mode, fraction },
                None if first => Request::Count { mode, count },
                _ => {
                    let left: Vec<usize> = (0..data.train.len()).filter(|p| gone.binary_search(p).is_err()).collect();
                    let count = share.map_or(count, |share| truncated(share, left.len())).min(left.len());
                    let mut stream = Stream::new(*seed, "forget request").child(&format!("round {number}"));
                    let places = stream.sample(left.len(), count).into_iter();
                    let positions = places.filter_map(|place| left.get(place).copied()).collect();
                    Request::Chosen { name: mode, positions }
                }
            }
        };
        Ok(match plan {
            Plan::Share(share) => some(Some(*share), 0),
            Plan::Count(count) => some(None, *count),
            Plan::Classes(classes) => Request::Class(Some(self.class(classes, number))),
            Plan::Chosen(choices) => {
                let subject = Subject { run, net: &state.net, data, seed: *seed, gone };
                match choices.get(number) {
                    Some(choice) => choice.request(&subject)?,
                    None => return Err(Error::new("requests", "there are no more requests")),
                }
            }
        })
    }

    /// The class of a round: the one named, else one of the others, drawn from the seed.
    fn class(&self, named: &[i64], number: usize) -> i64 {
        if let Some(class) = named.get(number) {
            return *class;
        }
        let others: Vec<i64> = self.0.data.train.present().into_iter().filter(|class| !named.contains(class)).collect();
        let mut stream = Stream::new(self.0.seed, "forget request");
        let first = stream.below(others.len().max(1));
        // The first drawn class is the one that `forget` would draw.
        let order = stream.child("classes").permutation(others.len());
        let order = std::iter::once(first).chain(order.into_iter().filter(|place| *place != first));
        order.skip(number - named.len()).filter_map(|place| others.get(place).copied()).next().unwrap_or(0)
    }

    /// The split of what is left: as the request would divide the training set, without what is gone.
    fn split(&self, request: &Request, gone: Vec<usize>) -> Result<Split> {
        let train = &self.0.data.train;
        let whole = forget_request::split(train, request, self.0.seed)?;
        let forget: Vec<usize> = whole.forget.iter().copied().filter(|p| gone.binary_search(p).is_err()).collect();
        let fraction = if let Plan::Share(share) = self.0.plan { Some(share) } else { whole.fraction };
        Split { forget, gone, fraction, ..whole }.complete(train)
    }

    /// Ends the present round: the network of a result is the next request's, its seconds count.
    ///
    /// # Errors
    /// When no round is going on; a result of another task; a result without its network.
    pub fn advance(&self, result: &Outcome) -> Result<()> {
        let task = self.current()?;
        if result.text("split_id") != task.split_id() {
            let message = format!("the result {:?} is not one of this round's task", result.text("label"));
            return Err(Error::new("advance", message)
                .hint("pass what unlearn::run returned for the task of this round or a reduction of it"));
        }
        let net = result.net().map_err(|absent| match absent {
            Absent::Failed => Error::new("advance", format!("{:?} has failed in this round", result.text("label"))),
            Absent::Resumed => Error::new("advance", "the network of an earlier run was not kept")
                .hint("run the methods with weights: true, so that a resumed run finds their networks"),
        })?;
        let row = result.row();
        let figures = json!({
            "label": row.get("label"), "run_id": row.get("run_id"), "retain": row.get("retain"),
            "metrics": row.get("metrics"),
        });
        let spent = round_costs::spent(&row, &self.0.state.borrow().spent);
        self.step(&task, net, spent, figures, row.get("round"));
        Ok(())
    }

    /// Ends the present round with a network: that of a result of this round, or one about whose making nothing is known.
    ///
    /// # Errors
    /// When no round is going on.
    pub fn advance_net(&self, net: &Net) -> Result<()> {
        let task = self.current()?;
        if let Some(result) = task.round().and_then(|round| round.result_of(net)) {
            return self.advance(&result);
        }
        let spent = self.0.state.borrow().spent.clone();
        self.step(&task, net, spent, json!({}), None);
        Ok(())
    }

    fn current(&self) -> Result<Task> {
        let task = self.0.state.borrow().task.clone();
        task.ok_or_else(|| {
            Error::new("advance", "no round is going on")
                .hint("take the round's task first: for task in stream { .. stream.advance(result); }")
        })
    }

    fn step(&self, task: &Task, net: &Net, spent: Spent, figures: Value, round: Option<&Value>) {
        let mut state = self.0.state.borrow_mut();
        let mut entry = json!({
            "round": state.done, "split_id": task.split_id(), "forget": task.forget().len(),
            "whole_retain": task.whole_retain().len(),
        });
        if let Some(entry) = entry.as_object_mut() {
            entry.extend(figures.as_object().cloned().unwrap_or_default());
            for key in ["earlier", "seconds", "cumulative"] {
                entry.insert(key.into(), round.and_then(|round| round.get(key)).cloned().unwrap_or_default());
            }
        }
        state.history.push(entry);
        state.earlier.push(task.parts().split.forget.clone());
        state.net = net.clone();
        state.spent = spent;
        state.done += 1;
        state.task = None;
    }

    /// The next round's task for a loop.
    fn following(&self) -> Result<Option<Task>> {
        if let Some(task) = &self.0.state.borrow().task {
            let round = task.round().map(Round::describe).unwrap_or_default();
            return Err(Error::new("requests", format!("{round} has not ended"))
                .hint("end it with stream.advance(result): the result's network is the next round's"));
        }
        self.task()
    }

    /// One line about them.
    pub fn describe(&self) -> String {
        let what = match &self.0.plan {
            Plan::Share(share) => format!("uniform, {share} of what is left"),
            Plan::Count(count) => format!("uniform, {count} samples each"),
            Plan::Classes(_) => "a class each".into(),
            Plan::Chosen(choices) => choices.iter().map(Selector::describe).collect::<Vec<_>>().join(", "),
        };
        format!("Requests on {}: {} of {} rounds over ({what})", self.0.data.name, self.round(), self.0.rounds)
    }

    /// The history as scripts see it.
    pub fn history_map(&self) -> Vec<Dynamic> {
        self.history().iter().map(from_json).collect()
    }
}

/// A loop over the rounds; its own, so that a loop that was left does not hinder another.
pub struct Rounds {
    requests: Requests,
    over: bool,
}

impl IntoIterator for Requests {
    type Item = std::result::Result<Dynamic, Box<EvalAltResult>>;
    type IntoIter = Rounds;

    fn into_iter(self) -> Rounds {
        Rounds { requests: self, over: false }
    }
}

impl Iterator for Rounds {
    type Item = std::result::Result<Dynamic, Box<EvalAltResult>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.requests.following() {
            Ok(task) => task.map(|task| Ok(Dynamic::from(task))),
            Err(error) => {
                self.over = true;
                Some(Err(error.into()))
            }
        }
    }
}
