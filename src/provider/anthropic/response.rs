//! Whole answers, and what streams share with them: stop reasons and usage.

use std::borrow::Cow;

use super::citations::Citations;
use super::error;
use super::thinking::Collected;
use crate::chat::{Arguments, ChatResponse, Choice, FinishReason, Message, ToolCall, Usage};
use crate::error::UpstreamError;
use crate::json::{self, RawValue, Str, Type};
use crate::provider::failure;
use crate::provider::tolerant::{self, Fields, Kept, List, Maybe, wire};

/// Reads an answer to a request that was not streamed.
pub fn read(body: &str) -> Result<ChatResponse<'_>, UpstreamError> {
    let answer: Answer<'_> = match tolerant::read_str(body) {
        Ok(answer) => answer,
        // A list with an error in it (quirk C6).
        Err(_) if failure::is_report(body.as_bytes()) => return Err(error::read(200, body.as_bytes())),
        Err(error) => {
            return Err(UpstreamError::malformed(format!("The provider's answer is not a message: {error}.")));
        }
    };
    let is_error = answer.error.is_some_and(failure::is_something);
    if is_error || (!answer.content.is_list && failure::is_report(body.as_bytes())) {
        return Err(error::read(200, body.as_bytes()));
    }
    if !answer.content.is_list {
        return Err(UpstreamError::malformed("The provider's answer has no content."));
    }
    let mut message = Message::default();
    let mut told = Told::default();
    let blocks = || answer.content.items.iter().flatten();
    let cites = blocks().any(|block| block.citations.is_some());
    if blocks().any(|block| block.signature.is_some() || block.data.is_some()) {
        told.thinking.model(text(answer.model));
    }
    for (_, block) in answer.content.into_placed() {
        block.append_to(&mut message, &mut told, cites);
    }
    message.extra = told.extra();
    message.extra.extend(further([
        ("stop_sequence", answer.stop_sequence),
        ("stop_details", answer.stop_details),
        ("container", answer.container),
        ("context_management", answer.context_management),
    ]));
    let said = text(answer.stop_reason).map(Str::decode);
    let reason = said.as_deref().map_or(FinishReason::Stop, finish_reason);
    // What a stop sequence ended has said that much, which is cut off.
    message.other = said.as_deref() == Some(STOP_SEQUENCE);
    // A limit or a refusal may come before the first word; the model's own end may not.
    let ends_empty = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
    if message.is_empty() && !ends_empty {
        return Err(UpstreamError::malformed("The provider's answer is empty."));
    }
    let finish_reason = finish_with(reason, !message.tool_calls.is_empty());
    let usage = answer.usage.object.as_ref().map(|usage| {
        let mut tokens = Tokens::default();
        tokens.take(usage);
        tokens.usage()
    });
    Ok(ChatResponse {
        source: None,
        exact: false,
        id: text(answer.id).unwrap_or(Str::EMPTY),
        model: text(answer.model).unwrap_or(Str::EMPTY),
        created: None,
        choices: vec![Choice { index: 0, place: None, message, finish_reason }],
        usage,
        native_usage: answer.usage.raw.map(RawValue::get),
    })
}

/// The stop reason of an answer that one of the client's `stop` has ended.
pub const STOP_SEQUENCE: &str = "stop_sequence";

wire! {
    struct Answer<'a> {
        id: Option<&'a RawValue>,
        model: Option<&'a RawValue>,
        content: List<Block<'a>>,
        stop_reason: Option<&'a RawValue>,
        stop_sequence: Option<&'a RawValue>,
        stop_details: Option<&'a RawValue>,
        container: Option<&'a RawValue>,
        context_management: Option<&'a RawValue>,
        usage: Kept<'a, WireUsage<'a>>,
        error: Option<&'a RawValue>,
    }

    /// A content block, of whatever type.
    pub struct Block<'a> {
        pub kind = "type": Option<&'a RawValue>,
        pub text: Option<&'a RawValue>,
        pub citations: Option<&'a RawValue>,
        pub thinking: Option<&'a RawValue>,
        pub signature: Option<&'a RawValue>,
        pub data: Option<&'a RawValue>,
        pub id: Option<&'a RawValue>,
        pub name: Option<&'a RawValue>,
        pub input: Option<&'a RawValue>,
    }
}

/// What an answer says beside its text and its calls.
#[derive(Default)]
pub struct Told {
    pub thinking: Collected,
    pub citations: Citations,
}

