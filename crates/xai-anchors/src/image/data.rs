//! The answer of AnchorImage.

use ndarray::{Array2, Array3, Array4};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel};
use xai_core::{OutputNames, ParamError, serde_arrays};

use super::picture::{Overlay, byte, spread};
use super::superpixels::BoundingBox;
use crate::data::{
    AnchorResult, AnchorTable, Coverage, Estimate, TableRow, nonempty_size, partial_size,
};

/// The anchor of one image.
///
/// The image and its superpixels are stored once; [`mask`](Self::mask), [`anchor`](Self::anchor) and the pictures follow
/// from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AnchorImageData {
    /// Precision, coverage, status and what else all anchors have. The coverage is exact, `(1 - p_sample)^n` for an
    /// anchor of `n` superpixels. A perturbation that is drawn again is not asked again.
    #[serde(flatten)]
    pub result: AnchorResult,
    /// The superpixels of the anchor in the order in which the search added them; none for the empty anchor.
    pub predicates: Vec<SuperpixelPredicate>,
    /// Superpixels that look the same when they are perturbed, and so are in no anchor.
    pub unchangeable: Vec<usize>,
    /// Perturbations of the anchor up to each superpixel, in the order of `predicates`, as `n_covered_ex` asks for them.
    pub examples: Vec<ImageExamples>,
    /// Anchors that were considered, as `top_k` asks for them.
    pub candidates: Vec<ImageCandidate>,
    /// The shape of the background, `(n_images, height, width, channels)`; `null` for mean colours.
    pub images_background: Option<[usize; 4]>,
    /// The superpixel of each pixel, `height` rows of `width` numbers from 0.
    pub segments: Vec<Vec<usize>>,
    /// The label of each superpixel in a custom segmentation; its index otherwise.
    pub labels: Vec<i64>,
    /// The image, shape `(height, width, channels)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<serde_arrays::Number>>>")]
    pub instance: Array3<f64>,
}

/// One superpixel of an anchor, and the anchor up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct SuperpixelPredicate {
    /// The superpixel, as in `segments`.
    pub superpixel: usize,
    /// Its label in the custom segmentation; its number otherwise.
    pub label: i64,
    /// How many pixels it has.
    pub n_pixels: usize,
    /// Where it is.
    pub bounding_box: BoundingBox,
    /// The precision of the anchor up to this superpixel, with its samples.
    pub precision: Estimate,
    /// What the superpixel adds to the precision.
    pub gain: f64,
    /// The coverage of the anchor up to this superpixel.
    pub coverage: Coverage,
}

/// An anchor of superpixels that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ImageCandidate {
    /// Its superpixels in the order in which they were added.
    pub feature: Vec<usize>,
    /// Its precision as the search saw it.
    pub precision: Estimate,
    /// Its coverage.
    pub coverage: Coverage,
    /// Whether it passed the test of validity; a strict search asks for a certificate besides.
    pub valid: bool,
}

/// Perturbed images that an anchor covers, each spread over `0..=255` by itself as alibi does; shape
/// `(n, height, width, channels)`, or `(0, 0, 0, 0)` without any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ImageExamples {
    /// Those for which the model decides as for the image.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub covered_true: Array4<f64>,
    /// Those for which it does not.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub covered_false: Array4<f64>,
}

impl AnchorImageData {
    /// The anchor's first `size` superpixels; all for `None`.
    ///
    /// # Errors
    /// [`ParamError`] when the anchor has fewer.
    pub fn features(&self, size: Option<usize>) -> Result<Vec<usize>, ParamError> {
        let size = partial_size(size, self.predicates.len())?;
        Ok(self.predicates[..size].iter().map(|predicate| predicate.superpixel).collect())
    }

    /// The precision of the anchor's first `size` superpixels; that of the empty anchor for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn precision(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match partial_size(size, self.predicates.len())? {
            0 => self.result.base_rate.mean,
            n => self.predicates[n - 1].precision.mean,
        })
    }

    /// The coverage of the anchor's first `size` superpixels; 1 for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn coverage(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match partial_size(size, self.predicates.len())? {
            0 => 1.0,
            n => self.predicates[n - 1].coverage.coverage,
        })
    }

    /// The examples of the anchor's first `size` superpixels, at least one; of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features), and for 0, since the empty anchor has none.
    pub fn examples(&self, size: Option<usize>) -> Result<&ImageExamples, ParamError> {
        Ok(&self.examples[nonempty_size(size, self.predicates.len())? - 1])
    }

    /// Whether each pixel is in the anchor, shape `(height, width)`.
    #[must_use]
    pub fn mask(&self) -> Array2<bool> {
        let in_anchor = |superpixel| self.predicates.iter().any(|p| p.superpixel == superpixel);
        self.superpixel_of_pixels().mapv(in_anchor)
    }

    /// The image inside the anchor and black elsewhere, shape `(height, width, channels)`: the image is scaled to
    /// `0..=255` from its smallest number to its largest, and fractions are cut. All black for the empty anchor.
    #[must_use]
    pub fn anchor(&self) -> Array3<u8> {
        let mask = self.mask();
        let scaled = spread(&self.instance, (0.0, 255.0));
        Array3::from_shape_fn(scaled.dim(), |(y, x, channel)| {
            if mask[[y, x]] { byte(scaled[[y, x, channel]]) } else { 0 }
        })
    }

    /// The superpixel of each pixel as an array, shape `(height, width)`.
    #[must_use]
    pub fn superpixel_of_pixels(&self) -> Array2<usize> {
        let (height, width, _) = self.instance.dim();
        Array2::from_shape_fn((height, width), |(y, x)| self.segments[y][x])
    }

    /// The image with its superpixels outlined, dimmed outside the anchor, as a PNG of eight bits. An image smaller than
    /// 256 pixels is enlarged by a whole factor.
    #[must_use]
    pub fn overlay_png(&self) -> Vec<u8> {
        self.overlay().png()
    }

    /// White inside the anchor and black elsewhere, as a PNG of the image's size, eight bits of grey.
    #[must_use]
    pub fn mask_png(&self) -> Vec<u8> {
        super::picture::mask_png(&self.mask())
    }

    fn overlay(&self) -> Overlay {
        Overlay::new(&self.instance, &self.segments, &self.mask())
    }

    /// The anchor as a picture, and as a table: precision and coverage from the base rate through each superpixel, then
    /// the certificate. `names` are those of the classes.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let row = |predicate: &SuperpixelPredicate| {
            let BoundingBox { top, left, bottom, right } = predicate.bounding_box;
            TableRow {
                predicate: format!(
                    "superpixel {}: {} pixels in rows {top} to {}, columns {left} to {}",
                    predicate.superpixel,
                    predicate.n_pixels,
                    bottom - 1,
                    right - 1
                ),
                precision: predicate.precision.clone(),
                coverage: predicate.coverage.coverage,
            }
        };
        let rows = self.predicates.iter().map(row).collect();
        let table = AnchorTable { result: &self.result, rows }.table();
        let words: Vec<String> =
            self.predicates.iter().map(|predicate| predicate.superpixel.to_string()).collect();
        let conditions = match words.as_slice() {
            [] => String::new(),
            [one] => format!("superpixel {one}"),
            several => format!("superpixels {}", several.join(", ")),
        };
        let picture = self.overlay().picture("outside the anchor the image is dimmed".to_owned());
        let title = self.result.title(names, &conditions);
        Figure { title, panels: vec![Panel::Image(picture), Panel::Table(table)] }
    }
}

impl xai_core::ToFigure for AnchorImageData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
