//! A strict reader of what clients of Chat Completions are sent: the grammar that OpenAI's own SDKs
//! assume (openai-python `_streaming.py`, `types/chat`), and nothing tolerated beyond it.

use std::collections::BTreeMap;

use dragoman::headers::Headers;
use serde_json::Value;

type Read = Result<(), String>;

pub fn read(status: u16, headers: &Headers, body: &[u8]) -> Read {
    read_with(status, headers, body, true)
}

/// The same, except that the arguments of calls may be anything: a model's own words, which nobody repairs.
pub fn read_grammar(status: u16, headers: &Headers, body: &[u8]) -> Read {
    read_with(status, headers, body, false)
}

fn read_with(status: u16, headers: &Headers, body: &[u8], with_arguments: bool) -> Read {
    match headers.content_type() {
        Some("text/event-stream") => stream(body, with_arguments),
        Some("application/json") if status == 200 => completion(&json(body)?, with_arguments),
        Some("application/json") => error(&json(body)?),
        other => Err(format!("content-type {other:?}")),
    }
}

fn json(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(text)))
}

fn check(holds: bool, what: &str) -> Read {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn error(value: &Value) -> Read {
    let error = &value["error"];
    check(error["message"].as_str().is_some_and(|message| !message.is_empty()), "an error has a message")?;
    check(error["type"].is_string(), "an error has a type")?;
    for key in ["param", "code"] {
        check(error.get(key).is_some_and(|value| value.is_string() || value.is_null()), "param and code are there")?;
    }
    Ok(())
}

const FINISH_REASONS: &[&str] = &["stop", "length", "tool_calls", "content_filter", "function_call"];

fn completion(value: &Value, with_arguments: bool) -> Read {
    check(value["object"] == "chat.completion", "object")?;
    check(value["id"].is_string() && value["model"].is_string() && value["created"].is_u64(), "id, model, created")?;
    let choices = value["choices"].as_array().ok_or("choices")?;
    check(!choices.is_empty(), "an answer has a choice")?;
    for choice in choices {
        let message = &choice["message"];
        check(message["role"] == "assistant", "role")?;
        check(message.get("content").is_some_and(|text| text.is_string() || text.is_null()), "content is there")?;
        check(
            choice["finish_reason"].as_str().is_some_and(|reason| FINISH_REASONS.contains(&reason)),
            "finish_reason",
        )?;
        check(
            message.get("tool_calls").is_none_or(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty())),
            "tool_calls",
        )?;
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            check(call["id"].as_str().is_some_and(|id| !id.is_empty()), "a call has an id")?;
            check(call["function"]["name"].is_string(), "a call has a name")?;
            let text = call["function"]["arguments"].as_str().ok_or("a call has arguments")?;
            if with_arguments {
                arguments(text)?;
            }
        }
    }
    usage(&value["usage"])
}

fn arguments(text: &str) -> Read {
    check(json(text.as_bytes())?.is_object(), "arguments are an object")
}

fn usage(usage: &Value) -> Read {
    if usage.is_null() {
        return Ok(());
    }
    let count = |key: &str| usage[key].as_u64().ok_or_else(|| format!("usage.{key}"));
    check(count("prompt_tokens")? + count("completion_tokens")? == count("total_tokens")?, "the total is the sum")
}

#[derive(Default)]
struct Choice {
    role: bool,
    finish: bool,
    calls: Vec<String>,
}

fn stream(body: &[u8], with_arguments: bool) -> Read {
    let text = std::str::from_utf8(body).map_err(|_| "a stream is UTF-8")?;
    let text = text.strip_suffix("\n\n").ok_or("the last event has its blank line")?;
    let mut choices: BTreeMap<u64, Choice> = BTreeMap::new();
    let mut identity = None;
    let (mut usage_seen, mut done, mut failed) = (false, false, false);
    for event in text.split("\n\n") {
        check(!done && !failed, "nothing follows [DONE] or an error")?;
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("an event is one data line: {event:?}"))?;
        check(!data.contains('\n'), "an event is one data line")?;
        if data == "[DONE]" {
            check(choices.values().all(|choice| choice.finish) && !choices.is_empty(), "[DONE] follows the finish")?;
            done = true;
            continue;
        }
        let chunk = json(data.as_bytes())?;
        if chunk.get("error").is_some() {
            error(&chunk)?;
            failed = true;
            continue;
        }
        check(chunk["object"] == "chat.completion.chunk", "object")?;
        let same = (chunk["id"].clone(), chunk["model"].clone(), chunk["created"].clone());
        check(same.0.is_string() && same.1.is_string() && same.2.is_u64(), "id, model, created")?;
        check(*identity.get_or_insert(same.clone()) == same, "id, model and created are the same throughout")?;
        let list = chunk["choices"].as_array().ok_or("choices")?;
        if list.is_empty() && chunk["usage"].is_null() {
            check(chunk.as_object().is_some_and(|chunk| chunk.len() > 5), "a chunk says something")?;
            continue;
        }
        if list.is_empty() {
            check(!usage_seen && chunk["usage"].is_object(), "usage comes once")?;
            usage(&chunk["usage"])?;
            usage_seen = true;
            continue;
        }
        check(!usage_seen, "usage comes last")?;
        check(chunk.get("usage").is_none_or(Value::is_null), "usage has a chunk of its own")?;
        for choice in list {
            let state = choices.entry(choice["index"].as_u64().ok_or("index")?).or_default();
            delta(choice, state, with_arguments)?;
        }
    }
    check(done || failed, "a stream ends with [DONE] or an error")
}

fn delta(choice: &Value, state: &mut Choice, with_arguments: bool) -> Read {
    check(!state.finish, "nothing follows the finish reason")?;
    let delta = choice["delta"].as_object().ok_or("delta")?;
    if let Some(role) = delta.get("role") {
        check(role == "assistant" && !state.role, "the role comes once")?;
        state.role = true;
    }
    check(state.role, "the role comes first")?;
    for key in ["content", "refusal", "reasoning_content"] {
        check(delta.get(key).is_none_or(|text| text.is_string() || text.is_null()), "texts are text")?;
    }
    check(
        delta.get("tool_calls").is_none_or(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty())),
        "tool_calls",
    )?;
    for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let index = call["index"].as_u64().ok_or("a call has an index")? as usize;
        check(index <= state.calls.len(), "indices are dense")?;
        let kind = if call.get("custom").is_some() { "custom" } else { "function" };
        if index == state.calls.len() {
            check(call["id"].as_str().is_some_and(|id| !id.is_empty()), "a call begins with its id")?;
            check(call[kind]["name"].as_str().is_some_and(|name| !name.is_empty()), "a call begins with its name")?;
            check(call["type"] == kind, "a call begins with its type")?;
            // A custom tool takes any text.
            state.calls.push(if kind == "custom" { "{}".into() } else { String::new() });
        } else {
            check(call.get("id").is_none() && call[kind].get("name").is_none(), "ids and names come once")?;
        }
        let fragment = call["function"]["arguments"].as_str().unwrap_or_default();
        state.calls[index].push_str(fragment);
    }
    if let Some(reason) = choice["finish_reason"].as_str() {
        check(FINISH_REASONS.contains(&reason), "finish_reason")?;
        state.finish = true;
        // Cut off at the token limit, a call's arguments may be half written.
        for call in state.calls.iter().filter(|_| with_arguments && reason == "tool_calls") {
            arguments(call)?;
        }
    }
    Ok(())
}
