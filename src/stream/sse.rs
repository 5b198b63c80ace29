//! Server-sent events by the WHATWG rules (HTML Standard, section 9.2.6), incrementally.
//!
//! Bytes go in as they arrive, cut anywhere; events come out. Each byte is searched once and an event
//! of one `data` line is a slice of the buffer. What events say is unknown here, except where servers
//! leave out the blank line between two of them: then a whole JSON value is the end of one (quirk A23).

use std::ops::Range;

use super::Frame;
use crate::json;
use crate::memory::append;

/// The longest event that is taken, in bytes. Images that models generate come as one event of
/// base64, several megabytes each; nobody sends text like that. What is held per stream is bounded by it.
pub const MAX_EVENT: usize = 16 << 20;

#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

#[derive(Default)]
pub struct Parser {
    /// Bytes that belong to events not yet handed out.
    buffer: Vec<u8>,
    /// Where the first line that is not yet read begins; what lies before is spent, or `data` points to it.
    line: usize,
    /// `line <= searched <= buffer.len()`: up to here there is no line end.
    searched: usize,
    /// The event so far.
    data: Data,
    event: String,
    /// A name that came behind the data: this event's, or the next one's if more data follows.
    late_name: Option<String>,
    /// Data that is no slice of the buffer: joined lines, repaired UTF-8.
    text: String,
    /// The event has been handed out; the next call begins a new one.
    dispatched: bool,
    /// A carriage return has ended a line and a line feed behind it would belong to it.
    after_cr: bool,
    /// Whether anything was read: a byte order mark counts at the very start only.
    begun: bool,
}

/// The event's data: none, one line of the buffer, or lines that had to be joined.
#[derive(Default)]
enum Data {
    #[default]
    None,
    Line(Range<usize>),
    Joined(Vec<u8>),
}

impl Parser {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let joined = if let Data::Joined(joined) = &self.data { joined.len() } else { 0 };
        let pending = self.buffer.len() + joined;
        if pending + bytes.len() > MAX_EVENT {
            // Many small events in one piece are no large event: what counts is what belongs to one.
            let rest_of_line = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
            if pending + rest_of_line > MAX_EVENT {
                return Err(TooLarge);
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// What has not been read, where it begins with an event: nothing is known of one.
    pub fn unread(&mut self) -> Option<&[u8]> {
        self.begin_event();
        let is_between = self.event.is_empty() && self.late_name.is_none() && matches!(self.data, Data::None);
        if !self.begun || !is_between {
            return None;
        }
        self.skip_line_feed();
        self.buffer.get(self.line..)
    }

    /// Takes as much of what is unread for read: whole events, if any.
    pub fn skip(&mut self, length: usize) {
        if length > 0 {
            self.line += length;
            self.searched = self.searched.max(self.line);
            self.after_cr = self.buffer.get(self.line - 1) == Some(&b'\r');
        }
    }

    /// The bytes of the last event, if it has begun where `unread` bytes were unread, and a blank line has
    /// ended it.
    pub fn last(&self, unread: usize) -> Option<&[u8]> {
        let event = self.buffer.get(self.buffer.len().checked_sub(unread)?..self.line)?;
        [b"\n\n", b"\n\r", b"\r\r"].iter().any(|end| event.ends_with(*end)).then_some(event)
    }

    /// The next whole event, or `None` if more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "an event borrows from the parser")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        self.begin_event();
        if !self.begun {
            self.skip_byte_order_mark();
        }
        while let Some(line) = self.next_line() {
            if line.is_empty() {
                if !matches!(self.data, Data::None) {
                    self.event = self.late_name.take().unwrap_or(std::mem::take(&mut self.event));
                    return Some(self.dispatch());
                }
                self.event.clear();
            } else if self.is_of_next_event(&line) {
                // It is read again, for the event it belongs to.
                self.line = line.start;
                self.searched = line.start;
                self.after_cr = false;
                return Some(self.dispatch());
            } else {
                self.field(line);
            }
        }
        None
    }

    /// What there is behind the last blank line (quirk A13). Once more until there is nothing.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        self.begin_event();
        let rest = self.line..self.buffer.len();
        if !self.is_of_next_event(&rest) {
            self.line = rest.end;
            self.searched = rest.end;
            if !rest.is_empty() {
                self.field(rest);
            }
            self.event = self.late_name.take().unwrap_or(std::mem::take(&mut self.event));
        }
        (!matches!(self.data, Data::None)).then(|| self.dispatch())
    }

