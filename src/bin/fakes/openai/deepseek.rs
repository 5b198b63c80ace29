//! DeepSeek: thinks unless told not to, and wants its thoughts back.

use serde_json::Value;

use super::INVALID;
use super::answer;
use super::dialect::{Dialect, ErrorRow, OPENAI, Refuses, Thoughts, Unknown, UsageIn};
use crate::prompt::{CACHE_READ, Usage};
use crate::strict::{Problem, Refusal, Wrong};
use crate::thinking::Thinks;

pub const DEEPSEEK: Dialect = Dialect {
    name: "deepseek",
    model: "deepseek-fake",
    key: "sk-fake-deepseek",
    own_headers: &[],
    base_path: "",
    fields: FIELDS,
    unknown_fields: Unknown::Ignored,
    roles: &["system", "user", "assistant", "tool"],
    named_roles: &["system", "user", "assistant"],
    assistant_fields: &["role", "content", "name", "tool_calls", "prefix", "reasoning_content"],
    user_parts: &["text"],
    assistant_parts: &["text"],
    most_stops: 16,
    most_choices: 1,
    tool_types: &["function"],
    tool_choice_types: &["function"],
    response_formats: &["text", "json_object"],
    efforts: &["minimal", "low", "medium", "high", "xhigh", "max", "ultra"],
    thinks: |fields| match fields.get("thinking").and_then(|thinking| thinking.get("type")).and_then(Value::as_str) {
        Some("disabled") => Thinks::Never,
        _ => Thinks::Always,
    },
    thoughts: Thoughts::Field("reasoning_content"),
    wants_thoughts_back: true,
    forced_while_thinking: false,
    refuses: Refuses::ByFinish("content_filter"),
    own_fields: false,
    usage,
    usage_in: &[UsageIn::Finish, UsageIn::OwnChunk],
    keep_alive: Some("keep-alive"),
    errors: ERRORS,
    wording,
    headers: &[("server", "CloudFront"), ("strict-transport-security", "max-age=31536000")],
    request_id_header: "x-ds-trace-id",
    ..OPENAI
};

const FIELDS: &[&str] = &[
    "frequency_penalty",
    "logprobs",
    "max_tokens",
    "messages",
    "model",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
];

const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        INVALID,
        Some(INVALID),
        "This model's maximum context length is 131072 tokens. However, you requested 140001 tokens (140001 in the \
         messages, 0 in the completion). Please reduce the length of the messages or completion.",
    ),
    ("content_filter", 400, INVALID, Some(INVALID), "Content Exists Risk"),
    (
        "invalid_api_key",
        401,
        "authentication_error",
        Some(INVALID),
        "Authentication Fails, Your api key: ****fake is invalid",
    ),
    ("insufficient_quota", 402, "unknown_error", Some(INVALID), "Insufficient Balance"),
    ("rate_limit_exceeded", 429, "rate_limit_error", None, "Rate limit reached for requests"),
    ("slow_down", 503, "service_unavailable_error", Some("service_unavailable"), "Service is too busy."),
];

/// What a deserializer of Rust says.
fn wording(problem: Problem) -> Refusal {
    let place = problem.bracketed();
    let text = match problem.wrong {
        Wrong::Refused(refusal) => return *refusal,
        Wrong::Unknown => format!("{place}: unknown field"),
        Wrong::Missing => format!("missing field `{place}`"),
        Wrong::Type { expected, got } => format!("{place}: invalid type: {got}, expected {expected}"),
        Wrong::Choice { got, supported } => {
            let supported = supported.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            format!("{place}: unknown variant `{got}`, expected one of {supported}")
        }
        Wrong::Rule(text) => return Refusal::new(400, INVALID, text).code(INVALID),
    };
    let message = format!("Failed to deserialize the JSON body into the target type: {text}");
    Refusal::new(400, INVALID, message).code(INVALID)
}

/// OpenAI's, and how much of the prompt the cache had.
fn usage(usage: &Usage, output: u64) -> Value {
    let mut all = answer::usage(usage, output);
    let input = all.get("prompt_tokens").and_then(Value::as_u64).unwrap_or_default();
    let hit = if usage.cached { CACHE_READ } else { 0 };
    if let Some(all) = all.as_object_mut() {
        all.insert("prompt_cache_hit_tokens".to_owned(), hit.into());
        all.insert("prompt_cache_miss_tokens".to_owned(), (input - hit).into());
    }
    all
}
