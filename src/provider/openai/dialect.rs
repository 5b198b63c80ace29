//! How a vendor's Chat Completions differ from OpenAI's: data only. [`super::request`] reads it to edit
//! the client's body, [`super::echo`] to give back what has to be sent again; the rows stand in
//! [`crate::provider::compatible`].

use super::echo::Echo;
use crate::chat::request::Role;
use crate::provider::{Effort, Target};

/// A row says what is different from [`Dialect::OPENAI`].
pub struct Dialect {
    /// Behind the base address, for an answer and for a stream.
    pub path: fn(&Target, bool) -> String,
    /// The field that the model's name is sent in.
    pub model: &'static str,
    /// The field that the provider's `project` is sent in.
    pub project: Option<&'static str>,
    pub usage: Usage,
    /// Which of OpenAI's fields the vendor has beside `model`, `messages` and `stream`; empty: it is left to the vendor to judge, and nothing at
    /// the top level is changed beyond what the rest of the row says and what is known of the model. What is not among them is refused
    /// where the answer would silently lack what was asked for, and else left out and named.
    pub known: Names,
    /// The vendor refuses whatever it does not know: other fields than `known` are not sent either.
    /// Elsewhere fields that are not OpenAI's are the vendor's own, and pass.
    pub is_closed: bool,
    /// Of the `known`, those that models that think do not take.
    pub not_thinking: Names,
    /// Fields that have another name there.
    pub renamed: &'static [(&'static str, &'static str)],
    /// The same of models that think.
    pub renamed_thinking: &'static [(&'static str, &'static str)],
    /// Numbers are cut off at these, which are written as they are to be sent.
    pub ranges: &'static [(&'static str, &'static str, &'static str)],
    /// The words of `service_tier`, the ordinary one first; none: any.
    pub tiers: Names,
    /// Fields that are lists there even of one.
    pub lists: Names,
    /// Fields that are sent if the client does not.
    pub defaults: &'static [(When, &'static str, &'static str)],
    pub logprobs: Logprobs,
    pub choice: Choice,
    pub tools: Tools,
    pub schema: Schema,
    pub thinking: Thinking,
    pub messages: Messages,
    /// What the vendor wants back of an answer that called tools.
    pub echo: Option<Echo>,
}

