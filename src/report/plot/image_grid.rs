//! Images side by side in one picture: a PNG with a margin around each, enlarged without smoothing.

use crate::data::Dataset;
use crate::runtime::options::as_number;
use crate::runtime::{At, Error, Options, Result};
use rhai::{Array, Dynamic, Map};
use tch::{Device, Kind, Tensor};

/// Pixels between images and around them, white.
const MARGIN: usize = 2;

/// An image's shorter side is enlarged to about so many pixels when no scale is given.
const COMFORTABLE: usize = 64;

/// Bytes of a picture at most.
const LARGEST: usize = 1 << 28;

/// How images are laid out and made visible.
#[derive(Debug, Clone, Default)]
struct Layout {
    columns: Option<usize>,
    scale: Option<usize>,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Layout {
    fn read(given: Map) -> Result<Self> {
        let mut o = Options::new("image_grid", given);
        let columns = o.maybe_integer("columns", 1)?.map(|n| n as usize);
        let scale = o.maybe_integer("scale", 1)?.map(|n| n as usize);
        let (mean, std) = (numbers(&mut o, "mean")?, numbers(&mut o, "std")?);
        o.finish()?;
        Ok(Self { columns, scale, mean, std })
    }
}

/// A number, or an array of one for each channel; empty when not given.
fn numbers(o: &mut Options, key: &str) -> Result<Vec<f64>> {
    let Some(value) = o.take(key, "number or array", "()") else { return Ok(vec![]) };
    let items = value.clone().try_cast::<Array>().unwrap_or_else(|| vec![value]);
    let numbers: Option<Vec<f64>> = items.iter().map(as_number).collect();
    numbers.ok_or_else(|| {
        Error::new("image_grid", format!("`{key}` must be a number or an array of one a channel")).word(key)
    })
}

/// What a script asked to be shown: the images, which of them stands in each cell (row by row), and the layout.
struct Shown {
    images: Tensor,
    cells: Vec<Option<usize>>,
    columns: usize,
    layout: Layout,
}

/// Images in their order.
fn of_tensor(images: &Tensor, layout: Layout) -> Shown {
    let n = images.size().first().copied().unwrap_or(0).max(0) as usize;
    let square = (n as f64).sqrt().ceil() as usize;
    let columns = layout.columns.unwrap_or(square).max(1);
    Shown { images: images.shallow_clone(), cells: (0..n).map(Some).collect(), columns, layout }
}

/// The samples of a data set: a column for each class unless asked otherwise. Its own mean and deviation count.
fn of_dataset(data: &Dataset, mut layout: Layout) -> Result<Shown> {
    if layout.mean.is_empty() && layout.std.is_empty() {
        let info = data.info();
        (layout.mean, layout.std) = (info.mean, info.std);
    }
    let mut shown = of_tensor(&data.images()?, layout);
    if shown.layout.columns.is_none() && !data.is_empty() {
        let labels = data.labels();
        let of = |class: &i64| (0..labels.len()).filter(|i| labels.get(*i) == Some(class)).collect::<Vec<_>>();
        let columns: Vec<Vec<usize>> = data.present().iter().map(of).collect();
        let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
        shown.columns = columns.len();
        shown.cells = (0..rows).flat_map(|row| columns.iter().map(move |c| c.get(row).copied())).collect();
    }
    Ok(shown)
}

impl Shown {
    /// The picture as the bytes of a PNG file.
    fn png(&self) -> Result<Vec<u8>> {
        let at = "image_grid";
        let [n, c, h, w] = self.images.size()[..] else {
            let message = format!("needs images [n, channels, height, width], got shape {:?}", self.images.size());
            return Err(Error::new(at, message));
        };
        if n == 0 || h == 0 || w == 0 || !matches!(c, 1 | 3) {
            let message = format!("needs at least one image of 1 or 3 channels, got shape {:?}", self.images.size());
            return Err(Error::new(at, message));
        }
        let (c, h, w) = (c as usize, h as usize, w as usize);
        let scale = self.layout.scale.unwrap_or(COMFORTABLE.div_ceil(h.min(w))).max(1);
        let rows = self.cells.len().div_ceil(self.columns);
        let side = |count: usize, length: usize| {
            let cell = length.checked_mul(scale)?.checked_add(MARGIN)?;
            count.checked_mul(cell)?.checked_add(MARGIN)
        };
        let size = side(self.columns, w).zip(side(rows, h));
        let bytes = size.and_then(|(width, height)| width.checked_mul(height)?.checked_mul(c));
        let (Some((width, height)), Some(bytes)) = (size, bytes.filter(|bytes| *bytes <= LARGEST)) else {
            let message =
                format!("a picture of {rows} rows of {} images, {scale} times as large, is too big", self.columns);
            return Err(Error::new(at, message).hint("show fewer images, or use a smaller `scale`").word("scale"));
        };
        let pixels = visible(&self.images, &self.layout)?;
        let mut canvas = vec![255_u8; bytes];
        for (cell, image) in self.cells.iter().enumerate() {
            let Some(image) = image.and_then(|image| pixels.get(image * c * h * w..(image + 1) * c * h * w)) else {
                continue;
            };
            let (top, left) = (
                cell / self.columns * (h * scale + MARGIN) + MARGIN,
                cell % self.columns * (w * scale + MARGIN) + MARGIN,
            );
            for y in 0..h * scale {
                let start = ((top + y) * width + left) * c;
                let Some(line) = canvas.get_mut(start..start + w * scale * c) else { continue };
                for (x, dot) in line.chunks_exact_mut(c).enumerate() {
                    let place = y / scale * w + x / scale;
                    for (channel, value) in dot.iter_mut().enumerate() {
                        *value = image.get(channel * h * w + place).copied().unwrap_or(0);
                    }
                }
            }
        }
        encoded(&canvas, width, height, c).map_err(|problem| Error::new(at, problem.to_string()))
    }
}

/// Images as bytes 0..255, `[n, c, h, w]` in order, on the host: `x * std + mean`, clamped.
fn visible(images: &Tensor, layout: &Layout) -> Result<Vec<u8>> {
    let at = "image_grid";
    let _guard = tch::no_grad_guard();
    let channels = images.size().get(1).copied().unwrap_or(1);
    let constant = |name: &str, values: &[f64], otherwise: f64| -> Result<Tensor> {
        let values: Vec<f32> = match values {
            [] => vec![otherwise as f32],
            values if values.len() == 1 || values.len() as i64 == channels => {
                values.iter().map(|v| *v as f32).collect()
            }
            values => {
                let message = format!("`{name}` has {} values for {channels} channels", values.len());
                return Err(Error::new(at, message).word(name));
            }
        };
        let flat = Tensor::f_from_slice(&values).at(at)?.f_reshape([1, -1, 1, 1]).at(at)?;
        flat.f_to_device(images.device()).at(at)
    };
    // Bytes are pixels as they come from files.
    let images = match images.kind() {
        Kind::Uint8 => images.f_to_kind(Kind::Float).at(at)?.f_div_scalar(255.0).at(at)?,
        _ => images.f_to_kind(Kind::Float).at(at)?,
    };
    let x = images.f_mul(&constant("std", &layout.std, 1.0)?).at(at)?;
    let x = x.f_add(&constant("mean", &layout.mean, 0.0)?).at(at)?.f_nan_to_num(0.0, 1.0, 0.0).at(at)?;
    let x = x.f_clamp(0.0, 1.0).at(at)?.f_mul_scalar(255.0).at(at)?.f_round().at(at)?;
    let x = x.f_to_kind(Kind::Uint8).at(at)?.f_to_device(Device::Cpu).at(at)?.f_contiguous().at(at)?;
    let mut bytes = vec![0_u8; x.numel()];
    let count = bytes.len();
    x.f_copy_data(&mut bytes, count).at(at)?;
    Ok(bytes)
}

fn encoded(
    canvas: &[u8],
    width: usize,
    height: usize,
    channels: usize,
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = vec![];
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(canvas)?;
    writer.finish()?;
    Ok(file)
}

/// Draws what a script hands over: a data set or a tensor of images.
fn drawn(what: &Dynamic, options: Map) -> Result<Vec<u8>> {
    let layout = Layout::read(options)?;
    if let Some(data) = what.read_lock::<Dataset>() {
        return of_dataset(&data, layout)?.png();
    }
    match what.read_lock::<crate::tensor::Tensor>() {
        Some(images) => of_tensor(&images, layout).png(),
        None => {
            let given = crate::runtime::options::describe(what);
            Err(Error::new("image_grid", format!("needs a Dataset or a Tensor of images, got {given}")))
        }
    }
}

/// What scripts see of image grids.
#[rhai::export_module]
pub mod script {
    use crate::report::leaderboard::export;
    use crate::runtime::{Run, Script};
    use rhai::{Dynamic, Map, NativeCallContext};

