//! The search space with what guides through it: an autoencoder, a prototype, and trust.

use ndarray::{Array1, Array2};
use xai_core::{Differentiable, ModelRef, Predictor, Result, Row, Rows, Run};
use xai_optim::loss::ClassScores;
use xai_optim::{Evaluation, Problem, evaluate_rows};

use crate::prototype::{Prototypes, Source};
use crate::space::Space;

/// What leads an instance through the space.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The instance's class.
    pub(crate) class: usize,
    /// The prototype that attracts it, in the space of the prototypes; `None` where none does.
    pub(crate) prototype: Option<Array1<f64>>,
    /// The class of the prototype.
    pub(crate) id: Option<usize>,
}

/// The space around some instances, and the further terms of their loss.
#[derive(Clone, Copy)]
pub(crate) struct PrototypeObjective<'a> {
    pub(crate) space: Space<'a>,
    /// One for each instance.
    pub(crate) targets: &'a [Target],
    pub(crate) places: Places<'a>,
    pub(crate) scores: &'a [ClassScores],
    pub(crate) autoencoder: Option<&'a dyn Differentiable>,
    pub(crate) gamma: f64,
    pub(crate) theta: f64,
    pub(crate) threshold: f64,
    /// Whether what is found stays between the instance and where the terms drew it.
    pub(crate) keeps_attraction: bool,
}

/// A term that takes a model to evaluate.
#[derive(Clone, Copy)]
enum Term<'a> {
    /// `gamma ||num(AE(row)) - point||^2`.
    Reconstruction(&'a dyn Differentiable),
    /// `theta ||E(row) - prototype||^2`.
    Encoding(&'a dyn Differentiable),
}

impl<'a> Term<'a> {
    fn model(self) -> &'a dyn Differentiable {
        match self {
            Term::Reconstruction(model) | Term::Encoding(model) => model,
        }
    }
}

/// A row that a term's model is evaluated at.
#[derive(Clone, Copy)]
struct TermRow {
    /// The point it belongs to.
    place: usize,
    /// The coordinate that is moved; `None` for the point itself.
    moved: Option<Moved>,
}

/// A coordinate and the value that it is moved to.
#[derive(Clone, Copy)]
struct Moved {
    feature: usize,
    value: f64,
}

/// The space of the prototypes: encodings of rows, or points themselves.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) space: Space<'a>,
    pub(crate) prototypes: Option<&'a Prototypes>,
    pub(crate) encoder: Option<&'a dyn Differentiable>,
}

impl Places<'_> {
    /// The places of points, shape `(n_points, n_features)`, in the space of the prototypes.
    pub(crate) fn of(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Vec<Array1<f64>>> {
        let is_encoded =
            self.prototypes.is_some_and(|prototypes| prototypes.source() == Source::Encoder);
        let Some(encoder) = self.encoder.filter(|_| is_encoded) else {
            return Ok(points.rows().into_iter().map(|point| point.to_owned()).collect());
        };
        let mut inputs = Array2::zeros((points.nrows(), self.space.features().n_columns()));
        for ((&instance, point), mut input) in
            instances.iter().zip(points.rows()).zip(inputs.rows_mut())
        {
            self.space.decode(instance, &point, &mut input);
        }
        let encoder: &dyn Predictor = encoder;
        let model = ModelRef::BlackBox(encoder);
        let encodings = evaluate_rows(model, instances, &inputs, runs, &|_, _| None)?;
        Ok(encodings.into_iter().map(|encoding| encoding.outputs).collect())
    }
}

