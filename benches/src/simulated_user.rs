//! The simulated user of the paper on anchors: how well the anchors of some rows predict the model on others.
//!
//! # Source
//! Ribeiro, Singh, Guestrin, "Anchors: High-Precision Model-Agnostic Explanations", AAAI 2018, section 5: balanced
//! classes, numbers in bins that count as categories, 80 % of the rows for training, 10 % to explain and to perturb, 10 %
//! to test, one anchor for each row that is explained.

use std::ops::Range;

use anyhow::{Result, ensure};
use ndarray::{Array2, Axis};
use xai_anchors::{AnchorTabularData, AnchorTabularParams, RuleCondition};
use xai_core::tabular::{Encoding, Feature, Features, Kind};
use xai_core::{Explainer, Explanation, Rows, RunConfig, Seed, Stream};

use crate::adult::Adult;
use crate::logistic_regression;
use crate::models::{EncodedDense, classes};

/// What the anchors of the validation rows do on the test rows.
#[derive(Debug)]
pub struct Outcome {
    /// The share of test rows whose class the model knows.
    pub accuracy: f64,
    /// How many rows were explained.
    pub n_anchors: usize,
    /// The share of the covered test rows for which the model predicts the class of the explained row; 1 for an anchor
    /// that covers none.
    pub precision: MeanAndDeviation,
    /// The share of the test rows that satisfy the anchor.
    pub coverage: MeanAndDeviation,
    /// Predicates.
    pub size: MeanAndDeviation,
    /// The share of the rows for which an anchor was found.
    pub found: f64,
    /// Rows that the model was asked for, for one anchor.
    pub queries: f64,
}

/// Over the anchors.
#[derive(Clone, Copy, Debug)]
pub struct MeanAndDeviation {
    /// The mean.
    pub mean: f64,
    /// The root of the mean squared distance from it.
    pub deviation: f64,
}

/// Rows of codes with their classes, in three parts.
#[derive(Debug)]
pub struct Split {
    /// Every column is categorical.
    pub features: Features,
    /// For the model.
    pub training: Part,
    /// To explain, and to take perturbed values from.
    pub validation: Part,
    /// To judge by.
    pub test: Part,
}

/// Rows with their classes.
#[derive(Debug)]
pub struct Part {
    /// Shape `(n_rows, n_columns)`.
    pub codes: Array2<f64>,
    /// 0 or 1, shape `(n_rows,)`.
    pub labels: Vec<usize>,
}

/// An anchor of categories.
struct Anchor {
    /// Columns and their codes.
    predicates: Vec<(usize, f64)>,
    is_found: bool,
    queries: u64,
}

/// The settings of the paper.
#[must_use]
pub fn settings() -> AnchorTabularParams {
    AnchorTabularParams::default()
        .with_threshold(0.95)
        .with_delta(0.05)
        .with_tau(0.1)
        .with_batch_size(50)
        .with_coverage_samples(10_000)
        .with_beam_size(10)
        .with_min_samples_start(1)
        .with_final_samples(0)
}

/// The experiment with logistic regression.
///
/// # Errors
/// When the model cannot be fitted, or an explanation fails.
pub fn experiment(adult: &Adult, params: AnchorTabularParams) -> Result<Outcome> {
    let split = split(adult)?;
    let sizes: Vec<usize> = split.features.iter().map(n_categories).collect();
    let model = logistic_regression::fit(&split.training.codes, &sizes, &split.training.labels)?;
    let anchors = anchors(&model, &split.validation.codes, &split.features, params)?;
    let explained = classes(&model, &split.validation.codes)?;
    let predicted = classes(&model, &split.test.codes)?;
    let (mut precision, mut coverage, mut size) = (Vec::new(), Vec::new(), Vec::new());
    for (anchor, class) in anchors.iter().zip(explained) {
        let covered = covered(anchor, &split.test.codes);
        let agree = covered.iter().filter(|&&row| predicted[row] == class).count();
        precision.push(if covered.is_empty() { 1.0 } else { agree as f64 / covered.len() as f64 });
        coverage.push(covered.len() as f64 / predicted.len() as f64);
        size.push(anchor.predicates.len() as f64);
    }
    let right = predicted.iter().zip(&split.test.labels).filter(|(one, other)| one == other);
    let n_anchors = anchors.len();
    Ok(Outcome {
        accuracy: right.count() as f64 / predicted.len() as f64,
        n_anchors,
        precision: MeanAndDeviation::of(&precision),
        coverage: MeanAndDeviation::of(&coverage),
        size: MeanAndDeviation::of(&size),
        found: anchors.iter().filter(|anchor| anchor.is_found).count() as f64 / n_anchors as f64,
        queries: anchors.iter().map(|anchor| anchor.queries as f64).sum::<f64>() / n_anchors as f64,
    })
}

/// One anchor for each row, perturbed with the others.
fn anchors(
    model: &EncodedDense,
    rows: &Rows,
    features: &Features,
    params: AnchorTabularParams,
) -> Result<Vec<Anchor>> {
    let explainer = params.fit(rows, features.clone())?;
    let anchor = |explanation: xai_core::Result<Explanation<AnchorTabularData>>| {
        let Explanation { meta, data, .. } = explanation?;
        let code = |condition: &RuleCondition| Some((condition.feature, condition.code? as f64));
        Ok(Anchor {
            predicates: data.rule.conditions.iter().filter_map(code).collect(),
            is_found: data.result.valid,
            queries: meta.queries,
        })
    };
    let explanations = explainer.explain_many(model, rows, &RunConfig::seeded(0));
    explanations.into_iter().map(anchor).collect()
}

