//! The settings of prototype counterfactuals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::check_shape;
use xai_core::tabular::IntoFeatures;
use xai_core::tabular::discretizer::QUARTILES;
use xai_core::{Output, ParamError, Params, PerFeature, Result, Rows, Run, Semantics, require};
use xai_optim::{GradientSearchParams, NoUnknownKeys};

use crate::distance::{DistanceType, Smoothing};
use crate::explainer::CfProto;
use crate::model::CfProtoModel;
use crate::neighbors::Spread;
use crate::reference;
use crate::rules::{Rules, rules};
use crate::scaling::Scaling;
use crate::trust::TrustScoreParams;

/// Settings of [`CfProto`]. Names follow alibi's `CounterfactualProto` where it has the parameter; those of its `fit` and
/// `explain` are here too.
///
/// A setting by feature has one number for each feature of the table, a category counting as one feature in any layout.
/// With the reference semantics `patience`, `polish`, `sparsify` and `fallback` of the search are without effect, and
/// `constraints` are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = xai_optim::close_schema)]
#[non_exhaustive]
pub struct CfProtoParams {
    /// The shape of an instance that is an image, `[height, width]` or `[height, width, channels]`; a row holds its
    /// pixels in this order. For the figure alone. Default `None`: a row of a table.
    pub shape: Option<Vec<usize>>,
    /// How far a wanted class must be ahead of the instance's class, in the unit of the outputs, finite and at least 0.
    /// Default 0: at all.
    pub kappa: f64,
    /// The weight of absolute changes beside squared ones, finite and at least 0. Default 0.1.
    pub beta: f64,
    /// The least and the largest value by feature, finite, the first at most the second. For categorical features the
    /// range of their numbers. Default `None`: without categorical features from -1e10 to 1e10; with them -1 to 1 for each,
    /// and the range of the training rows for quantities.
    pub feature_range: Option<(PerFeature, PerFeature)>,
    /// The weight of the autoencoder's squared reconstruction error, finite and at least 0; above 0 an autoencoder is
    /// needed. Default 0.
    pub gamma: f64,
    /// The weight of the squared distance from the prototype, finite and at least 0; above 0 an encoder or `use_kdtree` is
    /// needed. Default 0.
    pub theta: f64,
    /// Whether prototypes are training rows, where there is no encoder. Default false.
    pub use_kdtree: bool,
    /// Steps of numeric derivatives, finite and above 0: by the probabilities, for the reference semantics, whose answer
    /// does not depend on it; and by the features, half the distance of the two rows that are compared. Default `None`: a
    /// thousandth of the feature's range where that is at most 1e6 wide, else 0.001; with the reference semantics 0.001.
    pub eps: Option<(PerFeature, PerFeature)>,
    /// Gradients are cut to this range, feature by feature; the first is below the second. Default (-1000, 1000).
    pub clip: (f64, f64),
    /// A black box is differentiated every so many steps, at least 1. Default 1.
    pub update_num_grad: usize,
    /// What leaves training rows out of the prototypes, and how rows are compared. Default: none, Euclidean.
    pub trustscore_kwargs: TrustScoreParams,
    /// Where the distances of categories come from. Default `"abdm"`.
    pub d_type: DistanceType,
    /// The weight of the first distance in `"abdm-mvdm"`, in `[0, 1]`, and for no other type. Default `None`.
    pub w: Option<f64>,
    /// The percentiles at which quantities are cut into bins for `"abdm"`, each in `[0, 100]`, at least one.
    /// Default 25, 50, 75.
    pub disc_perc: Vec<f64>,
    /// How values count that never occur with a category. Default `None`: half a count for each, nothing with the
    /// reference semantics.
    pub smoothing: Option<Smoothing>,
    /// The power of the distances, in `(0, 1]`; below 1 it evens out the features. Default 1.
    pub smooth: f64,
    /// Whether the numbers of a category lie around 0. Default true.
    pub center: bool,
    /// Whether the numbers of each categorical feature get mean 0 and standard deviation 1, instead of sharing one range.
    /// Default false.
    pub standardize_cat_vars: bool,
    /// Whether the range of a categorical feature becomes that of its numbers. Default true.
    pub update_feature_range: bool,
    /// The instance's class. Default `None`: the one the model says.
    pub instance_class: Option<usize>,
    /// The classes that a counterfactual may have, at least one. Default `None`: all but the instance's.
    pub target_class: Option<Vec<usize>>,
    /// Neighbors that a prototype is made of, at least 1. Default `None`: 1 for training rows, the whole class for
    /// encodings.
    pub k: Option<usize>,
    /// The distance that chooses among classes when `k` encodings stand for each: the mean of theirs, or that of the
    /// `k`-th. Default `"mean"`.
    pub k_type: Spread,
    /// How many times farther a counterfactual must be from the instance's class than from its own, finite and at least 0;
    /// above 0 an encoder or `use_kdtree` is needed. Default 0: no minimum.
    pub threshold: f64,
    /// Whether steps have momentum. Default true.
    pub momentum: bool,
    /// [`Reference`](Semantics::Reference) gives the thresholds, order, gradients and numbers of categories of alibi.
    /// Default `"native"`.
    pub semantics: Semantics,
    /// The settings of the search, which in JSON stand among the others. `c_init = 0` with `c_steps = 1` is a search without
    /// an attack loss.
    #[serde(flatten, deserialize_with = "GradientSearchParams::read_elastic_net")]
    pub search: GradientSearchParams,
    #[serde(flatten, skip_serializing)]
    #[schemars(skip)]
    unknown: NoUnknownKeys<CfProtoParams>,
}

