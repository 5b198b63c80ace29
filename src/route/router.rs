//! The decision for every request: from what a client named to the plan of its attempts.
//!
//! Made once from the configuration. What changes (time, health, chance) comes with each request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::explain::{Explained, Explanation};
use super::health::Health;
use super::policy::{self, Considered, Decision, Known};
use super::{Candidate, Explain, Plan, Wishes, needs};
use crate::chat::ChatRequest;
use crate::config::registry::{Capabilities, Date, Price, Rank, RouteTarget, Sticky, Variant};
use crate::config::{BESIDE_BODY, Commit, Config, Model, Scheme};
use crate::endpoint::models;
use crate::error::{ErrorReply, Rejection};
use crate::json::RawValue;
use crate::provider::{Body, Kind, Target};
use crate::quality::Expected;
use crate::tokens;

pub struct Router {
    config: Config,
    /// One for each model of the configuration, in its order.
    targets: Vec<Arc<Target>>,
    /// The names of routes and of models, each in the configuration's order.
    routes: Vec<Arc<str>>,
    models: Vec<Arc<str>>,
    /// How a model is chosen that is named by itself: one for each.
    singles: Vec<Variant>,
}

/// What a decision depends on beside the request.
pub struct Moment<'a> {
    /// Since the Unix epoch.
    pub now: Duration,
    /// Any number, another for each request.
    pub seed: u64,
    /// Of a model, by its name in the registry.
    pub health: &'a dyn Fn(&str) -> Health,
}

/// What comes of a request.
pub enum Answered {
    Planned(Plan),
    /// The client wants to know what would be decided, and no more.
    Explained(Explanation),
}

