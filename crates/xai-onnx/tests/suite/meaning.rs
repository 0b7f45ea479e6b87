//! What a graph says its outputs mean, and what methods make of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::build::{With, fixture, floats, integers, model, node, value, weights};
use ndarray::array;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto, ValueInfoProto};
use xai_core::{Output, Predictor, Reading};
use xai_onnx::{OnnxModel, OnnxOptions};

/// The meaning of the output `y` of a graph that reads `x`, shape `(n_rows, 2)`.
#[track_caller]
fn meaning(nodes: &[NodeProto], constants: &[TensorProto]) -> Option<Output> {
    meaning_of(nodes, constants, floats("y", &[0, 0]))
}

#[track_caller]
fn meaning_of(
    nodes: &[NodeProto],
    constants: &[TensorProto],
    output: ValueInfoProto,
) -> Option<Output> {
    let options = OnnxOptions { output: Some("y".into()), ..OnnxOptions::default() };
    let bytes = model(nodes, constants, &[floats("x", &[0, 2])], &[output]);
    let model = OnnxModel::from_bytes(&bytes, &options).unwrap();
    Predictor::output(&model)
}

fn classifier(outputs: &[&str]) -> NodeProto {
    node("LinearClassifier", &["x"], outputs)
        .floats("coefficients", &[1.0, 2.0, 0.5, -1.0])
        .floats("intercepts", &[0.5, 0.0])
        .ints("classlabels_ints", &[3, 4])
}

fn regressor(outputs: &[&str], n_targets: usize) -> NodeProto {
    node("LinearRegressor", &["x"], outputs)
        .floats("coefficients", &[1.0, 2.0, -1.0, 0.5][..2 * n_targets])
        .floats("intercepts", &[0.5, 0.0][..n_targets])
        .int("targets", i64::try_from(n_targets).unwrap())
}

fn product(to: &str) -> NodeProto {
    node("MatMul", &["x", "w"], &[to])
}

fn one_column() -> TensorProto {
    weights("w", &[2, 1], &[1.0, -1.0])
}

fn three_columns() -> TensorProto {
    weights("w", &[2, 3], &[1.0, -1.0, 0.5, 2.0, 0.0, 1.0])
}

#[test]
fn files_of_scikit_learn_say_what_they_are() {
    let cases = [
        ("iris_pipeline_logistic", Some(Output::Classes)),
        ("iris_random_forest", Some(Output::Classes)),
        ("adult_pipeline_mlp", Some(Output::Classes)),
        ("adult_pipeline_random_forest", Some(Output::Classes)),
        ("adult_pipeline_gbt", Some(Output::Classes)),
        ("iris_mlp", Some(Output::Classes)),
        ("wine_mlp", Some(Output::Classes)),
        ("wine_softmax", Some(Output::Classes)),
        ("cancer_mlp", Some(Output::Classes)),
        ("diabetes_mlp", None),
        ("diabetes_linear", None),
        ("diabetes_gbt_regressor", Some(Output::Score)),
    ];
    for (name, expected) in cases {
        let model = OnnxModel::open(fixture(&format!("{name}.onnx"))).unwrap();
        assert_eq!(Predictor::output(&model), expected, "{name}");
        assert_eq!(model.class_names(), model.class_labels(), "{name}");
    }
    let model = OnnxModel::open(fixture("iris_random_forest.onnx")).unwrap();
    assert_eq!(model.class_names().unwrap(), ["0", "1", "2"]);
}

#[test]
fn labels_of_scikit_learn_are_labels() {
    let names = [
        "iris_pipeline_logistic",
        "iris_random_forest",
        "adult_pipeline_mlp",
        "adult_pipeline_random_forest",
        "adult_pipeline_gbt",
    ];
    for name in names {
        let options = OnnxOptions { output: Some("output_label".into()), ..OnnxOptions::default() };
        let model = OnnxModel::open_with(fixture(&format!("{name}.onnx")), &options).unwrap();
        assert_eq!(Predictor::output(&model), Some(Output::Label), "{name}");
        assert_eq!(model.class_names(), None, "{name}");
    }
}

#[test]
fn a_classifier_has_classes_and_a_label() {
    assert_eq!(meaning(&[classifier(&["label", "y"])], &[]), Some(Output::Classes));
    let label = value("y", DataType::Int64, &[0]);
    assert_eq!(meaning_of(&[classifier(&["y", "scores"])], &[], label), Some(Output::Label));
    let normalized = [classifier(&["label", "s"]), node("Normalizer", &["s"], &["y"])];
    assert_eq!(meaning(&normalized, &[]), Some(Output::Classes));
    // One column of them is a number of which the graph does not say what it is.
    let picked =
        [classifier(&["label", "s"]), node("ArrayFeatureExtractor", &["s", "places"], &["y"])];
    assert_eq!(meaning(&picked, &[integers("places", &[1], &[1])]), None);
}

