//! Whole answers, and what streams share with them: the shape, endings and usage.

use std::borrow::Cow;

use super::citations::{self, Offsets};
use super::messages::{MADE_UP_ID, OWN_ID};
use super::partial::Piece;
use super::{STATE, error};
use crate::chat::{Arguments, ChatResponse, Choice, FinishReason, Message, State, ToolCall, Usage};
use crate::error::UpstreamError;
use crate::json::{self, RawValue, Str, Type, Writer};
use crate::provider::failure;
use crate::provider::images::{self, Images};
use crate::provider::tolerant::{self, Fields, Kept, List, MAX_TOKENS, Maybe, wire};

/// Reads an answer to a request that was not streamed.
pub fn read(body: &str) -> Result<ChatResponse<'_>, UpstreamError> {
    let answer: Answer<'_> = match tolerant::read_str(body) {
        Ok(answer) => answer,
        // A list with an error in it (quirk C6).
        Err(_) if failure::is_report(body.as_bytes()) => return Err(error::read(200, body.as_bytes())),
        Err(error) => {
            return Err(UpstreamError::malformed(format!("The provider's answer is not a response: {error}.")));
        }
    };
    let is_error = answer.error.is_some_and(failure::is_something);
    if is_error || (!answer.candidates.is_given && failure::is_report(body.as_bytes())) {
        return Err(error::read(200, body.as_bytes()));
    }
    let mut choices: Vec<Choice<'_>> = Vec::new();
    let is_alone = answer.candidates.items.iter().flatten().count() < 2;
    for (place, candidate) in answer.candidates.into_placed() {
        let index = candidate.index.and_then(tolerant::index).unwrap_or(place as u32);
        choices.push(candidate.into_choice(index, is_alone)?);
    }
    let is_empty = |choice: &Choice<'_>| choice.message.is_empty() && choice.finish_reason == FinishReason::Stop;
    if !is_alone && choices.iter().all(is_empty) {
        return Err(empty());
    }
    if choices.is_empty() {
        // A request that is not answered at all (quirk C15).
        let feedback = answer.prompt_feedback.filter(|feedback| is_block(feedback));
        let feedback = feedback.ok_or_else(|| UpstreamError::malformed("The provider's answer has no candidates."))?;
        let message = Message { extra: vec![(PROMPT_FEEDBACK, feedback.get().into())], ..Message::default() };
        choices.push(Choice { index: 0, place: None, message, finish_reason: FinishReason::ContentFilter });
    }
    let usage = answer.usage.object.as_ref().map(|usage| {
        let mut tokens = Tokens::default();
        tokens.take(usage);
        tokens.usage()
    });
    Ok(ChatResponse {
        source: None,
        exact: false,
        id: text(answer.id).unwrap_or(Str::EMPTY),
        model: text(answer.model).unwrap_or(Str::EMPTY),
        created: None,
        choices,
        usage,
        native_usage: answer.usage.raw.map(RawValue::get),
    })
}

fn empty() -> UpstreamError {
    UpstreamError::malformed("The provider's answer is empty.")
}

/// Under which name the client is told why a request was not answered.
pub const PROMPT_FEEDBACK: &str = "prompt_feedback";
/// Under which name it is told of an end that OpenAI has no name for.
pub const FINISH_REASON: &str = "provider_finish_reason";

