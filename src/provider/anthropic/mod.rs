//! Anthropic's Messages API as an upstream: the hub's requests to its shape, its answers, streams and
//! errors to the hub's. The same API is served by Anthropic, on Vertex and on Bedrock.
//!
//! Nothing here knows which model is behind a name: what a model takes stands in its [`Target`].
//! References: the API documentation on platform.claude.com and the types of anthropic-sdk-python 2.11.
//!
//! # What clients may send in Anthropic's own words
//!
//! | field | |
//! |---|---|
//! | `thinking` | goes on as it is, and holds against `reasoning_effort`, which is then the effort alone |
//! | `output_config` | goes on, its `effort` before `reasoning_effort`; its `format` besides `response_format` is refused |
//! | `cache_control` | on parts, messages, tools and the request; the last four; OpenAI's `prompt_cache_breakpoint` counts as well |
//! | `anthropic_beta` | a list or a string: the header of that name, a field at Bedrock |
//! | `top_k`, `metadata.user_id`, `service_tier: standard_only` | as OpenAI's fields beside them |
//! | `mcp_servers`, `container`, `context_management`, `compaction`, `inference_geo`, `diagnostics` | go on as they are |
//! | on a tool: `eager_input_streaming`, `defer_loading`, `allowed_callers`, `input_examples` | go on as they are |
//! | on a `file` part: `title`, `context`, `citations` | of the document that it becomes |
//! | parts of the types `document`, `image`, `search_result` | go on as they are |
//! | on a message: `is_error` of a tool's, `thinking_blocks` or `reasoning_details` of an assistant's | |
//!
//! Answers have, where there is something to say: `thinking_blocks` (each with its `model`), `citations`,
//! `stop_sequence`, `stop_details`, `container` and `context_management` on the message, and the counts as Anthropic
//! makes them in `usage.provider_usage`.

mod cache;
mod citations;
mod content;
mod error;
mod invoke;
mod messages;
mod request;
mod response;
mod stream;
mod surface;
mod thinking;
mod tools;

use super::aws;
use super::{Auth, Kind, Reasoning, Setting, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;
use surface::Surface;
pub use surface::betas;

pub const KIND: Kind = Kind {
    name: "anthropic",
    translator: &Anthropic(Surface::Anthropic),
    url: "https://api.anthropic.com",
    auth: Auth::Header("x-api-key"),
    needs_max_output: true,
    // Models from Opus 4.7 on refuse every one of them: a model that takes some says so in its entry.
    sampling: &[],
    reasoning: Reasoning::Adaptive,
    api_version: Some("2023-06-01"),
    ..Kind::BASE
};

/// Claude on Google Cloud.
pub const VERTEX: Kind = Kind {
    name: "anthropic-vertex",
    translator: &Anthropic(Surface::Vertex),
    url: "https://{region}-aiplatform.googleapis.com",
    url_of_region: super::VERTEX_REGIONS,
    auth: Auth::Bearer,
    api_version: Some("vertex-2023-10-16"),
    region: Setting::Required,
    project: Setting::Required,
    ..KIND
};

/// Claude on Bedrock, by InvokeModel.
pub const BEDROCK: Kind = Kind {
    name: "anthropic-bedrock",
    translator: &Anthropic(Surface::Bedrock),
    url: "https://bedrock-runtime.{region}.amazonaws.com",
    auth: Auth::Aws("bedrock"),
    api_version: Some("bedrock-2023-05-31"),
    region: Setting::Required,
    ..KIND
};

pub struct Anthropic(Surface);

impl Translator for Anthropic {
    fn api(&self) -> &'static str {
        match self.0 {
            Surface::Anthropic => "Messages",
            Surface::Vertex => "Messages on Vertex",
            Surface::Bedrock => "Messages on Bedrock",
        }
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(self.0, chat, target)
    }

    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        match self.0 {
            Surface::Anthropic | Surface::Vertex => Box::new(stream::AnthropicStream::default()),
            Surface::Bedrock => Box::new(invoke::InvokeStream::default()),
        }
    }

    fn error(&self, status: u16, headers: &Headers, body: &[u8]) -> UpstreamError {
        match self.0 {
            Surface::Anthropic | Surface::Vertex => error::read(status, body),
            Surface::Bedrock => aws::read(status, headers.get("x-amzn-errortype"), body),
        }
    }
}
