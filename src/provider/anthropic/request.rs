//! Requests: the top level of what is written, and what is refused or left out.
//!
//! Anthropic refuses fields that it does not know, so only what is named here is ever written; what is
//! left out is named in `dropped`, and refused where leaving it out would change what the answer is.

use std::borrow::Cow;

use super::cache::Marks;
use super::messages::Conversation;
use super::surface::{self, Surface};
use super::thinking::Thinking;
use super::{content, tools};
use crate::chat::ChatRequest;
use crate::chat::request::ResponseFormat;
use crate::error::Rejection;
use crate::json::{self, Object, Str, Type, Writer};
use crate::provider::{Body, Sampling, Target, UpstreamRequest, parameters, schema, turns};

pub fn translate(surface: Surface, chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
    refuse(chat)?;
    let is_ours = |name: &str| READ.contains(&name) || PASSED_ON.contains(&name);
    if let Some(name) = chat.object().repeated(is_ours) {
        return Err(Rejection::invalid(name, format!("'{name}' is given more than once.")));
    }
    let mut dropped = parameters::unread(chat, is_ours);
    let format = chat.response_format()?;
    let list = chat.messages()?;
    if list.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    if surface != Surface::Anthropic {
        content::refuse_addresses(list)?;
    }
    let (system, conversation) = list.split_at(turns::leading_system(list));
    let turns = turns::turns(conversation)?;
    let tools = chat.tools()?;
    let choice = chat.tool_choice()?;
    let names = tools::names(&tools, list);
    let betas = surface::betas(chat)?;
    let max_tokens = max_tokens(chat, target, &mut dropped)?;
    let forces_a_call = tools::forces_a_call(choice.as_ref());
    let thinking = Thinking::asked(chat, target, &turns, forces_a_call, max_tokens, &mut dropped)?;
    let marks = Marks::read(chat, list, &tools, &mut dropped)?;

    let mut w = Writer::with_capacity(parameters::room(chat));
    w.begin_object();
    surface.write_model(&mut w, target, &betas);
    w.key("max_tokens").number(max_tokens);
    let blocks = Conversation { marks: &marks, names: &names, thinks: Some(target).filter(|_| thinking.goes_back) };
    blocks.write_system(&mut w, system, &format)?;
    blocks.write(&mut w, &turns)?;
    tools::write(&mut w, chat, &tools, choice, &names, &marks)?;
    write_output_config(&mut w, chat, &format, &thinking, &mut dropped)?;
    thinking.write(&mut w);
    write_stop(&mut w, chat)?;
    write_sampling(&mut w, chat, target, &thinking, &mut dropped)?;
    write_user(&mut w, chat, &mut dropped)?;
    write_service_tier(&mut w, chat, &mut dropped)?;
    for (name, value) in chat.fields().filter(|(name, _)| PASSED_ON.contains(name)) {
        w.any_key(name).raw(value.get());
    }
    surface.write_stream(&mut w, chat.stream);
    w.end_object();
    Ok(UpstreamRequest {
        headers: surface.headers(target, chat.stream, &betas),
        dropped,
        renamed: names.renamed(),
        ..UpstreamRequest::new(surface.path(target, chat.stream), Body::Written(w.into_bytes()))
    })
}

/// Fields of Anthropic's own that go on as they are. Not among them is what chooses another model or another
/// bill than the gateway's operator has (`fallbacks`, `speed`, `billing_policy` …), or state of the account
/// (`thread`).
const PASSED_ON: &[&str] =
    &["cache_control", "mcp_servers", "container", "context_management", "compaction", "inference_geo", "diagnostics"];

/// Fields that are read somewhere in this file.
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
    "logprobs",
    "top_logprobs",
    "modalities",
    "reasoning_effort",
    "thinking",
    "output_config",
    "anthropic_beta",
    "user",
    "safety_identifier",
    "metadata",
    "service_tier",
];

/// Fields that ask for something in the answer that would silently not be there.
const REFUSED: &[&str] = &["audio", "web_search_options", "functions", "function_call", "moderation"];

fn refuse(chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    parameters::none_of(chat, REFUSED)?;
    parameters::one_choice(chat)?;
    parameters::no_logprobs(chat)?;
    parameters::text_only(chat)
}

