//! From the images of an explainer to the numbers that a model takes.

use ndarray::Array2;
use xai_anchors::image::{AnchorImageParams, Dtype};
use xai_core::{BoxError, Predictor, Rows};
use xai_onnx::OnnxModel;

use crate::failure::Failure;
use crate::job::{Job, Layout, PixelRange, Pixels, Standardised};

/// A model of images: pixels are scaled and put into the model's order.
pub(crate) struct ImageModel {
    model: OnnxModel,
    /// For each column of the model the column of the image, and what its number is multiplied by and increased by.
    columns: Vec<(usize, f64, f64)>,
}

impl ImageModel {
    /// The model of a job for images of checked params.
    ///
    /// # Errors
    /// [`Failure::Input`] with the line of a layout that the model does not take, or of impossible pixels.
    pub(crate) fn new(
        job: &Job,
        model: OnnxModel,
        params: &AnchorImageParams,
    ) -> Result<Self, Failure> {
        let (height, width, channels) = params.image_shape;
        let layout = layout(job, &model, params.image_shape)?;
        let scales = scales(job, channels, params.dtype)?;
        let n_pixels = height * width;
        let column = |place: usize| {
            let (pixel, channel) = match layout {
                Layout::ChannelsLast => (place / channels, place % channels),
                Layout::ChannelsFirst => (place % n_pixels, place / n_pixels),
            };
            let (slope, offset) = scales[channel];
            (pixel * channels + channel, slope, offset)
        };
        let columns = (0..n_pixels * channels).map(column).collect();
        Ok(ImageModel { model, columns })
    }
}

/// The order of the job, which must be one that the model takes, or else the one that it takes.
fn layout(
    job: &Job,
    model: &OnnxModel,
    (height, width, channels): (usize, usize, usize),
) -> Result<Layout, Failure> {
    let wanted = job.model().layout.as_ref();
    let shapes: Vec<&[usize]> = model.input_shapes().collect();
    let orders = [
        (Layout::ChannelsLast, [height, width, channels]),
        (Layout::ChannelsFirst, [channels, height, width]),
    ];
    // Only an input with three axes tells.
    let &[shape @ &[_, _, _]] = shapes.as_slice() else {
        return Ok(wanted.map_or(Layout::ChannelsLast, |wanted| *wanted.get_ref()));
    };
    let is_allowed = |layout: Layout| wanted.is_none_or(|wanted| *wanted.get_ref() == layout);
    let mut allowed = orders.iter().filter(|(layout, _)| is_allowed(*layout));
    match allowed.find(|(_, order)| shape == order) {
        Some((layout, _)) => Ok(*layout),
        None => {
            let message = format!(
                "the model `{}` takes images of the shape {shape:?}, and `image_shape` with this layout is \
                 height {height}, width {width}, channels {channels}",
                job.resolve(&job.model().path).display(),
            );
            Err(job.refuse(wanted.map(toml::Spanned::span), message))
        }
    }
}

/// Slope and offset of each channel, from the numbers of the dtype to those of the model.
fn scales(job: &Job, channels: usize, dtype: Dtype) -> Result<Vec<(f64, f64)>, Failure> {
    let full = match dtype {
        Dtype::Float => 1.0,
        Dtype::U8 => 255.0,
    };
    let between = |low: f64, high: f64| vec![((high - low) / full, low); channels];
    let Some(pixels) = &job.model().pixels else { return Ok(between(0.0, full)) };
    let refuse =
        |rule: &str| Err(job.refuse(Some(pixels.span()), format!("`pixels` must be {rule}")));
    match pixels.get_ref() {
        Pixels::Named(PixelRange::Byte) => Ok(between(0.0, 255.0)),
        Pixels::Named(PixelRange::Unit) => Ok(between(0.0, 1.0)),
        Pixels::Between([low, high]) if 0.0 < (high - low).abs() && (high - low).is_finite() => {
            Ok(between(*low, *high))
        }
        Pixels::Between(_) => refuse("two different finite numbers"),
        Pixels::Standardised(Standardised { mean, std }) => {
            let sized = mean.len() == channels && std.len() == channels;
            let valid = mean.iter().all(|mean| mean.is_finite())
                && std.iter().all(|std| 0.0 < *std && std.is_finite());
            if !sized || !valid {
                return refuse(&format!(
                    "a finite mean and a positive std for each of {channels} channels"
                ));
            }
            let scale = |(mean, std): (&f64, &f64)| (1.0 / (std * full), -mean / std);
            Ok(mean.iter().zip(std).map(scale).collect())
        }
    }
}

impl Predictor for ImageModel {
    fn predict(&self, images: &Rows) -> Result<Array2<f64>, BoxError> {
        let number = |(row, column): (usize, usize)| {
            let (own, slope, offset) = self.columns[column];
            images[[row, own]] * slope + offset
        };
        let rows = Array2::from_shape_fn((images.nrows(), self.columns.len()), number);
        Ok(self.model.evaluate(&rows)?)
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.columns.len())
    }
}
