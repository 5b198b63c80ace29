//! What is known of well-known models: limits, capabilities, prices, shutdown dates, each row with its
//! sources. It ships with the command alone; the module is configured with what a file uses of it.
//!
//! The data is a document of the same schema as `models` of gateway.yaml, so that a row's fields are taken
//! over as they are. `scripts/catalog` writes it. A date that is not the vendor's own is one of deprecation: it is
//! warned of, but ends nothing.

mod fill;
mod find;
mod list;

use dragoman::config::Problems;
use dragoman::config::document::{Field, Node, Value};

pub use fill::{Unknown, fill};
pub use list::{Selection, list};

const DATA: &str = include_str!("catalog.json");

/// The fields of a row that a model's entry may have, too.
const FACTS: &[&str] = &[
    "max_output",
    "context_window",
    "reasoning",
    "efforts",
    "sampling",
    "capabilities",
    "price",
    "deprecated",
    "retires",
];

pub struct Catalog {
    data: Node,
}

/// One model of one kind of provider.
#[derive(Clone, Copy)]
pub struct Row<'c> {
    pub kind: &'c str,
    pub id: &'c str,
    fields: &'c [Field],
    sources: &'c [Field],
}

/// Where a row comes from.
#[derive(Clone, Copy)]
pub struct Source<'c> {
    /// As the rows name it.
    pub key: &'c str,
    pub name: &'c str,
    /// The day it was read.
    pub date: &'c str,
}

impl Catalog {
    pub fn load() -> Result<Self, Problems> {
        Ok(Catalog { data: Node::from_json(DATA.as_bytes())? })
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let sources = map(get(map(&self.data), "sources"));
        let rows = match get(map(&self.data), "models").map(|node| &node.value) {
            Some(Value::List(rows)) => rows.as_slice(),
            _ => &[],
        };
        rows.iter().filter_map(move |row| {
            let fields = map(row);
            Some(Row { kind: text(get(fields, "kind"))?, id: text(get(fields, "id"))?, fields, sources })
        })
    }

    /// All that any row comes from.
    pub fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        let sources = map(get(map(&self.data), "sources"));
        sources.iter().filter_map(|field| source(sources, &field.name))
    }
}

impl<'c> Row<'c> {
    pub fn get(&self, name: &str) -> Option<&'c Node> {
        get(self.fields, name)
    }

    pub fn text(&self, name: &str) -> Option<&'c str> {
        text(self.get(name))
    }

    /// The texts of a list.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &'c str> {
        let nodes = match self.get(name).map(|node| &node.value) {
            Some(Value::List(nodes)) => nodes.as_slice(),
            _ => &[],
        };
        nodes.iter().filter_map(|node| text(Some(node)))
    }

    pub fn sources(&self) -> impl Iterator<Item = Source<'c>> {
        let sources = self.sources;
        self.texts("sources").filter_map(move |key| source(sources, key))
    }
}

fn source<'c>(sources: &'c [Field], key: &str) -> Option<Source<'c>> {
    let field = sources.iter().find(|field| field.name == key)?;
    let fields = map(&field.node);
    Some(Source { key: &field.name, name: text(get(fields, "name"))?, date: text(get(fields, "date"))? })
}

fn map<'n>(node: impl Into<Option<&'n Node>>) -> &'n [Field] {
    match node.into().map(|node| &node.value) {
        Some(Value::Map(fields)) => fields,
        _ => &[],
    }
}

fn get<'n>(fields: &'n [Field], name: &str) -> Option<&'n Node> {
    fields.iter().find(|field| field.name == name).map(|field| &field.node)
}

fn text(node: Option<&Node>) -> Option<&str> {
    match &node?.value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman::config;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_what_a_models_entry_may_say() {
        let catalog = Catalog::load().unwrap();
        let models = catalog.rows().enumerate().map(|(index, row)| {
            let facts = FACTS.iter().filter_map(|name| Some((*name, row.get(name)?.clone())));
            let entry = [("provider", Node::string("any")), ("id", Node::string(row.id))];
            (format!("m{index}"), Node::map(entry.into_iter().chain(facts)))
        });
        let models: Vec<_> = models.collect();
        assert!(models.len() > 100);
        // The kind of the row may be one that is not there yet; its fields mean the same for all.
        let any = Node::map([("kind", Node::string("openai")), ("credential", Node::string("none"))]);
        let document = Node::map([
            ("providers", Node::map([("any", any)])),
            ("models", Node::map(models.iter().map(|(name, node)| (name.as_str(), node.clone())))),
        ]);
        let config = config::resolve(&document).map_err(|problems| problems.to_string());
        assert_eq!(config.map(|config| config.models.len()), Ok(models.len()));
    }

    #[test]
    fn every_row_is_one_model_with_sources() {
        let catalog = Catalog::load().unwrap();
        let mut seen = BTreeSet::new();
        for row in catalog.rows() {
            assert!(seen.insert((row.kind, row.id)), "{} {} twice", row.kind, row.id);
            let keys: Vec<_> = row.texts("sources").collect();
            assert!(!keys.is_empty() && row.sources().count() == keys.len(), "{} {}", row.kind, row.id);
            let vendors = map(get(map(&catalog.data), "sources")).iter().filter(|field| keys.contains(&&*field.name));
            let is_vendors = vendors.filter_map(|field| text(get(map(&field.node), "vendor"))).any(|it| it == row.kind);
            assert!(row.get("retires").is_none() || is_vendors, "{} {} ends by hearsay", row.kind, row.id);
            let known = |name: &str| FACTS.contains(&name) || ["kind", "id", "sources", "page"].contains(&name);
            assert!(row.fields.iter().all(|field| known(&field.name)), "{} {}", row.kind, row.id);
        }
        for source in catalog.sources() {
            assert!(config::registry::Date::parse(source.date).is_some(), "{}", source.name);
        }
    }
}