wire! {
    /// A whole answer, or one event of a stream.
    pub struct Answer<'a> {
        pub candidates: List<Candidate<'a>>,
        pub prompt_feedback = "promptFeedback": Option<&'a RawValue>,
        pub usage = "usageMetadata": Kept<'a, WireUsage<'a>>,
        pub model = "modelVersion": Option<&'a RawValue>,
        pub id = "responseId": Option<&'a RawValue>,
        pub error: Option<&'a RawValue>,
    }

    pub struct Candidate<'a> {
        pub content: Maybe<Content<'a>>,
        pub finish_reason = "finishReason": Option<&'a RawValue>,
        pub index: Option<&'a RawValue>,
        pub logprobs = "logprobsResult": Maybe<Logprobs<'a>>,
        pub grounding = "groundingMetadata": Option<&'a RawValue>,
        pub citations = "citationMetadata": Option<&'a RawValue>,
        pub url_context = "urlContextMetadata": Option<&'a RawValue>,
        pub safety_ratings = "safetyRatings": Option<&'a RawValue>,
    }

    pub struct Content<'a> {
        pub parts: List<Part<'a>>,
    }

    /// A part, of whatever kind.
    pub struct Part<'a> {
        pub text: Option<&'a RawValue>,
        pub thought: Option<&'a RawValue>,
        pub signature = "thoughtSignature": Option<&'a RawValue>,
        pub call = "functionCall": Maybe<Call<'a>>,
        pub inline = "inlineData": Option<&'a RawValue>,
    }

    pub struct Call<'a> {
        pub id: Option<&'a RawValue>,
        pub name: Option<&'a RawValue>,
        pub args: Option<&'a RawValue>,
        /// Vertex AI, on request: arguments in pieces.
        pub partial = "partialArgs": List<Piece<'a>>,
        pub will_continue = "willContinue": Option<&'a RawValue>,
    }
}

impl Candidate<'_> {
    /// Whether it is one piece of text, which does not end the answer.
    pub fn is_text(&self) -> bool {
        let parts = self.content.0.as_ref().map(|content| content.parts.items.as_slice());
        let Some([Some(part)]) = parts else { return false };
        let is_more = part.call.0.is_some() || part.inline.is_some() || self.finish_reason.is_some();
        part.said().is_some() && !is_more
    }
}

impl<'a> Part<'a> {
    /// Its text, and whether that is a thought. An empty one only carries a signature.
    pub fn said(&self) -> Option<(Str<'a>, bool)> {
        let text = text(self.text).filter(|text| !text.is_empty())?;
        Some((text, is_true(self.thought)))
    }

    /// Adds its picture, if it has one. Those of thoughts are drafts.
    pub fn picture(&self, images: &mut Images) {
        let Some(inline) = self.inline.filter(|_| !is_true(self.thought)) else { return };
        let Some(media_type) = images::text_in(inline, "mimeType") else { return };
        if media_type.escaped().starts_with("image/")
            && let Some(data) = images::text_in(inline, "data")
        {
            images.push(&[media_type.escaped()], data.escaped());
        }
    }
}

impl<'a> Call<'a> {
    pub fn id(&self) -> Option<Str<'a>> {
        text(self.id).filter(|id| !id.is_empty())
    }

    /// What the API wants back with it.
    pub fn state(&self, signature: Option<&RawValue>) -> Option<State<'static>> {
        let signature = text(signature).map(Str::decode).unwrap_or_default();
        let whose = if self.id().is_some() { OWN_ID } else { MADE_UP_ID };
        let is_needed = self.id().is_some() || !signature.is_empty();
        is_needed.then(|| State { tag: STATE, payload: Cow::Owned(format!("{whose}{signature}")) })
    }

    pub fn arguments(&self) -> Arguments<'a> {
        let args = self.args.filter(|args| json::type_of(args) == Type::Object);
        Arguments::Json(args.map_or("{}", RawValue::get))
    }
}

impl<'a> Candidate<'a> {
    fn into_choice(self, index: u32, is_alone: bool) -> Result<Choice<'a>, UpstreamError> {
        let mut message = Message::default();
        let mut offsets = Offsets::default();
        let cites = self.grounding.is_some() || self.citations.is_some();
        let parts = self.content.0.map(|content| content.parts).unwrap_or_default();
        let mut images = Images::default();
        // Parts without an equivalent (code that the API runs itself) are left out.
        for part in parts.items {
            if cites {
                offsets.begin_part();
            }
            let Some(part) = part else { continue };
            match part.said() {
                Some((text, true)) => message.reasoning.push(text),
                Some((text, false)) => {
                    if cites {
                        offsets.add(&text.decode());
                    }
                    message.content.push(text);
                }
                None => {}
            }
            part.picture(&mut images);
            if let Some(call) = &part.call.0
                && let Some(name) = text(call.name)
            {
                message.tool_calls.push(ToolCall {
                    place: None,
                    id: call.id().unwrap_or(Str::EMPTY),
                    name,
                    arguments: call.arguments(),
                    state: call.state(part.signature),
                });
            }
        }
        let images = images.take();
        message.other = images.is_some();
        let word = text(self.finish_reason).map(Str::decode);
        let (has_output, has_calls) = (!message.is_empty(), !message.tool_calls.is_empty());
        let end = Ending::of(word.as_deref()).finish(has_output, has_calls, is_alone)?;
        message.logprobs = self.logprobs.0.and_then(|logprobs| logprobs.written()).map(Cow::Owned);
        if cites {
            message.extra = citations::extra(self.grounding, self.citations, &offsets);
        }
        message.extra.extend(images);
        for (name, value) in [("url_context_metadata", self.url_context), ("safety_ratings", self.safety_ratings)] {
            message.extra.extend(value.filter(|value| is_told(value)).map(|value| (name, value.get().into())));
        }
        if end.is_odd {
            message.extra.extend(self.finish_reason.map(|word| (FINISH_REASON, word.get().into())));
        }
        Ok(Choice { index, place: None, message, finish_reason: end.reason })
    }
}

