//! The hub: what every endpoint is parsed into and every provider is translated from and to.
//!
//! It has the shape of OpenAI's Chat Completions API (openai-python `types/chat`). A request keeps
//! its bytes ([`ChatRequest`]); answers are typed, borrow their texts from the provider's bytes and,
//! where the provider speaks this very shape, carry its bytes along so that an unchanged answer is
//! relayed rather than written anew.

pub mod attached;
mod listed;
pub mod request;
pub mod state;

pub use request::ChatRequest;
pub use state::State;

use std::borrow::Cow;

use crate::json::{RawValue, Str};

/// Why a choice ended. OpenAI's SDKs type it as a closed set: nothing else may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    /// Only in answers to requests with the deprecated `functions`.
    FunctionCall,
}

impl FinishReason {
    pub const ALL: &'static [FinishReason] = &[
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ToolCalls,
        FinishReason::ContentFilter,
        FinishReason::FunctionCall,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::FunctionCall => "function_call",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "stop" => FinishReason::Stop,
            "length" => FinishReason::Length,
            "tool_calls" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            "function_call" => FinishReason::FunctionCall,
            _ => return None,
        })
    }
}

/// Tokens, counted as OpenAI counts them: `input` includes `cached_input` and `cache_write`,
/// `output` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached_input: Option<u64>,
    pub cache_write: Option<u64>,
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Whether `json` says this as OpenAI would: whole numbers, and their sum (quirk B27).
    pub fn is_written_as(&self, json: &RawValue) -> bool {
        let mut counts = [None; 3];
        for (key, value) in json.pairs() {
            let [input, output, total] = &mut counts;
            let count = match key.escaped() {
                "prompt_tokens" => input,
                "completion_tokens" => output,
                "total_tokens" => total,
                _ => continue,
            };
            let Ok(number) = value.get().parse() else { return false };
            if count.replace(number).is_some() {
                return false;
            }
        }
        let [input, output, total] = counts;
        self.is_counted_as(input, output, total)
    }

    /// The same of the numbers that are written there.
    pub fn is_counted_as(&self, input: Option<u64>, output: Option<u64>, total: Option<u64>) -> bool {
        let sum = self.input.checked_add(self.output);
        input == Some(self.input) && output == Some(self.output) && total == sum && sum.is_some()
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct ChatResponse<'a> {
    /// The answer as it came, if it came in the hub's own shape.
    pub source: Option<&'a str>,
    /// Whether the source is written as OpenAI writes it, so that it may be relayed.
    pub exact: bool,
    /// Empty if the provider does not say.
    pub id: Str<'a>,
    /// The model that the provider says has answered; empty if it does not.
    pub model: Str<'a>,
    /// Unix seconds; `None` if the provider does not say.
    pub created: Option<u64>,
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage>,
    /// The provider's own usage object, where it counts in another way.
    pub native_usage: Option<&'a str>,
}

impl<'a> ChatResponse<'a> {
    /// Gives it an id and a model, both JSON strings, where the provider does not say.
    pub fn identify(&mut self, id: &'a str, model: &'a str) {
        for (own, given) in [(&mut self.id, id), (&mut self.model, model)] {
            if own.is_empty() {
                *own = Str::parse(given).unwrap_or(Str::EMPTY);
            }
        }
    }
}

#[derive(Debug)]
pub struct Choice<'a> {
    pub index: u32,
    /// Its place in the source's list of choices.
    pub place: Option<usize>,
    pub message: Message<'a>,
    pub finish_reason: FinishReason,
}

/// What the model said. Texts come in pieces (a provider's content blocks) that follow each other.
#[derive(Debug, Default)]
pub struct Message<'a> {
    pub content: Vec<Str<'a>>,
    pub refusal: Option<Str<'a>>,
    pub reasoning: Vec<Str<'a>>,
    pub tool_calls: Vec<ToolCall<'a>>,
    /// Output that has no typed field here: relayed only (audio, the deprecated `function_call`), or in `extra`
    /// (pictures).
    pub other: bool,
    /// Log probabilities as JSON, in OpenAI's shape, which has them beside the message. Those of a source
    /// stay there.
    pub logprobs: Option<Cow<'a, str>>,
    /// Further fields of the message, and their JSON: OpenAI's `annotations`, or a provider's own.
    pub extra: Vec<(&'static str, Cow<'a, str>)>,
}

