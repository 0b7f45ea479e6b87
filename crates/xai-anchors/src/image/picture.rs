//! Pictures of anchors, and images from the bytes of a file.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, RgbImage};
use ndarray::{Array2, Array3, Axis};
use xai_core::figure::Picture;
use xai_core::{Result, require};

use super::pixels::{Dtype, Image};
use super::segmentation::Segments;

/// Why an image cannot be read from the bytes of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not a PNG or JPEG, or it is damaged.
    #[error("the bytes are not a readable PNG or JPEG")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Images have one channel, grey, or three, colours.
    #[error("an image is read with 1 or 3 channels, got {0}")]
    Channels(usize),
}

/// An image from the bytes of a PNG or JPEG, shape `(height, width, channels)`.
///
/// `channels` is 1 for grey or 3 for sRGB, whatever the file has; transparency is ignored.
/// Values are in `[0, 1]` for [`Dtype::Float`] and whole numbers of `0..=255` for [`Dtype::U8`].
/// `image.flatten()` is the row that [`AnchorImage`](super::AnchorImage) explains.
///
/// # Errors
/// [`DecodeError`] for bytes that cannot be read and for other numbers of channels.
pub fn decode(bytes: &[u8], channels: usize, dtype: Dtype) -> Result<Array3<f64>, DecodeError> {
    if channels != 1 && channels != 3 {
        return Err(DecodeError::Channels(channels));
    }
    let unreadable = |source| DecodeError::Unreadable(source);
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|source| unreadable(source.into()))?;
    let decoded = reader.decode().map_err(|source| unreadable(source.into()))?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let values: Vec<f64> = match dtype {
        Dtype::U8 => bytes_of(&decoded, channels).into_iter().map(f64::from).collect(),
        Dtype::Float if is_deep(&decoded) => {
            let deep: Vec<u16> = match channels {
                1 => decoded.to_luma16().into_raw(),
                _ => decoded.to_rgb16().into_raw(),
            };
            deep.into_iter().map(|value| f64::from(value) / 65_535.0).collect()
        }
        Dtype::Float => {
            bytes_of(&decoded, channels).into_iter().map(|value| f64::from(value) / 255.0).collect()
        }
    };
    let mut image = Array3::zeros((height, width, channels));
    image.iter_mut().zip(values).for_each(|(number, value)| *number = value);
    Ok(image)
}

/// Whether a file has more than eight bits for a number.
fn is_deep(decoded: &DynamicImage) -> bool {
    decoded.color().bytes_per_pixel() > decoded.color().channel_count()
}

fn bytes_of(decoded: &DynamicImage, channels: usize) -> Vec<u8> {
    match channels {
        1 => decoded.to_luma8().into_raw(),
        _ => decoded.to_rgb8().into_raw(),
    }
}

/// The image spread over a range from its least number to its largest, and 0 outside some superpixels; shape of the
/// image.
///
/// A constant image is 0 everywhere. `features` are superpixels as in [`Segments::labels`]; alibi cuts the numbers to
/// whole ones, for `scale` `(0.0, 255.0)`.
///
/// # Errors
/// [`Error::Shape`](xai_core::Error::Shape) for segments of another shape than the image,
/// [`Error::Param`](xai_core::Error::Param) for a feature that is no superpixel or a scale that is not finite.
pub fn overlay_mask(
    image: &Image,
    segments: &Segments,
    features: &[usize],
    scale: (f64, f64),
) -> Result<Array3<f64>> {
    xai_core::same_shape("the segments", &image.shape()[..2], segments.labels.shape())?;
    let rule = || format!("superpixels below {}", segments.len());
    let unknown = features.iter().find(|&&feature| segments.len() <= feature);
    require(unknown.is_none(), "features", rule(), unknown)?;
    require(scale.0.is_finite() && scale.1.is_finite(), "scale", "finite", scale)?;
    let mut masked = spread(image, scale);
    for (mut row, labels) in masked.outer_iter_mut().zip(segments.labels.rows()) {
        for (mut pixel, label) in row.axis_iter_mut(Axis(0)).zip(labels) {
            if !features.contains(label) {
                pixel.fill(0.0);
            }
        }
    }
    Ok(masked)
}

