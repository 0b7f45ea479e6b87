//! Anchors of texts against what follows from the model and the masks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "shares of 0 and 1 are exact")]

use std::collections::BTreeSet;
use std::sync::Mutex;

use ndarray::Array2;
use xai_anchors::{
    AnchorTextData, AnchorTextParams, Join, RuleTokenizer, TextAnalyzer, TextResources,
};
use xai_core::{BoxError, Explainer, Predictor, Run, Semantics, Status};

type P = AnchorTextParams;
type Answer = Result<Array2<f64>, BoxError>;

/// A model that gives class 1 to texts of which `f` is true, as one column of labels.
fn labels(f: impl Fn(&[&str]) -> bool + Sync) -> impl Fn(&[String]) -> Answer + Sync {
    move |texts: &[String]| {
        let label = |text: &String| f64::from(f(&text.split_whitespace().collect::<Vec<_>>()));
        Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(label).collect())?)
    }
}

fn explain(params: P, model: &dyn Predictor<[String]>, text: &str) -> AnchorTextData {
    let explainer = params.build(TextResources::default()).unwrap();
    explainer.explain(model, text, Run::seeded(11)).unwrap().data
}

/// Whether a share of `n` samples is within five standard errors of a probability.
fn near(share: f64, probability: f64, n: f64) -> bool {
    let variance = (probability * (1.0 - probability)).max(0.0) / n;
    // A sum of many probabilities may miss 1 by rounding.
    (share - probability).abs() <= 5.0 * variance.sqrt() + 1e-12
}

#[test]
fn one_word_decides() {
    let model = labels(|words| words.contains(&"good"));
    let data = explain(P::default().with_top_k(9), &model, "This is a good book .");
    assert_eq!(
        (data.result.status, data.anchor.as_slice()),
        (Status::Found, &["good".to_owned()][..])
    );
    assert_eq!((data.predicates[0].first_token, data.result.precision), (None, 1.0));
    assert_eq!((data.spans()[0], data.byte_spans()[0]), ([10, 14], [10, 14]));
    assert!((data.result.coverage - 0.5).abs() < 0.015, "{}", data.result.coverage);
    let base = &data.result.base_rate;
    assert!(near(base.mean, 0.5, base.n_samples as f64), "{base:?}");
    for other in data.candidates.iter().filter(|own| own.anchor != ["good"]) {
        let own = &other.precision;
        assert!(near(own.mean, 0.5, own.n_samples as f64), "{other:?}");
    }
    // Six words have 64 masks; each text is asked once.
    assert!(data.result.queries.search + data.result.queries.certificate <= 64);
    assert_eq!(data.result.certificate.unwrap().precision, 1.0);
}

#[test]
fn two_words_decide_together() {
    let model = labels(|words| words.contains(&"not") && words.contains(&"bad"));
    for semantics in [Semantics::Native, Semantics::Reference] {
        let params = P::default().with_semantics(semantics);
        let data = explain(params, &model, "the film is not bad at all");
        assert_eq!((data.result.status, data.result.precision), (Status::Found, 1.0));
        let words: BTreeSet<&str> = data.anchor.iter().map(String::as_str).collect();
        assert_eq!(words, BTreeSet::from(["not", "bad"]));
        let spans: BTreeSet<[usize; 2]> = data.spans().iter().copied().collect();
        assert_eq!(spans, BTreeSet::from([[12, 15], [16, 19]]));
        assert!(near(data.result.coverage, 0.25, 10_000.0), "{}", data.result.coverage);
        assert!((data.predicates[0].precision.mean - 0.5).abs() < 0.2);
        assert_eq!(data.predicates[1].precision.mean, data.result.precision);
    }
}

/// An anchor of all words leaves the text as it is, spaces and all, whatever stands in it.
#[test]
fn a_text_that_is_held_is_the_text() {
    let text = "  \u{201c}Gr\u{fc}\u{df}e\u{201d},\tsaid\u{a0} she ... don't!\n";
    let tokens = RuleTokenizer.analyze(text);
    let joined: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    for (join, expected) in [(Join::Splice, text.to_owned()), (Join::Spaces, joined.join(" "))] {
        let same = |texts: &[String]| -> Answer {
            let label = |own: &String| f64::from(*own == expected);
            Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(label).collect())?)
        };
        let data = explain(P::default().with_join(join), &same, text);
        // Without one word the precision is a half.
        assert_eq!((data.result.status, data.anchor.len()), (Status::Found, tokens.len()));
        assert_eq!(data.result.decision, 1.0);
        let examples = data.examples(None).unwrap();
        assert!(!examples.covered_true.is_empty() && examples.covered_false.is_empty());
        assert!(examples.covered_true.iter().all(|own| *own == expected));
        for (span, byte_span) in data.spans().iter().zip(&data.byte_spans()) {
            let word = &text[byte_span[0]..byte_span[1]];
            let before = text[..byte_span[0]].chars().count();
            assert_eq!(*span, [before, before + word.chars().count()]);
        }
    }
}

/// No text is cut, and no word: the model sees each word of a long text or the mask.
#[test]
fn long_texts_are_whole() {
    let word = |place: usize| "wonderful".repeat(1 + place % 7);
    let words: Vec<String> = (0..1000).map(word).collect();
    let seen = Mutex::new(0);
    let model = |texts: &[String]| -> Answer {
        for text in texts {
            let own: Vec<&str> = text.split(' ').collect();
            if own.len() != 1000
                || own.iter().zip(&words).any(|(own, word)| own != word && *own != "UNK")
            {
                return Err(format!("cut: {text}").into());
            }
        }
        *seen.lock().unwrap() += texts.len();
        Ok(Array2::ones((texts.len(), 1)))
    };
    let data = explain(P::default(), &model, &words.join(" "));
    assert_eq!((data.result.status, data.result.coverage), (Status::Empty, 1.0));
    assert_eq!(seen.into_inner().unwrap(), 1 + 100 + 1000);
}

