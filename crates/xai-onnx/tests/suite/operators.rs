//! The operators of ai.onnx.ml, against their specification.

#![allow(
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "branches compare exactly, and a test may panic"
)]

use std::error::Error;

use crate::build::{With, floats, integers, model, node, single};
use ndarray::{Array2, array};
use tract_onnx::pb::NodeProto;
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

#[track_caller]
fn check(node: &NodeProto, inputs: &Array2<f64>, expected: &Array2<f64>) {
    let width = i64::try_from(inputs.ncols()).unwrap();
    let got = single(node, width).unwrap().evaluate(inputs).unwrap();
    assert_eq!(got.dim(), expected.dim());
    for (got, expected) in got.iter().zip(expected) {
        // One rounding to single precision.
        assert!((got - expected).abs() <= 1e-7 * expected.abs().max(1.0), "{got}, {expected}");
    }
}

/// A tree with one branch on column 0 and the leaves 10 (true) and 20 (false).
fn stump(mode: &str, threshold: f32, nan_is_true: i64) -> NodeProto {
    node("TreeEnsembleRegressor", &["x"], &["y"])
        .ints("nodes_treeids", &[0, 0, 0])
        .ints("nodes_nodeids", &[0, 1, 2])
        .ints("nodes_featureids", &[0, 0, 0])
        .floats("nodes_values", &[threshold, 0.0, 0.0])
        .words("nodes_modes", &[mode, "LEAF", "LEAF"])
        .ints("nodes_truenodeids", &[1, 0, 0])
        .ints("nodes_falsenodeids", &[2, 0, 0])
        .ints("nodes_missing_value_tracks_true", &[nan_is_true, 0, 0])
        .ints("target_treeids", &[0, 0])
        .ints("target_nodeids", &[1, 2])
        .ints("target_ids", &[0, 0])
        .floats("target_weights", &[10.0, 20.0])
        .int("n_targets", 1)
}

#[test]
fn every_branch_compares_as_it_says() {
    type Compare = fn(f32, f32) -> bool;
    let modes: [(&str, Compare); 6] = [
        ("BRANCH_LEQ", |x, t| x <= t),
        ("BRANCH_LT", |x, t| x < t),
        ("BRANCH_GTE", |x, t| x >= t),
        ("BRANCH_GT", |x, t| x > t),
        ("BRANCH_EQ", |x, t| x == t),
        ("BRANCH_NEQ", |x, t| x != t),
    ];
    let around = |t: f32| [t, t.next_up(), t.next_down(), t - 1.0, t + 1.0, -t];
    for threshold in [0.0_f32, 0.1, -3.5, 1e30, f32::NEG_INFINITY, f32::INFINITY] {
        for (mode, compare) in modes {
            for nan_is_true in [0, 1] {
                let model = single(&stump(mode, threshold, nan_is_true), 1).unwrap();
                let mut cells = around(threshold).to_vec();
                cells.extend([f32::NEG_INFINITY, f32::INFINITY, 0.0, -0.0, f32::NAN]);
                for x in cells {
                    let is_true = if x.is_nan() {
                        // A comparison with NaN fails, and so does all but "not equal".
                        nan_is_true == 1
                    } else {
                        compare(x, threshold)
                    };
                    let got = model.evaluate(&array![[f64::from(x)]]).unwrap()[[0, 0]];
                    let expected = if is_true { 10.0 } else { 20.0 };
                    assert_eq!(got, expected, "{x} {mode} {threshold}, {nan_is_true}");
                }
            }
        }
    }
}