/// Lists and objects with something in them.
pub fn is_told(value: &RawValue) -> bool {
    matches!(json::type_of(value), Type::Array | Type::Object) && failure::is_something(value)
}

/// Whether feedback on a prompt says that it was blocked.
pub fn is_block(feedback: &RawValue) -> bool {
    let fields = json::Object::of(feedback).unwrap_or_default();
    fields.get("blockReason").is_some_and(failure::is_something)
}

pub fn text(value: Option<&RawValue>) -> Option<Str<'_>> {
    value.and_then(Str::new)
}

pub fn is_true(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| value.get() == "true")
}

/// What a `finishReason` means (google-genai `types.FinishReason`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// OpenAI has a name for it.
    Known(FinishReason),
    /// It has not; what was said holds.
    Odd,
    /// The model wrote something that the API could not read, a tool call mostly: what was said is not
    /// what it meant to say.
    Broken(String),
}

/// An ending that a client can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub reason: FinishReason,
    /// Whether the provider's own word says more.
    pub is_odd: bool,
}

impl Ending {
    pub fn of(word: Option<&str>) -> Self {
        match word {
            None | Some("STOP" | "FINISH_REASON_UNSPECIFIED" | "") => Ending::Known(FinishReason::Stop),
            Some("MAX_TOKENS" | "CONTINUATION") => Ending::Known(FinishReason::Length),
            Some(
                "SAFETY"
                | "RECITATION"
                | "LANGUAGE"
                | "BLOCKLIST"
                | "PROHIBITED_CONTENT"
                | "SPII"
                | "MODEL_ARMOR"
                | "ESCALATION"
                | "PUP_LIMITED_DISABLED"
                | "IMAGE_SAFETY"
                | "IMAGE_PROHIBITED_CONTENT"
                | "IMAGE_RECITATION",
            ) => Ending::Known(FinishReason::ContentFilter),
            Some(
                word @ ("MALFORMED_FUNCTION_CALL"
                | "UNEXPECTED_TOOL_CALL"
                | "TOO_MANY_TOOL_CALLS"
                | "MISSING_THOUGHT_SIGNATURE"
                | "MALFORMED_RESPONSE"),
            ) => Ending::Broken(word.to_owned()),
            // `OTHER`, `NO_IMAGE`, `IMAGE_OTHER`, and what may come with a later version.
            Some(_) => Ending::Odd,
        }
    }

    /// The end of an answer that said something, or nothing, and called tools or not. One of several that is empty
    /// or broken does not cost the client the others: it ends there.
    pub fn finish(self, has_output: bool, has_calls: bool, is_alone: bool) -> Result<End, UpstreamError> {
        match self {
            Ending::Broken(_) if !is_alone => Ok(End { reason: FinishReason::Stop, is_odd: true }),
            Ending::Broken(word) => {
                Err(UpstreamError::malformed(format!("The model's answer cannot be read ({word}).")))
            }
            Ending::Odd | Ending::Known(FinishReason::Stop) if !has_output && is_alone => Err(empty()),
            // `STOP` stands for calls, too; clients run them only if they are told.
            Ending::Known(FinishReason::Stop) | Ending::Odd if has_calls => {
                Ok(End { reason: FinishReason::ToolCalls, is_odd: self == Ending::Odd })
            }
            Ending::Known(reason) => Ok(End { reason, is_odd: false }),
            Ending::Odd => Ok(End { reason: FinishReason::Stop, is_odd: true }),
        }
    }
}

