//! JSON values behind each other, against serde_json.
//!
//! Input: a character that the cuts follow from, then the values.
#![no_main]

use dragoman::stream::json_values::Parser;
use dragoman_fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    let Some((seed, text)) = input.split_first() else { return };
    let (values, cut) = parse(&[text]);
    assert_eq!(parse(&pieces(text, *seed)), (values.clone(), cut.clone()));

    let list = serde_json::from_slice::<Vec<&RawValue>>(text).ok();
    let lines = || serde_json::Deserializer::from_slice(text).into_iter().collect::<Result<Vec<_>, _>>().ok();
    let Some(expected) = list.or_else(lines) else { return };
    let expected: Vec<_> = expected.into_iter().map(RawValue::get).collect();
    if expected.iter().all(|value| value.starts_with('{')) {
        assert_eq!((values, cut), (expected.into_iter().map(str::to_owned).collect(), None));
    }
});

/// The values, and what is left of one that has no end.
fn parse(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
    let mut parser = Parser::default();
    let mut values = Vec::new();
    for piece in pieces {
        parser.push(piece).expect("it is not large");
        while let Some(frame) = parser.next() {
            assert_eq!(frame.event, "");
            values.push(frame.data.to_owned());
        }
    }
    let cut = parser.finish().map(|frame| frame.data.to_owned());
    assert_eq!(parser.finish(), None);
    (values, cut)
}
