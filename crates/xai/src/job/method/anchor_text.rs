//! AnchorText, the crate `xai-anchors`.

use xai_anchors::{AnchorText, AnchorTextData, AnchorTextParams, SamplingStrategy, TextResources};
use xai_core::{BlackBox, ParamError};

use super::{Job, Method};
use crate::job::input::{TextData, Texts};
use crate::job::models::TextModel;

/// Anchors of texts: words under which the model decides as it does for a text.
pub(super) struct AnchorTextMethod;

impl Method for AnchorTextMethod {
    const NAME: &'static str = "anchor-text";
    type Input = Texts;
    type Params = AnchorTextParams;
    type Data = AnchorTextData;
    type Model<'m> = BlackBox<'m, [String]>;
    type Explainer<'t> = AnchorText<'t>;

    fn requirements(_: &AnchorTextParams, _: &Job<'_>) -> Result<(), ParamError> {
        Ok(())
    }

    fn fit<'t>(
        params: AnchorTextParams,
        training: &'t TextData,
        _: &TextModel<'_>,
    ) -> xai_core::Result<AnchorText<'t>> {
        let analyzer = match params.sampling_strategy {
            SamplingStrategy::Similarity => training.english(),
            _ => training.tokenizer(),
        };
        let mut resources = TextResources::new(analyzer).with_corpus(&training.corpus);
        if let Some(vectors) = &training.vectors {
            resources = resources.with_vectors(vectors);
        }
        params.build(resources)
    }

    fn model<'m>(models: &'m TextModel<'_>) -> BlackBox<'m, [String]> {
        models.black_box()
    }
}