/// Names, with a space between them.
#[derive(Clone, Copy)]
pub struct Names(pub &'static str);

impl Names {
    pub const NONE: Names = Names("");

    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(self, name: &str) -> bool {
        self.0.split(' ').any(|known| known == name)
    }
}

/// How a stream is made to tell its usage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// By `stream_options.include_usage`.
    Asked,
    /// The same, which versions before this date refuse.
    AskedSince(&'static str),
    /// It always does, and may not know `stream_options`.
    Always,
    /// The same, and it is the path that asks for a stream: there is no `stream` either.
    AlwaysByPath,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Tools,
    StreamWithTools,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Logprobs {
    /// `logprobs: bool` and `top_logprobs: int`.
    Two,
    /// `logprobs: int` alone.
    One,
}

/// What becomes of the forms of `tool_choice`.
pub struct Choice {
    pub required: Way,
    pub named: Way,
    pub none: Way,
    /// Whether `allowed_tools` is known: else the others are taken out of `tools`.
    pub allowed: bool,
    /// The field for the forms that are words, where it is another.
    pub words: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Same,
    Word(&'static str),
    /// `required`, and no other tool than the one that is named.
    Alone,
    Refused,
    /// The request goes without tools.
    NoTools,
}

pub struct Tools {
    /// Only tools of type `function`: others fail the whole request.
    pub only_functions: bool,
    /// Which fields a `function` has; none: any.
    pub fields: Names,
    /// Whether `parameters` must be there.
    pub needs_parameters: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    Same,
    /// `json_object`, and the schema as an instruction, which nothing enforces.
    Instructed,
    /// Schemas, and the vendor's own; no `json_object`, which becomes an instruction.
    Alone,
}

/// What becomes of `reasoning_effort`, by the target's [`crate::provider::Reasoning`].
pub struct Thinking {
    /// The efforts that there are, in ascending order: another becomes the nearest below. Empty: all.
    pub efforts: &'static [Effort],
    /// How thinking is switched on and off, and given a budget.
    pub switch: Switch,
    /// A tool cannot be forced on a model that thinks: it answers without thinking.
    pub not_forced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    None,
    /// `thinking: {type, budget_tokens?}` (DeepSeek, Moonshot, Z.ai, Fireworks).
    Thinking,
    /// `enable_thinking`, `thinking_budget` (Qwen).
    Enable,
    /// `chat_template_kwargs`, by the names that Qwen's templates and Granite's have for it (vLLM, SGLang).
    Template,
    /// `reasoning: {enabled}` or `{max_tokens}` (OpenRouter).
    Reasoning,
}

pub struct Messages {
    /// `developer` becomes `system`.
    pub no_developer: bool,
    /// Which fields a message has; none: any. A `refusal` becomes content where there is no such field.
    pub fields: Names,
    /// Whose messages may have a `name`; `None`: all.
    pub names: Option<&'static [Role]>,
    /// Content of nothing but text is one string there.
    pub joined: bool,
    pub parts: Parts,
    pub images: Images,
    pub audio: Audio,
    pub files: Files,
    /// Tool-call ids are nine letters and digits.
    pub short_ids: bool,
    /// The order is that of a conversation in which each call is answered, or the request is refused.
    pub ordered: bool,
}

/// What fields the parts of a content have beside their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    Same,
    /// Not OpenAI's `prompt_cache_breakpoint`.
    WithoutBreakpoints,
    /// None.
    Plain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Images {
    Same,
    /// No addresses: the vendor fetches nothing.
    OnlyData,
    /// Data without what stands before it in a data URL.
    BareData,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    Same,
    /// The base64 alone, in place of the object.
    Bare,
    /// A data URL in place of the base64.
    DataUrl,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Files {
    Same,
    /// `document_url` for data, `file_id` beside the type (Mistral).
    DocumentUrl,
    Refused,
}

/// Models that think count their thoughts in the limit, and refuse the name of the one that did not.
pub const LIMIT_OF_ALL: &[(&str, &str)] = &[("max_tokens", "max_completion_tokens")];

impl Dialect {
    pub const OPENAI: Dialect = Dialect {
        path: |_, _| "/chat/completions".to_owned(),
        model: "model",
        project: None,
        usage: Usage::Asked,
        known: Names::NONE,
        is_closed: false,
        not_thinking: Names::NONE,
        renamed: &[],
        renamed_thinking: &[],
        ranges: &[],
        tiers: Names::NONE,
        lists: Names::NONE,
        defaults: &[],
        logprobs: Logprobs::Two,
        choice: Choice::OPENAI,
        tools: Tools::OPENAI,
        schema: Schema::Same,
        thinking: Thinking::OPENAI,
        messages: Messages::OPENAI,
        echo: None,
    };
}

impl Choice {
    pub const OPENAI: Choice =
        Choice { required: Way::Same, named: Way::Same, none: Way::Same, allowed: true, words: None };
    /// What most others have.
    pub const BASE: Choice = Choice { allowed: false, ..Choice::OPENAI };
}

impl Tools {
    pub const OPENAI: Tools = Tools { only_functions: false, fields: Names::NONE, needs_parameters: false };
}

impl Thinking {
    pub const OPENAI: Thinking = Thinking { efforts: &[], switch: Switch::None, not_forced: false };
}

impl Messages {
    pub const OPENAI: Messages = Messages {
        no_developer: false,
        fields: Names::NONE,
        names: None,
        joined: false,
        parts: Parts::Same,
        images: Images::Same,
        audio: Audio::Same,
        files: Files::Same,
        short_ids: false,
        ordered: false,
    };
    /// What most others have.
    pub const BASE: Messages = Messages {
        no_developer: true,
        parts: Parts::WithoutBreakpoints,
        audio: Audio::Refused,
        files: Files::Refused,
        ..Messages::OPENAI
    };

    /// Whether messages need to be looked at, whoever's they are.
    pub const fn are_edited(&self) -> bool {
        !self.fields.is_empty()
            || self.names.is_some()
            || self.joined
            || !matches!(self.parts, Parts::Same)
            || self.short_ids
            || self.ordered
            || !matches!((self.images, self.audio, self.files), (Images::Same, Audio::Same, Files::Same))
    }
}

/// The fields of OpenAI's API (openai-python 3.52, `CompletionCreateParams`).
pub const OPENAI_FIELDS: Names = Names(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages \
     metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key \
     prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed \
     service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity \
     web_search_options",
);
