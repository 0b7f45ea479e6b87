//! Values and gradients of many points of many instances in one round of model calls.

use ndarray::{Array1, Array2};

use super::problem::{Instance, Problem};
use xai_core::error::Result;
use xai_core::model::{ModelRef, Row};
use xai_core::run::{BatchPlan, Run};

/// A point of an instance that the model is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The index of the instance, which is that of its run.
    pub instance: usize,
    /// The point, shape `(n_coordinates,)`.
    pub point: Array1<f64>,
    /// Whether a gradient is wanted beside the outputs.
    pub gradient: bool,
}

/// What the model says at a point.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its outputs, shape `(n_outputs,)`.
    pub outputs: Array1<f64>,
    /// The derivative along the cotangent, shape `(n_coordinates,)`; `None` where none was wanted or the cotangent was
    /// `None`.
    pub gradient: Option<Array1<f64>>,
}

/// The model, the space and the instances: what questions are asked of.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    /// The model.
    pub access: ModelRef<'a>,
    /// The space.
    pub problem: &'a dyn Problem,
    /// The instances, one for each run.
    pub instances: &'a [Instance],
}

/// A coordinate and the two values that its derivative is taken between.
type Probe = (usize, f64, f64);

impl Evaluator<'_> {
    /// The most queries a question may cost.
    ///
    /// # Cost
    /// 1 for the outputs; a gradient costs a white box [`vjp_queries`](xai_core::Differentiable::vjp_queries), and 2 for
    /// each coordinate that is probed and may move.
    #[must_use]
    pub fn price(&self, question: &Question) -> u64 {
        if !question.gradient {
            return 1;
        }
        let own = match self.access {
            ModelRef::WhiteBox(model) => model.vjp_queries(self.problem.n_columns()),
            ModelRef::BlackBox(_) => 0,
        };
        1 + own + 2 * self.probes(question).len() as u64
    }

    /// The coordinates that are differentiated numerically.
    fn probes(&self, question: &Question) -> Vec<Probe> {
        if !question.gradient {
            return Vec::new();
        }
        let Instance { lower, upper, .. } = &self.instances[question.instance];
        let is_probed = |&coordinate: &usize| {
            let always = self.problem.is_always_probed(coordinate);
            (always || matches!(self.access, ModelRef::BlackBox(_)))
                && lower[coordinate] < upper[coordinate]
        };
        let probe = |coordinate| {
            let own = self.problem.probe(question.instance, &question.point, coordinate);
            own.map(|(down, up)| (coordinate, down, up))
        };
        (0..question.point.len()).filter(is_probed).filter_map(probe).collect()
    }

    /// Answers to questions, in their order. All rows go to the model in shared calls; those of a numeric gradient are
    /// behind the row of their point.
    ///
    /// `cotangent(question, outputs)` says along which outputs a question wants its derivative, `None` for no
    /// derivative.
    ///
    /// # Errors
    /// As [`Run::query_batched`].
    ///
    /// # Cost
    /// [`price`](Self::price) for each question, and less for a white box where the cotangent is `None` or zero.
    pub fn ask(
        &self,
        runs: &mut [Run<'_>],
        questions: &[Question],
        cotangent: &(dyn Fn(usize, &Row) -> Option<Array1<f64>> + Sync),
    ) -> Result<Vec<Answer>> {
        let n_coordinates = questions.first().map_or(0, |question| question.point.len());
        let probes: Vec<Vec<Probe>> = questions.iter().map(|own| self.probes(own)).collect();
        // The rows of each run: a question, and 0 for its point or one more than the place of a probe.
        let mut rows: Vec<Vec<(usize, usize)>> = vec![Vec::new(); runs.len()];
        let mut gradients = vec![0; runs.len()];
        for (index, question) in questions.iter().enumerate() {
            let own = (0..=2 * probes[index].len()).map(|kind| (index, kind));
            rows[question.instance].extend(own);
            gradients[question.instance] += usize::from(question.gradient);
        }
        let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
        let batch = BatchPlan {
            sizes: &sizes,
            gradients: &gradients,
            n_features: self.problem.n_columns(),
        };
        let fill = |run: usize, row: usize, input: &mut Row| {
            let (index, kind) = rows[run][row];
            let question = &questions[index];
            let Some(probe) = kind.checked_sub(1) else {
                return self.problem.decode(question.instance, &question.point, input);
            };
            let mut point = question.point.clone();
            let (coordinate, down, up) = probes[index][probe / 2];
            point[coordinate] = if probe % 2 == 0 { down } else { up };
            self.problem.decode(question.instance, &point, input);
        };
        let along = |run: usize, row: usize, outputs: &Row| {
            let (index, kind) = rows[run][row];
            let wanted = kind == 0 && questions[index].gradient;
            if wanted { cotangent(index, outputs) } else { None }
        };
        let mut answers: Vec<Option<Answer>> = vec![None; questions.len()];
        let mut cotangents: Vec<Option<Array1<f64>>> = vec![None; questions.len()];
        let mut below = 0.0;
        let fold = |run: usize, row: usize, outputs: &Row, gradient: Option<&Row>| {
            let (index, kind) = rows[run][row];
            let question = &questions[index];
            let Some(probe) = kind.checked_sub(1) else {
                let own = if question.gradient { cotangent(index, outputs) } else { None };
                let gradient = own.as_ref().map(|_| match gradient {
                    Some(own) => self.problem.pull_back(question.instance, &question.point, own),
                    None => Array1::zeros(n_coordinates),
                });
                answers[index] = Some(Answer { outputs: outputs.to_owned(), gradient });
                cotangents[index] = own;
                return Ok(());
            };
            let answer = answers[index].as_mut().and_then(|answer| answer.gradient.as_mut());
            if let (Some(gradient), Some(cotangent)) = (answer, &cotangents[index]) {
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
        Run::query_batched(runs, self.access, batch, fill, along, fold)?;
        // Every question has a row, and every row is folded.
        Ok(answers.into_iter().flatten().collect())
    }

    /// Whether the budget of a run covers questions that cost this much and one row more, with which a search checks
    /// what it returns.
    #[must_use]
    pub fn affords(run: &Run<'_>, price: u64) -> bool {
        run.queries_left().is_none_or(|left| price < left)
    }
}

/// Points as rows.
pub(crate) fn stack(points: &[Array1<f64>], n_coordinates: usize) -> Array2<f64> {
    Array2::from_shape_fn((points.len(), n_coordinates), |(row, column)| points[row][column])
}
