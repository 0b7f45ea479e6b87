//! The points that change all the features of one set, by bands of distance.
//!
//! Each feature's values are sorted by what they add to the distance, and rounding keeps that order in sums: so all
//! points within a band are found by walking the sorted lists and breaking off, without ever holding the others.

use std::ops::Range;

use crate::grid::Axis;

/// One set of features to change.
#[derive(Clone)]
pub(crate) struct Combination<'a> {
    axes: Vec<&'a Axis>,
    /// What the features that stay add to the distance, in the order of the features: before each axis, and after the
    /// last. Only a distance of one's own has such terms, and they are kept apart so that every distance is the sum of
    /// all features in their order, to the bit.
    staying: Vec<Vec<f64>>,
    /// Whether the distance is the root of the sum.
    root: bool,
}

impl<'a> Combination<'a> {
    /// The set of some axes, ascending; `staying` is what each feature of the table adds when it stays.
    pub(crate) fn new(axes: Vec<&'a Axis>, staying: &[f64], root: bool) -> Self {
        let mut gaps = Vec::with_capacity(axes.len() + 1);
        let mut next = 0;
        let ends = axes.iter().map(|axis| axis.feature).chain([staying.len()]);
        for end in ends {
            gaps.push(staying[next..end].iter().copied().filter(|&term| term != 0.0).collect());
            next = end + 1;
        }
        Combination { axes, staying: gaps, root }
    }

    /// Number of features that change.
    pub(crate) fn len(&self) -> usize {
        self.axes.len()
    }

    pub(crate) fn axes(&self) -> &[&'a Axis] {
        &self.axes
    }

    /// Number of points.
    pub(crate) fn n_points(&self) -> u64 {
        self.axes.iter().fold(1, |n, axis| n.saturating_mul(axis.values.len() as u64))
    }

    /// The distance of a point from the instance; `places` holds the place of each axis' value.
    pub(crate) fn distance(&self, places: &[u32]) -> f64 {
        let terms = self.axes.iter().zip(places).map(|(axis, &place)| axis.terms[place as usize]);
        self.closed(terms.enumerate().fold(0.0, |sum, (depth, term)| self.grown(sum, depth, term)))
    }

    /// The largest distance.
    fn largest(&self) -> f64 {
        let last = |axis: &&Axis| axis.terms[axis.terms.len() - 1];
        let terms = self.axes.iter().map(last).enumerate();
        self.closed(terms.fold(0.0, |sum, (depth, term)| self.grown(sum, depth, term)))
    }

    /// A sum with the term of one more axis.
    fn grown(&self, sum: f64, depth: usize, term: f64) -> f64 {
        self.staying[depth].iter().fold(sum, |sum, term| sum + term) + term
    }

    /// The distance of a sum over all axes.
    fn closed(&self, sum: f64) -> f64 {
        let sum = self.staying[self.axes.len()].iter().fold(sum, |sum, term| sum + term);
        if self.root { sum.sqrt() } else { sum }
    }

    /// The least distance of points that share the first `depth` axes, whose sum this is.
    fn least(&self, sum: f64, depth: usize) -> f64 {
        let rest = depth..self.axes.len();
        self.closed(rest.fold(sum, |sum, depth| self.grown(sum, depth, self.axes[depth].terms[0])))
    }

