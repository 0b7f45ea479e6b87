//! Searches whose answers are known: closest points of lines and planes, prototypes on a line, categories.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; codes are exact"
)]

use std::ops::RangeInclusive;

use ndarray::{Array1, Array2, ArrayView1, Axis, array};
use xai_cfproto::distance::DistanceType;
use xai_cfproto::{CfProto, CfProtoData, CfProtoModel, CfProtoParams, Route, Status};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::figure::Panel;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{
    BoxError, Differentiable, Explainer, InInterval, OutputNames, PerFeature, Predictor, Row, Rows,
    Run, Semantics,
};
use xai_testkit::{Linear, Logistic, Probe};

fn explain<'m>(explainer: &CfProto, model: impl Into<CfProtoModel<'m>>, x: &Row) -> CfProtoData {
    explainer.explain(model, x, Run::seeded(0)).unwrap().data
}

#[track_caller]
fn close(got: &Row, expected: &Row, tolerance: f64) {
    let apart = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart <= tolerance, "got {got}, expected {expected}");
}

/// The closest point in the elastic net where `w . x + b` is 0: `d_i = -sign(z0 w_i) max(0, (nu |w_i| - beta) / 2)`, with
/// `nu` from `sum |w_i d_i| = |z0|`, which grows with it.
fn closest(w: &[f64], b: f64, x: &Row, beta: f64) -> (Array1<f64>, f64) {
    let z0 = b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    let sizes = |nu: f64| w.iter().map(move |w| ((nu * w.abs() - beta) / 2.0).max(0.0));
    let gained = |nu: f64| sizes(nu).zip(w).map(|(size, w)| size * w.abs()).sum::<f64>();
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if gained(middle) < z0.abs() { low = middle } else { high = middle }
    }
    let moved = sizes(high).zip(w).map(|(size, w)| -(z0 * w).signum() * size);
    let point: Array1<f64> = x.iter().zip(moved).map(|(x, d)| x + d).collect();
    let distance = sizes(high).map(|size| size * size + beta * size).sum();
    (point, distance)
}

#[test]
fn the_closest_point_of_a_plane_is_found() {
    type Case = (&'static [f64], f64, Array1<f64>, Array1<f64>, f64);
    let cases: [Case; 3] = [
        (&[2.0, -1.0], 0.5, array![1.0, 0.5], array![0.19, 0.88], 0.9195),
        (&[-2.0, 1.0], 0.5, array![1.0, 0.5], array![0.59, 0.68], 0.2595),
        (
            &[1.0, 3.0, -0.5, 0.1],
            -0.2,
            array![0.3, 0.8, -1.0, 2.0],
            array![0.015_853_7, -0.152_439_0, -0.882_926_8, 2.0],
            1.136_951_2,
        ),
    ];
    for (w, b, x, point, distance) in cases {
        let (exact, optimum) = closest(w, b, &x, 0.1);
        close(&exact, &point, 1e-6);
        assert!((optimum - distance).abs() < 1e-6);
        let logistic = Logistic::new(w, b);
        let models = [CfProtoModel::white_box(&logistic), CfProtoModel::black_box(&logistic)];
        for (model, polish, slack) in
            [(0, false, 1.02), (0, true, 1.001), (1, false, 1.02), (1, true, 1.001)]
        {
            let params = CfProtoParams::default().with_polish(Some(polish));
            let explainer = params.build(Features::unnamed(w.len()).unwrap()).unwrap();
            let data = explain(&explainer, models[model], &x);
            let cf = data.cf.unwrap();
            assert_eq!(data.status, Status::Found);
            let range = optimum - 1e-6..=slack * optimum;
            assert!(
                range.contains(&cf.distances.elastic_net),
                "{w:?} {polish}: {} for {optimum}",
                cf.distances.elastic_net
            );
            assert_ne!(cf.class, data.class);
            if w.len() == 4 {
                assert_eq!(
                    cf.row[3], x[3],
                    "the weight of the last feature is below the threshold"
                );
            }
        }
    }
}

/// The distance that the reference's rule finds without momentum, as recorded from a model of it.
#[test]
fn the_references_threshold_overshoots() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let params = CfProtoParams::default()
        .with_semantics(Semantics::Reference)
        .with_momentum(false)
        .with_feature_range(Some(((-1e10).into(), 1e10.into())));
    let explainer = params.clone().build(Features::unnamed(2).unwrap()).unwrap();
    let cf = explain(&explainer, CfProtoModel::white_box(&logistic), &array![1.0, 0.5]).cf.unwrap();
    close(&cf.row, &array![0.094_374, 0.853_813], 2e-6);
    // With momentum the path depends on the last bit; what it finds is at most a fifth too far.
    let params = params.with_momentum(true);
    let explainer = params.build(Features::unnamed(2).unwrap()).unwrap();
    let cf = explain(&explainer, CfProtoModel::white_box(&logistic), &array![1.0, 0.5]).cf.unwrap();
    assert!(
        (0.9195..1.2 * 0.9195).contains(&cf.distances.elastic_net),
        "{}",
        cf.distances.elastic_net
    );
}

