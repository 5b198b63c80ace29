//! Reads a chat request and refuses what the vendor refuses, in the vendor's words.
//!
//! The wording is that of the vendor's list of errors (docs.cohere.com/reference/errors) where that has
//! one. Messages are read in `messages`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{INVALID, messages};
use crate::prompt::{JsonOutput, Prompt, Tool, ToolChoice, ToolKind};
use crate::strict::{
    Checked, Problem, Refusal, TopLevel, Wrong, boolean, choice, each, integer, nullable, number_in, object,
    open_object, present, required, string,
};
use crate::thinking::Thinks;

const FIELDS: &[&str] = &[
    "citation_options",
    "documents",
    "frequency_penalty",
    "k",
    "logprobs",
    "max_tokens",
    "messages",
    "model",
    "p",
    "presence_penalty",
    "priority",
    "response_format",
    "safety_mode",
    "seed",
    "stop_sequences",
    "stream",
    "strict_tools",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
];

/// What the fake's model answers at most.
const MOST_OUTPUT: i64 = 8000;

/// What a schema may not contain (structured outputs, unsupported schema features).
const UNSUPPORTED_KEYWORDS: &[&str] = &[
    "allOf",
    "oneOf",
    "not",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
];

const FORMATS: &[&str] = &["date-time", "uuid", "date", "time"];

pub fn read(body: &[u8]) -> Result<Prompt, Refusal> {
    let top: TopLevel = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, INVALID, format!("invalid json syntax: {error}")))?;
    if let Some(key) = top.repeated {
        return Err(Refusal::new(400, INVALID, format!("invalid json syntax: the key {key} stands there twice")));
    }
    let prompt = open_object(&top.fields).and_then(request).map_err(refusal)?;
    if !prompt.model.starts_with("command-") {
        let message = format!(
            "model '{}' not found, make sure the correct model ID was used and that you have access to the model.",
            prompt.model
        );
        return Err(Refusal::new(404, INVALID, message));
    }
    Ok(prompt)
}

fn refusal(problem: Problem) -> Refusal {
    const USAGE: &str = "For proper usage, please refer to https://docs.cohere.com/reference/chat";
    let place = problem.bracketed();
    let text = match problem.wrong {
        Wrong::Unknown => format!("unknown field: parameter {place} is not a valid field. {USAGE}"),
        Wrong::Type { expected, got } => {
            format!("invalid type: parameter {place} is of type {got} but should be of type {expected}. {USAGE}")
        }
        Wrong::Choice { got, supported } => {
            format!("invalid value: parameter {place} is {got} but should be one of {}. {USAGE}", supported.join(", "))
        }
        Wrong::Missing if place == "model" => {
            return Refusal::new(400, INVALID, "a model parameter is required for this endpoint.");
        }
        Wrong::Missing => format!("missing field: parameter {place} is required. {USAGE}"),
        Wrong::Rule(text) => return Refusal::new(400, INVALID, text),
        Wrong::Refused(refusal) => return *refusal,
    };
    Refusal::new(422, INVALID, text)
}

fn request(fields: &Map<String, Value>) -> Checked<Prompt> {
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Problem::new(Wrong::Unknown).under(unknown));
    }
    let mut prompt = Prompt::for_model(required(fields, "model", string)?);
    prompt.stream = nullable(fields, "stream", boolean)?.unwrap_or(false);
    prompt.thinks = Thinks::IfAsked;
    required(fields, "messages", |value| messages::read(value, &mut prompt))?;
    nullable(fields, "tools", |value| tools(value, &mut prompt))?;
    nullable(fields, "tool_choice", |value| tool_choice(value, &mut prompt))?;
    nullable(fields, "strict_tools", |value| strict(value, &prompt))?;
    let documents = nullable(fields, "documents", |value| each(value, document))?;
    if documents.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::rule("invalid request: list of documents must not be empty"));
    }
    let has_sources = documents.is_some() || !prompt.tools.is_empty();
    nullable(fields, "citation_options", |value| {
        let fields = object(value, &["mode"])?;
        nullable(fields, "mode", |mode| choice(mode, &["ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF"]))
    })?;
    let mode = nullable(fields, "safety_mode", |mode| choice(mode, &["CONTEXTUAL", "STRICT", "OFF"]))?;
    if mode.is_some() && has_sources {
        return Err(Problem::rule("invalid request: safety_mode is not supported with tools or documents."));
    }
    nullable(fields, "response_format", |value| response_format(value, &mut prompt))?;
    if has_sources && prompt.json != JsonOutput::No {
        let text = if documents.is_some() { "RAG" } else { "tools" };
        return Err(Problem::rule(format!("invalid request: response_format is not supported with {text}.")));
    }
    nullable(fields, "thinking", |value| thinking(value, &mut prompt))?;
    limits(fields, &mut prompt)?;
    sampling(fields)?;
    nullable(fields, "logprobs", boolean)?;
    Ok(prompt)
}

