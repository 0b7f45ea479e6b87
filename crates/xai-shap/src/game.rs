//! The game of one instance: what a coalition of features is worth.

use ndarray::{Array1, Array2, ArrayView2};
use xai_core::{Predictor, Result, Row, Run, same_shape};

use crate::background::{Background, canonical_bits};
use crate::coalitions::{Coalitions, members};

/// Rows planned before the model is asked for them: the memory of an evaluation, whatever its size.
/// Equal rows within one plan are evaluated once.
const PLAN: usize = 1 << 18;

/// The instance against the background. Players are the groups in which it differs from some background row.
pub(crate) struct Game<'a> {
    background: &'a Background,
    x: Vec<f64>,
    /// The groups that play, as indices into the background's groups.
    pub(crate) players: Vec<usize>,
    /// For each background row, the players in which it differs from the instance.
    differing: Coalitions,
    /// For each background row, whether it turns into the instance when all players join: not when a column that is
    /// in no group differs.
    reaches: Vec<bool>,
    /// For each background row and player, the number of the row's value among the background's values.
    values: Array2<u32>,
}

impl<'a> Game<'a> {
    pub(crate) fn new(background: &'a Background, x: &Row) -> Self {
        let same = |a: f64, b: f64| canonical_bits(a) == canonical_bits(b);
        let rows = background.rows.view();
        let differs = |row: usize, column: usize| !same(rows[[row, column]], x[column]);
        let plays = |group: &Vec<usize>| {
            group.iter().any(|&c| (0..rows.nrows()).any(|row| differs(row, c)))
        };
        let players: Vec<usize> = (0..background.groups.len())
            .filter(|&group| plays(&background.groups[group]))
            .collect();
        let mut differing = Coalitions::new(players.len());
        let mut reaches = Vec::new();
        for row in 0..rows.nrows() {
            let in_row = |player: &usize| {
                background.groups[players[*player]].iter().any(|&c| differs(row, c))
            };
            differing.push((0..players.len()).filter(in_row));
            let joined = |column: &usize| {
                players.iter().any(|&group| background.groups[group].contains(column))
            };
            reaches.push(
                (0..x.len()).filter(|column| !joined(column)).all(|column| !differs(row, column)),
            );
        }
        let values = numbered(rows, &players, &background.groups);
        Game { background, x: x.to_vec(), players, differing, reaches, values }
    }

    /// The mean outputs of all `2^M` coalitions of `M` players, shape `(2^M, n_outputs)`; row `k` is the coalition of
    /// the bits of `k`. `at_x` are the outputs at the instance.
    ///
    /// # Cost
    /// At most `2^d - 1` queries for a background row that differs from the instance in `d` players: coalitions that
    /// differ in the other players alone give the same row.
    pub(crate) fn all(
        &self,
        model: &dyn Predictor,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
    ) -> Result<Array2<f64>> {
        let coalitions = Coalitions::all(self.players.len());
        let everyone = coalitions.len() - 1;
        let mut means = Array2::zeros((coalitions.len(), at_x.len()));
        self.evaluate(
            model,
            &coalitions,
            at_x,
            run,
            |row| subsets(word(&self.differing, row)).collect(),
            |row, slots, answers| {
                let differing = word(&self.differing, row);
                let others = everyone & !differing;
                for (subset, &slot) in subsets(differing).zip(slots) {
                    for joined in subsets(others) {
                        add(
                            &mut means,
                            subset | joined,
                            self.background.weights[row],
                            answers.of(slot),
                        );
                    }
                }
            },
        )?;
        Ok(means)
    }

    /// The mean outputs of the given coalitions, shape `(coalitions.len(), n_outputs)`.
    ///
    /// # Cost
    /// At most `coalitions.len()` queries per background row; rows that coincide are asked for once.
    pub(crate) fn means(
        &self,
        model: &dyn Predictor,
        coalitions: &Coalitions,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
    ) -> Result<Array2<f64>> {
        let mut means = Array2::zeros((coalitions.len(), at_x.len()));
        self.evaluate(
            model,
            coalitions,
            at_x,
            run,
            |_| (0..coalitions.len()).collect(),
            |row, slots, answers| {
                for (coalition, &slot) in slots.iter().enumerate() {
                    add(&mut means, coalition, self.background.weights[row], answers.of(slot));
                }
            },
        )?;
        Ok(means)
    }

    /// The most rows that [`all`](Self::all) asks for.
    pub(crate) fn cost_of_all(&self) -> u64 {
        let cost = |row: usize| {
            let subsets = 1_u64 << members(self.differing.get(row)).count();
            if self.reaches[row] { subsets - 1 } else { subsets }
        };
        (0..self.background.rows.nrows()).map(cost).sum()
    }

