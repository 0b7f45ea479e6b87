//! Closed forms: planes, flat models, steps.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; kept cells are exact"
)]

use ndarray::{Array1, Array2, array};
use xai_cem::{Cem, CemData, CemModel, CemParams, Mode, Route, Status};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::decision::DECISION_MARGIN;
use xai_core::figure::Panel;
use xai_core::tabular::Features;
use xai_core::{
    BoxError, Differentiable, Explainer, Output, OutputNames, PerFeature, Rows, Run, Semantics,
};
use xai_testkit::{Linear, Logistic};

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
}

/// Negatives that may only go up, within [-10, 10].
fn upwards() -> CemParams {
    CemParams::default()
        .with_no_info_val(Some(PerFeature::All(-5.0)))
        .with_feature_range((PerFeature::All(-10.0), PerFeature::All(10.0)))
}

/// Positives between 0 and the instance.
fn positives(kappa: f64) -> CemParams {
    CemParams::default()
        .with_mode(Mode::PertinentPositive)
        .with_kappa(kappa)
        .with_no_info_val(Some(PerFeature::All(0.0)))
}

fn build(params: CemParams, n: usize) -> Cem {
    params.build(Features::unnamed(n).unwrap()).unwrap()
}

/// White box and black box.
fn both(params: &CemParams, model: &dyn Differentiable, x: &Array1<f64>) -> [CemData; 2] {
    [CemModel::white_box(model), CemModel::black_box(model)]
        .map(|view| build(params.clone(), x.len()).explain(view, x, Run::seeded(0)).unwrap().data)
}

/// How far beyond 0 the argument of a logistic model must be for the other class to be ahead by the margin, where it is
/// `score` at the instance: `p - (1 - p) = m`.
fn beyond(score: f64) -> f64 {
    let margin = DECISION_MARGIN / (1.0 + (-score.abs()).exp());
    ((1.0 + margin) / (1.0 - margin)).ln()
}

#[test]
fn a_negative_that_may_only_go_up() {
    // Only the second feature helps where the first may not fall: z = 0 at its value, and -logit(0.55) with kappa 0.1.
    let cases = [
        ([2.0, -1.0], 0.0, 2.5 + beyond(2.0), 0),
        ([-2.0, 1.0], 0.0, 1.5 + beyond(1.0), 1),
        ([2.0, -1.0], 0.1, 2.700_670_695_462_151, 0),
    ];
    for (weights, kappa, expected, class) in cases {
        let params = upwards().with_kappa(kappa);
        for data in both(&params, &Logistic::new(&weights, 0.5), &array![1.0, 0.5]) {
            let found = &data.result.as_ref().unwrap().row;
            assert_eq!(found[0], 1.0);
            // Never short of the boundary, and beyond it by little: a polish stops with a gain below 1e-5.
            assert!((expected..=expected + 1e-4).contains(&found[1]), "{found}");
            assert_eq!(data.result.as_ref().unwrap().class, class);
            let change = found[1] - 0.5;
            near(
                data.result.as_ref().unwrap().distances.elastic_net,
                change * change + 0.1 * change,
                1e-12,
            );
            assert_eq!(data.mode, Mode::PertinentNegative);
        }
    }
}

#[test]
fn the_reference_without_momentum_finds_what_was_recorded() {
    let flags = [None, Some([false, true, true, true, false, true, false, false, false, true])];
    let cases = [([2.0, -1.0], 2.500_011_42), ([-2.0, 1.0], 1.500_009_22)];
    for ((weights, expected), flags) in cases.into_iter().zip(flags) {
        let params = upwards().with_semantics(Semantics::Reference).with_momentum(false);
        let model = Logistic::new(&weights, 0.5);
        let data = both(&params, &model, &array![1.0, 0.5])[0].clone();
        near(data.result.unwrap().row[1], expected, 1e-8);
        if let Some(flags) = flags {
            let found: Vec<bool> =
                data.trials.iter().map(|trial| trial.distance.is_some()).collect();
            assert_eq!(found, flags);
        }
    }
}

#[test]
fn the_reference_of_positives_finds_what_was_recorded() {
    for (kappa, expected) in [(0.0, 0.250_003_47), (0.2, 0.452_769_74)] {
        let params = positives(kappa).with_semantics(Semantics::Reference).with_momentum(false);
        let model = Logistic::new(&[2.0, -1.0], -0.5);
        let [white, black] = both(&params, &model, &array![1.0, 0.5]);
        near(white.result.unwrap().row[0], expected, 1e-8);
        // Its black box has no gradient where one is needed.
        assert_eq!(black.status, Status::NotFound);
    }
}

