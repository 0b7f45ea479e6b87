//! Anchors of small images against what is known of them exactly.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; powers of one half are exact"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2, Array3, Axis, array};
use xai_anchors::image::{AnchorImageData, AnchorImageParams, Dtype, Segmentation, Slic};
use xai_core::{
    BoxError, Budget, Explainer, Explanation, Output, Predictor, Row, Rows, Run, Seed, Status, Stop,
};

type P = AnchorImageParams;

/// A label for each image.
fn labels(f: impl Fn(&Row) -> bool + Sync) -> impl Predictor {
    move |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(batch.map_axis(Axis(1), |image| f64::from(u8::from(f(&image)))).insert_axis(Axis(1)))
    }
}

/// The four quarters of a square image.
fn quarters(side: usize) -> Vec<Vec<i64>> {
    let half = |place: usize| i64::from(side / 2 <= place);
    (0..side).map(|y| (0..side).map(|x| 2 * half(y) + half(x)).collect()).collect()
}

/// Eight by eight grey pixels, the first quarter white and the others grey, none of them black.
fn bright_quarter() -> Array1<f64> {
    let image = Array3::from_shape_fn((8, 8, 1), |(y, x, _)| match (y / 4, x / 4) {
        (0, 0) => 1.0,
        (y, x) => 0.2 + 0.1 * (2 * y + x) as f64,
    });
    image.flatten().into_owned()
}

/// Whether the first quarter of an image of eight by eight is bright.
fn is_bright(image: &Row) -> bool {
    let sum: f64 = (0..4).flat_map(|y| (0..4).map(move |x| image[8 * y + x])).sum();
    0.5 < sum / 16.0
}

fn in_quarters() -> P {
    let segmentation_fn = Segmentation::Custom(quarters(8));
    P::default().with_segmentation_fn(segmentation_fn)
}

/// One channel of a square, or three of 32 by 32.
fn shape_of(x: &Row) -> (usize, usize, usize) {
    let side = (1..=x.len()).find(|side| side * side == x.len());
    side.map_or((32, 32, 3), |side| (side, side, 1))
}

#[track_caller]
fn explain(
    params: P,
    background: Option<&Array2<f64>>,
    model: &dyn Predictor,
    x: &Row,
    seed: u64,
) -> Explanation<AnchorImageData> {
    let explainer = params.build(shape_of(x), background.map(|rows| &**rows)).unwrap();
    explainer.explain(model, x, Run::seeded(seed)).unwrap()
}

#[test]
fn the_quarter_that_decides_is_the_anchor() {
    let black = Array2::zeros((1, 64));
    let x = bright_quarter();
    for p_sample in [0.1, 0.5, 0.9] {
        let params = in_quarters().with_p_sample(p_sample);
        let data = explain(params, Some(&black), &labels(is_bright), &x, 0).data;
        if p_sample == 0.1 {
            // Nine of ten perturbations leave the quarter alone: that is less than the threshold.
            assert!(data.result.base_rate.mean < 0.95);
        }
        assert_eq!((data.result.status, data.result.valid), (Status::Found, true));
        assert_eq!(data.features(None).unwrap(), [0]);
        assert_eq!(data.result.precision, 1.0);
        assert_eq!(data.result.certificate.as_ref().unwrap().precision, 1.0);
        // The quarter is left alone by one minus p_sample of all perturbations, which is known and not estimated.
        assert_eq!(data.result.coverage, 1.0 - p_sample);
        assert!(data.result.coverage_of.exact && data.result.coverage_of.interval.is_none());
        assert_eq!(data.predicates[0].coverage.coverage, data.result.coverage);
        assert_eq!(data.coverage(Some(0)).unwrap(), 1.0);
        let (anchor, mask) = (data.anchor(), data.mask());
        assert_eq!((anchor.dim(), mask.dim()), ((8, 8, 1), (8, 8)));
        for ((y, x), &in_anchor) in mask.indexed_iter() {
            assert_eq!(in_anchor, y < 4 && x < 4);
            assert_eq!(anchor[[y, x, 0]], if in_anchor { 255 } else { 0 });
            assert_eq!(data.segments[y][x], 2 * (y / 4) + x / 4);
        }
        let own = &data.predicates[0];
        assert_eq!((own.superpixel, own.label, own.n_pixels), (0, 0, 16));
        let bounds = own.bounding_box;
        assert_eq!((bounds.top, bounds.left, bounds.bottom, bounds.right), (0, 0, 4, 4));
        assert_eq!(data.images_background, Some([1, 8, 8, 1]));
        assert_eq!(data.instance.shape(), [8, 8, 1]);
        assert_eq!(data.result.decision, 1.0);
    }
}

