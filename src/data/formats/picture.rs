//! PNG and JPEG pictures as planes of bytes.

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, imageops};
use std::io::Cursor;

/// Bytes that decoding one picture may take: a few hundred bytes of PNG must not fill the memory.
const MOST_MEMORY: u64 = 1 << 28;

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

    /// Decodes a picture into `out`, `len` bytes in the order [channel, row, column].
    ///
    /// # Errors
    /// What is no PNG or JPEG, is damaged, or has another size when it may not be resized: in words.
    pub fn decode(&self, bytes: &[u8], out: &mut [u8]) -> Result<(), String> {
        let picture = open(bytes, |(width, height)| {
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
            return Ok(());
        }
        let color = picture.into_rgb8();
        let color = if self.fits(color.dimensions()) { color } else { self.resized(&color) };
        let pixels = color.as_raw().chunks_exact(3);
        if self.channels == 1 {
            out.iter_mut().zip(pixels).for_each(|(to, pixel)| *to = luma(pixel));
            return Ok(());
        }
        let plane = self.height * self.width;
        let (red, rest) = out.split_at_mut(plane.min(out.len()));
        let (green, blue) = rest.split_at_mut(plane.min(rest.len()));
        for (((pixel, red), green), blue) in pixels.zip(red).zip(green).zip(blue) {
            if let [r, g, b] = *pixel {
                (*red, *green, *blue) = (r, g, b);
            }
        }
        Ok(())
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

/// Rows and columns of a picture, from its header.
///
/// # Errors
/// What is no PNG or JPEG, in words.
pub fn size(bytes: &[u8]) -> Result<(usize, usize), String> {
    let (width, height) = decoder(bytes)?.dimensions();
    Ok((height as usize, width as usize))
}

fn decoder(bytes: &[u8]) -> Result<impl ImageDecoder, String> {
    let format = image::guess_format(bytes).ok();
    let Some(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = format else {
        return Err("neither PNG nor JPEG".into());
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    reader.into_decoder().map_err(|error| error.to_string())
}

/// Decodes a picture whose size (columns, rows) `accepts` has let through.
fn open(bytes: &[u8], accepts: impl Fn((u32, u32)) -> Result<(), String>) -> Result<DynamicImage, String> {
    let decoder = decoder(bytes)?;
    let (width, height) = decoder.dimensions();
    accepts((width, height))?;
    let values = u64::from(width) * u64::from(height) * u64::from(decoder.color_type().channel_count());
    if values.saturating_mul(BYTES_A_VALUE) > MOST_MEMORY {
        return Err(format!("{height} x {width} pixels are too many"));
    }
    DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())
}
