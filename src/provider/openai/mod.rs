//! OpenAI's Chat Completions API as an upstream (openai-python `types/chat`, `_streaming`).
//!
//! The hub has this very shape, so a request is the client's own body with the model's name replaced,
//! and an answer is relayed. What is read from answers is read tolerantly: this file also serves
//! whoever else speaks this format, each with deviations of its own.

mod response;
mod stream;
mod wire;

use super::failure::{self, Said};
use super::meaning;
use super::{Body, Kind, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse, state};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;
use crate::json::{self, Edits, Object, RawValue};

pub const KIND: Kind = Kind { name: "openai", translator: &OpenAi, url: "https://api.openai.com/v1", ..Kind::BASE };

pub struct OpenAi;

impl Translator for OpenAi {
    fn api(&self) -> &'static str {
        "Chat Completions"
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        let mut edits = Edits::default();
        let mut model = json::escape(&target.id);
        if chat.stream && !chat.include_usage {
            match chat.field_or_null("stream_options") {
                // A new pair goes behind the model's name, which is being replaced anyway.
                None => model.push_str(r#","stream_options":{"include_usage":true}"#),
                Some(options) => {
                    if let Some(range) = json::span(chat.body, options.get()) {
                        edits.replace(range, with_usage(options));
                    }
                }
            }
        }
        if let Some(range) = json::span(chat.body, chat.model.raw()) {
            edits.replace(range, model);
        }
        if state::is_in(chat.body) {
            // What cannot be read is the provider's to refuse.
            for message in chat.messages().unwrap_or_default() {
                let ids = message.tool_calls.iter().map(|call| call.id).chain(message.tool_call_id);
                for (id, plain) in ids.filter_map(|id| Some((id, state::plain_json(id)?))) {
                    if let Some(range) = json::span(chat.body, id.raw()) {
                        edits.replace(range, plain);
                    }
                }
            }
        }
        Ok(UpstreamRequest::new("/chat/completions", Body::Edited(edits)))
    }

    fn response<'a>(&self, body: &'a [u8]) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::OpenAiStream)
    }

    fn error(&self, status: u16, _headers: &Headers, body: &[u8]) -> UpstreamError {
        classify(status, failure::said(status, body))
    }
}

/// `stream_options` with `include_usage` set and everything else as it was.
fn with_usage(options: &RawValue) -> String {
    let text = options.get().as_bytes();
    let Ok(fields) = Object::parse(text) else { return r#"{"include_usage":true}"#.into() };
    let mut edits = Edits::default();
    match fields.get("include_usage").and_then(|value| json::span(text, value.get())) {
        Some(range) => edits.replace(range, "true"),
        None if fields.is_empty() => edits.replace(1..1, r#""include_usage":true"#),
        None => edits.replace(1..1, r#""include_usage":true,"#),
    }
    String::from_utf8(edits.apply(text)).unwrap_or_else(|_| r#"{"include_usage":true}"#.into())
}

/// An error that is reported within an answer of status 200 (quirks C1 to C7).
fn reported(body: &[u8]) -> UpstreamError {
    OpenAi.error(200, &Headers::default(), body)
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