/// The model says class 0 where `2 u - v + 1/2 < 0`; the only row of class 0 is (-1, 1/2).
fn one_prototype<'m>(params: CfProtoParams, model: impl Into<CfProtoModel<'m>>) -> CfProto {
    let rows = array![[-1.0, 0.5], [1.0, 0.5], [2.0, 0.0]];
    let params = params.with_use_kdtree(true).with_c_init(0.0).with_c_steps(1);
    params.fit(model, &rows, Features::unnamed(2).unwrap(), &mut Run::seeded(0)).unwrap()
}

#[test]
fn a_prototype_alone_leads_across() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let x = array![1.0, 0.5];
    for model in [CfProtoModel::white_box(&logistic), CfProtoModel::black_box(&logistic)] {
        for theta in [5.0, 10.0] {
            let params = CfProtoParams::default().with_theta(theta);
            let data = explain(&one_prototype(params, model), model, &x);
            let cf = data.cf.unwrap();
            assert_eq!((cf.class, data.id_proto, data.route), (0, Some(0), Some(Route::Descent)));
            // Only feature 0 differs from the prototype, and the boundary is at 0 in it.
            assert_eq!(cf.row[1], 0.5);
            assert!(cf.row[0] < 0.0 && -0.2 < cf.row[0], "{}", cf.row);
        }
        let reference = |theta| {
            CfProtoParams::default()
                .with_theta(theta)
                .with_semantics(Semantics::Reference)
                .with_momentum(false)
        };
        let data = explain(&one_prototype(reference(10.0), model), model, &x);
        close(&data.cf.unwrap().row, &array![-0.000_530_71, 0.5], 1e-8);
        assert!(explain(&one_prototype(reference(5.0), model), model, &x).cf.is_none());
    }
}

#[test]
fn a_prototype_draws_the_answer_to_itself() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let rows = array![[-1.0, 0.5], [1.0, 0.5], [2.0, 0.0]];
    let model = CfProtoModel::white_box(&logistic);
    let away = |theta: f64, polish: Option<bool>| {
        let params =
            CfProtoParams::default().with_theta(theta).with_polish(polish).with_use_kdtree(true);
        let features = Features::unnamed(2).unwrap();
        let explainer = params.fit(model, &rows, features, &mut Run::seeded(0)).unwrap();
        let cf = explain(&explainer, model, &array![1.0, 0.5]).cf.unwrap();
        let way = &cf.row - &rows.row(0);
        (way.dot(&way).sqrt(), cf.distances.elastic_net)
    };
    let (free, drawn) = (away(0.0, None), away(10.0, None));
    assert!(drawn.0 < free.0, "{} from the prototype with it, {} without", drawn.0, free.0);
    assert!(free.1 < drawn.1, "what is not drawn is closer to the instance");
    // A polish that goes anywhere ends where nothing draws.
    let polished = away(10.0, Some(true));
    assert!((polished.1 - free.1).abs() < 1e-3 * free.1, "{} for {}", polished.1, free.1);
}

