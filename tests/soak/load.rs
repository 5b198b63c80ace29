//! What is asked, and what has to come of it: each request knows every word of its answer beforehand.
//!
//! One request in ten meets a fault or is given up by its client. Which, follows from its number alone, so that
//! a run can be repeated.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::client::{self, Reply};
use crate::support::random::Random;

/// Between two tokens: with 500 streams 10,000 tokens a second, which two cores can carry.
pub const PACE_MS: u64 = 50;
/// A fault after the commit point comes after so many tokens.
const SAID: usize = 5;
/// The fakes repeat so many characters of a question.
const ECHO: usize = 200;

pub const PROVIDERS: [&str; 2] = ["openai", "anthropic"];

/// Before the first token: the other provider answers.
const BEFORE: &[&str] =
    &["status=503", "status=500", "status=429", "reset", "html", "empty_body", "cut_after=0", "headers_then_silence"];
const BEFORE_STREAM: &[&str] = &["error_in_stream", "error_after=0", "end_after=0", "stall_after=0"];
/// After it: the client is told, or with `complete` the other provider answers.
const AFTER: &[&str] = &["error_after=5", "end_after=5", "cut_after=5", "no_finish", "stall_after=5"];

/// gateway.yaml: each fault as a route that goes on to the other provider. `turn`: which of the configurations
/// that come one after the other, with the same names in all of them.
pub fn document(listen: &str, fakes: &Value, turn: u64) -> Value {
    let (mut providers, mut models, mut routes) = (json!({}), json!({}), json!({}));
    for provider in PROVIDERS {
        let family = if provider == "openai" { "gpt" } else { "claude" };
        let key = format!("SOAK_{}_KEY", provider.to_uppercase());
        providers[provider] = json!({"url": fakes[provider], "credential": {"env": key}});
        models[provider] = json!({"provider": provider, "id": format!("{family}-fake"), "max_output": 64000});
        routes[format!("both:{provider}")] = json!({"targets": [provider, other(provider)]});
        // What becomes of requests whose client leaves, nobody knows exactly; they are counted by themselves.
        routes[format!("left:{provider}")] = json!({"targets": [provider, other(provider)]});
        for fault in BEFORE.iter().chain(BEFORE_STREAM).chain(AFTER) {
            let id = format!("{family}-fake?{fault}");
            models[name(provider, fault)] = json!({"provider": provider, "id": id, "max_output": 64000});
            let targets = json!([name(provider, fault), other(provider)]);
            routes[format!("from:{}", name(provider, fault))] = json!({"targets": targets});
        }
    }
    routes["none"] = json!({"targets": [name("openai", "status=503"), name("anthropic", "reset")]});
    // A busy machine must not turn a healthy answer into a late one.
    let limits = json!({"first_token": "8s", "answer": "30s", "idle": format!("{}ms", 3_000 + turn)});
    json!({"version": "soak", "listen": listen, "providers": providers, "models": models, "routes": routes,
        "limits": limits})
}

fn other(provider: &str) -> &'static str {
    if provider == "openai" { "anthropic" } else { "openai" }
}

fn name(provider: &str, fault: &str) -> String {
    format!("{provider}/{}", fault.replace('=', "-"))
}

/// One request, before it is sent.
pub struct Question {
    pub model: String,
    pub stream: bool,
    pub complete: bool,
    text: String,
    pub end: End,
}

pub enum End {
    /// A whole answer by this provider, after this many attempts at least and at most.
    Whole { by: &'static str, attempts: (u64, u64) },
    /// The first words of the answer of this provider, and then no clean end.
    Broken { by: &'static str },
    /// An error with this status after this many attempts.
    Told { status: u16, attempts: u64 },
    /// The client leaves after so many pieces of the body; at once for none.
    Leaves { after: usize },
}

impl End {
    pub fn name(&self) -> &'static str {
        match self {
            End::Whole { attempts: (1, 1), .. } => "answered",
            End::Whole { .. } => "answered by the next target",
            End::Broken { .. } => "broken off visibly",
            End::Told { .. } => "told an error",
            End::Leaves { .. } => "left by the client",
        }
    }
}

impl Question {
    /// `outages`: providers come and go, and answers are short.
    pub fn number(number: u64, outages: bool) -> Self {
        let mut random = Random(number);
        let stream = !random.one_in(6);
        let (least, most) = if outages { (8, 25) } else { (40, 140) };
        let text = if random.one_in(2) {
            format!("count {}", least + random.below(most - least))
        } else {
            words(number, &mut random)
        };
        let first = PROVIDERS[random.below(2)];
        let model = if random.one_in(2) { first.to_owned() } else { format!("both:{first}") };
        let whole = End::Whole { by: first, attempts: (1, 1) };
        let healthy = Question { model, stream, complete: random.one_in(10), text, end: whole };
        if !random.one_in(10) {
            return healthy;
        }
        let from = |fault: &str| format!("from:{}", name(first, fault));
        // A provider that fails for a moment is asked again, once.
        // What fails often is left alone for a while, so that the other one is asked first.
        let next = End::Whole { by: other(first), attempts: (1, 3) };
        match random.below(10) {
            0..4 => {
                let extra = if stream { BEFORE_STREAM.len() } else { 0 };
                let place = random.below(BEFORE.len() + extra);
                let fault = BEFORE.iter().chain(BEFORE_STREAM).nth(place).unwrap();
                // All of Envoy's patience for a whole answer is longer than a soak is worth.
                let fault = if stream || *fault != "headers_then_silence" { fault } else { "reset" };
                let complete = healthy.complete && !fault.contains("stall") && !fault.contains("silence");
                Question { model: from(fault), complete, end: next, ..healthy }
            }
            4 | 5 => {
                let fault = AFTER[random.below(AFTER.len())];
                Question {
                    model: from(fault),
                    stream: true,
                    complete: false,
                    end: End::Broken { by: first },
                    ..healthy
                }
            }
            6 => {
                let fault = AFTER[random.below(AFTER.len() - 1)];
                Question { model: from(fault), stream: true, complete: true, end: next, ..healthy }
            }
            7 => Question { model: "none".to_owned(), end: End::Told { status: 503, attempts: 1 }, ..healthy },
            _ => {
                let end = End::Leaves { after: random.below(20) };
                Question { model: format!("left:{first}"), end, ..healthy }
            }
        }
    }

