//! What the targets share: a router with one provider of each kind, and how their inputs are read.
//!
//! Inputs are text: one or two characters that say how, then the bytes that a client or a provider
//! would send. So seeds are made from the golden conversations by putting a character in front.

use std::sync::LazyLock;

use dragoman::config;
use dragoman::headers::Headers;
use dragoman::chat::ChatRequest;
use dragoman::error::ErrorReply;
use dragoman::route::health::Health;
use dragoman::route::{Answered, Moment, Plan, Router, Wishes};

#[path = "../../tests/support/reader.rs"]
pub mod reader;
pub mod tame;

/// The route that both models are targets of.
pub const ROUTE: &str = "both";

/// A plan at some time, with everybody well.
pub fn plan(chat: &ChatRequest<'_>, wishes: &Wishes) -> Result<Plan, ErrorReply> {
    let now = std::time::Duration::from_secs(1_767_225_600);
    let moment = Moment { now, seed: 1, health: &|_, _| Health::default() };
    match ROUTER.decide(chat, "/v1/chat/completions", wishes, &moment)? {
        Answered::Planned(plan) => Ok(plan),
        Answered::Explained(_) => panic!("nobody has asked for an explanation"),
    }
}

pub static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    let document = r#"{
        "version": "fuzz",
        "providers": {"openai": {"credential": "none"}, "anthropic": {"credential": "none"}},
        "models": {
            "gpt": {"provider": "openai", "id": "gpt-6.1-sol"},
            "claude": {"provider": "anthropic", "id": "claude-x", "max_output": 64000,
                "sampling": ["temperature", "top_p", "top_k"]}
        },
        "routes": {"both": {"targets": ["gpt", "claude"]}}
    }"#;
    match config::from_json(document.as_bytes()) {
        Ok(config) => Router::new(config),
        Err(problems) => panic!("{problems}"),
    }
});

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
