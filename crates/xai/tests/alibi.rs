//! Native documents written in alibi's layout, and documents of alibi read.

use serde_json::{Value, json};
use xai::Explanation;
use xai::alibi::{AlibiError, FromAlibiJson, from_alibi_json, to_alibi, to_alibi_many};

/// A native document as the method crates write it.
fn native(name: &str, kind: &str, params: Value, data: Value) -> Explanation<Value> {
    let document = json!({
        "schema": "xai-explanation/1",
        "meta": {
            "name": name,
            "type": kind,
            "scope": ["local"],
            "params": params,
            "version": "0.1.0",
            "seed": "7",
            "queries": 1701,
            "warnings": [],
        },
        "data": data,
    });
    serde_json::from_value(document).unwrap()
}

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
fn linear() -> [Explanation<Value>; 2] {
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

fn estimate(mean: f64) -> Value {
    json!({"n_samples": 100, "positives": 50, "mean": mean, "interval": {"lower": 0.0, "upper": 1.0}})
}

fn coverage(share: f64) -> Value {
    json!({"n_rows": 40, "n_covered": 8, "coverage": share, "exact": true, "interval": null})
}

fn search_params() -> Value {
    json!({
        "batch_size": 100, "beam_size": 1, "coverage_gain": 0.2, "coverage_samples": 10000, "coverage_sweep": true,
        "delta": 0.1, "epsilon_stop": 0.05, "exploration": "practical", "final_samples": 1000, "max_anchor_size": null,
        "max_samples": 1_000_000, "min_samples_start": 100, "n_covered_ex": 1, "output": "auto", "semantics": "native",
        "stop_on_first": false, "strict": false, "tau": 0.15, "threshold": 0.95, "top_k": 0, "verbose": false,
        "verbose_every": 1,
    })
}

fn alibi_search_params() -> Value {
    json!({
        "seed": 7, "threshold": 0.95, "delta": 0.1, "tau": 0.15, "batch_size": 100, "coverage_samples": 10000,
        "beam_size": 1, "stop_on_first": false, "max_anchor_size": null, "min_samples_start": 100, "n_covered_ex": 1,
        "binary_cache_size": 10000, "cache_margin": 1000, "verbose": false, "verbose_every": 1, "kwargs": {},
    })
}

/// Two objects in one.
fn merged(mut first: Value, second: Value) -> Value {
    let (Value::Object(fields), Value::Object(others)) = (&mut first, second) else {
        panic!("two objects");
    };
    fields.extend(others);
    first
}

/// What all anchors have; the search added one predicate after the other.
fn anchor_result() -> Value {
    json!({
        "precision": 1.0,
        "coverage": 0.2,
        "status": "found",
        "reason": "",
        "stop": "converged",
        "valid": true,
        "decision": 1.0,
        "output": "classes",
        "certificate": null,
        "coverage_of": coverage(0.2),
        "base_rate": estimate(0.22),
        "best_of_size": [estimate(0.505), estimate(1.0)],
        "queries": {"instance": 1, "search": 700, "certificate": 1000, "search_requests": 5},
        "candidates": [],
    })
}

fn tabular() -> Explanation<Value> {
    let predicate = |feature: usize, text: &str, precision: f64, share: f64| {
        json!({
            "feature": feature, "name": "", "text": text, "op": "le", "value": 26.0, "category": null,
            "edge_index": 0, "precision": estimate(precision), "gain": 0.1, "coverage": coverage(share),
        })
    };
    let data = json!({
        "anchor": ["home = rented", "21.00 < age <= 26.00"],
        "predicates": [
            predicate(2, "home = rented", 0.505, 0.5),
            predicate(0, "age <= 26.00", 0.75, 0.3),
            predicate(0, "age > 21.00", 1.0, 0.2),
        ],
        "rule": {"conditions": [], "decision": 1.0, "output": "auto"},
        "examples": [
            {"covered_true": [[26.0, 3.5, 0.0]], "covered_false": [[48.0, 4.5, 0.0]]},
            {"covered_true": [[22.0, 4.5, 0.0]], "covered_false": []},
            {"covered_true": [[22.0, 4.5, 0.0]], "covered_false": []},
        ],
        "instance": [26.0, 3.5, 0.0],
    });
    let params = merged(
        search_params(),
        json!({
            "disc_perc": [25.0, 50.0, 75.0], "edges": {}, "sampling": "mixed", "row_weights": null, "missing": "error",
            "coverage": "auto",
        }),
    );
    native("anchor-tabular", "blackbox", params, merged(anchor_result(), data))
}

#[test]
fn anchors_of_rows_have_one_feature_for_each_name_and_a_precision_for_each_predicate() {
    let example = |yes: Value, no: Value| json!({"covered_true": yes, "covered_false": no, "uncovered_true": [], "uncovered_false": []});
    let expected = json!({
        "meta": {
            "name": "AnchorTabular", "type": ["blackbox"], "explanations": ["local"],
            "params": merged(alibi_search_params(), json!({"disc_perc": [25.0, 50.0, 75.0]})), "version": "0.1.0",
        },
        "data": {
            "anchor": ["home = rented", "21.00 < age <= 26.00"],
            "precision": 1.0,
            "coverage": 0.2,
            "raw": {
                "feature": [2, 0],
                "mean": [0.505, 0.75, 1.0],
                "precision": [0.505, 0.75, 1.0],
                "coverage": [0.5, 0.3, 0.2],
                "examples": [
                    example(json!([[26.0, 3.5, 0.0]]), json!([[48.0, 4.5, 0.0]])),
                    example(json!([[22.0, 4.5, 0.0]]), json!([])),
                    example(json!([[22.0, 4.5, 0.0]]), json!([])),
                ],
                "all_precision": 0.22,
                "num_preds": 1701,
                "success": true,
                "names": ["home = rented", "21.00 < age <= 26.00"],
                "prediction": [1],
                "instance": [26.0, 3.5, 0.0],
                "instances": [[26.0, 3.5, 0.0]],
            },
        },
    });
    assert_eq!(to_alibi(&tabular()).unwrap(), expected);
}

#[test]
fn anchors_of_rows_are_read_back() {
    let text = to_alibi(&tabular()).unwrap().to_string();
    let read = Explanation::from_alibi_json(&text).unwrap();
    assert_eq!((read.meta.seed.as_str(), read.meta.queries), ("7", 1701));
    assert_eq!(read.meta.warnings, []);
    assert_eq!(read.meta.params["disc_perc"], json!([25.0, 50.0, 75.0]));
    for gone in ["binary_cache_size", "cache_margin", "kwargs", "seed"] {
        assert_eq!(read.meta.params.get(gone), None, "{gone}");
    }
    let native = tabular();
    for key in
        ["anchor", "precision", "coverage", "status", "valid", "decision", "examples", "instance"]
    {
        assert_eq!(read.data[key], native.data[key], "{key}");
    }
    assert_eq!(read.data["base_rate"]["mean"], 0.22);
    // Three predicates and two names: which predicate is which is not in alibi's document.
    let predicate = json!({"precision": {"mean": 0.75}, "coverage": {"coverage": 0.3}});
    assert_eq!(read.data["predicates"][1], predicate);
}

#[test]
fn an_empty_anchor_of_alibi_is_read() {
    // As alibi 0.9.6 writes it: the precision in a list, the capacity of the cache for the number of predictions.
    let text = r#"{"meta":{"name":"AnchorTabular","type":["blackbox"],"explanations":["local"],
        "params":{"seed":null,"disc_perc":[25,50,75],"batch_size":100,"binary_cache_size":10000,"verbose":false},
        "version":"0.9.6"},
        "data":{"anchor":[],"precision":[1.0],"coverage":1,
            "raw":{"feature":[],"mean":[],"precision":[],"coverage":[],"examples":[],"all_precision":1.0,
                "num_preds":1000000,"success":true,"names":[],"prediction":[2],"instance":[1.0],"instances":[[1.0]]}}}"#;
    let read = Explanation::from_alibi_json(text).unwrap();
    assert_eq!((read.meta.seed.as_str(), read.meta.queries), ("unknown", 0));
    assert_eq!(read.data["precision"], 1.0);
    assert_eq!(read.data["status"], "empty");
    assert_eq!(read.data["decision"], 2.0);
    assert_eq!(read.data["base_rate"], json!({"mean": 1.0}));
}

