//! Reads the facts of a model: what it can do, what it costs, how good it is, and how long there will be
//! such a model.

use super::Model;
use super::document::{Cursor, Fields};
use super::registry::{Capabilities, Capability, Date, Facts, Price, Quality};
use super::resolve::{Row, decimal, optional, reference, word, words};

/// Digits of a price behind the point: a micro-dollar is the smallest.
pub(super) const PRICE_PLACES: u32 = 6;
/// In micro-dollars. With its six digits behind the point any price fits a double exactly, which is what
/// JSON's numbers are read as.
pub(super) const MOST_DOLLARS: u64 = 1_000_000 * 1_000_000;
/// Qualities, weights and biases are thousandths.
pub(super) const SHARE_PLACES: u32 = 3;

/// The fields of a model that are facts.
pub(super) struct FactFields<'d> {
    capabilities: Option<Cursor<'d>>,
    price: Option<Cursor<'d>>,
    region: Option<Cursor<'d>>,
    tags: Option<Cursor<'d>>,
    tier: Option<Cursor<'d>>,
    quality: Option<Cursor<'d>>,
    deprecated: Option<Cursor<'d>>,
    retires: Option<Cursor<'d>>,
    replaced_by: Option<Cursor<'d>>,
}

impl<'d> FactFields<'d> {
    pub fn take(fields: &mut Fields<'d>) -> Self {
        FactFields {
            capabilities: fields.optional("capabilities"),
            price: fields.optional("price"),
            region: fields.optional("region"),
            tags: fields.optional("tags"),
            tier: fields.optional("tier"),
            quality: fields.optional("quality"),
            deprecated: fields.optional("deprecated"),
            retires: fields.optional("retires"),
            replaced_by: fields.optional("replaced_by"),
        }
    }

    /// `models` are the names of all; `region` is the provider's.
    pub fn read(&self, models: &[&str], region: Option<&str>) -> Option<Facts> {
        // All of them before the first that is wrong ends it: every problem is to be reported.
        let capabilities = optional(self.capabilities.as_ref(), capabilities);
        let price = optional(self.price.as_ref(), price);
        let own_region = optional(self.region.as_ref(), word);
        let tags = optional(self.tags.as_ref(), words);
        let tier = optional(self.tier.as_ref(), word);
        let quality = optional(self.quality.as_ref(), quality);
        let deprecated = optional(self.deprecated.as_ref(), date);
        let retires = optional(self.retires.as_ref(), date);
        let replaced_by = optional(self.replaced_by.as_ref(), |field| reference(field, "model", models));
        if let (Some(field), Some(Some(deprecated)), Some(Some(retires))) = (&self.retires, deprecated, retires)
            && retires < deprecated
        {
            field.problem(format!("this is before the day from which it is deprecated ({deprecated})"));
        }
        Some(Facts {
            capabilities: capabilities?,
            price: price?,
            region: own_region?.or_else(|| region.map(str::to_owned)),
            tags: tags?.unwrap_or_default(),
            tier: tier?,
            quality: quality?.unwrap_or_default(),
            deprecated: deprecated?,
            retires: retires?,
            replaced_by: replaced_by?,
        })
    }
}

