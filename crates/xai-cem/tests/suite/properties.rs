//! Laws: what is returned is valid as returned, obeys the rules, and does not depend on its neighbours.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; classes are exact"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2, Axis};
use xai_cem::{CemData, CemModel, CemParams, Counterfactual, Mode};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, PerFeature, Predictor, Row, Rows, Run, Seed, Stream};
use xai_testkit::{Fixture, Linear, Network};

fn number(stream: &mut Stream, from: f64, to: f64) -> f64 {
    from + (to - from) * stream.uniform()
}

fn matrix(stream: &mut Stream, shape: (usize, usize), size: f64) -> Array2<f64> {
    Array2::from_shape_simple_fn(shape, || number(stream, -size, size))
}

fn class(model: &dyn Predictor, row: &Row) -> usize {
    let outputs = Run::seeded(0).predict(model, &row.view().insert_axis(Axis(0))).unwrap();
    let better = |best, other| if outputs[[0, best]] < outputs[[0, other]] { other } else { best };
    (1..outputs.ncols()).fold(0, better)
}

/// A small network of tanh units with a softmax.
fn network(stream: &mut Stream, n_features: usize, n_classes: usize) -> Network {
    let mut layer = |inputs, outputs| {
        let bias = Array1::from_shape_simple_fn(outputs, || number(stream, -0.5, 0.5));
        (matrix(stream, (inputs, outputs), 2.0), bias)
    };
    let layers = vec![layer(n_features, 8), layer(8, n_classes)];
    Network::tanh(layers).softmax()
}

#[test]
fn whatever_is_found_flips_as_returned() {
    let mut found = 0;
    for index in 0..100 {
        let mut stream = Seed::new(index).stream();
        let model = network(&mut stream, 4, 3);
        let x = Array1::from_shape_simple_fn(4, || number(&mut stream, -1.0, 1.0));
        for mode in [Mode::PertinentNegative, Mode::PertinentPositive] {
            let params = CemParams::default()
                .with_mode(mode)
                .with_max_iterations(200)
                .with_no_info_val(Some(PerFeature::All(0.0)))
                .with_feature_range((PerFeature::All(-3.0), PerFeature::All(3.0)));
            let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
            for view in [CemModel::white_box(&model), CemModel::black_box(&model)] {
                let data = explainer.explain(view, &x, Run::seeded(0)).unwrap().data;
                let Some(answer) = &data.result else { continue };
                let result = &answer.row;
                found += 1;
                let flips = mode == Mode::PertinentNegative;
                assert_eq!(class(&model, result) != class(&model, &x), flips);
                assert_eq!(
                    answer.changes.is_empty(),
                    *result == if flips { x.clone() } else { Array1::zeros(4) }
                );
                for k in 0..4 {
                    let (own, value) = (x[k], result[k]);
                    let kept = match mode {
                        Mode::PertinentNegative => own.abs() <= value.abs() && 0.0 <= own * value,
                        Mode::PertinentPositive => value.abs() <= own.abs() && 0.0 <= own * value,
                    };
                    assert!(kept && value.abs() <= 3.0, "{own} became {value}");
                }
            }
        }
    }
    // Positives always exist, since the instance is one; most negatives do within [-3, 3].
    assert!(320 <= found, "{found} of 400");
}

/// A random table with quantities, whole numbers, steps and categories, and rules for it.
fn specification(stream: &mut Stream) -> (Features, Constraints, Array1<f64>) {
    let directions = [Direction::Any, Direction::None, Direction::Up, Direction::Down];
    let mut described = Vec::new();
    let mut constraints = Constraints::default();
    let mut x = Vec::new();
    for index in 0..3 + stream.index(3) {
        let mut rule = Constraint { change: directions[stream.index(4)], ..Default::default() };
        match stream.index(5) {
            0 => {
                let n = 2 + stream.index(3);
                let names = (0..n).map(|code| format!("c{code}"));
                let encodings = [Encoding::OneHot, Encoding::Ordinal, Encoding::DropFirst];
                let encoding = encodings[stream.index(3)];
                described.push(Feature::categorical(format!("f{index}"), names, encoding));
                let code = stream.index(n);
                if let Some(first) = encoding.first_code() {
                    x.extend((first..n).map(|other| f64::from(u8::from(other == code))));
                } else {
                    x.push(code as f64);
                }
                if stream.index(2) == 0 {
                    rule.categories = Some(vec!["c0".to_owned(), "c1".to_owned()]);
                }
            }
            kind => {
                described.push(Feature::numeric(format!("f{index}")));
                let value = number(stream, -2.0, 2.0);
                x.push(if kind == 1 { value.round() } else { value });
                rule.integer = kind == 1;
                rule.step = (kind == 2).then(|| number(stream, 0.05, 0.5));
                if stream.index(2) == 0 {
                    rule.min = Some(number(stream, -3.0, 0.0));
                    rule.max = Some(number(stream, 0.0, 3.0));
                }
                rule.scale = (kind == 3).then(|| number(stream, 0.5, 2.0));
            }
        }
        if stream.index(2) == 0 {
            constraints.features.insert(index.into(), rule);
        }
    }
    if stream.index(3) == 0 {
        constraints.max_changes = Some(1 + stream.index(2));
    }
    (Features::new(described).unwrap(), constraints, Array1::from(x))
}

