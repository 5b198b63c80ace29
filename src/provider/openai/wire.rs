//! Messages and deltas as they come: what OpenAI writes, and what everybody else makes of it.
//!
//! Each shape can be read, and can be asked whether it is written exactly as OpenAI writes it: only
//! then its text may be relayed instead of being written anew. Quirks are those of section B and D.

use crate::chat::{Arguments, Delta, FinishReason, Message, ToolCall, ToolCallDelta, Usage};
use crate::error::{Class, UpstreamError};
use crate::json::{self, RawValue, Str, Type};
use crate::provider::tolerant::{self, Fields, List, Maybe, Present, wire};

wire! {
    /// A message, or a delta of one.
    pub struct WireMessage<'a> {
        role: Present<'a>,
        pub content: Present<'a>,
        refusal: Option<&'a RawValue>,
        reasoning_content: Option<&'a RawValue>,
        reasoning: Option<&'a RawValue>,
        pub reasoning_details: Option<&'a RawValue>,
        tool_calls: List<WireToolCall<'a>>,
        audio: Option<&'a RawValue>,
        function_call: Option<&'a RawValue>,
        /// OpenRouter's and LiteLLM's place for what was drawn.
        images: Option<&'a RawValue>,
        annotations: Option<&'a RawValue>,
    }

    struct WireToolCall<'a> {
        index: Option<&'a RawValue>,
        id: Present<'a>,
        kind = "type": Present<'a>,
        function: Maybe<WireFunction<'a>>,
        custom: Maybe<WireFunction<'a>>,
    }

    /// Of a custom tool, too, whose arguments are any text.
    struct WireFunction<'a> {
        name: Present<'a>,
        arguments: Present<'a>,
        input: Present<'a>,
    }
}

impl<'a> WireMessage<'a> {
    /// Whether a delta is written as OpenAI writes it.
    pub fn is_exact_delta(&self) -> bool {
        let calls = &self.tool_calls;
        self.role.0.is_none_or(is_assistant)
            && self.has_exact_texts()
            && (!calls.is_given || calls.is_exact && calls.items.iter().flatten().all(WireToolCall::is_exact_delta))
            && (!calls.is_given || !calls.items.is_empty())
    }

    /// Whether a whole message is written as OpenAI writes it.
    pub fn is_exact_message(&self) -> bool {
        let calls = &self.tool_calls;
        self.role.0.is_some_and(is_assistant)
            && self.content.0.is_some()
            && self.has_exact_texts()
            && (!calls.is_given || calls.is_exact && calls.items.iter().flatten().all(WireToolCall::is_exact_call))
            && (!calls.is_given || !calls.items.is_empty())
    }

    /// Strings where strings are expected, and the reasoning, if there is any, where most clients look.
    fn has_exact_texts(&self) -> bool {
        let is_text = |value: Option<&RawValue>| value.is_none_or(|value| json::type_of(value) == Type::String);
        let content = self.content.0.filter(|content| content.get() != "null");
        is_text(content)
            && is_text(self.refusal)
            && is_text(self.reasoning_content)
            && self.reasoning.is_none()
            && (self.reasoning_content.is_some() || self.reasoning_details.is_none_or(|details| details.get() == "[]"))
    }

    /// The delta. Of content in parts (quirk B23) all but the last piece come first, as deltas of
    /// their own in `before`.
    pub fn delta(self, before: &mut Vec<Delta<'a>>) -> Delta<'a> {
        let mut delta = Delta {
            role: text(self.role.0).is_some_and(|role| !role.is_empty()),
            content: text(self.content.0),
            refusal: text(self.refusal),
            reasoning: self.plain_reasoning(),
            other: self.has_other(),
            ..Delta::default()
        };
        let in_parts = self.content.0.is_some_and(|content| json::type_of(content) == Type::Array);
        if in_parts || (delta.reasoning.is_none() && self.reasoning_details.is_some()) {
            (delta.reasoning, delta.content) = (None, None);
            self.pieces(&mut |piece| {
                // A reader takes a chunk's reasoning before its content.
                let is_taken = match piece {
                    Piece::Reasoning(_) => delta.reasoning.is_some() || delta.content.is_some(),
                    Piece::Content(_) => delta.content.is_some(),
                };
                if is_taken {
                    let (content, reasoning) = (delta.content.take(), delta.reasoning.take());
                    before.push(Delta { content, reasoning, ..Delta::default() });
                }
                match piece {
                    Piece::Reasoning(text) => delta.reasoning = Some(text),
                    Piece::Content(text) => delta.content = Some(text),
                }
            });
        }
        delta.tool_calls = self.tool_calls.into_placed().map(|(place, call)| call.delta(place)).collect();
        delta
    }

    pub fn message(self) -> Message<'a> {
        let mut message = Message { refusal: text(self.refusal), other: self.has_other(), ..Message::default() };
        self.pieces(&mut |piece| match piece {
            Piece::Reasoning(text) => message.reasoning.push(text),
            Piece::Content(text) => message.content.push(text),
        });
        message.other |= self.tool_calls.items.iter().flatten().any(|call| call.custom.0.is_some());
        message.tool_calls = self.tool_calls.into_placed().filter_map(|(place, call)| call.call(place)).collect();
        message
    }