/// Whoever follows the replacements of a model comes to an end.
pub(super) fn check_replacements(models: &[Row<'_, Model>]) {
    let next = |index: usize| models.get(index)?.value.as_ref()?.facts.replaced_by;
    // From which model each was reached first.
    let mut reached = vec![None; models.len()];
    for start in 0..models.len() {
        let mut at = start;
        while let Some(from @ None) = reached.get_mut(at) {
            *from = Some(start);
            match next(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        let is_round = reached.get(at) == Some(&Some(start)) && next(at).is_some();
        let field = models.get(at).filter(|_| is_round).and_then(|row| row.cursor.fields()?.optional("replaced_by"));
        if let Some(field) = field {
            field.problem("the replacements go round in a circle");
        }
    }
}

/// What is the weaker form of something is there with it.
const IMPLIED: &[(Capability, Capability)] = &[
    (Capability::ParallelTools, Capability::Tools),
    (Capability::StreamTools, Capability::Tools),
    // Who writes a list thinks of neither; providers that cannot fetch images refuse them where requests
    // are written.
    (Capability::ParallelTools, Capability::StreamTools),
    (Capability::Tools, Capability::StreamTools),
    (Capability::Images, Capability::ImageUrls),
    (Capability::JsonSchema, Capability::JsonObject),
];

fn capabilities(field: &Cursor<'_>) -> Option<Capabilities> {
    let mut capabilities = Capabilities::NONE;
    let mut complete = true;
    for element in field.elements()? {
        match element.choice("capability", Capability::ALL) {
            Some(capability) if capabilities.has(capability) => element.problem("this capability is written twice"),
            Some(capability) => capabilities = capabilities.with(capability),
            None => complete = false,
        }
    }
    let implied = IMPLIED.iter().filter(|(stronger, _)| capabilities.has(*stronger));
    let capabilities = implied.fold(capabilities, |all, (_, weaker)| all.with(*weaker));
    complete.then_some(capabilities)
}

fn price(field: &Cursor<'_>) -> Option<Price> {
    let mut fields = field.fields()?;
    let prices = PriceFields::take(&mut fields);
    let above = fields.optional("above");
    fields.finish();
    let price = prices.read();
    let above = optional(above.as_ref(), tiers);
    Some(Price { above: above?.unwrap_or_default(), ..price? })
}

/// What holds above a number of tokens, by that number.
fn tiers(field: &Cursor<'_>) -> Option<Vec<(u64, Price)>> {
    let mut tiers: Vec<(u64, Price)> = Vec::new();
    let mut complete = true;
    let mut last = 0;
    let entries = field.entries()?;
    if entries.is_empty() {
        field.problem("expected a number of tokens and what holds above it, as in {200000: {input: 4, output: 15}}");
    }
    for (name, cursor) in entries {
        let threshold = name.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == name);
        match threshold {
            None => cursor.name_problem("expected a number of tokens, as in 200000"),
            Some(tokens) if tokens <= last => {
                cursor.name_problem(format!("the numbers of tokens must rise, and {last} stands before this"));
            }
            Some(tokens) => last = tokens,
        }
        let price = cursor.fields().and_then(|mut fields| {
            let prices = PriceFields::take(&mut fields);
            fields.finish();
            prices.read()
        });
        match threshold.zip(price) {
            Some((tokens, price)) => tiers.push((tokens.into(), price)),
            None => complete = false,
        }
    }
    complete.then_some(tiers)
}

struct PriceFields<'d> {
    input: Option<Cursor<'d>>,
    cached_input: Option<Cursor<'d>>,
    cache_write: Option<Cursor<'d>>,
    output: Option<Cursor<'d>>,
}

impl<'d> PriceFields<'d> {
    fn take(fields: &mut Fields<'d>) -> Self {
        let hint = "dollars per million tokens";
        PriceFields {
            input: fields.required("input", hint),
            cached_input: fields.optional("cached_input"),
            cache_write: fields.optional("cache_write"),
            output: fields.required("output", hint),
        }
    }

    /// Without what holds for long prompts.
    fn read(&self) -> Option<Price> {
        let dollars = |field: &Option<Cursor<'_>>| optional(field.as_ref(), dollars);
        let (input, cached_input) = (dollars(&self.input), dollars(&self.cached_input));
        let (cache_write, output) = (dollars(&self.cache_write), dollars(&self.output));
        Some(Price {
            input: input??,
            cached_input: cached_input?,
            cache_write: cache_write?,
            output: output??,
            above: Vec::new(),
        })
    }
}

/// In micro-dollars.
pub(super) fn dollars(field: &Cursor<'_>) -> Option<u64> {
    decimal(field, PRICE_PLACES, 0..=MOST_DOLLARS, "dollars, from 0 to 1000000")
}

fn quality(field: &Cursor<'_>) -> Option<Quality> {
    let mut quality = Quality::default();
    let mut complete = true;
    for (task, cursor) in field.entries()? {
        let share = share(&cursor, "a quality");
        if !is_task(task) {
            cursor.name_problem(TASK_RULE);
        }
        match share {
            Some(share) if task == "default" => quality.default = Some(share),
            Some(share) => quality.tasks.push((task.to_owned(), share)),
            None => complete = false,
        }
    }
    complete.then_some(quality)
}

pub(super) const TASK_RULE: &str = "the name of a task is 1 to 64 letters, digits and any of - _ .";

/// Clients send it in a header.
pub(super) fn is_task(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// In thousandths.
pub(super) fn share(field: &Cursor<'_>, what: &str) -> Option<u16> {
    let parts = decimal(field, SHARE_PLACES, 0..=1_000, &format!("{what} from 0 to 1"))?;
    u16::try_from(parts).ok()
}

fn date(field: &Cursor<'_>) -> Option<Date> {
    let date = field.word().and_then(Date::parse);
    if date.is_none() {
        field.wrong_type("a day, as in 2026-12-11");
    }
    date
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::{Node, Report};
    use crate::config::quantity::decimal_text;

    #[test]
    fn prices_survive_json_to_the_last_digit() {
        let mut random = 1u64;
        for small in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for micro in [small, random % MOST_DOLLARS, MOST_DOLLARS - small] {
                let text = decimal_text(micro, PRICE_PLACES);
                let node = Node::from_json(text.as_bytes()).unwrap();
                let report = Report::default();
                assert_eq!(dollars(&Cursor::new(&node, &report)), Some(micro), "{text}");
            }
        }
    }
}
