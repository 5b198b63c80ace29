//! What the error answers of all providers have in common: the shapes in which their bodies come, what
//! a status means, and what of it a client is told. What words mean is in [`super::meaning`].

use std::borrow::Cow;

use super::meaning::Meaning;
use crate::error::{Class, ErrorReply, UpstreamError};
use crate::json::{self, Object, RawValue, Str, Type};

/// As much of a provider's words as a client is shown: any message that was written for a reader fits.
const MAX_MESSAGE: usize = 2 << 10;

/// Reports of errors are not larger than this: what is, is not searched for one.
const MAX_REPORT: usize = 64 << 10;

/// How deep a report is looked into: `[{"error":{"message":{"detail":"…"}}}]` has four levels.
const MAX_DEPTH: usize = 4;

/// What an error body says, as far as it can be read.
#[derive(Debug, Default)]
pub struct Said {
    pub message: Option<String>,
    pub kind: Option<String>,
    pub code: Option<String>,
    pub param: Option<String>,
}

/// Reads an error answer in any of the usual shapes (quirks C1 to C13). An empty body or an HTML page
/// says nothing but its status.
pub fn said(status: u16, body: &[u8]) -> Said {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    let mut said = match json::parse(body) {
        Ok(report) if body.len() <= MAX_REPORT => read(report, MAX_DEPTH),
        _ => Said { message: Some(String::from_utf8_lossy(body).into_owned()), ..Said::default() },
    };
    said.message = said.message.and_then(presentable).or_else(|| {
        Some(match status {
            400.. => format!("The provider answered with status {status}."),
            _ => "The provider reported an error without a message.".to_owned(),
        })
    });
    said
}

/// Whether JSON that is no answer is the report of an error.
pub fn is_report(text: &[u8]) -> bool {
    let Ok(value) = json::parse(text) else { return false };
    if text.len() > MAX_REPORT {
        return false;
    }
    let first = json::elements(value).and_then(|list| list.first().copied());
    let Some(fields) = Object::of(first.unwrap_or(value)) else { return false };
    let is = |key: &str, text: &str| fields.get(key).is_some_and(|value| value.get() == text);
    let has = |keys: &[&str]| keys.iter().any(|key| fields.get(key).is_some_and(is_something));
    has(&["error", "errors", "detail"])
        || is("object", "\"error\"")
        || is("type", "\"error\"")
        || is("success", "false")
        || (has(&["message", "Message", "msg", "error_msg"])
            && has(&["code", "status", "statusCode", "status_code", "error_code", "__type"]))
}

/// Whether the value of an `error` key reports one: many send it with every answer, as `null` or empty.
pub fn is_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "0" | "\"\"" | "{}" | "[]")
}

/// The order of quirks.md, section C: the only element of a list, `error`, the first of `errors`, and
/// then the message under its many names. What an inner object does not say, the outer one may.
fn read(value: &RawValue, depth: usize) -> Said {
    let Some(depth) = depth.checked_sub(1) else { return Said::default() };
    let first = |value| json::elements(value).and_then(|list| list.first().copied());
    match json::type_of(value) {
        Type::String => Said { message: text(value), ..Said::default() },
        Type::Array => first(value).map(|first| read(first, depth)).unwrap_or_default(),
        Type::Object => {
            let fields = Object::of(value).unwrap_or_default();
            let get = |keys: &[&str]| keys.iter().find_map(|key| fields.get(key).filter(|value| is_something(value)));
            let inner = get(&["error"]).or_else(|| get(&["errors"])).map(|inner| read(inner, depth));
            let inner = inner.unwrap_or_default();
            let message = || {
                let value = get(&["message", "Message", "detail", "msg", "error_msg", "error_message"])?;
                match json::type_of(value) {
                    Type::String => text(value),
                    Type::Array => details(value),
                    Type::Object => read(value, depth).message,
                    _ => None,
                }
            };
            // A status in words (Gemini) or AWS's type do for a type; a number there is the HTTP status.
            let kind = || get(&["type", "status", "__type"]).and_then(text);
            Said {
                message: inner.message.or_else(message),
                kind: inner.kind.or_else(kind),
                code: inner.code.or_else(|| get(&["code", "error_code"]).and_then(word)),
                param: inner.param.or_else(|| get(&["param"]).and_then(word)),
            }
        }
        Type::Null | Type::Bool | Type::Number => Said::default(),
    }
}

