//! Scaler, Normalizer, Imputer and Binarizer.

use super::Attributes;
use super::row_operator::{Columns, FromNode, Kind, RowOperator, Shape};
use crate::error::OnnxError;

/// `(x - offset) * scale`, one pair for all columns or one for each.
#[derive(Debug)]
pub(crate) struct Scaler {
    offset: Vec<f64>,
    scale: Vec<f64>,
}

impl Scaler {
    /// Offset and scale of a column; a single value stands for every column.
    pub(crate) fn pair(&self, column: usize) -> (f64, f64) {
        (self.offset[column % self.offset.len()], self.scale[column % self.scale.len()])
    }
}

impl FromNode for Scaler {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        let (mut offset, mut scale) = (node.reals("offset")?, node.reals("scale")?);
        if offset.is_empty() {
            offset.push(0.0);
        }
        if scale.is_empty() {
            scale.push(1.0);
        }
        if offset.len() != 1 && scale.len() != 1 {
            node.same_len("scale", offset.len(), scale.len())?;
        }
        Ok(Scaler { offset, scale })
    }
}

impl RowOperator for Scaler {
    fn name(&self) -> &'static str {
        "Scaler"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Float, Shape::Same)]
    }

    fn columns(&self) -> Columns {
        match self.offset.len().max(self.scale.len()) {
            1 => Columns::Any,
            width => Columns::Exactly(width),
        }
    }

    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let pairs: Vec<_> = (0..width).map(|column| self.pair(column)).collect();
        let scaled = cells.iter().zip(pairs.iter().cycle());
        Ok(vec![scaled.map(|(x, (offset, scale))| (x - offset) * scale).collect()])
    }
}

#[derive(Debug)]
enum Norm {
    Max,
    L1,
    L2,
}

/// Rows divided by their norm; a row of norm zero stays as it is.
#[derive(Debug)]
pub(crate) struct Normalizer(Norm);

impl FromNode for Normalizer {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        match &*node.word("norm", "MAX") {
            "MAX" => Ok(Normalizer(Norm::Max)),
            "L1" => Ok(Normalizer(Norm::L1)),
            "L2" => Ok(Normalizer(Norm::L2)),
            other => Err(node.refuse("norm", "be MAX, L1 or L2", other)),
        }
    }
}

impl RowOperator for Normalizer {
    fn name(&self) -> &'static str {
        "Normalizer"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Float, Shape::Same)]
    }

    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let mut normalized = cells.to_vec();
        for row in normalized.chunks_mut(width.max(1)) {
            let norm = match self.0 {
                // The largest value, not the largest magnitude, as the specification has it.
                Norm::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                Norm::L1 => row.iter().map(|x| x.abs()).sum(),
                Norm::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            };
            if norm != 0.0 {
                row.iter_mut().for_each(|x| *x /= norm);
            }
        }
        Ok(vec![normalized])
    }
}

/// Replaces one value, or NaN, by a number for each column.
#[derive(Debug)]
pub(crate) struct Imputer {
    imputed: Vec<f64>,
    replaced: f64,
}

impl FromNode for Imputer {
    #[allow(clippy::cast_precision_loss, reason = "all values of a graph become f64")]
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        let mut imputed = node.reals("imputed_value_floats")?;
        let mut replaced = node.float("replaced_value_float").unwrap_or(0.0);
        if imputed.is_empty() {
            imputed = node.ints("imputed_value_int64s").iter().map(|&value| value as f64).collect();
            replaced = node.int("replaced_value_int64").unwrap_or(0) as f64;
        }
        if imputed.is_empty() {
            let rule = "hold the values to put in, or `imputed_value_int64s`";
            return Err(node.refuse("imputed_value_floats", rule, "none"));
        }
        Ok(Imputer { imputed, replaced })
    }
}

impl RowOperator for Imputer {
    fn name(&self) -> &'static str {
        "Imputer"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Input, Shape::Same)]
    }

    fn columns(&self) -> Columns {
        match self.imputed.len() {
            1 => Columns::Any,
            width => Columns::Exactly(width),
        }
    }

    #[allow(clippy::float_cmp, reason = "the marker of a missing value is an exact value")]
    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let missing = |x: f64| x == self.replaced || (x.is_nan() && self.replaced.is_nan());
        let imputed: Vec<f64> = self.imputed.iter().cycle().take(width).copied().collect();
        let filled = cells.iter().zip(imputed.iter().cycle());
        Ok(vec![filled.map(|(x, imputed)| if missing(*x) { *imputed } else { *x }).collect()])
    }
}

/// 1 above the threshold, else 0.
#[derive(Debug)]
pub(crate) struct Binarizer {
    threshold: f64,
}

impl FromNode for Binarizer {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        Ok(Binarizer { threshold: node.float("threshold").unwrap_or(0.0) })
    }
}

impl RowOperator for Binarizer {
    fn name(&self) -> &'static str {
        "Binarizer"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Input, Shape::Same)]
    }

    fn eval(&self, cells: &[f64], _: usize) -> Result<Vec<Vec<f64>>, String> {
        Ok(vec![cells.iter().map(|&x| f64::from(u8::from(x > self.threshold))).collect()])
    }
}
