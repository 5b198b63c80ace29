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
use crate::chat::{Arguments, ChatChunk, ChunkChoice, Delta, FinishReason, Said, SaidAs, State, ToolCallDelta, Usage};
use crate::error::UpstreamError;
use crate::json::{self, RawValue, Str};
use crate::provider::images::Images;
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
    images: Images,
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
        let Ok(answer) = tolerant::read_str::<Answer<'_>>(frame.data) else {
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
        let usage = answer.usage.object.as_ref().map(|usage| {
            self.tokens.take(usage);
            self.tokens.usage()
        });
        let native_usage = answer.usage.raw.map(RawValue::get).filter(|_| usage.is_some());
        let (id, model) = (text(answer.id), text(answer.model));
        if usage.is_some() || id.is_some() || model.is_some() {
            out.chunk(ChatChunk { id, model, usage, native_usage, ..ChatChunk::default() });
        }
        if let Some(feedback) = answer.prompt_feedback.filter(|feedback| is_block(feedback)) {
            self.blocked = Some(feedback.get().to_owned());
        }
        // Of other fields the last is kept, which is the same again.
        let repeats = match answer.candidates.items.as_slice() {
            [Some(candidate)] => candidate.is_text(),
            _ => false,
        };
        let is_alone = answer.candidates.items.iter().flatten().count() < 2 && self.choices.len() < 2;
        for (place, candidate) in answer.candidates.into_placed() {
            let index = candidate.index.and_then(tolerant::index).unwrap_or(place as u32);
            let known = self.choices.iter().position(|told| told.index == index);
            let at = known.unwrap_or(self.choices.len());
            if known.is_none() && at < MAX_CHOICES {
                self.choices.push(Told { index, ..Told::default() });
            }
            if let Some(told) = self.choices.get_mut(at) {
                told.candidate(candidate, is_alone, out)?;
            }
        }
        if repeats {
            out.repeats(None);
        }
        Ok(())
    }

    fn again(&mut self, said: &Said<'_>, usage: Option<&RawValue>) -> Option<Usage> {
        if said.said_as == SaidAs::Content
            && let Some(told) = self.choices.iter_mut().find(|told| told.index == said.choice)
        {
            told.offsets.add(&said.text.decode());
        }
        usage.filter(|usage| self.tokens.update(usage)).map(|_| self.tokens.usage())
    }

    fn end(&mut self, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        if let Some(feedback) = self.blocked.take().filter(|_| self.choices.is_empty()) {
            let delta = Delta { role: true, extra: vec![(PROMPT_FEEDBACK, feedback.into())], ..Delta::default() };
            out.chunk(chunk(0, delta, Some(FinishReason::ContentFilter)));
        }
        let is_alone = self.choices.len() < 2;
        self.choices.iter_mut().try_for_each(|told| told.end(is_alone, out))
    }
}

