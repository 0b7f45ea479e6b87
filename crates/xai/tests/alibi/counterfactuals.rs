//! Contrastive explanations and counterfactuals.

use serde_json::{Value, json};
use xai::Explanation;
use xai::alibi::{FromAlibiJson, to_alibi};

use crate::{merged, native};

fn gradient_params() -> Value {
    json!({
        "shape": null, "feature_range": [-1e10, [1.0, 2.0]], "eps": null, "learning_rate_init": 0.01,
        "max_iterations": 1000, "c_init": 10.0, "c_steps": 10, "output": "auto", "min_target_proba": null,
        "constraints": {}, "widen_range": false, "patience": 50, "polish": null, "sparsify": true, "fallback": true,
        "semantics": "native",
    })
}

fn elastic_net_params() -> Value {
    merged(
        gradient_params(),
        json!({
            "kappa": 0.0, "beta": 0.1, "gamma": 0.0, "clip": [-100.0, 100.0], "update_num_grad": 1, "momentum": true,
            "target_class": null,
        }),
    )
}

fn counterfactual_row(row: Value, outputs: Value, class: usize) -> Value {
    json!({
        "row": row,
        "outputs": outputs,
        "class": class,
        "distances": {"l1": 0.5, "l2": 0.4, "elastic_net": 0.5},
        "changes": [{"feature": "a", "from": "1", "to": "1.5", "by": 0.5}],
    })
}

pub(crate) fn cem(mode: &str, shape: Value) -> Explanation<Value> {
    let params = merged(
        elastic_net_params(),
        json!({"mode": mode, "shape": shape, "no_info_val": [0.0, 0.0], "no_info_type": "median", "crossing": false}),
    );
    let data = json!({
        "mode": mode,
        "status": "found",
        "reason": "Found.",
        "instance": [1.0, 2.0],
        "outputs": [0.9, 0.1],
        "class": 0,
        "classes": {"output": "classes", "names": ["no", "yes"]},
        "result": counterfactual_row(json!([1.5, 2.0]), json!([0.4, 0.6]), 1),
        "grads_graph": [0.25, 0.0],
        "grads_num": [-3.0, 0.5],
        "nearest_miss": null,
        "route": "descent",
        "trials": [],
        "feature_names": ["a", "b"],
        "no_info_val": [0.0, 0.0],
        "shape": shape,
        "stop": "converged",
    });
    native("cem", "blackbox", params, data)
}

#[test]
fn contrastive_explanations_fill_their_mode() {
    let expected = json!({
        "meta": {
            "name": "CEM", "type": ["blackbox", "tensorflow", "keras"], "explanations": ["local"],
            "params": {
                "mode": "PN", "shape": [1, 2], "kappa": 0.0, "beta": 0.1, "feature_range": [-1e10, [[1.0, 2.0]]],
                "gamma": 0.0, "learning_rate_init": 0.01, "max_iterations": 1000, "c_init": 10.0, "c_steps": 10,
                "eps": null, "clip": [-100.0, 100.0], "update_num_grad": 1, "no_info_val": [[0.0, 0.0]],
                "no_info_type": "median", "write_dir": null, "is_model": false, "is_ae": false,
            },
            "version": "0.1.0",
        },
        "data": {
            "PN": [[1.5, 2.0]], "PP": null, "PN_pred": 1, "PP_pred": null, "grads_graph": [[0.25, 0.0]],
            "grads_num": [[-3.0, 0.5]], "X": [[1.0, 2.0]], "X_pred": 0,
        },
    });
    let native = cem("pn", Value::Null);
    let document = to_alibi(&native).unwrap();
    assert_eq!(document, expected);
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    for key in ["mode", "status", "instance", "class", "grads_graph", "grads_num", "shape"] {
        assert_eq!(read.data[key], native.data[key], "{key}");
    }
    assert_eq!(read.data["result"], json!({"row": [1.5, 2.0], "class": 1}));
    for key in ["mode", "shape", "feature_range", "no_info_val", "c_init", "clip"] {
        assert_eq!(read.meta.params[key], native.meta.params[key], "{key}");
    }
}

