//! The conversation: roles are OpenAI's; content is one text, or for multimodal generation a list of blocks
//! that are named by what they hold (`{"text":…}`, `{"image":…}`).

use super::TAG;
use crate::chat::request::{Content, Message, Part, Role};
use crate::chat::state;
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::provider::distinct::{Rule, ToolNames};
use crate::provider::media::{self, File, FileSource, check_image, unsupported_part};
use crate::provider::parameters::Dropped;
use crate::provider::turns::{self, CallIds, is_blank, is_system, leading_system};

/// No limits are documented; DashScope's own are `call_` and hexadecimal digits.
const CALL_IDS: Rule = Rule { punctuation: "_-.:", any_first: true, longest: usize::MAX };

/// What the messages are written for.
pub struct How<'n> {
    pub names: &'n ToolNames,
    /// Whether the model takes thoughts back.
    pub thinks: bool,
    pub in_blocks: bool,
}

/// Whether anything but text is in the conversation.
pub fn has_media(list: &[Message<'_>]) -> bool {
    let parts = |message: &Message<'_>| match &message.content {
        Content::Parts(parts) => parts.iter().any(|part| match part {
            Part::Image { .. } => true,
            Part::Other { kind, value, .. } => kind != "file" || !is_text_file(value),
            Part::Text(_) | Part::Refusal(_) => false,
        }),
        _ => false,
    };
    list.iter().any(parts)
}

fn is_text_file(part: &RawValue) -> bool {
    File::data(part, "").is_ok_and(|(media_type, _)| media_type.starts_with("text/"))
}

