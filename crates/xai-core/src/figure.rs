//! A figure as plain data; with the feature `display` it is also text for a terminal.

#[cfg(feature = "display")]
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::OutputNames;
use crate::model::Row;
use crate::params::{ParamError, require};

/// What an explanation looks like: a title and panels from top to bottom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// One line above everything.
    pub title: String,
    /// The parts.
    pub panels: Vec<Panel>,
}

/// Data of an explanation that have a figure.
pub trait ToFigure {
    /// What the explanation looks like, with names of the model's outputs, which may be none.
    fn figure(&self, names: &OutputNames) -> Figure;
}

/// One part of a figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Panel {
    /// Signed bars, one a label, longest first.
    Bars(Bars),
    /// Cells of text.
    Table(Table),
    /// A text with marked parts.
    Text(Text),
    /// Pixels.
    Image(Picture),
    /// Signed numbers on a grid.
    HeatMap(HeatMap),
}

/// Signed bars with error bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bars {
    /// One line above the bars.
    pub title: String,
    /// What the lengths measure, with the unit.
    pub unit: String,
    /// The bars.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// The value beside the label, for instance the feature's own.
    pub detail: String,
    /// Its signed length.
    pub value: f64,
    /// Half the length of its error bar; `None` when the error is unknown.
    pub error: Option<f64>,
}

/// A table of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// One line above the table.
    pub title: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

/// A text, parts of which are marked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// One line above the text.
    pub title: String,
    /// The text.
    pub text: String,
    /// The marked parts, ascending and apart from each other.
    pub marks: Vec<Mark>,
}

/// A marked part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Where it begins, in characters from 0.
    pub start: usize,
    /// Where it ends, in characters; the first that does not belong to it.
    pub end: usize,
    /// What it is marked as.
    pub label: String,
}

/// Pixels in colour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// One line above the picture.
    pub title: String,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row from the top: `3 * width * height` bytes. Two hexadecimal digits
    /// for each in JSON.
    #[serde(with = "hexadecimal")]
    #[schemars(with = "String")]
    pub rgb: Vec<u8>,
}

/// Bytes as a string of hexadecimal digits, which is half as long as a list of numbers.
mod hexadecimal {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(digits, "{byte:02x}").expect("a string takes all characters");
        }
        serializer.serialize_str(&digits)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let byte = |pair: &[u8]| match pair {
            &[high, low] => {
                let [high, low] = [high, low].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(16 * high? + low?).ok()
            }
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        bytes.ok_or_else(|| D::Error::custom("expected pairs of hexadecimal digits"))
    }
}

/// Signed numbers on a grid, for instance the attributions of an image's pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeatMap {
    /// One line above the grid.
    pub title: String,
    /// What the numbers measure, with the unit.
    pub unit: String,
    /// Rows of the grid, from the top.
    pub height: usize,
    /// Columns of the grid, from the left.
    pub width: usize,
    /// The numbers row by row, `(height * width,)`, all finite.
    pub values: Vec<f64>,
    /// The end of the scale, at least 0: colours go from `-limit` to `limit`, and 0 is neutral.
    pub limit: f64,
}

impl HeatMap {
    /// A map whose scale ends at the largest absolute number.
    #[must_use]
    pub fn new(
        title: impl Into<String>,
        unit: impl Into<String>,
        (height, width): (usize, usize),
        values: Vec<f64>,
    ) -> Self {
        let limit = values.iter().fold(0.0_f64, |limit, value| limit.max(value.abs()));
        HeatMap { title: title.into(), unit: unit.into(), height, width, values, limit }
    }
}

