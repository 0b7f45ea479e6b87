//! What is refused, by name and before the model is asked; budgets and stops.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array2, array};
use xai_anchors::{
    AnchorTextParams, EnglishAnalyzer, RuleTokenizer, SamplingStrategy, TextAnalyzer,
    TextResources, Token, WordVectors,
};
use xai_core::{
    BoxError, Budget, Error, Event, Explainer, Output, Params, Predictor, Run, RunConfig, Status,
    Stop,
};
use xai_testkit::refused;

type P = AnchorTextParams;

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let nan = f64::NAN;
    for sample_proba in [0.0, -0.1, 1.1, nan] {
        refused("sample_proba", P::default().with_sample_proba(sample_proba));
    }
    for temperature in [0.0, -1.0, nan, f64::INFINITY] {
        refused("temperature", P::default().with_temperature(temperature));
    }
    for frac_mask_templates in [-0.1, 1.1, nan] {
        refused("frac_mask_templates", P::default().with_frac_mask_templates(frac_mask_templates));
    }
    refused("top_n", P::default().with_top_n(0));
    refused("n_nearest", P::default().with_n_nearest(0));
    refused("batch_size_lm", P::default().with_batch_size_lm(0));
    refused("min_log_probability", P::default().with_min_log_probability(nan));
    refused("coverage_samples", P::default().with_coverage_samples(0));
    refused("threshold", P::default().with_threshold(1.1));
    refused("max_anchor_size", P::default().with_max_anchor_size(Some(0)));
    refused("output", P::default().with_output(Output::Bins { edges: vec![], target: 0 }));
    assert!(P::default().check().is_ok());
    let unknown = r#"{"sampling_strategy": "unkown"}"#;
    assert!(serde_json::from_str::<P>(unknown).is_err());
    let error = serde_json::from_str::<P>(r#"{"top-n": 3}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `top-n`") && error.contains("`top_n`"), "{error}");
}

#[test]
fn missing_resources_are_refused() {
    let similarity = P::default().with_sampling_strategy(SamplingStrategy::Similarity);
    let vectors = WordVectors::new(vec!["good".to_owned()], &array![[1.0]]).unwrap();
    let refusal = |params: &P, resources: TextResources<'_>| {
        params.clone().build(resources).err().map(|error| error.to_string()).unwrap()
    };
    let message = refusal(&similarity, TextResources::default());
    assert!(
        message.contains("`sampling_strategy`") && message.contains("word vectors"),
        "{message}"
    );
    let rules = TextResources::default().with_vectors(&vectors);
    let message = refusal(&similarity, rules);
    assert!(message.contains("tags"), "{message}");
    // Without a look at tags no tags are needed.
    let untagged = similarity.clone().with_same_tag(false).with_perturbed_pos(Vec::new());
    assert!(untagged.build(rules).is_ok());
    let analyzer = EnglishAnalyzer::new();
    assert!(similarity.build(TextResources::new(&analyzer).with_vectors(&vectors)).is_ok());
    let language = P::default().with_sampling_strategy(SamplingStrategy::LanguageModel);
    let message = refusal(&language, TextResources::default());
    assert!(message.contains("language model"), "{message}");
}

#[test]
fn vectors_that_make_no_sense_are_refused() {
    let words = || vec!["a".to_owned(), "b".to_owned()];
    let of = |vectors: Array2<f64>| WordVectors::new(words(), &vectors);
    assert!(matches!(of(array![[1.0]]), Err(Error::Shape { .. })));
    assert!(matches!(of(array![[1.0], [f64::NAN]]), Err(Error::NotFinite { .. })));
    assert!(matches!(WordVectors::new(vec![], &Array2::zeros((0, 3))), Err(Error::Param(_))));
    let good = || of(array![[1.0], [2.0]]).unwrap();
    assert!(matches!(good().with_counts(&[1]), Err(Error::Shape { .. })));
    assert!(matches!(good().with_counts(&[0, 0]), Err(Error::Param(_))));
    assert!(matches!(good().with_log_probabilities(vec![0.1, -1.0]), Err(Error::Param(_))));
    assert!(good().with_log_probabilities(vec![0.0, f64::NEG_INFINITY]).is_ok());
}

