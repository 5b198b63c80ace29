//! Streamed answers: each event is an answer of which only the new pieces are told, and its usage so far.

use std::borrow::Cow;

use super::error;
use super::response::{
    Answer, WireChoice, arguments, finish_reason, finish_with, log_probabilities, state, text, usage,
};
use crate::chat::state::Collected;
use crate::chat::{ChatChunk, ChunkChoice, Delta, ToolCallDelta, Usage};
use crate::error::UpstreamError;
use crate::json::{RawValue, Str};
use crate::provider::tolerant;
use crate::provider::{Sink, StreamTranslator, failure};
use crate::stream::Frame;

/// DashScope gives at most four answers at once.
const MAX_CHOICES: usize = 4;

/// What has to be known of earlier events to read the next. The end of the bytes is the end of the stream.
#[derive(Default)]
pub struct DashScopeStream {
    thoughts: Collected,
    has_calls: bool,
    has_search: bool,
    /// What each choice has come to: of several, an event counts its own only.
    spent: Vec<(u32, Usage)>,
}

impl StreamTranslator for DashScopeStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        let data = frame.data.trim();
        if frame.event == "error" {
            return Err(error::read(200, data.as_bytes()));
        }
        match tolerant::read_str::<Answer<'_>>(data) {
            Ok(answer) if answer.is_error() => return Err(error::read(200, data.as_bytes())),
            Ok(answer) => self.answer(answer, out),
            Err(_) if failure::is_report(data.as_bytes()) => return Err(error::read(200, data.as_bytes())),
            // Relays for OpenAI's format end every stream with its mark.
            Err(_) if data.is_empty() || data.starts_with("[DONE]") => {}
            Err(_) => out.skipped(),
        }
        Ok(())
    }
}

