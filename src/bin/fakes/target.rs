//! What a request asks for: the method, the path and the query, with their escapes resolved.
//!
//! Some providers have the model and the verb in the path. Names with a `?` in them, as the fakes read
//! faults from, arrive there as `%3F`. Nothing here knows a provider.

use std::borrow::Cow;

use hyper::header::HeaderMap;
use hyper::{Method, Uri};

pub struct Target {
    pub method: Method,
    path: String,
    query: String,
    /// What HTTP/2 has in place of the header `host`.
    authority: Option<String>,
}

/// A request as a fake reads it.
pub struct Received<'a> {
    pub target: &'a Target,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Received<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn host(&self) -> Option<&str> {
        self.header("host").or(self.target.authority.as_deref())
    }
}

#[allow(dead_code, reason = "the formats that need the rest are being added")]
impl Target {
    pub fn new(method: &Method, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().to_owned();
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        Self { method: method.clone(), path: uri.path().to_owned(), query, authority }
    }

    /// As it was sent: what a signature is made of.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn query(&self) -> &str {
        &self.query
    }

    /// What follows a prefix of the path, decoded: `/v1beta/models/` of `/v1beta/models/a%3Fb:verb`.
    pub fn after(&self, prefix: &str) -> Option<String> {
        self.path.strip_prefix(prefix).map(|rest| decoded(rest, false).into_owned())
    }

    /// What stands between a prefix and a suffix of the path, decoded, if it is one segment:
    /// `/model/` and `/converse` of `/model/a%3Ab/converse`.
    pub fn between(&self, prefix: &str, suffix: &str) -> Option<String> {
        let segment = self.path.strip_prefix(prefix)?.strip_suffix(suffix)?;
        let one = !segment.is_empty() && !segment.contains('/');
        one.then(|| decoded(segment, false).into_owned())
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        parameters(&self.query).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }
}

/// The parameters of a query, in order.
pub fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    pairs.map(|(name, value)| (decoded(name, true), decoded(value, true)))
}

/// `%20`, and in a query `+`, as every client library writes them.
fn decoded(text: &str, in_query: bool) -> Cow<'_, str> {
    if !text.contains('%') && (!in_query || !text.contains('+')) {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match (first, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) if in_query => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_decoded() {
        let read: Vec<_> = parameters("contains=a%20b+c%zz&since=1").collect();
        assert_eq!(read, [("contains".into(), "a b c%zz".into()), ("since".into(), "1".into())]);
    }

    #[test]
    fn model_is_found_in_the_path() {
        let target = |uri: &str| Target::new(&Method::POST, &uri.parse().unwrap());
        let gemini = target("/v1beta/models/gemini-fake%3Fstatus=503&cut_after=1:streamGenerateContent?alt=sse");
        let after = gemini.after("/v1beta/models/").unwrap();
        assert_eq!(after, "gemini-fake?status=503&cut_after=1:streamGenerateContent");
        assert_eq!(gemini.parameter("alt").as_deref(), Some("sse"));
        let bedrock = target("/model/a.fake-v1%3A0+1%2Fx/converse-stream");
        assert_eq!(bedrock.between("/model/", "/converse-stream").as_deref(), Some("a.fake-v1:0+1/x"));
        assert_eq!(bedrock.between("/model/", "/converse"), None);
        assert_eq!(target("/model/a/b/converse").between("/model/", "/converse"), None);
    }
}
