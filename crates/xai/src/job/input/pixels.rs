//! From the images of an explainer to the numbers that a model takes.

use ndarray::Array2;
use toml::Spanned;
use xai_anchors::image::Dtype;
use xai_core::{BlackBox, BoxError, Output, Predictor, Rows};

use super::images::ImageShape;
use crate::job::Job;
use crate::job::document::{Layout, PixelRange, Pixels, Standardised};
use crate::job::error::JobError;
use crate::job::models::RowModel;

/// A model of images.
pub(crate) enum ImageModel<'j> {
    /// It takes the numbers of the explainer as they are.
    Direct(RowModel<'j>),
    /// Pixels are scaled and put into the model's order.
    Arranged(ArrangedModel<'j>),
}

/// A model behind a change of the numbers' order and scale.
pub(crate) struct ArrangedModel<'j> {
    model: RowModel<'j>,
    /// For each column of the model the column of the image, and what its number is multiplied by and increased by.
    columns: Vec<PixelColumn>,
}

/// Where a number of the model comes from.
struct PixelColumn {
    /// The column of the image.
    source: usize,
    scale: Scale,
}

/// A number of the model is `slope` times that of the image, plus `offset`.
#[derive(Clone, Copy)]
struct Scale {
    slope: f64,
    offset: f64,
}

impl<'j> ImageModel<'j> {
    /// The model of a job for images of a shape.
    ///
    /// # Errors
    /// [`JobError::Invalid`] with the line of a layout that the model does not take, or of impossible pixels.
    pub(crate) fn new(
        job: &Job<'_>,
        model: RowModel<'j>,
        shape: ImageShape,
        dtype: Dtype,
    ) -> Result<Self, JobError> {
        let has_keys =
            job.model().is_some_and(|section| section.layout.is_some() || section.pixels.is_some());
        if model.is_in_memory() && !has_keys {
            return Ok(ImageModel::Direct(model));
        }
        let ImageShape { height, width, channels } = shape;
        let layout = layout(job, &model, shape)?;
        let scales = scales(job, channels, dtype)?;
        let n_pixels = height * width;
        let column = |place: usize| {
            let (pixel, channel) = match layout {
                Layout::ChannelsLast => (place / channels, place % channels),
                Layout::ChannelsFirst => (place % n_pixels, place / n_pixels),
            };
            PixelColumn { source: pixel * channels + channel, scale: scales[channel] }
        };
        let columns = (0..n_pixels * channels).map(column).collect();
        Ok(ImageModel::Arranged(ArrangedModel { model, columns }))
    }

    /// The model as a black box.
    pub(crate) fn black_box(&self) -> BlackBox<'_> {
        match self {
            ImageModel::Direct(model) => model.view().predictor().into(),
            ImageModel::Arranged(model) => model.into(),
        }
    }
}

/// The order of the job, which must be one that the model takes, or else the one that it takes.
fn layout(job: &Job<'_>, model: &RowModel<'_>, shape: ImageShape) -> Result<Layout, JobError> {
    let ImageShape { height, width, channels } = shape;
    let wanted = job.model().and_then(|section| section.layout.as_ref());
    let shapes = model.input_shapes();
    let orders = [
        (Layout::ChannelsLast, [height, width, channels]),
        (Layout::ChannelsFirst, [channels, height, width]),
    ];
    // Only an input with three axes tells.
    let [taken] = shapes.as_slice() else {
        return Ok(wanted.map_or(Layout::ChannelsLast, |wanted| *wanted.get_ref()));
    };
    if taken.len() != 3 {
        return Ok(wanted.map_or(Layout::ChannelsLast, |wanted| *wanted.get_ref()));
    }
    let is_allowed = |layout: Layout| wanted.is_none_or(|wanted| *wanted.get_ref() == layout);
    let mut allowed = orders.iter().filter(|(layout, _)| is_allowed(*layout));
    match allowed.find(|(_, order)| taken == order) {
        Some((layout, _)) => Ok(*layout),
        None => {
            let path = job.model_path();
            let message = format!(
                "the model `{}` takes images of the shape {taken:?}, and `image_shape` with this layout is height \
                 {height}, width {width}, channels {channels}",
                path.display(),
            );
            let place = wanted.map_or_else(|| job.place(), |wanted| job.place_of(wanted));
            Err(JobError::invalid(place, message))
        }
    }
}

/// Slope and offset of each channel, from the numbers of the dtype to those of the model.
fn scales(job: &Job<'_>, channels: usize, dtype: Dtype) -> Result<Vec<Scale>, JobError> {
    let full = match dtype {
        Dtype::U8 => 255.0,
        _ => 1.0,
    };
    let between =
        |low: f64, high: f64| vec![Scale { slope: (high - low) / full, offset: low }; channels];
    let Some(pixels) = job.model().and_then(|section| section.pixels.as_ref()) else {
        return Ok(between(0.0, full));
    };
    match pixels.get_ref() {
        Pixels::Named(PixelRange::Byte) => Ok(between(0.0, 255.0)),
        Pixels::Named(PixelRange::Unit) => Ok(between(0.0, 1.0)),
        Pixels::Between([low, high]) if 0.0 < (high - low).abs() && (high - low).is_finite() => {
            Ok(between(*low, *high))
        }
        Pixels::Between(_) => Err(refuse(job, pixels, "two different finite numbers")),
        Pixels::Standardised(Standardised { mean, std }) => {
            let sized = mean.len() == channels && std.len() == channels;
            let valid = mean.iter().all(|mean| mean.is_finite())
                && std.iter().all(|std| 0.0 < *std && std.is_finite());
            if !sized || !valid {
                let rule =
                    format!("a finite mean and a positive std for each of {channels} channels");
                return Err(refuse(job, pixels, &rule));
            }
            let scale = |(mean, std): (&f64, &f64)| Scale {
                slope: 1.0 / (std * full),
                offset: -mean / std,
            };
            Ok(mean.iter().zip(std).map(scale).collect())
        }
    }
}

fn refuse(job: &Job<'_>, pixels: &Spanned<Pixels>, rule: &str) -> JobError {
    JobError::invalid(job.place_of(pixels), format!("`pixels` must be {rule}"))
}

impl Predictor for ArrangedModel<'_> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a model calls the model it is made of; Run counts a query for each image"
    )]
    fn predict(&self, images: &Rows) -> Result<Array2<f64>, BoxError> {
        let number = |(row, column): (usize, usize)| {
            let PixelColumn { source, scale } = &self.columns[column];
            images[[row, *source]] * scale.slope + scale.offset
        };
        let rows = Array2::from_shape_fn((images.nrows(), self.columns.len()), number);
        self.model.view().predictor().predict(&rows)
    }

    fn max_batch(&self) -> usize {
        self.model.view().predictor().max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.columns.len())
    }

    fn output(&self) -> Option<Output> {
        self.model.view().predictor().output()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.model.view().predictor().class_names()
    }
}
