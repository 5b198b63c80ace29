//! Reads the messages of a Messages request: who speaks when, and which blocks answer which.
//!
//! What the answer depends on (the last user text, the results of tools) goes into the prompt; all else
//! is only checked. What a block contains is the business of `blocks`.

use serde_json::Value;

use super::WITHOUT_SAMPLING;
use super::blocks::{self, Block, CacheControl};
use super::request::{Thinking, is_older};
use crate::prompt::Prompt;
use crate::strict::{Checked, Problem, array, choice, object, required};

const USER_BLOCKS: &[&str] = &["text", "image", "document", "tool_result", "search_result"];
const ASSISTANT_BLOCKS: &[&str] = &["text", "tool_use", "thinking", "redacted_thinking", "document"];

/// The vendor's own limit.
const MOST_MESSAGES: usize = 100_000;

pub fn read<'a>(
    value: &'a Value,
    version: &'a str,
    thinks: Thinking,
    prompt: &mut Prompt,
    cache: &mut impl CacheControl<'a>,
) -> Checked<()> {
    let messages = array(value)?;
    if messages.is_empty() {
        return Err(Problem::rule("at least one message is required"));
    }
    if messages.len() > MOST_MESSAGES {
        return Err(Problem::rule(format!("at most {MOST_MESSAGES} messages are allowed")));
    }
    let mut conversation = Conversation { version, unanswered: Vec::new(), last_role: "" };
    for (index, message) in messages.iter().enumerate() {
        conversation.message(message, prompt, cache).map_err(|problem| problem.at(index))?;
    }
    if prompt.tool_results.is_some() {
        thoughts(messages, thinks)?;
    }
    let last = messages.len() - 1;
    conversation.end(prompt, messages.last()).map_err(|problem| problem.at(last))
}

struct Conversation<'a> {
    version: &'a str,
    /// The calls of the assistant's turn, which the next message has to answer.
    unanswered: Vec<&'a str>,
    last_role: &'a str,
}

impl<'a> Conversation<'a> {
    fn message(&mut self, value: &'a Value, prompt: &mut Prompt, cache: &mut impl CacheControl<'a>) -> Checked<()> {
        let fields = object(value, &["role", "content"])?;
        let role = required(fields, "role", |role| choice(role, &["user", "assistant", "system"]))?;
        if self.last_role.is_empty() && role != "user" {
            return Err(Problem::rule("first message must use the \"user\" role"));
        }
        match role {
            "user" => required(fields, "content", |content| self.user(content, prompt, cache))?,
            "assistant" => required(fields, "content", |content| self.assistant(content, cache))?,
            _ => {
                self.nothing_unanswered()?;
                if prompt.model.contains("-3-") {
                    return Err(Problem::rule(
                        "Unexpected role \"system\". The Messages API accepts a top-level `system` \
                                              parameter, not \"system\" as an input message role.",
                    )
                    .under("role"));
                }
                match required(fields, "content", |content| blocks::text(content, cache))? {
                    text if text.is_empty() => {
                        return Err(Problem::rule("text content must be non-empty").under("content"));
                    }
                    text => prompt.system.extend([&text, "\n"]),
                }
            }
        }
        if role == "assistant" {
            prompt.tool_results = None;
        }
        self.last_role = role;
        Ok(())
    }

    fn user(&mut self, content: &'a Value, prompt: &mut Prompt, cache: &mut impl CacheControl<'a>) -> Checked<()> {
        let mut texts = Vec::new();
        let mut results = Vec::new();
        if let Value::String(text) = content {
            not_empty(text)?;
            texts.push(text.as_str());
        } else {
            let list = array(content)?;
            if list.is_empty() {
                return Err(Problem::rule("user messages must have non-empty content"));
            }
            let mut head = true;
            for (index, block) in list.iter().enumerate() {
                let block = blocks::read(block, USER_BLOCKS, cache).and_then(|block| {
                    if matches!(block, Block::Text { cites: true, .. }) && self.version == WITHOUT_SAMPLING {
                        return Err(Problem::rule("citations are not allowed in user messages").under("citations"));
                    }
                    if let Block::ToolResult { id, .. } = &block {
                        self.answered(id, head)?;
                    }
                    Ok(block)
                });
                match block.map_err(|problem| problem.at(index))? {
                    Block::ToolResult { text, .. } => results.push(text),
                    Block::Text { text, .. } => {
                        head = false;
                        texts.push(text);
                    }
                    _ => head = false,
                }
            }
        }
        self.nothing_unanswered()?;
        // Results with a text behind them are a question about the text.
        if texts.is_empty() && !results.is_empty() {
            prompt.tool_results = Some(results);
        } else {
            prompt.tool_results = None;
        }
        if !texts.is_empty() {
            prompt.user_text = texts.concat();
        }
        Ok(())
    }

