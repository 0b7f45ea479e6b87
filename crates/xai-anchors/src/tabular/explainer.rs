//! AnchorTabular: the predicates of a row, the search for an anchor among them, the explanation.

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::decision::OutputSource;
use xai_core::tabular::{Features, Kind};
use xai_core::{
    BlackBox, Error, Explainer, MethodInfo, ModelKind, Output, Predictor, Result, Row, Rows, Run,
    Status, Valid, same_shape, serde_arrays,
};

use super::condition::{Condition, Operator, Predicate, Test, merge};
use super::data::{AnchorTabularData, Candidate, Examples};
use super::params::{AnchorTabularParams, Missing};
use super::perturbation::{Instance, Perturbations, Shared, Source};
use super::rule::{Rule, RuleCondition};
use super::table::{Column, Table};
use crate::data::{Coverage, Decision, Estimate, Queries};
use crate::search::{Outcome, Prefix, Ranked, ResultParts, SampleId, search};

/// Why there are no predicates, where there are none.
const NO_PREDICATES: &str = "no feature has different values in the training rows";

/// Anchors of rows: conditions on a few features that are enough for the model's decision, whatever the others are.
/// Made by [`AnchorTabularParams::fit`].
///
/// # Cost
/// One query for the row, `min_samples_start` for the empty anchor, twice `batch_size` for each step of the bandit,
/// `final_samples` for the certificate; at most `1 + max_samples + final_samples` in all, unless the search is strict,
/// which needs a certificate for each anchor that it tests. Rows that are explained in one call share the answers to
/// perturbations they have in common; each counts what it would cost alone.
///
/// # Source
/// Ribeiro, Singh & Guestrin 2018, "Anchors: high-precision model-agnostic explanations", AAAI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct AnchorTabular {
    params: Valid<AnchorTabularParams>,
    features: Features,
    #[serde(with = "serde_arrays")]
    training: Array2<f64>,
    #[serde(skip)]
    table: Table,
}

/// What is kept of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<AnchorTabularParams>,
    features: Features,
    #[serde(with = "serde_arrays")]
    training: Array2<f64>,
}

impl TryFrom<Saved> for AnchorTabular {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        AnchorTabular::new(saved.params, &saved.training, saved.features)
    }
}

impl AnchorTabular {
    pub(crate) fn new(
        params: Valid<AnchorTabularParams>,
        training: &Rows,
        features: Features,
    ) -> Result<Self> {
        // One row after the other in memory, as perturbations copy them.
        let training = training.as_standard_layout().into_owned();
        let table = Table::new(&params, &features, &training)?;
        Ok(AnchorTabular { params, features, training, table })
    }

    /// The settings it was fitted with.
    #[must_use]
    pub fn params(&self) -> &AnchorTabularParams {
        &self.params
    }

