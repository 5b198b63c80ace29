//! Which targets shall answer a request, and in which order: pure functions over the request and the
//! configuration. What comes out is a [`Plan`], plain data that says everything an attempt needs.

pub mod health;
pub mod limits;
pub mod needs;
pub mod policy;
pub mod retry;
pub mod wait;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::chat::ChatRequest;
use crate::config::{BESIDE_BODY, Commit, Config, Route, Scheme};
use crate::endpoint::models;
use crate::error::{ErrorReply, Rejection};
use crate::headers::Headers;
use crate::json::Edits;
use crate::provider::{Body, Kind, Target};
use crate::tokens;

/// The order of targets for one request, with all that an attempt needs: it has no configuration of its
/// own, and so cannot disagree with the route stage after an update.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The version of the configuration that made it.
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
    /// How long a rate-limited target is waited for, in milliseconds.
    pub retry_after: u64,
    /// The tokens of the prompt, estimated.
    pub input_estimate: u64,
    pub candidates: Vec<Candidate>,
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
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What a client may say in headers about how its request is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `x-dragoman-strict: true`: rather no answer than one that leaves a parameter out.
    pub strict: bool,
    /// `x-dragoman-commit: first_token | complete`
    pub commit: Option<Commit>,
}

impl Wishes {
    pub fn read(headers: &Headers) -> Result<Self, Rejection> {
        let strict = match headers.bytes("x-dragoman-strict") {
            None | Some(b"false") => false,
            Some(b"true") => true,
            Some(_) => return Err(not_one_of("x-dragoman-strict", "true, false")),
        };
        let commit = match headers.bytes("x-dragoman-commit") {
            None => None,
            Some(b"first_token") => Some(Commit::FirstToken),
            Some(b"complete") => Some(Commit::Complete),
            Some(_) => return Err(not_one_of("x-dragoman-commit", "first_token, complete")),
        };
        Ok(Wishes { strict, commit })
    }
}

fn not_one_of(header: &str, known: &str) -> Rejection {
    Rejection::invalid(header, format!("The value of the header '{header}' is not one of: {known}."))
}

/// Decides for every request. Made once from the configuration.
pub struct Router {
    config: Config,
    /// One for each model of the configuration, in its order.
    targets: Vec<Arc<Target>>,
    version: Arc<str>,
    /// The names of routes and of models, each in the configuration's order.
    routes: Vec<Arc<str>>,
    models: Vec<Arc<str>>,
    /// The targets of each route, of the first of its variants, in order.
    orders: Vec<Vec<usize>>,
    /// `0, 1, 2 …`: the targets of a model that is named by itself are a slice of it.
    singles: Vec<usize>,
}

