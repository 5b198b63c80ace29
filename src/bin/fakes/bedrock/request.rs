//! Reads a Converse request and refuses what Bedrock refuses, in its words.
//!
//! Two speak here: Bedrock itself of what its service model says (`1 validation error detected: …`), and the model
//! behind it of the fields that go to it as they are (`The model returned the following errors: …`). Messages and
//! their blocks are read in `blocks`.

use serde_json::{Map, Value};

use super::VALIDATION;
use super::blocks::{self, Conversation};
use crate::prompt::{JsonOutput, Prompt, Tool, ToolChoice, ToolKind};
use crate::strict::{
    Checked, Problem, Refusal, TopLevel, Wrong, array, boolean, choice, each, integer, integer_in, number_in, object,
    open_object, present, required, string, too_much_of_text,
};
use crate::thinking::Thinks;

const FIELDS: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "inferenceConfig",
    "messages",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
    "system",
    "toolConfig",
];

/// What the models of the fake answer at most.
pub const MOST_OUTPUT: i64 = 64_000;
const MOST_CACHE_POINTS: usize = 4;

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

/// Whose a model is, as its additional fields depend on it.
#[derive(Clone, Copy, PartialEq)]
pub enum Maker {
    Claude,
    Nova,
    Meta,
    Other,
}

pub fn read(model: &str, body: &[u8]) -> Result<Prompt, Refusal> {
    let (name, _) = model.split_once('?').unwrap_or((model, ""));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if !name.contains("fake") || !name.bytes().all(allowed) {
        return Err(Refusal::new(400, VALIDATION, "The provided model identifier is invalid."));
    }
    let top: TopLevel =
        serde_json::from_slice(body).map_err(|_| Refusal::new(400, "SerializationException", "STREAM_CORRUPTED"))?;
    if let Some(key) = top.repeated {
        return Err(Refusal::new(400, VALIDATION, format!("duplicate key {key} in the request body")));
    }
    open_object(&top.fields).and_then(|fields| request(model, fields)).map_err(refusal)
}

fn refusal(problem: Problem) -> Refusal {
    let place = problem.dotted();
    let detected = |constraint: String| {
        format!("1 validation error detected: Value at '{place}' failed to satisfy constraint: {constraint}")
    };
    let message = match problem.wrong {
        Wrong::Unknown => {
            format!(
                "Malformed input request: extraneous key [{place}] is not permitted, please reformat your input and try again."
            )
        }
        Wrong::Missing => detected("Member must not be null".to_owned()),
        Wrong::Type { expected, got } => format!("{place}: expected {expected}, but got {got}"),
        Wrong::Choice { supported, .. } => {
            detected(format!("Member must satisfy enum value set: [{}]", supported.join(", ")))
        }
        Wrong::Rule(text) => text.replace("{place}", &place),
        Wrong::Refused(refusal) => return *refusal,
    };
    Refusal::new(400, VALIDATION, message)
}

/// A constraint of the service model.
pub fn constraint(text: &str) -> Problem {
    Problem::rule(format!("1 validation error detected: Value at '{{place}}' failed to satisfy constraint: {text}"))
}

/// What the model says to Bedrock.
pub fn of_model(text: &str) -> Problem {
    Problem::rule(format!("The model returned the following errors: {text}"))
}

/// One member of a union, and no other.
pub fn member<'a>(value: &'a Value, known: &[&str]) -> Checked<(&'a str, &'a Value)> {
    let fields = object(value, known)?;
    match (fields.iter().next(), fields.len()) {
        (Some((name, value)), 1) => Ok((name, value)),
        _ => Err(constraint("exactly one member of a union must be set")),
    }
}

/// A string of the service model, with its lengths.
pub fn text(value: &Value, least: usize, most: usize) -> Checked<&str> {
    match string(value)? {
        text if text.len() < least => {
            Err(constraint(&format!("Member must have length greater than or equal to {least}")))
        }
        text if text.len() > most => Err(constraint(&format!("Member must have length less than or equal to {most}"))),
        text => Ok(text),
    }
}

