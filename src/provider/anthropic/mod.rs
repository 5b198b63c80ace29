//! Anthropic's Messages API as an upstream: the hub's requests to its shape, its answers, streams and
//! errors to the hub's.
//!
//! Nothing here knows which model is behind a name: what a model takes stands in its [`Target`].
//! References: the API documentation on platform.claude.com and the types of anthropic-sdk-python 2.11.

mod error;
mod messages;
mod request;
mod response;
mod stream;
mod tools;

use super::schema::{self, Dialect};
use super::{Auth, Kind, Reasoning, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;

pub const KIND: Kind = Kind {
    name: "anthropic",
    translator: &Anthropic,
    url: "https://api.anthropic.com",
    auth: Auth::Header("x-api-key"),
    needs_max_output: true,
    // Models from Opus 4.7 on refuse every one of them: a model that takes some says so in its entry.
    sampling: &[],
    reasoning: Reasoning::Adaptive,
    api_version: Some("2023-06-01"),
    ..Kind::BASE
};

pub struct Anthropic;

/// What structured outputs take of JSON Schema (JSON schema limitations; anthropic-sdk-python
/// `lib/_parse/_transform.py` does the same on the client's side).
const SCHEMA: Dialect = Dialect {
    takes: |key, value| match key {
        "minItems" => value.get().parse::<f64>().is_ok_and(|least| least <= 1.0),
        _ => schema::is_common(key, value),
    },
    closes: true,
};

impl Translator for Anthropic {
    fn api(&self) -> &'static str {
        "Messages"
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(chat, target)
    }

    fn response<'a>(&self, body: &'a [u8]) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::AnthropicStream::default())
    }

    fn error(&self, status: u16, _headers: &Headers, body: &[u8]) -> UpstreamError {
        error::read(status, body)
    }
}
