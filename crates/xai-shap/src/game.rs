//! The game of one instance: what a coalition of features is worth.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use xai_core::{Result, Row, Rows, same_shape};

use crate::background::Background;
use crate::coalitions::{Coalitions, contains, members};
use crate::exact::{self, SubsetWeights};
use crate::plan::{Keys, Mixed, Plan, narrow};

/// Rows that are remembered with their answers: the memory of a game, whatever its size.
/// Equal rows are asked for once while they are remembered.
pub(crate) const REMEMBERED: usize = 1 << 18;

/// The instance against the background. Players are the groups in which it differs from some background row.
pub(crate) struct Game<'a> {
    background: &'a Background,
    x: Vec<f64>,
    /// The columns that have the instance's values in every row.
    fixed: Vec<usize>,
    /// The groups that play, as indices into the background's groups.
    pub(crate) players: Vec<usize>,
    /// For each background row, the players in which it differs from the instance.
    differing: Coalitions,
    /// For each background row, the players whose values no other row has: with one of them absent it equals no other.
    unique: Coalitions,
    /// For each background row, whether it turns into the instance when all players join: not when a column that is
    /// in no group differs.
    reaches: Vec<bool>,
    /// Whether rows with the same values of players and of the columns in no group are equal.
    alike: bool,
}

impl<'a> Game<'a> {
    /// The groups in `fixed` have the instance's values throughout and do not play. A group whose columns are all
    /// `also_equal` to the background's does not play either, and keeps the background's values.
    pub(crate) fn new(
        background: &'a Background,
        x: &Row,
        fixed: &[usize],
        also_equal: Option<fn(f64, f64) -> bool>,
    ) -> Self {
        let rows = &background.rows;
        let n_groups = background.groups.len();
        let mut is_fixed = vec![false; n_groups];
        fixed.iter().for_each(|&group| is_fixed[group] = true);
        // Over all groups first, as it takes all rows to know the players.
        let mut differs = Coalitions::new(n_groups);
        let mut rows_that_differ = vec![0_usize; n_groups];
        let mut far = vec![also_equal.is_none(); n_groups];
        let mut outside = Vec::new();
        let mut background_row = vec![0.0; x.len()];
        for row in 0..rows.n_rows() {
            let columns = rows.differing_columns(row, x);
            let group = |column: &usize| background.group_of[*column];
            let free = |&group: &usize| !is_fixed[group];
            differs.push(columns.iter().filter_map(group).filter(free));
            members(differs.get(row)).for_each(|group| rows_that_differ[group] += 1);
            outside.push(columns.iter().any(|column| group(column).is_none()));
            if let Some(also_equal) = also_equal {
                rows.copy_row_into(row, &mut background_row);
                let differs = |&&column: &&usize| !also_equal(x[column], background_row[column]);
                let apart = columns.iter().filter(differs);
                apart.filter_map(group).for_each(|group| far[group] = true);
            }
        }
        let plays = |group: &usize| 0 < rows_that_differ[*group] && far[*group];
        let mut players: Vec<usize> = (0..n_groups).filter(plays).collect();
        // Those that differ in most rows come first: neighbours in the order of coalitions then have neighbouring
        // patterns, which add up fast.
        players.sort_by_key(|&group| std::cmp::Reverse(rows_that_differ[group]));
        let reaches = (0..rows.n_rows())
            .map(|row| !outside[row] && members(differs.get(row)).all(|group| far[group]))
            .collect();
        let (mut differing, mut unique) =
            (Coalitions::new(players.len()), Coalitions::new(players.len()));
        for row in 0..rows.n_rows() {
            let groups = || players.iter().enumerate();
            let differs = groups().filter(|&(_, &group)| contains(differs.get(row), group));
            differing.push(differs.map(|(player, _)| player));
            let is_unique = groups().filter(|&(_, &group)| background.is_unique(row, group));
            unique.push(is_unique.map(|(player, _)| player));
        }
        Game {
            background,
            x: x.to_vec(),
            fixed: fixed.iter().flat_map(|&group| background.groups[group].clone()).collect(),
            players,
            differing,
            unique,
            reaches,
            // Columns that count as equal to the instance's keep the values of the background row.
            alike: also_equal.is_none(),
        }
    }

    /// The most rows that all coalitions need, besides the instance; the largest number where they are more.
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

    /// The parts of the background from which its error is estimated.
    pub(crate) fn n_parts(&self) -> usize {
        self.background.n_parts()
    }

    /// The weight of one of `n_parts` parts.
    pub(crate) fn part_weight(&self, part: usize, n_parts: usize) -> f64 {
        let in_part = |row: &usize| self.background.part(*row, n_parts) == part;
        (0..self.n_background()).filter(in_part).map(|row| self.background.weights[row]).sum()
    }

