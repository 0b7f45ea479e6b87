//! From rows of `f64` to the tensors of the graph's inputs.

use std::ops::Range;

use ndarray::Axis;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, ValueInfoProto};
use tract_onnx::prelude::{DatumType, Tensor, TractResult};
use xai_core::Rows;

use crate::error::OnnxError;

/// One input of the graph, a block of the row's columns.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) datum: DatumType,
    /// The declared number of rows, when it is fixed.
    pub(crate) n_rows: Option<usize>,
    /// The dimensions after the first; `None` is open.
    pub(crate) inner: Vec<Option<usize>>,
    /// Whether the chosen output needs it; its columns are part of a row in any case.
    pub(crate) is_used: bool,
}

/// An input whose shape is known, with its columns.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) datum: DatumType,
    pub(crate) inner: Vec<usize>,
    pub(crate) columns: Range<usize>,
}

/// The inputs of the graph that are not weights.
pub(crate) fn inputs(graph: &GraphProto) -> Result<Vec<Input>, OnnxError> {
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<Input> = graph
        .input
        .iter()
        .filter(|input| !is_weight(&input.name))
        .map(Input::declared)
        .collect::<Result<_, _>>()?;
    if inputs.is_empty() {
        return Err(OnnxError::NoInput);
    }
    Ok(inputs)
}

impl Input {
    fn declared(info: &ValueInfoProto) -> Result<Self, OnnxError> {
        let refuse =
            |got: String, hint| OnnxError::InputType { input: info.name.clone(), got, hint };
        let Some(Type::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref())
        else {
            return Err(refuse("a sequence or a map".into(), "export the model with tensors"));
        };
        let declared = DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined);
        let datum = match declared {
            DataType::Float => DatumType::F32,
            DataType::Double => DatumType::F64,
            DataType::Float16 => DatumType::F16,
            DataType::Int64 => DatumType::I64,
            DataType::Int32 => DatumType::I32,
            DataType::Int16 => DatumType::I16,
            DataType::Int8 => DatumType::I8,
            DataType::Uint64 => DatumType::U64,
            DataType::Uint32 => DatumType::U32,
            DataType::Uint16 => DatumType::U16,
            DataType::Uint8 => DatumType::U8,
            DataType::Bool => DatumType::Bool,
            DataType::String => {
                let hint = "encode the categories as numbers before the model";
                return Err(refuse("strings".into(), hint));
            }
            other => {
                let got = format!("cells of type {}", other.as_str_name().to_lowercase());
                return Err(refuse(got, "export the model with float inputs"));
            }
        };
        let Some(shape) = &tensor.shape else {
            return Err(OnnxError::OpenInput {
                input: info.name.clone(),
                got: "?".into(),
                hint: "export the model with the shape of its input",
            });
        };
        let mut dims = shape.dim.iter().map(|dim| match dim.value {
            // Exporters write 0 and -1 where they mean an open dimension.
            Some(Dim::DimValue(size)) => usize::try_from(size).ok().filter(|size| *size > 0),
            _ => None,
        });
        let Some(n_rows) = dims.next() else {
            return Err(refuse("a single number".into(), "export the model with a batch axis"));
        };
        Ok(Input { name: info.name.clone(), datum, n_rows, inner: dims.collect(), is_used: true })
    }

    /// The shape for messages.
    pub(crate) fn shape(&self) -> String {
        let dim = |size: Option<usize>| size.map_or("?".to_owned(), |size| size.to_string());
        let dims: Vec<String> =
            std::iter::once(self.n_rows).chain(self.inner.iter().copied()).map(dim).collect();
        format!("({})", dims.join(", "))
    }
}

impl Block {
    /// The tensor of rows `range` of `batch`, and the last of them again up to `n_rows`.
    pub(crate) fn tensor(
        &self,
        batch: &Rows,
        range: Range<usize>,
        n_rows: usize,
    ) -> Result<TractResult<Tensor>, OnnxError> {
        let mut cells: Vec<f64> = Vec::with_capacity(n_rows * self.columns.len());
        for padded in range.start..range.start + n_rows {
            let row = padded.min(range.end - 1);
            let row = batch.index_axis(Axis(0), row);
            cells.extend(row.slice(ndarray::s![self.columns.clone()]));
        }
        let mut shape = vec![n_rows];
        shape.extend(&self.inner);
        if self.datum == DatumType::F32 {
            let cells: Vec<f32> = cells.into_iter().map(narrow).collect();
            return Ok(Tensor::from_shape(&shape, &cells));
        }
        if !self.datum.is_float() {
            self.check_integers(&cells, range.start)?;
        }
        let cast = || Ok(Tensor::from_shape(&shape, &cells)?.cast_to_dt(self.datum)?.into_owned());
        Ok(cast())
    }

    /// Requires that all cells are integers of the input's type.
    fn check_integers(&self, cells: &[f64], first_row: usize) -> Result<(), OnnxError> {
        let (low, high) = match self.datum {
            DatumType::Bool => (0.0, 1.0),
            DatumType::U8 => (0.0, 255.0),
            DatumType::U16 => (0.0, 65_535.0),
            DatumType::U32 => (0.0, 4_294_967_295.0),
            DatumType::I8 => (-128.0, 127.0),
            DatumType::I16 => (-32_768.0, 32_767.0),
            DatumType::I32 => (-2_147_483_648.0, 2_147_483_647.0),
            // Beyond 2^53 an f64 no longer says which integer it is.
            DatumType::U64 => (0.0, 9_007_199_254_740_992.0),
            _ => (-9_007_199_254_740_992.0, 9_007_199_254_740_992.0),
        };
        let fits = |cell: f64| cell.fract() == 0.0 && (low..=high).contains(&cell);
        match cells.iter().position(|cell| !fits(*cell)) {
            None => Ok(()),
            Some(place) => Err(OnnxError::Cell {
                input: self.name.clone(),
                rule: format!("integers from {low} to {high}"),
                row: first_row + place / self.columns.len(),
                column: self.columns.start + place % self.columns.len(),
                value: cells[place],
            }),
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the graph computes in single precision")]
pub(crate) fn narrow(x: f64) -> f32 {
    x as f32
}
