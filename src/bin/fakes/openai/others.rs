//! The vendors and servers that differ from OpenAI in little, or of which little is documented: a row each.
//!
//! What is checked of OpenAI's fields is checked; fields of their own are taken as they are.

use super::dialect::{Dialect, KeyHeader, OPENAI, Refuses, Thoughts, Unknown, UsageIn};

/// What they have in common: nothing of OpenAI's account, thoughts beside the content.
const fn row(name: &'static str, model: &'static str, key: &'static str, base_path: &'static str) -> Dialect {
    Dialect {
        name,
        model,
        key,
        base_path,
        own_headers: &[],
        unknown_fields: Unknown::Ignored,
        tool_types: &["function"],
        tool_choice_types: &["function"],
        assistant_fields: &["role", "content", "tool_calls", "name", "reasoning_content", "reasoning"],
        thoughts: Thoughts::Field("reasoning_content"),
        refuses: Refuses::InContent,
        own_fields: false,
        headers: &[],
        ..OPENAI
    }
}

/// Z.ai takes no other choice of tools than `auto`, and temperatures up to 1; images are base64 alone.
pub const ZHIPU: Dialect = Dialect {
    bare_images: true,
    temperature: (0.0, 1.0),
    most_choices: 1,
    tool_choices: &["auto"],
    response_formats: &["text", "json_object"],
    roles: &["system", "user", "assistant", "tool"],
    refuses: Refuses::ByFinish("sensitive"),
    usage_in: &[UsageIn::Finish],
    ..row("zhipu", "glm-fake", "zhipu-fake", "/api/paas/v4")
};

/// Its models think and refuse stop sequences.
pub const XAI: Dialect = Dialect { most_stops: 0, ..row("xai", "grok-fake", "xai-fake", "/v1") };

/// It says in every delta who speaks, and thinks in `reasoning`.
pub const TOGETHER: Dialect = Dialect {
    temperature: (0.0, 1.0),
    role_every_chunk: true,
    usage_in: &[UsageIn::Finish],
    thoughts: Thoughts::Field("reasoning"),
    ..row("together", "together-fake", "together-fake", "/v1")
};

pub const FIREWORKS: Dialect =
    Dialect { usage_in: &[UsageIn::Finish], ..row("fireworks", "accounts-fake", "fw-fake", "/inference/v1") };
pub const CEREBRAS: Dialect =
    Dialect { thoughts: Thoughts::Field("reasoning"), ..row("cerebras", "cerebras-fake", "csk-fake", "/v1") };
pub const NVIDIA: Dialect = row("nvidia", "nvidia-fake", "nvapi-fake", "/v1");

/// It has no tools of its clients', and no JSON without a schema.
pub const PERPLEXITY: Dialect = Dialect {
    tool_types: &[],
    response_formats: &["text", "json_schema"],
    most_choices: 1,
    usage_in: &[UsageIn::Finish],
    ..row("perplexity", "sonar-fake", "pplx-fake", "")
};

/// Their models' templates know no developer.
const TEMPLATE_ROLES: &[&str] = &["system", "user", "assistant", "tool"];
pub const VLLM: Dialect = Dialect {
    roles: TEMPLATE_ROLES,
    thoughts: Thoughts::Field("reasoning"),
    ..row("vllm", "vllm-fake", "vllm-fake", "/v1")
};
pub const SGLANG: Dialect = Dialect { roles: TEMPLATE_ROLES, ..row("sglang", "sglang-fake", "sglang-fake", "/v1") };
pub const OLLAMA: Dialect = Dialect {
    most_choices: 1,
    whole_calls: true,
    thoughts: Thoughts::Field("reasoning"),
    ..row("ollama", "ollama-fake", "ollama-fake", "/v1")
};
pub const LLAMACPP: Dialect = Dialect {
    roles: TEMPLATE_ROLES,
    tool_choice_types: &[],
    ..row("llamacpp", "llamacpp-fake", "llamacpp-fake", "/v1")
};
pub const ANY: Dialect = row("openai-compatible", "any-fake", "any-fake", "/v1");
pub const LITELLM: Dialect = row("litellm", "litellm-fake", "litellm-fake", "/v1");
pub const PORTKEY: Dialect = Dialect {
    key_header: KeyHeader::Named("x-portkey-api-key"),
    ..row("portkey", "portkey-fake", "portkey-fake", "/v1")
};
pub const TOKENMIX: Dialect = row("tokenmix", "tokenmix-fake", "tokenmix-fake", "/v1");
pub const XIDAO: Dialect = row("xidao", "xidao-fake", "xidao-fake", "/v1");
