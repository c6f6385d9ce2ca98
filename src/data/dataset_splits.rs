//! A data set with its parts.

use crate::data::dataset::Dataset;
use crate::nn::Shape;
use crate::runtime::random::derive;
use crate::runtime::{Error, Result};

/// A data set: disjoint parts to train on, to choose with and to test on, and what is known about it.
#[derive(Clone)]
pub struct Data {
    /// The name it was asked for by.
    pub name: String,
    /// Samples to train on.
    pub train: Dataset,
    /// Samples to choose by; the unseen part of tasks.
    pub validation: Dataset,
    /// Samples to report on.
    pub test: Dataset,
    /// How many classes there are.
    pub classes: usize,
    /// Their names, in the order of the labels; empty where they have none.
    pub class_names: Vec<String>,
    /// Channels, height and width of an image.
    pub shape: Shape,
    /// What was subtracted from each channel.
    pub mean: Vec<f64>,
    /// What each channel was divided by.
    pub std: Vec<f64>,
    /// A hash of the decompressed content and of how it was prepared.
    pub id: String,
}

impl Data {
    /// One line about it.
    pub fn describe(&self) -> String {
        let Shape { channels, height, width } = self.shape;
        format!(
            "Dataset {}: train {} · validation {} · test {} · [{channels}, {height}, {width}] · {} classes",
            self.name,
            self.train.len(),
            self.validation.len(),
            self.test.len(),
            self.classes
        )
    }
}

impl Data {
    /// A data set from parts of one's own: same image shape and number of classes, no sample in two parts.
    ///
    /// # Errors
    /// Parts that do not fit together or overlap.
    pub fn from_parts(name: &str, train: &Dataset, validation: &Dataset, test: &Dataset) -> Result<Self> {
        for (part, set) in [("train", train), ("test", test)] {
            if set.is_empty() {
                return Err(Error::new("data_from", format!("the {part} part has no samples"))
                    .hint("only the validation part may be empty"));
            }
        }
        let info = train.info();
        let mut seen = std::collections::HashSet::new();
        for (part, set) in [("train", train), ("validation", validation), ("test", test)] {
            if set.dims() != train.dims() || set.classes() != train.classes() {
                let given = format!("{:?} and {} classes", set.dims(), set.classes());
                let expected = format!("{:?} and {} classes", train.dims(), train.classes());
                return Err(Error::new("data_from", format!("the {part} part has {given}, the train part {expected}")));
            }
            if let Some(shared) = set.keys().into_iter().find(|key| !seen.insert(*key)) {
                let message = format!("sample {} of the {part} part occurs twice or also in another part", shared.1);
                return Err(Error::new("data_from", message).hint("the parts must be disjoint"));
            }
        }
        let id = derive(0, &format!("{} {} {}", train.id()?, validation.id()?, test.id()?));
        Ok(Self {
            name: name.into(),
            train: train.clone(),
            validation: validation.clone(),
            test: test.clone(),
            classes: train.classes(),
            class_names: train.class_names().to_vec(),
            shape: train.shape(),
            mean: info.mean,
            std: info.std,
            id: format!("{id:016x}"),
        })
    }
}

/// What scripts see of a data set.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::data::Dataset;
    use crate::runtime::{Options, Script};
    use rhai::{Array, Dynamic, Map};

    /// A data set with disjoint parts `train`, `validation` and `test`.
    pub type Data = super::Data;

    /// A data set from parts of your own, for everything that takes one: `convnet`, `forget`, the caches.
    ///
    /// # Options
    /// - `name` (string, "own"): the name in rows and messages
    ///
    /// # Errors
    /// Parts with another image shape or number of classes, samples that occur twice, no samples to train or to test on.
    ///
    /// # Example
    /// ```rhai
    /// let all = dataset_from(randn([30, 1, 8, 8]), arange(30) % 3, #{ classes: 3 });
    /// let d = data_from(all.take(0..20), all.take(20..25), all.take(25..30), #{ name: "noise" });
    /// assert(d.train.len == 20 && d.test.len == 5 && d.name == "noise");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn data_from(train: Dataset, validation: Dataset, test: Dataset, options: Map) -> Script<Data> {
        let mut o = Options::new("data_from", options);
        let name = o.text("name", "own")?;
        o.finish()?;
        Ok(super::Data::from_parts(&name, &train, &validation, &test)?)
    }

    #[rhai_fn(name = "data_from", return_raw)]
    pub fn data_from_plain(train: Dataset, validation: Dataset, test: Dataset) -> Script<Data> {
        Ok(super::Data::from_parts("own", &train, &validation, &test)?)
    }

    /// The samples to train on.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").train.len == 797);
    /// ```
    #[rhai_fn(get = "train", pure)]
    pub fn train(data: &mut Data) -> Dataset {
        data.train.clone()
    }

    /// The samples to choose hyper-parameters by; in tasks, the unseen part.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").validation.len == 500);
    /// ```
    #[rhai_fn(get = "validation", pure)]
    pub fn validation(data: &mut Data) -> Dataset {
        data.validation.clone()
    }

    /// The samples to report on.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").test.len == 500);
    /// ```
    #[rhai_fn(get = "test", pure)]
    pub fn test(data: &mut Data) -> Dataset {
        data.test.clone()
    }

    /// The name a data set was asked for by.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").name == "digits");
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(data: &mut Data) -> String {
        data.name.clone()
    }

    /// How many classes a data set has.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").classes == 10);
    /// ```
    #[rhai_fn(get = "classes", pure)]
    pub fn classes(data: &mut Data) -> i64 {
        data.classes as i64
    }

    /// The names of the classes in the order of the labels; empty where they have none.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").class_names[3] == "3");
    /// ```
    #[rhai_fn(get = "class_names", pure)]
    pub fn class_names(data: &mut Data) -> Array {
        data.class_names.iter().cloned().map(Dynamic::from).collect()
    }

    /// The shape of one image: `[channels, height, width]`.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").shape == [1, 8, 8]);
    /// ```
    #[rhai_fn(get = "shape", pure)]
    pub fn shape(data: &mut Data) -> Array {
        [data.shape.channels, data.shape.height, data.shape.width].into_iter().map(Dynamic::from).collect()
    }

    /// What was subtracted from each channel, after scaling to 0..1.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").mean == [0.3053]);
    /// ```
    #[rhai_fn(get = "mean", pure)]
    pub fn mean(data: &mut Data) -> Array {
        data.mean.iter().copied().map(Dynamic::from).collect()
    }

    /// What each channel was divided by.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").std == [0.3760]);
    /// ```
    #[rhai_fn(get = "std", pure)]
    pub fn std(data: &mut Data) -> Array {
        data.std.iter().copied().map(Dynamic::from).collect()
    }

    /// A hash of the decompressed content of a data set and of how it was prepared.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").id == dataset("digits").id);
    /// ```
    #[rhai_fn(get = "id", pure)]
    pub fn id(data: &mut Data) -> String {
        data.id.clone()
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equal(a: &mut Data, b: Data) -> bool {
        a.id == b.id
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn unequal(a: &mut Data, b: Data) -> bool {
        a.id != b.id
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn data_to_string(data: &mut Data) -> String {
        data.describe()
    }
}
