//! Anchors of images under comparison: the task, our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Array3, ArrayRef3, s};
use serde::{Deserialize, Serialize};
use xai_anchors::image::{AnchorImageData, AnchorImageParams};
use xai_core::{Explainer, Predictor, Row, Rows, RunConfig, Seed, Stream};

use super::{
    Bound, Case, Contender, Goal, Judgement, Measure, Method, PeerMethod, Ratio, RunJudgement,
    RunReport, Sources, TaskAbout,
};
use crate::digits;
use crate::models::{Model, classes};
use crate::networks::Network;

/// The most images in one call of the model.
const MAX_BATCH: usize = 256;

/// Fresh images that the judge draws for each instance.
const FRESH: usize = 10_000;

/// What a side must know to search for anchors of images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnchorImageSettings {
    /// Height, width and channels.
    pub image_shape: (usize, usize, usize),
    /// The precision that an anchor must have, in `(0, 1]`.
    pub threshold: f64,
    /// What to do with the instances.
    pub runs: Vec<AnchorImageRunSettings>,
}

/// One call of a method for all instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnchorImageRunSettings {
    /// The seed.
    pub seed: u64,
}

/// The answer for one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    /// Whether the anchor holds a pixel, by row.
    mask: Vec<Vec<bool>>,
    /// The superpixel of each pixel, by row.
    segments: Vec<Vec<usize>>,
    /// The precision that the side claims.
    precision: f64,
    /// The coverage that the side claims.
    coverage: f64,
    /// Whether the side claims to have found an anchor.
    success: bool,
}

/// Images of digits and the convolutional network.
pub(super) fn tasks(_: &Sources) -> Result<Vec<Case>> {
    let task = TaskAbout {
        name: "anchor-image".to_owned(),
        title: "Anchors of images".to_owned(),
        about: [
            "40 images of digits, 8 by 8 cells, a network of two convolutions and two dense layers, threshold 0.95, superpixels by SLIC, both sides at their defaults; alibi has the network as a compiled function of TensorFlow.",
            "The precision on fresh samples is judged on 10,000 new images for each anchor, in which each other superpixel is its mean with probability 0.5; `found` is the share of images for which the side claims to have met the threshold.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: None,
    };
    let goal = |ratio, bound| Goal { ratio, bound };
    let goals = vec![
        goal(Ratio::Speed, Bound::AtLeast(30.0)),
        goal(Ratio::Quality(PRECISION.to_owned()), Bound::AtLeast(1.0)),
    ];
    let instances = digits::images()?.slice_move(s![..digits::N_TEST, ..]);
    let alibi = Contender {
        peer: "alibi".into(),
        method: "default".into(),
        instances: instances.nrows(),
        goals,
    };
    Ok(vec![Case {
        task,
        case: "digits".to_owned(),
        contenders: vec![alibi],
        model_share_goal: None,
        explainer: Method::AnchorImage(AnchorImageSettings {
            image_shape: digits::SHAPE,
            threshold: 0.95,
            runs: vec![AnchorImageRunSettings { seed: 0 }],
        }),
        model: Model::Network(Network::digits()?),
        data: Array2::zeros((0, instances.ncols())),
        instances,
    }])
}

impl PeerMethod for AnchorImageSettings {
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
        explain(self, case, instances)
    }

    fn judge(&self, case: &Case, runs: &[RunReport], _: &[RunReport]) -> Result<Judgement> {
        judge(self, case, runs)
    }
}

/// Our answers.
///
/// # Errors
/// Those of the explainer.
fn explain(
    settings: &AnchorImageSettings,
    case: &Case,
    instances: &Rows,
) -> Result<Vec<RunReport>> {
    let model = case.model.network()?.model(MAX_BATCH)?;
    let model: &dyn Predictor = &model;
    let explainer = AnchorImageParams::default()
        .with_threshold(settings.threshold)
        .build(settings.image_shape, None)?;
    let run = |run: &AnchorImageRunSettings| {
        let runs = RunConfig::seeded(run.seed);
        explainer.explain(model, &instances.row(0), runs.run(0))?;
        let explain = |model: &dyn Predictor| explainer.explain_many(model, instances, &runs);
        RunReport::timed(model, explain, |explanation| answer(&explanation.data))
    };
    settings.runs.iter().map(run).collect()
}

fn answer(data: &AnchorImageData) -> Answer {
    Answer {
        mask: data.mask().outer_iter().map(|row| row.to_vec()).collect(),
        segments: data.segments.clone(),
        precision: data.result.precision,
        coverage: data.result.coverage,
        success: data.result.valid,
    }
}

const PRECISION: &str = "precision on fresh samples";
const AREA: &str = "share of the image";
const FOUND: &str = "found";

