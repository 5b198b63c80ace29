//! Warns of models that there will not be for long, at their places in the document.

use dragoman::config::document::{Node, Report};
use dragoman::config::registry::Date;
use dragoman::config::{Config, Problem};
use dragoman::route::ending;

use crate::check::entries;

pub fn warnings(config: &Config, document: &Node, today: Date) -> Vec<Problem> {
    let report = Report::default();
    for (name, cursor) in entries(document, "models", &report) {
        let model = config.models.iter().find(|model| model.name == name);
        if let Some(message) = model.and_then(|model| ending::warning(config, model, today)) {
            cursor.name_problem(message);
        }
    }
    report.into_problems()
}
