//! Requests: the top level of what is written, and what is refused or left out.
//!
//! Anthropic refuses fields that it does not know, so only what is named here is ever written; what is
//! left out is named in `dropped`, and refused where leaving it out would change what the answer is.

use std::borrow::Cow;

use super::{SCHEMA, messages, tools};
use crate::chat::ChatRequest;
use crate::chat::request::ResponseFormat;
use crate::error::Rejection;
use crate::json::Writer;
use crate::provider::{Body, Sampling, Target, UpstreamRequest, parameters, schema, turns};

pub fn translate(chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
    refuse(chat)?;
    let mut dropped = parameters::unread(chat, |name| READ.contains(&name));
    let format = chat.response_format()?;
    let list = chat.messages()?;
    if list.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    let (system, conversation) = list.split_at(turns::leading_system(&list));

    let mut w = Writer::with_capacity(chat.body.len() + 1024);
    w.begin_object();
    w.key("model").string(&target.id);
    w.key("max_tokens").number(max_tokens(chat, target, &mut dropped)?);
    messages::write_system(&mut w, system, &format)?;
    messages::write(&mut w, conversation)?;
    tools::write(&mut w, chat)?;
    if let ResponseFormat::JsonSchema { schema, .. } = format {
        let at = "response_format.json_schema.schema";
        let schema = schema.ok_or_else(|| Rejection::missing(at))?;
        w.key("output_config").begin_object().key("format").begin_object();
        w.key("type").string("json_schema").key("schema").raw(&schema::reduce(schema, &SCHEMA, at)?);
        w.end_object().end_object();
    }
    write_stop(&mut w, chat)?;
    write_sampling(&mut w, chat, target, &mut dropped)?;
    write_user(&mut w, chat, &mut dropped)?;
    write_service_tier(&mut w, chat, &mut dropped)?;
    if chat.stream {
        w.key("stream").bool(true);
    }
    w.end_object();
    let version = target.api_version.clone().unwrap_or_default();
    Ok(UpstreamRequest {
        headers: vec![("anthropic-version", version.into())],
        dropped,
        ..UpstreamRequest::new("/v1/messages", Body::Written(w.into_bytes()))
    })
}

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
    "user",
    "safety_identifier",
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
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    for (parameter, most) in
        [(Sampling::Temperature, 2.0), (Sampling::TopP, 1.0), (Sampling::TopK, f64::from(u32::MAX))]
    {
        let name = parameter.name();
        let Some(number) = chat.number(name, 0.0, most)? else { continue };
        if !target.sampling.contains(&parameter) {
            dropped.push(name.into());
        } else if parameter == Sampling::Temperature && number.parse::<f64>().is_ok_and(|number| number > 1.0) {
            // Cut off and not scaled: up to 1 the two scales mean the same.
            dropped.push(name.into());
            w.key(name).number(1);
        } else {
            w.key(name).raw(number);
        }
    }
    Ok(())
}

/// `metadata.user_id` is for opaque ids: what looks like an address is refused.
fn write_user(w: &mut Writer, chat: &ChatRequest<'_>, dropped: &mut Vec<Cow<'static, str>>) -> Result<(), Rejection> {
    let mut user_id = None;
    for name in ["safety_identifier", "user"] {
        match chat.string(name)? {
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
        "default" => w.key("service_tier").string("standard_only"),
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
    use crate::json::{self, Object};

    fn target() -> Target {
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
        }
    }

    fn written(body: &str, target: &Target) -> Result<(String, Vec<Cow<'static, str>>), Rejection> {
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let request = translate(&chat, target)?;
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
        assert!(text.ends_with(r#","temperature":1,"top_p":0.90,"top_k":40}"#), "{text}");
        assert_eq!(names, ["temperature"]);
        assert_eq!(refused(with(r#""temperature":2.5"#, "temperature")), "temperature");
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
        assert_eq!(dropped(quality), ["seed", "logit_bias", "reasoning_effort", "x-y"]);
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
}
