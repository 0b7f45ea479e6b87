//! The search against exhaustive enumeration on random grids, and what stops, constraints and batches may not change.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use std::collections::BTreeSet;

use ndarray::Array1;
use proptest::prelude::*;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Budget, Explainer, Row, Run, Semantics, Status, Stop};
use xai_gridcf::{
    AnswerScope, FeatureRange, Functions, Grid, GridCounterfactual, GridCounterfactualData,
    GridCounterfactualParams, Target,
};
use xai_testkit::Elementwise;

type Params = GridCounterfactualParams;

/// A random problem: values of each feature, whether they are categories, the instance, and a seed of the labels.
#[derive(Clone, Debug)]
struct Problem {
    values: Vec<Vec<f64>>,
    categorical: Vec<bool>,
    /// The place of the instance's value on the grid; past its end for one off the grid.
    own: Vec<usize>,
    /// Two of this many labels reach the target.
    rarity: u64,
    seed: u64,
    length: usize,
    root: bool,
    /// What each feature adds to the distance when it stays; all zero without distances of one's own.
    staying: Vec<f64>,
    class: Option<i64>,
}

/// A number that depends on the bits of a row and a seed.
fn hash(row: &[f64], seed: u64) -> u64 {
    row.iter().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, value| {
        let mixed = (hash ^ (value + 0.0).to_bits()).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    })
}

impl Problem {
    fn instance(&self) -> Vec<f64> {
        let own = self.own.iter().zip(&self.values).zip(&self.categorical);
        own.map(|((&place, values), &categorical)| match values.get(place) {
            Some(&value) => value,
            // A category beyond those that are tried, or a number that is no grid point.
            None if categorical => 5.0,
            None => values[0] + 0.04,
        })
        .collect()
    }

    fn label(&self, row: &[f64]) -> f64 {
        let label = hash(row, self.seed) % self.rarity;
        if label < 2 { (label + 1) as f64 } else { 0.0 }
    }

    fn distance(&self, feature: usize, from: f64, to: f64) -> f64 {
        let plain = if self.categorical[feature] {
            f64::from(u8::from(from != to))
        } else {
            (from - to).abs()
        };
        plain + self.staying[feature]
    }

    fn features(&self) -> Features {
        let feature = |(index, &categorical): (usize, &bool)| {
            let name = format!("f{index}");
            if categorical {
                Feature::categorical(name, ["a", "b", "c", "d", "e", "off"], Encoding::Ordinal)
            } else {
                Feature::numeric(name)
            }
        };
        Features::new(self.categorical.iter().enumerate().map(feature).collect()).unwrap()
    }

    fn params(&self, semantics: Semantics) -> Params {
        let range = |(index, values): (usize, &Vec<f64>)| {
            let range = if self.categorical[index] {
                FeatureRange::numbers(values.clone())
            } else if semantics == Semantics::Reference {
                // One step beyond the last, which the reference leaves out.
                FeatureRange::between(values[0], values[0] + values.len() as f64 * STEP)
            } else {
                FeatureRange::Grid(Grid::Values(values.clone()))
            };
            (index.into(), range)
        };
        Params::default()
            .with_feature_ranges(self.values.iter().enumerate().map(range).collect())
            .with_default_numerical_step_size(STEP)
            .with_max_counterfactual_length(self.length)
            .with_normalise_distance(self.root)
            .with_counterfactual_class(self.class.map(|class| Target::Class(class.into())))
            .with_allow_same_class(true)
            .with_semantics(semantics)
    }

    /// The answer, and the queries that it took.
    fn explain(&self, params: Params, run: Run<'_>) -> (GridCounterfactualData, u64) {
        let explainer = params.build(self.features()).unwrap();
        let model = Elementwise(|row: &[f64]| self.label(row));
        let x = Array1::from(self.instance());
        let functions: Vec<Box<dyn Fn(f64, f64) -> f64 + Sync>> = (0..self.values.len())
            .map(|feature| {
                Box::new(move |from, to| self.distance(feature, from, to))
                    as Box<dyn Fn(f64, f64) -> f64 + Sync>
            })
            .collect();
        let explanation = if self.staying.iter().all(|&term| term == 0.0) {
            explainer.explain(&model, &x, run).unwrap()
        } else {
            let named = functions.iter().enumerate();
            let functions = named.fold(Functions::default(), |functions, (feature, function)| {
                functions.with_distance(feature, function)
            });
            explainer.with_functions(functions).unwrap().explain(&model, &x, run).unwrap()
        };
        (explanation.data, explanation.meta.queries)
    }

