//! What all fakes have in common: the seam between the HTTP side and a wire format.
//!
//! A fake reads a request into a [`Prompt`] or refuses it, and writes a [`Reply`] as one JSON or as
//! events. It does no I/O and does not know how its bytes travel.

use std::borrow::Cow;

use hyper::Method;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

use crate::faults::{Faults, Row, Vocabulary};
use crate::prompt::{Prompt, Reply};
use crate::strict::Refusal;
use crate::target::{Received, Target};

pub trait Fake: Sync {
    fn name(&self) -> &'static str;
    /// What it is called in gateway.yaml.
    fn kind(&self) -> &'static str {
        self.name()
    }
    /// The wire format, by the name of the fake that shows it.
    fn format(&self) -> &'static str {
        self.name()
    }
    /// What the provider's `url` in gateway.yaml has behind the address.
    fn base_path(&self) -> &'static str;
    /// A model that it has.
    fn model(&self) -> &'static str;
    /// What else gateway.yaml says of such a provider, and of such a model.
    fn provider_settings(&self) -> Value {
        json!({})
    }
    fn model_settings(&self) -> Value {
        json!({})
    }
    /// What it wants back of its thoughts when the conversation goes on.
    fn state(&self) -> State {
        State::None
    }
    /// What its models lack, in the words of gateway.yaml for what models can do.
    fn lacks(&self) -> &'static [&'static str] {
        &[]
    }
    /// The key that the tests know.
    fn default_key(&self) -> &'static str;
    /// The faults of its own, beside those that every format has.
    fn faults(&self) -> &'static [&'static [Row]];

    /// What is asked for, or that there is nothing at the path ([`nothing_at`], [`not_allowed`]).
    fn route(&self, target: &Target) -> Result<Operation, Refusal>;
    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal>;
    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal>;

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String;
    /// In the framing that the prompt has.
    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events;
    fn error(&self, refusal: &Refusal, request_id: &str) -> String;
    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event;
    /// A sign of life that says nothing.
    fn ping(&self) -> Event;
    /// The provider's own failure for a status or a named error.
    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal;

    fn request_id(&self, seq: u64) -> String;
    fn request_id_header(&self) -> Option<&'static str>;
    /// The headers that every answer of the provider has, name and value.
    fn headers(&self) -> &'static [(&'static str, &'static str)];
    /// The headers that only an error has. The default is what most send on a 429.
    fn error_headers(&self, refusal: &Refusal) -> Vec<(&'static str, String)> {
        refusal.retry_after.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect()
    }
    /// The content-type of what is no stream.
    fn json_type(&self) -> &'static str {
        "application/json"
    }
}

