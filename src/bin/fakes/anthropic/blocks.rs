//! Reads the content blocks of Messages: what each type may contain, and nothing about their order.
//!
//! A block says what the rest needs of it ([`Block`]); who may send it and when is the business of
//! `messages`.

use serde_json::{Map, Value};

use crate::strict::{
    Checked, Problem, array, boolean, choice, each, identifier, is_base64, nullable, object, open_object, present,
    required, string,
};
use crate::thinking::is_signed;

const IMAGE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// What stands inside a tool result: none of them contains another block, so reading ends.
const RESULT_BLOCKS: &[&str] = &["text", "image", "document", "search_result"];

pub enum Block<'a> {
    Text { text: &'a str, cites: bool },
    ToolUse { id: &'a str },
    ToolResult { id: &'a str, text: String },
    Thinking,
    Image,
    Document,
    SearchResult,
}

/// Called for each cache breakpoint, so that somebody can count them.
pub trait CacheControl<'a>: FnMut(&'a Value) -> Checked<()> {}
impl<'a, F: FnMut(&'a Value) -> Checked<()>> CacheControl<'a> for F {}

pub fn cache_control(value: &Value) -> Checked<()> {
    let fields = object(value, &["type", "ttl"])?;
    required(fields, "type", |kind| choice(kind, &["ephemeral"]))?;
    present(fields, "ttl", |ttl| choice(ttl, &["5m", "1h"])).map(drop)
}

/// A string, or blocks that are all text.
pub fn text<'a>(value: &'a Value, cache: &mut impl CacheControl<'a>) -> Checked<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let texts = each(value, |block| match read(block, &["text"], cache)? {
        Block::Text { text, .. } => Ok(text),
        _ => Ok(""),
    })?;
    Ok(texts.concat())
}

pub fn read<'a>(
    value: &'a Value,
    types: &'static [&'static str],
    cache: &mut impl CacheControl<'a>,
) -> Checked<Block<'a>> {
    let kind = required(open_object(value)?, "type", |kind| choice(kind, types))?;
    match kind {
        "text" => text_block(value, cache),
        "image" => {
            let fields = object(value, &["type", "source", "cache_control"])?;
            nullable(fields, "cache_control", cache)?;
            required(fields, "source", |source| media(source, IMAGE_TYPES))?;
            Ok(Block::Image)
        }
        "document" => document(value, cache),
        "tool_use" => {
            let fields = object(value, &["type", "id", "name", "input", "cache_control", "caller"])?;
            nullable(fields, "cache_control", cache)?;
            required(fields, "name", |name| identifier(name, 200))?;
            required(fields, "input", open_object)?;
            Ok(Block::ToolUse { id: required(fields, "id", |id| identifier(id, usize::MAX))? })
        }
        "tool_result" => tool_result(value, cache),
        "thinking" => {
            let fields = object(value, &["type", "thinking", "signature"])?;
            let text = required(fields, "thinking", string)?;
            required(fields, "signature", |signature| {
                signed(Some(text), signature, "Invalid `signature` in `thinking` block")
            })?;
            Ok(Block::Thinking)
        }
        "redacted_thinking" => {
            let fields = object(value, &["type", "data"])?;
            required(fields, "data", |data| signed(None, data, "Invalid `data` in `redacted_thinking` block"))?;
            Ok(Block::Thinking)
        }
        _ => search_result(value, cache),
    }
}

fn signed(text: Option<&str>, signature: &Value, problem: &str) -> Checked<()> {
    if is_signed(text, string(signature)?) { Ok(()) } else { Err(Problem::rule(problem)) }
}

fn text_block<'a>(value: &'a Value, cache: &mut impl CacheControl<'a>) -> Checked<Block<'a>> {
    let fields = object(value, &["type", "text", "cache_control", "citations"])?;
    nullable(fields, "cache_control", cache)?;
    let citations = nullable(fields, "citations", array)?;
    let text = required(fields, "text", string)?;
    if text.is_empty() {
        return Err(Problem::rule("text content blocks must be non-empty"));
    }
    Ok(Block::Text { text, cites: citations.is_some_and(|list| !list.is_empty()) })
}

