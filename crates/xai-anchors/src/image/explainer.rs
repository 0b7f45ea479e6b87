//! AnchorImage: the superpixels of an image, the search for an anchor among them, the explanation.

use ndarray::{Array2, Array3, Array4, ArrayRef2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::input::all_finite;
use xai_core::{
    BlackBox, Error, Explainer, MethodInfo, ModelKind, Result, Row, Run, Semantics, Valid, require,
    same_shape, serde_arrays,
};

use super::Image;
use super::data::{AnchorImageData, HeldSuperpixel, ImageCandidate, ImageExamples, ImageRaw};
use super::params::{AnchorImageParams, Dtype};
use super::perturbation::{Perturbations, Source, share_covered};
use super::picture::{byte, overlay_mask, spread};
use super::segmentation::{Segmentation, Segments};
use super::superpixels::{Superpixel, is_identity, mean_colors, superpixels};
use crate::data::{Coverage, Estimate, Queries, Status};
use crate::search::{Outcome, Prefix, Ranked, SampleId, Search};

/// Why there are no predicates, where there are none.
const NOTHING_TO_HOLD: &str = "no superpixel changes when it is perturbed";

/// Anchors of images: superpixels that hold the model's decision in place, whatever the others look like. Made by
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
    #[serde(with = "serde_arrays::option")]
    background: Option<Array2<f64>>,
}

/// What is kept of an explainer, before it is checked.
#[derive(Deserialize)]
struct Saved {
    params: Valid<AnchorImageParams>,
    #[serde(with = "serde_arrays::option")]
    background: Option<Array2<f64>>,
}

impl TryFrom<Saved> for AnchorImage {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        AnchorImage::new(saved.params, saved.background)
    }
}

