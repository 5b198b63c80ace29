//! OpenAI's Chat Completions API as an upstream (openai-python `types/chat`, `_streaming`).
//!
//! The hub has this very shape, so a request is the client's own body with the model's name replaced,
//! and an answer is relayed. What is read from answers is read tolerantly: this file also serves
//! whoever else speaks this format, each with deviations of its own.

use serde::Deserialize;

use super::{Auth, Body, Kind, Sampling, Sink, StreamTranslator, Target, Translator, UpstreamRequest, failure};
use crate::chat::{
    Arguments, ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Delta, FinishReason, Message, Source,
    ToolCall, ToolCallDelta, Usage,
};
use crate::error::{Class, Rejection, UpstreamError};
use crate::json::{self, Edits, Object, RawValue, Str, Type};
use crate::stream::Frame;

pub const KIND: Kind = Kind {
    name: "openai",
    translator: &OpenAi,
    url: "https://api.openai.com/v1",
    auth: Auth::Bearer,
    needs_max_output: false,
    sampling: Sampling::ALL,
};

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
        Ok(UpstreamRequest {
            path: "/chat/completions".into(),
            headers: &[],
            body: Body::Edited(edits),
            dropped: Vec::new(),
        })
    }

    fn response<'a>(&self, body: &'a [u8]) -> Result<ChatResponse<'a>, UpstreamError> {
        let answer: WireResponse<'a> = serde_json::from_slice(body).map_err(|error| {
            UpstreamError::malformed(format!("The provider's answer is not a chat completion: {error}."))
        })?;
        if answer.error.is_some_and(is_error) {
            return Err(self.error(200, body));
        }
        let choices: Vec<_> = answer.choices.unwrap_or_default().into_iter().filter_map(WireChoice::read).collect();
        if choices.iter().all(|choice| choice.message.is_empty() && choice.finish_reason == FinishReason::Stop) {
            return Err(UpstreamError::malformed("The provider's answer is empty."));
        }
        Ok(ChatResponse {
            source: Some(body),
            id: answer.id.and_then(Str::new).unwrap_or(Str::EMPTY),
            model: answer.model.and_then(Str::new).unwrap_or(Str::EMPTY),
            created: answer.created.and_then(json::whole_number),
            choices,
            usage: answer.usage.and_then(usage),
        })
    }

    fn stream(&self) -> Box<dyn StreamTranslator> {
        Box::new(OpenAiStream)
    }

    fn error(&self, status: u16, body: &[u8]) -> UpstreamError {
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

struct OpenAiStream;

impl StreamTranslator for OpenAiStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let data = frame.data.trim();
        if data.trim_matches('"').starts_with("[DONE]") {
            out.done();
            return Ok(());
        }
        // Not a chunk: skipped, as SDKs do with what they cannot read; the end of the stream tells
        // whether anything is missing.
        let Ok(chunk) = serde_json::from_str::<WireChunk<'_>>(data) else { return Ok(()) };
        if chunk.error.is_some_and(is_error) || chunk.object.is_some_and(|object| object.get() == "\"error\"") {
            return Err(OpenAi.error(200, data.as_bytes()));
        }
        let choices = chunk.choices.unwrap_or_default();
        let exact = choices.iter().all(WireChunkChoice::is_exact);
        out.chunk(ChatChunk {
            source: Some(Source { text: data, usage: chunk.usage.map(RawValue::get), exact }),
            id: chunk.id.and_then(Str::new),
            model: chunk.model.and_then(Str::new),
            created: chunk.created.and_then(json::whole_number),
            choices: choices.into_iter().map(WireChunkChoice::read).collect(),
            usage: chunk.usage.and_then(usage),
        });
        Ok(())
    }
}

#[derive(Deserialize)]
struct WireResponse<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<WireChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    message: Option<WireMessage<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// A message, or a delta of one.
#[derive(Deserialize, Default)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<WireToolCall<'a>>>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireToolCall<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<WireFunction<'a>>,
}

#[derive(Deserialize, Default)]
struct WireFunction<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireChunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<WireChunkChoice<'a>>>,
    #[serde(default, borrow, deserialize_with = "json::present")]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireChunkChoice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    delta: Option<WireMessage<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> WireChoice<'a> {
    fn read(self) -> Option<Choice<'a>> {
        let message = self.message?;
        let calls = message.tool_calls.unwrap_or_default();
        let tool_calls: Vec<_> = calls.into_iter().filter_map(WireToolCall::call).collect();
        Some(Choice {
            index: self.index.unwrap_or(0),
            finish_reason: finish_reason(self.finish_reason).unwrap_or(FinishReason::Stop),
            message: Message {
                content: text(message.content).into_iter().collect(),
                refusal: text(message.refusal),
                reasoning: text(message.reasoning_content).or(text(message.reasoning)).into_iter().collect(),
                tool_calls,
            },
        })
    }
}

impl<'a> WireChunkChoice<'a> {
    /// Whether it is written as OpenAI writes it, so that its text may stand for what was read.
    fn is_exact(&self) -> bool {
        let Some(delta) = &self.delta else { return false };
        let calls = delta.tool_calls.as_deref();
        self.index.is_some()
            && self.finish_reason.is_none_or(|reason| FinishReason::parse(trim_quotes(reason)).is_some())
            && delta.role.is_none_or(|role| role.get() == "\"assistant\"")
            && delta.content.is_none_or(|content| json::type_of(content) == Type::String)
            && calls.is_none_or(|calls| !calls.is_empty() && calls.iter().all(WireToolCall::is_exact))
    }

