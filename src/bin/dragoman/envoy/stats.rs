//! How Envoy tells the module's metrics: their labels, which stand in their names, and the buckets of the
//! histograms.

use dragoman::metrics::{self, Kind};

use crate::yaml::Map;

/// What Envoy puts before the names of a module's metrics; it takes it away again for Prometheus.
const NAMESPACE: &str = "wasmcustom";

pub fn stats_config() -> Map {
    let tag = |label: &'static str| {
        // The whole label goes from the name, its value into the tag.
        Map::new().with("tag_name", label).with("regex", format!("^{NAMESPACE}\\..*?(;{label}=([^;]*))"))
    };
    let histograms = metrics::FAMILIES.iter().filter(|family| family.kind == Kind::Histogram);
    let buckets = histograms.map(|family| {
        let bounds: Vec<u64> = family.buckets.iter().map(|bound| u64::from(*bound)).collect();
        Map::new()
            .with("match", Map::new().with("prefix", format!("{NAMESPACE}.{}", family.name)))
            .with("buckets", bounds)
    });
    Map::new()
        .with("stats_tags", metrics::labels().into_iter().map(tag).collect::<Vec<_>>())
        .with("histogram_bucket_settings", buckets.collect::<Vec<_>>())
}
