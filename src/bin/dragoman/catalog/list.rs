//! The catalog for people, as a table, and for programs, as JSON.

use dragoman::config::document::Node;
use dragoman::config::registry::Date;

use super::{Catalog, Row, Source, get, map};

/// Which rows are wanted; all of it must hold.
pub struct Selection<'s> {
    pub provider: Option<&'s str>,
    pub capabilities: &'s [String],
    /// Parts of the id, in any case.
    pub words: &'s [String],
}

impl Selection<'_> {
    fn takes(&self, row: &Row<'_>) -> bool {
        let id = row.id.to_lowercase();
        self.provider.is_none_or(|kind| kind == row.kind)
            && self.capabilities.iter().all(|wanted| row.texts("capabilities").any(|known| known == wanted))
            && self.words.iter().all(|word| id.contains(&word.to_lowercase()))
    }
}

/// `None` if there is no such model.
pub fn list(catalog: &Catalog, selection: &Selection<'_>, json: bool, today: Date) -> Option<String> {
    let rows: Vec<_> = catalog.rows().filter(|row| selection.takes(row)).collect();
    if rows.is_empty() {
        return None;
    }
    if json {
        let lines: Vec<_> = rows.iter().map(|row| as_json(row).to_json()).collect();
        return Some(format!("[\n  {}\n]\n", lines.join(",\n  ")));
    }
    let mut table = vec![HEADER.map(str::to_owned)];
    table.extend(rows.iter().map(cells));
    let mut out = aligned(&table);
    out.push_str(&format!(
        "\n{} of {} models. Prices in dollars per million tokens, ",
        rows.len(),
        catalog.rows().count()
    ));
    out.push_str(
        "+ where long prompts cost more.\nA date with ? is not its vendor's own: it is warned of, and ends nothing.\n",
    );
    for source in catalog.sources() {
        out.push_str(&format!("{}: {}, {}\n", source.key, source.name, age(&source, today)));
    }
    Some(out)
}

fn age(source: &Source<'_>, today: Date) -> String {
    let days = Date::parse(source.date).and_then(|date| today.0.checked_sub(date.0));
    let ago = match days {
        Some(0) => " (today)".to_owned(),
        Some(1) => " (yesterday)".to_owned(),
        Some(days) => format!(" ({days} days ago)"),
        None => String::new(),
    };
    format!("read on {}{ago}", source.date)
}

const HEADER: [&str; 10] =
    ["PROVIDER", "ID", "CONTEXT", "OUTPUT", "IN", "CACHED", "OUT", "RETIRES", "SOURCE", "CAPABILITIES"];
/// The columns of numbers.
const RIGHT: std::ops::RangeInclusive<usize> = 2..=6;

fn cells(row: &Row<'_>) -> [String; HEADER.len()] {
    let number = |node: Option<&Node>| node.map_or_else(|| "-".to_owned(), Node::to_json);
    let price = map(row.get("price"));
    let dollars = |name: &str| {
        let above = if get(price, "above").is_some() { "+" } else { "" };
        get(price, name).map_or_else(|| "-".to_owned(), |node| format!("{}{above}", node.to_json()))
    };
    let sources: Vec<_> = row.sources().map(|source| source.key).collect();
    let capabilities: Vec<_> = row.texts("capabilities").collect();
    [
        row.kind.to_owned(),
        row.id.to_owned(),
        number(row.get("context_window")),
        number(row.get("max_output")),
        dollars("input"),
        dollars("cached_input"),
        dollars("output"),
        match (row.text("retires"), row.text("deprecated")) {
            (Some(date), _) => date.to_owned(),
            (None, Some(date)) => format!("{date}?"),
            (None, None) => "-".to_owned(),
        },
        sources.join(","),
        if capabilities.is_empty() { "not known".to_owned() } else { capabilities.join(" ") },
    ]
}

fn aligned(table: &[[String; HEADER.len()]]) -> String {
    let mut widths = [0; HEADER.len()];
    for row in table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut out = String::new();
    for row in table {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if index == 0 { "" } else { "  " };
            if RIGHT.contains(&index) {
                line.push_str(&format!("{gap}{cell:>width$}"));
            } else {
                line.push_str(&format!("{gap}{cell:<width$}"));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The row with its sources told in full.
fn as_json(row: &Row<'_>) -> Node {
    let fields = row.fields.iter().map(|field| {
        let sources = || {
            let source = |source: Source<'_>| {
                Node::map([("name", Node::string(source.name)), ("date", Node::string(source.date))])
            };
            Node::list(row.sources().map(source))
        };
        let node = if field.name == "sources" { sources() } else { field.node.clone() };
        (field.name.as_str(), node)
    });
    Node::map(fields)
}

impl Catalog {
    /// That there are rows of.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = Vec::new();
        for row in self.rows() {
            if kinds.last() != Some(&row.kind) {
                kinds.push(row.kind);
            }
        }
        kinds
    }
}
