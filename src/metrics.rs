//! What is counted: every metric with its labels and unit, and which of them a request adds to.
//!
//! Labels are names of the configuration and words of this file, never a client's, so that nobody can
//! make more series than the configuration has. A metric is one string to the host: its labels are written
//! into its name, `dragoman_requests_total;route=smart;…;outcome=answered`, from where the bootstrap's
//! `stats_tags` take them out again. OpenTelemetry's names are used where it has one.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::chat::FinishReason;
use crate::clock::{microseconds, milliseconds};
use crate::config::registry::Date;
use crate::error::Class;
use crate::provider::Target;
use crate::quality::{Fact, Quality};
use crate::record::{Ended, Outcome, Settled};
use crate::route::ending;
use crate::route::health::{Breaker, Health};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Counter, Kind::Gauge, Kind::Histogram];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Whose metric it is: its first labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A target of a version of a route.
    Target,
    /// A model, wherever it is a target.
    Model,
    Gateway,
}

impl Scope {
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Scope::Target => &["route", "version", "model", "provider"],
            Scope::Model => &["model", "provider"],
            Scope::Gateway => &[],
        }
    }
}

/// Metrics of one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// As Prometheus has it.
    pub name: &'static str,
    pub kind: Kind,
    pub scope: Scope,
    /// Its labels beside those of its scope.
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// The upper bounds of a histogram's buckets.
    pub buckets: &'static [u32],
}

const fn family(
    name: &'static str,
    kind: Kind,
    scope: Scope,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, kind, scope, labels, help, buckets: &[] }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    buckets: &'static [u32],
    help: &'static str,
) -> Family {
    Family { name, kind: Kind::Histogram, scope: Scope::Target, labels, help, buckets }
}

static REQUESTS: Family = family(
    "dragoman_requests_total",
    Kind::Counter,
    Scope::Target,
    &["outcome"],
    "requests that were planned, by how they ended; the target is who answered or was asked last",
);
static ATTEMPTS: Family = family(
    "dragoman_attempts_total",
    Kind::Counter,
    Scope::Target,
    &["class"],
    "attempts, by how they ended: answered, broken, aborted, or the class of the failure",
);
static TOKENS: Family = family(
    "dragoman_tokens_total",
    Kind::Counter,
    Scope::Target,
    &["type", "counted"],
    "tokens; input includes cached_input and cache_write, output includes reasoning",
);
static COST: Family = family(
    "dragoman_cost_microdollars_total",
    Kind::Counter,
    Scope::Target,
    &["counted"],
    "what the tokens cost by the model's price, in millionths of a dollar",
);
static ESTIMATED_INPUT: Family = family(
    "dragoman_estimated_input_tokens_total",
    Kind::Counter,
    Scope::Target,
    &[],
    "what the input of answers with reported usage had been estimated at",
);
static ANSWERS: Family = family(
    "dragoman_answers_total",
    Kind::Counter,
    Scope::Target,
    &["finish"],
    "whole answers, by their finish reason",
);
static QUALITY: Family = family(
    "dragoman_quality_total",
    Kind::Counter,
    Scope::Target,
    &["fact"],
    "what is said of whole answers: valid or invalid JSON where it was asked for, tool calls with good or bad arguments, refusals, nothing said",
);
static SKIPPED: Family = family(
    "dragoman_skipped_events_total",
    Kind::Counter,
    Scope::Target,
    &[],
    "events of streams that could not be read and were left out",
);
static RETIRING: Family = family(
    "dragoman_retiring_requests_total",
    Kind::Counter,
    Scope::Target,
    &[],
    "requests of models that are deprecated or retired, or will be within 60 days",
);
static REFUSED: Family = family(
    "dragoman_refused_total",
    Kind::Counter,
    Scope::Gateway,
    &["status"],
    "requests that ended before there was a plan, by status; 0 if the client left. What Envoy refuses first (a wrong key, broken HTTP) is not among them",
);
static DURATION: Family = histogram(
    "gen_ai_client_operation_duration_milliseconds",
    &["outcome"],
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 600_000],
    "from the request to its end",
);
static FIRST_TOKEN: Family = histogram(
    "gen_ai_server_time_to_first_token_milliseconds",
    &[],
    &[25, 50, 100, 175, 250, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 25_000, 60_000, 120_000],
    "of streams: from the attempt to its first token",
);
static OUTPUT_TIME: Family = histogram(
    "gen_ai_server_time_per_output_token_microseconds",
    &[],
    &[
        500, 1_000, 2_000, 3_500, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 250_000,
        1_000_000,
    ],
    "of streams: for each token behind the first; its inverse is the output rate",
);
static USAGE: Family = histogram(
    "gen_ai_client_token_usage",
    &["type"],
    &[1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304],
    "tokens of an answer with reported usage: input and output",
);
static BREAKER: Family =
    family("dragoman_breaker_state", Kind::Gauge, Scope::Model, &[], "0 closed, 1 half open, 2 open");
