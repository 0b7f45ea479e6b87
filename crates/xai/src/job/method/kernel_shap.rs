//! KernelSHAP, the crate `xai-shap`.

use xai_core::figure::{Figure, Panel, Table, decimals};
use xai_core::{BlackBox, Explanation, OutputNames, ParamError};
use xai_shap::{Importance, KernelShap, KernelShapData, KernelShapParams, importances};

use super::{Job, Method, Summarised, name_output};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Shapley values.
pub(super) struct KernelShapMethod;

impl Method for KernelShapMethod {
    const NAME: &'static str = "kernel-shap";
    type Input = RowInput;
    type Params = KernelShapParams;
    type Data = KernelShapData;
    type Model<'m> = BlackBox<'m>;
    type Explainer<'t> = KernelShap;

    fn requirements(
        params: &KernelShapParams,
        _: &Job<'_>,
    ) -> Result<DataRequirements, ParamError> {
        Ok(DataRequirements {
            training: true,
            missing: params.allow_missing,
            ..DataRequirements::default()
        })
    }

    fn fit(
        params: KernelShapParams,
        training: &RowData,
        _: &JobModels<'_>,
    ) -> xai_core::Result<KernelShap> {
        params.fit(&training.background, training.features.clone())
    }

    fn model<'m>(models: &'m JobModels<'_>) -> BlackBox<'m> {
        models.black_box()
    }

    fn figure(explanation: &Explanation<KernelShapData>, outputs: &OutputNames) -> Figure {
        let mut figure = explanation.data.figure();
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

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let Summarised { data, outputs, .. } = summarised;
        let data: Vec<KernelShapData> = data.iter().map(|data| (*data).clone()).collect();
        let ranked = importances(&data)?;
        let Some(all) = ranked.get("aggregated") else { return Ok(None) };
        let n_outputs = ranked.len() - 1;
        // One column for each output, and the sum of several.
        let importance =
            |output: usize| (outputs.output(output, n_outputs), &ranked[&output.to_string()]);
        let mut columns: Vec<(String, &Importance)> = (0..n_outputs).map(importance).collect();
        if 1 < n_outputs {
            columns.push(("sum".to_owned(), all));
        }
        let decimals = decimals(all.ranked_effect[0]);
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
