//! Writes a reply as a chat completion: one JSON, or chunks as the vendor streams them.
//!
//! Chunks are written one by one while they are read, because a test may ask for a hundred thousand of
//! them on each of a thousand streams. The faults here are those of the chunks' own grammar.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::faults::Faults;
use crate::prompt::{CACHE_READ, Finish, Part, Prompt, Reply, ToolCall, Usage, fragments, owned_tokens};
use crate::provider::{Data, Event, Events, Kind};

/// Fixed, like all else in a fake's answer.
pub const CREATED: u64 = 1_760_000_000;

/// Pads an event so that its length does not tell the token's; the vendor's are random.
const OBFUSCATION: &str = "abcdefghijklmnop";

pub fn message(prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let finish = finish_reason(&reply.finish);
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let mut said = json!({"role": "assistant", "content": null, "refusal": null, "annotations": []});
    if let Some(said) = said.as_object_mut() {
        let mut calls = Vec::new();
        for part in &parts {
            match part {
                Part::Text(text) => drop(said.insert("content".to_owned(), json!(text))),
                Part::Refusal(text) => drop(said.insert("refusal".to_owned(), json!(text))),
                Part::ToolCall(call) => calls.push(tool_call(call, &call.arguments)),
            }
        }
        if !calls.is_empty() {
            said.insert("tool_calls".to_owned(), json!(calls));
        }
    }
    let choices = (0..prompt.choices)
        .map(|index| json!({"index": index, "message": said, "logprobs": null, "finish_reason": finish}));
    let mut answer = json!({
        "id": format!("chatcmpl-{}", reply.id),
        "object": "chat.completion",
        "created": CREATED,
        "model": prompt.model,
        "choices": choices.collect::<Vec<_>>(),
        "usage": usage(&reply.usage, reply.usage.output * prompt.choices as u64),
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    });
    if let (true, Some(fields)) = (faults.is("usage", "missing"), answer.as_object_mut()) {
        fields.remove("usage");
    }
    answer.to_string()
}

fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

fn tool_call(call: &ToolCall, arguments: &str) -> Value {
    let id = format!("call_{}", call.id);
    match call.custom {
        true => json!({"id": id, "type": "custom", "custom": {"name": call.name, "input": arguments}}),
        false => json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}}),
    }
}

