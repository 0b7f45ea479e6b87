//! Texts in which some words are filled in by a language model.

use std::rc::Rc;

use ndarray::Array2;
use xai_core::{Result, Seed, Semantics, Valid, require};

use super::fillers::{Fillers, Masked};
use super::interface::LanguageModel;
use super::params::{Filling, LanguageModelParams};
use super::words::{Head, Word};
use crate::bits::Bits;

/// Labels of the seeds below that of a request.
const HIDDEN: u64 = 0;
const FILLED: u64 = 1;

/// Draws texts around one text: some of its words are hidden, and a masked language model fills them in.
///
/// All that is not filled in keeps its bytes: spacing, case, and what the model has no room to read.
/// The same seed gives the same texts, whatever was drawn before.
pub struct LanguageModelSampler<'a> {
    text: &'a str,
    mask_id: u32,
    params: LanguageModelParams,
    head: Head,
    fillers: Fillers<'a>,
}

/// Texts around one text.
#[derive(Clone, Debug, PartialEq)]
pub struct FilledTexts {
    /// The texts.
    pub texts: Vec<String>,
    /// Whether each word was left as it is, shape `(n_texts, n_words)`. A word that was hidden and filled with itself
    /// was not.
    pub kept: Array2<bool>,
}

/// Samples wanted of an anchor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'r> {
    /// The words that must stay, by number.
    pub anchor: &'r [usize],
    /// How many.
    pub n_samples: usize,
    /// The seed of this request alone.
    pub seed: Seed,
}

/// Samples that are not written out yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filled {
    /// The words hidden in each template, ascending.
    templates: Vec<Vec<usize>>,
    /// For each sample its template, and the token that fills each word hidden there.
    samples: Vec<(usize, Vec<usize>)>,
}

impl Filled {
    /// The samples in which a word was left as it is.
    pub(crate) fn kept(&self, word: usize) -> Bits {
        let hidden: Vec<bool> =
            self.templates.iter().map(|words| words.binary_search(&word).is_ok()).collect();
        Bits::from_fn(self.samples.len(), |sample| !hidden[self.samples[sample].0])
    }
}

