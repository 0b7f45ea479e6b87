//! Anchors as rules: applied to rows, written and read, picked and ranked.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact shares"
)]

use ndarray::{Array1, Array2, Axis, array};
use proptest::prelude::*;
use xai_anchors::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Missing, Rule, RuleCondition,
    class_balanced_weights, submodular_pick,
};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{
    Error, Explainer, Explanation, Output, OutputNames, Predictor, Run, Seed, Semantics, Status,
    Stream,
};
use xai_testkit::Elementwise;

type P = AnchorTabularParams;

/// Two numbers, of which the second may be missing, a code and a one-hot triple.
fn features() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::numeric("income"),
        Feature::categorical("home", ["rented", "owned"], Encoding::Ordinal),
        Feature::categorical("job", ["none", "blue", "white"], Encoding::OneHot),
    ])
    .unwrap()
}

fn rows(n: usize, stream: &mut Stream) -> Array2<f64> {
    let mut rows = Array2::zeros((n, 6));
    for mut row in rows.rows_mut() {
        row[0] = stream.index(20) as f64;
        row[1] = if stream.index(5) == 0 { f64::NAN } else { (100.0 * stream.uniform()).round() };
        row[2] = stream.index(2) as f64;
        row[3 + stream.index(3)] = 1.0;
    }
    rows
}

/// The conditions of a random rule, as a test of its own kind.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    age: Option<(Option<f64>, Option<f64>)>,
    /// Missing, or within bounds.
    income: Option<Option<(Option<f64>, Option<f64>)>>,
    home: Option<usize>,
    job: Option<usize>,
}

impl Conditions {
    fn random(stream: &mut Stream) -> Self {
        let mut bounds = |scale: f64| {
            let mut cut = || {
                let keep = stream.index(2) == 0;
                keep.then(|| (scale * stream.uniform()).round())
            };
            (cut(), cut())
        };
        let (age, income) = (bounds(20.0), bounds(100.0));
        let mut held = || stream.index(2) == 0;
        let (of_age, of_income, missing, of_home, of_job) =
            (held(), held(), held(), held(), held());
        Conditions {
            age: of_age.then_some(age),
            income: of_income.then_some((!missing).then_some(income)),
            home: of_home.then(|| stream.index(2)),
            job: of_job.then(|| stream.index(3)),
        }
    }

    /// Straight from the cells of a row.
    fn hold(&self, row: &[f64]) -> bool {
        let within = |value: f64, (lower, upper): (Option<f64>, Option<f64>)| {
            !value.is_nan()
                && lower.is_none_or(|lower| value > lower)
                && upper.is_none_or(|upper| value <= upper)
        };
        self.age.is_none_or(|bounds| within(row[0], bounds))
            && self.income.is_none_or(|bounds| match bounds {
                Some(bounds) => within(row[1], bounds),
                None => row[1].is_nan(),
            })
            && self.home.is_none_or(|code| row[2] == code as f64)
            && self.job.is_none_or(|code| row[3 + code] == 1.0)
    }

