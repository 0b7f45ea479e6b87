//! The choices of coalitions that instances with as many players have in common.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ndarray::{Array1, Array2};
use xai_core::{Error, Result, Rows, Run, Seed};

use crate::coalitions::Coalitions;
use crate::design::Design;
use crate::paired::Regression;
use crate::permutation::Permutations;
use crate::reference::design::{self, ReferenceDesign};
use crate::strata::Strata;
use crate::uncertainty::Influences;

/// The child of a call's seed that shared designs are drawn from. Rows draw from the child of their fingerprint, which
/// is as likely to be this one as any other.
const SHARED: u64 = 0x5348_4150;

/// Designs that were drawn for one call. A shared design depends on the call's seed and the number of players, so an
/// instance has the same one alone and among others.
pub(crate) struct Designs {
    share: bool,
    paired: BTreeMap<(usize, usize, bool), Rc<PairedDesign>>,
    permutation: BTreeMap<usize, Rc<PermutationDesign>>,
    reference: BTreeMap<(usize, usize), Rc<ReferenceDesign>>,
}

impl Designs {
    /// None yet; without `share` every instance gets a separate one.
    pub(crate) fn new(share: bool) -> Self {
        Designs {
            share,
            paired: BTreeMap::new(),
            permutation: BTreeMap::new(),
            reference: BTreeMap::new(),
        }
    }

    fn seed(&self, n_players: usize, run: &Run<'_>) -> Seed {
        if self.share {
            run.shared_seed().child(SHARED).child(n_players as u64)
        } else {
            run.seed()
        }
    }

    /// A paired design of at most `n_pairs` pairs, of which about `funded` will be paid for.
    ///
    /// # Errors
    /// [`Error::Singular`] when its pairs leave some players' values open.
    pub(crate) fn paired(
        &mut self,
        n_players: usize,
        n_pairs: usize,
        funded: usize,
        run: &Run<'_>,
    ) -> Result<Rc<PairedDesign>> {
        // For few players or pairs the single players carry most of the answer (and with them any design has full
        // rank); for many, proportional shares are better.
        let n_funded = n_pairs.min(funded);
        let singles_first = n_players <= 16 || n_funded < 3 * n_players / 2;
        let key = (n_players, n_pairs, singles_first);
        if let Some(design) = self.paired.get(&key) {
            return Ok(Rc::clone(design));
        }
        let seed = self.seed(n_players, run);
        let prepare = |singles_first| {
            let design = PairedDesign::new(Design::new(n_players, n_pairs, singles_first, seed));
            // More pairs never lower the rank.
            design.regression(n_funded.min(2 * n_players).min(design.limit))?;
            Ok(Rc::new(design))
        };
        let design = match prepare(singles_first) {
            Err(Error::Singular { .. }) if !singles_first => prepare(true)?,
            prepared => prepared?,
        };
        if self.share {
            self.paired.insert(key, Rc::clone(&design));
        }
        Ok(design)
    }

    /// Permutations of at least two players.
    pub(crate) fn permutation(&mut self, n_players: usize, run: &Run<'_>) -> Rc<PermutationDesign> {
        if let Some(design) = self.permutation.get(&n_players) {
            return Rc::clone(design);
        }
        let permutations = Permutations::new(n_players, self.seed(n_players, run));
        let design = Rc::new(PermutationDesign(RefCell::new(permutations)));
        if self.share {
            self.permutation.insert(n_players, Rc::clone(&design));
        }
        design
    }

    /// The coalitions of shap.
    pub(crate) fn reference(
        &mut self,
        n_players: usize,
        nsamples: usize,
        run: &Run<'_>,
    ) -> Rc<ReferenceDesign> {
        let key = (n_players, nsamples);
        if let Some(design) = self.reference.get(&key) {
            return Rc::clone(design);
        }
        let mut stream = self.seed(n_players, run).stream();
        let design = Rc::new(design::design(n_players, nsamples, &mut stream));
        if self.share {
            self.reference.insert(key, Rc::clone(&design));
        }
        design
    }
}

/// A paired design and the regressions on its beginnings.
pub(crate) struct PairedDesign {
    design: RefCell<Design>,
    regressions: RefCell<BTreeMap<usize, Rc<Regression>>>,
    /// The most pairs it can have.
    limit: usize,
}

impl PairedDesign {
    pub(crate) fn new(design: Design) -> Self {
        let limit = design.limit();
        PairedDesign {
            design: RefCell::new(design),
            regressions: RefCell::new(BTreeMap::new()),
            limit,
        }
    }

    /// The number of pairs after the round that follows `done` pairs.
    pub(crate) fn after(&self, done: usize) -> usize {
        self.design.borrow().after(done)
    }

    /// Whether no pairs are left after the first `done`.
    pub(crate) fn exhausted(&self, done: usize) -> bool {
        self.design.borrow().available() <= done as f64
    }

    /// The coalitions of pairs `first..end`.
    pub(crate) fn coalitions(&self, first: usize, end: usize) -> Coalitions {
        self.design.borrow_mut().coalitions(first, end)
    }

    /// The kernel weight of each coalition of the first `n_pairs` pairs, of sum 1.
    pub(crate) fn weights(&self, n_pairs: usize) -> Vec<f64> {
        self.coalitions(0, n_pairs);
        let weights = Strata::new(&self.design.borrow(), n_pairs).weights();
        weights.iter().flat_map(|&weight| [0.5 * weight, 0.5 * weight]).collect()
    }

    /// The regression on the first `n_pairs` pairs.
    ///
    /// # Errors
    /// [`Error::Singular`] when they leave some players' values open.
    pub(crate) fn regression(&self, n_pairs: usize) -> Result<Rc<Regression>> {
        if let Some(regression) = self.regressions.borrow().get(&n_pairs) {
            return Ok(Rc::clone(regression));
        }
        let players: Vec<usize> = (0..self.design.borrow().n_players()).collect();
        let regression = Rc::new(self.restricted(n_pairs, &players)?);
        self.regressions.borrow_mut().insert(n_pairs, Rc::clone(&regression));
        Ok(regression)
    }

    /// The same for some players alone.
    ///
    /// # Errors
    /// As [`regression`](Self::regression).
    pub(crate) fn restricted(&self, n_pairs: usize, players: &[usize]) -> Result<Regression> {
        self.coalitions(0, n_pairs);
        Regression::new(&self.design.borrow(), n_pairs, players)
    }
}

/// Permutations, drawn as they are needed.
pub(crate) struct PermutationDesign(RefCell<Permutations>);

impl PermutationDesign {
    /// The number of pairs after the round that follows `done` pairs, at most `n_pairs`.
    pub(crate) fn after(&self, done: usize, n_pairs: usize) -> usize {
        self.0.borrow_mut().after(done, n_pairs)
    }

    /// The coalitions of pairs `first..end`.
    pub(crate) fn coalitions(&self, first: usize, end: usize) -> Coalitions {
        self.0.borrow().coalitions(first, end)
    }

    /// Shapley values of the first `n_pairs` pairs; see [`Permutations::values`].
    pub(crate) fn values(
        &self,
        n_pairs: usize,
        deltas: &Rows,
        changes: &Array1<f64>,
    ) -> Array2<f64> {
        self.0.borrow().values(n_pairs, deltas, changes)
    }

    /// What each order adds to their error; see [`Permutations::influences`].
    pub(crate) fn influences(
        &self,
        n_pairs: usize,
        deltas: &Array1<f64>,
        change: f64,
    ) -> Option<Influences> {
        self.0.borrow().influences(n_pairs, deltas, change)
    }
}
