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

use dragoman::endpoint::ENDPOINTS;
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
