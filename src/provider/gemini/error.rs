//! Errors: `google.rpc.Status` under `error`, in a list of one where a stream is no SSE (quirk C6).

use std::time::Duration;

use crate::error::{Class, UpstreamError};
use crate::json::{self, RawValue, Str};
use crate::provider::failure::{self, Said};
use crate::provider::meaning::{self, Meaning};
use crate::provider::tolerant::{Fields, List, Maybe, wire};

/// Reads an error answer, or an error within an answer of status 200.
pub fn read(status: u16, body: &[u8]) -> UpstreamError {
    let said = failure::said(status, body);
    let details = Details::read(body);
    let word = said.kind.as_deref().unwrap_or_default();
    let status = match (status, said.code.as_deref().and_then(|code| code.parse().ok())) {
        (300.., _) => status,
        (_, Some(code @ 400..=599)) => code,
        // google.rpc.Code, in a stream where the number is lost.
        _ => match word {
            "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
            "UNAUTHENTICATED" => 401,
            "PERMISSION_DENIED" => 403,
            "NOT_FOUND" => 404,
            "ABORTED" | "ALREADY_EXISTS" => 409,
            "RESOURCE_EXHAUSTED" => 429,
            "CANCELLED" => 499,
            "UNAVAILABLE" => 503,
            "DEADLINE_EXCEEDED" => 504,
            _ => 500,
        },
    };
    let message = said.message.clone().unwrap_or_default().to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    // The words are OpenAI's from here on; only the message remains the provider's.
    let said = Said { message: said.message, ..Said::default() };
    let mut error = if details.has_reason("API_KEY_INVALID") || details.has_reason("API_KEY_EXPIRED") {
        failure::meant(Meaning::Credential, status, said)
    } else if status == 400 && (says("location is not supported") || says("enable billing")) {
        // Not the client's location: ours.
        let message = "The provider does not serve the gateway's location or project.";
        UpstreamError::new(Class::Misconfigured, 502, "server_error", "upstream_auth_error", message)
    } else if status == 400 && says("payload size exceeds") {
        failure::tell(Class::TooLarge, 413, said)
    } else {
        match (status, details.quota()) {
            // The words are the same for a minute's limit and for a day's ("You exceeded your current
            // quota, please check your plan and billing details"): the violated limit's name is not.
            (429, Some(Quota::Day)) => failure::meant(Meaning::Quota, status, said),
            (429, Some(Quota::Minute)) => failure::meant(Meaning::RateLimit, status, said),
            (429, None) if details.retry_delay.is_some() => failure::meant(Meaning::RateLimit, status, said),
            _ => plain(status, said),
        }
    };
    if error.class != Class::Quota {
        error.retry_after = details.retry_delay;
    }
    error
}

fn plain(status: u16, said: Said) -> UpstreamError {
    if let Some(meaning) = meaning::of(status, &said) {
        return failure::meant(meaning, status, said);
    }
    let (class, reply_status) = failure::class_of(status);
    let code = match (class, status) {
        (Class::TooLarge, _) => Some("request_too_large"),
        (Class::RateLimited, _) => Some("rate_limit_exceeded"),
        (Class::Unreachable, 503) => Some("overloaded"),
        (Class::Unreachable, 504) => Some("timeout"),
        (Class::Unreachable | Class::Transient, _) => Some("server_error"),
        _ => None,
    };
    failure::tell(class, reply_status, Said { code: code.map(str::to_owned), ..said })
}

/// Which limit a request has hit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quota {
    /// Waiting helps.
    Minute,
    /// It does not: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`.
    Day,
}

/// What stands in `error.details`, as far as it matters (google.rpc `error_details.proto`).
#[derive(Default)]
struct Details {
    reasons: Vec<String>,
    quotas: Vec<String>,
    retry_delay: Option<Duration>,
}

impl Details {
    fn read(body: &[u8]) -> Self {
        wire! {
            struct Report<'a> {
                error: Maybe<Inner<'a>>,
            }

            struct Inner<'a> {
                details: List<Detail<'a>>,
            }

            struct Detail<'a> {
                reason: Option<&'a RawValue>,
                retry_delay = "retryDelay": Option<&'a RawValue>,
                violations: List<Violation<'a>>,
            }

            struct Violation<'a> {
                quota_id = "quotaId": Option<&'a RawValue>,
            }
        }

        let mut details = Details::default();
        let Ok(report) = json::parse(body) else { return details };
        let first = json::elements(report).and_then(|list| list.first().copied()).unwrap_or(report);
        let Ok(Report { error: Maybe(Some(inner)) }) = Report::of(first) else { return details };
        let text = |value: Option<&RawValue>| value.and_then(Str::new).map(|text| text.decode().into_owned());
        for (_, detail) in inner.details.into_placed() {
            details.reasons.extend(text(detail.reason));
            details.retry_delay =
                details.retry_delay.or_else(|| text(detail.retry_delay).and_then(|delay| seconds(&delay)));
            let violations = detail.violations.into_placed();
            details.quotas.extend(violations.filter_map(|(_, violation)| text(violation.quota_id)));
        }
        details
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.reasons.iter().any(|known| known == reason)
    }

    fn quota(&self) -> Option<Quota> {
        let is_day = self.quotas.iter().any(|quota| quota.contains("PerDay"));
        (!self.quotas.is_empty()).then_some(if is_day { Quota::Day } else { Quota::Minute })
    }
}

