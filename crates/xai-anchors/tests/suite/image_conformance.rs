//! The rules every explainer keeps to, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2, Array3, Axis};
use xai_anchors::image::{
    AnchorImage, AnchorImageParams, Dtype, Felzenszwalb, Quickshift, Segmentation, Slic,
};
use xai_core::{BoxError, Error, Explainer, Output, Rows, Run, Seed, Semantics};
use xai_testkit::conformance::black_box;
use xai_testkit::{Logistic, Suite, refused};

type P = AnchorImageParams;

const SHAPE: (usize, usize, usize) = (6, 7, 3);
const WIDTH: usize = 6 * 7 * 3;

fn images(n: usize, seed: u64) -> Array2<f64> {
    let mut stream = Seed::new(seed).stream();
    Array2::from_shape_simple_fn((n, WIDTH), || stream.uniform())
}

fn base() -> P {
    P::default()
        .with_segmentation_fn(Segmentation::Slic(Slic {
            n_segments: 6,
            compactness: 1e6,
            ..Slic::default()
        }))
        .with_output(Output::Bins { edges: vec![0.5], target: 0 })
        .with_final_samples(150)
        .with_n_covered_ex(2)
}

#[track_caller]
fn conforms(params: P, background: Option<&Array2<f64>>) {
    let explainer = params.build(SHAPE, background.map(|rows| &**rows)).unwrap();
    let mut stream = Seed::new(1).stream();
    let weights: Vec<f64> = (0..WIDTH).map(|_| 6.0 * (stream.uniform() - 0.5)).collect();
    let intercept = -0.5 * weights.iter().sum::<f64>();
    let model = Logistic::new(&weights, intercept);
    Suite { explainer: &explainer, view: black_box, model: &model, inputs: images(3, 2) }.run();
}

#[test]
fn means_of_superpixels_conform() {
    conforms(base(), None);
}

#[test]
fn backgrounds_and_a_strict_beam_conform() {
    let stripes = (0..6).map(|_| (0..7).map(|x| x / 2).collect()).collect();
    let segmentation_fn = Segmentation::Custom(stripes);
    let params = base()
        .with_segmentation_fn(segmentation_fn)
        .with_beam_size(2)
        .with_strict(true)
        .with_top_k(3)
        .with_verbose(true);
    conforms(params, Some(&images(4, 3)));
}

#[test]
fn reference_semantics_conform() {
    let segmentation_fn =
        Segmentation::Felzenszwalb(Felzenszwalb { min_size: 4, ..Felzenszwalb::default() });
    let semantics = Semantics::Reference;
    let params = base()
        .with_segmentation_fn(segmentation_fn)
        .with_semantics(semantics)
        .with_coverage_samples(500);
    conforms(params, None);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for shape in [(0, 7, 3), (6, 0, 3), (6, 7, 0), (usize::MAX, 2, 3), (0, 0, 0)] {
        let error = base().build(shape, None).unwrap_err();
        assert!(matches!(&error, Error::Param(error) if error.name == "shape"), "{error}");
    }
    for p_sample in [0.0, -0.1, 1.1, f64::NAN] {
        refused("p_sample", base().with_p_sample(p_sample));
    }
    refused("threshold", base().with_threshold(1.5));
    refused("coverage_samples", base().with_coverage_samples(0));
    refused("output", base().with_output(Output::Bins { edges: vec![], target: 0 }));
    let none = Segmentation::Slic(Slic { n_segments: 0, ..Slic::default() });
    refused("n_segments", base().with_segmentation_fn(none));
    for custom in [vec![], vec![vec![]], vec![vec![0, 1], vec![0]], vec![vec![0, -1]]] {
        let segmentation_fn = Segmentation::Custom(custom);
        refused("segmentation_fn", base().with_segmentation_fn(segmentation_fn));
    }
    let segmentation_fn = Segmentation::Quickshift(Quickshift::default());
    let error = base().with_segmentation_fn(segmentation_fn).build((6, 7, 2), None).unwrap_err();
    assert!(matches!(&error, Error::Param(error) if error.name == "shape"), "{error}");
    // Other numbers of channels are fine for the others.
    assert!(base().build((6, 7, 2), None).is_ok());
}

#[track_caller]
fn shape_error(result: Result<AnchorImage, Error>, expected: &[usize], got: &[usize]) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Shape { expected: e, got: g, .. } if e == expected && g == got),
        "{error}"
    );
}

