//! The keys of clients: a YAML map from the names of clients to their keys.
//!
//! No message ever repeats what stands where a key should be.

use std::path::Path;

use dragoman::config::Problems;
use dragoman::config::document::{Cursor, Node, Report};

use crate::{Failure, read, read_file};

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

/// Names and keys of clients, in the order of the file.
pub fn load(file: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = read_file(file)?;
    parse(&text).map_err(|problems| Failure::File(read::render(&problems, &file.display().to_string())))
}

pub fn parse(text: &str) -> Result<Vec<(String, String)>, Problems> {
    let document: Node = read::yaml(text)?;
    let report = Report::default();
    let keys = read_keys(&Cursor::new(&document, &report));
    match report.into_problems() {
        problems if problems.is_empty() => Ok(keys),
        problems => Err(Problems(problems)),
    }
}

fn read_keys(document: &Cursor<'_>) -> Vec<(String, String)> {
    let mut keys: Vec<(String, String)> = Vec::new();
    if !document.is_map() {
        document.problem("expected a map from the names of clients to their keys");
        return keys;
    }
    for (client, cursor) in document.entries().unwrap_or_default() {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
        if client.is_empty() || client.len() > 128 || !client.bytes().all(inner) {
            cursor.name_problem("the name of a client is letters, digits and any of . _ : / @ -");
        }
        let key = cursor.word().filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        let Some(key) = key else {
            cursor.problem("expected a key: a string of printable ASCII characters without spaces, in quotes");
            continue;
        };
        if key.len() < SHORTEST {
            cursor.problem(format!("the key is too short: it must have {SHORTEST} characters at least"));
        } else if let Some((other, _)) = keys.iter().find(|(_, other)| other == key) {
            cursor.problem(format!("this is the key of {other}, too; every client has its own"));
        } else {
            keys.push((client.to_owned(), key.to_owned()));
        }
    }
    if document.entries().is_some_and(|entries| entries.is_empty()) {
        document.problem("there must be one client at least");
    }
    keys
}
