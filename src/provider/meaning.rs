//! What the words of an error mean, whatever its status says: the same status stands for a full context
//! and for a wrong parameter, for a minute's limit and for an empty account.
//!
//! Codes are compared as a whole; words are looked for in messages, and only where a status leaves the
//! question open, because a message may quote the request. What stands between quotation marks is not the
//! provider's, and of a request that names something wrong the rest of the message is about that.

use super::failure::Said;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The request is longer than the model's window.
    ContextLength,
    ContentFilter,
    /// Waiting does not help: no credit, no subscription, a budget that is spent.
    Quota,
    RateLimit,
    Overloaded,
    UnknownModel,
    /// What the request refers to is not there: a file, a cached prompt.
    UnknownReference,
    /// Our credential is wrong.
    Credential,
}

/// What an error means, if its words say so. `status`: below 400 for an error within an answer.
pub fn of(status: u16, said: &Said) -> Option<Meaning> {
    let named = [&said.code, &said.kind].into_iter().flatten().find_map(|name| named(name));
    match (status, named) {
        // Whatever it says of our credential; and what is too large will not fit later either (Groq).
        (401, _) => None,
        (413, _) => in_words(status, said),
        // A limit may be one that waiting does not lift.
        (_, Some(Meaning::RateLimit) | None) => in_words(status, said).or(named),
        (_, Some(_)) => named,
    }
}

fn named(name: &str) -> Option<Meaning> {
    let name = name.to_ascii_lowercase();
    // AWS: `com.amazon.coral.service#ThrottlingException`.
    let name = name.rsplit('#').next()?;
    CODES.iter().find(|(code, _)| *code == name).map(|(_, meaning)| *meaning)
}

fn in_words(status: u16, said: &Said) -> Option<Meaning> {
    let message = without_quotations(&said.message.as_deref()?.to_ascii_lowercase());
    let says = |words: &[&str]| words.iter().all(|words| message.contains(words));
    // Pydantic's, behind the name of what is not permitted.
    if says(&["extra inputs are not permitted"]) {
        return None;
    }
    WORDS.iter().find(|(meaning, words)| is_open(status, *meaning) && says(words)).map(|(meaning, _)| *meaning)
}

/// A message without what is quoted in it, behind a space, so that its first word is found as any other. An apostrophe
/// within a word is no quotation mark, and the value of a field is what another provider has said: gateways wrap it.
fn without_quotations(message: &str) -> String {
    let is_letter = |char: char| char.is_ascii_alphanumeric() || !char.is_ascii();
    let mut out = String::from(" ");
    let mut rest = message;
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, (mark, inside)) = (rest.split_at(at).0, rest.split_at(at).1.split_at(1));
        out.push_str(before);
        let behind = |(end, _): (usize, &str)| inside.get(end + 1..);
        let mut ends = inside.match_indices(mark).filter_map(behind);
        let closed = ends.find(|behind| !behind.starts_with(is_letter));
        let is_value = || out.trim_end().strip_suffix(':').is_some_and(|field| field.ends_with(['\'', '"']));
        rest = closed.filter(|_| !before.ends_with(is_letter) && !is_value()).unwrap_or(inside);
        out.push_str(mark);
    }
    out.push_str(rest);
    out
}

/// Whether an answer of this status may mean this, so that its words decide.
fn is_open(status: u16, meaning: Meaning) -> bool {
    match status {
        0..400 => true,
        400 | 422 => !matches!(meaning, Meaning::RateLimit | Meaning::UnknownReference),
        403 => matches!(
            meaning,
            Meaning::Quota | Meaning::ContentFilter | Meaning::UnknownModel | Meaning::UnknownReference
        ),
        404 => matches!(meaning, Meaning::UnknownModel | Meaning::UnknownReference),
        412 => matches!(meaning, Meaning::Quota),
        413 => matches!(meaning, Meaning::ContextLength),
        429 => matches!(meaning, Meaning::Quota | Meaning::Overloaded),
        500 => matches!(meaning, Meaning::ContextLength | Meaning::Overloaded),
        _ => false,
    }
}

