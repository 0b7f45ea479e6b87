//! Instances on their way from inputs to attributions.

use ndarray::{Array1, Array2, Axis, concatenate, s};
use xai_core::{Differentiable, Error, Predictor, Result, Row, Rows, Run, Split, Status, Stop};

use crate::baselines::Starts;
use crate::integral::{Integrals, Lines, Tolerance, by_nested_rules, by_rule};
use crate::layout::Layout;
use crate::moments::Moments;
use crate::params::{IntegratedGradientsParams, NoiseKind};
use crate::quadrature::Rule;
use crate::target::{Explained, TargetSettings};

/// What is known of an instance before its gradients.
pub(crate) struct Session {
    /// The instance, at the model's inputs.
    pub(crate) x: Array1<f64>,
    /// Its outputs, `(n_outputs,)`.
    pub(crate) outputs: Array1<f64>,
    pub(crate) explained: Explained,
    /// The explained output.
    pub(crate) output: f64,
    /// Where paths start, at the model's inputs, `(n_baselines, n_columns)`.
    pub(crate) starts: Array2<f64>,
    /// The explained output there, `(n_baselines,)`.
    pub(crate) start_outputs: Array1<f64>,
    /// The instance where gradients are taken: at the inputs or at the layer.
    pub(crate) at_x: Array1<f64>,
    /// The starts there, `(n_baselines, width)`.
    pub(crate) at_starts: Array2<f64>,
}

impl Session {
    /// Puts together what is known at the instance, the first of the rows, and at its starts, the others.
    fn new(ends: &Rows, outputs: &Rows, explained: Explained, at: &Rows) -> Self {
        let values: Array1<f64> =
            outputs.rows().into_iter().map(|row| explained.selection.value(&row)).collect();
        let others = s![1.., ..];
        Session {
            x: ends.row(0).to_owned(),
            outputs: outputs.row(0).to_owned(),
            explained,
            output: values[0],
            starts: ends.slice(others).to_owned(),
            start_outputs: values.slice(s![1..]).to_owned(),
            at_x: at.row(0).to_owned(),
            at_starts: at.slice(others).to_owned(),
        }
    }
}

/// The attributions of an instance, in the columns where gradients are taken.
pub(crate) struct Answer {
    pub(crate) attributions: Array1<f64>,
    pub(crate) standard_errors: Option<Array1<f64>>,
    pub(crate) quadrature_errors: Option<Array1<f64>>,
    pub(crate) deltas: Vec<f64>,
    /// The changes of the output that the deltas refer to.
    pub(crate) changes: Vec<f64>,
    pub(crate) delta_standard_errors: Option<Array1<f64>>,
    pub(crate) steps: Vec<usize>,
    pub(crate) n_samples: usize,
    pub(crate) status: Status,
    pub(crate) stop: Stop,
}

/// What all instances of a call have in common.
pub(crate) struct Work<'a> {
    pub(crate) params: &'a IntegratedGradientsParams,
    pub(crate) layout: &'a Layout,
    pub(crate) starts: &'a Starts,
    pub(crate) rules: &'a [Rule],
    pub(crate) model: &'a dyn Differentiable,
    /// The model in two parts, where gradients are taken at a layer.
    pub(crate) split: Option<Split<'a>>,
    pub(crate) target: TargetSettings<'a>,
}

