//! The main paths of a request, one at a time, for callgrind to count the instructions of: `scripts/guard`.
//!
//! `paths` lists their names; `paths NAME TIMES` runs one so often, inside a function called `measured`.
#![allow(clippy::print_stdout, clippy::panic, clippy::expect_used, reason = "a tool: it fails by panicking")]

#[path = "../../../tools/answers.rs"]
mod answers;

use std::hint::black_box;
use std::time::Duration;

use answers::{EVENTS, Format};
use dragoman::attempt::{Answer, Attempt, Output};
use dragoman::config;
use dragoman::endpoint;
use dragoman::headers::Headers;
use dragoman::metrics;
use dragoman::record::{Outcome, Settled, Times};
use dragoman::route::health::Health;
use dragoman::route::retry::Progress;
use dragoman::route::{Answered, Moment, Plan, Router, Wishes};
use dragoman_micro::{NOW, PATH};

const TEXT: &str = "the interpreter spoke “quietly” of 3.5 \\\"letters\\\" and trade;\\n naïve questions, too. ";

/// A path by its name. One whose name ends in `-10` is ten times the path without it: ten times the events,
/// messages, bytes or targets.
struct Path {
    name: &'static str,
    run: Box<dyn Fn()>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let paths = paths();
    let [name, times] = arguments.as_slice() else {
        paths.iter().for_each(|path| println!("{}", path.name));
        return;
    };
    let path = paths.iter().find(|path| path.name == name).unwrap_or_else(|| panic!("no path is called {name}"));
    // What is made once is not measured.
    (path.run)();
    for _ in 0..times.parse().expect("a number") {
        measured(&path.run);
    }
}

/// callgrind counts while this runs.
#[inline(never)]
#[unsafe(no_mangle)]
fn measured(run: &dyn Fn()) {
    black_box(run)();
}

fn paths() -> Vec<Path> {
    let mut paths = Vec::new();
    let mut add = |name, run: Box<dyn Fn()>| paths.push(Path { name, run });
    for (name, kind, format) in [
        ("relay", "openai", Format::OpenAi),
        ("anthropic", "anthropic", Format::Anthropic),
        ("gemini", "gemini", Format::Gemini),
    ] {
        add(name, whole(kind, format, 1, 800));
    }
    for (name, kind, format, messages) in [
        ("messages", "openai", Format::OpenAi, 20),
        ("messages-10", "openai", Format::OpenAi, 200),
        ("messages-anthropic", "anthropic", Format::Anthropic, 20),
        ("messages-anthropic-10", "anthropic", Format::Anthropic, 200),
        ("messages-gemini", "gemini", Format::Gemini, 20),
        ("messages-gemini-10", "gemini", Format::Gemini, 200),
    ] {
        add(name, whole(kind, format, messages, 200));
    }
    add("body", whole("openai", Format::OpenAi, 1, 20_000));
    add("body-10", whole("openai", Format::OpenAi, 1, 200_000));
    add("body-anthropic", whole("anthropic", Format::Anthropic, 1, 20_000));
    add("body-anthropic-10", whole("anthropic", Format::Anthropic, 1, 200_000));
    for (name, kind, format, times) in [
        ("stream-openai", "openai", Format::OpenAi, 1),
        ("stream-openai-10", "openai", Format::OpenAi, 10),
        ("stream-anthropic", "anthropic", Format::Anthropic, 1),
        ("stream-anthropic-10", "anthropic", Format::Anthropic, 10),
        ("stream-gemini", "gemini", Format::Gemini, 1),
        ("stream-gemini-10", "gemini", Format::Gemini, 10),
    ] {
        add(name, streamed(kind, format, times));
    }
    for (name, route, targets) in [
        ("plan-ordered", "ordered", 10),
        ("plan-ordered-10", "ordered", 100),
        ("plan-weighted", "weighted", 10),
        ("plan-weighted-10", "weighted", 100),
        ("plan-score", "score", 10),
        ("plan-score-10", "score", 100),
    ] {
        add(name, planned(route, targets));
    }
    paths
}

/// A gateway as configurations are: prices, facts, a route of so many targets by each policy.
fn router(targets: usize) -> Router {
    let kinds = ["openai", "anthropic", "gemini"];
    let name = |index: usize| format!("{}-{index}", kinds[index % kinds.len()]);
    let names: Vec<String> = (0..targets).map(name).collect();
    let models = names.iter().enumerate().map(|(index, name)| {
        let provider = kinds[index % kinds.len()];
        format!(
            r#""{name}":{{"provider":"{provider}","id":"id-{index}","max_output":64000,"context_window":400000,
            "capabilities":["tools","images","json_schema"],"sampling":["temperature"],
            "price":{{"input":1.25,"output":{}}}}}"#,
            index + 2
        )
    });
    let models = models.collect::<Vec<_>>().join(",");
    let list = |rest: &str| names.iter().map(|it| format!(r#"{{"model":"{it}"{rest}}}"#)).collect::<Vec<_>>().join(",");
    let (plain, weighted) = (list(""), list(r#","weight":3"#));
    let document = format!(
        r#"{{"version":"1","providers":{{"openai":{{"credential":"none"}},"anthropic":{{"credential":"none"}},
        "gemini":{{"credential":"none"}}}},"models":{{{models}}},"routes":{{"ordered":{{"targets":[{plain}]}},
        "weighted":{{"policy":"weighted","targets":[{weighted}]}},
        "score":{{"policy":"cheapest","targets":[{plain}]}}}}}}"#
    );
    Router::new(config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}")))
}

