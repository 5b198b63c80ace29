//! Images, sound, films and documents as parts: data in the request, and addresses that the API fetches
//! itself.

use super::Surface;
use crate::json::{Str, Writer};
use crate::provider::media::{DataUrl, type_of_name};

/// What a part of a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Image,
    Film,
    /// Documents and sound, too: whatever the API reads.
    File,
}

/// Writes the part's payload field for an address or a data URL. `named` is the file's name, if it has
/// one. The error is for the client.
pub fn write(w: &mut Writer, url: Str<'_>, sort: Sort, named: Option<&str>, surface: Surface) -> Result<(), String> {
    // Borrowed unless the client escapes its slashes, as PHP does.
    let text = url.decode();
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") {
        let data = DataUrl::parse(rest).ok_or("The data URL is malformed: 'data:TYPE;base64,...' is expected.")?;
        let kind = data.image_type().map_or_else(|| data.media_type.clone(), str::to_owned);
        return inline(w, &kind, data.data, sort);
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
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let kind = named.and_then(type_of_name).or_else(|| type_of_name(path));
    let kind = match (kind, surface, sort) {
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

/// Bytes within the request: base64, which is spliced as it came, because it is megabytes.
pub fn inline(w: &mut Writer, kind: &str, data: &str, sort: Sort) -> Result<(), String> {
    // GIFs are not among them (ai.google.dev, image understanding).
    let is_image = matches!(kind, "image/jpeg" | "image/png" | "image/webp" | "image/heic" | "image/heif");
    let is_read = ["text/", "audio/", "video/"].iter().any(|group| kind.starts_with(group))
        || matches!(kind, "application/pdf" | "application/json");
    match sort {
        Sort::Image if !is_image => {
            Err("Images must be of the type image/jpeg, image/png, image/webp, image/heic or image/heif.".to_owned())
        }
        Sort::File | Sort::Film if !is_image && !is_read => {
            Err("With this model files must be PDFs, texts, images, sound or films.".to_owned())
        }
        _ => {
            w.key("inlineData").begin_object().key("mimeType").string(kind);
            w.key("data").escaped(&[data]).end_object();
            Ok(())
        }
    }
}

/// Bytes elsewhere.
pub fn reference(w: &mut Writer, uri: &str, kind: Option<&str>) {
    w.key("fileData").begin_object();
    if let Some(kind) = kind {
        w.key("mimeType").string(kind);
    }
    w.key("fileUri").string(uri).end_object();
}
