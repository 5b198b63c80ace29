//! Requests: the top level of what is written, and what is refused or left out.
//!
//! The API refuses fields that it does not know, so only what is named here is ever written; what is
//! left out is named in `dropped`, and refused where leaving it out would change what the answer is.

use std::borrow::Cow;

use super::{Surface, messages, schema, tools};
use crate::chat::ChatRequest;
use crate::chat::request::{ResponseFormat, Tool};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Writer};
use crate::provider::distinct::ToolNames;
use crate::provider::{Body, Effort, Reasoning, Sampling, Target, UpstreamRequest, parameters, path, turns};

type Dropped = Vec<Cow<'static, str>>;

pub fn translate(chat: &ChatRequest<'_>, target: &Target, surface: Surface) -> Result<UpstreamRequest, Rejection> {
    parameters::none_of(chat, REFUSED)?;
    let own = Own::read(chat, surface);
    let mut dropped = own.unknown_fields(chat);
    let list = chat.messages()?;
    let tools = chat.tools()?;
    if list.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    let calls = list.iter().flat_map(|message| &message.tool_calls);
    let names = tools.iter().map(|tool| tool.name).chain(calls.map(|call| call.name));
    let names = ToolNames::new(tools::NAMES, names);
    let version = target.api_version.as_deref().unwrap_or_default();
    let files = format!("{}://{}{}/{version}", target.scheme, target.authority, target.base_path);
    let setting = messages::Setting {
        surface,
        names: &names,
        is_newer: matches!(target.reasoning, Some(Reasoning::Effort | Reasoning::Adaptive)),
        files: &files,
    };
    let (system, conversation) = list.split_at(turns::leading_system(list));

    let mut w = Writer::with_capacity(parameters::room(chat));
    w.begin_object();
    messages::write_system(&mut w, system, &setting)?;
    messages::write(&mut w, conversation, &setting)?;
    tools::write(&mut w, chat, &tools, &names, &mut dropped)?;
    let generation = generation(chat, target, &tools, &own, &mut dropped)?;
    if generation != b"{}" {
        w.key("generationConfig").raw(std::str::from_utf8(&generation).unwrap_or("{}"));
    }
    own.write(&mut w, Place::Top);
    write_service_tier(&mut w, chat, &mut dropped)?;
    if surface == Surface::Studio
        && let Some(store) = chat.bool("store")?
    {
        w.key("store").bool(store);
    } else if chat.field("store").is_some() {
        dropped.push("store".into());
    }
    w.end_object();
    let path = path_of(target, surface, if chat.stream { "streamGenerateContent?alt=sse" } else { "generateContent" });
    Ok(UpstreamRequest {
        dropped,
        renamed: names.renamed(),
        ..UpstreamRequest::new(path, Body::Written(w.into_bytes()))
    })
}

/// As google-genai's `t_model` has it: ids may also be whole resource names.
fn path_of(target: &Target, surface: Surface, method: &str) -> String {
    let (id, version) = (target.id.as_str(), target.api_version.as_deref().unwrap_or_default());
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| id.starts_with(prefix));
    let model = match surface {
        Surface::Studio if begins(&["models/", "tunedModels/"]) => encoded(id),
        Surface::Studio => format!("models/{}", encoded(id)),
        Surface::Vertex if begins(&["projects/"]) => encoded(id),
        Surface::Vertex => {
            let (project, region) = (target.project.as_deref(), target.region.as_deref());
            let within = format!("projects/{}/locations/{}", project.unwrap_or_default(), region.unwrap_or_default());
            match id.split_once('/') {
                _ if begins(&["models/", "publishers/", "endpoints/"]) => format!("{within}/{}", encoded(id)),
                Some((publisher, id)) => {
                    format!("{within}/publishers/{}/models/{}", encoded(publisher), encoded(id))
                }
                None => format!("{within}/publishers/google/models/{}", encoded(id)),
            }
        }
    };
    format!("/{version}/{model}:{method}")
}

/// A name, or a resource's many.
fn encoded(name: &str) -> String {
    name.split('/').map(path::segment).collect::<Vec<_>>().join("/")
}

/// Fields of OpenAI's that are read somewhere.
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
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "logprobs",
    "top_logprobs",
    "modalities",
    "reasoning_effort",
    "service_tier",
    "store",
    "web_search_options",
    "extra_body",
];

/// Fields that ask for something in the answer that would silently not be there.
const REFUSED: &[&str] = &["audio", "functions", "function_call", "moderation"];

