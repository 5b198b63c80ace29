//! The route stage: downstream, once per request.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::live::{self, Live};
use super::watch::{Moving, Watch, What};
use super::{RETRY_HEADER, abi, metrics, shared, state};
use crate::attempt::{Answer, VERSION_HEADER, exhausted};
use crate::config::registry::Date;
use crate::config::{Config, Model, quantity};
use crate::endpoint::{self, Endpoint, Page, Service, models};
use crate::error::{ErrorReply, Rejection};
use crate::headers::Headers;
use crate::meter::Meter;
use crate::provider::Target;
use crate::record::{self, By, Outcome, Settled, Times, Unplanned};
use crate::route::{Answered, Moment, Plan, Router, Status, Wishes, ending, policy};
use abi::{Buffer, Map};

/// So often a request that others were quicker than is planned anew.
const MOST_LOST: usize = 3;

pub struct Stage {
    context: u32,
    router: Rc<Router>,
    watch: Rc<Watch>,
    /// When the request came.
    began: Duration,
    /// Once there is a plan.
    live: Option<Rc<Live>>,
    /// Of a request that is not whole, and of an answer that is passed on as it comes: one that comes whole has
    /// nothing to wait for.
    moving: Option<Moving>,
    phase: Phase,
}

enum Phase {
    /// Reading the request.
    Request { endpoint: &'static dyn Endpoint, wishes: Wishes, request_id: String },
    /// The attempts have it.
    Planned,
    /// One has answered, and that passes.
    Answered,
    /// A reply of ours is on its way out.
    Replied,
    /// The same, and it is what the client wanted.
    Served,
    /// What the attempts failed with takes the place of Envoy's words.
    Failed { body: Vec<u8> },
    /// The request has ended and is counted.
    Logged,
}

impl Stage {
    pub fn new(context: u32, router: Rc<Router>, watch: Rc<Watch>) -> Self {
        Stage { context, router, watch, began: abi::now(), live: None, moving: None, phase: Phase::Planned }
    }

    /// Takes up a request, or says how it is answered at once.
    fn begin(&self, headers: &Headers) -> Result<Phase, Reply> {
        let text = |name| headers.get(name).unwrap_or_default();
        let service = endpoint::find(text(":method"), text(":path")).map_err(|no| {
            let mut reply = Reply::error(&no.reply);
            if let Some(allow) = no.allow {
                reply.headers.push("allow", allow);
            }
            reply
        })?;
        let config = self.router.config();
        match service {
            Service::Page(page) => Err(self.page(page)),
            Service::Models => Err(Reply::ok(models::list(config))),
            Service::Model(id) => {
                let found = models::retrieve(config, &id);
                Err(found.map_or_else(|error| Reply::error(&error), Reply::ok))
            }
            Service::Chat(endpoint) => {
                let wishes =
                    Wishes::read(headers, self.router.sticky_headers()).map_err(|no| Reply::error(&no.reply()))?;
                if let Some(encoding) = headers.get("content-encoding").filter(|encoding| *encoding != "identity") {
                    return Err(Reply::error(&unsupported_encoding(encoding)));
                }
                let length = headers.get("content-length").and_then(|length| length.parse().ok());
                self.check_length(length.unwrap_or(0))?;
                let request_id = headers.get("x-request-id").unwrap_or_default().to_owned();
                Ok(Phase::Request { endpoint, wishes, request_id })
            }
        }
    }

