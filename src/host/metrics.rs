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
    /// By a hash of the scope; as many as the configuration has routes and targets.
    series: BTreeMap<u64, Vec<Series>>,
}

thread_local! {
    static ALL: RefCell<All> = RefCell::default();
}

impl All {
    fn series(&mut self, names: &[&str]) -> Option<&mut Series> {
        let hash = names.iter().fold(0, |hash, name| policy::hash(hash, name.as_bytes()));
        let same = self.series.entry(hash).or_default();
        let index = match same.iter().position(|series| series.names == names) {
            Some(index) => index,
            None => {
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                same.push(Series { names, ids: BTreeMap::new() });
                same.len() - 1
            }
        };
        same.get_mut(index)
    }

    fn count(&mut self, names: &[&str], point: Point, amount: u64) {
        let Some(series) = self.series(names) else { return };
        let kind = point.family().kind;
        let define = || abi::define_metric(kind, &point.name(names));
        let Some(id) = *series.ids.entry(point).or_insert_with(define) else { return };
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
        metrics::of_request(settled, &mut |target: &Target, point, amount| {
            all.count(&[route, version, &target.model, &target.provider], point, amount);
        });
    });
}

/// Counts a request that has ended without a plan.
pub fn refused(status: u16) {
    ALL.with_borrow_mut(|all| all.count(&[], Point::Refused(status), 1));
}

/// Shows the health of every model.
pub fn health(config: &Config, now: Duration) {
    ALL.with_borrow_mut(|all| {
        for model in &config.models {
            let provider = config.providers.get(model.provider).map_or("", |provider| &provider.name);
            for (point, value) in metrics::of_health(&shared::health(&model.name, now), now) {
                all.count(&[&model.name, provider], point, value);
            }
        }
    });
}