impl Told {
    fn candidate(&mut self, candidate: Candidate<'_>, is_alone: bool, out: &mut dyn Sink) -> Result<(), UpstreamError> {
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
            part.picture(&mut self.images);
            if let Some(images) = self.images.take() {
                self.has_output = true;
                self.tell(Delta { other: true, extra: vec![images], ..Delta::default() }, out);
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
            if is_alone && matches!(ending, Ending::Broken(_)) {
                return ending.finish(self.has_output, self.calls > 0, is_alone).map(drop);
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

    fn end(&mut self, is_alone: bool, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let Some((ending, word)) = self.ending.take() else { return Ok(()) };
        self.close(out);
        let End { reason, is_odd } = ending.finish(self.has_output, self.calls > 0, is_alone)?;
        let raw = |at: usize| json::parse_str(self.kept.get(at)?.as_deref()?).ok();
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
            for choice in &chunk.choices {
                note("choice", &choice.index.to_string());
                let delta = &choice.delta;
                for (name, text) in [("content", delta.content), ("reasoning", delta.reasoning)] {
                    text.inspect(|text| note(name, text.raw()));
                }
                for call in &delta.tool_calls {
                    note("call", &call.index.unwrap().to_string());
                    for (name, text) in [("id", call.id), ("name", call.name)] {
                        text.inspect(|text| note(name, text.raw()));
                    }
                    call.arguments.inspect(|arguments| note("arguments", arguments.raw()));
                    call.state.iter().for_each(|state| note("state", &state.payload));
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
        let mut stream = GeminiStream::default();
        let mut log = Log::default();
        for data in events {
            stream.frame(Frame { event: "", data }, &mut log)?;
        }
        stream.end(&mut log)?;
        Ok(log.0)
    }

    fn event(parts: &str, rest: &str) -> String {
        format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}}{rest}}}]}}"#)
    }

    const STOP: &str = r#"{"candidates":[{"finishReason":"STOP"}]}"#;

    #[test]
    fn the_ending_is_told_last_whatever_follows_it() {
        let first = event(r#"{"text":"hm","thought":true},{"text":"a\n"}"#, r#","finishReason":"STOP""#);
        let second = event(r#"{"text":"b"}"#, r#","finishReason":"MAX_TOKENS""#);
        let usage = r#"{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#;
        let expected = [
            r#"choice=0 reasoning="hm""#,
            r#"choice=0 content="a\n""#,
            r#"choice=0 content="b""#,
            "usage=3/2",
            "choice=0 finish=length",
        ];
        assert_eq!(run(&[&first, &second, usage]).unwrap(), expected);
        assert_eq!(run(&[&event(r#"{"text":"a"}"#, "")]).unwrap().len(), 1);
    }

    #[test]
    fn calls_are_counted_over_all_events_and_carry_what_belongs_to_them() {
        let one = event(
            r#"{"functionCall":{"id":"x","name":"f","args":{"a": 1.0}},"thoughtSignature":"S"},{"functionCall":{"name":"g"}}"#,
            "",
        );
        let two = event(r#"{"functionCall":{"name":"f","args":[]}}"#, "");
        let expected = [
            r#"choice=0 call=0 id="x" name="f" arguments={"a": 1.0} state=iS"#,
            r#"choice=0 call=1 name="g" arguments={}"#,
            r#"choice=0 call=2 name="f" arguments={}"#,
            "choice=0 finish=tool_calls",
        ];
        assert_eq!(run(&[&one, &two, STOP]).unwrap(), expected);
    }

    #[test]
    fn arguments_in_pieces_are_told_once_they_are_whole() {
        let parts = |parts: &str| event(parts, "");
        let begin = parts(r#"{"functionCall":{"name":"f","willContinue":true}}"#);
        let piece = parts(
            r#"{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"x"},{"jsonPath":"?["}],"willContinue":true}}"#,
        );
        let end = parts(r#"{"functionCall":{}}"#);
        let begun = r#"choice=0 call=0 name="f""#;
        let told = r#"choice=0 call=0 arguments={"a":"x"}"#;
        let finish = "choice=0 finish=tool_calls";
        assert_eq!(run(&[&begin, &piece, &end, STOP]).unwrap(), [begun, "skipped", told, finish]);
        // Without a last piece, and with another call in its place.
        assert_eq!(run(&[&begin, &piece, STOP]).unwrap(), [begun, "skipped", told, finish]);
        let next = parts(r#"{"functionCall":{"name":"g"}}"#);
        let other = r#"choice=0 call=1 name="g" arguments={}"#;
        assert_eq!(run(&[&begin, &piece, &next, STOP]).unwrap(), [begun, "skipped", told, other, finish]);
    }

    #[test]
    fn a_prompt_that_is_blocked_ends_an_answer_that_never_began() {
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#;
        assert_eq!(run(&[blocked]).unwrap(), ["choice=0 finish=content_filter"]);
        let rated = r#"{"promptFeedback":{"safetyRatings":[]}}"#;
        assert!(run(&[rated]).unwrap().is_empty());
    }

    #[test]
    fn endings_that_are_failures_and_errors_are_told_as_such() {
        let text = event(r#"{"text":"a"}"#, "");
        let broken = r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#;
        assert_eq!(run(&[&text, broken]).unwrap_err().class, Class::Malformed);
        assert_eq!(run(&[STOP]).unwrap_err().class, Class::Malformed);
        for error in [
            r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#,
            r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#,
        ] {
            assert_eq!(run(&[&text, error]).unwrap_err().class, Class::Unreachable);
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
            r#"{"candidates":null}"#,
            r#"{"candidates":{}}"#,
            r#"{"candidates":[7,{"index":-1,"content":[],"finishReason":7}]}"#,
            r#"{"candidates":[{"index":4000000000,"content":{"parts":{"text":"x"}}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{}],"willContinue":7}}]}}]}"#,
            r#"{"usageMetadata":[],"promptFeedback":7}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"NEW"}]}"#,
        ];
        for first in events {
            for second in events {
                for third in events {
                    assert!(run(&[first, second, third]).is_ok(), "{first} {second} {third}");
                }
            }
        }
    }
}
