//! Reads a generation request and refuses what the vendor refuses, in the vendor's words.
//!
//! The wording is that of the vendor's list of errors (help.aliyun.com/model-studio/error-code) where that
//! has one. Messages are read in `messages`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{INVALID, messages};
use crate::prompt::{JsonOutput, Prompt, Tool, ToolChoice, ToolKind};
use crate::strict::{
    Checked, Problem, Refusal, TopLevel, Wrong, boolean, choice, each, identifier, integer, nullable, number_in,
    object, open_object, present, required, string,
};
use crate::thinking::Thinks;

const PARAMETERS: &[&str] = &[
    "enable_code_interpreter",
    "enable_search",
    "enable_thinking",
    "incremental_output",
    "logprobs",
    "max_input_tokens",
    "max_tokens",
    "n",
    "ocr_options",
    "parallel_tool_calls",
    "presence_penalty",
    "preserve_thinking",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "result_format",
    "search_options",
    "seed",
    "stop",
    "temperature",
    "thinking_budget",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "translation_options",
    "vl_enable_image_hw_output",
    "vl_high_resolution_images",
];

const SWITCHES: &[&str] = &[
    "enable_code_interpreter",
    "enable_search",
    "logprobs",
    "preserve_thinking",
    "vl_enable_image_hw_output",
    "vl_high_resolution_images",
];

/// What the fake's models answer and think at most.
const MOST_OUTPUT: i64 = 32_768;
const MOST_THOUGHT: i64 = 81_920;

/// What an effort may be, with or without thinking.
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

pub fn read(body: &[u8], multimodal: bool, streams: bool) -> Result<Prompt, Refusal> {
    let top: TopLevel = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, INVALID, format!("Request body format invalid: {error}")))?;
    if let Some(key) = top.repeated {
        return Err(Refusal::new(400, INVALID, format!("Request body format invalid: {key} is there twice")));
    }
    let missing = |code: &'static str, name: &str| {
        Refusal::new(400, code, format!("Required parameter \"{name}\" missing from request."))
    };
    let field = |name: &str| top.fields.get(name).filter(|value| !value.is_null());
    if let Some(name) = top.fields.as_object().into_iter().flat_map(Map::keys).find(|name| !is_known(name)) {
        return Err(Refusal::new(400, INVALID, format!("Unexpected field: {name}")));
    }
    let model = field("model").and_then(Value::as_str).ok_or_else(|| missing("BadRequest.EmptyModel", "model"))?;
    let input = field("input").ok_or_else(|| missing("BadRequest.EmptyInput", "input"))?;
    let parameters = field("parameters").ok_or_else(|| missing("BadRequest.EmptyParameters", "parameters"))?;
    let mut prompt = Prompt::for_model(model);
    if !prompt.model.starts_with("qwen") {
        return Err(Refusal::new(404, "ModelNotFound", "Model can not be found."));
    }
    if prompt.model.contains("vl") != multimodal {
        return Err(Refusal::new(400, INVALID, "url error, please check url!"));
    }
    prompt.stream = streams;
    let read = read_input(input, multimodal, &mut prompt).and_then(|()| read_parameters(parameters, &mut prompt));
    read.map_err(refusal)?;
    let mentions = input.to_string().to_ascii_lowercase().contains("json");
    if prompt.json == JsonOutput::AnyObject && !mentions {
        let text = "<400> InternalError.Algo.InvalidParameter: 'messages' must contain the word 'json' in some form, to \
                    use 'response_format' of type 'json_object'.";
        return Err(Refusal::new(400, INVALID, text));
    }
    Ok(prompt)
}

fn is_known(name: &str) -> bool {
    ["model", "input", "parameters"].contains(&name)
}

fn refusal(problem: Problem) -> Refusal {
    let place = problem.dotted();
    let text = match problem.wrong {
        Wrong::Unknown => format!("Unexpected parameter: {place}"),
        Wrong::Missing => format!("Required parameter \"{place}\" missing from request."),
        Wrong::Type { expected, got } => format!("{place}: {expected} is expected, but got {got}"),
        Wrong::Choice { got, supported } => format!("{place}: '{got}' is not one of {supported:?}"),
        Wrong::Rule(text) => format!("<400> InternalError.Algo.InvalidParameter: {text}"),
        Wrong::Refused(refusal) => return *refusal,
    };
    Refusal::new(400, INVALID, text)
}

