//! Groq: refuses every field that it does not know, has its usage under `x_groq`, and sends calls whole.

use super::INVALID;
use super::answer;
use super::dialect::{Dialect, OPENAI, Refuses, Thoughts, UsageIn};
use super::request;
use crate::strict::{Problem, Refusal, Wrong};

pub const GROQ: Dialect = Dialect {
    name: "groq",
    model: "groq-fake",
    key: "gsk-fake",
    own_headers: &[],
    base_path: "/openai/v1",
    fields: FIELDS,
    assistant_fields: &["role", "content", "name", "tool_calls", "reasoning"],
    user_parts: &["text", "image_url"],
    assistant_parts: &["text"],
    most_choices: 1,
    tool_types: &["function"],
    tool_choice_types: &["function"],
    tiers: &["auto", "on_demand", "flex", "performance"],
    efforts: &["none", "default", "low", "medium", "high"],
    thoughts: Thoughts::Field("reasoning"),
    refuses: Refuses::InContent,
    own_fields: false,
    whole_calls: true,
    usage: answer::usage,
    usage_in: &[UsageIn::XGroq],
    wording,
    headers: &[
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-limit-tokens", "8000"),
        ("x-ratelimit-remaining-requests", "14399"),
        ("x-ratelimit-remaining-tokens", "7900"),
        ("x-ratelimit-reset-requests", "6s"),
        ("x-ratelimit-reset-tokens", "7.66s"),
    ],
    ..OPENAI
};

/// groq 1.7, without what "is not yet supported by any of our models".
const FIELDS: &[&str] = &[
    "citation_options",
    "compound_custom",
    "disable_tool_validation",
    "documents",
    "exclude_domains",
    "include_domains",
    "include_reasoning",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning_format",
    "response_format",
    "search_settings",
    "seed",
    "service_tier",
    "stop",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "user",
];

fn wording(problem: Problem) -> Refusal {
    let place = problem.bracketed();
    match problem.wrong {
        Wrong::Unknown => Refusal::new(400, INVALID, format!("property '{place}' is unsupported")),
        _ => request::wording(problem),
    }
}
