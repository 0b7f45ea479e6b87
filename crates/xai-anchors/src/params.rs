//! The settings that all anchors share, and how settings are read.

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::MapAccess;
use xai_core::{Error, Output, ParamError, Params, Run, Semantics, require};

use crate::bandit::Exploration;

/// Settings of the search for an anchor, the same for rows, texts and images.
///
/// They are a part of [`AnchorTabularParams`](crate::AnchorTabularParams), `AnchorTextParams` and `AnchorImageParams`;
/// in JSON and TOML their keys stand beside those of the method. Names follow alibi, which differs from the paper in two
/// of them: `threshold` is what the paper calls tau, and `tau` is the tolerance that the paper calls epsilon.
///
/// The defaults are those of rows; where the defaults of texts and images differ, the field says so.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AnchorSearchParams {
    /// The precision that an anchor must have, in `(0, 1]`. Default 0.95.
    pub threshold: f64,
    /// The risk of a wrong confidence bound, in `(0, 1)`: of the validity test, of the certificate and of all
    /// intervals. Default 0.1.
    pub delta: f64,
    /// How much less precise than the best of its size an anchor that is extended may be, in `(0, 1]`: the tolerance
    /// of the bandit. Default 0.15.
    pub tau: f64,
    /// How wide the bounds are that decide which anchors are extended. Always [`Proved`](Exploration::Proved) with the
    /// reference semantics. Default `"practical"`.
    pub exploration: Exploration,
    /// Perturbations of an anchor in one request, `1..=2^24`. Default 100.
    pub batch_size: usize,
    /// Samples of the coverage set where coverage is estimated, `1..=2^24`; the model is not asked about them.
    /// Default 10,000.
    pub coverage_samples: usize,
    /// How many anchors of each size are extended, `1..=2^24`. Default 1.
    pub beam_size: usize,
    /// Whether to stop at the first valid anchor, which has the fewest predicates. Default false; true for texts.
    pub stop_on_first: bool,
    /// The largest number of predicates of an anchor, at least 1. Default `None`: all of them.
    pub max_anchor_size: Option<usize>,
    /// Perturbations for the first estimate of the empty anchor's precision, `1..=2^24`. Default 100.
    pub min_samples_start: usize,
    /// The largest number of examples of each partial anchor and each outcome. Default 10; 0 for images.
    pub n_covered_ex: usize,
    /// An anchor is valid when its precision so far reaches the threshold and the lower bound of the precision is
    /// above the threshold minus this; in `(0, threshold]`. Default 0.05.
    pub epsilon_stop: f64,
    /// Whether to keep the steps of the bandit in the explanation, as `trace`. Default false.
    pub verbose: bool,
    /// With `verbose`, record every n-th step, at least 1. Default 1.
    pub verbose_every: usize,
    /// Whether an anchor is returned as found only when its certificate clears the threshold: then its precision is at
    /// least the threshold with probability `1 - delta`. Default false.
    pub strict: bool,
    /// Fresh perturbations for the certificate, `0..=2^24`; 0 for no certificate. Default 1,000.
    pub final_samples: usize,
    /// The largest number of perturbations that the search may draw, without those of the certificate, at least
    /// `min_samples_start`. Default 1,000,000.
    pub max_samples: u64,
    /// Whether anchors that are not the most precise of their size are tested too, in descending order of coverage,
    /// until one is valid, and whether the search then continues for anchors of larger coverage. It has no effect with
    /// `stop_on_first`. Default true.
    pub coverage_sweep: bool,
    /// How much more a longer anchor must cover than the best so far, as a share for each additional predicate, finite
    /// and at least 0: with 0.2 two more predicates are worth it for 44 % more rows. Default 0.2.
    pub coverage_gain: f64,
    /// How many candidates to report: the valid ones of largest coverage, then those that no other exceeds both in
    /// precision and in coverage. Default 0.
    pub top_k: usize,
    /// What the model's outputs mean. Default `"auto"`: what the model declares, or else the table in
    /// [`xai_core::decision`].
    pub output: Output,
    /// [`Reference`](Semantics::Reference) searches as alibi does where that differs: samples of a parent count for its
    /// children, the proved exploration rate, ties by position, a different rule for the empty anchor, redundant
    /// predicates tried, valid anchors extended, no sweep and no pruning, examples from the last request.
    /// Default `"native"`.
    pub semantics: Semantics,
}

