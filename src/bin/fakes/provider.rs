//! What the two fakes have in common: the seam between the HTTP side and a wire format.
//!
//! A fake reads a request into a [`Prompt`] or refuses it, and writes a [`Reply`] as one JSON or as
//! events. It does no I/O and does not know how its bytes travel.

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};

use crate::faults::Faults;
use crate::prompt::{Prompt, Reply};
use crate::strict::Refusal;

pub trait Fake: Sync {
    fn name(&self) -> &'static str;
    fn chat_path(&self) -> &'static str;
    /// The key that the tests know.
    fn default_key(&self) -> &'static str;
    fn check_headers(&self, headers: &HeaderMap, key: &str) -> Result<(), Refusal>;
    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<Prompt, Refusal>;
    /// `GET /v1/models`, where the provider's fake has it.
    fn models(&self) -> Option<String>;
    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String;
    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events;
    fn error(&self, refusal: &Refusal, request_id: &str) -> String;
    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event;
    fn ping(&self) -> Event;
    /// The provider's own failure for a status or a named error.
    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal;
    fn request_id(&self, seq: u64) -> String;
    /// The headers that every answer of the provider has, name and value.
    fn headers(&self) -> &'static [(&'static str, &'static str)];
    fn request_id_header(&self) -> &'static str;
}

pub type Events = Box<dyn Iterator<Item = Event> + Send>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Token,
    /// The first of what follows the tokens.
    Finish,
    Other,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub kind: Kind,
    /// The `event:` line, which only Anthropic writes.
    pub name: Option<&'static str>,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Line(String),
    /// Without the space after the colon, whatever the other events do.
    Glued(String),
    Comment(&'static str),
}

impl Event {
    pub fn new(kind: Kind, name: Option<&'static str>, data: String) -> Self {
        Self { kind, name, data: Data::Line(data) }
    }
}

/// What a request must not carry to this provider; `x-amz-*` stands for all that start so.
pub fn foreign_header<'a>(headers: &'a HeaderMap, foreign: &[&str]) -> Option<&'a str> {
    headers.keys().map(|name| name.as_str()).find(|name| {
        foreign.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
    })
}

/// What is wrong with the headers that frame the body, as (status, message).
pub fn framing_problem(headers: &HeaderMap, body: &[u8]) -> Option<(u16, String)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Some((415, format!("Unsupported content type '{media_type}': expected application/json")));
    }
    match text(CONTENT_LENGTH).map(str::parse::<usize>) {
        None => Some((411, "A request with a body must have a content-length".to_owned())),
        Some(Ok(length)) if length == body.len() => None,
        Some(length) => Some((400, format!("content-length is {length:?}, the body has {} bytes", body.len()))),
    }
}

pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(hyper::header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::{anthropic::Anthropic, openai::OpenAi};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn status(fake: &dyn Fake, pairs: &[(&'static str, &'static str)]) -> u16 {
        fake.check_headers(&headers(pairs), "key").map_or_else(|refusal| refusal.status, |()| 200)
    }

    #[test]
    fn credentials_are_the_providers_own_and_alone() {
        const BEARER: (&str, &str) = ("authorization", "Bearer key");
        const OWN: (&str, &str) = ("x-api-key", "key");
        let cases = [
            (&OpenAi as &dyn Fake, vec![BEARER], 200),
            (&OpenAi, vec![BEARER, ("user-agent", "x"), ("openai-beta", "y")], 200),
            (&OpenAi, vec![], 401),
            (&OpenAi, vec![("authorization", "Bearer other")], 401),
            (&OpenAi, vec![("authorization", "key")], 401),
            (&OpenAi, vec![OWN], 401),
            (&OpenAi, vec![BEARER, OWN], 400),
            (&OpenAi, vec![BEARER, ("anthropic-version", "x")], 400),
            (&OpenAi, vec![BEARER, ("x-envoy-attempt-count", "1")], 400),
            (&OpenAi, vec![BEARER, ("x-forwarded-for", "1")], 400),
            (&OpenAi, vec![BEARER, ("cookie", "1")], 400),
            (&Anthropic, vec![BEARER], 200),
            (&Anthropic, vec![OWN, ("anthropic-beta", "x")], 200),
            (&Anthropic, vec![], 401),
            (&Anthropic, vec![("x-api-key", "other")], 401),
            (&Anthropic, vec![BEARER, OWN], 400),
            (&Anthropic, vec![OWN, ("openai-organization", "x")], 400),
            (&Anthropic, vec![OWN, ("x-dragoman-route", "x")], 400),
        ];
        for (fake, pairs, expected) in cases {
            assert_eq!(status(fake, &pairs), expected, "{} {pairs:?}", fake.name());
        }
    }

    #[test]
    fn body_is_framed_by_its_length() {
        let json = ("content-type", "application/json; charset=utf-8");
        let cases = [
            (vec![json, ("content-length", "2")], None),
            (vec![json, ("transfer-encoding", "chunked")], Some(411)),
            (vec![json, ("content-length", "3")], Some(400)),
            (vec![("content-type", "text/plain"), ("content-length", "2")], Some(415)),
        ];
        for (pairs, expected) in cases {
            let problem = framing_problem(&headers(&pairs), b"{}");
            assert_eq!(problem.map(|(status, _)| status), expected, "{pairs:?}");
        }
    }

    #[test]
    fn failure_has_the_providers_words() {
        let cases = [
            (&OpenAi as &dyn Fake, Some(503), None, (503, "server_error")),
            (&OpenAi, None, Some("insufficient_quota"), (429, "insufficient_quota")),
            (&OpenAi, Some(418), None, (418, "invalid_request_error")),
            (&OpenAi, None, None, (500, "server_error")),
            (&Anthropic, Some(429), None, (429, "rate_limit_error")),
            (&Anthropic, Some(503), None, (503, "api_error")),
            (&Anthropic, None, Some("context_length_exceeded"), (400, "invalid_request_error")),
            (&Anthropic, None, Some("new_error"), (400, "new_error")),
            (&Anthropic, None, None, (529, "overloaded_error")),
        ];
        for (fake, status, error, (own, kind)) in cases {
            let failure = fake.failure(status, error);
            assert_eq!((failure.status, &*failure.kind), (own, kind), "{} {status:?} {error:?}", fake.name());
        }
    }
}
