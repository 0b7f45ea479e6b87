//! Jobs of rows, in memory and from TOML, with models in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "the same computation gives the same bits")]
#![allow(
    clippy::field_reassign_with_default,
    reason = "settings may become constructible by their defaults alone"
)]

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use xai::core::{BoxError, CentralDifference, Differentiable};
use xai::job::{InputKind, JobError, JobExplanation, Place, RowError, Selection, find, methods};
use xai::ndarray::{Array2, array};
use xai::prelude::*;
use xai::shap::KernelShapData;

fn training() -> Array2<f64> {
    array![[0.0, 0.0, 1.0], [1.0, 2.0, 0.0], [2.0, 1.0, 1.0], [0.5, 0.5, 0.5]]
}

fn rows() -> Array2<f64> {
    array![[1.0, 0.0, 2.0], [0.5, 0.5, 0.5], [2.0, 2.0, 0.0]]
}

fn model() -> impl Predictor {
    per_row(|row| {
        let p = 1.0 / (1.0 + (row[1] - row[0] * row[2]).exp());
        [1.0 - p, p]
    })
}

/// A job in memory gives what the library's own call gives, to the bit.
#[test]
fn a_job_in_memory_is_the_call_of_the_library() {
    let model = model();
    let features = Features::numeric(["a", "b", "c"]).unwrap();
    let params = KernelShapParams::default();
    let explainer = params.fit(&training(), features.clone()).unwrap();
    let expected: Vec<String> = explainer
        .explain_many(&model, &rows(), &RunConfig::seeded(3))
        .into_iter()
        .map(|result| result.unwrap().to_json().unwrap())
        .collect();
    let job = Job::new("kernel-shap")
        .with_seed(3)
        .with_model(&model)
        .with_features(features)
        .with_training_rows(training())
        .with_rows(rows());
    let explained = job.explain_all().unwrap();
    let got: Vec<String> =
        explained.iter().map(|result| result.as_ref().unwrap().to_json().unwrap()).collect();
    assert_eq!(got, expected);
    let typed = explained[0].as_ref().unwrap().typed::<KernelShapData>().unwrap();
    assert_eq!(typed.data.feature_names, ["a", "b", "c"]);
    let figure = explained[0].as_ref().unwrap().figure(&OutputNames::new(["no", "yes"]));
    let figure = format!("{figure:?}");
    assert!(figure.contains("yes") && !figure.contains("output 1"), "{figure}");
}

