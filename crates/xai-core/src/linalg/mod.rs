//! The linear algebra the methods need: Cholesky, least squares, symmetric eigenvalues.
//!
//! Pure Rust by default; LAPACK when a backend feature of this crate is on.
//! Both pass the same tests and agree to rounding.

#[cfg(feature = "lapack")]
mod lapack;
#[cfg(feature = "lapack")]
use lapack as imp;

#[cfg(not(feature = "lapack"))]
mod blocked;
#[cfg(not(feature = "lapack"))]
mod pure;
#[cfg(not(feature = "lapack"))]
mod qr;
#[cfg(not(feature = "lapack"))]
use pure as imp;

use ndarray::{Array1, Array2};

use crate::error::{Error, Result, same_shape};
use crate::input::all_finite;
use crate::model::Rows;

/// The minimum-norm solution of a least-squares problem.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastSquares {
    /// Minimises `||a x - b||` column by column, shape `(n, k)`; of several such, the shortest.
    pub solution: Array2<f64>,
    /// The numerical rank of `a`.
    pub rank: usize,
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct SymmetricEigen {
    /// Eigenvalues in ascending order, shape `(n,)`.
    pub values: Array1<f64>,
    /// Orthonormal eigenvectors in the columns, in the order of `values`, shape `(n, n)`.
    /// The entry of largest magnitude in each (the first of equals) is positive.
    pub vectors: Array2<f64>,
}

/// The Cholesky factor of a symmetric positive definite matrix: lower triangular, its product with its transpose is
/// the matrix.
#[derive(Clone, Debug)]
pub struct Cholesky {
    /// Zero above the diagonal.
    lower: Array2<f64>,
}

impl Cholesky {
    /// Factorises `a`, shape `(n, n)`. Only the lower triangle of `a` is read.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NotFinite`] for bad arguments; [`Error::Singular`] when `a` is not positive
    /// definite to working precision (a squared pivot below `n * 2.2e-16` of the largest diagonal entry).
    pub fn new(a: &Rows) -> Result<Self> {
        square(a)?;
        all_finite("the matrix", a)?;
        if a.is_empty() {
            return Ok(Cholesky { lower: Array2::zeros((0, 0)) });
        }
        let lower = imp::cholesky(a).ok_or(SINGULAR)?;
        let largest = a.diag().iter().fold(0.0_f64, |largest, &value| largest.max(value));
        let floor = a.nrows() as f64 * f64::EPSILON * largest;
        let definite = lower.diag().iter().all(|&pivot| floor < pivot * pivot);
        if definite { Ok(Cholesky { lower }) } else { Err(SINGULAR) }
    }

    /// The solution `x` of `a x = b`; both have shape `(n, k)`.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NotFinite`] for a bad right-hand side.
    pub fn solve(&self, b: &Rows) -> Result<Array2<f64>> {
        self.solve_transposed(&self.solve_lower(b)?)
    }

    /// The solution `x` of `l x = b` for the factor `l`; both have shape `(n, k)`.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    pub fn solve_lower(&self, b: &Rows) -> Result<Array2<f64>> {
        self.check(b)?;
        if b.is_empty() {
            return Ok(b.to_owned());
        }
        imp::solve_lower(&self.lower, b).ok_or(SINGULAR)
    }

    /// The solution `x` of `l^T x = b` for the factor `l`; both have shape `(n, k)`.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    pub fn solve_transposed(&self, b: &Rows) -> Result<Array2<f64>> {
        self.check(b)?;
        if b.is_empty() {
            return Ok(b.to_owned());
        }
        imp::solve_transposed(&self.lower, b).ok_or(SINGULAR)
    }

    /// The natural logarithm of the determinant of the matrix.
    #[must_use]
    pub fn log_determinant(&self) -> f64 {
        2.0 * self.lower.diag().iter().map(|pivot| pivot.ln()).sum::<f64>()
    }

    fn check(&self, b: &Rows) -> Result<()> {
        same_shape("the right-hand side", &[self.lower.nrows(), b.ncols()], b.shape())?;
        all_finite("the right-hand side", b)
    }
}

/// Solves `a x = b` for a symmetric positive definite `a`, shape `(n, n)`, through its [`Cholesky`] factor; `b` and
/// the result have shape `(n, k)`. Only the lower triangle of `a` is read.
///
/// # Errors
/// Those of [`Cholesky::new`] and [`Cholesky::solve`].
pub fn cholesky_solve(a: &Rows, b: &Rows) -> Result<Array2<f64>> {
    square(a)?;
    same_shape("the right-hand side", &[a.nrows(), b.ncols()], b.shape())?;
    Cholesky::new(a)?.solve(b)
}

/// Minimises `||a x - b||`; `a` has shape `(m, n)`, `b` shape `(m, k)`. Singular values below
/// `max(m, n) * 2.2e-16` of the largest count as zero.
///
/// # Errors
/// [`Error::Shape`] and [`Error::NotFinite`] for bad arguments; [`Error::Singular`] when the singular value
/// decomposition does not converge.
pub fn least_squares(a: &Rows, b: &Rows) -> Result<LeastSquares> {
    same_shape("the right-hand side", &[a.nrows(), b.ncols()], b.shape())?;
    all_finite("the matrix", a)?;
    all_finite("the right-hand side", b)?;
    if a.is_empty() {
        return Ok(LeastSquares { solution: Array2::zeros((a.ncols(), b.ncols())), rank: 0 });
    }
    let tolerance = a.nrows().max(a.ncols()) as f64 * f64::EPSILON;
    imp::least_squares(a, b, tolerance).ok_or(SINGULAR)
}

/// Eigenvalues and eigenvectors of a symmetric `a`, shape `(n, n)`; only the lower triangle is read.
///
/// # Errors
/// [`Error::Shape`] and [`Error::NotFinite`] for bad arguments; [`Error::Singular`] when the iteration does not
/// converge.
pub fn symmetric_eigen(a: &Rows) -> Result<SymmetricEigen> {
    square(a)?;
    all_finite("the matrix", a)?;
    if a.is_empty() {
        return Ok(SymmetricEigen { values: Array1::zeros(0), vectors: Array2::zeros((0, 0)) });
    }
    // Mirrored here: ndarray-linalg reads the upper triangle of a row-major matrix where it was told the lower.
    let mirrored = Array2::from_shape_fn(a.dim(), |(i, j)| a[[i.max(j), i.min(j)]]);
    let (values, vectors) = imp::symmetric_eigen(&mirrored).ok_or(SINGULAR)?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut sorted = Array2::zeros(vectors.dim());
    for (to, &from) in order.iter().enumerate() {
        let vector = vectors.column(from);
        let leading = vector
            .iter()
            .fold(0.0_f64, |best, &value| if best.abs() < value.abs() { value } else { best });
        sorted.column_mut(to).assign(&(&vector * leading.signum()));
    }
    Ok(SymmetricEigen {
        values: order.iter().map(|&index| values[index]).collect(),
        vectors: sorted,
    })
}

const SINGULAR: Error = Error::Singular { what: "the matrix" };

fn square(a: &Rows) -> Result<()> {
    same_shape("the matrix", &[a.nrows(), a.nrows()], a.shape())
}
