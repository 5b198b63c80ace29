//! The conversation: one pass over the client's messages, whose texts are spliced rather than decoded.
//!
//! Gemini knows two roles, `user` and `model`; system messages stand apart. Every call of a model's turn
//! is answered in the very next turn, by the function's name: OpenAI's tool messages have only the
//! call's id.

use super::media::{self, Sort};
use super::{STATE, Surface};
use crate::chat::request::{Content, Message, Part, Role, ToolCall};
use crate::chat::state;
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Writer};
use crate::provider::distinct::ToolNames;
use crate::provider::media::{File, FileSource, is_base64, type_of_name};
use crate::provider::turns::{self, Call, Calls};

/// In place of a signature that a call ought to have and has not, because another model made it or a
/// client lost it (ai.google.dev, thought signatures: FAQ).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What the writing of messages depends on.
pub struct Setting<'s> {
    pub surface: Surface,
    pub names: &'s ToolNames,
    /// Gemini 3 and later: the model insists on a signature with the first call of a turn, and a result of a
    /// function may have media.
    pub is_newer: bool,
    /// Where the API keeps files that were uploaded to it.
    pub files: &'s str,
}

pub fn write_system(w: &mut Writer, messages: &[Message<'_>], setting: &Setting<'_>) -> Result<(), Rejection> {
    if messages.iter().any(turns::says_anything) {
        w.key("systemInstruction").begin_object().key("parts").begin_array();
        for message in messages {
            write_content(w, message, setting)?;
        }
        w.end_array().end_object();
    }
    Ok(())
}

pub fn write(w: &mut Writer, messages: &[Message<'_>], setting: &Setting<'_>) -> Result<(), Rejection> {
    let mut calls = Calls::default();
    w.key("contents").begin_array();
    for turn in turns::turns(messages)? {
        w.begin_object().key("role").string(if turn.assistant { "model" } else { "user" });
        w.key("parts").begin_array();
        if turn.assistant {
            let mut is_first = true;
            for message in &turn.messages {
                write_content(w, message, setting)?;
                if let Some(refusal) = message.refusal {
                    write_text(w, refusal);
                }
                for (index, call) in message.tool_calls.iter().enumerate() {
                    let at = format!("messages[{}].tool_calls[{index}]", message.index);
                    let own = Own::of(call.id);
                    let is_first = std::mem::replace(&mut is_first, false);
                    write_call(w, call, &own, is_first && setting.is_newer, setting, &at)?;
                    calls.add(call, own.id, at)?;
                }
            }
        } else {
            // Results come first, in the order of the calls, whatever the client's order.
            let results = std::mem::take(&mut calls).answered_by(&turn.messages)?;
            for (call, message) in &results {
                write_result(w, message, call, setting)?;
            }
            let media_apart = !setting.is_newer && results.iter().any(|(_, message)| has_media(message));
            // Vertex AI takes a content with anything behind its results for the model's, and refuses it.
            if media_apart || (!results.is_empty() && results.len() < turn.messages.len()) {
                w.end_array().end_object().begin_object().key("role").string("user").key("parts").begin_array();
            }
            for (_, message) in results.iter().filter(|_| media_apart) {
                write_all_media(w, message, setting)?;
            }
            for message in turn.messages.iter().filter(|message| message.role != Role::Tool) {
                write_content(w, message, setting)?;
            }
        }
        w.end_array().end_object();
    }
    w.end_array();
    calls.answered_by(&[]).map(drop)
}

/// A message's content as parts; its calls and results are not among them.
fn write_content(w: &mut Writer, message: &Message<'_>, setting: &Setting<'_>) -> Result<(), Rejection> {
    match &message.content {
        Content::None => {}
        Content::Text(text) => write_text(w, *text),
        Content::Parts(parts) => {
            for (index, part) in parts.iter().enumerate() {
                match part {
                    Part::Text(text) | Part::Refusal(text) => write_text(w, *text),
                    part => write_media(w, message, part, &message.at(&format!("content[{index}]")), setting)?,
                }
            }
        }
    }
    Ok(())
}

fn write_text(w: &mut Writer, text: Str<'_>) {
    if !text.is_empty() {
        w.begin_object().key("text").str(text).end_object();
    }
}

/// A part that is not text. `detail` has no equivalent that all models take, and changes no contract.
fn write_media(
    w: &mut Writer,
    message: &Message<'_>,
    part: &Part<'_>,
    at: &str,
    setting: &Setting<'_>,
) -> Result<(), Rejection> {
    // OpenAI allows files of users only; a tool's are a common extension.
    if !matches!(message.role, Role::User | Role::Tool) {
        return Err(Rejection::invalid(at, "Only user and tool messages can have images and files."));
    }
    w.begin_object();
    match part {
        Part::Image { url } => media::write(w, *url, Sort::Image, None, setting.surface)
            .map_err(|problem| Rejection::invalid(format!("{at}.image_url.url"), problem))?,
        Part::Other { kind, value, .. } => write_other(w, kind, value, at, setting)?,
        Part::Text(_) | Part::Refusal(_) => {}
    }
    w.end_object();
    Ok(())
}

fn write_other(w: &mut Writer, kind: &str, part: &RawValue, at: &str, setting: &Setting<'_>) -> Result<(), Rejection> {
    if !matches!(kind, "input_audio" | "file" | "video_url") {
        let text = format!("Content of the type '{kind}' is not supported by this model.");
        return Err(Rejection::unsupported(at, text));
    }
    if kind == "file" {
        return write_file(w, &File::read(part, at)?, &format!("{at}.file"), setting);
    }
    let at = format!("{at}.{kind}");
    let fields = Object::of(part).unwrap_or_default();
    let inner = fields.get(kind).ok_or_else(|| Rejection::missing(&at))?;
    let inner = Object::of(inner).unwrap_or_default();
    let needed = |name: &str| {
        let text = inner.get(name).and_then(Str::new).filter(|text| !text.is_empty());
        text.ok_or_else(|| Rejection::missing(&format!("{at}.{name}")))
    };
    if kind == "video_url" {
        let url = needed("url")?;
        return media::write(w, url, Sort::Film, None, setting.surface)
            .map_err(|problem| Rejection::invalid(format!("{at}.url"), problem));
    }
    let (data, format) = (needed("data")?.decode(), needed("format")?.decode());
    if !is_base64(&data) || !format.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Rejection::invalid(format!("{at}.data"), "The audio is not base64."));
    }
    // OpenAI has wav and mp3; the API takes more.
    let media_type = format!("audio/{}", format.to_ascii_lowercase());
    media::inline(w, &media_type, &data, Sort::File).map_err(|problem| Rejection::invalid(at, problem))
}