/// The rows that satisfy the anchor.
#[allow(clippy::float_cmp, reason = "codes are whole numbers")]
fn covered(anchor: &Anchor, codes: &Rows) -> Vec<usize> {
    let holds =
        |row: &usize| anchor.predicates.iter().all(|&(column, code)| codes[[*row, column]] == code);
    (0..codes.nrows()).filter(holds).collect()
}

/// Adult with as many rows of one class as of the other, all columns in categories.
///
/// # Errors
/// When the table has another layout.
pub fn split(adult: &Adult) -> Result<Split> {
    let seed = Seed::new(1);
    let mut rows = balanced(&adult.labels, &mut seed.child(0).stream());
    seed.child(1).stream().shuffle(&mut rows);
    let labels: Vec<usize> = rows.iter().map(|&row| adult.labels[row]).collect();
    let table = adult.codes.select(Axis(0), &rows);
    let mut codes = table.clone();
    let mut features = Vec::new();
    for (column, feature) in adult.coded.iter().enumerate() {
        if let Kind::Categorical { .. } = feature.kind {
            features.push(feature.clone());
            continue;
        }
        let edges = edges(&feature.name, table.column(column).to_vec())?;
        codes.column_mut(column).mapv_inplace(|value| bin(value, &edges));
        let names = (0..=edges.len()).map(|bin| bin.to_string());
        features.push(Feature::categorical(&feature.name, names, Encoding::Ordinal));
    }
    let part = |range: Range<usize>| Part {
        labels: labels[range.clone()].to_vec(),
        codes: codes.select(Axis(0), &range.collect::<Vec<_>>()),
    };
    let held_out = rows.len().div_ceil(5);
    let (n_training, n_test) = (rows.len() - held_out, held_out.div_ceil(2));
    let n_validation = held_out - n_test;
    Ok(Split {
        features: Features::new(features)?,
        training: part(0..n_training),
        validation: part(n_training..n_training + n_validation),
        test: part(n_training + n_validation..rows.len()),
    })
}

/// As many rows of each class, drawn with replacement, as the smaller class has.
fn balanced(labels: &[usize], stream: &mut Stream) -> Vec<usize> {
    let of_class = |class| (0..labels.len()).filter(|&row| labels[row] == class).collect();
    let of_classes: [Vec<usize>; 2] = [of_class(0), of_class(1)];
    let n = of_classes.iter().map(Vec::len).min().unwrap_or(0);
    let drawn_from = of_classes.iter().flat_map(|rows| std::iter::repeat_n(rows, n));
    drawn_from.map(|rows| rows[stream.index(rows.len())]).collect()
}

/// Where the bins of a column of numbers end: capital as none, at most the median of what there is, and more; all else
/// at its quartiles.
fn edges(name: &str, mut values: Vec<f64>) -> Result<Vec<f64>> {
    let is_capital = name.starts_with("Capital");
    if is_capital {
        values.retain(|&value| 0.0 < value);
    }
    ensure!(!values.is_empty(), "{name} holds no number to make bins of");
    values.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = if is_capital {
        vec![0.0, quantile(&values, 2)]
    } else {
        (1..4).map(|quarters| quantile(&values, quarters)).collect()
    };
    edges.dedup();
    Ok(edges)
}

/// The quantile of sorted values at some quarters, linear between two of them.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let place = quarters * (sorted.len() - 1);
    let (below, share) = (place / 4, (place % 4) as f64 / 4.0);
    let above = sorted[(below + 1).min(sorted.len() - 1)];
    sorted[below] + share * (above - sorted[below])
}

/// How many edges are below the value.
fn bin(value: f64, edges: &[f64]) -> f64 {
    edges.iter().filter(|&&edge| edge < value).count() as f64
}

fn n_categories(feature: &Feature) -> usize {
    match &feature.kind {
        Kind::Categorical { categories, .. } => categories.len(),
        Kind::Numeric => 1,
    }
}

impl MeanAndDeviation {
    fn of(numbers: &[f64]) -> Self {
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
        MeanAndDeviation { mean, deviation: (squares / n).sqrt() }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers and quarters are exact")]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn bins_end_at_quartiles_and_capital_at_the_median_of_what_there_is() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(edges("Age", values).unwrap(), [25.0, 50.0, 75.0]);
        assert_eq!(edges("Age", vec![1.0, 2.0]).unwrap(), [1.25, 1.5, 1.75]);
        assert_eq!(edges("Hours", vec![3.0; 9]).unwrap(), [3.0]);
        let gain = [0.0, 0.0, 0.0, 10.0, 0.0, 30.0].to_vec();
        assert_eq!(edges("Capital Gain", gain).unwrap(), [0.0, 20.0]);
        assert!(edges("Capital Gain", vec![0.0]).is_err());
        assert_eq!(
            [0.0, 10.0, 20.0, 21.0].map(|value| bin(value, &[0.0, 20.0])),
            [0.0, 1.0, 1.0, 2.0]
        );
    }

    #[test]
    fn classes_are_balanced_at_the_size_of_the_smaller() {
        let labels = [0, 0, 0, 1, 0, 1, 0, 0];
        let rows = balanced(&labels, &mut Seed::new(3).stream());
        assert_eq!(rows.iter().map(|&row| labels[row]).collect::<Vec<_>>(), [0, 0, 1, 1]);
    }

    #[test]
    fn anchors_cover_rows_by_equality() {
        let codes = array![[0.0, 2.0], [1.0, 2.0], [1.0, 0.0]];
        let covered_by = |predicates: &[(usize, f64)]| {
            covered(&Anchor { predicates: predicates.to_vec(), is_found: true, queries: 0 }, &codes)
        };
        assert_eq!(covered_by(&[]), [0, 1, 2]);
        assert_eq!(covered_by(&[(0, 1.0)]), [1, 2]);
        assert_eq!(covered_by(&[(0, 1.0), (1, 2.0)]), [1]);
    }
}
