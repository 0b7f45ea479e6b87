//! Texts to explain: in memory, files of one text a line, or a column of a table.

use std::fs;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::OnceLock;

use xai_anchors::{EnglishAnalyzer, RuleTokenizer, TextAnalyzer, VectorsError, WordVectors};

use super::table::Table;
use super::{InputKind, JobInput, Loaded};
use crate::job::Job;
use crate::job::error::{JobError, Place};
use crate::job::models::{ModelRequirements, TextModel};

/// Methods that explain texts.
pub(crate) struct Texts;

/// What a method of texts is fitted to.
pub(crate) struct TextData {
    /// Texts that the words of an anchor are counted in; may be empty.
    pub(crate) corpus: Vec<String>,
    /// Word vectors, where the job names some.
    pub(crate) vectors: Option<WordVectors>,
    english: OnceLock<EnglishAnalyzer>,
}

impl TextData {
    /// The analyzer that knows tags of English words.
    pub(crate) fn english(&self) -> &dyn TextAnalyzer {
        self.english.get_or_init(EnglishAnalyzer::new)
    }

    /// The analyzer of any language.
    pub(crate) fn tokenizer(&self) -> &dyn TextAnalyzer {
        &RuleTokenizer
    }
}

impl JobInput for Texts {
    const KIND: InputKind = InputKind::Texts;
    type Requirements = ();
    type One = str;
    type Many = Vec<String>;
    type Training = TextData;
    type Models<'j> = TextModel<'j>;

    fn load<'j>(
        job: &'j Job<'j>,
        (): &(),
        model: &ModelRequirements,
    ) -> Result<Loaded<'j, Self>, JobError> {
        job.check_keys(InputKind::Texts, model.keys)?;
        let models = TextModel::open(job)?;
        let column = job.data().column.as_ref().map(|column| column.get_ref().as_str());
        let mut inputs = match (&job.data.texts, job.input_file()) {
            (Some(texts), _) => texts.clone(),
            (None, Some(path)) => read_texts(&path, column)?,
            (None, None) => {
                return Err(JobError::NothingToExplain { place: job.place(), key: "input" });
            }
        };
        let range = job.selection.within(inputs.len())?;
        let first = inputs.first().cloned().unwrap_or_default();
        let outputs = models.output_names(job, &first)?;
        inputs = inputs.drain(range.clone()).collect();
        let corpus = match (&job.data.corpus, &job.data().train) {
            (Some(corpus), _) => corpus.clone(),
            (None, Some(path)) => read_texts(&job.resolve(path.get_ref()), column)?,
            (None, None) => Vec::new(),
        };
        let vectors = match &job.data().vectors {
            Some(path) => Some(read_vectors(&job.resolve(path.get_ref()))?),
            None => None,
        };
        let training = TextData { corpus, vectors, english: OnceLock::new() };
        Ok(Loaded { training, models, outputs, inputs, range, files: Vec::new() })
    }
}

/// The texts of a file, one a line, or of the named column of a table.
fn read_texts(path: &Path, column: Option<&str>) -> Result<Vec<String>, JobError> {
    if let Some(column) = column {
        let table = Table::open(path)?;
        let Some(index) = table.names().iter().position(|name| name == column) else {
            return Err(table.refuse_header(format!("there is no column `{column}`")));
        };
        return table.texts(index);
    }
    let text = fs::read_to_string(path).map_err(|source| JobError::Read {
        what: "texts",
        path: path.to_owned(),
        source,
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    if texts.is_empty() {
        return Err(JobError::invalid(Place::file(path), "there are no texts"));
    }
    Ok(texts)
}

/// Word vectors by the end of the file's name: `.vec` of fastText and word2vec, `.bin` of word2vec, others of GloVe.
fn read_vectors(path: &Path) -> Result<WordVectors, JobError> {
    let read = || -> Result<WordVectors, VectorsError> {
        let file = BufReader::new(File::open(path)?);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("vec") => WordVectors::read_word2vec(file, None),
            Some("bin") => WordVectors::read_word2vec_binary(file, None),
            _ => WordVectors::read_glove(file, None),
        }
    };
    read().map_err(|error| JobError::File {
        what: "word vectors".to_owned(),
        path: path.to_owned(),
        source: error.into(),
    })
}