    fn has_other(&self) -> bool {
        let lists = [self.reasoning_details, self.images, self.annotations];
        self.audio.is_some()
            || self.function_call.is_some()
            || lists.into_iter().flatten().any(|list| list.elements().next().is_some())
    }

    /// Reasoning where it is one string: the first of its names that has one. Who sends two names says
    /// the same under both (section D).
    pub fn plain_reasoning(&self) -> Option<Str<'a>> {
        let given = text(self.reasoning_content).filter(|text| !text.is_empty());
        given.or_else(|| text(self.reasoning)).or_else(|| text(self.reasoning_content))
    }

    /// Tells what is said, piece by piece.
    fn pieces(&self, say: &mut dyn FnMut(Piece<'a>)) {
        // Told already, it is not told once more by the parts.
        let mut has_reasoning = false;
        if let Some(reasoning) = self.plain_reasoning() {
            has_reasoning = true;
            say(Piece::Reasoning(reasoning));
        } else if let Some(details) = self.reasoning_details {
            for text in details.elements().filter_map(detail) {
                has_reasoning = true;
                say(Piece::Reasoning(text));
            }
        }
        let Some(content) = self.content.0 else { return };
        if let Some(text) = Str::new(content) {
            say(Piece::Content(text));
        }
        for part in content.elements() {
            let told = parts_of(part).into_iter();
            told.filter(|piece| !has_reasoning || matches!(piece, Piece::Content(_))).for_each(&mut *say);
        }
    }
}

#[derive(Clone, Copy)]
enum Piece<'a> {
    Reasoning(Str<'a>),
    Content(Str<'a>),
}

wire! {
    struct Part<'a> {
        text: Option<&'a RawValue>,
        thinking: Option<&'a RawValue>,
        summary: Option<&'a RawValue>,
    }
}

/// A part of a message: `{"type":"text","text":…}` (also without its type: DashScope), a bare string, or
/// `{"type":"thinking","thinking":[{"type":"text","text":…}]}` (Mistral). Others have no place in an answer.
fn parts_of(part: &RawValue) -> Vec<Piece<'_>> {
    if let Some(text) = Str::new(part) {
        return vec![Piece::Content(text)];
    }
    let Ok(part) = Part::of(part) else { return Vec::new() };
    let Some(thinking) = part.thinking else {
        return text(part.text).map(Piece::Content).into_iter().collect();
    };
    let inner = json::elements(thinking).unwrap_or_default().into_iter().filter_map(detail);
    text(Some(thinking)).into_iter().chain(inner).map(Piece::Reasoning).collect()
}

/// An element of `reasoning_details` (OpenRouter). What is encrypted has no text.
pub fn detail(value: &RawValue) -> Option<Str<'_>> {
    let part: Part<'_> = Part::of(value).ok()?;
    text(part.text).or_else(|| text(part.summary))
}

impl<'a> WireToolCall<'a> {
    fn is_exact_delta(&self) -> bool {
        // Id, type and name come together, and once.
        let begins = self.id.0.is_some();
        self.index.is_some_and(tolerant::is_plain_index)
            && self.id.0.is_none_or(is_word)
            && self.kind.0.map_or(!begins, |kind| is_function(kind) || kind.get() == "\"custom\"")
            && self.function.0.as_ref().or(self.custom.0.as_ref()).is_some_and(|function| {
                function.name.0.is_none_or(is_word) && function.said().is_none_or(|text| Str::new(text).is_some())
            })
    }

