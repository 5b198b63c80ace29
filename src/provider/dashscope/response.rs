//! Whole answers, and what streams share with them: choices, finish reasons, usage.

use std::borrow::Cow;

use super::{TAG, error};
use crate::chat::state::Collected;
use crate::chat::{Arguments, ChatResponse, Choice, FinishReason, Message, State, ToolCall, Usage};
use crate::error::UpstreamError;
use crate::json::{self, Object, RawValue, Str, Type};
use crate::provider::failure;
use crate::provider::tolerant::{self, Fields, List, Maybe, wire};

/// Reads an answer to a request that was not streamed.
pub fn read(body: &str) -> Result<ChatResponse<'_>, UpstreamError> {
    let answer: Answer<'_> = match tolerant::read_str(body) {
        Ok(answer) => answer,
        Err(_) if failure::is_report(body.as_bytes()) => return Err(error::read(200, body.as_bytes())),
        Err(error) => {
            return Err(UpstreamError::malformed(format!("The provider's answer is not a generation: {error}.")));
        }
    };
    if answer.is_error() {
        return Err(error::read(200, body.as_bytes()));
    }
    let Some(output) = answer.output.0 else {
        let malformed = || UpstreamError::malformed("The provider's answer has no output.");
        return Err(if failure::is_report(body.as_bytes()) { error::read(200, body.as_bytes()) } else { malformed() });
    };
    let search = output.search();
    let mut choices = Vec::with_capacity(1);
    for (place, choice) in output.into_choices() {
        let said = finish_reason(choice.finish_reason).unwrap_or(FinishReason::Stop);
        let mut message = choice.message.0.unwrap_or_default().message();
        message.logprobs = choice.logprobs.and_then(log_probabilities).map(Cow::Borrowed);
        if let Some(search) = search.filter(|_| choices.is_empty()) {
            message.extra.push(("search_info", Cow::Borrowed(search)));
        }
        let finish_reason = finish_with(said, !message.tool_calls.is_empty());
        let index = choice.index.and_then(tolerant::index).unwrap_or(place as u32);
        choices.push(Choice { index, place: None, message, finish_reason });
    }
    let says_nothing = |choice: &Choice<'_>| {
        matches!(choice.finish_reason, FinishReason::Stop | FinishReason::ToolCalls) && choice.message.is_empty()
    };
    if choices.iter().all(says_nothing) {
        return Err(UpstreamError::malformed("The provider's answer is empty."));
    }
    Ok(ChatResponse {
        source: None,
        exact: false,
        id: text(answer.request_id).unwrap_or(Str::EMPTY),
        model: Str::EMPTY,
        created: None,
        choices,
        usage: answer.usage.and_then(usage),
        native_usage: answer.usage.map(RawValue::get),
    })
}

wire! {
    /// An answer, or an event of a streamed one: they have the same shape.
    pub struct Answer<'a> {
        pub output: Maybe<Output<'a>>,
        pub usage: Option<&'a RawValue>,
        pub request_id: Option<&'a RawValue>,
        /// Of an error; empty in what is none.
        code: Option<&'a RawValue>,
        error: Option<&'a RawValue>,
    }
}

impl Answer<'_> {
    pub fn is_error(&self) -> bool {
        let says_so = |value: Option<&RawValue>| value.is_some_and(failure::is_something);
        says_so(self.error) || (says_so(self.code) && self.output.0.is_none())
    }
}

wire! {
    pub struct Output<'a> {
        choices: List<WireChoice<'a>>,
        /// In place of choices, where `result_format` is not listened to.
        text: Option<&'a RawValue>,
        finish_reason: Option<&'a RawValue>,
        search_info: Option<&'a RawValue>,
    }
}

impl<'a> Output<'a> {
    pub fn into_choices(self) -> impl Iterator<Item = (usize, WireChoice<'a>)> {
        let text = self.text.filter(|text| Str::new(text).is_some() && self.choices.items.is_empty());
        let alone = text.map(|text| WireChoice {
            index: None,
            finish_reason: self.finish_reason,
            message: Maybe(Some(WireMessage { content: Some(text), ..WireMessage::default() })),
            logprobs: None,
        });
        self.choices.into_placed().chain(alone.map(|choice| (0, choice)))
    }

    /// What a search has found, if it has.
    pub fn search(&self) -> Option<&'a str> {
        let info = self.search_info?;
        let fields = Object::of(info)?;
        fields.get("search_results").filter(|results| failure::is_something(results)).map(|_| info.get())
    }
}

