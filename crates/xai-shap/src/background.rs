//! What a fitted explainer knows of its background: distinct rows, weights and players.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};
use xai_core::input::all_finite;
use xai_core::tabular::Features;
use xai_core::{Error, ParamError, Result, Row, Rows, Seed, require, same_shape};

use crate::importances::blocks;
use crate::params::KernelShapParams;

/// Parts of the background, each a random sample of it: their spread tells the error that comes from the sample.
const PARTS: usize = 20;

/// Deals the rows out to the parts. A fixed shuffle: the rows may be sorted, and the parts must not be.
fn parts(n_rows: usize) -> Vec<usize> {
    let mut parts: Vec<usize> = (0..n_rows).map(|row| row % PARTS).collect();
    Seed::new(0).stream().shuffle(&mut parts);
    parts
}

/// Derived from params, rows and features; never saved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Background {
    /// The distinct rows, in the order of their first appearance.
    pub(crate) rows: Array2<f64>,
    /// Their weights, of sum 1.
    pub(crate) weights: Vec<f64>,
    /// The part of each row, for the error that comes from the background.
    parts: Vec<usize>,
    /// The columns of each player.
    pub(crate) groups: Vec<Vec<usize>>,
    /// The players' names.
    pub(crate) names: Vec<String>,
    /// The groups of each feature that is reported: one, or several whose values are added up.
    reported: Vec<Vec<usize>>,
    /// The number of each row's value among the distinct values of each group, and of the columns in no group at the
    /// end, shape `(n_rows, n_groups + 1)`.
    pub(crate) values: Array2<u32>,
    /// Whether no other row has that value, same shape.
    pub(crate) unique: Array2<bool>,
}

impl Background {
    pub(crate) fn new(params: &KernelShapParams, rows: &Rows, features: &Features) -> Result<Self> {
        check_rows("the background", params, features, rows)?;
        require(0 < rows.nrows(), "background", "at least one row", rows.nrows())?;
        let given = params.weights.as_deref();
        let n_given = given.map_or(rows.nrows(), <[f64]>::len);
        require(
            n_given == rows.nrows(),
            "weights",
            format!("one per background row, {} of them", rows.nrows()),
            n_given,
        )?;
        let (groups, names) = players(params, features)?;
        for &fixed in &params.fixed_features {
            let rule = format!("indices below the {} features or groups", groups.len());
            require(fixed < groups.len(), "fixed_features", rule, fixed)?;
        }
        let weight = |row: usize| given.map_or(1.0, |weights| weights[row]);
        // Equal rows are one row of their joint weight, and rows without weight are none: the game is the same.
        let mut merged: BTreeMap<Vec<u64>, (usize, f64)> = BTreeMap::new();
        for (index, row) in
            rows.axis_iter(Axis(0)).enumerate().filter(|&(index, _)| 0.0 < weight(index))
        {
            let key = row.iter().map(|&value| canonical_bits(value)).collect();
            merged.entry(key).or_insert((index, 0.0)).1 += weight(index);
        }
        let mut kept: Vec<(usize, f64)> = merged.into_values().collect();
        kept.sort_unstable_by_key(|&(index, _)| index);
        let total: f64 = kept.iter().map(|&(_, weight)| weight).sum();
        let indices: Vec<usize> = kept.iter().map(|&(index, _)| index).collect();
        let weights = kept.iter().map(|&(_, weight)| weight / total).collect();
        let rows = rows.select(Axis(0), &indices);
        let in_no_group: Vec<usize> = (0..rows.ncols())
            .filter(|column| !groups.iter().flatten().any(|member| member == column))
            .collect();
        let columns: Vec<&[usize]> =
            groups.iter().map(Vec::as_slice).chain([in_no_group.as_slice()]).collect();
        let values = numbered(&rows, &columns);
        let unique = Array2::from_shape_fn(values.dim(), |place| {
            values.column(place.1).iter().filter(|&&other| other == values[place]).count() == 1
        });
        let parts = parts(rows.nrows());
        let reported = reported(params, groups.len())?;
        Ok(Background { rows, weights, parts, groups, names, reported, values, unique })
    }

    /// For each feature that is reported, the places in `players` of its groups.
    pub(crate) fn sums(&self, players: &[usize]) -> Vec<Vec<usize>> {
        let mut place_of = vec![None; self.groups.len()];
        players.iter().enumerate().for_each(|(place, &group)| place_of[group] = Some(place));
        let places =
            |groups: &Vec<usize>| groups.iter().filter_map(|&group| place_of[group]).collect();
        self.reported.iter().map(places).collect()
    }

    /// Names of the features that are reported; of summed columns the first and the last.
    pub(crate) fn reported_names(&self) -> Vec<String> {
        let name = |groups: &Vec<usize>| match groups[..] {
            [group] => self.names[group].clone(),
            _ => format!("{}..{}", self.names[groups[0]], self.names[groups[groups.len() - 1]]),
        };
        self.reported.iter().map(name).collect()
    }

