//! What the benches measure on: a free model, models as data, UCI Adult and bundled tables with their networks, tasks
//! for peers, and the simulated user of anchors.

pub mod adult;
pub mod bag_of_words;
pub mod digits;
pub mod logistic_regression;
pub mod models;
pub mod networks;
pub mod peers;
pub mod simulated_user;
pub mod tables;

use std::sync::Mutex;
use std::time::Instant;

use ndarray::{Array2, Axis, s};
use xai_core::{BoxError, Predictor, Rows};

/// A model that costs next to nothing: what is left is the work of the explainer.
pub struct Free;

impl Predictor for Free {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(batch.slice(s![.., ..1]).to_owned())
    }
}

/// A model that keeps every batch it was asked for.
pub struct Recorder<'m> {
    /// The model behind it.
    pub model: &'m dyn Predictor,
    /// The batches, in the order of the calls.
    pub batches: Mutex<Vec<Array2<f64>>>,
}

impl<'m> Recorder<'m> {
    /// Records what `model` is asked for.
    pub fn new(model: &'m dyn Predictor) -> Self {
        Recorder { model, batches: Mutex::new(Vec::new()) }
    }
}

impl Predictor for Recorder<'_> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a wrapper hands the batch it was given to the model it wraps"
    )]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.batches.lock().map_err(|_| "a recording thread failed")?.push(batch.to_owned());
        self.model.predict(batch)
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }
}

/// Rows made of multiples of the golden ratio modulo 1: every cell differs, and no generator is needed.
pub fn spread(n_rows: usize, n_features: usize, offset: f64) -> Array2<f64> {
    let cell = |(row, column): (usize, usize)| {
        ((row * n_features + column) as f64 * 0.618_033_988_749_895 + offset).fract()
    };
    Array2::from_shape_fn((n_rows, n_features), cell)
}

/// The first `n` rows.
pub fn first(rows: &Rows, n: usize) -> Array2<f64> {
    rows.select(Axis(0), &(0..n).collect::<Vec<_>>())
}

/// What the work returns, and the wall clock it took in seconds.
#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = std::hint::black_box(work());
    (result, start.elapsed().as_secs_f64())
}
