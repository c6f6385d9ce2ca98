//! Forget sets as expressions: classes, clusters, files, hard samples, and their intersections, unions and differences.

use super::listed::Listed;
use crate::condense::cluster::per_class::{How, PerClass, clustered, clusters_per_class};
use crate::data::forget_request::Request;
use crate::data::share::truncated;
use crate::data::{Data, Dataset, class_names};
use crate::eval::predict;
use crate::nn::Net;
use crate::runtime::options::{as_integer, as_number, describe};
use crate::runtime::{Error, Options, Result, Run, Stream};
use rhai::Dynamic;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// A choice of training samples that is made when a request asks for it. Clones share it.
#[derive(Clone)]
pub struct Selector(Rc<Node>);

enum Node {
    /// All samples of these classes.
    Classes(Vec<Class>),
    /// The samples that a list in a file names.
    Listed(Listed),
    /// These positions, under a name.
    Positions(String, Vec<i64>),
    /// The samples of another dataset.
    Samples(Dataset),
    /// Samples whose label is another in this dataset.
    Mislabelled(Dataset),
    /// Clusters of every class, largest first.
    Clusters { numbers: Vec<usize>, per_class: usize, width: usize },
    /// Some of the samples of another choice, of all without one.
    Some { which: Which, amount: Amount, of: Option<Selector> },
    /// Both.
    And(Selector, Selector),
    /// Either.
    Or(Selector, Selector),
    /// The first but not the second.
    Minus(Selector, Selector),
}

/// A class by its number or its name.
#[derive(Clone)]
pub enum Class {
    Number(i64),
    Name(String),
}

impl std::fmt::Debug for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

impl Class {
    /// A class, or a list of them.
    ///
    /// # Errors
    /// Anything but integers and names.
    pub fn read(value: &Dynamic) -> Result<Vec<Self>> {
        let items = value.clone().try_cast::<rhai::Array>().unwrap_or_else(|| vec![value.clone()]);
        let class = |item: &Dynamic| match (as_integer(item), item.clone().into_string()) {
            (Some(number), _) => Ok(Self::Number(number)),
            (None, Ok(name)) => Ok(Self::Name(name)),
            (None, Err(_)) => {
                let message =
                    format!("needs the number or name of a class, or an array of them, got {}", describe(item));
                Err(Error::new("class", message).hint("class(3), class(\"dog\"), class([\"cat\", \"dog\"])"))
            }
        };
        items.iter().map(class).collect()
    }

    fn number(&self, data: &Data) -> Result<i64> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => {
                let own = data.class_names.as_slice();
                let names = if own.is_empty() { data.train.class_names() } else { own };
                class_names::number_of("class", names, data.classes, name)
            }
        }
    }
}

/// Which samples are taken where only some are.
#[derive(Debug, Clone)]
enum Which {
    /// Random ones.
    Random,
    /// Those with the highest loss under the network.
    Loss,
    /// Those with the highest of these scores, one for each training sample.
    Scores(Vec<f64>),
}

/// How many samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// This share, truncated.
    Share(f64),
}

/// What a choice is made in.
pub struct Subject<'a> {
    /// The run.
    pub run: &'a Run,
    /// The network that has to forget.
    pub net: &'a Net,
    /// The data set; positions are those of its training part.
    pub data: &'a Data,
    /// What is drawn derives from it.
    pub seed: u64,
    /// Positions that earlier requests have removed: nothing is chosen among them.
    pub gone: &'a [usize],
}

impl Subject<'_> {
    fn gone(&self) -> Positions {
        self.gone.iter().copied().collect()
    }
}

impl Amount {
    /// An integer is a count, a float between 0 and 1 a share.
    ///
    /// # Errors
    /// Anything else.
    pub fn read(operation: &str, value: &Dynamic) -> Result<Self> {
        match (value.as_int().ok(), as_number(value)) {
            (Some(count), _) if count >= 1 => Ok(Self::Count(count as usize)),
            (None, Some(share)) if share > 0.0 && share <= 1.0 => Ok(Self::Share(share)),
            _ => {
                let message = format!("needs a number of samples or a share between 0 and 1, got {}", describe(value));
                Err(Error::new(operation, message).hint("10 means ten samples, 0.1 a tenth of them"))
            }
        }
    }

    fn of(self, n: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => truncated(share, n),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Share(share) => share.to_string(),
        }
    }
}

/// The positions in ascending order, of a set of them.
type Positions = BTreeSet<usize>;

impl Selector {
    /// All samples of some classes.
    pub fn classes(classes: Vec<Class>) -> Self {
        Self(Rc::new(Node::Classes(classes)))
    }

    /// Samples by their positions in the training part.
    pub fn positions(name: &str, positions: Vec<i64>) -> Self {
        Self(Rc::new(Node::Positions(name.into(), positions)))
    }

