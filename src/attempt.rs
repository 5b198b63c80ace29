//! One try at one target: the request as the provider is to receive it, and the provider's answer
//! turned into the client's.
//!
//! Nothing reaches the client before the commit point; until then a failure is a value that the host
//! turns into a retry. Bytes and headers in, bytes and headers out: when to hold and when to send is
//! told by [`Output`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{self, Endpoint};
use crate::error::{Class, Rejection, Told, UpstreamError};
use crate::headers::Headers;
use crate::json::{self, Digits, Edits};
use crate::meter::Meter;
use crate::provider::{Body, Kind, Target};
use crate::route::health::Measured;
use crate::route::limits::{self, Limits};
use crate::route::retry::Progress;
use crate::route::{Candidate, Plan, wait};
use crate::stream::normalize::Identity;
use crate::stream::{self, Frames, Names, Relay};

/// On every answer that an attempt gives.
const MODEL_HEADER: &str = "x-dragoman-model";

/// On every answer: by which version of a policy it was decided, or of the configuration where none was.
pub const VERSION_HEADER: &str = "x-dragoman-version";

/// What is read of an error answer: enough for any provider's words, little enough to wait for.
const MAX_ERROR_BODY: usize = 64 << 10;

/// The largest answer that is held back, which has to fit into Envoy's buffer: many times what any model
/// writes.
const MAX_HELD: usize = crate::config::BESIDE_BODY as usize;

/// An attempt that has not been sent yet.
pub struct Attempt<'a> {
    plan: &'a Plan,
    candidate: &'a Candidate,
    kind: &'static Kind,
}

impl<'a> Attempt<'a> {
    /// The attempt at a candidate of the plan.
    pub fn new(plan: &'a Plan, candidate: usize) -> Option<Self> {
        let candidate = plan.candidates.get(candidate)?;
        Some(Attempt { plan, candidate, kind: Kind::named(&candidate.target.kind)? })
    }

    pub fn target(&self) -> &Target {
        &self.candidate.target
    }

    /// The changes to the client's body, where that is all this target needs: then it need not be read.
    pub fn edits(&self) -> Option<&Edits> {
        self.candidate.edits.as_ref()
    }

    /// The body for this target, written from the client's. The route stage has seen that it can be;
    /// an error means that the body is not the one it saw.
    pub fn body(&self, body: &[u8]) -> Result<Vec<u8>, Rejection> {
        let chat = self.endpoint().parse(body)?;
        match self.kind.translator.request(&chat, self.target())?.body {
            Body::Edited(edits) => Ok(edits.apply(body)),
            Body::Written(bytes) => Ok(bytes),
        }
    }

    /// What the request is sent to.
    pub fn request_line(&self) -> Headers {
        let target = self.target();
        let mut headers = Headers::default();
        headers.push(":method", "POST");
        headers.push_joined(":path", &[&target.base_path, &self.candidate.path]);
        headers.push(":scheme", target.scheme.as_str());
        headers.push(":authority", target.authority.as_str());
        headers
    }

    /// Every header of the request. An attempt starts from nothing: what the client sent, or what an
    /// earlier attempt at another provider set, must not get here: see envoy/README.md.
    pub fn headers(&self, content_length: usize) -> Headers {
        let mut headers = self.request_line();
        headers.push("content-type", "application/json");
        headers.push("content-length", Digits::default().of(content_length as u64));
        if !self.candidate.headers.iter().any(|(name, _)| *name == "accept") {
            headers.push("accept", if self.plan.stream { "text/event-stream" } else { "application/json" });
        }
        // Upstream filters cannot decompress, and a stream has nothing to gain from it.
        headers.push("accept-encoding", "identity");
        headers.push("user-agent", concat!("dragoman/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.candidate.headers {
            headers.push(name, value.as_bytes());
        }
        headers
    }

    fn endpoint(&self) -> &'static dyn Endpoint {
        endpoint::named(self.plan.endpoint)
    }

