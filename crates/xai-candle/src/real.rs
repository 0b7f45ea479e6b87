//! The two types of numbers that gradients are computed in, and how operators reach them.

use candle_core::{CpuStorage, DType, Error, Layout, Result, Tensor, WithDType};
use ndarray::LinalgScalar;

/// Single or double precision.
pub(super) trait Real: WithDType + LinalgScalar {
    /// `self * factor + sum`, rounded once.
    fn mul_add(self, factor: Self, sum: Self) -> Self;

    /// The numbers of a contiguous tensor on the CPU.
    fn read<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [Self]> {
        let (start, end) =
            layout.contiguous_offsets().ok_or_else(|| Error::RequiresContiguous { op: "read" })?;
        Ok(&Self::cpu_storage_as_slice(storage)?[start..end])
    }

    /// All numbers of a tensor in row-major order.
    fn numbers(tensor: &Tensor) -> Result<Vec<Self>> {
        tensor.flatten_all()?.to_vec1()
    }
}

impl Real for f32 {
    #[inline(always)]
    fn mul_add(self, factor: f32, sum: f32) -> f32 {
        self.mul_add(factor, sum)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn mul_add(self, factor: f64, sum: f64) -> f64 {
        self.mul_add(factor, sum)
    }
}

/// Requires a type of numbers that the operators of this module compute with.
pub(super) fn require_real(what: &str, dtype: DType) -> Result<()> {
    if matches!(dtype, DType::F32 | DType::F64) {
        return Ok(());
    }
    Err(Error::msg(format!("{what} must hold f32 or f64, got {}", dtype.as_str())))
}

/// Calls a generic method with the type of numbers of a storage.
macro_rules! with_real {
    ($storage:expr, $T:ident => $call:expr) => {
        match $storage.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $call
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $call
            }
            other => Err(candle_core::Error::msg(format!(
                "expected numbers of type f32 or f64, got {}",
                other.as_str()
            ))),
        }
    };
}
pub(super) use with_real;
