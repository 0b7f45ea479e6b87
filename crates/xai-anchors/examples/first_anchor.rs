//! The first anchor of the book: why a loan is refused, written, read and made again.
//!
//! Prints the document that the book shows.

#![allow(clippy::print_stdout, reason = "an example shows its result")]
#![allow(clippy::float_cmp, reason = "shares of few rows and classes are exact")]

use std::error::Error;

use ndarray::{Array2, Axis, array};
use xai_anchors::{AnchorTabularData, AnchorTabularParams};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, Explanation, Rows, Run, RunConfig, Seed, Status};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: model
    // A loan is refused, class 1, to those below 30 who rent. The income is read and plays no part.
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let class = batch.map_axis(Axis(1), |row| f64::from(row[0] < 30.0 && row[2] == 0.0));
        Ok(class.insert_axis(Axis(1)))
    };
    // ANCHOR_END: model

    // ANCHOR: explain
    let features = Features::new(vec![
        Feature::numeric("age"),
        Feature::numeric("income"),
        Feature::categorical("home", ["rented", "owned"], Encoding::Ordinal),
    ])?;
    // Five ages, four incomes and two kinds of home, each combination once.
    let training = Array2::from_shape_fn((40, 3), |(row, column)| match column {
        0 => [22.0, 26.0, 34.0, 48.0, 61.0][row % 5],
        1 => [1.5, 2.5, 3.5, 4.5][row / 5 % 4],
        _ => [0.0, 1.0][row / 20],
    });
    let params = AnchorTabularParams::default().with_n_covered_ex(1);
    let explainer = params.fit(&training, features.clone())?;

    let x = array![26.0, 3.5, 0.0];
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;
    let data = &explanation.data;
    assert_eq!(data.result.status, Status::Found);
    assert_eq!(data.anchor, ["home = rented", "age <= 26.00"]);
    // Two ages of five, one home of two.
    assert_eq!(data.result.coverage, 0.2);
    // None of 1,000 fresh perturbations was decided otherwise.
    let certificate = data.result.certificate.as_ref().ok_or("fresh samples were asked for")?;
    assert_eq!(certificate.precision, 1.0);
    assert!(0.997 < certificate.lower_bound);
    // ANCHOR_END: explain

    // ANCHOR: many
    let rows = array![[26.0, 3.5, 0.0], [26.0, 3.5, 1.0], [61.0, 1.5, 0.0]];
    let mut kept = Vec::new();
    for result in explainer.explain_many(&model, &rows, &RunConfig::seeded(0)) {
        kept.push(result?.data);
    }
    assert_eq!(kept[0], explanation.data);
    assert_eq!(kept[1].anchor, ["home = owned"]);
    assert_eq!(kept[2].anchor, ["age > 26.00"]);
    // ANCHOR_END: many

    println!("{}", serde_json::to_string_pretty(&explanation)?);

    // ANCHOR: read
    let text = include_str!("first_anchor.json");
    let read: Explanation<AnchorTabularData> = Explanation::from_json(text)?;
    assert_eq!(read.data.rule.decision, 1.0);

    let params: AnchorTabularParams = serde_json::from_value(read.meta.params)?;
    let seed: Seed = read.meta.seed.parse()?;
    let explainer = params.fit(&training, features)?;
    let again = explainer.explain(&model, &read.data.instance, Run::seeded(seed))?;
    assert_eq!(again.to_json()?, explanation.to_json()?);
    // ANCHOR_END: read
    assert_eq!(serde_json::to_string_pretty(&explanation)?, text.trim_end());
    Ok(())
}

#[test]
fn the_document_is_what_the_example_prints() -> Result<(), Box<dyn Error>> {
    main()
}