xai_core::setters! { CfProtoParams {
    with_shape => shape: Option<Vec<usize>>,
    with_kappa => kappa: f64,
    with_beta => beta: f64,
    with_feature_range => feature_range: Option<(PerFeature, PerFeature)>,
    with_gamma => gamma: f64,
    with_theta => theta: f64,
    with_use_kdtree => use_kdtree: bool,
    with_eps => eps: Option<(PerFeature, PerFeature)>,
    with_clip => clip: (f64, f64),
    with_update_num_grad => update_num_grad: usize,
    with_trustscore_kwargs => trustscore_kwargs: TrustScoreParams,
    with_d_type => d_type: DistanceType,
    with_w => w: Option<f64>,
    with_disc_perc => disc_perc: Vec<f64>,
    with_smoothing => smoothing: Option<Smoothing>,
    with_smooth => smooth: f64,
    with_center => center: bool,
    with_standardize_cat_vars => standardize_cat_vars: bool,
    with_update_feature_range => update_feature_range: bool,
    with_instance_class => instance_class: Option<usize>,
    with_target_class => target_class: Option<Vec<usize>>,
    with_k => k: Option<usize>,
    with_k_type => k_type: Spread,
    with_threshold => threshold: f64,
    with_momentum => momentum: bool,
    with_semantics => semantics: Semantics,
} }
xai_optim::search_setters!(CfProtoParams);

impl Default for CfProtoParams {
    fn default() -> Self {
        CfProtoParams {
            shape: None,
            kappa: 0.0,
            beta: 0.1,
            feature_range: None,
            gamma: 0.0,
            theta: 0.0,
            use_kdtree: false,
            eps: None,
            clip: (-1000.0, 1000.0),
            update_num_grad: 1,
            trustscore_kwargs: TrustScoreParams::default(),
            d_type: DistanceType::Abdm,
            w: None,
            disc_perc: QUARTILES.to_vec(),
            smoothing: None,
            smooth: 1.0,
            center: true,
            standardize_cat_vars: false,
            update_feature_range: true,
            instance_class: None,
            target_class: None,
            k: None,
            k_type: Spread::Mean,
            threshold: 0.0,
            momentum: true,
            semantics: Semantics::Native,
            search: GradientSearchParams::elastic_net(),
            unknown: NoUnknownKeys::default(),
        }
    }
}