#[test]
fn results_come_one_by_one_and_a_break_ends_the_work() {
    let n_rows = AtomicUsize::new(0);
    let model = predictor(|rows| -> Result<Array2<f64>, BoxError> {
        n_rows.fetch_add(rows.nrows(), Ordering::Relaxed);
        Ok(rows.to_owned())
    });
    let many = Array2::from_shape_fn((10_000, 3), |(row, column)| (row * (column + 1)) as f64);
    let job = Job::new("kernel-shap")
        .with_model(&model)
        .with_training_rows(training())
        .with_rows(many)
        .with_selection(Selection::from(5..10_000));
    let mut seen = Vec::new();
    job.explain(&mut |id, result| {
        result.unwrap();
        seen.push((id.row, id.file.map(str::to_owned)));
        if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(seen, [(5, None), (6, None), (7, None)]);
    // Eight coalitions of four background rows for each row would be 320,000.
    assert!(n_rows.load(Ordering::Relaxed) < 160_000, "{n_rows:?}");
}

#[test]
fn settings_are_any_object() {
    let model = model();
    let job = |params: &str| {
        let job = Job::from_toml(&format!("method = \"kernel-shap\"\n{params}"), ".").unwrap();
        job.with_model(&model).with_training_rows(training()).with_rows(rows())
    };
    let lines = |job: Job<'_>| -> Vec<String> {
        let explained = job.explain_all().unwrap();
        explained.into_iter().map(|result| result.unwrap().to_json().unwrap()).collect()
    };
    let expected = lines(job("[params]\nnsamples = 6\nlink = \"logit\"\n"));
    let of_json = serde_json::json!({ "nsamples": 6, "link": "logit" });
    assert_eq!(lines(job("").with_params(&of_json).unwrap()), expected);
    let mut params = KernelShapParams::default();
    params.nsamples = xai::shap::NSamples::Count(6);
    params.link = xai::shap::Link::Logit;
    assert_eq!(lines(job("").with_params(&params).unwrap()), expected);
    assert_ne!(lines(job("")), expected);
    let wrong = job("").with_params(&serde_json::json!({ "nsample": 6 })).unwrap();
    let error = wrong.load().err().unwrap().to_string();
    assert!(error.starts_with("params: unknown field `nsample`, expected one of "), "{error}");
}

/// The budget and the seed of a document are those of the builder.
#[test]
fn seed_and_budget_come_from_either_side() {
    let model = model();
    let explain = |job: Job<'_>| -> Vec<Result<JobExplanation, xai::core::Error>> {
        job.with_model(&model)
            .with_training_rows(training())
            .with_rows(rows())
            .explain_all()
            .unwrap()
    };
    let text =
        "method = \"kernel-shap\"\nseed = 5\n[budget]\nqueries = 12\n[params]\nnsamples = 6\n";
    let of_text = explain(Job::from_toml(text, ".").unwrap());
    let params = serde_json::json!({ "nsamples": 6 });
    let in_memory = Job::new("kernel-shap").with_seed(5).with_budget(Budget::queries(12));
    let in_memory = explain(in_memory.with_params(&params).unwrap());
    assert_eq!(of_text.len(), in_memory.len());
    for (of_text, in_memory) in of_text.iter().zip(&in_memory) {
        match (of_text, in_memory) {
            (Ok(a), Ok(b)) => {
                assert_eq!(a.to_json().unwrap(), b.to_json().unwrap());
                assert_eq!(a.meta().seed, "5");
                assert!(a.meta().queries <= 12);
            }
            (a, b) => {
                let [a, b] = [a, b].map(|result| result.as_ref().unwrap_err().to_string());
                assert_eq!(a, b);
            }
        }
    }
}

/// A table and an array of the same rows give the same bytes.
#[test]
fn rows_of_tables_and_rows_in_memory_are_explained_alike() {
    let folder = tempfile::tempdir().unwrap();
    let cells = |rows: &Array2<f64>| -> String {
        let line = |row: xai::ndarray::ArrayView1<'_, f64>| {
            let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
            cells.join(",") + "\n"
        };
        rows.rows().into_iter().map(line).collect()
    };
    std::fs::write(folder.path().join("train.csv"), format!("a,b,c\n{}", cells(&training())))
        .unwrap();
    std::fs::write(folder.path().join("input.csv"), format!("a,b,c\n{}", cells(&rows()))).unwrap();
    let model = model();
    let text = "method = \"kernel-shap\"\n[data]\ntrain = \"train.csv\"\n";
    let lines = |job: Job<'_>| -> Vec<String> {
        let explained = job.explain_all().unwrap();
        explained.into_iter().map(|result| result.unwrap().to_json().unwrap()).collect()
    };
    let tables = Job::from_toml(&format!("{text}input = \"input.csv\"\n"), folder.path()).unwrap();
    let tables = lines(tables.with_model(&model));
    // A service keeps the training table and gets the rows by other ways.
    let mixed = Job::from_toml(text, folder.path()).unwrap().with_model(&model).with_rows(rows());
    assert_eq!(lines(mixed), tables);
    let job = Job::new("kernel-shap").with_model(&model);
    let job = job.with_features(Features::numeric(["a", "b", "c"]).unwrap());
    assert_eq!(lines(job.with_training_rows(training()).with_rows(rows())), tables);
    // Rows of another width are refused before any model call.
    let narrow = Job::from_toml(text, folder.path()).unwrap().with_model(&model);
    let error = narrow.with_rows(array![[1.0, 2.0]]).load().err().unwrap().to_string();
    assert!(error.contains("must have shape (1.., 3)") && error.contains("(1, 2)"), "{error}");
}

