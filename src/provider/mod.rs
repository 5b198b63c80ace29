//! What vendors speak: a registry of provider kinds and the translators between their wire formats
//! and the hub.
//!
//! A new vendor with a known wire format is a row of [`KINDS`]; a new wire format is a file with a
//! [`Translator`]. No file here knows the client's API, Envoy or the clock.

pub mod anthropic;
mod aws;
pub mod bedrock;
pub mod cohere;
pub mod compatible;
pub mod dashscope;
mod distinct;
mod effort;
mod failure;
pub mod gemini;
mod images;
mod meaning;
mod media;
mod offer;
pub mod openai;
mod parameters;
mod path;
mod schema;
mod tolerant;
mod turns;

pub use effort::Effort;

use std::borrow::Cow;

use serde::Serialize;

use crate::chat::{ChatChunk, ChatRequest, ChatResponse, Said, Usage};
use crate::error::{Rejection, UpstreamError};
use crate::headers::Headers;
use crate::json::{Edits, RawValue, Str};
use crate::stream::Frame;

/// Every kind of provider there is: what `kind` in gateway.yaml may name.
pub static KINDS: &[Kind] = &[
    openai::KIND,
    anthropic::KIND,
    anthropic::VERTEX,
    anthropic::BEDROCK,
    bedrock::KIND,
    gemini::KIND,
    gemini::VERTEX,
    cohere::KIND,
    dashscope::KIND,
    dashscope::MULTIMODAL,
    compatible::AZURE,
    compatible::MISTRAL,
    compatible::DEEPSEEK,
    compatible::QWEN,
    compatible::MOONSHOT,
    compatible::ZHIPU,
    compatible::XAI,
    compatible::GROQ,
    compatible::TOGETHER,
    compatible::FIREWORKS,
    compatible::CEREBRAS,
    compatible::NVIDIA,
    compatible::PERPLEXITY,
    compatible::WATSONX,
    compatible::VLLM,
    compatible::SGLANG,
    compatible::OLLAMA,
    compatible::LLAMACPP,
    compatible::OPENAI_COMPATIBLE,
    compatible::OPENROUTER,
    compatible::LITELLM,
    compatible::PORTKEY,
    compatible::TOKENMIX,
    compatible::XIDAO,
];

/// Vertex AI's addresses in the regions whose names are not a part of them (google-genai `_api_client.py`,
/// anthropic-python `lib/vertex`).
const VERTEX_REGIONS: &[(&str, &str)] = &[
    ("global", "https://aiplatform.googleapis.com"),
    ("us", "https://aiplatform.us.rep.googleapis.com"),
    ("eu", "https://aiplatform.eu.rep.googleapis.com"),
];

/// A row of the registry: data only.
pub struct Kind {
    pub name: &'static str,
    pub translator: &'static dyn Translator,
    /// The base address, as the vendor's own SDK takes it; `{region}` stands for the provider's region.
    /// Empty where every customer has an address of their own.
    pub url: &'static str,
    /// Regions whose address is another.
    pub url_of_region: &'static [(&'static str, &'static str)],
    pub auth: Auth,
    /// Whether the API refuses a request without a token limit, so that a model needs `max_output`.
    pub needs_max_output: bool,
    /// Which sampling parameters models of this kind take if their entry does not say.
    pub sampling: &'static [Sampling],
    /// How a model of this kind is told to think if its entry says just `reasoning: true`.
    pub reasoning: Reasoning,
    /// The version of the API, where there are several, if the provider's entry does not say.
    pub api_version: Option<&'static str>,
    pub region: Setting,
    /// The account's project, space or the like.
    pub project: Setting,
}

impl Kind {
    /// What most kinds have in common: the rows name what is different.
    pub const BASE: Kind = Kind {
        name: "",
        translator: &openai::OpenAi(openai::dialect::Dialect::OPENAI),
        url: "",
        url_of_region: &[],
        auth: Auth::Bearer,
        needs_max_output: false,
        sampling: Sampling::ALL,
        reasoning: Reasoning::Effort,
        api_version: None,
        region: Setting::None,
        project: Setting::None,
    };

    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The base address in a region.
    pub fn url_in(&self, region: &str) -> String {
        let other = self.url_of_region.iter().find(|(other, _)| *other == region);
        other.map_or(self.url, |(_, url)| url).replace("{region}", region)
    }
}

/// Whether a provider's entry has a field that some kinds need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    None,
    Optional,
    Required,
}

/// How Envoy presents the credential. No key ever enters the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer KEY`
    Bearer,
    /// The key alone, in this header.
    Header(&'static str),
    /// The request is signed (AWS SigV4) for this service.
    Aws(&'static str),
}

/// How a model is told whether and how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// `reasoning_effort`, or whatever the API calls it: a word.
    Effort,
    /// The model decides, an effort only guides it (Anthropic from Opus 4.7 on).
    Adaptive,
    /// So many tokens (Anthropic before, Gemini 2.5, Qwen).
    Budget,
    /// On or off (DeepSeek, Moonshot, Z.ai).
    Switch,
}

impl Reasoning {
    pub const ALL: &'static [(&'static str, Reasoning)] = &[
        ("effort", Reasoning::Effort),
        ("adaptive", Reasoning::Adaptive),
        ("budget", Reasoning::Budget),
        ("switch", Reasoning::Switch),
    ];
}

