//! Writes a reply as Converse does: one JSON, or the events of a stream with the padding that hides their lengths.
//!
//! Text and thoughts have no start of their block, and the usage comes last.

use std::iter;

use serde_json::{Value, json};

use crate::faults::Faults;
use crate::prompt::{CACHE_READ, CACHE_WRITE, Finish, Part, Prompt, Reply, Usage, fragments, owned_tokens};
use crate::provider::{Event, Events, Kind};
use crate::thinking::Thinking;

pub fn message(prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let thought = reply.thinking.as_ref().map(|thinking| json!({"reasoningContent": thought(prompt, thinking)}));
    let content = parts.iter().map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => json!({"text": text}),
        Part::ToolCall(call) => {
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
            json!({"toolUse": {"toolUseId": format!("tooluse_{}", call.id), "name": call.name, "input": input}})
        }
    });
    let mut answer = json!({
        "output": {"message": {"role": "assistant", "content": thought.into_iter().chain(content).collect::<Vec<_>>()}},
        "stopReason": stop(&reply.finish),
        "usage": usage(&reply.usage),
        "metrics": {"latencyMs": 17},
    });
    if let (true, Some(fields)) = (faults.is("usage", "missing"), answer.as_object_mut()) {
        fields.remove("usage");
    }
    answer.to_string()
}

fn is_claude(prompt: &Prompt) -> bool {
    prompt.model.contains("anthropic.")
}

/// The block before all others. The word that has it redacted is in the user's text.
fn thought(prompt: &Prompt, thinking: &Thinking) -> Value {
    if !is_claude(prompt) {
        return json!({"reasoningText": {"text": "[REDACTED]"}});
    }
    if prompt.user_text.contains("redacted") {
        return json!({"redactedContent": thinking.signature});
    }
    let text = if prompt.hides_thinking { "" } else { &thinking.text };
    json!({"reasoningText": {"text": text, "signature": thinking.signature}})
}

fn stop(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal => "guardrail_intervened",
    }
}

/// What was cached stands beside the input tokens and is not part of them.
fn usage(usage: &Usage) -> Value {
    let (read, written) = if usage.cached { (CACHE_READ, CACHE_WRITE) } else { (0, 0) };
    json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output + read + written,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    })
}

/// With as many characters more as nobody can foresee.
fn event(kind: Kind, name: &'static str, mut fields: Value) -> Event {
    const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let length = fields.to_string().len() * 7 % PADDING.len();
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("p".to_owned(), json!(PADDING.get(..length).unwrap_or_default()));
    }
    Event::new(kind, Some(name), fields.to_string())
}

fn delta(kind: Kind, index: usize, delta: Value) -> Event {
    event(kind, "contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}))
}

pub fn events(prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let head = event(Kind::Other, "messageStart", json!({"role": "assistant"}));
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let first = usize::from(reply.thinking.is_some());
    let thoughts = reply.thinking.map(|thinking| thought_events(&thought(prompt, &thinking))).into_iter().flatten();
    let blocks = parts.into_iter().enumerate().flat_map(move |(index, part)| block(first + index, part));

    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    let finish = event(Kind::Finish, "messageStop", json!({"stopReason": stop(&reply.finish)}));
    let mut tail: Vec<_> = iter::repeat_n(finish, finishes).collect();
    let mut metadata = json!({"usage": usage(&reply.usage), "metrics": {"latencyMs": 17}});
    if let (true, Some(fields)) = (faults.is("usage", "missing"), metadata.as_object_mut()) {
        fields.remove("usage");
    }
    let metadata = || event(Kind::Finish, "metadata", metadata.clone());
    match faults.word("done") {
        Some("missing") => {}
        Some("twice") => tail.extend([metadata(), metadata()]),
        Some("then_data") => tail.extend([metadata(), delta(Kind::Other, 0, json!({"text": " late"}))]),
        _ => tail.push(metadata()),
    }
    Box::new(iter::once(head).chain(thoughts).chain(blocks).chain(tail))
}

fn block_stop(index: usize) -> Event {
    event(Kind::Other, "contentBlockStop", json!({"contentBlockIndex": index}))
}

fn thought_events(thought: &Value) -> Vec<Event> {
    let told = |delta: Value| self::delta(Kind::Token, 0, json!({"reasoningContent": delta}));
    let field = |name: &str| thought.pointer(name).and_then(Value::as_str).map(str::to_owned);
    let text = field("/reasoningText/text").unwrap_or_default();
    let mut events: Vec<_> = owned_tokens(text.into()).map(|token| told(json!({"text": token}))).collect();
    let state = [("/reasoningText/signature", "signature"), ("/redactedContent", "redactedContent")];
    for (pointer, name) in state {
        let told = field(pointer).map(|value| told(json!({name: value})));
        events.extend(told.map(|event| Event { kind: Kind::Other, ..event }));
    }
    events.push(block_stop(0));
    events
}

fn block(index: usize, part: Part) -> Box<dyn Iterator<Item = Event> + Send> {
    match part {
        Part::Text(text) | Part::Refusal(text) => {
            let deltas = owned_tokens(text).map(move |token| delta(Kind::Token, index, json!({"text": token})));
            Box::new(deltas.chain(iter::once(block_stop(index))))
        }
        Part::ToolCall(call) => {
            let start = json!({"toolUse": {"toolUseId": format!("tooluse_{}", call.id), "name": call.name}});
            let start = event(Kind::Other, "contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
            let pieces: Vec<_> = iter::once("").chain(fragments(&call.arguments)).map(str::to_owned).collect();
            let deltas =
                pieces.into_iter().map(move |piece| delta(Kind::Token, index, json!({"toolUse": {"input": piece}})));
            Box::new(iter::once(start).chain(deltas).chain(iter::once(block_stop(index))))
        }
    }
}
