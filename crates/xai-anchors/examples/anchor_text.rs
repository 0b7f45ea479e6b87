//! The anchors of the book's page on texts: which words make a review good or bad.

#![allow(clippy::print_stdout, reason = "an example shows its result")]
#![allow(clippy::float_cmp, reason = "shares of 0 and 1 are exact")]

use std::error::Error;

use ndarray::{Array2, array};
use xai_anchors::{
    AnchorTextParams, EnglishAnalyzer, RuleTokenizer, SamplingStrategy, TextAnalyzer,
    TextResources, WordVectors,
};
use xai_core::{BoxError, Explainer, Run, RunConfig, Status};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: model
    // A bag of words: what each word says about a review, and a logistic curve.
    let weights = [("good", 2.0), ("great", 3.0), ("bad", -2.5), ("dull", -2.0), ("not", -0.5)];
    let model = |texts: &[String]| -> Result<Array2<f64>, BoxError> {
        let mut outputs = Array2::zeros((texts.len(), 2));
        for (text, mut row) in texts.iter().zip(outputs.rows_mut()) {
            let words = RuleTokenizer.analyze(&text.to_lowercase());
            let of = |word: &str| weights.iter().find(|own| own.0 == word).map_or(0.0, |own| own.1);
            let score: f64 = words.iter().map(|word| of(&word.text)).sum();
            row[1] = 1.0 / (1.0 + f64::exp(0.2 - score));
            row[0] = 1.0 - row[1];
        }
        Ok(outputs)
    };
    // ANCHOR_END: model

    // ANCHOR: unknown
    let explainer = AnchorTextParams::default().build(TextResources::default())?;
    let text = "A good story, told in a way that isn't dull at all.";
    let explanation = explainer.explain(&model, text, Run::seeded(0))?;
    let data = &explanation.data;
    // `good` and `dull` cancel out, and the review is bad; with `dull` held no other word makes it good.
    assert_eq!((data.result.status, data.result.decision), (Status::Found, 0.0));
    assert_eq!(data.anchor, ["dull"]);
    let [start, end] = data.byte_spans()[0];
    assert_eq!(&text[start..end], "dull");
    assert!(data.result.certificate.as_ref().is_some_and(|own| own.precision == 1.0));
    // ANCHOR_END: unknown

    // ANCHOR: similarity
    // Six words in two dimensions; real ones are read by `WordVectors::read_glove` and its like.
    let words = ["good", "great", "bad", "dull", "story", "film"].map(str::to_owned);
    let vectors = array![[1.0, 0.5], [1.0, 0.6], [0.9, -0.4], [0.8, -0.6], [0.1, 1.0], [0.2, 1.0]];
    let vectors = WordVectors::new(words.to_vec(), &vectors)?;
    let analyzer = EnglishAnalyzer::new();
    let params = AnchorTextParams::default()
        .with_sampling_strategy(SamplingStrategy::Similarity)
        .with_use_proba(true);
    let resources = TextResources::new(&analyzer).with_vectors(&vectors);
    let explainer = params.build(resources)?;
    let explanation = explainer.explain(&model, "A great story.", Run::seeded(0))?;
    let data = &explanation.data;
    // Any other adjective may make it bad, and no other noun does anything.
    assert_eq!(data.anchor, ["great"]);
    let changed = &data.examples(None)?.covered_true;
    assert!(changed.iter().any(|own| own == "A great film."));
    // ANCHOR_END: similarity

    // ANCHOR: many
    let texts = ["A great story.", "Dull, bad, bad.", "A film."].map(str::to_owned);
    let resources = TextResources::default().with_corpus(&texts);
    let explainer = AnchorTextParams::default().build(resources)?;
    for result in explainer.explain_many(&model, &texts, &RunConfig::seeded(0)) {
        let data = result?.data;
        let corpus = data.corpus_coverage.as_ref().map_or(0.0, |own| own.coverage);
        println!("{}: {:?}, in {:.0} % of the texts", data.instance, data.anchor, 100.0 * corpus);
    }
    // ANCHOR_END: many
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
