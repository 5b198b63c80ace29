//! Vendors and servers that speak OpenAI's Chat Completions with deviations: a row each.
//!
//! A row's comment says where its facts come from. *SDK* is the vendor's own package on PyPI, read at the
//! version that is named; *unverified* is what no source at hand settles.

use super::Effort::{High, Low, Max, Medium, Minimal, XHigh};
use super::openai::OpenAi;
use super::openai::dialect::{
    Audio, Choice, Dialect, Files, Images, LIMIT_OF_ALL, Logprobs, Messages, Names, Parts, Schema, Switch, Thinking,
    Tools, Usage, Way, When,
};
use super::openai::echo::Echo;
use super::{Auth, Effort, Kind, Reasoning, Setting, Target, path};
use crate::chat::request::Role;

/// Azure OpenAI (openai-python 3.52 `lib/azure.py`). `api_version`: `v1` (the default) for the surface of
/// that name, where the model's id is the deployment's name; a date for the older one, which has it in the
/// path. `url` is the resource's own, `https://NAME.openai.azure.com`. A token of Entra ID instead of a key:
/// `auth: bearer`. The fields are OpenAI's.
pub const AZURE: Kind = Kind {
    name: "azure",
    translator: &OpenAi(Dialect {
        path: azure_path,
        // The dated surface refuses unknown fields; `stream_options` came with this preview.
        usage: Usage::AskedSince("2024-09-01"),
        renamed_thinking: LIMIT_OF_ALL,
        ..Dialect::OPENAI
    }),
    auth: Auth::Header("api-key"),
    api_version: Some("v1"),
    ..Kind::BASE
};

fn azure_path(target: &Target, _stream: bool) -> String {
    let version = target.api_version.as_deref().unwrap_or("v1");
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        let id = path::segment(&target.id);
        return format!("/openai/deployments/{id}/chat/completions?api-version={version}");
    }
    // OpenAI's own client is given the address with the surface in it.
    let surface = if target.base_path.ends_with("/openai/v1") { "" } else { "/openai/v1" };
    match version {
        "v1" => format!("{surface}/chat/completions"),
        version => format!("{surface}/chat/completions?api-version={version}"),
    }
}

/// Mistral (SDK mistralai 3.7: `ChatCompletionRequest` and the message types). It answers 422 to every
/// field that it does not know. `required` is `any` for older models, which know no other word; the newer
/// take both. `temperature` ends at 1.5 (reference).
///
/// Vendor fields that pass: `safe_prompt`, `prompt_mode`, `random_seed`, `guardrails`, `min_tokens`,
/// `repetition_penalty`, `top_k`, `prompt_logprobs`, `top_prompt_logprobs`; in messages `prefix`.
pub const MISTRAL: Kind = Kind {
    name: "mistral",
    translator: &OpenAi(Dialect {
        usage: Usage::Always,
        known: Names(
            "frequency_penalty guardrails logprobs max_tokens metadata min_tokens n parallel_tool_calls prediction \
             presence_penalty prompt_cache_key prompt_logprobs prompt_mode random_seed reasoning_effort \
             repetition_penalty response_format safe_prompt service_tier stop temperature tool_choice tools top_k \
             top_logprobs top_p top_prompt_logprobs",
        ),
        is_closed: true,
        renamed: &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")],
        ranges: &[("temperature", "0", "1.5"), ("seed", "0", "18446744073709551615")],
        choice: Choice { required: Way::Word("any"), ..Choice::BASE },
        tools: Tools {
            only_functions: true,
            fields: Names("name description parameters strict"),
            needs_parameters: true,
        },
        messages: Messages {
            fields: Names("role content tool_calls tool_call_id name prefix"),
            names: Some(&[Role::Tool]),
            parts: Parts::Plain,
            audio: Audio::Bare,
            files: Files::DocumentUrl,
            short_ids: true,
            ordered: true,
            ..Messages::BASE
        },
        echo: Some(Echo::Thoughts),
        ..Dialect::OPENAI
    }),
    url: "https://api.mistral.ai/v1",
    ..Kind::BASE
};

