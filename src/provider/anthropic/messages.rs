//! The conversation: one pass over the client's messages, whose texts are spliced rather than decoded.
//!
//! Anthropic's turns alternate, begin with the user, hold no empty text, and answer every tool call in
//! the very next turn (Messages API; tool use, handling results). OpenAI's messages need none of that.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::tools;
use crate::chat::request::{Content, Message, Part, ResponseFormat, Role, ToolCall};
use crate::error::Rejection;
use crate::json::{self, Str, Type, Writer};

/// In place of `json_object`, which Anthropic does not have.
const ANSWER_IN_JSON: &str =
    "Answer with a single valid JSON object and nothing else: no other text and no code fences around it.";

/// How many messages go into the top-level `system`. Where there are no others they are the
/// conversation: Anthropic refuses one without messages, and OpenAI answers it.
pub fn leading_system(messages: &[Message<'_>]) -> usize {
    let count = messages.iter().take_while(|message| is_system(message)).count();
    if count == messages.len() { 0 } else { count }
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

pub fn write_system(w: &mut Writer, messages: &[Message<'_>], format: &ResponseFormat<'_>) -> Result<(), Rejection> {
    let in_json = matches!(format, ResponseFormat::JsonObject);
    if !in_json && !messages.iter().any(says_anything) {
        return Ok(());
    }
    w.key("system").begin_array();
    for message in messages {
        write_content(w, message)?;
    }
    if in_json {
        w.begin_object().key("type").string("text").key("text").string(ANSWER_IN_JSON).end_object();
    }
    w.end_array();
    Ok(())
}

/// Messages that follow each other in one role: Anthropic's turns alternate.
struct Turn<'m, 'a> {
    assistant: bool,
    messages: Vec<&'m Message<'a>>,
}

/// A system message in the middle of a conversation becomes text of the user's turn at its place.
/// Anthropic has such messages, too, but only some models take them. A message that says nothing is
/// left out: empty content is refused.
fn turns<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<Turn<'m, 'a>> {
    let mut turns: Vec<Turn<'m, 'a>> = Vec::new();
    for message in messages.iter().filter(|message| says_anything(message)) {
        let assistant = message.role == Role::Assistant;
        match turns.last_mut() {
            Some(turn) if turn.assistant == assistant => turn.messages.push(message),
            _ => turns.push(Turn { assistant, messages: vec![message] }),
        }
    }
    turns
}

pub fn write(w: &mut Writer, messages: &[Message<'_>]) -> Result<(), Rejection> {
    for message in messages {
        refuse_message(message)?;
    }
    let turns = turns(messages);
    match turns.first().map(|turn| (turn.assistant, turn.messages.first())) {
        None | Some((_, None)) => return Err(Rejection::invalid("messages", "No message has any content.")),
        // A made-up user's turn before it would be something that nobody has said.
        Some((true, Some(first))) => {
            let message = "With this model a conversation cannot begin with an assistant message.";
            return Err(Rejection::invalid(first.at("role"), message));
        }
        Some((false, _)) => {}
    }
    let mut ids = CallIds::default();
    let mut calls = Calls::default();
    w.key("messages").begin_array();
    for turn in &turns {
        w.begin_object().key("role").string(if turn.assistant { "assistant" } else { "user" });
        w.key("content").begin_array();
        if turn.assistant {
            for message in &turn.messages {
                write_content(w, message)?;
                write_refusal(w, message);
                for (index, call) in message.tool_calls.iter().enumerate() {
                    let at = format!("messages[{}].tool_calls[{index}]", message.index);
                    let id = ids.assign(&call.id.decode());
                    write_call(w, call, &id, &at)?;
                    calls.add(call, id, at)?;
                }
            }
        } else {
            // Results come first, in the order of the calls, whatever the client's order.
            for (id, message) in std::mem::take(&mut calls).answered_by(&turn.messages)? {
                write_result(w, message, &id)?;
            }
            for message in turn.messages.iter().filter(|message| message.role != Role::Tool) {
                write_content(w, message)?;
            }
        }
        w.end_array().end_object();
    }
    w.end_array();
    calls.answered_by(&[]).map(drop)
}

fn refuse_message(message: &Message<'_>) -> Result<(), Rejection> {
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

fn says_anything(message: &Message<'_>) -> bool {
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

fn says_part(part: &Part<'_>) -> bool {
    match part {
        Part::Text(text) | Part::Refusal(text) => !is_blank(*text),
        Part::Image { .. } | Part::Other { .. } => true,
    }
}

/// Text blocks that are empty, or nothing but white space, are refused.
pub fn is_blank(text: Str<'_>) -> bool {
    let escaped = text.escaped().trim_start();
    escaped.is_empty() || (escaped.starts_with('\\') && text.decode().trim().is_empty())
}

/// A message's content as blocks; its calls and results are not among them.
fn write_content(w: &mut Writer, message: &Message<'_>) -> Result<(), Rejection> {
    let parts = match &message.content {
        Content::None => return Ok(()),
        Content::Text(text) => {
            write_text(w, *text);
            return Ok(());
        }
        Content::Parts(parts) => parts,
    };
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text) | Part::Refusal(text) => write_text(w, *text),
            Part::Image { url } => {
                let at = message.at(&format!("content[{index}]"));
                // OpenAI allows images of users only; a tool's are a common extension.
                if !matches!(message.role, Role::User | Role::Tool) {
                    return Err(Rejection::invalid(at, "Only user and tool messages can have images."));
                }
                write_image(w, *url).map_err(|problem| Rejection::invalid(format!("{at}.image_url.url"), problem))?;
            }
            Part::Other { kind, at, .. } => {
                let text = format!("Content of the type '{kind}' is not supported by this model.");
                return Err(Rejection::unsupported(at.as_str(), text));
            }
        }
    }
    Ok(())
}

fn write_text(w: &mut Writer, text: Str<'_>) {
    if !is_blank(text) {
        w.begin_object().key("type").string("text").key("text").str(text).end_object();
    }
}

fn write_refusal(w: &mut Writer, message: &Message<'_>) {
    if let Some(refusal) = message.refusal {
        write_text(w, refusal);
    }
}

/// `detail` has no equivalent and changes no contract.
fn write_image(w: &mut Writer, url: Str<'_>) -> Result<(), String> {
    // Borrowed unless the client escapes its slashes, as PHP does.
    let text = url.decode();
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") {
        let (media_type, data) = image_data(rest)?;
        w.begin_object().key("type").string("image").key("source").begin_object();
        w.key("type").string("base64").key("media_type").string(media_type).key("data").escaped(&[data]);
    } else if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        w.begin_object().key("type").string("image").key("source").begin_object();
        w.key("type").string("url").key("url").str(url);
    } else {
        return Err("An image must be given by an http or https address or as a data URL.".into());
    }
    w.end_object().end_object();
    Ok(())
}

/// Media type and base64 text of a data URL (RFC 2397), without its scheme.
fn image_data(url: &str) -> Result<(&'static str, &str), String> {
    let malformed = || "The data URL is malformed: 'data:image/...;base64,...' is expected.".to_owned();
    let (head, data) = url.split_once(',').ok_or_else(malformed)?;
    let (head, encoding) = head.rsplit_once(';').ok_or_else(malformed)?;
    if !encoding.eq_ignore_ascii_case("base64") || data.is_empty() || !is_base64(data) {
        return Err(malformed());
    }
    let media_type = head.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let media_type = match media_type.as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        // Told by the file's first bytes.
        "" if data.starts_with("/9j/") => "image/jpeg",
        "" if data.starts_with("iVBORw0KGgo") => "image/png",
        "" if data.starts_with("R0lGOD") => "image/gif",
        "" if data.starts_with("UklGR") => "image/webp",
        _ => return Err("Images must be of the type image/jpeg, image/png, image/gif or image/webp.".into()),
    };
    Ok((media_type, data))
}

