//! Requests: one pass over the client's messages, whose texts are spliced rather than decoded.
//!
//! Anthropic refuses fields that it does not know, so only what is named here is ever written; what is
//! left out is named in `dropped`, and refused where leaving it out would change what the answer is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::schema;
use crate::chat::ChatRequest;
use crate::chat::request::{Content, Message, Part, ResponseFormat, Role, Tool, ToolCall, ToolChoice};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::provider::{Body, Sampling, Target, UpstreamRequest};

/// The later version, 2026-10-21, only takes things away: sampling parameters, which some models
/// still take, and forms of content that are never written here.
const HEADERS: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];

/// In place of `json_object`, which Anthropic does not have.
const ANSWER_IN_JSON: &str =
    "Answer with a single valid JSON object and nothing else: no other text and no code fences around it.";

pub fn translate(chat: &ChatRequest<'_>, target: &Target) -> Result<UpstreamRequest, Rejection> {
    refuse(chat)?;
    let mut dropped = unknown_fields(chat);
    let format = chat.response_format()?;
    let tools = chat.tools()?;
    let messages = chat.messages()?;
    if messages.iter().any(|message| message.name.is_some()) {
        dropped.push("messages.name".into());
    }
    let (system, conversation) = messages.split_at(leading_system_messages(&messages));

    let mut w = Writer::with_capacity(chat.body.len() + 1024);
    w.begin_object();
    w.key("model").string(&target.id);
    w.key("max_tokens").number(max_tokens(chat, target, &mut dropped)?);
    write_system(&mut w, system, &format)?;
    write_messages(&mut w, conversation)?;
    write_tools(&mut w, chat, &tools)?;
    if let ResponseFormat::JsonSchema { schema, .. } = format {
        let at = "response_format.json_schema.schema";
        let schema = schema.ok_or_else(|| Rejection::missing(at))?;
        w.key("output_config").begin_object().key("format").begin_object();
        w.key("type").string("json_schema").key("schema").raw(&schema::reduce(schema, at)?);
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
    Ok(UpstreamRequest { path: "/v1/messages".into(), headers: HEADERS, body: Body::Written(w.into_bytes()), dropped })
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
    let unsupported =
        |name: &str| Err(Rejection::unsupported(name, format!("'{name}' is not supported by this model.")));
    if let Some(name) = REFUSED.iter().find(|name| chat.field(name).is_some()) {
        return unsupported(name);
    }
    match chat.count("n")? {
        None | Some(1) => {}
        Some(0) => return Err(Rejection::invalid("n", "'n' must be at least 1.")),
        Some(_) => return Err(Rejection::unsupported("n", "This model gives one answer only: 'n' must be 1.")),
    }
    if chat.bool("logprobs")? == Some(true) {
        return unsupported("logprobs");
    }
    if chat.count("top_logprobs")?.is_some_and(|count| count > 0) {
        return unsupported("top_logprobs");
    }
    let modalities = chat.field("modalities").map(|list| json::elements(list).unwrap_or_else(|| vec![list]));
    if modalities.is_some_and(|modalities| modalities.iter().any(|modality| modality.get() != "\"text\"")) {
        return Err(Rejection::unsupported("modalities", "This model answers with text only."));
    }
    Ok(())
}

/// The client's fields that have no equivalent, by name. The names end up in a header: only plain ones
/// count, and not more of them than anybody would read.
fn unknown_fields(chat: &ChatRequest<'_>) -> Vec<Cow<'static, str>> {
    const MOST: usize = 16;
    let plain = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let mut names: Vec<Cow<'static, str>> = Vec::new();
    for (name, _) in chat.fields() {
        if names.len() < MOST && !READ.contains(&name) && plain(name) && !names.iter().any(|known| known == name) {
            names.push(Cow::Owned(name.to_owned()));
        }
    }
    names
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

/// How many messages go into the top-level `system`. Where there are no others they are the
/// conversation: Anthropic refuses one without messages, and OpenAI answers it.
fn leading_system_messages(messages: &[Message<'_>]) -> usize {
    let count = messages.iter().take_while(|message| is_system(message)).count();
    if count == messages.len() { 0 } else { count }
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

fn write_system(w: &mut Writer, messages: &[Message<'_>], format: &ResponseFormat<'_>) -> Result<(), Rejection> {
    let in_json = matches!(format, ResponseFormat::JsonObject);
    if !in_json && !messages.iter().any(says_anything) {
        return Ok(());
    }
    w.key("system").begin_array();
    for message in messages {
        write_content(w, message)?;
    }
    if in_json {
        w.begin_object().key("type").string("text").key("text").string(ANSWER_IN_JSON).end_object();
    }
    w.end_array();
    Ok(())
}

/// Messages that follow each other in one role: Anthropic's turns alternate.
struct Turn<'m, 'a> {
    assistant: bool,
    messages: Vec<&'m Message<'a>>,
}

/// A system message in the middle of a conversation becomes text of the user's turn at its place.
/// Anthropic has such messages, too, but only some models take them. A message that says nothing is
/// left out: empty content is refused.
fn turns<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<Turn<'m, 'a>> {
    let mut turns: Vec<Turn<'m, 'a>> = Vec::new();
    for message in messages.iter().filter(|message| says_anything(message)) {
        let assistant = message.role == Role::Assistant;
        match turns.last_mut() {
            Some(turn) if turn.assistant == assistant => turn.messages.push(message),
            _ => turns.push(Turn { assistant, messages: vec![message] }),
        }
    }
    turns
}

fn write_messages(w: &mut Writer, messages: &[Message<'_>]) -> Result<(), Rejection> {
    for message in messages {
        refuse_message(message)?;
    }
    let turns = turns(messages);
    match turns.first().map(|turn| (turn.assistant, turn.messages.first())) {
        None | Some((_, None)) => return Err(Rejection::invalid("messages", "No message has any content.")),
        // A made-up user's turn before it would be something that nobody has said.
        Some((true, Some(first))) => {
            let message = "With this model a conversation cannot begin with an assistant message.";
            return Err(Rejection::invalid(first.at("role"), message));
        }
        Some((false, _)) => {}
    }
    let mut ids = CallIds::default();
    let mut calls = Calls::default();
    w.key("messages").begin_array();
    for turn in &turns {
        w.begin_object().key("role").string(if turn.assistant { "assistant" } else { "user" });
        w.key("content").begin_array();
        if turn.assistant {
            for message in &turn.messages {
                write_content(w, message)?;
                write_refusal(w, message);
                for (index, call) in message.tool_calls.iter().enumerate() {
                    let at = format!("messages[{}].tool_calls[{index}]", message.index);
                    let id = ids.assign(&call.id.decode());
                    write_call(w, call, &id, &at)?;
                    calls.add(call, id, at)?;
                }
            }
        } else {
            // Results come first, in the order of the calls, whatever the client's order.
            for (id, message) in std::mem::take(&mut calls).answered_by(&turn.messages)? {
                write_result(w, message, &id)?;
            }
            for message in turn.messages.iter().filter(|message| message.role != Role::Tool) {
                write_content(w, message)?;
            }
        }
        w.end_array().end_object();
    }
    w.end_array();
    calls.answered_by(&[]).map(drop)
}

fn refuse_message(message: &Message<'_>) -> Result<(), Rejection> {
    if message.role == Role::Function {
        return Err(Rejection::unsupported(
            message.at("role"),
            "Messages of the role 'function' are not supported by this model; use 'tool'.",
        ));
    }
    for name in ["function_call", "audio"] {
        let given = message.fields.get(name).is_some_and(|value| json::type_of(value) != Type::Null);
        if given && message.role == Role::Assistant {
            let text = format!("'{name}' in a message is not supported by this model.");
            return Err(Rejection::unsupported(message.at(name), text));
        }
    }
    Ok(())
}

fn says_anything(message: &Message<'_>) -> bool {
    let content = match &message.content {
        Content::None => false,
        Content::Text(text) => !is_blank(*text),
        Content::Parts(parts) => parts.iter().any(says_part),
    };
    content
        || message.role == Role::Tool
        || !message.tool_calls.is_empty()
        || message.refusal.is_some_and(|text| !is_blank(text))
}

fn says_part(part: &Part<'_>) -> bool {
    match part {
        Part::Text(text) | Part::Refusal(text) => !is_blank(*text),
        Part::Image { .. } | Part::Other { .. } => true,
    }
}

/// Text blocks that are empty, or nothing but white space, are refused.
fn is_blank(text: Str<'_>) -> bool {
    let escaped = text.escaped().trim_start();
    escaped.is_empty() || (escaped.starts_with('\\') && text.decode().trim().is_empty())
}

/// A message's content as blocks; its calls and results are not among them.
fn write_content(w: &mut Writer, message: &Message<'_>) -> Result<(), Rejection> {
    let parts = match &message.content {
        Content::None => return Ok(()),
        Content::Text(text) => {
            write_text(w, *text);
            return Ok(());
        }
        Content::Parts(parts) => parts,
    };
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Text(text) | Part::Refusal(text) => write_text(w, *text),
            Part::Image { url } => {
                let at = message.at(&format!("content[{index}]"));
                // OpenAI allows images of users only; a tool's are a common extension.
                if !matches!(message.role, Role::User | Role::Tool) {
                    return Err(Rejection::invalid(at, "Only user and tool messages can have images."));
                }
                write_image(w, *url).map_err(|problem| Rejection::invalid(format!("{at}.image_url.url"), problem))?;
            }
            Part::Other { kind, at, .. } => {
                let text = format!("Content of the type '{kind}' is not supported by this model.");
                return Err(Rejection::unsupported(at.as_str(), text));
            }
        }
    }
    Ok(())
}

fn write_text(w: &mut Writer, text: Str<'_>) {
    if !is_blank(text) {
        w.begin_object().key("type").string("text").key("text").str(text).end_object();
    }
}

fn write_refusal(w: &mut Writer, message: &Message<'_>) {
    if let Some(refusal) = message.refusal {
        write_text(w, refusal);
    }
}

/// `detail` has no equivalent and changes no contract.
fn write_image(w: &mut Writer, url: Str<'_>) -> Result<(), String> {
    // Borrowed unless the client escapes its slashes, as PHP does.
    let text = url.decode();
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") {
        let (media_type, data) = image_data(rest)?;
        w.begin_object().key("type").string("image").key("source").begin_object();
        w.key("type").string("base64").key("media_type").string(media_type).key("data").escaped(&[data]);
    } else if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        w.begin_object().key("type").string("image").key("source").begin_object();
        w.key("type").string("url").key("url").str(url);
    } else {
        return Err("An image must be given by an http or https address or as a data URL.".into());
    }
    w.end_object().end_object();
    Ok(())
}

/// Media type and base64 text of a data URL (RFC 2397), without its scheme.
fn image_data(url: &str) -> Result<(&'static str, &str), String> {
    let malformed = || "The data URL is malformed: 'data:image/...;base64,...' is expected.".to_owned();
    let (head, data) = url.split_once(',').ok_or_else(malformed)?;
    let (head, encoding) = head.rsplit_once(';').ok_or_else(malformed)?;
    if !encoding.eq_ignore_ascii_case("base64") || data.is_empty() || !is_base64(data) {
        return Err(malformed());
    }
    let media_type = head.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let media_type = match media_type.as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        // Told by the file's first bytes.
        "" if data.starts_with("/9j/") => "image/jpeg",
        "" if data.starts_with("iVBORw0KGgo") => "image/png",
        "" if data.starts_with("R0lGOD") => "image/gif",
        "" if data.starts_with("UklGR") => "image/webp",
        _ => return Err("Images must be of the type image/jpeg, image/png, image/gif or image/webp.".into()),
    };
    Ok((media_type, data))
}

/// Whether the alphabet is right, which is what makes the text safe to splice. Without an early end, so
/// that the compiler can look at many bytes at once: images are megabytes.
fn is_base64(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/') | (byte == b'=');
    text.bytes().fold(true, |all, byte| all & fits(byte))
}

fn write_call(w: &mut Writer, call: &ToolCall<'_>, id: &str, at: &str) -> Result<(), Rejection> {
    check_name(call.name, || format!("{at}.function.name"))?;
    let text = call.arguments.decode();
    let input = match text.trim() {
        "" => "{}",
        text => text,
    };
    // Goes out as it is: key order and numbers are the model's own.
    if !input.starts_with('{') || !json::is_valid(input.as_bytes()) {
        let at = format!("{at}.function.arguments");
        return Err(Rejection::invalid(at, "The arguments of a tool call must be a JSON object."));
    }
    w.begin_object().key("type").string("tool_use").key("id").string(id);
    w.key("name").str(call.name).key("input").raw(input).end_object();
    Ok(())
}

fn write_result(w: &mut Writer, message: &Message<'_>, id: &str) -> Result<(), Rejection> {
    w.begin_object().key("type").string("tool_result").key("tool_use_id").string(id);
    match &message.content {
        Content::Text(text) => {
            w.key("content").str(*text);
        }
        Content::Parts(parts) if parts.iter().any(says_part) => {
            w.key("content").begin_array();
            write_content(w, message)?;
            w.end_array();
        }
        Content::Parts(_) | Content::None => {}
    }
    // OpenAI has no such flag; clients that also speak to Anthropic send it along.
    if message.fields.get("is_error").is_some_and(|value| value.get() == "true") {
        w.key("is_error").bool(true);
    }
    w.end_object();
    Ok(())
}

/// Call ids as Anthropic takes them (`^[a-zA-Z0-9_-]+$`, each once in a conversation). Different calls
/// have different ones, a fitting id stays as it is, and what an id becomes depends on earlier ones
/// only: a conversation that grows keeps its prefix, and with it the cache.
#[derive(Default)]
struct CallIds(BTreeMap<String, u32>);

impl CallIds {
    fn assign(&mut self, id: &str) -> String {
        let fits = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
        let base = match id {
            "" => "call".to_owned(),
            id => id.replace(|char| !fits(char), "_"),
        };
        let mut assigned = base.clone();
        while self.0.contains_key(&assigned) {
            // Counts on where it stopped: repeated ids must not cost their square.
            let count = self.0.entry(base.clone()).or_insert(1);
            *count += 1;
            assigned = format!("{base}_{count}");
        }
        self.0.insert(assigned.clone(), 1);
        assigned
    }
}

/// The calls of one turn: each has to be answered by the next.
#[derive(Default)]
struct Calls<'a> {
    places: BTreeMap<Cow<'a, str>, usize>,
    calls: Vec<Call>,
}

struct Call {
    id: String,
    at: String,
}

impl<'a> Calls<'a> {
    fn add(&mut self, call: &ToolCall<'a>, id: String, at: String) -> Result<(), Rejection> {
        if self.places.insert(call.id.decode(), self.calls.len()).is_some() {
            return Err(Rejection::invalid(format!("{at}.id"), "Two tool calls have the same id."));
        }
        self.calls.push(Call { id, at });
        Ok(())
    }

    /// The results among the messages, in the order of the calls.
    fn answered_by<'m>(self, messages: &[&'m Message<'a>]) -> Result<Vec<(String, &'m Message<'a>)>, Rejection> {
        let mut results: Vec<Option<&'m Message<'a>>> = vec![None; self.calls.len()];
        for message in messages.iter().filter(|message| message.role == Role::Tool) {
            let at = || message.at("tool_call_id");
            let id = message.tool_call_id.ok_or_else(|| Rejection::missing(&at()))?;
            let place = self.places.get(&id.decode()).and_then(|place| results.get_mut(*place));
            match place {
                Some(result @ None) => *result = Some(message),
                Some(Some(_)) => return Err(Rejection::invalid(at(), "This tool call has been answered already.")),
                None => {
                    let text = "A tool message must answer a tool call of the assistant message before it.";
                    return Err(Rejection::invalid(at(), text));
                }
            }
        }
        let pairs = self.calls.into_iter().zip(results);
        let answered = pairs.map(|(call, result)| match result {
            Some(message) => Ok((call.id, message)),
            None => Err(Rejection::invalid(call.at, "A tool message must follow for every tool call.")),
        });
        answered.collect()
    }
}