    /// The closest points of each set of features by trying all, and how many there are. With `own` a set's grid holds
    /// the instance's value of a quantity where it is a grid point, as in the reference; without, all features change.
    fn exhaust(&self, own: bool) -> (Vec<(f64, Vec<f64>)>, u64) {
        let x = self.instance();
        let n = self.values.len();
        let at_x = self.label(&x);
        let wanted = |label: f64| match self.class {
            Some(class) => label == class as f64,
            None => label != at_x,
        };
        let (mut answers, mut predictions) = (Vec::<(f64, Vec<f64>)>::new(), 1);
        for mask in 1_u32..1 << n {
            let set: Vec<usize> = (0..n).filter(|feature| mask >> feature & 1 == 1).collect();
            if self.length != 0 && self.length < set.len() {
                continue;
            }
            let mut rows = vec![x.clone()];
            for &feature in &set {
                let kept =
                    |&&value: &&f64| value != x[feature] || own && !self.categorical[feature];
                let values: Vec<f64> = self.values[feature].iter().filter(kept).copied().collect();
                let extended = rows.iter().flat_map(|row| {
                    values.iter().map(move |&value| {
                        let mut row = row.clone();
                        row[feature] = value;
                        row
                    })
                });
                rows = extended.collect();
            }
            predictions += rows.len() as u64;
            let mut best: Vec<(f64, Vec<f64>)> = Vec::new();
            for row in rows {
                if !wanted(self.label(&row)) {
                    continue;
                }
                let terms = (0..n).map(|feature| self.distance(feature, x[feature], row[feature]));
                let distance = if self.root {
                    terms.fold(0.0, |sum, term| sum + term * term).sqrt()
                } else {
                    terms.fold(0.0, |sum, term| sum + term)
                };
                if best.first().is_none_or(|first| distance < first.0) {
                    best.clear();
                }
                if best.first().is_none_or(|first| distance == first.0) {
                    best.push((distance, row));
                }
            }
            for answer in best {
                if !answers.contains(&answer) {
                    answers.push(answer);
                }
            }
        }
        answers.sort_by(|a, b| a.partial_cmp(b).unwrap());
        (answers, predictions)
    }
}

const STEP: f64 = 0.1;

fn problems() -> impl Strategy<Value = Problem> {
    let feature = (any::<bool>(), 1..6_usize, 0..7_usize, -20..20_i32);
    let features = prop::collection::vec(feature, 1..5);
    let modes = (any::<bool>(), any::<bool>(), prop::option::of(0..3_i64));
    (features, modes, 2..40_u64, any::<u64>(), 0..5_usize).prop_map(
        |(features, (root, custom, class), rarity, seed, length)| {
            let n = features.len();
            let values = features.iter().map(|&(categorical, n, _, start)| {
                let number = |place: usize| match (categorical, place) {
                    (true, _) => place as f64,
                    // As the reference makes them.
                    (false, 0) => f64::from(start) * 0.3,
                    (false, 1) => f64::from(start) * 0.3 + STEP,
                    (false, _) => {
                        let start = f64::from(start) * 0.3;
                        start + place as f64 * (start + STEP - start)
                    }
                };
                (0..n).map(number).collect()
            });
            let stay = |index: usize| if custom { 0.05 * (index % 3) as f64 } else { 0.0 };
            Problem {
                values: values.collect(),
                categorical: features.iter().map(|f| f.0).collect(),
                own: features.iter().map(|f| f.2).collect(),
                rarity,
                seed,
                length: length.min(n),
                root,
                staying: (0..n).map(stay).collect(),
                class,
            }
        },
    )
}

