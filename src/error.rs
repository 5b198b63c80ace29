//! The two ways in which a request can fail, and the only texts about failures that a client sees.
//!
//! A [`Rejection`] is our no to the client: the request cannot be served as asked. An
//! [`UpstreamError`] is what a provider did wrong, with the [`Class`] that decides what happens next.
//! Both become an [`ErrorReply`], which an endpoint renders in its own shape.

use std::borrow::Cow;
use std::time::Duration;

/// An error as a client is told it, in OpenAI's terms
/// (`{"error":{"message","type","param","code"}}`, openai-python `APIError`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    pub status: u16,
    /// Its `type`.
    pub kind: Cow<'static, str>,
    pub code: Option<Cow<'static, str>>,
    pub param: Option<String>,
    pub message: String,
}

/// What one target said before another was asked, as a client is told it beside the last failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    pub model: &'a str,
    pub reply: &'a ErrorReply,
}

/// The client's request cannot be served as asked. The message is written for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub status: u16,
    pub code: &'static str,
    pub param: Option<String>,
    pub message: String,
}

impl Rejection {
    /// A value that is there but cannot be used.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Rejection { status: 400, code: "invalid_value", param: Some(param.into()), message: message.into() }
    }

    /// A parameter that no candidate can honour, where leaving it out would change the answer's contract.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Rejection { status: 400, code: "unsupported_parameter", param: Some(param.into()), message: message.into() }
    }

    pub fn missing(param: &str) -> Self {
        Rejection {
            status: 400,
            code: "missing_required_parameter",
            param: Some(param.into()),
            message: format!("Missing required parameter: '{param}'."),
        }
    }

    pub fn reply(&self) -> ErrorReply {
        ErrorReply {
            status: self.status,
            kind: "invalid_request_error".into(),
            code: Some(self.code.into()),
            param: self.param.clone(),
            message: self.message.clone(),
        }
    }
}

/// What went wrong at a provider; one row of the table in `docs/failures.md`, one next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 500, 408, 409: the same request may well succeed.
    Transient,
    /// Refused, unresolved, reset, 502, 503, 504, 424, 529: this target is not there now.
    Unreachable,
    /// 429.
    RateLimited,
    /// 402, `insufficient_quota`: waiting does not help.
    Quota,
    /// No first token, or no whole answer, within the limit.
    Silent,
    /// An answer that is not one: an HTML page, broken JSON, an empty or truncated stream.
    Malformed,
    /// The context is longer than the model's window.
    TooLarge,
    /// The provider's no to the client's request: content filter, invalid parameter.
    Rejected,
    /// The provider's no to *our* configuration: bad credential, unknown model.
    Misconfigured,
}

impl Class {
    pub const ALL: &'static [Class] = &[
        Class::Transient,
        Class::Unreachable,
        Class::RateLimited,
        Class::Quota,
        Class::Silent,
        Class::Malformed,
        Class::TooLarge,
        Class::Rejected,
        Class::Misconfigured,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Class::Transient => "transient",
            Class::Unreachable => "unreachable",
            Class::RateLimited => "rate_limited",
            Class::Quota => "quota",
            Class::Silent => "silent",
            Class::Malformed => "malformed",
            Class::TooLarge => "too_large",
            Class::Rejected => "rejected",
            Class::Misconfigured => "misconfigured",
        }
    }
}

/// A provider failed, in words that a client may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    pub class: Class,
    pub reply: ErrorReply,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

impl UpstreamError {
    pub fn new(class: Class, status: u16, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        let reply =
            ErrorReply { status, kind: kind.into(), code: Some(code.into()), param: None, message: message.into() };
        UpstreamError { class, reply, retry_after: None }
    }

    /// An answer that is not one.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Class::Malformed, 502, "server_error", "bad_upstream_response", message)
    }
}
