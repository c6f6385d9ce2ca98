//! What scripts see of tasks and of methods' options.

use crate::experiment::{method_options, optimizer, primary_loss, reduction};
/// Tasks and options.
// The glue that Rhai's macro writes unwraps what it has just checked.
#[allow(clippy::unwrap_used)]
#[rhai::export_module]
pub mod script {
    use crate::data::{Data, Dataset};
    use crate::experiment::{frame, methods, originals, presets, regularizer, task};
    use crate::nn::{Net, Optimizer};
    use crate::runtime::options::describe;
    use crate::runtime::{Error, Run, Script};
    use crate::tensor::Tensor;
    use rhai::{Dynamic, FnPtr, Map, NativeCallContext};

    /// A forget request on a trained network: what a method may use, and what it is judged on.
    pub type Task = crate::experiment::task::Task;

    /// The task of making `net`, trained on `data.train`, forget some of it.
    ///
    /// The task has `original`, `train`, `forget`, `retain`, `unseen` (held out for methods to use: the validation part)
    /// and `test` (held out for evaluation). Of data without a validation part, a random half of the test part is `unseen` and
    /// the rest `test`, with a warning. Equal requests have equal `split_id`. Instead of a mode, a choice of samples may
    /// be given: `class(3) & cluster(0)`, see `class`, `cluster`, `samples`, `samples_from`, `mislabelled`, `random_samples`,
    /// `highest_loss`, `highest`.
    ///
    /// # Signature
    /// forget(net: Net, data: Data, #{ mode: string = "uniform", fraction: float, count: int, class: int, classes: array, indices: array, variant: string = "canonical", seed: int }) -> Task
    /// forget(net: Net, data: Data, choice: Selector, #{ variant: string = "canonical", seed: int }) -> Task
    ///
    /// # Options
    /// - `mode` ("uniform" | "large_uniform" | "few_uniform" | "classwise" | "k_classwise" | "indices", "uniform"): what is forgotten
    /// - `fraction` (float, 0.1): share of the training set, in the uniform modes (0.5 for large_uniform, 0.001 for few_uniform)
    /// - `count` (int): a number of samples instead of a share
    /// - `class` (int or string): the class of `classwise`, by number or name; drawn from the seed when not given
    /// - `classes` (array of int, [1, 2, 3]): the classes of `k_classwise`
    /// - `indices` (array of int): positions in `data.train`, for mode `indices`
    /// - `variant` ("canonical" | "reference", "canonical"): `"reference"` takes `unseen` from the test part (70 %), as the reference implementation does
    /// - `seed` (int, the run's): what the split is drawn from
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ mode: "uniform", fraction: 0.2 });
    /// assert(task.forget.len() == 159 && task.retain.len() == 638);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn forget(context: NativeCallContext, net: Net, data: Data, options: Map) -> Script<Task> {
        Ok(task::forget(&Run::of(&context), &net, &data, options)?)
    }

    #[rhai_fn(name = "forget", return_raw)]
    pub fn forget_plain(context: NativeCallContext, net: Net, data: Data) -> Script<Task> {
        Ok(task::forget(&Run::of(&context), &net, &data, Map::new())?)
    }

    /// A task by name, `"dataset/model"`, with a trained original: the network is trained by the data set's recipe the first
    /// time, then taken from the cache; so is what `unlearn::run("retrain", task)` trains.
    ///
    /// # Signature
    /// load_task(name: string, #{ mode: string = "uniform", fraction: float, seed: int, per_class: int, original: map, .. }) -> Task
    ///
    /// # Options
    /// - `mode`, `fraction`, `count`, `class`, `classes`, `indices`, `variant`: as for `forget`
    /// - `seed` (int, the run's): of the training and of the split
    /// - `per_class` (int): at most so many training samples of each class (the recipe's number otherwise)
    /// - `pad` (int): as for `dataset`
    /// - `validation` (number): as for `dataset`
    /// - `original` (map, #{}): options of `original`, such as `width` or `epochs`
    ///
    /// # Example
    /// ```rhai
    /// let task = load_task("digits/convnet", #{ fraction: 0.2, original: #{ width: 4, epochs: 1, cache: false } });
    /// assert(task.model == "convnet" && task.data.name == "digits");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load_task(context: NativeCallContext, name: &str, options: Map) -> Script<Task> {
        Ok(originals::load_task(&context, name, options)?)
    }

    #[rhai_fn(name = "load_task", return_raw)]
    pub fn load_task_plain(context: NativeCallContext, name: &str) -> Script<Task> {
        Ok(originals::load_task(&context, name, Map::new())?)
    }

    /// A network trained on a data set by its recipe, taken from the cache when it was trained before.
    ///
    /// Damaged files of the cache are noticed and replaced. The cache is below `lethe doctor`'s cache folder.
    ///
    /// # Signature
    /// original(model: string, data: Data, #{ width: int, epochs: int, lr: float, batch: int, seed: int, cache: bool = true, .. }) -> Net
    ///
    /// # Options
    /// - `epochs`, `lr`, `batch`, `warmup`, `momentum`, `weight_decay`, `optimizer`, `schedule`: as for `train`; the data set's recipe otherwise
    /// - `width`, `depth`, ... : as for the model's function; of the recipe, what the model has
    /// - `seed` (int, the run's): of the first weights and the order of samples
    /// - `cache` (bool, true): look into the cache, and keep the network there
    ///
    /// # Example
    /// ```rhai
    /// let net = original("convnet", dataset("digits"), #{ width: 4, epochs: 1, cache: false });
    /// assert(net.forward(zeros([1, 1, 8, 8])).shape == [1, 10]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn original(context: NativeCallContext, model: &str, data: Data, options: Map) -> Script<Net> {
        Ok(originals::original(&context, model, &data, options)?.net)
    }

    #[rhai_fn(name = "original", return_raw)]
    pub fn original_plain(context: NativeCallContext, model: &str, data: Data) -> Script<Net> {
        Ok(originals::original(&context, model, &data, Map::new())?.net)
    }

    /// The network that a task has to make forget; not to be changed: train `task.model()` instead.
    ///
    /// # Signature
    /// task.original -> Net
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// assert(forget(net, d).original == net);
    /// ```
    #[rhai_fn(get = "original", pure)]
    pub fn get_original(task: &mut Task) -> Net {
        task.original().clone()
    }

    /// The seconds that training a task's original took, now or when it was kept in the cache; `()` for a network that
    /// `load_task` did not train.
    #[rhai_fn(get = "seconds_original", pure)]
    pub fn get_seconds_original(task: &mut Task) -> Dynamic {
        task.seconds_original().map_or(Dynamic::UNIT, Dynamic::from)
    }

    /// A task's data set.
    #[rhai_fn(get = "data", pure)]
    pub fn get_data(task: &mut Task) -> Data {
        task.data().clone()
    }

    /// A task's training samples, those to forget included.
    #[rhai_fn(get = "train", pure)]
    pub fn get_train(task: &mut Task) -> Dataset {
        task.train().clone()
    }

    /// A task's samples to forget.
    #[rhai_fn(get = "forget", pure)]
    pub fn get_forget(task: &mut Task) -> Dataset {
        task.forget().clone()
    }

    /// A task's samples to train on: those not to be forgotten, or what `task.reduce` made of them.
    #[rhai_fn(get = "retain", pure)]
    pub fn get_retain(task: &mut Task) -> Dataset {
        task.retain().clone()
    }

    /// A task's held-out samples that a method may use.
    #[rhai_fn(get = "unseen", pure)]
    pub fn get_unseen(task: &mut Task) -> Dataset {
        task.unseen().clone()
    }

    /// A task's held-out samples for evaluation only.
    #[rhai_fn(get = "test", pure)]
    pub fn get_test(task: &mut Task) -> Dataset {
        task.test().clone()
    }

    /// The seed a task's split was drawn from.
    #[rhai_fn(get = "seed", pure)]
    pub fn get_seed(task: &mut Task) -> i64 {
        task.seed() as i64
    }

    /// A hash of a task's split: equal samples, equal id.
    #[rhai_fn(get = "split_id", pure)]
    pub fn get_split_id(task: &mut Task) -> String {
        task.split_id().into()
    }

    /// The name of a task's model.
    #[rhai_fn(get = "model", pure)]
    pub fn get_model(task: &mut Task) -> String {
        task.model_name()
    }

    /// The classes that a task's request removes altogether; empty for requests on samples.
    #[rhai_fn(get = "removed_classes", pure)]
    pub fn get_removed_classes(task: &mut Task) -> rhai::Array {
        task.removed_classes().iter().map(|class| Dynamic::from(*class)).collect()
    }

    /// The options preset for a task's data set, model, retain set and kind of request, by method: `task.preset.finetune`.
    ///
    /// Those of `variant: "reference"` were published. The others come from short searches (`scripts/search_presets.rhai`):
    /// for digits at most 8 settings of each method on two splits, three for accelerated methods; for Fashion-MNIST 5 on
    /// one split, for SCRUB some 30 on two. A ranking by presets compares such searches as much as it compares methods.
    /// Retraining follows the original's recipe. Other data sets have no searched presets: methods take their defaults.
    #[rhai_fn(get = "preset", return_raw)]
    pub fn get_preset(context: NativeCallContext, task: &mut Task) -> Script<Map> {
        Ok(presets::all_of(&Run::of(&context), task)?)
    }

    /// `"reference"` when the running method shall follow the reference implementation, else `"canonical"`.
    #[rhai_fn(get = "variant")]
    pub fn get_variant(context: NativeCallContext, task: &mut Task) -> String {
        let run = Run::of(&context);
        let reference = if frame::outside(&run) { task.is_reference() } else { frame::current(&run).reference };
        if reference { "reference".into() } else { "canonical".into() }
    }

    /// Whether the running method is the accelerated form.
    #[rhai_fn(get = "accelerated")]
    pub fn get_accelerated(context: NativeCallContext, _task: &mut Task) -> bool {
        frame::current(&Run::of(&context)).accelerate.is_some()
    }

    /// How a task's retain set was reduced, `()` when it was not: a map with `method`, `per_class`, `size`, `ratio`, `free`,
    /// `reused`, `residual`, `loss_before`, `loss_after`, `seconds_cluster`, `seconds_separate`, `seconds_condense`.
    #[rhai_fn(get = "reduction", pure)]
    pub fn get_reduction(task: &mut Task) -> Dynamic {
        task.reduction().map_or(Dynamic::UNIT, |reduced| reduction::reduction_map(reduced).into())
    }

    /// A trainable copy of a task's original, in training mode: what a method changes and returns.
    ///
    /// # Signature
    /// task.model() -> Net
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// assert(task.model() != task.original);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn model(context: NativeCallContext, task: Task) -> Script<Net> {
        Ok(task.model(&Run::of(&context))?)
    }

    /// The architecture of a task's original newly initialised: what retraining starts from.
    ///
    /// # Signature
    /// task.new_model() -> Net
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// assert(task.new_model().forward(zeros([1, 1, 8, 8])).shape == [1, 10]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn new_model(context: NativeCallContext, task: Task) -> Script<Net> {
        Ok(task.new_model(&Run::of(&context))?)
    }

    /// The same task with a smaller retain set: residual samples (those in clusters with forgotten ones) as they are, and one
    /// image for each cluster without forgotten samples. Every method works on it unchanged; metrics stay on the whole
    /// retain set.
    ///
    /// Clusters are found once for a data set, forgotten samples included, and kept for the run. `"blend"`, `"mean"`,
    /// `"nearest"` and `"random"` make or choose an image for each free cluster. The others make or choose as many images of
    /// each class as it has free clusters, from all its samples in free clusters: `"dc"`, `"dm"` and `"idm"` start from random
    /// ones of these and match them, `"herding"` and `"k_center"` choose among them. `task.reduction` tells the ratio, sizes,
    /// matching losses and seconds. Source: arXiv 2507.09786, sections 3 and 4.
    ///
    /// In later rounds of requests the forget set holds the earlier ones, so fewer and fewer clusters stay free. `without` makes
    /// the clusters anew from what earlier requests have left; `reuse` takes the images of clusters that are still free from the
    /// rounds before instead of making them again.
    ///
    /// # Signature
    /// task.reduce(#{ method: string = "blend", per_class: int | string = "auto", width: int = 128, recluster: bool = false, without: Dataset | array, reuse: bool = false, .. }) -> Task
    ///
    /// # Options
    /// - `method` ("blend" | "dc" | "dm" | "idm" | "mean" | "nearest" | "random" | "herding" | "k_center", "blend"): what images are made by
    /// - `per_class` (int or "auto", "auto"): clusters per class; `"auto"` makes the reduced set smallest
    /// - `width` (int, 128): of the random networks that embed images
    /// - `recluster` (bool, false): make the clusters anew, with other random numbers
    /// - `without` (Dataset, or array of positions in `task.train`): what earlier requests have removed, all of it part of what
    ///   this task forgets; clusters are made of the other samples
    /// - `reuse` (bool, false): of blend and mean, keep the image of each cluster, and take those made before by equal options
    /// - `iterations`, `step`, `momentum`, `chunk`, `variant`: of Blend, see `blend`
    /// - `iterations`, `lr`, `batch`, `augment` and all other options of dc, dm and idm: see `condense`
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.1 });
    /// let small = task.reduce(#{ method: "random", width: 4 });
    /// assert(small.retain.len() < task.retain.len() && small.split_id == task.split_id);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn reduce(context: NativeCallContext, task: Task, options: Map) -> Script<Task> {
        Ok(task.reduce(&Run::of(&context), options)?)
    }

    /// The same task with another dataset to train on in place of the retain set, called `name` in rows and tables. Metrics
    /// stay on the whole retain set; presets are those of reduced sets.
    ///
    /// # Signature
    /// task.train_on(dataset: Dataset, name: string) -> Task
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// let half = task.train_on(task.retain.take(300), "half");
    /// assert(half.retain.len == 300 && half.split_id == task.split_id);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn train_on(task: Task, dataset: Dataset, name: &str) -> Script<Task> {
        Ok(task.train_on(&dataset, name)?)
    }

    /// What the clusters of `task.reduce` leave of a task's retain set: a map of `free` and `residual`, Datasets of the samples
    /// in clusters without forgotten samples and in the others, numbers of clusters `clusters` and `free_clusters`, and
    /// `seconds_cluster`. Free and residual samples together are the retain set.
    ///
    /// # Signature
    /// task.separate(#{ per_class: int | string = "auto", width: int = 128 }) -> map
    ///
    /// # Options
    /// - `per_class` (int or "auto", "auto"): clusters per class, as for `task.reduce`
    /// - `width` (int, 128): of the random network that embeds images
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// let parts = task.separate(#{ width: 4 });
    /// assert(parts.free.len + parts.residual.len == task.retain.len);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn separate(context: NativeCallContext, task: Task, options: Map) -> Script<Map> {
        Ok(reduction::separate(&Run::of(&context), &task, options)?)
    }

    #[rhai_fn(name = "reduce", return_raw)]
    pub fn reduce_plain(context: NativeCallContext, task: Task) -> Script<Task> {
        Ok(task.reduce(&Run::of(&context), Map::new())?)
    }

    /// The optimiser that a method's options describe, its learning rate moved by `epochs`.
    ///
    /// By the option `optimizer` SGD (`"sgd"`, the usual one) with the options' `lr`, `momentum`, `weight_decay`,
    /// `nesterov`, `clip`, or `"adam"` or `"adamw"`, which have no momentum. With `warmup` (and `epochs`) the rate warms up
    /// linearly and falls as a cosine; with `milestones` it falls to a tenth at each; else it is constant. Accelerated
    /// methods get Adam at a constant `lr`.
    ///
    /// # Signature
    /// task.optimizer(net: Net, o: map) -> Optimizer
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// let optimizer = task.optimizer(task.model(), #{ lr: 0.1, epochs: 10, warmup: 5 });
    /// assert_close(optimizer.lr, 0.02, 1e-9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn optimizer(context: NativeCallContext, _task: Task, net: Net, options: Map) -> Script<Optimizer> {
        Ok(optimizer::optimizer(&Run::of(&context), &net, &options)?)
    }

    /// Marks the task loss of a method: the loss as it is, and its square in accelerated methods (A-AMU).
    ///
    /// With `steepen: "mean_of_squares"` the loss must be that of each sample; a vector is averaged in any case.
    ///
    /// # Signature
    /// task.primary(loss: Tensor) -> Tensor[]
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// assert(task.primary(tensor([1.0, 3.0])).item() == 2.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn primary(context: NativeCallContext, _task: Task, loss: Tensor) -> Script<Tensor> {
        Ok(primary_loss::primary(&Run::of(&context), &loss)?.into())
    }

    /// The regulariser of accelerated methods for a batch of `n` retained samples; 0 in plain methods.
    ///
    /// A-AMU: `mmd_weight` times the squared MMD between transformed losses of up to `4 * n` forget samples and up to
    /// `4 * n` unseen samples of the same classes (arXiv 2507.09786, section 5).
    ///
    /// # Signature
    /// task.regularizer(net: Net, n: int) -> Tensor[]
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d);
    /// assert(task.regularizer(task.model(), 64).item() == 0.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn regularizer(context: NativeCallContext, task: Task, net: Net, n: Dynamic) -> Script<Tensor> {
        Ok(regularizer::term(&Run::of(&context), &task, &net, optimizer::sample_size(&n)?)?.into())
    }

    /// Reads the options of a method: those given, else those preset for the data set, else the declared defaults.
    ///
    /// A plain default fixes the type of an option (integers are accepted where floats are meant); `positive`,
    /// `non_negative`, `between`, `count`, `whole` and `one_of` fix its range too. Unknown options, wrong types and values
    /// out of range are errors. What counted is recorded in the run's row. Accelerated methods have the options
    /// `mmd_weight`, `k`, `clamp` and `steepen` besides, and none of optimiser, momentum, weight decay and schedule.
    ///
    /// # Signature
    /// options(opt: map, rules: map) -> map
    ///
    /// # Example
    /// ```rhai
    /// let o = options(#{ epochs: 3 }, #{ epochs: count(10), lr: positive(0.01), momentum: 0.9 });
    /// assert(o.epochs == 3 && o.lr == 0.01 && o.momentum == 0.9);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn options(context: NativeCallContext, given: Map, rules: Map) -> Script<Map> {
        Ok(method_options::for_method(&Run::of(&context), given, &rules)?)
    }

    /// Runs the accelerated form (A-AMU, arXiv 2507.09786) of a method: Adam at a constant rate for one epoch, the method's
    /// `task.primary` loss squared, `task.regularizer` added. `method` is a name or a function.
    ///
    /// # Signature
    /// accelerated(method: string | Fn, task: Task, opt: map) -> Net
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.2 });
    /// assert(type_of(accelerated("finetune", task, #{ lr: 0.001 })) == "Net");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn accelerated(context: NativeCallContext, method: Dynamic, task: Task, options: Map) -> Script<Dynamic> {
        let run = Run::of(&context);
        if let Some(function) = method.clone().try_cast::<FnPtr>() {
            let name = if function.is_anonymous() { "closure" } else { function.fn_name() };
            let (_frame, _guard) = frame::enter(&run, primary_loss::frame_of(&run, &task, name))?;
            return function.call_within_context(&context, (task, options));
        }
        if !method.is_string() {
            let message = format!("the method must be a name or a function, got {}", describe(&method));
            return Err(Error::new("accelerated", message).into());
        }
        let found = methods::find(&run, context.engine(), &method.to_string(), context.call_source())?;
        let (_frame, _guard) = frame::enter(&run, primary_loss::frame_of(&run, &task, &found.name))?;
        found.call(&context, &task, options)
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn show(task: &mut Task) -> String {
        task.describe()
    }

    #[rhai_fn(name = "==", pure)]
    pub fn equal(a: &mut Task, b: Task) -> bool {
        a.same(&b)
    }

    #[rhai_fn(name = "!=", pure)]
    pub fn unequal(a: &mut Task, b: Task) -> bool {
        !a.same(&b)
    }
}
