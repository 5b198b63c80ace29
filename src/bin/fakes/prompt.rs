//! What a fake model says: a pure function from a checked request to a reply, the same each time.
//!
//! The words in the last user message choose the answer, so that a test asks for what it wants in the
//! request itself. Nothing here knows a wire format, a fault or a clock.

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use serde_json::Value;

use crate::framing::Framing;
use crate::synthesis;
use crate::thinking::{self, Thinking, Thinks};

/// The longest `count N`: enough for a stream of minutes, and the words can be kept for all.
const MOST_COUNTED: usize = 100_000;
/// The longest `lorem N`: beyond what any provider answers, and bounded because a request chooses it.
const MOST_LOREM: usize = 64 << 20;
/// How much of the last user text is echoed.
pub const ECHO_CHARS: usize = 200;
/// What `cached` in the text reports.
pub const CACHE_READ: u64 = 64;
pub const CACHE_WRITE: u64 = 16;

/// A request as the readers of all formats leave it.
#[derive(Debug, Default)]
pub struct Prompt {
    /// The model's name, without the faults behind its `?`.
    pub model: String,
    pub faults: Option<String>,
    pub stream: bool,
    /// How events are to be written, where a format has more than one way.
    pub framing: Framing,
    pub include_usage: bool,
    pub include_obfuscation: bool,
    pub max_tokens: Option<usize>,
    pub choices: usize,
    /// What the model is told beside the conversation.
    pub system: String,
    pub user_text: String,
    /// OpenAI makes free JSON output depend on it.
    pub mentions_json: bool,
    /// The results, when the request ends with results of tools.
    pub tool_results: Option<Vec<String>>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    pub one_call_only: bool,
    pub json: JsonOutput,
    pub stop: Vec<String>,
    pub thinks: Thinks,
    /// Thoughts go to the client as their signature alone.
    pub hides_thinking: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub kind: ToolKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind {
    Function {
        schema: Value,
    },
    /// OpenAI's free-text tools.
    Custom,
}

#[derive(Debug, Default, PartialEq)]
pub enum ToolChoice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

#[derive(Debug, Default, PartialEq)]
pub enum JsonOutput {
    #[default]
    No,
    AnyObject,
    Schema(Value),
}

pub struct Reply {
    /// Derived from the request's bytes: equal requests get equal ids, different ones do not.
    pub id: String,
    /// Before all parts.
    pub thinking: Option<Thinking>,
    pub parts: Vec<Part>,
    pub finish: Finish,
    pub usage: Usage,
}

pub type Text = Cow<'static, str>;

pub enum Part {
    Text(Text),
    Refusal(Text),
    ToolCall(ToolCall),
}

pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub custom: bool,
    pub arguments: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    Stop,
    StopSequence(String),
    Length,
    ToolCalls,
    Refusal,
}

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub input: u64,
    /// With what was thought.
    pub output: u64,
    pub thought: u64,
    pub cached: bool,
}

impl Usage {
    /// Of an answer with so many choices.
    pub fn of(self, choices: u64) -> Self {
        Self { output: self.output * choices, ..self }
    }
}

impl Prompt {
    /// A prompt for a model of this name, behind whose `?` there may be faults.
    pub fn for_model(name: &str) -> Self {
        let (model, faults) = match name.split_once('?') {
            Some((model, faults)) => (model, Some(faults.to_owned())),
            None => (name, None),
        };
        Self { model: model.to_owned(), faults, choices: 1, ..Self::default() }
    }

    pub fn reply(&self, provider: &str, body: &[u8]) -> Reply {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let id = format!("{:016x}", hasher.finish());
        let (parts, finish) = self.said(provider, &id);
        let thinking = self.does_think().then(|| Thinking::about(&self.user_text, &id));
        let thought = thinking.as_ref().map_or(0, |thinking| tokens(&thinking.text).count() as u64);
        let said = parts.iter().map(Part::tokens).sum::<usize>() as u64;
        let input = input_tokens(body);
        let usage = Usage { input, output: thought + said, thought, cached: self.user_text.contains("cached") };
        Reply { id, thinking, parts, finish, usage }
    }

    fn does_think(&self) -> bool {
        match self.thinks {
            Thinks::Never => false,
            Thinks::IfAsked => self.user_text.contains(thinking::ASKED),
            Thinks::Always => true,
        }
    }

