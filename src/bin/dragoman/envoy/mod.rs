//! The complete bootstrap of the Envoy that a configuration needs, as YAML with comments.
//!
//! What stands here is what the two stages rely on; the reasons are in the comments of the generated
//! file, for its readers. Whatever is not needed, or is Envoy's default, is left out.

mod cluster;
mod listener;
mod log;
mod replies;
mod stats;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dragoman::config::Config;

use crate::yaml::{self, Map, Yaml};

/// The cluster without endpoints: see its comment in [`cluster`].
const STOP: &str = "dragoman_stop";
/// What the stages say of a request: where its next attempt goes (`openai#18f3a-17`), and in the end its line for the
/// access log.
const REQUEST: &str = "wasm.dragoman.request";

/// What the bootstrap depends on beside the configuration.
pub struct Setting {
    /// The path of dragoman.wasm as Envoy sees it.
    pub module: String,
    pub admin: Option<SocketAddr>,
    /// From the names of clients to their keys.
    pub keys: Vec<(String, String)>,
    /// Where relative paths in the configuration begin.
    pub base: PathBuf,
    /// The directory of the file-SDS resources, absolute; without it the bootstrap is one file.
    pub sds: Option<PathBuf>,
    /// Where the server of secrets listens.
    pub sds_socket: String,
}

pub struct Bootstrap {
    pub yaml: String,
    /// Names and contents of the files that belong into [`Setting::sds`].
    pub secrets: Vec<(String, String)>,
}

pub fn bootstrap(config: &Config, setting: &Setting) -> Bootstrap {
    let generator = Generator { config, setting };
    let (secrets, files) = generator.secrets();
    let resources = Map::new().with("listeners", [generator.listener()]).with("clusters", generator.clusters());
    let resources = if secrets.is_empty() { resources } else { resources.with("secrets", secrets) };
    // Bytes: seconds after the start all is given back, and what a busy gateway frees and takes again costs little.
    const RELEASED_AT_ONCE: u64 = 4 << 20;
    let document = Map::new()
        .note("Files of secrets are only watched for a node that has a name.")
        .with("node", Map::new().with("id", "dragoman").with("cluster", "dragoman"))
        .with_some("admin", setting.admin.map(|address| Map::new().with("address", socket_address(&address))))
        .with("static_resources", resources)
        .note("The module writes the labels of its metrics into their names; from there they become labels again.")
        .with("stats_config", stats::stats_config())
        .note("Without a limit, connections that do nothing can use up the file descriptors.")
        .with("overload_manager", overload_manager())
        .note("V8 compiles the module at the start, and Envoy would keep what that took for ever.")
        .with(
            "memory_allocator_manager",
            Map::new().with("bytes_to_release", RELEASED_AT_ONCE).with("memory_release_interval", "1s"),
        );
    let head = "The Envoy bootstrap of a Dragoman gateway, written by `dragoman envoy`.\n\
                Do not edit it: change gateway.yaml and write it again. It needs Envoy 1.40 or later.";
    Bootstrap { yaml: yaml::write(head, &document), secrets: files }
}

struct Generator<'a> {
    config: &'a Config,
    setting: &'a Setting,
}

impl Generator<'_> {
    /// One of the two stages: the same module in the same VM, told apart by its root id.
    fn stage(&self, root_id: &str, configuration: Yaml) -> Map {
        let name = format!("dragoman.{root_id}");
        let code = Map::new().with("local", Map::new().with("filename", self.setting.module.as_str()));
        let vm = Map::new().with("vm_id", "dragoman").with("runtime", "envoy.wasm.runtime.v8").with("code", code);
        let first = root_id == "route";
        let config = Map::new()
            .with("name", name.as_str())
            .with("root_id", root_id)
            .with("vm_config", vm)
            .note_if(first, "Headers are held back until the body has been read.")
            .with("allow_on_headers_stop_iteration", true)
            .note_if(first, "Should the module ever crash, it is started again.")
            .with("failure_policy", "FAIL_RELOAD")
            .with(
                "configuration",
                Map::new()
                    .with("@type", "type.googleapis.com/google.protobuf.StringValue")
                    .with("value", configuration),
            );
        extension(&name, "envoy.extensions.filters.http.wasm.v3.Wasm", Map::new().with("config", config))
    }

    /// A path of the configuration, as Envoy is to open it.
    fn path(&self, path: &str) -> String {
        absolute(&self.setting.base, path)
    }
}

pub fn absolute(base: &Path, path: &str) -> String {
    base.join(path).to_string_lossy().into_owned()
}

/// `name` and `typed_config`, which is what every extension of Envoy is configured with.
fn extension(name: &str, message: &str, config: Map) -> Map {
    let mut typed = Map::new().with("@type", format!("type.googleapis.com/{message}"));
    typed.append(config);
    Map::new().with("name", name).with("typed_config", typed)
}

/// A filter of requests by the status that was sent.
fn status(op: &str, status: u64) -> Map {
    // The runtime key is required by the API; nothing ever sets it.
    let value = Map::new().with("default_value", status).with("runtime_key", format!("dragoman.reply_{status}"));
    Map::new().with("status_code_filter", Map::new().with("comparison", Map::new().with("op", op).with("value", value)))
}

/// A filter of requests by whatever Envoy's expressions (CEL) can ask.
fn expression(text: &str) -> Map {
    let filter = extension(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        Map::new().with("expression", text),
    );
    Map::new().with("extension_filter", filter)
}

fn socket_address(address: &SocketAddr) -> Map {
    host_and_port(&address.ip().to_string(), address.port())
}

fn host_and_port(host: &str, port: u16) -> Map {
    Map::new().with("socket_address", Map::new().with("address", host).with("port_value", u64::from(port)))
}

fn seconds(duration: Duration) -> String {
    let seconds = format!("{}.{:03}", duration.as_secs(), duration.subsec_millis());
    format!("{}s", seconds.trim_end_matches('0').trim_end_matches('.'))
}

fn overload_manager() -> Map {
    let monitor = extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        Map::new().with("max_active_downstream_connections", 50_000u64),
    );
    Map::new().with("resource_monitors", [monitor])
}
