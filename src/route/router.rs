//! The decision for every request: from what a client named to the plan of its attempts.
//!
//! Made once from the configuration. What changes (time, health, chance) comes with each request.

use std::sync::Arc;
use std::time::Duration;

use super::explain::{Explained, Explanation};
use super::health::{Health, Verdict};
use super::policy::{self, Considered, Decision, Known, LeftOut, Place};
use super::{Candidate, Explain, Plan, Wishes, needs};
use crate::chat::ChatRequest;
use crate::clock::milliseconds;
use crate::config::registry::{Capabilities, Date, Rank, RouteTarget, Sticky, Variant};
use crate::config::{BESIDE_BODY, Commit, Config, Model, Scheme};
use crate::endpoint::models;
use crate::error::{ErrorReply, Rejection};
use crate::provider::{Body, Target};
use crate::quality::Expected;
use crate::tokens;

pub struct Router {
    config: Config,
    /// One for each model of the configuration, in its order.
    targets: Vec<Arc<Target>>,
    /// What clients can name: routes, then models, each in the configuration's order. And their places in this
    /// list, sorted by the hashes of the names.
    names: Vec<Arc<str>>,
    places: Vec<Place>,
    /// How a model is chosen that is named by itself: one for each.
    singles: Vec<Variant>,
    /// All that the configuration names: a few. What is learnt by task is learnt of these alone.
    tasks: Vec<Arc<str>>,
    /// What Envoy's route allows a try, in milliseconds.
    longest_try: u64,
}

