//! The thresholds of trees: exact to the bit, wherever the rounding on the way to the tree puts them.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and thresholds are exact"
)]

use std::collections::BTreeSet;

use crate::build::{With, fixture, floats, integers, model, node, value, weights};
use ndarray::Array2;
use prost::Message;
use serde_json::Value;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, ValueInfoProto};
use xai_core::{Seed, Stream};
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

const NONE: Vec<f64> = Vec::new();

fn load(bytes: &[u8]) -> OnnxModel {
    OnnxModel::from_bytes(bytes, &OnnxOptions::default()).expect("the model loads")
}

/// A regressor of one tree with one branch, on column `feature` of `input`; the output `y` is 1 where it holds, else 0.
fn stump(input: &str, feature: i64, mode: &str, value: f32) -> NodeProto {
    node("TreeEnsembleRegressor", &[input], &["y"])
        .ints("nodes_treeids", &[0, 0, 0])
        .ints("nodes_nodeids", &[0, 1, 2])
        .ints("nodes_featureids", &[feature, 0, 0])
        .words("nodes_modes", &[mode, "LEAF", "LEAF"])
        .floats("nodes_values", &[value, 0.0, 0.0])
        .ints("nodes_truenodeids", &[1, 0, 0])
        .ints("nodes_falsenodeids", &[2, 0, 0])
        .ints("target_treeids", &[0])
        .ints("target_nodeids", &[1])
        .ints("target_ids", &[0])
        .floats("target_weights", &[1.0])
        .int("n_targets", 1)
}

fn graph(nodes: &[NodeProto], inputs: &[ValueInfoProto]) -> OnnxModel {
    load(&model(nodes, &[], inputs, &[floats("y", &[0, 1])]))
}

fn answers(model: &OnnxModel, rows: &[f64]) -> Vec<f64> {
    let rows = Array2::from_shape_vec((rows.len(), 1), rows.to_vec()).unwrap();
    model.evaluate(&rows).unwrap().into_raw_vec_and_offset().0
}

/// The largest `f64` that single precision rounds to `below` or less, `above` being its neighbour.
fn rounds_to(below: f32, above: f32) -> f64 {
    let middle = f64::midpoint(f64::from(below), f64::from(above));
    // A tie goes to the even significand.
    if below.to_bits().is_multiple_of(2) { middle } else { middle.next_down() }
}

#[test]
fn a_branch_has_its_threshold_in_the_precision_of_the_input() {
    const MODES: [&str; 6] =
        ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
    #[track_caller]
    fn check(kind: DataType, v: f32, mode: &str, at: f64, below: f64) {
        let expected = match mode {
            "BRANCH_LEQ" | "BRANCH_GT" => vec![at],
            "BRANCH_LT" | "BRANCH_GTE" => vec![below],
            _ => vec![below, at],
        };
        let model = graph(&[stump("x", 0, mode, v)], &[value("x", kind, &[0, 1])]);
        assert_eq!(
            model.thresholds().unwrap(),
            std::slice::from_ref(&expected),
            "{mode} {v} {kind:?}"
        );
        for threshold in expected {
            // The next number is on the other side.
            let answers = answers(&model, &[threshold, threshold.next_up()]);
            assert_ne!(answers[0], answers[1], "{mode} {v} {kind:?}");
        }
    }
    for mode in MODES {
        for v in [0.1, -0.1, 2.5, 1.0, -1e-3, 0.0, 1e30, f32::MIN_POSITIVE] {
            let wide = f64::from(v);
            check(DataType::Double, v, mode, wide, wide.next_down());
            let (at, below) = (rounds_to(v, v.next_up()), rounds_to(v.next_down(), v));
            check(DataType::Float, v, mode, at, below);
        }
    }
}

#[test]
fn a_split_that_parts_no_numbers_is_none() {
    for (mode, v) in [
        ("BRANCH_LEQ", f32::INFINITY),
        ("BRANCH_LT", f32::NEG_INFINITY),
        ("BRANCH_LEQ", f32::NEG_INFINITY),
        ("BRANCH_LEQ", f32::NAN),
    ] {
        let model = graph(&[stump("x", 0, mode, v)], &[value("x", DataType::Double, &[0, 1])]);
        assert_eq!(model.thresholds().unwrap(), [NONE], "{mode} {v}");
    }
}

