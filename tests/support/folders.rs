//! The folders of `tests/golden`: found, read, compared and rewritten.

use std::fs;
use std::path::{Path, PathBuf};

use super::golden::{Case, Replayed};

/// The folders of all conversations, sorted: `tests/golden/<provider>/<case>`.
pub fn all() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        paths.sort();
        paths
    };
    // What kinds have in common is read by `canonical` and `inherited`.
    let is_own = |folder: &PathBuf| !folder.ends_with("canonical") && !folder.ends_with("inherited");
    list(&root).iter().flat_map(|provider| list(provider)).filter(is_own).collect()
}

/// A folder's name as `provider/case`.
pub fn name(folder: &Path) -> String {
    let mut parts: Vec<_> = folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.reverse();
    parts.join("/")
}

pub fn read(folder: &Path) -> Case {
    let file = |name: &str| fs::read(folder.join(name));
    let about = file("case.json").unwrap_or_else(|error| panic!("{}/case.json: {error}", name(folder)));
    let request = file("request.json").unwrap_or_else(|error| panic!("{}/request.json: {error}", name(folder)));
    let upstream_response = file("upstream-response.http").ok();
    Case::new(std::str::from_utf8(&about).unwrap(), &request, upstream_response.as_deref())
}

/// Compares with the expected files, or rewrites them when `UPDATE_GOLDEN` is set (see
/// `scripts/golden`). Returns what differs.
pub fn compare(folder: &Path, replayed: &Replayed) -> Vec<String> {
    let mut differences = Vec::new();
    let files = [
        ("upstream-request.http", replayed.upstream_request.as_deref()),
        ("response.http", Some(replayed.response.as_slice())),
    ];
    for (file, actual) in files {
        let path = folder.join(file);
        let expected = fs::read(&path).ok();
        if expected.as_deref() == actual {
            continue;
        }
        if super::updates() {
            match actual {
                Some(actual) => fs::write(&path, actual).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            continue;
        }
        let show =
            |text: Option<&[u8]>| text.map_or("(nothing)".into(), |text| String::from_utf8_lossy(text).into_owned());
        differences.push(format!(
            "{}/{file} differs\n--- expected\n{}\n--- actual\n{}\n(scripts/golden rewrites the expected files)",
            name(folder),
            show(expected.as_deref()),
            show(actual)
        ));
    }
    differences
}
