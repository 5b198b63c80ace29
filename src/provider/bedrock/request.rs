//! Requests: the top level of what is written, and what is refused or left out.
//!
//! Bedrock refuses fields that it does not know, and so do the models behind it: only what is named here is ever
//! written. What is left out is named in `dropped`, and refused where leaving it out would change what the answer is.

use std::borrow::Cow;

use super::cache::CachePoints;
use super::messages::{self, Conversation};
use super::reasoning::{self, Around, Reasoned};
use super::tools::Tools;
use super::{Maker, Thinks, maker};
use crate::chat::ChatRequest;
use crate::chat::request::ResponseFormat;
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Writer};
use crate::provider::{Body, Sampling, Target, UpstreamRequest, anthropic, parameters, path, schema, turns};

pub fn translate(chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
    refuse(chat)?;
    let maker = maker(&target.id);
    let is_read = |name: &str| READ.contains(&name) || NATIVE.contains(&name) || of_maker(maker).contains(&name);
    let mut dropped = parameters::unread(chat, is_read);
    let list = chat.messages()?;
    if list.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    let tools = Tools::read(chat, list)?;
    let max_tokens = max_tokens(chat, target, &mut dropped)?;
    let mut additional = Additional::default();
    let betas = if maker.thinks == Thinks::Claude { anthropic::betas(chat)? } else { Vec::new() };
    if !betas.is_empty() {
        additional.add("anthropic_beta", &format!(r#"["{}"]"#, betas.join(r#"",""#)));
    }
    for name in of_maker(maker) {
        if let Some(value) = chat.field(name) {
            additional.add(name, value.get());
        }
    }
    let around = Around {
        max_tokens,
        choice: tools.choice.as_ref(),
        unthought_results: messages::ends_with_unthought_results(list, &target.id),
    };
    let reasoned = reasoning::read(chat, target, maker, &around, &mut additional, &mut dropped)?;

    let mut cache = CachePoints::new(maker, list, &tools.tools);
    let mut w = Writer::with_capacity(parameters::room(chat));
    w.begin_object();
    // Tools come first in what is cached, then the system's words, then the conversation.
    tools.write(&mut w, maker, &mut cache, &mut additional, &mut dropped)?;
    let format = chat.response_format()?;
    let (system, conversation) = list.split_at(turns::leading_system(list));
    let thoughts = reasoned.keeps_thoughts;
    let mut out = Conversation::new(&mut w, &mut cache, &tools.names, &target.id, thoughts, maker.mixes);
    out.write_system(system, matches!(format, ResponseFormat::JsonObject))?;
    out.write(conversation)?;
    if cache.dropped {
        dropped.push("prompt_cache_breakpoint".into());
    }
    write_inference(&mut w, chat, target, max_tokens, &reasoned, maker, &mut additional, &mut dropped)?;
    write_output(&mut w, &format, &reasoned)?;
    write_service_tier(&mut w, chat, &mut dropped)?;
    write_metadata(&mut w, chat, &mut dropped)?;
    for name in NATIVE.iter().filter(|name| !WRITTEN_ELSEWHERE.contains(name)) {
        if let Some(value) = chat.field(name) {
            w.key(name).raw(value.get());
        }
    }
    additional.write(&mut w, chat.field("additionalModelRequestFields"))?;
    w.end_object();

    let operation = if chat.stream { "converse-stream" } else { "converse" };
    let path = format!("/model/{}/{operation}", path::segment(&target.id));
    let headers = if chat.stream { vec![("accept", "application/vnd.amazon.eventstream".into())] } else { Vec::new() };
    let renamed = tools.names.renamed();
    Ok(UpstreamRequest { headers, dropped, renamed, ..UpstreamRequest::new(path, Body::Written(w.into_bytes())) })
}

/// Fields that are read somewhere in this folder.
const READ: &[&str] = &[
    "model",
    "messages",
    "stream",
    // Usage always comes.
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "modalities",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
];

/// Bedrock's own fields, which clients may send along.
const NATIVE: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// Of those, the ones that other parameters go into.
const WRITTEN_ELSEWHERE: &[&str] = &["additionalModelRequestFields", "requestMetadata", "serviceTier"];

/// Fields of a maker's own API.
fn of_maker(maker: &Maker) -> &'static [&'static str] {
    match maker.thinks {
        Thinks::Claude => &["thinking", "anthropic_beta"],
        Thinks::Nova => &["reasoningConfig"],
        Thinks::GptOss | Thinks::Gpt | Thinks::Effort => &[],
    }
}

/// Fields that ask for something in the answer that would silently not be there.
const REFUSED: &[&str] = &["audio", "web_search_options", "functions", "function_call", "moderation"];

fn refuse(chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    parameters::none_of(chat, REFUSED)?;
    parameters::one_choice(chat)?;
    parameters::no_logprobs(chat)?;
    parameters::text_only(chat)
}

/// What goes to the model as it is. The client's own `additionalModelRequestFields` win.
#[derive(Default)]
pub struct Additional(Vec<(&'static str, String)>);

impl Additional {
    /// The first of a name holds.
    pub fn add(&mut self, name: &'static str, json: &str) {
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, json.to_owned()));
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, json)| json.as_str())
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| *known != name);
    }

    fn write(&self, w: &mut Writer, own: Option<&RawValue>) -> Result<(), Rejection> {
        let name = "additionalModelRequestFields";
        let own = match own {
            Some(own) => Object::of(own)
                .ok_or_else(|| Rejection::invalid(name, format!("Invalid '{name}': it is not an object.")))?,
            None => Object::default(),
        };
        if self.0.is_empty() && own.is_empty() {
            return Ok(());
        }
        w.key(name).begin_object();
        for (key, json) in self.0.iter().filter(|(key, _)| own.get(key).is_none()) {
            w.key(key).raw(json);
        }
        for (key, value) in own.iter() {
            w.any_key(key).raw(value.get());
        }
        w.end_object();
        Ok(())
    }
}

