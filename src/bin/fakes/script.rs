//! From events to what happens on the connection: writes, waits, and the ways an answer goes wrong.
//!
//! A script is an iterator of steps and knows no socket and no clock; `body` plays it. It knows server-sent
//! events, and of the providers only which event is a token.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::HeaderValue;

use crate::faults::Faults;
use crate::provider::{Data, Event, Events, Kind};

#[derive(Debug, PartialEq)]
pub enum Step {
    Write(Bytes),
    Wait(Duration),
    Trailers(HeaderMap),
    /// Nothing more, and no end.
    Hang,
    /// The connection (of HTTP/2: the stream) breaks.
    Break,
}

pub type Steps = Box<dyn Iterator<Item = Step> + Send>;

/// How a stream ends before its time.
enum Early {
    Error(Event),
    Cut,
    End,
    Stall,
}

struct Script {
    events: Events,
    /// Steps that an event has become and that are not taken yet.
    next: VecDeque<Step>,
    framing: Framing,
    split: Option<usize>,
    tokens: u64,
    /// Before the first token.
    first: Duration,
    /// Between tokens.
    pace: Duration,
    early: Option<(u64, Early)>,
    trailers: bool,
}

pub fn of_stream(events: Events, faults: &Faults, pace: Duration, error: impl Fn() -> Event) -> Steps {
    let after = |name| faults.number(name);
    let early = after("error_after").map(|n| (n, Early::Error(error())));
    let early = early.or_else(|| after("cut_after").map(|n| (n, Early::Cut)));
    let early = early.or_else(|| after("end_after").map(|n| (n, Early::End)));
    let early = early.or_else(|| after("stall_after").map(|n| (n, Early::Stall)));
    let bom = faults.has("bom").then(|| Step::Write(Bytes::from_static(b"\xef\xbb\xbf")));
    Box::new(Script {
        events,
        next: bom.into_iter().collect(),
        framing: Framing::new(faults),
        split: faults.number("split").and_then(|size| usize::try_from(size.max(1)).ok()),
        tokens: 0,
        first: millis(faults, "first_token_ms").unwrap_or_default(),
        pace: millis(faults, "pace_ms").unwrap_or(pace),
        early,
        trailers: faults.has("trailers"),
    })
}

/// A body that is not a stream of events. Faults that count tokens happen in its middle.
pub fn of_bytes(body: Bytes, faults: &Faults) -> Steps {
    let mut steps = VecDeque::new();
    steps.extend(millis(faults, "first_token_ms").map(Step::Wait));
    let half = body.slice(..body.len() / 2);
    let written = if faults.has("cut_after") || faults.has("stall_after") { half } else { body };
    let split = faults.number("split").and_then(|size| usize::try_from(size.max(1)).ok());
    write(&mut steps, written, split);
    if faults.has("cut_after") {
        steps.push_back(Step::Break);
    } else if faults.has("stall_after") {
        steps.push_back(Step::Hang);
    } else if faults.has("trailers") {
        steps.push_back(Step::Trailers(trailers()));
    }
    Box::new(steps.into_iter())
}

/// Signs of life and nothing else.
pub fn of_pings(ping: Event, faults: &Faults, pace: Duration) -> Steps {
    const LEAST: Duration = Duration::from_millis(50);
    let pace = millis(faults, "pace_ms").unwrap_or(pace).max(LEAST);
    let bytes = Framing::new(faults).frame(&ping);
    Box::new((0..).map(move |n: u64| if n.is_multiple_of(2) { Step::Write(bytes.clone()) } else { Step::Wait(pace) }))
}

pub fn millis(faults: &Faults, name: &str) -> Option<Duration> {
    faults.number(name).map(Duration::from_millis)
}

fn write(steps: &mut VecDeque<Step>, mut bytes: Bytes, split: Option<usize>) {
    while let Some(size) = split.filter(|size| *size < bytes.len()) {
        steps.push_back(Step::Write(bytes.split_to(size)));
    }
    steps.push_back(Step::Write(bytes));
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-fake-trailer", HeaderValue::from_static("the end"));
    trailers
}

