//! Explanations of fixed inputs have the same bytes on every platform, apart from last bits where the book says so.
//!
//! The model uses additions, multiplications and divisions alone, which every platform rounds alike.
//! What differs from the recorded file is written to `target/tmp/golden_bytes.json`; where a difference is meant, that
//! file becomes the new record.

#![allow(
    clippy::unwrap_used,
    clippy::field_reassign_with_default,
    reason = "a test fails by panicking; settings that may grow have no literals"
)]

use std::path::Path;

use ndarray::{Array1, Array2, Zip};
use serde_json::Value;
use xai_anchors::AnchorTabularParams;
use xai_cem::CemParams;
use xai_core::tabular::Features;
use xai_core::{BoxError, Differentiable, Explainer, PerFeature, Predictor, Row, Rows, Run};
use xai_counterfactual::CounterfactualParams;
use xai_gridcf::GridCounterfactualParams;
use xai_intgrad::{IntegratedGradientsParams, Target};
use xai_shap::KernelShapParams;

/// Two classes; the second has the probability `(1 + s / (1 + |s|)) / 2` of a score `s` that is linear but for one
/// product.
struct Rational;

const WEIGHTS: [f64; 5] = [12.0, -6.0, 4.0, 0.0, 1.0];

fn score(row: &Row) -> f64 {
    let linear = row.iter().zip(WEIGHTS).fold(-2.0, |sum, (x, weight)| sum + weight * x);
    linear + 4.0 * row[0] * row[2]
}

impl Predictor for Rational {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut outputs = Array2::zeros((batch.nrows(), 2));
        for (row, mut out) in batch.rows().into_iter().zip(outputs.rows_mut()) {
            let score = score(&row);
            out[1] = 0.5 + 0.5 * score / (1.0 + score.abs());
            out[0] = 1.0 - out[1];
        }
        Ok(outputs)
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }
}

impl Differentiable for Rational {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut gradients = Array2::zeros(batch.dim());
        Zip::from(gradients.rows_mut()).and(batch.rows()).and(cotangent.rows()).for_each(
            |mut gradient, row, cotangent| {
                let below = 1.0 + score(&row).abs();
                let slope = 0.5 / (below * below) * (cotangent[1] - cotangent[0]);
                for (feature, out) in gradient.iter_mut().enumerate() {
                    let product = match feature {
                        0 => 4.0 * row[2],
                        2 => 4.0 * row[0],
                        _ => 0.0,
                    };
                    *out = slope * (WEIGHTS[feature] + product);
                }
            },
        );
        Ok(gradients)
    }
}

/// Quarters between -2 and 2, in an order without a pattern.
fn table() -> Array2<f64> {
    Array2::from_shape_fn((64, 5), |(row, column)| {
        let cell = (row * 37 + column * 11 + row * column * 5) % 17;
        0.25 * cell as f64 - 2.0
    })
}

fn instances() -> [Array1<f64>; 2] {
    [vec![1.0, -0.5, 0.25, 1.5, 2.0].into(), vec![-1.25, 0.75, -0.5, 0.0, -1.0].into()]
}

/// An explanation as JSON, the version of the crates left out.
struct Document {
    json: String,
    /// The keys below which last bits may differ between platforms.
    last_bits: &'static [&'static str],
}

/// Exact values and grids need nothing of the platform.
const NONE: &[&str] = &[];
/// The bounds of a binomial share have logarithms.
const BOUNDS: &[&str] = &["interval", "lower_bound", "confidence"];
/// The points of a quadrature are found from a cosine.
const QUADRATURE: &[&str] =
    &["attributions", "quadrature_errors", "deltas", "relative_deltas", "curve"];
/// The search compares logarithms of probabilities.
const SEARCH: &[&str] = &["data"];

