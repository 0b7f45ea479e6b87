//! Decision trees, laid out for evaluation.
//!
//! All six kinds of branch become the one test `x <= threshold`: a strict bound is the next smaller number, a reversed
//! branch swaps its children, and equality is two tests.
//! The child taken when the test holds follows its parent in memory, so that a node is 16 bytes.

use std::collections::BTreeMap;

use super::Attributes;
use crate::error::OnnxError;

/// A branch or, when `feature` is [`LEAF`], a leaf.
#[derive(Clone, Copy, Debug)]
struct Node {
    threshold: f64,
    /// The feature tested; its top bit says that NaN passes the test.
    feature: u32,
    /// Where to go when the test fails; for a leaf, its number.
    other: u32,
}

const LEAF: u32 = u32::MAX;
const NAN_PASSES: u32 = 1 << 31;

/// An ensemble of trees whose leaves add to targets.
#[derive(Debug)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
    roots: Vec<u32>,
    /// Leaf `l` contributes `contributions[starts[l]..starts[l + 1]]`.
    starts: Vec<u32>,
    contributions: Vec<(u32, f64)>,
    /// Features read, the largest index plus one.
    n_features: usize,
}

/// How the contributions of the trees are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// Rows evaluated together, so that a tree stays in the cache for all of them.
const BLOCK: usize = 64;

impl Forest {
    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    pub(crate) fn contributions(&self) -> &[(u32, f64)] {
        &self.contributions
    }

    /// Adds up the leaves that each row reaches, in the order of the trees; `scores` has shape `(n_rows, n_targets)`.
    pub(crate) fn eval(
        &self,
        cells: &[f64],
        width: usize,
        aggregate: Aggregate,
        n_targets: usize,
        scores: &mut [f64],
    ) {
        let blocks = cells.chunks(BLOCK * width).zip(scores.chunks_mut(BLOCK * n_targets));
        for (cells, scores) in blocks {
            let start = match aggregate {
                Aggregate::Sum | Aggregate::Average => 0.0,
                Aggregate::Min => f64::INFINITY,
                Aggregate::Max => f64::NEG_INFINITY,
            };
            scores.fill(start);
            for &root in &self.roots {
                let rows = cells.chunks_exact(width).zip(scores.chunks_exact_mut(n_targets));
                for (row, scores) in rows {
                    let leaf = self.leaf(root, row);
                    let range = self.starts[leaf] as usize..self.starts[leaf + 1] as usize;
                    for &(target, weight) in &self.contributions[range] {
                        let score = &mut scores[target as usize];
                        match aggregate {
                            Aggregate::Sum | Aggregate::Average => *score += weight,
                            Aggregate::Min => *score = score.min(weight),
                            Aggregate::Max => *score = score.max(weight),
                        }
                    }
                }
            }
            for score in scores {
                if aggregate == Aggregate::Average {
                    #[allow(clippy::cast_precision_loss, reason = "trees are fewer than 2^52")]
                    let n_trees = self.roots.len() as f64;
                    *score /= n_trees;
                }
                // A target that no tree contributes to has no smallest or largest contribution.
                if score.is_infinite() && aggregate != Aggregate::Sum {
                    *score = 0.0;
                }
            }
        }
    }

    fn leaf(&self, root: u32, row: &[f64]) -> usize {
        let mut at = root as usize;
        loop {
            let node = self.nodes[at];
            if node.feature == LEAF {
                return node.other as usize;
            }
            let x = row[(node.feature & !NAN_PASSES) as usize];
            let passes = x <= node.threshold || (node.feature & NAN_PASSES != 0 && x.is_nan());
            at = if passes { at + 1 } else { node.other as usize };
        }
    }

    /// Reads the trees of a node; `target` is the prefix of the leaves' attributes, `class` or `target`.
    pub(crate) fn from_node(
        node: Attributes<'_>,
        target: &str,
        n_targets: usize,
    ) -> Result<Self, OnnxError> {
        let source = Source::from_node(node, target, n_targets)?;
        let mut forest = Forest {
            nodes: Vec::new(),
            roots: Vec::new(),
            starts: vec![0],
            contributions: Vec::new(),
            n_features: 1,
        };
        let mut laid_out = vec![false; source.modes.len()];
        for &root in &source.roots {
            let place = forest.place()?;
            forest.roots.push(place);
            forest.lay_out(node, &source, root, &mut laid_out)?;
        }
        if let Some(lost) = laid_out.iter().position(|is_laid_out| !is_laid_out) {
            let (tree, id) = source.keys[lost];
            let got = format!("node {id} of tree {tree} apart from it");
            return Err(node.refuse("nodes_truenodeids", "lead from the root to each node", got));
        }
        Ok(forest)
    }

    fn place(&self) -> Result<u32, OnnxError> {
        u32::try_from(self.nodes.len()).map_err(|_| OnnxError::Graph {
            what: "tree ensemble",
            name: String::new(),
            problem: "has more than 4294967295 nodes".into(),
        })
    }

