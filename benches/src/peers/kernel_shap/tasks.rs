//! The tasks of KernelSHAP.

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, s};
use serde::Deserialize;
use xai_core::{Seed, Stream, serde_arrays};
use xai_shap::{Estimator, Link};

use super::{KernelShapSettings, RunSettings, truth};
use crate::adult::Adult;
use crate::first;
use crate::models::{Activation, Dense, Head, Layer, Model, Unanimity};
use crate::peers::{Bound, Case, Contender, Goal, Measure, Method, Ratio, Sources, TaskAbout};

/// Rows of Adult before this one are the training part.
const ADULT_TEST: usize = 30_000;

/// Time at default settings: twelve one-hot features and a logistic model.
pub(in crate::peers) fn adult(sources: &Sources) -> Result<Vec<Case>> {
    let task = TaskAbout {
        name: "kernel-shap-adult".to_owned(),
        title: "KernelSHAP on the shape of Adult".to_owned(),
        about: [
            "12 features in 12 groups of columns, 100 background rows, 10 instances (5 for shap, 2 for alibi), a logistic model with 2 outputs, values in log-odds.",
            "Cases `uniform`: 12 one-hot features of 4 categories in 48 columns, all categories equally likely, so that few synthetic rows coincide.",
            "Case `adult`: rows of UCI Adult in 55 columns, 4 numbers and 8 one-hot features.",
            "The peers sample coalitions at their default settings; `all-features` is shap with `l1_reg=False`, since its default keeps 10 features only.",
            "Cases `exact` set our exact values against them, case `default` our default settings, which sample at 12 features too.",
            "shap explains 12 coded columns and the predictor turns codes into one-hot columns, because shap has no public way to group columns.",
            "The squared error is relative to the squared exact values.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: Some(60_000_000),
    };
    let shap = ["default", "all-features"].map(|method| contender("shap", method, 5, Some(20.0)));
    let mut all = shap.to_vec();
    all.push(contender("alibi", "default", 2, Some(100.0)));
    let case = |name: &str, estimator, contenders, table: Table, groups| {
        let link = Link::Logit;
        let settings = KernelShapSettings { estimator, link, groups, ..once() };
        let truth = Some(truth::enumerated(&settings, &table)?);
        table.case(&task, name, contenders, KernelShapSettings { truth, ..settings })
    };
    let (table, groups) = uniform();
    let mut cases = vec![
        case("uniform-exact", Estimator::Exact, all.clone(), table.clone(), groups.clone())?,
        case("uniform-default", Estimator::Auto, shap.to_vec(), table, groups)?,
    ];
    if let Some(folder) = &sources.adult {
        let adult = Adult::load(folder)?;
        let groups = Some(groups_of(&adult));
        let instances = adult.rows.slice(s![ADULT_TEST..ADULT_TEST + 10, ..]).to_owned();
        let background = first(&adult.rows, 100);
        let table = Table { model: Model::Dense(adult.logistic), background, instances };
        cases.push(case("adult-exact", Estimator::Exact, all, table, groups)?);
    }
    Ok(cases)
}

/// Rows by the thousand, to see where the time goes.
pub(in crate::peers) fn adult_batch(sources: &Sources) -> Result<Vec<Case>> {
    const ROWS: usize = 2560;
    let Some(folder) = &sources.adult else { return Ok(Vec::new()) };
    let task = TaskAbout {
        name: "kernel-shap-adult-batch".to_owned(),
        title: "KernelSHAP for 2,560 rows of Adult".to_owned(),
        about: [
            "2,560 rows of UCI Adult in one call: 12 features in 55 columns, 100 background rows, exact values of both classes, a network with 32 and 16 relu units.",
            "The share of the model is the time inside its calls, summed over threads, in the wall clock times the threads.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: None,
    };
    let adult = Adult::load(folder)?;
    ensure!(ADULT_TEST + ROWS <= adult.rows.nrows(), "adult.csv has too few rows");
    let instances = adult.rows.slice(s![ADULT_TEST..ADULT_TEST + ROWS, ..]).to_owned();
    let groups = Some(groups_of(&adult));
    let background = first(&adult.rows, 100);
    let table = Table { model: Model::Dense(adult.network), background, instances };
    let settings = KernelShapSettings { estimator: Estimator::Exact, groups, ..once() };
    Ok(vec![table.case(&task, "exact", Vec::new(), settings)?])
}

/// What there is to explain.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) model: Model,
    pub(super) background: Array2<f64>,
    pub(super) instances: Array2<f64>,
}

impl Table {
    /// A case about this table.
    fn case(
        self,
        task: &TaskAbout,
        name: &str,
        contenders: Vec<Contender>,
        settings: KernelShapSettings,
    ) -> Result<Case> {
        let predictions = self.predictions(settings.link)?;
        Ok(Case {
            task: task.clone(),
            case: name.to_owned(),
            contenders,
            model_share_goal: None,
            explainer: Method::KernelShap(KernelShapSettings { predictions, ..settings }),
            model: self.model,
            data: self.background,
            instances: self.instances,
        })
    }

    /// The model's outputs for the instances on the scale of the link.
    #[allow(clippy::disallowed_methods, reason = "what the explanations are compared with")]
    fn predictions(&self, link: Link) -> Result<Array2<f64>> {
        let outputs = self.model.predictor()?.predict(&self.instances);
        let outputs = outputs.map_err(|error| anyhow::anyhow!("the model: {error}"))?;
        Ok(match link {
            Link::Identity => outputs,
            Link::Logit => outputs.mapv(|p| (p / (1.0 - p)).ln()),
        })
    }
}

/// One run at default settings.
pub(super) fn once() -> KernelShapSettings {
    KernelShapSettings {
        estimator: Estimator::Auto,
        link: Link::Identity,
        groups: None,
        runs: vec![RunSettings { nsamples: None, seed: 0 }],
        predictions: Array2::zeros((0, 0)),
        truth: None,
    }
}

fn contender(peer: &str, method: &str, instances: usize, speed: Option<f64>) -> Contender {
    let goal = |ratio| Goal { ratio: Ratio::Speed, bound: Bound::AtLeast(ratio) };
    let goals = speed.map(goal).into_iter().collect();
    Contender { peer: peer.to_owned(), method: method.to_owned(), instances, goals }
}

/// The columns of each feature.
fn groups_of(adult: &Adult) -> Vec<Vec<usize>> {
    (0..adult.features.len()).map(|feature| adult.features.columns(feature).collect()).collect()
}

/// Twelve one-hot features of four categories each and a logistic model.
fn uniform() -> (Table, Option<Vec<Vec<usize>>>) {
    const GROUPS: usize = 12;
    const CATEGORIES: usize = 4;
    let mut stream = Seed::new(1).stream();
    let width = GROUPS * CATEGORIES;
    let mut one_hot = |n_rows: usize| {
        let mut rows = Array2::zeros((n_rows, width));
        for mut row in rows.rows_mut() {
            for group in 0..GROUPS {
                row[group * CATEGORIES + stream.index(CATEGORIES)] = 1.0;
            }
        }
        rows
    };
    let (background, instances) = (one_hot(100), one_hot(10));
    // The second class carries the weights, so that the log-odds are one linear function.
    let mut weight = Array2::zeros((width, 2));
    weight.column_mut(1).mapv_inplace(|_: f64| 2.0 * stream.uniform() - 1.0);
    let layers = vec![Layer { weight, bias: Array1::zeros(2) }];
    let model = Dense { layers, activation: Activation::Relu, head: Head::Softmax };
    let group = |group| (group * CATEGORIES..(group + 1) * CATEGORIES).collect();
    let groups = Some((0..GROUPS).map(group).collect());
    (Table { model: Model::Dense(model), background, instances }, groups)
}

/// What `train_models.py` wrote.
#[derive(Deserialize)]
struct Trained {
    model: Model,
    #[serde(with = "serde_arrays")]
    background: Array2<f64>,
    #[serde(with = "serde_arrays")]
    instances: Array2<f64>,
}

macro_rules! trained {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../peers/models/", $name, ".json")))),*]
    };
}

