//! KernelSHAP: the value of a coalition, the choice of coalitions, the Shapley values.

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::tabular::{Features, IntoFeatures};
use xai_core::{
    BlackBox, Error, Explainer, MethodInfo, ModelKind, Output, OutputNames, Params, Predictor,
    Reading, Result, Row, Rows, Run, Semantics, Valid, same_shape,
};

use crate::background::Background;
use crate::background_rows::BackgroundRows;
use crate::data::KernelShapData;
use crate::designs::Designs;
use crate::native::Native;
use crate::params::{KernelShapParams, Task};
use crate::reference::Reference;
use crate::rows::check_rows;
use crate::session::{Answer, Rules, Session, drive};
use crate::summary::summarise;
use crate::uncertainty::{Influences, Uncertainty};

/// Shapley values of any model, fitted to a background. Made by [`KernelShapParams::fit`].
///
/// # Cost
/// For an instance with `M` varying features and `N` background rows, exact values cost at most
/// `1 + sum over background rows of 2^(features that differ from the instance)` queries (where that is 2^18 or more, up
/// to `2^18 + 2 N` besides, for an answer before the end), and sampled values at most `1 + N * (n_coalitions + 2)`.
/// Rows that coincide are asked for once. Instances explained in one call share the model's batches.
///
/// # Source
/// Lundberg & Lee 2017, "A unified approach to interpreting model predictions", with the value
/// `v(z) = link(sum_i w_i f(x on z, background row i elsewhere))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct KernelShap {
    params: Valid<KernelShapParams>,
    features: Features,
    background: BackgroundRows,
    /// The weights of a background that is a summary; those of one that is not are in `params`.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_weights: Option<Vec<f64>>,
    #[serde(skip)]
    derived: Background,
}

/// What is kept of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<KernelShapParams>,
    features: Features,
    background: BackgroundRows,
    summary_weights: Option<Vec<f64>>,
}

impl TryFrom<Saved> for KernelShap {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let Saved { params, features, background, summary_weights } = saved;
        KernelShap::new(params, background, summary_weights, features)
    }
}

impl KernelShapParams {
    /// Fits the explainer to background rows: no model call, a copy of the rows.
    ///
    /// `background` has shape `(n_background, n_columns)` and stands for "the feature is absent": absent features take
    /// their values from its rows, weighted by [`weights`](Self::weights). Some 100 rows serve most models;
    /// [`summarise_background`](Self::summarise_background) makes them of more.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range or groups and weights that do not fit the
    /// table; [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) and
    /// [`Error::Category`](xai_core::Error::Category) for rows that do not fit `features`.
    pub fn fit(self, background: &Rows, features: impl IntoFeatures) -> Result<KernelShap> {
        // Rows are copied whole, so they must lie whole in memory.
        let background = background.to_owned().as_standard_layout().into_owned();
        KernelShap::fit(self.check()?, BackgroundRows::Dense(background), features.into_features()?)
    }
}

impl KernelShap {
    /// Summarises the background as `params` say; a saved explainer keeps the summary.
    pub(crate) fn fit(
        params: Valid<KernelShapParams>,
        background: BackgroundRows,
        features: Features,
    ) -> Result<Self> {
        match summarise(&params, &background, &features)? {
            Some((summary, weights)) => KernelShap::new(params, summary, Some(weights), features),
            None => KernelShap::new(params, background, None, features),
        }
    }

    fn new(
        params: Valid<KernelShapParams>,
        background: BackgroundRows,
        summary_weights: Option<Vec<f64>>,
        features: Features,
    ) -> Result<Self> {
        let weights = summary_weights.as_deref().or(params.weights.as_deref());
        let derived = Background::new(&params, &background, weights, &features)?;
        Ok(KernelShap { params, features, background, summary_weights, derived })
    }

    /// The settings it was fitted with.
    #[must_use]
    pub fn params(&self) -> &KernelShapParams {
        &self.params
    }

    /// The table it was fitted to.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Names of the players, in the order of the Shapley values.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.derived.names
    }

    /// Number of background rows in use: distinct ones with weight, of the summary where there is one.
    #[must_use]
    pub fn n_background(&self) -> usize {
        self.derived.rows.n_rows()
    }
}