/// A model in memory is used with its gradients where it has some, unless the job wants none of them.
#[test]
fn the_view_of_the_model_is_that_of_the_job() {
    let black = model();
    let white = CentralDifference::new(&black);
    let kind = |job: Job<'_>| {
        let explained = job.with_rows(rows()).with_selection(0..1).explain_all().unwrap().remove(0);
        let value: serde_json::Value =
            serde_json::from_str(&explained.unwrap().to_json().unwrap()).unwrap();
        value["meta"]["type"].as_str().unwrap().to_owned()
    };
    let differentiable: &dyn xai::core::Differentiable = &white;
    assert_eq!(kind(Job::new("counterfactual").with_model(&black)), "blackbox");
    assert_eq!(kind(Job::new("counterfactual").with_model(differentiable)), "whitebox");
    let numerical = "method = \"counterfactual\"\n[model]\ngradients = \"numerical\"\n";
    let job = Job::from_toml(numerical, ".").unwrap();
    assert_eq!(kind(job.with_model(differentiable)), "blackbox");
    let params = serde_json::json!({ "target": 1 });
    let job = Job::new("integrated-gradients").with_params(&params).unwrap();
    assert_eq!(kind(job.with_model(differentiable)), "whitebox");
    let job = Job::new("integrated-gradients").with_model(&black).with_rows(rows());
    let error = job.load().err().unwrap().to_string();
    assert!(error.contains("give a differentiable model"), "{error}");
}

#[track_caller]
fn place_of(error: &JobError) -> &Place {
    match error {
        JobError::Invalid { place, .. }
        | JobError::Param { place, .. }
        | JobError::UnknownMethod { place, .. }
        | JobError::NotInBuild { place, .. } => place,
        other => panic!("{other} has no place"),
    }
}

/// Line and column of a mistake, and what is said of it.
#[track_caller]
fn check_place(text: &str, line: usize, column: usize, message: &str) {
    let model = model();
    let loaded = Job::from_toml(text, ".").and_then(|job| {
        let job = job.with_model(&model).with_training_rows(training()).with_rows(rows());
        job.load()?.fit().map(|_| ())
    });
    let error = loaded.unwrap_err();
    let place = place_of(&error);
    assert_eq!(
        (place.line, place.column, &place.path),
        (Some(line), Some(column), &None),
        "{error}"
    );
    let start = format!("line {line}, column {column}: {message}");
    assert!(error.to_string().starts_with(&start), "{error}\ndoes not start with\n{start}");
}

#[test]
fn errors_have_line_and_column() {
    check_place("method = \"kernel-shap\"\nsead = 1\n", 2, 1, "unknown field `sead`, ");
    check_place("method = \"kernel-shap\"\n[params\n", 2, 8, "unclosed table");
    check_place("method = \"lime\"\n", 1, 10, "there is no method `lime`, the methods are ");
    let job = "method = \"kernel-shap\"\n[params]\n";
    check_place(&format!("{job}  nsample = 1\n"), 3, 3, "unknown field `nsample`, ");
    check_place(
        &format!("{job}link = \"identity\"\n nsamples = 0\n"),
        4,
        2,
        "parameter `nsamples` must be ",
    );
    check_place(&format!("{job}link = \"probit\"\n"), 3, 1, "unknown variant `probit`, ");
    // Characters are counted, not bytes.
    check_place(
        "method = \"kernel-shap\"\n\"\u{e9}\u{e9}\" = 1\n",
        2,
        1,
        "unknown field `\u{e9}\u{e9}`",
    );
    let inline = "method = \"kernel-shap\"\nparams = { group_names = [\"\u{e9}\"], speed = 1 }\n";
    check_place(inline, 2, 33, "unknown field `speed`, ");
    // A mistake inside a table of the settings is at its own key.
    let nested = "method = \"counterfactual\"\n[params.constraints.features.0]\nchange = \"any\"\nspeed = 2\n";
    check_place(nested, 4, 1, "unknown field `speed`");
}