impl Default for AnchorSearchParams {
    fn default() -> Self {
        AnchorSearchParams {
            threshold: 0.95,
            delta: 0.1,
            tau: 0.15,
            exploration: Exploration::Practical,
            batch_size: 100,
            coverage_samples: 10_000,
            beam_size: 1,
            stop_on_first: false,
            max_anchor_size: None,
            min_samples_start: 100,
            n_covered_ex: 10,
            epsilon_stop: 0.05,
            verbose: false,
            verbose_every: 1,
            strict: false,
            final_samples: 1000,
            max_samples: 1_000_000,
            coverage_sweep: true,
            coverage_gain: 0.2,
            top_k: 0,
            output: Output::Auto,
            semantics: Semantics::Native,
        }
    }
}

/// The largest number of samples of one request.
const MAX_SAMPLES: usize = 1 << 24;

impl Params for AnchorSearchParams {
    fn validate(&self) -> Result<(), ParamError> {
        let is_share = |x: f64| 0.0 < x && x <= 1.0;
        let is_count = |n: usize| (1..=MAX_SAMPLES).contains(&n);
        let count = "at least 1 and at most 2^24";
        require(is_share(self.threshold), "threshold", "above 0 and at most 1", self.threshold)?;
        let is_risk = 0.0 < self.delta && self.delta < 1.0;
        require(is_risk, "delta", "above 0 and below 1", self.delta)?;
        require(is_share(self.tau), "tau", "above 0 and at most 1", self.tau)?;
        require(is_count(self.batch_size), "batch_size", count, self.batch_size)?;
        let samples = self.coverage_samples;
        require(is_count(samples), "coverage_samples", count, samples)?;
        require(is_count(self.beam_size), "beam_size", count, self.beam_size)?;
        let size = self.max_anchor_size;
        require(size != Some(0), "max_anchor_size", "at least 1, or none", size)?;
        let start = self.min_samples_start;
        require(is_count(start), "min_samples_start", count, start)?;
        let margin = self.epsilon_stop;
        let rule = || format!("above 0 and at most the threshold {}", self.threshold);
        require(0.0 < margin && margin <= self.threshold, "epsilon_stop", rule(), margin)?;
        let most = self.max_samples;
        require(start as u64 <= most, "max_samples", "at least min_samples_start", most)?;
        let gain = self.coverage_gain;
        require(gain.is_finite() && 0.0 <= gain, "coverage_gain", "finite and at least 0", gain)?;
        let fresh = self.final_samples;
        require(fresh <= MAX_SAMPLES, "final_samples", "at most 2^24", fresh)?;
        let rule = "at least 1 for a strict search, which accepts by them";
        require(!self.strict || 0 < fresh, "final_samples", rule, fresh)?;
        require(1 <= self.verbose_every, "verbose_every", "at least 1", self.verbose_every)?;
        self.output.validate()?;
        self.output.require_decision()
    }
}

impl AnchorSearchParams {
    /// Requires a budget for the instance and the first estimate of the empty anchor's precision.
    pub(crate) fn require_budget(&self, run: &Run<'_>) -> xai_core::Result<()> {
        let needed = 1 + self.min_samples_start as u64;
        match run.queries_left().filter(|&left| left < needed) {
            Some(given) => Err(Error::Budget { what: "the budget of queries", given, needed }),
            None => Ok(()),
        }
    }
}

/// Calls a macro with the fields of [`AnchorSearchParams`], their setters and their types.
macro_rules! with_search_fields {
    ($callback:ident $($before:tt)*) => {
        $crate::params::$callback! { $($before)* {
            with_threshold => threshold: f64,
            with_delta => delta: f64,
            with_tau => tau: f64,
            with_exploration => exploration: $crate::bandit::Exploration,
            with_batch_size => batch_size: usize,
            with_coverage_samples => coverage_samples: usize,
            with_beam_size => beam_size: usize,
            with_stop_on_first => stop_on_first: bool,
            with_max_anchor_size => max_anchor_size: Option<usize>,
            with_min_samples_start => min_samples_start: usize,
            with_n_covered_ex => n_covered_ex: usize,
            with_epsilon_stop => epsilon_stop: f64,
            with_verbose => verbose: bool,
            with_verbose_every => verbose_every: usize,
            with_strict => strict: bool,
            with_final_samples => final_samples: usize,
            with_max_samples => max_samples: u64,
            with_coverage_sweep => coverage_sweep: bool,
            with_coverage_gain => coverage_gain: f64,
            with_top_k => top_k: usize,
            with_output => output: ::xai_core::Output,
            with_semantics => semantics: ::xai_core::Semantics,
        } }
    };
}

