//! The points that change all the features of one set, by bands of distance.
//!
//! Each feature's values are sorted by what they add to the distance, and rounding keeps that order in sums: so all
//! points within a band are found by walking the sorted lists and breaking off, without ever holding the others.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::ops::Range;

use crate::grid::Axis;

/// The distances `d` with `above < d <= upto`.
#[derive(Clone, Copy)]
struct Band {
    above: f64,
    upto: f64,
}

/// One set of features to change.
pub(crate) struct Combination<'a> {
    axes: Vec<&'a Axis>,
    /// What the features that stay add to the distance, in the order of the features: before each axis, and after the
    /// last. Only a distance that is a function has such terms, and they are kept apart so that every distance is the sum of
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

    /// The distances of points that differ on the last axis alone, at these places, ascending; `sum` is that over the
    /// axes before.
    pub(crate) fn along(
        &self,
        sum: f64,
        places: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = f64> {
        let last = self.axes.len() - 1;
        let sum = self.staying[last].iter().fold(sum, |sum, term| sum + term);
        self.axes[last].terms[places].iter().map(move |term| self.closed(sum + term))
    }

    /// Hands over all points with `above < distance <= upto`: the places of all axes but the last with their sum, and
    /// the range of places of the last.
    pub(crate) fn band<E>(
        &self,
        above: f64,
        upto: f64,
        emit: &mut impl FnMut(&[u32], f64, Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let outer = &self.axes[..self.axes.len() - 1];
        let terms = outer.iter().map(|axis| axis.terms[0]).enumerate();
        let nearest = terms.fold(0.0, |sum, (depth, term)| self.grown(sum, depth, term));
        let last = &self.axes[outer.len()].terms;
        let distance = |&term: &f64| self.closed(self.grown(nearest, outer.len(), term));
        let within = |bound: f64| last.partition_point(|term| distance(term) <= bound);
        let mut range = within(above)..within(upto);
        self.descend(
            0.0,
            &mut Vec::with_capacity(outer.len()),
            Band { above, upto },
            &mut range,
            emit,
        )
    }

    /// `range` is that of places on the last axis: on entry no smaller than that of the first point to come, on return
    /// just that. Farther places only move it down, so that it is followed instead of searched for.
    fn descend<E>(
        &self,
        sum: f64,
        places: &mut Vec<u32>,
        band: Band,
        range: &mut Range<usize>,
        emit: &mut impl FnMut(&[u32], f64, Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let depth = places.len();
        if depth + 1 == self.axes.len() {
            let beyond = |end: usize, bound: f64| {
                self.along(sum, 0..end).rev().take_while(|&distance| bound < distance).count()
            };
            range.end -= beyond(range.end, band.upto);
            range.start -= beyond(range.start, band.above);
            return if range.start < range.end { emit(places, sum, range.clone()) } else { Ok(()) };
        }
        let mut deeper = range.clone();
        for (place, &term) in (0..).zip(&self.axes[depth].terms) {
            places.push(place);
            let grown = self.grown(sum, depth, term);
            self.descend(grown, places, band, &mut deeper, emit)?;
            places.pop();
            if place == 0 {
                *range = deeper.clone();
            }
            if deeper.end == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The least distance above one bound and no larger than the other; infinite when there is none.
    pub(crate) fn least(&self, above: f64, upto: f64) -> f64 {
        if above < 0.0 {
            let nearest = self.distance(&vec![0; self.axes.len()]);
            return if nearest <= upto { nearest } else { f64::INFINITY };
        }
        let mut least = f64::INFINITY;
        let Ok(()) = self.band::<Infallible>(above, upto, &mut |_, sum, last| {
            least = self.along(sum, last).next().map_or(least, |first| least.min(first));
            Ok(())
        });
        least
    }
}

/// The most points of a band whose end is chosen among their distances.
const MAX_RANKED: u64 = 4096;

/// What some sets of features have in common.
struct Extent {
    /// The largest distance.
    largest: f64,
    /// The most features of a set.
    longest: usize,
    /// The number of points.
    n_points: u64,
}

impl Extent {
    fn new<'a>(sets: impl Iterator<Item = impl Borrow<Combination<'a>>>) -> Self {
        let mut extent = Extent { largest: 0.0, longest: 1, n_points: 0 };
        for set in sets {
            let set = set.borrow();
            extent.largest = extent.largest.max(set.largest());
            extent.longest = extent.longest.max(set.len());
            extent.n_points = extent.n_points.saturating_add(set.n_points());
        }
        extent
    }
}

/// How many points a band may have.
struct BandSize {
    wanted: u64,
    fewest: u64,
    most: u64,
    /// Whether the band ends at one of the distances of its points, which are then collected.
    is_ranked: bool,
}

impl BandSize {
    fn new(wanted: u64) -> Self {
        let is_ranked = wanted <= MAX_RANKED;
        let (fewest, most) = if is_ranked {
            (wanted, 8 * wanted)
        } else {
            (wanted - wanted / 4, wanted.saturating_add(wanted / 2))
        };
        BandSize { wanted, fewest, most, is_ranked }
    }

    /// Number of points of some sets between two distances, or some number above `most`. Of a ranked band `distances`
    /// are then those of the points.
    fn count<'a>(
        &self,
        sets: impl Iterator<Item = impl Borrow<Combination<'a>>>,
        above: f64,
        upto: f64,
        distances: &mut Vec<f64>,
    ) -> u64 {
        let mut n = 0_u64;
        distances.clear();
        let mut sets = sets;
        let counted: Result<(), ()> = sets.try_for_each(|set| {
            let set = set.borrow();
            set.band(above, upto, &mut |_, sum, last| {
                n += last.len() as u64;
                if self.most < n {
                    return Err(());
                }
                if self.is_ranked {
                    distances.extend(set.along(sum, last));
                }
                Ok(())
            })
        });
        debug_assert_eq!(counted.is_err(), self.most < n, "only too many points end the walk");
        n
    }

    /// Where a ranked band ends, given the distances of at least `wanted` points.
    fn ranked_end(&self, distances: &mut [f64]) -> f64 {
        let place = usize::try_from(self.wanted - 1).expect("no more than fit into memory");
        let (closer, &mut end, _) = distances.select_nth_unstable_by(place, f64::total_cmp);
        // Ties beyond what is wanted can wait when there is nearly enough without them.
        let closer = closer.iter().filter(|&&distance| distance < end);
        let is_enough = self.fewest - self.fewest / 4 <= closer.clone().count() as u64;
        if is_enough { closer.fold(0.0, |most, &distance| most.max(distance)) } else { end }
    }
}

/// Where a band that begins above a distance ends, out of the `left` points beyond that some sets of features have left:
/// at the `wanted`-th distance, or at the one before where three quarters as many are no farther.
///
/// A band of more than [`MAX_RANKED`] has between three quarters and one and a half of that, where no single distance has
/// more, and so has the last one.
pub(crate) fn band_end<'a, Set: Borrow<Combination<'a>>, Sets: Iterator<Item = Set>>(
    sets: impl Fn() -> Sets,
    above: f64,
    left: u64,
    wanted: u64,
) -> f64 {
    if left <= wanted.saturating_add(wanted / 2) {
        return f64::INFINITY;
    }
    let Extent { largest: mut high, longest, n_points } = Extent::new(sets());
    let asked = n_points - left;
    let size = BandSize::new(wanted);
    // Rather too many than too few, where the distances tell those that are not wanted.
    let aim = if size.is_ranked { 1.5 } else { 1.0 } * wanted as f64;
    let mut distances = Vec::new();
    let (mut low, mut n, mut middle) = (above, 0, above);
    for attempt in 0.. {
        // A single distance with many points is found from below, now and then, since halving would take long.
        if attempt % 8 == 0 && (attempt != 0 || low < 0.0) {
            let least = |least: f64, set: Set| set.borrow().least(low, high).min(least);
            low = sets().fold(f64::INFINITY, least);
            (n, middle) = (size.count(sets(), above, low, &mut distances), low);
            if size.fewest <= n {
                return low;
            }
        }
        // Within a distance there are about as many points as its power.
        let growth = (asked as f64 + aim) / (asked as f64 + n as f64).max(1.0);
        middle *= growth.powf(1.0 / longest as f64);
        if !(low < middle && middle < high) {
            middle = low + (high - low) / 2.0;
        }
        if !(low < middle && middle < high) {
            break;
        }
        n = size.count(sets(), above, middle, &mut distances);
        if n < size.fewest {
            low = middle;
        } else if size.most < n {
            high = middle;
        } else if size.is_ranked {
            return size.ranked_end(&mut distances);
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
        let walked: Result<(), ()> = combination.band(above, upto, &mut |outer, _, last| {
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
                    let upto = band_end(|| std::iter::once(&combination), above, left, 20);
                    let band = points(&combination, above, upto);
                    // The 20th point ends the band, together with its ties, or some point shortly before.
                    let closer = |places: &&Vec<u32>| combination.distance(places) < upto;
                    let n_closer = band.iter().filter(closer).count();
                    assert!(
                        15 <= band.len() && n_closer < 20
                            || left <= 30 && band.len() as u64 == left
                    );
                    for places in &band {
                        let distance = combination.distance(places);
                        assert!(above < distance && distance <= upto);
                    }
                    let nearest = band.iter().map(|places| combination.distance(places));
                    let nearest = nearest.fold(f64::INFINITY, f64::min);
                    assert_eq!(combination.least(above, f64::INFINITY), nearest);
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
