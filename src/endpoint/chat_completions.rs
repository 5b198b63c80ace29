//! `POST /v1/chat/completions`: OpenAI's Chat Completions as clients speak it.
//!
//! The hub has the same shape, so what came in it is sent on as it came. A chunk that had to be made
//! strict is rewritten around its unknown fields; everything else is written from the typed fields.

use super::{Endpoint, Render};
use crate::chat::{Arguments, ChatChunk, ChatRequest, ChatResponse, ChunkChoice, Delta, Source, ToolCallDelta, Usage};
use crate::error::{ErrorReply, Rejection, Told};
use crate::json::{self, Edits, Object, RawValue, Str, Writer};
use crate::stream::normalize::{FinalUsage, Identity, UsageSource};
use crate::stream::sse;

pub struct ChatCompletions;

impl Endpoint for ChatCompletions {
    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn parse<'a>(&self, body: &'a [u8]) -> Result<ChatRequest<'a>, Rejection> {
        ChatRequest::parse(body)
    }

    fn response(&self, answer: &ChatResponse<'_>, now: u64) -> Vec<u8> {
        match answer.source {
            Some(source) => source.to_vec(),
            None => write_response(answer, now),
        }
    }

    fn stream(&self, include_usage: bool) -> Box<dyn Render> {
        Box::new(ChatStream { include_usage })
    }

    /// OpenAI's shape; `attempts` is an extension, which SDKs keep in the error's `body`.
    fn error(&self, error: &ErrorReply, attempts: &[Told<'_>]) -> Vec<u8> {
        let mut w = Writer::default();
        w.begin_object().key("error").begin_object();
        w.key("message").string(&error.message).key("type").string(&error.kind);
        optional_string(w.key("param"), error.param.as_deref());
        optional_string(w.key("code"), error.code.as_deref());
        if attempts.len() > 1 {
            w.key("attempts").begin_array();
            for Told { model, reply } in attempts {
                w.begin_object().key("model").string(model).key("status").number(reply.status.into());
                w.key("type").string(&reply.kind);
                optional_string(w.key("code"), reply.code.as_deref());
                w.key("message").string(&reply.message).end_object();
            }
            w.end_array();
        }
        w.end_object().end_object();
        w.into_bytes()
    }
}

struct ChatStream {
    include_usage: bool,
}

impl Render for ChatStream {
    fn chunk(&mut self, identity: &Identity, chunk: &ChatChunk<'_>, out: &mut Vec<u8>) {
        match chunk.source {
            Some(source) if source.exact => match self.usage_edit(source) {
                Some(edits) => sse::write(out, &edits.apply(source.text.as_bytes())),
                None => sse::write(out, source.text.as_bytes()),
            },
            Some(source) => sse::write(out, &self.rewrite(identity, chunk, source)),
            None => sse::write(out, &self.write(identity, chunk)),
        }
    }

    fn end(&mut self, identity: &Identity, usage: Option<&FinalUsage>, out: &mut Vec<u8>) {
        if let Some(usage) = usage.filter(|_| self.include_usage) {
            let counts = &usage.usage;
            match &usage.source {
                Some(UsageSource::Chunk(text)) => sse::write(out, text.as_bytes()),
                Some(UsageSource::Value(value)) => sse::write(out, &usage_chunk(identity, counts, value)),
                None => sse::write(out, &usage_chunk(identity, counts, "{}")),
            }
        }
        sse::write(out, b"[DONE]");
    }

    fn error(&mut self, error: &ErrorReply, out: &mut Vec<u8>) {
        sse::write(out, &ChatCompletions.error(error, &[]));
    }
}

impl ChatStream {
    /// Usage is told at the end, to those who asked: the key is `null` for them until then, and not
    /// there for the others.
    fn usage_edit(&self, source: Source<'_>) -> Option<Edits> {
        let usage = source.usage?;
        let text = source.text.as_bytes();
        let value = json::span(text, usage)?;
        let mut edits = Edits::default();
        if !self.include_usage {
            edits.replace(json::pair_span(text, "usage", value.clone()).unwrap_or(value), "");
        } else if usage != "null" {
            edits.replace(value, "null");
        }
        (!edits.is_empty()).then_some(edits)
    }

    /// The chunk from its typed fields alone.
    fn write(&self, identity: &Identity, chunk: &ChatChunk<'_>) -> Vec<u8> {
        let mut w = Writer::with_capacity(256);
        w.begin_object();
        write_identity(&mut w, identity);
        w.key("choices").begin_array();
        for choice in &chunk.choices {
            w.begin_object().key("index").number(choice.index.into());
            w.key("delta");
            write_delta(&mut w, identity, choice, &Object::default());
            write_finish_reason(&mut w, choice);
            w.end_object();
        }
        w.end_array();
        if self.include_usage {
            w.key("usage").null();
        }
        w.end_object();
        w.into_bytes()
    }

