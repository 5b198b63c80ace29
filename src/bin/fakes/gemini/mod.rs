//! The Gemini fake: `generateContent` as strict as Google, on AI Studio and on Vertex AI.
//!
//! This file holds the parts of the trait that are data: paths, headers and errors. Reading is in
//! `request`, `contents` and `schema`, writing in `answer`; nothing here knows the other formats.

mod answer;
mod contents;
mod request;
mod schema;

use serde_json::{Value, json};

use crate::faults::{Faults, Form, Row, SERVER_SENT, row};
use crate::framing::Framing;
use crate::prompt::{Prompt, Reply};
use crate::provider::{
    Event, Events, Fake, Kind, Operation, State, bearer, chat_if, foreign_header, framing_problem, nothing_at,
};
use crate::strict::Refusal;
use crate::target::{Received, Target};

/// Where the API is served: the paths, the credentials and some fields are different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    Studio,
    Vertex,
}

pub struct Gemini(pub Surface);

const PROJECT: &str = "fake-project-1";
const REGION: &str = "europe-west4";

/// The limit on a request whose data is within it.
const MOST_BODY: usize = 20 << 20;

const FAULTS: &[Row] = &[row("usage", Form::OneOf(&["missing"]))];

const HEADERS: &[(&str, &str)] = &[
    ("vary", "Origin, X-Origin, Referer"),
    ("server", "scaffolding on HTTPServer2"),
    ("x-xss-protection", "0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-content-type-options", "nosniff"),
    ("server-timing", "gfet4t7; dur=582"),
    ("alt-svc", "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000"),
];

