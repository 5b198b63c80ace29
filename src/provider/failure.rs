//! What the error answers of all providers have in common: how their bodies are read, what a status
//! means, and what of it a client is told. Which words mean what is each translator's own business.

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::{Class, ErrorReply, UpstreamError};
use crate::json::{self, Object, RawValue, Str, Type};

/// What an error body says, as far as it can be read.
#[derive(Debug, Default)]
pub struct Said {
    pub message: Option<String>,
    pub kind: Option<String>,
    pub code: Option<String>,
    pub param: Option<String>,
}

/// Reads an error answer in any of the usual shapes. A body that is no JSON says nothing but its status.
pub fn said(status: u16, body: &[u8]) -> Said {
    let mut said = read(body);
    said.message.get_or_insert_with(|| match status {
        400.. => format!("The provider answered with status {status}."),
        _ => "The provider reported an error without a message.".to_owned(),
    });
    said
}

fn read(body: &[u8]) -> Said {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(borrow)]
        param: Option<&'a RawValue>,
    }

    let Ok(fields) = Object::parse(body) else { return Said::default() };
    let error = match fields.get("error") {
        Some(error) if json::type_of(error) == Type::String => {
            return Said { message: Str::new(error).map(|text| text.decode().into_owned()), ..Said::default() };
        }
        Some(error) => error.get().as_bytes(),
        None => body,
    };
    let Ok(wire) = serde_json::from_slice::<Wire<'_>>(error) else { return Said::default() };
    // Some send the code as a number (quirk C12).
    let word = |value: Option<&RawValue>| {
        value.map(|value| Str::new(value).map_or_else(|| value.get().to_owned(), |text| text.decode().into_owned()))
    };
    Said { message: word(wire.message), kind: word(wire.kind), code: word(wire.code), param: word(wire.param) }
}

/// The class of an error and the status a client is given for it, told by the provider's status alone.
pub fn class_of(status: u16) -> (Class, u16) {
    match status {
        429 => (Class::RateLimited, 429),
        402 => (Class::Quota, 429),
        401 | 403 => (Class::Misconfigured, 502),
        404 => (Class::Misconfigured, 404),
        408 | 409 | 500 => (Class::Transient, 502),
        424 | 502 | 503 | 504 | 529 => (Class::Unreachable, if status == 504 { 504 } else { 503 }),
        400..=499 => (Class::Rejected, status),
        _ => (Class::Transient, 502),
    }
}

/// The failure as a client is told it: in the provider's words, except where those are about our own
/// configuration or where a client depends on OpenAI's.
pub fn tell(class: Class, status: u16, said: Said) -> UpstreamError {
    let message = said.message.unwrap_or_default();
    let (kind, code): (Cow<'static, str>, Option<Cow<'static, str>>) = match class {
        // The client's key is not at fault and the provider's words about ours are not for the client.
        Class::Misconfigured if status == 502 => {
            return UpstreamError::new(
                class,
                502,
                "server_error",
                "upstream_auth_error",
                "The gateway's credential was refused by the provider.",
            );
        }
        Class::Misconfigured => ("invalid_request_error".into(), Some("model_not_found".into())),
        Class::Quota => ("insufficient_quota".into(), Some("insufficient_quota".into())),
        _ => (
            said.kind.filter(|kind| !kind.is_empty()).map_or_else(|| default_kind(status).into(), Cow::Owned),
            said.code.map(Cow::Owned),
        ),
    };
    let param = said.param.filter(|param| param != "null");
    let code = code.filter(|code| code != "null");
    UpstreamError { class, reply: ErrorReply { status, kind, code, param, message }, retry_after: None }
}

fn default_kind(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}
