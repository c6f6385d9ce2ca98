//! Batches and the iteration over them.

use super::dataset::{Dataset, Part};
use crate::runtime::{At, Error, Result, Stream, interrupt};
use std::rc::Rc;
use tch::{Kind, Tensor};

/// A few samples, ready for a network.
pub struct Batch {
    /// Normalised f32 images.
    pub x: Tensor,
    /// Labels, i64.
    pub y: Tensor,
    /// Cached logits, where the dataset has them.
    pub logits: Option<Tensor>,
    /// How many samples there are.
    pub len: usize,
    /// The samples' positions in the dataset the batch was drawn from.
    pub index: Vec<i64>,
    /// Labels on the host.
    pub labels: Vec<i64>,
}

impl Batch {
    /// The classes that occur, ascending; known on the host.
    pub fn classes(&self) -> Vec<i64> {
        super::dataset::distinct(self.labels.iter().copied())
    }
}

/// Which rows of which parts make up the batches of one pass, uploaded once.
pub(super) struct Plan {
    rows: Tensor,
    chunks: Vec<Chunk>,
}

struct Chunk {
    /// Positions in the dataset.
    positions: Vec<usize>,
    /// For each part that occurs: the part, and where its rows start in `rows` and how many there are.
    segments: Vec<(usize, i64, i64)>,
    /// Where the order that undoes the grouping by part starts in `rows`, when there are several parts.
    restore: Option<i64>,
}

impl Plan {
    /// A plan that visits `order` in chunks of `size`.
    pub(super) fn new(dataset: &Dataset, order: &[usize], size: usize) -> Result<Self> {
        let mut rows: Vec<i64> = Vec::with_capacity(order.len());
        let chunks = order.chunks(size.max(1)).map(|positions| chunk(dataset, positions, &mut rows)).collect();
        let rows = Tensor::f_from_slice(&rows).at("batches")?.f_to_device(dataset.device()).at("batches")?;
        Ok(Self { rows, chunks })
    }

    /// How many batches there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// The batch of this number.
    pub(super) fn batch(&self, dataset: &Dataset, number: usize) -> Result<Option<Batch>> {
        let Some(chunk) = self.chunks.get(number) else { return Ok(None) };
        let x = self.assemble(chunk, dataset, |part, rows| part.storage.images(rows))?;
        let y = self.assemble(chunk, dataset, |part, rows| part.storage.targets(rows))?;
        let logits = if dataset.has_logits() {
            Some(self.assemble(chunk, dataset, |part, rows| match &part.logits {
                Some(logits) => logits.f_index_select(0, rows).at("batches"),
                None => part.storage.targets(rows),
            })?)
        } else {
            None
        };
        let index = chunk.positions.iter().map(|p| *p as i64).collect();
        let labels = chunk.positions.iter().map(|p| dataset.label(*p)).collect();
        Ok(Some(Batch { x, y, logits, len: chunk.positions.len(), index, labels }))
    }

    /// One thing (images or labels, say) of the samples of the batch of this number.
    pub(super) fn read(
        &self,
        dataset: &Dataset,
        number: usize,
        read: impl Fn(&Part, &Tensor) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        self.chunks.get(number).map(|chunk| self.assemble(chunk, dataset, read)).transpose()
    }

    /// Reads the rows of every part and puts them into the asked order.
    fn assemble(
        &self,
        chunk: &Chunk,
        dataset: &Dataset,
        read: impl Fn(&Part, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut pieces = Vec::with_capacity(chunk.segments.len());
        for (part, start, count) in &chunk.segments {
            let rows = self.rows.f_narrow(0, *start, *count).at("batches")?;
            if let Some(part) = dataset.parts().get(*part) {
                pieces.push(read(part, &rows)?);
            }
        }
        match (chunk.restore, pieces.pop()) {
            (None, Some(only)) => Ok(only),
            (start, last) => {
                pieces.extend(last);
                let count = chunk.positions.len() as i64;
                let order = self.rows.f_narrow(0, start.unwrap_or(0), count).at("batches")?;
                Tensor::f_cat(&pieces, 0).at("batches")?.f_index_select(0, &order).at("batches")
            }
        }
    }
}

/// Groups the samples at `positions` by part, appending to `rows` what torch will be asked for.
fn chunk(dataset: &Dataset, positions: &[usize], rows: &mut Vec<i64>) -> Chunk {
    let mut groups: Vec<(usize, Vec<i64>)> = Vec::with_capacity(1);
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(positions.len());
    for position in positions {
        let sample = dataset.sample_at(*position);
        let part = sample.part as usize;
        let group = groups.iter().position(|(p, _)| *p == part).unwrap_or_else(|| {
            groups.push((part, Vec::with_capacity(positions.len())));
            groups.len() - 1
        });
        if let Some((_, members)) = groups.get_mut(group) {
            places.push((group, members.len()));
            members.push(i64::from(sample.row));
        }
    }
    let mut segments = Vec::with_capacity(groups.len());
    let mut offsets = Vec::with_capacity(groups.len());
    let mut offset = 0;
    for (part, members) in &groups {
        segments.push((*part, rows.len() as i64, members.len() as i64));
        rows.extend(members);
        offsets.push(offset);
        offset += members.len();
    }
    let restore = (groups.len() > 1).then(|| {
        let start = rows.len() as i64;
        rows.extend(places.iter().map(|(group, place)| (offsets.get(*group).unwrap_or(&0) + place) as i64));
        start
    });
    if segments.is_empty() {
        segments.push((0, 0, 0));
    }
    Chunk { positions: positions.to_vec(), segments, restore }
}

/// One pass over a dataset, batch by batch; clones start where the original stands.
#[derive(Clone)]
pub struct Batches {
    dataset: Dataset,
    plan: Rc<Plan>,
    next: usize,
}

impl Batches {
    /// A pass over `order` (positions in the dataset) in batches of `size`, the last one as short as it comes.
    ///
    /// # Errors
    /// Those of torch.
    pub fn new(dataset: &Dataset, order: &[usize], size: usize) -> Result<Self> {
        Ok(Self { dataset: dataset.clone(), plan: Rc::new(Plan::new(dataset, order, size)?), next: 0 })
    }

