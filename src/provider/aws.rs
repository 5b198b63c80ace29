//! Errors of Bedrock's Runtime, whichever API is spoken to it: the exception is named by a header, by the body's `__type` or by a frame, and the body is
//! `{"message":"…"}` (service model; quirk C10).

use crate::error::{Class, UpstreamError};
use crate::json::RawValue;
use crate::provider::failure::{self, Said};
use crate::provider::meaning::{self, Meaning};
use crate::provider::tolerant::{self, wire};

/// Reads an error answer, or an exception within a stream, whose status is 200. `exception`: its name where the body
/// does not say it, with whatever stands around it.
pub fn read(status: u16, exception: Option<&str>, body: &[u8]) -> UpstreamError {
    let said = failure::said(status, body);
    // A frame without an exception is only an `error`: its name is the body's code.
    let exception = exception.filter(|name| *name != "error");
    let name = exception.or(said.kind.as_deref()).or(said.code.as_deref()).map(bare).unwrap_or_default();
    let meaning = match name.as_str() {
        "servicequotaexceeded" => Some(Meaning::Quota),
        // It is being loaded; AWS's SDKs come back for it.
        "modelnotready" => Some(Meaning::Overloaded),
        "unrecognizedclient"
        | "invalidsignature"
        | "signaturedoesnotmatch"
        | "incompletesignature"
        | "expiredtoken"
        | "requestexpired"
        | "invalidclienttokenid"
        | "missingauthenticationtoken"
        | "notauthorized"
        | "optinrequired" => Some(Meaning::Credential),
        _ => None,
    };
    // The name says more than the status does where the two differ, and in a stream it stands alone.
    let status = match name.as_str() {
        "validation" | "serialization" => 400,
        "accessdenied" => 403,
        "resourcenotfound" => 404,
        "conflict" => 409,
        "throttling" | "toomanyrequests" => 429,
        // That nobody is there holds, whoever said it.
        "internalserver" | "internalfailure" if !matches!(status, 502..=504 | 520..=530) => 500,
        "serviceunavailable" => 503,
        "modeltimeout" => 504,
        // What a model said to Bedrock.
        "modelerror" | "modelstreamerror" => original_status(body).filter(|status| *status == 429).unwrap_or(424),
        _ if status >= 400 => status,
        _ => 500,
    };
    // Type and code are OpenAI's words from here on; only the message remains the provider's.
    let said = Said { message: said.message, ..Said::default() };
    if let Some(meaning) = meaning.or_else(|| meaning::of(status, &said)) {
        return failure::meant(meaning, status, said);
    }
    let (class, reply_status) = failure::class_of(status);
    let (reply_status, code) = match (class, status) {
        (Class::TooLarge, _) => (reply_status, Some("request_too_large")),
        (Class::RateLimited, _) => (reply_status, Some("rate_limit_exceeded")),
        (Class::Unreachable, 503 | 529) => (503, Some("overloaded")),
        (Class::Unreachable, 504) => (504, Some("timeout")),
        (Class::Unreachable, 424) => (502, Some("server_error")),
        (Class::Unreachable | Class::Transient, _) => (reply_status, Some("server_error")),
        _ => (reply_status, None),
    };
    failure::tell(class, reply_status, Said { code: code.map(str::to_owned), ..said })
}

/// Whether a frame of this type is an exception.
pub fn is_exception(event: &str) -> bool {
    event == "error" || event.ends_with("Exception") || event.ends_with("Error")
}

/// `com.amazon.coral.service#ThrottlingException:http://…` is `throttling`.
fn bare(name: &str) -> String {
    let name = name.rsplit_once('#').map_or(name, |(_, name)| name);
    let name = name.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    name.strip_suffix("exception").unwrap_or(&name).to_owned()
}

