//! Reads the messages of a Converse request: who speaks when, what a block contains, and which blocks answer which.
//!
//! What the answer depends on (the last user text, the results of tools) goes into the prompt; all else is only checked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::request::{Maker, Thinking, constraint, member, of_model, plain, text};
use crate::prompt::Prompt;
use crate::strict::{
    Checked, Problem, array, boolean, choice, is_base64, object, open_object, present, required, string,
};
use crate::thinking::is_signed;

const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];
const DOCUMENTS: &[&str] = &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const SOUNDS: &[&str] =
    &["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"];
const VIDEOS: &[&str] = &["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"];

const USER: &[&str] =
    &["text", "image", "document", "video", "audio", "toolResult", "guardContent", "cachePoint", "searchResult"];
const ASSISTANT: &[&str] = &["text", "toolUse", "reasoningContent", "cachePoint", "citationsContent"];
const RESULT: &[&str] = &["text", "json", "image", "document", "video", "searchResult"];

pub fn system(value: &Value, cache_points: &mut usize) -> Checked<String> {
    match member(value, &["text", "guardContent", "cachePoint"])? {
        ("text", value) => match text(value, 1, usize::MAX)? {
            blank if blank.trim().is_empty() => Err(Problem::rule(
                "The text field in the SystemContentBlock object at {place} is blank. Add text to the text field, and try again.",
            )),
            text => Ok(text.to_owned()),
        },
        ("cachePoint", value) => cache_point(value, cache_points).map(|()| String::new()),
        (_, value) => guarded(value),
    }
}

pub fn cache_point(value: &Value, cache_points: &mut usize) -> Checked<()> {
    *cache_points += 1;
    let fields = object(value, &["type", "ttl"])?;
    required(fields, "type", |kind| choice(kind, &["default"]))?;
    present(fields, "ttl", |ttl| choice(ttl, &["5m", "1h"])).map(drop)
}

fn guarded(value: &Value) -> Checked<String> {
    match member(value, &["text", "image"])? {
        ("text", value) => {
            let fields = object(value, &["text", "qualifiers"])?;
            required(fields, "text", string).map(str::to_owned)
        }
        (_, value) => media(value, &["png", "jpeg"]).map(|()| String::new()),
    }
}

fn media(value: &Value, formats: &'static [&'static str]) -> Checked<()> {
    let fields = object(value, &["format", "source"])?;
    required(fields, "format", |format| choice(format, formats))?;
    required(fields, "source", |source| self::source(source, &["bytes", "s3Location"]))
}

fn source(value: &Value, members: &[&str]) -> Checked<()> {
    match member(value, members)? {
        ("bytes", value) if is_base64(string(value)?) => Ok(()),
        ("bytes", _) => Err(Problem::rule("{place}: the bytes are not valid base64")),
        ("s3Location", value) => {
            let fields = object(value, &["uri", "bucketOwner"])?;
            required(fields, "uri", |uri| match string(uri)? {
                uri if uri.starts_with("s3://") => Ok(()),
                _ => Err(constraint("Member must satisfy regular expression pattern: s3://…")),
            })
        }
        ("content", value) => array(value).map(drop),
        (_, value) => string(value).map(drop),
    }
}

pub struct Conversation {
    pub maker: Maker,
    pub thinks: Thinking,
    pub has_tools: bool,
}

/// What has to be known of the turns before.
#[derive(Default)]
struct Before<'a> {
    role: &'a str,
    /// The calls of the assistant's turn, which the next has to answer.
    unanswered: Vec<&'a str>,
    documents: BTreeSet<&'a str>,
    /// Whether the last assistant's turn began with a thought.
    thought: bool,
}

impl Conversation {
    pub fn read(&self, value: &Value, prompt: &mut Prompt, cache_points: &mut usize) -> Checked<()> {
        let messages = array(value)?;
        if messages.is_empty() {
            return Err(Problem::rule(
                "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
            ));
        }
        let mut before = Before::default();
        for (index, message) in messages.iter().enumerate() {
            self.message(message, &mut before, prompt, cache_points).map_err(|problem| problem.at(index))?;
        }
        if before.role == "assistant" {
            return Err(of_model(
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            ));
        }
        // While the model uses tools, its turn begins with what it thought, or has no thoughts if it may not think.
        match self.thinks {
            Thinking::Budgeted if prompt.tool_results.is_some() && !before.thought => Err(of_model(
                "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is \
                 enabled, a final `assistant` message must start with a thinking block.",
            )),
            Thinking::Off if prompt.tool_results.is_some() && before.thought => Err(of_model(
                "messages.1.content.0.type: When `thinking` is disabled, an `assistant` message in the final position cannot \
                 contain `thinking`.",
            )),
            _ => Ok(()),
        }
    }

