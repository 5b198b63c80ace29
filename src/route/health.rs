//! What is known of a target from the requests it has had: whether it is well, what is left of its rate
//! limits, how fast it answers and how much. State in, state out; time is an argument.
//!
//! One small record a target, which all workers share: it is read, changed and written back, and a write
//! that is lost costs a little knowledge and nothing else. No state can wedge a target: every "not now" has
//! an end, and a probe that is never heard of again is forgotten.

mod learnt;

use std::time::Duration;

use crate::clock::milliseconds;
use crate::error::Class;
pub use learnt::{Learnt, Lengths, Measured};

/// A breaker opens after so many failures in a row …
const MOST_IN_A_ROW: u16 = 5;
/// … or when more than half of the latest have failed, once there were enough to tell.
const MOST_FAILED: f32 = 0.5;
const ENOUGH: f32 = 20.0;
/// What one outcome counts among the latest: about the last twenty decide.
const RECENT: f32 = 0.05;

const SHORTEST: u64 = 500;
const LONGEST: u64 = 30_000;

/// A rate limit is believed for so long at once, whatever it asks for; then one finds out.
const LONGEST_LIMITED: u64 = 60_000;

/// A budget is scarce when it has less than this share of its limit, or room for fewer such requests: then each
/// that is sent is taken from it at once, before an answer tells.
const LITTLE: u64 = 5;
const FEW: u64 = 16;

/// The longest that a rate limit takes to be whole again: some are by the day.
const LONGEST_RESET: u64 = 25 * 3_600_000;

/// A probe that has not come back by then is lost: its worker is gone, or its client.
const PROBE: u64 = 60_000;

/// Layout of the bytes; a record of another layout is a new one.
const LAYOUT: u8 = 3;

/// Times are milliseconds since the Unix epoch; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    failures_in_a_row: u16,
    /// Answers that were broken off, without a whole one in between.
    broken_in_a_row: u8,
    /// The share of failures among the latest, and how many there were.
    failed: f32,
    outcomes: f32,
    /// Open until then; it is half-open from then on, until a probe has succeeded.
    open_until: u64,
    /// How often it has opened without a success in between.
    opened: u8,
    /// A probe is under way since then.
    probing: u64,
    requests: Budget,
    tokens: Budget,
    /// Asked to wait until then.
    limited_until: u64,
    learnt: Learnt,
}

/// What is left of a rate limit, and when it is whole again. Until then it fills up evenly: OpenAI's and
/// Anthropic's limits, and those of all who have learnt from them, are buckets that are filled continuously,
/// and their `reset` is when they are full. Where it is a window's end instead, this hopes too much, and a
/// 429 says when to come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    pub limit: u64,
    pub remaining: u64,
    pub reset: u64,
    /// When it was so.
    pub at: u64,
}

impl Budget {
    /// Since `at`, and what the time has brought back until `now`.
    fn available(&self, now: u64) -> u64 {
        let (since, whole) = (now.saturating_sub(self.at), self.reset.saturating_sub(self.at));
        if since >= whole {
            return self.limit.max(self.remaining);
        }
        let missing = self.limit.saturating_sub(self.remaining);
        self.remaining.saturating_add((missing as f64 * since as f64 / whole as f64) as u64)
    }

    /// When it holds so much. More than the limit is never there; one tries when it is full.
    fn holds(&self, needed: u64) -> u64 {
        let (more, missing) = (needed.saturating_sub(self.remaining), self.limit.saturating_sub(self.remaining));
        if more >= missing {
            return self.reset;
        }
        let whole = self.reset.saturating_sub(self.at);
        self.at.saturating_add((whole as f64 * more as f64 / missing as f64).ceil() as u64)
    }

    /// Whether requests of so much must not all go by what the last answer said.
    fn is_scarce(&self, needed: u64, now: u64) -> bool {
        let available = self.available(now);
        self.reset > now && (available < self.limit / LITTLE || available < needed.saturating_mul(FEW))
    }