#[test]
fn no_answer_breaks_a_rule() {
    let (mut found, mut none) = (0, 0);
    for index in 0..10_000 {
        let mut stream = Seed::new(1_000_000 + index).stream();
        let (features, constraints, x) = specification(&mut stream);
        let n = x.len();
        let weights = matrix(&mut stream, (3, n), 1.0);
        let bias = Array1::from_shape_simple_fn(3, || number(&mut stream, -0.3, 0.3));
        let model = Linear::outputs(weights, bias);
        let params = CemParams::default()
            .with_constraints(constraints.clone())
            .with_no_info_val(Some(PerFeature::Each(x.to_vec())))
            .with_max_iterations(15)
            .with_c_steps(2)
            .with_patience(5)
            .with_feature_range((PerFeature::All(-5.0), PerFeature::All(5.0)))
            .with_crossing(index % 2 == 0);
        let explainer = params.build(features.clone()).unwrap();
        let black = index % 4 == 0;
        let view = if black { CemModel::black_box(&model) } else { CemModel::white_box(&model) };
        let data = explainer.explain(view, &x, Run::seeded(0)).unwrap().data;
        let Some(Counterfactual { row: result, .. }) = &data.result else {
            none += 1;
            continue;
        };
        found += 1;
        let violations = constraints.bind(&features).unwrap().violations(&x, result).unwrap();
        assert!(violations.is_empty(), "specification {index}: {violations:?}");
        assert!(result.iter().all(|value| (-5.0..=5.0).contains(value)), "{result}");
        assert_ne!(class(&model, result), class(&model, &x), "specification {index}");
    }
    // Where few features may change there may be no answer; most specifications have one.
    assert!(2 * none < found, "{found} found, {none} not");
}

#[test]
fn what_only_more_digits_would_decide_is_not_returned() {
    let mut found = 0;
    for index in 0..20 {
        let mut stream = Seed::new(index).stream();
        let network = network(&mut stream, 4, 3);
        let x = Array1::from_shape_simple_fn(4, || number(&mut stream, -1.0, 1.0));
        // A model in single precision sees its input rounded, and so does whoever stores the answer as such.
        let rounded = |rows: &Rows| rows.mapv(|value| f64::from(single(value)));
        let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
            Ok(Run::seeded(0).predict(&network, &rounded(batch))?)
        };
        let params = CemParams::default().with_no_info_val(Some(PerFeature::Each(x.to_vec())));
        let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
        let data = explainer.explain(CemModel::black_box(&model), &x, Run::seeded(0)).unwrap().data;
        let Some(Counterfactual { row: result, .. }) = data.result else { continue };
        found += 1;
        let stored = result.mapv(|value| f64::from(single(value)));
        assert_ne!(class(&network, &stored), class(&model, &x));
        assert_eq!(class(&model, &result), class(&network, &stored));
    }
    assert!(15 <= found, "{found} of 20");
}

#[allow(clippy::cast_possible_truncation, reason = "rounding is what is tested")]
fn single(value: f64) -> f32 {
    value as f32
}

#[test]
fn neighbours_change_nothing() {
    let fixture = Fixture::load("iris_mlp");
    let rows = fixture.x_test.slice(ndarray::s![..8, ..]).to_owned();
    let params = CemParams::default().with_max_iterations(60).with_c_steps(3);
    let explainer = params.fit(&fixture.x_train, Features::unnamed(4).unwrap()).unwrap();
    for view in [CemModel::white_box(&fixture.network), CemModel::black_box(&fixture.network)] {
        let alone: Vec<CemData> = rows
            .rows()
            .into_iter()
            .map(|row| explainer.explain(view, &row, Run::seeded(0)).unwrap().data)
            .collect();
        for order in [[0, 1, 2, 3, 4, 5, 6, 7], [5, 2, 7, 0, 1, 6, 3, 4]] {
            let shuffled = rows.select(Axis(0), &order);
            let inputs: Vec<_> = shuffled.rows().into_iter().collect();
            let inputs: Vec<&Row> = inputs.iter().map(|row| &**row).collect();
            let mut runs: Vec<Run<'_>> = order.iter().map(|_| Run::seeded(0)).collect();
            let together = explainer.compute_batch(view, &inputs, &mut runs).unwrap();
            for (data, &own) in together.into_iter().zip(&order) {
                assert_eq!(data.unwrap(), alone[own]);
            }
        }
    }
}

/// A model that takes any batch in one call and counts calls and rows.
struct Counted<'m> {
    model: &'m dyn Predictor,
    calls: AtomicU64,
    rows: AtomicU64,
}

impl Predictor for Counted<'_> {
    #[allow(clippy::disallowed_methods, reason = "a wrapper calls the model it wraps")]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(batch.nrows() as u64, Ordering::Relaxed);
        self.model.predict(batch)
    }

    fn max_batch(&self) -> usize {
        usize::MAX
    }
}

#[test]
fn a_batch_costs_the_calls_of_one_search() {
    let fixture = Fixture::load("iris_mlp");
    let rows = fixture.x_test.slice(ndarray::s![..8, ..]).to_owned();
    let explainer =
        CemParams::default().fit(&fixture.x_train, Features::unnamed(4).unwrap()).unwrap();
    let zero = || AtomicU64::new(0);
    let model = Counted { model: &fixture.network, calls: zero(), rows: zero() };
    let inputs: Vec<_> = rows.rows().into_iter().collect();
    let inputs: Vec<&Row> = inputs.iter().map(|row| &**row).collect();
    let mut runs: Vec<Run<'_>> = inputs.iter().map(|_| Run::seeded(0)).collect();
    let data = explainer.compute_batch(CemModel::black_box(&model), &inputs, &mut runs).unwrap();
    let (calls, asked) = (model.calls.into_inner(), model.rows.into_inner());
    assert_eq!(asked, runs.iter().map(Run::queries).sum::<u64>());
    assert!(data.iter().all(Result::is_ok));
    // One call for each step of each of two rounds of weights would be all; most weights end long before, which pays for
    // the polish and the checks. alibi makes 49,961 for one instance.
    assert!(calls <= 2 * 1001, "{calls} calls");
}