fn write_file(w: &mut Writer, file: &File<'_>, at: &str, setting: &Setting<'_>) -> Result<(), Rejection> {
    let name = file.name.map(Str::decode);
    let name = name.as_deref();
    let refused = |field: &str, problem| Rejection::invalid(format!("{at}.{field}"), problem);
    match &file.source {
        FileSource::Data { media_type, data } => {
            media::inline(w, media_type, data, Sort::File).map_err(|problem| refused("file_data", problem))
        }
        // A name within the API's own files (`files/abc`).
        FileSource::Id(id) if id.decode().starts_with("files/") && setting.surface == Surface::Studio => {
            let uri = format!("{}/{}", setting.files, id.decode());
            media::reference(w, &uri, name.and_then(type_of_name));
            Ok(())
        }
        // Or an address.
        FileSource::Id(url) => {
            media::write(w, *url, Sort::File, name, setting.surface).map_err(|problem| refused("file_id", problem))
        }
        FileSource::Url(url) => {
            media::write(w, *url, Sort::File, name, setting.surface).map_err(|problem| refused("file_url", problem))
        }
    }
}

/// What the API gave with a call and wants back: carried in the id that the client repeats.
struct Own {
    /// Newer models name their calls; empty otherwise.
    id: String,
    signature: Option<String>,
}

/// How the state of a call begins: whether the id it is attached to is the API's own.
pub const OWN_ID: char = 'i';
pub const MADE_UP_ID: char = 'n';

impl Own {
    fn of(id: Str<'_>) -> Self {
        let carried = state::carried(id, STATE).unwrap_or_default();
        let signature = carried.get(1..).filter(|signature| !signature.is_empty()).map(str::to_owned);
        let is_own = carried.starts_with(OWN_ID);
        Own { id: if is_own { state::plain(id).into_owned() } else { String::new() }, signature }
    }
}

