//! What a changed row must make the model say, as losses over the model's outputs.
//!
//! Every loss is a value and its exact derivative with respect to the outputs, so that a gradient with respect to the
//! row is one vector-Jacobian product, and a numeric one is a difference of outputs along this cotangent.

use ndarray::Array1;

use xai_core::error::Result;
use xai_core::model::Row;
use xai_core::params::{Semantics, require};

/// How a row of outputs is read as classes.
///
/// A single output is the probability of class 1 of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outputs {
    n_outputs: usize,
}

impl Outputs {
    /// The reading of a model that answers like this, shape `(n_outputs,)`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `model` when the only output is no probability.
    pub fn of(answer: &Row) -> Result<Self> {
        let n_outputs = answer.len();
        let is_read = 1 < n_outputs || answer.iter().all(|value| (0.0..=1.0).contains(value));
        let rule = "one output per class, or a single one that is the probability of class 1; for a score or a quantity \
                    give an interval as the target";
        require(0 < n_outputs && is_read, "model", rule, answer)?;
        Ok(Outputs { n_outputs })
    }

    /// The number of classes, at least 2.
    #[must_use]
    pub fn n_classes(self) -> usize {
        self.n_outputs.max(2)
    }

    /// One number for each class, shape `(n_classes,)`.
    #[must_use]
    pub fn classes(self, answer: &Row) -> Array1<f64> {
        if self.n_outputs == 1 {
            return Array1::from(vec![1.0 - answer[0], answer[0]]);
        }
        answer.to_owned()
    }

    /// The class with the largest number, the first of equals.
    #[must_use]
    pub fn class(self, answer: &Row) -> usize {
        largest(&self.classes(answer), |_| true).unwrap_or_default()
    }

    /// A derivative by class as one by output, shape `(n_outputs,)`.
    #[must_use]
    pub fn by_output(self, by_class: Array1<f64>) -> Array1<f64> {
        if self.n_outputs == 1 {
            return Array1::from(vec![by_class[1] - by_class[0]]);
        }
        by_class
    }
}

/// The index of the largest number among some, the first of equals.
fn largest(values: &Row, among: impl Fn(usize) -> bool) -> Option<usize> {
    let chosen = values.iter().enumerate().filter(|(index, _)| among(*index));
    let better = |best: Option<(usize, f64)>, (index, &value): (usize, &f64)| match best {
        Some((_, most)) if value <= most => best,
        _ => Some((index, value)),
    };
    chosen.fold(None, better).map(|(index, _)| index)
}

/// A hinge: 0 where the model says what is wanted with the wanted margin, and growing with what is missing.
///
/// Of classes: `max(0, max_B (p_j + kappa_j) - max_A p_j)`, where `A` are the wanted classes and `B` all others.
/// Of a quantity: its distance from an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Hinge {
    wanted: Wanted,
    semantics: Semantics,
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Classes {
        outputs: Outputs,
        /// Whether each class is wanted.
        wanted: Vec<bool>,
        /// What a wanted class has to be ahead of each other class, 0 for wanted ones.
        kappa: Vec<f64>,
        /// The least number of a wanted class.
        at_least: Option<f64>,
        /// The largest number of a wanted class.
        at_most: Option<f64>,
        /// The instance's class, and what it is to be ahead or behind by.
        own: (usize, f64),
    },
    Interval {
        output: usize,
        n_outputs: usize,
        min: f64,
        max: f64,
    },
}

/// Where a hinge stands: how far the model is beyond what is wanted, and in which direction it grows.
#[derive(Clone, Debug, PartialEq)]
pub struct Margin {
    /// Above 0 where the target is reached, in the unit of the outputs or of their logarithms.
    pub value: f64,
    /// Its derivative with respect to the outputs, shape `(n_outputs,)`.
    pub cotangent: Array1<f64>,
}

impl Margin {
    fn smaller(self, other: Self) -> Self {
        if other.value < self.value { other } else { self }
    }
}

