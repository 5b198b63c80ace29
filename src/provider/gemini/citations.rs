//! Where an answer comes from: grounding and citations as OpenAI's `annotations`, and as they came.
//!
//! Gemini counts bytes of the text, OpenAI characters.

use std::borrow::Cow;

use super::response::{is_told, text};
use crate::json::{self, RawValue, Str, Writer};
use crate::provider::tolerant::{self, Fields, List, Maybe, wire};

/// Where the characters of a text begin, for which it need not be kept: runs of characters that are
/// longer than a byte.
#[derive(Default)]
pub struct Offsets {
    bytes: usize,
    wide: Vec<Run>,
    /// Where parts begin, if that is known.
    parts: Vec<usize>,
    /// There were too many runs to remember.
    lost: bool,
}

struct Run {
    start: usize,
    width: usize,
    count: usize,
}

/// A text of this many runs is longer than any answer; what a stream can make us remember is bounded by it.
const MOST_RUNS: usize = 1 << 14;

impl Offsets {
    /// A part of the answer begins, whatever is in it.
    pub fn begin_part(&mut self) {
        self.parts.push(self.bytes);
    }

    pub fn add(&mut self, text: &str) {
        if text.is_ascii() {
            self.bytes += text.len();
            return;
        }
        for char in text.chars() {
            let width = char.len_utf8();
            if width > 1 {
                let runs = self.wide.len();
                match self.wide.last_mut() {
                    Some(run) if run.width == width && run.start + run.width * run.count == self.bytes => {
                        run.count += 1
                    }
                    _ if runs == MOST_RUNS => self.lost = true,
                    _ => self.wide.push(Run { start: self.bytes, width, count: 1 }),
                }
            }
            self.bytes += width;
        }
    }

    /// The number of the character at a byte; of the one that it is a part of.
    fn character(&self, byte: usize) -> Option<usize> {
        if self.lost || byte > self.bytes {
            return None;
        }
        let mut character = byte;
        for run in self.wide.iter().take_while(|run| run.start < byte) {
            let within = (byte - run.start).min(run.width * run.count);
            character -= within - within.div_ceil(run.width);
            if !within.is_multiple_of(run.width) {
                character -= 1;
            }
        }
        Some(character)
    }
}

/// The further fields of a message: `annotations`, and what they were made of.
pub fn extra<'a>(
    grounding: Option<&'a RawValue>,
    citations: Option<&'a RawValue>,
    offsets: &Offsets,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let mut extra = Vec::new();
    if let Some(annotations) = annotations(grounding, citations, offsets) {
        extra.push(("annotations", Cow::Owned(annotations)));
    }
    for (name, value) in [("grounding_metadata", grounding), ("citation_metadata", citations)] {
        extra.extend(value.filter(|value| is_told(value)).map(|value| (name, value.get().into())));
    }
    extra
}

wire! {
    struct Grounding<'a> {
        chunks = "groundingChunks": List<Chunk<'a>>,
        supports = "groundingSupports": List<Support<'a>>,
    }

    struct Chunk<'a> {
        web: Maybe<Source<'a>>,
        retrieved = "retrievedContext": Maybe<Source<'a>>,
        maps: Maybe<Source<'a>>,
    }

    struct Support<'a> {
        segment: Maybe<Place<'a>>,
        chunks = "groundingChunkIndices": Option<&'a RawValue>,
    }

    struct Citations<'a> {
        citations: List<Citation<'a>>,
        /// Its older name.
        sources = "citationSources": List<Citation<'a>>,
    }

    struct Citation<'a> {
        start = "startIndex": Option<&'a RawValue>,
        end = "endIndex": Option<&'a RawValue>,
        uri: Option<&'a RawValue>,
        title: Option<&'a RawValue>,
    }

    struct Source<'a> {
        uri: Option<&'a RawValue>,
        title: Option<&'a RawValue>,
    }

    /// Within a part.
    struct Place<'a> {
        part = "partIndex": Option<&'a RawValue>,
        start = "startIndex": Option<&'a RawValue>,
        end = "endIndex": Option<&'a RawValue>,
    }
}

