//! AnchorTabular, the crate `xai-anchors`.

use xai_anchors::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Missing, Pick, Rule, submodular_pick,
};
use xai_core::figure::{Figure, Panel, Table};
use xai_core::{BlackBox, ParamError};

use super::{Job, Method, Summarised, searches};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Anchors: rules under which the model decides as it does for a row.
pub(super) struct AnchorTabularMethod;

/// The most anchors that a summary shows.
const N_PICKED: usize = 10;

impl Method for AnchorTabularMethod {
    const NAME: &'static str = "anchor-tabular";
    type Input = RowInput;
    type Params = AnchorTabularParams;
    type Data = AnchorTabularData;
    type Model<'m> = BlackBox<'m>;
    type Explainer<'t> = AnchorTabular;

    fn requirements(
        params: &AnchorTabularParams,
        _: &Job<'_>,
    ) -> Result<DataRequirements, ParamError> {
        let missing = params.missing == Missing::OwnBin;
        Ok(DataRequirements { training: true, missing, bins: true })
    }

    /// The cuts of the params stand before those of the model.
    fn fit(
        mut params: AnchorTabularParams,
        training: &RowData,
        _: &JobModels<'_>,
    ) -> xai_core::Result<AnchorTabular> {
        for (name, edges) in &training.edges {
            params.edges.entry(name.clone()).or_insert_with(|| edges.clone());
        }
        params.fit(&training.background, training.features.clone())
    }

    fn model<'m>(models: &'m JobModels<'_>) -> BlackBox<'m> {
        models.black_box()
    }

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let Summarised { data, training, outputs } = summarised;
        let is_valid = |data: &&&AnchorTabularData| data.result.valid;
        let valid: Vec<&AnchorTabularData> = data.iter().filter(is_valid).copied().collect();
        let rules: Vec<Rule> = valid.iter().map(|data| data.rule.clone()).collect();
        let picks = submodular_pick(&rules, &training.features, &training.background, N_PICKED)?;
        let mut panels = vec![Panel::Table(ends(data))];
        if !picks.is_empty() {
            let row = |pick: &Pick| {
                let data = valid[pick.rule];
                let shares = [precision(data), data.result.coverage, pick.coverage];
                [joined(&data.anchor), data.result.decision_name(outputs)]
                    .into_iter()
                    .chain(shares.map(percent))
                    .collect()
            };
            let columns = ["anchor", "decision", "precision", "coverage", "covered so far"];
            let n_rows = training.background.nrows();
            panels.push(Panel::Table(Table {
                title: format!("Anchors that together cover most of the {n_rows} training rows"),
                columns: columns.map(str::to_owned).to_vec(),
                rows: picks.iter().map(row).collect(),
            }));
        }
        Ok(Some(Figure { title: format!("Anchors of {} rows", data.len()), panels }))
    }
}

/// How the searches ended, and what they found on average.
fn ends(data: &[&AnchorTabularData]) -> Table {
    let row = |(status, alike): (String, Vec<&&AnchorTabularData>)| {
        let mean = |share: fn(&AnchorTabularData) -> f64| {
            percent(alike.iter().map(|data| share(data)).sum::<f64>() / alike.len() as f64)
        };
        vec![status, alike.len().to_string(), mean(precision), mean(|data| data.result.coverage)]
    };
    let groups = searches::by_status(data, |data| &data.result.status);
    let columns = ["status", "rows", "mean precision", "mean coverage"];
    searches::table_of_statuses(columns, groups.into_iter().map(row).collect())
}

/// The precision on fresh samples, or else the one of the search.
fn precision(data: &AnchorTabularData) -> f64 {
    data.result
        .certificate
        .as_ref()
        .map_or(data.result.precision, |certificate| certificate.precision)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Conditions in words.
fn joined(conditions: &[String]) -> String {
    if conditions.is_empty() { "anything".to_owned() } else { conditions.join(" AND ") }
}
