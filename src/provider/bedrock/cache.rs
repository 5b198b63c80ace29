//! Cache points: a marker on a part becomes a block behind it, up to which the provider caches.

use crate::chat::request::{Content, Message, Tool};
use crate::json::{self, Object, RawValue, Type, Writer};

use super::{Caches, Maker};

/// What clients mark with: OpenAI's own name, and Anthropic's, which many send whatever the model.
const MARKERS: &[&str] = &["prompt_cache_breakpoint", "cache_control"];

/// As many checkpoints as a request may have (prompt caching, supported models).
const MOST: usize = 4;

/// Writes cache points, the last four of those that are asked for: each covers all before it.
pub struct CachePoints {
    caches: Caches,
    /// How many more markers are passed over.
    surplus: usize,
    /// Whether any was, for being one too many or not for this model.
    pub dropped: bool,
}

impl CachePoints {
    pub fn new(maker: &Maker, messages: &[Message<'_>], tools: &[Tool<'_>]) -> Self {
        let caches = maker.caches;
        let of_tools =
            if caches == Caches::All { tools.iter().filter(|tool| is_marked(&tool.fields)).count() } else { 0 };
        let of_messages = messages.iter().flat_map(markers).count();
        CachePoints { caches, surplus: (of_tools + of_messages).saturating_sub(MOST), dropped: false }
    }

    /// Behind a tool.
    pub fn write_behind_tool(&mut self, w: &mut Writer, tool: &Tool<'_>) {
        match marker(&tool.fields) {
            Some(_) if self.caches != Caches::All => self.dropped = true,
            Some(marker) => self.write(w, marker),
            None => {}
        }
    }

    /// Behind a message's part, or behind the whole message if it is marked itself.
    pub fn write_behind(&mut self, w: &mut Writer, fields: &Object<'_>) {
        if let Some(marker) = marker(fields) {
            self.write(w, marker);
        }
    }

    fn write(&mut self, w: &mut Writer, marker: &RawValue) {
        if self.caches == Caches::None || self.surplus > 0 {
            self.surplus = self.surplus.saturating_sub(1);
            self.dropped = true;
            return;
        }
        w.begin_object().key("cachePoint").begin_object().key("type").string("default");
        if let Some(ttl) = ttl(marker).filter(|_| self.caches == Caches::All) {
            w.key("ttl").string(ttl);
        }
        w.end_object().end_object();
    }
}

/// OpenAI's 30 minutes and 12 hours become an hour, which is the longest there is.
fn ttl(marker: &RawValue) -> Option<&'static str> {
    let fields = Object::of(marker)?;
    match fields.get("ttl")?.get() {
        "\"5m\"" => Some("5m"),
        "\"1h\"" | "\"30m\"" | "\"12h\"" => Some("1h"),
        _ => None,
    }
}

fn marker<'a>(fields: &Object<'a>) -> Option<&'a RawValue> {
    let given = |name: &&str| fields.get(name).filter(|value| json::type_of(value) == Type::Object);
    MARKERS.iter().find_map(given)
}

fn is_marked(fields: &Object<'_>) -> bool {
    marker(fields).is_some()
}

/// The fields of each part, where any of them may be marked: they are read once more only then.
pub fn parts<'a>(message: &Message<'a>) -> Vec<Object<'a>> {
    let Content::Parts(_) = &message.content else { return Vec::new() };
    let Some(list) = message.fields.get("content") else { return Vec::new() };
    if !MARKERS.iter().any(|name| memchr::memmem::find(list.get().as_bytes(), name.as_bytes()).is_some()) {
        return Vec::new();
    }
    let parts = json::elements(list).unwrap_or_default();
    parts.into_iter().map(|part| Object::of(part).unwrap_or_default()).collect()
}

fn markers<'a>(message: &Message<'a>) -> impl Iterator<Item = &'a RawValue> {
    let of_parts: Vec<_> = parts(message).iter().filter_map(marker).collect();
    of_parts.into_iter().chain(marker(&message.fields))
}
