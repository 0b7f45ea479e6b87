//! Operators that tract lacks, or whose outputs would depend on the place of a row in its batch.
//!
//! Each maps rows to rows, computes in `f64` and rounds once, at its output.

mod attributes;
mod encode;
mod extract;
mod linear;
mod post_transform;
mod quantile;
mod row_operator;
mod scale;
mod softmax;
mod tree;
mod tree_ensemble;

pub(crate) use attributes::{Attributes, node_name};
pub(crate) use row_operator::{FromNode, reals};
pub(crate) use scale::Scaler;
pub(crate) use tree::splits;

use row_operator::load;
use tract_onnx::Onnx;

/// tract with the operators of this crate in it.
pub(crate) fn engine() -> Onnx {
    // The declared shapes of inner values may name a fixed batch; inference finds the true ones.
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
    let register = &mut onnx.op_register;
    register.insert("ArrayFeatureExtractor", extract::load);
    register.insert("Binarizer", load::<scale::Binarizer>);
    register.insert("Imputer", load::<scale::Imputer>);
    register.insert("LabelEncoder", load::<encode::LabelEncoder>);
    register.insert("LinearClassifier", load::<linear::LinearClassifier>);
    register.insert("LinearRegressor", load::<linear::LinearRegressor>);
    register.insert("LogSoftmax", softmax::load);
    register.insert("Normalizer", load::<scale::Normalizer>);
    register.insert("OneHotEncoder", load::<encode::OneHotEncoder>);
    register.insert("Scaler", load::<scale::Scaler>);
    register.insert("Softmax", softmax::load);
    register.insert("TreeEnsembleClassifier", load::<tree_ensemble::TreeEnsembleClassifier>);
    register.insert("TreeEnsembleRegressor", load::<tree_ensemble::TreeEnsembleRegressor>);
    onnx
}
