//! The access log: a line of JSON for every request, on standard output.
//!
//! For what the module has planned it is the module's own line (`src/record.rs`), which knows what Envoy
//! does not; what ended before that has a line of Envoy's. No line names a path's query, a header of a
//! client's choice, or any content.

use crate::yaml::Map;

use super::extension;

pub fn access_log() -> [Map; 2] {
    let own = Map::new()
        .with("text_format_source", Map::new().with("inline_string", "%FILTER_STATE(wasm.dragoman.record:PLAIN)%\n"));
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
    [
        logger("'wasm.dragoman.record' in filter_state", own).note(
            "A line of JSON a request: the module's for what it has planned, Envoy's for what was refused before.",
        ),
        logger("!('wasm.dragoman.record' in filter_state)", other),
    ]
}

fn logger(expression: &str, format: Map) -> Map {
    let filter = extension(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        Map::new().with("expression", expression),
    );
    let mut logger = Map::new()
        .with("name", "envoy.access_loggers.stdout")
        .with("filter", Map::new().with("extension_filter", filter));
    let typed = Map::new()
        .with("@type", "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog")
        .with("log_format", format);
    logger.append(Map::new().with("typed_config", typed));
    logger
}