fn limits(fields: &Map<String, Value>, prompt: &mut Prompt) -> Checked<()> {
    let most = nullable(fields, "max_tokens", |value| match integer(value)? {
        most if most < 1 => Err(Problem::rule("invalid request: max_tokens must be at least 1.")),
        most if most > MOST_OUTPUT => Err(Problem::rule(format!(
            "too many tokens: max tokens must be less than or equal to {MOST_OUTPUT}, the maximum output for this \
             model - received {most}."
        ))),
        most => Ok(most),
    })?;
    prompt.max_tokens = most.and_then(|most| usize::try_from(most).ok());
    let stop = nullable(fields, "stop_sequences", |value| each(value, |stop| string(stop).map(str::to_owned)))?;
    prompt.stop = stop.unwrap_or_default();
    if prompt.stop.len() > 5 {
        return Err(Problem::rule("invalid request: stop_sequences must have at most 5 elements."));
    }
    if prompt.stop.iter().any(String::is_empty) {
        return Err(Problem::rule("invalid request: stop_sequences must not have empty elements."));
    }
    Ok(())
}

fn sampling(fields: &Map<String, Value>) -> Checked<()> {
    let ranges = [
        ("temperature", 0.0, 1.0, "temperature must be between 0 and 1.0 inclusive."),
        ("p", 0.01, 0.99, "p must be between 0.01 and 0.99 inclusive."),
        ("frequency_penalty", 0.0, 1.0, "frequency_penalty must be between 0 and 1 inclusive."),
        ("presence_penalty", 0.0, 1.0, "presence_penalty must be between 0 and 1 inclusive."),
    ];
    for (name, least, most, words) in ranges {
        nullable(fields, name, |value| in_words(number_in(value, least, most), words))?;
    }
    let whole = [
        ("k", 500, "k must be between 0 and 500 inclusive."),
        ("priority", 999, "priority must be between 0 and 999."),
    ];
    for (name, most, words) in whole {
        nullable(fields, name, |value| match integer(value)? {
            number if (0..=most).contains(&number) => Ok(()),
            _ => Err(Problem::rule(format!("invalid request: {words}"))),
        })?;
    }
    nullable(fields, "seed", |value| match value.as_u64() {
        Some(_) => Ok(()),
        None => integer(value).and(Err(Problem::rule("invalid request: seed must not be negative."))),
    })?;
    let is_set = |name: &str| fields.get(name).and_then(Value::as_f64).is_some_and(|penalty| penalty != 0.0);
    if is_set("frequency_penalty") && is_set("presence_penalty") {
        return Err(Problem::rule("invalid request: cannot specify both frequency_penalty and presence_penalty."));
    }
    Ok(())
}

fn in_words<T>(checked: Checked<T>, words: &str) -> Checked<T> {
    checked.map_err(|problem| match problem.wrong {
        Wrong::Rule(_) => Problem::rule(format!("invalid request: {words}")),
        _ => problem,
    })
}

pub fn tool_name(value: &Value) -> Checked<&str> {
    let name = string(value)?;
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(name);
    }
    Err(Problem::rule(format!(
        "invalid request: tool names can only contain certain characters (A-Za-z0-9_) and can't begin with a digit \
         (provided name: '{name}')."
    )))
}

fn tools(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    prompt.tools = each(value, tool)?;
    let mut names = BTreeSet::new();
    match prompt.tools.iter().find(|tool| !names.insert(&tool.name)) {
        Some(tool) => Err(Problem::rule(format!("invalid request: duplicate tool name '{}'.", tool.name))),
        None => Ok(()),
    }
}

fn tool(value: &Value) -> Checked<Tool> {
    let fields = object(value, &["type", "function"])?;
    if required(fields, "type", string)? != "function" {
        return Err(Problem::rule("tool must be of type function"));
    }
    required(fields, "function", |function| {
        let function = object(function, &["name", "description", "parameters"])?;
        let name = required(function, "name", tool_name)?.to_owned();
        nullable(function, "description", string)?;
        let schema = required(function, "parameters", |schema| {
            open_object(schema)?;
            Ok(schema.clone())
        })?;
        Ok(Tool { name, kind: ToolKind::Function { schema } })
    })
}

fn tool_choice(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    prompt.tool_choice = match choice(value, &["REQUIRED", "NONE"])? {
        "NONE" => ToolChoice::None,
        _ => ToolChoice::Required,
    };
    if prompt.tools.is_empty() {
        return Err(Problem::rule("invalid request: tool_choice can only be specified if tools are."));
    }
    Ok(())
}

