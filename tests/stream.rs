//! Properties that hold for every golden conversation, whatever is in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use dragoman::attempt::Answer;
use serde_json::Value;
use support::golden::{Asked, Case, Split, in_one_piece, parse_response};
use support::{canonical, folders, frames, inherited, reader};

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// How many places of a body are tried: all of a short one, and of a long one some at even distances,
/// which come to lie anywhere in its lines. A bound on time, in a build without optimisation.
const PLACES: usize = 200;

fn places(body: &[u8], count: usize) -> impl Iterator<Item = usize> {
    (0..body.len()).step_by(body.len().div_ceil(count).max(1))
}

fn for_each_case(mut check: impl FnMut(&str, &Case)) {
    let folders = folders::all();
    assert!(!folders.is_empty());
    for folder in folders {
        check(&folders::name(&folder), &folders::read(&folder));
    }
    // An answer that is told like OpenAI's is held to all of it as OpenAI's.
    for row in canonical::rows() {
        for (name, folder) in canonical::conversations() {
            if row.kind == "openai" || row.has_own_answer(&name, &folder) {
                check(&format!("{}/canonical/{name}", row.kind), &row.case(&folder));
            }
        }
    }
    for surface in inherited::surfaces() {
        for conversation in surface.conversations().iter().filter(|conversation| conversation.is_told_otherwise) {
            check(&format!("{}/inherited/{}", surface.kind, conversation.name), &conversation.case);
        }
    }
}

