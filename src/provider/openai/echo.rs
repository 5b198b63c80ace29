//! What vendors want back with the next request of a tool loop: collected from their answers, carried in
//! the id of the turn's first call ([`crate::chat::state`]), and put back into the client's messages.
//!
//! Texts are kept as they were escaped, so that what goes back is what came.

use std::borrow::Cow;

use super::wire::{self, WireMessage};
use crate::chat::request::{Content, Message, Part, Role};
use crate::chat::{Said, SaidAs, State, ToolCallDelta, state};
use crate::json::{self, Object, RawValue, Str, Type};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// `reasoning_content` (DeepSeek, Moonshot, Z.ai, Qwen). `is_needed`: a model that thinks refuses a
    /// call without one, so that a space stands in for what a client has lost.
    Reasoning { is_needed: bool },
    /// `reasoning_details`, unmodified (OpenRouter, for the vendors behind it that sign).
    Details,
    /// Chunks of type `thinking` before the content, with their signatures (Mistral).
    Thoughts,
}

/// More than can be carried is not collected.
const MOST: usize = 192 << 10;

impl Echo {
    fn tag(self) -> &'static str {
        match self {
            Echo::Reasoning { .. } => "r",
            Echo::Details => "o",
            Echo::Thoughts => "m",
        }
    }
}

/// The field, and its JSON, that goes into a message of the assistant which lacks it.
pub fn field(echo: Echo, message: &Message<'_>, thinks: bool) -> Option<(&'static str, String)> {
    if !has_calls(message) {
        return None;
    }
    let is_given =
        |name: &str| message.fields.get(name).is_some_and(|value| !matches!(value.get(), "null" | "\"\"" | "[]"));
    match echo {
        Echo::Reasoning { is_needed } if !is_given("reasoning_content") => {
            let text = carried(echo, message).map(|text| format!("\"{text}\""));
            // What a client made of an id may be anything: it must be one string and nothing beside it.
            let text = text.filter(|text| json::parse_str(text).is_ok());
            let text = text.or_else(|| (is_needed && thinks).then(|| "\" \"".to_owned()))?;
            Some(("reasoning_content", text))
        }
        Echo::Details if !is_given("reasoning_details") => {
            let list = carried(echo, message).filter(|list| is_list_of_objects(list))?;
            Some(("reasoning_details", list))
        }
        _ => None,
    }
}

/// The elements that go before a message's content.
pub fn thoughts(echo: Echo, message: &Message<'_>) -> Option<String> {
    let is_thought = |part: &Part<'_>| matches!(part, Part::Other { kind, .. } if kind == "thinking");
    let has_thoughts = matches!(&message.content, Content::Parts(parts) if parts.iter().any(is_thought));
    if echo != Echo::Thoughts || !has_calls(message) || has_thoughts {
        return None;
    }
    let list = carried(echo, message).filter(|list| is_list_of_objects(list))?;
    Some(list.trim().get(1..list.trim().len().saturating_sub(1))?.to_owned())
}

fn has_calls(message: &Message<'_>) -> bool {
    message.role == Role::Assistant && !message.tool_calls.is_empty()
}

fn carried(echo: Echo, message: &Message<'_>) -> Option<String> {
    message.tool_calls.iter().find_map(|call| state::carried(call.id, echo.tag()))
}

fn is_list_of_objects(text: &str) -> bool {
    let Some(list) = json::parse_str(text).ok().and_then(json::elements) else { return false };
    !list.is_empty() && list.iter().all(|item| json::type_of(item) == Type::Object)
}

/// The state of a whole answer.
pub fn of_message<'a>(echo: Echo, message: &WireMessage<'a>) -> Option<State<'a>> {
    let payload = match echo {
        Echo::Reasoning { .. } => Cow::Borrowed(message.plain_reasoning()?.escaped()),
        Echo::Details => Cow::Borrowed(message.reasoning_details.filter(|list| is_list_of_objects(list.get()))?.get()),
        Echo::Thoughts => {
            let chunks: Vec<&str> = thinking(message).into_iter().map(RawValue::get).collect();
            Cow::Owned(if chunks.is_empty() { String::new() } else { format!("[{}]", chunks.join(",")) })
        }
    };
    (!payload.is_empty()).then_some(State { tag: echo.tag(), payload })
}

fn thinking<'a>(message: &WireMessage<'a>) -> Vec<&'a RawValue> {
    let parts = message.content.0.and_then(json::elements).unwrap_or_default();
    let is_thought = |part: &&RawValue| Object::of(part).is_some_and(|part| part.get("thinking").is_some());
    parts.into_iter().filter(is_thought).collect()
}

/// Collects the state of a streamed answer until its first call begins.
pub struct Collector {
    echo: Option<Echo>,
    turns: Vec<Turn>,
}

#[derive(Default)]
struct Turn {
    index: u32,
    text: String,
    blocks: Vec<Block>,
    size: usize,
    is_given: bool,
}

/// Names and their JSON.
type Block = Vec<(String, String)>;

impl Collector {
    pub fn new(echo: Option<Echo>) -> Self {
        Collector { echo, turns: Vec::new() }
    }

