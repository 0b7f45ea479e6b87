//! OneHotEncoder and the numeric forms of LabelEncoder.

use super::Attributes;
use super::row_operator::{FromNode, Kind, RowOperator, Shape};
use crate::error::OnnxError;

/// Advice for a graph that works on words.
const WORDS: &str = "hold nothing: strings are not supported, encode the categories as numbers";

/// A column of category codes as indicator columns.
#[derive(Debug)]
pub(crate) struct OneHotEncoder {
    /// Category and its position, by category.
    categories: Vec<(i64, usize)>,
    /// Whether a value that is no category gives a row of zeros, not an error.
    zeros: bool,
}

impl FromNode for OneHotEncoder {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        if !node.strings("cats_strings").is_empty() {
            return Err(node.refuse("cats_strings", WORDS, "categories"));
        }
        let listed = node.ints("cats_int64s");
        if listed.is_empty() {
            return Err(node.refuse("cats_int64s", "hold the categories", "none"));
        }
        let mut categories: Vec<(i64, usize)> =
            listed.iter().enumerate().map(|(place, &category)| (category, place)).collect();
        categories.sort_unstable();
        Ok(OneHotEncoder { categories, zeros: node.int("zeros").unwrap_or(1) != 0 })
    }
}

impl RowOperator for OneHotEncoder {
    fn name(&self) -> &'static str {
        "OneHotEncoder"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Float, Shape::Expanded(self.categories.len()))]
    }

    fn eval(&self, cells: &[f64], _: usize) -> Result<Vec<Vec<f64>>, String> {
        let size = self.categories.len();
        let mut indicators = vec![0.0; cells.len() * size];
        for (cell, indicators) in cells.iter().zip(indicators.chunks_mut(size)) {
            // The specification casts the cell to an integer, which drops its fraction.
            #[allow(clippy::cast_possible_truncation, reason = "the specified cast")]
            let code = *cell as i64;
            let first = self.categories.partition_point(|(category, _)| *category < code);
            match self.categories.get(first) {
                Some(&(category, place)) if category == code && !cell.is_nan() => {
                    indicators[place] = 1.0;
                }
                _ if self.zeros => {}
                _ => return Err(format!("{cell} is none of its {size} categories")),
            }
        }
        Ok(vec![indicators])
    }
}

/// Numbers replaced by numbers.
#[derive(Debug)]
pub(crate) struct LabelEncoder {
    /// Keys and values, by key.
    pairs: Vec<(f64, f64)>,
    default: f64,
    values_are_floats: bool,
}

impl FromNode for LabelEncoder {
    #[allow(clippy::cast_precision_loss, reason = "all values of a graph become f64")]
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        for words in ["keys_strings", "values_strings", "classes_strings"] {
            if !node.strings(words).is_empty() {
                return Err(node.refuse(words, WORDS, "labels"));
            }
        }
        for tensor in ["keys_tensor", "values_tensor"] {
            if node.has(tensor) {
                let rule = "be given as a list of numbers, such as `keys_int64s`";
                return Err(node.refuse(tensor, rule, "a tensor"));
            }
        }
        let numbers = |kind: &str| match node.ints(&format!("{kind}_int64s")) {
            [] => node.reals(&format!("{kind}_floats")),
            ints => Ok(ints.iter().map(|&int| int as f64).collect()),
        };
        let (keys, values) = (numbers("keys")?, numbers("values")?);
        if keys.is_empty() {
            return Err(node.refuse("keys_int64s", "hold the keys, or `keys_floats`", "none"));
        }
        let values_are_floats = node.ints("values_int64s").is_empty();
        let kind = if values_are_floats { "values_floats" } else { "values_int64s" };
        node.same_len(kind, keys.len(), values.len())?;
        let default = if values_are_floats {
            node.float("default_float").unwrap_or(-0.0)
        } else {
            node.int("default_int64").unwrap_or(-1) as f64
        };
        let mut pairs: Vec<(f64, f64)> = keys.into_iter().zip(values).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(LabelEncoder { pairs, default, values_are_floats })
    }
}

impl RowOperator for LabelEncoder {
    fn name(&self) -> &'static str {
        "LabelEncoder"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(if self.values_are_floats { Kind::Float } else { Kind::Long }, Shape::Same)]
    }

    fn eval(&self, cells: &[f64], _: usize) -> Result<Vec<Vec<f64>>, String> {
        let encode = |cell: &f64| {
            // -0.0 and 0.0 are one key.
            let found = self.pairs.binary_search_by(|pair| (pair.0 + 0.0).total_cmp(&(cell + 0.0)));
            found.map_or(self.default, |place| self.pairs[place].1)
        };
        Ok(vec![cells.iter().map(encode).collect()])
    }
}