/// `max_tokens` is required. OpenAI's newer name wins, as it does there.
fn max_tokens(chat: &ChatRequest<'_>, target: &Target, dropped: &mut Vec<Cow<'static, str>>) -> Result<u64, Rejection> {
    let older = chat.count("max_tokens")?;
    let newer = chat.count("max_completion_tokens")?;
    let name = if newer.is_some() { "max_completion_tokens" } else { "max_tokens" };
    match (newer.or(older), target.max_output) {
        // Anthropic would warm its cache and answer nothing.
        (Some(0), _) => Err(Rejection::invalid(name, format!("'{name}' must be at least 1."))),
        (Some(asked), Some(most)) if asked > most => {
            dropped.push(name.into());
            Ok(most)
        }
        (Some(asked), _) => Ok(asked),
        (None, Some(most)) => Ok(most),
        (None, None) => Err(Rejection::missing("max_completion_tokens")),
    }
}

/// The schema of the answer and the model's effort, in OpenAI's words or in Anthropic's. Of one thing said in
/// both, Anthropic's holds.
fn write_output_config(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    format: &ResponseFormat<'_>,
    thinking: &Thinking<'_>,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    const NAME: &str = "output_config";
    let given = match chat.field(NAME) {
        Some(value) if json::type_of(value) != Type::Object => {
            return Err(Rejection::invalid(NAME, format!("'{NAME}' must be an object.")));
        }
        Some(value) => Object::of(value).unwrap_or_default(),
        None => Object::default(),
    };
    let has = |name: &str| given.get(name).is_some_and(|value| json::type_of(value) != Type::Null);
    let effort = thinking.effort.filter(|_| !has("effort"));
    if thinking.effort.is_some() && effort.is_none() {
        dropped.push("reasoning_effort".into());
    }
    let at = "response_format.json_schema.schema";
    let schema = match format {
        ResponseFormat::JsonSchema { .. } if has("format") => {
            let text = format!("'response_format' and '{NAME}.format' say the same thing: only one can hold.");
            return Err(Rejection::invalid("response_format", text));
        }
        ResponseFormat::JsonSchema { schema, .. } => Some(schema.ok_or_else(|| Rejection::missing(at))?),
        ResponseFormat::Text | ResponseFormat::JsonObject => None,
    };
    if let Some(name) = given.repeated(|_| true) {
        return Err(Rejection::invalid(NAME, format!("'{NAME}.{name}' is given more than once.")));
    }
    if given.is_empty() && effort.is_none() && schema.is_none() {
        return Ok(());
    }
    w.key(NAME).begin_object();
    if let Some(effort) = effort {
        w.key("effort").string(effort);
    }
    if let Some(schema) = schema {
        w.key("format").begin_object().key("type").string("json_schema");
        w.key("schema").raw(&schema::reduce(schema, &schema::CLOSED, at)?).end_object();
    }
    for (name, value) in given.iter().filter(|(name, _)| has(name)) {
        w.any_key(name).raw(value.get());
    }
    w.end_object();
    Ok(())
}

fn write_stop(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    // OpenAI's limit: Anthropic documents none.
    const MOST: usize = 4;
    let stop = chat.stop()?;
    if stop.len() > MOST {
        return Err(Rejection::invalid("stop", format!("'stop' can have at most {MOST} sequences.")));
    }
    if stop.iter().any(|text| turns::is_blank(*text)) {
        return Err(Rejection::invalid("stop", "With this model a stop sequence must be more than white space."));
    }
    if !stop.is_empty() {
        w.key("stop_sequences").begin_array();
        for text in stop {
            w.str(text);
        }
        w.end_array();
    }
    Ok(())
}

