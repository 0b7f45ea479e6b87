//! KernelSHAP.

use serde_json::{Value, json};
use xai::Explanation;
use xai::alibi::{FromAlibiJson, from_alibi_json, to_alibi, to_alibi_many};

use crate::native;

fn shap_params() -> Value {
    json!({
        "absolute_tolerance": null, "allow_missing": false, "allow_partial_groups": false, "background_error": true,
        "background_seed": 0, "cat_vars_enc_dim": null, "cat_vars_start_idx": null, "confidence": 0.95,
        "estimator": "auto", "fixed_features": [], "group_names": null, "groups": null, "l1_reg": false,
        "link": "identity", "link_epsilon": 1e-15, "model_interactions": true, "n_background_samples": 300,
        "nsamples": "auto", "output": "auto", "round_background": true, "semantics": "native", "share_design": true,
        "summarise_background": "none", "summarise_result": false, "task": "regression", "tolerance": null,
        "top_k": 5, "weights": null,
    })
}

fn shap(
    task: &str,
    values: Value,
    raw_prediction: Value,
    prediction: Value,
    instance: Value,
) -> Explanation<Value> {
    let data = json!({
        "shap_values": values,
        "expected_value": [2.5],
        "standard_errors": null,
        "confidence_intervals": null,
        "background_error": null,
        "ranking": null,
        "estimator": "exact",
        "exact": true,
        "n_coalitions": 6,
        "stop": "converged",
        "selected": null,
        "feature_names": ["a", "b", "c"],
        "feature_values": ["1", "1", "1"],
        "categorical_names": {},
        "output_names": ["0"],
        "raw_prediction": raw_prediction,
        "prediction": prediction,
        "instance": instance,
    });
    let mut explanation = native("kernel-shap", "blackbox", shap_params(), data);
    explanation.meta.task = Some(task.to_owned());
    explanation
}

/// Two rows of a linear model with one output.
pub(crate) fn linear() -> [Explanation<Value>; 2] {
    [
        shap(
            "regression",
            json!([[0.0, -2.0, 2.0]]),
            json!([2.5]),
            Value::Null,
            json!([1.0, 1.0, 1.0]),
        ),
        shap(
            "regression",
            json!([[2.0, -4.0, 1.0]]),
            json!([1.5]),
            Value::Null,
            json!([3.0, 0.0, 2.0]),
        ),
    ]
}

#[test]
fn kernel_shap_of_several_rows_is_one_document() {
    let expected = json!({
        "meta": {
            "name": "KernelShap", "type": ["blackbox"], "task": "regression", "explanations": ["local", "global"],
            "params": {
                "link": "identity", "group_names": null, "grouped": false, "groups": null, "weights": null,
                "summarise_background": false, "summarise_result": false, "transpose": false, "kwargs": {},
            },
            "version": "0.1.0",
        },
        "data": {
            "shap_values": [[[0.0, -2.0, 2.0], [2.0, -4.0, 1.0]]],
            "expected_value": [2.5],
            "categorical_names": {},
            "feature_names": ["a", "b", "c"],
            "raw": {
                "raw_prediction": [2.5, 1.5],
                "prediction": [],
                "instances": [[1.0, 1.0, 1.0], [3.0, 0.0, 2.0]],
                "importances": {
                    "0": {"ranked_effect": [3.0, 1.5, 1.0], "names": ["b", "c", "a"]},
                    "aggregated": {"ranked_effect": [3.0, 1.5, 1.0], "names": ["b", "c", "a"]},
                },
            },
        },
    });
    assert_eq!(to_alibi_many(&linear()).unwrap(), expected);
}

#[test]
fn kernel_shap_ranks_the_later_of_equal_features_first() {
    let values = json!([[1.0, -1.0, 0.0]]);
    let row = shap("regression", values, json!([2.5]), Value::Null, json!([0.0, 0.0, 0.0]));
    let document = to_alibi(&row).unwrap();
    let ranked = &document["data"]["raw"]["importances"]["aggregated"];
    assert_eq!(ranked, &json!({"ranked_effect": [1.0, 1.0, 0.0], "names": ["b", "a", "c"]}));
}