static ROOM: Family =
    family("dragoman_limit_room_percent", Kind::Gauge, Scope::Model, &[], "what is left of the provider's rate limits");
static FACTOR: Family = family(
    "dragoman_learnt_input_factor_percent",
    Kind::Gauge,
    Scope::Model,
    &[],
    "learnt: reported over estimated input tokens",
);
static LEARNT_FIRST: Family = family(
    "dragoman_learnt_first_token_milliseconds",
    Kind::Gauge,
    Scope::Model,
    &[],
    "learnt: time to the first token of a prompt of 1,000 tokens; 0 if nothing is known",
);
static LEARNT_RATE: Family = family(
    "dragoman_learnt_output_tokens_per_second",
    Kind::Gauge,
    Scope::Model,
    &[],
    "learnt: output rate; 0 if nothing is known",
);

/// All of them, in the order of the documentation.
pub static FAMILIES: &[&Family] = &[
    &REQUESTS,
    &ATTEMPTS,
    &TOKENS,
    &COST,
    &ESTIMATED_INPUT,
    &ANSWERS,
    &QUALITY,
    &SKIPPED,
    &RETIRING,
    &REFUSED,
    &DURATION,
    &FIRST_TOKEN,
    &OUTPUT_TIME,
    &USAGE,
    &BREAKER,
    &ROOM,
    &FACTOR,
    &LEARNT_FIRST,
    &LEARNT_RATE,
];

/// Every label, for the bootstrap.
pub fn labels() -> Vec<&'static str> {
    let mut labels = Vec::new();
    for label in FAMILIES.iter().flat_map(|family| family.scope.labels().iter().chain(family.labels)) {
        if !labels.contains(label) {
            labels.push(*label);
        }
    }
    labels
}

/// Which tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    Input,
    CachedInput,
    CacheWrite,
    Output,
    Reasoning,
}

impl Tokens {
    fn name(self) -> &'static str {
        match self {
            Tokens::Input => "input",
            Tokens::CachedInput => "cached_input",
            Tokens::CacheWrite => "cache_write",
            Tokens::Output => "output",
            Tokens::Reasoning => "reasoning",
        }
    }
}

/// By whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// By the provider.
    Reported,
    /// By us, of an answer that has no usage or did not come to its end.
    Estimated,
}

impl Counted {
    fn name(self) -> &'static str {
        match self {
            Counted::Reported => "reported",
            Counted::Estimated => "estimated",
        }
    }
}

/// One metric of a scope: the family and the values of its own labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Requests(Outcome),
    Attempts(Ended),
    Tokens(Tokens, Counted),
    Cost(Counted),
    EstimatedInput,
    Answers(FinishReason),
    Quality(Fact),
    Skipped,
    Retiring,
    Refused(u16),
    Duration(Outcome),
    FirstToken,
    OutputTime,
    Usage(Tokens),
    Breaker,
    Room,
    Factor,
    LearntFirst,
    LearntRate,
}