fn original_status(body: &[u8]) -> Option<u16> {
    wire! {
        struct Wire<'a> {
            status = "originalStatusCode": Option<&'a RawValue>,
        }
    }

    let wire: Wire<'_> = tolerant::read(body).ok()?;
    wire.status.and_then(tolerant::count).and_then(|status| u16::try_from(status).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &UpstreamError) -> (Class, u16, Option<&str>) {
        (error.class, error.reply.status, error.reply.code.as_deref())
    }

    #[test]
    fn every_exception_has_its_class_by_header_body_and_frame() {
        let credential = (Class::Misconfigured, 502, Some("upstream_auth_error"));
        for (name, status, expected) in [
            ("ValidationException", 400, (Class::Rejected, 400, None)),
            ("SerializationException", 400, (Class::Rejected, 400, None)),
            ("AccessDeniedException", 403, credential),
            ("UnrecognizedClientException", 403, credential),
            ("InvalidSignatureException", 403, credential),
            ("ExpiredTokenException", 403, credential),
            ("ExpiredTokenException", 400, credential),
            ("MissingAuthenticationTokenException", 403, credential),
            ("ResourceNotFoundException", 404, (Class::Misconfigured, 404, Some("model_not_found"))),
            ("ConflictException", 400, (Class::Transient, 502, Some("server_error"))),
            ("ServiceQuotaExceededException", 400, (Class::Quota, 429, Some("insufficient_quota"))),
            ("ModelTimeoutException", 408, (Class::Unreachable, 504, Some("timeout"))),
            ("ModelErrorException", 424, (Class::Unreachable, 502, Some("server_error"))),
            ("ModelStreamErrorException", 424, (Class::Unreachable, 502, Some("server_error"))),
            ("ThrottlingException", 429, (Class::RateLimited, 429, Some("rate_limit_exceeded"))),
            ("ModelNotReadyException", 429, (Class::Unreachable, 503, Some("overloaded"))),
            ("InternalServerException", 500, (Class::Transient, 502, Some("server_error"))),
            ("InternalServerException", 529, (Class::Unreachable, 503, Some("overloaded"))),
            ("ServiceUnavailableException", 503, (Class::Unreachable, 503, Some("overloaded"))),
        ] {
            let plain = r#"{"message":"words"}"#;
            let header = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
            assert_eq!(told(&read(status, Some(&header), plain.as_bytes())), expected, "{name} in a header");
            let body = format!(r#"{{"__type":"com.amazon.coral.service#{name}","Message":"words"}}"#);
            assert_eq!(told(&read(status, None, body.as_bytes())), expected, "{name} in a body");
            if status == 529 {
                continue;
            }
            let event = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
            assert!(is_exception(&event));
            assert_eq!(told(&read(200, Some(&event), plain.as_bytes())), expected, "{name} in a frame");
            let coded = format!(r#"{{"code":"{name}","message":"words"}}"#);
            assert_eq!(told(&read(200, Some("error"), coded.as_bytes())), expected, "{name} as a frame's code");
        }
    }

    #[test]
    fn words_tell_what_a_validation_is_about() {
        let of = |status, message: &str| {
            let body = format!(r#"{{"message":"{message}"}}"#);
            let error = read(status, Some(if status == 429 { "ThrottlingException" } else { "" }), body.as_bytes());
            (error.class, error.reply.code.map(|code| code.into_owned()))
        };
        let code = |code: &str| Some(code.to_owned());
        let context = (Class::TooLarge, code("context_length_exceeded"));
        assert_eq!(of(400, "The model returned the following errors: Input is too long for requested model."), context);
        assert_eq!(
            of(400, "The model returned the following errors: prompt is too long: 2 tokens > 1 maximum"),
            context
        );
        assert_eq!(of(400, "Too many input tokens. Max input tokens: 8192, request input token count: 9000"), context);
        let model = (Class::Misconfigured, code("model_not_found"));
        assert_eq!(of(400, "The provided model identifier is invalid."), model);
        assert_eq!(of(400, "Invocation of model ID x with on-demand throughput isn\u{2019}t supported."), model);
        assert_eq!(of(403, "You don't have access to the model with the specified model ID."), model);
        assert_eq!(
            of(429, "Too many tokens per day, please wait before trying again."),
            (Class::Quota, code("insufficient_quota"))
        );
        let limit = (Class::RateLimited, code("rate_limit_exceeded"));
        assert_eq!(of(429, "Too many tokens, please wait before trying again."), limit);
        let asked = "The maximum tokens you requested exceeds the model limit of 4096.";
        assert_eq!(of(400, asked), (Class::Rejected, None));
    }

    #[test]
    fn what_the_model_said_to_bedrock_counts_where_it_is_a_limit() {
        let of = |status: &str| {
            let body = format!(r#"{{"message":"m","originalStatusCode":{status},"resourceName":"r"}}"#);
            read(200, Some("modelStreamErrorException"), body.as_bytes()).class
        };
        assert_eq!(["429", "500", "\"x\"", "null"].map(of)[..2], [Class::RateLimited, Class::Unreachable]);
        assert_eq!(of("{}"), Class::Unreachable);
    }

    #[test]
    fn bodies_that_are_no_errors_get_a_generic_message() {
        for body in [&b""[..], b"<html>502</html>", b"[]", b"{\"message\":[1]}", b"\xff"] {
            for status in [0, 200, 302, 400, 404, 429, 503, 599, u16::MAX] {
                let reply = read(status, None, body).reply;
                assert!(reply.status >= 400 && !reply.message.contains('<'), "{status} {body:?}");
            }
        }
    }
}
