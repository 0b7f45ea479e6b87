//! What is learned from training rows: numbers for categories, ranges, and the rows of each class.

use ndarray::{Array1, Array2, Axis};
use xai_core::tabular::{Features, Kind};
use xai_core::{Predictor, Reading, Result, Rows, Run, Valid, Warning, require};
use xai_optim::loss::ClassScores;

use crate::distance::{CodedTable, DistanceType, abdm, mvdm};
use crate::model::CfProtoModel;
use crate::params::CfProtoParams;
use crate::prototype::Prototypes;
use crate::rules::Rules;
use crate::scaling::{center, extent};
use crate::space::Codes;

/// The range without categorical features, as in the reference.
const FREE: f64 = 1e10;

/// The range by feature: the least and the largest coordinates, shape `(n_features,)` each.
pub(crate) type Range = (Array1<f64>, Array1<f64>);

/// What is learned of a table.
pub(crate) struct Learned {
    pub(crate) codes: Codes,
    pub(crate) range: Range,
    pub(crate) eps: Array1<f64>,
    pub(crate) rows: Option<Prototypes>,
    pub(crate) encodings: Option<Prototypes>,
    pub(crate) n_outputs: Option<usize>,
    /// Rows that the models were asked for.
    pub(crate) queries: u64,
    pub(crate) warnings: Vec<Warning>,
}

fn is_categorical(kind: &Kind) -> bool {
    matches!(kind, Kind::Categorical { .. })
}

/// What follows from the settings alone, for tables without categorical features.
pub(crate) fn unlearned(params: &CfProtoParams, features: &Features) -> Result<Learned> {
    let categorical = features.iter().find(|feature| is_categorical(&feature.kind));
    let named = categorical.map(|feature| &feature.name);
    require(named.is_none(), "features", "all numeric without training rows", named)?;
    for (name, needs) in [
        ("theta", 0.0 < params.theta),
        ("threshold", 0.0 < params.threshold),
        ("use_kdtree", params.use_kdtree),
    ] {
        require(!needs, name, "left at its default without training rows", needs)?;
    }
    let range = range(params, features, None)?;
    let eps = steps(params, params.rules(), &range)?;
    let codes = Codes { numbers: vec![None; features.len()] };
    Ok(Learned {
        codes,
        range,
        eps,
        rows: None,
        encodings: None,
        n_outputs: None,
        queries: 0,
        warnings: Vec::new(),
    })
}

/// What training rows say.
pub(crate) fn learned(
    params: &Valid<CfProtoParams>,
    model: CfProtoModel<'_>,
    rows: &Rows,
    features: &Features,
    run: &mut Run<'_>,
) -> Result<Learned> {
    let guided = model.encoder.is_some() || params.use_kdtree;
    for (name, weight) in [("theta", params.theta), ("threshold", params.threshold)] {
        let rule = "0 without an encoder or `use_kdtree`";
        require(guided || weight <= 0.0, name, rule, weight)?;
    }
    let has = model.autoencoder.is_some();
    require(has || params.gamma <= 0.0, "gamma", "0 without an autoencoder", params.gamma)?;
    features.check("the training rows", rows)?;
    xai_core::input::all_finite("the training rows", rows)?;
    require(0 < rows.nrows(), "train_data", "at least one row", 0)?;
    let rules = params.rules();
    let before = run.queries();
    let mut warnings = Vec::new();
    if model.encoder.is_some() && params.use_kdtree {
        let message = "prototypes come from the encoder; `use_kdtree` changes nothing".to_owned();
        warnings.push(Warning { code: "cfproto.encoder_used".to_owned(), message });
    }
    let range = range(params, features, Some(rows))?;
    let table = CodedTable::new(features, rows, &params.disc_perc)?;
    let answers = run.predict(model.model.predictor(), rows)?;
    let first = answers.row(0);
    let declared = model.model.predictor().output();
    let reading = Reading::new(&params.search.output, declared, &first)?;
    let scores = ClassScores::new(&reading, &first)?;
    let labels: Vec<usize> = answers.rows().into_iter().map(|row| scores.class(&row)).collect();
    let n_classes = scores.n_classes();
    let labelled = Labelled { table: &table, labels: &labels, n_classes };
    let numbers = numbers(params, rules, features, labelled, &range, &mut warnings)?;
    let codes = Codes { numbers };
    let updates_range = params.update_feature_range && rules.updates_range();
    let range = if updates_range { updated(range, &codes) } else { range };
    let eps = steps(params, rules, &range)?;
    let points = codes.points(features, rows);
    let kept = Prototypes::of_rows(&points, &labels, n_classes, params.trustscore_kwargs.clone())?;
    let encodings = match model.encoder {
        Some(encoder) => {
            let encoder: &dyn Predictor = encoder;
            let encodings = run.predict(encoder, rows)?;
            Some(Prototypes::of_encodings(&encodings, &labels, n_classes)?)
        }
        None => None,
    };
    if guided {
        warnings.extend(encodings.as_ref().unwrap_or(&kept).warnings().iter().cloned());
    }
    Ok(Learned {
        codes,
        range,
        eps,
        rows: Some(kept),
        encodings,
        n_outputs: Some(answers.ncols()),
        queries: run.queries() - before,
        warnings,
    })
}

