//! What scripts see of choices of samples to forget, and of splits in files.

/// Choices of samples.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::data::{Data, Dataset};
    use crate::eval::scores::to_host;
    use crate::experiment::listed::Listed;
    use crate::experiment::selector::{self, Amount, Class};
    use crate::experiment::{Task, manifest, task};
    use crate::nn::Net;
    use crate::runtime::places::to_read;
    use crate::runtime::{Options, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Array, Dynamic, Map, NativeCallContext};
    use std::path::Path;

    /// A choice of training samples, made when `forget` or `requests` asks for it: `class`, `cluster`, `samples`,
    /// `samples_from`, `mislabelled`, `random_samples`, `highest_loss`, `highest`, combined by `&`, `|` and `-`.
    pub type Selector = crate::experiment::selector::Selector;

    /// All training samples of a class, or of an array of classes: by number, or by name where the data set has names
    /// (`data.class_names`).
    ///
    /// # Signature
    /// class(classes: int | string | array) -> Selector
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let task = forget(net, d, class(3));
    /// assert(task.split_id == forget(net, d, #{ mode: "classwise", class: 3 }).split_id);
    /// assert(forget(net, d, class([3, 5]) - highest_loss(4)).forget.classes == [3, 5]);
    /// assert(forget(net, d, class("3")).forget.classes == [3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn class(classes: Dynamic) -> Script<Selector> {
        Ok(Selector::classes(Class::read(&classes)?))
    }

    /// The samples of one cluster of every class, or of several: number 0 is the largest. The clusters are those of
    /// `task.reduce` with the same `per_class` and `width` on the same seed, so forgetting whole clusters leaves no residual
    /// samples there.
    ///
    /// # Signature
    /// cluster(numbers: int | array, #{ per_class: int = 10, width: int = 128 }) -> Selector
    ///
    /// # Options
    /// - `per_class` (int, 10): clusters of each class
    /// - `width` (int, 128): of the random network that embeds images
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, class(3) & cluster(0, #{ per_class: 5, width: 8 }));
    /// assert(task.forget.classes == [3] && task.forget.len >= d.train.of(3).len / 5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn cluster(numbers: Dynamic, options: Map) -> Script<Selector> {
        Ok(Selector::clusters(selector::integers("cluster", &numbers)?, Options::new("cluster", options))?)
    }

    #[rhai_fn(name = "cluster", return_raw)]
    pub fn cluster_plain(numbers: Dynamic) -> Script<Selector> {
        cluster(numbers, Map::new())
    }

    /// Training samples by their positions, or those of a part of the training set.
    ///
    /// # Signature
    /// samples(positions: array | Dataset) -> Selector
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, samples([0, 5]) | samples(d.train.take(3)));
    /// assert(task.forget.len == 4);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn samples(positions: Array) -> Script<Selector> {
        Ok(Selector::positions("samples", selector::integers("samples", &positions.into())?))
    }

    #[rhai_fn(name = "samples")]
    pub fn samples_of(dataset: Dataset) -> Selector {
        Selector::samples(dataset)
    }

    /// Training samples by a list in a text file. A line is a position, or several: whole numbers separated by spaces or commas,
    /// counted from 0 in the order of `data.train` (that of `data.train.files()`). Or it is a file of a data set that was read
    /// from a folder of pictures: its path relative to that folder, as much of the end of the path as tells it apart (a name
    /// alone, where no other file has it), or its whole path. Blank lines and what follows `#` say nothing. Accents match
    /// however they are written.
    ///
    /// # Errors
    /// When a request asks for the samples: lines that name no training sample or several files, by their number; a file that
    /// was put into the validation part (load the folder with `validation: 0`, so that all of it trains).
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let path = temporary_path("forget.txt");
    /// write_text(path, "# who asked to be forgotten\n3, 4\n9\n");
    /// assert(forget(convnet(d, #{ width: 4, depth: 1 }), d, samples_from(path)).forget.len == 3);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn samples_from(context: NativeCallContext, path: &str) -> Script<Selector> {
        let text = crate::tensor::io::safetensors_file::read_text("samples_from", &to_read(&Run::of(&context), path))?;
        let name = Path::new(path).file_name().map_or_else(|| path.to_string(), |name| name.to_string_lossy().into());
        Ok(Selector::listed(Listed::read(&name, &text)))
    }

    /// Training samples whose label is not the one they have in `clean`, the training set before labels were changed: what has
    /// to be forgotten after noise was found in the labels. `mislabel` and `swap_labels` make such noise.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let noisy = mislabel(d, #{ fraction: 0.1 });
    /// let task = forget(convnet(d, #{ width: 4, depth: 1 }), noisy.data, mislabelled(d.train));
    /// assert(task.forget.len == noisy.positions.len);
    /// ```
    pub fn mislabelled(clean: Dataset) -> Selector {
        Selector::mislabelled(clean)
    }

    /// Random training samples, of a choice where one is given: an integer is their number, a float their share. They derive
    /// from the seed and the expression alone; equal expressions choose the same samples. In `requests`, of what is left.
    ///
    /// # Signature
    /// random_samples(amount: int | float, of: Selector) -> Selector
    /// random_samples(amount: int | float) -> Selector
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, random_samples(0.5, class(3)));
    /// assert(task.forget.len == d.train.of(3).len / 2 && task.forget.classes == [3]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn random_samples(amount: Dynamic, of: Selector) -> Script<Selector> {
        Ok(Selector::random(Amount::read("random_samples", &amount)?, Some(of)))
    }

    #[rhai_fn(name = "random_samples", return_raw)]
    pub fn random_samples_of_all(amount: Dynamic) -> Script<Selector> {
        Ok(Selector::random(Amount::read("random_samples", &amount)?, None))
    }

    /// The training samples, of a choice where one is given, with the highest cross-entropy under the network that has to
    /// forget: an integer is their number, a float their share. Ties go to the earlier sample; a loss that is NaN is an error.
    /// In `requests`, of what is left, under the network as it is then.
    ///
    /// # Signature
    /// highest_loss(amount: int | float, of: Selector) -> Selector
    /// highest_loss(amount: int | float) -> Selector
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let hard = forget(net, d, highest_loss(20)).forget;
    /// assert(hard.len == 20 && predict(net, hard).loss > predict(net, d.train).loss);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn highest_loss(amount: Dynamic, of: Selector) -> Script<Selector> {
        Ok(Selector::highest_loss(Amount::read("highest_loss", &amount)?, Some(of)))
    }

    #[rhai_fn(name = "highest_loss", return_raw)]
    pub fn highest_loss_of_all(amount: Dynamic) -> Script<Selector> {
        Ok(Selector::highest_loss(Amount::read("highest_loss", &amount)?, None))
    }

    /// The training samples, of a choice where one is given, with the highest of `scores`, one for each training sample; such
    /// as `memorisation` gives. Ties go to the earlier sample; infinite scores are the highest or the lowest. A sample whose
    /// score is NaN is never chosen, a warning counts them, and too few others are an error. In `requests`, of what is left.
    ///
    /// # Signature
    /// highest(scores: Tensor[n], amount: int | float, of: Selector) -> Selector
    /// highest(scores: Tensor[n], amount: int | float) -> Selector
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let brightness = d.train.x.mean([1, 2, 3]);
    /// let task = forget(convnet(d, #{ width: 4, depth: 1 }), d, highest(brightness, 10));
    /// assert(task.forget.len == 10 && task.forget.x.mean().item() > d.train.x.mean().item());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn highest(scores: Tensor, amount: Dynamic, of: Selector) -> Script<Selector> {
        Ok(Selector::highest(to_host("highest", &scores)?, Amount::read("highest", &amount)?, Some(of)))
    }

    #[rhai_fn(name = "highest", return_raw)]
    pub fn highest_of_all(scores: Tensor, amount: Dynamic) -> Script<Selector> {
        Ok(Selector::highest(to_host("highest", &scores)?, Amount::read("highest", &amount)?, None))
    }

    #[rhai_fn(name = "&")]
    pub fn and(a: Selector, b: Selector) -> Selector {
        a.and(&b)
    }

    #[rhai_fn(name = "|")]
    pub fn or(a: Selector, b: Selector) -> Selector {
        a.or(&b)
    }

    #[rhai_fn(name = "-")]
    pub fn minus(a: Selector, b: Selector) -> Selector {
        a.minus(&b)
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(selector: &mut Selector) -> String {
        selector.describe()
    }

    #[rhai_fn(name = "forget", return_raw)]
    pub fn forget_chosen(context: NativeCallContext, net: Net, data: Data, choice: Selector) -> Script<Task> {
        Ok(task::forget_chosen(&Run::of(&context), &net, &data, &choice, Map::new())?)
    }

    #[rhai_fn(name = "forget", return_raw)]
    pub fn forget_chosen_with(
        context: NativeCallContext,
        net: Net,
        data: Data,
        choice: Selector,
        options: Map,
    ) -> Script<Task> {
        Ok(task::forget_chosen(&Run::of(&context), &net, &data, &choice, options)?)
    }

    /// Saves a task's split as `name.json` (below the run's output folder, else below the current folder): the request, the
    /// positions forgotten now and by earlier requests, the ids of data and split, and a hash of it all. Returns the path.
    ///
    /// # Signature
    /// task.save_split(name: string) -> string
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let task = forget(net, d, #{ fraction: 0.2 });
    /// let path = task.save_split(temporary_path("split"));
    /// assert(load_split(net, d, path).split_id == task.split_id);
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_split(context: NativeCallContext, task: Task, name: &str) -> Script<String> {
        Ok(manifest::save(&Run::of(&context), &task, name)?.display().to_string())
    }

    /// The task of a split that `task.save_split` saved, on a network and the same data.
    ///
    /// Errors: a file that was changed (its hash is wrong), another data set or another preparation of it.
    ///
    /// # Signature
    /// load_split(net: Net, data: Data, path: string) -> Task
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4, depth: 1 });
    /// let path = forget(net, d).save_split(temporary_path("split"));
    /// let message = "";
    /// try { load_split(net, dataset("digits", #{ per_class: 20 }), path); } catch (e) { message = e.message; }
    /// assert(message.contains("of other data"));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn load_split(context: NativeCallContext, net: Net, data: Data, path: &str) -> Script<Task> {
        Ok(manifest::load(&net, &data, &to_read(&Run::of(&context), path))?)
    }
}
