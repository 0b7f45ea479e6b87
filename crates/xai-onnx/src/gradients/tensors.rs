//! From the tensors of a file to those of candle.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use xai_candle::candle_core::{self as candle, DType, Device, Tensor};

use crate::error::OnnxError;

/// Where numbers are computed.
///
/// Integers and truth values stay on the processor: they are shapes, axes and indices.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) dtype: DType,
    pub(super) device: Device,
}

/// A tensor of a graph that was checked: its entries are there, and of a size that is known.
pub(super) fn tensor(proto: &TensorProto, place: &Place) -> Result<Tensor, OnnxError> {
    let refuse = |problem: String| {
        let name = proto.name.clone();
        OnnxError::Graph { what: "tensor", name, problem }
    };
    let shape: Option<Vec<usize>> =
        proto.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or_else(|| refuse(format!("has the shape {:?}", proto.dims)))?;
    let kind = DataType::try_from(proto.data_type).unwrap_or(DataType::Undefined);
    let raw = &*proto.raw_data;
    let listed = raw.is_empty();
    let small = || proto.int32_data.iter().map(|&entry| i64::from(entry));
    let made = match kind {
        DataType::Float if listed => floats(&proto.float_data, shape, place),
        DataType::Float => floats(&chunks(raw, f32::from_le_bytes), shape, place),
        DataType::Double if listed => floats(&proto.double_data, shape, place),
        DataType::Double => floats(&chunks(raw, f64::from_le_bytes), shape, place),
        DataType::Int64 if listed => integers(proto.int64_data.clone(), shape),
        DataType::Int64 => integers(chunks(raw, i64::from_le_bytes), shape),
        DataType::Int32 if listed => integers(small().collect(), shape),
        DataType::Int32 => integers(chunks(raw, |b| i64::from(i32::from_le_bytes(b))), shape),
        DataType::Uint8 if listed => integers(small().collect(), shape),
        DataType::Uint8 => integers(raw.iter().map(|&entry| i64::from(entry)).collect(), shape),
        DataType::Bool => {
            let entries: Vec<i64> = if listed {
                small().collect()
            } else {
                raw.iter().map(|&b| i64::from(b)).collect()
            };
            integers(entries, shape).and_then(|tensor| tensor.ne(0_i64))
        }
        other => {
            let kind = other.as_str_name().to_lowercase();
            return Err(refuse(format!("holds cells of type {kind}, which have no gradient here")));
        }
    };
    made.map_err(|error| refuse(format!("cannot be read: {error}")))
}

fn floats<T: candle::WithDType>(
    entries: &[T],
    shape: Vec<usize>,
    place: &Place,
) -> candle::Result<Tensor> {
    Tensor::from_slice(entries, shape, &Device::Cpu)?
        .to_dtype(place.dtype)?
        .to_device(&place.device)
}

fn integers(entries: Vec<i64>, shape: Vec<usize>) -> candle::Result<Tensor> {
    Tensor::from_vec(entries, shape, &Device::Cpu)
}

fn chunks<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks().0.iter().map(|&bytes| read(bytes)).collect()
}
