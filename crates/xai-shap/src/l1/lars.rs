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
        let (row, pivot) = self.row(gram, column);
        let independent = PIVOT * gram[[column, column]] < pivot;
        if independent {
            self.push(column, sign, row, pivot);
        }
        independent
    }

    /// Takes out the column that entered at this place, and returns it.
    fn leave(&mut self, gram: &Rows, place: usize) -> usize {
        let (mut columns, mut signs) = (self.active.split_off(place), self.signs.split_off(place));
        self.factor.truncate(place);
        signs.remove(0);
        let left = columns.remove(0);
        for (column, sign) in columns.into_iter().zip(signs) {
            // With fewer columns before it a pivot only grows, but for rounding.
            let (row, pivot) = self.row(gram, column);
            self.push(column, sign, row, pivot.max(PIVOT * gram[[column, column]]));
        }
        left
    }

    /// The next row of the factor but for its last entry, and the square of that.
    fn row(&self, gram: &Rows, column: usize) -> (Vec<f64>, f64) {
        let mut row: Vec<f64> = Vec::with_capacity(self.active.len() + 1);
        for (place, &other) in self.active.iter().enumerate() {
            let known: f64 = row.iter().zip(&self.factor[place]).map(|(a, b)| a * b).sum();
            row.push((gram[[column, other]] - known) / self.factor[place][place]);
        }
        let pivot = gram[[column, column]] - row.iter().map(|entry| entry * entry).sum::<f64>();
        (row, pivot)
    }

    fn push(&mut self, column: usize, sign: f64, mut row: Vec<f64>, pivot: f64) {
        row.push(pivot.sqrt());
        self.factor.push(row);
        self.active.push(column);
        self.signs.push(sign);
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

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use xai_core::Seed;

    use super::{Crossing, Path, Walk, path};
    use crate::l1::lasso::{Descent, unpenalised};

    /// The Gram matrix of random columns that share much, and their products with a random target.
    fn problem(seed: u64) -> (Array2<f64>, Array1<f64>) {
        let mut stream = Seed::new(seed).stream();
        let mut number = || stream.uniform() - 0.5;
        let columns = Array2::from_shape_fn((30, 8), |_| number());
        let columns = columns.dot(&Array2::from_shape_fn((8, 8), |_| number()));
        let target = Array1::from_shape_fn(30, |_| number());
        (columns.t().dot(&columns), columns.t().dot(&target))
    }

    fn whole_path(gram: &Array2<f64>, correlations: &Array1<f64>, crossing: Crossing) -> Path {
        path(gram, correlations, &Walk { crossing, max_steps: 200, floor: 1e-13 })
    }

    fn distance(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
        (a - b).fold(0.0_f64, |worst, difference| worst.max(difference.abs()))
    }

    #[test]
    fn every_point_of_the_lasso_path_is_optimal() {
        let mut n_crossings = 0;
        for seed in 0..200 {
            let (gram, correlations) = problem(seed);
            let points = whole_path(&gram, &correlations, Crossing::Drop).points;
            n_crossings += points.len() - 9;
            let rounding = 1e-11 * correlations.dot(&correlations).sqrt();
            for point in &points {
                // Karush, Kuhn and Tucker: no correlation exceeds the penalty, and those in the model equal it.
                let left = &correlations - &gram.dot(point);
                let penalty = left.fold(0.0_f64, |most, value| most.max(value.abs()));
                for (&left, &coefficient) in left.iter().zip(point) {
                    let slack = penalty - left * coefficient.signum();
                    assert!(coefficient == 0.0 || slack <= rounding, "seed {seed}: {slack}");
                }
            }
            let last = points.last().unwrap();
            let expected = unpenalised(&gram, &correlations).unwrap();
            assert!(distance(last, &expected) <= 1e-9 * expected.dot(&expected).sqrt(), "{seed}");
        }
        assert!(200 < n_crossings, "coefficients leave and come back: {n_crossings}");
    }

    #[test]
    fn coordinate_descent_meets_the_path() {
        let descent = Descent { tolerance: 1e-14, max_sweeps: 1_000_000 };
        for seed in 0..20 {
            let (gram, correlations) = problem(seed);
            for point in &whole_path(&gram, &correlations, Crossing::Drop).points[1..4] {
                let left = &correlations - &gram.dot(point);
                let penalty = left.fold(0.0_f64, |most, value| most.max(value.abs()));
                // The target's square only scales the tolerance; any bound on what can be explained serves.
                let square = correlations.dot(&unpenalised(&gram, &correlations).unwrap());
                let solution = descent.solve(&gram, &correlations, square, penalty);
                let size = point.dot(point).sqrt();
                // A gap of 1e-14 allows a distance of its root, magnified by the condition of the columns.
                assert!(distance(&solution, point) <= 1e-5 * size, "seed {seed}");
            }
        }
    }

    #[test]
    fn least_angle_regression_takes_a_column_each_step() {
        for seed in 0..50 {
            let (gram, correlations) = problem(seed);
            let whole = whole_path(&gram, &correlations, Crossing::Ignore);
            assert_eq!(whole.points.len(), 9);
            let rounding = 1e-11 * correlations.dot(&correlations).sqrt();
            for (n_active, point) in whole.points.iter().enumerate() {
                let left = &correlations - &gram.dot(point);
                let largest = left.fold(0.0_f64, |most, value| most.max(value.abs()));
                for &column in &whole.active[..n_active] {
                    assert!(largest - left[column].abs() <= rounding, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_repeated_column_stays_out_and_equal_ones_all_enter() {
        let (gram, correlations) = problem(0);
        let order = [0, 1, 2, 3, 4, 5, 6, 7, 2];
        let repeated = Array2::from_shape_fn((9, 9), |(a, b)| gram[[order[a], order[b]]]);
        let correlations = Array1::from_shape_fn(9, |a| correlations[order[a]]);
        let whole = whole_path(&repeated, &correlations, Crossing::Ignore);
        assert_eq!(whole.active.len(), 8);
        let equal = Array1::ones(4);
        assert_eq!(whole_path(&Array2::eye(4), &equal, Crossing::Ignore).active, [0, 1, 2, 3]);
        assert_eq!(
            whole_path(&Array2::eye(4), &equal, Crossing::Drop).points.last().unwrap(),
            equal
        );
    }
}
