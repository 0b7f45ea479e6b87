//! Small grids whose answers can be read off.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, array};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{
    Budget, Error, Explainer, Explanation, OutputNames, Result, Run, Semantics, Status, Stop,
};
use xai_gridcf::{
    Anchor, Distance, FeatureRange, Functions, Grid, GridCounterfactualData,
    GridCounterfactualParams, Label, Prediction, Target,
};
use xai_testkit::{Elementwise, Linear};

type Params = GridCounterfactualParams;

fn label(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn reference() -> Params {
    Params::default().with_semantics(Semantics::Reference)
}

/// Ranges by index.
fn ranged(params: Params, ranges: &[(f64, f64)]) -> Params {
    let between = |(index, &(min, max))| (index_key(index), FeatureRange::between(min, max));
    params.with_feature_ranges(ranges.iter().enumerate().map(between).collect())
}

fn index_key(index: usize) -> xai_core::tabular::FeatureKey {
    index.into()
}

fn explain(
    params: Params,
    features: Features,
    rule: impl Fn(&[f64]) -> bool + Sync,
    x: &[f64],
) -> Explanation<GridCounterfactualData> {
    let model = Elementwise(|row: &[f64]| label(rule(row)));
    let explainer = params.build(features).unwrap();
    explainer.explain(&model, &Array1::from(x.to_vec()), Run::seeded(0)).unwrap()
}

fn rows(data: &GridCounterfactualData) -> Vec<Vec<f64>> {
    data.counterfactuals.rows().into_iter().map(|row| row.to_vec()).collect()
}

/// `a + b >= 5` on two features from 0 to 6.
fn sum(params: Params) -> GridCounterfactualData {
    sum_explained(params).data
}

fn sum_explained(params: Params) -> Explanation<GridCounterfactualData> {
    let features = Features::numeric(["a", "b"]).unwrap();
    let params = ranged(params, &[(0.0, 6.0), (0.0, 6.0)]);
    explain(params, features, |row| 5.0 <= row[0] + row[1], &[1.0, 1.0])
}

/// The names of the features that each answer changes.
fn changed_features(data: &GridCounterfactualData) -> Vec<Vec<&str>> {
    (0..data.changes.len()).map(|answer| data.changed_features(answer)).collect()
}

#[test]
fn a_line_in_the_plane() {
    let data = sum(reference());
    assert_eq!(rows(&data), [[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]]);
    assert_eq!(data.distances, array![3.0, 3.0, 3.0, 3.0]);
    assert_eq!(data.predictions, vec![Prediction::Class(1); 4]);
    assert_eq!(data.optimal, [true; 4]);
    assert_eq!(data.lower_bound, Some(3.0));
    assert_eq!(data.gap(), Some(0.0));

    let data = sum(reference().with_normalise_distance(true));
    assert_eq!(rows(&data), [[2.0, 3.0], [3.0, 2.0], [1.0, 4.0], [4.0, 1.0]]);
    let root = 5.0_f64.sqrt();
    assert_eq!(data.distances, array![root, root, 3.0, 3.0]);
    assert_eq!(data.optimal, [true, true, false, false]);

    // By default shorter sets come first.
    let data = sum(Params::default());
    assert_eq!(rows(&data), [[1.0, 4.0], [4.0, 1.0], [2.0, 3.0], [3.0, 2.0]]);
    assert_eq!(changed_features(&data), [vec!["b"], vec!["a"], vec!["a", "b"], vec!["a", "b"]]);
    let data = sum(Params::default().with_prune_supersets(true));
    assert_eq!(rows(&data), [[1.0, 4.0], [4.0, 1.0]]);
    assert_eq!((data.n_combinations_searched, data.n_combinations_pruned), (2, 1));
}

#[test]
fn the_instances_own_class() {
    let own =
        |params: Params| params.with_counterfactual_class(Some(Target::Class(Label::Index(0))));
    let data = sum(own(reference()));
    assert_eq!(rows(&data), [[1.0, 1.0]]);
    assert_eq!(data.distances, array![0.0]);
    assert_eq!(changed_features(&data), [Vec::<&str>::new()]);

    let explanation = sum_explained(own(Params::default()));
    assert_eq!(explanation.data.status, Status::AlreadySatisfied);
    assert_eq!((rows(&explanation.data), explanation.meta.queries), (vec![], 1));
    let data = sum(own(Params::default().with_allow_same_class(true)));
    assert_eq!(rows(&data)[0], [0.0, 1.0]);
}

#[test]
fn a_class_that_does_not_occur() {
    let seven = Some(Target::Class(Label::Index(7)));
    for params in [reference(), Params::default()] {
        let data = sum(params.with_counterfactual_class(seven.clone()));
        assert_eq!(data.status, Status::NoneExists);
        assert_eq!((data.counterfactuals.dim(), data.lower_bound), ((0, 2), None));
        assert_eq!(data.stop, Stop::Converged);
    }
    // A model with two outputs can never say 7: known before any point is asked.
    let model = Linear::outputs(array![[1.0], [-1.0]], array![0.0, 0.0]);
    let params = |semantics| {
        let params =
            Params::default().with_counterfactual_class(seven.clone()).with_semantics(semantics);
        ranged(params, &[(-2.0, 2.0)]).build(Features::unnamed(1).unwrap()).unwrap()
    };
    let run = |explainer: &xai_gridcf::GridCounterfactual| {
        explainer.explain(&model, &array![1.0], Run::seeded(0))
    };
    let error = run(&params(Semantics::Native)).unwrap_err().to_string();
    let expected =
        "parameter `counterfactual_class` must be a class below the model's 2 classes, got [7.0]";
    assert_eq!(error, expected);
    let explanation = run(&params(Semantics::Reference)).unwrap();
    assert_eq!((explanation.data.status, explanation.meta.queries), (Status::NoneExists, 1));
}

#[test]
fn the_end_of_a_range() {
    let at_three = |params: Params, max: f64| {
        let features = Features::unnamed(1).unwrap();
        explain(ranged(params, &[(0.0, max)]), features, |row| 3.0 <= row[0], &[0.0]).data
    };
    assert_eq!(at_three(reference(), 3.0).status, Status::NoneExists);
    assert_eq!(rows(&at_three(reference(), 4.0)), [[3.0]]);
    for params in [Params::default(), Params::default().with_default_numerical_step_size(0.7)] {
        let data = at_three(params, 3.0);
        assert_eq!((rows(&data), data.distances), (vec![vec![3.0]], array![3.0]));
    }
    let open = Params::default().with_inclusive_end(false);
    assert_eq!(at_three(open, 3.0).status, Status::NoneExists);
}

fn people() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("job", ["a", "b", "c", "z"], Encoding::Ordinal),
    ])
    .unwrap()
}

