//! Pictures of anchors, and images from files.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; bytes are whole numbers"
)]

use std::error::Error;

use ndarray::{Array2, Array3, Axis, array};
use xai_anchors::image::{
    AnchorImageData, AnchorImageParams, DecodeError, Dtype, Segmentation, Segments, decode,
    overlay_mask,
};
use xai_core::figure::Panel;
use xai_core::{BoxError, Explainer, Figure, OutputNames, Rows, Run};

/// The anchor of an image of four by eight whose left half decides.
fn explained(channels: usize) -> AnchorImageData {
    let image = Array3::from_shape_fn((4, 8, channels), |(y, x, c)| (8 * y + x + c) as f64);
    let labels = (0..4).map(|_| (0..8).map(|x| x / 4).collect()).collect();
    let params = AnchorImageParams::default().with_segmentation_fn(Segmentation::Custom(labels));
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let label = |row: ndarray::ArrayView1<'_, f64>| f64::from(u8::from(row[0] == 0.0));
        Ok(batch.map_axis(Axis(1), label).insert_axis(Axis(1)))
    };
    let explainer = params.build((4, 8, channels), None).unwrap();
    let data = explainer.explain(&model, &image.flatten(), Run::seeded(0)).unwrap().data;
    assert_eq!(data.features(None).unwrap(), [0]);
    data
}

#[test]
fn the_mask_is_white_where_the_anchor_is() {
    for channels in [1, 2, 3] {
        let mask = decode(&explained(channels).mask_png(), 1, Dtype::U8).unwrap();
        let expected = |(_, x, _)| if x < 4 { 255.0 } else { 0.0 };
        assert_eq!(mask, Array3::from_shape_fn((4, 8, 1), expected));
    }
}

#[test]
fn the_overlay_is_enlarged_dimmed_and_outlined() {
    let overlay = decode(&explained(1).overlay_png(), 3, Dtype::U8).unwrap();
    // 32 times as large, so that the longer side has 256 pixels.
    assert_eq!(overlay.dim(), (128, 256, 3));
    let at = |y: usize, x: usize| [0, 1, 2].map(|c| overlay[[y, x, c]]);
    // The last pixel of the anchor: 27 of 31 in 255 steps, and its right outline, where the mask ends.
    assert_eq!(at(100, 100), [f64::floor(27.0 / 31.0 * 255.0); 3]);
    assert_eq!(at(100, 127), [255.0, 210.0, 0.0]);
    // Outside, a little more than a third of the light is left.
    assert_eq!(at(127, 255), [f64::floor(0.35 * 255.0); 3]);
}

#[test]
fn the_figure_carries_the_picture() {
    let data = explained(3);
    let figure = data.figure(&OutputNames::default());
    assert_eq!(figure.title, "Anchor for class 1: superpixel 0");
    let [Panel::Image(picture), Panel::Table(table)] = figure.panels.as_slice() else {
        panic!("a picture and a table")
    };
    assert_eq!((picture.width, picture.height), (256, 128));
    assert_eq!(picture.rgb.len(), 3 * 256 * 128);
    let overlay = decode(&data.overlay_png(), 3, Dtype::U8).unwrap();
    assert!(overlay.iter().zip(&picture.rgb).all(|(&a, &b)| a == f64::from(b)));
    assert_eq!(table.rows[1][0], "superpixel 0: 16 pixels in rows 0 to 3, columns 0 to 3");
    let json = serde_json::to_string(&figure).unwrap();
    assert_eq!(serde_json::from_str::<Figure>(&json).unwrap(), figure);
    assert!(serde_json::from_str::<Figure>(&json.replace(r#""rgb":""#, r#""rgb":"x"#)).is_err());
}

#[test]
fn masks_of_images_are_spread() {
    let image = array![[[-1.0], [0.0]], [[1.0], [3.0]]];
    let segments = Segments { labels: array![[0, 1], [1, 2]], own_labels: vec![0, 1, 2] };
    let masked = overlay_mask(&image, &segments, &[1, 2], (0.0, 100.0)).unwrap();
    assert_eq!(masked, array![[[0.0], [25.0]], [[50.0], [100.0]]]);
    let flat = Array3::from_elem((2, 2, 1), 7.0);
    let masked = overlay_mask(&flat, &segments, &[0, 1, 2], (0.0, 255.0)).unwrap();
    assert_eq!(masked, Array3::<f64>::zeros((2, 2, 1)));
    assert!(overlay_mask(&image, &segments, &[3], (0.0, 255.0)).is_err());
    assert!(overlay_mask(&image, &segments, &[0], (0.0, f64::NAN)).is_err());
    assert!(overlay_mask(&Array3::zeros((2, 3, 1)), &segments, &[0], (0.0, 1.0)).is_err());
}

#[test]
fn files_become_images() {
    let jpeg = include_bytes!("../reference/grey.jpg");
    let image = decode(jpeg, 3, Dtype::U8).unwrap();
    assert_eq!(image, Array3::from_elem((4, 8, 3), 128.0));
    let image = decode(jpeg, 1, Dtype::Float).unwrap();
    assert_eq!(image, Array3::from_elem((4, 8, 1), 128.0 / 255.0));
    let deep = include_bytes!("../reference/deep.png");
    let image = decode(deep, 1, Dtype::Float).unwrap();
    let expected = [[0.0, 1.0, 256.0], [65_534.0, 65_535.0, 32_768.0]];
    assert_eq!(image, Array3::from_shape_fn((2, 3, 1), |(y, x, _)| expected[y][x] / 65_535.0));
}

#[test]
fn damaged_files_are_refused() {
    let whole = include_bytes!("../reference/grey.jpg").as_slice();
    let png = explained(1).mask_png();
    for bytes in [&[], b"GIF89a".as_slice(), &whole[..20], &png[..png.len() / 2]] {
        let error = decode(bytes, 3, Dtype::U8).unwrap_err();
        assert!(matches!(error, DecodeError::Unreadable(_)) && error.source().is_some());
    }
    for channels in [0, 2, 4] {
        let error = decode(whole, channels, Dtype::U8).unwrap_err();
        assert!(matches!(error, DecodeError::Channels(own) if own == channels), "{error}");
    }
}
