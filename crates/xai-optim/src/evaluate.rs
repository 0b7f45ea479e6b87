//! Values and gradients of many points of many instances in one round of model calls.

use ndarray::{Array1, Array2};

use crate::problem::{Instance, Problem};
use xai_core::error::Result;
use xai_core::model::{ModelRef, Row, Rows};
use xai_core::run::{BatchPlan, Run};

/// A point of an instance that the model is asked about.
#[derive(Clone, Debug)]
pub struct Query {
    /// The index of the instance, which is that of its run.
    pub instance: usize,
    /// The point, shape `(n_coordinates,)`.
    pub point: Array1<f64>,
    /// Whether a gradient is wanted beside the outputs.
    pub gradient: bool,
}

/// What the model says at a point.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Its outputs, shape `(n_outputs,)`.
    pub outputs: Array1<f64>,
    /// The derivative along the cotangent, shape `(n_coordinates,)`; `None` where none was wanted or the cotangent was
    /// `None`.
    pub gradient: Option<Array1<f64>>,
}

/// The model, the space and the instances: what queries are asked of.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    /// The model.
    pub model: ModelRef<'a>,
    /// The space.
    pub problem: &'a dyn Problem,
    /// The instances, one for each run.
    pub instances: &'a [Instance],
}

/// A coordinate and the two values that its derivative is taken between.
type Probe = (usize, f64, f64);

impl Evaluator<'_> {
    /// The most queries a query may cost.
    ///
    /// # Cost
    /// 1 for the outputs; a gradient costs a white box [`vjp_queries`](xai_core::Differentiable::vjp_queries), and 2 for
    /// each coordinate that is probed and may move.
    #[must_use]
    pub fn cost(&self, query: &Query) -> u64 {
        if !query.gradient {
            return 1;
        }
        let gradient_cost = match self.model {
            ModelRef::WhiteBox(model) => model.vjp_queries(self.problem.n_columns()),
            ModelRef::BlackBox(_) => 0,
        };
        1 + gradient_cost + 2 * self.probes(query).len() as u64
    }

    /// The coordinates that are differentiated numerically.
    fn probes(&self, query: &Query) -> Vec<Probe> {
        if !query.gradient {
            return Vec::new();
        }
        let Instance { lower, upper, .. } = &self.instances[query.instance];
        let is_probed = |&coordinate: &usize| {
            let always = self.problem.is_always_probed(coordinate);
            (always || matches!(self.model, ModelRef::BlackBox(_)))
                && lower[coordinate] < upper[coordinate]
        };
        let probe = |coordinate| {
            let values = self.problem.probe(query.instance, &query.point, coordinate);
            values.map(|(down, up)| (coordinate, down, up))
        };
        (0..query.point.len()).filter(is_probed).filter_map(probe).collect()
    }

    /// Answers to queries, in their order. All rows go to the model in shared calls; those of a numeric gradient are
    /// behind the row of their point.
    ///
    /// `cotangent(query, outputs)` says along which outputs a query wants its derivative, `None` for no
    /// derivative.
    ///
    /// # Errors
    /// As [`Run::query_batched`].
    ///
    /// # Cost
    /// [`cost`](Self::cost) for each query, and less for a white box where the cotangent is `None` or zero.
    pub fn evaluate(
        &self,
        runs: &mut [Run<'_>],
        queries: &[Query],
        cotangent: &(dyn Fn(usize, &Row) -> Option<Array1<f64>> + Sync),
    ) -> Result<Vec<Evaluation>> {
        let n_coordinates = queries.first().map_or(0, |query| query.point.len());
        let probes: Vec<Vec<Probe>> = queries.iter().map(|query| self.probes(query)).collect();
        // The rows of each run: a query, and 0 for its point or one more than the place of a probe.
        let mut rows: Vec<Vec<(usize, usize)>> = vec![Vec::new(); runs.len()];
        let mut gradients = vec![0; runs.len()];
        for (index, query) in queries.iter().enumerate() {
            let kinds = (0..=2 * probes[index].len()).map(|kind| (index, kind));
            rows[query.instance].extend(kinds);
            gradients[query.instance] += usize::from(query.gradient);
        }
        let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
        let batch = BatchPlan {
            sizes: &sizes,
            gradients: &gradients,
            n_features: self.problem.n_columns(),
        };
        let fill = |run: usize, row: usize, input: &mut Row| {
            let (index, kind) = rows[run][row];
            let query = &queries[index];
            let Some(probe) = kind.checked_sub(1) else {
                return self.problem.decode(query.instance, &query.point, input);
            };
            let mut point = query.point.clone();
            let (coordinate, down, up) = probes[index][probe / 2];
            point[coordinate] = if probe % 2 == 0 { down } else { up };
            self.problem.decode(query.instance, &point, input);
        };
        let check = |index: usize, outputs: &Row| {
            self.instances[queries[index].instance].hinge.check(outputs)
        };
        let along = |run: usize, row: usize, outputs: &Row| {
            let (index, kind) = rows[run][row];
            // What cannot be read is refused below.
            let wanted = kind == 0 && queries[index].gradient && check(index, outputs).is_ok();
            if wanted { cotangent(index, outputs) } else { None }
        };
        let mut evaluations: Vec<Option<Evaluation>> = vec![None; queries.len()];
        let mut cotangents: Vec<Option<Array1<f64>>> = vec![None; queries.len()];
        let mut below = 0.0;
        let fold = |run: usize, row: usize, outputs: &Row, gradient: Option<&Row>| {
            let (index, kind) = rows[run][row];
            check(index, outputs)?;
            let query = &queries[index];
            let Some(probe) = kind.checked_sub(1) else {
                let along = if query.gradient { cotangent(index, outputs) } else { None };
                let gradient = along.as_ref().map(|_| match gradient {
                    Some(gradient) => {
                        self.problem.pull_back(query.instance, &query.point, gradient)
                    }
                    None => Array1::zeros(n_coordinates),
                });
                evaluations[index] = Some(Evaluation { outputs: outputs.to_owned(), gradient });
                cotangents[index] = along;
                return Ok(());
            };
            let evaluation =
                evaluations[index].as_mut().and_then(|evaluation| evaluation.gradient.as_mut());
            if let (Some(gradient), Some(cotangent)) = (evaluation, &cotangents[index]) {
                let (coordinate, down, up) = probes[index][probe / 2];
                let value = cotangent.dot(&outputs.view());
                if probe % 2 == 0 {
                    below = value;
                } else {
                    gradient[coordinate] = (value - below) / (up - down);
                }
            }
            Ok(())
        };
        Run::query_batched(runs, self.model, batch, fill, along, fold)?;
        // Every query has a row, and every row is folded.
        Ok(evaluations.into_iter().flatten().collect())
    }

    /// Whether the budget of a run covers queries that cost this much and one row more, with which a search checks
    /// what it returns.
    #[must_use]
    pub fn can_afford(run: &Run<'_>, cost: u64) -> bool {
        run.queries_left().is_none_or(|left| cost < left)
    }
}

