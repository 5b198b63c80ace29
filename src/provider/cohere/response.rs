//! Whole answers, and what streams share with them: finish reasons, usage, log probabilities.

use std::borrow::Cow;

use super::{TAG, error};
use crate::chat::state::Collected;
use crate::chat::{Arguments, ChatResponse, Choice, FinishReason, Message, State, ToolCall, Usage};
use crate::error::{Class, UpstreamError};
use crate::json::{self, RawValue, Str, Type, Writer};
use crate::provider::failure;
use crate::provider::tolerant::{self, Fields, List, MAX_TOKENS, Maybe, wire};

/// Reads an answer to a request that was not streamed.
pub fn read(body: &str) -> Result<ChatResponse<'_>, UpstreamError> {
    let answer: Answer<'_> = match tolerant::read_str(body) {
        Ok(answer) => answer,
        // A list with an error in it (quirk C6).
        Err(_) if failure::is_report(body.as_bytes()) => return Err(error::read(200, body.as_bytes())),
        Err(error) => {
            return Err(UpstreamError::malformed(format!("The provider's answer is not a chat response: {error}.")));
        }
    };
    // An error's message is a text, an answer's an object.
    let is_text = answer.message.is_some_and(|message| json::type_of(message) == Type::String);
    if is_text || answer.error.is_some_and(failure::is_something) {
        return Err(error::read(200, body.as_bytes()));
    }
    let wire = answer.message.and_then(|message| WireMessage::of(message).ok());
    let Some(wire) = wire else {
        let malformed = || UpstreamError::malformed("The provider's answer has no message.");
        return Err(if failure::is_report(body.as_bytes()) { error::read(200, body.as_bytes()) } else { malformed() });
    };
    let said = text(answer.finish_reason).map(Str::decode).unwrap_or_default();
    let reason = finish_reason(&said)?;
    let mut message = wire.message();
    message.logprobs = logprobs(&answer.logprobs.items.iter().flatten().collect::<Vec<_>>()).map(Cow::Owned);
    // A limit or a stop sequence may come before the first word; the model's own end may not.
    let ends_empty = matches!(reason, FinishReason::Length | FinishReason::ContentFilter) || said == "STOP_SEQUENCE";
    if message.is_empty() && !ends_empty {
        return Err(UpstreamError::malformed("The provider's answer is empty."));
    }
    let finish_reason = finish_with(reason, !message.tool_calls.is_empty());
    Ok(ChatResponse {
        source: None,
        exact: false,
        id: text(answer.id).unwrap_or(Str::EMPTY),
        model: Str::EMPTY,
        created: None,
        choices: vec![Choice { index: 0, place: None, message, finish_reason }],
        usage: answer.usage.and_then(usage),
        native_usage: answer.usage.map(RawValue::get),
    })
}

wire! {
    struct Answer<'a> {
        id: Option<&'a RawValue>,
        message: Option<&'a RawValue>,
        finish_reason: Option<&'a RawValue>,
        usage: Option<&'a RawValue>,
        logprobs: List<WireLogprobs<'a>, MAX_TOKENS>,
        error: Option<&'a RawValue>,
    }

    /// A message, or a piece of one: in streams the lists are single objects.
    pub struct WireMessage<'a> {
        pub content: Option<&'a RawValue>,
        pub tool_plan: Option<&'a RawValue>,
        pub tool_calls: List<WireCall<'a>>,
        pub citations: Option<&'a RawValue>,
    }

    pub struct WireCall<'a> {
        pub id: Option<&'a RawValue>,
        pub function: Maybe<WireFunction<'a>>,
    }

    pub struct WireFunction<'a> {
        pub name: Option<&'a RawValue>,
        pub arguments: Option<&'a RawValue>,
    }

    /// A block of content, or a piece of one.
    pub struct Block<'a> {
        pub text: Option<&'a RawValue>,
        pub thinking: Option<&'a RawValue>,
    }
}