/// The numbers of an image spread over a range; 0 for a constant image.
pub(super) fn spread(image: &Image, (low, high): (f64, f64)) -> Array3<f64> {
    let min = image.fold(f64::INFINITY, |min, &value| min.min(value));
    let max = image.fold(f64::NEG_INFINITY, |max, &value| max.max(value));
    if min < max {
        image.mapv(|value| low + (value - min) / (max - min) * (high - low))
    } else {
        Array3::zeros(image.raw_dim())
    }
}

/// A number of `0.0..=255.0` without its fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
pub(super) fn byte(value: f64) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// The side below which pictures are enlarged, in pixels.
const SIDE: usize = 256;

/// The share of light that is left outside the anchor.
const DIM: f64 = 0.35;

/// The outlines of superpixels outside the anchor, and of the anchor.
const OUTLINE: [u8; 3] = [110, 110, 110];
const ANCHOR: [u8; 3] = [255, 210, 0];

/// An anchor drawn onto its image.
pub(super) struct Overlay {
    width: usize,
    height: usize,
    /// Red, green and blue of each pixel, row by row.
    rgb: Vec<u8>,
}

impl Overlay {
    /// `image` has one channel of grey or three of colour; of others the first is drawn as grey.
    pub(super) fn new(image: &Image, segments: &[Vec<usize>], mask: &Array2<bool>) -> Self {
        let (rows, columns, channels) = image.dim();
        let bright = spread(image, (0.0, 255.0));
        let factor = SIDE.div_ceil(rows.max(columns)).max(1);
        let (height, width) = (rows * factor, columns * factor);
        let mut rgb = Vec::with_capacity(3 * width * height);
        // Large pixels have room for a line on both sides of an edge; on small ones it is on one side.
        let reach = factor / 16;
        for y in 0..height {
            for x in 0..width {
                let of = |y: usize, x: usize| (y / factor, x / factor);
                let (row, column) = of(y, x);
                let light = if mask[[row, column]] { 1.0 } else { DIM };
                let channel = |k: usize| bright[[row, column, if channels == 3 { k } else { 0 }]];
                let color = [0, 1, 2].map(|k| byte(light * channel(k)));
                let below = (y + 1..height).take(1).map(|y| of(y, x));
                let right = (x + 1..width).take(1).map(|x| of(y, x));
                let leaves =
                    below.chain(right).any(|(r, c)| segments[r][c] != segments[row][column]);
                let near = [
                    of((y + reach.max(1)).min(height - 1), x),
                    of(y, (x + reach.max(1)).min(width - 1)),
                    of(y.saturating_sub(reach), x),
                    of(y, x.saturating_sub(reach)),
                ];
                let leaves_anchor = near.iter().any(|&(r, c)| mask[[r, c]] != mask[[row, column]]);
                rgb.extend(match (leaves_anchor, leaves) {
                    (true, _) => ANCHOR,
                    (false, true) => OUTLINE,
                    (false, false) => color,
                });
            }
        }
        Overlay { width, height, rgb }
    }

    pub(super) fn png(self) -> Vec<u8> {
        let [width, height] = [self.width, self.height].map(side);
        let picture = RgbImage::from_raw(width, height, self.rgb);
        encoded(&picture.expect("three bytes for each pixel").into())
    }

    pub(super) fn picture(self, title: String) -> Picture {
        Picture { title, width: self.width, height: self.height, rgb: self.rgb }
    }
}

pub(super) fn mask_png(mask: &Array2<bool>) -> Vec<u8> {
    let pixels = mask.iter().map(|&in_anchor| if in_anchor { 255 } else { 0 }).collect();
    let picture = GrayImage::from_raw(side(mask.ncols()), side(mask.nrows()), pixels);
    encoded(&picture.expect("a byte for each pixel").into())
}

fn side(pixels: usize) -> u32 {
    u32::try_from(pixels).expect("images in memory are smaller")
}

fn encoded(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes all bytes");
    bytes.into_inner()
}
