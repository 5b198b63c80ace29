//! Requests: the input and the parameters of what is written, and what is refused or left out.

use std::borrow::Cow;

use super::messages;
use crate::chat::ChatRequest;
use crate::chat::request::{ResponseFormat, Tool};
use crate::error::Rejection;
use crate::json::{self, Writer};
use crate::provider::distinct::{Rule, ToolNames};
use crate::provider::offer::{Choice, Offer};
use crate::provider::parameters::{self, Dropped, Range};
use crate::provider::{Body, Effort, Reasoning, Sampling, Target, UpstreamRequest};

const TEXT: &str = "/services/aigc/text-generation/generation";
const MULTIMODAL: &str = "/services/aigc/multimodal-generation/generation";

pub fn translate(chat: &ChatRequest<'_>, target: &Target, multimodal: bool) -> Result<UpstreamRequest, Rejection> {
    parameters::none_of(chat, REFUSED)?;
    parameters::text_only(chat)?;
    let mut dropped = parameters::unread(chat, |name| READ.contains(&name) || OWN.contains(&name));
    let offer = Offer::read(chat)?;
    let format = chat.response_format()?;
    let list = chat.messages()?;
    if list.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    let names = offer.names(NAMES, &["search"], list);
    let in_blocks = multimodal || messages::has_media(list);

    let mut w = Writer::with_capacity(parameters::room(chat));
    w.begin_object().key("model").string(&target.id).key("input").begin_object();
    let how = messages::How { names: &names, thinks: target.reasoning.is_some(), in_blocks };
    messages::write(&mut w, list, &how, &mut dropped)?;
    w.end_object().key("parameters").begin_object();
    // Without it the answer has an older shape.
    w.key("result_format").string("message");
    if chat.stream {
        // Without it each event has the whole text so far; in answers that are not streamed it is refused.
        w.key("incremental_output").bool(true);
    }
    if let Some(max_tokens) = parameters::max_tokens(chat, target, &mut dropped)? {
        w.key("max_tokens").number(max_tokens);
    }
    write_sampling(&mut w, chat, target, &mut dropped)?;
    write_penalties(&mut w, chat, &mut dropped)?;
    write_stop(&mut w, chat)?;
    if let Some(seed) = parameters::seed(chat, &mut dropped)? {
        w.key("seed").raw(seed);
    }
    let choices = choices(chat, &offer)?;
    if choices > 1 {
        w.key("n").number(choices);
    }
    write_logprobs(&mut w, chat)?;
    write_tools(&mut w, chat, &offer, &names, &mut dropped)?;
    if !matches!(format, ResponseFormat::Text)
        && let Some(format) = chat.field("response_format")
    {
        w.key("response_format").raw(format.get());
    }
    let excludes_thinking = forces(&offer) || choices > 1 || !matches!(format, ResponseFormat::Text);
    write_thinking(&mut w, chat, target, excludes_thinking, &mut dropped)?;
    for name in OWN {
        if let Some(value) = chat.field(name) {
            w.key(name).raw(value.get());
        }
    }
    w.end_object().end_object();
    let mut headers = Vec::new();
    if chat.stream {
        headers.push(("x-dashscope-sse", Cow::Borrowed("enable")));
    }
    if let Some(workspace) = &target.project {
        headers.push(("x-dashscope-workspace", Cow::Owned(workspace.clone())));
    }
    let path = if in_blocks { MULTIMODAL } else { TEXT };
    Ok(UpstreamRequest {
        headers,
        dropped,
        renamed: names.renamed(),
        ..UpstreamRequest::new(path, Body::Written(w.into_bytes()))
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
];

/// DashScope's own parameters, which only some of its models know.
pub const OWN: &[&str] = &[
    "enable_thinking",
    "thinking_budget",
    "preserve_thinking",
    "repetition_penalty",
    "max_input_tokens",
    "enable_search",
    "search_options",
    "enable_code_interpreter",
    "translation_options",
    "vl_high_resolution_images",
    "vl_enable_image_hw_output",
    "ocr_options",
    "asr_options",
];

/// Fields that ask for something in the answer that would silently not be there.
const REFUSED: &[&str] = &["audio", "web_search_options", "functions", "function_call", "moderation"];

/// As OpenAI's. None may be called `search`: "Tool names are not allowed to be [search]".
const NAMES: Rule = Rule { punctuation: "_-", any_first: true, longest: 64 };

/// "Range of n should be [1, 4]", without tools.
fn choices(chat: &ChatRequest<'_>, offer: &Offer<'_>) -> Result<u64, Rejection> {
    let choices = parameters::choices(chat, 4)?;
    if choices > 1 && !offer.tools.is_empty() {
        return Err(Rejection::unsupported("n", "With tools this model gives one answer only: 'n' must be 1."));
    }
    Ok(choices)
}

fn write_sampling(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    const MAX_K: f64 = 4_294_967_295.0;
    for (parameter, most, range) in [
        // "Temperature should be in [0.0, 2.0)", "range of top_p should be (0.0, 1.0]".
        (Sampling::Temperature, 2.0, Range { least: "0", most: "1.99" }),
        (Sampling::TopP, 1.0, Range { least: "0.01", most: "1" }),
        (Sampling::TopK, MAX_K, Range { least: "0", most: "4294967295" }),
    ] {
        let name = parameter.name();
        if !target.sampling.contains(&parameter) {
            if chat.number(name, 0.0, most)?.is_some() {
                dropped.push(name.into());
            }
        } else if let Some(number) = parameters::clamped(chat, name, (0.0, most), &range, dropped)? {
            w.key(name).raw(number);
        }
    }
    Ok(())
}

/// The SDK knows of a penalty for what is there, and of none for how often.
fn write_penalties(w: &mut Writer, chat: &ChatRequest<'_>, dropped: &mut Dropped) -> Result<(), Rejection> {
    if let Some(number) = chat.number("presence_penalty", -2.0, 2.0)? {
        w.key("presence_penalty").raw(number);
    }
    let frequency = chat.number("frequency_penalty", -2.0, 2.0)?;
    if frequency.is_some_and(|number| json::float(number).is_some_and(|number| number != 0.0)) {
        dropped.push("frequency_penalty".into());
    }
    Ok(())
}

fn write_stop(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    let stop = chat.stop()?;
    if !stop.is_empty() {
        w.key("stop").begin_array();
        for text in stop {
            w.str(text);
        }
        w.end_array();
    }
    Ok(())
}

fn write_logprobs(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    const MOST: u64 = 5;
    if chat.bool("logprobs")? != Some(true) {
        return Ok(());
    }
    w.key("logprobs").bool(true);
    match chat.count("top_logprobs")? {
        Some(count) if count > MOST => {
            let text = format!("With this model 'top_logprobs' must be at most {MOST}.");
            return Err(Rejection::unsupported("top_logprobs", text));
        }
        Some(count) => {
            w.key("top_logprobs").number(count);
        }
        None => {}
    }
    Ok(())
}

/// Whether the model is told which tool to call. It cannot be told to call any, but if there is one only
/// that is the same.
fn forces(offer: &Offer<'_>) -> bool {
    matches!(offer.choice, Choice::Named(_) | Choice::Required)
}

fn write_tools(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    offer: &Offer<'_>,
    names: &ToolNames,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    let parallel = chat.bool("parallel_tool_calls")?;
    if offer.tools.is_empty() {
        return Ok(());
    }
    if offer.tools.iter().any(|(_, tool)| tool.strict) {
        dropped.push("tools.function.strict".into());
    }
    w.key("tools").begin_array();
    for (_, tool) in &offer.tools {
        write_tool(w, tool, names);
    }
    w.end_array();
    let named = match (&offer.choice, offer.tools.as_slice()) {
        (Choice::Named(place), tools) => tools.iter().find(|(at, _)| at == place),
        (Choice::Required, [one]) => Some(one),
        // "tool_choice is one of the strings that should be ["none", "auto"]"
        (Choice::Required, _) => {
            let text = "This model cannot be made to call any tool; name the one that it has to call.";
            return Err(Rejection::unsupported("tool_choice", text));
        }
        (Choice::Auto | Choice::None, _) => None,
    };
    if let Some((_, tool)) = named {
        w.key("tool_choice").begin_object().key("type").string("function").key("function").begin_object();
        w.key("name").raw(&names.sent(tool.name)).end_object().end_object();
    } else if offer.choice == Choice::None {
        w.key("tool_choice").string("none");
    }
    // Off unless it is asked for, and with OpenAI the other way around.
    w.key("parallel_tool_calls").bool(parallel.unwrap_or(true));
    Ok(())
}

fn write_tool(w: &mut Writer, tool: &Tool<'_>, names: &ToolNames) {
    w.begin_object().key("type").string("function").key("function").begin_object();
    w.key("name").raw(&names.sent(tool.name));
    if let Some(description) = tool.description {
        w.key("description").str(description);
    }
    w.key("parameters");
    match tool.parameters {
        Some(parameters) => w.raw(parameters.get()),
        None => w.raw(r#"{"type":"object","properties":{}}"#),
    };
    w.end_object();
    if let Some(cache) = tool.fields.get("cache_control") {
        w.key("cache_control").raw(cache.get());
    }
    w.end_object();
}

/// Thinking goes neither with a tool that has to be called, nor with an answer in JSON, nor with several
/// answers: the request is refused, then.
fn write_thinking(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    is_excluded: bool,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    let effort = Effort::read(chat)?;
    let is_own = ["enable_thinking", "thinking_budget"].iter().any(|name| chat.field(name).is_some());
    let Some(reasoning) = target.reasoning.filter(|_| !is_own) else {
        // Not to think is what a model does that does not.
        if effort.is_some_and(|effort| is_own || effort != Effort::None) {
            dropped.push("reasoning_effort".into());
        }
        return Ok(());
    };
    let effort = match effort {
        Some(effort) if !is_excluded => effort.of(target, dropped),
        None if !is_excluded => return Ok(()),
        asked => {
            if asked.is_some_and(|effort| effort != Effort::None) {
                dropped.push("reasoning_effort".into());
            }
            Effort::None
        }
    };
    // One of them: together they are refused.
    if reasoning == Reasoning::Effort {
        w.key("reasoning_effort").string(effort.name());
        return Ok(());
    }
    w.key("enable_thinking").bool(effort != Effort::None);
    if reasoning == Reasoning::Budget
        && let Some(budget) = effort.budget().filter(|budget| *budget > 0)
    {
        w.key("thinking_budget").number(budget);
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::json::{self, Object};

    pub fn target() -> Target {
        Target {
            model: "qwen".into(),
            provider: "dashscope".into(),
            kind: "dashscope".into(),
            id: "qwen-x".into(),
            scheme: "https".into(),
            authority: "dashscope-intl.aliyuncs.com".into(),
            base_path: "/api/v1".into(),
            api_version: None,
            region: None,
            project: None,
            context_window: None,
            max_output: Some(4000),
            sampling: Sampling::ALL.to_vec(),
            reasoning: None,
            efforts: Vec::new(),
        }
    }

    fn written(body: &str, target: &Target, multimodal: bool) -> Result<(String, UpstreamRequest), Rejection> {
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let request = translate(&chat, target, multimodal)?;
        let Body::Written(body) = &request.body else { panic!("not written") };
        let body = String::from_utf8(body.clone()).unwrap();
        assert!(json::is_valid(body.as_bytes()), "{body}");
        Ok((body, request))
    }

    /// A field of what is written for a client's messages and further fields.
    pub fn field(
        name: &str,
        messages: &str,
        rest: &str,
        target: &Target,
        multimodal: bool,
    ) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        let (body, _) = written(&body, target, multimodal)?;
        let fields = Object::parse(body.as_bytes()).unwrap();
        Ok(fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default())
    }

    pub fn refused(result: Result<String, Rejection>) -> String {
        result.unwrap_err().param.unwrap()
    }

    const HI: &str = r#"[{"role":"user","content":"hi"}]"#;

    /// The parameters that are written for further fields of the client, the format apart.
    fn with(rest: &str, target: &Target) -> Result<String, Rejection> {
        let parameters = field("parameters", HI, &format!(",{rest}"), target, false)?;
        let rest = parameters.strip_prefix(r#"{"result_format":"message""#).unwrap().strip_suffix('}').unwrap();
        Ok(rest.trim_start_matches(',').to_owned())
    }

    fn dropped(rest: &str, target: &Target) -> Dropped {
        written(&format!(r#"{{"model":"m","messages":{HI},{rest}}}"#), target, false).unwrap().1.dropped
    }

    fn tool(name: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#)
    }

    fn thinks(reasoning: Reasoning) -> Target {
        Target { reasoning: Some(reasoning), ..target() }
    }

    #[test]
    fn the_address_follows_the_content_and_the_stream_is_a_header() {
        let body = format!(r#"{{"model":"m","messages":{HI},"stream":true}}"#);
        let (text, request) = written(&body, &target(), false).unwrap();
        let expected = concat!(
            r#"{"model":"qwen-x","input":{"messages":[{"role":"user","content":"hi"}]},"#,
            r#""parameters":{"result_format":"message","incremental_output":true}}"#
        );
        assert_eq!(text, expected);
        assert_eq!((request.path.as_str(), &request.headers[..]), (TEXT, &[("x-dashscope-sse", "enable".into())][..]));
        assert_eq!(written(&body, &target(), true).unwrap().1.path, MULTIMODAL);
        let image = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/i"}}]}]}"#;
        let workspace = Target { project: Some("ws".into()), ..target() };
        let (_, request) = written(image, &workspace, false).unwrap();
        let headers = &[("x-dashscope-workspace", Cow::Borrowed("ws"))][..];
        assert_eq!((request.path.as_str(), &request.headers[..]), (MULTIMODAL, headers));
    }

    #[test]
    fn sampling_stays_in_range_and_what_is_missing_is_named() {
        let most =
            r#""temperature":2,"top_p":0,"top_k":20,"presence_penalty":-1.50,"seed":7,"stop":"x","max_tokens":9"#;
        let expected = r#""max_tokens":9,"temperature":1.99,"top_p":0.01,"top_k":20,"presence_penalty":-1.50,"stop":["x"],"seed":7"#;
        assert_eq!(with(most, &target()).unwrap(), expected);
        assert_eq!(dropped(most, &target()), ["temperature", "top_p"]);
        let none = r#""frequency_penalty":0.5,"seed":-1,"logit_bias":{},"user":"u","enable_search":true"#;
        assert_eq!(dropped(none, &target()), ["logit_bias", "user", "frequency_penalty", "seed"]);
        assert_eq!(with(none, &target()).unwrap(), r#""enable_search":true"#);
        assert_eq!(dropped(r#""frequency_penalty":0"#, &target()), [""; 0]);
        let plain = Target { sampling: Vec::new(), ..target() };
        assert_eq!(dropped(r#""temperature":1,"top_k":1"#, &plain), ["temperature", "top_k"]);
    }

    #[test]
    fn several_answers_and_log_probabilities_are_asked_for_within_limits() {
        let logprobs = r#""n":4,"logprobs":true,"top_logprobs":5"#;
        assert_eq!(with(logprobs, &target()).unwrap(), logprobs);
        for (asked, param) in [
            (r#""n":5"#.to_owned(), "n"),
            (r#""n":0"#.to_owned(), "n"),
            (format!(r#""n":2,"tools":[{}]"#, tool("f")), "n"),
            (r#""logprobs":true,"top_logprobs":6"#.to_owned(), "top_logprobs"),
            (r#""modalities":["audio"]"#.to_owned(), "modalities"),
        ] {
            assert_eq!(refused(with(&asked, &target())), param);
        }
    }

    #[test]
    fn a_tool_is_forced_by_name_only() {
        let tools = format!(r#""tools":[{},{}]"#, tool("search"), tool("a.b"));
        let choice = |choice: &str| {
            let parameters = with(&format!("{tools},{choice}"), &target())?;
            Ok(parameters.split_once(r#"}}}],"#).unwrap().1.to_owned())
        };
        let named = format!(r#""tool_choice":{}"#, tool("search"));
        let written = r#""tool_choice":{"type":"function","function":{"name":"search_2"}},"parallel_tool_calls":true"#;
        assert_eq!(choice(&named).unwrap(), written);
        assert_eq!(choice(r#""tool_choice":"none""#).unwrap(), r#""tool_choice":"none","parallel_tool_calls":true"#);
        assert_eq!(choice(r#""parallel_tool_calls":false"#).unwrap(), r#""parallel_tool_calls":false"#);
        assert_eq!(refused(choice(r#""tool_choice":"required""#)), "tool_choice");
        let only = format!(
            r#""tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"required","tools":[{}]}}}}"#,
            tool("search")
        );
        assert_eq!(choice(&only).unwrap(), written);
        let body = format!(r#"{{"model":"m","messages":{HI},{tools}}}"#);
        let request = super::tests::written(&body, &target(), false).unwrap().1;
        let pair = |sent: &str, own: &str| (sent.to_owned(), own.to_owned());
        assert_eq!(request.renamed, [pair("a_b", "a.b"), pair("search_2", "search")]);
    }

    #[test]
    fn thinking_is_told_in_the_form_that_the_model_knows() {
        let low = r#""reasoning_effort":"low""#;
        let none = r#""reasoning_effort":"none""#;
        let budget = thinks(Reasoning::Budget);
        assert_eq!(with(low, &budget).unwrap(), r#""enable_thinking":true,"thinking_budget":2048"#);
        assert_eq!(with(r#""reasoning_effort":"high""#, &budget).unwrap(), r#""enable_thinking":true"#);
        assert_eq!(with(none, &budget).unwrap(), r#""enable_thinking":false"#);
        assert_eq!(with(low, &thinks(Reasoning::Switch)).unwrap(), r#""enable_thinking":true"#);
        assert_eq!(with(low, &thinks(Reasoning::Effort)).unwrap(), low);
        assert_eq!(with(none, &thinks(Reasoning::Effort)).unwrap(), none);
        assert_eq!(with(r#""stop":[]"#, &budget).unwrap(), "");
        assert_eq!(with(low, &target()).unwrap(), "");
        assert_eq!(dropped(low, &target()), ["reasoning_effort"]);
        assert_eq!(dropped(none, &target()), [""; 0]);
        let own = r#""enable_thinking":true,"thinking_budget":5,"preserve_thinking":true"#;
        assert_eq!(with(&format!("{own},{low}"), &budget).unwrap(), own);
        assert_eq!(dropped(&format!("{own},{low}"), &budget), ["reasoning_effort"]);
    }

    #[test]
    fn thinking_makes_way_for_what_it_does_not_go_with() {
        let low = r#""reasoning_effort":"low""#;
        let named = format!(r#""tools":[{}],"tool_choice":{}"#, tool("f"), tool("f"));
        let schema =
            r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type": "object"}}}"#;
        for excluding in [named.as_str(), schema, r#""n":2"#] {
            let asked = format!("{excluding},{low}");
            let written = with(&asked, &thinks(Reasoning::Budget)).unwrap();
            assert!(written.ends_with(r#""enable_thinking":false"#), "{written}");
            assert_eq!(dropped(&asked, &thinks(Reasoning::Budget)), ["reasoning_effort"]);
            assert_eq!(dropped(excluding, &thinks(Reasoning::Budget)), [""; 0]);
            let effort = with(excluding, &thinks(Reasoning::Effort)).unwrap();
            assert!(effort.ends_with(r#""reasoning_effort":"none""#), "{effort}");
            assert!(!with(excluding, &target()).unwrap().contains("thinking"));
        }
        assert_eq!(with(schema, &target()).unwrap(), schema);
    }
}
