//! AnchorImage, the crate `xai-anchors`.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ndarray::Array2;
use xai_anchors::image::{AnchorImage, AnchorImageData, AnchorImageParams};
use xai_core::figure::Figure;
use xai_core::{Error, Explainer, Explanation, Params, RunConfig, Seed, require};
use xai_onnx::OnnxModel;

use super::{MethodSchema, Registered, anchors};
use crate::explain::{Outcome, Request, drive};
use crate::failure::Failure;
use crate::images::{ImageFile, image_files, read_image, read_images};
use crate::job::{Job, Kind};
use crate::model::{Model, Width, name_outputs};
use crate::output::{Line, Place, Present, RowError, Sink, sink};
use crate::pixels::ImageModel;

/// Anchors of images: superpixels under which the model decides as it does for an image.
pub struct AnchorImageMethod;

impl Registered for AnchorImageMethod {
    fn name(&self) -> &'static str {
        "anchor-image"
    }

    fn schema(&self) -> MethodSchema {
        MethodSchema {
            method: self.name(),
            params: schemars::schema_for!(AnchorImageParams),
            explanation: schemars::schema_for!(Line<'static, AnchorImageData>),
        }
    }

    fn draws_pictures(&self) -> bool {
        true
    }

    fn explain(&self, job: &Job, request: &Request) -> Result<Outcome, Failure> {
        let seed = Seed::new(request.seed.unwrap_or_else(|| job.seed()));
        let inputs = Inputs::load(job, request)?;
        let background = inputs.background.as_deref();
        let explainer = inputs.params.build(background).map_err(|error| match error {
            Error::Param(error) => job.refuse_param(&error),
            error => Failure::input(error),
        })?;
        let presented = Presented { explainer: &explainer, outputs: &inputs.outputs };
        let files: Vec<String> = inputs.files.iter().map(|file| file.name.clone()).collect();
        let pictures = match &request.pictures {
            Some(folder) => Some(Pictures::create(folder, &inputs.files)?),
            None => None,
        };
        let mut sink = sink(&request.output, &presented)?;
        if let Some(folder) = pictures {
            sink = Box::new(Drawn { pictures: folder, first: inputs.range.start, sink });
        }
        drive(inputs.range, &files, request.progress, sink.as_mut(), |take| {
            explainer.explain_many_with(
                &inputs.model,
                &inputs.images,
                &RunConfig::seeded(seed),
                take,
            );
        })
    }
}

/// What a job names, read and checked.
struct Inputs {
    params: AnchorImageParams,
    model: ImageModel,
    outputs: Vec<String>,
    /// The images to explain, of all that there are those of `range`.
    files: Vec<ImageFile>,
    range: Range<usize>,
    images: Array2<f64>,
    background: Option<Array2<f64>>,
}

impl Inputs {
    fn load(job: &Job, request: &Request) -> Result<Self, Failure> {
        let mut params = job.params::<AnchorImageParams>()?;
        job.check_keys(Kind::Images, &[])?;
        let of_job = |path: &Path| job.resolve(path);
        let all = match (&request.input, &job.data().images) {
            (Some(path), _) => image_files(std::slice::from_ref(path), Path::to_owned)?,
            (None, Some(paths)) => image_files(paths.get_ref(), of_job)?,
            (None, None) => Vec::new(),
        };
        if all.is_empty() {
            let message = "there is nothing to explain: give `images` in [data] or --input FILE";
            return Err(job.refuse(None, message));
        }
        let range = request
            .rows
            .within(all.len())
            .map_err(|error| Failure::refuse(format!("--rows: {error}")))?;
        let files = all[range.clone()].to_vec();

        let model: OnnxModel = if params.image_shape == (0, 0, 0) {
            let model = <OnnxModel as Model>::open(job, None)?;
            params.image_shape = shape_of(&files[0], &model, &params)?;
            params.validate().map_err(|error| job.refuse_param(&error))?;
            model
        } else {
            let (height, width, channels) = params.image_shape;
            let rule = "a shape with 1 or 3 channels for images from files";
            params
                .validate()
                .and_then(|()| {
                    require(matches!(channels, 1 | 3), "image_shape", rule, params.image_shape)
                })
                .map_err(|error| job.refuse_param(&error))?;
            let n_columns = height * width * channels;
            let width = Width { n_columns, what: "image", file: &files[0].path };
            <OnnxModel as Model>::open(job, Some(width))?
        };
        let images = read_images(&files, params.image_shape, params.dtype)?;
        let background = match &job.data().background_images {
            Some(paths) => {
                let files = image_files(paths.get_ref(), of_job)?;
                Some(read_images(&files, params.image_shape, params.dtype)?)
            }
            None => None,
        };
        let outputs = name_outputs(job, &model, &Array2::zeros((1, model.n_features())))?;
        let model = ImageModel::new(job, model, &params)?;
        Ok(Inputs { params, model, outputs, files, range, images, background })
    }
}

