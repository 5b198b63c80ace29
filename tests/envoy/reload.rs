//! A configuration, or a module, that takes the place of another while requests are under way: what is known of
//! targets and what has been counted stays, and no request is lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::HeaderMap;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::{self, Connection, chat, post, request, send_http2};
use crate::counting::{after, counts, metrics, of_fakes};
use crate::health::{explained, is_last};
use crate::process::{Envoy, Fakes, Setup, module};
use crate::support::watched::Part;
use crate::world::{Document, Session, World, marker, shown, start, together};

/// How many wasm VMs there are.
const VMS: &str = "wasm.envoy.wasm.runtime.v8.active";

const JSON: (&str, &str) = ("content-type", "application/json");

/// Two targets, one of which begins, and a model that takes its time. Every version has a route of its own.
fn document(fakes: &Fakes, version: &str) -> Value {
    let mut document = Document::new(fakes);
    document.model("first", "openai", "", None);
    document.model("second", "anthropic", "", None);
    document.model("slow", "anthropic", "pace_ms=60", None);
    for route in ["both", version] {
        document.route(route, &["first", "second"], "first_token");
    }
    let mut document = document.finish(json!({"first_token": "5s", "answer": "10s"}));
    document["version"] = version.into();
    document
}

fn setup<'a>(fakes: &Fakes, version: &str) -> Setup<'a> {
    Setup { watched: &[Part::Listeners], ..Setup::new("reload", document(fakes, version)) }
}

async fn status(world: &World) -> Value {
    client::send(world.envoy.address, request("GET", "/status", &[], "")).await.json()
}

/// What each of both workers says: each takes some of many connections.
async fn everywhere(world: &Session) -> Vec<Value> {
    let asked = (0..12).map(|_| {
        let world = world.clone();
        async move { status(&world).await }
    });
    together(asked).await
}

