//! What the gateway tells of itself: whether it can serve, and how its targets are. For load balancers,
//! orchestrators and people.

use std::time::Duration;

use super::health::{Health, Verdict};
use super::policy::has_ended;
use super::router::Router;
use crate::config::registry::Date;
use crate::json::{self, Writer};

/// The tokens of the request by which targets are judged: of limits that are used up not even this is left.
const SMALLEST: u64 = 1;

/// Whether a route has a target that can be asked now.
struct Served<'a> {
    name: &'a str,
    healthy: usize,
    targets: Vec<usize>,
}

/// What is known now.
pub struct Status<'a> {
    router: &'a Router,
    /// Since the Unix epoch.
    now: Duration,
    /// Of every model, in the configuration's order.
    health: Vec<Health>,
}

impl<'a> Status<'a> {
    /// `health`: of a model, by its name in the registry.
    pub fn new(router: &'a Router, now: Duration, health: impl Fn(&str) -> Health) -> Self {
        let health = router.config().models.iter().map(|model| router.judged(health(&model.name))).collect();
        Status { router, now, health }
    }

    /// 200 as long as one route can be served, and the answer's body. Where there is no route, each model
    /// counts as one.
    pub fn ready(&self) -> (u16, Vec<u8>) {
        let served = self.served();
        let down: Vec<&str> = served.iter().filter(|it| it.healthy == 0).map(|it| it.name).collect();
        let (status, word) = match down.len() {
            0 => (200, "ready"),
            some if some < served.len() => (200, "degraded"),
            _ => (503, "unavailable"),
        };
        let mut w = Writer::default();
        w.begin_object().key("status").string(word).key("version").string(&self.router.config().version);
        w.key("without_healthy_target").begin_array();
        for name in down {
            w.string(name);
        }
        w.end_array().end_object();
        (status, w.into_bytes())
    }

    /// Everything, as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let config = self.router.config();
        let served = self.served();
        let mut w = Writer::with_capacity(4096);
        w.begin_object().key("gateway").string(concat!("dragoman/", env!("CARGO_PKG_VERSION")));
        w.key("version").string(&config.version);
        w.key("degraded").bool(served.iter().any(|it| it.healthy == 0));
        w.key("routes").begin_object();
        for route in served.iter().filter(|_| !config.routes.is_empty()) {
            w.any_key(route.name).begin_object().key("degraded").bool(route.healthy == 0);
            w.key("healthy_targets").number(route.healthy as u64).key("targets").begin_array();
            for model in route.targets.iter().filter_map(|index| config.models.get(*index)) {
                w.string(&model.name);
            }
            w.end_array().end_object();
        }
        w.end_object().key("models").begin_object();
        for (model, health) in config.models.iter().zip(&self.health) {
            let provider = config.providers.get(model.provider).map_or("", |provider| &provider.name);
            w.any_key(&model.name).begin_object().key("provider").string(provider);
            self.model(&mut w, health);
            w.end_object();
        }
        w.end_object().end_object();
        w.into_bytes()
    }

    fn model(&self, w: &mut Writer, health: &Health) {
        let now = self.now;
        w.key("breaker").string(health.breaker(now).name());
        let (state, until) = match health.verdict(now, SMALLEST) {
            Verdict::Well => ("well", None),
            Verdict::Probe => ("probe", None),
            Verdict::Open(until) => ("open", Some(until)),
            Verdict::Exhausted(until) => ("exhausted", Some(until)),
        };
        w.key("state").string(state);
        if let Some(until) = until {
            w.key("until").string(&rfc3339(until));
        }
        w.key("limits").begin_object();
        for (name, budget) in health.budgets(now) {
            w.key(name).begin_object().key("limit").number(budget.limit).key("remaining").number(budget.remaining);
            w.key("reset").string(&rfc3339(budget.reset)).end_object();
        }
        w.end_object();
        let learnt = health.learnt();
        w.key("learnt").begin_object();
        for (name, value) in [
            ("first_token_ms", learnt.first_token(1_000)),
            ("output_tokens_per_second", learnt.rate()),
            ("output_tokens", learnt.output()),
        ] {
            if let Some(value) = value {
                w.key(name).number(value.round() as u64);
            }
        }
        w.key("input_factor").raw(&json::decimal(learnt.factor(), 3));
        w.key("cached_share").raw(&json::decimal(learnt.cached(), 3)).end_object();
    }

    fn served(&self) -> Vec<Served<'_>> {
        let config = self.router.config();
        let today = Date::of(self.now);
        let is_healthy = |index: &&usize| {
            let has_ended = config.models.get(**index).is_some_and(|model| has_ended(&model.facts, today, false));
            let health = self.health.get(**index).filter(|_| !has_ended);
            health.is_some_and(|health| matches!(health.verdict(self.now, SMALLEST), Verdict::Well | Verdict::Probe))
        };
        let served =
            |name, targets: Vec<usize>| Served { name, healthy: targets.iter().filter(is_healthy).count(), targets };
        if config.routes.is_empty() {
            return config
                .models
                .iter()
                .enumerate()
                .map(|(index, model)| served(&model.name, vec![self.router.successor(index, today, false)]))
                .collect();
        }
        let routes = config.routes.iter().map(|route| {
            let mut targets: Vec<usize> = Vec::new();
            for target in route.variants.iter().flat_map(|variant| &variant.targets) {
                let model = self.router.successor(target.model, today, false);
                if !targets.contains(&model) {
                    targets.push(model);
                }
            }
            served(&route.name, targets)
        });
        routes.collect()
    }
}