    /// What an answer says of it. Where it is scarce, what is under way and had not arrived when the provider
    /// wrote that counts as well.
    fn hear(&mut self, told: Budget) {
        let remaining = if self.is_scarce(1, told.at) { self.available(told.at) } else { u64::MAX };
        // Where answers have overtaken each other, what the time has brought back is not counted twice.
        *self = Budget { remaining: told.remaining.min(remaining), at: told.at.max(self.at).min(told.reset), ..told };
    }

    /// Takes from what is there now.
    fn take(&mut self, amount: u64, now: u64) {
        if self.limit > 0 || self.remaining > 0 {
            self.remaining = self.available(now).saturating_sub(amount);
            self.at = now.min(self.reset);
        }
    }
}

/// Whether a target may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Well,
    /// Its breaker was open: one request may try, if it says so with [`Health::probe`].
    Probe,
    /// Not before then.
    Open(u64),
    /// What is left of its limits does not hold the request, until then.
    Exhausted(u64),
}

/// The state of a breaker, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Closed,
    Open,
    HalfOpen,
}

impl Breaker {
    pub fn name(self) -> &'static str {
        match self {
            Breaker::Closed => "closed",
            Breaker::Open => "open",
            Breaker::HalfOpen => "half_open",
        }
    }
}

impl Health {
    /// Whether a request of so many input tokens may go there.
    pub fn verdict(&self, now: Duration, tokens: u64) -> Verdict {
        let now = milliseconds(now);
        // A time that nobody can have meant, from whatever clock or writer, is none.
        let ahead = |until: u64, most: u64| until > now && until <= now.saturating_add(most);
        if ahead(self.open_until, LONGEST * 2) {
            return Verdict::Open(self.open_until);
        }
        if ahead(self.limited_until, LONGEST_LIMITED * 2) {
            return Verdict::Exhausted(self.limited_until);
        }
        for (budget, needed) in [(self.requests, 1), (self.tokens, tokens)] {
            if ahead(budget.reset, LONGEST_RESET) && budget.available(now) < needed {
                let until = budget.holds(needed);
                if until > now {
                    return Verdict::Exhausted(until);
                }
            }
        }
        if self.opened == 0 {
            return Verdict::Well;
        }
        let lost = self.probing.saturating_add(PROBE);
        if self.probing > 0 && ahead(lost, PROBE) { Verdict::Open(lost) } else { Verdict::Probe }
    }

    pub fn breaker(&self, now: Duration) -> Breaker {
        match self.opened {
            0 => Breaker::Closed,
            _ if self.open_until > milliseconds(now) => Breaker::Open,
            _ => Breaker::HalfOpen,
        }
    }

    /// Whether an answer that has begun well changes nothing.
    pub fn is_untroubled(&self) -> bool {
        self.opened == 0 && self.failures_in_a_row == 0 && self.failed < 0.01
    }

    /// Without what its failures say: what is learnt of its answers and left of its limits.
    pub fn without_breaker(self) -> Self {
        let Health { requests, tokens, limited_until, learnt, .. } = self;
        Health { requests, tokens, limited_until, learnt, ..Health::default() }
    }

    /// The tokens of a prompt that was estimated at so many, by what earlier ones came to.
    pub fn input(&self, estimate: u64) -> u64 {
        (estimate as f64 * self.learnt.factor()) as u64
    }

    /// How much of its limits is left, from 0 to 1: a target's share is lowered before it has to refuse.
    pub fn room(&self, now: Duration) -> f64 {
        let now = milliseconds(now);
        let room = |budget: &Budget| match budget.limit {
            0 => 1.0,
            _ if budget.reset <= now => 1.0,
            limit => budget.available(now) as f64 / limit as f64,
        };
        room(&self.requests).min(room(&self.tokens)).clamp(0.0, 1.0)
    }

    /// What is left of which limit, where that is known and still holds.
    pub fn budgets(&self, now: Duration) -> impl Iterator<Item = (&'static str, Budget)> {
        let now = milliseconds(now);
        let budgets = [("requests", self.requests), ("tokens", self.tokens)].into_iter();
        let there = move |budget: Budget| Budget { remaining: budget.available(now), ..budget };
        budgets.filter(move |(_, budget)| budget.reset > now).map(move |(name, budget)| (name, there(budget)))
    }

