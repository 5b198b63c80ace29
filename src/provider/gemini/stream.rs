//! Streamed answers: each event is an answer of its own, with what is new in it (`alt=sse`; without it
//! the same as the elements of one list).
//!
//! Nothing marks the end but the end itself, and an ending may be followed by more (usage, grounding; in
//! older versions text, as every event had one): so the endings are told last.

use super::citations::{self, Offsets};
use super::error;
use super::partial::Arguments as Pieces;
use super::response::{
    Answer, Candidate, End, Ending, FINISH_REASON, PROMPT_FEEDBACK, Part, Tokens, is_block, is_told, is_true, text,
};
use crate::chat::{Arguments, ChatChunk, ChunkChoice, Delta, FinishReason, State, ToolCallDelta};
use crate::error::UpstreamError;
use crate::json::{RawValue, Str};
use crate::provider::tolerant;
use crate::provider::{Sink, StreamTranslator, failure};
use crate::stream::Frame;

/// What has to be known of earlier events to read the next.
#[derive(Default)]
pub struct GeminiStream {
    choices: Vec<Told>,
    tokens: Tokens,
    /// Why there is no answer at all.
    blocked: Option<String>,
}

/// One of the answers so far.
#[derive(Default)]
struct Told {
    index: u32,
    has_output: bool,
    calls: u32,
    /// The call whose arguments are still coming.
    open: Option<Open>,
    offsets: Offsets,
    ending: Option<(Ending, String)>,
    kept: [Option<String>; 4],
}

/// Fields of which the last holds, told with the end.
const GROUNDING: usize = 0;
const CITATIONS: usize = 1;
const FURTHER: [&str; 4] = ["", "", "url_context_metadata", "safety_ratings"];

/// A page of search results and their sources is a few KB.
const MAX_KEPT: usize = 256 << 10;

/// What a stream can make us remember is bounded by it: the API gives 8.
const MAX_CHOICES: usize = 128;

struct Open {
    index: u32,
    arguments: Pieces,
}

