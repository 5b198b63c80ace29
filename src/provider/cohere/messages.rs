//! The conversation, message by message: roles are OpenAI's, content is nearly so.
//!
//! "System turn must be the first in the list", and "message must not be empty in a turn"; results of tools
//! are best given as documents, which the model can cite.

use super::TAG;
use crate::chat::request::{Content, Message, Part, Role};
use crate::chat::state;
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::provider::distinct::{Rule, ToolNames};
use crate::provider::media::{self, File, check_image, unsupported_part};
use crate::provider::turns::{self, CallIds, is_blank, leading_system};

/// Where the client asks for JSON and nobody has told the model.
const ANSWER_IN_JSON: &str = "Answer in JSON.";

/// No limits are documented; what Cohere makes itself is `f_0` or a UUID.
const CALL_IDS: Rule = Rule { punctuation: "_-.:", any_first: true, longest: usize::MAX };

/// What the messages are written for.
pub struct How<'n> {
    pub names: &'n ToolNames,
    /// Whether the model takes thoughts back.
    pub thinks: bool,
    pub in_json: bool,
}

pub fn write(w: &mut Writer, list: &[Message<'_>], how: &How<'_>) -> Result<(), Rejection> {
    for message in list {
        turns::refuse_message(message)?;
    }
    let (system, conversation) = list.split_at(leading_system(list));
    let mut ids = CallIds::new(CALL_IDS);
    let mut images = Vec::new();
    w.key("messages").begin_array();
    write_system(w, system, how)?;
    let mut is_empty = true;
    for message in conversation.iter().filter(|message| turns::says_anything(message)) {
        is_empty = false;
        if message.role != Role::Tool {
            write_images(w, &mut images);
        }
        match message.role {
            Role::Assistant => write_assistant(w, message, &mut ids, how)?,
            Role::Tool => write_result(w, message, &ids, &mut images)?,
            _ => {
                w.begin_object().key("role").string("user").key("content");
                write_content(w, message)?;
                w.end_object();
            }
        }
    }
    write_images(w, &mut images);
    w.end_array();
    if is_empty {
        return Err(Rejection::invalid("messages", "No message has any content."));
    }
    Ok(())
}

/// One system message of all that stand before the conversation.
fn write_system(w: &mut Writer, messages: &[Message<'_>], how: &How<'_>) -> Result<(), Rejection> {
    let mut texts = Vec::new();
    for message in messages {
        match &message.content {
            Content::None => {}
            Content::Text(text) => texts.push(*text),
            Content::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    match part {
                        Part::Text(text) | Part::Refusal(text) => texts.push(*text),
                        Part::Image { .. } => return Err(images_of_users_only(message, index)),
                        Part::Other { kind, at, .. } => return Err(unsupported_part(kind, at)),
                    }
                }
            }
        }
    }
    texts.retain(|text| !is_blank(*text));
    if texts.is_empty() && !how.in_json {
        return Ok(());
    }
    w.begin_object().key("role").string("system").key("content");
    match texts[..] {
        [text] if !how.in_json => {
            w.str(text);
        }
        [] => {
            w.string(ANSWER_IN_JSON);
        }
        _ => {
            w.begin_array();
            for text in texts {
                write_text(w, text);
            }
            if how.in_json {
                w.begin_object().key("type").string("text").key("text").string(ANSWER_IN_JSON).end_object();
            }
            w.end_array();
        }
    }
    w.end_object();
    Ok(())
}

fn write_text(w: &mut Writer, text: Str<'_>) {
    if !is_blank(text) {
        w.begin_object().key("type").string("text").key("text").str(text).end_object();
    }
}

fn images_of_users_only(message: &Message<'_>, index: usize) -> Rejection {
    let at = message.at(&format!("content[{index}]"));
    Rejection::invalid(at, "Only user and tool messages can have images.")
}