/// Quarters of one colour are their own mean: nothing can be said of them, and nothing is asked.
#[test]
fn flat_superpixels_are_named_and_left_out() {
    let explanation = explain(in_quarters(), None, &labels(is_bright), &bright_quarter(), 0);
    let data = &explanation.data;
    assert_eq!(
        (data.result.status, data.result.precision, data.result.coverage),
        (Status::Empty, 1.0, 1.0)
    );
    assert_eq!(data.unchangeable, [0, 1, 2, 3]);
    assert!(data.anchor().iter().all(|&value| value == 0));
    assert!(data.mask().iter().all(|&in_anchor| !in_anchor));
    let codes: Vec<&str> =
        explanation.meta.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["anchors.unchangeable_superpixel"]);
    // All perturbations are the image itself.
    assert_eq!(explanation.meta.queries, 1);
    // One flat quarter among others is in no anchor, whatever the model.
    let mut x = bright_quarter();
    x[0] = 0.9;
    x[60] = 0.0;
    let model = labels(|image: &Row| image[0] == 0.9 && image[60] == 0.0);
    let data = explain(in_quarters(), None, &model, &x, 0).data;
    assert_eq!(data.unchangeable, [1, 2]);
    assert_eq!(
        data.features(None).unwrap().into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([0, 3])
    );
    assert_eq!((data.result.status, data.result.coverage), (Status::Found, 0.25));
}

#[test]
fn labels_may_be_any_numbers() {
    let black = Array2::zeros((1, 64));
    let expected = explain(in_quarters(), Some(&black), &labels(is_bright), &bright_quarter(), 3);
    for names in [[1, 2, 3, 4], [7, 9, 20, 33]] {
        let mut rows = quarters(8);
        let own = |label: i64| names[usize::try_from(label).unwrap()];
        rows.iter_mut().flatten().for_each(|label| *label = own(*label));
        let segmentation_fn = Segmentation::Custom(rows);
        let params = in_quarters().with_segmentation_fn(segmentation_fn);
        let mut data = explain(params, Some(&black), &labels(is_bright), &bright_quarter(), 3).data;
        assert_eq!(data.labels, names);
        assert_eq!(data.predicates[0].label, names[0]);
        data.labels = expected.data.labels.clone();
        data.predicates[0].label = 0;
        assert_eq!(data, expected.data);
    }
}

/// A segmentation of the caller's own for one image, from a function.
#[test]
fn segments_may_come_from_a_function() {
    let black = Array2::zeros((1, 64));
    let params = P::default();
    let explainer = params.build((8, 8, 1), Some(&black)).unwrap();
    let left_and_right = |_: &Row| Array2::from_shape_fn((8, 8), |(_, x)| i64::from(4 <= x));
    let x = bright_quarter();
    let explainer = explainer.with_segments(&left_and_right(&x)).unwrap();
    let data = explainer.explain(&labels(is_bright), &x, Run::seeded(0)).unwrap().data;
    assert_eq!(data.features(None).unwrap(), [0]);
    assert_eq!(data.predicates[0].n_pixels, 32);
    let image = x.to_shape((8, 8, 1)).unwrap().into_owned();
    assert_eq!(explainer.generate_superpixels(&image).unwrap().len(), 2);
}

#[test]
fn one_superpixel_is_named() {
    let x = Array1::from_iter((0..64).map(f64::from));
    let segmentation_fn = Segmentation::Custom(vec![vec![5; 8]; 8]);
    let params = in_quarters().with_segmentation_fn(segmentation_fn);
    let explanation = explain(params, None, &labels(|image: &Row| image[63] == 63.0), &x, 0);
    assert_eq!(explanation.data.features(None).unwrap(), [0]);
    assert_eq!(explanation.meta.warnings[0].code, "anchors.single_superpixel");
    // The image and its mean: two different perturbations, each asked once.
    assert_eq!(explanation.meta.queries, 2);
}

/// The mean of two black and two white pixels: 127.5, rounded for bytes, kept for other numbers.
#[test]
fn means_of_bytes_are_bytes() {
    let cases = [(Dtype::U8, 128.0), (Dtype::Float, 127.5)];
    for (dtype, expected) in cases {
        let seen = Mutex::new(BTreeSet::new());
        let model = labels(|image: &Row| {
            let bits = image.iter().map(|value| value.to_bits());
            seen.lock().unwrap().extend(bits);
            image[0] == 0.0
        });
        let segmentation_fn = Segmentation::Custom(vec![vec![0; 2]; 2]);
        let params = P::default().with_dtype(dtype).with_segmentation_fn(segmentation_fn);
        explain(params, None, &model, &array![0.0, 255.0, 255.0, 0.0], 0);
        drop(model);
        let seen: BTreeSet<u64> = seen.into_inner().unwrap();
        assert_eq!(seen, BTreeSet::from([0.0_f64, 255.0, expected].map(f64::to_bits)));
    }
}

