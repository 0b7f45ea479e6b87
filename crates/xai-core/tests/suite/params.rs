//! Parameters: the text of a refusal, and the proof that cannot be forged by a document.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use schemars::schema_for;
use serde::{Deserialize, Serialize};
use xai_core::params::{at_least, not_negative, positive, share};
use xai_core::{ParamError, Params, Semantics, Valid, require};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    beta: f64,
    n_steps: usize,
    semantics: Semantics,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { beta: 0.1, n_steps: 50, semantics: Semantics::Native }
    }
}

impl Params for Settings {
    fn validate(&self) -> Result<(), ParamError> {
        let beta = self.beta;
        require((0.0..f64::INFINITY).contains(&beta), "beta", "finite and at least 0", beta)?;
        require(1 <= self.n_steps, "n_steps", "at least 1", self.n_steps)
    }
}

#[test]
fn a_refusal_names_the_parameter_the_rule_and_the_value() {
    #[track_caller]
    fn check(settings: Settings, expected: Option<&str>) {
        let refusal = settings.check().err().map(|error| error.to_string());
        assert_eq!(refusal.as_deref(), expected);
    }
    let beta = |beta| Settings { beta, ..Settings::default() };
    let n_steps = |n_steps| Settings { n_steps, ..Settings::default() };
    let rule = "parameter `beta` must be finite and at least 0, got ";
    check(beta(f64::NAN), Some("parameter `beta` must be finite and at least 0, got NaN"));
    check(beta(f64::INFINITY), Some(&format!("{rule}inf")));
    check(beta(-1e-300), Some(&format!("{rule}-1e-300")));
    check(beta(-0.0), None);
    check(beta(0.0), None);
    check(beta(f64::MAX), None);
    check(n_steps(0), Some("parameter `n_steps` must be at least 1, got 0"));
    check(n_steps(1), None);
    // The first field out of its range is the one that is named.
    check(Settings { n_steps: 0, ..beta(-1.0) }, Some(&format!("{rule}-1.0")));
}

#[test]
fn a_rule_is_formatted_only_for_a_refusal() {
    struct Unformattable;
    impl std::fmt::Display for Unformattable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("formatted")
        }
    }
    assert_eq!(require(true, "beta", Unformattable, 0.0), Ok(()));
    let most = 3;
    let refusal = require(false, "beta", format_args!("at most {most}"), 4).unwrap_err();
    assert_eq!(refusal.to_string(), "parameter `beta` must be at most 3, got 4");
}

#[test]
fn ranges_have_open_and_closed_ends() {
    let nan = f64::NAN;
    for (value, allowed) in [(nan, false), (f64::INFINITY, false), (0.0, false), (5e-324, true)] {
        assert_eq!(positive("x", value).is_ok(), allowed, "{value}");
    }
    for (value, allowed) in [(nan, false), (f64::INFINITY, false), (-5e-324, false), (0.0, true)] {
        assert_eq!(not_negative("x", value).is_ok(), allowed, "{value}");
    }
    for (value, allowed) in [(nan, false), (0.0, false), (1.0, false), (0.5, true)] {
        assert_eq!(share("x", value).is_ok(), allowed, "{value}");
    }
    assert_eq!(at_least("x", 1, 1), Ok(()));
    let refusal = at_least("x", 1, 0).unwrap_err();
    assert_eq!(refusal.to_string(), "parameter `x` must be at least 1, got 0");
    assert!(at_least("x", 0.0, nan).is_err());
}

#[test]
fn require_keeps_its_parts() {
    assert_eq!(require(true, "beta", "finite", f64::NAN), Ok(()));
    let refusal = require(false, "beta", "finite", f64::NAN).unwrap_err();
    let parts = ParamError { name: "beta", rule: "finite".to_owned(), value: "NaN".to_owned() };
    assert_eq!(refusal, parts);
    assert_eq!(
        xai_core::Error::from(refusal).to_string(),
        "parameter `beta` must be finite, got NaN"
    );
    // Text is quoted, so that an empty one can be seen.
    assert_eq!(require(false, "name", "a word", "").unwrap_err().value, "\"\"");
}

#[test]
fn valid_reads_like_the_plain_settings_and_gives_them_back() {
    let settings = Settings { beta: 2.0, ..Settings::default() };
    let valid = settings.clone().check().unwrap();
    assert_eq!((valid.beta, valid.n_steps), (2.0, 50));
    assert_eq!(valid.into_inner(), settings);
}

#[test]
fn a_document_is_checked_when_it_is_read() {
    #[track_caller]
    fn check(text: &str, expected: Result<Settings, &str>) {
        let got = serde_json::from_str::<Valid<Settings>>(text);
        match expected {
            Ok(settings) => assert_eq!(got.unwrap().into_inner(), settings),
            Err(start) => {
                let error = got.unwrap_err().to_string();
                assert!(error.starts_with(start), "{error}");
            }
        }
    }
    check("{}", Ok(Settings::default()));
    check(r#"{"beta":0.5}"#, Ok(Settings { beta: 0.5, ..Settings::default() }));
    check(
        r#"{"semantics":"reference"}"#,
        Ok(Settings { semantics: Semantics::Reference, ..Settings::default() }),
    );
    check(r#"{"beta":-1}"#, Err("parameter `beta` must be finite and at least 0, got -1.0"));
    check(r#"{"n_steps":0}"#, Err("parameter `n_steps` must be at least 1, got 0"));
    check(r#"{"betta":1}"#, Err("unknown field `betta`"));
    check(r#"{"semantics":"alibi"}"#, Err("unknown variant `alibi`"));
}

#[test]
fn valid_has_the_json_and_the_schema_of_the_plain_settings() {
    let valid = Settings::default().check().unwrap();
    let text = serde_json::to_string(&valid).unwrap();
    assert_eq!(text, r#"{"beta":0.1,"n_steps":50,"semantics":"native"}"#);
    assert_eq!(serde_json::from_str::<Valid<Settings>>(&text).unwrap(), valid);
    assert_eq!(schema_for!(Valid<Settings>), schema_for!(Settings));
}
