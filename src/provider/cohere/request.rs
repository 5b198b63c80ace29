//! Requests: the top level of what is written, and what is refused or left out.

use super::{SCHEMA, messages};
use crate::chat::ChatRequest;
use crate::chat::request::{ResponseFormat, Tool};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Writer};
use crate::provider::distinct::{Rule, ToolNames};
use crate::provider::offer::{Choice, Offer};
use crate::provider::parameters::{self, Dropped, Range};
use crate::provider::{Body, Effort, Reasoning, Sampling, Target, UpstreamRequest, schema};

pub fn translate(chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
    parameters::none_of(chat, REFUSED)?;
    parameters::text_only(chat)?;
    parameters::one_choice(chat)?;
    let mut dropped = parameters::unread(chat, |name| READ.contains(&name));
    let offer = Offer::read(chat)?;
    let format = chat.response_format()?;
    refuse_together(chat, &offer, &format)?;
    let list = chat.messages()?;
    if list.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    let names = offer.names(NAMES, &[], list);

    let mut w = Writer::with_capacity(parameters::room(chat));
    w.begin_object();
    w.key("stream").bool(chat.stream);
    w.key("model").string(&target.id);
    let wants_json = !matches!(format, ResponseFormat::Text);
    let how =
        messages::How { names: &names, thinks: target.reasoning.is_some(), in_json: wants_json && !says_json(chat) };
    messages::write(&mut w, list, &how)?;
    write_tools(&mut w, chat, &offer, &names, &mut dropped)?;
    write_format(&mut w, &format)?;
    let max_tokens = parameters::max_tokens(chat, target, &mut dropped)?;
    if let Some(max_tokens) = max_tokens {
        w.key("max_tokens").number(max_tokens);
    }
    write_stop(&mut w, chat)?;
    write_sampling(&mut w, chat, target, &mut dropped)?;
    write_penalties(&mut w, chat, &mut dropped)?;
    if let Some(seed) = parameters::seed(chat, &mut dropped)? {
        w.key("seed").raw(seed);
    }
    write_logprobs(&mut w, chat)?;
    write_thinking(&mut w, chat, target, max_tokens, &mut dropped)?;
    for name in OWN {
        if let Some(value) = chat.field(name) {
            w.key(name).raw(value.get());
        }
    }
    w.end_object();
    Ok(UpstreamRequest {
        dropped,
        renamed: names.renamed(),
        ..UpstreamRequest::new("/v2/chat", Body::Written(w.into_bytes()))
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
    "p",
    "k",
    "n",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "strict_tools",
    "response_format",
    "logprobs",
    "top_logprobs",
    "modalities",
    "reasoning_effort",
    "thinking",
    "documents",
    "citation_options",
    "safety_mode",
    "priority",
];

/// Cohere's own fields that nothing here has a say in.
const OWN: &[&str] = &["documents", "citation_options", "safety_mode", "priority"];

/// Fields that ask for something in the answer that would silently not be there.
const REFUSED: &[&str] = &["audio", "web_search_options", "functions", "function_call", "moderation"];

/// "Not supported when used in combinations with the `documents` or `tools` parameters"; "not yet
/// configurable in combination with `tools` and `documents`".
fn refuse_together(chat: &ChatRequest<'_>, offer: &Offer<'_>, format: &ResponseFormat<'_>) -> Result<(), Rejection> {
    let has_sources = !offer.tools.is_empty() || chat.field("documents").is_some();
    let refuse = |name: &str| {
        let text = format!("With this model '{name}' cannot be combined with 'tools' or 'documents'.");
        Err(Rejection::unsupported(name, text))
    };
    match format {
        ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. } if has_sources => refuse("response_format"),
        _ if has_sources && chat.field("safety_mode").is_some() => refuse("safety_mode"),
        _ => Ok(()),
    }
}

/// "Tool names can only contain certain characters (A-Za-z0-9_) and can't begin with a digit."
const NAMES: Rule = Rule { punctuation: "_", any_first: false, longest: usize::MAX };

fn write_tools(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    offer: &Offer<'_>,
    names: &ToolNames,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    if chat.bool("parallel_tool_calls")? == Some(false) && !offer.tools.is_empty() {
        dropped.push("parallel_tool_calls".into());
    }
    if offer.tools.is_empty() {
        return Ok(());
    }
    // One tool cannot be named: it is the only one, then.
    let only = if let Choice::Named(place) = offer.choice { Some(place) } else { None };
    let tools: Vec<_> = offer.tools.iter().filter(|(place, _)| only.is_none_or(|only| *place == only)).collect();
    let own = chat.bool("strict_tools")?;
    // One switch for all tools, and none of them may then have optional parameters alone.
    let asks = tools.iter().any(|(_, tool)| tool.strict);
    let can = tools.iter().all(|(_, tool)| has_required(tool.parameters));
    let strict = own.unwrap_or(asks && can);
    if asks && !strict {
        dropped.push("tools.function.strict".into());
    }
    w.key("tools").begin_array();
    for (place, tool) in tools {
        write_tool(w, tool, names, strict, &format!("tools[{place}].function.parameters"))?;
    }
    w.end_array();
    if strict || own.is_some() {
        w.key("strict_tools").bool(strict);
    }
    match offer.choice {
        Choice::Auto => {}
        Choice::None => {
            w.key("tool_choice").string("NONE");
        }
        Choice::Required | Choice::Named(_) => {
            w.key("tool_choice").string("REQUIRED");
        }
    }
    Ok(())
}

fn has_required(parameters: Option<&RawValue>) -> bool {
    let fields = parameters.and_then(Object::of);
    let required = fields.as_ref().and_then(|fields| fields.get("required")).and_then(json::elements);
    required.is_some_and(|required| !required.is_empty())
}

fn write_tool(w: &mut Writer, tool: &Tool<'_>, names: &ToolNames, strict: bool, at: &str) -> Result<(), Rejection> {
    w.begin_object().key("type").string("function").key("function").begin_object();
    w.key("name").raw(&names.sent(tool.name));
    if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
        w.key("description").str(description);
    }
    w.key("parameters");
    match tool.parameters {
        Some(parameters) if strict => w.raw(&schema::reduce(parameters, &SCHEMA, at)?),
        Some(parameters) => w.raw(parameters.get()),
        None => w.raw(r#"{"type":"object","properties":{}}"#),
    };
    w.end_object().end_object();
    Ok(())
}

fn write_format(w: &mut Writer, format: &ResponseFormat<'_>) -> Result<(), Rejection> {
    if matches!(format, ResponseFormat::Text) {
        return Ok(());
    }
    w.key("response_format").begin_object().key("type").string("json_object");
    if let ResponseFormat::JsonSchema { schema, .. } = format {
        let at = "response_format.json_schema.schema";
        let schema = schema.ok_or_else(|| Rejection::missing(at))?;
        w.key("json_schema").raw(&schema::reduce(schema, &SCHEMA, at)?);
    }
    w.end_object();
    Ok(())
}

/// Whether the conversation speaks of JSON, as it has to for an answer in JSON: otherwise the model "may end
/// up getting stuck generating an infinite stream of characters".
fn says_json(chat: &ChatRequest<'_>) -> bool {
    let messages = chat.field("messages").map(RawValue::get).unwrap_or_default();
    messages.as_bytes().windows(4).any(|four| four.eq_ignore_ascii_case(b"json"))
}

fn write_stop(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    const MOST: usize = 5;
    let stop = chat.stop()?;
    if stop.len() > MOST {
        return Err(Rejection::invalid("stop", format!("'stop' can have at most {MOST} sequences.")));
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

/// OpenAI's name, its range there, Cohere's name and its range. Cohere's own name goes before OpenAI's.
fn write_sampling(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    const MAX_K: f64 = 4_294_967_295.0;
    for (parameter, most, own, range) in [
        // "temperature must be between 0 and 1.0 inclusive."
        (Sampling::Temperature, 2.0, "temperature", Range { least: "0", most: "1" }),
        (Sampling::TopP, 1.0, "p", Range { least: "0.01", most: "0.99" }),
        (Sampling::TopK, MAX_K, "k", Range { least: "0", most: "500" }),
    ] {
        let name = parameter.name();
        if name != own
            && let Some(value) = chat.field(own)
        {
            w.key(own).raw(value.get());
            if chat.field(name).is_some() {
                dropped.push(name.into());
            }
            continue;
        }
        if !target.sampling.contains(&parameter) {
            if chat.number(name, 0.0, most)?.is_some() {
                dropped.push(name.into());
            }
        } else if let Some(number) = parameters::clamped(chat, name, (0.0, most), &range, dropped)? {
            w.key(own).raw(number);
        }
    }
    Ok(())
}

/// "Cannot specify both frequency_penalty and presence_penalty": zero, which is what they are otherwise, is
/// left out, and of two the one that grows with the count stays.
fn write_penalties(w: &mut Writer, chat: &ChatRequest<'_>, dropped: &mut Dropped) -> Result<(), Rejection> {
    let mut has_one = false;
    for name in ["frequency_penalty", "presence_penalty"] {
        let range = Range { least: "0", most: "1" };
        let Some(number) = parameters::clamped(chat, name, (-2.0, 2.0), &range, dropped)? else { continue };
        if json::float(number).is_some_and(|number| number == 0.0) {
            continue;
        }
        if has_one {
            dropped.push(name.into());
        } else {
            w.key(name).raw(number);
        }
        has_one = true;
    }
    Ok(())
}

fn write_logprobs(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    if chat.count("top_logprobs")?.is_some_and(|count| count > 0) {
        return Err(parameters::unsupported("top_logprobs"));
    }
    if chat.bool("logprobs")? == Some(true) {
        w.key("logprobs").bool(true);
    }
    Ok(())
}

fn write_thinking(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    target: &Target,
    max_tokens: Option<u64>,
    dropped: &mut Dropped,
) -> Result<(), Rejection> {
    let effort = Effort::read(chat)?;
    if let Some(own) = chat.field("thinking") {
        w.key("thinking").raw(own.get());
        if effort.is_some() {
            dropped.push("reasoning_effort".into());
        }
        return Ok(());
    }
    let Some(effort) = effort else { return Ok(()) };
    let Some(reasoning) = target.reasoning else {
        // Not to think is what such a model does.
        if effort != Effort::None {
            dropped.push("reasoning_effort".into());
        }
        return Ok(());
    };
    let effort = effort.of(target, dropped);
    w.key("thinking").begin_object().key("type");
    w.string(if effort == Effort::None { "disabled" } else { "enabled" });
    if reasoning == Reasoning::Budget
        && effort != Effort::None
        && let Some(budget) = effort.budget()
    {
        // The thoughts count as output: something has to be left for the answer.
        let budget = max_tokens.map_or(budget, |most| budget.min(most.saturating_sub(1)));
        if budget > 0 {
            w.key("token_budget").number(budget);
        }
    }
    w.end_object();
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn target() -> Target {
        Target {
            model: "command".into(),
            provider: "cohere".into(),
            kind: "cohere".into(),
            id: "command-x".into(),
            scheme: "https".into(),
            authority: "api.cohere.com".into(),
            base_path: String::new(),
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

    fn written(body: &str, target: &Target) -> Result<(String, UpstreamRequest), Rejection> {
        let chat = ChatRequest::parse(body.as_bytes()).unwrap();
        let request = translate(&chat, target)?;
        let Body::Written(body) = &request.body else { panic!("not written") };
        let body = String::from_utf8(body.clone()).unwrap();
        assert!(json::is_valid(body.as_bytes()), "{body}");
        Ok((body, request))
    }

    /// A field of what is written for a client's messages and further fields.
    pub fn field(name: &str, messages: &str, rest: &str, target: &Target) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        let (body, _) = written(&body, target)?;
        let fields = Object::parse(body.as_bytes()).unwrap();
        Ok(fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default())
    }

    pub fn refused(result: Result<String, Rejection>) -> String {
        result.unwrap_err().param.unwrap()
    }

    const HI: &str = r#"[{"role":"user","content":"hi json"}]"#;

    fn with(rest: &str, name: &str) -> Result<String, Rejection> {
        field(name, HI, &format!(",{rest}"), &target())
    }

    fn dropped(rest: &str, target: &Target) -> Dropped {
        written(&format!(r#"{{"model":"m","messages":{HI},{rest}}}"#), target).unwrap().1.dropped
    }

    fn tool(name: &str, rest: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":"{name}"{rest}}}}}"#)
    }

    #[test]
    fn the_least_request_is_a_model_and_messages() {
        let (body, request) = written(&format!(r#"{{"model":"m","messages":{HI},"stream":true}}"#), &target()).unwrap();
        let expected = r#"{"stream":true,"model":"command-x","messages":[{"role":"user","content":"hi json"}]}"#;
        assert_eq!(body, expected);
        assert_eq!(request.path, "/v2/chat");
        assert!(request.dropped.is_empty() && request.renamed.is_empty());
    }

    #[test]
    fn sampling_stays_in_coheres_ranges_and_says_so() {
        assert_eq!(with(r#""temperature":0.30"#, "temperature").unwrap(), "0.30");
        assert_eq!(with(r#""temperature":1.5"#, "temperature").unwrap(), "1");
        assert_eq!(with(r#""top_p":1"#, "p").unwrap(), "0.99");
        assert_eq!(with(r#""top_k":1000"#, "k").unwrap(), "500");
        assert_eq!(with(r#""k":7,"top_k":1000"#, "k").unwrap(), "7");
        assert_eq!(
            dropped(r#""temperature":1.5,"top_p":0,"top_k":1000"#, &target()),
            ["temperature", "top_p", "top_k"]
        );
        assert_eq!(dropped(r#""k":7,"top_k":1000,"temperature":1"#, &target()), ["top_k"]);
        let none = Target { sampling: Vec::new(), ..target() };
        assert_eq!(dropped(r#""temperature":0.5,"top_p":0.5"#, &none), ["temperature", "top_p"]);
        assert_eq!(refused(with(r#""temperature":3"#, "p")), "temperature");
    }

    #[test]
    fn of_two_penalties_one_goes_and_none_below_zero() {
        let both = r#""frequency_penalty":0.50,"presence_penalty":0.2"#;
        assert_eq!(with(both, "frequency_penalty").unwrap(), "0.50");
        assert_eq!(with(both, "presence_penalty").unwrap(), "");
        assert_eq!(dropped(both, &target()), ["presence_penalty"]);
        let one = r#""frequency_penalty":0,"presence_penalty":1.5"#;
        assert_eq!(with(one, "presence_penalty").unwrap(), "1");
        assert_eq!(dropped(one, &target()), ["presence_penalty"]);
        assert_eq!(dropped(r#""frequency_penalty":-1"#, &target()), ["frequency_penalty"]);
        assert_eq!(dropped(r#""frequency_penalty":0,"presence_penalty":0.0"#, &target()), [""; 0]);
    }

    #[test]
    fn a_named_tool_is_the_only_one_and_names_fit() {
        let tools = format!(r#""tools":[{},{}]"#, tool("a.b", ""), tool("2g", r#","description":"d""#));
        let names = format!(r#"{tools},"tool_choice":{}"#, tool("2g", ""));
        let g = concat!(
            r#"[{"type":"function","function":{"name":"_2g","description":"d","#,
            r#""parameters":{"type":"object","properties":{}}}}]"#
        );
        assert_eq!(with(&names, "tools").unwrap(), g);
        assert_eq!(with(&names, "tool_choice").unwrap(), "\"REQUIRED\"");
        for (choice, expected) in [("\"auto\"", ""), ("\"none\"", "\"NONE\""), ("\"required\"", "\"REQUIRED\"")] {
            assert_eq!(with(&format!(r#"{tools},"tool_choice":{choice}"#), "tool_choice").unwrap(), expected);
        }
        let (_, request) = written(&format!(r#"{{"model":"m","messages":{HI},{tools}}}"#), &target()).unwrap();
        let pair = |sent: &str, own: &str| (sent.to_owned(), own.to_owned());
        assert_eq!(request.renamed, [pair("_2g", "2g"), pair("a_b", "a.b")]);
        assert_eq!(dropped(&format!(r#"{tools},"parallel_tool_calls":false"#), &target()), ["parallel_tool_calls"]);
    }

    #[test]
    fn strictness_is_one_switch_and_needs_required_parameters() {
        let parameters = r#","strict":true,"parameters":{"type":"object","properties":{"a":{"minimum":1}},"required":["a"],"additionalProperties":false}"#;
        let one = format!(r#""tools":[{}]"#, tool("f", parameters));
        assert_eq!(with(&one, "strict_tools").unwrap(), "true");
        assert!(with(&one, "tools").unwrap().contains(r#""a":{"description":"{minimum: 1}"}"#));
        let two = format!(r#""tools":[{},{}]"#, tool("f", parameters), tool("g", ""));
        assert_eq!(with(&two, "strict_tools").unwrap(), "");
        assert_eq!(dropped(&two, &target()), ["tools.function.strict"]);
        assert_eq!(with(&format!(r#"{two},"strict_tools":true"#), "strict_tools").unwrap(), "true");
    }

    #[test]
    fn structured_output_goes_alone() {
        let schema = r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","required":["a"]}}}"#;
        let expected = r#"{"type":"json_object","json_schema":{"type":"object","required":["a"]}}"#;
        assert_eq!(with(schema, "response_format").unwrap(), expected);
        let object = r#""response_format":{"type":"json_object"}"#;
        assert_eq!(with(object, "response_format").unwrap(), r#"{"type":"json_object"}"#);
        let tools = format!(r#"{object},"tools":[{}]"#, tool("f", ""));
        assert_eq!(refused(with(&tools, "tools")), "response_format");
        assert_eq!(refused(with(&format!(r#"{schema},"documents":["d"]"#), "tools")), "response_format");
        assert_eq!(refused(with(r#""safety_mode":"STRICT","documents":["d"]"#, "tools")), "safety_mode");
        let silent = r#"[{"role":"user","content":"hi"}]"#;
        let told = field("messages", silent, &format!(",{object}"), &target()).unwrap();
        assert_eq!(told, r#"[{"role":"system","content":"Answer in JSON."},{"role":"user","content":"hi"}]"#);
    }

    #[test]
    fn thinking_is_asked_for_in_tokens_where_the_model_thinks() {
        let thinks = |reasoning| Target { reasoning: Some(reasoning), ..target() };
        let thinking = |rest: &str, target: &Target| field("thinking", HI, &format!(",{rest}"), target).unwrap();
        let budget = thinks(Reasoning::Budget);
        assert_eq!(thinking(r#""reasoning_effort":"none""#, &budget), r#"{"type":"disabled"}"#);
        let low = r#"{"type":"enabled","token_budget":2048}"#;
        assert_eq!(thinking(r#""reasoning_effort":"low""#, &budget), low);
        let small = r#""reasoning_effort":"low","max_tokens":100"#;
        assert_eq!(thinking(small, &budget), r#"{"type":"enabled","token_budget":99}"#);
        assert_eq!(thinking(r#""reasoning_effort":"high""#, &budget), r#"{"type":"enabled"}"#);
        assert_eq!(thinking(r#""reasoning_effort":"low""#, &thinks(Reasoning::Switch)), r#"{"type":"enabled"}"#);
        assert_eq!(thinking(r#""stop":"x""#, &budget), "");
        assert_eq!(dropped(r#""reasoning_effort":"low""#, &target()), ["reasoning_effort"]);
        assert_eq!(dropped(r#""reasoning_effort":"none""#, &target()), [""; 0]);
        let own = r#""thinking":{"type":"enabled","token_budget":1},"reasoning_effort":"low""#;
        assert_eq!(thinking(own, &target()), r#"{"type":"enabled","token_budget":1}"#);
        assert_eq!(dropped(own, &budget), ["reasoning_effort"]);
        assert_eq!(refused(with(r#""reasoning_effort":"very""#, "x")), "reasoning_effort");
    }

    #[test]
    fn coheres_own_fields_go_through_and_others_are_named() {
        let own = r#""documents":[{"id":"1","data":{"a":1.0}}],"citation_options":{"mode":"FAST"},"priority":3"#;
        assert_eq!(with(own, "documents").unwrap(), r#"[{"id":"1","data":{"a":1.0}}]"#);
        assert_eq!(with(own, "citation_options").unwrap(), r#"{"mode":"FAST"}"#);
        assert_eq!(with(r#""safety_mode":"OFF""#, "safety_mode").unwrap(), "\"OFF\"");
        assert_eq!(dropped(own, &target()), [""; 0]);
        assert_eq!(dropped(r#""logit_bias":{},"user":"u","seed":-1"#, &target()), ["logit_bias", "user", "seed"]);
        for (asked, param) in [
            (r#""n":2"#, "n"),
            (r#""top_logprobs":1,"logprobs":true"#, "top_logprobs"),
            (r#""audio":{}"#, "audio"),
            (r#""modalities":["text","audio"]"#, "modalities"),
            (r#""stop":["1","2","3","4","5","6"]"#, "stop"),
            (r#""max_tokens":0"#, "max_tokens"),
        ] {
            assert_eq!(refused(with(asked, "x")), param);
        }
        assert_eq!(with(r#""logprobs":true"#, "logprobs").unwrap(), "true");
        assert_eq!(with(r#""max_completion_tokens":9000"#, "max_tokens").unwrap(), "4000");
        assert_eq!(with(r#""stop":["a\n","b"]"#, "stop_sequences").unwrap(), r#"["a\n","b"]"#);
    }
}