impl<'a> WireMessage<'a> {
    /// Its blocks: a list of them, one alone, or a bare text.
    pub fn blocks(&self) -> Vec<Block<'a>> {
        let block = |value: &'a RawValue| match json::type_of(value) {
            Type::String => Block { text: Some(value), thinking: None },
            _ => Block::of(value).unwrap_or_default(),
        };
        let Some(content) = self.content else { return Vec::new() };
        match json::elements(content) {
            Some(list) => list.into_iter().map(block).collect(),
            None => vec![block(content)],
        }
    }

    fn message(self) -> Message<'a> {
        let not_empty = |text: &Str<'_>| !text.is_empty();
        let mut message = Message::default();
        let mut carried = Carried::default();
        for block in self.blocks() {
            let thinking = text(block.thinking).filter(not_empty);
            thinking.inspect(|text| carried.thinking.push(*text));
            message.reasoning.extend(thinking);
            message.content.extend(text(block.text).filter(not_empty));
        }
        // What the model means to do with its tools: that is reasoning, too.
        if let Some(plan) = text(self.tool_plan).filter(not_empty) {
            carried.plan.push(plan);
            message.reasoning.push(plan);
        }
        if let Some(citations) = self.citations.filter(|citations| is_list_of_something(citations)) {
            message.extra.push(("citations", Cow::Borrowed(citations.get())));
        }
        for (_, call) in self.tool_calls.into_placed() {
            let function = call.function.0.unwrap_or_default();
            // Without a name nobody could run it.
            let Some(name) = text(function.name).filter(not_empty) else { continue };
            let arguments = arguments(function.arguments).unwrap_or(Arguments::Json("{}"));
            let id = text(call.id).unwrap_or(Str::EMPTY);
            let state = if message.tool_calls.is_empty() { carried.take() } else { None };
            message.tool_calls.push(ToolCall { place: None, id, name, arguments, state });
        }
        message
    }
}

fn is_list_of_something(value: &RawValue) -> bool {
    json::type_of(value) == Type::Array && value.get().contains('{')
}

pub fn text(value: Option<&RawValue>) -> Option<Str<'_>> {
    value.and_then(Str::new)
}

/// A call's arguments, which are `null` now and then for tools that take none.
pub fn arguments(value: Option<&RawValue>) -> Option<Arguments<'_>> {
    let value = value.filter(|value| !matches!(value.get(), "null" | "\"null\""))?;
    Some(Str::new(value).map_or(Arguments::Json(value.get()), Arguments::Text))
}

/// The plan and the thoughts that lead to tool calls. Cohere has them in the next turn's history, and stock
/// clients do not keep them.
#[derive(Default)]
pub struct Carried {
    pub plan: Collected,
    pub thinking: Collected,
}

impl Carried {
    /// As state for the first call.
    pub fn take(&mut self) -> Option<State<'static>> {
        let texts = [("tool_plan", self.plan.take()), ("thinking", self.thinking.take())];
        if texts.iter().all(|(_, text)| text.is_none()) {
            return None;
        }
        let mut w = Writer::default();
        w.begin_object();
        for (name, text) in &texts {
            if let Some(text) = text {
                w.key(name).escaped(&[text]);
            }
        }
        w.end_object();
        let payload = String::from_utf8(w.into_bytes()).ok()?;
        Some(State { tag: TAG, payload: payload.into() })
    }
}

/// `finish_reason`; those that say that the provider gave up are failures.
pub fn finish_reason(said: &str) -> Result<FinishReason, UpstreamError> {
    Ok(match said {
        "MAX_TOKENS" | "ERROR_LIMIT" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolCalls,
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        "ERROR" => {
            let message = "The provider broke the answer off.";
            return Err(UpstreamError::new(Class::Unreachable, 502, "server_error", "server_error", message));
        }
        "TIMEOUT" => {
            let message = "The provider did not finish the answer in its time.";
            return Err(UpstreamError::new(Class::Unreachable, 504, "server_error", "timeout", message));
        }
        // `COMPLETE`, `STOP_SEQUENCE`, and what nobody has heard of.
        _ => FinishReason::Stop,
    })
}