/// Schemas of strict tools are held to what structured outputs are.
fn strict(value: &Value, prompt: &Prompt) -> Checked<()> {
    if !boolean(value)? {
        return Ok(());
    }
    for tool in &prompt.tools {
        let ToolKind::Function { schema: parameters } = &tool.kind else { continue };
        schema(parameters)?;
        let required = parameters.get("required").and_then(Value::as_array);
        if required.is_none_or(Vec::is_empty) {
            let text =
                format!("invalid request: with strict_tools the tool '{}' must have a required parameter.", tool.name);
            return Err(Problem::rule(text));
        }
    }
    Ok(())
}

/// What it says: a document is a text, or an object of which the first text counts.
pub fn document(value: &Value) -> Checked<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let fields = object(value, &["id", "data"])?;
    nullable(fields, "id", string)?;
    required(fields, "data", |data| match data {
        Value::String(text) => Ok(text.clone()),
        _ => match open_object(data)? {
            data if data.is_empty() => Err(Problem::rule("invalid request: document at index 0 cannot be empty")),
            data => {
                let text = data.values().find_map(Value::as_str).map(str::to_owned);
                Ok(text.unwrap_or_else(|| Value::Object(data.clone()).to_string()))
            }
        },
    })
}

fn response_format(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, &["type", "json_schema"])?;
    let kind = required(fields, "type", |kind| choice(kind, &["text", "json_object"]))?;
    let wanted = present(fields, "json_schema", |wanted| {
        schema(wanted)?;
        Ok(wanted.clone())
    })?;
    prompt.json = match (kind, wanted) {
        ("text", None) => JsonOutput::No,
        ("text", Some(_)) => {
            return Err(Problem::rule("invalid request: json_schema is for the type json_object only."));
        }
        (_, Some(schema)) => JsonOutput::Schema(schema),
        (_, None) => JsonOutput::AnyObject,
    };
    Ok(())
}

fn schema(value: &Value) -> Checked<()> {
    if value.get("type").is_none_or(|kind| kind != "object") {
        return Err(Problem::rule("schema must be an object"));
    }
    keywords(value)
}

fn keywords(value: &Value) -> Checked<()> {
    let Value::Object(schema) = value else { return Ok(()) };
    let unsupported =
        |keyword: &str| Err(Problem::rule(format!("invalid request: schema keyword {keyword} is not supported")));
    if let Some(keyword) = schema.keys().find(|key| UNSUPPORTED_KEYWORDS.contains(&key.as_str())) {
        return unsupported(keyword);
    }
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
        return unsupported("format");
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if properties.is_none_or(|properties| !properties.contains_key(name)) {
            return Err(Problem::rule(format!("required field {name} not found in properties")));
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        let says = ["type", "$ref", "anyOf", "enum", "const"].iter().any(|key| property.get(key).is_some());
        if !says {
            return Err(Problem::rule(format!("property {name} must have a type")));
        }
        keywords(property)?;
    }
    for key in ["$defs", "definitions"] {
        schema.get(key).and_then(Value::as_object).into_iter().flat_map(Map::values).try_for_each(keywords)?;
    }
    schema.get("items").into_iter().try_for_each(keywords)?;
    schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().try_for_each(keywords)
}