/// Counts the texts it is asked about; class 1 for texts with `good`.
#[derive(Default)]
struct Counting(AtomicU64);

impl Predictor<[String]> for Counting {
    fn predict(&self, texts: &[String]) -> Result<Array2<f64>, BoxError> {
        self.0.fetch_add(texts.len() as u64, Ordering::Relaxed);
        let label = |text: &String| f64::from(text.contains("good"));
        Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(label).collect())?)
    }
}

#[test]
fn a_text_without_words_is_refused_before_any_call() {
    let explainer = P::default().build(TextResources::default()).unwrap();
    let model = Counting::default();
    for text in ["", " ", "\n\u{a0}\t"] {
        let error = explainer.explain(&model, text, Run::seeded(0)).unwrap_err();
        assert!(matches!(error, Error::Empty { what: "the text" }), "{error:?}");
        assert_eq!(error.to_string(), "the text is empty");
    }
    struct Blind;
    impl TextAnalyzer for Blind {
        fn analyze(&self, _: &str) -> Vec<Token> {
            Vec::new()
        }
    }
    let blind = P::default().build(TextResources::new(&Blind)).unwrap();
    let error = blind.explain(&model, "words", Run::seeded(0)).unwrap_err();
    assert!(matches!(error, Error::Empty { .. }), "{error:?}");
    assert_eq!(model.0.load(Ordering::Relaxed), 0);
}

#[test]
fn tokens_that_stand_elsewhere_are_refused() {
    struct Lying(fn(&mut Vec<Token>));
    impl TextAnalyzer for Lying {
        fn analyze(&self, text: &str) -> Vec<Token> {
            let mut tokens = RuleTokenizer.analyze(text);
            (self.0)(&mut tokens);
            tokens
        }
    }
    let model = Counting::default();
    let lies: [fn(&mut Vec<Token>); 6] = [
        |tokens| tokens[1].text.push('s'),
        |tokens| tokens.swap(0, 1),
        |tokens| tokens[0].bytes = [0, 2],
        |tokens| tokens[1].chars[0] += 1,
        |tokens| tokens[1].bytes = [usize::MAX, 0],
        |tokens| tokens[1] = tokens[0].clone(),
    ];
    for lie in lies {
        let lying = Lying(lie);
        let explainer = P::default().build(TextResources::new(&lying)).unwrap();
        let error = explainer.explain(&model, "\u{fc}ber good", Run::seeded(0)).unwrap_err();
        assert!(matches!(&error, Error::Param(own) if own.name == "analyzer"), "{error:?}");
    }
    assert_eq!(model.0.load(Ordering::Relaxed), 0);
}

#[test]
fn errors_of_the_model_are_named() {
    type Answer = Result<Array2<f64>, BoxError>;
    let explain = |model: &dyn Predictor<[String]>| {
        let explainer = P::default().build(TextResources::default()).unwrap();
        explainer.explain(model, "a good film", Run::seeded(0)).unwrap_err()
    };
    let broken = |_: &[String]| -> Answer { Err("broken".into()) };
    assert!(matches!(explain(&broken), Error::Predictor { rows: 1, .. }));
    let nan = |texts: &[String]| -> Answer { Ok(Array2::from_elem((texts.len(), 2), f64::NAN)) };
    assert!(matches!(explain(&nan), Error::NotFinite { .. }));
    let short = |texts: &[String]| -> Answer { Ok(Array2::zeros((texts.len() - 1, 2))) };
    assert!(matches!(explain(&short), Error::Shape { .. }));
    let score = |texts: &[String]| -> Answer { Ok(Array2::from_elem((texts.len(), 1), 3.7)) };
    let error = explain(&score);
    assert!(matches!(&error, Error::Param(own) if own.name == "output"), "{error:?}");
    // A text on which the model fails costs no other its explanation.
    let picky = |texts: &[String]| -> Answer {
        match texts.iter().any(|text| text.contains("forbidden")) {
            true => Err("forbidden".into()),
            false => Ok(Array2::ones((texts.len(), 1))),
        }
    };
    let explainer = P::default().build(TextResources::default()).unwrap();
    let texts = ["a film", "forbidden", "", "good"].map(str::to_owned);
    let results = explainer.explain_many(&picky, &texts, &RunConfig::seeded(0));
    assert!(results[0].is_ok() && results[3].is_ok());
    assert!(matches!(results[1], Err(Error::Predictor { .. })));
    assert!(matches!(results[2], Err(Error::Empty { .. })));
}

