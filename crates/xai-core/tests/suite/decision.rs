//! What outputs mean: the table of the module, number by number.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares numbers that are written down"
)]

use ndarray::{Array1, array};
use serde_json::json;
use xai_core::decision::{OutputSource, argmax};
use xai_core::{Output, OutputNames, Reading, Row};

fn auto(outputs: &Row) -> Reading {
    Reading::new(&Output::Auto, None, outputs).unwrap()
}

#[track_caller]
fn check_auto(outputs: &[f64], meaning: &Output, decision: Option<f64>) {
    let outputs = Array1::from(outputs.to_vec());
    let reading = auto(&outputs);
    assert_eq!(reading.meaning(), meaning);
    assert_eq!(reading.source(), OutputSource::Assumed);
    assert_eq!(reading.require_decision().is_ok(), decision.is_some());
    match (reading.decision(&outputs), decision) {
        (Ok(got), Some(expected)) => assert_eq!(got.to_bits(), expected.to_bits()),
        (Err(error), None) => {
            assert_eq!(error.name, "output");
            for setting in ["`label`", "`probability`", "`interval`", "`bins`", "`within`"] {
                assert!(error.rule.contains(setting), "{error}");
            }
        }
        (got, _) => panic!("{got:?}, expected {decision:?}"),
    }
}

#[test]
fn auto_reads_outputs_as_the_table_says() {
    check_auto(&[0.2, 0.8], &Output::Classes, Some(1.0));
    check_auto(&[-3.0, -5.0, -3.0], &Output::Classes, Some(0.0));
    check_auto(&[0.0], &Output::Probability, Some(0.0));
    check_auto(&[0.5], &Output::Probability, Some(0.0));
    check_auto(&[0.5 + f64::EPSILON], &Output::Probability, Some(1.0));
    check_auto(&[1.0], &Output::Probability, Some(1.0));
    // A probability in single precision may be a little more than 1.
    check_auto(&[f64::from(1.000_000_1_f32)], &Output::Probability, Some(1.0));
    check_auto(&[2.0], &Output::Label, Some(2.0));
    check_auto(&[17.0], &Output::Label, Some(17.0));
    check_auto(&[1.5], &Output::Score, None);
    check_auto(&[-1.0], &Output::Score, None);
    check_auto(&[1e300], &Output::Score, None);
}

#[test]
fn a_single_output_is_read_number_by_number() {
    // A model of labels whose instance has the label 1 looks like a probability, and 2 is still another class.
    let reading = auto(&array![1.0]);
    let decisions: Vec<f64> =
        [0.0, 1.0, 2.0].iter().map(|&label| reading.decision(&array![label]).unwrap()).collect();
    assert_eq!(decisions, [0.0, 1.0, 2.0]);
    // A score that lies in [0, 1] by chance is found out at the first row where it does not.
    assert!(reading.decision(&array![3.7]).is_err());
    // And from the other side.
    let reading = auto(&array![2.0]);
    assert_eq!(reading.decision(&array![1.0]).unwrap().to_bits(), 1.0_f64.to_bits());
    assert!(reading.decision(&array![-0.5]).is_err());
}

#[test]
fn a_probability_is_decided_like_its_two_columns() {
    let single = Reading::new(&Output::Probability, None, &array![0.1]).unwrap();
    let double = Reading::new(&Output::Classes, None, &array![0.9, 0.1]).unwrap();
    for step in 0..=1000_u32 {
        let p = f64::from(step) / 1000.0;
        let scores = single.class_scores(&array![p]).unwrap();
        assert_eq!(scores, array![1.0 - p, p]);
        assert_eq!(single.decision(&array![p]).unwrap(), double.decision(&scores).unwrap(), "{p}");
    }
    assert_eq!((single.n_classes(), double.n_classes()), (Some(2), Some(2)));
}

#[test]
fn settings_go_before_declarations_and_these_before_guesses() {
    let check = |setting: Output, declared: Option<Output>, expected: (Output, OutputSource)| {
        let reading = Reading::new(&setting, declared, &array![0.5]).unwrap();
        assert_eq!((reading.meaning().clone(), reading.source()), expected);
    };
    check(Output::Auto, None, (Output::Probability, OutputSource::Assumed));
    check(Output::Auto, Some(Output::Score), (Output::Score, OutputSource::Declared));
    check(Output::Label, Some(Output::Score), (Output::Label, OutputSource::Set));
    let meta = auto(&array![0.5]).to_meta();
    let expected = json!({"meaning": "probability", "source": "assumed"});
    assert_eq!(serde_json::to_value(meta).unwrap(), expected);
}

