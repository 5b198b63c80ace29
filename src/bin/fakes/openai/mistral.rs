//! Mistral: refuses every field that it does not know, and ids of calls that are not nine letters or digits.

use serde_json::{Value, json};

use super::INVALID;
use super::dialect::{CallIds, Dialect, ErrorRow, OPENAI, Refuses, Thoughts, UsageIn};
use crate::prompt::{CACHE_READ, Usage};
use crate::strict::{Problem, Refusal, Wrong};
use crate::thinking::Thinks;

pub const MISTRAL: Dialect = Dialect {
    name: "mistral",
    model: "mistral-fake",
    key: "fake-mistral",
    own_headers: &[],
    fields: FIELDS,
    roles: &["system", "user", "assistant", "tool"],
    named_roles: &["tool"],
    assistant_fields: &["role", "content", "tool_calls", "prefix"],
    user_parts: &["text", "image_url", "document_url", "input_audio", "file", "reference"],
    assistant_parts: &["text", "thinking", "reference"],
    bare_media: true,
    temperature: (0.0, 1.5),
    seeds: (0, i64::MAX),
    tool_types: &["function"],
    tool_choices: &["none", "auto", "any", "required"],
    tool_choice_types: &["function"],
    needs_parameters: true,
    call_ids: CallIds::NineAlphanumerics,
    indexed_calls: true,
    user_after_tool: false,
    thinks: |fields| {
        let effort = fields.get("reasoning_effort").and_then(Value::as_str);
        let mode = fields.get("prompt_mode").and_then(Value::as_str);
        if mode == Some("reasoning") || effort.is_some_and(|effort| effort != "none") {
            Thinks::IfAsked
        } else {
            Thinks::Never
        }
    },
    thoughts: Thoughts::Chunks,
    refuses: Refuses::InContent,
    own_fields: false,
    whole_calls: true,
    usage,
    usage_in: &[UsageIn::Finish],
    errors: ERRORS,
    wording,
    error,
    headers: &[
        ("x-ratelimit-limit-req-minute", "360"),
        ("x-ratelimit-remaining-req-minute", "359"),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499900"),
        ("x-ratelimit-tokens-query-cost", "100"),
        ("x-kong-request-id", "fake"),
        ("set-cookie", "__cf_bm=fake-cookie; path=/; domain=.mistral.ai; HttpOnly; Secure; SameSite=None"),
        ("server", "cloudflare"),
    ],
    request_id_header: "mistral-correlation-id",
    ..OPENAI
};

const FIELDS: &[&str] = &[
    "frequency_penalty",
    "guardrails",
    "logprobs",
    "max_tokens",
    "messages",
    "metadata",
    "min_tokens",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_logprobs",
    "prompt_mode",
    "random_seed",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safe_prompt",
    "service_tier",
    "stop",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "top_prompt_logprobs",
];

/// What a body that does not validate is called, in which all errors have their own shape.
const UNPROCESSABLE: u16 = 422;

const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        "invalid_request_invalid_args",
        Some("3051"),
        "Prompt contains 130001 tokens and 0 draft tokens, too large for model with 128000 maximum context length",
    ),
    ("content_filter", 400, "invalid_request_prompt", Some("1000"), "The prompt was refused by moderation."),
    ("invalid_api_key", 401, "unauthorized", None, "Unauthorized"),
    ("model_not_found", 404, "invalid_model", Some("1500"), "Invalid model: mistral-fake"),
    ("rate_limit_exceeded", 429, "rate_limited", Some("1300"), "Requests rate limit exceeded"),
    ("insufficient_quota", 429, "service_tier_capacity_exceeded", Some("3505"), "You have no quota left: billing."),
    ("server_error", 500, "internal_server_error", Some("1000"), "Internal server error"),
    ("slow_down", 503, "internal_server_error", Some("3700"), "Service unavailable."),
];

/// What the body does not validate by is a 422 with its place; what a rule forbids is a 400.
fn wording(problem: Problem) -> Refusal {
    let place = problem.dotted();
    let (kind, text) = match problem.wrong {
        Wrong::Refused(refusal) => return *refusal,
        Wrong::Rule(text) => {
            let text = if place.is_empty() { text } else { format!("{place}: {text}") };
            return Refusal::new(400, INVALID, text).code("3051");
        }
        Wrong::Unknown => ("extra_forbidden", "Extra inputs are not permitted".to_owned()),
        Wrong::Missing => ("missing", "Field required".to_owned()),
        Wrong::Type { expected, .. } => ("type_error", format!("Input should be {expected}")),
        Wrong::Choice { supported, .. } => {
            let supported = supported.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
            ("enum", format!("Input should be {supported}"))
        }
    };
    Refusal::new(UNPROCESSABLE, kind, text).param(place)
}

fn error(refusal: &Refusal, request_id: &str) -> Value {
    let Refusal { status, kind, code, param, message, .. } = refusal;
    match (*status, param) {
        (401, _) => json!({"message": message, "request_id": request_id}),
        (UNPROCESSABLE, Some(place)) => {
            let steps =
                place.split('.').map(|step| step.parse::<u64>().map_or_else(|_| json!(step), |index| json!(index)));
            let place: Vec<_> = std::iter::once(json!("body")).chain(steps).collect();
            json!({"detail": [{"type": kind, "loc": place, "msg": message, "input": null}]})
        }
        _ => json!({
            "object": "error",
            "message": message,
            "type": kind,
            "param": null,
            "code": code,
            "raw_status_code": status,
        }),
    }
}

/// Without OpenAI's details.
fn usage(usage: &Usage, output: u64) -> Value {
    let cached = if usage.cached { CACHE_READ } else { 0 };
    let input = usage.input.max(cached);
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "num_cached_tokens": cached,
    })
}