    pub(crate) fn n_background(&self) -> usize {
        self.background.rows.nrows()
    }

    /// Walks the background in blocks of a bounded plan. For each of its rows `wanted` lists the coalitions to
    /// evaluate, and `take` gets the slots of these and the value of a slot, row by row in order.
    fn evaluate(
        &self,
        model: &dyn Predictor,
        coalitions: &Coalitions,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
        wanted: impl Fn(usize) -> Vec<usize>,
        mut take: impl FnMut(usize, &[u32], &Answers),
    ) -> Result<()> {
        let mut next = 0;
        let keys = Keys::new(self);
        while next < self.n_background() {
            let mut plan = Plan::default();
            let mut slots: Vec<(usize, Vec<u32>)> = Vec::new();
            while next < self.n_background() && (slots.is_empty() || plan.asked < PLAN) {
                let row_slots = wanted(next).into_iter().map(|coalition| {
                    plan.asked += 1;
                    self.slot(&mut plan, &keys, next, coalition, coalitions)
                });
                slots.push((next, row_slots.collect()));
                next += 1;
            }
            let n_outputs = at_x.len();
            let mut outputs = Vec::with_capacity((plan.rows.len() + 1) * n_outputs);
            run.stream(
                model,
                (plan.rows.len(), self.x.len()),
                |first, block| {
                    for (offset, mut row) in block.rows_mut().into_iter().enumerate() {
                        let (background_row, coalition) = plan.rows[first + offset];
                        let row = row.as_slice_mut().expect("rows of a batch are contiguous");
                        self.write(
                            background_row as usize,
                            coalitions.get(coalition as usize),
                            row,
                        );
                    }
                },
                |_, block| {
                    same_shape("the model's output", &[block.nrows(), n_outputs], block.shape())?;
                    outputs.extend(block.iter());
                    Ok(())
                },
            )?;
            outputs.extend(at_x);
            let answers = Answers { outputs, n_outputs };
            for (row, slots) in &slots {
                take(*row, slots, &answers);
            }
        }
        Ok(())
    }

    /// The slot of a row of the background with a coalition's columns from the instance.
    fn slot(
        &self,
        plan: &mut Plan,
        keys: &Keys,
        row: usize,
        coalition: usize,
        coalitions: &Coalitions,
    ) -> u32 {
        let differing = self.differing.get(row);
        let absent = |word: usize| differing[word] & !coalitions.get(coalition)[word];
        if self.reaches[row] && (0..differing.len()).all(|word| absent(word) == 0) {
            return AT_X;
        }
        let key = (0..differing.len())
            .fold(0_u128, |key, word| keys.sum(self, key, row, word, absent(word)));
        let same = |&(other, its): &(u32, u32)| {
            self.same_row(
                (row, coalitions.get(coalition)),
                (other as usize, coalitions.get(its as usize)),
            )
        };
        plan.slot(key, (narrow(row), narrow(coalition)), same)
    }

    /// Whether two background rows are equal once each has its coalition's columns from the instance.
    fn same_row(&self, a: (usize, &[u64]), b: (usize, &[u64])) -> bool {
        let rows = &self.background.rows;
        let value = |(row, coalition): (usize, &[u64]), player: usize| {
            let joined = crate::coalitions::contains(coalition, player);
            let differs = crate::coalitions::contains(self.differing.get(row), player);
            (differs && !joined).then(|| self.values[[row, player]])
        };
        let in_groups = (0..self.players.len()).all(|player| value(a, player) == value(b, player));
        // Columns in no playing group stay as they are in the background.
        let rest = || {
            rows.row(a.0).iter().zip(rows.row(b.0)).enumerate().all(|(column, (one, other))| {
                canonical_bits(*one) == canonical_bits(*other)
                    || self
                        .players
                        .iter()
                        .any(|&group| self.background.groups[group].contains(&column))
            })
        };
        in_groups && (a.0 == b.0 || self.reaches[a.0] && self.reaches[b.0] || rest())
    }

    /// Writes a background row with a coalition's columns from the instance.
    fn write(&self, background_row: usize, coalition: &[u64], row: &mut [f64]) {
        let source = self.background.rows.row(background_row);
        row.copy_from_slice(source.as_slice().expect("the background is contiguous"));
        for player in members(coalition) {
            for &column in &self.background.groups[self.players[player]] {
                row[column] = self.x[column];
            }
        }
    }
}

