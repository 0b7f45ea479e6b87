//! Mean gradients along lines, by one rule or by nested ones.

use ndarray::Array2;
use xai_core::{Differentiable, Error, Paths, Result, Rows, Run, Stop};

use crate::quadrature::Rule;

/// Straight lines of several runs, in the space where gradients are taken.
pub(crate) struct Lines {
    /// Where they start, shape `(n_lines, width)`.
    pub(crate) from: Array2<f64>,
    /// Where they end, shape of `from`.
    pub(crate) to: Array2<f64>,
    /// What is differentiated on each, shape `(n_lines, n_outputs)`.
    pub(crate) cotangent: Array2<f64>,
    /// How much the output changes along each, `(n_lines,)`.
    pub(crate) changes: Vec<f64>,
    /// The run each belongs to, ascending, `(n_lines,)`.
    pub(crate) owners: Vec<usize>,
}

impl Lines {
    /// The sum of a line's attributions less the change of the output.
    pub(crate) fn delta(&self, line: usize, gradient: &xai_core::Row) -> f64 {
        let difference = &self.to.row(line) - &self.from.row(line);
        (difference * gradient).sum() - self.changes[line]
    }
}

/// How many of `owners` each of `n_runs` has.
pub(crate) fn shares(owners: impl Iterator<Item = usize>, n_runs: usize) -> Vec<usize> {
    let mut sizes = vec![0; n_runs];
    owners.for_each(|owner| sizes[owner] += 1);
    sizes
}

/// The mean gradients of lines.
pub(crate) struct Integrals {
    /// Shape `(n_lines, width)`.
    pub(crate) gradients: Array2<f64>,
    /// How much the last refinement moved them, in absolute value; only for nested rules.
    pub(crate) moved: Option<Array2<f64>>,
    /// Points on each, `(n_lines,)`.
    pub(crate) steps: Vec<usize>,
    /// Whether the gap of all is within the tolerance; false where there is none.
    pub(crate) reached: bool,
    /// What ended the refinement.
    pub(crate) stop: Option<Stop>,
}

/// When the gap of a line is small enough.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
}

/// The mean gradients by one rule, weighted and summed where the model lives.
pub(crate) fn by_rule(
    rule: &Rule,
    lines: &Lines,
    model: &dyn Differentiable,
    runs: &mut [Run<'_>],
    max_points: usize,
) -> Result<Integrals> {
    let paths = Paths {
        from: &lines.from,
        to: &lines.to,
        alphas: &rule.alphas,
        weights: &rule.weights,
        cotangent: &lines.cotangent,
    };
    let sizes = shares(lines.owners.iter().copied(), runs.len());
    let gradients = Run::path_vjp_batched(runs, &sizes, model, &paths, max_points)?;
    let steps = vec![rule.alphas.len(); lines.owners.len()];
    Ok(Integrals { gradients, moved: None, steps, reached: false, stop: None })
}

/// The gradients at points: shape of `points`. A point is a line from itself to itself.
pub(crate) fn gradients(
    points: &Rows,
    cotangent: &Rows,
    sizes: &[usize],
    model: &dyn Differentiable,
    runs: &mut [Run<'_>],
    max_points: usize,
) -> Result<Array2<f64>> {
    let paths = Paths { from: points, to: points, alphas: &[0.0], weights: &[1.0], cotangent };
    Run::path_vjp_batched(runs, sizes, model, &paths, max_points)
}

/// The mean gradients by nested rules, each line until its gap is within the tolerance.
///
/// Every gradient counts in the sums of all finer rules as it comes, so that none is kept and none is asked for twice:
/// memory is one row for each line and rule.
pub(crate) fn by_nested_rules(
    rules: &[Rule],
    tolerance: Tolerance,
    lines: &Lines,
    model: &dyn Differentiable,
    runs: &mut [Run<'_>],
    max_points: usize,
) -> Result<Integrals> {
    let (n_lines, width) = lines.from.dim();
    let coarse = crate::quadrature::half(&rules[0]);
    let mut before = Array2::zeros((n_lines, width));
    let mut sums = vec![Array2::zeros((n_lines, width)); rules.len()];
    let mut active: Vec<usize> = (0..n_lines).collect();
    let mut found = Integrals {
        gradients: Array2::zeros((n_lines, width)),
        moved: None,
        steps: vec![0; n_lines],
        reached: false,
        stop: None,
    };
    let mut moved = Array2::zeros((n_lines, width));
    for (level, rule) in rules.iter().enumerate() {
        let stride = if level == 0 { 1 } else { 2 };
        let nodes: Vec<usize> = (stride - 1..rule.alphas.len()).step_by(stride).collect();
        let place = |point: usize| (active[point / nodes.len()], nodes[point % nodes.len()]);
        let n_points = active.len() * nodes.len();
        for first in (0..n_points).step_by(max_points.min(n_points)) {
            let block = first..first.saturating_add(max_points).min(n_points);
            let mut points = Array2::zeros((block.len(), width));
            let mut cotangent = Array2::zeros((block.len(), lines.cotangent.ncols()));
            for (k, (line, node)) in block.clone().map(place).enumerate() {
                let (from, to) = (lines.from.row(line), lines.to.row(line));
                points.row_mut(k).assign(&(&from + &(rule.alphas[node] * (&to - &from))));
                cotangent.row_mut(k).assign(&lines.cotangent.row(line));
            }
            let owners = block.clone().map(|point| lines.owners[place(point).0]);
            let sizes = shares(owners, runs.len());
            let asked = gradients(&points, &cotangent, &sizes, model, runs, max_points);
            let answered = match asked {
                // The rule before is an answer, unless other instances wait for theirs.
                Err(Error::Stopped(stop)) if 0 < level && runs.len() == 1 => {
                    return Ok(Integrals { moved: Some(moved), stop: Some(stop), ..found });
                }
                other => other?,
            };
            for (gradient, (line, node)) in answered.rows().into_iter().zip(block.map(place)) {
                if level == 0 && node % 2 == 0 {
                    before.row_mut(line).scaled_add(coarse.weights[node / 2], &gradient);
                }
                for (finer, sum) in sums.iter_mut().enumerate().skip(level) {
                    let weight = rules[finer].weights[node << (finer - level)];
                    sum.row_mut(line).scaled_add(weight, &gradient);
                }
            }
        }
        active.retain(|&line| {
            let gradient = sums[level].row(line);
            moved.row_mut(line).assign(&(&gradient - &before.row(line)).mapv_into(f64::abs));
            before.row_mut(line).assign(&gradient);
            found.gradients.row_mut(line).assign(&gradient);
            found.steps[line] = rule.alphas.len();
            let allowed = (tolerance.relative * lines.changes[line].abs()).max(tolerance.absolute);
            allowed < lines.delta(line, &gradient).abs()
        });
        if active.is_empty() {
            found.reached = true;
            break;
        }
    }
    Ok(Integrals { moved: Some(moved), ..found })
}
