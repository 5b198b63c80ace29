//! Requests: the client's own body with the edits that a dialect asks for.
//!
//! Nothing is written anew that can stay: the attempt applies the edits to the bytes it has and never
//! parses them. What is left out is named in `dropped`, and refused where the answer would lack what was
//! asked for (mapping.md, section 13).

use std::borrow::Cow;

use super::dialect::{Dialect, Logprobs, OPENAI_FIELDS, Schema, Switch, Usage, Way, When};
use super::messages;
use crate::chat::ChatRequest;
use crate::chat::request::{ResponseFormat, ToolChoice};
use crate::error::Rejection;
use crate::json::{self, Edits, Object, RawValue, Str, Type};
use crate::provider::parameters::{self, unsupported};
use crate::provider::{Body, Effort, Reasoning, Sampling, Target, UpstreamRequest};

/// The edits travel in the plan, from stage to stage: with more text than this the attempt writes the
/// body anew instead, as for other wire formats.
const MOST_ADDED: usize = 16 << 10;

/// More names than these nobody would read.
const MOST_DROPPED: usize = 16;

pub struct Request<'r, 'a> {
    pub chat: &'r ChatRequest<'a>,
    pub target: &'r Target,
    pub dialect: &'r Dialect,
    pub edits: Edits,
    dropped: Vec<Cow<'static, str>>,
    /// In the order of their places among the pairs of the top level.
    changes: Vec<(usize, Change)>,
    /// New pairs, each behind its comma: they go behind the model's name, which is replaced anyway.
    added: String,
}

/// What becomes of a pair of the top level.
#[derive(Default)]
struct Change {
    is_cut: bool,
    key: Option<&'static str>,
    value: Option<String>,
}

pub fn translate(chat: &ChatRequest<'_>, target: &Target, dialect: &Dialect) -> Result<UpstreamRequest, Rejection> {
    let mut request = Request {
        chat,
        target,
        dialect,
        edits: Edits::default(),
        dropped: Vec::new(),
        changes: Vec::new(),
        added: String::new(),
    };
    request.fields()?;
    let is_forced = request.tools()?;
    let thinks = request.thinking(is_forced)?;
    let instruction = request.format()?;
    request.usage();
    messages::edit(&mut request, thinks, instruction)?;
    request.finish()
}

