//! KernelSHAP, the crate `xai-shap`.

use xai_core::figure::{Figure, Panel, Table, decimals};
use xai_core::{BlackBox, ParamError};
use xai_shap::{Importance, KernelShap, KernelShapData, KernelShapParams, importances};

use super::{Job, Method, Summarised};
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

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let Summarised { data, outputs, .. } = summarised;
        if data.is_empty() {
            return Ok(None);
        }
        let ranked = importances(data.iter().copied())?;
        let total = &ranked.total;
        // One column for each output, and the sum of several.
        let n_outputs = ranked.per_output.len();
        let names = &ranked.output_names;
        let importance = |output: usize| {
            (
                outputs
                    .given(output, n_outputs)
                    .map_or_else(|| names[output].clone(), str::to_owned),
                &ranked.per_output[output],
            )
        };
        let mut columns: Vec<(String, &Importance)> = (0..n_outputs).map(importance).collect();
        if 1 < n_outputs {
            columns.push(("sum".to_owned(), total));
        }
        let decimals = decimals(total.ranked_effect[0]);
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
            rows: total.names.iter().map(row).collect(),
        };
        let title = "Mean importances".to_owned();
        Ok(Some(Figure { title, panels: vec![Panel::Table(table)] }))
    }
}
