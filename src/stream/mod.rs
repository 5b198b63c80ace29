//! Bytes to frames to a strict stream, and on to the client's bytes.
//!
//! A [`Relay`] reads one provider's streamed answer: frame, translate, normalize, render. It knows
//! neither vendors nor clients; both are given to it.

pub mod normalize;
pub mod sse;

use crate::chat::ChatChunk;
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
        let normalizer = Normalizer::new(identity);
        let output = Output { normalizer, render, bytes: Vec::new(), phase: Phase::Open };
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
        if matches!(self.output.phase, Phase::Open)
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

impl Output {
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
}
