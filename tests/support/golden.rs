//! Golden conversations: a folder each, read, replayed through the core, written back.
//!
//! A conversation is what a client sends, what the provider is to receive, what it answers and what
//! the client is to read. The replay goes the way of a real request: endpoint, plan, attempt, answer.
//! Nothing here touches the file system, so that the same replay runs in wasm.

use std::time::Duration;

use dragoman::attempt::{Answer, Attempt, Output, exhausted};
use dragoman::chat::ChatRequest;
use dragoman::endpoint::{self, Service};
use dragoman::headers::Headers;
use dragoman::route::health::Health;
use dragoman::route::retry::Progress;
use dragoman::route::{Answered, Moment, Plan, Router, Wishes};
use dragoman::{config, error};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z: the time at which all of them happen.
pub const NOW: Duration = Duration::from_secs(1_767_225_600);

/// What is given of a conversation.
pub struct Case {
    /// The configuration's only model, its name included, and what else the case says.
    about: Value,
    pub request: Vec<u8>,
    /// Status line, headers, body; `None` where no provider is asked.
    pub upstream_response: Option<Vec<u8>>,
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Replayed {
    pub upstream_request: Option<Vec<u8>>,
    pub response: Vec<u8>,
    /// Whether the client was told that the answer is complete or an error, rather than left with a part.
    pub whole: bool,
}

/// How the bytes of the provider's answer arrive.
pub type Split<'a> = &'a dyn Fn(&[u8]) -> Vec<Vec<u8>>;

pub fn in_one_piece(body: &[u8]) -> Vec<Vec<u8>> {
    vec![body.to_vec()]
}

impl Case {
    pub fn new(about: &str, request: &[u8], upstream_response: Option<&[u8]>) -> Self {
        Case {
            about: serde_json::from_str(about).expect("case.json is JSON"),
            request: request.trim_ascii_end().to_vec(),
            upstream_response: upstream_response.map(<[u8]>::to_vec),
        }
    }

    pub fn kind(&self) -> &str {
        self.about["kind"].as_str().expect("case.json names the provider's kind")
    }

    /// The same for all cases whose providers have the same entry.
    pub fn provider_name(&self) -> String {
        let own = self.about["provider"].as_object().into_iter().flatten();
        let own: Vec<_> = own.map(|(_, value)| value.to_string()).collect();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let own: String = own.concat().bytes().filter(plain).map(char::from).take(40).collect();
        if own.is_empty() { self.kind().to_owned() } else { format!("{}-{own}", self.kind()) }
    }

    /// The provider's entry in gateway.yaml: the case says what is not the default.
    pub fn provider(&self) -> Value {
        let mut provider = json!({"kind": self.kind(), "credential": "none"});
        for (name, value) in self.about["provider"].as_object().into_iter().flatten() {
            provider[name] = value.clone();
        }
        provider
    }

    /// The model's entry in gateway.yaml, its name apart.
    pub fn model(&self) -> (String, Value) {
        let mut model = self.about["model"].clone();
        let entry = model.as_object_mut().expect("case.json has a model");
        let name = entry.remove("name").expect("the model has a name");
        entry.insert("provider".into(), json!(self.provider_name()));
        (name.as_str().unwrap().to_owned(), model)
    }

    /// The client's headers that matter.
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.about["headers"].as_object();
        let pairs = headers.into_iter().flatten();
        pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    pub fn router(&self) -> Router {
        let (name, model) = self.model();
        let document = json!({
            "version": "golden",
            "providers": {self.provider_name(): self.provider()},
            "models": {name: model},
        });
        match config::from_json(document.to_string().as_bytes()) {
            Ok(config) => Router::new(config),
            Err(problems) => panic!("{problems}"),
        }
    }

    pub fn replay(&self, split: Split<'_>) -> Replayed {
        self.asked().replay(split)
    }

    /// The conversation up to the provider's answer, which can then be replayed in many ways.
    pub fn asked(&self) -> Asked<'_> {
        let router = self.router();
        let endpoint = match endpoint::find("POST", "/v1/chat/completions") {
            Ok(Service::Chat(endpoint)) => endpoint,
            _ => unreachable!("chat completions are served"),
        };
        let mut headers = Headers::default();
        for (name, value) in self.headers() {
            headers.push(&name, value);
        }
        let plan = (|| -> Result<Plan, error::ErrorReply> {
            let wishes = Wishes::read(&headers, router.sticky_headers()).map_err(|no| no.reply())?;
            let chat: ChatRequest<'_> = endpoint.parse(&self.request).map_err(|no| no.reply())?;
            let moment = Moment { now: NOW, seed: 1, health: &|_, _| Health::default() };
            match router.decide(&chat, endpoint.path(), &wishes, &moment)? {
                Answered::Planned(plan) => Ok(plan),
                Answered::Explained(_) => panic!("a conversation is answered"),
            }
        })();
        let plan = plan.map_err(|error| {
            let body = endpoint.error(&error, &[]);
            let mut head = Headers::default();
            head.push("content-type", "application/json");
            response(error.status, &head, &body)
        });
        Asked { case: self, plan }
    }
}

