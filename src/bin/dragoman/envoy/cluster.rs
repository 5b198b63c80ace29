//! A cluster for each provider, with its TLS, its filters and the secret that its requests carry.

use std::path::Path;

use dragoman::config::{BESIDE_BODY, Credential, Provider, Scheme};
use dragoman::provider::Auth;

use crate::yaml::{self, Map};

use super::{Generator, STOP, extension, host_and_port};

const SDS: &str = "dragoman_sds";
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where nothing listens: `tcpmux`, which nobody has served in decades.
const REFUSED: (&str, u16) = ("127.0.0.1", 1);

impl Generator<'_> {
    pub fn clusters(&self) -> Vec<Map> {
        let stop = Map::new()
            .note(
                "A cluster without endpoints. The attempt stage cannot end Envoy's retries after a reset or a timeout,\n\
                 but an attempt that is sent here ends them at once; the route stage then answers.",
            )
            .with("name", STOP)
            .with("type", "STATIC");
        let cluster = |(index, provider)| self.cluster(provider, index == 0);
        self.config.providers.iter().enumerate().map(cluster).chain([stop]).chain(self.secret_server()).collect()
    }

    /// Comments stand in the `first` one only.
    fn cluster(&self, provider: &Provider, first: bool) -> Map {
        let address = provider.url.address();
        let mut cluster = Map::new().with("name", provider.name.as_str());
        cluster = match address {
            Some(_) => cluster.with("type", "STATIC"),
            None => cluster.with("type", "STRICT_DNS").with("dns_lookup_family", "V4_PREFERRED"),
        };
        cluster
            .with("connect_timeout", "5s")
            .with("load_assignment", load_assignment(provider, first))
            .note_if(
                first,
                "Far above what is ever reached. By Envoy's defaults only three retries may be under way to a cluster,\n\
                 so that most requests of an outage would not fail over; long streams use up 1,024 connections, too.",
            )
            .with("circuit_breakers", circuit_breakers())
            .note_if(first, "limits.body and 16 MiB: a prompt may be longer in this provider's format, and answers are held here.")
            .with("per_connection_buffer_limit_bytes", self.config.limits.body.saturating_add(BESIDE_BODY))
            .with_some("transport_socket", (provider.url.scheme == Scheme::Https).then(|| self.tls(provider, first)))
            .with(
                "typed_extension_protocol_options",
                Map::new().with("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", self.protocol(provider, first)),
            )
    }

    fn tls(&self, provider: &Provider, first: bool) -> Map {
        let host = provider.url.host.as_str();
        let (kind, sni) = match provider.url.address() {
            Some(_) => ("IP_ADDRESS", None),
            None => ("DNS", Some(host)),
        };
        let ca = provider.ca.as_ref().map_or_else(|| SYSTEM_CA.to_owned(), |ca| self.path(ca));
        let name = Map::new().with("san_type", kind).with("matcher", Map::new().with("exact", host));
        let validation = Map::new()
            .with("trusted_ca", Map::new().with("filename", ca))
            .note_if(first, "Not only some certificate of a known authority: this host's.")
            .with("match_typed_subject_alt_names", [name]);
        let params = Map::new().with("tls_minimum_protocol_version", "TLSv1_2");
        let common = Map::new().with("tls_params", params).with("validation_context", validation);
        extension(
            "envoy.transport_sockets.tls",
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            Map::new().with_some("sni", sni).with("common_tls_context", common),
        )
    }

    fn protocol(&self, provider: &Provider, first: bool) -> Map {
        let options =
            Map::new().with("@type", "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
        let options = match provider.url.scheme {
            Scheme::Https => {
                options.note_if(first, "HTTP/2 where the provider offers it.").with("auto_config", Map::new())
            }
            Scheme::Http => options.with("explicit_http_config", Map::new().with("http_protocol_options", Map::new())),
        };
        // Byte for byte the same in all clusters: filters that differ would each get a root context of
        // their own in every VM.
        let mut filters = vec![self.stage("attempt", "{}".into())];
        filters.extend(self.credential_injector(provider).or_else(|| request_signing(provider)));
        filters.push(extension(
            "envoy.filters.http.upstream_codec",
            "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
            Map::new(),
        ));
        options.with("http_filters", filters)
    }

    /// Behind the attempt stage, so that no key is ever seen by the module.
    fn credential_injector(&self, provider: &Provider) -> Option<Map> {
        let secret = self.secret_reference(provider)?;
        let generic = Map::new().with("credential", secret);
        let generic = match provider.auth {
            // Bedrock's API keys are bearer tokens.
            Auth::Bearer | Auth::Aws(_) => {
                generic.with("header", "authorization").with("header_value_prefix", "Bearer ")
            }
            Auth::Header(name) => generic.with("header", name),
        };
        let credential = extension(
            "envoy.http.injected_credentials.generic",
            "envoy.extensions.http.injected_credentials.generic.v3.Generic",
            generic,
        );
        Some(extension(
            "envoy.filters.http.credential_injector",
            "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            Map::new().with("overwrite", true).with("credential", credential),
        ))
    }

    fn secret_reference(&self, provider: &Provider) -> Option<Map> {
        let version = |config: Map| config.with("resource_api_version", "V3");
        let (name, source) = match (&provider.credential, &self.setting.sds) {
            (Credential::None | Credential::Aws, _) => return None,
            (Credential::Env(_), _) | (Credential::File(_), None) => (provider.name.as_str(), None),
            (Credential::File(_), Some(directory)) => {
                let path = directory.join(file_name(provider)).to_string_lossy().into_owned();
                let directory = Map::new().with("path", directory.to_string_lossy().into_owned());
                let source = Map::new().with("path", path).with("watched_directory", directory);
                (provider.name.as_str(), Some(version(Map::new().with("path_config_source", source))))
            }
            (Credential::Sds(name), _) => {
                // Not `ads`: Envoy 1.40 crashes at the start on one in a filter of a static cluster.
                let service = Map::new().with("envoy_grpc", Map::new().with("cluster_name", SDS));
                let source = Map::new()
                    .with("api_type", "GRPC")
                    .with("transport_api_version", "V3")
                    .with("grpc_services", [service]);
                (name.as_str(), Some(version(Map::new().with("api_config_source", source))))
            }
        };
        Some(Map::new().with("name", name).with_some("sds_config", source))
    }

    /// The server of secrets, if any provider's is served.
    fn secret_server(&self) -> Option<Map> {
        let served = |provider: &Provider| matches!(provider.credential, Credential::Sds(_));
        if !self.config.providers.iter().any(served) {
            return None;
        }
        let address = Map::new().with("pipe", Map::new().with("path", self.setting.sds_socket.as_str()));
        let endpoint = Map::new().with("endpoint", Map::new().with("address", address));
        let load_assignment =
            Map::new().with("cluster_name", SDS).with("endpoints", [Map::new().with("lb_endpoints", [endpoint])]);
        let options = Map::new()
            .with("@type", "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
            .with("explicit_http_config", Map::new().with("http2_protocol_options", Map::new()));
        Some(
            Map::new()
                .note("The server (SDS) of the secrets that are named by `sds`.")
                .with("name", SDS)
                .with("type", "STATIC")
                .with("load_assignment", load_assignment)
                .with(
                    "typed_extension_protocol_options",
                    Map::new().with("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", options),
                ),
        )
    }

    /// The secrets of the bootstrap, and the files of those that Envoy is to read again.
    pub fn secrets(&self) -> (Vec<Map>, Vec<(String, String)>) {
        let mut secrets = Vec::new();
        let mut files = Vec::new();
        for provider in &self.config.providers {
            let secret = |source: Map| {
                Map::new()
                    .with("name", provider.name.as_str())
                    .with("generic_secret", Map::new().with("secret", source))
            };
            match (&provider.credential, &self.setting.sds) {
                (Credential::None | Credential::Aws | Credential::Sds(_), _) => {}
                (Credential::Env(name), _) => {
                    secrets.push(secret(Map::new().with("environment_variable", name.as_str())));
                }
                (Credential::File(path), None) => {
                    let source = Map::new()
                        .note(
                            "Read once, at the start. To have it read again when it changes: `dragoman envoy -o DIR`.",
                        )
                        .with("filename", self.path(path));
                    secrets.push(secret(source));
                }
                (Credential::File(path), Some(_)) => {
                    files.push((file_name(provider), resource(provider, &self.path(path))));
                }
            }
        }
        (secrets, files)
    }
}

/// Behind the attempt stage, so that what is signed is what is sent. Of headers only the type of the body is
/// signed beside what has to be (`host`, `x-amz-*`), as AWS's own SDKs do: whatever Envoy or a proxy on the way
/// adds or changes later, a signature stays right. The path is signed as it stands, with its percent signs
/// encoded once more (SigV4, canonical URI), which is why ids are encoded in it exactly once.
fn request_signing(provider: &Provider) -> Option<Map> {
    let (Credential::Aws, Auth::Aws(service)) = (&provider.credential, provider.kind.auth) else { return None };
    let region = provider.region.as_deref().unwrap_or_default();
    let signing = Map::new()
        .with("service_name", service)
        .with("region", region)
        .with("match_included_headers", [Map::new().with("exact", "content-type")]);
    Some(extension(
        "envoy.filters.http.aws_request_signing",
        "envoy.extensions.filters.http.aws_request_signing.v3.AwsRequestSigning",
        signing,
    ))
}

fn load_assignment(provider: &Provider, first: bool) -> Map {
    let url = &provider.url;
    let endpoint = |host: &str, port: u16| {
        let endpoint = Map::new().with("hostname", url.host.as_str()).with("address", host_and_port(host, port));
        [Map::new().with("endpoint", endpoint)]
    };
    let mut endpoints = vec![Map::new().with("lb_endpoints", endpoint(&url.host, url.port))];
    if url.address().is_none() {
        let (host, port) = REFUSED;
        endpoints.push(
            Map::new()
                .note_if(
                    first,
                    "The last resort, where nothing listens. A name that does not resolve leaves a cluster without hosts,\n\
                     which fails a request at once; a refused connection is tried again, elsewhere.",
                )
                .with("priority", 1u64)
                .with("lb_endpoints", endpoint(host, port)),
        );
    }
    Map::new().with("cluster_name", provider.name.as_str()).with("endpoints", endpoints)
}

fn circuit_breakers() -> Map {
    const NEVER: u64 = 100_000;
    let thresholds = Map::new()
        .with("max_connections", NEVER)
        .with("max_pending_requests", NEVER)
        .with("max_requests", NEVER)
        .with("max_retries", NEVER);
    Map::new().with("thresholds", [thresholds])
}

fn file_name(provider: &Provider) -> String {
    format!("{}.yaml", provider.name)
}

/// A static secret is never read again, whatever it watches; a resource in a file of its own is.
fn resource(provider: &Provider, path: &str) -> String {
    let directory = Path::new(path).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let source = Map::new()
        .with("filename", path)
        .note("Replace the key by moving a new file (or a link to it) over the old one.")
        .with("watched_directory", Map::new().with("path", directory));
    let resource = Map::new()
        .with("@type", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret")
        .with("name", provider.name.as_str())
        .with("generic_secret", Map::new().with("secret", source));
    let head = format!("Where Envoy finds the key of {}, written by `dragoman envoy`.", provider.name);
    yaml::write(&head, &Map::new().with("resources", [resource]))
}
