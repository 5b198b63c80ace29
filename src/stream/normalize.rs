//! The one place that makes a stream strict.
//!
//! Chunks come in as providers send them; what leaves keeps the grammar that clients rely on: per
//! choice the role once and first, tool calls with dense indices whose ids and names come once and
//! whose arguments follow in order, exactly one finish reason with nothing behind it; per stream one
//! id, model and time, usage at the end and once. Renderers may assume all of it.

use crate::chat::{Arguments, ChatChunk, ChunkChoice, FinishReason, ToolCallDelta, Usage};
use crate::error::UpstreamError;
use crate::json::{RawValue, Str};

/// No API gives more choices to one request (OpenAI's `n` is at most 128); what a stream can make us
/// remember is bounded by it, and by the same number of tool calls for each.
const MAX_CHOICES: usize = 128;
const MAX_TOOL_CALLS: usize = 1024;

/// Every chunk of a stream repeats the id and the model: longer ones, which nobody gives, would multiply
/// what the client is sent.
const MAX_NAME: usize = 256;

/// A provider's own counts are a few hundred bytes; what is longer is not kept for the end of the stream.
const MAX_NATIVE_USAGE: usize = 8 << 10;

/// What all chunks of a stream have in common; `id` and `model` are JSON strings.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: String,
    pub model: String,
    /// Unix seconds.
    pub created: u64,
}

/// The usage that a stream ended with, and how it was written where it came in the hub's own shape.
#[derive(Debug)]
pub struct FinalUsage {
    pub usage: Usage,
    pub source: Option<UsageSource>,
}

#[derive(Debug)]
pub enum UsageSource {
    /// A chunk of its own, without choices.
    Chunk(String),
    /// The value of a `usage` key, for the fields that have no name here.
    Value(String),
    /// What the provider counts in its own way.
    Native(String),
}

pub struct Normalizer {
    identity: Identity,
    begun: bool,
    choices: Vec<Choice>,
    usage: Option<FinalUsage>,
    has_output: bool,
}

struct Choice {
    index: u32,
    has_role: bool,
    finish: Option<FinishReason>,
    calls: Vec<Call>,
}

struct Call {
    id: Option<String>,
    name: Option<String>,
    upstream_index: Option<u32>,
    /// Its number among the calls that the client knows of. A call is told once it has a name.
    index: Option<u32>,
    has_arguments: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Send,
    Drop,
}

impl Normalizer {
    /// `identity` stands in for what the provider does not say.
    pub fn new(identity: Identity) -> Self {
        Normalizer { identity, begun: false, choices: Vec::new(), usage: None, has_output: false }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn usage(&self) -> Option<&FinalUsage> {
        self.usage.as_ref()
    }

    /// Whether the model has said anything yet: text, reasoning, a tool call, a refusal.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Makes a chunk strict, or says that nothing of it is to be sent.
    pub fn chunk(&mut self, chunk: &mut ChatChunk<'_>) -> Verdict {
        let mut exact = self.pin_identity(chunk);
        if let Some(source) = &mut chunk.source {
            source.exact &= exact;
        }
        let has_usage = chunk.usage.is_some();
        self.take_usage(chunk);
        for choice in &mut chunk.choices {
            exact &= self.choice(choice);
        }
        let source_is_exact = match &mut chunk.source {
            Some(source) => {
                source.exact &= exact;
                source.exact
            }
            None => false,
        };
        if !source_is_exact {
            let says = |choice: &ChunkChoice<'_>| {
                choice.delta.role
                    || choice.delta.has_output()
                    || choice.delta.logprobs.is_some()
                    || !choice.delta.extra.is_empty()
                    || choice.finish_reason.is_some()
            };
            chunk.choices.retain(says);
        }
        let is_sent = !chunk.choices.is_empty()
            || source_is_exact && !has_usage && chunk.source.is_some_and(|source| says_more(source.text));
        if is_sent { Verdict::Send } else { Verdict::Drop }
    }

    /// Whether nothing is new in a chunk that says no more than a text: its choice has begun, and with it the
    /// stream, and so has the call that it may be a fragment of.
    pub fn is_settled(&self, chunk: &ChatChunk<'_>) -> bool {
        let [choice] = chunk.choices.as_slice() else { return false };
        let Some(known) = self.choices.iter().find(|known| known.index == choice.index) else { return false };
        choice.delta.tool_calls.iter().all(|fragment| {
            let call = known.slot(fragment).and_then(|at| known.calls.get(at));
            call.is_some_and(|call| call.index.is_some() && call.has_arguments)
        })
    }