/// A conversation of which everything but the answer has happened.
pub struct Asked<'a> {
    case: &'a Case,
    /// Or the refusal that the client reads instead.
    plan: Result<Plan, Vec<u8>>,
}

impl Asked<'_> {
    pub fn replay(&self, split: Split<'_>) -> Replayed {
        let given = self.case.upstream_response.as_ref();
        self.replay_with(given.map(|given| parse_response(given).2).unwrap_or_default(), split)
    }

    /// The same with another body in the provider's answer.
    pub fn replay_with(&self, body: Vec<u8>, split: Split<'_>) -> Replayed {
        let plan = match &self.plan {
            Ok(plan) => plan,
            Err(refusal) => return Replayed { upstream_request: None, response: refusal.clone(), whole: true },
        };
        let attempt = Attempt::new(plan, 0).expect("the plan has a candidate");
        let written = match attempt.edits() {
            Some(edits) => edits.apply(&self.case.request),
            None => attempt.body(&self.case.request).expect("the route stage has seen that it can be written"),
        };
        let upstream_request = Some(request(&attempt.headers(written.len()), &written));
        let (response, whole) = self.answer(plan, &mut attempt.answer(1, NOW), &body, split);
        Replayed { upstream_request, response, whole }
    }

    /// The client's bytes for an answer with this body, and the answer as it is then; `None` where no provider
    /// is asked. `reads_each`: without templates.
    pub fn read(&self, body: &[u8], split: Split<'_>, reads_each: bool) -> Option<(Vec<u8>, Answer)> {
        let plan = self.plan.as_ref().ok()?;
        let mut answer = Attempt::new(plan, 0).expect("the plan has a candidate").answer(1, NOW);
        if reads_each {
            answer.read_each();
        }
        let (response, _) = self.answer(plan, &mut answer, body, split);
        Some((response, answer))
    }

    fn answer(&self, plan: &Plan, answer: &mut Answer, body: &[u8], split: Split<'_>) -> (Vec<u8>, bool) {
        let given = self.case.upstream_response.as_ref().expect("the case has an upstream-response.http");
        let (status, headers, _) = parse_response(given);
        let mut pieces = split(body);
        let mut outputs = Vec::new();
        outputs.push(answer.head(status, headers, pieces.is_empty(), || NOW));
        if let Some(last) = pieces.pop() {
            outputs.extend(pieces.iter().map(|piece| answer.body(piece, false)));
            outputs.push(answer.body(&last, true));
        }
        let mut head = None;
        let mut sent = Vec::new();
        for output in outputs {
            match output {
                Output::Hold => {}
                Output::Relay { headers } => {
                    assert!(head.is_none(), "an answer begins once");
                    head = Some(headers);
                    sent.extend(body);
                }
                Output::Begin { headers, body } => {
                    assert!(head.is_none(), "an answer begins once");
                    head = Some(headers);
                    sent.extend(body);
                }
                Output::Continue(body) => sent.extend(body),
                Output::Fail(error) => {
                    assert!(head.is_none(), "nothing fails silently once the client reads it");
                    let mut progress = Progress::default();
                    progress.fail(plan, error, answer.passed_headers());
                    let (headers, body) = exhausted(plan, &progress).expect("something has failed");
                    head = Some(headers);
                    sent.extend(body);
                }
            }
        }
        let head = head.expect("every answer begins or fails");
        let status = head.get(":status").unwrap().parse().unwrap();
        let stream = head.content_type() == Some("text/event-stream");
        let whole = !stream || sent.ends_with(b"data: [DONE]\n\n");
        (response(status, &head, &sent), whole)
    }
}

/// A response as a file holds it: line ends in the head may be LF, the body is as it is.
pub fn parse_response(text: &[u8]) -> (u16, Headers, Vec<u8>) {
    let (head, body) = split_head(text);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let mut headers = Headers::default();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        headers.push(&name.to_ascii_lowercase(), value.trim());
    }
    (status.expect("the status line has a status"), headers, body.to_vec())
}

fn split_head(text: &[u8]) -> (&str, &[u8]) {
    let end = text.windows(2).position(|pair| pair == b"\n\n").map(|at| (at, at + 2));
    let crlf = text.windows(4).position(|four| four == b"\r\n\r\n").map(|at| (at, at + 4));
    let (end, body) = [end, crlf].into_iter().flatten().min().unwrap_or((text.len(), text.len()));
    (std::str::from_utf8(&text[..end]).unwrap(), &text[body..])
}

pub fn response(status: u16, headers: &Headers, body: &[u8]) -> Vec<u8> {
    http(format!("HTTP/1.1 {status}"), headers, body)
}

pub fn request(headers: &Headers, body: &[u8]) -> Vec<u8> {
    let get = |name| headers.get(name).unwrap_or_default();
    let line = format!("{} {}://{}{}", get(":method"), get(":scheme"), get(":authority"), get(":path"));
    http(line, headers, body)
}

fn http(line: String, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut out = line.into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        out.extend_from_slice(format!("\n{name}: ").as_bytes());
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"\n\n");
    out.extend_from_slice(body);
    out
}
