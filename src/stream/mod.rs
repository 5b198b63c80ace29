//! Bytes to frames to a strict stream, and back to the client's bytes.

/// One framed message of a streamed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's name; empty where the format has none.
    pub event: &'a str,
    pub data: &'a str,
}
