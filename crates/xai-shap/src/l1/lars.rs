//! Least-angle regression and the path of the lasso, on a Gram matrix.

use ndarray::Array1;
use xai_core::Rows;

/// What happens to a coefficient on its way through zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// Nothing: least-angle regression as published.
    Ignore,
    /// It stays at zero and its column leaves: the lasso.
    Drop,
    /// Its sign in the next direction is the other one, and no column enters in that step: least-angle regression in
    /// scikit-learn, which shap calls.
    Flip,
}

/// How to walk along a path.
pub(crate) struct Walk {
    pub(crate) crossing: Crossing,
    pub(crate) max_steps: usize,
    /// The path ends where no column outside has a larger correlation.
    pub(crate) floor: f64,
}

/// A path from no columns on.
pub(crate) struct Path {
    /// The columns in the model at its end, in order of entry.
    pub(crate) active: Vec<usize>,
    /// The coefficients at its start and after each step.
    pub(crate) points: Vec<Array1<f64>>,
}

/// Follows the path of the problem with this Gram matrix and these products of columns and target.
///
/// # Source
/// Efron, Hastie, Johnstone & Tibshirani 2004, "Least angle regression", Annals of Statistics 32, equations 2.4 to
/// 2.13 for the steps and 3.4 to 3.6 for the lasso.
pub(crate) fn path(gram: &Rows, correlations: &Array1<f64>, walk: &Walk) -> Path {
    let mut correlations = correlations.clone();
    let mut coefficients = Array1::zeros(gram.nrows());
    let mut points = vec![coefficients.clone()];
    let mut model = Model::default();
    let mut outside: Vec<usize> = (0..gram.nrows()).collect();
    let mut dropped = None;
    let mut crossed = false;
    while points.len() <= walk.max_steps {
        let stronger = |best: usize, column: usize| {
            if correlations[best].abs() < correlations[column].abs() { column } else { best }
        };
        let Some(strongest) = outside.iter().copied().reduce(stronger) else { break };
        let largest = correlations[strongest].abs();
        if largest.is_nan() || largest <= walk.floor {
            break;
        }
        if !crossed {
            outside.retain(|&column| column != strongest);
            // A column that the others span stays out for good.
            if !model.enter(gram, strongest, correlations[strongest].signum()) {
                continue;
            }
        }
        let direction = model.direction();
        let mut slopes = Array1::<f64>::zeros(gram.nrows());
        for (&column, &along) in model.active.iter().zip(&direction) {
            slopes.scaled_add(along, &gram.row(column));
        }
        let step_to_equal = |column: usize, sign: f64| {
            let distance = largest - sign * correlations[column];
            let step = match walk.crossing {
                // scikit-learn passes by a column that is equal already.
                Crossing::Flip => Some(distance).filter(|&distance| distance != 0.0),
                // The column that has just left is still equal, and becomes less so.
                Crossing::Drop if dropped == Some((column, sign)) => None,
                Crossing::Drop | Crossing::Ignore => Some(distance.max(0.0)),
            };
            let step = step? / (1.0 - sign * slopes[column]);
            (0.0 <= step).then_some(step)
        };
        let mut step = outside
            .iter()
            .flat_map(|&column| [1.0, -1.0].map(|sign| step_to_equal(column, sign)))
            .flatten()
            .fold(largest, f64::min);
        let zero = model.first_zero(&coefficients, &direction).filter(|&(_, at)| at < step);
        if let (Some((_, at)), Crossing::Drop) = (zero, walk.crossing) {
            step = at;
        }
        for (&column, &along) in model.active.iter().zip(&direction) {
            coefficients[column] += step * along;
        }
        correlations.scaled_add(-step, &slopes);
        dropped = None;
        crossed = zero.is_some() && walk.crossing != Crossing::Ignore;
        match (zero, walk.crossing) {
            (Some((place, _)), Crossing::Drop) => {
                let column = model.leave(gram, place);
                coefficients[column] = 0.0;
                outside.push(column);
                outside.sort_unstable();
                dropped = Some((column, correlations[column].signum()));
            }
            (Some((place, _)), Crossing::Flip) => model.signs[place] = -model.signs[place],
            _ => {}
        }
        points.push(coefficients.clone());
    }
    Path { active: model.active, points }
}

/// The columns in the model, the signs of their correlations, and the Cholesky factor of their Gram matrix by rows.
#[derive(Default)]
struct Model {
    active: Vec<usize>,
    signs: Vec<f64>,
    factor: Vec<Vec<f64>>,
}

/// A squared pivot below this, in units of the column's square, is zero.
const PIVOT: f64 = 1e-14;

impl Model {
    /// Whether the column is independent of those in the model; then it is one of them.
    fn enter(&mut self, gram: &Rows, column: usize, sign: f64) -> bool {
        let mut row: Vec<f64> = Vec::with_capacity(self.active.len() + 1);
        for (place, &other) in self.active.iter().enumerate() {
            let known: f64 = row.iter().zip(&self.factor[place]).map(|(a, b)| a * b).sum();
            row.push((gram[[column, other]] - known) / self.factor[place][place]);
        }
        let square = gram[[column, column]];
        let pivot = square - row.iter().map(|entry| entry * entry).sum::<f64>();
        if pivot <= PIVOT * square {
            return false;
        }
        row.push(pivot.sqrt());
        self.factor.push(row);
        self.active.push(column);
        self.signs.push(sign);
        true
    }

    /// Takes out the column that entered at this place, and returns it.
    fn leave(&mut self, gram: &Rows, place: usize) -> usize {
        let (mut columns, mut signs) = (self.active.split_off(place), self.signs.split_off(place));
        self.factor.truncate(place);
        signs.remove(0);
        let column = columns.remove(0);
        for (column, sign) in columns.into_iter().zip(signs) {
            let independent = self.enter(gram, column, sign);
            debug_assert!(independent, "a part of independent columns is independent");
        }
        column
    }

    /// Coefficients along which the correlations of all columns in the model change by their signs.
    fn direction(&self) -> Vec<f64> {
        let n = self.active.len();
        let mut solution = self.signs.clone();
        for place in 0..n {
            let known: f64 = (0..place).map(|k| self.factor[place][k] * solution[k]).sum();
            solution[place] = (solution[place] - known) / self.factor[place][place];
        }
        for place in (0..n).rev() {
            let known: f64 = (place + 1..n).map(|k| self.factor[k][place] * solution[k]).sum();
            solution[place] = (solution[place] - known) / self.factor[place][place];
        }
        solution
    }

    /// Where along the direction the first coefficient gets to zero: its place in the model and the length.
    fn first_zero(&self, coefficients: &Array1<f64>, direction: &[f64]) -> Option<(usize, f64)> {
        let lengths =
            self.active.iter().zip(direction).map(|(&column, along)| -coefficients[column] / along);
        lengths
            .enumerate()
            .filter(|&(_, length)| 0.0 < length)
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}