fn grown_and_not_a(row: &[f64]) -> bool {
    30.0 <= row[0] && row[1] != 0.0
}

#[test]
fn numbers_and_text() {
    let dataset = array![[20.0, 0.0], [30.0, 1.0], [40.0, 2.0]];
    let params = reference().with_step_sizes([("age".into(), 5.0)].into());
    let explainer = params.fit(&dataset, people()).unwrap();
    let model = Elementwise(|row: &[f64]| label(grown_and_not_a(row)));
    let explain = |x: Array1<f64>| explainer.explain(&model, &x, Run::seeded(0)).unwrap();

    let data = explain(array![20.0, 0.0]).data;
    assert_eq!(rows(&data), [[30.0, 1.0], [30.0, 2.0]]);
    assert_eq!(data.distances, array![11.0, 11.0]);
    assert_eq!(data.out_of_range, []);

    let strange = explain(array![18.0, 3.0]);
    assert_eq!(rows(&strange.data), [[30.0, 3.0], [30.0, 1.0], [30.0, 2.0]]);
    assert_eq!(strange.data.distances, array![12.0, 13.0, 13.0]);
    let fields: Vec<[&str; 3]> = strange
        .data
        .out_of_range
        .iter()
        .map(|outside| [&*outside.feature, &*outside.value, &*outside.range])
        .collect();
    assert_eq!(fields, [["age", "18", "[20, 40]"], ["job", "z", "a, b, c"]]);
    assert_eq!(strange.meta.warnings.len(), 1);
    assert_eq!(strange.meta.warnings[0].code, "gridcf.out_of_range");
    let message =
        "outside the range: `age` is 18, its range is [20, 40]; `job` is z, its range is a, b, c";
    assert_eq!(strange.meta.warnings[0].message, message);
}