    fn page(&self, page: Page) -> Reply {
        let status = || Status::new(&self.router, self.began, |model| shared::health(model, self.began));
        match page {
            Page::Health => Reply::ok(br#"{"status":"ok"}"#.to_vec()),
            Page::Ready => {
                let (status, body) = status().ready();
                Reply { status, ..Reply::ok(body) }
            }
            Page::Status => Reply::ok(status().to_json()),
        }
    }

    fn check_length(&self, length: u64) -> Result<(), Reply> {
        let limit = self.router.config().limits.body;
        if length <= limit {
            return Ok(());
        }
        Err(Reply::error(&ErrorReply {
            status: 413,
            kind: "invalid_request_error".into(),
            code: Some("request_too_large".into()),
            param: None,
            message: format!("The request body is larger than {limit} bytes."),
        }))
    }

    /// The whole body is here.
    fn decide(&mut self, body: &[u8]) -> Action {
        // What is known of the targets is judged by the time that it is, which may be long after the headers came.
        let now = if self.watch.has_ticked_since(self.began) { abi::now() } else { self.began };
        self.is_still();
        let Phase::Request { endpoint, wishes, request_id } = &self.phase else { return Action::Continue };
        let router = Rc::clone(&self.router);
        let seed = policy::hash(u64::from(self.context), &now.as_nanos().to_le_bytes());
        let moment = Moment { now, seed, health: &|model, task| shared::health_for(model, task, now) };
        let mut is_probe = false;
        let plan = endpoint.parse(body).map_err(|rejection: Rejection| rejection.reply()).and_then(|chat| {
            let mut decided = router.decide(&chat, endpoint.path(), wishes, &moment);
            // Another request has become the probe meanwhile, or has taken what was left of a limit: what is known
            // now decides, which may be another target that is not simply well.
            for _ in 0..MOST_LOST {
                let Ok(Answered::Planned(plan)) = &decided else { break };
                if let Some(claimed) = claim(plan, now) {
                    is_probe = claimed;
                    break;
                }
                decided = router.decide(&chat, endpoint.path(), wishes, &moment);
            }
            decided
        });
        match plan {
            Ok(Answered::Explained(explanation)) => self.reply(Reply::ok(explanation.to_json())),
            Ok(Answered::Planned(plan)) => {
                let live = live::insert(self.context, Plan { request_id: request_id.clone(), ..plan }, body, is_probe);
                publish(&live, &router);
                self.live = Some(live);
                self.phase = Phase::Planned;
                Action::Continue
            }
            Err(error) => self.reply(Reply::error(&error)),
        }
    }

    /// Counts a request that was planned and gives its line for the access log. It is done from here for every
    /// ending: the attempt of a client that has left hears of it only later.
    fn settle(&self, live: &Live) -> Vec<u8> {
        let answer = live.answer.borrow();
        let answer = answer.as_ref().filter(|_| live.running.get().is_some());
        let is_whole = || answer.and_then(Answer::meter).is_some_and(Meter::is_complete);
        let outcome = match &self.phase {
            Phase::Failed { .. } | Phase::Replied => Outcome::Failed,
            Phase::Answered if live.is_cut.get() => Outcome::Broken,
            Phase::Answered if is_whole() => Outcome::Answered,
            phase => match (record::ended_by(&response_details()), phase) {
                (By::Client, _) => Outcome::Aborted,
                (by, Phase::Answered) => {
                    // A stream that stands still may be one that its client does not read.
                    if by == By::Provider || answer.is_some_and(Answer::is_broken) {
                        shared::broke(&live.plan, live.progress.borrow().next);
                    }
                    Outcome::Broken
                }
                _ => Outcome::Failed,
            },
        };
        let (attempt, committed) = (live.running.get(), live.committed.get());
        // A whole answer has left with its last piece, and the clock need not be asked again.
        let ended = live.ended.get().filter(|_| outcome == Outcome::Answered).unwrap_or_else(abi::now);
        let times = Times { began: self.began, attempt, committed, ended };
        let progress = live.progress.borrow();
        let model = |target: &Arc<Target>| self.router.model(target);
        // An attempt's answer is a 200; of any other Envoy knows best.
        let status = if outcome == Outcome::Answered { 200 } else { response_code() };
        let settled = Settled::new(&live.plan, &progress, answer, outcome, status, times, model);
        metrics::request(&settled);
        if let Some(model) = settled.model {
            warn_of_end(&self.router, model, times.ended);
        }
        settled.line()
    }

    /// The same for one that ended without a plan.
    fn settle_unplanned(&self) {
        let served = matches!(self.phase, Phase::Served);
        let status = response_code();
        if !served {
            metrics::refused(status);
        }
        let headers = abi::headers(Map::RequestHeaders);
        let unplanned = Unplanned {
            began: self.began,
            ended: abi::now(),
            request_id: headers.get("x-request-id").unwrap_or_default(),
            method: headers.get(":method").unwrap_or_default(),
            served,
            status,
            details: &response_details(),
        };
        state::ended(&unplanned.line());
    }

    fn moved(&self, size: usize) {
        self.moving.iter().filter(|_| size > 0).for_each(|moving| self.watch.moved(moving));
    }

    /// There is nothing to wait for.
    fn is_still(&mut self) {
        if self.moving.take().is_some() {
            self.watch.ended(self.context);
        }
    }

    fn reply(&mut self, reply: Reply) -> Action {
        self.is_still();
        self.phase = if reply.refuses { Phase::Replied } else { Phase::Served };
        reply.send(self.router.config());
        Action::Pause
    }
}

/// Warns of a model that is asked and that there will not be for long: once, and not with every request.
fn warn_of_end(router: &Router, model: &Model, now: Duration) {
    thread_local! {
        static WARNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }
    let today = Date::of(now);
    if ending::is_near(&model.facts, today) && WARNED.with_borrow(|warned| !warned.contains(&model.name)) {
        WARNED.with_borrow_mut(|warned| warned.push(model.name.clone()));
        let warning = ending::warning(router.config(), model, today).unwrap_or_default();
        log::warn!("dragoman: model {}: {warning}", model.name);
    }
}

/// Says to the first target's other users that this request comes: see [`shared::claim`].
fn claim(plan: &Plan, now: Duration) -> Option<bool> {
    let first = plan.candidates.first();
    first.map_or(Some(false), |first| shared::claim(&first.target.model, plan.input_estimate, now))
}

/// Tells Envoy and the attempts what to do. What is the same for nearly all requests stands in Envoy's route: a
/// word to the host costs a microsecond or two.
fn publish(live: &Live, router: &Router) {
    let plan = &live.plan;
    state::planned(live);
    if plan.attempts != router.config().limits.attempts {
        abi::set_header(Map::RequestHeaders, "x-envoy-max-retries", &plan.attempts.saturating_sub(1).to_string());
    }
    if plan.try_limit != router.longest_try() {
        abi::set_header(Map::RequestHeaders, "x-envoy-upstream-rq-per-try-timeout-ms", &plan.try_limit.to_string());
    }
    // Envoy's route leads to the usual one by itself.
    let first = plan.candidates.first().map(|candidate| candidate.target.provider.as_str());
    if first != router.config().usual().map(|provider| provider.name.as_str()) {
        state::next_attempt(live, first);
        abi::clear_route_cache();
    }
}

impl Context for Stage {}

impl HttpContext for Stage {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let headers = abi::headers(Map::RequestHeaders);
        // Envoy takes orders from these; they are ours to give, not a client's. One says something, and Envoy has
        // written it itself.
        for name in headers.names_with("x-envoy-").filter(|name| *name != "x-envoy-external-address") {
            abi::remove_header(Map::RequestHeaders, name);
        }
        match self.begin(&headers) {
            Ok(phase) => self.phase = phase,
            Err(reply) => return self.reply(reply),
        }
        if end {
            return self.decide(&[]);
        }
        self.moving = Some(self.watch.begin(self.context, What::Request));
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !matches!(self.phase, Phase::Request { .. }) {
            return Action::Continue;
        }
        if let Err(reply) = self.check_length(size as u64) {
            return self.reply(reply);
        }
        if end {
            return self.decide(&abi::body(Buffer::RequestBody, size));
        }
        self.moved(size);
        Action::Pause
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        // No provider has a use for them, and whatever a client says in them is not theirs to know.
        abi::set_headers(Map::RequestTrailers, &Headers::default());
        if matches!(self.phase, Phase::Request { .. }) {
            return self.decide(&abi::body(Buffer::RequestBody, usize::MAX));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        if matches!(self.phase, Phase::Replied | Phase::Served) {
            return Action::Continue;
        }
        if let Some(live) = self.live.as_ref().filter(|live| live.committed.get().is_some()) {
            self.phase = Phase::Answered;
            self.moving = live.plan.is_passed_on().then(|| self.watch.begin(self.context, What::Answer));
            return Action::Continue;
        }
        // Envoy's own reply, or an attempt's that it was to retry and did not.
        abi::remove_header(Map::ResponseHeaders, RETRY_HEADER);
        let failed = self.live.as_ref().and_then(|live| exhausted(&live.plan, &live.progress.borrow()));
        let Some((headers, body)) = failed else { return Action::Continue };
        if end || self.live.as_ref().is_some_and(|live| live.goes_on.get()) {
            // Nothing can be added to an answer without a body, and nobody is to wait for the end of one that goes on:
            // another takes its place.
            return self.reply(Reply::from_headers(&headers, body));
        }
        abi::set_headers(Map::ResponseHeaders, &headers);
        self.phase = Phase::Failed { body };
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _end: bool) -> Action {
        match &mut self.phase {
            Phase::Failed { body } => abi::set_body(Buffer::ResponseBody, size, &std::mem::take(body)),
            _ => self.moved(size),
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        if self.live.as_ref().is_some_and(|live| live.is_cut.get()) {
            abi::reset_stream();
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        self.is_still();
        if let Some(live) = self.live.take() {
            live::remove(self.context);
            live.is_over.set(true);
            if live.answer.borrow().is_none() && live.is_probe.get() {
                // No attempt has begun, or has heard of it.
                shared::left(live.plan.candidates.first());
            }
            if !crate::COUNTS {
                return;
            }
            state::ended(&self.settle(&live));
        } else if !matches!(self.phase, Phase::Logged) {
            self.settle_unplanned();
        }
        // Envoy may be told to log a request more than once.
        self.phase = Phase::Logged;
    }
}

/// Answers a client, for whom the host has been told to speak, that has sent nothing for so long.
pub fn stopped(config: &Config) {
    let limit = quantity::duration_text(config.limits.idle);
    let error = ErrorReply {
        status: 408,
        kind: "invalid_request_error".into(),
        code: Some("request_timeout".into()),
        param: None,
        message: format!("Nothing of the request has come for {limit}, and it is not complete."),
    };
    Reply::error(&error).send(config);
}

/// How Envoy puts the end of the request into words.
fn response_details() -> Vec<u8> {
    abi::property("response\0code_details").unwrap_or_default()
}

/// 0 where nothing was sent.
fn response_code() -> u16 {
    let code = abi::property("response\0code").and_then(|code| Some(u64::from_le_bytes(code.try_into().ok()?)));
    code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0)
}

/// What a client is told without a provider's answer.
struct Reply {
    /// Whether it is a no.
    refuses: bool,
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

impl Reply {
    fn ok(body: Vec<u8>) -> Self {
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        Reply { refuses: false, status: 200, headers, body }
    }

    fn error(error: &ErrorReply) -> Self {
        Reply { refuses: true, status: error.status, ..Reply::ok(endpoint::named("").error(error, &[])) }
    }

    fn send(mut self, config: &Config) {
        if self.headers.bytes(VERSION_HEADER).is_none() {
            self.headers.push(VERSION_HEADER, &config.version);
        }
        abi::reply(self.status, &self.headers, &self.body);
    }

    /// An answer whose headers are complete; Envoy sets the length by itself.
    fn from_headers(all: &Headers, body: Vec<u8>) -> Self {
        let status = all.get(":status").and_then(|status| status.parse().ok()).unwrap_or(502);
        let mut headers = Headers::default();
        for (name, value) in all.iter().filter(|(name, _)| !matches!(*name, ":status" | "content-length")) {
            headers.push(name, value);
        }
        Reply { refuses: true, status, headers, body }
    }
}

fn unsupported_encoding(encoding: &str) -> ErrorReply {
    ErrorReply {
        status: 415,
        kind: "invalid_request_error".into(),
        code: Some("unsupported_encoding".into()),
        param: None,
        message: format!("A request body with content-encoding '{encoding}' is not supported."),
    }
}
