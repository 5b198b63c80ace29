//! Pictures, documents and sound in a request: which bytes of which type a client has sent, in whatever
//! way it has written them. Only what is safe to splice into JSON as it is leaves this file.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type};
use crate::lanes::{Band, Block};

/// A data URL (RFC 2397): `data:TYPE;base64,DATA`.
#[derive(Debug, PartialEq, Eq)]
pub struct DataUrl<'t> {
    /// In lower case, without parameters; empty where it is not said.
    pub media_type: String,
    /// Base64, without anything that JSON would escape.
    pub data: &'t str,
}

/// Where a picture is to be found.
#[derive(Debug, PartialEq, Eq)]
pub enum Image<'t> {
    /// At an http or https address.
    Url,
    Data(DataUrl<'t>),
}

impl<'t> DataUrl<'t> {
    /// From a URL without its scheme.
    pub fn parse(rest: &'t str) -> Option<Self> {
        let (head, data) = rest.split_once(',')?;
        let (head, encoding) = head.rsplit_once(';')?;
        if !encoding.eq_ignore_ascii_case("base64") || !is_base64(data) {
            return None;
        }
        let media_type = head.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(DataUrl { media_type, data })
    }

    /// The type of an image, told by the data's first bytes where the URL does not say; `None` if it is
    /// none of the four that every model with eyes takes.
    pub fn image_type(&self) -> Option<&'static str> {
        Some(match self.media_type.as_str() {
            "image/jpeg" | "image/jpg" => "image/jpeg",
            "image/png" => "image/png",
            "image/gif" => "image/gif",
            "image/webp" => "image/webp",
            "" if self.data.starts_with("/9j/") => "image/jpeg",
            "" if self.data.starts_with("iVBORw0KGgo") => "image/png",
            "" if self.data.starts_with("R0lGOD") => "image/gif",
            "" if self.data.starts_with("UklGR") => "image/webp",
            _ => return None,
        })
    }
}

/// What the decoded text of an `image_url` is, or what is wrong with it.
pub fn image(url: &str) -> Result<Image<'_>, &'static str> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") {
        let data = DataUrl::parse(rest);
        return data.map(Image::Data).ok_or("The data URL is malformed: 'data:image/...;base64,...' is expected.");
    }
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return Ok(Image::Url);
    }
    Err("An image must be given by an http or https address or as a data URL.")
}

/// Refuses an image that is given in no way that everybody takes; `at` says its place in the request.
pub fn check_image(url: Str<'_>, at: impl FnOnce() -> String) -> Result<(), Rejection> {
    image(&url.decode()).map(|_| ()).map_err(|text| Rejection::invalid(at(), text))
}

/// Refuses content that a model has no place for.
pub fn unsupported_part(kind: &str, at: &str) -> Rejection {
    Rejection::unsupported(at, format!("Content of the type '{kind}' is not supported by this model."))
}

/// What a `file` part holds.
#[derive(Debug)]
pub struct File<'a> {
    pub name: Option<Str<'a>>,
    pub source: FileSource<'a>,
}

