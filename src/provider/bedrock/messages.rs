//! The conversation: one pass over the client's messages, whose texts are spliced rather than decoded.
//!
//! Bedrock's turns alternate, begin with the user, hold no blank text, answer every tool call in the very next turn,
//! and have some text beside a document (API reference, `Message`). OpenAI's messages need none of that.

use super::cache::{self, CachePoints};
use super::thoughts;
use super::tools::CALL_IDS;
use crate::chat::request::{Content, Message, Part, Role};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::places::Places;
use crate::provider::distinct::{Distinct, ToolNames};
use crate::provider::media::{self, File, FileSource, Image};
use crate::provider::parameters::ANSWER_IN_JSON;
use crate::provider::turns::{self, Calls, is_blank, says_anything, says_part};

/// Writes the messages of one request.
pub struct Conversation<'w, 'c> {
    w: &'w mut Writer,
    cache: &'c mut CachePoints,
    names: &'c ToolNames,
    /// The model's id.
    model: &'c str,
    keeps_thoughts: bool,
    /// Whether a turn may have words besides calls of tools, or their results.
    mixes: bool,
    documents: Documents,
}

/// What a turn has to have by its end.
#[derive(Default)]
struct Turn {
    has_text: bool,
    /// The name of its first document.
    document: Option<String>,
}

impl<'w, 'c> Conversation<'w, 'c> {
    pub fn new(
        w: &'w mut Writer,
        cache: &'c mut CachePoints,
        names: &'c ToolNames,
        model: &'c str,
        keeps_thoughts: bool,
        mixes: bool,
    ) -> Self {
        Conversation { w, cache, names, model, keeps_thoughts, mixes, documents: Documents::default() }
    }