/// DeepSeek (api-docs.deepseek.com, litellm). Thinking is on by default and maps every effort to one of
/// its own; it refuses to be made to call a tool while it thinks ("Thinking mode does not support this
/// tool_choice"), and tool loops need `reasoning_content` back. A `json_schema` becomes an instruction. Which images
/// a model takes is DeepSeek's to judge.
///
/// Vendor fields that pass: `thinking`; in messages `prefix` (beta) and `reasoning_content`.
pub const DEEPSEEK: Kind = Kind {
    name: "deepseek",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options frequency_penalty presence_penalty max_tokens response_format stop temperature top_p \
             tools tool_choice logprobs top_logprobs reasoning_effort",
        ),
        renamed: &[("max_completion_tokens", "max_tokens")],
        choice: Choice::BASE,
        // `strict` is of `/beta`.
        tools: Tools { only_functions: true, fields: Names("name description parameters"), needs_parameters: false },
        schema: Schema::Instructed,
        thinking: Thinking {
            efforts: &[Minimal, Low, Medium, High, XHigh, Max],
            switch: Switch::Thinking,
            not_forced: true,
        },
        messages: Messages {
            fields: Names("role content tool_calls tool_call_id prefix reasoning_content"),
            parts: Parts::Plain,
            joined: true,
            ..Messages::BASE
        },
        echo: Some(Echo::Reasoning { is_needed: true }),
        ..Dialect::OPENAI
    }),
    url: "https://api.deepseek.com",
    ..Kind::BASE
};

/// Qwen in DashScope's compatible mode (help.aliyun.com, litellm). Keys belong to a region: for the
/// international one `url: https://dashscope-intl.aliyuncs.com/compatible-mode/v1`. Parallel calls are off
/// by default there, on with OpenAI. Models that think only in streams refuse whole answers.
///
/// Vendor fields that pass: `enable_thinking`, `thinking_budget`, `preserve_thinking`, `top_k`,
/// `repetition_penalty`, `enable_search`, `search_options`, `vl_high_resolution_images`,
/// `translation_options`; in parts `cache_control`, `video`, `video_url`.
pub const QWEN: Kind = Kind {
    name: "qwen",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options modalities audio max_tokens temperature top_p presence_penalty n seed stop tools \
             tool_choice parallel_tool_calls response_format logprobs top_logprobs reasoning_effort",
        ),
        renamed: &[("max_completion_tokens", "max_tokens")],
        ranges: &[("temperature", "0", "1.99"), ("top_p", "0.01", "1"), ("seed", "0", "2147483647")],
        defaults: &[(When::Tools, "parallel_tool_calls", "true")],
        choice: Choice { required: Way::Refused, ..Choice::BASE },
        tools: Tools { only_functions: false, fields: Names("name description parameters"), needs_parameters: false },
        thinking: Thinking { efforts: &[], switch: Switch::Enable, not_forced: true },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id partial reasoning_content"),
            audio: Audio::DataUrl,
            ..Messages::BASE
        },
        echo: Some(Echo::Reasoning { is_needed: false }),
        ..Dialect::OPENAI
    }),
    url: "https://dashscope.aliyuncs.com/compatible-mode/v1",
    reasoning: Reasoning::Budget,
    ..Kind::BASE
};

/// Moonshot's Kimi (litellm, platform.kimi.ai as models.dev and agentscope read it). Models that think
/// (`reasoning: switch`, from K3 on `effort`) fix all sampling, refuse tool loops without
/// `reasoning_content`, and a tool that is named while they think.
///
/// Vendor fields that pass: `thinking`, `prompt_cache_key`; tools of type `builtin_function`; in messages
/// `partial`.
pub const MOONSHOT: Kind = Kind {
    name: "moonshot",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options max_tokens max_completion_tokens temperature top_p n stop presence_penalty \
             frequency_penalty response_format tools tool_choice prompt_cache_key reasoning_effort",
        ),
        not_thinking: Names("temperature top_p n presence_penalty frequency_penalty"),
        ranges: &[("temperature", "0", "1")],
        choice: Choice { required: Way::Refused, ..Choice::BASE },
        tools: Tools { only_functions: false, fields: Names("name description parameters"), needs_parameters: false },
        thinking: Thinking { efforts: &[Low, High, Max], switch: Switch::Thinking, not_forced: true },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id partial reasoning_content"),
            joined: true,
            ..Messages::BASE
        },
        echo: Some(Echo::Reasoning { is_needed: true }),
        ..Dialect::OPENAI
    }),
    url: "https://api.moonshot.ai/v1",
    reasoning: Reasoning::Switch,
    ..Kind::BASE
};

