//! The attempt stage: upstream, afresh for every try.

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::live::{Live, Written};
use super::{RETRY_HEADER, abi, shared, state};
use crate::attempt::{Answer, Attempt, Output};
use crate::error::{Class, UpstreamError};
use crate::headers::Headers;
use crate::route::health::Health;
use crate::route::limits::Limits;
use crate::route::retry::Next;
use abi::{Buffer, Map};

/// Envoy's timers end early by our clock: they count from the time at which its event loop woke up, and a try
/// is ours only once its turn has come, on a busy worker some way into its time. What ends as near to its limit
/// as this has been cut by it.
fn early(limit: u64) -> Duration {
    Duration::from_millis(50 + limit / 16)
}

/// How much of an answer may wait in Envoy's buffer for its end. What comes next is added to that before we hear of
/// it, and beyond the buffer's limit Envoy breaks the answer off.
const LEFT_TO_ENVOY: usize = 1 << 20;

/// A stream that has gone on for so many pieces may last. One that is ready at once comes in fewer, and has its
/// memory back before it would pay to take some off.
const LASTING: u8 = 4;

#[derive(Default)]
pub struct Stage {
    /// Once the request is written.
    live: Option<Rc<Live>>,
    /// When the try began.
    began: Duration,
    /// Whether this try is done with: the client has its answer, or the failure is noted.
    settled: bool,
    /// A body that goes with headers already sent on, for the next body callback.
    pending: Vec<u8>,
    /// How many pieces of the answer have been passed on behind its beginning.
    pieces: u8,
}

impl Stage {
    /// Writes the request in place of the client's, whose whole body, `size` bytes, is here.
    fn write_request(&mut self, size: usize) -> Action {
        if self.live.is_some() {
            return Action::Continue;
        }
        self.began = abi::now();
        let Some(live) = state::this_attempt() else { return self.refuse() };
        let progress = live.progress.borrow();
        let Some(attempt) = Attempt::new(&live.plan, progress.next) else { return self.refuse() };
        let written = match live.written.take() {
            Some(written) if progress.failures.is_empty() => written,
            _ => match attempt.edits() {
                Some(edits) => Written::edited(edits, &abi::body(Buffer::RequestBody, edits.end())),
                None => match attempt.body(&abi::body(Buffer::RequestBody, size)) {
                    Ok(body) => Written { over: size, bytes: body },
                    Err(_) => return self.refuse(),
                },
            },
        };
        if written.over > 0 || !written.bytes.is_empty() {
            abi::set_body(Buffer::RequestBody, written.over, &written.bytes);
        }
        let length = size.saturating_sub(written.over).saturating_add(written.bytes.len());
        abi::set_headers(Map::RequestHeaders, &attempt.headers(length));
        // For the first target the plan has been made only since it was there.
        if !progress.failures.is_empty() {
            let claim = shared::claim(&attempt.target().model, live.plan.input_estimate, self.began);
            live.is_probe.set(claim == Some(true));
        }
        live.answer.replace(Some(attempt.answer(progress.attempts(), self.began)));
        drop(progress);
        live.running.set(Some(self.began));
        self.live = Some(live);
        Action::Continue
    }

    /// Tells the other workers what an answer says of its target: when it begins, if that is news, and
    /// when it is whole.
    fn learn(&self, now: Duration, begins: bool, ended: bool) {
        let Some(live) = &self.live else { return };
        let answer = live.answer.borrow();
        let progress = live.progress.borrow();
        let Some((answer, candidate)) = answer.as_ref().zip(live.plan.candidates.get(progress.next)) else { return };
        let limits = answer.limits();
        let model = &candidate.target.model;
        let known = shared::health(model, now);
        let is_urgent =
            (begins && is_urgent(&known, &limits, live.plan.input_estimate, now)) || (ended && known.has_broken());
        let tells = is_urgent || !shared::has_just_told(model, now);
        if !tells && live.plan.task.is_none() {
            return;
        }
        let first_token = live.committed.get().unwrap_or(now).saturating_sub(self.began);
        let whole = now.saturating_sub(self.began);
        let measured = answer.measured(live.plan.input_estimate, first_token, whole).filter(|_| ended);
        let is_news = is_urgent || (begins && !limits.is_empty()) || measured.is_some();
        if tells && is_news {
            shared::update(model, now, &mut |health| {
                if begins {
                    health.succeeded();
                    health.limits(limits.requests, limits.tokens);
                }
                if let Some(measured) = &measured {
                    health.ended();
                    health.learn(measured, now);
                }
                true
            });
        }
        if let (Some(measured), Some(task)) = (&measured, &live.plan.task) {
            shared::learn_length(model, task, measured.output);
        }
    }