fn write_tools(w: &mut Writer, chat: &ChatRequest<'_>, tools: &[Tool<'_>]) -> Result<(), Rejection> {
    let choice = chat.tool_choice()?;
    let one_at_a_time = chat.bool("parallel_tool_calls")? == Some(false);
    if tools.is_empty() {
        // `auto`, `none` and `parallel_tool_calls` ask for nothing that is not so without tools.
        return match choice {
            None | Some(ToolChoice::None | ToolChoice::Auto) => Ok(()),
            Some(_) => Err(Rejection::invalid("tool_choice", "'tool_choice' needs 'tools'.")),
        };
    }
    let asked = match &choice {
        Some(ToolChoice::Named(name)) => std::slice::from_ref(name),
        Some(ToolChoice::Allowed { names, .. }) if names.is_empty() => {
            return Err(Rejection::invalid("tool_choice.allowed_tools.tools", "No tool is allowed."));
        }
        Some(ToolChoice::Allowed { names, .. }) => names,
        _ => &[],
    };
    let asked: BTreeSet<_> = asked.iter().map(|name| name.decode()).collect();
    let known: BTreeSet<_> = tools.iter().map(|tool| tool.name.decode()).collect();
    if let Some(name) = asked.difference(&known).next() {
        return Err(Rejection::invalid("tool_choice", format!("There is no tool '{name}' among the 'tools'.")));
    }
    // A subset cannot be named otherwise.
    let only_asked = matches!(choice, Some(ToolChoice::Allowed { .. }));
    w.key("tools").begin_array();
    for (index, tool) in tools.iter().enumerate() {
        if !only_asked || asked.contains(&tool.name.decode()) {
            write_tool(w, tool, &format!("tools[{index}].function"))?;
        }
    }
    w.end_array();
    write_tool_choice(w, choice, one_at_a_time);
    Ok(())
}

