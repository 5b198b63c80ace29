//! Reads a route: its targets and how it chooses among them, or several variants of both side by side.

use super::document::{Cursor, Fields};
use super::facts::{SHARE_PLACES, TASK_RULE, dollars, is_task, share};
use super::registry::{Rank, RouteTarget, Sticky, Variant};
use super::resolve::{duration, optional, reference, version, word, words};
use super::{Commit, Route, quantity};

/// `models` are the names of all; `document` is the document's version, which a policy has if it says none.
pub(super) fn route(name: &str, cursor: &Cursor<'_>, models: &[&str], document: &str) -> Option<Route> {
    let mut fields = cursor.fields()?;
    let single = VariantFields::take(&mut fields);
    let variants_field = fields.optional("variants");
    let commit_field = fields.optional("commit");
    fields.finish();

    let commit = optional(commit_field.as_ref(), |field| {
        field.choice("commit point", &[Commit::FirstToken, Commit::Complete].map(|commit| (commit.name(), commit)))
    });
    let variants = match &variants_field {
        Some(field) => {
            for (name, field) in
                [("targets", &single.targets), ("policy", &single.policy), ("version", &single.version)]
            {
                if let Some(field) = field {
                    field.name_problem(format!("the route has `variants`: `{name}` belongs into each of them"));
                }
            }
            variants(field, models)
        }
        None => {
            single.require_targets(cursor);
            single.read(models, Some(document), 1).map(|variant| vec![variant])
        }
    };
    Some(Route { name: name.to_owned(), variants: variants?, commit: commit?.unwrap_or(Commit::FirstToken) })
}

fn variants(field: &Cursor<'_>, models: &[&str]) -> Option<Vec<Variant>> {
    let elements = field.elements()?;
    let mut variants: Vec<Variant> = Vec::new();
    for element in &elements {
        let variant = element.fields().and_then(|mut fields| {
            let written = VariantFields::take(&mut fields);
            let weight_field = fields.optional("weight");
            fields.finish();
            written.require_targets(element);
            if written.version.is_none() {
                element.name_problem("`version` is missing: it tells the answers of one variant from those of others");
            }
            let weight = optional(weight_field.as_ref(), weight);
            let variant = written.read(models, None, weight.flatten().unwrap_or(1));
            weight.and(variant)
        });
        if let Some(variant) = variant {
            if variants.iter().any(|other| other.version == variant.version) {
                element.problem(format!("there is a variant of version {} already", variant.version));
            }
            variants.push(variant);
        }
    }
    if elements.is_empty() {
        field.problem("a route has one variant at least");
    }
    if variants.len() != elements.len() || variants.is_empty() {
        return None;
    }
    if variants.iter().all(|variant| variant.weight == 0) {
        field.problem("the weights are all 0, so that none would be chosen");
    }
    Some(variants)
}

/// The fields that a route has itself, or each of its variants.
struct VariantFields<'d> {
    targets: Option<Cursor<'d>>,
    policy: Option<Cursor<'d>>,
    version: Option<Cursor<'d>>,
}

impl<'d> VariantFields<'d> {
    fn take(fields: &mut Fields<'d>) -> Self {
        VariantFields {
            targets: fields.optional("targets"),
            policy: fields.optional("policy"),
            version: fields.optional("version"),
        }
    }

    fn require_targets(&self, of: &Cursor<'_>) {
        if self.targets.is_none() {
            of.name_problem("`targets` is missing: a list of names of `models`, in the order to try them");
        }
    }

    fn read(&self, models: &[&str], default_version: Option<&str>, weight: u32) -> Option<Variant> {
        let version = optional(self.version.as_ref(), version);
        let targets = self.targets.as_ref().and_then(|field| targets(field, models));
        let has_weights = targets.iter().flatten().any(|written| written.weight.is_some());
        let policy = match &self.policy {
            Some(field) => policy(field, has_weights),
            None => Some(Policy::of(default_rank(has_weights))),
        };
        if let (Some(targets), Some(policy)) = (&targets, &policy) {
            check_numbers(targets, policy.rank);
        }
        let targets: Vec<_> = targets?.into_iter().map(|written| written.target).collect();
        let policy = policy?;
        if let Some(field) = &self.targets
            && policy.rank == Rank::Weighted
            && targets.iter().all(|target| target.weight == 0)
        {
            field.problem("the weights are all 0, so that none would be chosen");
        }
        Some(Variant {
            version: version?.as_deref().or(default_version)?.into(),
            weight,
            rank: policy.rank,
            targets,
            max_cost: policy.max_cost,
            max_first_token: policy.max_first_token,
            region: policy.region,
            tags: policy.tags,
            task: policy.task,
            sticky: policy.sticky,
        })
    }
}

