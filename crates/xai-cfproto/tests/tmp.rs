//! Numbers of the reference library.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use serde::Deserialize;
use xai_cfproto::distance::{CodedTable, Smoothing, abdm, mvdm};
use xai_cfproto::neighbors::{Metric, Spread};
use xai_cfproto::scaling::Scaling;
use xai_cfproto::trust::{Filter, TrustScoreParams};
use xai_cfproto::{CfProtoModel, CfProtoParams};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Differentiable, Explainer, PerFeature, Rows, Run, Semantics};
use xai_testkit::{Digits, Fixture};

#[derive(Deserialize)]
struct CfFile {
    cases: Vec<CfCase>,
}

#[derive(Deserialize)]
struct CfCase {
    name: String,
    model: String,
    params: CfSettings,
    instance: Values,
    result: Option<Values>,
    id_proto: usize,
}

#[derive(Deserialize)]
struct CfSettings {
    theta: f64,
    #[serde(default)]
    gamma: f64,
    #[serde(default)]
    use_kdtree: bool,
    feature_range: (Values, Values),
    max_iterations: usize,
    c_init: f64,
    c_steps: usize,
    k: Option<usize>,
    #[serde(default)]
    k_type: Option<Spread>,
    white_box: bool,
}

/// Numbers in lists of any depth, in their order.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(f64),
    Many(Vec<Values>),
}

impl Values {
    fn flat(&self) -> Vec<f64> {
        match self {
            Values::One(value) => vec![*value],
            Values::Many(values) => values.iter().flat_map(Values::flat).collect(),
        }
    }

    fn by_feature(&self) -> PerFeature {
        match self {
            Values::One(value) => PerFeature::All(*value),
            Values::Many(_) => PerFeature::Each(self.flat()),
        }
    }
}

/// A model as both kinds of box.
fn view(model: &dyn Differentiable, white_box: bool) -> CfProtoModel<'_> {
    if white_box { CfProtoModel::white_box(model) } else { CfProtoModel::black_box(model) }
}

fn elastic_net(from: &[f64], to: &[f64]) -> f64 {
    let changes = || from.iter().zip(to).map(|(from, to)| to - from);
    changes().map(|by| by * by).sum::<f64>() + 0.1 * changes().map(f64::abs).sum::<f64>()
}

#[test]
fn counterfactuals_are_no_farther_than_those_of_alibi() {
    let file: CfFile =
        serde_json::from_str(include_str!("golden/counterfactuals_proto.json")).unwrap();
    let digits = Digits::load();
    for case in file.cases {
        let settings = &case.params;
        let fixture = (case.model != "digits").then(|| Fixture::load(&case.model));
        let network: &dyn Differentiable = match &fixture {
            Some(fixture) => &fixture.network,
            None => &digits.classifier,
        };
        let train: &Rows = fixture.as_ref().map_or(&digits.x_train, |fixture| &fixture.x_train);
        let mut model = view(network, settings.white_box);
        if fixture.is_none() {
            model = model.with_encoder(&digits.encoder).with_autoencoder(&digits.autoencoder);
        }
        let params = CfProtoParams {
            theta: settings.theta,
            gamma: settings.gamma,
            use_kdtree: settings.use_kdtree,
            feature_range: Some((
                settings.feature_range.0.by_feature(),
                settings.feature_range.1.by_feature(),
            )),
            widen_range: true,
            max_iterations: settings.max_iterations,
            c_init: settings.c_init,
            c_steps: settings.c_steps,
            k: settings.k,
            k_type: settings.k_type.unwrap_or(Spread::Mean),
            ..Default::default()
        };
        for (patience, polish, sparsify) in [(50, false, true), (0, false, true), (50, false, false)] {
        let params = CfProtoParams { patience, polish: Some(polish), sparsify, ..params.clone() };
        let features = Features::unnamed(train.ncols()).unwrap();
        let explainer = params.fit(&model, train, features, &mut Run::seeded(0)).unwrap();
        let x = Array1::from(case.instance.flat());
        let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
        let data = explanation.data;
        let theirs =
            case.result.as_ref().map(|row| elastic_net(&case.instance.flat(), &row.flat()));
        println!(
            "{} {:?} {:?} theirs {theirs:?} ours {:?} {:?} {} {:?}",
            case.name,
            data.id_proto,
            case.id_proto,
            data.cf.as_ref().map(|cf| (cf.distance, cf.class, cf.changes.len())),
            data.status,
            explanation.meta.queries,
            data.route
        );
    }
    }
}
