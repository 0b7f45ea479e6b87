//! The settings of AnchorImage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, Rows, Semantics, require};

use super::explainer::AnchorImage;
use super::segmentation::Segmentation;
use crate::bandit::Exploration;
use crate::output::Output;
use crate::search::Settings;

/// Settings of [`AnchorImage`]. Names follow alibi where it has the parameter; the symbols are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnchorImageParams {
    /// The shape of an image, `(height, width, channels)`, each at least 1; a row holds its numbers pixel after pixel,
    /// row by row, the channels of a pixel together. Required: the default `(0, 0, 0)` is refused.
    pub image_shape: (usize, usize, usize),
    /// What the numbers of an image are. Default `"float"`.
    pub dtype: Dtype,
    /// How an image is cut into superpixels. Default `{"slic": {}}`, with about ten of them.
    pub segmentation_fn: Segmentation,
    /// The probability with which a superpixel that the anchor does not hold is perturbed, in `(0, 1]`. Default 0.5.
    pub p_sample: f64,
    /// The precision that an anchor must have, in `(0, 1]`. Symbol tau. Default 0.95.
    pub threshold: f64,
    /// The risk of a wrong confidence bound, in `(0, 1)`: of the validity test, of the certificate and of all
    /// intervals. Symbol delta. Default 0.1.
    pub delta: f64,
    /// How much less precise than the best of its size a chosen anchor may be, in `(0, 1]`. Symbol epsilon.
    /// Default 0.15.
    pub tau: f64,
    /// How wide the bounds are that decide which anchors are extended. [`Proved`](Exploration::Proved) with the
    /// reference semantics. Default `"practical"`.
    pub exploration: Exploration,
    /// Perturbations of an anchor in one request, `1..=2^24`. Default 100.
    pub batch_size: usize,
    /// Masks of the coverage set, which only the reference semantics draw, `1..=2^24`: else coverage is known.
    /// Default 10,000.
    pub coverage_samples: usize,
    /// How many anchors of each size are extended, `1..=2^24`. Symbol B. Default 1.
    pub beam_size: usize,
    /// Whether to stop at the first valid anchor, which has the fewest superpixels. Default false.
    pub stop_on_first: bool,
    /// The most superpixels of an anchor, at least 1. Default `None`: as many as there are.
    pub max_anchor_size: Option<usize>,
    /// Perturbations for the first look at the empty anchor, `1..=2^24`. Default 100.
    pub min_samples_start: usize,
    /// The most examples to show of each partial anchor and each outcome. Each is an image of numbers, so that 0 keeps
    /// the explanation of a large image small. Default 10.
    pub n_covered_ex: usize,
    /// An anchor is valid when its precision so far reaches the threshold and the lower bound of the precision is
    /// above the threshold minus this; in `(0, threshold]`. Default 0.05.
    pub epsilon_stop: f64,
    /// Room for samples in batches, at least 1. It has no effect: the log of samples grows as needed, at a bit for each
    /// superpixel and sample. Default 10,000.
    pub binary_cache_size: usize,
    /// The room that alibi keeps free. It has no effect. Default 1,000.
    pub cache_margin: usize,
    /// Whether to keep the steps of the bandit in the explanation, as `trace`. Default false.
    pub verbose: bool,
    /// With `verbose`, keep every so manieth step, at least 1. Default 1.
    pub verbose_every: usize,
    /// Whether an anchor is returned as found only when its certificate clears the threshold: then its precision is at
    /// least the threshold with probability `1 - delta`. Default false.
    pub strict: bool,
    /// Fresh perturbations for the certificate, `0..=2^24`; 0 for no certificate. Default 1,000.
    pub final_samples: usize,
    /// The most perturbations that the search may draw, without those of the certificate, at least
    /// `min_samples_start`. Default 1,000,000.
    pub max_samples: u64,
    /// Whether anchors that are not the most precise of their size are tested too, until one is valid. Default true.
    pub coverage_sweep: bool,
    /// How much more a longer anchor must cover than the best so far, finite and at least 0. A longer anchor of
    /// superpixels covers less, so that this plays no part. Default 0.2.
    pub coverage_gain: f64,
    /// How many candidates to show: the valid ones of largest coverage, then those that no other beats both in
    /// precision and in coverage. Default 0.
    pub top_k: usize,
    /// How the model's outputs are read. Default `"auto"`: the class of the largest of several columns, or one column
    /// of labels.
    pub output: Output,
    /// [`Reference`](Semantics::Reference) follows alibi where it differs: coverage from masks of probability 0.5
    /// whatever `p_sample` is, means of whole numbers cut and not rounded, and the rules of the search named in
    /// [`AnchorTabularParams`](crate::AnchorTabularParams). Default `"native"`.
    pub semantics: Semantics,
}

