//! Whole answers, and what streams share with them: stop reasons, usage, thoughts.

use std::borrow::Cow;

use super::citations::{self, Citations};
use super::error;
use super::thoughts::Thoughts;
use crate::chat::{Arguments, ChatResponse, Choice, FinishReason, Message, ToolCall, Usage};
use crate::error::UpstreamError;
use crate::json::{self, Object, RawValue, Str, Type};
use crate::provider::failure;
use crate::provider::images::{self, Images};
use crate::provider::tolerant::{self, Fields, List, Maybe, wire};

/// Reads an answer to a request that was not streamed, of a model with this id.
pub fn read<'a>(body: &'a str, id: &str) -> Result<ChatResponse<'a>, UpstreamError> {
    let answer: Answer<'_> = match tolerant::read_str(body) {
        Ok(answer) => answer,
        Err(_) if failure::is_report(body.as_bytes()) => return Err(error::read(200, None, body.as_bytes())),
        Err(error) => {
            return Err(UpstreamError::malformed(format!("The provider's answer is not a message: {error}.")));
        }
    };
    let content = answer.output.0.and_then(|output| output.message.0).map(|message| message.content);
    let Some(content) = content.filter(|content| content.is_list) else {
        // An exception in the body of a success has a type, if nothing else (quirk C5).
        return Err(if failure::is_report(body.as_bytes()) || answer.exception.is_some() {
            error::read(200, None, body.as_bytes())
        } else {
            UpstreamError::malformed("The provider's answer has no message.")
        });
    };
    let mut message = Message::default();
    let mut thoughts = Thoughts::new(id);
    let mut citations = Citations::default();
    let mut images = Images::default();
    let mut said = 0;
    for (_, block) in content.into_placed() {
        block.append_to(&mut message, &mut thoughts, &mut citations, &mut said, &mut images);
    }
    let images = images.take();
    let reason = text(answer.stop_reason).map(Str::decode);
    let mut finish_reason = reason.as_deref().map_or(Ok(FinishReason::Stop), finish_reason)?;
    // What a stop sequence ended has said that much, which is cut off.
    message.other = images.is_some() || reason.as_deref() == Some(STOP_SEQUENCE);
    // A limit or a guardrail may come before the first word; the model's own end may not.
    let ends_empty = matches!(finish_reason, FinishReason::Length | FinishReason::ContentFilter);
    if message.is_empty() && !ends_empty {
        return Err(UpstreamError::malformed("The provider's answer is empty."));
    }
    // Clients run the calls of an answer only if it says that it ended for them.
    if finish_reason == FinishReason::Stop && !message.tool_calls.is_empty() {
        finish_reason = FinishReason::ToolCalls;
    }
    message.extra.extend(citations.into_extra());
    message.extra.extend(images);
    message.extra.extend(field("additionalModelResponseFields", answer.fields.map(RawValue::get)));
    message.extra.extend(answer.trace.and_then(guardrail_trace));
    Ok(ChatResponse {
        source: None,
        exact: false,
        id: Str::EMPTY,
        model: Str::EMPTY,
        created: None,
        choices: vec![Choice { index: 0, place: None, message, finish_reason }],
        usage: answer.usage.and_then(usage),
        native_usage: answer.usage.map(RawValue::get),
    })
}

/// The stop reason of an answer that one of the client's `stop` has ended.
pub const STOP_SEQUENCE: &str = "stop_sequence";

wire! {
    struct Answer<'a> {
        output: Maybe<Output<'a>>,
        stop_reason = "stopReason": Option<&'a RawValue>,
        usage: Option<&'a RawValue>,
        fields = "additionalModelResponseFields": Option<&'a RawValue>,
        trace: Option<&'a RawValue>,
        exception = "__type": Option<&'a RawValue>,
    }

    struct Output<'a> {
        message: Maybe<WireMessage<'a>>,
    }

    struct WireMessage<'a> {
        content: List<Block<'a>>,
    }

    /// A content block: a union, of which one member is there.
    struct Block<'a> {
        text: Option<&'a RawValue>,
        tool_use = "toolUse": Maybe<ToolUse<'a>>,
        reasoning_content = "reasoningContent": Maybe<Reasoning<'a>>,
        citations_content = "citationsContent": Maybe<Cited<'a>>,
        image: Option<&'a RawValue>,
    }

    pub struct ToolUse<'a> {
        pub tool_use_id = "toolUseId": Option<&'a RawValue>,
        pub name: Option<&'a RawValue>,
        pub input: Option<&'a RawValue>,
        pub kind = "type": Option<&'a RawValue>,
    }
}