    /// Whether what is left of its limits is so little that requests have to be taken from it one by one.
    pub fn is_scarce(&self, tokens: u64, now: Duration) -> bool {
        let now = milliseconds(now);
        self.requests.is_scarce(1, now) || self.tokens.is_scarce(tokens, now)
    }

    /// A request is the probe; false if another was quicker.
    pub fn probe(&mut self, now: Duration) -> bool {
        if self.verdict(now, 0) != Verdict::Probe {
            return false;
        }
        self.probing = milliseconds(now).max(1);
        true
    }

    /// Takes a request that goes there now from what is left, so that many at once do not overdraw it; false if
    /// others have taken it.
    pub fn take(&mut self, tokens: u64, now: Duration) -> bool {
        let holds = self.verdict(now, tokens) == Verdict::Well;
        if holds {
            self.requests.take(1, milliseconds(now));
            self.tokens.take(tokens, milliseconds(now));
        }
        holds
    }

    /// What the headers of an answer say of the limits.
    pub fn limits(&mut self, requests: Option<Budget>, tokens: Option<Budget>) {
        for (budget, told) in [(&mut self.requests, requests), (&mut self.tokens, tokens)] {
            if let Some(told) = told {
                budget.hear(told);
            }
        }
    }

    /// The share of failures among the latest attempts.
    pub fn failed_share(&self) -> f64 {
        f64::from(self.failed).clamp(0.0, 1.0)
    }

    /// An answer has begun well.
    pub fn succeeded(&mut self) {
        self.outcome(false);
        self.failures_in_a_row = 0;
        self.opened = 0;
        self.open_until = 0;
        self.probing = 0;
    }

    /// Its probe has ended without a word of the provider.
    pub fn left(&mut self) {
        self.probing = 0;
    }

    /// An attempt has failed. `jitter`: any number, to spread the ends.
    pub fn failed(&mut self, class: Class, retry_after: Option<Duration>, now: Duration, jitter: u64) {
        let at = milliseconds(now);
        match class {
            // It has answered: the request was at fault.
            Class::Rejected | Class::TooLarge => {
                self.probing = 0;
            }
            Class::RateLimited => {
                let wait = retry_after.map_or(1_000, milliseconds).min(LONGEST_LIMITED);
                // Not before the time that it asks for.
                self.limited_until = at + wait + wait * (jitter % 21) / 100;
                self.probing = 0;
            }
            // No time will mend it, but an operator may.
            Class::Quota | Class::Misconfigured => self.open(LONGEST, at, jitter),
            Class::Transient | Class::Unreachable | Class::Silent | Class::Malformed => {
                self.outcome(true);
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if self.opened > 0 || self.failures_in_a_row >= MOST_IN_A_ROW || self.fails_often() {
                    let wait = SHORTEST << self.opened.min(6);
                    self.open(wait.min(LONGEST), at, jitter);
                }
            }
        }
    }

    /// An answer that has begun well was broken off by the provider. It counts twice among the latest, as its beginning
    /// has counted as a success. That has closed the breaker, too: how long it opens goes by the answers in a row.
    pub fn broke(&mut self, now: Duration, jitter: u64) {
        self.outcome(true);
        self.outcome(true);
        self.broken_in_a_row = self.broken_in_a_row.saturating_add(1);
        let beyond = u16::from(self.broken_in_a_row).checked_sub(MOST_IN_A_ROW);
        if beyond.is_some() || self.fails_often() {
            let wait = SHORTEST << beyond.unwrap_or(0).min(6);
            self.open(wait.min(LONGEST), milliseconds(now), jitter);
        }
    }

    /// Whether the latest answer was broken off, as far as is known.
    pub fn has_broken(&self) -> bool {
        self.broken_in_a_row > 0
    }

    /// An answer has come to its end.
    pub fn ended(&mut self) {
        self.broken_in_a_row = 0;
    }

    fn fails_often(&self) -> bool {
        self.outcomes >= ENOUGH && self.failed > MOST_FAILED
    }

    fn outcome(&mut self, failed: bool) {
        self.outcomes = (self.outcomes + 1.0).min(ENOUGH);
        self.failed += RECENT * (f32::from(u8::from(failed)) - self.failed);
    }

