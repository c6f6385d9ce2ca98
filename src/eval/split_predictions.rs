//! The predictions of one network on every part of a forget request: all that metrics need, and what a store keeps.

use crate::data::Dataset;
use crate::eval::predict::{Predictions, predict};
use crate::nn::Net;
use crate::runtime::{At, Error, Options, Result};
use std::collections::BTreeSet;
use tch::{Kind, Tensor};

/// What a network is evaluated on.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The samples to be forgotten: the members of the attacks.
    pub forget: &'a Dataset,
    /// All retained samples (not the reduced set, even where training used that).
    pub retain: &'a Dataset,
    /// Samples no training has seen: test accuracy and the non-members of the attacks.
    pub test: &'a Dataset,
    /// Samples to choose options by, if their accuracy is wanted.
    pub unseen: Option<&'a Dataset>,
}

/// The same as a script gives it.
pub struct Given {
    forget: Dataset,
    retain: Dataset,
    test: Dataset,
    unseen: Option<Dataset>,
}

impl Given {
    /// Reads the parts; the caller finishes the options.
    ///
    /// # Errors
    /// A part that is missing or no dataset.
    pub fn read(operation: &str, o: &mut Options) -> Result<Self> {
        let [forget, retain, test, unseen] =
            ["forget", "retain", "test", "unseen"].map(|key| o.maybe::<Dataset>(key, "Dataset"));
        let (Some(forget), Some(retain), Some(test), unseen) = (forget?, retain?, test?, unseen?) else {
            let error = Error::new(operation, "needs the parts `forget`, `retain` and `test`");
            return Err(error.hint(format!("{operation}(net, #{{ forget: .., retain: .., test: .. }})")));
        };
        Ok(Self { forget, retain, test, unseen })
    }

    /// As functions of this room take them.
    pub fn parts(&self) -> Parts<'_> {
        Parts { forget: &self.forget, retain: &self.retain, test: &self.test, unseen: self.unseen.as_ref() }
    }
}

/// What one network says about them.
#[derive(Debug, Clone)]
pub struct PartPredictions {
    /// On the samples to be forgotten.
    pub forget: Predictions,
    /// On the retained samples.
    pub retain: Predictions,
    /// On the test samples.
    pub test: Predictions,
    /// On the unseen samples, where they are given.
    pub unseen: Option<Predictions>,
}

/// Runs the network over each part once.
///
/// # Errors
/// When the network does not take the images; an interrupt.
pub fn predict_parts(net: &Net, parts: &Parts) -> Result<PartPredictions> {
    Ok(PartPredictions {
        forget: predict(net, parts.forget)?,
        retain: predict(net, parts.retain)?,
        test: predict(net, parts.test)?,
        unseen: parts.unseen.map(|unseen| predict(net, unseen)).transpose()?,
    })
}

/// More classes than any data set has: a damaged file would otherwise ask for as many counters.
const CLASS_LIMIT: i64 = 1_000_000;