    fn rule(&self, decision: f64) -> Rule {
        let mut conditions = Vec::new();
        let blank = |feature| RuleCondition::new(feature, "");
        if let Some((lower, upper)) = self.age {
            conditions.push(blank(0).with_lower(lower).with_upper(upper).with_missing(Some(false)));
        }
        match self.income {
            Some(Some((lower, upper))) => {
                conditions
                    .push(blank(1).with_lower(lower).with_upper(upper).with_missing(Some(false)));
            }
            Some(None) => conditions.push(blank(1).with_missing(Some(true))),
            None => {}
        }
        for (feature, code) in [(2, self.home), (3, self.job)] {
            if code.is_some() {
                conditions.push(blank(feature).with_code(code));
            }
        }
        Rule::new(conditions, decision, Output::Auto)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// A loop over the rows that reads the cells itself.
    #[test]
    fn a_rule_is_what_its_conditions_say(seed in any::<u64>()) {
        let mut stream = Seed::new(seed).stream();
        let (features, rows) = (features(), rows(60, &mut stream));
        let conditions = Conditions::random(&mut stream);
        let rule = conditions.rule(1.0);
        let class = |row: &[f64]| f64::from(row[0] < 10.0);
        let (mut covered, mut agree) = (Vec::new(), 0);
        for (index, row) in rows.rows().into_iter().enumerate() {
            let holds = conditions.hold(&row.to_vec());
            prop_assert_eq!(rule.matches(&features, &row).unwrap(), holds, "{:?} {}", conditions, row);
            if holds {
                covered.push(index);
                agree += u64::from(class(&row.to_vec()) == 1.0);
            }
        }
        prop_assert_eq!(&rule.covered(&features, &rows).unwrap(), &covered);
        let mut run = Run::seeded(0);
        let report = rule.evaluate(&features, &rows, &Elementwise(class), 0.1, &mut run).unwrap();
        prop_assert_eq!((report.n_rows, report.n_covered), (60, covered.len()));
        prop_assert_eq!(report.coverage, covered.len() as f64 / 60.0);
        prop_assert_eq!(run.queries(), covered.len() as u64);
        match report.precision {
            None => prop_assert!(covered.is_empty()),
            Some(precision) => {
                prop_assert_eq!((precision.n_samples, precision.positives), (covered.len() as u64, agree));
                prop_assert_eq!(precision.mean, agree as f64 / covered.len() as f64);
            }
        }
        // Written and read, it is the same rule.
        let read: Rule = serde_json::from_str(&serde_json::to_string(&rule).unwrap()).unwrap();
        prop_assert_eq!(read, rule);
    }

    /// Each pick is the first of those that add most to the picks before it, by counting row by row; no choice of as many
    /// rules covers more than 1 / (1 - 1/e) times as much, which all choices of up to three show.
    #[test]
    fn a_pick_is_greedy_and_near_the_best(seed in any::<u64>(), k in 1_usize..=3) {
        let mut stream = Seed::new(seed).stream();
        let (features, rows) = (features(), rows(40, &mut stream));
        let conditions: Vec<Conditions> = (0..7).map(|_| Conditions::random(&mut stream)).collect();
        let rules: Vec<Rule> = conditions.iter().map(|one| one.rule(0.0)).collect();
        let picks = submodular_pick(&rules, &features, &rows, k).unwrap();
        let covers = |rule: usize, row: usize| conditions[rule].hold(&rows.row(row).to_vec());
        let union = |chosen: &[usize]| -> usize {
            (0..40).filter(|&row| chosen.iter().any(|&rule| covers(rule, row))).count()
        };
        let mut chosen = Vec::new();
        for pick in &picks {
            let before = union(&chosen);
            let gain = |rule: usize| {
                let mut with = chosen.clone();
                with.push(rule);
                union(&with) - before
            };
            let most = (0..7).map(gain).max().unwrap();
            let first = (0..7).find(|&rule| gain(rule) == most).unwrap();
            prop_assert_eq!((pick.rule, pick.n_new), (first, most));
            chosen.push(pick.rule);
            prop_assert!((pick.coverage - union(&chosen) as f64 / 40.0).abs() < 1e-12);
        }
        if picks.len() < k {
            // No rule adds a row.
            prop_assert_eq!(union(&[0, 1, 2, 3, 4, 5, 6]), union(&chosen));
        }
        let mut best = 0;
        for a in 0..7 {
            for b in 0..7 {
                for c in 0..7 {
                    best = best.max(union(&[a, b, c][..k]));
                }
            }
        }
        let bound = 1.0 - (-1.0_f64).exp();
        prop_assert!(bound * best as f64 <= union(&chosen) as f64);
    }

    /// Each class has the same sum, and rows of one class the same weight.
    #[test]
    fn balanced_weights_give_each_class_the_same_share(classes in prop::collection::vec(0_usize..5, 1..80)) {
        let weights = class_balanced_weights(&classes).unwrap();
        prop_assert_eq!(weights.len(), classes.len());
        for class in 0..5 {
            let of: Vec<f64> = classes.iter().zip(&weights).filter(|(own, _)| **own == class).map(|(_, w)| *w).collect();
            prop_assert!(of.is_empty() || (of.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(of.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}

#[test]
fn bad_arguments_are_refused() {
    assert_eq!(class_balanced_weights(&[]).unwrap_err().name, "classes");
    let (features, mut stream) = (features(), Seed::new(0).stream());
    let rows = rows(5, &mut stream);
    let rule = Rule::new(Vec::new(), 0.0, Output::Auto);
    let error = submodular_pick(std::slice::from_ref(&rule), &features, &rows, 0).unwrap_err();
    assert!(matches!(error, Error::Param(error) if error.name == "k"));
    assert!(submodular_pick(&[], &features, &rows, 3).unwrap().is_empty());
    // A row of another width, and one that is in no category.
    assert!(matches!(rule.matches(&features, &array![1.0]), Err(Error::Shape { .. })));
    let bad = array![1.0, 1.0, 2.0, 1.0, 0.0, 0.0];
    assert!(matches!(rule.matches(&features, &bad), Err(Error::Category { .. })));
    let bad = bad.insert_axis(Axis(0));
    assert!(matches!(rule.covered(&features, &bad), Err(Error::Category { .. })));
    let model = Elementwise(|_: &[f64]| 0.0);
    for delta in [0.0, 1.0, f64::NAN] {
        let error =
            rule.evaluate(&features, &rows, &model, delta, &mut Run::seeded(0)).unwrap_err();
        assert!(matches!(error, Error::Param(error) if error.name == "delta"));
    }
    // A rule of another table: a feature that this one has not is not satisfied.
    let condition = RuleCondition::new(9, "").with_code(Some(0));
    let rule = Rule::new(vec![condition], rule.decision, rule.output);
    assert!(rule.covered(&features, &rows).unwrap().is_empty());
    // No rows at all: no coverage and no precision, rather than a division by zero.
    let none = Array2::zeros((0, 6));
    let report = rule.evaluate(&features, &none, &model, 0.1, &mut Run::seeded(0)).unwrap();
    assert_eq!((report.n_rows, report.coverage, report.precision), (0, 0.0, None));
}

fn fitted(params: P) -> AnchorTabular {
    let mut stream = Seed::new(77).stream();
    params.fit(&rows(300, &mut stream), features()).unwrap()
}

fn params() -> P {
    P::default().with_missing(Missing::OwnBin).with_beam_size(3).with_top_k(1000).with_verbose(true)
}

/// Refused are the young without much income, and those without a home of their own or a job.
fn model() -> Elementwise<fn(&[f64]) -> f64> {
    Elementwise(|row: &[f64]| {
        f64::from((row[0] <= 9.0 && row[1] <= 50.0) || (row[2] == 0.0 && row[3] == 1.0))
    })
}

fn explain(params: P, seed: u64) -> Explanation<AnchorTabularData> {
    let x = array![4.0, 20.0, 0.0, 1.0, 0.0, 0.0];
    fitted(params).explain(&model(), &x, Run::seeded(seed)).unwrap()
}

/// Written and read, an explanation is the same, NaN among its examples and `null` where there is nothing.
#[test]
fn an_explanation_survives_json() {
    for (seed, params) in [(0, params()), (1, params().with_final_samples(0))] {
        let explanation = explain(params, seed);
        let text = explanation.to_json().unwrap();
        let read: Explanation<AnchorTabularData> = Explanation::from_json(&text).unwrap();
        assert_eq!(read.to_json().unwrap(), text);
        assert_eq!(read.data.rule, explanation.data.rule);
        assert_eq!(read.data.predicates, explanation.data.predicates);
        let params: P = serde_json::from_value(read.meta.params).unwrap();
        assert_eq!(params.search.top_k, 1000);
    }
    // A missing value in the row itself.
    let x = array![4.0, f64::NAN, 0.0, 1.0, 0.0, 0.0];
    let explanation = fitted(params()).explain(&model(), &x, Run::seeded(0)).unwrap();
    let text = explanation.to_json().unwrap();
    let read: Explanation<AnchorTabularData> = Explanation::from_json(&text).unwrap();
    assert!(read.data.instance[1].is_nan() && read.to_json().unwrap() == text);
}

/// An explainer with missing values in its training rows is read back as it was.
#[test]
fn an_explainer_survives_json() {
    let explainer = fitted(params());
    let text = serde_json::to_string(&explainer).unwrap();
    let read: AnchorTabular = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    for x in [array![4.0, 20.0, 0.0, 1.0, 0.0, 0.0], array![15.0, f64::NAN, 1.0, 0.0, 0.0, 1.0]] {
        let [a, b] = [&explainer, &read]
            .map(|own| own.explain(&model(), &x, Run::seeded(2)).unwrap().to_json().unwrap());
        assert_eq!(a, b);
    }
    // A document whose rows do not fit its features is refused as `fit` refuses them.
    let wrong =
        text.replacen("\"categories\":[\"rented\",\"owned\"]", "\"categories\":[\"rented\"]", 1);
    assert_ne!(wrong, text);
    let error = serde_json::from_str::<AnchorTabular>(&wrong).unwrap_err().to_string();
    assert!(error.contains("`home`"), "{error}");
}

/// The rule of an anchor covers the share of training rows that its coverage says, its own row, and all its examples.
#[test]
fn the_rule_of_an_anchor_is_the_anchor() {
    let (features, mut stream) = (features(), Seed::new(77).stream());
    let training = rows(300, &mut stream);
    let explainer = fitted(params());
    for row in 0..20 {
        let x = training.row(row);
        let data = explainer.explain(&model(), &x, Run::seeded(3)).unwrap().data;
        assert!(data.rule.matches(&features, &x).unwrap());
        let covered = data.rule.covered(&features, &training).unwrap().len();
        assert_eq!(
            (data.result.coverage, data.result.coverage_of.n_covered),
            (covered as f64 / 300.0, covered)
        );
        assert_eq!(data.rule.decision, data.result.decision);
        let texts: Vec<&String> = data.rule.conditions.iter().map(|one| &one.text).collect();
        assert_eq!(texts, data.anchor.iter().collect::<Vec<_>>());
        for candidate in &data.candidates {
            let covered = candidate.rule.covered(&features, &training).unwrap().len();
            assert_eq!(candidate.coverage.n_covered, covered, "{:?}", candidate.anchor);
        }
        if let Some(examples) = data.examples.last() {
            for examples in [&examples.covered_true, &examples.covered_false] {
                assert_eq!(data.rule.covered(&features, examples).unwrap().len(), examples.nrows());
            }
        }
    }
}

/// The valid ones first, by coverage; then those that no other beats in both, by precision. None twice.
#[test]
fn candidates_are_ranked() {
    for seed in 0..5 {
        let data = explain(params(), seed).data;
        let all = &data.candidates;
        let n_valid = all.iter().take_while(|one| one.valid).count();
        assert!(0 < n_valid && n_valid < all.len(), "{n_valid} of {}", all.len());
        assert!(all[n_valid..].iter().all(|one| !one.valid));
        let covered = |place: usize| all[place].coverage.n_covered;
        assert!((1..n_valid).all(|place| covered(place) <= covered(place - 1)));
        for place in n_valid + 1..all.len() {
            assert!(all[place].precision.mean <= all[place - 1].precision.mean);
            assert!(covered(place - 1) < covered(place));
        }
        for valid in &all[..n_valid] {
            assert!(0.95 <= valid.precision.mean && 0 < valid.precision.n_samples);
        }
        // The returned anchor is the widest valid one.
        assert_eq!(
            (data.result.status, all[0].coverage.n_covered),
            (Status::Found, data.result.coverage_of.n_covered)
        );
        // As rules of conditions in any order, each once.
        let mut texts: Vec<Vec<String>> = all.iter().map(|one| one.anchor.clone()).collect();
        texts.iter_mut().for_each(|anchor| anchor.sort());
        let n = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), n, "an anchor twice");
        // The first `top_k` of them.
        let two = explain(params().with_top_k(2), seed).data.candidates;
        assert_eq!(two, all[..2]);
        assert!(explain(params().with_top_k(0), seed).data.candidates.is_empty());
    }
}

/// `v > 24.75 and v > 49.50` is `v > 49.50`, and is shown once, however often a search came upon it.
#[test]
fn candidates_that_say_the_same_are_shown_once() {
    let rows = Array2::from_shape_fn((1000, 2), |(row, column)| match column {
        0 => (row % 100) as f64,
        _ => row as f64,
    });
    let model = Elementwise(|row: &[f64]| f64::from(49.5 < row[0] && row[1] < 945.0));
    for semantics in [Semantics::Native, Semantics::Reference] {
        for seed in 0..10 {
            let edges = [("n".to_owned(), Edges::new(Vec::new()).unwrap())].into();
            let params = P::default()
                .with_edges(edges)
                .with_semantics(semantics)
                .with_strict(true)
                .with_beam_size(2)
                .with_top_k(100)
                .with_final_samples(200);
            let explainer = params.fit(&rows, Features::numeric(["v", "n"]).unwrap()).unwrap();
            let data =
                explainer.explain(&model, &array![90.0, 0.0], Run::seeded(seed)).unwrap().data;
            let mut texts: Vec<_> = data.candidates.iter().map(|one| one.anchor.clone()).collect();
            let n = texts.len();
            texts.sort();
            texts.dedup();
            assert!(0 < n && texts.len() == n, "seed {seed}: {texts:?} of {n}");
        }
    }
}

/// Partial anchors of any size, from none to all predicates.
#[test]
fn parts_of_an_anchor_are_told_by_size() {
    let data = explain(params().with_threshold(0.99).with_beam_size(1), 0).data;
    let n = data.predicates.len();
    assert!(1 < n, "{:?}", data.anchor);
    assert_eq!(data.features(Some(0)).unwrap(), Vec::<usize>::new());
    assert_eq!(data.precision(Some(0)).unwrap(), data.result.base_rate.mean);
    assert_eq!(data.coverage(Some(0)).unwrap(), 1.0);
    for size in 1..=n {
        let mut held: Vec<usize> = data.predicates[..size].iter().map(|one| one.feature).collect();
        held.dedup();
        assert!(held.iter().all(|one| data.features(Some(size)).unwrap().contains(one)));
        assert_eq!(data.precision(Some(size)).unwrap(), data.predicates[size - 1].precision.mean);
        assert_eq!(data.coverage(Some(size)).unwrap(), data.predicates[size - 1].coverage.coverage);
        // As text, since missing values are not equal to themselves.
        let shown = format!("{:?}", data.examples(Some(size)).unwrap().covered_true);
        assert_eq!(shown, format!("{:?}", data.examples[size - 1].covered_true));
    }
    let of_rule: Vec<usize> = data.rule.conditions.iter().map(|one| one.feature).collect();
    assert_eq!(data.features(None).unwrap(), of_rule);
    assert_eq!(
        (data.precision(None).unwrap(), data.coverage(None).unwrap()),
        (data.result.precision, data.result.coverage)
    );
    assert_eq!(data.features(Some(n + 1)).unwrap_err().name, "size");
    assert_eq!(data.precision(Some(n + 1)).unwrap_err().name, "size");
    assert_eq!(data.coverage(Some(n + 1)).unwrap_err().name, "size");
    assert_eq!(data.examples(Some(0)).unwrap_err().name, "size");
    assert_eq!(data.examples(Some(n + 1)).unwrap_err().name, "size");
    // The gains add up to what the anchor adds to the base rate.
    let gains: f64 = data.predicates.iter().map(|one| one.gain).sum();
    assert!((data.result.base_rate.mean + gains - data.result.precision).abs() < 1e-12);

    // The empty anchor: its precision is the base rate, its coverage 1.
    let model = Elementwise(|_: &[f64]| 1.0);
    let x = Array1::from(vec![4.0, 20.0, 0.0, 1.0, 0.0, 0.0]);
    let data = fitted(params()).explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert_eq!((data.precision(None).unwrap(), data.coverage(None).unwrap()), (1.0, 1.0));
    assert!(data.features(None).unwrap().is_empty() && data.examples(None).is_err());
    let names = OutputNames::new(["no", "yes"]);
    assert_eq!(data.figure(&names).title, "Anchor for yes: no condition needed");
}

/// A table of what was held: the base rate, each predicate, the certificate.
#[test]
fn the_figure_shows_each_step() {
    let data = explain(params(), 0).data;
    let figure = data.figure(&OutputNames::default());
    assert_eq!(figure.title, format!("Anchor for class 1: {}", data.anchor.join(" AND ")));
    let [xai_core::figure::Panel::Table(table)] = &figure.panels[..] else { panic!("one table") };
    assert_eq!(table.rows.len(), data.predicates.len() + 2);
    assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
    assert_eq!(table.rows[1][0], data.predicates[0].text);
    assert_eq!(table.rows[1][3], format!("{:.1} %", 100.0 * data.predicates[0].coverage.coverage));
}

/// Names are made of the numbers and names themselves, never read back from a text.
#[test]
fn names_survive_signs_of_comparison_and_close_edges() {
    let explain = |explainer: &AnchorTabular, model: &dyn Predictor, x: &[f64]| {
        explainer.explain(model, &Array1::from(x.to_vec()), Run::seeded(0)).unwrap().data
    };
    let features = Features::new(vec![
        Feature::categorical("col", ["<1", ">5"], Encoding::Ordinal),
        Feature::numeric("a < b"),
    ])
    .unwrap();
    let rows = Array2::from_shape_fn((200, 2), |(row, column)| {
        if column == 0 { (row % 2) as f64 } else { (row / 2) as f64 }
    });
    let explainer = P::default().fit(&rows, features).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] == 1.0));
    assert_eq!(explain(&explainer, &model, &[1.0, 3.0]).anchor, ["col = >5"]);
    assert_eq!(explain(&explainer, &model, &[0.0, 3.0]).anchor, ["col = <1"]);
    let model = Elementwise(|row: &[f64]| f64::from(24.75 < row[1] && row[1] <= 74.25));
    let data = explain(&explainer, &model, &[0.0, 60.0]);
    assert_eq!(data.anchor, ["24.75 < a < b <= 74.25"]);
    assert_eq!(
        (data.rule.conditions[0].lower, data.features(None).unwrap()),
        (Some(24.75), vec![1])
    );

    // 0.001 and 0.004 would both print as 0.00.
    let rows = Array2::from_shape_fn((100, 1), |(row, _)| row as f64 / 10_000.0);
    let edges = [("v".to_owned(), Edges::new(vec![0.001, 0.004]).unwrap())].into();
    let explainer =
        P::default().with_edges(edges).fit(&rows, Features::numeric(["v"]).unwrap()).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(0.001 < row[0] && row[0] <= 0.004));
    let data = explain(&explainer, &model, &[0.002]);
    assert_eq!(data.anchor, ["0.001 < v <= 0.004"]);
    let texts: Vec<String> =
        data.predicates.iter().map(|predicate| predicate.text.clone()).collect();
    assert!(texts.contains(&"v > 0.001".to_owned()) && texts.contains(&"v <= 0.004".to_owned()));
}

