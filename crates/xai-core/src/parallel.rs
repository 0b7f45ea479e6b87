//! One function over a range, on as many threads as there are; the results are in order either way.
//! `map_with` also gives each thread a state to work in, which must not reach the results.

use std::ops::Range;

#[cfg(not(feature = "rayon"))]
use serial as threads;
#[cfg(not(feature = "rayon"))]
pub(crate) use serial::{map_with, width};
#[cfg(feature = "rayon")]
use with_rayon as threads;
#[cfg(feature = "rayon")]
pub(crate) use with_rayon::{map_with, width};

/// The results of a function over a range, in the order of the range, on the threads of the rayon pool that it is
/// called from; on this one without the feature `rayon`.
///
/// For work of a method that is not asking the model: that is spread over threads by [`Run`](crate::Run).
pub fn map<T: Send>(range: Range<usize>, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    threads::map(range, f)
}

#[cfg(feature = "rayon")]
mod with_rayon {
    use rayon::prelude::*;

    use super::serial;

    /// Whether a hand-over to the pool would buy nothing: it costs tens of microseconds from outside.
    fn alone(range: &std::ops::Range<usize>) -> bool {
        range.len() < 2 || width() == 1
    }

    pub(crate) fn map<T: Send>(
        range: std::ops::Range<usize>,
        f: impl Fn(usize) -> T + Sync + Send,
    ) -> Vec<T> {
        if alone(&range) {
            return serial::map(range, f);
        }
        range.into_par_iter().map(f).collect()
    }

    pub(crate) fn map_with<S, T: Send>(
        range: std::ops::Range<usize>,
        state: impl Fn() -> S + Sync + Send,
        f: impl Fn(&mut S, usize) -> T + Sync + Send,
    ) -> Vec<T> {
        if alone(&range) {
            return serial::map_with(range, state, f);
        }
        range.into_par_iter().map_init(state, f).collect()
    }

    pub(crate) fn width() -> usize {
        rayon::current_num_threads()
    }
}

mod serial {
    pub(crate) fn map<T>(range: std::ops::Range<usize>, f: impl Fn(usize) -> T) -> Vec<T> {
        range.map(f).collect()
    }

    pub(crate) fn map_with<S, T>(
        range: std::ops::Range<usize>,
        state: impl Fn() -> S,
        f: impl Fn(&mut S, usize) -> T,
    ) -> Vec<T> {
        let mut state = state();
        range.map(|index| f(&mut state, index)).collect()
    }

    #[cfg(not(feature = "rayon"))]
    pub(crate) fn width() -> usize {
        1
    }
}
