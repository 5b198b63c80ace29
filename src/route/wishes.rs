//! What a client may say in headers about how its request is served.

use super::policy;
use crate::config::Commit;
use crate::config::quantity;
use crate::config::registry::{Capabilities, Capability};
use crate::error::Rejection;
use crate::headers::Headers;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `x-dragoman-strict: true`: rather no answer than one that leaves a parameter out.
    pub strict: bool,
    /// `x-dragoman-commit: first_token | complete`
    pub commit: Option<Commit>,
    /// `x-dragoman-require: images,tools`: what the model must be capable of, beyond what the body says.
    pub require: Capabilities,
    /// `x-dragoman-region`
    pub region: Option<String>,
    /// `x-dragoman-task`: what the answer is for, as `quality` in the configuration names tasks.
    pub task: Option<String>,
    /// `x-dragoman-max-cost`, in dollars; here in micro-dollars.
    pub max_cost: Option<u64>,
    pub explain: Explain,
    /// Hashes of the headers that some route keeps its choice by, with their names.
    pub sticky: Vec<(String, u64)>,
}

/// `x-dragoman-explain: true | only`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Explain {
    #[default]
    No,
    /// In a header of the answer.
    Summary,
    /// Instead of an answer.
    Only,
}

impl Wishes {
    /// `sticky`: the names of headers that the configuration keeps choices by.
    pub fn read<'a>(headers: &Headers, sticky: impl Iterator<Item = &'a str>) -> Result<Self, Rejection> {
        // Most requests wish for nothing: one look instead of one for each name.
        let none = Headers::default();
        let ours = if headers.names_with("x-dragoman-").next().is_some() { headers } else { &none };
        let value = |name: &str| ours.bytes(name);
        let strict = match value("x-dragoman-strict") {
            None | Some(b"false") => false,
            Some(b"true") => true,
            Some(_) => return Err(not_one_of("x-dragoman-strict", "true, false")),
        };
        let commit = match value("x-dragoman-commit") {
            None => None,
            Some(b"first_token") => Some(Commit::FirstToken),
            Some(b"complete") => Some(Commit::Complete),
            Some(_) => return Err(not_one_of("x-dragoman-commit", "first_token, complete")),
        };
        let explain = match value("x-dragoman-explain") {
            None | Some(b"false") => Explain::No,
            Some(b"true") => Explain::Summary,
            Some(b"only") => Explain::Only,
            Some(_) => return Err(not_one_of("x-dragoman-explain", "true, only, false")),
        };
        let max_cost = match value("x-dragoman-max-cost") {
            None => None,
            Some(text) => {
                let dollars = std::str::from_utf8(text).ok().and_then(|text| quantity::decimal(text, 6).ok());
                Some(dollars.ok_or_else(|| {
                    let header = "x-dragoman-max-cost";
                    Rejection::invalid(header, format!("The value of the header '{header}' is no amount of dollars."))
                })?)
            }
        };
        let sticky = sticky.filter_map(|name| Some((name.to_owned(), policy::hash(0, headers.bytes(name)?))));
        Ok(Wishes {
            strict,
            commit,
            require: required(value("x-dragoman-require"))?,
            region: word(ours, "x-dragoman-region")?,
            task: word(ours, "x-dragoman-task")?,
            max_cost,
            explain,
            sticky: sticky.collect(),
        })
    }
}

fn required(value: Option<&[u8]>) -> Result<Capabilities, Rejection> {
    let mut required = Capabilities::NONE;
    for name in value.unwrap_or_default().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if name.is_empty() {
            continue;
        }
        let known = Capability::ALL.iter().find(|(known, _)| known.as_bytes() == name);
        let Some((_, capability)) = known else {
            let known: Vec<_> = Capability::ALL.iter().map(|(name, _)| *name).collect();
            return Err(not_one_of("x-dragoman-require", &known.join(", ")));
        };
        required = required.with(*capability);
    }
    Ok(required)
}

fn word(headers: &Headers, name: &str) -> Result<Option<String>, Rejection> {
    let Some(value) = headers.bytes(name) else { return Ok(None) };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    match std::str::from_utf8(value) {
        Ok(word) if (1..=64).contains(&word.len()) && value.iter().all(plain) => Ok(Some(word.to_owned())),
        _ => {
            let message = format!("The value of the header '{name}' is not a word of letters, digits, - _ and dots.");
            Err(Rejection::invalid(name, message))
        }
    }
}

fn not_one_of(header: &str, known: &str) -> Rejection {
    Rejection::invalid(header, format!("The value of the header '{header}' is not one of: {known}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Wishes, Rejection> {
        let mut headers = Headers::default();
        headers.push(name, value);
        Wishes::read(&headers, ["x-team"].into_iter())
    }

    #[test]
    fn every_wish_is_read_and_a_wrong_one_is_refused_by_name() {
        assert_eq!(read("x-dragoman-max-cost", "0.01").unwrap().max_cost, Some(10_000));
        assert_eq!(read("x-dragoman-region", "eu-west").unwrap().region.as_deref(), Some("eu-west"));
        assert_eq!(read("x-dragoman-explain", "only").unwrap().explain, Explain::Only);
        let require = read("x-dragoman-require", "images, tools,").unwrap().require;
        assert_eq!(require.iter().collect::<Vec<_>>(), [Capability::Tools, Capability::Images]);
        assert_eq!(read("x-team", "a").unwrap().sticky, read("x-team", "a").unwrap().sticky);
        assert_ne!(read("x-team", "a").unwrap().sticky, read("x-team", "b").unwrap().sticky);
        for (name, value) in [
            ("x-dragoman-max-cost", "cheap"),
            ("x-dragoman-max-cost", "-1"),
            ("x-dragoman-region", "a b"),
            ("x-dragoman-task", ""),
            ("x-dragoman-explain", "yes"),
            ("x-dragoman-require", "telepathy"),
            ("x-dragoman-strict", "1"),
        ] {
            assert_eq!(read(name, value).unwrap_err().param.as_deref(), Some(name), "{value}");
        }
    }
}
