//! The conversation as turns, for APIs whose roles alternate: Anthropic's, Bedrock's, Gemini's.
//!
//! OpenAI's messages may follow each other in any role, be empty, and be answered in any order. Here
//! they become turns of the user and of the model in which nothing is empty, every call of a tool is
//! answered in the very next turn, and every call has an id that the API takes. Nothing here writes
//! anything: what a block looks like is the format's own.

use std::borrow::Cow;

use super::distinct::{Distinct, Rule};
use crate::chat::request::{Content, Message, Part, Role, ToolCall};
use crate::chat::state;
use crate::error::Rejection;
use crate::json::{self, Object, Str, Type};
use crate::places::Places;

/// How many messages are instructions that stand before the conversation. Where no others say anything
/// they are the conversation: these APIs refuse one without messages, and OpenAI answers it.
pub fn leading_system(messages: &[Message<'_>]) -> usize {
    let count = messages.iter().take_while(|message| is_system(message)).count();
    if messages.iter().skip(count).any(says_anything) { count } else { 0 }
}

pub fn is_system(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// Messages that follow each other in one role.
pub struct Turn<'m, 'a> {
    pub assistant: bool,
    pub messages: Vec<&'m Message<'a>>,
}

/// The turns of a conversation, the user's first. A system message in the middle is part of the user's turn
/// at its place; a message that says nothing is left out, because empty content is refused.
pub fn turns<'m, 'a>(messages: &'m [Message<'a>]) -> Result<Vec<Turn<'m, 'a>>, Rejection> {
    let mut turns: Vec<Turn<'m, 'a>> = Vec::new();
    for message in messages {
        refuse_message(message)?;
        if !says_anything(message) {
            continue;
        }
        let assistant = message.role == Role::Assistant;
        match turns.last_mut() {
            Some(turn) if turn.assistant == assistant => turn.messages.push(message),
            _ => turns.push(Turn { assistant, messages: vec![message] }),
        }
    }
    match turns.first().map(|turn| (turn.assistant, turn.messages.first())) {
        None | Some((_, None)) => Err(Rejection::invalid("messages", "No message has any content.")),
        // A made-up user's turn before it would be something that nobody has said.
        Some((true, Some(first))) => {
            let message = "With this model a conversation cannot begin with an assistant message.";
            Err(Rejection::invalid(first.at("role"), message))
        }
        Some((false, _)) => Ok(turns),
    }
}

/// OpenAI's deprecated forms, and sound.
pub fn refuse_message(message: &Message<'_>) -> Result<(), Rejection> {
    if message.role == Role::Function {
        return Err(Rejection::unsupported(
            message.at("role"),
            "Messages of the role 'function' are not supported by this model; use 'tool'.",
        ));
    }
    for name in ["function_call", "audio"] {
        let given = message.fields.get(name).is_some_and(|value| json::type_of(value) != Type::Null);
        if given && message.role == Role::Assistant {
            let text = format!("'{name}' in a message is not supported by this model.");
            return Err(Rejection::unsupported(message.at(name), text));
        }
    }
    Ok(())
}

pub fn says_anything(message: &Message<'_>) -> bool {
    let content = match &message.content {
        Content::None => false,
        Content::Text(text) => !is_blank(*text),
        Content::Parts(parts) => parts.iter().any(says_part),
    };
    content
        || message.role == Role::Tool
        || !message.tool_calls.is_empty()
        || message.refusal.is_some_and(|text| !is_blank(text))
}

pub fn says_part(part: &Part<'_>) -> bool {
    match part {
        Part::Text(text) | Part::Refusal(text) => !is_blank(*text),
        Part::Image { .. } | Part::Other { .. } => true,
    }
}

/// The fields of each part of a message's content, where any of them may have one of this name: they are read
/// once more only then.
pub fn parts_with<'a>(message: &Message<'a>, name: &str) -> Vec<Object<'a>> {
    let Content::Parts(_) = &message.content else { return Vec::new() };
    let Some(list) = message.fields.get("content") else { return Vec::new() };
    if memchr::memmem::find(list.get().as_bytes(), name.as_bytes()).is_none() {
        return Vec::new();
    }
    let parts = json::elements(list).unwrap_or_default();
    parts.into_iter().map(|part| Object::of(part).unwrap_or_default()).collect()
}

/// Text that is empty, or nothing but white space, is refused.
pub fn is_blank(text: Str<'_>) -> bool {
    let escaped = text.escaped().trim_start();
    escaped.is_empty() || (escaped.starts_with('\\') && text.decode().trim().is_empty())
}

/// The arguments of a call as the JSON object that these APIs have in place of OpenAI's string: as the
/// model wrote it, key order and numbers included. What is no object is told in one: the conversation goes on with a
/// call that was cut off or is wrong, as its result says, and would be refused for good.
pub fn arguments<'a>(call: &ToolCall<'a>) -> Cow<'a, str> {
    let text = match call.arguments.decode() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    match text.as_ref() {
        "" | "null" => "{}".into(),
        object if object.starts_with('{') && json::is_valid(object.as_bytes()) => text,
        other => format!(r#"{{"_raw":{}}}"#, json::escape(other)).into(),
    }
}

/// An id that fits an API and is no other call's, without the state that it carries (see [`state`]).
pub fn call_id(ids: &mut Distinct, id: Str<'_>) -> String {
    match state::plain(id).as_ref() {
        "" => ids.assign("call"),
        id => ids.assign(id),
    }
}

/// The ids of a conversation's calls, for APIs that take results as OpenAI does: anywhere behind the call.
pub struct CallIds {
    ids: Distinct,
    assigned: Vec<String>,
    /// What the client's id has last become: a result answers the call before it.
    last: Places<'static>,
}