impl ToolUse<'_> {
    /// Whether it is the client's to run: those of a server's own tools have been run already.
    pub fn is_clients(&self) -> bool {
        text(self.kind).is_none_or(|kind| kind.decode() != "server_tool_use")
    }
}

wire! {
    struct Reasoning<'a> {
        reasoning_text = "reasoningText": Maybe<ReasoningText<'a>>,
        redacted_content = "redactedContent": Option<&'a RawValue>,
    }

    struct ReasoningText<'a> {
        text: Option<&'a RawValue>,
        signature: Option<&'a RawValue>,
    }

    struct Cited<'a> {
        content: List<Plain<'a>>,
        citations: Option<&'a RawValue>,
    }

    struct Plain<'a> {
        text: Option<&'a RawValue>,
    }
}

impl<'a> Block<'a> {
    /// Blocks without an equivalent (results of a server's own tools) are left out.
    fn append_to(
        self,
        message: &mut Message<'a>,
        thoughts: &mut Thoughts,
        citations: &mut Citations,
        said: &mut usize,
        images: &mut Images,
    ) {
        if let Some(image) = self.image {
            picture(image, images);
        }
        let not_empty = |text: &Str<'_>| !text.is_empty();
        message.content.extend(text(self.text).filter(not_empty).inspect(|text| *said += citations::characters(*text)));
        if let Some(reasoning) = self.reasoning_content.0 {
            let (thought, signature) = match reasoning.reasoning_text.0 {
                Some(thought) => (text(thought.text), text(thought.signature)),
                None => (None, None),
            };
            message.reasoning.extend(thought.filter(not_empty));
            thoughts.add(thought.unwrap_or(Str::EMPTY).escaped(), signature.map(Str::escaped).unwrap_or_default());
            thoughts.add_redacted(text(reasoning.redacted_content).map(Str::escaped).unwrap_or_default());
        }
        if let Some(cited) = self.citations_content.0 {
            let from = *said;
            for (_, part) in cited.content.into_placed() {
                let part = text(part.text).filter(not_empty);
                message.content.extend(part.inspect(|text| *said += citations::characters(*text)));
            }
            for citation in cited.citations.and_then(json::elements).unwrap_or_default() {
                citations.add(citation, from, *said);
            }
        }
        if let Some(call) = self.tool_use.0.filter(ToolUse::is_clients)
            && let Some(name) = text(call.name)
        {
            message.tool_calls.push(ToolCall {
                place: None,
                id: text(call.tool_use_id).unwrap_or(Str::EMPTY),
                name,
                arguments: Arguments::Json(object_or_empty(call.input)),
                state: thoughts.take(),
            });
        }
    }
}

/// A picture's bytes, or where they are. One that the model could not make has an error in their place.
fn picture(image: &RawValue, images: &mut Images) {
    let fields = Object::of(image).unwrap_or_default();
    let Some(source) = fields.get("source") else { return };
    let format = images::text_in(image, "format");
    let format = format.map_or("png", Str::escaped);
    if let Some(bytes) = images::text_in(source, "bytes") {
        images.push(&["image/", format], bytes.escaped());
    } else if let Some(uri) = address(source) {
        images.push_url(&[uri.escaped()]);
    }
}

/// Of an object in S3.
pub fn address(source: &RawValue) -> Option<Str<'_>> {
    Object::of(source)?.get("s3Location").and_then(|location| images::text_in(location, "uri"))
}

/// A call's input: always an object.
fn object_or_empty(input: Option<&RawValue>) -> &str {
    input.filter(|input| json::type_of(input) == Type::Object).map_or("{}", RawValue::get)
}