/// Errors by name: status, `status`, message, and a reason or a quota's name for the details. The first of
/// a status is what the status alone means.
const ERRORS: &[(&str, u16, &str, &str, Option<&str>)] = &[
    ("invalid_argument", 400, INVALID, "The fake was asked to refuse this request.", None),
    (
        "context_length_exceeded",
        400,
        INVALID,
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        None,
    ),
    (
        "content_filter",
        400,
        INVALID,
        "The prompt could not be submitted. This prompt contains sensitive words that violate Google's Responsible AI \
         practices.",
        None,
    ),
    ("api_key_invalid", 400, INVALID, "API key not valid. Please pass a valid API key.", Some("API_KEY_INVALID")),
    (
        "unauthenticated",
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
         authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        Some("ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ),
    (
        "permission_denied",
        403,
        "PERMISSION_DENIED",
        "Generative Language API has not been used in project fake-project-1 before or it is disabled.",
        Some("SERVICE_DISABLED"),
    ),
    ("not_found", 404, "NOT_FOUND", "models/gemini-fake is not found for API version v1beta.", None),
    ("aborted", 409, "ABORTED", "The operation was aborted.", None),
    (
        "resource_exhausted",
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details. \n* Quota exceeded for metric: \
         generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 10",
        Some("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
    ),
    (
        "insufficient_quota",
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details. \n* Quota exceeded for metric: \
         generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 250",
        Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
    ),
    ("cancelled", 499, "CANCELLED", "The operation was cancelled.", None),
    ("internal", 500, "INTERNAL", "An internal error has occurred. Please retry or report.", None),
    ("unavailable", 503, "UNAVAILABLE", "The model is overloaded. Please try again later.", None),
    ("deadline_exceeded", 504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", None),
];

const INVALID: &str = "INVALID_ARGUMENT";

impl Gemini {
    /// The model and the verb of a path.
    fn asked(&self, target: &Target) -> Option<(String, String)> {
        let rest = match self.0 {
            Surface::Studio => ["/v1beta/models/", "/v1/models/"].iter().find_map(|start| target.after(start)),
            Surface::Vertex => ["v1", "v1beta1"].iter().find_map(|version| {
                let within = format!("/{version}/projects/{PROJECT}/locations/{REGION}/publishers/google/models/");
                target.after(&within)
            }),
        }?;
        let (model, verb) = rest.rsplit_once(':')?;
        Some((model.to_owned(), verb.to_owned()))
    }

    fn own_headers(&self) -> &'static [&'static str] {
        match self.0 {
            Surface::Studio => &["x-goog-*"],
            Surface::Vertex => &["authorization", "x-goog-api-client", "x-goog-user-project"],
        }
    }
}

impl Fake for Gemini {
    fn name(&self) -> &'static str {
        match self.0 {
            Surface::Studio => "gemini",
            Surface::Vertex => "vertex",
        }
    }

    fn format(&self) -> &'static str {
        "gemini"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn model(&self) -> &'static str {
        "gemini-fake"
    }

    fn provider_settings(&self) -> Value {
        match self.0 {
            Surface::Studio => json!({}),
            Surface::Vertex => json!({"project": PROJECT, "region": REGION}),
        }
    }

    fn state(&self) -> State {
        State::Signature
    }

    fn default_key(&self) -> &'static str {
        match self.0 {
            Surface::Studio => "AIzaFake",
            Surface::Vertex => "ya29.fake",
        }
    }

    fn faults(&self) -> &'static [&'static [Row]] {
        &[SERVER_SENT, FAULTS]
    }

    fn route(&self, target: &Target) -> Result<Operation, Refusal> {
        let verb = self.asked(target).map(|(_, verb)| verb);
        let found = verb.is_some_and(|verb| matches!(verb.as_str(), "generateContent" | "streamGenerateContent"));
        chat_if(found, self, target)
    }

    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal> {
        let (given, name) = match self.0 {
            Surface::Studio => (request.header("x-goog-api-key"), "api_key_invalid"),
            Surface::Vertex => (bearer(request.headers), "unauthenticated"),
        };
        match given {
            Some(given) if given == key => {}
            None if self.0 == Surface::Studio => {
                let message = "Method doesn't allow unregistered callers (callers without established identity). Please \
                               use API Key or other form of API consumer identity to call this API.";
                return Err(Refusal::new(403, "PERMISSION_DENIED", message));
            }
            _ => return Err(self.failure(None, Some(name))),
        }
        match foreign_header(request.headers, self.own_headers()) {
            Some(name) => {
                let message = format!("{name}: this header does not belong in a request to this provider");
                Err(Refusal::new(400, INVALID, message))
            }
            None => Ok(()),
        }
    }

    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal> {
        let (model, verb) = self.asked(request.target).ok_or_else(|| nothing_at(self, request.target))?;
        if request.body.len() > MOST_BODY {
            let message = format!("Request payload size exceeds the limit: {MOST_BODY} bytes.");
            return Err(Refusal::new(400, INVALID, message));
        }
        if let Some((_, message)) = framing_problem(request.headers, request.body) {
            return Err(Refusal::new(400, INVALID, message));
        }
        let mut prompt = request::read(request.body, &model, self.0)?;
        prompt.stream = verb == "streamGenerateContent";
        let alt = request.target.parameter("alt");
        prompt.framing = match alt.as_deref() {
            Some("sse") => Framing::ServerSentEvents,
            _ if !prompt.stream => Framing::ServerSentEvents,
            _ => Framing::JsonArray,
        };
        Ok(prompt)
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(self.0, prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        answer::events(self.0, prompt, reply, faults)
    }

    fn error(&self, refusal: &Refusal, _request_id: &str) -> String {
        // Within an answer of status 200 the number is the one that the word stands for.
        let of_word = || ERRORS.iter().find(|row| row.2 == refusal.kind).map_or(500, |row| row.1);
        let code = if refusal.status == 200 { of_word() } else { refusal.status };
        let mut error = json!({"code": code, "message": refusal.message, "status": refusal.kind});
        let mut details = Vec::new();
        if let Some(reason) = refusal.code.as_deref() {
            details.push(match reason.contains("PerProject") {
                true => json!({
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": reason, "quotaDimensions": {"location": "global"}, "quotaValue": "10"}],
                }),
                false => json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason,
                    "domain": "googleapis.com",
                }),
            });
        }
        if let Some(seconds) = refusal.retry_after {
            let delay = format!("{seconds}s");
            details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
        }
        if let (false, Some(fields)) = (details.is_empty(), error.as_object_mut()) {
            fields.insert("details".to_owned(), json!(details));
        }
        answer::pretty(&json!({"error": error}))
    }

    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event {
        let error: Value = serde_json::from_str(&self.error(refusal, request_id)).unwrap_or_default();
        Event::new(Kind::Other, None, error.to_string())
    }

    fn ping(&self) -> Event {
        Event::comment("")
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let found = match (error, status) {
            (Some(name), _) => ERRORS.iter().find(|row| row.0 == name),
            (None, Some(status)) => ERRORS.iter().find(|row| row.1 == status).or_else(|| {
                let name = if status < 500 { "invalid_argument" } else { "internal" };
                ERRORS.iter().find(|row| row.0 == name)
            }),
            (None, None) => ERRORS.iter().find(|row| row.0 == "unavailable"),
        };
        match found {
            Some((_, own, word, message, detail)) => {
                let refusal = Refusal::new(status.unwrap_or(*own), word, *message);
                Refusal { code: detail.map(Into::into), ..refusal }
            }
            None => {
                let name = error.unwrap_or("internal");
                let refusal = Refusal::new(status.unwrap_or(400), INVALID, format!("The fake was asked for {name}"));
                Refusal { kind: name.to_uppercase().into(), ..refusal }
            }
        }
    }

    fn request_id(&self, seq: u64) -> String {
        format!("fake-{seq}")
    }

    /// There is none but the answer's own.
    fn request_id_header(&self) -> Option<&'static str> {
        None
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }

    /// When to come again stands in the error.
    fn error_headers(&self, _refusal: &Refusal) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn json_type(&self) -> &'static str {
        "application/json; charset=UTF-8"
    }
}