    fn is_exact_call(&self) -> bool {
        if self.custom.0.is_some() {
            return self.id.0.is_some_and(is_word);
        }
        self.id.0.is_some_and(is_word)
            && self.kind.0.is_some_and(is_function)
            && self.function.0.as_ref().is_some_and(|function| {
                function.name.0.is_some_and(is_word) && function.arguments.0.is_some_and(is_word)
            })
    }

    /// Without a name nobody could run it.
    fn call(self, place: usize) -> Option<ToolCall<'a>> {
        let function = self.function.0?;
        Some(ToolCall {
            place: Some(place),
            id: text(self.id.0).filter(is_id).unwrap_or(Str::EMPTY),
            name: text(function.name.0).filter(|name| !name.is_empty())?,
            arguments: arguments(function.arguments.0).unwrap_or(Arguments::Json("{}")),
            state: None,
        })
    }

    fn delta(self, place: usize) -> ToolCallDelta<'a> {
        let is_custom = self.function.0.is_none() && self.custom.0.is_some();
        let function = self.function.0.or(self.custom.0).unwrap_or_default();
        let not_empty = |text: &Str<'_>| !text.is_empty();
        ToolCallDelta {
            place: Some(place),
            index: self.index.and_then(tolerant::index),
            id: text(self.id.0).filter(is_id),
            name: text(function.name.0).filter(not_empty),
            arguments: arguments(function.said()),
            is_custom,
            state: None,
            begins: false,
        }
    }
}

impl<'a> WireFunction<'a> {
    fn said(&self) -> Option<&'a RawValue> {
        self.arguments.0.or(self.input.0)
    }
}

/// Mistral's SDK gives calls without an id the word `null` for one.
fn is_id(id: &Str<'_>) -> bool {
    !id.is_empty() && id.escaped() != "null"
}

fn is_assistant(role: &RawValue) -> bool {
    role.get() == "\"assistant\""
}

fn is_function(kind: &RawValue) -> bool {
    kind.get() == "\"function\""
}

fn is_word(value: &RawValue) -> bool {
    Str::new(value).is_some_and(|text| !text.is_empty())
}

/// A string, or from some the object itself, or nothing (quirk B16).
fn arguments(value: Option<&RawValue>) -> Option<Arguments<'_>> {
    let value = value.filter(|value| value.get() != "null")?;
    Some(Str::new(value).map_or(Arguments::Json(value.get()), Arguments::Text))
}

pub fn text<'a>(value: Option<&'a RawValue>) -> Option<Str<'a>> {
    value.and_then(Str::new)
}

/// Whether log probabilities have OpenAI's shape, rather than that of the old completions (quirk B29).
pub fn has_plain_logprobs(logprobs: Option<&RawValue>) -> bool {
    logprobs.is_none_or(|logprobs| {
        json::type_of(logprobs) == Type::Object && !logprobs.get().contains("\"token_logprobs\"")
    })
}

/// Whether a finish reason is one that clients know, or none.
pub fn is_plain_reason(reason: Option<&RawValue>) -> bool {
    reason.is_none_or(|reason| Str::new(reason).is_some_and(|text| FinishReason::parse(text.escaped()).is_some()))
}

