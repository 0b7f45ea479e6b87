//! One function over a range, on as many threads as there are; the results are in order either way.

#[cfg(not(feature = "rayon"))]
pub(crate) use serial::{each, map, width};
#[cfg(feature = "rayon")]
pub(crate) use with_rayon::{each, map, width};

#[cfg(feature = "rayon")]
mod with_rayon {
    use rayon::prelude::*;

    pub(crate) fn map<T: Send>(
        range: std::ops::Range<usize>,
        f: impl Fn(usize) -> T + Sync + Send,
    ) -> Vec<T> {
        range.into_par_iter().map(f).collect()
    }

    pub(crate) fn each<T: Send, U: Send>(
        items: &mut [T],
        f: impl Fn(usize, &mut T) -> U + Sync + Send,
    ) -> Vec<U> {
        if let [item] = items {
            return vec![f(0, item)];
        }
        items.par_iter_mut().enumerate().map(|(index, item)| f(index, item)).collect()
    }

    pub(crate) fn width() -> usize {
        rayon::current_num_threads()
    }
}

#[cfg(not(feature = "rayon"))]
mod serial {
    pub(crate) fn map<T>(range: std::ops::Range<usize>, f: impl Fn(usize) -> T) -> Vec<T> {
        range.map(f).collect()
    }

    pub(crate) fn each<T, U>(items: &mut [T], f: impl Fn(usize, &mut T) -> U) -> Vec<U> {
        items.iter_mut().enumerate().map(|(index, item)| f(index, item)).collect()
    }

    pub(crate) fn width() -> usize {
        1
    }
}
