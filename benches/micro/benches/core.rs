//! The core alone, natively: what reading, deciding, writing and relaying cost, in bytes a second.
//!
//! Each decode case comes in two sizes, ten times apart: the time a byte must not grow. What is held at once
//! and how often memory is asked for is printed beside it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dragoman::chat::ChatRequest;
use dragoman_micro::{Counting, allocated, anthropic_call, held, openai_stream, plan, relay, router};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const READ: usize = 16 << 10;

fn request(model: &str, messages: usize, stream: bool) -> Vec<u8> {
    let message = r#"{"role":"user","content":"The quick brown fox jumps over the lazy dog, again and again."},
        {"role":"assistant","content":"It does, and \"nobody\" minds."},"#;
    let messages = message.repeat(messages);
    let last = r#"{"role":"user","content":"Why?"}"#;
    format!(r#"{{"model":"{model}","messages":[{messages}{last}],"stream":{stream}}}"#).into_bytes()
}

fn requests(c: &mut Criterion) {
    let router = router(2);
    let mut group = c.benchmark_group("request");
    for messages in [5, 50, 500] {
        let body = request("m0", messages, false);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("parse", body.len()), &body, |b, body| {
            b.iter(|| ChatRequest::parse(body).map(|chat| chat.stream).expect("a request"));
        });
        group
            .bench_with_input(BenchmarkId::new("relayed", body.len()), &body, |b, body| b.iter(|| plan(&router, body)));
        let body = request("m1", messages, false);
        group.bench_with_input(BenchmarkId::new("translated", body.len()), &body, |b, body| {
            b.iter(|| plan(&router, body));
        });
    }
    group.finish();
}

fn plans(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    for targets in [1, 3, 10, 100] {
        let router = router(targets);
        for route in ["all", "cheap", "shared"] {
            let body = request(route, 1, false);
            group.bench_with_input(BenchmarkId::new(route, targets), &body, |b, body| b.iter(|| plan(&router, body)));
        }
    }
    group.finish();
}

fn streams(c: &mut Criterion) {
    let router = router(2);
    let (relayed, translated) = (plan(&router, &request("m0", 1, true)), plan(&router, &request("m1", 1, true)));
    let mut group = c.benchmark_group("stream");
    group.sample_size(20);
    let word = |_| r#"{"content":" word"}"#.to_owned();
    let fragment = |_| format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{}"}}}}]}}"#, "x".repeat(100));
    let call =
        r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{"}}]}"#;
    let calls = |n| openai_stream(std::iter::once(call.to_owned()).chain((0..n).map(fragment)));
    let base64 = |n| openai_stream((0..1).map(|_| format!(r#"{{"audio":{{"data":"{}"}}}}"#, "QUJD".repeat(n))));
    let large = |n| openai_stream((0..1).map(|_| format!(r#"{{"content":"{}"}}"#, "x".repeat(n))));
    let cases = [
        ("events, relayed", &relayed, [openai_stream((0..1_000).map(word)), openai_stream((0..10_000).map(word))]),
        ("tool arguments, relayed", &relayed, [calls(1_000), calls(10_000)]),
        ("tool arguments, translated", &translated, [anthropic_call(1_000), anthropic_call(10_000)]),
        ("base64 in one event", &relayed, [base64(25_000), base64(250_000)]),
        ("one event", &relayed, [large(100_000), large(1_000_000)]),
    ];
    for (name, plan, streams) in &cases {
        for stream in streams {
            let (peak, calls) = allocated(|| drop(relay(plan, stream, READ)));
            let held = held(plan, stream, READ);
            eprintln!("stream/{name}/{}: {peak} bytes at most, {held} between reads, {calls} allocations", stream.len());
            group.throughput(Throughput::Bytes(stream.len() as u64));
            group.bench_with_input(BenchmarkId::new(*name, stream.len()), stream, |b, stream| {
                b.iter(|| relay(plan, stream, READ));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, requests, plans, streams);
criterion_main!(benches);
