//! AnchorText: the words of a text, the search for an anchor among them, the explanation.

use std::fmt;

use serde::Serialize;
use xai_core::{BlackBox, Error, Explainer, MethodInfo, ModelKind, Result, Run, Valid, require};

use super::analyzer::{TextAnalyzer, tokens};
use super::corpus::Corpus;
use super::data::{AnchorTextData, TextCandidate, TextExamples, TextPredicate, TextRaw};
use super::params::{AnchorTextParams, SamplingStrategy};
use super::perturbation::Perturbations;
use super::perturber::{Perturber, Word};
use super::similarity::Similarity;
use super::tokenizer::RuleTokenizer;
use super::unknown::Unknown;
use super::vectors::WordVectors;
use crate::data::{Coverage, Estimate, Queries, Status};
#[cfg(feature = "language-model")]
use crate::language_model::{LanguageModel, LanguageModelSampler};
use crate::search::{Outcome, Prefix, SampleId, Search};

/// Why there are no predicates, where there are none.
const NOTHING_TO_HOLD: &str = "no word of the text can change";

/// What perturbations are made with besides the settings: large or foreign things, which explainers borrow.
#[derive(Clone, Copy)]
pub struct TextResources<'r> {
    analyzer: &'r dyn TextAnalyzer,
    vectors: Option<&'r WordVectors>,
    #[cfg(feature = "language-model")]
    language_model: Option<&'r dyn LanguageModel>,
    corpus: &'r [String],
}

impl<'r> TextResources<'r> {
    /// An analyzer, which says where the words of a text are and what is known of them.
    #[must_use]
    pub fn new(analyzer: &'r dyn TextAnalyzer) -> Self {
        TextResources {
            analyzer,
            vectors: None,
            #[cfg(feature = "language-model")]
            language_model: None,
            corpus: &[],
        }
    }

    /// Also word vectors, for the `similarity` strategy.
    #[must_use]
    pub fn with_vectors(mut self, vectors: &'r WordVectors) -> Self {
        self.vectors = Some(vectors);
        self
    }

    /// Also a masked language model, for the `language_model` strategy, which then cuts texts into words by itself.
    #[cfg(feature = "language-model")]
    #[must_use]
    pub fn with_language_model(mut self, model: &'r dyn LanguageModel) -> Self {
        self.language_model = Some(model);
        self
    }

    /// Whether there is a language model.
    fn has_language_model(&self) -> bool {
        #[cfg(feature = "language-model")]
        return self.language_model.is_some();
        #[cfg(not(feature = "language-model"))]
        false
    }

    /// Also texts of which explanations say how many contain the words of an anchor, as the analyzer cuts them.
    #[must_use]
    pub fn with_corpus(mut self, texts: &'r [String]) -> Self {
        self.corpus = texts;
        self
    }
}

impl Default for TextResources<'_> {
    /// [`RuleTokenizer`] and nothing else: enough for the `unknown` strategy.
    fn default() -> Self {
        TextResources::new(&RuleTokenizer)
    }
}

impl fmt::Debug for TextResources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_vectors = self.vectors.map(|vectors| vectors.words().len());
        f.debug_struct("TextResources")
            .field("vectors", &n_vectors)
            .field("language_model", &self.has_language_model())
            .field("corpus", &self.corpus.len())
            .finish_non_exhaustive()
    }
}

/// Anchors of texts: a few words that hold the model's decision in place, whatever the others are.
/// Made by [`AnchorTextParams::build`].
///
/// The settings are plain data and stand in `meta.params`; the resources are borrowed, so that an explainer is made again
/// from the settings of an explanation and the same resources.
/// A model of texts is a [`Predictor`] of `[String]`; many texts are explained by
/// [`explain_many`](Explainer::explain_many).
///
/// # Cost
/// One query for the text, and one for each different perturbation: at most `min_samples_start` for the empty anchor,
/// twice `batch_size` for each step of the bandit, `final_samples` for the certificate. In all at most
/// `1 + max_samples + final_samples`, unless the search is strict, which needs a certificate for each anchor that it
/// tests.
///
/// # Source
/// Ribeiro, Singh & Guestrin 2018, "Anchors: high-precision model-agnostic explanations", AAAI.
#[derive(Clone, Debug)]
pub struct AnchorText<'r> {
    params: Valid<AnchorTextParams>,
    resources: TextResources<'r>,
    corpus: Option<Corpus>,
}

