//! Models that there will not be for long: whether their dates of deprecation and shutdown are near or past, and
//! how that is told, to whoever checks a configuration and in the log of the gateway that still asks them.

use crate::config::registry::{Date, Facts};
use crate::config::{Config, Model};

/// In days. Two months are time enough to try another model, and to no avail do people read warnings earlier.
pub const NEAR: u32 = 60;

/// Whether there is something to warn of.
pub fn is_near(facts: &Facts, today: Date) -> bool {
    [facts.retires, facts.deprecated].into_iter().flatten().any(|date| near(date, today))
}

/// What there is to warn of.
pub fn warning(config: &Config, model: &Model, today: Date) -> Option<String> {
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

/// Past ones, too.
fn near(date: Date, today: Date) -> bool {
    date.0.saturating_sub(today.0) <= NEAR
}

fn ahead(date: Date, today: Date) -> String {
    match date.0.saturating_sub(today.0) {
        1 => "tomorrow".to_owned(),
        days => format!("in {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_counted_is_what_is_warned_of() {
        let document = r#"{"providers":{"openai":{"credential":"none"}},"models":{
            "none":{"provider":"openai","id":"a"},
            "retires":{"provider":"openai","id":"b","retires":"2026-12-11"},
            "deprecated":{"provider":"openai","id":"c","deprecated":"2026-12-11"},
            "both":{"provider":"openai","id":"d","deprecated":"2026-10-01","retires":"2027-12-11"}}}"#;
        let config = config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
        let day = |text| Date::parse(text).unwrap();
        for (today, expected) in [
            ("2026-01-01", vec![]),
            ("2026-08-02", vec!["both"]),
            ("2026-10-11", vec!["both"]),
            ("2026-10-12", vec!["retires", "deprecated", "both"]),
            ("2028-01-01", vec!["retires", "deprecated", "both"]),
        ] {
            let names = |models: Vec<&Model>| models.iter().map(|model| model.name.clone()).collect::<Vec<_>>();
            let warned = config.models.iter().filter(|model| warning(&config, model, day(today)).is_some()).collect();
            let near = config.models.iter().filter(|model| is_near(&model.facts, day(today))).collect();
            assert_eq!(names(warned), expected, "{today}");
            assert_eq!(names(near), expected, "{today}");
        }
    }
}