fn text(strategy: &str, first_token: Value) -> Explanation<Value> {
    let data = json!({
        "anchor": ["bad"],
        "predicates": [{
            "feature": 2, "word": "bad", "span": [6, 9], "byte_span": [7, 10], "first_token": first_token,
            "precision": estimate(1.0), "gain": 0.78, "coverage": coverage(0.5),
        }],
        "corpus_coverage": null,
        "examples": [{"covered_true": ["UNK is bad"], "covered_false": []}],
        "instance": "Él is bad",
    });
    let params = merged(
        search_params(),
        json!({
            "sampling_strategy": strategy, "sample_proba": 0.5, "mask_string": "UNK", "top_n": 100, "temperature": 1.0,
            "use_proba": false, "forbidden_words": ["be"], "forbidden_lemmas": [], "forbidden_tags": ["PRP$"],
            "perturbed_pos": ["NOUN"], "same_tag": true, "n_nearest": 500, "min_log_probability": -15.0,
            "filling": "parallel", "frac_mask_templates": 0.1, "batch_size_lm": 32, "punctuation": "!",
            "stopwords": [], "sample_punctuation": false, "join": "splice",
        }),
    );
    native("anchor-text", "blackbox", params, merged(anchor_result(), data))
}

#[test]
fn anchors_of_texts_have_positions_in_characters() {
    let document = to_alibi(&text("unknown", Value::Null)).unwrap();
    let expected = json!({
        "anchor": ["bad"],
        "precision": 1.0,
        "coverage": 0.2,
        "raw": {
            "feature": [2],
            "mean": [1.0],
            "precision": [1.0],
            "coverage": [0.5],
            "examples": [{
                "covered_true": ["UNK is bad"], "covered_false": [], "uncovered_true": [], "uncovered_false": [],
            }],
            "all_precision": 0.22,
            "num_preds": 1701,
            "success": true,
            "names": ["bad"],
            "positions": [6],
            "prediction": [1],
            "instance": "Él is bad",
            "instances": ["Él is bad"],
        },
    });
    assert_eq!(document["data"], expected);
    let options = json!({"sampling_strategy": "unknown", "sample_proba": 0.5});
    assert_eq!(document["meta"]["params"], merged(alibi_search_params(), options));
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    let predicate = json!({
        "feature": 2, "word": "bad", "span": [6, 9], "byte_span": [7, 10], "first_token": null,
        "precision": {"mean": 1.0}, "coverage": {"coverage": 0.5},
    });
    assert_eq!(read.data["predicates"], json!([predicate]));
    assert_eq!(read.data["instance"], "Él is bad");
}

