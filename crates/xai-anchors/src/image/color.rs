//! Colours as they look: from sRGB to CIE Lab.

use ndarray::{Array3, Axis, concatenate};

use super::pixels::Image;

/// The colour space in which equal distances look alike, shape of the image.
///
/// `rgb` has three channels of sRGB in `[0, 1]`; numbers outside are extrapolated.
///
/// # Panics
/// When the image has another number of channels than 3.
///
/// # Source
/// IEC 61966-2-1:1999 for sRGB; CIE 15:2004 for Lab, white point D65 for an observer of 2 degrees.
#[must_use]
pub fn lab(rgb: &Image) -> Array3<f64> {
    assert_eq!(rgb.len_of(Axis(2)), 3, "colours have three channels");
    let mut image = rgb.as_standard_layout().into_owned();
    for mut pixel in image.lanes_mut(Axis(2)) {
        let lab = lab_of([pixel[0], pixel[1], pixel[2]]);
        pixel.iter_mut().zip(lab).for_each(|(channel, value)| *channel = value);
    }
    image
}

/// From linear sRGB to XYZ.
const XYZ: [[f64; 3]; 3] = [
    [0.412_453, 0.357_580, 0.180_423],
    [0.212_671, 0.715_160, 0.072_169],
    [0.019_334, 0.119_193, 0.950_227],
];

/// White in XYZ.
const WHITE: [f64; 3] = [0.950_47, 1.0, 1.088_83];

fn lab_of(rgb: [f64; 3]) -> [f64; 3] {
    let linear =
        rgb.map(|c| if 0.040_45 < c { ((c + 0.055) / 1.055).powf(2.4) } else { c / 12.92 });
    let mut lightness = [0.0; 3];
    for ((out, weights), white) in lightness.iter_mut().zip(XYZ).zip(WHITE) {
        let sum: f64 = weights.iter().zip(linear).map(|(weight, c)| weight * c).sum();
        let t = sum / white;
        *out = if 0.008_856 < t { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    }
    let [x, y, z] = lightness;
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// One channel three times; other images as they are.
pub(super) fn in_three_channels(image: &Image) -> Array3<f64> {
    match image.len_of(Axis(2)) {
        1 => concatenate(Axis(2), &[image.view(), image.view(), image.view()])
            .expect("three times the same shape"),
        _ => image.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::lab_of;

    /// The primaries, whose coordinates are in every table; the last digit of those is rounded.
    #[test]
    fn primaries_are_where_tables_have_them() {
        let table = [
            ([1.0, 0.0, 0.0], [53.24059, 80.09231, 67.20275]),
            ([0.0, 1.0, 0.0], [87.73510, -86.18303, 83.17970]),
            ([0.0, 0.0, 1.0], [32.29567, 79.18559, -107.85730]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ];
        for (rgb, lab) in table {
            for (got, expected) in lab_of(rgb).into_iter().zip(lab) {
                assert!((got - expected).abs() <= 5.1e-6, "{rgb:?}: {got} is not {expected}");
            }
        }
    }
}
