//! OpenAI's Chat Completions API as an upstream (openai-python `types/chat`, `_streaming`).
//!
//! The hub has this very shape, so a request is the client's own body with the model's name replaced,
//! and an answer is relayed. What is read from answers is read tolerantly: this folder also serves
//! whoever else speaks this format, each in a [`Dialect`] of its own, which says what else of the body has
//! to be changed.

pub mod dialect;
pub mod echo;
mod messages;
mod request;
mod response;
mod stream;
mod wire;

use super::failure::{self, Said};
use super::meaning;
use super::{Kind, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;
use dialect::Dialect;
use echo::Collector;

pub const KIND: Kind = Kind {
    name: "openai",
    translator: &OpenAi(Dialect { renamed_thinking: dialect::LIMIT_OF_ALL, ..Dialect::OPENAI }),
    url: "https://api.openai.com/v1",
    ..Kind::BASE
};

/// The format in a vendor's dialect.
pub struct OpenAi(pub Dialect);

impl Translator for OpenAi {
    fn api(&self) -> &'static str {
        "Chat Completions"
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(chat, target, &self.0)
    }

    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body, self.0.echo)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::OpenAiStream { collector: Collector::new(self.0.echo) })
    }

    fn error(&self, status: u16, _headers: &Headers, body: &[u8]) -> UpstreamError {
        error(status, body)
    }
}

fn error(status: u16, body: &[u8]) -> UpstreamError {
    classify(status, failure::said(status, body))
}

/// An error that is reported within an answer of status 200 (quirks C1 to C7).
fn reported(body: &[u8]) -> UpstreamError {
    error(200, body)
}

/// The class and the client-facing status of an error.
fn classify(status: u16, said: Said) -> UpstreamError {
    if let Some(meaning) = meaning::of(status, &said) {
        return failure::meant(meaning, status, said);
    }
    // An error within a 200 is judged by its code or type.
    let status = match status {
        200..=299 => {
            let code = said.code.as_deref().and_then(|code| code.parse().ok());
            match (code.filter(|code| (400..=599).contains(code)), said.kind.as_deref()) {
                (Some(code), _) => code,
                (None, Some("invalid_request_error")) => 400,
                // What fails half way is not asked again at the same place.
                _ => 502,
            }
        }
        status => status,
    };
    let (class, status) = failure::class_of(status);
    failure::tell(class, status, said)
}
