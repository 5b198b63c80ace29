//! Counters, gauges and histograms of the host. A metric is defined when it is first counted, and its id is
//! kept for as long as the VM lives.
//!
//! Envoy keeps a metric for as long as there is a VM that has defined it. Another VM that takes this one's place, as
//! one of another module does, goes on with what it defines in time: so all names are shared, and every VM
//! defines all of them, at its start and when others have found new ones.
//!
//! What requests add to is summed up here while others are under way: the host is told of [`MOST_WAITING`] at once, or
//! at the next tick. Of a busy worker a request's counting is a dozen additions, and no word to the host; of one that
//! is not, all is told that there is. A VM that crashes takes with it what it has not told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{abi, live, shared};
use crate::config::Config;
use crate::metrics::{self, Kind, Point};
use crate::provider::Target;
use crate::record::Settled;
use crate::route::Plan;
use crate::route::health::Health;
use crate::route::policy;

/// The host is told of so many requests at once.
const MOST_WAITING: usize = 64;

/// Of so many models more the health is shown at a tick. To define a metric takes Envoy up to a tenth of a millisecond,
/// in which the worker does nothing else: of thousands of models it would stand still for seconds.
const MOST_NEW: usize = 20;

/// A model of which nothing was shown for so long is of a configuration that is gone.
const GONE: Duration = Duration::from_secs(10);

/// The metrics of one scope.
struct Series {
    /// The values of the scope's labels.
    names: Vec<String>,
    /// A dozen at most are counted of a target that is well, by most requests the same in the same order: `next` is
    /// the one behind the last that was counted.
    metrics: Vec<Metric>,
    next: usize,
    /// Whether there is something of which the host has not been told.
    waits: bool,
    /// Of gauges: when they were last set.
    shown: Option<Duration>,
}

struct Metric {
    point: Point,
    /// `None` for one that the host does not want.
    id: Option<u32>,
    untold: Untold,
}

/// What the host has not been told of a metric.
enum Untold {
    /// Of a counter.
    Sum(u64),
    /// Of a histogram.
    Values(Vec<u64>),
    /// Of a gauge, which is set at once.
    Nothing,
}

impl Metric {
    fn add(&mut self, amount: u64) {
        match &mut self.untold {
            Untold::Sum(sum) => *sum = sum.saturating_add(amount),
            Untold::Values(values) => values.push(amount),
            Untold::Nothing => self.id.into_iter().for_each(|id| abi::record_metric(id, amount)),
        }
    }

    fn tell(&mut self) {
        match &mut self.untold {
            Untold::Sum(0) | Untold::Nothing => {}
            Untold::Sum(sum) => {
                let sum = i64::try_from(std::mem::take(sum)).unwrap_or(i64::MAX);
                self.id.into_iter().for_each(|id| abi::increment_metric(id, sum));
            }
            Untold::Values(values) => {
                for value in values.drain(..) {
                    self.id.into_iter().for_each(|id| abi::record_metric(id, value));
                }
            }
        }
    }
}

/// The names that any VM has defined, a line each. It only grows.
const NAMES: &str = "dragoman.metrics";

/// What this VM has seen of them.
#[derive(Default)]
struct Names {
    read: usize,
    /// The lines' hashes.
    known: BTreeSet<u64>,
}

impl Names {
    /// Defines what is new in all of it.
    fn catch_up(&mut self, all: &[u8]) {
        let new = all.get(self.read..).unwrap_or_default();
        for line in new.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.known.insert(policy::hash(0, line));
            if let Some((kind, name)) = std::str::from_utf8(line).ok().and_then(read) {
                abi::define_metric(kind, name);
            }
        }
        self.read = all.len();
    }

    /// Tells the other VMs of a metric that this one has defined.
    fn tell(&mut self, kind: Kind, name: &str) {
        let line = format!("{} {name}", kind.name());
        let hash = policy::hash(0, line.as_bytes());
        if self.known.contains(&hash) {
            return;
        }
        shared::swap(NAMES, &mut |all| {
            self.catch_up(all);
            // What this VM has written it reads when it catches up again.
            let is_new = !self.known.contains(&hash);
            is_new.then(|| [all, line.as_bytes(), b"\n"].concat())
        });
    }
}

/// `counter dragoman_requests_total;route=…`
fn read(line: &str) -> Option<(Kind, &str)> {
    let (kind, name) = line.split_once(' ')?;
    Some((*Kind::ALL.iter().find(|known| known.name() == kind)?, name))
}

/// Of whom something was counted last: nearly always it is the same again.
struct Last {
    route: Arc<str>,
    version: Arc<str>,
    target: Arc<Target>,
    place: usize,
}

#[derive(Default)]
struct All {
    names: Names,
    /// As many as the configuration has routes and targets.
    series: Vec<Series>,
    /// Their places, by a hash of the scope.
    places: BTreeMap<u64, Vec<usize>>,
    last: Option<Last>,
    /// The places of those of which the host has to be told something, and of how many requests.
    waiting: Vec<usize>,
    requests: usize,
}

thread_local! {
    static ALL: RefCell<All> = RefCell::default();
}

