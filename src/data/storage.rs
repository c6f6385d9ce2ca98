//! Images and labels that live on the device, shared by every `Dataset` that lists some of them.

use crate::nn::Shape;
use crate::runtime::hex::hex_of;
use crate::runtime::{At, Error, Result};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Up to this many bytes of normalised f32 images are kept beside their u8 originals (all of CIFAR-10's are 614 MB); above,
/// batches are normalised one by one, which needs a quarter of the memory and three more passes over each batch.
const RESIDENT_LIMIT: i64 = 640 << 20;

/// More classes than any data set has: a damaged label would otherwise ask for as many counters.
const CLASS_LIMIT: usize = 1_000_000;

/// What is known about a set of images apart from the images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatasetInfo {
    /// What messages call it.
    pub name: String,
    /// How many classes there are; `None`: one more than the largest label.
    pub classes: Option<usize>,
    /// Mean of each channel (one value stands for all). u8 images are normalised with it; f32 images are kept as they
    /// are, and it is recorded only.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel, as `mean`.
    pub std: Vec<f64>,
    /// The pixel value that stands for 1.0 in u8 images; `None`: 255.
    pub scale: Option<f64>,
}

/// Images, labels and how to normalise them.
pub struct Storage {
    info: DatasetInfo,
    classes: usize,
    images: Tensor,
    /// The normalised form of u8 images, made on first use where it is small enough.
    resident: OnceCell<Option<Tensor>>,
    /// Mean and standard deviation as [1, channels, 1, 1].
    constants: Option<(Tensor, Tensor)>,
    labels: Vec<i64>,
    device_labels: Tensor,
    content: OnceCell<String>,
    labelling: Labelling,
}

/// What people call samples and classes; no part of the content.
#[derive(Debug, Clone, Default)]
pub struct Labelling {
    /// The file each image was read from, relative to the folder of all; empty where they come from no files of their own.
    pub files: Rc<Vec<String>>,
    /// The folder of all files.
    pub root: Rc<std::path::PathBuf>,
    /// The names of the classes in the order of the labels; empty where they have none.
    pub classes: Rc<Vec<String>>,
}

/// Sixteen hex digits of a hash.
pub fn short_hash(hasher: Sha256) -> String {
    hex_of(&hasher.finalize(), 8)
}

/// The elements of an i64 tensor, on the host.
pub fn integers(tensor: &Tensor) -> Result<Vec<i64>> {
    let host = tensor.f_to_device(Device::Cpu).at("labels")?.f_to_kind(Kind::Int64).at("labels")?;
    let host = host.f_contiguous().at("labels")?;
    let mut values = vec![0_i64; host.numel()];
    let count = values.len();
    host.f_copy_data(&mut values, count).at("labels")?;
    Ok(values)
}

impl Storage {
    /// Checks and keeps images ([n, channels, height, width], [n, height, width] or [n, features]; u8 or float) and
    /// labels ([n] integers) on `device`.
    ///
    /// # Errors
    /// Wrong ranks or dtypes, unequal counts, labels outside 0..classes.
    pub fn new(images: &Tensor, labels: &Tensor, info: DatasetInfo, device: Device) -> Result<Self> {
        let what = if info.name.is_empty() { "dataset".to_string() } else { info.name.clone() };
        let images = checked_images(&what, images)?;
        if labels.size().len() != 1 || !matches!(labels.kind(), Kind::Int64 | Kind::Uint8 | Kind::Int | Kind::Int16) {
            let message = format!("labels must be integers of shape [n], got {:?} {:?}", labels.kind(), labels.size());
            return Err(Error::new(&what, message).hint("labels are class numbers from 0, e.g. tensor([0, 1, 1])"));
        }
        let (count, labelled) = (images.size()[0], labels.size()[0]);
        if count != labelled {
            return Err(Error::new(&what, format!("{count} images but {labelled} labels")));
        }
        let host = integers(labels)?;
        let classes =
            info.classes.unwrap_or_else(|| host.iter().max().map_or(0, |m| usize::try_from(m + 1).unwrap_or(0)));
        if classes > CLASS_LIMIT {
            let message = format!("{classes} classes are more than the {CLASS_LIMIT} that make sense");
            return Err(Error::new(&what, message).hint("labels are class numbers from 0"));
        }
        if let Some((place, label)) = host.iter().enumerate().find(|(_, l)| **l < 0 || **l >= classes as i64) {
            let message = format!("label {label} of image {place} is outside 0..{classes}");
            return Err(
                Error::new(&what, message).hint(format!("{classes} classes have labels 0 to {}", classes.max(1) - 1))
            );
        }
        let constants = if images.kind() == Kind::Uint8 { constants(&what, &info, &images, device)? } else { None };
        let images = images.f_to_device(device).at(&what)?.f_contiguous().at(&what)?;
        let device_labels = Tensor::f_from_slice(&host).at(&what)?.f_to_device(device).at(&what)?;
        Ok(Self {
            info,
            classes,
            images,
            resident: OnceCell::new(),
            constants,
            labels: host,
            device_labels,
            content: OnceCell::new(),
            labelling: Labelling::default(),
        })
    }