/// Under any budget the model is asked no more than allowed, and what is known is returned.
#[test]
fn budgets_hold() {
    let text = "one good film in a long list of others that nobody ever saw";
    let explainer = P::default().build(TextResources::default()).unwrap();
    let full = explainer.explain(&Counting::default(), text, Run::seeded(0)).unwrap().meta.queries;
    for queries in [0, 1, 50, 101, full / 2, full - 1, full, full + 1] {
        let model = Counting::default();
        let run = Run::seeded(0).with_budget(Budget::queries(queries));
        match explainer.explain(&model, text, run) {
            Ok(explanation) => {
                assert_eq!(explanation.meta.queries, model.0.load(Ordering::Relaxed));
                if full <= queries {
                    assert_eq!(explanation.data.result.status, Status::Found);
                }
            }
            Err(Error::Stopped(Stop::Budget)) => assert!(queries < full),
            Err(other) => panic!("{other:?}"),
        }
        assert!(model.0.load(Ordering::Relaxed) <= queries);
    }
    let few = P::default()
        .with_max_samples(5000)
        .with_tau(1e-9)
        .with_threshold(1.0)
        .with_epsilon_stop(1e-6);
    let hard = |texts: &[String]| -> Result<Array2<f64>, BoxError> {
        let label = |text: &String| f64::from(text.matches("UNK").count().is_multiple_of(2));
        Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(label).collect())?)
    };
    let data = few.build(TextResources::default()).unwrap();
    let data = data.explain(&hard, text, Run::seeded(0)).unwrap().data;
    assert_eq!((data.result.status, data.result.stop), (Status::Stopped, Stop::Budget));
    assert!(data.result.queries.search <= 5000);
}

/// An observer may stop the search at any event; what it has by then is a document.
#[test]
fn every_stop_ends_cleanly() {
    let explainer = P::default().build(TextResources::default()).unwrap();
    let text = "a good film";
    let full = explainer.explain(&Counting::default(), text, Run::seeded(0)).unwrap();
    for stop_at in 0.. {
        let mut seen = 0;
        let mut observer = |_: Event<'_>| {
            seen += 1;
            if seen <= stop_at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let model = Counting::default();
        let run = Run::seeded(0).with_observer(&mut observer);
        match explainer.explain(&model, text, run) {
            Ok(own) if seen <= stop_at => {
                assert_eq!(own.to_json().unwrap(), full.to_json().unwrap());
                return;
            }
            Ok(own) => assert_eq!(own.meta.queries, model.0.load(Ordering::Relaxed)),
            Err(error) => assert!(matches!(error, Error::Stopped(Stop::Observer)), "{error:?}"),
        }
    }
}

/// Where nothing can change there is nothing to hold, and the text says it.
#[test]
fn a_text_of_masks_has_the_empty_anchor() {
    let explainer = P::default().build(TextResources::default()).unwrap();
    let model = Counting::default();
    let data = explainer.explain(&model, "UNK UNK", Run::seeded(0)).unwrap().data;
    assert_eq!(data.result.status, Status::Empty);
    assert!(data.anchor.is_empty());
    assert_eq!(model.0.load(Ordering::Relaxed), 1);
}