    /// The table it was fitted to.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The cuts of a numeric feature, ascending; none for a categorical one. One with all training rows on one side is a
    /// predicate for rows on the other side alone.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn edges(&self, feature: usize) -> &[f64] {
        match &self.table.columns[feature] {
            Column::Numeric(numeric) => numeric.edges.as_slice(),
            Column::Categorical { .. } => &[],
        }
    }

    /// The predicates of a row: its categories, and for each edge of a numeric feature the side it is on.
    fn predicates(&self, x: &Row) -> Result<Vec<Predicate>> {
        let codes = self.features.coded(x)?;
        let tries_all = self.params.conventions().tries_what_always_holds();
        let mut predicates = Vec::new();
        for (feature, (column, &value)) in self.table.columns.iter().zip(&codes).enumerate() {
            let mut push = |test: Test| predicates.push(Predicate { feature, test });
            match column {
                Column::Categorical { .. } => push(Test::Equal(whole(value))),
                Column::Numeric(_) if value.is_nan() => push(Test::Missing),
                Column::Numeric(numeric) => {
                    if numeric.present.count < self.table.n_rows() {
                        push(Test::Present);
                    }
                    for (edge, &cut) in numeric.edges.as_slice().iter().enumerate() {
                        let test =
                            if value <= cut { Test::AtMost(edge) } else { Test::Above(edge) };
                        let n_rows = self.table.satisfying(Predicate { feature, test }).count;
                        if tries_all || n_rows < numeric.present.count || n_rows == 0 {
                            push(test);
                        }
                    }
                }
            }
        }
        Ok(predicates)
    }

    /// One row, with the answers to perturbations that other rows of the call have asked about.
    fn explain_one<'t>(
        &'t self,
        model: &dyn Predictor,
        x: &Row,
        shared: &mut Shared<'t>,
        run: &mut Run<'_>,
    ) -> Result<AnchorTabularData> {
        let predicates = self.predicates(x)?;
        let settings = self.params.search();
        settings.require_budget(run)?;
        let before = run.queries();
        let outputs = run.predict(model, &x.view().insert_axis(Axis(0)))?;
        let decision = Decision::new(&settings.output, model, &outputs.row(0), run)?;
        let source = Source {
            features: &self.features,
            training: &self.training,
            table: &self.table,
            sampling: self.params.sampling,
        };
        let instance = Instance { x, predicates: &predicates, decision: &decision };
        let mut perturbations = Perturbations::new(source, model, instance, shared);
        let outcome = search(&settings, &mut perturbations, run)?;
        let queries = outcome.queries(run.queries() - before);
        self.warn(&predicates, &outcome, run);
        let examples = |ids: &[SampleId]| perturbations.examples(ids);
        Ok(self.data(instance, &outcome, queries, &examples))
    }

    fn warn(&self, predicates: &[Predicate], outcome: &Outcome, run: &mut Run<'_>) {
        let unseen: Vec<&str> = predicates
            .iter()
            .filter(|&&predicate| self.table.satisfying(predicate).count == 0)
            .map(|predicate| self.name(predicate.feature))
            .collect();
        if !unseen.is_empty() {
            let message = format!(
                "no training row has the row's value of {}; perturbations of anchors with this condition take the value of the row",
                unseen.join(", ")
            );
            run.warn("anchors.unseen_value", message);
        }
        if outcome.status == Status::NotFound {
            let message = "no anchor meets the precision constraint; more or other cuts of numeric features (disc_perc, edges) or a wider beam (beam_size) may find one";
            run.warn("anchors.not_found", message);
        }
    }

    fn name(&self, feature: usize) -> &str {
        let feature = self.features.iter().nth(feature).expect("predicates are of features");
        &feature.name
    }

    fn data(
        &self,
        instance: Instance<'_>,
        outcome: &Outcome,
        queries: Queries,
        examples: &dyn Fn(&[SampleId]) -> Array2<f64>,
    ) -> AnchorTabularData {
        let order: Vec<usize> = outcome.prefixes.iter().map(|prefix| prefix.predicate).collect();
        let rule = self.rule(instance, &order);
        let predicates = self.described(instance, outcome);
        let coverage_of = predicates
            .last()
            .map_or_else(|| self.coverage(self.table.n_coverage()), |last| last.coverage.clone());
        let examples_of = |prefix: &Prefix| {
            let [covered_true, covered_false] = prefix.examples.each_ref().map(|ids| examples(ids));
            Examples { covered_true, covered_false }
        };
        let candidate = |ranked: &Ranked| {
            let rule = self.rule(instance, &ranked.order);
            Candidate {
                anchor: rule.texts(),
                rule,
                precision: Estimate::new(ranked.counts, self.params.search.delta),
                coverage: self.coverage(ranked.n_covered),
                valid: ranked.valid,
            }
        };
        AnchorTabularData {
            anchor: rule.texts(),
            result: outcome.result(ResultParts {
                search: &self.params.search,
                decision: instance.decision,
                coverage_of,
                queries,
                no_predicates: NO_PREDICATES,
            }),
            predicates,
            rule,
            examples: outcome.prefixes.iter().map(examples_of).collect(),
            candidates: outcome.candidates.iter().map(candidate).collect(),
            instance: instance.x.to_owned(),
        }
    }

    fn coverage(&self, n_covered: usize) -> Coverage {
        let exact = self.table.is_exact();
        Coverage::new(n_covered, self.table.n_coverage(), exact, self.params.search.delta)
    }

    /// The predicates of the anchor, with the precision that each adds.
    fn described(&self, instance: Instance<'_>, outcome: &Outcome) -> Vec<super::data::Predicate> {
        let mut described = Vec::with_capacity(outcome.prefixes.len());
        for (prefix, (precision, gain)) in
            outcome.prefixes.iter().zip(outcome.gains(self.params.search.delta))
        {
            let Predicate { feature, test } = instance.predicates[prefix.predicate];
            let edge = |edge: usize| self.edges(feature)[edge];
            let (op, value, edge_index) = match test {
                Test::Equal(code) => (Operator::Eq, Some(code as f64), None),
                Test::AtMost(index) => (Operator::Le, Some(edge(index)), Some(index)),
                Test::Above(index) => (Operator::Gt, Some(edge(index)), Some(index)),
                Test::Missing => (Operator::Missing, None, None),
                Test::Present => (Operator::Present, None, None),
            };
            let category = match test {
                Test::Equal(code) => Some(self.category(feature, code)),
                _ => None,
            };
            let name = self.name(feature).to_owned();
            let text = self.text(feature, test.condition(), instance);
            let coverage = self.coverage(prefix.n_covered);
            described.push(super::data::Predicate {
                feature,
                name,
                text,
                op,
                value,
                category,
                edge_index,
                precision,
                gain,
                coverage,
            });
        }
        described
    }

    fn category(&self, feature: usize, code: usize) -> String {
        match &self.features.iter().nth(feature).expect("predicates are of features").kind {
            Kind::Categorical { categories, .. } => categories[code].clone(),
            Kind::Numeric => unreachable!("codes are of categorical features"),
        }
    }

    /// Predicates as conditions, one for each feature.
    fn rule(&self, instance: Instance<'_>, order: &[usize]) -> Rule {
        let condition = |(feature, condition): (usize, Condition)| {
            let edge = |index: usize| self.edges(feature)[index];
            let (code, lower, upper, missing) = match condition {
                Condition::Code(code) => (Some(code), None, None, None),
                Condition::Range { lower, upper } => {
                    (None, lower.map(edge), upper.map(edge), Some(false))
                }
                Condition::Missing => (None, None, None, Some(true)),
            };
            let text = self.text(feature, condition, instance);
            RuleCondition { feature, text, code, lower, upper, missing }
        };
        let merged = merge(order.iter().map(|&id| instance.predicates[id]));
        let Decision { reading, value, .. } = instance.decision;
        // What was assumed from the outputs of one row is assumed again from those of the next.
        let output = match reading.source() {
            OutputSource::Assumed => Output::Auto,
            _ => reading.meaning().clone(),
        };
        Rule { conditions: merged.into_iter().map(condition).collect(), decision: *value, output }
    }

    /// A condition in words, true of the instance and of the training rows that satisfy it, and of no others.
    fn text(&self, feature: usize, condition: Condition, instance: Instance<'_>) -> String {
        let name = self.name(feature);
        match (&self.table.columns[feature], condition) {
            (_, Condition::Code(code)) => format!("{name} = {}", self.category(feature, code)),
            (_, Condition::Range { lower: None, upper: None }) => format!("{name} is not missing"),
            (Column::Numeric(numeric), Condition::Range { lower, upper }) => {
                let value = instance.x[self.features.columns(feature).start];
                numeric.edges.describe_beside(name, lower, upper, &numeric.neighbors, value)
            }
            _ => format!("{name} is missing"),
        }
    }
}