#[test]
fn without_an_attack_every_step_costs_one_query() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let params = CfProtoParams::default()
        .with_theta(10.0)
        .with_semantics(Semantics::Reference)
        .with_momentum(false);
    let probe = Probe::new(&logistic);
    let explainer = one_prototype(params, CfProtoModel::black_box(&logistic));
    explain(&explainer, CfProtoModel::black_box(&probe), &array![1.0, 0.5]);
    // The instance twice, each step, the answer, and its gradient between four rows beside the row itself.
    assert!(probe.queries() <= 1000 + 3 + 5, "{}", probe.queries());
}

/// `z = effect of the category + u`, and the probability of class 1 is `1 / (1 + exp(-z))`.
struct Categories {
    encoding: Encoding,
}

const EFFECTS: [f64; 3] = [-1.5, 2.0, 0.2];

impl Categories {
    fn features(&self) -> Features {
        let category = Feature::categorical("kind", ["a", "b", "c"], self.encoding);
        Features::new(vec![category, Feature::numeric("u")]).unwrap()
    }

    fn score(&self, row: &Row) -> f64 {
        match self.encoding {
            Encoding::Ordinal => {
                let code = EFFECTS.iter().zip([0.0, 1.0, 2.0]).find(|(_, code)| *code == row[0]);
                code.unwrap().0 + row[1]
            }
            Encoding::DropFirst => match (row[0], row[1]) {
                (0.0, 0.0) => EFFECTS[0] + row[2],
                (cells_b, cells_c) => cells_b * EFFECTS[1] + cells_c * EFFECTS[2] + row[2],
            },
            Encoding::OneHot => {
                row.iter().zip(EFFECTS).map(|(cell, effect)| cell * effect).sum::<f64>() + row[3]
            }
        }
    }

    fn rows(&self) -> Array2<f64> {
        // Every category with every number.
        let rows = Array2::from_shape_fn((30, 2), |(row, column)| match column {
            0 => (row % 3) as f64,
            _ => (row / 3) as f64 * 2.0 / 9.0 - 1.0,
        });
        let ordinal = Categories { encoding: Encoding::Ordinal }.features();
        ordinal.encode(&rows, self.encoding).unwrap()
    }
}

impl Predictor for Categories {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let p = batch.map_axis(Axis(1), |row| 1.0 / (1.0 + (-self.score(&row)).exp()));
        Ok(ndarray::stack![Axis(1), 1.0 - &p, p])
    }
}

impl Differentiable for Categories {
    #[allow(clippy::disallowed_methods, reason = "a model calls itself")]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let outputs = self.predict(batch)?;
        let mut gradients = Array2::zeros(batch.dim());
        for (row, mut gradient) in gradients.rows_mut().into_iter().enumerate() {
            let slope =
                outputs[[row, 0]] * outputs[[row, 1]] * (cotangent[[row, 1]] - cotangent[[row, 0]]);
            if let Some(first) = self.encoding.first_code() {
                (first..3).for_each(|code| gradient[code - first] = slope * EFFECTS[code]);
            }
            let last = gradient.len() - 1;
            gradient[last] = slope;
        }
        Ok(gradients)
    }
}

fn instance(model: &Categories) -> Array1<f64> {
    let rows = array![[0.0, -0.2]];
    let ordinal = Categories { encoding: Encoding::Ordinal }.features();
    ordinal.encode(&rows, model.encoding).unwrap().row(0).to_owned()
}

