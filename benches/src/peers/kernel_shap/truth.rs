//! Shapley values that are known: closed forms, enumeration, or a very large sample.

use anyhow::Result;
use ndarray::{Array2, Array3, Axis};
use xai_core::{Rows, RunConfig};
use xai_shap::{Estimator, KernelShapParams, NSamples};

use super::tasks::Table;
use super::{KernelShapSettings, Truth, stacked};
use crate::models::{Tree, Trees, Unanimity};

/// From a sum of trees, leaf by leaf; exact for any number of columns.
///
/// A leaf is reached by a coalition that holds all of the columns in which only the instance takes the leaf's way, `a`
/// many, and none of those in which only the background row does, `b` many.
/// Such a game gives each of the first `(a - 1)! b! / (a + b)!` and each of the second `-a! (b - 1)! / (a + b)!`.
pub(super) fn of_trees(model: &Trees, background: &Rows, instances: &Rows) -> Truth {
    let mut values = Array3::zeros((instances.nrows(), 1, instances.ncols()));
    for (instance, mut found) in instances.rows().into_iter().zip(values.outer_iter_mut()) {
        for row in background.rows() {
            for tree in &model.trees {
                let mut add = |column: usize, share: f64| found[[0, column]] += share;
                let pair = Pair { tree, instance: &instance, row: &row };
                pair.descend(0, &mut Vec::new(), &mut Vec::new(), &mut add);
            }
        }
    }
    values /= background.nrows() as f64;
    Truth { values, source: "closed form per leaf".into(), relative_squared_error: 0.0 }
}

/// A tree on an instance and a background row.
struct Pair<'a> {
    tree: &'a Tree,
    instance: &'a xai_core::Row,
    row: &'a xai_core::Row,
}

impl Pair<'_> {
    fn descend(
        &self,
        node: usize,
        present: &mut Vec<usize>,
        absent: &mut Vec<usize>,
        add: &mut dyn FnMut(usize, f64),
    ) {
        let tree = self.tree;
        if tree.left[node] == 0 {
            let (a, b) = (present.len(), absent.len());
            // 1 / ((a + b) C(a + b - 1, a - 1)) is (a - 1)! b! / (a + b)!.
            let share = |k: usize| tree.value[node] / ((a + b) as f64 * binomial(a + b - 1, k));
            present.iter().for_each(|&column| add(column, share(a - 1)));
            absent.iter().for_each(|&column| add(column, -share(a)));
            return;
        }
        let column = tree.feature[node];
        let goes_left = |x: &xai_core::Row| x[column] <= tree.threshold[node];
        let (of_instance, of_row) = (goes_left(self.instance), goes_left(self.row));
        for (left, child) in [(true, tree.left[node]), (false, tree.right[node])] {
            let (instance_agrees, row_agrees) = (of_instance == left, of_row == left);
            let (known_present, known_absent) =
                (present.contains(&column), absent.contains(&column));
            let reachable = if known_present {
                instance_agrees
            } else if known_absent {
                row_agrees
            } else {
                instance_agrees || row_agrees
            };
            if !reachable {
                continue;
            }
            let decides = !known_present && !known_absent && instance_agrees != row_agrees;
            let side = if instance_agrees { &mut *present } else { &mut *absent };
            if decides {
                side.push(column);
            }
            self.descend(child, present, absent, add);
            if decides {
                if instance_agrees {
                    present.pop()
                } else {
                    absent.pop()
                };
            }
        }
    }
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

/// From a sum of unanimity games over a background of one row of zeros: each product is shared equally.
pub(super) fn of_unanimity(model: &Unanimity, instances: &Rows) -> Truth {
    let mut values = Array3::zeros((instances.nrows(), 1, instances.ncols()));
    for (instance, mut found) in instances.rows().into_iter().zip(values.outer_iter_mut()) {
        for (members, coefficient) in model.members.iter().zip(&model.coefficients) {
            let product: f64 = members.iter().map(|&member| instance[member]).product();
            for &member in members {
                found[[0, member]] += coefficient * product / members.len() as f64;
            }
        }
    }
    Truth { values, source: "closed form".into(), relative_squared_error: 0.0 }
}

