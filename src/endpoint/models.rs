//! `GET /v1/models` and `/v1/models/{id}` (openai-python `types/model.py`): the names that a client
//! may use, which are the routes and models of the configuration.

use std::borrow::Cow;

use crate::config::Config;
use crate::error::ErrorReply;
use crate::json::Writer;

pub const PATH: &str = "/v1/models";

pub fn list(config: &Config) -> Vec<u8> {
    let mut w = Writer::default();
    w.begin_object().key("object").string("list").key("data").begin_array();
    for (name, owner) in names(config) {
        write(&mut w, name, owner);
    }
    w.end_array().end_object();
    w.into_bytes()
}

pub fn retrieve(config: &Config, id: &str) -> Result<Vec<u8>, ErrorReply> {
    let (name, owner) = names(config).find(|(name, _)| *name == id).ok_or_else(|| unknown(id))?;
    let mut w = Writer::default();
    write(&mut w, name, owner);
    Ok(w.into_bytes())
}

/// OpenAI's own answer to a model that is not there.
pub fn unknown(id: &str) -> ErrorReply {
    ErrorReply {
        status: 404,
        kind: "invalid_request_error".into(),
        code: Some("model_not_found".into()),
        param: Some("model".into()),
        message: format!("The model '{}' does not exist.", shortened(id)),
    }
}

/// Routes belong to the gateway, models to their provider.
fn names(config: &Config) -> impl Iterator<Item = (&str, &str)> {
    let routes = config.routes.iter().map(|route| (route.name.as_str(), "dragoman"));
    let models = config.models.iter().map(|model| {
        let provider = config.providers.get(model.provider);
        (model.name.as_str(), provider.map_or("dragoman", |provider| provider.name.as_str()))
    });
    routes.chain(models)
}

/// The configuration has no dates; the field is required, so it is the epoch.
fn write(w: &mut Writer, name: &str, owner: &str) {
    w.begin_object().key("id").string(name).key("object").string("model").key("created").number(0);
    w.key("owned_by").string(owner).end_object();
}

/// A model's name from a path: SDKs escape slashes.
pub fn decode_id(id: &str) -> Cow<'_, str> {
    if !id.contains('%') {
        return Cow::Borrowed(id);
    }
    let mut bytes = id.as_bytes().iter();
    let mut decoded = Vec::with_capacity(id.len());
    while let Some(&byte) = bytes.next() {
        let rest = bytes.as_slice();
        let escape = (byte == b'%').then(|| rest.get(..2)).flatten();
        let value = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match value {
            Some(value) => {
                decoded.push(value);
                bytes.nth(1);
            }
            None => decoded.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// A client's own words in a message to it, kept short.
fn shortened(id: &str) -> Cow<'_, str> {
    match id.char_indices().nth(128) {
        Some((end, _)) => Cow::Owned(format!("{}…", id.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unescaped_and_broken_escapes_stay() {
        for (id, expected) in [("a%2Fb", "a/b"), ("a%2", "a%2"), ("%zz%41", "%zzA"), ("%ff", "\u{fffd}"), ("%", "%")] {
            assert_eq!(decode_id(id), expected);
        }
    }
}
