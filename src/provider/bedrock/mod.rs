//! Bedrock's Converse and ConverseStream as an upstream: the hub's requests to their shape, their answers,
//! binary streams and errors to the hub's.
//!
//! Converse is one shape for models of many makers, and what it has no name for goes to the model as it is, in
//! `additionalModelRequestFields`. Which names a model knows depends on its maker, which its id tells: the rows of
//! [`MAKERS`]. Everything else that a model takes stands in its [`Target`].
//!
//! What clients may send along under Bedrock's own names: `guardrailConfig`, `performanceConfig`, `requestMetadata`,
//! `promptVariables`, `serviceTier`, `additionalModelRequestFields` and `additionalModelResponseFieldPaths`; of Claude's
//! `thinking` and `anthropic_beta`, of Nova's `reasoningConfig`; parts of a message whose type is that of a content
//! block (`{"type":"video","video":{…}}`, `guardContent`, `searchResult`, `document`, `image`, `audio`, `cachePoint`);
//! `citations` and `context` on a file, `cache_control` or `prompt_cache_breakpoint` on parts and tools, `is_error` on
//! a tool's result. Of an answer, `citations`, `trace` and `additionalModelResponseFields` come on the message.
//!
//! References: the service model `bedrock-runtime` 2023-09-30 in botocore 1.44.5, and Amazon's API reference.

mod cache;
mod citations;
mod messages;
mod reasoning;
mod request;
mod response;
mod stream;
mod thoughts;
mod tools;

use super::aws as error;
use super::{Auth, Kind, Reasoning, Setting, StreamTranslator, Target, Translator, UpstreamRequest};
use crate::chat::{ChatRequest, ChatResponse};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;

pub const KIND: Kind = Kind {
    name: "bedrock",
    translator: &Bedrock,
    url: "https://bedrock-runtime.{region}.amazonaws.com",
    auth: Auth::Aws("bedrock"),
    reasoning: Reasoning::Adaptive,
    region: Setting::Required,
    ..Kind::BASE
};

/// What a maker's models have names of their own for.
struct Maker {
    /// What of a model's id tells it, wherever it stands: ids have prefixes of regions, and ARNs have them inside.
    mark: &'static str,
    /// Where `top_k` stands among the additional fields.
    top_k: &'static [&'static str],
    thinks: Thinks,
    caches: Caches,
    /// Whether the Messages API's own `tool_choice` can say what Converse's cannot.
    is_claude: bool,
    /// Whether a turn may have words besides calls of tools, or their results.
    mixes: bool,
}

/// How a request says how much to think.
#[derive(Clone, Copy, PartialEq)]
enum Thinks {
    /// `thinking` and Bedrock's own `outputConfig.effort`.
    Claude,
    /// `reasoningConfig`.
    Nova,
    /// `reasoning_effort`.
    GptOss,
    /// `reasoning.effort`.
    Gpt,
    /// Bedrock's own `outputConfig.effort`.
    Effort,
}

/// What takes cache points (Bedrock user guide, prompt caching, supported models).
#[derive(Clone, Copy, PartialEq)]
enum Caches {
    /// System, messages and tools, for as long as is asked for.
    All,
    /// System and messages, for five minutes.
    Messages,
    None,
}

const OTHER: Maker =
    Maker { mark: "", top_k: &[], thinks: Thinks::Effort, caches: Caches::None, is_claude: false, mixes: true };

/// The first whose mark is in the id. `top_k`: the inference parameters of each model in the Bedrock user guide.
/// `reasoning_effort` and `reasoning`: OpenAI's two generations there; `reasoningConfig`: Nova 2.
const MAKERS: &[Maker] = &[
    Maker {
        mark: "anthropic.",
        top_k: &["top_k"],
        thinks: Thinks::Claude,
        caches: Caches::All,
        is_claude: true,
        ..OTHER
    },
    Maker {
        mark: "amazon.nova",
        top_k: &["inferenceConfig", "topK"],
        thinks: Thinks::Nova,
        caches: Caches::Messages,
        ..OTHER
    },
    Maker { mark: "mistral.", top_k: &["top_k"], ..OTHER },
    Maker { mark: "cohere.", top_k: &["k"], ..OTHER },
    Maker { mark: "openai.gpt-oss", thinks: Thinks::GptOss, ..OTHER },
    Maker { mark: "openai.", thinks: Thinks::Gpt, ..OTHER },
    // "Conversation blocks and tool result blocks cannot be provided in the same turn."
    Maker { mark: "meta.llama", mixes: false, ..OTHER },
];

/// An ARN that names no model: a customer's own inference profile, a provisioned or an imported model. Most are
/// Claude's, and what its entry says of thinking and clients say of caching is believed.
const UNKNOWN: Maker = Maker { mark: "arn:", thinks: Thinks::Claude, caches: Caches::All, ..OTHER };

fn maker(id: &str) -> &'static Maker {
    let known = MAKERS.iter().find(|maker| id.contains(maker.mark));
    known.unwrap_or_else(|| {
        let names_a_model = ["foundation-model/", ":inference-profile/"].iter().any(|kind| id.contains(kind));
        if id.starts_with(UNKNOWN.mark) && !names_a_model { &UNKNOWN } else { &OTHER }
    })
}

pub struct Bedrock;

impl Translator for Bedrock {
    fn api(&self) -> &'static str {
        "Converse"
    }

    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
        request::translate(chat, target)
    }

    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body, "")
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(stream::BedrockStream::new(""))
    }

    fn response_of<'a>(&self, body: &'a str, id: &str) -> Result<ChatResponse<'a>, UpstreamError> {
        response::read(body, id)
    }

    fn stream_of(&self, id: &str) -> Box<dyn StreamTranslator> {
        Box::new(stream::BedrockStream::new(id))
    }

    fn error(&self, status: u16, headers: &Headers, body: &[u8]) -> UpstreamError {
        error::read(status, headers.get("x-amzn-errortype"), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_maker_wherever_it_stands() {
        for (id, mark) in [
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic."),
            ("global.anthropic.claude-opus-4-8", "anthropic."),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon.nova"),
            ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x-v1:0", "anthropic."),
            ("openai.gpt-oss-120b-1:0", "openai.gpt-oss"),
            ("us.openai.gpt-5.2", "openai."),
            ("meta.llama4-scout-17b-instruct-v1:0", "meta.llama"),
            ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama4-v1:0", "meta.llama"),
            ("deepseek.v3-v1:0", ""),
            ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3", "arn:"),
            ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/a1b2c3", "arn:"),
        ] {
            assert_eq!(maker(id).mark, mark, "{id}");
        }
    }
}
