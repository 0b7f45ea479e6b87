//! What an AnchorImage explanation holds.

use ndarray::{Array2, Array3, Array4};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel};
use xai_core::{ParamError, Stop, require, serde_arrays};

use super::picture::Overlay;
use super::superpixels::BoundingBox;
use crate::certificate::Certificate;
use crate::data::{Coverage, Estimate, Held, Queries, Status, TraceStep};

/// The anchor of one image. The field names are the JSON keys; those of alibi are where alibi has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorImageData {
    /// The image where the anchor holds it and black elsewhere, `height` rows of `width` pixels of `channels` whole
    /// numbers of `0..=255`: the image is spread over them from its least number to its largest. All black for the
    /// empty anchor; `mask` tells that apart from a dark image.
    pub anchor: Vec<Vec<Vec<u8>>>,
    /// The superpixel of each pixel, `height` rows of `width` numbers from 0.
    pub segments: Vec<Vec<usize>>,
    /// The label that each superpixel had in the custom segmentation; its own number otherwise.
    pub labels: Vec<i64>,
    /// Whether the anchor holds each pixel, `height` rows of `width`.
    pub mask: Vec<Vec<bool>>,
    /// The share of perturbations for which the model decides as for the image, as the search saw it: too large on
    /// average, since the anchor was chosen for it. `certificate` tells it without that bias.
    pub precision: f64,
    /// The share of perturbations that keep the anchor though nothing is held; `coverage_of` says how it is known.
    pub coverage: f64,
    /// How the search ended.
    pub status: Status,
    /// What the status means, in a sentence.
    pub reason: String,
    /// Why no more was done.
    pub stop: Stop,
    /// The precision on fresh samples; `null` without `final_samples`, and when the budget left none.
    pub certificate: Option<Certificate>,
    /// The coverage. It is exact, `(1 - p_sample)^n` for an anchor of `n` superpixels, and its rows are the
    /// `coverage_samples` that a coverage set would have; a sample of as many masks with the reference semantics.
    pub coverage_of: Coverage,
    /// The precision of the empty anchor: how often the model decides as for the image, whatever is held fixed.
    pub base_rate: Estimate,
    /// The superpixels in the order in which the search added them.
    pub predicates: Vec<HeldSuperpixel>,
    /// Superpixels that are the same when perturbed, so that nothing can be said of them.
    pub unchangeable: Vec<usize>,
    /// The highest precision that a chosen anchor of each size had, from one superpixel on: how near the search came.
    pub best_of_size: Vec<Estimate>,
    /// Anchors that were considered, as `top_k` asks for them.
    pub candidates: Vec<ImageCandidate>,
    /// What the model was asked; a perturbation that comes again is not asked again.
    pub queries: Queries,
    /// The shape of the background, `(n_images, height, width, channels)`; `null` for mean colours.
    pub images_background: Option<[usize; 4]>,
    /// The steps of the bandit, with `verbose`; its predicates are those superpixels that can be changed, by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
    /// The layout of alibi's explanation.
    pub raw: ImageRaw,
}

/// One superpixel of an anchor, and the anchor up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldSuperpixel {
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
#[serde(deny_unknown_fields)]
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

/// The fields of alibi's explanation that are not above, with its names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRaw {
    /// The superpixels that the anchor holds, in the order in which they were added.
    pub feature: Vec<usize>,
    /// The precision of the anchor up to each superpixel.
    pub mean: Vec<f64>,
    /// The same.
    pub precision: Vec<f64>,
    /// The coverage of the anchor up to each superpixel.
    pub coverage: Vec<f64>,
    /// Perturbations of the anchor up to each superpixel.
    pub examples: Vec<ImageExamples>,
    /// The precision of the empty anchor.
    pub all_precision: f64,
    /// Perturbations that the search asked the model for.
    pub num_preds: u64,
    /// Whether the precision constraint is met.
    pub success: bool,
    /// The model's decision for the image, shape `(1,)`: a class, or the number of a bin, or a quantity.
    pub prediction: Vec<f64>,
    /// The image, shape `(height, width, channels)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<serde_arrays::Number>>>")]
    pub instance: Array3<f64>,
    /// The image, shape `(1, height, width, channels)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub instances: Array4<f64>,
}

