//! Superpixels against scikit-image, and against what can be said of them by hand.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; sizes are whole numbers"
)]

use std::collections::BTreeSet;

use ndarray::{Array2, Array3, ArrayView2};
use serde_json::Value;
use xai_anchors::image::{
    Felzenszwalb, Image, Quickshift, Segmentation, Slic, felzenszwalb, quickshift, slic,
};
use xai_core::{Error, Params, Seed};
use xai_testkit::refused;

/// An image, and its labels by scikit-image for each method and its settings.
struct Case {
    name: String,
    image: Array3<f64>,
    labels: Vec<(String, Array2<usize>)>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../reference/superpixels.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let case = |case: &Value| {
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let pixels: Vec<f64> = serde_json::from_value(case["pixels"].clone()).unwrap();
        let image = Array3::from_shape_vec((shape[0], shape[1], shape[2]), pixels).unwrap();
        let labels = case["labels"].as_object().unwrap().iter().map(|(method, rows)| {
            let rows: Vec<String> = serde_json::from_value(rows.clone()).unwrap();
            let digits = rows.iter().flat_map(|row| row.chars());
            let digits = digits.map(|digit| digit.to_digit(36).unwrap() as usize).collect();
            (method.clone(), Array2::from_shape_vec((shape[0], shape[1]), digits).unwrap())
        });
        Case {
            name: case["image"].as_str().unwrap().to_owned(),
            // The nearest number to each decimal fraction, as in Python.
            image: image.mapv(|value| value / 10_000.0),
            labels: labels.collect(),
        }
    };
    document["cases"].as_array().unwrap().iter().map(case).collect()
}

/// The settings that the script of the recorded labels has under this name.
fn by_name(method: &str, image: &Image) -> Array2<usize> {
    let labels = match method {
        "slic_n15_c10" => slic(image, &Slic { n_segments: 15, ..Slic::default() }),
        "slic_n30_c20" => {
            slic(image, &Slic { n_segments: 30, compactness: 20.0, ..Slic::default() })
        }
        "slic_n10_c01" => slic(image, &Slic { compactness: 0.1, sigma: 0.0, ..Slic::default() }),
        "felzenszwalb_100_05_50" => {
            felzenszwalb(image, &Felzenszwalb { scale: 100.0, sigma: 0.5, min_size: 50 })
        }
        "felzenszwalb_1_08_20" => felzenszwalb(image, &Felzenszwalb::default()),
        "quickshift_4_200_02" => {
            let params =
                Quickshift { kernel_size: 4.0, max_dist: 200.0, ratio: 0.2, ..Default::default() };
            quickshift(image, &params)
        }
        "quickshift_5_30_05" => {
            let params = Quickshift { kernel_size: 5.0, max_dist: 30.0, ratio: 0.5, sigma: 0.0 };
            quickshift(image, &params)
        }
        "quickshift_3_20_1" => {
            let params = Quickshift { kernel_size: 3.0, max_dist: 20.0, ratio: 1.0, sigma: 0.7 };
            quickshift(image, &params)
        }
        other => panic!("no settings are named {other}"),
    };
    labels.unwrap()
}

/// The same superpixels, whatever they are called.
fn same_partition(a: &Array2<usize>, b: &Array2<usize>) -> bool {
    let pairs: BTreeSet<(usize, usize)> = a.iter().copied().zip(b.iter().copied()).collect();
    let left: BTreeSet<usize> = a.iter().copied().collect();
    let right: BTreeSet<usize> = b.iter().copied().collect();
    pairs.len() == left.len() && pairs.len() == right.len()
}

/// SLIC and Felzenszwalb give the same labels, quickshift the same regions under other names: scikit-image numbers them
/// by the place of their densest pixel, here they are numbered as a reader meets them. scikit-image adds noise of 1e-5
/// to densities to break ties; what is recorded is the same for eleven seeds of it, so that no region hangs on a tie and
/// none may differ.
#[test]
fn superpixels_are_those_of_scikit_image() {
    let mut n_compared = 0;
    for Case { name, image, labels } in cases() {
        for (method, expected) in labels {
            let got = by_name(&method, &image);
            if method.starts_with("quickshift") {
                assert!(same_partition(&got, &expected), "{method} of {name}");
            } else {
                assert!(got == expected, "{method} of {name}");
            }
            n_compared += 1;
        }
    }
    assert_eq!(n_compared, COMPARED);
}

/// How many labellings are recorded.
const COMPARED: usize = 69;

fn sizes(labels: &Array2<usize>) -> Vec<usize> {
    let n = labels.iter().max().unwrap() + 1;
    (0..n).map(|label| labels.iter().filter(|&&own| own == label).count()).collect()
}

