//! Bytes to frames to a strict stream, and on to the client's bytes.
//!
//! A [`Relay`] reads one provider's streamed answer: frame, translate, normalize, render. It knows
//! neither vendors nor clients; both are given to it.

pub mod event_stream;
pub mod json_values;
pub mod normalize;
pub mod sse;
mod template;

use crate::chat::{ChatChunk, ChatResponse, ChunkChoice, Delta, FinishReason, Source, ToolCallDelta};
use crate::endpoint::Render;
use crate::error::{ErrorReply, UpstreamError};
use crate::json::{self, RawValue, Str};
use crate::meter::Meter;
use crate::provider::{Sink, StreamTranslator};
use normalize::{Identity, Normalizer, Verdict};
use template::{Seen, Stop, Template};

/// One framed message of a streamed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's name; empty where the format has none.
    pub event: &'a str,
    pub data: &'a str,
}

/// The framing of a stream, which its first bytes tell: labels are not to be trusted.
pub enum Frames {
    Sse(sse::Parser),
    JsonValues(json_values::Parser),
    EventStream(event_stream::Parser),
}

/// A stream whose framing cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    TooLarge,
    /// A binary frame that is damaged: nothing behind it can be found any more.
    Damaged(&'static str),
}

impl Broken {
    fn error(&self) -> UpstreamError {
        match self {
            Broken::TooLarge => UpstreamError::malformed("The provider sent an event that is larger than any answer."),
            Broken::Damaged(what) => UpstreamError::malformed(format!("The provider's stream is damaged: {what}.")),
        }
    }
}

impl Frames {
    /// The framing of an answer to a streamed request, by its first byte that says something and its
    /// label; `None` if it is no stream but one JSON value, or a page (quirk A17).
    pub fn of(first: Option<u8>, content_type: &str) -> Option<Self> {
        const LINES: [&str; 4] =
            ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/stream+json"];
        let is_lines = LINES.iter().any(|label| label.eq_ignore_ascii_case(content_type));
        match first {
            // The length of a frame that is smaller than 16 MiB.
            Some(0) => Some(Frames::EventStream(event_stream::Parser::default())),
            Some(b'[') => Some(Frames::JsonValues(json_values::Parser::default())),
            Some(b'{') if is_lines => Some(Frames::JsonValues(json_values::Parser::default())),
            Some(b'{' | b'<') => None,
            _ => Some(Frames::Sse(sse::Parser::default())),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match self {
            Frames::Sse(parser) => parser.push(bytes).map_err(|sse::TooLarge| Broken::TooLarge),
            Frames::JsonValues(parser) => parser.push(bytes),
            Frames::EventStream(parser) => parser.push(bytes),
        }
    }

    fn next(&mut self) -> Result<Option<Frame<'_>>, Broken> {
        match self {
            Frames::Sse(parser) => Ok(parser.next()),
            Frames::JsonValues(parser) => Ok(parser.next()),
            Frames::EventStream(parser) => parser.next(),
        }
    }

    /// How many bytes have not been read, where they begin with an event of lines.
    fn unread(&mut self) -> Option<usize> {
        match self {
            Frames::Sse(parser) => parser.unread().map(<[u8]>::len),
            Frames::JsonValues(_) | Frames::EventStream(_) => None,
        }
    }

    /// Lets go of what has been read.
    fn compact(&mut self) {
        if let Frames::Sse(parser) = self {
            parser.compact();
        }
    }

    /// What there is behind the last whole frame, where that may be one.
    fn finish(&mut self) -> Option<Frame<'_>> {
        match self {
            Frames::Sse(parser) => parser.finish(),
            Frames::JsonValues(parser) => parser.finish(),
            Frames::EventStream(_) => None,
        }
    }
}

/// The client's names of tools, as JSON, beside those that a provider knows them by.
#[derive(Debug, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// From pairs of the name that was sent and the client's.
    pub fn new<'a>(renamed: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Names(renamed.into_iter().map(|(sent, own)| (sent.to_owned(), json::escape(own))).collect())
    }

    /// Puts the client's name in the place of the one that was sent. Tells whether it did.
    pub fn restore<'a>(&'a self, name: &mut Str<'a>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let said = name.decode();
        let own = self.0.iter().find(|(sent, _)| *sent == said).and_then(|(_, own)| Str::parse(own));
        match own {
            Some(own) => *name = own,
            None => return false,
        }
        true
    }
}

pub struct Relay {
    frames: Frames,
    translator: Box<dyn StreamTranslator>,
    output: Output,
    /// Of the last event, where the next may be like it.
    template: Option<Box<Template>>,
    /// How many templates more may be made without being of use: some streams never repeat an event.
    tries: u8,
    repeated: usize,
}