impl<'a> Request<'_, 'a> {
    /// The top level, but for what has a function of its own. Where the vendor judges it, only what is known of
    /// the model counts.
    fn fields(&mut self) -> Result<(), Rejection> {
        let (chat, target, dialect) = (self.chat, self.target, self.dialect);
        let is_judged = !dialect.known.is_empty();
        for (place, (name, value)) in chat.object().iter().enumerate() {
            if matches!(name, "model" | "messages" | "stream" | "stream_options") {
                continue;
            }
            let is_refused = |sampling: &Sampling| sampling.name() == name && !target.sampling.contains(sampling);
            // What is said by leaving it out, too, and what OpenAI's models take when they do not think.
            let is_taken = || !is_judged && (json::float(value.get()) == Some(1.0) || self.is_told_not_to_think());
            let is_fixed = matches!(name, "temperature" | "top_p" | "top_k")
                && Sampling::ALL.iter().any(is_refused)
                && !is_taken();
            if !is_judged && !is_fixed && !matches!(name, "max_tokens" | "max_completion_tokens") {
                continue;
            }
            if json::type_of(value) == Type::Null {
                if is_judged {
                    self.cut(place);
                }
                continue;
            }
            let thinking = if target.reasoning.is_some() { dialect.renamed_thinking } else { &[] };
            let renamed = dialect.renamed.iter().chain(thinking).find(|(from, _)| *from == name).map(|(_, to)| *to);
            let is_left_out = target.reasoning.is_some() && dialect.not_thinking.contains(name);
            let is_known = renamed.is_some() || !is_judged || dialect.known.contains(name);
            if !is_known || is_left_out {
                if dialect.is_closed || OPENAI_FIELDS.contains(name) {
                    self.lacks(place, name, value)?;
                }
                continue;
            }
            if is_fixed {
                self.drop(place, name);
                continue;
            }
            if let Some(to) = renamed {
                // Of two names for the same the client's newer one holds, as with OpenAI.
                match self.place(to) {
                    Some(_) if name == "max_tokens" && chat.field(to).is_some() => {
                        self.cut(place);
                        continue;
                    }
                    Some(other) => self.cut(other),
                    None => {}
                }
                self.change(place).key = Some(to);
            }
            if name == "service_tier" && !dialect.tiers.is_empty() {
                self.tier(place, value);
            }
            self.limit(place, name, value);
            if !is_judged {
                continue;
            }
            if dialect.lists.contains(name) && json::type_of(value) == Type::String {
                self.change(place).value = Some(format!("[{}]", value.get()));
            }
            if dialect.logprobs == Logprobs::One {
                self.one_logprobs(place, name, value);
            }
        }
        Ok(())
    }

    fn is_told_not_to_think(&self) -> bool {
        self.chat.field("reasoning_effort").is_some_and(|effort| effort.get() == "\"none\"")
    }

    /// OpenAI's ordinary tier in the vendor's word; one that the vendor does not have is its ordinary one, too.
    fn tier(&mut self, place: usize, value: &RawValue) {
        let known = self.dialect.tiers;
        let word = value.get().trim_matches('"');
        if let ("default", Some(ordinary)) = (word, known.0.split(' ').next()) {
            self.change(place).value = Some(json::escape(ordinary));
        } else if !known.contains(word) {
            self.drop(place, "service_tier");
        }
    }

    /// A number beyond what the vendor or the model takes is cut off, not scaled. A seed is left out: none is near
    /// another.
    fn limit(&mut self, place: usize, name: &str, value: &RawValue) {
        let most_tokens = self.target.max_output.filter(|_| matches!(name, "max_tokens" | "max_completion_tokens"));
        let range = self.dialect.ranges.iter().find(|(ranged, ..)| *ranged == name);
        if most_tokens.is_none() && range.is_none() {
            return;
        }
        let Some(number) = json::float(value.get()) else { return };
        if let Some(most) = most_tokens.filter(|most| number > *most as f64) {
            self.change(place).value = Some(most.to_string());
            self.name_dropped(name);
        }
        let Some((_, least, most)) = range else { return };
        let is =
            |bound: &str, beyond: fn(f64, f64) -> bool| json::float(bound).is_some_and(|bound| beyond(number, bound));
        let bound = match () {
            () if is(least, |number, least| number < least) => least,
            () if is(most, |number, most| number > most) => most,
            () => return,
        };
        if name == "seed" {
            self.cut(place);
        }
        self.change(place).value = Some((*bound).to_owned());
        self.name_dropped(name);
    }

    fn one_logprobs(&mut self, place: usize, name: &str, value: &RawValue) {
        match (name, value.get()) {
            ("logprobs", "true") => {
                let count = self.chat.field("top_logprobs").map_or("1", RawValue::get);
                self.change(place).value = Some(if count == "0" { "1" } else { count }.to_owned());
            }
            ("logprobs", "false") | ("top_logprobs", _) => self.cut(place),
            _ => {}
        }
    }

    /// A field that the vendor does not have. It is left out in silence where it asks for nothing, and
    /// refused where the answer would be another thing.
    fn lacks(&mut self, place: usize, name: &str, value: &RawValue) -> Result<(), Rejection> {
        let asks_nothing = match name {
            "n" => parameters::one_choice(self.chat).map(|()| true)?,
            "logprobs" | "top_logprobs" => parameters::no_logprobs(self.chat).map(|()| true)?,
            "modalities" => parameters::text_only(self.chat).map(|()| true)?,
            "tools" | "stop" => json::elements(value).is_some_and(|items| items.is_empty()),
            "tool_choice" => matches!(value.get(), "\"auto\"" | "\"none\""),
            "response_format" => matches!(self.chat.response_format()?, ResponseFormat::Text),
            "audio" | "web_search_options" | "functions" | "function_call" | "moderation" => false,
            "parallel_tool_calls" if value.get() == "true" => true,
            _ => {
                self.drop(place, name);
                return Ok(());
            }
        };
        if !asks_nothing {
            return Err(unsupported(name));
        }
        self.cut(place);
        Ok(())
    }

    /// `tools` and `tool_choice`. Tells whether a tool has to be called.
    fn tools(&mut self) -> Result<bool, Rejection> {
        let rules = &self.dialect.choice;
        let Some(tools) = self.place("tools").filter(|place| !self.is_cut(*place)).and(self.chat.field("tools")) else {
            return Ok(false);
        };
        let choice = self.place("tool_choice").filter(|place| !self.is_cut(*place));
        let given = match choice {
            Some(_) if !rules.allowed => self.chat.tool_choice()?,
            _ => None,
        };
        let (mut only, mut is_forced) = (None, false);
        if let (Some(place), Some(given)) = (choice, given) {
            let way = match given {
                ToolChoice::Auto => Way::Same,
                ToolChoice::None => rules.none,
                ToolChoice::Required => rules.required,
                ToolChoice::Named(_) => rules.named,
                ToolChoice::Allowed { required: false, .. } => Way::Word("auto"),
                ToolChoice::Allowed { required: true, .. } if rules.required == Way::Same => Way::Word("required"),
                ToolChoice::Allowed { required: true, .. } => rules.required,
            };
            is_forced = matches!(
                given,
                ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. }
            );
            let is_word = !matches!(given, ToolChoice::Named(_));
            match way {
                Way::Same => {}
                Way::Word(word) => self.change(place).value = Some(json::escape(word)),
                Way::Alone => self.change(place).value = Some(r#""required""#.to_owned()),
                Way::Refused => {
                    let message =
                        "This model cannot be made to call a tool in this way: 'tool_choice' must be another.";
                    return Err(Rejection::unsupported("tool_choice", message));
                }
                Way::NoTools => {
                    for name in ["tools", "tool_choice", "parallel_tool_calls"] {
                        if let Some(place) = self.place(name) {
                            self.cut(place);
                        }
                    }
                    return Ok(false);
                }
            }
            if is_word {
                self.change(place).key = rules.words;
            }
            match given {
                ToolChoice::Allowed { names, .. } => only = Some(names),
                ToolChoice::Named(name) if way == Way::Alone => only = Some(vec![name]),
                _ => {}
            }
        }
        self.edit_tools(tools, only.as_deref())?;
        for (when, name, value) in self.dialect.defaults {
            let holds = match when {
                When::Tools => true,
                When::StreamWithTools => self.chat.stream,
            };
            if holds && self.chat.field(name).is_none() {
                if let Some(place) = self.place(name) {
                    self.cut(place);
                }
                self.add(name, value);
            }
        }
        Ok(is_forced)
    }

    fn edit_tools(&mut self, tools: &'a RawValue, only: Option<&[Str<'_>]>) -> Result<(), Rejection> {
        let rules = &self.dialect.tools;
        if rules.only_functions {
            self.chat.tools()?;
        }
        if only.is_none() && rules.fields.is_empty() && !rules.needs_parameters {
            return Ok(());
        }
        let body = self.chat.body;
        let only: Option<Vec<_>> = only.map(|names| names.iter().map(|name| name.decode()).collect());
        let (Some(list), Some(elements)) = (json::span(body, tools.get()), json::elements(tools)) else {
            return Ok(());
        };
        let mut items = Vec::with_capacity(elements.len());
        for tool in elements {
            let Some(span) = json::span(body, tool.get()) else { continue };
            let fields = Object::of(tool).unwrap_or_default();
            let function = fields.get("function").filter(|function| json::type_of(function) == Type::Object);
            let name = function.and_then(|function| Object::of(function)?.get("name"));
            let name = name.and_then(Str::new).map(Str::decode);
            let is_cut = only.as_ref().is_some_and(|only| name.is_none_or(|name| !only.contains(&name)));
            if let Some(function) = function.filter(|_| !is_cut) {
                self.edit_function(function);
            }
            items.push((span, is_cut));
        }
        if !items.is_empty() && items.iter().all(|(_, is_cut)| *is_cut) {
            return Err(Rejection::invalid("tool_choice", "None of the 'tools' is allowed."));
        }
        self.edits.cut(list.start + 1, items);
        Ok(())
    }

    fn edit_function(&mut self, function: &'a RawValue) {
        let rules = &self.dialect.tools;
        let body = self.chat.body;
        let Some(fields) = Object::of(function) else { return };
        let Some(open) = json::span(body, function.get()).map(|span| span.start + 1) else { return };
        let Some(spans) = fields.spans(body, open) else { return };
        let mut items = Vec::with_capacity(spans.len());
        for ((name, value), (key, span)) in fields.iter().zip(spans) {
            let is_cut = !rules.fields.is_empty() && !rules.fields.contains(name);
            if is_cut && !matches!(value.get(), "null" | "false") {
                self.name_dropped(&format!("tools.{name}"));
            }
            let has_none = rules.needs_parameters && fields.get("parameters").is_none_or(|value| value.get() == "null");
            match name {
                "name" if has_none && fields.get("parameters").is_none() => {
                    self.edits.replace(span.end..span.end, format!(",\"parameters\":{NO_PARAMETERS}"));
                }
                "parameters" if has_none => self.edits.replace(span.clone(), NO_PARAMETERS),
                _ => {}
            }
            items.push((key.start..span.end, is_cut));
        }
        self.edits.cut(open, items);
    }

    /// `reasoning_effort` in the form that the model takes. Tells whether it will think.
    fn thinking(&mut self, is_forced: bool) -> Result<bool, Rejection> {
        let rules = &self.dialect.thinking;
        let place = self.place("reasoning_effort").filter(|place| !self.is_cut(*place));
        let effort = match place {
            Some(_)
                if !self.dialect.known.is_empty()
                    || rules.switch != Switch::None
                    || !self.target.efforts.is_empty() =>
            {
                self.chat.string("reasoning_effort")?.map(Str::decode)
            }
            _ => None,
        };
        let Some(form) = self.target.reasoning else {
            if let (Some(place), Some(_), false) = (place, &effort, self.dialect.known.is_empty()) {
                self.drop(place, "reasoning_effort");
            }
            return Ok(false);
        };
        // Whoever speaks the vendor's own words has said it all.
        if let Some(own) = rules.switch.fields().iter().find_map(|name| self.chat.field(name)) {
            if let (Some(place), Some(_)) = (place, &effort) {
                self.drop(place, "reasoning_effort");
            }
            return Ok(own.get() != "false" && !own.get().contains("\"disabled\""));
        }
        if is_forced && rules.not_forced && effort.as_deref() != Some("none") {
            if let Some(place) = place {
                self.cut(place);
            }
            self.name_dropped("reasoning_effort");
            self.switch(rules.switch.off());
            return Ok(false);
        }
        let (Some(place), Some(effort)) = (place, effort) else { return Ok(true) };
        // What is known of the model holds, and what is known of all of the vendor's where that is nothing.
        let target = self.target;
        let efforts = if target.efforts.is_empty() { rules.efforts } else { &target.efforts };
        let asked = Effort::named(&effort);
        let is_offered = efforts.is_empty() || asked.is_some_and(|asked| efforts.contains(&asked));
        let is_off = effort == "none";
        match form {
            Reasoning::Effort | Reasoning::Adaptive if is_offered => {}
            _ if is_off && rules.switch != Switch::None => {
                self.cut(place);
                self.switch(rules.switch.off());
            }
            Reasoning::Switch if rules.switch != Switch::None => {
                self.cut(place);
                self.switch(rules.switch.on());
            }
            Reasoning::Budget if rules.switch != Switch::None => {
                self.cut(place);
                self.switch(&rules.switch.budget(&effort));
            }
            _ if is_offered => {}
            _ => {
                // A word that is no effort is the vendor's to refuse.
                if let Some(nearest) = asked.map(|asked| asked.nearest(efforts)) {
                    self.change(place).value = Some(json::escape(nearest.name()));
                    self.name_dropped("reasoning_effort");
                }
                return Ok(true);
            }
        }
        Ok(!is_off)
    }

    /// Says in the vendor's words how to think. Those that are there already say `null`.
    fn switch(&mut self, words: &str) {
        for name in self.dialect.thinking.switch.fields() {
            if let Some(place) = self.place(name) {
                self.cut(place);
            }
        }
        self.added.push_str(words);
    }

    /// A format that the vendor cannot hold an answer to becomes an instruction: the text of it.
    fn format(&mut self) -> Result<Option<String>, Rejection> {
        let schema = self.dialect.schema;
        let place = self.place("response_format").filter(|_| schema != Schema::Same);
        let Some(place) = place else { return Ok(None) };
        match (schema, self.chat.response_format()) {
            (Schema::Instructed, Ok(ResponseFormat::JsonSchema { schema, .. })) => {
                self.change(place).value = Some(r#"{"type":"json_object"}"#.to_owned());
                self.name_dropped("response_format.json_schema");
                let schema = schema.map_or("{}", RawValue::get);
                Ok(Some(format!("{ANSWER_IN_SCHEMA}{schema}")))
            }
            (Schema::Alone, Ok(ResponseFormat::JsonObject)) => {
                self.cut(place);
                Ok(Some(parameters::ANSWER_IN_JSON.to_owned()))
            }
            // It has formats of its own.
            (Schema::Alone, _) | (_, Ok(_)) => Ok(None),
            (_, Err(rejection)) => Err(rejection),
        }
    }

    /// Usage is always asked for: whether the client is shown it is the endpoint's business.
    fn usage(&mut self) {
        let asks = match self.dialect.usage {
            Usage::Asked => true,
            Usage::AskedSince(date) => {
                let version = self.target.api_version.as_deref().unwrap_or_default();
                !version.starts_with(|c: char| c.is_ascii_digit()) || version >= date
            }
            Usage::Always => false,
            Usage::AlwaysByPath => {
                if let Some(place) = self.place("stream") {
                    self.cut(place);
                }
                false
            }
        };
        let given = self.place("stream_options");
        match (given, self.chat.field_or_null("stream_options")) {
            (Some(place), _) if !asks => self.cut(place),
            _ if !asks || !self.chat.stream || self.chat.include_usage => {}
            (Some(place), Some(options)) => self.change(place).value = Some(with_usage(options)),
            _ => self.add("stream_options", r#"{"include_usage":true}"#),
        }
    }

    fn finish(mut self) -> Result<UpstreamRequest, Rejection> {
        let (chat, target, dialect) = (self.chat, self.target, self.dialect);
        if let (Some(name), Some(project)) = (dialect.project, &target.project) {
            self.add(name, &json::escape(project));
        }
        if let Some(model) = self.place("model") {
            let value = json::escape(&target.id) + &std::mem::take(&mut self.added);
            let change = self.change(model);
            change.value = Some(value);
            change.key = Some(dialect.model).filter(|name| *name != "model");
        }
        let mut edits = std::mem::take(&mut self.edits);
        let fields = chat.object();
        if self.changes.iter().any(|(_, change)| change.is_cut || change.key.is_some()) {
            let open = memchr::memchr(b'{', chat.body).map_or(0, |at| at + 1);
            let spans = fields.spans(chat.body, open).unwrap_or_default();
            let mut items = Vec::with_capacity(spans.len());
            let mut changes = self.changes.into_iter().peekable();
            for (place, (key, value)) in spans.into_iter().enumerate() {
                let (_, change) = changes.next_if(|(at, _)| *at == place).unwrap_or_default();
                items.push((key.start..value.end, change.is_cut));
                if let (false, Some(name)) = (change.is_cut, change.key) {
                    edits.replace(key, json::escape(name));
                }
                if let (false, Some(text)) = (change.is_cut, change.value) {
                    edits.replace(value, text);
                }
            }
            edits.cut(open, items);
        } else {
            for (place, change) in self.changes {
                let value = fields.iter().nth(place).and_then(|(_, value)| json::span(chat.body, value.get()));
                if let (Some(span), Some(text)) = (value, change.value) {
                    edits.replace(span, text);
                }
            }
        }
        let path = (dialect.path)(target, chat.stream);
        let body = match edits.added() {
            0..=MOST_ADDED => Body::Edited(edits),
            _ => Body::Written(edits.apply(chat.body)),
        };
        Ok(UpstreamRequest { dropped: self.dropped, ..UpstreamRequest::new(path, body) })
    }

    /// Where a field stands among the pairs, `null` included.
    fn place(&self, name: &str) -> Option<usize> {
        self.chat.object().iter().position(|(key, _)| key == name)
    }

    #[expect(clippy::indexing_slicing, reason = "what was not there has just been put there")]
    fn change(&mut self, place: usize) -> &mut Change {
        let at = self.changes.partition_point(|(known, _)| *known < place);
        if self.changes.get(at).is_none_or(|(known, _)| *known != place) {
            self.changes.insert(at, (place, Change::default()));
        }
        &mut self.changes[at].1
    }

    fn is_cut(&self, place: usize) -> bool {
        self.changes.iter().any(|(at, change)| *at == place && change.is_cut)
    }

    fn cut(&mut self, place: usize) {
        self.change(place).is_cut = true;
    }

    fn drop(&mut self, place: usize, name: &str) {
        self.cut(place);
        self.name_dropped(name);
    }

    /// Some names are the client's own and end up in a header: only plain ones count.
    pub fn name_dropped(&mut self, name: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let is_plain = (1..=64).contains(&name.len()) && name.bytes().all(plain);
        if is_plain && self.dropped.len() < MOST_DROPPED && !self.dropped.iter().any(|known| known == name) {
            self.dropped.push(Cow::Owned(name.to_owned()));
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        for text in [",\"", name, "\":", value] {
            self.added.push_str(text);
        }
    }
}

const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The vendors that have `json_object` alone want the word JSON in the prompt.
const ANSWER_IN_SCHEMA: &str =
    "Answer with a single valid JSON object and nothing else. It must fit this JSON Schema: ";

/// `stream_options` with `include_usage` set and everything else as it was.
fn with_usage(options: &RawValue) -> String {
    let text = options.get().as_bytes();
    let Ok(fields) = Object::parse(text) else { return r#"{"include_usage":true}"#.into() };
    let mut edits = Edits::default();
    match fields.get("include_usage").and_then(|value| json::span(text, value.get())) {
        Some(range) => edits.replace(range, "true"),
        None if fields.is_empty() => edits.replace(1..1, r#""include_usage":true"#),
        None => edits.replace(1..1, r#""include_usage":true,"#),
    }
    String::from_utf8(edits.apply(text)).unwrap_or_else(|_| r#"{"include_usage":true}"#.into())
}

impl Switch {
    /// The vendor's own fields for it.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Switch::None => &[],
            Switch::Thinking => &["thinking"],
            Switch::Enable => &["enable_thinking", "thinking_budget"],
            Switch::Template => &["chat_template_kwargs"],
            Switch::Reasoning => &["reasoning"],
        }
    }

    fn on(self) -> &'static str {
        match self {
            Switch::None => "",
            Switch::Thinking => r#","thinking":{"type":"enabled"}"#,
            Switch::Enable => r#","enable_thinking":true"#,
            Switch::Template => r#","chat_template_kwargs":{"enable_thinking":true,"thinking":true}"#,
            Switch::Reasoning => r#","reasoning":{"enabled":true}"#,
        }
    }

    fn off(self) -> &'static str {
        match self {
            Switch::None => "",
            Switch::Thinking => r#","thinking":{"type":"disabled"}"#,
            Switch::Enable => r#","enable_thinking":false"#,
            Switch::Template => r#","chat_template_kwargs":{"enable_thinking":false,"thinking":false}"#,
            Switch::Reasoning => r#","reasoning":{"enabled":false}"#,
        }
    }

    /// From `high` on the budget is the model's own (mapping.md, section 6).
    fn budget(self, effort: &str) -> String {
        let tokens = match effort {
            "minimal" => "1024",
            "low" => "4096",
            "medium" => "8192",
            _ => return self.on().to_owned(),
        };
        match self {
            Switch::Thinking => format!(r#","thinking":{{"type":"enabled","budget_tokens":{tokens}}}"#),
            Switch::Enable => format!(r#","enable_thinking":true,"thinking_budget":{tokens}"#),
            Switch::Reasoning => format!(r#","reasoning":{{"max_tokens":{tokens}}}"#),
            Switch::None | Switch::Template => self.on().to_owned(),
        }
    }
}