    pub fn write_system(&mut self, messages: &[Message<'_>], in_json: bool) -> Result<(), Rejection> {
        if !in_json && !messages.iter().any(says_anything) {
            return Ok(());
        }
        self.w.key("system").begin_array();
        for message in messages {
            self.content(message, &mut Turn::default())?;
        }
        if in_json {
            self.w.begin_object().key("text").string(ANSWER_IN_JSON).end_object();
        }
        self.w.end_array();
        Ok(())
    }

    pub fn write(&mut self, messages: &[Message<'_>]) -> Result<(), Rejection> {
        let turns = turns::turns(messages)?;
        let mut ids = Distinct::new(CALL_IDS);
        let mut calls = Calls::default();
        self.w.key("messages").begin_array();
        for turn in &turns {
            if !self.mixes
                && let Some(message) = beside_tools(turn)
            {
                let text = "This model takes no words besides calls of tools, or their results, in one turn.";
                return Err(Rejection::unsupported(message.at("content"), text));
            }
            self.w.begin_object().key("role").string(if turn.assistant { "assistant" } else { "user" });
            self.w.key("content").begin_array();
            if turn.assistant {
                for message in &turn.messages {
                    self.answer(message, &mut ids, &mut calls)?;
                }
            } else {
                let mut written = Turn::default();
                // Results come first, in the order of the calls, whatever the client's order.
                for (call, message) in std::mem::take(&mut calls).answered_by(&turn.messages)? {
                    self.result(message, &call.id)?;
                }
                for message in turn.messages.iter().filter(|message| message.role != Role::Tool) {
                    self.content(message, &mut written)?;
                }
                if let Some(name) = written.document.filter(|_| !written.has_text) {
                    self.w.begin_object().key("text").string(&name).end_object();
                }
            }
            self.w.end_array().end_object();
        }
        self.w.end_array();
        calls.answered_by(&[]).map(drop)
    }

    /// An assistant's message. Thoughts that came before its first call come first of all, as they were given.
    fn answer<'a>(
        &mut self,
        message: &Message<'a>,
        ids: &mut Distinct,
        calls: &mut Calls<'a>,
    ) -> Result<(), Rejection> {
        if let Some(call) = message.tool_calls.first() {
            self.thoughts(call.id);
        }
        self.content(message, &mut Turn::default())?;
        if let Some(refusal) = message.refusal.filter(|text| !is_blank(*text)) {
            self.w.begin_object().key("text").str(refusal).end_object();
        }
        for (index, call) in message.tool_calls.iter().enumerate() {
            let at = format!("messages[{}].tool_calls[{index}]", message.index);
            if call.name.is_empty() {
                return Err(Rejection::invalid(format!("{at}.function.name"), "The name of a tool is empty."));
            }
            if index > 0 {
                self.thoughts(call.id);
            }
            let id = turns::call_id(ids, call.id);
            let input = turns::arguments(call);
            self.w.begin_object().key("toolUse").begin_object().key("toolUseId").string(&id);
            self.w.key("name").raw(&self.names.sent(call.name)).key("input").raw(&input).end_object().end_object();
            calls.add(call, id, at)?;
        }
        Ok(())
    }

    fn thoughts(&mut self, call: Str<'_>) {
        let carried = thoughts::carried(call, self.model).filter(|_| self.keeps_thoughts);
        for block in carried.unwrap_or_default() {
            self.w.raw(&block);
        }
    }

    fn result(&mut self, message: &Message<'_>, id: &str) -> Result<(), Rejection> {
        self.w.begin_object().key("toolResult").begin_object().key("toolUseId").string(id);
        self.w.key("content").begin_array();
        if says_content(message) {
            self.parts(message, &mut Turn::default(), false)?;
        } else {
            // Blank text and no content at all are refused.
            self.w.begin_object().key("json").begin_object().end_object().end_object();
        }
        self.w.end_array();
        if turns::is_error(message) {
            self.w.key("status").string("error");
        }
        self.w.end_object().end_object();
        // A result holds no cache points, so that those of its parts stand behind it.
        for fields in cache::parts(message) {
            self.cache.write_behind(self.w, &fields);
        }
        self.cache.write_behind(self.w, &message.fields);
        Ok(())
    }

    /// A message's content as blocks; its calls and results are not among them.
    fn content(&mut self, message: &Message<'_>, turn: &mut Turn) -> Result<(), Rejection> {
        self.parts(message, turn, true)?;
        if says_anything(message) {
            self.cache.write_behind(self.w, &message.fields);
        }
        Ok(())
    }

    fn parts(&mut self, message: &Message<'_>, turn: &mut Turn, cached: bool) -> Result<(), Rejection> {
        let parts = match &message.content {
            Content::None => return Ok(()),
            Content::Text(text) => {
                self.text(*text, turn);
                return Ok(());
            }
            Content::Parts(parts) => parts,
        };
        let fields = if cached { cache::parts(message) } else { Vec::new() };
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) | Part::Refusal(text) => self.text(*text, turn),
                Part::Image { url } => {
                    let at = message.at(&format!("content[{index}]"));
                    of_user(message, &at)?;
                    self.image(*url, &format!("{at}.image_url.url"))?;
                }
                Part::Other { kind, at, value } => match kind.as_ref() {
                    "input_audio" => {
                        of_user(message, at)?;
                        self.audio(value, at)?;
                    }
                    "file" => {
                        of_user(message, at)?;
                        self.file(value, at, turn)?;
                    }
                    kind => self.native(kind, value, at, turn)?,
                },
            }
            if let Some(fields) = fields.get(index).filter(|_| says_part(part)) {
                self.cache.write_behind(self.w, fields);
            }
        }
        Ok(())
    }

    fn text(&mut self, text: Str<'_>, turn: &mut Turn) {
        if !is_blank(text) {
            turn.has_text = true;
            self.w.begin_object().key("text").str(text).end_object();
        }
    }

    /// `detail` has no equivalent and changes no contract.
    fn image(&mut self, url: Str<'_>, at: &str) -> Result<(), Rejection> {
        // Borrowed unless the client escapes its slashes, as PHP does.
        let text = url.decode();
        if let Some(format) = text.strip_prefix("s3://").and_then(|path| format_of(path, IMAGES)) {
            self.begin_media("image", format).key("s3Location").begin_object().key("uri").str(url);
            self.w.end_object();
            self.end_media();
            return Ok(());
        }
        let invalid = |problem: &str| Rejection::invalid(at, problem);
        match media::image(&text).map_err(invalid)? {
            Image::Url => Err(Rejection::unsupported(
                at,
                "This model cannot fetch images: send them as data URLs, or by s3:// addresses.",
            )),
            Image::Data(data) => {
                let known = "Images must be of the type image/jpeg, image/png, image/gif or image/webp.";
                let media_type = data.image_type().ok_or_else(|| invalid(known))?;
                let format = media_type.strip_prefix("image/").unwrap_or(media_type);
                self.begin_media("image", format).key("bytes").escaped(&[data.data]);
                self.end_media();
                Ok(())
            }
        }
    }

    fn audio(&mut self, part: &RawValue, at: &str) -> Result<(), Rejection> {
        let fields = inner(part, "input_audio");
        let at = format!("{at}.input_audio");
        let fields = fields.ok_or_else(|| Rejection::missing(&at))?;
        let text = |name: &str| {
            let at = format!("{at}.{name}");
            fields.get(name).and_then(Str::new).ok_or_else(|| Rejection::missing(&at))
        };
        let format = text("format")?.decode();
        if !SOUNDS.contains(&format.as_ref()) {
            let message = format!("'{format}' is not one of: {}.", SOUNDS.join(", "));
            return Err(Rejection::invalid(format!("{at}.format"), message));
        }
        let data = text("data")?.decode();
        if !media::is_base64(&data) {
            return Err(Rejection::invalid(format!("{at}.data"), "Audio must be given in base64."));
        }
        self.begin_media("audio", &format).key("bytes").escaped(&[&data]);
        self.end_media();
        Ok(())
    }

    fn file(&mut self, part: &RawValue, at: &str, turn: &mut Turn) -> Result<(), Rejection> {
        let file = File::read(part, at)?;
        let name = file.name.map(Str::decode).unwrap_or_default();
        let (format, data) = match &file.source {
            FileSource::Id(_) => {
                let text = "This model has no files of its own: send the file itself in 'file_data'.";
                return Err(Rejection::unsupported(format!("{at}.file.file_id"), text));
            }
            FileSource::Url(url) => {
                match url.decode().strip_prefix("s3://").and_then(|path| format_of(path, DOCUMENTS)) {
                    Some(format) => (format, Err(*url)),
                    None => {
                        let text = "This model cannot fetch files: send the file itself in 'file_data'.";
                        return Err(Rejection::unsupported(format!("{at}.file.file_url"), text));
                    }
                }
            }
            FileSource::Data { media_type, data } => {
                let format = FORMATS.iter().find(|(known, _)| known == media_type).map(|(_, format)| *format);
                let format = format.or_else(|| media_type.starts_with("text/").then_some("txt"));
                let Some(format) = format.or_else(|| format_of(&name, DOCUMENTS)) else {
                    let message = format!("Files must be one of: {}.", DOCUMENTS.join(", "));
                    return Err(Rejection::invalid(format!("{at}.file.file_data"), message));
                };
                (format, Ok(data.as_ref()))
            }
        };
        let name = self.documents.named(&name);
        self.w.begin_object().key("document").begin_object().key("format").string(format);
        self.w.key("name").string(&name).key("source").begin_object();
        match data {
            Ok(data) => self.w.key("bytes").escaped(&[data]),
            Err(url) => self.w.key("s3Location").begin_object().key("uri").str(url).end_object(),
        };
        self.w.end_object();
        let fields = Object::of(part).unwrap_or_default();
        for key in ["citations", "context"] {
            if let Some(value) = fields.get(key) {
                self.w.key(key).raw(value.get());
            }
        }
        self.w.end_object().end_object();
        turn.document.get_or_insert(name);
        Ok(())
    }

    /// A block of Bedrock's own, in a part of its type.
    fn native(&mut self, kind: &str, part: &RawValue, at: &str, turn: &mut Turn) -> Result<(), Rejection> {
        let fields = Object::of(part).unwrap_or_default();
        let block = NATIVE.iter().find(|native| **native == kind).and_then(|native| fields.get(native));
        let Some(block) = block.filter(|block| json::type_of(block) == Type::Object) else {
            let text = format!("Content of the type '{kind}' is not supported by this model.");
            return Err(Rejection::unsupported(at, text));
        };
        if kind == "document" {
            turn.document.get_or_insert(UNNAMED.to_owned());
        }
        self.w.begin_object().any_key(kind).raw(block.get()).end_object();
        Ok(())
    }

    /// Up to the key of the source.
    fn begin_media(&mut self, kind: &'static str, format: &str) -> &mut Writer {
        self.w.begin_object().key(kind).begin_object().key("format").string(format);
        self.w.key("source").begin_object()
    }

    fn end_media(&mut self) {
        self.w.end_object().end_object().end_object();
    }
}

