//! watsonx.ai: the path asks for a stream, words of `tool_choice` have a field of their own, errors are a list.

use serde_json::{Value, json};

use super::answer;
use super::dialect::{Dialect, ErrorRow, OPENAI, Refuses, Thoughts, UsageIn};
use crate::strict::{Problem, Refusal, Wrong};
use crate::thinking::Thinks;

pub const WATSONX: Dialect = Dialect {
    name: "watsonx",
    model: "granite-fake",
    provider_settings: || json!({"region": "us-south", "project": "fake-project"}),
    key: "fake-iam-token",
    own_headers: &[],
    base_path: "",
    chat_path: "/ml/v1/text/chat",
    stream_path: Some("/ml/v1/text/chat_stream"),
    model_field: "model_id",
    query: &["version"],
    fields: FIELDS,
    roles: &["system", "user", "assistant", "tool"],
    named_roles: &["system", "user", "assistant"],
    assistant_fields: &["role", "content", "name", "refusal", "tool_calls"],
    user_parts: &["text", "image_url"],
    assistant_parts: &["text"],
    most_choices: 1,
    tool_types: &["function"],
    tool_choice_types: &["function"],
    tool_choice_words: "tool_choice_option",
    efforts: &["low", "medium", "high"],
    thinks: |fields| match fields.contains_key("reasoning_effort") {
        true => Thinks::IfAsked,
        false => Thinks::Never,
    },
    thoughts: Thoughts::Field("reasoning_content"),
    refuses: Refuses::InContent,
    own_fields: false,
    usage: answer::usage,
    usage_in: &[UsageIn::Finish],
    numbered_events: true,
    errors: ERRORS,
    wording,
    error,
    headers: &[("x-global-transaction-id", "fake"), ("server-timing", "intid;desc=fake")],
    request_id_header: "x-request-id",
    ..OPENAI
};

/// ibm-watsonx-ai 1.8: `TextChatParameters`, and what the request has beside them.
const FIELDS: &[&str] = &[
    "chat_template_kwargs",
    "frequency_penalty",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "include_reasoning",
    "length_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model_id",
    "n",
    "presence_penalty",
    "project_id",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "seed",
    "space_id",
    "stop",
    "temperature",
    "time_limit",
    "tool_choice",
    "tool_choice_option",
    "tools",
    "top_logprobs",
    "top_p",
];

const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        "",
        Some("invalid_input_argument"),
        "Invalid input argument for Model 'granite-fake': the number of input tokens 140000 cannot exceed the total \
         tokens limit 131072 for this model",
    ),
    ("invalid_api_key", 401, "", Some("authentication_token_not_valid"), "Failed to authenticate the request."),
    ("model_not_found", 404, "", Some("model_not_supported"), "Model 'granite-fake' is not supported"),
    ("insufficient_quota", 403, "", Some("token_quota_reached"), "You have reached your token quota."),
    ("rate_limit_exceeded", 429, "", Some("rate_limit_reached_requests"), "rate limit reached"),
];

fn wording(problem: Problem) -> Refusal {
    let place = problem.bracketed();
    let text = match problem.wrong {
        Wrong::Refused(refusal) => return *refusal,
        Wrong::Unknown => format!("Json document validation error: {place} is not a known field"),
        Wrong::Missing => format!("Json document validation error: {place} should not be empty"),
        Wrong::Type { expected, .. } => format!("Json document validation error: {place} should be {expected}"),
        Wrong::Choice { got, .. } => format!("Json document validation error: {place} does not take '{got}'"),
        Wrong::Rule(text) => format!("Json document validation error: {place}: {text}"),
    };
    Refusal::new(400, "", text).code("invalid_request_entity")
}

fn error(refusal: &Refusal, request_id: &str) -> Value {
    let Refusal { status, code, message, .. } = refusal;
    let more_info = "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat";
    json!({"errors": [{"code": code, "message": message, "more_info": more_info}], "trace": request_id, "status_code": status})
}
