//! Which parts of a written digit make a model read it as it does, as a picture.
//!
//! Writes the PNG that the book shows: `cargo run -p xai-anchors --features image --example anchor_image > anchor.png`.

#![allow(clippy::float_cmp, reason = "powers of one half and classes are exact")]

use std::error::Error;
use std::io::Write;

use ndarray::{Array2, Axis};
use serde::Deserialize;
use xai_anchors::AnchorImageData;
use xai_anchors::image::{AnchorImageParams, Felzenszwalb, Segmentation};
use xai_core::{BoxError, Explainer, Explanation, Rows, Run, Status};

/// Digits of eight by eight pixels in sixteenths, and the mean of each of the ten over 600 others.
///
/// Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits", UCI Machine Learning Repository (CC BY 4.0).
#[derive(Deserialize)]
struct Digits {
    images: Vec<Vec<f64>>,
    labels: Vec<usize>,
    means: Vec<Vec<f64>>,
}

fn explanation() -> Result<Explanation<AnchorImageData>, Box<dyn Error>> {
    let digits: Digits = serde_json::from_str(include_str!("digits.json"))?;
    let n_images = digits.images.len();
    let images = Array2::from_shape_vec((n_images, 64), digits.images.concat())? / 16.0;
    let means = Array2::from_shape_vec((10, 64), digits.means.concat())?;

    // ANCHOR: explain
    // The model reads a digit as the one whose mean is nearest: one column of scores for each digit.
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let closeness = |row: usize, digit: usize| {
            let difference = &batch.row(row) - &means.row(digit);
            -difference.dot(&difference)
        };
        Ok(Array2::from_shape_fn((batch.nrows(), 10), |(row, digit)| closeness(row, digit)))
    };

    // What is perturbed takes the pixels of another digit.
    let background = images.slice_axis(Axis(0), ndarray::Slice::from(5..));
    let explainer = AnchorImageParams::default()
        .with_segmentation_fn(Segmentation::Felzenszwalb(Felzenszwalb {
            scale: 100.0,
            sigma: 0.3,
            min_size: 5,
        }))
        .build((8, 8, 1), Some(&background))?;

    let x = images.row(4);
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;
    let data = &explanation.data;
    assert_eq!(data.result.status, Status::Found);
    let png: Vec<u8> = data.overlay_png();
    // ANCHOR_END: explain
    assert_eq!(data.result.decision, digits.labels[4] as f64);
    assert!(png.starts_with(b"\x89PNG"));
    Ok(explanation)
}

fn main() -> Result<(), Box<dyn Error>> {
    std::io::stdout().write_all(&explanation()?.data.overlay_png())?;
    Ok(())
}

#[test]
fn the_picture_is_what_the_example_writes() -> Result<(), Box<dyn Error>> {
    let data = explanation()?.data;
    assert!(data.overlay_png() == include_bytes!("anchor_image.png"));
    assert_eq!(data.features(None).unwrap(), [4, 2]);
    assert_eq!(data.result.coverage, 0.25);
    let certificate = data.result.certificate.ok_or("fresh samples were asked for")?;
    assert!(0.95 < certificate.lower_bound);
    Ok(())
}
