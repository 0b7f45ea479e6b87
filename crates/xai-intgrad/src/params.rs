//! The settings of integrated gradients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::IntoFeatures;
use xai_core::{AsJson, Output, ParamError, Params, Result, Semantics, require, setters};

use crate::baselines::Baselines;
use crate::explainer::IntegratedGradients;
use crate::layout::InputTensor;
use crate::quadrature::{MAX_POINTS, Method, nested};
use crate::semantics::conventions;
use crate::target::{self, Target};

/// Settings of [`IntegratedGradients`]. Names follow alibi, and captum where alibi lacks the parameter.
///
/// ```
/// use xai_intgrad::{Baselines, IntegratedGradientsParams, Target};
///
/// let params = IntegratedGradientsParams::default()
///     .with_target(Some(Target::Predicted))
///     .with_baselines(Baselines::Constant(0.5));
/// # let _ = params;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IntegratedGradientsParams {
    /// How the integral along the path is approximated. Default `"gauss-legendre"`.
    pub method: Method,
    /// Points on each path; for the least see [`Method`], at most 16384. With a `tolerance` the points of the first
    /// attempt, raised to an odd number of at least 3. Default 50.
    pub n_steps: usize,
    /// The most points of one call of the model, at least 1; `None` for all at once. Memory grows with it, the result does
    /// not depend on it. Default 100.
    pub internal_batch_size: Option<usize>,
    /// The output that is explained: an index, a position, the name of a class or `"predicted"`. Needed for a model with
    /// several outputs; for one with a single output the default is that output. Default `None`.
    pub target: Option<Target>,
    /// What the model's outputs mean: `"auto"`, `"classes"`, `"probability"` or `"score"`. Default `"auto"`.
    ///
    /// With a single probability the targets 0 and 1 are the two classes, 1 the output and 0 one minus it. With a single
    /// score the target is left out or 0.
    pub output: Output,
    /// Where the paths start. Default 0 everywhere.
    pub baselines: Baselines,
    /// The layer to attribute to, by a name the model knows; `None` for the inputs. Default `None`.
    pub layer: Option<String>,
    /// Whether the attributions are to the layer's inputs instead of its outputs. Without effect where there is no `layer`.
    /// Default false.
    pub attribute_to_layer_inputs: bool,
    /// The tensors at the layer in the order of its columns, all with attributions; needs a `layer`.
    /// Default: one of rank 1 with the layer's name.
    pub layer_tensors: Vec<InputTensor>,
    /// The tensors that a row holds, in the order of the columns, the ones without attributions (masks and other arguments
    /// of the model) among them. Default: one of rank 1, called `input`.
    pub inputs: Vec<InputTensor>,
    /// The shape of the model's output for one instance, whose numbers are the model's outputs in row-major order;
    /// numbers above 0. Default `None`: as many outputs as the model gives, on one axis.
    pub output_shape: Option<Vec<usize>>,
    /// Whether the mean gradient is multiplied by the difference of instance and baseline. Default true.
    pub multiply_by_inputs: bool,
    /// Refines each path until its gap is at most this part of the change of the output, finite and above 0. Takes
    /// `method = "clenshaw-curtis"`. Default `None`: `n_steps` points, whatever the gap.
    pub tolerance: Option<f64>,
    /// A gap that is small enough whatever the change of the output, in units of the output, finite and at least 0.
    /// Default 1e-6.
    pub absolute_tolerance: f64,
    /// The most points of a path that is refined, from `n_steps` to 16384. Default 1000.
    pub max_steps: usize,
    /// Attributions of noisy copies of the instance instead of those of the instance; not with a distribution of
    /// baselines, which has its `stdev`. Default `None`.
    pub noise_tunnel: Option<NoiseTunnel>,
    /// Whether to report the output at `n_steps + 1` equally spaced points of each path. Not with a distribution.
    /// Default false.
    pub curve: bool,
    /// [`Reference`](Semantics::Reference) repeats alibi's weights of the trapezoid and its deltas for models with one
    /// output. Default `"native"`.
    pub semantics: Semantics,
}

impl Default for IntegratedGradientsParams {
    fn default() -> Self {
        IntegratedGradientsParams {
            method: Method::GaussLegendre,
            n_steps: 50,
            internal_batch_size: Some(100),
            target: None,
            output: Output::Auto,
            baselines: Baselines::default(),
            layer: None,
            attribute_to_layer_inputs: false,
            layer_tensors: Vec::new(),
            inputs: Vec::new(),
            output_shape: None,
            multiply_by_inputs: true,
            tolerance: None,
            absolute_tolerance: 1e-6,
            max_steps: 1000,
            noise_tunnel: None,
            curve: false,
            semantics: Semantics::Native,
        }
    }
}

/// Attributions of noisy copies of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NoiseTunnel {
    /// What becomes of the attributions of the copies. Default `"smoothgrad"`.
    #[serde(rename = "type")]
    pub kind: NoiseKind,
    /// Copies, at least 2. Default 5.
    pub n_samples: usize,
    /// The standard deviation of the normal noise, in the units of the inputs, finite and above 0. Default 1.
    pub stdev: f64,
}

impl Default for NoiseTunnel {
    fn default() -> Self {
        NoiseTunnel { kind: NoiseKind::SmoothGrad, n_samples: 5, stdev: 1.0 }
    }
}

/// What becomes of the attributions of noisy copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum NoiseKind {
    /// Their mean.
    #[default]
    #[serde(rename = "smoothgrad")]
    SmoothGrad,
    /// The mean of their squares.
    #[serde(rename = "smoothgrad-sq")]
    SmoothGradSquare,
    /// The mean of their squares less the square of their mean.
    #[serde(rename = "vargrad")]
    VarGrad,
}