/// `""` and `"null"` are none (quirk B20), and what nobody has heard of counts as `stop` (B21). Those that
/// say that the provider gave up are failures.
pub fn finish_reason(value: Option<&RawValue>) -> Result<Option<FinishReason>, UpstreamError> {
    let Some(text) = text(value) else { return Ok(None) };
    if let Some(reason) = FinishReason::parse(text.escaped()) {
        return Ok(Some(reason));
    }
    let given = text.decode();
    let reason = match given.to_ascii_lowercase().as_str() {
        "" | "null" | "none" => return Ok(None),
        "error" | "network_error" | "abort" | "cancelled" | "timeout" => {
            let message = "The provider broke the answer off.";
            return Err(UpstreamError::new(Class::Unreachable, 502, "server_error", "server_error", message));
        }
        "insufficient_system_resource" => {
            let message = "The provider broke the answer off, because it is overloaded.";
            return Err(UpstreamError::new(Class::Unreachable, 503, "server_error", "overloaded", message));
        }
        "length" | "model_length" | "max_tokens" | "time_limit" | "model_context_window_exceeded" => {
            FinishReason::Length
        }
        "tool_calls" | "tool_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "sensitive" | "safety" | "refusal" | "content_filtered" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    };
    Ok(Some(reason))
}

wire! {
    /// Usage under all its names.
    pub struct WireUsage<'a> {
        prompt_tokens: Option<&'a RawValue>,
        completion_tokens: Option<&'a RawValue>,
        total_tokens: Option<&'a RawValue>,
        prompt_tokens_details: Maybe<UsageDetails<'a>>,
        completion_tokens_details: Maybe<UsageDetails<'a>>,
        input_tokens: Option<&'a RawValue>,
        output_tokens: Option<&'a RawValue>,
        /// DeepSeek, before it had details.
        prompt_cache_hit_tokens: Option<&'a RawValue>,
        /// Moonshot.
        cached_tokens: Option<&'a RawValue>,
        /// Mistral.
        num_cached_tokens: Option<&'a RawValue>,
    }

    struct UsageDetails<'a> {
        cached_tokens: Option<&'a RawValue>,
        cache_write_tokens: Option<&'a RawValue>,
        /// Qwen.
        cache_creation_input_tokens: Option<&'a RawValue>,
        reasoning_tokens: Option<&'a RawValue>,
    }
}

pub fn usage(value: &RawValue) -> Option<Usage> {
    if json::type_of(value) != Type::Object {
        return None;
    }
    WireUsage::of(value).ok()?.counts()
}

impl WireUsage<'_> {
    /// `None` if nothing is counted.
    pub fn counts(&self) -> Option<Usage> {
        let first = |one: Option<&RawValue>, other: Option<&RawValue>| {
            one.and_then(tolerant::count).or_else(|| other.and_then(tolerant::count))
        };
        let input = first(self.prompt_tokens, self.input_tokens);
        let output = first(self.completion_tokens, self.output_tokens);
        if input.is_none() && output.is_none() {
            return None;
        }
        let (input, mut output) = (input.unwrap_or(0), output.unwrap_or(0));
        let of_input = self.prompt_tokens_details.0.as_ref();
        let of_output = self.completion_tokens_details.0.as_ref();
        let reasoning = of_output.and_then(|details| details.reasoning_tokens).and_then(tolerant::count);
        // xAI counts reasoning beside the completion, and in the total.
        if let Some(reasoning) = reasoning.filter(|reasoning| *reasoning > 0)
            && self.total_tokens.and_then(tolerant::count) == Some(input + output + reasoning)
        {
            output += reasoning;
        }
        let cached = first(of_input.and_then(|details| details.cached_tokens), self.prompt_cache_hit_tokens);
        Some(Usage {
            input,
            output,
            cached_input: cached.or_else(|| first(self.cached_tokens, self.num_cached_tokens)),
            cache_write: of_input
                .and_then(|details| first(details.cache_write_tokens, details.cache_creation_input_tokens)),
            reasoning,
        })
    }

    /// Whether it says this as OpenAI would.
    pub fn is_exact(&self, usage: &Usage) -> bool {
        let written = |value: Option<&RawValue>| value.and_then(tolerant::digits);
        usage.is_counted_as(written(self.prompt_tokens), written(self.completion_tokens), written(self.total_tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_a_cache_and_went_there_is_counted_wherever_it_is_told() {
        let counts = |rest: &str| {
            let text = format!(r#"{{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,{rest}}}"#);
            let usage = usage(json::parse_str(&text).unwrap()).unwrap();
            (usage.cached_input, usage.cache_write)
        };
        assert_eq!(counts(r#""num_cached_tokens":4"#), (Some(4), None), "Mistral");
        assert_eq!(counts(r#""prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":5"#), (Some(4), None), "DeepSeek");
        assert_eq!(counts(r#""cached_tokens":4"#), (Some(4), None), "Moonshot");
        let qwen = r#""prompt_tokens_details":{"cached_tokens":4,"cache_creation_input_tokens":3}"#;
        assert_eq!(counts(qwen), (Some(4), Some(3)), "Qwen");
    }
}