pub fn write(w: &mut Writer, list: &[Message<'_>], how: &How<'_>, dropped: &mut Dropped) -> Result<(), Rejection> {
    for message in list {
        turns::refuse_message(message)?;
    }
    // "The input messages do not contain elements with the role of user."
    let all_system = leading_system(list) == 0 && list.iter().all(is_system);
    let mut ids = CallIds::new(CALL_IDS);
    let mut images = Vec::new();
    let mut is_empty = true;
    w.key("messages").begin_array();
    for message in list.iter().filter(|message| turns::says_anything(message)) {
        is_empty &= is_system(message) && !all_system;
        if message.role != Role::Tool {
            write_images(w, &mut images);
        }
        let role = match message.role {
            Role::System | Role::Developer if !all_system => "system",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            _ => "user",
        };
        w.begin_object().key("role").string(role);
        if let Some(id) = message.tool_call_id.filter(|_| message.role == Role::Tool) {
            w.key("tool_call_id").string(&ids.answered(id));
        }
        w.key("content");
        if how.in_blocks {
            write_blocks(w, message, &mut images)?;
        } else {
            write_text(w, message, dropped)?;
        }
        if message.role == Role::Assistant {
            write_assistant(w, message, &mut ids, how);
        }
        w.end_object();
    }
    write_images(w, &mut images);
    w.end_array();
    if is_empty {
        return Err(Rejection::invalid("messages", "No message has any content."));
    }
    Ok(())
}

/// What a client marks a part with, up to which is cached.
const CACHE: &str = "cache_control";

/// "Input content must be a string": the texts of all parts as one.
fn write_text(w: &mut Writer, message: &Message<'_>, dropped: &mut Dropped) -> Result<(), Rejection> {
    let mut files = Vec::new();
    let mut pieces = Vec::new();
    match &message.content {
        Content::None => {}
        Content::Text(text) => pieces.push(text.escaped()),
        Content::Parts(parts) => {
            for part in parts {
                if let Part::Other { kind, at, value } = part {
                    if kind != "file" {
                        return Err(unsupported_part(kind, at));
                    }
                    let (_, data) = File::data(value, at)?;
                    files.push(json::escape(&media::text_of(&data, at)?));
                }
            }
            let mut files = files.iter();
            for part in parts {
                match part {
                    Part::Text(text) | Part::Refusal(text) => pieces.push(text.escaped()),
                    Part::Other { .. } => pieces.extend(files.next().and_then(|text| text.get(1..text.len() - 1))),
                    Part::Image { .. } => {}
                }
            }
            let is_marked = turns::parts_with(message, CACHE).iter().any(|part| part.get(CACHE).is_some());
            if is_marked && !dropped.iter().any(|known| known == CACHE) {
                dropped.push(CACHE.into());
            }
        }
    }
    pieces.extend(message.refusal.map(Str::escaped));
    w.escaped(&pieces);
    Ok(())
}

fn write_blocks<'a>(w: &mut Writer, message: &Message<'a>, images: &mut Vec<Str<'a>>) -> Result<(), Rejection> {
    let block = |w: &mut Writer, kind: &str, text: &str, cache: Option<&RawValue>| {
        w.begin_object().any_key(kind).raw(text);
        if let Some(cache) = cache.filter(|cache| json::type_of(cache) == Type::Object) {
            w.key(CACHE).raw(cache.get());
        }
        w.end_object();
    };
    let begin = w.begin_array().written();
    match &message.content {
        Content::None => {}
        Content::Text(text) if is_blank(*text) && message.role == Role::Assistant => {}
        Content::Text(text) => block(w, "text", text.raw(), None),
        Content::Parts(parts) => {
            let fields = turns::parts_with(message, CACHE);
            for (index, part) in parts.iter().enumerate() {
                let cache = fields.get(index).and_then(|fields| fields.get(CACHE));
                let is_user = message.role == Role::User;
                match part {
                    Part::Text(text) | Part::Refusal(text) if is_blank(*text) => {}
                    Part::Text(text) | Part::Refusal(text) => block(w, "text", text.raw(), cache),
                    Part::Image { url } => {
                        check_image(*url, || message.at(&format!("content[{index}].image_url.url")))?;
                        match message.role {
                            Role::User => block(w, "image", url.raw(), cache),
                            Role::Tool => images.push(*url),
                            _ => {
                                let at = message.at(&format!("content[{index}]"));
                                return Err(Rejection::invalid(at, "Only user and tool messages can have images."));
                            }
                        }
                    }
                    Part::Other { kind, at, value } if is_user => {
                        let (kind, media) = media(kind, value, at)?;
                        block(w, kind, &media, cache);
                    }
                    Part::Other { kind, at, .. } => return Err(unsupported_part(kind, at)),
                }
            }
        }
    }
    if let Some(refusal) = message.refusal.filter(|text| !is_blank(*text)) {
        block(w, "text", refusal.raw(), None);
    }
    // Its images are the user's; a result is never empty.
    if message.role == Role::Tool && w.written() == begin {
        block(w, "text", "\"{}\"", None);
    }
    w.end_array();
    Ok(())
}

/// Sound, video and files: DashScope's name for it, and its address or its data as JSON.
fn media(kind: &str, part: &RawValue, at: &str) -> Result<(&'static str, String), Rejection> {
    let fields = Object::of(part).unwrap_or_default();
    let of = |name: &str, field: &str| {
        let inner = fields.get(name)?;
        Object::of(inner)?.get(field).and_then(Str::new)
    };
    match kind {
        "input_audio" => {
            let at = format!("{at}.input_audio");
            let data = of("input_audio", "data").ok_or_else(|| Rejection::missing(&format!("{at}.data")))?;
            // Its address, as an extension of OpenAI's base64.
            if data.escaped().contains(':') {
                return Ok(("audio", data.raw().to_owned()));
            }
            let format = of("input_audio", "format").map(Str::decode).unwrap_or_default();
            if !format.bytes().all(|byte| byte.is_ascii_alphanumeric()) || format.is_empty() {
                return Err(Rejection::invalid(format!("{at}.format"), "The format of the sound is not given."));
            }
            Ok(("audio", format!("\"data:audio/{format};base64,{}\"", data.escaped())))
        }
        "video_url" => match of("video_url", "url") {
            Some(url) => Ok(("video", url.raw().to_owned())),
            None => Err(Rejection::missing(&format!("{at}.video_url.url"))),
        },
        // The frames, one by one.
        "video" => match fields.get("video") {
            Some(frames) => Ok(("video", frames.get().to_owned())),
            None => Err(Rejection::missing(&format!("{at}.video"))),
        },
        "file" => match File::read(part, at)?.source {
            FileSource::Url(url) => Ok(("file", url.raw().to_owned())),
            FileSource::Data { media_type, data } if media_type == "application/pdf" => {
                Ok(("file", format!("\"data:application/pdf;base64,{data}\"")))
            }
            FileSource::Data { media_type, data } if media_type.starts_with("text/") => {
                Ok(("text", json::escape(&media::text_of(&data, at)?)))
            }
            FileSource::Data { media_type, .. } => Err(media::unsupported_file(&media_type, at)),
            FileSource::Id(_) => {
                let text = "With this model a file must be given as 'file_data' or 'file_url'.";
                Err(Rejection::unsupported(format!("{at}.file"), text))
            }
        },
        _ => Err(unsupported_part(kind, at)),
    }
}

