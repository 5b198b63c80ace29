//! A gateway between a client and the fakes. Most tests share one, whose configuration has a model for
//! every way in which a provider can fail, so that they can run side by side.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use crate::client::{self, Reply, chat, post};
use crate::process::{ANTHROPIC_KEY, Envoy, Fakes, OPENAI_KEY, Setup};

/// A way to fail, as the fakes are told of it behind a model's `?`.
pub struct Fault {
    pub text: &'static str,
    pub with: Shapes,
    /// Takes as long as the target's limit.
    pub silent: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Shapes {
    Both,
    Json,
    Stream,
}

impl Shapes {
    /// Whether requests are streamed, for each kind of request that meets the fault.
    pub fn streams(self) -> &'static [bool] {
        match self {
            Shapes::Both => &[false, true],
            Shapes::Json => &[false],
            Shapes::Stream => &[true],
        }
    }
}

const fn fault(text: &'static str, with: Shapes) -> Fault {
    Fault { text, with, silent: false }
}

const fn silence(text: &'static str, with: Shapes) -> Fault {
    Fault { text, with, silent: true }
}

/// Everything from which the next target can save a request.
pub const FAULTS: &[Fault] = &[
    fault("reset", Shapes::Both),
    fault("status=401", Shapes::Both),
    fault("status=403", Shapes::Both),
    fault("status=404", Shapes::Both),
    fault("status=429", Shapes::Both),
    fault("status=429&retry_after=60", Shapes::Both),
    fault("status=500", Shapes::Both),
    fault("status=502", Shapes::Both),
    fault("status=503", Shapes::Both),
    fault("status=503&empty_body", Shapes::Both),
    fault("status=504", Shapes::Both),
    fault("status=529", Shapes::Both),
    fault("html_status=502", Shapes::Both),
    fault("html", Shapes::Both),
    fault("empty_body", Shapes::Both),
    fault("no_content", Shapes::Json),
    fault("error_in_200", Shapes::Both),
    fault("error_in_stream", Shapes::Stream),
    fault("error_after=0", Shapes::Stream),
    fault("empty_stream", Shapes::Stream),
    fault("garbage", Shapes::Both),
    fault("truncate_json", Shapes::Json),
    fault("gzip_header", Shapes::Both),
    fault("stream_for_json", Shapes::Json),
    fault("cut_after=0", Shapes::Both),
    fault("end_after=0", Shapes::Stream),
    silence("silent", Shapes::Both),
    silence("headers_then_silence", Shapes::Both),
    silence("pings_then_silence", Shapes::Stream),
    silence("stall_after=0", Shapes::Both),
];

/// What else the fakes are asked for, by tests that name the model themselves.
const OTHERS: &[&str] = &[
    "pace_ms=60",
    "delay_ms=1600",
    "cut_after=3",
    "error_after=3",
    "bad_header",
    "trailers",
    "bad_header&trailers",
    "retry_after=7&status=429",
    "status=429&retry_after=1",
    "split=1",
    "error=context_length_exceeded",
    "error=rate_limit_exceeded",
];

pub const PROVIDERS: [&str; 2] = ["openai", "anthropic"];

pub fn other(provider: &str) -> &'static str {
    if provider == "openai" { "anthropic" } else { "openai" }
}

/// A fault in the name of a model: `openai/status-503`.
pub fn model(provider: &str, fault: &str) -> String {
    format!("{provider}/{}", fault.replace('=', "-").replace('&', ":"))
}

/// The route that begins with that model and goes on to the other provider.
pub fn route(provider: &str, fault: &str) -> String {
    format!("from:{}", model(provider, fault))
}

pub const SILENCE: Duration = Duration::from_secs(2);
/// For whole answers.
pub const LONG_SILENCE: Duration = Duration::from_secs(3);