#[test]
fn categories_are_changed_in_any_layout() {
    for d_type in [DistanceType::Mvdm, DistanceType::Abdm, DistanceType::AbdmMvdm] {
        let w = (d_type == DistanceType::AbdmMvdm).then_some(0.5);
        let mut answers = Vec::new();
        for encoding in [Encoding::Ordinal, Encoding::OneHot, Encoding::DropFirst] {
            let model = Categories { encoding };
            for view in [CfProtoModel::black_box(&model), CfProtoModel::white_box(&model)] {
                let params = CfProtoParams::default().with_d_type(d_type).with_w(w);
                let features = model.features();
                let explainer =
                    params.fit(view, &model.rows(), features.clone(), &mut Run::seeded(0)).unwrap();
                let data = explain(&explainer, view, &instance(&model));
                assert_eq!(data.class, 0);
                let cf = data.cf.unwrap();
                assert_eq!(cf.class, 1);
                let coded = features.coded(&cf.row).unwrap();
                // Category 1 is enough by itself, category 2 asks for a little more of the number.
                assert!(
                    (coded[0] == 1.0 && coded[1] == -0.2) || (coded[0] == 2.0 && -0.2 < coded[1]),
                    "{d_type:?} {encoding:?}: {coded:?}"
                );
                assert_eq!(cf.changes[0].feature, "kind");
                answers.push(coded);
            }
        }
        for other in &answers[1..] {
            assert_eq!(answers[0][0], other[0], "{d_type:?}: {answers:?}");
            assert!((answers[0][1] - other[1]).abs() < 1e-3, "{d_type:?}: {answers:?}");
        }
    }
}

#[test]
fn a_frozen_category_leaves_nothing_that_is_allowed() {
    let model = Categories { encoding: Encoding::Ordinal };
    let frozen = Constraint { change: Direction::None, ..Default::default() };
    let constraints = Constraints { features: [("kind".into(), frozen)].into(), max_changes: None };
    let params = CfProtoParams::default().with_constraints(constraints);
    let view = CfProtoModel::black_box(&model);
    let explainer = params.fit(view, &model.rows(), model.features(), &mut Run::seeded(0)).unwrap();
    let data = explain(&explainer, view, &instance(&model));
    // The score is at most -1.5 + 1.
    assert_eq!((data.cf.is_none(), data.status), (true, Status::RangeInfeasible));
    assert!((data.nearest_miss.unwrap().row[1] - 1.0).abs() < 1e-9);
}

#[test]
fn forbidden_categories_are_not_used() {
    let model = Categories { encoding: Encoding::OneHot };
    let allowed = Constraint { categories: Some(vec!["c".to_owned()]), ..Default::default() };
    let constraints =
        Constraints { features: [("kind".into(), allowed)].into(), max_changes: None };
    let params = CfProtoParams::default().with_constraints(constraints);
    let view = CfProtoModel::black_box(&model);
    let explainer = params.fit(view, &model.rows(), model.features(), &mut Run::seeded(0)).unwrap();
    let cf = explain(&explainer, view, &instance(&model)).cf.unwrap();
    assert_eq!(cf.row.slice(ndarray::s![..3]), array![0.0, 0.0, 1.0]);
    // 0.2 + u is 0 at -0.2: a little more has to be there.
    assert!(-0.2 < cf.row[3] && cf.row[3] < -0.19, "{}", cf.row);
}

#[test]
fn a_constant_model_is_left_soon() {
    let constant = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), 2), |(_, class)| [0.7, 0.3][class]))
    };
    let params = CfProtoParams::default().with_fallback(false);
    let explainer = params.build(Features::unnamed(3).unwrap()).unwrap();
    let view = CfProtoModel::black_box(&constant);
    let explanation = explainer.explain(view, &array![0.1, 0.2, 0.3], Run::seeded(0)).unwrap();
    let data = &explanation.data;
    assert_eq!((data.status, data.cf.is_none()), (Status::GradientVanished, true));
    assert!(data.trials.iter().all(|trial| trial.n_steps <= 5), "{:?}", data.trials);
    assert!(!explanation.to_json().unwrap().contains("NaN"));
}