/// More than the events of another kind that any stream has between its texts.
const TRIES: u8 = 64;

/// The part that chunks go through once they are translated.
struct Output {
    normalizer: Normalizer,
    render: Box<dyn Render>,
    names: Names,
    bytes: Vec<u8>,
    phase: Phase,
    meter: Box<Meter>,
    skipped: usize,
}

enum Phase {
    Open,
    /// The answer is complete; whatever else comes is not part of it (quirk A4).
    Complete,
    /// It has failed and says so, or will say so at the end.
    Failed(Option<UpstreamError>),
}

impl Relay {
    pub fn new(
        frames: Frames,
        translator: Box<dyn StreamTranslator>,
        render: Box<dyn Render>,
        identity: Identity,
        names: Names,
        meter: Box<Meter>,
    ) -> Self {
        Relay {
            frames,
            translator,
            output: Output::new(render, identity, names, meter),
            template: None,
            tries: TRIES,
            repeated: 0,
        }
    }

    /// Takes the next bytes of the provider's answer. What the client is to read piles up until it is
    /// taken with [`Relay::take`]. After an error nothing more is read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), UpstreamError> {
        if !matches!(self.output.phase, Phase::Open) {
            return Ok(());
        }
        if let Err(broken) = self.frames.push(bytes) {
            return Err(self.output.fail(broken.error()));
        }
        let read = self.read(false);
        self.frames.compact();
        read
    }

    /// Reads the frames that there are, and of those that repeat an event also whether more of one may follow.
    fn read(&mut self, is_end: bool) -> Result<(), UpstreamError> {
        loop {
            if self.repeat() == Stop::Part && !is_end {
                return Ok(());
            }
            let unread = self.frames.unread();
            let written = self.output.bytes.len();
            let Some(frame) = self.frames.next().map_err(|broken| self.output.fail(broken.error()))? else {
                return Ok(());
            };
            let mut told = Told { output: &mut self.output, seen: Seen::of(frame.data) };
            let read = self.translator.frame(frame, &mut told);
            let seen = told.seen;
            read.map_err(|error| self.output.fail(error))?;
            if !matches!(self.output.phase, Phase::Open) {
                return self.output.verdict();
            }
            self.template = unread.and_then(|unread| self.learn(unread, written, &seen));
        }
    }

    /// Reads the events that are like the one before.
    fn repeat(&mut self) -> Stop {
        let (Some(template), Frames::Sse(parser)) = (&self.template, &mut self.frames) else { return Stop::Other };
        let Some(mut unread) = parser.unread() else { return Stop::Other };
        let length = unread.len();
        let output = &mut self.output;
        let stop = loop {
            let (event, rest) = match template.read(unread) {
                Ok(event) => event,
                Err(stop) => break stop,
            };
            if unread.len() == length {
                output.bytes.reserve(template.room(length));
                self.tries = TRIES;
            }
            self.repeated += 1;
            template.write(&event, &mut output.bytes);
            let said = template.said(&event);
            output.meter.said(&said);
            if let (Some(usage), Some(value)) = (self.translator.again(&said, event.usage), event.usage) {
                output.meter.reported(usage);
                output.normalizer.usage_again(usage, value.get());
            }
            unread = rest;
        };
        let read = length - unread.len();
        parser.skip(read);
        stop
    }

    /// The template of the event that has just been read.
    fn learn(&mut self, unread: usize, written: usize, seen: &Seen) -> Option<Box<Template>> {
        let Frames::Sse(parser) = &self.frames else { return None };
        if !seen.may_repeat() || !self.output.render.repeats() {
            return None;
        }
        self.tries = self.tries.checked_sub(1)?;
        let template = Template::of(parser.last(unread)?, seen, self.output.bytes.get(written..)?)?;
        Some(Box::new(template))
    }

    /// The provider's answer has ended.
    pub fn end(&mut self) -> Result<(), UpstreamError> {
        if matches!(self.output.phase, Phase::Open) {
            self.read(true)?;
        }
        while matches!(self.output.phase, Phase::Open)
            && let Some(frame) = self.frames.finish()
        {
            let mut told = Told { output: &mut self.output, seen: Seen::default() };
            self.translator.frame(frame, &mut told).map_err(|error| self.output.fail(error))?;
        }
        if matches!(self.output.phase, Phase::Open) {
            let mut told = Told { output: &mut self.output, seen: Seen::default() };
            self.translator.end(&mut told).map_err(|error| self.output.fail(error))?;
            self.output.done();
        }
        self.output.verdict()
    }

    /// Reads every event in the ordinary way, which gives the same: what reading by templates is compared with.
    pub fn read_each(&mut self) {
        (self.template, self.tries) = (None, 0);
    }

    /// How many events were read by a template.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// Whether the model has said anything yet.
    pub fn has_output(&self) -> bool {
        self.output.normalizer.has_output()
    }

    /// Whether the client has been told everything.
    pub fn is_complete(&self) -> bool {
        matches!(self.output.phase, Phase::Complete)
    }

    /// How many events could not be read and were left out.
    pub fn skipped(&self) -> usize {
        self.output.skipped
    }

    pub fn meter(&self) -> &Meter {
        &self.output.meter
    }

    /// What remains of an answer that has ended.
    pub fn into_meter(self) -> Box<Meter> {
        self.output.meter
    }

    /// How many bytes are ready for the client.
    pub fn ready(&self) -> usize {
        self.output.bytes.len()
    }

    /// What is ready for the client.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output.bytes)
    }

    /// Tells the client that the answer has failed. Nothing may follow.
    pub fn error(&mut self, error: &ErrorReply) {
        self.output.phase = Phase::Failed(None);
        self.output.render.error(error, &mut self.output.bytes);
    }
}

