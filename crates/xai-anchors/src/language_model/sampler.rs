//! Texts in which some words are filled in by a language model.

use std::ops::Range;
use std::rc::Rc;

use ndarray::Array2;
use xai_core::{Error, Result, Run, Seed, Valid, require};

use super::fillers::{Fillers, Masked};
use super::interface::LanguageModel;
use super::words::Head;
use crate::bits::Bits;
use crate::filling::{Filling, FillingParams};
use crate::perturber::{Draw, Perturber, Samples, Word};

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
    params: FillingParams,
    head: Head,
    /// The words of the head, for the explanation.
    words: Vec<Word>,
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

/// Samples that are not written out yet.
#[derive(Clone, Debug, PartialEq)]
struct Filled {
    /// The words hidden in each template, ascending.
    templates: Vec<Vec<usize>>,
    /// For each sample its template, and the token that fills each word hidden there.
    samples: Vec<(usize, Vec<usize>)>,
}

impl Filled {
    /// The samples in which a word was left as it is.
    fn kept(&self, word: usize) -> Bits {
        let hidden: Vec<bool> =
            self.templates.iter().map(|words| words.binary_search(&word).is_ok()).collect();
        Bits::from_fn(self.samples.len(), |sample| !hidden[self.samples[sample].0])
    }
}