impl Iterator for Script {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(step) = self.next.pop_front() {
            return Some(step);
        }
        let Some(event) = self.events.next() else {
            return std::mem::take(&mut self.trailers).then(|| Step::Trailers(trailers()));
        };
        if event.kind != Kind::Other
            && let Some((_, early)) = self.early.take_if(|(tokens, _)| *tokens == self.tokens)
        {
            return self.end_early(early);
        }
        if event.kind == Kind::Token {
            let wait = if self.tokens == 0 { self.first } else { self.pace };
            self.tokens += 1;
            if !wait.is_zero() {
                self.next.push_back(Step::Wait(wait));
            }
        }
        let bytes = self.framing.frame(&event);
        if self.split.is_none() && self.next.is_empty() {
            return Some(Step::Write(bytes));
        }
        write(&mut self.next, bytes, self.split);
        self.next.pop_front()
    }
}

impl Script {
    fn end_early(&mut self, early: Early) -> Option<Step> {
        self.events = Box::new(std::iter::empty());
        match early {
            Early::Error(event) => Some(Step::Write(self.framing.frame(&event))),
            Early::Cut => Some(Step::Break),
            Early::Stall => Some(Step::Hang),
            Early::End => self.next(),
        }
    }
}

struct Framing {
    line_end: &'static str,
    colon: &'static str,
}

impl Framing {
    fn new(faults: &Faults) -> Self {
        let line_end = if faults.has("crlf") {
            "\r\n"
        } else if faults.has("cr") {
            "\r"
        } else {
            "\n"
        };
        Self { line_end, colon: if faults.has("no_space") { ":" } else { ": " } }
    }

    fn frame(&self, event: &Event) -> Bytes {
        let Self { line_end, colon } = *self;
        let (Data::Line(data) | Data::Glued(data)) = &event.data else {
            let Data::Comment(text) = event.data else { return Bytes::new() };
            return format!(":{}{text}{line_end}{line_end}", colon.trim_start_matches(':')).into();
        };
        let colon = if matches!(event.data, Data::Glued(_)) { ":" } else { colon };
        let mut text = String::with_capacity(data.len() + 48);
        if let Some(name) = event.name {
            text.extend(["event", colon, name, line_end]);
        }
        text.extend(["data", colon, data, line_end, line_end]);
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(faults: &str) -> String {
        let faults = Faults::parse("openai", faults).unwrap();
        let event = |kind, data: &str| Event::new(kind, None, data.to_owned());
        let events =
            [event(Kind::Other, "role"), event(Kind::Token, "a"), event(Kind::Token, "b"), event(Kind::Finish, "end")];
        let steps = of_stream(Box::new(events.into_iter()), &faults, Duration::ZERO, || event(Kind::Other, "error"));
        let shown = steps.map(|step| match step {
            Step::Write(bytes) => String::from_utf8_lossy(&bytes).replace("\n\n", "|").replace("\r\r", "^"),
            Step::Wait(time) => format!("({time:?})"),
            other => format!("{other:?}").chars().take(5).collect(),
        });
        shown.collect()
    }

    #[test]
    fn faults_happen_where_they_say() {
        let cases = [
            ("", "data: role|data: a|data: b|data: end|"),
            ("no_space&cr", "data:role^data:a^data:b^data:end^"),
            ("first_token_ms=5&pace_ms=1", "data: role|(5ms)data: a|(1ms)data: b|data: end|"),
            ("cut_after=0", "data: role|Break"),
            ("cut_after=1", "data: role|data: a|Break"),
            ("end_after=1", "data: role|data: a|"),
            ("stall_after=2", "data: role|data: a|data: b|Hang"),
            ("error_after=2", "data: role|data: a|data: b|data: error|"),
            ("cut_after=3", "data: role|data: a|data: b|data: end|"),
            ("trailers", "data: role|data: a|data: b|data: end|Trail"),
        ];
        for (faults, expected) in cases {
            assert_eq!(played(faults), expected, "{faults}");
        }
    }

    #[test]
    fn split_pieces_are_the_same_bytes() {
        assert_eq!(played("split=1").replace("\n\n", "|").replace('\n', "|").replace("||", "|"), played(""));
    }
}
