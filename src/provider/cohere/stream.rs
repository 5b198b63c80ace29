//! Streamed answers: named events, a piece of the message at a time.

use std::borrow::Cow;

use super::error;
use super::response::{
    Carried, WireLogprobs, WireMessage, arguments, finish_reason, finish_with, logprobs, text, usage,
};
use crate::chat::{Arguments, ChatChunk, ChunkChoice, Delta, FinishReason, ToolCallDelta};
use crate::error::UpstreamError;
use crate::json::{self, RawValue, Str, Type};
use crate::provider::tolerant::{self, Maybe, wire};
use crate::provider::{Sink, StreamTranslator, failure};
use crate::stream::Frame;

/// Citations are held until the end, where they are told once; more than this is no answer's.
const MAX_CITATIONS: usize = 1 << 20;

/// What has to be known of earlier events to read the next.
#[derive(Default)]
pub struct CohereStream {
    /// The provider's number of each tool call; its place is the hub's.
    calls: Vec<Option<u64>>,
    carried: Carried,
    /// The citations so far, as the elements of a list.
    citations: String,
}

impl StreamTranslator for CohereStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let data = frame.data.trim();
        let Ok(event) = tolerant::read_str::<Event<'_>>(data) else {
            if frame.event == "error" || failure::is_report(data.as_bytes()) {
                return Err(error::read(200, data.as_bytes()));
            }
            // Some say it behind the last event.
            if !data.is_empty() && !data.starts_with("[DONE]") {
                out.skipped();
            }
            return Ok(());
        };
        // The type repeats the event's name, which relays tend to lose.
        let kind = text(event.kind).map(Str::decode);
        match kind.as_deref().unwrap_or(frame.event) {
            "content-delta" | "content-start" => self.content(event, out),
            "tool-plan-delta" => self.plan(event, out),
            "tool-call-start" => self.call_start(event, out),
            "tool-call-delta" => self.call_delta(event, out),
            "citation-start" => self.cite(event),
            "message-start" => {
                let id = text(event.id);
                out.chunk(ChatChunk { id, ..chunk(Delta { role: true, ..Delta::default() }, None) });
            }
            "message-end" => self.message_end(event, out)?,
            "error" => return Err(error::read(200, data.as_bytes())),
            "" | "message" if event.is_error() => return Err(error::read(200, data.as_bytes())),
            // `content-end`, `tool-call-end`, `citation-end`, `debug`, and whatever may come.
            _ => {}
        }
        Ok(())
    }
}

impl CohereStream {
    fn content(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let mut told = logprobs(&event.logprobs.0.iter().collect::<Vec<_>>()).map(Cow::Owned);
        let not_empty = |text: &Str<'_>| !text.is_empty();
        for block in event.message().blocks() {
            if let Some(thinking) = text(block.thinking).filter(not_empty) {
                self.carried.thinking.push(thinking);
                emit(Delta { reasoning: Some(thinking), ..Delta::default() }, out);
            }
            if let Some(content) = text(block.text).filter(not_empty) {
                emit(Delta { content: Some(content), logprobs: told.take(), ..Delta::default() }, out);
            }
        }
    }

    fn plan(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        if let Some(plan) = text(event.message().tool_plan).filter(|plan| !plan.is_empty()) {
            self.carried.plan.push(plan);
            emit(Delta { reasoning: Some(plan), ..Delta::default() }, out);
        }
    }

    fn call_start(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let number = event.index.and_then(tolerant::count);
        for (_, call) in event.message().tool_calls.into_placed() {
            let index = u32::try_from(self.calls.len()).ok();
            let state = if self.calls.is_empty() { self.carried.take() } else { None };
            self.calls.push(number);
            let function = call.function.0.unwrap_or_default();
            let call = ToolCallDelta {
                index,
                id: text(call.id).filter(|id| !id.is_empty()),
                name: text(function.name),
                arguments: arguments(function.arguments).or(Some(Arguments::Text(Str::EMPTY))),
                state,
                ..ToolCallDelta::default()
            };
            emit(Delta { tool_calls: vec![call], ..Delta::default() }, out);
        }
    }