    fn begin_event(&mut self) {
        if std::mem::take(&mut self.dispatched) {
            match self.late_name.take() {
                Some(name) => self.event = name,
                None => self.event.clear(),
            }
        }
    }

    /// Whether a line begins another event although no blank line has ended the one before: what that
    /// one says is complete, and more JSON or the mark of the end follows.
    fn is_of_next_event(&self, line: &Range<usize>) -> bool {
        let Data::Line(data) = &self.data else { return false };
        let line = self.buffer.get(line.clone()).unwrap_or_default();
        let Some(value) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii_start) else { return false };
        let data = self.buffer.get(data.clone()).unwrap_or_default();
        // As it will be told: with what is no UTF-8 replaced.
        let is_whole = || json::is_valid(String::from_utf8_lossy(data).as_bytes());
        (value.starts_with(b"{") || value.starts_with(b"[DONE]")) && (data.starts_with(b"[DONE]") || is_whole())
    }

    fn skip_byte_order_mark(&mut self) {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        if self.buffer.starts_with(MARK) {
            self.line = MARK.len();
            self.searched = MARK.len();
            self.begun = true;
        } else {
            self.begun = !MARK.starts_with(&self.buffer);
        }
    }

    fn skip_line_feed(&mut self) {
        if self.after_cr && self.line < self.buffer.len() {
            self.after_cr = false;
            if self.buffer.get(self.line) == Some(&b'\n') {
                self.line += 1;
                self.searched = self.searched.max(self.line);
            }
        }
    }

    fn next_line(&mut self) -> Option<Range<usize>> {
        self.skip_line_feed();
        let unsearched = self.buffer.get(self.searched..)?;
        let Some(at) = memchr::memchr2(b'\n', b'\r', unsearched) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + at;
        let line = self.line..end;
        self.after_cr = self.buffer.get(end) == Some(&b'\r');
        self.line = end + 1;
        self.searched = self.line;
        Some(line)
    }

    fn field(&mut self, line: Range<usize>) {
        let Some(bytes) = self.buffer.get(line.clone()) else { return };
        let colon = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
        let (name, value) = bytes.split_at(colon);
        let skip = match value {
            [b':', b' ', ..] => 2,
            [b':', ..] => 1,
            _ => 0,
        };
        let value = line.start + colon + skip..line.end;
        match name {
            b"data" => {
                let previous = std::mem::take(&mut self.data);
                self.data = match previous {
                    Data::None => Data::Line(value),
                    Data::Line(first) => {
                        let first = self.buffer.get(first).unwrap_or_default();
                        let second = self.buffer.get(value).unwrap_or_default();
                        Data::Joined([first, second].join(&b'\n'))
                    }
                    Data::Joined(mut joined) => {
                        joined.push(b'\n');
                        joined.extend_from_slice(self.buffer.get(value).unwrap_or_default());
                        Data::Joined(joined)
                    }
                };
            }
            b"event" => {
                let name = String::from_utf8_lossy(self.buffer.get(value).unwrap_or_default()).into_owned();
                match self.data {
                    Data::None => self.event = name,
                    Data::Line(_) | Data::Joined(_) => self.late_name = Some(name),
                }
            }
            // Comments, `id`, `retry`, and what nobody has heard of.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Frame<'_> {
        self.dispatched = true;
        let line = match std::mem::take(&mut self.data) {
            Data::Line(range) => self.buffer.get(range).unwrap_or_default(),
            Data::Joined(joined) => {
                self.text = String::from_utf8_lossy(&joined).into_owned();
                return Frame { event: &self.event, data: &self.text };
            }
            Data::None => &[],
        };
        let data = match json::utf8(line) {
            Ok(text) => text,
            Err(_) => {
                self.text = String::from_utf8_lossy(line).into_owned();
                &self.text
            }
        };
        Frame { event: &self.event, data }
    }

    /// Lets go of what is spent, and of the room for it: a stream that waits holds no more than what is unread. All
    /// events must have been taken before.
    pub fn compact(&mut self) {
        let keep = match &mut self.data {
            Data::Line(range) => {
                let keep = range.start;
                *range = 0..range.end - keep;
                keep
            }
            Data::None | Data::Joined(_) => self.line,
        };
        self.line -= keep;
        self.searched -= keep;
        if keep > 0 {
            self.buffer = self.buffer.split_off(keep);
        }
    }
}