    /// Hands over all points with `above < distance <= upto`: the places of all axes but the last, and the range of
    /// places of the last.
    pub(crate) fn band<E>(
        &self,
        above: f64,
        upto: f64,
        emit: &mut impl FnMut(&[u32], Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut places = Vec::with_capacity(self.axes.len());
        self.descend(0.0, &mut places, (above, upto), emit)
    }

    fn descend<E>(
        &self,
        sum: f64,
        places: &mut Vec<u32>,
        (above, upto): (f64, f64),
        emit: &mut impl FnMut(&[u32], Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let depth = places.len();
        let terms = &self.axes[depth].terms;
        if depth + 1 == self.axes.len() {
            let distance = |&term: &f64| self.closed(self.grown(sum, depth, term));
            let end = terms.partition_point(|term| distance(term) <= upto);
            let start = terms[..end].partition_point(|term| distance(term) <= above);
            return if start < end { emit(places, start..end) } else { Ok(()) };
        }
        for (place, &term) in (0..).zip(terms) {
            let grown = self.grown(sum, depth, term);
            if upto < self.least(grown, depth + 1) {
                break;
            }
            places.push(place);
            self.descend(grown, places, (above, upto), emit)?;
            places.pop();
        }
        Ok(())
    }

    /// Number of points with `distance <= upto`.
    fn count(&self, upto: f64) -> u64 {
        self.count_from(0.0, 0, upto)
    }

    fn count_from(&self, sum: f64, depth: usize, upto: f64) -> u64 {
        let terms = &self.axes[depth].terms;
        if depth + 1 == self.axes.len() {
            let within = |&term: &f64| self.closed(self.grown(sum, depth, term)) <= upto;
            return terms.partition_point(within) as u64;
        }
        let sums = terms.iter().map(|&term| self.grown(sum, depth, term));
        let within = sums.take_while(|&grown| self.least(grown, depth + 1) <= upto);
        within.map(|grown| self.count_from(grown, depth + 1, upto)).sum()
    }

    /// The least distance above a bound; infinite when there is none.
    pub(crate) fn least_above(&self, above: f64) -> f64 {
        let mut least = f64::INFINITY;
        let mut places = vec![0; self.axes.len()];
        let found: Result<(), ()> = self.band(above, f64::INFINITY, &mut |outer, last| {
            places[..outer.len()].copy_from_slice(outer);
            places[outer.len()] = u32::try_from(last.start).expect("at most 2^20 values");
            least = least.min(self.distance(&places));
            Ok(())
        });
        debug_assert!(found.is_ok(), "looking cannot fail");
        least
    }
}

/// Where a band that begins above a distance should end, so that it has about `wanted` of the `left` points that some sets
/// of features have left: between three quarters and one and a half of that, where no single distance has more.
pub(crate) fn band_end<'a, Sets: Iterator<Item = Combination<'a>>>(
    sets: impl Fn() -> Sets,
    above: f64,
    left: u64,
    wanted: u64,
) -> f64 {
    if left <= wanted.saturating_add(wanted / 2) {
        return f64::INFINITY;
    }
    let (mut high, mut longest, mut all) = (0.0_f64, 1, 0_u64);
    for set in sets() {
        high = high.max(set.largest());
        longest = longest.max(set.len());
        all = all.saturating_add(set.n_points());
    }
    let asked = all - left;
    let least_above =
        |low: f64| sets().fold(f64::INFINITY, |least, set| least.min(set.least_above(low)));
    let count = |upto: f64| {
        sets().fold(0_u64, |n, set| n.saturating_add(set.count(upto))).saturating_sub(asked)
    };
    let mut low = above;
    let (mut n, mut middle) = (0, low);
    for attempt in 0.. {
        // A single distance with many points is found from below, now and then, since halving would take long.
        if attempt % 8 == 0 && (attempt != 0 || low < 0.0) {
            low = least_above(low);
            (n, middle) = (count(low), low);
            if 3 * wanted <= 4 * n {
                return low;
            }
        }
        // Within a distance there are about as many points as its power.
        let growth = (asked + wanted) as f64 / (asked + n).max(1) as f64;
        middle *= growth.powf(1.0 / longest as f64);
        if !(low < middle && middle < high) {
            middle = low + (high - low) / 2.0;
        }
        if !(low < middle && middle < high) {
            break;
        }
        n = count(middle);
        if 4 * n < 3 * wanted {
            low = middle;
        } else if 3 * wanted < 2 * n {
            high = middle;
        } else {
            return middle;
        }
    }
    high
}

/// The sets of `length` out of `n` axes, in the order of their indices.
pub(crate) struct Sets {
    next: Option<Vec<usize>>,
    n: usize,
}

impl Sets {
    pub(crate) fn new(n: usize, length: usize) -> Self {
        Sets { next: (length <= n).then(|| (0..length).collect()), n }
    }
}

impl Iterator for Sets {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let set = self.next.take()?;
        let length = set.len();
        let movable = (0..length).rev().find(|&place| set[place] < self.n - length + place);
        self.next = movable.map(|place| {
            let mut next = set.clone();
            for (offset, index) in next[place..].iter_mut().enumerate() {
                *index = set[place] + 1 + offset;
            }
            next
        });
        Some(set)
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "distances are compared to the bit")]
mod tests {
    use super::{Combination, Sets, band_end};
    use crate::grid::Axis;