/// The slot of the instance itself, whose outputs are known.
const AT_X: u32 = u32::MAX;

/// The model's outputs for the rows of a plan, one after the other, and those of the instance at the end.
struct Answers {
    outputs: Vec<f64>,
    n_outputs: usize,
}

impl Answers {
    fn of(&self, slot: u32) -> &[f64] {
        let end = self.outputs.len();
        let start =
            if slot == AT_X { end - self.n_outputs } else { slot as usize * self.n_outputs };
        &self.outputs[start..start + self.n_outputs]
    }
}

/// Rows to ask for, each once.
#[derive(Default)]
struct Plan {
    /// Background row and coalition of each row.
    rows: Vec<(u32, u32)>,
    keys: Vec<u128>,
    /// Open addressing with linear probing: 0 is free, otherwise a place in `rows` plus 1.
    table: Vec<u32>,
    /// Rows planned, equal ones counted each time.
    asked: usize,
}

impl Plan {
    /// The place of a row in `rows`, new or that of an equal one.
    fn slot(&mut self, key: u128, row: (u32, u32), same: impl Fn(&(u32, u32)) -> bool) -> u32 {
        if self.table.len() <= 2 * self.rows.len() {
            self.grow();
        }
        let mask = self.table.len() - 1;
        #[allow(clippy::cast_possible_truncation, reason = "the low bits choose the place")]
        let mut place = key as usize & mask;
        loop {
            match self.table[place] {
                0 => {
                    self.rows.push(row);
                    self.keys.push(key);
                    self.table[place] = narrow(self.rows.len());
                    return narrow(self.rows.len() - 1);
                }
                taken => {
                    let slot = taken as usize - 1;
                    if self.keys[slot] == key && same(&self.rows[slot]) {
                        return narrow(slot);
                    }
                }
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (4 * self.rows.len()).next_power_of_two().max(1024);
        self.table = vec![0; size];
        for (slot, key) in self.keys.iter().enumerate() {
            #[allow(clippy::cast_possible_truncation, reason = "the low bits choose the place")]
            let mut place = *key as usize & (size - 1);
            while self.table[place] != 0 {
                place = (place + 1) & (size - 1);
            }
            self.table[place] = narrow(slot + 1);
        }
    }
}

/// Random keys of values, whose sum tells rows apart quickly; equal keys are compared in full.
struct Keys(Array2<u128>);

impl Keys {
    fn new(game: &Game<'_>) -> Self {
        // A fixed stream: the keys choose places in a table and never reach a result.
        let mut stream = xai_core::Seed::new(0).stream();
        let n_values = game.values.iter().max().map_or(0, |&largest| largest as usize + 1);
        Keys(Array2::from_shape_simple_fn((game.players.len(), n_values), || {
            u128::from(stream.bits()) << 64 | u128::from(stream.bits())
        }))
    }

    /// Adds to `key` those of the row's own values of the players in one word.
    fn sum(&self, game: &Game<'_>, key: u128, row: usize, word: usize, absent: u64) -> u128 {
        members(&[absent]).fold(key, |key, bit| {
            let player = 64 * word + bit;
            key.wrapping_add(self.0[[player, game.values[[row, player]] as usize]])
        })
    }
}

/// Numbers the distinct values of each player over the background rows, shape `(n_rows, n_players)`.
fn numbered(rows: ArrayView2<'_, f64>, players: &[usize], groups: &[Vec<usize>]) -> Array2<u32> {
    let mut values = Array2::zeros((rows.nrows(), players.len()));
    for (player, &group) in players.iter().enumerate() {
        let mut known = std::collections::BTreeMap::new();
        for row in 0..rows.nrows() {
            let value: Vec<u64> =
                groups[group].iter().map(|&column| canonical_bits(rows[[row, column]])).collect();
            let next = narrow(known.len());
            values[[row, player]] = *known.entry(value).or_insert(next);
        }
    }
    values
}

/// All subsets of a set of bits, from the empty one up.
fn subsets(set: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(0_usize), move |&subset| {
        let next = subset.wrapping_sub(set) & set;
        (next != 0).then_some(next)
    })
}

/// The bits of a set of at most 63 players.
#[allow(clippy::cast_possible_truncation, reason = "exact games have at most 24 players")]
fn word(sets: &Coalitions, index: usize) -> usize {
    sets.get(index)[0] as usize
}

fn add(means: &mut Array2<f64>, coalition: usize, weight: f64, outputs: &[f64]) {
    for (mean, output) in means.row_mut(coalition).iter_mut().zip(outputs) {
        *mean += weight * output;
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("a plan is far smaller than 2^32")
}
