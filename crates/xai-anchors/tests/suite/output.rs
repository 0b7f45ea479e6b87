//! How outputs are read as decisions: bins, tolerances, labels, probabilities.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact shares"
)]

use ndarray::{Array1, Array2};
use xai_anchors::{AnchorTabularData, AnchorTabularParams};
use xai_core::decision::OutputSource;
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, Output, OutputNames, Predictor, Rows, Run, Status, per_row};
use xai_testkit::Elementwise;

/// The anchor of a number among 0 to 99 with edges at quartiles.
fn explain(output: Output, model: &dyn Predictor, x: f64) -> AnchorTabularData {
    let rows = Array2::from_shape_fn((100, 1), |(row, _)| row as f64);
    let params = AnchorTabularParams::default().with_output(output);
    let explainer = params.fit(&rows, Features::numeric(["v"]).unwrap()).unwrap();
    explainer.explain(model, &Array1::from(vec![x]), Run::seeded(1)).unwrap().data
}

#[track_caller]
fn found(data: &AnchorTabularData, anchor: &str, coverage: f64, decision: f64) {
    assert_eq!(
        (data.result.status, data.anchor.as_slice()),
        (Status::Found, &[anchor.to_owned()][..])
    );
    assert_eq!((data.result.precision, data.result.coverage), (1.0, coverage));
    assert_eq!((data.rule.decision, data.result.decision), (decision, decision));
}

/// Columns of outputs as functions of the number.
fn columns(n: usize, of: impl Fn(usize, f64) -> f64 + Sync) -> impl Predictor {
    move |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), n), |(row, column)| of(column, batch[[row, 0]])))
    }
}

/// A cut at 0.5 reads one column of probabilities as a class; a score equal to a cut is above it.
#[test]
fn a_score_in_bins_is_a_decision() {
    let score = Elementwise(|row: &[f64]| row[0] / 100.0);
    let bins = |edges: &[f64]| Output::Bins { edges: edges.to_vec(), target: 0 };
    found(&explain(bins(&[0.5]), &score, 60.0), "v > 49.50", 0.5, 1.0);
    found(&explain(bins(&[0.5]), &score, 10.0), "v <= 49.50", 0.5, 0.0);
    found(&explain(bins(&[0.25, 0.5, 0.75]), &score, 60.0), "49.50 < v <= 74.25", 0.25, 2.0);
    let step = Elementwise(|row: &[f64]| if row[0] < 49.5 { 0.25 } else { 0.5 });
    found(&explain(bins(&[0.25, 0.5]), &step, 60.0), "v > 49.50", 0.5, 2.0);
    found(&explain(bins(&[0.25, 0.5]), &step, 10.0), "v <= 49.50", 0.5, 1.0);
    // All scores are in one bin.
    assert_eq!(explain(bins(&[2.0]), &score, 60.0).result.status, Status::Empty);
}

/// A quantity is the same decision within a distance of the instance's own, that distance included.
#[test]
fn a_quantity_within_a_tolerance_is_a_decision() {
    let steps = Elementwise(|row: &[f64]| (row[0] / 25.0).floor() * 1.5);
    let within = |tolerance| Output::Within { tolerance, target: 0 };
    found(&explain(within(0.0), &steps, 60.0), "49.50 < v <= 74.25", 0.25, 3.0);
    found(&explain(within(1.5), &steps, 60.0), "v > 24.75", 0.75, 3.0);
    found(&explain(within(1.5), &steps, 10.0), "v <= 49.50", 0.5, 0.0);
    assert_eq!(explain(within(3.0), &steps, 60.0).result.status, Status::Empty);
}

/// The decision is the largest column, the first of equals; another column may be read by number.
#[test]
fn columns_are_classes_or_quantities() {
    let ramp = columns(3, |column, v| match column {
        0 => 0.4,
        1 => {
            if 49.5 < v {
                0.6
            } else {
                0.4
            }
        }
        _ => {
            if 74.25 < v {
                0.6
            } else {
                0.0
            }
        }
    });
    for output in [Output::Auto, Output::Classes] {
        // Columns 1 and 2 are equal above 74.25: still class 1.
        found(&explain(output.clone(), &ramp, 60.0), "v > 49.50", 0.5, 1.0);
        found(&explain(output, &ramp, 20.0), "v <= 49.50", 0.5, 0.0);
    }
    let bins = Output::Bins { edges: vec![0.5], target: 2 };
    found(&explain(bins, &ramp, 60.0), "v <= 74.25", 0.75, 0.0);
    let within = Output::Within { tolerance: 0.1, target: 2 };
    found(&explain(within, &ramp, 90.0), "v > 74.25", 0.25, 0.6);
}