/// Every conversation in which a provider answers, with the answer's body.
fn for_each_answer(mut check: impl FnMut(&str, &Case, &Asked<'_>, &[u8])) {
    for_each_case(|name, case| {
        let Some(given) = &case.upstream_response else { return };
        let (_, _, body) = parse_response(given);
        check(name, case, &case.asked(), &body);
    });
}

#[test]
fn any_split_gives_the_same_answer() {
    for_each_answer(|name, _, asked, body| {
        let whole = asked.replay(&in_one_piece);
        let bytes = |body: &[u8]| body.chunks(1).map(<[u8]>::to_vec).collect();
        assert!(asked.replay(&bytes) == whole, "{name}: byte by byte");
        for at in places(body, PLACES) {
            let two = |body: &[u8]| vec![body[..at].to_vec(), body[at..].to_vec()];
            assert!(asked.replay(&two) == whole, "{name}: cut at {at}");
        }
    });
}

#[test]
fn a_stream_that_ends_early_never_looks_whole() {
    for_each_answer(|name, case, asked, body| {
        let whole = asked.replay(&in_one_piece);
        let (_, headers, _) = parse_response(case.upstream_response.as_deref().unwrap_or_default());
        let is_stream = [Some("text/event-stream"), Some(EVENT_STREAM)].contains(&headers.content_type());
        if !is_stream || !whole.whole {
            return;
        }
        for at in places(body, PLACES) {
            let cut = asked.replay(&|body: &[u8]| vec![body[..at].to_vec()]);
            let text = String::from_utf8_lossy(&cut.response);
            if cut.whole && text.starts_with("HTTP/1.1 200") {
                // What is missing can only be what comes behind the finish reason.
                assert_eq!(without_usage(&cut.response), without_usage(&whole.response), "{name}: cut at {at}");
            } else {
                assert!(text.contains("\"error\""), "{name}: cut at {at} says nothing of it:\n{text}");
            }
        }
    });
}

fn without_usage(response: &[u8]) -> String {
    let text = String::from_utf8_lossy(response).into_owned();
    let events = text.split("\n\n").filter(|event| !event.contains("\"choices\":[]"));
    events.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn every_answer_passes_a_strict_reader() {
    for_each_case(|name, case| {
        let replayed = case.replay(&in_one_piece);
        let (status, headers, body) = parse_response(&replayed.response);
        if let Err(problem) = reader::read(status, &headers, &body) {
            panic!("{name}: {problem}\n{}", String::from_utf8_lossy(&replayed.response));
        }
    });
}

#[test]
fn translating_twice_gives_the_same_bytes() {
    for_each_case(|name, case| {
        let request = case.request.clone();
        assert!(case.replay(&in_one_piece) == case.replay(&in_one_piece), "{name}");
        assert_eq!(case.request, request, "{name}: the original is untouched");
    });
}

#[test]
fn a_changed_byte_breaks_nothing_but_what_it_says() {
    for_each_answer(|name, _, asked, body| {
        let mut random = Random(name.len() as u64 + 1);
        for at in places(body, PLACES / 2) {
            for _ in 0..3 {
                let mut changed = body.to_vec();
                changed[at] = random.byte(body[at]);
                let replayed = asked.replay_with(changed, &in_one_piece);
                let (status, headers, body) = parse_response(&replayed.response);
                if let Err(problem) = reader::read_grammar(status, &headers, &body) {
                    panic!("{name}, byte {at}: {problem}\n{}", String::from_utf8_lossy(&replayed.response));
                }
            }
        }
    });
}

#[test]
fn a_template_reads_what_is_read_without_one() {
    let (mut repeated, mut streams) = (0, 0);
    for_each_answer(|name, case, asked, body| {
        let (_, headers, _) = parse_response(case.upstream_response.as_deref().unwrap_or_default());
        if headers.content_type() == Some(EVENT_STREAM) {
            return;
        }
        let mut random = Random(name.len() as u64 + 1);
        let before = repeated;
        for round in 0..12 {
            // As it is, and then with every event a few times over, ever stranger.
            let body = if round == 0 { body.to_vec() } else { stretched(body, round, &mut random) };
            let bytes = |body: &[u8]| body.chunks(1 + round % 3 * 50).map(<[u8]>::to_vec).collect();
            for split in [&in_one_piece as Split<'_>, &bytes] {
                let (Some(with), Some(without)) = (asked.read(&body, split, false), asked.read(&body, split, true))
                else {
                    return;
                };
                let said = String::from_utf8_lossy(&body);
                let (told, expected) = (String::from_utf8_lossy(&with.0), String::from_utf8_lossy(&without.0));
                assert_eq!(told, expected, "{name}, round {round}:\n{said}");
                let state = |answer: &Answer| (format!("{:?}", answer.meter()), answer.skipped());
                assert_eq!(state(&with.1), state(&without.1), "{name}, round {round}:\n{said}");
                assert_eq!(without.1.repeated(), 0);
                repeated += with.1.repeated();
            }
        }
        streams += usize::from(repeated > before);
    });
    // It is about something.
    assert!(streams > 100 && repeated > 1000, "{repeated} events of {streams} streams");
}

/// A stream with every event several times in turn, with other texts, numbers and spaces in it, or another
/// byte: the more of it, the later the round.
fn stretched(body: &[u8], round: usize, random: &mut Random) -> Vec<u8> {
    const SAID: &[&[u8]] = &[
        b"\"content\":\"",
        b"\"text\":\"",
        b"\"text\": \"",
        b"\"reasoning_content\":\"",
        b"\"thinking\":\"",
        b"\"arguments\":\"",
        b"\"partial_json\":\"",
    ];
    /// The first of them may stand in any string.
    const PLAIN: usize = 12;
    const TEXTS: &[&str] = &[
        "x",
        "word ",
        "\\n",
        "\\u00e9",
        "\\ud83d",
        "\\\"",
        "é",
        "\u{1f600}",
        "stop",
        "{}",
        "\\\\",
        ",",
        "choices",
        "",
        "\\u12",
        "\\u12x4",
        "\\x",
        "\"",
        "\t",
        "\n",
        "[DONE]",
    ];
    const NUMBERS: &[&str] =
        &["Count\":7", "Count\":1234", "Count\":05", "Count\":1.5", "s\":-3", "s\":1e2", "s\":\"x\""];
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let ends = [&b"\n\n"[..], b"\r\n\r\n"].into_iter().filter_map(|end| {
            let at = rest.windows(end.len()).position(|window| window == end)?;
            Some(at + end.len())
        });
        let (event, behind) = rest.split_at(ends.min().unwrap_or(rest.len()));
        rest = behind;
        for copy in 0..1 + random.next() % 5 {
            let mut event = event.to_vec();
            if copy > 0 || round > 6 {
                let (text, odd) = (random.pick(SAID), random.next() % 12 < round);
                let text = if odd { &b":\""[..] } else { text };
                let most = if odd { TEXTS.len() } else { PLAIN };
                random.replace(&mut event, text, |byte| byte == b'"', &TEXTS[..most]);
                if random.next().is_multiple_of(2) {
                    let most = if odd { NUMBERS.len() } else { 2 };
                    random.replace(&mut event, b"oken", |byte| byte == b',' || byte == b'}', &NUMBERS[..most]);
                }
                if let (0, Some(at)) = (random.next() % 4, event.iter().rposition(|byte| *byte == b'}')) {
                    event.splice(at..at, std::iter::repeat_n(b' ', random.next() % 5));
                }
                if round > 9 && random.next().is_multiple_of(8) {
                    let at = random.next() % event.len();
                    event[at] = random.byte(event[at]);
                }
            }
            out.extend(event);
        }
    }
    out
}

/// Pseudo-random and the same every time (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.next() % list.len()]
    }

    /// Puts one of the texts between a place behind this pattern and the byte that ends what is there.
    fn replace(&mut self, bytes: &mut Vec<u8>, behind: &[u8], ends: impl Fn(u8) -> bool, texts: &[&str]) {
        let windows = bytes.windows(behind.len()).enumerate();
        let places: Vec<_> = windows.filter(|(_, window)| *window == behind).map(|(at, _)| at + behind.len()).collect();
        if !places.is_empty() {
            let at = places[self.next() % places.len()];
            let old = bytes[at..].iter().take_while(|byte| !ends(**byte)).count();
            bytes.splice(at..at + old, self.pick(texts).bytes());
        }
    }

    /// Another byte than this: any, or one of those that mean something.
    fn byte(&mut self, than: u8) -> u8 {
        const MEANING: &[u8] = b"\"\\{}[],:0e-n \r\n\xEF";
        loop {
            let byte =
                if self.next().is_multiple_of(2) { self.next() as u8 } else { MEANING[self.next() % MEANING.len()] };
            if byte != than {
                return byte;
            }
        }
    }
}