impl CallIds {
    pub fn new(rule: Rule) -> Self {
        CallIds { ids: Distinct::new(rule), assigned: Vec::new(), last: Places::default() }
    }

    /// The id of a call.
    pub fn assign(&mut self, id: Str<'_>) -> String {
        let assigned = call_id(&mut self.ids, id);
        self.last.set(state::plain(id).into_owned().into(), self.assigned.len());
        self.assigned.push(assigned.clone());
        assigned
    }

    /// The id of the call that a result answers. Without one it stays what it is: the API refuses it.
    pub fn answered<'i>(&'i self, id: Str<'i>) -> Cow<'i, str> {
        let plain = state::plain(id);
        match self.last.get(&plain).and_then(|place| self.assigned.get(place)) {
            Some(assigned) => assigned.as_str().into(),
            None => plain,
        }
    }
}

/// The calls of one turn: each has to be answered by the next.
#[derive(Default)]
pub struct Calls<'a> {
    places: Places<'a>,
    calls: Vec<Call<'a>>,
}

/// A call that was made.
pub struct Call<'a> {
    /// As it is sent.
    pub id: String,
    /// The tool's name as the client has it.
    pub name: Str<'a>,
    /// Its place in the request.
    pub at: String,
}

impl<'a> Calls<'a> {
    pub fn add(&mut self, call: &ToolCall<'a>, id: String, at: String) -> Result<(), Rejection> {
        if !self.places.set(state::plain(call.id), self.calls.len()) {
            return Err(Rejection::invalid(format!("{at}.id"), "Two tool calls have the same id."));
        }
        self.calls.push(Call { id, name: call.name, at });
        Ok(())
    }

    /// The results among the messages, in the order of the calls.
    pub fn answered_by<'m>(self, messages: &[&'m Message<'a>]) -> Result<Vec<(Call<'a>, &'m Message<'a>)>, Rejection> {
        let mut results: Vec<Option<&'m Message<'a>>> = vec![None; self.calls.len()];
        for message in messages.iter().filter(|message| message.role == Role::Tool) {
            let at = || message.at("tool_call_id");
            let id = message.tool_call_id.ok_or_else(|| Rejection::missing(&at()))?;
            let place = self.places.get(&state::plain(id)).and_then(|place| results.get_mut(place));
            match place {
                Some(result @ None) => *result = Some(message),
                Some(Some(_)) => return Err(Rejection::invalid(at(), "This tool call has been answered already.")),
                None => {
                    let text = "A tool message must answer a tool call of the assistant message before it.";
                    return Err(Rejection::invalid(at(), text));
                }
            }
        }
        let pairs = self.calls.into_iter().zip(results);
        let answered = pairs.map(|(call, result)| match result {
            Some(message) => Ok((call, message)),
            None => Err(Rejection::invalid(call.at, "A tool message must follow for every tool call.")),
        });
        answered.collect()
    }
}

/// Whether a tool's result is one of a failure. OpenAI has no such flag; clients that also speak to
/// Anthropic send it along.
pub fn is_error(message: &Message<'_>) -> bool {
    message.fields.get("is_error").is_some_and(|value| value.get() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatRequest;

    #[test]
    fn instructions_are_the_conversation_where_no_other_message_says_anything() {
        let leading = |messages: &str| {
            let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
            leading_system(ChatRequest::parse(body.as_bytes()).unwrap().messages().unwrap())
        };
        let system = r#"{"role":"system","content":"do it"}"#;
        assert_eq!(leading(&format!(r#"[{system},{{"role":"user","content":"hi"}}]"#)), 1);
        assert_eq!(leading(&format!(r#"[{system}]"#)), 0);
        assert_eq!(leading(&format!(r#"[{system},{{"role":"user","content":" "}}]"#)), 0);
    }

    #[test]
    fn arguments_are_an_object_or_told_in_one() {
        for (written, told) in [
            (r#""{\"b\":1.10,\"a\":\"\\u00e9\"}""#, r#"{"b":1.10,"a":"\u00e9"}"#),
            (r#""""#, "{}"),
            (r#"" ""#, "{}"),
            (r#""null""#, "{}"),
            ("null", "{}"),
            (r#""{""#, r#"{"_raw":"{"}"#),
            (r#""[]""#, r#"{"_raw":"[]"}"#),
            (r#""1""#, r#"{"_raw":"1"}"#),
            (r#""{} {}""#, r#"{"_raw":"{} {}"}"#),
            (r#""{\"a\":\"\ud83d""#, "{\"_raw\":\"{\\\"a\\\":\\\"\u{fffd}\"}"),
        ] {
            let call = format!(r#"{{"id":"a","type":"function","function":{{"name":"f","arguments":{written}}}}}"#);
            let body = format!(r#"{{"model":"m","messages":[{{"role":"assistant","tool_calls":[{call}]}}]}}"#);
            let chat = ChatRequest::parse(body.as_bytes()).unwrap();
            assert_eq!(arguments(&chat.messages().unwrap()[0].tool_calls[0]), told);
        }
    }

    #[test]
    fn a_result_follows_the_last_call_of_its_id() {
        let id = |text: &'static str| Str::new(json::parse_str(text).unwrap()).unwrap();
        let mut ids = CallIds::new(Rule { punctuation: "_", any_first: true, longest: usize::MAX });
        let calls = [r#""a""#, r#""b.c""#, r#""a""#, r#""""#].map(id);
        assert_eq!(calls.map(|call| ids.assign(call)), ["a", "b_c", "a_2", "call"]);
        assert_eq!(calls.map(|call| ids.answered(call)), ["a_2", "b_c", "a_2", "call"]);
        assert_eq!(ids.answered(id(r#""?""#)), "?");
    }
}