/// The totals after so many tokens of output. What was cached is part of the prompt's tokens.
fn usage(usage: &Usage, output: u64) -> Value {
    let cached = if usage.cached { CACHE_READ } else { 0 };
    let input = usage.input.max(cached);
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

pub fn events(prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let choices = prompt.choices;
    let mut chunks = Chunks::new(prompt, &reply, faults);
    // What follows the tokens is written before them and still reports all of them.
    let mut last = Chunks { tokens: reply.usage.output * choices as u64, ..chunks.clone() };
    let finish = finish_reason(&reply.finish);
    let opening = opening(&reply);
    let total = usage(&reply.usage, reply.usage.output * choices as u64).to_string();

    let mut head = Vec::new();
    for index in 0..choices {
        head.push(chunks.chunk(Kind::Other, index, &opening, "null"));
    }
    let mut tail = Vec::new();
    let mut deltas: Box<dyn Iterator<Item = String> + Send> = Box::new(std::iter::empty());
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    for (index, part) in parts.into_iter().enumerate() {
        deltas = Box::new(deltas.chain(part_deltas(index, part)));
    }

    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    for index in (0..choices).flat_map(|index| std::iter::repeat_n(index, finishes)) {
        tail.push(last.finish(index, finish, &total));
    }
    let shows_usage = prompt.include_usage && !faults.has("usage");
    if shows_usage {
        tail.push(last.usage_chunk(&total));
    }
    tail.extend(done(faults, &last));
    if let Some(first) = tail.first_mut() {
        first.kind = Kind::Finish;
    }

    let tokens = deltas.flat_map(move |delta| {
        let events = (0..choices).map(|index| chunks.chunk(Kind::Token, index, &delta, "null"));
        events.collect::<Vec<_>>()
    });
    Box::new(head.into_iter().chain(tokens).chain(tail))
}

/// The first delta of a choice. It has the role, and `null` where no content will follow.
fn opening(reply: &Reply) -> String {
    let content = if reply.finish == Finish::ToolCalls { "null" } else { "\"\"" };
    format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#)
}

/// The deltas of one part, each one token.
fn part_deltas(index: usize, part: Part) -> Box<dyn Iterator<Item = String> + Send> {
    let of = |name: &'static str| move |token: String| format!(r#"{{"{name}":{}}}"#, Value::String(token));
    match part {
        Part::Text(text) => Box::new(owned_tokens(text).map(of("content"))),
        Part::Refusal(text) => Box::new(owned_tokens(text).map(of("refusal"))),
        Part::ToolCall(call) => {
            let mut first = tool_call(&call, "");
            if let Some(fields) = first.as_object_mut() {
                fields.insert("index".to_owned(), json!(index));
            }
            let first = json!({ "tool_calls": [first] }).to_string();
            let more = fragments(&call.arguments).map(|fragment| {
                let piece = match call.custom {
                    true => json!({"index": index, "custom": {"input": fragment}}),
                    false => json!({"index": index, "function": {"arguments": fragment}}),
                };
                json!({ "tool_calls": [piece] }).to_string()
            });
            Box::new(std::iter::once(first).chain(more).collect::<Vec<_>>().into_iter())
        }
    }
}

fn done(faults: &Faults, chunks: &Chunks) -> Vec<Event> {
    let line = |text: &str| Event::new(Kind::Other, None, text.to_owned());
    match faults.word("done") {
        Some("missing") => vec![],
        Some("nospace") => vec![Event { data: Data::Glued("[DONE]".to_owned()), ..line("") }],
        Some("twice") => vec![line("[DONE]"), line("[DONE]")],
        Some("then_data") => {
            let late = chunks.clone().chunk(Kind::Other, 0, r#"{"content":" late"}"#, "null");
            vec![line("[DONE]"), late]
        }
        Some("json") => vec![line("\"[DONE]\"")],
        _ => vec![line("[DONE]")],
    }
}

/// What all chunks of one stream share.
#[derive(Clone)]
struct Chunks {
    /// Up to the choices.
    head: Arc<str>,
    /// `,"usage":null`, where the client asked for usage.
    usage_key: &'static str,
    obfuscated: bool,
    role_every_chunk: bool,
    null_delta: bool,
    usage_with_finish: bool,
    /// Reports usage on every chunk.
    running: Option<Usage>,
    tokens: u64,
}

impl Chunks {
    fn new(prompt: &Prompt, reply: &Reply, faults: &Faults) -> Self {
        let id = &reply.id;
        let model = json!(prompt.model);
        let head = format!(
            r#"{{"id":"chatcmpl-{id}","object":"chat.completion.chunk","created":{CREATED},"model":{model},"service_tier":"default","system_fingerprint":"fp_fake","choices":["#
        );
        Self {
            head: head.into(),
            usage_key: if prompt.include_usage && !faults.has("usage") { r#","usage":null"# } else { "" },
            obfuscated: prompt.include_obfuscation,
            role_every_chunk: faults.has("role_every_chunk"),
            null_delta: faults.has("null_delta"),
            usage_with_finish: faults.is("usage", "with_finish"),
            running: faults.is("usage", "every").then_some(reply.usage),
            tokens: 0,
        }
    }

    fn chunk(&mut self, kind: Kind, index: usize, delta: &str, finish: &str) -> Event {
        let mut data = String::with_capacity(self.head.len() + delta.len() + 128);
        data.push_str(&self.head);
        let role = if self.role_every_chunk && kind == Kind::Token { r#"{"role":"assistant","# } else { "" };
        let delta = if role.is_empty() { delta } else { delta.strip_prefix('{').unwrap_or(delta) };
        // Writing to a String cannot fail.
        let _ = write!(data, r#"{{"index":{index},"delta":{role}{delta},"logprobs":null,"finish_reason":{finish}}}]"#);
        match &self.running {
            Some(totals) => {
                self.tokens += u64::from(kind == Kind::Token);
                let _ = write!(data, r#","usage":{}"#, usage(totals, self.tokens));
            }
            None => data.push_str(self.usage_key),
        }
        if self.obfuscated && kind == Kind::Token {
            let padding = OBFUSCATION.get(delta.len() % OBFUSCATION.len()..).unwrap_or_default();
            let _ = write!(data, r#","obfuscation":"{padding}""#);
        }
        data.push('}');
        Event::new(kind, None, data)
    }

    fn finish(&mut self, index: usize, finish: &str, total: &str) -> Event {
        let delta = if self.null_delta { "null" } else { "{}" };
        let mut event = self.chunk(Kind::Other, index, delta, &format!("\"{finish}\""));
        if let (true, Data::Line(data)) = (self.usage_with_finish, &mut event.data) {
            data.pop();
            let _ = write!(data, r#","usage":{total}}}"#);
        }
        event
    }

    fn usage_chunk(&self, total: &str) -> Event {
        Event::new(Kind::Other, None, format!(r#"{}],"usage":{total}}}"#, self.head))
    }
}