/// FastAPI's list of what is wrong where (quirk C8).
fn details(list: &RawValue) -> Option<String> {
    let told = json::elements(list)?.into_iter().filter_map(|item| {
        let Some(fields) = Object::of(item) else { return text(item) };
        let message = fields.get("msg").or_else(|| fields.get("message")).and_then(text)?;
        let place: Vec<String> = fields.get("loc").and_then(json::elements)?.into_iter().filter_map(word).collect();
        Some(format!("{}: {message}", place.join(".")))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn text(value: &RawValue) -> Option<String> {
    Str::new(value).map(|text| text.decode().into_owned())
}

/// A word that some give as a number (quirk C12).
fn word(value: &RawValue) -> Option<String> {
    match json::type_of(value) {
        Type::Number => Some(value.get().to_owned()),
        _ => text(value),
    }
}

/// A message as a client may be shown it: never a page, never more than a reader would read (quirk C11).
fn presentable(message: String) -> Option<String> {
    let message = message.trim();
    let tags = ["<html", "<HTML", "<!doctype", "<!DOCTYPE", "<head", "<body"];
    // Not so DashScope's `<400> InternalError…`.
    let is_page = message.strip_prefix('<').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    if message.is_empty() || is_page || tags.iter().any(|tag| message.contains(tag)) {
        return None;
    }
    let cut = message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default();
    Some(without_account(cut))
}

/// Providers name keys, organizations and projects in their messages, and AWS's ARNs have account numbers:
/// those are ours, not the client's to know.
fn without_account(message: &str) -> String {
    const PREFIXES: &[&str] = &["sk-", "org-", "proj_"];
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '*' | '.');
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find(is_part) {
        let (between, tail) = rest.split_at(start);
        let end = tail.find(|char| !is_part(char)).unwrap_or(tail.len());
        let (word, tail) = tail.split_at(end);
        out.push_str(between);
        let is_account = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit());
        if is_account && between.ends_with(':') && tail.starts_with(':') {
            out.push('…');
            rest = tail;
            continue;
        }
        match PREFIXES.iter().find(|prefix| word.starts_with(**prefix) && word.len() > prefix.len()) {
            Some(prefix) => {
                out.push_str(prefix);
                out.push('…');
                out.push_str(if word.ends_with('.') { "." } else { "" });
            }
            None => out.push_str(word),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The class of an error and the status a client is given for it, told by the provider's status alone
/// (quirk C14).
pub fn class_of(status: u16) -> (Class, u16) {
    match status {
        429 => (Class::RateLimited, 429),
        402 => (Class::Quota, 429),
        401 | 403 => (Class::Misconfigured, 502),
        404 => (Class::Misconfigured, 404),
        413 => (Class::TooLarge, 413),
        // 499: the provider thinks that we have hung up.
        408 | 409 | 499 | 500 => (Class::Transient, 502),
        504 => (Class::Unreachable, 504),
        // 498: Groq has no capacity left. 520 to 530: Cloudflare cannot reach the provider.
        424 | 498 | 502 | 503 | 520..=530 => (Class::Unreachable, 503),
        400..=497 => (Class::Rejected, status),
        _ => (Class::Transient, 502),
    }
}

/// A failure of which only the status tells what it is, in OpenAI's terms. Of what was said the message
/// remains.
pub fn by_status(status: u16, said: Said) -> UpstreamError {
    let (class, reply_status) = class_of(status);
    let code = match (class, status) {
        (Class::TooLarge, _) => Some("request_too_large"),
        (Class::RateLimited, _) => Some("rate_limit_exceeded"),
        (Class::Unreachable, 503 | 529) => Some("overloaded"),
        (Class::Unreachable, 504) => Some("timeout"),
        (Class::Unreachable | Class::Transient, _) => Some("server_error"),
        _ => None,
    };
    tell(class, reply_status, Said { message: said.message, code: code.map(str::to_owned), ..Said::default() })
}

/// A failure whose words mean more than its status does. Its code is OpenAI's from here on, as clients
/// depend on it; the message remains the provider's.
pub fn meant(meaning: Meaning, status: u16, mut said: Said) -> UpstreamError {
    let (class, status, kind, code) = match meaning {
        Meaning::ContextLength if status == 413 => (Class::TooLarge, 413, None, "request_too_large"),
        Meaning::ContextLength => (Class::TooLarge, 400, Some("invalid_request_error"), "context_length_exceeded"),
        Meaning::ContentFilter => (Class::Rejected, 400, Some("invalid_request_error"), "content_filter"),
        Meaning::Quota => (Class::Quota, 429, None, "insufficient_quota"),
        Meaning::RateLimit => (Class::RateLimited, 429, None, "rate_limit_exceeded"),
        Meaning::Overloaded => (Class::Unreachable, 503, Some("server_error"), "overloaded"),
        Meaning::UnknownModel => (Class::Misconfigured, 404, None, "model_not_found"),
        Meaning::UnknownReference => (Class::Rejected, 404, Some("invalid_request_error"), "not_found"),
        Meaning::Credential => (Class::Misconfigured, 502, None, "upstream_auth_error"),
    };
    // Where several of OpenAI's own codes have one meaning, the one that was given is kept.
    let is_kept = match meaning {
        Meaning::ContentFilter => said.code.as_deref() == Some("content_policy_violation"),
        Meaning::Overloaded => said.code.as_deref() == Some("slow_down"),
        Meaning::RateLimit => said.code.as_deref().is_some_and(|code| code != "null"),
        _ => false,
    };
    if !is_kept {
        said.code = Some(code.to_owned());
    }
    said.kind = kind.map(str::to_owned).or(said.kind);
    tell(class, status, said)
}

/// The failure as a client is told it: in the provider's words, except where those are about our own
/// configuration or where a client depends on OpenAI's.
pub fn tell(class: Class, status: u16, said: Said) -> UpstreamError {
    let message = said.message.unwrap_or_default();
    let (kind, code): (Cow<'static, str>, Option<Cow<'static, str>>) = match class {
        // The client's key is not at fault and the provider's words about ours are not for the client.
        Class::Misconfigured if status == 502 => {
            return UpstreamError::new(
                class,
                502,
                "server_error",
                "upstream_auth_error",
                "The gateway's credential was refused by the provider.",
            );
        }
        Class::Misconfigured => ("invalid_request_error".into(), Some("model_not_found".into())),
        Class::Quota => ("insufficient_quota".into(), Some("insufficient_quota".into())),
        Class::TooLarge if status == 413 => ("invalid_request_error".into(), Some("request_too_large".into())),
        _ => (
            said.kind.filter(|kind| !kind.is_empty()).map_or_else(|| default_kind(status).into(), Cow::Owned),
            said.code.map(Cow::Owned),
        ),
    };
    let param = said.param.filter(|param| param != "null");
    let code = code.filter(|code| code != "null");
    UpstreamError { class, reply: ErrorReply { status, kind, code, param, message }, retry_after: None }
}

fn default_kind(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_in_every_shape() {
        for (quirk, body, message, code) in [
            ("C1", r#"{"error":{"message":"m","type":"t","code":"c"}}"#, "m", Some("c")),
            ("C1", r#"{"error":{"message":"m","code":429,"status":"RESOURCE_EXHAUSTED"}}"#, "m", Some("429")),
            ("C2", r#"{"type":"error","error":{"type":"t","message":"m"}}"#, "m", None),
            ("C3", r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#, "m", Some("400")),
            ("C5", r#"{"choices":null,"error":{"message":"m","code":502}}"#, "m", Some("502")),
            ("C5", r#"{"code":1001,"msg":"m","success":false}"#, "m", Some("1001")),
            ("C5", r#"{"error_code":6,"error_msg":"m"}"#, "m", Some("6")),
            ("C6", r#"[{"error":{"code":400,"message":"m"}}]"#, "m", Some("400")),
            ("C7", r#"{"code":"c","error":"m"}"#, "m", Some("c")),
            ("C8", r#"{"detail":"m"}"#, "m", None),
            (
                "C8",
                r#"{"detail":[{"loc":["body","n",0],"msg":"m","type":"t"},{"loc":["x"],"msg":"o"}]}"#,
                "body.n.0: m; x: o",
                None,
            ),
            (
                "C8",
                r#"{"object":"error","message":{"detail":[{"loc":["a"],"msg":"m"}]},"code":"1"}"#,
                "a: m",
                Some("1"),
            ),
            ("C9", r#"{"errors":[{"code":"c","message":"m"}],"trace":"t"}"#, "m", Some("c")),
            ("C10", r#"{"Message":"m"}"#, "m", None),
            ("C10", r#"{"message":"m","__type":"ThrottlingException"}"#, "m", None),
            ("C11", "upstream connect error", "upstream connect error", None),
            ("C11", "<!DOCTYPE html><h1>502</h1>", "The provider answered with status 502.", None),
            ("C11", r#"{"error":{"message":"<html>"}}"#, "The provider answered with status 502.", None),
            ("C1", r#"{"error":{"message":"<400> m","code":"c"}}"#, "<400> m", Some("c")),
            ("C13", "", "The provider answered with status 502.", None),
            ("C13", "{}", "The provider answered with status 502.", None),
        ] {
            let said = said(502, body.as_bytes());
            assert_eq!((said.message.as_deref(), said.code.as_deref()), (Some(message), code), "{quirk} {body}");
            let is_plain = matches!(quirk, "C11" | "C13") || body == r#"{"Message":"m"}"#;
            assert_eq!(is_report(body.as_bytes()), !is_plain || body.contains("error\""), "{quirk} {body}");
        }
        assert_eq!(said(500, "é".repeat(3000).as_bytes()).message.unwrap().len(), MAX_MESSAGE);
    }

    #[test]
    fn our_keys_and_organizations_are_not_for_the_client() {
        for (message, expected) in [
            ("Incorrect key: sk-abc***xyz. See", "Incorrect key: sk-…. See"),
            ("Limit in organization org-A1b2 on requests", "Limit in organization org-… on requests"),
            ("(proj_9, \"sk-proj-1_2\")", "(proj_…, \"sk-…\")"),
            ("an org- or a task-1 for sk", "an org- or a task-1 for sk"),
            ("at arn:aws:bedrock:us-east-1:123456789012:prompt/A1.", "at arn:aws:bedrock:us-east-1:…:prompt/A1."),
            ("of 123456789012 tokens: 123456789012", "of 123456789012 tokens: 123456789012"),
            ("wörld … 你好", "wörld … 你好"),
        ] {
            assert_eq!(without_account(message), expected);
        }
    }

    #[test]
    fn an_error_key_that_says_nothing_reports_nothing() {
        for nothing in ["null", "false", "0", "\"\"", "{}", "[]"] {
            assert!(!is_report(format!(r#"{{"id":"x","error":{nothing}}}"#).as_bytes()), "{nothing}");
        }
        assert!(!is_report(b"[]") && !is_report(b"{") && !is_report(br#"{"type":"ping","message":"m"}"#));
    }
}
