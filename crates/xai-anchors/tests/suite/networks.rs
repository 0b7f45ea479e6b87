//! Trained networks on iris and wine, against an exhaustive search with exact precisions.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; the oracle asks by itself"
)]

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView1, Axis};
use xai_anchors::{AnchorTabular, AnchorTabularParams, Operator};
use xai_core::tabular::Features;
use xai_core::{Explainer, Predictor, RunConfig, Status};
use xai_testkit::Fixture;

type P = AnchorTabularParams;

/// Few perturbations in a batch, so that most anchors are satisfied by as many training rows: all numbers that are held
/// then come together from one of these rows.
const BATCH: usize = 20;

const THRESHOLD: f64 = 0.95;

/// A predicate by feature, side and edge.
type Predicate = (usize, bool, f64);

/// Exact precisions and coverages for one row.
struct Oracle<'a> {
    training: &'a Array2<f64>,
    model: &'a dyn Predictor,
    class: usize,
    predicates: Vec<Predicate>,
}

fn holds((feature, above, edge): Predicate, row: &[f64]) -> bool {
    (edge < row[feature]) == above
}

fn argmax(outputs: &[f64]) -> usize {
    (1..outputs.len()).fold(0, |best, own| if outputs[best] < outputs[own] { own } else { best })
}

impl<'a> Oracle<'a> {
    fn new(
        explainer: &AnchorTabular,
        training: &'a Array2<f64>,
        model: &'a dyn Predictor,
        x: &[f64],
    ) -> Self {
        let mut predicates = Vec::new();
        for (feature, &value) in x.iter().enumerate() {
            predicates
                .extend(explainer.edges(feature).iter().map(|&edge| (feature, edge < value, edge)));
        }
        let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).unwrap();
        let class = argmax(&model.predict(&x).unwrap().row(0).to_vec());
        Oracle { training, model, class, predicates }
    }

    fn satisfying(&self, anchor: &[Predicate]) -> Vec<usize> {
        let all = |row: &Vec<f64>| anchor.iter().all(|&predicate| holds(predicate, row));
        let rows = self.training.rows().into_iter().map(|row| row.to_vec()).enumerate();
        rows.filter(|(_, row)| all(row)).map(|(index, _)| index).collect()
    }

    fn coverage(&self, anchor: &[Predicate]) -> f64 {
        self.satisfying(anchor).len() as f64 / self.training.nrows() as f64
    }

    /// The share of agreement when the held features come from each row that satisfies the anchor and the others from each
    /// training row; `None` where fewer rows than a batch satisfy it, since the perturbations then mix rows.
    fn precision(&self, anchor: &[Predicate]) -> Option<f64> {
        let rows = self.satisfying(anchor);
        if rows.len() < BATCH {
            return None;
        }
        // Rows that hold the same numbers need be tried once.
        let mut held: BTreeMap<Vec<u64>, (usize, usize)> = BTreeMap::new();
        for &row in &rows {
            let key = anchor
                .iter()
                .map(|&(feature, ..)| self.training[[row, feature]].to_bits())
                .collect();
            held.entry(key).or_insert((row, 0)).1 += 1;
        }
        let mut agree = 0;
        for &(row, times) in held.values() {
            let mut perturbed = self.training.clone();
            for &(feature, ..) in anchor {
                perturbed.column_mut(feature).fill(self.training[[row, feature]]);
            }
            let outputs = self.model.predict(&perturbed).unwrap();
            let agrees = |own: &ArrayView1<'_, f64>| argmax(&own.to_vec()) == self.class;
            agree += times * outputs.axis_iter(Axis(0)).filter(agrees).count();
        }
        Some(agree as f64 / (rows.len() * self.training.nrows()) as f64)
    }

    /// All anchors of up to two predicates whose precision is clear of the threshold by a margin, by coverage.
    fn widest(&self, margin: f64) -> Option<f64> {
        let n = self.predicates.len();
        let mut widest = None;
        for a in 0..n {
            for b in a..n {
                let anchor = if a == b {
                    vec![self.predicates[a]]
                } else {
                    vec![self.predicates[a], self.predicates[b]]
                };
                let coverage = self.coverage(&anchor);
                let is_wider = widest.is_none_or(|widest| widest < coverage);
                if is_wider && self.precision(&anchor).is_some_and(|own| THRESHOLD + margin <= own)
                {
                    widest = Some(coverage);
                }
            }
        }
        widest
    }

    /// The anchor that a search without sampling error finds when it always adds the most precise predicate: its coverage.
    fn greedy(&self, margin: f64) -> Option<f64> {
        let mut anchor: Vec<Predicate> = Vec::new();
        for _ in 0..2 {
            let with = |&own: &Predicate| {
                let mut with = anchor.clone();
                with.push(own);
                with
            };
            let extended = self.predicates.iter().map(with);
            let told = extended.map(|own| (self.precision(&own).unwrap_or(0.0), own));
            let (precision, best) = told.max_by(|a, b| a.0.total_cmp(&b.0))?;
            anchor = best;
            if THRESHOLD + margin <= precision {
                return Some(self.coverage(&anchor));
            }
        }
        None
    }
}

