//! The configuration, resolved: what `gateway.yaml` says, with every default filled in and every name
//! turned into a reference.
//!
//! There is one schema. The command reads it from YAML, the module from the JSON that the command
//! printed; resolving a resolved document changes nothing. No secret is ever in it, only where
//! Envoy finds them.

pub mod document;
mod facts;
mod print;
pub mod quantity;
pub mod registry;
mod resolve;
mod routes;
mod url;

use std::fmt;
use std::time::Duration;

pub use document::{Problem, Problems};
pub use print::to_json;
pub use resolve::{from_json, resolve};

use crate::provider::{Auth, Effort, Kind, Reasoning, Sampling};
use registry::{Facts, Variant};

pub struct Config {
    /// Any string; appears in responses.
    pub version: String,
    pub listen: Listen,
    pub clients: Clients,
    pub providers: Vec<Provider>,
    pub models: Vec<Model>,
    pub routes: Vec<Route>,
    pub limits: Limits,
    /// To whose cluster Envoy's route leads a request for which the stages choose none, by its place in `providers`.
    pub usual_provider: Option<usize>,
}

impl Config {
    pub fn usual(&self) -> Option<&Provider> {
        self.providers.get(self.usual_provider?)
    }

    /// What Envoy's route allows for a try where the stages say nothing else.
    pub fn longest_try(&self) -> Duration {
        self.models.iter().map(|model| model.answer.max(model.first_token)).max().unwrap_or(self.limits.answer)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub host: std::net::IpAddr,
    pub port: u16,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.host, self.port).fmt(f)
    }
}

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Nothing was said: whoever reaches the listener, which then must be on loopback.
    Local,
    /// Whoever reaches the listener, said on purpose.
    Open,
    /// Whoever has a key of this file (a map from client name to key).
    Keys { file: String },
}

pub struct Provider {
    /// Also the name of its Envoy cluster.
    pub name: String,
    pub kind: &'static Kind,
    pub url: Url,
    /// Which of the kind's API versions, where it has several.
    pub api_version: Option<String>,
    pub region: Option<String>,
    /// The account's project, space or the like.
    pub project: Option<String>,
    pub credential: Credential,
    /// How Envoy presents it: the kind's way, or as a bearer token on request.
    pub auth: Auth,
    /// A file with the CA certificates to trust instead of the system's.
    pub ca: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// The base address of a provider's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub scheme: Scheme,
    /// A name, or an address (without brackets).
    pub host: String,
    pub port: u16,
    /// Without a slash at its end; empty for the root.
    pub path: String,
}

/// Where Envoy finds the key that it adds to requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    None,
    Env(String),
    File(String),
    Sds(String),
    /// AWS's own chain, as Envoy walks it: environment, files, instance.
    Aws,
}

pub struct Model {
    pub name: String,
    /// Index into [`Config::providers`].
    pub provider: usize,
    /// What the provider calls it.
    pub id: String,
    pub max_output: Option<u64>,
    /// In tokens; where a context does not fit, a target with a larger one may be tried.
    pub context_window: Option<u64>,
    /// How it is told to think; such a model may think for long before the first token.
    pub reasoning: Option<Reasoning>,
    /// Which efforts it has; empty where that is not known.
    pub efforts: Vec<Effort>,
    pub sampling: Vec<Sampling>,
    pub first_token: Duration,
    pub answer: Duration,
    pub facts: Facts,
}

pub struct Route {
    pub name: String,
    /// Never empty, and neither are the targets of any.
    pub variants: Vec<Variant>,
    pub commit: Commit,
}

/// When an answer counts as begun, so that nothing can be repeated any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    FirstToken,
    Complete,
}

/// What Envoy's buffers hold beside the largest body: a prompt may be longer in a provider's format, and
/// whole answers are held there. The core keeps below it: Envoy refuses a request that needs more without
/// asking another target, and breaks off an answer in the middle of a callback of the module, which takes
/// the module down.
pub const BESIDE_BODY: u64 = 16 << 20;

/// `first_token` and `answer` are the defaults of the models, where they are already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub first_token: Duration,
    pub reasoning_first_token: Duration,
    pub answer: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// Up to which a rate-limited target is waited for; what takes longer is tried elsewhere at once.
    pub retry_after: Duration,
    /// Tries for one request, over all targets.
    pub attempts: u32,
    /// Whether targets that keep failing, or have used up their limits, are left alone for a while.
    pub breaker: bool,
    /// Bytes of a request's body.
    pub body: u64,
}
