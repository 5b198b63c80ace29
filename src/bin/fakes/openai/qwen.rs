//! Qwen in DashScope's compatible mode: thinks where it is switched on, calls one tool at a time unless told.

use serde_json::Value;

use super::answer;
use super::dialect::{Dialect, ErrorRow, OPENAI, Refuses, Thoughts, Unknown, UsageIn};
use crate::thinking::Thinks;

pub const QWEN: Dialect = Dialect {
    name: "qwen",
    model: "qwen-fake",
    key: "sk-fake-qwen",
    own_headers: &[],
    base_path: "/compatible-mode/v1",
    fields: FIELDS,
    unknown_fields: Unknown::Ignored,
    roles: &["system", "user", "assistant", "tool"],
    named_roles: &["system", "user", "assistant"],
    assistant_fields: &["role", "content", "name", "tool_calls", "partial", "reasoning_content"],
    user_parts: &["text", "image_url", "input_audio"],
    assistant_parts: &["text"],
    temperature: (0.0, 1.99),
    most_choices: 4,
    seeds: (0, i32::MAX as i64),
    tool_types: &["function"],
    tool_choices: &["none", "auto"],
    tool_choice_types: &["function"],
    parallel_calls: false,
    thinks: |fields| match fields.get("enable_thinking") {
        Some(Value::Bool(true)) => Thinks::IfAsked,
        _ => Thinks::Never,
    },
    thoughts: Thoughts::Field("reasoning_content"),
    forced_while_thinking: false,
    refuses: Refuses::InContent,
    own_fields: false,
    usage: answer::usage,
    usage_in: &[UsageIn::OwnChunk],
    errors: ERRORS,
    headers: &[("req-cost-time", "321"), ("server", "istio-envoy")],
    ..OPENAI
};

const FIELDS: &[&str] = &[
    "audio",
    "enable_search",
    "enable_thinking",
    "logprobs",
    "max_tokens",
    "messages",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "preserve_thinking",
    "repetition_penalty",
    "response_format",
    "search_options",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "thinking_budget",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "translation_options",
    "vl_high_resolution_images",
];

const PARAMETER: &str = "invalid_parameter_error";

const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        super::INVALID,
        Some(PARAMETER),
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024] tokens",
    ),
    (
        "content_filter",
        400,
        "data_inspection_failed",
        Some("data_inspection_failed"),
        "Input data may contain inappropriate content.",
    ),
    ("invalid_api_key", 401, super::INVALID, Some("invalid_api_key"), "Incorrect API key provided."),
    ("insufficient_quota", 429, "insufficient_quota", Some("insufficient_quota"), "You exceeded your current quota."),
    ("rate_limit_exceeded", 429, "limit_requests", Some("limit_requests"), "You exceeded your current request limit."),
];
