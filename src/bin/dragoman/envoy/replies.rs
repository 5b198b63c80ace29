//! What clients read when Envoy itself answers: upgrades, broken requests, wrong keys, a module that
//! is not there. These replies never pass the route stage whole, so their shape is configured.

use crate::yaml::{Map, Yaml};

use super::expression;

/// Status, `type`, `code`, message: fixed texts, because Envoy's own name hosts and reasons.
const REPLIES: &[(u64, &str, &str, &str)] = &[
    (400, "invalid_request_error", "bad_request", "The request is not valid HTTP, or its path or headers are not."),
    (401, "invalid_request_error", "invalid_api_key", "No API key was given, or it is not a key of this gateway."),
    (403, "invalid_request_error", "forbidden", "This is not allowed; connections cannot be upgraded either."),
    (404, "invalid_request_error", "not_found", "There is nothing at this path."),
    (405, "invalid_request_error", "method_not_allowed", "This path does not take this method."),
    (408, "invalid_request_error", "request_timeout", "The request took too long to arrive."),
    (413, "invalid_request_error", "request_too_large", "The request's body is larger than this gateway takes."),
    (426, "invalid_request_error", "upgrade_required", "The request needs HTTP/1.1 or later."),
    (431, "invalid_request_error", "headers_too_large", "The request's headers are too large or too many."),
    (503, "server_error", "unavailable", "The gateway cannot answer at the moment."),
    (504, "server_error", "timeout", "The answer took too long."),
];

pub fn local_reply_config() -> Map {
    let mut mappers = vec![own_replies()];
    for (status, kind, code, message) in REPLIES {
        mappers.push(
            Map::new()
                .with("filter", super::status("EQ", *status))
                .with("body_format_override", body_format(kind, code, message)),
        );
    }
    Map::new()
        .with("mappers", mappers)
        .with("body_format", body_format("server_error", "gateway_error", "The gateway could not answer the request."))
}

/// The module's replies have their shape already; it marks them with these response code details.
fn own_replies() -> Map {
    let as_it_is = Map::new()
        .with("text_format_source", Map::new().with("inline_string", "%LOCAL_REPLY_BODY%"))
        .with("content_type", "application/json");
    Map::new()
        .note("What the module answers has its shape already.")
        .with("filter", expression("response.code_details == 'dragoman'"))
        .with("body_format_override", as_it_is)
}

fn body_format(kind: &str, code: &str, message: &str) -> Map {
    let error = Map::new()
        .with("message", message)
        .with("type", kind)
        .with("param", Yaml::Scalar("null".to_owned()))
        .with("code", code);
    Map::new().with("json_format", Map::new().with("error", error)).with("content_type", "application/json")
}
