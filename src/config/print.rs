//! The resolved document as JSON: every default filled in, a stable order, a line for each provider,
//! model and route. It is what the module is configured with, so it must read back as the same.

use crate::json;
use crate::provider::Reasoning;

use super::document::{Node, Value};
use super::{Clients, Commit, Config, Credential, Limits, Model, Provider, Route, quantity};

pub fn to_json(config: &Config) -> String {
    let mut out = String::new();
    print(&mut out, &document(config), 0);
    out.push('\n');
    out
}

fn document(config: &Config) -> Node {
    let mut fields =
        vec![("version", Node::string(&config.version)), ("listen", Node::string(config.listen.to_string()))];
    match &config.clients {
        Clients::Local => {}
        Clients::Open => fields.push(("clients", Node::string("open"))),
        Clients::Keys { file } => {
            let keys = Node::map([("file", Node::string(file))]);
            fields.push(("clients", Node::map([("keys", keys)])));
        }
    }
    let providers = config.providers.iter().map(|row| (row.name.as_str(), provider(row)));
    fields.push(("providers", Node::map(providers)));
    let models = config.models.iter().map(|row| (row.name.as_str(), model(config, row)));
    fields.push(("models", Node::map(models)));
    let routes = config.routes.iter().map(|row| (row.name.as_str(), route(config, row)));
    fields.push(("routes", Node::map(routes)));
    fields.push(("limits", limits(&config.limits)));
    Node::map(fields)
}

fn provider(provider: &Provider) -> Node {
    let mut fields = vec![("kind", Node::string(provider.kind.name)), ("url", Node::string(provider.url.to_string()))];
    for (name, value) in
        [("api_version", &provider.api_version), ("region", &provider.region), ("project", &provider.project)]
    {
        if let Some(value) = value {
            fields.push((name, Node::string(value)));
        }
    }
    if let Some(ca) = &provider.ca {
        fields.push(("ca", Node::string(ca)));
    }
    let credential = match &provider.credential {
        Credential::None => Node::string("none"),
        Credential::Env(name) => Node::map([("env", Node::string(name))]),
        Credential::File(path) => Node::map([("file", Node::string(path))]),
        Credential::Sds(name) => Node::map([("sds", Node::string(name))]),
        Credential::Aws => Node::map([("aws", Node::string("env"))]),
    };
    fields.push(("credential", credential));
    Node::map(fields)
}

fn model(config: &Config, model: &Model) -> Node {
    let provider = config.providers.get(model.provider).map_or("", |provider| provider.name.as_str());
    let mut fields = vec![("provider", Node::string(provider)), ("id", Node::string(&model.id))];
    if let Some(max_output) = model.max_output {
        fields.push(("max_output", Value::Unsigned(max_output).into()));
    }
    if let Some(context_window) = model.context_window {
        fields.push(("context_window", Value::Unsigned(context_window).into()));
    }
    let named = Reasoning::ALL.iter().find(|(_, form)| Some(*form) == model.reasoning);
    let reasoning = named.map_or(Value::Bool(false).into(), |(name, _)| Node::string(*name));
    fields.push(("reasoning", reasoning));
    fields.push(("sampling", Node::list(model.sampling.iter().map(|sampling| Node::string(sampling.name())))));
    let limits = [("first_token", duration(model.first_token)), ("answer", duration(model.answer))];
    fields.push(("limits", Node::map(limits)));
    Node::map(fields)
}

fn route(config: &Config, route: &Route) -> Node {
    let name = |index: &usize| config.models.get(*index).map(|model| Node::string(&model.name));
    Node::map([
        ("targets", Node::list(route.targets.iter().filter_map(name))),
        ("commit", Node::string(route.commit.name())),
    ])
}

fn limits(limits: &Limits) -> Node {
    let body = match quantity::size_text(limits.body) {
        Some(text) => Node::string(text),
        None => Value::Unsigned(limits.body).into(),
    };
    Node::map([
        ("first_token", duration(limits.first_token)),
        ("reasoning_first_token", duration(limits.reasoning_first_token)),
        ("answer", duration(limits.answer)),
        ("idle", duration(limits.idle)),
        ("retry_after", duration(limits.retry_after)),
        ("attempts", Value::Unsigned(limits.attempts.into()).into()),
        ("body", body),
    ])
}

fn duration(duration: std::time::Duration) -> Node {
    Node::string(quantity::duration_text(duration))
}

impl Commit {
    pub fn name(self) -> &'static str {
        match self {
            Commit::FirstToken => "first_token",
            Commit::Complete => "complete",
        }
    }
}

/// The document and its sections have a line for each field, what is deeper stays on it.
fn print(out: &mut String, node: &Node, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Unsigned(number) => out.push_str(&number.to_string()),
        Value::OtherNumber(number) => out.push_str(number),
        Value::String(text) => string(out, text),
        Value::List(nodes) => {
            out.push('[');
            for (index, node) in nodes.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                print(out, node, depth + 1);
            }
            out.push(']');
        }
        Value::Map(fields) => {
            let own_lines = depth < 2 && !fields.is_empty();
            out.push('{');
            for (index, field) in fields.iter().enumerate() {
                match (index, own_lines) {
                    (0, _) => {}
                    (_, true) => out.push(','),
                    (_, false) => out.push_str(", "),
                }
                if own_lines {
                    line(out, depth + 1);
                }
                string(out, &field.name);
                out.push_str(": ");
                print(out, &field.node, depth + 1);
            }
            if own_lines {
                line(out, depth);
            }
            out.push('}');
        }
    }
}

/// In ASCII only, so that the document survives whatever it is pasted into.
fn string(out: &mut String, text: &str) {
    let mut units = [0; 2];
    for character in json::escape(text).chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}
