//! Finds a model's row by the kind of its provider and its id, also where the id has a region, the date of
//! a snapshot or the maker's name around the model's own. Nothing is guessed from names that are only alike.

use super::{Catalog, Row};

/// A row, and how much of it holds for the model that was looked for.
pub struct Found<'c> {
    pub row: Row<'c>,
    pub holds: Holds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It is this model.
    All,
    /// It is a snapshot of the model, which may be shut down on another day.
    ButDates,
    /// It is made of the model, with a price and an end of its own.
    Limits,
    /// It is the model at a host that sells it for the maker's price, in an API of its own.
    Resold,
    /// The same at a price of its own.
    Hosted,
}

impl Holds {
    /// Whether a field of the row holds.
    pub fn covers(self, field: &str) -> bool {
        match field {
            "deprecated" | "retires" => self == Holds::All,
            "price" => matches!(self, Holds::All | Holds::ButDates | Holds::Resold),
            _ => true,
        }
    }

    /// Whether a model of the row is told to think as the row says.
    pub fn speaks_alike(self) -> bool {
        matches!(self, Holds::All | Holds::ButDates | Holds::Limits)
    }
}

impl Catalog {
    pub fn find(&self, kind: &str, id: &str) -> Option<Found<'_>> {
        let names = match kind {
            "openrouter" => hosted(id),
            _ => own(kind, id),
        };
        names.into_iter().find_map(|name| {
            let row = self.rows().find(|row| row.kind == name.kind && row.id == name.id)?;
            Some(Found { row, holds: name.holds })
        })
    }
}

/// Where a model may stand.
struct Name<'n> {
    kind: &'n str,
    id: String,
    holds: Holds,
}

/// At the kind's own, the most exact first.
fn own<'n>(kind: &'n str, id: &str) -> Vec<Name<'n>> {
    let id = bare(kind, id);
    let mut names = Vec::new();
    let mut add = |id: &str, holds: Holds| names.push(Name { kind, id: id.to_owned(), holds });
    if let Some(base) = id.strip_prefix("ft:").and_then(|rest| rest.split(':').next()) {
        add(base, Holds::Limits);
        if let Some(model) = without_snapshot(base) {
            add(model, Holds::Limits);
        }
        return names;
    }
    let regional = if kind == "bedrock" { regional(id) } else { vec![id.to_owned()] };
    for id in &regional {
        add(id, Holds::All);
    }
    for id in &regional {
        if let Some(model) = without_snapshot(id) {
            add(model, Holds::ButDates);
        }
    }
    names
}

/// Without what only says how the model is addressed.
fn bare<'i>(kind: &str, id: &'i str) -> &'i str {
    match kind {
        "gemini" => id.strip_prefix("models/").unwrap_or(id),
        // `publishers/google/models/gemini-…`, `claude-…@default`
        "vertex" => {
            let id = id.rsplit("/models/").next().unwrap_or(id);
            let id = id.strip_prefix("google/").unwrap_or(id);
            id.strip_suffix("@default").unwrap_or(id)
        }
        _ => id,
    }
}

/// The geographies of Bedrock's inference profiles. All but the global one cost what the one of the United
/// States does, where they have no row of their own.
const GEOGRAPHIES: &[&str] = &["us", "eu", "apac", "au", "jp", "in", "us-gov"];

fn regional(id: &str) -> Vec<String> {
    match id.split_once('.') {
        Some(("global", model)) => vec![id.to_owned(), model.to_owned()],
        Some((region, model)) if GEOGRAPHIES.contains(&region) => {
            vec![id.to_owned(), format!("us.{model}"), model.to_owned()]
        }
        _ => vec![id.to_owned()],
    }
}

/// `gpt-5-2025-08-07`, `claude-opus-4-5-20251101`, `claude-opus-4-5@20251101`, `…-20250929-v1:0`
fn without_snapshot(id: &str) -> Option<&str> {
    let id = match id.rsplit_once("-v") {
        Some((model, version)) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b':') => {
            model
        }
        _ => id,
    };
    let dated = |shape: &str| {
        let start = id.len().checked_sub(shape.len())?;
        let (model, date) = (id.get(..start)?, id.get(start..)?);
        let fits = |(byte, shape): (u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        (!model.is_empty() && date.bytes().zip(shape.bytes()).all(fits)).then_some(model)
    };
    ["-0000-00-00", "-00000000", "@00000000"].into_iter().find_map(dated)
}

