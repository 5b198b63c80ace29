//! The module's metrics as Envoy tells them to Prometheus.

use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Debug, Default)]
pub struct Metrics(pub Vec<Series>);

impl Metrics {
    /// From what `/stats/prometheus` says.
    pub fn parse(text: &str) -> Self {
        let ours = text.lines().filter(|line| line.starts_with("dragoman_") || line.starts_with("gen_ai_"));
        Metrics(ours.map(series).collect())
    }

    /// The sum of all series of a name that are wanted.
    pub fn sum_of(&self, name: &str, wanted: impl Fn(&BTreeMap<String, String>) -> bool) -> u64 {
        let wanted = self.0.iter().filter(|series| series.name == name && wanted(&series.labels));
        wanted.map(|series| series.value as u64).sum()
    }

    /// The sum of all series of a name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has =
            |all: &BTreeMap<String, String>, label: &str, value: &str| all.get(label).is_some_and(|it| it == value);
        self.sum_of(name, |all| labels.iter().all(|(label, value)| has(all, label, value)))
    }
}

/// `name{label="value",…} number`
fn series(line: &str) -> Series {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
    let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
    let labels = labels.map(|label| label.trim_end_matches('"').split_once("=\"").unwrap());
    let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
    Series { name: name.to_owned(), labels, value: value.parse().unwrap() }
}
