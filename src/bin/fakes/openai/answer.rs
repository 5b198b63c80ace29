//! Writes a reply as a chat completion: one JSON, or chunks as the vendor streams them.
//!
//! Chunks are written one by one while they are read, because a test may ask for a hundred thousand of
//! them on each of a thousand streams. The faults here are those of the chunks' own grammar.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::dialect::{CallIds, Dialect, Refuses, Thoughts, UsageIn};
use crate::faults::Faults;
use crate::prompt::{CACHE_READ, Finish, Part, Prompt, Reply, ToolCall, Usage, fragments, owned_tokens};
use crate::provider::{Data, Event, Events, Kind};
use crate::thinking::Thinking;

/// Fixed, like all else in a fake's answer.
pub const CREATED: u64 = 1_760_000_000;

/// Pads an event so that its length does not tell the token's; the vendor's are random.
const OBFUSCATION: &str = "abcdefghijklmnop";

pub fn message(dialect: &Dialect, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
    let finish = finish_reason(dialect, &reply.finish);
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    let said = said(dialect, reply.thinking.as_ref(), &parts);
    let choices = (0..prompt.choices).map(|index| {
        let mut choice = json!({"index": index, "message": said, "finish_reason": finish});
        if let (true, Some(fields)) = (dialect.own_fields, choice.as_object_mut()) {
            fields.insert("logprobs".to_owned(), Value::Null);
        }
        choice
    });
    let mut answer = json!({
        "id": format!("chatcmpl-{}", reply.id),
        "object": "chat.completion",
        "created": CREATED,
        "model": prompt.model,
        "choices": choices.collect::<Vec<_>>(),
        "usage": (dialect.usage)(&reply.usage, reply.usage.output * prompt.choices as u64),
    });
    if let Some(fields) = answer.as_object_mut() {
        if dialect.own_fields {
            fields.insert("service_tier".to_owned(), json!("default"));
            fields.insert("system_fingerprint".to_owned(), json!("fp_fake"));
        }
        if faults.is("usage", "missing") {
            fields.remove("usage");
        }
    }
    // The connection was kept alive while the model was busy.
    let blank = if dialect.keep_alive.is_some() { "\n\n" } else { "" };
    format!("{blank}{answer}")
}

fn said(dialect: &Dialect, thinking: Option<&Thinking>, parts: &[Part]) -> Value {
    let mut said = Map::new();
    said.insert("role".to_owned(), json!("assistant"));
    said.insert("content".to_owned(), Value::Null);
    if dialect.own_fields {
        said.insert("refusal".to_owned(), Value::Null);
        said.insert("annotations".to_owned(), json!([]));
    }
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Refusal(text) if dialect.refuses == Refuses::InField => {
                drop(said.insert("refusal".to_owned(), json!(text)));
            }
            Part::Text(text) | Part::Refusal(text) => drop(said.insert("content".to_owned(), json!(text))),
            Part::ToolCall(call) => calls.push(tool_call(dialect, call, &call.arguments)),
        }
    }
    if !calls.is_empty() {
        said.insert("tool_calls".to_owned(), json!(calls));
    }
    match (dialect.thoughts, thinking) {
        (Thoughts::Field(name), Some(thinking)) => drop(said.insert(name.to_owned(), json!(thinking.text))),
        (Thoughts::Details, Some(Thinking { text, signature })) => {
            said.insert("reasoning".to_owned(), json!(text));
            let detail = json!({"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, "text": text, "signature": signature});
            said.insert("reasoning_details".to_owned(), json!([detail]));
        }
        (Thoughts::Chunks, Some(thinking)) => {
            let text = said.get("content").filter(|content| content.is_string());
            let text = text.map(|text| json!({"type": "text", "text": text}));
            let chunks: Vec<_> =
                [thought_chunk(&thinking.text, Some(&thinking.signature))].into_iter().chain(text).collect();
            said.insert("content".to_owned(), json!(chunks));
        }
        _ => {}
    }
    Value::Object(said)
}

fn thought_chunk(text: &str, signature: Option<&str>) -> Value {
    let mut chunk = json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]});
    if let (Some(signature), Some(fields)) = (signature, chunk.as_object_mut()) {
        fields.insert("signature".to_owned(), json!(signature));
    }
    chunk
}

fn finish_reason(dialect: &Dialect, finish: &Finish) -> &'static str {
    match (finish, dialect.refuses) {
        (Finish::Refusal, Refuses::ByFinish(reason)) => reason,
        (Finish::Stop | Finish::StopSequence(_) | Finish::Refusal, _) => "stop",
        (Finish::Length, _) => "length",
        (Finish::ToolCalls, _) => "tool_calls",
    }
}