/// Bounds as they are written hold for the row that is explained, however near to a cut it is.
#[test]
fn texts_are_true_of_the_row() {
    let training = Array2::from_shape_fn((400, 1), |(row, _)| row as f64 / 400.0);
    let model = Elementwise(|row: &[f64]| f64::from(u8::from(0.229_75 < row[0])));
    let edges = [("x".to_owned(), Edges::new(vec![0.229_75]).unwrap())].into();
    let explainer = P::default().with_edges(edges).fit(&training, ["x"]).unwrap();
    for x in [0.229_85, 0.459_6, 0.229_750_000_1] {
        let data = explainer.explain(&model, &array![x], Run::seeded(0)).unwrap().data;
        let bound = data.anchor[0].strip_prefix("x > ").unwrap();
        let written: f64 = bound.parse().unwrap();
        // The training rows beside the cut are 91 and 92 parts of 400.
        assert!(0.2275 <= written && written < x.min(0.23), "{bound} for {x}");
    }
}

/// No training row is above 1, and the decision changes at 10: a row beyond has its value held, and covers nothing.
#[test]
fn a_cut_beyond_the_training_rows_holds_the_row_itself() {
    let training =
        Array2::from_shape_fn((400, 2), |(row, column)| [row % 20, row / 20][column] as f64 / 20.0);
    let model = Elementwise(|row: &[f64]| f64::from(u8::from(10.0 < row[0])));
    let edges = [("x".to_owned(), Edges::new(vec![10.0]).unwrap())].into();
    let explainer = P::default().with_edges(edges).fit(&training, ["x", "y"]).unwrap();
    let explained = explainer.explain(&model, &array![50.0, 0.5], Run::seeded(0)).unwrap();
    assert_eq!(
        (explained.data.result.status, &*explained.data.anchor),
        (Status::Found, &["x > 10.00".to_owned()][..])
    );
    assert_eq!((explained.data.result.precision, explained.data.result.coverage), (1.0, 0.0));
    assert!(explained.meta.warnings.iter().any(|warning| warning.code == "anchors.unseen_value"));
    // On the side of all training rows the cut says nothing.
    let below = explainer.explain(&model, &array![-50.0, 0.5], Run::seeded(0)).unwrap().data;
    assert_eq!((below.result.status, below.anchor.len()), (Status::Empty, 0));
}