    fn said(&self, provider: &str, id: &str) -> (Vec<Part>, Finish) {
        let text = self.user_text.as_str();
        if text.contains("refuse") {
            return (vec![Part::Refusal("I cannot help with that.".into())], Finish::Refusal);
        }
        if let Some(results) = &self.tool_results {
            return self.cut(format!("{provider} fake: the tools said {}", results.join(", ")).into());
        }
        let called = self.called();
        if !called.is_empty() {
            let calls = called.iter().enumerate().map(|(index, tool)| Part::ToolCall(tool.call(id, index)));
            return (calls.collect(), Finish::ToolCalls);
        }
        self.cut(match &self.json {
            JsonOutput::Schema(schema) => synthesis::instance(schema).to_string().into(),
            JsonOutput::AnyObject => self.any_object(provider).into(),
            // A model does what it is told, also where the API has no parameter for it.
            JsonOutput::No if self.system.contains("JSON") => self.any_object(provider).into(),
            JsonOutput::No => match (argument(text, "count "), argument_in(text, "lorem ")) {
                (Some(most), _) => Cow::Borrowed(counted(most)),
                (None, Some(bytes)) => lorem(bytes).into(),
                (None, None) => echo(provider, text).into(),
            },
        })
    }

    /// After the schema that it was told of, if it was.
    fn any_object(&self, provider: &str) -> String {
        let object = match synthesis::schema_in(&self.system) {
            Some(schema) => synthesis::instance(&schema),
            None => serde_json::json!({ "reply": echo(provider, &self.user_text) }),
        };
        object.to_string()
    }

    fn called(&self) -> Vec<&Tool> {
        let first = || self.tools.iter().take(1).collect();
        match &self.tool_choice {
            ToolChoice::None => Vec::new(),
            ToolChoice::Named(name) => self.tools.iter().filter(|tool| tool.name == *name).collect(),
            _ if self.user_text.contains("all tools") && !self.one_call_only => self.tools.iter().collect(),
            ToolChoice::Required => first(),
            ToolChoice::Auto if self.user_text.contains("tool") => first(),
            ToolChoice::Auto => Vec::new(),
        }
    }

    /// Ends the text where a stop sequence or the limit ends it.
    fn cut(&self, mut text: Text) -> (Vec<Part>, Finish) {
        let mut finish = Finish::Stop;
        let stops = self.stop.iter().filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop)));
        if let Some((at, stop)) = stops.min_by_key(|(at, _)| *at) {
            finish = Finish::StopSequence(stop.clone());
            truncate(&mut text, at);
        }
        if let Some(most) = self.max_tokens {
            let end = tokens(&text).take(most).map(str::len).sum();
            if end < text.len() {
                finish = Finish::Length;
                truncate(&mut text, end);
            }
        }
        let parts = if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] };
        (parts, finish)
    }
}

impl Tool {
    fn call(&self, id: &str, index: usize) -> ToolCall {
        let (custom, arguments) = match &self.kind {
            ToolKind::Function { schema } => (false, synthesis::instance(schema).to_string()),
            ToolKind::Custom => (true, "text".to_owned()),
        };
        ToolCall { id: format!("{id}_{index}"), name: self.name.clone(), custom, arguments }
    }
}

impl Part {
    fn tokens(&self) -> usize {
        match self {
            Self::Text(text) | Self::Refusal(text) => tokens(text).count(),
            // The name travels first, by itself.
            Self::ToolCall(call) => 1 + fragments(&call.arguments).count(),
        }
    }
}

/// What a request is taken for, whatever it says: nobody needs a tokenizer here.
pub fn input_tokens(body: &[u8]) -> u64 {
    body.len().div_ceil(4) as u64
}

/// A token is a word with the space before it.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, after) = rest.split_at_checked(token_end(rest))?;
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

fn token_end(text: &str) -> usize {
    let word = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    let after = text.get(word..).and_then(|rest| rest.find(char::is_whitespace));
    after.map_or(text.len(), |length| word + length)
}

/// The tokens of a text that outlives this call, for a stream that is written while it is read.
pub fn owned_tokens(text: Text) -> impl Iterator<Item = String> + Send {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..).unwrap_or_default();
        let token = rest.get(..token_end(rest)).unwrap_or_default();
        from += token.len();
        (!token.is_empty()).then(|| token.to_owned())
    })
}

/// Arguments travel in pieces that end anywhere, also inside an escape: no piece is JSON by itself.
pub fn fragments(arguments: &str) -> impl Iterator<Item = &str> {
    let mut rest = arguments;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(7).map_or(rest.len(), |(at, _)| at);
        let (fragment, after) = rest.split_at_checked(end)?;
        rest = after;
        (!fragment.is_empty()).then_some(fragment)
    })
}

fn truncate(text: &mut Text, end: usize) {
    match text {
        Cow::Borrowed(whole) => *text = Cow::Borrowed(whole.get(..end).unwrap_or_default()),
        Cow::Owned(whole) => whole.truncate(end),
    }
}

fn echo(provider: &str, text: &str) -> String {
    let end = text.char_indices().nth(ECHO_CHARS).map_or(text.len(), |(at, _)| at);
    format!("{provider} fake: you said \"{}\"", text.get(..end).unwrap_or_default())
}

/// The number, when the whole text is the word and a number.
fn argument(text: &str, word: &str) -> Option<usize> {
    text.trim().strip_prefix(word)?.trim().parse().ok()
}