#[test]
fn a_file_is_named_in_front_of_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    std::fs::write(&path, "method = \"kernel-shap\"\nsead = 1\n").unwrap();
    let error = Job::read(&path).err().unwrap();
    assert_eq!(place_of(&error).path.as_deref(), Some(path.as_path()));
    let start = format!("{}:2: unknown field `sead`", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");
    let error = Job::read(folder.path().join("none.toml")).err().unwrap();
    assert!(matches!(&error, JobError::Read { what: "job file", .. }), "{error}");
    assert!(error.source().is_some() && error.with_causes().contains("none.toml`: "));
}

#[test]
fn what_is_missing_is_named() {
    let model = model();
    let job = || Job::new("kernel-shap");
    let error = |job: Job<'_>| job.load().err().unwrap();
    let nothing = error(job().with_model(&model).with_training_rows(training()));
    assert!(matches!(nothing, JobError::NothingToExplain { key: "input", .. }), "{nothing}");
    let untrained = error(job().with_model(&model).with_rows(rows()));
    assert!(untrained.to_string().contains("give `train` in [data]"), "{untrained}");
    let modelless = error(job().with_training_rows(training()).with_rows(rows()));
    assert!(modelless.to_string().starts_with("there is no model: "), "{modelless}");
    let ready = || job().with_model(&model).with_training_rows(training()).with_rows(rows());
    let beyond = error(ready().with_selection(1..4));
    assert!(matches!(beyond, JobError::Selection { n_rows: 3, .. }), "{beyond}");
    let unnamed = error(ready().with_output_names(["one"]));
    assert!(unnamed.to_string().contains("the model's 2 outputs, got 1 names"), "{unnamed}");
    let loaded = ready().with_output_names(["no", "yes"]);
    let loaded = loaded.load().unwrap();
    assert_eq!(loaded.fit().unwrap().outputs().as_slice(), ["no", "yes"]);
}

