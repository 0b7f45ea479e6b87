//! Arrays as nested lists in JSON, for `#[serde(with = "xai_core::serde_arrays")]`.
//!
//! Finite numbers are numbers; NaN and the infinities, where a field allows them, are the strings `"NaN"`,
//! `"Infinity"` and `"-Infinity"`, since JSON has no such numbers.
//! Floats are written in the shortest form that reads back to the same bits.

use std::fmt;

use ndarray::{Array, ArrayD, ArrayRef, ArrayViewD, Axis, Dimension, IxDyn};
use schemars::JsonSchema;
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes an array of any rank as nested lists.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<D: Dimension, S: Serializer>(
    array: &ArrayRef<f64, D>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Level(array.view().into_dyn()).serialize(serializer)
}

/// Reads an array from nested lists.
///
/// # Errors
/// When the lists have another depth than `D`, when they are ragged, or when a leaf is not a number.
pub fn deserialize<'de, D: Dimension, De: Deserializer<'de>>(
    deserializer: De,
) -> Result<Array<f64, D>, De::Error> {
    into_array(Block::deserialize(deserializer)?)
}

fn into_array<D: Dimension, E: de::Error>(block: Block) -> Result<Array<f64, D>, E> {
    let Block { mut shape, values } = block;
    let rank = D::NDIM.unwrap_or(shape.len());
    // An empty list says nothing of the lengths inside it: they are 0.
    if values.is_empty() && shape.len() < rank {
        shape.resize(rank, 0);
    }
    ArrayD::from_shape_vec(IxDyn(&shape), values)
        .and_then(Array::into_dimensionality)
        .map_err(|_| E::custom(format!("expected lists nested {rank} deep, got shape {shape:?}")))
}

/// Arrays that may be absent: `null` in JSON. For `#[serde(with = "xai_core::serde_arrays::option")]`.
pub mod option {
    use super::{
        Array, Block, Deserialize, Deserializer, Dimension, Level, Serialize, Serializer,
        into_array,
    };

    /// Writes an array as nested lists, or `null`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<D: Dimension, S: Serializer>(
        array: &Option<Array<f64, D>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        array.as_ref().map(|array| Level(array.view().into_dyn())).serialize(serializer)
    }

    /// Reads an array from nested lists, or `None` from `null`.
    ///
    /// # Errors
    /// As [`serde_arrays::deserialize`](super::deserialize).
    pub fn deserialize<'de, D: Dimension, De: Deserializer<'de>>(
        deserializer: De,
    ) -> Result<Option<Array<f64, D>>, De::Error> {
        Option::<Block>::deserialize(deserializer)?.map(into_array).transpose()
    }
}

/// Several arrays of any ranks: a list of nested lists. For `#[serde(with = "xai_core::serde_arrays::list")]`.
pub mod list {
    use super::{ArrayD, Block, Deserialize, Deserializer, Level, Serializer, into_array};

    /// Writes a list of arrays.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        arrays: &[ArrayD<f64>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(arrays.iter().map(|array| Level(array.view())))
    }

    /// Reads a list of arrays; each may have another rank.
    ///
    /// # Errors
    /// As [`serde_arrays::deserialize`](super::deserialize).
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ArrayD<f64>>, D::Error> {
        Vec::<Block>::deserialize(deserializer)?.into_iter().map(into_array).collect()
    }
}

/// A number as it stands in JSON: a number, or the name of a value that JSON lacks. For JSON Schemas.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    reason = "a description for schemas; values are read and written by this module's functions"
)]
pub enum Number {
    /// A finite number.
    Finite(f64),
    /// NaN or an infinity.
    NonFinite(NonFinite),
}

/// The values that JSON numbers lack.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "a description for schemas")]
pub enum NonFinite {
    /// Not a number: missing.
    NaN,
    /// Above every number.
    Infinity,
    /// Below every number.
    #[serde(rename = "-Infinity")]
    MinusInfinity,
}

/// An array of any rank as it stands in JSON. For JSON Schemas.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "a description for schemas")]
pub enum Lists {
    /// A number, the innermost of the lists.
    Number(Number),
    /// The entries of the first axis.
    List(Vec<Lists>),
}

struct Level<'a>(ArrayViewD<'a, f64>);

impl Serialize for Level<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(&value) = self.0.first().filter(|_| self.0.ndim() == 0) else {
            let mut list = serializer.serialize_seq(Some(self.0.len_of(Axis(0))))?;
            for inner in self.0.axis_iter(Axis(0)) {
                list.serialize_element(&Level(inner))?;
            }
            return list.end();
        };
        match value {
            _ if value.is_finite() => serializer.serialize_f64(value),
            _ if value.is_nan() => serializer.serialize_str("NaN"),
            _ if 0.0 < value => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// Values in row-major order and their shape; a number has the shape `[]`.
struct Block {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlockVisitor)
    }
}

struct BlockVisitor;

impl<'de> Visitor<'de> for BlockVisitor {
    type Value = Block;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"NaN\", \"Infinity\", \"-Infinity\" or a list of such")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Block, E> {
        Ok(Block { shape: vec![], values: vec![value] })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Block, E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Block, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Block, E> {
        match text {
            "NaN" => self.visit_f64(f64::NAN),
            "Infinity" => self.visit_f64(f64::INFINITY),
            "-Infinity" => self.visit_f64(f64::NEG_INFINITY),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Block, A::Error> {
        let mut length = 0;
        let mut inner_shape: Option<Vec<usize>> = None;
        let mut values = Vec::new();
        while let Some(block) = list.next_element::<Block>()? {
            let expected = inner_shape.get_or_insert_with(|| block.shape.clone());
            if *expected != block.shape {
                let message = format!(
                    "ragged list: item {length} has shape {:?}, expected {expected:?}",
                    block.shape
                );
                return Err(de::Error::custom(message));
            }
            length += 1;
            values.extend(block.values);
        }
        let mut shape = vec![length];
        shape.extend(inner_shape.unwrap_or_default());
        Ok(Block { shape, values })
    }
}