fn argument_in(text: &str, word: &str) -> Option<usize> {
    let after = text.split_once(word)?.1;
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after.get(..digits)?.parse().ok()
}

/// `1 2 3 … most`, a slice of one text that all streams share.
fn counted(most: usize) -> &'static str {
    static ALL: OnceLock<(String, Vec<usize>)> = OnceLock::new();
    let (all, ends) = ALL.get_or_init(|| {
        let mut text = String::with_capacity(MOST_COUNTED * 6);
        let ends = (1..=MOST_COUNTED).map(|n| {
            let space = if n > 1 { " " } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{space}{n}");
            text.len()
        });
        let ends = ends.collect();
        (text, ends)
    });
    let end = most.min(MOST_COUNTED).checked_sub(1).and_then(|last| ends.get(last)).copied();
    all.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn lorem(bytes: usize) -> String {
    const TEXT: &str = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor ";
    let bytes = bytes.min(MOST_LOREM);
    let mut text = TEXT.repeat(bytes / TEXT.len() + 1);
    text.truncate(bytes);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(prompt: Prompt) -> (String, Finish) {
        let reply = prompt.reply("openai", b"{}");
        let text = reply.parts.iter().map(|part| match part {
            Part::Text(text) | Part::Refusal(text) => text.to_string(),
            Part::ToolCall(call) => format!("{}({})", call.name, call.arguments),
        });
        (text.collect::<Vec<_>>().join("; "), reply.finish)
    }

    fn asked(text: &str) -> Prompt {
        Prompt { user_text: text.to_owned(), ..Prompt::default() }
    }

    fn with_tools(text: &str, tool_choice: ToolChoice) -> Prompt {
        let kind = || ToolKind::Function { schema: json!({"type": "object"}) };
        let tools = vec![Tool { name: "f".into(), kind: kind() }, Tool { name: "g".into(), kind: kind() }];
        Prompt { tools, tool_choice, ..asked(text) }
    }

    #[test]
    fn words_of_the_user_choose_the_reply() {
        let cases = [
            (asked("hi"), "openai fake: you said \"hi\"", Finish::Stop),
            (asked("count 3"), "1 2 3", Finish::Stop),
            (asked("count 0"), "", Finish::Stop),
            (asked("please lorem 13 now"), "lorem ipsum d", Finish::Stop),
            (asked("refuse this"), "I cannot help with that.", Finish::Refusal),
            (Prompt { max_tokens: Some(2), ..asked("count 3") }, "1 2", Finish::Length),
            (Prompt { max_tokens: Some(3), ..asked("count 3") }, "1 2 3", Finish::Stop),
            (Prompt { stop: vec!["3".into()], ..asked("count 5") }, "1 2 ", Finish::StopSequence("3".into())),
            (
                Prompt { system: "Answer in JSON.".into(), ..asked("a") },
                r#"{"reply":"openai fake: you said \"a\""}"#,
                Finish::Stop,
            ),
            (Prompt { system: r#"JSON like {"type":"integer"}"#.into(), ..asked("a") }, "1", Finish::Stop),
            (with_tools("hi", ToolChoice::Auto), "openai fake: you said \"hi\"", Finish::Stop),
            (with_tools("use a tool", ToolChoice::Auto), "f({})", Finish::ToolCalls),
            (with_tools("use a tool", ToolChoice::None), "openai fake: you said \"use a tool\"", Finish::Stop),
            (with_tools("hi", ToolChoice::Required), "f({})", Finish::ToolCalls),
            (with_tools("hi", ToolChoice::Named("g".into())), "g({})", Finish::ToolCalls),
            (with_tools("all tools", ToolChoice::Auto), "f({}); g({})", Finish::ToolCalls),
            (Prompt { one_call_only: true, ..with_tools("all tools", ToolChoice::Auto) }, "f({})", Finish::ToolCalls),
        ];
        for (prompt, text, finish) in cases {
            let shown = format!("{prompt:?}");
            assert_eq!(said(prompt), (text.to_owned(), finish), "{shown}");
        }
    }

    #[test]
    fn model_thinks_if_it_may_and_is_asked_to() {
        let thought = |text, thinks| Prompt { thinks, ..asked(text) }.reply("openai", b"{}").thinking;
        assert!(thought("think hard", Thinks::IfAsked).is_some() && thought("hi", Thinks::Always).is_some());
        assert!(thought("hi", Thinks::IfAsked).is_none() && thought("think hard", Thinks::Never).is_none());
    }

    #[test]
    fn tokens_concatenate_to_the_text() {
        for text in ["", " ", "a", " a b", "a  b \n c ", "ü ö"] {
            assert_eq!(tokens(text).collect::<String>(), text);
            assert_eq!(owned_tokens(text.to_owned().into()).collect::<String>(), text);
        }
        assert_eq!(tokens(counted(100_000)).count(), 100_000);
    }
}
