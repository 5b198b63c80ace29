//! Reads the conversation: who speaks when, what a part may contain, and which results answer which calls.

use serde_json::{Map, Value};

use super::Surface;
use super::request::{function_name, is_older, message, plain};
use crate::prompt::Prompt;
use crate::strict::{Checked, Problem, array, boolean, is_base64, open_object, present, required, string};
use crate::thinking::is_signed;

/// The fields of which a part has exactly one.
const PAYLOADS: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

const BESIDE: &[&str] = &["thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];

/// Documented for histories that another model made: as they are, and as the SDK writes their bytes.
const NO_SIGNATURES: &[&str] = &[
    "skip_thought_signature_validator",
    "context_engineering_is_the_way_to_go",
    "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
    "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv",
];

/// What of a part the order of turns depends on.
enum Part {
    Text(String),
    /// Its name and id, and whether it came with a signature.
    Call(Call, bool),
    Result(Call, String),
    Other,
}

#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    id: Option<String>,
}

pub fn system(value: &Value) -> Checked<String> {
    let fields = message(value, &["role", "parts"])?;
    let texts = parts(&fields, |part| {
        let fields = message(part, &["text"])?;
        required(&fields, "text", |text| Ok(string(text)?.to_owned()))
    })?;
    Ok(texts.concat())
}

/// The parts of a content, of which there is one at least.
fn parts<T>(fields: &Map<String, Value>, mut read: impl FnMut(&Value) -> Checked<T>) -> Checked<Vec<T>> {
    let empty = || Problem::rule("contents.parts must not be empty.").under("parts");
    let list = fields.get("parts").ok_or_else(empty)?;
    let list = array(list).map_err(|problem| problem.under("parts"))?;
    if list.is_empty() {
        return Err(empty());
    }
    let read =
        list.iter().enumerate().map(|(index, part)| read(part).map_err(|problem| problem.at(index).under("parts")));
    read.collect()
}

pub fn read(value: &Value, surface: Surface, prompt: &mut Prompt) -> Checked<()> {
    let contents = array(value)?;
    if contents.is_empty() {
        return Err(Problem::rule("contents is not specified"));
    }
    let mut turns = Vec::new();
    let older = is_older(&prompt.model);
    let has_media = |part: &Value| part.pointer("/functionResponse/parts").is_some();
    if older && contents.iter().filter_map(|content| content["parts"].as_array()).flatten().any(has_media) {
        return Err(plain(
            "Unable to submit request because `function_response.parts` is not supported for this model.",
        ));
    }
    for (index, content) in contents.iter().enumerate() {
        turns.push(turn(content, surface).map_err(|problem| problem.at(index))?);
    }
    order(&turns)?;
    let is_result = |part: &Part| matches!(part, Part::Result(..));
    let mixes = |parts: &[Part]| parts.iter().any(is_result) && !parts.iter().all(is_result);
    if surface == Surface::Vertex && turns.iter().any(|(_, parts)| mixes(parts)) {
        return Err(plain("Requests ending with a model turn are not supported."));
    }
    if !older {
        signatures(&turns)?;
    }
    for (_, parts) in turns.iter().filter(|(is_model, _)| !is_model) {
        let texts: Vec<&str> = parts.iter().filter_map(Part::text).collect();
        let results: Vec<String> = parts.iter().filter_map(Part::result).collect();
        if texts.is_empty() && results.is_empty() {
            continue;
        }
        // Results with a text behind them are a question about the text.
        prompt.tool_results = (texts.is_empty() && !results.is_empty()).then_some(results);
        if !texts.is_empty() {
            prompt.user_text = texts.concat();
        }
    }
    if turns.last().is_some_and(|(is_model, _)| *is_model) {
        prompt.tool_results = None;
    }
    Ok(())
}

impl Part {
    fn text(&self) -> Option<&str> {
        if let Part::Text(text) = self { Some(text) } else { None }
    }

    fn result(&self) -> Option<String> {
        if let Part::Result(_, text) = self { Some(text.clone()) } else { None }
    }
}