impl Params for CfProtoParams {
    fn validate(&self) -> Result<(), ParamError> {
        check_shape(self.shape.as_deref(), None)?;
        let weights = [
            ("kappa", self.kappa),
            ("beta", self.beta),
            ("gamma", self.gamma),
            ("theta", self.theta),
            ("threshold", self.threshold),
            ("c_init", self.search.c_init),
        ];
        for (name, weight) in weights {
            let allowed = (0.0..f64::INFINITY).contains(&weight);
            require(allowed, name, "finite and at least 0", weight)?;
        }
        let counts = [("update_num_grad", self.update_num_grad), ("k", self.k.unwrap_or(1))];
        for (name, count) in counts {
            require(0 < count, name, "at least 1", count)?;
        }
        self.search.validate()?;
        let attacks = 0.0 < self.search.c_init || self.search.c_steps == 1;
        require(attacks, "c_init", "above 0 unless `c_steps` is 1", self.search.c_init)?;
        if matches!(self.search.output, Output::Interval { .. }) {
            require(self.kappa == 0.0, "kappa", "0 for an `interval`", self.kappa)?;
        }
        if let Some((least, most)) = &self.feature_range {
            for value in least.values().iter().chain(most.values()) {
                require(value.is_finite(), "feature_range", "finite", value)?;
            }
        }
        let steps = self.eps.iter().flat_map(|(outputs, features)| [outputs, features]);
        for &eps in steps.flat_map(PerFeature::values) {
            require(0.0 < eps && eps < f64::INFINITY, "eps", "finite and above 0", eps)?;
        }
        require(self.clip.0 < self.clip.1, "clip", "ascending", self.clip)?;
        let blends = self.d_type == DistanceType::AbdmMvdm;
        require(!blends || self.w.is_some(), "w", "given for `d_type` = \"abdm-mvdm\"", self.w)?;
        require(
            blends || self.w.is_none(),
            "w",
            "left out unless `d_type` = \"abdm-mvdm\"",
            self.w,
        )?;
        let share = self.w.unwrap_or(0.0);
        require((0.0..=1.0).contains(&share), "w", "in [0, 1]", share)?;
        require(!self.disc_perc.is_empty(), "disc_perc", "at least one number", 0)?;
        for &percentile in &self.disc_perc {
            let allowed = (0.0..=100.0).contains(&percentile);
            require(allowed, "disc_perc", "in [0, 100]", percentile)?;
        }
        self.smoothing.unwrap_or_default().validate()?;
        self.scaling().validate()?;
        if let Some(targets) = &self.target_class {
            require(!targets.is_empty(), "target_class", "at least one class", 0)?;
        }
        self.trustscore_kwargs.validate()?;
        match self.semantics {
            Semantics::Native => Ok(()),
            Semantics::Reference => reference::validate(&self.search.constraints),
        }
    }
}

impl CfProtoParams {
    /// The rules that the method follows.
    pub(crate) fn rules(&self) -> &'static dyn Rules {
        rules(self.semantics)
    }

    /// How distances become numbers.
    pub(crate) fn scaling(&self) -> Scaling {
        let CfProtoParams { smooth, center, standardize_cat_vars, .. } = *self;
        Scaling { smooth, center, standardize_cat_vars }
    }

    /// Whether there is an attack loss.
    pub(crate) fn attacks(&self) -> bool {
        0.0 < self.search.c_init
    }

    /// Fits the method to training rows, shape `(n_rows, n_columns)`: asks the model for their classes and the encoder for
    /// their encodings, finds the numbers of categories, and keeps the rows by class.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range, one that does not fit the table or one
    /// that needs a model that is not there, before any of them is called; [`Error::Shape`](xai_core::Error::Shape),
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) and [`Error::Category`](xai_core::Error::Category) for the rows;
    /// those of the models.
    ///
    /// # Cost
    /// One query for each row, and one of the encoder where there is one; [`CfProto::fit_queries`] is their number.
    pub fn fit<'m>(
        self,
        model: impl Into<CfProtoModel<'m>>,
        train_data: &Rows,
        features: impl IntoFeatures,
        run: &mut Run<'_>,
    ) -> Result<CfProto> {
        CfProto::fit(self.check()?, model.into(), train_data, features.into_features()?, run)
    }

    /// Builds the method without training rows, for tables without categorical features and searches without prototypes.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range or one that needs training rows:
    /// `theta`, `threshold`, `use_kdtree`, or a categorical feature.
    pub fn build(self, features: impl IntoFeatures) -> Result<CfProto> {
        CfProto::build(self.check()?, features.into_features()?)
    }
}