    /// Reads on in the answer.
    fn read(&self, step: impl FnOnce(&mut Answer) -> Output) -> Option<Output> {
        self.live.as_ref()?.answer.borrow_mut().as_mut().map(step)
    }

    /// Whether all that has come of the answer's body is still in Envoy's buffer.
    fn waits_for_all(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.answer.borrow().as_ref().is_some_and(Answer::wants_whole))
    }

    /// The answer goes to the client from here on, under these headers.
    fn begin(&mut self, headers: &Headers, end: bool) {
        self.settled = true;
        let now = abi::now();
        if let Some(live) = &self.live {
            live.committed.set(Some(now));
            live.ended.set(end.then_some(now));
        }
        self.learn(now, true, end);
        abi::set_headers(Map::ResponseHeaders, headers);
    }

    /// Envoy keeps the headers of a request until its end, each in 320 bytes, and a stream may take minutes. They have
    /// been sent, and no other attempt comes: only what the request was sent to stays.
    fn forget_headers(&self) {
        let Some(live) = &self.live else { return };
        if let Some(attempt) = Attempt::new(&live.plan, live.progress.borrow().next) {
            abi::set_headers(Map::RequestHeaders, &attempt.request_line());
        }
    }

    /// No plan, or one that does not fit: this cluster was reached without the route stage.
    fn refuse(&mut self) -> Action {
        self.settled = true;
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        abi::reply(
            500,
            &headers,
            br#"{"error":{"message":"The gateway has no plan for this request.","type":"server_error","param":null,"code":"no_plan"}}"#,
        );
        Action::Pause
    }

    /// Does what the core says about the headers. They are a callback without a body to write to.
    fn put_head(&mut self, output: Output, end: bool) -> Action {
        match output {
            Output::Begin { headers, body } => {
                self.begin(&headers, end);
                self.pending = body;
            }
            Output::Relay { headers } => self.begin(&headers, end),
            Output::Fail(error) => self.fail(error, end),
            Output::Hold | Output::Continue(_) => return Action::Pause,
        }
        Action::Continue
    }

    /// Does what the core says in place of these first bytes of the body.
    fn put_body(&mut self, output: Output, bytes: &[u8], end: bool) -> Action {
        let (body, action) = match output {
            Output::Hold => (Vec::new(), Action::Pause),
            Output::Continue(body) => {
                self.pieces = self.pieces.saturating_add(1);
                if end {
                    let now = abi::now();
                    self.live.iter().for_each(|live| live.ended.set(Some(now)));
                    self.learn(now, false, true);
                } else if self.pieces == LASTING {
                    self.forget_headers();
                }
                (body, Action::Continue)
            }
            Output::Relay { headers } => {
                self.begin(&headers, end);
                return Action::Continue;
            }
            Output::Begin { headers, body } => {
                self.begin(&headers, end);
                (body, Action::Continue)
            }
            Output::Fail(error) => {
                self.fail(error, end);
                (Vec::new(), Action::Continue)
            }
        };
        // Much of what is relayed is what has come.
        if body != bytes {
            abi::set_body(Buffer::ResponseBody, bytes.len(), &body);
        }
        action
    }

    /// Notes the failure, and leaves of the answer what asks Envoy to try again, or what tells the route
    /// stage that this is the end: it has what was noted, and writes the client's error.
    fn fail(&mut self, error: UpstreamError, end: bool) {
        let mut headers = Headers::default();
        headers.push(":status", "503");
        match self.note(error) {
            Next::Stop => {}
            Next::Try => headers.push(RETRY_HEADER, "1"),
            // Envoy waits, by whole seconds (`rate_limited_retry_back_off`).
            Next::TryAfter(wait) => {
                headers.push(RETRY_HEADER, "1");
                headers.push("retry-after", wait.as_millis().div_ceil(1000).to_string());
            }
        }
        abi::set_headers(Map::ResponseHeaders, &headers);
        self.live.iter().for_each(|live| live.goes_on.set(!end));
    }

    /// Notes the failure for the next attempt, and for the route stage if there is none.
    fn note(&mut self, error: UpstreamError) -> Next {
        self.settled = true;
        let Some(live) = &self.live else { return Next::Stop };
        live.running.set(None);
        live.goes_on.set(false);
        let passed = live.answer.borrow().as_ref().map(Answer::passed_headers).unwrap_or_default();
        let mut progress = live.progress.borrow_mut();
        if let Some(candidate) = live.plan.candidates.get(progress.next) {
            let now = abi::now();
            let jitter = u64::from(now.subsec_nanos());
            let limits = live.answer.borrow().as_ref().map(Answer::limits).unwrap_or_default();
            shared::update(&candidate.target.model, now, &mut |health| {
                health.limits(limits.requests, limits.tokens);
                if live.plan.breaker || error.class == Class::RateLimited {
                    health.failed(error.class, error.retry_after, now, jitter);
                }
                true
            });
        }
        let next = progress.fail(&live.plan, error, passed);
        let candidate = live.plan.candidates.get(progress.next).filter(|_| next != Next::Stop);
        state::next_attempt(live, candidate.map(|candidate| candidate.target.provider.as_str()));
        next
    }
}

