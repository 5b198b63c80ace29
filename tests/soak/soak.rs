//! The gateway under 500 streams at once for minutes: nothing hangs, no word is lost, repeated or another
//! client's, and memory stays where it is. `scripts/soak` runs it.
//!
//! Real connections, a real Envoy with two workers, the fake providers. Everything is on loopback, ends by
//! itself, and takes what it started with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(dead_code, reason = "the client is that of the lane against Envoy, which needs more of it")]

#[path = "../envoy/client.rs"]
mod client;
mod load;
mod memory;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use client::{Connection, Reply, post};
use load::{End, PACE_MS, PROVIDERS, Question};
use memory::{BOUNDS, Growth, Sample, resident};
use support::metrics::Metrics;
use support::random::Random;
use support::watched::{self, Part};

const STREAMS: u64 = 500;
/// With outages: short answers, a few hundred a second.
const SHORT_STREAMS: u64 = 150;
const SHORT_PACE_MS: u64 = 20;
/// However fast the answers come.
const MOST_REQUESTS: u64 = 1_000_000;
/// The longest that any request may take: a first token that never comes (8 s) twice, and the longest answer.
const HUNG: Duration = Duration::from_secs(40);
const EVERY: Duration = Duration::from_secs(5);
/// How often there is another configuration, with outages.
const CONFIGURED: Duration = Duration::from_secs(20);
/// Longer than any request: what is under way ends by the configuration that it began with.
const DRAIN: Duration = HUNG;
const DIRECTORY: &str = "target/soak";
/// Within which providers learn that nobody listens any more.
const QUIET: Duration = Duration::from_secs(20);
/// Words that Envoy or a panic hook log when the module has crashed, and nothing else does.
const CRASHES: &[&str] = &["panicked", "Function: proxy_", "in-VM backtrace", "[critical]", "VM failed"];

#[derive(Default)]
struct Tally {
    next: AtomicU64,
    open: AtomicU64,
    ended: AtomicU64,
    attempts: AtomicU64,
    /// Of whole answers: how many, and the tokens that clients were told of.
    answered: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
    hung: AtomicU64,
    by_end: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    wrong: Mutex<Vec<String>>,
}

/// Stops when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = arguments.len();
    arguments.retain(|argument| argument != "--outages");
    let outages = arguments.len() < named;
    let seconds = arguments.first().map_or(Ok(180), |text| text.parse::<u64>());
    let (Ok(seconds @ 20..=3600), 0..=1) = (seconds, arguments.len()) else {
        println!("usage: soak [--outages] [SECONDS], 20 to 3600");
        return ExitCode::from(2);
    };
    let streams = if outages { SHORT_STREAMS } else { STREAMS };
    let directory = Path::new(DIRECTORY);
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).unwrap();
    let (fakes, said) = start_fakes(if outages { SHORT_PACE_MS } else { PACE_MS });
    let (mut envoy, address, admin) = start_envoy(directory, &said, outages).await;

    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    println!("{streams} streams for {seconds} s at {address}, Envoy is process {}", envoy.0.id());
    let workers: Vec<_> =
        (0..streams).map(|worker| tokio::spawn(work(worker, address, until, outages, Arc::clone(&tally)))).collect();
    let control: SocketAddr = said["control"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
    if outages {
        tokio::spawn(come_and_go(control, until));
        tokio::spawn(configure(address, said.clone(), until));
    }
    let (samples, least_open) = watch(envoy.0.id(), admin, began, until, &tally).await;
    for worker in workers {
        if let Err(failed) = worker.await {
            tally.wrong.lock().unwrap().push(format!("the load itself failed: {failed}"));
        }
    }
    let (seen, left_open) = providers(control).await;
    let served = client::send(control, client::request("GET", "/counts", &[], "")).await.json();
    let metrics = metrics(admin).await;
    let ended = envoy.0.try_wait().unwrap();
    let crashed = stat(admin, "vm_reload").await;
    let configured = stat(admin, "listener_manager.listener_in_place_updated").await;
    drop((envoy, fakes));

    let log = std::fs::read_to_string(directory.join("envoy.log")).unwrap_or_default();
    let crashes = log.lines().filter(|line| CRASHES.iter().any(|word| line.contains(word))).count();
    let mut verdict = Verdict::default();
    verdict.table(&tally, least_open, streams);
    verdict.providers(&tally, &metrics, seen, left_open);
    verdict.counts(&tally, &metrics, &served);
    verdict.must("Envoy has ended", u64::from(ended.is_some()));
    verdict.must("crashes in Envoy's log", crashes as u64);
    verdict.must("wasm VMs that were made anew", crashed);
    if outages {
        let least = (seconds / CONFIGURED.as_secs()).saturating_sub(1);
        println!("{:34} {configured:>9}", "configurations that took over");
        verdict.must("  too few", least.saturating_sub(configured));
    }
    verdict.memory(&samples);
    for problem in tally.wrong.lock().unwrap().iter().take(20) {
        println!("{problem}");
    }
    println!("{}", if verdict.failed { "FAILED" } else { "ok" });
    ExitCode::from(u8::from(verdict.failed))
}