/// Tells a whole answer as a stream, for clients that asked for one and a provider that did not listen
/// (quirk A17).
pub fn tell(answer: &ChatResponse<'_>, render: Box<dyn Render>, identity: Identity) -> Result<Vec<u8>, UpstreamError> {
    let mut output = Output::new(render, identity, Names::default(), Box::default());
    let mut seen = Seen::default();
    let chunk = || ChatChunk {
        id: Some(answer.id),
        model: Some(answer.model),
        created: answer.created,
        ..ChatChunk::default()
    };
    for choice in &answer.choices {
        let message = &choice.message;
        let mut source = answer.source.map(|text| Source { text, usage: None, exact: false });
        let mut tell = |delta, finish_reason| {
            let choice = ChunkChoice { index: choice.index, place: choice.place, delta, finish_reason };
            // With the first of them goes what else there is in the answer.
            output.chunk(ChatChunk { source: source.take(), choices: vec![choice], ..chunk() }, &mut seen);
        };
        // Calls without a typed field are not told.
        let other = message.other && choice.finish_reason != FinishReason::ToolCalls;
        tell(Delta { role: true, other, ..Delta::default() }, None);
        for text in &message.reasoning {
            tell(Delta { reasoning: Some(*text), ..Delta::default() }, None);
        }
        for text in &message.content {
            tell(Delta { content: Some(*text), ..Delta::default() }, None);
        }
        if message.refusal.is_some() {
            tell(Delta { refusal: message.refusal, ..Delta::default() }, None);
        }
        for (index, call) in message.tool_calls.iter().enumerate() {
            let call = ToolCallDelta {
                index: u32::try_from(index).ok(),
                id: Some(call.id).filter(|id| !id.is_empty()),
                name: Some(call.name),
                arguments: Some(call.arguments),
                state: call.state.clone(),
                ..ToolCallDelta::default()
            };
            tell(Delta { tool_calls: vec![call], ..Delta::default() }, None);
        }
        let (logprobs, extra) = (message.logprobs.clone(), message.extra.clone());
        tell(Delta { logprobs, extra, ..Delta::default() }, Some(choice.finish_reason));
    }
    output.chunk(ChatChunk { usage: answer.usage, native_usage: answer.native_usage, ..chunk() }, &mut seen);
    output.done();
    output.verdict()?;
    Ok(output.bytes)
}

impl Output {
    fn new(render: Box<dyn Render>, identity: Identity, names: Names, meter: Box<Meter>) -> Self {
        let normalizer = Normalizer::new(identity);
        Output { normalizer, render, names, bytes: Vec::new(), phase: Phase::Open, meter, skipped: 0 }
    }

    fn fail(&mut self, error: UpstreamError) -> UpstreamError {
        self.phase = Phase::Failed(None);
        error
    }

    fn verdict(&mut self) -> Result<(), UpstreamError> {
        match &mut self.phase {
            Phase::Failed(error) => error.take().map_or(Ok(()), Err),
            Phase::Open | Phase::Complete => Ok(()),
        }
    }

