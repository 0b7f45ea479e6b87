//! Superpixels against scikit-image and against hand-made ones.
#![cfg(feature = "image")]
#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests compare recorded labels")]

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Array3, s};
use serde_json::Value;
use xai_anchors::image::{Felzenszwalb, Quickshift, Slic, felzenszwalb, quickshift, slic};

fn cases() -> Vec<(String, Array3<f64>, BTreeMap<String, Array2<usize>>)> {
    let text = include_str!("reference/superpixels.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let case = |case: &Value| {
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let pixels: Vec<f64> = serde_json::from_value(case["pixels"].clone()).unwrap();
        let shape = (shape[0], shape[1], shape[2]);
        let image = Array3::from_shape_vec(shape, pixels).unwrap().mapv(|value| value / 10_000.0);
        let labels = case["labels"].as_object().unwrap().iter().map(|(method, rows)| {
            let rows: Vec<String> = serde_json::from_value(rows.clone()).unwrap();
            let digits = rows.iter().flat_map(|row| row.chars());
            let digits = digits.map(|digit| digit.to_digit(36).unwrap() as usize).collect();
            (method.clone(), Array2::from_shape_vec((shape.0, shape.1), digits).unwrap())
        });
        (case["image"].as_str().unwrap().to_owned(), image, labels.collect())
    };
    document["cases"].as_array().unwrap().iter().map(case).collect()
}

#[test]
fn probe() {
    for (image, pixels, labels) in cases() {
        for (method, expected) in labels {
            let got = match method.as_str() {
                "slic_n15_c10" => slic(&pixels, &Slic { n_segments: 15, ..Slic::default() }),
                "slic_n30_c20" => {
                    slic(&pixels, &Slic { n_segments: 30, compactness: 20.0, ..Slic::default() })
                }
                "slic_n10_c01" => slic(
                    &pixels,
                    &Slic { n_segments: 10, compactness: 0.1, sigma: 0.0, ..Slic::default() },
                ),
                "felzenszwalb_100_05_50" => {
                    felzenszwalb(&pixels, &Felzenszwalb { scale: 100.0, sigma: 0.5, min_size: 50 })
                }
                "felzenszwalb_1_08_20" => felzenszwalb(&pixels, &Felzenszwalb::default()),
                "quickshift_4_200_02" => quickshift(
                    &pixels,
                    &Quickshift { kernel_size: 4.0, max_dist: 200.0, ratio: 0.2, sigma: 0.0 },
                ),
                _ => quickshift(
                    &pixels,
                    &Quickshift { kernel_size: 2.0, max_dist: 6.0, ratio: 1.0, sigma: 0.7 },
                ),
            }
            .unwrap();
            let same = got.iter().zip(&expected).filter(|(a, b)| a == b).count();
            let pairs: BTreeSet<(usize, usize)> =
                got.iter().copied().zip(expected.iter().copied()).collect();
            println!(
                "{image:16} {method:24} same {same} of {} labels {} / {} pairs {}",
                got.len(),
                got.iter().max().unwrap() + 1,
                expected.iter().max().unwrap() + 1,
                pairs.len()
            );
        }
    }
    let _ = s![..];
}
