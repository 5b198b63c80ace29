//! What a plan costs does not grow with the registry, and no faster than a route's targets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and measures time"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use dragoman::chat::ChatRequest;
use dragoman::config;
use dragoman::route::health::Health;
use dragoman::route::{Answered, Explain, Moment, Router, Wishes};

const NOW: Duration = Duration::from_secs(1_795_255_200);
const POLICIES: [&str; 4] = ["ordered", "weighted", "cheapest", "fastest"];

thread_local! {
    /// How often this test's thread has asked for memory, and for how much.
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counting;

// SAFETY: the system's own allocator does the work; only numbers are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|it| it.set((it.get().0 + 1, it.get().1 + layout.size())));
        // SAFETY: as this function's caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as this function's caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A registry of so many models, with a route for each policy over so many of them. Names, prices and tasks are
/// as long in a small registry as in a large one.
fn router(models: usize, targets: usize) -> Router {
    let model = |index: usize| {
        format!(
            r#""m{index:04}":{{"provider":"{}","id":"x{index:04}","max_output":1000,"context_window":100000,
            "capabilities":["tools","images"],"price":{{"input":{},"output":9}},"quality":{{"code":0.5}}}}"#,
            ["openai", "anthropic"][index % 2],
            index + 1,
        )
    };
    let models: Vec<_> = (0..models).map(model).collect();
    let targets: Vec<_> = (0..targets).map(|index| format!(r#""m{index:04}""#)).collect();
    let targets = targets.join(",");
    let route = |policy: &&str| format!(r#""{policy}":{{"targets":[{targets}],"policy":"{policy}"}}"#);
    let routes: Vec<_> = POLICIES.iter().map(route).collect();
    let document = format!(
        r#"{{"providers":{{"openai":{{"credential":"none"}},"anthropic":{{"credential":"none"}}}},
        "models":{{{}}},"routes":{{{}}}}}"#,
        models.join(","),
        routes.join(","),
    );
    Router::new(config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}")))
}

fn plan(router: &Router, body: &str, explain: Explain) {
    let chat = ChatRequest::parse(body.as_bytes()).unwrap();
    let moment = Moment { now: NOW, seed: 1, health: &|_, _| Health::default() };
    let wishes = Wishes { task: Some("code".to_owned()), explain, ..Wishes::default() };
    match router.decide(&chat, "/v1/chat/completions", &wishes, &moment) {
        Ok(Answered::Planned(plan)) => assert!(!plan.candidates.is_empty()),
        Ok(Answered::Explained(_)) => {}
        Err(error) => panic!("{}", error.message),
    }
}

fn body(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Why is the sky blue?"}}],"user":"u"}}"#)
}

/// How often memory is asked for, and for how many bytes.
fn allocated(router: &Router, body: &str, explain: Explain) -> (usize, usize) {
    // What is worked out once.
    plan(router, body, explain);
    let before = ALLOCATED.get();
    plan(router, body, explain);
    let after = ALLOCATED.get();
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn no_allocation_grows_with_the_registry() {
    let (small, large) = (router(10, 3), router(1_000, 3));
    for explain in [Explain::No, Explain::Summary, Explain::Only] {
        for name in POLICIES.into_iter().chain(["m0000", "m0001"]) {
            let counted = allocated(&small, &body(name), explain);
            assert!(counted.0 > 0);
            assert_eq!(counted, allocated(&large, &body(name), explain), "{name}, {explain:?}");
        }
    }
}

#[test]
fn ten_times_the_targets_cost_no_more_than_eleven_times_as_much() {
    let (few, many) = (router(30, 30), router(300, 300));
    for name in POLICIES {
        let body = body(name);
        // The shortest of several: what other processes take of this machine's time only adds.
        let time = |router: &Router| {
            let once = || {
                let began = Instant::now();
                plan(router, &body, Explain::No);
                began.elapsed()
            };
            (0..30).map(|_| once()).min().unwrap()
        };
        let ((calls, bytes), (more_calls, more_bytes)) =
            (allocated(&few, &body, Explain::No), allocated(&many, &body, Explain::No));
        assert!(more_calls <= calls + 8, "{name}: {calls} allocations, {more_calls}");
        assert!(more_bytes <= bytes * 11, "{name}: {bytes} bytes, {more_bytes}");
        let (short, long) = (time(&few), time(&many));
        assert!(long <= short * 11, "{name}: {short:?}, {long:?}");
    }
}