/// The content of a user, or of a system message that stands in the conversation.
fn write_content(w: &mut Writer, message: &Message<'_>) -> Result<(), Rejection> {
    let parts = match &message.content {
        Content::Text(text) => {
            w.str(*text);
            return Ok(());
        }
        Content::Parts(parts) => parts.as_slice(),
        Content::None => &[],
    };
    let details = details(message);
    w.begin_array();
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text) | Part::Refusal(text) => write_text(w, *text),
            Part::Image { url } if message.role == Role::User => {
                check_image(*url, || message.at(&format!("content[{index}].image_url.url")))?;
                write_image(w, *url, details.get(index).copied().flatten());
            }
            Part::Image { .. } => return Err(images_of_users_only(message, index)),
            Part::Other { kind, at, value } if kind == "file" => {
                let (media_type, data) = File::data(value, at)?;
                if !media_type.starts_with("text/") {
                    return Err(media::unsupported_file(&media_type, at));
                }
                w.begin_object()
                    .key("type")
                    .string("text")
                    .key("text")
                    .string(&media::text_of(&data, at)?)
                    .end_object();
            }
            Part::Other { kind, at, .. } => return Err(unsupported_part(kind, at)),
        }
    }
    w.end_array();
    Ok(())
}

fn write_image(w: &mut Writer, url: Str<'_>, detail: Option<&str>) {
    w.begin_object().key("type").string("image_url").key("image_url").begin_object().key("url").str(url);
    if let Some(detail) = detail {
        w.key("detail").raw(detail);
    }
    w.end_object().end_object();
}

/// How closely each image is to be looked at, where Cohere has a word for it.
fn details<'a>(message: &Message<'a>) -> Vec<Option<&'a str>> {
    let detail = |part: &Object<'a>| {
        let detail = Object::of(part.get("image_url")?)?.get("detail")?.get();
        matches!(detail, "\"auto\"" | "\"low\"" | "\"high\"").then_some(detail)
    };
    turns::parts_with(message, "detail").iter().map(detail).collect()
}

/// A message of the model. With calls Cohere has its words as `tool_plan`, its thoughts as a block; both come
/// back on the first call's id.
fn write_assistant(w: &mut Writer, message: &Message<'_>, ids: &mut CallIds, how: &How<'_>) -> Result<(), Rejection> {
    let mut texts = Vec::new();
    match &message.content {
        Content::None => {}
        Content::Text(text) => texts.push(*text),
        Content::Parts(parts) => {
            for (index, part) in parts.iter().enumerate() {
                match part {
                    Part::Text(text) | Part::Refusal(text) => texts.push(*text),
                    Part::Image { .. } => return Err(images_of_users_only(message, index)),
                    Part::Other { kind, at, .. } => return Err(unsupported_part(kind, at)),
                }
            }
        }
    }
    texts.extend(message.refusal);
    texts.retain(|text| !is_blank(*text));
    w.begin_object().key("role").string("assistant");
    if message.tool_calls.is_empty() {
        match texts[..] {
            [text] => {
                w.key("content").str(text);
            }
            _ => {
                w.key("content").begin_array();
                texts.iter().for_each(|text| write_text(w, *text));
                w.end_array();
            }
        }
    } else {
        write_calls(w, message, &texts, ids, how);
    }
    if let Some(citations) = message.fields.get("citations").filter(|list| are_own(list)) {
        w.key("citations").raw(citations.get());
    }
    w.end_object();
    Ok(())
}

/// Whether citations are Cohere's: those of other providers have the name, too, and are refused.
fn are_own(citations: &RawValue) -> bool {
    let is_own = |citation: &RawValue| {
        let kinds = [("start", Type::Number), ("end", Type::Number), ("sources", Type::Array)];
        let fields = Object::of(citation).unwrap_or_default();
        kinds.iter().all(|(name, kind)| fields.get(name).is_some_and(|value| json::type_of(value) == *kind))
    };
    json::elements(citations).is_some_and(|list| list.into_iter().all(is_own))
}