/// One client: a request after the other, mostly over the same connection.
async fn work(worker: u64, address: SocketAddr, until: Instant, outages: bool, tally: Arc<Tally>) {
    // Not all in the same instant, which no machine sees.
    sleep(Duration::from_millis(worker * 4)).await;
    let mut connection = None;
    while Instant::now() < until {
        let number = tally.next.fetch_add(1, Relaxed);
        if number >= MOST_REQUESTS {
            break;
        }
        let question = Question::number(number, outages);
        if Random(!number).one_in(10) {
            connection = None;
        }
        tally.open.fetch_add(u64::from(question.stream), Relaxed);
        let result = timeout(HUNG, ask(&question, &mut connection, address)).await;
        tally.open.fetch_sub(u64::from(question.stream), Relaxed);
        tally.ended.fetch_add(1, Relaxed);
        let shape = if question.stream { "stream" } else { "JSON" };
        let problem = match result {
            Err(_) => {
                connection = None;
                tally.hung.fetch_add(1, Relaxed);
                *tally.by_end.lock().unwrap().entry(("hung", shape)).or_default() += 1;
                continue;
            }
            Ok(Err(error)) => Some(format!("no answer: {error}")),
            Ok(Ok(None)) => None,
            Ok(Ok(Some(reply))) => {
                tally.attempts.fetch_add(reply.attempts(), Relaxed);
                if reply.broken.is_some() {
                    connection = None;
                }
                tally.count(&question, &reply);
                let judged = if outages { question.judge_loosely(&reply) } else { question.judge(&reply) };
                let problem = judged.err();
                problem.map(|problem| format!("{problem}: {} {:?} {:?}", reply.status, reply.headers, reply.broken))
            }
        };
        let end = match problem {
            Some(problem) => {
                connection = None;
                let Question { model, stream, complete, .. } = &question;
                let text = format!("request {number}, {model} stream={stream} complete={complete}: {problem}");
                tally.wrong.lock().unwrap().push(text);
                "wrong"
            }
            None => question.end.name(),
        };
        *tally.by_end.lock().unwrap().entry((end, shape)).or_default() += 1;
    }
}

/// The answer, or none of a client that left.
async fn ask(
    question: &Question,
    connection: &mut Option<Connection>,
    address: SocketAddr,
) -> Result<Option<Reply>, hyper::Error> {
    let commit = if question.complete { "complete" } else { "first_token" };
    let headers = [("content-type", "application/json"), ("x-dragoman-commit", commit)];
    let request = post(&headers, question.body().to_string());
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(address).await,
    };
    if let End::Leaves { after } = question.end {
        if after == 0 {
            let _ = timeout(Duration::from_millis(5), open.begin(request)).await;
            return Ok(None);
        }
        let mut response = open.begin(request).await?;
        for _ in 0..after {
            let _ = http_body_util::BodyExt::frame(response.body_mut()).await;
        }
        return Ok(None);
    }
    let reply = open.send(request).await?;
    // As Envoy says where the listener has another configuration by now.
    let is_last = reply.header("connection") == "close";
    *connection = Some(open).filter(|_| !is_last);
    Ok(Some(reply))
}

