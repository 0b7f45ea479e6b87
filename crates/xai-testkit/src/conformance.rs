//! What every explainer must keep to, whatever it computes.

use std::borrow::Borrow;
use std::fmt::Debug;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, Axis};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xai_core::{
    BlackBox, Error, Event, Explainer, Explanation, Input, Inputs, ParamError, Params, Result, Row,
    Rows, Run, RunConfig, Stop, WhiteBox,
};

use crate::probe::{Broken, Fault, Probe, ProbeBatch};

/// An input that the suite can make lists of and spoil: [`Row`] or `str`.
pub trait SuiteInput: Input {
    /// One input.
    type Item: Borrow<Self> + Clone + Send + Sync;
    /// What a model is asked for.
    type Batch: ProbeBatch<Item = Self::Item> + ?Sized;
    /// Several inputs.
    type List: Inputs<Self>;

    /// A copy of one input.
    fn to_item(&self) -> Self::Item;

    /// The inputs at these places of a list, in this order.
    fn select(list: &Self::List, places: &[usize]) -> Self::List;

    /// Inputs like this one that must be refused before the model is called.
    fn spoiled(&self) -> Vec<Spoiled<Self::Item>>;
}

/// An input that must be refused.
pub struct Spoiled<I> {
    /// The input.
    pub input: I,
    /// What is wrong with it and which error says so.
    pub rule: String,
    /// Whether this is the error.
    pub is_refused_by: Box<dyn Fn(&Error) -> bool>,
}

impl SuiteInput for Row {
    type Item = Array1<f64>;
    type Batch = Rows;
    type List = Array2<f64>;

    fn to_item(&self) -> Array1<f64> {
        self.to_owned()
    }

    fn select(list: &Array2<f64>, places: &[usize]) -> Array2<f64> {
        list.select(Axis(0), places)
    }

    /// A column too few, a column too many, and numbers that are not finite.
    fn spoiled(&self) -> Vec<Spoiled<Array1<f64>>> {
        let mut spoiled = Vec::new();
        let n_columns = self.len();
        for width in [n_columns - 1, n_columns + 1] {
            let cells = self.iter().copied().cycle().take(width);
            spoiled.push(Spoiled {
                input: cells.collect(),
                rule: "a wrong width must be an Error::Shape with both widths".to_owned(),
                is_refused_by: Box::new(move |error| {
                    matches!(error, Error::Shape { expected, got, .. }
                        if *expected == [n_columns] && *got == [width])
                }),
            });
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut input = self.to_owned();
            input[1] = value;
            spoiled.push(Spoiled {
                input,
                rule: format!("{value} must be an Error::NotFinite at [1]"),
                is_refused_by: Box::new(
                    |error| matches!(error, Error::NotFinite { at, .. } if *at == [1]),
                ),
            });
        }
        spoiled
    }
}

impl SuiteInput for str {
    type Item = String;
    type Batch = [String];
    type List = Vec<String>;

    fn to_item(&self) -> String {
        self.to_owned()
    }

    fn select(list: &Vec<String>, places: &[usize]) -> Vec<String> {
        places.iter().map(|&place| list[place].clone()).collect()
    }

    /// Texts without a word.
    fn spoiled(&self) -> Vec<Spoiled<String>> {
        let empty = |text: &str| Spoiled {
            input: text.to_owned(),
            rule: format!("the text {text:?} must be an Error::Empty"),
            is_refused_by: Box::new(|error| matches!(error, Error::Empty { .. })),
        };
        vec![empty(""), empty(" \n\t ")]
    }
}

/// What the model of an explainer is asked for.
pub type BatchOf<E> = <<E as Explainer>::Input as SuiteInput>::Batch;

