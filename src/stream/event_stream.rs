//! AWS's binary event streams (`application/vnd.amazon.eventstream`), incrementally.
//!
//! ```text
//! 0  total length │ 4  length of headers │ 8  CRC of 0..8 │ 12 headers, payload │ total-4  CRC of all before
//! ```
//!
//! Both checksums are verified: behind a damaged frame no other can be found, so that the stream ends
//! there. Reference: "Event stream encoding" in Amazon's Transcribe and Bedrock documentation, botocore's
//! `eventstream.py`.

use crc::{CRC_32_ISO_HDLC, Crc};

use super::{Broken, Frame};
use crate::json;

/// A table of one kilobyte: quick enough for what a model writes.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// The longest frame that is taken: as for events ([`super::sse::MAX_EVENT`]). What a frame claims beyond it is
/// refused before a byte of it is kept, so that a stream can never make us hold more than this and one read.
const MAX_FRAME: usize = super::sse::MAX_EVENT;

/// The longest headers that are taken: botocore's own limit (`_MAX_HEADERS_LENGTH`).
const MAX_HEADERS: usize = 128 << 10;

#[derive(Default)]
pub struct Parser {
    buffer: Vec<u8>,
    /// What lies before it is spent.
    start: usize,
    event: String,
    /// The last frame's payload, where it is not told as it came.
    text: String,
}

impl Parser {
    /// Takes the next bytes. All frames must have been taken with [`Parser::next`] before.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole frame, or `None` if more bytes are needed. Its event is the type that its headers say;
    /// exceptions have theirs (`throttlingException`), and an error without payload is `error`.
    #[expect(clippy::should_implement_trait, reason = "a frame borrows from the parser")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Broken> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some((prelude, _)) = rest.split_first_chunk::<PRELUDE>() else { return Ok(None) };
        let [t0, t1, t2, t3, h0, h1, h2, h3, checksum @ ..] = *prelude;
        let lengths = [t0, t1, t2, t3, h0, h1, h2, h3];
        if CRC.checksum(&lengths) != u32::from_be_bytes(checksum) {
            return Err(Broken::Damaged("the checksum of a frame's lengths is wrong"));
        }
        let total = u32::from_be_bytes([t0, t1, t2, t3]) as usize;
        let headers = u32::from_be_bytes([h0, h1, h2, h3]) as usize;
        if total > MAX_FRAME || headers.min(total) > MAX_HEADERS {
            return Err(Broken::TooLarge);
        }
        let payload_at = PRELUDE.saturating_add(headers);
        let Some(payload_end) = total.checked_sub(CHECKSUM).filter(|end| *end >= payload_at) else {
            return Err(Broken::Damaged("a frame is shorter than its headers"));
        };
        let Some(frame) = rest.get(..total) else { return Ok(None) };
        let (checked, checksum) = frame.split_at(payload_end);
        if checksum != CRC.checksum(checked).to_be_bytes() {
            return Err(Broken::Damaged("the checksum of a frame is wrong"));
        }
        self.start += total;
        let headers = Headers(checked.get(PRELUDE..payload_at).unwrap_or_default());
        let payload = checked.get(payload_at..).unwrap_or_default();
        self.event.clear();
        let mut message = None;
        let mut code = None;
        for (name, value) in headers {
            match name {
                b":event-type" | b":exception-type" => {
                    String::from_utf8_lossy(value).as_ref().clone_into(&mut self.event);
                }
                b":error-message" => message = Some(value),
                b":error-code" => code = Some(value),
                _ => {}
            }
        }
        let data = match (message, code, std::str::from_utf8(payload)) {
            (None, None, Ok(_)) => {
                // Borrowed again from the buffer itself: `self` was written to above.
                let start = self.start - total;
                let payload = self.buffer.get(start + payload_at..start + payload_end).unwrap_or_default();
                std::str::from_utf8(payload).unwrap_or_default()
            }
            (None, None, Err(_)) => {
                self.text = String::from_utf8_lossy(payload).into_owned();
                &self.text
            }
            (message, code, _) => {
                let text = |value: Option<&[u8]>| json::escape(&String::from_utf8_lossy(value.unwrap_or_default()));
                "error".clone_into(&mut self.event);
                self.text = format!("{{\"code\":{},\"message\":{}}}", text(code), text(message));
                &self.text
            }
        };
        Ok(Some(Frame { event: &self.event, data }))
    }
}

