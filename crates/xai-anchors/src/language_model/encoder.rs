//! The transformer behind BERT, DistilBERT and RoBERTa: they differ in the names of their tensors, in the number of the
//! first position and in the embedding of segments.
//!
//! One row is one pass: no padding, and no bit of a row's scores depends on the rows beside it.

use candle_core::{Device, IndexOp, Module, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{LayerNorm, Linear};

use super::error::LanguageModelError;
use super::weights::{Activation, Architecture, Config, Weights};

/// A masked language model on token ids.
pub(super) struct Encoder {
    words: Tensor,
    /// Embeddings of positions, those of the first token first, with that of the only segment added.
    positions: Tensor,
    normalization: LayerNorm,
    layers: Vec<Layer>,
    head: Head,
    activation: Activation,
    n_heads: usize,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_normalization: LayerNorm,
    inner: Linear,
    outer: Linear,
    output_normalization: LayerNorm,
}

/// Scores of the vocabulary for a hidden state.
struct Head {
    dense: Linear,
    activation: Activation,
    normalization: LayerNorm,
    decoder: Linear,
}

/// What an architecture calls its tensors.
struct Names {
    embeddings: &'static str,
    layers: &'static str,
    /// In the order of [`Layer`].
    layer: [&'static str; 8],
    dense: &'static str,
    normalization: &'static str,
    decoder: &'static str,
    bias: &'static str,
}

const BERT: Names = Names {
    embeddings: "bert.embeddings",
    layers: "bert.encoder.layer",
    layer: [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ],
    dense: "cls.predictions.transform.dense",
    normalization: "cls.predictions.transform.LayerNorm",
    decoder: "cls.predictions.decoder",
    bias: "cls.predictions.bias",
};

const ROBERTA: Names = Names {
    embeddings: "roberta.embeddings",
    layers: "roberta.encoder.layer",
    layer: BERT.layer,
    dense: "lm_head.dense",
    normalization: "lm_head.layer_norm",
    decoder: "lm_head.decoder",
    bias: "lm_head.bias",
};

const DISTILBERT: Names = Names {
    embeddings: "distilbert.embeddings",
    layers: "distilbert.transformer.layer",
    layer: [
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "sa_layer_norm",
        "ffn.lin1",
        "ffn.lin2",
        "output_layer_norm",
    ],
    dense: "vocab_transform",
    normalization: "vocab_layer_norm",
    decoder: "vocab_projector",
    bias: "vocab_projector.bias",
};

fn activate(activation: Activation, x: &Tensor) -> candle_core::Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluNew => x.gelu(),
        Activation::Relu => x.relu(),
    }
}