#[test]
fn a_threshold_is_found_through_casts_and_scalers() {
    #[track_caller]
    fn check(kind: DataType, nodes: &[NodeProto], expected: f64) {
        let model = graph(nodes, &[value("x", kind, &[0, 1])]);
        let thresholds = model.thresholds().unwrap().remove(0);
        assert_eq!(thresholds.len(), 1);
        let threshold = thresholds[0];
        // Single precision has 24 bits, and each node rounds once.
        assert!((threshold - expected).abs() <= 4.0 * 2_f64.powi(-24) * expected.abs().max(1.0));
        if kind != DataType::Int64 {
            let answers = answers(&model, &[threshold, threshold.next_up()]);
            assert_ne!(answers[0], answers[1]);
        }
    }
    let scaler = |offset, scale| {
        node("Scaler", &["x"], &["h"]).floats("offset", &[offset]).floats("scale", &[scale])
    };
    let tree = |v| stump("h", 0, "BRANCH_LEQ", v);
    check(DataType::Float, &[scaler(38.6, 0.0733), tree(0.25)], 38.6 + 0.25 / 0.0733);
    // A negative scale turns the order around.
    check(DataType::Float, &[scaler(1.0, -2.0), tree(3.0)], -0.5);
    check(DataType::Double, &[scaler(1.0, -2.0), tree(3.0)], -0.5);
    let cast = |to: DataType| node("Cast", &["x"], &["h"]).int("to", to as i64);
    check(DataType::Double, &[cast(DataType::Float), tree(0.7)], 0.7);
    check(DataType::Float, &[cast(DataType::Double), tree(0.7)], 0.7);
    // The cast drops the fraction: everything below 2 becomes 1 or less.
    check(DataType::Float, &[cast(DataType::Int64), tree(1.0)], 2.0);
    check(DataType::Double, &[cast(DataType::Int64), tree(-1.0)], -1.0);
    check(DataType::Int64, &[cast(DataType::Float), tree(2.5)], 2.5);
    check(DataType::Float, &[node("Identity", &["x"], &["h"]), tree(0.7)], 0.7);
    let imputer = node("Imputer", &["x"], &["h"])
        .floats("imputed_value_floats", &[0.0])
        .float("replaced_value_float", f32::NAN);
    check(DataType::Float, &[imputer, tree(0.7)], 0.7);
}

#[test]
fn a_scale_of_zero_hides_its_column() {
    let scaler = node("Scaler", &["x"], &["h"]).floats("offset", &[1.0]).floats("scale", &[0.0]);
    let model = graph(
        &[scaler, stump("h", 0, "BRANCH_LEQ", 0.5)],
        &[value("x", DataType::Double, &[0, 1])],
    );
    assert_eq!(model.thresholds().unwrap(), [NONE]);
}

#[test]
fn columns_are_followed_where_they_go() {
    let inputs = [
        value("a", DataType::Double, &[0, 2]),
        value("unused", DataType::Double, &[0, 1]),
        value("b", DataType::Double, &[0, 3]),
    ];
    let check = |nodes: &[NodeProto], expected: [&[f64]; 6]| {
        let tensors = [integers("places", &[2], &[2, 0]), integers("flat", &[2], &[-1, 4])];
        let outputs = [floats("y", &[0, 1])];
        let model = load(&model(nodes, &tensors, &inputs, &outputs));
        assert_eq!(model.thresholds().unwrap(), expected);
    };
    let picked = node("ArrayFeatureExtractor", &["b", "places"], &["p"]);
    let gathered = node("Gather", &["b", "places"], &["p"]).int("axis", 1);
    for pick in [picked, gathered] {
        let joined = node("Concat", &["p", "a"], &["h"]).int("axis", -1);
        // The row is b2, b0, a0, a1.
        let tree = |feature| stump("h", feature, "BRANCH_LEQ", 0.5);
        let columns: [usize; 4] = [5, 3, 0, 1];
        for (feature, column) in columns.into_iter().enumerate() {
            let mut expected: [&[f64]; 6] = [&[]; 6];
            expected[column] = &[0.5];
            check(&[pick.clone(), joined.clone(), tree(feature as i64)], expected);
        }
        let flat = node("Reshape", &["h", "flat"], &["r"]);
        let tree = stump("r", 2, "BRANCH_LEQ", 0.5);
        check(&[pick, joined, flat, tree], [&[0.5], &[], &[], &[], &[], &[]]);
    }
}

#[test]
fn a_category_has_no_threshold() {
    let encode = node("OneHotEncoder", &["x"], &["h"]).ints("cats_int64s", &[3, 5]);
    let flat = node("Reshape", &["h", "flat"], &["r"]);
    let joined = node("Concat", &["r", "z"], &["j"]).int("axis", 1);
    for (feature, expected) in [(0, vec![]), (3, vec![0.5])] {
        let bytes = model(
            &[encode.clone(), flat.clone(), joined.clone(), stump("j", feature, "BRANCH_LEQ", 0.5)],
            &[integers("flat", &[2], &[-1, 2])],
            &[value("x", DataType::Double, &[0, 1]), value("z", DataType::Double, &[0, 2])],
            &[floats("y", &[0, 1])],
        );
        assert_eq!(load(&bytes).thresholds().unwrap(), [vec![], vec![], expected]);
    }
}

