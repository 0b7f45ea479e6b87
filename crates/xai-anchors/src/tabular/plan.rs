//! From which training rows the perturbations of one request come.
//!
//! # Source
//! Ribeiro, Singh & Guestrin 2018 leave the distribution to the implementation; this is the one of alibi's tabular
//! sampler, with every predicate of the anchor held in all of its cases.

use xai_core::{Row, Stream};

use super::condition::Condition;
use super::params::Sampling;
use super::perturbation::{Drawn, Held, Source};
use super::table::{Column, Table};
use crate::bits::Bits;

/// How the perturbations of a request are made.
pub(crate) struct Plan<'a> {
    table: &'a Table,
    /// Features that no draw decides.
    fixed: Vec<(usize, Vec<f64>)>,
    /// Numeric features whose range no training row is in: numbers above the first bound and up to the second.
    uniform: Vec<(usize, f64, f64)>,
    /// Numeric features that come from training rows: their own rows, and the place among the anchor's features.
    from_rows: Vec<(usize, usize, Ranks)>,
    levels: Vec<Level>,
    /// Rows that satisfy the whole anchor, where all features come from one of them.
    whole: Option<Ranks>,
}

/// Perturbations that draw the first features of an anchor together from one row.
struct Level {
    /// The first perturbation that is beyond this level.
    end: usize,
    /// How many of the anchor's features come together.
    joint: usize,
    rows: Ranks,
    /// Whether each of the rows is taken once, in order; otherwise rows are drawn.
    once: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        source: &Source<'a>,
        conditions: &[(usize, Condition)],
        n_samples: usize,
        x: &Row,
    ) -> Self {
        let table = source.table;
        let mut plan = Plan {
            table,
            fixed: Vec::new(),
            uniform: Vec::new(),
            from_rows: Vec::new(),
            levels: Vec::new(),
            whole: None,
        };
        let mut known: Vec<Bits> = Vec::new();
        for &(feature, condition) in conditions {
            let allowed = table.allowed(feature, condition);
            let is_known = 0 < allowed.count();
            let place = known.len();
            match condition {
                Condition::Range { .. } if is_known => {
                    plan.from_rows.push((feature, place, Ranks::new(allowed.clone())));
                }
                Condition::Range { lower, upper } => {
                    match table.unseen_range(feature, lower, upper) {
                        Some((above, up_to)) => plan.uniform.push((feature, above, up_to)),
                        None => plan.fixed.push((feature, own_cells(source, feature, x))),
                    }
                }
                Condition::Code(_) | Condition::Missing => {
                    plan.fixed.push((feature, own_cells(source, feature, x)));
                }
            }
            if is_known {
                known.push(allowed);
            }
        }
        let whole = source.sampling == Sampling::Conditional && !known.is_empty();
        if whole || !plan.from_rows.is_empty() {
            plan.lay_out(&known, n_samples, whole);
        }
        plan
    }

    /// Which perturbations take how many of the known features from one row.
    fn lay_out(&mut self, known: &[Bits], n_samples: usize, whole: bool) {
        // The rows that satisfy the first features together, for each number of them.
        let mut together = vec![known[0].clone()];
        for rows in &known[1..] {
            together.push(together[together.len() - 1].and(rows));
        }
        let all = &together[together.len() - 1];
        if n_samples <= all.count() {
            let ranks = Ranks::new(all.clone());
            if whole {
                self.whole = Some(ranks);
            } else {
                self.levels.push(Level {
                    end: n_samples,
                    joint: known.len(),
                    rows: ranks,
                    once: false,
                });
            }
            return;
        }
        let mut end = 0;
        for (place, rows) in together.into_iter().enumerate().rev() {
            let (left, n_rows) = (n_samples - end, rows.count());
            if n_rows == 0 {
                continue;
            }
            let once = n_rows <= left;
            end += n_rows.min(left);
            self.levels.push(Level { end, joint: place + 1, rows: Ranks::new(rows), once });
            if end == n_samples {
                break;
            }
        }
    }

    /// The columns that [`draw`](Self::draw) fills.
    pub(crate) fn empty(&self, n_samples: usize) -> Drawn {
        let fixed = self.fixed.iter().map(|(f, cells)| (*f, Held::Fixed(cells.clone())));
        let uniform = self.uniform.iter().map(|(f, ..)| (*f, Held::Numbers(Vec::new())));
        let from_rows = self.from_rows.iter().map(|(f, ..)| (*f, Held::Rows(Vec::new())));
        let held = fixed.chain(uniform).chain(from_rows).collect();
        Drawn { base: Vec::with_capacity(n_samples), held }
    }

    /// Draws the next perturbation.
    pub(crate) fn draw(&self, stream: &mut Stream, drawn: &mut Drawn) {
        let index = drawn.base.len();
        if let Some(rows) = &self.whole {
            let row = rows.any(stream);
            drawn.base.push(row);
            self.draw_numbers(stream, drawn);
            for (_, held) in &mut drawn.held {
                if let Held::Rows(rows) = held {
                    rows.push(row);
                }
            }
            return;
        }
        drawn.base.push(self.table.any_row(stream));
        self.draw_numbers(stream, drawn);
        if self.from_rows.is_empty() {
            return;
        }
        let level = self.levels.iter().position(|level| index < level.end);
        let level = level.map(|place| {
            let start = if place == 0 { 0 } else { self.levels[place - 1].end };
            (&self.levels[place], start)
        });
        let together = level.map(|(level, start)| {
            let row =
                if level.once { level.rows.nth(index - start) } else { level.rows.any(stream) };
            (level.joint, row)
        });
        let columns = &mut drawn.held[self.fixed.len() + self.uniform.len()..];
        for ((_, place, own), (_, held)) in self.from_rows.iter().zip(columns) {
            let row = match together {
                Some((joint, row)) if *place < joint => row,
                _ => own.any(stream),
            };
            if let Held::Rows(rows) = held {
                rows.push(row);
            }
        }
    }

    fn draw_numbers(&self, stream: &mut Stream, drawn: &mut Drawn) {
        let columns = &mut drawn.held[self.fixed.len()..];
        for ((_, above, up_to), (_, held)) in self.uniform.iter().zip(columns) {
            if let Held::Numbers(numbers) = held {
                numbers.push(up_to - stream.uniform() * (up_to - above));
            }
        }
    }
}

