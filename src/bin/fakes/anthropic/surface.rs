//! Where the Messages API is served: by the vendor, on Vertex, on Bedrock. The body is the same but for a few
//! fields, answers are the same but for their framing, and errors are in the words of whoever serves them.
//!
//! Vertex and Bedrock have the model and the verb in the path and the version in the body. Vertex writes
//! errors as Google does where they are its own, Bedrock as AWS does (service model `bedrock-runtime`).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{INVALID, WITHOUT_SAMPLING};
use crate::provider::{Data, Event};
use crate::strict::Refusal;
use crate::target::Target;

#[derive(Clone, Copy, PartialEq)]
pub enum Surface {
    Anthropic,
    Vertex,
    Bedrock,
}

/// What a path says.
pub struct Place {
    pub model: String,
    pub stream: bool,
}

impl Surface {
    /// The versions that may stand in a body.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Surface::Anthropic => &[],
            Surface::Vertex => &["vertex-2023-10-16", WITHOUT_SAMPLING],
            Surface::Bedrock => &["bedrock-2023-05-31", WITHOUT_SAMPLING],
        }
    }

    /// The model of a path, if it is one for chat.
    pub fn place(self, target: &Target) -> Option<Place> {
        match self {
            Surface::Anthropic => None,
            Surface::Vertex => {
                let rest = target.after("/v1/projects/")?;
                let (project, rest) = rest.split_once("/locations/")?;
                let (location, rest) = rest.split_once("/publishers/anthropic/models/")?;
                let (model, verb) = rest.rsplit_once(':')?;
                let is_name = |name: &str| !name.is_empty() && !name.contains('/');
                let stream = match verb {
                    "rawPredict" => false,
                    "streamRawPredict" => true,
                    _ => return None,
                };
                let whole = is_name(project) && is_name(location) && is_name(model);
                whole.then(|| Place { model: model.to_owned(), stream })
            }
            Surface::Bedrock => {
                let model = |verb| target.between("/model/", verb);
                match model("/invoke") {
                    Some(model) => Some(Place { model, stream: false }),
                    None => Some(Place { model: model("/invoke-with-response-stream")?, stream: true }),
                }
            }
        }
    }

    /// The vendor's name of a model: Bedrock has others before it, and a version behind.
    pub fn model(self, model: &str) -> Option<&str> {
        match self {
            Surface::Bedrock => model.get(model.find("claude-").filter(|at| *at > 0)?..),
            _ => model.starts_with("claude-").then_some(model),
        }
    }

    /// The vendor's error as this place tells it: another status, type or text.
    pub fn told(self, refusal: Refusal) -> Refusal {
        match self {
            Surface::Anthropic => refusal,
            // The vendor's own words about a request are passed on.
            Surface::Vertex => {
                let kind = match (refusal.status, &*refusal.kind) {
                    (400, INVALID) | (_, "request_too_large") => return refusal,
                    (401, _) => "UNAUTHENTICATED",
                    (403, _) => "PERMISSION_DENIED",
                    (404, _) => "NOT_FOUND",
                    (429, _) => "RESOURCE_EXHAUSTED",
                    (503 | 529, _) => "UNAVAILABLE",
                    (504, _) => "DEADLINE_EXCEEDED",
                    (500.., _) => "INTERNAL",
                    _ => return refusal,
                };
                Refusal { kind: kind.into(), ..refusal }
            }
            Surface::Bedrock => {
                let quota = refusal.message.contains("credit balance") || refusal.kind == "billing_error";
                let (status, kind) = match &*refusal.kind {
                    _ if quota => (400, "ServiceQuotaExceededException"),
                    "authentication_error" => (403, "UnrecognizedClientException"),
                    "permission_error" => (403, "AccessDeniedException"),
                    "not_found_error" => (404, "ResourceNotFoundException"),
                    "conflict_error" => (400, "ConflictException"),
                    "rate_limit_error" => (429, "ThrottlingException"),
                    "api_error" => (500, "InternalServerException"),
                    "overloaded_error" => (503, "ServiceUnavailableException"),
                    "timeout_error" => (408, "ModelTimeoutException"),
                    _ => (400, "ValidationException"),
                };
                let message = match &*refusal.message {
                    text if text.starts_with("prompt is too long") => "Input is too long for requested model.".into(),
                    _ if quota => "You have exceeded a service quota of your account for this model.".into(),
                    text => text.to_owned(),
                };
                // A status that was asked for stays.
                let status = if refusal.status == own_status(&refusal.kind) { status } else { refusal.status };
                Refusal { status, kind: kind.into(), message, ..refusal }
            }
        }
    }

    /// The body of an error.
    pub fn error(self, refusal: &Refusal, request_id: &str) -> Value {
        let Refusal { kind, message, status, .. } = refusal;
        let googles = self == Surface::Vertex && kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        match self {
            Surface::Vertex if googles => json!({"error": {"code": status, "message": message, "status": kind}}),
            Surface::Bedrock => json!({"message": message}),
            _ => json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}),
        }
    }

    /// An event in this place's framing.
    pub fn framed(self, event: Event) -> Event {
        match (self, &event.data) {
            (Surface::Bedrock, Data::Line(data)) => {
                // The padding hides how long the token is.
                let bytes = STANDARD.encode(data);
                let padding = "abcdefghijklmnopqrstuvwxyz".get(..data.len() % 26).unwrap_or_default();
                let data = Data::Line(json!({"bytes": bytes, "p": padding}).to_string());
                Event { name: Some(Cow::Borrowed("chunk")), data, ..event }
            }
            _ => event,
        }
    }

    /// An error in the middle of a stream.
    pub fn error_event(self, event: Event, refusal: &Refusal) -> Event {
        match self {
            Surface::Bedrock => {
                let mut name = refusal.kind.to_string();
                name.get_mut(..1).into_iter().for_each(str::make_ascii_lowercase);
                let data = Data::Exception(json!({"message": refusal.message}).to_string());
                Event { name: Some(Cow::Owned(name)), data, ..event }
            }
            _ => event,
        }
    }
}

/// The status that the vendor has for a type.
fn own_status(kind: &str) -> u16 {
    super::ERRORS.iter().find(|row| row.2 == kind).map_or(400, |row| row.1)
}