#[test]
fn one_hot_columns_are_one_feature() {
    let features = people().encoded(Encoding::OneHot);
    let rule = |row: &[f64]| 30.0 <= row[0] && row[1] == 0.0;
    let params = Params::default()
        .with_feature_ranges([("age".into(), FeatureRange::between(20.0, 40.0))].into())
        .with_step_sizes([("age".into(), 5.0)].into());
    let data = explain(params, features, rule, &[20.0, 1.0, 0.0, 0.0, 0.0]).data;
    let expected =
        [[30.0, 0.0, 0.0, 0.0, 1.0], [30.0, 0.0, 0.0, 1.0, 0.0], [30.0, 0.0, 1.0, 0.0, 0.0]];
    assert_eq!(rows(&data), expected);
    assert_eq!(data.distances, array![11.0, 11.0, 11.0]);
    assert_eq!(data.changes[2][1].to_string(), "job: a -> b");
}

#[test]
fn all_pairs_of_signs() {
    let features = Features::numeric(["a", "b", "c"]).unwrap();
    let params = reference().with_max_counterfactual_length(3);
    let params = ranged(params, &[(-3.0, 4.0); 3]);
    let rule = |row: &[f64]| 2.0 <= row.iter().map(|v| v.abs()).sum::<f64>();
    let data = explain(params, features, rule, &[0.0; 3]).data;
    // Two units spread over three axes: 6 ways on one, 3 * 4 on two, in the order of the cells.
    let mut expected = Vec::new();
    for a in -2..=2_i32 {
        for b in -2..=2_i32 {
            for c in -2..=2_i32 {
                if a.abs() + b.abs() + c.abs() == 2 {
                    expected.push(vec![f64::from(a), f64::from(b), f64::from(c)]);
                }
            }
        }
    }
    assert_eq!(expected.len(), 18);
    assert_eq!(rows(&data), expected);
    assert_eq!(data.distances, Array1::from_elem(18, 2.0));
}

#[test]
fn the_nearest_neighbour() {
    let known = [([0.0, 0.0], 0.0), ([1.0, 1.0], 1.0), ([0.0, 1.0], 1.0)];
    let dataset = Array2::from_shape_fn((3, 2), |(row, column)| known[row].0[column]);
    let nearest = |row: &[f64]| {
        let far = |own: &([f64; 2], f64)| (own.0[0] - row[0]).hypot(own.0[1] - row[1]);
        known.iter().min_by(|a, b| far(a).total_cmp(&far(b))).unwrap().1
    };
    let names = Some(vec!["good".to_owned(), "bad".to_owned()]);
    let params = reference().with_default_numerical_step_size(0.4).with_class_names(names);
    let explainer = params.fit(&dataset, Features::unnamed(2).unwrap()).unwrap();
    let data =
        explainer.explain(&Elementwise(nearest), &array![0.0, 0.0], Run::seeded(0)).unwrap().data;
    assert_eq!(rows(&data), [[0.0, 0.8]]);
    assert_eq!(data.distances, array![0.8]);
    assert_eq!(data.predictions, [Prediction::Name("bad".to_owned())]);
    assert_eq!(data.instance_prediction, Prediction::Name("good".to_owned()));
}

/// A model with one output per class: `-x`, `x` and `x / 2`.
fn fan() -> Linear {
    Linear::outputs(array![[-1.0], [1.0], [0.5]], array![0.0, 0.0, 0.0])
}

