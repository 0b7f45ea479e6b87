//! Which pairs of coalitions to evaluate when not all can be.

use std::collections::{BTreeMap, BTreeSet};

use xai_core::{Seed, Stream};

use crate::coalitions::Coalitions;

/// Pairs `(z, complement of z)` with `|z| = size`: a stratum of the design.
#[derive(Clone, Debug)]
pub(crate) struct Stratum {
    /// The size of the smaller half.
    size: usize,
    /// How many such pairs there are; infinite past the range of f64.
    pub(crate) available: f64,
    /// How many are in the design.
    taken: usize,
    /// The kernel weight of all pairs of this size, up to a common factor.
    pub(crate) weight: f64,
}

impl Stratum {
    fn exhausted(&self) -> bool {
        self.available <= self.taken as f64
    }
}

/// A sequence of pairs without replacement, stratified by size, of which every beginning is a design:
/// coalition `2k` and its complement `2k + 1` are pair `k`.
///
/// It grows in rounds; each round adds 50 % of the pairs drawn so far. Within a round the strata take turns.
/// At the end of a round, pairs of size 1 come first and complete when `singles_first`; the rest is shared in
/// proportion to `sqrt(1 / (s (M - s)))`, and no sampled stratum has a single pair where it could have two, for the
/// variance.
///
/// # Source
/// Allocation: the geometric mean of kernel weights and leverage scores, "modified l2" of Chen et al. 2025 after
/// Musco & Witter, "Provably accurate Shapley value estimation via leverage score sampling", ICLR 2025.
/// Weight of size `s`: `2 / (s (M - s))` up to a factor (Lundberg & Lee 2017, theorem 2), half for `s = M / 2`, where
/// each pair would be counted twice.
pub(crate) struct Design {
    n_players: usize,
    /// The most pairs.
    n_pairs: usize,
    singles_first: bool,
    binomials: Binomials,
    pub(crate) strata: Vec<Stratum>,
    /// What each stratum has at the end.
    shares: Vec<usize>,
    draws: Vec<Draw>,
    /// The end of the last round, before strata were rounded to whole pairs.
    round: usize,
    coalitions: Coalitions,
    /// The stratum of each pair, by its index.
    stratum_of: Vec<usize>,
}

impl Design {
    /// A sequence of at most `n_pairs` pairs.
    pub(crate) fn new(n_players: usize, n_pairs: usize, singles_first: bool, seed: Seed) -> Self {
        let strata: Vec<Stratum> =
            (1..=n_players / 2).map(|size| stratum(n_players, size)).collect();
        let draw = |stratum: &Stratum| Draw::new(seed.child(stratum.size as u64).stream());
        let mut design = Design {
            n_players,
            n_pairs,
            singles_first,
            binomials: Binomials::new(n_players),
            draws: strata.iter().map(draw).collect(),
            shares: Vec::new(),
            strata,
            round: 0,
            coalitions: Coalitions::new(n_players),
            stratum_of: Vec::new(),
        };
        design.shares = design.shares_of(n_pairs);
        design
    }

    /// The pairs drawn so far.
    pub(crate) fn len(&self) -> usize {
        self.stratum_of.len()
    }

    /// How many pairs there are.
    pub(crate) fn available(&self) -> f64 {
        self.strata.iter().map(|stratum| stratum.available).sum()
    }

    /// The most pairs it can have.
    pub(crate) fn limit(&self) -> usize {
        let available = self.available();
        if available < self.n_pairs as f64 { floor(available) } else { self.n_pairs }
    }

    /// The number of pairs after the round that follows `done` pairs.
    pub(crate) fn after(&self, done: usize) -> usize {
        (done + done.div_ceil(2)).max(self.n_players).min(self.limit())
    }

    /// Draws until there are `n_pairs`, at most [`limit`](Self::limit), and gives their coalitions from pair `first`
    /// on.
    pub(crate) fn coalitions(&mut self, first: usize, n_pairs: usize) -> Coalitions {
        while self.len() < n_pairs.min(self.limit()) {
            self.round = self.after(self.round);
            self.draw_round();
        }
        self.coalitions.slice(2 * first, 2 * n_pairs)
    }