#[test]
fn a_positive_is_the_least_that_keeps_the_class() {
    // z(q) = 2 q0 - q1 - 0.5 from q = 0: q0 = 1/4, and (logit 0.6 + 0.5) / 2 with kappa 0.2.
    for (kappa, expected) in [(0.0, 0.25), (0.2, 0.452_732_554_054_082_1)] {
        let model = Logistic::new(&[2.0, -1.0], -0.5);
        for data in both(&positives(kappa), &model, &array![1.0, 0.5]) {
            let found = &data.result.as_ref().unwrap().row;
            assert!((expected..=expected + 1e-4).contains(&found[0]), "{found}");
            assert_eq!((found[1], data.result.as_ref().unwrap().class), (0.0, data.class));
            assert_eq!(data.status, Status::Found);
        }
    }
}

#[test]
fn a_positive_stays_between_nothing_and_the_instance() {
    // p(0.5) is 0.525: no point of [0, 0.5] has a margin of 0.3.
    let model = Logistic::new(&[2.0], -0.9);
    for data in both(&positives(0.3), &model, &array![0.5]) {
        assert_eq!((data.result, data.status), (None, Status::RangeInfeasible));
        assert!(data.nearest_miss.is_some());
    }
    let reference = positives(0.3).with_semantics(Semantics::Reference);
    let beyond = both(&reference, &model, &array![0.5])[0].result.clone().unwrap().row;
    assert!(0.5 < beyond[0], "the reference takes more than the instance has");
}

#[test]
fn nothing_at_all_may_be_a_positive() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    for data in both(&positives(0.0), &model, &array![1.0, 0.5]) {
        assert_eq!(data.status, Status::Empty);
        let result = data.result.unwrap();
        assert_eq!(result.row, array![0.0, 0.0]);
        assert!(result.changes.is_empty());
        assert_eq!(data.route, Some(Route::Start));
    }
}

#[test]
fn constraints_decide_what_may_change() {
    let rule = |change| Constraint { change, ..Default::default() };
    let constraints = |rules: [Direction; 2]| Constraints {
        features: [(0.into(), rule(rules[0])), (1.into(), rule(rules[1]))].into(),
        max_changes: None,
    };
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let x = array![1.0, 0.5];
    let free = CemParams::default().with_no_info_val(Some(PerFeature::Each(vec![1.0, 0.5])));
    let params = free.clone().with_constraints(constraints([Direction::None, Direction::Any]));
    for data in both(&params, &model, &x) {
        let found = data.result.unwrap().row;
        assert_eq!(found[0], 1.0);
        assert!((2.5..=2.5 + 1e-4).contains(&(found[1] - beyond(2.0))), "{found}");
    }
    let params = free.clone().with_constraints(constraints([Direction::Up, Direction::None]));
    for data in both(&params, &model, &x) {
        assert_eq!((data.result, data.status), (None, Status::RangeInfeasible));
    }
    // A range: the first feature stops at its end, the second does the rest: 2 * 0.9 - x1 + 0.5 = 0.
    let params = free.clone().with_feature_range((
        PerFeature::Each(vec![0.9, -10.0]),
        PerFeature::Each(vec![2.0, 10.0]),
    ));
    for data in both(&params, &model, &x) {
        let found = data.result.unwrap().row;
        assert_eq!(found[0], 0.9);
        assert!((2.3..=2.3 + 1e-4).contains(&(found[1] - beyond(2.0))), "{found}");
    }
    // At most one feature: the one that needs less, z = 0 at x0 = 0 or x1 = 2.5.
    let constraints = Constraints { max_changes: Some(1), ..Default::default() };
    for data in both(&free.clone().with_constraints(constraints), &model, &x) {
        let found = data.result.unwrap().row;
        assert_eq!(found[1], 0.5);
        assert!((-1e-4..=0.0).contains(&(found[0] + 0.5 * beyond(2.0))), "{found}");
    }
    // Whole steps of a quarter.
    let quarter = Constraint { step: Some(0.25), ..Default::default() };
    let features = [(0.into(), quarter.clone()), (1.into(), quarter)].into();
    let constraints = Constraints { features, max_changes: None };
    for data in both(&free.with_constraints(constraints), &model, &x) {
        let found = data.result.unwrap().row;
        assert!(found.iter().all(|value| (4.0 * value).fract() == 0.0), "{found}");
        assert!(2.0 * found[0] - found[1] + 0.5 < 0.0, "{found}");
    }
}