fn call_id(dialect: &Dialect, call: &ToolCall) -> String {
    match dialect.call_ids {
        CallIds::Any => format!("call_{}", call.id),
        CallIds::NineAlphanumerics => {
            let mut nine: String = call.id.chars().filter(char::is_ascii_alphanumeric).collect();
            nine.drain(..nine.len().saturating_sub(9));
            nine
        }
    }
}

fn tool_call(dialect: &Dialect, call: &ToolCall, arguments: &str) -> Value {
    let id = call_id(dialect, call);
    match call.custom {
        true => json!({"id": id, "type": "custom", "custom": {"name": call.name, "input": arguments}}),
        false => json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}}),
    }
}

/// The totals after so many tokens of output. What was cached is part of the prompt's tokens.
pub fn usage(usage: &Usage, output: u64) -> Value {
    let cached = if usage.cached { CACHE_READ } else { 0 };
    let input = usage.input.max(cached);
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

pub fn events(dialect: &'static Dialect, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
    let choices = prompt.choices;
    let mut chunks = Chunks::new(dialect, prompt, &reply, faults);
    // What follows the tokens is written before them and still reports all of them.
    let mut last = Chunks { tokens: reply.usage.output * choices as u64, ..chunks.clone() };
    let finish = finish_reason(dialect, &reply.finish);
    let opening = opening(dialect, &reply);
    let total = (dialect.usage)(&reply.usage, reply.usage.output * choices as u64).to_string();

    let mut head: Vec<_> = dialect.keep_alive.map(Event::comment).into_iter().collect();
    for index in 0..choices {
        head.push(chunks.chunk(Kind::Other, index, &opening, "null"));
    }
    let mut tail = Vec::new();
    let mut deltas: Box<dyn Iterator<Item = String> + Send> = Box::new(std::iter::empty());
    if let Some(thinking) = reply.thinking {
        deltas = Box::new(deltas.chain(thought_deltas(dialect, thinking)));
    }
    let parts = if faults.has("no_content") { Vec::new() } else { reply.parts };
    for (index, part) in parts.into_iter().enumerate() {
        deltas = Box::new(deltas.chain(part_deltas(dialect, index, part)));
    }

    let finishes = if faults.has("no_finish") { 0 } else { 1 + usize::from(faults.has("finish_twice")) };
    for index in (0..choices).flat_map(|index| std::iter::repeat_n(index, finishes)) {
        tail.push(last.finish(index, finish, &total));
    }
    if last.usage_chunk {
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
    let events = head.into_iter().chain(tokens).chain(tail);
    if !dialect.numbered_events {
        return Box::new(events);
    }
    let numbered =
        |(number, event): (usize, Event)| Event { id: Some(number as u64 + 1), name: Some("message".into()), ..event };
    Box::new(events.enumerate().map(numbered))
}

/// The first delta of a choice. OpenAI's has `null` where no content will follow.
fn opening(dialect: &Dialect, reply: &Reply) -> String {
    if !dialect.own_fields {
        return r#"{"role":"assistant","content":""}"#.to_owned();
    }
    let content = if reply.finish == Finish::ToolCalls { "null" } else { "\"\"" };
    format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#)
}

/// One delta a token.
fn thought_deltas(dialect: &'static Dialect, thinking: Thinking) -> Box<dyn Iterator<Item = String> + Send> {
    let Thinking { text, signature } = thinking;
    match dialect.thoughts {
        Thoughts::Hidden => Box::new(std::iter::empty()),
        // The field that is not in use is there all the same.
        Thoughts::Field(name) => Box::new(
            owned_tokens(text.into())
                .map(move |token| format!(r#"{{"content":null,"{name}":{}}}"#, Value::String(token))),
        ),
        Thoughts::Details => {
            let piece = |text: &str, more: Value| {
                let mut detail = json!({"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0});
                if let (Some(detail), Value::Object(more)) = (detail.as_object_mut(), more) {
                    detail.extend(more);
                }
                json!({"content": "", "reasoning": text, "reasoning_details": [detail]}).to_string()
            };
            let texts = owned_tokens(text.into()).map(move |token| piece(&token, json!({"text": token})));
            Box::new(texts.chain(std::iter::once(piece("", json!({"signature": signature})))))
        }
        Thoughts::Chunks => {
            let chunk = |text: &str, signature| json!({"content": [thought_chunk(text, signature)]}).to_string();
            let texts = owned_tokens(text.into()).map(move |token| chunk(&token, None));
            Box::new(texts.chain(std::iter::once(chunk("", Some(&signature)))))
        }
    }
}

/// The deltas of one part, each one token.
fn part_deltas(dialect: &Dialect, index: usize, part: Part) -> Box<dyn Iterator<Item = String> + Send> {
    let of = |name: &'static str| move |token: String| format!(r#"{{"{name}":{}}}"#, Value::String(token));
    match part {
        Part::Refusal(text) if dialect.refuses == Refuses::InField => Box::new(owned_tokens(text).map(of("refusal"))),
        Part::Text(text) | Part::Refusal(text) => Box::new(owned_tokens(text).map(of("content"))),
        Part::ToolCall(call) => {
            let mut first = tool_call(dialect, &call, if dialect.whole_calls { &call.arguments } else { "" });
            if let Some(fields) = first.as_object_mut() {
                fields.insert("index".to_owned(), json!(index));
            }
            let first = json!({ "tool_calls": [first] }).to_string();
            if dialect.whole_calls {
                return Box::new(std::iter::once(first));
            }
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
        _ if chunks.dialect.numbered_events => vec![],
        _ => vec![line("[DONE]")],
    }
}

/// What all chunks of one stream share.
#[derive(Clone)]
struct Chunks {
    dialect: &'static Dialect,
    /// Up to the choices.
    head: Arc<str>,
    /// The client asked for a chunk with the usage, and the others have `"usage":null`.
    usage_chunk: bool,
    obfuscated: bool,
    role_every_chunk: bool,
    null_delta: bool,
    /// Where the last chunk of a choice has the usage.
    usage_in_finish: Option<UsageIn>,
    /// Reports usage on every chunk.
    running: Option<Usage>,
    tokens: u64,
}

impl Chunks {
    fn new(dialect: &'static Dialect, prompt: &Prompt, reply: &Reply, faults: &Faults) -> Self {
        let id = &reply.id;
        let model = json!(prompt.model);
        let own = if dialect.own_fields { r#""service_tier":"default","system_fingerprint":"fp_fake","# } else { "" };
        let head = format!(
            r#"{{"id":"chatcmpl-{id}","object":"chat.completion.chunk","created":{CREATED},"model":{model},{own}"choices":["#
        );
        let of_vendor = dialect.usage_in.iter().copied().find(|place| *place != UsageIn::OwnChunk);
        let usage_in_finish = match faults.word("usage") {
            None => of_vendor,
            Some("with_finish") => Some(UsageIn::Finish),
            Some(_) => None,
        };
        let own_chunk = prompt.include_usage && dialect.usage_in.contains(&UsageIn::OwnChunk);
        Self {
            dialect,
            head: head.into(),
            usage_chunk: own_chunk && !faults.has("usage"),
            obfuscated: prompt.include_obfuscation && dialect.own_fields,
            role_every_chunk: dialect.role_every_chunk || faults.has("role_every_chunk"),
            null_delta: faults.has("null_delta"),
            usage_in_finish,
            running: faults.is("usage", "every").then_some(reply.usage),
            tokens: 0,
        }
    }

    fn chunk(&mut self, kind: Kind, index: usize, delta: &str, finish: &str) -> Event {
        self.tokens += u64::from(kind == Kind::Token);
        let usage = match &self.running {
            Some(totals) => format!(r#","usage":{}"#, (self.dialect.usage)(totals, self.tokens)),
            None if self.usage_chunk => r#","usage":null"#.to_owned(),
            None => String::new(),
        };
        self.write(kind, index, delta, finish, "", &usage)
    }

    /// `of_choice` and `of_chunk` are more members of each.
    fn write(&self, kind: Kind, index: usize, delta: &str, finish: &str, of_choice: &str, of_chunk: &str) -> Event {
        let mut data = String::with_capacity(self.head.len() + delta.len() + 128);
        data.push_str(&self.head);
        let role = if self.role_every_chunk && kind == Kind::Token { r#"{"role":"assistant","# } else { "" };
        let delta = if role.is_empty() { delta } else { delta.strip_prefix('{').unwrap_or(delta) };
        let logprobs = if self.dialect.own_fields { r#""logprobs":null,"# } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            data,
            r#"{{"index":{index},"delta":{role}{delta},{logprobs}"finish_reason":{finish}{of_choice}}}]{of_chunk}"#
        );
        if self.obfuscated && kind == Kind::Token {
            let padding = OBFUSCATION.get(delta.len() % OBFUSCATION.len()..).unwrap_or_default();
            let _ = write!(data, r#","obfuscation":"{padding}""#);
        }
        data.push('}');
        Event::new(kind, None, data)
    }

    fn finish(&mut self, index: usize, finish: &str, total: &str) -> Event {
        let delta = if self.null_delta { "null" } else { "{}" };
        let finish = format!("\"{finish}\"");
        let (of_choice, of_chunk) = match self.usage_in_finish {
            None | Some(UsageIn::OwnChunk) => return self.chunk(Kind::Other, index, delta, &finish),
            Some(UsageIn::Finish) => (String::new(), format!(r#","usage":{total}"#)),
            Some(UsageIn::XGroq) => (String::new(), format!(r#","x_groq":{{"id":"req_fake","usage":{total}}}"#)),
            Some(UsageIn::Choice) => (format!(r#","usage":{total}"#), String::new()),
        };
        self.write(Kind::Other, index, delta, &finish, &of_choice, &of_chunk)
    }

    fn usage_chunk(&self, total: &str) -> Event {
        Event::new(Kind::Other, None, format!(r#"{}],"usage":{total}}}"#, self.head))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DEEPSEEK, MISTRAL, OPENAI};
    use super::*;
    use crate::prompt::{Tool, ToolChoice, ToolKind};
    use crate::thinking::Thinks;

    fn prompt(tool_choice: ToolChoice) -> Prompt {
        let tools = vec![Tool { name: "f".into(), kind: ToolKind::Function { schema: json!({"type": "object"}) } }];
        let user_text = "think of a tool".to_owned();
        Prompt { user_text, tools, tool_choice, thinks: Thinks::Always, include_usage: true, ..Prompt::for_model("m") }
    }

    fn message(dialect: &Dialect, tool_choice: ToolChoice) -> Value {
        let prompt = prompt(tool_choice);
        let text = super::message(dialect, &prompt, prompt.reply("fake", b"{}"), &Faults::default());
        serde_json::from_str(&text).unwrap()
    }

    /// The chunks of a stream, without its end.
    fn chunks(dialect: &'static Dialect, tool_choice: ToolChoice) -> Vec<Value> {
        let prompt = prompt(tool_choice);
        let events = super::events(dialect, &prompt, prompt.reply("fake", b"{}"), &Faults::default());
        let lines = events.filter_map(|event| match event.data {
            Data::Line(line) if line != "[DONE]" => Some(line),
            _ => None,
        });
        lines.map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    }

    #[test]
    fn thoughts_are_where_the_vendor_has_them() {
        let openai = message(&OPENAI, ToolChoice::None);
        assert!(openai["choices"][0]["message"].get("reasoning_content").is_none());
        assert!(openai["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64() > Some(0));
        let deepseek = message(&DEEPSEEK, ToolChoice::None);
        let thought = deepseek["choices"][0]["message"]["reasoning_content"].as_str().unwrap().to_owned();
        assert!(thought.starts_with("I think about"));
        let streamed = chunks(&DEEPSEEK, ToolChoice::None);
        let streamed = streamed.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["reasoning_content"].as_str());
        assert_eq!(streamed.collect::<String>(), thought);
        let mistral = message(&MISTRAL, ToolChoice::None);
        let content = &mistral["choices"][0]["message"]["content"];
        assert_eq!((&content[0]["type"], &content[1]["type"]), (&json!("thinking"), &json!("text")));
    }

    #[test]
    fn mistral_sends_a_call_whole_and_the_usage_with_its_finish() {
        let chunks = chunks(&MISTRAL, ToolChoice::Required);
        let calls: Vec<_> =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array()).collect();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0][0]["function"]["arguments"], "{}");
        assert_eq!(calls[0][0]["id"].as_str().unwrap().len(), 9);
        let last = chunks.last().unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
        assert!(last["usage"]["total_tokens"].is_u64(), "{last}");
    }

    #[test]
    fn deepseek_has_the_usage_twice() {
        let chunks = chunks(&DEEPSEEK, ToolChoice::None);
        let with_usage: Vec<_> = chunks.iter().filter(|chunk| chunk["usage"].is_object()).collect();
        let finishes = with_usage.iter().map(|chunk| chunk["choices"].as_array().unwrap().len()).collect::<Vec<_>>();
        assert_eq!(finishes, [1, 0]);
    }
}