    /// The same images with other labels, one for each row: pixels and their normalised form are shared.
    ///
    /// # Errors
    /// Those of torch.
    pub(super) fn relabelled(&self, labels: Vec<i64>, classes: usize) -> Result<Self> {
        let resident = OnceCell::new();
        let _ = resident.set(self.resident()?.map(Tensor::shallow_clone));
        let device_labels =
            Tensor::f_from_slice(&labels).and_then(|t| t.f_to_device(self.device())).at("with_labels")?;
        let constants = self.constants.as_ref().map(|(mean, std)| (mean.shallow_clone(), std.shallow_clone()));
        let (info, images, content) = (self.info.clone(), self.images.shallow_clone(), OnceCell::new());
        let labelling = self.labelling.clone();
        Ok(Self { info, classes, images, resident, constants, labels, device_labels, content, labelling })
    }

    /// Takes a hash of the images and labels that is known already for `content_id`, which would read all of them.
    #[must_use]
    pub fn with_content(self, content: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(format!("{content} {:?}", self.info()));
        let _ = self.content.set(short_hash(hasher));
        self
    }

    /// Takes the names of files (one for each image) and classes.
    #[must_use]
    pub fn with_labelling(self, labelling: Labelling) -> Self {
        Self { labelling, ..self }
    }