fn read_input(input: &Value, multimodal: bool, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(input, &["messages"])?;
    required(fields, "messages", |value| messages::read(value, multimodal, prompt))
}

fn read_parameters(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, PARAMETERS)?;
    for name in SWITCHES {
        present(fields, name, boolean)?;
    }
    present(fields, "result_format", |format| choice(format, &["message"]))?;
    match (prompt.stream, present(fields, "incremental_output", boolean)?) {
        (true, None | Some(false)) => {
            return Err(Problem::rule("This model only supports incremental_output set to True."));
        }
        (false, Some(true)) => return Err(Problem::rule("parameter incremental_output only support stream call")),
        _ => {}
    }
    let thinks = thinking(fields)?;
    prompt.thinks = if thinks { Thinks::IfAsked } else { Thinks::Never };
    present(fields, "tools", |value| tools(value, prompt))?;
    present(fields, "tool_choice", |value| tool_choice(value, thinks, prompt))?;
    prompt.one_call_only = present(fields, "parallel_tool_calls", boolean)? != Some(true);
    present(fields, "response_format", |value| response_format(value, prompt))?;
    if thinks && prompt.json != JsonOutput::No {
        return Err(Problem::rule("Json mode response is not supported when enable_thinking is true"));
    }
    numbers(fields, prompt)?;
    if prompt.choices > 1 && (thinks || !prompt.tools.is_empty()) {
        return Err(Problem::rule("n must be 1 when tools are given or enable_thinking is true"));
    }
    present(fields, "stop", |value| stop(value, prompt))?;
    Ok(())
}

/// Whether the model is to think.
fn thinking(fields: &Map<String, Value>) -> Checked<bool> {
    let switch = present(fields, "enable_thinking", boolean)?;
    let budget = present(fields, "thinking_budget", |budget| match integer(budget)? {
        1..=MOST_THOUGHT => Ok(()),
        _ => Err(Problem::rule(format!(
            "The thinking_budget parameter must be a positive integer and not greater than {MOST_THOUGHT}"
        ))),
    })?;
    let effort = present(fields, "reasoning_effort", |effort| choice(effort, EFFORTS))?;
    match effort {
        Some(_) if switch.is_some() || budget.is_some() => {
            Err(Problem::rule("reasoning_effort cannot be set together with enable_thinking or thinking_budget"))
        }
        Some(effort) => Ok(effort != "none"),
        None => Ok(switch == Some(true)),
    }
}

fn tools(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    prompt.tools = each(value, tool)?;
    let mut names = BTreeSet::new();
    match prompt.tools.iter().find(|tool| !names.insert(&tool.name)) {
        Some(tool) => Err(Problem::rule(format!("Duplicate tool name: {}", tool.name))),
        None => Ok(()),
    }
}

fn tool(value: &Value) -> Checked<Tool> {
    let fields = object(value, &["type", "function", "cache_control"])?;
    required(fields, "type", |kind| choice(kind, &["function"]))?;
    present(fields, "cache_control", |control| open_object(control))?;
    required(fields, "function", |function| {
        let function = object(function, &["name", "description", "parameters"])?;
        let name = required(function, "name", |name| identifier(name, 64))?.to_owned();
        if name == "search" {
            return Err(Problem::rule("Tool names are not allowed to be [search]"));
        }
        present(function, "description", string)?;
        let schema = present(function, "parameters", |schema| {
            open_object(schema)?;
            Ok(schema.clone())
        })?;
        Ok(Tool { name, kind: ToolKind::Function { schema: schema.unwrap_or_default() } })
    })
}

fn tool_choice(value: &Value, thinks: bool, prompt: &mut Prompt) -> Checked<()> {
    if let Value::String(word) = value {
        prompt.tool_choice = match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            _ => {
                let text = "tool_choice is one of the strings that should be [\"none\", \"auto\"]";
                return Err(Problem::rule(text));
            }
        };
        return Ok(());
    }
    let fields = object(value, &["type", "function"])?;
    required(fields, "type", |kind| choice(kind, &["function"]))?;
    let name = required(fields, "function", |function| required(object(function, &["name"])?, "name", string))?;
    if thinks {
        let text = "The tool_choice parameter does not support being set to required or object in thinking mode";
        return Err(Problem::rule(text));
    }
    if !prompt.tools.iter().any(|tool| tool.name == name) {
        return Err(Problem::rule(format!("The tool {name} of tool_choice is none of the tools")));
    }
    prompt.tool_choice = ToolChoice::Named(name.to_owned());
    Ok(())
}

