//! KernelSHAP, the crate `xai-shap`.

use xai_core::Explainer;
use xai_core::figure::{Figure, Panel, Table};
use xai_onnx::OnnxModel;
use xai_shap::{Importance, KernelShap, KernelShapData, KernelShapParams, importances};

use super::{Method, name_output};
use crate::data::Data;
use crate::explain::Prepared;
use crate::text;

/// Shapley values.
pub struct KernelShapMethod;

impl Method for KernelShapMethod {
    const NAME: &'static str = "kernel-shap";
    type Model = OnnxModel;
    type Params = KernelShapParams;
    type Explainer = KernelShap;
    type Data = KernelShapData;

    fn fit(params: KernelShapParams, data: &Data, _: &OnnxModel) -> xai_core::Result<KernelShap> {
        params.fit(&data.background, data.features.clone())
    }

    fn with_view(model: &OnnxModel, ask: impl FnOnce(<KernelShap as Explainer>::Model<'_>)) {
        ask(model.into());
    }

    fn takes_missing(params: &KernelShapParams) -> bool {
        params.allow_missing
    }

    fn figure(data: &KernelShapData, outputs: &[String]) -> Figure {
        let mut figure = data.figure();
        for panel in &mut figure.panels {
            match panel {
                Panel::Bars(bars) => name_output(&mut bars.title, outputs),
                Panel::Table(table) => {
                    table.rows.iter_mut().for_each(|row| name_output(&mut row[0], outputs));
                }
                _ => {}
            }
        }
        figure
    }

    fn summary(data: &[KernelShapData], job: &Prepared<Self>) -> xai_core::Result<Option<Figure>> {
        let ranked = importances(data)?;
        let Some(all) = ranked.get("aggregated") else { return Ok(None) };
        let n_outputs = ranked.len() - 1;
        let name = |output: usize| {
            job.outputs().get(output).cloned().unwrap_or_else(|| format!("output {output}"))
        };
        // One column for each output, and the sum of several.
        let mut columns: Vec<(String, &Importance)> =
            (0..n_outputs).map(|output| (name(output), &ranked[&output.to_string()])).collect();
        if 1 < n_outputs {
            columns.push(("sum".to_owned(), all));
        }
        let decimals = text::decimals(all.ranked_effect[0]);
        let row = |feature: &String| {
            let cell = |importance: &Importance| {
                let place = importance.names.iter().position(|name| name == feature);
                let effect = place.map(|place| importance.ranked_effect[place]);
                effect.map_or(String::new(), |effect| format!("{effect:.decimals$}"))
            };
            let cells = columns.iter().map(|(_, importance)| cell(importance));
            std::iter::once(feature.clone()).chain(cells).collect()
        };
        let table = Table {
            title: format!("Mean |SHAP value| of {} rows", data.len()),
            columns: std::iter::once("feature".to_owned())
                .chain(columns.iter().map(|(name, _)| name.clone()))
                .collect(),
            rows: all.names.iter().map(row).collect(),
        };
        let title = "Mean importances".to_owned();
        Ok(Some(Figure { title, panels: vec![Panel::Table(table)] }))
    }
}
