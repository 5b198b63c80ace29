//! Reads a Messages request and refuses what the vendor refuses, in the vendor's words.
//!
//! No field is passed over: the vendor answers an unknown one with "Extra inputs are not permitted" and
//! so does this. Messages are read in `messages`, their blocks in `blocks`.

use serde_json::{Map, Value};

use super::surface::{Place, Surface};
use super::{INVALID, WITHOUT_SAMPLING, blocks, messages};
use crate::prompt::{JsonOutput, Prompt, Tool, ToolChoice, ToolKind};
use crate::strict::{
    Checked, Problem, Refusal, TopLevel, Wrong, boolean, choice, each, identifier, integer, integer_in, nullable,
    number_in, object, open_object, present, required, string, too_much_of_text,
};
use crate::thinking::Thinks;

const FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// What the largest models of the fake answer at most.
pub const MOST_OUTPUT: i64 = 64_000;
const MOST_BREAKPOINTS: usize = 4;

/// What a schema of structured output may not contain.
const UNSUPPORTED_KEYWORDS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "if",
    "not",
    "oneOf",
];

pub fn read(body: &[u8], version: &str) -> Result<Prompt, Refusal> {
    let fields = top_level(body)?;
    let prompt = open_object(&fields).and_then(|fields| request(fields, version)).map_err(refusal)?;
    known(prompt, Surface::Anthropic)
}

/// The same where the path has the model, and the body the version.
pub fn read_at(body: &[u8], surface: Surface, place: Place) -> Result<Prompt, Refusal> {
    let mut fields = top_level(body)?;
    let prompt = told_by_path(&mut fields, surface, &place).map_err(refusal)?;
    known(prompt, surface)
}

fn told_by_path(body: &mut Value, surface: Surface, place: &Place) -> Checked<Prompt> {
    let version = required(open_object(body)?, "anthropic_version", |version| choice(version, surface.versions()))?;
    // Those of old begin with the place's name.
    let version = version.trim_start_matches(|char: char| !char.is_ascii_digit()).to_owned();
    let Value::Object(fields) = body else { return Err(Problem::new(Wrong::Missing)) };
    if fields.contains_key("model") {
        return Err(Problem::new(Wrong::Unknown).under("model"));
    }
    present(fields, "anthropic_beta", |betas| each(betas, |beta| string(beta)))?;
    fields.remove("anthropic_beta");
    if surface == Surface::Bedrock {
        if fields.contains_key("stream") {
            return Err(Problem::new(Wrong::Unknown).under("stream"));
        }
        fields.insert("stream".to_owned(), Value::Bool(place.stream));
    } else if present(fields, "stream", boolean)?.unwrap_or(false) != place.stream {
        return Err(Problem::rule("must be true with streamRawPredict and false with rawPredict").under("stream"));
    }
    fields.remove("anthropic_version");
    fields.insert("model".to_owned(), Value::String(place.model.clone()));
    present(fields, "messages", fetches_nothing)?;
    request(fields, &version)
}

/// Only the vendor itself fetches what is given by its address, or has files.
fn fetches_nothing(blocks: &Value) -> Checked<()> {
    each(blocks, |block| {
        let content = block.get("content").filter(|content| content.is_array());
        content.map_or(Ok(()), fetches_nothing).map_err(|problem| problem.under("content"))?;
        match block.pointer("/source/type").and_then(Value::as_str) {
            Some("url") => Err(Problem::rule("URL sources are not supported").under("source")),
            Some("file") => Err(Problem::rule("File sources are not supported").under("source")),
            _ => Ok(()),
        }
    })
    .map(drop)
}

fn top_level(body: &[u8]) -> Result<Value, Refusal> {
    let top: TopLevel = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, INVALID, format!("The request body is not valid JSON: {error}")))?;
    match top.repeated {
        Some(key) => Err(Refusal::new(400, INVALID, format!("{key}: duplicate key in the request body"))),
        None => Ok(top.fields),
    }
}

fn known(prompt: Prompt, surface: Surface) -> Result<Prompt, Refusal> {
    match surface.model(&prompt.model).map(str::to_owned) {
        Some(model) => Ok(Prompt { model, ..prompt }),
        None => Err(Refusal::new(404, "not_found_error", format!("model: {}", prompt.model))),
    }
}