impl Message<'_> {
    /// Whether it says anything at all.
    pub fn is_empty(&self) -> bool {
        !self.other
            && self.tool_calls.is_empty()
            && self.refusal.is_none_or(Str::is_empty)
            && self.content.iter().chain(&self.reasoning).all(|text| text.is_empty())
    }
}

#[derive(Debug)]
pub struct ToolCall<'a> {
    /// Its place in the source's list of calls.
    pub place: Option<usize>,
    /// Empty if the provider gave none.
    pub id: Str<'a>,
    pub name: Str<'a>,
    pub arguments: Arguments<'a>,
    /// What the provider wants back with this call.
    pub state: Option<State<'a>>,
}

/// A tool call's arguments: OpenAI has a string that holds JSON, others have the JSON.
#[derive(Clone, Copy, Debug)]
pub enum Arguments<'a> {
    Text(Str<'a>),
    Json(&'a str),
}

impl<'a> Arguments<'a> {
    /// As they are written.
    pub fn raw(self) -> &'a str {
        match self {
            Arguments::Text(text) => text.escaped(),
            Arguments::Json(json) => json,
        }
    }
}

/// One item of a streamed answer. Tolerant as it comes from a provider; strict (see
/// [`crate::stream::normalize`]) as it goes to an endpoint.
#[derive(Debug, Default)]
pub struct ChatChunk<'a> {
    /// The chunk as it came, if it came in the hub's own shape.
    pub source: Option<Source<'a>>,
    pub id: Option<Str<'a>>,
    pub model: Option<Str<'a>>,
    pub created: Option<u64>,
    pub choices: Vec<ChunkChoice<'a>>,
    pub usage: Option<Usage>,
    /// The provider's own usage object, where it counts in another way.
    pub native_usage: Option<&'a str>,
}

/// A chunk's own bytes, and how much of them still holds.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub text: &'a str,
    /// The value of `usage`, a slice of `text`, where the key is there (often as `null`).
    pub usage: Option<&'a RawValue>,
    /// Whether the typed fields, `usage` apart, still say what `text` says.
    pub exact: bool,
}

#[derive(Debug, Default)]
pub struct ChunkChoice<'a> {
    pub index: u32,
    /// Its place in the source's list of choices.
    pub place: Option<usize>,
    pub delta: Delta<'a>,
    pub finish_reason: Option<FinishReason>,
}

#[derive(Debug, Default)]
pub struct Delta<'a> {
    /// Whether the delta names the role (always `assistant`).
    pub role: bool,
    pub content: Option<Str<'a>>,
    pub refusal: Option<Str<'a>>,
    pub reasoning: Option<Str<'a>>,
    pub tool_calls: Vec<ToolCallDelta<'a>>,
    /// Output that has no typed field here, as in [`Message::other`].
    pub other: bool,
    /// Log probabilities of this piece, as in [`Message::logprobs`].
    pub logprobs: Option<Cow<'a, str>>,
    /// Further fields, and their JSON. Clients add up deltas: each name comes at most once in a stream, but for
    /// lists whose items have an index.
    pub extra: Vec<(&'static str, Cow<'a, str>)>,
}

impl Delta<'_> {
    /// Whether this is the model's own output: the first such delta is the *first token*.
    pub fn has_output(&self) -> bool {
        let texts = [self.content, self.refusal, self.reasoning];
        self.other || !self.tool_calls.is_empty() || texts.into_iter().flatten().any(|text| !text.is_empty())
    }
}

/// A text that is all that a chunk says, as it is with most of them.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The choice's index.
    pub choice: u32,
    pub said_as: SaidAs,
    pub text: Str<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidAs {
    Content,
    Reasoning,
    /// Of the tool call with this index.
    Arguments(u32),
}

/// A piece of a tool call. `id` and `name` come once, `arguments` are concatenated.
#[derive(Clone, Debug, Default)]
pub struct ToolCallDelta<'a> {
    /// Its place in the source's list of calls.
    pub place: Option<usize>,
    /// As the provider gave it, `None` if it gave none; dense and always there once normalized.
    pub index: Option<u32>,
    pub id: Option<Str<'a>>,
    pub name: Option<Str<'a>>,
    pub arguments: Option<Arguments<'a>>,
    /// Of a custom tool, whose arguments are any text.
    pub is_custom: bool,
    /// What the provider wants back with this call; with the call's first fragment or not at all.
    pub state: Option<State<'a>>,
    /// The first fragment of its call; set by the normalizer.
    pub begins: bool,
}