fn response_format(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    let fields = object(value, &["type", "json_schema"])?;
    let kind = required(fields, "type", |kind| choice(kind, &["text", "json_object", "json_schema"]))?;
    prompt.json = match kind {
        "json_object" => JsonOutput::AnyObject,
        "json_schema" => required(fields, "json_schema", |wanted| {
            let wanted = object(wanted, &["name", "description", "schema", "strict"])?;
            required(wanted, "name", string)?;
            present(wanted, "description", string)?;
            nullable(wanted, "strict", boolean)?;
            required(wanted, "schema", |schema| {
                open_object(schema)?;
                Ok(JsonOutput::Schema(schema.clone()))
            })
        })?,
        _ => JsonOutput::No,
    };
    Ok(())
}

fn numbers(fields: &Map<String, Value>, prompt: &mut Prompt) -> Checked<()> {
    let number = |name: &str, least: f64, most: f64, words: &str| {
        present(fields, name, |value| {
            number_in(value, least, most).map_err(|problem| match problem.wrong {
                Wrong::Rule(_) => Problem::rule(words),
                _ => problem,
            })
        })
    };
    number("temperature", 0.0, 2.0_f64.next_down(), "Temperature should be in [0.0, 2.0)")?;
    number("top_p", f64::MIN_POSITIVE, 1.0, "Range of top_p should be (0.0, 1.0]")?;
    number("presence_penalty", -2.0, 2.0, "Presence_penalty should be in [-2.0, 2.0]")?;
    number("repetition_penalty", f64::MIN_POSITIVE, f64::MAX, "Repetition_penalty should be greater than 0.0")?;
    let whole = |name: &str, least: i64, most: i64, words: &str| {
        present(fields, name, |value| match integer(value)? {
            number if (least..=most).contains(&number) => Ok(number),
            _ => Err(Problem::rule(words)),
        })
    };
    whole("top_k", 0, i64::MAX, "Parameter top_k be greater than or equal to 0")?;
    whole("seed", 0, i64::MAX, "Range of seed should be [0, 9223372036854775807]")?;
    whole("top_logprobs", 0, 5, "Range of top_logprobs should be [0, 5]")?;
    whole("max_input_tokens", 1, i64::MAX, "Range of max_input_tokens should be [1, 129024]")?;
    let most = whole("max_tokens", 1, MOST_OUTPUT, &format!("Range of max_tokens should be [1, {MOST_OUTPUT}]"))?;
    prompt.max_tokens = most.and_then(|most| usize::try_from(most).ok());
    let choices = whole("n", 1, 4, "Range of n should be [1, 4]")?;
    prompt.choices = choices.and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    Ok(())
}

