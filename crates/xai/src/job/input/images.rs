//! Images to explain: in memory, or PNG and JPEG files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, Axis};
use xai_anchors::image::{Dtype, decode};
use xai_core::{ParamError, Row};

use super::pixels::ImageModel;
use super::{InputKind, JobInput, Loaded};
use crate::job::Job;
use crate::job::error::{JobError, Place};
use crate::job::models::{ModelRequirements, RowModel, Width};

/// Methods that explain images, as rows of numbers.
pub(crate) struct Images;

/// The shape of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageShape {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl ImageShape {
    /// Numbers in an image.
    fn n_numbers(self) -> usize {
        self.height * self.width * self.channels
    }

    fn of(image: &Array3<f64>) -> Self {
        let (height, width, channels) = image.dim();
        ImageShape { height, width, channels }
    }
}

/// What a method needs of images.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageRequirements {
    /// The shape that its settings give.
    pub(crate) shape: Option<ImageShape>,
    /// What the numbers of an image are.
    pub(crate) dtype: Dtype,
}

/// What a method of images is fitted to.
pub(crate) struct ImageData {
    /// The shape of every image.
    pub(crate) shape: ImageShape,
    /// Images that replace superpixels of others, one a row.
    pub(crate) background: Option<Array2<f64>>,
}

impl JobInput for Images {
    const KIND: InputKind = InputKind::Images;
    type Requirements = ImageRequirements;
    type One = Row;
    type Many = Array2<f64>;
    type Training = ImageData;
    type Models<'j> = ImageModel<'j>;

    fn load<'j>(
        job: &'j Job<'j>,
        requirements: &ImageRequirements,
        model: &ModelRequirements,
    ) -> Result<Loaded<'j, Self>, JobError> {
        job.check_keys(InputKind::Images, model.keys)?;
        job.check_image_shape()?;
        let dtype = requirements.dtype;
        if let Some(images) = &job.data.images {
            return load_arrays(job, images, requirements);
        }
        let all = files_to_explain(job)?;
        let range = job.selection.within(all.len())?;
        let files = &all[range.clone()];
        let (shape, model) = match requirements.shape {
            Some(shape) => {
                let rows = format!("image `{}`", files[0].path.display());
                let width = Width { n_columns: shape.n_numbers(), rows };
                (shape, RowModel::open(job, Some(&width), false)?)
            }
            None => {
                let model = RowModel::open(job, None, false)?;
                (shape_of(job, &files[0], &model, dtype)?, model)
            }
        };
        let inputs = read_images(files, shape, dtype)?;
        let background = match (&job.data.background_images, &job.data().background_images) {
            (Some(images), _) => Some(rows_of(job, images, shape)?),
            (None, Some(paths)) => {
                let files = image_files(paths.get_ref(), |path| job.resolve(path))?;
                Some(read_images(&files, shape, dtype)?)
            }
            (None, None) => None,
        };
        let outputs = model.output_names(job, &Array2::zeros((1, shape.n_numbers())))?;
        let models = ImageModel::new(job, model, shape, dtype)?;
        let training = ImageData { shape, background };
        let files = files.iter().map(|file| file.name.clone()).collect();
        Ok(Loaded { training, models, outputs, inputs, range, files })
    }
}

/// Images in memory.
fn load_arrays<'j>(
    job: &'j Job<'j>,
    images: &Array4<f64>,
    requirements: &ImageRequirements,
) -> Result<Loaded<'j, Images>, JobError> {
    let (n_images, height, width, channels) = images.dim();
    let shape = ImageShape { height, width, channels };
    if let Some(expected) = requirements.shape.filter(|expected| *expected != shape) {
        let message = format!(
            "images in memory must have the shape {expected:?} of the params, got {shape:?}"
        );
        return Err(JobError::invalid(job.place(), message));
    }
    let range = job.selection.within(n_images)?;
    let width = Width { n_columns: shape.n_numbers(), rows: "array of images".to_owned() };
    let model = RowModel::open(job, Some(&width), false)?;
    let inputs = rows_of(job, images, shape)?;
    let inputs = inputs.slice(ndarray::s![range.clone(), ..]).to_owned();
    let background = match &job.data.background_images {
        Some(images) => Some(rows_of(job, images, shape)?),
        None => None,
    };
    let outputs = model.output_names(job, &Array2::zeros((1, shape.n_numbers())))?;
    let models = ImageModel::new(job, model, shape, requirements.dtype)?;
    let training = ImageData { shape, background };
    Ok(Loaded { training, models, outputs, inputs, range, files: Vec::new() })
}