    fn chunk(&mut self, chunk: ChatChunk<'_>, seen: &mut Seen) {
        // Of a shorter life from here on: names may be ours.
        let mut chunk = chunk;
        let mut is_renamed = false;
        for call in chunk.choices.iter_mut().flat_map(|choice| &mut choice.delta.tool_calls) {
            is_renamed |= call.name.as_mut().is_some_and(|name| self.names.restore(name));
        }
        if let Some(source) = chunk.source.as_mut().filter(|_| is_renamed) {
            source.exact = false;
        }
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        if let Some(usage) = chunk.usage {
            self.meter.reported(usage);
            let given = chunk.source.and_then(|source| source.usage).map(RawValue::get);
            seen.usage(given.or(chunk.native_usage));
        }
        let is_settled = self.normalizer.is_settled(&chunk);
        if self.normalizer.chunk(&mut chunk) == Verdict::Send {
            self.meter.chunk(&chunk);
            seen.sent(&chunk, is_settled);
            self.render.chunk(self.normalizer.identity(), &chunk, &mut self.bytes);
        }
    }

    fn done(&mut self) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        self.phase = match self.normalizer.end() {
            Ok(()) => {
                self.meter.completed();
                self.render.end(self.normalizer.identity(), self.normalizer.usage(), &mut self.bytes);
                Phase::Complete
            }
            Err(error) => Phase::Failed(Some(error)),
        };
    }
}

/// What a translator tells, and what is to be learnt from it.
struct Told<'a> {
    output: &'a mut Output,
    seen: Seen,
}