fn default_rank(has_weights: bool) -> Rank {
    if has_weights { Rank::Weighted } else { Rank::Ordered }
}

struct WrittenTarget<'d> {
    target: RouteTarget,
    weight: Option<Cursor<'d>>,
    bias: Option<Cursor<'d>>,
}

fn targets<'d>(field: &Cursor<'d>, models: &[&str]) -> Option<Vec<WrittenTarget<'d>>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        field.problem("a route has one target at least");
    }
    let mut targets: Vec<WrittenTarget<'_>> = Vec::new();
    let mut complete = !elements.is_empty();
    for element in &elements {
        match target(element, models) {
            Some(written) if targets.iter().any(|other| other.target.model == written.target.model) => {
                element.problem("this target is written twice");
            }
            Some(written) => targets.push(written),
            None => complete = false,
        }
    }
    complete.then_some(targets)
}

fn target<'d>(element: &Cursor<'d>, models: &[&str]) -> Option<WrittenTarget<'d>> {
    if !element.is_map() {
        if element.word().is_none() {
            element.wrong_type("the name of a model, or {model: NAME, weight: 5}");
            return None;
        }
        let model = reference(element, "model", models)?;
        return Some(WrittenTarget { target: RouteTarget { model, weight: 1, bias: 0 }, weight: None, bias: None });
    }
    let mut fields = element.fields()?;
    let model_field = fields.required("model", "the name of one of `models`");
    let weight_field = fields.optional("weight");
    let bias_field = fields.optional("bias");
    fields.finish();
    let model = model_field.and_then(|field| reference(&field, "model", models));
    let weight = optional(weight_field.as_ref(), weight);
    let bias = optional(bias_field.as_ref(), bias);
    let target = RouteTarget { model: model?, weight: weight?.unwrap_or(1), bias: bias?.unwrap_or(0) };
    Some(WrittenTarget { target, weight: weight_field, bias: bias_field })
}

/// A number that nothing would read is a mistake.
fn check_numbers(targets: &[WrittenTarget<'_>], rank: Rank) {
    for target in targets {
        if let (Some(field), Rank::Ordered | Rank::Score { .. }) = (&target.weight, rank) {
            field.name_problem("a weight counts only where the policy is `weighted`");
        }
        if let (Some(field), Rank::Ordered | Rank::Weighted) = (&target.bias, rank) {
            field.name_problem("a bias counts only where the policy is a score");
        }
    }
}

fn weight(field: &Cursor<'_>) -> Option<u32> {
    // Fine enough for any share.
    field.unsigned(0..=1_000_000).and_then(|weight| u32::try_from(weight).ok())
}

/// In thousandths.
fn bias(field: &Cursor<'_>) -> Option<i32> {
    let expected = "a bias from -1 to 1";
    let Some(text) = field.number() else {
        field.wrong_type(expected);
        return None;
    };
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.as_ref()),
    };
    let parts = quantity::decimal(text, SHARE_PLACES).map_err(|error| field.problem(error)).ok()?;
    match i32::try_from(parts) {
        Ok(parts @ 0..=1_000) => Some(sign * parts),
        _ => {
            field.wrong_type(expected);
            None
        }
    }
}

struct Policy {
    rank: Rank,
    max_cost: Option<u64>,
    max_first_token: Option<std::time::Duration>,
    region: Option<String>,
    tags: Vec<String>,
    task: Option<String>,
    sticky: Sticky,
}

impl Policy {
    fn of(rank: Rank) -> Self {
        Policy {
            rank,
            max_cost: None,
            max_first_token: None,
            region: None,
            tags: Vec::new(),
            task: None,
            sticky: Sticky::User,
        }
    }
}

/// Those that are a word; a score also says what counts how much.
pub(super) const RANKS: &[(&str, Rank)] = &[
    ("ordered", Rank::Ordered),
    ("weighted", Rank::Weighted),
    ("cheapest", Rank::CHEAPEST),
    ("fastest", Rank::FASTEST),
];

