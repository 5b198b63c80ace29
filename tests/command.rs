//! The command from outside: the bootstrap it generates, what it writes, how it ends.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode, Yaml};

#[path = "support/expected.rs"]
mod expected;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn dragoman(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragoman"));
    command.args(arguments).current_dir(directory).env_remove("DRAGOMAN_TEST_KEY").output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory of its own for a test, empty.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory.canonicalize().unwrap()
}

const GATEWAY: &str = "
listen: 0.0.0.0:8443
clients: {keys: {file: clients.yaml}}
providers:
  openai: {credential: {file: keys/openai}}
  second: {kind: openai, url: 'https://[2001:db8::1]:8443/v1', ca: ca.pem, credential: {env: DRAGOMAN_TEST_KEY}}
  third: {kind: openai, credential: {sds: third-key}}
  local: {kind: openai, url: http://localhost:8000, credential: none}
models:
  a: {provider: openai, id: a, limits: {first_token: 90s, answer: 100s}}
  b: {provider: second, id: b}
limits: {first_token: 10s, answer: 50s, idle: 20s, attempts: 3, body: 1MiB}
";

fn gateway(name: &str) -> PathBuf {
    let directory = scratch(name);
    std::fs::write(directory.join("gateway.yaml"), GATEWAY).unwrap();
    std::fs::write(directory.join("clients.yaml"), "team-a: '0123456789abcdef'\nteam-b: 'fedcba9876543210'\n").unwrap();
    directory
}

#[test]
fn the_example_generates_the_committed_bootstrap() {
    let output = dragoman(Path::new(ROOT), &["envoy", "envoy/gateway.yaml", "--module", "/etc/dragoman/dragoman.wasm"]);
    expected::check(&Path::new(ROOT).join("envoy/envoy.yaml"), &stdout(&output));
}

#[test]
fn the_bootstrap_is_yaml_that_says_what_was_meant() {
    let directory = gateway("bootstrap");
    let output =
        stdout(&dragoman(&directory, &["envoy", "gateway.yaml", "--module", "/m.wasm", "--admin", "127.0.0.1:9901"]));
    let documents = Yaml::load_from_str(&output).unwrap();
    let [document] = documents.as_slice() else { panic!("one document") };
    assert_eq!(document["admin"]["address"]["socket_address"]["port_value"].as_integer(), Some(9901));

    let listener = &document["static_resources"]["listeners"][0];
    assert_eq!(listener["per_connection_buffer_limit_bytes"].as_integer(), Some(17 << 20));
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    let filters = manager["http_filters"].as_vec().unwrap();
    let names: Vec<_> = filters.iter().map(|filter| filter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["envoy.filters.http.api_key_auth", "dragoman.route", "envoy.filters.http.router"]);

    // What the module is configured with is what `resolve` prints, and where the route leads by itself.
    let configuration = filters[1]["typed_config"]["config"]["configuration"]["value"].as_str().unwrap();
    let resolved = stdout(&dragoman(&directory, &["resolve", "gateway.yaml"]));
    let usual = ",\n  \"usual_provider\": \"openai\"\n}";
    assert_eq!(configuration, [resolved.trim_end().strip_suffix("\n}").unwrap(), usual].concat());

    let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_vec().unwrap();
    let names: Vec<_> = routes.iter().map(|route| route["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["healthz", "readyz", "attempts"]);
    assert_eq!(routes[0]["route"]["cluster"].as_str(), Some("dragoman_stop"));
    let route = &routes[2]["route"];
    assert_eq!(route["retry_policy"]["num_retries"].as_integer(), Some(2));
    assert_eq!(route["retry_policy"]["per_try_timeout"].as_str(), Some("100s"));
    assert_eq!(route["idle_timeout"].as_str(), Some("318s"));
    let specifier = &route["inline_cluster_specifier_plugin"]["extension"]["typed_config"]["cluster_matcher"];
    let otherwise = &specifier["on_no_match"]["action"]["typed_config"]["cluster"];
    assert_eq!(otherwise.as_str(), Some("openai"));

    let clusters = document["static_resources"]["clusters"].as_vec().unwrap();
    let names: Vec<_> = clusters.iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["openai", "second", "third", "local", "dragoman_stop", "dragoman_sds"]);
    let ca = format!("{}/ca.pem", directory.display());
    let tls = &clusters[1]["transport_socket"]["typed_config"];
    let validation = &tls["common_tls_context"]["validation_context"];
    assert_eq!(validation["trusted_ca"]["filename"].as_str(), Some(ca.as_str()));
    assert_eq!(validation["match_typed_subject_alt_names"][0]["san_type"].as_str(), Some("IP_ADDRESS"));
    assert!(tls.as_mapping_get("sni").is_none());
}

#[test]
fn attempt_stages_are_the_same_in_all_clusters() {
    let directory = gateway("same");
    let output = stdout(&dragoman(&directory, &["envoy", "gateway.yaml"]));
    let stages: Vec<_> = output.split("- name: dragoman.attempt\n").skip(1).collect();
    let stages: Vec<_> = stages.iter().map(|text| text.split("        - name:").next().unwrap()).collect();
    assert_eq!(stages.len(), 4);
    assert!(stages.iter().all(|stage| *stage == stages[0]));
}

#[test]
fn a_directory_gets_files_of_secrets_and_keeps_client_keys_private() {
    use std::os::unix::fs::PermissionsExt;

    let directory = gateway("directory");
    let output = stdout(&dragoman(&directory, &["envoy", "gateway.yaml", "-o", "run"]));
    let run = directory.join("run");
    assert_eq!(output, format!("wrote {0}/sds/openai.yaml\nwrote {0}/envoy.yaml\n", run.display()));
    let mode = std::fs::metadata(run.join("envoy.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let secret = std::fs::read_to_string(run.join("sds/openai.yaml")).unwrap();
    let secret = &Yaml::load_from_str(&secret).unwrap()[0]["resources"][0];
    let source = &secret["generic_secret"]["secret"];
    assert_eq!(source["filename"].as_str(), Some(format!("{}/keys/openai", directory.display()).as_str()));
    assert_eq!(source["watched_directory"]["path"].as_str(), Some(format!("{}/keys", directory.display()).as_str()));
    let bootstrap = std::fs::read_to_string(run.join("envoy.yaml")).unwrap();
    assert!(bootstrap.contains(&format!("path: {}/sds/openai.yaml", run.display())));
}

#[test]
fn keys_of_clients_are_checked_and_never_repeated() {
    let directory = gateway("keys");
    std::fs::write(
        directory.join("clients.yaml"),
        "a: short-secret\nb: 'a-secret-of-b-that-is-long'\nc: 'a-secret-of-b-that-is-long'\nd: 12345678901234567\n'e e': 'a-secret with a space'\n",
    )
    .unwrap();
    let output = dragoman(&directory, &["envoy", "gateway.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let problems = stderr(&output).replace(&format!("{}/", directory.display()), "");
    assert!(!problems.contains("secret"), "{problems}");
    assert!(!problems.contains("123456"), "{problems}");
    for expected in [
        "error: a: the key is too short: it must have 16 characters at least\n  --> clients.yaml:1:4\n",
        "error: c: this is the key of b, too; every client has its own\n  --> clients.yaml:3:4\n",
        "error: d: expected a key: ",
        "error: [\"e e\"]: the name of a client is",
        "clients.yaml: 5 problems",
    ] {
        assert!(problems.contains(expected), "{expected}\nis not in\n{problems}");
    }
}

#[test]
fn the_environment_is_checked_on_demand() {
    let directory = gateway("environment");
    std::fs::create_dir(directory.join("keys")).unwrap();
    std::fs::write(directory.join("keys/openai"), "\n").unwrap();
    std::fs::write(directory.join("ca.pem"), "none").unwrap();
    assert!(dragoman(&directory, &["check", "gateway.yaml"]).status.success());
    let output = dragoman(&directory, &["check", "gateway.yaml", "--env"]);
    assert_eq!(output.status.code(), Some(2));
    let problems = stderr(&output).replace(&format!("{}/", directory.display()), "");
    for expected in [
        "error: providers.openai.credential.file: keys/openai is empty\n",
        "error: providers.second.credential.env: the variable DRAGOMAN_TEST_KEY is not set\n",
        "error: providers.second.ca: ca.pem has no certificate in it (it must be PEM)\n",
    ] {
        assert!(problems.contains(expected), "{expected}\nis not in\n{problems}");
    }
}

const DATES: &str = "
providers:
  openai: {credential: none}
  local: {kind: openai, url: 'http://localhost:8000', credential: none}
models:
  new: {provider: openai, id: gpt-6.1-sol}
  near: {provider: openai, id: gpt-6-sol, retires: 2026-12-11, replaced_by: new}
  past: {provider: openai, id: gpt-6-luna, retires: 2026-11-21}
  both: {provider: openai, id: gpt-6-astra, deprecated: 2026-10-01, retires: 2028-01-01, replaced_by: past}
  soon: {provider: openai, id: gpt-6.1-terra, deprecated: 2026-11-22, retires: 2027-01-21}
  later: {provider: openai, id: gpt-5.6, retires: 2027-01-21}
  'org/llama-4:8b': {provider: local, id: llama-4, context_window: 8192}
  known: {provider: local, id: llama-3, context_window: 8192, capabilities: [], price: {input: 0, output: 0}}
";

#[test]
fn dates_that_are_near_are_warned_of() {
    let directory = scratch("dates");
    std::fs::write(directory.join("gateway.yaml"), DATES).unwrap();
    let output = dragoman(&directory, &["check", "gateway.yaml", "--today", "2026-11-21"]);
    let remarks = stderr(&output) + &stdout(&output);
    expected::check(&Path::new(ROOT).join("tests/command/check.txt"), &remarks);

    let output = dragoman(&directory, &["check", "gateway.yaml", "--today", "2026-08-01"]);
    assert!(stdout(&output).contains("no problems (providers"), "{}", stderr(&output));
    let output = dragoman(&directory, &["check", "gateway.yaml", "--today", "tomorrow"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_catalog_is_listed_with_its_age_and_sources() {
    let list = |arguments: &[&str]| dragoman(Path::new(ROOT), &[&["models"], arguments].concat());
    let expected = |name: &str| Path::new(ROOT).join("tests/command").join(name);
    let today = ["--today", "2027-01-31"];
    let table = stdout(&list(&[&["claude", "5-5", "--capability", "image_urls"], &today[..]].concat()));
    expected::check(&expected("models.txt"), &table);
    expected::check(&expected("models.json"), &stdout(&list(&["--json", "--provider", "openai", "GPT-6", "sol"])));

    // The vendor's own date, and one that others tell.
    for (id, date) in [("gpt-5-2025-08-07", "  2026-12-11  "), ("claude-sonnet-4-5-20250929", "  2026-11-30?  ")] {
        let listed = stdout(&list(&[id]));
        assert!(listed.contains(date), "{listed}");
    }

    let all = stdout(&list(&[]));
    assert!(all.lines().count() > 100);
    for (arguments, message) in [
        (&["no-such-model"][..], "the catalog has no such model"),
        (&["--provider", "antropic"], "did you mean \"anthropic\"?"),
        (&["--capability", "tool"], "did you mean \"tools\"?"),
    ] {
        let output = list(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

#[test]
fn other_failures_end_with_one() {
    let directory = scratch("failures");
    for arguments in [&["check", "missing.yaml"][..], &["envoy"], &["nonsense"], &[]] {
        let output = dragoman(&directory, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    for arguments in [
        &["--help"][..],
        &["envoy", "--help"],
        &["check", "--help"],
        &["resolve", "--help"],
        &["models", "--help"],
        &["--version"],
    ] {
        assert!(dragoman(&directory, arguments).status.success(), "{arguments:?}");
    }
}

#[test]
fn a_request_is_explained_with_the_bytes_that_each_target_would_receive() {
    let directory = scratch("explain");
    std::fs::write(
        directory.join("gateway.yaml"),
        "providers:\n  openai: {credential: none}\n  anthropic: {credential: none}\n\
         models:\n  gpt: {provider: openai, id: gpt-x, capabilities: [tools]}\n  \
         claude: {provider: anthropic, id: claude-x, max_output: 100, price: {input: 5, output: 25}}\n\
         routes:\n  smart: {targets: [gpt, claude]}\n",
    )
    .unwrap();
    let body = r#"{"model":"smart","messages":[{"role":"user","content":"hi"}]}"#;
    std::fs::write(directory.join("request.json"), body).unwrap();
    let arguments = ["explain", "gateway.yaml", "--body", "request.json", "--today", "2026-11-21"];
    let told = stdout(&dragoman(&directory, &arguments));
    let needy = [&arguments[..], &["--header", "x-dragoman-require: images"]].concat();
    let images = stdout(&dragoman(&directory, &needy));
    expected::check(&Path::new(ROOT).join("tests/command/explain.txt"), &format!("{told}\n{images}"));
    let audio = [&arguments[..], &["--header", "x-dragoman-max-cost: 0.0000001"]].concat();
    let refused = dragoman(&directory, &audio);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("no amount of dollars"), "{}", stderr(&refused));
}
