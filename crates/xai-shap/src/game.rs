//! The game of one instance: what a coalition of features is worth.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use xai_core::{Predictor, Result, Row, Rows, Run, same_shape};

use crate::background::Background;
use crate::coalitions::{Coalitions, contains, members};
use crate::plan::{Keys, Mixed, Plan};

/// Rows planned before the model is asked for them: the memory of an evaluation, whatever its size.
/// Equal rows within one plan are asked for once.
const PLANNED: usize = 1 << 18;

/// The instance against the background. Players are the groups in which it differs from some background row.
pub(crate) struct Game<'a> {
    background: &'a Background,
    x: Vec<f64>,
    /// The groups that play, as indices into the background's groups.
    pub(crate) players: Vec<usize>,
    /// For each background row, the players in which it differs from the instance.
    differing: Coalitions,
    /// For each background row, the players whose values no other row has: with one of them absent it equals no other.
    unique: Coalitions,
    /// For each background row, whether it turns into the instance when all players join: not when a column that is
    /// in no group differs.
    reaches: Vec<bool>,
}

impl<'a> Game<'a> {
    pub(crate) fn new(background: &'a Background, x: &Row) -> Self {
        let rows = &background.rows;
        let n_groups = background.groups.len();
        // Over all groups first, as it takes all rows to know the players.
        let mut differs = Coalitions::new(n_groups);
        let mut reaches = Vec::new();
        let mut rows_that_differ = vec![0_usize; n_groups];
        for row in 0..rows.n_rows() {
            let columns = rows.differing_columns(row, x);
            let groups = || columns.iter().map(|&column| background.group_of[column]);
            differs.push(groups().flatten());
            reaches.push(groups().all(|group| group.is_some()));
            members(differs.get(row)).for_each(|group| rows_that_differ[group] += 1);
        }
        let plays = |group: &usize| 0 < rows_that_differ[*group];
        let mut players: Vec<usize> = (0..n_groups).filter(plays).collect();
        // Those that differ in most rows come first: neighbours in the order of coalitions then have neighbouring
        // patterns, which add up fast.
        players.sort_by_key(|&group| std::cmp::Reverse(rows_that_differ[group]));
        let (mut differing, mut unique) =
            (Coalitions::new(players.len()), Coalitions::new(players.len()));
        for row in 0..rows.n_rows() {
            let groups = || players.iter().enumerate();
            let differs = groups().filter(|&(_, &group)| contains(differs.get(row), group));
            differing.push(differs.map(|(player, _)| player));
            let is_unique = groups().filter(|&(_, &group)| background.is_unique(row, group));
            unique.push(is_unique.map(|(player, _)| player));
        }
        Game { background, x: x.to_vec(), reaches, players, differing, unique }
    }

    /// The mean outputs of coalitions, shape `(n_outputs, coalitions.len())`; `at_x` are the outputs at the instance.
    ///
    /// # Cost
    /// For a background row that differs from the instance in `d` players at most `2^d` queries and at most
    /// `coalitions.len()`: coalitions that differ in the other players alone give the same row. Rows that coincide
    /// are asked for once, and the instance not at all.
    pub(crate) fn means(
        &self,
        model: &dyn Predictor,
        coalitions: &Coalitions,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
    ) -> Result<Array2<f64>> {
        let n_outputs = at_x.len();
        let mut means = Array2::zeros((n_outputs, coalitions.len()));
        let values = self.values();
        let keys = Keys::new(&values);
        let mut next = 0;
        while next < self.n_background() {
            let mut plan = Plan::new(&values, self.differing.stride());
            let mut slots = Vec::new();
            let mut planned = 0;
            let first = next;
            while next < self.n_background() && (planned == 0 || planned < PLANNED) {
                slots.push(self.plan(next, coalitions, &keys, &mut plan));
                planned += slots[slots.len() - 1].len();
                next += 1;
            }
            let answers = self.ask(model, &plan, at_x, run)?;
            for (mut means, answers) in means.rows_mut().into_iter().zip(&answers) {
                // Rows that differ from the instance in the same players have the same patterns.
                let mut terms: BTreeMap<&[u64], Vec<f64>> = BTreeMap::new();
                for (row, slots) in (first..next).zip(&slots) {
                    let terms = terms
                        .entry(self.differing.get(row))
                        .or_insert_with(|| vec![0.0; slots.len()]);
                    for (term, &slot) in terms.iter_mut().zip(slots) {
                        *term += self.background.weights[row] * answers[slot as usize];
                    }
                }
                for (differing, terms) in &terms {
                    let (patterns, run) =
                        (coalitions.patterns(differing), coalitions.run_of_patterns(differing));
                    add(means.as_slice_mut().expect("standard layout"), terms, &patterns, run);
                }
            }
        }
        Ok(means)
    }

