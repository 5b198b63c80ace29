//! Fake providers, each as strict as the real one, with faults on request.
//!
//! For demos, tests and benchmarks of the gateway. It shares no code with it: a mistake in how the gateway
//! reads a format must not repeat itself here. In the order in which a request meets them:
//!
//! ```text
//! serve     connections ──► exchange   one request and its answer ──► record
//!                              │
//!                              ├─ a format         read: bytes -> Prompt, or a refusal
//!                              ├─ prompt           Prompt -> Reply
//!                              ├─ a format         Reply -> JSON or events
//!                              └─ script, framing  events -> writes, waits, faults
//! control   faults in, records out
//! ```
//!
//! A provider is a line of [`FAKES`]. A wire format is a folder with a [`Fake`]; a vendor that speaks
//! OpenAI's is a row of data (`openai::Dialect`).

mod anthropic;
mod bedrock;
mod body;
mod certificates;
mod cohere;
mod control;
mod dashscope;
mod exchange;
mod faults;
mod framing;
mod gemini;
mod limits;
mod openai;
mod prompt;
mod provider;
mod record;
mod script;
mod serve;
mod strict;
mod synthesis;
mod target;
mod thinking;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::certificates::Certificates;
use crate::control::Control;
use crate::exchange::Exchange;
use crate::provider::{Fake, State};
use crate::record::Records;
use crate::serve::serve;

const FAKES: &[&dyn Fake] = &[
    &openai::Compatible(&openai::OPENAI),
    &gemini::Gemini(gemini::Surface::Studio),
    &gemini::Gemini(gemini::Surface::Vertex),
    &bedrock::Bedrock,
    &anthropic::Anthropic(anthropic::Surface::Anthropic),
    &anthropic::Anthropic(anthropic::Surface::Vertex),
    &anthropic::Anthropic(anthropic::Surface::Bedrock),
    &openai::Compatible(&openai::MISTRAL),
    &openai::Compatible(&openai::DEEPSEEK),
    &openai::Compatible(&openai::QWEN),
    &openai::Compatible(&openai::MOONSHOT),
    &openai::Compatible(&openai::GROQ),
    &openai::Compatible(&openai::OPENROUTER),
    &openai::Compatible(&openai::AZURE),
    &openai::Compatible(&openai::WATSONX),
    &openai::Compatible(&openai::ZHIPU),
    &openai::Compatible(&openai::XAI),
    &openai::Compatible(&openai::TOGETHER),
    &openai::Compatible(&openai::FIREWORKS),
    &openai::Compatible(&openai::CEREBRAS),
    &openai::Compatible(&openai::NVIDIA),
    &openai::Compatible(&openai::PERPLEXITY),
    &openai::Compatible(&openai::VLLM),
    &openai::Compatible(&openai::SGLANG),
    &openai::Compatible(&openai::OLLAMA),
    &openai::Compatible(&openai::LLAMACPP),
    &openai::Compatible(&openai::ANY),
    &openai::Compatible(&openai::LITELLM),
    &openai::Compatible(&openai::PORTKEY),
    &openai::Compatible(&openai::TOKENMIX),
    &openai::Compatible(&openai::XIDAO),
    &cohere::Cohere,
    &dashscope::DashScope { multimodal: false },
    &dashscope::DashScope { multimodal: true },
];

/// Fake LLM providers on loopback. Prints one line of JSON with their addresses when all of them listen.
#[derive(Parser)]
#[command(name = "dragoman-fakes")]
struct Arguments {
    /// Where a fake listens, or `control`: at which faults are set and records are read. Any free port if
    /// not given.
    #[arg(long, value_name = "NAME=ADDR", value_parser = listener)]
    listen: Vec<(String, SocketAddr)>,
    /// The key that a fake accepts, if not its own.
    #[arg(long, value_name = "NAME=KEY", value_parser = key)]
    key: Vec<(String, String)>,
    /// Listen with TLS too, with certificates of a CA made at start.
    #[arg(long)]
    tls: bool,
    /// Where `ca.pem` is written; a directory of its own under the temporary one if not given.
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// Milliseconds between two tokens of a stream.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pace: u64,
    /// Count requests, keep none.
    #[arg(long)]
    no_record: bool,
    /// Print what there is to know of each fake, as JSON, and serve nothing: its wire format, the model that
    /// it has, what gateway.yaml has to say of such a provider, and the faults that it knows.
    #[arg(long)]
    describe: bool,
    /// Stop when the standard input ends, as it does when the program that started this dies.
    #[arg(long)]
    stop_with_stdin: bool,
}

const CONTROL: &str = "control";

fn listener(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = of_fake(text, &[CONTROL])?;
    Ok((name, loopback(&address)?))
}

fn key(text: &str) -> Result<(String, String), String> {
    of_fake(text, &[])
}

