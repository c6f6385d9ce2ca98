//! What scripts see of datasets.

use crate::data::class_names;
use crate::data::dataset::Dataset;
use crate::runtime::{Error, Result, options};
use rhai::{Array, Dynamic};

/// Class numbers or positions from an array of integers.
pub(super) fn integers_of(operation: &str, values: &Array) -> Result<Vec<i64>> {
    let read = |value: &Dynamic| {
        options::as_integer(value).ok_or_else(|| {
            Error::new(operation, format!("expects an array of integers, got {} in it", options::describe(value)))
        })
    };
    values.iter().map(read).collect()
}

/// Class numbers from an array of numbers and names.
fn classes_of(dataset: &Dataset, values: &Array) -> Result<Vec<i64>> {
    let read = |value: &Dynamic| match value.clone().into_string() {
        Ok(name) => class_names::number_of("of", dataset.class_names(), dataset.classes(), &name),
        Err(_) => options::as_integer(value).ok_or_else(|| {
            let given = options::describe(value);
            Error::new("of", format!("expects an array of numbers or names of classes, got {given} in it"))
        }),
    };
    values.iter().map(read).collect()
}

/// A count from a script's integer.
fn count(operation: &str, n: i64) -> Result<usize> {
    usize::try_from(n).map_err(|_| Error::new(operation, format!("the count must be 0 or above, got {n}")))
}

/// The samples from `start` up to `end`, the end clipped to what there is.
fn range(dataset: &Dataset, start: i64, end: i64) -> Result<Dataset> {
    let len = dataset.len() as i64;
    if start < 0 || start > len {
        return Err(Error::new("take", format!("the range starts at {start}, the dataset has {len} samples")));
    }
    let positions: Vec<usize> = (start..end.clamp(start, len)).map(|p| p as usize).collect();
    Ok(dataset.subset(&positions))
}

