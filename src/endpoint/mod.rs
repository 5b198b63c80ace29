//! What clients speak: which path is which API, how its requests are read, and how answers, streams
//! and errors are written in its shape. No file here knows a provider.

pub mod chat_completions;
pub mod models;

use std::borrow::Cow;

use crate::chat::{ChatChunk, ChatRequest, ChatResponse};
use crate::error::{ErrorReply, Rejection, Told};
use crate::stream::normalize::{FinalUsage, Identity};

/// Every chat-type API that clients can use.
pub static ENDPOINTS: &[&dyn Endpoint] = &[&chat_completions::ChatCompletions];

/// A client-facing API that is served by models.
pub trait Endpoint: Sync {
    /// Also its path.
    fn path(&self) -> &'static str;

    fn parse<'a>(&self, body: &'a [u8]) -> Result<ChatRequest<'a>, Rejection>;

    /// A whole answer, which has an id, a model and a time; borrowed where it goes out as it came.
    fn response<'a>(&self, answer: &ChatResponse<'a>) -> Cow<'a, [u8]>;

    /// A writer of one streamed answer. `include_usage`: the client asked for usage.
    fn stream(&self, include_usage: bool) -> Box<dyn Render>;

    /// A failure; `attempts` is what each target said, where several were asked.
    fn error(&self, error: &ErrorReply, attempts: &[Told<'_>]) -> Vec<u8>;
}

/// Writes one streamed answer from strict chunks.
pub trait Render {
    fn chunk(&mut self, identity: &Identity, chunk: &ChatChunk<'_>, out: &mut Vec<u8>);

    /// Whether two chunks that differ in nothing but the text they say, and in fields that are relayed, are
    /// written as the same bytes around these.
    fn repeats(&self) -> bool;

    /// The answer is complete.
    fn end(&mut self, identity: &Identity, usage: Option<&FinalUsage>, out: &mut Vec<u8>);

    /// The answer has failed; nothing follows.
    fn error(&mut self, error: &ErrorReply, out: &mut Vec<u8>);
}

/// What a client asks for, by method and path.
pub enum Service<'a> {
    Chat(&'static dyn Endpoint),
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model(Cow<'a, str>),
    /// What the gateway tells of itself.
    Page(Page),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Whether it is alive.
    Health,
    /// Whether it can serve.
    Ready,
    /// How its targets are.
    Status,
}

/// Their paths.
pub static PAGES: &[(&str, Page)] = &[("/healthz", Page::Health), ("/readyz", Page::Ready), ("/status", Page::Status)];

/// Why a request has no service: the refusal, and the methods that the path does have.
#[derive(Debug)]
pub struct NotServed {
    pub reply: ErrorReply,
    pub allow: Option<&'static str>,
}

pub fn find<'a>(method: &str, path_and_query: &'a str) -> Result<Service<'a>, NotServed> {
    let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
    if let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path() == path) {
        return allowed(method, path, "POST", Service::Chat(*endpoint));
    }
    if let Some((_, page)) = PAGES.iter().find(|(known, _)| *known == path) {
        // Some load balancers only ask for the head.
        let method = if method == "HEAD" { "GET" } else { method };
        return allowed(method, path, "GET", Service::Page(*page));
    }
    match path.strip_prefix(models::PATH) {
        Some("" | "/") => allowed(method, path, "GET", Service::Models),
        Some(id) if id.starts_with('/') => {
            let id = id.strip_prefix('/').unwrap_or_default();
            allowed(method, path, "GET", Service::Model(models::decode_id(id)))
        }
        _ => Err(not_served(404, "unknown_url", format!("Unknown request URL: {method} {path}."), None)),
    }
}

fn allowed<'a>(
    method: &str,
    path: &str,
    expected: &'static str,
    service: Service<'a>,
) -> Result<Service<'a>, NotServed> {
    if method == expected {
        return Ok(service);
    }
    let message = format!("{method} is not allowed for {path}; use {expected}.");
    Err(not_served(405, "method_not_allowed", message, Some(expected)))
}

fn not_served(status: u16, code: &'static str, message: String, allow: Option<&'static str>) -> NotServed {
    let kind = "invalid_request_error".into();
    NotServed { reply: ErrorReply { status, kind, code: Some(code.into()), param: None, message }, allow }
}

/// The endpoint of a path. Errors that belong to none have the shape of the first.
pub fn named(path: &str) -> &'static dyn Endpoint {
    let known = ENDPOINTS.iter().find(|endpoint| endpoint.path() == path);
    known.map_or(&chat_completions::ChatCompletions, |endpoint| *endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_find_their_service_or_say_why_not() {
        assert!(matches!(find("POST", "/v1/chat/completions?x=1"), Ok(Service::Chat(_))));
        assert!(matches!(find("GET", "/v1/models"), Ok(Service::Models)));
        assert!(matches!(find("GET", "/v1/models/a%2Fb/c"), Ok(Service::Model(id)) if id == "a/b/c"));
        assert!(matches!(find("HEAD", "/readyz"), Ok(Service::Page(Page::Ready))));
        let status = |method, path| find(method, path).err().map(|no| (no.reply.status, no.allow));
        assert_eq!(status("GET", "/v1/chat/completions"), Some((405, Some("POST"))));
        assert_eq!(status("DELETE", "/v1/models/x"), Some((405, Some("GET"))));
        assert_eq!(status("POST", "/status"), Some((405, Some("GET"))));
        assert_eq!(status("POST", "/v1/chat/completions/x"), Some((404, None)));
        assert_eq!(status("GET", "/v1/modelsx"), Some((404, None)));
    }
}
