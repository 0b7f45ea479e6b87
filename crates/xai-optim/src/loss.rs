//! What a changed row must make the model say, as losses over the model's outputs.
//!
//! Every loss is a value and its exact derivative with respect to the outputs, so that a gradient with respect to the
//! row is one vector-Jacobian product, and a numeric one is a difference of outputs along this cotangent.

use ndarray::Array1;

use xai_core::decision::{IntervalProbability, NEEDS_SCORES, Output, Reading, argmax};
use xai_core::error::{Result, same_shape};
use xai_core::model::Row;
use xai_core::params::{ParamError, require};

/// One number for each class of a model, and how its decisions are read: what hinges compare.
///
/// A single output is the probability of class 1 of two; an interval has the classes 0 (outside) and 1 (inside).
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    reading: Reading,
    /// For an interval.
    interval: Option<Interval>,
}

/// An interval of one output.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Interval {
    /// The index of the output.
    target: usize,
    min: f64,
    max: f64,
    /// The distance from an end at which the probability is 0.75 or 0.25.
    scale: f64,
}

impl Interval {
    /// How far inside the closed interval a number is, below 0 outside, and the sign of the derivative.
    fn margin(&self, value: f64) -> (f64, f64) {
        let (above, below) = (value - self.min, self.max - value);
        if above <= below { (above, 1.0) } else { (below, -1.0) }
    }

    fn probability(&self, outputs: &Row) -> IntervalProbability {
        IntervalProbability::new(outputs[self.target], &(self.min..=self.max), self.scale)
    }
}

impl ClassScores {
    /// The classes of a model that is read like this; `outputs`, shape `(n_outputs,)`, are those of the instance.
    ///
    /// The probability of an interval is that of [`InInterval`](xai_core::InInterval), 0.25 or 0.75 at the instance
    /// itself, so that it does not depend on the unit of the output.
    ///
    /// # Errors
    /// [`ParamError`] named `output` for scores, labels, bins and distances, which have no numbers by class that a
    /// gradient could change, and for an interval that is a single number.
    pub fn new(reading: &Reading, outputs: &Row) -> Result<Self, ParamError> {
        let interval = match *reading.meaning() {
            Output::Interval { min, max, target } => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                let rule = "an interval from `min` to a larger `max` for a search by gradients";
                require(min < max, "output", rule, [min, max])?;
                let unscaled = Interval { target, min, max, scale: 1.0 };
                let distance = unscaled.margin(outputs[target]).0.abs();
                let is_scale = 0.0 < distance && distance < f64::INFINITY;
                Some(Interval { scale: if is_scale { distance } else { 1.0 }, ..unscaled })
            }
            _ => None,
        };
        let has_scores = interval.is_some() || reading.class_scores(outputs).is_some();
        require(has_scores, "output", NEEDS_SCORES, reading.given())?;
        Ok(ClassScores { reading: reading.clone(), interval })
    }

    /// How the outputs are read.
    #[must_use]
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The number of outputs.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        self.reading.n_outputs()
    }

    /// The number of classes, at least 2.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.reading.n_classes().unwrap_or(2)
    }

    /// Whether the classes are the outside and the inside of an interval.
    #[must_use]
    pub fn is_interval(&self) -> bool {
        self.interval.is_some()
    }

    /// One number for each class, shape `(n_classes,)`.
    #[must_use]
    pub fn scores(&self, outputs: &Row) -> Array1<f64> {
        if let Some(interval) = &self.interval {
            let inside = interval.probability(outputs).probability;
            return Array1::from(vec![1.0 - inside, inside]);
        }
        self.reading.class_scores(outputs).unwrap_or_else(|| outputs.to_owned())
    }

    /// The class that the model decides for, the first of equals. Being at the end of an interval is being inside.
    #[must_use]
    pub fn class(&self, outputs: &Row) -> usize {
        match &self.interval {
            Some(interval) => usize::from(0.0 <= interval.margin(outputs[interval.target]).0),
            None => argmax(&self.scores(outputs)),
        }
    }

    /// A derivative by class at these outputs as one by output, shape `(n_outputs,)`.
    #[must_use]
    pub fn by_output(&self, outputs: &Row, by_class: Array1<f64>) -> Array1<f64> {
        if let Some(interval) = &self.interval {
            let slope = interval.probability(outputs).slope * (by_class[1] - by_class[0]);
            return unit(outputs, interval.target, slope);
        }
        if outputs.len() == 1 {
            return Array1::from(vec![by_class[1] - by_class[0]]);
        }
        by_class
    }
}

