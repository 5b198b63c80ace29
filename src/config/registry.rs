//! What is known of a model beside how it is called: what it can do, what it costs, how good it is, and
//! how long there will be such a model. And how a route chooses among its targets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something that a request may need of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    Tools,
    ParallelTools,
    /// Tools in a streamed answer.
    StreamTools,
    /// As data.
    Images,
    /// By their address, fetched by the provider.
    ImageUrls,
    Audio,
    /// PDF documents.
    Pdf,
    /// Other files.
    Files,
    JsonObject,
    JsonSchema,
    Reasoning,
    Logprobs,
    /// More than one choice.
    N,
}

impl Capability {
    pub const ALL: &'static [(&'static str, Capability)] = &[
        ("tools", Capability::Tools),
        ("parallel_tools", Capability::ParallelTools),
        ("stream_tools", Capability::StreamTools),
        ("images", Capability::Images),
        ("image_urls", Capability::ImageUrls),
        ("audio", Capability::Audio),
        ("pdf", Capability::Pdf),
        ("files", Capability::Files),
        ("json_object", Capability::JsonObject),
        ("json_schema", Capability::JsonSchema),
        ("reasoning", Capability::Reasoning),
        ("logprobs", Capability::Logprobs),
        ("n", Capability::N),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

impl Capabilities {
    pub const NONE: Capabilities = Capabilities(0);

    pub fn with(self, capability: Capability) -> Self {
        Capabilities(self.0 | 1 << capability as u16)
    }

    pub fn has(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u16 != 0
    }

    /// What is in this set and not in the other.
    pub fn without(self, other: Capabilities) -> Self {
        Capabilities(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().map(|(_, capability)| *capability).filter(move |capability| self.has(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Prices in micro-dollars per million tokens: a price of 2.5 dollars is 2,500,000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    /// `None`: as `input`.
    pub cached_input: Option<u64>,
    /// `None`: as `input`.
    pub cache_write: Option<u64>,
    pub output: u64,
    /// What holds for the whole request once its prompt is longer than so many tokens, in rising order.
    pub above: Vec<(u64, Price)>,
}

/// How good a model is, from 0 to 1,000, by task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// For tasks that are not named.
    pub default: Option<u16>,
    pub tasks: Vec<(String, u16)>,
}

impl Quality {
    pub fn of(&self, task: Option<&str>) -> Option<u16> {
        let named = task.and_then(|task| self.tasks.iter().find(|(name, _)| name == task));
        named.map(|(_, quality)| *quality).or(self.default)
    }
}

/// A day, in days since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub u32);

impl Date {
    /// `now`: since the Unix epoch.
    pub fn of(now: Duration) -> Self {
        Date(u32::try_from(now.as_secs() / 86_400).unwrap_or(u32::MAX))
    }

    /// `2026-12-11`.
    pub fn parse(text: &str) -> Option<Self> {
        let time = humantime::parse_rfc3339_weak(&format!("{text} 00:00:00")).ok().filter(|_| text.len() == 10)?;
        Some(Date::of(time.duration_since(std::time::UNIX_EPOCH).ok()?))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(u64::from(self.0) * 86_400);
        let text = humantime::format_rfc3339_seconds(time).to_string();
        f.write_str(text.get(..10).unwrap_or_default())
    }
}

/// The facts of one model; what is not known holds nothing against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `None`: not known, so that it counts as capable of everything.
    pub capabilities: Option<Capabilities>,
    pub price: Option<Price>,
    /// The model's own, or its provider's.
    pub region: Option<String>,
    /// What an operator wants to choose by.
    pub tags: Vec<String>,
    /// The class of models that it belongs to; failover stays in it where it can.
    pub tier: Option<String>,
    pub quality: Quality,
    /// From then on there is a warning.
    pub deprecated: Option<Date>,
    /// From then on it gets no new conversations.
    pub retires: Option<Date>,
    /// Index into [`super::Config::models`].
    pub replaced_by: Option<usize>,
}

/// One way to choose among targets. A route has several of them to try one against the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// On every answer.
    pub version: Arc<str>,
    /// Its share among the variants of the route.
    pub weight: u32,
    pub rank: Rank,
    pub targets: Vec<RouteTarget>,
    /// The most that a request may cost, in micro-dollars.
    pub max_cost: Option<u64>,
    pub max_first_token: Option<Duration>,
    pub region: Option<String>,
    /// All of them.
    pub tags: Vec<String>,
    /// What the route is used for, where a request does not say.
    pub task: Option<String>,
    pub sticky: Sticky,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// Index into [`super::Config::models`].
    pub model: usize,
    /// Its share, where targets are chosen by weight.
    pub weight: u32,
    /// Added to its score, in thousandths; negative against it.
    pub bias: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// As written.
    Ordered,
    /// By shares.
    Weighted,
    /// By what is best; weights in thousandths.
    Score { cost: u16, latency: u16, quality: u16 },
}

impl Rank {
    pub const CHEAPEST: Rank = Rank::Score { cost: 1000, latency: 0, quality: 0 };
    pub const FASTEST: Rank = Rank::Score { cost: 0, latency: 1000, quality: 0 };
}

/// What a weighted choice is the same for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sticky {
    /// The request's `user` (or `safety_identifier`), or else its conversation.
    #[default]
    User,
    /// The beginning of its messages.
    Conversation,
    /// The value of a header.
    Header(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        for text in ["1970-01-01", "2026-12-11", "2028-02-29"] {
            assert_eq!(Date::parse(text).unwrap().to_string(), text);
        }
        for text in ["2026-13-01", "2026-1-1", "20261211", "2026-12-11T00", "1969-12-31", ""] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(Date::of(Duration::from_secs(86_400)), Date(1));
    }

    #[test]
    fn a_set_knows_what_is_missing() {
        let needs = Capabilities::from_iter([Capability::Tools, Capability::N]);
        let has = Capabilities::NONE.with(Capability::Tools);
        assert_eq!(needs.without(has).iter().map(Capability::name).collect::<Vec<_>>(), ["n"]);
        assert!(has.without(needs).is_empty());
    }
}