    /// The members of the smaller half of a pair that was drawn.
    pub(crate) fn pair(&self, index: usize) -> &[u64] {
        self.coalitions.get(2 * index)
    }

    pub(crate) fn stratum_of(&self, pair: usize) -> usize {
        self.stratum_of[pair]
    }

    pub(crate) fn n_players(&self) -> usize {
        self.n_players
    }

    fn draw_round(&mut self) {
        let wanted = self.shares_of(self.round);
        let mut order = Vec::new();
        for (index, stratum) in self.strata.iter_mut().enumerate() {
            let target = wanted[index].min(self.shares[index]).max(stratum.taken);
            let new = target - stratum.taken;
            let drawn = self.draws[index].next(self.n_players, stratum, new, &self.binomials);
            stratum.taken = target;
            let turn = |(place, members)| ((place as f64 + 0.5) / new as f64, index, members);
            order.extend(drawn.into_iter().enumerate().map(turn));
        }
        order.sort_by(|a: &(f64, usize, Vec<usize>), b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, stratum, members) in order {
            self.coalitions.push(members);
            self.coalitions.push_complement();
            self.stratum_of.push(stratum);
        }
    }

    /// How many pairs of each stratum a design of so many has.
    fn shares_of(&self, n_pairs: usize) -> Vec<usize> {
        let mut strata = self.strata.clone();
        strata.iter_mut().for_each(|stratum| stratum.taken = 0);
        allocate(&mut strata, self.n_players, n_pairs, self.singles_first);
        strata.iter().map(|stratum| stratum.taken).collect()
    }
}

fn stratum(n_players: usize, size: usize) -> Stratum {
    let halved = if 2 * size == n_players { 0.5 } else { 1.0 };
    let kernel = 2.0 / (size as f64 * (n_players - size) as f64);
    Stratum {
        size,
        available: halved * binomial(n_players, size),
        taken: 0,
        weight: halved * kernel,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are at most n_pairs"
)]
fn allocate(strata: &mut [Stratum], n_players: usize, n_pairs: usize, singles_first: bool) {
    let mut left = n_pairs;
    let mut open = &mut strata[..];
    if singles_first && let Some((singles, others)) = std::mem::take(&mut open).split_first_mut() {
        singles.taken = left.min(singles.available as usize);
        left -= singles.taken;
        open = others;
    }
    let share = |stratum: &Stratum| {
        (stratum.size as f64 * (n_players - stratum.size) as f64).sqrt().recip()
    };
    let amount = |stratum: &Stratum, scale: f64| stratum.available.min(scale * share(stratum));
    let total = |scale: f64, open: &[Stratum]| {
        open.iter().map(|stratum| amount(stratum, scale)).sum::<f64>()
    };
    // At this scale even the smallest share is the whole budget: the root lies below.
    let (mut low, mut high) = (0.0, left as f64 * n_players as f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if total(middle, open) < left as f64 { low = middle } else { high = middle }
    }
    let ideal: Vec<f64> = open.iter().map(|stratum| amount(stratum, high)).collect();
    for (stratum, &ideal) in open.iter_mut().zip(&ideal) {
        stratum.taken = (ideal as usize).min(left);
        left -= stratum.taken;
    }
    let mut by_remainder: Vec<usize> = (0..open.len()).collect();
    by_remainder.sort_by(|&a, &b| ideal[b].fract().total_cmp(&ideal[a].fract()).then(a.cmp(&b)));
    // Rounding leaves less than one pair per stratum, so a second lap is needed only past exhausted ones.
    for &index in by_remainder.iter().chain(&by_remainder) {
        if 0 < left && !open[index].exhausted() {
            open[index].taken += 1;
            left -= 1;
        }
    }
    // A lone pair has no variance: take its second from the richest sampled stratum.
    while let Some(poor) = open.iter().position(|stratum| stratum.taken < 2 && !stratum.exhausted())
    {
        let rich = (0..open.len())
            .filter(|&index| 2 < open[index].taken)
            .max_by_key(|&index| open[index].taken);
        let Some(rich) = rich else { break };
        open[rich].taken -= 1;
        open[poor].taken += 1;
    }
}

/// Where the draws from a stratum stand.
struct Draw {
    stream: Stream,
    /// The first steps of a shuffle of all ranks, of which only the touched ones are kept.
    moved: BTreeMap<u64, u64>,
    /// What was drawn where there are too many for ranks.
    seen: BTreeSet<Vec<usize>>,
}

