//! Image files: which there are, and the numbers in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ndarray::{Array2, Array3, Axis};
use xai_anchors::image::{Dtype, decode};

use crate::failure::Failure;

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageFile {
    /// As the job or the command line has it.
    pub(crate) name: String,
    /// Seen from where the command runs.
    pub(crate) path: PathBuf,
}

/// The files of a list: those that it names as they stand there, and the PNG and JPEG files of folders in the order of
/// their names. `resolve` says where a path is.
///
/// # Errors
/// [`Failure::Input`] for a folder that cannot be read or has no image.
pub(crate) fn image_files(
    paths: &[PathBuf],
    resolve: impl Fn(&Path) -> PathBuf,
) -> Result<Vec<ImageFile>, Failure> {
    let mut files = Vec::new();
    for named in paths {
        let path = resolve(named);
        if !path.is_dir() {
            files.push(ImageFile { name: named.display().to_string(), path });
            continue;
        }
        let mut inside = fs::read_dir(&path)
            .and_then(|entries| {
                entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
            })
            .with_context(|| format!("cannot read the folder `{}`", path.display()))
            .map_err(Failure::Input)?;
        inside.retain(|name| is_image(Path::new(name)));
        inside.sort_unstable();
        if inside.is_empty() {
            let message = format!("the folder `{}` has no PNG or JPEG file", path.display());
            return Err(Failure::refuse(message));
        }
        files.extend(inside.iter().map(|file| ImageFile {
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

/// The numbers of a file, shape `(height, width, channels)`.
///
/// # Errors
/// [`Failure::Input`] with the file when it cannot be read.
pub(crate) fn read_image(
    file: &ImageFile,
    channels: usize,
    dtype: Dtype,
) -> Result<Array3<f64>, Failure> {
    let shown = file.path.display();
    let bytes = fs::read(&file.path)
        .with_context(|| format!("cannot read the image `{shown}`"))
        .map_err(Failure::Input)?;
    decode(&bytes, channels, dtype)
        .with_context(|| format!("the image `{shown}` cannot be used"))
        .map_err(Failure::Input)
}

/// Files as rows of numbers, all of one shape `(height, width, channels)`.
///
/// # Errors
/// [`Failure::Input`] with the file that cannot be read or has another shape.
pub(crate) fn read_images(
    files: &[ImageFile],
    shape: (usize, usize, usize),
    dtype: Dtype,
) -> Result<Array2<f64>, Failure> {
    let mut rows = Array2::zeros((0, shape.0 * shape.1 * shape.2));
    for file in files {
        let image = read_image(file, shape.2, dtype)?;
        if image.dim() != shape {
            let message = format!(
                "the image `{}` has the shape {:?}, expected {shape:?}: height, width, channels",
                file.path.display(),
                image.dim(),
            );
            return Err(Failure::refuse(message));
        }
        let row = image.flatten();
        rows.push(Axis(0), row.view()).expect("the shape was compared");
    }
    Ok(rows)
}
