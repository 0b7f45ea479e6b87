//! The tokens that may fill a hidden word, and the language model's opinion of them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use xai_core::{Error, Result, Stream, require};

use super::interface::LanguageModel;
use super::words::{failed, is_punctuation};
use crate::filling::FillingParams;

/// The most answers of the language model to remember: a few MB with the default `top_n`.
const MOST_REMEMBERED: usize = 1 << 13;

/// A text with hidden words, as the language model reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Masked {
    pub ids: Vec<u32>,
    /// The hidden words to fill now.
    pub positions: Vec<usize>,
}

/// The tokens a word is drawn from, by place among the admissible ones.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// Ascending, so that the order of nearly equal scores never reaches a draw.
    tokens: Vec<usize>,
    /// The running sums of their probabilities; `None` for equal ones.
    sums: Option<Vec<f64>>,
}

impl Pool {
    /// The `top_n` most likely of the admissible tokens.
    fn of(logits: &[f32], admissible: &[u32], params: &FillingParams) -> Result<Self> {
        let score = |token: usize| f64::from(logits[admissible[token] as usize]);
        let refused = (0..admissible.len()).find(|&token| {
            let score = score(token);
            score.is_nan() || score == f64::INFINITY
        });
        if let Some(token) = refused {
            let (what, at) = ("the language model's scores", vec![admissible[token] as usize]);
            return Err(Error::NotFinite { what, at, value: score(token) });
        }
        // A score of minus infinity means that the token is impossible there.
        let mut tokens: Vec<usize> =
            (0..admissible.len()).filter(|&token| f64::NEG_INFINITY < score(token)).collect();
        if tokens.is_empty() {
            return Err(failed(1, "it admits no token for a hidden word".into()));
        }
        let by_score = |&one: &usize, &other: &usize| {
            score(other).total_cmp(&score(one)).then(one.cmp(&other))
        };
        if params.top_n < tokens.len() {
            tokens.select_nth_unstable_by(params.top_n - 1, by_score);
            tokens.truncate(params.top_n);
        }
        tokens.sort_unstable();
        let sums = params.use_proba.then(|| {
            let highest = tokens.iter().map(|&token| score(token)).fold(f64::MIN, f64::max);
            let mut sum = 0.0;
            let weight = |&token: &usize| {
                sum += ((score(token) - highest) / params.temperature).exp();
                sum
            };
            tokens.iter().map(weight).collect()
        });
        Ok(Pool { tokens, sums })
    }

    /// One of the tokens, by place among the admissible ones.
    pub(super) fn draw(&self, stream: &mut Stream) -> usize {
        let Some(sums) = &self.sums else { return self.tokens[stream.index(self.tokens.len())] };
        let at = stream.uniform() * sums[sums.len() - 1];
        self.tokens[sums.partition_point(|&sum| sum <= at).min(sums.len() - 1)]
    }
}

/// A language model as a source of words.
pub(super) struct Fillers<'m> {
    model: &'m dyn LanguageModel,
    params: FillingParams,
    /// The tokens that may fill a word, ascending.
    admissible: Vec<u32>,
    /// The same as text.
    texts: Vec<String>,
    /// What the model has read, with a pool for each position: the same words are hidden again and again.
    known: BTreeMap<Masked, Rc<Vec<Pool>>>,
    /// Texts that the model has read.
    passes: u64,
}

impl<'m> Fillers<'m> {
    pub(super) fn new(model: &'m dyn LanguageModel, params: &FillingParams) -> Result<Self> {
        let special: BTreeSet<u32> =
            model.special_ids().into_iter().chain([model.mask_id()]).collect();
        let n_vocabulary = u32::try_from(model.n_vocabulary()).unwrap_or(u32::MAX);
        let (mut admissible, mut texts) = (Vec::new(), Vec::new());
        for id in 0..n_vocabulary {
            let is_head = model.token(id).is_some_and(|token| !model.is_subword_tail(token));
            if !is_head || special.contains(&id) {
                continue;
            }
            let text = model.decode(&[id]).map_err(|source| failed(1, source))?;
            let text = text.trim();
            if !text.is_empty() && (params.sample_punctuation || !is_punctuation(params, text)) {
                admissible.push(id);
                texts.push(text.to_owned());
            }
        }
        require(
            !admissible.is_empty(),
            "language_model",
            "one with a token that may fill a word",
            format!("a vocabulary of {n_vocabulary} tails, special tokens and punctuation"),
        )?;
        let params = params.clone();
        Ok(Fillers { model, params, admissible, texts, known: BTreeMap::new(), passes: 0 })
    }

    /// Texts that the model has read so far.
    pub(super) fn passes(&self) -> u64 {
        self.passes
    }

    /// The id of an admissible token.
    pub(super) fn id(&self, token: usize) -> u32 {
        self.admissible[token]
    }

    /// An admissible token as text.
    pub(super) fn text(&self, token: usize) -> &str {
        &self.texts[token]
    }

    /// The pools of each text, one for each of its positions. Equal texts are read once.
    pub(super) fn pools(&mut self, wanted: &[Masked]) -> Result<Vec<Rc<Vec<Pool>>>> {
        let mut answers: BTreeMap<&Masked, Option<Rc<Vec<Pool>>>> = BTreeMap::new();
        for masked in wanted {
            answers.entry(masked).or_insert_with(|| self.known.get(masked).map(Rc::clone));
        }
        let new: Vec<&Masked> = answers
            .iter()
            .filter(|(_, pools)| pools.is_none())
            .map(|(&masked, _)| masked)
            .collect();
        for batch in new.chunks(self.params.batch_size_lm) {
            for (&masked, pools) in batch.iter().zip(self.read(batch)?) {
                let pools = Rc::new(pools);
                if self.known.len() < MOST_REMEMBERED {
                    self.known.insert(masked.clone(), Rc::clone(&pools));
                }
                answers.insert(masked, Some(pools));
            }
        }
        let pools = |masked| answers[masked].as_ref().map(Rc::clone).expect("just read");
        Ok(wanted.iter().map(pools).collect())
    }

    /// One call of the model.
    fn read(&mut self, batch: &[&Masked]) -> Result<Vec<Vec<Pool>>> {
        let rows: Vec<&[u32]> = batch.iter().map(|masked| &masked.ids[..]).collect();
        let positions: Vec<&[usize]> = batch.iter().map(|masked| &masked.positions[..]).collect();
        let n_positions = positions.iter().map(|positions| positions.len()).sum();
        let logits =
            self.model.logits_at(&rows, &positions).map_err(|source| failed(rows.len(), source))?;
        let expected = [n_positions, self.model.n_vocabulary()];
        xai_core::same_shape("the language model's scores", &expected, logits.shape())?;
        self.passes += batch.len() as u64;
        let mut logits = logits.rows().into_iter();
        let mut pool = || {
            let scores = logits.next().expect("as many as positions").to_vec();
            Pool::of(&scores, &self.admissible, &self.params)
        };
        batch.iter().map(|masked| masked.positions.iter().map(|_| pool()).collect()).collect()
    }
}