#[test]
fn an_unknown_event_or_field_changes_nothing_else() {
    const EVENTS: &[&str] = &[
        ": unheard of\n\n",
        "event: unheard_of\ndata: {\"type\":\"unheard_of\",\"unheard_of\":{\"a\":[1.0]}}\n\n",
        "id: 7\nretry: 1\n\n",
    ];
    for_each_answer(|name, case, asked, body| {
        let (_, headers, _) = parse_response(case.upstream_response.as_deref().unwrap_or_default());
        // The checksum of a frame would say that it has changed: see the test below.
        if headers.content_type() == Some(EVENT_STREAM) {
            return;
        }
        let whole = told(&asked.replay(&in_one_piece).response);
        let insert = |at: usize, text: &str| {
            let changed = [&body[..at], text.as_bytes(), &body[at..]].concat();
            let actual = asked.replay_with(changed, &in_one_piece).response;
            assert_eq!(told(&actual), whole, "{name}: {text} at {at}");
        };
        let ends = |pattern: &'static [u8]| {
            let windows = body.windows(pattern.len()).enumerate();
            windows.filter(move |(_, window)| *window == pattern).map(move |(at, _)| at + pattern.len())
        };
        for at in ends(b"}\n\n").filter(|at| *at < body.len()) {
            EVENTS.iter().for_each(|event| insert(at, event));
        }
        // Objects that are an event's own, a choice, a delta or a message.
        for pattern in [&b"data: {\""[..], b"data:{\"", b"\"choices\":[{\"", b"\"delta\":{\"", b"\"message\":{\""] {
            ends(pattern).for_each(|at| insert(at - 1, "\"unheard_of\":{\"a\":[1.0]},"));
        }
    });
}

/// The same, and a changed byte, with frames whose checksums are right.
#[test]
fn an_unknown_frame_or_field_changes_nothing_else() {
    for_each_answer(|name, case, asked, body| {
        let (_, headers, _) = parse_response(case.upstream_response.as_deref().unwrap_or_default());
        let whole = asked.replay(&in_one_piece);
        if headers.content_type() != Some(EVENT_STREAM) || !whole.whole {
            return;
        }
        let frames = frames::split(body);
        assert_eq!(frames::join(&frames), body, "{name}");
        let mut random = Random(name.len() as u64 + 1);
        for at in 0..frames.len() {
            let mut more = frames.clone();
            more.insert(at, frames::event("unheardOf", r#"{"unheardOf":{"a":[1.0]}}"#));
            assert!(asked.replay_with(frames::join(&more), &in_one_piece) == whole, "{name}: a frame at {at}");

            let payload = &frames[at].1;
            let mut more = frames.clone();
            let comma = if payload == b"{}" { "" } else { "," };
            let field = format!("{{\"unheard_of\":{{\"a\":[1.0]}}{comma}");
            more[at].1 = [field.as_bytes(), &payload[1..]].concat();
            let actual = asked.replay_with(frames::join(&more), &in_one_piece).response;
            assert_eq!(told(&actual), told(&whole.response), "{name}: a field in frame {at}");

            for place in places(payload, 50) {
                let mut changed = frames.clone();
                changed[at].1[place] = random.byte(payload[place]);
                let replayed = asked.replay_with(frames::join(&changed), &in_one_piece);
                let (status, headers, body) = parse_response(&replayed.response);
                if let Err(problem) = reader::read_grammar(status, &headers, &body) {
                    let told = String::from_utf8_lossy(&replayed.response);
                    panic!("{name}, frame {at}, byte {place}: {problem}\n{told}");
                }
            }
        }
    });
}

/// An answer without the fields that nobody has heard of: each of its lines, and as JSON where it is JSON.
fn told(response: &[u8]) -> Vec<Result<Value, String>> {
    let text = String::from_utf8_lossy(response);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("content-length"));
    let told = lines.map(|line| match serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)) {
        Ok(mut json) => {
            forget(&mut json);
            Ok(json)
        }
        Err(_) => Err(line.to_owned()),
    });
    told.collect()
}

fn forget(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.remove("unheard_of");
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}
