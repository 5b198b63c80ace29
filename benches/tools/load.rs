//! Load for streams, and at a rate: HTTP/1.1 over blocking sockets, a thread for each connection, so that it
//! costs little and waits precisely. What wrk cannot do; for the rest it agrees with wrk (docs/performance.md).
//!
//!   bench-load ADDRESS PATH BODY CONNECTIONS requests N          as fast as it goes
//!   bench-load ADDRESS PATH BODY CONNECTIONS rate R requests N   R a second, once each connection has been used
//!   bench-load ADDRESS PATH BODY CONNECTIONS hold                until standard input ends
//!
//! More headers come in BENCH_HEADERS, one a line. Prints one line of JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of the benchmark: it fails by panicking"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::json;

/// Nothing that is measured is silent for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A thread needs little more than its read buffer.
const STACK: usize = 128 << 10;

struct Load {
    address: String,
    request: Vec<u8>,
    connections: usize,
    requests: usize,
    /// Between two requests over all connections, if they come at a rate.
    interval: Option<Duration>,
    hold: bool,
}

impl Load {
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [address, path, body, connections, mode @ ..] = arguments.as_slice() else {
            panic!("usage: ADDRESS PATH BODY CONNECTIONS [rate R] requests N | hold");
        };
        let body = std::fs::read(body).expect("the body can be read");
        let headers = std::env::var("BENCH_HEADERS").unwrap_or_default();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        headers.lines().filter(|line| !line.is_empty()).for_each(|line| request += &format!("{line}\r\n"));
        let mut request = (request + "\r\n").into_bytes();
        request.extend_from_slice(&body);
        let value = |name: &str| {
            let at = mode.iter().position(|word| word == name)?;
            Some(mode[at + 1].parse::<f64>().expect("a number"))
        };
        Load {
            address: address.clone(),
            request,
            connections: connections.parse().expect("a number"),
            requests: value("requests").unwrap_or(0.0) as usize,
            interval: value("rate").map(|rate| Duration::from_secs_f64(1.0 / rate)),
            hold: mode.iter().any(|word| word == "hold"),
        }
    }
}

#[derive(Default)]
struct Tally {
    requests: usize,
    failed: usize,
    /// What was the matter with one of them.
    why: Option<String>,
    events: usize,
    bytes: usize,
    /// To the first byte of the body, and to the last, in nanoseconds.
    first: Vec<u64>,
    last: Vec<u64>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.why = self.why.take().or(other.why);
        self.events += other.events;
        self.bytes += other.bytes;
        self.first.extend(other.first);
        self.last.extend(other.last);
    }
}

/// One answer as it is read.
struct Answer {
    status: u16,
    events: usize,
    bytes: usize,
    first: Option<Instant>,
    last: Instant,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Nothing of an answer to the last request has come.
    silent: bool,
}

/// How much of the body is to come.
enum Rest {
    Length(usize),
    /// Of the chunk, its line end included.
    Chunk(usize),
    /// Before a chunk's size.
    ChunkSize,
    /// Behind the last chunk.
    Trailers,
    Nothing,
}

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, buffer: vec![0; 64 << 10], silent: true })
    }

    /// Sends a request and reads its answer; `progress` is called once, when its first byte is there.
    fn ask(&mut self, request: &[u8], mut progress: impl FnMut()) -> std::io::Result<Answer> {
        self.silent = true;
        self.stream.write_all(request)?;
        let mut filled = 0;
        let head = loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break at + 4;
            }
            filled += self.read(filled)?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let mut rest = match length.map(|length| length.trim().parse().unwrap()) {
            Some(length) => Rest::Length(length),
            None => Rest::ChunkSize,
        };
        let mut answer = Answer { status, events: 0, bytes: 0, first: None, last: Instant::now() };
        // What of an event's beginning was in the bytes before.
        let mut matched = 0;
        self.buffer.copy_within(head..filled, 0);
        filled -= head;
        loop {
            let consumed = self.body(filled, &mut rest, &mut answer, &mut matched);
            if answer.bytes > 0 && answer.first.is_none() {
                answer.first = Some(Instant::now());
                progress();
            }
            if matches!(rest, Rest::Nothing | Rest::Length(0)) {
                answer.last = Instant::now();
                // More than was promised is no answer to anything.
                return if consumed == filled { Ok(answer) } else { Err(std::io::ErrorKind::InvalidData.into()) };
            }
            self.buffer.copy_within(consumed..filled, 0);
            filled -= consumed;
            filled += self.read(filled)?;
        }
    }

    fn read(&mut self, filled: usize) -> std::io::Result<usize> {
        match self.stream.read(&mut self.buffer[filled..])? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.silent = false;
                Ok(read)
            }
        }
    }

    /// Goes on through the bytes that are there, and says how many are done with.
    fn body(&self, filled: usize, rest: &mut Rest, answer: &mut Answer, matched: &mut usize) -> usize {
        let mut at = 0;
        while at < filled {
            let bytes = &self.buffer[at..filled];
            match rest {
                Rest::Length(0) | Rest::Nothing => break,
                Rest::Length(left) | Rest::Chunk(left) => {
                    let take = bytes.len().min(*left);
                    *left -= take;
                    at += take;
                    answer.bytes += take;
                    answer.events += events(&bytes[..take], matched);
                    if matches!(rest, Rest::Chunk(0)) {
                        *rest = Rest::ChunkSize;
                    }
                }
                Rest::ChunkSize => {
                    let Some(line) = memchr::memchr(b'\n', bytes) else { break };
                    let size = std::str::from_utf8(&bytes[..line]).unwrap().trim();
                    let size = usize::from_str_radix(size, 16).expect("a chunk's size");
                    *rest = if size == 0 { Rest::Trailers } else { Rest::Chunk(size + 2) };
                    at += line + 1;
                }
                Rest::Trailers => {
                    let Some(line) = memchr::memchr(b'\n', bytes) else { break };
                    at += line + 1;
                    if line <= 1 {
                        *rest = Rest::Nothing;
                    }
                }
            }
        }
        at
    }
}