    /// How many batches are still to come.
    pub fn len(&self) -> usize {
        self.plan.len() - self.next.min(self.plan.len())
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples visited.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next;
        self.next += 1;
        interrupt::check().and_then(|()| self.plan.batch(&self.dataset, number)).transpose()
    }
}

/// `Batches` as the engine iterates over them.
#[derive(Clone)]
pub struct ScriptBatches(pub Batches);

impl IntoIterator for ScriptBatches {
    type Item = crate::runtime::Script<script::Batch>;
    type IntoIter = Box<dyn Iterator<Item = Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.0.map(|batch| Ok(Rc::new(batch?))))
    }
}

/// A dataset's batches, and its samples at once.
impl Dataset {
    /// The samples at these positions as one batch, in their order.
    ///
    /// # Errors
    /// A position beyond the end; those of torch.
    pub fn gather(&self, positions: &[usize]) -> Result<Batch> {
        if let Some(position) = positions.iter().find(|p| **p >= self.len()) {
            return Err(Error::new("gather", format!("position {position} of a dataset of {}", self.len())));
        }
        match Plan::new(self, positions, positions.len())?.batch(self, 0)? {
            Some(batch) => Ok(batch),
            None => self.no_batch(),
        }
    }

    /// A batch without samples, of the right shapes.
    fn no_batch(&self) -> Result<Batch> {
        let mut size = vec![0];
        size.extend(self.dims());
        Ok(Batch {
            x: Tensor::f_zeros(size.as_slice(), (Kind::Float, self.device())).at("gather")?,
            y: Tensor::f_zeros([0], (Kind::Int64, self.device())).at("gather")?,
            logits: None,
            len: 0,
            index: vec![],
            labels: vec![],
        })
    }

    /// All samples as one batch.
    ///
    /// # Errors
    /// Those of torch.
    pub fn all(&self) -> Result<Batch> {
        self.gather(&(0..self.len()).collect::<Vec<_>>())
    }

    /// All images, normalised f32.
    ///
    /// # Errors
    /// Those of torch.
    pub fn images(&self) -> Result<Tensor> {
        match Plan::new(self, &(0..self.len()).collect::<Vec<_>>(), self.len())?
            .read(self, 0, |part, rows| part.storage.images(rows))?
        {
            Some(images) => Ok(images),
            None => Ok(self.no_batch()?.x),
        }
    }

    /// The images as stored, when all of them are u8 with one normalisation.
    ///
    /// # Errors
    /// Those of torch.
    pub fn stored_images(&self) -> Result<Option<Tensor>> {
        let plain = |part: &Part| part.storage.stored().kind() == Kind::Uint8 && part.storage.info() == self.info();
        if !self.parts.iter().all(plain) || self.is_empty() {
            return Ok(None);
        }
        let plan = Plan::new(self, &(0..self.len()).collect::<Vec<_>>(), self.len())?;
        plan.read(self, 0, |part, rows| part.storage.stored().f_index_select(0, rows).at("images"))
    }

    /// All labels on the device, i64.
    ///
    /// # Errors
    /// Those of torch.
    pub fn targets(&self) -> Result<Tensor> {
        match Plan::new(self, &(0..self.len()).collect::<Vec<_>>(), self.len())?
            .read(self, 0, |part, rows| part.storage.targets(rows))?
        {
            Some(labels) => Ok(labels),
            None => Ok(self.no_batch()?.y),
        }
    }

