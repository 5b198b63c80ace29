//! What a request's messages carry beside texts: images, audio, files.

use std::ops::Range;

use crate::json::{Failure, Reader};

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

/// Takes the parts of a message, up to the end of their list, and adds what is attached. `start`: where the
/// list of messages begins.
pub fn find(json: &mut Reader<'_>, start: usize, found: &mut Vec<Attachment>) -> Result<(), Failure> {
    let mut is_first = true;
    while json.has_next(&mut is_first, b']')? {
        json.peek();
        let place = json.place();
        if !json.open(b'{') {
            json.value()?;
            continue;
        }
        if let Some(kind) = part(json)? {
            found.push(Attachment { kind, place: place - start..json.place() - start });
        }
    }
    Ok(())
}

fn part(json: &mut Reader<'_>) -> Result<Option<Kind>, Failure> {
    let mut kind = None;
    let (mut is_data, mut is_pdf) = (false, false);
    let mut is_first = true;
    while let Some(key) = json.next_key(&mut is_first)? {
        match key.escaped() {
            "type" => {
                kind = match json.value()?.get() {
                    "\"image_url\"" => Some(Kind::ImageUrl),
                    "\"input_audio\"" => Some(Kind::Audio),
                    "\"file\"" => Some(Kind::File),
                    _ => None,
                };
            }
            "image_url" | "file" if json.open(b'{') => {
                let mut is_first = true;
                while let Some(key) = json.next_key(&mut is_first)? {
                    let value = json.value()?.get();
                    match key.escaped() {
                        "url" => is_data |= begins_with(value, "\"data:"),
                        "file_data" => is_pdf |= begins_with(value, "\"data:application/pdf"),
                        "filename" => is_pdf |= value.to_ascii_lowercase().ends_with(".pdf\""),
                        _ => {}
                    }
                }
            }
            _ => {
                json.value()?;
            }
        }
    }
    Ok(kind.map(|kind| match kind {
        Kind::ImageUrl if is_data => Kind::ImageData,
        Kind::File if is_pdf => Kind::Pdf,
        kind => kind,
    }))
}

/// Addresses begin in letters of either case.
fn begins_with(value: &str, start: &str) -> bool {
    value.as_bytes().get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes()))
}
