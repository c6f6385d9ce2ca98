//! Pictures as planes of bytes: PNG, JPEG, BMP, GIF, TIFF, WebP and PNM (PBM, PGM, PPM, PAM), told apart by their content.

use super::whole;
pub use super::whole::Rest;
use crate::runtime::budget::LARGEST_PICTURE;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, imageops};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is read.
const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
    ImageFormat::WebP,
    ImageFormat::Pnm,
];

/// Bytes of memory for each pixel and channel while a picture is decoded and turned.
const BYTES_A_VALUE: u64 = 8;

/// What pictures are made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// 3 (red, green, blue; alpha is dropped) or 1 (luma of ITU-R 601).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether pictures of another size are resized (bilinear, with antialiasing) or refused.
    pub resize: bool,
}

impl Target {
    /// Bytes of one picture.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether nothing would be left of a picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes a picture into `out`, `len` bytes in the order [channel, row, column]; what else is in the file.
    ///
    /// # Errors
    /// What is no picture, is cut off or damaged, or has another size when it may not be resized: in words.
    pub fn decode(&self, bytes: &[u8], out: &mut [u8]) -> Result<Option<Rest>, String> {
        let (picture, beside) = open(bytes, |(width, height)| {
            let same = (height as usize, width as usize) == (self.height, self.width);
            if same || self.resize {
                return Ok(());
            }
            Err(format!("{height} x {width} pixels, expected {} x {}", self.height, self.width))
        })?;
        if self.channels == 1 && matches!(picture, DynamicImage::ImageLuma8(_)) {
            let grey = picture.into_luma8();
            let grey = if self.fits(grey.dimensions()) { grey } else { self.resized(&grey) };
            out.iter_mut().zip(grey.as_raw()).for_each(|(to, from)| *to = *from);
            return Ok(beside);
        }
        let color = picture.into_rgb8();
        let color = if self.fits(color.dimensions()) { color } else { self.resized(&color) };
        let pixels = color.as_raw().chunks_exact(3);
        if self.channels == 1 {
            out.iter_mut().zip(pixels).for_each(|(to, pixel)| *to = luma(pixel));
            return Ok(beside);
        }
        let plane = self.height * self.width;
        let (red, rest) = out.split_at_mut(plane.min(out.len()));
        let (green, blue) = rest.split_at_mut(plane.min(rest.len()));
        for (((pixel, red), green), blue) in pixels.zip(red).zip(green).zip(blue) {
            if let [r, g, b] = *pixel {
                (*red, *green, *blue) = (r, g, b);
            }
        }
        Ok(beside)
    }

    fn fits(&self, (width, height): (u32, u32)) -> bool {
        (height as usize, width as usize) == (self.height, self.width)
    }

    fn resized<P>(&self, picture: &image::ImageBuffer<P, Vec<u8>>) -> image::ImageBuffer<P, Vec<u8>>
    where
        P: image::Pixel<Subpixel = u8> + 'static,
    {
        imageops::resize(picture, self.width as u32, self.height as u32, imageops::FilterType::Triangle)
    }
}

/// The luma of a red, green, blue pixel, rounded as the Python imaging library does.
fn luma(pixel: &[u8]) -> u8 {
    let weighted: u32 =
        pixel.iter().zip([19_595, 38_470, 7_471]).map(|(value, weight)| u32::from(*value) * weight).sum();
    ((weighted + 0x8000) >> 16) as u8
}

/// Whether first bytes are those of a picture without doubt, so that no name has to say so. Files without an extension are
/// also taken for formats that begin with what others begin with as well (raw photographs with TIFF's bytes, text with PNM's).
pub fn is_sure(first: &[u8], nameless: bool) -> bool {
    match image::guess_format(first) {
        Ok(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP) => true,
        // The length of its second header, and the planes there.
        Ok(ImageFormat::Bmp) => {
            matches!(first.get(14..18), Some([40 | 52 | 56 | 108 | 124, 0, 0, 0])) && first.get(26..28) == Some(&[1, 0])
        }
        Ok(ImageFormat::Tiff) => nameless,
        Ok(ImageFormat::Pnm) => nameless && matches!(first, [_, _, b'\n', b'0'..=b'9' | b'#' | b'W', ..]),
        _ => false,
    }
}

/// Rows and columns of a picture, from its header.
///
/// # Errors
/// What is no picture, in words.
pub fn size(bytes: &[u8]) -> Result<(usize, usize), String> {
    let (width, height) = decoder(bytes, format(bytes)?)?.dimensions();
    Ok((height as usize, width as usize))
}

/// The format that the content has.
fn format(bytes: &[u8]) -> Result<ImageFormat, String> {
    const KNOWN: &str = "PNG, JPEG, BMP, GIF, TIFF, WebP and PNM are";
    match image::guess_format(bytes) {
        Ok(format) if FORMATS.contains(&format) => Ok(format),
        Ok(other) => {
            Err(format!("{} pictures are not read, {KNOWN}", other.extensions_str().first().unwrap_or(&"other")))
        }
        Err(_) if bytes.is_empty() => Err("this file is empty".into()),
        Err(_) => Err(format!("no picture by its content ({KNOWN} read)")),
    }
}

fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder, String> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(LARGEST_PICTURE);
    reader.limits(limits);
    reader.into_decoder().map_err(|error| words(&error))
}

/// What a decoder's error means to the person who has the file.
fn words(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => format!("a kind of picture that is not read: {error}"),
        ImageError::Limits(_) => error.to_string(),
        _ => format!("damaged or cut off: {error}"),
    }
}

/// Decodes a picture whose size (columns, rows) `accepts` has let through.
fn open(
    bytes: &[u8],
    accepts: impl Fn((u32, u32)) -> Result<(), String>,
) -> Result<(DynamicImage, Option<Rest>), String> {
    let format = format(bytes)?;
    // Decoders are other people's code for files of unknown people: what panics there is a damaged file here.
    let guarded = catch_unwind(AssertUnwindSafe(|| {
        // What the file lacks says more than what its decoder stumbled over.
        let lacking = |problem: String| whole::check(format, bytes).err().unwrap_or(problem);
        let decoder = decoder(bytes, format).map_err(lacking)?;
        let (width, height) = decoder.dimensions();
        accepts((width, height))?;
        let values = u64::from(width) * u64::from(height) * u64::from(decoder.color_type().channel_count());
        if values.saturating_mul(BYTES_A_VALUE) > LARGEST_PICTURE {
            return Err(format!("{height} x {width} pixels are too many"));
        }
        let rest = whole::check(format, bytes)?;
        Ok((DynamicImage::from_decoder(decoder).map_err(|error| words(&error))?, rest))
    }));
    guarded.unwrap_or_else(|_| Err("damaged: its decoder gave up".into()))
}
