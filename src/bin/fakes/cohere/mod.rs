//! The Cohere fake: `POST /v2/chat` as strict as the vendor, and its words for every no.
//!
//! This file holds the parts of the trait that are data: headers and errors. Reading is in `request` and
//! `messages`, writing in `answer`; nothing here knows the other formats.

mod answer;
mod messages;
mod request;

use serde_json::json;

use crate::faults::{Faults, Form, Row, SERVER_SENT, row};
use crate::prompt::{Prompt, Reply};
use crate::provider::{Event, Events, Fake, Kind, Operation, State, bearer, chat_if, foreign_header, framing_problem};
use crate::strict::Refusal;
use crate::target::{Received, Target};

pub struct Cohere;

/// Its errors have no types: this is ours, for a request that is wrong.
const INVALID: &str = "invalid_request";

const OWN_HEADERS: &[&str] = &["authorization"];

const FAULTS: &[Row] =
    &[row("done", Form::OneOf(&["missing", "twice", "then_data"])), row("usage", Form::OneOf(&["missing"]))];

/// Like the vendor's, down to one that tells how much of an account is left.
const HEADERS: &[(&str, &str)] = &[
    ("access-control-expose-headers", "X-Debug-Trace-ID"),
    ("cache-control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"),
    ("num_chars", "2593"),
    ("num_tokens", "514"),
    ("server", "envoy"),
    ("vary", "Origin,Accept-Encoding"),
    ("via", "1.1 google"),
    ("x-endpoint-monthly-call-limit", "1000"),
    ("x-trial-endpoint-call-limit", "20"),
    ("x-trial-endpoint-call-remaining", "19"),
    ("x-envoy-upstream-service-time", "312"),
];

/// Errors by name: status and message. The first of a status is what the status alone means.
const ERRORS: &[(&str, u16, &str)] = &[
    (INVALID, 400, "invalid request: the fake was asked to refuse this request."),
    (
        "context_length_exceeded",
        400,
        "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 140001. Try using a \
         shorter prompt, or enabling prompt truncating. See https://docs.cohere.com/reference/generate for more details.",
    ),
    ("invalid_api_key", 401, "invalid api token"),
    (
        "insufficient_quota",
        402,
        "Maximum billing reached for this API key as set in your dashboard, please go to \
         https://dashboard.cohere.com/billing?tab=payment to increase your maximum amount to continue using this API \
         key. Your billing capacity will reset at the beginning of next month.",
    ),
    ("forbidden", 403, "forbidden"),
    (
        "not_found",
        404,
        "model 'command-fake' not found, make sure the correct model ID was used and that you have access to the model.",
    ),
    ("unprocessable", 422, "invalid type: parameter messages is of type string but should be of type array."),
    ("rate_limit", 429, "You are past the per minute request limit, please wait and try again later."),
    (
        "content_filter",
        498,
        "blocked input: please adjust your prompt and try again, as it may be a potential violation of our Usage \
         Guidelines (https://docs.cohere.ai/usage-guidelines/).",
    ),
    ("cancelled", 499, "request cancelled"),
    ("server_error", 500, "internal server error, this has been reported to our developers."),
    ("not_implemented", 501, "not implemented"),
    ("overloaded", 503, "The model is overloaded, please try again later."),
    ("timeout", 504, "gateway timeout"),
];

impl Fake for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn model(&self) -> &'static str {
        "command-fake"
    }

    fn state(&self) -> State {
        State::Text
    }

    fn default_key(&self) -> &'static str {
        "co-fake"
    }

    fn faults(&self) -> &'static [&'static [Row]] {
        &[SERVER_SENT, FAULTS]
    }

    fn route(&self, target: &Target) -> Result<Operation, Refusal> {
        chat_if(target.path() == "/v2/chat", self, target)
    }

    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal> {
        let failure = self.failure(None, Some("invalid_api_key"));
        match bearer(request.headers) {
            None => return Err(Refusal { message: "no api key supplied".to_owned(), ..failure }),
            Some(given) if given != key => return Err(failure),
            Some(_) => {}
        }
        match foreign_header(request.headers, OWN_HEADERS) {
            Some(name) => {
                let message =
                    format!("invalid request: the header {name} does not belong in a request to this provider");
                Err(Refusal::new(400, INVALID, message))
            }
            None => Ok(()),
        }
    }

    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal> {
        match framing_problem(request.headers, request.body) {
            Some((status, message)) => Err(Refusal::new(status, INVALID, message)),
            None => request::read(request.body),
        }
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        answer::events(prompt, reply, faults)
    }

    fn error(&self, refusal: &Refusal, request_id: &str) -> String {
        json!({"id": request_id, "message": refusal.message}).to_string()
    }

    /// The end of a stream that has failed has the reason in it.
    fn error_event(&self, refusal: &Refusal, _request_id: &str) -> Event {
        let delta = json!({"finish_reason": "ERROR", "error": refusal.message});
        Event::new(Kind::Other, Some("message-end"), json!({"type": "message-end", "delta": delta}).to_string())
    }

    fn ping(&self) -> Event {
        Event::comment("ping")
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let found = match (error, status) {
            (Some(name), _) => ERRORS.iter().find(|row| row.0 == name),
            (None, Some(status)) => ERRORS.iter().find(|row| row.1 == status).or_else(|| {
                let name = if status < 500 { INVALID } else { "server_error" };
                ERRORS.iter().find(|row| row.0 == name)
            }),
            (None, None) => ERRORS.iter().find(|row| row.0 == "overloaded"),
        };
        match found {
            Some((name, own, message)) => Refusal::new(status.unwrap_or(*own), name, *message),
            None => {
                let name = error.unwrap_or(INVALID);
                Refusal::new(status.unwrap_or(400), INVALID, format!("invalid request: the fake was asked for {name}"))
            }
        }
    }

    fn request_id(&self, seq: u64) -> String {
        format!("fa4e0000-0000-4000-8000-{seq:012x}")
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some("x-debug-trace-id")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }
}