/// Codes and types, in lower case.
const CODES: &[(&str, Meaning)] = &[
    ("context_length_exceeded", Meaning::ContextLength),
    ("exceed_context_size_error", Meaning::ContextLength),
    ("1261", Meaning::ContextLength),
    ("content_filter", Meaning::ContentFilter),
    ("content_policy_violation", Meaning::ContentFilter),
    ("responsibleaipolicyviolation", Meaning::ContentFilter),
    ("data_inspection_failed", Meaning::ContentFilter),
    ("datainspectionfailed", Meaning::ContentFilter),
    ("faqruleblocked", Meaning::ContentFilter),
    ("customroleblocked", Meaning::ContentFilter),
    ("ipinfringementsuspect", Meaning::ContentFilter),
    ("1301", Meaning::ContentFilter),
    ("insufficient_quota", Meaning::Quota),
    ("billing_hard_limit_reached", Meaning::Quota),
    ("billing_not_active", Meaning::Quota),
    ("exceeded_current_quota_error", Meaning::Quota),
    ("payment_required", Meaning::Quota),
    ("arrearage", Meaning::Quota),
    ("allocationquota.freetieronly", Meaning::Quota),
    ("commoditynotpurchased", Meaning::Quota),
    ("prepaidbilloverdue", Meaning::Quota),
    ("postpaidbilloverdue", Meaning::Quota),
    ("1113", Meaning::Quota),
    ("1304", Meaning::Quota),
    ("1308", Meaning::Quota),
    ("1309", Meaning::Quota),
    ("token_quota_reached", Meaning::Quota),
    ("slow_down", Meaning::Overloaded),
    ("overloaded", Meaning::Overloaded),
    ("overloaded_error", Meaning::Overloaded),
    ("engine_overloaded_error", Meaning::Overloaded),
    ("provider_overloaded", Meaning::Overloaded),
    ("unavailable", Meaning::Overloaded),
    ("modelservingerror", Meaning::Overloaded),
    ("modelunavailable", Meaning::Overloaded),
    ("3505", Meaning::Overloaded),
    ("rate_limit_exceeded", Meaning::RateLimit),
    ("rate_limit_error", Meaning::RateLimit),
    ("rate_limit_reached_error", Meaning::RateLimit),
    ("resource_exhausted", Meaning::RateLimit),
    ("throttlingexception", Meaning::RateLimit),
    ("throttling", Meaning::RateLimit),
    ("throttling.ratequota", Meaning::RateLimit),
    ("throttling.burstrate", Meaning::RateLimit),
    ("throttling.allocationquota", Meaning::RateLimit),
    ("1302", Meaning::RateLimit),
    ("1303", Meaning::RateLimit),
    ("1305", Meaning::Overloaded),
    ("model_not_found", Meaning::UnknownModel),
    ("modelnotfound", Meaning::UnknownModel),
    ("deploymentnotfound", Meaning::UnknownModel),
    ("invalid_model", Meaning::UnknownModel),
    ("1211", Meaning::UnknownModel),
    ("invalid_api_key", Meaning::Credential),
    ("api_key_invalid", Meaning::Credential),
    ("invalidapikey", Meaning::Credential),
    ("account_deactivated", Meaning::Credential),
    ("unauthenticated", Meaning::Credential),
];

