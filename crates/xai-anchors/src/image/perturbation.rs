//! How an image is perturbed, and the model's decisions for it.
//!
//! A perturbation is the image with some of its superpixels replaced.
//! What is drawn for a request depends on the seed of the image and on the request alone.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView1, Axis};
use xai_core::{Error, Output, Predictor, Result, Row, Run, Seed, Stream};

use super::superpixels::Superpixel;
use crate::bits::Bits;
use crate::decision::Decision;
use crate::search::{Neighborhood, Purpose, Request, SampleId};

/// The label of the seed of perturbations.
const PERTURBATIONS: u64 = 0x7065_7274_7572_6261;

/// Perturbations drawn from one stream; a constant, so that their order never depends on threads or batches.
const CHUNK: usize = 128;

/// The most answers of the model that are kept.
const MOST_ANSWERS: usize = 1 << 17;

/// Which superpixels are perturbed, and by what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mask {
    /// One bit for each predicate, set where its superpixel is perturbed.
    perturbed: Vec<u64>,
    /// The image that the pixels come from; 0 where nothing is perturbed.
    replacement: usize,
}

impl Mask {
    /// Whether the superpixel of a predicate is as it was.
    fn keeps(&self, predicate: usize) -> bool {
        self.perturbed[predicate / 64] >> (predicate % 64) & 1 == 0
    }
}

/// What the perturbations of an image are made from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The image, as a row of the model.
    pub x: &'a [f64],
    /// Where pixels of perturbed superpixels come from.
    pub replacements: &'a Array2<f64>,
    /// The superpixels of the predicates.
    pub changeable: &'a [&'a Superpixel],
    pub p_sample: f64,
    pub coverage_samples: usize,
    pub output: &'a Output,
}

/// The neighbourhood of one image.
pub(crate) struct Perturbations<'a> {
    source: Source<'a>,
    model: &'a dyn Predictor,
    /// The decision for the image, once the model was asked.
    decision: Option<Decision>,
    seed: Seed,
    /// Whether the model decides alike, by perturbation: those of few superpixels repeat.
    answers: BTreeMap<Mask, bool>,
    /// The set of masks that no predicate covers: coverage is known, so that none is drawn.
    no_masks: Bits,
}

impl<'a> Perturbations<'a> {
    pub(crate) fn new(source: Source<'a>, model: &'a dyn Predictor, seed: Seed) -> Self {
        let n = source.changeable.len();
        let untouched = Mask { perturbed: vec![0; n.div_ceil(64)], replacement: 0 };
        let no_masks = Bits::none(source.coverage_samples);
        let answers = BTreeMap::from([(untouched, true)]);
        Perturbations { source, model, decision: None, seed, answers, no_masks }
    }

    /// Asks the model for the image itself, before anything else.
    ///
    /// # Errors
    /// [`Error::Budget`] when there are too few queries for this and the first `n_samples` perturbations.
    pub(crate) fn decide(&mut self, n_samples: usize, run: &mut Run<'_>) -> Result<()> {
        let first = Request { order: &[], purpose: Purpose::Search, batch: 0, n_samples };
        let needed = 1 + self.price(&[first]);
        if let Some(given) = run.queries_left().filter(|&left| left < needed) {
            return Err(Error::Budget { what: "the budget of queries", given, needed });
        }
        let x = ArrayView1::from(self.source.x).insert_axis(Axis(0));
        let outputs = run.predict(self.model, &x)?;
        let setting = self.source.output;
        self.decision = Some(Decision::new(setting, self.model, &outputs.row(0), run)?);
        Ok(())
    }

    /// The decision for the image, after [`decide`](Self::decide).
    pub(crate) fn decision(&self) -> &Decision {
        self.decision.as_ref().expect("the model was asked about the image first")
    }