    /// The reader of the answer. `now`: since the Unix epoch.
    pub fn answer(&self, attempts: usize, now: Duration) -> Answer {
        Answer {
            kind: self.kind,
            endpoint: self.endpoint(),
            stream: self.plan.stream,
            include_usage: self.plan.include_usage,
            hold: self.plan.hold,
            renamed: self.candidate.renamed.clone(),
            target: Arc::clone(&self.candidate.target),
            labels: labels(self.plan, self.candidate, attempts),
            now,
            head: Headers::default(),
            limits: Limits::default(),
            skipped: 0,
            repeated: 0,
            reads_each: false,
            broke: false,
            meter: Some(Box::new(Meter::judging(&self.plan.expected))),
            state: State::Head,
        }
    }
}

/// Reads one provider's answer.
pub struct Answer {
    kind: &'static Kind,
    endpoint: &'static dyn Endpoint,
    stream: bool,
    include_usage: bool,
    hold: bool,
    target: Arc<Target>,
    /// Tools that were called by other names, and the client's.
    renamed: Vec<(String, String)>,
    labels: Headers,
    /// When the attempt began, or its answer.
    now: Duration,
    /// The provider's, until the answer begins.
    head: Headers,
    /// What is left of the provider's rate limits.
    limits: Limits,
    /// How many of the stream's events could not be read.
    skipped: usize,
    /// How many were read by a template, and whether none is to be.
    repeated: usize,
    reads_each: bool,
    /// Whether the provider has failed after it had begun.
    broke: bool,
    /// Of the answer so far, while no relay has it.
    meter: Option<Box<Meter>>,
    state: State,
}

enum State {
    /// Nothing has come yet.
    Head,
    /// A success, of which nothing but white space has come yet: whether it is a stream is told by what
    /// it begins with, as labels are not to be trusted (quirk A17, and errors labelled as streams).
    Unread { bytes: Vec<u8> },
    /// An error answer, collected until it can be read.
    Error { status: u16, body: Vec<u8> },
    /// A whole answer, collected.
    Whole { body: Vec<u8> },
    /// A stream, held back until the commit point.
    Held { relay: Box<Relay> },
    /// A stream that the client is reading.
    Open { relay: Box<Relay> },
    /// Nothing more is to be read.
    Over,
}

/// What the host is to do.
#[derive(Debug)]
pub enum Output {
    /// Keep the headers and everything else back.
    Hold,
    /// Send these headers, and the bytes that came as they are.
    Relay { headers: Headers },
    /// Send these headers, and the body in place of what was held.
    Begin { headers: Headers, body: Vec<u8> },
    /// Send this in place of the bytes that came.
    Continue(Vec<u8>),
    /// The attempt has failed and the client has seen nothing of it.
    Fail(UpstreamError),
}

impl Answer {
    /// `now`: since the Unix epoch. It may be long after the attempt began, and is only asked for where times are told.
    pub fn head(&mut self, status: u16, headers: Headers, end: bool, now: impl Fn() -> Duration) -> Output {
        let limits = limits::are_told(&headers);
        if limits || status >= 400 {
            self.now = now();
        }
        if limits {
            self.limits = limits::of(&headers, self.now);
        }
        self.head = headers;
        let encoding = self.head.get("content-encoding").unwrap_or("identity");
        self.state = match status {
            _ if !encoding.eq_ignore_ascii_case("identity") => {
                let message =
                    format!("The provider's answer is compressed ({encoding}), although it was asked not to be.");
                return self.fail(UpstreamError::malformed(message));
            }
            200..=299 if self.content_type().eq_ignore_ascii_case("text/html") => {
                return self.fail(UpstreamError::malformed("The provider answered with an HTML page."));
            }
            200..=299 if self.stream => State::Unread { bytes: Vec::new() },
            200..=299 => State::Whole { body: Vec::new() },
            status => State::Error { status, body: Vec::new() },
        };
        if end { self.body(&[], true) } else { Output::Hold }
    }

    fn content_type(&self) -> &str {
        self.head.content_type().unwrap_or_default()
    }

