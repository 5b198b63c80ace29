//! What the repository says about itself is true: the README's tables, and which way modules depend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use dragoman::endpoint::{ENDPOINTS, PAGES};
use dragoman::metrics;
use dragoman::provider::{Auth, KINDS};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The cells of the table under a header row.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let rows = text.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.take_while(|row| row.starts_with('|')).map(cells).collect()
}

#[test]
fn the_readme_lists_every_kind_of_provider_and_no_other() {
    let actual: Vec<Vec<String>> = KINDS
        .iter()
        .map(|kind| {
            let auth = match kind.auth {
                Auth::Bearer => "authorization: Bearer",
                Auth::Header(name) => name,
                Auth::Aws(_) => "aws-sigv4",
            };
            let code = |cell: &str| format!("`{cell}`");
            let url = if kind.url.is_empty() { "your own".to_owned() } else { code(kind.url) };
            vec![code(kind.name), kind.translator.api().to_owned(), url, code(auth)]
        })
        .collect();
    assert_eq!(table(&readme(), "| provider kind"), actual);
}

#[test]
fn the_readme_lists_every_endpoint_and_no_other() {
    let mut actual: Vec<String> = ENDPOINTS.iter().map(|endpoint| format!("`POST {}`", endpoint.path())).collect();
    actual.push(format!("`GET {}`", dragoman::endpoint::models::PATH));
    let listed: Vec<String> = table(&readme(), "| client API").into_iter().map(|mut row| row.remove(0)).collect();
    assert_eq!(listed, actual);
}

#[test]
fn every_kind_of_provider_has_golden_conversations() {
    for kind in KINDS {
        let folder = root().join("tests/golden").join(kind.name);
        assert!(fs::read_dir(&folder).is_ok_and(|mut cases| cases.next().is_some()), "{}", folder.display());
    }
}

fn operations() -> String {
    fs::read_to_string(root().join("docs/operations.md")).unwrap()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_operators_guide_lists_every_metric_with_its_labels() {
    let families = metrics::FAMILIES.iter().map(|family| {
        let labels: Vec<_> = family.scope.labels().iter().chain(family.labels).copied().collect();
        vec![format!("`{}`", family.name), family.kind.name().to_owned(), list(&labels), family.help.to_owned()]
    });
    assert_eq!(table(&operations(), "| metric"), families.collect::<Vec<_>>());
    let labels = metrics::labels().into_iter().map(|label| (label, metrics::values(label)));
    let labels = labels.filter(|(_, values)| !values.is_empty());
    let labels: Vec<_> = labels.map(|(label, values)| vec![format!("`{label}`"), list(&values)]).collect();
    assert_eq!(table(&operations(), "| label"), labels);
}

#[test]
fn the_operators_guide_lists_every_page() {
    let pages: Vec<String> = PAGES.iter().map(|(path, _)| format!("`GET {path}`")).collect();
    let listed: Vec<String> = table(&operations(), "| path").into_iter().map(|mut row| row.remove(0)).collect();
    assert_eq!(listed, pages);
}

/// Series of a histogram have endings of their own.
#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let text = fs::read_to_string(root().join("envoy/grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 5);
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let names =
        text.split(|char| !is_name(char)).filter(|word| word.starts_with("dragoman_") || word.starts_with("gen_ai_"));
    let mut shown = Vec::new();
    for name in names {
        let family = metrics::FAMILIES.iter().find(|family| match family.kind {
            metrics::Kind::Histogram => name.strip_suffix("_bucket") == Some(family.name),
            _ => name == family.name,
        });
        shown.push(family.unwrap_or_else(|| panic!("there is no metric {name}")).name);
    }
    for family in ["dragoman_requests_total", "dragoman_cost_microdollars_total", "dragoman_breaker_state"] {
        assert!(shown.contains(&family), "{family} is not shown");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Endpoints and providers know only the hub; only the shell knows proxy-wasm.
#[test]
fn modules_depend_in_one_direction() {
    let rules = [
        ("src/endpoint", "crate::provider"),
        ("src/endpoint", "crate::route"),
        ("src/provider", "crate::endpoint"),
        ("src/provider", "crate::config"),
        ("src/provider", "crate::route"),
        ("src/chat", "crate::provider"),
        ("src/chat", "crate::stream"),
        ("src/config", "crate::route"),
        ("src/config", "crate::attempt"),
    ];
    for (folder, forbidden) in rules {
        for file in sources(&root().join(folder)) {
            assert!(!code(&file).contains(forbidden), "{} uses {forbidden}", file.display());
        }
    }
    let shell = root().join("src/host");
    for file in sources(&root().join("src")).iter().filter(|file| !file.starts_with(&shell)) {
        assert!(!code(file).contains("proxy_wasm"), "{} names proxy_wasm", file.display());
    }
}

/// A source file without its comments, which may point anywhere.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