/// The index of the largest number of a subset, the first of equals; `None` of none.
fn largest_among(values: &Row, among: impl Fn(usize) -> bool) -> Option<usize> {
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
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Classes {
        scores: ClassScores,
        /// Whether each class is wanted.
        wanted: Vec<bool>,
        /// What a wanted class has to be ahead of each other class, 0 for wanted ones.
        kappa: Vec<f64>,
        /// The least number of a wanted class.
        at_least: Option<f64>,
        /// The largest number of a wanted class.
        at_most: Option<f64>,
        /// The instance's class, and what it is to be ahead or behind by.
        instance: InstanceClass,
        /// What a wanted class has to be ahead of every other one besides, so that no last bit decides.
        decision_margin: f64,
    },
    Interval {
        interval: Interval,
        n_outputs: usize,
        /// Whether the output is to be inside, or outside.
        inside: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct InstanceClass {
    class: usize,
    kappa: f64,
}

/// How far the class of the instance is ahead.
pub(crate) struct InstanceMargin {
    /// Its number less that of the next class.
    pub(crate) lead: f64,
    /// What it is to be ahead or behind by.
    pub(crate) kappa: f64,
    pub(crate) n_classes: usize,
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
    /// Any class but this, ahead of it by more than `kappa`: pertinent negatives and untargeted counterfactuals. For an
    /// interval the other side of its ends; `kappa` then does not count.
    #[must_use]
    pub fn other(scores: &ClassScores, class: usize, kappa: f64) -> Self {
        let wanted = (0..scores.n_classes()).map(|other| other != class).collect();
        Hinge::classes(scores, wanted, |_| kappa, InstanceClass { class, kappa })
    }

    /// This class, ahead of all others by more than `kappa`: pertinent positives. For an interval its side of the ends.
    #[must_use]
    pub fn same(scores: &ClassScores, class: usize, kappa: f64) -> Self {
        let wanted = (0..scores.n_classes()).map(|other| other == class).collect();
        Hinge::classes(scores, wanted, |_| kappa, InstanceClass { class, kappa })
    }

    /// One of `targets`, ahead of `class` by more than `kappa` and of every other class at all.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `target_class` when there is no target, when one is no class of the
    /// model, or when `class` is the only one.
    pub fn one_of(
        scores: &ClassScores,
        class: usize,
        targets: &[usize],
        kappa: f64,
    ) -> Result<Self> {
        let rule = format!(
            "at least one class below {}, and another one than the instance's class {class}",
            scores.n_classes()
        );
        let known = targets.iter().all(|&target| target < scores.n_classes());
        let other = targets.iter().any(|&target| target != class);
        require(known && other, "target_class", rule, targets)?;
        let wanted =
            (0..scores.n_classes()).map(|other| other != class && targets.contains(&other));
        let kappa_of = |other| if other == class { kappa } else { 0.0 };
        let instance = InstanceClass { class, kappa };
        Ok(Hinge::classes(scores, wanted.collect(), kappa_of, instance))
    }

    fn classes(
        scores: &ClassScores,
        wanted: Vec<bool>,
        ahead: impl Fn(usize) -> f64,
        instance: InstanceClass,
    ) -> Self {
        if let Some(interval) = scores.interval {
            let (n_outputs, inside) = (scores.n_outputs(), wanted[1]);
            return Hinge { wanted: Wanted::Interval { interval, n_outputs, inside } };
        }
        let ahead =
            |(class, &is_wanted): (usize, &bool)| if is_wanted { 0.0 } else { ahead(class) };
        let kappa = wanted.iter().enumerate().map(ahead).collect();
        let scores = scores.clone();
        Hinge {
            wanted: Wanted::Classes {
                scores,
                wanted,
                kappa,
                at_least: None,
                at_most: None,
                instance,
                decision_margin: 0.0,
            },
        }
    }

    /// An output in a closed interval, for scores and quantities.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `output` when the model has no such output, or when the
    /// interval is empty or has a bound that is NaN.
    pub fn interval(n_outputs: usize, output: usize, min: f64, max: f64) -> Result<Self> {
        let rule = format!("an interval of one of the model's {n_outputs} outputs");
        require(output < n_outputs, "output", rule, output)?;
        let rule = "an interval from `min` to a `max` at least as large";
        require(min <= max, "output", rule, [min, max])?;
        let interval = Interval { target: output, min, max, scale: 1.0 };
        Ok(Hinge { wanted: Wanted::Interval { interval, n_outputs, inside: true } })
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

    /// The same hinge, for which a wanted class has to be ahead of every other one by this besides `kappa` where `kappa` is
    /// less; for an interval, whose ends belong to it, nothing changes. See
    /// [`Reading::decision_margin`](xai_core::Reading::decision_margin).
    #[must_use]
    pub fn with_decision_margin(mut self, margin: f64) -> Self {
        if let Wanted::Classes { decision_margin, .. } = &mut self.wanted {
            *decision_margin = margin;
        }
        self
    }

    /// Requires that a row of outputs can be read as those of the instance.
    ///
    /// # Errors
    /// As [`Reading::check`](xai_core::Reading::check).
    pub fn check(&self, outputs: &Row) -> Result<()> {
        match &self.wanted {
            Wanted::Classes { scores, .. } => scores.reading.check(outputs),
            Wanted::Interval { n_outputs, .. } => {
                same_shape("the model's output", &[*n_outputs], outputs.shape())
            }
        }
    }

    /// The length of a row of outputs.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        match &self.wanted {
            Wanted::Classes { scores, .. } => scores.n_outputs(),
            Wanted::Interval { n_outputs, .. } => *n_outputs,
        }
    }

    /// The loss, at least 0. `outputs` has shape `(n_outputs,)`.
    #[must_use]
    pub fn value(&self, outputs: &Row) -> f64 {
        (-self.margin(outputs).value).max(0.0)
    }

    /// The derivative of the loss, shape `(n_outputs,)`; `None` where the hinge is not active.
    #[must_use]
    pub fn cotangent(&self, outputs: &Row) -> Option<Array1<f64>> {
        let margin = self.margin(outputs);
        (margin.value <= 0.0).then(|| -margin.cotangent)
    }

    /// The class of the instance with its margin, and the scores; `None` for an interval.
    pub(crate) fn instance_margin(&self, outputs: &Row) -> Option<InstanceMargin> {
        let Wanted::Classes { scores, instance, .. } = &self.wanted else { return None };
        let values = scores.scores(outputs);
        let rival = largest_among(&values, |other| other != instance.class)?;
        Some(InstanceMargin {
            lead: values[instance.class] - values[rival],
            kappa: instance.kappa,
            n_classes: scores.n_classes(),
        })
    }

    /// How far beyond the target the model is, in the unit of its outputs: minus the hinge without its bend.
    #[must_use]
    pub fn margin(&self, outputs: &Row) -> Margin {
        match &self.wanted {
            Wanted::Classes { scores, at_least, at_most, decision_margin, .. } => {
                let values = scores.scores(outputs);
                let Pair { best, rival, ahead } = self.pair(&values);
                // Minus infinity asks for nothing.
                let ahead =
                    if ahead == f64::NEG_INFINITY { ahead } else { ahead.max(*decision_margin) };
                let slope = |sign: f64| scores.by_output(outputs, unit(&values, best, sign));
                let by_class = unit(&values, best, 1.0) - unit(&values, rival, 1.0);
                let gap = Margin {
                    value: values[best] - values[rival] - ahead,
                    cotangent: scores.by_output(outputs, by_class),
                };
                let above = at_least
                    .map(|least| Margin { value: values[best] - least, cotangent: slope(1.0) });
                let below = at_most
                    .map(|most| Margin { value: most - values[best], cotangent: slope(-1.0) });
                [above, below].into_iter().flatten().fold(gap, Margin::smaller)
            }
            Wanted::Interval { interval, inside, .. } => {
                let (margin, sign) = interval.margin(outputs[interval.target]);
                let side = if *inside { 1.0 } else { -1.0 };
                let cotangent = unit(outputs, interval.target, side * sign);
                Margin { value: side * margin, cotangent }
            }
        }
    }

    /// The margin on a scale on which it is closer to linear: a difference of log-odds, or of logarithms, where the
    /// numbers lie between 0 and 1 and no `kappa` other than 0 matters; else [`margin`](Self::margin).
    ///
    /// A softmax far from its boundary is flat, and its logarithm is not.
    #[must_use]
    pub fn log_margin(&self, outputs: &Row) -> Margin {
        self.margin_of_logs(outputs).unwrap_or_else(|| self.margin(outputs))
    }

    fn margin_of_logs(&self, outputs: &Row) -> Option<Margin> {
        let Wanted::Classes { scores, at_least, at_most, decision_margin, .. } = &self.wanted
        else {
            return None;
        };
        let values = scores.scores(outputs);
        let Pair { best, rival, ahead } = self.pair(&values);
        let (p, q) = (values[best], values[rival] + decision_margin);
        let gap = || {
            let by_class = unit(&values, best, 1.0 / p) - unit(&values, rival, 1.0 / q);
            Margin { value: p.ln() - q.ln(), cotangent: scores.by_output(outputs, by_class) }
        };
        let odds = |limit: f64, sign: f64| {
            let slope = sign / (p * (1.0 - p));
            let value = sign * ((p / (1.0 - p)).ln() - (limit / (1.0 - limit)).ln());
            Margin { value, cotangent: scores.by_output(outputs, unit(&values, best, slope)) }
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
    #[must_use]
    pub fn accepts(&self, outputs: &Row) -> bool {
        let margin = self.margin(outputs).value;
        match &self.wanted {
            Wanted::Interval { inside: true, .. } => 0.0 <= margin,
            Wanted::Interval { inside: false, .. } => 0.0 < margin,
            Wanted::Classes { .. } => 0.0 < margin,
        }
    }

    /// Whether the class with the largest number is a wanted one, the lowest of equals, where `kappa` is added to the
    /// numbers of the other classes; `None` for an interval.
    pub(crate) fn largest_is_wanted(&self, outputs: &Row) -> Option<bool> {
        let Wanted::Classes { scores, wanted, kappa, .. } = &self.wanted else { return None };
        Some(wanted[argmax(&(scores.scores(outputs) + Array1::from(kappa.clone())))])
    }

    /// The classes that the margin is between.
    fn pair(&self, values: &Row) -> Pair {
        let Wanted::Classes { wanted, kappa, .. } = &self.wanted else {
            return Pair { best: 0, rival: 0, ahead: 0.0 };
        };
        let shifted = values.to_owned() + Array1::from(kappa.clone());
        let best = largest_among(values, |class| wanted[class]).unwrap_or_default();
        let rival = largest_among(&shifted, |class| !wanted[class]).unwrap_or_default();
        Pair { best, rival, ahead: kappa[rival] }
    }
}

/// The largest wanted class, the largest other one, and how far the first has to be ahead.
struct Pair {
    best: usize,
    rival: usize,
    ahead: f64,
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
    pub scores: ClassScores,
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
    pub fn class(&self, outputs: &Row) -> usize {
        match self.class {
            TargetClass::Fixed(class) => class,
            TargetClass::Other(class) => {
                largest_among(&self.scores.scores(outputs), |other| other != class)
                    .unwrap_or_default()
            }
        }
    }

    /// The probability of the class that counts.
    #[must_use]
    pub fn proba(&self, outputs: &Row) -> f64 {
        self.scores.scores(outputs)[self.class(outputs)]
    }

    /// The loss, at least 0. `outputs` has shape `(n_outputs,)`.
    #[must_use]
    pub fn value(&self, outputs: &Row) -> f64 {
        (self.proba(outputs) - self.target_proba).powi(2)
    }

    /// The derivative of the loss, shape `(n_outputs,)`.
    #[must_use]
    pub fn cotangent(&self, outputs: &Row) -> Array1<f64> {
        let values = self.scores.scores(outputs);
        let class = self.class(outputs);
        let slope = 2.0 * (values[class] - self.target_proba);
        self.scores.by_output(outputs, unit(&values, class, slope))
    }

    /// Whether the probability is within `tol` of the target.
    #[must_use]
    pub fn accepts(&self, outputs: &Row, tol: f64) -> bool {
        (self.proba(outputs) - self.target_proba).abs() <= tol
    }
}
