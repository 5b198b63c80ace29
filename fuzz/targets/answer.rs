//! A provider's answer becomes the client's.
//!
//! Input: the model's character; one whose bits say what was asked (0: with tools that some know by other
//! names, 1: a stream, 2: held back until complete, 3: with usage), that the end comes by itself (4) and that
//! the lines of the body are the frames of a binary stream (5); one that the cuts follow from; then the answer
//! as tests/golden has them: status line, headers, an empty line, body.
#![no_main]

use std::time::Duration;

use dragoman::attempt::{Attempt, Output, exhausted};
use dragoman::chat::ChatRequest;
use dragoman::config::Commit;
use dragoman::headers::Headers;
use dragoman::route::retry::Progress;
use dragoman::route::{Plan, Router, Wishes};
use dragoman_fuzz::tame::tame;
use dragoman_fuzz::{MODEL, check_headers, framed, frames, headers, pieces, plan, reader, router};
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(1_767_225_600);

fuzz_target!(|input: &[u8]| {
    let [letter, how, seed, answer @ ..] = input else { return };
    let (status, headers, body) = parse(answer);
    let plan = asked(router(*letter), *how);
    let kind = plan.candidates[0].target.kind.as_str();
    let binary = if how & 32 != 0 { frames::join(&framed(body, kind == "anthropic-bedrock")) } else { Vec::new() };
    let body = if binary.is_empty() { body } else { &binary };

    let whole = replay(&plan, status, &headers, &[body], false);
    let split = replay(&plan, status, &headers, &pieces(body, *seed), how & 16 != 0);
    assert!(split == whole, "split:\n{split:?}\nwhole:\n{whole:?}");

    check_headers(&whole.headers);
    // A chunk's own words around a letter, its id and model, and the id once more in that of a call.
    let read = answer.len() + binary.len();
    assert!(whole.body.len() <= 32 * read + 4096, "{} of {read}", whole.body.len());
    let stream = whole.headers.content_type() == Some("text/event-stream");
    let Some(tame) = tame(&whole.body, stream) else { return };
    if let Err(problem) = reader::read(whole.status, &whole.headers, &tame) {
        panic!("{problem}\n{whole:?}");
    }
});

fn asked(router: &Router, how: u8) -> Plan {
    const TOOLS: &str = r#""tools":[{"type":"function","function":{"name":"1.a b","parameters":{}}},
        {"type":"function","function":{"name":"get_weather","parameters":{"type":"object"}}}],"#;
    let wishes = Wishes { commit: (how & 4 != 0).then_some(Commit::Complete), ..Wishes::default() };
    let (stream, usage) = (how & 2 != 0, how & 8 != 0);
    let ask = |tools: &str| {
        let request = format!(
            r#"{{"model":"{MODEL}",{tools}"messages":[{{"role":"user","content":"hi"}}],
            "stream":{stream},"stream_options":{{"include_usage":{usage}}}}}"#
        );
        let chat = ChatRequest::parse(request.as_bytes()).unwrap_or_else(|_| panic!("{request}"));
        plan(router, &chat, &wishes).ok()
    };
    // Some models have no tools.
    let with_tools = if how & 1 != 0 { ask(TOOLS) } else { None };
    with_tools.or_else(|| ask("")).expect("a plan")
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
        (self.status, &self.body) == (other.status, &other.body) && self.headers.iter().eq(other.headers.iter())
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
    let mut outputs = vec![answer.head(status, headers.clone(), inputs.is_empty(), || NOW)];
    let last = inputs.len().saturating_sub(1);
    outputs.extend(inputs.iter().enumerate().map(|(at, piece)| answer.body(piece, at == last)));
    let mut head = None;
    let mut sent = Vec::new();
    for output in outputs {
        match output {
            Output::Hold => assert!(head.is_none(), "nothing is held once it has begun"),
            Output::Relay { headers } => {
                assert!(head.is_none(), "an answer begins once");
                head = Some(headers);
                sent.extend(pieces.concat());
            }
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