    /// The samples in order, `size` at a time.
    ///
    /// # Errors
    /// Those of torch.
    pub fn in_order(&self, size: usize) -> Result<Batches> {
        Batches::new(self, &(0..self.len()).collect::<Vec<_>>(), size)
    }

    /// As `in_order`, with a failure to start as the first item.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Result<Batch>> + use<> {
        let (batches, failure) = match self.in_order(size) {
            Ok(batches) => (Some(batches), None),
            Err(error) => (None, Some(Err(error))),
        };
        failure.into_iter().chain(batches.into_iter().flatten())
    }

    /// The samples in a random order, `size` at a time, the last short batch kept.
    ///
    /// # Errors
    /// Those of torch.
    pub fn batches(&self, size: usize, stream: &mut Stream) -> Result<Batches> {
        Batches::new(self, &stream.permutation(self.len()), size)
    }
}

/// What scripts see of batches.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::{Error, Script};
    use crate::tensor::Tensor;
    use rhai::{Array, Dynamic};

    /// Some samples of a dataset: images `x`, labels `y`, and `logits` where they are cached.
    pub type Batch = std::rc::Rc<super::Batch>;

    /// A pass over a dataset in batches, for `for b in d.batches(64) { .. }`.
    pub type Batches = super::ScriptBatches;

    /// The images of a batch: Tensor[n, channels, height, width], normalised f32 on the run's device.
    ///
    /// # Example
    /// ```rhai
    /// for b in dataset("digits").test.batches(250) { assert(b.x.shape == [250, 1, 8, 8]); }
    /// ```
    #[rhai_fn(get = "x", pure)]
    pub fn x(batch: &mut Batch) -> Tensor {
        batch.x.shallow_clone().into()
    }

    /// The labels of a batch: Tensor[n] of i64.
    ///
    /// # Example
    /// ```rhai
    /// for b in dataset("digits").test.batches(250) { assert(b.y.shape == [250]); }
    /// ```
    #[rhai_fn(get = "y", pure)]
    pub fn y(batch: &mut Batch) -> Tensor {
        batch.y.shallow_clone().into()
    }

    /// The cached logits of a batch drawn from `dataset.with_logits(net)`: Tensor[n, classes].
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let cached = d.test.take(20).with_logits(convnet(d, #{ width: 4 }));
    /// for b in cached.batches(10) { assert(b.logits.shape == [10, 10]); }
    /// ```
    #[rhai_fn(get = "logits", pure, return_raw)]
    pub fn logits(batch: &mut Batch) -> Script<Tensor> {
        match &batch.logits {
            Some(logits) => Ok(logits.shallow_clone().into()),
            None => Err(Error::new("logits", "this batch has no cached logits")
                .hint("iterate over dataset.with_logits(net) instead")
                .into()),
        }
    }

    /// How many samples a batch holds.
    ///
    /// # Example
    /// ```rhai
    /// let sizes = [];
    /// for b in dataset("digits").train.batches(400) { sizes.push(b.len); }
    /// assert(sizes == [400, 397]);
    /// ```
    #[rhai_fn(get = "len", name = "len", pure)]
    pub fn len(batch: &mut Batch) -> i64 {
        batch.len as i64
    }

    /// The classes that occur in a batch, ascending; known without asking the device.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits").train.of([3, 5]);
    /// for b in d.batches(200) { assert(b.classes == [3, 5]); }
    /// ```
    #[rhai_fn(get = "classes", pure)]
    pub fn classes(batch: &mut Batch) -> Array {
        batch.classes().into_iter().map(Dynamic::from).collect()
    }

    /// Where the samples of a batch stand in the dataset it was drawn from: array of integers.
    ///
    /// # Example
    /// ```rhai
    /// for b in dataset("digits").test.take(3).batches(3, #{ shuffle: false }) { assert(b.index == [0, 1, 2]); }
    /// ```
    #[rhai_fn(get = "index", pure)]
    pub fn index(batch: &mut Batch) -> Array {
        batch.index.iter().copied().map(Dynamic::from).collect()
    }

    /// How many batches a pass has.
    ///
    /// # Example
    /// ```rhai
    /// assert(dataset("digits").train.batches(64).len == 13);
    /// ```
    #[rhai_fn(get = "len", name = "len", pure)]
    pub fn batches_len(batches: &mut Batches) -> i64 {
        batches.0.len() as i64
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn batch_to_string(batch: &mut Batch) -> String {
        let cached = if batch.logits.is_some() { " · logits" } else { "" };
        let dims = batch.x.size();
        format!("Batch of {} · {:?}{cached}", batch.len, dims.get(1..).unwrap_or_default())
    }

    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn batches_to_string(batches: &mut Batches) -> String {
        format!("{} batches of {}", batches.0.len(), batches.0.dataset().describe())
    }
}