fn write_calls(w: &mut Writer, message: &Message<'_>, texts: &[Str<'_>], ids: &mut CallIds, how: &How<'_>) {
    let carried = message.tool_calls.iter().find_map(|call| state::carried(call.id, TAG)).unwrap_or_default();
    let carried = Object::parse(carried.as_bytes()).unwrap_or_default();
    let text = |fields: &Object<'_>, name: &str| fields.get(name).and_then(Str::new).map(|text| text.raw().to_owned());
    let plan = text(&carried, "tool_plan").or_else(|| text(&message.fields, "tool_plan"));
    let thinking = text(&carried, "thinking").filter(|_| how.thinks);
    // Another model's words before its calls are a plan, too.
    let (plan, texts) = match (plan, texts) {
        (None, [first]) => (Some(first.raw().to_owned()), &[][..]),
        (plan, texts) => (plan, texts),
    };
    if thinking.is_some() || !texts.is_empty() {
        w.key("content").begin_array();
        if let Some(thinking) = thinking {
            w.begin_object().key("type").string("thinking").key("thinking").raw(&thinking).end_object();
        }
        texts.iter().for_each(|text| write_text(w, *text));
        w.end_array();
    }
    if let Some(plan) = plan {
        w.key("tool_plan").raw(&plan);
    }
    w.key("tool_calls").begin_array();
    for call in &message.tool_calls {
        // "Cannot have duplicate tool ids".
        let id = ids.assign(call.id);
        w.begin_object().key("id").string(&id).key("type").string("function");
        w.key("function").begin_object().key("name").raw(&how.names.sent(call.name));
        w.key("arguments");
        if is_blank(call.arguments) {
            w.string("{}");
        } else {
            w.str(call.arguments);
        }
        w.end_object().end_object();
    }
    w.end_array();
}

/// An image that a tool gave, which only a user can have.
type Image<'a> = (Str<'a>, Option<&'a str>);

fn write_result<'a>(
    w: &mut Writer,
    message: &Message<'a>,
    ids: &CallIds,
    images: &mut Vec<Image<'a>>,
) -> Result<(), Rejection> {
    let id = message.tool_call_id.unwrap_or(Str::EMPTY);
    w.begin_object().key("role").string("tool");
    w.key("tool_call_id").string(&ids.answered(id)).key("content");
    match &message.content {
        Content::Text(text) => write_output(w, *text),
        Content::Parts(parts) => {
            let is_image = |part: &Part<'_>| matches!(part, Part::Image { .. });
            if parts.iter().all(|part| is_image(part) || !turns::says_part(part)) {
                w.string(NOTHING);
            } else {
                w.begin_array();
                for part in parts {
                    match part {
                        Part::Text(text) | Part::Refusal(text) => write_text(w, *text),
                        Part::Image { .. } => {}
                        Part::Other { kind, value, .. } if kind == "document" => {
                            w.raw(value.get());
                        }
                        Part::Other { kind, at, .. } => return Err(unsupported_part(kind, at)),
                    }
                }
                w.end_array();
            }
            let details = details(message);
            for (index, part) in parts.iter().enumerate() {
                if let Part::Image { url } = part {
                    check_image(*url, || message.at(&format!("content[{index}].image_url.url")))?;
                    images.push((*url, details.get(index).copied().flatten()));
                }
            }
        }
        Content::None => {
            w.string(NOTHING);
        }
    }
    w.end_object();
    Ok(())
}

/// For a tool that says nothing: an empty result is refused.
const NOTHING: &str = "{}";

/// What a tool gave: objects are documents, which the model can cite; anything else is text.
fn write_output(w: &mut Writer, text: Str<'_>) {
    let decoded = text.decode();
    let documents = documents(&decoded);
    if documents.is_empty() {
        if is_blank(text) {
            w.string(NOTHING);
        } else {
            w.str(text);
        }
        return;
    }
    w.begin_array();
    for document in documents {
        w.begin_object().key("type").string("document").key("document");
        w.begin_object().key("data").raw(document.get()).end_object().end_object();
    }
    w.end_array();
}

