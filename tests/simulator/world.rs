//! A gateway with two workers, its clients and its providers: events in the order of their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use dragoman::config::registry::{Facts, Variant};
use dragoman::error::{Class, UpstreamError};
use dragoman::provider::Target;
use dragoman::quality::Expected;
use dragoman::route::health::{Budget, Health, Measured, Verdict};
use dragoman::route::policy::{self, Known, Request};
use dragoman::route::retry::{Next, Progress};
use dragoman::route::{Candidate, Plan};

use crate::models::{Bucket, COUNT, LENGTH, MODELS, outage};
use crate::random::Random;

/// The start, in milliseconds since the Unix epoch.
const START: u64 = 1_795_000_000_000;
/// Milliseconds.
const FIRST_TOKEN_LIMIT: u64 = 10_000;
const BACK_OFF: u64 = 25;
/// How long a worker believes what it has read of a target's health.
const FRESH: u64 = 50;
const WORKERS: usize = 2;
/// Requests a second, on average.
const BUSY: f64 = 1.5;

pub struct Outcome {
    pub attempts: usize,
    pub answer: Option<Answered>,
}

pub struct Answered {
    /// Milliseconds from the client's request to its first token.
    pub waited: u64,
    /// Dollars.
    pub cost: f64,
    pub quality: u16,
}

/// A request as its client sends it.
struct Client {
    at: u64,
    worker: usize,
    input: u64,
    /// How long the answer would be.
    output: f64,
    streamed: bool,
    seed: u64,
}

/// A request on its way.
struct Running {
    client: Client,
    plan: Plan,
    progress: Progress,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Attempt,
    /// What the provider's headers said comes with it.
    Begin,
    End,
    Fail(Fault, Option<u64>),
}

/// [`Class`], in an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Transient,
    Unreachable,
    Silent,
    Malformed,
    RateLimited,
}

impl Fault {
    fn class(self) -> Class {
        match self {
            Fault::Transient => Class::Transient,
            Fault::Unreachable => Class::Unreachable,
            Fault::Silent => Class::Silent,
            Fault::Malformed => Class::Malformed,
            Fault::RateLimited => Class::RateLimited,
        }
    }

    fn of(class: Class) -> Self {
        match class {
            Class::Unreachable => Fault::Unreachable,
            Class::Silent => Fault::Silent,
            Class::Malformed => Fault::Malformed,
            Class::RateLimited => Fault::RateLimited,
            _ => Fault::Transient,
        }
    }
}

/// An attempt that goes well.
#[derive(Clone, Copy)]
struct Going {
    began: u64,
    first_token: u64,
    whole: u64,
    input: u64,
    output: u64,
    limits: Option<Budget>,
}

pub struct World {
    variant: Variant,
    /// Without memory, every request meets providers that nobody knows.
    remembers: bool,
    facts: Vec<Facts>,
    buckets: Vec<Option<Bucket>>,
    shared: [Health; COUNT],
    read: [[(u64, Health); COUNT]; WORKERS],
    /// What the providers throw; clients have their own, so that they are the same for every policy.
    chance: Random,
    queue: BinaryHeap<Reverse<(u64, usize, Step)>>,
    running: Vec<Running>,
    going: Vec<Option<Going>>,
    outcomes: Vec<Outcome>,
}

