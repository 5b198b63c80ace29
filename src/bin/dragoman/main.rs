//! The native command: gateway.yaml in, checked, resolved, or turned into the bootstrap of an Envoy.
//!
//! It reads and writes files and the environment; what a configuration means is the library's.

mod catalog;
mod check;
mod dates;
mod envoy;
mod explain;
mod keys;
mod read;
mod yaml;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use dragoman::config::document::Node;
use dragoman::config::registry::{Capability, Date};
use dragoman::config::{self, Clients, Config, Problems};
use dragoman::route::Router;

use catalog::Catalog;

/// Dragoman, an LLM gateway inside Envoy: from one short file to everything that Envoy needs.
#[derive(Parser)]
#[command(name = "dragoman", version, arg_required_else_help = true, after_help = MAIN_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const MAIN_HELP: &str = "\
Examples:
  dragoman check gateway.yaml --env
  dragoman envoy gateway.yaml -o run && envoy -c run/envoy.yaml
  dragoman resolve gateway.yaml

Exit status: 0 if all is well, 2 if a file is wrong (every problem is on standard error, with its
line and column), 1 for anything else.";

#[derive(Subcommand)]
enum Command {
    /// Write the complete Envoy bootstrap
    ///
    /// Prints the bootstrap, or with -o writes it to DIR/envoy.yaml, and beside it a file for each key
    /// that Envoy reads from a file, so that the key can be replaced while Envoy runs.
    #[command(after_help = ENVOY_HELP)]
    Envoy(EnvoyArgs),
    /// Check a gateway.yaml and say everything that is wrong with it
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Print the resolved document: JSON with every default filled in
    ///
    /// This is what the module is configured with. People who write their own Envoy YAML paste it as
    /// the `configuration` of the filter `dragoman.route`. There are no secrets in it.
    #[command(after_help = RESOLVE_HELP)]
    Resolve(FileArg),
    /// Say where a request would go and why, and print what each target would receive
    ///
    /// The decision is the gateway's own, as if all targets were well; nothing is sent.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// List the models of the built-in catalog
    ///
    /// What a gateway.yaml does not say of a model that is listed here is filled in from here; what it
    /// says wins.
    #[command(after_help = MODELS_HELP)]
    Models(ModelsArgs),
}

const ENVOY_HELP: &str = "\
Examples:
  dragoman envoy gateway.yaml > envoy.yaml
  dragoman envoy gateway.yaml -o run --module target/dragoman.wasm --admin 127.0.0.1:9901

Relative paths in the file begin at the file's directory. The keys of clients become part of the
bootstrap, which then is a secret itself: DIR/envoy.yaml is readable for its owner only.";

const CHECK_HELP: &str = "\
Examples:
  dragoman check gateway.yaml
  dragoman check --env gateway.yaml      where Envoy will run, with its environment
  generate-config | dragoman check -";

const RESOLVE_HELP: &str = "\
Examples:
  dragoman resolve gateway.yaml
  dragoman resolve gateway.yaml | jq .models";

const EXPLAIN_HELP: &str = "\
Examples:
  dragoman explain gateway.yaml --body request.json
  dragoman explain gateway.yaml --body - --header 'x-dragoman-require: images' < request.json";

const MODELS_HELP: &str = "\
Examples:
  dragoman models claude
  dragoman models --provider gemini --capability audio
  dragoman models gpt-6 --json | jq '.[].price'";

#[derive(Args)]
struct FileArg {
    /// The gateway.yaml to read; `-` is standard input
    file: PathBuf,
    /// Take nothing from the built-in catalog of models: only what the file says holds
    #[arg(long)]
    no_catalog: bool,
}

