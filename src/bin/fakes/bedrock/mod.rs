//! The Bedrock fake: Converse and ConverseStream as strict as AWS, and its words for every no.
//!
//! This file holds the parts of the trait that are data: paths, headers and errors. Reading is in `request` and
//! `blocks`, writing in `answer`, what AWS asks of a signature in `signature`; nothing here knows the other formats.
//!
//! References: botocore 1.44.5's service model, and what Bedrock has been seen to say (issues of botocore, boto3 and
//! strands-agents).

mod answer;
mod blocks;
mod request;
pub mod signature;

use serde_json::{Value, json};

use crate::faults::{Faults, Form, Row, row};
use crate::framing::Framing;
use crate::prompt::{Prompt, Reply};
use crate::provider::{
    Data, Event, Events, Fake, Kind, Operation, State, bearer, chat_if, foreign_header, framing_problem,
};
use crate::strict::Refusal;
use crate::target::{Received, Target};

pub struct Bedrock;

const VALIDATION: &str = "ValidationException";

/// Headers that are for this vendor and for no other.
const OWN_HEADERS: &[&str] = &["authorization", "x-amz-*"];

const FAULTS: &[Row] =
    &[row("done", Form::OneOf(&["missing", "twice", "then_data"])), row("usage", Form::OneOf(&["missing"]))];

/// Errors by name: status, exception, message. The first of a status is what the status alone means.
const ERRORS: &[(&str, u16, &str, &str)] = &[
    (VALIDATION, 400, VALIDATION, "The fake was asked to refuse this request."),
    (
        "context_length_exceeded",
        400,
        VALIDATION,
        "The model returned the following errors: prompt is too long: 210001 tokens > 200000 maximum",
    ),
    (
        "content_filter",
        400,
        VALIDATION,
        "The model returned the following errors: Output blocked by content filtering policy",
    ),
    (
        "insufficient_quota",
        400,
        "ServiceQuotaExceededException",
        "Your request exceeds the service quota for your account.",
    ),
    ("AccessDeniedException", 403, "AccessDeniedException", "User is not authorized to perform: bedrock:InvokeModel"),
    (
        "UnrecognizedClientException",
        403,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ),
    (
        "ResourceNotFoundException",
        404,
        "ResourceNotFoundException",
        "Could not resolve the foundation model from the provided model identifier.",
    ),
    ("ModelTimeoutException", 408, "ModelTimeoutException", "The model took too long to answer."),
    (
        "ConflictException",
        409,
        "ConflictException",
        "Error occurred because of a conflict while performing an operation.",
    ),
    (
        "ModelErrorException",
        424,
        "ModelErrorException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    (
        "ModelStreamErrorException",
        424,
        "ModelStreamErrorException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    ("ThrottlingException", 429, "ThrottlingException", "Too many requests, please wait before trying again."),
    ("ModelNotReadyException", 429, "ModelNotReadyException", "The model is not ready to serve inference requests."),
    (
        "InternalServerException",
        500,
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    ("ServiceUnavailableException", 503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
];

/// The model and whether a stream is asked for: `/model/{modelId}/converse[-stream]`.
fn operation(target: &Target) -> Option<(String, bool)> {
    let named = |verb: &str| target.between("/model/", verb);
    named("/converse").map(|model| (model, false)).or_else(|| named("/converse-stream").map(|model| (model, true)))
}

impl Fake for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn model(&self) -> &'static str {
        "anthropic.claude-fake-v1:0"
    }

    fn provider_settings(&self) -> Value {
        json!({"region": signature::REGION})
    }

    fn model_settings(&self) -> Value {
        json!({"max_output": request::MOST_OUTPUT})
    }

    fn state(&self) -> State {
        State::Signature
    }

    fn default_key(&self) -> &'static str {
        "bedrock-api-key-fake"
    }

    fn faults(&self) -> &'static [&'static [Row]] {
        &[FAULTS]
    }

    fn route(&self, target: &Target) -> Result<Operation, Refusal> {
        chat_if(operation(target).is_some(), self, target)
    }

    /// An API key, or a signature with the key as the secret one.
    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal> {
        let refused =
            |kind: &'static str, message: &str| Err(Refusal { status: 403, ..Refusal::new(403, kind, message) });
        match (bearer(request.headers), request.header("authorization")) {
            (Some(given), _) if given == key => {}
            (Some(_), _) => {
                return refused(
                    "AccessDeniedException",
                    "Authentication failed: Please make sure your API Key is valid.",
                );
            }
            (None, Some(authorization)) => signature::check(request, authorization, key)?,
            (None, None) => return refused("MissingAuthenticationTokenException", "Missing Authentication Token"),
        }
        match foreign_header(request.headers, OWN_HEADERS) {
            Some(name) => {
                let message = format!("{name}: this header does not belong in a request to this provider");
                Err(Refusal::new(400, VALIDATION, message))
            }
            None => Ok(()),
        }
    }

    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal> {
        if let Some((status, message)) = framing_problem(request.headers, request.body) {
            return Err(Refusal::new(status, VALIDATION, message));
        }
        let (model, stream) = operation(request.target).unwrap_or_default();
        let mut prompt = request::read(&model, request.body)?;
        prompt.stream = stream;
        prompt.framing = Framing::EventStream;
        Ok(prompt)
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        answer::events(prompt, reply, faults)
    }

    fn error(&self, refusal: &Refusal, _request_id: &str) -> String {
        json!({"message": refusal.message}).to_string()
    }

    /// Named as a member of the stream's union: its first letter is small.
    fn error_event(&self, refusal: &Refusal, _request_id: &str) -> Event {
        let mut name = refusal.kind.to_string();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let data = Data::Exception(json!({"message": refusal.message}).to_string());
        Event { name: Some(name.into()), data, ..Event::new(Kind::Other, None, String::new()) }
    }

    /// There are none; an event of a type that nobody knows is the nearest.
    fn ping(&self) -> Event {
        Event::comment("unheardOf")
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let found = match (error, status) {
            (Some(name), _) => ERRORS.iter().find(|row| row.0 == name),
            (None, Some(status)) => ERRORS.iter().find(|row| row.1 == status).or_else(|| {
                let kind = if status < 500 { VALIDATION } else { "InternalServerException" };
                ERRORS.iter().find(|row| row.0 == kind)
            }),
            (None, None) => ERRORS.iter().find(|row| row.0 == "ServiceUnavailableException"),
        };
        match (found, error) {
            (Some((_, own, kind, message)), _) => Refusal::new(status.unwrap_or(*own), kind, *message),
            (None, name) => {
                let name = name.unwrap_or("InternalServerException");
                let refusal = Refusal::new(status.unwrap_or(400), VALIDATION, format!("The fake was asked for {name}"));
                Refusal { kind: name.to_owned().into(), ..refusal }
            }
        }
    }

    fn request_id(&self, seq: u64) -> String {
        format!("00000000-fa4e-4000-8000-{seq:012}")
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some("x-amzn-requestid")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn error_headers(&self, refusal: &Refusal) -> Vec<(&'static str, String)> {
        let kind = format!("{}:http://internal.amazon.com/coral/com.amazon.bedrock/", refusal.kind);
        let retry_after = refusal.retry_after.map(|seconds| ("retry-after", seconds.to_string()));
        [("x-amzn-errortype", kind)].into_iter().chain(retry_after).collect()
    }
}
