//! A provider that costs next to nothing: it answers from memory, without a look at what it is asked.
//!
//! The path decides. Its first segment is how the answer comes (`json`, `stream`, `paced`, `held`), the rest
//! is the provider's own path, by which the format is known. The fakes of the tests read and check every
//! request, which would make them the slowest part of a measurement.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a tool of the benchmark: it fails by panicking"
)]

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// Events of every stream, beginnings and ends included.
const EVENTS: usize = 200;
/// Between two events of `paced`: so far apart that each goes through a gateway alone.
const PACE: Duration = Duration::from_millis(5);
/// Between two events of `held`.
const HELD_PACE: Duration = Duration::from_secs(1);
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
enum Format {
    OpenAi,
    Anthropic,
    Gemini,
}

const FORMATS: [Format; 3] = [Format::OpenAi, Format::Anthropic, Format::Gemini];

impl Format {
    fn of(path: &str) -> Option<Self> {
        match path {
            _ if path.ends_with("/chat/completions") => Some(Format::OpenAi),
            _ if path.ends_with("/v1/messages") => Some(Format::Anthropic),
            _ if path.contains(":generateContent") || path.contains(":streamGenerateContent") => Some(Format::Gemini),
            _ => None,
        }
    }

    fn json(self) -> String {
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
    fn events(self) -> Vec<String> {
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

/// What is sent, and the pause before the next.
struct Piece {
    bytes: Vec<u8>,
    pause: Duration,
}

fn answer(pace: &str, format: Format) -> Vec<Piece> {
    let head = |kind: &str, rest: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{rest}\r\n\r\n");
    let at_once = |text: String| vec![Piece { bytes: text.into_bytes(), pause: Duration::ZERO }];
    if pace == "json" {
        let body = format.json();
        return at_once(head("application/json", &format!("content-length: {}", body.len())) + &body);
    }
    // Every event is an HTTP chunk, as servers that flush it send it.
    let mut events = format.events().into_iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len()));
    let mut first = head("text/event-stream", "transfer-encoding: chunked");
    if pace == "stream" {
        events.for_each(|event| first.push_str(&event));
        first.push_str("0\r\n\r\n");
        return at_once(first);
    }
    let pause = if pace == "held" { HELD_PACE } else { PACE };
    // The first word is there at once, in all formats: what is measured is how long it takes to the client.
    events.by_ref().take(4).for_each(|event| first.push_str(&event));
    let mut pieces = vec![Piece { bytes: first.into_bytes(), pause }];
    pieces.extend(events.map(|event| Piece { bytes: event.into_bytes(), pause }));
    pieces.last_mut().unwrap().bytes.extend_from_slice(b"0\r\n\r\n");
    pieces
}

const PACES: [&str; 4] = ["json", "stream", "paced", "held"];

type Answers = Vec<Vec<Vec<Piece>>>;

fn find<'a>(answers: &'a Answers, path: &str) -> Option<&'a [Piece]> {
    let (pace, rest) = path.strip_prefix('/')?.split_once('/')?;
    let pace = PACES.iter().position(|known| *known == pace)?;
    let format = Format::of(&format!("/{rest}"))?;
    Some(&answers[pace][FORMATS.iter().position(|known| *known == format)?])
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        // The head, which fits into the buffer many times.
        let head = loop {
            if let Some(at) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        };
        let text = std::str::from_utf8(&buffer[..head]).unwrap();
        let found = find(answers, text.split(' ').nth(1).unwrap_or_default());
        let header = |name: &str| {
            text.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let length: Option<usize> = header("content-length").map(|(_, value)| value.trim().parse().unwrap());
        let chunked = length.is_none() && header("transfer-encoding").is_some();
        if header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        // The body, which is thrown away. Nobody sends a second request before the answer to the first.
        let mut seen = filled - head;
        buffer.copy_within(head..filled, 0);
        filled = seen.min(buffer.len());
        loop {
            let whole = if chunked { buffer[..filled].ends_with(b"0\r\n\r\n") } else { seen >= length.unwrap_or(0) };
            if whole {
                break;
            }
            // Of a chunked body the end is kept, in which its last chunk is.
            let keep = filled.min(8);
            buffer.copy_within(filled - keep..filled, 0);
            match stream.read(&mut buffer[keep..]).await? {
                0 => return Ok(()),
                read => {
                    seen += read;
                    filled = keep + read;
                }
            }
        }
        filled = 0;
        let Some(pieces) = found else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        let mut next = Instant::now();
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                next += piece.pause;
                sleep_until(next).await;
            }
            stream.write_all(&piece.bytes).await?;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut answers = Answers::new();
    let mut said = String::new();
    for pace in PACES {
        answers.push(FORMATS.iter().map(|format| answer(pace, *format)).collect());
    }
    for format in FORMATS {
        let events = format.events();
        assert_eq!(events.len(), EVENTS);
        let bytes: usize = events.iter().map(String::len).sum();
        let _ = write!(said, " {}/{}", format.json().len(), bytes);
    }
    let answers: &Answers = Box::leak(Box::new(answers));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {EVENTS}{said}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let _ = serve(stream, answers).await;
        });
    }
}
