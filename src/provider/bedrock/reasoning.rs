//! How much a model is to think: one word of the client's in the many ways of the makers.

use std::borrow::Cow;

use super::request::Additional;
use super::{Maker, Thinks};
use crate::chat::ChatRequest;
use crate::chat::request::ToolChoice;
use crate::error::Rejection;
use crate::json::RawValue;
use crate::provider::{Effort, Reasoning, Target};

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
    /// Whether the conversation ends with results of calls that came without this model's thoughts.
    pub unthought_results: bool,
}

/// Reads what a request says of thinking. What it says in the maker's own words is among `additional` already.
pub fn read(
    chat: &ChatRequest<'_>,
    target: &Target,
    maker: &Maker,
    around: &Around<'_>,
    additional: &mut Additional,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<Reasoned, Rejection> {
    let effort = Effort::read(chat)?;
    let own = match maker.thinks {
        Thinks::Claude => chat.field("thinking"),
        Thinks::Nova => chat.field("reasoningConfig"),
        Thinks::GptOss | Thinks::Gpt | Thinks::Effort => None,
    };
    let mut reasoned = match (own, target.reasoning, effort) {
        (Some(own), _, effort) => owned(own, target, maker, effort, dropped),
        (None, None, effort) => {
            dropped.extend(effort.map(|_| NAME.into()));
            Reasoned::default()
        }
        // Some models think unasked, and want their thoughts back.
        (None, Some(mode), None) => Reasoned { keeps_thoughts: thinks_unasked(maker, mode), ..Reasoned::default() },
        (None, Some(mode), Some(effort)) => {
            derived(effort.of(target, dropped), mode, maker, around, additional, dropped)
        }
    };
    // A forced call is what the client depends on, and thinking is not: Claude refuses both at once. So it does a
    // budget where the thoughts behind the calls that are being answered are lost (extended thinking with tool use).
    let is_budget = additional.get("thinking").is_some_and(|thinking| thinking.contains("budget_tokens"));
    if reasoned.claude_thinks && (around.forces_a_call() || (is_budget && around.unthought_results)) {
        additional.remove("thinking");
        dropped.push(if own.is_some() { "thinking".into() } else { NAME.into() });
        reasoned = Reasoned { effort: reasoned.effort, ..Reasoned::default() };
    }
    Ok(reasoned)
}

fn thinks_unasked(maker: &Maker, mode: Reasoning) -> bool {
    maker.thinks == Thinks::Claude && matches!(mode, Reasoning::Adaptive | Reasoning::Switch)
}

/// What the client says in the maker's own words holds.
fn owned(
    own: &RawValue,
    target: &Target,
    maker: &Maker,
    effort: Option<Effort>,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Reasoned {
    let says = |word: &str| own.get().contains(word);
    let is_guided =
        maker.thinks == Thinks::Claude && !says("\"enabled\"") && target.reasoning != Some(Reasoning::Budget);
    if !is_guided {
        dropped.extend(effort.map(|_| NAME.into()));
    }
    let is_claude = maker.thinks == Thinks::Claude;
    Reasoned {
        claude_thinks: is_claude && !says("\"disabled\""),
        keeps_thoughts: is_claude && !says("\"disabled\""),
        nova_thinks_hard: maker.thinks == Thinks::Nova && says("\"high\""),
        effort: effort.filter(|_| is_guided).and_then(|effort| effort.of(target, dropped).claudes()),
    }
}

fn derived(
    effort: Effort,
    mode: Reasoning,
    maker: &Maker,
    around: &Around<'_>,
    additional: &mut Additional,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Reasoned {
    let keeps_thoughts = thinks_unasked(maker, mode);
    let unsaid = Reasoned { keeps_thoughts, ..Reasoned::default() };
    let guided = || Reasoned { effort: effort.claudes(), ..Reasoned::default() };
    let word = effort.name();
    match (maker.thinks, mode) {
        (Thinks::Claude, Reasoning::Adaptive | Reasoning::Switch) if word == "none" => {
            additional.add("thinking", r#"{"type":"disabled"}"#);
            Reasoned::default()
        }
        (Thinks::Claude, Reasoning::Adaptive | Reasoning::Switch) => {
            // Newer models keep their thoughts to themselves unless they are asked for a summary.
            additional.add("thinking", r#"{"type":"adaptive","display":"summarized"}"#);
            let effort = effort.claudes().filter(|_| mode == Reasoning::Adaptive);
            Reasoned { claude_thinks: true, keeps_thoughts, effort, ..Reasoned::default() }
        }
        // It does not think unless it is told to.
        (Thinks::Claude, Reasoning::Budget | Reasoning::Effort) if word == "none" => unsaid,
        (Thinks::Claude, Reasoning::Budget) => match budget(effort, around) {
            Some(budget) => {
                additional.add("thinking", &format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#));
                Reasoned { claude_thinks: true, keeps_thoughts: true, ..Reasoned::default() }
            }
            None => {
                dropped.push(NAME.into());
                unsaid
            }
        },
        (Thinks::Claude, Reasoning::Effort) => guided(),
        (Thinks::Effort, _) => {
            dropped.extend((word == "none").then(|| NAME.into()));
            guided()
        }
        (Thinks::Nova, _) => {
            let config = match word {
                "none" => r#"{"type":"disabled"}"#,
                "minimal" | "low" => r#"{"type":"enabled","maxReasoningEffort":"low"}"#,
                "medium" => r#"{"type":"enabled","maxReasoningEffort":"medium"}"#,
                _ => r#"{"type":"enabled","maxReasoningEffort":"high"}"#,
            };
            additional.add("reasoningConfig", config);
            Reasoned { nova_thinks_hard: config.contains("high"), ..Reasoned::default() }
        }
        (Thinks::GptOss, _) => {
            match word {
                "none" => dropped.push(NAME.into()),
                "minimal" | "low" => additional.add("reasoning_effort", "\"low\""),
                "medium" => additional.add("reasoning_effort", "\"medium\""),
                _ => additional.add("reasoning_effort", "\"high\""),
            }
            Reasoned::default()
        }
        (Thinks::Gpt, _) => {
            additional.add("reasoning", &format!(r#"{{"effort":"{word}"}}"#));
            Reasoned::default()
        }
    }
}

/// The tokens to think with, which are part of what the client allows for thoughts and answer; `None` where too few
/// are left. Without a limit the model's own holds, which is at least this much for every one that is given a budget.
fn budget(effort: Effort, around: &Around<'_>) -> Option<u64> {
    const ROOM: u64 = 64_000;
    let room = around.max_tokens.unwrap_or(ROOM).saturating_sub(1);
    Some(effort.tokens().min(room)).filter(|budget| *budget >= LEAST_BUDGET)
}

impl Around<'_> {
    fn forces_a_call(&self) -> bool {
        matches!(
            self.choice,
            Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. })
        )
    }
}
