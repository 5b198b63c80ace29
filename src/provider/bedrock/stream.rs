//! Streamed answers: binary frames whose type is an event's name, a content block at a time.

use std::mem;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::citations::{self, Citations};
use super::error;
use super::response::{STOP_SEQUENCE, ToolUse, address, field, finish_reason, guardrail_trace, text, usage};
use super::thoughts::Thoughts;
use crate::chat::state::MAX_PAYLOAD;
use crate::chat::{Arguments, ChatChunk, ChunkChoice, Delta, FinishReason, ToolCallDelta};
use crate::error::UpstreamError;
use crate::json::{Object, RawValue, Str};
use crate::provider::images::{self, Images};
use crate::provider::tolerant::{self, Maybe, wire};
use crate::provider::{Sink, StreamTranslator, failure};
use crate::stream::Frame;

/// What has to be known of earlier events to read the next.
pub struct BedrockStream {
    /// The tool calls whose blocks have not stopped yet, by the numbers of their blocks and among the calls.
    open: Vec<(u64, u32)>,
    /// How many tool calls there were.
    calls: u32,
    thought: Thought,
    thoughts: Thoughts,
    /// How many characters of content there were, and how many before the last block.
    said: usize,
    said_before: usize,
    citations: Citations,
    picture: Option<Picture>,
    images: Images,
    /// The model is done. What a guardrail says of its words is still to come, with the usage and the end.
    finish: Option<FinishReason>,
    /// It has said a stop sequence, which is cut off.
    is_cut: bool,
    fields: Option<String>,
}

/// The block of reasoning that is being told, escaped.
#[derive(Default)]
struct Thought {
    text: String,
    signature: String,
    redacted: String,
}

/// No frame tells more calls than this to be open at once.
const MOST_OPEN: usize = 1024;

impl StreamTranslator for BedrockStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        if error::is_exception(frame.event) {
            return Err(error::read(200, Some(frame.event), frame.data.as_bytes()));
        }
        let Ok(event) = tolerant::read_str::<Event<'_>>(frame.data) else {
            if failure::is_report(frame.data.as_bytes()) {
                return Err(error::read(200, None, frame.data.as_bytes()));
            }
            if !frame.data.trim().is_empty() {
                out.skipped();
            }
            return Ok(());
        };
        match frame.event {
            "contentBlockDelta" => self.delta(event, out),
            "contentBlockStart" => self.block_start(event, out),
            "contentBlockStop" => self.block_stop(event.index, out),
            "messageStart" => out.chunk(chunk(Delta { role: true, ..Delta::default() }, None)),
            "messageStop" => {
                let reason = text(event.stop_reason).map(Str::decode);
                self.finish = Some(reason.as_deref().map_or(Ok(FinishReason::Stop), finish_reason)?);
                self.is_cut = reason.as_deref() == Some(STOP_SEQUENCE);
                self.fields = event.fields.map(|fields| fields.get().to_owned());
            }
            "metadata" => {
                let native_usage = event.usage.map(RawValue::get);
                let usage = event.usage.and_then(usage);
                self.end_with(event.trace, out);
                out.chunk(ChatChunk { usage, native_usage, ..ChatChunk::default() });
                out.done();
            }
            // Whatever may come with a later version.
            _ if failure::is_report(frame.data.as_bytes()) => {
                return Err(error::read(200, None, frame.data.as_bytes()));
            }
            _ => {}
        }
        Ok(())
    }
}

impl BedrockStream {
    /// For the answer of a model with this id.
    pub fn new(id: &str) -> Self {
        BedrockStream {
            open: Vec::new(),
            calls: 0,
            thought: Thought::default(),
            thoughts: Thoughts::new(id),
            said: 0,
            said_before: 0,
            citations: Citations::default(),
            picture: None,
            images: Images::default(),
            finish: None,
            is_cut: false,
            fields: None,
        }
    }