    fn call_delta(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let number = event.index.and_then(tolerant::count);
        let known = self.calls.iter().rposition(|call| *call == number);
        let Some(place) = known.or_else(|| self.calls.len().checked_sub(1)) else { return };
        for (_, call) in event.message().tool_calls.into_placed() {
            // Without arguments, which may be said as `null`, the normalizer gives an empty object.
            let arguments = call.function.0.and_then(|function| arguments(function.arguments));
            let is_empty = matches!(arguments, Some(Arguments::Text(text)) if text.is_empty());
            if arguments.is_some() && !is_empty {
                let call = ToolCallDelta { index: u32::try_from(place).ok(), arguments, ..ToolCallDelta::default() };
                emit(Delta { tool_calls: vec![call], ..Delta::default() }, out);
            }
        }
    }

    fn cite(&mut self, event: Event<'_>) {
        let Some(citations) = event.message().citations else { return };
        let list = json::elements(citations).unwrap_or_else(|| vec![citations]);
        for citation in list.into_iter().filter(|citation| json::type_of(citation) == Type::Object) {
            if self.citations.len() + citation.get().len() <= MAX_CITATIONS {
                self.citations.push_str(if self.citations.is_empty() { "" } else { "," });
                self.citations.push_str(citation.get());
            }
        }
    }

    fn message_end(&mut self, event: Event<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let delta = event.delta.0.unwrap_or_default();
        if let Some(message) = text(delta.error).filter(|message| !message.is_empty()) {
            return Err(error::within(&message.decode()));
        }
        let said = text(delta.finish_reason).map(Str::decode).unwrap_or_default();
        let reason = finish_with(finish_reason(&said)?, !self.calls.is_empty());
        let mut last = Delta::default();
        if !self.citations.is_empty() {
            last.extra.push(("citations", Cow::Owned(format!("[{}]", self.citations))));
        }
        out.chunk(ChatChunk {
            usage: delta.usage.and_then(usage),
            native_usage: delta.usage.map(RawValue::get),
            ..chunk(last, Some(reason))
        });
        out.done();
        Ok(())
    }
}

fn emit(delta: Delta<'_>, out: &mut dyn Sink) {
    out.chunk(chunk(delta, None));
}

fn chunk(delta: Delta<'_>, finish_reason: Option<FinishReason>) -> ChatChunk<'_> {
    ChatChunk { choices: vec![ChunkChoice { index: 0, place: None, delta, finish_reason }], ..ChatChunk::default() }
}

wire! {
    /// Any event: the fields of all of them.
    struct Event<'a> {
        kind = "type": Option<&'a RawValue>,
        id: Option<&'a RawValue>,
        index: Option<&'a RawValue>,
        delta: Maybe<WireDelta<'a>>,
        logprobs: Maybe<WireLogprobs<'a>>,
        error: Option<&'a RawValue>,
        /// Of an error.
        message: Option<&'a RawValue>,
    }

    struct WireDelta<'a> {
        message: Maybe<WireMessage<'a>>,
        finish_reason: Option<&'a RawValue>,
        usage: Option<&'a RawValue>,
        error: Option<&'a RawValue>,
    }
}