    /// The samples that a list names.
    pub fn listed(list: Listed) -> Self {
        Self(Rc::new(Node::Listed(list)))
    }

    /// The samples of a part of the training set.
    pub fn samples(dataset: Dataset) -> Self {
        Self(Rc::new(Node::Samples(dataset)))
    }

    /// Samples whose label differs from that in `clean`, which has the same samples in the same order.
    pub fn mislabelled(clean: Dataset) -> Self {
        Self(Rc::new(Node::Mislabelled(clean)))
    }

    /// Clusters of every class by their numbers, the largest being 0: `per_class` (10) and `width` (128) as in `task.reduce`.
    ///
    /// # Errors
    /// Unknown options, numbers that no cluster has.
    pub fn clusters(numbers: Vec<i64>, mut o: Options) -> Result<Self> {
        let (per_class, width) = (o.count("per_class", 10)?, o.count("width", 128)?);
        o.finish()?;
        let known = |n: &i64| usize::try_from(*n).ok().filter(|n| *n < per_class);
        match numbers.iter().find(|n| known(n).is_none()) {
            Some(n) => Err(Error::new("cluster", format!("there is no cluster {n}, with {per_class} in each class"))
                .hint("clusters count from 0, the largest; `per_class` says how many there are")),
            None => {
                let numbers = numbers.iter().filter_map(known).collect();
                Ok(Self(Rc::new(Node::Clusters { numbers, per_class, width })))
            }
        }
    }

    /// Random samples of a choice.
    pub fn random(amount: Amount, of: Option<Self>) -> Self {
        Self(Rc::new(Node::Some { which: Which::Random, amount, of }))
    }

    /// The samples of a choice with the highest cross-entropy under the network that has to forget.
    pub fn highest_loss(amount: Amount, of: Option<Self>) -> Self {
        Self(Rc::new(Node::Some { which: Which::Loss, amount, of }))
    }

    /// The samples of a choice with the highest scores, one of which belongs to each training sample.
    pub fn highest(scores: Vec<f64>, amount: Amount, of: Option<Self>) -> Self {
        Self(Rc::new(Node::Some { which: Which::Scores(scores), amount, of }))
    }