/// Zhipu's GLM, Z.ai (SDK zai 0.2.3: `chat/completions.py`, which cuts the same ranges off and the label
/// from images' data). Without `tool_stream` the arguments of calls come at the end. In China:
/// `url: https://open.bigmodel.cn/api/paas/v4`.
///
/// Vendor fields that pass: `thinking`, `do_sample`, `request_id`, `user_id`, `sensitive_word_check`,
/// `watermark_enabled`, `tool_stream`; tools of types `web_search` and `retrieval`.
pub const ZHIPU: Kind = Kind {
    name: "zhipu",
    translator: &OpenAi(Dialect {
        usage: Usage::Always,
        known: Names("max_tokens temperature top_p seed stop tools tool_choice response_format reasoning_effort"),
        renamed: &[("max_completion_tokens", "max_tokens")],
        ranges: &[("temperature", "0.01", "0.99"), ("top_p", "0.01", "0.99")],
        lists: Names("stop"),
        defaults: &[(When::StreamWithTools, "tool_stream", "true")],
        choice: Choice { required: Way::Refused, named: Way::Refused, none: Way::NoTools, ..Choice::BASE },
        tools: Tools { only_functions: false, fields: Names("name description parameters"), needs_parameters: false },
        schema: Schema::Instructed,
        thinking: Thinking { efforts: &[], switch: Switch::Thinking, not_forced: false },
        messages: Messages {
            fields: Names("role content tool_calls tool_call_id reasoning_content"),
            images: Images::BareData,
            joined: true,
            ..Messages::BASE
        },
        echo: Some(Echo::Reasoning { is_needed: false }),
        ..Dialect::OPENAI
    }),
    url: "https://api.z.ai/api/paas/v4",
    reasoning: Reasoning::Switch,
    ..Kind::BASE
};

/// xAI (litellm). Models that think refuse penalties and `stop`. Search is of its Responses API only.
///
/// Vendor fields pass.
pub const XAI: Kind = Kind {
    name: "xai",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options frequency_penalty logit_bias logprobs max_completion_tokens max_tokens n \
             parallel_tool_calls presence_penalty response_format seed stop temperature tool_choice tools \
             top_logprobs top_p user reasoning_effort",
        ),
        not_thinking: Names("presence_penalty frequency_penalty stop"),
        choice: Choice::BASE,
        thinking: Thinking { efforts: &[Effort::None, Low, Medium, High, XHigh], ..Thinking::OPENAI },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id reasoning_content"),
            names: Some(&[Role::User]),
            ..Messages::BASE
        },
        ..Dialect::OPENAI
    }),
    url: "https://api.x.ai/v1",
    ..Kind::BASE
};

/// Groq (SDK groq 1.7: `CompletionCreateParams`, which says what "is not yet supported by any of our
/// models"). It answers 400 to every field that it does not know. Usage comes under `x_groq`.
///
/// Vendor fields that pass: those of the list that are not OpenAI's; in messages `reasoning`.
pub const GROQ: Kind = Kind {
    name: "groq",
    translator: &OpenAi(Dialect {
        usage: Usage::Always,
        known: Names(
            "citation_options compound_custom disable_tool_validation documents exclude_domains include_domains \
             include_reasoning max_completion_tokens max_tokens parallel_tool_calls reasoning_effort \
             reasoning_format response_format search_settings seed service_tier stop temperature tool_choice tools \
             top_p user",
        ),
        is_closed: true,
        tiers: Names("on_demand auto flex performance"),
        choice: Choice::BASE,
        thinking: Thinking { efforts: &[Effort::None, Low, Medium, High], ..Thinking::OPENAI },
        messages: Messages {
            no_developer: false,
            fields: Names("role content name tool_calls tool_call_id reasoning"),
            parts: Parts::Plain,
            ..Messages::BASE
        },
        ..Dialect::OPENAI
    }),
    url: "https://api.groq.com/openai/v1",
    ..Kind::BASE
};