#[test]
fn what_has_no_thresholds_says_why() {
    #[track_caller]
    fn check(model: &OnnxModel, expected: &str) {
        let error = model.thresholds().unwrap_err();
        assert!(matches!(error, OnnxError::NoThresholds { .. }));
        assert_eq!(error.to_string(), format!("the model has no thresholds: {expected}"));
    }
    for name in ["iris_pipeline_logistic", "iris_mlp", "adult_pipeline_mlp"] {
        let model = OnnxModel::open(fixture(&format!("{name}.onnx"))).unwrap();
        check(&model, "it has no tree ensemble");
    }
    let x = [floats("x", &[0, 2])];
    let tree = |input| stump(input, 0, "BRANCH_LEQ", 0.5);
    let normalizer = node("Normalizer", &["x"], &["n"]).word("norm", "L2");
    let cast = node("Identity", &["n"], &["h"]);
    check(
        &graph(&[normalizer, cast, tree("h")], &x),
        "TreeEnsembleRegressor node `node_y` reads columns that cannot be followed beyond Normalizer node `node_n`",
    );
    check(
        &graph(&[tree("h")], &[value("h", DataType::Float16, &[0, 1])]),
        "TreeEnsembleRegressor node `node_y` reads columns that cannot be followed beyond input `h`",
    );
    let mut inner = tree("x");
    (inner.name, inner.output) = ("first".into(), vec!["t".into()]);
    let past = node("Mul", &["t", "x"], &["y"]);
    check(
        &load(&model(&[inner, past], &[], &[floats("x", &[0, 1])], &[floats("y", &[0, 1])])),
        "its output does not come from trees alone",
    );
}

#[test]
fn what_follows_the_trees_does_not_matter() {
    let mut first = stump("x", 1, "BRANCH_LEQ", 0.5);
    (first.name, first.output) = ("first".into(), vec!["t".into()]);
    let shift = node("Mul", &["t", "w"], &["s"]);
    // The second ensemble reads what the first one answers, which is no column.
    let nodes = [first, shift, stump("s", 0, "BRANCH_LEQ", 0.25)];
    let inputs = [value("x", DataType::Double, &[0, 2])];
    let bytes = model(&nodes, &[weights("w", &[1], &[3.0])], &inputs, &[floats("y", &[0, 1])]);
    assert_eq!(load(&bytes).thresholds().unwrap(), [vec![], vec![0.5]]);
}