#[test]
fn contrastive_explanations_of_images_have_their_shape() {
    let mut native = cem("pp", json!([2, 1]));
    let document = to_alibi(&native).unwrap();
    assert_eq!(document["meta"]["params"]["shape"], json!([1, 2, 1]));
    assert_eq!(document["data"]["PP"], json!([[[1.5], [2.0]]]));
    assert_eq!(document["data"]["PN"], Value::Null);
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.data["shape"], json!([2, 1]));
    assert_eq!(read.meta.params["shape"], json!([2, 1]));
    assert_eq!(read.data["result"]["row"], json!([1.5, 2.0]));
    // A row that does not fit the shape is an error.
    native.data["instance"] = json!([1.0, 2.0, 3.0]);
    let message = to_alibi(&native).unwrap_err().to_string();
    assert!(message.contains("`data.instance` of the cem document"), "{message}");
}

fn wachter(output: &str, outputs: Value, cf_outputs: Value) -> Explanation<Value> {
    let params = merged(
        gradient_params(),
        json!({
            "distance_fn": "l1", "target_proba": 1.0, "target_class": "other", "tol": 0.05, "decay": true,
            "require_argmax": null, "trace": 0, "learning_rate_init": 0.1, "eps": [0.01, 0.02],
        }),
    );
    let hit = json!({
        "index": 1012, "row": [1.75, 2.0], "outputs": cf_outputs, "distance": 0.75, "loss": 0.0775,
    });
    let data = json!({
        "status": "found",
        "reason": "Found.",
        "instance": [1.0, 2.0],
        "outputs": outputs,
        "class": 0,
        "classes": {"output": output, "names": ["no", "yes"]},
        "cf": counterfactual_row(json!([1.5, 2.0]), cf_outputs, 1),
        "step": {"lambda": 0.1, "index": 1012, "loss": 0.05},
        "nearest_miss": null,
        "route": "descent",
        "lambdas": [
            {"lambda": 0.1, "n_steps": 20, "n_hits": 4, "distance": 0.75, "hits": [hit]},
            {"lambda": 0.01, "n_steps": 9, "n_hits": 0, "distance": null, "hits": []},
        ],
        "feature_names": ["a", "b"],
        "shape": null,
        "stop": "converged",
    });
    native("counterfactual", "whitebox", params, data)
}

#[test]
fn counterfactuals_by_gradient_have_steps_with_their_hits() {
    let expected = json!({
        "meta": {
            "name": "Counterfactual", "type": ["blackbox", "tensorflow", "keras"], "explanations": ["local"],
            "params": {
                "shape": [1, 2], "distance_fn": "l1", "target_proba": 1.0, "target_class": "other", "max_iter": 1000,
                "early_stop": 50, "lam_init": 0.1, "max_lam_steps": 10, "tol": 0.05, "learning_rate_init": 0.1,
                "feature_range": [-1e10, [[1.0, 2.0]]], "eps": [[0.01, 0.02]], "init": "identity", "decay": true,
                "write_dir": null, "debug": false, "kwargs": {}, "is_model": true,
            },
            "version": "0.1.0",
        },
        "data": {
            "cf": {
                "X": [[1.5, 2.0]], "distance": 0.5, "lambda": 0.1, "index": 1012, "class": 1, "proba": [[0.25, 0.75]],
                "loss": 0.05,
            },
            "all": {
                "0": [{
                    "X": [[1.75, 2.0]], "distance": 0.75, "lambda": 0.1, "index": 1012, "class": 1,
                    "proba": [[0.25, 0.75]], "loss": 0.0775,
                }],
                "1": [],
            },
            "orig_class": 0,
            "orig_proba": 0.875,
            "success": true,
        },
    });
    let native = wachter("classes", json!([0.875, 0.125]), json!([0.25, 0.75]));
    let document = to_alibi(&native).unwrap();
    assert_eq!(document, expected);
    // The probability of class 1 alone is written as those of both classes.
    let one = wachter("probability", json!([0.125]), json!([0.75]));
    assert_eq!(to_alibi(&one).unwrap(), expected);

    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    for key in ["status", "class", "step"] {
        assert_eq!(read.data[key], native.data[key], "{key}");
    }
    let cf = json!({
        "row": [1.5, 2.0], "outputs": [0.25, 0.75], "class": 1, "distances": {"elastic_net": 0.5, "l1": 0.5},
    });
    assert_eq!(read.data["cf"], cf);
    assert_eq!(read.data["lambdas"][0]["hits"], native.data["lambdas"][0]["hits"]);
    assert_eq!(read.data["lambdas"][1], json!({"n_hits": 0, "distance": null, "hits": []}));
    for key in ["c_init", "c_steps", "patience", "max_iterations", "eps", "feature_range"] {
        assert_eq!(read.meta.params[key], native.meta.params[key], "{key}");
    }
    assert_eq!(serde_json::to_value(read.meta.kind).unwrap(), "whitebox");
}

