//! The access log: a line of JSON for every request, on standard output.
//!
//! What the module has seen has the module's own line (`src/record.rs`), which knows what Envoy does not; what
//! ended before that has a line of Envoy's. No line names a path's query, a header of a client's choice, or any
//! content.

use crate::yaml::Map;

use super::{REQUEST, expression, status};

pub fn access_log() -> [Map; 2] {
    let own = Map::new()
        .with("text_format_source", Map::new().with("inline_string", format!("%FILTER_STATE({REQUEST}:PLAIN)%")))
        .with("omit_empty_values", true);
    let fields = Map::new()
        .with("time", "%START_TIME%")
        .with("request_id", "%REQ(X-REQUEST-ID)%")
        .with("outcome", "refused")
        .with("status", "%RESPONSE_CODE%")
        .with("details", "%RESPONSE_CODE_DETAILS%")
        .with("flags", "%RESPONSE_FLAGS%")
        .with("method", "%REQ(:METHOD)%")
        .with("duration_ms", "%DURATION%");
    let other = Map::new().with("json_format", fields);
    let seen =
        "A line of JSON a request: the module's own, which brings its line end and is nothing where there is none …";
    let unseen =
        "… and Envoy's, for what has not come to the module. That is refused, always; to ask it first costs least.";
    [logger(seen, None, own), logger(unseen, Some(not_recorded()), other)]
}

fn not_recorded() -> Map {
    let filters = [status("GE", 400), expression(&format!("!('{REQUEST}' in filter_state)"))];
    Map::new().with("and_filter", Map::new().with("filters", filters))
}

fn logger(note: &str, filter: Option<Map>, format: Map) -> Map {
    let mut logger = Map::new().note(note).with("name", "envoy.access_loggers.stdout").with_some("filter", filter);
    let typed = Map::new()
        .with("@type", "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog")
        .with("log_format", format);
    logger.append(Map::new().with("typed_config", typed));
    logger
}