fn shared_document(fakes: &Fakes) -> Value {
    let mut document = Document::new(fakes);
    document.provider("openai-tls", "openai", fakes.say("openai_tls"));
    document.provider("anthropic-tls", "anthropic", fakes.say("anthropic_tls"));
    document.provider("openai-wrong-name", "openai", fakes.say("openai_tls_wrong_name"));
    document.provider("openai-unknown-ca", "openai", fakes.say("openai_tls_unknown_ca"));
    for kind in PROVIDERS {
        let base = if kind == "openai" { "/v1" } else { "" };
        document.provider(&format!("{kind}-refused"), kind, &format!("http://127.0.0.1:1{base}"));
        document.provider(&format!("{kind}-unresolved"), kind, &format!("http://does-not-exist.invalid{base}"));
    }

    let seconds = |limit: Duration| format!("{}s", limit.as_secs());
    let quick = json!({"first_token": seconds(SILENCE), "answer": seconds(LONG_SILENCE)});
    for provider in PROVIDERS {
        document.model(provider, provider, "", None);
        document.model(&format!("{provider}/quick"), provider, "", Some(&quick));
        document.model(&format!("org/{provider}:8b@lane"), provider, "", None);
        for text in OTHERS {
            let limits = text.starts_with("delay").then(|| json!({"first_token": "700ms"}));
            document.model(&model(provider, text), provider, text, limits.as_ref());
        }
        for Fault { text, silent, .. } in FAULTS {
            document.model(&model(provider, text), provider, text, silent.then_some(&quick));
        }
        for end in ["refused", "unresolved"] {
            document.model(&model(provider, end), &format!("{provider}-{end}"), "", None);
        }
    }
    for provider in ["openai-tls", "anthropic-tls", "openai-wrong-name", "openai-unknown-ca"] {
        document.model(provider, provider, "", None);
    }
    document.model("openai-tls/trailers", "openai-tls", "trailers", None);
    document.model("anthropic-tls/trailers", "anthropic-tls", "trailers", None);
    document.model("openai-tls/cut", "openai-tls", "end_after=3&pace_ms=60&trailers", None);
    document.model("anthropic-tls/cut", "anthropic-tls", "end_after=3&pace_ms=60&trailers", None);

    for provider in PROVIDERS {
        let next = other(provider);
        for Fault { text, silent, .. } in FAULTS {
            let next = if *silent { format!("{next}/quick") } else { next.to_owned() };
            document.route(&route(provider, text), &[&model(provider, text), &next], "first_token");
        }
        for end in [
            "refused",
            "unresolved",
            "cut_after=3",
            "error_after=3",
            "retry_after=7&status=429",
            "status=429&retry_after=1",
        ] {
            document.route(&route(provider, end), &[&model(provider, end), next], "first_token");
        }
        for end in ["cut_after=3", "error_after=3", "status=503"] {
            document.route(&format!("whole:{}", model(provider, end)), &[&model(provider, end), next], "complete");
        }
        document.route(&format!("both:{provider}"), &[provider, next], "first_token");
    }
    document.route("from:wrong-name", &["openai-wrong-name", "anthropic-tls"], "first_token");
    document.route("from:unknown-ca", &["openai-unknown-ca", "anthropic-tls"], "first_token");
    let all = |ends: [(&str, &str); 3]| ends.map(|(provider, fault)| model(provider, fault));
    let failing = [
        ("none:last-429", all([("openai", "status=503"), ("anthropic", "refused"), ("anthropic", "status=429")])),
        ("none:last-refused", all([("openai", "status=429"), ("anthropic", "status=529"), ("openai", "refused")])),
        ("none:last-reset", all([("anthropic", "status=529"), ("openai", "status=503"), ("anthropic", "reset")])),
        ("none:last-empty", all([("anthropic", "reset"), ("openai", "html"), ("openai", "status=503&empty_body")])),
        ("none:last-silent", all([("anthropic", "stall_after=0"), ("anthropic", "silent"), ("openai", "silent")])),
    ];
    for (name, targets) in &failing {
        document.route(name, &targets.each_ref().map(String::as_str), "first_token");
    }
    // Most models fail whenever they are asked, which must not change where the next test's request goes.
    document.finish(json!({"first_token": "10s", "answer": "20s", "breaker": false}))
}

/// Builds what is in gateway.yaml.
pub struct Document<'a> {
    fakes: &'a Fakes,
    providers: Map<String, Value>,
    models: Map<String, Value>,
    routes: Map<String, Value>,
}

impl<'a> Document<'a> {
    /// With the two fakes as `openai` and `anthropic`.
    pub fn new(fakes: &'a Fakes) -> Self {
        let mut document = Document { fakes, providers: Map::new(), models: Map::new(), routes: Map::new() };
        for kind in PROVIDERS {
            document.provider(kind, kind, fakes.say(kind));
        }
        document
    }

    pub fn provider(&mut self, name: &str, kind: &str, url: &str) {
        let key = if kind == "openai" { OPENAI_KEY } else { ANTHROPIC_KEY };
        let mut provider = json!({"kind": kind, "url": url, "credential": {"env": key}});
        if url.starts_with("https:") {
            provider["ca"] = self.fakes.say("ca").into();
        }
        self.providers.insert(name.to_owned(), provider);
    }

