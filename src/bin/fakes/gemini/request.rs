//! Reads a request and refuses what Google refuses, in the words of its JSON parser and of its API.
//!
//! Protobuf's JSON knows fields in two spellings and no others. Names of places are written as Google
//! does: in snake_case.

use serde_json::{Map, Value};

use super::{INVALID, Surface, contents, schema};
use crate::prompt::{JsonOutput, Prompt, Tool, ToolChoice, ToolKind};
use crate::strict::{
    Checked, Problem, Refusal, TopLevel, Wrong, boolean, choice, each, integer_in, number_in, open_object, present,
    required, string,
};
use crate::thinking::Thinks;

const FIELDS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "serviceTier",
];

const GENERATION: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
    "mediaResolution",
    "speechConfig",
    "imageConfig",
];

const CATEGORIES: &[&str] = &[
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
];
const THRESHOLDS: &[&str] = &["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"];

/// Most declarations that a request may have.
const MOST_TOOLS: usize = 512;

/// Tools that the API runs itself.
const BUILT_IN: &[&str] = &["googleSearch", "codeExecution", "urlContext", "googleMaps", "fileSearch", "computerUse"];

pub fn read(body: &[u8], model: &str, surface: Surface) -> Result<Prompt, Refusal> {
    let top: TopLevel = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(400, INVALID, format!("Invalid JSON payload received. Expected an object key or }}. {error}"))
    })?;
    if let Some(key) = top.repeated {
        let message = format!("Invalid value (oneof), field '{key}' is already set.");
        return Err(Refusal::new(400, INVALID, message));
    }
    let prompt = Prompt::for_model(model);
    if !prompt.model.starts_with("gemini-") {
        let message = format!(
            "models/{} is not found for API version v1beta, or is not supported for generateContent. Call ListModels \
             to see the list of available models and their supported methods.",
            prompt.model
        );
        return Err(Refusal::new(404, "NOT_FOUND", message));
    }
    request(&top.fields, prompt, surface).map_err(refusal)
}

fn refusal(problem: Problem) -> Refusal {
    let place = snake(&problem.bracketed());
    let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    let message = match problem.wrong {
        Wrong::Unknown => {
            let (outer, name) = place.rsplit_once('.').unwrap_or(("", &place));
            let at = if outer.is_empty() { String::new() } else { format!(" at '{outer}'") };
            format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.")
        }
        Wrong::Missing => format!("* GenerateContentRequest.{place}: {place} is not specified\n"),
        Wrong::Type { expected, got } => {
            let kind = match expected {
                "a string" => "TYPE_STRING",
                "a boolean" => "TYPE_BOOL",
                "an integer" => "TYPE_INT32",
                "a number" => "TYPE_FLOAT",
                _ => "type.googleapis.com/google.protobuf.Struct",
            };
            format!("Invalid value{at} ({kind}), {got}")
        }
        Wrong::Choice { got, .. } => format!("Invalid value{at} (TYPE_ENUM), \"{got}\""),
        Wrong::Rule(text) if place.is_empty() => text,
        Wrong::Rule(text) => format!("* GenerateContentRequest.{place}: {text}\n"),
        Wrong::Refused(refusal) => return *refusal,
    };
    Refusal::new(400, INVALID, message)
}

/// A rule whose words do not name the place.
pub fn plain(message: impl Into<String>) -> Problem {
    Problem::refused(Refusal::new(400, INVALID, message))
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|char| char.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
        camel
    })
}

/// A message of protobuf: its fields by their names in camelCase, and no other than the known ones.
pub fn message(value: &Value, known: &[&str]) -> Checked<Map<String, Value>> {
    let mut fields = Map::new();
    for (name, value) in open_object(value)? {
        let name = camel(name);
        if !known.contains(&name.as_str()) {
            return Err(Problem::new(Wrong::Unknown).under(&name));
        }
        // `null` is not there.
        if !value.is_null() && fields.insert(name.clone(), value.clone()).is_some() {
            return Err(plain(format!("Invalid value (oneof), field '{}' is already set.", snake(&name))));
        }
    }
    Ok(fields)
}

