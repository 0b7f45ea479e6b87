//! The bundled tables with a trained network each.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use ndarray::{Array1, Array2};
use serde::Deserialize;
use xai_candle::candle_core::{self, Device, Tensor};
use xai_core::serde_arrays;

use crate::models::{Activation, Dense, Head, Layer};

/// A table of numbers, standardised, and a network with a class probability for each output.
#[derive(Debug)]
pub struct Table {
    /// The network.
    pub network: Dense,
    /// The rows that the network was trained on.
    pub train: Array2<f64>,
    /// 40 others.
    pub test: Array2<f64>,
}

#[derive(Deserialize)]
struct Content {
    layers: usize,
    activation: Activation,
    head: Head,
    #[serde(with = "serde_arrays")]
    x_train: Array2<f64>,
    #[serde(with = "serde_arrays")]
    x_test: Array2<f64>,
}

impl Table {
    /// Fisher's irises: 4 columns, 3 classes.
    ///
    /// # Errors
    /// When the files in the repository cannot be read.
    pub fn iris() -> Result<Self> {
        Self::load("iris_mlp")
    }

    /// Breast cancer in Wisconsin, as scikit-learn distributes it: 30 columns, 2 classes.
    ///
    /// # Errors
    /// When the files in the repository cannot be read.
    pub fn cancer() -> Result<Self> {
        Self::load("cancer_mlp")
    }

    fn load(name: &str) -> Result<Self> {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/xai-testkit/fixtures/models");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json")))
            .context(name.to_owned())?;
        let content: Content = serde_json::from_str(&text).context(name.to_owned())?;
        let path = folder.join(format!("{name}.safetensors"));
        let tensors: BTreeMap<String, Tensor> =
            candle_core::safetensors::load(&path, &Device::Cpu)?.into_iter().collect();
        let tensor = |name: String| {
            let tensor =
                tensors.get(&name).with_context(|| format!("there is no weight {name}"))?;
            anyhow::Ok((tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1::<f64>()?))
        };
        let layer = |index: usize| {
            let (shape, numbers) = tensor(format!("dense{index}.weight"))?;
            let weight = Array2::from_shape_vec((shape[0], shape[1]), numbers)?;
            let (_, bias) = tensor(format!("dense{index}.bias"))?;
            let weight = weight.t().as_standard_layout().into_owned();
            anyhow::Ok(Layer { weight, bias: Array1::from(bias) })
        };
        let layers = (0..content.layers).map(layer).collect::<Result<_>>()?;
        let network = Dense { layers, activation: content.activation, head: content.head };
        Ok(Table { network, train: content.x_train, test: content.x_test })
    }
}