/// A code that was checked to be one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number in range"
)]
fn whole(code: f64) -> usize {
    code as usize
}

impl Explainer for AnchorTabular {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = AnchorTabularData;
    const INFO: MethodInfo =
        MethodInfo { name: "anchor-tabular", kind: ModelKind::BlackBox, scope: &["local"] };

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.features.n_columns()], x.shape())?;
        let is_bad = |value: f64| {
            value.is_infinite() || (self.params.missing == Missing::Error && value.is_nan())
        };
        if let Some(at) = x.iter().position(|&value| is_bad(value)) {
            return Err(Error::NotFinite { what: "the input", at: vec![at], value: x[at] });
        }
        self.features.check("the input", &x.view().insert_axis(Axis(0)))
    }

    /// Rows of one call share answers; more of them would share more, and leave other threads idle.
    const MAX_BATCH: usize = 64;

    fn compute(
        &self,
        model: BlackBox<'_>,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<AnchorTabularData> {
        let model = model.predictor();
        self.explain_one(model, x, &mut Shared::default(), run)
    }

    fn compute_batch(
        &self,
        model: BlackBox<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<AnchorTabularData>>> {
        let model = model.predictor();
        let mut shared = Shared::default();
        let each = inputs.iter().zip(runs);
        Ok(each.map(|(x, run)| self.explain_one(model, x, &mut shared, run)).collect())
    }
}