fn write_sampling(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    thinking: &Thinking<'_>,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    let has_sampling = surface::has_sampling(target);
    // Thinking takes them within narrow limits only (extended thinking, feature compatibility).
    let takes = |parameter: Sampling, number: f64| {
        let goes_with_thinking = match parameter {
            Sampling::Temperature => number >= 1.0,
            Sampling::TopP => number >= 0.95,
            Sampling::TopK => false,
        };
        has_sampling && (goes_with_thinking || !thinking.is_on)
    };
    let left_out = parameters::one_of_two(chat, target, takes)?;
    for (parameter, most) in
        [(Sampling::Temperature, 2.0), (Sampling::TopP, 1.0), (Sampling::TopK, f64::from(u32::MAX))]
    {
        let name = parameter.name();
        let Some(text) = chat.number(name, 0.0, most)? else { continue };
        if let Some(left_out) = left_out.as_ref().filter(|left_out| left_out.parameter == parameter) {
            dropped.extend(left_out.is_named.then_some(name.into()));
            continue;
        }
        let number = json::float(text).unwrap_or_default();
        if !target.sampling.contains(&parameter) || !takes(parameter, number) {
            dropped.push(name.into());
        } else if parameter == Sampling::Temperature && number > 1.0 {
            // Cut off and not scaled: up to 1 the two scales mean the same.
            dropped.push(name.into());
            w.key(name).number(1);
        } else {
            w.key(name).raw(text);
        }
    }
    Ok(())
}

/// `metadata.user_id` is all the metadata there is, and for opaque ids: what looks like an address is refused.
fn write_user(w: &mut Writer, chat: &ChatRequest<'_>, dropped: &mut Vec<Cow<'static, str>>) -> Result<(), Rejection> {
    let metadata = chat.field("metadata");
    let metadata = metadata.map(|metadata| Object::of(metadata).unwrap_or_default());
    let own = metadata.as_ref().and_then(|metadata| metadata.get("user_id")).and_then(Str::new);
    if metadata.is_some_and(|metadata| own.is_none() || metadata.iter().any(|(name, _)| name != "user_id")) {
        dropped.push("metadata".into());
    }
    let mut user_id = None;
    let given = [("metadata.user_id", own), ("safety_identifier", chat.string("safety_identifier")?)];
    for (name, id) in given.into_iter().chain([("user", chat.string("user")?)]) {
        match id {
            Some(id) if user_id.is_none() && !id.is_empty() && !id.decode().contains('@') => user_id = Some(id),
            Some(_) => dropped.push(name.into()),
            None => {}
        }
    }
    if let Some(id) = user_id {
        w.key("metadata").begin_object().key("user_id").str(id).end_object();
    }
    Ok(())
}