#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::data::batch::{Batches as Pass, ScriptBatches};
    use crate::runtime::{Options, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Map, NativeCallContext};
    use std::ops::{Range, RangeInclusive};

    /// A list of samples: images and labels on the run's device. Picking, sampling and joining copy no pixels.
    pub type Dataset = crate::data::Dataset;

    /// How many samples a dataset has.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").train.len == 797);
    /// ```
    #[rhai_fn(get = "len", name = "len", pure)]
    pub fn len(dataset: &mut Dataset) -> i64 {
        dataset.len() as i64
    }

    /// The labels of a dataset as an array of integers, on the host (`y` is the tensor).
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").test.of(7);
    /// assert(d.labels.all(|label| label == 7));
    /// ```
    #[rhai_fn(get = "labels", pure)]
    pub fn labels(dataset: &mut Dataset) -> Array {
        dataset.labels().into_iter().map(Dynamic::from).collect()
    }

    /// The files that the pictures of a dataset were read from, in the order of its samples: paths relative to the folder that
    /// was loaded, with `/` between their parts (`"train/dog/7.png"` of `load_data`, `"dog/7.png"` of `load_dataset`). What
    /// `samples_from` takes.
    ///
    /// # Errors
    /// Samples that do not come from a folder of pictures.
    ///
    /// # Example
    /// ```rhai
    /// let failed = "";
    /// try { dataset("digits").train.files(); } catch (e) { failed = e.message; }
    /// assert(failed.contains("have no file"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn files(dataset: &mut Dataset) -> Script<Array> {
        Ok(dataset.files()?.into_iter().map(|file| Dynamic::from(file.to_string())).collect())
    }

    /// The classes that occur in a dataset, ascending.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").train.of([5, 2]).classes == [2, 5]);
    /// ```
    #[rhai_fn(get = "classes", pure)]
    pub fn classes(dataset: &mut Dataset) -> Array {
        dataset.present().into_iter().map(Dynamic::from).collect()
    }

    /// The shape of one image: `[channels, height, width]`.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").train.shape == [1, 8, 8]);
    /// ```
    #[rhai_fn(get = "shape", pure)]
    pub fn shape(dataset: &mut Dataset) -> Array {
        dataset.dims().into_iter().map(Dynamic::from).collect()
    }

    /// A hash of the content, its preparation and the samples listed.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// assert(d.train.id != d.test.id);
    /// ```
    #[rhai_fn(get = "id", pure, return_raw)]
    pub fn id(dataset: &mut Dataset) -> Script<String> {
        Ok(dataset.id()?)
    }

    /// All images of a dataset: Tensor[n, channels, height, width], normalised f32 on the run's device.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").test.take(5).x.shape == [5, 1, 8, 8]);
    /// ```
    #[rhai_fn(get = "x", name = "images", pure, return_raw)]
    pub fn x(dataset: &mut Dataset) -> Script<Tensor> {
        Ok(dataset.images()?.into())
    }

    /// All labels of a dataset on the run's device: Tensor[n] of i64.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").test.take(5).y.shape == [5]);
    /// ```
    #[rhai_fn(get = "y", pure, return_raw)]
    pub fn y(dataset: &mut Dataset) -> Script<Tensor> {
        Ok(dataset.targets()?.into())
    }

    /// The cached logits of a dataset that came from `with_logits(net)`: Tensor[n, classes].
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// assert(d.test.take(5).with_logits(convnet(d, #{ width: 4 })).logits.shape == [5, 10]);
    /// ```
    #[rhai_fn(get = "logits", pure, return_raw)]
    pub fn logits(dataset: &mut Dataset) -> Script<Tensor> {
        match dataset.all()?.logits {
            Some(logits) => Ok(logits.into()),
            None => Err(Error::new("logits", "this dataset has no cached logits")
                .hint("dataset.with_logits(net) computes them once")
                .into()),
        }
    }

    /// The samples of some classes (the number or name of a class, or an array of them), in their order.
    ///
    /// # Signature
    /// of(dataset: Dataset, classes: int | string | array) -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").train;
    /// assert(d.of(3).len + d.of([0, 1, 2, 4, 5, 6, 7, 8, 9]).len == d.len);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn of(dataset: Dataset, classes: Array) -> Script<Dataset> {
        Ok(dataset.of(&super::classes_of(&dataset, &classes)?))
    }

    #[rhai_fn(name = "of", return_raw)]
    pub fn of_named(dataset: Dataset, class: &str) -> Script<Dataset> {
        Ok(dataset.of(&super::classes_of(&dataset, &vec![class.into()])?))
    }

    #[rhai_fn(name = "of")]
    pub fn of_one(dataset: Dataset, class: i64) -> Dataset {
        dataset.of(&[class])
    }

    /// The first `n` samples (all when there are fewer), or those of a range of positions.
    ///
    /// # Signature
    /// take(dataset: Dataset, n: int | range) -> Dataset
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").test;
    /// assert(d.take(10).len == 10);
    /// assert(d.take(490..600).len == 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn take(dataset: Dataset, n: i64) -> Script<Dataset> {
        Ok(dataset.take(count("take", n)?))
    }

    #[rhai_fn(name = "take", return_raw)]
    pub fn take_range(dataset: Dataset, range: Range<i64>) -> Script<Dataset> {
        Ok(super::range(&dataset, range.start, range.end)?)
    }

    #[rhai_fn(name = "take", return_raw)]
    pub fn take_inclusive(dataset: Dataset, range: RangeInclusive<i64>) -> Script<Dataset> {
        Ok(super::range(&dataset, *range.start(), range.end().saturating_add(1))?)
    }

    /// The samples at these positions (an array of integers), in this order.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").test;
    /// assert(d.select([4, 2]).labels == [d.labels[4], d.labels[2]]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn select(dataset: Dataset, positions: Array) -> Script<Dataset> {
        let wanted = integers_of("select", &positions)?;
        let place = |p: &i64| usize::try_from(*p).ok().filter(|p| *p < dataset.len());
        let places: Option<Vec<usize>> = wanted.iter().map(place).collect();
        let Some(places) = places else {
            return Err(Error::new("select", format!("a position is outside 0..{}", dataset.len())).into());
        };
        Ok(dataset.subset(&places))
    }

    /// All samples in a random order, from the run's seed.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").test;
    /// assert(d.shuffle().len == 500 && d.shuffle() != d);
    /// ```
    #[rhai_fn(volatile)]
    pub fn shuffle(context: NativeCallContext, dataset: Dataset) -> Dataset {
        dataset.shuffle(&mut Run::of(&context).stream("shuffle"))
    }

    /// `n` random samples without replacement; an error when there are fewer than `n`.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").test.sample(20).len == 20);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn sample(context: NativeCallContext, dataset: Dataset, n: i64) -> Script<Dataset> {
        Ok(dataset.sample(count("sample", n)?, &mut Run::of(&context).stream("sample"))?)
    }

    /// `n` random samples without replacement, or all of them (in a random order) when there are fewer.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").test.sample_up_to(1000).len == 500);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn sample_up_to(context: NativeCallContext, dataset: Dataset, n: i64) -> Script<Dataset> {
        Ok(dataset.sample_up_to(count("sample_up_to", n)?, &mut Run::of(&context).stream("sample")))
    }

    /// The samples of two datasets one after the other; they may come from different sources.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// assert((d.train + d.validation).len == 1297);
    /// ```
    #[rhai_fn(name = "+", return_raw)]
    pub fn plus(a: Dataset, b: Dataset) -> Script<Dataset> {
        Ok(a.plus(&b)?)
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equal(a: &mut Dataset, b: Dataset) -> bool {
        a.keys() == b.keys()
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn unequal(a: &mut Dataset, b: Dataset) -> bool {
        a.keys() != b.keys()
    }

    /// A pass over a dataset in batches of `size`, in a new random order, the last short batch kept. Batches are made one
    /// at a time, when the loop asks for them.
    ///
    /// # Options
    /// - `shuffle` (bool, true): random order; `false` keeps the dataset's
    ///
    /// # Signature
    /// batches(dataset: Dataset, size: int, #{ shuffle: bool = true }) -> Batches
    ///
    /// # Example
    /// ```rhai
    /// let seen = 0;
    /// for b in dataset("digits").train.batches(64) { seen += b.len; }
    /// assert(seen == 797);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn batches(context: NativeCallContext, dataset: Dataset, size: i64, options: Map) -> Script<ScriptBatches> {
        let mut o = Options::new("batches", options);
        let shuffle = o.flag("shuffle", true)?;
        o.finish()?;
        if size < 1 {
            return Err(Error::new("batches", format!("the batch size must be at least 1, got {size}")).into());
        }
        let size = size as usize;
        let pass: Pass = if shuffle {
            dataset.batches(size, &mut Run::of(&context).stream("batches"))?
        } else {
            dataset.in_order(size)?
        };
        Ok(ScriptBatches(pass))
    }

    #[rhai_fn(name = "batches", return_raw, volatile)]
    pub fn batches_plain(context: NativeCallContext, dataset: Dataset, size: i64) -> Script<ScriptBatches> {
        batches(context, dataset, size, Map::new())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn dataset_to_string(dataset: &mut Dataset) -> String {
        dataset.describe()
    }
}