#[derive(Debug)]
pub enum FileSource<'a> {
    /// The id of a file that was uploaded before.
    Id(Str<'a>),
    /// An address, which OpenAI's own API does not have.
    Url(Str<'a>),
    /// Base64, and its media type: as the data URL says or, for base64 alone, as the name ends.
    Data { media_type: String, data: Cow<'a, str> },
}

impl<'a> File<'a> {
    /// Reads a part of the type `file`; `at` is its place in the request.
    pub fn read(part: &'a RawValue, at: &str) -> Result<Self, Rejection> {
        let object = |value: &'a RawValue| Object::of(value);
        let file = object(part).and_then(|part| part.get("file")).and_then(object);
        let file = file.ok_or_else(|| Rejection::missing(&format!("{at}.file")))?;
        let text = |name: &str| match file.get(name) {
            Some(value) if json::type_of(value) != Type::Null => match Str::new(value) {
                Some(text) => Ok(Some(text)),
                None => Err(Rejection::invalid(format!("{at}.file.{name}"), format!("'{name}' must be a string."))),
            },
            _ => Ok(None),
        };
        let name = text("filename")?.filter(|name| !name.is_empty());
        let (id, url, data) = (text("file_id")?, text("file_url")?, text("file_data")?);
        let source = match (data, id, url) {
            (Some(data), None, None) => {
                data_of(data, name).ok_or_else(|| Rejection::invalid(format!("{at}.file.file_data"), MALFORMED_FILE))?
            }
            (None, Some(id), None) => FileSource::Id(id),
            (None, None, Some(url)) => FileSource::Url(url),
            _ => {
                let text = "A file must have exactly one of 'file_data', 'file_id' and 'file_url'.";
                return Err(Rejection::invalid(format!("{at}.file"), text));
            }
        };
        Ok(File { name, source })
    }

    /// Its media type and its base64, for APIs that keep no files and fetch none.
    pub fn data(part: &'a RawValue, at: &str) -> Result<(String, Cow<'a, str>), Rejection> {
        match File::read(part, at)?.source {
            FileSource::Data { media_type, data } => Ok((media_type, data)),
            FileSource::Id(_) | FileSource::Url(_) => {
                let text = "With this model a file must be given as 'file_data'.";
                Err(Rejection::unsupported(format!("{at}.file"), text))
            }
        }
    }
}

/// Refuses a file of a type that a model cannot read.
pub fn unsupported_file(media_type: &str, at: &str) -> Rejection {
    let text = format!("Files of the type '{media_type}' are not supported by this model.");
    Rejection::unsupported(format!("{at}.file"), text)
}

const MALFORMED_FILE: &str = "The file is malformed: a data URL or base64 is expected.";

/// OpenAI expects a data URL; many clients send base64 alone.
fn data_of<'a>(data: Str<'a>, name: Option<Str<'a>>) -> Option<FileSource<'a>> {
    let text = data.decode();
    let named = || name.and_then(|name| type_of_name(&name.decode())).unwrap_or_default().to_owned();
    let found = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("data") => {
            let DataUrl { media_type, data } = DataUrl::parse(rest)?;
            let says_nothing = media_type.is_empty() || media_type == "application/octet-stream";
            (if says_nothing { named() } else { media_type }, text.len() - data.len())
        }
        _ if is_base64(&text) => (named(), 0),
        _ => return None,
    };
    let (media_type, start) = found;
    let media_type = match media_type.as_str() {
        "" if text.get(start..)?.starts_with("JVBERi") => "application/pdf".to_owned(),
        _ => media_type,
    };
    let data = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..)?),
        Cow::Owned(text) => Cow::Owned(text.get(start..)?.to_owned()),
    };
    Some(FileSource::Data { media_type, data })
}

/// The media types of names' ends that models can read.
pub fn type_of_name(name: &str) -> Option<&'static str> {
    const TYPES: &[(&str, &str)] = &[
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("text", "text/plain"),
        ("log", "text/plain"),
        ("md", "text/markdown"),
        ("csv", "text/csv"),
        ("html", "text/html"),
        ("htm", "text/html"),
        ("xml", "text/xml"),
        ("json", "application/json"),
        ("doc", "application/msword"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("xls", "application/vnd.ms-excel"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("png", "image/png"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("heic", "image/heic"),
        ("heif", "image/heif"),
        ("wav", "audio/wav"),
        ("mp3", "audio/mp3"),
        ("m4a", "audio/m4a"),
        ("aac", "audio/aac"),
        ("ogg", "audio/ogg"),
        ("flac", "audio/flac"),
        ("mp4", "video/mp4"),
        ("mov", "video/mov"),
        ("webm", "video/webm"),
        ("mpeg", "video/mpeg"),
    ];
    let (_, end) = name.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(end)).map(|(_, media_type)| *media_type)
}

/// The text of a file that is nothing else; `at` is its place in the request.
pub fn text_of(data: &str, at: &str) -> Result<String, Rejection> {
    let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Rejection::invalid(format!("{at}.file.file_data"), "The data is not text in UTF-8 and base64."))
}