impl Point {
    pub fn family(self) -> &'static Family {
        match self {
            Point::Requests(_) => &REQUESTS,
            Point::Attempts(_) => &ATTEMPTS,
            Point::Tokens(..) => &TOKENS,
            Point::Cost(_) => &COST,
            Point::EstimatedInput => &ESTIMATED_INPUT,
            Point::Answers(_) => &ANSWERS,
            Point::Quality(_) => &QUALITY,
            Point::Skipped => &SKIPPED,
            Point::Retiring => &RETIRING,
            Point::Refused(_) => &REFUSED,
            Point::Duration(_) => &DURATION,
            Point::FirstToken => &FIRST_TOKEN,
            Point::OutputTime => &OUTPUT_TIME,
            Point::Usage(_) => &USAGE,
            Point::Breaker => &BREAKER,
            Point::Room => &ROOM,
            Point::Factor => &FACTOR,
            Point::LearntFirst => &LEARNT_FIRST,
            Point::LearntRate => &LEARNT_RATE,
        }
    }

    /// The whole name. `scope`: the values of the scope's labels.
    pub fn name(self, scope: &[&str]) -> String {
        let family = self.family();
        let mut name = family.name.to_owned();
        for (label, value) in family.scope.labels().iter().zip(scope) {
            push_label(&mut name, label, value);
        }
        let mut own = family.labels.iter();
        let mut push = |value: &str| {
            if let Some(label) = own.next() {
                push_label(&mut name, label, value);
            }
        };
        match self {
            Point::Requests(outcome) | Point::Duration(outcome) => push(outcome.name()),
            Point::Attempts(ended) => push(ended.name()),
            Point::Tokens(tokens, counted) => {
                push(tokens.name());
                push(counted.name());
            }
            Point::Usage(tokens) => push(tokens.name()),
            Point::Cost(counted) => push(counted.name()),
            Point::Answers(finish) => push(finish.as_str()),
            Point::Quality(fact) => push(fact.name()),
            Point::Refused(status) => push(&status.to_string()),
            Point::EstimatedInput
            | Point::Skipped
            | Point::Retiring
            | Point::FirstToken
            | Point::OutputTime
            | Point::Breaker
            | Point::Room
            | Point::Factor
            | Point::LearntFirst
            | Point::LearntRate => {}
        }
        name
    }
}

/// Names of the configuration are written as they are: routes and models have letters, digits and
/// `. _ : / @ -`. A version may be any text; whatever else is in it is escaped as in an address.
fn push_label(name: &mut String, label: &str, value: &str) {
    name.extend([";", label, "="]);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte) {
            name.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
}

/// What a request adds to, each exactly once: `count` is told the target, the metric and the amount.
pub fn of_request<'a>(settled: &Settled<'a>, count: &mut dyn FnMut(&'a Arc<Target>, Point, u64)) {
    for (target, ended, _) in settled.attempts() {
        count(target, Point::Attempts(ended), 1);
    }
    let Some(owner) = settled.owner() else { return };
    let outcome = settled.outcome;
    let times = &settled.times;
    count(owner, Point::Requests(outcome), 1);
    count(owner, Point::Duration(outcome), milliseconds(times.ended.saturating_sub(times.began)));
    if settled.model.is_some_and(|model| ending::is_near(&model.facts, Date::of(times.ended))) {
        count(owner, Point::Retiring, 1);
    }
    let Some(spent) = &settled.spent else { return };
    let usage = &spent.usage;
    let counted = if spent.estimated { Counted::Estimated } else { Counted::Reported };
    for (tokens, amount) in [
        (Tokens::Input, usage.input),
        (Tokens::CachedInput, usage.cached_input.unwrap_or(0)),
        (Tokens::CacheWrite, usage.cache_write.unwrap_or(0)),
        (Tokens::Output, usage.output),
        (Tokens::Reasoning, usage.reasoning.unwrap_or(0)),
    ] {
        if amount > 0 {
            count(owner, Point::Tokens(tokens, counted), amount);
        }
    }
    if let Some(cost) = settled.cost.filter(|cost| *cost > 0) {
        count(owner, Point::Cost(counted), cost);
    }
    if counted == Counted::Reported {
        count(owner, Point::EstimatedInput, settled.plan.input_estimate);
        count(owner, Point::Usage(Tokens::Input), usage.input);
        count(owner, Point::Usage(Tokens::Output), usage.output);
    }
    let first_token = settled.committed(times.attempt).filter(|_| settled.plan.is_passed_on());
    if let (Some(first_token), Some(committed)) = (first_token, times.committed) {
        count(owner, Point::FirstToken, milliseconds(first_token));
        if outcome == Outcome::Answered && usage.output > 1 {
            let writing = microseconds(times.ended.saturating_sub(committed));
            count(owner, Point::OutputTime, writing / (usage.output - 1));
        }
    }
    if let Some(finish) = settled.finish.filter(|_| outcome == Outcome::Answered) {
        count(owner, Point::Answers(finish), 1);
    }
    if let Some(quality) = settled.quality.filter(|quality| *quality != Quality::default()) {
        quality.facts().for_each(|(fact, times)| count(owner, Point::Quality(fact), times));
    }
    if settled.skipped > 0 {
        count(owner, Point::Skipped, settled.skipped);
    }
}

