//! The search space with what guides through it: an autoencoder, a prototype, and trust.

use ndarray::{Array1, Array2};
use xai_core::run::BatchPlan;
use xai_core::{Differentiable, ModelRef, Predictor, Result, Row, Rows, Run, Semantics};
use xai_optim::loss::Outputs;
use xai_optim::shrink_one_sided;
use xai_optim::{Instance, Problem};

use crate::prototype::{Prototypes, Source};
use crate::space::Space;

/// What leads an instance through the space.
#[derive(Clone, Debug)]
pub(crate) struct Guide {
    /// The instance's class.
    pub(crate) class: usize,
    /// Where it is drawn to, in the space of the prototypes; `None` where nothing draws.
    pub(crate) prototype: Option<Array1<f64>>,
}

/// The space around some instances, and the further terms of their loss.
#[derive(Clone, Copy)]
pub(crate) struct Guided<'a> {
    pub(crate) space: Space<'a>,
    pub(crate) guides: &'a [Guide],
    pub(crate) prototypes: Option<&'a Prototypes>,
    pub(crate) outputs: Outputs,
    pub(crate) encoder: Option<&'a dyn Differentiable>,
    pub(crate) autoencoder: Option<&'a dyn Differentiable>,
    pub(crate) gamma: f64,
    pub(crate) theta: f64,
    pub(crate) threshold: f64,
    /// Whether what is found stays between the instance and where the terms drew it.
    pub(crate) is_drawn: bool,
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

/// A row that a term's model is asked about: which point it belongs to, and the coordinate that is moved, with its
/// value.
type Asked = (usize, Option<(usize, f64)>);