impl Context for Stage {}

impl Drop for Stage {
    /// Runs before Envoy begins the next attempt. A try that ends without an answer (refused, reset,
    /// timed out) has no other callback.
    fn drop(&mut self) {
        let Some(live) = self.live.as_ref().filter(|_| !self.settled) else { return };
        if live.is_over.get() {
            if live.is_probe.get() {
                shared::left(live.plan.candidates.get(live.progress.borrow().next));
            }
            return;
        }
        let limit = live.plan.try_limit;
        let elapsed = abi::now().saturating_sub(self.began) + early(limit);
        self.note(if elapsed.as_millis() >= limit.into() { silent(limit) } else { unreachable() });
    }
}

/// Whether the other workers must not wait for what an answer's beginning says of its target.
fn is_urgent(known: &Health, limits: &Limits, input: u64, now: Duration) -> bool {
    let is_scarce = || {
        let mut heard = *known;
        heard.limits(limits.requests, limits.tokens);
        heard.is_scarce(heard.input(input), now)
    };
    !known.is_untroubled() || (!limits.is_empty() && is_scarce())
}

fn silent(limit: u64) -> UpstreamError {
    let message = format!("The provider gave no answer within {limit} ms.");
    UpstreamError::new(Class::Silent, 504, "server_error", "upstream_timeout", message)
}

fn unreachable() -> UpstreamError {
    let message = "The provider could not be reached, or broke the connection.";
    UpstreamError::new(Class::Unreachable, 503, "server_error", "upstream_unreachable", message)
}

impl HttpContext for Stage {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        // Envoy sends the headers on only when the body is written, so that its length can be exact.
        if end { self.write_request(0) } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if end { self.write_request(size) } else { Action::Pause }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.write_request(abi::body(Buffer::RequestBody, usize::MAX).len())
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let headers = abi::headers(Map::ResponseHeaders);
        let status = headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(502);
        match self.read(|answer| answer.head(status, headers, end, abi::now)) {
            Some(output) => self.put_head(output, end),
            None => Action::Continue,
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if self.live.is_none() {
            return Action::Continue;
        }
        // What is read only when it is all there stays in Envoy until then, if it does not become too much for it.
        if !end && size <= LEFT_TO_ENVOY && self.waits_for_all() {
            return Action::Pause;
        }
        if !self.pending.is_empty() {
            abi::set_body(Buffer::ResponseBody, size, &std::mem::take(&mut self.pending));
            return Action::Continue;
        }
        let bytes = if size > 0 { abi::body(Buffer::ResponseBody, size) } else { Vec::new() };
        match self.read(|answer| answer.body(&bytes, end)) {
            Some(output) => self.put_body(output, &bytes, end),
            None => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        abi::set_headers(Map::ResponseTrailers, &Headers::default());
        let bytes = if self.waits_for_all() { abi::body(Buffer::ResponseBody, usize::MAX) } else { Vec::new() };
        match self.read(|answer| answer.body(&bytes, true)) {
            // Nothing can be written behind the last piece, and without it the answer must not look like a whole one:
            // the route stage, which is next, breaks it off.
            Some(Output::Continue(rest)) if !rest.is_empty() => {
                self.live.iter().for_each(|live| live.is_cut.set(true));
                Action::Continue
            }
            Some(output) => self.put_body(output, &bytes, true),
            None => Action::Continue,
        }
    }
}