fn refusal(problem: Problem) -> Refusal {
    let place = problem.dotted();
    let text = match problem.wrong {
        Wrong::Unknown => "Extra inputs are not permitted".to_owned(),
        Wrong::Missing => "Field required".to_owned(),
        Wrong::Type { expected, .. } => {
            let name = match expected {
                "a string" => "a valid string",
                "a boolean" => "a valid boolean",
                "an integer" => "a valid integer",
                "a number" => "a valid number",
                "an array" => "a valid list",
                _ => "a valid dictionary",
            };
            format!("Input should be {name}")
        }
        Wrong::Choice { got, supported } => {
            let supported = supported.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
            format!("Input should be {supported}, but got '{got}'")
        }
        Wrong::Rule(text) => text,
        Wrong::Refused(refusal) => return *refusal,
    };
    let message = if place.is_empty() { text } else { format!("{place}: {text}") };
    Refusal::new(400, INVALID, message)
}

/// Models that still take sampling parameters, manual thinking budgets and a prefilled answer.
pub fn is_older(model: &str) -> bool {
    ["-3-", "-4-0", "-4-5", "-4-6"].iter().any(|mark| model.contains(mark))
}

fn request(fields: &Map<String, Value>, version: &str) -> Checked<Prompt> {
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Problem::new(Wrong::Unknown).under(unknown));
    }
    let mut prompt = Prompt::for_model(required(fields, "model", string)?);
    let model = &prompt.model.clone();
    let max_tokens = required(fields, "max_tokens", |value| match integer_in(value, 0, i64::MAX)? {
        most if most > MOST_OUTPUT => {
            let text =
                format!("{most} > {MOST_OUTPUT}, which is the maximum allowed number of output tokens for {model}");
            Err(Problem::rule(text))
        }
        most => Ok(most),
    })?;
    prompt.max_tokens = usize::try_from(max_tokens).ok();
    prompt.stream = present(fields, "stream", boolean)?.unwrap_or(false);
    let thinks = present(fields, "thinking", |value| thinking(value, max_tokens, &mut prompt))?;
    let thinks = thinks.unwrap_or(Thinking::Off);

    let mut breakpoints = usize::from(nullable(fields, "cache_control", blocks::cache_control)?.is_some());
    let mut short = false;
    // In the order in which the vendor looks at them.
    let mut counted = |value: &Value| {
        breakpoints += 1;
        blocks::cache_control(value)?;
        let is_long = value.get("ttl").is_some_and(|ttl| ttl == "1h");
        if is_long && short {
            return Err(Problem::rule(
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are \
                 processed in the following order: `tools`, `system`, `messages`.",
            ));
        }
        short |= !is_long;
        Ok(())
    };
    let tools = present(fields, "tools", |value| each(value, |value| tool(value, &mut counted)))?;
    prompt.tools = tools.unwrap_or_default();
    prompt.system = present(fields, "system", |value| blocks::text(value, &mut counted))?.unwrap_or_default();
    required(fields, "messages", |value| messages::read(value, version, thinks, &mut prompt, &mut counted))?;
    if breakpoints > MOST_BREAKPOINTS {
        let text =
            format!("A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {breakpoints}.");
        return Err(Problem::rule(text));
    }

    sampling(fields, model, version, thinks)?;
    plain_fields(fields)?;
    let stops = present(fields, "stop_sequences", |value| {
        each(value, |stop| match string(stop)? {
            blank if blank.trim().is_empty() => Err(Problem::rule("each stop sequence must contain non-whitespace")),
            stop => Ok(stop.to_owned()),
        })
    })?;
    prompt.stop = stops.unwrap_or_default();
    present(fields, "tool_choice", |value| tool_choice(value, thinks, &mut prompt))?;
    present(fields, "output_config", |value| output_config(value, &mut prompt))?;
    Ok(prompt)
}

fn sampling(fields: &Map<String, Value>, model: &str, version: &str, thinks: Thinking) -> Checked<()> {
    for name in ["temperature", "top_p", "top_k"] {
        if fields.contains_key(name) && version == WITHOUT_SAMPLING {
            return Err(Problem::rule(format!("{name} was removed in version {WITHOUT_SAMPLING}")).under(name));
        }
        if fields.contains_key(name) && !is_older(model) {
            return Err(Problem::rule(format!("{name} is deprecated for this model")).under(name));
        }
    }
    let temperature = present(fields, "temperature", |value| number_in(value, 0.0, 1.0))?;
    let top_p = present(fields, "top_p", |value| number_in(value, 0.0, 1.0))?;
    let top_k = present(fields, "top_k", |value| integer_in(value, 0, i64::MAX))?;
    let barred = [
        (temperature.is_some_and(|given| given < 1.0), "`temperature` may only be set to 1 when thinking is enabled."),
        (
            top_p.is_some_and(|given| given < 0.95),
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ),
        (top_k.is_some(), "`top_k` must be unset when thinking is enabled."),
    ];
    match barred.into_iter().find(|(is_barred, _)| *is_barred && thinks != Thinking::Off) {
        Some((_, text)) => Err(Problem::rule(text)),
        None => Ok(()),
    }
}

