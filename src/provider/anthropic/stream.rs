//! Streamed answers: named events, a content block at a time.

use super::error;
use super::response::{Block, STOP_SEQUENCE, Tokens, Told, finish_reason, finish_with, further, object_or_empty, text};
use crate::chat::{Arguments, ChatChunk, ChunkChoice, Delta, FinishReason, Said, SaidAs, ToolCallDelta, Usage, state};
use crate::error::UpstreamError;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::provider::tolerant::{self, Maybe, wire};
use crate::provider::{Sink, StreamTranslator, failure};
use crate::stream::Frame;

/// What has to be known of earlier events to read the next.
#[derive(Default)]
pub struct AnthropicStream {
    /// The tool calls whose blocks have not stopped yet; mostly none or one.
    open: Vec<OpenCall>,
    /// How many tool calls there were.
    calls: u32,
    tokens: Tokens,
    counts: Counts,
    /// The block of thinking that has not stopped yet.
    thinking: Option<OpenThinking>,
    told: Told,
}

struct OpenThinking {
    block: u64,
    /// Escaped.
    text: String,
    /// As JSON, its quotes apart.
    signature: String,
}

struct OpenCall {
    /// Its number among all content blocks, which is how deltas refer to it.
    block: u64,
    /// Its number among the tool calls, which is what the hub counts.
    index: u32,
    /// What to give as its arguments if no fragment comes.
    input: Option<String>,
}

impl StreamTranslator for AnthropicStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let Ok(event) = tolerant::read_str::<Event<'_>>(frame.data) else {
            let data = frame.data.trim();
            if frame.event == "error" || failure::is_report(data.as_bytes()) {
                return Err(error::read(200, data.as_bytes()));
            }
            // Relays for OpenAI's format end every stream with its mark.
            if !data.is_empty() && !data.starts_with("[DONE]") {
                out.skipped();
            }
            return Ok(());
        };
        // The type repeats the event's name, which relays tend to lose.
        let kind = text(event.kind).map(Str::decode);
        match kind.as_deref().unwrap_or(frame.event) {
            "content_block_delta" => self.delta(event, out),
            "content_block_start" => self.block_start(event, out),
            "content_block_stop" => self.close(event.index, out),
            "message_start" => self.message_start(event, out),
            "message_delta" => self.message_delta(event, out),
            "message_stop" => {
                self.close_all(out);
                out.done();
            }
            "error" => return Err(error::read(200, frame.data.as_bytes())),
            "" | "message" if event.error.is_some_and(failure::is_something) => {
                return Err(error::read(200, frame.data.as_bytes()));
            }
            // `ping`, and whatever may come with a later version: "handle unknown event types gracefully".
            _ => {}
        }
        Ok(())
    }

    fn again(&mut self, said: &Said<'_>, _usage: Option<&RawValue>) -> Option<Usage> {
        match said.said_as {
            SaidAs::Content => self.told.citations.text(said.text),
            SaidAs::Reasoning => self.more_thinking(said.text, Str::EMPTY),
            SaidAs::Arguments(_) => {}
        }
        None
    }
}

impl AnthropicStream {
    fn message_start(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let message = event.message.0.unwrap_or_default();
        let usage = message.usage.filter(|usage| self.tokens.update_input(usage)).map(|_| self.tokens.usage());
        let counts = message.usage.and_then(|usage| self.counts.update(usage));
        self.told.thinking.model(text(message.model));
        out.chunk(ChatChunk {
            id: text(message.id),
            model: text(message.model),
            usage,
            native_usage: counts.as_deref(),
            ..chunk(Delta { role: true, ..Delta::default() }, None)
        });
    }