    /// The chunk from its typed fields, with all unknown fields of its source.
    fn rewrite(&self, identity: &Identity, chunk: &ChatChunk<'_>, source: Source<'_>) -> Vec<u8> {
        let Ok(fields) = Object::parse(source.text.as_bytes()) else { return self.write(identity, chunk) };
        let mut w = Writer::with_capacity(source.text.len() + 64);
        w.begin_object();
        write_identity(&mut w, identity);
        for (key, value) in fields.iter() {
            match key {
                "id" | "object" | "created" | "model" | "usage" => {}
                "choices" => {
                    let sources = json::elements(value).unwrap_or_default();
                    w.key("choices").begin_array();
                    for (at, choice) in chunk.choices.iter().enumerate() {
                        let source = sources.get(at).copied().map(parse).unwrap_or_default();
                        rewrite_choice(&mut w, identity, choice, &source);
                    }
                    w.end_array();
                }
                _ => {
                    w.key(key).raw(value.get());
                }
            }
        }
        if self.include_usage {
            w.key("usage").null();
        }
        w.end_object();
        w.into_bytes()
    }
}

fn parse(value: &RawValue) -> Object<'_> {
    Object::parse(value.get().as_bytes()).unwrap_or_default()
}

fn write_identity(w: &mut Writer, identity: &Identity) {
    w.key("id").raw(&identity.id).key("object").string("chat.completion.chunk");
    w.key("created").number(identity.created).key("model").raw(&identity.model);
}

fn rewrite_choice(w: &mut Writer, identity: &Identity, choice: &ChunkChoice<'_>, source: &Object<'_>) {
    w.begin_object().key("index").number(choice.index.into());
    let delta = source.get("delta").map(parse).unwrap_or_default();
    w.key("delta");
    write_delta(w, identity, choice, &delta);
    for (key, value) in source.iter() {
        // Some put usage here (quirk B6); it is told at the end.
        if !matches!(key, "index" | "delta" | "finish_reason" | "usage") {
            w.key(key).raw(value.get());
        }
    }
    write_finish_reason(w, choice);
    w.end_object();
}

fn write_finish_reason(w: &mut Writer, choice: &ChunkChoice<'_>) {
    w.key("finish_reason");
    match choice.finish_reason {
        Some(reason) => w.string(reason.as_str()),
        None => w.null(),
    };
}

/// A delta with the unknown fields of its source, unless there is nothing left of it.
fn write_delta(w: &mut Writer, identity: &Identity, choice: &ChunkChoice<'_>, source: &Object<'_>) {
    let delta = &choice.delta;
    w.begin_object();
    if delta.role {
        w.key("role").string("assistant");
    }
    for (key, text) in [("content", delta.content), ("refusal", delta.refusal)] {
        if let Some(text) = text {
            w.key(key).str(text);
        }
    }
    // The name that most clients read; a source has its own.
    if let Some(text) = delta.reasoning.filter(|_| source.is_empty()) {
        w.key("reasoning_content").str(text);
    }
    if !delta.tool_calls.is_empty() {
        let sources = source.get("tool_calls").and_then(json::elements).unwrap_or_default();
        w.key("tool_calls").begin_array();
        for (at, call) in delta.tool_calls.iter().enumerate() {
            write_tool_call(w, identity, choice.index, call, &sources.get(at).copied().map(parse).unwrap_or_default());
        }
        w.end_array();
    }
    if !is_blank(delta) {
        for (key, value) in source.iter() {
            if !matches!(key, "role" | "content" | "refusal" | "tool_calls") {
                w.key(key).raw(value.get());
            }
        }
    }
    w.end_object();
}

fn is_blank(delta: &Delta<'_>) -> bool {
    let texts = [delta.content, delta.refusal, delta.reasoning];
    !delta.role && !delta.other && delta.tool_calls.is_empty() && texts.iter().all(Option::is_none)
}

