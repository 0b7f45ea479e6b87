//! Which players a regression is for, chosen by lasso paths before it.

mod lars;
mod lasso;
mod rules;
mod system;

#[cfg(test)]
mod tests;

use ndarray::{Array1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{Error, ParamError, Result, Rows, require};

use crate::coalitions::Coalitions;
use lars::Walk;
use system::System;

pub(crate) use lars::Crossing;
pub(crate) use lasso::Descent;
pub(crate) use rules::{NativeSelection, SelectionRules, Units};

/// The rule that selects players before the regression; the others get the value 0.
///
/// Values of the selected players still add up to the change, but they are no Shapley values: the selected ones take
/// over what the others would have got. The rule looks at each output apart.
///
/// In JSON and TOML: `false` (or 0), `"auto"`, `"aic"`, `"bic"`, `"num_features(3)"`, or a positive number.
///
/// With the native semantics targets are in units of their standard deviation, and a change always leaves some player
/// to explain it; with the reference's the selection depends on the scale of the output and can leave none.
///
/// # Source
/// The parameter `l1_reg` of shap; Efron, Hastie, Johnstone & Tibshirani 2004, "Least angle regression"; for the
/// degrees of freedom in the criteria Zou, Hastie & Tibshirani 2007, "On the degrees of freedom of the lasso".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum L1Reg {
    /// Every player that varies. The default.
    #[default]
    Off,
    /// [`Aic`](Self::Aic) when less than a fifth of all coalitions is evaluated, [`Off`](Self::Off) otherwise.
    Auto,
    /// The lasso whose Akaike criterion is least.
    Aic,
    /// The lasso whose Bayesian criterion is least; it selects fewer players than [`Aic`](Self::Aic).
    Bic,
    /// The first so many players to enter least-angle regression, at least 1.
    NumFeatures(usize),
    /// The lasso with this penalty, above 0: half the mean squared residual plus the penalty times the sum of
    /// magnitudes. With the native semantics it is in units of the standard deviation of the coalitions' values.
    Alpha(f64),
}

/// Below this share of all coalitions `"auto"` selects.
const AUTO_FRACTION: f64 = 0.2;

impl L1Reg {
    /// Checks the range, as a part of the check of the parameters.
    pub(crate) fn check(self) -> Result<(), ParamError> {
        match self {
            L1Reg::NumFeatures(most) => {
                require(1 <= most, "l1_reg", "\"num_features(r)\" with r at least 1", most)
            }
            L1Reg::Alpha(alpha) => require(
                0.0 < alpha && alpha < f64::INFINITY,
                "l1_reg",
                "false, a rule, or a finite number above 0",
                alpha,
            ),
            L1Reg::Off | L1Reg::Auto | L1Reg::Aic | L1Reg::Bic => Ok(()),
        }
    }

    /// The rule for a game of whose coalitions this share is evaluated: never [`Auto`](Self::Auto).
    pub(crate) fn resolve(self, fraction_evaluated: f64) -> Self {
        match self {
            L1Reg::Auto if fraction_evaluated < AUTO_FRACTION => L1Reg::Aic,
            L1Reg::Auto => L1Reg::Off,
            rule => rule,
        }
    }
}

/// The players selected for each output; all of them by the rules [`L1Reg::Off`] and [`L1Reg::Auto`].
///
/// `effects` are `v(z_k) - v(empty)`, shape `(n_outputs, n_coalitions)`, `changes` are `v(all) - v(empty)`, and
/// `weights` the kernel weights of the coalitions. Of the `n_allocated` coalitions some may not be there; they count
/// as observations without weight. There are at least two players.
///
/// The players stand in the order that [`SelectionRules::complete`] gives them.
///
/// # Errors
/// [`Error::Budget`] when there are too few coalitions for the residual variance in a criterion;
/// [`Error::NotFinite`] for effects that are not finite.
///
/// # Cost
/// `O(n_coalitions * n_players^2)` for the first output and, with a criterion, for each; memory for a matrix of
/// `n_players^2`, whatever the number of coalitions.
pub(crate) fn select(
    coalitions: &Coalitions,
    weights: &[f64],
    n_allocated: usize,
    effects: &Rows,
    changes: &Array1<f64>,
    rule: L1Reg,
    rules: &dyn SelectionRules,
) -> Result<Vec<Vec<usize>>> {
    if matches!(rule, L1Reg::Off | L1Reg::Auto) {
        return Ok(vec![(0..coalitions.n_players()).collect(); effects.nrows()]);
    }
    let system = System::new(coalitions, weights, n_allocated, effects, changes, rules);
    let select_for = |output: usize| {
        let selected = match rule {
            L1Reg::Off | L1Reg::Auto => (0..coalitions.n_players()).collect(),
            L1Reg::NumFeatures(most) => first_to_enter(&system, output, most),
            L1Reg::Aic => least_criterion(&system, output, 2.0)?,
            L1Reg::Bic => least_criterion(&system, output, system.n_rows.ln())?,
            L1Reg::Alpha(alpha) => non_zeros(&penalised(&system, output, alpha)),
        };
        Ok(rules.complete(selected, changes[output], &|| strongest(&system, output)))
    };
    (0..effects.nrows()).map(select_for).collect()
}