#[test]
fn a_row_that_fails_is_an_error_with_its_number() {
    let model = per_row(|row| if row[0] == 0.5 { f64::NAN } else { row[0] });
    let job = Job::new("kernel-shap").with_model(&model).with_rows(rows());
    let job = job.with_training_rows(array![[0.0, 0.0, 0.0]]);
    let mut lines = Vec::new();
    job.explain(&mut |id, result| {
        lines.push(match result {
            Ok(explanation) => explanation.to_line(id).unwrap(),
            Err(error) => RowError::new(id, &error).to_line(),
        });
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(lines[0].starts_with("{\"row\":0,\"schema\":\"xai-explanation/1\","), "{}", lines[0]);
    assert!(
        lines[1].starts_with("{\"schema\":\"xai-error/1\",\"row\":1,\"error\":"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("{\"row\":2,"), "{}", lines[2]);
}

#[test]
fn methods_are_found_by_name() {
    let names: Vec<&str> = methods().iter().map(|method| method.name()).collect();
    assert!(names.is_sorted() && names.contains(&"kernel-shap"), "{names:?}");
    let shap = find("kernel-shap").unwrap();
    assert_eq!((shap.input(), shap.draws_pictures()), (InputKind::Rows, false));
    let all = [
        "anchor-image",
        "anchor-tabular",
        "anchor-text",
        "cem",
        "cfproto",
        "counterfactual",
        "grid-counterfactual",
        "integrated-gradients",
        "kernel-shap",
    ];
    for name in all {
        match find(name) {
            Ok(method) => assert_eq!(method.name(), name),
            Err(error) => {
                assert!(matches!(error, JobError::NotInBuild { .. }), "{error}");
                let feature = error.to_string();
                assert!(feature.contains("turn on its feature `"), "{feature}");
            }
        }
    }
    assert!(matches!(find("lime").err().unwrap(), JobError::UnknownMethod { .. }));
}

#[cfg(not(feature = "onnx"))]
#[test]
fn files_of_models_name_their_feature() {
    let job = Job::new("kernel-shap").with_model_file("model.onnx");
    let job = job.with_training_rows(training()).with_rows(rows());
    let error = job.load().err().unwrap();
    assert!(matches!(error, JobError::NotInBuild { feature: "onnx", .. }), "{error}");
}

/// The steps of a job can be taken one by one, and a summary is made of what came.
#[test]
fn a_fitted_job_says_what_it_explains_and_sums_up() {
    let model = model();
    let job = Job::new("kernel-shap").with_model(&model).with_training_rows(training());
    let job = job.with_rows(rows()).with_selection(1..3);
    let loaded = job.load().unwrap();
    let fitted = loaded.fit().unwrap();
    assert_eq!(fitted.ids().map(|id| id.row).collect::<Vec<_>>(), [1, 2]);
    let mut explanations = Vec::new();
    fitted.explain(&mut |_, result| {
        explanations.push(result.unwrap());
        ControlFlow::Continue(())
    });
    let summary = fitted.summary(&explanations).unwrap().unwrap();
    assert_eq!(summary.title, "Mean importances");
    assert!(format!("{summary:?}").contains("of 2 rows"));
}

/// Names and words of alibi are read as those here; what has neither name is refused by the names here.
#[test]
fn settings_may_have_the_names_of_alibi() {
    let mean = per_row(|row| 0.5 * (row[0] + row[1]));
    let model = CentralDifference::new(&mean);
    let explain = |method: &str, params: &str| {
        let text = format!("method = \"{method}\"\n[params]\n{params}");
        let job = Job::from_toml(&text, ".").unwrap();
        let job = job.with_model(&model as &dyn Differentiable);
        let job = job.with_features(Features::unnamed(2).unwrap());
        let job = job.with_training_rows(array![[0.0, 0.0], [0.1, 0.9]]);
        let job = job.with_rows(array![[0.1, 0.2]]);
        job.explain_all().map(|explained| explained[0].as_ref().unwrap().to_json().unwrap())
    };
    let check = |method: &str, alibi: &str, here: &str| {
        let explained = explain(method, alibi).unwrap();
        assert_eq!(explained, explain(method, here).unwrap(), "{method}: {alibi}");
    };
    let (alibi, here) = ("method = \"gausslegendre\"\n", "method = \"gauss-legendre\"\n");
    check(
        "integrated-gradients",
        &format!("{alibi}target_fn = \"argmax\"\n"),
        &format!("{here}target = \"predicted\"\n"),
    );
    check(
        "counterfactual",
        "max_iter = 20\nearly_stop = 5\nlam_init = 0.5\nmax_lam_steps = 2\ninit = \"identity\"\n",
        "max_iterations = 20\npatience = 5\nc_init = 2.0\nc_steps = 2\n",
    );
    check(
        "anchor-tabular",
        "binary_cache_size = 10\ncache_margin = 5\nbeam_size = 2\n",
        "beam_size = 2\n",
    );
    let error = explain("counterfactual", "max_iter = 20\nmax_itr = 3\n").unwrap_err().to_string();
    assert!(error.contains("max_iter") && error.contains("max_iterations"), "{error}");
}

/// A setting under two names, and a function other than that of the largest output, are not guessed about.
#[test]
fn settings_of_alibi_that_are_not_clear_are_refused() {
    let mean = per_row(|row| 0.5 * (row[0] + row[1]));
    let model = CentralDifference::new(&mean);
    let error = |method: &str, params: &str| {
        let text = format!("method = \"{method}\"\n[params]\n{params}");
        let job = Job::from_toml(&text, ".").unwrap().with_model(&model as &dyn Differentiable);
        let job = job.with_features(Features::unnamed(2).unwrap());
        job.with_rows(array![[0.1, 0.2]]).explain_all().unwrap_err().to_string()
    };
    let twice = error("counterfactual", "max_iterations = 10\nmax_iter = 20\n");
    assert!(twice.contains("max_iter"), "{twice}");
    let function = error("integrated-gradients", "target_fn = \"entropy\"\n");
    assert!(function.contains("target_fn"), "{function}");
    let both = error("integrated-gradients", "target = 0\ntarget_fn = \"argmax\"\n");
    assert!(both.contains("target_fn"), "{both}");
}
