//! How hard a model is asked to think (`reasoning_effort`): OpenAI's words, and which of them a model has.

use serde::Serialize;

use super::Target;
use super::parameters::Dropped;
use crate::chat::ChatRequest;
use crate::error::Rejection;

const NAME: &str = "reasoning_effort";

/// The least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    pub const ALL: &'static [(&'static str, Effort)] = &[
        ("none", Effort::None),
        ("minimal", Effort::Minimal),
        ("low", Effort::Low),
        ("medium", Effort::Medium),
        ("high", Effort::High),
        ("xhigh", Effort::XHigh),
        ("max", Effort::Max),
    ];

    pub fn name(self) -> &'static str {
        Effort::ALL.iter().find(|(_, effort)| *effort == self).map_or("", |(name, _)| name)
    }

    pub fn named(word: &str) -> Option<Self> {
        Effort::ALL.iter().find(|(name, _)| *name == word).map(|(_, effort)| *effort)
    }

    /// What a client asks for.
    pub fn read(chat: &ChatRequest<'_>) -> Result<Option<Self>, Rejection> {
        let Some(word) = chat.string(NAME)? else { return Ok(None) };
        let word = word.decode();
        Effort::named(&word).map(Some).ok_or_else(|| {
            let known: Vec<_> = Effort::ALL.iter().map(|(name, _)| *name).collect();
            Rejection::invalid(NAME, format!("'{word}' is not one of: {}.", known.join(", ")))
        })
    }

    /// The same, as near as a model has it; that it is not the same is named.
    pub fn of(self, target: &Target, dropped: &mut Dropped) -> Self {
        let nearest = self.nearest(&target.efforts);
        if nearest != self {
            dropped.push(NAME.into());
        }
        nearest
    }

    /// The next below it that a model has, or the least with which it thinks; itself where nothing is known. A model
    /// that cannot be told not to think is told to think as little as it can.
    pub fn nearest(self, offered: &[Effort]) -> Self {
        if offered.is_empty() || offered.contains(&self) {
            return self;
        }
        let thinking = || offered.iter().copied().filter(|effort| *effort != Effort::None);
        thinking().filter(|effort| *effort < self).max().or(thinking().min()).unwrap_or(Effort::None)
    }

    /// How many tokens it stands for. What gateways have settled on; no vendor documents a table.
    pub fn tokens(self) -> u64 {
        match self {
            Effort::None => 0,
            Effort::Minimal => 1 << 10,
            Effort::Low => 2 << 10,
            Effort::Medium => 8 << 10,
            Effort::High => 16 << 10,
            Effort::XHigh => 32 << 10,
            Effort::Max => u64::MAX,
        }
    }

    /// The same where a model may be left to think for as long as it wants, as it is from `high` on.
    pub fn budget(self) -> Option<u64> {
        (self < Effort::High).then(|| self.tokens())
    }

    /// Claude's word for it (`output_config.effort` of the Messages API, `outputConfig.effort` of Converse).
    pub fn claudes(self) -> Option<&'static str> {
        match self {
            Effort::None => None,
            Effort::Minimal => Some(Effort::Low.name()),
            effort => Some(effort.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_does_not_have_is_the_next_below_or_the_least() {
        use Effort::{High, Low, Max, Medium, Minimal, XHigh};
        for (asked, offered, expected) in [
            (XHigh, &[Low, Medium, High, Max][..], High),
            (Minimal, &[Low, High], Low),
            (Effort::None, &[Low, High], Low),
            (Effort::None, &[Effort::None, High], Effort::None),
            (Low, &[Effort::None, High], High),
            (Max, &[Effort::None], Effort::None),
            (Max, &[], Max),
            (Medium, &[Medium], Medium),
        ] {
            assert_eq!(asked.nearest(offered), expected, "{asked:?} of {offered:?}");
        }
        assert!(
            Effort::ALL.iter().all(|(name, effort)| Effort::named(name) == Some(*effort) && effort.name() == *name)
        );
        assert_eq!(Effort::named("hard"), None);
    }
}