/// The shape of an image, with as many channels as make its numbers those that the model takes.
fn shape_of(
    file: &ImageFile,
    model: &OnnxModel,
    params: &AnchorImageParams,
) -> Result<(usize, usize, usize), Failure> {
    let (height, width, _) = read_image(file, 1, params.dtype)?.dim();
    let n_features = model.n_features();
    let fits = |channels: &usize| height * width * channels == n_features;
    let channels = [1, 3].into_iter().find(fits).ok_or_else(|| {
        Failure::refuse(format!(
            "the image `{}` has {height} x {width} pixels, and the model takes {n_features} numbers, \
             which is neither one nor three for a pixel",
            file.path.display()
        ))
    })?;
    Ok((height, width, channels))
}

/// Explanations for people.
struct Presented<'a> {
    explainer: &'a AnchorImage,
    outputs: &'a [String],
}

impl Present<AnchorImageData> for Presented<'_> {
    fn figure(&self, data: &AnchorImageData) -> Figure {
        let decided = (&self.explainer.params().output, data.raw.prediction[0]);
        let decision = anchors::decision(decided, self.outputs);
        let held: Vec<String> =
            data.raw.feature.iter().map(|own| format!("superpixel {own}")).collect();
        let title = anchors::title(&decision, &held, (data.status, data.raw.success));
        Figure { title, ..data.figure() }
    }

    fn summary(&self, _: &[AnchorImageData]) -> xai_core::Result<Option<Figure>> {
        Ok(None)
    }
}

/// A folder for pictures, and the names of those of each image.
struct Pictures {
    folder: PathBuf,
    names: Vec<String>,
}

impl Pictures {
    /// Makes the folder. Pictures have the names of the files without their ends, which must differ.
    fn create(folder: &Path, files: &[ImageFile]) -> Result<Self, Failure> {
        let name = |file: &ImageFile| {
            file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
        };
        let names: Vec<String> = files.iter().map(name).collect();
        for (place, name) in names.iter().enumerate() {
            if let Some(before) = names[..place].iter().position(|other| other == name) {
                let message = format!(
                    "--pictures: `{}` and `{}` would both be drawn into `{name}.overlay.png`",
                    files[before].name, files[place].name
                );
                return Err(Failure::refuse(message));
            }
        }
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))
            .map_err(Failure::Run)?;
        Ok(Pictures { folder: folder.to_owned(), names })
    }

    fn draw(&self, index: usize, data: &AnchorImageData) -> io::Result<()> {
        let name = &self.names[index];
        fs::write(self.folder.join(format!("{name}.overlay.png")), data.overlay_png())?;
        fs::write(self.folder.join(format!("{name}.mask.png")), data.mask_png())
    }
}

/// Draws each explanation before another sink has it.
struct Drawn<'a> {
    pictures: Pictures,
    /// The place of the first image among all.
    first: usize,
    sink: Box<dyn Sink<AnchorImageData> + 'a>,
}

impl Sink<AnchorImageData> for Drawn<'_> {
    fn explanation(
        &mut self,
        place: Place<'_>,
        explanation: Explanation<AnchorImageData>,
    ) -> io::Result<()> {
        self.pictures.draw(place.row - self.first, &explanation.data)?;
        self.sink.explanation(place, explanation)
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.sink.error(error)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }
}
