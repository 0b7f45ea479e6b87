//! Rows to ask the model for, each once.

use ndarray::Array2;
use xai_core::Seed;

use crate::coalitions::members;

/// A row of the background with some columns from the instance: the row, and the players that are absent, whose
/// columns still differ from the instance. Two such rows are equal when the same players are absent with the same
/// values (and the columns in no group agree).
#[derive(Clone, Copy)]
pub(crate) struct Mixed<'a> {
    pub(crate) background_row: usize,
    pub(crate) absent: &'a [u64],
}

/// The rows of one plan. Equal rows get one slot.
pub(crate) struct Plan {
    /// Numbers of the values: for each background row and player, then one for the columns in no group.
    values: Array2<u32>,
    stride: usize,
    background_rows: Vec<u32>,
    absent: Vec<u64>,
    /// The rows that may equal others, by open addressing with linear probing: the upper half of an entry is that of the
    /// row's key, whose leading bits are its place, the lower half its slot plus 1. 0 is free.
    table: Vec<u64>,
    n_hashed: usize,
}

impl Plan {
    /// An empty plan; `stride` is the number of words of a set of players, `expected` the number of rows to come.
    pub(crate) fn new(values: Array2<u32>, stride: usize, expected: usize) -> Self {
        Plan {
            values,
            stride,
            background_rows: Vec::with_capacity(expected),
            absent: Vec::with_capacity(expected * stride),
            // At most half full, and a power of two.
            table: vec![0; (2 * expected).next_power_of_two().max(1024)],
            n_hashed: 0,
        }
    }

    pub(crate) fn values(&self) -> &Array2<u32> {
        &self.values
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.background_rows.clear();
        self.absent.clear();
        self.table.fill(0);
        self.n_hashed = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.background_rows.len()
    }

    pub(crate) fn get(&self, slot: usize) -> Mixed<'_> {
        Mixed {
            background_row: self.background_rows[slot] as usize,
            absent: &self.absent[slot * self.stride..][..self.stride],
        }
    }

    /// The slot of a row: a new one, or that of an equal row. `key` is that of the row.
    pub(crate) fn slot(&mut self, row: Mixed<'_>, key: u64) -> u32 {
        if self.table.len() < 2 * self.n_hashed + 2 {
            self.grow();
        }
        let mut place = self.start(key);
        while let Some(slot) = narrow_bits(self.table[place]).checked_sub(1) {
            if self.table[place] >> 32 == key >> 32 && self.same(row, self.get(slot as usize)) {
                return slot;
            }
            place = (place + 1) & (self.table.len() - 1);
        }
        let slot = self.push(row);
        self.table[place] = key >> 32 << 32 | u64::from(slot + 1);
        self.n_hashed += 1;
        slot
    }

    /// A new slot, for a row that equals no other.
    pub(crate) fn push(&mut self, row: Mixed<'_>) -> u32 {
        self.background_rows.push(narrow(row.background_row));
        self.absent.extend_from_slice(row.absent);
        narrow(self.len() - 1)
    }

    fn same(&self, a: Mixed<'_>, b: Mixed<'_>) -> bool {
        let (of_a, of_b) = (numbers(&self.values, a), numbers(&self.values, b));
        let same = |place: usize| of_a[place] == of_b[place];
        a.absent == b.absent && same(of_a.len() - 1) && members(a.absent).all(same)
    }

    fn grow(&mut self) {
        let larger = vec![0; 4 * self.table.len()];
        let entries = std::mem::replace(&mut self.table, larger);
        for entry in entries.into_iter().filter(|&entry| entry != 0) {
            let mut place = self.start(entry);
            while self.table[place] != 0 {
                place = (place + 1) & (self.table.len() - 1);
            }
            self.table[place] = entry;
        }
    }

    /// The first place of a key in the table.
    fn start(&self, key: u64) -> usize {
        let bits = self.table.len().trailing_zeros();
        usize::try_from(key >> (u64::BITS - bits)).expect("fewer bits than a place has")
    }
}

/// Random numbers of values, whose sum differs for most rows; equal sums are compared in full.
pub(crate) struct Keys(Array2<u64>);

impl Keys {
    /// A key for each place and value in `values`.
    pub(crate) fn new(values: &Array2<u32>) -> Self {
        // A fixed stream: the keys choose places in a table and never reach a result.
        let mut stream = Seed::new(0).stream();
        let n_values = values.iter().max().map_or(0, |&largest| largest as usize + 1);
        Keys(Array2::from_shape_simple_fn((values.ncols(), n_values), || stream.bits()))
    }

    /// The keys of a background row's values.
    pub(crate) fn of_values(&self, row: usize, values: &Array2<u32>) -> OwnKeys {
        let key = |(place, &number): (usize, &u32)| self.0[[place, number as usize]];
        OwnKeys(values.row(row).iter().enumerate().map(key).collect())
    }
}

/// The keys of one background row's values, by place.
pub(crate) struct OwnKeys(Vec<u64>);

impl OwnKeys {
    /// The key of the row with these players absent.
    pub(crate) fn of(&self, absent: &[u64]) -> u64 {
        let rest = self.0[self.0.len() - 1];
        members(absent).fold(rest, |sum, player| sum.wrapping_add(self.0[player]))
    }

    /// The keys with each subset of the players `differing` joined, in ascending order.
    pub(crate) fn of_subsets(&self, differing: &[u64]) -> Vec<u64> {
        let mut keys = vec![self.of(differing)];
        for player in members(differing) {
            keys.extend_from_within(..);
            let half = keys.len() / 2;
            keys[half..].iter_mut().for_each(|key| *key = key.wrapping_sub(self.0[player]));
        }
        keys
    }
}

/// The numbers of a background row's values.
fn numbers<'v>(values: &'v Array2<u32>, row: Mixed<'_>) -> &'v [u32] {
    let width = values.ncols();
    &values.as_slice().expect("standard layout")[row.background_row * width..][..width]
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is asked for")]
fn narrow_bits(entry: u64) -> u32 {
    entry as u32
}

pub(crate) fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("a plan is far smaller than 2^32")
}