/// Models before Gemini 3: how hard to think is told in tokens, and signatures are not insisted on.
pub fn is_older(model: &str) -> bool {
    model.contains("-2.")
}

fn request(value: &Value, mut prompt: Prompt, surface: Surface) -> Checked<Prompt> {
    let own: &[&str] = match surface {
        Surface::Studio => &["store"],
        Surface::Vertex => &["modelArmorConfig"],
    };
    let fields = message(value, &[FIELDS, own].concat())?;
    present(&fields, "systemInstruction", |system| {
        prompt.system = contents::system(system)?;
        Ok(())
    })?;
    present(&fields, "tools", |tools| {
        let lists = each(tools, |value| tool(value, surface))?;
        prompt.tools = lists.concat();
        let is_built_in = |tool: &Value| BUILT_IN.iter().any(|name| !tool[*name].is_null());
        if !prompt.tools.is_empty() && tools.as_array().into_iter().flatten().any(is_built_in) {
            return Err(plain("Multiple tools are supported only when they are all search tools."));
        }
        Ok(())
    })?;
    if prompt.tools.len() > MOST_TOOLS {
        return Err(Problem::rule(format!("at most {MOST_TOOLS} function declarations")).under("tools"));
    }
    for (index, tool) in prompt.tools.iter().enumerate() {
        if prompt.tools.iter().take(index).any(|other| other.name == tool.name) {
            return Err(plain(format!("Duplicate function declaration found: {}", tool.name)));
        }
    }
    present(&fields, "toolConfig", |config| tool_config(config, &mut prompt))?;
    present(&fields, "generationConfig", |config| generation(config, &mut prompt))?;
    present(&fields, "safetySettings", |settings| safety(settings, surface))?;
    let cached = present(&fields, "cachedContent", string)?.is_some();
    if cached && ["systemInstruction", "tools", "toolConfig"].iter().any(|name| fields.contains_key(*name)) {
        return Err(plain(
            "CachedContent can not be used with GenerateContent request setting system_instruction, tools or \
             tool_config.",
        ));
    }
    present(&fields, "labels", |labels| open_object(labels)?.values().try_for_each(|label| string(label).map(drop)))?;
    present(&fields, "serviceTier", |tier| choice(tier, &["standard", "flex", "priority"]))?;
    present(&fields, "store", boolean)?;
    present(&fields, "modelArmorConfig", open_object)?;
    required(&fields, "contents", |value| contents::read(value, surface, &mut prompt))?;
    Ok(prompt)
}

fn tool(value: &Value, surface: Surface) -> Checked<Vec<Tool>> {
    let vertex: &[&str] = match surface {
        Surface::Studio => &["mcpServers"],
        Surface::Vertex => &["retrieval", "enterpriseWebSearch"],
    };
    let fields = message(value, &[&["functionDeclarations", "googleSearchRetrieval"], BUILT_IN, vertex].concat())?;
    for (name, value) in fields.iter().filter(|(name, _)| *name != "functionDeclarations") {
        open_object(value).map_err(|problem| problem.under(name))?;
    }
    Ok(present(&fields, "functionDeclarations", |list| each(list, declaration))?.unwrap_or_default())
}

fn declaration(value: &Value) -> Checked<Tool> {
    let known =
        &["name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior"];
    let fields = message(value, known)?;
    let name = required(&fields, "name", |name| function_name(name).map(str::to_owned))?;
    present(&fields, "description", string)?;
    present(&fields, "parameters", |parameters| schema::open_api(parameters, true))?;
    present(&fields, "parametersJsonSchema", schema::of_parameters)?;
    let schema = match (fields.get("parameters"), fields.get("parametersJsonSchema")) {
        (Some(_), Some(_)) => {
            return Err(Problem::rule("only one of parameters and parameters_json_schema can be set"));
        }
        (Some(schema), None) => schema::lowered(schema),
        (None, Some(schema)) => schema.clone(),
        (None, None) => Value::Object([("type".to_owned(), "object".into())].into_iter().collect()),
    };
    Ok(Tool { name, kind: ToolKind::Function { schema } })
}

