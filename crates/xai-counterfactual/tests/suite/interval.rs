//! Scores and quantities that are to lie in an interval.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact values"
)]

use std::ops::RangeInclusive;

use ndarray::{Array2, array};
use xai_core::Status;
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, InInterval, ModelRef, PerFeature, Rows, Run};
use xai_counterfactual::{CounterfactualData, CounterfactualParams};
use xai_testkit::{Linear, Probe};

/// Anything inside is as good as anything else.
fn anywhere_inside() -> CounterfactualParams {
    CounterfactualParams::default().with_target_proba(0.75).with_tol(0.25)
}

/// What a white and a black box of `x_0 + 3 x_1` say at `(0.5, 0.5)`, where the score is 2.
fn both(params: &CounterfactualParams, interval: &RangeInclusive<f64>) -> [CounterfactualData; 2] {
    let score = Linear::new(&[1.0, 3.0], 0.0);
    let probe = Probe::new(&score);
    let inside = InInterval::new(&probe, 0, interval.clone(), 1.0).unwrap();
    [ModelRef::WhiteBox(&inside), ModelRef::BlackBox(&inside)].map(|access| {
        let explainer = params.clone().build(Features::unnamed(2).unwrap()).unwrap();
        let before = probe.queries();
        let explained = explainer.explain(access, &array![0.5, 0.5], Run::seeded(0)).unwrap();
        let asked = probe.queries() - before;
        match access {
            ModelRef::BlackBox(_) => assert_eq!(explained.meta.queries, asked),
            // A gradient counts its outputs twice.
            ModelRef::WhiteBox(_) => assert!((asked..=2 * asked).contains(&explained.meta.queries)),
        }
        explained.data
    })
}

#[test]
fn the_closest_point_of_the_interval_is_found() {
    let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
    for (interval, reached) in [(5.0..=most, 5.0), (3.0..=4.0, 3.0), (least..=-1.0, -1.0)] {
        for data in both(&anywhere_inside(), &interval) {
            let cf = data.cf.unwrap();
            assert_eq!((data.class, cf.class, data.status), (0, 1, Status::Found));
            // By the second feature alone, which is worth three of the first.
            assert_eq!(cf.row[0], 0.5);
            let distance: f64 = (reached - 2.0_f64).abs() / 3.0;
            assert!(
                (distance..=distance * 1.002).contains(&cf.distances.elastic_net),
                "{interval:?} {}",
                cf.row
            );
        }
    }
}

#[test]
fn an_interval_out_of_reach_has_a_status_and_a_reason() {
    let feature_range = (PerFeature::All(0.0), PerFeature::All(1.0));
    let params = anywhere_inside().with_feature_range(feature_range);
    // The largest score is 4.
    for data in both(&params, &(5.0..=f64::INFINITY)) {
        assert_eq!((data.cf, data.status), (None, Status::RangeInfeasible));
        assert!(data.reason.starts_with("Not found"), "{}", data.reason);
        assert!(data.nearest_miss.unwrap().outputs[0] < 0.5);
    }
}

#[test]
fn a_score_that_jumps_far_inside_is_found() {
    // A regression tree: 2 below 3, and 100 above, which is far from both ends.
    let tree = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let value = |row: usize| if batch[[row, 0]] < 3.0 { 2.0 } else { 100.0 };
        Ok(Array2::from_shape_fn((batch.nrows(), 1), |(row, _)| value(row)))
    };
    let inside = InInterval::new(&tree, 0, 50.0..=f64::INFINITY, 1.0).unwrap();
    let explainer = anywhere_inside().build(Features::unnamed(2).unwrap()).unwrap();
    let access = ModelRef::BlackBox(&inside);
    let data = explainer.explain(access, &array![0.5, 0.5], Run::seeded(0)).unwrap().data;
    let cf = data.cf.unwrap();
    assert_eq!(cf.row[1], 0.5);
    // Moved back by sixteenths of the way as long as that gains: at most a sixteenth too far.
    assert!((2.5..=2.5 * 16.0 / 15.0).contains(&cf.distances.elastic_net), "{}", cf.row);
}