    /// Samples of both choices.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(Rc::new(Node::And(self.clone(), other.clone())))
    }

    /// Samples of either choice.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(Rc::new(Node::Or(self.clone(), other.clone())))
    }

    /// Samples of this choice but not of the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(Rc::new(Node::Minus(self.clone(), other.clone())))
    }

    /// The choice as it would be written.
    pub fn describe(&self) -> String {
        let some = |name: &str, amount: &Amount, of: &Option<Self>| match of {
            None => format!("{name}({})", amount.text()),
            Some(of) => format!("{name}({}, {})", amount.text(), of.describe()),
        };
        let both = |a: &Self, sign: &str, b: &Self| format!("{} {sign} {}", a.operand(), b.operand());
        match &*self.0 {
            Node::Classes(classes) => match classes.as_slice() {
                [class] => format!("class({class:?})"),
                classes => format!("class({classes:?})"),
            },
            Node::Positions(name, positions) => format!("{name}({} positions)", positions.len()),
            Node::Listed(list) => list.describe(),
            Node::Samples(dataset) => format!("samples({})", dataset.len()),
            Node::Mislabelled(_) => "mislabelled".into(),
            Node::Clusters { numbers, per_class, .. } => format!("cluster({numbers:?} of {per_class})"),
            Node::Some { which: Which::Random, amount, of } => some("random_samples", amount, of),
            Node::Some { which: Which::Loss, amount, of } => some("highest_loss", amount, of),
            Node::Some { which: Which::Scores(_), amount, of } => some("highest", amount, of),
            Node::And(a, b) => both(a, "&", b),
            Node::Or(a, b) => both(a, "|", b),
            Node::Minus(a, b) => both(a, "-", b),
        }
    }

    /// The same as a part of an expression.
    fn operand(&self) -> String {
        match &*self.0 {
            Node::And(..) | Node::Or(..) | Node::Minus(..) => format!("({})", self.describe()),
            _ => self.describe(),
        }
    }

    /// The positions chosen. Equal expressions choose equally, whatever was drawn before.
    ///
    /// # Errors
    /// Positions or classes the training part does not have, scores of another length; those of clustering and predicting.
    pub fn choose(&self, s: &Subject) -> Result<Positions> {
        let train = &s.data.train;
        match &*self.0 {
            Node::Listed(list) => list.resolve(s.data),
            Node::Classes(classes) => {
                let classes = classes.iter().map(|class| class.number(s.data)).collect::<Result<Vec<i64>>>()?;
                let present = train.present();
                if let Some(class) = classes.iter().find(|class| !present.contains(class)) {
                    return Err(Error::new("class", format!("the training set has no sample of class {class}"))
                        .hint(format!("its classes are {present:?}")));
                }
                Ok(where_true(train.labels().iter().map(|label| classes.contains(label))))
            }
            Node::Positions(name, positions) => {
                let inside = |p: &i64| usize::try_from(*p).ok().filter(|p| *p < train.len());
                let found = positions.iter().map(|p| inside(p).ok_or(p)).collect::<std::result::Result<_, _>>();
                found.map_err(|p| {
                    let message = format!("position {p} is outside the training set (0..{})", train.len());
                    Error::new(name, message)
                })
            }
            Node::Samples(dataset) => {
                let places: HashMap<(u64, usize), usize> = train.keys().into_iter().zip(0..).collect();
                let found: Option<Positions> = dataset.keys().iter().map(|key| places.get(key).copied()).collect();
                found.ok_or_else(|| Error::new("samples", "the dataset has samples that are not in the training set"))
            }
            Node::Mislabelled(clean) => {
                if clean.len() != train.len() {
                    let message = format!("{} samples with the right labels for {}", clean.len(), train.len());
                    return Err(Error::new("mislabelled", message).hint("give the training set as it was before"));
                }
                Ok(where_true(clean.labels().iter().zip(train.labels()).map(|(right, given)| *right != given)))
            }
            Node::Clusters { numbers, per_class, width } => cluster_members(s, numbers, *per_class, *width),
            Node::Some { which, amount, of } => {
                let pool = match of {
                    Some(of) => of.choose(s)?,
                    None => (0..train.len()).collect(),
                };
                // Gone before the ranking: a network that has forgotten finds nothing harder than what it forgot.
                self.some(s, which, *amount, &pool - &s.gone())
            }
            Node::And(a, b) => Ok(&a.choose(s)? & &b.choose(s)?),
            Node::Or(a, b) => Ok(&a.choose(s)? | &b.choose(s)?),
            Node::Minus(a, b) => Ok(&a.choose(s)? - &b.choose(s)?),
        }
    }

    /// Some samples of a pool.
    fn some(&self, s: &Subject, which: &Which, amount: Amount, pool: Positions) -> Result<Positions> {
        let pool: Vec<usize> = pool.into_iter().collect();
        let wanted = amount.of(pool.len());
        if wanted > pool.len() {
            let message = format!("{wanted} samples asked for, there are {}", pool.len());
            return Err(Error::new(self.describe().split('(').next().unwrap_or_default(), message));
        }
        let scores = match which {
            Which::Random => {
                let mut stream = Stream::new(s.seed, &format!("select {}", self.describe()));
                let places = stream.sample(pool.len(), wanted);
                return Ok(places.into_iter().filter_map(|place| pool.get(place).copied()).collect());
            }
            Which::Loss => s.run.aside(|| predict(s.net, &s.data.train.subset(&pool)))?.scores.loss,
            Which::Scores(scores) if scores.len() == s.data.train.len() => {
                pool.iter().map(|p| scores.get(*p).copied().unwrap_or(f64::NAN)).collect()
            }
            Which::Scores(scores) => {
                let message = format!("{} scores for {} training samples", scores.len(), s.data.train.len());
                return Err(Error::new("highest", message));
            }
        };
        let undefined = scores.iter().filter(|score| score.is_nan()).count();
        let ranked = highest_of(which, scores, pool, wanted)?;
        if undefined > 0 {
            let n = ranked.len() + undefined;
            s.run
                .progress()
                .warn(&format!("highest: {undefined} of {n} scores are NaN; their samples are not chosen from"));
        }
        Ok(ranked.into_iter().take(wanted).collect())
    }

    /// The request for what is chosen, without the positions that are gone. Whole classes are the request `classwise` or
    /// `k_classwise`, so that presets and metrics see them as such.
    ///
    /// # Errors
    /// Those of `choose`; nothing left.
    pub fn request(&self, s: &Subject) -> Result<Request> {
        let chosen = &self.choose(s)? - &s.gone();
        if chosen.is_empty() {
            return Err(Error::new("forget", format!("{} chooses no sample", self.describe())));
        }
        let labels = s.data.train.labels();
        let classes: BTreeSet<i64> = chosen.iter().filter_map(|p| labels.get(*p)).copied().collect();
        let whole = labels.iter().filter(|label| classes.contains(label)).count() == chosen.len();
        let classes: Vec<i64> = classes.into_iter().collect();
        Ok(match (whole, classes.as_slice()) {
            (true, [class]) => Request::Class(Some(*class)),
            (true, _) => Request::Classes(classes),
            (false, _) => Request::Chosen { name: self.describe(), positions: chosen.into_iter().collect() },
        })
    }
}

