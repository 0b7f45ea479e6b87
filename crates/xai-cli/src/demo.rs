//! `xai demo`: a bundled model on bundled data, and the files to go on with.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use xai::core::Explanation;
use xai::core::figure::Panel;
use xai::job::{FittedJob, InputId, Job, JobExplanation, RowError, Selection};
use xai::shap::KernelShapData;

use crate::explain::{Outcome, run};
use crate::failure::Failure;
use crate::output::{Array, Format, NotWritten, Sink};
use crate::progress::ProgressMode;

/// The job file.
const JOB: &str = "cancer.toml";

/// The job file of the anchors.
const ANCHOR_JOB: &str = "cancer_anchor.toml";

/// The bundled files: name, content, and what they are.
const FILES: [(&str, &[u8], &str); 5] = [
    (JOB, include_bytes!("../demo/cancer.toml"), "the job: which method, model, data and settings"),
    (ANCHOR_JOB, include_bytes!("../demo/cancer_anchor.toml"), "the job of the anchors"),
    ("cancer_mlp.onnx", include_bytes!("../demo/cancer_mlp.onnx"), "the network"),
    (
        "cancer_train.csv",
        include_bytes!("../demo/cancer_train.csv"),
        "its training data, where the background comes from",
    ),
    (
        "cancer_input.csv",
        include_bytes!("../demo/cancer_input.csv"),
        "biopsies it was not trained on",
    ),
];

/// The file of the explanations, and what it is.
const RESULT: (&str, &str) =
    ("explanations.json", "the explanations of the first 5 biopsies, in full");

/// Rows that the demo explains.
const N_ROWS: usize = 5;

/// Features that its tables show.
const TOP: usize = 10;

const INTRODUCTION: &str = "\
A small neural network reads 30 measurements of the cell nuclei in a biopsy and gives the
probabilities that the tumor is malignant or benign. KernelSHAP says how much each measurement
moves a probability away from its average over 100 other biopsies. This speaks of the network,
not of the disease, and is no medical advice. An anchor says which measurements suffice.

Data: Breast Cancer Wisconsin (Diagnostic), UCI, CC BY 4.0; values in standard deviations.
";

/// Writes the bundled files into a folder, explains the first rows, and tells about them.
///
/// # Errors
/// [`Failure::Run`] when the folder or `out` cannot be written to.
pub fn demo(folder: &Path, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let shown = folder.display();
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder `{shown}`"))
        .map_err(Failure::Run)?;
    for (name, bytes, _) in FILES {
        fs::write(folder.join(name), bytes)
            .with_context(|| format!("cannot write `{}`", folder.join(name).display()))
            .map_err(Failure::Run)?;
    }
    writeln!(out, "{INTRODUCTION}").and_then(|()| out.flush()).map_err(Failure::run)?;

    let job = Job::read(folder.join(JOB))?.with_selection(Selection::first(N_ROWS));
    let loaded = job.load()?;
    let fitted = loaded.fit()?;
    let array = Array::create(&folder.join(RESULT.0), Format::Native)?;
    let mut collected = Collected { array: Some(array), explanations: Vec::new() };
    let outcome = run(&fitted, ProgressMode::default(), &mut collected)?;
    write_values(out, &collected.explanations, &fitted).map_err(Failure::run)?;
    write_anchor(out, folder)?;
    write_next_steps(out, folder).map_err(Failure::run)?;
    Ok(outcome)
}

/// Explains the first row once more, by an anchor, and prints it.
fn write_anchor(out: &mut dyn Write, folder: &Path) -> Result<(), Failure> {
    let job = Job::read(folder.join(ANCHOR_JOB))?.with_selection(Selection::first(1));
    let loaded = job.load()?;
    let fitted = loaded.fit()?;
    let mut collected = Collected { array: None, explanations: Vec::new() };
    run(&fitted, ProgressMode::default(), &mut collected)?;
    for explanation in &collected.explanations {
        let mut figure = explanation.figure(fitted.outputs());
        figure.title = "The first biopsy as a rule".to_owned();
        writeln!(out, "{figure}").map_err(Failure::run)?;
    }
    Ok(())
}

/// Prints the first explanation, and what all say together.
fn write_values(
    out: &mut dyn Write,
    explanations: &[JobExplanation],
    job: &FittedJob<'_>,
) -> io::Result<()> {
    if let Some(first) = explanations.first()
        && let Some(Explanation { data, .. }) = first.typed::<KernelShapData>()
    {
        let mut figure = first.figure(job.outputs());
        // Of the outputs' bars only those of the predicted one, which come first: with two classes the others mirror them.
        let mut bars = 0..;
        figure.panels.retain(|panel| match panel {
            Panel::Bars(_) => bars.next() == Some(0),
            _ => true,
        });
        figure.title = "The first biopsy".to_owned();
        write!(out, "{figure:.TOP$}")?;
        let predicted = data.prediction.and_then(|class| usize::try_from(class).ok()).unwrap_or(0);
        let name = job.outputs().output(predicted, data.output_names.len());
        writeln!(
            out,
            "\nBars to the right speak for `{name}`, bars to the left against it. The two probabilities add\n\
             up to 1, so the effects on the other one are the same with the other sign."
        )?;
        if !data.exact {
            writeln!(
                out,
                "The standard errors come from sampling: {} of the 2^{} sets of measurements were tried.",
                data.n_coalitions,
                data.feature_names.len()
            )?;
        }
        writeln!(out)?;
    }
    if let Some(figure) = job.summary(explanations).map_err(io::Error::other)? {
        writeln!(out, "{figure:.TOP$}")?;
    }
    Ok(())
}

/// Prints what was written, and where to go from here.
fn write_next_steps(out: &mut dyn Write, folder: &Path) -> io::Result<()> {
    let shown = folder.display();
    writeln!(out, "Written to `{shown}`:")?;
    for (name, about) in FILES.map(|(name, _, about)| (name, about)).into_iter().chain([RESULT]) {
        writeln!(out, "  {name:18} {about}")?;
    }
    writeln!(out, "\nNext, change the job, or explain another row:\n")?;
    for job in [JOB, ANCHOR_JOB] {
        writeln!(out, "  xai explain {} --rows 5", folder.join(job).display())?;
    }
    out.flush()
}

/// Collects the explanations, and writes them into an array where there is one.
struct Collected {
    array: Option<Array>,
    explanations: Vec<JobExplanation>,
}

impl Sink for Collected {
    fn explanation(
        &mut self,
        id: InputId<'_>,
        explanation: JobExplanation,
    ) -> Result<(), NotWritten> {
        if let Some(array) = &mut self.array {
            array.write(id, &explanation)?;
        }
        self.explanations.push(explanation);
        Ok(())
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.array.as_mut().map_or(Ok(()), |array| array.error(error))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.array.as_mut().map_or(Ok(()), Sink::finish)
    }
}