impl dyn Fake {
    pub fn vocabulary(&self) -> Vocabulary {
        Vocabulary { provider: self.name(), own: self.faults() }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum State {
    None,
    /// The thoughts themselves.
    Text,
    Signature,
}

/// What a request is for.
pub enum Operation {
    Chat,
    /// Something that is the same for everybody, such as the list of models.
    Fixed(String),
}

pub fn nothing_at(fake: &dyn Fake, target: &Target) -> Refusal {
    let message = format!("Invalid URL ({} {})", target.method, target.path());
    Refusal { message, code: None, ..fake.failure(Some(404), None) }
}

pub fn not_allowed(fake: &dyn Fake, target: &Target) -> Refusal {
    let message = format!("Not allowed to {} on {}", target.method, target.path());
    Refusal { message, ..fake.failure(Some(405), None) }
}

/// Chat by POST, where `found` says that the path is the one for it.
pub fn chat_if(found: bool, fake: &dyn Fake, target: &Target) -> Result<Operation, Refusal> {
    match found {
        false => Err(nothing_at(fake, target)),
        true if target.method != Method::POST => Err(not_allowed(fake, target)),
        true => Ok(Operation::Chat),
    }
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
    /// The `event:` line of server-sent events; the type of an event or an exception of AWS.
    pub name: Option<Cow<'static, str>>,
    /// Lines that DashScope and watsonx write before the data.
    pub id: Option<u64>,
    pub comment: Option<&'static str>,
    /// No line has a space after its colon.
    pub glued: bool,
    pub data: Data,
}

#[allow(dead_code, reason = "the formats that need the rest are being added")]
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Line(String),
    /// Without the space after the colon, whatever the other events do.
    Glued(String),
    /// Where no comments are, whitespace or an event of that name.
    Comment(&'static str),
    /// An error in an event stream of AWS; elsewhere it is data.
    Exception(String),
}

impl Event {
    pub fn new(kind: Kind, name: Option<&'static str>, data: String) -> Self {
        Self { kind, name: name.map(Cow::Borrowed), id: None, comment: None, glued: false, data: Data::Line(data) }
    }

    pub fn comment(text: &'static str) -> Self {
        Self { data: Data::Comment(text), ..Self::new(Kind::Other, None, String::new()) }
    }
}

/// Credentials, and what a proxy adds about itself or its client. Whose they are is for a fake to say.
const NOT_FOR_ALL: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-*",
    "x-amz-*",
    "openai-*",
    "anthropic-*",
    "cookie",
    "x-envoy-*",
    "x-forwarded-*",
    "forwarded",
    "x-dragoman-*",
];

const CREDENTIALS: &[&str] = &["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// A header that must not reach this provider, or a credential that is there twice. `own` are those of
/// [`NOT_FOR_ALL`] that may; `x-amz-*` stands for all that start so.
pub fn foreign_header<'a>(headers: &'a HeaderMap, own: &[&str]) -> Option<&'a str> {
    let is = |name: &str, patterns: &[&str]| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
    };
    let twice = |name: &str| is(name, CREDENTIALS) && headers.get_all(name).iter().count() > 1;
    headers.keys().map(|name| name.as_str()).find(|name| is(name, NOT_FOR_ALL) && (!is(name, own) || twice(name)))
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
    use crate::anthropic::{Anthropic, Surface};
    use crate::openai::{Compatible, OPENAI};

    const OPEN_AI: Compatible = Compatible(&OPENAI);
    const ANTHROPIC: Anthropic = Anthropic(Surface::Anthropic);
    const VERTEX: Anthropic = Anthropic(Surface::Vertex);
    const BEDROCK: Anthropic = Anthropic(Surface::Bedrock);

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn status(fake: &dyn Fake, pairs: &[(&'static str, &'static str)]) -> u16 {
        let target = Target::new(&Method::POST, &hyper::Uri::from_static("/"));
        let request = Received { target: &target, headers: &headers(pairs), body: b"" };
        fake.check_credentials(&request, "key").map_or_else(|refusal| refusal.status, |()| 200)
    }

    #[test]
    fn credentials_are_the_providers_own_and_alone() {
        const BEARER: (&str, &str) = ("authorization", "Bearer key");
        const OWN: (&str, &str) = ("x-api-key", "key");
        let cases = [
            (&OPEN_AI as &dyn Fake, vec![BEARER], 200),
            (&OPEN_AI, vec![BEARER, ("user-agent", "x"), ("openai-beta", "y")], 200),
            (&OPEN_AI, vec![], 401),
            (&OPEN_AI, vec![("authorization", "Bearer other")], 401),
            (&OPEN_AI, vec![("authorization", "key")], 401),
            (&OPEN_AI, vec![OWN], 401),
            (&OPEN_AI, vec![BEARER, OWN], 400),
            (&OPEN_AI, vec![BEARER, ("anthropic-version", "x")], 400),
            (&OPEN_AI, vec![BEARER, ("x-envoy-attempt-count", "1")], 400),
            (&OPEN_AI, vec![BEARER, ("x-forwarded-for", "1")], 400),
            (&OPEN_AI, vec![BEARER, ("cookie", "1")], 400),
            (&ANTHROPIC, vec![BEARER], 200),
            (&ANTHROPIC, vec![OWN, ("anthropic-beta", "x")], 200),
            (&ANTHROPIC, vec![], 401),
            (&ANTHROPIC, vec![("x-api-key", "other")], 401),
            (&ANTHROPIC, vec![BEARER, OWN], 400),
            (&ANTHROPIC, vec![OWN, ("openai-organization", "x")], 400),
            (&ANTHROPIC, vec![OWN, ("x-dragoman-route", "x")], 400),
            (&VERTEX, vec![BEARER, ("anthropic-beta", "x")], 200),
            (&VERTEX, vec![OWN], 401),
            (&VERTEX, vec![BEARER, ("x-goog-api-key", "x")], 400),
            (&BEDROCK, vec![BEARER], 200),
            (&BEDROCK, vec![OWN], 403),
            (&BEDROCK, vec![BEARER, ("anthropic-beta", "x")], 400),
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
            (&OPEN_AI as &dyn Fake, Some(503), None, (503, "server_error")),
            (&OPEN_AI, None, Some("insufficient_quota"), (429, "insufficient_quota")),
            (&OPEN_AI, Some(418), None, (418, "invalid_request_error")),
            (&OPEN_AI, None, None, (500, "server_error")),
            (&ANTHROPIC, Some(429), None, (429, "rate_limit_error")),
            (&ANTHROPIC, Some(503), None, (503, "api_error")),
            (&ANTHROPIC, None, Some("context_length_exceeded"), (400, "invalid_request_error")),
            (&ANTHROPIC, None, Some("new_error"), (400, "new_error")),
            (&ANTHROPIC, None, None, (529, "overloaded_error")),
            (&VERTEX, Some(429), None, (429, "RESOURCE_EXHAUSTED")),
            (&VERTEX, None, Some("context_length_exceeded"), (400, "invalid_request_error")),
            (&BEDROCK, Some(429), None, (429, "ThrottlingException")),
            (&BEDROCK, Some(502), None, (502, "InternalServerException")),
            (&BEDROCK, None, None, (503, "ServiceUnavailableException")),
        ];
        for (fake, status, error, (own, kind)) in cases {
            let failure = fake.failure(status, error);
            assert_eq!((failure.status, &*failure.kind), (own, kind), "{} {status:?} {error:?}", fake.name());
        }
    }
}