/// Of a turn with calls or results the first message that says anything else.
fn beside_tools<'m, 'a>(turn: &turns::Turn<'m, 'a>) -> Option<&'m Message<'a>> {
    turn.messages.iter().find(|it| it.role == Role::Tool || !it.tool_calls.is_empty())?;
    let mut others = turn.messages.iter().copied().filter(|it| it.role != Role::Tool);
    others.find(|it| it.tool_calls.is_empty() || says_content(it))
}

/// Whether results that stand last in a conversation answer calls that came without this model's thoughts.
pub fn ends_with_unthought_results(messages: &[Message<'_>], model: &str) -> bool {
    let mut from_end = messages.iter().rev();
    if from_end.next().is_none_or(|last| last.role != Role::Tool) {
        return false;
    }
    let caller = from_end.find(|message| message.role == Role::Assistant);
    let call = caller.and_then(|message| message.tool_calls.first());
    call.is_some_and(|call| thoughts::carried(call.id, model).is_none())
}

/// Blocks that a client may send as they are, in a part whose type and key they are.
const NATIVE: &[&str] = &["cachePoint", "guardContent", "searchResult", "document", "image", "video", "audio"];

/// `ImageFormat`
const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];

/// `DocumentFormat`
const DOCUMENTS: &[&str] = &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];