#[test]
fn a_stump_is_crossed_by_other_ways() {
    let stump = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let class = |row: ArrayView1<'_, f64>| if row[0] < 0.0 { 1.0 } else { 0.0 };
        let p = batch.map_axis(Axis(1), class);
        Ok(ndarray::stack![Axis(1), 1.0 - &p, p])
    };
    let rows = array![[-2.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [2.0, 1.0]];
    let view = CfProtoModel::black_box(&stump);
    let features = Features::unnamed(2).unwrap();
    let params = CfProtoParams::default().with_use_kdtree(true);
    let explainer = params.fit(view, &rows, features, &mut Run::seeded(0)).unwrap();
    let data = explain(&explainer, view, &array![1.0, 0.4]);
    let cf = data.cf.unwrap();
    assert!(cf.row[0] < 0.0 && -0.2 < cf.row[0] && cf.row[1] == 0.4, "{}", cf.row);
    assert_ne!(data.route, Some(Route::Descent));
}

#[test]
fn an_explanation_leaves_no_trace_in_the_next() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let rows = array![[-1.0, 0.5], [-2.0, 1.5], [-1.5, 2.5], [1.0, 0.5], [2.0, 0.0]];
    let view = CfProtoModel::white_box(&logistic).with_encoder(&logistic);
    let fit = |k| {
        let params = CfProtoParams::default().with_theta(1.0).with_k(k);
        params.fit(view, &rows, Features::unnamed(2).unwrap(), &mut Run::seeded(0)).unwrap()
    };
    let x = array![1.0, 0.5];
    let fresh = explain(&fit(None), view, &x);
    let whole = fit(None);
    let few = fit(Some(1));
    let first = explain(&few, view, &x);
    assert_eq!(explain(&whole, view, &x), fresh);
    assert_eq!(explain(&few, view, &x), first);
    // Each explainer keeps to its own range.
    let bounded = |most: f64| {
        let range = Some(((-5.0).into(), most.into()));
        let params = CfProtoParams::default().with_feature_range(range);
        params.build(Features::unnamed(2).unwrap()).unwrap()
    };
    let (narrow, wide) = (bounded(1.0), bounded(10.0));
    let plain = CfProtoModel::white_box(&logistic);
    let alone = explain(&narrow, plain, &x);
    explain(&wide, plain, &x);
    assert_eq!(explain(&narrow, plain, &x), alone);
}

#[test]
fn figures_are_tables_with_bars_or_images() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let figure = |shape: Option<Vec<usize>>| {
        let params = CfProtoParams::default().with_shape(shape);
        let explainer = params.build(Features::unnamed(2).unwrap()).unwrap();
        let data = explain(&explainer, CfProtoModel::white_box(&logistic), &array![1.0, 0.5]);
        (data.figure(&OutputNames::default()).panels, data.cf.unwrap().row)
    };
    let (panels, _) = figure(None);
    let [Panel::Table(table), Panel::Bars(bars)] = &panels[..] else { panic!("{panels:?}") };
    assert_eq!(table.columns, ["feature", "instance", "change", "counterfactual"]);
    // The closest point of the plane is (0.19, 0.88), and a margin of 1e-4 in the decision is 7e-5 further.
    assert_eq!(table.rows[0][..3], ["feature_0", "1", "-0.8101"]);
    assert_eq!(bars.bars.len(), 2);
    let (panels, found) = figure(Some(vec![1, 2]));
    let [Panel::Image(before), Panel::HeatMap(change), Panel::Image(after)] = &panels[..] else {
        panic!("{panels:?}")
    };
    assert_eq!((before.title.as_str(), after.title.as_str()), ("instance", "counterfactual"));
    assert_eq!(change.values, (&found - &array![1.0, 0.5]).to_vec());
    let params = CfProtoParams::default().with_shape(Some(vec![2, 2]));
    assert!(params.build(Features::unnamed(2).unwrap()).is_err());
}

