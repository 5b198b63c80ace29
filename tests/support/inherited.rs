//! The conversations of one kind with another that is the same API elsewhere: Claude on Vertex and Bedrock,
//! Gemini on Vertex, DashScope's other address.
//!
//! Such a kind has a folder, `tests/golden/KIND/inherited`: in `case.json` whose conversations they are (`of`)
//! and what its entry and its models' ids are; in `differences` all that is not as with the other kind, each with
//! the conversations that it is found in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dragoman::headers::Headers;
use dragoman::json;
use dragoman::stream::sse;
use serde_json::Value;

use super::golden::{Case, in_one_piece, parse_response, response};
use super::{folders, frames};

pub struct Surface {
    pub kind: String,
    folder: PathBuf,
    about: Value,
}

pub struct Inherited {
    /// The conversation's name with the other kind.
    pub name: String,
    pub case: Case,
    /// Whether the provider's answer is told in other bytes here.
    pub is_told_otherwise: bool,
    /// Of the other kind: its folder and its model's id.
    folder: PathBuf,
    id: String,
}

pub fn surfaces() -> Vec<Surface> {
    let kinds = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = kinds.map(|kind| kind.join("inherited")).filter(|folder| folder.is_dir()).collect();
    folders.sort();
    let surface = |folder: PathBuf| {
        let about: Value = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        Surface { kind: about["kind"].as_str().unwrap().to_owned(), folder, about }
    };
    folders.into_iter().map(surface).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Surface {
    pub fn conversations(&self) -> Vec<Inherited> {
        let of = root().join(self.about["of"].as_str().unwrap());
        let own = folders::all().into_iter().filter(|folder| folder.parent() == Some(&of));
        own.map(|folder| self.conversation(folder)).collect()
    }

    fn conversation(&self, folder: PathBuf) -> Inherited {
        let mut about: Value = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        about["kind"] = self.kind.as_str().into();
        for (name, value) in self.about["provider"].as_object().into_iter().flatten() {
            about["provider"][name] = value.clone();
        }
        let id = about["model"]["id"].as_str().unwrap().to_owned();
        if let Some(pattern) = self.about["id"].as_str() {
            about["model"]["id"] = pattern.replace("{id}", &id).into();
        }
        let request = fs::read(folder.join("request.json")).unwrap();
        let given = fs::read(folder.join("upstream-response.http")).ok();
        let told = given.as_deref().map(|given| told_by(&self.kind, given));
        let case = Case::new(&about.to_string(), &request, told.as_deref());
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Inherited { name, case, is_told_otherwise: told != given, folder, id }
    }

    /// Compares with the expected differences, or rewrites them. Returns what is not as it was.
    pub fn compare(&self) -> Option<String> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for conversation in self.conversations() {
            found.entry(conversation.differences()).or_default().push(conversation.name);
        }
        let mut groups: Vec<_> = found.into_iter().filter(|(differences, _)| !differences.is_empty()).collect();
        // What most have in common comes first.
        groups.sort_by_key(|(_, names)| (usize::MAX - names.len(), names.clone()));
        let group = |(differences, names): &(String, Vec<String>)| format!("### {}\n{differences}\n", names.join(" "));
        let actual: String = groups.iter().map(group).collect();
        let path = self.folder.join("differences");
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if super::updates() {
            fs::write(&path, &actual).unwrap();
            return None;
        }
        (actual != expected)
            .then(|| format!("{} differs\n--- expected\n{expected}\n--- actual\n{actual}", path.display()))
    }
}

impl Inherited {
    fn differences(&self) -> String {
        let there = folders::read(&self.folder).replay(&in_one_piece);
        let here = self.case.replay(&in_one_piece);
        let mut lines = Vec::new();
        let mut answer = there.response;
        match (there.upstream_request, here.upstream_request) {
            (Some(there), Some(here)) => compare(&there, &here, &mut lines),
            (None, None) => {}
            (None, Some(_)) => lines.push("+ the provider is asked".to_owned()),
            (Some(_), None) => {
                lines.push("- the provider is asked".to_owned());
                answer.clear();
            }
        }
        let told = lines.len();
        compare(&answer, &here.response, &mut lines);
        if lines.len() > told {
            lines.insert(told, "the client reads".to_owned());
        }
        lines.into_iter().map(|line| line.replace(&self.id, "{id}") + "\n").collect()
    }
}

