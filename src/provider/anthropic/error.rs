//! Errors of the Messages API (API errors; `{"type":"error","error":{"type","message"},"request_id"}`).

use crate::error::{Class, UpstreamError};
use crate::provider::failure::{self, Said};
use crate::provider::meaning;

/// Reads an error answer, or an error within an answer of status 200.
pub fn read(status: u16, body: &[u8]) -> UpstreamError {
    let said = failure::said(status, body);
    let kind = said.kind.as_deref().unwrap_or_default();
    let named = STATUSES.iter().find(|(known, _)| *known == kind).map(|(_, status)| *status).or_else(|| {
        // Google's errors have the status as a number.
        let code = said.code.as_deref().and_then(|code| code.parse().ok());
        code.filter(|code| status < 400 && (400..=599).contains(code))
    });
    // The type says more than the status does where the two differ, and in a stream it stands alone. But
    // whoever answers that a server is not there knows it better than the words of what has failed there.
    let is_gone = status >= 400 && failure::class_of(status).0 == Class::Unreachable;
    let status = match named {
        Some(named) if !is_gone => named,
        _ if status >= 400 => status,
        _ => 500,
    };
    // Type and code are OpenAI's words from here on; only the message remains the provider's.
    let said = Said { message: said.message, ..Said::default() };
    // Spending limits and empty accounts are reported as 400, 403 or 429, a full context as 400.
    if let Some(meaning) = meaning::of(status, &said) {
        return failure::meant(meaning, status, said);
    }
    let (class, reply_status) = failure::class_of(status);
    let code = match (class, status) {
        // 32 MB for a request.
        (Class::TooLarge, _) => Some("request_too_large"),
        (Class::RateLimited, _) => Some("rate_limit_exceeded"),
        (Class::Unreachable, 503 | 529) => Some("overloaded"),
        (Class::Unreachable, 504) => Some("timeout"),
        (Class::Unreachable | Class::Transient, _) => Some("server_error"),
        _ => None,
    };
    failure::tell(class, reply_status, Said { code: code.map(str::to_owned), ..said })
}

/// The statuses that types stand for.
const STATUSES: &[(&str, u16)] = &[
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("conflict_error", 409),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, kind: &str, message: &str) -> (Class, u16, String, Option<String>) {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"r"}}"#);
        let UpstreamError { class, reply, .. } = read(status, body.as_bytes());
        (class, reply.status, reply.kind.into_owned(), reply.code.map(|code| code.into_owned()))
    }

    #[test]
    fn every_documented_type_has_its_class_with_its_status_and_within_a_stream() {
        for (status, kind, class, reply, code) in [
            (400, "invalid_request_error", Class::Rejected, 400, None),
            (401, "authentication_error", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (402, "billing_error", Class::Quota, 429, Some("insufficient_quota")),
            (403, "permission_error", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (404, "not_found_error", Class::Misconfigured, 404, Some("model_not_found")),
            (409, "conflict_error", Class::Transient, 502, Some("server_error")),
            (413, "request_too_large", Class::TooLarge, 413, Some("request_too_large")),
            (429, "rate_limit_error", Class::RateLimited, 429, Some("rate_limit_exceeded")),
            (500, "api_error", Class::Transient, 502, Some("server_error")),
            (504, "timeout_error", Class::Unreachable, 504, Some("timeout")),
            (529, "overloaded_error", Class::Unreachable, 503, Some("overloaded")),
        ] {
            for status in [status, 200] {
                let (said_class, said_status, _, said_code) = told(status, kind, "words");
                assert_eq!((said_class, said_status, said_code.as_deref()), (class, reply, code), "{status} {kind}");
            }
        }
    }

    #[test]
    fn wording_tells_a_full_context_from_an_empty_account() {
        for message in [
            "prompt is too long: 208310 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        ] {
            let (class, status, kind, code) = told(400, "invalid_request_error", message);
            assert_eq!((class, status, kind.as_str()), (Class::TooLarge, 400, "invalid_request_error"));
            assert_eq!(code.as_deref(), Some("context_length_exceeded"));
        }
        let (class, status, kind, _) =
            told(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.");
        assert_eq!((class, status, kind.as_str()), (Class::Quota, 429, "insufficient_quota"));
        let limit = "You have reached your specified API usage limits.";
        assert_eq!(told(400, "invalid_request_error", limit).0, Class::Quota);
    }

    #[test]
    fn the_words_about_our_credential_stay_with_us() {
        let body = br#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key sk-1"}}"#;
        assert!(!read(401, body).reply.message.contains("sk-1"));
    }

    #[test]
    fn bodies_that_are_no_errors_get_a_generic_message() {
        for body in [&b""[..], b"<html>502</html>", b"[]", b"{\"error\":[1]}", b"{\"error\":{\"type\":7}}", b"\xff"] {
            for status in [0, 200, 302, 400, 404, 429, 503, 599, u16::MAX] {
                let reply = read(status, body).reply;
                assert!(reply.status >= 400 && !reply.message.contains('<'), "{status} {body:?}");
            }
        }
        assert_eq!(read(502, b"<html>").reply.message, "The provider answered with status 502.");
        assert_eq!(read(503, b"").reply.code.as_deref(), Some("overloaded"));
        assert_eq!(read(413, b"<html>").class, Class::TooLarge);
    }

    #[test]
    fn a_server_that_is_not_there_is_not_there_whatever_it_says() {
        for status in [502, 503, 504, 529] {
            for kind in ["api_error", "invalid_request_error"] {
                assert_eq!(told(status, kind, "words").0, Class::Unreachable, "{status} {kind}");
            }
        }
        assert_eq!(told(400, "overloaded_error", "words").0, Class::Unreachable);
        assert_eq!(told(500, "rate_limit_error", "words").0, Class::RateLimited);
    }

    #[test]
    fn googles_own_errors_are_read_as_well() {
        let google = |status: u16, body: &str| {
            let error = read(status, body.as_bytes());
            (error.class, error.reply.status)
        };
        let quota = r#"{"error":{"code":429,"message":"Quota exceeded for x","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_eq!(google(429, quota), (Class::RateLimited, 429));
        assert_eq!(google(200, quota), (Class::RateLimited, 429));
        let missing = r#"{"error":{"code":404,"message":"Publisher Model `x` was not found","status":"NOT_FOUND"}}"#;
        assert_eq!(google(404, missing), (Class::Misconfigured, 404));
    }
}