impl<'r> AnchorText<'r> {
    pub(crate) fn new(
        params: Valid<AnchorTextParams>,
        resources: TextResources<'r>,
    ) -> Result<Self> {
        let strategy = params.sampling_strategy;
        match strategy {
            SamplingStrategy::Unknown => {}
            SamplingStrategy::Similarity => {
                let rule = "`unknown` without word vectors";
                require(resources.vectors.is_some(), "sampling_strategy", rule, strategy)?;
                let needs_tags = params.same_tag || !params.perturbed_pos.is_empty();
                let rule = "`unknown` without an analyzer that knows tags, unless `same_tag` is false and `perturbed_pos` empty";
                let is_served = !needs_tags || resources.analyzer.knows_tags();
                require(is_served, "sampling_strategy", rule, strategy)?;
            }
            SamplingStrategy::LanguageModel => {
                let rule = "`unknown` or `similarity` without a language model";
                require(resources.has_language_model(), "sampling_strategy", rule, strategy)?;
            }
        }
        let corpus = (!resources.corpus.is_empty())
            .then(|| Corpus::new(resources.corpus, resources.analyzer));
        Ok(AnchorText { params, resources, corpus })
    }

    /// The settings it was built with.
    #[must_use]
    pub fn params(&self) -> &AnchorTextParams {
        &self.params
    }

    /// How the settings perturb a text.
    fn perturber<'a>(&'a self, text: &'a str) -> Result<Box<dyn Perturber + 'a>> {
        #[cfg(feature = "language-model")]
        if let (SamplingStrategy::LanguageModel, Some(model)) =
            (self.params.sampling_strategy, self.resources.language_model)
        {
            return Ok(Box::new(LanguageModelSampler::new(model, &self.params, text)?));
        }
        let TextResources { analyzer, vectors, .. } = self.resources;
        let tokens = tokens(analyzer, text)?;
        if tokens.is_empty() {
            return Err(Error::Empty { what: "the list of the text's tokens" });
        }
        Ok(match (self.params.sampling_strategy, vectors) {
            (SamplingStrategy::Similarity, Some(vectors)) => {
                Box::new(Similarity::new(&self.params, (vectors, analyzer), text, &tokens))
            }
            _ => Box::new(Unknown::new(&self.params, text, &tokens)),
        })
    }

    fn data(
        &self,
        text: &str,
        (words, decision): (&[Word], f64),
        (outcome, queries): (Outcome, Queries),
        examples: &dyn Fn(&[SampleId]) -> Vec<String>,
    ) -> AnchorTextData {
        let delta = self.params.delta;
        let base_rate = Estimate::new(outcome.base, delta);
        let predicates = self.predicates(words, &outcome);
        let last = predicates.last();
        let precision = last.map_or(base_rate.mean, |last| last.precision.mean);
        let everything = self.params.coverage_samples;
        let coverage_of =
            last.map_or_else(|| self.coverage(everything), |last| last.coverage.clone());
        let own = |of: &dyn Fn(&Prefix) -> usize| outcome.prefixes.iter().map(of).collect();
        let anchor: Vec<String> = predicates.iter().map(|one| one.word.clone()).collect();
        let means: Vec<f64> = predicates.iter().map(|one| one.precision.mean).collect();
        let examples_of = |prefix: &Prefix| {
            let [covered_true, covered_false] = prefix.examples.each_ref().map(|ids| examples(ids));
            TextExamples { covered_true, covered_false, ..TextExamples::default() }
        };
        let raw = TextRaw {
            feature: own(&|prefix| prefix.predicate),
            mean: means.clone(),
            precision: means,
            coverage: predicates.iter().map(|one| one.coverage.coverage).collect(),
            examples: outcome.prefixes.iter().map(examples_of).collect(),
            all_precision: base_rate.mean,
            num_preds: queries.search,
            success: outcome.success,
            names: anchor.clone(),
            positions: own(&|prefix| words[prefix.predicate].position),
            instance: text.to_owned(),
            instances: vec![text.to_owned()],
            prediction: vec![decision],
        };
        let corpus_coverage = self.corpus.as_ref().map(|corpus| {
            let n_with = corpus.n_with(anchor.iter().map(String::as_str));
            Coverage::new(n_with, corpus.n_texts(), true, delta)
        });
        let candidates = outcome.candidates.iter().map(|one| TextCandidate {
            anchor: one.order.iter().map(|&word| words[word].text.clone()).collect(),
            spans: one.order.iter().map(|&word| words[word].chars).collect(),
            precision: Estimate::new(one.counts, delta),
            coverage: self.coverage(one.n_covered),
            valid: one.valid,
        });
        AnchorTextData {
            anchor,
            precision,
            coverage: coverage_of.coverage,
            status: outcome.status,
            reason: outcome.reason(self.params.threshold, NOTHING_TO_HOLD),
            stop: outcome.stop,
            spans: predicates.iter().map(|one| one.span).collect(),
            byte_spans: predicates.iter().map(|one| one.byte_span).collect(),
            coverage_of,
            corpus_coverage,
            base_rate,
            best_of_size: outcome.best_of_size.iter().map(|&c| Estimate::new(c, delta)).collect(),
            candidates: candidates.collect(),
            predicates,
            queries,
            language_model_passes: None,
            certificate: outcome.certificate,
            trace: outcome.trace,
            raw,
        }
    }