impl Router {
    pub fn new(config: Config) -> Self {
        let targets = config.models.iter().filter_map(|model| {
            let provider = config.providers.get(model.provider)?;
            let (scheme, default_port) = match provider.url.scheme {
                Scheme::Http => ("http", 80),
                Scheme::Https => ("https", 443),
            };
            let host = &provider.url.host;
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let port = provider.url.port;
            Some(Arc::new(Target {
                model: model.name.clone(),
                provider: provider.name.clone(),
                kind: provider.kind.name.to_owned(),
                id: model.id.clone(),
                scheme: scheme.to_owned(),
                authority: if port == default_port { host } else { format!("{host}:{port}") },
                base_path: provider.url.path.clone(),
                api_version: provider.api_version.clone(),
                region: provider.region.clone(),
                project: provider.project.clone(),
                max_output: model.max_output,
                context_window: model.context_window,
                sampling: model.sampling.clone(),
                reasoning: model.reasoning,
            }))
        });
        Router {
            targets: targets.collect(),
            version: config.version.as_str().into(),
            routes: config.routes.iter().map(|route| route.name.as_str().into()).collect(),
            models: config.models.iter().map(|model| model.name.as_str().into()).collect(),
            orders: config.routes.iter().map(order).collect(),
            singles: (0..config.models.len()).collect(),
            config,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The plan for a request, or why no target can serve it.
    pub fn plan(&self, chat: &ChatRequest<'_>, endpoint: &'static str, wishes: Wishes) -> Result<Plan, ErrorReply> {
        let name = chat.model.decode();
        let (route, models, commit) = self.lookup(&name).ok_or_else(|| models::unknown(&name))?;
        let mut candidates = Vec::with_capacity(models.len());
        let mut refusals = Vec::new();
        let mut try_limit = Duration::ZERO;
        let hold = wishes.commit.unwrap_or(commit) == Commit::Complete;
        let streams = chat.stream && !hold;
        for &index in models {
            let Some((target, model)) = self.targets.get(index).zip(self.config.models.get(index)) else { continue };
            match candidate(chat, target, wishes, self.largest_body()) {
                Ok(mut candidate) => {
                    candidate.written.take_if(|_| !candidates.is_empty());
                    candidates.push(candidate);
                    // Envoy has one limit for all tries of a request: the longest, so that no healthy
                    // answer is cut.
                    try_limit = try_limit.max(if streams { model.first_token } else { model.answer });
                }
                Err(rejection) => refusals.push(rejection),
            }
        }
        if candidates.is_empty() {
            let first = refusals.into_iter().next();
            return Err(first.map_or_else(|| models::unknown(&name), |rejection| rejection.reply()));
        }
        Ok(Plan {
            version: Arc::clone(&self.version),
            request_id: String::new(),
            route: Arc::clone(route),
            endpoint,
            stream: chat.stream,
            include_usage: chat.include_usage,
            hold,
            try_limit: milliseconds(try_limit),
            attempts: self.config.limits.attempts,
            retry_after: milliseconds(self.config.limits.retry_after),
            input_estimate: tokens::estimate(chat.body),
            candidates,
        })
    }

    /// What Envoy can hold of a request in a provider's format.
    fn largest_body(&self) -> u64 {
        self.config.limits.body.saturating_add(BESIDE_BODY)
    }

    /// What a client named: a route, or a model alone.
    fn lookup(&self, name: &str) -> Option<(&Arc<str>, &[usize], Commit)> {
        let known = |names: &[Arc<str>]| names.iter().position(|known| &**known == name);
        if let Some(index) = known(&self.routes) {
            let route = self.config.routes.get(index)?;
            return Some((self.routes.get(index)?, self.orders.get(index)?, route.commit));
        }
        let index = known(&self.models)?;
        Some((self.models.get(index)?, self.singles.get(index..=index)?, Commit::FirstToken))
    }
}

fn order(route: &Route) -> Vec<usize> {
    route.variants.first().into_iter().flat_map(|variant| &variant.targets).map(|target| target.model).collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A target with what this request means for it, or why it cannot serve the request. The request is
/// written here only to see whether it can be: an attempt has no way to say no.
fn candidate(
    chat: &ChatRequest<'_>,
    target: &Arc<Target>,
    wishes: Wishes,
    largest_body: u64,
) -> Result<Candidate, Rejection> {
    let kind = Kind::named(&target.kind)
        .ok_or_else(|| Rejection::invalid("model", format!("Unknown kind of provider: {}.", target.kind)))?;
    let upstream = kind.translator.request(chat, target)?;
    if wishes.strict
        && let Some(name) = upstream.dropped.first()
    {
        let message = format!("'{name}' is not supported by {}, and x-dragoman-strict is set.", target.model);
        return Err(Rejection::unsupported(name.clone(), message));
    }
    let (edits, written) = match upstream.body {
        Body::Edited(edits) => (Some(edits), None),
        Body::Written(bytes) if bytes.len() as u64 > largest_body => {
            return Err(Rejection {
                status: 413,
                code: "request_too_large",
                param: None,
                message: format!("The request is too large in the format of {}.", target.model),
            });
        }
        Body::Written(bytes) => (None, Some(bytes)),
    };
    Ok(Candidate {
        target: Arc::clone(target),
        path: upstream.path,
        headers: upstream.headers,
        edits,
        written,
        dropped: upstream.dropped,
        renamed: upstream.renamed,
    })
}
