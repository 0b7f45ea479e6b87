//! LinearClassifier and LinearRegressor.

use super::Attributes;
use super::post_transform::{Labels, PostTransform, spread};
use super::row_operator::{Columns, FromNode, Kind, RowOperator, Shape};
use crate::error::OnnxError;

/// Affine scores, one set of coefficients for each target.
#[derive(Debug)]
struct Affine {
    /// Shape `(n_targets, n_features)`, flat.
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    n_features: usize,
}

impl Affine {
    fn from_node(node: Attributes<'_>, n_targets: usize) -> Result<Self, OnnxError> {
        let coefficients = node.reals("coefficients")?;
        let mut intercepts = node.reals("intercepts")?;
        if intercepts.is_empty() {
            intercepts = vec![0.0; n_targets];
        }
        node.same_len("intercepts", n_targets, intercepts.len())?;
        if coefficients.is_empty() || coefficients.len() % n_targets != 0 {
            let rule = format!("hold as many entries for each of {n_targets} targets");
            return Err(node.refuse("coefficients", rule, coefficients.len()));
        }
        let n_features = coefficients.len() / n_targets;
        Ok(Affine { coefficients, intercepts, n_features })
    }

    fn scores(&self, row: &[f64], scores: &mut [f64]) {
        let targets = self.coefficients.chunks_exact(self.n_features).zip(&self.intercepts);
        for (score, (coefficients, intercept)) in scores.iter_mut().zip(targets) {
            let products = row.iter().zip(coefficients).map(|(x, w)| x * w);
            *score = products.sum::<f64>() + intercept;
        }
    }
}

#[derive(Debug)]
pub(crate) struct LinearClassifier {
    affine: Affine,
    labels: Labels,
    transform: PostTransform,
}

impl FromNode for LinearClassifier {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        let labels = Labels::from_node(node, "classlabels_ints", "classlabels_strings")?;
        // Two classes may share one score.
        let shared = labels.len() == 2 && node.reals("intercepts")?.len() == 1;
        let affine = Affine::from_node(node, if shared { 1 } else { labels.len() })?;
        Ok(LinearClassifier { affine, labels, transform: PostTransform::from_node(node)? })
    }
}

impl RowOperator for LinearClassifier {
    fn name(&self) -> &'static str {
        "LinearClassifier"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Long, Shape::Labels), (Kind::Float, Shape::Width(self.labels.len()))]
    }

    fn columns(&self) -> Columns {
        Columns::Exactly(self.affine.n_features)
    }

    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let n_rows = cells.len() / width.max(1);
        let n_classes = self.labels.len();
        let (mut labels, mut all) = (Vec::with_capacity(n_rows), vec![0.0; n_rows * n_classes]);
        for (row, scores) in cells.chunks_exact(width).zip(all.chunks_exact_mut(n_classes)) {
            if self.affine.intercepts.len() == n_classes {
                self.affine.scores(row, scores);
                self.transform.apply(scores);
            } else {
                let mut score = [0.0];
                self.affine.scores(row, &mut score);
                scores.copy_from_slice(&spread(score[0], self.transform, true));
            }
            labels.push(self.labels.of(scores));
        }
        Ok(vec![labels, all])
    }
}

#[derive(Debug)]
pub(crate) struct LinearRegressor {
    affine: Affine,
    transform: PostTransform,
}

impl FromNode for LinearRegressor {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        let targets = node.int("targets").unwrap_or(1);
        let n_targets = usize::try_from(targets).ok().filter(|n| (1..1 << 20).contains(n));
        let n_targets =
            n_targets.ok_or_else(|| node.refuse("targets", "be from 1 to 1048575", targets))?;
        let affine = Affine::from_node(node, n_targets)?;
        Ok(LinearRegressor { affine, transform: PostTransform::from_node(node)? })
    }
}

impl RowOperator for LinearRegressor {
    fn name(&self) -> &'static str {
        "LinearRegressor"
    }

    fn outputs(&self) -> Vec<(Kind, Shape)> {
        vec![(Kind::Float, Shape::Width(self.affine.intercepts.len()))]
    }

    fn columns(&self) -> Columns {
        Columns::Exactly(self.affine.n_features)
    }

    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String> {
        let n_targets = self.affine.intercepts.len();
        let mut all = vec![0.0; cells.len() / width.max(1) * n_targets];
        for (row, scores) in cells.chunks_exact(width).zip(all.chunks_exact_mut(n_targets)) {
            self.affine.scores(row, scores);
            self.transform.apply(scores);
        }
        Ok(vec![all])
    }
}