    fn block_start(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        self.said_before = self.said;
        let Some(start) = event.start.0 else { return };
        if let Some(image) = start.image {
            let format = images::text_in(image, "format").map_or("png", Str::escaped);
            self.picture = Some(Picture { format: format.to_owned(), ..Picture::default() });
        }
        let Some(call) = start.tool_use.0.filter(ToolUse::is_clients) else { return };
        self.close_thought();
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        if self.open.len() < MOST_OPEN {
            self.open.push((block_number(event.index), index));
        }
        let call = ToolCallDelta {
            index: Some(index),
            id: text(call.tool_use_id).filter(|id| !id.is_empty()),
            name: text(call.name),
            arguments: Some(Arguments::Text(Str::EMPTY)),
            state: self.thoughts.take(),
            ..ToolCallDelta::default()
        };
        out.chunk(chunk(Delta { tool_calls: vec![call], ..Delta::default() }, None));
    }

    fn delta(&mut self, event: Event<'_>, out: &mut dyn Sink) {
        let Some(delta) = event.delta.0 else { return };
        if let Some(content) = text(delta.text) {
            self.said = self.said.saturating_add(citations::characters(content));
            out.chunk(chunk(Delta { content: Some(content), ..Delta::default() }, None));
        }
        if let Some(reasoning) = delta.reasoning_content.0 {
            let thought = text(reasoning.text);
            self.thought.add(thought, text(reasoning.signature), text(reasoning.redacted_content));
            if thought.is_some() {
                out.chunk(chunk(Delta { reasoning: thought, ..Delta::default() }, None));
            }
        }
        if let Some(image) = delta.image
            && !self.picture.get_or_insert_default().add(image)
        {
            out.skipped();
        }
        if let Some(citation) = delta.citation {
            self.citations.add(citation, self.said_before, self.said);
        }
        let fragment = delta.tool_use.0.and_then(|call| text(call.input)).filter(|text| !text.is_empty());
        if let Some(fragment) = fragment {
            let block = block_number(event.index);
            let Some((_, index)) = self.open.iter().rev().find(|(open, _)| *open == block) else { return };
            let arguments = Some(Arguments::Text(fragment));
            let call = ToolCallDelta { index: Some(*index), arguments, ..ToolCallDelta::default() };
            out.chunk(chunk(Delta { tool_calls: vec![call], ..Delta::default() }, None));
        }
    }

    fn block_stop(&mut self, index: Option<&RawValue>, out: &mut dyn Sink) {
        self.picture.take().into_iter().for_each(|picture| picture.tell(&mut self.images));
        if let Some(images) = self.images.take() {
            out.chunk(chunk(Delta { other: true, extra: vec![images], ..Delta::default() }, None));
        }
        let block = block_number(index);
        self.open.retain(|(open, _)| *open != block);
        self.close_thought();
        self.said_before = self.said;
    }

    fn close_thought(&mut self) {
        let Thought { text, signature, redacted } = mem::take(&mut self.thought);
        self.thoughts.add(&text, &signature);
        self.thoughts.add_redacted(&redacted);
    }

    fn end_with(&mut self, trace: Option<&RawValue>, out: &mut dyn Sink) {
        let fields = self.fields.take();
        let mut extra: Vec<_> = mem::take(&mut self.citations).into_extra().collect();
        extra.extend(field("additionalModelResponseFields", fields.as_deref()));
        extra.extend(trace.and_then(guardrail_trace));
        if let Some(reason) = self.finish.take() {
            out.chunk(chunk(Delta { other: self.is_cut, extra, ..Delta::default() }, Some(reason)));
        }
    }
}

/// A picture that is being told: its bytes, piece by piece, or where they are.
#[derive(Default)]
struct Picture {
    format: String,
    bytes: Vec<u8>,
    address: String,
    is_broken: bool,
}