/// Together (SDK together 3.1: `CompletionCreateParams`). Log probabilities are asked for by their number
/// alone, and answered in the shape of the old completions.
///
/// Vendor fields that pass: `top_k`, `min_p`, `repetition_penalty`, `echo`, `safety_model`, `reasoning`,
/// `chat_template_kwargs`, `context_length_exceeded_behavior`, `compliance`.
pub const TOGETHER: Kind = Kind {
    name: "together",
    translator: &OpenAi(Dialect {
        usage: Usage::Always,
        known: Names(
            "frequency_penalty logit_bias logprobs max_tokens n presence_penalty reasoning_effort response_format \
             seed stop temperature tool_choice tools top_logprobs top_p",
        ),
        renamed: &[("max_completion_tokens", "max_tokens")],
        ranges: &[("temperature", "0", "1")],
        lists: Names("stop"),
        logprobs: Logprobs::One,
        choice: Choice::BASE,
        thinking: Thinking { efforts: &[Low, Medium, High], switch: Switch::Reasoning, not_forced: false },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id reasoning reasoning_content"),
            ..Messages::BASE
        },
        ..Dialect::OPENAI
    }),
    url: "https://api.together.ai/v1",
    ..Kind::BASE
};

/// Fireworks (SDK fireworks-ai 1.2: `CompletionCreateParams`, `ChatMessage`).
///
/// Vendor fields that pass: `top_k`, `min_p`, `typical_p`, `mirostat_*`, `repetition_penalty`, `thinking`,
/// `reasoning_history`, `prompt_truncate_len`, `context_length_exceeded_behavior`, `speculation` and others.
pub const FIREWORKS: Kind = Kind {
    name: "fireworks",
    translator: &OpenAi(Dialect {
        usage: Usage::Always,
        known: Names(
            "frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens \
             metadata n parallel_tool_calls prediction presence_penalty prompt_cache_key reasoning_effort \
             response_format seed service_tier stop temperature tool_choice tools top_logprobs top_p user",
        ),
        choice: Choice::BASE,
        thinking: Thinking { efforts: &[Effort::None, Low, Medium, High], switch: Switch::Thinking, not_forced: false },
        messages: Messages {
            fields: Names("role content tool_calls tool_call_id reasoning_content"),
            ..Messages::BASE
        },
        echo: Some(Echo::Reasoning { is_needed: false }),
        ..Dialect::OPENAI
    }),
    url: "https://api.fireworks.ai/inference/v1",
    ..Kind::BASE
};

/// Cerebras (SDK cerebras-cloud-sdk 1.91: `CompletionCreateParams`).
///
/// Vendor fields that pass: `clear_thinking`, `disable_reasoning`, `reasoning_format`, `min_tokens`,
/// `min_completion_tokens`, `model_parameters`; in messages `reasoning`.
pub const CEREBRAS: Kind = Kind {
    name: "cerebras",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options frequency_penalty logit_bias logprobs max_completion_tokens max_tokens n \
             parallel_tool_calls prediction presence_penalty prompt_cache_key reasoning_effort response_format seed \
             service_tier stop temperature tool_choice tools top_logprobs top_p user",
        ),
        choice: Choice::BASE,
        thinking: Thinking { efforts: &[Effort::None, Low, Medium, High], ..Thinking::OPENAI },
        messages: Messages { fields: Names("role content name tool_calls tool_call_id reasoning"), ..Messages::BASE },
        ..Dialect::OPENAI
    }),
    url: "https://api.cerebras.ai/v1",
    ..Kind::BASE
};