fn along(target: Target) -> Result<GridCounterfactualData> {
    let names = ["down", "up", "half"].map(str::to_owned).to_vec();
    let params =
        Params::default().with_counterfactual_class(Some(target)).with_class_names(Some(names));
    let explainer = ranged(params, &[(-4.0, 4.0)]).build(Features::unnamed(1).unwrap())?;
    Ok(explainer.explain(&fan(), &array![-2.0], Run::seeded(0))?.data)
}

#[test]
fn targets_of_every_kind() {
    let name = |name: &str| Label::Name(name.to_owned());
    let up = along(Target::Class(name("up"))).unwrap();
    assert_eq!((rows(&up), &up.predictions[0]), (vec![vec![1.0]], &Prediction::Name("up".into())));
    let either = along(Target::AnyOf(vec![name("half"), Label::Index(1)])).unwrap();
    assert_eq!(rows(&either), [[1.0]]);
    let sure = along(Target::Probability { class: name("up"), at_least: 2.5 }).unwrap();
    assert_eq!(rows(&sure), [[3.0]]);
    let level = Target::Interval { output: 2, min: Some(1.0), max: Some(1.6) };
    let level = along(level).unwrap();
    assert_eq!((rows(&level), &level.predictions[0]), (vec![vec![2.0]], &Prediction::Value(1.0)));
    assert_eq!(level.instance_prediction, Prediction::Value(-1.0));
    let error = along(Target::Interval { output: 3, min: None, max: None }).unwrap_err();
    assert!(error.to_string().contains("one of the model's 3 outputs"), "{error}");
    let error = along(Target::Class(name("left"))).unwrap_err();
    assert!(error.to_string().contains("a name in `class_names`"), "{error}");
}

#[test]
fn changes_say_by_how_much() {
    let features = Features::new(vec![
        Feature::numeric("a"),
        Feature::categorical("c", ["x", "y"], Encoding::Ordinal),
    ]);
    let params = ranged(Params::default(), &[(0.0, 6.0)]);
    let data = explain(params, features.unwrap(), |row| 3.0 < row[0] + 2.0 * row[1], &[1.0, 0.0]);
    let answers: Vec<(Vec<&str>, Option<f64>)> = (0..data.data.changes.len())
        .map(|answer| (data.data.changed_features(answer), data.data.changes[answer][0].by))
        .collect();
    assert_eq!(answers, [(vec!["a", "c"], Some(1.0)), (vec!["a"], Some(3.0))]);
}

/// The names of a figure stand where the model gave none.
#[test]
fn figures_take_names_of_classes() {
    let names = OutputNames::new(["no", "yes"]);
    let data = sum(Params::default());
    assert_eq!(data.instance_prediction, Prediction::Class(0));
    let table = data.table(&names);
    assert_eq!(table.title, "Prediction no. 4 counterfactuals.");
    assert_eq!(table.rows[0][1], "yes");
    assert_eq!(data.table(&OutputNames::new(["ill"])).rows[0][1], "ill");
    assert!(data.textualise(&names).starts_with("Instance of class *no*"));
}

