//! What the words of an error mean, whatever its status says: the same status stands for a full context
//! and for a wrong parameter, for a minute's limit and for an empty account.
//!
//! Codes are compared as a whole; words are looked for in messages, and only where a status leaves the
//! question open, because a message may quote the request.

use super::failure::Said;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The request is longer than the model's window.
    ContextLength,
    ContentFilter,
    /// Waiting does not help: no credit, no subscription, a budget that is spent.
    Quota,
    RateLimit,
    Overloaded,
    UnknownModel,
    /// Our credential is wrong.
    Credential,
}

/// What an error means, if its words say so. `status`: below 400 for an error within an answer.
pub fn of(status: u16, said: &Said) -> Option<Meaning> {
    let named = [&said.code, &said.kind].into_iter().flatten().find_map(|name| named(name));
    match (status, named) {
        // Whatever it says of our credential; and what is too large will not fit later either (Groq).
        (401, _) => None,
        (413, _) => in_words(status, said),
        // A limit may be one that waiting does not lift.
        (_, Some(Meaning::RateLimit) | None) => in_words(status, said).or(named),
        (_, Some(_)) => named,
    }
}

fn named(name: &str) -> Option<Meaning> {
    let name = name.to_ascii_lowercase();
    // AWS: `com.amazon.coral.service#ThrottlingException`.
    let name = name.rsplit('#').next()?;
    CODES.iter().find(|(code, _)| *code == name).map(|(_, meaning)| *meaning)
}

fn in_words(status: u16, said: &Said) -> Option<Meaning> {
    let message = said.message.as_deref()?.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().all(|words| message.contains(words));
    WORDS.iter().find(|(meaning, words)| is_open(status, *meaning) && says(words)).map(|(meaning, _)| *meaning)
}

/// Whether an answer of this status may mean this, so that its words decide.
fn is_open(status: u16, meaning: Meaning) -> bool {
    match status {
        0..400 => true,
        400 | 422 => !matches!(meaning, Meaning::RateLimit),
        403 => matches!(meaning, Meaning::Quota | Meaning::ContentFilter | Meaning::UnknownModel),
        404 => matches!(meaning, Meaning::UnknownModel),
        412 => matches!(meaning, Meaning::Quota),
        413 => matches!(meaning, Meaning::ContextLength),
        429 => matches!(meaning, Meaning::Quota | Meaning::Overloaded),
        500 => matches!(meaning, Meaning::ContextLength | Meaning::Overloaded),
        _ => false,
    }
}

/// Codes and types, in lower case.
const CODES: &[(&str, Meaning)] = &[
    ("context_length_exceeded", Meaning::ContextLength),
    ("exceed_context_size_error", Meaning::ContextLength),
    ("1261", Meaning::ContextLength),
    ("content_filter", Meaning::ContentFilter),
    ("content_policy_violation", Meaning::ContentFilter),
    ("responsibleaipolicyviolation", Meaning::ContentFilter),
    ("data_inspection_failed", Meaning::ContentFilter),
    ("datainspectionfailed", Meaning::ContentFilter),
    ("1301", Meaning::ContentFilter),
    ("insufficient_quota", Meaning::Quota),
    ("billing_hard_limit_reached", Meaning::Quota),
    ("billing_not_active", Meaning::Quota),
    ("exceeded_current_quota_error", Meaning::Quota),
    ("payment_required", Meaning::Quota),
    ("arrearage", Meaning::Quota),
    ("1113", Meaning::Quota),
    ("slow_down", Meaning::Overloaded),
    ("overloaded", Meaning::Overloaded),
    ("overloaded_error", Meaning::Overloaded),
    ("engine_overloaded_error", Meaning::Overloaded),
    ("provider_overloaded", Meaning::Overloaded),
    ("unavailable", Meaning::Overloaded),
    ("3505", Meaning::Overloaded),
    ("rate_limit_exceeded", Meaning::RateLimit),
    ("rate_limit_error", Meaning::RateLimit),
    ("rate_limit_reached_error", Meaning::RateLimit),
    ("resource_exhausted", Meaning::RateLimit),
    ("throttlingexception", Meaning::RateLimit),
    ("1302", Meaning::RateLimit),
    ("model_not_found", Meaning::UnknownModel),
    ("deploymentnotfound", Meaning::UnknownModel),
    ("invalid_model", Meaning::UnknownModel),
    ("1211", Meaning::UnknownModel),
    ("invalid_api_key", Meaning::Credential),
    ("api_key_invalid", Meaning::Credential),
    ("invalidapikey", Meaning::Credential),
    ("account_deactivated", Meaning::Credential),
    ("unauthenticated", Meaning::Credential),
];

