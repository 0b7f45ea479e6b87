//! A job whose model is a closure: what an edge of the library (a service, a module for Python) does for a request.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::ops::ControlFlow;

use xai::ndarray::array;
use xai::prelude::*;

/// What a client sends.
const REQUEST: &str = "method = \"kernel-shap\"\nseed = 7\n\n[params]\nlink = \"identity\"\n";

fn main() -> Result<(), Box<dyn Error>> {
    let model = per_row(|row| 3.0 * row[0] - row[1] + row[0] * row[2]);
    let job = Job::from_toml(REQUEST, ".")?
        .with_model(&model)
        .with_features(Features::numeric(["age", "income", "debt"])?)
        .with_training_rows(array![[0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
        .with_rows(array![[1.0, 0.0, 2.0], [0.5, 0.5, 0.5]]);

    let mut lines = Vec::new();
    job.explain(&mut |id, result| {
        let line = result.and_then(|explanation| explanation.to_line(id));
        lines.push(line);
        ControlFlow::Continue(())
    })?;

    assert_eq!(lines.len(), 2);
    for (row, line) in lines.into_iter().enumerate() {
        let line = line?;
        assert!(line.starts_with(&format!("{{\"row\":{row},\"schema\":\"xai-explanation/1\"")));
        println!("{line}");
    }
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
