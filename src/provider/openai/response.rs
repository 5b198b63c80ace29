//! Whole answers.

use super::echo::{self, Echo};
use super::reported;
use super::wire::{WireMessage, WireUsage, finish_reason, has_plain_logprobs, is_plain_reason, text, usage};
use crate::chat::{ChatResponse, Choice, FinishReason};
use crate::error::UpstreamError;
use crate::json::{RawValue, Str};
use crate::provider::failure;
use crate::provider::tolerant::{self, Kept, List, Maybe, Present, wire};

wire! {
    struct WireResponse<'a> {
        id: Option<&'a RawValue>,
        object: Option<&'a RawValue>,
        created: Option<&'a RawValue>,
        model: Option<&'a RawValue>,
        choices: List<WireChoice<'a>>,
        usage: Kept<'a, WireUsage<'a>>,
        error: Present<'a>,
    }

    struct WireChoice<'a> {
        index: Option<&'a RawValue>,
        message: Maybe<WireMessage<'a>>,
        logprobs: Option<&'a RawValue>,
        finish_reason: Option<&'a RawValue>,
        usage: Option<&'a RawValue>,
    }
}

/// Reads an answer to a request that was not streamed. `echo`: what the vendor wants back of it.
pub fn read(body: &str, echo: Option<Echo>) -> Result<ChatResponse<'_>, UpstreamError> {
    let answer: WireResponse<'_> = match tolerant::read_str(body) {
        Ok(answer) => answer,
        // A list with an error in it (quirk C6).
        Err(_) if failure::is_report(body.as_bytes()) => return Err(reported(body.as_bytes())),
        Err(error) => {
            let message = format!("The provider's answer is not a chat completion: {error}.");
            return Err(UpstreamError::malformed(message));
        }
    };
    let has_error = answer.error.0.is_some_and(failure::is_something);
    if has_error || (answer.choices.items.is_empty() && failure::is_report(body.as_bytes())) {
        return Err(reported(body.as_bytes()));
    }
    let mut is_exact = answer.is_exact();
    // Moonshot's place for it (quirk B6).
    let in_choice = answer.choices.items.iter().flatten().find_map(|choice| choice.usage);
    let told = answer.usage.object.as_ref();
    let usage = match answer.usage.raw {
        Some(_) => told.and_then(WireUsage::counts),
        None => in_choice.and_then(usage),
    };
    is_exact &= match (told, &usage) {
        (Some(told), Some(usage)) => told.is_exact(usage),
        _ => answer.usage.raw.is_none(),
    };
    let mut choices = Vec::with_capacity(answer.choices.items.len());
    for (place, choice) in answer.choices.into_placed() {
        let Some(message) = choice.message.0 else { continue };
        let state = echo.and_then(|echo| echo::of_message(echo, &message));
        let mut message = message.message();
        if let Some(call) = message.tool_calls.first_mut().filter(|_| state.is_some()) {
            call.state = state;
            is_exact = false;
        }
        let said = finish_reason(choice.finish_reason)?.unwrap_or(FinishReason::Stop);
        // Clients run the calls only if they are told to (quirk B19).
        let has_calls = !message.tool_calls.is_empty();
        let finish_reason = if said == FinishReason::Stop && has_calls { FinishReason::ToolCalls } else { said };
        is_exact &= finish_reason == said;
        let index = choice.index.and_then(tolerant::index).unwrap_or(place as u32);
        choices.push(Choice { index, place: Some(place), message, finish_reason });
    }
    let says_nothing = |choice: &Choice<'_>| {
        let finished = matches!(choice.finish_reason, FinishReason::Stop | FinishReason::ToolCalls);
        finished && choice.message.is_empty()
    };
    if choices.iter().all(says_nothing) {
        return Err(UpstreamError::malformed("The provider's answer is empty."));
    }
    Ok(ChatResponse {
        source: Some(body),
        exact: is_exact,
        id: text(answer.id).unwrap_or(Str::EMPTY),
        model: text(answer.model).unwrap_or(Str::EMPTY),
        created: answer.created.and_then(tolerant::seconds),
        choices,
        usage,
        native_usage: None,
    })
}

impl WireResponse<'_> {
    /// Whether it is written as OpenAI writes it, usage apart, so that it may be relayed.
    fn is_exact(&self) -> bool {
        let is_word = |value| text(value).is_some_and(|text| !text.is_empty());
        is_word(self.id)
            && is_word(self.model)
            && self.object.is_some_and(|object| object.get() == "\"chat.completion\"")
            && self.created.is_some_and(tolerant::is_plain_time)
            && self.error.0.is_none()
            && self.choices.is_exact
            && self.choices.items.iter().flatten().all(WireChoice::is_exact)
    }
}

impl WireChoice<'_> {
    fn is_exact(&self) -> bool {
        self.index.is_some_and(tolerant::is_plain_index)
            && self.message.0.as_ref().is_some_and(WireMessage::is_exact_message)
            && self.finish_reason.is_some()
            && is_plain_reason(self.finish_reason)
            && has_plain_logprobs(self.logprobs)
            && self.usage.is_none()
    }
}