fn write_tool_choice(w: &mut Writer, choice: Option<ToolChoice<'_>>, one_at_a_time: bool) {
    let (kind, name) = match choice {
        None if !one_at_a_time => return,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
        Some(ToolChoice::None) => ("none", None),
    };
    w.key("tool_choice").begin_object().key("type").string(kind);
    if let Some(name) = name {
        w.key("name").str(name);
    }
    if one_at_a_time && kind != "none" {
        w.key("disable_parallel_tool_use").bool(true);
    }
    w.end_object();
}

fn write_tool(w: &mut Writer, tool: &Tool<'_>, at: &str) -> Result<(), Rejection> {
    check_name(tool.name, || format!("{at}.name"))?;
    w.begin_object().key("name").str(tool.name);
    if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
        w.key("description").str(description);
    }
    let at = format!("{at}.parameters");
    let schema = input_schema(tool.parameters, &at)?;
    w.key("input_schema");
    if tool.strict {
        // A strict tool is held to its schema by the same means as a structured answer.
        let schema = serde_json::from_str(&schema).map_err(|_| Rejection::invalid(&at, format!("Invalid '{at}'.")))?;
        w.raw(&schema::reduce(schema, &at)?).key("strict").bool(true);
    } else {
        w.raw(&schema);
    }
    w.end_object();
    Ok(())
}

