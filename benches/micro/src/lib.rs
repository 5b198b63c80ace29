//! What the core does, piece by piece, on the golden conversations and on longer streams: one list, measured natively
//! by Criterion (`benches/core.rs`), and in V8 (`v8.mjs`), as the wasm that Envoy runs.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a tool: it fails by panicking")]

#[cfg(target_arch = "wasm32")]
mod exports;
#[path = "../../../tests/support/golden.rs"]
#[allow(dead_code, clippy::indexing_slicing, reason = "the tests use all of it")]
mod golden;
mod memory;

use std::hint::black_box;
use std::time::Duration;

use dragoman::attempt::{Answer, Attempt, Output};
use dragoman::chat::ChatRequest;
use dragoman::config;
use dragoman::endpoint;
use dragoman::headers::Headers;
use dragoman::provider::Kind;
use dragoman::route::health::Health;
use dragoman::route::{Answered, Moment, Plan, Router, Wishes};
use dragoman::stream::sse;
use golden::{Case, parse_response};

pub const NOW: Duration = Duration::from_secs(1_795_255_200);
pub const PATH: &str = "/v1/chat/completions";
/// What Envoy gives at once of an answer that comes as fast as it can.
const READ: usize = 16 << 10;

/// A piece of work that can be done again and again.
pub struct Task {
    /// What is done, and on what.
    pub name: (&'static str, String),
    /// That are read, or of an encoder: written.
    pub bytes: usize,
    pub run: Box<dyn Fn()>,
    /// Of a stream: what it holds between two reads, known where [`memory`] is counted.
    pub held: Option<usize>,
}

struct Conversation {
    folder: &'static str,
    about: &'static str,
    request: &'static [u8],
    answer: &'static [u8],
}

macro_rules! conversations {
    ($($folder:literal),* $(,)?) => {
        [$(Conversation {
            folder: $folder,
            about: include_str!(concat!("../../../tests/golden/", $folder, "/case.json")),
            request: include_bytes!(concat!("../../../tests/golden/", $folder, "/request.json")),
            answer: include_bytes!(concat!("../../../tests/golden/", $folder, "/upstream-response.http")),
        }),*]
    };
}

/// A format each; two turns with parallel calls where there are.
static WHOLE: [Conversation; 6] = conversations![
    "openai/json",
    "anthropic/parallel_tools_two_turns",
    "gemini/parallel_tools_two_turns",
    "bedrock/parallel_tools_two_turns",
    "cohere/parallel_tools_two_turns",
    "dashscope/parallel_tools_two_turns",
];
static STREAMED: [Conversation; 8] = conversations![
    "openai/stream",
    "openai/stream_parallel_tools",
    "anthropic/stream_parallel_tools",
    "anthropic/stream_thinking_tools_turn_1",
    "gemini/stream_thinking_tools_first_turn",
    "bedrock/stream_parallel_tools",
    "cohere/stream_parallel_tools",
    "dashscope/stream_parallel_tools",
];

impl Conversation {
    fn case(&self) -> Case {
        Case::new(self.about, self.request, Some(self.answer))
    }
}

pub fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut add = |what, on: &str, bytes, run: Box<dyn Fn()>| {
        tasks.push(Task { name: (what, on.to_owned()), bytes, run, held: None });
    };
    for messages in [5, 50, 500] {
        let body = request("m0", messages, false);
        add("parse", &format!("{} messages", 2 * messages + 1), body.len(), Box::new(move || parse(&body)));
    }
    for conversation in &WHOLE {
        let body = conversation.case().request;
        add("parse", conversation.folder, body.len(), Box::new(move || parse(&body)));
    }
    for conversation in &WHOLE {
        let case = conversation.case();
        let plan = plan(&case.router(), &case.request);
        let write = move || drop(black_box(first(&plan).body(&case.request).expect("it can be translated")));
        add("parse and translate", conversation.folder, conversation.request.len(), Box::new(write));
    }
    for conversation in &WHOLE {
        let (plan, headers, body) = answered(conversation);
        let length = body.len();
        add("answer", conversation.folder, length, Box::new(move || read(&plan, &headers, &body, length, drop)));
    }
    let (length, encode) = encoder();
    add("encode", "anthropic/parallel_tools_two_turns", length, encode);
    for (targets, route) in [3, 100].into_iter().flat_map(|targets| ["all", "cheap", "shared"].map(|it| (targets, it)))
    {
        let (router, body) = (router(targets), request(route, 1, false));
        let decide = move || drop(black_box(plan(&router, &body)));
        add("parse and plan", &format!("{route}, {targets} targets"), 0, Box::new(decide));
    }
    let words = words(1_000);
    add("decode SSE", "1,000 words", words.len(), Box::new(move || decode(&words)));
    for conversation in &STREAMED {
        let (plan, headers, body) = answered(conversation);
        let length = body.len();
        add("stream", conversation.folder, length, Box::new(move || read(&plan, &headers, &body, READ, drop)));
    }
    tasks.extend(long_streams());
    tasks
}

