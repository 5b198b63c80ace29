//! What becomes of each parameter at each kind of provider, found by asking the translators: the table of
//! docs/compatibility.md, and that nothing is lost without a word.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::path::Path;

use dragoman::chat::ChatRequest;
use dragoman::json::{Object, is_valid};
use dragoman::provider::{Body, KINDS, Kind, Sampling, Target};

const BEGIN: &str = "<!-- parameters -->\n";
const END: &str = "<!-- /parameters -->\n";

/// A parameter, its value, and what else the request has then.
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("max_completion_tokens", "77", ""),
    ("max_tokens", "77", ""),
    ("temperature", "0.5", ""),
    ("temperature", "1.9", ""),
    ("top_p", "0.5", ""),
    ("top_k", "7", ""),
    ("stop", r#"["x","y"]"#, ""),
    ("seed", "7", ""),
    ("n", "2", ""),
    ("frequency_penalty", "0.5", ""),
    ("presence_penalty", "0.5", ""),
    ("logprobs", "true", ""),
    ("logit_bias", r#"{"50256":-100}"#, ""),
    ("response_format", r#"{"type":"json_object"}"#, ""),
    (
        "response_format",
        r#"{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}"#,
        "",
    ),
    ("tools", TOOLS, ""),
    ("tool_choice", "\"required\"", TOOLS),
    ("tool_choice", "\"none\"", TOOLS),
    ("tool_choice", r#"{"type":"function","function":{"name":"f"}}"#, TOOLS),
    ("parallel_tool_calls", "false", TOOLS),
    ("reasoning_effort", "\"high\"", ""),
    ("reasoning_effort", "\"none\"", ""),
    ("user", "\"u-1\"", ""),
    ("metadata", r#"{"a":"b"}"#, ""),
    ("service_tier", "\"default\"", ""),
    ("prompt_cache_key", "\"k\"", ""),
    ("verbosity", "\"low\"", ""),
    ("prediction", r#"{"type":"content","content":"x"}"#, ""),
    ("store", "true", ""),
    ("modalities", r#"["text","audio"]"#, ""),
    ("modalities", r#"["text","image"]"#, ""),
    ("web_search_options", "{}", ""),
    ("some_field_of_nobody", "1", ""),
];

const TOOLS: &str = r#"[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}]"#;

fn target(kind: &Kind) -> Target {
    Target {
        model: "model".into(),
        provider: kind.name.into(),
        kind: kind.name.into(),
        id: "model-1".into(),
        scheme: "https".into(),
        authority: "provider.example".into(),
        api_version: kind.api_version.map(str::to_owned),
        region: Some("region-1".into()),
        project: Some("project-1".into()),
        max_output: Some(4_096),
        sampling: Sampling::ALL.to_vec(),
        reasoning: Some(kind.reasoning),
        ..Target::default()
    }
}

fn request(name: &str, value: &str, tools: &str) -> String {
    let tools = if tools.is_empty() { String::new() } else { format!(r#","tools":{tools}"#) };
    let field = if name.is_empty() { String::new() } else { format!(r#","{name}":{value}"#) };
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Say it as JSON."}}]{tools}{field}}}"#)
}

/// The body that is sent, and what is named as left out.
fn sent(kind: &Kind, body: &str) -> Result<(Vec<u8>, Vec<String>, String), String> {
    let chat = ChatRequest::parse(body.as_bytes()).unwrap();
    let request = kind.translator.request(&chat, &target(kind)).map_err(|no| no.param.unwrap_or_default())?;
    let bytes = match request.body {
        Body::Edited(edits) => edits.apply(body.as_bytes()),
        Body::Written(bytes) => bytes,
    };
    assert!(is_valid(&bytes), "{}: {}", kind.name, String::from_utf8_lossy(&bytes));
    let headers = format!("{} {:?}", request.path, request.headers);
    Ok((bytes, request.dropped.iter().map(ToString::to_string).collect(), headers))
}

fn outcome(kind: &Kind, name: &str, value: &str, tools: &str) -> &'static str {
    // Who has no tools has no way to choose one.
    let Ok(without) = sent(kind, &request("", "", tools)) else { return "refused" };
    let Ok((body, dropped, headers)) = sent(kind, &request(name, value, tools)) else { return "refused" };
    let is_named = dropped.iter().any(|dropped| dropped == name);
    let fields = Object::parse(&body).unwrap();
    let is_same = fields.get(name).is_some_and(|sent| sent.get() == value);
    let is_changed = body != without.0 || headers != without.2;
    match (is_named, is_same, is_changed) {
        (false, true, _) => "passed",
        (false, false, true) => "mapped",
        (true, _, true) => "changed",
        (true, _, false) => "dropped",
        (false, false, false) => "lost",
    }
}

#[test]
fn nothing_is_lost_without_a_word_and_the_table_says_what_becomes_of_it() {
    let mut lost = Vec::new();
    let mut table = String::from("| parameter |");
    for kind in KINDS {
        table += &format!(" {} |", kind.name);
    }
    table += "\n|---|";
    table += &"---|".repeat(KINDS.len());
    table.push('\n');
    for (name, value, tools) in PARAMETERS {
        let shown = if value.len() > 40 { "…" } else { value };
        let shown = if *name == "response_format" && value.contains("schema") { "json_schema" } else { shown };
        table += &format!("| `{name}`: `{}` |", shown.replace('|', "\\|"));
        for kind in KINDS {
            let outcome = outcome(kind, name, value, tools);
            if outcome == "lost" {
                lost.push(format!("{}: {name}={value}", kind.name));
            }
            table += &format!(" {outcome} |");
        }
        table.push('\n');
    }
    assert!(lost.is_empty(), "lost without a word:\n{}", lost.join("\n"));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(written == table, "UPDATE_GOLDEN=1 cargo test --test compatibility rewrites {}", path.display());
    }
}