/// From all coalitions.
///
/// # Errors
/// Those of the explainer.
pub(super) fn enumerated(settings: &KernelShapSettings, table: &Table) -> Result<Truth> {
    let params = settings.params().with_estimator(Estimator::Exact);
    let (values, _) = explained(params, table)?;
    Ok(Truth { values, source: "all coalitions".into(), relative_squared_error: 0.0 })
}

/// From a sample of coalitions that is large beside every budget of the comparison.
///
/// # Errors
/// Those of the explainer.
pub(super) fn sampled(
    settings: &KernelShapSettings,
    table: &Table,
    n_coalitions: usize,
) -> Result<Truth> {
    let params = settings
        .params()
        .with_estimator(Estimator::Paired)
        .with_nsamples(NSamples::Count(n_coalitions));
    let (values, errors) = explained(params, table)?;
    let relative =
        |(values, errors): (ndarray::ArrayView2<'_, f64>, ndarray::ArrayView2<'_, f64>)| {
            let sum_of_squares = |numbers: &Rows| numbers.iter().map(|x| x * x).sum::<f64>();
            sum_of_squares(&errors) / sum_of_squares(&values)
        };
    let total: f64 = values.outer_iter().zip(errors.outer_iter()).map(relative).sum();
    Ok(Truth {
        relative_squared_error: total / values.len_of(Axis(0)) as f64,
        values,
        source: format!("{n_coalitions} sampled coalitions"),
    })
}

/// Values and standard errors of all instances.
fn explained(params: KernelShapParams, table: &Table) -> Result<(Array3<f64>, Array3<f64>)> {
    let features = xai_core::tabular::Features::unnamed(table.background.ncols())?;
    let explainer = params.fit(&table.background, features)?;
    let runs = RunConfig::seeded(0);
    let explanations = xai_core::Explainer::explain_many(
        &explainer,
        table.model.predictor()?,
        &table.instances,
        &runs,
    );
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for explanation in explanations {
        let data = explanation?.data;
        errors.push(
            data.standard_errors
                .unwrap_or_else(|| Array2::from_elem(data.shap_values.dim(), f64::NAN)),
        );
        values.push(data.shap_values);
    }
    Ok((stacked(&values), stacked(&errors)))
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;
    use crate::models::Model;
    use crate::peers::kernel_shap::tasks;

    /// Two ways to the same numbers: leaf by leaf, and all coalitions.
    #[test]
    fn leaves_add_up_to_all_coalitions() {
        let tables = tasks::error_tables().unwrap();
        let (_, table) = tables.iter().find(|(name, _)| *name == "trees-12").unwrap();
        let Model::Trees(model) = &table.model else { panic!("trees-12 is a sum of trees") };
        let leaves = of_trees(model, &table.background, &table.instances).values;
        let settings = KernelShapSettings { estimator: Estimator::Exact, ..tasks::once() };
        let all = enumerated(&settings, table).unwrap().values;
        // Both add fewer than 2^17 numbers of at most the size of the base.
        let bound = f64::from(1 << 17) * f64::EPSILON * model.base.abs().max(1.0);
        let worst = (leaves - all).fold(0.0_f64, |worst, difference| worst.max(difference.abs()));
        assert!(worst < bound, "{worst} against {bound}");
    }

    #[test]
    fn a_product_is_shared_equally() {
        let model = Unanimity { members: vec![vec![0, 2]], coefficients: vec![3.0] };
        let truth = of_unanimity(&model, &ndarray::array![[2.0, 7.0, 0.5]]);
        let expected = Array::from_shape_vec((1, 1, 3), vec![1.5, 0.0, 1.5]).unwrap();
        assert_eq!(truth.values, expected);
    }
}
