//! What a request's messages carry beside texts: images, audio, files.

use std::ops::Range;

use crate::json::{Cursor, RawValue};

/// A part of a message that is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub kind: Kind,
    /// Where it lies in `messages`.
    pub place: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ImageData,
    ImageUrl,
    Audio,
    Pdf,
    File,
}

/// Every attachment of the messages, found in one pass that steps over texts and data.
pub fn of(messages: &RawValue) -> Vec<Attachment> {
    let mut found = Vec::new();
    let mut json = Cursor::new(messages);
    if json.enter(b'[') {
        while json.has_next() {
            if json.enter(b'{') {
                message(&mut json, &mut found);
            } else {
                json.value();
            }
        }
    }
    found
}

fn message(json: &mut Cursor<'_>, found: &mut Vec<Attachment>) {
    while let Some(key) = json.key() {
        if !key.is("content") || !json.enter(b'[') {
            json.value();
            continue;
        }
        while json.has_next() {
            let start = json.place();
            if !json.enter(b'{') {
                json.value();
                continue;
            }
            if let Some(kind) = part(json) {
                found.push(Attachment { kind, place: start..json.place() });
            }
        }
    }
}

fn part(json: &mut Cursor<'_>) -> Option<Kind> {
    let mut kind = None;
    let (mut is_data, mut is_pdf) = (false, false);
    while let Some(key) = json.key() {
        match key.escaped() {
            "type" => {
                kind = match json.value().map(RawValue::get) {
                    Some("\"image_url\"") => Some(Kind::ImageUrl),
                    Some("\"input_audio\"") => Some(Kind::Audio),
                    Some("\"file\"") => Some(Kind::File),
                    _ => None,
                };
                continue;
            }
            "image_url" | "file" if json.enter(b'{') => {
                while let Some(key) = json.key() {
                    match key.escaped() {
                        "url" => is_data |= json.begins_with("\"data:"),
                        "file_data" => is_pdf |= json.begins_with("\"data:application/pdf"),
                        _ => {}
                    }
                    let value = json.value();
                    is_pdf |= key.is("filename") && value.is_some_and(|name| name.get().ends_with(".pdf\""));
                }
            }
            _ => {
                json.value();
            }
        }
    }
    Some(match kind? {
        Kind::ImageUrl if is_data => Kind::ImageData,
        Kind::File if is_pdf => Kind::Pdf,
        kind => kind,
    })
}