/// NVIDIA's NIM, hosted or one's own by its `url` (docs.api.nvidia.com as litellm reads it). Which fields a
/// model takes differs from image to image: unverified beyond litellm's list.
///
/// Vendor fields pass (`nvext`, `chat_template_kwargs`, `min_tokens` …).
pub const NVIDIA: Kind = Kind {
    name: "nvidia",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options temperature top_p frequency_penalty presence_penalty max_tokens stop seed tools \
             tool_choice parallel_tool_calls response_format n logprobs top_logprobs reasoning_effort",
        ),
        renamed: &[("max_completion_tokens", "max_tokens")],
        choice: Choice::BASE,
        thinking: Thinking { efforts: &[], switch: Switch::Template, not_forced: false },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id reasoning_content"),
            ..Messages::BASE
        },
        ..Dialect::OPENAI
    }),
    url: "https://integrate.api.nvidia.com/v1",
    ..Kind::BASE
};

/// Perplexity (docs.perplexity.ai as litellm and Bifrost read it): no tools, no `stop`, no `json_object`
/// ("Input should be 'json_schema'"). Citations come at the answer's top level (`citations`,
/// `search_results`) and stay there.
///
/// Vendor fields pass (`search_domain_filter`, `search_recency_filter`, `return_images`, `top_k` …), and a
/// `response_format` of type `regex`.
pub const PERPLEXITY: Kind = Kind {
    name: "perplexity",
    translator: &OpenAi(Dialect {
        usage: Usage::Always,
        known: Names(
            "frequency_penalty presence_penalty max_tokens response_format temperature top_p web_search_options \
             reasoning_effort",
        ),
        renamed: &[("max_completion_tokens", "max_tokens")],
        ranges: &[("temperature", "0", "1.99")],
        schema: Schema::Alone,
        thinking: Thinking { efforts: &[Minimal, Low, Medium, High], ..Thinking::OPENAI },
        messages: Messages { fields: Names("role content"), ..Messages::BASE },
        ..Dialect::OPENAI
    }),
    url: "https://api.perplexity.ai",
    ..Kind::BASE
};

/// IBM watsonx.ai, where Granite is (SDK ibm-watsonx-ai 1.8: `TextChatParameters`,
/// `fm_model_inference.py`; litellm). The path asks for a stream, not the body. The credential is an IAM
/// token, which lasts an hour: a file that is renewed, or SDS. Deployments and spaces are not reached.
///
/// Vendor fields that pass: `time_limit`, `guided_*`, `chat_template_kwargs`, `include_reasoning`,
/// `repetition_penalty`, `length_penalty`.
pub const WATSONX: Kind = Kind {
    name: "watsonx",
    translator: &OpenAi(Dialect {
        path: |target, stream| {
            let stream = if stream { "_stream" } else { "" };
            let version = target.api_version.as_deref().unwrap_or_default();
            format!("/ml/v1/text/chat{stream}?version={version}")
        },
        model: "model_id",
        project: Some("project_id"),
        usage: Usage::AlwaysByPath,
        known: Names(
            "frequency_penalty logprobs top_logprobs presence_penalty response_format temperature max_tokens \
             max_completion_tokens time_limit top_p n logit_bias seed stop guided_choice guided_regex \
             guided_grammar guided_json chat_template_kwargs reasoning_effort include_reasoning repetition_penalty \
             length_penalty tools tool_choice tool_choice_option",
        ),
        is_closed: true,
        lists: Names("stop"),
        choice: Choice { words: Some("tool_choice_option"), ..Choice::BASE },
        tools: Tools { only_functions: true, fields: Names("name description parameters"), needs_parameters: false },
        thinking: Thinking { efforts: &[Low, Medium, High], switch: Switch::Template, not_forced: false },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id refusal"),
            joined: true,
            ..Messages::BASE
        },
        ..Dialect::OPENAI
    }),
    url: "https://{region}.ml.cloud.ibm.com",
    // The version of litellm's requests, and of IBM's documentation of this API.
    api_version: Some("2024-03-13"),
    region: Setting::Required,
    project: Setting::Required,
    ..Kind::BASE
};

