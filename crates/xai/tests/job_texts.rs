//! Jobs of texts with a closure as the model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use xai::anchors::AnchorTextData;
use xai::core::BoxError;
use xai::job::JobError;
use xai::ndarray::Array2;
use xai::prelude::*;

/// Whether a text has the word.
fn sentiment(texts: &[String]) -> Result<Array2<f64>, BoxError> {
    Ok(Array2::from_shape_fn((texts.len(), 2), |(text, class)| {
        let is_good = texts[text].split(' ').any(|word| word == "good");
        if is_good == (class == 1) { 0.9 } else { 0.1 }
    }))
}

#[test]
fn the_word_that_decides_is_the_anchor() {
    let texts = ["a good film", "a dull film", "good"];
    let corpus = ["a good story", "the end", "good"];
    let job = Job::new("anchor-text")
        .with_text_model(&sentiment)
        .with_texts(texts)
        .with_corpus(corpus)
        .with_output_names(["bad", "good"]);
    let explained = job.explain_all().unwrap();
    assert_eq!(explained.len(), 3);
    let first = explained[0].as_ref().unwrap();
    let typed = first.typed::<AnchorTextData>().unwrap();
    assert_eq!(typed.data.anchor, ["good"]);
    assert_eq!(typed.data.corpus_coverage.as_ref().unwrap().n_covered, 2);
    let figure = first.figure(&OutputNames::new(["bad", "good"]));
    assert_eq!(figure.title, "Anchor for good: good");
    // Chosen by the place among all texts.
    let job = Job::new("anchor-text").with_text_model(&sentiment).with_texts(texts);
    let mut ids = Vec::new();
    job.with_selection(2..3)
        .explain(&mut |id, result| {
            result.unwrap();
            ids.push(id.row);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(ids, [2]);
}

#[test]
fn a_model_of_rows_needs_a_vectoriser() {
    let model = per_row(|row| row[0]);
    let job = Job::new("anchor-text").with_model(&model).with_texts(["a text"]);
    let error = job.load().err().unwrap();
    assert!(error.to_string().contains("give `vectoriser` in [model]"), "{error}");
    let job = Job::new("anchor-text").with_text_model(&sentiment);
    assert!(matches!(job.load().err().unwrap(), JobError::NothingToExplain { .. }));
}

/// A vectoriser in front of a closure of rows.
#[test]
fn a_closure_of_rows_explains_texts_behind_a_vectoriser() {
    let folder = tempfile::tempdir().unwrap();
    let vectoriser = r#"{"kind": "count", "vocabulary": {"good": 0, "film": 1}}"#;
    std::fs::write(folder.path().join("words.json"), vectoriser).unwrap();
    let model = per_row(|row| if 0.0 < row[0] { [0.1, 0.9] } else { [0.9, 0.1] });
    let text = "method = \"anchor-text\"\n[model]\nvectoriser = \"words.json\"\n";
    let job = Job::from_toml(text, folder.path()).unwrap();
    let explained = job.with_model(&model).with_texts(["a good film"]).explain_all().unwrap();
    let explained = explained[0].as_ref().unwrap();
    assert_eq!(explained.typed::<AnchorTextData>().unwrap().data.anchor, ["good"]);
}