impl Told {
    pub fn extra<'a>(&mut self) -> Vec<(&'static str, Cow<'a, str>)> {
        let mut extra = self.citations.extra();
        extra.extend(self.thinking.extra());
        extra
    }
}

/// Fields of Anthropic's that a message keeps under their own names, those that say something.
pub fn further<'a, const N: usize>(
    fields: [(&'static str, Option<&'a RawValue>); N],
) -> impl Iterator<Item = (&'static str, Cow<'a, str>)> {
    let says = |value: &&RawValue| matches!(json::type_of(value), Type::Object | Type::String);
    fields.into_iter().filter_map(move |(name, value)| Some((name, value.filter(says)?.get().into())))
}

impl<'a> Block<'a> {
    /// Blocks without an equivalent (the provider's own tools) are left out. `cites`: whether any has citations, so
    /// that characters are counted.
    fn append_to(self, message: &mut Message<'a>, told: &mut Told, cites: bool) {
        let not_empty = |text: &Str<'_>| !text.is_empty();
        match text(self.kind).map(Str::decode).as_deref() {
            Some("text") => {
                let text = text(self.text);
                if cites {
                    told.citations.whole_block(text.unwrap_or(Str::EMPTY), self.citations);
                }
                message.content.extend(text.filter(not_empty));
            }
            Some("thinking") => {
                // Newer models leave the text empty unless asked for a summary.
                let thinking = text(self.thinking).unwrap_or(Str::EMPTY);
                told.thinking.thinking(thinking.escaped(), text(self.signature).unwrap_or(Str::EMPTY).escaped());
                message.reasoning.extend(Some(thinking).filter(not_empty));
            }
            Some("redacted_thinking") => told.thinking.redacted(text(self.data)),
            Some("tool_use") => message.tool_calls.extend(text(self.name).map(|name| ToolCall {
                place: None,
                id: text(self.id).unwrap_or(Str::EMPTY),
                name,
                arguments: Arguments::Json(object_or_empty(self.input)),
                state: told.thinking.state(),
            })),
            _ => {}
        }
    }
}

/// A call's input: always an object.
pub fn object_or_empty(input: Option<&RawValue>) -> &str {
    input.filter(|input| json::type_of(input) == Type::Object).map_or("{}", RawValue::get)
}

pub fn text(value: Option<&RawValue>) -> Option<Str<'_>> {
    value.and_then(Str::new)
}

/// `stop_reason` (Messages API; the last two of `Length` have no equivalent: there would be more to
/// come, and a client that continues gets it).
pub fn finish_reason(stop_reason: &str) -> FinishReason {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" | "compaction" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}

/// Clients run the calls of an answer only if it says that it ended for them.
pub fn finish_with(reason: FinishReason, calls: bool) -> FinishReason {
    match reason {
        FinishReason::Stop if calls => FinishReason::ToolCalls,
        reason => reason,
    }
}

/// Tokens as Anthropic counts them: `input` without what was read from or written to the cache.
/// Counts are cumulative, so of several the highest holds and none is ever added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokens {
    input: u64,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    output: u64,
    thinking: Option<u64>,
}

wire! {
    pub struct WireUsage<'a> {
        input_tokens: Option<&'a RawValue>,
        cache_creation_input_tokens: Option<&'a RawValue>,
        cache_read_input_tokens: Option<&'a RawValue>,
        output_tokens: Option<&'a RawValue>,
        output_tokens_details: Maybe<UsageDetails<'a>>,
    }

    struct UsageDetails<'a> {
        thinking_tokens: Option<&'a RawValue>,
    }
}

impl Tokens {
    /// Takes a `usage` object; false if it is none.
    pub fn update(&mut self, usage: &RawValue) -> bool {
        let is_object = json::type_of(usage) == Type::Object;
        let usage = WireUsage::of(usage).ok().filter(|_| is_object);
        usage.map(|usage| self.take(&usage)).is_some()
    }

    fn take(&mut self, usage: &WireUsage<'_>) {
        let count = |value: Option<&RawValue>| value.and_then(tolerant::count);
        self.input = self.input.max(count(usage.input_tokens).unwrap_or(0));
        self.output = self.output.max(count(usage.output_tokens).unwrap_or(0));
        self.cache_read = self.cache_read.max(count(usage.cache_read_input_tokens));
        self.cache_creation = self.cache_creation.max(count(usage.cache_creation_input_tokens));
        let details = usage.output_tokens_details.0.as_ref();
        self.thinking = self.thinking.max(details.and_then(|details| count(details.thinking_tokens)));
    }

