//! The OpenAI fake: `POST /v1/chat/completions` as strict as the vendor, and its words for every no.
//!
//! This file holds the parts of the trait that are data: headers, errors, models. Reading is in
//! `request` and `messages`, writing in `answer`; nothing here knows the other provider.

mod answer;
mod messages;
mod request;

use hyper::HeaderMap;
use serde_json::json;

use crate::faults::Faults;
use crate::prompt::{Prompt, Reply};
use crate::provider::{Data, Event, Events, Fake, Kind, bearer, foreign_header, framing_problem};
use crate::strict::Refusal;

pub struct OpenAi;

const INVALID: &str = "invalid_request_error";

/// Credentials of others and what a proxy adds about itself or its client: none of it is OpenAI's to see.
const FOREIGN_HEADERS: &[&str] = &[
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "x-amz-*",
    "anthropic-*",
    "x-envoy-*",
    "x-forwarded-*",
    "forwarded",
    "x-dragoman-*",
];

/// Like the vendor's, down to one that names the account and one that sets a cookie.
const HEADERS: &[(&str, &str)] = &[
    ("openai-organization", "org-fake-secret"),
    ("openai-project", "proj_fake_secret"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999900"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "1m0.5s"),
    ("set-cookie", "__cf_bm=fake-cookie; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None"),
    ("server", "cloudflare"),
    ("cf-ray", "8f00fake0000-AMS"),
    ("alt-svc", "h3=\":443\"; ma=86400"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
];

/// Errors by name: status, `type`, `code`, message.
const ERRORS: &[(&str, u16, &str, Option<&str>, &str)] = &[
    (
        "context_length_exceeded",
        400,
        INVALID,
        Some("context_length_exceeded"),
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. \
         Please reduce the length of the messages.",
    ),
    (
        "content_filter",
        400,
        INVALID,
        Some("content_filter"),
        "The response was filtered due to the prompt triggering our content management policy.",
    ),
    (
        "content_policy_violation",
        400,
        INVALID,
        Some("content_policy_violation"),
        "Your request was rejected as a result of our safety system.",
    ),
    ("invalid_api_key", 401, INVALID, Some("invalid_api_key"), "Incorrect API key provided: sk-fake-********."),
    (
        "unsupported_country_region_territory",
        403,
        "request_forbidden",
        Some("unsupported_country_region_territory"),
        "Country, region, or territory not supported",
    ),
    (
        "model_not_found",
        404,
        INVALID,
        Some("model_not_found"),
        "The model does not exist or you do not have access to it.",
    ),
    (
        "insufficient_quota",
        429,
        "insufficient_quota",
        Some("insufficient_quota"),
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    (
        "rate_limit_exceeded",
        429,
        "requests",
        Some("rate_limit_exceeded"),
        "Rate limit reached for requests in organization org-fake-secret on requests per min (RPM): Limit 500, \
         Used 500, Requested 1. Please try again in 120ms.",
    ),
    ("tokens", 429, "tokens", Some("rate_limit_exceeded"), "Rate limit reached on tokens per min (TPM)."),
    (
        "server_error",
        500,
        "server_error",
        Some("server_error"),
        "The server had an error while processing your request. Sorry about that!",
    ),
    (
        "slow_down",
        503,
        "server_error",
        Some("slow_down"),
        "The engine is currently overloaded, please try again later.",
    ),
];

impl Fake for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn chat_path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn default_key(&self) -> &'static str {
        "sk-fake-openai"
    }

    fn check_headers(&self, headers: &HeaderMap, key: &str) -> Result<(), Refusal> {
        match bearer(headers) {
            None => {
                let message = "You didn't provide an API key. You need to provide your API key in an Authorization \
                               header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
                return Err(Refusal::new(401, INVALID, message).code("invalid_api_key"));
            }
            Some(given) if given != key => return Err(self.failure(None, Some("invalid_api_key"))),
            Some(_) => {}
        }
        let foreign = foreign_header(headers, FOREIGN_HEADERS);
        let twice = (headers.get_all("authorization").iter().count() > 1).then_some("authorization");
        match foreign.or(twice) {
            Some(name) => {
                let message = format!("Header '{name}' does not belong in a request to this provider");
                Err(Refusal::new(400, INVALID, message).code("foreign_header").param(name))
            }
            None => Ok(()),
        }
    }

    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<Prompt, Refusal> {
        if let Some((status, message)) = framing_problem(headers, body) {
            return Err(Refusal::new(status, INVALID, message));
        }
        request::read(body)
    }

    fn models(&self) -> Option<String> {
        let model = |id| json!({"id": id, "object": "model", "created": answer::CREATED, "owned_by": "fake"});
        Some(json!({"object": "list", "data": [model("gpt-fake"), model("gpt-fake-mini")]}).to_string())
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        answer::events(prompt, reply, faults)
    }

    fn error(&self, refusal: &Refusal, _request_id: &str) -> String {
        let Refusal { kind, code, param, message, .. } = refusal;
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
    }

    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event {
        Event::new(Kind::Other, None, self.error(refusal, request_id))
    }

    fn ping(&self) -> Event {
        Event { kind: Kind::Other, name: None, data: Data::Comment("ping") }
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let name = error.unwrap_or(match status {
            Some(401) => "invalid_api_key",
            Some(403) => "unsupported_country_region_territory",
            Some(404) => "model_not_found",
            Some(429) => "rate_limit_exceeded",
            Some(503) => "slow_down",
            Some(400..=499) => INVALID,
            _ => "server_error",
        });
        match ERRORS.iter().find(|row| row.0 == name) {
            Some((_, own, kind, code, message)) => {
                Refusal { code: code.map(Into::into), ..Refusal::new(status.unwrap_or(*own), kind, *message) }
            }
            None => Refusal {
                kind: name.to_owned().into(),
                ..Refusal::new(status.unwrap_or(400), INVALID, format!("The fake was asked for {name}"))
            },
        }
    }

    fn request_id(&self, seq: u64) -> String {
        format!("req_{seq:032x}")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }
}