/// Most answers to one request (`GenerationConfig.candidateCount`).
const MOST_CANDIDATES: u64 = 8;

/// Where a field of the API's own stands in its request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Generation,
}

/// Fields of the API that OpenAI has no name for: what clients call them, what the wire does, and where
/// they stand there.
const OWN: &[(&str, &str, Place)] = &[
    ("safety_settings", "safetySettings", Place::Top),
    ("cached_content", "cachedContent", Place::Top),
    ("labels", "labels", Place::Top),
    ("thinking_config", "thinkingConfig", Place::Generation),
    ("media_resolution", "mediaResolution", Place::Generation),
    ("image_config", "imageConfig", Place::Generation),
];

/// The same for those that Vertex AI alone knows.
const OWN_OF_VERTEX: &[(&str, &str, Place)] = &[
    ("model_armor_config", "modelArmorConfig", Place::Top),
    ("audio_timestamp", "audioTimestamp", Place::Generation),
    ("routing_config", "routingConfig", Place::Generation),
];

/// The fields of the API's own that a request has, by their names on the wire.
struct Own<'a> {
    fields: Vec<(&'static str, Place, &'a RawValue)>,
    surface: Surface,
    /// Names in `extra_body` that mean nothing here.
    unknown: Vec<String>,
}

impl<'a> Own<'a> {
    fn read(chat: &ChatRequest<'a>, surface: Surface) -> Self {
        let mut own = Own { fields: Vec::new(), surface, unknown: Vec::new() };
        for (name, value) in chat.fields() {
            own.add(name, value);
        }
        let parse = |value: &'a RawValue| Object::of(value).unwrap_or_default();
        let extra = chat.field("extra_body").map(parse).unwrap_or_default();
        for (name, value) in extra.iter().filter(|(name, _)| *name != "google") {
            if !own.add(name, value) {
                own.note(format!("extra_body.{name}"));
            }
        }
        let google = extra.get("google").map(parse).unwrap_or_default();
        for (name, value) in google.iter() {
            if !own.add(name, value) {
                own.note(format!("extra_body.google.{name}"));
            }
        }
        own
    }

    /// As with the others: the names end up in a header.
    fn note(&mut self, name: String) {
        if parameters::is_plain(&name) && self.unknown.len() < parameters::MOST_NAMED {
            self.unknown.push(name);
        }
    }

    fn known(name: &str, surface: Surface) -> Option<(&'static str, Place)> {
        let vertex = if surface == Surface::Vertex { OWN_OF_VERTEX } else { &[] };
        let row = OWN.iter().chain(vertex).find(|(ours, wire, _)| *ours == name || *wire == name)?;
        Some((row.1, row.2))
    }

    /// The first of a name holds.
    fn add(&mut self, name: &str, value: &'a RawValue) -> bool {
        let Some((wire, place)) = Own::known(name, self.surface) else { return false };
        if self.get(wire).is_none() {
            self.fields.push((wire, place, value));
        }
        true
    }

    fn get(&self, wire: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|(name, ..)| *name == wire).map(|(.., value)| *value)
    }

    fn write(&self, w: &mut Writer, place: Place) {
        for (name, _, value) in self.fields.iter().filter(|(_, at, _)| *at == place) {
            w.key(name).raw(value.get());
        }
    }

    /// The client's fields that have no equivalent, by name.
    fn unknown_fields(&self, chat: &ChatRequest<'_>) -> Dropped {
        let is_known = |name: &str| READ.contains(&name) || Own::known(name, self.surface).is_some();
        let mut names = parameters::unread(chat, is_known);
        names.extend(self.unknown.iter().cloned().map(Cow::Owned));
        names
    }
}