/// Labels are whole numbers of any size and sign, and compared exactly.
#[test]
fn labels_are_compared_exactly() {
    let label = Elementwise(|row: &[f64]| if 49.5 < row[0] { -3.0 } else { 1e15 });
    found(&explain(Output::Label, &label, 60.0), "v > 49.50", 0.5, -3.0);
    found(&explain(Output::Label, &label, 20.0), "v <= 49.50", 0.5, 1e15);
    let label = Elementwise(|row: &[f64]| if 49.5 < row[0] { 1.0 } else { 1e15 });
    found(&explain(Output::Auto, &label, 60.0), "v > 49.50", 0.5, 1.0);
    found(&explain(Output::Auto, &label, 20.0), "v <= 49.50", 0.5, 1e15);
}

/// A sigmoid in one column is the probability of class 1, which nothing has to say.
#[test]
fn a_probability_is_read_by_default() {
    let model = per_row(|row| 1.0 / (1.0 + (49.5 - row[0]).exp())).with_class_names(["no", "yes"]);
    let rows = Array2::from_shape_fn((100, 1), |(row, _)| row as f64);
    let explainer =
        AnchorTabularParams::default().fit(&rows, Features::numeric(["v"]).unwrap()).unwrap();
    for (x, class, name, anchor) in
        [(60.0, 1.0, "yes", "v > 49.50"), (10.0, 0.0, "no", "v <= 49.50")]
    {
        let explanation =
            explainer.explain(&model, &Array1::from(vec![x]), Run::seeded(1)).unwrap();
        let data = &explanation.data;
        found(data, anchor, 0.5, class);
        assert_eq!(data.result.output, Output::Probability);
        let reading = explanation.meta.output.clone().unwrap();
        assert_eq!(
            (reading.meaning.as_str(), reading.source),
            ("probability", OutputSource::Assumed)
        );
        let names = OutputNames::new(["no", "yes"]);
        assert_eq!(data.figure(&names).title, format!("Anchor for {name}: {anchor}"));
        // What was assumed for one row is assumed again when the rule is applied to others.
        assert_eq!(data.rule.output, Output::Auto);
        let features = Features::numeric(["v"]).unwrap();
        let report =
            data.rule.evaluate(&features, &rows, &model, 0.1, &mut Run::seeded(0)).unwrap();
        assert_eq!((report.n_covered, report.precision.unwrap().mean), (50, 1.0));
    }
}

/// Decisions of all kinds have a name in the title of the figure.
#[test]
fn figures_name_the_decision() {
    let score = Elementwise(|row: &[f64]| row[0] / 25.0);
    let title = |output: Output, names: &[&str]| {
        let names = OutputNames::new(names.iter().copied());
        explain(output, &score, 60.0).figure(&names).title
    };
    let bins = Output::Bins { edges: vec![1.98], target: 0 };
    assert_eq!(title(bins.clone(), &["low", "high"]), "Anchor for output 0 >= 1.98: v > 49.50");
    assert_eq!(title(bins, &[]), "Anchor for output 0 >= 1.98: v > 49.50");
    let interval = Output::Interval { min: None, max: Some(9.0), target: 0 };
    assert_eq!(title(interval, &[]), "Anchor for inside: no condition needed");
    let within = Output::Within { tolerance: 5.0, target: 0 };
    assert_eq!(title(within, &[]), "Anchor for 2.4 ± 5: no condition needed");
}

/// The forms that params take in files.
#[test]
fn outputs_are_read_from_json() {
    for (text, output) in [
        (r#""auto""#, Output::Auto),
        (r#""classes""#, Output::Classes),
        (r#""label""#, Output::Label),
        (r#"{"bins":{"edges":[0.5]}}"#, Output::Bins { edges: vec![0.5], target: 0 }),
        (
            r#"{"within":{"tolerance":2.0,"target":1}}"#,
            Output::Within { tolerance: 2.0, target: 1 },
        ),
    ] {
        assert_eq!(serde_json::from_str::<Output>(text).unwrap(), output);
        let written = serde_json::to_string(&output).unwrap();
        assert_eq!(serde_json::from_str::<Output>(&written).unwrap(), output);
    }
    assert!(serde_json::from_str::<Output>(r#"{"bins":{"edge":[0.5]}}"#).is_err());
}
