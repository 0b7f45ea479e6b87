//! KernelSHAP: the value of a coalition, the choice of coalitions, the Shapley values.

use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::{
    BlackBox, Error, Explainer, MethodInfo, ModelKind, Result, Row, Rows, Run, Stop, Valid,
    same_shape,
};

use crate::background::{Background, check_rows};
use crate::background_rows::BackgroundRows;
use crate::data::{KernelShapData, Raw, UsedEstimator};
use crate::designs::Designs;
use crate::params::{KernelShapParams, Task};
use crate::session::{Answer, Session, drive};
use crate::summary::summarise;
use crate::uncertainty::{Influences, intervals};

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
        check_rows("the input", &self.params, &self.features, &rows).map_err(|error| match error {
            Error::NotFinite { what, at, value } => {
                Error::NotFinite { what, at: at[1..].to_vec(), value }
            }
            other => other,
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
        let mut designs = Designs::new(self.params.share_design);
        let mut results = Vec::with_capacity(inputs.len());
        let mut first = 0;
        while first < inputs.len() {
            // Games that fill calls by themselves gain nothing from others, whose memory would stand in the way.
            let (mut sessions, mut rows) = (Vec::new(), 0);
            while rows < FILLING && first + sessions.len() < inputs.len() {
                let next = first + sessions.len();
                let (x, run) = (inputs[next], &mut runs[next]);
                let session = Session::new(&self.params, &self.derived, x, &mut designs, run);
                rows += session.as_ref().map_or(0, Session::most_rows);
                sessions.push(session);
            }
            let together = first..first + sessions.len();
            drive(&mut sessions, model, &mut runs[together.clone()])?;
            let own = inputs[together.clone()].iter().zip(&mut runs[together.clone()]);
            for (session, (x, run)) in sessions.into_iter().zip(own) {
                results.push(session.and_then(|session| {
                    let sums = self.derived.sums(&session.game.players);
                    let found = session.finish(run)?;
                    self.data(x, &sums, found, run)
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
        x: &Row,
        sums: &[Vec<usize>],
        answer: Answer,
        run: &mut Run<'_>,
    ) -> Result<KernelShapData> {
        let Answer { found, estimator, stop, at_x } = answer;
        let params = &self.params;
        let mut raw_prediction = at_x.insert_axis(Axis(0));
        params.link.apply(&mut raw_prediction, params.link_epsilon, run)?;
        let raw_prediction = raw_prediction.row(0).to_owned();
        let classes = params.task == Task::Classification && 1 < raw_prediction.len();
        let values = add_up(&found.values, sums);
        let influences: Option<Vec<Influences>> =
            found.influences.map(|outputs| outputs.iter().map(|own| own.of_sums(sums)).collect());
        if influences.is_none() && estimator != UsedEstimator::Reference {
            let message = format!(
                "{} coalitions of {} players are too few for standard errors",
                found.n_coalitions,
                found.values.ncols()
            );
            run.warn("shap.no_standard_errors", message);
        }
        let standard_errors = influences.as_ref().map(|outputs| {
            let mut errors = Array2::zeros(values.dim());
            for (mut row, own) in errors.rows_mut().into_iter().zip(outputs) {
                row.assign(&own.standard_errors());
            }
            errors
        });
        let confidence_intervals = influences
            .as_ref()
            .zip(standard_errors.as_ref())
            .map(|(outputs, errors)| intervals(&values, errors, outputs, params.confidence));
        let ranking = influences.as_ref().filter(|_| 0 < params.top_k).map(|outputs| {
            let rank = |(own, values): (&Influences, _)| {
                own.ranking(&values, params.top_k, params.confidence)
            };
            outputs
                .iter()
                .zip(values.rows().into_iter().map(|row| row.to_owned()))
                .map(rank)
                .collect()
        });
        let background_error = found.background.map(|parts| {
            let squares = |part: &Array2<f64>| add_up(part, sums).mapv(|share| share * share);
            let start = Array2::zeros(values.dim());
            parts.iter().fold(start, |sum, part| sum + squares(part)).mapv_into(f64::sqrt)
        });
        Ok(KernelShapData {
            shap_values: values,
            expected_value: found.expected_value,
            standard_errors,
            confidence_intervals,
            background_error,
            ranking,
            estimator,
            exact: found.exact,
            converged: stop == Stop::Converged,
            n_coalitions: found.n_coalitions,
            stop,
            selected: found.selected,
            feature_names: self.derived.names.clone(),
            feature_values: self.derived.reported_values(&self.features, x),
            categorical_names: self.features.categorical_names(),
            raw: Raw {
                prediction: classes.then(|| largest(&raw_prediction)),
                raw_prediction,
                instance: x.to_owned(),
            },
        })
    }
}

/// Sums of columns, one for each list.
fn add_up(values: &Rows, sums: &[Vec<usize>]) -> Array2<f64> {
    let mut added = Array2::zeros((values.nrows(), sums.len()));
    for (mut column, players) in added.columns_mut().into_iter().zip(sums) {
        players.iter().for_each(|&player| column += &values.column(player));
    }
    added
}

/// The index of the largest number, the first of equals.
fn largest(values: &Array1<f64>) -> usize {
    (1..values.len()).fold(0, |best, index| if values[best] < values[index] { index } else { best })
}