#[test]
fn a_regressor_has_scores_unless_it_transforms_them() {
    assert_eq!(meaning(&[regressor(&["y"], 1)], &[]), Some(Output::Score));
    assert_eq!(meaning(&[regressor(&["y"], 2)], &[]), Some(Output::Score));
    let moved = [regressor(&["s"], 1), node("Flatten", &["s"], &["y"])];
    assert_eq!(meaning(&moved, &[]), Some(Output::Score));
    let transformed =
        |n_targets, transform| regressor(&["y"], n_targets).word("post_transform", transform);
    assert_eq!(meaning(&[transformed(1, "LOGISTIC")], &[]), Some(Output::Probability));
    assert_eq!(meaning(&[transformed(2, "LOGISTIC")], &[]), None);
    assert_eq!(meaning(&[transformed(2, "SOFTMAX")], &[]), Some(Output::Classes));
    let sigmoid = [regressor(&["s"], 1), node("Sigmoid", &["s"], &["y"])];
    assert_eq!(meaning(&sigmoid, &[]), Some(Output::Probability));
}

#[test]
fn a_network_has_classes_after_a_softmax_and_a_probability_after_a_sigmoid() {
    let softmax = |axis: i64| [product("s"), node("Softmax", &["s"], &["y"]).int("axis", axis)];
    assert_eq!(meaning(&softmax(1), &[three_columns()]), Some(Output::Classes));
    assert_eq!(meaning(&softmax(-1), &[three_columns()]), Some(Output::Classes));
    // Of a single column it is always one.
    assert_eq!(meaning(&softmax(1), &[one_column()]), None);
    let sigmoid = [product("s"), node("Sigmoid", &["s"], &["y"])];
    assert_eq!(meaning(&sigmoid, &[one_column()]), Some(Output::Probability));
    // Several may be classes, or labels of which any number hold.
    assert_eq!(meaning(&sigmoid, &[three_columns()]), None);
    assert_eq!(meaning(&[product("y")], &[one_column()]), None);
    let label = value("y", DataType::Int64, &[0, 1]);
    let largest = [product("s"), node("ArgMax", &["s"], &["y"]).int("axis", 1)];
    assert_eq!(meaning_of(&largest, &[three_columns()], label), Some(Output::Label));
}

#[test]
fn a_softmax_of_an_image_has_no_classes() {
    let nodes = [node("Softmax", &["x"], &["y"]).int("axis", 1)];
    let bytes = model(&nodes, &[], &[floats("x", &[0, 2, 2])], &[floats("y", &[0, 2, 2])]);
    let model = OnnxModel::from_bytes(&bytes, &OnnxOptions::default()).unwrap();
    assert_eq!(Predictor::output(&model), None);
}

#[test]
fn a_reading_takes_what_the_graph_says() {
    let bytes =
        model(&[regressor(&["y"], 1)], &[], &[floats("x", &[0, 2])], &[floats("y", &[0, 1])]);
    let model = OnnxModel::from_bytes(&bytes, &OnnxOptions::default()).unwrap();
    // 0.5 without a declaration would be a probability.
    let outputs = model.evaluate(&array![[0.0, 0.0]]).unwrap();
    let reading = Reading::new(&Output::Auto, Predictor::output(&model), &outputs.row(0)).unwrap();
    assert_eq!(reading.meaning(), &Output::Score);
    assert!(reading.require_decision().is_err());
}

/// The sums of whole leaves are labels or counts: what they are is read from the numbers.
#[test]
fn trees_with_whole_leaves_say_nothing() {
    let stump = |weights: &[f32]| {
        node("TreeEnsembleRegressor", &["x"], &["y"])
            .ints("nodes_treeids", &[0, 0, 0])
            .ints("nodes_nodeids", &[0, 1, 2])
            .ints("nodes_featureids", &[0, 0, 0])
            .words("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"])
            .floats("nodes_values", &[0.5, 0.0, 0.0])
            .ints("nodes_truenodeids", &[1, 0, 0])
            .ints("nodes_falsenodeids", &[2, 0, 0])
            .ints("target_treeids", &[0, 0])
            .ints("target_nodeids", &[1, 2])
            .ints("target_ids", &[0, 0])
            .floats("target_weights", weights)
            .int("n_targets", 1)
    };
    assert_eq!(meaning(&[stump(&[0.0, 1.0])], &[]), None);
    assert_eq!(meaning(&[stump(&[0.0, 0.5])], &[]), Some(Output::Score));
    let mean = stump(&[0.0, 1.0]).word("aggregate_function", "AVERAGE");
    assert_eq!(meaning(&[mean], &[]), Some(Output::Score));
    let shifted = stump(&[0.0, 1.0]).floats("base_values", &[0.25]);
    assert_eq!(meaning(&[shifted], &[]), Some(Output::Score));
    let sigmoid = stump(&[-1.0, 1.0]).word("post_transform", "LOGISTIC");
    assert_eq!(meaning(&[sigmoid], &[]), Some(Output::Probability));
}