/// A string whose characters are letters, digits and these.
pub fn plain<'a>(value: &'a Value, punctuation: &str, most: usize) -> Checked<&'a str> {
    let text = text(value, 1, most)?;
    let fits = |char: char| char.is_ascii_alphanumeric() || punctuation.contains(char);
    if text.chars().all(fits) {
        Ok(text)
    } else {
        Err(constraint(&format!("Member must satisfy regular expression pattern: [a-zA-Z0-9{punctuation}]+")))
    }
}

fn request(model: &str, fields: &Map<String, Value>) -> Checked<Prompt> {
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Problem::new(Wrong::Unknown).under(unknown));
    }
    let mut prompt = Prompt::for_model(model);
    let maker = match &prompt.model {
        name if name.contains("anthropic.") => Maker::Claude,
        name if name.contains("amazon.nova") => Maker::Nova,
        name if name.contains("meta.") => Maker::Meta,
        _ => Maker::Other,
    };
    let mut cache_points = 0;
    let system = present(fields, "system", |value| each(value, |block| blocks::system(block, &mut cache_points)))?;
    prompt.system = system.unwrap_or_default().join("\n");
    let forced = present(fields, "toolConfig", |value| tool_config(value, maker, &mut prompt, &mut cache_points))?;
    let max_tokens = present(fields, "inferenceConfig", |value| inference(value, &mut prompt))?.flatten();
    let additional = present(fields, "additionalModelRequestFields", |value| {
        additional(value, maker, fields, max_tokens, &mut prompt)
    })?;
    let thinks = additional.unwrap_or(Thinking::Unsaid);
    if matches!(thinks, Thinking::Budgeted | Thinking::Adaptive) && forced.unwrap_or(false) {
        return Err(of_model("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if prompt.max_tokens.is_none() && thinks != Thinking::NovaHard {
        prompt.max_tokens = usize::try_from(MOST_OUTPUT).ok();
    }
    let conversation = Conversation { maker, thinks, has_tools: fields.contains_key("toolConfig") };
    required(fields, "messages", |value| conversation.read(value, &mut prompt, &mut cache_points))?;
    if cache_points > 0 && matches!(maker, Maker::Meta | Maker::Other) {
        return Err(Problem::rule("You invoked an unsupported model or your request did not allow prompt caching."));
    }
    if cache_points > MOST_CACHE_POINTS {
        let text = format!(
            "A maximum of {MOST_CACHE_POINTS} blocks with cache_control may be provided. Found {cache_points}."
        );
        return Err(of_model(&text));
    }
    plain_fields(fields)?;
    present(fields, "outputConfig", |value| output_config(value, &mut prompt))?;
    Ok(prompt)
}

fn inference(value: &Value, prompt: &mut Prompt) -> Checked<Option<i64>> {
    let fields = object(value, &["maxTokens", "temperature", "topP", "stopSequences"])?;
    let max_tokens = present(fields, "maxTokens", |value| match integer(value)? {
        most if most < 1 => Err(constraint("Member must have value greater than or equal to 1")),
        most if most > MOST_OUTPUT => Err(Problem::rule(format!(
            "The maximum tokens you requested exceeds the model limit of {MOST_OUTPUT}. Try again with a maximum tokens value that is \
             lower than {MOST_OUTPUT}."
        ))),
        most => Ok(most),
    })?;
    prompt.max_tokens = max_tokens.and_then(|most| usize::try_from(most).ok());
    for name in ["temperature", "topP"] {
        let one = |value| {
            number_in(value, 0.0, 1.0).map_err(|_| constraint("Member must have value less than or equal to 1"))
        };
        present(fields, name, one)?;
    }
    let stops = present(fields, "stopSequences", |value| each(value, |stop| text(stop, 1, usize::MAX)))?;
    prompt.stop = stops.unwrap_or_default().into_iter().map(str::to_owned).collect();
    Ok(max_tokens)
}

/// Whether a call is forced.
fn tool_config(value: &Value, maker: Maker, prompt: &mut Prompt, cache_points: &mut usize) -> Checked<bool> {
    let fields = object(value, &["tools", "toolChoice"])?;
    let tools = required(fields, "tools", |value| match array(value)? {
        list if list.is_empty() => Err(constraint("Member must have length greater than or equal to 1")),
        _ => each(value, |tool| self::tool(tool, maker, cache_points)),
    })?;
    prompt.tools = tools.into_iter().flatten().collect();
    let choice = present(fields, "toolChoice", |value| match member(value, &["auto", "any", "tool"])? {
        ("auto", value) => object(value, &[]).map(|_| ToolChoice::Auto),
        ("any", value) => object(value, &[]).map(|_| ToolChoice::Required),
        (_, value) => {
            let name = required(object(value, &["name"])?, "name", |name| plain(name, "_-", 64))?;
            if prompt.tools.iter().any(|tool| tool.name == name) {
                return Ok(ToolChoice::Named(name.to_owned()));
            }
            Err(of_model(&format!("tool_choice.name: '{name}' is not a tool")))
        }
    })?;
    prompt.tool_choice = choice.unwrap_or_default();
    Ok(matches!(prompt.tool_choice, ToolChoice::Required | ToolChoice::Named(_)))
}

fn tool(value: &Value, maker: Maker, cache_points: &mut usize) -> Checked<Option<Tool>> {
    match member(value, &["toolSpec", "systemTool", "cachePoint"])? {
        ("cachePoint", _) if maker != Maker::Claude => {
            Err(Problem::rule("Cache points are not supported for toolConfig.tools by this model."))
        }
        ("cachePoint", value) => blocks::cache_point(value, cache_points).map(|()| None),
        ("systemTool", value) => {
            required(object(value, &["name"])?, "name", |name| plain(name, "_-", 64)).map(|_| None)
        }
        (_, value) => {
            let fields = object(value, &["name", "description", "inputSchema", "strict"])?;
            present(fields, "description", |value| text(value, 1, usize::MAX))?;
            let strict = present(fields, "strict", boolean)?.unwrap_or(false);
            let schema = required(fields, "inputSchema", |value| {
                let (_, schema) = member(value, &["json"])?;
                if schema.get("type").is_none_or(|kind| kind != "object") {
                    let text = "The value at toolConfig.tools.{place}.type must be one of the following: object.";
                    return Err(Problem::rule(text));
                }
                if strict {
                    closed(schema)?;
                }
                Ok(schema.clone())
            })?;
            let name = required(fields, "name", |name| plain(name, "_-", 64))?;
            Ok(Some(Tool { name: name.to_owned(), kind: ToolKind::Function { schema } }))
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Thinking {
    Budgeted,
    Adaptive,
    Off,
    Unsaid,
    Nova,
    NovaHard,
}

/// Fields that the model itself reads.
fn additional(
    value: &Value,
    maker: Maker,
    request: &Map<String, Value>,
    max_tokens: Option<i64>,
    prompt: &mut Prompt,
) -> Checked<Thinking> {
    let known: &[&str] = match maker {
        Maker::Claude => &["top_k", "thinking", "tool_choice", "anthropic_beta", "output_config"],
        Maker::Nova => &["inferenceConfig", "reasoningConfig"],
        Maker::Meta | Maker::Other => &[],
    };
    let fields = object(value, known)?;
    present(fields, "anthropic_beta", |value| each(value, string))?;
    present(fields, "top_k", |value| integer_in(value, 0, 500))?;
    present(fields, "inferenceConfig", |value| {
        required(object(value, &["topK"])?, "topK", |value| integer_in(value, 1, 128))
    })?;
    present(fields, "tool_choice", |value| claude_choice(value, request, prompt))?;
    let inference = request.get("inferenceConfig");
    let has = |name: &str| inference.is_some_and(|inference| inference.get(name).is_some());
    let thinks = present(fields, "thinking", |value| {
        let thinks = thinking(value, max_tokens, prompt)?;
        if thinks != Thinking::Off && (has("temperature") || fields.contains_key("top_k")) {
            return Err(of_model(
                "`temperature` may only be set to 1 and `top_k` must be unset when thinking is enabled.",
            ));
        }
        Ok(thinks)
    })?;
    let nova = present(fields, "reasoningConfig", |value| {
        let fields = object(value, &["type", "maxReasoningEffort"])?;
        let kind = required(fields, "type", |kind| choice(kind, &["enabled", "disabled"]))?;
        let effort = present(fields, "maxReasoningEffort", |effort| choice(effort, &["low", "medium", "high"]))?;
        if kind == "enabled" {
            prompt.thinks = Thinks::IfAsked;
        }
        if effort == Some("high") && ["maxTokens", "temperature", "topP"].into_iter().any(has) {
            return Err(of_model("maxTokens, temperature and topP must be unset when maxReasoningEffort is high."));
        }
        Ok(if effort == Some("high") { Thinking::NovaHard } else { Thinking::Nova })
    })?;
    Ok(thinks.or(nova).unwrap_or(Thinking::Unsaid))
}

/// The Messages API's own choice, which must not be said in both places.
fn claude_choice(value: &Value, request: &Map<String, Value>, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, &["type", "name", "disable_parallel_tool_use"])?;
    let own = request.get("toolConfig").and_then(|config| config.get("toolChoice"));
    if own.is_some() && fields.contains_key("type") {
        return Err(Problem::rule("The additional field tool_choice.type conflicts with an existing field."));
    }
    if request.get("toolConfig").is_none() {
        return Err(of_model("tool_choice may only be specified while providing tools."));
    }
    if own.is_none() && !fields.contains_key("type") {
        return Err(of_model("tool_choice.type: Field required"));
    }
    prompt.one_call_only = present(fields, "disable_parallel_tool_use", boolean)?.unwrap_or(false);
    match present(fields, "type", |kind| choice(kind, &["auto", "any", "tool", "none"]))? {
        Some("any") => prompt.tool_choice = ToolChoice::Required,
        Some("none") => prompt.tool_choice = ToolChoice::None,
        Some("tool") => prompt.tool_choice = ToolChoice::Named(required(fields, "name", string)?.to_owned()),
        _ => {}
    }
    Ok(())
}

fn thinking(value: &Value, max_tokens: Option<i64>, prompt: &mut Prompt) -> Checked<Thinking> {
    let fields = object(value, &["type", "budget_tokens", "display"])?;
    let display = present(fields, "display", |display| choice(display, &["summarized", "omitted"]))?;
    let kind = required(fields, "type", |kind| choice(kind, &["adaptive", "enabled", "disabled"]))?;
    // As newer models do.
    prompt.hides_thinking = kind == "adaptive" && display != Some("summarized");
    if kind != "disabled" {
        prompt.thinks = Thinks::IfAsked;
    }
    match kind {
        "adaptive" => Ok(Thinking::Adaptive),
        "disabled" => Ok(Thinking::Off),
        _ => required(fields, "budget_tokens", |budget| match integer(budget)? {
            budget if budget < 1024 => {
                Err(of_model("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"))
            }
            budget if max_tokens.is_some_and(|most| budget >= most) => {
                Err(of_model("`max_tokens` must be greater than `thinking.budget_tokens`."))
            }
            _ => Ok(Thinking::Budgeted),
        }),
    }
}

/// Fields that change nothing in a fake's answer.
fn plain_fields(fields: &Map<String, Value>) -> Checked<()> {
    present(fields, "serviceTier", |value| {
        required(object(value, &["type"])?, "type", |tier| choice(tier, &["priority", "default", "flex", "reserved"]))
    })?;
    present(fields, "performanceConfig", |value| {
        present(object(value, &["latency"])?, "latency", |latency| choice(latency, &["standard", "optimized"]))
    })?;
    present(fields, "guardrailConfig", |value| {
        let known = ["guardrailIdentifier", "guardrailVersion", "trace", "streamProcessingMode"];
        let fields = object(value, &known)?;
        required(fields, "guardrailIdentifier", string)?;
        required(fields, "guardrailVersion", string)?;
        present(fields, "trace", |trace| choice(trace, &["enabled", "disabled", "enabled_full"]))?;
        present(fields, "streamProcessingMode", |mode| choice(mode, &["sync", "async"]))
    })?;
    present(fields, "requestMetadata", |value| {
        let pairs = open_object(value)?;
        if !(1..=16).contains(&pairs.len()) {
            return Err(constraint("Map must have between 1 and 16 entries"));
        }
        pairs.iter().try_for_each(|(name, value)| {
            let fits = |text: &str| {
                let fits =
                    |char: char| char.is_ascii_alphanumeric() || char.is_whitespace() || ":_@$#=/+,-.".contains(char);
                text.len() <= 256 && text.chars().all(fits)
            };
            let right = !name.is_empty() && fits(name) && fits(string(value)?);
            if right { Ok(()) } else { Err(constraint("Map keys and values must satisfy their patterns").under(name)) }
        })
    })?;
    present(fields, "additionalModelResponseFieldPaths", |value| {
        each(value, |path| match text(path, 1, 256)? {
            path if path.starts_with('/') => Ok(()),
            _ => Err(constraint("Member must be a JSON Pointer")),
        })
    })?;
    present(fields, "promptVariables", open_object)?;
    Ok(())
}

fn output_config(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, &["textFormat", "effort"])?;
    present(fields, "effort", |effort| choice(effort, &["low", "medium", "high", "xhigh", "max"]))?;
    present(fields, "textFormat", |value| {
        let fields = object(value, &["type", "structure"])?;
        required(fields, "type", |kind| choice(kind, &["json_schema"]))?;
        required(fields, "structure", |value| {
            let (_, definition) = member(value, &["jsonSchema"])?;
            let fields = object(definition, &["name", "description", "schema"])?;
            present(fields, "name", string)?;
            present(fields, "description", string)?;
            required(fields, "schema", |schema| {
                let schema: Value = serde_json::from_str(string(schema)?)
                    .map_err(|_| Problem::rule("The schema at {place} is not valid JSON."))?;
                closed(&schema)?;
                prompt.json = JsonOutput::Schema(schema);
                Ok(())
            })
        })
    })?;
    Ok(())
}

/// Every object says that it has no further properties, and nothing is asked for that cannot be held.
fn closed(schema: &Value) -> Checked<()> {
    let Some(fields) = schema.as_object() else { return Ok(()) };
    let unsupported = fields.keys().map(String::as_str).find(|key| UNSUPPORTED_KEYWORDS.contains(key));
    if let Some(keyword) = unsupported.or_else(|| too_much_of_text(fields)) {
        return Err(of_model(&format!("output_config.format.schema: For type, property '{keyword}' is not supported")));
    }
    if fields.contains_key("properties") && fields.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(of_model(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ));
    }
    for key in ["properties", "$defs", "definitions"] {
        fields.get(key).and_then(Value::as_object).into_iter().flat_map(|named| named.values()).try_for_each(closed)?;
    }
    fields.get("items").map_or(Ok(()), closed)?;
    ["anyOf", "allOf"].iter().filter_map(|key| fields.get(*key)?.as_array()).flatten().try_for_each(closed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CLAUDE: &str = "us.anthropic.claude-fake-v1:0";
    const NOVA: &str = "amazon.nova-fake-v1:0";

    fn refused(model: &str, change: &Value) -> String {
        let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        read(model, body.to_string().as_bytes()).map_or_else(|refusal| refusal.message, |_| String::new())
    }

    fn said(content: &Value) -> Value {
        json!({"messages": [{"role": "user", "content": content}]})
    }

    fn tools() -> Value {
        json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]})
    }

    fn used(content: Value) -> Value {
        let call = json!({"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}});
        json!({"toolConfig": tools(), "messages": [
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": content},
        ]})
    }

    #[test]
    fn what_is_right_is_taken() {
        let result = |content: Value| json!([{"toolResult": {"toolUseId": "t1", "content": content}}]);
        for change in [
            json!({}),
            json!({"system": [{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}),
            json!({"inferenceConfig": {"maxTokens": 5, "temperature": 1, "topP": 0.5, "stopSequences": ["a"]}}),
            json!({"additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "top_k": null}}),
            used(result(json!([{"text": "a"}, {"json": {}}]))),
            said(
                &json!([{"document": {"name": "a (1)", "format": "pdf", "source": {"bytes": "aGkh"}}}, {"text": "a"}]),
            ),
        ] {
            let change: Value = serde_json::from_str(&change.to_string().replace(r#","top_k":null"#, "")).unwrap();
            assert_eq!(refused(CLAUDE, &change), "", "{change}");
        }
        assert_eq!(
            refused("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.fake-v1:0", &json!({})),
            ""
        );
    }

    #[test]
    fn what_is_wrong_is_refused_in_the_vendors_words() {
        let document = json!({"document": {"name": "a", "format": "pdf", "source": {"bytes": "aGkh"}}});
        let tool = |spec: Value| json!({"toolConfig": {"tools": [{"toolSpec": spec}]}});
        let schema = json!({"json": {"type": "object"}});
        let choice = |additional: Value| {
            let mut config = tools();
            config["toolChoice"] = json!({"any": {}});
            json!({"toolConfig": config, "additionalModelRequestFields": additional})
        };
        for (change, words) in [
            (json!({"foo": 1}), "extraneous key [foo]"),
            (json!({"messages": []}), "must start with a user message"),
            (
                json!({"messages": [{"role": "assistant", "content": [{"text": "a"}]}]}),
                "must start with a user message",
            ),
            (
                json!({"messages": [{"role": "user", "content": [{"text": "a"}]}, {"role": "user", "content": [{"text": "b"}]}]}),
                "must alternate",
            ),
            (said(&json!([])), "Message object at messages.0 is empty"),
            (said(&json!([{"text": " "}])), "at messages.0.content.0 is blank"),
            (said(&json!([{"text": "a", "image": {}}])), "exactly one member"),
            (said(&json!([{"image": {"format": "jpg", "source": {"bytes": "aGkh"}}}])), "enum value set: [png, jpeg"),
            (said(&json!([{"image": {"format": "png", "source": {"url": "https://h"}}}])), "extraneous key"),
            (said(&json!([{"image": {"format": "png", "source": {"bytes": "aGk"}}}])), "not valid base64"),
            (said(&json!([document])), "A text block must be included when using documents."),
            (said(&json!([document, document, {"text": "a"}])), "duplicate document names"),
            (
                said(&json!([{"document": {"name": "a_b", "source": {"text": "x"}}}, {"text": "a"}])),
                "file name can only contain",
            ),
            (json!({"system": [{"text": ""}]}), "greater than or equal to 1"),
            (json!({"inferenceConfig": {"temperature": 1.5}}), "less than or equal to 1"),
            (json!({"inferenceConfig": {"maxTokens": 0}}), "greater than or equal to 1"),
            (json!({"inferenceConfig": {"maxTokens": 64_001}}), "exceeds the model limit of 64000"),
            (json!({"inferenceConfig": {"topK": 1}}), "extraneous key [inferenceConfig.topK]"),
            (json!({"toolConfig": {"tools": []}}), "greater than or equal to 1"),
            (tool(json!({"name": "a.b", "inputSchema": schema})), "regular expression pattern"),
            (tool(json!({"name": "a", "description": "", "inputSchema": schema})), "greater than or equal to 1"),
            (
                tool(json!({"name": "a", "inputSchema": {"json": {"type": "array"}}})),
                "must be one of the following: object",
            ),
            (choice(json!({"tool_choice": {"type": "auto"}})), "conflicts with an existing field"),
            (choice(json!({"thinking": {"type": "adaptive"}})), "Thinking may not be enabled"),
            (
                json!({"toolConfig": tools(), "additionalModelRequestFields": {"tool_choice": {"disable_parallel_tool_use": true}}}),
                "tool_choice.type: Field required",
            ),
            (
                used(json!([{"text": "a"}])),
                "Expected toolResult blocks at messages.2.content for the following Ids: t1",
            ),
            (
                used(json!([{"toolResult": {"toolUseId": "t2", "content": []}}])),
                "exceeds the number of toolUse blocks of previous turn",
            ),
            (
                used(json!([{"toolResult": {"toolUseId": "t1", "content": [], "status": "error"}}])),
                "cannot be empty when status value is error",
            ),
            (used(json!([{"toolResult": {"toolUseId": "x".repeat(65), "content": []}}])), "less than or equal to 64"),
            (json!({"additionalModelRequestFields": {"foo": 1}}), "extraneous key [additionalModelRequestFields.foo]"),
            (
                json!({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 10}}}),
                "greater than or equal to 1024",
            ),
            (
                json!({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema":
                    {"schema": r#"{"type":"object","properties":{}}"#}}}}}),
                "must be explicitly set to false",
            ),
            (json!({"requestMetadata": {}}), "between 1 and 16"),
            (json!({"requestMetadata": {"a": "|"}}), "patterns"),
            (json!({"serviceTier": {"type": "auto"}}), "enum value set"),
        ] {
            let message = refused(CLAUDE, &change);
            assert!(message.contains(words), "{change}: {message}");
        }
        let without = used(json!([{"toolResult": {"toolUseId": "t1", "content": []}}]));
        assert!(
            refused(CLAUDE, &json!({"messages": without["messages"]})).contains("toolConfig field must be defined")
        );
        let mixed = used(json!([{"toolResult": {"toolUseId": "t1", "content": []}}, {"text": "and now?"}]));
        assert_eq!(refused(CLAUDE, &mixed), "");
        assert!(refused("us.meta.llama-fake-v1:0", &mixed).contains("cannot be provided in the same turn"));
        assert!(refused("anthropic.claude-fake-v1%3A0", &json!({})).contains("model identifier is invalid"));
        let hard = json!({"inferenceConfig": {"maxTokens": 5}, "additionalModelRequestFields": {"reasoningConfig":
            {"type": "enabled", "maxReasoningEffort": "high"}}});
        assert!(refused(NOVA, &hard).contains("must be unset"));
        assert!(
            refused("meta.fake", &said(&json!([{"text": "a"}, {"cachePoint": {"type": "default"}}])))
                .contains("caching")
        );
    }

    #[test]
    fn thoughts_come_back_as_they_were() {
        let thinking = crate::thinking::Thinking::about("hi", "id");
        let thought = |text: &str, signature: &str| json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}});
        let whole = thought(&thinking.text, &thinking.signature);
        let talked = |model: &str, mode: Value, thoughts: &[Value]| {
            let mut body = used(json!([{"toolResult": {"toolUseId": "t1", "content": []}}]));
            let content = body.pointer_mut("/messages/1/content").unwrap().as_array_mut().unwrap();
            content.splice(0..0, thoughts.iter().cloned());
            body["additionalModelRequestFields"] = mode;
            refused(model, &body)
        };
        let budget = || json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
        let adaptive = || json!({"thinking": {"type": "adaptive"}});
        let off = || json!({"thinking": {"type": "disabled"}});
        assert_eq!(talked(CLAUDE, budget(), std::slice::from_ref(&whole)), "");
        assert_eq!(talked(CLAUDE, adaptive(), &[]), "");
        for (answer, words) in [
            (talked(CLAUDE, budget(), &[]), "Expected `thinking`"),
            (talked(CLAUDE, off(), std::slice::from_ref(&whole)), "cannot contain `thinking`"),
            (talked(CLAUDE, adaptive(), &[thought("other", &thinking.signature)]), "Invalid `signature`"),
            (talked(NOVA, json!({}), &[whole]), "doesn't support the reasoningContent field"),
        ] {
            assert!(answer.contains(words), "{words}: {answer}");
        }
    }
}