    fn block_start(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let Some(block) = event.content_block.0 else { return };
        let not_empty = |text: &Str<'_>| !text.is_empty();
        match text(block.kind).map(Str::decode).as_deref() {
            Some("text") => {
                let text = text(block.text).filter(not_empty);
                self.told.citations.whole_block(text.unwrap_or(Str::EMPTY), block.citations);
                emit_content(text, out);
            }
            Some("thinking") => {
                let said = text(block.thinking).unwrap_or(Str::EMPTY);
                self.close_thinking();
                self.thinking = Some(OpenThinking {
                    block: block_number(event.index),
                    text: said.escaped().to_owned(),
                    signature: text(block.signature).unwrap_or(Str::EMPTY).escaped().to_owned(),
                });
                emit_reasoning(Some(said).filter(not_empty), out);
            }
            Some("redacted_thinking") => self.told.thinking.redacted(text(block.data)),
            Some("tool_use") => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                let input = Some(object_or_empty(block.input).to_owned());
                self.close_thinking();
                self.open.push(OpenCall { block: block_number(event.index), index, input });
                emit_call(
                    ToolCallDelta {
                        index: Some(index),
                        id: text(block.id).filter(not_empty),
                        name: text(block.name),
                        arguments: Some(Arguments::Text(Str::EMPTY)),
                        state: self.told.thinking.state(),
                        ..ToolCallDelta::default()
                    },
                    out,
                );
            }
            _ => {}
        }
    }

    fn delta(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let Some(delta) = event.delta.0 else { return };
        match text(delta.kind).map(Str::decode).as_deref() {
            Some("text_delta") => {
                let text = text(delta.text);
                self.told.citations.text(text.unwrap_or(Str::EMPTY));
                emit_content(text, out);
                out.repeats(None);
            }
            Some("thinking_delta") => {
                let said = text(delta.thinking);
                let is_of_open = self.is_thinking(event.index);
                if is_of_open {
                    self.more_thinking(said.unwrap_or(Str::EMPTY), Str::EMPTY);
                }
                emit_reasoning(said, out);
                if is_of_open || self.thinking.is_none() {
                    out.repeats(None);
                }
            }
            Some("signature_delta") if self.is_thinking(event.index) => {
                self.more_thinking(Str::EMPTY, text(delta.signature).unwrap_or(Str::EMPTY));
            }
            Some("citations_delta") => {
                if let Some(citation) = delta.citation {
                    self.told.citations.add(citation);
                }
            }
            Some("input_json_delta") => {
                let Some(arguments) = text(delta.partial_json).filter(|text| !text.is_empty()) else { return };
                let arguments = Some(Arguments::Text(arguments));
                let block = block_number(event.index);
                let Some(call) = self.open.iter_mut().rev().find(|call| call.block == block) else { return };
                call.input = None;
                let index = Some(call.index);
                emit_call(ToolCallDelta { index, arguments, ..ToolCallDelta::default() }, out);
                out.repeats(None);
            }
            _ => {}
        }
    }

    fn message_delta(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let usage = event.usage.filter(|usage| self.tokens.update(usage)).map(|_| self.tokens.usage());
        let counts = event.usage.and_then(|usage| self.counts.update(usage));
        let delta = event.delta.0.unwrap_or_default();
        let Some(reason) = text(delta.stop_reason) else {
            if usage.is_some() {
                out.chunk(ChatChunk { usage, native_usage: counts.as_deref(), ..ChatChunk::default() });
            }
            return;
        };
        self.close_all(out);
        let said = reason.decode();
        let reason = finish_with(finish_reason(&said), self.calls > 0);
        // What a stop sequence ended has said that much, which is cut off.
        let other = said == STOP_SEQUENCE;
        let mut extra = self.told.extra();
        extra.extend(further([
            ("stop_sequence", delta.stop_sequence),
            ("stop_details", delta.stop_details),
            ("container", delta.container),
            ("context_management", event.context_management),
        ]));
        let chunk = chunk(Delta { other, extra, ..Delta::default() }, Some(reason));
        out.chunk(ChatChunk { usage, native_usage: counts.as_deref(), ..chunk });
    }

    fn is_thinking(&self, block: Option<&RawValue>) -> bool {
        self.thinking.as_ref().is_some_and(|open| open.block == block_number(block))
    }

    fn more_thinking(&mut self, said: Str<'_>, signature: Str<'_>) {
        let Some(open) = &mut self.thinking else { return };
        open.text.push_str(said.escaped());
        open.signature.push_str(signature.escaped());
        if open.text.len().saturating_add(open.signature.len()) > state::MAX_PAYLOAD {
            // Too long to be carried, and without its end of no use to anybody.
            self.thinking = None;
        }
    }

    fn close_thinking(&mut self) {
        if let Some(OpenThinking { text, signature, .. }) = self.thinking.take() {
            self.told.thinking.thinking(&text, &signature);
        }
    }

    /// A block has stopped. A call that never got a fragment still has arguments: mostly `{}`.
    fn close(&mut self, block: Option<&RawValue>, out: &mut dyn Sink) {
        let block = block_number(block);
        if self.thinking.as_ref().is_some_and(|open| open.block == block) {
            self.close_thinking();
        }
        if let Some(place) = self.open.iter().rposition(|call| call.block == block) {
            self.open.remove(place).complete(out);
        }
    }

    /// For relays that lose a `content_block_stop`.
    fn close_all(&mut self, out: &mut dyn Sink) {
        self.close_thinking();
        for call in self.open.drain(..) {
            call.complete(out);
        }
    }
}

fn block_number(index: Option<&RawValue>) -> u64 {
    index.and_then(tolerant::count).unwrap_or(0)
}