#[test]
fn grids_of_every_kind() {
    let values = |params: Params, dataset: Option<Array2<f64>>, x: f64| {
        // Every value but the instance's is an answer of its own distance, so the grid can be read from the sums.
        let mut values = Vec::new();
        let names = Features::unnamed(1).unwrap();
        let explainer = match dataset {
            Some(rows) => params.fit(&rows, names).unwrap(),
            None => params.build(names).unwrap(),
        };
        let asked = std::sync::Mutex::new(Vec::new());
        let model = Elementwise(|row: &[f64]| {
            asked.lock().unwrap().push(row[0]);
            0.0
        });
        explainer.explain(&model, &array![x], Run::seeded(0)).unwrap();
        values.extend(asked.into_inner().unwrap().into_iter().skip(1));
        values.sort_by(f64::total_cmp);
        values
    };
    let range =
        |range: FeatureRange| Params::default().with_feature_ranges([(0.into(), range)].into());
    let grid = |grid: Grid| range(FeatureRange::Grid(grid));
    assert_eq!(values(grid(Grid::Values(vec![5.0, 1.0, 5.0])), None, 0.0), [1.0, 5.0]);
    let log = values(grid(Grid::Log { min: 1.0, max: 100.0, n: 3 }), None, 0.0);
    assert_eq!((log[0], log[2]), (1.0, 100.0));
    // exp(ln 10) is 10 to two roundings of magnitude 2^-52 * ln 10.
    assert!((log[1] - 10.0).abs() < 10.0 * 4.0 * f64::EPSILON, "{log:?}");
    let data = array![[0.0], [1.0], [2.0], [10.0], [f64::NAN]];
    assert_eq!(values(grid(Grid::Quantiles(4)), Some(data.clone()), -1.0), [0.0, 1.0, 2.0, 10.0]);
    assert_eq!(values(grid(Grid::Quantiles(3)), Some(data.clone()), -1.0), [0.0, 1.5, 10.0]);
    let fives = Params::default().with_default_numerical_step_size(5.0);
    assert_eq!(values(fives, Some(data), 5.0), [0.0, 10.0]);
    let between = || range(FeatureRange::between(0.0, 2.0));
    assert_eq!(values(between(), None, 0.25), [0.0, 1.0, 2.0]);
    let centred = between().with_anchor(Anchor::Instance);
    assert_eq!(values(centred.clone(), None, 0.25), [0.0, 1.25, 2.0]);
    assert_eq!(values(centred.with_inclusive_end(false), None, 0.25), [1.25]);
}

#[test]
fn distances_of_every_kind() {
    let features = || {
        Features::new(vec![
            Feature::numeric("a"),
            Feature::categorical("c", ["x", "y", "z"], Encoding::Ordinal),
        ])
        .unwrap()
    };
    let first = |distance: Distance, feature: &str, x: [f64; 2], rule: fn(&[f64]) -> bool| {
        let params = Params::default()
            .with_distance_functions([(feature.into(), distance)].into())
            .with_feature_ranges([("a".into(), FeatureRange::between(0.0, 6.0))].into())
            .with_counterfactual_feature_indices(Some(vec![feature.into()]));
        let data = explain(params, features(), rule, &x).data;
        (rows(&data)[0].clone(), data.distances[0])
    };
    let four = |row: &[f64]| 4.0 <= row[0];
    assert_eq!(first(Distance::Squared, "a", [1.0, 0.0], four), (vec![4.0, 0.0], 9.0));
    assert_eq!(first(Distance::Scaled(2.0), "a", [1.0, 0.0], four), (vec![4.0, 0.0], 1.5));
    assert_eq!(first(Distance::Mismatch, "a", [1.0, 0.0], four), (vec![4.0, 0.0], 1.0));
    let table =
        Distance::Table(vec![vec![0.0, 5.0, 2.0], vec![5.0, 0.0, 1.0], vec![2.0, 1.0, 0.0]]);
    let changed = |row: &[f64]| row[1] != 0.0;
    assert_eq!(first(table, "c", [1.0, 0.0], changed), (vec![1.0, 2.0], 2.0));
}

#[test]
fn functions_measure_and_restrict() {
    let features = Features::numeric(["a", "b"]).unwrap();
    let params = ranged(Params::default(), &[(0.0, 6.0), (0.0, 6.0)]);
    let explainer = params.build(features).unwrap();
    let model = Elementwise(|row: &[f64]| label(5.0 <= row[0] + row[1]));
    let x = array![1.0, 1.0];
    // Going up in `a` is free beyond the first unit, and staying costs a half.
    let stairs = |from: f64, to: f64| if from == to { 0.5 } else { 1.0 };
    let functions = |functions| explainer.with_functions(functions);
    let none = Functions::default;
    let dear = functions(none().with_distance("a", &stairs)).unwrap();
    let data = dear.explain(&model, &x, Run::seeded(0)).unwrap();
    // Of `a` alone two values will do; `b` alone costs 3 and the half of staying.
    assert_eq!(rows(&data.data)[..2], [vec![4.0, 1.0], vec![5.0, 1.0]]);
    let distances: Vec<f64> = data.data.distances.to_vec();
    assert_eq!((distances[0], distances[distances.len() - 1]), (1.0, 3.5));
    assert_eq!(data.meta.params["functions"], serde_json::json!(["distance of a"]));
    assert_eq!(data.meta.params["max_counterfactual_length"], 2);

    let even = |row: &xai_core::Row| row.iter().all(|value| value % 2.0 == 0.0 || *value == 1.0);
    let even = functions(none().with_feasible(&even)).unwrap();
    let data = even.explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert_eq!(rows(&data), [[1.0, 4.0], [4.0, 1.0], [2.0, 4.0], [4.0, 2.0]]);

    let error = functions(none().with_distance("d", &stairs)).unwrap_err().to_string();
    assert!(error.contains("`distance_functions`"), "{error}");
    let negative = |_: f64, _: f64| -1.0;
    let wrong = functions(none().with_distance(1, &negative)).unwrap();
    let error = wrong.explain(&model, &x, Run::seeded(0)).unwrap_err();
    assert!(matches!(&error, Error::Param(error) if error.name == "distance_functions"), "{error}");
}