    /// The same for the start of a stream, whose `output_tokens` is a small number that means nothing.
    pub fn update_input(&mut self, usage: &RawValue) -> bool {
        let updated = self.update(usage);
        self.output = 0;
        updated
    }

    pub fn usage(&self) -> Usage {
        let cache = self.cache_read.unwrap_or(0).saturating_add(self.cache_creation.unwrap_or(0));
        Usage {
            input: self.input.saturating_add(cache),
            output: self.output,
            cached_input: self.cache_read,
            cache_write: self.cache_creation,
            reasoning: self.thinking,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn answer(content: &str, stop_reason: &str) -> String {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":{content},
            "stop_reason":"{stop_reason}","stop_sequence":null,"usage":{{"input_tokens":10,
            "cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":20,
            "output_tokens_details":{{"thinking_tokens":8}}}}}}"#
        )
    }

    fn finish(content: &str, stop_reason: &str) -> Result<FinishReason, Class> {
        let body = answer(content, stop_reason);
        read(&body).map(|answer| answer.choices[0].finish_reason).map_err(|error| error.class)
    }

    const TEXT: &str = r#"[{"type":"text","text":"hi"}]"#;
    const CALL: &str = r#"[{"type":"tool_use","id":"t","name":"f","input":{"b":1.0,"a":2}}]"#;

    #[test]
    fn every_kind_of_block_has_its_place_and_unknown_ones_none() {
        let body = answer(
            r#"[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},
            {"type":"text","text":"a\n","citations":null},{"type":"server_tool_use","id":"s","name":"n","input":{}},
            {"type":"text","text":"b"},{"type":"tool_use","id":"t","name":"f","input":{"b":1.0,"a":2}}]"#,
            "tool_use",
        );
        let answer = read(&body).unwrap();
        let message = &answer.choices[0].message;
        assert_eq!(message.content.iter().map(|text| text.raw()).collect::<Vec<_>>(), ["\"a\\n\"", "\"b\""]);
        assert_eq!(message.reasoning.len(), 1);
        assert!(matches!(message.tool_calls[..], [ToolCall { arguments: Arguments::Json(r#"{"b":1.0,"a":2}"#), .. }]));
        assert_eq!((answer.id.raw(), answer.model.raw()), ("\"msg_1\"", "\"m\""));
    }

    #[test]
    fn input_includes_what_the_cache_gave_and_took() {
        let body = answer(TEXT, "end_turn");
        let usage = Usage { input: 115, output: 20, cached_input: Some(100), cache_write: Some(5), reasoning: Some(8) };
        assert_eq!(read(&body).unwrap().usage, Some(usage));
        assert_eq!(read(r#"{"content":[{"type":"text","text":"x"}],"usage":null}"#).unwrap().usage, None);
    }

    #[test]
    fn every_stop_reason_becomes_one_of_openais() {
        for (stop_reason, expected) in [
            ("end_turn", FinishReason::Stop),
            ("stop_sequence", FinishReason::Stop),
            ("max_tokens", FinishReason::Length),
            ("model_context_window_exceeded", FinishReason::Length),
            ("pause_turn", FinishReason::Length),
            ("compaction", FinishReason::Length),
            ("refusal", FinishReason::ContentFilter),
            ("something_new", FinishReason::Stop),
        ] {
            assert_eq!(finish(TEXT, stop_reason), Ok(expected), "{stop_reason}");
        }
        assert_eq!(finish(CALL, "tool_use"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish(CALL, "end_turn"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish(CALL, "max_tokens"), Ok(FinishReason::Length));
    }

    #[test]
    fn an_empty_answer_is_one_only_where_something_else_ended_it() {
        for stop_reason in ["refusal", "max_tokens", "stop_sequence"] {
            assert!(finish("[]", stop_reason).is_ok(), "{stop_reason}");
        }
        assert_eq!(finish("[]", "end_turn"), Err(Class::Malformed));
        assert_eq!(finish("[]", "something_new"), Err(Class::Malformed));
        assert_eq!(finish(r#"[{"type":"text","text":""}]"#, "end_turn"), Err(Class::Malformed));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let class = |body: &str| read(body).unwrap_err().class;
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(class(error), Class::Unreachable);
        for body in ["", "<html>", "{}", "[]", "{\"content\":null}", "{\"content\":[1]}", "\u{fffd}"] {
            assert_eq!(class(body), Class::Malformed, "{body:?}");
        }
    }
}
