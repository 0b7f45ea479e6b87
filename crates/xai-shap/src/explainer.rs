//! KernelSHAP: the value of a coalition, the choice of coalitions, the Shapley values.

use ndarray::{Array1, Array2, Axis, s};
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::{
    About, Error, Explainer, Predictor, Result, Row, Run, Stop, Valid, require, same_shape,
};

use crate::background::{Background, check_rows, describe};
use crate::background_rows::BackgroundRows;
use crate::coalitions::Coalitions;
use crate::data::{KernelShapData, Raw};
use crate::design::{self, Stratum};
use crate::exact::{self, MAX_PLAYERS};
use crate::game::Game;
use crate::paired::{Estimate, Regression};
use crate::params::{Estimator, KernelShapParams, Task};
use crate::summary::summarise;

/// Shapley values of any model, fitted to a background. Made by [`KernelShapParams::fit`].
///
/// # Cost
/// For an instance with `M` varying features and `N` background rows, exact values cost at most
/// `1 + sum over background rows of 2^(features that differ from the instance)` queries, and paired values at most
/// `1 + N * (n_coalitions + 2)`. Rows that coincide are asked for once.
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
    type Model<'m> = dyn Predictor + 'm;
    type Data = KernelShapData;
    const ABOUT: About =
        About { name: "KernelShap", kind: &["blackbox"], scope: &["local", "global"] };

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

    fn compute(&self, model: &dyn Predictor, x: &Row, run: &mut Run<'_>) -> Result<KernelShapData> {
        let game = Game::new(&self.derived, x);
        let plan = self.plan(&game, run)?;
        let mut raw_prediction = run.predict(model, &x.view().insert_axis(Axis(0)))?;
        let at_x = raw_prediction.row(0).to_owned();
        let found = match plan.n_pairs {
            None => self.exact(&game, model, &at_x, run)?,
            Some(n_pairs) => self.paired(&game, model, n_pairs, &at_x, run)?,
        };
        self.params.link.apply(&mut raw_prediction, self.params.link_epsilon, run)?;
        let classes = self.params.task == Task::Classification && 1 < raw_prediction.ncols();
        let raw_prediction = raw_prediction.row(0).to_owned();
        let groups = &self.derived.groups;
        Ok(KernelShapData {
            shap_values: self.spread(&game, &found.estimate.values),
            expected_value: found.expected_value,
            standard_errors: found
                .estimate
                .standard_errors
                .map(|errors| self.spread(&game, &errors)),
            estimator: if plan.n_pairs.is_none() { Estimator::Exact } else { Estimator::Paired },
            exact: found.exact,
            n_coalitions: found.n_coalitions,
            stop: plan.stop,
            feature_names: self.derived.names.clone(),
            feature_values: groups.iter().map(|group| describe(&self.features, group, x)).collect(),
            categorical_names: self.features.categorical_names(),
            raw: Raw {
                prediction: classes.then(|| largest(&raw_prediction)),
                raw_prediction,
                instance: x.to_owned(),
            },
        })
    }
}

/// How an instance will be explained.
struct Plan {
    /// Pairs of coalitions to draw; `None` for all coalitions.
    n_pairs: Option<usize>,
    stop: Stop,
}

/// Values and what they cost.
struct Found {
    estimate: Estimate,
    expected_value: Array1<f64>,
    n_coalitions: u64,
    exact: bool,
}