fn write_tool_call(w: &mut Writer, identity: &Identity, choice: u32, call: &ToolCallDelta<'_>, source: &Object<'_>) {
    let index = call.index.unwrap_or(0);
    w.begin_object().key("index").number(index.into());
    match call.id {
        Some(id) => {
            w.key("id").str(id);
        }
        // Without an id the client could not answer the call; this one is the same on every reading.
        None if call.begins => {
            let stream: String = identity.id.chars().filter(char::is_ascii_alphanumeric).collect();
            w.key("id").string(&format!("call_{stream}_{choice}_{index}"));
        }
        None => {}
    }
    if call.begins {
        w.key("type").string("function");
    }
    w.key("function").begin_object();
    if let Some(name) = call.name {
        w.key("name").str(name);
    }
    match call.arguments {
        Some(arguments) => write_arguments(w.key("arguments"), arguments),
        None if call.begins => {
            w.key("arguments").str(Str::EMPTY);
        }
        None => {}
    }
    w.end_object();
    for (key, value) in source.iter() {
        if !matches!(key, "index" | "id" | "type" | "function") {
            w.key(key).raw(value.get());
        }
    }
    w.end_object();
}

fn write_arguments(w: &mut Writer, arguments: Arguments<'_>) {
    match arguments {
        Arguments::Text(text) => w.str(text),
        Arguments::Json(json) => w.string(json),
    };
}

/// Usage as a chunk of its own, with what `source`, the value of a `usage` key, says beyond the counts.
fn usage_chunk(identity: &Identity, usage: &Usage, source: &str) -> Vec<u8> {
    let mut w = Writer::with_capacity(384);
    w.begin_object();
    write_identity(&mut w, identity);
    w.key("choices").begin_array().end_array().key("usage");
    write_usage(&mut w, usage, &Object::parse(source.as_bytes()).unwrap_or_default());
    w.end_object();
    w.into_bytes()
}

fn write_usage(w: &mut Writer, usage: &Usage, source: &Object<'_>) {
    let total = usage.input.saturating_add(usage.output);
    w.begin_object().key("prompt_tokens").number(usage.input).key("completion_tokens").number(usage.output);
    w.key("total_tokens").number(total);
    let has = |key: &str| source.get(key).is_some();
    if !has("prompt_tokens_details") && (usage.cached_input.is_some() || usage.cache_write.is_some()) {
        w.key("prompt_tokens_details").begin_object().key("cached_tokens").number(usage.cached_input.unwrap_or(0));
        if let Some(written) = usage.cache_write {
            w.key("cache_write_tokens").number(written);
        }
        w.end_object();
    }
    if let Some(reasoning) = usage.reasoning.filter(|_| !has("completion_tokens_details")) {
        w.key("completion_tokens_details").begin_object().key("reasoning_tokens").number(reasoning).end_object();
    }
    for (key, value) in source.iter() {
        if !matches!(key, "prompt_tokens" | "completion_tokens" | "total_tokens") {
            w.key(key).raw(value.get());
        }
    }
    w.end_object();
}

fn write_response(answer: &ChatResponse<'_>, now: u64) -> Vec<u8> {
    let mut w = Writer::with_capacity(1024);
    w.begin_object().key("id").str(answer.id).key("object").string("chat.completion");
    w.key("created").number(answer.created.unwrap_or(now)).key("model").str(answer.model);
    w.key("choices").begin_array();
    for choice in &answer.choices {
        let message = &choice.message;
        w.begin_object().key("index").number(choice.index.into());
        w.key("message").begin_object().key("role").string("assistant");
        optional_texts(w.key("content"), &message.content);
        match message.refusal {
            Some(refusal) => w.key("refusal").str(refusal),
            None => w.key("refusal").null(),
        };
        if !message.reasoning.is_empty() {
            optional_texts(w.key("reasoning_content"), &message.reasoning);
        }
        if !message.tool_calls.is_empty() {
            w.key("tool_calls").begin_array();
            for call in &message.tool_calls {
                w.begin_object().key("id").str(call.id).key("type").string("function");
                w.key("function").begin_object().key("name").str(call.name);
                write_arguments(w.key("arguments"), call.arguments);
                w.end_object().end_object();
            }
            w.end_array();
        }
        w.end_object().key("logprobs").null();
        w.key("finish_reason").string(choice.finish_reason.as_str()).end_object();
    }
    w.end_array();
    if let Some(usage) = &answer.usage {
        write_usage(w.key("usage"), usage, &Object::default());
    }
    w.end_object();
    w.into_bytes()
}

/// Pieces of text as one string; `null` if there are none.
fn optional_texts(w: &mut Writer, texts: &[Str<'_>]) {
    if texts.is_empty() {
        w.null();
    } else {
        let pieces: Vec<&str> = texts.iter().map(|text| text.escaped()).collect();
        w.escaped(&pieces);
    }
}

fn optional_string(w: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => w.string(text),
        None => w.null(),
    };
}