impl Router {
    pub fn new(config: Config) -> Self {
        let targets = config.models.iter().filter_map(|model| target(&config, model).map(Arc::new));
        let single = |(index, _): (usize, &Model)| Variant {
            version: config.version.clone(),
            weight: 1,
            rank: Rank::Ordered,
            targets: vec![RouteTarget { model: index, weight: 1, bias: 0 }],
            max_cost: None,
            max_first_token: None,
            region: None,
            tags: Vec::new(),
            task: None,
            sticky: Sticky::User,
        };
        Router {
            targets: targets.collect(),
            routes: config.routes.iter().map(|route| route.name.as_str().into()).collect(),
            models: config.models.iter().map(|model| model.name.as_str().into()).collect(),
            singles: config.models.iter().enumerate().map(single).collect(),
            config,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What a target of a plan of this router costs.
    pub fn price(&self, target: &Arc<Target>) -> Option<&Price> {
        let index = self.targets.iter().position(|known| Arc::ptr_eq(known, target))?;
        self.config.models.get(index)?.facts.price.as_ref()
    }

    /// The names of the headers that some route keeps its choice by.
    pub fn sticky_headers(&self) -> impl Iterator<Item = &str> {
        let variants = self.config.routes.iter().flat_map(|route| &route.variants);
        variants.filter_map(|variant| match &variant.sticky {
            Sticky::Header(name) => Some(name.as_str()),
            Sticky::User | Sticky::Conversation => None,
        })
    }

    /// The plan for a request, or why no target can serve it.
    pub fn decide(
        &self,
        chat: &ChatRequest<'_>,
        endpoint: &'static str,
        wishes: &Wishes,
        moment: &Moment<'_>,
    ) -> Result<Answered, ErrorReply> {
        let name = chat.model.decode();
        let (route, variants, commit) = self.lookup(&name).ok_or_else(|| models::unknown(&name))?;
        let conversation = conversation(chat);
        let key = |sticky: &Sticky| key(sticky, chat, wishes, conversation);
        let variant = chosen(variants, key).ok_or_else(|| models::unknown(&name))?;
        let today = Date::of(moment.now);
        let running = is_running(chat);
        let indices: Vec<usize> =
            variant.targets.iter().map(|target| self.successor(target.model, today, running)).collect();
        let known: Vec<Known<'_>> = indices.iter().filter_map(|index| self.known(*index, moment.health)).collect();
        let has_capabilities = known.iter().any(|known| known.facts.capabilities.is_some());
        let wants_needs = has_capabilities || wishes.explain != Explain::No;
        let needs = if wants_needs { needs::of(chat) } else { Capabilities::NONE };
        let needs = wishes.require.iter().fold(needs, Capabilities::with);
        let input = tokens::estimate(chat);
        let request = policy::Request {
            needs,
            input,
            output: chat.count("max_completion_tokens").ok().flatten().or(chat.count("max_tokens").ok().flatten()),
            streamed: chat.stream,
            running,
            max_cost: wishes.max_cost,
            region: wishes.region.as_deref(),
            task: wishes.task.as_deref(),
            key: if variant.rank == Rank::Weighted { key(&variant.sticky) } else { 0 },
            seed: moment.seed,
        };
        let Decision { order, is_last_resort, mut considered } = policy::decide(variant, &known, &request, moment.now);

        let hold = wishes.commit.unwrap_or(commit) == Commit::Complete;
        let streams = chat.stream && !hold;
        let mut candidates: Vec<Candidate> = Vec::with_capacity(order.len());
        let mut rejections = Vec::new();
        let mut try_limit = Duration::ZERO;
        let mut places = vec![None; indices.len()];
        for place in order {
            let Some(index) = indices.get(place).copied() else { continue };
            let Some((target, model)) = self.targets.get(index).zip(self.config.models.get(index)) else { continue };
            if candidates.iter().any(|candidate| Arc::ptr_eq(&candidate.target, target)) {
                continue;
            }
            if is_last_resort && !candidates.is_empty() {
                break;
            }
            // More than there are attempts are only of use for a context that is too long for all of them.
            let windows = candidates.iter().map(|candidate| candidate.target.context_window);
            let is_spare = candidates.len() >= self.config.limits.attempts as usize;
            if is_spare && wishes.explain == Explain::No && windows.max().flatten() >= target.context_window {
                continue;
            }
            match candidate(chat, target, wishes, self.largest_body()) {
                Ok(mut candidate) => {
                    candidate.written.take_if(|_| !candidates.is_empty());
                    candidates.push(candidate);
                    places.get_mut(place).into_iter().for_each(|it| *it = Some(candidates.len()));
                    // Envoy has one limit for all tries of a request: the longest, so that no healthy
                    // answer is cut.
                    try_limit = try_limit.max(if streams { model.first_token } else { model.answer });
                }
                Err(rejection) => {
                    if let Some(it) = considered.get_mut(place) {
                        it.left_out = Some(Cow::Owned(rejection.message.clone()));
                    }
                    rejections.push(rejection);
                }
            }
        }
        let explanation = (wishes.explain != Explain::No).then(|| {
            let explained = |(place, (index, considered)): (usize, (&usize, &Considered))| {
                let target = Arc::clone(self.targets.get(*index)?);
                let candidate = candidates.iter().find(|candidate| Arc::ptr_eq(&candidate.target, &target));
                let dropped = candidate.map(|it| it.dropped.iter().map(ToString::to_string).collect());
                let place = places.get(place).copied().flatten();
                Some(Explained { target, place, considered: considered.clone(), dropped: dropped.unwrap_or_default() })
            };
            let targets = indices.iter().zip(&considered).enumerate().filter_map(explained).collect();
            let version = variant.version.as_str().into();
            Explanation { route: Arc::clone(route), version, needs, input_estimate: input, targets }
        });
        let explanation = match explanation {
            Some(explanation) if wishes.explain == Explain::Only => return Ok(Answered::Explained(explanation)),
            explanation => explanation,
        };
        if candidates.is_empty() {
            let known = indices.iter().filter_map(|index| self.models.get(*index)).zip(&considered);
            return Err(none_left(route, known, rejections).reply());
        }
        Ok(Answered::Planned(Plan {
            version: variant.version.as_str().into(),
            request_id: String::new(),
            route: Arc::clone(route),
            endpoint,
            stream: chat.stream,
            include_usage: chat.include_usage,
            hold,
            try_limit: milliseconds(try_limit),
            attempts: if is_last_resort { 1 } else { self.config.limits.attempts },
            retry_after: milliseconds(self.config.limits.retry_after),
            input_estimate: input,
            conversation,
            expected: if crate::COUNTS { Expected::of(chat) } else { Expected::default() },
            explanation: explanation.map(|explanation| explanation.summary()),
            candidates,
        }))
    }

    /// What Envoy can hold of a request in a provider's format.
    fn largest_body(&self) -> u64 {
        self.config.limits.body.saturating_add(BESIDE_BODY)
    }

    /// What a client named: a route, or a model alone.
    fn lookup(&self, name: &str) -> Option<(&Arc<str>, &[Variant], Commit)> {
        let known = |names: &[Arc<str>]| names.iter().position(|known| &**known == name);
        if let Some(index) = known(&self.routes) {
            let route = self.config.routes.get(index)?;
            return Some((self.routes.get(index)?, &route.variants, route.commit));
        }
        let index = known(&self.models)?;
        Some((self.models.get(index)?, self.singles.get(index..=index)?, Commit::FirstToken))
    }

    /// The model that takes the place of one that has retired, if it says which. A conversation that runs
    /// stays where it is as long as it may.
    fn successor(&self, mut index: usize, today: Date, running: bool) -> usize {
        // No chain is longer than there are models, and none is a circle.
        for _ in 0..self.config.models.len() {
            let Some(facts) = self.config.models.get(index).map(|model| &model.facts) else { break };
            match facts.replaced_by.filter(|_| policy::has_ended(facts, today, running)) {
                Some(next) => index = next,
                None => break,
            }
        }
        index
    }

    fn known(&self, index: usize, health: &dyn Fn(&str) -> Health) -> Option<Known<'_>> {
        let model = self.config.models.get(index)?;
        // Without breakers nobody's failures are held against it; the speed that is learnt still counts.
        let health = health(&model.name);
        let health = if self.config.limits.breaker { health } else { health.without_breaker() };
        let (context_window, max_output) = (model.context_window, model.max_output);
        Some(Known { name: &model.name, facts: &model.facts, context_window, max_output, health })
    }
}

fn target(config: &Config, model: &Model) -> Option<Target> {
    let provider = config.providers.get(model.provider)?;
    let (scheme, default_port) = match provider.url.scheme {
        Scheme::Http => ("http", 80),
        Scheme::Https => ("https", 443),
    };
    let host = &provider.url.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let port = provider.url.port;
    Some(Target {
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
    })
}

/// One of a route's variants, by their shares and the same for the same user or conversation.
fn chosen(variants: &[Variant], key: impl Fn(&Sticky) -> u64) -> Option<&Variant> {
    match variants {
        [single] => Some(single),
        [first, ..] => policy::pick(key(&first.sticky), variants, |variant| variant.weight, |variant| &variant.version),
        [] => None,
    }
}

/// What a choice by shares is the same for.
fn key(sticky: &Sticky, chat: &ChatRequest<'_>, wishes: &Wishes, conversation: u64) -> u64 {
    let user = || {
        let id = ["user", "safety_identifier"].into_iter().find_map(|name| chat.string(name).ok().flatten());
        id.filter(|id| !id.is_empty()).map(|id| policy::hash(1, id.escaped().as_bytes()))
    };
    let own = match sticky {
        Sticky::User => user(),
        Sticky::Conversation => None,
        Sticky::Header(name) => wishes.sticky.iter().find(|(known, _)| known == name).map(|(_, hash)| *hash),
    };
    own.unwrap_or(conversation)
}

/// A hash of how the messages begin, up to the user's first, so that it is the same in every turn.
pub fn conversation(chat: &ChatRequest<'_>) -> u64 {
    let mut hash = 2;
    for message in chat.field("messages").into_iter().flat_map(RawValue::elements) {
        hash = sampled(hash, message.get().as_bytes());
        if message.field("role").is_some_and(|role| role.get() == "\"user\"") {
            break;
        }
    }
    hash
}

/// Of a long message its ends and its length, so that the cost does not grow with it; by eight bytes at
/// once, because every request pays for it.
fn sampled(hash: u64, message: &[u8]) -> u64 {
    const END: usize = 256;
    let words = |hash: u64, bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        policy::hash(words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word))), rest)
    };
    match (message.first_chunk::<END>(), message.last_chunk::<END>()) {
        (Some(first), Some(last)) if message.len() > 2 * END => {
            words(words(words(hash, &(message.len() as u64).to_le_bytes()), first), last)
        }
        _ => words(hash, message),
    }
}