fn write_call(
    w: &mut Writer,
    call: &ToolCall<'_>,
    own: &Own,
    needs_signature: bool,
    setting: &Setting<'_>,
    at: &str,
) -> Result<(), Rejection> {
    if call.name.is_empty() {
        return Err(Rejection::invalid(format!("{at}.function.name"), "The name of a tool is empty."));
    }
    let args = turns::arguments(call);
    w.begin_object().key("functionCall").begin_object();
    write_id(w, &own.id);
    w.key("name").raw(&setting.names.sent(call.name)).key("args").raw(&args).end_object();
    if let Some(signature) = own.signature.as_deref().or(needs_signature.then_some(NO_SIGNATURE)) {
        w.key("thoughtSignature").string(signature);
    }
    w.end_object();
    Ok(())
}

fn write_id(w: &mut Writer, id: &str) {
    if !id.is_empty() {
        w.key("id").string(id);
    }
}

fn write_result(
    w: &mut Writer,
    message: &Message<'_>,
    call: &Call<'_>,
    setting: &Setting<'_>,
) -> Result<(), Rejection> {
    w.begin_object().key("functionResponse").begin_object();
    write_id(w, &call.id);
    w.key("name").raw(&setting.names.sent(call.name)).key("response");
    let texts: Vec<Str<'_>> = match &message.content {
        Content::None => Vec::new(),
        Content::Text(text) => vec![*text],
        Content::Parts(parts) => {
            let texts = parts.iter().filter_map(|part| match part {
                Part::Text(text) | Part::Refusal(text) => Some(*text),
                Part::Image { .. } | Part::Other { .. } => None,
            });
            texts.collect()
        }
    };
    let is_error = turns::is_error(message);
    let object = match texts.as_slice() {
        [text] if !is_error => as_object(*text),
        _ => None,
    };
    match object {
        Some(object) => {
            w.raw(&object);
        }
        None => {
            let mut pieces: Vec<&str> = Vec::with_capacity(texts.len() * 2);
            for text in &texts {
                if !pieces.is_empty() {
                    pieces.push("\\n");
                }
                pieces.push(text.escaped());
            }
            w.begin_object().key(if is_error { "error" } else { "output" }).escaped(&pieces).end_object();
        }
    }
    if setting.is_newer && has_media(message) {
        w.key("parts").begin_array();
        write_all_media(w, message, setting)?;
        w.end_array();
    }
    w.end_object().end_object();
    Ok(())
}

fn has_media(message: &Message<'_>) -> bool {
    matches!(&message.content, Content::Parts(parts) if parts.iter().any(is_media))
}

/// What a message has that is not text.
fn write_all_media(w: &mut Writer, message: &Message<'_>, setting: &Setting<'_>) -> Result<(), Rejection> {
    let Content::Parts(parts) = &message.content else { return Ok(()) };
    for (index, part) in parts.iter().enumerate().filter(|(_, part)| is_media(part)) {
        write_media(w, message, part, &message.at(&format!("content[{index}]")), setting)?;
    }
    Ok(())
}

fn is_media(part: &Part<'_>) -> bool {
    matches!(part, Part::Image { .. } | Part::Other { .. })
}

