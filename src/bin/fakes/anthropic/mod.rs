//! The Anthropic fake: `POST /v1/messages` as strict as the vendor, and its words for every no; and the same API
//! on Vertex and on Bedrock.
//!
//! This file holds the parts of the trait that are data: headers and errors. Reading is in `request`,
//! `messages` and `blocks`, writing in `answer`, what differs between the places in `surface`; nothing here
//! knows the other formats.

mod answer;
mod blocks;
mod messages;
mod request;
mod surface;

use serde_json::{Value, json};

use crate::bedrock::signature;
use crate::faults::{Faults, Form, Row, SERVER_SENT, row};
use crate::framing::Framing;
use crate::prompt::{Prompt, Reply};
use crate::provider::{Event, Events, Fake, Kind, Operation, State, bearer, chat_if, foreign_header, framing_problem};
use crate::strict::Refusal;
use crate::target::{Received, Target};
pub use surface::Surface;

pub struct Anthropic(pub Surface);

const INVALID: &str = "invalid_request_error";

/// The newest version, which took the sampling parameters away.
const WITHOUT_SAMPLING: &str = "2026-10-21";
const VERSIONS: &[&str] = &["2023-06-01", WITHOUT_SAMPLING];

/// The vendor's limit on a Messages body.
const MOST_BODY: usize = 32 << 20;

/// Headers that are for this vendor and for no other.
const OWN_HEADERS: &[&str] = &["authorization", "x-api-key", "anthropic-*"];
/// The SDK sends the version in a header, too, which nobody reads there.
const VERTEX_HEADERS: &[&str] = &["authorization", "anthropic-*", "x-goog-user-project"];
const BEDROCK_HEADERS: &[&str] = &["authorization", "anthropic-version", "x-amz-*", "x-amzn-*"];

const FAULTS: &[Row] =
    &[row("done", Form::OneOf(&["missing", "twice", "then_data"])), row("usage", Form::OneOf(&["missing"]))];