#[test]
fn backgrounds_and_segments_must_fit() {
    shape_error(
        base().build(SHAPE, Some(&Array2::zeros((2, WIDTH - 1)))),
        &[2, WIDTH],
        &[2, WIDTH - 1],
    );
    let error = base().build(SHAPE, Some(&Array2::zeros((0, WIDTH)))).unwrap_err();
    assert!(error.to_string().contains("at least one image"), "{error}");
    let mut background = images(2, 4);
    background[[1, 5]] = f64::NAN;
    let error = base().build(SHAPE, Some(&background)).unwrap_err();
    assert!(matches!(&error, Error::NotFinite { at, .. } if *at == [1, 5]), "{error}");
    let error = base().with_dtype(Dtype::U8).build(SHAPE, Some(&images(1, 5))).unwrap_err();
    assert!(error.to_string().contains("whole numbers of 0 to 255"), "{error}");
    let segmentation_fn = Segmentation::Custom(vec![vec![0; 6]; 7]);
    shape_error(base().with_segmentation_fn(segmentation_fn).build(SHAPE, None), &[6, 7], &[7, 6]);
    let explainer = base().build(SHAPE, None).unwrap();
    let labels = Array2::<i64>::zeros((6, 8));
    shape_error(explainer.clone().with_segments(&labels), &[6, 7], &[6, 8]);
    let labels = Array2::<i64>::from_elem((6, 7), -1);
    let error = explainer.with_segments(&labels).unwrap_err();
    assert!(error.to_string().contains("custom labels of at least 0"), "{error}");
}

#[test]
fn images_must_fit() {
    let never = |_: &Rows| -> Result<Array2<f64>, BoxError> { panic!("the model was called") };
    let explainer = base().with_dtype(Dtype::U8).build(SHAPE, None).unwrap();
    for bad in [0.5, -1.0, 256.0] {
        let mut x = Array1::zeros(WIDTH);
        x[3] = bad;
        let error = explainer.explain(&never, &x, Run::seeded(0)).unwrap_err();
        assert!(error.to_string().contains("`image` must be whole numbers of 0 to 255"), "{error}");
    }
    let image = Array3::zeros((7, 6, 3));
    assert!(matches!(explainer.generate_superpixels(&image), Err(Error::Shape { .. })));
}

/// Bytes and their fractions of 255 have the same superpixels.
#[test]
fn bytes_are_cut_like_fractions() {
    let bytes = Array3::from_shape_fn(SHAPE, |(y, x, c)| ((31 * y + 17 * x + 80 * c) % 256) as f64);
    let segments = |dtype, image: &Array3<f64>| {
        base().with_dtype(dtype).build(SHAPE, None).unwrap().generate_superpixels(image).unwrap()
    };
    assert_eq!(segments(Dtype::U8, &bytes), segments(Dtype::Float, &(&bytes / 255.0)));
}

/// The settings read back, and their defaults are filled in.
#[test]
fn settings_are_plain_data() {
    let text = r#"{"batch_size": 7, "segmentation_fn": {"slic": {"n_segments": 4}}}"#;
    let params: P = serde_json::from_str(text).unwrap();
    let expected = P::default()
        .with_batch_size(7)
        .with_segmentation_fn(Segmentation::Slic(Slic { n_segments: 4, ..Slic::default() }));
    assert_eq!(params, expected);
    let back: P = serde_json::from_str(&serde_json::to_string(&params).unwrap()).unwrap();
    assert_eq!(back, params);
    for unknown in ["segmentation_kwargs", "image_shape", "cache_margin", "search"] {
        let error = serde_json::from_str::<P>(&format!(r#"{{"{unknown}": 1}}"#)).unwrap_err();
        let words = format!("unknown field `{unknown}`, expected one of `dtype`");
        assert!(error.to_string().contains(&words), "{error}");
    }
}

/// The schema has the defaults of images, where these differ from those of rows.
#[test]
fn the_schema_has_the_defaults_of_images() {
    let schema = serde_json::to_value(schemars::schema_for!(P)).unwrap();
    assert_eq!(schema["properties"]["n_covered_ex"]["default"], 0);
    assert_eq!(schema["properties"]["threshold"]["default"], 0.95);
}

/// Without being asked for examples, an explanation holds the image and its superpixels once.
#[test]
fn a_default_explanation_repeats_no_array() {
    let explainer = P::default().build((64, 64, 3), None).unwrap();
    let mut stream = Seed::new(7).stream();
    let x = Array1::from_shape_simple_fn(64 * 64 * 3, || (255.0 * stream.uniform()).floor());
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(batch
            .map_axis(Axis(1), |row| f64::from(row[0].to_bits() == x[0].to_bits()))
            .insert_axis(Axis(1)))
    };
    let json = explainer.explain(&model, &x, Run::seeded(0)).unwrap().to_json().unwrap();
    let image = serde_json::to_string(&x.to_vec()).unwrap().len();
    // A superpixel is a number of at most two digits and a comma for each pixel.
    assert!(json.len() < image + 3 * 64 * 64 + 20_000, "{} of {image}", json.len());
}

/// Rows that differ have perturbations of their own.
#[test]
fn rows_and_seeds_draw_their_own() {
    let explainer = base().build(SHAPE, None).unwrap();
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(batch.map_axis(Axis(1), |row| (1e3 * row.dot(&row)).fract()).insert_axis(Axis(1)))
    };
    let x = images(1, 9);
    let with = |seed| explainer.explain(&model, &x.row(0), Run::seeded(seed)).unwrap().data;
    assert_ne!(with(0).examples, with(1).examples);
}