impl Encoder {
    pub(super) fn load(config: &Config, weights: &Weights) -> Result<Self, LanguageModelError> {
        let names = match config.architecture {
            Architecture::Bert => &BERT,
            Architecture::DistilBert => &DISTILBERT,
            Architecture::Roberta => &ROBERTA,
        };
        let (size, epsilon) = (config.hidden_size, config.layer_norm_eps);
        let embeddings = names.embeddings;
        let table = |name: &str, n_rows: usize| {
            weights.tensor(&[format!("{embeddings}.{name}.weight")], &[n_rows, size])
        };
        let words = table("word_embeddings", config.vocab_size)?;
        let positions = table("position_embeddings", config.max_position_embeddings)?;
        let segment = match config.architecture {
            Architecture::DistilBert => None,
            _ => Some(table("token_type_embeddings", config.type_vocab_size)?),
        };
        let first = config.first_position();
        let positions = || -> candle_core::Result<Tensor> {
            let positions = positions.narrow(0, first, config.max_position_embeddings - first)?;
            match &segment {
                None => Ok(positions),
                Some(segments) => positions.broadcast_add(&segments.i(0)?),
            }
        };
        let positions = positions().map_err(|error| weights.refuse(&error))?;
        let normalization =
            weights.layer_norm(&format!("{embeddings}.LayerNorm"), size, epsilon)?;
        let layer = |number: usize| {
            let name = |part: usize| format!("{}.{number}.{}", names.layers, names.layer[part]);
            let linear = |part: usize| weights.linear(&name(part), size, size);
            let normalization = |part: usize| weights.layer_norm(&name(part), size, epsilon);
            Ok(Layer {
                query: linear(0)?,
                key: linear(1)?,
                value: linear(2)?,
                attention_output: linear(3)?,
                attention_normalization: normalization(4)?,
                inner: weights.linear(&name(5), size, config.intermediate_size)?,
                outer: weights.linear(&name(6), config.intermediate_size, size)?,
                output_normalization: normalization(7)?,
            })
        };
        let layers: Result<Vec<Layer>, LanguageModelError> =
            (0..config.num_hidden_layers).map(layer).collect();
        // Files leave out what is shared: the decoder is the embedding of the words, unless they contain it.
        let decoder_weight = format!("{}.weight", names.decoder);
        let decoder = match weights.contains(&decoder_weight) {
            true => weights.tensor(&[decoder_weight], &[config.vocab_size, size])?,
            false => words.clone(),
        };
        let biases = [names.bias.to_owned(), format!("{}.bias", names.decoder)];
        let bias = weights.tensor(&biases, &[config.vocab_size])?;
        let head = Head {
            dense: weights.linear(names.dense, size, size)?,
            // RoBERTa's head has no choice.
            activation: match config.architecture {
                Architecture::Roberta => Activation::Gelu,
                _ => config.hidden_act,
            },
            normalization: weights.layer_norm(names.normalization, size, epsilon)?,
            decoder: Linear::new(decoder, Some(bias)),
        };
        let (activation, n_heads) = (config.hidden_act, config.num_attention_heads);
        Ok(Encoder { words, positions, normalization, layers: layers?, head, activation, n_heads })
    }

    /// Scores at some positions of one row, shape `(n_positions, n_vocabulary)`.
    pub(super) fn logits_at(&self, ids: &[u32], positions: &[u32]) -> candle_core::Result<Tensor> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let embedded = self.words.index_select(&ids, 0)?;
        let embedded = (embedded + self.positions.narrow(0, 0, ids.dim(0)?)?)?;
        let mut states = self.normalization.forward(&embedded)?;
        for layer in &self.layers {
            states = self.layer(layer, &states)?;
        }
        let states = states.index_select(&Tensor::new(positions, &Device::Cpu)?, 0)?;
        let Head { dense, activation, normalization, decoder } = &self.head;
        let states = activate(*activation, &dense.forward(&states)?)?;
        decoder.forward(&normalization.forward(&states)?)
    }

    fn layer(&self, layer: &Layer, states: &Tensor) -> candle_core::Result<Tensor> {
        let attended = layer.attention_output.forward(&self.attention(layer, states)?)?;
        let states = layer.attention_normalization.forward(&(attended + states)?)?;
        let inner = activate(self.activation, &layer.inner.forward(&states)?)?;
        layer.output_normalization.forward(&(layer.outer.forward(&inner)? + states)?)
    }

    /// Vaswani et al. 2017, equation 1, for each head.
    fn attention(&self, layer: &Layer, states: &Tensor) -> candle_core::Result<Tensor> {
        let (length, size) = states.dims2()?;
        let of_head = size / self.n_heads;
        let heads = |linear: &Linear| {
            let projected = linear.forward(states)?.reshape((length, self.n_heads, of_head))?;
            projected.transpose(0, 1)?.contiguous()
        };
        let (query, key, value) = (heads(&layer.query)?, heads(&layer.key)?, heads(&layer.value)?);
        let scale = 1.0 / (of_head as f64).sqrt();
        let weights = softmax_last_dim(&(query.matmul(&key.t()?)? * scale)?)?;
        weights.matmul(&value)?.transpose(0, 1)?.reshape((length, size))
    }
}