impl World {
    pub fn new(variant: Variant, remembers: bool) -> Self {
        World {
            variant,
            remembers,
            facts: MODELS.iter().map(|model| model.facts()).collect(),
            buckets: MODELS.iter().map(|model| model.bucket()).collect(),
            shared: [Health::default(); COUNT],
            read: [[(0, Health::default()); COUNT]; WORKERS],
            chance: Random(7),
            queue: BinaryHeap::new(),
            running: Vec::new(),
            going: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    pub fn run(mut self) -> Vec<Outcome> {
        for client in clients() {
            self.until(client.at);
            self.arrive(client);
        }
        self.until(u64::MAX);
        self.outcomes
    }

    fn until(&mut self, time: u64) {
        while self.queue.peek().is_some_and(|Reverse((at, _, _))| *at < time) {
            let Some(Reverse((now, index, step))) = self.queue.pop() else { return };
            match step {
                Step::Attempt => self.attempt(index, now),
                Step::Begin => self.begin(index, now),
                Step::End => self.end(index, now),
                Step::Fail(fault, wait) => self.fail(index, now, fault.class(), wait),
            }
        }
    }

    fn after(&mut self, at: u64, index: usize, step: Step) {
        self.queue.push(Reverse((at, index, step)));
    }

    /// The route stage.
    fn arrive(&mut self, client: Client) {
        let now = client.at;
        let health: Vec<Health> = (0..COUNT).map(|model| self.health(client.worker, model, now)).collect();
        let known = |model: usize| Known {
            name: MODELS[model].name,
            facts: &self.facts[model],
            context_window: None,
            max_output: None,
            health: health[model],
        };
        let known: Vec<Known<'_>> = (0..COUNT).map(known).collect();
        let request = Request {
            input: client.input,
            streamed: client.streamed,
            key: client.seed,
            seed: client.seed,
            ..Request::default()
        };
        let decision = policy::decide(&self.variant, &known, &request, time(now));
        let only = if decision.last_resort.is_some() { 1 } else { COUNT };
        let plan = plan(decision.order.iter().take(only), decision.last_resort, client.input);
        let index = self.running.len();
        self.running.push(Running { client, plan, progress: Progress::default() });
        self.going.push(None);
        self.outcomes.push(Outcome { attempts: 0, answer: None });
        self.attempt(index, now);
    }

    /// The attempt stage, and what the provider makes of it.
    fn attempt(&mut self, index: usize, now: u64) {
        self.outcomes[index].attempts += 1;
        let model = self.target(index);
        let Client { worker, input: tokens, output, .. } = self.running[index].client;
        let health = self.health(worker, model, now);
        match health.verdict(time(now), tokens) {
            Verdict::Probe => self.update(worker, model, now, |health| {
                health.probe(time(now));
            }),
            Verdict::Well if health.is_scarce(tokens, time(now)) => self.update(worker, model, now, |health| {
                health.take(tokens, time(now));
            }),
            _ => {}
        }
        let second = (now - START) / 1_000;
        let limits = self.buckets[model].as_mut().map(|bucket| bucket.take(now));
        let fault = if self.chance.below(10_000) < MODELS[model].faults { Some(Class::Transient) } else { None };
        let out = outage(MODELS[model].name, second).filter(|(_, share)| self.chance.below(100) < *share);
        let limited = limits.as_ref().is_some_and(|(_, is_let)| !is_let).then_some(Class::RateLimited);
        let failure = out.map(|(class, _)| class).or(limited).or(fault);
        if let Some((budget, _)) = limits.filter(|_| failure == Some(Class::RateLimited)) {
            self.update(worker, model, now, |health| health.limits(Some(budget), None));
        }
        let input = tokens as f64 * MODELS[model].tokens * self.chance.about(0.1);
        let first_token = (MODELS[model].first_token(second, input) * self.chance.about(0.3)) as u64;
        if let Some(class) = failure.or((first_token >= FIRST_TOKEN_LIMIT).then_some(Class::Silent)) {
            let (late, wait) = match class {
                Class::Silent => (FIRST_TOKEN_LIMIT, None),
                Class::RateLimited => (60, Some(1_000)),
                Class::Unreachable => (20, None),
                _ => (200, None),
            };
            self.after(now + late, index, Step::Fail(Fault::of(class), wait));
            return;
        }
        let output = (output * MODELS[model].wordiness * self.chance.about(0.3)).max(1.0);
        let whole = first_token + (output / MODELS[model].rate * 1_000.0) as u64;
        let limits = limits.map(|(budget, _)| budget);
        let (input, output) = (input as u64, output as u64);
        self.going[index] = Some(Going { began: now, first_token, whole, input, output, limits });
        self.after(now + first_token, index, Step::Begin);
        self.after(now + whole, index, Step::End);
    }

    fn begin(&mut self, index: usize, now: u64) {
        let Some(Going { limits, input, output, .. }) = self.going[index] else { return };
        let model = self.target(index);
        let Client { worker, at, .. } = self.running[index].client;
        if limits.is_some() || !self.health(worker, model, now).is_untroubled() {
            self.update(worker, model, now, |health| {
                health.succeeded();
                health.limits(limits, None);
            });
        }
        let price = self.facts[model].price.as_ref().unwrap();
        let cost = policy::cost(price, input as f64, output as f64, 0.0) as f64 / 1e6;
        let quality = MODELS[model].quality();
        self.outcomes[index].answer = Some(Answered { waited: now - at, cost, quality });
    }

    fn end(&mut self, index: usize, now: u64) {
        let Some(going) = self.going[index].take() else { return };
        let model = self.target(index);
        let Client { worker, input, streamed, .. } = self.running[index].client;
        let first_token = if streamed { going.first_token } else { now - going.began };
        let measured = Measured {
            first_token: Duration::from_millis(first_token),
            whole: Duration::from_millis(going.whole),
            estimated_input: input,
            input: Some(going.input),
            cached_input: 0,
            output: going.output,
            streamed,
        };
        self.update(worker, model, now, |health| health.learn(&measured, time(now)));
    }

    fn fail(&mut self, index: usize, now: u64, class: Class, wait: Option<u64>) {
        let model = self.target(index);
        let worker = self.running[index].client.worker;
        let wait = wait.map(Duration::from_millis);
        let jitter = self.chance.next();
        self.update(worker, model, now, |health| health.failed(class, wait, time(now), jitter));
        let mut error = UpstreamError::new(class, 500, "server_error", "simulated", "simulated");
        error.retry_after = wait;
        let Running { plan, progress, .. } = &mut self.running[index];
        let (before, next) = (progress.next, progress.fail(plan, error, Vec::new()));
        let is_same = before == progress.next;
        match next {
            Next::Try => self.after(now + BACK_OFF, index, Step::Attempt),
            // Moves to another target do not wait.
            Next::TryAfter(wait) if is_same => self.after(now + wait.as_millis() as u64, index, Step::Attempt),
            Next::TryAfter(_) => self.after(now + BACK_OFF, index, Step::Attempt),
            Next::Stop => {}
        }
    }

    fn target(&self, index: usize) -> usize {
        let Running { plan, progress, .. } = &self.running[index];
        let name = &plan.candidates[progress.next].target.model;
        MODELS.iter().position(|model| model.name == name).unwrap()
    }

    /// What a worker knows of a target.
    fn health(&mut self, worker: usize, model: usize, now: u64) -> Health {
        if !self.remembers {
            return Health::default();
        }
        let (read, health) = &mut self.read[worker][model];
        if now.saturating_sub(*read) >= FRESH {
            (*read, *health) = (now, self.shared[model]);
        }
        *health
    }

    fn update(&mut self, worker: usize, model: usize, now: u64, change: impl FnOnce(&mut Health)) {
        // Through the bytes that workers share.
        let mut health = Health::from_bytes(&self.shared[model].to_bytes());
        change(&mut health);
        self.shared[model] = health;
        self.read[worker][model] = (now, health);
    }
}

fn time(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn plan<'a>(order: impl Iterator<Item = &'a usize>, last_resort: Option<Verdict>, input_estimate: u64) -> Plan {
    let candidate = |model: &usize| Candidate {
        target: Arc::new(Target { model: MODELS[*model].name.into(), ..Target::default() }),
        path: String::new(),
        headers: Vec::new(),
        edits: None,
        written: None,
        dropped: Vec::new(),
        renamed: Vec::new(),
    };
    Plan {
        version: "1".into(),
        request_id: String::new(),
        route: "simulated".into(),
        endpoint: "/v1/chat/completions",
        stream: true,
        include_usage: false,
        hold: false,
        try_limit: FIRST_TOKEN_LIMIT,
        attempts: match last_resort {
            None => 4,
            Some(Verdict::Exhausted(_)) => 2,
            Some(_) => 1,
        },
        breaker: true,
        retry_after: 5_000,
        input_estimate,
        conversation: 0,
        task: None,
        expected: Expected::default(),
        candidates: order.map(candidate).collect(),
        explanation: None,
    }
}

/// Everybody's requests: mostly short prompts, some long; busier in the middle of every half hour.
fn clients() -> Vec<Client> {
    let mut chance = Random(1);
    let mut clients = Vec::new();
    let mut at = START as f64;
    while at < (START + LENGTH * 1_000) as f64 {
        let second = (at - START as f64) / 1_000.0;
        let rate = BUSY * (1.0 - 0.5 * (second * std::f64::consts::TAU / 1_800.0).cos());
        at += -chance.uniform().ln() / rate * 1_000.0;
        clients.push(Client {
            at: at as u64,
            worker: chance.below(WORKERS),
            input: (100.0 * (chance.uniform() * 5.5).exp()) as u64,
            output: 60.0 * (chance.uniform() * 2.5).exp(),
            streamed: chance.below(10) < 8,
            seed: chance.next(),
        });
    }
    clients
}