impl<'a> Event<'a> {
    fn message(self) -> WireMessage<'a> {
        self.delta.0.and_then(|delta| delta.message.0).unwrap_or_default()
    }

    fn is_error(&self) -> bool {
        self.error.is_some_and(failure::is_something) || self.message.is_some_and(|text| Str::new(text).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    /// What comes out, in a line each.
    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        fn chunk(&mut self, chunk: ChatChunk<'_>) {
            let mut line = String::new();
            let mut note = |name: &str, text: &str| line += &format!(" {name}={text}");
            chunk.id.inspect(|id| note("id", id.raw()));
            for choice in &chunk.choices {
                let delta = &choice.delta;
                for (name, text) in [("content", delta.content), ("reasoning", delta.reasoning)] {
                    text.inspect(|text| note(name, text.raw()));
                }
                for call in &delta.tool_calls {
                    note("call", &call.index.unwrap().to_string());
                    call.name.inspect(|name| note("name", name.raw()));
                    call.arguments.inspect(|arguments| note("arguments", arguments.raw()));
                    call.state.as_ref().inspect(|state| note("state", &state.payload));
                }
                delta.extra.iter().for_each(|(name, json)| note(name, json));
                choice.finish_reason.inspect(|reason| note("finish", reason.as_str()));
            }
            self.0.push(line.trim_start().to_owned());
        }

        fn done(&mut self) {
            self.0.push("done".into());
        }

        fn skipped(&mut self) {
            self.0.push("skipped".into());
        }
    }

    fn run(events: &[&str]) -> Result<Vec<String>, UpstreamError> {
        let mut stream = CohereStream::default();
        let mut log = Log::default();
        for data in events {
            stream.frame(Frame { event: "", data }, &mut log)?;
        }
        Ok(log.0)
    }

    const END: &str = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#;

    #[test]
    fn calls_are_told_apart_by_their_numbers_and_the_first_carries_the_plan() {
        let start = |index: u32, name: &str| {
            format!(
                r#"{{"type":"tool-call-start","index":{index},"delta":{{"message":{{"tool_calls":{{"id":"x","function":{{"name":"{name}","arguments":""}}}}}}}}}}"#
            )
        };
        let delta = |index: u32, arguments: &str| {
            format!(
                r#"{{"type":"tool-call-delta","index":{index},"delta":{{"message":{{"tool_calls":{{"function":{{"arguments":"{arguments}"}}}}}}}}}}"#
            )
        };
        let lines = run(&[
            r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I w\u0069ll"}}}"#,
            &start(1, "f"),
            &start(2, "g"),
            &delta(1, "{"),
            &delta(2, "null"),
            &delta(1, "}"),
            &delta(7, "{}"),
            END,
        ]);
        let expected = [
            r#"reasoning="I w\u0069ll""#,
            r#"call=0 name="f" arguments= state={"tool_plan":"I w\u0069ll"}"#,
            r#"call=1 name="g" arguments="#,
            "call=0 arguments={",
            "call=0 arguments=}",
            "call=1 arguments={}",
            "finish=tool_calls",
            "done",
        ];
        assert_eq!(lines.unwrap(), expected);
    }

    #[test]
    fn citations_are_told_once_and_at_the_end() {
        let cite = |citations: &str| {
            format!(r#"{{"type":"citation-start","delta":{{"message":{{"citations":{citations}}}}}}}"#)
        };
        let lines = run(&[&cite(r#"{"start":1}"#), &cite(r#"[{"start":2},7]"#), &cite("null"), END]).unwrap();
        assert_eq!(lines, [r#"citations=[{"start":1},{"start":2}] finish=stop"#, "done"]);
    }

    #[test]
    fn a_failure_is_one_wherever_it_is_told() {
        let end = |delta: &str| format!(r#"{{"type":"message-end","delta":{delta}}}"#);
        for (event, class) in [
            (end(r#"{"finish_reason":"ERROR","error":"internal"}"#), Class::Transient),
            (end(r#"{"finish_reason":"ERROR","error":"too many tokens: prompt is too long"}"#), Class::TooLarge),
            (end(r#"{"finish_reason":"ERROR"}"#), Class::Unreachable),
            (end(r#"{"finish_reason":"TIMEOUT","error":""}"#), Class::Unreachable),
            (r#"{"message":"model is overloaded","id":"x"}"#.to_owned(), Class::Unreachable),
            (r#"{"type":"error","message":"x"}"#.to_owned(), Class::Transient),
            (r#"[{"error":{"message":"rate limit"}}]"#.to_owned(), Class::RateLimited),
        ] {
            assert_eq!(run(&[&event]).unwrap_err().class, class, "{event}");
        }
    }

    #[test]
    fn no_order_and_no_garbage_is_too_odd() {
        let events = [
            "",
            "[]",
            "null",
            "{",
            "[DONE]",
            r#"{"type":7}"#,
            r#"{"type":"message-start","delta":[]}"#,
            r#"{"type":"content-delta"}"#,
            r#"{"type":"content-delta","delta":{"message":{"content":[{"text":"x"},7]}}}"#,
            r#"{"type":"tool-call-delta","index":9,"delta":{"message":{"tool_calls":[{"function":{"arguments":"{"}}]}}}"#,
            r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":{}}}}"#,
            r#"{"type":"citation-start","delta":{"message":{}}}"#,
            END,
        ];
        for first in events {
            for second in events {
                for third in events {
                    assert!(run(&[first, second, third]).is_ok());
                }
            }
        }
    }
}
