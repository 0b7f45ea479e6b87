//! What a fitted explainer knows of its background: distinct rows, weights and players.

use std::collections::BTreeMap;

use ndarray::Array2;
use xai_core::tabular::Features;
use xai_core::{ParamError, Result, Row, Seed, require};

use crate::background_rows::BackgroundRows;
use crate::importances::blocks;
use crate::params::{KernelShapParams, check_weights};

/// Parts of the background, each a random sample of it: the error that comes from the sample is estimated from their
/// spread.
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
    pub(crate) rows: BackgroundRows,
    /// Their weights, of sum 1.
    pub(crate) weights: Vec<f64>,
    /// The part of each row, for the error that comes from the background.
    parts: Vec<usize>,
    /// The columns of each player.
    pub(crate) groups: Vec<Vec<usize>>,
    /// The groups of each feature that is reported: one, or several whose values are added up.
    reported: Vec<Vec<usize>>,
    /// The names of these features; of a sum those of its first and last group.
    pub(crate) names: Vec<String>,
    /// The group of each column; `None` for a column in no group.
    pub(crate) group_of: Vec<Option<usize>>,
    /// For each group its place in `values`; `None` where all rows have one value.
    places: Vec<Option<usize>>,
    /// The number of each row's value among the distinct values of each group that has several, and of the columns in
    /// no group at the end, shape `(n_rows, n_places + 1)`.
    values: Array2<u32>,
    /// Whether no other row has that value, same shape.
    unique: Array2<bool>,
}

impl Background {
    pub(crate) fn new(
        params: &KernelShapParams,
        rows: &BackgroundRows,
        weights: Option<&[f64]>,
        features: &Features,
    ) -> Result<Self> {
        check_background(params, rows, weights, features)?;
        let groups = groups(params, features);
        let group_of = groups_of_columns(params, &groups, features.n_columns())?;
        let names = names(params, &groups, features)?;
        for &fixed in &params.fixed_features {
            let rule = format_args!("indices below the {} features or groups", groups.len());
            require(fixed < groups.len(), "fixed_features", rule, fixed)?;
        }
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        // Equal rows are one row of their joint weight, and rows without weight are none: the game is the same.
        let mut merged: BTreeMap<Vec<u64>, (usize, f64)> = BTreeMap::new();
        for index in (0..rows.n_rows()).filter(|&index| 0.0 < weight(index)) {
            merged.entry(rows.key(index)).or_insert((index, 0.0)).1 += weight(index);
        }
        let mut kept: Vec<(usize, f64)> = merged.into_values().collect();
        kept.sort_unstable_by_key(|&(index, _)| index);
        let total: f64 = kept.iter().map(|&(_, weight)| weight).sum();
        let indices: Vec<usize> = kept.iter().map(|&(index, _)| index).collect();
        let weights = kept.iter().map(|&(_, weight)| weight / total).collect();
        let rows = rows.select(&indices);
        let may_vary = rows.may_vary();
        let mut varying: Vec<Vec<usize>> = Vec::new();
        let place = |group: &Vec<usize>| {
            let mut columns: Vec<usize> =
                group.iter().copied().filter(|&column| may_vary[column]).collect();
            columns.sort_unstable();
            (!columns.is_empty()).then(|| {
                varying.push(columns);
                varying.len() - 1
            })
        };
        let places = groups.iter().map(place).collect();
        let in_no_group = |&column: &usize| group_of[column].is_none() && may_vary[column];
        varying.push((0..rows.n_columns()).filter(in_no_group).collect());
        let values = numbered(&rows, &varying);
        let unique = unique(&values);
        let parts = parts(rows.n_rows());
        let reported = reported(params, groups.len())?;
        let name = |groups: &Vec<usize>| match groups[..] {
            [group] => names[group].clone(),
            _ => format!("{}..{}", names[groups[0]], names[groups[groups.len() - 1]]),
        };
        let names = reported.iter().map(name).collect();
        Ok(Background {
            rows,
            weights,
            parts,
            groups,
            names,
            reported,
            group_of,
            places,
            values,
            unique,
        })
    }

    /// For each feature that is reported, the places in `players` of its groups.
    pub(crate) fn sums(&self, players: &[usize]) -> Vec<Vec<usize>> {
        let mut place_of = vec![None; self.groups.len()];
        players.iter().enumerate().for_each(|(place, &group)| place_of[group] = Some(place));
        let places =
            |groups: &Vec<usize>| groups.iter().filter_map(|&group| place_of[group]).collect();
        self.reported.iter().map(places).collect()
    }

    /// The values of the features that are reported in a row, human-readable.
    pub(crate) fn reported_values(&self, features: &Features, row: &Row) -> Vec<String> {
        let value = |group: &usize| describe(features, &self.groups[*group], row);
        let values = |groups: &Vec<usize>| groups.iter().map(value).collect::<Vec<_>>().join(", ");
        self.reported.iter().map(values).collect()
    }

    /// The number of parts.
    pub(crate) fn n_parts(&self) -> usize {
        self.rows.n_rows().min(PARTS)
    }

