//! TreeEnsembleClassifier and TreeEnsembleRegressor.

use super::Attributes;
use super::post_transform::{Labels, PostTransform, spread};
use super::row_operator::{Columns, FromNode, Kind, RowOperator, Shape};
use super::tree::{Aggregate, Forest};
use crate::error::OnnxError;

#[derive(Debug)]
pub(crate) struct TreeEnsembleClassifier {
    forest: Forest,
    labels: Labels,
    /// One for each class, or empty, or one for a shared score.
    base: Vec<f64>,
    transform: PostTransform,
    /// For two classes that share one score: its column, and whether it is a probability.
    shared: Option<(usize, bool)>,
}

impl FromNode for TreeEnsembleClassifier {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        let labels = Labels::from_node(node, "classlabels_int64s", "classlabels_strings")?;
        let forest = Forest::from_node(node, "class", labels.len())?;
        let leaves = forest.contributions();
        let column = leaves.first().map_or(0, |leaf| leaf.0);
        let is_shared = labels.len() == 2 && leaves.iter().all(|leaf| leaf.0 == column);
        // The specification is silent; like onnxruntime we take weights that are never negative for probabilities.
        let is_probability = leaves.iter().all(|leaf| leaf.1 >= 0.0);
        let shared = is_shared.then_some((column as usize, is_probability));
        let base = node.reals("base_values")?;
        let fits_shared = shared.is_some() && base.len() == 1;
        if !base.is_empty() && !fits_shared {
            node.same_len("base_values", labels.len(), base.len())?;
        }
        let transform = PostTransform::from_node(node)?;
        Ok(TreeEnsembleClassifier { forest, labels, base, transform, shared })
    }
}

impl RowOperator for TreeEnsembleClassifier {
    fn name(&self) -> &'static str {
        "TreeEnsembleClassifier"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Long, Shape::Labels), (Kind::Float, Shape::Width(self.labels.len()))]
    }

    fn columns(&self) -> Columns {
        Columns::AtLeast(self.forest.n_features())
    }

    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let n_classes = self.labels.len();
        let mut all = vec![0.0; cells.len() / width.max(1) * n_classes];
        self.forest.eval(cells, width, Aggregate::Sum, n_classes, &mut all);
        let mut labels = Vec::with_capacity(all.len() / n_classes);
        for scores in all.chunks_exact_mut(n_classes) {
            if let Some((column, is_probability)) = self.shared {
                // Of two base values the second belongs to the class that the score speaks for.
                let score = scores[column] + self.base.last().copied().unwrap_or(0.0);
                scores.copy_from_slice(&spread(score, self.transform, is_probability));
            } else {
                scores.iter_mut().zip(&self.base).for_each(|(score, base)| *score += base);
                self.transform.apply(scores);
            }
            labels.push(self.labels.of(scores));
        }
        Ok(vec![labels, all])
    }
}

#[derive(Debug)]
pub(crate) struct TreeEnsembleRegressor {
    forest: Forest,
    n_targets: usize,
    base: Vec<f64>,
    aggregate: Aggregate,
    transform: PostTransform,
}

impl FromNode for TreeEnsembleRegressor {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        let targets = node.int("n_targets").unwrap_or(1);
        let n_targets = usize::try_from(targets).ok().filter(|n| (1..1 << 20).contains(n));
        let n_targets =
            n_targets.ok_or_else(|| node.refuse("n_targets", "be from 1 to 1048575", targets))?;
        let aggregate = match &*node.word("aggregate_function", "SUM") {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => {
                let rule = "be SUM, AVERAGE, MIN or MAX";
                return Err(node.refuse("aggregate_function", rule, other));
            }
        };
        let base = node.reals("base_values")?;
        if !base.is_empty() {
            node.same_len("base_values", n_targets, base.len())?;
        }
        let forest = Forest::from_node(node, "target", n_targets)?;
        let transform = PostTransform::from_node(node)?;
        Ok(TreeEnsembleRegressor { forest, n_targets, base, aggregate, transform })
    }
}

impl RowOperator for TreeEnsembleRegressor {
    fn name(&self) -> &'static str {
        "TreeEnsembleRegressor"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Float, Shape::Width(self.n_targets))]
    }

    fn columns(&self) -> Columns {
        Columns::AtLeast(self.forest.n_features())
    }

    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let mut all = vec![0.0; cells.len() / width.max(1) * self.n_targets];
        self.forest.eval(cells, width, self.aggregate, self.n_targets, &mut all);
        for scores in all.chunks_exact_mut(self.n_targets) {
            scores.iter_mut().zip(&self.base).for_each(|(score, base)| *score += base);
            self.transform.apply(scores);
        }
        Ok(vec![all])
    }
}