#[test]
fn anchors_of_texts_by_a_language_model_have_positions_in_tokens() {
    let document = to_alibi(&text("language-model", json!(3))).unwrap();
    assert_eq!(document["data"]["raw"]["positions"], json!([3]));
    let options = json!({
        "sampling_strategy": "language_model", "sample_proba": 0.5, "top_n": 100, "temperature": 1.0,
        "use_proba": false, "filling": "parallel", "frac_mask_templates": 0.1, "batch_size_lm": 32, "punctuation": "!",
        "stopwords": [], "sample_punctuation": false,
    });
    assert_eq!(document["meta"]["params"], merged(alibi_search_params(), options));
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.data["predicates"][0]["first_token"], 3);
    assert_eq!(read.meta.params["sampling_strategy"], "language-model");
}

#[test]
fn anchors_of_images_are_bytes_inside_and_black_outside() {
    let data = json!({
        "predicates": [{
            "superpixel": 1, "label": 1, "n_pixels": 2,
            "bounding_box": {"top": 0, "left": 1, "bottom": 2, "right": 2},
            "precision": estimate(1.0), "gain": 0.78, "coverage": coverage(0.5),
        }],
        "unchangeable": [],
        "examples": [],
        "images_background": null,
        "segments": [[0, 1], [0, 1]],
        "labels": [0, 1],
        "instance": [[[-1.0], [0.0]], [[0.5], [1.0]]],
    });
    let slic = json!({"n_segments": 10, "compactness": 10.0, "sigma": 0.5, "max_num_iter": 10});
    let image = json!({"dtype": "float", "segmentation_fn": {"slic": slic}, "p_sample": 0.5});
    let params = merged(search_params(), image);
    let image = native("anchor-image", "blackbox", params, merged(anchor_result(), data));
    let document = to_alibi(&image).unwrap();
    let expected = json!({
        "anchor": [[[0], [127]], [[0], [255]]],
        "segments": [[0, 1], [0, 1]],
        "precision": 1.0,
        "coverage": 0.2,
        "raw": {
            "feature": [1],
            "mean": [1.0],
            "precision": [1.0],
            "coverage": [0.5],
            "examples": [],
            "all_precision": 0.22,
            "num_preds": 1701,
            "success": true,
            "prediction": [1],
            "instance": [[[-1.0], [0.0]], [[0.5], [1.0]]],
            "instances": [[[[-1.0], [0.0]], [[0.5], [1.0]]]],
        },
    });
    assert_eq!(document["data"], expected);
    let own = json!({
        "custom_segmentation": false, "segmentation_fn": "slic", "segmentation_kwargs": slic, "p_sample": 0.5,
        "image_shape": [2, 2, 1], "images_background": null,
    });
    assert_eq!(document["meta"]["params"], merged(alibi_search_params(), own));
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.meta.params["segmentation_fn"], image.meta.params["segmentation_fn"]);
    assert_eq!(read.data["segments"], image.data["segments"]);
    assert_eq!(read.data["predicates"][0]["superpixel"], 1);
}

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