impl PrototypeObjective<'_> {
    /// The value of a term at a point, from its model's outputs.
    fn value(&self, term: Term<'_>, instance: usize, point: &Row, outputs: &Row) -> f64 {
        match term {
            Term::Reconstruction(_) => {
                let features = self.space.features();
                let errors = self.space.codes.reconstructed(features, outputs) - point;
                self.gamma * errors.dot(&errors)
            }
            Term::Encoding(_) => {
                let Some(prototype) = &self.targets[instance].prototype else { return 0.0 };
                let errors = &outputs.view() - prototype;
                self.theta * errors.dot(&errors)
            }
        }
    }

    /// The derivative of a term by its model's outputs.
    fn along(&self, term: Term<'_>, instance: usize, point: &Row, outputs: &Row) -> Array1<f64> {
        match term {
            Term::Reconstruction(_) => {
                let features = self.space.features();
                let mut along = Array1::zeros(outputs.len());
                for feature in
                    (0..point.len()).filter(|&feature| !self.space.is_categorical(feature))
                {
                    let column = features.columns(feature).start;
                    along[column] = 2.0 * self.gamma * (outputs[column] - point[feature]);
                }
                along
            }
            Term::Encoding(_) => match &self.targets[instance].prototype {
                Some(prototype) => 2.0 * self.theta * (&outputs.view() - prototype),
                None => Array1::zeros(outputs.len()),
            },
        }
    }

    /// Adds the derivative of a term at each point to `slopes`. Categories are differentiated between their neighbors,
    /// at which their model is evaluated in the same call.
    fn add(
        &self,
        term: Term<'_>,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        slopes: &mut Array2<f64>,
    ) -> Result<()> {
        let rows = self.term_rows(instances, points);
        let point = |row: TermRow| {
            let mut point = points.row(row.place).to_owned();
            if let Some(Moved { feature, value }) = row.moved {
                point[feature] = value;
            }
            point
        };
        let mut inputs = Array2::zeros((rows.len(), self.n_columns()));
        for (&row, mut input) in rows.iter().zip(inputs.rows_mut()) {
            self.space.decode(instances[row.place], &point(row), &mut input);
        }
        let of: Vec<usize> = rows.iter().map(|row| instances[row.place]).collect();
        let model = ModelRef::WhiteBox(term.model());
        let evaluations = evaluate_rows(model, &of, &inputs, runs, &|row, outputs| {
            let TermRow { place, moved } = rows[row];
            moved.is_none().then(|| self.along(term, instances[place], &points.row(place), outputs))
        })?;
        let mut below: Option<f64> = None;
        let mut from = 0.0;
        for (&row, evaluation) in rows.iter().zip(&evaluations) {
            let place = row.place;
            let Some(Moved { feature, value: coordinate }) = row.moved else {
                let (instance, point) = (instances[place], points.row(place));
                self.add_at_point(term, instance, &point, evaluation, &mut slopes.row_mut(place));
                continue;
            };
            let value = self.value(term, instances[place], &point(row), &evaluation.outputs);
            match below.take() {
                None => (below, from) = (Some(value), coordinate),
                Some(lower) => slopes[[place, feature]] += (value - lower) / (coordinate - from),
            }
        }
        Ok(())
    }

    /// The rows at which a term's model is evaluated: each point, and behind it the two neighbors of each category.
    fn term_rows(&self, instances: &[usize], points: &Rows) -> Vec<TermRow> {
        let mut rows: Vec<TermRow> = Vec::new();
        for (place, point) in points.rows().into_iter().enumerate() {
            rows.push(TermRow { place, moved: None });
            for feature in (0..point.len()).filter(|&feature| self.is_always_probed(feature)) {
                if let Some((down, up)) = self.space.probe(instances[place], &point, feature) {
                    let moved = |value| TermRow { place, moved: Some(Moved { feature, value }) };
                    rows.extend([down, up].map(moved));
                }
            }
        }
        rows
    }

    /// Adds the derivative of a term by the coordinates that its model is differentiated by, and that of the point itself
    /// in a reconstruction error.
    fn add_at_point(
        &self,
        term: Term<'_>,
        instance: usize,
        point: &Row,
        evaluation: &Evaluation,
        slopes: &mut Row,
    ) {
        if let Some(gradient) = &evaluation.gradient {
            slopes.zip_mut_with(&self.space.pull_back(gradient), |slope, by| *slope += by);
        }
        let Term::Reconstruction(_) = term else { return };
        let outputs = &evaluation.outputs;
        let along = self.along(term, instance, point, outputs);
        let features = self.space.features();
        let reconstructed = self.space.codes.reconstructed(features, outputs);
        for feature in 0..point.len() {
            if !self.space.is_categorical(feature) {
                slopes[feature] -= along[features.columns(feature).start];
            } else if !self.space.rules.probes_categories() {
                slopes[feature] -= 2.0 * self.gamma * (reconstructed[feature] - point[feature]);
            }
        }
    }

    /// The smooth terms beside the attack and the distance, as gradients, shape of `points`; `None` where there are none.
    pub(crate) fn slopes(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        let pulls = 0.0 < self.theta && self.places.prototypes.is_some();
        if !pulls && self.gamma <= 0.0 {
            return Ok(None);
        }
        let mut slopes = Array2::zeros(points.dim());
        if let Some(autoencoder) = self.autoencoder.filter(|_| 0.0 < self.gamma) {
            let term = Term::Reconstruction(autoencoder);
            self.add(term, runs, instances, points, &mut slopes)?;
        }
        match self.places.prototypes.map(Prototypes::source) {
            Some(Source::Encoder) if pulls => {
                let encoder = self.places.encoder.expect("checked before the search");
                self.add(Term::Encoding(encoder), runs, instances, points, &mut slopes)?;
            }
            Some(Source::Rows) if pulls => {
                for (place, &instance) in instances.iter().enumerate() {
                    if let Some(prototype) = &self.targets[instance].prototype {
                        let pull = 2.0 * self.theta * (&points.row(place) - prototype);
                        let mut row = slopes.row_mut(place);
                        row += &pull;
                    }
                }
            }
            _ => {}
        }
        Ok(Some(slopes))
    }
}

