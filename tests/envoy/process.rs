//! The processes of a test: the fakes and Envoy. They die with the test's own process, however it ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::watched::{self, Part};

/// Envoy compiles the module for each worker; a loaded machine takes its time.
const MOST_START: Duration = Duration::from_secs(20);
/// What a failing test shows of Envoy's log.
const TAIL: usize = 60;
/// What Envoy writes to its standard output.
const ACCESS_LOG: &str = "access.log";
/// Words that Envoy or the SDK's panic hook log when the module has crashed, and nothing else does.
const CRASHES: &[&str] = &["panicked", "Function: proxy_", "in-VM backtrace", "[critical]", "VM failed"];

pub const OPENAI_KEY: &str = "DRAGOMAN_LANE_OPENAI_KEY";
pub const ANTHROPIC_KEY: &str = "DRAGOMAN_LANE_ANTHROPIC_KEY";

/// The fake providers, with the addresses and keys that they printed.
pub struct Fakes {
    said: Value,
    process: Child,
}

impl Fakes {
    pub fn start() -> Self {
        let directory = scratch("fakes");
        let mut process = Command::new(env!("CARGO_BIN_EXE_dragoman-fakes"))
            .args(["--stop-with-stdin", "--tls", "--ca-dir"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the fakes start");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|error| panic!("the fakes said {line:?}: {error}"));
        Fakes { said, process }
    }

    /// One of the addresses, keys and files of the start line.
    pub fn say(&self, name: &str) -> &str {
        self.said[name].as_str().unwrap_or_else(|| panic!("the fakes say nothing of {name}: {}", self.said))
    }

    pub fn control(&self) -> SocketAddr {
        self.say("control").trim_start_matches("http://").parse().unwrap()
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// An Envoy with the bootstrap that `dragoman envoy` has generated.
pub struct Envoy {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    log: PathBuf,
    /// Open as long as Envoy is to run.
    stdin: Option<ChildStdin>,
    process: Child,
}

/// What is in gateway.yaml, and beside it.
pub struct Setup<'a> {
    pub name: &'a str,
    pub document: Value,
    /// Files beside gateway.yaml, by name.
    pub files: &'a [(&'a str, &'a str)],
    pub workers: usize,
    /// Not the module that is tested by all.
    pub module: Option<&'a Path>,
    /// What of the bootstrap is in files that Envoy watches.
    pub watched: &'a [Part],
    /// More of Envoy's.
    pub arguments: &'a [&'a str],
}

impl<'a> Setup<'a> {
    /// With two workers, and the rest as it is generated.
    pub fn new(name: &'a str, document: Value) -> Self {
        Setup { name, document, files: &[], workers: 2, module: None, watched: &[], arguments: &[] }
    }
}

impl Envoy {
    pub fn start(setup: &Setup<'_>, fakes: &Fakes) -> Self {
        // Between the choice of a port and Envoy's use of it somebody else may take it.
        for _ in 0..3 {
            let (bootstrap, address, admin) = bootstrap(setup);
            let log = bootstrap.with_file_name("envoy.log");
            let mut process = command(&bootstrap, &log, setup, fakes);
            let stdin = process.stdin.take();
            let envoy = Envoy { address, admin, log, stdin, process };
            match envoy.wait() {
                Ok(()) => return envoy,
                Err(log) if log.contains("Address already in use") => continue,
                Err(log) => panic!("Envoy does not answer within {MOST_START:?}; the end of its log:\n{}", tail(&log)),
            }
        }
        panic!("no free port for Envoy");
    }

    /// Waits until the list of models is answered: module and configuration are there then.
    fn wait(&self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < MOST_START {
            if answers(self.address) {
                return Ok(());
            }
            let log = self.log();
            if log.contains("[critical]") {
                return Err(log);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(self.log())
    }

    /// Gives it another configuration while it runs: what is watched is written anew.
    pub fn reload(&self, setup: &Setup<'_>) {
        generate(self.log.parent().unwrap(), setup, self.address, self.admin);
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The lines of the access log that hold a text.
    pub fn access_log(&self, text: &str) -> Vec<Value> {
        let lines = std::fs::read_to_string(self.log.with_file_name(ACCESS_LOG)).unwrap();
        let lines = lines.lines().filter(|line| line.contains(text));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Shows the log of a failed test; fails a test during which the module has crashed.
    pub fn inspect(&self) {
        let log = self.log();
        if std::thread::panicking() {
            println!("the end of Envoy's log ({}):\n{}", self.log.display(), tail(&log));
            return;
        }
        let crash = log.lines().find(|line| CRASHES.iter().any(|word| line.contains(word)));
        assert!(crash.is_none(), "the module has crashed: {}\n{}", crash.unwrap_or_default(), tail(&log));
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

/// Envoy under a shell that ends it when its standard input ends, as it does when this process dies.
fn command(bootstrap: &Path, log: &Path, setup: &Setup<'_>, fakes: &Fakes) -> Child {
    const UNTIL_STDIN_ENDS: &str = r#""$@" & envoy=$!; cat > /dev/null; kill -9 $envoy"#;
    Command::new("sh")
        .args(["-c", UNTIL_STDIN_ENDS, "sh"])
        .arg(binary())
        .args(["--disable-hot-restart", "--log-level", "info", "--concurrency", &setup.workers.to_string()])
        .args(setup.arguments)
        .args(["--file-flush-interval-msec", "50", "--log-path"])
        .arg(log)
        .arg("--config-path")
        .arg(bootstrap)
        .env(OPENAI_KEY, fakes.say("openai_key"))
        .env(ANTHROPIC_KEY, fakes.say("anthropic_key"))
        .stdin(Stdio::piped())
        .stdout(File::create(log.with_file_name(ACCESS_LOG)).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell")
}

/// Runs Envoy with a bootstrap that it should refuse, and returns its log.
pub fn refused(bootstrap: &Path, fakes: &Fakes) -> String {
    let log = bootstrap.with_file_name("envoy.log");
    let mut process = command(bootstrap, &log, &Setup { workers: 1, ..Setup::new("refused", Value::Null) }, fakes);
    let read = || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let began = Instant::now();
    while began.elapsed() < MOST_START && !read().contains("[critical]") {
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(process.stdin.take());
    let _ = process.wait();
    read()
}

/// The generated bootstrap for a gateway at a free port,
/// and Envoy's own interface at another.
pub fn bootstrap(setup: &Setup<'_>) -> (PathBuf, SocketAddr, SocketAddr) {
    let directory = scratch(setup.name);
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (listener, admin) = (free(), free());
    let (address, admin) = (listener.local_addr().unwrap(), admin.local_addr().unwrap());
    for (name, text) in setup.files {
        std::fs::write(directory.join(name), text).unwrap();
    }
    generate(&directory, setup, address, admin);
    (directory.join("envoy.yaml"), address, admin)
}

/// Writes what an Envoy is configured with, or is to be from now on.
fn generate(directory: &Path, setup: &Setup<'_>, address: SocketAddr, admin: SocketAddr) {
    let mut document = setup.document.clone();
    document["listen"] = address.to_string().into();
    // JSON is YAML.
    std::fs::write(directory.join("gateway.yaml"), document.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dragoman"))
        .args(["envoy", "gateway.yaml", "--no-catalog", "-o", ".", "--admin", &admin.to_string(), "--module"])
        .arg(setup.module.map_or_else(module, Path::to_owned))
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "dragoman envoy: {}", String::from_utf8_lossy(&output.stderr));
    watched::separate(directory, setup.watched);
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    // Where clients need keys, this one has none.
    ask().is_ok_and(|line| line.starts_with("HTTP/1.1 200") || line.starts_with("HTTP/1.1 401"))
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

fn binary() -> PathBuf {
    found("DRAGOMAN_ENVOY", ".cache/envoy/bin/envoy", "Envoy")
}

pub fn module() -> PathBuf {
    found("DRAGOMAN_MODULE", "target/dragoman.wasm", "the module")
}

#[expect(clippy::disallowed_methods, reason = "where the tests find what they test")]
fn found(variable: &str, default: &str, what: &str) -> PathBuf {
    let path =
        std::env::var_os(variable).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(default), PathBuf::from);
    assert!(
        path.is_file(),
        "{what} is not at {}: run scripts/test, which gets it there, or set {variable}",
        path.display()
    );
    path
}

/// An empty directory.
fn scratch(name: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("envoy/{name}-{number}"));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
