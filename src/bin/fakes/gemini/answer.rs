//! Writes a reply as a response: one JSON, or events that each are a response with what is new in them.
//!
//! Calls come whole, with an id on AI Studio and without one on Vertex AI; the first of an answer, or else
//! its last part, carries the signature.

use std::iter;

use serde_json::{Value, json};

use super::Surface;
use crate::faults::Faults;
use crate::prompt::{CACHE_READ, Finish, Part, Prompt, Reply, ToolCall, Usage, owned_tokens};
use crate::provider::{Event, Events, Kind};
use crate::thinking::Thinking;

/// Google writes whole answers for readers.
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// What all responses of an answer have.
#[derive(Clone)]
struct Frame {
    model: String,
    id: String,
    usage: Option<Value>,
}

impl Frame {
    fn new(surface: Surface, prompt: &Prompt, reply: &Reply, faults: &Faults) -> Self {
        let usage = (!faults.is("usage", "missing")).then(|| usage(surface, &reply.usage));
        Frame { model: prompt.model.clone(), id: format!("fake{}", reply.id), usage }
    }

    fn response(&self, fields: Value) -> Value {
        let mut response = fields;
        if let Some(fields) = response.as_object_mut() {
            fields.extend(self.usage.clone().map(|usage| ("usageMetadata".to_owned(), usage)));
            fields.insert("modelVersion".to_owned(), json!(self.model));
            fields.insert("responseId".to_owned(), json!(self.id));
        }
        response
    }

    fn candidate(&self, parts: Vec<Value>, finish: Option<&str>) -> Value {
        let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
        if let (Some(finish), Some(fields)) = (finish, candidate.as_object_mut()) {
            fields.insert("finishReason".to_owned(), json!(finish));
        }
        self.response(json!({"candidates": [candidate]}))
    }

    fn blocked(&self) -> Value {
        self.response(json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}))
    }
}

/// Zeros are left out.
fn usage(surface: Surface, usage: &Usage) -> Value {
    let cached = if usage.cached { CACHE_READ } else { 0 };
    let (input, said) = (usage.input + cached, usage.output - usage.thought);
    let mut counts = json!({
        "promptTokenCount": input,
        "totalTokenCount": input + usage.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
    });
    let more =
        [("candidatesTokenCount", said), ("thoughtsTokenCount", usage.thought), ("cachedContentTokenCount", cached)];
    if let Some(fields) = counts.as_object_mut() {
        fields.extend(
            more.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), json!(count))),
        );
        if surface == Surface::Vertex {
            fields.insert("trafficType".to_owned(), json!("ON_DEMAND"));
        }
    }
    counts
}

fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Refusal => "STOP",
        Finish::Length => "MAX_TOKENS",
    }
}

fn call(surface: Surface, call: &ToolCall, signature: Option<&str>) -> Value {
    let args: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let mut inner = json!({"name": call.name, "args": args});
    if let (Surface::Studio, Some(fields)) = (surface, inner.as_object_mut()) {
        fields.insert("id".to_owned(), json!(call.id));
    }
    signed(json!({"functionCall": inner}), signature)
}

fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let (Some(signature), Some(fields)) = (signature, part.as_object_mut()) {
        fields.insert("thoughtSignature".to_owned(), json!(signature));
    }
    part
}

/// Made for every answer, whether or not the model tells what it thought.
fn signature(prompt: &Prompt, reply: &Reply) -> String {
    Thinking::about(&prompt.user_text, &reply.id).signature
}

fn thought(prompt: &Prompt, reply: &Reply) -> Option<String> {
    let thinking = reply.thinking.as_ref().filter(|_| !prompt.hides_thinking);
    thinking.map(|thinking| thinking.text.clone())
}

pub fn message(surface: Surface, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let frame = Frame::new(surface, prompt, &reply, faults);
    if reply.finish == Finish::Refusal {
        return pretty(&frame.blocked());
    }
    let signature = signature(prompt, &reply);
    let thought = thought(prompt, &reply).map(|text| json!({"text": text, "thought": true}));
    let parts = if faults.has("no_content") { &[][..] } else { &reply.parts };
    let mut unused = Some(signature.as_str());
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => signed(json!({"text": text}), unused.take()),
        Part::ToolCall(made) => call(surface, made, unused.take()),
    });
    let parts = thought.into_iter().filter(|_| !faults.has("no_content")).chain(parts).collect();
    pretty(&frame.candidate(parts, Some(finish(&reply.finish))))
}

pub fn events(surface: Surface, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let frame = Frame::new(surface, prompt, &reply, faults);
    let event = |kind, response: Value| Event::new(kind, None, response.to_string());
    if reply.finish == Finish::Refusal {
        return Box::new(iter::once(event(Kind::Token, frame.blocked())));
    }
    let signature = signature(prompt, &reply);
    let thought = thought(prompt, &reply).filter(|_| !faults.has("no_content"));
    // A response without candidates, as they come now and then.
    let head = event(Kind::Other, frame.response(json!({})));
    let of_thought = frame.clone();
    let thoughts = owned_tokens(thought.unwrap_or_default().into()).map(move |token| {
        event(Kind::Token, of_thought.candidate(vec![json!({"text": token, "thought": true})], None))
    });
    let ends = finish(&reply.finish);
    let calls = reply.finish == Finish::ToolCalls;
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let of_part = frame.clone();
    let mut unused = Some(signature.clone());
    let said = parts.into_iter().flat_map(move |part| -> Box<dyn Iterator<Item = Event> + Send> {
        let frame = of_part.clone();
        match part {
            Part::Text(text) | Part::Refusal(text) => Box::new(owned_tokens(text).map(move |token| {
                Event::new(Kind::Token, None, frame.candidate(vec![json!({"text": token})], None).to_string())
            })),
            Part::ToolCall(made) => {
                let part = call(surface, &made, unused.take().as_deref());
                Box::new(iter::once(event(Kind::Token, frame.candidate(vec![part], None))))
            }
        }
    });
    let last = match calls || faults.has("no_content") {
        true => json!({"text": ""}),
        false => signed(json!({"text": ""}), Some(&signature)),
    };
    let last = frame.candidate(vec![last], Some(ends));
    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    let tail = iter::repeat_n(event(Kind::Finish, last), finishes);
    Box::new(iter::once(head).chain(thoughts).chain(said).chain(tail))
}