impl Draw {
    fn new(stream: Stream) -> Self {
        Draw { stream, moved: BTreeMap::new(), seen: BTreeSet::new() }
    }

    /// The members of the next `new` pairs of a stratum; of the two halves of a middle pair, the one with the last
    /// player.
    fn next(
        &mut self,
        n_players: usize,
        stratum: &Stratum,
        new: usize,
        binomials: &Binomials,
    ) -> Vec<Vec<usize>> {
        let middle = 2 * stratum.size == n_players;
        let (n, size) =
            if middle { (n_players - 1, stratum.size - 1) } else { (n_players, stratum.size) };
        let finish = |mut members: Vec<usize>| {
            if middle {
                members.push(n_players - 1);
            }
            members
        };
        let first = stratum.taken as u64;
        let steps = first..first + new as u64;
        let Some(available) = binomials.get(n, size) else {
            let mut unseen = || loop {
                let members = random_subset(n, size, &mut self.stream);
                if self.seen.insert(members.clone()) {
                    return finish(members);
                }
            };
            return steps.map(|_| unseen()).collect();
        };
        if first == 0 && available == new as u64 {
            return steps.map(|rank| finish(binomials.unrank(n, size, rank))).collect();
        }
        let rank = |step: u64| {
            let other = step + self.stream.below(available - step);
            let rank = self.moved.get(&other).copied().unwrap_or(other);
            let here = self.moved.get(&step).copied().unwrap_or(step);
            self.moved.insert(other, here);
            rank
        };
        steps.map(rank).map(|rank| finish(binomials.unrank(n, size, rank))).collect()
    }
}

/// A subset of `0..n` of the given size, ascending.
fn random_subset(n: usize, size: usize, stream: &mut Stream) -> Vec<usize> {
    let mut players: Vec<usize> = (0..n).collect();
    for place in 0..size {
        players.swap(place, place + stream.index(n - place));
    }
    players.truncate(size);
    players.sort_unstable();
    players
}

/// Numbers of subsets: Pascal's triangle as far as it is below 2^64.
pub(crate) struct Binomials {
    /// `rows[n][size]` for `size` up to half of the largest `n`.
    rows: Vec<Vec<Option<u64>>>,
}

impl Binomials {
    pub(crate) fn new(n: usize) -> Self {
        // The numbers of the last row grow up to the middle: past the first too large one all are.
        let sizes = (0..=n / 2).take_while(|&size| binomial(n, size) < TOO_MANY).count() + 1;
        let mut rows: Vec<Vec<Option<u64>>> = vec![vec![None; sizes]; n + 1];
        for n in 0..=n {
            for size in 0..sizes {
                rows[n][size] = match (n, size) {
                    (_, 0) => Some(1),
                    (0, _) => Some(0),
                    _ => rows[n - 1][size - 1]
                        .zip(rows[n - 1][size])
                        .and_then(|(with, without)| with.checked_add(without)),
                };
            }
        }
        Binomials { rows }
    }

    /// The number of subsets of `0..n`, when it is known to be below 2^64.
    pub(crate) fn get(&self, n: usize, size: usize) -> Option<u64> {
        self.rows[n].get(size).copied().flatten()
    }

    /// The subset of `0..n` of the given size with this rank in lexicographic order, `rank` below their number.
    pub(crate) fn unrank(&self, n: usize, size: usize, mut rank: u64) -> Vec<usize> {
        let mut members = Vec::with_capacity(size);
        for player in 0..n {
            if members.len() == size {
                break;
            }
            let with_player =
                self.get(n - player - 1, size - members.len() - 1).expect("at most all");
            if rank < with_player {
                members.push(player);
            } else {
                rank -= with_player;
            }
        }
        members
    }
}

/// 2^64.
const TOO_MANY: f64 = 18_446_744_073_709_551_616.0;

fn binomial(n: usize, size: usize) -> f64 {
    let size = size.min(n - size);
    (0..size).fold(1.0, |number, taken| number * (n - taken) as f64 / (taken + 1) as f64)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number below another usize"
)]
fn floor(number: f64) -> usize {
    number as usize
}