    /// Writes the tree below `root`, depth first, without recursion: a damaged file may claim any depth.
    fn lay_out(
        &mut self,
        node: Attributes<'_>,
        source: &Source,
        root: usize,
        laid_out: &mut [bool],
    ) -> Result<(), OnnxError> {
        // Nodes still to be written, with the places that wait for their address.
        let mut pending: Vec<(usize, Vec<usize>)> = vec![(root, Vec::new())];
        while let Some((at, waiting)) = pending.pop() {
            let place = self.place()?;
            for parent in waiting {
                self.nodes[parent].other = place;
            }
            if std::mem::replace(&mut laid_out[at], true) {
                let (tree, id) = source.keys[at];
                let rule = "describe trees, where a node has one parent";
                let got = format!("node {id} of tree {tree} with several");
                return Err(node.refuse("nodes_truenodeids", rule, got));
            }
            if source.modes[at] == Mode::Leaf {
                let leaf =
                    u32::try_from(self.starts.len() - 1).expect("leaves are fewer than nodes");
                self.nodes.push(Node { threshold: 0.0, feature: LEAF, other: leaf });
                self.contributions.extend(&source.leaves[at]);
                let end = u32::try_from(self.contributions.len())
                    .map_err(|_| node.refuse("nodes_modes", "describe fewer leaves", at))?;
                self.starts.push(end);
                continue;
            }
            let (mut pass, mut fail) = source.children[at];
            let mut nan = source.nan_is_true[at];
            let feature = source.features[at];
            self.n_features = self.n_features.max(feature as usize + 1);
            let value = source.values[at];
            let mode = source.modes[at];
            if matches!(mode, Mode::GreaterEqual | Mode::Greater | Mode::NotEqual) {
                (pass, fail, nan) = (fail, pass, !nan);
            }
            let flag = |nan_passes: bool| feature | if nan_passes { NAN_PASSES } else { 0 };
            let node_at = self.nodes.len();
            match mode {
                Mode::LessEqual | Mode::Greater => {
                    self.nodes.push(Node { threshold: value, feature: flag(nan), other: 0 });
                    pending.push((fail, vec![node_at]));
                    pending.push((pass, Vec::new()));
                }
                Mode::Less | Mode::GreaterEqual => {
                    let threshold = below(value);
                    self.nodes.push(Node { threshold, feature: flag(nan), other: 0 });
                    pending.push((fail, vec![node_at]));
                    pending.push((pass, Vec::new()));
                }
                // `x == v` is `x <= v` and not `x < v`: the second test passes where equality fails.
                Mode::Equal | Mode::NotEqual => {
                    self.nodes.push(Node { threshold: value, feature: flag(nan), other: 0 });
                    let threshold = below(value);
                    self.nodes.push(Node { threshold, feature: flag(false), other: 0 });
                    pending.push((pass, vec![node_at + 1]));
                    pending.push((fail, vec![node_at]));
                }
                Mode::Leaf => unreachable!("leaves are done above"),
            }
        }
        Ok(())
    }
}

/// The feature and the threshold of each test `x <= threshold` of an ensemble, in no order and with repetitions.
pub(crate) fn splits(node: Attributes<'_>) -> Result<Vec<(u32, f64)>, OnnxError> {
    let (features, values) = (node.indices("nodes_featureids")?, node.reals("nodes_values")?);
    let mut splits = Vec::new();
    for ((mode, feature), value) in modes(node)?.into_iter().zip(features).zip(values) {
        if matches!(mode, Mode::LessEqual | Mode::Greater | Mode::Equal | Mode::NotEqual) {
            splits.push((feature, value));
        }
        if matches!(mode, Mode::Less | Mode::GreaterEqual | Mode::Equal | Mode::NotEqual) {
            splits.push((feature, below(value)));
        }
    }
    Ok(splits)
}

