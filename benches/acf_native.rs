//! The A-CF epoch of benches/acf.rhai with its loop written in Rust: what the script is measured against. Prints the seconds.

use lethe::data::storage::DatasetInfo;
use lethe::data::{Data, Dataset};
use lethe::nn::optim::optimizer::AdamOptions;
use lethe::nn::zoo::{ConvNetOptions, convnet};
use lethe::nn::{Net, Optimizer, Shape, loss::cross_entropy};
use lethe::runtime::{At, Result, Stream};
use lethe::unlearn::amu::{AmuOptions, Regularizer};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

fn images(n: i64, stream: &mut Stream) -> Result<Dataset> {
    let pixels = Tensor::from_slice(&stream.normals((n * 3 * 32 * 32) as usize));
    let images = pixels.f_reshape([n, 3, 32, 32]).at("images")?;
    let labels = Tensor::f_arange(n, (Kind::Int64, Device::Cpu)).at("labels")?.f_remainder(10).at("labels")?;
    let info = DatasetInfo { name: "noise".into(), classes: Some(10), mean: vec![], std: vec![], scale: None };
    Dataset::from_tensors(&images, &labels, info)
}

fn data(train: i64, unseen: i64) -> Result<Data> {
    let mut stream = Stream::new(0, "images");
    let (train, unseen, test) = (images(train, &mut stream)?, images(unseen, &mut stream)?, images(64, &mut stream)?);
    Data::from_parts("noise", &train, &unseen, &test)
}

/// One epoch, as stdlib/unlearn/finetune.rhai runs it when accelerated.
fn epoch(data: &Data, forgotten: usize) -> Result<Net> {
    let shape = Shape { channels: 3, height: 32, width: 32 };
    let options = ConvNetOptions { width: 32, ..ConvNetOptions::default() };
    let net = convnet(shape, 10, &options, &mut Stream::new(0, "init"), Device::Cpu)?;
    let (forget, kept): (Vec<usize>, Vec<usize>) = (0..data.train.len()).partition(|i| *i < forgotten);
    let retain = data.train.subset(&kept);
    let regularizer = Regularizer::new(&data.train.subset(&forget), &data.validation, AmuOptions::default())?;
    let optimizer = Optimizer::adam(&net, &AdamOptions { lr: 2.4e-4, ..AdamOptions::default() })?;
    let mut stream = Stream::new(0, "samples");
    for batch in retain.batches(64, &mut Stream::new(0, "shuffle"))? {
        let batch = batch?;
        let loss = cross_entropy(&net.forward(&batch.x)?, &batch.y)?;
        let primary = loss.f_square().at("primary")?;
        let term = regularizer.term(&net, batch.len, &mut stream)?;
        optimizer.minimize(&primary.f_add(&term).at("loss")?)?;
    }
    Ok(net)
}

fn main() -> Result<()> {
    lethe::runtime::allocator::prepare();
    tch::set_num_threads(2);
    epoch(&data(320, 256)?, 64)?;
    let data = data(2560, 2048)?;
    let start = Instant::now();
    epoch(&data, 512)?;
    println!("{:.4}", start.elapsed().as_secs_f64());
    Ok(())
}
