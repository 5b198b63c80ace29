//! What the fakes were asked and how each answer ended, for tests to look at.
//!
//! Kept in a ring that is bounded in number and in bytes, because the benchmarks send millions of
//! requests. It knows nothing of what a request means.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::{Value, json};

/// Enough for any test; a benchmark overwrites it in a second.
const MOST_RECORDS: usize = 20_000;
/// A body above this is kept as its length, a hash and its first KiB.
const MOST_BODY: usize = 64 << 10;
const HEAD: usize = 1 << 10;
/// All bodies together, so that the ring fits beside Envoy on a small machine.
const MOST_BYTES: usize = 256 << 20;

#[derive(Default)]
pub struct Records {
    ring: Mutex<Ring>,
    seq: AtomicU64,
    full_bodies: AtomicBool,
    counts_only: bool,
    counts: Mutex<BTreeMap<&'static str, Arc<Counts>>>,
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    open: AtomicU64,
    most_open: AtomicU64,
    by_status: Mutex<BTreeMap<u16, u64>>,
    /// Answers that were written to their end, and the tokens that they say they took.
    answered: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
}

/// What is known of a request before its body.
pub struct Head {
    pub provider: &'static str,
    pub method: String,
    pub path: String,
    pub http_version: String,
    pub sni: Option<Arc<str>>,
    pub headers: HeaderMap,
}

pub struct Record {
    pub seq: u64,
    at_ms: u64,
    pub head: Head,
    body: OnceLock<Kept>,
    status: AtomicU16,
    end: AtomicU8,
}

struct Kept {
    /// The body, or its head.
    bytes: Bytes,
    length: usize,
    hash: Option<u64>,
}

const OPEN: u8 = 0;
const FINISHED: u8 = 1;
const ABORTED: u8 = 2;
const BROKEN: u8 = 3;

/// A request in work. Dropping it without a word means that the client went away.
pub struct Open {
    pub record: Arc<Record>,
    /// The tokens, input and output, of an answer that is whole once it is written.
    pub usage: Option<(u64, u64)>,
    counts: Arc<Counts>,
}

/// A thread that panicked leaves counters behind, not broken invariants.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Records {
    pub fn new(counts_only: bool) -> Self {
        Self { counts_only, ..Self::default() }
    }

    pub fn set_full_bodies(&self, full: bool) {
        self.full_bodies.store(full, Relaxed);
    }

    pub fn begin(&self, head: Head) -> Open {
        let counts = Arc::clone(lock(&self.counts).entry(head.provider).or_default());
        counts.requests.fetch_add(1, Relaxed);
        let open = counts.open.fetch_add(1, Relaxed) + 1;
        counts.most_open.fetch_max(open, Relaxed);
        // Inside the lock, so that the ring is in order of the numbers.
        let mut ring = lock(&self.ring);
        let record = Arc::new(Record {
            seq: self.seq.fetch_add(1, Relaxed) + 1,
            at_ms: now_ms(),
            head,
            body: OnceLock::new(),
            status: AtomicU16::new(0),
            end: AtomicU8::new(OPEN),
        });
        if !self.counts_only {
            ring.records.push_back(Arc::clone(&record));
            ring.shrink();
        }
        Open { record, usage: None, counts }
    }

    pub fn body(&self, open: &Open, body: &Bytes) {
        if self.counts_only {
            return;
        }
        let kept = if body.len() <= MOST_BODY || self.full_bodies.load(Relaxed) {
            Kept { bytes: body.clone(), length: body.len(), hash: None }
        } else {
            let mut hasher = DefaultHasher::new();
            body.hash(&mut hasher);
            let head = Bytes::copy_from_slice(body.get(..HEAD).unwrap_or_default());
            Kept { bytes: head, length: body.len(), hash: Some(hasher.finish()) }
        };
        let mut ring = lock(&self.ring);
        if ring.records.front().is_some_and(|first| first.seq <= open.record.seq) {
            ring.bytes += kept.bytes.len();
            let _ = open.record.body.set(kept);
            ring.shrink();
        }
    }

    pub fn clear(&self) {
        *lock(&self.ring) = Ring::default();
        lock(&self.counts).values().for_each(|counts| {
            counts.requests.store(0, Relaxed);
            counts.most_open.store(counts.open.load(Relaxed), Relaxed);
            lock(&counts.by_status).clear();
            [&counts.answered, &counts.input, &counts.output].into_iter().for_each(|count| count.store(0, Relaxed));
        });
    }

    /// The records as JSON, oldest first.
    pub fn matching(&self, provider: Option<&str>, contains: Option<&str>, since: u64) -> Value {
        let records: Vec<_> = lock(&self.ring).records.iter().cloned().collect();
        let wanted = records.iter().filter(|record| record.seq > since);
        let wanted = wanted.filter(|record| provider.is_none_or(|name| record.head.provider == name));
        wanted.filter(|record| contains.is_none_or(|text| record.contains(text))).map(|record| record.json()).collect()
    }

    pub fn counts(&self) -> Value {
        let providers = lock(&self.counts);
        let providers = providers.iter().map(|(provider, counts)| {
            let by_status: BTreeMap<_, _> =
                lock(&counts.by_status).iter().map(|(status, count)| (status.to_string(), *count)).collect();
            let counts = json!({
                "requests": counts.requests.load(Relaxed),
                "open": counts.open.load(Relaxed),
                "max_open": counts.most_open.load(Relaxed),
                "by_status": by_status,
                "answered": counts.answered.load(Relaxed),
                "input_tokens": counts.input.load(Relaxed),
                "output_tokens": counts.output.load(Relaxed),
            });
            ((*provider).to_owned(), counts)
        });
        Value::Object(providers.collect())
    }
}

