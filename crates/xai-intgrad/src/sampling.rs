//! Expected gradients: one random start and one random point for each gradient.

use ndarray::{Array1, Array2, Axis, array};
use xai_core::{Error, Result, Run, Status, Stop};

use crate::baselines::Distribution;
use crate::integral::{gradients, shares};
use crate::moments::Moments;
use crate::session::{Answer, Session, Work};

/// One gradient to come.
struct Draw {
    owner: usize,
    /// The row that the path starts at.
    start: usize,
    /// The place on the path, from 0 to below 1.
    alpha: f64,
    /// The end of the path, at the model's inputs.
    end: Array1<f64>,
}

/// The mean over draws of a baseline `b` and a place on the path from it of
/// `(x - b) * gradient`, with its standard error.
///
/// # Source
/// Erion et al. 2021, "Improving performance of deep learning models with axiomatic attribution priors and expected
/// gradients", equation 4; with noise the GradientSHAP of captum.
pub(crate) fn expected_gradients(
    work: &Work<'_>,
    distribution: &Distribution,
    sessions: &[Session],
    runs: &mut [Run<'_>],
) -> Result<Vec<Answer>> {
    let n_samples = distribution.n_samples;
    let mut streams: Vec<_> = runs.iter().map(|run| run.seed().stream()).collect();
    let width = sessions[0].at_x.len();
    // The last column is the sum of the others, for the error of the gap.
    let mut moments = vec![Moments::new(width + 1); sessions.len()];
    let mut counts = vec![0; sessions.len()];
    let mut stopped: Option<Stop> = None;
    let all: Vec<usize> =
        (0..sessions.len()).flat_map(|session| vec![session; n_samples]).collect();
    for owners in all.chunks(work.max_points().min(all.len())) {
        let draw = |&owner: &usize| {
            let stream = &mut streams[owner];
            let (start, alpha) = (work.starts.pick(stream.uniform()), stream.uniform());
            let mut end = sessions[owner].x.clone();
            if 0.0 < distribution.stdev {
                work.layout.add(&mut end, || distribution.stdev * stream.normal());
            }
            Draw { owner, start, alpha, end }
        };
        let draws: Vec<Draw> = owners.iter().map(draw).collect();
        let samples = match samples(work, distribution, &draws, sessions, runs) {
            // The draws so far are an answer, unless other instances wait for theirs.
            Err(Error::Stopped(stop)) if runs.len() == 1 && 2 <= counts[0] => {
                stopped = Some(stop);
                break;
            }
            other => other?,
        };
        for (draw, sample) in draws.iter().zip(samples.rows()) {
            moments[draw.owner].add(&sample);
            counts[draw.owner] += 1;
        }
    }
    let answers = moments.iter().zip(sessions).zip(counts);
    Ok(answers.map(|((moments, session), n)| answer(work, moments, session, n, stopped)).collect())
}

/// The attributions of each draw and their sum, shape `(n_draws, width + 1)`.
fn samples(
    work: &Work<'_>,
    distribution: &Distribution,
    draws: &[Draw],
    sessions: &[Session],
    runs: &mut [Run<'_>],
) -> Result<Array2<f64>> {
    let ends: Vec<Array1<f64>> = if 0.0 < distribution.stdev {
        let mut rows: Vec<Array2<f64>> =
            sessions.iter().map(|session| Array2::zeros((0, session.x.len()))).collect();
        for draw in draws {
            rows[draw.owner].push_row(draw.end.view()).expect("as wide as the instance");
        }
        let at = work.at(&rows, runs)?;
        at.iter().flat_map(|rows| rows.rows().into_iter().map(|row| row.to_owned())).collect()
    } else {
        draws.iter().map(|draw| sessions[draw.owner].at_x.clone()).collect()
    };
    let width = sessions[0].at_x.len();
    let mut points = Array2::zeros((draws.len(), width));
    let mut differences = Array2::zeros((draws.len(), width));
    let mut cotangent = Array2::zeros((draws.len(), sessions[0].outputs.len()));
    for (k, (draw, end)) in draws.iter().zip(&ends).enumerate() {
        let session = &sessions[draw.owner];
        let start = session.at_starts.row(draw.start);
        let difference = end - &start;
        points.row_mut(k).assign(&(&start + &(draw.alpha * &difference)));
        differences.row_mut(k).assign(&difference);
        cotangent.row_mut(k).assign(&session.explained.selection.cotangent(session.outputs.len()));
    }
    let sizes = shares(draws.iter().map(|draw| draw.owner), runs.len());
    let gradients = gradients(&points, &cotangent, &sizes, work.head(), runs, work.max_points())?;
    let products = &differences * &gradients;
    let sums = products.sum_axis(Axis(1)).insert_axis(Axis(1));
    let samples = if work.params.multiply_by_inputs { products } else { gradients };
    Ok(ndarray::concatenate![Axis(1), samples, sums])
}

fn answer(
    work: &Work<'_>,
    moments: &Moments,
    session: &Session,
    n_samples: usize,
    stop: Option<Stop>,
) -> Answer {
    let width = session.at_x.len();
    let errors = moments.standard_error_of_mean();
    let weights = work.starts.weights.iter().zip(&session.start_outputs);
    let change = session.output - weights.map(|(weight, output)| weight * output).sum::<f64>();
    let columns = |all: &Array1<f64>| all.slice(ndarray::s![..width]).to_owned();
    Answer {
        attributions: columns(moments.mean()),
        standard_errors: Some(columns(&errors)),
        quadrature_errors: None,
        deltas: vec![moments.mean()[width] - change],
        changes: vec![change],
        delta_standard_errors: Some(array![errors[width]]),
        steps: vec![n_samples],
        n_samples,
        status: if stop.is_some() { Status::Stopped } else { Status::Complete },
        stop: stop.unwrap_or(Stop::Converged),
    }
}