impl<'a> LanguageModelSampler<'a> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// [`Error::Param`] when the text is empty or its first word longer than the model has room for, or when no token of
    /// the vocabulary may fill a word; [`Error::Predictor`] when the tokenizer fails.
    ///
    /// # Cost
    /// One decoding of each token of the vocabulary.
    pub fn new(
        model: &'a dyn LanguageModel,
        params: &Valid<LanguageModelParams>,
        text: &'a str,
    ) -> Result<Self> {
        require(!text.trim().is_empty(), "text", "more than white space", text)?;
        let head = Head::of(model, params, text)?;
        let fillers = Fillers::new(model, params)?;
        let (mask_id, params) = (model.mask_id(), LanguageModelParams::clone(params));
        Ok(LanguageModelSampler { text, mask_id, params, head, fillers })
    }

    /// The words that may be hidden, from left to right.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.head.words
    }

    /// The byte from which on the text is longer than the model has room for, so that it never changes; `None` when the
    /// model reads all of it.
    #[must_use]
    pub fn tail(&self) -> Option<usize> {
        self.head.tail
    }

    /// Texts the language model has read so far, each a forward pass. Texts in which the same words are hidden are
    /// read once, as far as memory goes.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.fillers.passes()
    }

    /// Texts that keep the words of an anchor, given by number.
    ///
    /// # Errors
    /// [`Error::Param`] when a number of the anchor is none of a word; [`Error::Predictor`] when the language model
    /// fails, and [`Error::NotFinite`] when a score of it is NaN or plus infinity.
    ///
    /// # Cost
    /// With parallel filling at most one text for the language model in each template, autoregressively one for each
    /// hidden word.
    pub fn sample(
        &mut self,
        anchor: &[usize],
        n_samples: usize,
        seed: impl Into<Seed>,
    ) -> Result<FilledTexts> {
        let n_words = self.words().len();
        let unknown = anchor.iter().find(|&&word| n_words <= word);
        require(unknown.is_none(), "anchor", format!("numbers of {n_words} words"), anchor)?;
        let wanted = Wanted { anchor, n_samples, seed: seed.into() };
        let filled = self.fill(&[wanted])?.pop().expect("one request, one answer");
        let texts = (0..n_samples).map(|sample| self.write(&filled, sample)).collect();
        let mut kept = Array2::from_elem((n_samples, n_words), true);
        for (mut kept, (template, _)) in kept.rows_mut().into_iter().zip(&filled.samples) {
            filled.templates[*template].iter().for_each(|&word| kept[word] = false);
        }
        Ok(FilledTexts { texts, kept })
    }

    /// Draws what several requests want; the language model reads for all of them together.
    pub(crate) fn fill(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Filled>> {
        let mut filled: Vec<Filled> = wanted.iter().map(|wanted| self.hide(wanted)).collect();
        match self.params.filling {
            Filling::Parallel => self.fill_at_once(wanted, &mut filled)?,
            Filling::Autoregressive => self.fill_one_by_one(wanted, &mut filled)?,
        }
        Ok(filled)
    }

    /// The samples of the coverage set in which each word is left as it is. The language model reads nothing.
    pub(crate) fn coverage(&self, n_samples: usize, seed: Seed) -> Vec<Bits> {
        let wanted = Wanted { anchor: &[], n_samples, seed };
        let n_templates = match self.params.semantics {
            // A template costs nothing here, so that each sample may have its own.
            Semantics::Native => n_samples,
            Semantics::Reference => self.n_templates(n_samples),
        };
        let filled = self.hide_in(&wanted, n_templates);
        (0..self.words().len()).map(|word| filled.kept(word)).collect()
    }

    /// A sample as text.
    pub(crate) fn write(&self, filled: &Filled, sample: usize) -> String {
        let (template, tokens) = &filled.samples[sample];
        let mut text = String::with_capacity(self.text.len());
        let mut written = 0;
        for (&word, &token) in filled.templates[*template].iter().zip(tokens) {
            let bytes = &self.words()[word].bytes;
            text.push_str(&self.text[written..bytes.start]);
            text.push_str(self.fillers.text(token));
            written = bytes.end;
        }
        text.push_str(&self.text[written..]);
        text
    }

    /// How many templates a request of samples has.
    fn n_templates(&self, n_samples: usize) -> usize {
        let LanguageModelParams { filling, frac_mask_templates, sample_proba, .. } = self.params;
        match filling {
            Filling::Autoregressive => n_samples,
            // All templates would be the same.
            Filling::Parallel if 1.0 <= sample_proba => 1,
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most the number of samples"
            )]
            Filling::Parallel => ((n_samples as f64 * frac_mask_templates) as usize).max(1),
        }
    }

    fn hide(&self, wanted: &Wanted<'_>) -> Filled {
        self.hide_in(wanted, self.n_templates(wanted.n_samples))
    }

    /// Chooses the words to hide in each template, and shares the samples out among the templates.
    fn hide_in(&self, wanted: &Wanted<'_>, n_templates: usize) -> Filled {
        let Wanted { anchor, n_samples, seed } = *wanted;
        let free: Vec<usize> =
            (0..self.words().len()).filter(|word| !anchor.contains(word)).collect();
        let n_templates = n_templates.min(n_samples);
        let template = |template: usize| {
            let mut stream = seed.child(HIDDEN).child(template as u64).stream();
            let hidden = |_: &&usize| stream.uniform() < self.params.sample_proba;
            let mut hidden: Vec<usize> = free.iter().filter(hidden).copied().collect();
            // As many as a binomial number says, but at least one.
            if hidden.is_empty() && !free.is_empty() {
                hidden.push(free[stream.index(free.len())]);
            }
            hidden
        };
        let samples = (0..n_templates).flat_map(|template| {
            let more = usize::from(template < n_samples % n_templates);
            std::iter::repeat_n((template, Vec::new()), n_samples / n_templates + more)
        });
        Filled { templates: (0..n_templates).map(template).collect(), samples: samples.collect() }
    }

    /// A template as the language model reads it: each hidden word is one mask, whatever its number of tokens.
    fn masked(&self, hidden: &[usize]) -> Masked {
        let (mut ids, mut positions) = (Vec::with_capacity(self.head.ids.len()), Vec::new());
        let mut read = 0;
        for &word in hidden {
            let tokens = &self.words()[word].tokens;
            ids.extend_from_slice(&self.head.ids[read..tokens.start]);
            positions.push(ids.len());
            ids.push(self.mask_id);
            read = tokens.end;
        }
        ids.extend_from_slice(&self.head.ids[read..]);
        Masked { ids, positions }
    }

    /// Fills all hidden words of each sample independently of each other.
    fn fill_at_once(&mut self, wanted: &[Wanted<'_>], filled: &mut [Filled]) -> Result<()> {
        let templates = filled.iter().flat_map(|filled| &filled.templates);
        let masked: Vec<Masked> = templates
            .filter(|hidden| !hidden.is_empty())
            .map(|hidden| self.masked(hidden))
            .collect();
        let mut pools = self.fillers.pools(&masked)?.into_iter();
        for (wanted, filled) in wanted.iter().zip(filled) {
            let of_template: Vec<Option<Rc<_>>> = filled
                .templates
                .iter()
                .map(|hidden| (!hidden.is_empty()).then(|| pools.next().expect("one for each")))
                .collect();
            for (sample, (template, tokens)) in filled.samples.iter_mut().enumerate() {
                let mut stream = wanted.seed.child(FILLED).child(sample as u64).stream();
                let pools = of_template[*template].iter().flat_map(|pools| pools.iter());
                tokens.extend(pools.map(|pool| pool.draw(&mut stream)));
            }
        }
        Ok(())
    }

    /// Fills the hidden words of each sample from left to right, each in the context of those before it.
    fn fill_one_by_one(&mut self, wanted: &[Wanted<'_>], filled: &mut [Filled]) -> Result<()> {
        struct Open<'f> {
            masked: Masked,
            positions: Vec<usize>,
            stream: xai_core::Stream,
            tokens: &'f mut Vec<usize>,
        }
        let mut open = Vec::new();
        for (wanted, Filled { templates, samples }) in wanted.iter().zip(filled) {
            for (sample, (template, tokens)) in samples.iter_mut().enumerate() {
                let Masked { ids, positions } = self.masked(&templates[*template]);
                let masked = Masked { ids, positions: Vec::new() };
                let stream = wanted.seed.child(FILLED).child(sample as u64).stream();
                open.push(Open { masked, positions, stream, tokens });
            }
        }
        for step in 0.. {
            open.retain(|text| step < text.positions.len());
            if open.is_empty() {
                break;
            }
            for text in &mut open {
                text.masked.positions = vec![text.positions[step]];
            }
            let masked: Vec<Masked> = open.iter().map(|text| text.masked.clone()).collect();
            for (text, pools) in open.iter_mut().zip(self.fillers.pools(&masked)?) {
                let token = pools[0].draw(&mut text.stream);
                text.masked.ids[text.positions[step]] = self.fillers.id(token);
                text.tokens.push(token);
            }
        }
        Ok(())
    }
}
