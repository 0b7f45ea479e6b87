//! UCI Adult with one-hot categories, and the network trained on it.
//!
//! The files are not part of this repository; a folder that holds `adult.csv`, `adult.json`, `adult_mlp.safetensors`
//! and `adult_logistic.safetensors` is named by the caller.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, Axis};
use safetensors::SafeTensors;
use serde::Deserialize;
use xai_core::tabular::{Encoding, Feature, Features};

use crate::models::{
    Activation, CategoricalColumn, Dense, EncodedDense, Head, Layer, NumericColumn,
};

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
    /// Logistic regression: one layer and a softmax over two classes.
    pub logistic: Dense,
    /// Whether the income is above 50,000 dollars, 0 or 1, shape `(n_rows,)`.
    pub labels: Vec<usize>,
    numeric: Vec<NumericColumn>,
    categorical: Vec<CategoricalColumn>,
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
        let (mut cells, mut labels) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.context("adult.csv")?;
            for (column, cell) in record.iter().take(columns.len()).enumerate() {
                cells.push(cell.parse().with_context(|| format!("adult.csv, column {column}"))?);
            }
            let label = record.get(columns.len()).context("adult.csv has no column of labels")?;
            labels.push(label.parse().context("adult.csv, the label")?);
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
        let model = |name: &str| -> Result<Dense> {
            let model = load_network(&file(name))?;
            let width = model.layers[0].weight.nrows();
            ensure!(width == rows.ncols(), "{name} takes {width} columns, not those of the table");
            Ok(model)
        };
        let (network, logistic) =
            (model("adult_mlp.safetensors")?, model("adult_logistic.safetensors")?);
        let of_numbers = about.numerical_mean.iter().zip(&about.numerical_std);
        let numeric = about
            .numerical
            .iter()
            .zip(of_numbers)
            .map(|(&column, (&mean, &deviation))| NumericColumn { column, mean, deviation });
        let categorical = about
            .category_map
            .iter()
            .map(|(&column, names)| CategoricalColumn { column, n_categories: names.len() });
        Ok(Adult {
            coded: Features::new(columns)?,
            codes,
            features: in_order.encoded(Encoding::OneHot),
            rows,
            network,
            logistic,
            labels,
            numeric: numeric.collect(),
            categorical: categorical.collect(),
        })
    }

    /// A network over the columns of `rows` as a model of the rows of `codes`.
    #[must_use]
    pub fn over_codes(&self, network: &Dense) -> EncodedDense {
        EncodedDense {
            numeric: self.numeric.clone(),
            categorical: self.categorical.clone(),
            network: network.clone(),
        }
    }
}

/// Matrices in the file are `(outputs, inputs)`.
fn load_network(path: &Path) -> Result<Dense> {
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
        layers.push(Layer { weight: weight.t().as_standard_layout().into_owned(), bias });
    }
    ensure!(!layers.is_empty(), "{} holds no layer", path.display());
    Ok(Dense { layers, activation: Activation::Relu, head: Head::Softmax })
}
