//! The perturbations of one text, and the model's decisions for them.

use std::collections::BTreeMap;

use xai_core::{Predictor, Result, Run, Seed};

use crate::bits::Bits;
use crate::decision::Decision;
use crate::perturber::{Draw, Perturber};
use crate::search::{Neighborhood, Purpose, Request, SampleId};

/// The label of the seed of perturbations, and of that of the coverage set.
const PERTURBATIONS: u64 = 0x7465_7874_7065_7274;
const COVERAGE: u64 = 0x7465_7874_636f_7665;

/// What distinguishes a request from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RequestKey {
    /// The anchor, ascending.
    anchor: Vec<usize>,
    purpose: Purpose,
    batch: u64,
    n_samples: usize,
}

impl RequestKey {
    fn new(order: &[usize], purpose: Purpose, batch: u64, n_samples: usize) -> Self {
        let mut anchor = order.to_vec();
        anchor.sort_unstable();
        RequestKey { anchor, purpose, batch, n_samples }
    }

    /// The seed of the request, another for another anchor, purpose or batch.
    fn seed(&self, seed: Seed) -> Seed {
        let purpose = match self.purpose {
            Purpose::Search => 0,
            Purpose::Certificate => 1,
        };
        let size = self.anchor.len() as u64;
        let root = seed.child(PERTURBATIONS).child(purpose).child(size);
        let of_anchor = self.anchor.iter().fold(root, |seed, &word| seed.child(word as u64));
        of_anchor.child(self.batch)
    }
}

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
    decision: &'a Decision,
    /// The covered samples of the coverage set, for each word.
    covered: Vec<Bits>,
    n_coverage: usize,
    /// Where the decision for each text is that the model was asked about. Each text is asked once: masks of few words
    /// often coincide.
    places: BTreeMap<String, usize>,
    /// The decisions; the first is that for the text itself.
    decisions: Vec<f64>,
    drawn: BTreeMap<RequestKey, Drawn>,
}

impl<'a, P: Perturber + ?Sized> Perturbations<'a, P> {
    /// The neighbourhood of a text about which the model has decided already.
    pub(crate) fn new(
        perturber: &'a mut P,
        model: &'a dyn Predictor<[String]>,
        decision: &'a Decision,
        n_coverage: usize,
        seed: Seed,
    ) -> Self {
        let covered = perturber.coverage(n_coverage, seed.child(COVERAGE));
        let places = BTreeMap::from([(perturber.unperturbed().to_owned(), 0)]);
        let (decisions, drawn) = (vec![decision.value], BTreeMap::new());
        Perturbations { perturber, model, decision, covered, n_coverage, places, decisions, drawn }
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
        &self.drawn[&RequestKey::new(&id.order, Purpose::Search, id.batch, id.n_samples)]
    }

    /// Asks the model about the texts that it was not asked about yet, and returns the indices of all decisions.
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
            .and_then(|outputs| self.decision.read(&outputs, &mut self.decisions));
        if asked.is_err() {
            // A failed call gave no decisions for its texts.
            self.decisions.truncate(first);
            self.places.retain(|_, &mut place| place < first);
        }
        asked.map(|()| places)
    }
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
        let key = |r: &Request<'_>| RequestKey::new(r.order, r.purpose, r.batch, r.n_samples);
        let keys: Vec<RequestKey> = requests.iter().map(key).collect();
        let seed = run.seed();
        let draw = |key| {
            let RequestKey { anchor, n_samples, .. }: &RequestKey = key;
            Draw { anchor, n: *n_samples, seed: key.seed(seed) }
        };
        let draws: Vec<Draw<'_>> = keys.iter().map(draw).collect();
        let samples = self.perturber.sample(&draws)?;
        let (texts, kept): (Vec<_>, Vec<_>) =
            samples.into_iter().map(|samples| (samples.texts, samples.kept)).unzip();
        let mut places = self.ask(texts.concat(), run)?.into_iter();
        let mut agree = Vec::with_capacity(keys.len());
        for (key, kept) in keys.into_iter().zip(kept) {
            let places: Vec<usize> = places.by_ref().take(key.n_samples).collect();
            let agrees = |sample: usize| self.decision.agrees(self.decisions[places[sample]]);
            agree.push(Bits::from_fn(places.len(), agrees));
            if key.purpose == Purpose::Search {
                self.drawn.insert(key, Drawn { places, kept });
            }
        }
        Ok(agree)
    }

    fn satisfies(&self, sample: &SampleId) -> Vec<Bits> {
        self.request_of(sample).kept.clone()
    }
}
