//! AnchorImage: the superpixels of an image, the search for an anchor among them, the explanation.

use ndarray::{Array2, Array3, Array4, ArrayRef2};
use serde::{Deserialize, Serialize};
use xai_core::input::all_finite;
use xai_core::{
    BlackBox, Error, Explainer, MethodInfo, ModelKind, Params, Result, Row, Run, Status, Valid,
    require, same_shape, serde_arrays,
};

use super::data::{AnchorImageData, ImageCandidate, ImageExamples, SuperpixelPredicate};
use super::params::AnchorImageParams;
use super::perturbation::{Perturbations, Source, share_covered};
use super::picture::spread;
use super::pixels::{Dtype, Image, ImageShape};
use super::segmentation::{Segmentation, Segments};
use super::superpixels::{Superpixel, is_identity, mean_colors, superpixels};
use crate::data::{Coverage, Decision, Estimate, Queries};
use crate::params::AnchorSearchParams;
use crate::search::{Outcome, Prefix, Ranked, ResultParts, SampleId, search};

/// Why there are no predicates, where there are none.
const NO_PREDICATES: &str = "no superpixel changes when it is perturbed";

/// Anchors of images: superpixels that are enough for the model's decision, whatever the others look like. Made by
/// [`AnchorImageParams::build`].
///
/// An image is a row of the model: its numbers pixel after pixel, row by row, the channels of a pixel together.
///
/// # Cost
/// One query for the image, `min_samples_start` for the empty anchor, twice `batch_size` for each step of the bandit,
/// `final_samples` for the certificate; at most `1 + max_samples + final_samples` in all, unless the search is strict,
/// which needs a certificate for each anchor that it tests. A perturbation that comes again is not asked again, which
/// for `n` superpixels and mean colours leaves at most `2^n` different ones. Memory for eight batches of the model.
///
/// # Source
/// Ribeiro, Singh & Guestrin 2018, "Anchors: high-precision model-agnostic explanations", AAAI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct AnchorImage {
    params: Valid<AnchorImageParams>,
    shape: ImageShape,
    #[serde(with = "serde_arrays::option")]
    background: Option<Array2<f64>>,
}

/// What is kept of an explainer, before it is checked.
#[derive(Deserialize)]
struct Saved {
    params: Valid<AnchorImageParams>,
    shape: ImageShape,
    #[serde(with = "serde_arrays::option")]
    background: Option<Array2<f64>>,
}

impl TryFrom<Saved> for AnchorImage {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        AnchorImage::new(saved.params, saved.shape, saved.background)
    }
}

impl AnchorImage {
    pub(crate) fn new(
        params: Valid<AnchorImageParams>,
        shape: ImageShape,
        background: Option<Array2<f64>>,
    ) -> Result<Self> {
        shape.validate()?;
        match &params.segmentation_fn {
            Segmentation::Custom(rows) => {
                let labels = [rows.len(), rows[0].len()];
                same_shape("the custom segmentation", &[shape.height, shape.width], &labels)?;
            }
            Segmentation::Quickshift(_) => {
                let allowed = matches!(shape.channels, 1 | 3);
                require(allowed, "shape", "of 1 or 3 channels for quickshift", shape.to_array())?;
            }
            _ => {}
        }
        // One image after the other in memory, as perturbations copy them.
        let background = background.map(|images| images.as_standard_layout().into_owned());
        let explainer = AnchorImage { params, shape, background };
        if let Some(images) = &explainer.background {
            let n = images.nrows();
            require(0 < n, "background", "at least one image, or none at all", n)?;
            same_shape("the background", &[n, shape.n_numbers()], images.shape())?;
            all_finite("the background", images)?;
            explainer.check_dtype("background", images.iter())?;
        }
        Ok(explainer)
    }

    /// The settings it was made with.
    #[must_use]
    pub fn params(&self) -> &AnchorImageParams {
        &self.params
    }

    /// The shape of the images that it explains.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The same method with superpixels of the caller, such as those of a function or a network for one image:
    /// the label of each pixel, shape `(height, width)`, each at least 0.
    ///
    /// # Errors
    /// [`Error::Shape`] for labels of another shape than the image, [`Error::Param`] for negative ones.
    pub fn with_segments(self, labels: &ArrayRef2<i64>) -> Result<Self> {
        let ImageShape { height, width, .. } = self.shape;
        same_shape("the custom segmentation", &[height, width], labels.shape())?;
        let rows = labels.rows().into_iter().map(|row| row.to_vec()).collect();
        let params = self.params.into_inner().with_segmentation_fn(Segmentation::Custom(rows));
        AnchorImage::new(params.check()?, self.shape, self.background)
    }