/// Milliseconds since the Unix epoch; what no clock shows is its end.
fn rfc3339(milliseconds: u64) -> String {
    // The year 9999, up to which the format goes.
    const LAST: u64 = 253_402_300_799_000;
    let time = std::time::UNIX_EPOCH + Duration::from_millis(milliseconds.min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::error::Class;
    use crate::route::health::Budget;

    const NOW: Duration = Duration::from_secs(1_795_000_000);

    fn router(routes: &str) -> Router {
        let document = format!(
            r#"{{"version":"v","providers":{{"openai":{{"credential":"none"}}}},"models":{{"a":{{"provider":"openai","id":"x"}},
                "b":{{"provider":"openai","id":"y"}}}},"routes":{routes}}}"#
        );
        Router::new(config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}")))
    }

    fn down(names: &'static [&str]) -> impl Fn(&str) -> Health {
        move |name| {
            let mut health = Health::default();
            if names.contains(&name) {
                health.failed(Class::Misconfigured, None, NOW, 0);
            }
            health
        }
    }

    #[test]
    fn one_route_that_can_be_served_makes_it_ready() {
        let router = router(r#"{"one":{"targets":["a"]},"both":{"targets":["a","b"]}}"#);
        for (names, status, word) in [
            (&[][..], 200, "ready"),
            (&["a"], 200, "degraded"),
            (&["b"], 200, "ready"),
            (&["a", "b"], 503, "unavailable"),
        ] {
            let (told, body) = Status::new(&router, NOW, down(names)).ready();
            let body = String::from_utf8(body).unwrap();
            assert_eq!(told, status, "{body}");
            assert!(body.contains(&format!(r#""status":"{word}""#)), "{body}");
        }
    }

    #[test]
    fn models_are_judged_as_requests_are() {
        let ready = |models: &str, rest: &str, names| {
            let document = format!(
                r#"{{"version":"v","providers":{{"openai":{{"credential":"none"}}}},"models":{models},
                    "routes":{{"r":{{"targets":["a"]}}}}{rest}}}"#
            );
            let config = config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
            Status::new(&Router::new(config), NOW, down(names)).ready().0
        };
        let a = r#"{"a":{"provider":"openai","id":"x"}}"#;
        let retired = r#"{"a":{"provider":"openai","id":"x","retires":"2020-01-01"}}"#;
        let replaced = r#"{"a":{"provider":"openai","id":"x","retires":"2020-01-01","replaced_by":"b"},
            "b":{"provider":"openai","id":"y"}}"#;
        for (models, rest, names, status) in [
            (a, "", &["a"][..], 503),
            (a, r#","limits":{"breaker":false}"#, &["a"], 200),
            (retired, "", &[], 503),
            (replaced, "", &["a"], 200),
            (replaced, "", &["b"], 503),
        ] {
            assert_eq!(ready(models, rest, names), status, "{models}{rest}, without {names:?}");
        }
        let mut spent = Health::default();
        let at = NOW.as_millis() as u64;
        spent.limits(None, Some(Budget { limit: 100, remaining: 0, reset: at + 60_000, at }));
        let router = router(r#"{"one":{"targets":["a"]}}"#);
        assert_eq!(Status::new(&router, NOW, |_| spent).ready().0, 503, "no tokens are left");
    }

    #[test]
    fn without_routes_models_are_what_is_served() {
        let router = router("{}");
        assert_eq!(Status::new(&router, NOW, down(&["a"])).ready().0, 200);
        assert_eq!(Status::new(&router, NOW, down(&["a", "b"])).ready().0, 503);
    }

    #[test]
    fn the_status_is_json_that_tells_every_target() {
        let router = router(r#"{"both":{"targets":["a","b"]}}"#);
        let status = Status::new(&router, NOW, down(&["b"])).to_json();
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
        assert_eq!(status["routes"]["both"]["healthy_targets"], 1);
        assert_eq!(
            (&status["models"]["a"]["state"], &status["models"]["b"]["breaker"]),
            (&"well".into(), &"open".into())
        );
        assert_eq!(status["degraded"], false);
    }
}
