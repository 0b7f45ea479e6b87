//! The values that each feature may take, from the settings and the data.

use std::collections::BTreeMap;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::{Feature, FeatureKey, Features, Kind};
use xai_core::{AsJson, Error, ParamError, Result, Rows, Warning, require, same_shape};

/// No feature has more values than this.
pub(crate) const MAX_VALUES: f64 = 1_048_576.0;

/// The values to try for a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a list of values, or a table of a grid")]
pub enum FeatureRange {
    /// For a quantity its least and its largest value, two finite numbers, the second above the first. For a category
    /// those to try, at least one, all different: names or codes for a feature with category names, numbers for one
    /// without, never both.
    List(Vec<Cell>),
    /// Values of a quantity that do not follow from a step.
    Grid(Grid),
}

/// A number or a category's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or the name of a category")]
pub enum Cell {
    /// A number, or the code of a category.
    Number(f64),
    /// The name of a category.
    Name(String),
}

/// Values of a quantity that do not follow from a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Grid {
    /// These values, finite, at least one.
    Values(Vec<f64>),
    /// Values with a constant ratio.
    Log {
        /// The least value, finite and above 0.
        min: f64,
        /// The largest value, finite and above `min`.
        max: f64,
        /// How many, in `2..=2^20`.
        n: usize,
    },
    /// This many quantiles of the data, evenly spaced from the least to the largest value, in `2..=2^20`; equal ones
    /// count once.
    Quantiles(usize),
}

impl FeatureRange {
    /// The range of a quantity.
    #[must_use]
    pub fn between(min: f64, max: f64) -> Self {
        FeatureRange::List(vec![Cell::Number(min), Cell::Number(max)])
    }

    /// Categories by name.
    #[must_use]
    pub fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        FeatureRange::List(names.into_iter().map(|name| Cell::Name(name.into())).collect())
    }

    /// Categories by number.
    #[must_use]
    pub fn numbers(numbers: impl IntoIterator<Item = f64>) -> Self {
        FeatureRange::List(numbers.into_iter().map(Cell::Number).collect())
    }

    pub(crate) fn validate(&self) -> Result<(), ParamError> {
        let name = "feature_ranges";
        match self {
            FeatureRange::List(cells) => {
                require(!cells.is_empty(), name, "at least one value", 0)?;
                let numbers = cells.iter().filter(|cell| matches!(cell, Cell::Number(_))).count();
                let same = numbers == 0 || numbers == cells.len();
                require(same, name, "all numbers or all names", AsJson(cells))?;
                cells.iter().try_for_each(|cell| match cell {
                    Cell::Number(number) => require(number.is_finite(), name, "finite", number),
                    Cell::Name(_) => Ok(()),
                })
            }
            FeatureRange::Grid(Grid::Values(values)) => {
                let most = values.len() as f64 <= MAX_VALUES;
                require(!values.is_empty() && most, name, "1 to 2^20 values", values.len())?;
                let wrong = values.iter().find(|value| !value.is_finite());
                require(wrong.is_none(), name, "finite", wrong)
            }
            &FeatureRange::Grid(Grid::Log { min, max, n }) => {
                require(0.0 < min && min < f64::INFINITY, name, "`min` finite and above 0", min)?;
                require(
                    min < max && max < f64::INFINITY,
                    name,
                    "`max` finite and above `min`",
                    max,
                )?;
                check_count(n)
            }
            &FeatureRange::Grid(Grid::Quantiles(n)) => check_count(n),
        }
    }
}

fn check_count(n: usize) -> Result<(), ParamError> {
    require(2 <= n && n as f64 <= MAX_VALUES, "feature_ranges", "2 to 2^20 values", n)
}

/// A feature that may change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GridFeature {
    /// Its index in the table.
    pub(crate) feature: usize,
    pub(crate) values: Values,
}

/// The values of a feature before the instance is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Values {
    /// Steps from `min` towards `max`.
    Steps { min: f64, max: f64, step: f64 },
    /// Numbers, ascending.
    Numbers(Vec<f64>),
    /// Numbers or codes that stand for categories, in the order in which they are tried.
    Categories(Vec<f64>),
}

