//! The shell: the only code that knows proxy-wasm.
//!
//! One module is loaded in two places. `root_id: route` runs downstream, once per request: it reads
//! the body, makes the plan and answers what no provider is asked for. `root_id: attempt` runs
//! upstream, afresh for every try. A callback reads from the host, calls the core once, and does what
//! it returned.

mod abi;
mod attempt;
mod live;
mod metrics;
mod route;
mod shared;
mod watch;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::config;
use crate::route::Router;
use watch::{Watch, What};

/// Filter state, by which the two stages and Envoy's route know of each other; Envoy puts `wasm.`
/// before each name.
mod state {
    use std::rc::Rc;

    use super::abi;
    use super::live::{self, Live};

    /// Where the next attempt goes, `openai#18f3a-17`: its cluster, and by which it finds what the route stage knows
    /// (see [`super::live`]). A request that goes where Envoy's route leads by itself has none. Once it has ended, its
    /// line for the access log.
    const REQUEST: &str = "dragoman.request";
    /// A cluster without endpoints: choosing it ends Envoy's own retries.
    const STOP: &str = "dragoman_stop";

    /// Says that a request is one that this VM knows, by a property that has its name and nothing in it: to read what
    /// is empty takes Envoy a fifth of what it takes to hand out a text, for which it asks the VM for memory.
    pub fn planned(live: &Live) {
        abi::set_property(&mark(live), b"");
    }

    fn mark(live: &Live) -> String {
        ["dragoman.", &live.name].concat()
    }

    /// Says where the next attempt goes: `None` for nowhere.
    pub fn next_attempt(live: &Live, cluster: Option<&str>) {
        abi::set_property(REQUEST, [cluster.unwrap_or(STOP), "#", &live.name].concat().as_bytes());
    }

    /// Says what has become of it, in a line with its end.
    pub fn ended(line: &[u8]) {
        abi::set_property(REQUEST, line);
    }

    /// What the route stage knows of the attempt that begins.
    pub fn this_attempt() -> Option<Rc<Live>> {
        live::begun(|live| abi::has_empty_property(&mark(live))).or_else(|| {
            let attempt = abi::property(REQUEST)?;
            let (_, name) = str::from_utf8(&attempt).ok()?.split_once('#')?;
            live::find(name)
        })
    }
}

/// An attempt's answer that asks Envoy to try again carries it.
const RETRY_HEADER: &str = "x-dragoman-retry";

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: crate::allocator::Allocator = crate::allocator::Allocator::new();

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { stage: Stage::None, shown: Cell::default() }));
}

struct Root {
    stage: Stage,
    /// When the gauges were last set.
    shown: Cell<Duration>,
}

/// How long the host may not have been told of what was counted.
const TELL: Duration = Duration::from_millis(200);

/// Prometheus looks no more often.
const SHOW: Duration = Duration::from_secs(1);

enum Stage {
    /// Not configured, or not for us.
    None,
    Route(Rc<Router>, Rc<Watch>),
    Attempt,
}

impl Context for Root {}

impl Drop for Root {
    /// Another configuration takes this one's place, and the last of its requests has ended.
    fn drop(&mut self) {
        metrics::tell();
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let root_id = abi::property("plugin_root_id").unwrap_or_default();
        self.stage = match root_id.as_slice() {
            b"route" => match config::from_json(&abi::configuration()) {
                Ok(config) => {
                    let watch = Watch::new(config.limits.idle);
                    abi::set_tick_period(watch.period().min(TELL));
                    metrics::catch_up();
                    Stage::Route(Rc::new(Router::new(config)), Rc::new(watch))
                }
                Err(problems) => {
                    log::error!("dragoman: the configuration is not valid:\n{problems}");
                    return false;
                }
            },
            b"attempt" => Stage::Attempt,
            other => {
                let other = String::from_utf8_lossy(other);
                log::error!("dragoman: root_id is \"{other}\"; known: route, attempt");
                return false;
            }
        };
        true
    }

    fn on_tick(&mut self) {
        if let Stage::Route(router, watch) = &self.stage {
            let (now, still) = watch.tick();
            for (context, what) in still {
                // It may be gone, which is no mistake.
                match what {
                    _ if !abi::speak_for(context) => {}
                    What::Request => route::stopped(router.config()),
                    What::Answer => abi::reset_stream(),
                }
            }
            metrics::tell();
            if now.saturating_sub(self.shown.get()) >= SHOW {
                self.shown.set(now);
                metrics::catch_up();
                metrics::health(router.config(), now);
            }
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(match &self.stage {
            Stage::Route(router, watch) => Box::new(route::Stage::new(context_id, Rc::clone(router), Rc::clone(watch))),
            Stage::Attempt => Box::new(attempt::Stage::default()),
            Stage::None => Box::new(Unconfigured),
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// A filter whose configuration was refused. Envoy does not route through it; the SDK needs a context.
struct Unconfigured;

impl Context for Unconfigured {}
impl HttpContext for Unconfigured {}
