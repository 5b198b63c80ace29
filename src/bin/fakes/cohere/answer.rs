//! Writes a reply as a chat response: one JSON, or the named events of a stream.
//!
//! Events are written one by one while they are read, because a test may ask for very many. Before its
//! calls the model tells a plan, or what it has thought if it thinks.

use std::iter;

use serde_json::{Map, Value, json};

use crate::faults::Faults;
use crate::prompt::{CACHE_READ, Finish, Part, Prompt, Reply, ToolCall, Usage, fragments, owned_tokens};
use crate::provider::{Event, Events, Kind};

const PLAN: &str = "I will use the tools.";

/// What is billed is less than what the model reads: the preamble is not.
const PREAMBLE: u64 = 496;

pub fn message(prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let plans = reply.finish == Finish::ToolCalls && reply.thinking.is_none() && !parts.is_empty();
    let thoughts = reply.thinking.map(|thinking| json!({"type": "thinking", "thinking": thinking.text}));
    let mut content: Vec<_> = thoughts.into_iter().collect();
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => content.push(json!({"type": "text", "text": text})),
            Part::ToolCall(call) => calls.push(tool_call(&call, &call.arguments)),
        }
    }
    let mut said = Map::new();
    said.insert("role".to_owned(), json!("assistant"));
    if !content.is_empty() || calls.is_empty() {
        said.insert("content".to_owned(), json!(content));
    }
    if plans {
        said.insert("tool_plan".to_owned(), json!(PLAN));
    }
    if !calls.is_empty() {
        said.insert("tool_calls".to_owned(), json!(calls));
    }
    let mut answer = json!({
        "id": id(&reply.id),
        "message": said,
        "finish_reason": finish_reason(prompt, &reply.finish),
    });
    if let (false, Some(fields)) = (faults.is("usage", "missing"), answer.as_object_mut()) {
        fields.insert("usage".to_owned(), usage(&reply.usage));
    }
    answer.to_string()
}

fn id(id: &str) -> String {
    format!("c0he4e00-0000-4000-{}-{}", id.get(..4).unwrap_or_default(), id.get(4..).unwrap_or_default())
}

fn tool_call(call: &ToolCall, arguments: &str) -> Value {
    let id = format!("{}_{}", call.name, call.id);
    json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

fn finish_reason(prompt: &Prompt, finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "COMPLETE",
        // The words in which a model refuses are an answer; what a filter stops is an error.
        Finish::Refusal if prompt.user_text.contains("toxic") => "ERROR_TOXIC",
        Finish::Refusal => "COMPLETE",
        Finish::StopSequence(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::ToolCalls => "TOOL_CALL",
    }
}

/// What was cached is part of the input tokens.
fn usage(usage: &Usage) -> Value {
    let cached = if usage.cached { CACHE_READ } else { 0 };
    json!({
        "billed_units": {"input_tokens": usage.input, "output_tokens": usage.output},
        "tokens": {"input_tokens": usage.input + PREAMBLE, "output_tokens": usage.output},
        "cached_tokens": cached,
    })
}

fn event(kind: Kind, name: &'static str, fields: Value) -> Event {
    let fields = fields.to_string();
    let fields = fields.trim_start_matches('{');
    let comma = if fields == "}" { "" } else { "," };
    Event::new(kind, Some(name), format!(r#"{{"type":"{name}"{comma}{fields}"#))
}

pub fn events(prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let start = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let start = json!({"id": id(&reply.id), "type": "message-start", "delta": {"message": start}});
    let head = Event::new(Kind::Other, Some("message-start"), start.to_string());

    let plans = reply.finish == Finish::ToolCalls && reply.thinking.is_none() && !parts.is_empty();
    let plan = plans.then(|| owned_tokens(PLAN.into()).map(|token| delta("tool-plan-delta", "", "tool_plan", token)));
    let first = usize::from(reply.thinking.is_some());
    let thoughts = reply.thinking.map(|thinking| content(0, "thinking", "thinking", thinking.text.into()));
    let mut calls = 0;
    let blocks: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| match part {
            Part::Text(text) | Part::Refusal(text) => content(first + index, "text", "text", text),
            Part::ToolCall(call) => {
                calls += 1;
                call_events(calls - 1, &call)
            }
        })
        .collect();

    let mut end = json!({"delta": {"finish_reason": finish_reason(prompt, &reply.finish)}});
    if let (false, Some(Value::Object(delta))) = (faults.is("usage", "missing"), end.get_mut("delta")) {
        delta.insert("usage".to_owned(), usage(&reply.usage));
    }
    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    let mut tail: Vec<_> = iter::repeat_n(event(Kind::Finish, "message-end", end), finishes).collect();
    let done = || Event::new(Kind::Finish, None, "[DONE]".to_owned());
    match faults.word("done") {
        Some("missing") => {}
        Some("twice") => tail.extend([done(), done()]),
        Some("then_data") => {
            let late = delta("content-delta", r#""index":0,"#, "text", " late".to_owned());
            tail.extend([done(), Event { kind: Kind::Other, ..late }]);
        }
        _ => tail.push(done()),
    }
    let plan = plan.into_iter().flatten();
    Box::new(
        iter::once(head)
            .chain(thoughts.into_iter().flatten())
            .chain(plan)
            .chain(blocks.into_iter().flatten())
            .chain(tail),
    )
}

type Block = Box<dyn Iterator<Item = Event> + Send>;

fn content(index: usize, kind: &'static str, field: &'static str, text: crate::prompt::Text) -> Block {
    let block = json!({"index": index, "delta": {"message": {"content": {"type": kind, field: ""}}}});
    let start = event(Kind::Other, "content-start", block);
    let place = format!(r#""index":{index},"#);
    let deltas = owned_tokens(text).map(move |token| delta("content-delta", &place, field, token));
    let stop = event(Kind::Other, "content-end", json!({"index": index}));
    Box::new(iter::once(start).chain(deltas).chain([stop]))
}

/// One token of a block's text, or of the plan.
fn delta(name: &'static str, place: &str, field: &str, token: String) -> Event {
    let text = Value::String(token);
    let message = if field == "tool_plan" {
        format!(r#""tool_plan":{text}"#)
    } else {
        format!(r#""content":{{"{field}":{text}}}"#)
    };
    let data = format!(r#"{{"type":"{name}",{place}"delta":{{"message":{{{message}}}}}}}"#);
    Event::new(Kind::Token, Some(name), data)
}

fn call_events(index: usize, call: &ToolCall) -> Block {
    let message = |calls: Value| json!({"index": index, "delta": {"message": {"tool_calls": calls}}});
    let start = event(Kind::Token, "tool-call-start", message(tool_call(call, "")));
    let pieces: Vec<_> = fragments(&call.arguments)
        .map(|piece| event(Kind::Token, "tool-call-delta", message(json!({"function": {"arguments": piece}}))))
        .collect();
    let stop = event(Kind::Other, "tool-call-end", json!({"index": index}));
    Box::new(iter::once(start).chain(pieces).chain([stop]))
}