/// Images in memory as rows of numbers.
fn rows_of(
    job: &Job<'_>,
    images: &Array4<f64>,
    shape: ImageShape,
) -> Result<Array2<f64>, JobError> {
    let (n_images, height, width, channels) = images.dim();
    if (ImageShape { height, width, channels }) != shape {
        let message = format!("images must all have the shape {shape:?}, got {:?}", images.dim());
        return Err(JobError::invalid(job.place(), message));
    }
    let numbers = images.iter().copied().collect();
    let rows = Array2::from_shape_vec((n_images, shape.n_numbers()), numbers);
    Ok(rows.expect("an array has as many numbers as its shape says"))
}

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ImageFile {
    /// As the job or the caller names it.
    name: String,
    /// Seen from the current folder.
    path: PathBuf,
}

/// All images of a job; those that the caller names take the place of the document's.
fn files_to_explain(job: &Job<'_>) -> Result<Vec<ImageFile>, JobError> {
    let files = match (&job.data.input_file, &job.data().images) {
        (Some(path), _) => image_files(std::slice::from_ref(path), Path::to_owned)?,
        (None, Some(paths)) => image_files(paths.get_ref(), |path| job.resolve(path))?,
        (None, None) => Vec::new(),
    };
    if files.is_empty() {
        return Err(JobError::NothingToExplain { place: job.place(), key: "images" });
    }
    Ok(files)
}

/// The files of a list: those that it names in its order, and the PNG and JPEG files of folders in the order of their
/// names. `resolve` says where a path is.
fn image_files(
    paths: &[PathBuf],
    resolve: impl Fn(&Path) -> PathBuf,
) -> Result<Vec<ImageFile>, JobError> {
    let mut files = Vec::new();
    for named in paths {
        let path = resolve(named);
        if !path.is_dir() {
            files.push(ImageFile { name: named.display().to_string(), path });
            continue;
        }
        let names = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = names.map_err(|source| JobError::Read {
            what: "folder",
            path: path.clone(),
            source,
        })?;
        names.retain(|name| is_image(Path::new(name)));
        names.sort_unstable();
        if names.is_empty() {
            let message = format!("the folder `{}` has no PNG or JPEG file", path.display());
            return Err(JobError::invalid(Place::default(), message));
        }
        files.extend(names.iter().map(|file| ImageFile {
            name: named.join(file).display().to_string(),
            path: path.join(file),
        }));
    }
    Ok(files)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The shape of an image, with as many channels as make its numbers those that the model takes.
fn shape_of(
    job: &Job<'_>,
    file: &ImageFile,
    model: &RowModel<'_>,
    dtype: Dtype,
) -> Result<ImageShape, JobError> {
    let Some(n_features) = model.n_features() else {
        let error = ParamError {
            name: "image_shape",
            rule: "given for a model that does not say how many numbers it takes".to_owned(),
            value: "none".to_owned(),
        };
        return Err(job.refuse(error.into()));
    };
    let ImageShape { height, width, .. } = ImageShape::of(&read_image(file, 1, dtype)?);
    let fits = |channels: &usize| height * width * channels == n_features;
    let channels = [1, 3].into_iter().find(fits).ok_or_else(|| {
        let message = format!(
            "the image `{}` has {height} x {width} pixels, and the model takes {n_features} numbers, which is neither \
             one nor three for a pixel",
            file.path.display()
        );
        JobError::invalid(Place::default(), message)
    })?;
    Ok(ImageShape { height, width, channels })
}

/// The numbers of a file, shape `(height, width, channels)`.
fn read_image(file: &ImageFile, channels: usize, dtype: Dtype) -> Result<Array3<f64>, JobError> {
    let path = &file.path;
    let bytes = fs::read(path).map_err(|source| JobError::Read {
        what: "image",
        path: path.clone(),
        source,
    })?;
    decode(&bytes, channels, dtype).map_err(|error| JobError::File {
        what: "image".to_owned(),
        path: path.clone(),
        source: error.into(),
    })
}

/// Files as rows of numbers, all of one shape.
fn read_images(
    files: &[ImageFile],
    shape: ImageShape,
    dtype: Dtype,
) -> Result<Array2<f64>, JobError> {
    let mut rows = Array2::zeros((0, shape.n_numbers()));
    for file in files {
        let image = read_image(file, shape.channels, dtype)?;
        if ImageShape::of(&image) != shape {
            let ImageShape { height, width, channels } = shape;
            let message = format!(
                "the image `{}` has the shape {:?}, expected {:?}: height, width, channels",
                file.path.display(),
                image.dim(),
                (height, width, channels),
            );
            return Err(JobError::invalid(Place::default(), message));
        }
        let row = image.flatten();
        rows.push(Axis(0), row.view()).expect("the shape was compared");
    }
    Ok(rows)
}
