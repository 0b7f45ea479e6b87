//! Integrated gradients.

use serde_json::{Value, json};
use xai::Explanation;
use xai::alibi::{AlibiError, FromAlibiJson, from_alibi_json, to_alibi, to_alibi_many};

use crate::native;

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