/// google-genai `types.FunctionDeclaration`.
pub fn function_name(value: &Value) -> Checked<&str> {
    let name = string(value)?;
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if first && name.len() <= 128 && name.bytes().all(inner) {
        return Ok(name);
    }
    Err(Problem::rule(
        "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), \
         underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.",
    ))
}

fn tool_config(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = message(value, &["functionCallingConfig", "retrievalConfig"])?;
    present(&fields, "functionCallingConfig", |config| {
        let fields = message(config, &["mode", "allowedFunctionNames"])?;
        let mode = present(&fields, "mode", |mode| choice(mode, &["AUTO", "ANY", "NONE", "VALIDATED"]))?;
        let mode = mode.unwrap_or("AUTO");
        let allowed = present(&fields, "allowedFunctionNames", |names| {
            each(names, |name| function_name(name).map(str::to_owned))
        })?;
        let allowed = allowed.unwrap_or_default();
        if prompt.tools.is_empty() {
            return Err(plain("Function calling config is set without function_declarations."));
        }
        if !allowed.is_empty() && !matches!(mode, "ANY" | "VALIDATED") {
            return Err(plain(
                "Please set allowed_function_names only when function calling mode is ANY or VALIDATED.",
            ));
        }
        if let Some(name) = allowed.iter().find(|name| !prompt.tools.iter().any(|tool| tool.name == **name)) {
            return Err(plain(format!("allowed_function_names contains a function that is not declared: {name}")));
        }
        prompt.tool_choice = match (mode, allowed.into_iter().next()) {
            ("NONE", _) => ToolChoice::None,
            ("ANY", Some(name)) => ToolChoice::Named(name),
            ("ANY", None) => ToolChoice::Required,
            _ => ToolChoice::Auto,
        };
        Ok(())
    })
    .map(drop)
}

fn generation(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = message(value, GENERATION)?;
    let older = is_older(&prompt.model);
    present(&fields, "temperature", |value| number_in(value, 0.0, 2.0))?;
    present(&fields, "topP", |value| number_in(value, 0.0, 1.0))?;
    present(&fields, "topK", |value| number_in(value, 1.0, 1e9))?;
    present(&fields, "candidateCount", |value| match integer_in(value, 1, 8)? {
        1 => Ok(()),
        _ => Err(plain("Multiple candidates is not enabled for this model")),
    })?;
    let most = present(&fields, "maxOutputTokens", |value| integer_in(value, 1, 65_536))?;
    prompt.max_tokens = most.and_then(|most| usize::try_from(most).ok());
    let stop = present(&fields, "stopSequences", |stop| {
        let stop = each(stop, |stop| string(stop).map(str::to_owned))?;
        if stop.len() > 5 || stop.iter().any(String::is_empty) {
            return Err(Problem::rule("there can be at most 5 stop sequences, and none can be empty"));
        }
        Ok(stop)
    })?;
    prompt.stop = stop.unwrap_or_default();
    for name in ["presencePenalty", "frequencyPenalty"] {
        if present(&fields, name, |value| number_in(value, -2.0, 2.0))?.is_some() && !older {
            return Err(plain("Penalty is not enabled for this model"));
        }
    }
    present(&fields, "seed", |value| integer_in(value, i32::MIN.into(), i32::MAX.into()))?;
    let logprobs = present(&fields, "responseLogprobs", boolean)?.unwrap_or(false);
    let top = present(&fields, "logprobs", |value| integer_in(value, 0, 20))?;
    if logprobs {
        return Err(plain("Logprobs is not enabled for this model."));
    }
    if top.is_some() {
        return Err(plain("logprobs can only be set when response_logprobs is true."));
    }
    let kinds = &["text/plain", "application/json", "text/x.enum"];
    let kind = present(&fields, "responseMimeType", |value| choice(value, kinds))?;
    let is_json = kind == Some("application/json");
    present(&fields, "responseSchema", |schema| schema::open_api(schema, true))?;
    present(&fields, "responseJsonSchema", schema::of_answer)?;
    let json_schema = fields.get("responseJsonSchema").cloned();
    let schema = fields.get("responseSchema").map(schema::lowered).or(json_schema);
    if fields.contains_key("responseSchema") && fields.contains_key("responseJsonSchema") {
        return Err(plain("response_schema and response_json_schema cannot both be set."));
    }
    prompt.json = match (is_json, schema) {
        (true, Some(schema)) => JsonOutput::Schema(schema),
        (true, None) => JsonOutput::AnyObject,
        (false, None) => JsonOutput::No,
        (false, Some(_)) => {
            return Err(
                Problem::rule("only allowed when response_mime_type is application/json").under("responseSchema")
            );
        }
    };
    if is_json && older && !prompt.tools.is_empty() {
        return Err(plain("Function calling with a response mime type: 'application/json' is unsupported"));
    }
    present(&fields, "responseModalities", |list| each(list, |one| choice(one, &["TEXT"])))?;
    let resolutions = &["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"];
    present(&fields, "mediaResolution", |value| choice(value, resolutions))?;
    present(&fields, "thinkingConfig", |config| thinking(config, prompt)).map(drop)
}