    /// The most rows that [`means`](Self::means) of all coalitions asks for; the largest number where they are more.
    pub(crate) fn cost_of_all(&self) -> u64 {
        let cost = |row: usize| {
            let players = members(self.differing.get(row)).count();
            let subsets =
                u32::try_from(players).ok().and_then(|players| 1_u64.checked_shl(players));
            subsets.map_or(u64::MAX, |subsets| subsets - u64::from(self.reaches[row]))
        };
        (0..self.n_background()).map(cost).fold(0, u64::saturating_add)
    }

    /// Whether every background row turns into the instance when all players join.
    pub(crate) fn reaches_instance(&self) -> bool {
        self.reaches.iter().all(|&reaches| reaches)
    }

    pub(crate) fn n_background(&self) -> usize {
        self.background.rows.n_rows()
    }

    /// The slots of a background row's patterns of coalitions; slot 0 is the instance itself.
    fn plan(
        &self,
        row: usize,
        coalitions: &Coalitions,
        keys: &Keys,
        plan: &mut Plan<'_>,
    ) -> Vec<u32> {
        let (differing, unique) = (self.differing.get(row), self.unique.get(row));
        let distinct = coalitions.distinct_patterns(differing);
        // All at once where the patterns are all subsets; one by one otherwise.
        let listed = coalitions.patterns_are_subsets(differing);
        let of_subsets =
            if listed { keys.of_subsets(row, differing, plan.values()) } else { Vec::new() };
        let mut absent = vec![0; differing.len()];
        let mut slots = vec![0; coalitions.n_patterns(differing)];
        coalitions.each_pattern(differing, |pattern, coalition| {
            let (mut any, mut alone) = (0, 0);
            for (word, joined) in coalitions.get(coalition).iter().enumerate() {
                absent[word] = differing[word] & !joined;
                any |= absent[word];
                alone |= absent[word] & unique[word];
            }
            if any == 0 && self.reaches[row] {
                return;
            }
            let mixed = Mixed { background_row: row, absent: &absent };
            slots[pattern] = 1 + if distinct && alone != 0 {
                plan.push(mixed)
            } else {
                let key = of_subsets.get(pattern).copied();
                plan.slot(mixed, key.unwrap_or_else(|| keys.of(mixed, plan.values())))
            };
        });
        slots
    }

    /// The answers by output and slot.
    fn ask(
        &self,
        model: &dyn Predictor,
        plan: &Plan<'_>,
        at_x: &Array1<f64>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Vec<f64>>> {
        let mut answers: Vec<Vec<f64>> = at_x.iter().map(|&output| vec![output]).collect();
        run.stream(
            model,
            (plan.len(), self.x.len()),
            |first, block| self.write(plan, first, block),
            |_, outputs| {
                same_shape("the model's output", &[outputs.nrows(), at_x.len()], outputs.shape())?;
                for (answers, outputs) in answers.iter_mut().zip(outputs.columns()) {
                    answers.extend(outputs);
                }
                Ok(())
            },
        )?;
        Ok(answers)
    }

    /// Writes rows `first..` of the plan: the background's, with the columns of the players that joined from the
    /// instance.
    fn write(&self, plan: &Plan<'_>, first: usize, block: &mut Rows) {
        let width = self.x.len();
        let rows = block.as_slice_mut().expect("a batch is contiguous");
        for (offset, row) in rows.chunks_exact_mut(width).enumerate() {
            let Mixed { background_row, absent } = plan.get(first + offset);
            self.background.rows.copy_row_into(background_row, row);
            let differing = self.differing.get(background_row);
            for (word, (differing, absent)) in differing.iter().zip(absent).enumerate() {
                for bit in members(&[differing & !absent]) {
                    for &column in &self.background.groups[self.players[64 * word + bit]] {
                        row[column] = self.x[column];
                    }
                }
            }
        }
    }

    /// The numbers of the background's values, by row and player, and those of the columns in no group at the end.
    fn values(&self) -> Array2<u32> {
        let n_players = self.players.len();
        Array2::from_shape_fn((self.n_background(), n_players + 1), |(row, place)| {
            match self.players.get(place) {
                Some(&group) => self.background.value(row, group),
                None => self.background.value_in_no_group(row),
            }
        })
    }
}

/// Adds to each coalition's mean the term of its pattern; patterns follow one another in runs of `run`.
///
/// Terms are added in the same order for every coalition, so that a player that never changes the output
/// never changes a mean, not even by a rounding.
fn add(means: &mut [f64], terms: &[f64], patterns: &[u32], run: usize) {
    // Shorter runs are not worth their bookkeeping.
    if run < 4 {
        for (mean, &pattern) in means.iter_mut().zip(patterns) {
            *mean += terms[pattern as usize];
        }
        return;
    }
    for (means, patterns) in means.chunks_mut(run).zip(patterns.chunks(run)) {
        let first = patterns[0] as usize;
        for (mean, term) in means.iter_mut().zip(&terms[first..]) {
            *mean += term;
        }
    }
}