/// Fields that change nothing in a fake's answer.
fn plain_fields(fields: &Map<String, Value>) -> Checked<()> {
    present(fields, "metadata", |value| nullable(object(value, &["user_id"])?, "user_id", string))?;
    present(fields, "service_tier", |value| choice(value, &["auto", "standard_only"]))?;
    nullable(fields, "speed", |value| choice(value, &["standard", "fast"]))?;
    nullable(fields, "container", string)?;
    nullable(fields, "inference_geo", string)?;
    nullable(fields, "diagnostics", |value| {
        nullable(object(value, &["previous_message_id"])?, "previous_message_id", string)
    })?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
pub enum Thinking {
    /// With a budget, which does not go together with a forced tool.
    Budgeted,
    Adaptive,
    Off,
}

fn thinking(value: &Value, max_tokens: i64, prompt: &mut Prompt) -> Checked<Thinking> {
    let kinds: &[&str] = &["adaptive", "enabled", "disabled", "between_tools"];
    let kind = required(open_object(value)?, "type", |kind| choice(kind, kinds))?;
    let known: &[&str] = match kind {
        "adaptive" => &["type", "display"],
        "enabled" => &["type", "budget_tokens", "display"],
        _ => &["type"],
    };
    let fields = object(value, known)?;
    let display = nullable(fields, "display", |display| choice(display, &["summarized", "omitted"]))?;
    let older = is_older(&prompt.model);
    // Newer models keep their thoughts to themselves if nobody asks for them.
    prompt.hides_thinking = display.map_or(!older, |display| display == "omitted");
    if matches!(kind, "adaptive" | "enabled") {
        prompt.thinks = Thinks::IfAsked;
    }
    match kind {
        "enabled" if !older => Err(Problem::rule(
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\"",
        )),
        "enabled" => required(fields, "budget_tokens", |budget| match integer(budget)? {
            budget if budget < 1024 => Err(Problem::rule("Input should be greater than or equal to 1024")),
            budget if budget >= max_tokens => {
                Err(Problem::rule("`max_tokens` must be greater than `thinking.budget_tokens`"))
            }
            _ => Ok(Thinking::Budgeted),
        }),
        "adaptive" => Ok(Thinking::Adaptive),
        _ => Ok(Thinking::Off),
    }
}

fn tool<'a>(value: &'a Value, cache_control: &mut impl FnMut(&'a Value) -> Checked<()>) -> Checked<Tool> {
    const FIELDS: &[&str] = &[
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "eager_input_streaming",
        "defer_loading",
        "allowed_callers",
        "input_examples",
        "type",
    ];
    let fields = object(value, FIELDS)?;
    nullable(fields, "type", |kind| choice(kind, &["custom"]))?;
    let name = required(fields, "name", |name| identifier(name, 128))?;
    present(fields, "description", string)?;
    present(fields, "strict", boolean)?;
    nullable(fields, "eager_input_streaming", boolean)?;
    present(fields, "defer_loading", boolean)?;
    present(fields, "allowed_callers", |callers| each(callers, |caller| string(caller)))?;
    present(fields, "input_examples", |examples| each(examples, |example| open_object(example)))?;
    nullable(fields, "cache_control", cache_control)?;
    let schema = required(fields, "input_schema", |schema| {
        required(open_object(schema)?, "type", |kind| choice(kind, &["object"]))?;
        Ok(schema.clone())
    })?;
    Ok(Tool { name: name.to_owned(), kind: ToolKind::Function { schema } })
}

fn tool_choice(value: &Value, thinks: Thinking, prompt: &mut Prompt) -> Checked<()> {
    let kind = required(open_object(value)?, "type", |kind| choice(kind, &["auto", "any", "tool", "none"]))?;
    let known: &[&str] = match kind {
        "none" => &["type"],
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        _ => &["type", "disable_parallel_tool_use"],
    };
    let fields = object(value, known)?;
    if prompt.tools.is_empty() && kind != "none" {
        return Err(Problem::rule("tool_choice may only be specified while providing tools"));
    }
    if matches!(kind, "any" | "tool") && thinks == Thinking::Budgeted {
        return Err(Problem::rule("Thinking may not be enabled when tool_choice forces tool use."));
    }
    prompt.one_call_only = present(fields, "disable_parallel_tool_use", boolean)?.unwrap_or(false);
    prompt.tool_choice = match kind {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        _ => {
            let name = required(fields, "name", string)?;
            if !prompt.tools.iter().any(|tool| tool.name == name) {
                return Err(Problem::rule(format!("Tool '{name}' not found in provided tools")).under("name"));
            }
            ToolChoice::Named(name.to_owned())
        }
    };
    Ok(())
}

fn output_config(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, &["effort", "format"])?;
    nullable(fields, "effort", |effort| choice(effort, &["low", "medium", "high", "xhigh", "max"]))?;
    let schema = nullable(fields, "format", |format| {
        let format = object(format, &["type", "schema"])?;
        required(format, "type", |kind| choice(kind, &["json_schema"]))?;
        required(format, "schema", |schema| {
            open_object(schema)?;
            output_schema(schema)?;
            Ok(schema.clone())
        })
    })?;
    prompt.json = schema.map_or(JsonOutput::No, JsonOutput::Schema);
    Ok(())
}

