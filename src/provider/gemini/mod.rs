//! Google's Gemini API (`generateContent`) as an upstream, on AI Studio and on Vertex AI: the hub's
//! requests to its shape, its answers, streams and errors to the hub's.
//!
//! Nothing here knows which model is behind a name: what a model takes stands in its [`Target`].
//! References: ai.google.dev's API reference and the types of google-genai 3.4 (python). JSON on the
//! wire is protobuf's: `camelCase`, and fields that are empty are left out.
//!
//! Fields of the API that OpenAI has no name for pass through from the top level of a request, or from
//! `extra_body.google` where Google's own compatibility layer has them, in either spelling:
//! `safety_settings`, `cached_content`, `labels`, `thinking_config`, `media_resolution`, `image_config`, and with
//! Vertex `model_armor_config`, `audio_timestamp` and `routing_config`.

mod citations;
mod error;
mod media;
mod messages;
mod partial;
mod request;
mod response;
mod schema;
mod stream;
mod tools;

use super::{Kind, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;
use crate::provider::{Auth, Setting};

pub const KIND: Kind = Kind {
    name: "gemini",
    translator: &Gemini(Surface::Studio),
    url: "https://generativelanguage.googleapis.com",
    auth: Auth::Header("x-goog-api-key"),
    api_version: Some("v1beta"),
    ..Kind::BASE
};

pub const VERTEX: Kind = Kind {
    name: "vertex",
    translator: &Gemini(Surface::Vertex),
    url: "https://{region}-aiplatform.googleapis.com",
    url_of_region: super::VERTEX_REGIONS,
    api_version: Some("v1"),
    region: Setting::Required,
    project: Setting::Required,
    ..Kind::BASE
};

/// The two places where the API is served; they differ in paths, and in what addresses they fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    Studio,
    Vertex,
}

pub struct Gemini(pub Surface);

/// Whose the state in the ids of tool calls is.
const STATE: &str = "g";

impl Translator for Gemini {
    fn api(&self) -> &'static str {
        "generateContent"
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(chat, target, self.0)
    }

    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::GeminiStream::default())
    }

    fn error(&self, status: u16, _headers: &Headers, body: &[u8]) -> UpstreamError {
        error::read(status, body)
    }
}
