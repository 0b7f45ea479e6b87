//! AnchorImage, the crate `xai-anchors`.

use xai_anchors::image::{AnchorImage, AnchorImageData, AnchorImageParams};
use xai_core::{BlackBox, ParamError};

use super::{Job, Method, PictureFile};
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
        Ok(ImageRequirements { shape: job.image_shape(), dtype: params.dtype })
    }

    fn fit(
        params: AnchorImageParams,
        training: &ImageData,
        _: &ImageModel<'_>,
    ) -> xai_core::Result<AnchorImage> {
        let ImageShape { height, width, channels } = training.shape;
        params.build((height, width, channels), training.background.as_deref())
    }

    fn model<'m>(models: &'m ImageModel<'_>) -> BlackBox<'m> {
        models.black_box()
    }

    fn pictures(data: &AnchorImageData) -> Vec<PictureFile> {
        vec![
            PictureFile { suffix: "overlay.png", bytes: data.overlay_png() },
            PictureFile { suffix: "mask.png", bytes: data.mask_png() },
        ]
    }
}