/// Two stumps on columns 0 and 1 at 0.5 with two weights in each leaf.
fn two_trees(operator: &str, prefix: &str, ids: &[i64], leaves: &[f32]) -> NodeProto {
    let name = |field: &str| format!("{prefix}_{field}");
    node(operator, &["x"], if prefix == "class" { &["label", "y"] } else { &["y"] })
        .ints("nodes_treeids", &[0, 0, 0, 1, 1, 1])
        .ints("nodes_nodeids", &[0, 1, 2, 0, 1, 2])
        .ints("nodes_featureids", &[0, 0, 0, 1, 0, 0])
        .floats("nodes_values", &[0.5, 0.0, 0.0, 0.5, 0.0, 0.0])
        .words("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"])
        .ints("nodes_truenodeids", &[1, 0, 0, 1, 0, 0])
        .ints("nodes_falsenodeids", &[2, 0, 0, 2, 0, 0])
        .ints(&name("treeids"), &[0, 0, 0, 0, 1, 1, 1, 1][..ids.len()])
        .ints(&name("nodeids"), &[1, 1, 2, 2, 1, 1, 2, 2][..ids.len()])
        .ints(&name("ids"), ids)
        .floats(&name("weights"), leaves)
}

const WEIGHTS: [f32; 8] = [1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 80.0];
const TARGETS: [i64; 8] = [0, 1, 0, 1, 0, 1, 0, 1];