    pub fn body(&self) -> Value {
        let mut body = client::chat(&self.model, self.stream, &self.text);
        if self.stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    /// What a provider's fake says to it.
    fn answer(&self, by: &str) -> String {
        match self.text.strip_prefix("count ").and_then(|count| count.parse::<usize>().ok()) {
            Some(count) => (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(" "),
            None => format!("{by} fake: you said \"{}\"", self.text),
        }
    }

    fn judge_whole(&self, reply: &Reply, by: &str, attempts: (u64, u64)) -> Result<(), String> {
        reply.well_formed()?;
        check(reply.status == 200, "the status is not 200")?;
        check(reply.text() == self.answer(by), "the words are not those of the answer")?;
        let least_to_most = attempts.0..=attempts.1;
        check(least_to_most.contains(&reply.attempts()), "x-dragoman-attempts is not the number of tries")?;
        check(reply.header("x-dragoman-model") == by, "x-dragoman-model is not who answered")
    }

    /// Says what is wrong with an answer while providers come and go: whoever answers, what a client is told
    /// is whole, or an error, or visibly broken.
    pub fn judge_loosely(&self, reply: &Reply) -> Result<(), String> {
        match reply.status {
            _ if reply.broken.is_some() => Ok(()),
            200 if self.stream && !streamed(&reply.body()).1 => {
                check(!reply.is_done(), "half an answer ends as a whole one")
            }
            200 => {
                reply.well_formed()?;
                let by = PROVIDERS.iter().find(|by| reply.header("x-dragoman-model").starts_with(**by));
                check(by.is_some_and(|by| reply.text() == self.answer(by)), "the words are not those of the answer")
            }
            _ => reply.well_formed(),
        }
    }

    /// Says what is wrong with an answer.
    pub fn judge(&self, reply: &Reply) -> Result<(), String> {
        let (text, finished) = if self.stream { streamed(&reply.body()) } else { (String::new(), false) };
        match &self.end {
            End::Whole { by, attempts } => self.judge_whole(reply, by, *attempts),
            // It had failed often enough to be left alone.
            End::Broken { by } if reply.header("x-dragoman-model") == other(by) => {
                self.judge_whole(reply, other(by), (1, 1))
            }
            End::Broken { by } => {
                check(reply.status == 200 && reply.attempts() == 1, "it is not the first target's answer")?;
                check(!finished && !reply.is_done(), "half an answer ends as a whole one")?;
                let begins = !text.is_empty() && self.answer(by).starts_with(&text);
                check(begins, "the words are not the first of the answer")?;
                let said = text.split(' ').count();
                check(said <= SAID || self.model.ends_with("no_finish"), "more words than were said")
            }
            End::Told { status, attempts } => {
                reply.well_formed()?;
                check(reply.status == *status, "the status is another")?;
                check(reply.attempts() >= *attempts, "not all targets were asked")
            }
            End::Leaves { .. } => Ok(()),
        }
    }
}

fn check(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

/// The text of a stream that may break off anywhere, and whether it has a finish reason.
fn streamed(body: &[u8]) -> (String, bool) {
    let body = String::from_utf8_lossy(body);
    let (mut text, mut finished) = (String::new(), false);
    for line in body.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let chunk = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok());
        let Some(choice) = chunk.as_ref().and_then(|chunk| chunk.pointer("/choices/0")) else { continue };
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        finished |= choice["finish_reason"].is_string();
    }
    (text, finished)
}

/// Words that no other request has, so that answers that are mixed up are found.
fn words(number: u64, random: &mut Random) -> String {
    let mut text = format!("q{number}");
    let most = 60 + random.below(ECHO - 70);
    while text.len() < most {
        // Writing to a String cannot fail.
        let _ = write!(text, " {:x}", random.below(4096));
    }
    text
}
