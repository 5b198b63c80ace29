//! Writes a reply as generation does: one JSON, or events that each have the new words and the usage so far.
//!
//! Events are written one by one while they are read, because a test may ask for very many. There is no
//! mark behind the last.

use std::iter;

use serde_json::{Map, Value, json};

use super::DashScope;
use crate::faults::Faults;
use crate::prompt::{CACHE_READ, Finish, Part, Prompt, Reply, ToolCall, Usage, fragments, owned_tokens};
use crate::provider::{Event, Events, Kind};

pub fn message(fake: &DashScope, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let mut text = String::new();
    let mut calls = Vec::new();
    for part in &parts {
        match part {
            Part::Text(said) | Part::Refusal(said) => text.push_str(said),
            Part::ToolCall(call) => calls.push(tool_call(calls.len(), call)),
        }
    }
    let mut said = Map::new();
    said.insert("role".to_owned(), json!("assistant"));
    said.insert("content".to_owned(), content(fake, &text));
    if let Some(thinking) = &reply.thinking {
        said.insert("reasoning_content".to_owned(), json!(thinking.text));
    }
    if !calls.is_empty() {
        said.insert("tool_calls".to_owned(), json!(calls));
    }
    let finish = finish_reason(&reply.finish);
    let choices = (0..prompt.choices).map(|index| choice(prompt, index, finish, &said));
    let output = json!({ "choices": choices.collect::<Vec<_>>() });
    let spent = reply.usage.output * prompt.choices as u64;
    let mut answer = json!({"output": output, "request_id": id(&reply.id)});
    if let (false, Some(fields)) = (faults.is("usage", "missing"), answer.as_object_mut()) {
        fields.insert("usage".to_owned(), usage(fake, &reply.usage, spent));
    }
    answer.to_string()
}

/// One choice is not numbered.
fn choice(prompt: &Prompt, index: usize, finish: &str, message: &Map<String, Value>) -> Value {
    match prompt.choices {
        1 => json!({"finish_reason": finish, "message": message}),
        _ => json!({"index": index, "finish_reason": finish, "message": message}),
    }
}

fn id(id: &str) -> String {
    format!("da5c0000-0000-9000-{}-{}", id.get(..4).unwrap_or_default(), id.get(4..).unwrap_or_default())
}

fn content(fake: &DashScope, text: &str) -> Value {
    match (fake.multimodal, text) {
        (true, "") => json!([]),
        (true, _) => json!([{ "text": text }]),
        (false, _) => json!(text),
    }
}

fn tool_call(index: usize, call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"index": index, "id": format!("call_{}", call.id), "type": "function", "function": function})
}

fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

/// After so many tokens of output. What was cached is part of the input, what was thought of the output.
fn usage(fake: &DashScope, usage: &Usage, output: u64) -> Value {
    let cached = if usage.cached { CACHE_READ } else { 0 };
    let input = usage.input.max(cached);
    let mut counts = json!({
        "input_tokens": input,
        "output_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached},
    });
    if let Some(counts) = counts.as_object_mut() {
        if usage.thought > 0 {
            let thought = json!({"reasoning_tokens": usage.thought.min(output)});
            counts.insert("output_tokens_details".to_owned(), thought);
        }
        if fake.multimodal {
            counts.insert("input_tokens_details".to_owned(), json!({ "text_tokens": input }));
        }
    }
    counts
}

/// What all events of one stream share.
struct Frame {
    fake: DashScope,
    id: String,
    counts: Option<Usage>,
    choices: usize,
    /// Of the event, and the tokens so far, of each choice.
    number: u64,
    tokens: Vec<u64>,
}

impl Frame {
    fn event(&mut self, kind: Kind, index: usize, finish: &str, message: Map<String, Value>) -> Event {
        self.number += 1;
        if let (Kind::Token, Some(tokens)) = (kind, self.tokens.get_mut(index)) {
            *tokens += 1;
        }
        let mut choice = json!({"message": message, "finish_reason": finish});
        if let (true, Some(fields)) = (self.choices > 1, choice.as_object_mut()) {
            fields.insert("index".to_owned(), json!(index));
        }
        let mut data = json!({"output": {"choices": [choice]}, "request_id": self.id});
        if let (Some(counts), Some(fields)) = (&self.counts, data.as_object_mut()) {
            let spent = self.tokens.get(index).copied().unwrap_or_default();
            fields.insert("usage".to_owned(), usage(&self.fake, counts, spent));
        }
        Event {
            id: Some(self.number),
            comment: Some("HTTP_STATUS/200"),
            glued: true,
            ..Event::new(kind, Some("result"), data.to_string())
        }
    }

    fn said(&self, text: &str) -> Map<String, Value> {
        [("role".to_owned(), json!("assistant")), ("content".to_owned(), content(&self.fake, text))]
            .into_iter()
            .collect()
    }
}

pub fn events(fake: &DashScope, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let choices = prompt.choices;
    let counts = (!faults.is("usage", "missing")).then_some(reply.usage);
    let frame = |number, tokens| Frame {
        fake: DashScope { multimodal: fake.multimodal },
        id: id(&reply.id),
        counts,
        choices,
        number,
        tokens,
    };
    let mut pieces: Box<dyn Iterator<Item = Piece> + Send> = Box::new(iter::empty());
    if let Some(thinking) = reply.thinking {
        pieces = Box::new(pieces.chain(owned_tokens(thinking.text.into()).map(Piece::Thought)));
    }
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let mut calls = 0;
    for part in parts {
        pieces = match part {
            Part::Text(text) | Part::Refusal(text) => Box::new(pieces.chain(owned_tokens(text).map(Piece::Text))),
            Part::ToolCall(call) => {
                calls += 1;
                Box::new(pieces.chain(call_pieces(calls - 1, call)))
            }
        };
    }

    let finish = finish_reason(&reply.finish);
    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    // What follows the tokens is written before them and still counts all of them.
    let mut last = frame(reply.usage.output * choices as u64, vec![reply.usage.output; choices]);
    let tail: Vec<_> = (0..choices)
        .flat_map(|index| iter::repeat_n(index, finishes))
        .map(|index| {
            let nothing = last.said("");
            last.event(Kind::Finish, index, finish, nothing)
        })
        .collect();
    let mut frame = frame(0, vec![0; choices]);
    let tokens = pieces.flat_map(move |piece| {
        let events = (0..choices).map(|index| {
            let message = piece.message(&frame);
            frame.event(Kind::Token, index, "null", message)
        });
        events.collect::<Vec<_>>()
    });
    Box::new(tokens.chain(tail))
}

enum Piece {
    Thought(String),
    Text(String),
    Call(Value),
}

impl Piece {
    fn message(&self, frame: &Frame) -> Map<String, Value> {
        let (text, more) = match self {
            Self::Text(text) => (text.as_str(), None),
            Self::Thought(text) => ("", Some(("reasoning_content", json!(text)))),
            Self::Call(call) => ("", Some(("tool_calls", json!([call])))),
        };
        let mut message = frame.said(text);
        message.extend(more.map(|(name, value)| (name.to_owned(), value)));
        message
    }
}

/// The name comes first; later fragments have an empty id and no name.
fn call_pieces(index: usize, call: ToolCall) -> impl Iterator<Item = Piece> + Send {
    let later: Vec<_> = fragments(&call.arguments)
        .map(|piece| json!({"index": index, "id": "", "type": "function", "function": {"arguments": piece}}))
        .collect();
    let first = tool_call(index, &ToolCall { arguments: String::new(), ..call });
    iter::once(first).chain(later).map(Piece::Call)
}