/// Words that have to be in a message together, in lower case. The first row that fits holds.
const WORDS: &[(Meaning, &[&str])] = &[
    (Meaning::Quota, &["credit balance"]),
    (Meaning::Quota, &["insufficient balance"]),
    (Meaning::Quota, &["insufficient credit"]),
    (Meaning::Quota, &["credits or reached"]),
    (Meaning::Quota, &["requires more credits"]),
    (Meaning::Quota, &["exceeded your current quota"]),
    (Meaning::Quota, &["check your plan and billing"]),
    (Meaning::Quota, &["usage limit"]),
    (Meaning::Quota, &["spend limit"]),
    (Meaning::Quota, &["spending limit"]),
    (Meaning::Quota, &["account", "good standing"]),
    (Meaning::Quota, &["overdue account"]),
    (Meaning::Quota, &["account", "is suspended"]),
    (Meaning::Quota, &["arrears"]),
    (Meaning::Quota, &["too many tokens per day"]),
    (Meaning::Quota, &["trial key", "/ month"]),
    (Meaning::Quota, &["free allocated quota exceeded"]),
    (Meaning::ContextLength, &["maximum context length"]),
    (Meaning::ContextLength, &["maximum model length"]),
    (Meaning::ContextLength, &["maximum prompt length"]),
    (Meaning::ContextLength, &["model's context length"]),
    (Meaning::ContextLength, &["exceeds the context window"]),
    (Meaning::ContextLength, &["exceeds the available context size"]),
    (Meaning::ContextLength, &["exceeds the context length"]),
    (Meaning::ContextLength, &["exceed context limit"]),
    (Meaning::ContextLength, &["exceeds model context window"]),
    (Meaning::ContextLength, &["exceeds the maximum number of tokens"]),
    (Meaning::ContextLength, &["exceeded model token limit"]),
    (Meaning::ContextLength, &["prompt is too long"]),
    (Meaning::ContextLength, &["input is too long"]),
    (Meaning::ContextLength, &["too large for model"]),
    (Meaning::ContextLength, &["too many input tokens"]),
    (Meaning::ContextLength, &["reduce the length of"]),
    (Meaning::ContextLength, &["`inputs` tokens + `max_new_tokens` must be"]),
    (Meaning::ContextLength, &["range of input length should be"]),
    (Meaning::ContextLength, &["cannot exceed the total tokens limit"]),
    (Meaning::ContextLength, &["input token count is", "supports up to"]),
    // Not the one about `max tokens`, which begins alike.
    (Meaning::ContextLength, &["too many tokens", "prompt"]),
    (Meaning::ContextLength, &["too many tokens", "size limit exceeded"]),
    (Meaning::ContentFilter, &["content filtering policy"]),
    (Meaning::ContentFilter, &["content management policy"]),
    (Meaning::ContentFilter, &["inappropriate content"]),
    (Meaning::ContentFilter, &["violation of our usage guidelines"]),
    (Meaning::ContentFilter, &["content exists risk"]),
    (Meaning::ContentFilter, &["requires moderation"]),
    (Meaning::ContentFilter, &["responsible ai practices"]),
    (Meaning::UnknownModel, &["model not exist"]),
    (Meaning::UnknownModel, &["the model", "does not exist"]),
    (Meaning::UnknownModel, &["model", "not found, try pulling it"]),
    (Meaning::UnknownModel, &["not a valid model"]),
    (Meaning::UnknownModel, &["invalid model"]),
    (Meaning::UnknownModel, &["unknown model"]),
    (Meaning::UnknownModel, &["model identifier is invalid"]),
    (Meaning::UnknownModel, &["on-demand throughput isn"]),
    (Meaning::UnknownModel, &["access to the model with the specified model id"]),
    // DashScope: the model lives behind the other of its two addresses.
    (Meaning::UnknownModel, &["url error, please check url"]),
    (Meaning::UnknownModel, &["url error, check url"]),
    (Meaning::UnknownModel, &["make sure the correct model id was used"]),
    (Meaning::UnknownReference, &["no such file"]),
    // Not so a profile, which is a model.
    (Meaning::UnknownReference, &[" file not found"]),
    (Meaning::UnknownReference, &[" file ", "not exist"]),
    (Meaning::UnknownReference, &["access the file"]),
    (Meaning::UnknownReference, &["cachedcontent"]),
    (Meaning::UnknownReference, &["cached content"]),
    (Meaning::Credential, &["api key not valid"]),
    (Meaning::Credential, &["api key expired"]),
    (Meaning::Credential, &["incorrect api key"]),
    (Meaning::Credential, &["invalid api key"]),
    (Meaning::Overloaded, &["overloaded"]),
    (Meaning::Overloaded, &["capacity exceeded"]),
    (Meaning::Overloaded, &["at capacity"]),
    (Meaning::RateLimit, &["rate limit"]),
    (Meaning::RateLimit, &["per minute request limit"]),
    (Meaning::RateLimit, &["api calls / minute"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use crate::headers::Headers;
    use crate::provider::openai;

    const CONTEXT: (Class, u16, Option<&str>) = (Class::TooLarge, 400, Some("context_length_exceeded"));
    const FILTER: (Class, u16, Option<&str>) = (Class::Rejected, 400, Some("content_filter"));
    const QUOTA: (Class, u16, Option<&str>) = (Class::Quota, 429, Some("insufficient_quota"));
    const OVERLOADED: (Class, u16, Option<&str>) = (Class::Unreachable, 503, Some("overloaded"));
    const MODEL: (Class, u16, Option<&str>) = (Class::Misconfigured, 404, Some("model_not_found"));
    const CREDENTIAL: (Class, u16, Option<&str>) = (Class::Misconfigured, 502, Some("upstream_auth_error"));

    const REFERENCE: (Class, u16, Option<&str>) = (Class::Rejected, 404, Some("not_found"));
    const FAULT: (Class, u16, Option<&str>) = (Class::Rejected, 400, Some("unknown_parameter"));

    type Row = (&'static str, u16, &'static str, (Class, u16, Option<&'static str>));

    /// Who says it, the status and the body, and what it means: class, the client's status and code.
    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        ("OpenAI", 400, r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#, CONTEXT),
        ("OpenAI, Responses", 400, r#"{"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error","code":null}}"#, CONTEXT),
        ("Azure OpenAI", 400, r#"{"error":{"message":"This model's maximum context length is 4096 tokens.","code":"context_length_exceeded"}}"#, CONTEXT),
        ("vLLM", 400, r#"{"object":"error","message":"This model's maximum context length is 2048 tokens. However, you requested 6751 tokens (6719 in the messages, 32 in the completion).","type":"BadRequestError","param":null,"code":400}"#, CONTEXT),
        ("vLLM", 400, r#"{"object":"error","message":"The decoder prompt (length 10127) is longer than the maximum model length of 8192.","type":"BadRequestError","code":400}"#, CONTEXT),
        ("SGLang", 400, r#"{"object":"error","message":"The input (61709 tokens) is longer than the model's context length (40960 tokens).","type":"BadRequestError","code":400}"#, CONTEXT),
        ("llama.cpp", 400, r#"{"error":{"code":400,"message":"request (8708 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error"}}"#, CONTEXT),
        ("llama.cpp, older", 500, r#"{"error":{"code":500,"message":"the request exceeds the available context size. try increasing the context size","type":"server_error"}}"#, CONTEXT),
        ("Ollama", 400, r#"{"error":"the input length exceeds the context length"}"#, CONTEXT),
        ("Together, TGI", 422, r#"{"error":{"message":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 65537. Given: 79993 `inputs` tokens","type":"invalid_request_error"}}"#, CONTEXT),
        ("Groq", 400, r#"{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","code":"context_length_exceeded"}}"#, CONTEXT),
        ("Groq", 413, r#"{"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 10000, Requested 21247, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#, (Class::TooLarge, 413, Some("request_too_large"))),
        ("Mistral", 400, r#"{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","code":"3051"}"#, CONTEXT),
        ("DeepSeek", 400, r#"{"error":{"message":"This model's maximum context length is 131072 tokens. However, you requested 351430 tokens.","type":"invalid_request_error","code":"invalid_request_error"}}"#, CONTEXT),
        ("Gemini, compatible", 400, r#"[{"error":{"code":400,"message":"The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#, CONTEXT),
        ("Vertex AI", 400, r#"{"error":{"code":400,"message":"Unable to submit request because the input token count is 1251952 but model only supports up to 1048576. Reduce the input token count and try again.","status":"INVALID_ARGUMENT"}}"#, CONTEXT),
        ("Bedrock", 400, r#"{"message":"Input is too long for requested model."}"#, CONTEXT),
        ("Fireworks", 400, r#"{"error":{"message":"The prompt is too long: 9000, model maximum context length: 8192","type":"invalid_request_error"}}"#, CONTEXT),
        ("xAI", 400, r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 136973 tokens."}"#, CONTEXT),
        ("Moonshot", 400, r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 8192","type":"invalid_request_error"}}"#, CONTEXT),
        ("Qwen", 400, r#"{"error":{"code":"invalid_parameter_error","message":"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]","type":"invalid_request_error"}}"#, CONTEXT),
        ("DashScope", 400, r#"{"code":"InvalidParameter","message":"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]","request_id":"x"}"#, CONTEXT),
        ("Z.ai", 400, r#"{"error":{"code":"1261","message":"Prompt exceeds max length"}}"#, CONTEXT),
        ("watsonx", 400, r#"{"errors":[{"code":"invalid_input_argument","message":"the number of input tokens 9 cannot exceed the total tokens limit 8 for this model"}]}"#, CONTEXT),
        ("watsonx", 403, r#"{"errors":[{"code":"token_quota_reached","message":"x"}]}"#, QUOTA),
        ("Z.ai", 429, r#"{"error":{"code":"1305","message":"x"}}"#, OVERLOADED),
        ("Z.ai", 429, r#"{"error":{"code":"1308","message":"x"}}"#, QUOTA),
        ("Cohere", 400, r#"{"id":"x","message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."}"#, CONTEXT),
        ("Cohere", 400, r#"{"message":"too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs."}"#, CONTEXT),
        ("Cohere", 400, r#"{"message":"blocked input: please adjust your prompt and try again, as it may be a potential violation of our Usage Guidelines (https://docs.cohere.ai/usage-guidelines/)."}"#, FILTER),
        ("Cohere: too much asked for is no full context", 400, r#"{"message":"too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192."}"#, (Class::Rejected, 400, None)),
        ("OpenAI: too much asked for is no full context", 400, r#"{"error":{"message":"max_tokens is too large: 5000. This model supports at most 4096 completion tokens.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#, (Class::Rejected, 400, Some("invalid_value"))),
        ("OpenAI", 400, r#"{"error":{"message":"Your request was rejected as a result of our safety system.","type":"invalid_request_error","code":"content_policy_violation"}}"#, (Class::Rejected, 400, Some("content_policy_violation"))),
        ("Azure OpenAI", 400, r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400}}"#, FILTER),
        ("Qwen", 400, r#"{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content.","type":"data_inspection_failed"}}"#, FILTER),
        ("DashScope", 400, r#"{"code":"DataInspectionFailed","message":"Output data may contain inappropriate content.","request_id":"x"}"#, FILTER),
        ("DashScope", 400, r#"{"code":"IPInfringementSuspect","message":"Input data is suspected of being involved in IP infringement."}"#, FILTER),
        ("DeepSeek", 400, r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}"#, FILTER),
        ("OpenRouter", 403, r#"{"error":{"message":"anthropic/claude requires moderation. Your input was flagged","code":403}}"#, FILTER),
        ("Z.ai, in a stream", 200, r#"{"error":{"code":"1301","message":"x"}}"#, FILTER),
        ("OpenAI", 429, r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#, QUOTA),
        ("OpenAI", 400, r#"{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","code":"billing_hard_limit_reached"}}"#, QUOTA),
        ("Gemini, compatible", 429, r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED"}}]"#, QUOTA),
        ("DeepSeek", 402, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#, QUOTA),
        ("Moonshot", 429, r#"{"error":{"type":"exceeded_current_quota_error","message":"Your account is not active"}}"#, QUOTA),
        ("Qwen", 400, r#"{"error":{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing.","type":"Arrearage"}}"#, QUOTA),
        ("Qwen", 403, r#"{"error":{"message":"Access denied due to overdue account","code":"x"}}"#, QUOTA),
        ("DashScope", 400, r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing.","request_id":"x"}"#, QUOTA),
        ("DashScope", 403, r#"{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted."}"#, QUOTA),
        ("DashScope", 429, r#"{"code":"PostpaidBillOverdue","message":"The postpaid bill is overdue."}"#, QUOTA),
        ("DashScope", 429, r#"{"code":"Throttling.AllocationQuota","message":"Free allocated quota exceeded."}"#, QUOTA),
        ("Z.ai", 429, r#"{"error":{"code":"1113","message":"x"}}"#, QUOTA),
        ("Cohere", 429, r#"{"message":"You are using a Trial key, which is limited to 1000 API calls / month."}"#, QUOTA),
        ("xAI", 403, r#"{"code":"x","error":"Your team has either used all available credits or reached its monthly spending limit."}"#, QUOTA),
        ("Fireworks", 412, r#"{"error":{"message":"Account x is suspended, possibly due to reaching the monthly spending limit"}}"#, QUOTA),
        ("OpenAI", 429, r#"{"error":{"message":"Rate limit reached for gpt-6 on tokens per min (TPM).","type":"tokens","code":"rate_limit_exceeded"}}"#, (Class::RateLimited, 429, Some("rate_limit_exceeded"))),
        ("Azure OpenAI: a wish for more quota is none", 429, r#"{"error":{"code":"429","message":"Requests have exceeded token rate limit of your current OpenAI S0 pricing tier. Please go here: https://aka.ms/oai/quotaincrease"}}"#, (Class::RateLimited, 429, Some("429"))),
        ("DashScope", 429, r#"{"code":"Throttling.AllocationQuota","message":"Allocated quota exceeded, please increase your quota limit."}"#, (Class::RateLimited, 429, Some("Throttling.AllocationQuota"))),
        ("DashScope, in a stream", 200, r#"{"code":"Throttling.RateQuota","message":"x"}"#, (Class::RateLimited, 429, Some("Throttling.RateQuota"))),
        ("Mistral", 429, r#"{"message":"Requests rate limit exceeded"}"#, (Class::RateLimited, 429, None)),
        ("Mistral", 429, r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}"#, OVERLOADED),
        ("Moonshot", 429, r#"{"error":{"type":"engine_overloaded_error","message":"The engine is currently overloaded, please try again later"}}"#, OVERLOADED),
        ("DashScope", 500, r#"{"code":"ModelServingError","message":"Too many requests. Your requests are being throttled due to system capacity limits."}"#, OVERLOADED),
        ("OpenAI", 503, r#"{"error":{"message":"Slow down","type":"server_error","code":"slow_down"}}"#, (Class::Unreachable, 503, Some("slow_down"))),
        ("Gemini, in a stream", 200, r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#, OVERLOADED),
        ("OpenAI", 404, r#"{"error":{"message":"The model `gpt-9` does not exist or you do not have access to it.","type":"invalid_request_error","code":"model_not_found"}}"#, MODEL),
        ("DeepSeek", 400, r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","code":"invalid_request_error"}}"#, MODEL),
        ("Mistral", 400, r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","code":"1500"}"#, MODEL),
        ("OpenRouter", 400, r#"{"error":{"message":"x/y is not a valid model ID","code":400}}"#, MODEL),
        ("Ollama", 404, r#"{"error":{"message":"model 'x' not found, try pulling it first","type":"api_error"}}"#, MODEL),
        ("Cohere", 400, r#"{"message":"model 'x' not found, make sure the correct model ID was used and that you have access to the model."}"#, MODEL),
        ("DashScope", 400, r#"{"code":"InvalidParameter","message":"url error, please check url！"}"#, MODEL),
        ("DashScope", 404, r#"{"code":"ModelNotFound","message":"Model can not be found."}"#, MODEL),
        ("Azure OpenAI", 404, r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#, MODEL),
        ("OpenAI", 404, r#"{"error":{"message":"No such File object: file-abc","type":"invalid_request_error","param":"id","code":null}}"#, REFERENCE),
        ("Vertex", 404, r#"{"error":{"message":"Not found: cached content metadata for 12.","status":"NOT_FOUND"}}"#, REFERENCE),
        ("Gemini", 403, r#"{"error":{"message":"CachedContent not found (or permission denied)","status":"PERMISSION_DENIED"}}"#, REFERENCE),
        ("Anthropic", 404, r#"{"type":"error","error":{"type":"not_found_error","message":"File not found: file_011"}}"#, REFERENCE),
        ("Bedrock: a profile is a model", 404, r#"{"message":"The inference profile not found"}"#, MODEL),
        ("OpenAI: what it quotes is the client's", 400, r#"{"error":{"message":"Unknown parameter: 'credit balance'.","type":"invalid_request_error","param":"credit balance","code":"unknown_parameter"}}"#, FAULT),
        ("OpenAI: what it quotes is the client's", 400, r#"{"error":{"message":"Invalid value: 'the server's usage limit'. It isn't one of 'auto' and \"overloaded\".","code":"unknown_parameter"}}"#, FAULT),
        ("Pydantic: so is what it names", 400, r#"{"error":{"message":"messages.0.credit balance: Extra inputs are not permitted","code":"unknown_parameter"}}"#, FAULT),
        ("LiteLLM, which quotes Anthropic", 400, r#"{"error":{"message":"litellm.ContextWindowExceededError: AnthropicError - {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 210543 tokens > 200000 maximum\"}}","code":"400"}}"#, CONTEXT),
        ("LiteLLM, by Python", 400, r#"{"error":{"message":"OpenAIException - {'error': {'message': \"This model's maximum context length is 8192 tokens.\"}}"}}"#, CONTEXT),
        ("Gemini: a cache that is too small is there", 400, r#"{"error":{"message":"Cached content is too small. total_token_count=1024","code":"unknown_parameter"}}"#, FAULT),
        ("Anthropic: an apostrophe is no quotation mark", 400, r#"{"error":{"message":"You've run out: your account's credit balance isn't enough","type":"invalid_request_error"}}"#, QUOTA),
        ("Gemini, compatible", 400, r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#, CREDENTIAL),
        ("xAI", 400, r#"{"code":"x","error":"Incorrect API key provided: xa***ey."}"#, CREDENTIAL),
        ("DashScope", 401, r#"{"code":"InvalidApiKey","message":"Invalid API-key provided."}"#, CREDENTIAL),
        ("Azure OpenAI", 401, r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}"#, CREDENTIAL),
        ("OpenAI", 401, r#"{"error":{"message":"Incorrect API key provided: sk-1","type":"invalid_request_error","code":"invalid_api_key"}}"#, CREDENTIAL),
    ];

    #[test]
    fn words_mean_what_their_authors_mean() {
        for (who, status, body, expected) in ROWS {
            let error = openai::KIND.translator.error(*status, &Headers::default(), body.as_bytes());
            let actual = (error.class, error.reply.status, error.reply.code.as_deref());
            assert_eq!(actual, *expected, "{who}: {status} {body}");
        }
    }

    #[test]
    fn names_are_in_lower_case_and_stand_there_once() {
        for (at, (name, _)) in CODES.iter().enumerate() {
            assert!(!name.contains(|c: char| c.is_ascii_uppercase()), "{name}");
            assert!(CODES.iter().skip(at + 1).all(|(other, _)| other != name), "{name} twice");
        }
        assert!(WORDS.iter().flat_map(|(_, words)| *words).all(|words| *words == words.to_ascii_lowercase()));
    }
}
