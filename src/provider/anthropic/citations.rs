//! Citations: what of an answer is taken from where.
//!
//! Those of pages on the web become OpenAI's `annotations`; all of them stand, as Anthropic writes them, in
//! `citations`, an extension. A stream tells them once, at its end: clients add up what comes in pieces.

use std::borrow::Cow;

use crate::json::{self, Object, RawValue, Str, Writer};

/// Far more than anybody reads; what a provider can make us hold is bounded by it.
const MOST: usize = 256 << 10;

#[derive(Default)]
pub struct Citations {
    /// As Anthropic writes them, behind each other.
    citations: String,
    /// The pages, as OpenAI writes them.
    pages: Vec<Page>,
    /// How many characters of text there were so far.
    characters: usize,
    /// Where the block began that is being read.
    block_start: usize,
}

struct Page {
    url: String,
    title: String,
    start: usize,
    /// Known when the block that it belongs to has ended.
    end: Option<usize>,
}

impl Citations {
    pub fn begin_block(&mut self) {
        self.end_block();
        self.block_start = self.characters;
    }

    pub fn text(&mut self, text: Str<'_>) {
        self.characters = self.characters.saturating_add(text.decode().chars().count());
    }

    /// A citation for the whole of the text block that is being read.
    pub fn add(&mut self, citation: &RawValue) {
        let Some(fields) = Object::of(citation) else { return };
        if self.citations.len().saturating_add(citation.get().len()) > MOST {
            return;
        }
        if !self.citations.is_empty() {
            self.citations.push(',');
        }
        self.citations.push_str(citation.get());
        // Search results that a client has sent name their source, which may be an address.
        let url = fields.get("url").or_else(|| fields.get("source")).and_then(Str::new);
        let is_page = |url: &Str<'_>| {
            let url = url.decode();
            url.starts_with("https://") || url.starts_with("http://")
        };
        if let Some(url) = url.filter(is_page) {
            let title = fields.get("title").and_then(Str::new).unwrap_or(url);
            let (url, title) = (url.raw().to_owned(), title.raw().to_owned());
            self.pages.push(Page { url, title, start: self.block_start, end: None });
        }
    }

    pub fn end_block(&mut self) {
        for page in self.pages.iter_mut().rev().take_while(|page| page.end.is_none()) {
            page.end = Some(self.characters);
        }
    }

    /// The fields for the message, and their JSON.
    pub fn extra<'a>(&mut self) -> Vec<(&'static str, Cow<'a, str>)> {
        self.end_block();
        let mut extra = Vec::new();
        if !self.pages.is_empty() {
            let mut w = Writer::default();
            w.begin_array();
            for page in &self.pages {
                w.begin_object().key("type").string("url_citation").key("url_citation").begin_object();
                w.key("start_index").number(page.start as u64);
                w.key("end_index").number(page.end.unwrap_or(self.characters) as u64);
                w.key("title").raw(&page.title).key("url").raw(&page.url).end_object().end_object();
            }
            w.end_array();
            extra.extend(String::from_utf8(w.into_bytes()).ok().map(|json| ("annotations", json.into())));
        }
        if !self.citations.is_empty() {
            extra.push(("citations", format!("[{}]", self.citations).into()));
        }
        extra
    }

    /// The citations of a whole block.
    pub fn whole_block(&mut self, text: Str<'_>, citations: Option<&RawValue>) {
        self.begin_block();
        self.text(text);
        for citation in citations.and_then(json::elements).unwrap_or_default() {
            self.add(citation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn str(text: &'static str) -> Str<'static> {
        Str::parse(text).unwrap()
    }

    #[test]
    fn a_page_is_cited_for_the_characters_of_its_block() {
        let mut citations = Citations::default();
        citations.whole_block(str(r#""é\n""#), None);
        let list = r#"[{"type":"web_search_result_location","url":"https://a/","title":"A","cited_text":"x"},
            {"type":"char_location","cited_text":"y","document_index":0}, 7]"#;
        citations.whole_block(str(r#""abc""#), json::parse_str(list).ok());
        citations.whole_block(str(r#""d""#), None);
        let extra = citations.extra();
        let annotation = concat!(
            r#"[{"type":"url_citation","url_citation":{"start_index":2,"end_index":5,"#,
            r#""title":"A","url":"https://a/"}}]"#
        );
        assert_eq!((extra[0].0, extra[0].1.as_ref()), ("annotations", annotation));
        assert_eq!(extra[1].0, "citations");
        assert_eq!(json::elements(json::parse_str(&extra[1].1).unwrap()).unwrap().len(), 2);
        assert!(Citations::default().extra().is_empty());
    }
}