fn request(model: &str, messages: usize, size: usize, stream: bool) -> Vec<u8> {
    let text = TEXT.repeat(size.div_ceil(TEXT.len()));
    let message = |index: usize| format!(r#"{{"role":"{}","content":"{text}"}}"#, ["user", "assistant"][index % 2]);
    let messages = (0..messages).map(message).collect::<Vec<_>>().join(",");
    let stream = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You translate what is said."}},{messages}],
        "temperature":0.7,"max_completion_tokens":300{stream}}}"#
    )
    .into_bytes()
}

/// As Envoy gives them to the filter.
fn request_headers() -> Headers {
    let mut headers = Headers::default();
    for (name, value) in [
        (":authority", "127.0.0.1:8080"),
        (":path", PATH),
        (":method", "POST"),
        (":scheme", "http"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
        ("user-agent", "OpenAI/Python 2.8.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-envoy-external-address", "127.0.0.1"),
        ("x-request-id", "9f6aa1ab-6f7f-4bd1-8f5b-c50bd5ee2cb1"),
    ] {
        headers.push(name, value);
    }
    headers
}

fn plan(router: &Router, body: &[u8]) -> Plan {
    let headers = request_headers();
    let endpoint = endpoint::named(headers.get(":path").unwrap_or_default());
    let wishes = Wishes::read(&headers, router.sticky_headers()).unwrap_or_else(|_| panic!("no wishes"));
    let chat = endpoint.parse(body).unwrap_or_else(|no| panic!("{}", no.message));
    let moment = Moment { now: NOW, seed: 1, health: &|_, _| Health::default() };
    match router.decide(&chat, PATH, &wishes, &moment) {
        Ok(Answered::Planned(plan)) => plan,
        _ => panic!("no plan"),
    }
}

/// A request and its whole answer, as both stages work on it, to the line in the access log.
fn whole(kind: &'static str, format: Format, messages: usize, size: usize) -> Box<dyn Fn()> {
    let (router, body, answer) =
        (router(3), request(&model(kind), messages, size, false), format.json().into_bytes());
    Box::new(move || exchange(&router, &body, "application/json", &answer, usize::MAX))
}

/// The same with a streamed answer, `times` as long, which comes as the network brings it.
fn streamed(kind: &'static str, format: Format, times: usize) -> Box<dyn Fn()> {
    let events = format.events();
    let (head, rest) = events.split_at(4);
    let (words, tail) = rest.split_at(EVENTS - 8);
    let stream = [head.concat(), words.concat().repeat(times), tail.concat()].concat().into_bytes();
    let (router, body) = (router(3), request(&model(kind), 1, 800, true));
    Box::new(move || exchange(&router, &body, "text/event-stream", &stream, 16 << 10))
}

fn planned(route: &'static str, targets: usize) -> Box<dyn Fn()> {
    let (router, body) = (router(targets), request(route, 1, 800, false));
    Box::new(move || drop(black_box(plan(&router, &body))))
}

fn model(kind: &str) -> String {
    let index = ["openai", "anthropic", "gemini"].iter().position(|known| *known == kind).unwrap_or(0);
    format!("{kind}-{index}")
}

fn exchange(router: &Router, body: &[u8], content_type: &str, provider: &[u8], piece: usize) {
    let mut plan = plan(router, body);
    let written = plan.candidates.first_mut().and_then(|candidate| candidate.written.take());
    let attempt = Attempt::new(&plan, 0).unwrap_or_else(|| panic!("no candidate"));
    let sent = match attempt.edits() {
        Some(edits) => edits.apply(body.get(..edits.end()).unwrap_or_default()),
        None => written.unwrap_or_default(),
    };
    black_box((&sent, attempt.headers(sent.len())));
    let mut headers = Headers::default();
    headers.push("content-type", content_type);
    headers.push("x-request-id", "req_0123456789");
    let mut answer = attempt.answer(1, NOW);
    let check = |output: Output| match output {
        Output::Fail(error) => panic!("{error:?}"),
        output => drop(black_box(output)),
    };
    check(answer.head(200, headers, false, || NOW));
    for bytes in provider.chunks(piece) {
        check(answer.body(bytes, false));
    }
    check(answer.body(&[], true));
    settle(router, &plan, &answer);
}

fn settle(router: &Router, plan: &Plan, answer: &Answer) {
    let ended = NOW + Duration::from_millis(700);
    let times = Times { began: NOW, attempt: Some(NOW), committed: Some(ended), ended };
    let progress = Progress::default();
    let model = |target: &_| router.model(target);
    let settled = Settled::new(plan, &progress, Some(answer), Outcome::Answered, 200, times, model);
    metrics::of_request(&settled, &mut |target, point, amount| {
        black_box((target, point, amount));
    });
    black_box(settled.line());
}