/// Whether it is the model's, and its parts.
fn turn(value: &Value, surface: Surface) -> Checked<(bool, Vec<Part>)> {
    let fields = message(value, &["role", "parts"])?;
    let role = present(&fields, "role", |role| Ok(string(role)?.to_owned()))?;
    let is_model = match (role.as_deref(), surface) {
        (Some("user"), _) | (None, Surface::Studio) => false,
        (Some("model"), _) => true,
        _ => return Err(plain("Please use a valid role: user, model.")),
    };
    Ok((is_model, parts(&fields, |value| part(value, surface))?))
}

fn part(value: &Value, surface: Surface) -> Checked<Part> {
    let fields = message(value, &[PAYLOADS, BESIDE].concat())?;
    let mut payloads = fields.iter().filter(|(name, _)| PAYLOADS.contains(&name.as_str()));
    let Some((kind, payload)) = payloads.next() else {
        return Err(Problem::rule("required oneof field 'data' must have one initialized field").under("data"));
    };
    if let Some((second, _)) = payloads.next() {
        return Err(plain(format!("Invalid value (oneof), oneof field 'data' is already set. Cannot set '{second}'")));
    }
    present(&fields, "thought", boolean)?;
    let signature = present(&fields, "thoughtSignature", string)?;
    // Protobuf reads both alphabets of base64; the SDK writes the one for addresses.
    let of_standard = |signature: &str| signature.replace('-', "+").replace('_', "/");
    if signature.is_some_and(|given| !NO_SIGNATURES.contains(&given) && !is_signed(None, &of_standard(given))) {
        return Err(plain("Thought signature is not valid."));
    }
    let read = match kind.as_str() {
        "text" => match string(payload) {
            Ok("") if signature.is_none() => {
                return Err(plain(
                    "Unable to submit request because it has an empty text parameter. Add a value to the parameter and \
                     try again.",
                ));
            }
            text => text.map(|text| Part::Text(text.to_owned())),
        },
        "inlineData" => inline(payload).map(|()| Part::Other),
        "fileData" => file(payload, surface).map(|()| Part::Other),
        "functionCall" => call(payload, surface).map(|call| Part::Call(call, signature.is_some())),
        "functionResponse" => result(payload, surface),
        _ => open_object(payload).map(|_| Part::Other),
    };
    read.map_err(|problem| problem.under(kind))
}

fn inline(value: &Value) -> Checked<()> {
    let fields = message(value, &["mimeType", "data", "displayName"])?;
    let kind = required(&fields, "mimeType", |kind| Ok(string(kind)?.to_owned()))?;
    let is_read = matches!(
        kind.as_str(),
        "image/png"
            | "image/jpeg"
            | "image/webp"
            | "image/heic"
            | "image/heif"
            | "application/pdf"
            | "application/json"
    ) || ["text/", "audio/", "video/"].iter().any(|group| kind.starts_with(group));
    if !is_read {
        return Err(plain(format!("Unsupported MIME type: {kind}")));
    }
    required(&fields, "data", |data| {
        let data = string(data)?;
        if is_base64(data) {
            return Ok(());
        }
        Err(plain("Invalid value at 'contents' (TYPE_BYTES), Base64 decoding failed"))
    })
}

fn file(value: &Value, surface: Surface) -> Checked<()> {
    let fields = message(value, &["mimeType", "fileUri", "displayName"])?;
    let kind = present(&fields, "mimeType", |kind| Ok(string(kind)?.to_owned()))?;
    required(&fields, "fileUri", |uri| {
        let uri = string(uri)?;
        let schemes: &[&str] = match surface {
            Surface::Studio => &["https://"],
            Surface::Vertex => &["https://", "http://", "gs://"],
        };
        if schemes.iter().any(|scheme| uri.starts_with(scheme)) {
            return Ok(());
        }
        Err(plain(format!("Invalid or unsupported file uri: {uri}")))
    })?;
    if kind.is_none() && surface == Surface::Vertex {
        return Err(plain("Unable to submit request because it has a mimeType parameter with an empty value."));
    }
    Ok(())
}