    fn coverage(&self, n_covered: usize) -> Coverage {
        Coverage::new(n_covered, self.params.coverage_samples, false, self.params.delta)
    }

    /// The words of the anchor, with the precision that each adds.
    fn predicates(&self, words: &[Word], outcome: &Outcome) -> Vec<TextPredicate> {
        let one = |(prefix, (precision, gain)): (&Prefix, (Estimate, f64))| {
            let word = &words[prefix.predicate];
            TextPredicate {
                feature: prefix.predicate,
                word: word.text.clone(),
                span: word.chars,
                byte_span: word.bytes,
                precision,
                gain,
                coverage: self.coverage(prefix.n_covered),
            }
        };
        outcome.prefixes.iter().zip(outcome.gains(self.params.delta)).map(one).collect()
    }
}

impl Explainer for AnchorText<'_> {
    type Input = str;
    type Model<'m> = BlackBox<'m, [String]>;
    type Data = AnchorTextData;
    const INFO: MethodInfo =
        MethodInfo { name: "anchor-text", kind: ModelKind::BlackBox, scope: &["local"] };

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &str) -> Result<()> {
        match x.trim().is_empty() {
            true => Err(Error::Empty { what: "the text" }),
            false => Ok(()),
        }
    }

    fn compute(
        &self,
        model: BlackBox<'_, [String]>,
        x: &str,
        run: &mut Run<'_>,
    ) -> Result<AnchorTextData> {
        let model = model.predictor();
        let mut perturber = self.perturber(x)?;
        let before = run.queries();
        let unperturbed = perturber.unperturbed().to_owned();
        let outputs = run.predict_texts(model, &[unperturbed])?;
        let output = &self.params.output;
        let decision = output.decision(&outputs.row(0))?;
        perturber.warn(run);
        let words = perturber.words().to_vec();
        let n_coverage = self.params.coverage_samples;
        let mut perturbations =
            Perturbations::new(&mut *perturber, (model, output), decision, n_coverage, run.seed());
        let settings = self.params.settings();
        let outcome = Search::new(&settings, &mut perturbations, run).run()?;
        let queries = outcome.queries(run.queries() - before);
        if outcome.status == Status::NotFound {
            let message = "no anchor meets the precision constraint; a wider beam (beam_size) or a smaller sample_proba may find one";
            run.warn("anchors.not_found", message);
        }
        let examples = |ids: &[SampleId]| perturbations.examples(ids);
        let mut data = self.data(x, (&words, decision), (outcome, queries), &examples);
        data.language_model_passes = perturber.language_model_passes();
        Ok(data)
    }
}