fn thinking(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, &["type", "token_budget"])?;
    if required(fields, "type", |kind| choice(kind, &["enabled", "disabled"]))? == "disabled" {
        prompt.thinks = Thinks::Never;
    }
    nullable(fields, "token_budget", |budget| match integer(budget)? {
        1.. => Ok(()),
        _ => Err(Problem::rule("invalid request: token_budget must be a positive integer.")),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(fields: Value) -> Value {
        let mut body = json!({"model": "command-fake", "messages": [{"role": "user", "content": "hi"}]});
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    fn talked(messages: Value) -> Value {
        asked(json!({ "messages": messages }))
    }

    fn called(result: Value) -> Value {
        let call = json!({"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        talked(json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [call], "tool_plan": "I will."},
            result,
        ]))
    }

    fn tool(name: &str, parameters: Value) -> Value {
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    }

    fn object() -> Value {
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    }

    #[test]
    fn what_the_vendor_takes_is_taken() {
        let document = json!({"type": "document", "document": {"id": "1", "data": {"weather": "sunny"}}});
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGkh", "detail": "low"}});
        for body in [
            asked(json!({"stream": true, "temperature": 1, "p": 0.99, "k": 500, "seed": 7, "frequency_penalty": 0.5})),
            asked(json!({"tools": [tool("f", object())], "strict_tools": true, "tool_choice": "REQUIRED"})),
            asked(json!({"response_format": {"type": "json_object", "json_schema": object()}})),
            asked(json!({"documents": ["a", {"data": {"text": "b"}}], "citation_options": {"mode": "FAST"}})),
            asked(json!({"thinking": {"type": "enabled", "token_budget": 1}, "safety_mode": "OFF"})),
            called(json!({"role": "tool", "tool_call_id": "t1", "content": [document]})),
            called(json!({"role": "tool", "tool_call_id": "t1", "content": "sunny"})),
            talked(json!([{"role": "system", "content": "x"}, {"role": "user", "content": [image]}])),
        ] {
            assert_eq!(read(body.to_string().as_bytes()).map(drop), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        let user = json!({"role": "user", "content": "a"});
        let wants = |schema: Value| asked(json!({"response_format": {"type": "json_object", "json_schema": schema}}));
        let cases = [
            (asked(json!({"foo": 1})), "unknown field: parameter foo is not a valid field"),
            (json!({"messages": [user]}), "a model parameter is required for this endpoint."),
            (asked(json!({"model": "gpt-4"})), "model 'gpt-4' not found"),
            (asked(json!({"messages": "hi"})), "parameter messages is of type a string but should be"),
            (asked(json!({"temperature": 1.5})), "temperature must be between 0 and 1.0 inclusive."),
            (asked(json!({"p": 1})), "p must be between"),
            (asked(json!({"k": 501})), "k must be between"),
            (asked(json!({"seed": -1})), "seed"),
            (asked(json!({"presence_penalty": -0.5})), "presence_penalty must be between 0 and 1 inclusive."),
            (asked(json!({"presence_penalty": 0.5, "frequency_penalty": 0.5})), "cannot specify both"),
            (asked(json!({"max_tokens": 8001})), "the maximum output for this model - received 8001"),
            (asked(json!({"stop_sequences": ["1", "2", "3", "4", "5", "6"]})), "at most 5"),
            (asked(json!({"tools": [tool("a-b", object())]})), "(provided name: 'a-b')"),
            (asked(json!({"tools": [tool("1a", object())]})), "can't begin with a digit"),
            (asked(json!({"tools": [tool("f", object()), tool("f", object())]})), "duplicate tool name 'f'"),
            (
                asked(json!({"tools": [tool("f", json!({"type": "object"}))], "strict_tools": true})),
                "required parameter",
            ),
            (asked(json!({"tool_choice": "REQUIRED"})), "if tools are"),
            (asked(json!({"tool_choice": "AUTO", "tools": [tool("f", object())]})), "should be one of REQUIRED, NONE"),
            (
                asked(json!({"tools": [tool("f", object())], "response_format": {"type": "json_object"}})),
                "response_format is not supported with tools",
            ),
            (asked(json!({"documents": ["a"], "safety_mode": "OFF"})), "safety_mode is not supported"),
            (asked(json!({"documents": []})), "list of documents must not be empty"),
            (wants(json!({"type": "string"})), "schema must be an object"),
            (wants(json!({"type": "object", "properties": {}, "required": ["a"]})), "required field a not found"),
            (wants(json!({"type": "object", "properties": {"a": {}}})), "property a must have a type"),
            (
                wants(json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}})),
                "schema keyword minimum",
            ),
            (talked(json!([])), "must not be empty"),
            (
                talked(json!([user, {"role": "assistant", "content": "b", "citations": [{"cited_text": "b"}]}])),
                "cited_text",
            ),
            (
                talked(json!([user, {"role": "system", "content": "b"}, user])),
                "system turn must be the first in the list",
            ),
            (talked(json!([{"role": "user", "content": ""}])), "message must not be empty in a turn"),
            (talked(json!([{"role": "developer", "content": "a"}])), "messages[0].role is developer"),
            (talked(json!([user, {"role": "assistant"}, user])), "message must not be empty in a turn"),
            (called(json!({"role": "tool", "content": "a"})), "tool call id must be provided with tool message"),
            (called(json!({"role": "tool", "tool_call_id": "x", "content": "a"})), "not found in previous tool calls"),
            (called(json!({"role": "user", "content": [{"type": "input_audio"}]})), "should be one of text, image_url"),
        ];
        for (body, message) in cases {
            let refusal = read(body.to_string().as_bytes()).map(drop).unwrap_err();
            assert!(refusal.message.contains(message), "{body}: {refusal:?}");
        }
    }

    #[test]
    fn call_ids_are_unique_in_a_conversation() {
        let mut body = called(json!({"role": "tool", "tool_call_id": "t1", "content": "sunny"}));
        let messages = body["messages"].as_array_mut().unwrap();
        let again = messages[1..3].to_vec();
        messages.extend(again);
        let refusal = read(body.to_string().as_bytes()).map(drop).unwrap_err();
        assert_eq!(refusal.message, "cannot have duplicate tool ids");
    }
}
