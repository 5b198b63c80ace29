//! Reads the messages of a chat completions request: roles, parts and the order of tool messages.
//!
//! What the answer depends on (the last user text, the results of tools) goes into the prompt; all else
//! is only checked. Nothing here knows the fields around `messages`.

use serde_json::{Map, Value};

use super::INVALID;
use super::dialect::{CallIds, Dialect, Thoughts};
use crate::prompt::Prompt;
use crate::strict::{
    Checked, Problem, Refusal, array, choice, each, is_base64, nullable, object, open_object, required, string,
};
use crate::thinking::{Thinks, is_signed, is_unchanged};

pub fn read(dialect: &Dialect, value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let messages = array(value)?;
    if messages.is_empty() {
        return Err(Problem::rule(
            "empty array. Expected an array with minimum length 1, but got an empty array instead",
        ));
    }
    let mut conversation = Conversation { dialect, unanswered: Unanswered::default(), last_role: "" };
    for (index, message) in messages.iter().enumerate() {
        conversation.message(message, prompt).map_err(|problem| problem.at(index))?;
    }
    conversation.unanswered.nothing_left()
}

struct Conversation<'a> {
    dialect: &'a Dialect,
    unanswered: Unanswered<'a>,
    last_role: &'a str,
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

impl<'a> Conversation<'a> {
    fn message(&mut self, value: &'a Value, prompt: &mut Prompt) -> Checked<()> {
        let role = required(open_object(value)?, "role", |role| choice(role, self.dialect.roles))?;
        if role != "tool" {
            self.unanswered.nothing_left()?;
            self.unanswered.asked.clear();
            prompt.tool_results = None;
        }
        if (self.last_role, role, self.dialect.user_after_tool) == ("tool", "user", false) {
            let text = "Unexpected role 'user' after role 'tool'";
            return Err(Problem::refused(Refusal::new(400, "invalid_request_message_order", text).code("3230")));
        }
        self.last_role = role;
        let named: &[&str] = match self.dialect.named_roles.contains(&role) {
            true => &["role", "content", "name"],
            false => &["role", "content"],
        };
        match role {
            "user" => {
                let fields = object(value, named)?;
                nullable(fields, "name", string)?;
                prompt.user_text = required(fields, "content", |content| user_content(self.dialect, content))?;
                notice_json(&prompt.user_text.clone(), prompt);
            }
            "assistant" => self.assistant(value, prompt)?,
            "tool" => {
                let known: &[&str] = match named.contains(&"name") {
                    true => &["role", "content", "tool_call_id", "name"],
                    false => &["role", "content", "tool_call_id"],
                };
                let fields = object(value, known)?;
                nullable(fields, "name", string)?;
                self.unanswered.answer(required(fields, "tool_call_id", string)?)?;
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
                let fields = object(value, named)?;
                nullable(fields, "name", string)?;
                let text = required(fields, "content", text)?;
                notice_json(&text, prompt);
                prompt.system.extend([&text, "\n"]);
            }
        }
        Ok(())
    }

    fn assistant(&mut self, value: &'a Value, prompt: &Prompt) -> Checked<()> {
        let fields = object(value, self.dialect.assistant_fields)?;
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
            each(calls, |call| tool_call(self.dialect, call))
        })?;
        let content = nullable(fields, "content", |content| match content {
            Value::String(_) => Ok(()),
            _ => each(content, |part| assistant_part(self.dialect, part)).map(drop),
        })?;
        self.thoughts(fields, calls.is_some(), prompt)?;
        let says_something = ["tool_calls", "function_call", "audio", "refusal"]
            .iter()
            .any(|key| fields.get(*key).is_some_and(|value| !value.is_null()));
        if content.is_none() && !says_something {
            return Err(Problem::rule("expected a string or an array, but got null instead").under("content"));
        }
        self.unanswered.left = calls.unwrap_or_default();
        self.unanswered.asked = self.unanswered.left.clone();
        let left = &self.unanswered.left;
        let repeated =
            left.iter().enumerate().find(|(index, id)| left.iter().take(*index).any(|earlier| earlier == *id));
        match repeated {
            Some((index, id)) => {
                Err(Problem::rule(format!("duplicate id '{id}'")).under("id").at(index).under("tool_calls"))
            }
            None => Ok(()),
        }
    }

    /// What the model thought before this message, where its vendor wants it back.
    fn thoughts(&self, fields: &Map<String, Value>, calls: bool, prompt: &Prompt) -> Checked<()> {
        if self.dialect.thoughts == Thoughts::Details {
            return self.details(fields, calls, prompt);
        }
        let Thoughts::Field(name) = self.dialect.thoughts else { return Ok(()) };
        let thoughts = nullable(fields, name, string)?;
        if self.dialect.wants_thoughts_back
            && calls
            && prompt.thinks != Thinks::Never
            && thoughts.is_none_or(str::is_empty)
        {
            let text = format!("The `{name}` in the thinking mode must be passed back to the API.");
            return Err(Problem::refused(Refusal::new(400, INVALID, text).code(INVALID)));
        }
        match thoughts.is_none_or(is_unchanged) {
            true => Ok(()),
            false => Err(Problem::rule("these are not the thoughts that were sent").under(name)),
        }
    }
}