/// The names of the fields, and a reader of one of them.
macro_rules! search_fields {
    ({ $($setter:ident => $field:ident: $type:ty,)* }) => {
        /// The keys of [`AnchorSearchParams`].
        pub(crate) const SEARCH_FIELDS: &[&str] = &[$(stringify!($field)),*];

        impl AnchorSearchParams {
            /// Reads the value of the key `name`, one of [`SEARCH_FIELDS`].
            pub(crate) fn read<'de, A: MapAccess<'de>>(
                &mut self,
                name: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match name {
                    $(stringify!($field) => self.$field = map.next_value()?,)*
                    _ => return Err(serde::de::Error::unknown_field(name, SEARCH_FIELDS)),
                }
                Ok(())
            }
        }

        xai_core::setters! { AnchorSearchParams { $($setter => $field: $type,)* } }
    };
}

/// Setters of the settings of a method for the fields of its `search`.
macro_rules! search_setters {
    ($params:ident { $($setter:ident => $field:ident: $type:ty,)* }) => {
        impl $params {
            $(
                #[doc = concat!(
                    "The same settings with another [`", stringify!($field),
                    "`](crate::AnchorSearchParams::", stringify!($field), ")."
                )]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.search.$field = $field;
                    self
                }
            )*
        }
    };
}

/// Reads the settings of a method, in which the keys of `search` stand beside the others. A derived reader would accept
/// unknown keys, which serde's `flatten` cannot refuse.
macro_rules! deserialize_params {
    ($params:ident { $($field:ident),* $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $params {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const METHOD: &[&str] = &[$(stringify!($field)),*];
                const N_FIELDS: usize = METHOD.len() + $crate::params::SEARCH_FIELDS.len();
                const FIELDS: &[&str] = &$crate::params::with_search_keys::<N_FIELDS>(METHOD);

                struct Reader;

                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $params;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the settings ", stringify!($params)))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$params, A::Error> {
                        use serde::de::Error;
                        let mut params = $params::default();
                        let mut seen = std::collections::BTreeSet::new();
                        while let Some(key) = map.next_key::<String>()? {
                            let field = FIELDS.iter().copied().find(|field| *field == key);
                            let field =
                                field.ok_or_else(|| A::Error::unknown_field(&key, FIELDS))?;
                            if !seen.insert(field) {
                                return Err(A::Error::duplicate_field(field));
                            }
                            match field {
                                $(stringify!($field) => params.$field = map.next_value()?,)*
                                _ => params.search.read(field, &mut map)?,
                            }
                        }
                        Ok(params)
                    }
                }

                deserializer.deserialize_struct(stringify!($params), FIELDS, Reader)
            }
        }
    };
}

pub(crate) use {deserialize_params, search_fields, search_setters, with_search_fields};

with_search_fields! { search_fields }

/// The keys of a method, then those of [`AnchorSearchParams`].
pub(crate) const fn with_search_keys<const N: usize>(method: &[&'static str]) -> [&'static str; N] {
    let mut keys = [""; N];
    let mut index = 0;
    while index < N {
        keys[index] =
            if index < method.len() { method[index] } else { SEARCH_FIELDS[index - method.len()] };
        index += 1;
    }
    keys
}

/// Writes the defaults of a method into its JSON schema, where they differ from those of [`AnchorSearchParams`].
pub(crate) fn set_defaults<P: Default + Serialize>(schema: &mut Schema) {
    let Ok(serde_json::Value::Object(defaults)) = serde_json::to_value(P::default()) else {
        return;
    };
    let properties = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut);
    for (key, property) in properties.into_iter().flatten() {
        if let (Some(default), Some(property)) = (defaults.get(key), property.as_object_mut()) {
            property.insert("default".to_owned(), default.clone());
        }
    }
}
