//! Reads a chat completions request and refuses what the vendor refuses, in the vendor's words.
//!
//! Every field of the reference is checked, also those that the answer does not depend on: the point is
//! to see what a gateway sends. Messages are read in `messages`; what a vendor takes is in its dialect.

use serde_json::{Map, Value};

use super::dialect::{Dialect, Unknown};
use super::{Asked, INVALID, messages};
use crate::prompt::{JsonOutput, Prompt, Tool, ToolChoice, ToolKind};
use crate::strict::{
    Checked, Problem, Refusal, TopLevel, Wrong, array, boolean, choice, each, identifier, integer_in, nullable,
    number_in, object, open_object, required, string,
};
use crate::thinking::Thinks;

const MOST_FUNCTION_NAME: usize = 64;

/// `asked`: what the path says.
pub fn read(dialect: &Dialect, asked: Option<Asked>, body: &[u8]) -> Result<Prompt, Refusal> {
    let top: TopLevel = serde_json::from_slice(body).map_err(|error| {
        let message = format!("We could not parse the JSON body of your request: {error}");
        Refusal::new(400, INVALID, message)
    })?;
    if let Some(key) = top.repeated {
        let message = format!("Duplicate key in the JSON body of your request: '{key}'");
        return Err(Refusal::new(400, INVALID, message).param(key).code("invalid_value"));
    }
    let fields = open_object(&top.fields);
    let prompt = fields.and_then(|fields| request(dialect, asked, fields)).map_err(dialect.wording)?;
    if !prompt.model.starts_with(dialect.family()) {
        let message = format!("The model `{}` does not exist or you do not have access to it.", prompt.model);
        return Err(Refusal::new(404, INVALID, message).code("model_not_found").param("model"));
    }
    Ok(prompt)
}

/// A problem in OpenAI's words.
pub fn wording(problem: Problem) -> Refusal {
    let place = problem.bracketed();
    let (code, message) = match problem.wrong {
        Wrong::Unknown if !place.contains(['.', '[']) => {
            ("unknown_parameter", format!("Unrecognized request argument supplied: {place}"))
        }
        Wrong::Unknown => ("unknown_parameter", format!("Unknown parameter: '{place}'.")),
        Wrong::Missing => ("missing_required_parameter", format!("Missing required parameter: '{place}'.")),
        Wrong::Type { expected, got } => {
            ("invalid_type", format!("Invalid type for '{place}': expected {expected}, but got {got} instead."))
        }
        Wrong::Choice { got, supported } => {
            let supported = supported.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
            ("invalid_value", format!("Invalid value: '{got}'. Supported values are: {supported}."))
        }
        Wrong::Rule(text) => ("invalid_value", format!("Invalid '{place}': {text}.")),
        Wrong::Refused(refusal) => return *refusal,
    };
    Refusal::new(400, INVALID, message).code(code).param(place)
}