/// Models make none that is larger; what a stream can make us hold is bounded by it.
const MAX_PICTURE: usize = 16 << 20;

impl Picture {
    /// Tells whether the piece could be read.
    fn add(&mut self, delta: &RawValue) -> bool {
        let Some(fields) = Object::of(delta) else { return false };
        // In place of one that the model could not make there is an error.
        let Some(source) = fields.get("source") else { return true };
        if let Some(uri) = address(source) {
            uri.escaped().clone_into(&mut self.address);
        }
        let Some(piece) = images::text_in(source, "bytes") else { return true };
        let piece = STANDARD_NO_PAD.decode(piece.decode().trim_end_matches('=')).unwrap_or_default();
        self.is_broken |= piece.is_empty() || piece.len() > MAX_PICTURE.saturating_sub(self.bytes.len());
        if self.is_broken {
            self.bytes = Vec::new();
        }
        self.bytes.extend_from_slice(if self.is_broken { &[] } else { &piece });
        !self.is_broken
    }

    fn tell(self, images: &mut Images) {
        let format = if self.format.is_empty() { "png" } else { &self.format };
        if !self.bytes.is_empty() {
            images.push(&["image/", format], &STANDARD.encode(&self.bytes));
        } else if !self.address.is_empty() {
            images.push_url(&[&self.address]);
        }
    }
}

impl Thought {
    fn add(&mut self, text: Option<Str<'_>>, signature: Option<Str<'_>>, redacted: Option<Str<'_>>) {
        let pieces = [(&mut self.text, text), (&mut self.signature, signature), (&mut self.redacted, redacted)];
        for (whole, piece) in pieces {
            // One too long to be carried is not collected further: being incomplete it is too long still.
            if let Some(piece) = piece.filter(|_| whole.len() <= MAX_PAYLOAD) {
                whole.push_str(piece.escaped());
            }
        }
    }
}

fn block_number(index: Option<&RawValue>) -> u64 {
    index.and_then(tolerant::count).unwrap_or(0)
}

fn chunk<'a>(delta: Delta<'a>, finish_reason: Option<FinishReason>) -> ChatChunk<'a> {
    ChatChunk { choices: vec![ChunkChoice { index: 0, place: None, delta, finish_reason }], ..ChatChunk::default() }
}

