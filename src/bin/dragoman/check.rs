//! Checks what a configuration names: variables and files of the machine that Envoy will run on, and models
//! that nothing is known of.
//!
//! Envoy refuses to start without the former; here it is said which, and of what. No content is repeated.

use std::path::Path;

use dragoman::config::document::{Cursor, Node, Report};
use dragoman::config::{Clients, Config, Credential, Problem, Scheme};

use crate::catalog::Unknown;
use crate::envoy::absolute;
use crate::keys;

const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

pub fn environment(config: &Config, base: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |path: String, checked: Result<(), String>| {
        if let Err(message) = checked {
            problems.push(Problem { path, message, place: None });
        }
    };
    if let Clients::Keys { file } = &config.clients {
        check("clients.keys.file".to_owned(), client_keys(&absolute(base, file)));
    }
    for provider in &config.providers {
        let path = |field: &str| format!("providers.{}.{field}", provider.name);
        match &provider.credential {
            // AWS's chain may end at an instance, which only Envoy can ask.
            Credential::None | Credential::Aws | Credential::Sds(_) => {}
            Credential::Env(name) => check(path("credential.env"), variable(name)),
            Credential::File(file) => check(path("credential.file"), key_file(&absolute(base, file))),
        }
        match (&provider.ca, provider.url.scheme) {
            (Some(ca), _) => check(path("ca"), certificates(&absolute(base, ca))),
            (None, Scheme::Https) => check(format!("providers.{}", provider.name), certificates(SYSTEM_CA)),
            (None, Scheme::Http) => {}
        }
    }
    problems
}

/// A model that neither the catalog nor the file knows enough of: routing has to take it for what it may be.
pub fn unknown_models(unknown: &[Unknown], config: &Config, document: &Node) -> Vec<Problem> {
    let report = Report::default();
    for (name, cursor) in entries(document, "models", &report) {
        let Some(model) = config.models.iter().find(|model| model.name == name) else { continue };
        let Some(unknown) = unknown.iter().find(|unknown| unknown.name == name) else { continue };
        let lacks = [
            (model.facts.capabilities.is_none(), "`capabilities` (it counts as capable of everything)"),
            (model.context_window.is_none(), "`context_window`"),
            (model.facts.price.is_none(), "`price`"),
        ];
        let lacks: Vec<_> = lacks.iter().filter(|(lacks, _)| *lacks).map(|(_, field)| *field).collect();
        if !lacks.is_empty() {
            let (kind, id) = (&unknown.kind, &unknown.id);
            let message =
                format!("the catalog has no {id:?} of kind {kind}, and the entry has no {}", lacks.join(", "));
            cursor.name_problem(message);
        }
    }
    report.into_problems()
}

/// The entries of a section, to report at.
pub fn entries<'d>(document: &'d Node, section: &str, report: &'d Report) -> Vec<(&'d str, Cursor<'d>)> {
    let sections = Cursor::new(document, report).entries().unwrap_or_default();
    let section = sections.into_iter().find(|(name, _)| *name == section);
    section.and_then(|(_, cursor)| cursor.entries()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the environment is what this command was asked to look at")]
fn variable(name: &str) -> Result<(), String> {
    match std::env::var(name) {
        Ok(value) => credential(&value).map_err(|error| format!("the variable {name} {error}")),
        Err(std::env::VarError::NotPresent) => Err(format!("the variable {name} is not set")),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("the variable {name} is not text")),
    }
}

fn key_file(path: &str) -> Result<(), String> {
    let text = read(path)?;
    credential(&text).map_err(|error| format!("{path} {error}"))
}

/// It becomes the value of a header. Envoy takes spaces and newlines at its ends off.
fn credential(text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has spaces, newlines or other characters in it that no key has".to_owned());
    }
    Ok(())
}

fn certificates(path: &str) -> Result<(), String> {
    let text = read(path)?;
    let mut certificates = 0;
    for block in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let broken = || format!("{path} has a broken certificate in it (number {})", certificates + 1);
        let (body, _) = block.split_once("-----END CERTIFICATE-----").ok_or_else(broken)?;
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
        if body.trim().is_empty() || !body.bytes().all(base64) {
            return Err(broken());
        }
        certificates += 1;
    }
    if certificates == 0 { Err(format!("{path} has no certificate in it (it must be PEM)")) } else { Ok(()) }
}

fn client_keys(path: &str) -> Result<(), String> {
    match keys::parse(&read(path)?) {
        Ok(_) => Ok(()),
        Err(problems) => {
            let all: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
            Err(format!("{path}: {}", all.join("; ")))
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