fn own_cells(source: &Source<'_>, feature: usize, x: &Row) -> Vec<f64> {
    source.features.columns(feature).map(|column| x[column]).collect()
}

impl Table {
    /// The row that the features an anchor does not hold come from.
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

    /// Whether perturbations in a range take the number of the instance, since the training numbers know none.
    pub(super) fn takes_own(
        &self,
        feature: usize,
        lower: Option<usize>,
        upper: Option<usize>,
    ) -> bool {
        self.allowed(feature, Condition::Range { lower, upper }).count() == 0
            && self.unseen_range(feature, lower, upper).is_none()
    }

    /// The part of a range that lies within the training numbers: above the first bound, up to the second; `None` when
    /// there is no such part.
    pub(crate) fn unseen_range(
        &self,
        feature: usize,
        lower: Option<usize>,
        upper: Option<usize>,
    ) -> Option<(f64, f64)> {
        let Column::Numeric { edges, range: Some((least, most)), .. } = &self.columns[feature]
        else {
            return None;
        };
        let above = lower.map_or(*least, |edge| edges.as_slice()[edge].max(*least));
        let up_to = upper.map_or(*most, |edge| edges.as_slice()[edge].min(*most));
        (above < up_to).then_some((above, up_to))
    }
}

/// A set of rows from which the n-th is found quickly.
pub(crate) struct Ranks {
    rows: Bits,
    /// How many rows stand before each word of the set.
    before: Vec<u32>,
    count: usize,
}

impl Ranks {
    pub(crate) fn new(rows: Bits) -> Self {
        let before = rows.ranks();
        let count = rows.count();
        Ranks { rows, before, count }
    }

    pub(crate) fn nth(&self, n: usize) -> u32 {
        let row = self.rows.nth(n, &self.before);
        u32::try_from(row).expect("training rows are fewer than 2^32")
    }

    pub(crate) fn any(&self, stream: &mut Stream) -> u32 {
        self.nth(stream.index(self.count))
    }
}