/// A tool's parameters with the root type that Anthropic insists on, and otherwise as they are.
fn input_schema<'a>(parameters: Option<&'a RawValue>, at: &str) -> Result<Cow<'a, str>, Rejection> {
    let Some(parameters) = parameters else { return Ok(r#"{"type":"object","properties":{}}"#.into()) };
    let fields = Object::parse(parameters.get().as_bytes())
        .map_err(|error| Rejection::invalid(at, format!("Invalid '{at}': {error}.")))?;
    match fields.get("type").map(RawValue::get) {
        Some("\"object\"") => Ok(parameters.get().into()),
        Some(_) => Err(Rejection::invalid(format!("{at}.type"), "The parameters of a tool must be an object.")),
        None if fields.is_empty() => Ok(r#"{"type":"object"}"#.into()),
        None => Ok(format!(r#"{{"type":"object",{}"#, parameters.get().get(1..).unwrap_or("}")).into()),
    }
}

fn check_name(name: Str<'_>, at: impl Fn() -> String) -> Result<(), Rejection> {
    let text = name.decode();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    let text = "The name of a tool must be 1 to 128 letters, digits, underscores and hyphens.";
    Err(Rejection::invalid(at(), text))
}

fn write_stop(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    // OpenAI's limit: Anthropic documents none.
    const MOST: usize = 4;
    let stop = chat.stop()?;
    if stop.len() > MOST {
        return Err(Rejection::invalid("stop", format!("'stop' can have at most {MOST} sequences.")));
    }
    if stop.iter().any(|text| is_blank(*text)) {
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
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            model: "claude".into(),
            provider: "anthropic".into(),
            kind: "anthropic".into(),
            id: "claude-x".into(),
            scheme: "https".into(),
            authority: "api.anthropic.com".into(),
            base_path: String::new(),
            max_output: Some(1000),
            sampling: Vec::new(),
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
    fn field(name: &str, messages: &str, rest: &str) -> Result<String, Rejection> {
        let body = format!(r#"{{"model":"m","messages":{messages}{rest}}}"#);
        let (body, _) = written(&body, &target())?;
        let fields = Object::parse(body.as_bytes()).unwrap();
        Ok(fields.get(name).map(|value| value.get().to_owned()).unwrap_or_default())
    }

    fn messages(messages: &str) -> Result<String, Rejection> {
        field("messages", messages, "")
    }

    const HI: &str = r#"[{"role":"user","content":"hi"}]"#;

    /// A field of what is written for further fields of the client, next to a user's "hi".
    fn with(rest: &str, name: &str) -> Result<String, Rejection> {
        field(name, HI, &format!(",{rest}"))
    }

    fn refused(result: Result<String, Rejection>) -> String {
        let rejection = result.unwrap_err();
        assert_eq!(rejection.status, 400);
        rejection.param.unwrap()
    }

    fn dropped(rest: &str) -> Vec<Cow<'static, str>> {
        written(&format!(r#"{{"model":"m","messages":{HI},{rest}}}"#), &target()).unwrap().1
    }

    fn calls(ids: &[&str]) -> String {
        let calls = ids.iter().map(|id| {
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"n\": 1.0}}"}}}}"#)
        });
        format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, calls.collect::<Vec<_>>().join(","))
    }

    fn result(id: &str) -> String {
        format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"of {id}"}}"#)
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
    fn leading_system_messages_become_system_and_later_ones_keep_their_place() {
        let list = r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":""}]},{"role":"user","content":"c"},{"role":"assistant","content":"d"},
            {"role":"system","content":"e"},{"role":"user","content":"f"}]"#;
        let system = r#"[{"type":"text","text":"a"},{"type":"text","text":"b\n"}]"#;
        assert_eq!(field("system", list, "").unwrap(), system);
        let expected = concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"c"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"d"}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"e"},{"type":"text","text":"f"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn system_messages_alone_are_the_conversation() {
        let list = r#"[{"role":"system","content":"a"}]"#;
        assert_eq!(messages(list).unwrap(), r#"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#);
        assert_eq!(field("system", list, "").unwrap(), "");
    }

    #[test]
    fn a_conversation_begins_with_the_user_and_says_something() {
        let assistant = r#"[{"role":"system","content":"a"},{"role":"assistant","content":"b"}]"#;
        assert_eq!(refused(messages(assistant)), "messages[1].role");
        assert_eq!(refused(messages(r#"[{"role":"user","content":" \n\u00a0"}]"#)), "messages");
    }

    #[test]
    fn messages_of_one_role_are_one_turn_and_empty_ones_none() {
        let list = r#"[{"role":"user","content":"a"},{"role":"user","content":[]},{"role":"assistant","content":" "},
            {"role":"user","content":"b"},{"role":"assistant","content":null,"refusal":"no"},
            {"role":"assistant","content":[{"type":"refusal","refusal":"never"},{"type":"text","text":"\n\t"}]}]"#;
        let expected = concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"no"},{"type":"text","text":"never"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn results_come_first_and_in_the_order_of_the_calls() {
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{{"role":"system","content":"s"}},{},{{"role":"user","content":"u"}}]"#,
            calls(&["a", "b"]),
            result("b"),
            result("a")
        );
        let expected = concat!(
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"n": 1.0}},"#,
            r#"{"type":"tool_use","id":"b","name":"f","input":{"n": 1.0}}]},{"role":"user","content":["#,
            r#"{"type":"tool_result","tool_use_id":"a","content":"of a"},"#,
            r#"{"type":"tool_result","tool_use_id":"b","content":"of b"},"#,
            r#"{"type":"text","text":"s"},{"type":"text","text":"u"}]}]"#
        );
        let list = messages(&list).unwrap();
        assert!(list.ends_with(expected), "{list}");
    }

    #[test]
    fn every_call_has_one_result_and_every_result_a_call() {
        let list = |rest: &[String]| format!(r#"[{{"role":"user","content":"go"}},{}]"#, rest.join(","));
        let (a, ab) = (calls(&["a"]), calls(&["a", "b"]));
        assert_eq!(refused(messages(&list(std::slice::from_ref(&a)))), "messages[1].tool_calls[0]");
        assert_eq!(refused(messages(&list(&[ab, result("a")]))), "messages[1].tool_calls[1]");
        assert_eq!(refused(messages(&list(&[result("a")]))), "messages[1].tool_call_id");
        assert_eq!(refused(messages(&list(&[a.clone(), result("x")]))), "messages[2].tool_call_id");
        assert_eq!(refused(messages(&list(&[a, result("a"), result("a")]))), "messages[3].tool_call_id");
        assert_eq!(refused(messages(&list(&[calls(&["a", "a"]), result("a")]))), "messages[1].tool_calls[1].id");
    }

    #[test]
    fn call_ids_stay_different_and_earlier_ones_do_not_change() {
        let mut ids = CallIds::default();
        let assigned: Vec<_> = ["a", "b.c", "b_c", "b:c", "a", "a", "a_2", "", "é"].map(|id| ids.assign(id)).into();
        assert_eq!(assigned, ["a", "b_c", "b_c_2", "b_c_3", "a_2", "a_3", "a_2_2", "call", "_"]);
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{},{}]"#,
            calls(&["x/1"]),
            result("x/1"),
            calls(&["x.1"]),
            result("x.1")
        );
        let list = messages(&list).unwrap();
        assert!(list.contains(r#""tool_use_id":"x_1","content":"of x/1""#), "{list}");
        assert!(list.contains(r#""tool_use_id":"x_1_2","content":"of x.1""#), "{list}");
    }

    #[test]
    fn arguments_are_an_object_or_refused() {
        let list = |arguments: &str| {
            messages(&format!(
                r#"[{{"role":"user","content":"go"}},{{"role":"assistant","tool_calls":[{{"id":"a",
                "function":{{"name":"f","arguments":{arguments}}}}}]}},{}]"#,
                result("a")
            ))
        };
        let long = r#""{\"b\":12345678901234567890.10,\"a\":\"\\u00e9\"}""#;
        assert!(list(long).unwrap().contains(r#""input":{"b":12345678901234567890.10,"a":"\u00e9"}"#));
        for empty in [r#""""#, r#"" ""#, "null"] {
            assert!(list(empty).unwrap().contains(r#""input":{}"#));
        }
        for bad in [r#""{""#, r#""[]""#, r#""1""#, r#""{} {}""#, r#""{\"a\":\"\ud83d""#] {
            assert_eq!(refused(list(bad)), "messages[1].tool_calls[0].function.arguments");
        }
    }

    #[test]
    fn results_may_have_parts_an_error_flag_or_nothing() {
        let list = |fields: &str| {
            let list = format!(
                r#"[{{"role":"user","content":"go"}},{},{{"role":"tool","tool_call_id":"a"{fields}}}]"#,
                calls(&["a"])
            );
            let list = messages(&list).unwrap();
            list.split_once(r#""tool_use_id":"a""#).unwrap().1.to_owned()
        };
        assert_eq!(list(""), "}]}]");
        assert_eq!(list(r#","content":[{"type":"text","text":""}]"#), "}]}]");
        assert_eq!(list(r#","content":"","is_error":true"#), r#","content":"","is_error":true}]}]"#);
        let image = r#","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://h/i"}}]"#;
        assert_eq!(
            list(image),
            concat!(
                r#","content":[{"type":"text","text":"x"},"#,
                r#"{"type":"image","source":{"type":"url","url":"https://h/i"}}]}]}]"#
            )
        );
    }

    fn image(url: &str) -> Result<String, Rejection> {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"high"}}}}"#);
        let list = messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#))?;
        Ok(list.split_once(r#""source":"#).unwrap().1.trim_end_matches("}]}]").to_owned())
    }

    #[test]
    fn images_keep_their_data_and_get_a_known_type() {
        let png = r#"{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo+/w=="}"#;
        for url in [
            "data:image/png;base64,iVBORw0KGgo+/w==",
            r"data:image\/png;base64,iVBORw0KGgo+\/w==",
            "DATA:Image/PNG;name=x;Base64,iVBORw0KGgo+/w==",
            "data:;base64,iVBORw0KGgo+/w==",
        ] {
            assert_eq!(image(url).unwrap(), png, "{url}");
        }
        assert!(image("data:image/jpg;base64,AAAA").unwrap().contains("image/jpeg"));
        assert_eq!(image(r"HTTPS:\/\/h/i?a=b").unwrap(), r#"{"type":"url","url":"HTTPS:\/\/h/i?a=b"}"#);
    }

    #[test]
    fn what_is_no_such_image_is_refused() {
        for url in [
            "data:image/svg+xml;base64,AAAA",
            "data:image/png,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64",
            r"data:image/png;base64,AA\nAA",
            r#"data:image/png;base64,AA\"AA"#,
            "data:image/png;base64,AA-_",
            "data:;base64,AAAA",
            "file:///etc/passwd",
            "gs://b/o",
            "x",
            "",
        ] {
            assert_eq!(refused(image(url)), "messages[0].content[0].image_url.url", "{url}");
        }
        let of = |role: &str| {
            let part = r#"{"type":"image_url","image_url":{"url":"https://h/i"}}"#;
            messages(&format!(r#"[{{"role":"user","content":"x"}},{{"role":"{role}","content":[{part}]}}]"#))
        };
        assert_eq!(refused(of("assistant")), "messages[1].content[0]");
    }

    #[test]
    fn parts_without_an_equivalent_are_refused_at_their_place() {
        for kind in ["input_audio", "file", "hologram"] {
            let list = format!(r#"[{{"role":"user","content":[{{"type":"text","text":"a"}},{{"type":"{kind}"}}]}}]"#);
            let rejection = messages(&list).unwrap_err();
            assert_eq!(rejection.param.as_deref(), Some("messages[0].content[1]"));
            assert_eq!(rejection.code, "unsupported_parameter");
        }
        let function = r#"[{"role":"user","content":"a"},{"role":"function","name":"f","content":"b"}]"#;
        assert_eq!(refused(messages(function)), "messages[1].role");
        let call = r#"[{"role":"user","content":"a"},{"role":"assistant","function_call":{"name":"f"}}]"#;
        assert_eq!(refused(messages(call)), "messages[1].function_call");
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

    fn tool(name: &str, rest: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":"{name}"{rest}}}}}"#)
    }

    #[test]
    fn a_tools_schema_stays_as_it_is_but_for_its_root_type() {
        let schema = |rest: &str| with(&format!(r#""tools":[{}]"#, tool("f", rest)), "tools");
        let with_schema = |schema: &str| format!(r#"[{{"name":"f","input_schema":{schema}}}]"#);
        for (parameters, expected) in [
            (
                r#" {"type":"object", "properties":{"a":{"minimum":1.0}}}"#,
                r#"{"type":"object", "properties":{"a":{"minimum":1.0}}}"#,
            ),
            (r#"{ "properties":{}}"#, r#"{"type":"object", "properties":{}}"#),
            ("{ }", r#"{"type":"object"}"#),
            ("null", r#"{"type":"object","properties":{}}"#),
        ] {
            assert_eq!(schema(&format!(r#","parameters":{parameters}"#)).unwrap(), with_schema(expected));
        }
        assert_eq!(refused(schema(r#","parameters":{"type":"array"}"#)), "tools[0].function.parameters.type");
        assert_eq!(
            schema(r#","description":"d\n","strict":true,"parameters":{"properties":{"a":{"minimum":1}}}"#).unwrap(),
            concat!(
                r#"[{"name":"f","description":"d\n","input_schema":{"type":"object","properties":{"a":"#,
                r#"{"description":"{minimum: 1}"}},"additionalProperties":false},"strict":true}]"#
            )
        );
    }

    #[test]
    fn every_tool_choice_has_its_form() {
        let tools = format!(r#""tools":[{},{}]"#, tool("f", ""), tool("g", ""));
        let choice = |choice: &str| with(&format!("{tools}{choice}"), "tool_choice").unwrap();
        let allowed = |mode: &str, name: &str| {
            let name = tool(name, "");
            format!(r#","tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"{mode}","tools":[{name}]}}}}"#)
        };
        let serial = r#","parallel_tool_calls":false"#;
        assert_eq!(choice(""), "");
        assert_eq!(choice(serial), r#"{"type":"auto","disable_parallel_tool_use":true}"#);
        assert_eq!(choice(r#","parallel_tool_calls":true"#), "");
        assert_eq!(choice(r#","tool_choice":"auto""#), r#"{"type":"auto"}"#);
        assert_eq!(choice(&format!(r#","tool_choice":"none"{serial}"#)), r#"{"type":"none"}"#);
        let required = format!(r#","tool_choice":"required"{serial}"#);
        assert_eq!(choice(&required), r#"{"type":"any","disable_parallel_tool_use":true}"#);
        let named = format!(r#","tool_choice":{}"#, tool("g", ""));
        assert_eq!(choice(&named), r#"{"type":"tool","name":"g"}"#);
        assert_eq!(choice(&allowed("auto", "g")), r#"{"type":"auto"}"#);
        assert_eq!(choice(&allowed("required", "g")), r#"{"type":"any"}"#);
        let offered = with(&format!("{tools}{}", allowed("auto", "g")), "tools").unwrap();
        assert!(offered.contains("\"g\"") && !offered.contains("\"f\""));
        assert_eq!(refused(with(&format!("{tools}{}", allowed("auto", "h")), "tools")), "tool_choice");
    }

    #[test]
    fn only_a_choice_that_forces_needs_tools() {
        assert_eq!(with(r#""tools":[],"tool_choice":"auto","parallel_tool_calls":false"#, "tool_choice").unwrap(), "");
        assert_eq!(refused(with(r#""tool_choice":"required""#, "tools")), "tool_choice");
    }

    #[test]
    fn a_tools_name_is_one_that_anthropic_takes() {
        assert_eq!(refused(with(&format!(r#""tools":[{}]"#, tool("a.b", "")), "tools")), "tools[0].function.name");
        assert_eq!(refused(with(&format!(r#""tools":[{}]"#, tool("", "")), "tools")), "tools[0].function.name");
        let long = tool(&"n".repeat(128), "");
        assert!(with(&format!(r#""tools":[{long}]"#), "tools").is_ok());
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
