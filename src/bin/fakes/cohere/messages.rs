//! Reads the messages of a chat request: who may say what, and which results answer which calls.
//!
//! What the answer depends on (the last user text, the results of tools) goes into the prompt; all else
//! is only checked. Nothing here knows the fields around `messages`.

use serde_json::Value;

use super::request::{document, tool_name};
use crate::prompt::Prompt;
use crate::strict::{
    Checked, Problem, array, choice, each, integer, is_base64, nullable, object, open_object, present, required, string,
};
use crate::thinking::is_unchanged;

pub fn read(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let messages = array(value)?;
    if messages.is_empty() {
        return Err(Problem::rule("invalid request: messages must not be empty"));
    }
    let mut calls = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        read_message(message, index, prompt, &mut calls).map_err(|problem| problem.at(index))?;
    }
    Ok(())
}

fn read_message<'a>(value: &'a Value, index: usize, prompt: &mut Prompt, calls: &mut Vec<&'a str>) -> Checked<()> {
    let role = required(open_object(value)?, "role", |role| choice(role, &["system", "user", "assistant", "tool"]))?;
    if role != "tool" {
        prompt.tool_results = None;
    }
    match role {
        "system" => {
            let fields = object(value, &["role", "content"])?;
            if index > 0 {
                return Err(Problem::rule("system turn must be the first in the list"));
            }
            prompt.system = required(fields, "content", |content| texts(content, &["text"]))?;
        }
        "user" => {
            let fields = object(value, &["role", "content"])?;
            prompt.user_text = required(fields, "content", |content| texts(content, &["text", "image_url"]))?;
        }
        "assistant" => assistant(value, calls)?,
        _ => {
            let fields = object(value, &["role", "content", "tool_call_id"])?;
            let id = nullable(fields, "tool_call_id", string)?.filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| Problem::rule("tool call id must be provided with tool message"))?;
            if !calls.contains(&id) {
                return Err(Problem::rule("tool call id not found in previous tool calls"));
            }
            let text = required(fields, "content", |content| texts(content, &["text", "document"]))?;
            prompt.tool_results.get_or_insert_default().push(text);
        }
    }
    Ok(())
}

fn assistant<'a>(value: &'a Value, calls: &mut Vec<&'a str>) -> Checked<()> {
    let fields = object(value, &["role", "content", "tool_calls", "tool_plan", "citations"])?;
    nullable(fields, "tool_plan", string)?;
    nullable(fields, "citations", |citations| each(citations, citation))?;
    let own = nullable(fields, "tool_calls", |calls| each(calls, tool_call))?.unwrap_or_default();
    let text = nullable(fields, "content", |content| texts(content, &["text", "thinking"]))?;
    if text.is_none() && own.is_empty() {
        return Err(empty());
    }
    for id in own {
        if calls.contains(&id) {
            return Err(Problem::rule("cannot have duplicate tool ids"));
        }
        calls.push(id);
    }
    Ok(())
}

fn citation(value: &Value) -> Checked<()> {
    let fields = object(value, &["start", "end", "text", "sources", "content_index", "type"])?;
    nullable(fields, "start", integer)?;
    nullable(fields, "end", integer)?;
    nullable(fields, "sources", array).map(drop)
}

fn tool_call(value: &Value) -> Checked<&str> {
    let fields = object(value, &["id", "type", "function"])?;
    if required(fields, "type", string)? != "function" {
        return Err(Problem::rule("tool call must be of type function"));
    }
    required(fields, "function", |function| {
        let function = object(function, &["name", "arguments"])?;
        required(function, "name", tool_name)?;
        required(function, "arguments", |arguments| {
            let arguments = serde_json::from_str::<Value>(string(arguments)?);
            match arguments {
                Ok(Value::Object(_)) => Ok(()),
                _ => Err(Problem::rule("invalid request: tool call arguments must be a JSON object")),
            }
        })
    })?;
    required(fields, "id", string)
}

fn empty() -> Problem {
    Problem::rule("message must not be empty in a turn")
}

/// The text of a content that has parts of these types only, and something in it.
fn texts(content: &Value, kinds: &'static [&'static str]) -> Checked<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        _ => each(content, |part| read_part(part, kinds))?.concat(),
    };
    let has_parts = content.as_array().is_some_and(|parts| !parts.is_empty());
    if text.trim().is_empty() && !has_parts { Err(empty()) } else { Ok(text) }
}

fn read_part(part: &Value, kinds: &'static [&'static str]) -> Checked<String> {
    match required(open_object(part)?, "type", |kind| choice(kind, kinds))? {
        "text" => {
            let text = required(object(part, &["type", "text"])?, "text", string)?;
            if text.is_empty() { Err(empty()) } else { Ok(text.to_owned()) }
        }
        "thinking" => {
            let text = required(object(part, &["type", "thinking"])?, "thinking", string)?;
            match is_unchanged(text) {
                true => Ok(String::new()),
                false => Err(Problem::rule("invalid request: these are not the thoughts of this model")),
            }
        }
        "image_url" => {
            required(object(part, &["type", "image_url"])?, "image_url", image)?;
            Ok(String::new())
        }
        // What it says stands in one of its fields.
        _ => required(object(part, &["type", "document"])?, "document", document),
    }
}

fn image(value: &Value) -> Checked<()> {
    let fields = object(value, &["url", "detail"])?;
    present(fields, "detail", |detail| choice(detail, &["auto", "low", "high"]))?;
    let url = required(fields, "url", string)?;
    let data = ["png", "jpeg", "webp", "gif"]
        .iter()
        .find_map(|kind| url.strip_prefix("data:image/")?.strip_prefix(kind)?.strip_prefix(";base64,"));
    match data {
        Some(data) if is_base64(data) => Ok(()),
        None if url.starts_with("https://") || url.starts_with("http://") => Ok(()),
        _ => Err(Problem::rule(
            "invalid request: image must be a base64 data URI of type png, jpeg, webp or gif, or a URL",
        )),
    }
}