/// The conformance suite of one fitted explainer.
///
/// ```
/// # use ndarray::{Array2, array};
/// # use serde::{Deserialize, Serialize};
/// # use xai_core::{BlackBox, Explainer, MethodInfo, ModelKind, Result, Row, Run, same_shape};
/// use xai_testkit::conformance::black_box;
/// use xai_testkit::{Linear, Suite};
///
/// /// The output itself, as an explanation.
/// #[derive(Serialize, Deserialize)]
/// struct Echo;
///
/// impl Explainer for Echo {
///     type Input = Row;
///     type Model<'m> = BlackBox<'m>;
///     type Data = Vec<f64>;
///     const INFO: MethodInfo =
///         MethodInfo { name: "echo", kind: ModelKind::BlackBox, scope: &["local"] };
///
///     fn params(&self) -> &impl Serialize {
///         &()
///     }
///
///     fn check_input(&self, x: &Row) -> Result<()> {
///         same_shape("the input", &[2], x.shape())?;
///         xai_core::Input::check(x)
///     }
///
///     fn compute(&self, model: BlackBox<'_>, x: &Row, run: &mut Run<'_>) -> Result<Vec<f64>> {
///         let rows = x.to_owned().insert_axis(ndarray::Axis(0));
///         Ok(run.predict(model.predictor(), &rows)?.row(0).to_vec())
///     }
/// }
///
/// let model = Linear::new(&[1.0, -2.0], 0.5);
/// let inputs = array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
/// Suite { explainer: &Echo, view: black_box, model: &model, inputs }.run();
/// ```
pub struct Suite<'a, E>
where
    E: Explainer<Input: SuiteInput>,
{
    /// The explainer, as its `fit` or `build` returned it.
    pub explainer: &'a E,
    /// The model as the explainer takes it, made of a probe: [`black_box`] for black-box explainers.
    pub view: for<'p> fn(&'p Probe<'p, BatchOf<E>>) -> E::Model<'p>,
    /// A model that treats inputs independently, to the bit: `&dyn Differentiable` for rows,
    /// `&dyn Predictor<[String]>` for texts.
    pub model: <BatchOf<E> as ProbeBatch>::Model<'a>,
    /// At least three different rows or texts, none of which the explainer was fitted on.
    pub inputs: <E::Input as SuiteInput>::List,
}

/// The seed of all runs.
const SEED: u64 = 20_260_101;

/// The inputs of the checks of a failure among many.
const N_MANY: usize = 100;

/// The place of the input that the model fails on.
const FAILING: usize = 90;