/// The makers as OpenRouter names them, their kind here, and whether they are sold for the maker's price
/// (models with open weights are run by others, each for a price of its own).
const MAKERS: &[(&str, &str, bool)] = &[
    ("openai", "openai", true),
    ("anthropic", "anthropic", true),
    ("google", "gemini", true),
    ("x-ai", "xai", true),
    ("mistralai", "mistral", false),
    ("deepseek", "deepseek", false),
    ("moonshotai", "moonshot", false),
    ("z-ai", "zhipu", false),
    ("qwen", "qwen", false),
    ("cohere", "cohere", false),
];

/// `anthropic/claude-opus-4.5:nitro`: the maker, the model, and which of its hosts.
fn hosted(id: &str) -> Vec<Name<'static>> {
    let Some((maker, model)) = id.split_once('/') else { return Vec::new() };
    let Some((_, kind, resold)) = MAKERS.iter().find(|(name, ..)| *name == maker) else { return Vec::new() };
    let (model, variant) = model.split_once(':').unwrap_or((model, ""));
    let holds = if *resold && variant.is_empty() { Holds::Resold } else { Holds::Hosted };
    // Its versions have points where Anthropic's have dashes.
    let spellings = [model.to_owned(), model.replace('.', "-")];
    let snapshots = spellings.clone();
    let models = spellings.into_iter().chain(snapshots.iter().filter_map(|id| Some(without_snapshot(id)?.to_owned())));
    models.map(|id| Name { kind, id, holds }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: &str, id: &str) -> Option<(String, Holds)> {
        let catalog = Catalog::load().unwrap();
        catalog.find(kind, id).map(|found| (format!("{} {}", found.row.kind, found.row.id), found.holds))
    }

    #[test]
    fn an_id_is_found_with_what_may_stand_around_it() {
        for (kind, id, row, holds) in [
            ("anthropic", "claude-opus-5-5", "anthropic claude-opus-5-5", Holds::All),
            ("anthropic", "claude-opus-5-5-20261001", "anthropic claude-opus-5-5", Holds::ButDates),
            ("openai", "gpt-6.1-sol-2026-09-29", "openai gpt-6.1-sol", Holds::ButDates),
            ("openai", "ft:gpt-4.1-mini-2025-04-14:us::x", "openai gpt-4.1-mini-2025-04-14", Holds::Limits),
            ("gemini", "models/gemini-3.8-flash", "gemini gemini-3.8-flash", Holds::All),
            ("vertex", "publishers/anthropic/models/claude-opus-5-5@default", "vertex claude-opus-5-5", Holds::All),
            ("bedrock", "global.anthropic.claude-opus-5-5", "bedrock anthropic.claude-opus-5-5", Holds::All),
            ("bedrock", "jp.anthropic.claude-opus-5-5", "bedrock us.anthropic.claude-opus-5-5", Holds::All),
            (
                "bedrock",
                "anthropic.claude-opus-5-5-20261001-v1:0",
                "bedrock anthropic.claude-opus-5-5",
                Holds::ButDates,
            ),
            ("openrouter", "anthropic/claude-opus-4.5", "anthropic claude-opus-4-5", Holds::Resold),
            ("openrouter", "openai/gpt-6.1-sol:nitro", "openai gpt-6.1-sol", Holds::Hosted),
            ("openrouter", "z-ai/glm-5.3", "zhipu glm-5.3", Holds::Hosted),
        ] {
            assert_eq!(found(kind, id), Some((row.to_owned(), holds)), "{kind} {id}");
        }
    }

    #[test]
    fn what_is_only_alike_is_not_found() {
        for (kind, id) in [
            ("anthropic", "claude-opus"),
            ("anthropic", "gpt-6.1-sol"),
            ("openai", "gpt-6.1-solar"),
            ("openai", "GPT-6.1-sol"),
            ("openai", "us.gpt-6.1-sol"),
            ("vllm", "gpt-6.1-sol"),
            ("openrouter", "gpt-6.1-sol"),
            ("openrouter", "someone/gpt-6.1-sol"),
            ("openai", ""),
            ("openai", "ft:"),
            ("openai", "-2026-09-29"),
        ] {
            assert_eq!(found(kind, id), None, "{kind} {id}");
        }
    }
}
