//! AnchorText: the words of a text, the search for an anchor among them, the explanation.

use std::fmt;

use serde::Serialize;
use xai_core::{
    AsJson, BlackBox, Error, Explainer, MethodInfo, ModelKind, Result, Run, Status, Valid, require,
};

use super::analyzer::{TextAnalyzer, tokens};
use super::corpus::Corpus;
use super::data::{AnchorTextData, TextCandidate, TextExamples, TextPredicate};
use super::params::{AnchorTextParams, SamplingStrategy};
use super::perturbation::Perturbations;
use super::similarity::{Neighbours, Similarity};
use super::tokenizer::RuleTokenizer;
use super::unknown::Unknown;
use super::vectors::WordVectors;
use crate::data::{Coverage, Decision, Estimate, Queries};
#[cfg(feature = "language-model")]
use crate::language_model::{LanguageModel, LanguageModelSampler};
use crate::perturber::{Perturber, Word};
use crate::search::{Outcome, Prefix, Ranked, ResultParts, SampleId, search};

/// Why there are no predicates, where there are none.
const NO_PREDICATES: &str = "no word of the text can change";

/// What perturbations are made with besides the settings: large objects of the caller, which explainers borrow.
#[derive(Clone, Copy)]
pub struct TextResources<'r> {
    analyzer: &'r dyn TextAnalyzer,
    vectors: Option<&'r WordVectors>,
    #[cfg(feature = "language-model")]
    language_model: Option<&'r dyn LanguageModel>,
    corpus: &'r [String],
}

impl<'r> TextResources<'r> {
    /// An analyzer, which finds the words of a text and their tags.
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

    /// Also a masked language model, for the `language-model` strategy, which then cuts texts into words by itself.
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

    /// Also texts; explanations count those that contain the words of an anchor, as the analyzer cuts them.
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

/// Anchors of texts: a few words that are enough for the model's decision, whatever the others are.
/// Made by [`AnchorTextParams::build`].
///
/// The settings are plain data, in `meta.params`; the resources are borrowed, so that an explainer is made again
/// from the settings of an explanation and the same resources.
/// A model of texts is a [`Predictor`](xai_core::Predictor) of `[String]`; many texts are explained by
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
                require(resources.vectors.is_some(), "sampling_strategy", rule, AsJson(&strategy))?;
                let needs_tags = params.same_tag || !params.perturbed_pos.is_empty();
                let rule = "`unknown` without an analyzer that knows tags, unless `same_tag` is false and `perturbed_pos` empty";
                let is_served = !needs_tags || resources.analyzer.knows_tags();
                require(is_served, "sampling_strategy", rule, AsJson(&strategy))?;
            }
            SamplingStrategy::LanguageModel => {
                let rule = "`unknown` or `similarity` without a language model";
                require(
                    resources.has_language_model(),
                    "sampling_strategy",
                    rule,
                    AsJson(&strategy),
                )?;
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
            let params = xai_core::Params::check(self.params.filling_params())?;
            return Ok(Box::new(LanguageModelSampler::new(model, &params, text)?));
        }
        let TextResources { analyzer, vectors, .. } = self.resources;
        let tokens = tokens(analyzer, text)?;
        if tokens.is_empty() {
            return Err(Error::Empty { what: "the list of the text's tokens" });
        }
        Ok(match (self.params.sampling_strategy, vectors) {
            (SamplingStrategy::Similarity, Some(vectors)) => {
                let neighbours = Neighbours { vectors, analyzer };
                Box::new(Similarity::new(&self.params, neighbours, text, &tokens))
            }
            _ => Box::new(Unknown::new(&self.params, text, &tokens)),
        })
    }

    fn data(
        &self,
        text: &str,
        words: &[Word],
        outcome: &Outcome,
        decision: &Decision,
        queries: Queries,
        examples: &dyn Fn(&[SampleId]) -> Vec<String>,
    ) -> AnchorTextData {
        let delta = self.params.search.delta;
        let predicates = self.predicates(words, outcome);
        let coverage_of = predicates
            .last()
            .map_or_else(|| self.coverage(self.n_coverage()), |last| last.coverage.clone());
        let anchor: Vec<String> = predicates.iter().map(|one| one.word.clone()).collect();
        let examples_of = |prefix: &Prefix| {
            let [covered_true, covered_false] = prefix.examples.each_ref().map(|ids| examples(ids));
            TextExamples { covered_true, covered_false }
        };
        let corpus_coverage = self.corpus.as_ref().map(|corpus| {
            let n_with = corpus.n_with(anchor.iter().map(String::as_str));
            Coverage::new(n_with, corpus.n_texts(), true, delta)
        });
        let candidate = |ranked: &Ranked| TextCandidate {
            anchor: ranked.order.iter().map(|&word| words[word].text.clone()).collect(),
            spans: ranked.order.iter().map(|&word| words[word].chars).collect(),
            precision: Estimate::new(ranked.counts, delta),
            coverage: self.coverage(ranked.n_covered),
            valid: ranked.valid,
        };
        AnchorTextData {
            anchor,
            result: outcome.result(ResultParts {
                search: &self.params.search,
                decision,
                coverage_of,
                queries,
                no_predicates: NO_PREDICATES,
            }),
            predicates,
            corpus_coverage,
            examples: outcome.prefixes.iter().map(examples_of).collect(),
            candidates: outcome.candidates.iter().map(candidate).collect(),
            language_model_passes: None,
            instance: text.to_owned(),
        }
    }

    /// The number of perturbations of the coverage set.
    fn n_coverage(&self) -> usize {
        self.params.search.coverage_samples
    }

    fn coverage(&self, n_covered: usize) -> Coverage {
        Coverage::new(n_covered, self.n_coverage(), false, self.params.search.delta)
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
                first_token: word.first_token,
                precision,
                gain,
                coverage: self.coverage(prefix.n_covered),
            }
        };
        outcome.prefixes.iter().zip(outcome.gains(self.params.search.delta)).map(one).collect()
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
        let settings = &self.params.search;
        let decision = Decision::new(&settings.output, model, &outputs.row(0), run)?;
        perturber.warn(0 < settings.final_samples, run);
        let words = perturber.words().to_vec();
        let mut perturbations =
            Perturbations::new(&mut *perturber, model, &decision, self.n_coverage(), run.seed());
        let outcome = search(settings, &mut perturbations, run)?;
        let queries = outcome.queries(run.queries() - before);
        if outcome.status == Status::NotFound {
            let message = "no anchor meets the precision constraint; a wider beam (beam_size) or a smaller sample_proba may find one";
            run.warn("anchors.not_found", message);
        }
        let examples = |ids: &[SampleId]| perturbations.examples(ids);
        let mut data = self.data(x, &words, &outcome, &decision, queries, &examples);
        data.language_model_passes = perturber.language_model_passes();
        Ok(data)
    }
}
