//! Qwen through DashScope's own API as an upstream: the hub's requests to its shape, its answers, streams and
//! errors to the hub's.
//!
//! It is there for what the compatible mode lacks: log probabilities and several answers at once, images and
//! sound by their addresses, search results, thoughts that stay in the conversation. A model lives behind
//! one of two addresses, text generation or multimodal generation, and nothing but its documentation tells
//! which: there is a kind for each. A conversation with images, sound or PDFs always goes to the second.
//!
//! Of DashScope's own parameters these go through as the client wrote them: [`request::OWN`]. What a search
//! found comes back as the message's `search_info`. Thoughts that led to tool calls ride on the first
//! call's id, and go back as `reasoning_content` to models that think; `preserve_thinking` makes them count.
//! References: help.aliyun.com/model-studio and dashscope-python 2.0.

mod error;
mod messages;
mod request;
mod response;
mod stream;

use super::{Kind, Reasoning, Setting, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;

/// For models of text alone (`qwen-plus`, `qwen3-max`).
pub const KIND: Kind = Kind {
    name: "dashscope",
    translator: &DashScope { multimodal: false },
    url: "https://dashscope-intl.aliyuncs.com/api/v1",
    reasoning: Reasoning::Budget,
    // The workspace, where a key is good for several.
    project: Setting::Optional,
    ..Kind::BASE
};

/// For models that see or hear, and all from Qwen3.5 on, texts included.
pub const MULTIMODAL: Kind = Kind { name: "dashscope-multimodal", translator: &DashScope { multimodal: true }, ..KIND };

pub struct DashScope {
    /// Whether conversations of text alone go to multimodal generation, too.
    multimodal: bool,
}

/// Whose state it is that rides on the id of a tool call: the thoughts, a JSON string.
const TAG: &str = "q";

impl Translator for DashScope {
    fn api(&self) -> &'static str {
        if self.multimodal { "DashScope multimodal generation" } else { "DashScope text generation" }
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(chat, target, self.multimodal)
    }

    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body)
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::DashScopeStream::default())
    }

    fn error(&self, status: u16, _headers: &Headers, body: &[u8]) -> UpstreamError {
        error::read(status, body)
    }
}
