//! Anchors of rows, texts and images.

use serde_json::{Value, json};
use xai::Explanation;
use xai::alibi::{FromAlibiJson, to_alibi};

use crate::{merged, native};

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

pub(crate) fn tabular() -> Explanation<Value> {
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
    let settings = json!({
        "custom_segmentation": false, "segmentation_fn": "slic", "segmentation_kwargs": slic, "p_sample": 0.5,
        "image_shape": [2, 2, 1], "images_background": null,
    });
    assert_eq!(document["meta"]["params"], merged(alibi_search_params(), settings));
    let read = Explanation::from_alibi_json(&document.to_string()).unwrap();
    assert_eq!(read.meta.params["segmentation_fn"], image.meta.params["segmentation_fn"]);
    assert_eq!(read.data["segments"], image.data["segments"]);
    assert_eq!(read.data["predicates"][0]["superpixel"], 1);
}
