//! The listener: connection manager, filters, and the routes that the decision of the route stage
//! selects from.

use std::time::Duration;

use dragoman::config::{self, BESIDE_BODY};
use dragoman::endpoint::{self, Page};

use crate::yaml::{Map, Yaml};

use super::{Generator, REQUEST, STOP, extension, log, replies, seconds, socket_address};

const API_KEY_AUTH: &str = "envoy.filters.http.api_key_auth";

impl Generator<'_> {
    pub fn listener(&self) -> Map {
        let listen = &self.config.listen;
        let manager = extension(
            "envoy.filters.network.http_connection_manager",
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            self.connection_manager(),
        );
        Map::new()
            .with("name", "dragoman")
            .with("address", socket_address(&std::net::SocketAddr::new(listen.host, listen.port)))
            .note(
                "Whole requests and whole answers are held, also by the attempts: this limit is theirs, too.\n\
                 limits.body and 16 MiB: a prompt may be longer in a provider's format.",
            )
            .with("per_connection_buffer_limit_bytes", self.config.limits.body.saturating_add(BESIDE_BODY))
            .with("filter_chains", [Map::new().with("filters", [manager])])
    }

    fn connection_manager(&self) -> Map {
        Map::new()
            .with("stat_prefix", "dragoman")
            .with("codec_type", "AUTO")
            .note("Clients are not told which software answers, here or at the provider (see also the routes).")
            .with("server_header_transformation", "PASS_THROUGH")
            .with("always_set_request_id_in_response", true)
            .note("Clients talk to this Envoy directly: what they say about themselves is not believed.")
            .with("use_remote_address", true)
            .with("normalize_path", true)
            .with("merge_slashes", true)
            .note("Names of models may hold a slash, which clients escape; no rule here looks at parts of a path.")
            .with("path_with_escaped_slashes_action", "KEEP_UNCHANGED")
            .with(
                "common_http_protocol_options",
                Map::new().with("idle_timeout", "3600s").with("headers_with_underscores_action", "DROP_HEADER"),
            )
            .note("Windows that let a long prompt through without waiting, and do not let one client fill the memory.")
            .with(
                "http2_protocol_options",
                Map::new()
                    .with("max_concurrent_streams", 128u64)
                    .with("initial_stream_window_size", 1_048_576u64)
                    .with("initial_connection_window_size", 4_194_304u64),
            )
            .note("Until a request is complete: headers at once, all of it in five minutes.")
            .with("request_headers_timeout", "10s")
            .with("stream_idle_timeout", "60s")
            .with("request_timeout", "300s")
            .note("Errors have the shape of OpenAI's, whoever answers.")
            .with("local_reply_config", replies::local_reply_config())
            .with("access_log", log::access_log())
            .with("route_config", self.routes())
            .with("http_filters", self.filters())
    }

    fn filters(&self) -> Vec<Map> {
        let mut filters = Vec::new();
        if !self.setting.keys.is_empty() {
            filters.push(self.api_key_auth());
        }
        let document = config::to_json(self.config);
        filters.push(self.stage("route", Yaml::Text(document.trim_end().to_owned())));
        let router =
            Map::new().note("Providers are told nothing about this Envoy.").with("suppress_envoy_headers", true);
        filters.push(extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", router));
        filters
    }

    fn api_key_auth(&self) -> Map {
        let credential =
            |(client, key): &(String, String)| Map::new().with("client", client.as_str()).with("key", key.as_str());
        let credentials: Vec<_> = self.setting.keys.iter().map(credential).collect();
        let config = Map::new()
            .with("key_sources", [Map::new().with("header", "authorization")])
            .note("A client's key goes no further than this.")
            .with("forwarding", Map::new().with("hide_credentials", true))
            .with("credentials", credentials);
        extension(API_KEY_AUTH, "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth", config)
    }

    fn routes(&self) -> Map {
        let host = Map::new()
            .with("name", "dragoman")
            .with("domains", ["*"])
            .with("routes", self.open_pages().into_iter().chain([self.attempts()]).collect::<Vec<_>>());
        Map::new().with("name", "dragoman").with("response_headers_to_remove", ["server"]).with("virtual_hosts", [host])
    }

    /// What a load balancer asks for, which has no key.
    fn open_pages(&self) -> Vec<Map> {
        if self.setting.keys.is_empty() {
            return Vec::new();
        }
        let open = endpoint::PAGES.iter().filter(|(_, page)| *page != Page::Status);
        let route = |(path, _): &(&str, Page)| {
            let off = Map::new()
                .with("@type", "type.googleapis.com/envoy.config.route.v3.FilterConfig")
                .with("disabled", true);
            Map::new()
                .note_if(*path == "/healthz", "Load balancers and orchestrators have no key.")
                .with("name", path.trim_start_matches('/'))
                .with("match", Map::new().with("path", *path))
                .with("route", Map::new().with("cluster", STOP))
                .with("typed_per_filter_config", Map::new().with(API_KEY_AUTH, off))
        };
        open.map(route).collect()
    }

    /// Between two attempts: `limits.retry_after`, which the attempt stage gives Envoy in whole seconds,
    /// rounded up.
    fn longest_wait(&self) -> Duration {
        Duration::from_secs(self.config.limits.retry_after.as_secs().saturating_add(1))
    }

    /// Every attempt silent for as long as it may be.
    fn backstop(&self, silence: Duration) -> Duration {
        silence.saturating_add(self.longest_wait()).saturating_mul(self.config.limits.attempts)
    }

    /// What the route stage has a plan for; all else it answers itself.
    fn attempts(&self) -> Map {
        // Not `per_try_idle_timeout`: Envoy drops it when the limit of the first token has passed, also of
        // an answer that has begun.
        let idle = self.config.limits.idle.max(self.backstop(self.config.longest_try()));
        let route = Map::new()
            .note(
                "The cluster that the stages have chosen for this attempt. Where the route stage chooses the usual one, it\n\
                 says nothing, so that Envoy has not to choose the route again.",
            )
            .with("inline_cluster_specifier_plugin", self.cluster_specifier())
            .with("timeout", "0s")
            .note(
                "Limits are per attempt, and the route stage itself ends a stream that stands still. This is a\n\
                 backstop: every attempt silent for as long as it may be.",
            )
            .with("idle_timeout", seconds(idle))
            .with("retry_policy", self.retry_policy(self.config.longest_try()));
        Map::new().with("name", "attempts").with("match", Map::new().with("prefix", "/")).with("route", route)
    }

    fn cluster_specifier(&self) -> Map {
        let action = |cluster: &str| {
            let action = extension(
                "cluster",
                "envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction",
                Map::new().with("cluster", cluster),
            );
            Map::new().with("action", action)
        };
        let mut clusters = Map::new();
        for provider in &self.config.providers {
            clusters = clusters.with(&format!("{}#", provider.name), action(&provider.name));
        }
        clusters = clusters.with(&format!("{STOP}#"), action(STOP));
        let input = extension(
            "cluster",
            "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput",
            Map::new().with("key", REQUEST),
        );
        let tree = Map::new().with("input", input).with("prefix_match_map", Map::new().with("map", clusters));
        let usual = self.config.usual().map_or(STOP, |provider| &provider.name);
        let matcher = Map::new().with("matcher_tree", tree).with("on_no_match", action(usual));
        let specifier = extension(
            "envoy.router.cluster_specifier_plugin.matcher",
            "envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier",
            Map::new().with("cluster_matcher", matcher),
        );
        Map::new().with("extension", specifier)
    }

    fn retry_policy(&self, per_try_timeout: Duration) -> Map {
        let marker = Map::new().with("name", "x-dragoman-retry").with("present_match", true);
        let retry_after = Map::new().with("name", "retry-after").with("format", "SECONDS");
        Map::new()
            .note("The attempt stage decides what is worth another attempt, and says so with a header of its own.")
            .with("retry_on", "retriable-headers,reset,connect-failure")
            .with("retriable_headers", [marker])
            .with("num_retries", u64::from(self.config.limits.attempts.saturating_sub(1)))
            .note("Every attempt may go to another provider.")
            .with("refresh_cluster_on_retry", true)
            .with("retry_back_off", Map::new().with("base_interval", "0.025s").with("max_interval", "0.25s"))
            .with(
                "rate_limited_retry_back_off",
                Map::new().with("reset_headers", [retry_after]).with("max_interval", seconds(self.longest_wait())),
            )
            .note("The longest of all models; the route stage says so where a request's models, or its stream, have less.")
            .with("per_try_timeout", seconds(per_try_timeout))
    }
}
