//! Azure OpenAI, a dated version: the model is in the path, the key in a header of its own.

use serde_json::json;

use super::INVALID;
use super::dialect::{Dialect, ErrorRow, KeyHeader, OPENAI};

pub const AZURE: Dialect = Dialect {
    name: "azure",
    provider_settings: || json!({"api_version": "2024-10-21"}),
    key: "fake-azure",
    key_header: KeyHeader::Named("api-key"),
    own_headers: &[],
    base_path: "",
    chat_path: "/openai/deployments/{}/chat/completions",
    query: &["api-version"],
    errors: ERRORS,
    headers: &[
        ("apim-request-id", "fake"),
        ("x-ms-region", "Sweden Central"),
        ("x-ratelimit-remaining-requests", "999"),
        ("x-ratelimit-remaining-tokens", "99999"),
    ],
    ..OPENAI
};

const ERRORS: &[ErrorRow] = &[
    (
        "content_filter",
        400,
        INVALID,
        Some("content_filter"),
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    ),
    (
        "invalid_api_key",
        401,
        INVALID,
        Some("401"),
        "Access denied due to invalid subscription key or wrong API endpoint.",
    ),
    (
        "model_not_found",
        404,
        INVALID,
        Some("DeploymentNotFound"),
        "The API deployment for this resource does not exist.",
    ),
    (
        "rate_limit_exceeded",
        429,
        INVALID,
        Some("429"),
        "Requests have exceeded call rate limit of your current OpenAI S0 pricing tier.",
    ),
];
