//! The attributes of a node, read with their names in the errors.

use std::fmt::Display;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use crate::error::OnnxError;

/// Reads attributes by name. An empty list counts as absent, as exporters write either.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a NodeProto);

impl<'a> Attributes<'a> {
    fn find(self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn int(self, name: &str) -> Option<i64> {
        self.find(name).map(|attribute| attribute.i)
    }

    pub(crate) fn float(self, name: &str) -> Option<f64> {
        self.find(name).map(|attribute| f64::from(attribute.f))
    }

    pub(crate) fn ints(self, name: &str) -> &'a [i64] {
        self.find(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub(crate) fn strings(self, name: &str) -> Vec<String> {
        let strings = self.find(name).map_or(&[][..], |attribute| &attribute.strings);
        strings.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// A word, or `default` when the attribute is absent.
    pub(crate) fn word(self, name: &str, default: &'static str) -> String {
        match self.find(name) {
            Some(attribute) => String::from_utf8_lossy(&attribute.s).into_owned(),
            None => default.to_owned(),
        }
    }

    /// Numbers, from the list `name` or from the tensor `{name}_as_tensor` of newer operator sets.
    pub(crate) fn reals(self, name: &str) -> Result<Vec<f64>, OnnxError> {
        if let Some(attribute) = self.find(name)
            && !attribute.floats.is_empty()
        {
            return Ok(attribute.floats.iter().copied().map(f64::from).collect());
        }
        let tensor_name = format!("{name}_as_tensor");
        let Some(tensor) = self.find(&tensor_name).and_then(|attribute| attribute.t.as_ref())
        else {
            return Ok(Vec::new());
        };
        let raw = &tensor.raw_data;
        match DataType::try_from(tensor.data_type) {
            Ok(DataType::Double) if raw.is_empty() => Ok(tensor.double_data.clone()),
            Ok(DataType::Float) if raw.is_empty() => {
                Ok(tensor.float_data.iter().copied().map(f64::from).collect())
            }
            Ok(DataType::Double) if raw.len() % 8 == 0 => {
                Ok(raw.as_chunks().0.iter().copied().map(f64::from_le_bytes).collect())
            }
            Ok(DataType::Float) if raw.len() % 4 == 0 => Ok(raw
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
                .collect()),
            other => {
                Err(self.refuse(&tensor_name, "hold float or double numbers", format!("{other:?}")))
            }
        }
    }

    /// Ints as indices.
    pub(crate) fn indices(self, name: &str) -> Result<Vec<u32>, OnnxError> {
        self.ints(name)
            .iter()
            .map(|&value| {
                u32::try_from(value)
                    .map_err(|_| self.refuse(name, "hold indices from 0 to 4294967295", value))
            })
            .collect()
    }

    /// Requires that a list has a length.
    pub(crate) fn same_len(self, name: &str, expected: usize, got: usize) -> Result<(), OnnxError> {
        if expected == got {
            return Ok(());
        }
        Err(self.refuse(name, format!("hold {expected} entries"), got))
    }

    pub(crate) fn refuse(
        self,
        attribute: &str,
        rule: impl Into<String>,
        got: impl Display,
    ) -> OnnxError {
        OnnxError::Attribute {
            operator: self.0.op_type.clone(),
            node: node_name(self.0),
            attribute: attribute.to_owned(),
            rule: rule.into(),
            got: got.to_string(),
        }
    }
}

/// A node's name; nodes without one are known by their first output.
pub(crate) fn node_name(node: &NodeProto) -> String {
    if node.name.is_empty() {
        node.output.first().cloned().unwrap_or_default()
    } else {
        node.name.clone()
    }
}
