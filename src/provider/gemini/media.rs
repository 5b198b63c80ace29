//! Images, sound, films and documents: data URLs, and addresses that the API fetches itself.
//!
//! Data is spliced as it came: it is megabytes.

use super::Surface;
use crate::json::{Str, Writer};

/// What a part of a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Image,
    Film,
    /// Documents and sound, too: whatever the API reads.
    File,
}

/// Types by the ends of names, for addresses: nothing else says what is there.
const TYPES: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("csv", "text/csv"),
    ("xml", "text/xml"),
    ("json", "application/json"),
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

/// Writes the part's payload field for an address or a data URL. The error is for the client.
pub fn write(w: &mut Writer, url: Str<'_>, sort: Sort, named: Option<&str>, surface: Surface) -> Result<(), String> {
    // Borrowed unless the client escapes its slashes, as PHP does.
    let text = url.decode();
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") {
        let (kind, data) = data_url(rest, sort)?;
        inline(w, &kind, data);
        return Ok(());
    }
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    // ai.google.dev, file input methods; Vertex AI, image understanding.
    let (fetches, expected) = match surface {
        Surface::Studio => (is("https"), "an https address"),
        Surface::Vertex => (is("https") || is("http") || is("gs"), "an http, https or gs address"),
    };
    if !fetches {
        return Err(format!("With this model a file must be given by {expected} or as a data URL."));
    }
    let kind = match (named.or_else(|| type_of_name(&text)), surface, sort) {
        (None, Surface::Studio, _) => None,
        // There the type is required; what an image or a film really is, its bytes say.
        (None, Surface::Vertex, Sort::Image) => Some("image/jpeg"),
        (None, Surface::Vertex, Sort::Film) => Some("video/mp4"),
        (None, Surface::Vertex, Sort::File) => {
            return Err("With this model the type of a file must be told by its name.".to_owned());
        }
        (kind, ..) => kind,
    };
    reference(w, &text, kind);
    Ok(())
}

/// Bytes within the request.
pub fn inline(w: &mut Writer, kind: &str, data: &str) {
    w.key("inlineData").begin_object().key("mimeType").string(kind);
    w.key("data").escaped(&[data]).end_object();
}

/// Bytes elsewhere.
pub fn reference(w: &mut Writer, uri: &str, kind: Option<&str>) {
    w.key("fileData").begin_object();
    if let Some(kind) = kind {
        w.key("mimeType").string(kind);
    }
    w.key("fileUri").string(uri).end_object();
}

/// Media type and base64 text of a data URL (RFC 2397), without its scheme.
fn data_url(url: &str, sort: Sort) -> Result<(String, &str), String> {
    let malformed = || "The data URL is malformed: 'data:TYPE;base64,...' is expected.".to_owned();
    let (head, data) = url.split_once(',').ok_or_else(malformed)?;
    let (head, encoding) = head.rsplit_once(';').ok_or_else(malformed)?;
    if !encoding.eq_ignore_ascii_case("base64") || !is_base64(data) {
        return Err(malformed());
    }
    let kind = head.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let kind = match kind.as_str() {
        "image/jpg" => "image/jpeg".to_owned(),
        // Told by the file's first bytes.
        "" | "application/octet-stream" => match data {
            data if data.starts_with("/9j/") => "image/jpeg".to_owned(),
            data if data.starts_with("iVBORw0KGgo") => "image/png".to_owned(),
            data if data.starts_with("UklGR") => "image/webp".to_owned(),
            data if data.starts_with("JVBERi") => "application/pdf".to_owned(),
            _ => kind,
        },
        _ => kind,
    };
    let is_image = matches!(kind.as_str(), "image/jpeg" | "image/png" | "image/webp" | "image/heic" | "image/heif");
    let is_read = ["text/", "audio/", "video/"].iter().any(|group| kind.starts_with(group))
        || matches!(kind.as_str(), "application/pdf" | "application/json");
    match sort {
        _ if is_image => Ok((kind, data)),
        Sort::Image => {
            Err("Images must be of the type image/jpeg, image/png, image/webp, image/heic or image/heif.".to_owned())
        }
        Sort::File | Sort::Film if is_read => Ok((kind, data)),
        Sort::File | Sort::Film => Err("With this model files must be PDFs, texts, images, sound or films.".to_owned()),
    }
}

/// Whether the alphabet is right, which is what makes the text safe to splice. Without an early end, so
/// that the compiler can look at many bytes at once.
pub fn is_base64(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/') | (byte == b'=');
    !text.is_empty() && text.bytes().fold(true, |all, byte| all & fits(byte))
}

/// The type that a name's end stands for; of an address, its path's.
pub fn type_of_name(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let (_, end) = path.rsplit('/').next()?.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(end)).map(|(_, kind)| *kind)
}
