//! AnchorTabular, the crate `xai-anchors`.

use std::collections::BTreeMap;

use xai_anchors::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Missing, Rule, Status, submodular_pick,
};
use xai_core::Explainer;
use xai_core::figure::{Figure, Panel, Table};
use xai_core::tabular::discretizer::Edges;
use xai_onnx::OnnxModel;

use super::{Method, anchors};
use crate::data::Data;
use crate::explain::Prepared;

/// Anchors: rules under which the model decides as it does for a row.
pub struct AnchorTabularMethod;

/// The most anchors that a summary shows.
const N_PICKED: usize = 10;

impl Method for AnchorTabularMethod {
    const NAME: &'static str = "anchor-tabular";
    type Model = OnnxModel;
    type Params = AnchorTabularParams;
    type Explainer = AnchorTabular;
    type Data = AnchorTabularData;

    fn fit(
        params: AnchorTabularParams,
        data: &Data,
        _: &OnnxModel,
    ) -> xai_core::Result<AnchorTabular> {
        params.fit(&data.background, data.features.clone())
    }

    fn with_view(model: &OnnxModel, ask: impl FnOnce(<AnchorTabular as Explainer>::Model<'_>)) {
        ask(model.into());
    }

    fn takes_missing(params: &AnchorTabularParams) -> bool {
        params.missing == Missing::OwnBin
    }

    fn edges(params: &mut AnchorTabularParams) -> Option<&mut BTreeMap<String, Edges>> {
        Some(&mut params.edges)
    }

    fn figure(data: &AnchorTabularData, outputs: &[String]) -> Figure {
        let decision = decision(&data.rule, outputs);
        let title = anchors::title(&decision, &data.anchor, (data.status, data.raw.success));
        Figure { title, ..data.figure() }
    }

    fn summary(
        data: &[AnchorTabularData],
        job: &Prepared<Self>,
    ) -> xai_core::Result<Option<Figure>> {
        let valid: Vec<&AnchorTabularData> = data.iter().filter(|data| data.raw.success).collect();
        let rules: Vec<Rule> = valid.iter().map(|data| data.rule.clone()).collect();
        let picks = submodular_pick(&rules, job.features(), job.background(), N_PICKED)?;
        let mut panels = vec![Panel::Table(by_status(data))];
        if !picks.is_empty() {
            let row = |pick: &xai_anchors::Pick| {
                let data = valid[pick.rule];
                let shares = [precision(data), data.coverage, pick.coverage];
                [anchors::conditions(&data.anchor), decision(&data.rule, job.outputs())]
                    .into_iter()
                    .chain(shares.map(percent))
                    .collect()
            };
            let columns = ["anchor", "decision", "precision", "coverage", "covered so far"];
            let n_rows = job.background().nrows();
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
fn by_status(data: &[AnchorTabularData]) -> Table {
    let statuses = [
        (Status::Found, "found"),
        (Status::Empty, "empty"),
        (Status::NotFound, "not found"),
        (Status::BudgetExhausted, "budget exhausted"),
    ];
    let mut rows = Vec::new();
    for (status, name) in statuses {
        let ended: Vec<_> = data.iter().filter(|data| data.status == status).collect();
        if ended.is_empty() {
            continue;
        }
        let mean = |share: fn(&AnchorTabularData) -> f64| {
            percent(ended.iter().map(|data| share(data)).sum::<f64>() / ended.len() as f64)
        };
        let means = [mean(precision), mean(|data| data.coverage)];
        let cells = [name.to_owned(), ended.len().to_string()];
        rows.push(cells.into_iter().chain(means).collect());
    }
    Table {
        title: "How the searches ended".to_owned(),
        columns: ["status", "rows", "mean precision", "mean coverage"].map(str::to_owned).to_vec(),
        rows,
    }
}

/// The precision on fresh samples, or else the one of the search.
fn precision(data: &AnchorTabularData) -> f64 {
    data.certificate.as_ref().map_or(data.precision, |certificate| certificate.precision)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// What the model decides, with the names of its outputs where there are some.
fn decision(rule: &Rule, outputs: &[String]) -> String {
    anchors::decision((&rule.output, rule.decision), outputs)
}