    fn open(&mut self, wait: u64, at: u64, jitter: u64) {
        // Failures of requests that were under way when it opened do not double the wait.
        if self.open_until <= at {
            self.open_until = at + spread(wait, jitter);
            self.opened = self.opened.saturating_add(1);
        }
        self.probing = 0;
    }

    pub fn learn(&mut self, measured: &Measured, now: Duration) {
        self.learnt.add(measured, milliseconds(now));
    }

    pub fn learnt(&self) -> &Learnt {
        &self.learnt
    }

    /// The same for a request of a task to which answers are so long.
    pub fn for_task(mut self, task: Lengths) -> Self {
        self.learnt.task = task;
        self
    }
}

/// From 80 to 120 percent of it.
fn spread(wait: u64, jitter: u64) -> u64 {
    wait * (80 + jitter % 41) / 100
}

/// The bytes in which workers share it.
impl Health {
    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        out.push(LAYOUT);
        out.push(self.opened);
        out.extend(self.failures_in_a_row.to_le_bytes());
        out.push(self.broken_in_a_row);
        for number in [
            self.open_until,
            self.probing,
            self.limited_until,
            self.requests.limit,
            self.requests.remaining,
            self.requests.reset,
            self.tokens.limit,
            self.tokens.remaining,
            self.tokens.reset,
            self.requests.at,
            self.tokens.at,
            self.learnt.at,
        ] {
            out.extend(number.to_le_bytes());
        }
        let learnt = &self.learnt;
        for number in [
            self.failed,
            self.outcomes,
            learnt.answers,
            learnt.weight,
            learnt.x,
            learnt.y,
            learnt.xx,
            learnt.xy,
            learnt.rate,
            learnt.output,
            learnt.factor,
            learnt.cached,
        ] {
            out.extend(number.to_le_bytes());
        }
        out
    }

    /// What cannot be read is a target of which nothing is known.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        read(bytes).unwrap_or_default()
    }
}