impl All {
    /// The place of what is counted of a target.
    fn place_of(&mut self, plan: &Plan, target: &Arc<Target>) -> usize {
        let Plan { route, version, .. } = plan;
        if let Some(last) = &self.last {
            let is_same = Arc::ptr_eq(&last.target, target)
                && Arc::ptr_eq(&last.route, route)
                && Arc::ptr_eq(&last.version, version);
            if is_same {
                return last.place;
            }
        }
        let place = self.place(&[route, version, &target.model, &target.provider]);
        let (route, version, target) = (Arc::clone(route), Arc::clone(version), Arc::clone(target));
        self.last = Some(Last { route, version, target, place });
        place
    }

    /// The place of a scope's series.
    fn place(&mut self, names: &[&str]) -> usize {
        let hash = names.iter().fold(0, |hash, name| policy::hash(hash, name.as_bytes()));
        let places = self.places.entry(hash).or_default();
        let is_known = |place: &usize| self.series.get(*place).is_some_and(|series| series.names == names);
        if let Some(place) = places.iter().copied().find(is_known) {
            return place;
        }
        let place = self.series.len();
        places.push(place);
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.series.push(Series { names, metrics: Vec::new(), next: 0, waits: false, shown: None });
        place
    }

    fn count(&mut self, place: usize, point: Point, amount: u64) {
        let Some(Series { names, metrics, next, waits, .. }) = self.series.get_mut(place) else { return };
        if metrics.get(*next).is_none_or(|metric| metric.point != point) {
            *next = metrics.iter().position(|metric| metric.point == point).unwrap_or(metrics.len());
        }
        if *next == metrics.len() {
            metrics.push(define(point, names, &mut self.names));
        }
        metrics.get_mut(*next).into_iter().for_each(|metric| metric.add(amount));
        *next = (*next + 1) % metrics.len();
        if !std::mem::replace(waits, true) {
            self.waiting.push(place);
        }
    }

    /// Sets the gauges of a model.
    fn show(&mut self, place: usize, health: &Health, now: Duration) {
        for (point, value) in metrics::of_health(health, now) {
            self.count(place, point, value);
        }
        self.series.get_mut(place).into_iter().for_each(|series| series.shown = Some(now));
    }

    /// Tells the host all that it has not been told. Of requests last: whoever sees one finds all else that it was.
    fn tell(&mut self) {
        self.requests = 0;
        for is_last in [false, true] {
            for place in &self.waiting {
                let Some(series) = self.series.get_mut(*place) else { continue };
                series.waits = false;
                let turn = |metric: &&mut Metric| matches!(metric.point, Point::Requests(_)) == is_last;
                series.metrics.iter_mut().filter(turn).for_each(Metric::tell);
            }
        }
        self.waiting.clear();
    }
}

fn define(point: Point, scope: &[String], names: &mut Names) -> Metric {
    let kind = point.family().kind;
    let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
    let name = point.name(&scope);
    // Gauges are set every second, by whoever is there.
    if kind != Kind::Gauge {
        names.tell(kind, &name);
    }
    let untold = match kind {
        Kind::Counter => Untold::Sum(0),
        Kind::Histogram => Untold::Values(Vec::new()),
        Kind::Gauge => Untold::Nothing,
    };
    Metric { point, id: abi::define_metric(kind, &name), untold }
}

/// Counts a request that was planned, once it has ended.
pub fn request(settled: &Settled<'_>) {
    ALL.with_borrow_mut(|all| {
        metrics::of_request(settled, &mut |target, point, amount| {
            let place = all.place_of(settled.plan, target);
            all.count(place, point, amount);
        });
        all.requests += 1;
        if all.requests >= MOST_WAITING || !live::any() {
            all.tell();
        }
    });
}

/// Counts a request that has ended without a plan.
pub fn refused(status: u16) {
    ALL.with_borrow_mut(|all| {
        let place = all.place(&[]);
        all.count(place, Point::Refused(status), 1);
        all.tell();
    });
}

/// Tells the host of all that was counted: at every tick, and before this VM is given up.
pub fn tell() {
    ALL.with_borrow_mut(All::tell);
}

/// Takes up what other VMs have counted, so that it outlives them.
pub fn catch_up() {
    ALL.with_borrow_mut(|all| {
        // Nobody has written it before the first VM of all, which has no others beside it: a first write is
        // never somebody else's end.
        let (names, version) = abi::shared(NAMES);
        all.names.catch_up(&names);
        if version == 0 {
            abi::set_shared(NAMES, b"\n", 0);
        }
    });
}

/// Shows the health of every model: of one after the other, where there are many. Of a model that is gone Envoy would
/// show for ever what was last known.
pub fn health(config: &Config, now: Duration) {
    ALL.with_borrow_mut(|all| {
        let mut new = 0;
        for model in &config.models {
            let provider = config.providers.get(model.provider).map_or("", |provider| &provider.name);
            let place = all.place(&[&model.name, provider]);
            if all.series.get(place).is_some_and(|series| series.metrics.is_empty()) {
                new += 1;
                if new > MOST_NEW {
                    continue;
                }
            }
            all.show(place, &shared::health(&model.name, now), now);
        }
        for place in 0..all.series.len() {
            let shown = all.series.get(place).and_then(|series| series.shown);
            if shown.is_some_and(|shown| now.saturating_sub(shown) > GONE) {
                all.show(place, &Health::default(), now);
                all.series.get_mut(place).into_iter().for_each(|series| series.shown = None);
            }
        }
    });
}
