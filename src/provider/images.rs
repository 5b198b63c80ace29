//! Pictures that a model has made, as clients are given them: OpenAI's API has none in an answer, so they stand
//! where OpenRouter and LiteLLM have them, in `images` beside the content.
//!
//! An item of a list that is streamed has its index, by which clients add up what they read.

use std::borrow::Cow;

use crate::json::{Object, RawValue, Str, Writer};

/// The field of a message, and of a delta.
const IMAGES: &str = "images";

/// The pictures of one choice, in their order.
#[derive(Debug, Default)]
pub struct Images {
    items: Vec<String>,
    told: u64,
}

impl Images {
    /// One of base64 data, both texts still escaped.
    pub fn push(&mut self, media_type: &[&str], data: &str) {
        let url: Vec<&str> =
            ["data:"].into_iter().chain(media_type.iter().copied()).chain([";base64,", data]).collect();
        self.push_url(&url);
    }

    /// One at an address, escaped.
    pub fn push_url(&mut self, url: &[&str]) {
        let mut w = Writer::with_capacity(url.iter().map(|part| part.len()).sum::<usize>() + 64);
        w.begin_object().key("index").number(self.told).key("type").string("image_url");
        w.key("image_url").begin_object().key("url").escaped(url).end_object().end_object();
        self.told = self.told.saturating_add(1);
        // What it is made of is UTF-8.
        self.items.extend(String::from_utf8(w.into_bytes()).ok());
    }

    /// Those that have not been taken yet, as a field of a message or a delta.
    pub fn take(&mut self) -> Option<(&'static str, Cow<'static, str>)> {
        let items = std::mem::take(&mut self.items);
        (!items.is_empty()).then(|| (IMAGES, format!("[{}]", items.join(",")).into()))
    }
}

/// The text of a field of an object, if it is one.
pub fn text_in<'a>(object: &'a RawValue, name: &str) -> Option<Str<'a>> {
    let fields = Object::of(object)?;
    fields.get(name).and_then(Str::new).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_once_is_not_told_again_and_counted_on() {
        let mut images = Images::default();
        assert_eq!(images.take(), None);
        images.push(&["image/", "png"], "AAAA");
        images.push_url(&["s3://b/o"]);
        let told = r#"[{"index":0,"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"index":1,"type":"image_url","image_url":{"url":"s3://b/o"}}]"#;
        assert_eq!(images.take(), Some(("images", told.into())));
        images.push(&["image/gif"], "R0lG");
        assert!(images.take().unwrap().1.contains("\"index\":2"));
    }
}