impl Hinge {
    /// Any class but this, ahead of it by more than `kappa`: pertinent negatives and untargeted counterfactuals.
    #[must_use]
    pub fn other(outputs: Outputs, class: usize, kappa: f64) -> Self {
        let wanted = (0..outputs.n_classes()).map(|other| other != class).collect();
        Hinge::classes(outputs, wanted, |_| kappa, (class, kappa))
    }

    /// This class, ahead of all others by more than `kappa`: pertinent positives.
    #[must_use]
    pub fn same(outputs: Outputs, class: usize, kappa: f64) -> Self {
        let wanted = (0..outputs.n_classes()).map(|other| other == class).collect();
        Hinge::classes(outputs, wanted, |_| kappa, (class, kappa))
    }

    /// One of `targets`, ahead of `class` by more than `kappa` and of every other class at all.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `target_class` when there is no target, when one is no class of the
    /// model, or when `class` is the only one.
    pub fn one_of(outputs: Outputs, class: usize, targets: &[usize], kappa: f64) -> Result<Self> {
        let rule = format!(
            "at least one class below {}, and another one than the instance's class {class}",
            outputs.n_classes()
        );
        let known = targets.iter().all(|&target| target < outputs.n_classes());
        let other = targets.iter().any(|&target| target != class);
        require(known && other, "target_class", rule, targets)?;
        let wanted =
            (0..outputs.n_classes()).map(|other| other != class && targets.contains(&other));
        let kappa_of = |other| if other == class { kappa } else { 0.0 };
        Ok(Hinge::classes(outputs, wanted.collect(), kappa_of, (class, kappa)))
    }

    fn classes(
        outputs: Outputs,
        wanted: Vec<bool>,
        ahead: impl Fn(usize) -> f64,
        own: (usize, f64),
    ) -> Self {
        let ahead =
            |(class, &is_wanted): (usize, &bool)| if is_wanted { 0.0 } else { ahead(class) };
        let kappa = wanted.iter().enumerate().map(ahead).collect();
        let wanted = Wanted::Classes { outputs, wanted, kappa, at_least: None, at_most: None, own };
        Hinge { wanted, semantics: Semantics::Native }
    }

    /// An output in a closed interval, for scores and quantities.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `target_interval` when the model has no such output, or when the
    /// interval is empty or has a bound that is NaN.
    pub fn interval(n_outputs: usize, output: usize, min: f64, max: f64) -> Result<Self> {
        let rule = format!("an interval of one of the model's {n_outputs} outputs");
        require(output < n_outputs, "target_interval", rule, output)?;
        require(
            min <= max,
            "target_interval",
            "from `min` to a `max` at least as large",
            (min, max),
        )?;
        let wanted = Wanted::Interval { output, n_outputs, min, max };
        Ok(Hinge { wanted, semantics: Semantics::Native })
    }

    /// The same hinge with a least number for the wanted class; for an interval nothing changes.
    #[must_use]
    pub fn at_least(mut self, proba: Option<f64>) -> Self {
        if let Wanted::Classes { at_least, .. } = &mut self.wanted {
            *at_least = proba;
        }
        self
    }

    /// The same hinge with a largest number for the wanted class; for an interval nothing changes.
    #[must_use]
    pub fn at_most(mut self, proba: Option<f64>) -> Self {
        if let Wanted::Classes { at_most, .. } = &mut self.wanted {
            *at_most = proba;
        }
        self
    }

    /// The same hinge, judged as the reference does: ties with the margin go to the lowest class.
    #[must_use]
    pub fn judged(mut self, semantics: Semantics) -> Self {
        self.semantics = semantics;
        self
    }

