//! What integrated gradients found.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayD, Axis, Dimension};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Bar, Bars, Figure, HeatMap, Panel, Table};
use xai_core::{Attributions, OutputNames, Status, Stop, serde_arrays};

use crate::target::Target;

/// The attributions of one instance. The field names are the JSON keys.
///
/// Paths are numbered by baseline, and with a noise tunnel by copy and then by baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct IntegratedGradientsData {
    /// What each number of the inputs or of the layer contributes to the output, in units of the output; of the output per
    /// unit of the input without `multiply_by_inputs`, and squared for squares and variances of a noise tunnel. One array
    /// for each attributed tensor, of its shape.
    #[serde(with = "serde_arrays::list")]
    #[schemars(with = "Vec<serde_arrays::Lists>")]
    pub attributions: Vec<ArrayD<f64>>,
    /// Their standard errors, where they are estimated from a sample; shapes of `attributions`.
    #[serde(with = "tensors")]
    #[schemars(with = "Option<Vec<serde_arrays::Lists>>")]
    pub standard_errors: Option<Vec<ArrayD<f64>>>,
    /// How much the last refinement moved them: an estimate of what the quadrature with half as many steps had missed, and
    /// for smooth models far above what is still missing. The mean over all paths; shapes of `attributions`, only with a
    /// `tolerance`.
    #[serde(with = "tensors")]
    #[schemars(with = "Option<Vec<serde_arrays::Lists>>")]
    pub quadrature_errors: Option<Vec<ArrayD<f64>>>,
    /// The attributed tensors of the instance.
    #[serde(with = "serde_arrays::list")]
    #[schemars(with = "Vec<serde_arrays::Lists>")]
    pub instance: Vec<ArrayD<f64>>,
    /// The tensors without attributions, which are passed to the model unchanged, by name.
    #[serde(with = "named")]
    #[schemars(with = "BTreeMap<String, serde_arrays::Lists>")]
    pub passed_inputs: BTreeMap<String, ArrayD<f64>>,
    /// The baselines at the model's inputs, one array for each attributed tensor, with an axis `n_baselines` in front.
    #[serde(with = "serde_arrays::list")]
    #[schemars(with = "Vec<serde_arrays::Lists>")]
    pub baselines: Vec<ArrayD<f64>>,
    /// The weights of the baselines, adding up to 1, shape `(n_baselines,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub baseline_weights: Array1<f64>,
    /// The model's outputs at the instance, in the shape of its output.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "serde_arrays::Lists")]
    pub predictions: ArrayD<f64>,
    /// The explained output at the instance; one minus the output for target 0 of a single probability.
    pub output: f64,
    /// The explained output at each baseline, shape `(n_baselines,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub baseline_outputs: Array1<f64>,
    /// The completeness gap of each path, in units of the output: the sum of its attributions (multiplied by the inputs in
    /// any case) less the change of the output. Shape `(n_paths,)`; one number for a distribution of baselines, whose
    /// change is that from the mean output at them.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub deltas: Array1<f64>,
    /// The gaps as parts of the change of the output, or of 1e-12 where that is more; shape of `deltas`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub relative_deltas: Array1<f64>,
    /// The standard errors of the deltas that are estimated from a sample; shape of `deltas`.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub delta_standard_errors: Option<Array1<f64>>,
    /// The output that is explained, an index or a position; `null` where the model has one and none was named.
    pub target: Option<Target>,
    /// The name of the explained class, where the model has names.
    pub target_name: Option<String>,
    /// Points on each path, shape of `deltas`; for a distribution of baselines the draws.
    pub steps: Vec<usize>,
    /// Noisy copies or draws that are behind the attributions; 1 where nothing is drawn.
    pub n_samples: usize,
    /// Whether the work is complete, and what is known of its precision: `complete`, all steps or draws that were asked for
    /// are done; `within-tolerance`; `max-steps`, these were not enough for every path; `stopped`, the best so far.
    pub status: Status,
    /// The same in words.
    pub reason: String,
    /// What ended the work: `converged` when it was done.
    pub stop: Stop,
    /// The explained output at equally spaced points from each baseline to the instance, shape
    /// `(n_baselines, n_steps + 1)`.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<Vec<f64>>>")]
    pub curve: Option<Array2<f64>>,
    /// Names of the attributed tensors of the inputs, in the order of `instance`.
    pub input_names: Vec<String>,
    /// Names of the tensors that have attributions, in the order of `attributions`: those of the inputs or of the layer.
    pub tensor_names: Vec<String>,
    /// Names of the columns, where `attributions` are those of a table's columns.
    pub feature_names: Option<Vec<String>>,
}

/// Lists of arrays that may be absent.
mod tensors {
    use ndarray::ArrayD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use xai_core::serde_arrays;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct List(#[serde(with = "serde_arrays::list")] Vec<ArrayD<f64>>);

    #[allow(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(
        arrays: &Option<Vec<ArrayD<f64>>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        arrays.clone().map(List).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<ArrayD<f64>>>, D::Error> {
        Ok(Option::<List>::deserialize(deserializer)?.map(|list| list.0))
    }
}

/// Arrays by name.
mod named {
    use std::collections::BTreeMap;