/// vLLM's server. Fields and their values are its to judge.
pub const VLLM: Kind = Kind { name: "vllm", translator: &OpenAi(SELF_HOSTED), ..Kind::BASE };

/// SGLang's server.
pub const SGLANG: Kind = Kind { name: "sglang", translator: &OpenAi(SELF_HOSTED), ..Kind::BASE };

/// Models that think are told so by their chat template (`reasoning: switch`), or by an effort. Most templates
/// know no `developer`: his words are left out, or the request is refused (Qwen's).
const SELF_HOSTED: Dialect = Dialect {
    choice: Choice::BASE,
    thinking: Thinking { efforts: &[], switch: Switch::Template, not_forced: false },
    messages: Messages { no_developer: true, ..Messages::OPENAI },
    ..Dialect::OPENAI
};

/// Ollama's OpenAI-compatible surface (its docs/openai.md; reference). It ignores what it does not know
/// without a word: what matters of that is refused here. Images are data only.
pub const OLLAMA: Kind = Kind {
    name: "ollama",
    translator: &OpenAi(Dialect {
        known: Names(
            "stream_options frequency_penalty presence_penalty response_format seed stop temperature top_p \
             max_tokens tools tool_choice logprobs top_logprobs reasoning_effort",
        ),
        renamed: &[("max_completion_tokens", "max_tokens")],
        choice: Choice { required: Way::Refused, named: Way::Refused, none: Way::NoTools, ..Choice::BASE },
        thinking: Thinking { efforts: &[Effort::None, Low, Medium, High], ..Thinking::OPENAI },
        messages: Messages {
            fields: Names("role content name tool_calls tool_call_id reasoning"),
            images: Images::OnlyData,
            ..Messages::BASE
        },
        ..Dialect::OPENAI
    }),
    url: "http://127.0.0.1:11434/v1",
    ..Kind::BASE
};

/// llama.cpp's `llama-server`. A choice of tools that is no word it takes for `auto`, and says so in its own log
/// alone.
pub const LLAMACPP: Kind = Kind {
    name: "llamacpp",
    translator: &OpenAi(Dialect { choice: Choice { named: Way::Alone, ..Choice::BASE }, ..SELF_HOSTED }),
    ..Kind::BASE
};

/// Any other server of this format: nothing is changed but for what is known of the model.
pub const OPENAI_COMPATIBLE: Kind = Kind { name: "openai-compatible", ..Kind::BASE };

/// OpenRouter (SDK openrouter 1.3: `ChatRequest`, `ChatAssistantMessage`). It takes all of OpenAI's fields
/// and maps them itself; what models that sign their reasoning want back it wants unmodified.
///
/// Vendor fields pass (`models`, `provider`, `plugins`, `reasoning`, `transforms`, `cache_control` …).
pub const OPENROUTER: Kind = Kind {
    name: "openrouter",
    translator: &OpenAi(Dialect {
        thinking: Thinking { efforts: &[], switch: Switch::Reasoning, not_forced: false },
        echo: Some(Echo::Details),
        ..Dialect::OPENAI
    }),
    url: "https://openrouter.ai/api/v1",
    ..Kind::BASE
};

/// LiteLLM's proxy.
pub const LITELLM: Kind = Kind { name: "litellm", ..Kind::BASE };

/// Portkey (portkey.ai/docs). Which provider is meant stands in the model's name, `@provider/model`, or in
/// a config that the key has.
pub const PORTKEY: Kind =
    Kind { name: "portkey", url: "https://api.portkey.ai/v1", auth: Auth::Header("x-portkey-api-key"), ..Kind::BASE };

/// TokenMix (tokenmix.ai/docs).
pub const TOKENMIX: Kind = Kind { name: "tokenmix", url: "https://api.tokenmix.ai/v1", ..Kind::BASE };

/// XiDao (doc.xidao.online).
pub const XIDAO: Kind = Kind { name: "xidao", url: "https://api.xidao.online/v1", ..Kind::BASE };
