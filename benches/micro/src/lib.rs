//! What the benchmarks are made of: the golden conversations, and streams of any length.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use dragoman::attempt::{Answer, Attempt, Output};
use dragoman::chat::ChatRequest;
use dragoman::config;
use dragoman::headers::Headers;
use dragoman::route::health::Health;
use dragoman::route::{Answered, Moment, Plan, Router, Wishes};

pub const NOW: Duration = Duration::from_secs(1_795_255_200);
pub const PATH: &str = "/v1/chat/completions";

/// Counts what is allocated, and the most at once.
pub struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's own allocator does the work; only numbers are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as this function's caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as this function's caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes held at once while `work` runs, beyond those held before, and how often it allocates.
pub fn allocated(work: impl FnOnce()) -> (usize, usize) {
    let (held, calls) = (HELD.load(Relaxed), CALLS.load(Relaxed));
    PEAK.store(held, Relaxed);
    work();
    (PEAK.load(Relaxed).saturating_sub(held), CALLS.load(Relaxed) - calls)
}

/// The most bytes held between two reads of a streamed answer: what it costs to have one open.
pub fn held(plan: &Plan, stream: &[u8], piece: usize) -> usize {
    let before = HELD.load(Relaxed);
    let mut most = 0;
    read(plan, stream, piece, |output| {
        drop(output);
        most = most.max(HELD.load(Relaxed).saturating_sub(before));
    });
    most + size_of::<Answer>()
}

/// A gateway with one model of each kind that needs nothing but a name.
pub fn router(targets: usize) -> Router {
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

pub fn plan(router: &Router, body: &[u8]) -> Plan {
    let chat = ChatRequest::parse(body).expect("a request");
    let moment = Moment { now: NOW, seed: 1, health: &|_, _| Health::default() };
    match router.decide(&chat, PATH, &Wishes::default(), &moment) {
        Ok(Answered::Planned(plan)) => plan,
        _ => panic!("no plan for {}", String::from_utf8_lossy(body)),
    }
}

/// Reads a streamed answer in pieces and returns how many bytes the client gets.
pub fn relay(plan: &Plan, stream: &[u8], piece: usize) -> usize {
    let mut sent = 0;
    read(plan, stream, piece, |output| match output {
        Output::Begin { body, .. } | Output::Continue(body) => sent += body.len(),
        Output::Hold => {}
        Output::Fail(error) => panic!("{error:?}"),
    });
    sent
}

fn read(plan: &Plan, stream: &[u8], piece: usize, mut take: impl FnMut(Output)) {
    let mut headers = Headers::default();
    headers.push("content-type", "text/event-stream");
    let mut answer = Attempt::new(plan, 0).expect("a candidate").answer(1, NOW);
    take(answer.head(200, headers, false));
    for bytes in stream.chunks(piece) {
        take(answer.body(bytes, false));
    }
    take(answer.body(&[], true));
}

/// OpenAI's stream with these deltas between the first chunk and the last.
pub fn openai_stream(deltas: impl Iterator<Item = String>) -> Vec<u8> {
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
pub fn anthropic_call(fragments: usize) -> Vec<u8> {
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