impl Conversation<'_> {
    /// The same, where they come signed.
    fn details(&self, fields: &Map<String, Value>, calls: bool, prompt: &Prompt) -> Checked<()> {
        let details = nullable(fields, "reasoning_details", |details| {
            each(details, |detail| {
                let detail = open_object(detail)?;
                let text = required(detail, "text", string)?;
                required(detail, "signature", |signature| match is_signed(Some(text), string(signature)?) {
                    true => Ok(()),
                    false => Err(Problem::rule("Invalid `signature` in `thinking` block")),
                })
            })
        })?;
        if self.dialect.wants_thoughts_back && calls && prompt.thinks != Thinks::Never && details.is_none() {
            let text = "Expected `thinking`, but found `tool_use`: reasoning_details must be passed back.";
            return Err(Problem::refused(Refusal::new(400, INVALID, text)));
        }
        Ok(())
    }
}

fn notice_json(text: &str, prompt: &mut Prompt) {
    prompt.mentions_json |= text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"));
}

fn assistant_part(dialect: &Dialect, part: &Value) -> Checked<()> {
    match part_type(part, dialect.assistant_parts)? {
        ("refusal", _) => required(object(part, &["type", "refusal"])?, "refusal", string).map(drop),
        ("thinking", _) => {
            let fields = object(part, &["type", "thinking", "signature", "closed"])?;
            let text = required(fields, "thinking", text)?;
            let signature = nullable(fields, "signature", string)?;
            match is_unchanged(&text) && signature.is_none_or(|signature| is_signed(Some(&text), signature)) {
                true => Ok(()),
                false => Err(Problem::rule("these are not the thoughts that were sent").under("thinking")),
            }
        }
        ("reference", _) => required(object(part, &["type", "reference_ids"])?, "reference_ids", array).map(drop),
        (_, fields) => text_part(part, fields).map(drop),
    }
}

fn tool_call<'a>(dialect: &Dialect, value: &'a Value) -> Checked<&'a str> {
    let kind = required(open_object(value)?, "type", |kind| choice(kind, dialect.tool_types))?;
    let fields = match dialect.indexed_calls {
        true => object(value, &["id", "type", kind, "index"])?,
        false => object(value, &["id", "type", kind])?,
    };
    required(fields, kind, |called| {
        let input = if kind == "function" { "arguments" } else { "input" };
        let called = object(called, &["name", input])?;
        required(called, "name", string)?;
        required(called, input, string)
    })?;
    required(fields, "id", |id| match string(id)? {
        "" => Err(Problem::rule("empty string. Expected a string with minimum length 1")),
        id => call_id(dialect, id),
    })
}

fn call_id<'a>(dialect: &Dialect, id: &'a str) -> Checked<&'a str> {
    let nine = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if dialect.call_ids == CallIds::Any || nine {
        return Ok(id);
    }
    let text = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
    Err(Problem::refused(Refusal::new(400, "invalid_function_call", text).code("3280")))
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

fn user_content(dialect: &Dialect, value: &Value) -> Checked<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let parts = each(value, |part| user_part(dialect, part))?;
    if parts.is_empty() {
        return Err(Problem::rule(
            "empty array. Expected an array with minimum length 1, but got an empty array instead",
        ));
    }
    Ok(parts.concat())
}

/// Returns the text of the part, which is empty for media.
fn user_part(dialect: &Dialect, part: &Value) -> Checked<String> {
    let (kind, fields) = part_type(part, dialect.user_parts)?;
    if kind == "text" {
        return text_part(part, fields);
    }
    object(part, &["type", kind, "prompt_cache_breakpoint", "document_name"])?;
    breakpoint(fields)?;
    required(fields, kind, |media| match (kind, media) {
        ("image_url", Value::String(_)) if dialect.bare_media => image_url(media),
        ("input_audio", Value::String(data)) if dialect.bare_media => base64(data),
        ("document_url", _) => document_url(media),
        ("image_url", _) => {
            let image = object(media, &["url", "detail"])?;
            nullable(image, "detail", |detail| choice(detail, &["auto", "low", "high", "original"]))?;
            required(image, "url", |url| match string(url)? {
                data if dialect.bare_images && !data.starts_with("https://") => base64(data),
                _ => image_url(url),
            })
        }
        ("input_audio", _) if dialect.bare_media => string(media).map(drop),
        ("input_audio", _) => {
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

fn document_url(value: &Value) -> Checked<()> {
    match string(value)? {
        url if url.starts_with("https://") => Ok(()),
        url => data_url(url, "application/"),
    }
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
