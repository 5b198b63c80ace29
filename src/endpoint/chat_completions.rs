//! `POST /v1/chat/completions`: OpenAI's Chat Completions as clients speak it.
//!
//! The hub has the same shape, so what came in it is sent on as it came. A chunk that had to be made
//! strict is rewritten around its unknown fields; everything else is written from the typed fields.

use std::borrow::Cow;

use super::{Endpoint, Render};
use crate::chat::{
    Arguments, ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Delta, Source, State, ToolCallDelta, Usage,
};
use crate::error::{ErrorReply, Rejection, Told};
use crate::json::{self, Edits, Object, RawValue, Str, Type, Writer};
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

    fn response<'a>(&self, answer: &ChatResponse<'a>) -> Cow<'a, [u8]> {
        match answer.source.map(str::as_bytes) {
            Some(source) if answer.exact => Cow::Borrowed(source),
            Some(source) => Cow::Owned(write_response(answer, &Object::parse(source).unwrap_or_default())),
            None => Cow::Owned(write_response(answer, &Object::default())),
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
            Some(source) => match self.usage_edits(source).filter(|_| source.exact) {
                Some(edits) if edits.is_empty() => sse::write(out, source.text.as_bytes()),
                Some(edits) => sse::write(out, &edits.apply(source.text.as_bytes())),
                None => sse::write(out, &self.rewrite(identity, chunk, source)),
            },
            None => sse::write(out, &self.write(identity, chunk)),
        }
    }

    fn repeats(&self) -> bool {
        true
    }

    fn end(&mut self, identity: &Identity, usage: Option<&FinalUsage>, out: &mut Vec<u8>) {
        if let Some(usage) = usage.filter(|_| self.include_usage) {
            let counts = &usage.usage;
            match &usage.source {
                Some(UsageSource::Chunk(text)) => sse::write(out, text.as_bytes()),
                Some(UsageSource::Value(value)) => sse::write(out, &usage_chunk(identity, counts, value, None)),
                Some(UsageSource::Native(native)) => {
                    sse::write(out, &usage_chunk(identity, counts, "{}", Some(native)));
                }
                None => sse::write(out, &usage_chunk(identity, counts, "{}", None)),
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
    /// there for the others. `None` if the key is written so that it cannot be cut out.
    fn usage_edits(&self, source: Source<'_>) -> Option<Edits> {
        let mut edits = Edits::default();
        let Some(usage) = source.usage else { return Some(edits) };
        let text = source.text.as_bytes();
        let value = json::span(text, usage.get())?;
        if !self.include_usage {
            edits.replace(json::pair_span(text, "usage", value)?, "");
        } else if usage.get() != "null" {
            edits.replace(value, "null");
        }
        Some(edits)
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
            if let Some(logprobs) = &choice.delta.logprobs {
                w.key("logprobs").raw(logprobs);
            }
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
                "id" | "object" | "created" | "model" | "usage" | "error" => {}
                "choices" => {
                    let sources = json::elements(value).unwrap_or_default();
                    w.key("choices").begin_array();
                    for choice in &chunk.choices {
                        rewrite_choice(&mut w, identity, choice, &placed(&sources, choice.place));
                    }
                    w.end_array();
                }
                // Groq puts usage here (quirk B6).
                "x_groq" if json::type_of(value) == Type::Object => write_without_usage(w.any_key(key), value),
                _ => {
                    w.any_key(key).raw(value.get());
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
    Object::of(value).unwrap_or_default()
}

/// What stands at its place in a list of the source.
fn placed<'a>(sources: &[&'a RawValue], place: Option<usize>) -> Object<'a> {
    place.and_then(|place| sources.get(place)).map(|source| parse(source)).unwrap_or_default()
}

fn write_without_usage(w: &mut Writer, value: &RawValue) {
    w.begin_object();
    for (key, value) in parse(value).iter().filter(|(key, _)| *key != "usage") {
        w.any_key(key).raw(value.get());
    }
    w.end_object();
}

fn write_identity(w: &mut Writer, identity: &Identity) {
    w.key("id").raw(&identity.id).key("object").string("chat.completion.chunk");
    w.key("created").number(identity.created).key("model").raw(&identity.model);
}

fn rewrite_choice(w: &mut Writer, identity: &Identity, choice: &ChunkChoice<'_>, source: &Object<'_>) {
    w.begin_object().key("index").number(choice.index.into());
    let delta = source.get("delta");
    let is_whole = delta.is_none();
    // Of a whole answer that is told as a stream.
    let delta = delta.or_else(|| source.get("message")).map(parse).unwrap_or_default();
    w.key("delta");
    write_delta(w, identity, choice, &delta);
    for (key, value) in source.iter() {
        match key {
            // Some put usage here (quirk B6); it is told at the end.
            "index" | "delta" | "finish_reason" | "usage" => {}
            "message" if is_whole => {}
            "logprobs" => write_logprobs(w.any_key(key), value, choice.delta.content),
            _ => {
                w.any_key(key).raw(value.get());
            }
        }
    }
    write_finish_reason(w, choice);
    w.end_object();
}

/// Log probabilities in OpenAI's shape. The old completions had lists side by side (quirk B29); a bare
/// number (Together's chunks) is that of the one token which is the chunk's content.
fn write_logprobs(w: &mut Writer, value: &RawValue, content: Option<Str<'_>>) {
    let fields = parse(value);
    let list = |key| fields.get(key).and_then(json::elements);
    let lists = match (json::type_of(value), content.filter(|token| !token.is_empty())) {
        (Type::Number, Some(token)) => Some((vec![RawValue::trusted(token.raw())], vec![value])),
        _ => list("tokens").zip(list("token_logprobs")),
    };
    let Some((tokens, logprobs)) = lists else {
        let value = if json::type_of(value) == Type::Object { value.get() } else { "null" };
        w.raw(value);
        return;
    };
    w.begin_object().key("content").begin_array();
    for (token, logprob) in tokens.into_iter().zip(logprobs) {
        let (Some(token), Type::Number) = (Str::new(token), json::type_of(logprob)) else { continue };
        w.begin_object().key("token").str(token).key("logprob").raw(logprob.get());
        w.key("bytes").null().key("top_logprobs").begin_array().end_array().end_object();
    }
    w.end_array().key("refusal").null().end_object();
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
    // Under the name that most clients read, whichever the provider has for it.
    if let Some(text) = delta.reasoning {
        w.key("reasoning_content").str(text);
    }
    if !delta.tool_calls.is_empty() {
        let sources = source.get("tool_calls").and_then(json::elements).unwrap_or_default();
        w.key("tool_calls").begin_array();
        for call in &delta.tool_calls {
            write_tool_call(w, identity, choice.index, call, &placed(&sources, call.place));
        }
        w.end_array();
    }
    write_extra(w, &delta.extra);
    if !is_blank(delta) {
        for (key, value) in source.iter() {
            if !matches!(key, "role" | "content" | "refusal" | "reasoning" | "reasoning_content" | "tool_calls") {
                w.any_key(key).raw(value.get());
            }
        }
    }
    w.end_object();
}

fn write_extra(w: &mut Writer, extra: &[(&'static str, Cow<'_, str>)]) {
    for (name, json) in extra {
        w.key(name).raw(json);
    }
}

fn is_blank(delta: &Delta<'_>) -> bool {
    let texts = [delta.content, delta.refusal, delta.reasoning];
    !delta.role && !delta.other && delta.tool_calls.is_empty() && texts.iter().all(Option::is_none)
}

fn write_tool_call(w: &mut Writer, identity: &Identity, choice: u32, call: &ToolCallDelta<'_>, source: &Object<'_>) {
    let index = call.index.unwrap_or(0);
    w.begin_object().key("index").number(index.into());
    if call.id.is_some() || call.begins {
        let id = call.id.unwrap_or(Str::EMPTY);
        write_call_id(w.key("id"), id, call.state.as_ref(), || call_id(&identity.id, choice, index));
    }
    let (kind, arguments_key) = if call.is_custom { ("custom", "input") } else { ("function", "arguments") };
    if call.begins {
        w.key("type").string(kind);
    }
    w.key(kind).begin_object();
    if let Some(name) = call.name {
        w.key("name").str(name);
    }
    match call.arguments {
        Some(arguments) => {
            write_arguments(w.key(arguments_key), arguments);
        }
        None if call.begins => {
            w.key(arguments_key).str(Str::EMPTY);
        }
        None => {}
    }
    w.end_object();
    for (key, value) in source.iter() {
        if !matches!(key, "index" | "id" | "type" | "function" | "custom") {
            w.any_key(key).raw(value.get());
        }
    }
    w.end_object();
}

/// The id of a call, with what the provider wants back.
fn write_call_id(w: &mut Writer, id: Str<'_>, state: Option<&State<'_>>, made_up: impl Fn() -> String) {
    match state {
        None if id.is_empty() => w.string(&made_up()),
        None => w.str(id),
        Some(state) => {
            let id = if id.is_empty() { Cow::Owned(made_up()) } else { id.decode() };
            w.string(&state.attach(&id))
        }
    };
}

/// Without an id the client could not answer the call; this one is the same on every reading.
fn call_id(answer: &str, choice: u32, index: u32) -> String {
    let answer: String = answer.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("call_{answer}_{choice}_{index}")
}

fn write_arguments<'w>(w: &'w mut Writer, arguments: Arguments<'_>) -> &'w mut Writer {
    match arguments {
        Arguments::Text(text) => w.str(text),
        Arguments::Json(json) => w.string(json),
    }
}

/// Usage as a chunk of its own, with what `source`, the value of a `usage` key, says beyond the counts.
fn usage_chunk(identity: &Identity, usage: &Usage, source: &str, native: Option<&str>) -> Vec<u8> {
    let mut w = Writer::with_capacity(384);
    w.begin_object();
    write_identity(&mut w, identity);
    w.key("choices").begin_array().end_array().key("usage");
    write_usage(&mut w, usage, &Object::parse(source.as_bytes()).unwrap_or_default(), native);
    w.end_object();
    w.into_bytes()
}

/// Counts mean what OpenAI's mean; those of a provider that counts in another way stand beside them, in
/// `provider_usage`.
fn write_usage(w: &mut Writer, usage: &Usage, source: &Object<'_>, native: Option<&str>) {
    let total = usage.input.saturating_add(usage.output);
    w.begin_object().fixed(r#""prompt_tokens":"#).number(usage.input);
    w.fixed(r#","completion_tokens":"#).number(usage.output).fixed(r#","total_tokens":"#).number(total);
    let has = |key: &str| source.get(key).is_some_and(|value| json::type_of(value) == Type::Object);
    if (usage.cached_input.is_some() || usage.cache_write.is_some()) && !has("prompt_tokens_details") {
        w.fixed(r#","prompt_tokens_details":{"cached_tokens":"#).number(usage.cached_input.unwrap_or(0));
        if let Some(written) = usage.cache_write {
            w.fixed(r#","cache_write_tokens":"#).number(written);
        }
        w.end_object();
    }
    if let Some(reasoning) = usage.reasoning.filter(|_| !has("completion_tokens_details")) {
        w.fixed(r#","completion_tokens_details":{"reasoning_tokens":"#).number(reasoning).end_object();
    }
    for (key, value) in source.iter() {
        let is_told = match key {
            "prompt_tokens" | "completion_tokens" | "total_tokens" | "input_tokens" | "output_tokens" => true,
            "prompt_tokens_details" | "completion_tokens_details" => !has(key),
            _ => false,
        };
        if !is_told {
            w.any_key(key).raw(value.get());
        }
    }
    if let Some(native) = native {
        w.key("provider_usage").raw(native);
    }
    w.end_object();
}

/// The answer from its typed fields, with all unknown fields of its source.
fn write_response(answer: &ChatResponse<'_>, source: &Object<'_>) -> Vec<u8> {
    let mut w = Writer::with_capacity(room(answer));
    w.fixed(r#"{"id":"#).str(answer.id).fixed(r#","object":"chat.completion","created":"#);
    w.number(answer.created.unwrap_or_default()).fixed(r#","model":"#).str(answer.model);
    w.fixed(r#","choices":["#);
    let sources = source.get("choices").and_then(json::elements).unwrap_or_default();
    for choice in &answer.choices {
        let source = placed(&sources, choice.place);
        w.begin_object().fixed(r#""index":"#).number(choice.index.into());
        w.fixed(r#","message":{"role":"assistant","content":"#);
        write_message(&mut w, answer.id, choice, &source.get("message").map(parse).unwrap_or_default());
        w.fixed(r#","logprobs":"#);
        match (source.get("logprobs"), &choice.message.logprobs) {
            (Some(logprobs), _) => write_logprobs(&mut w, logprobs, None),
            (None, Some(logprobs)) => {
                w.raw(logprobs);
            }
            (None, None) => {
                w.null();
            }
        }
        w.fixed(r#","finish_reason":"#).escaped(&[choice.finish_reason.as_str()]);
        for (key, value) in source.iter() {
            if !matches!(key, "index" | "message" | "logprobs" | "finish_reason" | "usage") {
                w.any_key(key).raw(value.get());
            }
        }
        w.end_object();
    }
    w.end_array();
    if let Some(usage) = &answer.usage {
        let source = source.get("usage").map(parse).unwrap_or_default();
        write_usage(w.fixed(r#","usage":"#), usage, &source, answer.native_usage);
    }
    for (key, value) in source.iter() {
        if !matches!(key, "id" | "object" | "created" | "model" | "choices" | "usage" | "error") {
            w.any_key(key).raw(value.get());
        }
    }
    w.end_object();
    w.into_bytes()
}

/// How many bytes an answer has, or a little more, so that it need not be moved while it is written.
fn room(answer: &ChatResponse<'_>) -> usize {
    let texts = |texts: &[Str<'_>]| texts.iter().map(|text| text.raw().len()).sum::<usize>();
    let of_choice = |choice: &Choice<'_>| {
        let message = &choice.message;
        let calls = message.tool_calls.iter().map(|call| call.id.raw().len() + 2 * call.arguments.raw().len() + 128);
        let extra = message.extra.iter().map(|(name, json)| name.len() + json.len() + 4);
        texts(&message.content) + texts(&message.reasoning) + calls.sum::<usize>() + extra.sum::<usize>() + 192
    };
    answer.choices.iter().map(of_choice).sum::<usize>() + answer.native_usage.map_or(0, str::len) + 448
}

/// What follows the key of its content, to the message's end.
fn write_message(w: &mut Writer, answer: Str<'_>, choice: &Choice<'_>, source: &Object<'_>) {
    let message = &choice.message;
    write_texts(w, &message.content);
    w.fixed(r#","refusal":"#);
    match message.refusal {
        Some(refusal) => w.str(refusal),
        None => w.null(),
    };
    if !message.reasoning.is_empty() {
        write_texts(w.fixed(r#","reasoning_content":"#), &message.reasoning);
    }
    if !message.tool_calls.is_empty() {
        let sources = source.get("tool_calls").and_then(json::elements).unwrap_or_default();
        w.key("tool_calls").begin_array();
        for (index, call) in message.tool_calls.iter().enumerate() {
            w.begin_object();
            let made_up = || call_id(answer.raw(), choice.index, index as u32);
            write_call_id(w.key("id"), call.id, call.state.as_ref(), made_up);
            w.key("type").string("function").key("function").begin_object().key("name").str(call.name);
            match call.arguments {
                // Nothing is no JSON.
                Arguments::Text(text) if text.is_empty() => w.key("arguments").string("{}"),
                arguments => write_arguments(w.key("arguments"), arguments),
            };
            w.end_object();
            for (key, value) in placed(&sources, call.place).iter() {
                if !matches!(key, "id" | "type" | "function" | "index") {
                    w.any_key(key).raw(value.get());
                }
            }
            w.end_object();
        }
        w.end_array();
    }
    write_extra(w, &message.extra);
    for (key, value) in source.iter() {
        let is_typed = matches!(key, "role" | "content" | "refusal" | "tool_calls");
        if !is_typed && !matches!(key, "reasoning" | "reasoning_content") {
            w.any_key(key).raw(value.get());
        }
    }
    w.end_object();
}

/// Pieces of text as one string; `null` if there are none.
fn write_texts(w: &mut Writer, texts: &[Str<'_>]) {
    match texts {
        [] => w.null(),
        [text] => w.str(*text),
        texts => w.escaped(&texts.iter().map(|text| text.escaped()).collect::<Vec<_>>()),
    };
}

fn optional_string(w: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => w.string(text),
        None => w.null(),
    };
}
