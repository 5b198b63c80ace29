//! What a request needs of a model, read from its body.

use crate::chat::ChatRequest;
use crate::chat::attached::Kind;
use crate::chat::request::ResponseFormat;
use crate::config::registry::{Capabilities, Capability};
use crate::json::RawValue;

/// The capabilities without which an answer would be wrong or refused.
pub fn of(chat: &ChatRequest<'_>) -> Capabilities {
    let mut needs = Capabilities::NONE;
    let mut need = |capability, is_needed: bool| {
        if is_needed {
            needs = needs.with(capability);
        }
    };
    let tools = chat.field("tools").or_else(|| chat.field("functions"));
    let has_tools = tools.is_some_and(|tools| tools.get().contains('{'));
    need(Capability::Tools, has_tools);
    need(Capability::StreamTools, has_tools && chat.stream);
    // What cannot be read here is refused when it is read in full.
    let flag = |name: &str| chat.bool(name).ok().flatten() == Some(true);
    need(Capability::ParallelTools, has_tools && flag("parallel_tool_calls"));
    need(Capability::Logprobs, flag("logprobs"));
    need(Capability::N, chat.count("n").ok().flatten().is_some_and(|n| n > 1));
    match chat.response_format() {
        Ok(ResponseFormat::JsonObject) => need(Capability::JsonObject, true),
        Ok(ResponseFormat::JsonSchema { .. }) => need(Capability::JsonSchema, true),
        Ok(ResponseFormat::Text) | Err(_) => {}
    }
    let effort = chat.string("reasoning_effort").ok().flatten();
    need(Capability::Reasoning, effort.is_some_and(|effort| effort.escaped() != "none"));
    let modalities = chat.field("modalities").map_or("", RawValue::get);
    need(Capability::Audio, modalities.contains("\"audio\""));
    for attachment in &chat.listed.attachments {
        need(
            match attachment.kind {
                Kind::ImageData => Capability::Images,
                Kind::ImageUrl => Capability::ImageUrls,
                Kind::Audio => Capability::Audio,
                Kind::Pdf => Capability::Pdf,
                Kind::File => Capability::Files,
            },
            true,
        );
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(rest: &str, content: &str) -> String {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]{rest}}}"#);
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        of(&chat).iter().map(Capability::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn needs_follow_from_the_body() {
        for (rest, expected) in [
            ("", ""),
            (r#","tools":[]"#, ""),
            (r#","tools":[{"type":"function"}]"#, "tools"),
            (r#","tools":[{}],"stream":true,"parallel_tool_calls":true"#, "tools parallel_tools stream_tools"),
            (r#","response_format":{"type":"json_object"}"#, "json_object"),
            (r#","response_format":{"type":"json_schema","json_schema":{"schema":{}}}"#, "json_schema"),
            (r#","reasoning_effort":"high""#, "reasoning"),
            (r#","reasoning_effort":"none""#, ""),
            (r#","logprobs":true,"n":2"#, "logprobs n"),
            (r#","modalities":["text","audio"]"#, "audio"),
        ] {
            assert_eq!(needs(rest, "\"hi\""), expected, "{rest}");
        }
    }

    #[test]
    fn parts_are_told_by_their_type_and_texts_about_them_are_not_parts() {
        for (part, expected) in [
            (r#"{"type":"image_url","image_url":{"detail":"low","url":"data:image/png;base64,AA"}}"#, "images"),
            (r#"{"type":"image_url","image_url":{"url":"https://x/data:"}}"#, "image_urls"),
            (r#"{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}"#, "audio"),
            (r#"{"type":"file","file":{"filename":"a.pdf","file_data":"AA"}}"#, "pdf"),
            (r#"{"type":"file","file":{"filename":"A.PDF","file_data":"AA"}}"#, "pdf"),
            (r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}"#, "pdf"),
            (r#"{"type":"file","file":{"file_id":"x"}}"#, "files"),
            (r#"{"type":"text","text":"image_url"}"#, ""),
            (r#"{"type":"text","text":"{\"type\":\"image_url\"}"}"#, ""),
        ] {
            assert_eq!(needs("", &format!("[{part}]")), expected, "{part}");
        }
    }
}
