//! The explanation: what was asked, how, and the typed answer.

use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::OutputReading;
use crate::error::{Error, Result};
use crate::model::ModelKind;

/// The schema this version writes and reads.
///
/// A document of this schema may have fields that this version does not know; readers ignore them.
pub const SCHEMA: &str = "xai-explanation/1";

/// The library's version, as explanations carry it; a LAPACK build says so, since it can move the last bits.
pub const VERSION: &str = if cfg!(feature = "lapack") {
    concat!(env!("CARGO_PKG_VERSION"), "+lapack")
} else {
    env!("CARGO_PKG_VERSION")
};

/// One explanation of one input. `D` is the method's own data; [`serde_json::Value`] serves readers that do not care.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation<D> {
    /// The schema of this document, [`SCHEMA`].
    pub schema: String,
    /// Where the explanation comes from.
    pub meta: Meta,
    /// The answer.
    pub data: D,
}

/// Where an explanation comes from: enough to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// The method, as in job files: `kernel-shap`.
    pub name: String,
    /// What was used of the model: its outputs alone (`blackbox`), or its gradients as well (`whitebox`).
    #[serde(rename = "type")]
    pub kind: ModelKind,
    /// `classification` or `regression`, for methods that tell them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What the explanation is about: `local` (one instance), `global` (the model).
    pub scope: Vec<String>,
    /// The method's settings, with every default filled in.
    pub params: Value,
    /// The version that made it, [`VERSION`].
    pub version: String,
    /// The seed of the run, as [`Seed`](crate::Seed) prints it.
    pub seed: String,
    /// Rows the model was asked for.
    pub queries: u64,
    /// How the model's outputs were read as decisions, and whether that was set, declared by the model or assumed; for
    /// methods that read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputReading>,
    /// Warnings, in the order they arose.
    pub warnings: Vec<Warning>,
}

/// A warning attached to a result: never printed, always here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// A stable code, `method.reason`.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// How a method came to its answer: one vocabulary for all of them. `stop` beside it says what cut the work short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// What was searched for is there.
    Found,
    /// The empty answer is enough: an anchor without conditions, a pertinent positive without features.
    Empty,
    /// The instance itself is what was searched for; nothing has to change.
    AlreadySatisfied,
    /// The search came to its end without finding any.
    NotFound,
    /// There is none: all points were asked, or no output of this model could be one.
    NoneExists,
    /// None was found, and the model's gradient is zero where the search is.
    GradientVanished,
    /// None was found, and only forbidden changes would lead closer.
    RangeInfeasible,
    /// Points that the model decides as wanted were found, and all were refused for lack of trust.
    TrustRejected,
    /// A budget, the clock or the observer ended the work; where there is an answer it is the best so far.
    Stopped,
    /// All work that was asked for is done; the errors in the answer say how good it is.
    Complete,
    /// The answer is within the tolerance that was asked for.
    WithinTolerance,
    /// The largest allowed number of steps was not enough for the tolerance.
    MaxSteps,
}

/// Why a search or an estimate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stop {
    /// It did all it set out to do.
    Converged,
    /// The budget of model queries was used up.
    Budget,
    /// The time was up, or the caller cancelled.
    Deadline,
    /// The observer asked for it.
    Observer,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Converged => "it had converged",
            Stop::Budget => "the budget of model queries was used up",
            Stop::Deadline => "the time was up",
            Stop::Observer => "the observer asked for it",
        })
    }
}

impl<D: Serialize> Explanation<D> {
    /// The explanation as one line of JSON; equal explanations give equal bytes.
    ///
    /// # Errors
    /// [`Error::Json`] when `D` cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// The same explanation without its type.
    ///
    /// # Errors
    /// [`Error::Json`] when `D` cannot be written as JSON.
    pub fn to_value(self) -> Result<Explanation<Value>> {
        Ok(Explanation {
            schema: self.schema,
            meta: self.meta,
            data: serde_json::to_value(self.data)?,
        })
    }
}

impl<D: DeserializeOwned> Explanation<D> {
    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Schema`] when the document follows another schema, [`Error::Json`] when it is malformed.
    pub fn from_json(text: &str) -> Result<Self> {
        /// Reads the schema alone, so that a document of another schema is refused by name and not by a missing field.
        #[derive(Deserialize)]
        struct Header {
            schema: Option<String>,
        }
        let Header { schema } = serde_json::from_str(text)?;
        match schema {
            Some(schema) if schema == SCHEMA => Ok(serde_json::from_str(text)?),
            found => Err(Error::Schema {
                found: found.unwrap_or_else(|| "none".to_owned()),
                known: SCHEMA,
            }),
        }
    }
}
