//! How much a model is to think: one word of the client's in the many ways of the makers.

use std::borrow::Cow;

use super::request::Additional;
use super::{Maker, Thinks};
use crate::chat::ChatRequest;
use crate::chat::request::ToolChoice;
use crate::error::Rejection;
use crate::json::{self, Type};
use crate::provider::{Reasoning, Target};

/// OpenAI's words in ascending order, and how many tokens of thinking each stands for.
const LEVELS: &[(&str, u64)] = &[
    ("none", 0),
    ("minimal", 1024),
    ("low", 2048),
    ("medium", 8192),
    ("high", 16_384),
    ("xhigh", 32_768),
    ("max", u64::MAX),
];

/// The smallest budget that Claude takes.
const LEAST_BUDGET: u64 = 1024;

const NAME: &str = "reasoning_effort";

/// What is asked of the model's thinking.
#[derive(Default)]
pub struct Reasoned {
    /// Whether Claude is to think, so that its sampling may not be changed.
    pub claude_thinks: bool,
    /// Whether Nova is to think hard, for which it wants to choose length and sampling itself.
    pub nova_thinks_hard: bool,
    /// Whether thoughts of earlier turns go back to the model.
    pub keeps_thoughts: bool,
    /// `outputConfig.effort`
    pub effort: Option<&'static str>,
}

/// What has to be known of the rest of the request.
pub struct Around<'c> {
    pub max_tokens: Option<u64>,
    pub choice: Option<&'c ToolChoice<'c>>,
    /// Whether the conversation ends with results of calls that came without signed thoughts.
    pub unthought_results: bool,
}

pub fn read(
    chat: &ChatRequest<'_>,
    target: &Target,
    maker: &Maker,
    around: &Around<'_>,
    additional: &mut Additional,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<Reasoned, Rejection> {
    let mut reasoned = Reasoned::default();
    let level = level(chat)?;
    // What the client says in the maker's own words holds.
    if let Some(thinking) = chat.field("thinking").filter(|_| maker.thinks == Thinks::Claude) {
        reasoned.claude_thinks = json::type_of(thinking) == Type::Object && !thinking.get().contains("\"disabled\"");
        reasoned.keeps_thoughts = reasoned.claude_thinks;
        reasoned.effort = level.map(effort);
        return Ok(reasoned);
    }
    if let Some(config) = chat.field("reasoningConfig").filter(|_| maker.thinks == Thinks::Nova) {
        reasoned.nova_thinks_hard = config.get().contains("\"high\"");
        dropped.extend(level.map(|_| NAME.into()));
        return Ok(reasoned);
    }
    let Some(mode) = target.reasoning else {
        dropped.extend(level.map(|_| NAME.into()));
        return Ok(reasoned);
    };
    // Some models think unasked, and want their thoughts back.
    reasoned.keeps_thoughts = maker.thinks == Thinks::Claude && mode != Reasoning::Budget;
    let Some(level) = level else { return Ok(reasoned) };
    let (word, _) = level;
    match (maker.thinks, mode) {
        (Thinks::Claude, Reasoning::Adaptive | Reasoning::Switch) if word == "none" => {
            // It can be told to think little, but not every model not to think at all.
            reasoned.keeps_thoughts = false;
            reasoned.effort = Some("low");
            dropped.push(NAME.into());
        }
        (Thinks::Claude, Reasoning::Adaptive | Reasoning::Switch) => {
            reasoned.claude_thinks = true;
            // Newer models keep their thoughts to themselves unless they are asked for a summary.
            additional.add("thinking", r#"{"type":"adaptive","display":"summarized"}"#);
            reasoned.effort = (mode == Reasoning::Adaptive).then(|| effort(level));
        }
        (Thinks::Claude, Reasoning::Budget) => match budget(level, around) {
            Some(0) => {}
            Some(budget) => {
                reasoned.claude_thinks = true;
                reasoned.keeps_thoughts = true;
                additional.add("thinking", &format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#));
            }
            None => dropped.push(NAME.into()),
        },
        (Thinks::Claude | Thinks::Effort, _) => match word {
            "none" => dropped.push(NAME.into()),
            _ => reasoned.effort = Some(effort(level)),
        },
        (Thinks::Nova, _) => {
            let config = match word {
                "none" => r#"{"type":"disabled"}"#,
                "minimal" | "low" => r#"{"type":"enabled","maxReasoningEffort":"low"}"#,
                "medium" => r#"{"type":"enabled","maxReasoningEffort":"medium"}"#,
                _ => r#"{"type":"enabled","maxReasoningEffort":"high"}"#,
            };
            reasoned.nova_thinks_hard = config.contains("high");
            additional.add("reasoningConfig", config);
        }
        (Thinks::GptOss, _) => match word {
            "none" => dropped.push(NAME.into()),
            "minimal" | "low" => additional.add("reasoning_effort", "\"low\""),
            "medium" => additional.add("reasoning_effort", "\"medium\""),
            _ => additional.add("reasoning_effort", "\"high\""),
        },
        (Thinks::Gpt, _) => additional.add("reasoning", &format!(r#"{{"effort":"{word}"}}"#)),
    }
    Ok(reasoned)
}

type Level = (&'static str, u64);

fn level(chat: &ChatRequest<'_>) -> Result<Option<Level>, Rejection> {
    let Some(word) = chat.string(NAME)? else { return Ok(None) };
    let word = word.decode();
    let level = LEVELS.iter().find(|(known, _)| *known == word).copied();
    level.map(Some).ok_or_else(|| {
        let known: Vec<_> = LEVELS.iter().map(|(word, _)| *word).collect();
        Rejection::invalid(NAME, format!("'{word}' is not one of: {}.", known.join(", ")))
    })
}

/// `outputConfig.effort`: low, medium, high, xhigh and max.
fn effort((word, _): Level) -> &'static str {
    match word {
        "none" | "minimal" => "low",
        word => word,
    }
}

/// The tokens to think with, 0 for none at all. `None` where it cannot be: too few tokens are left, a call is forced,
/// or the calls that are being answered came without thoughts, which Claude refuses (extended thinking with tool use).
fn budget((_, budget): Level, around: &Around<'_>) -> Option<u64> {
    if budget == 0 {
        return Some(0);
    }
    let forced = matches!(
        around.choice,
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
    );
    let room = around.max_tokens.map_or(64_000, |most| most.saturating_sub(1));
    let budget = budget.min(room);
    (budget >= LEAST_BUDGET && !forced && !around.unthought_results).then_some(budget)
}