/// A row and a column of numbers as a table of labels.
fn blocks(rows: &[usize], columns: &[usize]) -> Array2<usize> {
    let width = columns.iter().max().unwrap() + 1;
    Array2::from_shape_fn((rows.len(), columns.len()), |(y, x)| rows[y] * width + columns[x])
}

/// Left black and right white.
fn two_tone() -> Array3<f64> {
    Array3::from_shape_fn((12, 12, 3), |(_, x, _)| f64::from(u8::from(6 <= x)))
}

/// Red and green above blue and yellow.
fn quadrants(side: usize) -> Array3<f64> {
    Array3::from_shape_fn((side, side, 3), |(y, x, channel)| {
        let color = match (y < side / 2, x < side / 2) {
            (true, true) => [1.0, 0.0, 0.0],
            (true, false) => [0.0, 1.0, 0.0],
            (false, true) => [0.0, 0.0, 1.0],
            (false, false) => [1.0, 1.0, 0.0],
        };
        color[channel]
    })
}

#[test]
fn a_flat_image_is_cut_into_blocks() {
    let labels = slic(&Array3::from_elem((10, 10, 3), 0.5), &Slic::default()).unwrap();
    let thirds = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2];
    assert_eq!(labels, blocks(&thirds, &thirds));
    assert_eq!(sizes(&labels), [9, 9, 12, 9, 9, 12, 12, 12, 16]);
}

#[test]
fn an_edge_parts_superpixels() {
    let image = two_tone();
    let thirds = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
    let halves = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
    assert_eq!(slic(&image, &Slic::default()).unwrap(), blocks(&thirds, &halves));
    let regions = blocks(&[0; 12], &halves);
    assert_eq!(felzenszwalb(&image, &Felzenszwalb::default()).unwrap(), regions);
    assert_eq!(quickshift(&image, &Quickshift::default()).unwrap(), regions);
    // Smoothing leaves two columns between black and white, each a region of its own.
    let params = Felzenszwalb { scale: 100.0, sigma: 0.5, min_size: 5 };
    let columns = [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3];
    assert_eq!(felzenszwalb(&image, &params).unwrap(), blocks(&[0; 12], &columns));
    let halves: Vec<usize> = (0..24).map(|place| place / 12).collect();
    let regions = quickshift(&quadrants(24), &Quickshift::default()).unwrap();
    assert_eq!(regions, blocks(&halves, &halves));
}

/// Random pixels, as a few coloured blocks with noise.
fn random(seed: u64, (height, width, channels): (usize, usize, usize)) -> Array3<f64> {
    let mut stream = Seed::new(seed).stream();
    let colors: Vec<f64> = (0..9 * channels).map(|_| stream.uniform()).collect();
    Array3::from_shape_fn((height, width, channels), |(y, x, channel)| {
        let block = 3 * (3 * y / height) + 3 * x / width;
        0.8 * colors[block * channels + channel] + 0.2 * stream.uniform()
    })
}

fn in_order(labels: &Array2<usize>) -> bool {
    let mut next = 0;
    labels.iter().all(|&label| {
        next = next.max(label + usize::from(label == next));
        label < next
    })
}

/// Whether each label is one piece, by its four neighbours or by all eight.
fn is_connected(labels: &ArrayView2<'_, usize>, corners: bool) -> bool {
    let (height, width) = labels.dim();
    let mut pieces: BTreeSet<usize> = BTreeSet::new();
    let mut seen = Array2::from_elem((height, width), false);
    for start in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        if seen[start] {
            continue;
        }
        if !pieces.insert(labels[start]) {
            return false;
        }
        let mut rest = vec![start];
        while let Some((y, x)) = rest.pop() {
            if std::mem::replace(&mut seen[[y, x]], true) {
                continue;
            }
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for column in x.saturating_sub(1)..(x + 2).min(width) {
                    let is_near = corners || row == y || column == x;
                    if is_near && labels[[row, column]] == labels[start] {
                        rest.push((row, column));
                    }
                }
            }
        }
    }
    true
}

#[test]
fn labels_are_in_order_and_regions_in_one_piece() {
    for (seed, shape) in [(1, (9, 31, 3)), (2, (25, 14, 1)), (3, (20, 20, 3)), (4, (1, 40, 3))] {
        let image = random(seed, shape);
        let slic = slic(&image, &Slic::default()).unwrap();
        let regions = felzenszwalb(&image, &Felzenszwalb::default()).unwrap();
        let shifted = quickshift(&image, &Quickshift::default()).unwrap();
        for labels in [&slic, &regions, &shifted] {
            assert_eq!(labels.dim(), (shape.0, shape.1));
            assert!(in_order(labels), "{labels}");
        }
        assert!(is_connected(&regions.view(), true));
        assert!(sizes(&regions).iter().all(|&size| 20 <= size), "min_size of {regions}");
        // The superpixels of slic are cut where they grow too large, and joined where they are too small.
        let limit = 3 * shape.0 * shape.1;
        assert!(sizes(&slic).iter().all(|&size| size <= limit));
    }
}

