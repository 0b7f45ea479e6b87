//! Predicates that the anchor can do without.

use xai_core::Result;

use super::native::Native;
use super::{Neighborhood, Search};

impl<N: Neighborhood> Search<'_, '_, '_, N, Native> {
    /// Drops predicates of the best anchor, the one that hides most rows first, while what is left is valid.
    ///
    /// A search that adds the most precise predicate at each size may add one that helps only until the others are
    /// there. Anchors that were tested before cost nothing here.
    pub(super) fn drop_predicates(&mut self) -> Result<()> {
        while let Some(best) = self.best {
            let order = self.candidates[best].order.clone();
            let mut shorter = Vec::new();
            // The empty anchor was tested first of all.
            for dropped in order.iter().filter(|_| 1 < order.len()) {
                let rest: Vec<usize> = order.iter().copied().filter(|id| id != dropped).collect();
                shorter.push(self.candidate(&rest));
            }
            shorter.sort_by_key(|&id| std::cmp::Reverse(self.candidates[id].n_covered));
            for id in shorter {
                if self.counts(id).upper_bound(self.validity_rate(id)) < self.settings.threshold {
                    continue;
                }
                if self.sample_until_clear(&[id])?.is_break() {
                    return Ok(());
                }
                if self.is_valid(id) && self.accept_one(id)?.is_break() {
                    return Ok(());
                }
                if self.best == Some(id) {
                    break;
                }
            }
            if self.best == Some(best) {
                break;
            }
        }
        Ok(())
    }

    /// The candidate of some predicates, in that order where it is new; its parts become candidates too.
    fn candidate(&mut self, order: &[usize]) -> usize {
        let mut anchor = order.to_vec();
        anchor.sort_unstable();
        let known = self.candidates.iter().position(|candidate| candidate.anchor == anchor);
        known.unwrap_or_else(|| {
            let (last, rest) = order.split_last().expect("the empty anchor is a candidate");
            let parent = self.candidate(rest);
            self.log.write_out(&mut self.candidates, parent, self.neighborhood);
            let child = self.log.child(&self.candidates, parent, *last, self.neighborhood);
            self.candidates.push(child);
            self.candidates.len() - 1
        })
    }
}
