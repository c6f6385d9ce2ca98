//! Logits of a frozen network beside the samples: computed once, however often the samples are visited.

use crate::data::dataset::{Dataset, Part, distinct};
use crate::nn::Net;
use crate::runtime::{At, Result, interrupt};
use std::rc::Rc;
use tch::{Kind, Tensor};

/// How many images are evaluated at once.
const CHUNK: usize = 512;

impl Dataset {
    /// The same samples with the net's logits beside them, computed once in evaluation mode.
    ///
    /// # Errors
    /// Those of the forward pass.
    pub fn with_logits(&self, net: &Net) -> Result<Self> {
        let tables = net.evaluating(|| {
            let numbers = 0..self.parts.len();
            self.parts
                .iter()
                .zip(numbers)
                .map(|(part, number)| self.logits_of(part, number, net))
                .collect::<Result<Vec<_>>>()
        })?;
        let mut parts = self.parts.as_ref().clone();
        for (part, table) in parts.iter_mut().zip(tables) {
            part.logits = Some(Rc::new(table));
        }
        Ok(Self { parts: Rc::new(parts), samples: Rc::clone(&self.samples) })
    }

    /// A table with a row for each row of the storage, filled where a sample lies (and empty when none does).
    fn logits_of(&self, part: &Part, number: usize, net: &Net) -> Result<Tensor> {
        let rows = distinct(self.samples.iter().filter(|s| s.part as usize == number).map(|s| i64::from(s.row)));
        let mut table: Option<Tensor> = None;
        for chunk in rows.chunks(CHUNK) {
            interrupt::check()?;
            let index = Tensor::f_from_slice(chunk).at("with_logits")?.f_to_device(self.device()).at("with_logits")?;
            let logits = net.forward(&part.storage.images(&index)?)?.f_detach().at("with_logits")?;
            if table.is_none() {
                let size = [part.storage.len() as i64, logits.size().get(1).copied().unwrap_or(1)];
                table = Some(Tensor::f_zeros(size, (logits.kind(), logits.device())).at("with_logits")?);
            }
            if let Some(table) = &mut table {
                let _ = table.f_index_copy_(0, &index, &logits).at("with_logits")?;
            }
        }
        match table {
            Some(table) => Ok(table),
            None => Tensor::f_zeros([0, self.classes() as i64], (Kind::Float, self.device())).at("with_logits"),
        }
    }
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::runtime::Script;

    type Dataset = super::Dataset;
    type Net = crate::nn::Net;

    /// The same dataset with `net`'s logits beside each sample, computed once in evaluation mode: a frozen teacher.
    /// Batches then carry `b.logits`.
    ///
    /// # Example
    /// ```rhai
    /// let d = dataset("digits");
    /// let net = convnet(d, #{ width: 4 });
    /// let cached = d.test.take(30).with_logits(net);
    /// assert_close(cached.logits, net.forward(cached.x), 1e-5);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn with_logits(dataset: Dataset, net: Net) -> Script<Dataset> {
        Ok(dataset.with_logits(&net)?)
    }
}