/// Each perturbation takes all its pixels from one image of the background.
#[test]
fn a_perturbation_has_one_background() {
    let x = Array1::from_elem(64, 9.0);
    let background = Array2::from_shape_fn((3, 64), |(image, _)| image as f64);
    let seen = Mutex::new(BTreeSet::new());
    let model = labels(|image: &Row| {
        let others: BTreeSet<u64> =
            image.iter().filter(|&&value| value != 9.0).map(|value| value.to_bits()).collect();
        assert!(others.len() <= 1, "a perturbation of two backgrounds");
        seen.lock().unwrap().extend(others);
        image[0] == 9.0
    });
    explain(in_quarters(), Some(&background), &model, &x, 0);
    drop(model);
    assert_eq!(seen.into_inner().unwrap(), BTreeSet::from([0.0_f64, 1.0, 2.0].map(f64::to_bits)));
}

/// Nine superpixels of two by two pixels, and a linear score of them.
struct Linear {
    weights: Vec<f64>,
}

const SIDE: usize = 6;
const N: usize = 9;

impl Linear {
    fn random(seed: u64) -> (Self, Array1<f64>) {
        let mut stream = Seed::new(seed).stream();
        let mut normal = || (0..12).map(|_| stream.uniform()).sum::<f64>() - 6.0;
        let weights = (0..SIDE * SIDE).map(|_| normal()).collect();
        let x = Array1::from_iter((0..SIDE * SIDE).map(|_| normal()));
        (Linear { weights }, x)
    }

    fn says(&self, image: &Row) -> bool {
        let score: f64 =
            image.iter().zip(&self.weights).map(|(value, weight)| value * weight).sum();
        0.0 < score
    }
}

fn block(place: usize) -> usize {
    3 * (place / SIDE / 2) + place % SIDE / 2
}

fn in_blocks() -> P {
    let label = |y, x| i64::try_from(block(SIDE * y + x)).unwrap();
    let rows = (0..SIDE).map(|y| (0..SIDE).map(|x| label(y, x)).collect()).collect();
    P::default().with_segmentation_fn(Segmentation::Custom(rows))
}

/// The image with the superpixels of a mask at their means.
fn perturbed(x: &Row, mask: usize) -> Array1<f64> {
    let mean = |own: usize| {
        let pixels = (0..x.len()).filter(|&place| block(place) == own).map(|place| x[place]);
        pixels.sum::<f64>() / 4.0
    };
    let value = |place: usize| {
        if mask >> block(place) & 1 == 1 { mean(block(place)) } else { x[place] }
    };
    Array1::from_iter((0..x.len()).map(value))
}

/// The precision of an anchor over all masks: each superpixel outside is perturbed with `p_sample`.
fn exact_precision(model: &Linear, x: &Row, anchor: &[usize], p_sample: f64) -> f64 {
    let decision = model.says(x);
    let held: usize = anchor.iter().map(|&own| 1 << own).sum();
    let weight = |mask: usize| {
        let ones = i32::try_from(mask.count_ones()).unwrap();
        let free = i32::try_from(N - anchor.len()).unwrap();
        p_sample.powi(ones) * (1.0 - p_sample).powi(free - ones)
    };
    let masks = (0..1_usize << N).filter(|mask| mask & held == 0);
    let agrees = masks.filter(|&mask| model.says(&perturbed(x, mask)) == decision);
    // Rounding may lift a sum of all weights above 1.
    agrees.map(weight).sum::<f64>().min(1.0)
}

