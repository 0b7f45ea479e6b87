//! Anchors of texts whose perturbations a language model makes.

use ndarray::Array2;
use xai_anchors::language_model::{CandleLanguageModel, LanguageModel};
use xai_anchors::{AnchorTextData, AnchorTextParams, Filling, SamplingStrategy, TextResources};
use xai_core::{BoxError, Error, Explainer, Explanation, Run, RunConfig, Status};

use super::fake::Fake;
use super::trained::load;

const TEXT: &str = "The  Soup was really TASTY!";

/// Whether a text praises the food.
fn praises(texts: &[String]) -> Result<Array2<f64>, BoxError> {
    let praise = ["tasty", "fresh", "warm", "sweet", "delicious"];
    let praises = |text: &String| {
        let text = text.to_lowercase();
        f64::from(praise.iter().any(|word| text.contains(word)))
    };
    Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(praises).collect())?)
}

fn params() -> AnchorTextParams {
    AnchorTextParams::default()
        .with_sampling_strategy(SamplingStrategy::LanguageModel)
        .with_use_proba(true)
}

fn explain(model: &dyn LanguageModel, params: &AnchorTextParams) -> Explanation<AnchorTextData> {
    let resources = TextResources::default().with_language_model(model);
    let explainer = params.clone().build(resources).unwrap();
    explainer.explain(&praises, TEXT, Run::seeded(3)).unwrap()
}

#[test]
fn the_word_that_decides_is_the_anchor() {
    let model = load();
    for filling in [Filling::Parallel, Filling::Autoregressive] {
        let explanation = explain(&model, &params().with_filling(filling));
        let data = &explanation.data;
        assert_eq!(
            (data.result.status, &data.anchor[..]),
            (Status::Found, &["TASTY".to_owned()][..])
        );
        assert_eq!(data.result.precision, 1.0);
        assert_eq!((data.spans()[0], data.byte_spans()[0]), ([21, 26], [21, 26]));
        // The fifth token.
        assert_eq!(data.predicates[0].first_token, Some(4));
        // Five words: hidden with probability 1/2, and in one of 32 cases, when none is, with 1/5.
        let kept = 1.0 - (0.5 + 0.5_f64.powi(5) / 5.0);
        let bound = 5.0 * (kept * (1.0 - kept) / 10_000.0).sqrt();
        assert!((data.result.coverage - kept).abs() <= bound, "{}", data.result.coverage);
        // The model fills in what is said of food, not always in praise.
        let base = data.result.base_rate.mean;
        assert!((0.5..0.95).contains(&base), "{base}");
        for text in &data.examples[0].covered_true {
            assert!(text.ends_with(" TASTY!"), "{text}");
        }
        assert!(data.examples[0].covered_false.is_empty());
        let shares = explanation.meta.warnings.iter().any(|own| own.code == "anchors.shared_masks");
        assert_eq!(shares, filling == Filling::Parallel);
    }
}

/// All masks of five words are 31, so that the model reads no more texts than that however many samples there are.
#[test]
fn passes_are_counted_apart_from_queries() {
    let explanation = explain(&load(), &params());
    let passes = explanation.data.language_model_passes.unwrap();
    assert!((1..=31).contains(&passes), "{passes}");
    assert!(passes < explanation.meta.queries);
    let unknown = AnchorTextParams::default().build(TextResources::default()).unwrap();
    let explanation = unknown.explain(&praises, TEXT, Run::seeded(3)).unwrap();
    assert_eq!(explanation.data.language_model_passes, None);
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let model: CandleLanguageModel = load();
    let bytes = |batch_size_lm, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let params =
            params().with_batch_size_lm(batch_size_lm).with_filling(Filling::Autoregressive);
        let mut explanation = pool.install(|| explain(&model, &params));
        explanation.meta.params = serde_json::Value::Null;
        explanation.to_json().unwrap()
    };
    let expected = bytes(32, 1);
    assert_eq!(bytes(32, 4), expected);
    assert_eq!(bytes(5, 2), expected);
}

#[test]
fn many_texts_are_each_explained_as_alone() {
    let model = load();
    let resources = TextResources::default().with_language_model(&model);
    let explainer = params().build(resources).unwrap();
    let texts = [TEXT, "What a boring film!", TEXT].map(str::to_owned);
    let together = explainer.explain_many(&praises, &texts, &RunConfig::seeded(3));
    for (text, own) in texts.iter().zip(together) {
        let alone = explainer.explain(&praises, text, Run::seeded(3)).unwrap();
        assert_eq!(own.unwrap().to_json().unwrap(), alone.to_json().unwrap());
    }
}

#[test]
fn what_the_model_cannot_read_never_changes() {
    let mut model = Fake::indifferent();
    model.max_tokens = Some(4);
    let resources = TextResources::default().with_language_model(&model);
    let explainer = params().build(resources).unwrap();
    let text = "the film was good , unreal ,  was a film";
    let good = |texts: &[String]| -> Result<Array2<f64>, BoxError> {
        assert!(texts.iter().all(|text| text.ends_with(" , unreal ,  was a film")));
        let good = |text: &String| f64::from(text.contains("good"));
        Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(good).collect())?)
    };
    let explanation = explainer.explain(&good, text, Run::seeded(0)).unwrap();
    let warning = &explanation.meta.warnings[0];
    assert_eq!(warning.code, "anchors.longer_than_the_language_model");
    assert!(warning.message.contains("from character 18 on"), "{}", warning.message);
}

#[test]
fn a_model_that_fails_is_named() {
    let mut fake = Fake::indifferent();
    fake.scores = Box::new(|_, _| [f32::NEG_INFINITY; 12]);
    let resources = TextResources::default().with_language_model(&fake);
    let explainer = params().build(resources).unwrap();
    let error = explainer.explain(&praises, "the film was good", Run::seeded(0)).unwrap_err();
    let Error::Predictor { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().starts_with("the language model: "), "{source}");
}
