//! How vendors of OpenAI's wire format differ from OpenAI: data, so that one more vendor is one more row.
//!
//! [`OPENAI`] is the base of all rows. What a difference does is written in `request`, `messages` and
//! `answer`, which ask the dialect and never who it is.

use serde_json::{Map, Value, json};

use super::request::wording;
use super::{INVALID, answer};
use crate::prompt::Usage;
use crate::strict::{Problem, Refusal};
use crate::thinking::Thinks;

pub struct Dialect {
    pub name: &'static str,
    /// In gateway.yaml, if not the name.
    pub kind: Option<&'static str>,
    /// A model that it has. It has all others that begin with the same word, too.
    pub model: &'static str,
    /// What else gateway.yaml says of the provider, and of the model.
    pub provider_settings: fn() -> Value,
    pub model_settings: fn() -> Value,

    pub key: &'static str,
    pub key_header: KeyHeader,
    /// Headers for this vendor that no other should get; `openai-*` stands for all that start so.
    pub own_headers: &'static [&'static str],
    pub base_path: &'static str,
    /// Behind the base. `{}` is the model, which the body then need not have.
    pub chat_path: &'static str,
    /// Behind the base for streams, where the path is what asks for one.
    pub stream_path: Option<&'static str>,
    /// The field with the model.
    pub model_field: &'static str,
    /// Parameters of the query that have to be there.
    pub query: &'static [&'static str],

    /// The fields of a request. Those that OpenAI has too are checked, the others taken as they are.
    pub fields: &'static [&'static str],
    pub unknown_fields: Unknown,
    pub roles: &'static [&'static str],
    /// Roles whose messages may have a `name`.
    pub named_roles: &'static [&'static str],
    pub assistant_fields: &'static [&'static str],
    pub user_parts: &'static [&'static str],
    pub assistant_parts: &'static [&'static str],
    /// Media may be strings where OpenAI has objects.
    pub bare_media: bool,
    /// The data of an image comes without `data:` in front, and OpenAI's form is refused.
    pub bare_images: bool,
    pub temperature: (f64, f64),
    pub most_stops: usize,
    pub most_choices: i64,
    pub tool_types: &'static [&'static str],
    pub tool_choices: &'static [&'static str],
    pub tool_choice_types: &'static [&'static str],
    /// The field for the choices that are words, if not `tool_choice`.
    pub tool_choice_words: &'static str,
    /// Several calls at once, unless the request says no.
    pub parallel_calls: bool,
    /// A function has to have `parameters`.
    pub needs_parameters: bool,
    pub call_ids: CallIds,
    /// Calls in a history may have an `index`, as the vendor's SDK writes them.
    pub indexed_calls: bool,
    /// A user may speak right after the result of a tool.
    pub user_after_tool: bool,
    pub response_formats: &'static [&'static str],
    pub efforts: &'static [&'static str],
    pub tiers: &'static [&'static str],
    pub seeds: (i64, i64),

    /// Whether the model thinks, by the fields of the request.
    pub thinks: fn(&Map<String, Value>) -> Thinks,
    pub thoughts: Thoughts,
    /// While it thinks, its thoughts have to come back with its calls of tools.
    pub wants_thoughts_back: bool,
    /// A tool can be forced on it while it thinks.
    pub forced_while_thinking: bool,

    pub refuses: Refuses,
    /// Messages, choices and answers have the fields beside the content that only OpenAI has.
    pub own_fields: bool,
    /// A call travels in one delta.
    pub whole_calls: bool,
    /// Every delta says who speaks, not only the first.
    pub role_every_chunk: bool,
    pub usage: fn(&Usage, u64) -> Value,
    pub usage_in: &'static [UsageIn],
    /// Events have a number, and the name `message`; nothing marks the end of a stream.
    pub numbered_events: bool,
    /// A comment before the first event of a stream, and blank lines before the JSON of an answer.
    pub keep_alive: Option<&'static str>,

    /// Its own errors; the others have OpenAI's words.
    pub errors: &'static [ErrorRow],
    pub wording: fn(Problem) -> Refusal,
    /// An error as it is sent, with the id of the request.
    pub error: fn(&Refusal, &str) -> Value,
    pub headers: &'static [(&'static str, &'static str)],
    pub request_id_header: &'static str,
}

/// Name, status, `type`, `code`, message.
pub type ErrorRow = (&'static str, u16, &'static str, Option<&'static str>, &'static str);

