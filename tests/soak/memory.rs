//! Whether a process's memory stays flat.

use std::time::Duration;

/// What one more request may leave behind for good. Whatever is kept of a request is larger: the plan
/// alone is a kilobyte or two, a stream of Envoy's many. Were it lost for the faulty tenth only, this would still show it.
const MOST_PER_REQUEST: f64 = 256.0;
/// What allocators hold on to by themselves, however long they are watched: a few arenas and a heap of V8's.
const NOISE: f64 = (8 << 20) as f64;

#[derive(Clone, Copy)]
pub struct Sample {
    pub at: Duration,
    pub bytes: u64,
    /// How many requests had ended.
    pub requests: u64,
}

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
}

impl Growth {
    pub fn of_last_half(samples: &[Sample]) -> Option<Self> {
        let half = samples.get(samples.len() / 2..)?;
        let (first, last) = (half.first()?, half.last()?);
        let count = half.len() as f64;
        let seconds = |sample: &Sample| sample.at.as_secs_f64();
        let mean = |of: &dyn Fn(&Sample) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (mid_time, mid_bytes) = (mean(&seconds), mean(&|sample| sample.bytes as f64));
        let spread: f64 = half.iter().map(|sample| (seconds(sample) - mid_time).powi(2)).sum();
        let together = |sample: &Sample| (seconds(sample) - mid_time) * (sample.bytes as f64 - mid_bytes);
        let slope = half.iter().map(together).sum::<f64>() / spread.max(f64::MIN_POSITIVE);
        let time = seconds(last) - seconds(first);
        Some(Growth { bytes: slope * time, minutes: time / 60.0, requests: last.requests - first.requests })
    }

    /// The most that it may have grown.
    pub fn bound(&self) -> f64 {
        NOISE + MOST_PER_REQUEST * self.requests as f64
    }
}
