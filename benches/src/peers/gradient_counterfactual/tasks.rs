//! The cases of counterfactuals by gradient.

use anyhow::Result;
use ndarray::{Array2, Axis, concatenate, s};
use xai_cem::Mode;

use super::{GradientCounterfactualSettings, GradientRunSettings, ModelAccess, Search, VALID};
use crate::digits;
use crate::models::Model;
use crate::networks::Network;
use crate::peers::{Bound, Case, Contender, Goal, Measure, Method, Ratio, Sources, TaskAbout};
use crate::tables::Table;

/// How a case asks.
#[derive(Clone, Copy)]
enum Kind {
    /// Two instances, one after the other, with gradients.
    White,
    /// One instance without gradients.
    Black,
    /// 40 instances in one call, with gradients.
    Batch,
}

/// A model with its rows.
struct Subject {
    name: &'static str,
    model: Model,
    data: Array2<f64>,
    instances: Array2<f64>,
    feature_range: (Vec<f64>, Vec<f64>),
    kinds: &'static [Kind],
    /// The value of a feature that says nothing.
    no_info_val: f64,
    encoder: Option<Network>,
}

/// Irises, breast cancer and digits.
fn subjects() -> Result<[Subject; 3]> {
    let table = |name, table: Table, kinds| {
        let all = concatenate(Axis(0), &[table.train.view(), table.test.view()])?;
        let extreme = |better: fn(f64, f64) -> f64| {
            let columns = all.columns().into_iter();
            columns.map(|column| column.iter().copied().fold(column[0], better)).collect()
        };
        anyhow::Ok(Subject {
            name,
            model: Model::Dense(table.network),
            feature_range: (extreme(f64::min), extreme(f64::max)),
            data: table.train,
            instances: table.test,
            kinds,
            no_info_val: 0.0,
            encoder: None,
        })
    };
    let images = digits::images()?;
    let digits = Subject {
        name: "digits",
        model: Model::Network(Network::digits()?),
        data: images.slice(s![digits::N_TEST.., ..]).to_owned(),
        instances: images.slice(s![..digits::N_TEST, ..]).to_owned(),
        feature_range: (vec![-0.5; images.ncols()], vec![0.5; images.ncols()]),
        kinds: &[Kind::White, Kind::Black, Kind::Batch],
        no_info_val: -0.5,
        encoder: Some(Network::digits_encoder()?),
    };
    Ok([
        table("iris", Table::iris()?, &[Kind::White, Kind::Black])?,
        table("cancer", Table::cancer()?, &[Kind::White, Kind::Black, Kind::Batch])?,
        digits,
    ])
}

fn about(name: &str, title: &str, sentences: &[&str]) -> TaskAbout {
    let shared = [
        "`iris`: 4 standardised columns, 3 classes, a network with one layer of relu units; `cancer`: 30 standardised columns, 2 classes, two such layers; both in float64 on our side and where alibi asks a function, and in float32 in TensorFlow. `digits`: images of 8 by 8 cells, 10 classes, two convolutions and two dense layers, in float32 on both sides.",
        "Both sides are at their defaults and have the same range for each feature: that of all rows of a table, -0.5 to 0.5 for images.",
        "In cases `white` both have the gradients of the model, alibi those of a Keras model in graph mode, for two instances one after the other; in cases `black` both may ask for outputs alone, for one instance. In cases `batch` we explain 40 instances in one call; alibi, which takes one at a time, explains the first.",
        "Everything runs on one thread: the calls of alibi are too small to share among threads. The times are those of the processor, which other processes do not count in; ours is the mean of as many repetitions as fill a second. alibi warms up with a search that is cut short.",
        "Queries and calls of alibi are counted where it asks a function; where it has the Keras model they are not known.",
        "Both sides' answers are handed back to the same model. `found` is the share of instances with an answer, `valid answers` the share of instances with one that the model confirms, both of the instances that both sides explained; `distance` is the mean over those for which both have a valid answer.",
    ];
    TaskAbout {
        name: name.to_owned(),
        title: title.to_owned(),
        about: sentences.iter().chain(&shared).map(|&sentence| sentence.to_owned()).collect(),
        measure: Measure::Speed,
        processor_time: true,
        memory_goal: None,
    }
}