    /// The slots of a background row's patterns of coalitions; slot 0 is the instance itself.
    fn plan(
        &self,
        row: usize,
        coalitions: &Coalitions,
        others: Others,
        memory: &mut Memory,
    ) -> Vec<u32> {
        let differing = self.differing.get(row);
        // Then different patterns give different rows, and those with a value that no other row has need no search.
        let distinct = match others {
            Others::None => coalitions.distinct_patterns(differing),
            Others::Different => members(differing).count() == self.players.len(),
            Others::Any => false,
        };
        // All keys at once where the patterns are all subsets; one by one otherwise.
        let listed = coalitions.patterns_are_subsets(differing);
        let row_keys = memory.keys.of_values(row, memory.plan.values());
        let of_subsets = if listed { row_keys.of_subsets(differing) } else { Vec::new() };
        let shared = if listed && distinct { self.shared(row, memory) } else { None };
        let mut absent = vec![0; differing.len()];
        let mut slots = vec![0; coalitions.n_patterns(differing)];
        coalitions.each_pattern(differing, |pattern, coalition| {
            for (word, joined) in coalitions.get(coalition).iter().enumerate() {
                absent[word] = differing[word] & !joined;
            }
            let key = || of_subsets.get(pattern).copied().unwrap_or_else(|| row_keys.of(&absent));
            let alone = match &shared {
                Some(shared) => !shared[pattern],
                None => distinct && self.is_unique(row, &absent),
            };
            slots[pattern] = self.slot(row, &absent, alone, key, memory);
        });
        slots
    }

    /// The slots of a background row with each subset of the players in which it differs joined, in ascending order.
    fn plan_subsets(&self, row: usize, others: Others, memory: &mut Memory) -> Vec<u32> {
        let differing = self.differing.get(row);
        let keys = memory.keys.of_values(row, memory.plan.values()).of_subsets(differing);
        let players: Vec<usize> = members(differing).collect();
        let mut absent = differing.to_vec();
        let distinct = others == Others::None;
        let shared = if distinct { self.shared(row, memory) } else { None };
        let mut slots = Vec::with_capacity(keys.len());
        for (subset, &key) in keys.iter().enumerate() {
            // Those who join or leave between the subset before and this one.
            for bit in members(&[(subset ^ subset.saturating_sub(1)) as u64]) {
                absent[players[bit] / 64] ^= 1 << (players[bit] % 64);
            }
            let alone = match &shared {
                Some(shared) => !shared[subset],
                None => distinct && self.is_unique(row, &absent),
            };
            slots.push(self.slot(row, &absent, alone, || key, memory));
        }
        slots
    }