#[test]
fn kernel_shap_of_two_classes_has_axes_of_outputs_and_sums_effects() {
    let row = |x: f64, class: Value| {
        let mut row = shap(
            "classification",
            json!([[x, 0.0, 0.0], [-x, 1.0, 0.0]]),
            json!([0.25, 0.75]),
            class,
            json!([x, 0.0, 0.0]),
        );
        row.data["expected_value"] = json!([0.5, 0.5]);
        row
    };
    // The outputs of the second row are no decision: alibi's argmax takes its place.
    let document = to_alibi_many(&[row(1.0, json!(1)), row(3.0, Value::Null)]).unwrap();
    let data = &document["data"];
    assert_eq!(document["meta"]["task"], "classification");
    let outputs =
        json!([[[1.0, 0.0, 0.0], [3.0, 0.0, 0.0]], [[-1.0, 1.0, 0.0], [-3.0, 1.0, 0.0]],]);
    assert_eq!(data["shap_values"], outputs);
    assert_eq!(data["raw"]["raw_prediction"], json!([[0.25, 0.75], [0.25, 0.75]]));
    assert_eq!(data["raw"]["prediction"], json!([1, 1]));
    let aggregated = &data["raw"]["importances"]["aggregated"];
    assert_eq!(aggregated["ranked_effect"], json!([4.0, 1.0, 0.0]));
    assert_eq!(data["raw"]["importances"]["1"]["names"], json!(["a", "b", "c"]));
}

#[test]
fn kernel_shap_is_read_row_by_row() {
    let text = r#"{"meta":{"name":"KernelShap","type":["blackbox"],"task":"regression","explanations":["local","global"],
        "params":{"link":"identity","group_names":null,"grouped":false,"groups":null,"weights":null,
            "summarise_background":true,"summarise_result":false,"transpose":false,"kwargs":{}},"version":"0.9.6"},
        "data":{"shap_values":[[[0.0,-2.0,2.0],[2.0,-4.0,1.0]]],"expected_value":[2.5],"categorical_names":{},
            "feature_names":["a","b","c"],
            "raw":{"raw_prediction":[2.5,1.5],"prediction":[],"instances":[[1.0,1.0,1.0],[3.0,0.0,2.0]],
                "importances":{}}}}"#;
    let rows = from_alibi_json(text).unwrap();
    assert_eq!(rows.len(), 2);
    let meta = serde_json::to_value(&rows[1].meta).unwrap();
    let expected = json!({
        "name": "kernel-shap", "type": "blackbox", "task": "regression", "scope": ["local", "global"],
        "params": {
            "link": "identity", "group_names": null, "groups": null, "weights": null,
            "summarise_background": "auto", "summarise_result": false, "task": "regression",
        },
        "version": "0.9.6", "seed": "unknown", "queries": 0,
        "warnings": [{
            "code": "alibi.unrecorded",
            "message": "the document does not say the seed and the number of queries",
        }],
    });
    assert_eq!(meta, expected);
    let expected = json!({
        "shap_values": [[2.0, -4.0, 1.0]],
        "expected_value": [2.5],
        "feature_names": ["a", "b", "c"],
        "categorical_names": {},
        "output_names": ["0"],
        "raw_prediction": [1.5],
        "prediction": null,
        "instance": [3.0, 0.0, 2.0],
    });
    assert_eq!(rows[1].data, expected);
}

#[test]
fn kernel_shap_of_a_row_without_batch_axis_is_read() {
    let text = r#"{"meta":{"name":"KernelShap","type":["blackbox"],"task":"classification","explanations":[],
        "params":{},"version":"0.9.6"},
        "data":{"shap_values":[[1.0,2.0],[-1.0,-2.0]],"expected_value":[0.1,0.9],"categorical_names":{},
            "feature_names":[],"raw":{"raw_prediction":[[3.1,-2.1]],"prediction":[0],"instances":[5.0,6.0]}}}"#;
    let row = Explanation::from_alibi_json(text).unwrap();
    assert_eq!(row.data["shap_values"], json!([[1.0, 2.0], [-1.0, -2.0]]));
    assert_eq!(row.data["raw_prediction"], json!([3.1, -2.1]));
    assert_eq!(row.data["instance"], json!([5.0, 6.0]));
    assert_eq!(row.data["prediction"], 0);
}