wire! {
    /// Log probabilities, token by token.
    pub struct Logprobs<'a> {
        chosen = "chosenCandidates": List<Token<'a>, MAX_TOKENS>,
        top = "topCandidates": List<Top<'a>, MAX_TOKENS>,
    }

    struct Top<'a> {
        candidates: List<Token<'a>>,
    }

    struct Token<'a> {
        token: Option<&'a RawValue>,
        logprob = "logProbability": Option<&'a RawValue>,
    }
}

impl Token<'_> {
    /// Its fields; the bytes that a token stands for are not told.
    fn write(&self, w: &mut Writer) {
        let number = self.logprob.filter(|value| json::type_of(value) == Type::Number);
        w.key("token").str(text(self.token).unwrap_or(Str::EMPTY));
        // Protobuf leaves out zeros.
        w.key("logprob").raw(number.map_or("0", RawValue::get)).key("bytes").null();
    }
}

impl Logprobs<'_> {
    /// In OpenAI's shape.
    pub fn written(self) -> Option<String> {
        if self.chosen.items.is_empty() {
            return None;
        }
        let mut tops = self.top.items.into_iter();
        let mut w = Writer::default();
        w.begin_object().key("content").begin_array();
        for token in self.chosen.items {
            let top = tops.next().flatten().map(|top| top.candidates).unwrap_or_default();
            let Some(token) = token else { continue };
            w.begin_object();
            token.write(&mut w);
            w.key("top_logprobs").begin_array();
            for (_, token) in top.into_placed() {
                w.begin_object();
                token.write(&mut w);
                w.end_object();
            }
            w.end_array().end_object();
        }
        w.end_array().key("refusal").null().end_object();
        String::from_utf8(w.into_bytes()).ok()
    }
}

/// Tokens as Gemini counts them: `candidates` without `thoughts`, `prompt` with what came from the cache
/// and without what its own tools read. Counts of a stream are cumulative, so of several the highest
/// holds and none is ever added up.
#[derive(Default)]
pub struct Tokens {
    prompt: u64,
    tool_use: u64,
    candidates: u64,
    thoughts: Option<u64>,
    cached: Option<u64>,
}

wire! {
    pub struct WireUsage<'a> {
        prompt = "promptTokenCount": Option<&'a RawValue>,
        candidates = "candidatesTokenCount": Option<&'a RawValue>,
        tool_use = "toolUsePromptTokenCount": Option<&'a RawValue>,
        thoughts = "thoughtsTokenCount": Option<&'a RawValue>,
        cached = "cachedContentTokenCount": Option<&'a RawValue>,
    }
}

impl Tokens {
    /// Takes the value of `usageMetadata`; false if it is no object.
    pub fn update(&mut self, usage: &RawValue) -> bool {
        let is_object = json::type_of(usage) == Type::Object;
        let usage = WireUsage::of(usage).ok().filter(|_| is_object);
        usage.map(|usage| self.take(&usage)).is_some()
    }

    pub fn take(&mut self, usage: &WireUsage<'_>) {
        let count = |value: Option<&RawValue>| value.and_then(tolerant::count);
        self.prompt = self.prompt.max(count(usage.prompt).unwrap_or(0));
        self.tool_use = self.tool_use.max(count(usage.tool_use).unwrap_or(0));
        self.candidates = self.candidates.max(count(usage.candidates).unwrap_or(0));
        self.thoughts = self.thoughts.max(count(usage.thoughts));
        self.cached = self.cached.max(count(usage.cached));
    }

    pub fn usage(&self) -> Usage {
        Usage {
            input: self.prompt.saturating_add(self.tool_use),
            output: self.candidates.saturating_add(self.thoughts.unwrap_or(0)),
            cached_input: self.cached,
            cache_write: None,
            reasoning: self.thoughts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn answer(parts: &str, rest: &str) -> String {
        format!(
            r#"{{"candidates":[{{"index":0,"content":{{"role":"model","parts":{parts}}}{rest}}}],"modelVersion":"m",
            "responseId":"r","usageMetadata":{{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":5,
            "thoughtsTokenCount":7,"toolUsePromptTokenCount":2,"totalTokenCount":24}}}}"#
        )
    }

