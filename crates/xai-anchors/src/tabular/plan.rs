//! From which training rows the perturbations of one request come.
//!
//! # Source
//! Ribeiro, Singh & Guestrin 2018 leave the distribution to the implementation; this is the one of alibi's tabular
//! sampler, and every perturbation satisfies all predicates of the anchor.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use xai_core::{Row, Stream};

use super::condition::Condition;
use super::params::Sampling;
use super::perturbation::{Replacement, Source};
use super::table::{Column, Table};
use crate::bits::Bits;

/// How the perturbations of a request are made.
pub(crate) struct Plan<'a> {
    table: &'a Table,
    /// Features that no draw decides.
    fixed: Vec<(usize, Vec<f64>)>,
    /// Numeric features whose range no training row is in: numbers above the first bound and up to the second.
    uniform: Vec<(usize, f64, f64)>,
    /// Numeric features that come from training rows: the place among the anchor's features, and the rows in range.
    from_rows: Vec<(usize, usize, &'a [u32])>,
    levels: Vec<Level<'a>>,
    /// Rows that satisfy the whole anchor, where all features come from one of them.
    whole: Option<Rc<Pool<'a>>>,
}

/// Rows that satisfy some conditions, by these.
pub(crate) type Pools<'a> = BTreeMap<Vec<(usize, Condition)>, Rc<Pool<'a>>>;

/// Perturbations that draw the first features of an anchor together from one row.
struct Level<'a> {
    /// The first perturbation of this level, and the first beyond it.
    perturbations: Range<usize>,
    /// How many of the anchor's features come together.
    joint: usize,
    rows: Rc<Pool<'a>>,
    /// Whether each of the rows is taken once, in order; otherwise rows are drawn.
    once: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        source: &Source<'a>,
        conditions: &[(usize, Condition)],
        n_samples: usize,
        x: &Row,
        pools: &mut Pools<'a>,
    ) -> Self {
        let table = source.table;
        let cells_of_row =
            |feature| source.features.columns(feature).map(|column| x[column]).collect();
        let (mut fixed, mut uniform, mut from_rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = Vec::new();
        for &(feature, condition) in conditions {
            let is_known = 0 < table.n_allowed(feature, condition);
            match (&table.columns[feature], condition) {
                (Column::Numeric(numeric), Condition::Range { lower, upper }) => {
                    if is_known {
                        from_rows.push((feature, known.len(), numeric.in_range(lower, upper)));
                    } else if let Some((above, up_to)) = numeric.unseen_range(lower, upper) {
                        uniform.push((feature, above, up_to));
                    } else {
                        fixed.push((feature, cells_of_row(feature)));
                    }
                }
                _ => fixed.push((feature, cells_of_row(feature))),
            }
            if is_known {
                known.push((feature, condition));
            }
        }
        let (levels, whole) = (Vec::new(), None);
        let mut plan = Plan { table, fixed, uniform, from_rows, levels, whole };
        let whole = source.sampling == Sampling::Conditional && !known.is_empty();
        if whole || !plan.from_rows.is_empty() {
            plan.lay_out(&known, n_samples, whole, pools);
        }
        plan
    }

    /// Which perturbations take how many of the known features from one row.
    fn lay_out(
        &mut self,
        known: &[(usize, Condition)],
        n_samples: usize,
        whole: bool,
        pools: &mut Pools<'a>,
    ) {
        let mut pool = |conditions: &[(usize, Condition)]| match pools.get(conditions) {
            Some(pool) => Rc::clone(pool),
            None => {
                let pool = Rc::new(Pool::new(self.table, conditions));
                pools.insert(conditions.to_vec(), Rc::clone(&pool));
                pool
            }
        };
        let all = pool(known);
        if n_samples <= all.count() {
            if whole {
                self.whole = Some(all);
            } else {
                let perturbations = 0..n_samples;
                self.levels.push(Level {
                    perturbations,
                    joint: known.len(),
                    rows: all,
                    once: false,
                });
            }
            return;
        }
        let mut end = 0;
        for joint in (1..=known.len()).rev() {
            let rows = pool(&known[..joint]);
            let (start, n_rows) = (end, rows.count());
            if n_rows == 0 {
                continue;
            }
            end = n_samples.min(start + n_rows);
            let once = end == start + n_rows;
            self.levels.push(Level { perturbations: start..end, joint, rows, once });
            if end == n_samples {
                break;
            }
        }
    }

    /// The training rows of perturbations `first..first + n`, from a separate stream.
    ///
    /// They are the same for all anchors, unless an anchor decides over whole rows: anchors that differ only in their
    /// replacements compare more sharply, and rows that were just read are in the cache.
    pub(crate) fn bases(table: &Table, n: usize, stream: &mut Stream, bases: &mut Vec<u32>) {
        bases.extend((0..n).map(|_| table.any_row(stream)));
    }

    /// Whether a perturbation takes all its features from one row that satisfies the anchor.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Whether anything but the training row is drawn.
    pub(crate) fn draws(&self) -> bool {
        self.is_whole() || !self.uniform.is_empty() || !self.from_rows.is_empty()
    }

    /// The columns that [`draw`](Self::draw) fills.
    pub(crate) fn empty(&self, n_samples: usize) -> Vec<(usize, Replacement)> {
        let room = || Vec::with_capacity(n_samples);
        let fixed = self.fixed.iter().map(|(f, cells)| (*f, Replacement::Fixed(cells.clone())));
        let uniform = self.uniform.iter().map(|(f, ..)| (*f, Replacement::Numbers(Vec::new())));
        let from_rows = self.from_rows.iter().map(|(f, ..)| (*f, Replacement::Rows(room())));
        fixed.chain(uniform).chain(from_rows).collect()
    }

    /// Draws the replacements of these perturbations, and their training rows where the anchor decides over these.
    pub(crate) fn draw(
        &self,
        perturbations: Range<usize>,
        stream: &mut Stream,
        base: &mut Vec<u32>,
        replacements: &mut [(usize, Replacement)],
    ) {
        let mut level = self.levels.iter().peekable();
        let (numbers, rows) = replacements[self.fixed.len()..].split_at_mut(self.uniform.len());
        for index in perturbations {
            let whole = self.whole.as_ref().map(|rows| rows.any(stream));
            base.extend(whole);
            for ((_, above, up_to), (_, replacement)) in self.uniform.iter().zip(&mut *numbers) {
                if let Replacement::Numbers(numbers) = replacement {
                    numbers.push(up_to - stream.uniform() * (up_to - above));
                }
            }
            while level.peek().is_some_and(|level| level.perturbations.end <= index) {
                level.next();
            }
            let (joint, together) = match (whole, level.peek()) {
                (Some(row), _) => (usize::MAX, row),
                (None, Some(level)) if level.once => {
                    (level.joint, level.rows.nth(index - level.perturbations.start))
                }
                (None, Some(level)) => (level.joint, level.rows.any(stream)),
                (None, None) => (0, 0),
            };
            for ((_, place, alone), (_, replacement)) in self.from_rows.iter().zip(&mut *rows) {
                if let Replacement::Rows(rows) = replacement {
                    let row =
                        if *place < joint { together } else { alone[stream.index(alone.len())] };
                    rows.push(row);
                }
            }
        }
    }
}

