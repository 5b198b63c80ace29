//! Citations: what an answer says its words rest on.
//!
//! A citation of a page on the web becomes one of OpenAI's annotations; those of documents and search results, which
//! OpenAI has none for, come under their own name, as they are.

use std::borrow::Cow;

use crate::json::{RawValue, Str, Writer};
use crate::provider::tolerant::{Fields, Maybe, wire};

/// An answer rests on dozens of sources at most; what a stream can make us hold is bounded by this.
const MOST_BYTES: usize = 256 << 10;

/// Collects the citations of one answer.
#[derive(Default)]
pub struct Citations {
    /// Elements of JSON lists.
    annotations: Vec<u8>,
    others: Vec<u8>,
}

wire! {
    struct Wire<'a> {
        title: Option<&'a RawValue>,
        location: Maybe<Location<'a>>,
    }

    struct Location<'a> {
        web: Maybe<Web<'a>>,
    }

    struct Web<'a> {
        url: Option<&'a RawValue>,
    }
}

impl Citations {
    /// Takes a citation of the text between two places of the answer, which are counted in characters.
    pub fn add(&mut self, citation: &RawValue, from: usize, to: usize) {
        let Ok(wire) = Wire::of(citation) else { return };
        let held = self.annotations.len() + self.others.len();
        if held + citation.get().len() > MOST_BYTES {
            return;
        }
        let url = wire.location.0.and_then(|location| location.web.0).and_then(|web| web.url).and_then(Str::new);
        let Some(url) = url else {
            separate(&mut self.others);
            self.others.extend_from_slice(citation.get().as_bytes());
            return;
        };
        let mut w = Writer::default();
        w.begin_object().key("type").string("url_citation").key("url_citation").begin_object();
        w.key("start_index").number(from as u64).key("end_index").number(to as u64);
        // OpenAI's SDKs expect a title.
        w.key("title").str(wire.title.and_then(Str::new).unwrap_or(url)).key("url").str(url);
        w.end_object().end_object();
        separate(&mut self.annotations);
        self.annotations.extend_from_slice(&w.into_bytes());
    }

    /// Further fields of the message.
    pub fn into_extra<'a>(self) -> impl Iterator<Item = (&'static str, Cow<'a, str>)> {
        let lists = [("annotations", self.annotations), ("citations", self.others)];
        lists.into_iter().filter_map(|(name, elements)| {
            let elements = String::from_utf8(elements).ok().filter(|elements| !elements.is_empty())?;
            Some((name, Cow::Owned(format!("[{elements}]"))))
        })
    }
}

fn separate(elements: &mut Vec<u8>) {
    if !elements.is_empty() {
        elements.push(b',');
    }
}

/// How many characters a text has.
pub fn characters(text: Str<'_>) -> usize {
    text.decode().chars().count()
}