/// A fixture's model, and rows for it.
fn trained(name: &str) -> (OnnxModel, Array2<f64>) {
    let text = std::fs::read_to_string(fixture("sklearn_expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let rows: Vec<Vec<f64>> =
        serde_json::from_value(all["models"][name]["inputs"].clone()).unwrap();
    let shape = (rows.len(), rows[0].len());
    let rows = Array2::from_shape_vec(shape, rows.into_iter().flatten().collect()).unwrap();
    (OnnxModel::open(fixture(&format!("{name}.onnx"))).unwrap(), rows)
}

/// The first node of an operator in a file, by the start of its name.
fn first(name: &str, operator: &str) -> NodeProto {
    let bytes = std::fs::read(fixture(&format!("{name}.onnx"))).unwrap();
    let graph = ModelProto::decode(&*bytes).unwrap().graph.unwrap();
    graph.node.into_iter().find(|node| node.op_type.starts_with(operator)).unwrap()
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> &'a AttributeProto {
    node.attribute.iter().find(|attribute| attribute.name == name).unwrap()
}

/// The distinct features and values of the branches of a file, as written.
fn branches(name: &str) -> BTreeSet<(i64, u32)> {
    let tree = first(name, "TreeEnsemble");
    let features = &attribute(&tree, "nodes_featureids").ints;
    let splits = features.iter().zip(&attribute(&tree, "nodes_values").floats);
    let modes = &attribute(&tree, "nodes_modes").strings;
    let branches = splits.zip(modes).filter(|(_, mode)| *mode != b"LEAF");
    branches.map(|((feature, value), _)| (*feature, value.to_bits())).collect()
}

/// Offsets and scales of a file's scaler.
fn scaler(name: &str) -> (Vec<f64>, Vec<f64>) {
    let scaler = first(name, "Scaler");
    let read = |name| attribute(&scaler, name).floats.iter().copied().map(f64::from).collect();
    (read("offset"), read("scale"))
}

#[test]
fn trained_trees_have_the_thresholds_of_their_file() {
    for name in ["iris_random_forest", "diabetes_gbt_regressor"] {
        let (model, _) = trained(name);
        let expected: BTreeSet<(i64, u64)> = branches(name)
            .into_iter()
            .map(|(feature, bits)| {
                let value = f32::from_bits(bits);
                (feature, rounds_to(value, value.next_up()).to_bits())
            })
            .collect();
        let thresholds = model.thresholds().unwrap();
        let got = thresholds.iter().enumerate().flat_map(|(column, values)| {
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
            values.iter().map(move |value| (i64::try_from(column).unwrap(), value.to_bits()))
        });
        assert_eq!(got.collect::<BTreeSet<_>>(), expected, "{name}");
    }
    // Behind a scaler: those of the four numeric columns, none of the encoded ones.
    for name in ["adult_pipeline_gbt", "adult_pipeline_random_forest"] {
        let (model, _) = trained(name);
        let thresholds = model.thresholds().unwrap();
        let (offsets, scales) = scaler(name);
        for (place, column) in [0, 8, 9, 10].into_iter().enumerate() {
            let (offset, scale) = (offsets[place], scales[place]);
            let splits: Vec<(f64, f64)> = branches(name)
                .into_iter()
                .filter(|branch| usize::try_from(branch.0).unwrap() == place)
                .map(|(_, bits)| {
                    let shift = f64::from(f32::from_bits(bits)) / scale;
                    // The column is rounded before the scaler and the scaled column after it.
                    let unit = 2_f64.powi(-24);
                    (offset + shift, unit * ((offset + shift).abs() + shift.abs()))
                })
                .collect();
            let near = |threshold: f64, split: &(f64, f64)| (threshold - split.0).abs() <= split.1;
            let got = &thresholds[column];
            // Splits that no single-precision number of the column parts fall together.
            assert!(!splits.is_empty() && got.len() <= splits.len(), "{name}, column {column}");
            assert!(splits.iter().all(|split| got.iter().any(|&at| near(at, split))), "{name}");
            assert!(got.iter().all(|&at| splits.iter().any(|split| near(at, split))), "{name}");
        }
        assert!((1..8).chain([11]).all(|column| thresholds[column].is_empty()), "{name}");
    }
}

/// A number of the cell of `x` between the thresholds, its ends included.
fn in_the_cell_of(x: f64, thresholds: &[f64], random: &mut Stream) -> f64 {
    let bin = thresholds.partition_point(|threshold| *threshold < x);
    let low = bin.checked_sub(1).map(|below| thresholds[below].next_up());
    let high = thresholds.get(bin).copied();
    let (low, high) = (low.unwrap_or(x.min(0.0) - 100.0), high.unwrap_or(x.max(0.0) + 100.0));
    match random.index(4) {
        0 => low,
        1 => high,
        _ => (low + (high - low) * random.uniform()).clamp(low, high),
    }
}

#[test]
fn rows_of_one_cell_have_the_same_bits() {
    for name in [
        "iris_random_forest",
        "diabetes_gbt_regressor",
        "adult_pipeline_gbt",
        "adult_pipeline_random_forest",
    ] {
        let (model, rows) = trained(name);
        let thresholds = model.thresholds().unwrap();
        let is_encoded =
            |column: usize| name.starts_with("adult") && (1..8).contains(&column) || column == 11;
        let mut random = Seed::new(11).stream();
        let expected = model.evaluate(&rows).unwrap();
        for _ in 0..100 {
            let moved = Array2::from_shape_fn(rows.dim(), |(row, column)| {
                let x = rows[[row, column]];
                if is_encoded(column) {
                    x
                } else {
                    in_the_cell_of(x, &thresholds[column], &mut random)
                }
            });
            assert_ne!(moved, rows);
            assert_eq!(model.evaluate(&moved).unwrap(), expected, "{name}");
        }
    }
}

#[test]
fn a_step_across_a_threshold_changes_an_output() {
    for name in ["iris_random_forest", "diabetes_gbt_regressor", "adult_pipeline_gbt"] {
        let (model, rows) = trained(name);
        let thresholds = model.thresholds().unwrap();
        let mut random = Seed::new(12).stream();
        for (column, values) in thresholds.iter().enumerate() {
            for &threshold in values {
                // Rows mixed from those of the file and from other cells, on one side and on the other.
                let is_felt = (0..50).any(|_| {
                    let mut below = Array2::from_shape_fn((500, rows.ncols()), |(_, column)| {
                        let values = &thresholds[column];
                        let place = random.index(values.len() + 1);
                        if random.index(2) == 0 {
                            rows[[random.index(rows.nrows()), column]]
                        } else if let Some(last) = values.last() {
                            values.get(place).copied().unwrap_or(last.next_up())
                        } else {
                            // An encoded column of Adult, of up to nine codes.
                            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0][random.index(9)]
                        }
                    });
                    below.column_mut(column).fill(threshold);
                    let mut above = below.clone();
                    above.column_mut(column).fill(threshold.next_up());
                    model.evaluate(&below).unwrap() != model.evaluate(&above).unwrap()
                });
                assert!(is_felt, "{name}: {threshold} of column {column}");
            }
        }
    }
}