    /// The next bytes of the answer's body, and whether they are the last.
    pub fn body(&mut self, bytes: &[u8], end: bool) -> Output {
        match &mut self.state {
            State::Unread { bytes: read } => {
                read.extend_from_slice(bytes);
                let first = content(read).first().copied();
                if first.is_none() && !end {
                    // Blank lines may come for minutes (quirk A19); a part of a byte order mark is kept.
                    read.truncate(BYTE_ORDER_MARK.len());
                    return Output::Hold;
                }
                let read = std::mem::take(read);
                self.state = match Frames::of(first, self.content_type()) {
                    None => State::Whole { body: Vec::new() },
                    Some(frames) => State::Held { relay: Box::new(self.relay(frames)) },
                };
                self.body(&read, end)
            }
            State::Error { body, .. } => {
                let room = MAX_ERROR_BODY.saturating_sub(body.len());
                body.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                if end || body.len() >= MAX_ERROR_BODY { self.error() } else { Output::Hold }
            }
            State::Whole { body } => {
                if bytes.len() > MAX_HELD.saturating_sub(body.len()) {
                    return self.fail(too_large());
                }
                if end && body.is_empty() {
                    return self.whole(Cow::Borrowed(bytes));
                }
                body.extend_from_slice(bytes);
                if !end {
                    return Output::Hold;
                }
                let body = std::mem::take(body);
                self.whole(Cow::Owned(body))
            }
            State::Held { .. } => self.held(bytes, end),
            State::Open { relay } => {
                let mut read = relay.push(bytes);
                if end && read.is_ok() {
                    read = relay.end();
                }
                // The client has seen a part: a failure can only be told, and nothing may follow it.
                if let Err(error) = read {
                    self.broke |= is_providers(error.class);
                    relay.error(&error.reply);
                }
                let ready = relay.take();
                (self.skipped, self.repeated) = (relay.skipped(), relay.repeated());
                if end && let State::Open { relay } = std::mem::replace(&mut self.state, State::Over) {
                    self.meter = Some(relay.into_meter());
                }
                Output::Continue(ready)
            }
            State::Head | State::Over => Output::Continue(Vec::new()),
        }
    }

    /// Whether the rest is only of use when it is all there: until then the host may keep it.
    pub fn wants_whole(&self) -> bool {
        matches!(&self.state, State::Whole { body } if body.is_empty())
    }

    /// How many of the stream's events could not be read and were left out.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// How many of the stream's events were read by a template.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// Whether the provider has failed after its answer had begun.
    pub fn is_broken(&self) -> bool {
        self.broke
    }

    /// To read every event of a stream in the ordinary way: see [`Relay::read_each`].
    pub fn read_each(&mut self) {
        self.reads_each = true;
    }

    /// What is left of the provider's rate limits, as it says.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What can be learnt from the answer, if it is whole: how long it took to its first token (of a whole
    /// one: to its end), and until now, since the attempt began.
    pub fn measured(&self, estimated_input: u64, first_token: Duration, whole: Duration) -> Option<Measured> {
        let spent = self.meter().filter(|meter| meter.is_complete())?.spent(estimated_input);
        Some(Measured {
            first_token,
            whole,
            estimated_input,
            input: (!spent.estimated).then_some(spent.usage.input),
            cached_input: spent.usage.cached_input.unwrap_or(0),
            output: spent.usage.output,
            streamed: self.stream && !self.hold,
        })
    }

    /// What the answer has come to so far.
    pub fn meter(&self) -> Option<&Meter> {
        match &self.state {
            State::Held { relay } | State::Open { relay } => Some(relay.meter()),
            _ => self.meter.as_deref(),
        }
    }

    fn relay(&mut self, frames: Frames) -> Relay {
        let render = self.endpoint.stream(self.include_usage);
        let (translator, meter) = (self.kind.translator.stream_of(&self.target.id), self.meter.take());
        let meter = meter.unwrap_or_default();
        let mut relay = Relay::new(frames, translator, render, self.identity(), self.names(), meter);
        if self.reads_each {
            relay.read_each();
        }
        relay
    }

    fn names(&self) -> Names {
        Names::new(self.renamed.iter().map(|(sent, own)| (sent.as_str(), own.as_str())))
    }

    /// What stands in for what the provider does not say.
    fn identity(&self) -> Identity {
        // An ARN has our account's number in it.
        let model = if self.target.id.starts_with("arn:") { &self.target.model } else { &self.target.id };
        Identity {
            id: json::escape(&format!("chatcmpl-{:x}", self.now.as_nanos())),
            model: json::escape(model),
            created: self.now.as_secs(),
        }
    }