/// `generationConfig`, as JSON.
fn generation(
    chat: &ChatRequest<'_>,
    target: &Target,
    tools: &[Tool<'_>],
    own: &Own<'_>,
    dropped: &mut Dropped,
) -> Result<Vec<u8>, Rejection> {
    let mut w = Writer::default();
    w.begin_object();
    match chat.count("n")? {
        None | Some(1) => {}
        Some(count @ 2..=MOST_CANDIDATES) => {
            w.key("candidateCount").number(count);
        }
        Some(_) => return Err(Rejection::invalid("n", format!("'n' must be between 1 and {MOST_CANDIDATES}."))),
    }
    write_limit(&mut w, chat, target, dropped)?;
    write_stop(&mut w, chat)?;
    write_sampling(&mut w, chat, target, dropped)?;
    write_logprobs(&mut w, chat)?;
    write_modalities(&mut w, chat)?;
    write_format(&mut w, chat, target, tools)?;
    write_thinking(&mut w, chat, target, own, dropped)?;
    own.write(&mut w, Place::Generation);
    w.end_object();
    Ok(w.into_bytes())
}

/// Some models answer with pictures; sound has no place in the hub's answers.
fn write_modalities(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    let list = chat.field("modalities").map(|list| json::elements(list).unwrap_or_else(|| vec![list]));
    let list: Vec<_> = list.unwrap_or_default().into_iter().map(RawValue::get).collect();
    if list.iter().any(|modality| !matches!(*modality, "\"text\"" | "\"image\"")) {
        return Err(Rejection::unsupported("modalities", "This model answers with text and images only."));
    }
    if list.contains(&"\"image\"") {
        w.key("responseModalities").begin_array();
        for modality in list {
            w.string(if modality == "\"text\"" { "TEXT" } else { "IMAGE" });
        }
        w.end_array();
    }
    Ok(())
}

/// OpenAI's newer name wins, as it does there. Thoughts count, as they do there.
fn write_limit(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    let older = chat.count("max_tokens")?;
    let newer = chat.count("max_completion_tokens")?;
    let name = if newer.is_some() { "max_completion_tokens" } else { "max_tokens" };
    let Some(asked) = newer.or(older) else { return Ok(()) };
    if asked == 0 {
        return Err(Rejection::invalid(name, format!("'{name}' must be at least 1.")));
    }
    let most = target.max_output.unwrap_or(asked);
    if asked > most {
        dropped.push(name.into());
    }
    w.key("maxOutputTokens").number(asked.min(most));
    Ok(())
}

fn write_stop(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    // `GenerationConfig.stopSequences`.
    const MOST: usize = 5;
    let stop = chat.stop()?;
    if stop.len() > MOST {
        return Err(Rejection::invalid("stop", format!("'stop' can have at most {MOST} sequences.")));
    }
    if stop.iter().any(|text| text.is_empty()) {
        return Err(Rejection::invalid("stop", "A stop sequence is empty."));
    }
    if !stop.is_empty() {
        w.key("stopSequences").begin_array();
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
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    for (parameter, wire, most) in [
        (Sampling::Temperature, "temperature", 2.0),
        (Sampling::TopP, "topP", 1.0),
        (Sampling::TopK, "topK", f64::from(u32::MAX)),
    ] {
        let name = parameter.name();
        match chat.number(name, 0.0, most)? {
            Some(number) if target.sampling.contains(&parameter) => {
                w.key(wire).raw(number);
            }
            Some(_) => dropped.push(name.into()),
            None => {}
        }
    }
    for (name, wire) in [("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty")] {
        match chat.number(name, -2.0, 2.0)? {
            // What is so without it, too.
            Some(number) if json::float(number) == Some(0.0) => {}
            // Models that think refuse them: "Penalty is not enabled for this model".
            Some(_) if target.reasoning.is_some() => dropped.push(name.into()),
            Some(number) => {
                w.key(wire).raw(number);
            }
            None => {}
        }
    }
    // 32 bits there, 64 with OpenAI.
    if let Some(seed) = chat.field("seed") {
        match seed.get().parse::<i32>() {
            Ok(_) => {
                w.key("seed").raw(seed.get());
            }
            Err(_) => dropped.push("seed".into()),
        }
    }
    Ok(())
}

fn write_logprobs(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    const MOST: u64 = 20;
    let wanted = chat.bool("logprobs")? == Some(true);
    let top = chat.count("top_logprobs")?;
    match top {
        Some(MOST..) if top != Some(MOST) => {
            return Err(Rejection::invalid("top_logprobs", format!("'top_logprobs' must be between 0 and {MOST}.")));
        }
        Some(1..) if !wanted => return Err(Rejection::invalid("top_logprobs", "'top_logprobs' needs 'logprobs'.")),
        _ => {}
    }
    if wanted {
        w.key("responseLogprobs").bool(true);
        if let Some(top @ 1..) = top {
            w.key("logprobs").number(top);
        }
    }
    Ok(())
}

fn write_format(w: &mut Writer, chat: &ChatRequest<'_>, target: &Target, tools: &[Tool<'_>]) -> Result<(), Rejection> {
    let format = chat.response_format()?;
    if matches!(format, ResponseFormat::Text) {
        return Ok(());
    }
    // "Function calling with a response mime type: 'application/json' is unsupported", before Gemini 3.
    if !tools.is_empty() && target.reasoning == Some(Reasoning::Budget) {
        let text = "With this model 'response_format' and 'tools' exclude each other.";
        return Err(Rejection::unsupported("response_format", text));
    }
    w.key("responseMimeType").string("application/json");
    if let ResponseFormat::JsonSchema { schema, .. } = format {
        let at = "response_format.json_schema.schema";
        let schema = schema.ok_or_else(|| Rejection::missing(at))?;
        w.key("responseJsonSchema").raw(&schema::of_answer(schema, at)?);
    }
    Ok(())
}

/// How hard to think. Models that think are always asked to tell their thoughts, unless they are told not
/// to think: a client that waits sees that something happens, and it costs nothing.
fn write_thinking(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    own: &Own<'_>,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    let effort = Effort::read(chat)?;
    let form = target.reasoning.filter(|_| own.get("thinkingConfig").is_none());
    let Some(form) = form else {
        if effort.is_some() {
            dropped.push("reasoning_effort".into());
        }
        return Ok(());
    };
    let effort = effort.map(|effort| effort.of(target, dropped).name());
    w.key("thinkingConfig").begin_object();
    match (form, effort) {
        (_, None) => {}
        (Reasoning::Effort | Reasoning::Adaptive, Some(effort)) => {
            // Levels that every model has: `MINIMAL` and `XHIGH` some have, and off none.
            let (level, is_near) = match effort {
                "none" | "minimal" => ("LOW", true),
                "low" => ("LOW", false),
                "medium" => ("MEDIUM", false),
                "high" => ("HIGH", false),
                _ => ("HIGH", true),
            };
            if is_near {
                dropped.push("reasoning_effort".into());
            }
            w.key("thinkingLevel").string(level);
        }
        (Reasoning::Budget, Some(effort)) => {
            // Within what every 2.5 takes: Flash-Lite begins at 512, Flash ends at 24576.
            w.key("thinkingBudget").number(match effort {
                "none" => 0,
                "minimal" => 512,
                "low" => 1024,
                "medium" => 8192,
                _ => 24_576,
            });
        }
        (Reasoning::Switch, Some(effort)) => {
            w.key("thinkingBudget").raw(if effort == "none" { "0" } else { "-1" });
        }
    }
    if effort != Some("none") {
        w.key("includeThoughts").bool(true);
    }
    w.end_object();
    Ok(())
}

fn write_service_tier(w: &mut Writer, chat: &ChatRequest<'_>, dropped: &mut Dropped) -> Result<(), Rejection> {
    let Some(tier) = chat.string("service_tier")? else { return Ok(()) };
    let tier = match tier.decode().as_ref() {
        "auto" => return Ok(()),
        "default" => "standard",
        "flex" => "flex",
        "priority" => "priority",
        _ => {
            dropped.push("service_tier".into());
            return Ok(());
        }
    };
    w.key("serviceTier").string(tier);
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::json;

    pub fn target() -> Target {
        Target {
            model: "gemini".into(),
            provider: "gemini".into(),
            kind: "gemini".into(),
            id: "gemini-x".into(),
            scheme: "https".into(),
            authority: "h".into(),
            api_version: Some("v1beta".into()),
            max_output: Some(1000),
            sampling: Sampling::ALL.to_vec(),
            ..Target::default()
        }
    }

    fn thinking(reasoning: Reasoning) -> Target {
        Target { reasoning: Some(reasoning), ..target() }
    }

    pub fn request(body: &str, target: &Target, surface: Surface) -> Result<(String, UpstreamRequest), Rejection> {
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let mut request = translate(&chat, target, surface)?;
        let Body::Written(body) = &mut request.body else { panic!("not written") };
        let body = String::from_utf8(std::mem::take(body)).unwrap();
        assert!(json::is_valid(body.as_bytes()), "{body}");
        Ok((body, request))
    }

    fn at(path: &[&str], body: &str) -> String {
        let mut value = body.to_owned();
        for name in path {
            value = match Object::parse(value.as_bytes()).unwrap().get(name) {
                Some(value) => value.get().to_owned(),
                None => return String::new(),
            };
        }
        value
    }

    /// A field of what is written for a client's messages and further fields.
    pub fn field(path: &[&str], messages: &str, rest: &str) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        Ok(at(path, &request(&body, &target(), Surface::Studio)?.0))
    }

    const HI: &str = r#"[{"role":"user","content":"hi"}]"#;

    /// The same next to a user's "hi".
    pub fn with(rest: &str, path: &[&str]) -> Result<String, Rejection> {
        field(path, HI, &format!(",{rest}"))
    }

    fn config(rest: &str) -> Result<String, Rejection> {
        with(rest, &["generationConfig"])
    }

    pub fn refused<T: std::fmt::Debug>(result: Result<T, Rejection>) -> String {
        let rejection = result.unwrap_err();
        assert_eq!(rejection.status, 400);
        rejection.param.unwrap()
    }

    fn dropped_by(rest: &str, target: &Target, surface: Surface) -> Dropped {
        request(&format!(r#"{{"model":"m","messages":{HI},{rest}}}"#), target, surface).unwrap().1.dropped
    }

    fn dropped(rest: &str) -> Dropped {
        dropped_by(rest, &target(), Surface::Studio)
    }

    #[test]
    fn the_least_request_is_small_and_its_path_says_who_and_how() {
        let ask = |rest: &str, target: &Target, surface| {
            request(&format!(r#"{{"model":"m","messages":{HI}{rest}}}"#), target, surface).unwrap()
        };
        let (body, made) = ask("", &target(), Surface::Studio);
        assert_eq!(body, r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#);
        assert_eq!(made.path, "/v1beta/models/gemini-x:generateContent");
        assert!(made.dropped.is_empty() && made.headers.is_empty());
        let stream = r#","stream":true,"stream_options":{"include_usage":true}"#;
        assert_eq!(
            ask(stream, &target(), Surface::Studio).1.path,
            "/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
        );
        let vertex = Target { project: Some("p-1".into()), region: Some("eu".into()), ..target() };
        for (id, path) in [
            ("gemini-x", "/v1beta/projects/p-1/locations/eu/publishers/google/models/gemini-x:generateContent"),
            ("meta/llama@001", "/v1beta/projects/p-1/locations/eu/publishers/meta/models/llama%40001:generateContent"),
            ("endpoints/12", "/v1beta/projects/p-1/locations/eu/endpoints/12:generateContent"),
            ("projects/q/locations/l/endpoints/12", "/v1beta/projects/q/locations/l/endpoints/12:generateContent"),
        ] {
            let target = Target { id: id.into(), ..vertex.clone() };
            assert_eq!(ask("", &target, Surface::Vertex).1.path, path);
        }
        for (id, path) in [
            ("tunedModels/a", "/v1beta/tunedModels/a:generateContent"),
            ("models/a b?c#:ü", "/v1beta/models/a%20b%3Fc%23%3A%C3%BC:generateContent"),
        ] {
            let target = Target { id: id.into(), ..target() };
            assert_eq!(ask("", &target, Surface::Studio).1.path, path);
        }
    }

    #[test]
    fn the_limit_is_the_clients_up_to_the_models() {
        let limit = |rest: &str| with(rest, &["generationConfig", "maxOutputTokens"]);
        assert_eq!(limit(r#""max_tokens":7"#).unwrap(), "7");
        assert_eq!(limit(r#""max_tokens":7,"max_completion_tokens":8"#).unwrap(), "8");
        assert_eq!(limit(r#""max_tokens":1001"#).unwrap(), "1000");
        assert_eq!(dropped(r#""max_completion_tokens":1001"#), ["max_completion_tokens"]);
        assert_eq!(refused(limit(r#""max_completion_tokens":0"#)), "max_completion_tokens");
    }

    #[test]
    fn sampling_and_the_like_keep_their_numbers_as_they_were_written() {
        assert_eq!(
            config(
                r#""temperature":1.50,"top_p":0.90,"top_k":40,"seed":-7,"presence_penalty":0.5,"frequency_penalty":0"#
            )
            .unwrap(),
            r#"{"temperature":1.50,"topP":0.90,"topK":40,"presencePenalty":0.5,"seed":-7}"#
        );
        assert_eq!(refused(config(r#""temperature":2.5"#)), "temperature");
        let none = Target { sampling: Vec::new(), ..thinking(Reasoning::Effort) };
        let all = r#""temperature":1,"top_p":1,"presence_penalty":1,"seed":9007199254740993"#;
        assert_eq!(dropped_by(all, &none, Surface::Studio), ["temperature", "top_p", "presence_penalty", "seed"]);
    }

    #[test]
    fn stop_sequences_are_five_at_most_and_not_empty() {
        assert_eq!(config(r#""stop":"a\n""#).unwrap(), r#"{"stopSequences":["a\n"]}"#);
        assert_eq!(config(r#""stop":[" ","b","c","d","e"]"#).unwrap(), r#"{"stopSequences":[" ","b","c","d","e"]}"#);
        for bad in [r#""""#, r#"["a",""]"#, r#"["a","b","c","d","e","f"]"#] {
            assert_eq!(refused(config(&format!(r#""stop":{bad}"#))), "stop");
        }
    }

    #[test]
    fn several_answers_and_log_probabilities_are_asked_for() {
        assert_eq!(config(r#""n":8"#).unwrap(), r#"{"candidateCount":8}"#);
        assert_eq!(config(r#""n":1"#).unwrap(), "");
        assert_eq!(refused(config(r#""n":9"#)), "n");
        assert_eq!(refused(config(r#""n":0"#)), "n");
        assert_eq!(
            config(r#""logprobs":true,"top_logprobs":20"#).unwrap(),
            r#"{"responseLogprobs":true,"logprobs":20}"#
        );
        assert_eq!(config(r#""logprobs":true,"top_logprobs":0"#).unwrap(), r#"{"responseLogprobs":true}"#);
        assert_eq!(config(r#""logprobs":false,"top_logprobs":0"#).unwrap(), "");
        assert_eq!(refused(config(r#""logprobs":true,"top_logprobs":21"#)), "top_logprobs");
        assert_eq!(refused(config(r#""top_logprobs":3"#)), "top_logprobs");
    }

    #[test]
    fn structured_output_has_its_type_and_its_schema() {
        assert_eq!(
            config(r#""response_format":{"type":"json_object"}"#).unwrap(),
            r#"{"responseMimeType":"application/json"}"#
        );
        assert_eq!(config(r#""response_format":{"type":"text"}"#).unwrap(), "");
        let format = |schema: &str| {
            format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"n","strict":true{schema}}}}}"#)
        };
        assert_eq!(
            config(&format(r#","schema":{"type":"object" ,"properties":{"a":{"pattern":"x"}}}"#)).unwrap(),
            r#"{"responseMimeType":"application/json","responseJsonSchema":{"type":"object","properties":{"a":{"description":"{pattern: \"x\"}"}}}}"#
        );
        assert_eq!(refused(config(&format(""))), "response_format.json_schema.schema");
        let tools = r#""tools":[{"type":"function","function":{"name":"f"}}],"response_format":{"type":"json_object"}"#;
        let ask =
            |target: &Target| request(&format!(r#"{{"model":"m","messages":{HI},{tools}}}"#), target, Surface::Studio);
        assert!(ask(&thinking(Reasoning::Effort)).is_ok());
        assert_eq!(refused(ask(&thinking(Reasoning::Budget)).map(|(body, _)| body)), "response_format");
    }

    #[test]
    fn effort_becomes_a_level_or_a_budget() {
        let thinks = |effort: &str, reasoning| {
            let rest = if effort.is_empty() { String::new() } else { format!(r#","reasoning_effort":"{effort}""#) };
            let body = format!(r#"{{"model":"m","messages":{HI}{rest}}}"#);
            let (body, made) = request(&body, &thinking(reasoning), Surface::Studio).unwrap();
            (at(&["generationConfig", "thinkingConfig"], &body), made.dropped.len())
        };
        let level = |level: &str| format!(r#"{{"thinkingLevel":"{level}","includeThoughts":true}}"#);
        for (effort, expected, dropped) in [
            ("", r#"{"includeThoughts":true}"#.to_owned(), 0),
            ("none", r#"{"thinkingLevel":"LOW"}"#.to_owned(), 1),
            ("minimal", level("LOW"), 1),
            ("low", level("LOW"), 0),
            ("medium", level("MEDIUM"), 0),
            ("high", level("HIGH"), 0),
            ("xhigh", level("HIGH"), 1),
        ] {
            assert_eq!(thinks(effort, Reasoning::Effort), (expected, dropped), "{effort}");
        }
        let budget = |budget: &str| (format!(r#"{{"thinkingBudget":{budget},"includeThoughts":true}}"#), 0);
        assert_eq!(thinks("none", Reasoning::Budget), (r#"{"thinkingBudget":0}"#.to_owned(), 0));
        for (effort, expected) in [("minimal", "512"), ("low", "1024"), ("medium", "8192"), ("max", "24576")] {
            assert_eq!(thinks(effort, Reasoning::Budget), budget(expected), "{effort}");
        }
        assert_eq!(thinks("low", Reasoning::Switch), budget("-1"));
        // Pro cannot be told not to think.
        let pro = Target { efforts: vec![Effort::Minimal, Effort::Low], ..thinking(Reasoning::Budget) };
        let body = format!(r#"{{"model":"m","messages":{HI},"reasoning_effort":"none"}}"#);
        let (body, made) = request(&body, &pro, Surface::Studio).unwrap();
        assert!(body.contains(r#"{"thinkingBudget":512,"includeThoughts":true}"#), "{body}");
        assert_eq!(made.dropped, ["reasoning_effort"]);
        assert_eq!(dropped(r#""reasoning_effort":"low""#), ["reasoning_effort"]);
        assert_eq!(refused(config(r#""reasoning_effort":"lots""#)), "reasoning_effort");
    }

    #[test]
    fn fields_of_the_apis_own_pass_through_under_either_name_and_from_either_place() {
        let safety = r#"[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]"#;
        for body in [
            format!(r#""safety_settings":{safety}"#),
            format!(r#""safetySettings":{safety}"#),
            format!(r#""extra_body":{{"google":{{"safety_settings":{safety}}}}}"#),
        ] {
            assert_eq!(with(&body, &["safetySettings"]).unwrap(), safety);
            assert!(dropped(&body).is_empty());
        }
        let own = r#""cached_content":"cachedContents/a","thinking_config":{"thinking_budget":7},"media_resolution":"MEDIA_RESOLUTION_LOW""#;
        assert_eq!(with(own, &["cachedContent"]).unwrap(), r#""cachedContents/a""#);
        assert_eq!(
            config(own).unwrap(),
            r#"{"thinkingConfig":{"thinking_budget":7},"mediaResolution":"MEDIA_RESOLUTION_LOW"}"#
        );
        let both = format!(r#"{own},"reasoning_effort":"low""#);
        assert_eq!(dropped_by(&both, &thinking(Reasoning::Effort), Surface::Studio), ["reasoning_effort"]);
        let vertex = r#""model_armor_config":{},"extra_body":{"x":1,"google":{"y":2}}"#;
        assert_eq!(dropped(vertex), ["model_armor_config", "extra_body.x", "extra_body.google.y"]);
        assert_eq!(dropped_by(vertex, &target(), Surface::Vertex), ["extra_body.x", "extra_body.google.y"]);
    }

    #[test]
    fn what_changes_the_answer_is_refused_and_the_rest_named() {
        for (fields, name) in [
            (r#""modalities":["text","audio"]"#, "modalities"),
            (r#""audio":{"voice":"v"}"#, "audio"),
            (r#""functions":[]"#, "functions"),
            (r#""function_call":"auto""#, "function_call"),
            (r#""moderation":{"model":"m"}"#, "moderation"),
        ] {
            assert_eq!(refused(with(fields, &[])), name);
        }
        assert!(dropped(r#""n":1,"logprobs":false,"modalities":["text"],"audio":null"#).is_empty());
        let quality = r#""logit_bias":{},"user":"u","metadata":{},"x\u002dy":1,"bad name":1,"prediction":null"#;
        assert_eq!(dropped(quality), ["logit_bias", "user", "metadata", "x-y"]);
        let named = r#"{"model":"m","messages":[{"role":"user","name":"ann","content":"hi"}]}"#;
        assert_eq!(request(named, &target(), Surface::Studio).unwrap().1.dropped, ["messages.name"]);
        assert_eq!(with(r#""store":false"#, &["store"]).unwrap(), "false");
        assert_eq!(dropped_by(r#""store":false"#, &target(), Surface::Vertex), ["store"]);
    }

    #[test]
    fn service_tiers_with_an_equivalent_are_mapped() {
        for (tier, expected) in [("auto", ""), ("default", "\"standard\""), ("flex", "\"flex\"")] {
            assert_eq!(with(&format!(r#""service_tier":"{tier}""#), &["serviceTier"]).unwrap(), expected);
        }
        assert_eq!(dropped(r#""service_tier":"scale""#), ["service_tier"]);
    }
}
