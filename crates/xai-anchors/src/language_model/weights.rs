//! The files of a model: its shape and its tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::{LayerNorm, Linear};
use serde::Deserialize;

use super::error::LanguageModelError;

/// Which of the architectures that share one encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Architecture {
    Bert,
    DistilBert,
    Roberta,
}

/// The nonlinearity of the feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Activation {
    /// With the error function.
    Gelu,
    /// Its approximation by the hyperbolic tangent.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    Relu,
}

/// The shape of a model, `config.json`; the aliases are DistilBERT's names.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    #[serde(rename = "model_type")]
    pub architecture: Architecture,
    pub vocab_size: usize,
    #[serde(alias = "dim")]
    pub hidden_size: usize,
    #[serde(alias = "n_layers")]
    pub num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    pub num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    pub intermediate_size: usize,
    #[serde(alias = "activation")]
    pub hidden_act: Activation,
    pub max_position_embeddings: usize,
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    #[serde(default = "small")]
    pub layer_norm_eps: f64,
    #[serde(default)]
    pub pad_token_id: Option<u32>,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

/// The segments of a text where the configuration does not count them: a sentence and the next.
fn two() -> usize {
    2
}

/// The epsilon of layer normalization where the configuration names none.
fn small() -> f64 {
    1e-12
}

impl Config {
    /// Reads and checks a `config.json`.
    pub(super) fn read(path: &Path) -> Result<Self, LanguageModelError> {
        let bytes = read(path)?;
        let refuse =
            |reason: String| LanguageModelError::Config { path: path.to_path_buf(), reason };
        let config: Config =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        let Config { hidden_size, num_attention_heads, .. } = config;
        if num_attention_heads == 0 || hidden_size == 0 || hidden_size % num_attention_heads != 0 {
            return Err(refuse(format!(
                "{num_attention_heads} attention heads do not share a hidden size of {hidden_size}"
            )));
        }
        let positions = config.position_embedding_type.as_deref().unwrap_or("absolute");
        if positions != "absolute" {
            return Err(refuse(format!("`{positions}` position embeddings are not supported")));
        }
        if config.max_position_embeddings <= config.first_position() {
            let most = config.max_position_embeddings;
            return Err(refuse(format!("{most} position embeddings leave no room for a token")));
        }
        Ok(config)
    }

    /// The position of a row's first token: RoBERTa counts from behind its padding token.
    pub(super) fn first_position(&self) -> usize {
        match self.architecture {
            Architecture::Roberta => self.pad_token_id.unwrap_or(1) as usize + 1,
            Architecture::Bert | Architecture::DistilBert => 0,
        }
    }
}

/// The contents of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LanguageModelError> {
    std::fs::read(path)
        .map_err(|source| LanguageModelError::Io { path: path.to_path_buf(), source })
}

/// The tensors of a `model.safetensors`, by name.
pub(super) struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    pub(super) fn read(path: &Path) -> Result<Self, LanguageModelError> {
        let bytes = read(path)?;
        let mut weights = Weights { path: path.to_path_buf(), tensors: BTreeMap::new() };
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        weights.tensors.extend(tensors.map_err(|error| weights.refuse(&error))?);
        Ok(weights)
    }

    /// The error of a file that cannot be used.
    pub(super) fn refuse(&self, error: &candle_core::Error) -> LanguageModelError {
        let (path, reason) = (self.path.clone(), error.to_string());
        LanguageModelError::Weights { path, reason }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor of the first of these names that is there, in single precision.
    pub(super) fn tensor(
        &self,
        names: &[String],
        shape: &[usize],
    ) -> Result<Tensor, LanguageModelError> {
        let path = || self.path.clone();
        let Some((name, tensor)) = names.iter().find_map(|name| self.tensors.get_key_value(name))
        else {
            return Err(LanguageModelError::Missing { path: path(), name: names[0].clone() });
        };
        if tensor.dims() != shape {
            let (expected, got) = (shape.to_vec(), tensor.dims().to_vec());
            return Err(LanguageModelError::Shape {
                path: path(),
                name: name.clone(),
                expected,
                got,
            });
        }
        tensor.to_dtype(DType::F32).map_err(|error| self.refuse(&error))
    }

    /// An affine layer.
    pub(super) fn linear(
        &self,
        name: &str,
        from: usize,
        to: usize,
    ) -> Result<Linear, LanguageModelError> {
        let weight = self.tensor(&[format!("{name}.weight")], &[to, from])?;
        let bias = self.tensor(&[format!("{name}.bias")], &[to])?;
        Ok(Linear::new(weight, Some(bias)))
    }

    /// A layer normalization; files that come from TensorFlow call its tensors gamma and beta.
    pub(super) fn layer_norm(
        &self,
        name: &str,
        size: usize,
        epsilon: f64,
    ) -> Result<LayerNorm, LanguageModelError> {
        let tensor =
            |name: &str, old: &str| self.tensor(&[name.to_owned(), old.to_owned()], &[size]);
        let weight = tensor(&format!("{name}.weight"), &format!("{name}.gamma"))?;
        let bias = tensor(&format!("{name}.bias"), &format!("{name}.beta"))?;
        Ok(LayerNorm::new(weight, bias, epsilon))
    }
}
