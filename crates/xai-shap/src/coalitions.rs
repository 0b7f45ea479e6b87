//! Sets of players as bits.

/// A list of coalitions of the players `0..n_players`.
#[derive(Clone, Debug)]
pub(crate) struct Coalitions {
    n_players: usize,
    words: Vec<u64>,
    /// Whether the coalition at index `k` has the bits of `k`, for all `k`.
    all: bool,
}

impl Coalitions {
    pub(crate) fn new(n_players: usize) -> Self {
        Coalitions { n_players, words: Vec::new(), all: false }
    }

    /// All coalitions of at most 31 players; the one at index `k` has the bits of `k`.
    pub(crate) fn all(n_players: usize) -> Self {
        Coalitions { n_players, words: (0..1 << n_players).collect(), all: true }
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.stride()
    }

    pub(crate) fn n_players(&self) -> usize {
        self.n_players
    }

    /// The number of words of a set of players.
    pub(crate) fn stride(&self) -> usize {
        self.n_players.div_ceil(64).max(1)
    }

    /// The bits of a coalition, player `p` in bit `p % 64` of word `p / 64`.
    pub(crate) fn get(&self, index: usize) -> &[u64] {
        &self.words[index * self.stride()..][..self.stride()]
    }

    /// Appends the coalition with these members.
    pub(crate) fn push(&mut self, members: impl IntoIterator<Item = usize>) {
        let start = self.words.len();
        self.words.resize(start + self.stride(), 0);
        for member in members {
            self.words[start + member / 64] |= 1 << (member % 64);
        }
    }

    /// Appends the complement of the last coalition.
    pub(crate) fn push_complement(&mut self) {
        let last = self.len() - 1;
        let complement: Vec<usize> =
            (0..self.n_players).filter(|&player| !contains(self.get(last), player)).collect();
        self.push(complement);
    }

    /// Appends other coalitions of the same players.
    pub(crate) fn append(&mut self, others: &Coalitions) {
        self.words.extend(&others.words);
        self.all = false;
    }

    /// The coalitions `first..end`.
    pub(crate) fn slice(&self, first: usize, end: usize) -> Self {
        let words = self.words[first * self.stride()..end * self.stride()].to_vec();
        Coalitions { n_players: self.n_players, words, all: false }
    }

    /// For each coalition the number of its pattern, which is its intersection with `set`.
    ///
    /// The patterns of a small set are all its subsets in ascending order; those of a set with more subsets than it
    /// pays to list are the coalitions one by one, although some may intersect it alike.
    pub(crate) fn patterns(&self, set: &[u64]) -> Vec<u32> {
        if !self.patterns_are_subsets(set) {
            return (0..narrow(self.len())).collect();
        }
        if self.all {
            // Twice as many with each player, who adds a bit to the pattern when in the set.
            let mut patterns = Vec::with_capacity(self.len());
            patterns.push(0);
            let mut bit = 1;
            for player in 0..self.n_players {
                let added = if contains(set, player) { bit } else { 0 };
                bit <<= usize::from(added != 0);
                patterns.extend_from_within(..);
                let half = patterns.len() / 2;
                patterns[half..].iter_mut().for_each(|pattern| *pattern |= added);
            }
            return patterns;
        }
        // Eight players at a time through a table of what they add.
        let mut bit = 1;
        let tables: Vec<[u32; 256]> =
            (0..self.n_players.div_ceil(8)).map(|byte| added(set, byte, &mut bit)).collect();
        let pattern = |coalition: &[u64]| {
            let bytes = coalition.iter().flat_map(|word| word.to_le_bytes());
            tables.iter().zip(bytes).map(|(table, byte)| table[usize::from(byte)]).sum()
        };
        self.words.chunks(self.stride()).map(pattern).collect()
    }

    /// A length such that in every run of so many coalitions (from a multiple of it on) the patterns follow one another.
    pub(crate) fn run_of_patterns(&self, set: &[u64]) -> usize {
        let leading = (set[0].trailing_ones() as usize).min(self.n_players);
        if self.all { 1 << leading } else { 1 }
    }

    /// Whether the patterns of the set are all its subsets.
    pub(crate) fn patterns_are_subsets(&self, set: &[u64]) -> bool {
        self.listed(set).is_some()
    }

    /// Whether coalitions of different patterns intersect the set differently.
    pub(crate) fn distinct_patterns(&self, set: &[u64]) -> bool {
        self.patterns_are_subsets(set) || members(set).count() == self.n_players
    }

    /// The number of patterns.
    pub(crate) fn n_patterns(&self, set: &[u64]) -> usize {
        self.listed(set).map_or(self.len(), |size| 1 << size)
    }

    /// Calls `visit` with each pattern that some coalition has, and with the first such coalition.
    pub(crate) fn each_pattern(&self, set: &[u64], mut visit: impl FnMut(usize, usize)) {
        if !self.patterns_are_subsets(set) {
            (0..self.len()).for_each(|coalition| visit(coalition, coalition));
        } else if self.all {
            subsets(set[0]).enumerate().for_each(|(pattern, subset)| visit(pattern, subset));
        } else {
            let mut seen = vec![false; self.n_patterns(set)];
            for (coalition, pattern) in self.patterns(set).into_iter().enumerate() {
                if !std::mem::replace(&mut seen[pattern as usize], true) {
                    visit(pattern as usize, coalition);
                }
            }
        }
    }

    /// The size of a set whose subsets are its patterns.
    fn listed(&self, set: &[u64]) -> Option<u32> {
        let size: u32 = set.iter().map(|word| word.count_ones()).sum();
        (size < u32::BITS && 1_usize << size <= 4 * self.len()).then_some(size)
    }
}

pub(crate) fn contains(words: &[u64], player: usize) -> bool {
    words[player / 64] >> (player % 64) & 1 == 1
}

/// What the players `8 * byte..8 * byte + 8` add to a pattern, by which of them have joined; those in the set take the
/// next bits from `bit` on.
fn added(set: &[u64], byte: usize, bit: &mut u32) -> [u32; 256] {
    let of_byte = set[byte / 8].to_le_bytes()[byte % 8];
    let mut table = [0; 256];
    for player in 0..8 {
        let player_bit = if of_byte >> player & 1 == 1 { *bit } else { 0 };
        *bit <<= u32::from(player_bit != 0);
        for joined in 0..1 << player {
            table[joined | 1 << player] = table[joined] | player_bit;
        }
    }
    table
}

/// The members of a set, in ascending order.
pub(crate) fn members(words: &[u64]) -> impl Iterator<Item = usize> {
    let mut place = 0;
    let mut rest = words.first().copied().unwrap_or(0);
    std::iter::from_fn(move || {
        while rest == 0 {
            place += 1;
            rest = *words.get(place)?;
        }
        let bit = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        Some(64 * place + bit)
    })
}

/// All subsets of a set of bits, in ascending order.
fn subsets(set: u64) -> impl Iterator<Item = usize> {
    let next = move |&subset: &u64| Some(subset.wrapping_sub(set) & set).filter(|&next| next != 0);
    std::iter::successors(Some(0), next).map(|subset| usize::try_from(subset).expect("an index"))
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 coalitions")
}