impl Explainer for KernelShap {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = KernelShapData;
    const INFO: MethodInfo =
        MethodInfo { name: "kernel-shap", kind: ModelKind::BlackBox, scope: &["local", "global"] };

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn task(&self) -> Option<String> {
        Some(match self.params.task {
            Task::Classification => "classification".to_owned(),
            Task::Regression => "regression".to_owned(),
        })
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.features.n_columns()], x.shape())?;
        let rows = x.view().insert_axis(Axis(0));
        check_rows("the input", self.params.allow_missing, &self.features, &rows).map_err(|error| {
            match error {
                Error::NotFinite { what, at, value } => {
                    Error::NotFinite { what, at: at[1..].to_vec(), value }
                }
                other => other,
            }
        })
    }

    /// Rows of a small game would leave most of a call empty.
    const MAX_BATCH: usize = 32;

    fn compute(&self, model: BlackBox<'_>, x: &Row, run: &mut Run<'_>) -> Result<KernelShapData> {
        let mut computed = self.compute_batch(model, &[x], std::slice::from_mut(run))?;
        computed.pop().expect("one result for one input")
    }

    fn compute_batch(
        &self,
        model: BlackBox<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<KernelShapData>>> {
        let model = model.predictor();
        let rules: &dyn Rules = match self.params.semantics {
            Semantics::Native => &Native,
            Semantics::Reference => &Reference,
        };
        let mut designs = Designs::new(self.params.share_design);
        let mut results = Vec::with_capacity(inputs.len());
        let mut first = 0;
        while first < inputs.len() {
            // Games that fill calls by themselves gain nothing from others, whose memory would stand in the way.
            let (mut sessions, mut rows) = (Vec::new(), 0);
            while rows < FILLING && first + sessions.len() < inputs.len() {
                let next = first + sessions.len();
                let (x, run) = (inputs[next], &mut runs[next]);
                let params = &self.params;
                let session = Session::new(rules, params, &self.derived, x, &mut designs, run);
                rows += session.as_ref().map_or(0, Session::most_rows);
                sessions.push(session);
            }
            let together = first..first + sessions.len();
            drive(&mut sessions, model, &mut runs[together.clone()])?;
            let inputs = inputs[together.clone()].iter().zip(&mut runs[together.clone()]);
            for (session, (x, run)) in sessions.into_iter().zip(inputs) {
                results.push(session.and_then(|session| {
                    let sums = self.derived.sums(&session.game.players);
                    let answer = session.finish(run)?;
                    self.data(model, x, &sums, answer, run)
                }));
            }
            first = together.end;
        }
        Ok(results)
    }
}

/// Rows that fill the calls of a wave for most models.
const FILLING: u64 = 4096;

impl KernelShap {
    /// From players to the features that are reported: `sums` holds the players of each, none for a feature that does
    /// not vary, whose value is 0, exactly.
    fn data(
        &self,
        model: &dyn Predictor,
        x: &Row,
        sums: &[Vec<usize>],
        answer: Answer,
        run: &mut Run<'_>,
    ) -> Result<KernelShapData> {
        let Answer { found, estimator, stop, at_x, too_few } = answer;
        let params = &self.params;
        let prediction = self.prediction(model, &at_x, run)?;
        let output_names = output_names(model, at_x.len());
        let mut raw_prediction = at_x.insert_axis(Axis(0));
        params.link.apply(&mut raw_prediction, params.link_epsilon, run)?;
        if too_few {
            let message = format!(
                "{} coalitions of {} players are too few for standard errors",
                found.n_coalitions,
                found.values.ncols()
            );
            run.warn("shap.no_standard_errors", message);
        }
        let values = add_up(&found.values, sums);
        let influences = found.influences.as_ref().map(|outputs| {
            let of_features = outputs.iter().map(|influences| influences.of_sums(sums));
            of_features.collect::<Vec<Influences>>()
        });
        let uncertainty = influences.map(|outputs| Uncertainty::new(&values, &outputs, params));
        let uncertainty = uncertainty.unwrap_or_default();
        let background_error = found.background.map(|parts| {
            let squares = |part: &Array2<f64>| add_up(part, sums).mapv(|share| share * share);
            let start = Array2::zeros(values.dim());
            parts.iter().fold(start, |sum, part| sum + squares(part)).mapv_into(f64::sqrt)
        });
        Ok(KernelShapData {
            shap_values: values,
            expected_value: found.expected_value,
            standard_errors: uncertainty.standard_errors,
            confidence_intervals: uncertainty.intervals,
            background_error,
            ranking: uncertainty.ranking,
            estimator,
            exact: found.exact,
            n_coalitions: found.n_coalitions,
            stop,
            selected: found.selected,
            feature_names: self.derived.names.clone(),
            feature_values: self.derived.reported_values(&self.features, x),
            categorical_names: self.features.categorical_names(),
            output_names,
            raw_prediction: raw_prediction.row(0).to_owned(),
            prediction,
            instance: x.to_owned(),
        })
    }

    /// The model's decision for the instance, from its outputs there; `None` where it has none.
    fn prediction(
        &self,
        model: &dyn Predictor,
        at_x: &Row,
        run: &mut Run<'_>,
    ) -> Result<Option<i64>> {
        if self.params.task == Task::Regression {
            return Ok(None);
        }
        let reading = Reading::new(&self.params.output, model.output(), at_x)?;
        run.record_output(&reading);
        if matches!(reading.meaning(), Output::Score | Output::Within { .. }) {
            return Ok(None);
        }
        Ok(Some(whole(reading.decision(at_x)?)))
    }
}

#[allow(clippy::cast_possible_truncation, reason = "decisions are whole numbers below 2^53")]
fn whole(decision: f64) -> i64 {
    decision as i64
}

/// The name of each output, its index where the model has none.
fn output_names(model: &dyn Predictor, n_outputs: usize) -> Vec<String> {
    let names = OutputNames::new(model.class_names().unwrap_or_default());
    let name = |output: usize| {
        names.given(output, n_outputs).map_or_else(|| output.to_string(), str::to_owned)
    };
    (0..n_outputs).map(name).collect()
}

/// Sums of columns, one for each list.
fn add_up(values: &Rows, sums: &[Vec<usize>]) -> Array2<f64> {
    let mut added = Array2::zeros((values.nrows(), sums.len()));
    for (mut column, players) in added.columns_mut().into_iter().zip(sums) {
        players.iter().for_each(|&player| column += &values.column(player));
    }
    added
}
