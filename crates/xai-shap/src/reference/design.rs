//! The coalitions that shap evaluates.

use std::collections::BTreeMap;

use xai_core::Stream;

use crate::coalitions::Coalitions;
use crate::design::Binomials;

/// The coalitions of one explanation in shap.
#[derive(Debug)]
pub(crate) struct ReferenceDesign {
    /// Neither the empty nor the full one; with few draws fewer than allocated.
    pub(crate) coalitions: Coalitions,
    /// The kernel weight of each coalition, of sum 1.
    pub(crate) weights: Vec<f64>,
    /// How many coalitions there is room for: `nsamples`, or all if there are fewer.
    pub(crate) n_allocated: usize,
    /// `n_allocated` over the number of all coalitions but two, or over 2^30 when there are more than 30 players.
    pub(crate) fraction_evaluated: f64,
}

/// More players than this have more coalitions than shap counts.
const MOST_COUNTED_PLAYERS: usize = 30;

/// Sizes of coalitions, from the outside in: the size and its complement's, or the middle size alone.
struct Class {
    size: usize,
    /// Whether the complements have another size.
    paired: bool,
    /// The share of the kernel weight.
    share: f64,
}

/// Chooses the coalitions of at least two players as shap does.
///
/// Classes of sizes are listed in full, from the outermost on, as long as the budget would draw each of their
/// coalitions once; the rest of the budget is drawn with replacement, each draw followed by its complement, and a
/// coalition drawn again gets more weight.
///
/// # Source
/// `KernelExplainer` of shap 0.43, as observed: order and weights agree, the random numbers are those of [`Stream`].
pub(crate) fn design(n_players: usize, nsamples: usize, stream: &mut Stream) -> ReferenceDesign {
    let counted = n_players <= MOST_COUNTED_PLAYERS;
    let all = if counted { (1_usize << n_players) - 2 } else { 1 << MOST_COUNTED_PLAYERS };
    let n_allocated = if counted { nsamples.min(all) } else { nsamples };
    let classes = classes(n_players);
    let mut coalitions = Coalitions::new(n_players);
    let mut weights = Vec::new();
    let mut left = n_allocated;
    let mut share_left = 1.0;
    let mut n_listed = 0;
    let binomials = Binomials::new(n_players);
    for class in &classes {
        let per_pair = if class.paired { 2 } else { 1 };
        let Some(subsets) = binomials.get(n_players, class.size) else { break };
        let count = subsets as f64 * f64::from(per_pair);
        if left as f64 * (class.share / share_left) / count < 1.0 - 1e-8 {
            break;
        }
        for rank in 0..subsets {
            coalitions.push(binomials.unrank(n_players, class.size, rank));
            if class.paired {
                coalitions.push_complement();
            }
        }
        left = n_allocated - coalitions.len();
        weights.resize(coalitions.len(), class.share / count);
        share_left -= class.share;
        n_listed += 1;
    }
    draw(&classes[n_listed..], left, stream, &mut coalitions, &mut weights);
    let fraction_evaluated = n_allocated as f64 / all as f64;
    ReferenceDesign { coalitions, weights, n_allocated, fraction_evaluated }
}

fn classes(n_players: usize) -> Vec<Class> {
    let n_paired = (n_players - 1) / 2;
    let mut classes: Vec<Class> = (1..=n_players / 2)
        .map(|size| {
            let paired = size <= n_paired;
            let kernel = 1.0 / (size as f64 * (n_players - size) as f64);
            Class { size, paired, share: if paired { 2.0 * kernel } else { kernel } }
        })
        .collect();
    let total: f64 = classes.iter().map(|class| class.share).sum();
    classes.iter_mut().for_each(|class| class.share /= total);
    classes
}

/// Appends coalitions drawn from these classes, up to `left`, with the weight of the classes.
fn draw(
    classes: &[Class],
    mut left: usize,
    stream: &mut Stream,
    coalitions: &mut Coalitions,
    weights: &mut Vec<f64>,
) {
    // Where a size and its complement's share a class, the draw is of the smaller size.
    let halves = |class: &Class| if class.paired { class.share / 2.0 } else { class.share };
    let total: f64 = classes.iter().map(halves).sum();
    let first = weights.len();
    let mut drawn: BTreeMap<Vec<u64>, usize> = BTreeMap::new();
    let mut players: Vec<usize> = (0..coalitions.n_players()).collect();
    for _ in 0..4 * left {
        if left == 0 {
            break;
        }
        let mut level = total * stream.uniform();
        let above = |class: &Class| {
            level -= halves(class);
            level < 0.0
        };
        let class = &classes[classes.iter().position(above).unwrap_or(classes.len() - 1)];
        stream.shuffle(&mut players);
        let members = &players[..class.size];
        let mut words = vec![0; coalitions.stride()];
        members.iter().for_each(|member| words[member / 64] |= 1_u64 << (member % 64));
        if let Some(&place) = drawn.get(&words) {
            weights[place] += 1.0;
            if class.paired {
                weights[place + 1] += 1.0;
            }
            continue;
        }
        drawn.insert(words, coalitions.len());
        coalitions.push(members.iter().copied());
        left -= 1;
        if 0 < left && class.paired {
            coalitions.push_complement();
            left -= 1;
        }
        weights.resize(coalitions.len(), 1.0);
    }
    let share: f64 = classes.iter().map(|class| class.share).sum();
    let counts: f64 = weights[first..].iter().sum();
    weights[first..].iter_mut().for_each(|weight| *weight *= share / counts);
}