    /// The names of files and classes.
    pub fn labelling(&self) -> &Labelling {
        &self.labelling
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Name, constants and the like, as given; `classes` is filled in.
    pub fn info(&self) -> DatasetInfo {
        DatasetInfo { classes: Some(self.classes), ..self.info.clone() }
    }

    /// How many classes the labels are drawn from.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Labels on the host.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The images as stored: u8, or f32 as they were given.
    pub fn stored(&self) -> &Tensor {
        &self.images
    }

    /// Channels, height and width; features count as a width.
    pub fn shape(&self) -> Shape {
        match *self.images.size() {
            [_, channels, height, width] => Shape { channels, height, width },
            [_, width] => Shape { channels: 1, height: 1, width },
            _ => Shape { channels: 1, height: 1, width: 1 },
        }
    }

    /// The dimensions of one image as stored.
    pub fn dims(&self) -> Vec<i64> {
        self.images.size().get(1..).unwrap_or_default().to_vec()
    }

    /// The device everything lives on.
    pub fn device(&self) -> Device {
        self.images.device()
    }

    /// Normalised f32 images of the rows in `index` (i64, on the device).
    ///
    /// # Errors
    /// Those of torch.
    pub fn images(&self, index: &Tensor) -> Result<Tensor> {
        match self.resident()? {
            Some(all) => all.f_index_select(0, index).at("images"),
            None => self.normalised(&self.images.f_index_select(0, index).at("images")?),
        }
    }

    /// Labels (i64) of the rows in `index`.
    ///
    /// # Errors
    /// Those of torch.
    pub fn targets(&self, index: &Tensor) -> Result<Tensor> {
        self.device_labels.f_index_select(0, index).at("labels")
    }

    /// All images normalised, where they are f32 already or small enough to be kept twice.
    fn resident(&self) -> Result<Option<&Tensor>> {
        if self.images.kind() == Kind::Float {
            return Ok(Some(&self.images));
        }
        if self.resident.get().is_none() {
            let bytes = 4 * self.images.size().iter().product::<i64>();
            let all = if bytes <= RESIDENT_LIMIT { Some(self.normalised(&self.images)?) } else { None };
            let _ = self.resident.set(all);
        }
        Ok(self.resident.get().and_then(Option::as_ref))
    }

    /// `(x / scale - mean) / std` in f32, in this order of operations, which fixes the last bit.
    fn normalised(&self, images: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let mut x = images.f_to_kind(Kind::Float).at("normalise")?;
        let _ = x.f_div_scalar_(self.info.scale.unwrap_or(255.0)).at("normalise")?;
        if let Some((mean, std)) = &self.constants {
            let _ = x.f_sub_(mean).at("normalise")?;
            let _ = x.f_div_(std).at("normalise")?;
        }
        Ok(x)
    }

    /// A hash of images, labels and constants: equal content, equal id. Computed once, on the host.
    ///
    /// # Errors
    /// Those of torch.
    pub fn content_id(&self) -> Result<String> {
        if let Some(id) = self.content.get() {
            return Ok(id.clone());
        }
        let host = self.images.f_to_device(Device::Cpu).at("id")?;
        let mut hasher = Sha256::new();
        hasher.update(format!("{:?} {:?} {:?}", host.kind(), host.size(), self.info()));
        let flat = host.f_view([-1]).or_else(|_| host.f_reshape([0])).at("id")?;
        for start in (0..flat.numel()).step_by(1 << 22) {
            let part = flat.f_narrow(0, start as i64, (flat.numel() - start).min(1 << 22) as i64).at("id")?;
            hash_elements(&mut hasher, &part)?;
        }
        self.labels.iter().for_each(|label| hasher.update(label.to_le_bytes()));
        Ok(self.content.get_or_init(|| short_hash(hasher)).clone())
    }
}

/// Feeds the elements of a flat u8 or f32 tensor on the host to a hash.
fn hash_elements(hasher: &mut Sha256, part: &Tensor) -> Result<()> {
    let count = part.numel();
    if part.kind() == Kind::Uint8 {
        let mut bytes = vec![0_u8; count];
        part.f_copy_data(&mut bytes, count).at("id")?;
        hasher.update(&bytes);
    } else {
        let mut values = vec![0_f32; count];
        part.f_copy_data(&mut values, count).at("id")?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    Ok(())
}

/// What to do about images [n, a, b, c] (or [a, b, c] for one) whose channels seem to stand last; none where they stand first.
pub fn order_hint(size: &[i64]) -> Option<String> {
    let [first, middle, last] = *size.last_chunk::<3>()?;
    let few = |n: i64| (1..=4).contains(&n) && n != 2;
    let all: Vec<String> = [first, middle, last].iter().map(ToString::to_string).collect();
    (few(last) && !few(first) && middle > 4).then(|| {
        format!(
            "images of shape [n, {}] look like [n, height, width, channels]; the order here is [n, channels, height, width]: \
             images.permute([0, 3, 1, 2]) turns them",
            all.join(", ")
        )
    })
}

/// Images as [n, c, h, w] or [n, features], u8 or f32, without history.
fn checked_images(what: &str, images: &Tensor) -> Result<Tensor> {
    let images = match images.kind() {
        Kind::Uint8 | Kind::Float => images.f_detach().at(what)?,
        Kind::Double | Kind::Half | Kind::BFloat16 => images.f_detach().at(what)?.f_to_kind(Kind::Float).at(what)?,
        other => {
            let message = format!("images must be u8 or float, got {other:?}");
            return Err(Error::new(what, message).hint("convert them first, e.g. images.to(\"f32\")"));
        }
    };
    match *images.size() {
        [_, _, _, _] | [_, _] => Ok(images),
        [_, _, _] => images.f_unsqueeze(1).at(what),
        ref size => {
            let message = format!("images must have shape [n, channels, height, width], got {size:?}");
            Err(Error::new(what, message).hint("[n, height, width] and [n, features] work too"))
        }
    }
}

/// Mean and standard deviation shaped for broadcasting over the images, when they are given.
fn constants(what: &str, info: &DatasetInfo, images: &Tensor, device: Device) -> Result<Option<(Tensor, Tensor)>> {
    if info.mean.is_empty() && info.std.is_empty() {
        return Ok(None);
    }
    let size = images.size();
    let channels = size.get(1).copied().unwrap_or(1) as usize;
    let mut shaped = Vec::with_capacity(2);
    for (name, values, otherwise) in [("mean", &info.mean, 0.0), ("std", &info.std, 1.0)] {
        let values = match values.len() {
            0 => vec![otherwise],
            1 => values.clone(),
            n if n == channels => values.clone(),
            n => return Err(Error::new(what, format!("`{name}` has {n} values for {channels} channels")).word(name)),
        };
        if name == "std" && values.iter().any(|v| *v <= 0.0) {
            return Err(Error::new(what, "`std` must be above 0").word("std"));
        }
        let mut shape = vec![1; size.len()];
        shape[1] = values.len() as i64;
        let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        let tensor = Tensor::f_from_slice(&values).at(what)?.f_view(shape.as_slice()).at(what)?;
        shaped.push(tensor.f_to_device(device).at(what)?);
    }
    let std = shaped.pop();
    Ok(shaped.pop().zip(std))
}