/// The object that a text is, or the objects of a list of nothing else. An empty one is no document.
fn documents(text: &str) -> Vec<&RawValue> {
    let Ok(value) = json::parse_str(text.trim()) else { return Vec::new() };
    let list = json::elements(value).unwrap_or_else(|| vec![value]);
    let is_document = |value: &&RawValue| {
        json::type_of(value) == Type::Object && Object::of(value).is_some_and(|fields| !fields.is_empty())
    };
    if list.iter().all(is_document) { list } else { Vec::new() }
}

/// The images of the tools before: a user shows them.
fn write_images(w: &mut Writer, images: &mut Vec<Image<'_>>) {
    if images.is_empty() {
        return;
    }
    w.begin_object().key("role").string("user").key("content").begin_array();
    for (url, detail) in images.drain(..) {
        write_image(w, url, detail);
    }
    w.end_array().end_object();
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{field, refused, target};
    use super::*;
    use crate::chat::State;
    use crate::provider::{Reasoning, Target};

    fn messages(messages: &str) -> Result<String, Rejection> {
        field("messages", messages, "", &target())
    }

    fn call(id: &str) -> String {
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"n\": 1.0}}"}}}}"#)
    }

    #[test]
    fn one_system_message_comes_first_and_later_ones_are_the_users() {
        let list = r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":" "}]},{"role":"user","content":"c"},{"role":"system","content":"d"},
            {"role":"assistant","content":[{"type":"text","text":"e"}],"refusal":""}]"#;
        let expected = concat!(
            r#"[{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b\n"}]},"#,
            r#"{"role":"user","content":"c"},{"role":"user","content":"d"},{"role":"assistant","content":"e"}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
        assert_eq!(messages(r#"[{"role":"system","content":"a"}]"#).unwrap(), r#"[{"role":"user","content":"a"}]"#);
        assert_eq!(refused(messages(r#"[{"role":"user","content":""}]"#)), "messages");
    }

    #[test]
    fn results_are_documents_where_they_are_objects() {
        let result = |content: &str| {
            let list = format!(
                r#"[{{"role":"user","content":"go"}},{{"role":"assistant","tool_calls":[{}]}},
                {{"role":"tool","tool_call_id":"a","content":{content}}}]"#,
                call("a")
            );
            let list = messages(&list).unwrap();
            list.split_once(r#""tool_call_id":"a","content":"#).unwrap().1.strip_suffix("}]").unwrap().to_owned()
        };
        let document = |data: &str| format!(r#"{{"type":"document","document":{{"data":{data}}}}}"#);
        assert_eq!(result(r#""{\"t\": 1.0}""#), format!("[{}]", document(r#"{"t": 1.0}"#)));
        let two = format!("[{},{}]", document(r#"{"a":1}"#), document(r#"{"b":2}"#));
        assert_eq!(result(r#""[{\"a\":1},{\"b\":2}]""#), two);
        for (text, expected) in [("sunny", "sunny"), ("[1]", "[1]"), ("[{}]", "[{}]"), ("{}", "{}"), ("", "{}")] {
            assert_eq!(result(&format!("\"{text}\"")), format!("\"{expected}\""));
        }
        let parts = r#"[{"type":"text","text":"x"},{"type":"document","document":{"data":{"a":1},"id":"d"}}]"#;
        assert_eq!(result(parts), parts);
    }

    #[test]
    fn images_of_tools_are_shown_by_the_user_behind_all_results() {
        let result =
            |id: &str, content: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":{content}}}"#);
        let image = r#"[{"type":"image_url","image_url":{"url":"https://h/i","detail":"low"}}]"#;
        let list = format!(
            r#"[{{"role":"assistant","tool_calls":[{},{}]}},{},{},{{"role":"user","content":"u"}}]"#,
            call("a"),
            call("b"),
            result("a", image),
            result("b", r#""x""#)
        );
        let expected = concat!(
            r#"{"role":"tool","tool_call_id":"a","content":"{}"},{"role":"tool","tool_call_id":"b","content":"x"},"#,
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/i","detail":"low"}}]},"#,
            r#"{"role":"user","content":"u"}]"#
        );
        let list = messages(&list).unwrap();
        assert!(list.ends_with(expected), "{list}");
    }

    #[test]
    fn repeated_call_ids_become_different_and_results_follow_them() {
        let turn = format!(
            r#"{{"role":"assistant","content":"I will.","tool_calls":[{}]}},{{"role":"tool","tool_call_id":"a","content":"x"}}"#,
            call("a")
        );
        let list = messages(&format!(r#"[{{"role":"user","content":"go"}},{turn},{turn}]"#)).unwrap();
        assert!(list.contains(r#""tool_plan":"I will.","tool_calls":[{"id":"a","type":"function""#), "{list}");
        assert!(list.contains(r#"[{"id":"a_2","#) && list.contains(r#""tool_call_id":"a_2""#), "{list}");
    }

    #[test]
    fn citations_go_back_to_whom_they_are_from() {
        let said = |citations: &str| {
            let answer = format!(r#"{{"role":"assistant","content":"b","citations":{citations}}}"#);
            messages(&format!(r#"[{{"role":"user","content":"a"}},{answer}]"#)).unwrap()
        };
        let own = r#"[{"start":0,"end":1,"text":"b","sources":[{"type":"document","id":"1"}],"type":"TEXT_CONTENT"}]"#;
        assert!(said(own).ends_with(&format!(r#""content":"b","citations":{own}}}]"#)));
        for foreign in [
            r#"["https://h/"]"#,
            r#"[{"type":"char_location","cited_text":"b","document_index":0}]"#,
            r#"[{"start":0,"end":1,"sources":[]},{"start":"0","end":1,"sources":[]}]"#,
            r#"{"start":0,"end":1,"sources":[]}"#,
        ] {
            assert!(said(foreign).ends_with(r#"{"role":"assistant","content":"b"}]"#), "{foreign}");
        }
    }

    #[test]
    fn plan_and_thoughts_come_back_from_the_id() {
        let payload = r#"{"tool_plan":"p\n","thinking":"t"}"#;
        let id = State { tag: TAG, payload: payload.into() }.attach("a");
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{{"role":"assistant","content":null,"tool_calls":[{}]}},
            {{"role":"tool","tool_call_id":"{id}","content":"x"}}]"#,
            call(&id)
        );
        let thinks = Target { reasoning: Some(Reasoning::Budget), ..target() };
        let with_thoughts = field("messages", &list, "", &thinks).unwrap();
        let content = r#""content":[{"type":"thinking","thinking":"t"}],"tool_plan":"p\n","tool_calls":[{"id":"a","#;
        assert!(with_thoughts.contains(content), "{with_thoughts}");
        let without = messages(&list).unwrap();
        assert!(without.contains(r#"{"role":"assistant","tool_plan":"p\n","tool_calls":[{"id":"a","#), "{without}");
        assert!(without.contains(r#""tool_call_id":"a","content":"x""#), "{without}");
        let foreign = State { tag: "a", payload: "x".into() }.attach("a");
        assert!(!messages(&list.replace(&id, &foreign)).unwrap().contains("__dgm_"));
    }

    #[test]
    fn content_without_an_equivalent_is_refused_at_its_place() {
        for (part, at) in [
            (r#"{"type":"input_audio","input_audio":{}}"#, ""),
            (r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}"#, ".file"),
            (r#"{"type":"file","file":{"file_id":"f"}}"#, ".file"),
        ] {
            let list = format!(r#"[{{"role":"user","content":[{part}]}}]"#);
            assert_eq!(refused(messages(&list)), format!("messages[0].content[0]{at}"), "{part}");
        }
        let image = r#"{"type":"image_url","image_url":{"url":"gs://b/o"}}"#;
        let list = format!(r#"[{{"role":"user","content":[{image}]}}]"#);
        assert_eq!(refused(messages(&list)), "messages[0].content[0].image_url.url");
        let text = r#"[{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/csv;base64,YSxi"}}]}]"#;
        assert_eq!(messages(text).unwrap(), r#"[{"role":"user","content":[{"type":"text","text":"a,b"}]}]"#);
    }
}