wire! {
    pub struct WireChoice<'a> {
        pub index: Option<&'a RawValue>,
        pub finish_reason: Option<&'a RawValue>,
        pub message: Maybe<WireMessage<'a>>,
        pub logprobs: Option<&'a RawValue>,
    }

    /// A message, or a piece of one.
    pub struct WireMessage<'a> {
        content: Option<&'a RawValue>,
        pub reasoning_content: Option<&'a RawValue>,
        pub tool_calls: List<WireCall<'a>>,
    }

    pub struct WireCall<'a> {
        pub index: Option<&'a RawValue>,
        pub id: Option<&'a RawValue>,
        pub function: Maybe<WireFunction<'a>>,
    }

    pub struct WireFunction<'a> {
        pub name: Option<&'a RawValue>,
        pub arguments: Option<&'a RawValue>,
    }
}

impl<'a> WireMessage<'a> {
    /// Its texts: one, or those of a list of blocks (`[{"text":…}]`, multimodal generation).
    pub fn texts(&self) -> Vec<Str<'a>> {
        let Some(content) = self.content else { return Vec::new() };
        let block =
            |value: &'a RawValue| text(Some(value)).or_else(|| Object::of(value)?.get("text").and_then(Str::new));
        let texts = match json::elements(content) {
            Some(list) => list.into_iter().filter_map(block).collect(),
            None => vec![Str::new(content).unwrap_or(Str::EMPTY)],
        };
        texts.into_iter().filter(|text: &Str<'_>| !text.is_empty()).collect()
    }

    fn message(self) -> Message<'a> {
        let not_empty = |text: &Str<'_>| !text.is_empty();
        let mut message = Message { content: self.texts(), ..Message::default() };
        let mut thoughts = Collected::default();
        if let Some(reasoning) = text(self.reasoning_content).filter(not_empty) {
            thoughts.push(reasoning);
            message.reasoning.push(reasoning);
        }
        for (_, call) in self.tool_calls.into_placed() {
            let function = call.function.0.unwrap_or_default();
            // Without a name nobody could run it.
            let Some(name) = text(function.name).filter(not_empty) else { continue };
            let arguments = arguments(function.arguments).unwrap_or(Arguments::Json("{}"));
            let id = text(call.id).unwrap_or(Str::EMPTY);
            message.tool_calls.push(ToolCall { place: None, id, name, arguments, state: state(&mut thoughts) });
        }
        message
    }
}

/// The thoughts so far as state; there are none for the second call.
pub fn state(thoughts: &mut Collected) -> Option<State<'static>> {
    thoughts.take().map(|text| State { tag: TAG, payload: format!("\"{text}\"").into() })
}

pub fn text(value: Option<&RawValue>) -> Option<Str<'_>> {
    value.and_then(Str::new)
}

pub fn arguments(value: Option<&RawValue>) -> Option<Arguments<'_>> {
    value.map(|value| Str::new(value).map_or(Arguments::Json(value.get()), Arguments::Text))
}

/// They have OpenAI's shape.
pub fn log_probabilities(value: &RawValue) -> Option<&str> {
    (json::type_of(value) == Type::Object).then(|| value.get())
}

/// None until the end, where it is `"null"` or empty (quirk B20). What nobody has heard of counts as `stop`.
pub fn finish_reason(value: Option<&RawValue>) -> Option<FinishReason> {
    Some(match text(value)?.escaped() {
        "" | "null" => return None,
        "length" => FinishReason::Length,
        "tool_calls" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    })
}

/// Clients run the calls of an answer only if it says that it ended for them.
pub fn finish_with(reason: FinishReason, calls: bool) -> FinishReason {
    match reason {
        FinishReason::Stop if calls => FinishReason::ToolCalls,
        reason => reason,
    }
}