fn thinking(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = message(value, &["includeThoughts", "thinkingBudget", "thinkingLevel"])?;
    let shown = present(&fields, "includeThoughts", boolean)?.unwrap_or(false);
    let budget = present(&fields, "thinkingBudget", |budget| integer_in(budget, -1, 32_768))?;
    let level = present(&fields, "thinkingLevel", |level| choice(level, &["MINIMAL", "LOW", "MEDIUM", "HIGH"]))?;
    if budget.is_some() && level.is_some() {
        return Err(plain("You can only set only one of thinking budget and thinking level."));
    }
    if level.is_some() && is_older(&prompt.model) {
        return Err(plain("Thinking level is not supported for this model."));
    }
    prompt.thinks = if budget == Some(0) { Thinks::Never } else { Thinks::IfAsked };
    prompt.hides_thinking = !shown;
    Ok(())
}

fn safety(value: &Value, surface: Surface) -> Checked<()> {
    let mut seen = Vec::new();
    each(value, |setting| {
        let known: &[&str] = match surface {
            Surface::Studio => &["category", "threshold"],
            Surface::Vertex => &["category", "threshold", "method"],
        };
        let fields = message(setting, known)?;
        required(&fields, "threshold", |threshold| choice(threshold, THRESHOLDS))?;
        let category = required(&fields, "category", |category| choice(category, CATEGORIES))?.to_owned();
        if seen.contains(&category) {
            return Err(Problem::rule(format!("duplicate category {category}")));
        }
        seen.push(category);
        Ok(())
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::thinking::Thinking;

    fn asked(fields: Value) -> Value {
        let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    fn talked(contents: Value) -> Value {
        json!({ "contents": contents })
    }

    fn said(part: Value) -> Value {
        talked(json!([{"role": "user", "parts": [part]}]))
    }

    fn answer(body: &Value, model: &str, surface: Surface) -> Result<(), String> {
        read(body.to_string().as_bytes(), model, surface).map(drop).map_err(|refusal| refusal.message)
    }

    fn tools() -> Value {
        json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}])
    }

    /// A question, calls with these signatures, and their results.
    fn used(calls: &[Option<&str>], results: usize) -> Value {
        let calls = calls.iter().map(|signature| match signature {
            Some(signature) => json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": signature}),
            None => json!({"functionCall": {"name": "f"}}),
        });
        let result = json!({"functionResponse": {"name": "f", "response": {"output": "4"}}});
        talked(json!([
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": calls.collect::<Vec<_>>()},
            {"role": "user", "parts": vec![result; results]},
        ]))
    }

    #[test]
    fn what_google_takes_is_taken() {
        let signature = Thinking::about("hi", "id").signature;
        for body in [
            asked(json!({"system_instruction": {"parts": [{"text": "x"}]}, "generation_config": {"top_p": 0.5}})),
            asked(
                json!({"tools": tools(), "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}}),
            ),
            asked(json!({"tools": [{"googleSearch": {}}], "store": false, "serviceTier": "flex"})),
            asked(json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true}}})),
            asked(
                json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": {"type": ["object", "null"]}}}),
            ),
            used(&[Some(&signature), None], 2),
            used(&[Some("skip_thought_signature_validator")], 1),
            said(json!({"inlineData": {"mimeType": "image/png", "data": "aGkh"}})),
            said(json!({"fileData": {"fileUri": "https://h/i.png"}})),
        ] {
            assert_eq!(answer(&body, "gemini-fake", Surface::Studio), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_google_refuses_is_refused() {
        let generation = |config: Value| asked(json!({ "generationConfig": config }));
        let declared = |declaration: Value| asked(json!({"tools": [{"functionDeclarations": [declaration]}]}));
        let calling = |config: Value| asked(json!({"tools": tools(), "toolConfig": {"functionCallingConfig": config}}));
        let signature = Thinking::about("hi", "id").signature;
        let json_schema =
            |schema: Value| generation(json!({"responseMimeType": "application/json", "responseJsonSchema": schema}));
        let cases = [
            (asked(json!({"foo": 1})), "Unknown name \"foo\": Cannot find field."),
            (json!({}), "contents is not specified"),
            (talked(json!([])), "contents is not specified"),
            (talked(json!([{"role": "user", "parts": []}])), "contents.parts must not be empty"),
            (talked(json!([{"role": "assistant", "parts": [{"text": "a"}]}])), "Please use a valid role: user, model."),
            (said(json!({"text": ""})), "empty text parameter"),
            (said(json!({})), "required oneof field 'data' must have one initialized field"),
            (said(json!({"text": "a", "inlineData": {}})), "oneof field 'data' is already set"),
            (said(json!({"text": "a", "foo": 1})), "Unknown name \"foo\" at 'contents[0].parts[0]'"),
            (
                said(json!({"inlineData": {"mimeType": "image/gif", "data": "aGkh"}})),
                "Unsupported MIME type: image/gif",
            ),
            (said(json!({"inlineData": {"mimeType": "image/png", "data": "aGk"}})), "Base64 decoding failed"),
            (said(json!({"fileData": {"fileUri": "gs://b/o"}})), "Invalid or unsupported file uri: gs://b/o"),
            (generation(json!({"temperature": 2.5})), "generation_config.temperature"),
            (generation(json!({"topK": 0})), "generation_config.top_k"),
            (generation(json!({"candidateCount": 2})), "Multiple candidates is not enabled"),
            (generation(json!({"stopSequences": ["a", "b", "c", "d", "e", "f"]})), "at most 5"),
            (generation(json!({"presencePenalty": 1})), "Penalty is not enabled"),
            (generation(json!({"responseLogprobs": true})), "Logprobs is not enabled"),
            (generation(json!({"seed": 5_000_000_000_i64})), "generation_config.seed"),
            (generation(json!({"maxTokens": 5})), "Unknown name \"max_tokens\" at 'generation_config'"),
            (generation(json!({"responseJsonSchema": {}})), "only allowed when response_mime_type"),
            (json_schema(json!({"type": "object", "properties": {"a": {"const": 1}}})), "\"const\""),
            (json_schema(json!({"$ref": "#/$defs/a", "description": "x"})), "$ref"),
            (generation(json!({"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}})), "only one of"),
            (generation(json!({"thinkingConfig": {"thinkingLevel": "LOUD"}})), "\"LOUD\""),
            (declared(json!({"name": "a/b"})), "Invalid function name"),
            (
                declared(json!({"name": "f", "parameters": {"type": "object", "additionalProperties": false}})),
                "additional_properties",
            ),
            (declared(json!({"name": "f", "parameters": {"type": ["object", "null"]}})), "cannot start list"),
            (declared(json!({"name": "f", "parametersJsonSchema": {"type": "array"}})), "should be of type OBJECT"),
            (declared(json!({"name": "f", "strict": true})), "Unknown name \"strict\""),
            (asked(json!({"tools": [tools()[0], {"googleSearch": {}}]})), "only when they are all search tools"),
            (asked(json!({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]})), "Duplicate function"),
            (calling(json!({"mode": "AUTO", "allowedFunctionNames": ["f"]})), "only when function calling mode is ANY"),
            (calling(json!({"mode": "ANY", "allowedFunctionNames": ["g"]})), "not declared: g"),
            (calling(json!({"mode": "auto"})), "\"auto\""),
            (asked(json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})), "without function_declarations"),
            (asked(json!({"cachedContent": "cachedContents/a", "tools": tools()})), "CachedContent can not be used"),
            (asked(json!({"safetySettings": [{"category": "X", "threshold": "OFF"}]})), "\"X\""),
            (asked(json!({"modelArmorConfig": {}})), "Unknown name \"model_armor_config\""),
            (used(&[None], 1), "missing a thought_signature"),
            (used(&[Some("AAAA")], 1), "Thought signature is not valid"),
            (used(&[Some(&signature), None], 1), "number of function response parts is equal"),
            (used(&[Some(&signature)], 0), "contents.parts must not be empty"),
            (
                said(json!({"functionResponse": {"name": "f", "response": {}}})),
                "comes immediately after a function call turn",
            ),
            (said(json!({"functionResponse": {"name": "f", "response": "4"}})), "function_response.response"),
            (
                talked(json!([{"role": "model", "parts": [{"functionCall": {"name": "f"}}]}])),
                "immediately after a user turn",
            ),
        ];
        for (body, words) in cases {
            let refused = answer(&body, "gemini-fake", Surface::Studio).unwrap_err();
            assert!(refused.contains(words), "{body}: {refused}");
        }
        let hi = asked(json!({}));
        assert!(answer(&hi, "gpt-fake", Surface::Studio).unwrap_err().contains("is not found"));
        let mut shown = used(&[Some("skip_thought_signature_validator")], 1);
        let media = json!([{"inlineData": {"mimeType": "image/png", "data": "aGkh"}}]);
        shown["contents"][2]["parts"][0]["functionResponse"]["parts"] = media;
        assert_eq!(answer(&shown, "gemini-fake", Surface::Studio), Ok(()));
        assert!(answer(&shown, "gemini-2.5-fake", Surface::Studio).unwrap_err().contains("`function_response.parts`"));
        let level = generation(json!({"thinkingConfig": {"thinkingLevel": "LOW"}}));
        assert!(answer(&level, "gemini-2.5-fake", Surface::Studio).unwrap_err().contains("level is not supported"));
    }

    #[test]
    fn surfaces_differ_where_the_documents_say_so() {
        let nobody = talked(json!([{"parts": [{"text": "a"}]}]));
        assert_eq!(answer(&nobody, "gemini-fake", Surface::Studio), Ok(()));
        assert!(answer(&nobody, "gemini-fake", Surface::Vertex).is_err());
        let stored = said(json!({"fileData": {"fileUri": "gs://b/o", "mimeType": "image/png"}}));
        assert_eq!(answer(&stored, "gemini-fake", Surface::Vertex), Ok(()));
        let untyped = said(json!({"fileData": {"fileUri": "gs://b/o"}}));
        assert!(answer(&untyped, "gemini-fake", Surface::Vertex).is_err());
        let armored = asked(json!({"modelArmorConfig": {}}));
        assert_eq!(answer(&armored, "gemini-fake", Surface::Vertex), Ok(()));
        assert!(answer(&asked(json!({"store": false})), "gemini-fake", Surface::Vertex).is_err());
        let mut mixed = used(&[Some("skip_thought_signature_validator")], 1);
        mixed["contents"][2]["parts"].as_array_mut().unwrap().push(json!({"text": "and now?"}));
        assert_eq!(answer(&mixed, "gemini-fake", Surface::Studio), Ok(()));
        assert!(answer(&mixed, "gemini-fake", Surface::Vertex).unwrap_err().contains("ending with a model turn"));
    }
}