    pub fn model(&mut self, name: &str, provider: &str, fault: &str, limits: Option<&Value>) {
        let is_openai = self.providers[provider]["kind"] == "openai";
        // Of one of the two, no answer is too long.
        let (family, max_output) = if is_openai { ("gpt", 10_000_000) } else { ("claude", 64_000) };
        let question = if fault.is_empty() { "" } else { "?" };
        let id = format!("{family}-fake{question}{fault}");
        let mut model = json!({"provider": provider, "id": id, "max_output": max_output});
        if let Some(limits) = limits {
            model["limits"] = limits.clone();
        }
        self.models.insert(name.to_owned(), model);
    }

    /// More fields of a model.
    pub fn facts(&mut self, model: &str, facts: &Value) {
        for (name, value) in facts.as_object().unwrap() {
            self.models[model][name] = value.clone();
        }
    }

    /// A route in its own words.
    pub fn routing(&mut self, name: &str, route: &Value) {
        self.routes.insert(name.to_owned(), route.clone());
    }

    pub fn route(&mut self, name: &str, targets: &[&str], commit: &str) {
        self.routes.insert(name.to_owned(), json!({"targets": targets, "commit": commit}));
    }

    pub fn finish(self, limits: Value) -> Value {
        json!({
            "version": "lane",
            "providers": self.providers,
            "models": self.models,
            "routes": self.routes,
            "limits": limits,
        })
    }
}

pub struct World {
    pub envoy: Envoy,
    pub fakes: Fakes,
}

/// A test's hold of a gateway. At the end of the test the log must show no crash.
pub struct Session(Arc<World>);

/// The gateway that most tests share, with two workers.
pub fn shared() -> Session {
    static SHARED: OnceLock<Arc<World>> = OnceLock::new();
    let world = SHARED.get_or_init(|| {
        let fakes = Fakes::start();
        let document = shared_document(&fakes);
        let envoy = Envoy::start(&Setup::new("shared", document), &fakes);
        Arc::new(World { envoy, fakes })
    });
    Session(Arc::clone(world))
}

/// A gateway for one test.
pub fn own(name: &str, document: impl FnOnce(Document<'_>) -> Value, files: &[(&str, &str)]) -> Session {
    let fakes = Fakes::start();
    let document = document(Document::new(&fakes));
    start(&Setup { files, ..Setup::new(name, document) }, fakes)
}

pub fn start(setup: &Setup<'_>, fakes: Fakes) -> Session {
    let envoy = Envoy::start(setup, &fakes);
    Session(Arc::new(World { envoy, fakes }))
}

impl Deref for Session {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.envoy.inspect();
    }
}

impl World {
    pub async fn ask(&self, body: &Value) -> Reply {
        self.ask_with(&[], body).await
    }

    pub async fn ask_with(&self, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        client::send(self.envoy.address, post(&all, body.to_string())).await
    }

    /// Asks and expects a whole answer that repeats the question.
    pub async fn answered(&self, model: &str, stream: bool) -> Result<(Reply, String), String> {
        let text = marker();
        let reply = self.ask(&chat(model, stream, &text)).await;
        let problem = |problem: String| format!("{model} stream={stream}: {problem}\n{}", shown(&reply));
        reply.well_formed().map_err(problem)?;
        if reply.status != 200 || !reply.text().ends_with(&format!("fake: you said \"{text}\"")) {
            return Err(problem("no whole answer".to_owned()));
        }
        Ok((reply, text))
    }

    /// What the fakes have received with this text in it, oldest first.
    pub async fn received(&self, text: &str) -> Vec<Value> {
        let path = format!("/requests?contains={text}");
        let reply = client::send(self.fakes.control(), client::request("GET", &path, &[], "")).await;
        reply.json().as_array().unwrap().clone()
    }

    /// The names of the providers that have received it.
    pub async fn asked(&self, text: &str) -> Vec<String> {
        let records = self.received(text).await;
        records.iter().map(|record| record["provider"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn control(&self, method: &str, path: &str, body: &'static str) {
        let request = client::request(method, path, &[], Bytes::from_static(body.as_bytes()));
        let reply = client::send(self.fakes.control(), request).await;
        assert_eq!(reply.status, 200, "{}", shown(&reply));
    }
}

/// A text that no other request has.
pub fn marker() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("question-{}.", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A reply for a message.
pub fn shown(reply: &Reply) -> String {
    let body = reply.body();
    let text = String::from_utf8_lossy(body.get(..2000).unwrap_or(&body)).into_owned();
    format!("{} {:?} broken={:?} after {:?}\n{text}", reply.status, reply.headers, reply.broken, reply.took)
}

/// Runs all of them side by side and gives their results in order.
pub async fn together<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(result) => results.push(result),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
    results
}

/// Fails with all of the problems.
pub fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n\n"));
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Session(Arc::clone(&self.0))
    }
}
