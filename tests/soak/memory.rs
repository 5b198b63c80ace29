//! Whether Envoy's memory stays flat.

use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Sample {
    pub at: Duration,
    /// The resident set: all there is, the memory of the wasm VMs too.
    pub resident: u64,
    /// What Envoy's allocator has given out: exact, and without the VMs.
    pub allocated: u64,
    /// How many requests had ended.
    pub requests: u64,
}

pub struct Bound {
    pub name: &'static str,
    pub of: fn(&Sample) -> u64,
    /// What it may grow by whatever is asked.
    noise: f64,
    /// What a request may leave behind for good.
    per_request: f64,
}

/// Whatever is kept of a request by mistake is larger than this: its plan in Envoy's filter state is a kilobyte
/// or two, its streams are many, a context in a VM is hundreds of bytes. The resident set creeps up by some
/// megabytes before it rests, while what is allocated does not: pages of the allocator fill up, and V8 compiles.
pub const BOUNDS: &[Bound] = &[
    Bound { name: "allocated", of: |sample| sample.allocated, noise: (2 << 20) as f64, per_request: 64.0 },
    Bound { name: "resident", of: |sample| sample.resident, noise: (4 << 20) as f64, per_request: 256.0 },
];

/// The resident set of a process.
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// How the last half of the samples grew.
pub struct Growth {
    /// Of the line that fits best, in bytes from its begin to its end.
    pub bytes: f64,
    pub minutes: f64,
    pub requests: u64,
    pub at_most: f64,
}

impl Growth {
    /// None of fewer than two samples.
    pub fn of_last_half(samples: &[Sample], bound: &Bound) -> Option<Self> {
        let half = samples.get(samples.len() / 2..).filter(|half| half.len() > 1)?;
        let (first, last) = (half.first()?, half.last()?);
        let seconds = |sample: &Sample| sample.at.as_secs_f64();
        let bytes = |sample: &Sample| (bound.of)(sample) as f64;
        let mean = |of: &dyn Fn(&Sample) -> f64| half.iter().map(of).sum::<f64>() / half.len() as f64;
        let (mid_time, mid_bytes) = (mean(&seconds), mean(&bytes));
        let spread = half.iter().map(|sample| (seconds(sample) - mid_time).powi(2)).sum::<f64>();
        let together =
            half.iter().map(|sample| (seconds(sample) - mid_time) * (bytes(sample) - mid_bytes)).sum::<f64>();
        let time = seconds(last) - seconds(first);
        let requests = last.requests - first.requests;
        Some(Growth {
            bytes: together / spread * time,
            minutes: time / 60.0,
            requests,
            at_most: bound.noise + bound.per_request * requests as f64,
        })
    }
}