fn read(bytes: &[u8]) -> Option<Health> {
    let (&[layout, opened, low, high, broken_in_a_row], mut rest) = bytes.split_first_chunk::<5>()?;
    if layout != LAYOUT {
        return None;
    }
    let mut whole = || {
        let (number, left) = rest.split_first_chunk::<8>()?;
        rest = left;
        Some(u64::from_le_bytes(*number))
    };
    let (open_until, probing, limited_until) = (whole()?, whole()?, whole()?);
    let mut requests = Budget { limit: whole()?, remaining: whole()?, reset: whole()?, at: 0 };
    let mut tokens = Budget { limit: whole()?, remaining: whole()?, reset: whole()?, at: 0 };
    (requests.at, tokens.at) = (whole()?, whole()?);
    let at = whole()?;
    let mut number = || {
        let (number, left) = rest.split_first_chunk::<4>()?;
        rest = left;
        Some(f32::from_le_bytes(*number)).filter(|number| number.is_finite())
    };
    let (failed, outcomes) = (number()?, number()?);
    let learnt = Learnt {
        at,
        answers: number()?,
        weight: number()?,
        x: number()?,
        y: number()?,
        xx: number()?,
        xy: number()?,
        rate: number()?,
        output: number()?,
        factor: number()?,
        cached: number()?,
        task: Lengths::default(),
    };
    let failures_in_a_row = u16::from_le_bytes([low, high]);
    Some(Health {
        failures_in_a_row,
        broken_in_a_row,
        failed,
        outcomes,
        open_until,
        opened,
        probing,
        requests,
        tokens,
        limited_until,
        learnt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(1_000_000 + milliseconds)
    }

    fn fail(health: &mut Health, milliseconds: u64) {
        health.failed(Class::Unreachable, None, at(milliseconds), 20);
    }

    #[test]
    fn a_breaker_opens_lets_one_probe_through_and_closes_again() {
        let mut health = Health::default();
        for n in 0..4 {
            fail(&mut health, n);
            assert_eq!(health.verdict(at(n), 0), Verdict::Well);
        }
        fail(&mut health, 4);
        assert_eq!(health.verdict(at(5), 0), Verdict::Open(1_000_504));
        assert_eq!(health.breaker(at(5)), Breaker::Open);
        // What was under way when it opened changes nothing.
        fail(&mut health, 6);
        assert_eq!(health.verdict(at(504), 0), Verdict::Probe);
        assert!(health.probe(at(504)));
        assert!(!health.probe(at(505)), "one at a time");
        // Its client has left.
        health.left();
        assert!(health.probe(at(505)));
        assert!(matches!(health.verdict(at(505), 0), Verdict::Open(_)));
        fail(&mut health, 600);
        assert_eq!(health.verdict(at(601), 0), Verdict::Open(1_001_600), "twice as long");
        assert!(health.probe(at(1_600)));
        health.succeeded();
        assert_eq!((health.verdict(at(1_601), 0), health.breaker(at(1_601))), (Verdict::Well, Breaker::Closed));
    }

    #[test]
    fn waits_are_bounded_and_a_lost_probe_is_forgotten() {
        let mut health = Health::default();
        let mut now = 0;
        for _ in 0..40 {
            fail(&mut health, now);
            if let Verdict::Open(until) = health.verdict(at(now), 0) {
                assert!(until - 1_000_000 - now <= 36_000);
                now = until - 1_000_000;
            }
        }
        assert!(health.probe(at(now)));
        assert_eq!(health.verdict(at(now + PROBE), 0), Verdict::Probe);
    }

    #[test]
    fn half_of_many_failing_opens_and_the_clients_own_faults_do_not() {
        let mut health = Health::default();
        for n in 0..200 {
            health.failed(Class::Rejected, None, at(n), 0);
            health.failed(Class::TooLarge, None, at(n), 0);
        }
        assert_eq!(health.verdict(at(200), 0), Verdict::Well);
        let opened = (0..200).find(|n| {
            if n % 3 == 0 {
                health.succeeded()
            } else {
                fail(&mut health, 200 + n)
            }
            health.breaker(at(200 + n)) == Breaker::Open
        });
        assert!(opened.is_some_and(|n| n > 10), "{opened:?}");
    }

    #[test]
    fn what_is_left_of_the_limits_must_hold_the_request() {
        let mut health = Health::default();
        let reset = 1_060_000;
        let budget = |limit, remaining| Some(Budget { limit, remaining, reset, at: 1_000_000 });
        health.limits(budget(100, 2), budget(1000, 500));
        assert_eq!(health.verdict(at(0), 400), Verdict::Well);
        assert_eq!(health.verdict(at(0), 600), Verdict::Exhausted(1_012_000), "it fills up evenly");
        assert_eq!(health.verdict(at(12_000), 600), Verdict::Well);
        assert_eq!(health.verdict(at(0), 5_000), Verdict::Exhausted(reset), "when it is full, rather than never");
        assert!((health.room(at(0)) - 0.02).abs() < 1e-9);
        assert!(health.take(100, at(0)));
        assert!(health.take(100, at(0)));
        assert_eq!(health.verdict(at(0), 1), Verdict::Exhausted(1_000_600));
        assert_eq!(health.verdict(at(60_000), 501), Verdict::Well, "whole again");
        for jitter in 0..50 {
            let mut limited = health;
            limited.failed(Class::RateLimited, Some(Duration::from_secs(2)), at(60_000), jitter);
            let Verdict::Exhausted(until) = limited.verdict(at(60_001), 1) else { panic!("{jitter}") };
            assert!((1_062_000..=1_062_400).contains(&until), "never before the time it asks for: {until}");
        }
        health.failed(Class::RateLimited, Some(Duration::from_secs(7_000)), at(60_000), 0);
        assert_eq!(health.verdict(at(60_001), 1), Verdict::Exhausted(1_120_000), "a minute at most");
    }

    #[test]
    fn a_provider_that_breaks_most_of_its_answers_off_is_left_alone_and_one_that_breaks_some_is_not() {
        let opens = |breaks: &dyn Fn(u64) -> bool| {
            let mut health = Health::default();
            (0..400).find(|n| {
                health.succeeded();
                if breaks(*n) {
                    health.broke(at(*n), 20);
                } else {
                    health.ended();
                }
                health.breaker(at(*n)) == Breaker::Open
            })
        };
        assert_eq!(opens(&|_| true), Some(4), "five in a row");
        assert!(opens(&|n| n % 5 > 0).is_some_and(|n| n > 5), "most");
        assert_eq!(opens(&|n| n % 4 == 0), None, "some");
        // Every probe begins well and breaks.
        let (mut health, mut now) = (Health::default(), 0);
        for wait in [0, 0, 0, 0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            health.succeeded();
            health.broke(at(now), 20);
            let open = Verdict::Open(1_000_000 + now + wait);
            assert_eq!(health.verdict(at(now), 0), if wait == 0 { Verdict::Well } else { open });
            now += wait;
        }
    }

    #[test]
    fn what_time_brings_back_is_not_counted_twice_by_answers_that_overtake_each_other() {
        let mut health = Health::default();
        let told = |milliseconds: u64| {
            Some(Budget { limit: 10, remaining: 0, reset: 1_060_000, at: 1_000_000 + milliseconds })
        };
        health.limits(told(0), None);
        assert!(health.take(1, at(6_000)), "a tenth of it is back");
        health.limits(told(1_000), None);
        assert!(matches!(health.verdict(at(6_100), 1), Verdict::Exhausted(_)));
    }

    #[test]
    fn without_breakers_limits_still_hold() {
        let mut health = Health::default();
        health.failed(Class::Misconfigured, None, at(0), 0);
        health.failed(Class::RateLimited, None, at(0), 0);
        assert!(matches!(health.verdict(at(1), 1), Verdict::Open(_)));
        assert_eq!(health.without_breaker().verdict(at(1), 1), Verdict::Exhausted(1_001_000));
    }

    #[test]
    fn what_is_scarce_is_taken_one_by_one_whatever_an_answer_has_not_seen_yet() {
        let mut health = Health::default();
        let told = |remaining, milliseconds: u64| {
            let at = 1_000_000 + milliseconds;
            Some(Budget { limit: 10, remaining, reset: at + 60_000, at })
        };
        assert!(!health.is_scarce(1, at(0)), "nothing is known");
        health.limits(Some(Budget { limit: 10_000, remaining: 9_000, reset: 1_060_000, at: 1_000_000 }), None);
        assert!(!health.is_scarce(1, at(0)));
        health = Health::default();
        health.limits(told(3, 0), None);
        assert!(health.is_scarce(1, at(0)));
        // Three go; a fourth finds that they are gone, and so does who hears of the first one's answer.
        assert_eq!([0, 1, 2, 3].map(|n| health.take(1, at(n))), [true, true, true, false]);
        health.limits(told(2, 10), None);
        assert!(matches!(health.verdict(at(11), 1), Verdict::Exhausted(_)));
        // What the provider says less of is gone, too; with the reset all is as it says.
        health.limits(told(9, 70_000), None);
        assert_eq!(health.verdict(at(70_000), 1), Verdict::Well);
        health.limits(told(0, 70_100), None);
        assert!(matches!(health.verdict(at(70_101), 1), Verdict::Exhausted(_)));
    }

    #[test]
    fn the_bytes_read_back_and_any_others_are_harmless() {
        let mut health = Health::default();
        for n in 0..7 {
            fail(&mut health, n);
        }
        health.limits(Some(Budget { limit: 3, remaining: 2, reset: 9, at: 1 }), None);
        let bytes = health.to_bytes();
        assert_eq!(Health::from_bytes(&bytes), health);
        for cut in 0..bytes.len() {
            assert_eq!(Health::from_bytes(&bytes[..cut]), Health::default());
        }
        let now = at(0);
        let mut odd = Health::from_bytes(&[vec![LAYOUT], vec![0xFF; 100], vec![0; 48]].concat());
        assert_eq!(odd.verdict(now, 0), Verdict::Probe, "the end of time is no time to wait for");
        odd.succeeded();
        assert_eq!(odd.verdict(now, 0), Verdict::Well);
    }
}