/// What a model says of rows that belong to instances: outputs, and gradients where there is a cotangent.
///
/// `instances` names the run of each row of `inputs`, shape `(n_rows, n_columns)`; `cotangent(row, outputs)` says along
/// which outputs a row is differentiated, for a white box. The evaluations are in the order of the rows; their gradients
/// are by column. Searches evaluate their second models with it: encoders, autoencoders.
///
/// # Errors
/// As [`Run::query_batched`].
///
/// # Cost
/// One query for each row, and `vjp_queries` for each that has a cotangent.
pub fn evaluate_rows(
    model: ModelRef<'_>,
    instances: &[usize],
    inputs: &Rows,
    runs: &mut [Run<'_>],
    cotangent: &(dyn Fn(usize, &Row) -> Option<Array1<f64>> + Sync),
) -> Result<Vec<Evaluation>> {
    let mut places: Vec<Vec<usize>> = vec![Vec::new(); runs.len()];
    for (place, &instance) in instances.iter().enumerate() {
        places[instance].push(place);
    }
    let sizes: Vec<usize> = places.iter().map(Vec::len).collect();
    let batch = BatchPlan { sizes: &sizes, gradients: &sizes, n_features: inputs.ncols() };
    let mut evaluations: Vec<Option<Evaluation>> = vec![None; instances.len()];
    Run::query_batched(
        runs,
        model,
        batch,
        |run, row, input| input.assign(&inputs.row(places[run][row])),
        |run, row, outputs| cotangent(places[run][row], outputs),
        |run, row, outputs, gradient| {
            let gradient = gradient.map(Row::to_owned);
            evaluations[places[run][row]] =
                Some(Evaluation { outputs: outputs.to_owned(), gradient });
            Ok(())
        },
    )?;
    // Every row is evaluated.
    Ok(evaluations.into_iter().flatten().collect())
}

/// Points as rows.
pub(crate) fn stack(points: &[Array1<f64>], n_coordinates: usize) -> Array2<f64> {
    Array2::from_shape_fn((points.len(), n_coordinates), |(row, column)| points[row][column])
}