    fn read(self) -> ChunkChoice<'a> {
        let delta = self.delta.unwrap_or_default();
        let calls = delta.tool_calls.unwrap_or_default();
        ChunkChoice {
            index: self.index.unwrap_or(0),
            delta: Delta {
                role: text(delta.role).is_some_and(|role| !role.is_empty()),
                content: text(delta.content),
                refusal: text(delta.refusal),
                reasoning: text(delta.reasoning_content).or(text(delta.reasoning)),
                tool_calls: calls.into_iter().map(WireToolCall::delta).collect(),
                other: delta.audio.is_some() || delta.function_call.is_some(),
            },
            finish_reason: finish_reason(self.finish_reason),
        }
    }
}

impl<'a> WireToolCall<'a> {
    fn is_exact(&self) -> bool {
        let is_text = |value: Option<&RawValue>| value.is_none_or(|value| json::type_of(value) == Type::String);
        let function = self.function.as_ref();
        let blank = |value: Option<&RawValue>| value.is_some_and(|value| value.get() == "\"\"");
        self.index.is_some()
            && !blank(self.id)
            && function.is_none_or(|function| is_text(function.arguments) && !blank(function.name))
    }

    fn call(self) -> Option<ToolCall<'a>> {
        let function = self.function?;
        Some(ToolCall {
            id: text(self.id).unwrap_or(Str::EMPTY),
            name: text(function.name)?,
            arguments: function.arguments.map_or(Arguments::Json("{}"), arguments),
        })
    }

    fn delta(self) -> ToolCallDelta<'a> {
        let function = self.function.unwrap_or_default();
        let not_empty = |text: &Str<'_>| !text.is_empty();
        ToolCallDelta {
            index: self.index,
            id: text(self.id).filter(not_empty),
            name: text(function.name).filter(not_empty),
            arguments: function.arguments.map(arguments),
            begins: false,
        }
    }
}

/// A string, or from some the object itself (quirk B16).
fn arguments(value: &RawValue) -> Arguments<'_> {
    Str::new(value).map_or(Arguments::Json(value.get()), Arguments::Text)
}

fn trim_quotes(value: &RawValue) -> &str {
    value.get().trim_matches('"')
}

fn text<'a>(value: Option<&'a RawValue>) -> Option<Str<'a>> {
    value.and_then(Str::new)
}

/// Unknown reasons count as `stop`; `""` and `"null"` as none (quirks B20, B21).
fn finish_reason(value: Option<&RawValue>) -> Option<FinishReason> {
    let reason = text(value)?.decode();
    match reason.as_ref() {
        "" | "null" => None,
        "model_length" => Some(FinishReason::Length),
        "sensitive" => Some(FinishReason::ContentFilter),
        reason => Some(FinishReason::parse(reason).unwrap_or(FinishReason::Stop)),
    }
}

fn usage(value: &RawValue) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        prompt_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        completion_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        prompt_tokens_details: Option<Details<'a>>,
        #[serde(borrow)]
        completion_tokens_details: Option<Details<'a>>,
    }

    #[derive(Deserialize, Default)]
    struct Details<'a> {
        #[serde(borrow)]
        cached_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        cache_write_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        reasoning_tokens: Option<&'a RawValue>,
    }

    if json::type_of(value) != Type::Object {
        return None;
    }
    let wire: Wire<'_> = serde_json::from_str(value.get()).ok()?;
    let input = wire.prompt_tokens_details.unwrap_or_default();
    let output = wire.completion_tokens_details.unwrap_or_default();
    Some(Usage {
        input: wire.prompt_tokens.and_then(json::whole_number)?,
        output: wire.completion_tokens.and_then(json::whole_number).unwrap_or(0),
        cached_input: input.cached_tokens.and_then(json::whole_number),
        cache_write: input.cache_write_tokens.and_then(json::whole_number),
        reasoning: output.reasoning_tokens.and_then(json::whole_number),
    })
}

fn is_error(value: &RawValue) -> bool {
    match json::type_of(value) {
        Type::Object => value.get() != "{}",
        Type::String => value.get() != "\"\"",
        _ => false,
    }
}

/// The class and the client-facing status of an error (openai-chat.md section 6, mapping.md section 11).
fn classify(status: u16, said: failure::Said) -> UpstreamError {
    let code = said.code.as_deref().unwrap_or_default();
    let kind = said.kind.as_deref().unwrap_or_default();
    // An error within a 200 is judged by its code or type (quirk C1).
    let status = match status {
        200..=299 => code.parse().ok().filter(|code| (400..=599).contains(code)).unwrap_or(match (code, kind) {
            ("rate_limit_exceeded" | "insufficient_quota", _) | (_, "rate_limit_error" | "insufficient_quota") => 429,
            (_, "invalid_request_error") => 400,
            // What fails half way is not asked again at the same place.
            _ => 502,
        }),
        status => status,
    };
    let (class, status) = match status {
        429 if code == "insufficient_quota" || kind == "insufficient_quota" => (Class::Quota, 429),
        400 | 422 if code == "context_length_exceeded" => (Class::TooLarge, 400),
        status => failure::class_of(status),
    };
    failure::tell(class, status, said)
}