impl Table {
    /// The row that the features outside the anchor come from.
    fn any_row(&self, stream: &mut Stream) -> u32 {
        let row = match &self.cumulative_weights {
            None => stream.index(self.n_rows()),
            Some(sums) => {
                let total = sums[sums.len() - 1];
                let at = stream.uniform() * total;
                // The last row with a weight, where rounding led beyond it.
                let last = sums.partition_point(|&sum| sum < total);
                sums.partition_point(|&sum| sum <= at).min(last)
            }
        };
        u32::try_from(row).expect("training rows are fewer than 2^32")
    }
}

/// Rows to draw from.
pub(crate) enum Pool<'a> {
    /// A list of them.
    List(&'a [u32]),
    /// A set, and how many of it stand before each of its words.
    Set(Bits, Vec<u32>, usize),
}

impl<'a> Pool<'a> {
    /// The rows that satisfy all conditions, at least one.
    fn new(table: &'a Table, conditions: &[(usize, Condition)]) -> Self {
        let (feature, condition) = conditions[0];
        if let ([_], Column::Numeric(numeric), Condition::Range { lower, upper }) =
            (conditions, &table.columns[feature], condition)
        {
            return Pool::List(numeric.in_range(lower, upper));
        }
        let mut rows = table.allowed(feature, condition).into_owned();
        for &(feature, condition) in &conditions[1..] {
            rows.retain(&table.allowed(feature, condition));
        }
        let (ranks, count) = rows.ranks();
        Pool::Set(rows, ranks, count)
    }

    fn count(&self) -> usize {
        match self {
            Pool::List(rows) => rows.len(),
            Pool::Set(.., count) => *count,
        }
    }

    fn nth(&self, n: usize) -> u32 {
        match self {
            Pool::List(rows) => rows[n],
            Pool::Set(rows, ranks, count) => u32::try_from(rows.nth(n, ranks, *count))
                .expect("training rows are fewer than 2^32"),
        }
    }

    fn any(&self, stream: &mut Stream) -> u32 {
        self.nth(stream.index(self.count()))
    }
}
