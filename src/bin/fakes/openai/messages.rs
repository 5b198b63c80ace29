//! Reads the messages of a chat completions request: roles, parts and the order of tool messages.
//!
//! What the answer depends on (the last user text, the results of tools) goes into the prompt; all else
//! is only checked. Nothing here knows the fields around `messages`.

use serde_json::{Map, Value};

use crate::prompt::Prompt;
use crate::strict::{
    Checked, Problem, array, choice, each, is_base64, nullable, object, open_object, required, string,
};

const ROLES: &[&str] = &["developer", "system", "user", "assistant", "tool", "function"];

pub fn read(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let messages = array(value)?;
    if messages.is_empty() {
        return Err(Problem::rule(
            "empty array. Expected an array with minimum length 1, but got an empty array instead",
        ));
    }
    let mut unanswered = Unanswered::default();
    for (index, message) in messages.iter().enumerate() {
        one(message, &mut unanswered, prompt).map_err(|problem| problem.at(index))?;
    }
    unanswered.nothing_left()
}

/// The calls of the last assistant message. Each has to be answered before anybody else speaks.
#[derive(Default)]
struct Unanswered<'a> {
    asked: Vec<&'a str>,
    left: Vec<&'a str>,
}

impl<'a> Unanswered<'a> {
    fn nothing_left(&self) -> Checked<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        Err(Problem::rule(format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
             'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            self.left.join(", ")
        )))
    }

    fn answer(&mut self, id: &str) -> Checked<()> {
        if self.asked.is_empty() {
            let text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'";
            return Err(Problem::rule(text).under("role"));
        }
        let at = self.left.iter().position(|left| *left == id).ok_or_else(|| {
            let text = format!("'tool_call_id' of '{id}' not found in 'tool_calls' of previous message");
            Problem::rule(text).under("tool_call_id")
        })?;
        self.left.remove(at);
        Ok(())
    }
}

fn one<'a>(value: &'a Value, unanswered: &mut Unanswered<'a>, prompt: &mut Prompt) -> Checked<()> {
    let role = required(open_object(value)?, "role", |role| choice(role, ROLES))?;
    if role != "tool" {
        unanswered.nothing_left()?;
        unanswered.asked.clear();
        prompt.tool_results = None;
    }
    match role {
        "user" => {
            let fields = object(value, &["role", "content", "name"])?;
            nullable(fields, "name", string)?;
            prompt.user_text = required(fields, "content", user_content)?;
            notice_json(&prompt.user_text.clone(), prompt);
        }
        "assistant" => assistant(value, unanswered)?,
        "tool" => {
            let fields = object(value, &["role", "content", "tool_call_id"])?;
            unanswered.answer(required(fields, "tool_call_id", string)?)?;
            let result = required(fields, "content", text)?;
            prompt.tool_results.get_or_insert_default().push(result);
        }
        "function" => {
            let fields = object(value, &["role", "content", "name"])?;
            required(fields, "name", string)?;
            let result = nullable(fields, "content", string)?.unwrap_or_default().to_owned();
            prompt.tool_results.get_or_insert_default().push(result);
        }
        _ => {
            let fields = object(value, &["role", "content", "name"])?;
            nullable(fields, "name", string)?;
            notice_json(&required(fields, "content", text)?, prompt);
        }
    }
    Ok(())
}

fn notice_json(text: &str, prompt: &mut Prompt) {
    prompt.mentions_json |= text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"));
}

fn assistant<'a>(value: &'a Value, unanswered: &mut Unanswered<'a>) -> Checked<()> {
    const FIELDS: &[&str] =
        &["role", "content", "refusal", "tool_calls", "audio", "name", "function_call", "annotations"];
    let fields = object(value, FIELDS)?;
    nullable(fields, "refusal", string)?;
    nullable(fields, "name", string)?;
    nullable(fields, "audio", |audio| required(object(audio, &["id"])?, "id", string))?;
    nullable(fields, "function_call", |call| {
        let call = object(call, &["name", "arguments"])?;
        required(call, "name", string)?;
        required(call, "arguments", string)
    })?;
    let calls = nullable(fields, "tool_calls", |calls| {
        if array(calls)?.is_empty() {
            return Err(Problem::rule(
                "empty array. Expected an array with minimum length 1, but got an empty array instead",
            ));
        }
        each(calls, tool_call)
    })?;
    let content = nullable(fields, "content", |content| match content {
        Value::String(_) => Ok(()),
        _ => each(content, |part| match part_type(part, &["text", "refusal"])? {
            ("refusal", _) => required(object(part, &["type", "refusal"])?, "refusal", string).map(drop),
            (_, fields) => text_part(part, fields).map(drop),
        })
        .map(drop),
    })?;
    let says_something = ["tool_calls", "function_call", "audio", "refusal"]
        .iter()
        .any(|key| fields.get(*key).is_some_and(|value| !value.is_null()));
    if content.is_none() && !says_something {
        return Err(Problem::rule("expected a string or an array, but got null instead").under("content"));
    }
    unanswered.left = calls.unwrap_or_default();
    unanswered.asked = unanswered.left.clone();
    let repeated = unanswered
        .left
        .iter()
        .enumerate()
        .find(|(index, id)| unanswered.left.iter().take(*index).any(|earlier| earlier == *id));
    match repeated {
        Some((index, id)) => {
            Err(Problem::rule(format!("duplicate id '{id}'")).under("id").at(index).under("tool_calls"))
        }
        None => Ok(()),
    }
}