/// What a decision depends on beside the request.
pub struct Moment<'a> {
    /// Since the Unix epoch.
    pub now: Duration,
    /// Any number, another for each request.
    pub seed: u64,
    /// Of a model, by its name in the registry, for a request of a task of the configuration.
    pub health: &'a dyn Fn(&str, Option<&str>) -> Health,
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
        let version: Arc<str> = config.version.as_str().into();
        let single = |(index, _): (usize, &Model)| Variant {
            version: Arc::clone(&version),
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
        let routes = config.routes.iter().map(|route| &route.name);
        let names: Vec<Arc<str>> =
            routes.chain(config.models.iter().map(|model| &model.name)).map(|name| name.as_str().into()).collect();
        let mut places: Vec<Place> = names.iter().enumerate().map(|(at, name)| (hash_of(name), at)).collect();
        policy::sort(&mut places);
        let of_models = config.models.iter().flat_map(|model| model.facts.quality.tasks.iter().map(|(task, _)| task));
        let of_routes = config.routes.iter().flat_map(|route| &route.variants).filter_map(|it| it.task.as_ref());
        let mut tasks: Vec<Arc<str>> = Vec::new();
        for task in of_models.chain(of_routes) {
            if !tasks.iter().any(|known| **known == **task) {
                tasks.push(task.as_str().into());
            }
        }
        Router {
            targets: targets.collect(),
            names,
            longest_try: milliseconds(config.longest_try()),
            places,
            singles: config.models.iter().enumerate().map(single).collect(),
            tasks,
            config,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The limit of a try, in milliseconds, that stands in Envoy's route.
    pub fn longest_try(&self) -> u64 {
        self.longest_try
    }

    /// The model of a target of a plan of this router.
    pub fn model(&self, target: &Arc<Target>) -> Option<&Model> {
        let index = self.targets.iter().position(|known| Arc::ptr_eq(known, target))?;
        self.config.models.get(index)
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
        let running = is_running(chat);
        let task = self.task(wishes.task.as_deref().or(variant.task.as_deref()));
        let (indices, known) = self.known(variant, task.map(|task| &**task), running, moment);
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
        let mut decision = policy::decide(variant, &known, &request, moment.now);
        drop(known);

        let hold = wishes.commit.unwrap_or(commit) == Commit::Complete;
        let written = self.write(chat, wishes, hold, &indices, &mut decision);
        let Decision { last_resort, considered, .. } = decision;
        let only_explains = wishes.explain == Explain::Only;
        if written.candidates.is_empty() && !only_explains {
            return Err(self.none_left(route, &indices, &considered, written).reply());
        }
        let explanation = (wishes.explain != Explain::No).then(|| {
            let targets = self.explained(&indices, considered, &written.candidates);
            let version = Arc::clone(&variant.version);
            Explanation { route: Arc::clone(route), version, needs, input_estimate: input, targets }
        });
        let explanation = match explanation {
            Some(explanation) if only_explains => return Ok(Answered::Explained(explanation)),
            explanation => explanation,
        };
        Ok(Answered::Planned(Plan {
            version: Arc::clone(&variant.version),
            request_id: String::new(),
            route: Arc::clone(route),
            endpoint,
            stream: chat.stream,
            include_usage: chat.include_usage,
            hold,
            try_limit: milliseconds(written.try_limit),
            attempts: match last_resort {
                None => self.config.limits.attempts,
                // What it asks to wait for is waited for, as if nobody had asked it before.
                Some(Verdict::Exhausted(_)) => self.config.limits.attempts.min(2),
                Some(_) => 1,
            },
            breaker: self.config.limits.breaker,
            retry_after: milliseconds(self.config.limits.retry_after),
            input_estimate: input,
            conversation,
            task: task.cloned(),
            expected: if crate::COUNTS { Expected::of(chat) } else { Expected::default() },
            explanation: explanation.map(|explanation| explanation.summary()),
            candidates: written.candidates,
        }))
    }

    /// What a client named: a route, or a model alone.
    fn lookup(&self, name: &str) -> Option<(&Arc<str>, &[Variant], Commit)> {
        let hash = hash_of(name);
        let from = self.places.partition_point(|(known, _)| *known < hash);
        let alike = self.places.get(from..)?.iter().take_while(|(known, _)| *known == hash);
        // A route goes before a model of its name.
        let mut found = alike.filter_map(|(_, at)| Some((*at, self.names.get(*at).filter(|it| ***it == *name)?)));
        let (at, name) = found.next()?;
        if let Some(route) = self.config.routes.get(at) {
            return Some((name, &route.variants, route.commit));
        }
        let model = at.checked_sub(self.config.routes.len())?;
        Some((name, self.singles.get(model..=model)?, Commit::FirstToken))
    }

    fn task(&self, name: Option<&str>) -> Option<&Arc<str>> {
        let name = name?;
        self.tasks.iter().find(|known| ***known == *name)
    }

    /// The models that a variant's targets are now, by their indices, and what is known of each.
    fn known(
        &self,
        variant: &Variant,
        task: Option<&str>,
        running: bool,
        moment: &Moment<'_>,
    ) -> (Vec<usize>, Vec<Known<'_>>) {
        let today = Date::of(moment.now);
        let mut indices = Vec::with_capacity(variant.targets.len());
        let mut known = Vec::with_capacity(variant.targets.len());
        for target in &variant.targets {
            let index = self.successor(target.model, today, running);
            let Some(model) = self.config.models.get(index) else { continue };
            let health = self.judged((moment.health)(&model.name, task));
            let (context_window, max_output) = (model.context_window, model.max_output);
            indices.push(index);
            known.push(Known { name: &model.name, facts: &model.facts, context_window, max_output, health });
        }
        (indices, known)
    }

    /// The health of a model as it counts here: without breakers nobody's failures are held against it.
    pub fn judged(&self, health: Health) -> Health {
        if self.config.limits.breaker { health } else { health.without_breaker() }
    }

    /// The model that takes the place of one that has retired, if it says which. A conversation that runs
    /// stays where it is as long as it may.
    pub fn successor(&self, mut index: usize, today: Date, running: bool) -> usize {
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

    /// Writes the request for the targets that may be asked, in their order.
    fn write(
        &self,
        chat: &ChatRequest<'_>,
        wishes: &Wishes,
        hold: bool,
        indices: &[usize],
        decision: &mut Decision,
    ) -> Written {
        let attempts = self.config.limits.attempts as usize;
        let streams = chat.stream && !hold;
        // Held for as long as the answer is.
        let candidates = Vec::with_capacity(decision.order.len().min(attempts));
        let mut written = Written { candidates, try_limit: Duration::ZERO, refused: Vec::new() };
        let mut largest_window = None;
        for place in &decision.order {
            let Some((index, considered)) = indices.get(*place).zip(decision.considered.get_mut(*place)) else {
                continue;
            };
            let Some((target, model)) = self.targets.get(*index).zip(self.config.models.get(*index)) else { continue };
            if decision.last_resort.is_some() && !written.candidates.is_empty() {
                break;
            }
            // More than there are attempts are only of use for a context that is too long for all of them.
            let is_spare = written.candidates.len() >= attempts;
            if is_spare && wishes.explain == Explain::No && largest_window >= target.context_window {
                continue;
            }
            // One that took the place of two.
            if written.candidates.iter().any(|candidate| Arc::ptr_eq(&candidate.target, target)) {
                continue;
            }
            match self.candidate(chat, target, model, wishes) {
                Ok(mut candidate) => {
                    candidate.written.take_if(|_| !written.candidates.is_empty());
                    written.candidates.push(candidate);
                    considered.place = Some(written.candidates.len());
                    largest_window = largest_window.max(target.context_window);
                    // Envoy has one limit for all tries of a request: the longest, so that no healthy
                    // answer is cut.
                    let limit = if streams { model.first_token } else { model.answer };
                    written.try_limit = written.try_limit.max(limit);
                }
                Err(rejection) => {
                    considered.left_out = Some(LeftOut::Refused(rejection.message.clone()));
                    written.refused.push(rejection);
                }
            }
        }
        written
    }

    /// A target with what this request means for it, or why it cannot serve the request. The request is
    /// written here only to see whether it can be: an attempt has no way to say no.
    fn candidate(
        &self,
        chat: &ChatRequest<'_>,
        target: &Arc<Target>,
        model: &Model,
        wishes: &Wishes,
    ) -> Result<Candidate, Rejection> {
        let provider = self.config.providers.get(model.provider);
        let provider = provider.ok_or_else(|| Rejection::invalid("model", "The model has no provider."))?;
        let upstream = provider.kind.translator.request(chat, target)?;
        if wishes.strict
            && let Some(name) = upstream.dropped.first()
        {
            let message = format!("'{name}' is not supported by {}, and x-dragoman-strict is set.", target.model);
            return Err(Rejection::unsupported(name.clone(), message));
        }
        // What Envoy can hold of a request in a provider's format.
        let largest_body = self.config.limits.body.saturating_add(BESIDE_BODY);
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
            dropped: each_once(upstream.dropped),
            renamed: upstream.renamed,
        })
    }

    fn explained(&self, indices: &[usize], considered: Vec<Considered>, candidates: &[Candidate]) -> Vec<Explained> {
        let explained = |(index, considered): (&usize, Considered)| {
            let candidate = considered.place.and_then(|place| candidates.get(place.checked_sub(1)?));
            let dropped = candidate.map(|it| it.dropped.iter().map(ToString::to_string).collect());
            let target = Arc::clone(self.targets.get(*index)?);
            Some(Explained { target, considered, dropped: dropped.unwrap_or_default() })
        };
        indices.iter().zip(considered).filter_map(explained).collect()
    }

    /// Why nobody can serve a request: a translator's own words if they are all there is to say, else what
    /// each target lacks.
    fn none_left(&self, route: &str, indices: &[usize], considered: &[Considered], written: Written) -> Rejection {
        let only_refused = written.refused.len() == considered.len();
        if let Some(first) = written.refused.into_iter().next().filter(|_| only_refused) {
            return first;
        }
        let lacking = considered.iter().find_map(|it| it.lacks.iter().next());
        let mut message = format!("No target of '{route}' can serve this request");
        let mut before = ". ";
        for (index, it) in indices.iter().zip(considered) {
            if let Some((model, why)) = self.config.models.get(*index).zip(it.left_out.as_ref()) {
                message += &format!("{before}{}: {}", model.name, why.to_string().trim_end_matches('.'));
                before = "; ";
            }
        }
        message.push('.');
        let param = lacking.map(|need| need.name().to_owned());
        Rejection { status: 400, code: "no_capable_target", param, message }
    }
}

/// The request as the targets would get it.
struct Written {
    candidates: Vec<Candidate>,
    /// What one try may take.
    try_limit: Duration,
    /// Why some get none.
    refused: Vec<Rejection>,
}

fn hash_of(name: &str) -> u128 {
    policy::hash(0, name.as_bytes()).into()
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
        efforts: model.efforts.clone(),
    })
}

/// A parameter may be changed for more than one reason.
fn each_once<T: PartialEq>(names: Vec<T>) -> Vec<T> {
    let mut once = Vec::with_capacity(names.len());
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
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
    for message in chat.listed.iter() {
        hash = sampled(hash, message.value.get().as_bytes());
        if message.is_of("\"user\"") {
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
    chat.listed.iter().any(|message| message.is_of("\"assistant\""))
}