    /// Usage of an event that is otherwise like the one before, which had usage, too.
    pub fn usage_again(&mut self, usage: Usage, value: &str) {
        let Some(last) = &mut self.usage else { return };
        last.usage = usage;
        if let Some(UsageSource::Chunk(text) | UsageSource::Value(text) | UsageSource::Native(text)) = &mut last.source
        {
            value.clone_into(text);
        }
    }

    /// The end of the provider's answer: an error if it is not a whole one.
    pub fn end(&self) -> Result<(), UpstreamError> {
        if self.choices.is_empty() || self.choices.iter().any(|choice| choice.finish.is_none()) {
            return Err(UpstreamError::malformed("The provider's stream ended before the answer was complete."));
        }
        let wants_output =
            |choice: &Choice| matches!(choice.finish, Some(FinishReason::Stop | FinishReason::ToolCalls));
        if !self.has_output && self.choices.iter().all(wants_output) {
            return Err(UpstreamError::malformed("The provider's answer is empty."));
        }
        Ok(())
    }

    /// The first id, model and time hold for the whole stream. Tells whether the chunk has just these.
    fn pin_identity(&mut self, chunk: &ChatChunk<'_>) -> bool {
        let is_name = |text: &Str<'_>| !text.is_empty() && text.raw().len() <= MAX_NAME;
        let id = chunk.id.filter(is_name);
        let model = chunk.model.filter(is_name);
        if !self.begun && (id.is_some() || !chunk.choices.is_empty()) {
            self.begun = true;
            if let Some(id) = id {
                id.raw().clone_into(&mut self.identity.id);
            }
            if let Some(model) = model {
                model.raw().clone_into(&mut self.identity.model);
            }
            if let Some(created) = chunk.created {
                self.identity.created = created;
            }
        }
        id.is_some_and(|id| id.raw() == self.identity.id)
            && model.is_some_and(|model| model.raw() == self.identity.model)
            && chunk.created == Some(self.identity.created)
    }

    /// The last usage wins: some send it in every chunk, cumulatively (quirk B4).
    fn take_usage(&mut self, chunk: &mut ChatChunk<'_>) {
        let Some(usage) = chunk.usage.take() else { return };
        let source = chunk.source.and_then(|source| match source.usage {
            Some(value) if chunk.choices.is_empty() && source.exact && usage.is_written_as(value) => {
                Some(UsageSource::Chunk(source.text.to_owned()))
            }
            Some(value) => Some(UsageSource::Value(value.get().to_owned())),
            None => None,
        });
        let native = chunk.native_usage.take().filter(|native| native.len() <= MAX_NATIVE_USAGE);
        let source = source.or_else(|| native.map(|native| UsageSource::Native(native.to_owned())));
        self.usage = Some(FinalUsage { usage, source });
    }

    /// Tells whether the choice was strict already.
    fn choice(&mut self, choice: &mut ChunkChoice<'_>) -> bool {
        let at = match self.choices.iter().position(|known| known.index == choice.index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice { index: choice.index, has_role: false, finish: None, calls: Vec::new() });
                self.choices.len() - 1
            }
        };
        let Some(state) = self.choices.get_mut(at).filter(|state| at < MAX_CHOICES && state.finish.is_none()) else {
            // Behind its finish reason, or beyond any sense.
            self.choices.truncate(MAX_CHOICES);
            choice.delta = Default::default();
            choice.finish_reason = None;
            return false;
        };
        let mut exact = true;
        if choice.delta.role == state.has_role {
            choice.delta.role = !state.has_role;
            exact = false;
        }
        state.has_role = true;
        for call in &mut choice.delta.tool_calls {
            exact &= state.call(call);
        }
        choice.delta.tool_calls.retain(|call| call.index.is_some());
        self.has_output |= choice.delta.has_output();
        // A call that has no name to the end is none that a client could run: the answer is not whole.
        if choice.finish_reason.is_some() && state.calls.iter().any(|call| call.index.is_none()) {
            choice.finish_reason = None;
            return false;
        }
        if let Some(reason) = choice.finish_reason {
            for call in state.calls.iter_mut().filter(|call| !call.has_arguments) {
                call.has_arguments = true;
                let arguments = Some(Arguments::Json("{}"));
                choice.delta.tool_calls.push(ToolCallDelta { index: call.index, arguments, ..Default::default() });
                exact = false;
            }
            // Some say `stop` when they have called tools (quirk B19); clients would not run them.
            if reason == FinishReason::Stop && !state.calls.is_empty() {
                choice.finish_reason = Some(FinishReason::ToolCalls);
                exact = false;
            }
            state.finish = choice.finish_reason;
        }
        exact
    }
}

