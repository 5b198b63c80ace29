//! From events to what happens on the connection: writes, waits, and the ways an answer goes wrong.
//!
//! A script is an iterator of steps and knows no socket and no clock; `body` plays it. Of the providers it
//! knows only which event is a token, and of the bytes of an event nothing: `framing` writes them.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::HeaderValue;

use crate::faults::Faults;
use crate::framing::{Framer, Framing};
use crate::provider::{Event, Events, Kind};

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
    framer: Framer,
    split: Option<usize>,
    tokens: u64,
    /// Before the first token.
    first: Duration,
    /// Between tokens.
    pace: Duration,
    early: Option<(u64, Early)>,
    /// What the framing has behind the last event is still to be written.
    ends: bool,
    trailers: bool,
}

pub fn of_stream(
    events: Events,
    framing: Framing,
    faults: &Faults,
    pace: Duration,
    error: impl Fn() -> Event,
) -> Steps {
    let after = |name| faults.number(name);
    let early = after("error_after").map(|n| (n, Early::Error(error())));
    let early = early.or_else(|| after("cut_after").map(|n| (n, Early::Cut)));
    let early = early.or_else(|| after("end_after").map(|n| (n, Early::End)));
    let early = early.or_else(|| after("stall_after").map(|n| (n, Early::Stall)));
    let mut framer = Framer::new(framing, faults);
    Box::new(Script {
        events,
        next: framer.start().map(Step::Write).into_iter().collect(),
        framer,
        split: faults.number("split").and_then(|size| usize::try_from(size.max(1)).ok()),
        tokens: 0,
        first: millis(faults, "first_token_ms").unwrap_or_default(),
        pace: millis(faults, "pace_ms").unwrap_or(pace),
        early,
        ends: true,
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
pub fn of_pings(ping: Event, framing: Framing, faults: &Faults, pace: Duration) -> Steps {
    const LEAST: Duration = Duration::from_millis(50);
    let pace = millis(faults, "pace_ms").unwrap_or(pace).max(LEAST);
    let bytes = Framer::new(framing, faults).frame(&ping);
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
            if let Some(end) = std::mem::take(&mut self.ends).then(|| self.framer.end()).flatten() {
                return Some(Step::Write(end));
            }
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
        let bytes = self.framer.frame(&event);
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
        self.ends = matches!(early, Early::Error(_));
        match early {
            Early::Error(event) => Some(Step::Write(self.framer.frame(&event))),
            Early::Cut => Some(Step::Break),
            Early::Stall => Some(Step::Hang),
            Early::End => self.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{SERVER_SENT, Vocabulary};

    fn played(faults: &str) -> String {
        played_as(Framing::ServerSentEvents, faults)
    }

    fn played_as(framing: Framing, faults: &str) -> String {
        let vocabulary = Vocabulary { provider: "test", own: &[SERVER_SENT] };
        let faults = vocabulary.parse(faults).ok().unwrap();
        let event = |kind, data: &str| Event::new(kind, None, data.to_owned());
        let events =
            [event(Kind::Other, "role"), event(Kind::Token, "a"), event(Kind::Token, "b"), event(Kind::Finish, "end")];
        let error = || event(Kind::Other, "error");
        let steps = of_stream(Box::new(events.into_iter()), framing, &faults, Duration::ZERO, error);
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

    #[test]
    fn array_is_closed_only_by_its_own_end() {
        let cases = [
            ("", "[role,\r\na,\r\nb,\r\nend]"),
            ("error_after=1", "[role,\r\na,\r\nerror]"),
            ("end_after=1", "[role,\r\na"),
            ("cut_after=1", "[role,\r\naBreak"),
        ];
        for (faults, expected) in cases {
            assert_eq!(played_as(Framing::JsonArray, faults), expected, "{faults}");
        }
    }
}
