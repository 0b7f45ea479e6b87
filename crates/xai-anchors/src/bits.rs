//! Sets of row numbers as bits.

use std::ops::Range;

/// A set of numbers below `len`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// No number below `len`.
    pub(crate) fn none(len: usize) -> Self {
        Bits { words: vec![0; len.div_ceil(64)], len }
    }

    /// Every number below `len`.
    pub(crate) fn all(len: usize) -> Self {
        let mut bits = Bits { words: vec![!0; len.div_ceil(64)], len };
        bits.trim();
        bits
    }

    /// The numbers below `len` that `f` accepts.
    pub(crate) fn from_fn(len: usize, mut f: impl FnMut(usize) -> bool) -> Self {
        let mut bits = Bits::none(len);
        for (index, word) in bits.words.iter_mut().enumerate() {
            for place in 0..64.min(len - 64 * index) {
                *word |= u64::from(f(64 * index + place)) << place;
            }
        }
        bits
    }

    /// The numbers that may be in the set are those below this.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    pub(crate) fn insert(&mut self, index: usize) {
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// Takes a number out of the set.
    #[cfg(feature = "text")]
    pub(crate) fn remove(&mut self, index: usize) {
        self.words[index / 64] &= !(1 << (index % 64));
    }

    /// How many numbers are in the set.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many numbers are in both sets.
    pub(crate) fn count_common(&self, other: &Bits) -> usize {
        let pairs = self.words.iter().zip(&other.words);
        pairs.map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// How many numbers are also in a second set, and how many of these in a third.
    pub(crate) fn count_common_twice(&self, second: &Bits, third: &Bits) -> (usize, usize) {
        let words = self.words.iter().zip(&second.words).zip(&third.words);
        words.fold((0, 0), |(both, all), ((a, b), c)| {
            let common = a & b;
            (both + common.count_ones() as usize, all + (common & c).count_ones() as usize)
        })
    }

    /// The numbers in both sets; a shorter one holds no number beyond its end.
    pub(crate) fn and(&self, other: &Bits) -> Bits {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect();
        let mut common = Bits { words, len: self.len.min(other.len) };
        common.trim();
        common
    }

    /// The numbers below `len` that are not in the set.
    pub(crate) fn not(&self) -> Bits {
        let mut bits = Bits { words: self.words.iter().map(|word| !word).collect(), len: self.len };
        bits.trim();
        bits
    }

    /// Keeps the numbers that are also in another set of the same length.
    pub(crate) fn retain(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Changes which numbers may be in the set: those below `len`.
    pub(crate) fn resize(&mut self, len: usize) {
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
        self.trim();
    }

    /// Adds the numbers of `range`.
    pub(crate) fn insert_range(&mut self, range: Range<usize>) {
        for index in range {
            self.insert(index);
        }
    }

    /// Adds the numbers of another set, each `offset` larger.
    pub(crate) fn insert_shifted(&mut self, other: &Bits, offset: usize) {
        let (start, shift) = (offset / 64, offset % 64);
        self.resize(self.len.max(offset + other.len));
        for (index, &word) in other.words.iter().enumerate() {
            self.words[start + index] |= word << shift;
            if 0 < shift && start + index + 1 < self.words.len() {
                self.words[start + index + 1] |= word >> (64 - shift);
            }
        }
    }

    /// The numbers in the set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors((word != 0).then_some(word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| 64 * index + rest.trailing_zeros() as usize)
        })
    }

    /// How many numbers of the set stand before each word, and how many there are.
    pub(crate) fn ranks(&self) -> (Vec<u32>, usize) {
        let mut count = 0;
        let before = |word: &u64| {
            let before = count;
            count += word.count_ones();
            before
        };
        let ranks = self.words.iter().map(before).collect();
        (ranks, count as usize)
    }

    /// The number with `n` numbers of the set before it, by its [`ranks`](Self::ranks), `count` in all; `n` is below
    /// `count`.
    pub(crate) fn nth(&self, n: usize, ranks: &[u32], count: usize) -> usize {
        let is_before = |index: &usize| (ranks[*index] as usize) <= n;
        // Sets of rows in no order are spread evenly: the word is near where it would be if they were quite even.
        let guess = n * ranks.len() / count.max(1);
        let (mut low, mut high, mut step) = (guess, guess + 1, 1);
        while 0 < low && !is_before(&low) {
            (low, high, step) = (low.saturating_sub(step), low, 2 * step);
        }
        while high < ranks.len() && is_before(&high) {
            (low, high, step) = (high, (high + step).min(ranks.len()), 2 * step);
        }
        let index = low + ranks[low..high].partition_point(|&before| before as usize <= n) - 1;
        let mut left = n - ranks[index] as usize;
        // Halvings: what is wanted is in the lower part unless that holds too few.
        let (mut word, mut place) = (self.words[index], 64 * index);
        for half in [32, 16, 8, 4, 2, 1] {
            let low = word & ((1 << half) - 1);
            let count = low.count_ones() as usize;
            let is_above = count <= left;
            left -= if is_above { count } else { 0 };
            place += if is_above { half } else { 0 };
            word = if is_above { word >> half } else { low };
        }
        place
    }

    /// Clears what lies beyond the end.
    fn trim(&mut self) {
        self.words.truncate(self.len.div_ceil(64));
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << rest) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Bits;

    fn of(flags: &[bool]) -> Bits {
        Bits::from_fn(flags.len(), |index| flags[index])
    }

    proptest! {
        /// Each operation on words is the one on lists of booleans.
        #[test]
        fn words_are_lists_of_booleans(
            a in prop::collection::vec(any::<bool>(), 0..200),
            b in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let (set, other) = (of(&a), of(&b));
            let numbers: Vec<usize> = (0..a.len()).filter(|&index| a[index]).collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), numbers.clone());
            prop_assert_eq!(set.count(), numbers.len());
            let common: Vec<bool> = a.iter().zip(&b).map(|(a, b)| *a && *b).collect();
            prop_assert_eq!(set.and(&other), of(&common));
            let mut kept = set.clone();
            kept.retain(&of(&b.iter().copied().chain([false; 200]).take(a.len()).collect::<Vec<_>>()));
            prop_assert_eq!(kept.count(), of(&common).count());
            prop_assert_eq!(set.count_common(&other), of(&common).count());
            let (both, all) = set.count_common_twice(&other, &set);
            prop_assert_eq!((both, all), (of(&common).count(), of(&common).count()));
            let negated: Vec<bool> = a.iter().map(|flag| !flag).collect();
            prop_assert_eq!(set.not(), of(&negated));
            let mut appended = set.clone();
            appended.insert_shifted(&other, a.len());
            prop_assert_eq!(&appended, &of(&[a.clone(), b.clone()].concat()));
            // The order of insertions is nothing, and the gap between them is empty.
            let mut gap = Bits::none(0);
            gap.insert_shifted(&other, a.len());
            gap.insert_shifted(&set, 0);
            prop_assert_eq!(gap, appended);
            prop_assert_eq!(Bits::all(a.len()), of(&vec![true; a.len()]));
            let (ranks, count) = set.ranks();
            prop_assert_eq!(count, numbers.len());
            for (n, &number) in numbers.iter().enumerate() {
                prop_assert_eq!(set.nth(n, &ranks, count), number);
            }
            for (index, &flag) in a.iter().enumerate() {
                prop_assert_eq!(set.get(index), flag);
            }
        }
    }
}