/// Whether the alphabet is right, which is what makes the text safe to splice. Without an early end, so
/// that the compiler can look at many bytes at once: images are megabytes.
fn is_base64(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/') | (byte == b'=');
    text.bytes().fold(true, |all, byte| all & fits(byte))
}

fn write_call(w: &mut Writer, call: &ToolCall<'_>, id: &str, at: &str) -> Result<(), Rejection> {
    tools::check_name(call.name, || format!("{at}.function.name"))?;
    let text = call.arguments.decode();
    let input = match text.trim() {
        "" => "{}",
        text => text,
    };
    // Goes out as it is: key order and numbers are the model's own.
    if !input.starts_with('{') || !json::is_valid(input.as_bytes()) {
        let at = format!("{at}.function.arguments");
        return Err(Rejection::invalid(at, "The arguments of a tool call must be a JSON object."));
    }
    w.begin_object().key("type").string("tool_use").key("id").string(id);
    w.key("name").str(call.name).key("input").raw(input).end_object();
    Ok(())
}

fn write_result(w: &mut Writer, message: &Message<'_>, id: &str) -> Result<(), Rejection> {
    w.begin_object().key("type").string("tool_result").key("tool_use_id").string(id);
    match &message.content {
        Content::Text(text) => {
            w.key("content").str(*text);
        }
        Content::Parts(parts) if parts.iter().any(says_part) => {
            w.key("content").begin_array();
            write_content(w, message)?;
            w.end_array();
        }
        Content::Parts(_) | Content::None => {}
    }
    // OpenAI has no such flag; clients that also speak to Anthropic send it along.
    if message.fields.get("is_error").is_some_and(|value| value.get() == "true") {
        w.key("is_error").bool(true);
    }
    w.end_object();
    Ok(())
}