/// Distinct labels, ascending.
pub fn distinct(labels: &[i64]) -> Vec<i64> {
    labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

impl PartPredictions {
    /// Classes of the data set, present or not.
    pub fn classes(&self) -> usize {
        self.each().map(|(_, part)| part.classes).max().unwrap_or(0)
    }

    /// The parts there are, with their names.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &Predictions)> {
        let three = [("forget", &self.forget), ("retain", &self.retain), ("test", &self.test)];
        three.into_iter().chain(self.unseen.as_ref().map(|unseen| ("unseen", unseen)))
    }

    /// The classes the request removes altogether, ascending. A request that forgets everything removes none in particular.
    pub fn removed(&self) -> Vec<i64> {
        let kept = distinct(&self.retain.scores.labels);
        let gone = distinct(&self.forget.scores.labels).into_iter();
        gone.filter(|class| !kept.is_empty() && !kept.contains(class)).collect()
    }

    /// Everything as named tensors, for a file: `forget.logits` `[n, outputs]` f32, `forget.y` `[n]` i64 and so on for each
    /// part there is, and `classes` `[1]` i64. Handles, not copies.
    ///
    /// # Errors
    /// Those of torch.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut named = vec![];
        for (part, predictions) in self.each() {
            named.push((format!("{part}.logits"), predictions.logits.shallow_clone()));
            named.push((format!("{part}.y"), predictions.y.shallow_clone()));
        }
        let classes = Tensor::f_from_slice(&[self.classes() as i64]).at("part_predictions")?;
        named.push(("classes".into(), classes));
        Ok(named)
    }

    /// Reads what `tensors` gave; other names are left alone.
    ///
    /// # Errors
    /// A tensor that is missing, of another dtype or shape; labels without a logit.
    pub fn from_tensors(named: &[(String, Tensor)]) -> Result<Self> {
        let classes = classes_of(find(named, "classes")?)?;
        let part = |name: &str| {
            let logits = find(named, &format!("{name}.logits"))?;
            if !matches!(logits.f_kind(), Ok(Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)) {
                return Err(misshapen(&format!("{name}.logits"), "floats of shape [n, outputs]", logits));
            }
            let y = find(named, &format!("{name}.y"))?;
            Predictions::of("part_predictions", logits, y, classes).map_err(|e| e.note(format!("in the part `{name}`")))
        };
        let unseen = named.iter().any(|(name, _)| name.starts_with("unseen."));
        let parts = Self {
            forget: part("forget")?,
            retain: part("retain")?,
            test: part("test")?,
            unseen: unseen.then(|| part("unseen")).transpose()?,
        };
        parts.check()
    }

    /// Refuses parts of different networks.
    fn check(self) -> Result<Self> {
        let width = |part: &Predictions| part.logits.size().get(1).copied().unwrap_or(0);
        let wanted = width(&self.forget);
        if let Some((name, part)) = self.each().find(|(_, part)| width(part) != wanted) {
            let message =
                format!("`forget` has {wanted} outputs, `{name}` {}: one network made all parts", width(part));
            return Err(Error::new("part_predictions", message).word(name));
        }
        Ok(self)
    }
}

fn find<'a>(named: &'a [(String, Tensor)], name: &str) -> Result<&'a Tensor> {
    named.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor).ok_or_else(|| {
        Error::new("part_predictions", format!("there is no tensor `{name}`"))
            .hint("stored predictions have `logits` and `y` of `forget`, `retain` and `test`, and `classes`")
    })
}

fn misshapen(name: &str, wanted: &str, got: &Tensor) -> Error {
    let kind = got.f_kind().map_or_else(|_| "?".into(), |kind| format!("{kind:?}"));
    Error::new("part_predictions", format!("`{name}` must be {wanted}, got {kind} {:?}", got.size()))
}

/// The number of classes from its tensor.
fn classes_of(tensor: &Tensor) -> Result<usize> {
    let one = tensor.numel() == 1 && matches!(tensor.f_kind(), Ok(Kind::Int64));
    let wrong = || misshapen("classes", "one i64", tensor);
    let value =
        if one { tensor.f_reshape([1]).and_then(|t| t.f_int64_value(&[0])).at("part_predictions")? } else { 0 };
    match (one, value) {
        (true, 1..=CLASS_LIMIT) => Ok(value as usize),
        (true, _) => Err(Error::new("part_predictions", format!("{value} classes make no sense"))),
        (false, _) => Err(wrong()),
    }
}