    /// Their values in a row, for people.
    pub(crate) fn reported_values(&self, features: &Features, row: &Row) -> Vec<String> {
        let value = |group: &usize| describe(features, &self.groups[*group], row);
        let values = |groups: &Vec<usize>| groups.iter().map(value).collect::<Vec<_>>().join(", ");
        self.reported.iter().map(values).collect()
    }

    /// The number of parts.
    pub(crate) fn n_parts(&self) -> usize {
        self.rows.nrows().min(PARTS)
    }

    /// The part of a row, of so many parts: one, or all.
    pub(crate) fn part(&self, row: usize, n_parts: usize) -> usize {
        if n_parts < 2 { 0 } else { self.parts[row] }
    }
}

/// Requires that rows fit the table, with NaN only where missing values are allowed.
pub(crate) fn check_rows(
    what: &'static str,
    params: &KernelShapParams,
    features: &Features,
    rows: &Rows,
) -> Result<()> {
    same_shape(what, &[rows.nrows(), features.n_columns()], rows.shape())?;
    if !params.allow_missing {
        all_finite(what, rows)?;
        return features.check(what, rows);
    }
    if let Some(((row, column), &value)) =
        rows.indexed_iter().find(|(_, value)| value.is_infinite())
    {
        return Err(Error::NotFinite { what, at: vec![row, column], value });
    }
    // A missing code is any code as far as the table's rules go.
    features.check(what, &rows.mapv(|value| if value.is_nan() { 0.0 } else { value }))
}

/// Numbers the distinct values of each set of columns over the rows, shape `(n_rows, columns.len())`.
fn numbered(rows: &Rows, columns: &[&[usize]]) -> Array2<u32> {
    let mut numbers = Array2::zeros((rows.nrows(), columns.len()));
    for (place, columns) in columns.iter().enumerate() {
        let mut known = BTreeMap::new();
        for row in 0..rows.nrows() {
            let value: Vec<u64> =
                columns.iter().map(|&column| canonical_bits(rows[[row, column]])).collect();
            let next = u32::try_from(known.len()).expect("fewer than 2^32 rows");
            numbers[[row, place]] = *known.entry(value).or_insert(next);
        }
    }
    numbers
}

/// One pattern for each number: 0.0 and -0.0 agree, and so do all NaN.
pub(crate) fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

/// The players' columns and names.
fn players(
    params: &KernelShapParams,
    features: &Features,
) -> Result<(Vec<Vec<usize>>, Vec<String>), ParamError> {
    let blocks =
        || (0..features.len()).map(|feature| features.columns(feature).collect::<Vec<usize>>());
    let groups = params.groups.clone().unwrap_or_else(|| blocks().collect());
    let n_columns = features.n_columns();
    for &column in groups.iter().flatten() {
        require(column < n_columns, "groups", format!("columns below {n_columns}"), column)?;
    }
    if !params.allow_partial_groups
        && let Some(left_out) =
            (0..n_columns).find(|column| !groups.iter().flatten().any(|member| member == column))
    {
        let rule = "lists that cover every column (or set `allow_partial_groups`)";
        require(false, "groups", rule, format!("none with column {left_out}"))?;
    }
    if let Some(names) = &params.group_names {
        require(
            names.len() == groups.len(),
            "group_names",
            format!("{} names", groups.len()),
            names.len(),
        )?;
        return Ok((groups, names.clone()));
    }
    let name = |(index, group): (usize, &Vec<usize>)| {
        let feature = blocks().position(|block| block == *group);
        feature
            .map_or_else(|| format!("group_{index}"), |feature| features.names()[feature].clone())
    };
    let names = groups.iter().enumerate().map(name).collect();
    Ok((groups, names))
}

/// The groups of each feature that is reported.
fn reported(params: &KernelShapParams, n_groups: usize) -> Result<Vec<Vec<usize>>, ParamError> {
    let each = || (0..n_groups).map(|group| group..group + 1).collect();
    let ranges =
        match (params.summarise_result, &params.cat_vars_start_idx, &params.cat_vars_enc_dim) {
            (true, Some(starts), Some(lengths)) => blocks(n_groups, starts, lengths)?,
            _ => each(),
        };
    Ok(ranges.into_iter().map(Iterator::collect).collect())
}

/// The value of a player in a row, for people.
fn describe(features: &Features, group: &[usize], row: &Row) -> String {
    let block = |feature: usize| features.columns(feature);
    if let Some(feature) =
        (0..features.len()).find(|&feature| block(feature).eq(group.iter().copied()))
    {
        return features.describe(feature, row);
    }
    let cells = group.iter().map(|&column| row[column].to_string());
    cells.collect::<Vec<_>>().join(", ")
}
