//! The line that a request leaves in the access log: one JSON object of facts, never a prompt, an answer
//! or a key.
//!
//! Names are OpenTelemetry's (`gen_ai.*`, semantic conventions for generative AI) where it has one.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::attempt::Answer;
use crate::chat::FinishReason;
use crate::clock::milliseconds;
use crate::config::Model;
use crate::error::Class;
use crate::json::Writer;
use crate::meter::{Meter, Spent};
use crate::provider::Target;
use crate::quality::Quality;
use crate::route::retry::{Failure, Progress};
use crate::route::{Plan, policy};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has a whole answer.
    Answered,
    /// No target gave one, and the client was told.
    Failed,
    /// The answer had begun and did not come to its end: the provider broke it off or stood still, or Envoy
    /// closed the connection, as it does when it has drained a listener that is replaced.
    Broken,
    /// The client left before the end.
    Aborted,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Failed => "failed",
            Outcome::Broken => "broken",
            Outcome::Aborted => "aborted",
        }
    }
}

/// Who has ended a request before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Client,
    Provider,
    Envoy,
}

/// By Envoy's response code details. A client's connection is gone (`downstream_remote_disconnect`), or the stream
/// alone was reset (`http2.remote_reset`); so it is with a provider (`upstream_reset_…{remote_reset}`). What Envoy
/// ends has other words (`downstream_local_disconnect(…)`).
pub fn ended_by(details: &[u8]) -> By {
    let is_clients = details.starts_with(b"downstream_") || details.starts_with(b"http");
    match details {
        _ if details.starts_with(b"upstream_reset") => By::Provider,
        _ if is_clients && memchr::memmem::find(details, b"remote").is_some() => By::Client,
        _ => By::Envoy,
    }
}

/// When what happened, since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub began: Duration,
    /// When the attempt began that was under way at the end.
    pub attempt: Option<Duration>,
    /// When the first token, or the whole answer, was passed on.
    pub committed: Option<Duration>,
    pub ended: Duration,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Answered,
    Broken,
    Aborted,
    Failed(Class),
}

impl Ended {
    pub fn name(self) -> &'static str {
        match self {
            Ended::Answered => Outcome::Answered.name(),
            Ended::Broken => Outcome::Broken.name(),
            Ended::Aborted => Outcome::Aborted.name(),
            Ended::Failed(class) => class.name(),
        }
    }
}

/// What a request that was planned has come to. The access log and the metrics are told from this, so
/// that they agree.
pub struct Settled<'a> {
    pub plan: &'a Plan,
    pub outcome: Outcome,
    pub status: u16,
    pub times: Times,
    /// Of the attempt that was under way at the end, if one was.
    pub target: Option<&'a Arc<Target>>,
    pub finish: Option<FinishReason>,
    /// What that attempt has taken, whatever became of it: whoever is asked is paid.
    pub spent: Option<Spent>,
    /// Of the registry: the owner's.
    pub model: Option<&'a Model>,
    /// Micro-dollars, where the price is known.
    pub cost: Option<u64>,
    /// Of a whole answer.
    pub quality: Option<Quality>,
    pub skipped: u64,
    failures: &'a [Failure],
}

impl<'a> Settled<'a> {
    /// `answer`: of the attempt under way. `None` if the request ended between two attempts, or after the
    /// last of them had failed.
    pub fn new(
        plan: &'a Plan,
        progress: &'a Progress,
        answer: Option<&Answer>,
        outcome: Outcome,
        status: u16,
        times: Times,
        model: impl FnOnce(&Arc<Target>) -> Option<&'a Model>,
    ) -> Self {
        let target = answer.and_then(|_| plan.candidates.get(progress.next)).map(|candidate| &candidate.target);
        let told = answer.filter(|_| outcome != Outcome::Failed);
        let meter = told.and_then(Answer::meter);
        let spent = meter.map(|meter| meter.spent(plan.input_estimate));
        let mut settled = Settled {
            plan,
            outcome,
            status,
            times,
            target,
            finish: meter.and_then(Meter::finish_reason),
            spent,
            model: None,
            cost: None,
            quality: meter.and_then(|meter| meter.quality(&plan.expected)),
            skipped: told.map_or(0, |answer| answer.skipped() as u64),
            failures: &progress.failures,
        };
        settled.model = settled.owner().and_then(model);
        // Who has spent something was asked last, and so is the owner.
        let price = settled.model.and_then(|model| model.facts.price.as_ref());
        settled.cost = spent.zip(price).map(|(spent, price)| policy::settled(price, &spent.usage));
        settled
    }

