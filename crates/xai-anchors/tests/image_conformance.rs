//! The rules every explainer keeps to, and what is refused.

#![cfg(feature = "image")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2, Array3, Axis};
use xai_anchors::Output;
use xai_anchors::image::{
    AnchorImage, AnchorImageParams, Dtype, Felzenszwalb, Quickshift, Segmentation, Slic,
};
use xai_core::{BoxError, Error, Explainer, Params, Rows, Run, Seed, Semantics};
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
    P {
        image_shape: SHAPE,
        // Noise has no regions of one colour: space alone parts it.
        segmentation_fn: Segmentation::Slic(Slic {
            n_segments: 6,
            compactness: 1e6,
            ..Slic::default()
        }),
        output: Output::Bins { edges: vec![0.5], target: 0 },
        final_samples: 150,
        n_covered_ex: 2,
        ..P::default()
    }
}

#[track_caller]
fn conforms(params: P, background: Option<&Array2<f64>>) {
    let explainer = params.build(background.map(|rows| &**rows)).unwrap();
    let mut stream = Seed::new(1).stream();
    let weights: Vec<f64> = (0..WIDTH).map(|_| 6.0 * (stream.uniform() - 0.5)).collect();
    let intercept = -0.5 * weights.iter().sum::<f64>();
    let model = Logistic::new(&weights, intercept);
    Suite { explainer: &explainer, view: black_box, model: &model, rows: images(3, 2) }.run();
}

#[test]
fn means_of_superpixels_conform() {
    conforms(base(), None);
}

#[test]
fn backgrounds_and_a_strict_beam_conform() {
    let stripes = (0..6).map(|_| (0..7).map(|x| x / 2).collect()).collect();
    let segmentation_fn = Segmentation::Custom(stripes);
    let params =
        P { segmentation_fn, beam_size: 2, strict: true, top_k: 3, verbose: true, ..base() };
    conforms(params, Some(&images(4, 3)));
}

#[test]
fn reference_semantics_conform() {
    let segmentation_fn =
        Segmentation::Felzenszwalb(Felzenszwalb { min_size: 4, ..Felzenszwalb::default() });
    let semantics = Semantics::Reference;
    let params = P { segmentation_fn, semantics, coverage_samples: 500, ..base() };
    conforms(params, None);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for image_shape in [(0, 7, 3), (6, 0, 3), (6, 7, 0), (usize::MAX, 2, 3)] {
        refused("image_shape", P { image_shape, ..base() });
    }
    refused("image_shape", P::default());
    for p_sample in [0.0, -0.1, 1.1, f64::NAN] {
        refused("p_sample", P { p_sample, ..base() });
    }
    refused("threshold", P { threshold: 1.5, ..base() });
    refused("coverage_samples", P { coverage_samples: 0, ..base() });
    refused("binary_cache_size", P { binary_cache_size: 0, ..base() });
    refused("output", P { output: Output::Bins { edges: vec![], target: 0 }, ..base() });
    let none = Segmentation::Slic(Slic { n_segments: 0, ..Slic::default() });
    refused("n_segments", P { segmentation_fn: none, ..base() });
    for custom in [vec![], vec![vec![]], vec![vec![0, 1], vec![0]], vec![vec![0, -1]]] {
        let segmentation_fn = Segmentation::Custom(custom);
        refused("segmentation_fn", P { segmentation_fn, ..base() });
    }
    let segmentation_fn = Segmentation::Quickshift(Quickshift::default());
    refused("image_shape", P { image_shape: (6, 7, 2), segmentation_fn, ..base() });
    // Other numbers of channels are fine for the others.
    assert!(P { image_shape: (6, 7, 2), ..base() }.check().is_ok());
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
    shape_error(base().build(Some(&Array2::zeros((2, WIDTH - 1)))), &[2, WIDTH], &[2, WIDTH - 1]);
    let error = base().build(Some(&Array2::zeros((0, WIDTH)))).unwrap_err();
    assert!(error.to_string().contains("at least one image"), "{error}");
    let mut background = images(2, 4);
    background[[1, 5]] = f64::NAN;
    let error = base().build(Some(&background)).unwrap_err();
    assert!(matches!(&error, Error::NotFinite { at, .. } if *at == [1, 5]), "{error}");
    let error = P { dtype: Dtype::U8, ..base() }.build(Some(&images(1, 5))).unwrap_err();
    assert!(error.to_string().contains("whole numbers of 0 to 255"), "{error}");
    let segmentation_fn = Segmentation::Custom(vec![vec![0; 6]; 7]);
    shape_error(P { segmentation_fn, ..base() }.build(None), &[6, 7], &[7, 6]);
    let explainer = base().build(None).unwrap();
    let labels = Array2::<i64>::zeros((6, 8));
    shape_error(explainer.clone().with_segments(&labels), &[6, 7], &[6, 8]);
    let labels = Array2::<i64>::from_elem((6, 7), -1);
    let error = explainer.with_segments(&labels).unwrap_err();
    assert!(error.to_string().contains("custom labels of at least 0"), "{error}");
}

#[test]
fn images_must_fit() {
    let never = |_: &Rows| -> Result<Array2<f64>, BoxError> { panic!("the model was called") };
    let explainer = P { dtype: Dtype::U8, ..base() }.build(None).unwrap();
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
        P { dtype, ..base() }.build(None).unwrap().generate_superpixels(image).unwrap()
    };
    assert_eq!(segments(Dtype::U8, &bytes), segments(Dtype::Float, &(&bytes / 255.0)));
}

/// The settings read back, and their defaults are filled in.
#[test]
fn settings_are_plain_data() {
    let text = r#"{"image_shape": [6, 7, 3], "segmentation_fn": {"slic": {"n_segments": 4}}}"#;
    let params: P = serde_json::from_str(text).unwrap();
    let expected = P {
        image_shape: SHAPE,
        segmentation_fn: Segmentation::Slic(Slic { n_segments: 4, ..Slic::default() }),
        ..P::default()
    };
    assert_eq!(params, expected);
    let back: P = serde_json::from_str(&serde_json::to_string(&params).unwrap()).unwrap();
    assert_eq!(back, params);
    assert!(serde_json::from_str::<P>(r#"{"segmentation_kwargs": {}}"#).is_err());
}

/// Rows that differ have perturbations of their own.
#[test]
fn rows_and_seeds_draw_their_own() {
    let explainer = base().build(None).unwrap();
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(batch.map_axis(Axis(1), |row| (1e3 * row.dot(&row)).fract()).insert_axis(Axis(1)))
    };
    let x = images(1, 9);
    let with = |seed| explainer.explain(&model, &x.row(0), Run::seeded(seed)).unwrap().data;
    assert_ne!(with(0).raw.examples, with(1).raw.examples);
}