#[test]
fn crossing_the_value_without_information() {
    // z = 1 - x: negative beyond 1. From 0.2 with nothing at 0.5 only less is more, unless the other side counts.
    let model = Logistic::new(&[-1.0], 1.0);
    let params = CemParams::default().with_no_info_val(Some(PerFeature::All(0.5)));
    for data in both(&params, &model, &array![0.2]) {
        assert_eq!(data.status, Status::RangeInfeasible);
    }
    for data in both(&params.with_crossing(true), &model, &array![0.2]) {
        let found = data.result.unwrap().row;
        assert!((1.0..=1.0 + 1e-4).contains(&(found[0] - beyond(0.8))), "{found}");
    }
}

#[test]
fn a_flat_model_is_given_up_soon() {
    let flat = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), 2), |(_, class)| 0.4 + 0.2 * class as f64))
    };
    let data = build(upwards(), 3)
        .explain(CemModel::black_box(&flat), &array![0.1, 0.2, 0.3], Run::seeded(0))
        .unwrap()
        .data;
    assert_eq!((data.status, data.result), (Status::GradientVanished, None));
    assert!(data.trials.iter().all(|trial| trial.n_steps <= 5), "{:?}", data.trials);
}

#[test]
fn a_step_has_no_gradient_and_is_found_all_the_same() {
    let step = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), 2), |(row, class)| {
            f64::from(u8::from((0.0 <= batch[[row, 0]]) == (class == 1)))
        }))
    };
    let params = CemParams::default()
        .with_no_info_val(Some(PerFeature::All(-2.0)))
        .with_feature_range((PerFeature::All(-2.0), PerFeature::All(2.0)));
    let data = build(params, 2)
        .explain(CemModel::black_box(&step), &array![-0.7, 0.3], Run::seeded(0))
        .unwrap()
        .data;
    assert_eq!((data.status, data.route), (Status::Found, Some(Route::Sweep)));
    let found = data.result.unwrap().row;
    assert_eq!(found[1], 0.3);
    // Each pass takes up to fifteen sixteenths of what is too much.
    assert!((0.0..0.05).contains(&found[0]), "{found}");
}

#[test]
fn a_score_is_brought_into_an_interval() {
    let model = Linear::new(&[1.0, 3.0], 0.0);
    let params = CemParams::default()
        .with_output(Output::Interval { min: Some(5.0), max: None, target: 0 })
        .with_no_info_val(Some(PerFeature::All(0.0)));
    for data in both(&params, &model, &array![0.5, 0.5]) {
        let found = data.result.unwrap().row;
        assert!((5.0..5.01).contains(&(found[0] + 3.0 * found[1])), "{found}");
        assert_eq!((&data.outputs, data.class), (&array![2.0], 0));
    }
}

#[test]
fn gradients_are_those_at_the_result() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let [white, black] = both(&upwards(), &model, &array![1.0, 0.5]);
    for data in [&white, &black] {
        let found = &data.result.as_ref().unwrap().row;
        let best = data.trials.iter().filter_map(|trial| Some((trial.distance?, trial.c)));
        let c = best.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1;
        let p = data.result.as_ref().unwrap().outputs[0];
        // d(p1 - p0) / dx = 2 p (1 - p) w.
        let attack = array![2.0, -1.0] * (2.0 * p * (1.0 - p) * c);
        let attack = attack.mapv(|slope: f64| slope.clamp(-100.0, 100.0));
        let plain = (found - &data.instance) * 2.0;
        let (graph, num) = (data.grads_graph.as_ref().unwrap(), data.grads_num.as_ref().unwrap());
        let sum = graph + num;
        for k in 0..2 {
            // A central difference of step 0.02 of a sigmoid: its third derivative is below 1/8 * 2^3.
            near(sum[k], (plain[k] + attack[k]).clamp(-100.0, 100.0), c * 2e-4);
        }
    }
    assert_eq!(white.grads_num.unwrap(), array![0.0, 0.0]);
}