/// The string headers among a frame's headers, name and value; it ends where they cannot be read.
struct Headers<'a>(&'a [u8]);

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (length, rest) = self.0.split_first()?;
            let (name, rest) = rest.split_at_checked((*length).into())?;
            let (kind, rest) = rest.split_first()?;
            let (length, rest) = match kind {
                0 | 1 => (0, rest),
                2 => (1, rest),
                3 => (2, rest),
                4 => (4, rest),
                5 | 8 => (8, rest),
                9 => (16, rest),
                6 | 7 => {
                    let (length, rest) = rest.split_first_chunk::<2>()?;
                    (u16::from_be_bytes(*length).into(), rest)
                }
                _ => return None,
            };
            let (value, rest) = rest.split_at_checked(length)?;
            self.0 = rest;
            if *kind == 7 {
                return Some((name, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes as a server does.
    fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (name, value) in headers {
            encoded.push(name.len() as u8);
            encoded.extend(name.as_bytes());
            encoded.push(7);
            encoded.extend((value.len() as u16).to_be_bytes());
            encoded.extend(value.as_bytes());
        }
        let total = PRELUDE + encoded.len() + payload.len() + CHECKSUM;
        let mut out = Vec::new();
        out.extend((total as u32).to_be_bytes());
        out.extend((encoded.len() as u32).to_be_bytes());
        out.extend(CRC.checksum(&out).to_be_bytes());
        out.extend(encoded);
        out.extend(payload.as_bytes());
        out.extend(CRC.checksum(&out).to_be_bytes());
        out
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<(String, String)>, Broken> {
        let mut parser = Parser::default();
        let mut frames = Vec::new();
        for bytes in bytes.chunks(piece) {
            parser.push(bytes)?;
            while let Some(frame) = parser.next()? {
                frames.push((frame.event.to_owned(), frame.data.to_owned()));
            }
        }
        Ok(frames)
    }

    /// A frame as botocore reads it.
    const WORKED: &str = "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f70\
                          0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e\
                          0d3a6d6573736167652d747970650700056576656e74\
                          7b2273746f70526561736f6e223a22656e645f7475726e227d5fbf09fc";

    #[test]
    fn frames_cut_anywhere_are_read() {
        let worked: Vec<u8> =
            (0..WORKED.len()).step_by(2).map(|at| u8::from_str_radix(&WORKED[at..at + 2], 16).unwrap()).collect();
        let mut stream = worked;
        stream.extend(frame(&[(":message-type", "exception"), (":exception-type", "throttlingException")], "{}"));
        stream.extend(frame(&[(":message-type", "error"), (":error-code", "x"), (":error-message", "a \"b\"")], ""));
        let expected = [
            ("messageStop", r#"{"stopReason":"end_turn"}"#),
            ("throttlingException", "{}"),
            ("error", r#"{"code":"x","message":"a \"b\""}"#),
        ];
        let expected = expected.map(|(event, data)| (event.to_owned(), data.to_owned()));
        for piece in [1, 3, 16, 121, 122, stream.len()] {
            assert_eq!(read(&stream, piece).unwrap(), expected, "by {piece}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let whole = frame(&[(":event-type", "x")], "{\"a\":1}");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged, damaged.len()).is_err(), "byte {at}");
        }
    }

    /// A claim costs nothing: memory grows with what has come, and not at all beyond the longest frame.
    #[test]
    fn a_frame_that_claims_much_is_given_no_room_before_it_comes() {
        let mut parser = Parser::default();
        let mut bytes = [(MAX_FRAME as u32).to_be_bytes(), 0_u32.to_be_bytes()].concat();
        bytes.extend(CRC.checksum(&bytes).to_be_bytes());
        bytes.resize(1000, 0);
        parser.push(&bytes).unwrap();
        assert_eq!(parser.next(), Ok(None));
        assert!(parser.buffer.capacity() < 1 << 16);
        let rest = vec![0; MAX_FRAME - bytes.len()];
        parser.push(&rest).unwrap();
        assert!(parser.next().is_err());
    }

    #[test]
    fn the_last_of_repeated_types_holds_and_a_payload_need_not_be_text() {
        let mut bytes = frame(&[(":event-type", "a"), (":event-type", "b")], "x");
        let end = bytes.len() - CHECKSUM;
        bytes[end - 1] = 0xFF;
        let checksum = CRC.checksum(&bytes[..end]).to_be_bytes();
        bytes[end..].copy_from_slice(&checksum);
        assert_eq!(read(&bytes, 7).unwrap(), [("b".to_owned(), "\u{FFFD}".to_owned())]);
        assert_eq!(read(&frame(&[], ""), 7).unwrap(), [(String::new(), String::new())]);
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for (total, headers, expected) in [
            (15_u32, 0_u32, Broken::Damaged("a frame is shorter than its headers")),
            (100, 85, Broken::Damaged("a frame is shorter than its headers")),
            (16, u32::MAX, Broken::Damaged("a frame is shorter than its headers")),
            (u32::MAX, 0, Broken::TooLarge),
            (1 << 20, (128 << 10) + 1, Broken::TooLarge),
        ] {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(CRC.checksum(&bytes).to_be_bytes());
            assert_eq!(read(&bytes, 5), Err(expected), "{total} {headers}");
        }
    }
}
