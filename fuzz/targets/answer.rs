//! A provider's answer becomes the client's.
//!
//! Input: a character whose bits say what was asked (0: Anthropic, 1: a stream, 2: held back until
//! complete, 3: with usage) and bit 4 that the end comes by itself; a character that the cuts follow from;
//! then the answer as tests/golden has them: status line, headers, an empty line, body.
#![no_main]

use std::time::Duration;

use dragoman::attempt::{Attempt, Output, exhausted};
use dragoman::chat::ChatRequest;
use dragoman::config::Commit;
use dragoman::headers::Headers;
use dragoman::route::retry::Progress;
use dragoman::route::{Plan, Wishes};
use dragoman_fuzz::tame::tame;
use dragoman_fuzz::{check_headers, headers, pieces, plan, reader};
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(1_767_225_600);

fuzz_target!(|input: &[u8]| {
    let [how, seed, answer @ ..] = input else { return };
    let (status, headers, body) = parse(answer);
    let request = request(*how);
    let chat = ChatRequest::parse(request.as_bytes()).unwrap_or_else(|_| panic!("{request}"));
    let wishes = Wishes { commit: (how & 4 != 0).then_some(Commit::Complete), ..Wishes::default() };
    let plan = plan(&chat, &wishes).expect("a plan");

    let whole = replay(&plan, status, &headers, &[body], false);
    let split = replay(&plan, status, &headers, &pieces(body, *seed), how & 16 != 0);
    assert!(split == whole, "split:\n{split:?}\nwhole:\n{whole:?}");

    check_headers(&whole.headers);
    // A chunk's own words around a letter, its id and model, and the id once more in that of a call.
    assert!(whole.body.len() <= 32 * answer.len() + 4096, "{} of {}", whole.body.len(), answer.len());
    let stream = whole.headers.content_type() == Some("text/event-stream");
    let Some(tame) = tame(&whole.body, stream) else { return };
    if let Err(problem) = reader::read(whole.status, &whole.headers, &tame) {
        panic!("{problem}\n{whole:?}");
    }
});

fn request(how: u8) -> String {
    let model = if how & 1 != 0 { "claude" } else { "gpt" };
    let (stream, usage) = (how & 2 != 0, how & 8 != 0);
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],
        "stream":{stream},"stream_options":{{"include_usage":{usage}}}}}"#
    )
}

fn parse(answer: &[u8]) -> (u16, Headers, &[u8]) {
    let end = answer.iter().position(|byte| *byte == b'\n').unwrap_or(answer.len());
    let (line, rest) = answer.split_at(end);
    let status = line.split(|byte| *byte == b' ').nth(1).and_then(|status| std::str::from_utf8(status).ok());
    let (headers, body) = headers(rest.strip_prefix(b"\n").unwrap_or(rest));
    // Others are no final answers, and Envoy never hands them over.
    (status.and_then(|status| status.trim().parse().ok()).filter(|status| *status >= 200).unwrap_or(200), headers, body)
}

struct Told {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        (self.status, &self.headers.0, &self.body) == (other.status, &other.headers.0, &other.body)
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in self.headers.iter() {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        writeln!(f, "\n{}", String::from_utf8_lossy(&self.body))
    }
}

fn replay(plan: &Plan, status: u16, headers: &Headers, pieces: &[&[u8]], end_alone: bool) -> Told {
    let mut answer = Attempt::new(plan, 0).expect("a candidate").answer(1, NOW);
    let mut inputs = pieces.to_vec();
    if end_alone {
        inputs.push(b"");
    }
    let mut outputs = vec![answer.head(status, headers, inputs.is_empty())];
    let last = inputs.len().saturating_sub(1);
    outputs.extend(inputs.iter().enumerate().map(|(at, piece)| answer.body(piece, at == last)));
    let mut head = None;
    let mut sent = Vec::new();
    for output in outputs {
        match output {
            Output::Hold => assert!(head.is_none(), "nothing is held once it has begun"),
            Output::Begin { headers, body } => {
                assert!(head.is_none(), "an answer begins once");
                head = Some(headers);
                sent.extend(body);
            }
            Output::Continue(body) => {
                assert!(head.is_some() || body.is_empty(), "nothing comes before the head");
                sent.extend(body);
            }
            Output::Fail(error) => {
                assert!(head.is_none(), "nothing fails silently once the client reads it");
                let mut progress = Progress::default();
                progress.fail(plan, error, answer.passed_headers());
                let (headers, body) = exhausted(plan, &progress).expect("something has failed");
                head = Some(headers);
                sent.extend(body);
            }
        }
    }
    let headers = head.expect("every answer begins or fails");
    let status = headers.get(":status").and_then(|status| status.parse().ok()).expect("a status");
    let length = headers.get("content-length");
    assert!(length.is_none_or(|length| length == sent.len().to_string()), "{length:?}");
    Told { status, headers, body: sent }
}
