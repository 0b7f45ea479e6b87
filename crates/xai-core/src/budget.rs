//! Limits on what a run may cost.

use std::time::Instant;

/// Limits on what a run may cost. The default has none.
///
/// A method ends with its best answer so far where it has one, and with [`Error::Stopped`](crate::Error::Stopped) or
/// [`Error::Budget`](crate::Error::Budget) where it has none.
/// A run that is cut by the clock may differ from one that is not; all else stays reproducible.
///
/// # Example
///
/// ```
/// use std::time::{Duration, Instant};
/// use xai_core::Budget;
///
/// let few = Budget::queries(1_000);
/// let quick = Budget::until(Instant::now() + Duration::from_secs(2)).with_queries(1_000);
/// # let _ = (few, quick);
/// ```
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Budget<'b> {
    /// The most rows the model may be asked for, for each explanation. Default `None`: no limit.
    pub queries: Option<u64>,
    /// When the time is up. Default `None`: never.
    pub until: Option<Instant>,
    /// Says whether the caller has cancelled. Default `None`: never.
    pub is_cancelled: Option<&'b (dyn Fn() -> bool + Sync)>,
}

impl<'b> Budget<'b> {
    /// At most so many rows of the model for each explanation.
    #[must_use]
    pub fn queries(n_rows: u64) -> Self {
        Budget::default().with_queries(n_rows)
    }

    /// No longer than until this instant.
    #[must_use]
    pub fn until(instant: Instant) -> Self {
        Budget::default().with_deadline(instant)
    }

    /// Until the function returns true.
    #[must_use]
    pub fn cancelled_by(is_cancelled: &'b (dyn Fn() -> bool + Sync)) -> Self {
        Budget::default().with_cancel(is_cancelled)
    }

    /// The same limits, and at most so many rows of the model for each explanation.
    #[must_use]
    pub fn with_queries(mut self, n_rows: u64) -> Self {
        self.queries = Some(n_rows);
        self
    }

    /// The same limits, and no longer than until this instant.
    #[must_use]
    pub fn with_deadline(mut self, instant: Instant) -> Self {
        self.until = Some(instant);
        self
    }

    /// The same limits, and until the function returns true.
    #[must_use]
    pub fn with_cancel(mut self, is_cancelled: &'b (dyn Fn() -> bool + Sync)) -> Self {
        self.is_cancelled = Some(is_cancelled);
        self
    }

    /// Whether a clock or the caller may end a run.
    pub(crate) fn can_expire(&self) -> bool {
        self.until.is_some() || self.is_cancelled.is_some()
    }

    /// Whether the time is up or the caller has cancelled.
    #[allow(
        clippy::disallowed_methods,
        reason = "the caller asked for a deadline; without one the clock is not read"
    )]
    pub(crate) fn is_expired(&self) -> bool {
        self.is_cancelled.is_some_and(|is_cancelled| is_cancelled())
            || self.until.is_some_and(|until| until <= Instant::now())
    }
}
