//! Errors of Cohere's API (docs.cohere.com/reference/errors): `{"id","message"}`, and the status says the rest.

use crate::error::{Class, UpstreamError};
use crate::provider::failure::{self, Said};
use crate::provider::meaning::{self, Meaning};

/// Reads an error answer, or an error within an answer of status 200.
pub fn read(status: u16, body: &[u8]) -> UpstreamError {
    told(status, failure::said(status, body))
}

/// The same for a message that stands in an answer.
pub fn within(message: &str) -> UpstreamError {
    told(200, Said { message: failure::said(200, message.as_bytes()).message, ..Said::default() })
}

fn told(status: u16, said: Said) -> UpstreamError {
    let said = Said { message: said.message, ..Said::default() };
    let effective = match status {
        498 => 401,
        400.. => status,
        _ => 500,
    };
    let meaning = match status {
        // An invalid token, as the SDK has it, unless it says that the request is blocked, for which it was
        // documented (until October 2024).
        498 => meaning::of(403, &said).filter(|meaning| *meaning == Meaning::ContentFilter),
        _ => meaning::of(status, &said),
    };
    if let Some(meaning) = meaning {
        return failure::meant(meaning, effective, said);
    }
    match effective {
        // Nothing that this deployment will ever do; another target may.
        501 => failure::tell(Class::Unreachable, 502, Said { code: Some("server_error".to_owned()), ..said }),
        _ => failure::by_status(effective, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_status_has_its_class() {
        for (status, message, class, reply, code) in [
            (400, "invalid request: temperature must be between 0 and 1.0 inclusive.", Class::Rejected, 400, None),
            (
                400,
                "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
                Class::TooLarge,
                400,
                Some("context_length_exceeded"),
            ),
            (
                400,
                "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs.",
                Class::TooLarge,
                400,
                Some("context_length_exceeded"),
            ),
            (
                400,
                "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model.",
                Class::Rejected,
                400,
                None,
            ),
            (401, "invalid api token", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (402, "Please add or update your payment method", Class::Quota, 429, Some("insufficient_quota")),
            (403, "forbidden", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (
                404,
                "model 'xyz' not found, make sure the correct model ID was used and that you have access to the model.",
                Class::Misconfigured,
                404,
                Some("model_not_found"),
            ),
            (422, "invalid type: parameter messages is of type string", Class::Rejected, 422, None),
            (429, "Please wait and try again later", Class::RateLimited, 429, Some("rate_limit_exceeded")),
            (
                429,
                "You are using a Trial key, which is limited to 40 API calls / minute.",
                Class::RateLimited,
                429,
                Some("rate_limit_exceeded"),
            ),
            (
                429,
                "You are using a Trial key, which is limited to 1000 API calls / month.",
                Class::Quota,
                429,
                Some("insufficient_quota"),
            ),
            (
                498,
                "blocked output: please adjust your prompt and try again, as this generation may be a potential violation of our Usage Guidelines (https://docs.cohere.ai/usage-guidelines/).",
                Class::Rejected,
                400,
                Some("content_filter"),
            ),
            (498, "invalid token", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (499, "request cancelled", Class::Transient, 502, Some("server_error")),
            (500, "internal server error", Class::Transient, 502, Some("server_error")),
            (501, "not implemented", Class::Unreachable, 502, Some("server_error")),
            (503, "service unavailable", Class::Unreachable, 503, Some("overloaded")),
            (504, "gateway timeout", Class::Unreachable, 504, Some("timeout")),
        ] {
            let body = format!(r#"{{"id":"7ad1","message":"{message}"}}"#);
            let error = read(status, body.as_bytes());
            let told = (error.class, error.reply.status, error.reply.code.as_deref());
            assert_eq!(told, (class, reply, code), "{status} {message}");
        }
    }

    #[test]
    fn the_words_about_our_token_stay_with_us() {
        assert!(!read(498, br#"{"message":"invalid token xyz"}"#).reply.message.contains("xyz"));
    }
}