fn explanations() -> Vec<Document> {
    let mut documents = Vec::new();
    let features = || Features::unnamed(5).unwrap();
    for x in instances() {
        // A macro, since each method has data of its own type.
        macro_rules! explain {
            ($last_bits:expr, $explainer:expr) => {{
                let explanation = $explainer.explain(&Rational, &x, Run::seeded(7)).unwrap();
                let version = format!("\"version\":\"{}\"", explanation.meta.version);
                let json = explanation.to_json().unwrap().replace(&version, "\"version\":\"\"");
                documents.push(Document { json, last_bits: $last_bits });
            }};
        }
        explain!(NONE, KernelShapParams::default().fit(&table(), features()).unwrap());
        explain!(BOUNDS, AnchorTabularParams::default().fit(&table(), features()).unwrap());
        let mut grid = GridCounterfactualParams::default();
        grid.default_numerical_step_size = 0.25;
        explain!(NONE, grid.fit(&table(), features()).unwrap());
        let mut integrated = IntegratedGradientsParams::default();
        integrated.target = Some(Target::Predicted);
        explain!(QUADRATURE, integrated.build(features()).unwrap());
        let mut counterfactual = CounterfactualParams::default();
        counterfactual.feature_range = (PerFeature::All(-2.0), PerFeature::All(2.0));
        explain!(SEARCH, counterfactual.build(features()).unwrap());
        explain!(SEARCH, CemParams::default().fit(&table(), features()).unwrap());
    }
    documents
}

/// Whether two documents are the same where they must be; numbers below the keys `last_bits` agree to `1e-7`.
fn agrees(expected: &Value, got: &Value, last_bits: &[&str], may_differ: bool) -> bool {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            expected.keys().eq(got.keys())
                && expected.iter().zip(got.values()).all(|((key, expected), got)| {
                    let may_differ = may_differ || last_bits.contains(&&**key);
                    agrees(expected, got, last_bits, may_differ)
                })
        }
        (Value::Array(expected), Value::Array(got)) => {
            let mut pairs = expected.iter().zip(got);
            expected.len() == got.len()
                && pairs.all(|(expected, got)| agrees(expected, got, last_bits, may_differ))
        }
        (Value::Number(expected), Value::Number(got)) if may_differ => {
            let (expected, got) = (expected.as_f64().unwrap(), got.as_f64().unwrap());
            (expected - got).abs() <= 1e-7 * expected.abs().max(1.0)
        }
        _ => expected == got,
    }
}

#[test]
fn explanations_have_the_recorded_bytes() {
    let documents = explanations();
    let lines: Vec<&str> = documents.iter().map(|document| &*document.json).collect();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden_bytes.json");
    std::fs::write(&target, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden_bytes.json");
    let recorded = std::fs::read_to_string(record).unwrap();
    let recorded: Vec<&str> = recorded
        .lines()
        .filter(|line| line.len() > 1)
        .map(|line| line.trim_end_matches(','))
        .collect();
    assert_eq!(recorded.len(), documents.len(), "see {}", target.display());
    for (expected, Document { json: got, last_bits }) in recorded.into_iter().zip(&documents) {
        let is_same = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            expected == got
        } else {
            let value = |json: &str| serde_json::from_str(json).unwrap();
            agrees(&value(expected), &value(got), last_bits, false)
        };
        assert!(is_same, "expected {expected}\ngot {got}\nall in {}", target.display());
    }
}

#[test]
fn last_bits_may_differ_below_their_keys_alone() {
    let value = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let recorded = value(r#"{"a": [1.0, 2.0], "b": {"c": 3.0}}"#);
    let moved = value(r#"{"a": [1.0, 2.0], "b": {"c": 3.0000000001}}"#);
    assert!(agrees(&recorded, &moved, &["b"], false));
    assert!(!agrees(&recorded, &moved, &["a"], false));
    assert!(!agrees(&recorded, &value(r#"{"a": [1.0, 2.0], "b": {"c": 4.0}}"#), &["b"], false));
    assert!(!agrees(&recorded, &value(r#"{"a": [1.0, 2.0]}"#), &["b"], false));
}