#[test]
fn constraints_leave_values_out() {
    let with = |feature: &str, constraint: Constraint| {
        Params::default().with_constraints(Constraints {
            features: [(feature.into(), constraint)].into(),
            max_changes: None,
        })
    };
    let fixed = Constraint { change: Direction::None, ..Default::default() };
    assert_eq!(rows(&sum(with("a", fixed))), [[1.0, 4.0]]);
    let down = Constraint { change: Direction::Down, ..Default::default() };
    // Going down with `a` alone reaches nothing; with `b` it costs the more.
    assert_eq!(rows(&sum(with("a", down))), [[1.0, 4.0], [0.0, 5.0]]);
    let low = Constraint { max: Some(2.0), ..Default::default() };
    assert_eq!(rows(&sum(with("b", low))), [[4.0, 1.0], [3.0, 2.0]]);
    let dear = Constraint { cost: Some(2.0), scale: Some(4.0), ..Default::default() };
    let data = sum(with("b", dear));
    assert_eq!((rows(&data)[0].clone(), data.distances[0]), (vec![1.0, 4.0], 1.5));
    let one = Constraints { max_changes: Some(1), ..Default::default() };
    let data = sum(Params::default().with_constraints(one));
    assert_eq!((rows(&data), data.n_combinations), (vec![vec![1.0, 4.0], vec![4.0, 1.0]], 2));
    let whole = Constraint { integer: true, ..Default::default() };
    let halves = with("a", whole).with_default_numerical_step_size(0.5);
    assert!(rows(&sum(halves)).iter().all(|row| row[0].fract() == 0.0));
}

/// `sum` under a budget.
fn within(queries: u64) -> Result<GridCounterfactualData> {
    let params = ranged(Params::default(), &[(0.0, 6.0), (0.0, 6.0)]).with_first_batch(1);
    let explainer = params.build(Features::numeric(["a", "b"])?)?;
    let model = Elementwise(|row: &[f64]| label(5.0 <= row[0] + row[1]));
    let budget = Budget::queries(queries);
    let run = Run::seeded(0).with_budget(budget);
    Ok(explainer.explain(&model, &array![1.0, 1.0], run)?.data)
}

#[test]
fn a_budget_leaves_what_is_proved_so_far() {
    assert!(matches!(within(0), Err(Error::Stopped(Stop::Budget))));
    // The instance alone: nothing is known but that a change of one costs 1 (to the rounding of sums).
    let data = within(1).unwrap();
    assert_eq!((data.status, data.stop), (Status::Stopped, Stop::Budget));
    let bound = data.lower_bound.unwrap();
    assert!((bound - 1.0).abs() <= 1e-12, "{bound}");
    let everything = sum(Params::default());
    let full = (1..).find(|&queries| within(queries).unwrap().stop == Stop::Converged).unwrap();
    for queries in 1..=full {
        let data = within(queries).unwrap();
        let bound = data.lower_bound.unwrap();
        assert!((1.0 - 1e-12..=3.0).contains(&bound), "{queries}: {bound}");
        for answer in 0..data.distances.len() {
            // A gap is a promise: the closest point that changes the same features is within it.
            let features = data.changed_features(answer);
            let same = changed_features(&everything).iter().position(|f| *f == features);
            let best = everything.distances[same.unwrap()];
            assert!(data.distances[answer] - data.gaps[answer] <= best);
            assert!(!data.optimal[answer] || data.distances[answer] == 3.0);
        }
        if let Some(gap) = data.gap() {
            assert!(data.distances[0] - gap <= 3.0);
        }
    }
    assert_eq!(within(full).unwrap().lower_bound, Some(3.0));
}