#[derive(Args)]
struct EnvoyArgs {
    #[command(flatten)]
    file: FileArg,
    /// Write envoy.yaml and the files of secrets into this directory
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The path of dragoman.wasm, as Envoy will see it [default: dragoman.wasm beside this command, if
    /// it is there, else /etc/dragoman/dragoman.wasm]
    #[arg(long, value_name = "PATH")]
    module: Option<String>,
    /// Give Envoy its admin interface at this address [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    /// The Unix socket of the server of the secrets that the file names by `sds`
    #[arg(long, value_name = "PATH", default_value = "/run/dragoman/sds.sock")]
    sds_socket: String,
}

#[derive(Args)]
struct CheckArgs {
    #[command(flatten)]
    file: FileArg,
    /// Also check what the file names: variables that must be set, files that must be readable
    #[arg(long)]
    env: bool,
    #[command(flatten)]
    clock: Clock,
}

#[derive(Args)]
struct ExplainArgs {
    #[command(flatten)]
    file: FileArg,
    /// The body of the request, as a client would send it; `-` is standard input
    #[arg(long, value_name = "REQUEST.json")]
    body: PathBuf,
    /// A header of the request; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    #[command(flatten)]
    clock: Clock,
}

#[derive(Args)]
struct ModelsArgs {
    /// Parts of the id that all must be in it
    #[arg(value_name = "FILTER")]
    words: Vec<String>,
    /// Only models of this kind of provider
    #[arg(long, value_name = "KIND")]
    provider: Option<String>,
    /// Only models that can do this; may be given several times
    #[arg(long = "capability", value_name = "CAPABILITY", value_parser = capability)]
    capabilities: Vec<String>,
    /// Everything that is known, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    clock: Clock,
}

#[derive(Args)]
struct Clock {
    /// The day to compare dates with, as in 2026-12-11 [default: today, UTC]
    #[arg(long, value_name = "DATE", value_parser = day)]
    today: Option<Date>,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the command is where the clock comes in")]
    fn today(&self) -> Date {
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.today.unwrap_or_else(|| Date::of(now()))
    }
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "expected a day, as in 2026-12-11".to_owned())
}

fn capability(text: &str) -> Result<String, String> {
    let known = || Capability::ALL.iter().map(|(name, _)| *name);
    if known().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    Err(config::document::unknown("capability", text, known()))
}

pub enum Failure {
    /// A file is wrong: its problems, rendered.
    File(String),
    Other(String),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let failed = usage.use_stderr();
            let _ = usage.print();
            // Not clap's own 2, which here says that a file is wrong.
            return if failed { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
        Command::Envoy(args) => write_bootstrap(&args),
        Command::Check(args) => check(&args),
        Command::Resolve(args) => load(&args).and_then(|loaded| print(&config::to_json(&loaded.config))),
        Command::Explain(args) => explain(&args),
        Command::Models(args) => models(&args),
    };
    let (message, status) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::File(problems)) => (problems, 2),
        Err(Failure::Other(message)) => (format!("error: {message}\n"), 1),
    };
    let _ = std::io::stderr().write_all(message.as_bytes());
    ExitCode::from(status)
}

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let Loaded { config, document, unknown } = load(&args.file)?;
    if args.env {
        let problems = check::environment(&config, &base(&args.file.file)?);
        if !problems.is_empty() {
            return Err(Failure::File(read::render(&Problems(problems), &display(&args.file.file))));
        }
    }
    let file = display(&args.file.file);
    let warnings = dates::warnings(&config, &document, args.clock.today());
    let notes = check::unknown_models(&unknown, &config, &document);
    let remarks = read::render_as("warning", &warnings, &file) + &read::render_as("note", &notes, &file);
    let _ = std::io::stderr().write_all(remarks.as_bytes());
    let warned = match warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        count => format!(", {count} warnings"),
    };
    let (providers, models, routes) = (config.providers.len(), config.models.len(), config.routes.len());
    print(&format!("{file}: no problems{warned} (providers: {providers}, models: {models}, routes: {routes})\n"))
}

fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let router = Router::new(load(&args.file)?.config);
    let body = read_file(&args.body)?;
    let headers = explain::headers(&args.headers)?;
    print(&explain::explain(&router, body.trim_end().as_bytes(), &headers, args.clock.today())?)
}

fn models(args: &ModelsArgs) -> Result<(), Failure> {
    let catalog = catalog()?;
    if let Some(kind) = &args.provider
        && !catalog.kinds().contains(&kind.as_str())
    {
        return Err(Failure::Other(config::document::unknown("provider", kind, catalog.kinds().into_iter())));
    }
    let selection =
        catalog::Selection { provider: args.provider.as_deref(), capabilities: &args.capabilities, words: &args.words };
    match catalog::list(&catalog, &selection, args.json, args.clock.today()) {
        Some(text) => print(&text),
        None => Err(Failure::Other("the catalog has no such model".to_owned())),
    }
}