wire! {
    /// Any event: the fields of all of them.
    struct Event<'a> {
        index = "contentBlockIndex": Option<&'a RawValue>,
        start: Maybe<Start<'a>>,
        delta: Maybe<WireDelta<'a>>,
        stop_reason = "stopReason": Option<&'a RawValue>,
        fields = "additionalModelResponseFields": Option<&'a RawValue>,
        usage: Option<&'a RawValue>,
        trace: Option<&'a RawValue>,
    }

    struct Start<'a> {
        tool_use = "toolUse": Maybe<ToolUse<'a>>,
        image: Option<&'a RawValue>,
    }

    struct WireDelta<'a> {
        text: Option<&'a RawValue>,
        tool_use = "toolUse": Maybe<ToolUse<'a>>,
        reasoning_content = "reasoningContent": Maybe<ReasoningDelta<'a>>,
        citation: Option<&'a RawValue>,
        image: Option<&'a RawValue>,
    }

    struct ReasoningDelta<'a> {
        text: Option<&'a RawValue>,
        signature: Option<&'a RawValue>,
        redacted_content = "redactedContent": Option<&'a RawValue>,
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
            let mut line = Vec::new();
            for choice in &chunk.choices {
                let delta = &choice.delta;
                line.extend(delta.role.then(|| "role".to_owned()));
                line.extend((delta.other && delta.extra.is_empty()).then(|| "other".to_owned()));
                line.extend(delta.content.map(|text| format!("content={}", text.raw())));
                line.extend(delta.reasoning.map(|text| format!("reasoning={}", text.raw())));
                for call in &delta.tool_calls {
                    line.extend(call.index.map(|index| format!("call={index}")));
                    line.extend([call.id, call.name].into_iter().flatten().map(|text| text.raw().to_owned()));
                    line.extend(call.arguments.map(|arguments| arguments.raw().to_owned()));
                    line.extend(call.state.as_ref().map(|state| format!("state={}", state.payload)));
                }
                line.extend(delta.extra.iter().map(|(name, json)| format!("{name}={json}")));
                line.extend(choice.finish_reason.map(|reason| format!("finish={}", reason.as_str())));
            }
            line.extend(chunk.usage.map(|usage| format!("usage={}/{}", usage.input, usage.output)));
            self.0.push(line.join(" "));
        }

        fn done(&mut self) {
            self.0.push("done".into());
        }

        fn skipped(&mut self) {
            self.0.push("skipped".into());
        }
    }

    fn run(frames: &[(&str, &str)]) -> Result<Vec<String>, UpstreamError> {
        let mut stream = BedrockStream::new("m");
        let mut log = Log::default();
        for (event, data) in frames {
            stream.frame(Frame { event, data }, &mut log)?;
        }
        Ok(log.0)
    }

    const START: (&str, &str) = ("messageStart", r#"{"role":"assistant","p":"abc"}"#);
    const METADATA: (&str, &str) = (
        "metadata",
        r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cacheReadInputTokens":4},"metrics":{"latencyMs":5}}"#,
    );

    #[test]
    fn thoughts_are_told_as_they_come_and_kept_for_the_next_call() {
        let told = run(&[
            START,
            ("contentBlockDelta", r#"{"delta":{"reasoningContent":{"text":"h\n"}},"contentBlockIndex":0}"#),
            ("contentBlockDelta", r#"{"delta":{"reasoningContent":{"text":"m"}},"contentBlockIndex":0}"#),
            ("contentBlockDelta", r#"{"delta":{"reasoningContent":{"signature":"s+"}},"contentBlockIndex":0}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("contentBlockDelta", r#"{"delta":{"reasoningContent":{"redactedContent":"cg=="}},"contentBlockIndex":1}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
            ("contentBlockDelta", r#"{"delta":{"text":"a"},"contentBlockIndex":2}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
            ("contentBlockStart", r#"{"start":{"toolUse":{"toolUseId":"t","name":"f"}},"contentBlockIndex":3}"#),
            ("contentBlockDelta", r#"{"delta":{"toolUse":{"input":""}},"contentBlockIndex":3}"#),
            ("contentBlockDelta", r#"{"delta":{"toolUse":{"input":"{\"a\":"}},"contentBlockIndex":3}"#),
            ("contentBlockDelta", r#"{"delta":{"toolUse":{"input":"1}"}},"contentBlockIndex":3}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
            ("contentBlockStart", r#"{"start":{"toolUse":{"toolUseId":"u","name":"g"}},"contentBlockIndex":4}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":4}"#),
            ("messageStop", r#"{"stopReason":"tool_use"}"#),
            METADATA,
        ]);
        let state = concat!(
            r#"state=["m",{"reasoningContent":{"reasoningText":{"text":"h\nm","signature":"s+"}}},"#,
            r#"{"reasoningContent":{"redactedContent":"cg=="}}]"#
        );
        assert_eq!(
            told.unwrap(),
            [
                "role",
                r#"reasoning="h\n""#,
                r#"reasoning="m""#,
                r#"content="a""#,
                &format!(r#"call=0 "t" "f"  {state}"#),
                r#"call=0 {\"a\":"#,
                "call=0 1}",
                r#"call=1 "u" "g" "#,
                "finish=tool_calls",
                "usage=5/2",
                "done"
            ]
        );
    }

    #[test]
    fn calls_of_a_servers_own_tools_are_nobodys_business() {
        let told = run(&[
            START,
            (
                "contentBlockStart",
                r#"{"start":{"toolUse":{"toolUseId":"w","name":"nova_grounding","type":"server_tool_use"}},"contentBlockIndex":0}"#,
            ),
            ("contentBlockDelta", r#"{"delta":{"toolUse":{"input":"{}"}},"contentBlockIndex":0}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("contentBlockStart", r#"{"start":{"toolResult":{"toolUseId":"w"}},"contentBlockIndex":1}"#),
            ("contentBlockDelta", r#"{"delta":{"toolResult":[{"text":"x"}]},"contentBlockIndex":1}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
            ("contentBlockDelta", r#"{"delta":{"text":"as \u00e9"},"contentBlockIndex":2}"#),
            (
                "contentBlockDelta",
                r#"{"delta":{"citation":{"location":{"web":{"url":"https://h","domain":"h"}}}},"contentBlockIndex":2}"#,
            ),
            ("contentBlockDelta", r#"{"delta":{"citation":{"source":"s","location":{}}},"contentBlockIndex":2}"#),
            ("messageStop", r#"{"stopReason":"end_turn","additionalModelResponseFields":{"stop_sequence":null}}"#),
            ("metadata", r#"{"metrics":{},"trace":{"guardrail":{}}}"#),
        ]);
        let annotations = concat!(
            r#"annotations=[{"type":"url_citation","url_citation":{"start_index":0,"end_index":4,"#,
            r#""title":"https://h","url":"https://h"}}]"#
        );
        assert_eq!(
            told.unwrap(),
            [
                "role",
                r#"content="as \u00e9""#,
                &format!(
                    "{annotations} citations={} additionalModelResponseFields={} trace={} finish=stop",
                    r#"[{"source":"s","location":{}}]"#, r#"{"stop_sequence":null}"#, r#"{"guardrail":{}}"#
                ),
                "",
                "done"
            ]
        );
    }

    #[test]
    fn a_stream_is_whole_with_its_last_event_only() {
        let text = ("contentBlockDelta", r#"{"delta":{"text":"a"},"contentBlockIndex":0}"#);
        let cut = ("messageStop", r#"{"stopReason":"stop_sequence"}"#);
        assert_eq!(run(&[START, cut, METADATA]).unwrap(), ["role", "other finish=stop", "usage=5/2", "done"]);
        let stop = ("messageStop", r#"{"stopReason":"end_turn"}"#);
        assert_eq!(run(&[START, text, stop]).unwrap(), ["role", r#"content="a""#]);
        let whole = ["role", r#"content="a""#, "finish=stop", "usage=5/2", "done"];
        assert_eq!(run(&[START, text, stop, METADATA]).unwrap(), whole);
        assert_eq!(
            run(&[("messageStop", r#"{"stopReason":"malformed_tool_use"}"#)]).unwrap_err().class,
            Class::Malformed
        );
    }

    #[test]
    fn exceptions_are_failures_and_what_is_unknown_is_nothing() {
        let class = |event, data| run(&[START, (event, data)]).map(drop).map_err(|error| error.class);
        assert_eq!(class("throttlingException", r#"{"message":"slow"}"#), Err(Class::RateLimited));
        assert_eq!(class("modelStreamErrorException", ""), Err(Class::Unreachable));
        assert_eq!(class("newException", "{}"), Err(Class::Transient));
        assert_eq!(class("error", r#"{"code":"InternalFailure","message":"x"}"#), Err(Class::Transient));
        assert_eq!(class("", r#"{"__type":"x","message":"y"}"#), Err(Class::Transient));
        assert_eq!(class("initial-response", "{}"), Ok(()));
        assert_eq!(run(&[("contentBlockDelta", "{"), ("contentBlockDelta", "7")]).unwrap(), ["skipped", "skipped"]);
        assert_eq!(run(&[("contentBlockDelta", "{}"), ("contentBlockStart", r#"{"start":7}"#)]).unwrap(), [""; 0]);
    }
}