fn request(dialect: &Dialect, asked: Option<Asked>, fields: &Map<String, Value>) -> Checked<Prompt> {
    let unknown = fields.keys().find(|key| !dialect.fields.contains(&key.as_str()));
    if let (Some(unknown), Unknown::Refused) = (unknown, dialect.unknown_fields) {
        return Err(Problem::new(Wrong::Unknown).under(unknown));
    }
    let fields = &known(dialect, fields);
    let mut prompt = match asked.as_ref().and_then(|asked| asked.model.as_deref()) {
        Some(model) => Prompt::for_model(model),
        None => Prompt::for_model(required(fields, dialect.model_field, string)?),
    };
    prompt.thinks = (dialect.thinks)(fields);
    required(fields, "messages", |value| messages::read(dialect, value, &mut prompt))?;
    limits(dialect, fields, &mut prompt)?;
    plain_fields(dialect, fields)?;

    let in_path = asked.is_some_and(|asked| asked.stream);
    prompt.stream = nullable(fields, "stream", boolean)?.unwrap_or(in_path);
    prompt.include_obfuscation = true;
    nullable(fields, "stream_options", |value| {
        if !prompt.stream {
            return Err(Problem::rule("'stream_options' is only allowed when 'stream' is enabled"));
        }
        let options = object(value, &["include_usage", "include_obfuscation"])?;
        prompt.include_usage = nullable(options, "include_usage", boolean)?.unwrap_or(false);
        prompt.include_obfuscation = nullable(options, "include_obfuscation", boolean)?.unwrap_or(true);
        Ok(())
    })?;

    let tools = nullable(fields, "tools", |value| {
        if array(value)?.is_empty() {
            return Err(Problem::rule("empty array. Expected an array with minimum length 1"));
        }
        each(value, |value| tool(dialect, value))
    })?;
    let functions = nullable(fields, "functions", |value| each(value, |value| function(dialect, value)))?;
    prompt.tools = tools.into_iter().chain(functions).flatten().collect();
    let parallel = nullable(fields, "parallel_tool_calls", |value| match boolean(value)? {
        _ if prompt.tools.is_empty() => {
            Err(Problem::rule("'parallel_tool_calls' is only allowed when 'tools' are specified"))
        }
        parallel => Ok(parallel),
    })?;
    prompt.one_call_only = !parallel.unwrap_or(dialect.parallel_calls);
    nullable(fields, "tool_choice", |value| match value {
        Value::String(_) if dialect.tool_choice_words != "tool_choice" => {
            Err(Problem::rule(format!("expected an object; words are for '{}'", dialect.tool_choice_words)))
        }
        _ => tool_choice(dialect, value, &mut prompt),
    })?;
    if dialect.tool_choice_words != "tool_choice" {
        nullable(fields, dialect.tool_choice_words, |value| {
            string(value)?;
            tool_choice(dialect, value, &mut prompt)
        })?;
    }
    let is_forced = matches!(prompt.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    if is_forced && prompt.thinks != Thinks::Never && !dialect.forced_while_thinking {
        let text = "Thinking mode does not support this tool_choice";
        return Err(Problem::refused(Refusal::new(400, INVALID, text).code(INVALID)));
    }
    nullable(fields, "function_call", |value| match value {
        Value::String(_) => choice(value, &["none", "auto"]).map(drop),
        _ => required(object(value, &["name"])?, "name", string).map(drop),
    })?;
    nullable(fields, "response_format", |value| response_format(dialect, value, &mut prompt))?;
    Ok(prompt)
}

/// The fields that the vendor has: it does not see the others.
fn known(dialect: &Dialect, fields: &Map<String, Value>) -> Map<String, Value> {
    let known = fields.iter().filter(|(key, _)| dialect.fields.contains(&key.as_str()));
    known.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn limits(dialect: &Dialect, fields: &Map<String, Value>, prompt: &mut Prompt) -> Checked<()> {
    let positive = |value| integer_in(value, 1, i64::MAX);
    let old = nullable(fields, "max_tokens", positive)?;
    let new = nullable(fields, "max_completion_tokens", positive)?;
    if old.is_some() && new.is_some() {
        let problem =
            Problem::rule("setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported");
        return Err(problem.under("max_tokens"));
    }
    prompt.max_tokens = old.or(new).and_then(|most| usize::try_from(most).ok());
    prompt.choices = nullable(fields, "n", |value| integer_in(value, 1, dialect.most_choices))?.unwrap_or(1) as usize;
    let stop = nullable(fields, "stop", |value| match value {
        Value::String(one) => Ok(vec![one.clone()]),
        _ if array(value)?.len() > dialect.most_stops => {
            let most = dialect.most_stops;
            Err(Problem::rule(format!("array too long. Expected an array with maximum length {most}")))
        }
        _ => each(value, |stop| string(stop).map(str::to_owned)),
    })?;
    prompt.stop = stop.unwrap_or_default().into_iter().filter(|stop| !stop.is_empty()).collect();
    Ok(())
}

/// Fields that change nothing in a fake's answer.
fn plain_fields(dialect: &Dialect, fields: &Map<String, Value>) -> Checked<()> {
    nullable(fields, "temperature", |value| number_in(value, dialect.temperature.0, dialect.temperature.1))?;
    nullable(fields, "top_p", |value| number_in(value, 0.0, 1.0))?;
    nullable(fields, "frequency_penalty", |value| number_in(value, -2.0, 2.0))?;
    nullable(fields, "presence_penalty", |value| number_in(value, -2.0, 2.0))?;
    for name in ["seed", "random_seed"] {
        nullable(fields, name, |value| integer_in(value, dialect.seeds.0, dialect.seeds.1))?;
    }
    nullable(fields, "store", boolean)?;
    nullable(fields, "user", string)?;
    nullable(fields, "prompt_cache_key", string)?;
    nullable(fields, "prompt_cache_retention", |value| choice(value, &["in_memory", "24h"]))?;
    nullable(fields, "reasoning_effort", |value| choice(value, dialect.efforts))?;
    nullable(fields, "service_tier", |value| choice(value, dialect.tiers))?;
    nullable(fields, "verbosity", |value| choice(value, &["low", "medium", "high"]))?;
    nullable(fields, "safety_identifier", |value| short(value, 128))?;
    nullable(fields, "modalities", |value| each(value, |item| choice(item, &["text", "audio"])))?;
    let logprobs = nullable(fields, "logprobs", boolean)?;
    nullable(fields, "top_logprobs", |value| match logprobs {
        Some(true) => integer_in(value, 0, 20),
        _ => Err(Problem::rule("'top_logprobs' is only allowed when 'logprobs' is true")),
    })?;
    nullable(fields, "logit_bias", |value| {
        let biases = open_object(value)?;
        biases.iter().try_for_each(|(token, bias)| number_in(bias, -100.0, 100.0).map(drop).map_err(|p| p.under(token)))
    })?;
    nullable(fields, "metadata", |value| {
        let pairs = open_object(value)?;
        if pairs.len() > 16 || pairs.keys().any(|key| key.len() > 64) {
            return Err(Problem::rule("expected at most 16 pairs with keys of at most 64 characters"));
        }
        pairs.iter().try_for_each(|(key, value)| short(value, 512).map(drop).map_err(|p| p.under(key)))
    })?;
    nullable(fields, "audio", |value| {
        let audio = object(value, &["format", "voice"])?;
        required(audio, "voice", Ok)?;
        required(audio, "format", |value| choice(value, &["wav", "mp3", "aac", "flac", "opus", "pcm16"]))
    })?;
    nullable(fields, "prediction", |value| {
        let prediction = object(value, &["type", "content"])?;
        required(prediction, "type", |value| choice(value, &["content"]))?;
        required(prediction, "content", messages::text)
    })?;
    nullable(fields, "prompt_cache_options", |value| {
        let options = object(value, &["mode", "ttl"])?;
        nullable(options, "ttl", |value| choice(value, &["30m"]))?;
        nullable(options, "mode", |value| choice(value, &["implicit", "explicit"]))
    })?;
    nullable(fields, "web_search_options", |value| object(value, &["search_context_size", "user_location"]))?;
    nullable(fields, "moderation", |value| required(object(value, &["model", "policy"])?, "model", string))?;
    Ok(())
}

fn short(value: &Value, most: usize) -> Checked<&str> {
    match string(value)? {
        text if text.chars().count() <= most => Ok(text),
        _ => Err(Problem::rule(format!("string too long. Expected a string with maximum length {most}"))),
    }
}

fn tool(dialect: &Dialect, value: &Value) -> Checked<Tool> {
    let fields = object(value, &["type", "function", "custom"])?;
    if required(fields, "type", |kind| choice(kind, dialect.tool_types))? == "function" {
        object(value, &["type", "function"])?;
        return required(fields, "function", |value| function(dialect, value));
    }
    object(value, &["type", "custom"])?;
    required(fields, "custom", |value| {
        let custom = object(value, &["name", "description", "format"])?;
        nullable(custom, "description", string)?;
        let name = required(custom, "name", |name| identifier(name, MOST_FUNCTION_NAME))?;
        Ok(Tool { name: name.to_owned(), kind: ToolKind::Custom })
    })
}

fn function(dialect: &Dialect, value: &Value) -> Checked<Tool> {
    let function = object(value, &["name", "description", "parameters", "strict"])?;
    let name = required(function, "name", |name| identifier(name, MOST_FUNCTION_NAME))?;
    nullable(function, "description", string)?;
    let strict = nullable(function, "strict", boolean)?;
    if dialect.needs_parameters {
        required(function, "parameters", open_object)?;
    }
    let schema = nullable(function, "parameters", |value| {
        let schema = open_object(value)?;
        let root = schema.get("type").and_then(Value::as_str);
        if root != Some("object") {
            let text = format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: {root:?}'");
            return Err(Problem::rule(text));
        }
        if strict == Some(true) && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(Problem::rule("'additionalProperties' is required to be supplied and to be false"));
        }
        Ok(value.clone())
    })?;
    let schema = schema.unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}}));
    Ok(Tool { name: name.to_owned(), kind: ToolKind::Function { schema } })
}