impl Choice {
    /// Gives a fragment its place among the calls and takes away what was sent before. Tells whether
    /// nothing had to be changed.
    fn call(&mut self, fragment: &mut ToolCallDelta<'_>) -> bool {
        let says = match fragment.arguments {
            Some(Arguments::Text(text)) => !text.is_empty(),
            Some(Arguments::Json(_)) => true,
            None => false,
        };
        let at = match self.slot(fragment) {
            Some(at) => at,
            // Some have an empty one beside every text.
            None if !says && fragment.id.is_none() && fragment.name.is_none() => {
                *fragment = ToolCallDelta::default();
                return false;
            }
            None => {
                self.calls.push(Call {
                    id: fragment.id.map(|id| id.raw().to_owned()),
                    name: None,
                    upstream_index: fragment.index,
                    index: None,
                    has_arguments: false,
                });
                self.calls.len() - 1
            }
        };
        let known = self.calls.iter().filter(|call| call.index.is_some()).count() as u32;
        let Some(call) = self.calls.get_mut(at).filter(|_| at < MAX_TOOL_CALLS) else {
            self.calls.truncate(MAX_TOOL_CALLS);
            *fragment = ToolCallDelta::default();
            return false;
        };
        let given = fragment.index;
        let exact = if call.index.is_some() {
            let exact = fragment.id.is_none() && fragment.name.is_none();
            fragment.id = None;
            fragment.name = None;
            exact
        } else if let Some(name) = fragment.name {
            call.name = Some(name.raw().to_owned());
            call.index = Some(known);
            fragment.begins = true;
            fragment.id.is_some() && fragment.state.is_none()
        } else {
            // Its id alone: the renderer makes one up when the name comes, which nobody has been seen to do.
            *fragment = ToolCallDelta::default();
            return false;
        };
        fragment.index = call.index;
        // Nothing is a text, too.
        call.has_arguments |= says || fragment.is_custom;
        exact && fragment.index == given
    }

    /// The call that a fragment belongs to, `None` for a new one. Indices are missing with some
    /// providers and all zero with others (quirks B12, B13); ids are repeated, blanked, or made up for
    /// every fragment (B15).
    fn slot(&self, fragment: &ToolCallDelta<'_>) -> Option<usize> {
        let last_at = |index| self.calls.iter().rposition(|call| call.upstream_index == index);
        let is_named = |at: usize, name: Str<'_>| {
            self.calls.get(at).is_some_and(|call| call.name.as_deref().is_none_or(|known| known == name.raw()))
        };
        if let Some(id) = fragment.id {
            let has_id = |call: &Call| call.id.as_deref() == Some(id.raw());
            let is_here = |call: &Call| has_id(call) && call.upstream_index == fragment.index;
            // Some give two calls one id: a name comes again, at another index.
            let is_other =
                |call: &Call| fragment.name.is_some() && fragment.index.is_some() && call.upstream_index.is_some();
            let known = self.calls.iter().rposition(is_here);
            let known = known.or_else(|| self.calls.iter().position(|call| has_id(call) && !is_other(call)));
            if known.is_some() {
                return known;
            }
            // A new id at the index of a call that has no name yet is that call's own.
            let unnamed = |call: &Call| call.name.is_none() && call.upstream_index == fragment.index;
            if let Some(at) = self.calls.iter().rposition(unnamed) {
                return Some(at);
            }
        }
        match (fragment.index, fragment.id, fragment.name) {
            (_, Some(_), Some(_)) => None,
            // The same name once more is the same call.
            (Some(_), None, Some(name)) => last_at(fragment.index).filter(|at| is_named(*at, name)),
            (None, None, Some(_)) => {
                let last = self.calls.len().checked_sub(1);
                last.filter(|at| self.calls.get(*at).is_some_and(|call| call.name.is_none()))
            }
            (Some(_), _, None) => last_at(fragment.index),
            (None, _, None) => self.calls.len().checked_sub(1),
        }
    }
}