/// `NAME=VALUE` with a name that there is.
fn of_fake(text: &str, others: &[&str]) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let known: Vec<_> = FAKES.iter().map(|fake| fake.name()).chain(others.iter().copied()).collect();
    if !known.contains(&name) {
        return Err(format!("there is no `{name}`; known: {}", known.join(", ")));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The last of those given for a name.
fn given<'a, T>(pairs: &'a [(String, T)], name: &str) -> Option<&'a T> {
    pairs.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value)
}

fn description() -> Value {
    let fakes = FAKES.iter().map(|fake| {
        let described = json!({
            "kind": fake.kind(),
            "format": fake.format(),
            "base_path": fake.base_path(),
            "model": fake.model(),
            "state": match fake.state() {
                State::None => None,
                State::Text => Some("text"),
                State::Signature => Some("signature"),
            },
            "lacks": fake.lacks(),
            "provider": fake.provider_settings(),
            "model_settings": fake.model_settings(),
            "faults": fake.vocabulary().listed(),
        });
        (fake.name().to_owned(), described)
    });
    Value::Object(fakes.collect())
}

/// The keys and the records of tests are nobody else's.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err("only loopback addresses are served".to_owned()) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.describe {
        writeln!(std::io::stdout(), "{}", description())?;
        return Ok(());
    }
    let stopped = stopped(arguments.stop_with_stdin)?;
    let addresses = start(arguments).await?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", Value::Object(addresses))?;
    stdout.flush()?;
    drop(stdout);
    stopped.await;
    Ok(())
}

async fn start(arguments: Arguments) -> Result<Map<String, Value>, Box<dyn Error>> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = |name: &str| given(&arguments.listen, name).copied().unwrap_or(any_port);
    let records = Arc::new(Records::new(arguments.no_record));
    let exchanges: Vec<_> = FAKES
        .iter()
        .map(|fake| {
            let key = given(&arguments.key, fake.name()).map_or_else(|| fake.default_key().to_owned(), String::clone);
            let pace = Duration::from_millis(arguments.pace);
            Arc::new(Exchange { fake: *fake, key, pace, records: Arc::clone(&records), asked: Mutex::new(None) })
        })
        .collect();

    let mut addresses = Map::new();
    let mut say = |name: String, value: String| drop(addresses.insert(name, json!(value)));
    for exchange in &exchanges {
        let name = exchange.fake.name();
        let address = serve(listen(name), None, Arc::clone(exchange)).await?;
        say(name.to_owned(), format!("http://{address}{}", exchange.fake.base_path()));
        say(format!("{name}_key"), exchange.key.clone());
    }
    let control = Arc::new(Control { records, exchanges: exchanges.clone() });
    let address = serve(listen(CONTROL), None, control).await?;
    say(CONTROL.to_owned(), format!("http://{address}"));
    if !arguments.tls {
        return Ok(addresses);
    }

    let certificates = Certificates::generate()?;
    let directory =
        arguments.ca_dir.unwrap_or_else(|| std::env::temp_dir().join(format!("dragoman-fakes-{}", std::process::id())));
    std::fs::create_dir_all(&directory)?;
    let ca = directory.join("ca.pem");
    std::fs::write(&ca, certificates.ca_pem)?;
    say("ca".to_owned(), ca.display().to_string());
    let mut listeners: Vec<_> =
        exchanges.iter().map(|exchange| ("tls", exchange, certificates.localhost.clone())).collect();
    // What a client does with a bad certificate does not depend on whose it is.
    listeners.extend(exchanges.first().map(|exchange| ("tls_wrong_name", exchange, certificates.wrong_name)));
    listeners.extend(exchanges.first().map(|exchange| ("tls_unknown_ca", exchange, certificates.unknown_ca)));
    for (what, exchange, tls) in listeners {
        let fake = exchange.fake;
        let port = serve(any_port, Some(tls), Arc::clone(exchange)).await?.port();
        say(format!("{}_{what}", fake.name()), format!("https://localhost:{port}{}", fake.base_path()));
    }
    Ok(addresses)
}

/// Resolves when it is time to go.
fn stopped(with_stdin: bool) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, stdin_ended) = oneshot::channel();
    if with_stdin {
        // A thread: tokio's standard input would keep the runtime from ending while it reads.
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            loop {
                match std::io::stdin().read(&mut buffer) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                }
            }
            let _ = sender.send(());
        });
    }
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = stdin_ended, if with_stdin => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fake_has_its_own_name() {
        let mut names: Vec<_> = FAKES.iter().map(|fake| fake.name()).chain([CONTROL]).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_fake_knows_the_errors_that_tests_ask_for() {
        for fake in FAKES {
            for error in ["context_length_exceeded", "content_filter", "insufficient_quota"] {
                let failure = fake.failure(None, Some(error));
                assert!(!failure.message.contains(error), "{} has no {error}: {failure:?}", fake.name());
            }
        }
    }
}
