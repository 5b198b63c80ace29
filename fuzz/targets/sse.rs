//! The incremental parser against the WHATWG rules followed to the letter over the whole text.
//!
//! Input: a character that the cuts follow from, then the stream.
#![no_main]

use dragoman::json;
use dragoman::stream::sse::{self, Parser};
use dragoman_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

type Event = (String, String);

fuzz_target!(|input: &[u8]| {
    let Some((seed, stream)) = input.split_first() else { return };
    let expected = naive(stream);
    assert_eq!(parse(&[stream]), expected);
    assert_eq!(parse(&pieces(stream, *seed)), expected);

    let mut written = Vec::new();
    sse::write(&mut written, stream);
    let one_line = String::from_utf8_lossy(stream).replace(['\r', '\n'], " ");
    assert_eq!(naive(&written), [(String::new(), one_line)]);
});

fn parse(pieces: &[&[u8]]) -> Vec<Event> {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece).expect("it is not large");
        while let Some(frame) = parser.next() {
            events.push((frame.event.to_owned(), frame.data.to_owned()));
        }
    }
    while let Some(frame) = parser.finish() {
        events.push((frame.event.to_owned(), frame.data.to_owned()));
    }
    events
}

/// HTML Standard, 9.2.6, except that the end of the stream ends its last event, that a line of data that
/// is a whole JSON value ends one if more JSON or `[DONE]` follows, and that a name behind the data is the
/// next event's only then.
fn naive(stream: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut event, mut data, mut late) = (String::new(), Vec::<String>::new(), None);
    for line in text.split('\n').chain([""]) {
        let more = line.strip_prefix("data:").map(str::trim_ascii_start);
        let more = more.is_some_and(|more| more.starts_with('{') || more.starts_with("[DONE]"));
        match &data[..] {
            [only] if more && (only.starts_with("[DONE]") || json::is_valid(only.as_bytes())) => {
                events.push((event, only.clone()));
                (event, data) = (late.take().unwrap_or_default(), Vec::new());
            }
            _ => {}
        }
        if line.is_empty() {
            if !data.is_empty() {
                events.push((late.take().unwrap_or(event), data.join("\n")));
            }
            (event, data) = (String::new(), Vec::new());
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "event" if data.is_empty() => event = value,
            "event" => late = Some(value),
            "data" => data.push(value),
            _ => {}
        }
    }
    events
}