    /// The masks among some that the model has not been asked about, each once, and their places.
    fn unknown<'m>(&self, masks: &'m [Vec<Mask>]) -> (Vec<&'m Mask>, BTreeMap<&'m Mask, usize>) {
        let mut places = BTreeMap::new();
        let mut unknown = Vec::new();
        for mask in masks.iter().flatten() {
            if !self.answers.contains_key(mask) && !places.contains_key(mask) {
                places.insert(mask, unknown.len());
                unknown.push(mask);
            }
        }
        (unknown, places)
    }

    fn masks_of(&self, requests: &[Request<'_>]) -> Vec<Vec<Mask>> {
        let masks = |r: &Request<'_>| self.masks(r.order, r.purpose, r.batch, r.n_samples);
        requests.iter().map(masks).collect()
    }

    /// The perturbations of a request.
    fn masks(&self, order: &[usize], purpose: Purpose, batch: u64, n_samples: usize) -> Vec<Mask> {
        let mut anchor = order.to_vec();
        anchor.sort_unstable();
        let root = self.seed.child(PERTURBATIONS).child(match purpose {
            Purpose::Search => 0,
            Purpose::Certificate => 1,
        });
        let of_anchor = anchor.iter().fold(root, |seed, &id| seed.child(id as u64)).child(batch);
        let mut masks = Vec::with_capacity(n_samples);
        for first in (0..n_samples).step_by(CHUNK) {
            let mut stream = of_anchor.child((first / CHUNK) as u64).stream();
            for _ in first..n_samples.min(first + CHUNK) {
                masks.push(self.mask(&anchor, &mut stream));
            }
        }
        masks
    }

    fn mask(&self, anchor: &[usize], stream: &mut Stream) -> Mask {
        let Source { changeable, replacements, p_sample, .. } = self.source;
        let mut perturbed = vec![0; changeable.len().div_ceil(64)];
        for predicate in 0..changeable.len() {
            let is_perturbed = stream.uniform() < p_sample;
            perturbed[predicate / 64] |= u64::from(is_perturbed) << (predicate % 64);
        }
        for &id in anchor {
            perturbed[id / 64] &= !(1 << (id % 64));
        }
        let drawn = stream.index(replacements.nrows());
        let is_untouched = perturbed.iter().all(|&word| word == 0);
        Mask { perturbed, replacement: if is_untouched { 0 } else { drawn } }
    }

    /// Writes a perturbed image.
    fn write(&self, mask: &Mask, image: &mut Row) {
        let Source { x, replacements, changeable, .. } = self.source;
        let image = image.as_slice_mut().expect("rows of a batch are laid out one by one");
        image.copy_from_slice(x);
        let from = replacements.row(mask.replacement);
        let from = from.to_slice().expect("laid out when they were made");
        for (_, superpixel) in changeable.iter().enumerate().filter(|(id, _)| !mask.keeps(*id)) {
            for span in &superpixel.spans {
                image[span.clone()].copy_from_slice(&from[span.clone()]);
            }
        }
    }

    /// Perturbations of the search once more, shape `(n, height * width * channels)`.
    pub(crate) fn examples(&self, ids: &[SampleId]) -> Array2<f64> {
        let mut images = Array2::zeros((ids.len(), self.source.x.len()));
        for (id, mut image) in ids.iter().zip(images.rows_mut()) {
            let masks = self.masks(&id.order, Purpose::Search, id.batch, id.n_samples);
            self.write(&masks[id.index], &mut image);
        }
        images
    }
}

impl Neighborhood for Perturbations<'_> {
    fn n_predicates(&self) -> usize {
        self.source.changeable.len()
    }

    fn covered(&self, _: usize) -> &Bits {
        &self.no_masks
    }

    fn n_coverage(&self) -> usize {
        self.source.coverage_samples
    }

    /// Superpixels are perturbed independently, so that the share which keeps those of an anchor is known.
    fn n_covered(&self, anchor: &[usize], _: usize) -> usize {
        expected_covered(self.source.p_sample, anchor.len(), self.source.coverage_samples)
    }

    fn implied(&self, predicate: usize, anchor: &[usize]) -> bool {
        anchor.contains(&predicate)
    }

    fn draw(&mut self, requests: &[Request<'_>], run: &mut Run<'_>) -> Result<Vec<Bits>> {
        let masks = self.masks_of(requests);
        let (unknown, places) = self.unknown(&masks);
        let mut decisions = Vec::with_capacity(unknown.len());
        run.stream(
            self.model,
            (unknown.len(), self.source.x.len()),
            |first, block| {
                for (mut image, mask) in block.axis_iter_mut(Axis(0)).zip(&unknown[first..]) {
                    self.write(mask, &mut image);
                }
            },
            |_, outputs| self.decision().read(outputs, &mut decisions),
        )?;
        let agrees = |decision: f64| self.decision().agrees(decision);
        let draws = masks.iter().map(|masks| {
            Bits::from_fn(masks.len(), |index| match places.get(&masks[index]) {
                Some(&place) => agrees(decisions[place]),
                None => self.answers[&masks[index]],
            })
        });
        let draws = draws.collect();
        let answered: Vec<(Mask, bool)> =
            unknown.into_iter().cloned().zip(decisions.iter().map(|&one| agrees(one))).collect();
        let room = MOST_ANSWERS.saturating_sub(self.answers.len());
        self.answers.extend(answered.into_iter().take(room));
        Ok(draws)
    }

    fn price(&self, requests: &[Request<'_>]) -> u64 {
        self.unknown(&self.masks_of(requests)).0.len() as u64
    }

    fn satisfies(&self, sample: &SampleId) -> Vec<Bits> {
        let masks = self.masks(&sample.order, Purpose::Search, sample.batch, sample.n_samples);
        let of = |id: usize| Bits::from_fn(masks.len(), |index| masks[index].keeps(id));
        (0..self.source.changeable.len()).map(of).collect()
    }
}

/// How many of some masks keep `n_held` superpixels on average, rounded.
pub(crate) fn expected_covered(p_sample: f64, n_held: usize, n_masks: usize) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let rounded = (share_covered(p_sample, n_held) * n_masks as f64).round() as usize;
    rounded
}

/// The probability that none of `n_held` superpixels is perturbed.
pub(crate) fn share_covered(p_sample: f64, n_held: usize) -> f64 {
    (0..n_held).fold(1.0, |share, _| share * (1.0 - p_sample))
}