impl Work<'_> {
    /// The model from where gradients are taken.
    pub(crate) fn head(&self) -> &dyn Differentiable {
        self.split.as_ref().map_or(self.model, |split| &*split.head)
    }

    /// The most points of a call.
    pub(crate) fn max_points(&self) -> usize {
        self.params.internal_batch_size.unwrap_or(usize::MAX)
    }

    /// Asks the model for the ends of all paths.
    pub(crate) fn begin(&self, inputs: &[&Row], runs: &mut [Run<'_>]) -> Result<Vec<Session>> {
        let ends: Vec<Array2<f64>> = inputs
            .iter()
            .map(|x| {
                let starts = self.starts.of(self.layout, x);
                concatenate(Axis(0), &[x.view().insert_axis(Axis(0)), starts.view()])
                    .expect("baselines are as wide as the instance")
            })
            .collect();
        let outputs = ask(self.model, &ends, runs)?;
        let resolve = |(outputs, run): (&Array2<f64>, &mut Run<'_>)| {
            self.target.resolve(&outputs.row(0), run)
        };
        let targets: Vec<Explained> =
            outputs.iter().zip(&mut *runs).map(resolve).collect::<Result<_>>()?;
        let at_ends = self.at(&ends, runs)?;
        let parts = ends.iter().zip(&outputs).zip(targets).zip(&at_ends);
        Ok(parts
            .map(|(((ends, outputs), target), at)| Session::new(ends, outputs, target, at))
            .collect())
    }

    /// Rows at the model's inputs, taken to where gradients are taken.
    pub(crate) fn at(
        &self,
        rows: &[Array2<f64>],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Array2<f64>>> {
        match &self.split {
            None => Ok(rows.to_vec()),
            Some(split) => ask(&*split.body, rows, runs),
        }
    }

    /// Integrates from every start to every instance, or to noisy copies of it.
    pub(crate) fn integrate(
        &self,
        sessions: &[Session],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Answer>> {
        let n_copies = self.params.noise_tunnel.map_or(1, |noise| noise.n_samples);
        let mut streams: Vec<_> = runs.iter().map(|run| run.seed().stream()).collect();
        let mut totals: Vec<Totals> =
            sessions.iter().map(|session| Totals::new(session.at_x.len())).collect();
        // A refined line has a row for each rule besides the line itself.
        let n_lines = self.max_points() / self.rules.len();
        let per_chunk = (n_lines / self.starts.len()).max(1);
        let all: Vec<usize> =
            (0..sessions.len()).flat_map(|session| vec![session; n_copies]).collect();
        for owners in all.chunks(per_chunk) {
            let copies: Vec<Array1<f64>> = owners
                .iter()
                .map(|&owner| {
                    let mut copy = sessions[owner].x.clone();
                    if let Some(noise) = &self.params.noise_tunnel {
                        self.layout.add(&mut copy, || noise.stdev * streams[owner].normal());
                    }
                    copy
                })
                .collect();
            let found = self
                .lines(sessions, owners, &copies, runs)
                .and_then(|lines| Ok((self.integrals(&lines, runs)?, lines)));
            let (found, lines) = match found {
                // The copies so far are an answer, unless other instances wait for theirs.
                Err(Error::Stopped(stop)) if runs.len() == 1 && 2 <= totals[0].n_copies => {
                    totals[0].stop = Some(stop);
                    break;
                }
                other => other?,
            };
            for (copy, &owner) in owners.iter().enumerate() {
                totals[owner].add(self, copy, &lines, &found);
            }
        }
        Ok(totals.into_iter().map(|totals| totals.answer(self)).collect())
    }

    /// The lines from every start to each of some copies of instances.
    fn lines(
        &self,
        sessions: &[Session],
        owners: &[usize],
        copies: &[Array1<f64>],
        runs: &mut [Run<'_>],
    ) -> Result<Lines> {
        let (ends, outputs): (Vec<Array1<f64>>, Vec<f64>) = if self.params.noise_tunnel.is_some() {
            let mut rows: Vec<Array2<f64>> =
                sessions.iter().map(|session| Array2::zeros((0, session.x.len()))).collect();
            for (copy, &owner) in copies.iter().zip(owners) {
                rows[owner].push_row(copy.view()).expect("a copy is as wide as the instance");
            }
            let values = ask(self.model, &rows, runs)?;
            let values = values.iter().zip(sessions).flat_map(|(outputs, session)| {
                outputs
                    .rows()
                    .into_iter()
                    .map(|row| session.explained.selection.value(&row))
                    .collect::<Vec<_>>()
            });
            let at = self.at(&rows, runs)?;
            let at = at.iter().flat_map(|rows| rows.rows().into_iter().map(|row| row.to_owned()));
            (at.collect(), values.collect())
        } else {
            owners
                .iter()
                .map(|&owner| (sessions[owner].at_x.clone(), sessions[owner].output))
                .unzip()
        };
        let (n_starts, width) = sessions[0].at_starts.dim();
        let n_lines = owners.len() * n_starts;
        let mut lines = Lines {
            from: Array2::zeros((n_lines, width)),
            to: Array2::zeros((n_lines, width)),
            cotangent: Array2::zeros((n_lines, sessions[0].outputs.len())),
            changes: Vec::with_capacity(n_lines),
            owners: Vec::with_capacity(n_lines),
        };
        for (copy, &owner) in owners.iter().enumerate() {
            let session = &sessions[owner];
            for start in 0..n_starts {
                let line = copy * n_starts + start;
                lines.from.row_mut(line).assign(&session.at_starts.row(start));
                lines.to.row_mut(line).assign(&ends[copy]);
                let cotangent = session.explained.selection.cotangent(session.outputs.len());
                lines.cotangent.row_mut(line).assign(&cotangent);
                lines.changes.push(outputs[copy] - session.start_outputs[start]);
                lines.owners.push(owner);
            }
        }
        Ok(lines)
    }

    fn integrals(&self, lines: &Lines, runs: &mut [Run<'_>]) -> Result<Integrals> {
        let (head, max_points) = (self.head(), self.max_points());
        match self.params.tolerance {
            None => by_rule(&self.rules[0], lines, head, runs, max_points),
            Some(relative) => {
                let tolerance = Tolerance { relative, absolute: self.params.absolute_tolerance };
                by_nested_rules(self.rules, tolerance, lines, head, runs, max_points)
            }
        }
    }

    /// The explained output at equally spaced points of the paths to the instances, ends included; shape
    /// `(n_baselines, n_steps + 1)` for each.
    pub(crate) fn curves(
        &self,
        sessions: &[Session],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Array2<f64>>> {
        let (n_starts, n) = (self.starts.len(), self.params.n_steps);
        let inner = n - 1;
        let mut curves: Vec<Array2<f64>> = sessions
            .iter()
            .map(|session| {
                let mut curve = Array2::zeros((n_starts, n + 1));
                curve.column_mut(0).assign(&session.start_outputs);
                curve.column_mut(n).fill(session.output);
                curve
            })
            .collect();
        if inner == 0 {
            return Ok(curves);
        }
        let sizes = vec![n_starts * inner; sessions.len()];
        let width = sessions[0].at_x.len();
        let head: &dyn Predictor = self.head();
        Run::stream_batched(
            runs,
            head,
            (&sizes, width),
            |owner, first, block| {
                let session = &sessions[owner];
                for (k, mut row) in block.rows_mut().into_iter().enumerate() {
                    let (start, step) = ((first + k) / inner, (first + k) % inner + 1);
                    let from = session.at_starts.row(start);
                    let alpha = step as f64 / n as f64;
                    row.assign(&(&from + &(alpha * (&session.at_x - &from))));
                }
            },
            |owner, first, outputs| {
                for (k, row) in outputs.rows().into_iter().enumerate() {
                    let (start, step) = ((first + k) / inner, (first + k) % inner + 1);
                    curves[owner][[start, step]] = sessions[owner].explained.selection.value(&row);
                }
                Ok(())
            },
        )?;
        Ok(curves)
    }
}

/// What the copies of an instance add up to.
struct Totals {
    moments: Moments,
    /// The sum over copies of how much the last refinement moved the attributions.
    moved: Option<Array1<f64>>,
    deltas: Vec<f64>,
    changes: Vec<f64>,
    steps: Vec<usize>,
    n_copies: usize,
    reached: bool,
    stop: Option<Stop>,
}

impl Totals {
    fn new(width: usize) -> Self {
        Totals {
            moments: Moments::new(width),
            moved: None,
            deltas: Vec::new(),
            changes: Vec::new(),
            steps: Vec::new(),
            n_copies: 0,
            reached: true,
            stop: None,
        }
    }

    /// Adds the lines to one copy, the `copy`-th of the chunk.
    fn add(&mut self, work: &Work<'_>, copy: usize, lines: &Lines, found: &Integrals) {
        let n_starts = work.starts.len();
        let mut attributions = Array1::zeros(lines.from.ncols());
        for (start, &weight) in work.starts.weights.iter().enumerate() {
            let line = copy * n_starts + start;
            let factors = if work.params.multiply_by_inputs {
                &lines.to.row(line) - &lines.from.row(line)
            } else {
                Array1::ones(lines.from.ncols())
            };
            let gradient = found.gradients.row(line);
            attributions.scaled_add(weight, &(&factors * &gradient));
            if let Some(moved) = &found.moved {
                let term = weight * (&factors * &moved.row(line)).mapv_into(f64::abs);
                let sum = self.moved.take().unwrap_or_else(|| Array1::zeros(term.len()));
                self.moved = Some(sum + term);
            }
            self.deltas.push(lines.delta(line, &gradient));
            self.changes.push(lines.changes[line]);
            self.steps.push(found.steps[line]);
        }
        if work.params.noise_tunnel.is_some_and(|noise| noise.kind == NoiseKind::SmoothGradSquare) {
            attributions.mapv_inplace(|value| value * value);
        }
        self.moments.add(&attributions);
        self.n_copies += 1;
        self.reached &= found.reached;
        self.stop = self.stop.or(found.stop);
    }

    fn answer(self, work: &Work<'_>) -> Answer {
        let noise = work.params.noise_tunnel;
        let moments = &self.moments;
        let (attributions, standard_errors) = match noise.map(|noise| noise.kind) {
            None => (moments.mean().clone(), None),
            Some(NoiseKind::VarGrad) => {
                (moments.variance(), Some(moments.standard_error_of_variance()))
            }
            Some(_) => (moments.mean().clone(), Some(moments.standard_error_of_mean())),
        };
        let linear = noise.is_none_or(|noise| noise.kind == NoiseKind::SmoothGrad);
        let moved = self.moved.filter(|_| linear);
        let wanted = noise.map_or(1, |noise| noise.n_samples);
        let status = match self.stop {
            Some(_) => Status::Stopped,
            None if work.params.tolerance.is_none() => Status::Complete,
            None if self.reached => Status::WithinTolerance,
            None => Status::MaxSteps,
        };
        debug_assert!(self.stop.is_some() || self.n_copies == wanted, "all copies are there");
        Answer {
            attributions,
            standard_errors,
            quadrature_errors: moved.map(|sum| sum / self.n_copies as f64),
            deltas: self.deltas,
            changes: self.changes,
            delta_standard_errors: None,
            steps: self.steps,
            n_samples: self.n_copies,
            status,
            stop: self.stop.unwrap_or(Stop::Converged),
        }
    }
}

/// Outputs of a model for the rows of several runs, one matrix for each; runs without rows get an empty one.
pub(crate) fn ask(
    model: &dyn Predictor,
    rows: &[Array2<f64>],
    runs: &mut [Run<'_>],
) -> Result<Vec<Array2<f64>>> {
    let sizes: Vec<usize> = rows.iter().map(Array2::nrows).collect();
    let mut outputs: Vec<Array2<f64>> = vec![Array2::zeros((0, 0)); rows.len()];
    Run::stream_batched(
        runs,
        model,
        (&sizes, rows[0].ncols()),
        |owner, first, block| {
            block.assign(&rows[owner].slice(s![first..first + block.nrows(), ..]));
        },
        |owner, first, block| {
            let all = &mut outputs[owner];
            if first == 0 {
                *all = Array2::zeros((sizes[owner], block.ncols()));
            }
            all.slice_mut(s![first..first + block.nrows(), ..]).assign(block);
            Ok(())
        },
    )?;
    Ok(outputs)
}