/// Images of 2 x 2 x 1 pixels, of which the model never says class 1 (the middle one).
#[test]
fn images_have_prototypes_and_a_class_without_rows_is_passed_over() {
    let weights = array![[-1.0, -1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]];
    let model = Linear::outputs(weights, array![2.0, -9.0, -2.0]);
    let images = array![[0.0, 0.0, 0.0, 0.2], [1.0, 0.9, 1.0, 0.8], [1.0, 1.0, 1.0, 1.0]];
    let view = CfProtoModel::white_box(&model);
    let params = CfProtoParams::default()
        .with_shape(Some(vec![2, 2, 1]))
        .with_use_kdtree(true)
        .with_theta(1.0)
        .with_feature_range(Some((0.0.into(), 1.0.into())));
    let features = Features::unnamed(4).unwrap();
    let explainer = params.fit(view, &images, features, &mut Run::seeded(0)).unwrap();
    let explained = explainer.explain(view, &images.row(0), Run::seeded(0)).unwrap();
    assert_eq!(explained.meta.warnings[0].code, "cfproto.empty_class");
    let data = explained.data;
    // The second image is nearer than the third; class 2 begins where the pixels add up to 2.
    assert_eq!((data.id_proto, data.class), (Some(2), 0));
    let cf = data.cf.unwrap();
    assert_eq!(cf.class, 2);
    assert!((2.0..2.01).contains(&cf.row.sum()), "{}", cf.row);
}

#[test]
fn a_score_is_brought_into_an_interval() {
    let score = Linear::new(&[1.0, 3.0], 0.0);
    let x = array![0.5, 0.5];
    let out_of_reach = CfProtoParams::default()
        .with_feature_range(Some((PerFeature::All(0.0), PerFeature::All(1.0))));
    for is_white in [true, false] {
        let explained = |params: CfProtoParams, interval: RangeInclusive<f64>| {
            let inside = InInterval::new(&score, 0, interval, 1.0).unwrap();
            let view = match is_white {
                true => CfProtoModel::white_box(&inside),
                false => CfProtoModel::black_box(&inside),
            };
            explain(&params.build(Features::unnamed(2).unwrap()).unwrap(), view, &x)
        };
        // From a score of 2 to the closer end.
        for (interval, reached) in [(5.0..=f64::INFINITY, 5.0), (-4.0..=-1.0, -1.0)] {
            let data = explained(CfProtoParams::default(), interval);
            let cf = data.cf.unwrap();
            assert_eq!((data.class, cf.class), (0, 1));
            close(&cf.row, &closest(&[1.0, 3.0], -reached, &x, 0.1).0, 1e-3);
        }
        // The largest score is 4.
        let data = explained(out_of_reach.clone(), 5.0..=f64::INFINITY);
        assert_eq!((data.cf, data.status), (None, Status::RangeInfeasible));
        assert!(data.nearest_miss.is_some());
    }
}

/// The price is 100 times the first feature; rows of prices in the interval are those of class 1.
#[test]
fn training_rows_in_the_interval_are_prototypes() {
    let price = Linear::new(&[100.0, 0.0], 0.0);
    let affordable = InInterval::new(&price, 0, 0.0..=200.0, 50.0).unwrap();
    let rows = array![[1.0, 4.0], [1.5, 6.0], [5.0, 0.0], [6.0, 1.0]];
    let view = CfProtoModel::black_box(&affordable);
    let features = Features::unnamed(2).unwrap();
    let params = CfProtoParams::default().with_theta(10.0).with_use_kdtree(true);
    let explainer = params.fit(view, &rows, features, &mut Run::seeded(0)).unwrap();
    let data = explain(&explainer, view, &array![5.0, 0.0]);
    let cf = data.cf.unwrap();
    assert_eq!((data.class, data.id_proto, cf.class), (0, Some(1), 1));
    // The price leaves the second feature as it is, and what the prototype drew there is taken back.
    assert_eq!(cf.row[1], 0.0);
    assert!((1.999..2.0).contains(&cf.row[0]), "{}", cf.row);
}