fn parse(body: &[u8]) {
    black_box(ChatRequest::parse(body).map(|chat| chat.stream).expect("a request"));
}

fn decode(stream: &[u8]) {
    let mut parser = sse::Parser::default();
    for piece in stream.chunks(READ) {
        parser.push(piece).expect("events are small");
        while let Some(frame) = parser.next() {
            black_box(frame);
        }
        parser.compact();
    }
}

fn first(plan: &Plan) -> Attempt<'_> {
    Attempt::new(plan, 0).expect("a candidate")
}

/// A conversation up to the answer, and that.
fn answered(conversation: &Conversation) -> (Plan, Headers, Vec<u8>) {
    let case = conversation.case();
    let (status, headers, body) = parse_response(conversation.answer);
    assert_eq!(status, 200);
    (plan(&case.router(), &case.request), headers, body)
}

/// Of an answer that has been read, and how many bytes it writes.
fn encoder() -> (usize, Box<dyn Fn()>) {
    let [_, anthropic, ..] = &WHOLE;
    let body: &'static str = String::from_utf8(parse_response(anthropic.answer).2).expect("JSON").leak();
    let translator = Kind::named("anthropic").expect("a kind").translator;
    let mut answer = translator.response(body).expect("an answer");
    answer.created = Some(NOW.as_secs());
    let endpoint = endpoint::named(PATH);
    (endpoint.response(&answer).len(), Box::new(move || drop(black_box(endpoint.response(&answer)))))
}