impl Subject {
    fn case(&self, task: &TaskAbout, suffix: &str, search: Search, kind: Kind) -> Case {
        let goal = |ratio, bound| Goal { ratio, bound };
        let (kind_name, n_instances, n_theirs, speed) = match kind {
            Kind::White => ("white", 2, 2, 100.0),
            Kind::Black => ("black", 1, 1, 300.0),
            Kind::Batch => ("batch", 40, 1, 1000.0),
        };
        let is_black = matches!(kind, Kind::Black);
        let mut goals = vec![goal(Ratio::Speed, Bound::AtLeast(speed))];
        goals.extend(is_black.then(|| goal(Ratio::Queries, Bound::AtMost(0.05))));
        goals.push(goal(Ratio::Quality(VALID.to_owned()), Bound::AtLeast(1.0)));
        let alibi = Contender {
            peer: "alibi".to_owned(),
            method: "default".to_owned(),
            instances: n_theirs,
            goals,
        };
        let settings = GradientCounterfactualSettings {
            search,
            access: if is_black { ModelAccess::BlackBox } else { ModelAccess::WhiteBox },
            together: matches!(kind, Kind::Batch),
            feature_range: self.feature_range.clone(),
            runs: vec![GradientRunSettings {}],
        };
        Case {
            task: task.clone(),
            case: format!("{}{suffix}-{kind_name}", self.name),
            contenders: vec![alibi],
            model_share_goal: matches!(self.model, Model::Network(_)).then_some(0.6),
            explainer: Method::GradientCounterfactual(settings),
            model: self.model.clone(),
            data: self.data.clone(),
            instances: self.instances.slice(s![..n_instances, ..]).to_owned(),
        }
    }
}

/// Contrastive explanations.
pub(in crate::peers) fn cem(_: &Sources) -> Result<Vec<Case>> {
    let task = about(
        "cem",
        "Contrastive explanations",
        &[
            "Pertinent negatives, the least change that makes the class another one; in case `iris-positive-white` pertinent positives, the least of the instance that keeps it.",
            "The value without information is 0, the mean, in tables, and the background, -0.5, in images. Features of pertinent negatives move away from it; those of alibi may lie beyond it too, and ours in case `cancer-crossing-white`. The distance is `0.1 l1 + l2^2`, for pertinent positives from the value without information.",
        ],
    );
    let mut cases = Vec::new();
    for subject in subjects()? {
        let no_info_val = subject.no_info_val;
        let search = |mode, crossing| Search::Cem { mode, no_info_val, crossing };
        for &kind in subject.kinds {
            cases.push(subject.case(&task, "", search(Mode::PertinentNegative, false), kind));
        }
        match subject.name {
            "iris" => {
                let positive = search(Mode::PertinentPositive, false);
                cases.push(subject.case(&task, "-positive", positive, Kind::White));
            }
            "cancer" => {
                let crossing = search(Mode::PertinentNegative, true);
                cases.push(subject.case(&task, "-crossing", crossing, Kind::White));
            }
            _ => {}
        }
    }
    Ok(cases)
}

/// Counterfactuals guided by prototypes.
pub(in crate::peers) fn cfproto(_: &Sources) -> Result<Vec<Case>> {
    let task = about(
        "cfproto",
        "Counterfactuals guided by prototypes",
        &[
            "Prototypes with the weight 10: training rows, by a k-d tree, in tables; classes' mean encodings in images, of 60 images and the trained encoder of an autoencoder.",
            "The distance is `0.1 l1 + l2^2`; what the search makes small has the distance from the prototype besides. The share in the model counts the encoder too.",
        ],
    );
    let mut cases = Vec::new();
    for subject in subjects()? {
        for &kind in subject.kinds {
            let search = Search::Cfproto { theta: 10.0, encoder: subject.encoder.clone() };
            cases.push(subject.case(&task, "", search, kind));
        }
    }
    Ok(cases)
}

/// The counterfactuals of Wachter et al.
pub(in crate::peers) fn counterfactual(_: &Sources) -> Result<Vec<Case>> {
    let task = about(
        "counterfactual",
        "Gradient counterfactuals",
        &[
            "The closest row by `l1` to which the model gives another class with a probability of 1, by no more than 0.05 less.",
        ],
    );
    let mut cases = Vec::new();
    for subject in subjects()? {
        let cases_of = |&kind| subject.case(&task, "", Search::Counterfactual, kind);
        cases.extend(subject.kinds.iter().map(cases_of));
    }
    Ok(cases)
}
