//! AnchorImage, the crate `xai-anchors`.

use xai_anchors::image::{AnchorImage, AnchorImageData, AnchorImageParams};
use xai_core::{BlackBox, Explanation, Figure, OutputNames, ParamError, Params, require};

use super::{Job, Method, PictureFile, anchors};
use crate::job::input::{ImageData, ImageModel, ImageRequirements, ImageShape, Images};

/// Anchors of images: superpixels under which the model decides as it does for an image.
pub(super) struct AnchorImageMethod;

impl Method for AnchorImageMethod {
    const NAME: &'static str = "anchor-image";
    const DRAWS_PICTURES: bool = true;
    type Input = Images;
    type Params = AnchorImageParams;
    type Data = AnchorImageData;
    type Model<'m> = BlackBox<'m>;
    type Explainer<'t> = AnchorImage;

    fn requirements(
        params: &AnchorImageParams,
        job: &Job<'_>,
    ) -> Result<ImageRequirements, ParamError> {
        let dtype = params.dtype;
        let (height, width, channels) = params.image_shape;
        if params.image_shape == (0, 0, 0) {
            return Ok(ImageRequirements { shape: None, dtype });
        }
        params.validate()?;
        let rule = "a shape with 1 or 3 channels for images from files";
        let is_drawn = matches!(channels, 1 | 3) || job.has_images_in_memory();
        require(is_drawn, "image_shape", rule, params.image_shape)?;
        Ok(ImageRequirements { shape: Some(ImageShape { height, width, channels }), dtype })
    }

    fn fit(
        mut params: AnchorImageParams,
        training: &ImageData,
        _: &ImageModel<'_>,
    ) -> xai_core::Result<AnchorImage> {
        let ImageShape { height, width, channels } = training.shape;
        params.image_shape = (height, width, channels);
        params.build(training.background.as_deref())
    }

    fn model<'m>(models: &'m ImageModel<'_>) -> BlackBox<'m> {
        models.black_box()
    }

    fn figure(explanation: &Explanation<AnchorImageData>, outputs: &OutputNames) -> Figure {
        let data = &explanation.data;
        let superpixels: Vec<String> =
            data.raw.feature.iter().map(|superpixel| format!("superpixel {superpixel}")).collect();
        let output = anchors::output_of(&explanation.meta);
        let anchor = anchors::Anchor {
            decision: anchors::decision(&output, data.raw.prediction[0], outputs),
            conditions: &superpixels,
            status: data.status,
            is_valid: data.raw.success,
        };
        Figure { title: anchor.title(), ..data.figure() }
    }

    fn pictures(data: &AnchorImageData) -> Vec<PictureFile> {
        vec![
            PictureFile { suffix: "overlay.png", bytes: data.overlay_png() },
            PictureFile { suffix: "mask.png", bytes: data.mask_png() },
        ]
    }
}
