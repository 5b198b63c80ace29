//! The DashScope fakes: generation as strict as the vendor, and its words for every no.
//!
//! Two models of Qwen's: one lives behind text generation, the other, which has eyes, behind multimodal
//! generation. This file holds the parts of the trait that are data: headers and errors. Reading is in
//! `request` and `messages`, writing in `answer`; nothing here knows the other formats.

mod answer;
mod messages;
mod request;

use serde_json::json;

use crate::faults::{Faults, Form, Row, SERVER_SENT, row};
use crate::prompt::{Prompt, Reply};
use crate::provider::{Event, Events, Fake, Kind, Operation, State, bearer, chat_if, foreign_header, framing_problem};
use crate::strict::Refusal;
use crate::target::{Received, Target};

pub struct DashScope {
    pub multimodal: bool,
}

const INVALID: &str = "InvalidParameter";

const TEXT: &str = "/api/v1/services/aigc/text-generation/generation";
const MULTIMODAL: &str = "/api/v1/services/aigc/multimodal-generation/generation";

const OWN_HEADERS: &[&str] = &["authorization"];

const FAULTS: &[Row] = &[row("usage", Form::OneOf(&["missing"]))];

const HEADERS: &[(&str, &str)] = &[
    ("req-arrive-time", "1767225600000"),
    ("req-cost-time", "1290"),
    ("resp-start-time", "1767225601290"),
    ("server", "istio-envoy"),
    ("vary", "Origin,Access-Control-Request-Method,Access-Control-Request-Headers, Accept-Encoding"),
    ("x-dashscope-call-gateway", "true"),
    ("x-dashscope-finished", "true"),
    ("x-envoy-upstream-service-time", "1288"),
];

/// Errors by name: status, code and message. The first of a status is what the status alone means.
const ERRORS: &[(&str, u16, &str, &str)] = &[
    (INVALID, 400, INVALID, "The fake was asked to refuse this request."),
    (
        "context_length_exceeded",
        400,
        INVALID,
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
    ),
    ("content_filter", 400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    (
        "insufficient_quota",
        400,
        "Arrearage",
        "Access denied, please make sure your account is in good standing. For details, see: \
         https://help.aliyun.com/zh/model-studio/error-code#overdue-payment",
    ),
    ("InvalidApiKey", 401, "InvalidApiKey", "Invalid API-key provided."),
    ("AccessDenied", 403, "Model.AccessDenied", "Model access denied."),
    ("ModelNotFound", 404, "ModelNotFound", "Model can not be found."),
    ("Throttling", 429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    (
        "InternalError",
        500,
        "InternalError",
        "An internal error has occured, please try again later or contact service support.",
    ),
    (
        "ModelServingError",
        503,
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
    ),
];

/// What is wrong with a request for a stream is told as an event, under a label of JSON: such a refusal's
/// parameter, which this format does not have otherwise.
const AS_EVENT: &str = "event";

impl Fake for DashScope {
    fn name(&self) -> &'static str {
        if self.multimodal { "dashscope-multimodal" } else { "dashscope" }
    }

    fn format(&self) -> &'static str {
        "dashscope"
    }

    fn base_path(&self) -> &'static str {
        "/api/v1"
    }

    fn model(&self) -> &'static str {
        if self.multimodal { "qwen-vl-fake" } else { "qwen-fake" }
    }

    fn state(&self) -> State {
        State::Text
    }

    fn lacks(&self) -> &'static [&'static str] {
        if self.multimodal { &[] } else { &["images", "image_urls"] }
    }

    fn default_key(&self) -> &'static str {
        "sk-dashscope-fake"
    }

    fn faults(&self) -> &'static [&'static [Row]] {
        &[SERVER_SENT, FAULTS]
    }

    fn route(&self, target: &Target) -> Result<Operation, Refusal> {
        chat_if([TEXT, MULTIMODAL].contains(&target.path()), self, target)
    }

    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal> {
        let failure = self.failure(None, Some("InvalidApiKey"));
        match bearer(request.headers) {
            None => return Err(Refusal { message: "No API-key provided.".to_owned(), ..failure }),
            Some(given) if given != key => return Err(failure),
            Some(_) => {}
        }
        match foreign_header(request.headers, OWN_HEADERS) {
            Some(name) => {
                let message = format!("The header {name} does not belong in a request to this provider.");
                Err(Refusal::new(400, INVALID, message))
            }
            None => Ok(()),
        }
    }

    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal> {
        if let Some((status, message)) = framing_problem(request.headers, request.body) {
            return Err(Refusal::new(status, INVALID, message));
        }
        let streams = request.header("x-dashscope-sse") == Some("enable")
            || request.header("accept").is_some_and(|accept| accept.contains("text/event-stream"));
        let prompt = request::read(request.body, request.target.path() == MULTIMODAL, streams);
        prompt.map_err(|refusal| if streams { refusal.param(AS_EVENT) } else { refusal })
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(self, prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        answer::events(self, prompt, reply, faults)
    }

    fn error(&self, refusal: &Refusal, request_id: &str) -> String {
        let error = json!({"code": refusal.kind, "message": refusal.message, "request_id": request_id});
        match refusal.param.as_deref() {
            Some(AS_EVENT) => format!("id:1\nevent:error\n:HTTP_STATUS/{}\ndata:{error}\n\n", refusal.status),
            _ => error.to_string(),
        }
    }

    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event {
        let comment = match refusal.status {
            400 => "HTTP_STATUS/400",
            429 => "HTTP_STATUS/429",
            503 => "HTTP_STATUS/503",
            _ => "HTTP_STATUS/500",
        };
        let event = Event::new(Kind::Other, Some("error"), self.error(refusal, request_id));
        Event { comment: Some(comment), glued: true, ..event }
    }

    fn ping(&self) -> Event {
        Event::comment("keep-alive")
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let found = match (error, status) {
            (Some(name), _) => ERRORS.iter().find(|row| row.0 == name),
            (None, Some(status)) => ERRORS.iter().find(|row| row.1 == status).or_else(|| {
                let name = if (400..500).contains(&status) { INVALID } else { "InternalError" };
                ERRORS.iter().find(|row| row.0 == name)
            }),
            (None, None) => ERRORS.iter().find(|row| row.0 == "ModelServingError"),
        };
        match found {
            Some((_, own, code, message)) => Refusal::new(status.unwrap_or(*own), code, *message),
            None => {
                let name = error.unwrap_or(INVALID);
                let refusal = Refusal::new(status.unwrap_or(400), INVALID, format!("The fake was asked for {name}."));
                Refusal { kind: name.to_owned().into(), ..refusal }
            }
        }
    }

    fn request_id(&self, seq: u64) -> String {
        format!("fa4e0000-0000-9000-8000-{seq:012x}")
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some("x-request-id")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        HEADERS
    }
}