impl KernelShap {
    /// Chooses the estimator within `nsamples` and the budget of queries, before any model call.
    fn plan(&self, game: &Game<'_>, run: &mut Run<'_>) -> Result<Plan> {
        let n_players = game.players.len();
        let nsamples = self.params.nsamples.resolve(n_players);
        let n_coalitions = if n_players <= MAX_PLAYERS {
            Some((1_usize << n_players).saturating_sub(2))
        } else {
            None
        };
        let within = n_coalitions.is_some_and(|all| all <= nsamples);
        let exact = match self.params.estimator {
            Estimator::Auto => within,
            Estimator::Exact => {
                let rule =
                    format!("\"auto\" or \"paired\" for more than {MAX_PLAYERS} varying features");
                require(
                    n_coalitions.is_some(),
                    "estimator",
                    rule,
                    format!("\"exact\" for {n_players}"),
                )?;
                true
            }
            Estimator::Paired => n_players < 2,
        };
        let affordable = run.queries_left().map(|left| left.saturating_sub(1));
        if exact && affordable.is_none_or(|left| game.cost_of_all() <= left) {
            return Ok(Plan { n_pairs: None, stop: Stop::Converged });
        }
        // Each background row may be asked for once per coalition; beside the drawn ones there is the empty one, and
        // the full one where that is not the instance.
        let n_background = game.n_background() as u64;
        let ends = if game.reaches_instance() { 1 } else { 2 };
        let funded = affordable.map(|left| {
            usize::try_from(left / n_background).unwrap_or(usize::MAX).saturating_sub(ends)
        });
        let wanted = if exact { n_coalitions.unwrap_or(nsamples) } else { nsamples };
        let n_samples = wanted.min(funded.unwrap_or(usize::MAX));
        let needed = 2 * n_players.saturating_sub(1);
        if wanted < needed {
            let (given, needed) = (nsamples as u64, needed as u64);
            return Err(Error::Budget { what: "nsamples", given, needed });
        }
        if n_samples < needed || n_players < 2 {
            let sampled = (needed + ends) as u64 * n_background + 1;
            let all = game.cost_of_all().saturating_add(1);
            return Err(Error::Budget {
                what: "the budget of queries",
                given: run.queries_left().unwrap_or_default(),
                needed: if exact { sampled.min(all) } else { sampled },
            });
        }
        let stop = if n_samples < wanted { Stop::Budget } else { Stop::Converged };
        if exact {
            run.warn(
                "shap.budget",
                "the budget of queries allows no exact values; they are sampled",
            );
        }
        Ok(Plan { n_pairs: Some(n_samples / 2), stop })
    }

    fn exact(
        &self,
        game: &Game<'_>,
        model: &dyn Predictor,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
    ) -> Result<Found> {
        let n_players = game.players.len();
        let mut worth = game.means(model, &Coalitions::all(n_players), at_x, run)?;
        self.params.link.apply(&mut worth, self.params.link_epsilon, run)?;
        let values = exact::shapley(&worth, n_players);
        let standard_errors = Some(Array2::zeros(values.dim()));
        Ok(Found {
            estimate: Estimate { values, standard_errors },
            expected_value: worth.column(0).to_owned(),
            n_coalitions: (1_u64 << n_players).saturating_sub(2),
            exact: true,
        })
    }

    fn paired(
        &self,
        game: &Game<'_>,
        model: &dyn Predictor,
        n_pairs: usize,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
    ) -> Result<Found> {
        let n_players = game.players.len();
        // For few players or pairs the single players carry most of the answer (and with them any design has full
        // rank); for many, proportional shares are better.
        let singles_first = n_players <= 16 || 2 * n_pairs < 3 * n_players;
        let prepare = |singles_first| {
            let design = design::paired(n_players, n_pairs, singles_first, run.seed());
            Ok((Regression::new(&design)?, design))
        };
        let (regression, design) = match prepare(singles_first) {
            Err(Error::Singular { .. }) if !singles_first => prepare(true)?,
            prepared => prepared?,
        };
        let mut ends = Coalitions::new(n_players);
        ends.push([]);
        ends.push_complement();
        let coalitions = ends.followed_by(&design.coalitions);
        let mut worth = game.means(model, &coalitions, at_x, run)?;
        self.params.link.apply(&mut worth, self.params.link_epsilon, run)?;
        let expected_value = worth.column(0).to_owned();
        let change = &worth.column(1) - &expected_value;
        let found = Found {
            estimate: regression.solve(&worth.slice(s![.., 2..]), &change),
            expected_value,
            n_coalitions: design.coalitions.len() as u64,
            exact: design.strata.iter().all(Stratum::exhausted),
        };
        if found.estimate.standard_errors.is_none() {
            let message = format!(
                "{n_pairs} pairs of coalitions for {n_players} players are too few for standard errors"
            );
            run.warn("shap.no_standard_errors", message);
        }
        Ok(found)
    }

    /// From players to all groups: those that do not vary have the value 0, exactly.
    fn spread(&self, game: &Game<'_>, of_players: &Array2<f64>) -> Array2<f64> {
        let mut of_groups = Array2::zeros((of_players.nrows(), self.derived.groups.len()));
        for (player, &group) in game.players.iter().enumerate() {
            of_groups.column_mut(group).assign(&of_players.column(player));
        }
        of_groups
    }
}

/// The index of the largest number, the first of equals.
fn largest(values: &Array1<f64>) -> usize {
    (1..values.len()).fold(0, |best, index| if values[best] < values[index] { index } else { best })
}
