//! Bytes to frames to a strict stream, and on to the client's bytes.
//!
//! A [`Relay`] reads one provider's streamed answer: frame, translate, normalize, render. It knows
//! neither vendors nor clients; both are given to it.

pub mod normalize;
pub mod sse;

use crate::chat::{ChatChunk, ChatResponse, ChunkChoice, Delta, ToolCallDelta};
use crate::endpoint::Render;
use crate::error::{ErrorReply, UpstreamError};
use crate::provider::{Sink, StreamTranslator};
use normalize::{Identity, Normalizer, Verdict};

/// One framed message of a streamed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's name; empty where the format has none.
    pub event: &'a str,
    pub data: &'a str,
}

pub struct Relay {
    parser: sse::Parser,
    translator: Box<dyn StreamTranslator>,
    output: Output,
}

/// The part that chunks go through once they are translated.
struct Output {
    normalizer: Normalizer,
    render: Box<dyn Render>,
    bytes: Vec<u8>,
    phase: Phase,
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
    pub fn new(translator: Box<dyn StreamTranslator>, render: Box<dyn Render>, identity: Identity) -> Self {
        let output = Output::new(render, identity);
        Relay { parser: sse::Parser::default(), translator, output }
    }

    /// Takes the next bytes of the provider's answer. What the client is to read piles up until it is
    /// taken with [`Relay::take`]. After an error nothing more is read.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), UpstreamError> {
        if !matches!(self.output.phase, Phase::Open) {
            return Ok(());
        }
        if self.parser.push(bytes).is_err() {
            self.output.phase = Phase::Failed(None);
            return Err(UpstreamError::malformed("The provider sent an event that is larger than any answer."));
        }
        while let Some(frame) = self.parser.next() {
            self.translator.frame(frame, &mut self.output).map_err(|error| self.output.fail(error))?;
            if !matches!(self.output.phase, Phase::Open) {
                return self.output.verdict();
            }
        }
        Ok(())
    }

    /// The provider's answer has ended.
    pub fn end(&mut self) -> Result<(), UpstreamError> {
        while matches!(self.output.phase, Phase::Open)
            && let Some(frame) = self.parser.finish()
        {
            self.translator.frame(frame, &mut self.output).map_err(|error| self.output.fail(error))?;
        }
        if matches!(self.output.phase, Phase::Open) {
            self.output.done();
        }
        self.output.verdict()
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
    let mut output = Output::new(render, identity);
    let chunk = || ChatChunk {
        id: Some(answer.id),
        model: Some(answer.model),
        created: answer.created,
        ..ChatChunk::default()
    };
    for choice in &answer.choices {
        let message = &choice.message;
        let mut tell = |delta, finish_reason| {
            let choice = ChunkChoice { index: choice.index, place: None, delta, finish_reason };
            output.chunk(ChatChunk { choices: vec![choice], ..chunk() });
        };
        tell(Delta { role: true, ..Delta::default() }, None);
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
                ..ToolCallDelta::default()
            };
            tell(Delta { tool_calls: vec![call], ..Delta::default() }, None);
        }
        tell(Delta::default(), Some(choice.finish_reason));
    }
    output.chunk(ChatChunk { usage: answer.usage, ..chunk() });
    output.done();
    output.verdict()?;
    Ok(output.bytes)
}

impl Output {
    fn new(render: Box<dyn Render>, identity: Identity) -> Self {
        let normalizer = Normalizer::new(identity);
        Output { normalizer, render, bytes: Vec::new(), phase: Phase::Open, skipped: 0 }
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
}

impl Sink for Output {
    fn chunk(&mut self, mut chunk: ChatChunk<'_>) {
        if matches!(self.phase, Phase::Open) && self.normalizer.chunk(&mut chunk) == Verdict::Send {
            self.render.chunk(self.normalizer.identity(), &chunk, &mut self.bytes);
        }
    }

    fn done(&mut self) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        self.phase = match self.normalizer.end() {
            Ok(()) => {
                self.render.end(self.normalizer.identity(), self.normalizer.usage(), &mut self.bytes);
                Phase::Complete
            }
            Err(error) => Phase::Failed(Some(error)),
        };
    }

    fn skipped(&mut self) {
        self.skipped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::endpoint::chat_completions::ChatCompletions;
    use crate::provider::Translator;
    use crate::provider::openai::OpenAi;

    #[test]
    fn what_cannot_be_read_is_counted_and_what_is_unknown_is_not() {
        let identity = Identity { id: "\"x\"".into(), model: "\"m\"".into(), created: 1 };
        let mut relay = Relay::new(OpenAi.stream(), ChatCompletions.stream(false), identity);
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