    /// Axes of multiples of irrational numbers, and one of ties.
    fn axes() -> Vec<Axis> {
        let axis = |feature: usize, terms: Vec<f64>| {
            let values = terms.clone();
            Axis::plain(feature, values, terms)
        };
        let multiples =
            |n: u32, step: f64| (1..=n).map(|k| f64::from(k) * step).collect::<Vec<_>>();
        vec![
            axis(0, multiples(7, 0.1)),
            axis(2, vec![1.0; 5]),
            axis(3, multiples(11, std::f64::consts::SQRT_2)),
        ]
    }

    fn points(combination: &Combination<'_>, above: f64, upto: f64) -> Vec<Vec<u32>> {
        let mut points = Vec::new();
        let walked: Result<(), ()> = combination.band(above, upto, &mut |outer, last| {
            for place in last {
                let mut places = outer.to_vec();
                places.push(u32::try_from(place).unwrap());
                points.push(places);
            }
            Ok(())
        });
        walked.unwrap();
        points
    }

    #[test]
    fn bands_hold_each_point_once_and_in_its_place() {
        let axes = axes();
        for root in [false, true] {
            for staying in [[0.0; 5], [0.0, 0.3, 0.0, 0.0, 0.7]] {
                let combination = Combination::new(axes.iter().collect(), &staying, root);
                let all = points(&combination, f64::NEG_INFINITY, f64::INFINITY);
                assert_eq!(all.len() as u64, combination.n_points());
                let (mut seen, mut above) = (Vec::new(), f64::NEG_INFINITY);
                while (seen.len() as u64) < combination.n_points() {
                    let left = combination.n_points() - seen.len() as u64;
                    let sets = || std::iter::once(combination.clone());
                    let upto = band_end(sets, above, left, 20);
                    let band = points(&combination, above, upto);
                    assert_eq!((seen.len() + band.len()) as u64, combination.count(upto));
                    assert!(!band.is_empty());
                    for places in &band {
                        let distance = combination.distance(places);
                        assert!(above < distance && distance <= upto);
                    }
                    let nearest = band.iter().map(|places| combination.distance(places));
                    let nearest = nearest.fold(f64::INFINITY, f64::min);
                    assert_eq!(combination.least_above(above), nearest);
                    seen.extend(band);
                    above = upto;
                }
                seen.sort_unstable();
                assert_eq!(seen, all);
            }
        }
    }

    #[test]
    fn the_distance_is_the_sum_of_all_features_in_their_order() {
        let axes = axes();
        let combination =
            Combination::new(axes.iter().collect(), &[9.0, 0.3, 9.0, 9.0, 0.7], false);
        let expected = (((0.2 + 0.3) + 1.0) + 3.0 * std::f64::consts::SQRT_2) + 0.7;
        assert_eq!(combination.distance(&[1, 4, 2]), expected);
        let rooted = Combination::new(axes.iter().collect(), &[0.0; 5], true);
        assert_eq!(
            rooted.distance(&[1, 4, 2]),
            ((0.2 + 1.0) + 3.0 * std::f64::consts::SQRT_2).sqrt()
        );
    }

    #[test]
    fn sets_come_in_the_order_of_their_indices() {
        let sets: Vec<Vec<usize>> = Sets::new(4, 2).collect();
        assert_eq!(sets, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!(Sets::new(3, 3).count(), 1);
        assert_eq!(Sets::new(2, 3).count(), 0);
        assert_eq!(Sets::new(13, 3).count(), 286);
    }
}
