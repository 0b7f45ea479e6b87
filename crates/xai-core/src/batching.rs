//! How rows are cut into calls of a model.

use std::ops::Range;

use crate::model::Predictor;

/// The most numbers in one batch, 4 MiB of them, unless [`MIN_ROWS`] rows hold more.
const MAX_NUMBERS: usize = 1 << 19;

/// A batch below this many rows wastes most models.
const MIN_ROWS: usize = 16;

/// The most rows of this width that one call carries.
pub(crate) fn rows_per_call(model: &dyn Predictor, n_features: usize) -> usize {
    let fitting = (MAX_NUMBERS / n_features.max(1)).max(MIN_ROWS);
    model.max_batch().clamp(1, fitting.max(1))
}

/// Rows of several runs, one after the other.
pub(crate) struct Parts {
    /// Where each part starts, and at the end where the last one ends.
    pub(crate) starts: Vec<usize>,
}

impl Parts {
    pub(crate) fn new(sizes: &[usize]) -> Self {
        let mut starts = vec![0];
        for size in sizes {
            starts.push(starts[starts.len() - 1] + size);
        }
        Parts { starts }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The parts that have rows in a range of the whole, with the range of their own rows.
    pub(crate) fn of(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let first = self.starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
        let overlap = move |part: usize| {
            let (start, end) = (self.starts[part], self.starts[part + 1]);
            (part, rows.start.max(start) - start..rows.end.min(end).max(start) - start)
        };
        let last = self.starts.len() - 1;
        (first..last)
            .map(overlap)
            .take_while(|(_, rows)| rows.start <= rows.end)
            .filter(|(_, rows)| !rows.is_empty())
    }
}