fn first_to_enter(system: &System<'_>, output: usize, most: usize) -> Vec<usize> {
    let correlations = system.correlations(output);
    let floor = system.rules.floor(system.n_rows, &correlations);
    let walk = Walk { crossing: system.rules.crossing(), max_steps: most, floor };
    lars::path(&system.gram, &correlations, &walk).active
}

/// The non-zeros of the point of the lasso's path with the least `RSS / s^2 + penalty * df`.
fn least_criterion(system: &System<'_>, output: usize, penalty: f64) -> Result<Vec<usize>> {
    let n_players = system.gram.nrows();
    let freedom = system.n_rows - n_players as f64 - 1.0;
    if freedom <= 0.0 {
        return Err(Error::Budget {
            what: "nsamples",
            given: system.n_allocated as u64,
            needed: (n_players as u64 + 3) / 2,
        });
    }
    let (gram, correlations) = (system.centred_gram(), system.centred_correlations(output));
    // The deviation from the mean, although the scaling itself leaves the mean where it is; constants stay.
    let deviations = gram.diag().mapv(|square| (square / system.n_rows).max(0.0).sqrt());
    let deviations = deviations.mapv(|deviation| if 0.0 < deviation { deviation } else { 1.0 });
    let scaled = &gram / &deviations / deviations.view().insert_axis(Axis(1));
    let scaled_correlations = &correlations / &deviations;
    let max_steps = system.rules.max_steps(n_players);
    let floor = system.rules.floor(system.n_rows, &scaled_correlations);
    let walk = Walk { crossing: Crossing::Drop, max_steps, floor };
    let points = lars::path(&scaled, &scaled_correlations, &walk).points;
    let mut solutions: Vec<Array1<f64>> = points.iter().map(|point| point / &deviations).collect();
    solutions.push(lasso::unpenalised(&gram, &correlations)?);
    let mut squares = system.residual_squares(output, &solutions);
    let unexplained = squares.pop().expect("the last is the one without penalty") / freedom;
    // A perfect fit has no variance: any positive number then makes the perfect points the least.
    let variance = unexplained.max(system.rules.least_variance());
    let mut best = (f64::INFINITY, 0);
    for (index, (point, squares)) in points.iter().zip(&squares).enumerate() {
        let degrees = point.iter().filter(|value| f64::EPSILON < value.abs()).count();
        let criterion = squares / variance + penalty * degrees as f64;
        if criterion < best.0 {
            best = (criterion, index);
        }
    }
    Ok(non_zeros(&points[best.1]))
}

fn penalised(system: &System<'_>, output: usize, alpha: f64) -> Array1<f64> {
    system.rules.descent().solve(
        &system.centred_gram(),
        &system.centred_correlations(output),
        system.centred_square(output),
        alpha * system.n_rows,
    )
}

/// The player of the largest correlation, the first of equals.
fn strongest(system: &System<'_>, output: usize) -> usize {
    let correlations = system.correlations(output);
    let stronger = |best: usize, player: usize| {
        if correlations[best].abs() < correlations[player].abs() { player } else { best }
    };
    (0..correlations.len()).fold(0, stronger)
}

fn non_zeros(coefficients: &Array1<f64>) -> Vec<usize> {
    (0..coefficients.len()).filter(|&player| coefficients[player] != 0.0).collect()
}

/// How [`L1Reg`] stands in JSON and TOML.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "l1_reg must be false, \"auto\", \"aic\", \"bic\", \"num_features(r)\" or a positive number"
)]
enum Form {
    Switch(#[schemars(extend("const" = false))] bool),
    Alpha(#[schemars(range(min = 0.0))] f64),
    Rule(#[schemars(regex(pattern = r"^(auto|aic|bic|num_features\([1-9][0-9]*\))$"))] String),
}

impl TryFrom<Form> for L1Reg {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        Ok(match form {
            Form::Switch(false) => L1Reg::Off,
            Form::Alpha(0.0) => L1Reg::Off,
            Form::Alpha(alpha) => L1Reg::Alpha(alpha),
            Form::Rule(rule) => match rule.as_str() {
                "auto" => L1Reg::Auto,
                "aic" => L1Reg::Aic,
                "bic" => L1Reg::Bic,
                _ => {
                    let number = rule
                        .strip_prefix("num_features(")
                        .and_then(|rest| rest.strip_suffix(')')?.parse().ok());
                    L1Reg::NumFeatures(number.ok_or_else(|| unknown(&format!("\"{rule}\"")))?)
                }
            },
            Form::Switch(true) => return Err(unknown("true")),
        })
    }
}

fn unknown(given: &str) -> String {
    format!(
        "l1_reg must be false, \"auto\", \"aic\", \"bic\", \"num_features(r)\" or a positive number, got {given}"
    )
}

impl From<L1Reg> for Form {
    fn from(rule: L1Reg) -> Self {
        match rule {
            L1Reg::Off => Form::Switch(false),
            L1Reg::Auto => Form::Rule("auto".into()),
            L1Reg::Aic => Form::Rule("aic".into()),
            L1Reg::Bic => Form::Rule("bic".into()),
            L1Reg::NumFeatures(most) => Form::Rule(format!("num_features({most})")),
            L1Reg::Alpha(alpha) => Form::Alpha(alpha),
        }
    }
}

impl JsonSchema for L1Reg {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "L1Reg".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Form::json_schema(generator)
    }
}