/// Whether a chunk without choices has anything that is not in all of a stream: OpenAI's `moderation`, say.
#[cold]
fn says_more(chunk: &str) -> bool {
    const COMMON: &[&str] =
        &["id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "obfuscation"];
    RawValue::trusted(chunk).pairs().any(|(key, value)| !COMMON.contains(&key.escaped()) && value.get() != "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Delta, Source};

    fn str(text: &'static str) -> Str<'static> {
        Str::parse(text).unwrap()
    }

    fn normalizer() -> Normalizer {
        Normalizer::new(Identity { id: "\"x\"".into(), model: "\"m\"".into(), created: 1 })
    }

    fn fragment(index: Option<u32>, id: Option<&'static str>, arguments: &'static str) -> ToolCallDelta<'static> {
        ToolCallDelta {
            index,
            id: id.map(str),
            name: id.map(|_| str("\"f\"")),
            arguments: Some(Arguments::Text(str(arguments))),
            ..Default::default()
        }
    }

    fn chunk(tool_calls: Vec<ToolCallDelta<'static>>, finish_reason: Option<FinishReason>) -> ChatChunk<'static> {
        let delta = Delta { tool_calls, ..Default::default() };
        ChatChunk { choices: vec![ChunkChoice { index: 0, place: None, delta, finish_reason }], ..Default::default() }
    }

    #[test]
    fn tool_index_is_dense_when_the_provider_repeats_zero_or_gives_none() {
        for given in [Some(0), None] {
            let mut normalizer = normalizer();
            let mut seen = Vec::new();
            for (id, arguments) in [(Some("\"a\""), "\"{\""), (None, "\"}\""), (Some("\"b\""), "\"{}\"")] {
                let mut chunk = chunk(vec![fragment(given, id, arguments)], None);
                normalizer.chunk(&mut chunk);
                seen.push(chunk.choices[0].delta.tool_calls[0].index);
            }
            assert_eq!(seen, [Some(0), Some(0), Some(1)], "{given:?}");
        }
    }

    #[test]
    fn a_chunk_without_choices_is_sent_if_it_says_more_than_every_chunk() {
        let rest = r#""object":"chat.completion.chunk","created":1,"service_tier":"default","choices":[]}"#;
        for (first, exact, expected) in [
            (r#"{"id":"x","model":"m","#, true, Verdict::Drop),
            (r#"{"id":"x","model":"m","moderation":null,"#, true, Verdict::Drop),
            (r#"{"id":"x","model":"m","moderation":{},"#, true, Verdict::Send),
            (r#"{"id":"x","model":"m","moderation":{},"#, false, Verdict::Drop),
        ] {
            let text = format!("{first}{rest}");
            let source = Some(Source { text: &text, usage: None, exact });
            let (id, model) = (Some(str("\"x\"")), Some(str("\"m\"")));
            let mut chunk = ChatChunk { source, id, model, created: Some(1), ..ChatChunk::default() };
            assert_eq!(normalizer().chunk(&mut chunk), expected, "{text}");
        }
    }

    #[test]
    fn stop_after_tool_calls_is_tool_calls_and_missing_arguments_are_an_empty_object() {
        let mut normalizer = normalizer();
        normalizer.chunk(&mut chunk(vec![fragment(Some(3), Some("\"a\""), "\"\"")], None));
        let mut last = chunk(Vec::new(), Some(FinishReason::Stop));
        assert_eq!(normalizer.chunk(&mut last), Verdict::Send);
        assert_eq!(last.choices[0].finish_reason, Some(FinishReason::ToolCalls));
        let calls = &last.choices[0].delta.tool_calls;
        assert!(matches!(calls[..], [ToolCallDelta { index: Some(0), arguments: Some(Arguments::Json("{}")), .. }]));
        assert!(normalizer.end().is_ok());
    }

    #[test]
    fn nothing_follows_the_finish_reason_and_without_one_there_is_no_end() {
        let mut normalizer = normalizer();
        let text = |content| Delta { content: Some(str(content)), ..Default::default() };
        let mut first = ChatChunk {
            choices: vec![ChunkChoice { index: 0, place: None, delta: text("\"hi\""), finish_reason: None }],
            ..Default::default()
        };
        assert_eq!(normalizer.chunk(&mut first), Verdict::Send);
        assert!(first.choices[0].delta.role && normalizer.has_output());
        assert!(normalizer.end().is_err());
        assert_eq!(normalizer.chunk(&mut chunk(Vec::new(), Some(FinishReason::Length))), Verdict::Send);
        assert_eq!(normalizer.chunk(&mut chunk(Vec::new(), Some(FinishReason::Stop))), Verdict::Drop);
        assert!(normalizer.end().is_ok());
    }

    #[test]
    fn a_stream_that_says_nothing_and_stops_is_no_answer() {
        let mut normalizer = normalizer();
        normalizer.chunk(&mut chunk(Vec::new(), Some(FinishReason::Stop)));
        assert!(normalizer.end().is_err());
    }

    #[test]
    fn an_id_too_long_to_be_repeated_is_replaced_by_ours() {
        let long = format!("\"{}\"", "i".repeat(MAX_NAME));
        let long = Str::parse(&long).unwrap();
        let mut normalizer = normalizer();
        let mut chunk = ChatChunk { id: Some(long), model: Some(long), ..chunk(Vec::new(), None) };
        normalizer.chunk(&mut chunk);
        assert_eq!((normalizer.identity().id.as_str(), normalizer.identity().model.as_str()), ("\"x\"", "\"m\""));
    }

    #[test]
    fn a_call_is_told_once_it_has_a_name_and_never_without() {
        let mut normalizer = normalizer();
        let nameless = ToolCallDelta { name: None, ..fragment(Some(0), Some("\"a\""), "\"\"") };
        assert_eq!(normalizer.chunk(&mut chunk(vec![nameless], None)), Verdict::Send, "the role");
        assert!(!normalizer.has_output());
        let mut other = chunk(vec![fragment(Some(1), Some("\"b\""), "\"{}\"")], None);
        normalizer.chunk(&mut other);
        assert_eq!(other.choices[0].delta.tool_calls[0].index, Some(0), "dense");
        assert_eq!(normalizer.chunk(&mut chunk(Vec::new(), Some(FinishReason::ToolCalls))), Verdict::Drop);
        assert!(normalizer.end().is_err());
    }

    #[test]
    fn two_calls_with_one_id_are_two_where_their_indices_differ() {
        let mut normalizer = normalizer();
        let mut place = |index: u32, name: Option<&'static str>| {
            let name = name.map(str);
            let mut chunk = chunk(vec![ToolCallDelta { name, ..fragment(Some(index), Some("\"a\""), "\"{}\"") }], None);
            normalizer.chunk(&mut chunk);
            chunk.choices[0].delta.tool_calls[0].index
        };
        let name = Some("\"f\"");
        assert_eq!([place(0, name), place(1, name), place(0, None), place(1, None)].map(Option::unwrap), [0, 1, 0, 1]);
        assert_eq!([place(1, name), place(2, None)].map(Option::unwrap), [1, 0], "who repeats ids, and loses an index");
    }

    #[test]
    fn an_empty_fragment_is_no_call() {
        let mut normalizer = normalizer();
        let empty = || ToolCallDelta { name: None, ..fragment(Some(0), None, "\"\"") };
        normalizer.chunk(&mut chunk(vec![empty()], None));
        let delta = Delta { content: Some(str("\"hi\"")), tool_calls: vec![empty()], ..Default::default() };
        let choice = ChunkChoice { index: 0, place: None, delta, finish_reason: Some(FinishReason::Stop) };
        let mut last = ChatChunk { choices: vec![choice], ..Default::default() };
        assert_eq!(normalizer.chunk(&mut last), Verdict::Send);
        assert_eq!(last.choices[0].finish_reason, Some(FinishReason::Stop));
        assert!(last.choices[0].delta.tool_calls.is_empty() && normalizer.end().is_ok());
    }

    #[test]
    fn an_id_made_up_for_every_fragment_is_no_new_call_and_another_name_is() {
        let mut normalizer = normalizer();
        let mut place = |id: Option<&'static str>, name: Option<&'static str>| {
            let name = name.map(str);
            let mut chunk = chunk(vec![ToolCallDelta { name, ..fragment(Some(0), id, "\"{}\"") }], None);
            normalizer.chunk(&mut chunk);
            chunk.choices[0].delta.tool_calls[0].index
        };
        assert_eq!(place(Some("\"a\""), Some("\"f\"")), Some(0));
        assert_eq!(place(Some("\"b\""), None), Some(0));
        assert_eq!(place(None, Some("\"f\"")), Some(0));
        assert_eq!(place(None, Some("\"g\"")), Some(1));
        assert_eq!(place(Some("\"c\""), Some("\"g\"")), Some(2));
    }
}
