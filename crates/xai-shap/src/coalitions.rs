//! Sets of players as bits.

/// A list of coalitions of the players `0..n_players`.
#[derive(Clone, Debug)]
pub(crate) struct Coalitions {
    n_players: usize,
    words: Vec<u64>,
}

impl Coalitions {
    pub(crate) fn new(n_players: usize) -> Self {
        Coalitions { n_players, words: Vec::new() }
    }

    /// All coalitions of at most 63 players; the one at index `k` has the bits of `k`.
    pub(crate) fn all(n_players: usize) -> Self {
        Coalitions { n_players, words: (0..1 << n_players).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len() / self.stride()
    }

    pub(crate) fn n_players(&self) -> usize {
        self.n_players
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

    /// These coalitions, then others of the same players.
    pub(crate) fn followed_by(mut self, others: &Coalitions) -> Self {
        self.words.extend(&others.words);
        self
    }

    fn stride(&self) -> usize {
        self.n_players.div_ceil(64).max(1)
    }
}

pub(crate) fn contains(words: &[u64], player: usize) -> bool {
    words[player / 64] >> (player % 64) & 1 == 1
}

/// The members of a set, in ascending order.
pub(crate) fn members(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(index, &word)| {
        let rest = std::iter::successors(Some(word), |&word| Some(word & word.wrapping_sub(1)));
        rest.take_while(|&word| word != 0)
            .map(move |word| 64 * index + word.trailing_zeros() as usize)
    })
}