/// A logistic model of the words it counts.
struct BagOfWords(&'static [(&'static str, f64)], f64);

impl BagOfWords {
    fn is_positive<'w>(&self, words: impl Iterator<Item = &'w str>) -> bool {
        let weight = |word: &str| self.0.iter().find(|own| own.0 == word).map_or(0.0, |own| own.1);
        0.0 < self.1 + words.map(weight).sum::<f64>()
    }
}

impl Predictor<[String]> for BagOfWords {
    fn predict(&self, texts: &[String]) -> Answer {
        let score = |text: &String| f64::from(self.is_positive(text.split_whitespace()));
        Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(score).collect())?)
    }
}

/// The precision of an anchor: the probability of each of the 2^m masks, where the model decides as for the text.
fn exact_precision(model: &BagOfWords, text: &str, held: &[usize], p: f64, mask: &str) -> f64 {
    let words: Vec<&str> = text.split(' ').collect();
    let label = model.is_positive(words.iter().copied());
    let mut precision = 0.0;
    for masks in 0..1_u32 << words.len() {
        let is_masked = |word: usize| masks >> word & 1 == 1;
        if held.iter().any(|&word| is_masked(word)) {
            continue;
        }
        let k = i32::try_from(masks.count_ones()).unwrap();
        let free = i32::try_from(words.len() - held.len()).unwrap();
        let probability = p.powi(k) * (1.0 - p).powi(free - k);
        let sample = words.iter().enumerate().map(|(place, &word)| match is_masked(place) {
            true => mask,
            false => word,
        });
        if model.is_positive(sample) == label {
            precision += probability;
        }
    }
    precision
}

#[test]
fn certificates_hold_the_exact_precision() {
    let weights = &[
        ("good", 1.5),
        ("great", 2.0),
        ("bad", -2.0),
        ("boring", -1.0),
        ("not", -0.7),
        ("film", 0.3),
        ("UNK", -0.1),
    ];
    let model = BagOfWords(weights, -0.45);
    let texts = [
        "a good and great film with no plot",
        "not a bad film but a boring one",
        "great great bad film",
        "this film is not good it is great",
    ];
    for text in texts {
        for (sample_proba, mask, semantics) in [
            (0.5, Some("UNK"), Semantics::Native),
            (0.3, None, Semantics::Native),
            (0.8, Some("UNK"), Semantics::Reference),
        ] {
            let mask_string = mask.map(str::to_owned);
            let stop_on_first = semantics == Semantics::Native;
            let params = P::default()
                .with_sample_proba(sample_proba)
                .with_mask_string(mask_string)
                .with_semantics(semantics)
                .with_stop_on_first(stop_on_first);
            let data = explain(params, &model, text);
            assert!(
                matches!(data.result.status, Status::Found | Status::Empty),
                "{text}: {}",
                data.result.reason
            );
            // Deleted words weigh nothing, as words that the model does not know.
            let exact = |size: usize| {
                let held: Vec<usize> =
                    data.predicates[..size].iter().map(|one| one.feature).collect();
                exact_precision(&model, text, &held, sample_proba, mask.unwrap_or(""))
            };
            let own = data.result.certificate.as_ref().unwrap();
            let n = own.n_samples as f64;
            assert_eq!(own.n_samples, 1000);
            let precision = exact(data.anchor.len());
            assert!(near(own.precision, precision, n), "{text}: {own:?} {precision}");
            assert!(own.lower_bound <= precision, "{text}: {own:?} {precision}");
            // The last bound of the search is not about a lucky few.
            assert!(0.85 < precision, "{text}: {precision}");
            let base = &data.result.base_rate;
            assert!(near(base.mean, exact(0), base.n_samples as f64), "{text}: {base:?}");
            let kept = (1.0 - sample_proba).powi(i32::try_from(data.anchor.len()).unwrap());
            assert!(
                near(data.result.coverage, kept, 10_000.0),
                "{text}: {} {kept}",
                data.result.coverage
            );
            let n_masks = 1 << text.split(' ').count();
            assert!(data.result.queries.search + data.result.queries.certificate < n_masks);
        }
    }
}

/// The share of a corpus that holds the anchor is counted, not sampled.
#[test]
fn corpus_coverage_is_counted() {
    let corpus: Vec<String> = [
        "not bad , not good",
        "bad , but not that bad",
        "notable and badly made",
        "It isn't bad.",
        "not Bad",
        "(not) \"bad\"",
    ]
    .map(str::to_owned)
    .to_vec();
    let model = labels(|words| words.contains(&"not") && words.contains(&"bad"));
    let resources = TextResources::default().with_corpus(&corpus);
    let explainer = P::default().build(resources).unwrap();
    let explain = |text: &str| explainer.explain(&model, text, Run::seeded(0)).unwrap().data;
    let coverage = explain("the film is not bad at all").corpus_coverage.unwrap();
    assert_eq!((coverage.n_covered, coverage.n_rows, coverage.exact), (3, 6, true));
    assert_eq!((coverage.coverage, coverage.interval), (0.5, None));
    // The empty anchor holds for all texts.
    let data = explain("fine");
    assert_eq!((data.result.status, data.corpus_coverage.unwrap().n_covered), (Status::Empty, 6));
}
