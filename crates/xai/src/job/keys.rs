//! Which keys of a job are for which methods.

use toml::Spanned;

use super::Job;
use super::document::{DataSection, ModelSection};
use super::error::{JobError, Place};
use super::input::InputKind;

/// The keys for methods of some inputs alone.
const ROWS: &[InputKind] = &[InputKind::Rows];
const TEXTS: &[InputKind] = &[InputKind::Texts];
const IMAGES: &[InputKind] = &[InputKind::Images];
const TABLES: &[InputKind] = &[InputKind::Rows, InputKind::Texts];

impl Job<'_> {
    /// Requires that the job has no key that only methods of other inputs know, and of those for gradients only
    /// `known`.
    pub(super) fn check_keys(&self, kind: InputKind, known: &[&str]) -> Result<(), JobError> {
        let data = self.data();
        let default = ModelSection::default();
        let model = self.model().unwrap_or(&default);
        for (key, kinds, place) in self.keys_of_inputs(model, data) {
            if let Some(place) = place.filter(|_| !kinds.contains(&kind)) {
                let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
                let (kinds, method) = (kinds.join(" or "), self.method());
                let message =
                    format!("`{key}` is for methods of {kinds}, and `{method}` explains {kind}");
                return Err(JobError::invalid(place, message));
            }
        }
        let of_gradients = [
            ("gradients", self.place_in(&model.gradients)),
            ("autoencoder", self.place_in(&model.autoencoder)),
            ("encoder", self.place_in(&model.encoder)),
        ];
        for (key, place) in of_gradients {
            if let Some(place) = place.filter(|_| !known.contains(&key)) {
                let message = format!("`{}` has no use for `{key}`", self.method());
                return Err(JobError::invalid(place, message));
            }
        }
        Ok(())
    }

    /// Each key that is not for all inputs, the inputs that it is for, and its place where the job has it.
    fn keys_of_inputs(
        &self,
        model: &ModelSection,
        data: &DataSection,
    ) -> [(&'static str, &'static [InputKind], Option<Place>); 14] {
        [
            ("vectoriser", TEXTS, self.place_in(&model.vectoriser)),
            ("layout", IMAGES, self.place_in(&model.layout)),
            ("pixels", IMAGES, self.place_in(&model.pixels)),
            ("image_shape", IMAGES, self.place_in(&model.image_shape)),
            ("train", TABLES, self.place_in(&data.train)),
            ("input", TABLES, self.place_in(&data.input)),
            ("images", IMAGES, self.place_in(&data.images)),
            ("background_images", IMAGES, self.place_in(&data.background_images)),
            ("column", TEXTS, self.place_in(&data.column)),
            ("vectors", TEXTS, self.place_in(&data.vectors)),
            ("target", ROWS, self.place_in(&data.target)),
            ("categories", ROWS, self.place_in(&data.categories)),
            ("background_rows", ROWS, self.place_in(&data.background_rows)),
            ("edges", ROWS, self.place_in(&data.edges)),
        ]
    }

    fn place_in<T>(&self, value: &Option<Spanned<T>>) -> Option<Place> {
        value.as_ref().map(|value| self.place_of(value))
    }
}
