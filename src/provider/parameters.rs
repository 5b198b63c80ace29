//! Parameters that formats other than OpenAI's cannot honour: which are refused, and which are left out
//! and named.

use std::borrow::Cow;

use crate::chat::ChatRequest;
use crate::error::Rejection;
use crate::json;

/// An instruction in place of `json_object`, for APIs that do not have it.
pub const ANSWER_IN_JSON: &str =
    "Answer with a single valid JSON object and nothing else: no other text and no code fences around it.";

/// Refuses a request for several choices.
pub fn one_choice(chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    match chat.count("n")? {
        None | Some(1) => Ok(()),
        Some(0) => Err(Rejection::invalid("n", "'n' must be at least 1.")),
        Some(_) => Err(Rejection::unsupported("n", "This model gives one answer only: 'n' must be 1.")),
    }
}

/// Refuses a request for log probabilities.
pub fn no_logprobs(chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    if chat.bool("logprobs")? == Some(true) {
        return Err(unsupported("logprobs"));
    }
    if chat.count("top_logprobs")?.is_some_and(|count| count > 0) {
        return Err(unsupported("top_logprobs"));
    }
    Ok(())
}

/// Refuses a request for an answer in anything but text.
pub fn text_only(chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    let modalities = chat.field("modalities").map(|list| json::elements(list).unwrap_or_else(|| vec![list]));
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality.get() != "\"text\"")) {
        return Err(Rejection::unsupported("modalities", "This model answers with text only."));
    }
    Ok(())
}

/// Refuses any of these fields.
pub fn none_of(chat: &ChatRequest<'_>, names: &[&str]) -> Result<(), Rejection> {
    match names.iter().find(|name| chat.field(name).is_some()) {
        Some(name) => Err(unsupported(name)),
        None => Ok(()),
    }
}

pub fn unsupported(name: &str) -> Rejection {
    Rejection::unsupported(name, format!("'{name}' is not supported by this model."))
}

/// The client's fields that are not among those that a translator reads, by name. The names end up in a
/// header: only plain ones count, and not more of them than anybody would read.
pub fn unread(chat: &ChatRequest<'_>, is_read: impl Fn(&str) -> bool) -> Vec<Cow<'static, str>> {
    let mut names: Vec<Cow<'static, str>> = Vec::new();
    for (name, _) in chat.fields() {
        if names.len() < MOST_NAMED && !is_read(name) && is_plain(name) && !names.iter().any(|known| known == name) {
            names.push(Cow::Owned(name.to_owned()));
        }
    }
    names
}

/// More are not named.
pub const MOST_NAMED: usize = 16;

/// Whether a name of the client's is fit for a header.
pub fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}
