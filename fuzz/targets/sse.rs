//! The incremental parser against the WHATWG rules followed to the letter over the whole text.
//!
//! Input: a character that the cuts follow from, then the stream.
#![no_main]

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
    events.extend(parser.finish().map(|frame| (frame.event.to_owned(), frame.data.to_owned())));
    events
}

/// HTML Standard, 9.2.6, except that the end of the stream ends its last event.
fn naive(stream: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut event, mut data) = (String::new(), String::new());
    for line in text.split('\n').chain([""]) {
        if line.is_empty() {
            // "If the data buffer's last character is a line feed, remove it."
            if let Some(data) = data.strip_suffix('\n') {
                events.push((event.clone(), data.to_owned()));
            }
            event.clear();
            data.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => event = value.to_owned(),
            "data" => data += &format!("{value}\n"),
            _ => {}
        }
    }
    events
}