/// Whether a model has spoken before.
fn is_running(chat: &ChatRequest<'_>) -> bool {
    let messages = chat.field("messages").map_or(&b""[..], |messages| messages.get().as_bytes());
    memchr::memmem::find(messages, b"\"assistant\"").is_some()
}

/// Why nobody can serve a request: a translator's own words if they are all there is to say, else what each
/// target lacks.
fn none_left<'a>(
    route: &str,
    considered: impl Iterator<Item = (&'a Arc<str>, &'a Considered)>,
    rejections: Vec<Rejection>,
) -> Rejection {
    let considered: Vec<_> = considered.collect();
    let only_rejections = rejections.len() == considered.len();
    if let Some(first) = rejections.into_iter().next().filter(|_| only_rejections) {
        return first;
    }
    let lacking = considered.iter().find_map(|(_, it)| it.lacks.iter().next());
    let reasons: Vec<String> = considered
        .iter()
        .filter_map(|(model, it)| Some(format!("{model}: {}", it.left_out.as_deref()?.trim_end_matches('.'))))
        .collect();
    Rejection {
        status: 400,
        code: "no_capable_target",
        param: lacking.map(|need| need.name().to_owned()),
        message: format!("No target of '{route}' can serve this request. {}.", reasons.join("; ")),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A target with what this request means for it, or why it cannot serve the request. The request is
/// written here only to see whether it can be: an attempt has no way to say no.
fn candidate(
    chat: &ChatRequest<'_>,
    target: &Arc<Target>,
    wishes: &Wishes,
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