    /// Takes what is to be collected of a delta. Tells whether that is no more than its text, if anything.
    pub fn read(&mut self, index: u32, delta: &WireMessage<'_>) -> bool {
        // As many choices as the normalizer knows.
        const MOST_TURNS: usize = 128;
        let Some(echo) = self.echo else { return true };
        let at = match self.turns.iter().position(|turn| turn.index == index) {
            Some(at) => at,
            None if self.turns.len() == MOST_TURNS => return false,
            None => {
                self.turns.push(Turn { index, ..Turn::default() });
                self.turns.len() - 1
            }
        };
        let Some(turn) = self.turns.get_mut(at).filter(|turn| !turn.is_given) else { return true };
        let blocks = match echo {
            Echo::Reasoning { .. } => {
                turn.say(delta.plain_reasoning().unwrap_or(Str::EMPTY));
                return true;
            }
            Echo::Details => delta.reasoning_details.and_then(json::elements).unwrap_or_default(),
            Echo::Thoughts => thinking(delta),
        };
        blocks.iter().for_each(|block| turn.add(echo, block));
        blocks.is_empty()
    }

    /// The last delta once more, with another text in it.
    pub fn again(&mut self, said: &Said<'_>) {
        if !matches!((self.echo, said.said_as), (Some(Echo::Reasoning { .. }), SaidAs::Reasoning)) {
            return;
        }
        if let Some(turn) = self.turns.iter_mut().find(|turn| turn.index == said.choice && !turn.is_given) {
            turn.say(said.text);
        }
    }

    /// Gives what was collected to the first call that begins.
    pub fn give(&mut self, index: u32, calls: &mut [ToolCallDelta<'_>]) {
        let Some(echo) = self.echo else { return };
        let Some(call) = calls.iter_mut().find(|call| call.name.is_some()) else { return };
        let Some(turn) = self.turns.iter_mut().find(|turn| turn.index == index && !turn.is_given) else { return };
        turn.is_given = true;
        let payload = turn.take(echo);
        if !payload.is_empty() {
            call.state = Some(State { tag: echo.tag(), payload: Cow::Owned(payload) });
        }
    }
}

impl Turn {
    /// Whether there is room for as much more.
    fn grow(&mut self, by: usize) -> bool {
        self.size = self.size.saturating_add(by);
        self.size <= MOST
    }

    fn say(&mut self, text: Str<'_>) {
        if self.grow(text.escaped().len()) {
            self.text.push_str(text.escaped());
        }
    }

    /// A block comes in pieces, whose texts follow each other; its signature comes with the last.
    fn add(&mut self, echo: Echo, piece: &RawValue) {
        let Some(fields) = Object::of(piece) else { return };
        if !self.grow(piece.get().len()) {
            return;
        }
        let is_same = |block: &Block, name: &str| {
            let known = block.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            known == fields.get(name).map(RawValue::get)
        };
        let has = |block: &Block, name: &str| block.iter().any(|(key, value)| key == name && value != "null");
        let continues = self.blocks.last().is_some_and(|block| match echo {
            Echo::Thoughts => !has(block, "signature"),
            _ => is_same(block, "type") && is_same(block, "index") && !has(block, "data"),
        });
        if !continues {
            self.blocks.push(Block::new());
        }
        let Some(block) = self.blocks.last_mut() else { return };
        for (name, value) in fields.iter().filter(|(_, value)| json::type_of(value) != Type::Null) {
            let value = if name == "thinking" { text_of(value) } else { value.get().to_owned() };
            match block.iter_mut().find(|(key, _)| key == name) {
                Some((_, known)) if matches!(name, "text" | "summary" | "thinking") && value.starts_with('"') => {
                    known.pop();
                    known.push_str(value.get(1..).unwrap_or("\""));
                }
                Some((_, known)) => *known = value,
                None => block.push((name.to_owned(), value)),
            }
        }
    }

    fn take(&mut self, echo: Echo) -> String {
        if self.size > MOST {
            return String::new();
        }
        if !self.text.is_empty() || self.blocks.is_empty() {
            return std::mem::take(&mut self.text);
        }
        let mut out = String::with_capacity(self.size + 64);
        for (at, block) in std::mem::take(&mut self.blocks).into_iter().enumerate() {
            out.push_str(if at == 0 { "[{" } else { ",{" });
            for (at, (name, value)) in block.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(&json::escape(&name));
                out.push(':');
                if echo == Echo::Thoughts && name == "thinking" {
                    out.push_str(&format!(r#"[{{"type":"text","text":{value}}}]"#));
                } else {
                    out.push_str(&value);
                }
            }
            out.push('}');
        }
        out.push(']');
        out
    }
}

/// A thought's text as one JSON string: it is one, or a list of texts.
fn text_of(value: &RawValue) -> String {
    if json::type_of(value) == Type::String {
        return value.get().to_owned();
    }
    let pieces = json::elements(value).unwrap_or_default().into_iter().filter_map(wire::detail);
    let pieces: Vec<&str> = pieces.map(Str::escaped).collect();
    format!("\"{}\"", pieces.concat())
}
