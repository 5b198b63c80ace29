//! OpenRouter: takes all of OpenAI's fields and its own, and wants signed reasoning back as it gave it.

use serde_json::{Value, json};

use super::INVALID;
use super::answer;
use super::dialect::{Dialect, ErrorRow, OPENAI, Refuses, Thoughts, Unknown, UsageIn};
use crate::strict::Refusal;
use crate::thinking::Thinks;

pub const OPENROUTER: Dialect = Dialect {
    name: "openrouter",
    model: "router-fake",
    key: "sk-or-fake",
    own_headers: &[],
    base_path: "/api/v1",
    unknown_fields: Unknown::Ignored,
    assistant_fields: &[
        "role",
        "content",
        "refusal",
        "tool_calls",
        "audio",
        "name",
        "images",
        "model",
        "reasoning",
        "reasoning_details",
    ],
    tool_types: &["function"],
    thinks: |fields| {
        let effort = fields.get("reasoning_effort").and_then(Value::as_str);
        if effort.is_some_and(|effort| effort != "none") { Thinks::IfAsked } else { Thinks::Never }
    },
    thoughts: Thoughts::Details,
    wants_thoughts_back: true,
    refuses: Refuses::InField,
    own_fields: false,
    role_every_chunk: true,
    usage: answer::usage,
    usage_in: &[UsageIn::OwnChunk],
    keep_alive: Some("OPENROUTER PROCESSING"),
    errors: ERRORS,
    error: |Refusal { status, message, kind, .. }, _| json!({"error": {"code": status, "message": message, "metadata": {"error_type": kind}}, "user_id": "user_fake"}),
    headers: &[("server", "cloudflare"), ("x-generation-id", "gen-fake")],
    ..OPENAI
};

const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        "context_length_exceeded",
        None,
        "This endpoint's maximum context length is 200000 tokens. However, you requested about 210000 tokens.",
    ),
    (
        "content_filter",
        403,
        INVALID,
        None,
        "anthropic/claude requires moderation on Anthropic. Your input was flagged for \"violence\".",
    ),
    ("invalid_api_key", 401, "authentication", None, "No auth credentials found"),
    ("insufficient_quota", 402, "payment_required", None, "Insufficient credits. Add more using https://openrouter.ai"),
    ("rate_limit_exceeded", 429, "rate_limit_exceeded", None, "Rate limit exceeded: limit_rpm/anthropic"),
];