/// What scripts see of predictions on parts.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::eval::predict::Predictions;
    use crate::nn::Net;
    use crate::runtime::{Error, Options, Script};
    use crate::tensor::Tensor;
    use crate::tensor::io::safetensors_file::named_tensors;
    use rhai::{Dynamic, Map};

    /// A network's predictions on all parts of a forget request: `forget`, `retain`, `test`, `unseen` (each a `Predictions`),
    /// `tensors`.
    pub type PartPredictions = super::PartPredictions;

    /// Runs a network once over each part of a forget request and keeps what it said: what `evaluate` and `compare` read every
    /// metric off, without another forward pass.
    ///
    /// # Signature
    /// predict_parts(net: Net, #{ forget: Dataset, retain: Dataset, test: Dataset, unseen: Dataset }) -> PartPredictions
    ///
    /// # Options
    /// - `forget` (Dataset): the samples to be forgotten
    /// - `retain` (Dataset): the retained samples
    /// - `test` (Dataset): samples no training has seen
    /// - `unseen` (Dataset, ()): samples to choose options by
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let parts = #{ forget: d.train.take(100), retain: d.train.take(100..400), test: d.test };
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let p = predict_parts(net, parts);
    /// assert(p.forget.logits.shape == [100, 10] && p.unseen == ());
    /// assert(evaluate(p).test_accuracy == evaluate(net, parts).test_accuracy);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn predict_parts(net: Net, parts: Map) -> Script<PartPredictions> {
        let mut o = Options::new("predict_parts", parts);
        let given = super::Given::read("predict_parts", &mut o)?;
        o.finish()?;
        Ok(super::predict_parts(&net, &given.parts())?)
    }

    /// Predictions on all parts from those on each, or from the tensors that `tensors` gave (read from a file, say).
    ///
    /// # Signature
    /// part_predictions(#{ forget: Predictions, retain: Predictions, test: Predictions, unseen: Predictions }) -> PartPredictions
    /// part_predictions(tensors: map of Tensor) -> PartPredictions
    ///
    /// # Options
    /// - `forget` (Predictions): on the samples to be forgotten
    /// - `retain` (Predictions): on the retained samples
    /// - `test` (Predictions): on samples no training has seen
    /// - `unseen` (Predictions, ()): on samples to choose options by
    ///
    /// # Example
    /// ```rhai
    /// let some = |n| predictions(randn([n, 3]), arange(n) % 3);
    /// let p = part_predictions(#{ forget: some.call(30), retain: some.call(60), test: some.call(50) });
    /// assert(evaluate(part_predictions(p.tensors)).mia_auc == evaluate(p).mia_auc);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn part_predictions(parts: Map) -> Script<PartPredictions> {
        if parts.keys().any(|name| name.contains('.')) {
            return Ok(super::PartPredictions::from_tensors(&named_tensors("part_predictions", parts)?)?);
        }
        let mut o = Options::new("part_predictions", parts);
        let [forget, retain, test, unseen] =
            ["forget", "retain", "test", "unseen"].map(|key| o.maybe::<Predictions>(key, "Predictions"));
        let (Some(forget), Some(retain), Some(test), unseen) = (forget?, retain?, test?, unseen?) else {
            return Err(Error::new("part_predictions", "needs the parts `forget`, `retain` and `test`").into());
        };
        o.finish()?;
        Ok(super::PartPredictions { forget, retain, test, unseen }.check()?)
    }

    /// The predictions on the samples to be forgotten.
    #[rhai_fn(get = "forget", pure)]
    pub fn forget(parts: &mut PartPredictions) -> Predictions {
        parts.forget.clone()
    }

    /// The predictions on the retained samples.
    #[rhai_fn(get = "retain", pure)]
    pub fn retain(parts: &mut PartPredictions) -> Predictions {
        parts.retain.clone()
    }

    /// The predictions on the test samples.
    #[rhai_fn(get = "test", pure)]
    pub fn test(parts: &mut PartPredictions) -> Predictions {
        parts.test.clone()
    }

    /// The predictions on the unseen samples; `()` where there are none.
    #[rhai_fn(get = "unseen", pure)]
    pub fn unseen(parts: &mut PartPredictions) -> Dynamic {
        parts.unseen.clone().map_or(Dynamic::UNIT, Dynamic::from)
    }

    /// Everything as a map of tensors, for `save_safetensors`: `forget.logits` `[n, outputs]` f32, `forget.y` `[n]` i64 and so on,
    /// `classes` `[1]`. `part_predictions` reads them.
    ///
    /// # Example
    /// ```rhai
    /// let some = predictions(randn([6, 3]), arange(6) % 3);
    /// let tensors = part_predictions(#{ forget: some, retain: some, test: some }).tensors;
    /// assert(tensors["test.logits"].shape == [6, 3] && tensors.classes.item() == 3);
    /// ```
    #[rhai_fn(get = "tensors", pure, return_raw)]
    pub fn tensors(parts: &mut PartPredictions) -> Script<Map> {
        let named = parts.tensors()?.into_iter();
        Ok(named.map(|(name, tensor)| (name.into(), Dynamic::from(Tensor::from(tensor)))).collect())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn describe(parts: &mut PartPredictions) -> String {
        let sizes = parts.each().map(|(name, part)| format!("{name} {}", part.scores.len()));
        format!("PartPredictions: {} · {} classes", sizes.collect::<Vec<_>>().join(" · "), parts.classes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;
    use tch::Device;

    fn some(n: i64, name: &str) -> Predictions {
        let z = Tensor::from_slice(&Stream::new(0, name).normals(4 * n as usize)).reshape([n, 4]);
        Predictions::of("t", &z, &Tensor::from_slice(&(0..n).map(|i| i % 4).collect::<Vec<_>>()), 7).unwrap()
    }

    fn parts(unseen: bool) -> PartPredictions {
        let unseen = unseen.then(|| some(20, "u"));
        PartPredictions { forget: some(40, "f"), retain: some(90, "r"), test: some(60, "t"), unseen }
    }

    #[test]
    fn tensors_bring_back_every_metric_to_the_bit_and_the_number_of_classes() {
        for unseen in [false, true] {
            let before = parts(unseen);
            let after = PartPredictions::from_tensors(&before.tensors().unwrap()).unwrap();
            assert_eq!(after.classes(), 7);
            assert_eq!(before.metrics(3).unwrap().to_json(), after.metrics(3).unwrap().to_json());
        }
    }

    #[test]
    fn foreign_tensors_are_refused_by_name() {
        let good = || parts(true).tensors().unwrap();
        let changed = |name: &str, tensor: Tensor| {
            let mut named = good();
            named.iter_mut().filter(|(known, _)| known == name).for_each(|(_, t)| *t = tensor.shallow_clone());
            PartPredictions::from_tensors(&named).unwrap_err().to_string()
        };
        for name in ["classes", "forget.logits", "test.y", "unseen.y"] {
            let rest: Vec<_> = good().into_iter().filter(|(known, _)| known != name).collect();
            let error = PartPredictions::from_tensors(&rest).unwrap_err().to_string();
            assert!(error.contains(&format!("no tensor `{name}`")), "{error}");
        }
        let zeros = |shape: &[i64], kind| Tensor::zeros(shape, (kind, Device::Cpu));
        assert!(changed("forget.logits", zeros(&[40, 5], Kind::Float)).contains("5 outputs, `retain` 4"));
        assert!(changed("forget.logits", zeros(&[40, 4], Kind::Int64)).contains("must be floats"));
        assert!(changed("forget.logits", zeros(&[39, 4], Kind::Float)).contains("[39, 4] and [40]"));
        assert!(changed("test.y", zeros(&[60], Kind::Float)).contains("labels must be integers"));
        assert!(changed("test.y", zeros(&[60], Kind::Int64) + 9).contains("out of range"));
        assert!(changed("classes", zeros(&[2], Kind::Int64)).contains("must be one i64"));
        assert!(changed("classes", zeros(&[1], Kind::Int64)).contains("0 classes make no sense"));
        assert!(changed("classes", zeros(&[1], Kind::Int64) + (1_i64 << 60)).contains("make no sense"));
    }

    #[test]
    fn a_class_is_removed_when_it_is_forgotten_and_nowhere_retained() {
        let mut parts = parts(false);
        assert!(parts.removed().is_empty());
        parts.retain.scores = parts.retain.scores.keep(|label| label != 2);
        assert_eq!(parts.removed(), [2]);
        parts.retain.scores = parts.retain.scores.keep(|_| false);
        assert!(parts.removed().is_empty());
    }
}