fn stop(value: &Value, prompt: &mut Prompt) -> Checked<()> {
    prompt.stop = match value {
        Value::String(one) => vec![one.clone()],
        _ => each(value, |stop| string(stop).map(str::to_owned))?,
    };
    match prompt.stop.iter().any(String::is_empty) {
        true => Err(Problem::rule("The stop parameter must be of type str, list[str], list[int], or list[list[int]]")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(messages: Value, parameters: Value) -> Value {
        json!({"model": "qwen-fake", "input": {"messages": messages}, "parameters": parameters})
    }

    fn asked(parameters: Value) -> Value {
        body(json!([{"role": "user", "content": "hi"}]), parameters)
    }

    fn called(result: Value) -> Value {
        let call = json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let assistant = json!({"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call]});
        body(json!([{"role": "user", "content": "hi"}, assistant, result]), json!({}))
    }

    fn seen(items: Value) -> Value {
        let mut body = body(json!([{"role": "user", "content": items}]), json!({}));
        body["model"] = json!("qwen-vl-fake");
        body
    }

    fn tool(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
    }

    fn refused(body: &Value, streams: bool) -> String {
        let multimodal = body["model"] == "qwen-vl-fake";
        read(body.to_string().as_bytes(), multimodal, streams).map(drop).err().map_or(String::new(), |no| no.message)
    }

    #[test]
    fn what_the_vendor_takes_is_taken() {
        let named = json!({"type": "function", "function": {"name": "f"}});
        for body in [
            asked(json!({"result_format": "message", "temperature": 1.99, "top_p": 1, "top_k": 0, "seed": 0, "n": 4})),
            asked(json!({"tools": [tool("f")], "tool_choice": named, "parallel_tool_calls": true})),
            asked(json!({"enable_thinking": true, "thinking_budget": 1, "tools": [tool("f")], "tool_choice": "auto"})),
            asked(json!({"reasoning_effort": "none", "logprobs": true, "top_logprobs": 5, "stop": ["a"]})),
            body(json!([{"role": "user", "content": "as JSON"}]), json!({"response_format": {"type": "json_object"}})),
            called(json!({"role": "tool", "tool_call_id": "c1", "content": "sunny"})),
            seen(json!([{"text": "a"}, {"image": "data:image/png;base64,aGkh"}, {"video": ["https://h/1"]}])),
        ] {
            assert_eq!(refused(&body, false), "", "{body}");
        }
        assert_eq!(refused(&asked(json!({"incremental_output": true})), true), "");
    }

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        let thinks = |more: Value| {
            let mut parameters = json!({"enable_thinking": true});
            parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            asked(parameters)
        };
        let named = json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "f"}}});
        let user = json!({"role": "user", "content": "a"});
        let cases = [
            (json!({"input": {}, "parameters": {}}), "Required parameter \"model\" missing"),
            (json!({"model": "qwen-fake", "parameters": {}}), "Required parameter \"input\" missing"),
            (json!({"model": "qwen-fake", "input": {}}), "Required parameter \"parameters\" missing"),
            (json!({"model": "gpt-4", "input": {}, "parameters": {}}), "Model can not be found."),
            (asked(json!({"foo": 1})), "Unexpected parameter: foo"),
            (asked(json!({"incremental_output": true})), "incremental_output only support stream call"),
            (asked(json!({"temperature": 2})), "Temperature should be in [0.0, 2.0)"),
            (asked(json!({"top_p": 0})), "Range of top_p should be (0.0, 1.0]"),
            (asked(json!({"top_k": -1})), "top_k be greater than or equal to 0"),
            (asked(json!({"presence_penalty": 3})), "Presence_penalty should be in [-2.0, 2.0]"),
            (asked(json!({"n": 5})), "Range of n should be [1, 4]"),
            (asked(json!({"n": 2, "tools": [tool("f")]})), "n must be 1"),
            (asked(json!({"seed": -1})), "Range of seed should be [0, 9223372036854775807]"),
            (asked(json!({"max_tokens": 0})), "Range of max_tokens should be [1, 32768]"),
            (asked(json!({"tools": [tool("search")]})), "Tool names are not allowed to be [search]"),
            (asked(json!({"tools": [tool("a.b")]})), "String should match pattern"),
            (asked(json!({"tools": [tool("f")], "tool_choice": "required"})), "should be [\"none\", \"auto\"]"),
            (thinks(named), "in thinking mode"),
            (thinks(json!({"response_format": {"type": "json_object"}})), "Json mode response is not supported"),
            (thinks(json!({"thinking_budget": 0})), "must be a positive integer"),
            (thinks(json!({"reasoning_effort": "low"})), "cannot be set together"),
            (asked(json!({"response_format": {"type": "json_object"}})), "must contain the word 'json'"),
            (body(json!([{"role": "system", "content": "a"}]), json!({})), "elements with the role of user"),
            (body(json!([{"role": "user", "content": [{"text": "a"}]}]), json!({})), "input content must be a string."),
            (
                body(json!([user, {"role": "tool", "tool_call_id": "c", "content": "a"}]), json!({})),
                "Messages with role",
            ),
            (called(json!({"role": "tool", "tool_call_id": "x", "content": "a"})), "Messages with role \"tool\""),
            (called(user), "did not have response messages: c1"),
            (seen(json!([{"type": "text", "text": "a"}])), "a message of a certain modal"),
            (seen(json!([{"image": "gs://a"}])), "does not appear to be valid"),
        ];
        for (body, message) in cases {
            let was = refused(&body, false);
            assert!(was.contains(message), "{body}: {was}");
        }
        assert!(refused(&asked(json!({})), true).contains("incremental_output set to True"));
        let elsewhere = read(asked(json!({})).to_string().as_bytes(), true, false).map(drop).unwrap_err();
        assert_eq!(elsewhere.message, "url error, please check url!");
    }
}