impl Guided<'_> {
    /// The value of a term at a point, from its model's outputs.
    fn value(&self, term: Term<'_>, instance: usize, point: &Row, outputs: &Row) -> f64 {
        match term {
            Term::Reconstruction(_) => {
                let features = self.space.features();
                let errors = self.space.codes.reconstructed(features, outputs) - point;
                self.gamma * errors.dot(&errors)
            }
            Term::Encoding(_) => {
                let Some(prototype) = &self.guides[instance].prototype else { return 0.0 };
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
                for feature in (0..point.len()).filter(|&own| !self.space.is_categorical(own)) {
                    let column = features.columns(feature).start;
                    along[column] = 2.0 * self.gamma * (outputs[column] - point[feature]);
                }
                along
            }
            Term::Encoding(_) => match &self.guides[instance].prototype {
                Some(prototype) => 2.0 * self.theta * (&outputs.view() - prototype),
                None => Array1::zeros(outputs.len()),
            },
        }
    }

    /// Adds the derivative of a term at each point. Categories are differentiated between their neighbors, which their
    /// model is asked for in the same call.
    fn add(
        &self,
        term: Term<'_>,
        runs: &mut [Run<'_>],
        (instances, points): (&[usize], &Rows),
        slopes: &mut Array2<f64>,
    ) -> Result<()> {
        let native = self.space.semantics == Semantics::Native;
        let mut asked: Vec<Asked> = Vec::new();
        for (place, point) in points.rows().into_iter().enumerate() {
            asked.push((place, None));
            let categorical =
                (0..point.len()).filter(|&own| native && self.space.is_categorical(own));
            for feature in categorical {
                if let Some((down, up)) = self.space.probe(instances[place], &point, feature) {
                    asked.extend([down, up].map(|value| (place, Some((feature, value)))));
                }
            }
        }
        let moved = |(place, moved): Asked| {
            let mut point = points.row(place).to_owned();
            if let Some((feature, value)) = moved {
                point[feature] = value;
            }
            point
        };
        let mut inputs = Array2::zeros((asked.len(), self.n_columns()));
        for (&own, mut input) in asked.iter().zip(inputs.rows_mut()) {
            self.space.decode(instances[own.0], &moved(own), &mut input);
        }
        let of: Vec<usize> = asked.iter().map(|(place, _)| instances[*place]).collect();
        let access = ModelRef::WhiteBox(term.model());
        let answers = ask(runs, access, (&of, &inputs), &|row, outputs| {
            let (place, moved) = asked[row];
            moved.is_none().then(|| self.along(term, instances[place], &points.row(place), outputs))
        })?;
        let mut below = None;
        for (&own, (outputs, gradient)) in asked.iter().zip(&answers) {
            let (place, at) = own;
            let point = points.row(place);
            let Some((feature, coordinate)) = at else {
                let along = self.along(term, instances[place], &point, outputs);
                self.add_own(
                    term,
                    gradient.as_ref(),
                    (&point, outputs, &along),
                    &mut slopes.row_mut(place),
                );
                continue;
            };
            let value = self.value(term, instances[place], &moved(own), outputs);
            match below.take() {
                None => below = Some((value, coordinate)),
                Some((lower, from)) => {
                    slopes[[place, feature]] += (value - lower) / (coordinate - from);
                }
            }
        }
        Ok(())
    }

    /// Adds the derivative of a term by the coordinates that its model is differentiated by, and that of the point itself
    /// in a reconstruction error.
    fn add_own(
        &self,
        term: Term<'_>,
        gradient: Option<&Array1<f64>>,
        (point, outputs, along): (&Row, &Row, &Row),
        slopes: &mut Row,
    ) {
        if let Some(gradient) = gradient {
            slopes.zip_mut_with(&self.space.pull_back(gradient), |slope, own| *slope += own);
        }
        let Term::Reconstruction(_) = term else { return };
        let features = self.space.features();
        let reconstructed = self.space.codes.reconstructed(features, outputs);
        for feature in 0..point.len() {
            if !self.space.is_categorical(feature) {
                slopes[feature] -= along[features.columns(feature).start];
            } else if self.space.semantics == Semantics::Reference {
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
        let pulls = 0.0 < self.theta && self.prototypes.is_some();
        if !pulls && self.gamma <= 0.0 {
            return Ok(None);
        }
        let mut slopes = Array2::zeros(points.dim());
        if let Some(autoencoder) = self.autoencoder.filter(|_| 0.0 < self.gamma) {
            self.add(Term::Reconstruction(autoencoder), runs, (instances, points), &mut slopes)?;
        }
        match self.prototypes.map(Prototypes::source) {
            Some(Source::Encoder) if pulls => {
                let encoder = self.encoder.expect("checked before the search");
                self.add(Term::Encoding(encoder), runs, (instances, points), &mut slopes)?;
            }
            Some(Source::Rows) if pulls => {
                for (place, &instance) in instances.iter().enumerate() {
                    if let Some(prototype) = &self.guides[instance].prototype {
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

    /// The places of points in the space of the prototypes, shape `(n_points, n_dimensions)`.
    pub(crate) fn encodings(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Vec<Array1<f64>>> {
        let Some(encoder) = self
            .encoder
            .filter(|_| self.prototypes.is_some_and(|own| own.source() == Source::Encoder))
        else {
            return Ok(points.rows().into_iter().map(|point| point.to_owned()).collect());
        };
        let mut inputs = Array2::zeros((points.nrows(), self.n_columns()));
        for ((&instance, point), mut input) in
            instances.iter().zip(points.rows()).zip(inputs.rows_mut())
        {
            self.space.decode(instance, &point, &mut input);
        }
        let encoder: &dyn Predictor = encoder;
        let answers = ask(runs, ModelRef::BlackBox(encoder), (instances, &inputs), &|_, _| None)?;
        Ok(answers.into_iter().map(|(outputs, _)| outputs).collect())
    }
}

/// What a model says of a row, and its gradient where one was wanted.
type Answer = (Array1<f64>, Option<Array1<f64>>);

/// Asks a model about rows of several instances in shared calls; answers in the order of the rows.
pub(crate) fn ask(
    runs: &mut [Run<'_>],
    access: ModelRef<'_>,
    (instances, inputs): (&[usize], &Rows),
    along: &(dyn Fn(usize, &Row) -> Option<Array1<f64>> + Sync),
) -> Result<Vec<Answer>> {
    let mut places: Vec<Vec<usize>> = vec![Vec::new(); runs.len()];
    for (place, &instance) in instances.iter().enumerate() {
        places[instance].push(place);
    }
    let sizes: Vec<usize> = places.iter().map(Vec::len).collect();
    let batch = BatchPlan { sizes: &sizes, gradients: &sizes, n_features: inputs.ncols() };
    let mut answers: Vec<Option<Answer>> = vec![None; instances.len()];
    Run::query_batched(
        runs,
        access,
        batch,
        |run, row, input| input.assign(&inputs.row(places[run][row])),
        |run, row, outputs| along(places[run][row], outputs),
        |run, row, outputs, gradient| {
            let gradient = gradient.map(Row::to_owned);
            answers[places[run][row]] = Some((outputs.to_owned(), gradient));
            Ok(())
        },
    )?;
    Ok(answers.into_iter().map(|answer| answer.expect("every row was asked")).collect())
}

impl Problem for Guided<'_> {
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
        self.space.semantics == Semantics::Native && self.space.is_categorical(coordinate)
    }

    fn is_discrete(&self, coordinate: usize) -> bool {
        let constraints = self.space.constraints;
        self.space.is_categorical(coordinate) || constraints.is_discrete(coordinate)
    }

    fn neighbors(&self, instance: usize, point: &Row) -> Vec<Array1<f64>> {
        self.space.neighbors(instance, point)
    }

    fn drawn_to(&self, instance: usize) -> Option<Vec<Array1<f64>>> {
        let rows = self.prototypes.filter(|own| own.source() == Source::Rows);
        let prototype = rows.and_then(|_| self.guides[instance].prototype.clone());
        self.is_drawn.then(|| prototype.into_iter().collect())
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
        let Some(prototypes) = self.prototypes.filter(|_| 0.0 < self.threshold) else {
            return Ok(vec![true; instances.len()]);
        };
        let encodings = self.encodings(runs, instances, points)?;
        let mut admitted = Vec::with_capacity(instances.len());
        for ((&instance, encoding), outputs) in instances.iter().zip(&encodings).zip(outputs.rows())
        {
            let to = self.outputs.class(&outputs);
            let trust = prototypes.trust(encoding, self.guides[instance].class, to)?;
            admitted.push(trust.is_some_and(|trust| self.threshold < trust));
        }
        Ok(admitted)
    }

    fn proximal(&self, index: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        let _ = index;
        if self.space.semantics == Semantics::Native {
            let limits = (&*instance.lower, &*instance.upper);
            let (center, scale) = (&instance.center, &instance.scale);
            xai_optim::proximal(point, center, scale, threshold, limits);
            return;
        }
        for (k, value) in point.iter_mut().enumerate() {
            let limits = (instance.lower[k], instance.upper[k]);
            *value = shrink_one_sided(*value, instance.center[k], threshold, limits);
        }
    }
}
