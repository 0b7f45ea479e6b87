//! Figures of changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::array;
use xai_core::figure::{HeatMap, Panel, Picture, check_shape, contrast, decimals, signed};
use xai_core::tabular::{Change, Encoding, Feature, Features};

#[test]
fn an_image_before_and_after_shares_its_black_and_white() {
    let (from, to) = (array![-1.0, 0.0, 1.0, 1.0], array![-1.0, 0.0, 3.0, 0.5]);
    let [Panel::Image(before), Panel::HeatMap(change), Panel::Image(after)] =
        &contrast(&[2, 2], ("a", &from), ("b", &to)).unwrap()[..]
    else {
        panic!("a picture, a map, a picture");
    };
    // From -1 to 3: 255 / 4 for each unit above -1, rounded.
    let grey = |levels: [u8; 4]| levels.into_iter().flat_map(|level| [level; 3]).collect();
    let picture = |title: &str, levels| Picture {
        title: title.to_owned(),
        width: 2,
        height: 2,
        rgb: grey(levels),
    };
    assert_eq!(before, &picture("a", [0, 64, 128, 128]));
    assert_eq!(after, &picture("b", [0, 64, 255, 96]));
    assert_eq!(change, &HeatMap::new("change", "pixel value", (2, 2), vec![0.0, 0.0, 2.0, -0.5]));
}

#[test]
fn channels_are_colours_and_add_up_in_the_map() {
    let (from, to) = (array![0.0, 0.2, 1.0], array![0.0, 0.4, 0.5]);
    let panels = contrast(&[1, 1, 3], ("a", &from), ("b", &to)).unwrap();
    let [Panel::Image(before), Panel::HeatMap(change), _] = &panels[..] else { panic!() };
    assert_eq!(before.rgb, [0, 51, 255]);
    // 0.2 - 0.5, up to a rounding.
    assert!((change.values[0] + 0.3).abs() < 1e-15);
    let two = Picture::of_numbers("", &[1, 1, 2], &array![0.0, 1.0], (0.0, 1.0)).unwrap();
    assert_eq!(two.rgb, [128; 3]);
    // One number only is black, not a division by zero.
    assert_eq!(Picture::of_numbers("", &[1, 1], &array![7.0], (7.0, 7.0)).unwrap().rgb, [0; 3]);
}

#[test]
fn shapes_that_do_not_fit() {
    let (from, to) = (array![0.0, 1.0], array![1.0, 1.0]);
    for shape in [&[2][..], &[2, 2], &[1, 2, 1, 1], &[0, 2]] {
        assert!(contrast(shape, ("a", &from), ("b", &to)).is_none(), "{shape:?}");
    }
    for shape in [&[2][..], &[0, 2], &[1, 2, 3, 4]] {
        assert_eq!(check_shape(Some(shape), None).unwrap_err().name, "shape");
    }
    check_shape(Some(&[2, 3]), Some(6)).unwrap();
    check_shape(None, Some(6)).unwrap();
    for shape in [&[2, 4][..], &[usize::MAX, 2]] {
        assert_eq!(check_shape(Some(shape), Some(6)).unwrap_err().name, "shape");
    }
}

#[test]
fn changes_have_a_sign_and_four_digits() {
    for (change, text) in [
        (0.1 + 0.2, "+0.3000"),
        (-1234.5, "-1234"),
        (-12.3456, "-12.35"),
        (2.0e-7, "+0.0000002000"),
        (1e300, &*format!("{:+.0}", 1e300)),
        (0.0, "+0.000"),
    ] {
        assert_eq!(signed(change), text);
    }
}

#[test]
fn changes_are_told_by_feature() {
    let features = Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("color", ["red", "blue"], Encoding::OneHot),
        Feature::numeric("size"),
    ])
    .unwrap();
    let changes = features.changes(&array![1.0, 1.0, 0.0, 5.0], &array![3.5, 0.0, 1.0, 5.0]);
    let change = |feature: &str, from: &str, to: &str, by| Change {
        feature: feature.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        by,
    };
    assert_eq!(
        changes,
        [change("age", "1", "3.5", Some(2.5)), change("color", "red", "blue", None)]
    );
    assert_eq!(changes[1].to_string(), "color: red -> blue");
}

#[test]
fn four_digits_of_the_largest_number_are_left() {
    for (largest, expected) in
        [(0.0, 0), (0.5, 4), (1.0, 3), (31.5, 2), (999.9, 1), (1000.0, 0), (1e-20, 12)]
    {
        assert_eq!(decimals(largest), expected, "{largest}");
    }
}

#[cfg(feature = "display")]
#[test]
fn an_explanation_displays_its_figure_and_its_warnings() {
    use serde_json::json;
    use xai_core::figure::{Figure, Table, ToFigure};
    use xai_core::{Explanation, OutputNames};

    struct Data;

    impl ToFigure for Data {
        fn figure(&self, names: &OutputNames) -> Figure {
            let table = Table {
                title: "of outputs".to_owned(),
                columns: vec!["output".to_owned(), "value".to_owned()],
                rows: (0..3).map(|output| vec![names.output(output, 3), "1".to_owned()]).collect(),
            };
            Figure { title: "Title".to_owned(), panels: vec![Panel::Table(table)] }
        }
    }

    let meta = json!({
        "name": "none", "type": "blackbox", "scope": ["local"], "params": {}, "version": "0",
        "seed": "0", "queries": 0, "warnings": [{ "code": "none.few", "message": "few rows" }],
    });
    let meta = serde_json::from_value(meta).unwrap();
    let explanation = Explanation { schema: String::new(), meta, data: Data };
    let text = explanation.to_string();
    assert!(text.starts_with("Title\n═════\n\nof outputs\n output     value\n"), "{text}");
    assert!(text.ends_with("\n output 2       1\nNote: few rows (none.few)\n"), "{text}");
    // A precision is the most rows of a panel.
    let short = format!("{:.1}", explanation.data.figure(&OutputNames::default()));
    assert!(short.ends_with("\n output 0       1\n and 2 more\n"), "{short}");
}