/// Whether the alphabet is right, which is what makes the text safe to splice. Images are megabytes.
pub fn is_base64(text: &str) -> bool {
    let (blocks, rest) = text.as_bytes().as_chunks();
    // A slash stands right before the digits.
    let [letters, capitals, digits] = Band::all([(b'a', b'z'), (b'A', b'Z'), (b'/', b'9')]);
    let fit = |bytes| {
        let block = Block::load(bytes);
        let others = block.within(&digits) | block.are(b'+') | block.are(b'=');
        block.within(&letters) | block.within(&capitals) | others == u16::MAX
    };
    let fits = |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'/'..=b'9' | b'+' | b'=');
    !text.is_empty() && blocks.iter().all(fit) && rest.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(fields: &str) -> Result<(String, String), String> {
        let text = format!(r#"{{"type":"file","file":{fields}}}"#);
        let part: &RawValue = crate::json::parse_str(&text).unwrap();
        match File::read(part, "p").map_err(|no| no.param.unwrap())?.source {
            FileSource::Data { media_type, data } => Ok((media_type, data.into_owned())),
            FileSource::Id(id) => Ok(("id".into(), id.decode().into_owned())),
            FileSource::Url(url) => Ok(("url".into(), url.decode().into_owned())),
        }
    }

    #[test]
    fn a_file_has_the_type_it_says_or_is_named_or_begins_with() {
        for (fields, media_type, data) in [
            (r#"{"file_data":"data:application/pdf;base64,JVBERi0="}"#, "application/pdf", "JVBERi0="),
            (r#"{"file_data":"data:text\/plain;charset=utf-8;base64,YQ=="}"#, "text/plain", "YQ=="),
            (r#"{"file_data":"YQ==","filename":"a.b.TXT"}"#, "text/plain", "YQ=="),
            (r#"{"file_data":"data:application/octet-stream;base64,YQ==","filename":"a.md"}"#, "text/markdown", "YQ=="),
            (r#"{"file_data":"JVBERi0="}"#, "application/pdf", "JVBERi0="),
            (r#"{"file_data":"YQ==","filename":"a"}"#, "", "YQ=="),
            (r#"{"file_id":"file_1","file_data":null}"#, "id", "file_1"),
            (r#"{"file_url":"https://h/a.pdf"}"#, "url", "https://h/a.pdf"),
        ] {
            assert_eq!(file(fields), Ok((media_type.into(), data.into())), "{fields}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_at_its_place() {
        for (fields, at) in [
            ("null", "p.file"),
            ("{}", "p.file"),
            (r#"{"file_id":"a","file_data":"YQ=="}"#, "p.file"),
            (r#"{"file_id":7}"#, "p.file.file_id"),
            (r#"{"file_data":""}"#, "p.file.file_data"),
            (r#"{"file_data":"a b"}"#, "p.file.file_data"),
            (r#"{"file_data":"data:text/plain,a"}"#, "p.file.file_data"),
        ] {
            assert_eq!(file(fields), Err(at.into()), "{fields}");
        }
    }

    #[test]
    fn base64_is_told_by_every_byte_of_it() {
        for byte in 0..128 {
            let expected = byte == b'+' || byte == b'/' || byte == b'=' || byte.is_ascii_alphanumeric();
            for at in [0, 15, 16, 20] {
                let mut text = [b'A'; 21];
                text[at] = byte;
                assert_eq!(is_base64(std::str::from_utf8(&text).unwrap()), expected, "{byte} at {at}");
            }
        }
        assert!(!is_base64(""));
    }

    #[test]
    fn the_text_of_a_file_is_text() {
        assert_eq!(text_of("aMOp", "p").unwrap(), "hé");
        for bad in ["%", "/w==", "YQ"] {
            assert_eq!(text_of(bad, "p").unwrap_err().param.as_deref(), Some("p.file.file_data"), "{bad}");
        }
    }
}
