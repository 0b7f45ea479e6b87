//! Numbers of other libraries, from files shipped with this crate.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Array3, Axis};
use serde::Deserialize;
use serde_json::Value;
use xai_core::serde_arrays;

use crate::network::{Fixture, read};

/// A file of `fixtures/reference`, as text.
///
/// # Panics
/// When there is no such file: this crate serves tests alone.
#[must_use]
pub fn reference(name: &str) -> String {
    String::from_utf8(read("reference", name)).expect("a text file")
}

/// What alibi's KernelShap gave on one of the networks.
#[derive(Debug)]
pub struct KernelShapCase {
    /// The case's name.
    pub name: String,
    /// The network.
    pub fixture: Fixture,
    /// Whether the link is the logit; otherwise it is the identity.
    pub logit: bool,
    /// Shape `(n_background, n_features)`.
    pub background: Array2<f64>,
    /// Shape `(n_instances, n_features)`.
    pub instances: Array2<f64>,
    /// Groups, their names and the weights of the background, where there are any.
    pub fit: Fit,
    /// The options of `explain`.
    pub explain: Explain,
    /// Shape `(n_outputs,)`.
    pub expected_value: Array1<f64>,
    /// Shape `(n_outputs, n_instances, n_groups)`.
    pub shap_values: Array3<f64>,
    /// Shape `(n_instances, n_outputs)`; where the reference recorded it.
    pub raw_prediction: Option<Array2<f64>>,
    /// Rankings by output; where the reference recorded them.
    pub importances: BTreeMap<String, Ranking>,
}

/// Groups, their names and the weights of the background.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fit {
    /// Columns of each group.
    pub groups: Option<Vec<Vec<usize>>>,
    /// Names of the groups.
    pub group_names: Option<Vec<String>>,
    /// Weights of the background rows.
    pub weights: Option<Vec<f64>>,
}

/// The options of `explain`.
#[derive(Clone, Debug, Deserialize)]
pub struct Explain {
    /// The rule for the selection of features; `false` for none.
    pub l1_reg: Value,
    /// Coalitions; `None` for the default.
    pub nsamples: Option<usize>,
    /// First columns of blocks to sum.
    #[serde(default)]
    pub cat_vars_start_idx: Vec<usize>,
    /// Lengths of these blocks.
    #[serde(default)]
    pub cat_vars_enc_dim: Vec<usize>,
}

/// Features by their mean effect.
#[derive(Clone, Debug, Deserialize)]
pub struct Ranking {
    /// Mean effects, descending.
    pub ranked_effect: Vec<f64>,
    /// Their features.
    pub names: Vec<String>,
}

/// A case as it stands in the file: rows are given, or named by their indices.
#[derive(Deserialize)]
struct Entry {
    name: String,
    model: String,
    link: Option<String>,
    background_rows: Option<Vec<usize>>,
    background: Option<Value>,
    instance_rows: Option<Vec<usize>>,
    instances: Option<Value>,
    #[serde(default)]
    fit: Fit,
    explain: Explain,
    #[serde(with = "serde_arrays")]
    expected_value: Array1<f64>,
    #[serde(with = "serde_arrays")]
    shap_values: Array3<f64>,
    raw_prediction: Option<Value>,
    #[serde(default)]
    importances: BTreeMap<String, Ranking>,
}

impl KernelShapCase {
    /// Every case without a rule that selects features.
    ///
    /// # Panics
    /// When the file is not there or has another layout.
    #[must_use]
    pub fn without_l1() -> Vec<Self> {
        Self::all(|case| case.explain.l1_reg == false)
    }

    /// Every case with a rule that selects features.
    ///
    /// # Panics
    /// When the file is not there or has another layout.
    #[must_use]
    pub fn with_l1() -> Vec<Self> {
        Self::all(|case| case.explain.l1_reg != false)
    }

    fn all(wanted: impl Fn(&Entry) -> bool) -> Vec<Self> {
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Entry>,
        }
        let file: File =
            serde_json::from_str(&reference("kernel_shap.json")).expect("a list of cases");
        file.cases.into_iter().filter(wanted).map(KernelShapCase::from).collect()
    }
}

impl From<Entry> for KernelShapCase {
    fn from(entry: Entry) -> Self {
        let fixture = Fixture::load(&entry.model);
        let matrix = |value: Value| serde_arrays::deserialize::<ndarray::Ix2, _>(value).ok();
        let rows = |indices: Option<Vec<usize>>, of: &Array2<f64>, given: Option<Value>| {
            let named = indices.map(|indices| of.select(Axis(0), &indices));
            named.or_else(|| given.and_then(matrix)).expect("rows or their indices")
        };
        KernelShapCase {
            name: entry.name,
            logit: entry.link.is_some_and(|link| link == "logit"),
            background: rows(entry.background_rows, &fixture.x_train, entry.background),
            instances: rows(entry.instance_rows, &fixture.x_test, entry.instances),
            fixture,
            fit: entry.fit,
            explain: entry.explain,
            expected_value: entry.expected_value,
            shap_values: entry.shap_values,
            raw_prediction: entry.raw_prediction.and_then(matrix),
            importances: entry.importances,
        }
    }
}