fn answers(data: &GridCounterfactualData) -> Vec<(f64, Vec<f64>)> {
    let rows = data.counterfactuals.rows().into_iter().map(|row| row.to_vec());
    let mut answers: Vec<(f64, Vec<f64>)> = data.distances.iter().copied().zip(rows).collect();
    answers.sort_by(|a, b| a.partial_cmp(b).unwrap());
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_default_search_is_exhaustive_search(problem in problems(), first_batch in 1..40_usize) {
        let params = problem.params(Semantics::Native).with_first_batch(first_batch);
        let (data, queries) = problem.explain(params, Run::seeded(0));
        let (expected, predictions) = problem.exhaust(false);
        prop_assert_eq!(answers(&data), expected.clone());
        prop_assert!(queries <= predictions);
        prop_assert_eq!(data.n_points + 1, predictions);
        prop_assert_eq!(data.lower_bound, expected.first().map(|answer| answer.0));
        prop_assert_eq!(data.optimal.iter().filter(|&&own| own).count(), expected.iter().filter(|own| own.0 == expected[0].0).count());
        prop_assert_eq!(data.status == Status::Found, !expected.is_empty());
    }

    #[test]
    fn the_closest_of_all_sets_are_the_first_of_exhaustive_search(
        problem in problems(), first_batch in 1..40_usize, reference in any::<bool>(),
    ) {
        let semantics = if reference { Semantics::Reference } else { Semantics::Native };
        let (all, _) = problem.explain(problem.params(semantics), Run::seeded(0));
        let answers_wanted = AnswerScope::Closest;
        let params = problem.params(semantics).with_answers(answers_wanted).with_first_batch(first_batch);
        let (data, queries) = problem.explain(params, Run::seeded(0));
        let mut expected = answers(&all);
        expected.retain(|own| own.0 == all.distances[0]);
        prop_assert_eq!(answers(&data), expected);
        prop_assert_eq!(data.lower_bound, all.lower_bound);
        prop_assert!(data.optimal.iter().all(|&own| own));
        prop_assert!(queries <= all.n_points + 1);
    }

    #[test]
    fn the_references_search_is_exhaustive_search_with_the_own_values(
        problem in problems(), first_batch in 1..40_usize,
    ) {
        // The reference's steps cannot leave a category without numbers, nor have one value alone.
        let params = problem.params(Semantics::Reference).with_first_batch(first_batch);
        let (data, queries) = problem.explain(params, Run::seeded(0));
        let (mut expected, predictions) = problem.exhaust(true);
        // Rounding may put one more multiple below the end of a range, for us as for the reference.
        let grid_differs = problem.values.iter().zip(&problem.categorical).any(|(values, &categorical)| {
            let end = values[0] + values.len() as f64 * STEP;
            !categorical && ((end - values[0]) / STEP).ceil() != values.len() as f64
        });
        if !grid_differs {
            expected.dedup();
            prop_assert_eq!(answers(&data), expected);
            prop_assert!(queries <= predictions);
        }
    }

    #[test]
    fn a_search_that_is_cut_short_claims_nothing_false(
        problem in problems(), limit in 1..60_u64, first_batch in 1..10_usize, closest in any::<bool>(),
    ) {
        let answers_wanted = if closest { AnswerScope::Closest } else { AnswerScope::EachSet };
        let params = problem.params(Semantics::Native).with_first_batch(first_batch).with_answers(answers_wanted);
        let budget = Budget::queries(limit);
        let (data, queries) = problem.explain(params, Run::seeded(0).with_budget(budget));
        let (expected, _) = problem.exhaust(false);
        prop_assert!(queries <= limit);
        let best = expected.first().map(|answer| answer.0);
        if let (Some(best), Some(bound)) = (best, data.lower_bound) {
            prop_assert!(bound <= best);
        }
        match data.status {
            Status::NoneExists => prop_assert!(expected.is_empty()),
            Status::Stopped => prop_assert!((data.stop != Stop::Converged) && data.distances.is_empty()),
            _ => {}
        }
        let changed = |row: &[f64]| -> Vec<usize> {
            let x = problem.instance();
            (0..x.len()).filter(|&feature| row[feature] != x[feature]).collect()
        };
        for (answer, (distance, row)) in
            data.distances.iter().zip(data.counterfactuals.rows()).enumerate()
        {
            let row = row.to_vec();
            let same = expected.iter().find(|own| changed(&own.1) == changed(&row)).unwrap();
            prop_assert!(distance - data.gaps[answer] <= same.0 + 1e-15);
            prop_assert!(!data.optimal[answer] || Some(*distance) == best);
        }
        if !(data.stop != Stop::Converged) && !closest {
            prop_assert_eq!(answers(&data), expected);
        }
    }

    #[test]
    fn pruned_sets_hold_no_part_that_does_it_alone(problem in problems()) {
        let params = problem.params(Semantics::Native).with_prune_supersets(true);
        let (data, _) = problem.explain(params, Run::seeded(0));
        let (expected, _) = problem.exhaust(false);
        let x = problem.instance();
        let changed = |row: &[f64]| -> BTreeSet<usize> {
            (0..x.len()).filter(|&feature| row[feature] != x[feature]).collect()
        };
        let sets: Vec<BTreeSet<usize>> = expected.iter().map(|own| changed(&own.1)).collect();
        let minimal = |own: &BTreeSet<usize>| !sets.iter().any(|set| set.is_subset(own) && set != own);
        let kept: Vec<(f64, Vec<f64>)> =
            expected.iter().zip(&sets).filter(|(_, set)| minimal(set)).map(|(own, _)| own.clone()).collect();
        prop_assert_eq!(answers(&data), kept);
        let all = data.n_combinations_searched + data.n_combinations_pruned;
        prop_assert_eq!(all, data.n_combinations);
    }

    #[test]
    fn answers_keep_to_the_constraints(problem in problems(), rules in prop::collection::vec(0..5_u8, 4), most in 1..3_usize) {
        let rule = |(feature, &rule): (usize, &u8)| {
            let constraint = match rule {
                0 => Constraint { change: Direction::Up, ..Default::default() },
                1 => Constraint { change: Direction::Down, ..Default::default() },
                2 => Constraint { change: Direction::None, ..Default::default() },
                3 if !problem.categorical[feature] => {
                    Constraint { step: Some(0.2), max: Some(1.0), ..Default::default() }
                }
                _ => Constraint::default(),
            };
            (feature.into(), constraint)
        };
        let rules = rules.iter().take(problem.values.len()).enumerate().map(rule);
        let constraints = Constraints { features: rules.collect(), max_changes: Some(most) };
        let bound = constraints.bind(&problem.features()).unwrap();
        let x = Array1::from(problem.instance());
        let params = problem.params(Semantics::Native).with_constraints(constraints);
        let (data, _) = problem.explain(params, Run::seeded(0));
        for row in data.counterfactuals.rows() {
            prop_assert_eq!(bound.violations(&x, &row).unwrap(), vec![]);
        }
        // And nothing that keeps to them is lost: the closest of all that exhaustive search finds among them.
        if problem.length == 0 || problem.length >= problem.values.len() {
            let whole = problem.params(Semantics::Native).with_constraints(Constraints::default());
            let explainer = whole.build(problem.features()).unwrap();
            let allowed = |row: &Row| bound.violations(&x, row).unwrap().is_empty();
            let again = feasible(&problem, &explainer, &allowed);
            prop_assert_eq!(answers(&data), again);
        }
    }
}

/// The answers of the free grid when a condition stands for the constraints.
fn feasible(
    problem: &Problem,
    explainer: &GridCounterfactual,
    allowed: &(dyn Fn(&Row) -> bool + Sync),
) -> Vec<(f64, Vec<f64>)> {
    let functions: Vec<Box<dyn Fn(f64, f64) -> f64 + Sync>> = (0..problem.values.len())
        .map(|feature| Box::new(move |from, to| problem.distance(feature, from, to)) as _)
        .collect();
    let conditions = Functions::default().with_feasible(allowed);
    let functions =
        functions.iter().enumerate().fold(conditions, |functions, (feature, function)| {
            functions.with_distance(feature, function)
        });
    let model = Elementwise(|row: &[f64]| problem.label(row));
    let x = Array1::from(problem.instance());
    let constrained = explainer.with_functions(functions).unwrap();
    answers(&constrained.explain(&model, &x, Run::seeded(0)).unwrap().data)
}