impl Problem for PrototypeObjective<'_> {
    fn n_columns(&self) -> usize {
        self.space.features().n_columns()
    }

    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        self.space.decode(instance, point, input);
    }

    fn snap(&self, instance: usize, point: &mut Row) {
        self.space.snap(instance, point);
    }

    fn pull_back(&self, _: usize, _: &Row, gradient: &Row) -> Array1<f64> {
        self.space.pull_back(gradient)
    }

    fn probe(&self, instance: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)> {
        self.space.probe(instance, point, coordinate)
    }

    fn is_always_probed(&self, coordinate: usize) -> bool {
        self.space.rules.probes_categories() && self.space.is_categorical(coordinate)
    }

    fn is_discrete(&self, coordinate: usize) -> bool {
        let constraints = self.space.constraints;
        self.space.is_categorical(coordinate) || constraints.is_discrete(coordinate)
    }

    fn neighbors(&self, instance: usize, point: &Row) -> Vec<Array1<f64>> {
        self.space.neighbors(instance, point)
    }

    fn attractors(&self, instance: usize) -> Option<Vec<Array1<f64>>> {
        let rows = self.places.prototypes.filter(|prototypes| prototypes.source() == Source::Rows);
        let prototype = rows.and_then(|_| self.targets[instance].prototype.clone());
        self.keeps_attraction.then(|| prototype.into_iter().collect())
    }

    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        self.slopes(runs, instances, points)
    }

    fn admits(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        outputs: &Rows,
    ) -> Result<Vec<bool>> {
        let Some(prototypes) = self.places.prototypes.filter(|_| 0.0 < self.threshold) else {
            return Ok(vec![true; instances.len()]);
        };
        let places = self.places.of(runs, instances, points)?;
        let mut admitted = Vec::with_capacity(instances.len());
        for ((&instance, place), outputs) in instances.iter().zip(&places).zip(outputs.rows()) {
            let to = self.scores[instance].class(&outputs);
            let trust = prototypes.trust(place, self.targets[instance].class, to)?;
            admitted.push(trust.is_some_and(|trust| self.threshold < trust));
        }
        Ok(admitted)
    }
}