/// The input has what was cached in it, the output the thoughts.
pub fn usage(value: &RawValue) -> Option<Usage> {
    wire! {
        struct Wire<'a> {
            input_tokens: Option<&'a RawValue>,
            output_tokens: Option<&'a RawValue>,
            prompt_tokens_details: Maybe<Details<'a>>,
            output_tokens_details: Maybe<Details<'a>>,
        }

        struct Details<'a> {
            cached_tokens: Option<&'a RawValue>,
            cache_creation_input_tokens: Option<&'a RawValue>,
            reasoning_tokens: Option<&'a RawValue>,
        }
    }

    let wire: Wire<'_> = Wire::of(value).ok()?;
    let count = |value: Option<&RawValue>| value.and_then(tolerant::count);
    let (input, output) = (count(wire.input_tokens), count(wire.output_tokens));
    // The first events of a stream may have an empty one.
    if input.is_none() && output.is_none() {
        return None;
    }
    let of_input = wire.prompt_tokens_details.0.unwrap_or_default();
    Some(Usage {
        input: input.unwrap_or(0),
        output: output.unwrap_or(0),
        cached_input: count(of_input.cached_tokens),
        cache_write: count(of_input.cache_creation_input_tokens),
        reasoning: wire.output_tokens_details.0.and_then(|details| count(details.reasoning_tokens)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn texts_blocks_thoughts_and_calls_have_their_places() {
        let body = r#"{"request_id":"r","code":"","message":"","output":{"choices":[{"finish_reason":"tool_calls",
            "message":{"role":"assistant","content":[{"text":"a\n"},{"image":"u"},{"text":""}],"reasoning_content":"h\u006d",
            "tool_calls":[{"index":0,"id":"","type":"function","function":{"name":"f","arguments":"{}"}},
            {"id":"b","function":{"name":"g"}},{"function":{}}]}}]},"usage":{"input_tokens":30,"output_tokens":9,"total_tokens":39,
            "prompt_tokens_details":{"cached_tokens":10,"cache_creation_input_tokens":5},"output_tokens_details":{"reasoning_tokens":4}}}"#;
        let answer = read(body).unwrap();
        let message = &answer.choices[0].message;
        let texts = |texts: &[Str<'_>]| texts.iter().map(|text| text.raw().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(&message.content), [r#""a\n""#]);
        assert_eq!(texts(&message.reasoning), [r#""h\u006d""#]);
        let states = message.tool_calls.iter().map(|call| call.state.as_ref().map(|state| state.payload.to_string()));
        assert_eq!(states.collect::<Vec<_>>(), [Some(r#""h\u006d""#.to_owned()), None]);
        assert_eq!(answer.id.raw(), "\"r\"");
        let usage = Usage { input: 30, output: 9, cached_input: Some(10), cache_write: Some(5), reasoning: Some(4) };
        assert_eq!(answer.usage, Some(usage));
    }

    #[test]
    fn the_old_shape_is_an_answer_too() {
        let answer = read(r#"{"output":{"text":"hi","finish_reason":"length","choices":null},"usage":{}}"#).unwrap();
        assert_eq!(answer.choices[0].finish_reason, FinishReason::Length);
        assert_eq!(answer.choices[0].message.content[0].raw(), "\"hi\"");
        assert_eq!(answer.usage, None);
    }

    #[test]
    fn what_a_search_found_and_log_probabilities_come_along() {
        let answer = |search: &str| {
            format!(
                r#"{{"output":{{"search_info":{search},"choices":[{{"logprobs":{{"content":[1.0]}},"message":{{"content":"x"}}}},
                {{"index":3,"logprobs":null,"message":{{"content":"y"}}}}]}}}}"#
            )
        };
        let found = r#"{"search_results":[{"index":1}]}"#;
        let body = answer(found);
        let read_answer = read(&body).unwrap();
        assert_eq!(read_answer.choices[0].message.extra, [("search_info", Cow::Borrowed(found))]);
        assert_eq!(read_answer.choices[0].message.logprobs.as_deref(), Some(r#"{"content":[1.0]}"#));
        assert!(read_answer.choices[1].message.extra.is_empty() && read_answer.choices[1].message.logprobs.is_none());
        assert_eq!(read_answer.choices[1].index, 3);
        let body = answer(r#"{"search_results":[]}"#);
        assert!(read(&body).unwrap().choices[0].message.extra.is_empty());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let class = |body: &str| read(body).unwrap_err().class;
        assert_eq!(class(r#"{"code":"Throttling.RateQuota","message":"x","request_id":"r"}"#), Class::RateLimited);
        assert_eq!(class(r#"{"error":{"message":"m","code":"internal_error"}}"#), Class::Unreachable);
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"output":{}}"#,
            r#"{"output":{"choices":[{"finish_reason":"stop","message":{"content":""}}]}}"#,
            "\u{fffd}",
        ] {
            assert_eq!(class(body), Class::Malformed, "{body:?}");
        }
    }
}