/// OpenAI's `url_citation`s; `None` if there are none.
fn annotations(grounding: Option<&RawValue>, citations: Option<&RawValue>, offsets: &Offsets) -> Option<String> {
    let mut w = Writer::default();
    let mut count = 0;
    w.begin_array();
    let grounding: Grounding<'_> = read(grounding);
    for (_, support) in grounding.supports.into_placed() {
        let Some(place) = support.segment.0 else { continue };
        let chunks = support.chunks.and_then(json::elements).unwrap_or_default();
        for chunk in chunks.into_iter().filter_map(tolerant::index) {
            let chunk = grounding.chunks.items.get(chunk as usize).and_then(Option::as_ref);
            let Some(chunk) = chunk else { continue };
            let source = [&chunk.web, &chunk.retrieved, &chunk.maps].into_iter().find_map(|source| source.0.as_ref());
            count += usize::from(source.is_some_and(|source| annotate(&mut w, &place, source, offsets)));
        }
    }
    let citations: Citations<'_> = read(citations);
    for (_, citation) in citations.citations.into_placed().chain(citations.sources.into_placed()) {
        let Citation { start, end, uri, title } = citation;
        count += usize::from(annotate(&mut w, &Place { part: None, start, end }, &Source { uri, title }, offsets));
    }
    w.end_array();
    String::from_utf8(w.into_bytes()).ok().filter(|_| count > 0)
}

fn read<'a, T: Fields<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value.and_then(|value| T::of(value).ok()).unwrap_or_default()
}

fn annotate(w: &mut Writer, place: &Place<'_>, source: &Source<'_>, offsets: &Offsets) -> bool {
    // Protobuf leaves out zeros.
    let number = |value: Option<&RawValue>| usize::try_from(value.map_or(Some(0), tolerant::count)?).ok();
    let part = number(place.part).and_then(|part| offsets.parts.get(part)).copied().unwrap_or_default();
    let at = |byte| offsets.character(number(byte)?.checked_add(part)?);
    let (Some(url), Some(start), Some(end)) = (text(source.uri), at(place.start), at(place.end)) else { return false };
    w.begin_object().key("type").string("url_citation").key("url_citation").begin_object();
    w.key("start_index").number(start as u64).key("end_index").number(end as u64);
    w.key("title").str(text(source.title).unwrap_or(Str::EMPTY)).key("url").str(url).end_object().end_object();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_as_characters_however_the_text_is_cut() {
        let text = "aü你好b😀é.";
        for piece in 1..=3 {
            let mut offsets = Offsets::default();
            let chars: Vec<char> = text.chars().collect();
            for piece in chars.chunks(piece) {
                offsets.add(&piece.iter().collect::<String>());
            }
            for (number, (byte, char)) in text.char_indices().enumerate() {
                for within in 0..char.len_utf8() {
                    assert_eq!(offsets.character(byte + within), Some(number), "{byte} {within}");
                }
            }
            assert_eq!(offsets.character(text.len()), Some(8));
            assert_eq!(offsets.character(text.len() + 1), None);
        }
    }

    #[test]
    fn supports_and_citations_become_annotations() {
        let raw = |text: &'static str| json::parse_str(text).unwrap();
        let mut offsets = Offsets::default();
        offsets.add("Zürich ist schön.");
        let grounding = raw(
            r#"{"groundingChunks":[{"web":{"uri":"https://a/","title":"A"}},7,{"retrievedContext":{"uri":"gs://b"}}],
            "groundingSupports":[{"segment":{"endIndex":7,"text":"x"},"groundingChunkIndices":[0,1,2,9]},
            {"segment":{"startIndex":0,"endIndex":99},"groundingChunkIndices":[0]},{"groundingChunkIndices":[0]}]}"#,
        );
        let citations =
            raw(r#"{"citationSources":[{"startIndex":8,"endIndex":11,"uri":"https://c/","license":"x"},{}]}"#);
        let extra = extra(Some(grounding), Some(citations), &offsets);
        let within = raw(
            r#"{"groundingChunks":[{"web":{"uri":"u"}}],"groundingSupports":[{"segment":{"partIndex":1,"startIndex":1,
            "endIndex":3},"groundingChunkIndices":[0]}]}"#,
        );
        let mut parts = Offsets::default();
        for part in ["Zürich. ", "Oslo."] {
            parts.begin_part();
            parts.add(part);
        }
        let annotated = super::annotations(Some(within), None, &parts).unwrap();
        assert!(annotated.contains(r#""start_index":9,"end_index":11"#), "{annotated}");
        let cited = |start: u32, end: u32, title: &str, url: &str| {
            format!(
                r#"{{"type":"url_citation","url_citation":{{"start_index":{start},"end_index":{end},"title":"{title}","url":"{url}"}}}}"#
            )
        };
        let expected =
            [cited(0, 6, "A", "https://a/"), cited(0, 6, "", "gs://b"), cited(7, 10, "", "https://c/")].join(",");
        assert_eq!(extra[0], ("annotations", Cow::Owned(format!("[{expected}]"))));
        assert_eq!(
            extra.iter().map(|(name, _)| *name).collect::<Vec<_>>()[1..],
            ["grounding_metadata", "citation_metadata"]
        );
        let nothing = raw("{}");
        assert!(super::extra(Some(nothing), Some(raw("[1]")), &offsets).iter().all(|(name, _)| *name != "annotations"));
    }
}
