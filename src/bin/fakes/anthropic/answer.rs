//! Writes a reply as a message: one JSON, or the named events of a stream.
//!
//! Events are written one by one while they are read, because a test may ask for very many. The stream
//! has a `ping` and an event of no known type in it, as the vendor's may.

use std::iter;

use serde_json::{Value, json};

use crate::faults::Faults;
use crate::prompt::{CACHE_READ, CACHE_WRITE, Finish, Part, Prompt, Reply, Usage, fragments, owned_tokens};
use crate::provider::{Event, Events, Kind};
use crate::thinking::Thinking;

pub fn message(prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let thought = reply.thinking.as_ref().map(|thinking| thought(prompt, thinking));
    let content = parts.iter().map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => json!({"type": "text", "text": text, "citations": null}),
        Part::ToolCall(call) => {
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
            json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": input})
        }
    });
    let (stop_reason, stop_sequence, stop_details) = stop(&reply.finish);
    let mut answer = json!({
        "id": format!("msg_{}", reply.id),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": thought.into_iter().chain(content).collect::<Vec<_>>(),
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "stop_details": stop_details,
        "usage": usage(&reply.usage, reply.usage.output),
    });
    if let (true, Some(fields)) = (faults.is("usage", "missing"), answer.as_object_mut()) {
        fields.remove("usage");
    }
    answer.to_string()
}

/// The block before all others. The word that has it redacted is in the user's text.
fn thought(prompt: &Prompt, thinking: &Thinking) -> Value {
    if prompt.user_text.contains("redacted") {
        return json!({"type": "redacted_thinking", "data": thinking.signature});
    }
    let text = if prompt.hides_thinking { "" } else { &thinking.text };
    json!({"type": "thinking", "thinking": text, "signature": thinking.signature})
}

fn stop(finish: &Finish) -> (&'static str, Value, Value) {
    match finish {
        Finish::Stop => ("end_turn", Value::Null, Value::Null),
        Finish::StopSequence(stop) => ("stop_sequence", json!(stop), Value::Null),
        Finish::Length => ("max_tokens", Value::Null, Value::Null),
        Finish::ToolCalls => ("tool_use", Value::Null, Value::Null),
        Finish::Refusal => {
            let details =
                json!({"type": "refusal", "category": "general_harms", "explanation": "The fake was asked to."});
            ("refusal", Value::Null, details)
        }
    }
}

/// What was cached stands beside the input tokens and is not part of them.
fn usage(usage: &Usage, output: u64) -> Value {
    let (read, written) = if usage.cached { (CACHE_READ, CACHE_WRITE) } else { (0, 0) };
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": usage.thought.min(output)},
        "service_tier": "standard",
    })
}

/// `fields` are those behind the type, which the vendor writes first.
fn event(kind: Kind, name: &'static str, fields: Value) -> Event {
    let fields = fields.to_string();
    let fields = fields.trim_start_matches('{');
    let comma = if fields == "}" { "" } else { "," };
    Event::new(kind, Some(name), format!(r#"{{"type":"{name}"{comma}{fields}"#))
}

pub fn ping() -> Event {
    event(Kind::Other, "ping", json!({}))
}

pub fn events(prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let counts_usage = !faults.is("usage", "missing");
    let mut start = json!({
        "id": format!("msg_{}", reply.id),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    });
    if let (true, Some(fields)) = (counts_usage, start.as_object_mut()) {
        fields.insert("usage".to_owned(), usage(&reply.usage, 1));
    }
    let head = [
        event(Kind::Other, "message_start", json!({"message": start})),
        ping(),
        event(Kind::Other, "vendor_hint", json!({"hint": "events of unknown types are skipped"})),
    ];

    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let first = usize::from(reply.thinking.is_some());
    let thoughts = reply.thinking.map(|thinking| thought_events(thought(prompt, &thinking))).into_iter().flatten();
    let blocks = parts.into_iter().enumerate().flat_map(move |(index, part)| block(first + index, part));

    let (stop_reason, stop_sequence, stop_details) = stop(&reply.finish);
    let mut delta = json!({
        "delta": {"stop_reason": stop_reason, "stop_sequence": stop_sequence, "stop_details": stop_details},
    });
    if let (true, Some(fields)) = (counts_usage, delta.as_object_mut()) {
        fields.insert("usage".to_owned(), usage(&reply.usage, reply.usage.output));
    }
    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    let mut tail: Vec<_> = iter::repeat_n(event(Kind::Finish, "message_delta", delta), finishes).collect();
    let stopped = || event(Kind::Finish, "message_stop", json!({}));
    match faults.word("done") {
        Some("missing") => {}
        Some("twice") => tail.extend([stopped(), stopped()]),
        Some("then_data") => {
            let late = json!({"index": 0, "delta": {"type": "text_delta", "text": " late"}});
            tail.extend([stopped(), event(Kind::Other, "content_block_delta", late)]);
        }
        _ => tail.push(stopped()),
    }
    Box::new(head.into_iter().chain(thoughts).chain(blocks).chain(tail))
}

fn thought_events(block: Value) -> Box<dyn Iterator<Item = Event> + Send> {
    let stop = event(Kind::Other, "content_block_stop", json!({"index": 0}));
    let start = |block| event(Kind::Other, "content_block_start", json!({"index": 0, "content_block": block}));
    let field = |name: &str| block.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(text), Some(signature)) = (field("thinking"), field("signature")) else {
        return Box::new([start(block), stop].into_iter());
    };
    let deltas = owned_tokens(text.into()).map(|token| delta(0, r#""type":"thinking_delta","thinking""#, token));
    let signature = delta(0, r#""type":"signature_delta","signature""#, signature);
    let start = start(json!({"type": "thinking", "thinking": "", "signature": ""}));
    Box::new(iter::once(start).chain(deltas).chain([Event { kind: Kind::Other, ..signature }, stop]))
}

fn block(index: usize, part: Part) -> Box<dyn Iterator<Item = Event> + Send> {
    let start = move |block: Value| {
        let data = json!({"index": index, "content_block": block});
        iter::once(event(Kind::Other, "content_block_start", data))
    };
    let stop = event(Kind::Other, "content_block_stop", json!({"index": index}));
    match part {
        Part::Text(text) | Part::Refusal(text) => {
            let deltas = owned_tokens(text).map(move |token| delta(index, r#""type":"text_delta","text""#, token));
            Box::new(start(json!({"type": "text", "text": ""})).chain(deltas).chain(iter::once(stop)))
        }
        Part::ToolCall(call) => {
            let id = format!("toolu_{}", call.id);
            let start = start(json!({"type": "tool_use", "id": id, "name": call.name, "input": {}}));
            let pieces: Vec<_> = iter::once("").chain(fragments(&call.arguments)).map(str::to_owned).collect();
            let deltas =
                pieces.into_iter().map(move |piece| delta(index, r#""type":"input_json_delta","partial_json""#, piece));
            Box::new(start.chain(deltas).chain(iter::once(stop)))
        }
    }
}

/// `fields` ends with the key of the text.
fn delta(index: usize, fields: &str, text: String) -> Event {
    let text = Value::String(text);
    let data = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{{{fields}:{text}}}}}"#);
    Event::new(Kind::Token, Some("content_block_delta"), data)
}