/// Perturbed images that an anchor covers, each spread over `0..=255` by itself as alibi does; shape
/// `(n, height, width, channels)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageExamples {
    /// Those for which the model decides as for the image.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub covered_true: Array4<f64>,
    /// Those for which it does not.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub covered_false: Array4<f64>,
    /// Always empty, as in alibi.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub uncovered_true: Array4<f64>,
    /// Always empty, as in alibi.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<Vec<Vec<serde_arrays::Number>>>>")]
    pub uncovered_false: Array4<f64>,
}

impl AnchorImageData {
    /// The anchor's first `size` superpixels; all for `None`.
    ///
    /// # Errors
    /// [`ParamError`] when the anchor has fewer.
    pub fn features(&self, size: Option<usize>) -> Result<&[usize], ParamError> {
        Ok(&self.raw.feature[..self.size(size)?])
    }

    /// The precision of the anchor's first `size` superpixels; that of the empty anchor for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn precision(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match self.size(size)? {
            0 => self.base_rate.mean,
            n => self.predicates[n - 1].precision.mean,
        })
    }

    /// The coverage of the anchor's first `size` superpixels; 1 for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn coverage(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match self.size(size)? {
            0 => 1.0,
            n => self.predicates[n - 1].coverage.coverage,
        })
    }

    /// The examples of the anchor's first `size` superpixels, at least one; of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features), and for 0, since the empty anchor has none.
    pub fn examples(&self, size: Option<usize>) -> Result<&ImageExamples, ParamError> {
        let size = self.size(size)?;
        require(0 < size, "size", "at least 1", size)?;
        Ok(&self.raw.examples[size - 1])
    }

    fn size(&self, size: Option<usize>) -> Result<usize, ParamError> {
        let all = self.raw.feature.len();
        let size = size.unwrap_or(all);
        require(size <= all, "size", format!("at most the anchor's {all} superpixels"), size)?;
        Ok(size)
    }

    /// The superpixel of each pixel as an array, shape `(height, width)`.
    #[must_use]
    pub fn labels_of_pixels(&self) -> Array2<usize> {
        let (height, width, _) = self.raw.instance.dim();
        Array2::from_shape_fn((height, width), |(y, x)| self.segments[y][x])
    }

    /// The image with its superpixels outlined, dimmed outside the anchor, as a PNG of eight bits. An image smaller than 256
    /// pixels is enlarged by a whole factor.
    #[must_use]
    pub fn overlay_png(&self) -> Vec<u8> {
        self.overlay().png()
    }

    /// White where the anchor holds a pixel and black elsewhere, as a PNG of the image's size, eight bits of grey.
    #[must_use]
    pub fn mask_png(&self) -> Vec<u8> {
        super::picture::mask_png(&self.mask)
    }

    fn overlay(&self) -> Overlay {
        Overlay::new(&self.raw.instance, &self.segments, &self.mask)
    }

    /// The anchor as a picture, and as a table: precision and coverage from the base rate through each superpixel, then
    /// what is certain.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let held = |own: &HeldSuperpixel| {
            let BoundingBox { top, left, bottom, right } = own.bounding_box;
            let words = format!(
                "superpixel {}: {} pixels in rows {top} to {}, columns {left} to {}",
                own.superpixel,
                own.n_pixels,
                bottom - 1,
                right - 1
            );
            (words, own.precision.clone(), own.coverage.coverage)
        };
        let table = Held {
            reason: &self.reason,
            base_rate: &self.base_rate,
            held: self.predicates.iter().map(held).collect(),
            certificate: self.certificate.as_ref(),
        };
        let title = match self.raw.feature.as_slice() {
            [] => "Anchor: none needed".to_owned(),
            [one] => format!("Anchor: superpixel {one}"),
            several => {
                let words: Vec<String> = several.iter().map(usize::to_string).collect();
                format!("Anchor: superpixels {}", words.join(", "))
            }
        };
        let picture = self.overlay().picture("outside the anchor the image is dimmed".to_owned());
        Figure { title, panels: vec![Panel::Image(picture), Panel::Table(table.table())] }
    }
}