#[test]
fn bins_intervals_and_distances_are_decisions_of_a_score() {
    let outputs = array![9.0, 2.0];
    let bins = Output::Bins { edges: vec![1.0, 2.0, 5.0], target: 1 };
    let reading = Reading::new(&bins, None, &outputs).unwrap();
    assert_eq!((reading.decision(&outputs).unwrap(), reading.n_classes()), (2.0, Some(4)));
    let inside = Output::Interval { min: Some(2.0), max: None, target: 1 };
    let reading = Reading::new(&inside, None, &outputs).unwrap();
    assert_eq!((reading.decision(&outputs).unwrap(), reading.n_classes()), (1.0, Some(2)));
    assert_eq!(reading.decision(&array![9.0, 1.999]).unwrap(), 0.0);
    let within = Output::Within { tolerance: 0.5, target: 0 };
    let reading = Reading::new(&within, None, &outputs).unwrap();
    assert!(reading.agrees(9.5, 9.0) && !reading.agrees(9.6, 9.0));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let refused = |setting: Output, outputs: &Row| {
        let error = Reading::new(&setting, None, outputs).unwrap_err();
        assert_eq!(error.name, "output");
        error.to_string()
    };
    assert!(
        refused(Output::Classes, &array![0.5]).contains("`classes` is for two outputs or more")
    );
    assert!(refused(Output::Probability, &array![0.5, 0.5]).contains("a model of 2 outputs"));
    assert!(refused(Output::Label, &array![0.5, 0.5]).contains("a model of 2 outputs"));
    let target = Output::Bins { edges: vec![0.5], target: 3 };
    assert!(refused(target, &array![0.5]).contains("below the model's 1 outputs"));
    for wrong in [
        Output::Bins { edges: vec![], target: 0 },
        Output::Bins { edges: vec![2.0, 1.0], target: 0 },
        Output::Interval { min: Some(2.0), max: Some(1.0), target: 0 },
        Output::Interval { min: Some(f64::NAN), max: None, target: 0 },
        Output::Within { tolerance: -1.0, target: 0 },
    ] {
        assert_eq!(wrong.validate().unwrap_err().name, "output");
    }
}

#[test]
fn settings_are_words_or_tables() {
    let check = |json: serde_json::Value, expected: &Output| {
        assert_eq!(&serde_json::from_value::<Output>(json).unwrap(), expected);
    };
    check(json!("auto"), &Output::Auto);
    check(json!("classes"), &Output::Classes);
    check(json!("probability"), &Output::Probability);
    check(json!("label"), &Output::Label);
    check(json!("score"), &Output::Score);
    check(json!({"bins": {"edges": [0.5]}}), &Output::Bins { edges: vec![0.5], target: 0 });
    let interval = Output::Interval { min: Some(1.0), max: None, target: 0 };
    check(json!({"interval": {"min": 1.0}}), &interval);
    assert!(serde_json::from_value::<Output>(json!({"interval": {"low": 1.0}})).is_err());
}

#[test]
fn classes_have_one_name_however_many_outputs_there_are() {
    let single = auto(&array![0.5]);
    let double = auto(&array![0.5, 0.5]);
    for names in [OutputNames::new(["no", "yes"]), OutputNames::default()] {
        for class in 0..2 {
            assert_eq!(names.class(class, &single), names.class(class, &double));
        }
    }
    let names = OutputNames::new(["no", "yes"]);
    assert_eq!((names.class(1, &single).as_str(), names.output(0, 1).as_str()), ("yes", "yes"));
    let one = OutputNames::new(["yes"]);
    assert_eq!(
        (one.class(1, &single).as_str(), one.class(0, &single).as_str()),
        ("yes", "not yes")
    );
    assert_eq!(OutputNames::default().output(2, 3), "output 2");
}

#[test]
fn the_first_of_equals_is_the_largest() {
    assert_eq!(argmax(&array![1.0, 3.0, 3.0]), 1);
    assert_eq!(argmax(&array![2.0]), 0);
}