/// A result that is a JSON object, which is what the API expects of functions. Not where it would be
/// read as something else: `$ref` refers to the response's own parts there, and numbers are doubles.
fn as_object(text: Str<'_>) -> Option<String> {
    const MOST_DIGITS: usize = 15;
    let text = text.decode();
    let text = text.trim();
    let digits = |text: &str| text.split(|char: char| !char.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    let is_object = text.starts_with('{') && json::is_valid(text.as_bytes());
    (is_object && !text.contains("$ref") && digits(text) <= MOST_DIGITS).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{field, refused, request, target};
    use super::*;
    use crate::chat::State;
    use crate::provider::{Reasoning, Target};

    fn contents(messages: &str) -> Result<String, Rejection> {
        field(&["contents"], messages, "")
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
    fn leading_system_messages_stand_apart_and_later_ones_keep_their_place() {
        let list = r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":""}]},{"role":"user","content":"c"},{"role":"assistant","content":"d"},
            {"role":"system","content":"e"},{"role":"user","content":"f"}]"#;
        let system = r#"{"parts":[{"text":"a"},{"text":"b\n"}]}"#;
        assert_eq!(field(&["systemInstruction"], list, "").unwrap(), system);
        let expected = concat!(
            r#"[{"role":"user","parts":[{"text":"c"}]},{"role":"model","parts":[{"text":"d"}]},"#,
            r#"{"role":"user","parts":[{"text":"e"},{"text":"f"}]}]"#
        );
        assert_eq!(contents(list).unwrap(), expected);
        let alone = r#"[{"role":"system","content":"a"}]"#;
        assert_eq!(contents(alone).unwrap(), r#"[{"role":"user","parts":[{"text":"a"}]}]"#);
        assert_eq!(field(&["systemInstruction"], alone, "").unwrap(), "");
    }

    #[test]
    fn a_conversation_begins_with_the_user_and_says_something() {
        let assistant = r#"[{"role":"system","content":"a"},{"role":"assistant","content":"b"}]"#;
        assert_eq!(refused(contents(assistant)), "messages[1].role");
        assert_eq!(refused(contents(r#"[{"role":"user","content":""}]"#)), "messages");
    }

    #[test]
    fn results_come_first_in_the_order_of_the_calls_and_by_name_with_nothing_behind_them_in_their_content() {
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{{"role":"system","content":"s"}},{},{{"role":"user","content":"u"}}]"#,
            calls(&["a", "b"]),
            result("b"),
            result("a")
        );
        let expected = concat!(
            r#"{"role":"model","parts":[{"functionCall":{"name":"f","args":{"n": 1.0}}},"#,
            r#"{"functionCall":{"name":"f","args":{"n": 1.0}}}]},{"role":"user","parts":["#,
            r#"{"functionResponse":{"name":"f","response":{"output":"of a"}}},"#,
            r#"{"functionResponse":{"name":"f","response":{"output":"of b"}}}]},"#,
            r#"{"role":"user","parts":[{"text":"s"},{"text":"u"}]}]"#
        );
        let list = contents(&list).unwrap();
        assert!(list.ends_with(expected), "{list}");
    }

    #[test]
    fn every_call_has_one_result_and_every_result_a_call() {
        let list = |rest: &[String]| format!(r#"[{{"role":"user","content":"go"}},{}]"#, rest.join(","));
        let (a, ab) = (calls(&["a"]), calls(&["a", "b"]));
        assert_eq!(refused(contents(&list(std::slice::from_ref(&a)))), "messages[1].tool_calls[0]");
        assert_eq!(refused(contents(&list(&[ab, result("a")]))), "messages[1].tool_calls[1]");
        assert_eq!(refused(contents(&list(&[result("a")]))), "messages[1].tool_call_id");
        assert_eq!(refused(contents(&list(&[a.clone(), result("x")]))), "messages[2].tool_call_id");
        assert_eq!(refused(contents(&list(&[a, result("a"), result("a")]))), "messages[3].tool_call_id");
        assert_eq!(refused(contents(&list(&[calls(&["a", "a"]), result("a")]))), "messages[1].tool_calls[1].id");
    }

    #[test]
    fn ids_and_signatures_come_back_to_whom_they_belong() {
        let state = |payload: &'static str| State { tag: STATE, payload: payload.into() };
        let ids = [state("iA/+==").attach("own1"), state("i").attach("own2"), state("nB").attach("call_1"), {
            State { tag: "a", payload: "x".into() }.attach("toolu_1")
        }];
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let results: Vec<_> = ids.iter().map(|id| result(id)).collect();
        let list = format!(r#"[{{"role":"user","content":"go"}},{},{}]"#, calls(&ids), results.join(","));
        let call = |id: &str, signature: &str| {
            format!(r#"{{"functionCall":{{{id}"name":"f","args":{{"n": 1.0}}}}{signature}}}"#)
        };
        let expected = [
            call(r#""id":"own1","#, r#","thoughtSignature":"A/+==""#),
            call(r#""id":"own2","#, ""),
            call("", r#","thoughtSignature":"B""#),
            call("", ""),
        ];
        let list = contents(&list).unwrap();
        assert!(list.contains(&expected.join(",")), "{list}");
        let response = r#"{"functionResponse":{"id":"own1","name":"f","response":{"output":"#;
        assert!(list.contains(response) && list.contains(r#"{"functionResponse":{"name":"f","#), "{list}");
    }

    #[test]
    fn a_first_call_without_a_signature_gets_the_documented_one_where_one_is_needed() {
        let list =
            format!(r#"[{{"role":"user","content":"go"}},{},{},{}]"#, calls(&["a", "b"]), result("a"), result("b"));
        let asked = |reasoning| {
            let target = Target { reasoning, ..target() };
            request(&format!(r#"{{"model":"m","messages":{list}}}"#), &target, Surface::Studio).unwrap().0
        };
        let body = asked(Some(Reasoning::Effort));
        assert_eq!(body.matches(NO_SIGNATURE).count(), 1);
        assert!(body.contains(r#"{"functionCall":{"name":"f","args":{"n": 1.0}},"thoughtSignature":"skip_"#), "{body}");
        assert!(!asked(Some(Reasoning::Budget)).contains(NO_SIGNATURE) && !asked(None).contains(NO_SIGNATURE));
    }

    #[test]
    fn results_are_objects_as_they_are_or_texts_in_one() {
        let list = |fields: &str| {
            let list = format!(
                r#"[{{"role":"user","content":"go"}},{},{{"role":"tool","tool_call_id":"a"{fields}}}]"#,
                calls(&["a"])
            );
            let list = contents(&list).unwrap();
            list.split_once(r#""functionResponse":{"name":"f","response":"#).unwrap().1.to_owned()
        };
        for (content, expected) in [
            (r#""{\"b\": 1.0,\"a\":[2]} ""#, r#"{"b": 1.0,"a":[2]}"#),
            (r#""[1]""#, r#"{"output":"[1]"}"#),
            (r#""{\"n\":12345678901234567}""#, r#"{"output":"{\"n\":12345678901234567}"}"#),
            (r#""{\"$ref\":\"x\"}""#, r#"{"output":"{\"$ref\":\"x\"}"}"#),
            ("\"\"", r#"{"output":""}"#),
            ("null", r#"{"output":""}"#),
            (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#, r#"{"output":"a\nb"}"#),
            (r#""{}","is_error":true"#, r#"{"error":"{}"}"#),
        ] {
            assert_eq!(list(&format!(r#","content":{content}"#)), format!("{expected}}}}}]}}]"));
        }
        assert_eq!(
            list(
                r#","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]"#
            ),
            concat!(
                r#"{"output":"x"}}}]},"#,
                r#"{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}]"#
            )
        );
    }

    #[test]
    fn arguments_are_an_object_or_told_in_one() {
        let list = |arguments: &str| {
            contents(&format!(
                r#"[{{"role":"user","content":"go"}},{{"role":"assistant","tool_calls":[{{"id":"a",
                "function":{{"name":"f","arguments":{arguments}}}}}]}},{}]"#,
                result("a")
            ))
        };
        let long = r#""{\"b\":12345678901234567890.10,\"a\":\"\\u00e9\"}""#;
        assert!(list(long).unwrap().contains(r#""args":{"b":12345678901234567890.10,"a":"\u00e9"}"#));
        assert!(list(r#""{""#).unwrap().contains(r#""args":{"_raw":"{"}"#));
    }

    fn part(part: &str, surface: Surface) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
        let (body, _) = request(&body, &target(), surface)?;
        let part = body.split_once(r#""parts":["#).unwrap().1;
        Ok(part.strip_suffix("]}]}").unwrap().to_owned())
    }

    fn image(url: &str, surface: Surface) -> Result<String, Rejection> {
        part(&format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"high"}}}}"#), surface)
    }

    #[test]
    fn images_keep_their_data_and_addresses_are_fetched_by_the_api() {
        let png = r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo+/w=="}}"#;
        for url in [
            "data:image/png;base64,iVBORw0KGgo+/w==",
            r"data:image\/png;base64,iVBORw0KGgo+\/w==",
            "DATA:Image/PNG;name=x;Base64,iVBORw0KGgo+/w==",
            "data:;base64,iVBORw0KGgo+/w==",
        ] {
            assert_eq!(image(url, Surface::Studio).unwrap(), png, "{url}");
        }
        let (studio, vertex) = (Surface::Studio, Surface::Vertex);
        for (url, surface, expected) in [
            ("https://h/a.JPG?x=y.png", studio, r#""mimeType":"image/jpeg","fileUri":"https://h/a.JPG?x=y.png""#),
            ("https://h/a", studio, r#""fileUri":"https://h/a""#),
            ("https://h/a", vertex, r#""mimeType":"image/jpeg","fileUri":"https://h/a""#),
            ("gs://b/o.png", vertex, r#""mimeType":"image/png","fileUri":"gs://b/o.png""#),
            ("http://h/a.webp", vertex, r#""mimeType":"image/webp","fileUri":"http://h/a.webp""#),
        ] {
            assert_eq!(image(url, surface).unwrap(), format!(r#"{{"fileData":{{{expected}}}}}"#));
        }
    }

    #[test]
    fn what_is_no_such_image_is_refused() {
        for url in [
            "data:image/svg+xml;base64,AAAA",
            "data:image/gif;base64,AAAA",
            "data:image/png,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64",
            r"data:image/png;base64,AA\nAA",
            r#"data:image/png;base64,AA\"AA"#,
            "data:;base64,AAAA",
            "file:///etc/passwd",
            "http://h/i.png",
            "gs://b/o",
            "",
        ] {
            assert_eq!(refused(image(url, Surface::Studio)), "messages[0].content[0].image_url.url", "{url}");
        }
        let of = |role: &str| {
            let part = r#"{"type":"image_url","image_url":{"url":"https://h/i"}}"#;
            contents(&format!(r#"[{{"role":"user","content":"x"}},{{"role":"{role}","content":[{part}]}}]"#))
        };
        assert_eq!(refused(of("assistant")), "messages[1].content[0]");
    }

    #[test]
    fn sound_films_and_files_are_parts_like_images() {
        let (studio, vertex) = (Surface::Studio, Surface::Vertex);
        for (given, surface, expected) in [
            (
                r#"{"type":"input_audio","input_audio":{"data":"AAA=","format":"mp3"}}"#,
                studio,
                r#"{"inlineData":{"mimeType":"audio/mp3","data":"AAA="}}"#,
            ),
            (
                r#"{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}"#,
                studio,
                r#"{"inlineData":{"mimeType":"application/pdf","data":"JVBERi0="}}"#,
            ),
            (
                r#"{"type":"file","file":{"file_data":"data:text/plain;charset=utf-8;base64,aGk="}}"#,
                vertex,
                r#"{"inlineData":{"mimeType":"text/plain","data":"aGk="}}"#,
            ),
            (
                r#"{"type":"file","file":{"file_id":"files/abc","filename":"a.pdf"}}"#,
                studio,
                r#"{"fileData":{"mimeType":"application/pdf","fileUri":"https://h/v1beta/files/abc"}}"#,
            ),
            (
                r#"{"type":"file","file":{"file_id":"gs://b/o.csv"}}"#,
                vertex,
                r#"{"fileData":{"mimeType":"text/csv","fileUri":"gs://b/o.csv"}}"#,
            ),
            (
                r#"{"type":"video_url","video_url":{"url":"https://www.youtube.com/watch?v=x"}}"#,
                studio,
                r#"{"fileData":{"fileUri":"https://www.youtube.com/watch?v=x"}}"#,
            ),
        ] {
            assert_eq!(part(given, surface).unwrap(), expected);
        }
        for (given, place) in [
            (r#"{"type":"input_audio","input_audio":{"data":"A A","format":"wav"}}"#, "input_audio.data"),
            (r#"{"type":"input_audio","input_audio":{"data":"AA=="}}"#, "input_audio.format"),
            (r#"{"type":"input_audio"}"#, "input_audio"),
            (r#"{"type":"file","file":{}}"#, "file"),
            (r#"{"type":"file","file":{"file_id":"file-1"}}"#, "file.file_id"),
            (r#"{"type":"file","file":{"file_data":"data:application/zip;base64,AAAA"}}"#, "file.file_data"),
        ] {
            assert_eq!(refused(part(given, studio)), format!("messages[0].content[0].{place}"), "{given}");
        }
        assert_eq!(
            refused(part(r#"{"type":"file","file":{"file_id":"gs://b/o"}}"#, vertex)),
            "messages[0].content[0].file.file_id"
        );
    }

    #[test]
    fn what_has_no_equivalent_is_refused_at_its_place() {
        for hologram in [r#"{"type":"hologram"}"#, r#"{"type":"hologram","hologram":{}}"#] {
            let rejection = part(hologram, Surface::Studio).unwrap_err();
            assert_eq!(rejection.param.as_deref(), Some("messages[0].content[0]"));
            assert_eq!(rejection.code, "unsupported_parameter");
        }
        let function = r#"[{"role":"user","content":"a"},{"role":"function","name":"f","content":"b"}]"#;
        assert_eq!(refused(contents(function)), "messages[1].role");
        let call = r#"[{"role":"user","content":"a"},{"role":"assistant","function_call":{"name":"f"}}]"#;
        assert_eq!(refused(contents(call)), "messages[1].function_call");
    }
}