/// What competes on error.
const ERROR_CONTENDERS: [(&str, &str); 10] = [
    ("shap", "all-features"),
    ("shapiq", "KernelSHAP"),
    ("shapiq", "LeverageSHAP"),
    ("shapiq", "PermutationSamplingSV"),
    ("shapiq", "SVARM"),
    ("shapiq", "UnbiasedKernelSHAP"),
    ("shapiq", "PolySHAP"),
    ("shapiq", "OddSHAP"),
    ("shapiq", "RegressionMSR"),
    ("shapiq", "ProxySHAP"),
];

/// Squared error of the sampled values at 8 and 32 coalitions per player.
pub(in crate::peers) fn error(_: &Sources) -> Result<Vec<Case>> {
    const SEEDS: u64 = 4;
    const LARGE_SAMPLE: usize = 1 << 21;
    let task = TaskAbout {
        name: "kernel-shap-error".to_owned(),
        title: "KernelSHAP's error at equal numbers of coalitions".to_owned(),
        about: [
            "Boosted trees and tanh networks that learned a nonlinear target of 12, 16 and 30 columns (5, 2 and 2 background rows), and sums of 100 products of up to 20 of 60 columns.",
            "4 instances with 4 seeds each; every method may evaluate 8 or 32 coalitions per player, besides the empty and the full one, and has its default settings otherwise (shap: `l1_reg=False`).",
            "The error is the mean of the squared distance to the true values relative to their squared length.",
            "`KernelSHAP` is what shapiq's `TabularExplainer` takes on its own for Shapley values.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Error,
        processor_time: false,
        memory_goal: None,
    };
    let contenders = ERROR_CONTENDERS.map(|(peer, method)| contender(peer, method, 4, None));
    let case = |(name, table): (&str, Table)| {
        let n_players = table.background.ncols();
        let run = |(per_player, seed)| RunSettings { nsamples: Some(per_player * n_players), seed };
        let budgets = [8, 32].into_iter();
        let settings = KernelShapSettings {
            estimator: Estimator::Paired,
            runs: budgets.flat_map(|b| (0..SEEDS).map(move |seed| (b, seed))).map(run).collect(),
            ..once()
        };
        let truth = match &table.model {
            Model::Trees(trees) => truth::of_trees(trees, &table.background, &table.instances),
            Model::Unanimity(games) => truth::of_unanimity(games, &table.instances),
            _ if n_players <= 16 => truth::enumerated(&settings, &table)?,
            _ => truth::sampled(&settings, &table, LARGE_SAMPLE)?,
        };
        let settings = KernelShapSettings { truth: Some(truth), ..settings };
        table.case(&task, name, contenders.to_vec(), settings)
    };
    error_tables()?.into_iter().map(case).collect()
}

/// What [`error`] explains.
pub(super) fn error_tables() -> Result<Vec<(&'static str, Table)>> {
    let mut tables = Vec::new();
    for (name, text) in
        trained!["trees-12", "trees-16", "trees-30", "network-12", "network-16", "network-30"]
    {
        let Trained { model, background, instances } =
            serde_json::from_str(text).with_context(|| name.to_owned())?;
        tables.push((name, Table { model, background, instances }));
    }
    let mut stream = Seed::new(2).stream();
    let games = unanimity_games(&mut stream, 60);
    let instances = Array2::from_shape_simple_fn((4, 60), || 0.5 + stream.uniform());
    let background = Array2::zeros((1, 60));
    tables.push(("unanimity-60", Table { model: Model::Unanimity(games), background, instances }));
    Ok(tables)
}

/// 100 products of 1 to 20 columns with coefficients in `[-1, 1)`.
fn unanimity_games(stream: &mut Stream, n_columns: usize) -> Unanimity {
    let (mut members, mut coefficients) = (Vec::new(), Vec::new());
    let mut columns: Vec<usize> = (0..n_columns).collect();
    for _ in 0..100 {
        stream.shuffle(&mut columns);
        members.push(columns[..1 + stream.index(20)].to_vec());
        coefficients.push(2.0 * stream.uniform() - 1.0);
    }
    Unanimity { members, coefficients }
}