#[test]
fn a_search_without_counterfactual_has_none() {
    let mut native = wachter("classes", json!([0.875, 0.125]), json!([0.25, 0.75]));
    native.data["cf"] = Value::Null;
    native.data["step"] = Value::Null;
    native.data["lambdas"] = json!([]);
    let document = to_alibi(&native).unwrap();
    let expected = json!({
        "cf": null, "all": {}, "orig_class": 0, "orig_proba": 0.875, "success": false,
    });
    assert_eq!(document["data"], expected);
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    let expected = json!({
        "class": 0, "status": "not-found", "cf": null, "step": null, "lambdas": [],
    });
    assert_eq!(read.data, expected);
}

pub(crate) fn cfproto(kind: &str) -> Explanation<Value> {
    let params = merged(
        elastic_net_params(),
        json!({
            "theta": 100.0, "use_kdtree": true, "d_type": "abdm-mvdm", "w": 0.5, "disc_perc": [25.0, 50.0, 75.0],
            "trustscore_kwargs": {"k_filter": 10, "alpha": 0.0, "filter_type": "distance-knn", "leaf_size": 40,
                "metric": "euclidean", "dist_filter_type": "point"},
            "smoothing": null, "smooth": 1.0, "center": true, "standardize_cat_vars": false,
            "update_feature_range": true, "instance_class": null, "k": null, "k_type": "mean", "threshold": 0.0,
            "clip": [-20.0, 20.0],
        }),
    );
    let data = json!({
        "status": "found",
        "reason": "Found.",
        "instance": [1.0, 2.0],
        "outputs": [0.875, 0.125],
        "class": 0,
        "classes": {"output": "classes", "names": ["no", "yes"]},
        "cf": counterfactual_row(json!([1.5, 2.0]), json!([0.25, 0.75]), 1),
        "grads_graph": [1.0, -2.0],
        "grads_num": [0.5, -4.0],
        "trust": 2.0,
        "nearest_miss": null,
        "route": "descent",
        "trials": [
            {"c": 1.0, "n_steps": 9, "distance": null, "smallest_hinge": 0.5},
            {"c": 10.0, "n_steps": 9, "distance": 0.5, "smallest_hinge": 0.0},
            {"c": 5.0, "n_steps": 9, "distance": 0.75, "smallest_hinge": 0.0},
        ],
        "id_proto": 1,
        "feature_names": ["a", "b"],
        "feature_values": ["1", "2"],
        "fit_queries": 0,
        "shape": null,
        "stop": "converged",
    });
    native("cfproto", kind, params, data)
}