impl GridFeature {
    /// Whether this could have come from the table, for what was saved and read again.
    pub(crate) fn fits(&self, features: &Features) -> bool {
        let Some(feature) = features.iter().nth(self.feature) else { return false };
        match &self.values {
            Values::Steps { min, max, step } => {
                feature.kind == Kind::Numeric && min < max && 0.0 < *step && (max - min).is_finite()
            }
            Values::Numbers(numbers) => {
                let ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
                let finite = numbers.iter().all(|number| number.is_finite());
                feature.kind == Kind::Numeric && !numbers.is_empty() && finite && ascending
            }
            Values::Categories(codes) => {
                let known = |&number: &f64| code(feature, &Cell::Number(number)).is_ok();
                !codes.is_empty() && codes.iter().all(known) && codes.iter().all(|c| c.is_finite())
            }
        }
    }
}

/// The settings that say which features may change and to which values.
pub(crate) struct RangeSettings<'a> {
    pub(crate) max_counterfactual_length: usize,
    pub(crate) counterfactual_feature_indices: Option<&'a [FeatureKey]>,
    pub(crate) kinds: KindSettings<'a>,
    pub(crate) feature_ranges: &'a BTreeMap<FeatureKey, FeatureRange>,
    pub(crate) step_sizes: &'a BTreeMap<FeatureKey, f64>,
    pub(crate) default_numerical_step_size: f64,
}

/// The settings that say which numbers stand for categories.
#[derive(Clone, Copy)]
pub(crate) struct KindSettings<'a> {
    pub(crate) categorical_indices: Option<&'a [FeatureKey]>,
    pub(crate) numerical_indices: Option<&'a [FeatureKey]>,
}

/// What the settings say of a table: the kind of each feature and the values of those that may change.
pub(crate) struct Ranges {
    pub(crate) grid: Vec<GridFeature>,
    pub(crate) warnings: Vec<Warning>,
}

/// The feature that a key names.
pub(crate) fn find(
    features: &Features,
    parameter: &'static str,
    key: &FeatureKey,
) -> Result<usize, ParamError> {
    let index = features.find(key);
    let rule = format!("a name or an index below {}", features.len());
    require(index.is_some(), parameter, rule, key.as_str())?;
    Ok(index.unwrap_or_default())
}

/// Indices of named features, all different.
fn find_all(
    features: &Features,
    parameter: &'static str,
    keys: &[FeatureKey],
) -> Result<Vec<usize>, ParamError> {
    let mut indices =
        keys.iter().map(|key| find(features, parameter, key)).collect::<Result<Vec<_>, _>>()?;
    indices.sort_unstable();
    let twice = indices.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    require(twice.is_none(), parameter, "all different", twice)?;
    Ok(indices)
}

/// Whether the numbers of each feature stand for categories.
pub(crate) fn categorical(
    settings: KindSettings<'_>,
    features: &Features,
) -> Result<Vec<bool>, ParamError> {
    let (named, numeric) = ("categorical_indices", "numerical_indices");
    let indices = |name, keys: Option<&[FeatureKey]>| {
        keys.map(|keys| find_all(features, name, keys)).transpose()
    };
    let textual: Vec<bool> = features.iter().map(|f| f.kind != Kind::Numeric).collect();
    let kinds: Vec<bool> = match (
        indices(named, settings.categorical_indices)?,
        indices(numeric, settings.numerical_indices)?,
    ) {
        (None, None) => return Ok(textual),
        (Some(categorical), None) => {
            (0..features.len()).map(|index| categorical.contains(&index)).collect()
        }
        (None, Some(numerical)) => {
            (0..features.len()).map(|index| !numerical.contains(&index)).collect()
        }
        (Some(categorical), Some(numerical)) => {
            let both = categorical.iter().find(|index| numerical.contains(index));
            require(both.is_none(), numeric, "disjoint from `categorical_indices`", both)?;
            let covered = categorical.len() + numerical.len();
            let rule = format!("all {} features together with `{named}`", features.len());
            require(covered == features.len(), numeric, rule, covered)?;
            (0..features.len()).map(|index| categorical.contains(&index)).collect()
        }
    };
    let lost = (0..features.len()).find(|&index| textual[index] && !kinds[index]);
    let list = if settings.categorical_indices.is_some() { named } else { numeric };
    let name = lost.and_then(|index| features.iter().nth(index)).map(|feature| &feature.name);
    require(lost.is_none(), list, "such that features with category names are categorical", name)?;
    Ok(kinds)
}