setters! { IntegratedGradientsParams {
    with_method => method: Method,
    with_n_steps => n_steps: usize,
    with_internal_batch_size => internal_batch_size: Option<usize>,
    with_target => target: Option<Target>,
    with_output => output: Output,
    with_baselines => baselines: Baselines,
    with_layer => layer: Option<String>,
    with_attribute_to_layer_inputs => attribute_to_layer_inputs: bool,
    with_layer_tensors => layer_tensors: Vec<InputTensor>,
    with_inputs => inputs: Vec<InputTensor>,
    with_output_shape => output_shape: Option<Vec<usize>>,
    with_multiply_by_inputs => multiply_by_inputs: bool,
    with_tolerance => tolerance: Option<f64>,
    with_absolute_tolerance => absolute_tolerance: f64,
    with_max_steps => max_steps: usize,
    with_noise_tunnel => noise_tunnel: Option<NoiseTunnel>,
    with_curve => curve: bool,
    with_semantics => semantics: Semantics,
} }

setters! { NoiseTunnel {
    with_kind => kind: NoiseKind,
    with_n_samples => n_samples: usize,
    with_stdev => stdev: f64,
} }

impl Params for IntegratedGradientsParams {
    fn validate(&self) -> Result<(), ParamError> {
        conventions(self.semantics).rule(self.method, self.n_steps)?;
        let batch = self.internal_batch_size;
        require(batch != Some(0), "internal_batch_size", "at least 1", batch)?;
        let is_number = matches!(
            self.output,
            Output::Auto | Output::Classes | Output::Probability | Output::Score
        );
        let rule = "`auto`, `classes`, `probability` or `score`: attributions are to a number of the output";
        require(is_number, "output", rule, self.output.to_string())?;
        self.baselines.validate()?;
        let tensors = &self.layer_tensors;
        let rule = "left out where there is no `layer`";
        require(
            tensors.is_empty() || self.layer.is_some(),
            "layer_tensors",
            rule,
            AsJson(tensors),
        )?;
        let rule = "attributed, all of them";
        require(
            tensors.iter().all(|tensor| tensor.attributed),
            "layer_tensors",
            rule,
            AsJson(tensors),
        )?;
        InputTensor::check("layer_tensors", tensors)?;
        InputTensor::check("inputs", &self.inputs)?;
        if let Some(shape) = &self.output_shape {
            let size = shape.iter().try_fold(1_usize, |size, &n| size.checked_mul(n));
            let sized = !shape.is_empty() && size.is_some_and(|size| 0 < size);
            require(sized, "output_shape", "a list of numbers above 0", shape)?;
            target::check(self.target.as_ref(), &self.output, shape)?;
        }
        self.validate_refinement()?;
        let distribution = matches!(self.baselines, Baselines::Distribution(_));
        if let Some(noise) = &self.noise_tunnel {
            let rule = "left out with a distribution of baselines, which has a `stdev`";
            require(!distribution, "noise_tunnel", rule, AsJson(noise))?;
            require(2 <= noise.n_samples, "n_samples", "at least 2", noise.n_samples)?;
            let allowed = 0.0 < noise.stdev && noise.stdev < f64::INFINITY;
            require(allowed, "stdev", "finite and above 0", noise.stdev)?;
        }
        require(
            !(distribution && self.curve),
            "curve",
            "false with a distribution of baselines",
            true,
        )
    }
}

impl IntegratedGradientsParams {
    fn validate_refinement(&self) -> Result<(), ParamError> {
        let allowed = (0.0..f64::INFINITY).contains(&self.absolute_tolerance);
        let given = self.absolute_tolerance;
        require(allowed, "absolute_tolerance", "finite and at least 0", given)?;
        let Some(tolerance) = self.tolerance else { return Ok(()) };
        let allowed = 0.0 < tolerance && tolerance < f64::INFINITY;
        require(allowed, "tolerance", "finite and above 0", tolerance)?;
        let rule = "left out unless `method` is \"clenshaw-curtis\", whose rules are nested";
        require(self.method == Method::ClenshawCurtis, "tolerance", rule, tolerance)?;
        let distribution = matches!(self.baselines, Baselines::Distribution(_));
        let rule = "left out with a distribution of baselines, which draws single points";
        require(!distribution, "tolerance", rule, tolerance)?;
        let first = nested(self.n_steps, self.n_steps)?[0].alphas.len();
        let allowed = (first..=MAX_POINTS).contains(&self.max_steps);
        let rule = || format!("in {first}..={MAX_POINTS}, at least as many as `n_steps`");
        require(allowed, "max_steps", rule(), self.max_steps)
    }

    /// Builds the explainer of a table's rows.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range,
    /// [`Error::Shape`](xai_core::Error::Shape) for `inputs` or baselines of another width.
    pub fn build(self, features: impl IntoFeatures) -> Result<IntegratedGradients> {
        IntegratedGradients::new(self.check()?, Some(features.into_features()?))
    }

    /// Builds the explainer of rows that hold the tensors of [`inputs`](Self::inputs), without names of features.
    ///
    /// # Errors
    /// As [`build`](Self::build); [`Error::Param`](xai_core::Error::Param) when there are no `inputs`.
    pub fn build_inputs(self) -> Result<IntegratedGradients> {
        let n_inputs = self.inputs.len();
        require(0 < n_inputs, "inputs", "at least one where there are no features", n_inputs)?;
        IntegratedGradients::new(self.check()?, None)
    }
}
