//! Makes plans and nothing else, for a profiler to count their instructions:
//!
//!   cargo build --release --example plans
//!   valgrind --tool=callgrind target/release/examples/plans ROUTE TARGETS PLANS
//!
//! What a run with more plans takes beyond one with fewer is what they take.

use dragoman_micro::{plan, router};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| arguments.next().unwrap_or_else(|| panic!("{name} is missing"));
    let route = next("ROUTE");
    let [targets, plans] = ["TARGETS", "PLANS"].map(|name| next(name).parse().expect("a number"));
    let router = router(targets);
    let body = format!(
        r#"{{"model":"{route}","messages":[{{"role":"user","content":"The quick brown fox jumps over the lazy dog, again and again."}},{{"role":"assistant","content":"It does, and \"nobody\" minds."}},{{"role":"user","content":"Why?"}}],"stream":false}}"#
    );
    for _ in 0..plans {
        std::hint::black_box(plan(&router, std::hint::black_box(body.as_bytes())));
    }
}
