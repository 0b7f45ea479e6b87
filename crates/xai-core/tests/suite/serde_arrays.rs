//! Arrays as nested lists: the text, the bits and the refusals.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ndarray::{Array, Array0, Array1, Array2, Array3, Array4, ArrayD, Dimension, array};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use xai_core::serde_arrays;

#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Holder<D: Dimension>(#[serde(with = "serde_arrays")] Array<f64, D>);

fn write<D: Dimension>(array: Array<f64, D>) -> String {
    serde_json::to_string(&Holder(array)).unwrap()
}

fn read<D: Dimension>(text: &str) -> Result<Array<f64, D>, String> {
    serde_json::from_str::<Holder<D>>(text)
        .map(|holder| holder.0)
        .map_err(|error| error.to_string())
}

/// The same shape and bits; every NaN is the same NaN in JSON.
#[track_caller]
fn round_trips<D: Dimension>(array: &Array<f64, D>) {
    let text = write(array.clone());
    let back: Array<f64, D> = read(&text).unwrap();
    assert_eq!(back.shape(), array.shape(), "{text}");
    let bits = |value: &f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    assert!(back.iter().map(bits).eq(array.iter().map(bits)), "{text}");
    assert_eq!(write(back), text);
}

#[test]
fn the_text_is_exactly_this() {
    assert_eq!(write(Array0::from_elem((), 1.5)), "1.5");
    assert_eq!(write(array![1.0, -0.0, 0.1]), "[1.0,-0.0,0.1]");
    assert_eq!(write(array![[1.0, 2.0], [3.0, 4.0]]), "[[1.0,2.0],[3.0,4.0]]");
    assert_eq!(write(array![[1.0, 2.0], [3.0, 4.0]].reversed_axes()), "[[1.0,3.0],[2.0,4.0]]");
    assert_eq!(write(array![[[1.0], [2.0]]]), "[[[1.0],[2.0]]]");
    assert_eq!(write(Array4::ones((1, 1, 1, 2))), "[[[[1.0,1.0]]]]");
    assert_eq!(
        write(array![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        r#"["NaN","Infinity","-Infinity"]"#
    );
    assert_eq!(write(Array1::zeros(0)), "[]");
    assert_eq!(write(Array2::zeros((3, 0))), "[[],[],[]]");
}

#[test]
fn extreme_numbers_keep_their_bits() {
    let values = [
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::from_bits(0x000f_ffff_ffff_ffff),
        f64::MAX,
        f64::EPSILON,
        0.1 + 0.2,
        1e21,
        1e23,
        9_007_199_254_740_993.0,
        f64::MIN_POSITIVE - f64::from_bits(1),
        // Read one unit in the last place off by a parser that multiplies by powers of ten.
        99.606_311_472_368_99,
        14.069_788_432_007_059,
        91.685_935_648_461_01,
    ];
    for value in values {
        round_trips(&array![value, -value]);
    }
}

#[test]
fn empty_arrays_keep_the_lengths_that_lists_can_tell() {
    round_trips(&Array1::<f64>::zeros(0));
    round_trips(&Array2::<f64>::zeros((0, 0)));
    round_trips(&Array2::<f64>::zeros((3, 0)));
    round_trips(&Array3::<f64>::zeros((2, 3, 0)));
    round_trips(&Array3::<f64>::zeros((2, 0, 0)));
    // The inner length of an empty list is lost, and reads as 0.
    assert_eq!(read::<ndarray::Ix2>(&write(Array2::zeros((0, 3)))).unwrap().dim(), (0, 0));
    assert_eq!(read::<ndarray::Ix3>(&write(Array3::zeros((2, 0, 3)))).unwrap().dim(), (2, 0, 0));
}

#[test]
fn integers_and_names_are_numbers() {
    assert_eq!(read("[1,-2,18446744073709551615]"), Ok(array![1.0, -2.0, 2.0_f64.powi(64)]));
    assert_eq!(read(r#"["Infinity","-Infinity"]"#), Ok(array![f64::INFINITY, -f64::INFINITY]));
    assert!(read::<ndarray::Ix0>(r#""NaN""#).unwrap().first().unwrap().is_nan());
    // A dynamic rank is the depth of the lists.
    assert_eq!(read::<ndarray::IxDyn>("[[1.0,2.0]]"), Ok(array![[1.0, 2.0]].into_dyn()));
}

#[test]
fn other_lists_are_refused() {
    #[track_caller]
    fn check<D: Dimension>(text: &str, expected: &str) {
        let error = read::<D>(text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    use ndarray::{Ix1, Ix2, Ix3};
    check::<Ix2>("[[1,2],[3]]", "ragged list: item 1 has shape [1], expected [2]");
    check::<Ix2>("[[1],[2],[]]", "ragged list: item 2 has shape [0], expected [1]");
    check::<Ix1>("[1,[2]]", "ragged list: item 1 has shape [1], expected []");
    check::<Ix3>("[[[1]],[2]]", "ragged list: item 1 has shape [1], expected [1, 1]");
    check::<Ix2>("[[[1,2]],[[1]]]", "ragged list: item 1 has shape [1, 1], expected [1, 2]");
    check::<Ix1>("[[1]]", "expected lists nested 1 deep, got shape [1, 1]");
    check::<Ix1>("[[]]", "expected lists nested 1 deep, got shape [1, 0]");
    check::<Ix2>("[1]", "expected lists nested 2 deep, got shape [1]");
    check::<Ix1>("1", "expected lists nested 1 deep, got shape []");
    check::<Ix3>("[[1,2]]", "expected lists nested 3 deep, got shape [1, 2]");
    let leaf = "expected a number, \"NaN\", \"Infinity\", \"-Infinity\" or a list of such";
    check::<Ix1>("[true]", &format!("invalid type: boolean `true`, {leaf}"));
    check::<Ix1>("[null]", &format!("invalid type: null, {leaf}"));
    check::<Ix1>("[{}]", &format!("invalid type: map, {leaf}"));
    check::<Ix1>(r#"["nan"]"#, &format!("invalid value: string \"nan\", {leaf}"));
    check::<Ix1>("[1e400]", "number out of range");
    check::<Ix1>("[1", "EOF while parsing a list");
}

#[test]
fn the_schema_of_a_number_allows_the_names() {
    let schema =
        serde_json::to_value(schemars::schema_for!(serde_arrays::Number)).unwrap().to_string();
    for name in ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "\"number\""] {
        assert!(schema.contains(name), "{schema}");
    }
}

/// Any bits at all: every exponent and the subnormals are as likely as they are frequent among the patterns.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => any::<u64>().prop_map(f64::from_bits),
        2 => (0_u64..1 << 52, any::<bool>())
            .prop_map(|(bits, negative)| f64::from_bits(bits | u64::from(negative) << 63)),
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

fn any_array() -> impl Strategy<Value = ArrayD<f64>> {
    prop::collection::vec(1_usize..4, 0..=4).prop_flat_map(|shape| {
        prop::collection::vec(any_number(), shape.iter().product::<usize>())
            .prop_map(move |values| ArrayD::from_shape_vec(shape.clone(), values).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn arrays_round_trip_to_the_bit(array in any_array()) {
        round_trips(&array);
        match array.ndim() {
            1 => round_trips(&array.into_dimensionality::<ndarray::Ix1>().unwrap()),
            2 => round_trips(&array.into_dimensionality::<ndarray::Ix2>().unwrap()),
            3 => round_trips(&array.into_dimensionality::<ndarray::Ix3>().unwrap()),
            4 => round_trips(&array.into_dimensionality::<ndarray::Ix4>().unwrap()),
            _ => round_trips(&array.into_dimensionality::<ndarray::Ix0>().unwrap()),
        }
    }
}

#[test]
fn lists_hold_arrays_of_any_ranks() {
    #[derive(Serialize, Deserialize)]
    struct List(#[serde(with = "serde_arrays::list")] Vec<ArrayD<f64>>);
    let arrays = vec![
        array![1.0, 2.0].into_dyn(),
        array![[0.5], [f64::NAN]].into_dyn(),
        Array0::zeros(()).into_dyn(),
    ];
    let text = serde_json::to_string(&List(arrays)).unwrap();
    assert_eq!(text, r#"[[1.0,2.0],[[0.5],["NaN"]],0.0]"#);
    let back: List = serde_json::from_str(&text).unwrap();
    assert_eq!(back.0.iter().map(|array| array.ndim()).collect::<Vec<_>>(), [1, 2, 0]);
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    assert!(serde_json::from_str::<List>("[[1.0,[2.0]]]").is_err());
    assert!(serde_json::from_str::<List>("1.0").is_err());
}
