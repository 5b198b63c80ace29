//! The conversations of `tests/canonical`, with every kind that speaks OpenAI's format.
//!
//! A kind has one folder, `tests/golden/KIND/canonical`: its entry in `case.json`, what it is sent in
//! `upstream-requests.http`, and in `responses.http` what clients read where that is not what they read of
//! OpenAI (`response.http` beside the conversation).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use dragoman::provider::{KINDS, openai};

use super::golden::{Case, in_one_piece};

/// A kind of the format, and its folder.
pub struct Row {
    pub kind: &'static str,
    folder: PathBuf,
    about: String,
}

/// What one conversation comes to with a row.
pub struct Told {
    pub request: Option<String>,
    pub response: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

pub fn rows() -> Vec<Row> {
    let kinds = KINDS.iter().filter(|kind| kind.translator.api() == openai::KIND.translator.api());
    let row = |kind: &'static str| {
        let folder = root().join("golden").join(kind).join("canonical");
        let about = fs::read_to_string(folder.join("case.json"));
        let about = about.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Row { kind, folder, about }
    };
    kinds.map(|kind| row(kind.name)).collect()
}

/// The folders of the conversations by their names.
pub fn conversations() -> BTreeMap<String, PathBuf> {
    let folders = fs::read_dir(root().join("canonical")).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| (folder.file_name().unwrap().to_string_lossy().into_owned(), folder)).collect()
}

impl Row {
    pub fn case(&self, conversation: &Path) -> Case {
        let file = |name: &str| fs::read(conversation.join(name)).unwrap();
        Case::new(&self.about, &file("request.json"), Some(&file("upstream-response.http")))
    }

    pub fn tell(&self, conversation: &Path) -> Told {
        let replayed = self.case(conversation).replay(&in_one_piece);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Told { request: replayed.upstream_request.map(text), response: text(replayed.response) }
    }

    /// Whether a conversation's answer has another body than OpenAI's, rather than other headers or none.
    pub fn has_own_answer(&self, name: &str, conversation: &Path) -> bool {
        let own = sections(&fs::read_to_string(self.folder.join("responses.http")).unwrap_or_default());
        let shared = fs::read_to_string(conversation.join("response.http")).unwrap();
        let body = |text: &str| text.split_once("\n\n").map(|(_, body)| body.trim_end().to_owned());
        own.get(name).is_some_and(|own| own.starts_with("HTTP/1.1 200") && body(own) != body(&shared))
    }

    /// Compares with the expected files, or rewrites them. Returns what differs.
    pub fn compare(&self) -> Vec<String> {
        let (mut requests, mut responses) = (BTreeMap::new(), BTreeMap::new());
        for (name, folder) in conversations() {
            let told = self.tell(&folder);
            if let Some(request) = told.request {
                requests.insert(name.clone(), request);
            }
            let shared = folder.join("response.http");
            if self.kind == openai::KIND.name && super::updates() {
                fs::write(&shared, &told.response).unwrap();
            }
            if fs::read_to_string(&shared).unwrap_or_default() != told.response {
                responses.insert(name, told.response);
            }
        }
        let files = [("upstream-requests.http", requests), ("responses.http", responses)];
        files.into_iter().filter_map(|(file, actual)| self.compare_file(file, &actual)).collect()
    }

    fn compare_file(&self, file: &str, actual: &BTreeMap<String, String>) -> Option<String> {
        let path = self.folder.join(file);
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let mut text = String::new();
        for (name, section) in actual {
            write!(text, "{MARK}{name}\n{section}\n\n").unwrap();
        }
        if expected == text {
            return None;
        }
        if super::updates() {
            if text.is_empty() {
                fs::remove_file(&path).unwrap();
            } else {
                fs::write(&path, text).unwrap();
            }
            return None;
        }
        let expected = sections(&expected);
        let names = expected.keys().chain(actual.keys());
        let differs = names.filter(|name| {
            expected.get(*name).map(|text| text.trim_end()) != actual.get(*name).map(|text| text.trim_end())
        });
        let show = |name: &String| {
            let nothing = String::from("(nothing)");
            let (expected, actual) = (expected.get(name).unwrap_or(&nothing), actual.get(name).unwrap_or(&nothing));
            format!("{}/{file}, {name} differs\n--- expected\n{expected}\n--- actual\n{actual}", self.kind)
        };
        Some(differs.map(show).collect::<Vec<_>>().join("\n\n"))
    }
}

/// Before each section of a file.
const MARK: &str = "### ";

fn sections(text: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(next) = line.strip_prefix(MARK) {
            name = next.trim().to_owned();
        } else {
            sections.entry(name.clone()).or_default().push_str(line);
        }
    }
    sections
}