fn catalog() -> Result<Catalog, Failure> {
    Catalog::load().map_err(|problems| Failure::Other(format!("the built-in catalog: {problems}")))
}

/// Whom requests for the first route go to first.
fn first_provider(config: &Config) -> Option<usize> {
    let route = config.routes.first().and_then(|route| route.variants.first()?.targets.first());
    config.models.get(route.map_or(0, |target| target.model)).map(|model| model.provider)
}

fn write_bootstrap(args: &EnvoyArgs) -> Result<(), Failure> {
    let Loaded { mut config, .. } = load(&args.file)?;
    config.usual_provider = config.usual_provider.or_else(|| first_provider(&config));
    let base = base(&args.file.file)?;
    let keys = match &config.clients {
        Clients::Keys { file } => keys::load(Path::new(&envoy::absolute(&base, file)))?,
        Clients::Local | Clients::Open => Vec::new(),
    };
    let output = match &args.output {
        Some(directory) => Some(std::path::absolute(directory).map_err(|error| io(directory, &error))?),
        None => None,
    };
    let setting = envoy::Setting {
        module: args.module.clone().unwrap_or_else(default_module),
        admin: args.admin,
        keys,
        base,
        sds_socket: args.sds_socket.clone(),
        sds: output.as_ref().map(|directory| directory.join("sds")),
    };
    let bootstrap = envoy::bootstrap(&config, &setting);
    let Some(directory) = output else { return print(&bootstrap.yaml) };

    let mut wrote = String::new();
    let mut write = |path: PathBuf, text: &str, mode: u32| {
        write_file(&path, text, mode).map_err(|error| io(&path, &error))?;
        wrote.push_str(&format!("wrote {}\n", path.display()));
        Ok(())
    };
    // The files first: an Envoy that sees the bootstrap finds them.
    if let Some(sds) = &setting.sds {
        for (name, text) in &bootstrap.secrets {
            write(sds.join(name), text, 0o644)?;
        }
    }
    let mode = if setting.keys.is_empty() { 0o644 } else { 0o600 };
    write(directory.join("envoy.yaml"), &bootstrap.yaml, mode)?;
    print(&wrote)
}

fn default_module() -> String {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("dragoman.wasm")));
    match beside {
        Some(path) if path.is_file() => path.to_string_lossy().into_owned(),
        _ => "/etc/dragoman/dragoman.wasm".to_owned(),
    }
}

struct Loaded {
    config: Config,
    /// With what the catalog knows of its models.
    document: Node,
    /// Of which it knows nothing.
    unknown: Vec<catalog::Unknown>,
}

fn load(args: &FileArg) -> Result<Loaded, Failure> {
    let file = args.file.as_path();
    let text = read_file(file)?;
    let problems = |problems: Problems| Failure::File(read::render(&problems, &display(file)));
    let mut document = read::yaml(&text).map_err(problems)?;
    let unknown = if args.no_catalog { Vec::new() } else { catalog::fill(&catalog()?, &mut document) };
    let config = config::resolve(&document).map_err(problems)?;
    Ok(Loaded { config, document, unknown })
}

pub fn read_file(file: &Path) -> Result<String, Failure> {
    // A configuration is a few kilobytes; a device or a log would never end.
    const LARGEST: u64 = 16 << 20;
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(LARGEST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LARGEST).read_to_end(&mut bytes))
    };
    read.map_err(|error| io(file, &error))?;
    String::from_utf8(bytes).map_err(|_| Failure::Other(format!("{}: this is not UTF-8 text", display(file))))
}

/// Where relative paths of the file begin.
fn base(file: &Path) -> Result<PathBuf, Failure> {
    let directory = match file.parent() {
        Some(parent) if file != Path::new("-") && parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    directory.canonicalize().map_err(|error| io(directory, &error))
}

fn display(file: &Path) -> String {
    if file == Path::new("-") { "<stdin>".to_owned() } else { file.display().to_string() }
}

fn io(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Other(format!("{}: {error}", display(path)))
}

/// In one step, so that nobody reads half a file, and a directory that is watched sees the change.
fn write_file(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