/// Samples against the sum over all masks. The bounds of certificates fail in at most a tenth of the cases each, which
/// over `n` cases is `n / 10` and five standard errors; intervals of the base rate take their samples as given and fail
/// more often, while five standard errors hold for each.
#[test]
fn precisions_are_those_of_all_masks() {
    let n_models = 60;
    let mut failures = 0;
    let mut sizes = [0; N + 1];
    for seed in 0..n_models {
        let p_sample = [0.3, 0.5, 0.7][usize::try_from(seed).unwrap() % 3];
        let (model, x) = Linear::random(seed);
        let params = in_blocks().with_p_sample(p_sample);
        let data = explain(params, None, &labels(|image: &Row| model.says(image)), &x, seed).data;
        let anchor = &data.features(None).unwrap();
        let exact = exact_precision(&model, &x, anchor, p_sample);
        let certificate = data.result.certificate.as_ref().unwrap();
        let error = (exact * (1.0 - exact) / certificate.n_samples as f64).sqrt();
        assert!(
            (certificate.precision - exact).abs() <= 5.0 * error + 1e-12,
            "{} is far from {exact} of {anchor:?} for model {seed}",
            certificate.precision
        );
        failures += u32::from(exact < certificate.lower_bound);
        let base = exact_precision(&model, &x, &[], p_sample);
        let error = (base * (1.0 - base) / data.result.base_rate.n_samples as f64).sqrt();
        assert!((data.result.base_rate.mean - base).abs() <= 5.0 * error + 1e-12);
        let share = (1.0 - p_sample).powi(i32::try_from(anchor.len()).unwrap());
        assert!((data.result.coverage - share).abs() <= 1e-12);
        sizes[anchor.len()] += 1;
        // What is called found may miss the threshold by epsilon_stop, and by the luck of its bound.
        if data.result.status == Status::Found {
            assert!(0.85 < exact, "{anchor:?} has the precision {exact}");
        }
    }
    let allowed = 0.1 * n_models as f64 + 5.0 * (n_models as f64 * 0.1 * 0.9).sqrt();
    assert!(f64::from(failures) <= allowed, "{failures} bounds failed");
    // The models are no trivial ones.
    assert!(0 < sizes[1] && 0 < sizes[2] && 0 < sizes[3], "{sizes:?}");
}

/// A conjunction of two superpixels: the anchor is these two, its precision 1, its coverage a quarter.
#[test]
fn a_conjunction_is_found() {
    let (_, x) = Linear::random(1000);
    for (a, b) in [(0, 1), (2, 6), (4, 8)] {
        let [first, second] = [a, b].map(|own| (0..36).find(|&place| block(place) == own).unwrap());
        let model = labels(|image: &Row| image[first] == x[first] && image[second] == x[second]);
        for seed in 0..5 {
            let data = explain(in_blocks(), None, &model, &x, seed).data;
            let mut anchor = data.features(None).unwrap();
            anchor.sort_unstable();
            assert_eq!(anchor, [a, b]);
            assert_eq!((data.result.precision, data.result.coverage), (1.0, 0.25));
            // Half of what keeps the first keeps the second too.
            let first = &data.predicates[0].precision;
            let error = (0.25 / first.n_samples as f64).sqrt();
            assert!((first.mean - 0.5).abs() <= 5.0 * error, "{}", first.mean);
            assert_eq!(data.predicates[1].gain, 1.0 - first.mean);
            assert_eq!(data.precision(Some(1)).unwrap(), first.mean);
        }
    }
}

/// Examples are perturbed images that the model was asked about, spread over bytes, on their side of the decision.
#[test]
fn examples_are_on_their_side() {
    let x = Array1::from_iter((0..64).map(|place| f64::from(place * 37 % 64)));
    let model = |image: &Row| image[0] == x[0] && image[7] == x[7];
    let params = in_quarters().with_n_covered_ex(10);
    let data = explain(params, None, &labels(model), &x, 0).data;
    assert_eq!(data.features(None).unwrap().len(), 2);
    let (mut n_true, mut n_false) = (0, 0);
    for (size, examples) in data.examples.iter().enumerate() {
        let held = &data.features(None).unwrap()[..=size];
        for (images, agrees) in [(&examples.covered_true, true), (&examples.covered_false, false)] {
            for image in images.outer_iter() {
                let (low, high) = (
                    image.fold(255.0, |a: f64, &b| a.min(b)),
                    image.fold(0.0, |a: f64, &b| a.max(b)),
                );
                assert_eq!((low, high), (0.0, 255.0));
                // A kept quarter still has different pixels, a perturbed one has one colour.
                let is_kept = |own: usize| {
                    let (y, x) = (4 * (own / 2), 4 * (own % 2));
                    image[[y, x, 0]] != image[[y, x + 1, 0]]
                };
                assert!(held.iter().all(|&own| is_kept(own)));
                assert_eq!(is_kept(0) && is_kept(1), agrees);
                *if agrees { &mut n_true } else { &mut n_false } += 1;
            }
        }
    }
    // The pair has only examples that agree: the perturbed image is decided alike.
    assert!(10 <= n_true && 0 < n_false && data.examples(None).unwrap().covered_false.is_empty());
}