impl Picture {
    /// Numbers as pixels: one channel in grey, three in colour, any other number by its mean in grey. `low` is black and
    /// `high` full light. `None` where `shape`, `[height, width]` or `[height, width, channels]`, does not fit.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cut to what a byte holds"
    )]
    pub fn of_numbers(
        title: impl Into<String>,
        shape: &[usize],
        pixels: &Row,
        (low, high): (f64, f64),
    ) -> Option<Self> {
        let (height, width, n_channels) = sides(shape, pixels)?;
        let width_of_range = if low < high { high - low } else { 1.0 };
        let byte = |value: f64| (255.0 * (value - low) / width_of_range).round() as u8;
        let mut rgb = Vec::with_capacity(3 * height * width);
        for pixel in pixels.to_vec().chunks(n_channels) {
            match pixel {
                &[red, green, blue] => rgb.extend([red, green, blue].map(byte)),
                _ => rgb.extend([byte(pixel.iter().sum::<f64>() / n_channels as f64); 3]),
            }
        }
        Some(Picture { title: title.into(), width, height, rgb })
    }
}

/// Requires that a parameter named `shape` is that of an image, `[height, width]` or `[height, width, channels]`, and where
/// the number of columns is known, of one with as many numbers.
///
/// # Errors
/// [`ParamError`] named `shape`.
pub fn check_shape(shape: Option<&[usize]>, n_columns: Option<usize>) -> Result<(), ParamError> {
    let Some(shape) = shape else { return Ok(()) };
    let allowed = (2..=3).contains(&shape.len()) && !shape.contains(&0);
    let rule = "`[height, width]` or `[height, width, channels]`, each at least 1";
    require(allowed, "shape", rule, shape)?;
    let Some(n) = n_columns else { return Ok(()) };
    let product = shape.iter().try_fold(1, |product: usize, &side| product.checked_mul(side));
    require(product == Some(n), "shape", format!("the shape of an image of {n} pixels"), shape)
}

/// Height, width and channels of an image with so many numbers.
fn sides(shape: &[usize], pixels: &Row) -> Option<(usize, usize, usize)> {
    let (height, width, n_channels) = match *shape {
        [height, width] => (height, width, 1),
        [height, width, n_channels] => (height, width, n_channels),
        _ => return None,
    };
    let n = height.checked_mul(width).and_then(|n| n.checked_mul(n_channels));
    let fits = !pixels.is_empty() && n == Some(pixels.len());
    fits.then_some((height, width, n_channels))
}

/// An image before and after a change: a picture, a map of the change with channels summed, a picture. The pictures share
/// their black and white, the least and the largest number of both.
///
/// Images have shape `(height * width * channels,)`, pixels row by row from the top; `shape` is `[height, width]` or
/// `[height, width, channels]`. `None` where it does not fit.
#[must_use]
pub fn contrast(
    shape: &[usize],
    (before, from): (&str, &Row),
    (after, to): (&str, &Row),
) -> Option<Vec<Panel>> {
    let (height, width, n_channels) = sides(shape, from)?;
    let numbers = || from.iter().chain(to).copied();
    let range =
        (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
    let pictures = (
        Picture::of_numbers(before, shape, from, range)?,
        Picture::of_numbers(after, shape, to, range)?,
    );
    let change: Vec<f64> = to.iter().zip(from).map(|(to, from)| to - from).collect();
    let change = change.chunks(n_channels).map(|channels| channels.iter().sum()).collect();
    let map = HeatMap::new("change", "pixel value", (height, width), change);
    Some(vec![Panel::Image(pictures.0), Panel::HeatMap(map), Panel::Image(pictures.1)])
}

/// Decimals that leave four digits of the largest of some numbers, at most 12.
#[must_use]
pub fn decimals(largest: f64) -> usize {
    let (mut decimals, mut scaled) = (0, largest);
    while decimals < 12 && 0.0 < scaled && scaled < 1000.0 {
        decimals += 1;
        scaled *= 10.0;
    }
    decimals
}

/// A change with its sign and four significant digits, for a table.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut to the digits that a number has"
)]
pub fn signed(change: f64) -> String {
    let magnitude = if change == 0.0 { 0.0 } else { change.abs().log10().floor() };
    format!("{change:+.*}", (3.0 - magnitude).clamp(0.0, 20.0) as usize)
}
