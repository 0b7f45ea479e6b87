//! What a session evaluates.

use std::rc::Rc;

use crate::designs::{PairedDesign, PermutationDesign};
use crate::reference::design::ReferenceDesign;

/// Where the coalitions come from.
#[derive(Clone)]
pub(crate) enum Work {
    /// All of them.
    All,
    /// All of them, in the games against single background rows.
    RowByRow,
    Paired(Rc<PairedDesign>),
    Permutation(Rc<PermutationDesign>),
    Reference(Rc<ReferenceDesign>),
}
