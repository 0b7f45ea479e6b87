//! What holds for the documents of all methods.

use serde_json::{Value, json};
use xai::Explanation;
use xai::alibi::{AlibiError, FromAlibiJson, from_alibi_json, to_alibi, to_alibi_many};

use crate::anchors::tabular;
use crate::counterfactuals::{cem, cfproto};
use crate::kernel_shap::linear;
use crate::native;

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