impl StreamTranslator for GeminiStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let Ok(answer) = serde_json::from_str::<Answer<'_>>(frame.data) else {
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
        let is_error = answer.error.is_some_and(failure::is_something);
        if is_error || (!answer.candidates.is_given && failure::is_report(frame.data.as_bytes())) {
            return Err(error::read(200, frame.data.as_bytes()));
        }
        let usage = answer.usage.filter(|usage| self.tokens.update(usage)).map(|_| self.tokens.usage());
        let native_usage = answer.usage.map(RawValue::get).filter(|_| usage.is_some());
        let (id, model) = (text(answer.id), text(answer.model));
        if usage.is_some() || id.is_some() || model.is_some() {
            out.chunk(ChatChunk { id, model, usage, native_usage, ..ChatChunk::default() });
        }
        if let Some(feedback) = answer.prompt_feedback.filter(|feedback| is_block(feedback)) {
            self.blocked = Some(feedback.get().to_owned());
        }
        for (place, candidate) in answer.candidates.into_placed() {
            let index = candidate.index.and_then(tolerant::index).unwrap_or(place as u32);
            let known = self.choices.iter().position(|told| told.index == index);
            let at = known.unwrap_or(self.choices.len());
            if known.is_none() && at < MAX_CHOICES {
                self.choices.push(Told { index, ..Told::default() });
            }
            if let Some(told) = self.choices.get_mut(at) {
                told.candidate(candidate, out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        if let Some(feedback) = self.blocked.take().filter(|_| self.choices.is_empty()) {
            let delta = Delta { role: true, extra: vec![(PROMPT_FEEDBACK, feedback.into())], ..Delta::default() };
            out.chunk(chunk(0, delta, Some(FinishReason::ContentFilter)));
        }
        self.choices.iter_mut().try_for_each(|told| told.end(out))
    }
}

impl Told {
    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let mut logprobs = candidate.logprobs.0.and_then(|logprobs| logprobs.written());
        let parts = candidate.content.0.map(|content| content.parts).unwrap_or_default();
        for (_, part) in parts.into_placed() {
            match part.said() {
                Some((text, true)) => {
                    self.has_output = true;
                    self.tell(Delta { reasoning: Some(text), ..Delta::default() }, out);
                }
                Some((text, false)) => {
                    self.has_output = true;
                    self.offsets.add(&text.decode());
                    let logprobs = logprobs.take().map(Into::into);
                    self.tell(Delta { content: Some(text), logprobs, ..Delta::default() }, out);
                }
                None => {}
            }
            self.call(&part, out);
        }
        let kept = [candidate.grounding, candidate.citations, candidate.url_context, candidate.safety_ratings];
        for (kept, new) in self.kept.iter_mut().zip(kept) {
            if let Some(new) = new.filter(|new| is_told(new) && new.get().len() <= MAX_KEPT) {
                *kept = Some(new.get().to_owned());
            }
        }
        if let Some(word) = text(candidate.finish_reason) {
            let ending = Ending::of(Some(&word.decode()));
            if matches!(ending, Ending::Broken(_)) {
                return ending.finish(self.has_output, self.calls > 0).map(drop);
            }
            self.ending = Some((ending, word.raw().to_owned()));
        }
        Ok(())
    }

    fn call(&mut self, part: &Part<'_>, out: &mut dyn Sink) {
        let Some(call) = &part.call.0 else { return };
        let name = text(call.name).filter(|name| !name.is_empty());
        let is_open = is_true(call.will_continue);
        if name.is_some() || (self.open.is_none() && !call.partial.items.is_empty()) {
            self.close(out);
            self.has_output = true;
            let index = self.calls;
            self.calls = self.calls.saturating_add(1);
            let in_pieces = is_open || call.partial.is_given;
            let arguments = (!in_pieces).then(|| call.arguments());
            self.begin(index, call.id(), name, arguments, call.state(part.signature), out);
            if !in_pieces {
                return;
            }
            self.open = Some(Open { index, arguments: Pieces::default() });
        }
        let Some(open) = &mut self.open else { return };
        for piece in call.partial.items.iter().flatten() {
            if !open.arguments.add(piece) {
                out.skipped();
            }
        }
        if !is_open {
            self.close(out);
        }
    }

    fn begin(
        &self,
        index: u32,
        id: Option<Str<'_>>,
        name: Option<Str<'_>>,
        arguments: Option<Arguments<'_>>,
        state: Option<State<'_>>,
        out: &mut dyn Sink,
    ) {
        let call = ToolCallDelta { index: Some(index), id, name, arguments, state, ..ToolCallDelta::default() };
        self.tell(Delta { tool_calls: vec![call], ..Delta::default() }, out);
    }

    /// Tells the arguments of a call that has come in pieces.
    fn close(&mut self, out: &mut dyn Sink) {
        let Some(open) = self.open.take() else { return };
        let arguments = open.arguments.to_json();
        self.begin(open.index, None, None, Some(Arguments::Json(&arguments)), None, out);
    }

    fn tell(&self, delta: Delta<'_>, out: &mut dyn Sink) {
        out.chunk(chunk(self.index, delta, None));
    }

    fn end(&mut self, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let Some((ending, word)) = self.ending.take() else { return Ok(()) };
        self.close(out);
        let End { reason, is_odd } = ending.finish(self.has_output, self.calls > 0)?;
        let raw = |at: usize| serde_json::from_str(self.kept.get(at)?.as_deref()?).ok();
        let (grounding, citations) = (raw(GROUNDING), raw(CITATIONS));
        let mut extra = citations::extra(grounding, citations, &self.offsets);
        for (name, kept) in FURTHER.iter().zip(&self.kept).filter(|(name, _)| !name.is_empty()) {
            extra.extend(kept.as_deref().map(|kept| (*name, kept.into())));
        }
        if is_odd {
            extra.push((FINISH_REASON, word.as_str().into()));
        }
        out.chunk(chunk(self.index, Delta { extra, ..Delta::default() }, Some(reason)));
        Ok(())
    }
}

fn chunk<'a>(index: u32, delta: Delta<'a>, finish_reason: Option<FinishReason>) -> ChatChunk<'a> {
    ChatChunk { choices: vec![ChunkChoice { index, place: None, delta, finish_reason }], ..ChatChunk::default() }
}