/// Like the vendor's, down to one that names the account and one that sets a cookie.
const HEADERS: &[(&str, &str)] = &[
    ("anthropic-organization-id", "org-fake-secret"),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2026-11-21T10:00:00Z"),
    ("anthropic-ratelimit-tokens-limit", "480000"),
    ("anthropic-ratelimit-tokens-remaining", "479000"),
    ("anthropic-ratelimit-tokens-reset", "2026-11-21T10:00:00Z"),
    ("anthropic-ratelimit-input-tokens-limit", "400000"),
    ("anthropic-ratelimit-input-tokens-remaining", "399000"),
    ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T10:00:00Z"),
    ("anthropic-ratelimit-output-tokens-limit", "80000"),
    ("anthropic-ratelimit-output-tokens-remaining", "79000"),
    ("anthropic-ratelimit-output-tokens-reset", "2026-11-21T10:00:00Z"),
    ("set-cookie", "_cfuvid=fake-cookie; path=/; domain=.api.anthropic.com; HttpOnly; Secure; SameSite=None"),
    ("server", "cloudflare"),
    ("cf-ray", "8f00fake0000-AMS"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("via", "1.1 google"),
];

/// Errors by name: status, `type`, message. The first of a status is what the status alone means.
const ERRORS: &[(&str, u16, &str, &str)] = &[
    (INVALID, 400, INVALID, "The fake was asked to refuse this request."),
    ("context_length_exceeded", 400, INVALID, "prompt is too long: 210001 tokens > 200000 maximum"),
    ("content_filter", 400, INVALID, "Output blocked by content filtering policy"),
    (
        "insufficient_quota",
        400,
        INVALID,
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
         purchase credits.",
    ),
    ("authentication_error", 401, "authentication_error", "invalid x-api-key"),
    ("billing_error", 402, "billing_error", "There is an issue with your billing."),
    ("permission_error", 403, "permission_error", "Your API key does not have permission to use this resource."),
    ("not_found_error", 404, "not_found_error", "model: claude-fake"),
    ("conflict_error", 409, "conflict_error", "The request conflicts with another one."),
    ("request_too_large", 413, "request_too_large", "Request exceeds the maximum size"),
    (
        "rate_limit_error",
        429,
        "rate_limit_error",
        "This request would exceed your organization's (org-fake-secret) rate limit of 4,000 requests per minute.",
    ),
    ("api_error", 500, "api_error", "Internal server error"),
    ("timeout_error", 504, "timeout_error", "Request timed out"),
    ("overloaded_error", 529, "overloaded_error", "Overloaded"),
];

impl Fake for Anthropic {
    fn name(&self) -> &'static str {
        match self.0 {
            Surface::Anthropic => "anthropic",
            Surface::Vertex => "anthropic_vertex",
            Surface::Bedrock => "anthropic_bedrock",
        }
    }

    fn kind(&self) -> &'static str {
        match self.0 {
            Surface::Anthropic => "anthropic",
            Surface::Vertex => "anthropic-vertex",
            Surface::Bedrock => "anthropic-bedrock",
        }
    }

    fn format(&self) -> &'static str {
        "anthropic"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn model(&self) -> &'static str {
        match self.0 {
            Surface::Anthropic => "claude-fake",
            Surface::Vertex => "claude-fake@20260101",
            Surface::Bedrock => "us.anthropic.claude-fake-v1:0",
        }
    }

    fn provider_settings(&self) -> Value {
        match self.0 {
            Surface::Anthropic => json!({}),
            Surface::Vertex => json!({"region": "us-east5", "project": "fake-project"}),
            Surface::Bedrock => json!({"region": "us-east-1"}),
        }
    }

    /// The format has no answer without a limit.
    fn model_settings(&self) -> Value {
        json!({"max_output": request::MOST_OUTPUT})
    }

    fn state(&self) -> State {
        State::Signature
    }

    fn default_key(&self) -> &'static str {
        match self.0 {
            Surface::Anthropic => "sk-ant-fake",
            Surface::Vertex => "ya29.fake-token",
            Surface::Bedrock => "bedrock-api-key-fake",
        }
    }

    fn faults(&self) -> &'static [&'static [Row]] {
        match self.0 {
            Surface::Anthropic | Surface::Vertex => &[SERVER_SENT, FAULTS],
            // Binary frames have no lines.
            Surface::Bedrock => &[FAULTS],
        }
    }

    fn route(&self, target: &Target) -> Result<Operation, Refusal> {
        let found = match self.0 {
            Surface::Anthropic => target.path() == "/v1/messages",
            Surface::Vertex | Surface::Bedrock => self.0.place(target).is_some(),
        };
        chat_if(found, self, target)
    }

    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal> {
        let headers = request.headers;
        if self.0 != Surface::Anthropic {
            match (bearer(headers), request.header("authorization")) {
                (Some(given), _) if given == key => {}
                (None, Some(signed)) if self.0 == Surface::Bedrock => signature::check(request, signed, key)?,
                _ => return Err(self.failure(None, Some("authentication_error"))),
            }
            let own: &[&str] = if self.0 == Surface::Vertex { VERTEX_HEADERS } else { BEDROCK_HEADERS };
            return match foreign_header(headers, own) {
                Some(name) => {
                    let message = format!("{name}: this header does not belong in a request to this provider");
                    Err(self.0.told(Refusal::new(400, INVALID, message)))
                }
                None => Ok(()),
            };
        }
        let own = headers.get("x-api-key").and_then(|value| value.to_str().ok());
        let right = match (own, bearer(headers)) {
            (Some(given), None) | (None, Some(given)) => given == key,
            (Some(one), Some(other)) => one == key && other == key,
            (None, None) => false,
        };
        if !right {
            let failure = self.failure(None, Some("authentication_error"));
            let given = ["x-api-key", "authorization"].iter().any(|name| headers.contains_key(*name));
            return Err(if given {
                failure
            } else {
                Refusal { message: "x-api-key header is required".into(), ..failure }
            });
        }
        let credentials = ["x-api-key", "authorization"].iter().map(|name| headers.get_all(*name).iter().count());
        let second = (credentials.sum::<usize>() > 1).then_some("authorization");
        match foreign_header(headers, OWN_HEADERS).or(second) {
            Some(name) => {
                let message = format!("{name}: this header does not belong in a request to this provider");
                Err(Refusal::new(400, INVALID, message))
            }
            None => Ok(()),
        }
    }

    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal> {
        let Received { headers, body, .. } = *request;
        if body.len() > MOST_BODY {
            return Err(self.failure(None, Some("request_too_large")));
        }
        if let Some((status, message)) = framing_problem(headers, body) {
            return Err(self.0.told(Refusal::new(status, INVALID, message)));
        }
        if let Some(place) = self.0.place(request.target) {
            let prompt = request::read_at(body, self.0, place).map_err(|refusal| self.0.told(refusal))?;
            let framing = if self.0 == Surface::Bedrock { Framing::EventStream } else { Framing::ServerSentEvents };
            return Ok(Prompt { framing, ..prompt });
        }
        let version = headers.get("anthropic-version").and_then(|value| value.to_str().ok());
        match version {
            None => Err(Refusal::new(400, INVALID, "anthropic-version: header is required")),
            Some(version) if VERSIONS.contains(&version) => request::read(body, version),
            Some(version) => {
                let message = format!("anthropic-version: \"{version}\" is not a valid version");
                Err(Refusal::new(400, INVALID, message))
            }
        }
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        let surface = self.0;
        Box::new(answer::events(prompt, reply, faults).map(move |event| surface.framed(event)))
    }

    fn error(&self, refusal: &Refusal, request_id: &str) -> String {
        self.0.error(refusal, request_id).to_string()
    }

    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event {
        let event = Event::new(Kind::Other, Some("error"), self.error(refusal, request_id));
        self.0.error_event(event, refusal)
    }

    fn ping(&self) -> Event {
        self.0.framed(answer::ping())
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let found = match (error, status) {
            (Some(name), _) => ERRORS.iter().find(|row| row.0 == name),
            (None, Some(status)) => ERRORS.iter().find(|row| row.1 == status).or_else(|| {
                let kind = if status < 500 { INVALID } else { "api_error" };
                ERRORS.iter().find(|row| row.0 == kind)
            }),
            (None, None) => ERRORS.iter().find(|row| row.0 == "overloaded_error"),
        };
        let refusal = match (found, error) {
            (Some((_, own, kind, message)), _) => Refusal::new(status.unwrap_or(*own), kind, *message),
            (None, name) => {
                let name = name.unwrap_or("api_error");
                let refusal = Refusal::new(status.unwrap_or(400), INVALID, format!("The fake was asked for {name}"));
                Refusal { kind: name.to_owned().into(), ..refusal }
            }
        };
        self.0.told(refusal)
    }

    fn request_id(&self, seq: u64) -> String {
        match self.0 {
            Surface::Anthropic => format!("req_011Fake{seq:014}"),
            Surface::Vertex => format!("req_vrtx_011Fake{seq:014}"),
            Surface::Bedrock => format!("fa4e0000-0000-4000-8000-{seq:012x}"),
        }
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self.0 {
            Surface::Anthropic => HEADERS,
            Surface::Vertex => &[("server", "scaffolding on HTTPServer2"), ("x-frame-options", "SAMEORIGIN")],
            Surface::Bedrock => &[],
        }
    }

    fn error_headers(&self, refusal: &Refusal) -> Vec<(&'static str, String)> {
        let wait = refusal.retry_after.map(|seconds| ("retry-after", seconds.to_string()));
        let kind = || ("x-amzn-errortype", format!("{}:http://internal.amazon.com/coral/", refusal.kind));
        wait.into_iter().chain((self.0 == Surface::Bedrock).then(kind)).collect()
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some(if self.0 == Surface::Bedrock { "x-amzn-requestid" } else { "request-id" })
    }
}