    fn finish(parts: &str, reason: &str) -> Result<FinishReason, Class> {
        let body = answer(parts, &format!(r#","finishReason":"{reason}""#));
        read(&body).map(|answer| answer.choices[0].finish_reason).map_err(|error| error.class)
    }

    const TEXT: &str = r#"[{"text":"hi"}]"#;
    const CALL: &str = r#"[{"functionCall":{"name":"f","args":{"b":1.0,"a":2}}}]"#;

    #[test]
    fn log_probabilities_are_told_of_every_token() {
        let tokens = |count: usize| vec![r#"{"token":"a","logProbability":-1}"#; count].join(",");
        let body = answer(
            TEXT,
            &format!(r#","finishReason":"STOP","logprobsResult":{{"chosenCandidates":[{}]}}"#, tokens(3000)),
        );
        let answer = read(&body).unwrap();
        let written = answer.choices[0].message.logprobs.as_deref().unwrap();
        assert_eq!(written.matches("\"token\"").count(), 3000);
    }

    #[test]
    fn one_of_several_candidates_that_is_empty_or_broken_does_not_cost_the_others() {
        let several = |second: &str| {
            format!(
                r#"{{"candidates":[{{"content":{{"parts":{TEXT}}},"finishReason":"STOP"}},{{"index":1,{second}}}]}}"#
            )
        };
        for (second, is_told) in [
            (r#""finishReason":"STOP""#, false),
            (r#""finishReason":"OTHER""#, true),
            (r#""finishReason":"MALFORMED_FUNCTION_CALL""#, true),
        ] {
            let body = several(second);
            let answer = read(&body).unwrap();
            let [first, second] = &answer.choices[..] else { panic!() };
            assert!(!first.message.is_empty() && second.message.is_empty());
            assert_eq!((second.index, second.finish_reason), (1, FinishReason::Stop));
            assert_eq!(second.message.extra.iter().any(|(name, _)| *name == FINISH_REASON), is_told);
        }
        assert!(read(r#"{"candidates":[{"finishReason":"STOP"},{"index":1,"finishReason":"OTHER"}]}"#).is_err());
        // What is no candidate is none of several.
        assert!(read(r#"{"candidates":[{"finishReason":"STOP"},null]}"#).is_err());
    }

    #[test]
    fn every_kind_of_part_has_its_place_and_unknown_ones_none() {
        let body = answer(
            r#"[{"text":"hm","thought":true},{"text":"a\n"},{"executableCode":{"code":"1"}},{"text":"b","thoughtSignature":"S"},
            {"functionCall":{"id":"x1","name":"f","args":{"b":1.0,"a":2}},"thoughtSignature":"A\u003d="},
            {"functionCall":{"name":"g"}},{"text":"","thoughtSignature":"T"},7]"#,
            r#","finishReason":"STOP""#,
        );
        let answer = read(&body).unwrap();
        let message = &answer.choices[0].message;
        assert_eq!(message.content.iter().map(|text| text.raw()).collect::<Vec<_>>(), ["\"a\\n\"", "\"b\""]);
        assert_eq!(message.reasoning.len(), 1);
        let [first, second] = &message.tool_calls[..] else { panic!() };
        assert!(matches!(first.arguments, Arguments::Json(r#"{"b":1.0,"a":2}"#)));
        assert_eq!(first.state.as_ref().map(|state| &*state.payload), Some("iA=="));
        assert!(matches!(second.arguments, Arguments::Json("{}")) && second.state.is_none() && second.id.is_empty());
        assert_eq!((answer.id.raw(), answer.model.raw()), ("\"r\"", "\"m\""));
        assert_eq!(answer.choices[0].finish_reason, FinishReason::ToolCalls);
    }

    #[test]
    fn usage_counts_thoughts_as_output_and_what_tools_read_as_input() {
        let body = answer(TEXT, "");
        let usage = Usage { input: 12, output: 12, cached_input: Some(4), cache_write: None, reasoning: Some(7) };
        let answer = read(&body).unwrap();
        assert_eq!(answer.usage, Some(usage));
        assert!(answer.native_usage.unwrap().contains("\"totalTokenCount\":24"));
    }

    #[test]
    fn every_finish_reason_becomes_one_of_openais_or_a_failure() {
        for (reason, expected) in [
            ("STOP", FinishReason::Stop),
            ("FINISH_REASON_UNSPECIFIED", FinishReason::Stop),
            ("MAX_TOKENS", FinishReason::Length),
            ("CONTINUATION", FinishReason::Length),
            ("SAFETY", FinishReason::ContentFilter),
            ("RECITATION", FinishReason::ContentFilter),
            ("BLOCKLIST", FinishReason::ContentFilter),
            ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
            ("SPII", FinishReason::ContentFilter),
            ("MODEL_ARMOR", FinishReason::ContentFilter),
            ("OTHER", FinishReason::Stop),
            ("SOMETHING_NEW", FinishReason::Stop),
        ] {
            assert_eq!(finish(TEXT, reason), Ok(expected), "{reason}");
        }
        assert_eq!(finish(CALL, "STOP"), Ok(FinishReason::ToolCalls));
        assert_eq!(finish(CALL, "MAX_TOKENS"), Ok(FinishReason::Length));
        for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE"] {
            assert_eq!(finish(TEXT, reason), Err(Class::Malformed), "{reason}");
        }
        let body = answer(TEXT, r#","finishReason":"OTHER""#);
        assert_eq!(read(&body).unwrap().choices[0].message.extra, [(FINISH_REASON, "\"OTHER\"".into())]);
    }

    #[test]
    fn an_empty_answer_is_one_only_where_something_else_ended_it() {
        for reason in ["SAFETY", "MAX_TOKENS"] {
            assert!(finish("[]", reason).is_ok(), "{reason}");
            assert!(read(&format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#)).is_ok());
        }
        for reason in ["STOP", "OTHER"] {
            assert_eq!(finish("[]", reason), Err(Class::Malformed));
            assert_eq!(finish(r#"[{"text":""}]"#, reason), Err(Class::Malformed));
        }
    }

    #[test]
    fn a_blocked_prompt_is_an_answer_of_the_content_filter() {
        let body =
            r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]},"usageMetadata":{"promptTokenCount":3}}"#;
        let answer = read(body).unwrap();
        let choice = &answer.choices[0];
        assert_eq!(choice.finish_reason, FinishReason::ContentFilter);
        assert!(choice.message.is_empty());
        assert_eq!(choice.message.extra[0].0, PROMPT_FEEDBACK);
        assert_eq!(answer.usage.unwrap().input, 3);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let class = |body: &str| read(body).unwrap_err().class;
        let error = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
        assert_eq!(class(error), Class::Unreachable);
        assert_eq!(class(&["[", error, "]"].concat()), Class::Unreachable);
        for body in ["", "<html>", "{}", "[]", "{\"candidates\":[]}", "{\"candidates\":[1]}", "\u{fffd}"] {
            assert_eq!(class(body), Class::Malformed, "{body:?}");
        }
        assert_eq!(class(r#"{"promptFeedback":{"safetyRatings":[]}}"#), Class::Malformed);
    }

    #[test]
    fn log_probabilities_take_openais_shape() {
        let body = answer(
            TEXT,
            r#","logprobsResult":{"chosenCandidates":[{"token":"hi","logProbability":-0.10},{"token":"!"}],
            "topCandidates":[{"candidates":[{"token":"hi","logProbability":-0.10},{"token":"ho","logProbability":-3}]}]}"#,
        );
        let answer = read(&body).unwrap();
        let expected = concat!(
            r#"{"content":[{"token":"hi","logprob":-0.10,"bytes":null,"top_logprobs":["#,
            r#"{"token":"hi","logprob":-0.10,"bytes":null},{"token":"ho","logprob":-3,"bytes":null}]},"#,
            r#"{"token":"!","logprob":0,"bytes":null,"top_logprobs":[]}],"refusal":null}"#
        );
        assert_eq!(answer.choices[0].message.logprobs.as_deref(), Some(expected));
    }
}