    /// Saves images side by side as a PNG; returns the path. A relative name is below the run's output folder
    /// (`lethe run --out`), else below the current folder; `.png` is added where it is missing.
    ///
    /// `what` is a Dataset, shown with its own mean and deviation and one column for each class, or a Tensor of images
    /// `[n, 1 or 3, h, w]` (float on the scale 0 to 1 once `std` and `mean` are undone, or u8). Values beyond are clamped.
    ///
    /// # Signature
    /// image_grid(what: Dataset | Tensor, name: string, #{ columns: int, scale: int, mean: float | array, std: float | array }) -> string
    ///
    /// # Options
    /// - `columns` (int): images side by side, in their order; for a Dataset one column a class when not given, for a Tensor as
    ///   many as make a square
    /// - `scale` (int): pixels of the picture for one of an image; enough for sides of 64 when not given
    /// - `mean` (float or array, the Dataset's or 0): what was subtracted from each channel
    /// - `std` (float or array, the Dataset's or 1): what each channel was divided by
    ///
    /// # Example
    /// ```rhai
    /// let path = image_grid(dataset("digits").test.take(30), temporary_path("digits.png"));
    /// assert(path.ends_with("digits.png"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn image_grid(context: NativeCallContext, what: Dynamic, name: &str, options: Map) -> Script<String> {
        let picture = super::drawn(&what, options)?;
        let path = export::save_as(&Run::of(&context), "image_grid", name, "png", &picture)?;
        Ok(path.display().to_string())
    }