impl<'a> LanguageModelSampler<'a> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// [`Error::Empty`] when the text is; [`Error::Param`] when its first word is longer than the model has room for, and
    /// when no token of the vocabulary may fill a word; [`Error::Predictor`] when the tokenizer fails.
    ///
    /// # Cost
    /// One decoding of each token of the vocabulary.
    pub fn new(
        model: &'a dyn LanguageModel,
        params: &Valid<FillingParams>,
        text: &'a str,
    ) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(Error::Empty { what: "the text" });
        }
        let head = Head::of(model, params, text)?;
        let fillers = Fillers::new(model, params)?;
        let (mut byte, mut n_chars) = (0, 0);
        let mut chars = |until: usize| {
            n_chars += text[byte..until].chars().count();
            byte = until;
            n_chars
        };
        let word = |word: &super::words::HeadWord| Word {
            text: text[word.bytes.clone()].to_owned(),
            chars: [chars(word.bytes.start), chars(word.bytes.end)],
            bytes: [word.bytes.start, word.bytes.end],
            first_token: Some(word.tokens.start),
        };
        let words = head.words.iter().map(word).collect();
        let (mask_id, params) = (model.mask_id(), FillingParams::clone(params));
        Ok(LanguageModelSampler { text, mask_id, params, head, words, fillers })
    }

    /// The bytes of the words that may be hidden, from left to right; their places in this list are their numbers.
    #[must_use]
    pub fn spans(&self) -> Vec<Range<usize>> {
        self.head.words.iter().map(|word| word.bytes.clone()).collect()
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

    /// Texts that keep the words of an anchor, given by number; those of [`AnchorText`](crate::AnchorText) are
    /// made so.
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
        let n_words = self.words.len();
        let unknown = anchor.iter().find(|&&word| n_words <= word);
        require(unknown.is_none(), "anchor", format!("numbers of {n_words} words"), anchor)?;
        let draw = Draw { anchor, n: n_samples, seed: seed.into() };
        let filled = &self.fill(&[draw])?[0];
        let texts = (0..n_samples).map(|sample| self.write(filled, sample)).collect();
        let mut kept = Array2::from_elem((n_samples, n_words), true);
        for (mut kept, (template, _)) in kept.rows_mut().into_iter().zip(&filled.samples) {
            filled.templates[*template].iter().for_each(|&word| kept[word] = false);
        }
        Ok(FilledTexts { texts, kept })
    }

    /// Makes several draws; the language model reads for all of them together.
    fn fill(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Filled>> {
        let hide = |draw: &Draw<'_>| self.hide(draw, self.n_templates(draw.n));
        let mut filled: Vec<Filled> = draws.iter().map(hide).collect();
        match self.params.filling {
            Filling::Parallel => self.fill_at_once(draws, &mut filled)?,
            Filling::Autoregressive => self.fill_one_by_one(draws, &mut filled)?,
        }
        Ok(filled)
    }

    /// A sample as text.
    fn write(&self, filled: &Filled, sample: usize) -> String {
        let (template, tokens) = &filled.samples[sample];
        let mut text = String::with_capacity(self.text.len());
        let mut written = 0;
        for (&word, &token) in filled.templates[*template].iter().zip(tokens) {
            let bytes = &self.head.words[word].bytes;
            text.push_str(&self.text[written..bytes.start]);
            text.push_str(self.fillers.text(token));
            written = bytes.end;
        }
        text.push_str(&self.text[written..]);
        text
    }

    /// How many templates a request of samples has.
    fn n_templates(&self, n_samples: usize) -> usize {
        let FillingParams { filling, frac_mask_templates, sample_proba, .. } = self.params;
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

    /// Chooses the words to hide in each template, and shares the samples out among the templates.
    fn hide(&self, draw: &Draw<'_>, n_templates: usize) -> Filled {
        let Draw { anchor, n: n_samples, seed } = *draw;
        let free: Vec<usize> =
            (0..self.words.len()).filter(|word| !anchor.contains(word)).collect();
        let n_templates = n_templates.min(n_samples);
        let template = |template: usize| {
            let mut stream = seed.child(HIDDEN).child(template as u64).stream();
            let hidden = |_: &&usize| stream.uniform() < self.params.sample_proba;
            let mut hidden: Vec<usize> = free.iter().filter(hidden).copied().collect();
            // A binomial number of words, but at least one.
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
            let tokens = &self.head.words[word].tokens;
            ids.extend_from_slice(&self.head.ids[read..tokens.start]);
            positions.push(ids.len());
            ids.push(self.mask_id);
            read = tokens.end;
        }
        ids.extend_from_slice(&self.head.ids[read..]);
        Masked { ids, positions }
    }

    /// Fills all hidden words of each sample independently of each other.
    fn fill_at_once(&mut self, draws: &[Draw<'_>], filled: &mut [Filled]) -> Result<()> {
        let templates = filled.iter().flat_map(|filled| &filled.templates);
        let masked: Vec<Masked> = templates
            .filter(|hidden| !hidden.is_empty())
            .map(|hidden| self.masked(hidden))
            .collect();
        let mut pools = self.fillers.pools(&masked)?.into_iter();
        for (draw, filled) in draws.iter().zip(filled) {
            let of_template: Vec<Option<Rc<_>>> = filled
                .templates
                .iter()
                .map(|hidden| (!hidden.is_empty()).then(|| pools.next().expect("one for each")))
                .collect();
            for (sample, (template, tokens)) in filled.samples.iter_mut().enumerate() {
                let mut stream = draw.seed.child(FILLED).child(sample as u64).stream();
                let pools = of_template[*template].iter().flat_map(|pools| pools.iter());
                tokens.extend(pools.map(|pool| pool.draw(&mut stream)));
            }
        }
        Ok(())
    }

    /// Fills the hidden words of each sample from left to right, each in the context of those before it.
    fn fill_one_by_one(&mut self, draws: &[Draw<'_>], filled: &mut [Filled]) -> Result<()> {
        struct Open<'f> {
            masked: Masked,
            positions: Vec<usize>,
            stream: xai_core::Stream,
            tokens: &'f mut Vec<usize>,
        }
        let mut open = Vec::new();
        for (draw, Filled { templates, samples }) in draws.iter().zip(filled) {
            for (sample, (template, tokens)) in samples.iter_mut().enumerate() {
                let Masked { ids, positions } = self.masked(&templates[*template]);
                let masked = Masked { ids, positions: Vec::new() };
                let stream = draw.seed.child(FILLED).child(sample as u64).stream();
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

impl Perturber for LanguageModelSampler<'_> {
    fn words(&self) -> &[Word] {
        &self.words
    }

    fn unperturbed(&self) -> &str {
        self.text
    }

    fn coverage(&self, n: usize, seed: Seed) -> Vec<Bits> {
        // A template costs nothing here, so that each sample has another.
        let filled = self.hide(&Draw { anchor: &[], n, seed }, n);
        (0..self.words.len()).map(|word| filled.kept(word)).collect()
    }

    fn sample(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Samples>> {
        let filled = self.fill(draws)?;
        let samples = |filled: &Filled| Samples {
            texts: (0..filled.samples.len()).map(|sample| self.write(filled, sample)).collect(),
            kept: (0..self.words.len()).map(|word| filled.kept(word)).collect(),
        };
        Ok(filled.iter().map(samples).collect())
    }

    fn warn(&self, has_certificate: bool, run: &mut Run<'_>) {
        if let Some(tail) = self.tail() {
            let n_chars = self.text[..tail].chars().count();
            run.warn(
                "anchors.longer_than_the_language_model",
                format!("the text never changes from character {n_chars} on, for which the language model has no room"),
            );
        }
        let params = &self.params;
        let shares = params.filling == Filling::Parallel && params.frac_mask_templates < 1.0;
        if shares && has_certificate {
            run.warn(
                "anchors.shared_masks",
                "samples that hide the same words are not independent, so that the bounds are too narrow; frac_mask_templates = 1 has none",
            );
        }
    }

    fn language_model_passes(&self) -> Option<u64> {
        Some(self.passes())
    }
}