    /// The part of a row, of so many parts: one, or all.
    pub(crate) fn part(&self, row: usize, n_parts: usize) -> usize {
        if n_parts < 2 { 0 } else { self.parts[row] }
    }

    /// The number of a row's value among the distinct values of a group.
    pub(crate) fn value(&self, row: usize, group: usize) -> u32 {
        self.places[group].map_or(0, |place| self.values[[row, place]])
    }

    /// The number of a row's value among the distinct values of the columns in no group.
    pub(crate) fn value_in_no_group(&self, row: usize) -> u32 {
        self.values[[row, self.values.ncols() - 1]]
    }

    /// Whether no other row has this row's value of a group.
    pub(crate) fn is_unique(&self, row: usize, group: usize) -> bool {
        self.places[group].map_or(self.rows.n_rows() == 1, |place| self.unique[[row, place]])
    }
}

/// Requires rows that fit the table, at least one, and as many weights that are some.
pub(crate) fn check_background(
    params: &KernelShapParams,
    rows: &BackgroundRows,
    weights: Option<&[f64]>,
    features: &Features,
) -> Result<()> {
    rows.check(params.allow_missing, features)?;
    let n_rows = rows.n_rows();
    require(0 < n_rows, "background", "at least one row", n_rows)?;
    if let Some(weights) = weights {
        let rule = format_args!("one per background row, {n_rows} of them");
        require(weights.len() == n_rows, "weights", rule, weights.len())?;
        check_weights(weights)?;
    }
    Ok(())
}

/// Numbers the distinct values of each list of ascending columns over the rows, shape `(n_rows, columns.len())`.
fn numbered(rows: &BackgroundRows, columns: &[Vec<usize>]) -> Array2<u32> {
    let mut numbers = Array2::zeros((rows.n_rows(), columns.len()));
    for (place, columns) in columns.iter().enumerate() {
        let mut known = BTreeMap::new();
        for row in 0..rows.n_rows() {
            let next = u32::try_from(known.len()).expect("fewer than 2^32 rows");
            numbers[[row, place]] = *known.entry(rows.key_of_columns(row, columns)).or_insert(next);
        }
    }
    numbers
}

/// Whether each number stands once in its column.
fn unique(numbers: &Array2<u32>) -> Array2<bool> {
    let mut unique = Array2::default(numbers.dim());
    for (numbers, mut unique) in numbers.columns().into_iter().zip(unique.columns_mut()) {
        let mut times = vec![0_usize; numbers.len()];
        numbers.iter().for_each(|&number| times[number as usize] += 1);
        unique.zip_mut_with(&numbers, |unique, &number| *unique = times[number as usize] == 1);
    }
    unique
}

/// The players' columns.
fn groups(params: &KernelShapParams, features: &Features) -> Vec<Vec<usize>> {
    let blocks = || (0..features.len()).map(|feature| features.columns(feature).collect());
    params.groups.clone().unwrap_or_else(|| blocks().collect())
}

/// The player of each column; `None` for a column in no group.
fn groups_of_columns(
    params: &KernelShapParams,
    groups: &[Vec<usize>],
    n_columns: usize,
) -> Result<Vec<Option<usize>>, ParamError> {
    let mut group_of = vec![None; n_columns];
    for (index, group) in groups.iter().enumerate() {
        for &column in group {
            let rule = format_args!("columns below {n_columns}");
            require(column < n_columns, "groups", rule, column)?;
            group_of[column] = Some(index);
        }
    }
    if !params.allow_partial_groups
        && let Some(left_out) = group_of.iter().position(Option::is_none)
    {
        let rule = "lists that cover every column (or set `allow_partial_groups`)";
        require(false, "groups", rule, format!("none with column {left_out}"))?;
    }
    Ok(group_of)
}

/// The players' names.
fn names(
    params: &KernelShapParams,
    groups: &[Vec<usize>],
    features: &Features,
) -> Result<Vec<String>, ParamError> {
    if let Some(names) = &params.group_names {
        let rule = format_args!("{} names", groups.len());
        require(names.len() == groups.len(), "group_names", rule, names.len())?;
        return Ok(names.clone());
    }
    let of_features = features.names();
    let name = |(index, group): (usize, &Vec<usize>)| {
        feature_of(features, group)
            .map_or_else(|| format!("group_{index}"), |feature| of_features[feature].clone())
    };
    Ok(groups.iter().enumerate().map(name).collect())
}

/// The feature whose columns are these.
fn feature_of(features: &Features, columns: &[usize]) -> Option<usize> {
    let &first = columns.first()?;
    // Features lie one after the other, so the one that begins here is found by halving.
    let (mut low, mut high) = (0, features.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if features.columns(middle).start < first { low = middle + 1 } else { high = middle }
    }
    let is_it = |&feature: &usize| {
        feature < features.len() && features.columns(feature).eq(columns.iter().copied())
    };
    Some(low).filter(is_it)
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

/// The value of a player in a row, human-readable.
fn describe(features: &Features, group: &[usize], row: &Row) -> String {
    if let Some(feature) = feature_of(features, group) {
        return features.describe(feature, row);
    }
    let cells = group.iter().map(|&column| row[column].to_string());
    cells.collect::<Vec<_>>().join(", ")
}