/// Call ids as Anthropic takes them (`^[a-zA-Z0-9_-]+$`, each once in a conversation). Different calls
/// have different ones, a fitting id stays as it is, and what an id becomes depends on earlier ones
/// only: a conversation that grows keeps its prefix, and with it the cache.
#[derive(Default)]
struct CallIds(BTreeMap<String, u32>);

impl CallIds {
    fn assign(&mut self, id: &str) -> String {
        let fits = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
        let base = match id {
            "" => "call".to_owned(),
            id => id.replace(|char| !fits(char), "_"),
        };
        let mut assigned = base.clone();
        while self.0.contains_key(&assigned) {
            // Counts on where it stopped: repeated ids must not cost their square.
            let count = self.0.entry(base.clone()).or_insert(1);
            *count += 1;
            assigned = format!("{base}_{count}");
        }
        self.0.insert(assigned.clone(), 1);
        assigned
    }
}

/// The calls of one turn: each has to be answered by the next.
#[derive(Default)]
struct Calls<'a> {
    places: BTreeMap<Cow<'a, str>, usize>,
    calls: Vec<Call>,
}

struct Call {
    id: String,
    at: String,
}

impl<'a> Calls<'a> {
    fn add(&mut self, call: &ToolCall<'a>, id: String, at: String) -> Result<(), Rejection> {
        if self.places.insert(call.id.decode(), self.calls.len()).is_some() {
            return Err(Rejection::invalid(format!("{at}.id"), "Two tool calls have the same id."));
        }
        self.calls.push(Call { id, at });
        Ok(())
    }