impl<E> Suite<'_, E>
where
    E: Explainer<Input: SuiteInput> + Sync,
    E::Data: Serialize + DeserializeOwned + Debug + Send,
{
    /// Runs every check.
    ///
    /// # Panics
    /// At the first rule that is broken, with the rule.
    #[track_caller]
    pub fn run(&self)
    where
        E: Serialize + DeserializeOwned,
    {
        self.run_unsaved();
        self.save_load_explain();
    }

    /// Runs every check but the one that saves the explainer, for explainers that borrow resources and are no plain
    /// data.
    ///
    /// # Panics
    /// At the first rule that is broken, with the rule.
    #[track_caller]
    pub fn run_unsaved(&self) {
        assert!(3 <= self.inputs.n_inputs(), "the suite needs three inputs");
        self.same_seed_same_bytes();
        self.threads_and_neighbours_change_nothing();
        self.bad_input_is_refused_before_any_call();
        self.model_errors_are_named();
        self.a_failure_costs_no_other_row();
        self.a_budget_is_never_exceeded_beside_a_failure();
        self.observers_change_nothing();
        self.every_stop_ends_cleanly();
        self.budgets_hold();
        self.json_round_trip();
        self.queries_are_true();
    }

    fn probe(&self, fault: Fault<<E::Input as SuiteInput>::Item>) -> Probe<'_, BatchOf<E>> {
        BatchOf::<E>::probe(self.model, fault)
    }

    fn explain(
        &self,
        probe: &Probe<'_, BatchOf<E>>,
        input: &E::Input,
    ) -> Result<Explanation<E::Data>> {
        self.explainer.explain((self.view)(probe), input, Run::seeded(SEED))
    }

    /// The explanation of an input by itself.
    fn alone(&self, input: &E::Input) -> Explanation<E::Data> {
        self.explain(&self.probe(Fault::None), input).expect("the suite's inputs can be explained")
    }

    fn json(&self, input: &E::Input) -> String {
        self.alone(input).to_json().expect("an explanation is JSON")
    }

    /// A copy of each input.
    fn items(&self) -> Vec<<E::Input as SuiteInput>::Item> {
        let n_inputs = self.inputs.n_inputs();
        (0..n_inputs).map(|place| self.inputs.input(place).borrow().to_item()).collect()
    }

    fn first(&self) -> <E::Input as SuiteInput>::Item {
        self.inputs.input(0).borrow().to_item()
    }

    fn same_seed_same_bytes(&self) {
        for input in self.items() {
            let (first, second) = (self.json(input.borrow()), self.json(input.borrow()));
            assert_eq!(first, second, "the same seed gave other bytes");
        }
    }

    fn threads_and_neighbours_change_nothing(&self) {
        let alone: Vec<String> =
            self.items().iter().map(|input| self.json(input.borrow())).collect();
        // The inputs, and the same mirrored.
        let places: Vec<usize> = (0..alone.len()).chain((0..alone.len()).rev()).collect();
        let doubled = E::Input::select(&self.inputs, &places);
        for threads in [1, 2, 8] {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let probe = self.probe(Fault::None);
            let together = pool.install(|| {
                self.explainer.explain_many((self.view)(&probe), &doubled, &RunConfig::seeded(SEED))
            });
            assert_eq!(together.len(), places.len(), "one result per input");
            for (index, (result, &place)) in together.into_iter().zip(&places).enumerate() {
                let json = result.expect("the input can be explained").to_json().expect("JSON");
                assert_eq!(
                    json, alone[place],
                    "input {index} differs on {threads} threads among other inputs"
                );
            }
        }
    }

    fn bad_input_is_refused_before_any_call(&self) {
        for Spoiled { input, rule, is_refused_by } in self.first().borrow().spoiled() {
            let probe = self.probe(Fault::None);
            let error = self.explain(&probe, input.borrow()).expect_err(&rule);
            assert!(is_refused_by(&error), "{rule}, got {error:?}");
            assert_eq!(probe.calls(), 0, "{rule} before the model is called");
        }
    }

    fn model_errors_are_named(&self) {
        let input = self.first();
        let broken =
            self.explain(&self.probe(Fault::Always), input.borrow()).expect_err("the model fails");
        let Error::Predictor { source, .. } = &broken else {
            panic!("expected Error::Predictor, got {broken:?}")
        };
        assert_eq!(
            source.downcast_ref::<Broken>(),
            Some(&Broken),
            "the model's own error must be the source"
        );
        let nan = self
            .explain(&self.probe(Fault::NotFinite), input.borrow())
            .expect_err("the outputs are NaN");
        assert!(
            matches!(nan, Error::NotFinite { .. }),
            "NaN outputs must be Error::NotFinite, got {nan:?}"
        );
        let short = self
            .explain(&self.probe(Fault::ShortBatch), input.borrow())
            .expect_err("an output row is missing");
        assert!(
            matches!(short, Error::Shape { .. }),
            "missing outputs must be Error::Shape, got {short:?}"
        );
    }

    /// Many inputs, and the places among the suite's inputs that they come from.
    fn many(&self) -> (<E::Input as SuiteInput>::List, Vec<usize>) {
        let n_inputs = self.inputs.n_inputs();
        let places: Vec<usize> = (0..N_MANY).map(|index| index % n_inputs).collect();
        (E::Input::select(&self.inputs, &places), places)
    }

    /// An input beside one that fails is explained as if it were alone. A call that both shared is asked again, which
    /// only the count of queries may show.
    fn a_failure_costs_no_other_row(&self) {
        let (many, places) = self.many();
        let alone: Vec<Explanation<E::Data>> =
            self.items().iter().map(|input| self.alone(input.borrow())).collect();
        let probe = self.probe(Fault::OnRow(many.input(FAILING).borrow().to_item()));
        let results =
            self.explainer.explain_many((self.view)(&probe), &many, &RunConfig::seeded(SEED));
        assert_eq!(results.len(), places.len(), "one result per input");
        for (index, (result, &place)) in results.into_iter().zip(&places).enumerate() {
            let fails = place == places[FAILING];
            match result {
                Ok(mut explanation) => {
                    assert!(!fails, "input {index} was explained by a model that fails on it");
                    let (queries, least) = (explanation.meta.queries, alone[place].meta.queries);
                    assert!(least <= queries, "input {index} hides queries: {queries} of {least}");
                    if E::MAX_BATCH == 1 {
                        assert_eq!(queries, least, "input {index} shares no calls with another");
                    }
                    explanation.meta.queries = least;
                    assert_eq!(
                        explanation.to_json().expect("JSON"),
                        alone[place].to_json().expect("JSON"),
                        "input {index} differs"
                    );
                }
                Err(error) => {
                    assert!(fails, "input {index} was lost to the failure of another: {error:?}");
                }
            }
        }
    }

    /// A budget that pays for an input alone pays for it beside one that fails, and none is exceeded.
    fn a_budget_is_never_exceeded_beside_a_failure(&self) {
        let (many, places) = self.many();
        let prices = self.items().into_iter().map(|input| self.alone(input.borrow()).meta.queries);
        let budget = prices.max().expect("there are inputs");
        let probe = self.probe(Fault::OnRow(many.input(FAILING).borrow().to_item()));
        let config = RunConfig::seeded(SEED).with_budget(xai_core::Budget::queries(budget));
        let results = self.explainer.explain_many((self.view)(&probe), &many, &config);
        let (mut counted, mut n_failed) = (0, 0);
        for (index, (result, &place)) in results.into_iter().zip(&places).enumerate() {
            let fails = place == places[FAILING];
            match result {
                Ok(explanation) => {
                    assert!(!fails, "input {index} was explained by a model that fails on it");
                    let queries = explanation.meta.queries;
                    assert!(queries <= budget, "input {index} took {queries} of {budget} queries");
                    counted += queries;
                }
                Err(error) => {
                    assert!(fails, "input {index} was lost to the failure of another: {error:?}");
                    n_failed += 1;
                }
            }
        }
        let asked = probe.queries();
        assert!(
            counted <= asked && asked <= counted + n_failed * budget,
            "the model was asked {asked} queries, the explanations say {counted}, and {n_failed} inputs failed under a \
             budget of {budget}"
        );
    }

    fn observers_change_nothing(&self) {
        let input = self.first();
        let mut events = Vec::new();
        let mut observer = |event: Event<'_>| {
            events.push(format!("{event:?}"));
            ControlFlow::Continue(())
        };
        let probe = self.probe(Fault::None);
        let run = Run::seeded(SEED).with_observer(&mut observer);
        let watched = self
            .explainer
            .explain((self.view)(&probe), input.borrow(), run)
            .expect("the input can be explained");
        assert_eq!(
            watched.to_json().expect("JSON"),
            self.json(input.borrow()),
            "an observer changed the explanation"
        );
        assert!(
            events.first().is_some_and(|event| event.starts_with("Started")),
            "the first event is Started"
        );
        assert!(
            events.last().is_some_and(|event| event.starts_with("Finished")),
            "the last event is Finished"
        );
    }

    fn every_stop_ends_cleanly(&self) {
        let input = self.first();
        let full = self.json(input.borrow());
        for stop_at in 0.. {
            let mut seen = 0;
            let mut observer = |_: Event<'_>| {
                seen += 1;
                if seen <= stop_at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let probe = self.probe(Fault::None);
            let run = Run::seeded(SEED).with_observer(&mut observer);
            match self.explainer.explain((self.view)(&probe), input.borrow(), run) {
                Ok(explanation) => {
                    assert_eq!(
                        explanation.meta.queries,
                        probe.queries(),
                        "queries after a stop at event {stop_at}"
                    );
                    // Past the last event nothing was stopped.
                    if seen <= stop_at {
                        assert_eq!(explanation.to_json().expect("JSON"), full);
                        return;
                    }
                }
                Err(error) => {
                    assert!(
                        matches!(error, Error::Stopped(Stop::Observer)),
                        "a stop gave {error:?}"
                    );
                    assert!(stop_at < seen, "stopped although nothing asked for it");
                }
            }
        }
    }

    fn budgets_hold(&self) {
        let input = self.first();
        let full = self
            .explain(&self.probe(Fault::None), input.borrow())
            .expect("the input can be explained")
            .meta
            .queries;
        for queries in [0, 1, full / 2, full - 1, full] {
            let probe = self.probe(Fault::None);
            let budget = xai_core::Budget::queries(queries);
            let run = Run::seeded(SEED).with_budget(budget);
            match self.explainer.explain((self.view)(&probe), input.borrow(), run) {
                Ok(explanation) => {
                    assert_eq!(explanation.meta.queries, probe.queries(), "queries under a budget");
                }
                Err(Error::Stopped(Stop::Budget) | Error::Budget { .. }) => {
                    assert!(queries < full, "the full price was refused");
                }
                Err(other) => panic!("a budget of {queries} gave {other:?}"),
            }
            assert!(
                probe.queries() <= queries,
                "asked {} rows under a budget of {queries}",
                probe.queries()
            );
        }
        let late = || true;
        let budget = xai_core::Budget::cancelled_by(&late);
        let run = Run::seeded(SEED).with_budget(budget);
        match self.explainer.explain((self.view)(&self.probe(Fault::None)), input.borrow(), run) {
            Ok(_) | Err(Error::Stopped(Stop::Deadline)) => {}
            Err(other) => panic!("an expired clock gave {other:?}"),
        }
    }

    fn save_load_explain(&self)
    where
        E: Serialize + DeserializeOwned,
    {
        let saved = serde_json::to_string(self.explainer).expect("an explainer is plain data");
        let loaded: E = serde_json::from_str(&saved).expect("a saved explainer loads");
        assert_eq!(
            serde_json::to_string(&loaded).expect("JSON"),
            saved,
            "loading changed the explainer"
        );
        for input in self.items() {
            let probe = self.probe(Fault::None);
            let again = loaded
                .explain((self.view)(&probe), input.borrow(), Run::seeded(SEED))
                .expect("explained as before");
            assert_eq!(
                again.to_json().expect("JSON"),
                self.json(input.borrow()),
                "a loaded explainer explains differently"
            );
        }
    }

    fn json_round_trip(&self) {
        for input in self.items() {
            let json = self.json(input.borrow());
            let typed =
                Explanation::<E::Data>::from_json(&json).expect("an explanation reads back");
            assert_eq!(
                typed.to_json().expect("JSON"),
                json,
                "the typed round trip changed the bytes"
            );
            assert_eq!(typed.schema, xai_core::explanation::SCHEMA);
            Explanation::<serde_json::Value>::from_json(&json)
                .expect("an explanation reads back untyped");
        }
    }

    fn queries_are_true(&self) {
        for input in self.items() {
            let probe = self.probe(Fault::None);
            let explanation =
                self.explain(&probe, input.borrow()).expect("the input can be explained");
            assert_eq!(
                explanation.meta.queries,
                probe.queries(),
                "meta.queries is not what the model was asked"
            );
        }
    }
}

/// Requires that illegal parameters are refused by name.
///
/// # Panics
/// When `params` pass their check, or when the error names another parameter.
#[track_caller]
pub fn refused<P: Params + Debug>(name: &str, params: P) {
    let shown = format!("{params:?}");
    match params.check() {
        Ok(_) => panic!("`{name}` is illegal and was accepted in {shown}"),
        Err(ParamError { name: named, .. }) => {
            assert_eq!(named, name, "the error names another parameter, in {shown}");
        }
    }
}

/// The view of a probe for black-box explainers.
#[must_use]
pub fn black_box<'p, X: ProbeBatch + ?Sized>(probe: &'p Probe<'p, X>) -> BlackBox<'p, X> {
    BlackBox::from(probe)
}

/// The view of a probe for explainers that need gradients.
#[must_use]
pub fn white_box<'p>(probe: &'p Probe<'p>) -> WhiteBox<'p> {
    WhiteBox::from(probe)
}