impl Sink for Told<'_> {
    fn chunk(&mut self, chunk: ChatChunk<'_>) {
        self.output.chunk(chunk, &mut self.seen);
    }

    fn done(&mut self) {
        self.output.done();
    }

    fn repeats(&mut self, padding: Option<Str<'_>>) {
        self.seen.repeats(padding);
    }

    fn skipped(&mut self) {
        self.output.skipped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::endpoint::chat_completions::ChatCompletions;
    use crate::provider::{Kind, anthropic, gemini, openai};

    fn relay(kind: &Kind) -> Relay {
        let identity = Identity { id: "\"x\"".into(), model: "\"m\"".into(), created: 1 };
        let frames = Frames::Sse(sse::Parser::default());
        let (translator, names) = (kind.translator.stream(), Names::default());
        Relay::new(frames, translator, ChatCompletions.stream(true), identity, names, Box::default())
    }

    /// What the client reads, what is counted, and how many events were read by a template.
    fn told(mut relay: Relay, stream: &[u8]) -> (String, String, usize) {
        let read = relay.push(stream).and_then(|()| relay.end());
        let bytes = String::from_utf8(relay.take()).unwrap();
        (bytes, format!("{:?} {:?} {}", relay.meter(), read.is_ok(), relay.skipped()), relay.repeated())
    }

    #[test]
    fn an_event_that_says_more_than_the_one_before_is_read_by_itself() {
        let openai = |choices: &str, rest: &str| {
            format!(
                r#"data: {{"id":"i0","object":"chat.completion.chunk","created":1,"model":"m","choices":[{choices}]{rest}}}"#
            )
        };
        let text = |text: &str, rest: &str| {
            let choice = r#"{"index":0,"delta":{"content":"#;
            openai(&format!(r#"{choice}"{text}"}},"logprobs":null,"finish_reason":null}}"#), rest)
        };
        let ends = |text: &str, reason: &str| {
            openai(&format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":"{reason}"}}"#), "")
        };
        let role = openai(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#, "");
        let arguments = |text: &str, name: &str| {
            let function = format!(r#""function":{{{name}"arguments":"{text}"}}"#);
            openai(&format!(r#"{{"index":0,"delta":{{"tool_calls":[{{"index":0,{function}}}]}}}}"#), "")
        };
        let call = r#""name":"f","#;
        let begins = arguments("", call)
            .replace("\"index\":0,\"function\"", "\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\"");
        let usage = |count: u64| {
            format!(r#","usage":{{"prompt_tokens":3,"completion_tokens":{count},"total_tokens":{}}}"#, 3 + count)
        };
        let hidden = |text: &str| format!(r#","usage":null,"obfuscation":"{text}""#);
        let gemini = |text: &str, count: &str| {
            format!(
                r#"data: {{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}},"index":0}}],"usageMetadata":{{"promptTokenCount":3,"candidatesTokenCount":{count}}}}}"#
            )
        };
        let stop = r#"data: {"candidates":[{"finishReason":"STOP"}]}"#.to_owned();
        let anthropic = |kind: &str, name: &str, text: &str| {
            let delta = format!(r#"{{"type":"{kind}","{name}":"{text}"}}"#);
            format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}{}}}",
                " ".repeat(text.len())
            )
        };
        let starts = |block: &str| {
            format!(
                "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{}}}}\n\nevent: content_block_start\ndata: \
                 {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":{block}}}}}"
            )
        };
        for (kind, events, repeated) in [
            // The first that is read says that there is output; behind the end there is nothing to say.
            (&openai::KIND, vec![role.clone(), text("a", ""), text("b", ""), text("c", ""), ends("d", "stop")], 2),
            (&openai::KIND, vec![role.clone(), ends("d", "stop"), ends("e", "stop"), ends("f", "stop")], 0),
            (&openai::KIND, vec![text("a", ""), text("b", ""), text("c", ""), text("", ""), text("d", "")], 1),
            (&openai::KIND, vec![role.clone(), text("a", ""), text("b\\u12", ""), text("c", "")], 0),
            (&openai::KIND, vec![role.clone(), text("a", ""), text("b\"", ""), text("c", "")], 0),
            // What is there twice cannot be found again in what is written.
            (&openai::KIND, vec![role.clone(), text("index", ""), text("b", ""), text("c", "")], 1),
            (
                &openai::KIND,
                vec![role.clone(), text("a", &hidden("Xy")), text("b", &hidden("")), text("c", &hidden("z9"))],
                2,
            ),
            (
                &openai::KIND,
                vec![role.clone(), text("a", &hidden("a")), text("b", &hidden("")), text("c", &hidden("z9"))],
                1,
            ),
            (
                &openai::KIND,
                vec![
                    role.clone(),
                    text("a", &usage(1)),
                    text("b", &usage(20)),
                    text("c", &usage(300)),
                    ends("", "stop"),
                ],
                2,
            ),
            (&openai::KIND, vec![begins.clone(), arguments("{", ""), arguments("1", ""), arguments("}", "")], 1),
            (&openai::KIND, vec![begins, arguments("{", call), arguments("1", call), arguments("}", call)], 1),
            (&gemini::KIND, vec![gemini("a", "1"), gemini("b", "20"), gemini("c", "05"), gemini("é", "400")], 0),
            (&gemini::KIND, vec![gemini("a", "1"), gemini("b", "20"), gemini("c", "300"), gemini("é", "400"), stop], 2),
            (
                &anthropic::KIND,
                vec![
                    starts(r#""text""#),
                    anthropic("text_delta", "text", "a"),
                    anthropic("text_delta", "text", "bcd"),
                    anthropic("text_delta", "text", "e"),
                    anthropic("thinking_delta", "thinking", "e"),
                ],
                2,
            ),
            // Relayed without its frames, and what was thought is carried by the call's id.
            (
                &anthropic::BEDROCK,
                vec![
                    starts(r#""thinking""#),
                    anthropic("thinking_delta", "thinking", "a"),
                    anthropic("thinking_delta", "thinking", "bcd"),
                    anthropic("thinking_delta", "thinking", "e"),
                    anthropic("signature_delta", "signature", "s"),
                    starts(r#""tool_use","id":"t","name":"f""#),
                ],
                2,
            ),
        ] {
            for end in ["\n\n", "\r\n\r\n", "\r\r", "\n"] {
                let line_end = if end.len() > 1 { &end[..end.len() / 2] } else { end };
                let events = events.iter().map(|event| event.replace('\n', line_end) + end);
                let stream = events.collect::<String>().into_bytes();
                let told_of = |stream: &[u8], repeated: Option<usize>| {
                    let (with, mut without) = (relay(kind), relay(kind));
                    without.read_each();
                    let (with, without) = (told(with, stream), told(without, stream));
                    let stream = String::from_utf8_lossy(stream);
                    assert_eq!((with.0, with.1), (without.0, without.1), "{stream}");
                    assert_eq!((repeated.unwrap_or(with.2), 0), (with.2, without.2), "{stream}");
                };
                // What no blank line has ended is ended by what follows.
                told_of(&stream, Some(if end.len() > 1 { repeated } else { 0 }));
                (0..stream.len()).step_by(7).for_each(|cut| told_of(&stream[..cut], None));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_what_is_unknown_is_not() {
        let mut relay = relay(&openai::KIND);
        for (event, skipped) in [
            ("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}", 0),
            ("data: {\"choices\":[{\"delta\":{\"content", 1),
            ("data: <html>", 2),
            ("data: 7", 3),
            ("data: {\"type\":\"ping\"}", 3),
            (": comment", 3),
            ("data:", 3),
            ("data: [DONE]", 3),
            ("data: behind it nothing is read", 3),
        ] {
            relay.push(format!("{event}\n\n").as_bytes()).unwrap();
            assert_eq!(relay.skipped(), skipped, "{event}");
        }
        assert!(relay.is_complete());
    }
}