/// Samples until the end; also the fewest streams that were under way between ramp-up and end.
async fn watch(process: u32, admin: SocketAddr, began: Instant, until: Instant, tally: &Tally) -> (Vec<Sample>, u64) {
    let (mut samples, mut least_open) = (Vec::new(), u64::MAX);
    let mut next = began + EVERY;
    while next <= until {
        sleep_until(next).await;
        next += EVERY;
        let requests = tally.ended.load(Relaxed);
        let open = tally.open.load(Relaxed);
        least_open = least_open.min(open);
        let Some(resident) = resident(process) else { break };
        let memory = client::send(admin, client::request("GET", "/memory", &[], "")).await.json();
        let allocated = memory["allocated"].as_str().and_then(|bytes| bytes.parse().ok()).expect("Envoy's own figure");
        samples.push(Sample { at: began.elapsed(), resident, allocated, requests });
        let wrong = tally.wrong.lock().unwrap().len();
        println!(
            "{:4} s  {requests:7} requests  {open:4} streams open  {:6.1} MiB resident, {:6.1} allocated  {wrong} wrong",
            began.elapsed().as_secs(),
            mib(resident as f64),
            mib(allocated as f64),
        );
    }
    (samples, least_open)
}

/// How many requests the providers have seen, and how many they are still answering.
async fn providers(control: SocketAddr) -> (u64, u64) {
    let began = Instant::now();
    loop {
        let counts = client::send(control, client::request("GET", "/counts", &[], "")).await.json();
        let sum = |key: &str| counts.as_object().unwrap().values().filter_map(|count| count[key].as_u64()).sum::<u64>();
        if sum("open") == 0 || began.elapsed() > QUIET {
            return (sum("requests"), sum("open"));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The sum of Envoy's own numbers whose names hold this.
async fn stat(admin: SocketAddr, name: &str) -> u64 {
    let path = format!("/stats?filter={name}");
    let reply = client::send(admin, client::request("GET", &path, &[], "")).await;
    let text = String::from_utf8_lossy(&reply.body()).into_owned();
    let counts: Vec<u64> = text.lines().map(|line| line.rsplit(": ").next().unwrap().parse().unwrap()).collect();
    assert!(!counts.is_empty(), "Envoy counts {name}");
    counts.iter().sum()
}

async fn metrics(admin: SocketAddr) -> Metrics {
    let reply = client::send(admin, client::request("GET", "/stats/prometheus", &[], "")).await;
    Metrics::parse(&String::from_utf8_lossy(&reply.body()))
}

/// One provider after the other is away for some seconds, and back for some.
async fn come_and_go(control: SocketAddr, until: Instant) {
    const FAULTS: [&str; 4] = ["status=503", "reset", "status=429&retry_after=1", "html"];
    let mut turn = 0;
    while Instant::now() < until {
        sleep(Duration::from_secs(4)).await;
        let path = format!("/faults/{}", PROVIDERS[turn % PROVIDERS.len()]);
        let fault = FAULTS[turn % FAULTS.len()];
        client::send(control, client::request("PUT", &path, &[], fault)).await;
        sleep(Duration::from_secs(3)).await;
        client::send(control, client::request("DELETE", &path, &[], "")).await;
        turn += 1;
    }
}

/// Gives Envoy one configuration after the other, each a little different.
async fn configure(address: SocketAddr, fakes: Value, until: Instant) {
    let mut next = tokio::time::interval_at(Instant::now() + CONFIGURED, CONFIGURED);
    for turn in 1.. {
        if next.tick().await >= until {
            return;
        }
        let fakes = fakes.clone();
        let generated = move || generate(Path::new(DIRECTORY), address, &fakes, turn, &[Part::Listeners]);
        tokio::task::spawn_blocking(generated).await.expect("another configuration is generated");
    }
}

impl Tally {
    fn count(&self, question: &Question, reply: &Reply) {
        // A stream that ends with an error is well-formed, too.
        let is_whole = reply.status == 200 && reply.well_formed().is_ok() && (!question.stream || reply.is_done());
        if !is_whole || matches!(question.end, End::Leaves { .. }) {
            return;
        }
        let usage = reply.usage();
        let tokens = |name: &str| usage[name].as_u64().expect("the usage was asked for");
        self.answered.fetch_add(1, Relaxed);
        self.input.fetch_add(tokens("prompt_tokens"), Relaxed);
        self.output.fetch_add(tokens("completion_tokens"), Relaxed);
    }
}

#[derive(Default)]
struct Verdict {
    failed: bool,
}

impl Verdict {
    /// A line for something of which there must be none.
    fn must(&mut self, what: &str, count: u64) {
        self.failed |= count > 0;
        println!("{what:34} {count:>9}   must be 0");
    }

    fn table(&mut self, tally: &Tally, least_open: u64, streams: u64) {
        let by_end = tally.by_end.lock().unwrap();
        println!("\n{:34} {:>9} {:>9} {:>9}", "requests", "stream", "JSON", "all");
        let mut ends: Vec<_> = by_end.keys().map(|(end, _)| *end).collect();
        ends.dedup();
        let count = |end: &str, shape: &str| {
            by_end.iter().filter(|((e, s), _)| *e == end && *s == shape).map(|(_, n)| n).sum::<u64>()
        };
        for end in ends {
            let (streams, jsons) = (count(end, "stream"), count(end, "JSON"));
            println!("{end:34} {streams:>9} {jsons:>9} {:>9}", streams + jsons);
        }
        println!("{:34} {:>9}", "all", tally.ended.load(Relaxed));
        println!("{:34} {least_open:>9}   of {streams} clients", "fewest streams open at a sample");
        self.must("wrong answers", tally.wrong.lock().unwrap().len() as u64);
        self.must("hung", tally.hung.load(Relaxed));
    }

    /// Every attempt that a client was told of has been made, and none besides those that were counted for clients
    /// who left: one mostly, and another where the first has failed.
    fn providers(&mut self, tally: &Tally, metrics: &Metrics, seen: u64, left_open: u64) {
        let told = tally.attempts.load(Relaxed);
        let left = metrics.sum_of("dragoman_attempts_total", |labels| labels["route"].starts_with("left:"));
        println!("{:34} {told:>9}", "attempts that clients were told of");
        println!("{:34} {seen:>9}", "requests that providers have seen");
        self.must("too few or too many of them", told.saturating_sub(seen) + seen.saturating_sub(told + left));
        self.must("still open at the providers", left_open);
    }

    /// What the gateway has counted is what clients and providers saw. Of those who left only this is known:
    /// at most one request each.
    fn counts(&mut self, tally: &Tally, metrics: &Metrics, served: &Value) {
        let by_end = tally.by_end.lock().unwrap();
        let left: u64 = by_end.iter().filter(|((end, _), _)| end.starts_with("left")).map(|(_, n)| n).sum();
        let stayed = |labels: &BTreeMap<String, String>| !labels["route"].starts_with("left:");
        let has = |labels: &BTreeMap<String, String>, wanted: &[(&str, &str)]| {
            wanted.iter().all(|(label, value)| labels[*label] == *value)
        };
        let of_stayed = |name: &str, wanted: &[(&str, &str)]| metrics.sum_of(name, |it| stayed(it) && has(it, wanted));
        let sum = |what: &str| served.as_object().unwrap().values().filter_map(|it| it[what].as_u64()).sum::<u64>();
        let reported = |kind| [("type", kind), ("counted", "reported")];
        let seen = |count: &AtomicU64| count.load(Relaxed);
        println!();
        for (what, counted, truth) in [
            ("requests", of_stayed("dragoman_requests_total", &[]), seen(&tally.ended) - left),
            ("answered", of_stayed("dragoman_requests_total", &[("outcome", "answered")]), seen(&tally.answered)),
            ("input tokens", of_stayed("dragoman_tokens_total", &reported("input")), seen(&tally.input)),
            ("output tokens", of_stayed("dragoman_tokens_total", &reported("output")), seen(&tally.output)),
            ("attempts that clients were told of", of_stayed("dragoman_attempts_total", &[]), seen(&tally.attempts)),
        ] {
            println!("{:34} {counted:>9}   of {truth}", format!("counted: {what}"));
            self.must("  too few or too many", counted.abs_diff(truth));
        }
        // With those who left: the provider may have written the end of what nobody read, or never have seen
        // what was about to be sent.
        let all = |name: &str, wanted: &[(&str, &str)]| metrics.sum(name, wanted);
        for (what, less, more) in [
            ("answers served", all("dragoman_requests_total", &[("outcome", "answered")]), sum("answered")),
            ("attempts made", sum("requests"), all("dragoman_attempts_total", &[])),
        ] {
            println!("{:34} {less:>9}   and {more}, with {left} who left", what);
            self.must("  not between them", less.saturating_sub(more) + more.saturating_sub(less + left));
        }
    }

    fn memory(&mut self, samples: &[Sample]) {
        for bound in BOUNDS {
            let at =
                |percent: usize| samples.get((samples.len() * percent / 100).saturating_sub(1)).map_or(0, bound.of);
            let shown = [20, 60, 100].map(|percent| format!("{percent} %: {:.1} MiB", mib(at(percent) as f64)));
            println!("{:34} {}", format!("memory {}, after", bound.name), shown.join("   "));
            let Some(growth) = Growth::of_last_half(samples, bound) else {
                self.failed = true;
                println!("too few samples of Envoy's memory");
                continue;
            };
            self.failed |= growth.bytes > growth.at_most;
            println!(
                "{:34} {:+.1} MiB in {:.1} min, {:+.0} bytes a request; at most {:+.1} MiB",
                "  growth in the last half",
                mib(growth.bytes),
                growth.minutes,
                growth.bytes / growth.requests.max(1) as f64,
                mib(growth.at_most)
            );
        }
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[expect(clippy::disallowed_methods, reason = "where scripts/soak has put what is tested")]
fn found(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run scripts/soak"))
}

fn start_fakes(pace_ms: u64) -> (Process, Value) {
    let mut process = Command::new(found("DRAGOMAN_FAKES"))
        .args(["--stop-with-stdin", "--no-record", "--pace", &pace_ms.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the fakes start");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Process(process), serde_json::from_str(&line).expect("the fakes say where they are"))
}

/// The bootstrap, or what is watched of it.
fn generate(directory: &Path, address: SocketAddr, fakes: &Value, turn: u64, watched: &[Part]) {
    // JSON is YAML.
    let gateway = directory.join("gateway.yaml");
    std::fs::write(&gateway, load::document(&address.to_string(), fakes, turn).to_string()).unwrap();
    let generated = Command::new(found("DRAGOMAN_COMMAND"))
        .arg("envoy")
        .arg(&gateway)
        .args(["--module", &found("DRAGOMAN_MODULE"), "-o"])
        .arg(directory)
        .stdout(Stdio::null())
        .status();
    assert!(generated.unwrap().success(), "the bootstrap is generated");
    watched::separate(&directory.canonicalize().unwrap(), watched);
}

async fn start_envoy(directory: &Path, fakes: &Value, outages: bool) -> (Process, SocketAddr, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    generate(directory, address, fakes, 0, if outages { &[Part::Listeners] } else { &[] });
    // For its memory and its VMs; the generated bootstrap has none.
    let bootstrap = directory.join("envoy.yaml");
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut text = std::fs::read_to_string(&bootstrap).unwrap();
    let socket = format!("{{socket_address: {{address: {}, port_value: {}}}}}", admin.ip(), admin.port());
    let _ = writeln!(text, "admin: {{address: {socket}}}");
    std::fs::write(&bootstrap, text).unwrap();
    let key = |name: &str| fakes[name].as_str().unwrap().to_owned();
    // Its parent's death is its own: whatever ends the soak, no Envoy is left behind.
    let process = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", &found("DRAGOMAN_ENVOY")])
        .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"])
        .args(["--drain-strategy", "immediate", "--drain-time-s", &DRAIN.as_secs().to_string(), "--log-path"])
        .arg(directory.join("envoy.log"))
        .arg("--config-path")
        .arg(bootstrap)
        .env("SOAK_OPENAI_KEY", key("openai_key"))
        .env("SOAK_ANTHROPIC_KEY", key("anthropic_key"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Envoy starts");
    let envoy = Process(process);
    let began = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "Envoy does not listen: see {}/envoy.log",
            directory.display()
        );
        sleep(Duration::from_millis(50)).await;
    }
    (envoy, address, admin)
}
