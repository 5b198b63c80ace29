//! Which targets shall answer a request, and in which order: pure functions over the request and the
//! configuration. What comes out is a [`Plan`], plain data that says everything an attempt needs.

pub mod ending;
pub mod explain;
pub mod health;
pub mod limits;
pub mod needs;
pub mod policy;
pub mod retry;
mod router;
mod status;
pub mod wait;
mod wishes;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::json::Edits;
use crate::provider::Target;
use crate::quality::Expected;

pub use router::{Answered, Moment, Router};
pub use status::Status;
pub use wishes::{Explain, Wishes};

/// The order of targets for one request, with all that an attempt needs: it has no configuration of its
/// own, and so cannot disagree with the route stage after an update.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The version of the policy that made it.
    pub version: Arc<str>,
    /// Envoy's id of the request. Attempts remove it from the request's headers, where Envoy would find
    /// it for the answer, so that no provider can link requests by what a client put there.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request_id: String,
    /// What the client named: a route or a model.
    pub route: Arc<str>,
    /// The client's API, by its path.
    pub endpoint: &'static str,
    pub stream: bool,
    pub include_usage: bool,
    /// Whether the whole answer is held back until it is complete.
    pub hold: bool,
    /// What one try may take until the first token (streams) or the whole answer, in milliseconds.
    pub try_limit: u64,
    /// How many tries there may be.
    pub attempts: u32,
    /// Whether failures are held against a target.
    #[serde(skip)]
    pub breaker: bool,
    /// How long a rate-limited target is waited for, in milliseconds.
    pub retry_after: u64,
    /// The tokens of the prompt, estimated.
    pub input_estimate: u64,
    /// A hash that all requests of a conversation share.
    #[serde(skip)]
    pub conversation: u64,
    /// What the answer is for, where it is a task that the configuration names.
    #[serde(skip)]
    pub task: Option<Arc<str>>,
    /// By what the answer is judged.
    #[serde(skip)]
    pub expected: Expected,
    pub candidates: Vec<Candidate>,
    /// For clients that have asked why: one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    pub target: Arc<Target>,
    /// Behind the target's base path.
    pub path: String,
    /// The headers that this API wants besides those that all are sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The changes to the client's body, where that is all this target needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edits: Option<Edits>,
    /// The body of the first candidate, where it had to be written: the others are seldom needed, and are
    /// written again when they are.
    #[serde(skip)]
    pub written: Option<Vec<u8>>,
    /// Parameters that this target is not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Cow<'static, str>>,
    /// Tools that are called by other names there, and the client's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<(String, String)>,
}

impl Plan {
    /// Whether the answer goes to the client as it comes, and not only once it is complete.
    pub fn is_passed_on(&self) -> bool {
        self.stream && !self.hold
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