impl OpenCall {
    fn complete(self, out: &mut dyn Sink) {
        let Some(input) = self.input else { return };
        let arguments = Some(Arguments::Json(&input));
        emit_call(ToolCallDelta { index: Some(self.index), arguments, ..ToolCallDelta::default() }, out);
    }
}

fn emit_content(content: Option<Str<'_>>, out: &mut dyn Sink) {
    if content.is_some() {
        out.chunk(chunk(Delta { content, ..Delta::default() }, None));
    }
}

fn emit_reasoning(reasoning: Option<Str<'_>>, out: &mut dyn Sink) {
    if reasoning.is_some() {
        out.chunk(chunk(Delta { reasoning, ..Delta::default() }, None));
    }
}

fn emit_call(call: ToolCallDelta<'_>, out: &mut dyn Sink) {
    out.chunk(chunk(Delta { tool_calls: vec![call], ..Delta::default() }, None));
}

fn chunk<'a>(delta: Delta<'a>, finish_reason: Option<FinishReason>) -> ChatChunk<'a> {
    ChatChunk { choices: vec![ChunkChoice { index: 0, place: None, delta, finish_reason }], ..ChatChunk::default() }
}

/// The counts of a stream, as Anthropic writes them: those of its end in place of those of its start.
#[derive(Default)]
struct Counts(Vec<(String, String)>);

impl Counts {
    /// Takes a `usage` object, and tells all that is known.
    fn update(&mut self, usage: &RawValue) -> Option<String> {
        // A dozen names, a few hundred bytes; what is longer is nobody's count.
        const MOST_NAMES: usize = 64;
        const MOST: usize = 8 << 10;
        let fields = Object::of(usage).filter(|_| usage.get().len() <= MOST)?;
        for (name, value) in fields.iter().filter(|(_, value)| json::type_of(value) != Type::Null) {
            let has_room = self.0.len() < MOST_NAMES;
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => value.get().clone_into(known),
                None if has_room => self.0.push((name.to_owned(), value.get().to_owned())),
                None => {}
            }
        }
        let mut w = Writer::with_capacity(256);
        w.begin_object();
        for (name, value) in &self.0 {
            w.any_key(name).raw(value);
        }
        w.end_object();
        String::from_utf8(w.into_bytes()).ok()
    }
}