async fn reload(world: &Session, setup: &Setup<'_>) {
    world.envoy.reload(setup);
    let began = Instant::now();
    let version = &setup.document["version"];
    while everywhere(world).await.iter().any(|status| status["version"] != *version) {
        // Another module is compiled for every worker first.
        assert!(began.elapsed() < Duration::from_secs(30), "{version} does not arrive");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Opens the breaker of `first` for half a minute: its key is refused.
const REFUSED: &str = "status=401&times=1";
/// Longer, for what has to wait for a compiler.
const LIMITED: &str = "status=429&retry_after=60&times=1";

async fn close_first(world: &World, fault: &'static str) {
    world.control("PUT", "/faults/openai", fault).await;
    let reply = world.ask(&chat("both", false, &marker())).await;
    assert_eq!((reply.status, reply.attempts()), (200, 2), "{}", shown(&reply));
}

/// Asks once; it is known that `first` is not there for it.
async fn ask_second(world: &World, model: &str) {
    let reply = world.ask(&chat(model, false, &marker())).await;
    let told = (reply.status, reply.attempts(), reply.header("x-dragoman-model"));
    assert_eq!(told, (200, 1, "second"), "{}", shown(&reply));
}

#[tokio::test]
async fn a_new_configuration_keeps_health_counts_and_the_streams_under_way() {
    let fakes = Fakes::start();
    let begin = setup(&fakes, "1");
    let world = start(&begin, fakes);
    close_first(&world, REFUSED).await;
    let mut requests = 1;

    let mut connection = Connection::open(world.envoy.address).await;
    let slow = chat("slow", true, "count 40").to_string();
    let streaming = connection.begin(post(&[JSON], slow)).await.unwrap();
    for version in ["2", "3", "4"] {
        reload(&world, &setup(&world.fakes, version)).await;
        for status in everywhere(&world).await {
            let state = |model: &str| status["models"][model]["state"].clone();
            assert_eq!((state("first"), state("second")), (json!("open"), json!("well")), "{version}: {status:#}");
        }
        let explained = explained(&world, &marker()).await;
        assert!(is_last(&explained, "open until"), "{version}: {explained:?}");
        for model in ["both", version] {
            ask_second(&world, model).await;
            requests += 1;
        }
        // A route of before is none any more.
        assert_eq!(world.ask(&chat("1", false, &marker())).await.status, 404);
    }
    let body = streaming.into_body().collect().await.expect("the stream ends whole").to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("40") && text.ends_with("data: [DONE]\n\n"), "{text}");
    // A connection of before has the configuration of before, until Envoy has drained it; it counts all the same.
    let last = chat("1", false, &marker()).to_string();
    let reply = connection.send(post(&[JSON], last)).await.unwrap();
    assert_eq!((reply.status, reply.header("x-dragoman-model")), (200, "second"), "{}", shown(&reply));
    after(&world, requests + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_exact_over_many_reloads_under_traffic() {
    const RELOADS: usize = 12;
    let fakes = Fakes::start();
    let begin = setup(&fakes, "0");
    let world = start(&begin, fakes);
    let (go_on, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..12)
        .map(|number| {
            let (world, go_on, asked) = (world.clone(), Arc::clone(&go_on), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut answered = 0;
                while go_on.load(Relaxed) {
                    asked.fetch_add(1, Relaxed);
                    let model = if number == 0 { "slow" } else { "both" };
                    let reply = world.ask(&chat(model, number % 2 == 0, "count 20")).await;
                    assert!(reply.status == 200 && reply.broken.is_none(), "{}", shown(&reply));
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for reload in 1..=RELOADS {
        match reload % 3 {
            0 => world.control("PUT", "/faults/openai", "status=503").await,
            _ => world.control("DELETE", "/faults/openai", "").await,
        }
        world.envoy.reload(&setup(&world.fakes, &reload.to_string()));
        sleep(Duration::from_millis(250)).await;
    }
    go_on.store(false, Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    let metrics = after(&world, asked.load(Relaxed)).await;
    let counts = counts(&world).await;
    let taken = world.envoy.log().matches("lds: add/update listener").count();
    assert!(taken > RELOADS / 2, "Envoy has taken up {taken} of {RELOADS}");
    assert!(answered > 100, "{answered}");
    assert_eq!(metrics.sum("dragoman_requests_total", &[("outcome", "answered")]), answered);
    assert_eq!(metrics.sum("dragoman_attempts_total", &[]), of_fakes(&counts, "requests"), "{counts}");
    for kind in ["input", "output"] {
        let reported = metrics.sum("dragoman_tokens_total", &[("type", kind), ("counted", "reported")]);
        assert_eq!(reported, of_fakes(&counts, &format!("{kind}_tokens")), "{kind}: {counts}");
    }
}

#[tokio::test]
async fn what_outlives_the_draining_of_its_listener_is_cut_visibly_and_counted_once() {
    let fakes = Fakes::start();
    let begin = Setup { arguments: &["--drain-time-s", "1"], ..setup(&fakes, "1") };
    let world = start(&begin, fakes);
    let asking = world.clone();
    let slow = tokio::spawn(async move { asking.ask(&chat("slow", true, "count 200")).await });
    sleep(Duration::from_millis(300)).await;
    reload(&world, &setup(&world.fakes, "2")).await;
    let reply = slow.await.unwrap();
    assert!(reply.status == 200 && !reply.is_done(), "{}", shown(&reply));
    let metrics = after(&world, 1).await;
    let tokens = metrics.sum("dragoman_tokens_total", &[("type", "output"), ("counted", "estimated")]);
    let broken = metrics.sum("dragoman_requests_total", &[("outcome", "broken")]);
    assert!(broken == 1 && tokens > 0, "nobody left: {metrics:#?}");
}

#[tokio::test]
async fn another_module_goes_on_with_what_this_one_knows_and_has_counted() {
    let fakes = Fakes::start();
    let watched = [Part::Listeners, Part::Clusters];
    let begin = Setup { watched: &watched, arguments: &["--drain-time-s", "1"], ..setup(&fakes, "1") };
    let world = start(&begin, fakes);
    close_first(&world, LIMITED).await;
    ask_second(&world, "both").await;
    after(&world, 2).await;
    let vms = stat(&world, VMS).await;

    // The same with a section that says nothing: Envoy takes it for another.
    let same = std::fs::read(module()).unwrap();
    let other = written("other.wasm", &[&same[..], &[0, 3, 2, b'v', b'2']].concat());
    reload(&world, &Setup { module: Some(&other), watched: &watched, ..setup(&world.fakes, "2") }).await;
    // The clusters' stage may be the old one a moment longer. Then the old listener is drained, and its VMs go.
    sleep(Duration::from_millis(500)).await;
    ask_second(&world, "both").await;
    sleep(Duration::from_secs(4)).await;
    for status in everywhere(&world).await {
        assert_eq!(status["models"]["first"]["state"], "exhausted", "{status:#}");
    }
    ask_second(&world, "2").await;
    let metrics = after(&world, 4).await;
    // Only the module of before has ever counted this.
    assert_eq!(metrics.sum("dragoman_attempts_total", &[("class", "rate_limited")]), 1, "{metrics:#?}");
    assert_eq!(metrics.sum("dragoman_attempts_total", &[]), of_fakes(&counts(&world).await, "requests"));
    assert_eq!(stat(&world, VMS).await, vms, "the old ones are gone");
}

#[tokio::test]
async fn a_module_that_has_crashed_is_made_anew_and_goes_on() {
    let fakes = Fakes::start();
    let crashing = written("crashing.wasm", &crashing_at("proxy_on_request_trailers"));
    let begin = Setup { module: Some(&crashing), ..setup(&fakes, "1") };
    // No session, which would not forgive the crash.
    let envoy = Envoy::start(&begin, &fakes);
    let world = World { envoy, fakes };
    close_first(&world, REFUSED).await;
    let mut answered = 1;
    for crash in 1..=2 {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "1".parse().unwrap());
        let question = post(&[JSON], chat("both", false, "").to_string());
        let question = question.map(|body| body.with_trailers(async { Some(Ok(trailers)) }).boxed());
        assert!(send_http2(world.envoy.address, question).await.status >= 500);
        // Not more than once a second; until then Envoy answers for it.
        let began = Instant::now();
        let mut in_a_row = 0;
        while in_a_row < 12 {
            let reply = world.ask(&chat("both", false, &marker())).await;
            assert!(began.elapsed() < Duration::from_secs(20), "{}", shown(&reply));
            if reply.status != 200 {
                in_a_row = 0;
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            assert_eq!((reply.attempts(), reply.header("x-dragoman-model")), (1, "second"), "{}", shown(&reply));
            (answered, in_a_row) = (answered + 1, in_a_row + 1);
        }
        assert!(stat(&world, "vm_reload_success").await >= crash, "a VM was made anew");
    }
    sleep(Duration::from_millis(300)).await;
    let metrics = metrics(&world).await;
    assert_eq!(metrics.sum("dragoman_requests_total", &[("outcome", "answered")]), answered);
    assert_eq!(metrics.sum("dragoman_attempts_total", &[]), of_fakes(&counts(&world).await, "requests"));
}

/// The sum of Envoy's own numbers of that name.
async fn stat(world: &World, name: &str) -> u64 {
    let reply = client::send(world.envoy.admin, request("GET", &format!("/stats?filter={name}"), &[], "")).await;
    let text = String::from_utf8(reply.body()).unwrap();
    text.lines().map(|line| line.rsplit(": ").next().unwrap().parse::<u64>().unwrap()).sum()
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The module, with `unreachable` for the body of one of its exports.
fn crashing_at(export: &str) -> Vec<u8> {
    let mut module = std::fs::read(module()).unwrap();
    let (mut imported, mut wanted) = (0, None);
    let mut at = 8;
    while at < module.len() {
        let id = module[at];
        at += 1;
        let size = number(&module, &mut at);
        let end = at + size;
        let count = if id == 0 { 0 } else { number(&module, &mut at) };
        match id {
            // Imports: all of them functions.
            2 => imported = count,
            7 => {
                for _ in 0..count {
                    let length = number(&module, &mut at);
                    let name = &module[at..at + length];
                    let is_it = name == export.as_bytes();
                    at += length + 1;
                    let index = number(&module, &mut at);
                    wanted = wanted.or(is_it.then_some(index));
                }
            }
            10 => {
                let index = wanted.unwrap_or_else(|| panic!("the module exports no {export}")) - imported;
                for _ in 0..index {
                    let size = number(&module, &mut at);
                    at += size;
                }
                let size = number(&module, &mut at);
                let body = at + size;
                for _ in 0..number(&module, &mut at) {
                    number(&module, &mut at);
                    at += 1;
                }
                // unreachable, nop …, end
                module[at..body].fill(0x01);
                module[at] = 0x00;
                module[body - 1] = 0x0b;
                return module;
            }
            _ => {}
        }
        at = end;
    }
    panic!("the module has no code")
}

/// LEB128.
fn number(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}
