//! What an explainer can be asked about.

use ndarray::Dimension;

use crate::error::{Error, Result};
use crate::model::Row;

/// One thing to explain: a [`Row`] of numbers or a text.
pub trait Input {
    /// Refuses NaN and infinities, with their place.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for the first such number.
    fn check(&self) -> Result<()>;

    /// A hash that is the same on every machine and in every version; equal inputs draw the same random numbers.
    /// 0.0 and -0.0 agree.
    fn fingerprint(&self) -> u64;
}

impl Input for Row {
    fn check(&self) -> Result<()> {
        all_finite("the input", self)
    }

    fn fingerprint(&self) -> u64 {
        fnv1a(self.iter().flat_map(|&value| {
            // One pattern for each number: adding 0.0 turns -0.0 into 0.0, and every NaN is the same NaN.
            let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
            canonical.to_bits().to_le_bytes()
        }))
    }
}

impl Input for str {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn fingerprint(&self) -> u64 {
        fnv1a(self.bytes())
    }
}

/// Requires that every number of an array is finite.
///
/// # Errors
/// [`Error::NotFinite`] with the index of the first number that is not.
pub fn all_finite<D: Dimension>(
    what: &'static str,
    array: &ndarray::ArrayRef<f64, D>,
) -> Result<()> {
    // The sum of finite numbers may overflow, but a sum that is finite has no other terms: one fast pass suffices.
    if array.sum().is_finite() {
        return Ok(());
    }
    for (position, &value) in array.iter().enumerate() {
        if !value.is_finite() {
            let mut at = vec![0; array.ndim()];
            let mut rest = position;
            for (index, &length) in at.iter_mut().zip(array.shape()).rev() {
                *index = rest % length;
                rest /= length;
            }
            return Err(Error::NotFinite { what, at, value });
        }
    }
    Ok(())
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo, draft-eastlake-fnv).
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