/// Objects have to be closed, everywhere in the schema.
fn output_schema(schema: &Value) -> Checked<()> {
    let Value::Object(keywords) = schema else { return Ok(()) };
    let unsupported = keywords.keys().map(String::as_str).find(|key| UNSUPPORTED_KEYWORDS.contains(key));
    if let Some(keyword) = unsupported.or_else(|| too_much_of_text(keywords)) {
        return Err(Problem::rule(format!("property '{keyword}' is not supported")));
    }
    let is_object = match keywords.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => keywords.contains_key("properties"),
    };
    if is_object && keywords.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(Problem::rule("For 'object' type, 'additionalProperties' must be explicitly set to false"));
    }
    for (keyword, value) in keywords {
        let inner: Box<dyn Iterator<Item = &Value>> = match (keyword.as_str(), value) {
            ("items", one) => Box::new(std::iter::once(one)),
            ("properties" | "$defs" | "definitions", Value::Object(named)) => Box::new(named.values()),
            ("anyOf" | "allOf", Value::Array(list)) => Box::new(list.iter()),
            _ => continue,
        };
        for schema in inner {
            output_schema(schema).map_err(|problem| problem.under(keyword))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OLD: &str = "2023-06-01";

    fn asked(fields: Value) -> Value {
        let mut body =
            json!({"model": "claude-fake", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    fn talked(messages: Value) -> Value {
        asked(json!({ "messages": messages }))
    }

    fn said(block: Value) -> Value {
        talked(json!([{"role": "user", "content": [block]}]))
    }

    fn image(media_type: &str, data: &str) -> Value {
        said(json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}))
    }

    fn used(content: Value) -> Value {
        let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
        talked(
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": [call]}, {"role": "user", "content": content}]),
        )
    }

    fn result(id: &str) -> Value {
        json!({"type": "tool_result", "tool_use_id": id, "content": "4"})
    }

    #[test]
    fn what_the_vendor_takes_is_taken() {
        let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        for body in [
            asked(
                json!({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}], "stream": true}),
            ),
            asked(json!({"tools": tools, "tool_choice": {"type": "tool", "name": "f"}})),
            asked(json!({"model": "claude-3-opus", "temperature": 1})),
            asked(
                json!({"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": false}}}}),
            ),
            asked(json!({"thinking": {"type": "adaptive"}, "metadata": {"user_id": "u"}})),
            used(json!([result("t1"), {"type": "text", "text": "and?"}])),
            talked(json!([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}])),
            image("image/png", "aGkh"),
            used(json!([{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "4"}]}])),
        ] {
            assert_eq!(read(body.to_string().as_bytes(), OLD).map(drop), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        let open = json!({"type": "object", "properties": {"a": {"type": "object"}}, "additionalProperties": false});
        let tool = |name: &str, schema: Value| asked(json!({"tools": [{"name": name, "input_schema": schema}]}));
        let call = |id: &str, input: Value| {
            let call = json!({"type": "tool_use", "id": id, "name": "f", "input": input});
            talked(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [call]}]))
        };
        let user = json!({"role": "user", "content": "a"});
        let marked =
            |ttl: &str| json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": ttl}});
        let cases = [
            (asked(json!({"foo": 1})), "foo: Extra inputs are not permitted"),
            (json!({"model": "claude-fake", "messages": []}), "max_tokens: Field required"),
            (json!({"max_tokens": 1, "messages": []}), "model: Field required"),
            (json!({"max_tokens": 1, "model": "claude-fake"}), "messages: Field required"),
            (asked(json!({"model": "gpt-4"})), "model: gpt-4"),
            (asked(json!({"max_tokens": 64_001})), "64001 > 64000"),
            (asked(json!({"temperature": null, "model": "claude-3-x"})), "temperature: Input should be a valid number"),
            (asked(json!({"temperature": 1.5, "model": "claude-3-x"})), "from 0 to 1"),
            (asked(json!({"temperature": 0.5})), "temperature is deprecated for this model"),
            (
                asked(json!({"stop_sequences": [" "]})),
                "stop_sequences.0: each stop sequence must contain non-whitespace",
            ),
            (asked(json!({"metadata": {"trace": "x"}})), "metadata.trace: Extra inputs"),
            (asked(json!({"tool_choice": {"type": "auto"}})), "while providing tools"),
            (
                asked(json!({"model": "claude-3-x", "temperature": 0.5, "thinking": {"type": "adaptive"}})),
                "`temperature` may only be set to 1",
            ),
            (
                asked(json!({"system": [marked("5m")], "messages": [{"role": "user", "content": [marked("1h")]}]})),
                "must not come after",
            ),
            (asked(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})), "not supported for this model"),
            (
                asked(json!({"output_config": {"format": {"type": "json_schema", "schema": open}}})),
                "additionalProperties",
            ),
            (
                asked(json!({"output_config": {"format": {"type": "json_schema", "schema": {"pattern": "^(?!a)"}}}})),
                "property 'pattern' is not supported",
            ),
            (
                tool("f g", json!({"type": "object"})),
                "tools.0.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
            ),
            (tool("f", json!({"type": "string"})), "tools.0.input_schema.type: Input should be 'object'"),
            (tool("f", json!({})), "tools.0.input_schema.type: Field required"),
            (talked(json!([])), "at least one message"),
            (talked(json!([{"role": "assistant", "content": "a"}])), "first message must use the \"user\" role"),
            (talked(json!([{"role": "tool", "content": "a"}])), "messages.0.role: Input should be 'user'"),
            (talked(json!([{"role": "user", "content": "a", "name": "b"}])), "messages.0.name: Extra inputs"),
            (talked(json!([{"role": "user", "content": ""}])), "non-empty"),
            (talked(json!([user, {"role": "assistant", "content": "a"}])), "prefill"),
            (
                asked(json!({"model": "claude-3-x", "messages": [user, {"role": "assistant", "content": " "}]})),
                "trailing whitespace",
            ),
            (
                asked(json!({"model": "claude-3-x", "messages": [user, {"role": "system", "content": "b"}]})),
                "\"system\"",
            ),
            (said(json!({"type": "text", "text": ""})), "messages.0.content.0: text content blocks must be non-empty"),
            (said(json!({"type": "text", "text": "a", "foo": 1})), "messages.0.content.0.foo: Extra inputs"),
            (said(json!({"type": "image_url", "image_url": {}})), "messages.0.content.0.type: Input should be 'text'"),
            (said(result("t1")), "unexpected `tool_use_id`"),
            (image("image/bmp", "aGkh"), "media_type: Input should be 'image/jpeg'"),
            (image("image/png", "aGk"), "invalid base64"),
            (call("a b", json!({})), "messages.1.content.0.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
            (call("t1", json!("{}")), "messages.1.content.0.input: Input should be a valid dictionary"),
            (call("t1", json!({})), "found without `tool_result` blocks immediately after: t1"),
            (used(json!("4")), "found without `tool_result` blocks"),
            (used(json!([{"type": "text", "text": "a"}, result("t1")])), "must come first"),
            (used(json!([result("t1"), result("t1")])), "unexpected `tool_use_id`"),
            (
                used(json!([{"type": "tool_result", "tool_use_id": "t1", "is_error": true}])),
                "content cannot be empty if `is_error` is true",
            ),
        ];
        for (body, message) in cases {
            let refusal = read(body.to_string().as_bytes(), OLD).map(drop).unwrap_err();
            assert!(refusal.message.contains(message), "{body}: {refusal:?}");
        }
    }

    #[test]
    fn place_has_its_own_fields() {
        let of = |surface: Surface, stream: bool, fields: Value| {
            let mut body = asked(fields);
            body.as_object_mut().unwrap().retain(|name, value| name != "model" || value != "claude-fake");
            let model =
                if surface == Surface::Bedrock { "us.anthropic.claude-fake-v1:0?status=503" } else { "claude-fake" };
            let place = Place { model: model.to_owned(), stream };
            read_at(body.to_string().as_bytes(), surface, place).map_err(|refusal| refusal.message)
        };
        let vertex = json!({"anthropic_version": "vertex-2023-10-16"});
        let bedrock = json!({"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["a"]});
        assert!(of(Surface::Vertex, false, vertex.clone()).is_ok());
        let prompt = of(Surface::Bedrock, true, bedrock.clone()).unwrap();
        assert_eq!((prompt.model.as_str(), prompt.stream), ("claude-fake-v1:0", true));
        assert_eq!(prompt.faults.as_deref(), Some("status=503"));
        let with = |fields: &Value, name: &str, value: Value| {
            let mut fields = fields.clone();
            fields[name] = value;
            fields
        };
        for (surface, stream, fields, message) in [
            (Surface::Vertex, false, json!({}), "anthropic_version: Field required"),
            (Surface::Vertex, false, bedrock.clone(), "anthropic_version: Input should be 'vertex-2023-10-16'"),
            (Surface::Vertex, false, with(&vertex, "model", json!("claude-x")), "model: Extra inputs"),
            (Surface::Vertex, true, vertex.clone(), "stream: must be true"),
            (Surface::Bedrock, true, with(&bedrock, "stream", json!(true)), "stream: Extra inputs"),
            (Surface::Bedrock, false, with(&bedrock, "anthropic_beta", json!("a")), "anthropic_beta: Input should be"),
        ] {
            let problem = of(surface, stream, fields.clone()).map(drop).unwrap_err();
            assert!(problem.contains(message), "{fields}: {problem}");
        }
    }

    #[test]
    fn new_version_has_no_sampling() {
        let body = asked(json!({"model": "claude-3-x", "temperature": 1})).to_string();
        assert!(read(body.as_bytes(), OLD).is_ok());
        assert!(read(body.as_bytes(), WITHOUT_SAMPLING).is_err());
    }

    #[test]
    fn thoughts_come_back_as_they_were() {
        let thinking = crate::thinking::Thinking::about("hi", "id");
        let thought =
            |text: &str, signature: &str| json!({"type": "thinking", "thinking": text, "signature": signature});
        let whole = thought(&thinking.text, &thinking.signature);
        let talked = |model: &str, mode: Value, thoughts: &[Value]| {
            let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
            let turn: Vec<_> = thoughts.iter().cloned().chain([call]).collect();
            let messages = json!([
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": turn},
                {"role": "user", "content": [result("t1")]},
            ]);
            let body = asked(json!({"model": model, "max_tokens": 4000, "thinking": mode, "messages": messages}));
            read(body.to_string().as_bytes(), OLD).map(drop).map_err(|refusal| refusal.message)
        };
        let budget = || json!({"type": "enabled", "budget_tokens": 2000});
        let adaptive = || json!({"type": "adaptive"});
        let (old, new) = ("claude-3-x", "claude-fake");
        assert_eq!(talked(old, budget(), std::slice::from_ref(&whole)), Ok(()));
        assert_eq!(talked(new, adaptive(), &[thought("", &thinking.signature)]), Ok(()));
        assert_eq!(talked(new, adaptive(), &[]), Ok(()));
        let cases = [
            (talked(old, budget(), &[]), "messages.1.content.0.type: Expected `thinking`"),
            (talked(new, json!({"type": "disabled"}), std::slice::from_ref(&whole)), "cannot contain `thinking`"),
            (talked(new, adaptive(), &[thought("other", &thinking.signature)]), "Invalid `signature`"),
            (talked(new, adaptive(), &[thought(&thinking.text, "other")]), "Invalid `signature`"),
        ];
        for (answer, words) in cases {
            assert!(answer.as_ref().is_err_and(|message| message.contains(words)), "{words}: {answer:?}");
        }
    }
}
