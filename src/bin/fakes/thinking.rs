//! What a fake model thinks before it answers, and the opaque state that comes with it.
//!
//! Vendors hand out signatures, or the thoughts themselves, and want them back unchanged when a
//! conversation goes on. The fakes keep no sessions: what they hand out proves by itself that they made
//! it, so that a changed byte is seen on the way back. Nothing here knows a wire format.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::prompt::ECHO_CHARS;

/// Whether the model thinks before it answers. The reader of a request decides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Thinks {
    #[default]
    Never,
    /// If the user's text has the word for it.
    IfAsked,
    Always,
}

/// The word in the user's text.
pub const ASKED: &str = "think";

#[derive(Clone, Debug, PartialEq)]
pub struct Thinking {
    pub text: String,
    /// Base64, and with all that is special about it: `+`, `/` and padding.
    pub signature: String,
}

const SIGNATURE_HEAD: &str = "Eq+/Fake";
const SIGNATURE_TAIL: &str = "/w==";
const TEXT_HEAD: &str = "I think about ";
const SEAL: &str = " (seal ";

impl Thinking {
    pub fn about(user_text: &str, id: &str) -> Self {
        let end = user_text.char_indices().nth(ECHO_CHARS).map_or(user_text.len(), |(at, _)| at);
        let thought = format!("{TEXT_HEAD}\"{}\"; {id}.", user_text.get(..end).unwrap_or_default());
        let text = format!("{thought}{SEAL}{})", hash(&thought));
        let signature = signature(&hash(id), &hash(&text));
        Self { text, signature }
    }
}

fn signature(id: &str, text: &str) -> String {
    format!("{SIGNATURE_HEAD}{id}{text}{}{SIGNATURE_TAIL}", hash(&(id, text)))
}

/// Whether a signature is one that was handed out, and, where the text came back with it, for this text.
/// A text that the vendor left out is empty.
pub fn is_signed(text: Option<&str>, given: &str) -> bool {
    let inner = given.strip_prefix(SIGNATURE_HEAD).and_then(|rest| rest.strip_suffix(SIGNATURE_TAIL));
    let parts = inner.and_then(|inner| Some((inner.get(..16)?, inner.get(16..32)?)));
    parts.is_some_and(|(id, of_text)| {
        let right_text = text.is_none_or(|text| text.is_empty() || hash(&text) == of_text);
        right_text && signature(id, of_text) == given
    })
}

/// Whether thoughts that came back without a signature are whole. Those of somebody else are: no vendor
/// could tell.
pub fn is_unchanged(text: &str) -> bool {
    match text.rsplit_once(SEAL) {
        Some((thought, seal)) => seal == format!("{})", hash(&thought)),
        None => !text.starts_with(TEXT_HEAD),
    }
}

fn hash<T: Hash + ?Sized>(value: &T) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict::is_base64;

    #[test]
    fn changed_state_is_seen() {
        let Thinking { text, signature } = Thinking::about("please think", "00ff");
        assert!(is_base64(&signature), "{signature}");
        assert!(is_signed(Some(&text), &signature) && is_signed(None, &signature) && is_signed(Some(""), &signature));
        assert!(!is_signed(Some("other"), &signature));
        for at in 0..signature.len() {
            let mut changed = signature.clone().into_bytes();
            changed[at] ^= 1;
            assert!(!is_signed(None, &String::from_utf8(changed).unwrap()), "{at}");
        }
        assert!(!is_signed(None, "") && !is_signed(None, &signature[1..]));
        assert!(is_unchanged(&text) && is_unchanged("somebody else's") && is_unchanged(" "));
        assert!(!is_unchanged(&text[..20]) && !is_unchanged(&text.replace("please", "Please")));
    }
}
