//! The document: its text, its reading back, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ndarray::{Array1, array};
use schemars::schema_for;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xai_core::explanation::{SCHEMA, VERSION};
use xai_core::{
    Error, Explanation, Meta, ModelKind, Output, Reading, Seed, Stop, Warning, serde_arrays,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Data {
    #[serde(with = "serde_arrays")]
    shap_values: Array1<f64>,
    stop: Stop,
}

fn example() -> Explanation<Data> {
    let meta = Meta {
        name: "Toy".to_owned(),
        kind: ModelKind::BlackBox,
        task: None,
        scope: vec!["local".to_owned()],
        params: json!({"n_samples": 10, "beta": 0.1}),
        version: VERSION.to_owned(),
        seed: Seed::new(7).to_string(),
        queries: 12,
        output: None,
        warnings: vec![Warning { code: "toy.doubt".to_owned(), message: "few".to_owned() }],
    };
    let data = Data { shap_values: array![0.1, -0.0], stop: Stop::Converged };
    Explanation { schema: SCHEMA.to_owned(), meta, data }
}

#[test]
fn the_text_is_exactly_this() {
    let expected = format!(
        concat!(
            r#"{{"schema":"xai-explanation/1","meta":{{"name":"Toy","type":"blackbox","scope":["local"],"#,
            r#""params":{{"beta":0.1,"n_samples":10}},"version":"{}","seed":"7","queries":12,"#,
            r#""warnings":[{{"code":"toy.doubt","message":"few"}}]}},"#,
            r#""data":{{"shap_values":[0.1,-0.0],"stop":"converged"}}}}"#
        ),
        VERSION
    );
    assert_eq!(example().to_json().unwrap(), expected);
    let mut explanation = example();
    explanation.meta.task = Some("regression".to_owned());
    let with_task = expected.replace(r#""blackbox","#, r#""blackbox","task":"regression","#);
    assert_eq!(explanation.to_json().unwrap(), with_task);
}

#[test]
fn the_version_names_the_linear_algebra() {
    let suffix = if cfg!(feature = "lapack") { "+lapack" } else { "" };
    assert_eq!(VERSION, format!("{}{suffix}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn documents_read_back_to_the_same_bytes() {
    #[track_caller]
    fn check(explanation: &Explanation<Data>) {
        let text = explanation.to_json().unwrap();
        let back = Explanation::<Data>::from_json(&text).unwrap();
        assert_eq!(&back, explanation);
        assert_eq!(back.to_json().unwrap(), text);
        // Without the type nothing is lost either.
        let untyped = Explanation::<Value>::from_json(&text).unwrap();
        assert_eq!(untyped, explanation.clone().to_value().unwrap());
        let again = untyped.to_json().unwrap();
        assert_eq!(&Explanation::<Data>::from_json(&again).unwrap(), explanation);
        assert_eq!(Explanation::<Value>::from_json(&again).unwrap().to_json().unwrap(), again);
    }
    check(&example());
    let mut explanation = example();
    explanation.meta.task = Some("classification".to_owned());
    explanation.meta.warnings.clear();
    explanation.meta.queries = u64::MAX;
    explanation.meta.seed = Seed::new(7).child(1).to_string();
    explanation.meta.params =
        json!({"Größe": "naïve \u{1f980} \"quoted\" \\ \n\u{0}", "none": null, "deep": [[{}]]});
    // A quick parser reads the first one unit in the last place off.
    explanation.data =
        Data { shap_values: array![99.606_311_472_368_99, 5e-324], stop: Stop::Budget };
    check(&explanation);
}

#[test]
fn an_untyped_document_keeps_any_data() {
    for data in
        [json!(null), json!([1, -1, 1.5, u64::MAX, i64::MIN]), json!({"π": {"è": "日本"}, "a": []})]
    {
        let Explanation { schema, meta, .. } = example();
        let explanation = Explanation { schema, meta, data };
        let back = Explanation::<Value>::from_json(&explanation.to_json().unwrap()).unwrap();
        assert_eq!(back, explanation);
    }
}

#[test]
fn unknown_fields_of_newer_writers_are_read_over() {
    let mut value = serde_json::to_value(example()).unwrap();
    value["meta"]["later"] = json!(1);
    value["also_later"] = json!([]);
    assert_eq!(Explanation::<Data>::from_json(&value.to_string()).unwrap(), example());
}

#[test]
fn another_schema_is_refused_by_name() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        match Explanation::<Data>::from_json(text) {
            Err(Error::Schema { found, known }) => {
                assert_eq!((found.as_str(), known), (expected, SCHEMA));
            }
            other => panic!("{other:?}"),
        }
    }
    let text = example().to_json().unwrap();
    check(&text.replace(SCHEMA, "xai-explanation/2"), "xai-explanation/2");
    check(&text.replace(SCHEMA, ""), "");
    check(&text.replace(r#""schema":"xai-explanation/1","#, ""), "none");
    // The schema comes first: what else such a document holds is nobody's business.
    check(r#"{"schema":"shap/9","meta":5}"#, "shap/9");
    check("{}", "none");
    check(r#"{"schema":null}"#, "none");
    let error = Explanation::<Data>::from_json("{}").unwrap_err().to_string();
    assert_eq!(error, "schema `none` is not readable, expected `xai-explanation/1`");
}

#[test]
fn text_that_is_no_such_document_is_a_json_error() {
    #[track_caller]
    fn check(text: &str) {
        match Explanation::<Data>::from_json(text) {
            Err(Error::Json(_)) => {}
            other => panic!("{text}: {other:?}"),
        }
    }
    let text = example().to_json().unwrap();
    for end in 0..text.len() {
        check(&text[..end]);
    }
    check(&(text.clone() + "}"));
    check("null");
    check(r#"{"schema":1}"#);
    check(&text.replace(r#""stop":"converged""#, r#""stop":"tired""#));
    check(&text.replace(r#""queries":12"#, r#""queries":-12"#));
    check(&text.replace(r#""seed":"7","#, ""));
}

#[test]
fn data_that_json_cannot_hold_are_a_json_error() {
    let Explanation { schema, meta, .. } = example();
    // The keys of a JSON object are texts.
    let data = std::collections::BTreeMap::from([((1, 2), 3)]);
    let explanation = Explanation { schema, meta, data };
    assert!(matches!(explanation.to_json(), Err(Error::Json(_))));
    assert!(matches!(explanation.to_value(), Err(Error::Json(_))));
}

#[test]
fn stops_have_a_word_and_a_sentence() {
    for (stop, word, sentence) in [
        (Stop::Converged, "\"converged\"", "it had converged"),
        (Stop::Budget, "\"budget\"", "the budget of model queries was used up"),
        (Stop::Deadline, "\"deadline\"", "the time was up"),
        (Stop::Observer, "\"observer\"", "the observer asked for it"),
    ] {
        assert_eq!(serde_json::to_string(&stop).unwrap(), word);
        assert_eq!(serde_json::from_str::<Stop>(word).unwrap(), stop);
        let error = Error::Stopped(stop).to_string();
        assert_eq!(error, format!("stopped before there was an answer: {sentence}"));
    }
}

#[test]
fn the_json_schema_has_the_keys_of_the_document() {
    let schema = serde_json::to_value(schema_for!(Explanation<Value>)).unwrap();
    let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&schema["properties"]), ["data", "meta", "schema"]);
    assert_eq!(schema["required"], json!(["schema", "meta", "data"]));
    let meta = &schema["$defs"]["Meta"];
    let mut explanation = example();
    explanation.meta.task = Some("regression".to_owned());
    let reading = Reading::new(&Output::Auto, None, &array![0.25]).unwrap();
    explanation.meta.output = Some(reading.to_meta());
    let document = serde_json::to_value(explanation).unwrap();
    assert_eq!(keys(&meta["properties"]), keys(&document["meta"]));
    let required: Vec<&str> =
        meta["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(required.len(), keys(&document["meta"]).len() - 2);
    assert!(["task", "output"].iter().all(|key| !required.contains(key)), "{required:?}");
}
