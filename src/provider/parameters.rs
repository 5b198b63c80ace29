//! Parameters that formats other than OpenAI's cannot honour: which are refused, and which are left out
//! and named.

use std::borrow::Cow;

use super::{Sampling, Target};
use crate::chat::ChatRequest;
use crate::error::Rejection;
use crate::json;

/// Parameters that a target is not given, or not as they were asked for.
pub type Dropped = Vec<Cow<'static, str>>;

/// An instruction in place of `json_object`, for APIs that do not have it.
pub const ANSWER_IN_JSON: &str =
    "Answer with a single valid JSON object and nothing else: no other text and no code fences around it.";

/// How many bytes a request will hardly be more than in another format: what stands around a text is a little
/// longer in most.
pub fn room(chat: &ChatRequest<'_>) -> usize {
    chat.body.len() + 1024 + 64 * chat.listed.len()
}

/// Refuses a request for several choices.
pub fn one_choice(chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    choices(chat, 1).map(|_| ())
}

/// How many choices are asked for: from one to as many as there are at most.
pub fn choices(chat: &ChatRequest<'_>, most: u64) -> Result<u64, Rejection> {
    match chat.count("n")? {
        None => Ok(1),
        Some(0) => Err(Rejection::invalid("n", "'n' must be at least 1.")),
        Some(n) if n <= most => Ok(n),
        Some(_) if most == 1 => Err(Rejection::unsupported("n", "This model gives one answer only: 'n' must be 1.")),
        Some(_) => Err(Rejection::unsupported("n", format!("'n' must be at most {most} with this model."))),
    }
}

/// The client's limit of tokens, up to the model's. OpenAI's newer name wins, as it does there.
pub fn max_tokens(chat: &ChatRequest<'_>, target: &Target, dropped: &mut Dropped) -> Result<Option<u64>, Rejection> {
    let older = chat.count("max_tokens")?;
    let newer = chat.count("max_completion_tokens")?;
    let name = if newer.is_some() { "max_completion_tokens" } else { "max_tokens" };
    match (newer.or(older), target.max_output) {
        (Some(0), _) => Err(Rejection::invalid(name, format!("'{name}' must be at least 1."))),
        (Some(asked), Some(most)) if asked > most => {
            dropped.push(name.into());
            Ok(Some(most))
        }
        (asked, _) => Ok(asked),
    }
}

/// Which of `temperature` and `top_p` a Claude is not given where a client says both: from 4.1 on Claude takes one of
/// them (Messages API, `top_p`). What it is anyway, 1, says nothing and need not be named; of two that say something
/// the temperature is kept. `takes`: whether a value can be sent at all.
pub fn one_of_two(
    chat: &ChatRequest<'_>,
    target: &Target,
    takes: impl Fn(Sampling, f64) -> bool,
) -> Result<Option<LeftOut>, Rejection> {
    const TAKE_BOTH: [&str; 3] = ["claude-3", "claude-2", "claude-instant"];
    if TAKE_BOTH.iter().any(|id| target.id.contains(id)) {
        return Ok(None);
    }
    let says = |sampling: Sampling, most| {
        let number = chat.number(sampling.name(), 0.0, most)?.and_then(json::float);
        let sent = number.filter(|number| target.sampling.contains(&sampling) && takes(sampling, *number));
        Ok::<_, Rejection>(sent.map(|number| number != 1.0))
    };
    Ok(match (says(Sampling::Temperature, 2.0)?, says(Sampling::TopP, 1.0)?) {
        (Some(true), Some(says)) => Some(LeftOut { parameter: Sampling::TopP, is_named: says }),
        (Some(false), Some(_)) => Some(LeftOut { parameter: Sampling::Temperature, is_named: false }),
        (None, _) | (_, None) => None,
    })
}

/// A sampling parameter that is not sent on, and whether the client is told.
#[derive(Debug, PartialEq)]
pub struct LeftOut {
    pub parameter: Sampling,
    pub is_named: bool,
}

/// A range of numbers as they are written.
pub struct Range {
    pub least: &'static str,
    pub most: &'static str,
}

/// A number that OpenAI takes between `from` and `to`, moved into a model's range.
pub fn clamped<'a>(
    chat: &ChatRequest<'a>,
    name: &'static str,
    (from, to): (f64, f64),
    range: &Range,
    dropped: &mut Dropped,
) -> Result<Option<&'a str>, Rejection> {
    let Some(text) = chat.number(name, from, to)? else { return Ok(None) };
    let number = |text: &str| json::float(text).unwrap_or_default();
    let inside = if number(text) < number(range.least) {
        range.least
    } else if number(text) > number(range.most) {
        range.most
    } else {
        return Ok(Some(text));
    };
    dropped.push(name.into());
    Ok(Some(inside))
}

/// Seeds may be negative with OpenAI; some others take none that are.
pub fn seed<'a>(chat: &ChatRequest<'a>, dropped: &mut Dropped) -> Result<Option<&'a str>, Rejection> {
    let Some(seed) = chat.field("seed") else { return Ok(None) };
    if seed.get().parse::<i64>().is_ok_and(|seed| seed < 0) {
        dropped.push("seed".into());
        return Ok(None);
    }
    Ok(chat.count("seed")?.map(|_| seed.get()))
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
pub fn unread(chat: &ChatRequest<'_>, is_read: impl Fn(&str) -> bool) -> Dropped {
    let mut names = Dropped::new();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_is_moved_inside_and_named() {
        let range = Range { least: "0.01", most: "0.99" };
        let clamp = |top_p: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"top_p":{top_p}}}"#);
            let mut dropped = Dropped::new();
            let chat = ChatRequest::parse(body.as_bytes()).unwrap();
            let number = clamped(&chat, "top_p", (0.0, 1.0), &range, &mut dropped).map(|text| text.map(str::to_owned));
            (number.ok().flatten().unwrap_or_default(), dropped.len())
        };
        assert_eq!(clamp("0.90"), ("0.90".into(), 0));
        assert_eq!(clamp("1"), ("0.99".into(), 1));
        assert_eq!(clamp("0.0"), ("0.01".into(), 1));
        assert_eq!(clamp("1.5"), (String::new(), 0));
    }
}