wire! {
    /// Any event: the fields of all of them.
    struct Event<'a> {
        kind = "type": Option<&'a RawValue>,
        index: Option<&'a RawValue>,
        delta: Maybe<WireDelta<'a>>,
        content_block: Maybe<Block<'a>>,
        message: Maybe<WireMessage<'a>>,
        usage: Option<&'a RawValue>,
        context_management: Option<&'a RawValue>,
        error: Option<&'a RawValue>,
    }

    struct WireDelta<'a> {
        kind = "type": Option<&'a RawValue>,
        text: Option<&'a RawValue>,
        thinking: Option<&'a RawValue>,
        signature: Option<&'a RawValue>,
        citation: Option<&'a RawValue>,
        partial_json: Option<&'a RawValue>,
        stop_reason: Option<&'a RawValue>,
        stop_sequence: Option<&'a RawValue>,
        stop_details: Option<&'a RawValue>,
        container: Option<&'a RawValue>,
    }

    struct WireMessage<'a> {
        id: Option<&'a RawValue>,
        model: Option<&'a RawValue>,
        usage: Option<&'a RawValue>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    /// Writes down what it is given, a line a chunk.
    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        fn chunk(&mut self, chunk: ChatChunk<'_>) {
            let mut line = String::new();
            let mut note = |name: &str, text: &str| line += &format!(" {name}={text}");
            for (name, text) in [("id", chunk.id), ("model", chunk.model)] {
                text.inspect(|text| note(name, text.raw()));
            }
            for choice in &chunk.choices {
                let delta = &choice.delta;
                if delta.role {
                    note("role", "assistant");
                }
                for (name, text) in [("content", delta.content), ("reasoning", delta.reasoning)] {
                    text.inspect(|text| note(name, text.raw()));
                }
                for call in &delta.tool_calls {
                    note("call", &call.index.unwrap().to_string());
                    for (name, text) in [("id", call.id), ("name", call.name)] {
                        text.inspect(|text| note(name, text.raw()));
                    }
                    match call.arguments {
                        Some(Arguments::Text(text)) => note("arguments", text.raw()),
                        Some(Arguments::Json(json)) => note("arguments", &crate::json::escape(json)),
                        None => {}
                    }
                }
                choice.finish_reason.inspect(|reason| note("finish", reason.as_str()));
            }
            if let Some(usage) = chunk.usage {
                note("usage", &format!("{}/{}", usage.input, usage.output));
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
        let mut stream = AnthropicStream::default();
        let mut log = Log::default();
        for data in events {
            stream.frame(Frame { event: "", data }, &mut log)?;
        }
        Ok(log.0)
    }

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":100,"cache_creation_input_tokens":null,"output_tokens":1}}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;
    const TOOL_USE: &str = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#;

    #[test]
    fn a_text_with_thinking_is_told_in_order() {
        let lines = run(&[
            r#"{"type":"ping"}"#,
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h\u006d"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"x"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"something_new","index":"x","delta":7}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Hel\n"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{}}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#,
            STOP,
        ]);
        let expected = [
            r#"id="msg_1" model="m" role=assistant usage=125/0"#,
            r#"reasoning="h\u006d""#,
            r#"content="Hel\n""#,
            "finish=stop usage=125/15",
            "done",
        ];
        assert_eq!(lines.unwrap(), expected);
    }

    #[test]
    fn calls_are_counted_apart_from_blocks_and_fragments_are_spliced() {
        let lines = run(&[
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}"#,
            r#"{"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"b","name":"g","input":{}}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
            r#"{"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"y\":\""}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"1.0}"}}"#,
            r#"{"type":"content_block_stop","index":5}"#,
            TOOL_USE,
        ]);
        let expected = [
            r#"call=0 id="a" name="f" arguments="""#,
            r#"call=1 id="b" name="g" arguments="""#,
            r#"call=1 arguments="{\"x\":""#,
            r#"call=0 arguments="{\"y\":\"""#,
            r#"call=1 arguments="1.0}""#,
            "finish=tool_calls usage=0/9",
        ];
        assert_eq!(lines.unwrap(), expected);
    }

    #[test]
    fn a_call_without_fragments_has_arguments_once() {
        let start = |input: &str| {
            format!(
                r#"{{"type":"content_block_start","index":1,"content_block":{{"type":"tool_use","id":"a","name":"f","input":{input}}}}}"#
            )
        };
        let empty = r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#;
        let stop = r#"{"type":"content_block_stop","index":1}"#;
        for events in [&[&start("{}"), stop, TOOL_USE][..], &[&start("{}"), empty, stop, stop, TOOL_USE, STOP]] {
            let lines = run(events).unwrap();
            assert_eq!(lines[1], r#"call=0 arguments="{}""#);
            assert_eq!(lines[2], "finish=tool_calls usage=0/9");
        }
        // Lost the stop; gave the whole input at the start.
        assert_eq!(run(&[&start("{}"), TOOL_USE]).unwrap()[1], r#"call=0 arguments="{}""#);
        assert_eq!(run(&[&start(r#"{"a":1}"#), stop]).unwrap()[1], r#"call=0 arguments="{\"a\":1}""#);
    }

    #[test]
    fn usage_is_cumulative_and_never_added_up() {
        let lines = run(&[
            START,
            r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":5}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":25,"cache_read_input_tokens":100,"output_tokens":7}}"#,
        ]);
        assert_eq!(lines.unwrap()[1..], ["usage=125/5", "finish=stop usage=125/7"]);
    }

    #[test]
    fn an_end_of_turn_after_a_call_is_told_as_one_for_calls() {
        let lines = run(&[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
        ]);
        assert_eq!(lines.unwrap()[2], "finish=tool_calls");
        let unknown = r#"{"type":"message_delta","delta":{"stop_reason":"brand_new"}}"#;
        assert_eq!(run(&[unknown]).unwrap(), ["finish=stop"]);
    }

    #[test]
    fn errors_are_classified_wherever_they_come_and_whoever_names_them() {
        let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#;
        for events in [&[data][..], &[START, data]] {
            let error = run(events).unwrap_err();
            assert_eq!((error.class, error.reply.status), (Class::Unreachable, 503));
        }
        let mut stream = AnthropicStream::default();
        let unnamed = r#"{"error":{"type":"rate_limit_error","message":"slow"}}"#;
        for event in ["error", "", "message"] {
            let error = stream.frame(Frame { event, data: unnamed }, &mut Log::default()).unwrap_err();
            assert_eq!(error.class, Class::RateLimited);
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
            r#"{"type":"message_start"}"#,
            r#"{"type":"content_block_start"}"#,
            r#"{"type":"content_block_start","index":-1,"content_block":{"type":"tool_use"}}"#,
            r#"{"type":"content_block_start","content_block":{"type":"tool_use"}}"#,
            r#"{"type":"content_block_delta","index":9,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"content_block_delta","delta":null}"#,
            r#"{"type":"content_block_stop"}"#,
            r#"{"type":"message_delta","usage":[]}"#,
            STOP,
            START,
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