fn tool_result<'a>(value: &'a Value, cache: &mut impl CacheControl<'a>) -> Checked<Block<'a>> {
    let fields = object(value, &["type", "tool_use_id", "content", "is_error", "cache_control"])?;
    nullable(fields, "cache_control", &mut *cache)?;
    let is_error = present(fields, "is_error", boolean)? == Some(true);
    let text = present(fields, "content", |content| match content {
        Value::String(text) => Ok(text.clone()),
        _ => {
            let texts = each(content, |block| match read(block, RESULT_BLOCKS, cache)? {
                Block::Text { text, .. } => Ok(text),
                _ if is_error => Err(Problem::rule("all content must be type \"text\" if \"is_error\" is true")),
                _ => Ok(""),
            })?;
            Ok(texts.concat())
        }
    })?;
    if is_error && text.as_deref().unwrap_or_default().is_empty() {
        return Err(Problem::rule("content cannot be empty if `is_error` is true"));
    }
    let id = required(fields, "tool_use_id", |id| identifier(id, usize::MAX))?;
    Ok(Block::ToolResult { id, text: text.unwrap_or_default() })
}

fn document<'a>(value: &'a Value, cache: &mut impl CacheControl<'a>) -> Checked<Block<'a>> {
    let fields = object(value, &["type", "source", "title", "context", "citations", "cache_control"])?;
    nullable(fields, "cache_control", &mut *cache)?;
    nullable(fields, "title", string)?;
    nullable(fields, "context", string)?;
    nullable(fields, "citations", citations_switch)?;
    required(fields, "source", |source| match required(open_object(source)?, "type", string)? {
        "text" => {
            let fields = object(source, &["type", "media_type", "data"])?;
            required(fields, "media_type", |kind| choice(kind, &["text/plain"]))?;
            required(fields, "data", string).map(drop)
        }
        "content" => {
            let fields = object(source, &["type", "content"])?;
            required(fields, "content", |content| match content {
                Value::String(_) => Ok(()),
                _ => array(content).map(drop),
            })
        }
        _ => media(source, &["application/pdf"]),
    })?;
    Ok(Block::Document)
}

fn citations_switch(value: &Value) -> Checked<Option<bool>> {
    present(object(value, &["enabled"])?, "enabled", boolean)
}

fn search_result<'a>(value: &'a Value, cache: &mut impl CacheControl<'a>) -> Checked<Block<'a>> {
    let fields = object(value, &["type", "source", "title", "content", "citations", "cache_control"])?;
    nullable(fields, "cache_control", &mut *cache)?;
    required(fields, "source", string)?;
    required(fields, "title", string)?;
    present(fields, "citations", citations_switch)?;
    required(fields, "content", |content| each(content, |block| text_block(block, cache).map(drop)))?;
    Ok(Block::SearchResult)
}

/// A source of an image or a PDF.
fn media(source: &Value, media_types: &'static [&'static str]) -> Checked<()> {
    let kind = required(open_object(source)?, "type", |kind| choice(kind, &["base64", "url", "file"]))?;
    let only = |known: &[&str], key: &str| -> Checked<&str> {
        let fields: &Map<String, Value> = object(source, known)?;
        required(fields, key, string)
    };
    match kind {
        "url" => match only(&["type", "url"], "url")? {
            url if url.starts_with("https://") => Ok(()),
            _ => Err(Problem::rule("Only HTTPS URLs are supported.").under("url")),
        },
        "file" => only(&["type", "file_id"], "file_id").map(drop),
        _ => {
            let data = only(&["type", "media_type", "data"], "data")?;
            required(open_object(source)?, "media_type", |kind| choice(kind, media_types))?;
            if is_base64(data) { Ok(()) } else { Err(Problem::rule("invalid base64 data").under("data")) }
        }
    }
}
