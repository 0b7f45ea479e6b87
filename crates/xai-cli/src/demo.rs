//! `xai demo`: a bundled model on bundled data, and the files to go on with.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use xai_anchors::AnchorTabularData;
use xai_core::Explanation;
use xai_core::figure::Panel;
use xai_shap::KernelShapData;

use crate::explain::{Outcome, Prepared, Request};
use crate::failure::Failure;
use crate::job::Job;
use crate::method::{AnchorTabularMethod, KernelShapMethod, Method};
use crate::output::{Array, Place, RowError, Sink};
use crate::selection::Selection;
use crate::text;

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

    let job = Job::read(&folder.join(JOB))?;
    let request = Request { rows: Selection::first(N_ROWS), ..Request::default() };
    let prepared = Prepared::<KernelShapMethod>::new(&job, &request)?;
    let mut kept = Kept { array: Array::create(&folder.join(RESULT.0))?, explanations: Vec::new() };
    let outcome = prepared.run(request.progress, &mut kept)?;
    tell(out, &kept.explanations, &prepared).map_err(Failure::run)?;
    show_anchor(out, folder)?;
    say_where(out, folder).map_err(Failure::run)?;
    Ok(outcome)
}

/// Explains the first row once more, by an anchor, and prints it.
fn show_anchor(out: &mut dyn Write, folder: &Path) -> Result<(), Failure> {
    let job = Job::read(&folder.join(ANCHOR_JOB))?;
    let request = Request { rows: Selection::first(1), ..Request::default() };
    let prepared = Prepared::<AnchorTabularMethod>::new(&job, &request)?;
    let mut kept = Explanations(Vec::new());
    prepared.run(request.progress, &mut kept)?;
    for Explanation { data, .. } in &kept.0 {
        let mut figure = AnchorTabularMethod::figure(data, prepared.outputs());
        figure.title = "The first biopsy as a rule".to_owned();
        let text = text::draw(&figure, usize::MAX);
        writeln!(out, "{text}").map_err(Failure::run)?;
    }
    Ok(())
}

/// Prints the first explanation, and what all say together.
fn tell(
    out: &mut dyn Write,
    explanations: &[Explanation<KernelShapData>],
    job: &Prepared<KernelShapMethod>,
) -> io::Result<()> {
    if let Some(Explanation { data, .. }) = explanations.first() {
        let predicted = data.raw.prediction.unwrap_or(0);
        let mut figure = KernelShapMethod::figure(data, job.outputs());
        // Of the outputs' bars only the predicted one's: with two classes the others mirror them.
        let mut bars = 0..;
        figure.panels.retain(|panel| match panel {
            Panel::Bars(_) => bars.next() == Some(predicted),
            _ => true,
        });
        figure.title = "The first biopsy".to_owned();
        write!(out, "{}", text::draw(&figure, TOP))?;
        writeln!(
            out,
            "\nBars to the right speak for `{}`, bars to the left against it. The two probabilities add\n\
             up to 1, so the effects on the other one are the same with the other sign.",
            job.outputs().get(predicted).map_or("", String::as_str)
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
    let data: Vec<KernelShapData> =
        explanations.iter().map(|explanation| explanation.data.clone()).collect();
    if let Some(figure) = KernelShapMethod::summary(&data, job).map_err(io::Error::other)? {
        writeln!(out, "{}", text::draw(&figure, TOP))?;
    }
    Ok(())
}

/// Prints what was written, and where to go from here.
fn say_where(out: &mut dyn Write, folder: &Path) -> io::Result<()> {
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

/// Writes the array and keeps the explanations to speak of them.
struct Kept {
    array: Array,
    explanations: Vec<Explanation<KernelShapData>>,
}

impl Sink<KernelShapData> for Kept {
    fn explanation(
        &mut self,
        place: Place<'_>,
        explanation: Explanation<KernelShapData>,
    ) -> io::Result<()> {
        self.explanations.push(explanation.clone());
        self.array.explanation(place, explanation)
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        Sink::<KernelShapData>::error(&mut self.array, error)
    }

    fn finish(&mut self) -> io::Result<()> {
        Sink::<KernelShapData>::finish(&mut self.array)
    }
}

/// Keeps the explanations to speak of them.
struct Explanations(Vec<Explanation<AnchorTabularData>>);

impl Sink<AnchorTabularData> for Explanations {
    fn explanation(
        &mut self,
        _: Place<'_>,
        explanation: Explanation<AnchorTabularData>,
    ) -> io::Result<()> {
        self.0.push(explanation);
        Ok(())
    }

    fn error(&mut self, _: &RowError) -> io::Result<()> {
        // It has been told on the standard error.
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