/// What the gauges of a model show.
pub fn of_health(health: &Health, now: Duration) -> [(Point, u64); 5] {
    let learnt = health.learnt();
    let breaker = match health.breaker(now) {
        Breaker::Closed => 0,
        Breaker::HalfOpen => 1,
        Breaker::Open => 2,
    };
    [
        (Point::Breaker, breaker),
        (Point::Room, (health.room(now) * 100.0) as u64),
        (Point::Factor, (learnt.factor() * 100.0).round() as u64),
        (Point::LearntFirst, learnt.first_token(1_000).unwrap_or(0.0).round() as u64),
        (Point::LearntRate, learnt.rate().unwrap_or(0.0).round() as u64),
    ]
}

/// Every value of a label that is not the configuration's, for the documentation.
pub fn values(label: &str) -> Vec<&'static str> {
    let outcomes = [Outcome::Answered, Outcome::Failed, Outcome::Broken, Outcome::Aborted].map(Outcome::name);
    match label {
        "outcome" => outcomes.to_vec(),
        "class" => {
            let ended = [Ended::Answered, Ended::Broken, Ended::Aborted].map(Ended::name);
            ended.into_iter().chain(Class::ALL.iter().map(|class| class.name())).collect()
        }
        "type" => [Tokens::Input, Tokens::CachedInput, Tokens::CacheWrite, Tokens::Output, Tokens::Reasoning]
            .map(Tokens::name)
            .to_vec(),
        "counted" => [Counted::Reported, Counted::Estimated].map(Counted::name).to_vec(),
        "finish" => FinishReason::ALL.iter().map(|finish| finish.as_str()).collect(),
        "fact" => Fact::ALL.iter().map(|fact| fact.name()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_configuration_survive_and_nothing_can_pose_as_a_label() {
        let scope = ["a", "1;model=x %", "org/gpt-6.1:8b@lane", "openai"];
        assert_eq!(
            Point::Requests(Outcome::Answered).name(&scope),
            "dragoman_requests_total;route=a;version=1%3Bmodel%3Dx%20%25;model=org/gpt-6.1:8b@lane;provider=openai;outcome=answered"
        );
        assert_eq!(Point::Refused(404).name(&[]), "dragoman_refused_total;status=404");
    }

    #[test]
    fn the_documentation_names_the_days_of_a_warning() {
        assert!(RETIRING.help.contains(&format!(" {} days", ending::NEAR)), "{}", RETIRING.help);
    }

    #[test]
    fn histograms_have_buckets_and_only_they() {
        for family in FAMILIES {
            assert_eq!(family.kind == Kind::Histogram, !family.buckets.is_empty(), "{}", family.name);
            assert!(family.buckets.is_sorted(), "{}", family.name);
            assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{}", family.name);
        }
    }
}