#[cfg(test)]
mod tests {
    use xai_core::Seed;

    use super::design;
    use crate::coalitions::{Coalitions, members};

    fn sizes(coalitions: &Coalitions) -> Vec<usize> {
        (0..coalitions.len()).map(|index| members(coalitions.get(index)).count()).collect()
    }

    #[test]
    fn four_players_are_listed_in_order() {
        let design = design(4, 2056, &mut Seed::new(0).stream());
        let listed: Vec<u64> = (0..14).map(|index| design.coalitions.get(index)[0]).collect();
        assert_eq!(
            listed,
            [
                1, 0b1110, 2, 0b1101, 4, 0b1011, 8, 0b0111, 0b11, 0b101, 0b1001, 0b110, 0b1010,
                0b1100
            ]
        );
        for (index, weight) in design.weights.iter().enumerate() {
            let expected = if index < 8 { 1.0 / 11.0 } else { 1.0 / 22.0 };
            assert!((weight - expected).abs() < 1e-15, "{index}: {weight}");
        }
        assert_eq!((design.n_allocated, design.coalitions.len()), (14, 14));
    }

    #[test]
    fn default_designs_list_the_outer_sizes_and_draw_the_rest() {
        // Players, listed classes, listed coalitions, their weight, share of all coalitions: observed in shap.
        for (n_players, classes, n_listed, covered, fraction) in [
            (12, 3, 596, 0.707, 0.506),
            (13, 3, 754, 0.679, 0.253),
            (14, 2, 210, 0.522, 0.127),
            (16, 2, 272, 0.494, 0.032),
            (20, 2, 420, 0.453, 0.002),
            (30, 1, 60, 0.261, 2e-6),
            (40, 1, 80, 0.241, 2e-6),
            (60, 1, 120, 0.218, 2e-6),
            (100, 1, 200, 0.195, 2e-6),
            (500, 0, 0, 0.0, 3e-6),
        ] {
            let nsamples = 2 * n_players + 2048;
            let design = design(n_players, nsamples, &mut Seed::new(7).stream());
            assert_eq!((design.n_allocated, design.coalitions.len()), (nsamples, nsamples));
            let sizes = sizes(&design.coalitions);
            let outer = |size: usize| size.min(n_players - size);
            assert_eq!(sizes.iter().take_while(|&&size| outer(size) <= classes).count(), n_listed);
            assert!(sizes[n_listed..].iter().all(|&size| classes < outer(size)));
            let listed: f64 = design.weights[..n_listed].iter().sum();
            assert!((listed - covered).abs() <= 5e-4, "{n_players}: {listed}");
            let rounding = if fraction < 1e-3 { 5e-7 } else { 5e-4 };
            assert!((design.fraction_evaluated - fraction).abs() <= rounding, "{n_players}");
            check_pairs_and_weights(&design.coalitions, &design.weights);
        }
    }

    /// Weights add up to 1, and a coalition smaller than half is followed by its complement of equal weight.
    #[track_caller]
    fn check_pairs_and_weights(coalitions: &Coalitions, weights: &[f64]) {
        // Each of the additions rounds once, at most at 1.
        let rounding = weights.len() as f64 * f64::EPSILON;
        assert!((weights.iter().sum::<f64>() - 1.0).abs() <= rounding);
        let n_players = coalitions.n_players();
        let sizes = sizes(coalitions);
        for index in (0..sizes.len() - 1).filter(|&index| 2 * sizes[index] < n_players) {
            let (coalition, next) = (coalitions.get(index), coalitions.get(index + 1));
            assert!(coalition.iter().zip(next).all(|(word, next)| word & next == 0));
            assert_eq!(sizes[index] + sizes[index + 1], n_players);
            assert_eq!(weights[index].to_bits(), weights[index + 1].to_bits());
        }
    }

    #[test]
    fn repeated_draws_leave_rows_unused() {
        // Five players have 30 coalitions. With 25 the middle class is drawn, 4 times as many as there is room for.
        let design = design(5, 25, &mut Seed::new(1).stream());
        assert_eq!(design.n_allocated, 25);
        check_pairs_and_weights(&design.coalitions, &design.weights);
        let mut drawn: Vec<u64> =
            (10..design.coalitions.len()).map(|index| design.coalitions.get(index)[0]).collect();
        drawn.sort_unstable();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]), "no coalition stands twice");
        let heaviest = design.weights[10..].iter().fold(0.0_f64, |most, &weight| most.max(weight));
        let lightest =
            design.weights[10..].iter().fold(1.0_f64, |least, &weight| least.min(weight));
        assert!(1.5 * lightest < heaviest, "some were drawn more often than others");
    }
}
