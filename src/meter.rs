//! What an answer came to: how it ended and how many tokens it took, whatever became of it.
//!
//! A meter looks at the normalized answer as it passes. What the provider reports holds; where it reports
//! nothing, because it does not or because the client has left, the tokens are estimated and marked so.

use crate::chat::{Arguments, ChatChunk, ChatResponse, Delta, FinishReason, Message, Said, SaidAs, Usage};
use crate::json::Str;
use crate::quality::{Expected, Judge, Quality};
use crate::tokens::Count;

#[derive(Clone, Debug, Default)]
pub struct Meter {
    text: Count,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    /// Whether the whole answer has passed.
    complete: bool,
    judge: Judge,
}

/// Tokens, and whether they are counted or estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    pub usage: Usage,
    pub estimated: bool,
}

impl Meter {
    /// A meter that also judges the answer, by what the request expects of it.
    pub fn judging(expected: &Expected) -> Self {
        Meter { judge: expected.judge(), ..Meter::default() }
    }

    /// A normalized chunk, and the usage that has been reported so far.
    pub fn chunk(&mut self, chunk: &ChatChunk<'_>) {
        if !crate::COUNTS {
            return;
        }
        for choice in &chunk.choices {
            let delta = &choice.delta;
            let texts = [delta.content, delta.refusal, delta.reasoning];
            texts.into_iter().flatten().for_each(|text| self.push(text));
            for call in &delta.tool_calls {
                call.name.into_iter().for_each(|name| self.push(name));
                call.arguments.into_iter().for_each(|arguments| self.text.push(arguments.raw()));
            }
            if choice.index == 0 {
                self.finish = choice.finish_reason.or(self.finish);
                self.judge_delta(delta);
            }
        }
    }

    /// A chunk that says this and nothing else.
    #[inline]
    pub fn said(&mut self, said: &Said<'_>) {
        if !crate::COUNTS {
            return;
        }
        self.push(said.text);
        match said.said_as {
            _ if said.choice != 0 => {}
            SaidAs::Content => self.judge.content(said.text),
            SaidAs::Reasoning => {}
            SaidAs::Arguments(call) => self.judge.arguments(call as usize, Arguments::Text(said.text)),
        }
    }

    fn judge_delta(&mut self, delta: &Delta<'_>) {
        delta.content.into_iter().for_each(|text| self.judge.content(text));
        delta.refusal.into_iter().for_each(|text| self.judge.refusal(text));
        if delta.other {
            self.judge.other();
        }
        for call in &delta.tool_calls {
            // What a custom tool is given is any text.
            let Some(index) = call.index.filter(|_| !call.is_custom) else { continue };
            if call.begins {
                self.judge.call(index as usize, call.name.unwrap_or(Str::EMPTY));
            }
            call.arguments.into_iter().for_each(|arguments| self.judge.arguments(index as usize, arguments));
        }
    }

    pub fn reported(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// A whole answer that is not streamed.
    pub fn response(&mut self, answer: &ChatResponse<'_>) {
        self.usage = answer.usage;
        for choice in answer.choices.iter().filter(|_| crate::COUNTS) {
            let message = &choice.message;
            if choice.index == 0 {
                self.finish = Some(choice.finish_reason);
                self.judge_message(message);
            }
            if answer.usage.is_none() {
                message.content.iter().chain(&message.reasoning).for_each(|text| self.push(*text));
                message.tool_calls.iter().for_each(|call| self.text.push(call.arguments.raw()));
            }
        }
        self.complete = true;
    }

    fn judge_message(&mut self, message: &Message<'_>) {
        message.content.iter().for_each(|text| self.judge.content(*text));
        message.refusal.into_iter().for_each(|text| self.judge.refusal(text));
        if message.other {
            self.judge.other();
        }
        for (index, call) in message.tool_calls.iter().enumerate() {
            self.judge.call(index, call.name);
            // Without any, the client is given an empty object.
            let is_empty = matches!(call.arguments, Arguments::Text(text) if text.is_empty());
            self.judge.arguments(index, if is_empty { Arguments::Json("{}") } else { call.arguments });
        }
    }

    pub fn completed(&mut self) {
        self.complete = true;
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// How good the answer is, if it is whole.
    pub fn quality(&self, expected: &Expected) -> Option<Quality> {
        self.complete.then(|| self.judge.quality(self.finish, expected))
    }

    /// What the answer has cost so far. Of an answer that did not come to its end the provider has told
    /// at most a part.
    pub fn spent(&self, input_estimate: u64) -> Spent {
        let output = self.text.tokens();
        match self.usage {
            Some(usage) if self.complete => Spent { usage, estimated: false },
            told => {
                let told = told.unwrap_or_default();
                let input = if told.input > 0 { told.input } else { input_estimate };
                Spent { usage: Usage { input, output: told.output.max(output), ..told }, estimated: true }
            }
        }
    }

    #[inline(always)]
    fn push(&mut self, text: Str<'_>) {
        self.text.push(text.escaped());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChunkChoice;
    use crate::json::RawValue;

    fn pushed(meter: &mut Meter, text: &str, finish_reason: Option<FinishReason>) {
        let raw: &RawValue = crate::json::parse_str(text).unwrap();
        let delta = Delta { content: Str::new(raw), ..Delta::default() };
        let choices = vec![ChunkChoice { index: 0, place: None, delta, finish_reason }];
        meter.chunk(&ChatChunk { choices, ..ChatChunk::default() });
    }

    #[test]
    fn what_is_reported_holds_once_the_answer_is_whole_and_an_estimate_until_then() {
        let mut meter = Meter::default();
        pushed(&mut meter, "\"four words of text\"", None);
        let spent = meter.spent(100);
        assert_eq!((spent.estimated, spent.usage.input, spent.usage.output), (true, 100, 4));
        // Anthropic tells the input first.
        meter.reported(Usage { input: 70, output: 1, ..Usage::default() });
        let spent = meter.spent(100);
        assert_eq!((spent.estimated, spent.usage.input, spent.usage.output), (true, 70, 4));
        pushed(&mut meter, "\"\"", Some(FinishReason::Stop));
        let all = Usage { input: 71, output: 9, ..Usage::default() };
        meter.reported(all);
        meter.completed();
        assert_eq!(meter.spent(100), Spent { usage: all, estimated: false });
        assert_eq!(meter.finish_reason(), Some(FinishReason::Stop));
    }
}
