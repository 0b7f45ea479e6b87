//! Pictures of explanations, in a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xai::job::{FittedJob, InputId, JobExplanation, RowError};

use crate::failure::Failure;
use crate::output::{NotWritten, Sink};

/// Draws each explanation before another sink has it.
pub(crate) struct Pictures<'a> {
    folder: PathBuf,
    sink: Box<dyn Sink + 'a>,
}

impl<'a> Pictures<'a> {
    /// Makes the folder. Pictures have the names of the files without their ends, which must differ.
    pub(crate) fn create(
        folder: &Path,
        job: &FittedJob<'_>,
        sink: impl FnOnce() -> Result<Box<dyn Sink + 'a>, Failure>,
    ) -> Result<Self, Failure> {
        let ids: Vec<InputId<'_>> = job.ids().collect();
        let names: Vec<String> = ids.iter().map(stem).collect();
        for (place, name) in names.iter().enumerate() {
            if let Some(before) = names[..place].iter().position(|other| other == name) {
                let [before, place] = [before, place].map(|place| ids[place].file.unwrap_or(""));
                let message = format!(
                    "--pictures: `{before}` and `{place}` would both be drawn into `{name}.overlay.png`"
                );
                return Err(Failure::refuse(message));
            }
        }
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))
            .map_err(Failure::Run)?;
        Ok(Pictures { folder: folder.to_owned(), sink: sink()? })
    }
}

/// The name of an input's pictures.
fn stem(id: &InputId<'_>) -> String {
    let path = Path::new(id.file.unwrap_or_default());
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Sink for Pictures<'_> {
    fn explanation(
        &mut self,
        id: InputId<'_>,
        explanation: JobExplanation,
    ) -> Result<(), NotWritten> {
        for picture in explanation.pictures() {
            let name = format!("{}.{}", stem(&id), picture.suffix);
            fs::write(self.folder.join(name), picture.bytes)?;
        }
        self.sink.explanation(id, explanation)
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.sink.error(error)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }
}