/// Counts the `data:` in bytes that may be cut anywhere.
fn events(bytes: &[u8], matched: &mut usize) -> usize {
    const FIELD: &[u8] = b"data:";
    let mut count = 0;
    if *matched > 0 {
        let rest = &FIELD[*matched..];
        count += usize::from(bytes.starts_with(rest));
    }
    count += memchr::memmem::find_iter(bytes, FIELD).count();
    *matched = (1..FIELD.len()).rev().find(|length| bytes.ends_with(&FIELD[..*length])).unwrap_or(0);
    count
}

/// All connections begin at once.
struct Start {
    ready: Barrier,
    began: OnceLock<Instant>,
}

fn work(load: &Load, number: usize, next: &AtomicUsize, start: &Start) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    if load.interval.is_some() {
        // To take up connections takes longer than to serve requests: of a short run they would be the slowest hundredth.
        let mut open = Connection::open(&load.address).unwrap_or_else(|error| panic!("connection {number}: {error}"));
        connection = open.ask(&load.request, || {}).is_ok().then_some(open);
    }
    start.ready.wait();
    start.ready.wait();
    let began = *start.began.get().expect("the load has begun");
    loop {
        let request = next.fetch_add(1, Relaxed);
        if request >= load.requests {
            return tally;
        }
        // A thread that is late counts from when it was to begin, so that no wait is left out.
        let mut from = Instant::now();
        if let Some(interval) = load.interval {
            let due = began + interval * u32::try_from(request).unwrap();
            match due.checked_duration_since(from) {
                Some(early) => {
                    sleep(early);
                    from = Instant::now();
                }
                None => from = due,
            }
        }
        tally.requests += 1;
        let fresh = || match Connection::open(&load.address) {
            Ok(open) => open,
            Err(error) => panic!("connection {number}: {error}"),
        };
        let is_fresh = connection.is_none();
        let mut open = connection.take().unwrap_or_else(fresh);
        let mut answer = open.ask(&load.request, || {});
        // Servers close what nobody has used for some seconds: clients try once more then. No answer in time is another matter.
        let is_closed = answer.as_ref().is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock);
        if is_closed && open.silent && !is_fresh {
            open = fresh();
            answer = open.ask(&load.request, || {});
        }
        match answer {
            Ok(answer) => {
                if answer.status != 200 {
                    tally.failed += 1;
                    tally.why = Some(format!("status {}", answer.status));
                }
                tally.events += answer.events;
                tally.bytes += answer.bytes;
                let since = |at: Instant| u64::try_from((at - from).as_nanos()).unwrap();
                tally.first.push(since(answer.first.unwrap_or(answer.last)));
                tally.last.push(since(answer.last));
                connection = Some(open);
            }
            Err(error) => {
                tally.failed += 1;
                tally.why = Some(error.to_string());
            }
        }
    }
}

/// Opens all streams, says so when each has begun, and reads them until standard input ends.
fn hold(load: &Arc<Load>) {
    let begun = Arc::new(Barrier::new(load.connections + 1));
    for number in 0..load.connections {
        let (load, begun) = (Arc::clone(load), Arc::clone(&begun));
        // Not all in the same instant: what is looked for is what they take when they are open.
        sleep(Duration::from_millis(1));
        let run = move || {
            let mut open = Connection { buffer: vec![0; 4 << 10], ..Connection::open(&load.address).unwrap() };
            let answer = open.ask(&load.request, || {
                begun.wait();
            });
            // The process ends before any stream does.
            panic!("stream {number} has ended: {:?}", answer.map(|answer| answer.status));
        };
        thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
    }
    begun.wait();
    println!("held");
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

fn percentile(sorted: &[u64], percent: f64) -> f64 {
    let at = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |nanoseconds| *nanoseconds as f64 / 1000.0)
}

fn main() {
    let load = Arc::new(Load::from_arguments());
    if load.hold {
        hold(&load);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let all = Arc::new(Mutex::new(Tally::default()));
    let start = Arc::new(Start { ready: Barrier::new(load.connections + 1), began: OnceLock::new() });
    let threads: Vec<_> = (0..load.connections)
        .map(|number| {
            let (load, next, all) = (Arc::clone(&load), Arc::clone(&next), Arc::clone(&all));
            let start = Arc::clone(&start);
            let run = move || {
                let tally = work(&load, number, &next, &start);
                all.lock().unwrap().add(tally);
            };
            thread::Builder::new().stack_size(STACK).spawn(run).unwrap()
        })
        .collect();
    start.ready.wait();
    let began = *start.began.get_or_init(Instant::now);
    start.ready.wait();
    threads.into_iter().for_each(|thread| thread.join().expect("the load works"));
    let seconds = began.elapsed().as_secs_f64();
    let mut tally = all.lock().unwrap();
    tally.first.sort_unstable();
    tally.last.sort_unstable();
    let times = |sorted: &[u64]| json!({"p50": percentile(sorted, 50.0), "p99": percentile(sorted, 99.0)});
    println!(
        "{}",
        json!({
            "requests": tally.requests, "before": if load.interval.is_some() { load.connections } else { 0 }, "failed": tally.failed, "why": tally.why, "events": tally.events, "bytes": tally.bytes,
            "seconds": seconds, "first_us": times(&tally.first), "last_us": times(&tally.last),
        })
    );
}
