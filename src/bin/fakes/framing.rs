//! How events are written into a body: server-sent events, AWS event streams, JSON lines, a JSON array.
//!
//! A framer turns one event after the other into bytes. Faults of the text of server-sent events happen
//! here; it knows no provider and no time.

use hyper::body::Bytes;

use crate::faults::Faults;
use crate::provider::{Data, Event};

#[allow(dead_code, reason = "the formats that need the rest are being added")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Framing {
    #[default]
    ServerSentEvents,
    /// The binary frames of AWS.
    EventStream,
    /// A JSON in each line.
    JsonLines,
    /// One JSON array, written element by element.
    JsonArray,
}

impl Framing {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::ServerSentEvents => "text/event-stream; charset=utf-8",
            Self::EventStream => "application/vnd.amazon.eventstream",
            Self::JsonLines => "application/x-ndjson",
            Self::JsonArray => "application/json; charset=UTF-8",
        }
    }
}

pub struct Framer {
    framing: Framing,
    line_end: &'static str,
    colon: &'static str,
    bom: bool,
    began: bool,
}

impl Framer {
    pub fn new(framing: Framing, faults: &Faults) -> Self {
        let line_end = if faults.has("crlf") {
            "\r\n"
        } else if faults.has("cr") {
            "\r"
        } else {
            "\n"
        };
        let colon = if faults.has("no_space") { ":" } else { ": " };
        Self { framing, line_end, colon, bom: faults.has("bom"), began: false }
    }

    /// What stands before the first event.
    pub fn start(&mut self) -> Option<Bytes> {
        self.bom.then(|| Bytes::from_static(b"\xef\xbb\xbf"))
    }

    pub fn frame(&mut self, event: &Event) -> Bytes {
        match self.framing {
            Framing::ServerSentEvents => self.server_sent(event),
            Framing::EventStream => binary(event).into(),
            Framing::JsonLines => match &event.data {
                Data::Comment(_) => Bytes::from_static(b"\n"),
                Data::Line(data) | Data::Glued(data) | Data::Exception(data) => format!("{data}\n").into(),
            },
            Framing::JsonArray => match &event.data {
                Data::Comment(_) => Bytes::from_static(b"\n"),
                Data::Line(data) | Data::Glued(data) | Data::Exception(data) => {
                    let before = if std::mem::replace(&mut self.began, true) { ",\r\n" } else { "[" };
                    format!("{before}{data}").into()
                }
            },
        }
    }

    /// What stands behind the last event.
    pub fn end(&self) -> Option<Bytes> {
        match (self.framing, self.began) {
            (Framing::JsonArray, true) => Some(Bytes::from_static(b"]")),
            (Framing::JsonArray, false) => Some(Bytes::from_static(b"[]")),
            _ => None,
        }
    }

    fn server_sent(&self, event: &Event) -> Bytes {
        let Self { line_end, colon, .. } = *self;
        let (Data::Line(data) | Data::Glued(data) | Data::Exception(data)) = &event.data else {
            let Data::Comment(text) = event.data else { return Bytes::new() };
            return format!(":{}{text}{line_end}{line_end}", colon.trim_start_matches(':')).into();
        };
        let colon = if event.glued || matches!(event.data, Data::Glued(_)) { ":" } else { colon };
        let mut text = String::with_capacity(data.len() + 48);
        if let Some(id) = event.id {
            text.extend(["id", colon, &id.to_string(), line_end]);
        }
        if let Some(name) = &event.name {
            text.extend(["event", colon, name, line_end]);
        }
        if let Some(comment) = event.comment {
            text.extend([":", comment, line_end]);
        }
        text.extend(["data", colon, data, line_end, line_end]);
        text.into()
    }
}

/// One frame: lengths and their checksum, headers, payload, and the checksum of all.
fn binary(event: &Event) -> Vec<u8> {
    const JSON: &str = "application/json";
    let name = event.name.as_deref().unwrap_or("chunk");
    let (headers, payload) = match &event.data {
        Data::Comment(name) => ([(":event-type", *name), (":content-type", JSON), (":message-type", "event")], "{}"),
        Data::Exception(data) => {
            ([(":exception-type", name), (":content-type", JSON), (":message-type", "exception")], data.as_str())
        }
        Data::Line(data) | Data::Glued(data) => {
            ([(":event-type", name), (":content-type", JSON), (":message-type", "event")], data.as_str())
        }
    };
    let headers: Vec<u8> = headers.iter().flat_map(|(name, value)| header(name, value)).collect();
    let total = headers.len() + payload.len() + 16;
    let mut frame = Vec::with_capacity(total);
    frame.extend(length(total));
    frame.extend(length(headers.len()));
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn header(name: &str, value: &str) -> Vec<u8> {
    /// The type of a string.
    const STRING: u8 = 7;
    let mut bytes = vec![u8::try_from(name.len()).unwrap_or(u8::MAX)];
    bytes.extend(name.as_bytes());
    bytes.push(STRING);
    bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(value.as_bytes());
    bytes
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Kind;

    fn event(data: &str) -> Event {
        Event::new(Kind::Token, None, data.to_owned())
    }

    fn framed(framing: Framing, events: &[Event]) -> String {
        let mut framer = Framer::new(framing, &Faults::default());
        let mut bytes: Vec<u8> = events.iter().flat_map(|event| framer.frame(event)).collect();
        bytes.extend(framer.end().unwrap_or_default());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn frame_of_an_event_stream_is_the_documented_one() {
        let stop = r#"{"stopReason":"end_turn"}"#;
        let frame = binary(&Event::new(Kind::Finish, Some("messageStop"), stop.to_owned()));
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f70\
             0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e\
             0d3a6d6573736167652d747970650700056576656e74\
             7b2273746f70526561736f6e223a22656e645f7475726e227d5fbf09fc"
        );
    }

    #[test]
    fn exception_says_that_it_is_one() {
        let error =
            Event { data: Data::Exception("{}".to_owned()), ..Event::new(Kind::Other, Some("x"), String::new()) };
        let text = String::from_utf8_lossy(&binary(&error)).into_owned();
        assert!(text.contains(":exception-type") && text.contains("exception{}"), "{text}");
    }

    #[test]
    fn array_is_json_as_a_whole() {
        let events = [event("{}"), event("{\"a\":1}")];
        assert_eq!(framed(Framing::JsonArray, &events), "[{},\r\n{\"a\":1}]");
        assert_eq!(framed(Framing::JsonArray, &[]), "[]");
        assert_eq!(framed(Framing::JsonLines, &events), "{}\n{\"a\":1}\n");
    }

    #[test]
    fn lines_of_an_event_are_in_their_order() {
        let event = Event {
            id: Some(1),
            comment: Some("HTTP_STATUS/200"),
            glued: true,
            ..Event::new(Kind::Token, Some("result"), "{}".to_owned())
        };
        assert_eq!(framed(Framing::ServerSentEvents, &[event]), "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n");
    }
}