impl Ranges {
    pub(crate) fn new(
        settings: &RangeSettings<'_>,
        dataset: Option<&Rows>,
        features: &Features,
    ) -> Result<Self> {
        if let Some(rows) = dataset {
            check_dataset(rows, features)?;
        }
        let categorical = categorical(settings.kinds, features)?;
        let mut warnings = Vec::new();
        if features.len() < settings.max_counterfactual_length {
            let (length, n) = (settings.max_counterfactual_length, features.len());
            let message = format!(
                "`max_counterfactual_length` is {length}, there are {n} features: taken for all"
            );
            warnings.push(warning("gridcf.length_clipped", message));
        }
        let steps = find_each(features, "step_sizes", settings.step_sizes.iter())?;
        let unused: Vec<String> = features
            .iter()
            .enumerate()
            .filter(|&(index, _)| categorical[index] && steps[index].is_some())
            .map(|(_, feature)| format!("`{}`", feature.name))
            .collect();
        if !unused.is_empty() {
            let message = format!(
                "step sizes of categorical features have no meaning: {}",
                unused.join(", ")
            );
            warnings.push(warning("gridcf.categorical_step", message));
        }
        let ranges = find_each(features, "feature_ranges", settings.feature_ranges.iter())?;
        let chosen = match settings.counterfactual_feature_indices {
            Some(keys) => find_all(features, "counterfactual_feature_indices", keys)?,
            None => (0..features.len()).collect(),
        };
        let mut single = Vec::new();
        let mut grid = Vec::new();
        for feature in 0..features.len() {
            // A range is checked even where the feature may not change.
            let given = ranges[feature]
                .map(|range| given(features, feature, categorical[feature], range, dataset));
            let given = given.transpose()?;
            if !chosen.contains(&feature) {
                continue;
            }
            let values = match given {
                Some(values) => values,
                None => of_data(features, feature, categorical[feature], dataset)?,
            };
            if let Values::Categories(codes) = &values
                && codes.len() == 1
                && ranges[feature].is_none()
            {
                single.push(format!("`{}`", name_of(features, feature)));
            }
            let values = match values {
                Values::Steps { min, max, .. } => {
                    let step =
                        steps[feature].copied().unwrap_or(settings.default_numerical_step_size);
                    Values::Steps { min, max, step }
                }
                values => values,
            };
            grid.push(GridFeature { feature, values });
        }
        if !single.is_empty() {
            let message = format!("the dataset holds a single category of {}", single.join(", "));
            warnings.push(warning("gridcf.single_category", message));
        }
        Ok(Ranges { grid, warnings })
    }
}

fn warning(code: &str, message: String) -> Warning {
    Warning { code: code.to_owned(), message }
}

fn name_of(features: &Features, feature: usize) -> &str {
    &features.iter().nth(feature).expect("an index of the table").name
}

/// Settings by feature index.
pub(crate) fn find_each<'a, T>(
    features: &Features,
    parameter: &'static str,
    entries: impl Iterator<Item = (&'a FeatureKey, &'a T)>,
) -> Result<Vec<Option<&'a T>>, ParamError> {
    let mut found: Vec<Option<&T>> = vec![None; features.len()];
    for (key, value) in entries {
        let index = find(features, parameter, key)?;
        let once = found[index].replace(value).is_none();
        require(once, parameter, "keyed by different features", key.as_str())?;
    }
    Ok(found)
}

/// Requires rows of the table; a number may be missing.
fn check_dataset(rows: &Rows, features: &Features) -> Result<()> {
    let what = "the dataset";
    same_shape(what, &[rows.nrows(), features.n_columns()], rows.shape())?;
    require(0 < rows.nrows(), "dataset", "at least one row", 0)?;
    features.check(what, rows)?;
    for ((row, column), &value) in rows.indexed_iter() {
        if value.is_infinite() {
            return Err(Error::NotFinite { what, at: vec![row, column], value });
        }
    }
    Ok(())
}