/// Clients run the calls of an answer only if it says that it ended for them.
pub fn finish_with(reason: FinishReason, calls: bool) -> FinishReason {
    match reason {
        FinishReason::Stop if calls => FinishReason::ToolCalls,
        reason => reason,
    }
}

/// What went through the model (`tokens`), which is more than what is billed: Cohere's own prompt is in it.
/// `cached_tokens` are a part of the input.
pub fn usage(value: &RawValue) -> Option<Usage> {
    wire! {
        struct Wire<'a> {
            tokens: Maybe<Counts<'a>>,
            billed_units: Maybe<Counts<'a>>,
            cached_tokens: Option<&'a RawValue>,
        }

        struct Counts<'a> {
            input_tokens: Option<&'a RawValue>,
            output_tokens: Option<&'a RawValue>,
        }
    }

    let count = |value: Option<&RawValue>| value.and_then(tolerant::count);
    let counted = |counts: Counts<'_>| {
        let counts = (count(counts.input_tokens), count(counts.output_tokens));
        (counts != (None, None)).then(|| (counts.0.unwrap_or(0), counts.1.unwrap_or(0)))
    };
    let wire: Wire<'_> = Wire::of(value).ok()?;
    let (input, output) = wire.tokens.0.and_then(counted).or_else(|| wire.billed_units.0.and_then(counted))?;
    Some(Usage { input, output, cached_input: count(wire.cached_tokens), ..Usage::default() })
}

wire! {
    pub struct WireLogprobs<'a> {
        text: Option<&'a RawValue>,
        logprobs: Option<&'a RawValue>,
    }
}