fn write_service_tier(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    let Some(tier) = chat.string("service_tier")? else { return Ok(()) };
    match tier.decode().as_ref() {
        "auto" => w.key("service_tier").string("auto"),
        // The second is Anthropic's own word.
        "default" | "standard_only" => w.key("service_tier").string("standard_only"),
        _ => {
            dropped.push("service_tier".into());
            return Ok(());
        }
    };
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn target() -> Target {
        Target {
            model: "claude".into(),
            provider: "anthropic".into(),
            kind: "anthropic".into(),
            id: "claude-x".into(),
            scheme: "https".into(),
            authority: "api.anthropic.com".into(),
            base_path: String::new(),
            api_version: Some("2023-06-01".into()),
            region: None,
            project: None,
            context_window: None,
            max_output: Some(1000),
            sampling: Vec::new(),
            reasoning: None,
            efforts: Vec::new(),
        }
    }

    pub fn written(body: &str, target: &Target) -> Result<(String, Vec<Cow<'static, str>>), Rejection> {
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let request = translate(Surface::Anthropic, &chat, target)?;
        let Body::Written(body) = request.body else { panic!("not written") };
        let body = String::from_utf8(body).unwrap();
        assert!(json::is_valid(body.as_bytes()), "{body}");
        Ok((body, request.dropped))
    }

    /// A field of what is written for a client's messages and further fields.
    pub fn field(name: &str, messages: &str, rest: &str) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        let (body, _) = written(&body, &target())?;
        let fields = Object::parse(body.as_bytes()).unwrap();
        Ok(fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default())
    }

    const HI: &str = r#"[{"role":"user","content":"hi"}]"#;

    /// A field of what is written for further fields of the client, next to a user's "hi".
    pub fn with(rest: &str, name: &str) -> Result<String, Rejection> {
        field(name, HI, &format!(",{rest}"))
    }

    pub fn refused(result: Result<String, Rejection>) -> String {
        let rejection = result.unwrap_err();
        assert_eq!(rejection.status, 400);
        rejection.param.unwrap()
    }

    fn dropped(rest: &str) -> Vec<Cow<'static, str>> {
        written(&format!(r#"{{"model":"m","messages":{HI},{rest}}}"#), &target()).unwrap().1
    }

    #[test]
    fn the_least_request_has_the_models_own_limit() {
        let (body, dropped) = written(&format!(r#"{{"model":"m","messages":{HI},"stream":true}}"#), &target()).unwrap();
        let expected = concat!(
            r#"{"model":"claude-x","max_tokens":1000,"messages":[{"role":"user","content":"#,
            r#"[{"type":"text","text":"hi"}]}],"stream":true}"#
        );
        assert_eq!(body, expected);
        assert!(dropped.is_empty());
    }

    #[test]
    fn the_limit_is_the_clients_up_to_the_models() {
        let limit = |rest: &str| with(rest, "max_tokens");
        assert_eq!(limit(r#""max_tokens":7"#).unwrap(), "7");
        assert_eq!(limit(r#""max_tokens":7,"max_completion_tokens":8"#).unwrap(), "8");
        assert_eq!(limit(r#""max_tokens":1001"#).unwrap(), "1000");
        assert_eq!(dropped(r#""max_tokens":1001"#), ["max_tokens"]);
        assert_eq!(dropped(r#""max_completion_tokens":1001"#), ["max_completion_tokens"]);
        assert_eq!(refused(limit(r#""max_completion_tokens":0"#)), "max_completion_tokens");
        assert_eq!(refused(limit(r#""max_tokens":-1"#)), "max_tokens");
    }

    #[test]
    fn structured_output_takes_the_schema_and_json_objects_an_instruction() {
        let format = |schema: &str| {
            with(
                &format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"n"{schema}}}}}"#),
                "output_config",
            )
        };
        let clean = r#"{"type":"object" ,"additionalProperties":false}"#;
        assert_eq!(
            format(&format!(r#","schema":{clean}"#)).unwrap(),
            format!(r#"{{"format":{{"type":"json_schema","schema":{clean}}}}}"#)
        );
        assert_eq!(refused(format("")), "response_format.json_schema.schema");
        let system = with(r#""response_format":{"type":"json_object"}"#, "system").unwrap();
        assert!(system.contains("JSON object"));
    }

    #[test]
    fn stop_sequences_are_a_few_words() {
        assert_eq!(with(r#""stop":"a\n""#, "stop_sequences").unwrap(), r#"["a\n"]"#);
        assert_eq!(with(r#""stop":["a","b"]"#, "stop_sequences").unwrap(), r#"["a","b"]"#);
        assert_eq!(with(r#""stop":[]"#, "stop_sequences").unwrap(), "");
        for bad in [r#"["a","\n"]"#, r#""""#, r#"["a","b","c","d","e"]"#] {
            assert_eq!(refused(with(&format!(r#""stop":{bad}"#), "stop_sequences")), "stop");
        }
    }

    #[test]
    fn sampling_goes_only_to_models_that_take_it() {
        let body = format!(r#"{{"model":"m","messages":{HI},"temperature":1.50,"top_p":0.90,"top_k":40}}"#);
        let (text, names) = written(&body, &target()).unwrap();
        assert!(!text.contains("temperature") && !text.contains("top_"));
        assert_eq!(names, ["temperature", "top_p", "top_k"]);
        let target = Target { sampling: Sampling::ALL.to_vec(), ..target() };
        let (text, names) = written(&body, &target).unwrap();
        assert!(text.ends_with(r#","temperature":1,"top_k":40}"#), "{text}");
        assert_eq!(names, ["temperature", "top_p"]);
        assert_eq!(refused(with(r#""temperature":2.5"#, "temperature")), "temperature");
    }

    #[test]
    fn of_temperature_and_top_p_the_one_is_sent_that_says_something() {
        let sent = |id: &str, fields: &str| {
            let target = Target { id: id.into(), sampling: Sampling::ALL.to_vec(), ..target() };
            let body = format!(r#"{{"model":"m","messages":{HI},{fields}}}"#);
            let (text, names) = written(&body, &target).unwrap();
            (text.rsplit_once("]}],").unwrap().1.to_owned(), names.join(","))
        };
        for (id, fields, expected, named) in [
            ("claude-haiku-4-5", r#""temperature":0.7,"top_p":0.9"#, r#""temperature":0.7}"#, "top_p"),
            ("claude-haiku-4-5", r#""temperature":0.7,"top_p":1"#, r#""temperature":0.7}"#, ""),
            ("claude-haiku-4-5", r#""temperature":1.0,"top_p":0.9"#, r#""top_p":0.9}"#, ""),
            ("claude-haiku-4-5", r#""top_p":0.9"#, r#""top_p":0.9}"#, ""),
            ("claude-3-haiku", r#""temperature":0.7,"top_p":0.9"#, r#""temperature":0.7,"top_p":0.9}"#, ""),
        ] {
            assert_eq!(sent(id, fields), (expected.to_owned(), named.to_owned()), "{id} {fields}");
        }
    }

    #[test]
    fn what_changes_the_answer_is_refused_and_the_rest_named() {
        for (fields, name) in [
            (r#""n":2"#, "n"),
            (r#""n":0"#, "n"),
            (r#""logprobs":true"#, "logprobs"),
            (r#""top_logprobs":3"#, "top_logprobs"),
            (r#""modalities":["text","audio"]"#, "modalities"),
            (r#""audio":{"voice":"v"}"#, "audio"),
            (r#""web_search_options":{}"#, "web_search_options"),
            (r#""functions":[]"#, "functions"),
            (r#""function_call":"auto""#, "function_call"),
            (r#""moderation":{"model":"m"}"#, "moderation"),
        ] {
            assert_eq!(refused(with(fields, "n")), name);
        }
        let fine = r#""n":1,"logprobs":false,"modalities":["text"],"stream_options":{},"audio":null"#;
        assert!(dropped(fine).is_empty());
        let quality = r#""seed":1,"logit_bias":{},"reasoning_effort":"low","x\u002dy":1,"bad name":1,"store":null"#;
        assert_eq!(dropped(quality), ["seed", "logit_bias", "x-y", "reasoning_effort"]);
        let many: Vec<_> = (0..99).map(|number| format!(r#""f{number}":1"#)).collect();
        assert_eq!(dropped(&many.join(",")).len(), 16);
        let named = r#"{"model":"m","messages":[{"role":"user","name":"ann","content":"hi"}]}"#;
        assert_eq!(written(named, &target()).unwrap().1, ["messages.name"]);
    }

    #[test]
    fn a_users_id_is_passed_on_unless_it_is_an_address() {
        assert_eq!(with(r#""user":"u1""#, "metadata").unwrap(), r#"{"user_id":"u1"}"#);
        let both = r#""user":"u1","safety_identifier":"s""#;
        assert_eq!(with(both, "metadata").unwrap(), r#"{"user_id":"s"}"#);
        assert_eq!(dropped(both), ["user"]);
        assert_eq!(with(r#""user":"a\u0040b.example""#, "metadata").unwrap(), "");
        assert_eq!(dropped(r#""user":"a@b.example""#), ["user"]);
    }

    #[test]
    fn service_tiers_with_an_equivalent_are_mapped() {
        assert_eq!(with(r#""service_tier":"auto""#, "service_tier").unwrap(), "\"auto\"");
        assert_eq!(with(r#""service_tier":"default""#, "service_tier").unwrap(), "\"standard_only\"");
        assert_eq!(dropped(r#""service_tier":"flex""#), ["service_tier"]);
    }

    #[test]
    fn a_version_without_sampling_parameters_gets_none() {
        let body = format!(r#"{{"model":"m","messages":{HI},"top_p":0.90}}"#);
        for (version, takes) in [("2023-06-01", true), ("vertex-2023-10-16", true), ("2026-10-21", false)] {
            let target = Target { sampling: Sampling::ALL.to_vec(), api_version: Some(version.into()), ..target() };
            let (text, names) = written(&body, &target).unwrap();
            assert_eq!((text.contains("top_p"), names.is_empty()), (takes, takes), "{version}");
        }
    }

    #[test]
    fn fields_of_anthropics_own_go_on_and_those_that_choose_for_the_operator_do_not() {
        let own = r#""container":{"id":"c"},"mcp_servers":[{"url":1.0}],"cache_control":{"type":"ephemeral"}"#;
        let (body, names) = written(&format!(r#"{{"model":"m","messages":{HI},{own}}}"#), &target()).unwrap();
        assert!(body.ends_with(&format!("{own}}}")) && names.is_empty(), "{body}");
        assert_eq!(dropped(r#""speed":"fast","fallbacks":[],"thread":{}"#), ["speed", "fallbacks", "thread"]);
        assert_eq!(refused(with(r#""container":"a","container":"b""#, "container")), "container");
        let format = r#""output_config":{"format":{}},"response_format":{"type":"json_schema","json_schema":{"name":"n",
            "schema":{}}}"#;
        assert_eq!(refused(with(format, "output_config")), "response_format");
        assert_eq!(
            refused(with(r#""output_config":{"effort":"low","effort":"max"}"#, "output_config")),
            "output_config"
        );
    }

    #[test]
    fn betas_are_names_in_a_header() {
        let header = |value: &str| {
            let body = format!(r#"{{"model":"m","messages":{HI},"anthropic_beta":{value}}}"#);
            let chat = ChatRequest::parse(body.as_bytes()).unwrap();
            let request = translate(Surface::Anthropic, &chat, &target()).map_err(|no| no.param.unwrap())?;
            Ok(request
                .headers
                .into_iter()
                .find(|(name, _)| *name == "anthropic-beta")
                .map(|(_, value)| value.into_owned()))
        };
        assert_eq!(header(r#"["a-2025-01-01","b.2"]"#), Ok(Some("a-2025-01-01,b.2".into())));
        assert_eq!(header(r#""a, b""#), Ok(Some("a,b".into())));
        assert_eq!(header("[]"), Ok(None));
        for bad in [r#"["a\r\nx: y"]"#, r#""""#, "[7]", "{}"] {
            assert_eq!(header(bad), Err("anthropic_beta".to_owned()), "{bad}");
        }
    }

    #[test]
    fn metadata_is_the_users_id_and_nothing_else() {
        assert_eq!(with(r#""metadata":{"user_id":"u"},"user":"v""#, "metadata").unwrap(), r#"{"user_id":"u"}"#);
        assert_eq!(dropped(r#""metadata":{"user_id":"u"},"user":"v""#), ["user"]);
        assert_eq!(dropped(r#""metadata":{"user_id":"u","team":"t"}"#), ["metadata"]);
        assert_eq!(dropped(r#""metadata":{"team":"t"}"#), ["metadata"]);
    }

    #[test]
    fn the_surfaces_differ_in_path_headers_and_a_few_fields() {
        let told = |surface: Surface, stream: bool| {
            let body = format!(r#"{{"model":"m","messages":{HI},"stream":{stream},"anthropic_beta":["b"]}}"#);
            let chat = ChatRequest::parse(body.as_bytes()).unwrap();
            let target = Target {
                id: "claude-x@1".into(),
                api_version: Some("v".into()),
                region: Some("us-east5".into()),
                project: Some("p-1".into()),
                ..target()
            };
            let request = translate(surface, &chat, &target).unwrap();
            let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let Body::Written(body) = request.body else { panic!("not written") };
            let body = String::from_utf8(body).unwrap();
            let (head, _) = body.split_once(",\"max_tokens\"").unwrap();
            (request.path, headers.join("; "), head.to_owned(), body.ends_with(r#""stream":true}"#))
        };
        let own = |stream| {
            (
                "/v1/messages".to_owned(),
                "anthropic-version: v; anthropic-beta: b".to_owned(),
                r#"{"model":"claude-x@1""#.to_owned(),
                stream,
            )
        };
        assert_eq!(told(Surface::Anthropic, false), own(false));
        assert_eq!(told(Surface::Anthropic, true), own(true));
        let vertex = "/v1/projects/p-1/locations/us-east5/publishers/anthropic/models/claude-x@1:";
        let head = r#"{"anthropic_version":"v""#;
        let beta = "anthropic-beta: b";
        assert_eq!(told(Surface::Vertex, false), (format!("{vertex}rawPredict"), beta.into(), head.into(), false));
        assert_eq!(told(Surface::Vertex, true), (format!("{vertex}streamRawPredict"), beta.into(), head.into(), true));
        let head = r#"{"anthropic_version":"v","anthropic_beta":["b"]"#;
        let bedrock = "/model/claude-x%401/invoke";
        assert_eq!(told(Surface::Bedrock, false), (bedrock.into(), String::new(), head.into(), false));
        let accept = "accept: application/vnd.amazon.eventstream";
        assert_eq!(
            told(Surface::Bedrock, true),
            (format!("{bedrock}-with-response-stream"), accept.into(), head.into(), false)
        );
    }
}
