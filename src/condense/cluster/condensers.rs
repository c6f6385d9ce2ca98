//! Condensers that make one image of every cluster: Blend and its controls. What was made can be kept for the clusters that
//! are still free in later rounds.

use crate::condense::cluster::blend::{Source, Step};
use crate::condense::cluster::{blend, controls};
use crate::condense::embed::embedder;
use crate::condense::matching::condensers::Made;
use crate::condense::options::{Method, Recipe};
use crate::data::Dataset;
use crate::nn::Net;
use crate::runtime::{At, Error, Result, Run, Stream};
use std::cell::RefCell;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Clusters that are to become one image each.
pub struct Group<'a> {
    /// Positions of the members of each.
    pub members: &'a [Vec<usize>],
    /// Fine label of each.
    pub names: &'a [i64],
    /// Clusters per class, which the reference's learning rate depends on.
    pub per_class: usize,
}

/// How images are made of clusters.
pub struct Maker<'a> {
    /// Where the images are.
    pub data: &'a Dataset,
    /// By what.
    pub recipe: &'a Recipe,
    /// Width of the random network.
    pub width: usize,
    /// What every draw derives from.
    pub stream: &'a Stream,
    /// The run, for progress.
    pub run: &'a Run,
}

/// One image per cluster, in their order, with its matching loss before and after.
struct Images {
    /// `[k, c, h, w]`.
    images: Tensor,
    /// `[2, k]`: before, after.
    losses: Tensor,
}

impl Maker<'_> {
    /// One image for each cluster.
    ///
    /// # Errors
    /// Those of the condensers; Ctrl-C.
    pub fn make(&self, group: &Group) -> Result<Made> {
        let chosen = match self.recipe.method() {
            Method::Random => controls::random(group.members, &mut self.stream.child("random")),
            Method::Nearest => controls::nearest(group.members, self.data, &self.net()?)?,
            _ => return self.finished(group, &self.images(group)?),
        };
        Ok(Made::chosen(self.data.subset(&chosen)))
    }

    /// The same, taking the images of clusters that were condensed before under this key, and keeping those made now. Says how
    /// many were taken.
    ///
    /// # Errors
    /// As `make`; a method that makes no image of its own.
    pub fn reuse(&self, group: &Group, key: &str) -> Result<(Made, usize)> {
        if !matches!(self.recipe.method(), Method::Blend | Method::Mean) {
            let message = format!("`reuse` keeps the image of a cluster; {:?} makes none", self.recipe.method().name());
            let error = Error::new("reduce", message).word("reuse");
            return Err(error.hint("it works with method: \"blend\" and \"mean\""));
        }
        let kept = self.run.slot::<Kept>();
        let mut kept = kept.0.borrow_mut();
        let shelf = kept.entry(key.to_string()).or_default();
        let new: Vec<usize> =
            (0..group.names.len()).filter(|i| group.names.get(*i).is_some_and(|name| !shelf.holds(*name))).collect();
        if !new.is_empty() {
            let members: Vec<Vec<usize>> = new.iter().filter_map(|i| group.members.get(*i).cloned()).collect();
            let names: Vec<i64> = new.iter().filter_map(|i| group.names.get(*i).copied()).collect();
            let images = self.images(&Group { members: &members, names: &names, per_class: group.per_class })?;
            shelf.add(&names, images)?;
        }
        Ok((self.finished(group, &shelf.take(group.names)?)?, group.names.len() - new.len()))
    }

    fn net(&self) -> Result<Net> {
        embedder(self.data, self.width, &mut self.stream.child("embedder"))
    }

    fn finished(&self, group: &Group, images: &Images) -> Result<Made> {
        let labels = self.data.labels();
        let labels: Vec<i64> = group.members.iter().filter_map(|m| labels.get(*m.first()?).copied()).collect();
        let labels = Tensor::f_from_slice(&labels).at("reduce")?.f_to_device(self.data.device()).at("reduce")?;
        let dataset = Dataset::from_tensors(&images.images, &labels, self.data.info())?;
        if self.recipe.method() == Method::Mean {
            return Ok(Made::chosen(dataset));
        }
        let mean = |row: i64| {
            let losses = images.losses.f_select(0, row).at("reduce")?;
            losses.f_mean(Kind::Double).at("reduce")?.f_double_value(&[]).at("reduce")
        };
        Ok(Made { dataset, before: Some(mean(0)?), after: Some(mean(1)?), history: vec![] })
    }

    /// Blend, or no step of it.
    fn images(&self, group: &Group) -> Result<Images> {
        let data = self.data;
        let gather = |positions: &[usize]| Ok(data.gather(positions)?.x);
        // The plain mean needs no embedding: a column of zeros costs nothing.
        let nothing = |x: &Tensor| {
            x.f_new_zeros([x.size().first().copied().unwrap_or(0), 1], (Kind::Float, x.device())).at("reduce")
        };
        let (mut options, net) = match self.recipe {
            Recipe::Blend { options, .. } => (*options, Some(self.net()?)),
            _ => (blend::BlendOptions { iterations: 0, ..blend::BlendOptions::default() }, None),
        };
        if let Recipe::Blend { reference: true, .. } = self.recipe {
            options.step = Step::Joint(blend::reference_rate(group.per_class)?);
        }
        let embed = |x: &Tensor| net.as_ref().map_or_else(|| nothing(x), |net| net.embed(x));
        let source = Source { device: data.device(), gather: &gather, embed: &embed };
        let made = blend::blend(group.members, &source, &options, Some(self.run.progress()))?;
        let losses = [made.losses.f_select(0, 0).at("reduce")?, made.losses.f_select(0, -1).at("reduce")?];
        Ok(Images { images: made.images, losses: Tensor::f_stack(&losses, 0).at("reduce")? })
    }
}

/// Condensed images kept for later rounds, by what made them; a run slot.
#[derive(Default)]
struct Kept(RefCell<HashMap<String, Shelf>>);

/// Images of clusters.
#[derive(Default)]
struct Shelf {
    /// Row of each cluster, by its fine label.
    rows: HashMap<i64, i64>,
    images: Option<Images>,
}

impl Shelf {
    fn holds(&self, name: i64) -> bool {
        self.rows.contains_key(&name)
    }

    fn add(&mut self, names: &[i64], more: Images) -> Result<()> {
        let first = self.rows.len() as i64;
        self.rows.extend(names.iter().copied().zip(first..));
        self.images = Some(match self.images.take() {
            None => more,
            Some(before) => Images {
                images: Tensor::f_cat(&[before.images, more.images], 0).at("reduce")?,
                losses: Tensor::f_cat(&[before.losses, more.losses], 1).at("reduce")?,
            },
        });
        Ok(())
    }

    fn take(&self, names: &[i64]) -> Result<Images> {
        let at = "reduce";
        let missing = || Error::new(at, "an image that was to be reused is not there");
        let images = self.images.as_ref().ok_or_else(missing)?;
        let rows: Option<Vec<i64>> = names.iter().map(|name| self.rows.get(name).copied()).collect();
        let device: Device = images.images.device();
        let rows = Tensor::f_from_slice(&rows.ok_or_else(missing)?).at(at)?.f_to_device(device).at(at)?;
        Ok(Images {
            images: images.images.f_index_select(0, &rows).at(at)?,
            losses: images.losses.f_index_select(1, &rows).at(at)?,
        })
    }
}