/// Applies the choice to the prompt; the name it gives has to be one of the tools.
fn tool_choice(dialect: &Dialect, value: &Value, prompt: &mut Prompt) -> Checked<()> {
    if let Value::String(_) = value {
        let mode = choice(value, dialect.tool_choices)?;
        if prompt.tools.is_empty() && mode != "none" {
            return Err(Problem::rule("'tool_choice' is only allowed when 'tools' are specified"));
        }
        prompt.tool_choice = mode_of(mode);
        return Ok(());
    }
    let fields = object(value, &["type", "function", "custom", "allowed_tools"])?;
    if required(fields, "type", |kind| choice(kind, dialect.tool_choice_types))? != "allowed_tools" {
        prompt.tool_choice = ToolChoice::Named(named(value, &prompt.tools)?);
        return Ok(());
    }
    required(object(value, &["type", "allowed_tools"])?, "allowed_tools", |allowed| {
        let allowed = object(allowed, &["mode", "tools"])?;
        prompt.tool_choice = mode_of(required(allowed, "mode", |mode| choice(mode, &["auto", "required"]))?);
        let names = required(allowed, "tools", |tools| each(tools, |tool| named(tool, &prompt.tools)))?;
        prompt.tools.retain(|tool| names.contains(&tool.name));
        Ok(())
    })
}