/// `AudioFormat`
const SOUNDS: &[&str] =
    &["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"];

const FORMATS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/json", "txt"),
    ("application/xml", "txt"),
];

/// The format by the end of a name.
fn format_of(name: &str, formats: &'static [&'static str]) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    let end = if end.eq_ignore_ascii_case("jpg") { "jpeg" } else { end };
    formats.iter().find(|format| format.eq_ignore_ascii_case(end)).copied()
}

fn inner<'a>(part: &'a RawValue, key: &str) -> Option<Object<'a>> {
    let part = Object::of(part)?;
    part.get(key).and_then(Object::of)
}

fn says_content(message: &Message<'_>) -> bool {
    match &message.content {
        Content::None => false,
        Content::Text(text) => !is_blank(*text),
        Content::Parts(parts) => parts.iter().any(says_part),
    }
}

/// OpenAI allows images, sound and files of users only; a tool's are a common extension.
fn of_user(message: &Message<'_>, at: &str) -> Result<(), Rejection> {
    if matches!(message.role, Role::User | Role::Tool) {
        return Ok(());
    }
    Err(Rejection::invalid(at, "Only user and tool messages can have images, audio and files."))
}

/// A document that its sender has not named.
const UNNAMED: &str = "document";

/// Names of documents: letters, digits, single spaces, hyphens and brackets, and no name twice (`DocumentBlock`).
/// What one becomes depends on earlier ones only.
#[derive(Default)]
struct Documents(Places<'static>);

impl Documents {
    fn named(&mut self, file: &str) -> String {
        const LONGEST: usize = 190;
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let fits = |char: char| char.is_ascii_alphanumeric() || "-()[]".contains(char);
        let plain = stem.replace(|char| !fits(char), " ");
        let mut base = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        base.truncate(LONGEST);
        if base.is_empty() {
            UNNAMED.clone_into(&mut base);
        }
        let mut name = base.clone();
        while self.0.has(&name) {
            // Counts on where it stopped: repeated names must not cost their square.
            let count = self.0.get(&base).unwrap_or(1) + 1;
            self.0.set(base.clone().into(), count);
            name = format!("{base} {count}");
        }
        self.0.set(name.clone().into(), 1);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::bedrock::request::tests::{CLAUDE, NOVA, field, refused, target, written};
    use crate::provider::bedrock::thoughts::tests::thinking;
    use crate::provider::{Reasoning, Target};

    fn messages(list: &str) -> Result<String, Rejection> {
        field(CLAUDE, "messages", list, "")
    }

    fn user(parts: &str) -> Result<String, Rejection> {
        let list = messages(&format!(r#"[{{"role":"user","content":[{parts}]}}]"#))?;
        let content = list.strip_prefix(r#"[{"role":"user","content":"#).unwrap();
        Ok(content.strip_suffix("}]").unwrap().to_owned())
    }

    #[test]
    fn system_messages_stand_before_and_later_ones_keep_their_place() {
        let list = r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":" "}]},{"role":"user","content":"c"},{"role":"assistant","content":"d"},
            {"role":"system","content":"e"},{"role":"user","content":"f"},{"role":"assistant","content":"",
            "refusal":"no"}]"#;
        assert_eq!(field(CLAUDE, "system", list, "").unwrap(), r#"[{"text":"a"},{"text":"b\n"}]"#);
        let expected = concat!(
            r#"[{"role":"user","content":[{"text":"c"}]},{"role":"assistant","content":[{"text":"d"}]},"#,
            r#"{"role":"user","content":[{"text":"e"},{"text":"f"}]},{"role":"assistant","content":[{"text":"no"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
        assert_eq!(refused(messages(r#"[{"role":"assistant","content":"a"}]"#)), "messages[0].role");
    }

    #[test]
    fn images_are_data_or_in_s3() {
        let image =
            |url: &str| user(&format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"low"}}}}"#));
        assert_eq!(
            image(r"data:image\/jpg;base64,\/9j\/").unwrap(),
            r#"[{"image":{"format":"jpeg","source":{"bytes":"/9j/"}}}]"#
        );
        assert_eq!(
            image("s3://bucket/a.JPG").unwrap(),
            r#"[{"image":{"format":"jpeg","source":{"s3Location":{"uri":"s3://bucket/a.JPG"}}}}]"#
        );
        let rejection = image("https://h/i.png").unwrap_err();
        assert_eq!(rejection.param.as_deref(), Some("messages[0].content[0].image_url.url"));
        assert_eq!(rejection.code, "unsupported_parameter");
        for bad in ["data:image/bmp;base64,AAAA", "data:image/png;base64,", "s3://bucket/a", "x"] {
            assert_eq!(refused(image(bad)), "messages[0].content[0].image_url.url", "{bad}");
        }
    }

    #[test]
    fn documents_have_names_of_their_own_and_text_beside_them() {
        let file = |fields: &str| format!(r#"{{"type":"file","file":{{{fields}}}}}"#);
        let pdf = file(r#""filename":"My  report_(v1).final.pdf","file_data":"data:application/pdf;base64,JVBERi0=""#);
        let document = |name: &str, format: &str, data: &str| {
            format!(r#"{{"document":{{"format":"{format}","name":"{name}","source":{{"bytes":"{data}"}}}}}}"#)
        };
        let named = document("My report (v1) final", "pdf", "JVBERi0=");
        assert_eq!(user(&pdf).unwrap(), format!(r#"[{named},{{"text":"My report (v1) final"}}]"#));
        let text = r#"{"type":"text","text":"read"}"#;
        let plain = file(r#""file_data":"data:text/x-log;base64,YQ==""#);
        assert_eq!(
            user(&format!("{pdf},{pdf},{plain},{text}")).unwrap(),
            format!(
                r#"[{named},{},{},{{"text":"read"}}]"#,
                document("My report (v1) final 2", "pdf", "JVBERi0="),
                document("document", "txt", "YQ==")
            )
        );
        assert_eq!(
            user(
                &file(r#""file_url":"s3://b/a.docx","filename":"a.docx""#)
                    .replace(r#""type":"file""#, r#""type":"file","citations":{"enabled":true}"#)
            )
            .unwrap(),
            concat!(
                r#"[{"document":{"format":"docx","name":"a","source":{"s3Location":{"uri":"s3://b/a.docx"}},"#,
                r#""citations":{"enabled":true}}},{"text":"a"}]"#
            )
        );
        assert_eq!(refused(user(&file(r#""file_id":"f""#))), "messages[0].content[0].file.file_id");
        assert_eq!(refused(user(&file(r#""file_url":"https://h/a.pdf""#))), "messages[0].content[0].file.file_url");
        assert_eq!(refused(user(&file(r#""file_data":"AAAA""#))), "messages[0].content[0].file.file_data");
    }

    #[test]
    fn many_documents_of_one_name_cost_no_square() {
        let mut documents = Documents::default();
        let names: Vec<_> = (0..20_000).map(|_| documents.named("a.pdf")).collect();
        assert_eq!((names[1].as_str(), names[19_999].as_str()), ("a 2", "a 20000"));
    }

    #[test]
    fn audio_and_bedrocks_own_blocks_pass_and_nothing_else() {
        let audio = r#"{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}"#;
        assert_eq!(user(audio).unwrap(), r#"[{"audio":{"format":"wav","source":{"bytes":"UklGRg=="}}}]"#);
        let native = r#"{"type":"guardContent","guardContent":{"text":{"text":"a"}}}"#;
        assert_eq!(user(native).unwrap(), r#"[{"guardContent":{"text":{"text":"a"}}}]"#);
        for (bad, at) in [
            (r#"{"type":"input_audio"}"#, "messages[0].content[0].input_audio"),
            (r#"{"type":"input_audio","input_audio":{"format":"wav"}}"#, "messages[0].content[0].input_audio.data"),
            (
                r#"{"type":"input_audio","input_audio":{"data":"\"","format":"wav"}}"#,
                "messages[0].content[0].input_audio.data",
            ),
            (
                r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"midi"}}"#,
                "messages[0].content[0].input_audio.format",
            ),
            (r#"{"type":"video","video":7}"#, "messages[0].content[0]"),
            (r#"{"type":"toolUse","toolUse":{}}"#, "messages[0].content[0]"),
            (r#"{"type":"hologram"}"#, "messages[0].content[0]"),
        ] {
            assert_eq!(refused(user(bad)), at, "{bad}");
        }
    }

    fn call(id: &str) -> String {
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"n\": 1.0}}"}}}}"#)
    }

    fn asked(calls: &[String], content: &str, rest: &str) -> String {
        let calls = calls.join(",");
        format!(
            r#"[{{"role":"user","content":"go"}},{{"role":"assistant","content":{content},"tool_calls":[{calls}]}}{rest}]"#
        )
    }

    #[test]
    fn results_come_first_and_in_the_order_of_the_calls_under_ids_that_fit() {
        let long = "x".repeat(80);
        let ids = ["toolu_1.a:b", "a/b", "a_b", &long];
        let results: String = ids
            .iter()
            .rev()
            .map(|id| format!(r#",{{"role":"tool","tool_call_id":"{id}","content":"of {}"}}"#, &id[..3]))
            .collect();
        let list = messages(&asked(&ids.map(call), "\"t\"", &format!(r#"{results},{{"role":"user","content":"u"}}"#)));
        let list = list.unwrap();
        let sent = ["toolu_1.a:b", "a_b", "a_b_2", &long[..64]];
        let expected: String = sent
            .iter()
            .zip(ids)
            .map(|(sent, id)| {
                format!(r#"{{"toolResult":{{"toolUseId":"{sent}","content":[{{"text":"of {}"}}]}}}},"#, &id[..3])
            })
            .collect();
        assert!(list.ends_with(&format!(r#"{{"role":"user","content":[{expected}{{"text":"u"}}]}}]"#)), "{list}");
        for sent in sent {
            let call = format!(r#"{{"toolUse":{{"toolUseId":"{sent}","name":"f","input":{{"n": 1.0}}}}}}"#);
            assert!(list.contains(&call), "{list}");
        }
        assert_eq!(refused(messages(&asked(&[call("1")], "null", ""))), "messages[1].tool_calls[0]");
    }

    #[test]
    fn llama_takes_no_words_beside_calls_or_results() {
        const LLAMA: &str = "us.meta.llama4-maverick-17b-instruct-v1:0";
        let of = |content: &str, rest: &str| {
            let result = r#",{"role":"tool","tool_call_id":"1","content":"4"}"#;
            field(LLAMA, "messages", &asked(&[call("1")], content, &format!("{result}{rest}")), "")
        };
        assert!(of("\" \"", r#",{"role":"assistant","content":"4"},{"role":"user","content":"u"}"#).is_ok());
        assert_eq!(refused(of("\"t\"", "")), "messages[1].content");
        assert_eq!(refused(of("null", r#",{"role":"user","content":"u"}"#)), "messages[3].content");
    }

    #[test]
    fn a_result_may_be_blank_failed_or_a_picture() {
        let result = |fields: &str| {
            let result = format!(r#",{{"role":"tool","tool_call_id":"1"{fields}}}"#);
            let list = messages(&asked(&[call("1")], "null", &result)).unwrap();
            list.split_once(r#""toolUseId":"1","content":"#).unwrap().1.trim_end_matches("}}]}]").to_owned()
        };
        assert_eq!(result(""), r#"[{"json":{}}]"#);
        assert_eq!(result(r#","content":" ","is_error":true"#), r#"[{"json":{}}],"status":"error""#);
        assert_eq!(
            result(
                r#","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":
                {"url":"data:image/png;base64,AAAA"}}]"#
            ),
            r#"[{"text":"x"},{"image":{"format":"png","source":{"bytes":"AAAA"}}}]"#
        );
    }

    const THOUGHT: &str = r#"{"reasoningContent":{"reasoningText":{"text":"hm\n","signature":"s+/="}}}"#;

    fn with_thought(id: &str) -> String {
        thinking(id, &format!(r#"["anthropic.claude-x-v1:0",{THOUGHT}]"#))
    }

    #[test]
    fn thoughts_go_back_before_everything_else_and_only_to_who_had_them() {
        let (first, second) = (with_thought("1"), with_thought("2"));
        let results = format!(
            r#",{{"role":"tool","tool_call_id":"{first}","content":"a"}},{{"role":"tool","tool_call_id":"{second}","content":"b"}}"#
        );
        let list = asked(&[call(&first), call(&second)], "\"text\"", &results);
        let turn = |id: &str, reasoning, rest: &str| {
            let target = Target { reasoning, ..target(id) };
            let (body, _) = written(&format!(r#"{{"model":"m","messages":{list}{rest}}}"#), &target).unwrap();
            let turn = body.split_once(r#""role":"assistant","content":["#).unwrap().1;
            turn.split_once("]}").unwrap().0.to_owned()
        };
        let used = |id: &str| format!(r#"{{"toolUse":{{"toolUseId":"{id}","name":"f","input":{{"n": 1.0}}}}}}"#);
        let kept = format!(r#"{THOUGHT},{{"text":"text"}},{},{THOUGHT},{}"#, used("1"), used("2"));
        let forgotten = format!(r#"{{"text":"text"}},{},{}"#, used("1"), used("2"));
        use Reasoning::{Adaptive, Budget};
        let (high, none) = (r#","reasoning_effort":"high""#, r#","reasoning_effort":"none""#);
        assert_eq!(turn(CLAUDE, Some(Adaptive), high), kept);
        assert_eq!(turn(CLAUDE, Some(Adaptive), ""), kept);
        assert_eq!(turn(CLAUDE, Some(Adaptive), none), forgotten);
        assert_eq!(turn(CLAUDE, Some(Budget), high), kept);
        // Claude refuses thoughts of a request that does not ask for any.
        assert_eq!(turn(CLAUDE, Some(Budget), ""), forgotten);
        assert_eq!(turn(CLAUDE, None, high), forgotten);
        assert_eq!(turn(CLAUDE, None, r#","thinking":{"type":"adaptive"}"#), kept);
        assert_eq!(turn(NOVA, Some(Adaptive), high), forgotten);
        assert_eq!(turn("us.anthropic.claude-y-v1:0", Some(Adaptive), high), forgotten);
    }

    #[test]
    fn thinking_by_budget_ends_where_the_thoughts_are_gone() {
        let result = r#",{"role":"tool","tool_call_id":"1","content":"a"}"#;
        let target = Target { reasoning: Some(Reasoning::Budget), ..target(CLAUDE) };
        let body = |list: &str| format!(r#"{{"model":"m","reasoning_effort":"low","messages":{list}}}"#);
        let (_, request) = written(&body(&asked(&[call("1")], "null", result)), &target).unwrap();
        assert_eq!(request.dropped, ["reasoning_effort"]);
        let later = format!(r#"{result},{{"role":"assistant","content":"b"}},{{"role":"user","content":"c"}}"#);
        let (_, request) = written(&body(&asked(&[call("1")], "null", &later)), &target).unwrap();
        assert!(request.dropped.is_empty());
    }

    fn text(text: &str, marker: &str) -> String {
        format!(r#"{{"type":"text","text":"{text}"{marker}}}"#)
    }

    const MARKED: &str = r#","cache_control":{"type":"ephemeral"}"#;
    const POINT: &str = r#"{"cachePoint":{"type":"default"}}"#;

    #[test]
    fn a_marker_becomes_a_cache_point_behind_its_part() {
        let point = |ttl: &str| format!(r#"{{"cachePoint":{{"type":"default","ttl":"{ttl}"}}}}"#);
        let parts = [
            text("a", MARKED),
            text("b", r#","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}"#),
            text("c", r#","cache_control":{"type":"ephemeral","ttl":"5m"}"#),
            text("d", r#","cache_control":null"#),
        ];
        let expected = format!(
            r#"[{{"text":"a"}},{POINT},{{"text":"b"}},{},{{"text":"c"}},{},{{"text":"d"}}]"#,
            point("1h"),
            point("5m")
        );
        assert_eq!(user(&parts.join(",")).unwrap(), expected);
        let list = format!(
            r#"[{{"role":"system","content":[{}]}},{{"role":"user","content":"b"{MARKED}}}]"#,
            text("a", MARKED)
        );
        assert_eq!(field(NOVA, "system", &list, "").unwrap(), format!(r#"[{{"text":"a"}},{POINT}]"#));
        let of_user = format!(r#"[{{"role":"user","content":[{{"text":"b"}},{POINT}]}}]"#);
        assert_eq!(field(NOVA, "messages", &list, "").unwrap(), of_user);
        let result = format!(r#",{{"role":"tool","tool_call_id":"1","content":[{}]}}"#, text("x", MARKED));
        let list = messages(&asked(&[call("1")], "null", &result)).unwrap();
        assert!(list.contains(&format!(r#""content":[{{"text":"x"}}]}}}},{POINT}]"#)), "{list}");
    }

    #[test]
    fn only_the_last_four_cache_points_stay_and_none_where_nothing_is_cached() {
        let parts: Vec<_> = ["a", "b", "c", "d"].map(|part| text(part, MARKED)).into();
        let tools = format!(r#","tools":[{{"function":{{"name":"f"}}{MARKED}}}]"#);
        let list = format!(r#"[{{"role":"user","content":[{}]}}]"#, parts.join(","));
        let request = |id: &str| {
            let (body, request) =
                written(&format!(r#"{{"model":"m","messages":{list}{tools}}}"#), &target(id)).unwrap();
            (body.matches(POINT).count(), body.contains(&format!("}},{POINT}]}},\"messages\"")), request.dropped)
        };
        let named = || vec!["prompt_cache_breakpoint".into()];
        assert_eq!(request(CLAUDE), (4, false, named()));
        assert_eq!(request(NOVA), (4, false, named()));
        assert_eq!(request("meta.llama"), (0, false, named()));
        let (body, _) = written(
            &format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}]{tools}}}"#),
            &target(CLAUDE),
        )
        .unwrap();
        assert!(body.contains(&format!("}},{POINT}]}},\"messages\"")), "{body}");
    }
}