impl DashScopeStream {
    fn answer(&mut self, answer: Answer<'_>, out: &mut dyn Sink) {
        let native_usage = answer.usage.map(RawValue::get);
        let told = answer.usage.and_then(usage);
        let mut last = ChatChunk { id: text(answer.request_id), ..ChatChunk::default() };
        let output = answer.output.0;
        let mut extra = Vec::new();
        if let Some(search) = output.as_ref().and_then(|output| output.search()).filter(|_| !self.has_search) {
            self.has_search = true;
            extra.push(("search_info", Cow::Borrowed(search)));
        }
        let choices: Vec<_> = output.into_iter().flat_map(|output| output.into_choices()).collect();
        let index = |place: usize, choice: &WireChoice<'_>| {
            choice.index.and_then(tolerant::index).unwrap_or(u32::try_from(place).unwrap_or(0))
        };
        let counted = choices.first().map_or(0, |(place, choice)| index(*place, choice));
        if let Some(told) = told {
            last.usage = Some(self.spend(counted, told));
            last.native_usage = native_usage;
        }
        for (place, choice) in choices {
            let index = index(place, &choice);
            let reason = finish_reason(choice.finish_reason);
            let mut delta = self.delta(choice, last.id, index, out);
            delta.extra = std::mem::take(&mut extra);
            let finish_reason = reason.map(|reason| finish_with(reason, self.has_calls));
            last.choices.push(ChunkChoice { index, place: None, delta, finish_reason });
        }
        out.chunk(last);
    }

    /// The pieces of a choice; of several texts all but the last are told before.
    fn delta<'a>(&mut self, choice: WireChoice<'a>, id: Option<Str<'a>>, index: u32, out: &mut dyn Sink) -> Delta<'a> {
        let message = choice.message.0.unwrap_or_default();
        let mut texts = message.texts();
        let reasoning = text(message.reasoning_content).filter(|text| !text.is_empty());
        reasoning.inspect(|text| self.thoughts.push(*text));
        let mut delta = Delta { reasoning, content: texts.pop(), ..Delta::default() };
        for content in texts {
            let before = Delta { reasoning: delta.reasoning.take(), content: Some(content), ..Delta::default() };
            let choices = vec![ChunkChoice { index, place: None, delta: before, finish_reason: None }];
            out.chunk(ChatChunk { id, choices, ..ChatChunk::default() });
        }
        delta.logprobs = choice.logprobs.and_then(log_probabilities).map(Cow::Borrowed);
        for (_, call) in message.tool_calls.into_placed() {
            let function = call.function.0.unwrap_or_default();
            let not_empty = |text: &Str<'_>| !text.is_empty();
            // Later fragments have empty ids and no names (quirk B15).
            let name = text(function.name).filter(not_empty);
            let state = if name.is_some() { state(&mut self.thoughts) } else { None };
            self.has_calls |= name.is_some();
            delta.tool_calls.push(ToolCallDelta {
                index: call.index.and_then(tolerant::index),
                id: text(call.id).filter(not_empty),
                name,
                arguments: arguments(function.arguments),
                state,
                ..ToolCallDelta::default()
            });
        }
        delta
    }

    /// Usage is cumulative, and each choice has its own output (dashscope-python `utils/message_utils.py`).
    fn spend(&mut self, index: u32, usage: Usage) -> Usage {
        if let Some((_, spent)) = self.spent.iter_mut().find(|(known, _)| *known == index) {
            *spent = usage;
        } else if self.spent.len() < MAX_CHOICES {
            self.spent.push((index, usage));
        }
        let others = || self.spent.iter().filter(|(known, _)| *known != index).map(|(_, usage)| usage);
        let add = |own: Option<u64>, other: fn(&Usage) -> Option<u64>| {
            others().filter_map(other).fold(own, |sum, count| Some(sum.unwrap_or(0).saturating_add(count)))
        };
        Usage {
            output: add(Some(usage.output), |usage| Some(usage.output)).unwrap_or(0),
            reasoning: add(usage.reasoning, |usage| usage.reasoning),
            ..usage
        }
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
            for choice in &chunk.choices {
                let delta = &choice.delta;
                note("choice", &choice.index.to_string());
                for (name, text) in [("reasoning", delta.reasoning), ("content", delta.content)] {
                    text.inspect(|text| note(name, text.raw()));
                }
                for call in &delta.tool_calls {
                    note("call", &call.index.map_or("none".into(), |index| index.to_string()));
                    call.name.inspect(|name| note("name", name.raw()));
                    call.arguments.inspect(|arguments| note("arguments", arguments.raw()));
                    call.state.as_ref().inspect(|state| note("state", &state.payload));
                }
                delta.extra.iter().for_each(|(name, json)| note(name, json));
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
        let mut stream = DashScopeStream::default();
        let mut log = Log::default();
        for data in events {
            stream.frame(Frame { event: "result", data }, &mut log)?;
        }
        Ok(log.0)
    }

    #[test]
    fn thoughts_ride_on_the_first_call_and_later_fragments_have_no_id() {
        let call = |calls: &str, finish: &str| {
            format!(
                r#"{{"output":{{"choices":[{{"message":{{"content":[],"tool_calls":[{calls}]}},"finish_reason":"{finish}"}}]}}}}"#
            )
        };
        let lines = run(&[
            r#"{"output":{"choices":[{"message":{"content":[],"reasoning_content":"h\u006d"},"finish_reason":"null"}]},"usage":{}}"#,
            &call(r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#, "null"),
            &call(
                r#"{"index":0,"id":"","function":{"arguments":"}"}},{"index":1,"id":"b","function":{"name":"g","arguments":""}}"#,
                "stop",
            ),
        ]);
        let expected = [
            r#"choice=0 reasoning="h\u006d""#,
            r#"choice=0 call=0 name="f" arguments={ state="h\u006d""#,
            r#"choice=0 call=0 arguments=} call=1 name="g" arguments= finish=tool_calls"#,
        ];
        assert_eq!(lines.unwrap(), expected);
    }

    #[test]
    fn each_choice_counts_its_own_output() {
        let event = |index: u32, output: u32| {
            format!(
                r#"{{"output":{{"choices":[{{"index":{index},"message":{{"content":[{{"text":"x"}},{{"text":"y"}}]}}}}]}},"usage":{{"input_tokens":5,"output_tokens":{output}}}}}"#
            )
        };
        let lines = run(&[&event(0, 1), &event(1, 2), &event(0, 4)]).unwrap();
        assert_eq!(lines[0], r#"choice=0 content="x""#);
        let usages: Vec<_> =
            lines.iter().filter_map(|line| line.split_once("usage=")).map(|(_, usage)| usage).collect();
        assert_eq!(usages, ["5/1", "5/3", "5/6"]);
    }

    #[test]
    fn what_a_search_found_is_told_once() {
        let event = |results: &str| {
            format!(
                r#"{{"output":{{"choices":[{{"message":{{"content":"x"}}}}],"search_info":{{"search_results":{results}}}}}}}"#
            )
        };
        let lines = run(&[&event("[]"), &event(r#"[{"index":1}]"#), &event(r#"[{"index":2}]"#)]).unwrap();
        let found = r#"choice=0 content="x" search_info={"search_results":[{"index":1}]}"#;
        assert_eq!(lines, [r#"choice=0 content="x""#, found, r#"choice=0 content="x""#]);
    }

    #[test]
    fn a_failure_is_one_by_its_name_and_by_its_code() {
        let data = r#"{"code":"DataInspectionFailed","message":"Output data may contain inappropriate content.","request_id":"r"}"#;
        let mut stream = DashScopeStream::default();
        for event in ["error", "result", ""] {
            let error = stream.frame(Frame { event, data }, &mut Log::default()).unwrap_err();
            assert_eq!(
                (error.class, error.reply.code.as_deref()),
                (Class::Rejected, Some("content_filter")),
                "{event}"
            );
        }
        assert!(stream.frame(Frame { event: "error", data: "" }, &mut Log::default()).is_err());
    }

    #[test]
    fn no_garbage_is_too_odd() {
        for data in [
            "",
            "[]",
            "null",
            "{",
            "[DONE]",
            "{}",
            r#"{"output":7}"#,
            r#"{"output":{"choices":[7,{"message":7},{"message":{"content":{"text":1},"tool_calls":[{"index":-1}]}}]}}"#,
            r#"{"output":{"text":"x"},"usage":[]}"#,
        ] {
            assert!(run(&[data]).is_ok(), "{data}");
        }
    }
}
