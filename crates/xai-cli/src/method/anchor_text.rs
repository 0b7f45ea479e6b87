//! AnchorText, the crate `xai-anchors`.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use ndarray::Array2;
use xai_anchors::{
    AnchorText, AnchorTextData, AnchorTextParams, EnglishAnalyzer, RuleTokenizer, SamplingStrategy,
    TextAnalyzer, TextResources, VectorsError, WordVectors,
};
use xai_core::figure::Figure;
use xai_core::{Error, Explainer, Explanation, RunConfig, Seed};
use xai_onnx::OnnxModel;

use super::{MethodSchema, Registered, anchors};
use crate::explain::{Outcome, Request, drive};
use crate::failure::Failure;
use crate::job::{Job, Kind};
use crate::model::{Model, Width, name_outputs};
use crate::output::{Present, sink};
use crate::texts::texts;
use crate::vectoriser::{Vectorised, Vectoriser};

/// Anchors of texts: words under which the model decides as it does for a text.
pub struct AnchorTextMethod;

impl Registered for AnchorTextMethod {
    fn name(&self) -> &'static str {
        "anchor-text"
    }

    fn schema(&self) -> MethodSchema {
        MethodSchema {
            method: self.name(),
            params: schemars::schema_for!(AnchorTextParams),
            explanation: schemars::schema_for!(Explanation<AnchorTextData>),
        }
    }

    fn explain(&self, job: &Job, request: &Request) -> Result<Outcome, Failure> {
        let params = job.params::<AnchorTextParams>()?;
        let seed = Seed::new(request.seed.unwrap_or_else(|| job.seed()));
        let inputs = Inputs::load(job, request)?;
        let analyzer: Box<dyn TextAnalyzer> = match params.sampling_strategy {
            SamplingStrategy::Similarity => Box::new(EnglishAnalyzer::new()),
            _ => Box::new(RuleTokenizer),
        };
        let mut resources = TextResources::new(&*analyzer).with_corpus(&inputs.corpus);
        if let Some(vectors) = &inputs.vectors {
            resources = resources.with_vectors(vectors);
        }
        let explainer = params.build(resources).map_err(|error| match error {
            Error::Param(error) => job.refuse_param(&error),
            error => Failure::input(error),
        })?;
        let presented = Presented { explainer: &explainer, outputs: &inputs.outputs };
        let mut sink = sink(&request.output, &presented)?;
        let wanted = &inputs.texts[inputs.range.clone()];
        drive(inputs.range.clone(), &[], request.progress, sink.as_mut(), |take| {
            explainer.explain_many_with(&inputs.model, wanted, &RunConfig::seeded(seed), take);
        })
    }
}

/// What a job names, read and checked.
struct Inputs {
    model: Vectorised,
    outputs: Vec<String>,
    texts: Vec<String>,
    range: Range<usize>,
    corpus: Vec<String>,
    vectors: Option<WordVectors>,
}

impl Inputs {
    fn load(job: &Job, request: &Request) -> Result<Self, Failure> {
        let data = job.data();
        job.check_keys(Kind::Texts, &[])?;
        let Some(vectoriser) = &job.model().vectoriser else {
            let message = "the model needs texts as rows: give `vectoriser` in [model]";
            return Err(job.refuse(None, message));
        };
        let path = job.resolve(vectoriser.get_ref());
        let vectoriser = Vectoriser::read(&path)?;
        let n_columns = vectoriser.n_columns();
        let width = Width { n_columns, what: "vectoriser", file: &path };
        let model = <OnnxModel as Model>::open(job, Some(width))?;
        let outputs = name_outputs(job, &model, &Array2::zeros((1, n_columns)))?;

        let column = data.column.as_ref().map(|column| column.get_ref().as_str());
        let input = match (&request.input, &data.input) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => job.resolve(path.get_ref()),
            (None, None) => {
                let message = "there is nothing to explain: give `input` in [data] or --input FILE";
                return Err(job.refuse(None, message));
            }
        };
        let input = texts(&input, column)?;
        let range = request
            .rows
            .within(input.len())
            .map_err(|error| Failure::refuse(format!("--rows: {error}")))?;
        let corpus = match &data.train {
            Some(path) => texts(&job.resolve(path.get_ref()), column)?,
            None => Vec::new(),
        };
        let vectors = match &data.vectors {
            Some(path) => Some(read_vectors(&job.resolve(path.get_ref()))?),
            None => None,
        };
        let model = Vectorised { vectoriser, model };
        Ok(Inputs { model, outputs, texts: input, range, corpus, vectors })
    }
}

/// Word vectors by the end of the file's name: `.vec` of fastText and word2vec, `.bin` of word2vec, others of GloVe.
fn read_vectors(path: &Path) -> Result<WordVectors, Failure> {
    let read = || -> Result<WordVectors, VectorsError> {
        let file = BufReader::new(File::open(path)?);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("vec") => WordVectors::read_word2vec(file, None),
            Some("bin") => WordVectors::read_word2vec_binary(file, None),
            _ => WordVectors::read_glove(file, None),
        }
    };
    read()
        .with_context(|| format!("the word vectors `{}` cannot be used", path.display()))
        .map_err(Failure::Input)
}

/// Explanations for people.
struct Presented<'a> {
    explainer: &'a AnchorText<'a>,
    outputs: &'a [String],
}

impl Present<AnchorTextData> for Presented<'_> {
    fn figure(&self, data: &AnchorTextData) -> Figure {
        let decided = (&self.explainer.params().output, data.raw.prediction[0]);
        let decision = anchors::decision(decided, self.outputs);
        let title = anchors::title(&decision, &data.anchor, (data.status, data.raw.success));
        Figure { title, ..data.figure() }
    }

    fn summary(&self, _: &[AnchorTextData]) -> xai_core::Result<Option<Figure>> {
        Ok(None)
    }
}
