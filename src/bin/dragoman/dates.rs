//! Warns of models that there will not be for long: dates of deprecation and shutdown that are near or past.

use dragoman::config::document::{Node, Report};
use dragoman::config::registry::Date;
use dragoman::config::{Config, Model, Problem};

use crate::check::entries;

/// Two months are time enough to try another model, and to no avail do people read warnings earlier.
const NEAR: u32 = 60;

pub fn warnings(config: &Config, document: &Node, today: Date) -> Vec<Problem> {
    let report = Report::default();
    for (name, cursor) in entries(document, "models", &report) {
        let model = config.models.iter().find(|model| model.name == name);
        if let Some(message) = model.and_then(|model| warning(config, model, today)) {
            cursor.name_problem(message);
        }
    }
    report.into_problems()
}

fn warning(config: &Config, model: &Model, today: Date) -> Option<String> {
    let facts = &model.facts;
    let id = &model.id;
    let what = match (facts.retires, facts.deprecated) {
        (Some(date), _) if date <= today => format!("{id} is retired since {date}: it gets no new conversations"),
        (Some(date), _) if near(date, today) => format!("{id} retires on {date}, {}", ahead(date, today)),
        (_, Some(date)) if date <= today => match facts.retires {
            Some(end) => format!("{id} is deprecated since {date}, and retires on {end}"),
            None => format!("{id} is deprecated since {date}"),
        },
        (_, Some(date)) if near(date, today) => format!("{id} is deprecated from {date} on, {}", ahead(date, today)),
        _ => return None,
    };
    let replacement = facts.replaced_by.and_then(|index| config.models.get(index));
    Some(match replacement {
        Some(other) if other.facts.retires.is_some_and(|date| date <= today) => {
            format!("{what}; {}, which replaces it, is retired, too", other.name)
        }
        Some(other) => format!("{what}; {} ({}) replaces it", other.name, other.id),
        None => format!("{what}; `replaced_by` can name the model to ask instead"),
    })
}

fn near(date: Date, today: Date) -> bool {
    date.0.saturating_sub(today.0) <= NEAR
}

fn ahead(date: Date, today: Date) -> String {
    match date.0.saturating_sub(today.0) {
        1 => "tomorrow".to_owned(),
        days => format!("in {days} days"),
    }
}