    /// For each subset of the players in which a background row differs, whether the row with that subset joined may be
    /// one that another background row gives: when one agrees with it on all that are absent. `None` where it would take
    /// longer to find out than to look for each.
    fn shared(&self, row: usize, memory: &Memory) -> Option<Vec<bool>> {
        let values = memory.plan.values();
        let players: Vec<usize> = members(self.differing.get(row)).collect();
        let (row_values, in_no_group) = (values.row(row), self.players.len());
        let n_subsets = 1_usize << players.len();
        if 2 * n_subsets < self.n_background() * players.len() {
            return None;
        }
        let agreeing = |other: ndarray::ArrayView1<'_, u32>| {
            let bit = |(bit, &player): (usize, &usize)| {
                usize::from(other[player] == row_values[player]) << bit
            };
            players.iter().enumerate().map(bit).sum()
        };
        let mut agreements: Vec<usize> = (0..self.n_background())
            .filter(|&other| {
                other != row && values[[other, in_no_group]] == row_values[in_no_group]
            })
            .map(|other| agreeing(values.row(other)))
            .collect();
        agreements.sort_unstable();
        agreements.dedup();
        let marks: usize = agreements.iter().map(|set| 1 << set.count_ones()).sum();
        if 2 * n_subsets < marks {
            return None;
        }
        let mut shared = vec![false; n_subsets];
        for set in agreements {
            let mut absent = set;
            loop {
                shared[(n_subsets - 1) ^ absent] = true;
                if absent == 0 {
                    break;
                }
                absent = (absent - 1) & set;
            }
        }
        Some(shared)
    }

    /// Whether some absent player's value is one that no other background row has.
    fn is_unique(&self, row: usize, absent: &[u64]) -> bool {
        absent.iter().zip(self.unique.get(row)).any(|(absent, unique)| absent & unique != 0)
    }

    /// The slot of a background row with these players absent; `alone` means that it is planned nowhere else.
    fn slot(
        &self,
        row: usize,
        absent: &[u64],
        alone: bool,
        key: impl FnOnce() -> u64,
        memory: &mut Memory,
    ) -> u32 {
        if self.reaches[row] && absent.iter().all(|&word| word == 0) {
            return 0;
        }
        let mixed = Mixed { background_row: row, absent };
        1 + if alone { memory.plan.push(mixed) } else { memory.plan.slot(mixed, key()) }
    }

    /// Writes the rows of slots `first..`: the background's, with the columns of the players that joined from the
    /// instance.
    pub(crate) fn write(&self, memory: &Memory, first: usize, block: &mut Rows) {
        for (slot, mut row) in (first..).zip(block.rows_mut()) {
            let row = row.as_slice_mut().expect("rows of a batch are contiguous");
            let Some(planned) = slot.checked_sub(1) else {
                row.copy_from_slice(&self.x);
                continue;
            };
            let Mixed { background_row, absent } = memory.plan.get(planned);
            self.background.rows.copy_row_into(background_row, row);
            for &column in &self.fixed {
                row[column] = self.x[column];
            }
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

    /// Adds a background row's share of each player's value, and of the empty and the full coalition's.
    fn add_row(&self, row: usize, worth: &[f64], weights: &mut SubsetWeights, totals: &mut [f64]) {
        let weight = self.background.weights[row];
        let n_players = self.players.len();
        for (place, player) in members(self.differing.get(row)).enumerate() {
            totals[player] += weight * exact::value(worth, place, weights.of(worth.len()));
        }
        totals[n_players] += weight * worth[0];
        totals[n_players + 1] += weight * worth[worth.len() - 1];
    }

    /// The most players in which a background row differs from the instance.
    pub(crate) fn most_differing(&self) -> usize {
        let differing = |row: usize| members(self.differing.get(row)).count();
        (0..self.n_background()).map(differing).max().unwrap_or(0)
    }

    pub(crate) fn width(&self) -> usize {
        self.x.len()
    }

    /// The numbers of the background's values, by row and player, and those of the columns in no group at the end.
    fn values(&self) -> Array2<u32> {
        let n_players = self.players.len();
        Array2::from_shape_fn((self.n_background(), n_players + 1), |(row, place)| {
            match self.players.get(place) {
                Some(&group) => self.background.value(row, group),
                None if self.alike => self.background.value_in_no_group(row),
                None => narrow(row),
            }
        })
    }
}

/// The model's answers by output and slot.
#[derive(Default)]
pub(crate) struct Answers(Vec<Vec<f64>>);

impl Answers {
    /// The slots that have answers.
    pub(crate) fn len(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }

    pub(crate) fn n_outputs(&self) -> usize {
        self.0.len()
    }

    /// The outputs at the instance.
    pub(crate) fn of_instance(&self) -> Array1<f64> {
        self.0.iter().map(|answers| answers[0]).collect()
    }

    /// Takes the outputs of the next slots.
    pub(crate) fn take(&mut self, outputs: &Rows) -> Result<()> {
        if self.0.is_empty() {
            self.0 = vec![Vec::new(); outputs.ncols()];
        }
        same_shape("the model's output", &[outputs.nrows(), self.0.len()], outputs.shape())?;
        for (answers, outputs) in self.0.iter_mut().zip(outputs.columns()) {
            answers.extend(outputs);
        }
        Ok(())
    }
}

/// The rows that were asked for, or are about to be, and their answers: slot 0 is the instance, slot `k` row `k - 1`
/// of the plan.
pub(crate) struct Memory {
    plan: Plan,
    keys: Keys,
    pub(crate) answers: Answers,
}

impl Memory {
    pub(crate) fn new(game: &Game<'_>) -> Self {
        let values = game.values();
        let keys = Keys::new(&values);
        let expected =
            usize::try_from(game.cost_of_all()).unwrap_or(usize::MAX).min(REMEMBERED / 4);
        let plan = Plan::new(values, game.differing.stride(), expected);
        Memory { plan, keys, answers: Answers::default() }
    }

    /// The slots planned so far.
    pub(crate) fn len(&self) -> usize {
        1 + self.plan.len()
    }

    /// The slots that have answers.
    pub(crate) fn answered(&self) -> usize {
        self.answers.len()
    }

    /// Forgets all but the instance.
    fn forget(&mut self) {
        self.plan.clear();
        self.answers.0.iter_mut().for_each(|answers| answers.truncate(1));
    }
}

/// Which other coalitions are evaluated in the same game.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// None.
    None,
    /// Some, all of them different.
    Different,
    /// Some, and some of them the same.
    Any,
}

/// What is evaluated.
pub(crate) enum Aim {
    /// The mean outputs of these coalitions.
    Coalitions(Coalitions),
    /// The mean, over the background rows, of the Shapley values of the game against a single one, which has only the
    /// players in which the row differs from the instance. Where nothing stands between the outputs and their mean,
    /// these are the Shapley values of the whole game.
    RowByRow,
}

