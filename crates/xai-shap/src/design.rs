//! Which pairs of coalitions to evaluate when not all can be.

use std::collections::{BTreeMap, BTreeSet};

use xai_core::{Seed, Stream};

use crate::coalitions::Coalitions;

/// Pairs `(z, complement of z)` with `|z| = size`: a stratum of the design.
#[derive(Clone, Debug)]
pub(crate) struct Stratum {
    /// The size of the smaller half.
    pub(crate) size: usize,
    /// How many such pairs there are; infinite past the range of f64.
    pub(crate) available: f64,
    /// How many are in the design; they stand together, strata in order of size.
    pub(crate) taken: usize,
    /// The kernel weight of all pairs of this size, up to a common factor.
    pub(crate) weight: f64,
}

impl Stratum {
    pub(crate) fn exhausted(&self) -> bool {
        self.available <= self.taken as f64
    }
}

/// A paired design: coalition `2k` and its complement `2k + 1` are pair `k`.
#[derive(Clone, Debug)]
pub(crate) struct Design {
    pub(crate) strata: Vec<Stratum>,
    pub(crate) coalitions: Coalitions,
}

/// Chooses `n_pairs` pairs without replacement, stratified by size.
///
/// Pairs of size 1 come first and complete when `singles_first`; the rest of the budget is shared in proportion to
/// `sqrt(1 / (s (M - s)))`, and no sampled stratum gets a single pair where it could get two, for the variance.
///
/// # Source
/// Allocation: the geometric mean of kernel weights and leverage scores, "modified l2" of Chen et al. 2025 after
/// Musco & Witter, "Provably accurate Shapley value estimation via leverage score sampling", ICLR 2025.
/// Weight of size `s`: `2 / (s (M - s))` up to a factor (Lundberg & Lee 2017, theorem 2), half for `s = M / 2`, where
/// each pair would be counted twice.
pub(crate) fn paired(n_players: usize, n_pairs: usize, singles_first: bool, seed: Seed) -> Design {
    let mut strata: Vec<Stratum> =
        (1..=n_players / 2).map(|size| stratum(n_players, size)).collect();
    allocate(&mut strata, n_players, n_pairs, singles_first);
    let mut coalitions = Coalitions::new(n_players);
    for stratum in &strata {
        let mut stream = seed.child(stratum.size as u64).stream();
        for members in draw(n_players, stratum, &mut stream) {
            coalitions.push(members);
            coalitions.push_complement();
        }
    }
    Design { strata, coalitions }
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

/// The members of each drawn coalition; of the two halves of a middle pair, the one with the last player.
fn draw(n_players: usize, stratum: &Stratum, stream: &mut Stream) -> Vec<Vec<usize>> {
    let middle = 2 * stratum.size == n_players;
    let (n, size) =
        if middle { (n_players - 1, stratum.size - 1) } else { (n_players, stratum.size) };
    let finish = |mut members: Vec<usize>| {
        if middle {
            members.push(n_players - 1);
        }
        members
    };
    let Some(available) = exact_binomial(n, size) else {
        let mut seen = BTreeSet::new();
        while seen.len() < stratum.taken {
            seen.insert(random_subset(n, size, stream));
        }
        return seen.into_iter().map(finish).collect();
    };
    if stratum.exhausted() {
        return (0..available).map(|rank| finish(unrank(n, size, rank))).collect();
    }
    // The first steps of a shuffle of all ranks, of which only the touched ones are kept.
    let mut moved = BTreeMap::new();
    let rank = |step: u64| {
        let other = step + stream.below(available - step);
        let rank = moved.get(&other).copied().unwrap_or(other);
        let here = moved.get(&step).copied().unwrap_or(step);
        moved.insert(other, here);
        rank
    };
    (0..stratum.taken as u64).map(rank).map(|rank| finish(unrank(n, size, rank))).collect()
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

/// The subset of `0..n` of the given size with this rank in lexicographic order, `rank` below their number.
fn unrank(n: usize, size: usize, mut rank: u64) -> Vec<usize> {
    let mut members = Vec::with_capacity(size);
    for player in 0..n {
        if members.len() == size {
            break;
        }
        let with_player = exact_binomial(n - player - 1, size - members.len() - 1)
            .expect("at most the number of all");
        if rank < with_player {
            members.push(player);
        } else {
            rank -= with_player;
        }
    }
    members
}

/// The number of subsets, when it is below 2^64.
fn exact_binomial(n: usize, size: usize) -> Option<u64> {
    if n < size {
        return Some(0);
    }
    let size = size.min(n - size) as u128;
    let mut number = 1_u128;
    for taken in 0..size {
        number = number * (n as u128 - taken) / (taken + 1);
        if u128::from(u64::MAX) < number {
            return None;
        }
    }
    u64::try_from(number).ok()
}

fn binomial(n: usize, size: usize) -> f64 {
    let size = size.min(n - size);
    (0..size).fold(1.0, |number, taken| number * (n - taken) as f64 / (taken + 1) as f64)
}
