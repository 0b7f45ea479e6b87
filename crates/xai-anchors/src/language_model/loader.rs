//! Masked language models from a folder of files.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::Tensor;
use ndarray::Array2;
use tokenizers::Tokenizer;
use xai_core::{BoxError, parallel};

use super::encoder::Encoder;
use super::error::LanguageModelError;
use super::interface::{LanguageModel, TextToken};
use super::weights::{Architecture, Config, Weights, read};

/// BERT, DistilBERT or RoBERTa with its head for hidden words, in single precision on the processor.
///
/// Rows are read side by side on the threads of the rayon pool, each in a separate pass, so that the scores of a row
/// are the same bits whatever stands beside it.
///
/// # Cost
/// A pass of a BERT of ordinary size (12 layers, 110 million weights) takes about 0.2 GFLOP for each token.
pub struct CandleLanguageModel {
    encoder: Encoder,
    tokenizer: Tokenizer,
    /// The tokens by id.
    vocabulary: Vec<Option<String>>,
    /// What the tokenizer puts before a text and after it.
    around: (Vec<u32>, Vec<u32>),
    mask_id: u32,
    special_ids: Vec<u32>,
    max_tokens: usize,
    architecture: Architecture,
}

impl CandleLanguageModel {
    /// Loads a model from a folder with `config.json`, `tokenizer.json` and `model.safetensors`, as the Hugging Face
    /// hub and `save_pretrained` of transformers write them.
    ///
    /// # Errors
    /// [`LanguageModelError`] with the file, and what is wrong with it or missing in it.
    pub fn from_directory(directory: impl AsRef<Path>) -> Result<Self, LanguageModelError> {
        let directory = directory.as_ref();
        let config = Config::read(&directory.join("config.json"))?;
        let path = directory.join("tokenizer.json");
        let refuse = |reason: String| LanguageModelError::Tokenizer { path: path.clone(), reason };
        let refused = |error: BoxError| refuse(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(read(&path)?).map_err(refused)?;
        // Rows are cut between words, and each is read without padding.
        tokenizer.with_truncation(None).map_err(refused)?.with_padding(None);
        let weights = Weights::read(&directory.join("model.safetensors"))?;
        let encoder = Encoder::load(&config, &weights)?;

        let n_tokens = config.vocab_size;
        let vocabulary: Vec<Option<String>> = (0..n_tokens)
            .map(|id| u32::try_from(id).ok().and_then(|id| tokenizer.id_to_token(id)))
            .collect();
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if n_tokens <= largest {
            return Err(refuse(format!(
                "its ids go up to {largest}, the model's below {n_tokens}"
            )));
        }
        let mask_id = ["[MASK]", "<mask>"]
            .iter()
            .find_map(|mask| tokenizer.token_to_id(mask))
            .ok_or_else(|| refuse("it has no token `[MASK]` or `<mask>`".to_owned()))?;
        let around = around(&tokenizer).map_err(refused)?;
        let n_around = around.0.len() + around.1.len();
        let added = tokenizer.get_added_tokens_decoder();
        let special_ids: BTreeSet<u32> = added
            .iter()
            .filter_map(|(&id, token)| token.special.then_some(id))
            .chain(around.0.iter().chain(&around.1).copied())
            .chain(config.pad_token_id)
            .chain([mask_id])
            .collect();
        let room = config.max_position_embeddings - config.first_position();
        let max_tokens = room
            .checked_sub(n_around + 1)
            .ok_or_else(|| refuse(format!("{room} positions are no room for a word")))?
            + 1;
        Ok(CandleLanguageModel {
            encoder,
            tokenizer,
            vocabulary,
            around,
            mask_id,
            special_ids: special_ids.into_iter().collect(),
            max_tokens,
            architecture: config.architecture,
        })
    }

    /// One pass.
    fn read(&self, ids: &[u32], positions: &[usize]) -> Result<Tensor, BoxError> {
        let n_tokens = ids.len();
        if self.max_tokens < n_tokens {
            let room = self.max_tokens;
            return Err(format!("a row has {n_tokens} tokens, there is room for {room}").into());
        }
        let (before, after) = &self.around;
        let row = [before, ids, after].concat();
        let place = |&position: &usize| {
            let inside = (position < n_tokens).then_some(position + before.len());
            inside.and_then(|place| u32::try_from(place).ok())
        };
        let places: Option<Vec<u32>> = positions.iter().map(place).collect();
        let places =
            places.ok_or_else(|| format!("a position is beyond the {n_tokens} tokens of a row"))?;
        Ok(self.encoder.logits_at(&row, &places)?)
    }
}

/// What the tokenizer puts before a text and after it.
fn around(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), BoxError> {
    let encoding = tokenizer.encode_fast("a", true)?;
    let (ids, special) = (encoding.get_ids(), encoding.get_special_tokens_mask());
    let first = special.iter().position(|&special| special == 0);
    let last = special.iter().rposition(|&special| special == 0);
    match first.zip(last) {
        Some((first, last)) => Ok((ids[..first].to_vec(), ids[last + 1..].to_vec())),
        None => Err("it finds no token in the text `a`".into()),
    }
}

impl LanguageModel for CandleLanguageModel {
    fn tokenize(&self, text: &str) -> Result<Vec<TextToken>, BoxError> {
        let encoding = self.tokenizer.encode(text, false)?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.map(|(&id, &(start, end))| TextToken { id, bytes: start..end }).collect())
    }

    fn n_vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    fn token(&self, id: u32) -> Option<&str> {
        self.vocabulary.get(id as usize)?.as_deref()
    }

    fn decode(&self, ids: &[u32]) -> Result<String, BoxError> {
        self.tokenizer.decode(ids, true)
    }

    fn is_subword_tail(&self, token: &str) -> bool {
        match self.architecture {
            Architecture::Bert | Architecture::DistilBert => token.starts_with("##"),
            // Byte-level vocabularies write a blank in front of a word as this letter.
            Architecture::Roberta => !token.starts_with('Ġ'),
        }
    }

    fn mask_id(&self) -> u32 {
        self.mask_id
    }

    fn special_ids(&self) -> Vec<u32> {
        self.special_ids.clone()
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(self.max_tokens)
    }

    fn logits_at(&self, rows: &[&[u32]], positions: &[&[usize]]) -> Result<Array2<f32>, BoxError> {
        if rows.len() != positions.len() {
            let (rows, lists) = (rows.len(), positions.len());
            return Err(format!("{rows} rows need as many lists of positions, got {lists}").into());
        }
        let passes = parallel::map(0..rows.len(), |row| {
            let logits = self.read(rows[row], positions[row])?;
            Ok(logits.flatten_all()?.to_vec1::<f32>()?)
        });
        let mut logits = Vec::new();
        for pass in passes {
            let pass: Result<Vec<f32>, BoxError> = pass;
            logits.extend(pass?);
        }
        let n_positions = positions.iter().map(|positions| positions.len()).sum();
        Ok(Array2::from_shape_vec((n_positions, self.vocabulary.len()), logits)?)
    }
}