#[test]
fn a_regressor_joins_its_trees() {
    let inputs = array![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]];
    let cases = [
        ("SUM", array![[151.0, 262.0], [153.0, 264.0], [173.0, 284.0]]),
        ("AVERAGE", array![[125.5, 231.0], [126.5, 232.0], [136.5, 242.0]]),
        ("MIN", array![[101.0, 202.0], [103.0, 204.0], [103.0, 204.0]]),
        ("MAX", array![[150.0, 260.0], [150.0, 260.0], [170.0, 280.0]]),
    ];
    for (aggregate, expected) in cases {
        let node = two_trees("TreeEnsembleRegressor", "target", &TARGETS, &WEIGHTS)
            .int("n_targets", 2)
            .floats("base_values", &[100.0, 200.0])
            .word("aggregate_function", aggregate);
        check(&node, &inputs, &expected);
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn a_classifier_transforms_its_scores() {
    let leaves = [0.25, 0.5, 0.0, -1.0, 0.125, 0.25, 0.0, 1.0];
    let inputs = array![[0.0, 0.0], [1.0, 1.0]];
    let sums = array![[0.375, 0.75], [0.0, 0.0]];
    let e = |x: f64| x.exp();
    let softmax =
        array![[e(0.375) / (e(0.375) + e(0.75)), e(0.75) / (e(0.375) + e(0.75))], [0.5, 0.5]];
    let cases = [
        ("NONE", sums.clone()),
        ("LOGISTIC", sums.mapv(logistic)),
        ("SOFTMAX", softmax.clone()),
        ("SOFTMAX_ZERO", array![[softmax[[0, 0]], softmax[[0, 1]]], [0.0, 0.0]]),
    ];
    for (transform, expected) in cases {
        let node = two_trees("TreeEnsembleClassifier", "class", &TARGETS, &leaves)
            .ints("classlabels_int64s", &[0, 1])
            .word("post_transform", transform);
        check(&node, &inputs, &expected);
    }
}

#[test]
fn two_classes_may_share_one_score() {
    // The scores are 0.25 and 0.5 for the rows below; or -0.25 and 0.5.
    let one = |leaf: f32, transform: &str| {
        let mut node = two_trees("TreeEnsembleClassifier", "class", &[], &[]);
        node.attribute.retain(|attribute| !attribute.name.starts_with("class_"));
        node.ints("class_treeids", &[0, 0])
            .ints("class_nodeids", &[1, 2])
            .ints("class_ids", &[0, 0])
            .floats("class_weights", &[leaf, 0.5])
            .ints("classlabels_int64s", &[0, 1])
            .word("post_transform", transform)
    };
    let inputs = array![[0.0, 0.0], [1.0, 0.0]];
    check(&one(0.25, "NONE"), &inputs, &array![[0.75, 0.25], [0.5, 0.5]]);
    check(&one(-0.25, "NONE"), &inputs, &array![[0.25, -0.25], [-0.5, 0.5]]);
    let two = |x: f64| [logistic(-x), logistic(x)];
    check(&one(0.25, "LOGISTIC"), &inputs, &Array2::from(vec![two(0.25), two(0.5)]));
    check(&one(-0.25, "LOGISTIC"), &inputs, &Array2::from(vec![two(-0.25), two(0.5)]));
    let base = one(-0.25, "LOGISTIC").floats("base_values", &[1.0]);
    check(&base, &inputs, &Array2::from(vec![two(0.75), two(1.5)]));
    // Probit of 0.5 is 0; of 0.25 it is the lower quartile.
    let quartile = 0.674_489_750_196_081_7;
    check(&one(0.25, "PROBIT"), &inputs, &array![[quartile, -quartile], [0.0, 0.0]]);
}

#[test]
fn trees_that_are_no_trees_are_refused() {
    let cycle = |attribute: &str, ids: &[i64]| {
        let mut node = stump("BRANCH_LEQ", 0.0, 0);
        node.attribute.retain(|have| have.name != attribute);
        single(&node.ints(attribute, ids), 1)
    };
    // To itself, to one child twice, to a node that is not there.
    for ids in [[0, 0, 0], [2, 0, 0], [9, 0, 0]] {
        let error = cycle("nodes_truenodeids", &ids).unwrap_err();
        assert!(matches!(&error, OnnxError::Attribute { node, .. } if node == "node_y"), "{error}");
    }
    let error = cycle("nodes_nodeids", &[0, 1, 1]).unwrap_err();
    assert!(matches!(error, OnnxError::Attribute { .. }), "{error}");
    let error = cycle("target_ids", &[0, 1]).unwrap_err();
    assert!(matches!(error, OnnxError::Attribute { .. }), "{error}");
    let error = cycle("nodes_featureids", &[-1, 0, 0]).unwrap_err();
    assert!(matches!(error, OnnxError::Attribute { .. }), "{error}");
    // A column that the input lacks.
    assert!(cycle("nodes_featureids", &[3, 0, 0]).is_err());
}

#[test]
fn linear_models_score_rows() {
    let inputs = array![[1.0, 2.0], [-1.0, 0.5]];
    let regressor = node("LinearRegressor", &["x"], &["y"])
        .floats("coefficients", &[1.0, 2.0, -1.0, 0.5])
        .floats("intercepts", &[0.5, 0.0])
        .int("targets", 2);
    check(&regressor, &inputs, &array![[5.5, 0.0], [0.5, 1.25]]);
    let classifier = |transform| {
        node("LinearClassifier", &["x"], &["label", "y"])
            .floats("coefficients", &[1.0, 2.0])
            .floats("intercepts", &[-5.0])
            .ints("classlabels_ints", &[3, 4])
            .word("post_transform", transform)
    };
    let expected = array![[0.5, 0.5], [logistic(5.0), logistic(-5.0)]];
    check(&classifier("LOGISTIC"), &inputs, &expected);
    let error = single(&classifier("NONE"), 3).unwrap_err();
    assert!(matches!(error, OnnxError::Prepare { .. }), "{error}");
}

#[test]
fn columns_are_scaled_filled_and_cut() {
    let inputs = array![[3.0, -4.0], [0.0, 0.0]];
    let scaler = node("Scaler", &["x"], &["y"]).floats("offset", &[1.0, 2.0]);
    check(
        &scaler.clone().floats("scale", &[0.5, 2.0]),
        &inputs,
        &array![[1.0, -12.0], [-0.5, -4.0]],
    );
    check(&scaler.floats("scale", &[2.0]), &inputs, &array![[4.0, -12.0], [-2.0, -4.0]]);
    let normalizer = |norm| node("Normalizer", &["x"], &["y"]).word("norm", norm);
    check(&normalizer("L1"), &inputs, &array![[3.0 / 7.0, -4.0 / 7.0], [0.0, 0.0]]);
    check(&normalizer("L2"), &inputs, &array![[0.6, -0.8], [0.0, 0.0]]);
    check(&normalizer("MAX"), &inputs, &array![[1.0, -4.0 / 3.0], [0.0, 0.0]]);
    let binarizer = node("Binarizer", &["x"], &["y"]).float("threshold", 0.0);
    check(&binarizer, &inputs, &array![[1.0, 0.0], [0.0, 0.0]]);
    let imputer = |replaced| {
        node("Imputer", &["x"], &["y"])
            .floats("imputed_value_floats", &[7.0, 8.0])
            .float("replaced_value_float", replaced)
    };
    check(&imputer(0.0), &inputs, &array![[3.0, -4.0], [7.0, 8.0]]);
    let missing = array![[f64::NAN, 1.0], [2.0, f64::NAN]];
    check(&imputer(f32::NAN), &missing, &array![[7.0, 1.0], [2.0, 8.0]]);
}

#[test]
fn codes_become_indicators() {
    let encoder = node("OneHotEncoder", &["x"], &["y"]).ints("cats_int64s", &[4, -1, 2]);
    let inputs = array![[4.0, 2.0], [-1.0, 9.0], [2.7, f64::NAN]];
    // The spare axis of categories is flattened into the row; fractions are dropped, as by a cast.
    let expected = array![
        [1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    ];
    check(&encoder, &inputs, &expected);
    let strict = single(&encoder.int("zeros", 0), 2).unwrap();
    assert!(strict.evaluate(&array![[4.0, 2.0]]).is_ok());
    let error = strict.evaluate(&inputs).unwrap_err();
    assert!(matches!(error, OnnxError::Evaluate { rows: 3, .. }), "{error}");
    let message = "OneHotEncoder: 9 is none of its 3 categories";
    assert!(format!("{:?}", error.source()).contains(message), "{error:?}");
}

#[test]
fn labels_are_replaced() {
    let encoder = node("LabelEncoder", &["x"], &["y"])
        .floats("keys_floats", &[2.0, -1.0, 0.0])
        .floats("values_floats", &[20.0, 10.0, 5.0])
        .float("default_float", 9.0);
    check(&encoder, &array![[2.0, -1.0, -0.0, 3.0]], &array![[20.0, 10.0, 5.0, 9.0]]);
    let words = node("LabelEncoder", &["x"], &["y"]).words("keys_strings", &["a"]);
    let error = single(&words, 1).unwrap_err();
    assert!(matches!(error, OnnxError::Attribute { .. }), "{error}");
}

#[test]
fn columns_are_picked() {
    let nodes = [node("ArrayFeatureExtractor", &["x", "places"], &["y"])];
    let picks = |places: &[i64]| {
        let length = i64::try_from(places.len()).unwrap();
        let places = integers("places", &[1, length], places);
        let bytes = model(&nodes, &[places], &[floats("x", &[0, 3])], &[floats("y", &[0, 2])]);
        OnnxModel::from_bytes(&bytes, &OnnxOptions::default())
    };
    let got = picks(&[2, 0]).unwrap().evaluate(&array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).unwrap();
    assert_eq!(got, array![[3.0, 1.0], [6.0, 4.0]]);
    assert!(picks(&[2, 3]).is_err());
    assert!(picks(&[-1]).is_err());
}

#[test]
fn softmax_runs_along_its_axis() {
    let softmax_along = |axis: i64| {
        let nodes = [node("Softmax", &["x"], &["y"]).int("axis", axis)];
        let bytes = model(&nodes, &[], &[floats("x", &[0, 2, 2])], &[floats("y", &[0, 2, 2])]);
        let model = OnnxModel::from_bytes(&bytes, &OnnxOptions::default()).unwrap();
        model.evaluate(&array![[0.0, 1.0, 2.0, 4.0]]).unwrap()
    };
    let share = |a: f64, b: f64| a.exp() / (a.exp() + b.exp());
    let last = array![[share(0.0, 1.0), share(1.0, 0.0), share(2.0, 4.0), share(4.0, 2.0)]];
    let first = array![[share(0.0, 2.0), share(1.0, 4.0), share(2.0, 0.0), share(4.0, 1.0)]];
    for (axis, expected) in [(2, &last), (-1, &last), (1, &first)] {
        let got = softmax_along(axis);
        assert!((&got - expected).iter().all(|difference| difference.abs() < 1e-7), "{axis}");
    }
}