    #[rhai_fn(name = "image_grid", return_raw)]
    pub fn image_grid_plain(context: NativeCallContext, what: Dynamic, name: &str) -> Script<String> {
        image_grid(context, what, name, Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetInfo;

    /// Width, height and bytes of a PNG.
    fn read(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        (info.width, info.height, bytes)
    }

    fn layout(columns: Option<usize>, scale: usize) -> Layout {
        Layout { columns, scale: Some(scale), ..Layout::default() }
    }

    #[test]
    fn images_stand_where_they_belong_enlarged_and_with_margins() {
        let x = Tensor::from_slice(&[0.0_f32, 0.2, 0.4, 0.6, -3.0, 9.0]).reshape([3, 1, 1, 2]);
        let (width, height, bytes) = read(&of_tensor(&x, layout(Some(2), 3)).png().unwrap());
        assert_eq!((width, height), (2 * (2 * 3 + 2) + 2, 2 * (3 + 2) + 2));
        let dot = |x: u32, y: u32| bytes[(y * width + x) as usize];
        assert_eq!([dot(0, 0), dot(2, 2), dot(4, 4), dot(5, 2), dot(10, 2), dot(13, 2)], [255, 0, 0, 51, 102, 153]);
        assert_eq!([dot(2, 7), dot(5, 9), dot(10, 7)], [0, 255, 255]);
    }

    #[test]
    fn colours_are_denormalised_and_each_class_has_a_column() {
        let x = Tensor::from_slice(&[0.0_f32, 1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).reshape([3, 3, 1, 1]);
        let labels = Tensor::from_slice(&[4_i64, 0, 4]);
        let info =
            DatasetInfo { mean: vec![0.52, 0.4, 0.6], std: vec![0.2], classes: Some(5), ..DatasetInfo::default() };
        let data = Dataset::from_tensors(&x, &labels, info).unwrap();
        let (width, height, bytes) = read(&of_dataset(&data, layout(None, 1)).unwrap().png().unwrap());
        assert_eq!((width, height), (8, 8));
        let dot = |x: u32, y: u32| bytes[((y * width + x) * 3) as usize..][..3].to_vec();
        assert_eq!(dot(2, 2), [133, 102, 153]);
        assert_eq!(dot(5, 2), [133, 153, 102]);
        assert_eq!(dot(5, 5), [184, 153, 204]);
        assert_eq!(dot(2, 5), [255, 255, 255], "class 0 has one image only");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let message = |x: Tensor, o: Layout| of_tensor(&x, o).png().unwrap_err().to_string();
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        assert!(message(zeros(&[2, 2, 4, 4]), layout(None, 1)).contains("1 or 3 channels"));
        assert!(message(zeros(&[0, 1, 4, 4]), layout(None, 1)).contains("at least one image"));
        assert!(message(zeros(&[2, 8]), layout(None, 1)).contains("[n, channels, height, width]"));
        assert!(message(zeros(&[1, 1, 4, 4]), layout(None, 1 << 20)).contains("too big"));
        let two = Layout { mean: vec![0.1, 0.2], ..layout(None, 1) };
        assert!(message(zeros(&[1, 3, 4, 4]), two).contains("2 values for 3 channels"));
    }
}
