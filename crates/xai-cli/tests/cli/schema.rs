//! `xai schema`.

use serde_json::Value;

use crate::folder::{Folder, Ran};

#[test]
fn a_method_says_what_it_reads_and_writes() {
    let text = Folder::new().succeed(&["schema", "kernel-shap"]);
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["method"], "kernel-shap");
    assert_eq!(schema["params"]["type"], "object");
    assert_eq!(schema["params"]["additionalProperties"], false);
    for name in ["nsamples", "estimator", "link", "groups", "weights"] {
        let description = &schema["params"]["properties"][name]["description"];
        assert!(description.is_string(), "{name}: {description}");
    }
    let explanation = &schema["explanation"];
    assert_eq!(explanation["required"], serde_json::json!(["row", "schema", "meta", "data"]));
    let data = &explanation["$defs"]["KernelShapData"];
    assert!(data["properties"]["shap_values"].is_object(), "{text}");
}

#[test]
fn without_a_method_there_are_all() {
    let folder = Folder::new();
    let all: Vec<Value> = serde_json::from_str(&folder.succeed(&["schema"])).unwrap();
    let one: Value = serde_json::from_str(&folder.succeed(&["schema", "kernel-shap"])).unwrap();
    assert!(all.contains(&one));
}

#[test]
fn the_schema_of_no_method_is_refused() {
    let Ran { code, stdout, stderr } = Folder::new().xai(&["schema", "lime"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let start =
        "error: there is no method `lime`, the methods are `anchor-image`, `anchor-tabular`, ";
    assert!(stderr.starts_with(start), "{stderr}");
}