    fn message<'a>(
        &self,
        value: &'a Value,
        before: &mut Before<'a>,
        prompt: &mut Prompt,
        cache_points: &mut usize,
    ) -> Checked<()> {
        let fields = object(value, &["role", "content"])?;
        let role = required(fields, "role", |role| choice(role, &["user", "assistant"]))?;
        match (before.role, role) {
            ("", "assistant") => {
                return Err(Problem::rule(
                    "A conversation must start with a user message. Try again with a conversation that starts with a user \
                     message.",
                ));
            }
            (last, role) if last == role => {
                return Err(Problem::rule(
                    "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
                     between user and assistant roles and try again.",
                ));
            }
            _ => {}
        }
        before.role = role;
        let blocks = required(fields, "content", array)?;
        for (kind, name) in [("toolUse", "tool use"), ("toolResult", "tool result")] {
            let of_tools = blocks.iter().filter(|block| block.get(kind).is_some()).count();
            if self.maker == Maker::Meta && (1..blocks.len()).contains(&of_tools) {
                let text = format!("Conversation blocks and {name} blocks cannot be provided in the same turn.");
                return Err(Problem::rule(text).under("content"));
            }
        }
        if blocks.is_empty() {
            return Err(Problem::rule(
                "The content field in the Message object at {place} is empty. Add a ContentBlock object to the content field and \
                 try again.",
            ));
        }
        if role == "assistant" {
            before.thought = blocks.first().is_some_and(|block| block.get("reasoningContent").is_some());
            prompt.tool_results = None;
            return self.assistant(blocks, before, cache_points);
        }
        self.user(blocks, before, prompt, cache_points)
    }

    fn user<'a>(
        &self,
        blocks: &'a [Value],
        before: &mut Before<'a>,
        prompt: &mut Prompt,
        cache_points: &mut usize,
    ) -> Checked<()> {
        let mut texts = Vec::new();
        let mut results = Vec::new();
        let mut has_document = false;
        for (index, block) in blocks.iter().enumerate() {
            let read = |before: &mut Before<'a>, cache_points: &mut usize| -> Checked<()> {
                match member(block, USER)? {
                    ("text", value) => texts.push(said(value)?.to_owned()),
                    ("guardContent", value) => texts.push(guarded(value)?),
                    ("cachePoint", _) if index == 0 => {
                        return Err(Problem::rule("A cache point must follow a block of content at {place}."));
                    }
                    ("cachePoint", value) => cache_point(value, cache_points)?,
                    ("document", value) => {
                        has_document = true;
                        let name = document(value)?;
                        if !before.documents.insert(name) {
                            return Err(Problem::rule("Messages can not contain duplicate document names."));
                        }
                    }
                    ("toolResult", value) => {
                        self.with_tools()?;
                        let (id, text) = result(value)?;
                        let Some(at) = before.unanswered.iter().position(|asked| *asked == id) else {
                            return Err(Problem::rule(
                                "The number of toolResult blocks at {place} exceeds the number of toolUse blocks of previous turn.",
                            ));
                        };
                        before.unanswered.remove(at);
                        results.push(text);
                    }
                    (kind, value) => medium(kind, value)?,
                }
                Ok(())
            };
            let mut read = read;
            read(before, cache_points).map_err(|problem| problem.at(index).under("content"))?;
        }
        if !before.unanswered.is_empty() {
            let ids = before.unanswered.join(", ");
            return Err(Problem::rule(format!(
                "Expected toolResult blocks at {{place}}.content for the following Ids: {ids}"
            )));
        }
        if has_document && texts.is_empty() {
            return Err(Problem::rule("A text block must be included when using documents."));
        }
        // Results with a text behind them are a question about the text.
        prompt.tool_results = (texts.is_empty() && !results.is_empty()).then_some(results);
        if !texts.is_empty() {
            prompt.user_text = texts.concat();
        }
        Ok(())
    }

    fn assistant<'a>(&self, blocks: &'a [Value], before: &mut Before<'a>, cache_points: &mut usize) -> Checked<()> {
        for (index, block) in blocks.iter().enumerate() {
            let mut read = || -> Checked<()> {
                match member(block, ASSISTANT)? {
                    ("text", value) => said(value).map(drop),
                    ("cachePoint", value) => cache_point(value, cache_points),
                    ("reasoningContent", value) => self.thought(value),
                    ("toolUse", value) => {
                        self.with_tools()?;
                        let fields = object(value, &["toolUseId", "name", "input", "type"])?;
                        required(fields, "name", |name| plain(name, "_-", 64))?;
                        required(fields, "input", open_object)?;
                        let id = required(fields, "toolUseId", |id| plain(id, "_.:-", 64))?;
                        if before.unanswered.contains(&id) {
                            return Err(of_model("`tool_use` ids must be unique"));
                        }
                        before.unanswered.push(id);
                        Ok(())
                    }
                    (_, value) => open_object(value).map(drop),
                }
            };
            read().map_err(|problem| problem.at(index).under("content"))?;
        }
        Ok(())
    }

    fn with_tools(&self) -> Checked<()> {
        if self.has_tools {
            return Ok(());
        }
        Err(Problem::rule("The toolConfig field must be defined when using toolUse and toolResult content blocks."))
    }

    fn thought(&self, value: &Value) -> Checked<()> {
        if self.maker != Maker::Claude {
            return Err(Problem::rule(
                "This model doesn't support the reasoningContent field. Remove reasoningContent and try again.",
            ));
        }
        let (text, signature) = match member(value, &["reasoningText", "redactedContent"])? {
            ("reasoningText", value) => {
                let fields = object(value, &["text", "signature"])?;
                let signature = present(fields, "signature", string)?;
                let signature = signature.ok_or_else(|| of_model("thinking.signature: Field required"))?;
                (Some(required(fields, "text", string)?), signature)
            }
            (_, value) => (None, string(value)?),
        };
        if is_signed(text, signature) {
            return Ok(());
        }
        Err(of_model("messages.1.content.0: Invalid `signature` in `thinking` block"))
    }
}

