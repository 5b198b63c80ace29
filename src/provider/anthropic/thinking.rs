//! Thinking: how a request asks for it, and how the blocks of earlier turns find their way back.
//!
//! A model that thinks wants its own thinking back before the calls that came of it, signatures
//! included (thinking, preserving thinking blocks). It rides on the ids of those calls, with the name of
//! the model, because a signature is good for the model that gave it and refused by any other.

use std::borrow::Cow;

use crate::chat::ChatRequest;
use crate::chat::request::{Message, ToolCall};
use crate::chat::state::{self, State};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::provider::turns::Turn;
use crate::provider::{Effort, Reasoning, Target};

/// Whose the state in the ids of calls is.
const TAG: &str = "a";

/// More than can be carried is not collected.
const MOST: usize = 192 << 10;

/// The least budget that is taken.
const LEAST_BUDGET: u64 = 1024;

/// What a request says about thinking.
#[derive(Default)]
pub struct Thinking<'a> {
    /// The value of `thinking`.
    config: Option<Cow<'a, str>>,
    /// The word for `output_config.effort`.
    pub effort: Option<&'static str>,
    /// Whether the model thinks because of this request, which bars some sampling parameters.
    pub is_on: bool,
    /// Whether the thinking of earlier turns goes back. Where thinking is off it must not.
    pub goes_back: bool,
}

impl<'a> Thinking<'a> {
    /// `turns`: the conversation; `forces_a_call`: whether `tool_choice` does.
    pub fn asked(
        chat: &ChatRequest<'a>,
        target: &Target,
        turns: &[Turn<'_, '_>],
        forces_a_call: bool,
        max_tokens: u64,
        dropped: &mut Vec<Cow<'static, str>>,
    ) -> Result<Self, Rejection> {
        let effort = Effort::read(chat)?;
        // Anthropic's own name for it says it best.
        let (mut thinking, name, budgeted) = match chat.field("thinking") {
            Some(config) => Self::configured(config, effort, target, dropped)?,
            None => Self::derived(effort, target, max_tokens, dropped),
        };
        let is_cut_off = || turns.iter().rfind(|turn| turn.assistant).is_some_and(|turn| lacks_thinking(turn, target));
        // A forced call is what the client depends on, and thinking is not: both at once are refused. So is a
        // budget in the middle of a turn whose thinking is lost (thinking, toggling in conversations).
        if thinking.is_on && (forces_a_call || (budgeted && is_cut_off())) {
            thinking.config = None;
            thinking.is_on = false;
            thinking.goes_back = false;
            dropped.push(name.into());
        }
        Ok(thinking)
    }

    fn configured(
        config: &'a RawValue,
        effort: Option<Effort>,
        target: &Target,
        dropped: &mut Vec<Cow<'static, str>>,
    ) -> Result<(Self, &'static str, bool), Rejection> {
        let fields = Object::of(config).filter(|_| json::type_of(config) == Type::Object);
        let kind = fields.as_ref().and_then(|fields| fields.get("type")).and_then(Str::new).map(Str::decode);
        let Some(kind) = kind else {
            return Err(Rejection::invalid("thinking", "'thinking' must be an object with a 'type'."));
        };
        let is_on = matches!(kind.as_ref(), "adaptive" | "enabled");
        let effort = match effort {
            Some(effort) if kind != "enabled" && guides(target) => effort.of(target, dropped).claudes(),
            Some(_) => {
                dropped.push("reasoning_effort".into());
                None
            }
            None => None,
        };
        let thinking = Thinking { config: Some(config.get().into()), effort, is_on, goes_back: kind != "disabled" };
        Ok((thinking, "thinking", kind == "enabled"))
    }