/// An evaluation on its way: background row by background row.
pub(crate) struct Evaluation {
    aim: Aim,
    others: Others,
    /// Background rows before this one are planned.
    next: usize,
    /// The slots of the last of them, whose answers are not in the totals yet.
    pending: Vec<Vec<u32>>,
}

/// Weighted sums over the background rows of each part of the background: for each part and output (the parts'
/// outputs one after the other) a number per coalition; row by row one per player, then the empty coalition's and the
/// full one's.
pub(crate) type Totals = Vec<Vec<f64>>;

impl Evaluation {
    pub(crate) fn new(aim: Aim, others: Others) -> Self {
        Evaluation { aim, others, next: 0, pending: Vec::new() }
    }

    /// The length of each of the totals.
    pub(crate) fn len(&self, game: &Game<'_>) -> usize {
        match &self.aim {
            Aim::Coalitions(coalitions) => coalitions.len(),
            Aim::RowByRow => game.players.len() + 2,
        }
    }

    /// Whether all background rows are in the totals.
    pub(crate) fn done(&self, game: &Game<'_>) -> bool {
        self.next == game.n_background() && self.pending.is_empty()
    }

    /// Plans background rows until there are enough to ask for.
    pub(crate) fn plan(&mut self, game: &Game<'_>, memory: &mut Memory) {
        if REMEMBERED < memory.len() {
            memory.forget();
        }
        while self.next < game.n_background() && memory.len() <= REMEMBERED {
            self.pending.push(match &self.aim {
                Aim::Coalitions(coalitions) => {
                    game.plan(self.next, coalitions, self.others, memory)
                }
                Aim::RowByRow => game.plan_subsets(self.next, self.others, memory),
            });
            self.next += 1;
        }
    }

    /// Adds the answers of the planned rows to the totals.
    pub(crate) fn fold(&mut self, game: &Game<'_>, memory: &Memory, totals: &mut Totals) {
        let pending = std::mem::take(&mut self.pending);
        let first = self.next - pending.len();
        let n_outputs = memory.answers.n_outputs();
        let n_parts = totals.len() / n_outputs.max(1);
        for (output, answers) in memory.answers.0.iter().enumerate() {
            let rows = (first..).zip(&pending);
            match &self.aim {
                Aim::Coalitions(coalitions) => {
                    for ((part, differing), terms) in terms(game, rows, answers, n_parts) {
                        let patterns = coalitions.patterns(differing);
                        let run = coalitions.run_of_patterns(differing);
                        add(&mut totals[part * n_outputs + output], &terms, &patterns, run);
                    }
                }
                Aim::RowByRow => {
                    let mut weights = SubsetWeights::default();
                    let mut worth = Vec::new();
                    for (row, slots) in rows {
                        worth.clear();
                        worth.extend(slots.iter().map(|&slot| answers[slot as usize]));
                        let part = game.background.part(row, n_parts);
                        let totals = &mut totals[part * n_outputs + output];
                        game.add_row(row, &worth, &mut weights, totals);
                    }
                }
            }
        }
    }
}

/// The weighted answers of the background rows by pattern, added up over the rows of a part that differ from the
/// instance in the same players: these have the same patterns.
///
/// Terms are added in the same order for every coalition, so that a player that never changes the output never
/// changes a mean, not even by a rounding.
fn terms<'g, 's>(
    game: &'g Game<'_>,
    rows: impl Iterator<Item = (usize, &'s Vec<u32>)>,
    answers: &[f64],
    n_parts: usize,
) -> BTreeMap<(usize, &'g [u64]), Vec<f64>> {
    let mut terms: BTreeMap<(usize, &[u64]), Vec<f64>> = BTreeMap::new();
    for (row, slots) in rows {
        let part = game.background.part(row, n_parts);
        let terms =
            terms.entry((part, game.differing.get(row))).or_insert_with(|| vec![0.0; slots.len()]);
        for (term, &slot) in terms.iter_mut().zip(slots) {
            *term += game.background.weights[row] * answers[slot as usize];
        }
    }
    terms
}

/// Adds to each coalition's total the term of its pattern; patterns follow one another in runs of `run`.
fn add(totals: &mut [f64], terms: &[f64], patterns: &[u32], run: usize) {
    // Shorter runs are not worth their bookkeeping.
    if run < 4 {
        for (total, &pattern) in totals.iter_mut().zip(patterns) {
            *total += terms[pattern as usize];
        }
        return;
    }
    for (totals, patterns) in totals.chunks_mut(run).zip(patterns.chunks(run)) {
        let first = patterns[0] as usize;
        for (total, term) in totals.iter_mut().zip(&terms[first..]) {
            *total += term;
        }
    }
}