/// Without a limit the model's own holds. OpenAI's newer name wins, as it does there.
fn max_tokens(
    chat: &ChatRequest<'_>,
    target: &Target,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<Option<u64>, Rejection> {
    let older = chat.count("max_tokens")?;
    let newer = chat.count("max_completion_tokens")?;
    let name = if newer.is_some() { "max_completion_tokens" } else { "max_tokens" };
    match (newer.or(older), target.max_output) {
        (Some(0), _) => Err(Rejection::invalid(name, format!("'{name}' must be at least 1."))),
        (Some(asked), Some(most)) if asked > most => {
            dropped.push(name.into());
            Ok(Some(most))
        }
        (asked, most) => Ok(asked.or(most)),
    }
}

#[expect(clippy::too_many_arguments, reason = "what is asked for, of which model, and where it goes")]
fn write_inference(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    max_tokens: Option<u64>,
    reasoned: &Reasoned,
    maker: &Maker,
    additional: &mut Additional,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    let mut inference = Writer::default();
    inference.begin_object();
    match max_tokens {
        Some(_) if reasoned.nova_thinks_hard => {
            let asked = ["max_completion_tokens", "max_tokens"].into_iter().find(|name| chat.field(name).is_some());
            dropped.extend(asked.map(Cow::Borrowed));
        }
        Some(most) => {
            inference.key("maxTokens").number(most);
        }
        None => {}
    }
    // Claude samples as it likes while it thinks, but for a `top_p` that cuts off next to nothing.
    let takes =
        |parameter: Sampling, value: f64| !reasoned.claude_thinks || (parameter == Sampling::TopP && value >= 0.95);
    let left_out = if maker.is_claude { parameters::one_of_two(chat, target, takes)? } else { None };
    for (parameter, most) in
        [(Sampling::Temperature, 2.0), (Sampling::TopP, 1.0), (Sampling::TopK, f64::from(u32::MAX))]
    {
        let name = parameter.name();
        if let Some(left_out) = left_out.as_ref().filter(|left_out| left_out.parameter == parameter) {
            dropped.extend(left_out.is_named.then_some(name.into()));
            continue;
        }
        let Some(number) = chat.number(name, 0.0, most)? else { continue };
        let value = json::float(number).unwrap_or(1.0);
        if !target.sampling.contains(&parameter) || !takes(parameter, value) || reasoned.nova_thinks_hard {
            dropped.push(name.into());
            continue;
        }
        match (parameter, maker.top_k) {
            // Cut off and not scaled: up to 1 the two scales mean the same.
            (Sampling::Temperature, _) if value > 1.0 => {
                dropped.push(name.into());
                inference.key("temperature").number(1);
            }
            (Sampling::Temperature, _) => {
                inference.key("temperature").raw(number);
            }
            (Sampling::TopP, _) => {
                inference.key("topP").raw(number);
            }
            (Sampling::TopK, [key]) => additional.add(key, number),
            (Sampling::TopK, [outer, inner]) => additional.add(outer, &format!(r#"{{"{inner}":{number}}}"#)),
            (Sampling::TopK, _) => dropped.push(name.into()),
        }
    }
    let stop = chat.stop()?;
    if stop.iter().any(|text| text.is_empty() || (maker.is_claude && turns::is_blank(*text))) {
        return Err(Rejection::invalid("stop", "With this model a stop sequence must be more than white space."));
    }
    if !stop.is_empty() {
        inference.key("stopSequences").begin_array();
        for text in stop {
            inference.str(text);
        }
        inference.end_array();
    }
    inference.end_object();
    let inference = inference.into_bytes();
    if inference.len() > 2
        && let Ok(inference) = std::str::from_utf8(&inference)
    {
        w.key("inferenceConfig").raw(inference);
    }
    Ok(())
}

/// `outputConfig`: a schema as the text of its JSON, and how much effort to make.
fn write_output(w: &mut Writer, format: &ResponseFormat<'_>, reasoned: &Reasoned) -> Result<(), Rejection> {
    let is_schema = matches!(format, ResponseFormat::JsonSchema { .. });
    if !is_schema && reasoned.effort.is_none() {
        return Ok(());
    }
    w.key("outputConfig").begin_object();
    if let Some(effort) = reasoned.effort {
        w.key("effort").string(effort);
    }
    if let ResponseFormat::JsonSchema { schema, name, description, .. } = format {
        let at = "response_format.json_schema.schema";
        let schema = schema.ok_or_else(|| Rejection::missing(at))?;
        w.key("textFormat").begin_object().key("type").string("json_schema");
        w.key("structure").begin_object().key("jsonSchema").begin_object();
        for (key, text) in [("name", name), ("description", description)] {
            if let Some(text) = text {
                w.key(key).str(*text);
            }
        }
        w.key("schema").string(&schema::reduce(schema, &schema::CLOSED, at)?);
        w.end_object().end_object().end_object();
    }
    w.end_object();
    Ok(())
}

fn write_service_tier(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    if let Some(own) = chat.field("serviceTier") {
        w.key("serviceTier").raw(own.get());
        return Ok(());
    }
    let Some(tier) = chat.string("service_tier")? else { return Ok(()) };
    let tier = tier.decode();
    match tier.as_ref() {
        // What holds without it.
        "auto" => {}
        "default" | "flex" | "priority" | "reserved" => {
            w.key("serviceTier").begin_object().key("type").string(&tier).end_object();
        }
        _ => dropped.push("service_tier".into()),
    }
    Ok(())
}

/// `requestMetadata` is what invocation logs are searched by: the client's own, or OpenAI's `metadata` and names
/// of users, as far as they fit.
fn write_metadata(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    const MOST: usize = 16;
    if let Some(own) = chat.field("requestMetadata") {
        w.key("requestMetadata").raw(own.get());
        let others = ["user", "safety_identifier", "metadata"].into_iter();
        dropped.extend(others.filter(|name| chat.field(name).is_some()).map(Cow::Borrowed));
        return Ok(());
    }
    let mut pairs: Vec<(&str, Str<'_>)> = Vec::new();
    for name in ["user", "safety_identifier"] {
        match chat.string(name)? {
            Some(id) if fits(&id.decode()) => pairs.push((name, id)),
            Some(_) => dropped.push(name.into()),
            None => {}
        }
    }
    let metadata = chat.field("metadata").and_then(Object::of).unwrap_or_default();
    let mut is_whole = true;
    for (key, value) in metadata.iter() {
        let is_new = !pairs.iter().any(|(known, _)| *known == key);
        match Str::new(value).filter(|value| is_new && !key.is_empty() && fits(key) && fits(&value.decode())) {
            Some(value) if pairs.len() < MOST => pairs.push((key, value)),
            _ => is_whole = false,
        }
    }
    if !is_whole {
        dropped.push("metadata".into());
    }
    if !pairs.is_empty() {
        w.key("requestMetadata").begin_object();
        for (key, value) in pairs {
            w.any_key(key).str(value);
        }
        w.end_object();
    }
    Ok(())
}

/// `RequestMetadataKeyString` and `RequestMetadataValueString`
fn fits(text: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || char.is_whitespace() || ":_@$#=/+,-.".contains(char);
    text.len() <= 256 && text.chars().all(fits)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::json;
    use crate::provider::Reasoning;

    pub const CLAUDE: &str = "us.anthropic.claude-x-v1:0";
    pub const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
    const LLAMA: &str = "meta.llama-x-v1:0";

    pub fn target(id: &str) -> Target {
        Target {
            id: id.into(),
            sampling: Sampling::ALL.to_vec(),
            reasoning: Some(Reasoning::Adaptive),
            ..Target::default()
        }
    }

    pub fn written(body: &str, target: &Target) -> Result<(String, UpstreamRequest), Rejection> {
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let mut request = translate(&chat, target)?;
        let body = std::mem::replace(&mut request.body, Body::Written(Vec::new()));
        let Body::Written(body) = body else { panic!("not written") };
        let body = String::from_utf8(body).unwrap();
        assert!(json::is_valid(body.as_bytes()), "{body}");
        Ok((body, request))
    }

    /// A field of what is written for a client's messages and further fields.
    pub fn field(id: &str, name: &str, messages: &str, rest: &str) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        let (body, _) = written(&body, &target(id))?;
        let fields = Object::parse(body.as_bytes()).unwrap();
        Ok(fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default())
    }

    pub const HI: &str = r#"[{"role":"user","content":"hi"}]"#;

    /// A field of what is written for further fields of the client, next to a user's "hi".
    pub fn with(id: &str, rest: &str, name: &str) -> String {
        field(id, name, HI, &format!(",{rest}")).unwrap()
    }

    pub fn refused(result: Result<String, Rejection>) -> String {
        let rejection = result.unwrap_err();
        assert_eq!(rejection.status, 400);
        rejection.param.unwrap()
    }

    fn dropped(target: &Target, rest: &str) -> Vec<Cow<'static, str>> {
        written(&format!(r#"{{"model":"m","messages":{HI},{rest}}}"#), target).unwrap().1.dropped
    }

    #[test]
    fn the_least_request_says_next_to_nothing() {
        let hi = format!(r#"{{"model":"m","messages":{HI}}}"#);
        let (body, request) = written(&hi, &target(CLAUDE)).unwrap();
        assert_eq!(body, r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#);
        assert_eq!(request.path, "/model/us.anthropic.claude-x-v1%3A0/converse");
        assert!(request.headers.is_empty() && request.dropped.is_empty() && request.renamed.is_empty());
        let (_, request) = written(&hi.replace("]}", r#"],"stream":true}"#), &target("arn:a/b")).unwrap();
        assert_eq!(request.path, "/model/arn%3Aa%2Fb/converse-stream");
        assert_eq!(request.headers, [("accept", "application/vnd.amazon.eventstream".into())]);
    }

    #[test]
    fn the_limit_is_the_clients_up_to_the_models_and_its_own_without_either() {
        let limited = Target { max_output: Some(1000), ..target(CLAUDE) };
        let limit = |rest: &str| {
            let (body, request) = written(&format!(r#"{{"model":"m","messages":{HI}{rest}}}"#), &limited).unwrap();
            (body.split_once("maxTokens\":").unwrap().1.trim_end_matches('}').to_owned(), request.dropped)
        };
        assert_eq!(limit(""), ("1000".into(), vec![]));
        assert_eq!(limit(r#","max_tokens":7,"max_completion_tokens":8"#), ("8".into(), vec![]));
        assert_eq!(limit(r#","max_tokens":1001"#), ("1000".into(), vec!["max_tokens".into()]));
        assert_eq!(with(CLAUDE, r#""max_tokens":5"#, "inferenceConfig"), r#"{"maxTokens":5}"#);
        assert_eq!(refused(field(CLAUDE, "", HI, r#","max_completion_tokens":0"#)), "max_completion_tokens");
    }

    #[test]
    fn sampling_is_cut_off_at_one_and_top_k_has_each_makers_name() {
        let all = r#""temperature":1.50,"top_p":0.90,"top_k":40"#;
        assert_eq!(with(CLAUDE, all, "inferenceConfig"), r#"{"temperature":1}"#);
        assert_eq!(dropped(&target(CLAUDE), all), ["temperature", "top_p"]);
        for (id, expected) in [
            (CLAUDE, r#"{"top_k":40}"#),
            (NOVA, r#"{"inferenceConfig":{"topK":40}}"#),
            ("mistral.x", r#"{"top_k":40}"#),
            ("cohere.command-r-v1:0", r#"{"k":40}"#),
            (LLAMA, ""),
        ] {
            assert_eq!(with(id, all, "additionalModelRequestFields"), expected, "{id}");
        }
        assert_eq!(dropped(&target(LLAMA), all), ["temperature", "top_k"]);
        let none = Target { sampling: Vec::new(), ..target(CLAUDE) };
        assert_eq!(dropped(&none, all), ["temperature", "top_p", "top_k"]);
        assert_eq!(refused(field(CLAUDE, "", HI, r#","top_p":1.1"#)), "top_p");
    }

    #[test]
    fn stop_sequences_are_not_empty_and_claudes_not_blank() {
        let stop = |id, stop: &str| field(id, "inferenceConfig", HI, &format!(r#","stop":{stop}"#));
        assert_eq!(stop(CLAUDE, r#""a\n""#).unwrap(), r#"{"stopSequences":["a\n"]}"#);
        assert_eq!(stop(LLAMA, r#"["a","\n"]"#).unwrap(), r#"{"stopSequences":["a","\n"]}"#);
        assert_eq!(stop(CLAUDE, "[]").unwrap(), "");
        assert_eq!(refused(stop(CLAUDE, r#"["a","\n"]"#)), "stop");
        assert_eq!(refused(stop(LLAMA, r#""""#)), "stop");
    }

    #[test]
    fn a_schema_is_the_text_of_its_json() {
        let format = |rest: &str| {
            let format = format!(r#""response_format":{{"type":"json_schema","json_schema":{{{rest}}}}}"#);
            field(CLAUDE, "outputConfig", HI, &format!(",{format}"))
        };
        assert_eq!(
            format(r#""name":"n","description":"d\"","schema":{"type":"object","properties":{"a":{"minimum":1}}}"#)
                .unwrap(),
            concat!(
                r#"{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"name":"n","description":"d\"","#,
                r#""schema":"{\"type\":\"object\",\"properties\":{\"a\":{\"description\":\"{minimum: 1}\"}},"#,
                r#"\"additionalProperties\":false}"}}}}"#
            )
        );
        assert_eq!(refused(format(r#""name":"n""#)), "response_format.json_schema.schema");
        assert!(with(CLAUDE, r#""response_format":{"type":"json_object"}"#, "system").contains("JSON object"));
    }

    #[test]
    fn effort_is_said_in_every_makers_way() {
        let said = |id: &str, mode, effort: &str| {
            let target = Target { reasoning: mode, ..target(id) };
            let body = format!(r#"{{"model":"m","max_tokens":9000,"messages":{HI},"reasoning_effort":"{effort}"}}"#);
            let (body, request) = written(&body, &target).unwrap();
            let rest = body.split_once("],").map_or("", |(_, rest)| &rest[..rest.len() - 1]);
            (rest.replace(r#""inferenceConfig":{"maxTokens":9000}"#, "").trim_matches(',').to_owned(), request.dropped)
        };
        let is = |expected: &str| (expected.to_owned(), Vec::new());
        let not = |expected: &str| (expected.to_owned(), vec![Cow::from("reasoning_effort")]);
        let adaptive = r#""thinking":{"type":"adaptive","display":"summarized"}"#;
        use Reasoning::{Adaptive, Budget, Effort};
        for (id, mode, effort, expected) in [
            (
                CLAUDE,
                Some(Adaptive),
                "minimal",
                is(&format!(r#""outputConfig":{{"effort":"low"}},"additionalModelRequestFields":{{{adaptive}}}"#)),
            ),
            (
                CLAUDE,
                Some(Adaptive),
                "xhigh",
                is(&format!(r#""outputConfig":{{"effort":"xhigh"}},"additionalModelRequestFields":{{{adaptive}}}"#)),
            ),
            (CLAUDE, Some(Adaptive), "none", is(r#""additionalModelRequestFields":{"thinking":{"type":"disabled"}}"#)),
            (CLAUDE, Some(Effort), "none", is("")),
            (LLAMA, Some(Effort), "none", not("")),
            (
                CLAUDE,
                Some(Budget),
                "low",
                is(r#""additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":2048}}"#),
            ),
            (
                CLAUDE,
                Some(Budget),
                "max",
                is(r#""additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":8999}}"#),
            ),
            (CLAUDE, Some(Budget), "none", is("")),
            (CLAUDE, Some(Effort), "medium", is(r#""outputConfig":{"effort":"medium"}"#)),
            (CLAUDE, None, "high", not("")),
            (LLAMA, Some(Effort), "high", is(r#""outputConfig":{"effort":"high"}"#)),
            (
                NOVA,
                Some(Adaptive),
                "low",
                is(concat!(
                    r#""additionalModelRequestFields":{"reasoningConfig":"#,
                    r#"{"type":"enabled","maxReasoningEffort":"low"}}"#
                )),
            ),
            (
                NOVA,
                Some(Effort),
                "none",
                is(r#""additionalModelRequestFields":{"reasoningConfig":{"type":"disabled"}}"#),
            ),
            (
                "openai.gpt-oss-20b-1:0",
                Some(Effort),
                "max",
                is(r#""additionalModelRequestFields":{"reasoning_effort":"high"}"#),
            ),
            (
                "us.openai.gpt-5.2",
                Some(Effort),
                "none",
                is(r#""additionalModelRequestFields":{"reasoning":{"effort":"none"}}"#),
            ),
        ] {
            assert_eq!(said(id, mode, effort), expected, "{id} {mode:?} {effort}");
        }
        assert_eq!(refused(field(CLAUDE, "", HI, r#","reasoning_effort":"huge""#)), "reasoning_effort");
    }

    #[test]
    fn thinking_takes_sampling_and_nova_takes_the_limit_too() {
        let all = r#""temperature":0.5,"top_p":0.97,"top_k":4,"max_tokens":9,"reasoning_effort":"high""#;
        assert_eq!(with(CLAUDE, all, "inferenceConfig"), r#"{"maxTokens":9,"topP":0.97}"#);
        assert_eq!(dropped(&target(CLAUDE), all), ["temperature", "top_k"]);
        assert_eq!(with(NOVA, all, "inferenceConfig"), "");
        assert_eq!(dropped(&target(NOVA), all), ["max_tokens", "temperature", "top_p", "top_k"]);
    }

    #[test]
    fn thinking_yields_to_a_forced_call_and_a_budget_to_a_small_limit() {
        let budget = Target { reasoning: Some(Reasoning::Budget), ..target(CLAUDE) };
        let tools = r#""tools":[{"function":{"name":"f"}}]"#;
        let effort = format!(r#"{tools},"reasoning_effort":"low""#);
        assert!(dropped(&budget, &effort).is_empty());
        assert_eq!(dropped(&budget, &format!(r#"{effort},"tool_choice":"required""#)), ["reasoning_effort"]);
        assert_eq!(dropped(&target(CLAUDE), &format!(r#"{effort},"tool_choice":"required""#)), ["reasoning_effort"]);
        // An effort that the model does not have is the next below in either way of asking.
        let older = Target { efforts: vec![crate::provider::Effort::High], ..target(CLAUDE) };
        for thinking in ["", r#""thinking":{"type":"adaptive"},"#] {
            assert_eq!(dropped(&older, &format!(r#"{thinking}"reasoning_effort":"xhigh""#)), ["reasoning_effort"]);
        }
        let own = format!(r#"{tools},"thinking":{{"type":"adaptive"}},"tool_choice":"required""#);
        assert_eq!(dropped(&target(CLAUDE), &own), ["thinking"]);
        assert_eq!(with(CLAUDE, &own, "additionalModelRequestFields"), "");
        assert_eq!(dropped(&budget, r#""reasoning_effort":"low","max_tokens":1024"#), ["reasoning_effort"]);
    }

    #[test]
    fn the_makers_own_words_hold() {
        let rest =
            r#""thinking":{"type":"enabled","budget_tokens":1024},"reasoning_effort":"low","anthropic_beta":["x"]"#;
        assert_eq!(
            with(CLAUDE, rest, "additionalModelRequestFields"),
            r#"{"anthropic_beta":["x"],"thinking":{"type":"enabled","budget_tokens":1024}}"#
        );
        let betas = r#""anthropic_beta":"a-1, b-2""#;
        assert_eq!(with(CLAUDE, betas, "additionalModelRequestFields"), r#"{"anthropic_beta":["a-1","b-2"]}"#);
        assert_eq!(dropped(&target(LLAMA), rest), ["thinking", "anthropic_beta"]);
        let own = r#""top_k":3,"additionalModelRequestFields":{"top_k":5,"x":1.0}"#;
        assert_eq!(with(CLAUDE, own, "additionalModelRequestFields"), r#"{"top_k":5,"x":1.0}"#);
        let nova = r#""reasoningConfig":{"type":"enabled","maxReasoningEffort":"high"},"max_tokens":5"#;
        assert_eq!(with(NOVA, nova, "inferenceConfig"), "");
    }

    #[test]
    fn bedrocks_own_fields_pass() {
        for (name, json) in [
            ("guardrailConfig", r#"{"guardrailIdentifier":"g","guardrailVersion":"1","trace":"enabled"}"#),
            ("performanceConfig", r#"{"latency":"optimized"}"#),
            ("promptVariables", r#"{"a":{"text":"b"}}"#),
            ("additionalModelResponseFieldPaths", r#"["/stop_sequence"]"#),
            ("serviceTier", r#"{"type":"flex"}"#),
            ("requestMetadata", r#"{"a":"b"}"#),
        ] {
            assert_eq!(with(CLAUDE, &format!(r#""{name}":{json}"#), name), json);
        }
    }

    #[test]
    fn users_and_metadata_go_where_logs_are_searched() {
        let rest = r#""user":"u@h","metadata":{"a":"b","c\u00e9":"d","e":"{"},"safety_identifier":"s""#;
        assert_eq!(with(CLAUDE, rest, "requestMetadata"), r#"{"user":"u@h","safety_identifier":"s","a":"b"}"#);
        assert_eq!(dropped(&target(CLAUDE), rest), ["metadata"]);
        let own = format!(r#"{rest},"requestMetadata":{{"x":"y"}}"#);
        assert_eq!(with(CLAUDE, &own, "requestMetadata"), r#"{"x":"y"}"#);
        assert_eq!(dropped(&target(CLAUDE), &own), ["user", "safety_identifier", "metadata"]);
        assert_eq!(dropped(&target(CLAUDE), r#""user":"a|b""#), ["user"]);
    }

    #[test]
    fn the_service_tier_is_bedrocks() {
        let tier = |tier: &str| with(CLAUDE, &format!(r#""service_tier":"{tier}""#), "serviceTier");
        assert_eq!(["auto", "default", "flex"].map(tier), ["", r#"{"type":"default"}"#, r#"{"type":"flex"}"#]);
        assert_eq!(dropped(&target(CLAUDE), r#""service_tier":"scale""#), ["service_tier"]);
    }

    #[test]
    fn what_would_silently_not_be_there_is_refused_and_the_rest_named() {
        for (rest, param) in [
            (r#","n":2"#, "n"),
            (r#","logprobs":true"#, "logprobs"),
            (r#","modalities":["text","audio"]"#, "modalities"),
            (r#","audio":{}"#, "audio"),
            (r#","web_search_options":{}"#, "web_search_options"),
        ] {
            assert_eq!(refused(field(CLAUDE, "", HI, rest)), param);
        }
        assert_eq!(dropped(&target(CLAUDE), r#""seed":1,"frequency_penalty":1"#), ["seed", "frequency_penalty"]);
        let named = r#"[{"role":"user","content":"hi","name":"n"}]"#;
        let (_, request) = written(&format!(r#"{{"model":"m","messages":{named}}}"#), &target(CLAUDE)).unwrap();
        assert_eq!(request.dropped, ["messages.name"]);
    }
}