/// A duration as protobuf writes it: `34s`, `34.074824224s`.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(json::float(text.strip_suffix('s')?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, error: &str) -> (Class, u16, Option<String>, Option<Duration>) {
        let body = format!(r#"{{"error":{error}}}"#);
        let error = read(status, body.as_bytes());
        let listed = read(status, format!("[{body}]").as_bytes());
        assert_eq!(error, listed);
        (error.class, error.reply.status, error.reply.code.map(|code| code.into_owned()), error.retry_after)
    }

    #[test]
    fn every_code_has_its_class_with_its_status_and_within_a_stream() {
        for (code, word, class, reply, said) in [
            (400, "INVALID_ARGUMENT", Class::Rejected, 400, None),
            (400, "FAILED_PRECONDITION", Class::Rejected, 400, None),
            (400, "OUT_OF_RANGE", Class::Rejected, 400, None),
            (401, "UNAUTHENTICATED", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (403, "PERMISSION_DENIED", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (404, "NOT_FOUND", Class::Misconfigured, 404, Some("model_not_found")),
            (409, "ABORTED", Class::Transient, 502, Some("server_error")),
            (429, "RESOURCE_EXHAUSTED", Class::RateLimited, 429, Some("rate_limit_exceeded")),
            (499, "CANCELLED", Class::Transient, 502, Some("server_error")),
            (500, "INTERNAL", Class::Transient, 502, Some("server_error")),
            (503, "UNAVAILABLE", Class::Unreachable, 503, Some("overloaded")),
            (504, "DEADLINE_EXCEEDED", Class::Unreachable, 504, Some("timeout")),
        ] {
            let with_code = format!(r#"{{"code":{code},"message":"words","status":"{word}"}}"#);
            let without = format!(r#"{{"message":"words","status":"{word}"}}"#);
            let expected = (class, reply, said.map(str::to_owned), None);
            for (status, error) in [(code, &with_code), (200, &with_code), (200, &without)] {
                assert_eq!(told(status, error), expected, "{status} {error}");
            }
        }
    }

    fn limited(quota: &str, delay: &str) -> String {
        format!(
            r#"{{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":
            "RESOURCE_EXHAUSTED","details":[{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{quota}]}},
            {{"@type":"type.googleapis.com/google.rpc.Help","links":[7]}},
            {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{delay}}}]}}"#
        )
    }

    #[test]
    fn a_minutes_limit_is_told_from_a_days() {
        let minute = r#"{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}"#;
        let day = r#"{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}"#;
        let rate = (Class::RateLimited, 429, Some("rate_limit_exceeded".to_owned()));
        let (class, status, code, wait) = told(429, &limited(minute, "\"34.5s\""));
        assert_eq!(((class, status, code), wait), (rate.clone(), Some(Duration::from_millis(34_500))));
        let (class, status, code, wait) = told(429, &limited("", "\"2s\""));
        assert_eq!(((class, status, code), wait), (rate, Some(Duration::from_secs(2))));
        let (class, _, code, wait) = told(429, &limited(&format!("{minute},{day}"), "\"34s\""));
        assert_eq!((class, code.as_deref(), wait), (Class::Quota, Some("insufficient_quota"), None));
        // Words alone, or a delay that is none.
        for delay in ["7", "\"x\"", "\"-1s\"", "\"1e30s\"", "null"] {
            assert_eq!(told(429, &limited("", delay)).0, Class::Quota, "{delay}");
        }
    }

    #[test]
    fn words_and_reasons_tell_our_faults_from_the_clients() {
        let of = |status, message: &str, details: &str| {
            told(status, &format!(r#"{{"code":{status},"message":"{message}","status":"X","details":{details}}}"#))
        };
        let key = r#"[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]"#;
        assert_eq!(of(400, "API key not valid. Please pass a valid API key.", key).0, Class::Misconfigured);
        assert_eq!(of(400, "x", key).1, 502);
        assert_eq!(of(400, "API key expired. Please renew the API key.", "[]").0, Class::Misconfigured);
        assert_eq!(of(400, "User location is not supported for the API use.", "[]").0, Class::Misconfigured);
        let full = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).";
        assert_eq!(of(400, full, "[]").2.as_deref(), Some("context_length_exceeded"));
        let blocked = "This prompt contains sensitive words that violate Google's Responsible AI practices.";
        assert_eq!(of(400, blocked, "[]").2.as_deref(), Some("content_filter"));
        let large = of(400, "Request payload size exceeds the limit: 20971520 bytes.", "[]");
        assert_eq!((large.0, large.1, large.2.as_deref()), (Class::TooLarge, 413, Some("request_too_large")));
        let file = "You do not have permission to access the File abc or it may not exist.";
        assert_eq!((of(403, file, "[]").0, of(403, file, "[]").1), (Class::Rejected, 404));
    }

    #[test]
    fn bodies_that_are_no_errors_get_a_generic_message() {
        for body in [&b""[..], b"<html>502</html>", b"[]", b"{\"error\":[1]}", b"{\"error\":{\"details\":7}}", b"\xff"]
        {
            for status in [0, 200, 302, 400, 404, 429, 503, 599, u16::MAX] {
                let reply = read(status, body).reply;
                assert!(reply.status >= 400 && !reply.message.contains('<'), "{status} {body:?}");
            }
        }
    }
}