pub fn text(value: Option<&RawValue>) -> Option<Str<'_>> {
    value.and_then(Str::new)
}

/// A further field of the message, if it says anything.
pub fn field<'a>(name: &'static str, json: Option<&'a str>) -> Option<(&'static str, Cow<'a, str>)> {
    json.filter(|json| !matches!(*json, "null" | "{}")).map(|json| (name, Cow::Borrowed(json)))
}

/// What a guardrail has found. What else there is in a trace names our account (a prompt router's choice).
pub fn guardrail_trace(trace: &RawValue) -> Option<(&'static str, Cow<'static, str>)> {
    let fields = Object::of(trace)?;
    let guardrail = fields.get("guardrail").filter(|found| json::type_of(found) == Type::Object)?;
    Some(("trace", format!(r#"{{"guardrail":{}}}"#, guardrail.get()).into()))
}

/// `StopReason`. A model whose output could not be read has failed, whatever it said before.
pub fn finish_reason(stop_reason: &str) -> Result<FinishReason, UpstreamError> {
    Ok(match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => {
            return Err(UpstreamError::malformed(format!("The model's output could not be read ({stop_reason}).")));
        }
        _ => FinishReason::Stop,
    })
}

/// Tokens as Bedrock counts them, input without what was read from or written to the cache.
pub fn usage(usage: &RawValue) -> Option<Usage> {
    wire! {
        struct Wire<'a> {
            input_tokens = "inputTokens": Option<&'a RawValue>,
            output_tokens = "outputTokens": Option<&'a RawValue>,
            cache_read_input_tokens = "cacheReadInputTokens": Option<&'a RawValue>,
            cache_write_input_tokens = "cacheWriteInputTokens": Option<&'a RawValue>,
        }
    }

    let wire: Wire<'_> = Wire::of(usage).ok()?;
    let count = |value: Option<&RawValue>| value.and_then(tolerant::count);
    let (read, written) = (count(wire.cache_read_input_tokens), count(wire.cache_write_input_tokens));
    let cache = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
    Some(Usage {
        input: count(wire.input_tokens).unwrap_or(0).saturating_add(cache),
        output: count(wire.output_tokens).unwrap_or(0),
        cached_input: read,
        cache_write: written,
        reasoning: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn answer(content: &str, stop_reason: &str) -> String {
        format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":{content}}}}},"stopReason":"{stop_reason}",
            "usage":{{"inputTokens":10,"outputTokens":20,"totalTokens":135,"cacheReadInputTokens":100,
            "cacheWriteInputTokens":5}},"metrics":{{"latencyMs":1}}}}"#
        )
    }

    fn finish(content: &str, stop_reason: &str) -> Result<FinishReason, Class> {
        let body = answer(content, stop_reason);
        read(&body, "m").map(|answer| answer.choices[0].finish_reason).map_err(|error| error.class)
    }

    const TEXT: &str = r#"[{"text":"hi"}]"#;
    const CALL: &str = r#"[{"toolUse":{"toolUseId":"t","name":"f","input":{"b":1.0,"a":2}}}]"#;

    #[test]
    fn every_kind_of_block_has_its_place() {
        let body = answer(
            r#"[{"reasoningContent":{"reasoningText":{"text":"hm\n","signature":"s+"}}},
            {"reasoningContent":{"redactedContent":"cg=="}},{"text":"a\n"},
            {"toolUse":{"toolUseId":"w","name":"search","input":{},"type":"server_tool_use"}},
            {"toolResult":{"toolUseId":"w","content":[]}},{"sdkUnknown":1},
            {"toolUse":{"toolUseId":"t","name":"f","input":{"b":1.0,"a":2}}},
            {"reasoningContent":{"reasoningText":{"text":"unsigned"}}},
            {"toolUse":{"toolUseId":"u","name":"g","input":"x"}}]"#,
            "tool_use",
        );
        let answer = read(&body, "m").unwrap();
        let message = &answer.choices[0].message;
        let raw = |texts: &[Str<'_>]| texts.iter().map(|text| text.raw().to_owned()).collect::<Vec<_>>();
        assert_eq!(raw(&message.content), ["\"a\\n\""]);
        assert_eq!(raw(&message.reasoning), ["\"hm\\n\"", "\"unsigned\""]);
        let [first, second] = &message.tool_calls[..] else { panic!("{message:?}") };
        let payload = concat!(
            r#"["m",{"reasoningContent":{"reasoningText":{"text":"hm\n","signature":"s+"}}},"#,
            r#"{"reasoningContent":{"redactedContent":"cg=="}}]"#
        );
        assert_eq!(first.state.as_ref().map(|state| state.payload.as_ref()), Some(payload));
        assert_eq!((first.arguments.raw(), second.arguments.raw()), (r#"{"b":1.0,"a":2}"#, "{}"));
        assert!(second.state.is_none());
    }

    #[test]
    fn citations_of_pages_are_annotations_and_others_stay_what_they_are() {
        let body = answer(
            r#"[{"text":"é:"},{"citationsContent":{"content":[{"text":"a"},{"text":"b"}],"citations":[
            {"title":"T","location":{"web":{"url":"https://h","domain":"h"}}},
            {"title":"D","location":{"documentPage":{"documentIndex":0,"start":1,"end":2}}}]}}]"#,
            "end_turn",
        );
        let answer = read(&body, "m").unwrap();
        let message = &answer.choices[0].message;
        assert_eq!(message.content.len(), 3);
        let annotation = concat!(
            r#"[{"type":"url_citation","url_citation":{"start_index":2,"end_index":4,"title":"T","#,
            r#""url":"https://h"}}]"#
        );
        let other = r#"[{"title":"D","location":{"documentPage":{"documentIndex":0,"start":1,"end":2}}}]"#;
        assert_eq!(message.extra, [("annotations", annotation.into()), ("citations", other.into())]);
    }

    #[test]
    fn input_includes_what_the_cache_gave_and_took() {
        let body = answer(TEXT, "end_turn");
        let usage = Usage { input: 115, output: 20, cached_input: Some(100), cache_write: Some(5), reasoning: None };
        let answer = read(&body, "m").unwrap();
        assert_eq!(answer.usage, Some(usage));
        assert!(answer.native_usage.is_some_and(|native| native.contains("\"totalTokens\":135")));
    }

    #[test]
    fn every_stop_reason_becomes_one_of_openais_or_a_failure() {
        for (stop_reason, expected) in [
            ("end_turn", Ok(FinishReason::Stop)),
            ("stop_sequence", Ok(FinishReason::Stop)),
            ("max_tokens", Ok(FinishReason::Length)),
            ("model_context_window_exceeded", Ok(FinishReason::Length)),
            ("guardrail_intervened", Ok(FinishReason::ContentFilter)),
            ("content_filtered", Ok(FinishReason::ContentFilter)),
            ("malformed_model_output", Err(Class::Malformed)),
            ("malformed_tool_use", Err(Class::Malformed)),
            ("something_new", Ok(FinishReason::Stop)),
        ] {
            assert_eq!(finish(TEXT, stop_reason), expected, "{stop_reason}");
        }
        assert_eq!(finish(CALL, "tool_use"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish(CALL, "end_turn"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish("[]", "guardrail_intervened"), Ok(FinishReason::ContentFilter));
        assert_eq!(finish("[]", "stop_sequence"), Ok(FinishReason::Stop));
        assert_eq!(finish("[]", "end_turn"), Err(Class::Malformed));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let class = |body: &str| read(body, "").unwrap_err().class;
        assert_eq!(class(r#"{"__type":"ThrottlingException","message":"slow"}"#), Class::RateLimited);
        assert_eq!(
            class(r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"}}"#),
            Class::Malformed
        );
        for body in ["", "<html>", "{}", "[]", "{\"output\":null}", "{\"output\":{\"message\":{}}}", "\u{fffd}"] {
            assert_eq!(class(body), Class::Malformed, "{body:?}");
        }
    }
}
