//! The frames of AWS event streams: what is written is read, and of a damaged stream only what comes before
//! the damage.
//!
//! Input: a character that the cuts follow from; one whose bit 0 says that the rest are a stream's bytes;
//! two that say which byte is changed, and how; then a line for each frame, as in the answers.
#![no_main]

use dragoman::stream::Broken;
use dragoman::stream::event_stream::Parser;
use dragoman_fuzz::{framed, frames, pieces};
use libfuzzer_sys::fuzz_target;

type Event = (String, String);

fuzz_target!(|input: &[u8]| {
    let [seed, how, place, change, rest @ ..] = input else { return };
    if how & 1 != 0 {
        return assert_eq!(parse(&pieces(rest, *seed)), parse(&[rest]));
    }
    let frames = framed(rest, false);
    let mut bytes = frames::join(&frames);
    let (told, broken) = parse(&[&bytes]);
    assert_eq!(parse(&pieces(&bytes, *seed)), (told.clone(), None));
    assert_eq!(broken, None);
    let payloads: Vec<_> = frames.iter().map(|(_, payload)| String::from_utf8_lossy(payload)).collect();
    assert!(told.iter().map(|(_, payload)| payload).eq(&payloads));

    if bytes.is_empty() || *change == 0 {
        return;
    }
    let at = usize::from(*place) * bytes.len() / 256;
    bytes[at] ^= change;
    let before = frames.iter().scan(0, |end, (headers, payload)| {
        *end += 16 + headers.len() + payload.len();
        Some(*end)
    });
    let sound = before.take_while(|end| *end <= at).count();
    let (damaged, broken) = parse(&pieces(&bytes, *seed));
    assert!(broken.is_some());
    assert_eq!(damaged, told[..sound]);
});

fn parse(pieces: &[&[u8]]) -> (Vec<Event>, Option<Broken>) {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(broken) = parser.push(piece) {
            return (events, Some(broken));
        }
        loop {
            match parser.next() {
                Ok(Some(frame)) => events.push((frame.event.to_owned(), frame.data.to_owned())),
                Ok(None) => break,
                Err(broken) => return (events, Some(broken)),
            }
        }
    }
    (events, None)
}
