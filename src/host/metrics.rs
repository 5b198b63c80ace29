//! Counters, gauges and histograms of the host. A metric is defined when it is first counted, and its id is
//! kept for as long as the VM lives; after a reload it is defined anew and goes on where it was.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{abi, shared};
use crate::config::Config;
use crate::metrics::{self, Kind, Point};
use crate::provider::Target;
use crate::record::Settled;
use crate::route::Plan;
use crate::route::policy;

/// The ids of the metrics of one scope; `None` for one that the host does not want.
#[derive(Default)]
struct Series {
    /// The values of the scope's labels.
    names: Vec<String>,
    ids: BTreeMap<Point, Option<u32>>,
}

#[derive(Default)]
struct All {
    /// As many as the configuration has routes and targets.
    series: Vec<Series>,
    /// Their places, by a hash of the scope.
    places: BTreeMap<u64, Vec<usize>>,
}

thread_local! {
    static ALL: RefCell<All> = RefCell::default();
}

impl All {
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
        self.series.push(Series { names, ids: BTreeMap::new() });
        place
    }

    fn count(&mut self, place: usize, point: Point, amount: u64) {
        let Some(Series { names, ids }) = self.series.get_mut(place) else { return };
        let kind = point.family().kind;
        let define = || {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            abi::define_metric(kind, &point.name(&names))
        };
        let Some(id) = *ids.entry(point).or_insert_with(define) else { return };
        match kind {
            Kind::Counter => abi::increment_metric(id, i64::try_from(amount).unwrap_or(i64::MAX)),
            Kind::Gauge | Kind::Histogram => abi::record_metric(id, amount),
        }
    }
}

/// Counts a request that was planned, once it has ended.
pub fn request(settled: &Settled<'_>) {
    let Plan { route, version, .. } = settled.plan;
    ALL.with_borrow_mut(|all| {
        // Nearly all that is counted of a request is counted of one target.
        let mut last: Option<(&Target, usize)> = None;
        metrics::of_request(settled, &mut |target, point, amount| {
            let place = match last {
                Some((known, place)) if std::ptr::eq(known, target) => place,
                _ => all.place(&[route, version, &target.model, &target.provider]),
            };
            last = Some((target, place));
            all.count(place, point, amount);
        });
    });
}

/// Counts a request that has ended without a plan.
pub fn refused(status: u16) {
    ALL.with_borrow_mut(|all| {
        let place = all.place(&[]);
        all.count(place, Point::Refused(status), 1);
    });
}

/// Shows the health of every model.
pub fn health(config: &Config, now: Duration) {
    ALL.with_borrow_mut(|all| {
        for model in &config.models {
            let provider = config.providers.get(model.provider).map_or("", |provider| &provider.name);
            let place = all.place(&[&model.name, provider]);
            for (point, value) in metrics::of_health(&shared::health(&model.name, now), now) {
                all.count(place, point, value);
            }
        }
    });
}