/// The range that is given, or that of the data where there are categories.
fn range(params: &CfProtoParams, features: &Features, rows: Option<&Rows>) -> Result<Range> {
    let n = features.len();
    let Some((least, most)) = &params.feature_range else {
        let mut range = (Array1::from_elem(n, -FREE), Array1::from_elem(n, FREE));
        let with_categories = features.iter().any(|feature| is_categorical(&feature.kind));
        let Some(rows) = rows.filter(|_| with_categories) else { return Ok(range) };
        for (index, feature) in features.iter().enumerate() {
            let (low, high) = match feature.kind {
                Kind::Numeric => extent(&rows.column(features.columns(index).start).to_vec()),
                Kind::Categorical { .. } => (-1.0, 1.0),
            };
            (range.0[index], range.1[index]) = (low, high);
        }
        return Ok(range);
    };
    let least = least.expand("feature_range", n)?;
    let most = most.expand("feature_range", n)?;
    for (least, most) in least.iter().zip(&most) {
        require(least <= most, "feature_range", "ascending", (least, most))?;
    }
    Ok((least, most))
}

/// The training rows as codes, and the model's class of each.
#[derive(Clone, Copy)]
struct Labelled<'a> {
    table: &'a CodedTable,
    labels: &'a [usize],
    n_classes: usize,
}

/// The numbers of the categories of each feature.
fn numbers(
    params: &CfProtoParams,
    rules: &dyn Rules,
    features: &Features,
    labelled: Labelled<'_>,
    range: &Range,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Option<Vec<f64>>>> {
    let Labelled { table, labels, n_classes } = labelled;
    let categorical: Vec<usize> = (features.iter().enumerate())
        .filter(|(_, feature)| is_categorical(&feature.kind))
        .map(|(index, _)| index)
        .collect();
    let mut numbers = vec![None; features.len()];
    if categorical.is_empty() {
        return Ok(numbers);
    }
    let smoothing = params.smoothing.unwrap_or_else(|| rules.default_smoothing());
    let ranges: Vec<(f64, f64)> =
        categorical.iter().map(|&feature| (range.0[feature], range.1[feature])).collect();
    let mut embedded = |associated: bool| -> Result<Vec<Vec<f64>>> {
        let distances = |&feature: &usize| {
            if associated {
                abdm(table, feature, smoothing)
            } else {
                mvdm(table, feature, labels, n_classes)
            }
        };
        let distances = categorical.iter().map(distances).collect::<Result<Vec<Array2<f64>>>>()?;
        for (&feature, distances) in categorical.iter().zip(&distances) {
            let apart = distances.iter().any(|&distance| 0.0 < distance);
            if !apart && 1 < distances.nrows() {
                let name = &features.names()[feature];
                let message = format!("nothing tells the categories of `{name}` apart");
                warnings.push(Warning { code: "cfproto.equal_categories".to_owned(), message });
            }
        }
        rules.numbers(&params.scaling(), &distances, &ranges)
    };
    let values = match params.d_type {
        DistanceType::Abdm => embedded(true)?,
        DistanceType::Mvdm => embedded(false)?,
        DistanceType::AbdmMvdm => {
            let weight = params.w.expect("checked with the settings");
            let (first, second) = (embedded(true)?, embedded(false)?);
            let pairs = first.iter().zip(&second).zip(&ranges);
            let blended = pairs.map(|((first, second), (low, high))| {
                let mut values = rules.blend(first, second, weight);
                if params.center {
                    center(&mut values);
                }
                rules.separate(&mut values, high - low);
                values
            });
            blended.collect()
        }
    };
    for (feature, values) in categorical.into_iter().zip(values) {
        numbers[feature] = Some(values);
    }
    Ok(numbers)
}

/// The range with that of the numbers of categories.
fn updated(mut range: Range, codes: &Codes) -> Range {
    for (feature, numbers) in codes.numbers.iter().enumerate() {
        if let Some(numbers) = numbers {
            (range.0[feature], range.1[feature]) = extent(numbers);
        }
    }
    range
}

fn steps(params: &CfProtoParams, rules: &dyn Rules, range: &Range) -> Result<Array1<f64>> {
    if let Some((_, eps)) = &params.eps {
        return Ok(eps.expand("eps", range.0.len())?);
    }
    let step = |(low, high): (&f64, &f64)| rules.step(high - low);
    Ok(range.0.iter().zip(&range.1).map(step).collect())
}

/// The rows of other classes that are nearest to a point, three for each class: a number chosen by hand.
pub(crate) fn anchors(
    rows: &Prototypes,
    point: &Array1<f64>,
    classes: &[usize],
) -> Vec<Array1<f64>> {
    classes.iter().flat_map(|&class| rows.nearest_rows(class, point, 3)).collect()
}

/// A row as a batch of one.
pub(crate) fn batch(row: &xai_core::Row) -> ndarray::ArrayView2<'_, f64> {
    row.view().insert_axis(Axis(0))
}