/// Explains test rows with several seeds; returns how many runs, how many found an anchor, how many of these are less
/// precise than the threshold minus 0.05, and how many cover less than the widest of the oracle.
fn compare(name: &str, params: P, exhaustive: bool, n_rows: usize) -> [usize; 4] {
    let fixture = Fixture::load(name);
    let training = &fixture.x_train;
    let params = params.with_batch_size(BATCH).with_n_covered_ex(0).with_final_samples(0);
    let features = Features::numeric(fixture.feature_names.iter().cloned()).unwrap();
    let explainer = params.fit(training, features).unwrap();
    let x = fixture.x_test.slice(ndarray::s![..n_rows, ..]).to_owned();
    let [mut runs, mut found, mut imprecise, mut narrower] = [0; 4];
    let oracles: Vec<(Oracle<'_>, Option<f64>)> = x
        .rows()
        .into_iter()
        .map(|row| {
            let oracle = Oracle::new(&explainer, training, &fixture.network, &row.to_vec());
            let widest = if exhaustive { oracle.widest(0.02) } else { oracle.greedy(0.02) };
            (oracle, widest)
        })
        .collect();
    for seed in 0..5 {
        let results = explainer.explain_many(&fixture.network, &x, &RunConfig::seeded(seed));
        for (result, (oracle, widest)) in results.into_iter().zip(&oracles) {
            let data = result.unwrap().data;
            runs += 1;
            let anchor: Vec<Predicate> = data
                .predicates
                .iter()
                .map(|own| (own.feature, own.op == Operator::Gt, own.value.unwrap()))
                .collect();
            assert!((data.result.coverage - oracle.coverage(&anchor)).abs() < 1e-12);
            if data.result.status == Status::Found {
                found += 1;
                let precision = oracle.precision(&anchor);
                imprecise += usize::from(precision.is_some_and(|own| own < THRESHOLD - 0.05));
            }
            let is_narrower = widest.is_some_and(|widest| data.result.coverage < widest - 1e-12);
            narrower += usize::from(is_narrower);
        }
    }
    [runs, found, imprecise, narrower]
}

/// Anchors are found for most rows; they are as precise as the test of validity promises, above the threshold minus
/// `epsilon_stop` but for `delta` of them, and as wide as the oracle's but for one run in ten.
#[track_caller]
fn keeps_its_promises([runs, found, imprecise, narrower]: [usize; 4]) {
    assert!(4 * runs <= 5 * found, "{found} of {runs} found");
    assert!(10 * imprecise <= found, "{imprecise} of {found} too imprecise");
    assert!(10 * narrower <= runs, "{narrower} of {runs} narrower than the oracle");
}

#[test]
fn iris_anchors_cover_as_much_as_the_best_path() {
    keeps_its_promises(compare("iris_mlp", P::default(), false, 10));
}

#[test]
fn iris_anchors_of_a_beam_cover_as_much_as_any_pair() {
    keeps_its_promises(compare("iris_mlp", P::default().with_beam_size(12), true, 5));
}

#[test]
fn wine_anchors_cover_as_much_as_the_best_path() {
    keeps_its_promises(compare("wine_softmax", P::default(), false, 3));
}