/// Counts the rows that it is really asked for, and the numbers in memory at once.
struct Counting<F> {
    label: F,
    rows: AtomicU64,
    seen: Mutex<BTreeSet<Vec<u64>>>,
}

impl<F: Fn(&Row) -> bool + Sync> Predictor for Counting<F> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.rows.fetch_add(batch.nrows() as u64, Ordering::Relaxed);
        let mut seen = self.seen.lock().unwrap();
        for row in batch.rows() {
            let new = seen.insert(row.iter().map(|value| value.to_bits()).collect());
            assert!(new, "the same image was asked twice");
        }
        let label = |image: ndarray::ArrayView1<'_, f64>| f64::from(u8::from((self.label)(&image)));
        Ok(batch.map_axis(Axis(1), label).insert_axis(Axis(1)))
    }
}

/// No perturbation is asked twice, so that few superpixels cost few queries: at most one for each mask.
#[test]
fn repeated_perturbations_are_asked_once() {
    let (linear, x) = Linear::random(7);
    let label = |image: &Row| linear.says(image);
    let model = Counting { label, rows: AtomicU64::new(0), seen: Mutex::default() };
    let explanation = explain(in_blocks().with_threshold(1.0), None, &model, &x, 0);
    let asked = model.rows.into_inner();
    assert_eq!(explanation.meta.queries, asked);
    assert!(asked <= 1 << N, "{asked}");
    let data = explanation.data;
    let queries = data.result.queries;
    assert_eq!(queries.instance + queries.search + queries.certificate, asked);
    assert_eq!(data.result.queries.search, queries.search);
    // Many more samples than queries.
    assert!(asked < data.result.certificate.unwrap().n_samples);
}

#[test]
fn budgets_are_kept() {
    let mut stream = Seed::new(5).stream();
    // Many superpixels, so that hardly a perturbation repeats.
    let x = Array1::from_iter((0..32 * 32 * 3).map(|_| stream.uniform()));
    let segmentation_fn =
        Segmentation::Slic(Slic { n_segments: 60, compactness: 1e6, ..Slic::default() });
    let params = P::default().with_segmentation_fn(segmentation_fn).with_tau(1e-9);
    // As good as a coin: no anchor but the whole image holds it. Means leave the sum as it is, but not the squares.
    let model = labels(|image: &Row| (1e3 * image.dot(image)).fract() < 0.5);
    let limited = params.clone().with_max_samples(2000);
    let explanation = explain(limited, None, &model, &x, 0);
    let data = &explanation.data;
    assert_eq!((data.result.status, data.result.stop), (Status::Stopped, Stop::Budget));
    assert!(1700 < data.result.queries.search && data.result.queries.search <= 2000);
    let explainer = params.build((32, 32, 3), None).unwrap();
    for queries in [150, 700, 1500] {
        let budget = Budget::queries(queries);
        let run = Run::seeded(0).with_budget(budget);
        let explanation = explainer.explain(&model, &x, run).unwrap();
        assert!(explanation.meta.queries <= queries);
        assert_eq!(explanation.data.result.status, Status::Stopped);
    }
    for queries in [0, 1, 100] {
        let budget = Budget::queries(queries);
        let error = explainer.explain(&model, &x, Run::seeded(0).with_budget(budget)).unwrap_err();
        assert!(error.to_string().contains("at least 101 for an answer"), "{error}");
    }
}

/// Probabilities in two columns, labels in one and a score in bins are the same decisions.
#[test]
fn outputs_are_read_alike() {
    let black = Array2::zeros((1, 64));
    let x = bright_quarter();
    let score = |batch: &Rows, columns: usize| {
        Array2::from_shape_fn((batch.nrows(), columns), |(row, column)| {
            let bright = if is_bright(&batch.row(row)) { 0.75 } else { 0.25 };
            if column + 1 == columns { bright } else { 1.0 - bright }
        })
    };
    let two = |batch: &Rows| -> Result<Array2<f64>, BoxError> { Ok(score(batch, 2)) };
    let one = |batch: &Rows| -> Result<Array2<f64>, BoxError> { Ok(score(batch, 1)) };
    let bins = Output::Bins { edges: vec![0.5], target: 0 };
    let from = |output: Output, model: &dyn Predictor| {
        let params = in_quarters().with_output(output);
        let mut data = explain(params, Some(&black), model, &x, 0).data;
        // What the outputs were read as is the only difference.
        data.result.output = Output::Auto;
        data
    };
    let expected = from(Output::Label, &labels(is_bright));
    assert_eq!(from(Output::Auto, &two), expected);
    assert_eq!(from(bins, &one), expected);
}