/// The scale of an image is nothing to slic, which spreads it, and a shift of grey nothing to all of them.
#[test]
fn slic_does_not_see_the_scale() {
    let image = random(5, (24, 30, 1));
    let params = Slic::default();
    // Powers of two, so that no rounding differs.
    let scaled = &image * 1024.0;
    assert_eq!(slic(&image, &params).unwrap(), slic(&scaled, &params).unwrap());
}

#[test]
fn custom_labels_are_numbered_in_their_order() {
    let labels = vec![vec![20, 7, 7], vec![9, 9, 20]];
    let image = Array3::zeros((2, 3, 5));
    let segments = Segmentation::Custom(labels).segment(&image).unwrap();
    assert_eq!(segments.own_labels, [7, 9, 20]);
    assert_eq!(segments.labels, ndarray::array![[2, 0, 0], [1, 1, 2]]);
    assert!(segments.len() == 3 && !segments.is_empty());
}

/// One channel of grey is three equal ones to the built-in methods.
#[test]
fn grey_is_a_colour() {
    let grey = random(6, (18, 22, 1));
    let color = Array3::from_shape_fn((18, 22, 3), |(y, x, _)| grey[[y, x, 0]]);
    for segmentation in [
        Segmentation::Slic(Slic::default()),
        Segmentation::Felzenszwalb(Felzenszwalb::default()),
        Segmentation::Quickshift(Quickshift::default()),
    ] {
        assert_eq!(segmentation.segment(&grey).unwrap(), segmentation.segment(&color).unwrap());
    }
}

#[test]
fn bad_images_are_refused() {
    let good = random(7, (6, 7, 3));
    for bad in [f64::NAN, f64::INFINITY] {
        let mut image = good.clone();
        image[[4, 2, 1]] = bad;
        for segmentation in [
            Segmentation::Slic(Slic::default()),
            Segmentation::Felzenszwalb(Felzenszwalb::default()),
            Segmentation::Quickshift(Quickshift::default()),
            Segmentation::Custom(vec![vec![0; 7]; 6]),
        ] {
            let error = segmentation.segment(&image).unwrap_err();
            assert!(matches!(&error, Error::NotFinite { at, .. } if *at == [4, 2, 1]), "{error}");
        }
    }
    let empty = Array3::zeros((0, 7, 3));
    let error = slic(&empty, &Slic::default()).unwrap_err().to_string();
    assert!(error.contains("`image` must be of at least one pixel"), "{error}");
    let error = quickshift(&random(8, (6, 7, 2)), &Quickshift::default()).unwrap_err().to_string();
    assert!(error.contains("of 1 or 3 channels for quickshift, got 2"), "{error}");
    let error = Segmentation::Custom(vec![vec![0; 6]; 6]).segment(&good).unwrap_err();
    assert!(
        matches!(&error, Error::Shape { expected, got, .. } if *expected == [6, 7] && *got == [6, 6]),
        "{error}"
    );
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let nan = f64::NAN;
    refused("n_segments", Slic { n_segments: 0, ..Slic::default() });
    refused("max_num_iter", Slic { max_num_iter: 0, ..Slic::default() });
    for compactness in [0.0, -1.0, nan, f64::INFINITY] {
        refused("compactness", Slic { compactness, ..Slic::default() });
    }
    for sigma in [-0.1, 1000.1, nan] {
        refused("sigma", Slic { sigma, ..Slic::default() });
        refused("sigma", Felzenszwalb { sigma, ..Felzenszwalb::default() });
        refused("sigma", Quickshift { sigma, ..Quickshift::default() });
    }
    for scale in [-1.0, nan, f64::INFINITY] {
        refused("scale", Felzenszwalb { scale, ..Felzenszwalb::default() });
    }
    for ratio in [-0.1, 1.1, nan] {
        refused("ratio", Quickshift { ratio, ..Quickshift::default() });
    }
    for kernel_size in [0.0, 1000.1, nan] {
        refused("kernel_size", Quickshift { kernel_size, ..Quickshift::default() });
    }
    for max_dist in [-1.0, nan, f64::INFINITY] {
        refused("max_dist", Quickshift { max_dist, ..Quickshift::default() });
    }
    assert!(Slic::default().check().is_ok());
}
