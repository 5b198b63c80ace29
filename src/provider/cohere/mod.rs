//! Cohere's v2 chat API as an upstream: the hub's requests to its shape, its answers, streams and errors to
//! the hub's.
//!
//! Of Cohere's own fields these go through as the client wrote them: `documents`, `citation_options`,
//! `safety_mode`, `priority`, `thinking`, `strict_tools`, `k` and `p`; in messages an assistant's `tool_plan`
//! and `citations`, and `document` parts of tool results. What the model cites comes back as the
//! message's `citations`. Plans and thoughts that led to tool calls ride on the first call's id, so that
//! the next turn has them. References: docs.cohere.com/reference and the types of cohere-python 7.3.

mod error;
mod messages;
mod request;
mod response;
mod stream;

use super::schema::{self, Dialect};
use super::{Kind, Reasoning, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;

pub const KIND: Kind = Kind {
    name: "cohere",
    translator: &Cohere,
    url: "https://api.cohere.com",
    reasoning: Reasoning::Budget,
    ..Kind::BASE
};

pub struct Cohere;

/// Whose state it is that rides on the id of a tool call: `{"tool_plan":…,"thinking":…}`.
const TAG: &str = "co";

/// Structured outputs, unsupported schema features.
const SCHEMA: Dialect = Dialect {
    takes: |key, value| match key {
        "allOf" | "minItems" => false,
        "format" => matches!(value.get(), "\"date-time\"" | "\"uuid\"" | "\"date\"" | "\"time\""),
        "pattern" => !["^", "$", "?=", "?!"].iter().any(|part| value.get().contains(part)),
        _ => schema::is_common(key, value),
    },
    closes: false,
};

impl Translator for Cohere {
    fn api(&self) -> &'static str {
        "Chat v2"
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(chat, target)
    }

    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::CohereStream::default())
    }

    fn error(&self, status: u16, _headers: &Headers, body: &[u8]) -> UpstreamError {
        error::read(status, body)
    }
}
