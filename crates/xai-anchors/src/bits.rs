//! Sets of row numbers as bits.

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

    /// How many numbers are in the set.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many numbers are in both sets.
    pub(crate) fn count_common(&self, other: &Bits) -> usize {
        let pairs = self.words.iter().zip(&other.words);
        pairs.map(|(a, b)| (a & b).count_ones() as usize).sum()
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

    /// Makes room for numbers below `len`.
    pub(crate) fn grow(&mut self, len: usize) {
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
    }

    /// Adds the numbers of `range`.
    pub(crate) fn insert_range(&mut self, range: std::ops::Range<usize>) {
        for index in range {
            self.insert(index);
        }
    }

    /// Puts another set behind this one.
    pub(crate) fn append(&mut self, other: &Bits) {
        let (start, shift) = (self.len / 64, self.len % 64);
        self.grow(self.len + other.len);
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

    /// How many numbers of the set stand before each word.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let count = |before: &mut u32, word: &u64| {
            let own = *before;
            *before += word.count_ones();
            Some(own)
        };
        self.words.iter().scan(0, count).collect()
    }

    /// The number with `n` numbers of the set before it, by the [`ranks`](Self::ranks).
    pub(crate) fn nth(&self, n: usize, ranks: &[u32]) -> usize {
        let index = ranks.partition_point(|&before| before as usize <= n) - 1;
        let mut word = self.words[index];
        for _ in ranks[index] as usize..n {
            word &= word - 1;
        }
        64 * index + word.trailing_zeros() as usize
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
            prop_assert_eq!(set.count_common(&other), of(&common).count());
            let negated: Vec<bool> = a.iter().map(|flag| !flag).collect();
            prop_assert_eq!(set.not(), of(&negated));
            let mut both = set.clone();
            both.append(&other);
            prop_assert_eq!(both, of(&[a.clone(), b].concat()));
            prop_assert_eq!(Bits::all(a.len()), of(&vec![true; a.len()]));
            let ranks = set.ranks();
            for (n, &number) in numbers.iter().enumerate() {
                prop_assert_eq!(set.nth(n, &ranks), number);
            }
            for (index, &flag) in a.iter().enumerate() {
                prop_assert_eq!(set.get(index), flag);
            }
        }
    }
}