#[test]
fn none_exists_is_not_none_found() {
    let features = || Features::numeric(["a", "b"]).unwrap();
    let params = || ranged(Params::default(), &[(0.0, 6.0), (0.0, 6.0)]);
    let Explanation { data, meta, .. } = explain(params(), features(), |_| false, &[1.0, 1.0]);
    // Seven values each, one of them the instance's: 6 + 6 + 36 points.
    assert_eq!((data.status, data.n_points, meta.queries), (Status::NoneExists, 48, 49));
    assert_eq!((data.stop, data.n_combinations_searched), (Stop::Converged, 3));
    let explainer = params().build(features()).unwrap();
    let model = Elementwise(|_: &[f64]| 0.0);
    let run = Run::seeded(0).with_budget(Budget::queries(48));
    let stopped = explainer.explain(&model, &array![1.0, 1.0], run).unwrap();
    assert_eq!((stopped.data.status, stopped.meta.queries), (Status::Stopped, 48));
    let run = Run::seeded(0).with_budget(Budget::queries(49));
    let data = explainer.explain(&model, &array![1.0, 1.0], run).unwrap().data;
    assert_eq!(data.status, Status::NoneExists);
}

#[test]
fn the_answer_in_words_and_as_a_table() {
    let dataset = array![[20.0, 0.0], [30.0, 1.0], [40.0, 2.0]];
    let params = Params::default()
        .with_step_sizes([("age".into(), 5.0)].into())
        .with_class_names(Some(vec!["no".to_owned(), "yes".to_owned()]));
    let explainer = params.fit(&dataset, people()).unwrap();
    let model = Elementwise(|row: &[f64]| label(grown_and_not_a(row)));
    let data = explainer.explain(&model, &array![25.0, 1.0], Run::seeded(0)).unwrap().data;
    let text = "Instance of class *no*:\n\
                *age*: 25, *job*: b\n\
                \n\
                Counterfactual of class *yes* at distance 5:\n    \
                    feature *age*: *25* -> *30*\n\
                \n\
                Counterfactual of class *yes* at distance 6:\n    \
                    feature *age*: *25* -> *30*\n    \
                    feature *job*: *b* -> *c*\n";
    let names = OutputNames::default();
    assert_eq!(data.textualise(&names), text);
    let table = data.table(&names);
    assert_eq!(table.title, "Prediction no. 2 counterfactuals.");
    assert_eq!(table.rows[0], ["age: 25 -> 30", "yes", "5", "optimal"]);
    assert_eq!(
        table.rows[1],
        ["age: 25 -> 30, job: b -> c", "yes", "6", "closest of its features"]
    );
    let figure = data.figure(&names);
    assert_eq!(figure.panels.len(), 2);
    let xai_core::figure::Panel::Bars(bars) = &figure.panels[1] else { panic!("bars") };
    let lengths: Vec<(&str, f64)> = bars.bars.iter().map(|b| (b.label.as_str(), b.value)).collect();
    assert_eq!(lengths, [("age", 5.0), ("age + job", 6.0)]);
    let nothing =
        explainer.explain(&Elementwise(|_: &[f64]| 0.0), &array![25.0, 1.0], Run::seeded(0));
    let nothing = nothing.unwrap().data;
    assert!(nothing.textualise(&names).ends_with("No point of the grid is a counterfactual.\n"));
    assert_eq!(nothing.figure(&names).panels.len(), 1);
}