/// Head and body of two messages; lengths follow from the bodies.
fn compare(expected: &[u8], actual: &[u8], lines: &mut Vec<String>) {
    let (expected, actual) = (parts(expected), parts(actual));
    let lacks = |list: &[String], line: &String| !list.contains(line);
    lines.extend(expected.0.iter().filter(|line| lacks(&actual.0, line)).map(|line| format!("- {line}")));
    lines.extend(actual.0.iter().filter(|line| lacks(&expected.0, line)).map(|line| format!("+ {line}")));
    let value = |values: &[Value], at| values.get(at).cloned().unwrap_or_else(|| serde_json::json!({}));
    for at in 0..expected.1.len().max(actual.1.len()) {
        differ("", &value(&expected.1, at), &value(&actual.1, at), lines);
    }
}

/// The lines of the head, and the values of the body: one, or those of its events.
fn parts(message: &[u8]) -> (Vec<String>, Vec<Value>) {
    let text = String::from_utf8_lossy(message);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    assert!(length.is_none_or(|length| length == body.len().to_string()), "{text}");
    let head = head.lines().filter(|line| !line.starts_with("content-length: ")).map(str::to_owned).collect();
    let value = |text: &str| {
        let text = text.strip_prefix("data: ").unwrap_or(text);
        serde_json::from_str(text).unwrap_or_else(|_| text.into())
    };
    let events = if body.starts_with('{') { vec![body] } else { body.split_terminator("\n\n").collect() };
    (head, events.into_iter().map(value).collect())
}

/// What differs of two values, each with where it is.
fn differ(at: &str, expected: &Value, actual: &Value, lines: &mut Vec<String>) {
    match (expected, actual) {
        _ if expected == actual => {}
        (Value::Object(a), Value::Object(b)) => {
            let more = b.iter().filter(|(key, _)| !a.contains_key(*key));
            for key in a.keys().chain(more.map(|(key, _)| key)) {
                let at = format!("{at}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differ(&at, a, b, lines),
                    (Some(a), None) => lines.push(format!("- {at}: {a}")),
                    (None, b) => lines.push(format!("+ {at}: {}", b.unwrap())),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                differ(&format!("{at}.*"), a, b, lines);
            }
        }
        (Value::String(text), Value::Array(parts)) if *text == texts(parts) => {
            let line = format!("~ {at}: a text is a list of parts");
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        _ => lines.extend([format!("- {at}: {expected}"), format!("+ {at}: {actual}")]),
    }
}

fn texts(parts: &[Value]) -> String {
    parts.iter().map(|part| part["text"].as_str().unwrap_or("?")).collect()
}

/// The other kind's answer as it comes from here.
fn told_by(kind: &str, given: &[u8]) -> Vec<u8> {
    match kind {
        "anthropic-bedrock" => in_frames(given),
        "dashscope-multimodal" => in_parts(given),
        _ => given.to_vec(),
    }
}

/// Events as Bedrock passes them on: in base64, each in a frame of its own.
fn in_frames(given: &[u8]) -> Vec<u8> {
    let (status, headers, body) = parse_response(given);
    if headers.content_type() != Some("text/event-stream") {
        return given.to_vec();
    }
    let mut parser = sse::Parser::default();
    let mut told = Vec::new();
    let frame = |data: &str| frames::event("chunk", &serde_json::json!({"bytes": STANDARD.encode(data)}).to_string());
    parser.push(&body).unwrap();
    while let Some(event) = parser.next() {
        told.push(frame(event.data));
    }
    // The end may stand for a blank line, or cut off the last event: here that is within its frame.
    let mut cut = Vec::new();
    while let Some(event) = parser.finish() {
        if json::is_valid(event.data.as_bytes()) || event.data == "[DONE]" {
            told.push(frame(event.data));
        } else {
            let whole = frames::join(&[frame(event.data)]);
            cut.extend_from_slice(&whole[..whole.len() / 2]);
        }
    }
    let mut relabelled = Headers::default();
    headers.iter().filter(|(name, _)| *name != "content-type").for_each(|(name, value)| relabelled.push(name, value));
    relabelled.push("content-type", "application/vnd.amazon.eventstream");
    response(status, &relabelled, &[frames::join(&told), cut].concat())
}

/// Texts as multimodal generation tells them: as a list of parts, which is empty where there is none.
fn in_parts(given: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(given);
    let line = |line: &str| {
        let (front, json) = line.split_at(line.find('{').unwrap_or(line.len()));
        let Ok(mut value) = serde_json::from_str::<Value>(json.trim_end()) else { return line.to_owned() };
        let choices = value.pointer_mut("/output/choices").and_then(Value::as_array_mut);
        for content in choices.into_iter().flatten().filter_map(|choice| choice.pointer_mut("/message/content")) {
            if let Some(text) = content.as_str() {
                *content = if text.is_empty() { serde_json::json!([]) } else { serde_json::json!([{"text": text}]) };
            }
        }
        format!("{front}{value}{}", &json[json.trim_end().len()..])
    };
    text.split_inclusive('\n').map(line).collect::<String>().into_bytes()
}