#[test]
fn an_autoencoder_adds_its_gradient() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let (x, gamma) = (array![1.0, 0.5], 0.3);
    // A(q) = M q, and the derivative of |A(q) - q|^2 is 2 (M - 1)^T (M - 1) q.
    let matrix = array![[0.6, 0.2], [0.1, 0.9]];
    let autoencoder = Linear::outputs(matrix.clone(), Array1::zeros(2));
    let params = upwards().with_gamma(gamma);
    let view = CemModel::black_box(&model).with_autoencoder(&autoencoder);
    let data = build(params, 2).explain(view, &x, Run::seeded(0)).unwrap().data;
    let found = data.result.unwrap().row;
    assert_eq!(data.status, Status::Found);
    let defect = &matrix - &Array2::<f64>::eye(2);
    let expected = (&found - &x) * 2.0 + defect.t().dot(&defect.dot(&found)) * (2.0 * gamma);
    for (own, expected) in data.grads_graph.unwrap().iter().zip(&expected) {
        // A dozen roundings of numbers below 10.
        near(*own, *expected, 1e-14);
    }
}

#[test]
fn a_polish_keeps_to_where_the_autoencoder_drew() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let x = array![1.0, 0.5];
    // Rows like the training data have 0.5 as their second number: the reconstruction error is the square of its change.
    let autoencoder = Linear::outputs(array![[1.0, 0.0], [0.0, 0.0]], array![0.0, 0.5]);
    let found = |polish| {
        let params = CemParams::default()
            .with_no_info_val(Some(PerFeature::Each(x.to_vec())))
            .with_gamma(10.0)
            .with_polish(polish);
        let view = CemModel::white_box(&model).with_autoencoder(&autoencoder);
        let data = build(params, 2).explain(view, &x, Run::seeded(0)).unwrap().data;
        data.result.unwrap().row - &x
    };
    let (drawn, polished, free) = (found(Some(false)), found(None), found(Some(true)));
    // Without the autoencoder the second number changes by 0.38. Drawn to less, it keeps the most that it was drawn to, and
    // the first number does what is missing: 2 d_0 - d_1 = -2.
    assert!(0.0 < drawn[1] && drawn[1] < 0.3, "{drawn}");
    near(polished[1], drawn[1], 1e-12);
    near(polished[0], -1.0 - 0.5 * beyond(2.0) + 0.5 * drawn[1], 1e-6);
    assert!(drawn[0] < polished[0] - 1e-3, "{drawn} was polished to {polished}");
    // (nu |w_i| - beta) / 2 with nu = 0.86 and a part of the margin.
    near(free[0], -0.81 - beyond(2.0) / 2.5, 1e-6);
    near(free[1], 0.38 + beyond(2.0) / 5.0, 1e-6);
}

#[test]
fn figures_are_tables_and_maps() {
    let model = Logistic::new(&[2.0, -1.0, 0.0, 0.0], 0.5);
    let x = array![1.0, 0.5, 0.0, 0.0];
    let table = both(&upwards(), &model, &x)[0].figure(&OutputNames::default());
    let [Panel::Table(table)] = &table.panels[..] else { panic!("{table:?}") };
    assert_eq!(table.columns, ["feature", "instance", "change", "pertinent negative"]);
    let [row] = &table.rows[..] else { panic!("{table:?}") };
    // The second feature goes from 0.5 to 2.5.
    assert_eq!(row[..3], ["feature_1", "0.5", "+2.000"]);
    let params = upwards().with_shape(Some(vec![2, 2]));
    let maps = both(&params, &model, &x)[0].figure(&OutputNames::default());
    let [Panel::Image(before), Panel::HeatMap(change), Panel::Image(after)] = &maps.panels[..]
    else {
        panic!("{maps:?}")
    };
    assert_eq!((before.title.as_str(), after.title.as_str()), ("instance", "pertinent negative"));
    assert_eq!((change.height, change.width), (2, 2));
    assert_eq!((change.values[0], change.limit), (0.0, change.values[1]));
    // A positive changes the values without information.
    let params = positives(0.0).with_shape(Some(vec![2, 1]));
    let model = Logistic::new(&[2.0, -1.0], -0.5);
    let maps = both(&params, &model, &array![1.0, 0.5])[0].figure(&OutputNames::default());
    let [Panel::Image(before), Panel::HeatMap(change), _] = &maps.panels[..] else {
        panic!("{maps:?}")
    };
    assert_eq!((before.title.as_str(), &before.rgb[..]), ("uninformative reference", &[0; 6][..]));
    near(change.values[0], 0.25, 1e-3);
}