fn call(value: &Value, surface: Surface) -> Checked<Call> {
    let known: &[&str] = match surface {
        Surface::Studio => &["id", "name", "args"],
        Surface::Vertex => &["id", "name", "args", "partialArgs", "willContinue"],
    };
    let fields = message(value, known)?;
    present(&fields, "args", open_object)?;
    named(&fields)
}

fn named(fields: &Map<String, Value>) -> Checked<Call> {
    let name = required(fields, "name", |name| function_name(name).map(str::to_owned))?;
    let id = present(fields, "id", |id| Ok(string(id)?.to_owned()))?;
    Ok(Call { name, id })
}

fn result(value: &Value, surface: Surface) -> Checked<Part> {
    let own: &[&str] = match surface {
        Surface::Studio => &["willContinue"],
        Surface::Vertex => &[],
    };
    let fields = message(value, &[&["id", "name", "response", "parts", "scheduling"], own].concat())?;
    let text = required(&fields, "response", |response| {
        let fields = open_object(response)?;
        if has_reference(response) {
            return Err(plain("function_response.response has a $ref that refers to no part of the response."));
        }
        Ok(match fields.get("output").or_else(|| fields.get("error")) {
            Some(Value::String(text)) => text.clone(),
            _ => response.to_string(),
        })
    })?;
    present(&fields, "parts", |list| {
        let list = array(list)?.iter().enumerate();
        list.map(|(index, part)| {
            let fields = message(part, &["inlineData", "fileData"])?;
            present(&fields, "inlineData", inline)?;
            present(&fields, "fileData", |value| file(value, surface)).map_err(|problem| problem.at(index))
        })
        .collect::<Checked<Vec<_>>>()
    })?;
    Ok(Part::Result(named(&fields)?, text))
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(has_reference),
        Value::Array(list) => list.iter().any(has_reference),
        _ => false,
    }
}

/// Calls follow the user, and results follow calls: as many, of the same functions.
fn order(turns: &[(bool, Vec<Part>)]) -> Checked<()> {
    let mut unanswered: Vec<&Call> = Vec::new();
    for (index, (is_model, parts)) in turns.iter().enumerate() {
        let calls: Vec<&Call> =
            parts.iter().filter_map(|part| if let Part::Call(call, _) = part { Some(call) } else { None }).collect();
        let results: Vec<&Call> =
            parts.iter().filter_map(|part| if let Part::Result(call, _) = part { Some(call) } else { None }).collect();
        let follows_user = index.checked_sub(1).and_then(|before| turns.get(before)).is_some_and(|(model, _)| !model);
        if !calls.is_empty() && (!is_model || !follows_user) {
            return Err(plain(
                "Please ensure that function call turn comes immediately after a user turn or after a function \
                 response turn.",
            ));
        }
        if !results.is_empty() && (*is_model || unanswered.is_empty()) {
            return Err(plain(
                "Please ensure that function response turn comes immediately after a function call turn.",
            ));
        }
        if results.len() != unanswered.len() {
            return Err(plain(
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn.",
            ));
        }
        if let Some((result, call)) = results.iter().zip(&unanswered).find(|(result, call)| result != call) {
            return Err(plain(format!("The function response {result:?} does not answer the function call {call:?}.")));
        }
        unanswered = calls;
    }
    if unanswered.is_empty() {
        return Ok(());
    }
    Err(plain("Please ensure that the conversation does not end with a function call turn."))
}

/// The first call of every step of the current turn has a signature. The turn begins with the last text of
/// the user.
fn signatures(turns: &[(bool, Vec<Part>)]) -> Checked<()> {
    let says = |(is_model, parts): &(bool, Vec<Part>)| !is_model && parts.iter().any(|part| part.text().is_some());
    let begin = turns.iter().rposition(says).unwrap_or(0);
    for (position, (_, parts)) in turns.iter().enumerate().skip(begin) {
        let first =
            parts.iter().find_map(|part| if let Part::Call(call, signed) = part { Some((call, signed)) } else { None });
        if let Some((call, false)) = first {
            return Err(plain(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
                 correctly, and missing thought_signature may lead to degraded model performance. Additional data, \
                 function call `default_api:{}` , position {}. Please refer to \
                 https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                call.name,
                position + 1
            )));
        }
    }
    Ok(())
}
