//! Errors of DashScope (help.aliyun.com/model-studio/error-code): `{"code","message","request_id"}`, as JSON or
//! framed as an event of a stream, whatever the label says.

use crate::error::UpstreamError;
use crate::provider::failure::{self, Said};
use crate::provider::meaning;

/// Reads an error answer, or an error within an answer of status 200.
pub fn read(status: u16, body: &[u8]) -> UpstreamError {
    let said = failure::said(status, unframed(body));
    let code = said.code.as_deref().unwrap_or_default();
    let meaning = meaning::of(status, &said);
    let status = if status >= 400 { status } else { status_of(code) };
    // The code is OpenAI's from here on; only the message remains the provider's.
    let message = said.message.map(|message| without_status(&message).to_owned());
    let said = Said { message, ..Said::default() };
    match meaning {
        Some(meaning) => failure::meant(meaning, status, said),
        None => failure::by_status(status, said),
    }
}

/// What the model's server says has its status in front: `<400> InternalError.Algo.InvalidParameter: …`.
fn without_status(message: &str) -> &str {
    let rest = message.strip_prefix('<').and_then(|rest| rest.split_once("> "));
    rest.filter(|(status, _)| status.bytes().all(|byte| byte.is_ascii_digit())).map_or(message, |(_, words)| words)
}

/// The data of `id:1`, `event:error`, `:HTTP_STATUS/400`, `data:{…}`.
fn unframed(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii();
    if body.starts_with(b"{") {
        return body;
    }
    let mut lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.find_map(|line| line.strip_prefix(b"data:")).map_or(body, <[u8]>::trim_ascii)
}

/// The status that a code comes with, for errors within an answer.
fn status_of(code: &str) -> u16 {
    match code.split('.').next().unwrap_or_default() {
        "InvalidApiKey" => 401,
        "AccessDenied" | "Model" | "Workspace" | "App" => 403,
        "ModelNotFound" | "WorkSpaceNotFound" | "NotFound" => 404,
        "Throttling" => 429,
        "InternalError" | "SystemError" | "ModelServiceFailed" | "RequestTimeOut" | "ResponseTimeout" => 500,
        "InvalidParameter" | "BadRequest" | "InvalidURL" | "InvalidFile" | "UnsupportedOperation" => 400,
        // What fails half way is not asked again at the same place.
        _ => 502,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn every_documented_code_has_its_class_with_its_status_and_within_a_stream() {
        for (status, code, message, class, reply, told) in [
            (400, "InvalidParameter", "Range of top_p should be (0.0, 1.0]", Class::Rejected, 400, None),
            (
                400,
                "InvalidParameter",
                "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]",
                Class::TooLarge,
                400,
                Some("context_length_exceeded"),
            ),
            (
                400,
                "DataInspectionFailed",
                "Output data may contain inappropriate content.",
                Class::Rejected,
                400,
                Some("content_filter"),
            ),
            (400, "Arrearage", "Access denied", Class::Quota, 429, Some("insufficient_quota")),
            (401, "InvalidApiKey", "Invalid API-key provided.", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (403, "Model.AccessDenied", "Model access denied.", Class::Misconfigured, 502, Some("upstream_auth_error")),
            (
                403,
                "AllocationQuota.FreeTierOnly",
                "The free tier has been exhausted.",
                Class::Quota,
                429,
                Some("insufficient_quota"),
            ),
            (404, "ModelNotFound", "Model can not be found.", Class::Misconfigured, 404, Some("model_not_found")),
            (429, "Throttling", "Requests throttling triggered.", Class::RateLimited, 429, Some("rate_limit_exceeded")),
            (429, "Throttling.RateQuota", "try again later", Class::RateLimited, 429, Some("rate_limit_exceeded")),
            (
                429,
                "Throttling.AllocationQuota",
                "Allocated quota exceeded, please increase your quota limit.",
                Class::RateLimited,
                429,
                Some("rate_limit_exceeded"),
            ),
            (500, "InternalError.Algo", "inference internal error.", Class::Transient, 502, Some("server_error")),
            (500, "RequestTimeOut", "Request timed out", Class::Transient, 502, Some("server_error")),
            (503, "ModelServingError", "Too many requests.", Class::Unreachable, 503, Some("overloaded")),
            (503, "ModelUnavailable", "Model is unavailable", Class::Unreachable, 503, Some("overloaded")),
        ] {
            let json = format!(r#"{{"code":"{code}","message":"{message}","request_id":"r"}}"#);
            let framed = format!("id:1\nevent:error\n:HTTP_STATUS/{status}\ndata:{json}\n\n");
            for (status, body) in [(status, &json), (status, &framed), (200, &json), (200, &framed)] {
                let error = read(status, body.as_bytes());
                let actual = (error.class, error.reply.status, error.reply.code.as_deref());
                assert_eq!(actual, (class, reply, told), "{status} {body}");
            }
        }
    }

    #[test]
    fn what_is_no_report_is_told_by_its_status() {
        for (status, body) in [(503, &b""[..]), (502, b"<html>"), (500, b"event:error\n"), (429, b"{}")] {
            let reply = read(status, body).reply;
            assert!(!reply.message.is_empty() && !reply.message.contains('<'), "{status} {}", reply.message);
        }
        let said = read(400, br#"{"code":"InvalidParameter","message":"<400> InternalError.Algo: a <b> c"}"#).reply;
        assert_eq!(said.message, "InternalError.Algo: a <b> c");
        // What gateways of Alibaba's say (compatible mode's shape).
        let model = read(404, br#"{"error":{"message":"model 'x' not found","code":"model_not_found"}}"#);
        assert_eq!((model.class, model.reply.status), (Class::Misconfigured, 404));
    }
}