/// What the numbers of an image are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// Any finite numbers; segmentation takes them as they are, so that colours should be in `[0, 1]`.
    #[default]
    Float,
    /// Whole numbers of `0..=255`, which the model is asked about as such: means are rounded to the nearest of them,
    /// halves up. Segmentation divides by 255.
    U8,
}

impl Default for AnchorImageParams {
    fn default() -> Self {
        AnchorImageParams {
            image_shape: (0, 0, 0),
            dtype: Dtype::Float,
            segmentation_fn: Segmentation::default(),
            p_sample: 0.5,
            threshold: 0.95,
            delta: 0.1,
            tau: 0.15,
            exploration: Exploration::Practical,
            batch_size: 100,
            coverage_samples: 10_000,
            beam_size: 1,
            stop_on_first: false,
            max_anchor_size: None,
            min_samples_start: 100,
            n_covered_ex: 10,
            epsilon_stop: 0.05,
            binary_cache_size: 10_000,
            cache_margin: 1000,
            verbose: false,
            verbose_every: 1,
            strict: false,
            final_samples: 1000,
            max_samples: 1_000_000,
            coverage_sweep: true,
            coverage_gain: 0.2,
            top_k: 0,
            output: Output::Auto,
            semantics: Semantics::Native,
        }
    }
}

impl Params for AnchorImageParams {
    fn validate(&self) -> Result<(), ParamError> {
        let shape = self.image_shape;
        let numbers = shape.0.checked_mul(shape.1).and_then(|pixels| pixels.checked_mul(shape.2));
        let allowed = numbers.is_some_and(|numbers| 0 < numbers);
        require(allowed, "image_shape", "a height, a width and channels of at least 1", shape)?;
        self.segmentation_fn.validate()?;
        if let Segmentation::Quickshift(_) = self.segmentation_fn {
            let rule = "of 1 or 3 channels for quickshift";
            require(matches!(shape.2, 1 | 3), "image_shape", rule, shape)?;
        }
        let p = self.p_sample;
        require(0.0 < p && p <= 1.0, "p_sample", "above 0 and at most 1", p)?;
        self.settings().validate()?;
        let samples = self.coverage_samples;
        let rule = "at least 1 and at most 2^24";
        require((1..=1 << 24).contains(&samples), "coverage_samples", rule, samples)?;
        require(1 <= self.binary_cache_size, "binary_cache_size", "at least 1", 0)?;
        self.output.validate()
    }
}

impl AnchorImageParams {
    /// The method for images of one shape. There is nothing to fit.
    ///
    /// Without a `background` perturbed superpixels take their mean colour. With one, shape
    /// `(n_images, height * width * channels)`, they take the pixels of one of its images, drawn for each perturbation;
    /// alibi calls it `images_background`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range or a background without images,
    /// [`Error::Shape`](xai_core::Error::Shape) for a background or custom labels of another shape than the image,
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) for a pixel of the background.
    ///
    /// # Cost
    /// No model queries; memory for the background.
    pub fn build(self, background: Option<&Rows>) -> Result<AnchorImage> {
        AnchorImage::new(self.check()?, background.map(|rows| rows.to_owned()))
    }

    pub(crate) fn settings(&self) -> Settings {
        let native = self.semantics == Semantics::Native;
        Settings {
            threshold: self.threshold,
            delta: self.delta,
            tau: self.tau,
            exploration: if native { self.exploration } else { Exploration::Proved },
            batch_size: self.batch_size,
            beam_size: self.beam_size,
            stop_on_first: self.stop_on_first,
            max_anchor_size: self.max_anchor_size,
            min_samples_start: self.min_samples_start,
            epsilon_stop: self.epsilon_stop,
            max_samples: self.max_samples,
            coverage_sweep: self.coverage_sweep && native,
            coverage_gain: if native { self.coverage_gain } else { 0.0 },
            strict: self.strict,
            final_samples: self.final_samples,
            top_k: self.top_k,
            n_covered_ex: self.n_covered_ex,
            verbose: self.verbose,
            verbose_every: self.verbose_every,
            semantics: self.semantics,
        }
    }
}