    /// The length of a row of outputs.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        match &self.wanted {
            Wanted::Classes { outputs, .. } => outputs.n_outputs,
            Wanted::Interval { n_outputs, .. } => *n_outputs,
        }
    }

    /// The loss, at least 0. `answer` has shape `(n_outputs,)`.
    #[must_use]
    pub fn value(&self, answer: &Row) -> f64 {
        (-self.margin(answer).value).max(0.0)
    }

    /// The derivative of the loss, shape `(n_outputs,)`; `None` where the hinge is not active.
    #[must_use]
    pub fn cotangent(&self, answer: &Row) -> Option<Array1<f64>> {
        let margin = self.margin(answer);
        (margin.value <= 0.0).then(|| -margin.cotangent)
    }

    /// The derivative that the reference's black box descends along: inflated by `n / (n - 1)` for `n` classes, because
    /// it perturbs probabilities so that they keep their sum, and zero where the class of the instance is behind by
    /// `kappa`, even where it is to stay ahead.
    #[must_use]
    pub fn inflated_cotangent(&self, answer: &Row) -> Option<Array1<f64>> {
        let Wanted::Classes { outputs, own: (class, kappa), .. } = &self.wanted else {
            return self.cotangent(answer);
        };
        let values = outputs.classes(answer);
        let rival = largest(&values, |other| other != *class)?;
        let n_classes = outputs.n_classes() as f64;
        let is_active = -kappa < values[*class] - values[rival];
        is_active.then(|| -self.margin(answer).cotangent * (n_classes / (n_classes - 1.0)))
    }

    /// How far beyond the target the model is, in the unit of its outputs: minus the hinge without its bend.
    #[must_use]
    pub fn margin(&self, answer: &Row) -> Margin {
        match &self.wanted {
            Wanted::Classes { outputs, at_least, at_most, .. } => {
                let values = outputs.classes(answer);
                let (best, rival, ahead) = self.pair(&values);
                let slope = |sign: f64| outputs.by_output(unit(&values, best, sign));
                let gap = Margin {
                    value: values[best] - values[rival] - ahead,
                    cotangent: outputs
                        .by_output(unit(&values, best, 1.0) - unit(&values, rival, 1.0)),
                };
                let above = at_least
                    .map(|least| Margin { value: values[best] - least, cotangent: slope(1.0) });
                let below = at_most
                    .map(|most| Margin { value: most - values[best], cotangent: slope(-1.0) });
                [above, below].into_iter().flatten().fold(gap, Margin::smaller)
            }
            &Wanted::Interval { output, min, max, .. } => {
                let (above, below) = (answer[output] - min, max - answer[output]);
                let (value, sign) = if above <= below { (above, 1.0) } else { (below, -1.0) };
                Margin { value, cotangent: unit(answer, output, sign) }
            }
        }
    }

    /// The margin on a scale on which it is closer to linear: a difference of log-odds, or of logarithms, where the
    /// numbers lie between 0 and 1 and no `kappa` other than 0 matters; else [`margin`](Self::margin).
    ///
    /// A softmax far from its boundary is flat, and its logarithm is not.
    #[must_use]
    pub fn log_margin(&self, answer: &Row) -> Margin {
        self.margin_of_logs(answer).unwrap_or_else(|| self.margin(answer))
    }

    fn margin_of_logs(&self, answer: &Row) -> Option<Margin> {
        let Wanted::Classes { outputs, at_least, at_most, .. } = &self.wanted else {
            return None;
        };
        let values = outputs.classes(answer);
        let (best, rival, ahead) = self.pair(&values);
        let (p, q) = (values[best], values[rival]);
        let gap = || {
            let by_class = unit(&values, best, 1.0 / p) - unit(&values, rival, 1.0 / q);
            Margin { value: p.ln() - q.ln(), cotangent: outputs.by_output(by_class) }
        };
        let odds = |limit: f64, sign: f64| {
            let slope = sign / (p * (1.0 - p));
            let value = sign * ((p / (1.0 - p)).ln() - (limit / (1.0 - limit)).ln());
            Margin { value, cotangent: outputs.by_output(unit(&values, best, slope)) }
        };
        let limits = || at_least.iter().chain(at_most);
        let has_odds = limits().all(|&limit| 0.0 < limit && limit < 1.0);
        let is_inside = 0.0 < p && 0.0 < q && (p < 1.0 || limits().next().is_none());
        // Being ahead by minus infinity is not asked for at all.
        let is_ranked = ahead != f64::NEG_INFINITY;
        if !is_inside || !has_odds || (is_ranked && ahead != 0.0) {
            return None;
        }
        let parts = [
            is_ranked.then(gap),
            at_least.map(|least| odds(least, 1.0)),
            at_most.map(|most| odds(most, -1.0)),
        ];
        parts.into_iter().flatten().reduce(Margin::smaller)
    }

    /// Whether the model says what is wanted: the margin is above 0; an interval is closed.
    ///
    /// In the reference semantics `kappa` is added to the numbers of the other classes, and the lowest class with the
    /// largest number is a wanted one.
    #[must_use]
    pub fn accepts(&self, answer: &Row) -> bool {
        let margin = self.margin(answer).value;
        match &self.wanted {
            Wanted::Interval { .. } => 0.0 <= margin,
            Wanted::Classes { outputs, wanted, kappa, .. }
                if self.semantics == Semantics::Reference =>
            {
                let shifted = outputs.classes(answer) + Array1::from(kappa.clone());
                largest(&shifted, |_| true).is_some_and(|class| wanted[class])
            }
            Wanted::Classes { .. } => 0.0 < margin,
        }
    }

    /// The largest wanted class, the largest other one, and how far the first has to be ahead.
    fn pair(&self, values: &Row) -> (usize, usize, f64) {
        let Wanted::Classes { wanted, kappa, .. } = &self.wanted else {
            return (0, 0, 0.0);
        };
        let shifted = values.to_owned() + Array1::from(kappa.clone());
        let best = largest(values, |class| wanted[class]).unwrap_or_default();
        let rival = largest(&shifted, |class| !wanted[class]).unwrap_or_default();
        (best, rival, kappa[rival])
    }
}