/// The numbers or codes of a feature in the data, ascending, without those that are missing.
fn column(features: &Features, feature: usize, rows: &Rows) -> Vec<f64> {
    let mut values: Vec<f64> = rows
        .rows()
        .into_iter()
        .filter_map(|row| features.value(feature, &row))
        .filter(|v| !v.is_nan())
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The values of a feature without a range.
fn of_data(
    features: &Features,
    feature: usize,
    categorical: bool,
    dataset: Option<&Rows>,
) -> Result<Values, ParamError> {
    let described = features.iter().nth(feature).expect("an index of the table");
    let Some(rows) = dataset else {
        if let Kind::Categorical { categories, .. } = &described.kind {
            return Ok(Values::Categories((0..categories.len()).map(|code| code as f64).collect()));
        }
        let rule = format!("given for feature `{}`, since there is no dataset", described.name);
        return Err(ParamError { name: "feature_ranges", rule, value: "none".to_owned() });
    };
    let mut values = column(features, feature, rows);
    values.dedup();
    let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
        let name = &described.name;
        let rule = format!("given for feature `{name}`, which the dataset has no number of");
        return Err(ParamError { name: "feature_ranges", rule, value: "none".to_owned() });
    };
    if categorical {
        return Ok(Values::Categories(values));
    }
    let rule = format!(
        "given for feature `{}`, which is the same number in all rows, or the feature left out of \
         `counterfactual_feature_indices`",
        described.name
    );
    require(min < max, "feature_ranges", rule, min)?;
    Ok(Values::Steps { min, max, step: 0.0 })
}

/// The values of a feature with a range; the step is still to come.
fn given(
    features: &Features,
    feature: usize,
    categorical: bool,
    range: &FeatureRange,
    dataset: Option<&Rows>,
) -> Result<Values, ParamError> {
    let parameter = "feature_ranges";
    let described = features.iter().nth(feature).expect("an index of the table");
    let of = |rule: &str| format!("{rule} for feature `{}`", described.name);
    match range {
        FeatureRange::List(cells) if categorical => {
            let codes = cells.iter().map(|cell| code(described, cell));
            let codes = codes.collect::<Result<Vec<f64>, _>>()?;
            let mut sorted = codes.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted.dedup();
            require(
                sorted.len() == codes.len(),
                parameter,
                of("different categories"),
                AsJson(cells),
            )?;
            Ok(Values::Categories(codes))
        }
        FeatureRange::List(cells) => match cells[..] {
            [Cell::Number(min), Cell::Number(max)] => {
                require(min < max, parameter, of("a maximum above the minimum"), (min, max))?;
                Ok(Values::Steps { min, max, step: 0.0 })
            }
            _ => {
                let rule = of("a minimum and a maximum, two numbers,");
                Err(ParamError { name: parameter, rule, value: format!("{cells:?}") })
            }
        },
        FeatureRange::Grid(grid) => {
            require(!categorical, parameter, of("a list of categories"), AsJson(grid))?;
            numbers(grid, dataset.map(|rows| column(features, feature, rows)).as_deref(), &of)
        }
    }
}

/// The number that stands for a category.
fn code(feature: &Feature, cell: &Cell) -> Result<f64, ParamError> {
    let index = match (&feature.kind, cell) {
        (Kind::Numeric, Cell::Number(number)) => return Ok(*number),
        (Kind::Categorical { categories, .. }, Cell::Name(name)) => {
            categories.iter().position(|category| category == name)
        }
        (Kind::Categorical { categories, .. }, Cell::Number(number)) => {
            (0..categories.len()).find(|&code| (code as f64).total_cmp(number).is_eq())
        }
        (Kind::Numeric, Cell::Name(_)) => None,
    };
    let rule = format!("categories of feature `{}`", feature.name);
    require(index.is_some(), "feature_ranges", rule, AsJson(cell))?;
    Ok(index.unwrap_or_default() as f64)
}

/// The numbers of a grid, ascending.
fn numbers(
    grid: &Grid,
    data: Option<&[f64]>,
    of: &dyn Fn(&str) -> String,
) -> Result<Values, ParamError> {
    let mut values = match grid {
        Grid::Values(values) => values.clone(),
        &Grid::Log { min, max, n } => {
            let spaced = Array1::linspace(min.ln(), max.ln(), n).mapv(f64::exp);
            let mut values = spaced.to_vec();
            // The ends are those that were asked for, to the bit.
            (values[0], values[n - 1]) = (min, max);
            values
        }
        &Grid::Quantiles(n) => {
            let data = data.unwrap_or_default();
            require(!data.is_empty(), "feature_ranges", of("no quantiles without data"), n)?;
            (0..n).map(|place| quantile(data, place as f64 / (n - 1) as f64)).collect()
        }
    };
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    Ok(Values::Numbers(values))
}

/// A quantile of ascending numbers, linear between neighbours (the seventh of Hyndman and Fan 1996).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between the first and the last"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}
