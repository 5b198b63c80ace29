//! Content blocks: texts, pictures and documents, spliced rather than decoded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::cache::{self, Marks, Ttl};
use crate::chat::request::{Content, Message, Part, Role};
use crate::error::Rejection;
use crate::json::{Object, RawValue, Str, Writer};
use crate::provider::media::{self, DataUrl, File, FileSource, Image};
use crate::provider::turns::{is_blank, says_part};

/// Blocks of Anthropic's own that a client may send as they are.
const NATIVE: &[&str] = &["document", "image", "search_result"];

/// Writes a message's content as blocks, and its refusal behind them; its calls and results are not among
/// them.
pub fn write(w: &mut Writer, message: &Message<'_>, marks: &Marks) -> Result<(), Rejection> {
    let refusal = message.refusal.filter(|text| !is_blank(*text));
    // The mark of a message is one of its last block.
    let end = marks.message(message.index).filter(|_| message.tool_calls.is_empty());
    let end_of_content = end.filter(|_| refusal.is_none());
    match &message.content {
        Content::None => {}
        Content::Text(text) => write_text(w, *text, end_of_content),
        Content::Parts(parts) => {
            let last = parts.iter().rposition(says_part);
            for (index, part) in parts.iter().enumerate() {
                let mark = marks.part(message.index, index);
                let mark = mark.or(end_of_content.filter(|_| last == Some(index)));
                write_part(w, message, index, part, mark)?;
            }
        }
    }
    if let Some(refusal) = refusal {
        write_text(w, refusal, end);
    }
    Ok(())
}

/// Refuses pictures and files that are not in the request itself: on Vertex and Bedrock the API fetches nothing
/// ("URL sources are not supported"), and has no files.
pub fn refuse_addresses(messages: &[Message<'_>]) -> Result<(), Rejection> {
    for message in messages {
        let Content::Parts(parts) = &message.content else { continue };
        for (index, part) in parts.iter().enumerate() {
            let (at, what, how) = match part {
                Part::Image { url } if media::image(&url.decode()) == Ok(Image::Url) => {
                    (message.at(&format!("content[{index}].image_url.url")), "images", "as data URLs")
                }
                Part::Other { kind, at, value } if kind == "file" => match File::read(value, at)?.source {
                    FileSource::Data { .. } => continue,
                    FileSource::Url(_) => (format!("{at}.file.file_url"), "files", "in 'file_data'"),
                    FileSource::Id(_) => (format!("{at}.file.file_id"), "files", "in 'file_data'"),
                },
                _ => continue,
            };
            let text = format!("This model cannot fetch {what}: send them {how}.");
            return Err(Rejection::unsupported(at, text));
        }
    }
    Ok(())
}

/// Writes parts that are the content of another block, which has their marks.
pub fn write_nested(w: &mut Writer, message: &Message<'_>, parts: &[Part<'_>]) -> Result<(), Rejection> {
    for (index, part) in parts.iter().enumerate() {
        write_part(w, message, index, part, None)?;
    }
    Ok(())
}

fn write_part(
    w: &mut Writer,
    message: &Message<'_>,
    index: usize,
    part: &Part<'_>,
    mark: Option<Ttl>,
) -> Result<(), Rejection> {
    let at = || message.at(&format!("content[{index}]"));
    // OpenAI allows these of users only; a tool's are a common extension.
    let may_have_media = matches!(message.role, Role::User | Role::Tool);
    match part {
        Part::Text(text) | Part::Refusal(text) => write_text(w, *text, mark),
        Part::Image { url } if may_have_media => {
            let invalid = |problem: &str| Rejection::invalid(format!("{}.image_url.url", at()), problem);
            write_image(w, *url, mark).map_err(invalid)?;
        }
        Part::Image { .. } => {
            return Err(Rejection::invalid(at(), "Only user and tool messages can have images."));
        }
        Part::Other { kind, at, value } if kind == "file" && may_have_media => write_file(w, value, at, mark)?,
        Part::Other { kind, value, .. } if NATIVE.contains(&kind.as_ref()) && may_have_media => {
            write_native(w, value, mark);
        }
        Part::Other { kind, at, .. } => {
            let text = format!("Content of the type '{kind}' is not supported by this model.");
            return Err(Rejection::unsupported(at.as_str(), text));
        }
    }
    Ok(())
}

fn write_text(w: &mut Writer, text: Str<'_>, mark: Option<Ttl>) {
    if !is_blank(text) {
        w.begin_object().key("type").string("text").key("text").str(text);
        cache::write(w, mark);
        w.end_object();
    }
}