/// Log probabilities in OpenAI's shape. Cohere tells the text of a chunk and the numbers of its tokens: a
/// chunk of several tokens is as probable as all of them together.
pub fn logprobs(items: &[&WireLogprobs<'_>]) -> Option<String> {
    let mut w = Writer::default();
    w.begin_object().key("content").begin_array();
    let mut is_empty = true;
    for item in items {
        let (Some(token), Some(numbers)) = (text(item.text), item.logprobs.and_then(json::elements)) else { continue };
        let numbers: Vec<_> = numbers.iter().filter(|number| json::type_of(number) == Type::Number).collect();
        is_empty = false;
        w.begin_object().key("token").str(token).key("logprob");
        match numbers[..] {
            [number] => w.raw(number.get()),
            _ => {
                let sum: f64 = numbers.iter().filter_map(|number| json::float(number.get())).sum();
                w.raw(json::decimal(sum, 9).trim_end_matches('0').trim_end_matches('.'))
            }
        };
        w.key("bytes").null().key("top_logprobs").begin_array().end_array().end_object();
    }
    w.end_array().key("refusal").null().end_object();
    if is_empty { None } else { String::from_utf8(w.into_bytes()).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &str, finish_reason: &str) -> String {
        format!(
            r#"{{"id":"i","finish_reason":"{finish_reason}","message":{message},"usage":{{"billed_units":
            {{"input_tokens":5.0,"output_tokens":3}},"tokens":{{"input_tokens":70.0,"output_tokens":4}},"cached_tokens":16}}}}"#
        )
    }

    fn finish(message: &str, finish_reason: &str) -> Result<FinishReason, (Class, u16)> {
        let body = answer(message, finish_reason);
        read(&body).map(|answer| answer.choices[0].finish_reason).map_err(|error| (error.class, error.reply.status))
    }

    const TEXT: &str = r#"{"role":"assistant","content":[{"type":"text","text":"hi"}]}"#;
    const CALL: &str = r#"{"role":"assistant","tool_calls":[{"id":"t","function":{"name":"f","arguments":"null"}}]}"#;

    #[test]
    fn every_finish_reason_becomes_one_of_openais_or_a_failure() {
        for (said, expected) in [
            ("COMPLETE", Ok(FinishReason::Stop)),
            ("STOP_SEQUENCE", Ok(FinishReason::Stop)),
            ("MAX_TOKENS", Ok(FinishReason::Length)),
            ("ERROR_LIMIT", Ok(FinishReason::Length)),
            ("ERROR_TOXIC", Ok(FinishReason::ContentFilter)),
            ("SOMETHING_NEW", Ok(FinishReason::Stop)),
            ("ERROR", Err((Class::Unreachable, 502))),
            ("TIMEOUT", Err((Class::Unreachable, 504))),
        ] {
            assert_eq!(finish(TEXT, said), expected, "{said}");
        }
        assert_eq!(finish(CALL, "TOOL_CALL"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish(CALL, "COMPLETE"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish(r#"{"content":[]}"#, "STOP_SEQUENCE"), Ok(FinishReason::Stop));
        assert_eq!(finish(r#"{"content":[]}"#, "COMPLETE"), Err((Class::Malformed, 502)));
    }

    #[test]
    fn tokens_count_rather_than_what_is_billed_and_the_cache_is_a_part_of_them() {
        let body = answer(TEXT, "COMPLETE");
        let usage = Usage { input: 70, output: 4, cached_input: Some(16), ..Usage::default() };
        assert_eq!(read(&body).unwrap().usage, Some(usage));
        let billed = r#"{"message":{"content":"x"},"usage":{"tokens":{},"billed_units":{"input_tokens":1}}}"#;
        assert_eq!(read(billed).unwrap().usage, Some(Usage { input: 1, ..Usage::default() }));
        assert_eq!(read(r#"{"message":{"content":"x"},"usage":{}}"#).unwrap().usage, None);
    }

    #[test]
    fn thoughts_and_plan_are_reasoning_and_ride_on_the_first_call() {
        let body = answer(
            r#"{"content":[{"type":"thinking","thinking":"h\u006d"},{"type":"text","text":"a\n"}],"tool_plan":"I will.",
            "tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g"}}],
            "citations":[{"start":0}]}"#,
            "TOOL_CALL",
        );
        let answer = read(&body).unwrap();
        let message = &answer.choices[0].message;
        let texts = |texts: &[Str<'_>]| texts.iter().map(|text| text.raw().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(&message.reasoning), [r#""h\u006d""#, "\"I will.\""]);
        assert_eq!(texts(&message.content), [r#""a\n""#]);
        assert_eq!(message.extra, [("citations", Cow::Borrowed(r#"[{"start":0}]"#))]);
        let states: Vec<_> =
            message.tool_calls.iter().map(|call| call.state.as_ref().map(|state| &*state.payload)).collect();
        assert_eq!(states, [Some(r#"{"tool_plan":"I will.","thinking":"h\u006d"}"#), None]);
        assert!(matches!(message.tool_calls[1].arguments, Arguments::Json("{}")));
    }

    #[test]
    fn a_chunk_of_several_tokens_has_one_log_probability() {
        let body = r#"{"message":{"content":[{"text":"ab c"}]},"logprobs":[{"text":"ab","token_ids":[1],"logprobs":[-0.50]},
            {"text":" c","token_ids":[2,3],"logprobs":[-0.5,-0.25]},{"token_ids":[4]}]}"#;
        let answer = read(body).unwrap();
        let expected = concat!(
            r#"{"content":[{"token":"ab","logprob":-0.50,"bytes":null,"top_logprobs":[]},"#,
            r#"{"token":" c","logprob":-0.75,"bytes":null,"top_logprobs":[]}],"refusal":null}"#
        );
        assert_eq!(answer.choices[0].message.logprobs.as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let class = |body: &str| read(body).unwrap_err().class;
        assert_eq!(class(r#"{"id":"i","message":"too many tokens: the prompt is too long"}"#), Class::TooLarge);
        assert_eq!(class(r#"{"error":{"message":"overloaded"}}"#), Class::Unreachable);
        for body in ["", "<html>", "{}", "[]", "{\"message\":null}", "{\"message\":[1]}", "\u{fffd}"] {
            assert_eq!(class(body), Class::Malformed, "{body:?}");
        }
    }
}