/// As no conversation in the tests is: a thousand events, or large ones.
fn long_streams() -> impl Iterator<Item = Task> {
    let router = router(2);
    let (relayed, translated) = (request("m0", 1, true), request("m1", 1, true));
    let large = |delta: &str| openai_stream(std::iter::once(delta.to_owned()));
    [
        ("1,000 words, relayed", &relayed, words(1_000)),
        ("1,000 parts of a call, relayed", &relayed, openai_call(1_000)),
        ("1,000 parts of a call, translated", &translated, anthropic_call(1_000)),
        (
            "base64 in one event, relayed",
            &relayed,
            large(&format!(r#"{{"audio":{{"data":"{}"}}}}"#, "QUJD".repeat(25_000))),
        ),
        ("text in one event, relayed", &relayed, large(&format!(r#"{{"content":"{}"}}"#, "x".repeat(100_000)))),
    ]
    .map(|(name, request, stream)| {
        let plan = plan(&router, request);
        let mut headers = Headers::default();
        headers.push("content-type", "text/event-stream");
        Task {
            name: ("stream", name.to_owned()),
            bytes: stream.len(),
            held: Some(held(&plan, &headers, &stream)),
            run: Box::new(move || read(&plan, &headers, &stream, READ, drop)),
        }
    })
    .into_iter()
}

/// The most bytes held between two reads of a streamed answer: what it costs to have one open.
fn held(plan: &Plan, headers: &Headers, stream: &[u8]) -> usize {
    let before = memory::held();
    let mut most = 0;
    read(plan, headers, stream, READ, |output| {
        drop(output);
        most = most.max(memory::held().saturating_sub(before));
    });
    most + size_of::<Answer>()
}

/// A gateway with one model of each kind that needs nothing but a name.
fn router(targets: usize) -> Router {
    let mut models = String::new();
    let mut names = String::new();
    for index in 0..targets {
        let (provider, comma) = (["openai", "anthropic"][index % 2], if index == 0 { "" } else { "," });
        models += &format!(
            r#"{comma}"m{index}":{{"provider":"{provider}","id":"x{index}","max_output":1000,
            "capabilities":["tools","images"],"price":{{"input":{index},"output":9}}}}"#
        );
        names += &format!(r#"{comma}"m{index}""#);
    }
    let document = format!(
        r#"{{"providers":{{"openai":{{"credential":"none"}},"anthropic":{{"credential":"none"}}}},
        "models":{{{models}}},"routes":{{"all":{{"targets":[{names}]}},
        "cheap":{{"targets":[{names}],"policy":"cheapest"}},
        "shared":{{"targets":[{names}],"policy":"weighted"}}}}}}"#
    );
    Router::new(config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}")))
}

fn plan(router: &Router, body: &[u8]) -> Plan {
    let chat = ChatRequest::parse(body).expect("a request");
    let moment = Moment { now: NOW, seed: 1, health: &|_, _| Health::default() };
    match router.decide(&chat, PATH, &Wishes::default(), &moment) {
        Ok(Answered::Planned(plan)) => plan,
        _ => panic!("no plan for {}", String::from_utf8_lossy(body)),
    }
}

/// Reads an answer in pieces of so many bytes.
fn read(plan: &Plan, headers: &Headers, body: &[u8], piece: usize, mut take: impl FnMut(Output)) {
    let mut take = |output| match output {
        Output::Fail(error) => panic!("{error:?}"),
        output => take(black_box(output)),
    };
    let mut answer = first(plan).answer(1, NOW);
    take(answer.head(200, headers.clone(), false, || NOW));
    for bytes in body.chunks(piece) {
        take(answer.body(bytes, false));
    }
    take(answer.body(&[], true));
}

fn request(model: &str, messages: usize, stream: bool) -> Vec<u8> {
    let message = r#"{"role":"user","content":"The quick brown fox jumps over the lazy dog, again and again."},
        {"role":"assistant","content":"It does, and \"nobody\" minds."},"#;
    let messages = message.repeat(messages);
    let last = r#"{"role":"user","content":"Why?"}"#;
    format!(r#"{{"model":"{model}","messages":[{messages}{last}],"stream":{stream}}}"#).into_bytes()
}

fn words(count: usize) -> Vec<u8> {
    openai_stream((0..count).map(|_| r#"{"content":" word"}"#.to_owned()))
}

fn openai_call(fragments: usize) -> Vec<u8> {
    let call =
        r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{"}}]}"#;
    let fragment = |_| format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{}"}}}}]}}"#, "x".repeat(100));
    openai_stream(std::iter::once(call.to_owned()).chain((0..fragments).map(fragment)))
}

/// OpenAI's stream with these deltas between the first chunk and the last.
fn openai_stream(deltas: impl Iterator<Item = String>) -> Vec<u8> {
    let event = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-6\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut stream = event(r#"{"role":"assistant","content":""}"#, "null");
    deltas.for_each(|delta| stream.push_str(&event(&delta, "null")));
    stream.push_str(&event("{}", "\"stop\""));
    stream.push_str("data: [DONE]\n\n");
    stream.into_bytes()
}

/// Anthropic's stream with a tool call whose arguments come in so many fragments.
fn anthropic_call(fragments: usize) -> Vec<u8> {
    let mut stream = String::from(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude\",\
         \"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\
         \"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\
         \"input\":{}}}\n\n",
    );
    for index in 0..fragments {
        let (begin, end) =
            (if index == 0 { "{\\\"a\\\":\\\"" } else { "" }, if index + 1 == fragments { "\\\"}" } else { "" });
        stream.push_str(&format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\
             \"input_json_delta\",\"partial_json\":\"{begin}{:0>92}{end}\"}}}}\n\n",
            index
        ));
    }
    stream.push_str(
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: \
         {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    stream.into_bytes()
}