impl Ring {
    fn shrink(&mut self) {
        while self.records.len() > MOST_RECORDS || (self.bytes > MOST_BYTES && self.records.len() > 1) {
            let oldest = self.records.pop_front();
            let freed = oldest.and_then(|record| record.body.get().map(|kept| kept.bytes.len()));
            self.bytes = self.bytes.saturating_sub(freed.unwrap_or(0));
        }
    }
}

impl Record {
    fn contains(&self, text: &str) -> bool {
        let finder = memchr::memmem::Finder::new(text);
        let found = |bytes: &[u8]| finder.find(bytes).is_some();
        text.is_empty()
            || found(self.head.path.as_bytes())
            || self.body.get().is_some_and(|kept| found(&kept.bytes))
            || self.head.headers.values().any(|value| found(value.as_bytes()))
    }

    fn json(&self) -> Value {
        let Head { provider, method, path, http_version, sni, headers } = &self.head;
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let kept = self.body.get();
        let end = self.end.load(Relaxed);
        let mut record = json!({
            "seq": self.seq,
            "provider": provider,
            "at_ms": self.at_ms,
            "method": method,
            "path": path,
            "http_version": http_version,
            "sni": sni.as_deref(),
            "headers": headers,
            "body": kept.map(|kept| String::from_utf8_lossy(&kept.bytes)),
            "body_bytes": kept.map_or(0, |kept| kept.length),
            "status": Some(self.status.load(Relaxed)).filter(|status| *status > 0),
            "finished": end == FINISHED,
            "aborted": end == ABORTED,
            "broken": end == BROKEN,
        });
        if let (Some(hash), Some(record)) = (kept.and_then(|kept| kept.hash), record.as_object_mut()) {
            record.insert("body_hash".to_owned(), json!(format!("{hash:016x}")));
        }
        record
    }
}

impl Open {
    pub fn status(&self, status: u16) {
        self.record.status.store(status, Relaxed);
        *lock(&self.counts.by_status).entry(status).or_default() += 1;
    }

    pub fn finish(self) {
        if let Some((input, output)) = self.usage {
            self.counts.answered.fetch_add(1, Relaxed);
            self.counts.input.fetch_add(input, Relaxed);
            self.counts.output.fetch_add(output, Relaxed);
        }
        self.record.end.store(FINISHED, Relaxed);
    }

    /// The fake itself broke the connection.
    pub fn broken(self) {
        self.record.end.store(BROKEN, Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Relaxed);
        let _ = self.record.end.compare_exchange(OPEN, ABORTED, Relaxed, Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of a request is what a record is for")]
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let headers = HeaderMap::new();
        Head {
            provider: "openai",
            method: "POST".into(),
            path: "/".into(),
            http_version: "1".into(),
            sni: None,
            headers,
        }
    }

    #[test]
    fn old_records_make_room() {
        let records = Records::default();
        for _ in 0..MOST_RECORDS + 5 {
            records.begin(head()).finish();
        }
        let kept = records.matching(None, None, 0);
        assert_eq!(kept.as_array().unwrap().len(), MOST_RECORDS);
        assert_eq!(kept[0]["seq"], 6);
    }

    #[test]
    fn end_of_a_request_is_told_apart() {
        let records = Records::default();
        records.begin(head()).finish();
        records.begin(head()).broken();
        drop(records.begin(head()));
        let _open = records.begin(head());
        let kept = records.matching(None, None, 0);
        let ends: Vec<_> =
            kept.as_array().unwrap().iter().map(|r| (r["finished"] == true, r["aborted"] == true)).collect();
        assert_eq!(ends, [(true, false), (false, false), (false, true), (false, false)]);
        assert_eq!(records.counts()["openai"]["open"], 1);
    }

    #[test]
    fn long_body_is_kept_as_its_head() {
        let records = Records::default();
        let open = records.begin(head());
        records.body(&open, &Bytes::from(vec![b'x'; MOST_BODY + 1]));
        let kept = records.matching(None, Some("xxx"), 0);
        assert_eq!(kept[0]["body_bytes"], MOST_BODY + 1);
        assert_eq!(kept[0]["body"].as_str().unwrap().len(), HEAD);
        assert!(kept[0]["body_hash"].is_string());
    }
}
