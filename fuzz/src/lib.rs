//! What the targets share: a router for each kind of provider, and how their inputs are read.
//!
//! Inputs are text: a few characters that say how, then the bytes that a client or a provider would send.
//! So seeds are made from the golden conversations by putting characters in front.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dragoman::chat::ChatRequest;
use dragoman::config;
use dragoman::error::ErrorReply;
use dragoman::headers::Headers;
use dragoman::provider::{KINDS, Kind, Setting};
use dragoman::route::health::Health;
use dragoman::route::{Answered, Moment, Plan, Router, Wishes};
use serde_json::{Value, json};

#[path = "../../tests/support/frames.rs"]
pub mod frames;
#[path = "../../tests/support/reader.rs"]
pub mod reader;
pub mod sent;
pub mod tame;

/// The path of the API that is spoken.
pub const PATH: &str = "/v1/chat/completions";

/// The model that every router has.
pub const MODEL: &str = "model";

/// The router whose only model the character stands for (`models.json`).
pub fn router(letter: u8) -> &'static Router {
    let models = &*ROUTERS;
    models.get(&letter).unwrap_or_else(|| models.values().nth(usize::from(letter) % models.len()).expect("one of all"))
}

/// A plan at some time, with everybody well.
pub fn plan(router: &Router, chat: &ChatRequest<'_>, wishes: &Wishes) -> Result<Plan, ErrorReply> {
    let now = std::time::Duration::from_secs(1_767_225_600);
    let moment = Moment { now, seed: 1, health: &|_, _| Health::default() };
    match router.decide(chat, PATH, wishes, &moment)? {
        Answered::Planned(plan) => Ok(plan),
        Answered::Explained(_) => panic!("nobody has asked for an explanation"),
    }
}

static ROUTERS: LazyLock<BTreeMap<u8, Router>> = LazyLock::new(|| {
    let models: BTreeMap<String, Value> = serde_json::from_str(include_str!("../models.json")).expect("models.json");
    let mut models: BTreeMap<u8, Value> =
        models.into_iter().map(|(letter, model)| (letter.as_bytes()[0], model)).collect();
    for kind in KINDS {
        if models.values().all(|model| model["kind"] != kind.name) {
            let letter = (b'!'..).find(|letter| !models.contains_key(letter)).expect("a character for each kind");
            models.insert(letter, some_model(kind));
        }
    }
    models.into_iter().map(|(letter, model)| (letter, router_of(model))).collect()
});

/// For a kind that models.json has no model of.
fn some_model(kind: &Kind) -> Value {
    let mut provider = json!({});
    if kind.url.is_empty() {
        provider["url"] = json!("http://127.0.0.1:9000");
    }
    for (name, setting) in [("region", kind.region), ("project", kind.project)] {
        if setting == Setting::Required {
            provider[name] = json!("x");
        }
    }
    json!({"kind": kind.name, "id": "m-1", "max_output": 4096, "reasoning": true, "provider": provider})
}

fn router_of(mut model: Value) -> Router {
    let entry = model.as_object_mut().expect("an entry is an object");
    let mut provider = entry.remove("provider").unwrap_or_else(|| json!({}));
    provider["kind"] = entry.remove("kind").expect("an entry has a kind");
    provider["credential"] = json!("none");
    entry.insert("provider".to_owned(), json!("provider"));
    let document = json!({"version": "fuzz", "providers": {"provider": provider}, "models": {MODEL: model}});
    match config::from_json(document.to_string().as_bytes()) {
        Ok(config) => Router::new(config),
        Err(problems) => panic!("{problems}"),
    }
}

/// `name: value` lines up to an empty one, or to the end; and what follows. Nothing is refused: what a
/// host could not have taken is passed over.
pub fn headers(text: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Headers::default();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        let Ok(name) = String::from_utf8(name) else { continue };
        if is_header(&name, value) {
            headers.push(&name, value);
        }
    }
    (headers, rest)
}

/// The bytes in pieces: one each for `0`, otherwise of lengths that follow from `seed`.
pub fn pieces(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Mostly a few bytes, now and then many, sometimes none.
        let wanted = match state >> 24 {
            _ if seed == b'0' => 1,
            n @ 0..=199 => n as usize % 20,
            n => n as usize,
        };
        let (piece, tail) = rest.split_at(wanted.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

/// Lines of a type and a payload as the frames of an AWS event stream; `!` stands before an exception's type.
/// With `wrapped`, payloads of the type `chunk` are in base64, as Bedrock passes on other APIs' events.
pub fn framed(lines: &[u8], wrapped: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let frame = |line: &[u8]| {
        let (name, payload) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
        let (kind, name) = match name.strip_prefix(b"!") {
            Some(name) => ("exception", name),
            None => ("event", name),
        };
        let payload = payload.strip_prefix(b" ").unwrap_or(payload);
        let name = String::from_utf8_lossy(name);
        match wrapped && name == "chunk" {
            true => frames::message(kind, &name, json!({"bytes": STANDARD.encode(payload)}).to_string().as_bytes()),
            false => frames::message(kind, &name, payload),
        }
    };
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(frame).collect()
}

/// What leaves has to be what Envoy can send and no other proxy would misread.
pub fn check_headers(headers: &Headers) {
    for (name, value) in headers.iter() {
        let name = name.strip_prefix(':').unwrap_or(name);
        assert!(is_header(name, value), "{name:?}: {value:?}");
    }
}

fn is_header(name: &str, value: &[u8]) -> bool {
    let is_token = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && !value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}
