//! The perturbations of one text, and what the model says of them.

use std::collections::BTreeMap;

use xai_core::{Predictor, Result, Run, Seed};

use super::perturber::{Draw, Perturber};
use crate::bits::Bits;
use crate::output::Output;
use crate::search::{Neighborhood, Purpose, Request, SampleId};

/// The label of the seed of perturbations, and of that of the coverage set.
const PERTURBATIONS: u64 = 0x7465_7874_7065_7274;
const COVERAGE: u64 = 0x7465_7874_636f_7665;

/// What tells a request from another: the anchor, ascending, purpose, batch, size.
type Asked = (Vec<usize>, Purpose, u64, usize);

/// What is kept of a request of the search.
struct Drawn {
    /// Each sample as a place among the decisions.
    places: Vec<usize>,
    kept: Vec<Bits>,
}

/// The neighbourhood of one text.
pub(crate) struct Perturbations<'a, P: ?Sized> {
    perturber: &'a mut P,
    model: &'a dyn Predictor<[String]>,
    output: &'a Output,
    /// The covered samples of the coverage set, for each word.
    covered: Vec<Bits>,
    n_coverage: usize,
    /// Where the decision for each text is that the model was asked about. Each text is asked once: masks of few words
    /// often coincide.
    places: BTreeMap<String, usize>,
    /// The decisions; the first is that for the text itself.
    decisions: Vec<f64>,
    drawn: BTreeMap<Asked, Drawn>,
}

impl<'a, P: Perturber + ?Sized> Perturbations<'a, P> {
    /// The neighbourhood of a text about which the model has decided already.
    pub(crate) fn new(
        perturber: &'a mut P,
        (model, output): (&'a dyn Predictor<[String]>, &'a Output),
        decision: f64,
        n_coverage: usize,
        seed: Seed,
    ) -> Self {
        let covered = perturber.coverage(n_coverage, seed.child(COVERAGE));
        let places = BTreeMap::from([(perturber.unperturbed().to_owned(), 0)]);
        let (decisions, drawn) = (vec![decision], BTreeMap::new());
        Perturbations { perturber, model, output, covered, n_coverage, places, decisions, drawn }
    }

    /// Samples of the search once more.
    pub(crate) fn examples(&self, ids: &[SampleId]) -> Vec<String> {
        let mut texts = vec![""; self.decisions.len()];
        for (text, &place) in &self.places {
            texts[place] = text;
        }
        ids.iter().map(|id| texts[self.request_of(id).places[id.index]].to_owned()).collect()
    }

    /// The request of the search that a sample belongs to.
    fn request_of(&self, id: &SampleId) -> &Drawn {
        &self.drawn[&asked(&id.order, Purpose::Search, id.batch, id.n_samples)]
    }

    /// Asks the model about the texts that it was not asked about yet, and tells where the decisions for all are.
    fn ask(&mut self, texts: Vec<String>, run: &mut Run<'_>) -> Result<Vec<usize>> {
        let first = self.decisions.len();
        let mut new = Vec::new();
        let mut places = Vec::with_capacity(texts.len());
        for text in texts {
            let next = first + new.len();
            let place = *self.places.entry(text).or_insert_with_key(|text| {
                new.push(text.clone());
                next
            });
            places.push(place);
        }
        let asked = run
            .predict_texts(self.model, &new)
            .and_then(|outputs| self.output.decisions(&outputs, &mut self.decisions));
        if asked.is_err() {
            // What was refused is not known.
            self.decisions.truncate(first);
            self.places.retain(|_, &mut place| place < first);
        }
        asked.map(|()| places)
    }
}

fn asked(order: &[usize], purpose: Purpose, batch: u64, n_samples: usize) -> Asked {
    let mut anchor = order.to_vec();
    anchor.sort_unstable();
    (anchor, purpose, batch, n_samples)
}

/// The seed of a request: another one for another anchor, purpose or batch.
fn seed_of((anchor, purpose, batch, _): &Asked, seed: Seed) -> Seed {
    let purpose = match purpose {
        Purpose::Search => 0,
        Purpose::Certificate => 1,
    };
    let root = seed.child(PERTURBATIONS).child(purpose).child(anchor.len() as u64);
    anchor.iter().fold(root, |seed, &word| seed.child(word as u64)).child(*batch)
}

impl<P: Perturber + ?Sized> Neighborhood for Perturbations<'_, P> {
    fn n_predicates(&self) -> usize {
        self.covered.len()
    }

    fn covered(&self, predicate: usize) -> &Bits {
        &self.covered[predicate]
    }

    fn n_coverage(&self) -> usize {
        self.n_coverage
    }

    /// Words are perturbed independently.
    fn implied(&self, _: usize, _: &[usize]) -> bool {
        false
    }

    fn draw(&mut self, requests: &[Request<'_>], run: &mut Run<'_>) -> Result<Vec<Bits>> {
        let requests: Vec<Asked> =
            requests.iter().map(|r| asked(r.order, r.purpose, r.batch, r.n_samples)).collect();
        let draw = |own: &'_ Asked| (seed_of(own, run.seed()), own.3);
        let seeds: Vec<(Seed, usize)> = requests.iter().map(draw).collect();
        let draws = requests.iter().zip(seeds);
        let draws = draws.map(|((held, ..), (seed, n))| Draw { held, n, seed });
        let samples = self.perturber.sample(&draws.collect::<Vec<_>>())?;
        let (texts, kept): (Vec<_>, Vec<_>) =
            samples.into_iter().map(|own| (own.texts, own.kept)).unzip();
        let mut places = self.ask(texts.concat(), run)?.into_iter();
        let mut agree = Vec::with_capacity(requests.len());
        for (request, kept) in requests.into_iter().zip(kept) {
            let places: Vec<usize> = places.by_ref().take(request.3).collect();
            let agrees = |sample: usize| {
                self.output.agrees(self.decisions[places[sample]], self.decisions[0])
            };
            agree.push(Bits::from_fn(places.len(), agrees));
            if request.1 == Purpose::Search {
                self.drawn.insert(request, Drawn { places, kept });
            }
        }
        Ok(agree)
    }

    fn satisfies(&self, sample: &SampleId) -> Vec<Bits> {
        self.request_of(sample).kept.clone()
    }
}
