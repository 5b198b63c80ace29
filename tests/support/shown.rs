//! What a conversation shows: read from what the client sent and what it was told, so that nobody has to say it.

use serde_json::Value;

use super::golden::{Case, Replayed, in_one_piece, parse_response};
use super::{canonical, folders, inherited};

/// Its name, and whether a conversation shows it.
pub type Item = (&'static str, fn(&Shown) -> bool);

/// What every kind of provider has a conversation of, streamed and not.
pub const ITEMS: &[Item] = &[
    ("text", |shown| shown.answered && shown.has_text),
    ("system", |shown| shown.answered && shown.asks(System)),
    ("parallel calls", |shown| shown.answered && shown.calls > 1),
    ("results", |shown| shown.answered && shown.asks(Results)),
    ("image", |shown| shown.answered && shown.asks(Image)),
    ("json schema", |shown| shown.answered && shown.asks(Schema)),
    ("thinking, then calls", |shown| shown.answered && shown.has_reasoning && shown.calls > 0),
    ("thinking comes back", |shown| shown.answered && shown.asks(Thoughts)),
    ("stop", |shown| shown.finishes("stop")),
    ("length", |shown| shown.finishes("length")),
    ("block", |shown| shown.is_blocked),
    ("error", |shown| shown.has_failed),
];

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask {
    System,
    Tools,
    Results,
    Image,
    Schema,
    Thoughts,
}
use Ask::*;

pub struct Shown {
    pub kind: String,
    pub stream: bool,
    answered: bool,
    has_text: bool,
    has_reasoning: bool,
    /// The most calls of one choice.
    calls: usize,
    finishes: Vec<String>,
    is_blocked: bool,
    /// Told as an error: the provider's, or one of ours, before it was asked.
    has_failed: bool,
    is_refused: bool,
    request: Value,
}

impl Shown {
    /// By a clear error, without asking the provider.
    pub fn is_refused(&self, what: Ask) -> bool {
        self.is_refused && self.asks(what)
    }

    fn asks(&self, what: Ask) -> bool {
        let messages = || self.request["messages"].as_array().into_iter().flatten();
        let calls = |message: &Value| message["tool_calls"].as_array().map_or(0, Vec::len);
        let of = |role: &str| messages().filter(|message| message["role"] == role).count();
        match what {
            System => of("system") + of("developer") > 0,
            Tools => self.request["tools"].is_array(),
            Results => of("tool") > 1 && messages().any(|message| calls(message) > 1),
            Image => messages().any(|message| {
                message["content"].as_array().into_iter().flatten().any(|part| part["type"] == "image_url")
            }),
            Schema => self.request["response_format"]["type"] == "json_schema",
            Thoughts => messages().any(|message| {
                let is_kept = |field: &str| !message[field].is_null();
                let carries = message["tool_calls"].to_string().contains("__dgm_");
                calls(message) > 0 && (carries || is_kept("reasoning_content") || is_kept("thinking_blocks"))
            }),
        }
    }

    fn finishes(&self, reason: &str) -> bool {
        self.answered && self.finishes.iter().any(|finish| finish == reason)
    }

    fn read(kind: &str, case: &Case) -> Shown {
        let Replayed { upstream_request, response, .. } = case.replay(&in_one_piece);
        let (status, _, body) = parse_response(&response);
        let text = String::from_utf8_lossy(&body);
        let events: Vec<Value> = match serde_json::from_str(&text) {
            Ok(whole) => vec![whole],
            Err(_) => text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect(),
        };
        let request: Value = serde_json::from_slice(&case.request).unwrap_or_default();
        let errors: Vec<_> = events.iter().map(|event| &event["error"]).filter(|error| error.is_object()).collect();
        let is_refused = upstream_request.is_none();
        let mut shown = Shown {
            kind: kind.to_owned(),
            stream: request["stream"] == true,
            answered: status == 200 && errors.is_empty(),
            has_text: false,
            has_reasoning: false,
            calls: 0,
            finishes: Vec::new(),
            is_blocked: errors.iter().any(|error| error["code"] == "content_filter"),
            has_failed: !is_refused && !errors.is_empty(),
            is_refused: is_refused && status == 400 && errors[0]["param"].is_string(),
            request,
        };
        for choice in events.iter().flat_map(|event| event["choices"].as_array().into_iter().flatten()) {
            let message = if choice["delta"].is_null() { &choice["message"] } else { &choice["delta"] };
            let says = |field: &str| message[field].as_str().is_some_and(|text| !text.is_empty());
            shown.has_text |= says("content");
            shown.has_reasoning |= says("reasoning_content");
            shown.is_blocked |= says("refusal") || choice["finish_reason"] == "content_filter";
            shown.finishes.extend(choice["finish_reason"].as_str().map(str::to_owned));
            for (at, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
                let index = call["index"].as_u64().map_or(at, |index| index as usize);
                shown.calls = shown.calls.max(index + 1);
            }
        }
        shown
    }
}

/// All conversations of all kinds.
pub fn all() -> Vec<Shown> {
    let mut all = Vec::new();
    for folder in folders::all() {
        let case = folders::read(&folder);
        all.push(Shown::read(case.kind(), &case));
    }
    for row in canonical::rows() {
        let conversations = canonical::conversations();
        all.extend(conversations.values().map(|folder| Shown::read(row.kind, &row.case(folder))));
    }
    for surface in inherited::surfaces() {
        all.extend(surface.conversations().iter().map(|inherited| Shown::read(&surface.kind, &inherited.case)));
    }
    all
}