fn said(value: &Value) -> Checked<&str> {
    match string(value)? {
        blank if blank.trim().is_empty() => Err(Problem::rule(
            "The text field in the ContentBlock object at {place} is blank. Add text to the text field, and try again.",
        )),
        text => Ok(text),
    }
}

fn medium(kind: &str, value: &Value) -> Checked<()> {
    match kind {
        "image" => media(value, IMAGES),
        "audio" => media(value, SOUNDS),
        "video" => media(value, VIDEOS),
        _ => {
            let fields = object(value, &["source", "title", "content", "citations"])?;
            required(fields, "source", string)?;
            required(fields, "title", string)?;
            required(fields, "content", array).map(drop)
        }
    }
}

fn document(value: &Value) -> Checked<&str> {
    let fields = object(value, &["format", "name", "source", "context", "citations"])?;
    present(fields, "format", |format| choice(format, DOCUMENTS))?;
    present(fields, "context", string)?;
    present(fields, "citations", |value| required(object(value, &["enabled"])?, "enabled", boolean))?;
    required(fields, "source", |value| source(value, &["bytes", "s3Location", "text", "content"]))?;
    required(fields, "name", |name| {
        let name = text(name, 1, 200)?;
        let fits = |char: char| char.is_ascii_alphanumeric() || char.is_whitespace() || "-()[]".contains(char);
        if name.chars().all(fits) && !name.contains("  ") {
            return Ok(name);
        }
        Err(Problem::rule(
            "The file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square \
             brackets. The name can't contain more than one consecutive whitespace character.",
        ))
    })
}

fn result(value: &Value) -> Checked<(&str, String)> {
    let fields = object(value, &["toolUseId", "content", "status"])?;
    let status = present(fields, "status", |status| choice(status, &["success", "error"]))?;
    let texts = required(fields, "content", |content| {
        let blocks = array(content)?;
        if blocks.is_empty() && status == Some("error") {
            return Err(Problem::rule("The content field at {place} cannot be empty when status value is error."));
        }
        let mut texts = String::new();
        for (index, block) in blocks.iter().enumerate() {
            let read = match member(block, RESULT).map_err(|problem| problem.at(index))? {
                ("text", value) => said(value).map(|text| texts.push_str(text)),
                ("json", value) => open_object(value).map(drop),
                ("document", value) => document(value).map(drop),
                (kind, value) => medium(kind, value),
            };
            read.map_err(|problem| problem.at(index))?;
        }
        Ok(texts)
    })?;
    Ok((required(fields, "toolUseId", |id| plain(id, "_.:-", 64))?, texts))
}