/// Precision on fresh samples, the share of the image that the anchor holds, and how often an anchor was found.
///
/// # Errors
/// When an answer has another form or another shape, or the model fails.
fn judge(settings: &AnchorImageSettings, case: &Case, runs: &[RunReport]) -> Result<Judgement> {
    let model = case.model.network()?.model(MAX_BATCH)?;
    let model: &dyn Predictor = &model;
    let judge = |run: &RunReport| {
        let (mut precision, mut area, mut found) = (0.0, 0.0, 0.0);
        for (index, answer) in run.answers.iter().enumerate() {
            let answer: Answer = serde_json::from_value(answer.clone()).context("an answer")?;
            let row = case.instances.row(index);
            let image = row.to_shape(settings.image_shape)?;
            let mut stream = Seed::new(0).child(index as u64).stream();
            let fresh = perturbed(&answer, &image, &mut stream)?;
            let of_row = |row: &Row| classes(model, &row.view().insert_axis(ndarray::Axis(0)));
            let class = of_row(&row)?[0];
            let agree =
                classes(model, &fresh)?.iter().filter(|&&fresh_class| fresh_class == class).count();
            precision += agree as f64 / FRESH as f64;
            let in_anchor = answer.mask.iter().flatten().filter(|&&in_anchor| in_anchor).count();
            area += in_anchor as f64 / answer.mask.iter().map(Vec::len).sum::<usize>() as f64;
            found += f64::from(u8::from(answer.success));
        }
        let mean = |name: &str, total: f64| (name.to_owned(), total / run.answers.len() as f64);
        let qualities = vec![mean(PRECISION, precision), mean(AREA, area), mean(FOUND, found)];
        Ok(RunJudgement { per_player: None, qualities })
    };
    Ok(Judgement { runs: runs.iter().map(judge).collect::<Result<_>>()?, of_truth: 0.0 })
}

/// [`FRESH`] images in which superpixels outside the anchor are their mean color with probability 0.5.
fn perturbed(answer: &Answer, image: &ArrayRef3<f64>, stream: &mut Stream) -> Result<Array2<f64>> {
    let (height, width, channels) = image.dim();
    let of_mask: Vec<usize> = answer.mask.iter().map(Vec::len).collect();
    let of_segments: Vec<usize> = answer.segments.iter().map(Vec::len).collect();
    let expected = vec![width; height];
    ensure!(
        of_mask == expected && of_segments == expected,
        "an answer is not of the image's shape"
    );
    let n_segments = 1 + answer.segments.iter().flatten().max().context("an image has pixels")?;
    let mut sums = vec![vec![0.0; channels]; n_segments];
    let mut sizes = vec![0.0; n_segments];
    let mut in_anchor = vec![true; n_segments];
    for ((y, x, channel), value) in image.indexed_iter() {
        let segment = answer.segments[y][x];
        sums[segment][channel] += value;
        sizes[segment] += 1.0 / channels as f64;
        in_anchor[segment] &= answer.mask[y][x];
    }
    let mut fresh = Array2::zeros((FRESH, image.len()));
    for mut row in fresh.rows_mut() {
        // Drawn for every superpixel, so that a larger anchor meets the same perturbations of the others.
        let kept: Vec<bool> =
            in_anchor.iter().map(|in_anchor| 0.5 <= stream.uniform() || *in_anchor).collect();
        let pixel = |(y, x, channel): (usize, usize, usize)| {
            let segment = answer.segments[y][x];
            let mean = sums[segment][channel] / sizes[segment];
            if kept[segment] { image[[y, x, channel]] } else { mean }
        };
        let perturbed = Array3::from_shape_fn(image.dim(), pixel);
        row.assign(&perturbed.flatten());
    }
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superpixels_outside_the_anchor_become_their_mean_in_half_of_the_images() -> Result<()> {
        let image = Array3::from_shape_vec((1, 4, 1), vec![1.0, 3.0, 5.0, 9.0])?;
        let answer = Answer {
            mask: vec![vec![true, true, false, false]],
            segments: vec![vec![0, 0, 1, 1]],
            precision: 1.0,
            coverage: 1.0,
            success: true,
        };
        let mut stream = Seed::new(0).stream();
        let fresh = perturbed(&answer, &image, &mut stream)?;
        let mut n_perturbed = 0.0;
        for row in fresh.rows() {
            match row.as_slice().context("rows are contiguous")? {
                [1.0, 3.0, 7.0, 7.0] => n_perturbed += 1.0,
                other => assert_eq!(other, [1.0, 3.0, 5.0, 9.0]),
            }
        }
        // Five standard errors of a share of one half.
        assert!((n_perturbed / FRESH as f64 - 0.5).abs() < 5.0 * 0.5 / (FRESH as f64).sqrt());
        Ok(())
    }
}