fn unit(like: &Row, index: usize, value: f64) -> Array1<f64> {
    let mut unit = Array1::zeros(like.len());
    unit[index] = value;
    unit
}

/// The squared distance of the probability of a class from a target, `(p_T - target)^2`.
///
/// # Source
/// Wachter, Mittelstadt and Russell 2017, "Counterfactual explanations without opening the black box", equation 1.
#[derive(Clone, Debug, PartialEq)]
pub struct SquaredError {
    /// How outputs are read.
    pub outputs: Outputs,
    /// The class whose probability counts.
    pub class: TargetClass,
    /// The target, in `(0, 1]`.
    pub target_proba: f64,
}

/// The class that a [`SquaredError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetClass {
    /// This class.
    Fixed(usize),
    /// The most probable class other than this one, wherever the loss is evaluated.
    Other(usize),
}

impl SquaredError {
    /// The class that counts for this row of outputs.
    #[must_use]
    pub fn class(&self, answer: &Row) -> usize {
        match self.class {
            TargetClass::Fixed(class) => class,
            TargetClass::Other(own) => {
                largest(&self.outputs.classes(answer), |class| class != own).unwrap_or_default()
            }
        }
    }

    /// The probability of the class that counts.
    #[must_use]
    pub fn proba(&self, answer: &Row) -> f64 {
        self.outputs.classes(answer)[self.class(answer)]
    }

    /// The loss, at least 0. `answer` has shape `(n_outputs,)`.
    #[must_use]
    pub fn value(&self, answer: &Row) -> f64 {
        (self.proba(answer) - self.target_proba).powi(2)
    }

    /// The derivative of the loss, shape `(n_outputs,)`.
    #[must_use]
    pub fn cotangent(&self, answer: &Row) -> Array1<f64> {
        let values = self.outputs.classes(answer);
        let class = self.class(answer);
        let slope = 2.0 * (values[class] - self.target_proba);
        self.outputs.by_output(unit(&values, class, slope))
    }

    /// Whether the probability is within `tol` of the target.
    #[must_use]
    pub fn accepts(&self, answer: &Row, tol: f64) -> bool {
        (self.proba(answer) - self.target_proba).abs() <= tol
    }
}
