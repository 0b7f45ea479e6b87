//! What an explainer can be asked about.

use std::borrow::Borrow;

use ndarray::{ArrayBase, ArrayRef, ArrayView1, Data, Dimension, Ix2};

use crate::error::{Error, Result};
use crate::model::{Row, Rows};

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

/// Many things to explain: the rows of a matrix, or a list of texts.
pub trait Inputs<I: ?Sized>: Sync {
    /// One of them, borrowed.
    type View<'i>: Borrow<I>
    where
        Self: 'i;

    /// How many there are.
    fn n_inputs(&self) -> usize;

    /// The one at an index below [`n_inputs`](Self::n_inputs).
    fn input(&self, index: usize) -> Self::View<'_>;
}

/// A row of a matrix.
pub struct RowView<'r>(ArrayView1<'r, f64>);

impl Borrow<Row> for RowView<'_> {
    fn borrow(&self) -> &Row {
        &self.0
    }
}

impl Inputs<Row> for Rows {
    type View<'i> = RowView<'i>;

    fn n_inputs(&self) -> usize {
        self.nrows()
    }

    fn input(&self, index: usize) -> RowView<'_> {
        RowView(self.row(index))
    }
}

impl<S: Data<Elem = f64> + Sync> Inputs<Row> for ArrayBase<S, Ix2> {
    type View<'i>
        = RowView<'i>
    where
        S: 'i;

    fn n_inputs(&self) -> usize {
        self.nrows()
    }

    fn input(&self, index: usize) -> RowView<'_> {
        RowView(self.row(index))
    }
}

impl<T: AsRef<str> + Sync> Inputs<str> for [T] {
    type View<'i>
        = &'i str
    where
        T: 'i;

    fn n_inputs(&self) -> usize {
        self.len()
    }

    fn input(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

impl<T: AsRef<str> + Sync> Inputs<str> for Vec<T> {
    type View<'i>
        = &'i str
    where
        T: 'i;

    fn n_inputs(&self) -> usize {
        self.len()
    }

    fn input(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

impl<T: AsRef<str> + Sync, const N: usize> Inputs<str> for [T; N] {
    type View<'i>
        = &'i str
    where
        T: 'i;

    fn n_inputs(&self) -> usize {
        N
    }

    fn input(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

/// Requires that every number of an array is finite.
///
/// # Errors
/// [`Error::NotFinite`] with the index of the first number that is not.
pub fn all_finite<D: Dimension>(what: &'static str, array: &ArrayRef<f64, D>) -> Result<()> {
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