impl AnchorImage {
    pub(crate) fn new(
        params: Valid<AnchorImageParams>,
        background: Option<Array2<f64>>,
    ) -> Result<Self> {
        // One image after the other in memory, as perturbations copy them.
        let background = background.map(|images| images.as_standard_layout().into_owned());
        let (height, width, _) = params.image_shape;
        if let Segmentation::Custom(rows) = &params.segmentation_fn {
            let shape = [rows.len(), rows[0].len()];
            same_shape("the custom segmentation", &[height, width], &shape)?;
        }
        let explainer = AnchorImage { params, background };
        if let Some(images) = &explainer.background {
            let n = images.nrows();
            require(0 < n, "background", "at least one image, or none at all", n)?;
            same_shape("the background", &[n, explainer.width()], images.shape())?;
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

    /// The same method with superpixels of the caller's own, such as those of a function or a network for one image:
    /// the label of each pixel, shape `(height, width)`, each at least 0.
    ///
    /// # Errors
    /// [`Error::Shape`] for labels of another shape than the image, [`Error::Param`] for negative ones.
    pub fn with_segments(self, labels: &ArrayRef2<i64>) -> Result<Self> {
        let (height, width, _) = self.params.image_shape;
        same_shape("the custom segmentation", &[height, width], labels.shape())?;
        let rows = labels.rows().into_iter().map(|row| row.to_vec()).collect();
        let segmentation_fn = Segmentation::Custom(rows);
        let params = AnchorImageParams { segmentation_fn, ..self.params.into_inner() };
        AnchorImage::new(xai_core::Params::check(params)?, self.background)
    }

    /// The superpixels of an image, shape `(height, width, channels)`, as its explanation cuts it.
    ///
    /// # Errors
    /// [`Error::Shape`] for an image of another shape, [`Error::NotFinite`] for a pixel, [`Error::Param`] for one that
    /// is not of the dtype.
    pub fn generate_superpixels(&self, image: &Image) -> Result<Segments> {
        let (height, width, channels) = self.params.image_shape;
        same_shape("the image", &[height, width, channels], image.shape())?;
        self.check_dtype("image", image.iter())?;
        match self.params.dtype {
            Dtype::Float => self.params.segmentation_fn.segment(image),
            Dtype::U8 => self.params.segmentation_fn.segment(&(image / 255.0)),
        }
    }

    /// How many numbers an image has.
    fn width(&self) -> usize {
        let (height, width, channels) = self.params.image_shape;
        height * width * channels
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
        Array3::from_shape_vec(self.params.image_shape, x.to_vec()).expect("the width was checked")
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

    fn coverage(&self, n_held: usize, n_covered: usize) -> Coverage {
        let AnchorImageParams { coverage_samples, p_sample, semantics, delta, .. } = *self.params;
        let exact = semantics == Semantics::Native;
        let counted = Coverage::new(n_covered, coverage_samples, exact, delta);
        match semantics {
            Semantics::Native => Coverage { coverage: share_covered(p_sample, n_held), ..counted },
            Semantics::Reference => counted,
        }
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
        cut: &Split,
        decision: f64,
        outcome: Outcome,
        queries: Queries,
        examples: &dyn Fn(&[SampleId]) -> Array2<f64>,
    ) -> Result<AnchorImageData> {
        let delta = self.params.delta;
        let predicates = self.described(cut, &outcome);
        let feature: Vec<usize> = predicates.iter().map(|own| own.superpixel).collect();
        let base_rate = Estimate::new(outcome.base, delta);
        let last = predicates.last();
        let precision = last.map_or(base_rate.mean, |last| last.precision.mean);
        let coverage_of = last.map_or_else(
            || self.coverage(0, self.params.coverage_samples),
            |last| last.coverage.clone(),
        );
        let means: Vec<f64> = predicates.iter().map(|own| own.precision.mean).collect();
        let labels = &cut.segments.labels;
        let masked = overlay_mask(&cut.image, &cut.segments, &feature, (0.0, 255.0))?;
        let anchor = masked.outer_iter().map(|row| {
            row.outer_iter().map(|pixel| pixel.iter().map(|&own| byte(own)).collect()).collect()
        });
        let mask = labels
            .outer_iter()
            .map(|row| row.iter().map(|label| feature.contains(label)).collect());
        let candidate = |one: &Ranked| ImageCandidate {
            feature: one.order.iter().map(|&id| cut.changeable[id]).collect(),
            precision: Estimate::new(one.counts, delta),
            coverage: self.coverage(one.order.len(), one.n_covered),
            valid: one.valid,
        };
        let raw = ImageRaw {
            feature: feature.clone(),
            mean: means.clone(),
            precision: means,
            coverage: predicates.iter().map(|own| own.coverage.coverage).collect(),
            examples: outcome.prefixes.iter().map(|own| self.examples(own, examples)).collect(),
            all_precision: base_rate.mean,
            num_preds: queries.search,
            success: outcome.success,
            prediction: vec![decision],
            instance: cut.image.clone(),
            instances: cut.image.clone().insert_axis(Axis(0)),
        };
        let (height, width, channels) = self.params.image_shape;
        let shape = |images: &Array2<f64>| [images.nrows(), height, width, channels];
        Ok(AnchorImageData {
            anchor: anchor.collect(),
            segments: labels.outer_iter().map(|row| row.to_vec()).collect(),
            mask: mask.collect(),
            precision,
            coverage: coverage_of.coverage,
            status: outcome.status,
            reason: outcome.reason(self.params.threshold, NOTHING_TO_HOLD),
            stop: outcome.stop,
            coverage_of,
            base_rate,
            unchangeable: cut.unchangeable(),
            best_of_size: outcome.best_of_size.iter().map(|&c| Estimate::new(c, delta)).collect(),
            candidates: outcome.candidates.iter().map(candidate).collect(),
            queries,
            images_background: self.background.as_ref().map(shape),
            certificate: outcome.certificate,
            trace: outcome.trace,
            labels: cut.segments.own_labels.clone(),
            predicates,
            raw,
        })
    }

    /// The superpixels of the anchor, with the precision that each adds.
    fn described(&self, cut: &Split, outcome: &Outcome) -> Vec<HeldSuperpixel> {
        let prefixes = outcome.prefixes.iter().enumerate().zip(outcome.gains(self.params.delta));
        let described = prefixes.map(|((place, prefix), (precision, gain))| {
            let superpixel = cut.changeable[prefix.predicate];
            let own = &cut.superpixels[superpixel];
            HeldSuperpixel {
                superpixel,
                label: cut.segments.own_labels[superpixel],
                n_pixels: own.n_pixels,
                bounding_box: own.bounds,
                precision,
                gain,
                coverage: self.coverage(place + 1, prefix.n_covered),
            }
        });
        described.collect()
    }

    fn examples(
        &self,
        prefix: &Prefix,
        examples: &dyn Fn(&[SampleId]) -> Array2<f64>,
    ) -> ImageExamples {
        let images = |ids: &[SampleId]| {
            let (height, width, channels) = self.params.image_shape;
            let mut images = Array4::zeros((ids.len(), height, width, channels));
            for (mut image, row) in images.outer_iter_mut().zip(examples(ids).rows()) {
                image.assign(&spread(&self.image(&row), (0.0, 255.0)));
            }
            images
        };
        let [covered_true, covered_false] = &prefix.examples;
        ImageExamples {
            covered_true: images(covered_true),
            covered_false: images(covered_false),
            uncovered_true: images(&[]),
            uncovered_false: images(&[]),
        }
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
        same_shape("the input", &[self.width()], x.shape())?;
        all_finite("the input", x)?;
        self.check_dtype("image", x.iter())
    }

    fn compute(&self, model: BlackBox<'_>, x: &Row, run: &mut Run<'_>) -> Result<AnchorImageData> {
        let model = model.predictor();
        let settings = self.params.settings();
        let image = self.image(x);
        let segments = self.generate_superpixels(&image)?;
        let superpixels = superpixels(&segments, self.params.image_shape.2);
        let means;
        let replacements = match &self.background {
            Some(background) => background,
            None => {
                means = mean_colors(x, &superpixels, &self.params);
                &means
            }
        };
        let changes = |&id: &usize| !is_identity(x, &superpixels[id], replacements);
        let changeable = (0..superpixels.len()).filter(changes).collect();
        let cut = Split { image, segments, superpixels, changeable };
        let held: Vec<&Superpixel> =
            cut.changeable.iter().map(|&id| &cut.superpixels[id]).collect();
        let source = Source {
            x: cut.image.as_slice().expect("a row laid out as an image"),
            replacements,
            held: &held,
            p_sample: self.params.p_sample,
            coverage_samples: self.params.coverage_samples,
            output: &self.params.output,
            semantics: self.params.semantics,
        };
        let mut perturbations = Perturbations::new(source, model, run.seed());
        let before = run.queries();
        let decision = perturbations.decide(settings.min_samples_start, run)?;
        let outcome = Search::new(&settings, &mut perturbations, run).run()?;
        let queries = outcome.queries(run.queries() - before);
        let examples = |ids: &[SampleId]| perturbations.examples(ids);
        self.warn(&cut.segments, &cut.unchangeable(), &outcome, run);
        self.data(&cut, decision, outcome, queries, &examples)
    }
}
