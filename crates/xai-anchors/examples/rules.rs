//! Anchors as rules: on other rows, as a view of the model, with a guarantee, and with other bins.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::BTreeMap;
use std::error::Error;

use ndarray::{Array2, Axis, array, s};
use xai_anchors::{AnchorTabularParams, Rule, class_balanced_weights, submodular_pick};
use xai_core::tabular::discretizer::{DECILES, Edges};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, Rows, Run, RunConfig, Status};

/// Ages from 20 to 80, incomes from 1 to 6, and a home that is rented or owned, all independent.
fn people(n: usize) -> Array2<f64> {
    // Multiples of irrational numbers modulo 1 fill the unit cube evenly.
    let part = |row: usize, number: f64| (row as f64 * number).fract();
    Array2::from_shape_fn((n, 3), |(row, column)| match column {
        0 => 20.0 + 60.0 * part(row, 2.0_f64.sqrt()),
        1 => 1.0 + 5.0 * part(row, 3.0_f64.sqrt()),
        _ => (2.0 * part(row, 5.0_f64.sqrt())).floor(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    // Refused, class 1: those below 30 who rent, and all whose income is below 1.5.
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let refused = |row: ndarray::ArrayView1<'_, f64>| {
            f64::from((row[0] < 30.0 && row[2] == 0.0) || row[1] < 1.5)
        };
        Ok(batch.map_axis(Axis(1), refused).insert_axis(Axis(1)))
    };
    let features = Features::new(vec![
        Feature::numeric("age"),
        Feature::numeric("income"),
        Feature::categorical("home", ["rented", "owned"], Encoding::Ordinal),
    ])?;
    let rows = people(2000);
    let (training, others) = rows.view().split_at(Axis(0), 1000);
    let (training, others) = (training.to_owned(), others.to_owned());

    // ANCHOR: bins
    // The quartiles of the ages are 35, 50 and 65: nobody can tell at 35 who is below 30.
    let x = array![22.0, 4.0, 0.0];
    let quartiles = AnchorTabularParams::default().fit(&training, features.clone())?;
    let data = quartiles.explain(&model, &x, Run::seeded(0))?.data;
    println!(
        "quartiles: {:?}, {:.3} of {}",
        data.result.status,
        data.result.precision,
        data.anchor.join(" AND ")
    );

    let params = AnchorTabularParams::default().with_disc_perc(DECILES.to_vec());
    let data = params.fit(&training, features.clone())?.explain(&model, &x, Run::seeded(0))?.data;
    println!("deciles: {:?}, {}", data.result.status, data.anchor.join(" AND "));

    // Cuts that somebody knows: here those of the model itself.
    let edges = BTreeMap::from([
        ("age".to_owned(), Edges::new(vec![30.0])?),
        ("income".to_owned(), Edges::new(vec![1.5])?),
    ]);
    let params = AnchorTabularParams::default().with_edges(edges);
    let explainer = params.clone().fit(&training, features.clone())?;
    let data = explainer.explain(&model, &x, Run::seeded(0))?.data;
    println!("edges: {:?}, {}", data.result.status, data.anchor.join(" AND "));
    assert_eq!(data.anchor, ["age <= 30.00", "home = rented"]);
    // ANCHOR_END: bins

    // ANCHOR: rule
    // Rows that were never seen: whom the rule speaks of, and how often it is right about them.
    let covered = data.rule.covered(&features, &others)?;
    let mut run = Run::seeded(0);
    let report = data.rule.evaluate(&features, &others, &model, 0.05, &mut run)?;
    assert_eq!(report.n_covered, covered.len());
    if let Some(precision) = report.precision {
        let interval = precision.interval;
        println!(
            "on {} other rows: {:.3} are covered, {:.3} of them refused, in {:.3}..{:.3}",
            report.n_rows, report.coverage, precision.mean, interval.lower, interval.upper
        );
    }
    // ANCHOR_END: rule

    // ANCHOR: pick
    // The anchors of fifty rows; a few of them speak for nearly all rows.
    let some = training.slice(s![..50, ..]);
    let mut rules: Vec<Rule> = Vec::new();
    for result in explainer.explain_many(&model, &some, &RunConfig::seeded(0)) {
        let data = result?.data;
        if data.result.valid {
            rules.push(data.rule);
        }
    }
    for pick in submodular_pick(&rules, &features, &training, 3)? {
        let rule = &rules[pick.rule];
        let texts: Vec<&str> = rule.conditions.iter().map(|one| one.text.as_str()).collect();
        let texts = texts.join(" AND ");
        println!("{texts}: class {}, {:.3} covered so far", rule.decision, pick.coverage);
    }
    // ANCHOR_END: pick

    // ANCHOR: strict
    // Returned as found only when fresh samples prove the threshold.
    let params = params.with_strict(true);
    let explainer = params.clone().fit(&training, features.clone())?;
    let data = explainer.explain(&model, &x, Run::seeded(0))?.data;
    let certificate =
        data.result.certificate.as_ref().ok_or("a strict search has a certificate")?;
    assert!(data.result.status != Status::Found || certificate.clears_threshold);
    println!(
        "strict: {:?}, at least {:.3} with probability {:.3}",
        data.result.status, certificate.lower_bound, certificate.confidence
    );
    // ANCHOR_END: strict

    // ANCHOR: balanced
    // More than four of five are granted the loan, whatever is held; with weights both classes are drawn alike.
    let mut classes = Vec::new();
    for class in Run::seeded(0).predict(&model, &training)? {
        classes.push(usize::from(class > 0.5));
    }
    let row_weights = Some(class_balanced_weights(&classes)?);
    let granted = array![40.0, 4.0, 1.0];
    let base_rate = |params: AnchorTabularParams| -> xai_core::Result<f64> {
        let explainer = params.fit(&training, features.clone())?;
        Ok(explainer.explain(&model, &granted, Run::seeded(0))?.data.result.base_rate.mean)
    };
    let plain = base_rate(params.clone())?;
    let balanced = base_rate(params.with_row_weights(row_weights))?;
    println!("granted, whatever is held: {plain:.2}, balanced: {balanced:.2}");
    // ANCHOR_END: balanced
    Ok(())
}

#[test]
fn the_example_keeps_its_word() -> Result<(), Box<dyn Error>> {
    main()
}