#[allow(dead_code, reason = "the formats that need the rest are being added")]
#[derive(Clone, Copy, PartialEq)]
pub enum KeyHeader {
    Bearer,
    /// The key alone.
    Named(&'static str),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Unknown {
    Refused,
    Ignored,
}

#[derive(Clone, Copy, PartialEq)]
pub enum CallIds {
    Any,
    /// `[a-zA-Z0-9]{9}`
    NineAlphanumerics,
}

/// Where the client sees what the model thought.
#[derive(Clone, Copy, PartialEq)]
pub enum Thoughts {
    /// Only counted.
    Hidden,
    /// In this field of the message.
    Field(&'static str),
    /// In chunks of the content, which is an array then.
    Chunks,
    /// In `reasoning`, and in `reasoning_details` with the signature.
    Details,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Refuses {
    /// In the field `refusal`.
    InField,
    /// By this finish reason.
    ByFinish(&'static str),
    /// In its content, like any other text.
    InContent,
}

#[allow(dead_code, reason = "the formats that need the rest are being added")]
#[derive(Clone, Copy, PartialEq)]
pub enum UsageIn {
    /// A chunk of its own, where `stream_options` ask for it.
    OwnChunk,
    /// The chunk with the finish reason.
    Finish,
    /// The same, in `x_groq`.
    XGroq,
    /// The same, in the choice.
    Choice,
}

impl Dialect {
    pub fn family(&self) -> &'static str {
        self.model.split_inclusive('-').next().unwrap_or_default()
    }
}

pub const OPENAI: Dialect = Dialect {
    name: "openai",
    kind: None,
    model: "gpt-fake",
    provider_settings: || json!({}),
    model_settings: || json!({}),
    key: "sk-fake-openai",
    key_header: KeyHeader::Bearer,
    own_headers: &["openai-*"],
    base_path: "/v1",
    chat_path: "/chat/completions",
    stream_path: None,
    model_field: "model",
    query: &[],
    fields: FIELDS,
    unknown_fields: Unknown::Refused,
    roles: &["developer", "system", "user", "assistant", "tool", "function"],
    named_roles: &["developer", "system", "user", "assistant", "function"],
    assistant_fields: &["role", "content", "refusal", "tool_calls", "audio", "name", "function_call", "annotations"],
    user_parts: &["text", "image_url", "input_audio", "file"],
    assistant_parts: &["text", "refusal"],
    bare_media: false,
    bare_images: false,
    temperature: (0.0, 2.0),
    most_stops: 4,
    // OpenAI answers more, but what a test wants with more choices is a mistake.
    most_choices: 8,
    tool_types: &["function", "custom"],
    tool_choices: &["none", "auto", "required"],
    tool_choice_types: &["function", "custom", "allowed_tools"],
    tool_choice_words: "tool_choice",
    parallel_calls: true,
    needs_parameters: false,
    call_ids: CallIds::Any,
    indexed_calls: false,
    user_after_tool: true,
    response_formats: &["text", "json_object", "json_schema"],
    efforts: &["none", "minimal", "low", "medium", "high", "xhigh", "max"],
    tiers: &["auto", "default", "flex", "scale", "priority", "fast"],
    seeds: (i64::MIN, i64::MAX),
    thinks: |fields| match fields.get("reasoning_effort").and_then(Value::as_str) {
        Some("none") => Thinks::Never,
        _ => Thinks::IfAsked,
    },
    thoughts: Thoughts::Hidden,
    wants_thoughts_back: false,
    forced_while_thinking: true,
    refuses: Refuses::InField,
    own_fields: true,
    whole_calls: false,
    role_every_chunk: false,
    usage: answer::usage,
    usage_in: &[UsageIn::OwnChunk],
    numbered_events: false,
    keep_alive: None,
    errors: ERRORS,
    wording,
    error: |Refusal { kind, code, param, message, .. }, _| json!({"error": {"message": message, "type": kind, "param": param, "code": code}}),
    headers: HEADERS,
    request_id_header: "x-request-id",
};

const FIELDS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Like the vendor's, down to one that names the account and one that sets a cookie.
const HEADERS: &[(&str, &str)] = &[
    ("openai-organization", "org-fake-secret"),
    ("openai-project", "proj_fake_secret"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999900"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "1m0.5s"),
    ("set-cookie", "__cf_bm=fake-cookie; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None"),
    ("server", "cloudflare"),
    ("cf-ray", "8f00fake0000-AMS"),
    ("alt-svc", "h3=\":443\"; ma=86400"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
];

/// The first of a status is what the status alone means; a 400 alone means nothing.
pub const ERRORS: &[ErrorRow] = &[
    (
        "context_length_exceeded",
        400,
        INVALID,
        Some("context_length_exceeded"),
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. \
         Please reduce the length of the messages.",
    ),
    (
        "content_filter",
        400,
        INVALID,
        Some("content_filter"),
        "The response was filtered due to the prompt triggering our content management policy.",
    ),
    (
        "content_policy_violation",
        400,
        INVALID,
        Some("content_policy_violation"),
        "Your request was rejected as a result of our safety system.",
    ),
    ("invalid_api_key", 401, INVALID, Some("invalid_api_key"), "Incorrect API key provided: sk-fake-********."),
    (
        "unsupported_country_region_territory",
        403,
        "request_forbidden",
        Some("unsupported_country_region_territory"),
        "Country, region, or territory not supported",
    ),
    (
        "model_not_found",
        404,
        INVALID,
        Some("model_not_found"),
        "The model does not exist or you do not have access to it.",
    ),
    (
        "rate_limit_exceeded",
        429,
        "requests",
        Some("rate_limit_exceeded"),
        "Rate limit reached for requests in organization org-fake-secret on requests per min (RPM): Limit 500, \
         Used 500, Requested 1. Please try again in 120ms.",
    ),
    (
        "insufficient_quota",
        429,
        "insufficient_quota",
        Some("insufficient_quota"),
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    ("tokens", 429, "tokens", Some("rate_limit_exceeded"), "Rate limit reached on tokens per min (TPM)."),
    (
        "server_error",
        500,
        "server_error",
        Some("server_error"),
        "The server had an error while processing your request. Sorry about that!",
    ),
    (
        "slow_down",
        503,
        "server_error",
        Some("slow_down"),
        "The engine is currently overloaded, please try again later.",
    ),
];
