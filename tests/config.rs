//! gateway.yaml, good and bad: what `valid` files resolve to, what is said about `invalid` ones, and
//! that no document, however broken, does worse than be refused.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/expected.rs"]
mod expected;

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(directory);
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|name| name == "yaml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Runs `dragoman resolve` beside the file: status, standard output, standard error.
fn resolve(file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dragoman"))
        .arg("resolve")
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn valid_files_resolve_and_resolving_again_changes_nothing() {
    for file in files("valid") {
        let (status, resolved, problems) = resolve(&file);
        assert_eq!((status, problems.as_str()), (Some(0), ""), "{}", file.display());
        expected::check(&file.with_extension("json"), &resolved);
        let config = dragoman::config::from_json(resolved.as_bytes()).unwrap();
        assert_eq!(dragoman::config::to_json(&config), resolved, "{}", file.display());
    }
}

/// A resolved document is a document: what the catalog filled in is not filled in again.
#[test]
fn resolved_documents_resolve_to_themselves() {
    for file in files("valid") {
        let resolved = file.with_extension("json");
        let expected = std::fs::read_to_string(&resolved).unwrap();
        assert_eq!(resolve(&resolved), (Some(0), expected, String::new()), "{}", resolved.display());
    }
}

#[test]
fn invalid_files_are_refused_with_all_their_problems() {
    for file in files("invalid") {
        let (status, resolved, problems) = resolve(&file);
        assert_eq!((status, resolved.as_str()), (Some(2), ""), "{}", file.display());
        expected::check(&file.with_extension("err"), &problems);
    }
}

#[test]
fn what_may_be_a_key_is_never_repeated() {
    for file in files("invalid") {
        let (_, _, problems) = resolve(&file);
        assert!(!problems.contains("sk-secret"), "{}: {problems}", file.display());
    }
}

#[test]
fn repeated_names_in_json_are_problems() {
    let problems = dragoman::config::from_json(br#"{"version":"1","version":"2","providers":{},"models":{}}"#);
    let text = problems.err().unwrap().to_string();
    assert_eq!(
        text,
        "version: this name is written twice\n\
         providers: there must be one provider at least\n\
         models: there must be one model at least"
    );
}

#[test]
fn broken_documents_are_refused_without_a_panic() {
    let file = files("valid").pop().unwrap();
    let (_, document, _) = resolve(&file);
    let document = document.trim_end().as_bytes();
    for end in 0..document.len() {
        assert!(dragoman::config::from_json(&document[..end]).is_err());
    }
    for at in 0..document.len() {
        let bytes = [0, b'"', b'{', b'}', b'[', b'0', b'-', b'\\', b'.', 0xff, document[at] ^ 0x20, document[at] ^ 1];
        // A third of them at each place: the time grows with the square of the document.
        for &byte in bytes.iter().skip(at % 3).step_by(3) {
            let mut broken = document.to_vec();
            broken[at] = byte;
            // Some of them still are documents; then they must resolve to themselves.
            if let Ok(config) = dragoman::config::from_json(&broken) {
                let resolved = dragoman::config::to_json(&config);
                let again = dragoman::config::from_json(resolved.as_bytes()).unwrap();
                assert_eq!(dragoman::config::to_json(&again), resolved);
            }
        }
    }
    assert!(dragoman::config::from_json(&b"[".repeat(100_000)).is_err());
    for value in ["null", "[]", "0", "-1", "1e400", "1.5", "\"\"", "true", "{}", "{\"\":{}}"] {
        assert!(dragoman::config::from_json(value.as_bytes()).is_err());
        for field in
            ["version", "listen", "clients", "providers", "models", "routes", "limits", "usual_provider", "other"]
        {
            let document = format!("{{\"{field}\":{value}}}");
            assert!(dragoman::config::from_json(document.as_bytes()).is_err());
        }
    }
}