fn mode_of(mode: &str) -> ToolChoice {
    match mode {
        "none" => ToolChoice::None,
        "required" | "any" => ToolChoice::Required,
        _ => ToolChoice::Auto,
    }
}

/// `{"type":"function","function":{"name":"f"}}`
fn named(value: &Value, tools: &[Tool]) -> Checked<String> {
    let kind = required(open_object(value)?, "type", |kind| choice(kind, &["function", "custom"]))?;
    let name =
        required(object(value, &["type", kind])?, kind, |named| required(object(named, &["name"])?, "name", string))?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(name.to_owned());
    }
    Err(Problem::rule(format!("Tool choice '{name}' not found in 'tools' parameter")))
}

fn response_format(dialect: &Dialect, value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let format = object(value, &["type", "json_schema"])?;
    let kind = required(format, "type", |kind| choice(kind, dialect.response_formats))?;
    if kind != "json_schema" {
        object(value, &["type"])?;
    }
    match kind {
        "json_object" if !prompt.mentions_json => Err(Problem::rule(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'",
        )),
        "json_object" => {
            prompt.json = JsonOutput::AnyObject;
            Ok(())
        }
        "json_schema" => required(format, "json_schema", |wrapped| {
            let wrapped = object(wrapped, &["name", "description", "schema", "strict"])?;
            required(wrapped, "name", |name| identifier(name, 64))?;
            nullable(wrapped, "description", string)?;
            let strict = nullable(wrapped, "strict", boolean)?;
            let schema = nullable(wrapped, "schema", |schema| {
                let closed = open_object(schema)?.get("additionalProperties") == Some(&Value::Bool(false));
                if strict == Some(true) && !closed {
                    return Err(Problem::rule("'additionalProperties' is required to be supplied and to be false"));
                }
                Ok(schema.clone())
            })?;
            prompt.json = schema.map_or(JsonOutput::AnyObject, JsonOutput::Schema);
            Ok(())
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{DEEPSEEK, MISTRAL, OPENAI};
    use super::*;

    fn read(body: &[u8]) -> Result<Prompt, Refusal> {
        super::read(&OPENAI, None, body)
    }

    fn asked(fields: Value) -> Value {
        let mut body = json!({"model": "gpt-fake", "messages": [{"role": "user", "content": "hi"}]});
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    fn talked(messages: Value) -> Value {
        json!({"model": "gpt-fake", "messages": messages})
    }

    fn tool(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
    }

    fn calls(ids: &[&str]) -> Value {
        let call = |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()})
    }

    fn result(id: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": "4"})
    }

    fn said(content: Value) -> Value {
        talked(json!([{"role": "user", "content": content}]))
    }

    #[test]
    fn what_the_vendor_takes_is_taken() {
        let user = json!({"role": "user", "content": "hi"});
        let image =
            |url| said(json!([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]));
        for body in [
            asked(json!({"temperature": 2, "top_p": null, "stop": ["a"], "n": 8, "seed": 1, "user": "u"})),
            asked(json!({"stream": true, "stream_options": {"include_usage": true}})),
            asked(json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "f"}}})),
            asked(json!({"tools": [tool("f")], "tool_choice": "required", "parallel_tool_calls": false})),
            asked(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}})),
            asked(json!({"model": "gpt-fake?status=503"})),
            talked(json!([user, calls(&["a", "b"]), result("b"), result("a"), user])),
            image("https://example.com/a.png"),
            image("data:image/png;base64,aGkh"),
        ] {
            assert_eq!(read(body.to_string().as_bytes()).map(drop), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        let user = json!({"role": "user", "content": "hi"});
        let image = |url| said(json!([{"type": "image_url", "image_url": {"url": url}}]));
        let cases = [
            (asked(json!({"foo": 1})), "foo", "Unrecognized request argument supplied: foo"),
            (json!({"messages": []}), "model", "Missing required parameter: 'model'."),
            (json!({"model": "gpt-fake"}), "messages", "Missing required parameter: 'messages'."),
            (asked(json!({"messages": []})), "messages", "empty array"),
            (asked(json!({"model": "llama"})), "model", "does not exist"),
            (asked(json!({"stream": "yes"})), "stream", "expected a boolean, but got a string instead"),
            (asked(json!({"temperature": 2.1})), "temperature", "from 0 to 2"),
            (asked(json!({"n": 9})), "n", "from 1 to 8"),
            (asked(json!({"max_tokens": 0})), "max_tokens", "from 1"),
            (asked(json!({"max_tokens": 1, "max_completion_tokens": 1})), "max_tokens", "at the same time"),
            (asked(json!({"stop": ["a", "b", "c", "d", "e"]})), "stop", "array too long"),
            (asked(json!({"stream_options": {}})), "stream_options", "only allowed when 'stream'"),
            (asked(json!({"stream": true, "stream_options": {"x": 1}})), "stream_options.x", "Unknown parameter"),
            (asked(json!({"top_logprobs": 1})), "top_logprobs", "logprobs"),
            (asked(json!({"parallel_tool_calls": true})), "parallel_tool_calls", "only allowed when 'tools'"),
            (asked(json!({"tool_choice": "auto"})), "tool_choice", "only allowed when 'tools'"),
            (asked(json!({"tools": [tool("a b")]})), "tools[0].function.name", "pattern"),
            (asked(json!({"tools": [{"type": "mcp"}]})), "tools[0].type", "Supported values are: 'function'"),
            (asked(json!({"tools": [tool("f")], "tool_choice": "any"})), "tool_choice", "'required'"),
            (
                asked(json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}})),
                "tool_choice",
                "'g' not found in 'tools'",
            ),
            (asked(json!({"response_format": {"type": "json_object"}})), "response_format", "the word 'json'"),
            (asked(json!({"response_format": {"type": "xml"}})), "response_format.type", "'json_schema'"),
            (talked(json!([{"role": "model", "content": "x"}])), "messages[0].role", "Supported values"),
            (talked(json!([{"role": "user"}])), "messages[0].content", "Missing required"),
            (talked(json!([{"role": "user", "content": "x", "foo": 1}])), "messages[0].foo", "Unknown parameter"),
            (talked(json!([{"role": "assistant", "content": null}])), "messages[0].content", "got null"),
            (talked(json!([user, result("a")])), "messages[1].role", "preceding message with 'tool_calls'"),
            (talked(json!([user, calls(&["a"]), result("b")])), "messages[2].tool_call_id", "'b' not found"),
            (talked(json!([user, calls(&["a", "b"]), result("a")])), "messages", "response messages: b"),
            (talked(json!([user, calls(&["a"]), user])), "messages[2]", "response messages: a"),
            (talked(json!([user, calls(&["a", "a"])])), "messages[1].tool_calls[1].id", "duplicate"),
            (image("http://example.com/a.png"), "messages[0].content[0].image_url.url", "https"),
            (image("data:image/png;base64,aGk"), "messages[0].content[0].image_url.url", "base64"),
            (said(json!([{"type": "image", "source": {}}])), "messages[0].content[0].type", "'image_url'"),
        ];
        for (body, param, message) in cases {
            let refusal = read(body.to_string().as_bytes()).map(drop).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some(param), "{body}: {refusal:?}");
            assert!(refusal.message.contains(message), "{body}: {refusal:?}");
        }
    }

    #[test]
    fn bodies_that_two_readers_read_differently_are_refused() {
        for body in [r#"{"model":"gpt-a","model":"gpt-b","messages":[]}"#, "[]", "", "{}x"] {
            assert_eq!(read(body.as_bytes()).map(drop).unwrap_err().status, 400, "{body}");
        }
    }

    /// Refused by the vendor with a status and these words, or taken.
    fn answer(dialect: &'static Dialect, body: &Value) -> (u16, String) {
        let read = super::read(dialect, None, body.to_string().as_bytes());
        read.map_or_else(|refusal| (refusal.status, (dialect.error)(&refusal, "id").to_string()), |_| (200, "".into()))
    }

    #[test]
    fn mistral_refuses_what_is_not_its_own() {
        let user = json!({"role": "user", "content": "hi"});
        let asked = |fields: Value| {
            let mut body = asked(fields);
            body["model"] = json!("mistral-fake");
            body
        };
        let talked = |messages: Value| asked(json!({ "messages": messages }));
        let cases = [
            (asked(json!({"random_seed": 1, "stop": ["a"], "safe_prompt": true, "temperature": 1.5})), 200, ""),
            (talked(json!([user, calls(&["abcDEF123"]), result("abcDEF123")])), 200, ""),
            (asked(json!({"seed": 1})), 422, r#""extra_forbidden""#),
            (asked(json!({"stream": true, "stream_options": {}})), 422, r#""loc":["body","stream_options"]"#),
            (talked(json!([{"role": "developer", "content": "hi"}])), 422, r#"["body","messages",0,"role"]"#),
            (talked(json!([{"role": "user", "content": "hi", "name": "me"}])), 422, r#"["body","messages",0,"name"]"#),
            (asked(json!({"temperature": 2})), 400, "from 0 to 1.5"),
            (asked(json!({"tools": [{"type": "function", "function": {"name": "f"}}]})), 422, "parameters"),
            (talked(json!([user, calls(&["call_1"]), result("call_1")])), 400, r#""code":"3280""#),
            (talked(json!([user, calls(&["abcDEF123"]), result("abcDEF123"), user])), 400, "after role 'tool'"),
        ];
        for (body, status, words) in cases {
            let (was, text) = answer(&MISTRAL, &body);
            assert!(was == status && text.contains(words), "{body}: {was} {text}");
        }
    }

    #[test]
    fn deepseek_wants_its_thoughts_back() {
        let user = json!({"role": "user", "content": "hi"});
        let talked = |thoughts: &str, thinking: &str| {
            let mut called = calls(&["a"]);
            called["reasoning_content"] = json!(thoughts);
            let thinking = json!({ "type": thinking });
            json!({"model": "deepseek-fake", "thinking": thinking, "messages": [user, called, result("a")]})
        };
        let own = crate::thinking::Thinking::about("hi", "id").text;
        assert_eq!(answer(&DEEPSEEK, &talked(&own, "enabled")).0, 200);
        assert_eq!(answer(&DEEPSEEK, &talked(" ", "enabled")).0, 200);
        assert_eq!(answer(&DEEPSEEK, &talked("", "disabled")).0, 200);
        let (status, text) = answer(&DEEPSEEK, &talked("", "enabled"));
        assert!(status == 400 && text.contains("must be passed back to the API"), "{text}");
        assert_eq!(answer(&DEEPSEEK, &talked(&own.replace("think", "thought"), "enabled")).0, 400);
        let image = said(json!([{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]));
        let (status, text) = answer(&DEEPSEEK, &image);
        assert!(status == 400 && text.contains("unknown variant `image_url`, expected one of `text`"), "{text}");
        for (thinking, expected) in [("enabled", 400), ("disabled", 200)] {
            let forced = json!({"model": "deepseek-fake", "thinking": {"type": thinking}, "messages": [user], "tools": [tool("f")],
                "tool_choice": "required"});
            assert_eq!(answer(&DEEPSEEK, &forced).0, expected, "{thinking}");
        }
        // It does not see what it does not know.
        let seed = json!({"model": "deepseek-fake", "seed": "?", "messages": [user]});
        assert_eq!(answer(&DEEPSEEK, &seed).0, 200);
    }
}