    fn derived(
        effort: Option<Effort>,
        target: &Target,
        max_tokens: u64,
        dropped: &mut Vec<Cow<'static, str>>,
    ) -> (Self, &'static str, bool) {
        const NAME: &str = "reasoning_effort";
        let goes_back = matches!(target.reasoning, Some(Reasoning::Adaptive | Reasoning::Switch));
        let unsaid = Thinking { goes_back, ..Thinking::default() };
        let Some(effort) = effort else { return (unsaid, NAME, false) };
        let effort = if target.reasoning.is_some() { effort.of(target, dropped) } else { effort };
        // Summaries, because newer models tell nothing of their thinking otherwise.
        let adaptive = || Some(r#"{"type":"adaptive","display":"summarized"}"#.into());
        let thinking = match (target.reasoning, effort) {
            (Some(Reasoning::Adaptive | Reasoning::Switch), Effort::None) => {
                Thinking { config: Some(r#"{"type":"disabled"}"#.into()), ..Thinking::default() }
            }
            // It does not think unless it is told to.
            (Some(Reasoning::Budget | Reasoning::Effort) | None, Effort::None) => unsaid,
            (Some(Reasoning::Adaptive), _) => {
                Thinking { config: adaptive(), effort: effort.claudes(), is_on: true, goes_back }
            }
            (Some(Reasoning::Switch), _) => Thinking { config: adaptive(), effort: None, is_on: true, goes_back },
            (Some(Reasoning::Effort), _) => Thinking { effort: effort.claudes(), ..unsaid },
            (Some(Reasoning::Budget), _) => match effort.tokens().min(max_tokens.saturating_sub(1)) {
                // What the answer may have is part of what the client allows for both.
                ..LEAST_BUDGET => {
                    dropped.push(NAME.into());
                    unsaid
                }
                budget => {
                    let config = format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
                    Thinking { config: Some(config.into()), effort: None, is_on: true, goes_back: true }
                }
            },
            (None, _) => {
                dropped.push(NAME.into());
                unsaid
            }
        };
        let budgeted = target.reasoning == Some(Reasoning::Budget);
        (thinking, NAME, budgeted)
    }

    pub fn write(&self, w: &mut Writer) {
        if let Some(config) = &self.config {
            w.key("thinking").raw(config);
        }
    }
}

/// Whether a model takes a word for its effort.
fn guides(target: &Target) -> bool {
    matches!(target.reasoning, Some(Reasoning::Adaptive | Reasoning::Effort))
}

/// Whether a turn of the model has calls, and not the thinking that led to them.
fn lacks_thinking(turn: &Turn<'_, '_>, target: &Target) -> bool {
    turn.messages.iter().any(|message| !message.tool_calls.is_empty()) && before_turn(turn, target).is_none()
}

/// The thinking with which a turn of the model began: its first call carries it, or a client has kept it
/// in the fields that answers have. As JSON, block behind block.
pub fn before_turn(turn: &Turn<'_, '_>, target: &Target) -> Option<String> {
    let first = turn.messages.iter().flat_map(|message| &message.tool_calls).next();
    match first.and_then(|call| state::carried(call.id, TAG)) {
        Some(state) => carried(&state, target),
        None => turn.messages.iter().find_map(|message| kept(message, target)),
    }
}

/// The thinking between two calls of a turn, which the later one carries.
pub fn before_call(call: &ToolCall<'_>, target: &Target) -> Option<String> {
    carried(&state::carried(call.id, TAG)?, target)
}

/// The blocks in a call's state, if they are this model's: a list of the model's name and the blocks.
fn carried(state: &str, target: &Target) -> Option<String> {
    let list = json::elements(json::parse_str(state).ok()?)?;
    let (model, blocks) = list.split_first()?;
    if !is_same_model(&Str::new(model)?.decode(), &target.id) {
        return None;
    }
    joined(blocks.iter().map(|block| own_block(block, target)))
}

/// `thinking_blocks`, as answers have them, or `reasoning_details` (OpenRouter). What is not signed, or not
/// by this model, is left out: it would be refused.
fn kept(message: &Message<'_>, target: &Target) -> Option<String> {
    let list = |name: &str| message.fields.get(name).and_then(json::elements).unwrap_or_default();
    let blocks = list("thinking_blocks").into_iter().map(|block| own_block(block, target));
    let details = || list("reasoning_details").into_iter().map(detail);
    joined(blocks.filter(Option::is_some)).or_else(|| joined(details().filter(Option::is_some)))
}

/// All of them or none: a part would not be what the model has thought.
fn joined(blocks: impl Iterator<Item = Option<String>>) -> Option<String> {
    let blocks: Option<Vec<String>> = blocks.collect();
    blocks.filter(|blocks| !blocks.is_empty()).map(|blocks| blocks.join(","))
}

fn own_block(block: &RawValue, target: &Target) -> Option<String> {
    let fields = Object::of(block)?;
    let text = |name: &str| fields.get(name).and_then(Str::new);
    if text("model").is_some_and(|model| !is_same_model(&model.decode(), &target.id)) {
        return None;
    }
    match text("type")?.decode().as_ref() {
        "thinking" => signed(text("thinking")?, text("signature")?),
        "redacted_thinking" => redacted(text("data")?),
        _ => None,
    }
}

fn detail(detail: &RawValue) -> Option<String> {
    let fields = Object::of(detail)?;
    let text = |name: &str| fields.get(name).and_then(Str::new);
    if text("format").is_some_and(|format| !format.decode().starts_with("anthropic")) {
        return None;
    }
    match text("type")?.decode().as_ref() {
        "reasoning.text" => signed(text("text")?, text("signature")?),
        "reasoning.encrypted" => redacted(text("data")?),
        _ => None,
    }
}

fn signed(thinking: Str<'_>, signature: Str<'_>) -> Option<String> {
    let (thinking, signature) = (thinking.raw(), Some(signature).filter(|text| !text.is_empty())?.raw());
    Some(format!(r#"{{"type":"thinking","thinking":{thinking},"signature":{signature}}}"#))
}

fn redacted(data: Str<'_>) -> Option<String> {
    let data = Some(data).filter(|data| !data.is_empty())?.raw();
    Some(format!(r#"{{"type":"redacted_thinking","data":{data}}}"#))
}

/// Whether two names may be one model's: an alias, its dated version, and what Bedrock and Vertex call it.
/// Names that say nothing (a profile's ARN) are believed.
fn is_same_model(one: &str, other: &str) -> bool {
    match (bare(one), bare(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// `us.anthropic.claude-x-4-5-20250929-v1:0`, `claude-x-4-5@20250929` and `claude-x-4-5` are one.
fn bare(name: &str) -> Option<&str> {
    let name = name.get(name.find("claude-")?..)?;
    let name = name.split(['@', ':', '?']).next()?;
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or(part);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        part == "latest" || part == "0" || (is_number && (part.starts_with('v') || part.len() == 8))
    };
    let mut name = name;
    while let Some((head, _)) = name.rsplit_once('-').filter(|(_, part)| is_version(part)) {
        name = head;
    }
    Some(name)
}

/// Collects the thinking of one answer.
#[derive(Default)]
pub struct Collected {
    /// The model's name as JSON; empty if it has none.
    model: String,
    /// The blocks, as JSON.
    blocks: Vec<String>,
    /// How many of them an earlier call carries.
    carried: usize,
    size: usize,
}

impl Collected {
    pub fn model(&mut self, model: Option<Str<'_>>) {
        if let Some(model) = model {
            model.raw().clone_into(&mut self.model);
        }
    }

    /// A block of thinking, its texts still escaped.
    pub fn thinking(&mut self, text: &str, signature: &str) {
        if !signature.is_empty() {
            self.add(format!(r#"{{"type":"thinking","thinking":"{text}","signature":"{signature}""#));
        }
    }

    pub fn redacted(&mut self, data: Option<Str<'_>>) {
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            self.add(format!(r#"{{"type":"redacted_thinking","data":{}"#, data.raw()));
        }
    }

    fn add(&mut self, block: String) {
        self.size = self.size.saturating_add(block.len());
        self.blocks.push(block);
        if self.size > MOST {
            // A part of it would be worth nothing.
            self.blocks.clear();
        }
    }

    /// What the next call is to carry: the thinking since the one before it.
    pub fn state(&mut self) -> Option<State<'static>> {
        let blocks = self.blocks.get(self.carried..).filter(|blocks| !blocks.is_empty() && self.size <= MOST)?;
        let model = if self.model.is_empty() { "\"\"" } else { &self.model };
        let payload = format!("[{model},{}}}]", blocks.join("},"));
        self.carried = self.blocks.len();
        Some(State { tag: TAG, payload: payload.into() })
    }

    /// All of it, for clients that keep what they do not know: with the model that signed it.
    pub fn extra<'a>(&self) -> Option<(&'static str, Cow<'a, str>)> {
        if self.blocks.is_empty() || self.size > MOST {
            return None;
        }
        let model = if self.model.is_empty() { String::new() } else { format!(r#","model":{}"#, self.model) };
        let blocks: Vec<_> = self.blocks.iter().map(|block| format!("{block}{model}}}")).collect();
        Some(("thinking_blocks", format!("[{}]", blocks.join(",")).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::anthropic::request::tests::{target, written};

    const HI: &str = r#"[{"role":"user","content":"hi"}]"#;
    const TOOLS: &str = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;

    /// What is written of `thinking` and `output_config`, and what is named.
    fn told(reasoning: Option<Reasoning>, messages: &str, rest: &str) -> (String, String, Vec<Cow<'static, str>>) {
        let target = Target { reasoning, max_output: Some(20_000), ..target() };
        let (body, dropped) = written(&format!(r#"{{"model":"m","messages":{messages}{rest}}}"#), &target).unwrap();
        let fields = Object::parse(body.as_bytes()).unwrap();
        let field = |name: &str| fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default();
        (field("thinking"), field("output_config"), dropped)
    }

    fn asked(reasoning: Option<Reasoning>, rest: &str) -> (String, String, Vec<Cow<'static, str>>) {
        told(reasoning, HI, &format!(",{rest}"))
    }

    const ADAPTIVE: &str = r#"{"type":"adaptive","display":"summarized"}"#;

    #[test]
    fn every_effort_has_a_form_for_every_kind_of_model() {
        let effort = |word: &str| format!(r#"{{"effort":"{word}"}}"#);
        let budget = |tokens: u64| format!(r#"{{"type":"enabled","budget_tokens":{tokens}}}"#);
        for (word, anthropics, tokens) in [
            ("minimal", "low", 1024),
            ("low", "low", 2048),
            ("medium", "medium", 8192),
            ("high", "high", 16384),
            ("xhigh", "xhigh", 19_999),
            ("max", "max", 19_999),
        ] {
            let rest = format!(r#""reasoning_effort":"{word}""#);
            let of = |reasoning| asked(Some(reasoning), &rest);
            assert_eq!(of(Reasoning::Adaptive), (ADAPTIVE.into(), effort(anthropics), vec![]), "{word}");
            assert_eq!(of(Reasoning::Effort), (String::new(), effort(anthropics), vec![]), "{word}");
            assert_eq!(of(Reasoning::Switch), (ADAPTIVE.into(), String::new(), vec![]), "{word}");
            assert_eq!(of(Reasoning::Budget), (budget(tokens), String::new(), vec![]), "{word}");
            assert_eq!(asked(None, &rest), (String::new(), String::new(), vec!["reasoning_effort".into()]), "{word}");
        }
        let none = |reasoning| asked(reasoning, r#""reasoning_effort":"none""#);
        let nothing = (String::new(), String::new(), vec![]);
        assert_eq!(none(Some(Reasoning::Adaptive)), (r#"{"type":"disabled"}"#.into(), String::new(), vec![]));
        assert_eq!(none(Some(Reasoning::Budget)), nothing);
        assert_eq!(none(None), nothing);
        assert_eq!(asked(Some(Reasoning::Adaptive), r#""n":1"#), nothing);
        let wrong = format!(r#"{{"model":"m","messages":{HI},"reasoning_effort":"huge"}}"#);
        assert_eq!(written(&wrong, &target()).unwrap_err().param.as_deref(), Some("reasoning_effort"));
    }

    #[test]
    fn a_budget_fits_below_the_limit_or_is_none() {
        let of = |rest: &str| asked(Some(Reasoning::Budget), &format!(r#""reasoning_effort":"high",{rest}"#));
        assert_eq!(of(r#""max_tokens":4096"#).0, r#"{"type":"enabled","budget_tokens":4095}"#);
        assert_eq!(of(r#""max_tokens":1025"#).0, r#"{"type":"enabled","budget_tokens":1024}"#);
        assert_eq!(of(r#""max_tokens":1024"#), (String::new(), String::new(), vec!["reasoning_effort".into()]));
    }

    #[test]
    fn an_effort_that_a_model_does_not_have_is_the_next_below_and_one_that_always_thinks_thinks_little() {
        let asked = |efforts: &[Effort], word: &str| {
            let target = Target { reasoning: Some(Reasoning::Adaptive), efforts: efforts.to_vec(), ..target() };
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"max_tokens":20000,"reasoning_effort":"{word}"}}"#
            );
            let chat = ChatRequest::parse(body.as_bytes()).unwrap();
            let mut dropped = Vec::new();
            let thinking = Thinking::asked(&chat, &target, &[], false, 20_000, &mut dropped).unwrap();
            (thinking.config.unwrap().into_owned(), thinking.effort, dropped.len())
        };
        let without_xhigh = [Effort::None, Effort::Low, Effort::High, Effort::Max];
        assert_eq!(asked(&without_xhigh, "xhigh"), (ADAPTIVE.into(), Some("high"), 1));
        assert_eq!(asked(&without_xhigh, "max"), (ADAPTIVE.into(), Some("max"), 0));
        assert_eq!(asked(&without_xhigh, "none"), (r#"{"type":"disabled"}"#.into(), None, 0));
        assert_eq!(asked(&[Effort::Low, Effort::High], "none"), (ADAPTIVE.into(), Some("low"), 1));
    }

    #[test]
    fn anthropics_own_words_hold_against_openais() {
        let own = r#""thinking":{"type":"enabled","budget_tokens":2e3},"reasoning_effort":"low""#;
        let (thinking, config, dropped) = asked(Some(Reasoning::Adaptive), own);
        assert_eq!((thinking.as_str(), config.as_str()), (r#"{"type":"enabled","budget_tokens":2e3}"#, ""));
        assert_eq!(dropped, ["reasoning_effort"]);
        let own = r#""thinking":{"type":"adaptive"},"reasoning_effort":"max""#;
        let expected = (r#"{"type":"adaptive"}"#.into(), r#"{"effort":"max"}"#.into(), vec![]);
        assert_eq!(asked(Some(Reasoning::Adaptive), own), expected);
        let both = r#""output_config":{"effort":"low","task_budget":{"a":1.0}},"reasoning_effort":"max""#;
        let (_, config, dropped) = asked(Some(Reasoning::Adaptive), both);
        assert_eq!(
            (config.as_str(), dropped),
            (r#"{"effort":"low","task_budget":{"a":1.0}}"#, vec!["reasoning_effort".into()])
        );
        for bad in ["7", "{}", "\"adaptive\""] {
            let body = format!(r#"{{"model":"m","messages":{HI},"thinking":{bad}}}"#);
            assert_eq!(written(&body, &target()).unwrap_err().param.as_deref(), Some("thinking"));
        }
    }

    #[test]
    fn a_forced_call_is_worth_more_than_thinking() {
        let rest = format!(r#"{TOOLS},"tool_choice":"required""#);
        let derived = format!(r#"{rest},"reasoning_effort":"low""#);
        let (thinking, config, dropped) = told(Some(Reasoning::Adaptive), HI, &derived);
        assert_eq!((thinking.as_str(), config.as_str()), ("", r#"{"effort":"low"}"#));
        assert_eq!(dropped, ["reasoning_effort"]);
        assert_eq!(told(Some(Reasoning::Budget), HI, &derived).0, "");
        let own = format!(r#"{rest},"thinking":{{"type":"adaptive"}}"#);
        assert_eq!(told(None, HI, &own), (String::new(), String::new(), vec!["thinking".into()]));
        let off = format!(r#"{rest},"thinking":{{"type":"disabled"}}"#);
        assert_eq!(told(None, HI, &off).0, r#"{"type":"disabled"}"#);
    }

    #[test]
    fn thinking_bars_sampling_but_within_narrow_limits() {
        let target = Target {
            reasoning: Some(Reasoning::Budget),
            max_output: Some(9000),
            sampling: crate::provider::Sampling::ALL.to_vec(),
            ..target()
        };
        let of = |rest: &str| {
            let body = format!(r#"{{"model":"m","messages":{HI},"reasoning_effort":"low",{rest}}}"#);
            written(&body, &target).unwrap().1
        };
        assert_eq!(of(r#""temperature":0.5,"top_p":0.5,"top_k":3"#), ["temperature", "top_p", "top_k"]);
        assert!(of(r#""temperature":1,"top_p":0.95"#).is_empty());
    }

    fn id_with(state: &str) -> String {
        State { tag: TAG, payload: state.into() }.attach("toolu_1")
    }

    fn loop_with(ids: &[&str], fields: &str) -> String {
        let calls = ids.iter().map(|id| format!(r#"{{"id":"{id}","function":{{"name":"f","arguments":"{{}}"}}}}"#));
        let calls = calls.collect::<Vec<_>>().join(",");
        let results = ids.iter().map(|id| format!(r#",{{"role":"tool","tool_call_id":"{id}","content":"r"}}"#));
        let results: String = results.collect();
        format!(
            r#"[{{"role":"user","content":"go"}},{{"role":"assistant","content":"t","tool_calls":[{calls}]{fields}}}{results}]"#
        )
    }

    /// The blocks of the model's turn, by their types, for a target of this name.
    fn sent(target_id: &str, reasoning: Reasoning, messages: &str, rest: &str) -> (Vec<String>, String) {
        let target = Target { reasoning: Some(reasoning), max_output: Some(9000), id: target_id.into(), ..target() };
        let (body, _) = written(&format!(r#"{{"model":"m","messages":{messages}{rest}}}"#), &target).unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let blocks = body["messages"][1]["content"].as_array().unwrap();
        let kind = |block: &serde_json::Value| block["type"].as_str().unwrap().to_owned();
        (blocks.iter().map(kind).collect(), body["thinking"]["type"].as_str().unwrap_or_default().to_owned())
    }

    const STATE: &str = r#"["claude-x-4-5-20250929",{"type":"thinking","thinking":"a\u00e9","signature":"s"},{"type":"redacted_thinking","data":"d"}]"#;
    const EFFORT: &str = r#","reasoning_effort":"low""#;

    #[test]
    fn thinking_comes_back_before_all_else_and_between_calls() {
        let later = State { tag: TAG, payload: r#"["",{"type":"thinking","thinking":"b","signature":"s"}]"#.into() };
        let messages = loop_with(&[&id_with(STATE), &later.attach("toolu_2")], "");
        let expected = ["thinking", "redacted_thinking", "text", "tool_use", "thinking", "tool_use"];
        for name in ["claude-x-4-5", "us.anthropic.claude-x-4-5-20250929-v1:0", "claude-x-4-5@20250929", "arn:aws:x"] {
            assert_eq!(sent(name, Reasoning::Adaptive, &messages, "").0, expected, "{name}");
        }
        let target = Target { reasoning: Some(Reasoning::Adaptive), ..target() };
        let target = Target { id: "claude-x-4-5".into(), ..target };
        let (body, _) = written(&format!(r#"{{"model":"m","messages":{messages}}}"#), &target).unwrap();
        assert!(body.contains(r#"[{"type":"thinking","thinking":"a\u00e9","signature":"s"},{"type":"#), "{body}");
        assert!(body.contains(r#""tool_use_id":"toolu_2""#) && !body.contains("__dgm_"), "{body}");
    }

    #[test]
    fn what_is_not_this_models_or_not_whole_stays_away() {
        let plain = vec!["text".to_owned(), "tool_use".to_owned()];
        for state in [
            STATE.replace("claude-x-4-5", "claude-y-4-5").as_str(),
            r#"["claude-x-4-5",{"type":"text","text":"a"}]"#,
            r#"["claude-x-4-5",{"type":"thinking","thinking":"a"}]"#,
            r#"["claude-x-4-5",{"type":"thinking","thinking":"a","signature":""}]"#,
            r#"["claude-x-4-5"]"#,
            "[]",
            "7",
        ] {
            let messages = loop_with(&[&id_with(state)], "");
            assert_eq!(sent("claude-x-4-5", Reasoning::Adaptive, &messages, "").0, plain, "{state}");
            // A budget would be refused in the middle of a turn without its thinking.
            let (blocks, thinking) = sent("claude-x-4-5", Reasoning::Budget, &messages, EFFORT);
            assert_eq!((blocks, thinking.as_str()), (plain.clone(), ""), "{state}");
        }
        let messages = loop_with(&[&id_with(STATE)], "");
        let (blocks, thinking) = sent("claude-x-4-5", Reasoning::Budget, &messages, EFFORT);
        assert_eq!((blocks.len(), thinking.as_str()), (4, "enabled"));
        // Where thinking is off there must be none.
        assert_eq!(sent("claude-x-4-5", Reasoning::Budget, &messages, "").0, plain);
        assert_eq!(sent("claude-x-4-5", Reasoning::Adaptive, &messages, r#","thinking":{"type":"disabled"}"#).0, plain);
    }

    #[test]
    fn clients_may_keep_thinking_in_fields_of_the_message() {
        let plain = ["text", "tool_use"];
        let of = |fields: &str| {
            sent("claude-x-4-5", Reasoning::Adaptive, &loop_with(&["toolu_1"], &format!(",{fields}")), "").0
        };
        let block = r#"{"type":"thinking","thinking":"a","signature":"s","model":"claude-x-4-5-20250929"}"#;
        assert_eq!(of(&format!(r#""thinking_blocks":[{block}]"#)), ["thinking", "text", "tool_use"]);
        assert_eq!(of(&format!(r#""thinking_blocks":[{}]"#, block.replace("x-4", "y-4"))), plain);
        let details = r#""reasoning_details":[{"type":"reasoning.summary","summary":"x"},{"type":"reasoning.text",
            "text":"a","signature":"s","format":"anthropic-claude-v1","index":0},{"type":"reasoning.encrypted","data":"d"}]"#;
        assert_eq!(of(details), ["thinking", "redacted_thinking", "text", "tool_use"]);
        assert_eq!(
            of(&details.replace("anthropic-claude-v1", "openai-responses-v1")),
            ["redacted_thinking", "text", "tool_use"]
        );
        assert_eq!(of(r#""thinking_blocks":7,"reasoning_details":null"#), plain);
    }

    #[test]
    fn what_is_collected_is_carried_once_and_told_whole() {
        let mut collected = Collected::default();
        let model: &RawValue = crate::json::parse_str("\"claude-x\"").unwrap();
        collected.model(Str::new(model));
        collected.thinking("a\\n", "s");
        collected.thinking("unsigned", "");
        let first = collected.state().unwrap().payload;
        assert_eq!(first, r#"["claude-x",{"type":"thinking","thinking":"a\n","signature":"s"}]"#);
        assert_eq!(collected.state(), None);
        let data: &RawValue = crate::json::parse_str("\"d\"").unwrap();
        collected.redacted(Str::new(data));
        assert_eq!(collected.state().unwrap().payload, r#"["claude-x",{"type":"redacted_thinking","data":"d"}]"#);
        let blocks = concat!(
            r#"[{"type":"thinking","thinking":"a\n","signature":"s","model":"claude-x"},"#,
            r#"{"type":"redacted_thinking","data":"d","model":"claude-x"}]"#
        );
        assert_eq!(collected.extra(), Some(("thinking_blocks", blocks.into())));
        collected.thinking(&"x".repeat(MOST), "s");
        assert_eq!((collected.state(), collected.extra()), (None, None));
    }
}
