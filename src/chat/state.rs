//! Opaque state that a provider wants back with the next turn, in the id of a tool call.
//!
//! Thinking signatures and the like have to be echoed, and a stock OpenAI client drops every field of a
//! message that it does not know; the ids of tool calls it repeats verbatim. So the state rides on the
//! id: `ID__dgm_TAG_PAYLOAD`, the payload in base64url. Nothing is stored anywhere. Whoever sends an
//! id to a provider sends it without the state, which is nobody's business but its tag's owner.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::{self, Str};
use crate::needle::Needle;

/// Made of characters that ids have everywhere, so that no client refuses or escapes it.
const MARK: &str = "__dgm_";

/// Longer state is not carried, and the next turn goes without: an id is repeated in every
/// request of a conversation, and the thinking of a turn with tools is rarely a tenth of this.
pub const MAX_PAYLOAD: usize = 256 << 10;

/// State as it comes from a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<'a> {
    /// Whose it is: lower-case letters and digits. Only the translator that wrote it reads it again.
    pub tag: &'static str,
    pub payload: Cow<'a, str>,
}

impl State<'_> {
    /// The id as the client is given it.
    pub fn attach(&self, id: &str) -> String {
        if self.payload.is_empty() || self.payload.len() > MAX_PAYLOAD {
            return id.to_owned();
        }
        format!("{id}{MARK}{}_{}", self.tag, URL_SAFE_NO_PAD.encode(self.payload.as_bytes()))
    }
}

/// Texts of an answer that go into a state, still escaped. What a stream can make us hold is bounded: of
/// what no id could carry nothing is kept.
#[derive(Debug, Default)]
pub struct Collected {
    text: String,
    is_too_long: bool,
}

impl Collected {
    pub fn push(&mut self, text: Str<'_>) {
        self.is_too_long |= self.text.len() + text.escaped().len() > MAX_PAYLOAD;
        if self.is_too_long {
            self.text = String::new();
        } else {
            self.text.push_str(text.escaped());
        }
    }

    /// All of it, if there is any.
    pub fn take(&mut self) -> Option<String> {
        Some(std::mem::take(&mut self.text)).filter(|text| !text.is_empty())
    }
}

/// Whether any id in this text may carry state: cheap, for bodies that are not read otherwise.
pub fn is_in(body: &[u8]) -> bool {
    static NEEDLE: Needle = Needle::new(MARK);
    NEEDLE.is_in(body)
}

/// The id as a provider may see it.
pub fn plain<'a>(id: Str<'a>) -> Cow<'a, str> {
    match id.decode() {
        Cow::Borrowed(id) => Cow::Borrowed(split(id).map_or(id, |(id, _)| id)),
        Cow::Owned(id) => Cow::Owned(split(&id).map_or(id.as_str(), |(id, _)| id).to_owned()),
    }
}

/// The plain id as JSON; `None` if that is what it is already.
pub fn plain_json(id: Str<'_>) -> Option<String> {
    let id = id.decode();
    split(&id).map(|(plain, _)| json::escape(plain))
}

/// The state with this tag that an id carries. What a client has changed so that it cannot be read is none.
pub fn carried(id: Str<'_>, tag: &str) -> Option<String> {
    let id = id.decode();
    let payload = split(&id)?.1.strip_prefix(tag)?.strip_prefix('_')?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// The last mark counts: the payload has none by chance that matters, and a provider's id may.
fn split(id: &str) -> Option<(&str, &str)> {
    id.rsplit_once(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::RawValue;

    fn with<T>(id: &str, mut read: impl FnMut(Str<'_>) -> T) -> T {
        let text = json::escape(id);
        let raw: &RawValue = crate::json::parse_str(&text).unwrap();
        read(Str::new(raw).unwrap())
    }

    #[test]
    fn state_comes_back_from_the_id_and_leaves_it_plain() {
        let state = State { tag: "a", payload: "[{\"thinking\":\"hm ü\"}]".into() };
        let id = state.attach("toolu_1");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
        assert_eq!(with(&id, |id| plain(id).into_owned()), "toolu_1");
        assert_eq!(with(&id, plain_json).as_deref(), Some("\"toolu_1\""));
        assert_eq!(with(&id, |id| carried(id, "a")).as_deref(), Some(&*state.payload));
        assert_eq!(with(&id, |id| carried(id, "g")), None);
        assert!(is_in(id.as_bytes()));
    }

    #[test]
    fn what_is_too_long_for_an_id_is_not_collected_in_part() {
        let long = "x".repeat(MAX_PAYLOAD);
        let mut collected = Collected::default();
        with(&long, |text| collected.push(text));
        assert_eq!(collected.take().map(|text| text.len()), Some(MAX_PAYLOAD));
        with(&long, |text| collected.push(text));
        for _ in 0..2 {
            with("y", |text| collected.push(text));
        }
        assert_eq!(collected.take(), None);
    }

    #[test]
    fn what_carries_nothing_is_as_it_was() {
        assert_eq!(with("call_1", |id| plain(id).into_owned()), "call_1");
        assert_eq!(with("call_1", plain_json), None);
        assert_eq!(with("x__dgm_a_%%%", |id| carried(id, "a")), None);
        assert_eq!(State { tag: "a", payload: "".into() }.attach("x"), "x");
        assert_eq!(State { tag: "a", payload: "x".repeat(MAX_PAYLOAD + 1).into() }.attach("x"), "x");
    }
}