/// The positions by falling score, without those whose score is NaN; ties go to the earlier sample.
///
/// # Errors
/// Fewer scores than `wanted`; a loss that is NaN, which says that the network is broken.
fn highest_of(which: &Which, scores: Vec<f64>, pool: Vec<usize>, wanted: usize) -> Result<Vec<usize>> {
    let n = scores.len();
    let mut ranked: Vec<(f64, usize)> = scores.into_iter().zip(pool).filter(|(score, _)| !score.is_nan()).collect();
    let undefined = n - ranked.len();
    if undefined > 0 && matches!(which, Which::Loss) {
        return Err(Error::new("highest_loss", format!("the loss of {undefined} of {n} samples is NaN"))
            .hint("the network is broken, or its images hold NaN"));
    }
    if wanted > ranked.len() {
        let message = format!("{wanted} samples asked for, and {undefined} of {n} scores are NaN");
        return Err(Error::new("highest", message).hint("a score that is NaN is neither high nor low"));
    }
    // 0 and -0 are a tie, too.
    ranked.sort_by(|(a, i), (b, j)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal).then(i.cmp(j)));
    Ok(ranked.into_iter().map(|(_, position)| position).collect())
}

fn where_true(flags: impl Iterator<Item = bool>) -> Positions {
    flags.enumerate().filter(|(_, flag)| *flag).map(|(position, _)| position).collect()
}

/// The members of these clusters of every class, the classes' clusters in the order of their size.
fn cluster_members(s: &Subject, numbers: &[usize], per_class: usize, width: usize) -> Result<Positions> {
    let train = &s.data.train;
    let counts = clusters_per_class(train, &[], PerClass::Count(per_class))?;
    let (found, _) = clustered(train, &How { counts, width, seed: s.seed, anew: false }, s.run)?;
    let labels = train.labels();
    let mut of_class: HashMap<i64, Vec<&Vec<usize>>> = HashMap::new();
    for members in &found.clusters.members {
        if let Some(label) = members.first().and_then(|first| labels.get(*first)) {
            of_class.entry(*label).or_default().push(members);
        }
    }
    for clusters in of_class.values_mut() {
        clusters.sort_by_key(|members| (std::cmp::Reverse(members.len()), members.first().copied()));
    }
    let chosen = of_class.values().flat_map(|clusters| numbers.iter().filter_map(|n| clusters.get(*n)));
    Ok(chosen.flat_map(|members| members.iter().copied()).collect())
}

/// A list of integers, or a single one.
///
/// # Errors
/// Anything else.
pub fn integers(operation: &str, value: &Dynamic) -> Result<Vec<i64>> {
    let items = value.clone().try_cast::<rhai::Array>().unwrap_or_else(|| vec![value.clone()]);
    items.iter().map(as_integer).collect::<Option<_>>().ok_or_else(|| {
        Error::new(operation, format!("needs an integer or an array of integers, got {}", describe(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_reads_as_it_was_written() {
        let few = Selector::random(Amount::Share(0.5), Some(Selector::classes(vec![Class::Number(3)])));
        let all = Selector::classes(vec![Class::Number(1), Class::Number(2)])
            .or(&few)
            .minus(&Selector::positions("samples", vec![4]));
        assert_eq!(all.describe(), "(class([1, 2]) | random_samples(0.5, class(3))) - samples(1 positions)");
    }

    #[test]
    fn scores_that_are_no_numbers_choose_nothing_and_ties_go_to_the_earlier() {
        let by = |which: Which, scores: &[f64], wanted| {
            highest_of(&which, scores.to_vec(), (0..scores.len()).collect(), wanted).map_err(|error| error.to_string())
        };
        assert_eq!(by(Which::Random, &[0.0, 2.0, -0.0, 2.0, f64::INFINITY], 5).unwrap(), [4, 1, 3, 0, 2]);
        let gaps = [0.0, f64::NAN, -f64::NAN, 1.0];
        assert_eq!(by(Which::Random, &gaps, 2).unwrap(), [3, 0]);
        assert_eq!(by(Which::Random, &gaps, 3).unwrap_err(), "highest: 3 samples asked for, and 2 of 4 scores are NaN");
        assert_eq!(by(Which::Loss, &gaps, 1).unwrap_err(), "highest_loss: the loss of 2 of 4 samples is NaN");
    }

    #[test]
    fn an_amount_is_a_count_or_a_share() {
        let read = |value: Dynamic| Amount::read("x", &value);
        assert_eq!(read(3_i64.into()).unwrap(), Amount::Count(3));
        assert_eq!(read(0.5.into()).unwrap(), Amount::Share(0.5));
        assert!(read(0_i64.into()).is_err() && read(1.5.into()).is_err() && read("all".into()).is_err());
    }
}
