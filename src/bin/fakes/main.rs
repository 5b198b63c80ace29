//! Fake providers: OpenAI and Anthropic as strict as the real ones, with faults on request.
//!
//! For demos, tests and benchmarks of the gateway. It shares no code with it: a mistake in how the gateway
//! reads a format must not repeat itself here. In the order in which a request meets them:
//!
//! ```text
//! serve     connections ──► exchange   one request and its answer ──► record
//!                              │
//!                              ├─ openai | anthropic   read: bytes -> Prompt, or a refusal
//!                              ├─ prompt               Prompt -> Reply
//!                              ├─ openai | anthropic   Reply -> JSON or events
//!                              └─ script, body         events -> writes, waits, faults
//! control   faults in, records out
//! ```

mod anthropic;
mod body;
mod certificates;
mod control;
mod exchange;
mod faults;
mod openai;
mod prompt;
mod provider;
mod record;
mod script;
mod serve;
mod strict;
mod synthesis;

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
use crate::provider::Fake;
use crate::record::Records;
use crate::serve::serve;

const FAKES: &[&dyn Fake] = &[&openai::OpenAi, &anthropic::Anthropic];

/// Fake LLM providers on loopback. Prints one line of JSON with their addresses when all of them listen.
#[derive(Parser)]
#[command(name = "dragoman-fakes")]
struct Arguments {
    /// Where the OpenAI fake listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    openai: SocketAddr,
    /// Where the Anthropic fake listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    anthropic: SocketAddr,
    /// Where faults are set and records are read.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    control: SocketAddr,
    /// The key that the OpenAI fake accepts.
    #[arg(long, value_name = "KEY", default_value = openai::OpenAi.default_key())]
    openai_key: String,
    /// The key that the Anthropic fake accepts.
    #[arg(long, value_name = "KEY", default_value = anthropic::Anthropic.default_key())]
    anthropic_key: String,
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
    /// Print the faults that each provider knows, as JSON, and serve nothing.
    #[arg(long)]
    faults: bool,
    /// Stop when the standard input ends, as it does when the program that started this dies.
    #[arg(long)]
    stop_with_stdin: bool,
}

/// The keys and the records of tests are nobody else's.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err("only loopback addresses are served".to_owned()) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.faults {
        let known = FAKES.iter().map(|fake| (fake.name().to_owned(), faults::known(fake.name())));
        writeln!(std::io::stdout(), "{}", Value::Object(known.collect()))?;
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
    let records = Arc::new(Records::new(arguments.no_record));
    let exchange = |fake: &'static dyn Fake, key: &str| {
        Arc::new(Exchange {
            fake,
            key: key.to_owned(),
            pace: Duration::from_millis(arguments.pace),
            records: Arc::clone(&records),
            asked: Mutex::new(None),
        })
    };
    let openai = exchange(&openai::OpenAi, &arguments.openai_key);
    let anthropic = exchange(&anthropic::Anthropic, &arguments.anthropic_key);
    let exchanges = vec![Arc::clone(&openai), Arc::clone(&anthropic)];
    let control = Arc::new(Control { records, exchanges });

    let mut addresses = Map::new();
    let mut say = |name: &str, value: String| drop(addresses.insert(name.to_owned(), json!(value)));
    let address = serve(arguments.openai, None, Arc::clone(&openai)).await?;
    say("openai", format!("http://{address}/v1"));
    let address = serve(arguments.anthropic, None, Arc::clone(&anthropic)).await?;
    say("anthropic", format!("http://{address}"));
    let address = serve(arguments.control, None, control).await?;
    say("control", format!("http://{address}"));
    say("openai_key", arguments.openai_key);
    say("anthropic_key", arguments.anthropic_key);
    if !arguments.tls {
        return Ok(addresses);
    }

    let certificates = Certificates::generate()?;
    let directory =
        arguments.ca_dir.unwrap_or_else(|| std::env::temp_dir().join(format!("dragoman-fakes-{}", std::process::id())));
    std::fs::create_dir_all(&directory)?;
    let ca = directory.join("ca.pem");
    std::fs::write(&ca, certificates.ca_pem)?;
    say("ca", ca.display().to_string());
    let listeners = [
        ("openai_tls", &openai, certificates.localhost.clone(), "/v1"),
        ("anthropic_tls", &anthropic, certificates.localhost, ""),
        ("openai_tls_wrong_name", &openai, certificates.wrong_name, "/v1"),
        ("openai_tls_unknown_ca", &openai, certificates.unknown_ca, "/v1"),
    ];
    for (name, exchange, tls, path) in listeners {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let port = serve(any_port, Some(tls), Arc::clone(exchange)).await?.port();
        say(name, format!("https://localhost:{port}{path}"));
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
