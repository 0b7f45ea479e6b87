//! UCI Adult with one-hot categories, and the network trained on it.
//!
//! The files are not part of this repository; a folder that holds `adult.csv`, `adult.json` and
//! `adult_mlp.safetensors` is named by the caller.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, Axis};
use safetensors::SafeTensors;
use serde::Deserialize;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Predictor, Rows};

/// The table as it is, and in the layout of the network: standardised numbers first, then one-hot blocks.
pub struct Adult {
    /// 4 numeric and 8 categorical features in the order of the file, 12 columns.
    pub coded: Features,
    /// All rows with the codes of categories, shape `(n_rows, 12)`.
    pub codes: Array2<f64>,
    /// 4 numeric and 8 categorical features, 55 columns.
    pub features: Features,
    /// All rows, shape `(n_rows, 55)`; the first 30,000 are the training part.
    pub rows: Array2<f64>,
    /// The network: two hidden relu layers and a softmax over two classes.
    pub network: Dense,
}

#[derive(Deserialize)]
struct Description {
    feature_names: Vec<String>,
    numerical: Vec<usize>,
    numerical_mean: Vec<f64>,
    numerical_std: Vec<f64>,
    category_map: BTreeMap<usize, Vec<String>>,
}

impl Adult {
    /// Reads the folder.
    ///
    /// # Errors
    /// When a file is missing or has another layout.
    pub fn load(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let text = std::fs::read_to_string(file("adult.json")).context("adult.json")?;
        let about: Description = serde_json::from_str(&text).context("adult.json")?;
        let feature = |(column, name): (usize, &String)| match about.category_map.get(&column) {
            Some(names) => Feature::categorical(name, names.iter().cloned(), Encoding::Ordinal),
            None => Feature::numeric(name),
        };
        let columns: Vec<Feature> = about.feature_names.iter().enumerate().map(feature).collect();
        let mut reader = csv::Reader::from_path(file("adult.csv")).context("adult.csv")?;
        let mut cells = Vec::new();
        for record in reader.records() {
            let record = record.context("adult.csv")?;
            for (column, cell) in record.iter().take(columns.len()).enumerate() {
                cells.push(cell.parse().with_context(|| format!("adult.csv, column {column}"))?);
            }
        }
        let codes = Array2::from_shape_vec((cells.len() / columns.len(), columns.len()), cells)?;
        let order: Vec<usize> =
            about.numerical.iter().chain(about.category_map.keys()).copied().collect();
        let mut ordered = codes.select(Axis(1), &order);
        for (place, (mean, deviation)) in
            about.numerical_mean.iter().zip(&about.numerical_std).enumerate()
        {
            ordered.column_mut(place).mapv_inplace(|value| (value - mean) / deviation);
        }
        let in_order =
            Features::new(order.iter().map(|&column| columns[column].clone()).collect())?;
        let rows = in_order.encode(&ordered, Encoding::OneHot)?;
        let network = Dense::load(&file("adult_mlp.safetensors"))?;
        ensure!(
            network.layers[0].0.nrows() == rows.ncols(),
            "the network takes another width than the table's"
        );
        Ok(Adult {
            coded: Features::new(columns)?,
            codes,
            features: in_order.encoded(Encoding::OneHot),
            rows,
            network,
        })
    }
}

/// A dense network with relu units and a softmax head, in float64.
pub struct Dense {
    /// Matrices `(inputs, outputs)` and biases.
    layers: Vec<(Array2<f64>, Array1<f64>)>,
}

impl Dense {
    fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let tensors = SafeTensors::deserialize(&bytes)?;
        let numbers = |name: &str| -> Result<Array1<f64>> {
            let values = tensors
                .tensor(name)?
                .data()
                .chunks(8)
                .map(|bytes| Ok(f64::from_le_bytes(bytes.try_into()?)));
            values.collect()
        };
        let mut layers = Vec::new();
        while let Ok(tensor) = tensors.tensor(&format!("dense{}.weight", layers.len())) {
            let (outputs, inputs) = (tensor.shape()[0], tensor.shape()[1]);
            let weight = numbers(&format!("dense{}.weight", layers.len()))?
                .into_shape_with_order((outputs, inputs))?;
            let bias = numbers(&format!("dense{}.bias", layers.len()))?;
            layers.push((weight.t().as_standard_layout().into_owned(), bias));
        }
        ensure!(!layers.is_empty(), "{} holds no layer", path.display());
        Ok(Dense { layers })
    }
}

impl Predictor for Dense {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut values = batch.to_owned();
        for (index, (weight, bias)) in self.layers.iter().enumerate() {
            values = values.dot(weight) + bias;
            if index + 1 < self.layers.len() {
                values.mapv_inplace(|value| value.max(0.0));
            }
        }
        for mut row in values.axis_iter_mut(Axis(0)) {
            let largest = row.fold(f64::NEG_INFINITY, |largest, &value| largest.max(value));
            row.mapv_inplace(|value| (value - largest).exp());
            let total = row.sum();
            row /= total;
        }
        Ok(values)
    }
}
