//! From bytes to the protobuf message, with a check of the outermost layer first: the protobuf decoder accepts a file
//! that ends between two fields, and its messages do not say how much of a file is missing.

use prost::Message;
use tract_onnx::pb::ModelProto;

use crate::error::OnnxError;

/// Fields of `ModelProto`: number, wire type, name.
const FIELDS: [(u64, u8, &str); 12] = [
    (1, VARINT, "ir_version"),
    (2, BLOCK, "producer_name"),
    (3, BLOCK, "producer_version"),
    (4, BLOCK, "domain"),
    (5, VARINT, "model_version"),
    (6, BLOCK, "doc_string"),
    (7, BLOCK, "graph"),
    (8, BLOCK, "opset_import"),
    (14, BLOCK, "metadata_props"),
    (20, BLOCK, "training_info"),
    (25, BLOCK, "functions"),
    (26, BLOCK, "configuration"),
];

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BLOCK: u8 = 2;
const FIXED_32: u8 = 5;

/// Decodes a whole model.
pub(crate) fn decode(bytes: &[u8]) -> Result<ModelProto, OnnxError> {
    scan(bytes)?;
    let model = ModelProto::decode(bytes)
        .map_err(|error| OnnxError::NotOnnx { reason: format!("the graph is damaged: {error}") })?;
    // Both fields are mandatory; a file cut between two fields decodes without them.
    if model.graph.is_none() || model.opset_import.is_empty() {
        let missing = if model.graph.is_none() { "graph" } else { "operator set" };
        let reason = format!("it holds no {missing}, the file may be cut short");
        return Err(OnnxError::NotOnnx { reason });
    }
    Ok(model)
}

/// Walks the outermost fields.
fn scan(bytes: &[u8]) -> Result<(), OnnxError> {
    if bytes.is_empty() {
        return Err(OnnxError::NotOnnx { reason: "it is empty".into() });
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let first = rest.len() == bytes.len();
        let key = varint(&mut rest, "a field's key")?;
        let (number, wire) = (key >> 3, u8::try_from(key & 7).expect("three bits fit"));
        let known = FIELDS.iter().find(|field| field.0 == number);
        // Unknown fields are for newer versions of the format, but none begins with one.
        if known.is_some_and(|field| field.1 != wire) || (first && known.is_none()) {
            let reason = format!("field {number} of type {wire} is not one of a model");
            return Err(OnnxError::NotOnnx { reason });
        }
        let name = known.map_or("an unknown field", |field| field.2);
        let size = match wire {
            VARINT => {
                varint(&mut rest, name)?;
                0
            }
            FIXED_64 => 8,
            FIXED_32 => 4,
            BLOCK => varint(&mut rest, name)?,
            _ => {
                let reason = format!("field {number} has the unknown type {wire}");
                return Err(OnnxError::NotOnnx { reason });
            }
        };
        let left = rest.len() as u64;
        if left < size {
            return Err(OnnxError::Truncated { what: name.to_owned(), expected: size, left });
        }
        rest = &rest[usize::try_from(size).expect("it is at most the length of a slice")..];
    }
    Ok(())
}

/// Reads a base-128 number of at most ten bytes.
fn varint(rest: &mut &[u8], what: &str) -> Result<u64, OnnxError> {
    let mut value = 0;
    for (place, &byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            *rest = &rest[place + 1..];
            return Ok(value);
        }
    }
    if rest.len() < 10 {
        let (expected, left) = (rest.len() as u64 + 1, rest.len() as u64);
        return Err(OnnxError::Truncated { what: what.to_owned(), expected, left });
    }
    Err(OnnxError::NotOnnx { reason: format!("{what} is no number") })
}