/// The threshold `t` for which `x <= t` means `x < value`.
fn below(value: f64) -> f64 {
    // Nothing lies below minus infinity, and nothing is at most NaN.
    if value == f64::NEG_INFINITY { f64::NAN } else { value.next_down() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    LessEqual,
    Less,
    GreaterEqual,
    Greater,
    Equal,
    NotEqual,
    Leaf,
}

/// The trees as the file has them, one entry for each node.
struct Source {
    /// Tree and node number.
    keys: Vec<(i64, i64)>,
    modes: Vec<Mode>,
    features: Vec<u32>,
    values: Vec<f64>,
    nan_is_true: Vec<bool>,
    children: Vec<(usize, usize)>,
    leaves: Vec<Vec<(u32, f64)>>,
    roots: Vec<usize>,
}

impl Source {
    fn from_node(node: Attributes<'_>, target: &str, n_targets: usize) -> Result<Self, OnnxError> {
        let tree_ids = node.ints("nodes_treeids");
        let n = tree_ids.len();
        if n == 0 {
            return Err(node.refuse("nodes_treeids", "hold at least one node", "none"));
        }
        let node_ids = node.ints("nodes_nodeids");
        node.same_len("nodes_nodeids", n, node_ids.len())?;
        let keys: Vec<(i64, i64)> =
            tree_ids.iter().copied().zip(node_ids.iter().copied()).collect();
        let mut places = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            if places.insert(*key, place).is_some() {
                let got = format!("node {} of tree {} twice", key.1, key.0);
                return Err(node.refuse("nodes_nodeids", "name each node once", got));
            }
        }
        let modes = modes(node)?;
        node.same_len("nodes_modes", n, modes.len())?;
        let features = node.indices("nodes_featureids")?;
        node.same_len("nodes_featureids", n, features.len())?;
        if let Some(feature) = features.iter().find(|feature| **feature >= NAN_PASSES >> 1) {
            return Err(node.refuse("nodes_featureids", "be below 1073741824", feature));
        }
        let values = node.reals("nodes_values")?;
        node.same_len("nodes_values", n, values.len())?;
        let nan_is_true = match node.ints("nodes_missing_value_tracks_true") {
            [] => vec![false; n],
            flags => flags.iter().map(|&flag| flag != 0).collect(),
        };
        node.same_len("nodes_missing_value_tracks_true", n, nan_is_true.len())?;

        let (pass, fail) = (node.ints("nodes_truenodeids"), node.ints("nodes_falsenodeids"));
        node.same_len("nodes_truenodeids", n, pass.len())?;
        node.same_len("nodes_falsenodeids", n, fail.len())?;
        let mut has_parent = vec![false; n];
        let mut children = vec![(0, 0); n];
        for at in (0..n).filter(|&at| modes[at] != Mode::Leaf) {
            let mut child = |id: i64, attribute: &str| match places.get(&(keys[at].0, id)) {
                Some(&place) => {
                    has_parent[place] = true;
                    Ok(place)
                }
                None => {
                    let got = format!("{id} in tree {}", keys[at].0);
                    Err(node.refuse(attribute, "name nodes of the same tree", got))
                }
            };
            children[at] =
                (child(pass[at], "nodes_truenodeids")?, child(fail[at], "nodes_falsenodeids")?);
        }

        let leaves = leaves(node, target, n_targets, &places)?;
        let mut roots: BTreeMap<i64, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for at in (0..n).filter(|&at| !has_parent[at]) {
            // The first node that nothing leads to is the root; a second one will be found apart from it.
            roots.entry(keys[at].0).or_insert_with(|| {
                order.push(at);
                at
            });
        }
        if let Some(key) = keys.iter().find(|key| !roots.contains_key(&key.0)) {
            let got = format!("a cycle in tree {}", key.0);
            return Err(node.refuse("nodes_truenodeids", "describe trees with a root", got));
        }
        Ok(Source { keys, modes, features, values, nan_is_true, children, leaves, roots: order })
    }
}

fn modes(node: Attributes<'_>) -> Result<Vec<Mode>, OnnxError> {
    let modes = node.strings("nodes_modes").into_iter().map(|mode| match &*mode {
        "BRANCH_LEQ" => Ok(Mode::LessEqual),
        "BRANCH_LT" => Ok(Mode::Less),
        "BRANCH_GTE" => Ok(Mode::GreaterEqual),
        "BRANCH_GT" => Ok(Mode::Greater),
        "BRANCH_EQ" => Ok(Mode::Equal),
        "BRANCH_NEQ" => Ok(Mode::NotEqual),
        "LEAF" => Ok(Mode::Leaf),
        _ => Err(node.refuse("nodes_modes", "hold BRANCH_LEQ and its like, or LEAF", mode)),
    });
    modes.collect()
}

/// What each node adds to which target.
fn leaves(
    node: Attributes<'_>,
    target: &str,
    n_targets: usize,
    places: &BTreeMap<(i64, i64), usize>,
) -> Result<Vec<Vec<(u32, f64)>>, OnnxError> {
    let name = |field: &str| format!("{target}_{field}");
    let trees = node.ints(&name("treeids"));
    let nodes = node.ints(&name("nodeids"));
    let ids = node.indices(&name("ids"))?;
    let weights = node.reals(&name("weights"))?;
    node.same_len(&name("nodeids"), trees.len(), nodes.len())?;
    node.same_len(&name("ids"), trees.len(), ids.len())?;
    node.same_len(&name("weights"), trees.len(), weights.len())?;
    let mut leaves = vec![Vec::new(); places.len()];
    for (i, (&tree, &id)) in trees.iter().zip(nodes).enumerate() {
        let Some(&place) = places.get(&(tree, id)) else {
            let got = format!("node {id} of tree {tree}");
            return Err(node.refuse(&name("nodeids"), "name nodes of the trees", got));
        };
        if ids[i] as usize >= n_targets {
            let rule = format!("be below the number of targets, {n_targets}");
            return Err(node.refuse(&name("ids"), rule, ids[i]));
        }
        leaves[place].push((ids[i], weights[i]));
    }
    Ok(leaves)
}