fn tool_call(value: &Value) -> Checked<&str> {
    let kind = required(open_object(value)?, "type", |kind| choice(kind, &["function", "custom"]))?;
    let fields = object(value, &["id", "type", kind])?;
    required(fields, kind, |called| {
        let input = if kind == "function" { "arguments" } else { "input" };
        let called = object(called, &["name", input])?;
        required(called, "name", string)?;
        required(called, input, string)
    })?;
    required(fields, "id", |id| match string(id)? {
        "" => Err(Problem::rule("empty string. Expected a string with minimum length 1")),
        id => Ok(id),
    })
}

fn part_type<'a>(part: &'a Value, types: &'static [&'static str]) -> Checked<(&'a str, &'a Map<String, Value>)> {
    let fields = open_object(part)?;
    Ok((required(fields, "type", |kind| choice(kind, types))?, fields))
}

fn text_part(part: &Value, fields: &Map<String, Value>) -> Checked<String> {
    object(part, &["type", "text", "prompt_cache_breakpoint"])?;
    breakpoint(fields)?;
    required(fields, "text", string).map(str::to_owned)
}

fn breakpoint(fields: &Map<String, Value>) -> Checked<()> {
    nullable(fields, "prompt_cache_breakpoint", |value| {
        let fields = object(value, &["mode", "ttl"])?;
        nullable(fields, "ttl", |ttl| choice(ttl, &["30m", "12h"]))?;
        required(fields, "mode", |mode| choice(mode, &["explicit"]))
    })
    .map(drop)
}

/// A string, or parts that are all text.
pub fn text(value: &Value) -> Checked<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let parts = each(value, |part| text_part(part, part_type(part, &["text"])?.1))?;
    if parts.is_empty() {
        return Err(Problem::rule(
            "empty array. Expected an array with minimum length 1, but got an empty array instead",
        ));
    }
    Ok(parts.concat())
}

fn user_content(value: &Value) -> Checked<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let parts = each(value, user_part)?;
    if parts.is_empty() {
        return Err(Problem::rule(
            "empty array. Expected an array with minimum length 1, but got an empty array instead",
        ));
    }
    Ok(parts.concat())
}

/// Returns the text of the part, which is empty for media.
fn user_part(part: &Value) -> Checked<String> {
    let (kind, fields) = part_type(part, &["text", "image_url", "input_audio", "file"])?;
    if kind == "text" {
        return text_part(part, fields);
    }
    object(part, &["type", kind, "prompt_cache_breakpoint"])?;
    breakpoint(fields)?;
    required(fields, kind, |media| match kind {
        "image_url" => {
            let image = object(media, &["url", "detail"])?;
            nullable(image, "detail", |detail| choice(detail, &["auto", "low", "high", "original"]))?;
            required(image, "url", image_url)
        }
        "input_audio" => {
            let audio = object(media, &["data", "format"])?;
            required(audio, "format", |format| choice(format, &["wav", "mp3"]))?;
            required(audio, "data", |data| base64(string(data)?))
        }
        _ => {
            let file = object(media, &["file_id", "filename", "file_data"])?;
            nullable(file, "filename", string)?;
            let data = nullable(file, "file_data", |data| data_url(string(data)?, ""))?;
            match nullable(file, "file_id", string)?.is_some() != data.is_some() {
                true => Ok(()),
                false => Err(Problem::rule("expected either 'file_id' or 'file_data'")),
            }
        }
    })?;
    Ok(String::new())
}

fn image_url(value: &Value) -> Checked<()> {
    match string(value)? {
        url if url.starts_with("https://") && url.len() > "https://".len() => Ok(()),
        url => data_url(url, "image/"),
    }
}

/// `data:<media type>;base64,<data>`
fn data_url(url: &str, media_type: &str) -> Checked<()> {
    let Some((head, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) else {
        return Err(Problem::rule("expected a base64-encoded data URL, or an https URL where one is allowed"));
    };
    if !head.starts_with(media_type) || !head.contains('/') {
        return Err(Problem::rule(format!("the MIME type '{head}' is not supported here")));
    }
    base64(data)
}

fn base64(data: &str) -> Checked<()> {
    if is_base64(data) { Ok(()) } else { Err(Problem::rule("expected base64-encoded data")) }
}