    /// Who is named for the request as a whole: who was asked last, or would have been asked first.
    pub fn owner(&self) -> Option<&'a Arc<Target>> {
        let last = || self.plan.candidates.get(self.failures.last().map_or(0, |failure| failure.candidate));
        self.target.or_else(|| last().map(|candidate| &candidate.target))
    }

    /// Every attempt that was made, in order, and the status of those that failed.
    pub fn attempts(&self) -> impl Iterator<Item = (&'a Arc<Target>, Ended, Option<u16>)> {
        let failed = self.failures.iter().filter_map(|failure| {
            let candidate = self.plan.candidates.get(failure.candidate)?;
            Some((&candidate.target, Ended::Failed(failure.class), Some(failure.reply.status)))
        });
        let ended = match self.outcome {
            Outcome::Answered => Ended::Answered,
            Outcome::Broken => Ended::Broken,
            Outcome::Aborted => Ended::Aborted,
            // Envoy has given up on an attempt that was still silent.
            Outcome::Failed => Ended::Failed(Class::Silent),
        };
        failed.chain(self.target.map(|target| (target, ended, None)))
    }

    /// From the beginning of the request, or of the attempt that has answered, to the first token or the
    /// whole answer.
    pub fn committed(&self, since: Option<Duration>) -> Option<Duration> {
        Some(self.times.committed?.saturating_sub(since?))
    }

    /// The line for the access log, with its end.
    ///
    /// One is written for every request: what is the same in all of them is copied in pieces as long as can be.
    pub fn line(&self) -> Vec<u8> {
        let Settled { plan, times, .. } = self;
        let mut w = Writer::with_capacity(1024);
        write_time(w.fixed(r#"{"time":"#), times.began);
        w.fixed(r#","request_id":"#).string(&plan.request_id);
        w.parts(&[r#","outcome":""#, self.outcome.name(), r#"","status":"#]).number(self.status.into());
        // What routes, models and providers are called has nothing to escape.
        w.parts(&[r#","route":""#, &plan.route, r#"","version":"#]).string(&plan.version);
        let streams = if plan.stream { "true" } else { "false" };
        let digits = &mut [0; 16];
        let conversation = hex(plan.conversation, digits);
        w.parts(&[r#","conversation":""#, conversation, r#"","stream":"#, streams, r#","duration_ms":"#]);
        w.number(milliseconds(times.ended.saturating_sub(times.began)));
        if let Some(committed) = self.committed(Some(times.began)) {
            w.fixed(r#","first_token_ms":"#).number(milliseconds(committed));
        }
        w.fixed(r#","gen_ai.operation.name":"chat""#);
        if let Some(target) = self.target.filter(|_| self.outcome != Outcome::Failed) {
            let Target { model, kind, id, .. } = &**target;
            w.parts(&[r#","model":""#, model, r#"","gen_ai.provider.name":""#, kind, r#"","gen_ai.request.model":"#]);
            w.string(id);
        }
        if let Some(reason) = self.finish {
            w.parts(&[r#","gen_ai.response.finish_reasons":[""#, reason.as_str(), r#""]"#]);
        }
        if let Some(Spent { usage, estimated }) = &self.spent {
            w.fixed(r#","gen_ai.usage.input_tokens":"#).number(usage.input);
            w.fixed(r#","gen_ai.usage.output_tokens":"#).number(usage.output);
            for (key, count) in [
                (r#","gen_ai.usage.cache_read.input_tokens":"#, usage.cached_input),
                (r#","gen_ai.usage.cache_creation.input_tokens":"#, usage.cache_write),
                (r#","reasoning_tokens":"#, usage.reasoning),
                (r#","cost_micro_usd":"#, self.cost),
            ] {
                if let Some(count) = count {
                    w.fixed(key).number(count);
                }
            }
            w.fixed(if *estimated { r#","estimated":true"# } else { r#","estimated":false"# });
        }
        if self.skipped > 0 {
            w.fixed(r#","skipped_events":"#).number(self.skipped);
        }
        w.fixed(r#","input_estimate":"#).number(plan.input_estimate);
        if let Some(quality) = self.quality.filter(|quality| *quality != Quality::default()) {
            w.fixed(r#","quality":"#).begin_object();
            for (fact, count) in quality.facts() {
                w.key(fact.name()).number(count);
            }
            w.end_object();
        }
        w.fixed(r#","attempts":"#).begin_array();
        for (target, ended, status) in self.attempts() {
            w.begin_object().parts(&[r#""model":""#, &target.model, r#"","class":""#, ended.name(), "\""]);
            if let Some(status) = status {
                w.fixed(r#","status":"#).number(status.into());
            }
            w.end_object();
        }
        w.end_array().fixed("}\n");
        w.into_bytes()
    }
}

/// A request that ended without a plan: refused, left, or served without one.
pub struct Unplanned<'a> {
    pub began: Duration,
    pub ended: Duration,
    pub request_id: &'a str,
    pub method: &'a str,
    pub served: bool,
    pub status: u16,
    /// Envoy's response code details.
    pub details: &'a [u8],
}

impl Unplanned<'_> {
    /// Its line for the access log, with its end.
    pub fn line(&self) -> Vec<u8> {
        let outcome = match self.served {
            true => "served",
            false if ended_by(self.details) == By::Client => Outcome::Aborted.name(),
            false => "refused",
        };
        let mut w = Writer::with_capacity(256);
        write_time(w.begin_object().key("time"), self.began);
        w.key("request_id").string(self.request_id).key("outcome").string(outcome);
        w.key("status").number(self.status.into()).key("details").string(&String::from_utf8_lossy(self.details));
        w.key("method").string(self.method);
        w.key("duration_ms").number(milliseconds(self.ended.saturating_sub(self.began))).fixed("}\n");
        w.into_bytes()
    }
}

/// A time since the Unix epoch by RFC 3339, to the millisecond. Of all times within a second only the first is
/// put into words: there may be thousands.
fn write_time(w: &mut Writer, time: Duration) {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != time.as_secs() || text.is_empty() {
            *second = time.as_secs();
            *text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(*second)).to_string();
            text.pop();
        }
        let milliseconds = time.subsec_millis();
        let digits = [100, 10, 1].map(|unit| b'0' + (milliseconds / unit % 10) as u8);
        w.escaped(&[text, ".", str::from_utf8(&digits).unwrap_or_default(), "Z"]);
    });
}

/// With leading zeros.
fn hex(number: u64, digits: &mut [u8; 16]) -> &str {
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        let value = (number >> (4 * place) & 0xF) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
    str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_hashes_are_written_as_the_libraries_do() {
        for milliseconds in [0, 7, 1_795_255_200_000, 1_795_255_200_045, 1_795_255_201_999, 1_795_255_200_100] {
            let time = Duration::from_millis(milliseconds);
            let mut w = Writer::default();
            write_time(&mut w, time);
            let expected = format!("\"{}\"", humantime::format_rfc3339_millis(UNIX_EPOCH + time));
            assert_eq!(String::from_utf8(w.into_bytes()).unwrap(), expected);
        }
        for number in [0, 0xF, 0x9A, 0x0123_4567_89AB_CDEF, u64::MAX] {
            assert_eq!(hex(number, &mut [0; 16]), format!("{number:016x}"));
        }
    }

    #[test]
    fn clients_leave_by_closing_or_resetting_and_providers_are_upstream() {
        for (by, all) in [
            (
                By::Client,
                &["downstream_remote_disconnect", "http2.remote_reset", "http2.remote_refused", "http3.remote_reset"][..],
            ),
            (By::Provider, &["upstream_reset_after_response_started{remote_reset}"]),
            (
                By::Envoy,
                &[
                    "",
                    "via_upstream",
                    "dragoman",
                    "downstream_local_disconnect(filter_chain_is_being_removed)",
                    "wasm_fail_stream",
                ],
            ),
        ] {
            for details in all {
                assert_eq!(ended_by(details.as_bytes()), by, "{details}");
            }
        }
    }
}
