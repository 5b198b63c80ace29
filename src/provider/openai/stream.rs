//! Streamed answers: a chunk an event, and every way there is to end.

use super::echo::Collector;
use super::reported;
use super::wire::{WireMessage, finish_reason, has_plain_logprobs, is_plain_reason, usage};
use crate::chat::{ChatChunk, ChunkChoice, Said, Source, Usage};
use crate::error::UpstreamError;
use crate::json::{self, RawValue, Str, Type};
use crate::provider::tolerant::{self, List, Maybe, Present, wire};
use crate::provider::{Sink, StreamTranslator, failure};
use crate::stream::Frame;

pub struct OpenAiStream {
    /// What the vendor wants back of this answer.
    pub collector: Collector,
}

wire! {
    struct WireChunk<'a> {
        id: Option<&'a RawValue>,
        object: Option<&'a RawValue>,
        model: Option<&'a RawValue>,
        created: Option<&'a RawValue>,
        choices: List<WireChoice<'a>>,
        usage: Present<'a>,
        x_groq: Maybe<Groq<'a>>,
        error: Present<'a>,
        /// Characters of no meaning, by which OpenAI hides how long a text is.
        obfuscation: Option<&'a RawValue>,
    }

    struct WireChoice<'a> {
        index: Option<&'a RawValue>,
        delta: Maybe<WireMessage<'a>>,
        logprobs: Option<&'a RawValue>,
        finish_reason: Option<&'a RawValue>,
        usage: Present<'a>,
    }

    /// What Groq puts beside the chunk.
    struct Groq<'a> {
        usage: Option<&'a RawValue>,
        error: Option<&'a RawValue>,
    }
}

impl StreamTranslator for OpenAiStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let data = frame.data.trim();
        if frame.event.eq_ignore_ascii_case("error") {
            return Err(reported(data.as_bytes()));
        }
        // As an event's name (quirk A3).
        let is_last = frame.event.eq_ignore_ascii_case("done");
        if is_done(data) {
            out.done();
            return Ok(());
        }
        match tolerant::read_str::<WireChunk<'_>>(data) {
            Ok(chunk) => chunk.read(data, &mut self.collector, out)?,
            // A list with an error in it (quirk C6).
            Err(_) if failure::is_report(data.as_bytes()) => return Err(reported(data.as_bytes())),
            Err(_) => match data.strip_suffix("[DONE]") {
                // Glued to the last chunk.
                Some(rest) => {
                    self.frame(Frame { data: rest, ..frame }, out)?;
                    out.done();
                }
                // An empty event is somebody's way to keep the connection open.
                None if data.is_empty() || is_last => {}
                None => out.skipped(),
            },
        }
        if is_last {
            out.done();
        }
        Ok(())
    }

    fn again(&mut self, said: &Said<'_>, value: Option<&RawValue>) -> Option<Usage> {
        self.collector.again(said);
        value.and_then(usage)
    }
}

/// `[DONE]`, with whatever is around or behind it, also as a JSON string (quirks A2, A3).
fn is_done(data: &str) -> bool {
    data.strip_prefix('"').unwrap_or(data).trim_start().starts_with("[DONE]")
}

impl<'a> WireChunk<'a> {
    fn read(self, text: &'a str, collector: &mut Collector, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let is = |value: Option<&RawValue>, text: &str| value.is_some_and(|value| value.get() == text);
        let groq = self.x_groq.0;
        let has_failed = self.error.0.is_some_and(failure::is_something) || is(self.object, "\"error\"");
        if has_failed || (self.choices.items.is_empty() && failure_without_choices(text, self.usage.0)) {
            return Err(reported(text.as_bytes()));
        }
        if let Some(error) = groq.as_ref().and_then(|groq| groq.error).filter(|error| failure::is_something(error)) {
            return Err(reported(format!("{{\"error\":{}}}", error.get()).as_bytes()));
        }
        let in_groq = groq.and_then(|groq| groq.usage);
        let in_choice = self.choices.items.iter().flatten().find_map(|choice| choice.usage.0);
        // The list is there, however empty; what else might be told in other words is where it belongs.
        let is_exact = self.choices.is_exact
            && self.choices.items.iter().flatten().all(WireChoice::is_exact)
            && is(self.object, "\"chat.completion.chunk\"")
            && self.created.is_some_and(tolerant::is_plain_time)
            && self.error.0.is_none()
            && in_groq.is_none();
        let elsewhere = in_groq.or(in_choice).and_then(usage);
        let mut chunk = ChatChunk {
            source: Some(Source { text, usage: self.usage.0, exact: is_exact }),
            id: self.id.and_then(Str::new),
            model: self.model.and_then(Str::new),
            created: self.created.and_then(tolerant::seconds),
            choices: Vec::with_capacity(self.choices.items.len()),
            usage: self.usage.0.and_then(usage).or(elsewhere),
            native_usage: None,
        };
        let mut repeats = elsewhere.is_none();
        for (place, choice) in self.choices.into_placed() {
            let mut before = Vec::new();
            let index = choice.index.and_then(tolerant::index).unwrap_or(place as u32);
            let delta = choice.delta.0.unwrap_or_default();
            repeats &= collector.read(index, &delta);
            let mut delta = delta.delta(&mut before);
            collector.give(index, &mut delta.tool_calls);
            for delta in before {
                let choice = ChunkChoice { index, place: None, delta, finish_reason: None };
                let ChatChunk { id, model, created, .. } = chunk;
                out.chunk(ChatChunk { id, model, created, choices: vec![choice], ..ChatChunk::default() });
            }
            let finish_reason = finish_reason(choice.finish_reason)?;
            chunk.choices.push(ChunkChoice { index, place: Some(place), delta, finish_reason });
        }
        out.chunk(chunk);
        if repeats {
            out.repeats(self.obfuscation.and_then(Str::new));
        }
        Ok(())
    }
}

impl WireChoice<'_> {
    /// Whether it is written as OpenAI writes it, so that its text may stand for what was read.
    fn is_exact(&self) -> bool {
        self.index.is_some_and(tolerant::is_plain_index)
            && self.delta.0.as_ref().is_some_and(WireMessage::is_exact_delta)
            && is_plain_reason(self.finish_reason)
            && has_plain_logprobs(self.logprobs)
            && self.usage.0.is_none()
    }
}

/// Whether a chunk without choices is the report of an error rather than of usage.
fn failure_without_choices(text: &str, usage: Option<&RawValue>) -> bool {
    usage.is_none_or(|usage| json::type_of(usage) != Type::Object) && failure::is_report(text.as_bytes())
}
