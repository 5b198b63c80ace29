//! Moonshot: thinks unless told not to, wants its thoughts back, and has the usage in the choice.

use serde_json::Value;

use super::INVALID;
use super::answer;
use super::dialect::{Dialect, ErrorRow, OPENAI, Refuses, Thoughts, Unknown, UsageIn};
use crate::thinking::Thinks;

pub const MOONSHOT: Dialect = Dialect {
    name: "moonshot",
    model: "kimi-fake",
    key: "sk-fake-moonshot",
    own_headers: &[],
    fields: FIELDS,
    unknown_fields: Unknown::Ignored,
    roles: &["system", "user", "assistant", "tool"],
    named_roles: &["system", "user", "assistant"],
    assistant_fields: &["role", "content", "name", "tool_calls", "partial", "reasoning_content"],
    user_parts: &["text", "image_url"],
    assistant_parts: &["text"],
    temperature: (0.0, 1.0),
    most_choices: 1,
    tool_types: &["function", "builtin_function"],
    tool_choices: &["none", "auto"],
    tool_choice_types: &["function"],
    efforts: &["low", "high", "max"],
    thinks: |fields| match fields.get("thinking").and_then(|thinking| thinking.get("type")).and_then(Value::as_str) {
        Some("disabled") => Thinks::Never,
        _ => Thinks::Always,
    },
    thoughts: Thoughts::Field("reasoning_content"),
    wants_thoughts_back: true,
    forced_while_thinking: false,
    refuses: Refuses::ByFinish("content_filter"),
    own_fields: false,
    usage: answer::usage,
    usage_in: &[UsageIn::Choice, UsageIn::OwnChunk],
    errors: ERRORS,
    headers: &[("server", "nginx")],
    ..OPENAI
};

const FIELDS: &[&str] = &[
    "frequency_penalty",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_p",
];

const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        INVALID,
        None,
        "Invalid request: Your request exceeded model token limit: 262144 tokens",
    ),
    ("content_filter", 400, "content_filter", None, "The request was rejected because it was considered high risk"),
    ("rate_limit_exceeded", 429, "rate_limit_reached_error", None, "Your account reached max request limit"),
    ("insufficient_quota", 429, "exceeded_current_quota_error", None, "Your account is suspended, check your plan"),
    ("slow_down", 429, "engine_overloaded_error", None, "The engine is currently overloaded, please try again later"),
];
