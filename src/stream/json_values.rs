//! JSON values behind each other: newline-delimited JSON, and a JSON array that is sent element by
//! element. Bytes go in as they arrive, cut anywhere; each object or list comes out as a frame.
//!
//! Every byte is looked at once. What stands between values (commas, line ends, the brackets of the array)
//! is passed over, as are values that are neither objects nor lists: no API says anything by them.

use super::{Broken, Frame};
use crate::json;

/// The longest value that is taken, in bytes: as for events ([`super::sse::MAX_EVENT`]).
const MAX_VALUE: usize = super::sse::MAX_EVENT;

#[derive(Default)]
pub struct Parser {
    buffer: Vec<u8>,
    /// `start <= at <= buffer.len()`: what lies before `start` is spent, what lies before `at` is looked at.
    start: usize,
    at: usize,
    /// How many braces and brackets of the value are open; 0 between values.
    depth: usize,
    in_string: bool,
    after_backslash: bool,
    /// The text of the last frame, where it had to be repaired.
    text: String,
}

impl Parser {
    /// Takes the next bytes. All values must have been taken with [`Parser::next`] before.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.buffer.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        if self.depth > 0 && self.buffer.len() + bytes.len() > MAX_VALUE {
            return Err(Broken::TooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole value, or `None` if more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "a frame borrows from the parser")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        let mut end = None;
        while let (None, Some(byte)) = (end, self.buffer.get(self.at)) {
            self.at += 1;
            match byte {
                _ if std::mem::take(&mut self.after_backslash) => {}
                b'\\' if self.in_string => self.after_backslash = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                // The array around the values, if there is one, is not counted.
                b'{' => {
                    if self.depth == 0 {
                        self.start = self.at - 1;
                    }
                    self.depth += 1;
                }
                b'[' if self.depth > 0 => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        end = Some(self.at);
                    }
                }
                _ => {}
            }
        }
        let Some(end) = end else {
            if self.depth == 0 {
                self.start = self.at;
            }
            return None;
        };
        let value = self.start..end;
        self.start = end;
        Some(self.frame(value))
    }

    /// A value that the end of the bytes has cut off: for the reader to count as one that it cannot read.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        let rest = self.start..self.buffer.len();
        let is_cut = self.depth > 0;
        (self.start, self.at, self.depth) = (rest.end, rest.end, 0);
        is_cut.then(|| self.frame(rest))
    }

    fn frame(&mut self, value: std::ops::Range<usize>) -> Frame<'_> {
        let bytes = self.buffer.get(value).unwrap_or_default();
        let data = match json::utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                self.text = String::from_utf8_lossy(bytes).into_owned();
                &self.text
            }
        };
        Frame { event: "", data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], piece: usize) -> Vec<String> {
        let mut parser = Parser::default();
        let mut values = Vec::new();
        for bytes in text.chunks(piece) {
            parser.push(bytes).unwrap();
            while let Some(frame) = parser.next() {
                values.push(frame.data.to_owned());
            }
        }
        values.extend(parser.finish().map(|frame| format!("cut {}", frame.data)));
        values
    }

    #[test]
    fn lines_and_arrays_cut_anywhere_give_the_same_values() {
        let nested = r#"{"a":[{"b":"}]\"\\"},"ü"]}"#;
        for (text, expected) in [
            (format!("{nested}\n{{}}\r\n\n{{\"x\":1}}"), vec![nested, "{}", "{\"x\":1}"]),
            (format!("[{nested}\n,\r\n{{}}]\n"), vec![nested, "{}"]),
            ("[]".to_owned(), vec![]),
            ("[{}, {\"a\":\"x".to_owned(), vec!["{}", "cut {\"a\":\"x"]),
            ("{}null 7 \"{\" {}".to_owned(), vec!["{}", "{}"]),
        ] {
            for piece in [1, 2, 3, 7, text.len()] {
                assert_eq!(read(text.as_bytes(), piece), expected, "{text} by {piece}");
            }
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}", 1), ["{\"a\":\"\u{fffd}\"}"]);
    }

    #[test]
    fn a_value_without_end_is_refused() {
        let mut parser = Parser::default();
        parser.push(b"{\"a\":\"").unwrap();
        assert!(parser.next().is_none());
        assert_eq!(parser.push(&vec![b'x'; MAX_VALUE]), Err(Broken::TooLarge));
    }
}