    fn error(&mut self) -> Output {
        let State::Error { status, body } = std::mem::replace(&mut self.state, State::Over) else {
            return Output::Hold;
        };
        let mut error = self.kind.translator.error(status, &self.head, &body);
        error.retry_after = wait::asked(status, &self.head, self.now).or(error.retry_after);
        Output::Fail(error)
    }

    /// Takes a whole answer: borrowed if its bytes are still where they came to.
    fn whole(&mut self, bytes: Cow<'_, [u8]>) -> Output {
        self.state = State::Over;
        let written = match self.written(&bytes) {
            Ok(written) if written.as_ref().map_or(0, Vec::len) <= MAX_HELD => written,
            Ok(_) => return Output::Fail(too_large()),
            Err(error) => return Output::Fail(error),
        };
        let headers = match &written {
            Some(_) if self.stream => self.stream_headers(),
            written => self.json_headers(written.as_ref().map_or(bytes.len(), Vec::len)),
        };
        match (written, bytes) {
            (Some(body), _) | (None, Cow::Owned(body)) => Output::Begin { headers, body },
            (None, Cow::Borrowed(_)) => Output::Relay { headers },
        }
    }

    /// A whole answer as the client is given it; `None` if that is as it came.
    fn written(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, UpstreamError> {
        // As in a stream, what is no UTF-8 is replaced: JSON that has it elsewhere than in texts is none.
        let body = content(bytes);
        let body = json::utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
        if body.starts_with("data:") || body.starts_with("event:") {
            // Quirk A18. Whoever ignores this much of a request may well have ignored the rest.
            return Err(UpstreamError::malformed("The provider answered with a stream, which was not asked for."));
        }
        let identity;
        let names = self.names();
        let mut answer = self.kind.translator.response_of(&body, &self.target.id).map_err(in_band)?;
        for call in answer.choices.iter_mut().flat_map(|choice| &mut choice.message.tool_calls) {
            answer.exact &= !names.restore(&mut call.name);
        }
        if let Some(meter) = &mut self.meter {
            meter.response(&answer);
        }
        if self.stream {
            return stream::tell(&answer, self.endpoint.stream(self.include_usage), self.identity()).map(Some);
        }
        answer.created.get_or_insert(self.now.as_secs());
        if answer.id.is_empty() || answer.model.is_empty() {
            identity = self.identity();
            answer.identify(&identity.id, &identity.model);
        }
        Ok(match self.endpoint.response(&answer) {
            Cow::Borrowed(body) if std::ptr::eq(body, bytes) => None,
            body => Some(body.into_owned()),
        })
    }

    fn held(&mut self, bytes: &[u8], end: bool) -> Output {
        let State::Held { relay } = &mut self.state else { return Output::Hold };
        let mut read = relay.push(bytes);
        if end && read.is_ok() {
            read = relay.end();
        }
        (self.skipped, self.repeated) = (relay.skipped(), relay.repeated());
        let committed = if self.hold { relay.is_complete() } else { relay.has_output() || relay.is_complete() };
        match read {
            _ if relay.ready() > MAX_HELD => self.fail(too_large()),
            Err(error) if !committed || self.hold => self.fail(in_band(error)),
            Ok(()) if !committed => Output::Hold,
            read => {
                let State::Held { mut relay } = std::mem::replace(&mut self.state, State::Over) else {
                    return Output::Hold;
                };
                if let Err(error) = read {
                    self.broke |= is_providers(error.class);
                    relay.error(&error.reply);
                }
                let body = relay.take();
                let headers = self.stream_headers();
                if end {
                    self.meter = Some(relay.into_meter());
                } else {
                    self.state = State::Open { relay };
                }
                Output::Begin { headers, body }
            }
        }
    }

    fn fail(&mut self, error: UpstreamError) -> Output {
        self.state = State::Over;
        Output::Fail(error)
    }

    /// What of the provider's headers a client is given, for a failure.
    pub fn passed_headers(&self) -> Vec<(String, String)> {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        let mut passed = Headers::default();
        pass_on(&self.head, self.now, &mut passed);
        passed.iter().filter_map(|(name, value)| Some((name.to_owned(), text(value)?))).collect()
    }

    fn json_headers(&mut self, length: usize) -> Headers {
        let mut headers = self.labelled();
        headers.push("content-type", "application/json");
        headers.push("content-length", Digits::default().of(length as u64));
        headers
    }

    fn stream_headers(&mut self) -> Headers {
        let mut headers = self.labelled();
        headers.push("content-type", "text/event-stream; charset=utf-8");
        headers.push("cache-control", "no-cache");
        headers.push("x-accel-buffering", "no");
        headers
    }

    /// An answer begins once: what is kept for it goes with it.
    fn labelled(&mut self) -> Headers {
        let mut headers = Headers::default();
        headers.push(":status", "200");
        pass_on(&std::mem::take(&mut self.head), self.now, &mut headers);
        headers.extend(&std::mem::take(&mut self.labels));
        headers
    }
}

/// The headers by which a client and an operator can tell who has answered.
fn labels(plan: &Plan, candidate: &Candidate, attempts: usize) -> Headers {
    // Held until the answer begins.
    let mut headers = Headers::with_capacity(6, 256);
    if !plan.request_id.is_empty() {
        headers.push("x-request-id", &plan.request_id);
    }
    headers.push(MODEL_HEADER, &candidate.target.model);
    headers.push("x-dragoman-route", plan.route.as_bytes());
    headers.push("x-dragoman-attempts", Digits::default().of(attempts as u64));
    headers.push(VERSION_HEADER, plan.version.as_bytes());
    if !candidate.dropped.is_empty() {
        headers.push("x-dragoman-dropped", candidate.dropped.join(","));
    }
    if let Some(explanation) = &plan.explanation {
        headers.push("x-dragoman-explain", explanation);
    }
    headers
}

/// What a client is told when all attempts have failed: what the last one failed with, and what each
/// target said. `None` if nothing has failed.
pub fn exhausted(plan: &Plan, progress: &Progress) -> Option<(Headers, Vec<u8>)> {
    let last = progress.failures.last()?;
    let told = progress.failures.iter().filter_map(|failure| {
        let candidate = plan.candidates.get(failure.candidate)?;
        Some(Told { model: &candidate.target.model, reply: &failure.reply })
    });
    let body = endpoint::named(plan.endpoint).error(&last.reply, &told.collect::<Vec<_>>());
    let mut headers = Headers::default();
    headers.push(":status", Digits::default().of(last.reply.status.into()));
    for (name, value) in &last.headers {
        headers.push(name, value.as_str());
    }
    if let Some(candidate) = plan.candidates.get(last.candidate) {
        headers.extend(&labels(plan, candidate, progress.failures.len()));
    }
    headers.push("content-type", "application/json");
    headers.push("content-length", Digits::default().of(body.len() as u64));
    Some((headers, body))
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A body from its first byte that says something: without a byte order mark (quirk A12), and without the
/// blank lines that keep a connection open (A19).
fn content(body: &[u8]) -> &[u8] {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if BYTE_ORDER_MARK.starts_with(body) { &[] } else { body.trim_ascii_start() }
}

fn too_large() -> UpstreamError {
    UpstreamError::malformed("The provider's answer is larger than what can be held back.")
}

/// Whether a failure is the provider's, and not the request's: an answer that is filtered half way says nothing of it.
fn is_providers(class: Class) -> bool {
    !matches!(class, Class::Rejected | Class::TooLarge)
}

/// A failure within an answer that had begun well: the same target is not asked again at once.
fn in_band(mut error: UpstreamError) -> UpstreamError {
    if error.class == Class::Transient {
        error.class = Class::Unreachable;
    }
    error
}

/// Adds those of the provider's headers that a client is given. The others name our account, set cookies or
/// describe bytes that are no longer there.
fn pass_on(headers: &Headers, now: Duration, passed: &mut Headers) {
    for (name, value) in headers.iter() {
        match name {
            "x-request-id" | "request-id" | "x-amzn-requestid" | "x-debug-trace-id" => {
                passed.push("x-upstream-request-id", value)
            }
            "retry-after" | "retry-after-ms" | "openai-processing-ms" | "openai-version" => passed.push(name, value),
            name if name.starts_with("x-ratelimit-") => passed.push(name, value),
            name => {
                if let Some((name, value)) = limits::as_openai(name, value, now) {
                    passed.push(&name, value);
                }
            }
        }
    }
}