    /// The results among the messages, in the order of the calls.
    fn answered_by<'m>(self, messages: &[&'m Message<'a>]) -> Result<Vec<(String, &'m Message<'a>)>, Rejection> {
        let mut results: Vec<Option<&'m Message<'a>>> = vec![None; self.calls.len()];
        for message in messages.iter().filter(|message| message.role == Role::Tool) {
            let at = || message.at("tool_call_id");
            let id = message.tool_call_id.ok_or_else(|| Rejection::missing(&at()))?;
            let place = self.places.get(&id.decode()).and_then(|place| results.get_mut(*place));
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
            Some(message) => Ok((call.id, message)),
            None => Err(Rejection::invalid(call.at, "A tool message must follow for every tool call.")),
        });
        answered.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::anthropic::request::tests::{field, refused};

    fn messages(messages: &str) -> Result<String, Rejection> {
        field("messages", messages, "")
    }

    fn calls(ids: &[&str]) -> String {
        let calls = ids.iter().map(|id| {
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"n\": 1.0}}"}}}}"#)
        });
        format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, calls.collect::<Vec<_>>().join(","))
    }

    fn result(id: &str) -> String {
        format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"of {id}"}}"#)
    }

    #[test]
    fn leading_system_messages_become_system_and_later_ones_keep_their_place() {
        let list = r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":""}]},{"role":"user","content":"c"},{"role":"assistant","content":"d"},
            {"role":"system","content":"e"},{"role":"user","content":"f"}]"#;
        let system = r#"[{"type":"text","text":"a"},{"type":"text","text":"b\n"}]"#;
        assert_eq!(field("system", list, "").unwrap(), system);
        let expected = concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"c"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"d"}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"e"},{"type":"text","text":"f"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn system_messages_alone_are_the_conversation() {
        let list = r#"[{"role":"system","content":"a"}]"#;
        assert_eq!(messages(list).unwrap(), r#"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#);
        assert_eq!(field("system", list, "").unwrap(), "");
    }

    #[test]
    fn a_conversation_begins_with_the_user_and_says_something() {
        let assistant = r#"[{"role":"system","content":"a"},{"role":"assistant","content":"b"}]"#;
        assert_eq!(refused(messages(assistant)), "messages[1].role");
        assert_eq!(refused(messages(r#"[{"role":"user","content":" \n\u00a0"}]"#)), "messages");
    }

    #[test]
    fn messages_of_one_role_are_one_turn_and_empty_ones_none() {
        let list = r#"[{"role":"user","content":"a"},{"role":"user","content":[]},{"role":"assistant","content":" "},
            {"role":"user","content":"b"},{"role":"assistant","content":null,"refusal":"no"},
            {"role":"assistant","content":[{"type":"refusal","refusal":"never"},{"type":"text","text":"\n\t"}]}]"#;
        let expected = concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"no"},{"type":"text","text":"never"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn results_come_first_and_in_the_order_of_the_calls() {
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{{"role":"system","content":"s"}},{},{{"role":"user","content":"u"}}]"#,
            calls(&["a", "b"]),
            result("b"),
            result("a")
        );
        let expected = concat!(
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"n": 1.0}},"#,
            r#"{"type":"tool_use","id":"b","name":"f","input":{"n": 1.0}}]},{"role":"user","content":["#,
            r#"{"type":"tool_result","tool_use_id":"a","content":"of a"},"#,
            r#"{"type":"tool_result","tool_use_id":"b","content":"of b"},"#,
            r#"{"type":"text","text":"s"},{"type":"text","text":"u"}]}]"#
        );
        let list = messages(&list).unwrap();
        assert!(list.ends_with(expected), "{list}");
    }

    #[test]
    fn every_call_has_one_result_and_every_result_a_call() {
        let list = |rest: &[String]| format!(r#"[{{"role":"user","content":"go"}},{}]"#, rest.join(","));
        let (a, ab) = (calls(&["a"]), calls(&["a", "b"]));
        assert_eq!(refused(messages(&list(std::slice::from_ref(&a)))), "messages[1].tool_calls[0]");
        assert_eq!(refused(messages(&list(&[ab, result("a")]))), "messages[1].tool_calls[1]");
        assert_eq!(refused(messages(&list(&[result("a")]))), "messages[1].tool_call_id");
        assert_eq!(refused(messages(&list(&[a.clone(), result("x")]))), "messages[2].tool_call_id");
        assert_eq!(refused(messages(&list(&[a, result("a"), result("a")]))), "messages[3].tool_call_id");
        assert_eq!(refused(messages(&list(&[calls(&["a", "a"]), result("a")]))), "messages[1].tool_calls[1].id");
    }

    #[test]
    fn call_ids_stay_different_and_earlier_ones_do_not_change() {
        let mut ids = CallIds::default();
        let assigned: Vec<_> = ["a", "b.c", "b_c", "b:c", "a", "a", "a_2", "", "é"].map(|id| ids.assign(id)).into();
        assert_eq!(assigned, ["a", "b_c", "b_c_2", "b_c_3", "a_2", "a_3", "a_2_2", "call", "_"]);
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{},{}]"#,
            calls(&["x/1"]),
            result("x/1"),
            calls(&["x.1"]),
            result("x.1")
        );
        let list = messages(&list).unwrap();
        assert!(list.contains(r#""tool_use_id":"x_1","content":"of x/1""#), "{list}");
        assert!(list.contains(r#""tool_use_id":"x_1_2","content":"of x.1""#), "{list}");
    }

    #[test]
    fn arguments_are_an_object_or_refused() {
        let list = |arguments: &str| {
            messages(&format!(
                r#"[{{"role":"user","content":"go"}},{{"role":"assistant","tool_calls":[{{"id":"a",
                "function":{{"name":"f","arguments":{arguments}}}}}]}},{}]"#,
                result("a")
            ))
        };
        let long = r#""{\"b\":12345678901234567890.10,\"a\":\"\\u00e9\"}""#;
        assert!(list(long).unwrap().contains(r#""input":{"b":12345678901234567890.10,"a":"\u00e9"}"#));
        for empty in [r#""""#, r#"" ""#, "null"] {
            assert!(list(empty).unwrap().contains(r#""input":{}"#));
        }
        for bad in [r#""{""#, r#""[]""#, r#""1""#, r#""{} {}""#, r#""{\"a\":\"\ud83d""#] {
            assert_eq!(refused(list(bad)), "messages[1].tool_calls[0].function.arguments");
        }
    }

    #[test]
    fn results_may_have_parts_an_error_flag_or_nothing() {
        let list = |fields: &str| {
            let list = format!(
                r#"[{{"role":"user","content":"go"}},{},{{"role":"tool","tool_call_id":"a"{fields}}}]"#,
                calls(&["a"])
            );
            let list = messages(&list).unwrap();
            list.split_once(r#""tool_use_id":"a""#).unwrap().1.to_owned()
        };
        assert_eq!(list(""), "}]}]");
        assert_eq!(list(r#","content":[{"type":"text","text":""}]"#), "}]}]");
        assert_eq!(list(r#","content":"","is_error":true"#), r#","content":"","is_error":true}]}]"#);
        let image = r#","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://h/i"}}]"#;
        assert_eq!(
            list(image),
            concat!(
                r#","content":[{"type":"text","text":"x"},"#,
                r#"{"type":"image","source":{"type":"url","url":"https://h/i"}}]}]}]"#
            )
        );
    }

    fn image(url: &str) -> Result<String, Rejection> {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"high"}}}}"#);
        let list = messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#))?;
        Ok(list.split_once(r#""source":"#).unwrap().1.trim_end_matches("}]}]").to_owned())
    }

    #[test]
    fn images_keep_their_data_and_get_a_known_type() {
        let png = r#"{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo+/w=="}"#;
        for url in [
            "data:image/png;base64,iVBORw0KGgo+/w==",
            r"data:image\/png;base64,iVBORw0KGgo+\/w==",
            "DATA:Image/PNG;name=x;Base64,iVBORw0KGgo+/w==",
            "data:;base64,iVBORw0KGgo+/w==",
        ] {
            assert_eq!(image(url).unwrap(), png, "{url}");
        }
        assert!(image("data:image/jpg;base64,AAAA").unwrap().contains("image/jpeg"));
        assert_eq!(image(r"HTTPS:\/\/h/i?a=b").unwrap(), r#"{"type":"url","url":"HTTPS:\/\/h/i?a=b"}"#);
    }

    #[test]
    fn what_is_no_such_image_is_refused() {
        for url in [
            "data:image/svg+xml;base64,AAAA",
            "data:image/png,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64",
            r"data:image/png;base64,AA\nAA",
            r#"data:image/png;base64,AA\"AA"#,
            "data:image/png;base64,AA-_",
            "data:;base64,AAAA",
            "file:///etc/passwd",
            "gs://b/o",
            "x",
            "",
        ] {
            assert_eq!(refused(image(url)), "messages[0].content[0].image_url.url", "{url}");
        }
        let of = |role: &str| {
            let part = r#"{"type":"image_url","image_url":{"url":"https://h/i"}}"#;
            messages(&format!(r#"[{{"role":"user","content":"x"}},{{"role":"{role}","content":[{part}]}}]"#))
        };
        assert_eq!(refused(of("assistant")), "messages[1].content[0]");
    }

    #[test]
    fn parts_without_an_equivalent_are_refused_at_their_place() {
        for kind in ["input_audio", "file", "hologram"] {
            let list = format!(r#"[{{"role":"user","content":[{{"type":"text","text":"a"}},{{"type":"{kind}"}}]}}]"#);
            let rejection = messages(&list).unwrap_err();
            assert_eq!(rejection.param.as_deref(), Some("messages[0].content[1]"));
            assert_eq!(rejection.code, "unsupported_parameter");
        }
        let function = r#"[{"role":"user","content":"a"},{"role":"function","name":"f","content":"b"}]"#;
        assert_eq!(refused(messages(function)), "messages[1].role");
        let call = r#"[{"role":"user","content":"a"},{"role":"assistant","function_call":{"name":"f"}}]"#;
        assert_eq!(refused(messages(call)), "messages[1].function_call");
    }
}