    use ndarray::ArrayD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use xai_core::serde_arrays;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Array(#[serde(with = "serde_arrays")] ArrayD<f64>);

    pub(super) fn serialize<S: Serializer>(
        arrays: &BTreeMap<String, ArrayD<f64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(arrays.iter().map(|(name, array)| (name, Array(array.clone()))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, ArrayD<f64>>, D::Error> {
        let arrays = BTreeMap::<String, Array>::deserialize(deserializer)?;
        Ok(arrays.into_iter().map(|(name, array)| (name, array.0)).collect())
    }
}

impl Attributions for IntegratedGradientsData {
    /// The attribution of a feature to the explained output, by their names: the output's is `target_name`, or
    /// [`explained_output`](Self::explained_output) without names; the feature's is one of `feature_names`, or that of a tensor
    /// with one number. `None` for other names.
    fn attribution(&self, output: &str, feature: &str) -> Option<f64> {
        let unnamed = self.explained_output(&OutputNames::default());
        if self.target_name.as_deref() != Some(output) && unnamed != output {
            return None;
        }
        if let Some(names) = &self.feature_names {
            let place = names.iter().position(|name| name == feature)?;
            return self.attributions.first()?.iter().nth(place).copied();
        }
        let tensor = self.tensor_names.iter().position(|name| name == feature)?;
        let attributions = &self.attributions[tensor];
        attributions.first().copied().filter(|_| attributions.len() == 1)
    }
}

impl IntegratedGradientsData {
    /// The name of the explained output: of its class in `names`, of its class by the model, or `output 2`.
    #[must_use]
    pub fn explained_output(&self, names: &OutputNames) -> String {
        let n_outputs = self.predictions.len();
        match (&self.target, names.as_slice(), n_outputs) {
            (None, [], _) => self.target_name.clone().unwrap_or_else(|| "output".to_owned()),
            (None, _, _) => names.output(0, n_outputs),
            // The only name is that of class 1 of two.
            (Some(Target::Index(0)), [name], 1) if self.is_other_class() => format!("not {name}"),
            (Some(Target::Index(1)), [name], 1) => name.clone(),
            // A single output with a target is the probability of class 1, unless its score is the target.
            (Some(Target::Index(1)), [], 1) if self.target_name.is_none() => "class 1".to_owned(),
            (Some(Target::Index(0)), [], 1)
                if self.target_name.is_none() && self.is_other_class() =>
            {
                "class 0".to_owned()
            }
            (Some(Target::Index(index)), names, _) if *index < names.len() => names[*index].clone(),
            (Some(target), ..) => {
                self.target_name.clone().unwrap_or_else(|| format!("output {target}"))
            }
        }
    }

    /// Whether one minus the only output is explained.
    #[allow(clippy::float_cmp, reason = "the explained output is a copy of the output, or not")]
    fn is_other_class(&self) -> bool {
        self.predictions.first() != Some(&self.output)
    }

    /// A table of the outputs, then one panel for each array of attributions: a heat map for one with two long axes, with
    /// or without a short axis of channels, which are added up; bars, the largest first, for any other. `names` are those
    /// of the outputs or classes.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let target = self.explained_output(names);
        let mean = self.baseline_weights.dot(&self.baseline_outputs);
        let sum: f64 = self.attributions.iter().map(|tensor| tensor.sum()).sum();
        let largest = [self.output, mean, sum].iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let numbers =
            [self.output, mean, self.output - mean, sum].map(|value| digits(largest, value));
        let columns = ["", "output", "at the baseline", "change", "sum of attributions"];
        let table = Table {
            title: "What is explained".to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: vec![std::iter::once(target).chain(numbers).collect()],
        };
        let panels = (0..self.attributions.len()).map(|tensor| self.panel(tensor));
        Figure {
            title: "Integrated gradients".to_owned(),
            panels: std::iter::once(Panel::Table(table)).chain(panels).collect(),
        }
    }

    fn panel(&self, tensor: usize) -> Panel {
        let (attributions, title) = (&self.attributions[tensor], self.tensor_names[tensor].clone());
        if let Some(map) = plane(attributions) {
            let (size, values) = (map.dim(), map.into_iter().collect());
            return Panel::HeatMap(HeatMap::new(title, "attribution", size, values));
        }
        let errors = self.standard_errors.as_ref().map(|errors| &errors[tensor]);
        let at_inputs = self.tensor_names == self.input_names;
        let values = self.instance.get(tensor).filter(|_| at_inputs);
        let named = self.feature_names.as_ref();
        let bar = |(place, (index, &value)): (usize, (ndarray::IxDyn, &f64))| Bar {
            label: named.map_or_else(
                || format!("{title}{:?}", index.as_array_view().to_vec()),
                |names| names[place].clone(),
            ),
            detail: values.map_or_else(String::new, |values| values[index.clone()].to_string()),
            value,
            error: errors.map(|errors| errors[index]),
        };
        let mut bars: Vec<Bar> = attributions.indexed_iter().enumerate().map(bar).collect();
        bars.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
        Panel::Bars(Bars { title, unit: "attribution".to_owned(), bars })
    }
}

/// The most channels of an image.
const MAX_CHANNELS: usize = 4;

/// Attributions as a plane of pixels, where they have such a shape: two axes of at least 2, and perhaps a last or first
/// one of channels, which is summed over.
fn plane(attributions: &ArrayD<f64>) -> Option<Array2<f64>> {
    let summed = match *attributions.shape() {
        [_, _] => attributions.clone(),
        [_, _, channels] if channels <= MAX_CHANNELS => attributions.sum_axis(Axis(2)),
        [channels, _, _] if channels <= MAX_CHANNELS => attributions.sum_axis(Axis(0)),
        _ => return None,
    };
    let plane: Array2<f64> = summed.into_dimensionality().ok()?;
    (2 <= plane.nrows() && 2 <= plane.ncols()).then_some(plane)
}

/// A number with as many decimals as show five digits of `largest`.
fn digits(largest: f64, value: f64) -> String {
    let magnitude = if 0.0 < largest { largest.log10().floor() } else { 0.0 };
    if !(-6.0..9.0).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10")]
    let decimals = (4.0 - magnitude).max(0.0) as usize;
    format!("{value:.decimals$}")
}

impl xai_core::ToFigure for IntegratedGradientsData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
