//! Reads the messages of a generation request: who may say what, and which results answer which calls.
//!
//! What the answer depends on (the last user text, the results of tools) goes into the prompt; all else
//! is only checked. Nothing here knows the fields around `messages`.

use serde_json::{Map, Value};

use crate::prompt::Prompt;
use crate::strict::{
    Checked, Problem, array, boolean, choice, each, integer, is_base64, nullable, object, open_object, present,
    required, string,
};
use crate::thinking::is_unchanged;

const MODAL: &str = "The item of content should be a message of a certain modal.";

pub fn read(value: &Value, multimodal: bool, prompt: &mut Prompt) -> Checked<()> {
    let messages = array(value)?;
    let is_user = |message: &Value| message.get("role").is_some_and(|role| role == "user");
    if !messages.iter().any(is_user) {
        return Err(Problem::rule("The input messages do not contain elements with the role of user."));
    }
    let mut conversation = Conversation { multimodal, unanswered: Vec::new(), has_called: false };
    for (index, message) in messages.iter().enumerate() {
        conversation.message(message, prompt).map_err(|problem| problem.at(index))?;
    }
    conversation.nothing_unanswered()
}

struct Conversation<'a> {
    multimodal: bool,
    /// The calls of the last assistant message.
    unanswered: Vec<&'a str>,
    /// Whether nothing but results has come since.
    has_called: bool,
}

impl<'a> Conversation<'a> {
    fn message(&mut self, value: &'a Value, prompt: &mut Prompt) -> Checked<()> {
        let role =
            required(open_object(value)?, "role", |role| choice(role, &["system", "user", "assistant", "tool"]))?;
        if role != "tool" {
            self.nothing_unanswered()?;
            prompt.tool_results = None;
            self.has_called = false;
        }
        match role {
            "system" => {
                let fields = object(value, &["role", "content"])?;
                prompt.system.push_str(&self.content(fields, false)?);
            }
            "user" => {
                let fields = object(value, &["role", "content"])?;
                prompt.user_text = self.content(fields, true)?;
            }
            "assistant" => self.assistant(value)?,
            _ => {
                let fields = object(value, &["role", "content", "tool_call_id"])?;
                if fields.get("content").and_then(Value::as_array).is_some_and(Vec::is_empty) {
                    return Err(Problem::rule(MODAL));
                }
                let text = self.content(fields, false)?;
                let id = required(fields, "tool_call_id", string)?;
                let at = self.unanswered.iter().position(|asked| *asked == id).filter(|_| self.has_called);
                let at = at.ok_or_else(|| {
                    Problem::rule(
                        "Messages with role \"tool\" must be a response to a preceding message with \"tool_calls\"",
                    )
                })?;
                self.unanswered.remove(at);
                prompt.tool_results.get_or_insert_default().push(text);
            }
        }
        Ok(())
    }

    fn nothing_unanswered(&self) -> Checked<()> {
        if self.unanswered.is_empty() {
            return Ok(());
        }
        Err(Problem::rule(format!(
            "An assistant message with \"tool_calls\" must be followed by tool messages responding to each \
             \"tool_call_id\". The following tool_call_ids did not have response messages: {}",
            self.unanswered.join(", ")
        )))
    }

    fn assistant(&mut self, value: &'a Value) -> Checked<()> {
        let fields = object(value, &["role", "content", "reasoning_content", "tool_calls", "partial"])?;
        present(fields, "partial", boolean)?;
        let thoughts = present(fields, "reasoning_content", string)?;
        if !thoughts.is_none_or(is_unchanged) {
            return Err(Problem::rule("These are not the thoughts of this model."));
        }
        self.content(fields, false)?;
        if let Some(calls) = present(fields, "tool_calls", |calls| each(calls, tool_call))? {
            self.has_called = !calls.is_empty();
            self.unanswered = calls;
        }
        Ok(())
    }

    /// The text of a content, and whether everything in it may be there.
    fn content(&self, fields: &Map<String, Value>, has_media: bool) -> Checked<String> {
        required(fields, "content", |content| match (self.multimodal, content) {
            (false, Value::String(text)) => Ok(text.clone()),
            (false, _) => Err(Problem::rule("input content must be a string.")),
            (true, _) => Ok(each(content, |item| read_item(item, has_media))?.concat()),
        })
    }
}

/// One that is named by what it holds.
fn read_item(value: &Value, has_media: bool) -> Checked<String> {
    const OPTIONS: &[&str] = &["cache_control", "fps", "max_frames", "min_pixels", "max_pixels", "total_pixels"];
    let fields = open_object(value).map_err(|_| Problem::rule(MODAL))?;
    let mut modal = fields.iter().filter(|(name, _)| !OPTIONS.contains(&name.as_str()));
    let (Some((name, held)), None) = (modal.next(), modal.next()) else {
        return Err(Problem::rule(MODAL));
    };
    match (name.as_str(), has_media) {
        ("text", _) => string(held).map(str::to_owned),
        ("image", true) => media(held, "data:image/").map(|()| String::new()),
        ("audio", true) => media(held, "data:audio/").map(|()| String::new()),
        ("file", true) => media(held, "data:application/").map(|()| String::new()),
        ("video", true) if held.is_array() => {
            each(held, |frame| media(frame, "data:image/"))?;
            Ok(String::new())
        }
        ("video", true) => media(held, "data:video/").map(|()| String::new()),
        _ => Err(Problem::rule(MODAL)),
    }
}

fn media(value: &Value, data: &str) -> Checked<()> {
    let url = string(value)?;
    let is_data = || {
        let base64 = url.strip_prefix(data).and_then(|rest| rest.split_once(";base64,"));
        base64.is_some_and(|(_, base64)| is_base64(base64))
    };
    if ["https://", "http://", "oss://"].iter().any(|scheme| url.starts_with(scheme)) || is_data() {
        return Ok(());
    }
    Err(Problem::rule("The provided URL does not appear to be valid. Ensure it is correctly formatted."))
}

fn tool_call(value: &Value) -> Checked<&str> {
    let fields = object(value, &["index", "id", "type", "function"])?;
    nullable(fields, "index", integer)?;
    required(fields, "type", |kind| choice(kind, &["function"]))?;
    required(fields, "function", |function| {
        let function = object(function, &["name", "arguments"])?;
        required(function, "name", string)?;
        required(function, "arguments", |arguments| match serde_json::from_str::<Value>(string(arguments)?) {
            Ok(Value::Object(_)) => Ok(()),
            _ => Err(Problem::rule("The \"function.arguments\" parameter of the code model must be in JSON format.")),
        })
    })?;
    required(fields, "id", string)
}