/// `detail` has no equivalent and changes no contract.
fn write_image(w: &mut Writer, url: Str<'_>, mark: Option<Ttl>) -> Result<(), &'static str> {
    // Borrowed unless the client escapes its slashes, as PHP does.
    let text = url.decode();
    match media::image(&text)? {
        Image::Url => {
            w.begin_object().key("type").string("image").key("source").begin_object();
            w.key("type").string("url").key("url").str(url).end_object();
        }
        Image::Data(data) => begin_image_data(w, &data)?,
    }
    cache::write(w, mark);
    w.end_object();
    Ok(())
}

fn begin_image_data(w: &mut Writer, data: &DataUrl<'_>) -> Result<(), &'static str> {
    let known = "Images must be of the type image/jpeg, image/png, image/gif or image/webp.";
    let media_type = data.image_type().ok_or(known)?;
    w.begin_object().key("type").string("image").key("source").begin_object();
    w.key("type").string("base64").key("media_type").string(media_type).key("data").escaped(&[data.data]);
    w.end_object();
    Ok(())
}

/// A file as a document: PDFs as they are, texts as text. `title`, `context` and `citations` beside the file
/// are Anthropic's own.
fn write_file(w: &mut Writer, part: &RawValue, at: &str, mark: Option<Ttl>) -> Result<(), Rejection> {
    let File { name, source } = File::read(part, at)?;
    let invalid = |field: &str, text: &str| Rejection::invalid(format!("{at}.file.{field}"), text);
    let begin = |w: &mut Writer, kind: &str| {
        w.begin_object().key("type").string("document").key("source").begin_object();
        w.key("type").string(kind);
    };
    match source {
        FileSource::Data { media_type, data } if media_type == "application/pdf" => {
            begin(w, "base64");
            w.key("media_type").string(&media_type).key("data").escaped(&[&data]);
        }
        FileSource::Data { media_type, data } if is_text(&media_type) => {
            let bytes = STANDARD_NO_PAD.decode(data.trim_end_matches('=')).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| invalid("file_data", "The file is no text in UTF-8."))?;
            begin(w, "text");
            w.key("media_type").string("text/plain").key("data").string(&text);
        }
        FileSource::Data { media_type, data } if media_type.starts_with("image/") => {
            begin_image_data(w, &DataUrl { media_type, data: &data }).map_err(|text| invalid("file_data", text))?;
            cache::write(w, mark);
            w.end_object();
            return Ok(());
        }
        FileSource::Data { media_type, .. } => {
            let what = if media_type.is_empty() { "an unknown type" } else { &media_type };
            let text = format!("A file of {what} is not supported by this model: it reads PDFs, texts and images.");
            return Err(Rejection::unsupported(format!("{at}.file.file_data"), text));
        }
        // Its own Files API's ids: OpenAI's have a hyphen there.
        FileSource::Id(id) if id.decode().starts_with("file_") => {
            begin(w, "file");
            w.key("file_id").str(id);
        }
        FileSource::Id(_) => {
            let text = "This model knows no file of this id: send the file itself.";
            return Err(Rejection::unsupported(format!("{at}.file.file_id"), text));
        }
        FileSource::Url(url) => {
            let text = url.decode();
            if !matches!(media::image(&text), Ok(Image::Url)) {
                return Err(invalid("file_url", "A file must be given by an http or https address."));
            }
            begin(w, "url");
            w.key("url").str(url);
        }
    }
    w.end_object();
    let fields = Object::of(part).unwrap_or_default();
    match (fields.get("title"), name) {
        (Some(title), _) => {
            w.key("title").raw(title.get());
        }
        (None, Some(name)) => {
            w.key("title").str(name);
        }
        (None, None) => {}
    }
    for name in ["context", "citations"] {
        if let Some(value) = fields.get(name) {
            w.key(name).raw(value.get());
        }
    }
    cache::write(w, mark);
    w.end_object();
    Ok(())
}

/// Types whose bytes are to be read as text.
fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || matches!(media_type, "application/json" | "application/xml")
}

fn write_native(w: &mut Writer, block: &RawValue, mark: Option<Ttl>) {
    w.begin_object();
    for (key, value) in Object::of(block).unwrap_or_default().iter() {
        if !matches!(key, "cache_control" | "prompt_cache_breakpoint") {
            w.any_key(key).raw(value.get());
        }
    }
    cache::write(w, mark);
    w.end_object();
}
