//! The line that a request leaves in the access log: one JSON object of facts, never a prompt, an answer
//! or a key.
//!
//! Names are OpenTelemetry's (`gen_ai.*`, semantic conventions for generative AI) where it has one.

use std::time::Duration;

use crate::attempt::Answer;
use crate::json::Writer;
use crate::route::Plan;
use crate::route::retry::Progress;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has a whole answer.
    Answered,
    /// No target gave one, and the client was told.
    Failed,
    /// The answer had begun and did not come to its end: the provider broke it off or stood still.
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

/// When what happened, since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub began: Duration,
    /// When the first token, or the whole answer, was passed on.
    pub committed: Option<Duration>,
    pub ended: Duration,
}

/// The line for a request that was planned.
pub fn line(
    plan: &Plan,
    progress: &Progress,
    answer: Option<&Answer>,
    outcome: Outcome,
    status: u16,
    times: Times,
) -> Vec<u8> {
    let mut w = Writer::with_capacity(768);
    w.begin_object();
    w.key("time").string(&rfc3339(times.began));
    w.key("request_id").string(&plan.request_id);
    w.key("outcome").string(outcome.name()).key("status").number(status.into());
    w.key("route").string(&plan.route).key("version").string(&plan.version);
    w.key("stream").bool(plan.stream);
    w.key("duration_ms").number(milliseconds(times.ended.saturating_sub(times.began)));
    if let Some(committed) = times.committed {
        w.key("first_token_ms").number(milliseconds(committed.saturating_sub(times.began)));
    }
    w.key("gen_ai.operation.name").string("chat");
    // The attempt that answers, or would have: whoever is asked pays for it.
    let target = plan.candidates.get(progress.next).filter(|_| outcome != Outcome::Failed).map(|it| &it.target);
    if let Some(target) = target {
        w.key("model").string(&target.model).key("gen_ai.provider.name").string(&target.kind);
        w.key("gen_ai.request.model").string(&target.id);
    }
    if let Some(answer) = answer.filter(|_| outcome != Outcome::Failed) {
        let meter = answer.meter();
        if let Some(reason) = meter.finish_reason() {
            w.key("gen_ai.response.finish_reasons").begin_array().string(reason.as_str()).end_array();
        }
        let spent = meter.spent(plan.input_estimate);
        w.key("gen_ai.usage.input_tokens").number(spent.usage.input);
        w.key("gen_ai.usage.output_tokens").number(spent.usage.output);
        for (name, count) in [
            ("gen_ai.usage.cache_read.input_tokens", spent.usage.cached_input),
            ("gen_ai.usage.cache_creation.input_tokens", spent.usage.cache_write),
            ("reasoning_tokens", spent.usage.reasoning),
        ] {
            if let Some(count) = count {
                w.key(name).number(count);
            }
        }
        w.key("estimated").bool(spent.estimated);
        if answer.skipped() > 0 {
            w.key("skipped_events").number(answer.skipped() as u64);
        }
    }
    w.key("input_estimate").number(plan.input_estimate);
    w.key("attempts").begin_array();
    for failure in &progress.failures {
        let Some(candidate) = plan.candidates.get(failure.candidate) else { continue };
        w.begin_object().key("model").string(&candidate.target.model).key("class").string(failure.class.name());
        w.key("status").number(failure.reply.status.into()).end_object();
    }
    if let Some(target) = target {
        w.begin_object().key("model").string(&target.model).key("class").string(outcome.name()).end_object();
    }
    w.end_array().end_object();
    w.into_bytes()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn rfc3339(time: Duration) -> String {
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + time).to_string()
}