fn cem(mode: &str, shape: Value) -> Explanation<Value> {
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

fn cfproto(kind: &str) -> Explanation<Value> {
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

fn gradients(x: f64, target: Value) -> Explanation<Value> {
    let params = json!({
        "method": "riemann-trapezoid", "n_steps": 50, "internal_batch_size": 100, "target": "predicted",
        "output": "auto", "baselines": 0.0, "layer": null, "attribute_to_layer_inputs": false, "layer_tensors": [],
        "inputs": [], "output_shape": null, "multiply_by_inputs": true, "tolerance": null, "absolute_tolerance": 1e-6,
        "max_steps": 1000, "noise_tunnel": null, "curve": false, "semantics": "native",
    });
    let data = json!({
        "attributions": [[x, 0.5]],
        "standard_errors": null,
        "quadrature_errors": null,
        "instance": [[x, 1.0]],
        "passed_inputs": {"mask": [1.0, 0.0]},
        "baselines": [[[0.0, 0.25]]],
        "baseline_weights": [1.0],
        "predictions": [x, 0.0],
        "output": x,
        "baseline_outputs": [0.0],
        "deltas": [0.125],
        "relative_deltas": [0.1],
        "delta_standard_errors": null,
        "target": target,
        "target_name": null,
        "steps": [50],
        "n_samples": 1,
        "status": "complete",
        "reason": "",
        "stop": "converged",
        "curve": null,
        "input_names": ["input"],
        "tensor_names": ["input"],
        "feature_names": ["a", "b"],
    });
    native("integrated-gradients", "whitebox", params, data)
}

#[test]
fn integrated_gradients_have_a_batch_axis() {
    let expected = json!({
        "meta": {
            "name": "IntegratedGradients", "type": ["whitebox"], "explanations": ["local"],
            "params": {
                "target_fn": {"$fn": "argmax"}, "method": "riemann_trapezoid", "n_steps": 50,
                "internal_batch_size": 100, "layer": "unspecified",
            },
            "version": "0.1.0",
        },
        "data": {
            "attributions": [[[3.0, 0.5], [5.0, 0.5]]],
            "X": [[3.0, 1.0], [5.0, 1.0]],
            "forward_kwargs": {"mask": [[1.0, 0.0], [1.0, 0.0]]},
            "baselines": [[0.0, 0.25], [0.0, 0.25]],
            "predictions": [[3.0, 0.0], [5.0, 0.0]],
            "deltas": [0.125, 0.125],
            "target": [0, 1],
        },
    });
    let natives = [gradients(3.0, json!(0)), gradients(5.0, json!(1))];
    let document = to_alibi_many(&natives).unwrap();
    assert_eq!(document, expected);
    let read = from_alibi_json(&document.to_string()).unwrap();
    for (read, native) in read.iter().zip(&natives) {
        for key in [
            "attributions",
            "instance",
            "passed_inputs",
            "baselines",
            "baseline_weights",
            "predictions",
            "deltas",
            "target",
        ] {
            assert_eq!(read.data[key], native.data[key], "{key}");
        }
        for key in ["method", "n_steps", "internal_batch_size", "layer", "target"] {
            assert_eq!(read.meta.params[key], native.meta.params[key], "{key}");
        }
    }
}

#[test]
fn integrated_gradients_of_several_inputs_are_lists() {
    let mut native = gradients(3.0, Value::Null);
    native.data["attributions"] = json!([[3.0, 0.5], [[1.0]]]);
    native.data["instance"] = json!([[3.0, 1.0], [[2.0]]]);
    native.data["baselines"] = json!([[[0.0, 0.0]], [[[0.0]]]]);
    native.meta.params["method"] = json!("gauss-legendre");
    native.meta.params["target"] = Value::Null;
    let document = to_alibi(&native).unwrap();
    assert_eq!(document["meta"]["params"]["method"], "gausslegendre");
    assert_eq!(document["meta"]["params"]["target_fn"], Value::Null);
    assert_eq!(document["data"]["X"], json!([[[3.0, 1.0]], [[[2.0]]]]));
    assert_eq!(document["data"]["baselines"], json!([[[0.0, 0.0]], [[[0.0]]]]));
    assert_eq!(document["data"]["target"], Value::Null);
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    for key in ["attributions", "instance", "baselines", "target"] {
        assert_eq!(read.data[key], native.data[key], "{key}");
    }
}

#[test]
fn several_baselines_have_no_place() {
    let mut native = gradients(3.0, json!(0));
    native.data["baselines"] = json!([[[0.0, 0.0], [1.0, 1.0]]]);
    let error = to_alibi(&native).unwrap_err();
    assert!(
        matches!(&error, AlibiError::NoPlace { key, .. } if key == "data.baselines"),
        "{error}"
    );
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

#[test]
fn bare_tokens_are_numbers_and_strings_stay() {
    let text = r#"{"meta":{"name":"AnchorText","type":["blackbox"],"explanations":["local"],
        "params":{"seed":0,"top_n":[NaN,Infinity,-Infinity,-1e5]},"version":"NaN, \"Infinity"},
        "data":{"anchor":["NaN"],"precision":NaN,"coverage":-Infinity,
            "raw":{"feature":[0],"mean":[NaN],"precision":[NaN],"coverage":[Infinity],"examples":[],
                "all_precision":0,"num_preds":12,"success":false,"names":["NaN"],"positions":[2],"prediction":[1],
                "instance":"é NaN: -Infinity\\","instances":["é NaN: -Infinity\\"]}}}"#;
    let read = Explanation::from_alibi_json(text).unwrap();
    assert_eq!(read.meta.version, "NaN, \"Infinity");
    assert_eq!(read.meta.params["top_n"], json!(["NaN", "Infinity", "-Infinity", -1e5]));
    assert_eq!(read.data["precision"], "NaN");
    assert_eq!(read.data["coverage"], "-Infinity");
    assert_eq!(read.data["instance"], "é NaN: -Infinity\\");
    assert_eq!(read.data["predicates"][0]["span"], json!([2, 5]));
    assert_eq!(read.data["status"], "not-found");
    // Words that only contain a token are no tokens.
    for text in ["{\"meta\": NaNs}", "{\"meta\": +Infinity}", "{\"meta\": \"NaN", "[nan]", "NaN"] {
        assert!(from_alibi_json(text).is_err(), "{text}");
    }
}

#[test]
fn errors_name_the_key_and_the_document() {
    let message = |text: &str| from_alibi_json(text).unwrap_err().to_string();
    let ale = message(r#"{"meta":{"name":"ALE","params":{}},"data":{}}"#);
    assert!(
        ale.starts_with("unknown method `ALE` under `meta.name`; known are `KernelShap`"),
        "{ale}"
    );
    let lacking = message(r#"{"meta":{"name":"KernelShap"},"data":{}}"#);
    assert_eq!(lacking, "the KernelShap document lacks `meta.params`");
    let head = r#"{"meta":{"name":"CEM","type":["blackbox"],"params":{},"version":"1"},"data":"#;
    let lacking = message(&format!("{head}{{}}}}"));
    assert_eq!(lacking, "the CEM document lacks `data.X`");
    let batch = message(&format!(r#"{head}{{"X":[1.0],"X_pred":0}}}}"#));
    let expected =
        "`data.X` of the CEM document must be one row with a batch axis in front, got [1.0]";
    assert_eq!(batch, expected);

    let unknown = native("trees", "blackbox", json!({}), json!({}));
    let unknown = to_alibi(&unknown).unwrap_err().to_string();
    assert!(unknown.contains("`trees`") && unknown.contains("`kernel-shap`"), "{unknown}");
    let several = [cem("pn", Value::Null), cem("pn", Value::Null)];
    assert!(matches!(to_alibi_many(&several), Err(AlibiError::Count { given: 2, .. })));
    assert!(matches!(to_alibi_many(&[]), Err(AlibiError::Count { given: 0, .. })));
    let [first, mut second] = linear();
    second.data["expected_value"] = json!([3.5]);
    let differ = to_alibi_many(&[first.clone(), second]).unwrap_err().to_string();
    assert_eq!(
        differ,
        "explanations of one kernel-shap document must agree in `data.expected_value`"
    );
    let mut other = first.clone();
    other.meta.params["link"] = json!("logit");
    let differ = to_alibi_many(&[first, other]).unwrap_err().to_string();
    assert_eq!(differ, "explanations of one kernel-shap document must agree in `meta.params`");
    let text = to_alibi_many(&linear()).unwrap().to_string();
    let one = Explanation::from_alibi_json(&text).unwrap_err();
    assert!(matches!(one, AlibiError::Count { given: 2, .. }));
}

#[test]
fn settings_without_a_counterpart_are_named_in_a_warning() {
    let mut document = to_alibi(&tabular()).unwrap();
    document["meta"]["params"]["sess"] = json!("tf");
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    let codes: Vec<&str> = read.meta.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["alibi.setting"]);
    assert!(read.meta.warnings[0].message.contains("`sess`"));
}

#[test]
fn older_names_are_read() {
    let mut document = to_alibi(&cfproto("blackbox")).unwrap();
    document["meta"]["name"] = json!("CounterFactualProto");
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.meta.name, "cfproto");
}