    fn answered(&mut self, id: &str, head: bool) -> Checked<()> {
        let at = self.unanswered.iter().position(|asked| *asked == id).ok_or_else(|| {
            Problem::rule(format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a \
                 corresponding `tool_use` block in the previous message."
            ))
        })?;
        if !head {
            return Err(Problem::rule("`tool_result` blocks must come first in the content of the message"));
        }
        self.unanswered.remove(at);
        Ok(())
    }

    fn nothing_unanswered(&self) -> Checked<()> {
        if self.unanswered.is_empty() {
            return Ok(());
        }
        let ids = self.unanswered.join(", ");
        Err(Problem::rule(format!(
            "`tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each `tool_use` block \
             must have a corresponding `tool_result` block in the next message."
        )))
    }

    fn assistant(&mut self, content: &'a Value, cache: &mut impl CacheControl<'a>) -> Checked<()> {
        // Messages of one role in a row are one turn.
        if self.last_role != "assistant" {
            self.nothing_unanswered()?;
        }
        if let Value::String(text) = content {
            return not_empty(text);
        }
        for (index, block) in array(content)?.iter().enumerate() {
            let read = blocks::read(block, ASSISTANT_BLOCKS, cache).and_then(|block| match block {
                Block::ToolUse { id } if self.unanswered.contains(&id) => {
                    Err(Problem::rule("`tool_use` ids must be unique").under("id"))
                }
                Block::ToolUse { id } => {
                    self.unanswered.push(id);
                    Ok(())
                }
                Block::Document if self.version == WITHOUT_SAMPLING => {
                    Err(Problem::rule("document blocks are not allowed in assistant messages"))
                }
                _ => Ok(()),
            });
            read.map_err(|problem| problem.at(index))?;
        }
        Ok(())
    }

    fn end(&self, prompt: &Prompt, last: Option<&Value>) -> Checked<()> {
        self.nothing_unanswered()?;
        if self.last_role != "assistant" {
            return Ok(());
        }
        if !is_older(&prompt.model) {
            return Err(Problem::rule(
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            ));
        }
        let content = last.and_then(|message| message.get("content"));
        let text = content.and_then(|content| match content {
            Value::Array(blocks) => blocks.last()?.get("text")?.as_str(),
            _ => content.as_str(),
        });
        if text.is_some_and(|text| text.trim_end() != text) {
            return Err(Problem::rule("final assistant content cannot end with trailing whitespace"));
        }
        Ok(())
    }
}

/// While the model uses tools, its turn begins with what it thought, or has no thoughts if it may not think.
/// Where the model decides whether to think, it may have had none.
fn thoughts(messages: &[Value], thinks: Thinking) -> Checked<()> {
    let is_assistant = |message: &Value| message.get("role").is_some_and(|role| role == "assistant");
    let Some(last) = messages.iter().rposition(is_assistant) else { return Ok(()) };
    // Messages of one role in a row are one turn.
    let before = messages.iter().take(last).rposition(|message| !is_assistant(message));
    let first = before.map_or(0, |before| before + 1);
    let block = messages.get(first).and_then(|message| message.get("content")?.get(0)?.get("type")?.as_str());
    let found = block.unwrap_or("text");
    let is_thought = matches!(found, "thinking" | "redacted_thinking");
    let text = match thinks {
        Thinking::Budgeted if !is_thought => format!(
            "Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a final \
             `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and \
             `tool_result` blocks)."
        ),
        Thinking::Off if is_thought => format!(
            "Expected `text`, but found `{found}`. When `thinking` is disabled, an `assistant` message in the final \
             position cannot contain `thinking`."
        ),
        _ => return Ok(()),
    };
    Err(Problem::rule(text).under("type").at(0).under("content").at(first))
}

fn not_empty(text: &str) -> Checked<()> {
    if text.is_empty() { Err(Problem::rule("messages must have non-empty content")) } else { Ok(()) }
}