#[test]
fn prototype_counterfactuals_have_the_gradients_of_the_attack_loss() {
    let native = cfproto("blackbox");
    let document = to_alibi(&native).unwrap();
    let expected = json!({
        "cf": {
            "X": [[1.5, 2.0]], "class": 1, "proba": [[0.25, 0.75]], "grads_graph": [[1.0, -2.0]],
            "grads_num": [[-5.0, 20.0]],
        },
        "all": {}, "orig_class": 0, "orig_proba": [[0.875, 0.125]], "id_proto": 1,
    });
    assert_eq!(document["data"], expected);
    let expected = json!({
        "shape": [1, 2], "kappa": 0.0, "beta": 0.1, "feature_range": [-1e10, [[1.0, 2.0]]], "gamma": 0.0,
        "theta": 100.0, "cat_vars": null, "ohe": false, "use_kdtree": true, "learning_rate_init": 0.01,
        "max_iterations": 1000, "c_init": 10.0, "c_steps": 10, "eps": null, "clip": [-20.0, 20.0],
        "update_num_grad": 1, "write_dir": null, "is_model": false, "is_ae": false, "is_enc": false, "is_cat": null,
        "enc_or_kdtree": true, "d_type": "abdm-mvdm", "w": 0.5, "disc_perc": [25.0, 50.0, 75.0],
        "standardize_cat_vars": false, "smooth": 1.0, "center": true, "update_feature_range": true,
        "trustscore_kwargs": {"k_filter": 10, "alpha": 0.0, "filter_type": "distance_knn", "leaf_size": 40,
            "metric": "euclidean", "dist_filter_type": "point"},
    });
    assert_eq!(document["meta"]["params"], expected);
    assert_eq!(document["meta"]["name"], "CounterfactualProto");

    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    for key in ["status", "class", "outputs", "id_proto", "grads_graph", "shape"] {
        assert_eq!(read.data[key], native.data[key], "{key}");
    }
    let cf = json!({"row": [1.5, 2.0], "outputs": [0.25, 0.75], "class": 1});
    assert_eq!(read.data["cf"], cf);
    assert_eq!(read.data.get("grads_num"), None);
    assert_eq!(read.meta.params["trustscore_kwargs"], native.meta.params["trustscore_kwargs"]);
}

#[test]
fn the_attack_loss_of_a_white_box_is_in_the_gradient_of_the_graph() {
    let document = to_alibi(&cfproto("whitebox")).unwrap();
    assert_eq!(document["meta"]["params"]["is_model"], true);
    assert_eq!(document["data"]["cf"]["grads_graph"], json!([[-4.0, 20.0]]));
    assert_eq!(document["data"]["cf"]["grads_num"], json!([[0.0, 0.0]]));
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.data.get("grads_graph"), None);
}

#[test]
fn grid_counterfactuals_have_the_arrays_of_the_tuple() {
    let params = json!({
        "counterfactual_class": null, "output": "auto", "class_names": null, "max_counterfactual_length": 2,
        "counterfactual_feature_indices": null, "categorical_indices": null, "numerical_indices": null,
        "feature_ranges": {"a": [0.0, 5.0]}, "step_sizes": {"a": 0.5}, "default_numerical_step_size": 1.0,
        "distance_functions": {}, "normalise_distance": false, "inclusive_end": true, "anchor": "min",
        "include_instance_value": false, "answers": "each-set", "prune_supersets": false, "allow_same_class": false,
        "first_batch": 16, "constraints": {}, "semantics": "native",
    });
    let data = json!({
        "status": "found", "stop": "converged", "counterfactuals": [[2.0, 0.0]], "distances": [1.0],
        "predictions": ["yes"], "changes": [[{"feature": "a", "from": "1", "to": "2", "by": 1.0}]],
        "optimal": [true], "gaps": [0.0], "lower_bound": 1.0, "instance": [1.0, 0.0], "instance_prediction": "no",
        "feature_names": ["a", "b"], "feature_values": ["1", "0"], "out_of_range": [], "n_points": 9,
        "n_combinations": 3, "n_combinations_searched": 3, "n_combinations_pruned": 0,
    });
    let native = native("grid-counterfactual", "blackbox", params, data);
    let document = to_alibi(&native).unwrap();
    let expected = json!({
        "meta": {
            "name": "CounterfactualExplainer", "type": ["blackbox"], "explanations": ["local"],
            "params": {
                "max_counterfactual_length": 2, "feature_ranges": {"a": [0.0, 5.0]}, "step_sizes": {"a": 0.5},
                "counterfactual_feature_indices": null, "normalise_distance": false, "counterfactual_class": null,
                "distance": {},
            },
            "version": "0.1.0",
        },
        "data": {
            "instance": [1.0, 0.0], "instance_prediction": "no", "counterfactuals": [[2.0, 0.0]], "distances": [1.0],
            "predictions": ["yes"], "changed_features": [["a"]], "n_predictions": 1701, "truncated": false,
        },
    });
    assert_eq!(document, expected);
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.meta.queries, 1701);
    for key in ["status", "stop", "counterfactuals", "distances", "predictions", "instance"] {
        assert_eq!(read.data[key], native.data[key], "{key}");
    }
    assert_eq!(read.data["changes"], json!([[{"feature": "a"}]]));
}
