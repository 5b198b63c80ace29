//! Cache marks: behind which blocks a client wants the prompt to be kept.
//!
//! A mark is Anthropic's own `cache_control` on a part, a message or a tool, or OpenAI's
//! `prompt_cache_breakpoint` on a part. Anthropic takes a few of them, and none that lives longer behind
//! one that lives shorter (prompt caching, how many breakpoints, mixing different TTLs).

use std::borrow::Cow;

use crate::chat::ChatRequest;
use crate::chat::request::{Content, Message, Tool};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::needle::Needle;

/// How many marks a request may have, the one of its top level included.
const MOST: usize = 4;

const OWN: &str = "cache_control";
const OPENAI: &str = "prompt_cache_breakpoint";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    FiveMinutes,
    Hour,
}

/// In the order of the prompt: tools, system, messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Tool(usize),
    /// A message, by its place in the request, and one of its parts.
    Part(usize, usize),
    /// The end of a message.
    Message(usize),
}

/// By the message's place first, so that its end comes behind its parts.
type At = (usize, Place);

/// Where the marks of a request stand.
#[derive(Default)]
pub struct Marks {
    /// In order.
    places: Vec<(At, (Ttl, &'static str))>,
}

impl Marks {
    /// The marks that are sent: the last of more than Anthropic takes, for they cover most. What is left
    /// out or lives for less than asked is named.
    pub fn read(
        chat: &ChatRequest<'_>,
        messages: &[Message<'_>],
        tools: &[Tool<'_>],
        dropped: &mut Vec<Cow<'static, str>>,
    ) -> Result<Self, Rejection> {
        let mut marks = Marks::default();
        if !may_have_any(chat, messages) {
            return Ok(marks);
        }
        for (index, tool) in tools.iter().enumerate() {
            let at = format!("tools[{index}]");
            marks.add((0, Place::Tool(index)), &tool.fields, &at, dropped)?;
            marks.add((0, Place::Tool(index)), &tool.function, &format!("{at}.function"), dropped)?;
        }
        for message in messages {
            let (index, order) = (message.index, message.index + 1);
            if matches!(message.content, Content::Parts(_)) {
                let parts = message.fields.get("content").and_then(json::elements).unwrap_or_default();
                for (part, value) in parts.into_iter().enumerate() {
                    let fields = Object::of(value).unwrap_or_default();
                    let at = format!("messages[{index}].content[{part}]");
                    marks.add((order, Place::Part(index, part)), &fields, &at, dropped)?;
                }
            }
            marks.add((order, Place::Message(index)), &message.fields, &format!("messages[{index}]"), dropped)?;
        }
        let most = if chat.field(OWN).is_some() { MOST - 1 } else { MOST };
        let too_many = marks.places.len().saturating_sub(most);
        for (_, (_, name)) in marks.places.drain(..too_many) {
            name_once(name, dropped);
        }
        let mut shortest = Ttl::Hour;
        for (_, (ttl, name)) in &mut marks.places {
            if shortest == Ttl::FiveMinutes && *ttl == Ttl::Hour {
                *ttl = Ttl::FiveMinutes;
                name_once(name, dropped);
            }
            shortest = *ttl;
        }
        Ok(marks)
    }

    fn add(
        &mut self,
        place: At,
        fields: &Object<'_>,
        at: &str,
        dropped: &mut Vec<Cow<'static, str>>,
    ) -> Result<(), Rejection> {
        let given = |name: &'static str| fields.get(name).filter(|value| json::type_of(value) != Type::Null);
        let Some((name, value)) = [OWN, OPENAI].into_iter().find_map(|name| Some((name, given(name)?))) else {
            return Ok(());
        };
        let at = format!("{at}.{name}");
        let ttl = match ttl(name, value) {
            Some((ttl, is_exact)) => {
                if !is_exact {
                    name_once(name, dropped);
                }
                ttl
            }
            None => return Err(Rejection::invalid(&at, format!("'{at}' is not a mark of an ephemeral cache."))),
        };
        match self.find(place) {
            Ok(known) => self.places.get_mut(known).into_iter().for_each(|(_, mark)| *mark = (ttl, name)),
            Err(free) => self.places.insert(free, (place, (ttl, name))),
        }
        Ok(())
    }

    pub fn tool(&self, index: usize) -> Option<Ttl> {
        self.at((0, Place::Tool(index)))
    }

    pub fn part(&self, message: usize, part: usize) -> Option<Ttl> {
        self.at((message + 1, Place::Part(message, part)))
    }

    pub fn message(&self, message: usize) -> Option<Ttl> {
        self.at((message + 1, Place::Message(message)))
    }

    /// The last mark in or on a message, for a block that holds all of it.
    pub fn within(&self, message: usize) -> Option<Ttl> {
        let end = match self.find((message + 1, Place::Message(message))) {
            Ok(last) => last + 1,
            Err(end) => end,
        };
        let last = self.places.get(..end)?.last().filter(|(place, _)| *place >= (message + 1, Place::Part(message, 0)));
        last.map(|(_, (ttl, _))| *ttl)
    }

    fn at(&self, place: At) -> Option<Ttl> {
        self.places.get(self.find(place).ok()?).map(|(_, (ttl, _))| *ttl)
    }

    fn find(&self, place: At) -> Result<usize, usize> {
        self.places.binary_search_by(|(known, _)| known.cmp(&place))
    }
}

/// Whether to look for marks at all: texts are not looked into.
fn may_have_any(chat: &ChatRequest<'_>, messages: &[Message<'_>]) -> bool {
    static NEEDLES: [Needle; 2] = [Needle::new(OWN), Needle::new(OPENAI)];
    let names_any = |value: &RawValue| NEEDLES.iter().any(|name| name.is_in(value.get().as_bytes()));
    let is_marked = |message: &Message<'_>| {
        message.fields.iter().any(|(name, value)| match name {
            OWN | OPENAI => true,
            "content" => json::type_of(value) == Type::Array && names_any(value),
            _ => false,
        })
    };
    chat.field("tools").is_some_and(names_any) || messages.iter().any(is_marked)
}

/// How long a mark is to live, and whether that is just what was asked for.
fn ttl(name: &str, value: &RawValue) -> Option<(Ttl, bool)> {
    let fields = Object::of(value).filter(|_| json::type_of(value) == Type::Object)?;
    let word = |key: &str| fields.get(key).and_then(Str::new).map(Str::decode);
    if word("type").is_some_and(|kind| kind != "ephemeral") {
        return None;
    }
    let asked = fields.get("ttl").filter(|value| json::type_of(value) != Type::Null);
    Some(match (name, asked, word("ttl").as_deref()) {
        (_, None, _) | (OWN, _, Some("5m")) => (Ttl::FiveMinutes, true),
        (OWN, _, Some("1h")) | (OPENAI, _, Some("30m")) => (Ttl::Hour, true),
        (OPENAI, _, Some("12h")) => (Ttl::Hour, false),
        _ => (Ttl::FiveMinutes, false),
    })
}

fn name_once(name: &'static str, dropped: &mut Vec<Cow<'static, str>>) {
    if !dropped.iter().any(|known| known == name) {
        dropped.push(name.into());
    }
}

/// Writes the mark of a block that has one.
pub fn write(w: &mut Writer, mark: Option<Ttl>) {
    let Some(ttl) = mark else { return };
    w.key(OWN).begin_object().key("type").string("ephemeral");
    if ttl == Ttl::Hour {
        w.key("ttl").string("1h");
    }
    w.end_object();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the marks of a request become, in the order of the prompt, and what is named.
    fn marks(body: &str) -> Result<(String, Vec<Cow<'static, str>>), String> {
        let body = format!(r#"{{"model":"m",{body}}}"#);
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let mut dropped = Vec::new();
        let marks = Marks::read(&chat, chat.messages().unwrap(), &chat.tools().unwrap(), &mut dropped);
        let marks = marks.map_err(|no| no.param.unwrap())?;
        let told = marks.places.into_iter().map(|((_, place), (ttl, _))| {
            let place = match place {
                Place::Tool(tool) => format!("t{tool}"),
                Place::Part(message, part) => format!("{message}.{part}"),
                Place::Message(message) => format!("{message}"),
            };
            if ttl == Ttl::Hour { format!("{place}h") } else { place }
        });
        Ok((told.collect::<Vec<_>>().join(" "), dropped))
    }

    fn parts(marks: &[&str]) -> String {
        let parts = marks.iter().map(|mark| format!(r#"{{"type":"text","text":"a"{mark}}}"#));
        format!(r#"{{"role":"user","content":[{}]}}"#, parts.collect::<Vec<_>>().join(","))
    }

    const SHORT: &str = r#","cache_control":{"type":"ephemeral"}"#;
    const LONG: &str = r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#;

    #[test]
    fn the_last_four_marks_are_kept() {
        let tool = r#"{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}"#;
        let message = r#"{"role":"assistant","content":"b","cache_control":{"ttl":"5m"}}"#;
        let list = format!(r#""tools":[{tool}],"messages":[{},{message},{}]"#, parts(&[SHORT, SHORT]), parts(&[SHORT]));
        assert_eq!(marks(&list).unwrap(), ("0.0 0.1 1 2.0".into(), vec!["cache_control".into()]));
        let with_top = format!(r#"{list},"cache_control":{{"type":"ephemeral"}}"#);
        assert_eq!(marks(&with_top).unwrap().0, "0.1 1 2.0");
        assert_eq!(marks(r#""messages":[{"role":"user","content":"cache_control"}]"#).unwrap().0, "");
    }

    #[test]
    fn none_lives_longer_than_one_before_it() {
        let list = |marks: &[&str]| format!(r#""messages":[{}]"#, parts(marks));
        assert_eq!(marks(&list(&[LONG, SHORT])).unwrap(), ("0.0h 0.1".into(), vec![]));
        let (told, dropped) = marks(&list(&[LONG, SHORT, LONG])).unwrap();
        assert_eq!((told.as_str(), dropped), ("0.0h 0.1 0.2", vec!["cache_control".into()]));
    }

    #[test]
    fn openais_breakpoints_live_as_long_as_can_be() {
        let told = |ttl: &str| {
            let mark = format!(r#","prompt_cache_breakpoint":{{"mode":"explicit"{ttl}}}"#);
            marks(&format!(r#""messages":[{}]"#, parts(&[&mark]))).unwrap()
        };
        assert_eq!(told(""), ("0.0".into(), vec![]));
        assert_eq!(told(r#","ttl":"30m""#), ("0.0h".into(), vec![]));
        assert_eq!(told(r#","ttl":"12h""#), ("0.0h".into(), vec!["prompt_cache_breakpoint".into()]));
        assert_eq!(told(r#","ttl":"1s""#), ("0.0".into(), vec!["prompt_cache_breakpoint".into()]));
    }

    #[test]
    fn what_is_no_mark_is_refused_at_its_place_and_null_is_none() {
        for bad in ["true", "[]", r#"{"type":"persistent"}"#] {
            let list = format!(r#""messages":[{}]"#, parts(&[&format!(r#","cache_control":{bad}"#)]));
            assert_eq!(marks(&list), Err("messages[0].content[0].cache_control".into()));
        }
        let null = format!(r#""messages":[{}]"#, parts(&[r#","cache_control":null"#]));
        assert_eq!(marks(&null).unwrap().0, "");
    }
}