const SCORE: &str = "score";

/// A word, or a map with a rank and what holds besides.
fn policy(field: &Cursor<'_>, has_weights: bool) -> Option<Policy> {
    if field.word() == Some(SCORE) {
        field.problem("a score must say what counts: {rank: score, weights: {cost: 0.6, latency: 0.3, quality: 0.1}}");
        return None;
    }
    if field.word().is_some() {
        return field.choice("policy", RANKS).map(Policy::of);
    }
    if !field.is_map() {
        field.wrong_type("a policy: ordered, weighted, cheapest, fastest, or a map with `rank`");
        return None;
    }
    let mut fields = field.fields()?;
    let rank_field = fields.optional("rank");
    let weights_field = fields.optional("weights");
    let max_cost = fields.optional("max_cost");
    let max_first_token = fields.optional("max_first_token");
    let region = fields.optional("region");
    let tags = fields.optional("tags");
    let task_field = fields.optional("task");
    let sticky_field = fields.optional("sticky");
    fields.finish();

    let rank = rank(field, rank_field.as_ref(), weights_field.as_ref(), has_weights);
    let max_cost = optional(max_cost.as_ref(), dollars);
    let max_first_token = optional(max_first_token.as_ref(), duration);
    let region = optional(region.as_ref(), word);
    let tags = optional(tags.as_ref(), words);
    let task = optional(task_field.as_ref(), task);
    let sticky = optional(sticky_field.as_ref(), sticky);
    Some(Policy {
        rank: rank?,
        max_cost: max_cost?,
        max_first_token: max_first_token?,
        region: region?,
        tags: tags?.unwrap_or_default(),
        task: task?,
        sticky: sticky?.unwrap_or_default(),
    })
}

fn rank(
    policy: &Cursor<'_>,
    field: Option<&Cursor<'_>>,
    weights_field: Option<&Cursor<'_>>,
    has_weights: bool,
) -> Option<Rank> {
    let named = match field {
        None => None,
        Some(field) => {
            let score = Some((SCORE, None));
            let ranks = RANKS.iter().map(|(name, rank)| (*name, Some(*rank))).chain(score);
            Some(field.choice("rank", &ranks.collect::<Vec<_>>())?)
        }
    };
    match (named, weights_field) {
        (None | Some(None), Some(weights_field)) => weights(weights_field),
        (Some(None), None) => {
            policy.problem("`weights` is missing: what counts how much, as in {cost: 0.6, latency: 0.3, quality: 0.1}");
            None
        }
        (Some(Some(rank)), Some(weights_field)) => {
            weights_field.name_problem("only a score has weights; those of targets stand with them");
            Some(rank)
        }
        (Some(Some(rank)), None) => Some(rank),
        (None, None) => Some(default_rank(has_weights)),
    }
}

fn weights(field: &Cursor<'_>) -> Option<Rank> {
    let mut fields = field.fields()?;
    let [cost, latency, quality] = ["cost", "latency", "quality"].map(|name| fields.optional(name));
    fields.finish();
    let weight = |field: Option<Cursor<'_>>| match field {
        Some(field) => share(&field, "a weight"),
        None => Some(0),
    };
    let (cost, latency, quality) = (weight(cost), weight(latency), weight(quality));
    let (cost, latency, quality) = (cost?, latency?, quality?);
    if (cost, latency, quality) == (0, 0, 0) {
        field.problem("one of `cost`, `latency` and `quality` must be more than 0");
    }
    Some(Rank::Score { cost, latency, quality })
}

fn task(field: &Cursor<'_>) -> Option<String> {
    let name = field.string()?;
    if !is_task(name) {
        field.problem(TASK_RULE);
        return None;
    }
    Some(name.to_owned())
}

/// A word, or the name of a header.
fn sticky(field: &Cursor<'_>) -> Option<Sticky> {
    if let Some(("header", value)) = field.variant() {
        let name = value.string()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            value.problem("the name of a header is 1 to 64 letters, digits and any of - _");
            return None;
        }
        return Some(Sticky::Header(name.to_ascii_lowercase()));
    }
    if field.word().is_none() {
        field.wrong_type("user, conversation or {header: NAME}");
        return None;
    }
    let named = field.choice("way to be sticky", &[("user", false), ("conversation", true)])?;
    Some(if named { Sticky::Conversation } else { Sticky::User })
}
