//! Jobs of images in memory with a closure as the model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use xai::anchors::image::AnchorImageData;
use xai::ndarray::Array4;
use xai::prelude::*;

/// Two grey images of 8 by 8 pixels; the left half of the first is light.
fn images() -> Array4<f64> {
    Array4::from_shape_fn(
        (2, 8, 8, 1),
        |(image, _, column, _)| {
            if image == 0 && column < 4 { 0.9 } else { 0.1 }
        },
    )
}

#[test]
fn arrays_of_images_are_explained() {
    // Light in the upper left corner.
    let model = per_row(|row| if 0.5 < row[0] { [0.0, 1.0] } else { [1.0, 0.0] });
    let params = serde_json::json!({
        "segmentation_fn": { "slic": { "n_segments": 4 } },
        "n_covered_ex": 0,
    });
    // What is not kept becomes dark, so that the corner must be kept.
    let dark = Array4::from_elem((1, 8, 8, 1), 0.1);
    let job = Job::new("anchor-image").with_model(&model).with_images(images());
    let job = job.with_background_images(dark).with_params(&params).unwrap();
    let explained = job.explain_all().unwrap();
    assert_eq!(explained.len(), 2);
    let first = explained[0].as_ref().unwrap();
    let data = &first.typed::<AnchorImageData>().unwrap().data;
    // The pixel that decides is in the anchor.
    assert!(data.mask()[[0, 0]], "{:?}", data.mask());
    let pictures = first.pictures();
    let suffixes: Vec<&str> = pictures.iter().map(|picture| picture.suffix).collect();
    assert_eq!(suffixes, ["overlay.png", "mask.png"]);
    assert!(pictures.iter().all(|picture| picture.bytes.starts_with(b"\x89PNG")));
}

#[test]
fn a_shape_of_the_job_is_that_of_the_images() {
    let model = per_row(|row| [row[0], 1.0 - row[0]]);
    let refused = |shape: &str| {
        let text = format!("method = \"anchor-image\"\n[model]\nimage_shape = {shape}\n");
        let job = Job::from_toml(&text, ".").unwrap().with_model(&model).with_images(images());
        job.load().err().unwrap().to_string()
    };
    let error = refused("[4, 4, 1]");
    assert!(error.contains("images in memory must have the shape"), "{error}");
    let error = refused("[8, 0, 1]");
    assert!(error.contains("`image_shape` must be height, width and channels"), "{error}");
}