/// A sampling parameter that models may or may not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    Temperature,
    TopP,
    TopK,
}

impl Sampling {
    pub const ALL: &'static [Sampling] = &[Sampling::Temperature, Sampling::TopP, Sampling::TopK];

    pub fn name(self) -> &'static str {
        match self {
            Sampling::Temperature => "temperature",
            Sampling::TopP => "top_p",
            Sampling::TopK => "top_k",
        }
    }
}

/// A model as a candidate of one request: everything that an attempt has to know about it. It
/// travels in the plan, so that an attempt needs no configuration of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The model's name in the registry of gateway.yaml.
    pub model: String,
    /// The provider's name there, which is also its Envoy cluster.
    pub provider: String,
    /// The provider's [`Kind`], by name.
    pub kind: String,
    /// What the provider calls the model.
    pub id: String,
    pub scheme: String,
    /// Host, and port where it is not the scheme's own.
    pub authority: String,
    /// The path of the base address, without a slash at its end.
    pub base_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// In tokens, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    pub sampling: Vec<Sampling>,
    /// `None`: it does not think, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// Which efforts it has; empty where that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub efforts: Vec<Effort>,
}

/// A request as a provider is to receive it. The attempt adds what is the same for all
/// (`:authority`, `content-type`, `content-length`, `accept` …).
#[derive(Debug)]
pub struct UpstreamRequest {
    /// Appended to the target's base path; names from a configuration are percent-encoded in it.
    pub path: String,
    /// Besides those that all are sent; an `accept` among them takes the place of the usual one.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Body,
    /// Parameters that were left out, or lowered to the target's limit, because the target has no such
    /// thing. Some of the names are the client's own: only names fit for a header get here.
    pub dropped: Vec<Cow<'static, str>>,
    /// Tools that had to be called by other names: the name that was sent, and the client's.
    pub renamed: Vec<(String, String)>,
}

impl UpstreamRequest {
    pub fn new(path: impl Into<String>, body: Body) -> Self {
        UpstreamRequest { path: path.into(), headers: Vec::new(), body, dropped: Vec::new(), renamed: Vec::new() }
    }
}

#[derive(Debug)]
pub enum Body {
    /// The client's own body with a few changes.
    Edited(Edits),
    Written(Vec<u8>),
}

/// A wire format. Stateless; every call is given all it needs, and the same call gives the same
/// bytes.
pub trait Translator: Sync {
    /// The API's own name.
    fn api(&self) -> &'static str;

    /// Writes the request for `target`. Whatever makes the target unable to serve it is found here,
    /// in the route stage, because an attempt cannot refuse.
    fn request(&self, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection>;

    /// Reads a whole answer to a request that was not streamed. A success without an answer in it is
    /// an error.
    fn response<'a>(&self, body: &'a str) -> Result<ChatResponse<'a>, UpstreamError>;

    /// A reader of one streamed answer.
    fn stream(&self) -> Box<dyn StreamTranslator>;

    /// The same for the answer of a model with this id, where an answer does not name it and its reader has to know.
    fn response_of<'a>(&self, body: &'a str, _id: &str) -> Result<ChatResponse<'a>, UpstreamError> {
        self.response(body)
    }

    /// The same for its streamed answer.
    fn stream_of(&self, _id: &str) -> Box<dyn StreamTranslator> {
        self.stream()
    }

    /// Reads an error answer: what it says, and what class of failure it is. A wait that its body asks
    /// for is told, too; those in headers are read for all providers alike.
    fn error(&self, status: u16, headers: &Headers, body: &[u8]) -> UpstreamError;
}

/// Reads the frames of one streamed answer.
pub trait StreamTranslator {
    /// Tolerant: unknown events are passed over, any plausible form is taken, and what cannot be read
    /// is [`Sink::skipped`]. An error is a failure that the provider reports within the stream.
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError>;

    /// The event of the last frame once more, of which was said that it [repeats](Sink::repeats), with this text
    /// in it: does to the reader's state what reading the frame would, and tells the sink nothing. `usage` is
    /// the value that the event's usage was read from; what it comes to is returned. A reader whose events
    /// another one reads passes this on to it, too.
    fn again(&mut self, _said: &Said<'_>, _usage: Option<&RawValue>) -> Option<Usage> {
        None
    }

    /// The provider's bytes have ended. Formats without a mark for it say [`Sink::done`] here, if all is told.
    fn end(&mut self, _out: &mut dyn Sink) -> Result<(), UpstreamError> {
        Ok(())
    }
}

/// Takes the chunks of a stream as they are read.
pub trait Sink {
    fn chunk(&mut self, chunk: ChatChunk<'_>);

    /// The provider's own mark that the answer is complete (`[DONE]`, `message_stop`).
    fn done(&mut self);

    /// The event that is being read was one text and nothing else: with another text, not empty, in its place,
    /// and other numbers in its usage, the same bytes would be read as the same chunks, and
    /// [`StreamTranslator::again`] can do in place of [`StreamTranslator::frame`]. `padding` is a string in it
    /// that means nothing, and may be another, too.
    fn repeats(&mut self, _padding: Option<Str<'_>>) {}

    /// An event that cannot be read: it is left out and counted. The end of the stream tells whether
    /// anything is missing.
    fn skipped(&mut self);
}
