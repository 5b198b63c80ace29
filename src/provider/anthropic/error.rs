//! Errors of the Messages API (API errors; `{"type":"error","error":{"type","message"},"request_id"}`).

use crate::error::{Class, UpstreamError};
use crate::headers::Headers;
use crate::provider::failure::{self, Said};
use crate::provider::meaning;

/// Reads an error answer.
pub fn read(status: u16, headers: &Headers, body: &[u8]) -> UpstreamError {
    // Bedrock's type stands in a header (`ThrottlingException:http://…`), unless it is Anthropic's own.
    let header = headers.get("x-amzn-errortype").and_then(|kind| kind.split(':').next());
    let mut said = failure::said(status, body);
    said.kind = said.kind.or_else(|| header.map(str::to_owned));
    classify(status, said)
}

/// Reads an error within an answer of status 200, or in its stream.
pub fn reported(body: &[u8]) -> UpstreamError {
    classify(200, failure::said(200, body))
}

/// Reads an exception in a binary stream, by its name.
pub fn exception(name: &str, body: &[u8]) -> UpstreamError {
    let said = failure::said(200, body);
    // A frame that is no exception but an error names itself in a code.
    let kind = Some(name).filter(|name| *name != "error").map(str::to_owned).or_else(|| said.code.clone());
    classify(200, Said { kind, ..said })
}

fn classify(status: u16, said: Said) -> UpstreamError {
    let kind = said.kind.as_deref().unwrap_or_default();
    let named = status_of(kind).or_else(|| {
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

/// The statuses that types stand for: Anthropic's own, and the exceptions of Bedrock's Runtime, whose first letter
/// is a capital in headers and none in a stream.
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
    ("ValidationException", 400),
    ("UnrecognizedClientException", 401),
    ("InvalidSignatureException", 401),
    ("ExpiredTokenException", 401),
    ("AccessDeniedException", 403),
    ("ResourceNotFoundException", 404),
    ("ConflictException", 409),
    ("ModelErrorException", 424),
    ("ModelStreamErrorException", 424),
    ("ThrottlingException", 429),
    ("ServiceQuotaExceededException", 429),
    ("InternalServerException", 500),
    ("ModelNotReadyException", 503),
    ("ServiceUnavailableException", 503),
    ("ModelTimeoutException", 504),
];

fn status_of(kind: &str) -> Option<u16> {
    let kind = kind.rsplit('#').next()?;
    STATUSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind)).map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, kind: &str, message: &str) -> (Class, u16, String, Option<String>) {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"r"}}"#);
        let UpstreamError { class, reply, .. } = read(status, &Headers::default(), body.as_bytes());
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
        assert!(!read(401, &Headers::default(), body).reply.message.contains("sk-1"));
    }

    #[test]
    fn bodies_that_are_no_errors_get_a_generic_message() {
        for body in [&b""[..], b"<html>502</html>", b"[]", b"{\"error\":[1]}", b"{\"error\":{\"type\":7}}", b"\xff"] {
            for status in [0, 200, 302, 400, 404, 429, 503, 599, u16::MAX] {
                let reply = read(status, &Headers::default(), body).reply;
                assert!(reply.status >= 400 && !reply.message.contains('<'), "{status} {body:?}");
            }
        }
        assert_eq!(read(502, &Headers::default(), b"<html>").reply.message, "The provider answered with status 502.");
        assert_eq!(read(503, &Headers::default(), b"").reply.code.as_deref(), Some("overloaded"));
        assert_eq!(read(413, &Headers::default(), b"<html>").class, Class::TooLarge);
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
    fn other_surfaces_have_their_own_words() {
        let google = |status: u16, body: &str| {
            let error = read(status, &Headers::default(), body.as_bytes());
            (error.class, error.reply.status)
        };
        let quota = r#"{"error":{"code":429,"message":"Quota exceeded for x","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_eq!(google(429, quota), (Class::RateLimited, 429));
        assert_eq!(google(200, quota), (Class::RateLimited, 429));
        let missing = r#"{"error":{"code":404,"message":"Publisher Model `x` was not found","status":"NOT_FOUND"}}"#;
        assert_eq!(google(404, missing), (Class::Misconfigured, 404));
        let aws = |status: u16, kind: &str, message: &str| {
            let mut headers = Headers::default();
            headers.push("x-amzn-errortype", format!("{kind}:http://internal.amazon.com/coral/x/"));
            let error = read(status, &headers, format!(r#"{{"message":"{message}"}}"#).as_bytes());
            (error.class, error.reply.status)
        };
        assert_eq!(aws(429, "ThrottlingException", "Too many requests"), (Class::RateLimited, 429));
        assert_eq!(aws(400, "ServiceQuotaExceededException", "x"), (Class::RateLimited, 429));
        assert_eq!(aws(400, "ValidationException", "Input is too long for requested model."), (Class::TooLarge, 400));
        assert_eq!(aws(400, "ExpiredTokenException", "x"), (Class::Misconfigured, 502));
        assert_eq!(aws(424, "ModelErrorException", "x"), (Class::Unreachable, 503));
        assert_eq!(aws(408, "ModelTimeoutException", "x"), (Class::Unreachable, 504));
        let frame = |name: &str, body: &str| exception(name, body.as_bytes()).class;
        assert_eq!(frame("throttlingException", r#"{"message":"x"}"#), Class::RateLimited);
        assert_eq!(frame("modelStreamErrorException", r#"{"message":"x"}"#), Class::Unreachable);
        assert_eq!(frame("validationException", r#"{"message":"x"}"#), Class::Rejected);
        assert_eq!(frame("error", r#"{"code":"ThrottlingException","message":"x"}"#), Class::RateLimited);
    }
}
