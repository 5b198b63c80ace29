//! Messages: edits of each of them, and of the ids of tool calls, which may carry state.

use std::ops::Range;

use super::dialect::{Audio, Files, Images, Parts};
use super::echo;
use super::request::Request;
use crate::chat::request::{Content, Message, Part, Role};
use crate::chat::state;
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type};
use crate::places::Places;
use crate::provider::parameters::unsupported;

/// `thinks`: whether the model will think. `instruction`: what it is to be told before all else.
pub fn edit(request: &mut Request<'_, '_>, thinks: bool, instruction: Option<String>) -> Result<(), Rejection> {
    let chat = request.chat;
    let rules = &request.dialect.messages;
    let has_developer = rules.no_developer && chat.listed.iter().any(|message| message.is_of("\"developer\""));
    let is_edited = rules.are_edited() || has_developer || instruction.is_some();
    if !is_edited && !chat.listed.carry_state() {
        return Ok(());
    }
    let messages = match chat.messages() {
        Ok(messages) => messages,
        // What cannot be read is the provider's to refuse, unless we have to.
        Err(_) if !is_edited => return Ok(()),
        Err(rejection) => return Err(rejection),
    };
    let Some(list) = chat.field("messages") else { return Ok(()) };
    let Some(span) = json::span(chat.body, list.get()) else { return Ok(()) };
    if rules.ordered {
        check_order(messages)?;
    }
    let open = span.start + 1;
    if let Some(text) = instruction {
        request.edits.replace(open..open, format!(r#"{{"role":"system","content":{}}},"#, json::escape(&text)));
    }
    let ids = Ids::new(rules.short_ids, messages);
    let last = messages.len().saturating_sub(1);
    let mut items = Vec::with_capacity(if rules.ordered { messages.len() } else { 0 });
    for (message, raw) in messages.iter().zip(chat.listed.iter()) {
        let Some(span) = json::span(chat.body, raw.value.get()) else { continue };
        // Nothing was said; Mistral refuses it.
        let is_cut = rules.ordered && message.index != last && says_nothing(message);
        if !is_cut {
            Editor { request, message, thinks, added: String::new() }.edit(span.start + 1, message.index == last)?;
            // What is cut out is not edited.
            let stays = |field| rules.fields.is_empty() || rules.fields.contains(field);
            let calls = message.tool_calls.iter().filter(|_| stays("tool_calls")).map(|call| call.id);
            let calls = calls.chain(message.tool_call_id.filter(|_| stays("tool_call_id")));
            for (id, sent) in calls.filter_map(|id| Some((id, ids.sent(id)?))) {
                if let Some(range) = json::span(chat.body, id.raw()) {
                    request.edits.replace(range, sent);
                }
            }
        }
        if rules.ordered {
            items.push((span, is_cut));
        }
    }
    request.edits.cut(open, items);
    Ok(())
}

fn content_is_there(content: &Content<'_>) -> bool {
    match content {
        Content::None => false,
        Content::Text(text) => !text.is_empty(),
        Content::Parts(parts) => !parts.is_empty(),
    }
}

fn says_nothing(message: &Message<'_>) -> bool {
    message.role == Role::Assistant
        && !content_is_there(&message.content)
        && message.tool_calls.is_empty()
        && message.refusal.is_none_or(Str::is_empty)
}

/// Mistral: "Not the same number of function calls and responses", "Unexpected role 'tool'".
fn check_order(messages: &[Message<'_>]) -> Result<(), Rejection> {
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        let at = |field: &str| message.at(field);
        match (message.role, &message.tool_call_id) {
            (Role::Function, _) => return Err(unsupported(&at("role"))),
            (Role::Tool, Some(id)) => {
                let id = state::plain(*id);
                let Some(place) = open.iter().position(|call| *call == id) else {
                    let text = "A tool's result must follow the assistant message with its call, and come once.";
                    return Err(Rejection::invalid(at("tool_call_id"), text));
                };
                open.remove(place);
            }
            _ if !open.is_empty() => {
                let text =
                    format!("Each tool call must have its result before this message: {} are missing.", open.len());
                return Err(Rejection::invalid(at("role"), text));
            }
            _ => open = message.tool_calls.iter().map(|call| state::plain(call.id).into_owned()).collect(),
        }
    }
    if !open.is_empty() {
        let text = format!("Each tool call must have its result: {} are missing.", open.len());
        return Err(Rejection::invalid("messages", text));
    }
    Ok(())
}

/// The edits of one message. New pairs go behind its role.
struct Editor<'e, 'r, 'a> {
    request: &'e mut Request<'r, 'a>,
    message: &'e Message<'a>,
    thinks: bool,
    added: String,
}

impl<'a> Editor<'_, '_, 'a> {
    fn edit(mut self, open: usize, is_last: bool) -> Result<(), Rejection> {
        let (message, rules) = (self.message, &self.request.dialect.messages);
        let fields = &message.fields;
        let Some(spans) = fields.spans(self.request.chat.body, open) else { return Ok(()) };
        let mut items = Vec::with_capacity(spans.len());
        let (mut role, mut content) = (None, None);
        for ((name, value), (key, span)) in fields.iter().zip(spans) {
            let is_known = match name {
                "role" => {
                    role = Some(span.clone());
                    true
                }
                "content" => {
                    content = Some((span.clone(), value));
                    true
                }
                "name" if rules.names.is_some_and(|roles| !roles.contains(&message.role)) => false,
                name => rules.fields.is_empty() || rules.fields.contains(name),
            };
            // A refusal becomes content, unless there is some.
            let is_lost = name != "refusal" || content_is_there(&message.content);
            if !is_known && is_lost && !matches!(value.get(), "null" | "[]" | "\"\"" | "{}") {
                self.request.name_dropped(&format!("messages.{name}"));
            }
            items.push((key.start..span.end, !is_known));
        }
        self.request.edits.cut(open, items);
        self.content(content)?;
        if message.role == Role::Assistant && is_last && rules.ordered && message.fields.get("prefix").is_none() {
            // It is to be continued.
            self.added.push_str(",\"prefix\":true");
        }
        self.give_back();
        let developer = message.role == Role::Developer && rules.no_developer;
        if let Some(span) = role.filter(|_| developer || !self.added.is_empty()) {
            let text = if developer { "\"system\"" } else { fields.get("role").map_or("", RawValue::get) };
            self.request.edits.replace(span, format!("{text}{}", self.added));
        }
        Ok(())
    }

    fn content(&mut self, given: Option<(Range<usize>, &'a RawValue)>) -> Result<(), Rejection> {
        let (message, rules) = (self.message, &self.request.dialect.messages);
        let has_refusals = rules.fields.is_empty() || rules.fields.contains("refusal");
        let thoughts = self.request.dialect.echo.and_then(|echo| echo::thoughts(echo, message));
        let instead = match &message.content {
            Content::None => {
                message.refusal.filter(|text| !has_refusals && !text.is_empty()).map(|text| text.raw().into())
            }
            Content::Text(text) if text.is_empty() && !has_refusals => message.refusal.map(|text| text.raw().into()),
            Content::Parts(parts) if rules.joined => joined(parts),
            _ => None,
        };
        let content = match (thoughts, &message.content) {
            (Some(thoughts), content) => Some(with_thoughts(&thoughts, instead, content)),
            (None, _) => instead,
        };
        match (content, given) {
            (Some(text), Some((span, _))) => self.request.edits.replace(span, text),
            (Some(text), None) => self.added.push_str(&format!(",\"content\":{text}")),
            (None, Some((span, value))) => {
                if let Content::Parts(parts) = &message.content {
                    for (part, raw) in parts.iter().zip(json::elements(value).unwrap_or_default()) {
                        self.part(part, raw)?;
                    }
                } else if rules.ordered && matches!(message.content, Content::None) && message.role != Role::Assistant {
                    self.request.edits.replace(span, "\"\"");
                }
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn part(&mut self, part: &Part<'a>, raw: &'a RawValue) -> Result<(), Rejection> {
        let body = self.request.chat.body;
        let rules = &self.request.dialect.messages;
        let Some(span) = json::span(body, raw.get()) else { return Ok(()) };
        let own: &[&str] = match part {
            Part::Text(_) => &["type", "text"],
            Part::Refusal(text) if rules.parts == Parts::Plain => {
                self.request.edits.replace(span, format!(r#"{{"type":"text","text":{}}}"#, text.raw()));
                return Ok(());
            }
            Part::Refusal(_) => &["type", "refusal"],
            Part::Image { url } => {
                self.image(*url)?;
                &["type", "image_url"]
            }
            Part::Other { kind, at, .. } => {
                let is_audio = kind == "input_audio";
                let fields = Object::of(raw).unwrap_or_default();
                match kind.as_ref() {
                    "input_audio" if rules.audio == Audio::Refused => return Err(unsupported(at)),
                    "file" if rules.files == Files::Refused => return Err(unsupported(at)),
                    "file" if rules.files == Files::DocumentUrl => {
                        let text = fields.get("file").and_then(document).ok_or_else(|| unsupported(at))?;
                        self.request.edits.replace(span, text);
                        return Ok(());
                    }
                    "input_audio" => self.audio(fields.get("input_audio")),
                    _ => {}
                }
                if !is_audio {
                    return Ok(());
                }
                &["type", "input_audio"]
            }
        };
        if rules.parts != Parts::Same {
            let fields = Object::of(raw).unwrap_or_default();
            let spans = fields.spans(body, span.start + 1).unwrap_or_default();
            let mut items = Vec::with_capacity(spans.len());
            for ((name, value), (key, value_span)) in fields.iter().zip(spans) {
                let is_cut = match rules.parts {
                    Parts::Plain => !own.contains(&name),
                    _ => name == "prompt_cache_breakpoint",
                };
                if is_cut && json::type_of(value) != Type::Null {
                    self.request.name_dropped(&format!("messages.content.{name}"));
                }
                items.push((key.start..value_span.end, is_cut));
            }
            self.request.edits.cut(span.start + 1, items);
        }
        Ok(())
    }

    fn image(&mut self, url: Str<'a>) -> Result<(), Rejection> {
        let at = || format!("messages[{}].content", self.message.index);
        let is_data = url.escaped().starts_with("data:");
        match self.request.dialect.messages.images {
            Images::Same => {}
            Images::Refused => return Err(Rejection::unsupported(at(), "This model takes no images.")),
            Images::OnlyData if !is_data => {
                let text = "This model fetches no images: send them as data URLs.";
                return Err(Rejection::unsupported(at(), text));
            }
            Images::OnlyData => {}
            Images::BareData => {
                const LABEL: &str = "base64,";
                let end = url.escaped().find(LABEL).filter(|_| is_data).map(|at| at + LABEL.len());
                if let (Some(end), Some(span)) = (end, json::span(self.request.chat.body, url.escaped())) {
                    self.request.edits.replace(span.start..span.start + end, "");
                }
            }
        }
        Ok(())
    }

    fn audio(&mut self, audio: Option<&'a RawValue>) {
        let body = self.request.chat.body;
        let data = audio.and_then(|audio| Object::of(audio)?.get("data"));
        let (Some(audio), Some(data)) = (audio, data.and_then(Str::new)) else { return };
        let (Some(outer), Some(inner)) = (json::span(body, audio.get()), json::span(body, data.raw())) else { return };
        match self.request.dialect.messages.audio {
            Audio::Bare => {
                self.request.edits.replace(outer.start..inner.start, "");
                self.request.edits.replace(inner.end..outer.end, "");
            }
            Audio::DataUrl if !data.escaped().starts_with("data:") && !data.escaped().starts_with("http") => {
                self.request.edits.replace(inner.start + 1..inner.start + 1, "data:;base64,");
            }
            Audio::DataUrl | Audio::Same | Audio::Refused => {}
        }
    }

    /// Puts what the provider wants back into the message that it was taken from, if the client has not.
    fn give_back(&mut self) {
        let Some(echo) = self.request.dialect.echo else { return };
        let Some((name, value)) = echo::field(echo, self.message, self.thinks) else { return };
        let given = self.message.fields.get(name);
        match given.and_then(|value| json::span(self.request.chat.body, value.get())) {
            Some(span) => self.request.edits.replace(span, value),
            None => self.added.push_str(&format!(",\"{name}\":{value}")),
        }
    }
}

/// Content of nothing but text as one string, a line for each part.
fn joined(parts: &[Part<'_>]) -> Option<String> {
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) | Part::Refusal(text) => Some(text.escaped()),
            Part::Image { .. } | Part::Other { .. } => None,
        })
        .collect();
    Some(format!("\"{}\"", texts?.join("\\n")))
}

/// Content behind what was thought before it. `thoughts`: the elements of a list.
fn with_thoughts(thoughts: &str, instead: Option<String>, content: &Content<'_>) -> String {
    let text = |text: &str| format!(r#"{{"type":"text","text":{text}}}"#);
    let parts: Vec<String> = match (instead, content) {
        (Some(instead), _) => vec![text(&instead)],
        (None, Content::Text(content)) if !content.is_empty() => vec![text(content.raw())],
        (None, Content::Parts(parts)) => {
            let of = |part: &Part<'_>| match part {
                Part::Text(content) | Part::Refusal(content) => Some(text(content.raw())),
                Part::Image { .. } | Part::Other { .. } => None,
            };
            parts.iter().filter_map(of).collect()
        }
        (None, Content::None | Content::Text(_)) => Vec::new(),
    };
    let mut out = format!("[{thoughts}");
    for part in parts {
        out.push(',');
        out.push_str(&part);
    }
    out.push(']');
    out
}

/// A file as Mistral takes it: one of its own, or a document in a data URL.
fn document(file: &RawValue) -> Option<String> {
    let fields = Object::of(file)?;
    let text = |name: &str| fields.get(name).and_then(Str::new);
    if let Some(id) = text("file_id") {
        return Some(format!(r#"{{"type":"file","file_id":{}}}"#, id.raw()));
    }
    let data = text("file_data")?;
    // Many clients send the bare base64.
    let label = if data.escaped().starts_with("data:") { "" } else { "data:application/pdf;base64," };
    let name = text("filename").map(|name| format!(",\"document_name\":{}", name.raw())).unwrap_or_default();
    Some(format!(r#"{{"type":"document_url","document_url":"{label}{}"{name}}}"#, data.escaped()))
}

/// Tool-call ids as they are sent.
struct Ids {
    /// By the plain id, where they have to be short.
    short: Option<(Places<'static>, Vec<String>)>,
}

impl Ids {
    /// Mistral: "must be a-z, A-Z, 0-9, with a length of 9". An id that is one already stays; of the
    /// others a hash does. The same ids give the same in every request of a conversation.
    fn new(are_short: bool, messages: &[Message<'_>]) -> Self {
        if !are_short {
            return Ids { short: None };
        }
        let calls = messages.iter().flat_map(|message| &message.tool_calls).map(|call| call.id);
        let results = messages.iter().filter_map(|message| message.tool_call_id);
        let plain: Vec<String> = calls.chain(results).map(|id| state::plain(id).into_owned()).collect();
        let is_short = |id: &str| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (mut places, mut short) = (Places::default(), Vec::new());
        let mut taken = Places::of(plain.iter().filter(|id| is_short(id)).map(|id| id.clone().into()));
        for id in plain {
            if places.has(&id) {
                continue;
            }
            let sent = if is_short(&id) {
                id.clone()
            } else {
                (0..=u8::MAX).map(|salt| hashed(&id, salt)).find(|sent| !taken.has(sent)).unwrap_or_default()
            };
            taken.set(sent.clone().into(), 0);
            places.set(id.into(), short.len());
            short.push(sent);
        }
        Ids { short: Some((places, short)) }
    }

    /// What stands in the place of an id, as JSON; `None` if it may stay.
    fn sent(&self, id: Str<'_>) -> Option<String> {
        match &self.short {
            None => state::plain_json(id),
            Some((places, short)) => {
                let sent = json::escape(short.get(places.get(&state::plain(id))?)?);
                (sent != id.raw()).then_some(sent)
            }
        }
    }
}

/// FNV-1a, in nine digits of base 62.
fn hashed(id: &str, salt: u8) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.bytes().chain([salt]) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (0..9)
        .map(|_| {
            let digit = DIGITS.get((hash % 62) as usize).copied().unwrap_or(b'0');
            hash /= 62;
            char::from(digit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::chat::ChatRequest;
    use crate::provider::{Body, Target, compatible};

    #[test]
    fn ids_that_carry_state_are_left_alone_where_they_are_cut_out() {
        let id = "call_1__dgm_r_T3NsbyBcIml0XCIgaXMu";
        let body = format!(
            r#"{{"messages":[{{"role":"assistant","content":"a","tool_calls":[{{"id":"{id}","type":"function","function":
            {{"name":"f","arguments":""}}}}]}},{{"role":"tool","tool_call_id":"{id}","content":"b"}}],"model":"m"}}"#
        );
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let target = Target { id: "sonar".into(), ..Target::default() };
        let Body::Edited(edits) = compatible::PERPLEXITY.translator.request(&chat, &target).unwrap().body else {
            panic!("the request is written")
        };
        let written = String::from_utf8(edits.apply(body.as_bytes())).unwrap();
        assert_eq!(
            written,
            r#"{"messages":[{"role":"assistant","content":"a"},{"role":"tool","content":"b"}],"model":"sonar"}"#
        );
    }
}
