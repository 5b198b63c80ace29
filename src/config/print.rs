//! The resolved document as JSON: every default filled in, a stable order, a line for each provider,
//! model and route. It is what the module is configured with, so it must read back as the same.

use crate::json;
use crate::provider::{Auth, Reasoning};

use super::document::{Node, Value};
use super::facts::{PRICE_PLACES, SHARE_PLACES};
use super::registry::{Price, Quality, Rank, RouteTarget, Sticky, Variant};
use super::routes::RANKS;
use super::{Clients, Commit, Config, Credential, Limits, Model, Provider, Route, quantity};

pub fn to_json(config: &Config) -> String {
    let mut out = String::new();
    print(&mut out, &document(config), 0);
    out.push('\n');
    out
}

impl Node {
    /// As JSON on one line.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        print(&mut out, self, LINES);
        out
    }
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
    if let Some(provider) = config.usual() {
        fields.push(("usual_provider", Node::string(&provider.name)));
    }
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
    if provider.auth == Auth::Bearer && provider.kind.auth != Auth::Bearer {
        fields.push(("auth", Node::string("bearer")));
    }
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
    let facts = &model.facts;
    if let Some(capabilities) = facts.capabilities {
        let names = capabilities.iter().map(|capability| Node::string(capability.name()));
        fields.push(("capabilities", Node::list(names)));
    }
    let named = Reasoning::ALL.iter().find(|(_, form)| Some(*form) == model.reasoning);
    let reasoning = named.map_or(Value::Bool(false).into(), |(name, _)| Node::string(*name));
    fields.push(("reasoning", reasoning));
    if !model.efforts.is_empty() {
        fields.push(("efforts", Node::list(model.efforts.iter().map(|effort| Node::string(effort.name())))));
    }
    fields.push(("sampling", Node::list(model.sampling.iter().map(|sampling| Node::string(sampling.name())))));
    if let Some(price) = &facts.price {
        fields.push(("price", price_node(price)));
    }
    if let Some(region) = &facts.region {
        fields.push(("region", Node::string(region)));
    }
    if !facts.tags.is_empty() {
        fields.push(("tags", Node::list(facts.tags.iter().map(Node::string))));
    }
    if let Some(tier) = &facts.tier {
        fields.push(("tier", Node::string(tier)));
    }
    if facts.quality != Quality::default() {
        let default = facts.quality.default.map(|quality| ("default", share(quality)));
        let tasks = facts.quality.tasks.iter().map(|(task, quality)| (task.as_str(), share(*quality)));
        fields.push(("quality", Node::map(default.into_iter().chain(tasks))));
    }
    for (name, date) in [("deprecated", facts.deprecated), ("retires", facts.retires)] {
        if let Some(date) = date {
            fields.push((name, Node::string(date.to_string())));
        }
    }
    if let Some(replacement) = facts.replaced_by.and_then(|index| config.models.get(index)) {
        fields.push(("replaced_by", Node::string(&replacement.name)));
    }
    let limits = [("first_token", duration(model.first_token)), ("answer", duration(model.answer))];
    fields.push(("limits", Node::map(limits)));
    Node::map(fields)
}

fn price_node(price: &Price) -> Node {
    let some = |name: &'static str, price: Option<u64>| price.map(|price| (name, dollars(price)));
    let fields = [
        some("input", Some(price.input)),
        some("cached_input", price.cached_input),
        some("cache_write", price.cache_write),
        some("output", Some(price.output)),
    ];
    let tiers: Vec<_> = price.above.iter().map(|(tokens, price)| (tokens.to_string(), price_node(price))).collect();
    let above = Node::map(tiers.iter().map(|(tokens, price)| (tokens.as_str(), price.clone())));
    let above = Some(("above", above)).filter(|_| !tiers.is_empty());
    Node::map(fields.into_iter().flatten().chain(above))
}

fn dollars(micro: u64) -> Node {
    Value::OtherNumber(quantity::decimal_text(micro, PRICE_PLACES)).into()
}

fn share(thousandths: u16) -> Node {
    Value::OtherNumber(quantity::decimal_text(thousandths.into(), SHARE_PLACES)).into()
}

fn route(config: &Config, route: &Route) -> Node {
    let commit = ("commit", Node::string(route.commit.name()));
    match route.variants.as_slice() {
        [single] => Node::map(variant(config, single).into_iter().chain([commit])),
        variants => {
            let weighted = |row: &Variant| {
                let weight = ("weight", Value::Unsigned(row.weight.into()).into());
                Node::map(variant(config, row).into_iter().chain([weight]))
            };
            Node::map([("variants", Node::list(variants.iter().map(weighted))), commit])
        }
    }
}

fn variant(config: &Config, variant: &Variant) -> Vec<(&'static str, Node)> {
    let targets = variant.targets.iter().filter_map(|row| target(config, row, variant.rank));
    vec![("version", Node::string(&*variant.version)), ("targets", Node::list(targets)), ("policy", policy(variant))]
}

/// With the numbers that this rank reads, and no others: they would be refused.
fn target(config: &Config, target: &RouteTarget, rank: Rank) -> Option<Node> {
    let name = Node::string(&config.models.get(target.model)?.name);
    let number = match rank {
        Rank::Weighted => Some(("weight", Value::Unsigned(target.weight.into()))),
        Rank::Score { .. } if target.bias != 0 => {
            let sign = if target.bias < 0 { "-" } else { "" };
            let bias = quantity::decimal_text(target.bias.unsigned_abs().into(), SHARE_PLACES);
            Some(("bias", Value::OtherNumber(format!("{sign}{bias}"))))
        }
        _ => None,
    };
    Some(match number {
        Some((field, number)) => Node::map([("model", name), (field, number.into())]),
        None => name,
    })
}

fn policy(variant: &Variant) -> Node {
    let mut fields = match (RANKS.iter().find(|(_, rank)| *rank == variant.rank), variant.rank) {
        (None, Rank::Score { cost, latency, quality }) => {
            let weights = [("cost", share(cost)), ("latency", share(latency)), ("quality", share(quality))];
            vec![("rank", Node::string("score")), ("weights", Node::map(weights))]
        }
        (named, _) => vec![("rank", Node::string(named.map_or("ordered", |(name, _)| name)))],
    };
    if let Some(cost) = variant.max_cost {
        fields.push(("max_cost", dollars(cost)));
    }
    if let Some(limit) = variant.max_first_token {
        fields.push(("max_first_token", duration(limit)));
    }
    if let Some(region) = &variant.region {
        fields.push(("region", Node::string(region)));
    }
    if !variant.tags.is_empty() {
        fields.push(("tags", Node::list(variant.tags.iter().map(Node::string))));
    }
    if let Some(task) = &variant.task {
        fields.push(("task", Node::string(task)));
    }
    let sticky = match &variant.sticky {
        Sticky::User => Node::string("user"),
        Sticky::Conversation => Node::string("conversation"),
        Sticky::Header(name) => Node::map([("header", Node::string(name))]),
    };
    fields.push(("sticky", sticky));
    Node::map(fields)
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
        ("breaker", Value::Bool(limits.breaker).into()),
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

/// How deep fields have lines of their own: the document and its sections.
const LINES: usize = 2;

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
            let own_lines = depth < LINES && !fields.is_empty();
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