    /// The superpixels of an image, shape `(height, width, channels)`, as its explanation cuts it.
    ///
    /// # Errors
    /// [`Error::Shape`] for an image of another shape, [`Error::NotFinite`] for a pixel, [`Error::Param`] for one that
    /// is not of the dtype.
    pub fn generate_superpixels(&self, image: &Image) -> Result<Segments> {
        same_shape("the image", &self.shape.to_array(), image.shape())?;
        self.check_dtype("image", image.iter())?;
        match self.params.dtype {
            Dtype::Float => self.params.segmentation_fn.segment(image),
            Dtype::U8 => self.params.segmentation_fn.segment(&(image / 255.0)),
        }
    }

    fn check_dtype<'a>(
        &self,
        what: &'static str,
        mut numbers: impl Iterator<Item = &'a f64>,
    ) -> Result<()> {
        let is_byte = |&value: &f64| value.fract() == 0.0 && (0.0..=255.0).contains(&value);
        let other = match self.params.dtype {
            Dtype::Float => None,
            Dtype::U8 => numbers.find(|value| !is_byte(value)),
        };
        Ok(require(other.is_none(), what, "whole numbers of 0 to 255 for the dtype u8", other)?)
    }

    /// A row as an image.
    fn image(&self, x: &Row) -> Array3<f64> {
        let shape = self.shape.to_array();
        Array3::from_shape_vec(shape, x.to_vec()).expect("the width was checked")
    }

    fn warn(
        &self,
        segments: &Segments,
        unchangeable: &[usize],
        outcome: &Outcome,
        run: &mut Run<'_>,
    ) {
        if segments.len() == 1 {
            let message =
                "the image is one superpixel, so that an anchor holds all of it or nothing";
            run.warn("anchors.single_superpixel", message);
        }
        if !unchangeable.is_empty() {
            let message = format!(
                "superpixels {unchangeable:?} look the same when they are perturbed, and so are in no anchor; a background (images_background) may change them"
            );
            run.warn("anchors.unchangeable_superpixel", message);
        }
        if outcome.status == Status::NotFound {
            let message = "no anchor meets the precision constraint; other superpixels (segmentation_fn) or a wider beam (beam_size) may find one";
            run.warn("anchors.not_found", message);
        }
    }

    fn coverage(&self, n_superpixels: usize, n_covered: usize) -> Coverage {
        let AnchorSearchParams { coverage_samples, delta, .. } = self.params.search;
        let coverage = share_covered(self.params.p_sample, n_superpixels);
        Coverage { coverage, ..Coverage::new(n_covered, coverage_samples, true, delta) }
    }
}

/// One image cut into superpixels.
struct Split {
    image: Array3<f64>,
    segments: Segments,
    superpixels: Vec<Superpixel>,
    /// The superpixels that perturbations change; predicates are places in this list.
    changeable: Vec<usize>,
}

impl AnchorImage {
    fn data(
        &self,
        split: &Split,
        outcome: &Outcome,
        decision: &Decision,
        queries: Queries,
        examples: &dyn Fn(&[SampleId]) -> Array2<f64>,
    ) -> AnchorImageData {
        let delta = self.params.search.delta;
        let predicates = self.described(split, outcome);
        let coverage_of = predicates.last().map_or_else(
            || self.coverage(0, self.params.search.coverage_samples),
            |last| last.coverage.clone(),
        );
        let candidate = |ranked: &Ranked| ImageCandidate {
            feature: ranked.order.iter().map(|&id| split.changeable[id]).collect(),
            precision: Estimate::new(ranked.counts, delta),
            coverage: self.coverage(ranked.order.len(), ranked.n_covered),
            valid: ranked.valid,
        };
        let ImageShape { height, width, channels } = self.shape;
        let background_shape = |images: &Array2<f64>| [images.nrows(), height, width, channels];
        AnchorImageData {
            result: outcome.result(ResultParts {
                search: &self.params.search,
                decision,
                coverage_of,
                queries,
                no_predicates: NO_PREDICATES,
            }),
            predicates,
            unchangeable: split.unchangeable(),
            examples: outcome.prefixes.iter().map(|p| self.examples(p, examples)).collect(),
            candidates: outcome.candidates.iter().map(candidate).collect(),
            images_background: self.background.as_ref().map(background_shape),
            segments: split.segments.labels.outer_iter().map(|row| row.to_vec()).collect(),
            labels: split.segments.own_labels.clone(),
            instance: split.image.clone(),
        }
    }

