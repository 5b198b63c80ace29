//! What a provider answers, in the formats that are measured: the same words in each.

use serde_json::json;

/// Events of every stream, beginnings and ends included.
pub const EVENTS: usize = 200;
/// As much of an answer as makes it 1 KiB in OpenAI's format.
const TEXT: &str = "A dragoman was an interpreter, translator and official guide between Turkish-, Arabic- and \
    Persian-speaking countries and European embassies, consulates and trading posts in the Middle East. \
    A dragoman had to have a knowledge of all their languages.";
/// Said in turn: some gateways break a stream off that says the same over and over.
const WORDS: [&str; 5] = [" word", " said", " much", " like", " this"];

fn word(number: usize) -> &'static str {
    WORDS[number % WORDS.len()]
}

#[derive(Clone, Copy, PartialEq)]
pub enum Format {
    OpenAi,
    Anthropic,
    Gemini,
}

#[allow(dead_code, reason = "not every user asks for all")]
pub const FORMATS: [Format; 3] = [Format::OpenAi, Format::Anthropic, Format::Gemini];

impl Format {
    #[allow(dead_code, reason = "not every user asks for all")]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            _ if path.ends_with("/chat/completions") => Some(Format::OpenAi),
            _ if path.ends_with("/v1/messages") => Some(Format::Anthropic),
            _ if path.contains(":generateContent") || path.contains(":streamGenerateContent") => Some(Format::Gemini),
            _ => None,
        }
    }

    pub fn json(self) -> String {
        match self {
            // OpenAI indents its answers.
            Format::OpenAi => serde_json::to_string_pretty(&json!({
                "id": "chatcmpl-BdQ0f0w9w8Xq2n7R", "object": "chat.completion", "created": 1_767_225_600,
                "model": "gpt-6.1-sol-2026-10-01",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT, "refusal": null,
                    "annotations": []}, "logprobs": null, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 210, "completion_tokens": 54, "total_tokens": 264,
                    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                        "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}},
                "service_tier": "default", "system_fingerprint": "fp_560af6e559"
            }))
            .unwrap(),
            Format::Anthropic => json!({
                "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant",
                "model": "claude-opus-5-5-20261001", "content": [{"type": "text", "text": TEXT}],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 210, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                    "output_tokens": 54, "service_tier": "standard"}
            })
            .to_string(),
            Format::Gemini => json!({
                "candidates": [{"content": {"parts": [{"text": TEXT}], "role": "model"}, "finishReason": "STOP",
                    "index": 0}],
                "usageMetadata": {"promptTokenCount": 210, "candidatesTokenCount": 54, "totalTokenCount": 264,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 210}]},
                "modelVersion": "gemini-3.8-flash", "responseId": "wN2XaJ3sGpKzkdUPgYqB8Qk"
            })
            .to_string(),
        }
    }

    /// The events of a stream, each with the blank line that ends it.
    pub fn events(self) -> Vec<String> {
        match self {
            Format::OpenAi => openai_events(),
            Format::Anthropic => anthropic_events(),
            Format::Gemini => gemini_events(),
        }
    }
}

/// 263 bytes for a word, as they come from OpenAI.
fn openai_events() -> Vec<String> {
    let head = r#"{"id":"chatcmpl-BdQ0f0w9w8Xq2n7R","object":"chat.completion.chunk","created":1767225600,"model":"gpt-6.1-sol-2026-10-01","service_tier":"default","system_fingerprint":"fp_560af6e559","choices":["#;
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {head}{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
        )
    };
    let mut events = vec![chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null")];
    events.extend((0..EVENTS - 4).map(|number| chunk(&format!("{{\"content\":\"{}\"}}", word(number)), "null")));
    events.push(chunk("{}", "\"stop\""));
    events.push(format!("data: {head}],\"usage\":{{\"prompt_tokens\":210,\"completion_tokens\":196,\"total_tokens\":406,\"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}}}\n\n"));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn anthropic_events() -> Vec<String> {
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let delta = |number| {
        let text = word(number);
        format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}              }}"#
        )
    };
    let mut events = vec![
        event(
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-opus-5-5-20261001","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":210,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}"#,
        ),
        event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}      }"#,
        ),
        event("ping", r#"{"type": "ping"}"#),
    ];
    events.extend((0..EVENTS - 6).map(|number| event("content_block_delta", &delta(number))));
    events.push(event("content_block_stop", r#"{"type":"content_block_stop","index":0     }"#));
    events.push(event(
        "message_delta",
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":194}     }"#,
    ));
    events.push(event("message_stop", r#"{"type":"message_stop"           }"#));
    events
}

fn gemini_events() -> Vec<String> {
    let chunk = |number: usize| {
        let finish = if number == EVENTS { r#""finishReason":"STOP","# } else { "" };
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{}\"}}],\"role\":\"model\"}},{finish}\"index\":0}}],\
             \"usageMetadata\":{{\"promptTokenCount\":210,\"candidatesTokenCount\":{number},\"totalTokenCount\":{}}},\
             \"modelVersion\":\"gemini-3.8-flash\",\"responseId\":\"wN2XaJ3sGpKzkdUPgYqB8Qk\"}}\r\n\r\n",
            word(number),
            210 + number
        )
    };
    (1..=EVENTS).map(chunk).collect()
}