/// What a message of the model has besides its content.
fn write_assistant(w: &mut Writer, message: &Message<'_>, ids: &mut CallIds, how: &How<'_>) {
    let carried = message.tool_calls.iter().find_map(|call| state::carried(call.id, TAG));
    let carried = carried.filter(|thoughts| json::is_valid(thoughts.as_bytes()) && thoughts.starts_with('"'));
    let own = || message.fields.get("reasoning_content").and_then(Str::new).map(|text| text.raw().to_owned());
    if let Some(thoughts) = carried.or_else(own).filter(|_| how.thinks) {
        w.key("reasoning_content").raw(&thoughts);
    }
    // The model goes on with this message.
    if message.fields.get("partial").is_some_and(|value| value.get() == "true") {
        w.key("partial").bool(true);
    }
    if message.tool_calls.is_empty() {
        return;
    }
    w.key("tool_calls").begin_array();
    for (index, call) in (0u64..).zip(&message.tool_calls) {
        let id = ids.assign(call.id);
        w.begin_object().key("index").number(index).key("id").string(&id).key("type").string("function");
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

/// The images of the tools before: a user shows them.
fn write_images(w: &mut Writer, images: &mut Vec<Str<'_>>) {
    if images.is_empty() {
        return;
    }
    w.begin_object().key("role").string("user").key("content").begin_array();
    for url in images.drain(..) {
        w.begin_object().key("image").str(url).end_object();
    }
    w.end_array().end_object();
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{field, refused, target};
    use super::*;
    use crate::chat::State;
    use crate::provider::{Reasoning, Target};

    fn messages(messages: &str, multimodal: bool) -> Result<String, Rejection> {
        let input = field("input", messages, "", &target(), multimodal)?;
        Ok(input.strip_prefix(r#"{"messages":"#).unwrap().strip_suffix('}').unwrap().to_owned())
    }

    fn user(parts: &str) -> String {
        format!(r#"[{{"role":"user","content":[{parts}]}}]"#)
    }

    #[test]
    fn content_is_one_text_or_a_list_of_blocks() {
        let list = r#"[{"role":"developer","content":"a"},{"role":"user","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":"c"}]},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"d"}]"#;
        let expected = concat!(
            r#"[{"role":"system","content":"a"},{"role":"user","content":"b\nc"},"#,
            r#"{"role":"assistant","content":"no"},{"role":"user","content":"d"}]"#
        );
        assert_eq!(messages(list, false).unwrap(), expected);
        let expected = concat!(
            r#"[{"role":"system","content":[{"text":"a"}]},{"role":"user","content":[{"text":"b\n"},{"text":"c"}]},"#,
            r#"{"role":"assistant","content":[{"text":"no"}]},{"role":"user","content":[{"text":"d"}]}]"#
        );
        assert_eq!(messages(list, true).unwrap(), expected);
        let system = r#"[{"role":"system","content":"a"}]"#;
        assert_eq!(messages(system, false).unwrap(), r#"[{"role":"user","content":"a"}]"#);
        assert_eq!(refused(messages(r#"[{"role":"user","content":" "}]"#, false)), "messages");
    }

    #[test]
    fn media_are_named_by_what_they_are() {
        for (part, expected) in [
            (r#"{"type":"image_url","image_url":{"url":"https://h/i"}}"#, r#"{"image":"https://h/i"}"#),
            (
                r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#,
                r#"{"audio":"data:audio/wav;base64,AAAA"}"#,
            ),
            (r#"{"type":"input_audio","input_audio":{"data":"https://h/a"}}"#, r#"{"audio":"https://h/a"}"#),
            (r#"{"type":"video_url","video_url":{"url":"https://h/v"}}"#, r#"{"video":"https://h/v"}"#),
            (r#"{"type":"video","video":["https://h/1"]}"#, r#"{"video":["https://h/1"]}"#),
            (
                r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}"#,
                r#"{"file":"data:application/pdf;base64,AAAA"}"#,
            ),
            (r#"{"type":"file","file":{"file_url":"https://h/f.pdf"}}"#, r#"{"file":"https://h/f.pdf"}"#),
            (
                r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}"#,
                r#"{"text":"x","cache_control":{"type":"ephemeral"}},{"image":"data:image/png;base64,AA"}"#,
            ),
        ] {
            assert_eq!(messages(&user(part), false).unwrap(), format!(r#"[{{"role":"user","content":[{expected}]}}]"#));
        }
        let text =
            user(r#"{"type":"file","file":{"file_data":"data:text/csv;base64,IgphIg=="}},{"type":"text","text":"?"}"#);
        assert_eq!(messages(&text, false).unwrap(), r#"[{"role":"user","content":"\"\na\"?"}]"#);
        for (part, at) in [
            (r#"{"type":"hologram"}"#, ""),
            (r#"{"type":"file","file":{"file_id":"f"}}"#, ".file"),
            (r#"{"type":"file","file":{"file_data":"data:application/zip;base64,AA"}}"#, ".file"),
        ] {
            assert_eq!(refused(messages(&user(part), false)), format!("messages[0].content[0]{at}"), "{part}");
        }
        let silent = r#"{"type":"input_audio","input_audio":{"data":"AAAA"}}"#;
        assert_eq!(refused(messages(&user(silent), true)), "messages[0].content[0].input_audio.format");
    }

    #[test]
    fn a_text_file_that_ends_in_a_quote_stays_whole() {
        let text = user(r#"{"type":"file","file":{"file_data":"data:text/plain;base64,YSIi"}}"#);
        assert_eq!(messages(&text, false).unwrap(), r#"[{"role":"user","content":"a\"\""}]"#);
    }

    #[test]
    fn calls_results_and_thoughts_keep_together() {
        let id = State { tag: TAG, payload: r#""h\n""#.into() }.attach("a");
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{{"role":"assistant","content":null,"tool_calls":[
            {{"id":"{id}","type":"function","function":{{"name":"f","arguments":""}}}}]}},
            {{"role":"tool","tool_call_id":"{id}","content":[{{"type":"text","text":"x"}},
            {{"type":"image_url","image_url":{{"url":"https://h/i"}}}}]}},{{"role":"user","content":"and?"}}]"#
        );
        let call = r#""tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
        let expected = format!(
            r#"{{"role":"assistant","content":[],{call},{{"role":"tool","tool_call_id":"a","content":[{{"text":"x"}}]}},{{"role":"user","content":[{{"image":"https://h/i"}}]}},{{"role":"user","content":[{{"text":"and?"}}]}}]"#
        );
        let plain = messages(&list, false).unwrap();
        assert!(plain.ends_with(&expected), "{plain}");
        let image_alone = messages(&list.replace(r#"{"type":"text","text":"x"},"#, ""), false).unwrap();
        assert!(image_alone.ends_with(&expected.replace(r#"{"text":"x"}"#, r#"{"text":"{}"}"#)), "{image_alone}");
        let thinks = Target { reasoning: Some(Reasoning::Budget), ..target() };
        let thoughts = field("input", &list, "", &thinks, true).unwrap();
        assert!(thoughts.contains(&format!(r#""content":[],"reasoning_content":"h\n",{call}"#)), "{thoughts}");
        let partial = r#"[{"role":"user","content":"x"},{"role":"assistant","content":"y","partial":true}]"#;
        assert!(messages(partial, false).unwrap().ends_with(r#""content":"y","partial":true}]"#));
    }
}