    /// The superpixels of the anchor, with the precision that each adds.
    fn described(&self, split: &Split, outcome: &Outcome) -> Vec<SuperpixelPredicate> {
        let gains = outcome.gains(self.params.search.delta);
        let prefixes = outcome.prefixes.iter().enumerate().zip(gains);
        let described = prefixes.map(|((index, prefix), (precision, gain))| {
            let superpixel = split.changeable[prefix.predicate];
            let Superpixel { n_pixels, bounds, .. } = split.superpixels[superpixel];
            SuperpixelPredicate {
                superpixel,
                label: split.segments.own_labels[superpixel],
                n_pixels,
                bounding_box: bounds,
                precision,
                gain,
                coverage: self.coverage(index + 1, prefix.n_covered),
            }
        });
        described.collect()
    }

    fn examples(
        &self,
        prefix: &Prefix,
        examples: &dyn Fn(&[SampleId]) -> Array2<f64>,
    ) -> ImageExamples {
        let images = |ids: &Vec<SampleId>| {
            // As the empty list that JSON has for it is read.
            if ids.is_empty() {
                return Array4::zeros((0, 0, 0, 0));
            }
            let ImageShape { height, width, channels } = self.shape;
            let mut images = Array4::zeros((ids.len(), height, width, channels));
            for (mut image, row) in images.outer_iter_mut().zip(examples(ids).rows()) {
                image.assign(&spread(&self.image(&row), (0.0, 255.0)));
            }
            images
        };
        let [covered_true, covered_false] = prefix.examples.each_ref().map(images);
        ImageExamples { covered_true, covered_false }
    }
}

impl Split {
    fn unchangeable(&self) -> Vec<usize> {
        (0..self.segments.len()).filter(|id| !self.changeable.contains(id)).collect()
    }
}

impl Explainer for AnchorImage {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = AnchorImageData;
    const INFO: MethodInfo =
        MethodInfo { name: "anchor-image", kind: ModelKind::BlackBox, scope: &["local"] };

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.shape.n_numbers()], x.shape())?;
        all_finite("the input", x)?;
        self.check_dtype("image", x.iter())
    }

    fn compute(&self, model: BlackBox<'_>, x: &Row, run: &mut Run<'_>) -> Result<AnchorImageData> {
        let model = model.predictor();
        let settings = &self.params.search;
        let image = self.image(x);
        let segments = self.generate_superpixels(&image)?;
        let superpixels = superpixels(&segments, self.shape.channels);
        let means;
        let replacements = match &self.background {
            Some(background) => background,
            None => {
                means = mean_colors(x, &superpixels, self.shape.channels, self.params.dtype);
                &means
            }
        };
        let changes = |&id: &usize| !is_identity(x, &superpixels[id], replacements);
        let changeable = (0..superpixels.len()).filter(changes).collect();
        let split = Split { image, segments, superpixels, changeable };
        let changeable: Vec<&Superpixel> =
            split.changeable.iter().map(|&id| &split.superpixels[id]).collect();
        let source = Source {
            x: split.image.as_slice().expect("a row laid out as an image"),
            replacements,
            changeable: &changeable,
            p_sample: self.params.p_sample,
            coverage_samples: settings.coverage_samples,
            output: &settings.output,
        };
        let mut perturbations = Perturbations::new(source, model, run.seed());
        let before = run.queries();
        perturbations.decide(settings.min_samples_start, run)?;
        let outcome = search(settings, &mut perturbations, run)?;
        let queries = outcome.queries(run.queries() - before);
        let examples = |ids: &[SampleId]| perturbations.examples(ids);
        self.warn(&split.segments, &split.unchangeable(), &outcome, run);
        Ok(self.data(&split, &outcome, perturbations.decision(), queries, &examples))
    }
}