/// Writes one event. A line end in JSON is only ever white space, and some clients read one `data`
/// line per event, so it becomes a space.
pub fn write(out: &mut Vec<u8>, data: &[u8]) {
    append(out, b"data: ");
    let start = out.len();
    append(out, data);
    if memchr::memchr2(b'\n', b'\r', data).is_some() {
        for byte in out.iter_mut().skip(start).filter(|byte| matches!(**byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
    append(out, b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    type Events = Vec<(String, String)>;

    fn read(pieces: &[&[u8]]) -> Events {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece).unwrap();
            while let Some(frame) = parser.next() {
                events.push((frame.event.to_owned(), frame.data.to_owned()));
            }
        }
        while let Some(frame) = parser.finish() {
            events.push((frame.event.to_owned(), frame.data.to_owned()));
        }
        events
    }

    fn events(list: &[(&str, &str)]) -> Events {
        list.iter().map(|(event, data)| (event.to_string(), data.to_string())).collect()
    }

    /// An event's name and data.
    type Event = (&'static str, &'static str);

    /// Bytes, and what they say.
    const CASES: &[(&[u8], &[Event])] = &[
        (b"data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]),
        (b"data:a\r\n\r\ndata: b\r\r", &[("", "a"), ("", "b")]),
        (b"\xEF\xBB\xBFdata: a\n\n", &[("", "a")]),
        (b": hello\n\nevent: ping\n\nevent: x\nid: 1\nretry: 5\nfoo: 1\nbar\ndata:  b\n\n", &[("x", " b")]),
        (b"data: {\ndata: \"a\":1}\ndata\n\n", &[("", "{\n\"a\":1}\n")]),
        (b"data: last", &[("", "last")]),
        (b"data: last\n", &[("", "last")]),
        (b"event: e\ndata: \xE4\xBD\xA0\n\ndata: c\n\n", &[("e", "\u{4f60}"), ("", "c")]),
        (b"data: \xFF!\n\ndata: d\n\n", &[("", "\u{fffd}!"), ("", "d")]),
        (b"data: a\ndata: \xFF\n\ndata: d\n\n", &[("", "a\n\u{fffd}"), ("", "d")]),
        (b"data\n\n", &[("", "")]),
        (b"data: {}\ndata: {\ndata: }\n\n", &[("", "{}"), ("", "{\n}")]),
        (b"data:{}\r\ndata:{}\r\ndata: [DONE]\r\ndata: {}", &[("", "{}"), ("", "{}"), ("", "[DONE]"), ("", "{}")]),
        (b"data: {\"a\":\"\xFF\"}\ndata: {}\n\n", &[("", "{\"a\":\"\u{fffd}\"}"), ("", "{}")]),
        (b"event: a\ndata: {}\nid: 1\nevent: b\ndata: {}\n", &[("a", "{}"), ("b", "{}")]),
        (b"data: {}\nevent: a\n\ndata: {\nevent: b\ndata: {}}\n\n", &[("a", "{}"), ("b", "{\n{}}")]),
        (b"", &[]),
        (b"\n\n\n", &[]),
    ];

    #[test]
    fn any_split_reads_the_same() {
        for (input, expected) in CASES {
            let expected = events(expected);
            assert_eq!(read(&[input]), expected, "whole: {input:?}");
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(read(&bytes), expected, "byte by byte: {input:?}");
            for at in 0..input.len() {
                let (head, tail) = input.split_at(at);
                assert_eq!(read(&[head, tail]), expected, "cut at {at}: {input:?}");
            }
        }
    }

    #[test]
    fn an_event_over_the_cap_is_refused_and_many_small_ones_are_not() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        parser.push(b"data: ").unwrap();
        let refused = (0..32).find_map(|_| parser.push(&piece).err().or_else(|| parser.next().map(|_| TooLarge)));
        assert_eq!(refused, Some(TooLarge));

        let mut parser = Parser::default();
        let many = b"data: a\n\n".repeat((MAX_EVENT / 9) + 10);
        parser.push(&many).unwrap();
        let mut count = 0;
        while parser.next().is_some() {
            count += 1;
        }
        assert_eq!(count, MAX_EVENT / 9 + 10);
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        write(&mut out, b"{\"a\":\n1}");
        assert_eq!(out, b"data: {\"a\": 1}\n\n");
        assert_eq!(read(&[&out]), events(&[("", "{\"a\": 1}")]));
    }
}