/// Words that have to be in a message together, in lower case. The first row that fits holds.
const WORDS: &[(Meaning, &[&str])] = &[
    (Meaning::Quota, &["credit balance"]),
    (Meaning::Quota, &["insufficient balance"]),
    (Meaning::Quota, &["insufficient credit"]),
    (Meaning::Quota, &["credits or reached"]),
    (Meaning::Quota, &["requires more credits"]),
    (Meaning::Quota, &["exceeded your current quota"]),
    (Meaning::Quota, &["check your plan and billing"]),
    (Meaning::Quota, &["usage limit"]),
    (Meaning::Quota, &["spend limit"]),
    (Meaning::Quota, &["spending limit"]),
    (Meaning::Quota, &["account", "good standing"]),
    (Meaning::Quota, &["overdue account"]),
    (Meaning::Quota, &["account", "is suspended"]),
    (Meaning::Quota, &["arrears"]),
    (Meaning::ContextLength, &["maximum context length"]),
    (Meaning::ContextLength, &["maximum model length"]),
    (Meaning::ContextLength, &["maximum prompt length"]),
    (Meaning::ContextLength, &["model's context length"]),
    (Meaning::ContextLength, &["exceeds the context window"]),
    (Meaning::ContextLength, &["exceeds the available context size"]),
    (Meaning::ContextLength, &["exceeds the context length"]),
    (Meaning::ContextLength, &["exceed context limit"]),
    (Meaning::ContextLength, &["exceeds model context window"]),
    (Meaning::ContextLength, &["exceeds the maximum number of tokens"]),
    (Meaning::ContextLength, &["exceeded model token limit"]),
    (Meaning::ContextLength, &["prompt is too long"]),
    (Meaning::ContextLength, &["input is too long"]),
    (Meaning::ContextLength, &["too large for model"]),
    (Meaning::ContextLength, &["reduce the length of"]),
    (Meaning::ContextLength, &["`inputs` tokens + `max_new_tokens` must be"]),
    (Meaning::ContextLength, &["range of input length should be"]),
    (Meaning::ContentFilter, &["content filtering policy"]),
    (Meaning::ContentFilter, &["content management policy"]),
    (Meaning::ContentFilter, &["inappropriate content"]),
    (Meaning::ContentFilter, &["content exists risk"]),
    (Meaning::ContentFilter, &["requires moderation"]),
    (Meaning::UnknownModel, &["model not exist"]),
    (Meaning::UnknownModel, &["the model", "does not exist"]),
    (Meaning::UnknownModel, &["model", "not found, try pulling it"]),
    (Meaning::UnknownModel, &["not a valid model"]),
    (Meaning::UnknownModel, &["invalid model"]),
    (Meaning::UnknownModel, &["unknown model"]),
    (Meaning::Credential, &["api key not valid"]),
    (Meaning::Credential, &["api key expired"]),
    (Meaning::Credential, &["incorrect api key"]),
    (Meaning::Credential, &["invalid api key"]),
    (Meaning::Overloaded, &["overloaded"]),
    (Meaning::Overloaded, &["capacity exceeded"]),
    (Meaning::Overloaded, &["at capacity"]),
    (Meaning::RateLimit, &["rate limit"]),
];
