//! Parts of a generated bootstrap in files of their own, which Envoy watches: moved over the old ones, they change
//! the Envoy that is running, as a server of its configuration (xDS) would.

use std::fs;
use std::path::Path;

/// A list of the bootstrap's static resources.
#[derive(Clone, Copy)]
pub enum Part {
    Listeners,
    Clusters,
}

impl Part {
    fn section(self) -> &'static str {
        match self {
            Part::Listeners => "  listeners:\n",
            Part::Clusters => "  clusters:\n",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Part::Listeners => "listeners.yaml",
            Part::Clusters => "clusters.yaml",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Part::Listeners => "lds_config",
            Part::Clusters => "cds_config",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Part::Listeners => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Part::Clusters => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        }
    }
}

/// Moves the parts out of `envoy.yaml` of a directory into their files. An Envoy that is running already takes
/// them up from there.
pub fn separate(directory: &Path, parts: &[Part]) {
    if parts.is_empty() {
        return;
    }
    let bootstrap = directory.join("envoy.yaml");
    let mut text = fs::read_to_string(&bootstrap).unwrap();
    let mut sources = String::new();
    for part in parts {
        let begin = text.find(part.section()).unwrap_or_else(|| panic!("no {}in {text}", part.section()));
        let first = begin + part.section().len();
        let is_in = |line: &&str| ["  -", "  #", "   "].iter().any(|start| line.starts_with(start));
        let end = first + text[first..].split_inclusive('\n').take_while(is_in).map(str::len).sum::<usize>();
        let resources: String = text[first..end].split_inclusive('\n').map(|line| resource(line, *part)).collect();
        let file = directory.join(part.file());
        let new = file.with_extension("new");
        fs::write(&new, format!("resources:\n{resources}")).unwrap();
        fs::rename(&new, &file).unwrap();
        text.replace_range(begin..end, "");
        let directory = directory.display();
        sources += &format!(
            "  {}:\n    resource_api_version: V3\n    path_config_source: {{path: {}, watched_directory: {{path: {directory}}}}}\n",
            part.source(),
            file.display(),
        );
    }
    text += &format!("dynamic_resources:\n{sources}");
    fs::write(&bootstrap, text).unwrap();
}

/// A line of a list, as it stands in a file of resources: those say of what type they are.
fn resource(line: &str, part: Part) -> String {
    match line.strip_prefix("  - ") {
        Some(first) => format!("- \"@type\": {}\n  {first}", part.message()),
        None => line.strip_prefix("  ").unwrap_or(line).to_owned(),
    }
}
