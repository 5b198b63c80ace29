//! A request in the hub's shape: the client's bytes, read where somebody needs to know.
//!
//! Parsing reads the top level and what routing needs. [`ChatRequest::messages`] and
//! [`ChatRequest::tools`] read deeper, for translators to other formats; a relay never calls them.
//! `null` means absent everywhere, as in OpenAI's own API. Every error names the place.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use super::listed::{Listed, Raw};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Reader, Str, Type};

pub struct ChatRequest<'a> {
    /// The whole body, as the client sent it. All that is read from it borrows from it.
    pub body: &'a [u8],
    pub model: Str<'a>,
    pub stream: bool,
    /// Whether the client asked for the usage chunk of a stream.
    pub include_usage: bool,
    pub listed: Listed<'a>,
    fields: Object<'a>,
    /// Once they were read: several targets may be written to.
    messages: OnceCell<Vec<Message<'a>>>,
}

/// Fields of the top level that we read or whose meaning we depend on: one that stands there twice
/// could be read in one way by us and in another by a provider.
const READ: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "stop",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "frequency_penalty",
    "presence_penalty",
    "user",
    "safety_identifier",
    "service_tier",
    "modalities",
    "audio",
    "web_search_options",
];

impl<'a> ChatRequest<'a> {
    pub fn parse(body: &'a [u8]) -> Result<Self, Rejection> {
        let mut listed = Listed::default();
        let fields = Object::parse_looking(body, &mut |key, json| Ok(key == "messages" && listed.read(json)?));
        let fields = fields.map_err(|error| not_an_object(body, &error))?;
        if let Some(key) = fields.repeated(|key| READ.contains(&key)) {
            return Err(Rejection::invalid(key, format!("'{key}' is given more than once.")));
        }
        let missing = |name: &'static str| move || Rejection::missing(name);
        let model = some(&fields, "model").ok_or_else(missing("model"))?;
        let model = string_at(model, At::top("model"))?;
        if model.is_empty() {
            return Err(Rejection::invalid("model", "'model' is empty."));
        }
        let messages = some(&fields, "messages").ok_or_else(missing("messages"))?;
        if json::type_of(messages) != Type::Array {
            return Err(wrong_type(At::top("messages"), "an array", messages));
        }
        if !messages.get().contains('{') {
            return Err(Rejection::invalid("messages", "'messages' is empty."));
        }
        let stream = bool_of(some(&fields, "stream"), At::top("stream"))?.unwrap_or(false);
        let include_usage = match some(&fields, "stream_options") {
            Some(options) => {
                let at = At::top("stream_options");
                let options = object_at(options, at)?;
                bool_of(some(&options, "include_usage"), at.field("include_usage"))?.unwrap_or(false)
            }
            None => false,
        };
        Ok(ChatRequest { body, model, stream, include_usage, listed, fields, messages: OnceCell::new() })
    }

    /// A field of the top level; `null` is absent.
    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        some(&self.fields, name)
    }

    /// A field of the top level, `null` included.
    pub fn field_or_null(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.get(name)
    }

    /// The whole top level, `null`s included.
    pub fn object(&self) -> &Object<'a> {
        &self.fields
    }

    /// The fields of the top level that are there, in the client's order; `null` is absent.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().filter(|(_, value)| json::type_of(value) != Type::Null)
    }

    pub fn bool(&self, name: &str) -> Result<Option<bool>, Rejection> {
        bool_of(self.field(name), At::top(name))
    }

    pub fn string(&self, name: &str) -> Result<Option<Str<'a>>, Rejection> {
        self.field(name).map(|value| string_at(value, At::top(name))).transpose()
    }

    /// A whole number that is not negative.
    pub fn count(&self, name: &str) -> Result<Option<u64>, Rejection> {
        let Some(value) = self.field(name) else { return Ok(None) };
        match value.get().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(wrong_type(At::top(name), "a whole number that is not negative", value)),
        }
    }

    /// A number within a range of two whole ones; its text is kept, so that it can be written as the client wrote it.
    pub fn number(&self, name: &str, from: f64, to: f64) -> Result<Option<&'a str>, Rejection> {
        let Some(value) = self.field(name) else { return Ok(None) };
        match json::float(value.get()) {
            Some(number) if (from..=to).contains(&number) => Ok(Some(value.get())),
            Some(_) => {
                let [from, to] = [from, to].map(|bound| json::decimal(bound, 0));
                Err(Rejection::invalid(name, format!("'{name}' must be between {from} and {to}.")))
            }
            None => Err(wrong_type(At::top(name), "a number", value)),
        }
    }

    pub fn messages(&self) -> Result<&[Message<'a>], Rejection> {
        if let Some(messages) = self.messages.get() {
            return Ok(messages);
        }
        let at = At::top("messages");
        let mut messages = Vec::with_capacity(self.listed.len());
        for (index, raw) in self.listed.iter().enumerate() {
            messages.push(Message::read(raw, index, at.item(index))?);
        }
        Ok(self.messages.get_or_init(|| messages))
    }

    pub fn tools(&self) -> Result<Vec<Tool<'a>>, Rejection> {
        let Some(list) = self.field("tools") else { return Ok(Vec::new()) };
        let list = json::elements(list).ok_or_else(|| wrong_type(At::top("tools"), "an array", list))?;
        list.into_iter().enumerate().map(|(index, value)| Tool::read(value, At::top("tools").item(index))).collect()
    }

    pub fn tool_choice(&self) -> Result<Option<ToolChoice<'a>>, Rejection> {
        self.field("tool_choice").map(ToolChoice::read).transpose()
    }

    pub fn response_format(&self) -> Result<ResponseFormat<'a>, Rejection> {
        match self.field("response_format") {
            Some(value) => ResponseFormat::read(value),
            None => Ok(ResponseFormat::Text),
        }
    }

    /// The stop sequences: a string or a list of strings.
    pub fn stop(&self) -> Result<Vec<Str<'a>>, Rejection> {
        let Some(value) = self.field("stop") else { return Ok(Vec::new()) };
        if let Some(text) = Str::new(value) {
            return Ok(vec![text]);
        }
        let at = At::top("stop");
        let list = json::elements(value).ok_or_else(|| wrong_type(at, "a string or an array of strings", value))?;
        list.into_iter().enumerate().map(|(index, value)| string_at(value, at.item(index))).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    /// Deprecated, with `functions`.
    Function,
}

#[derive(Debug)]
pub struct Message<'a> {
    /// Its place in `messages`, for errors.
    pub index: usize,
    pub role: Role,
    pub content: Content<'a>,
    /// The participant's name.
    pub name: Option<Str<'a>>,
    /// Assistant only.
    pub refusal: Option<Str<'a>>,
    /// Assistant only.
    pub tool_calls: Vec<ToolCall<'a>>,
    /// Tool only.
    pub tool_call_id: Option<Str<'a>>,
    /// All of its fields: extensions that a translator may know.
    pub fields: Object<'a>,
}

#[derive(Debug)]
pub enum Content<'a> {
    /// Absent or `null`.
    None,
    Text(Str<'a>),
    Parts(Vec<Part<'a>>),
}

#[derive(Debug)]
pub enum Part<'a> {
    Text(Str<'a>),
    Refusal(Str<'a>),
    /// `image_url`: an address or a data URL.
    Image {
        url: Str<'a>,
    },
    /// `input_audio`, `file` and whatever else there may be: its type, and its place in the request.
    Other {
        kind: Cow<'a, str>,
        at: String,
        value: &'a RawValue,
    },
}

/// A call that an earlier answer made.
#[derive(Debug)]
pub struct ToolCall<'a> {
    pub id: Str<'a>,
    pub name: Str<'a>,
    /// JSON in a string, as the model wrote it: not always valid.
    pub arguments: Str<'a>,
}

#[derive(Debug)]
pub struct Tool<'a> {
    pub name: Str<'a>,
    pub description: Option<Str<'a>>,
    /// A JSON schema.
    pub parameters: Option<&'a RawValue>,
    pub strict: bool,
    /// All fields of the tool and of its `function`: extensions that a translator may know.
    pub fields: Object<'a>,
    pub function: Object<'a>,
}

#[derive(Debug)]
pub enum ToolChoice<'a> {
    None,
    Auto,
    Required,
    Named(Str<'a>),
    /// Only these, and whether one of them must be called.
    Allowed {
        names: Vec<Str<'a>>,
        required: bool,
    },
}

#[derive(Debug)]
pub enum ResponseFormat<'a> {
    Text,
    JsonObject,
    JsonSchema {
        /// OpenAI requires one, and a name for it.
        schema: Option<&'a RawValue>,
        name: Option<Str<'a>>,
        description: Option<Str<'a>>,
        strict: bool,
    },
}

impl<'a> Message<'a> {
    fn read(raw: Raw<'_, 'a>, index: usize, at: At<'_>) -> Result<Self, Rejection> {
        let fields = raw.object().ok_or_else(|| wrong_type(at, "an object", raw.value))?;
        if let Some(key) = fields.repeated(|_| true) {
            return Err(at.field(key).repeated());
        }
        let [mut role, mut content, mut name, mut refusal, mut tool_calls, mut tool_call_id] = [None; 6];
        for (key, value) in fields.iter().filter(|(_, value)| json::type_of(value) != Type::Null) {
            let place = match key {
                "role" => &mut role,
                "content" => &mut content,
                "name" => &mut name,
                "refusal" => &mut refusal,
                "tool_calls" => &mut tool_calls,
                "tool_call_id" => &mut tool_call_id,
                _ => continue,
            };
            *place = Some(value);
        }
        let role = string_at(role.ok_or_else(|| at.field("role").missing())?, at.field("role"))?;
        let role = match role.decode().as_ref() {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            "function" => Role::Function,
            other => {
                let known = "system, developer, user, assistant, tool";
                let message = format!("'{other}' is not one of the roles a message can have: {known}.");
                return Err(Rejection::invalid(at.field("role").to_string(), message));
            }
        };
        let text = |value: Option<_>, name| value.map(|value| string_at(value, at.field(name))).transpose();
        let calls_at = at.field("tool_calls");
        let mut calls = Vec::new();
        match tool_calls {
            Some(list) if role == Role::Assistant => {
                let list = json::elements(list).ok_or_else(|| wrong_type(calls_at, "an array", list))?;
                for (index, call) in list.into_iter().enumerate() {
                    calls.push(ToolCall::read(call, calls_at.item(index))?);
                }
            }
            Some(list) if list.elements().next().is_none() && json::type_of(list) == Type::Array => {}
            Some(_) => {
                let message = "Only assistant messages can have 'tool_calls'.";
                return Err(Rejection::invalid(calls_at.to_string(), message));
            }
            None => {}
        }
        let tool_call_id = text(tool_call_id, "tool_call_id")?;
        if role == Role::Tool && tool_call_id.is_none() {
            return Err(at.field("tool_call_id").missing());
        }
        Ok(Message {
            index,
            role,
            content: Content::read(content, at.field("content"))?,
            name: text(name, "name")?,
            refusal: text(refusal, "refusal")?,
            tool_calls: calls,
            tool_call_id,
            fields,
        })
    }

    /// Where this message stands in the request, for errors.
    pub fn at(&self, field: &str) -> String {
        format!("messages[{}].{field}", self.index)
    }
}

impl<'a> Content<'a> {
    fn read(value: Option<&'a RawValue>, at: At<'_>) -> Result<Self, Rejection> {
        let Some(value) = value else { return Ok(Content::None) };
        if let Some(text) = Str::new(value) {
            return Ok(Content::Text(text));
        }
        let mut list = Reader::of(value);
        if !list.open(b'[') {
            return Err(wrong_type(at, "a string or an array of parts", value));
        }
        let (mut parts, mut is_first) = (Vec::new(), true);
        while list.has_next(&mut is_first, b']').is_ok_and(|is_there| is_there) {
            parts.push(Part::take(&mut list, at.item(parts.len()))?);
        }
        Ok(Self::Parts(parts))
    }
}

impl<'a> Part<'a> {
    /// Takes the next part. A picture is not looked through again for the address that it is in.
    fn take(list: &mut Reader<'a>, at: At<'_>) -> Result<Self, Rejection> {
        let first = list.peek();
        let place = list.place();
        let mut image = None;
        let mut look = |key: &str, reader: &mut Reader<'a>| {
            let is_image = key == "image_url" && reader.peek() == Some(b'{');
            if is_image {
                image = Object::take(reader, &mut |_, _| Ok(false));
            }
            Ok(is_image)
        };
        let fields = match first {
            Some(b'{') => Object::take(list, &mut look),
            _ => {
                let value = list.value().ok();
                return Err(value.map_or_else(|| at.missing(), |value| wrong_type(at, "an object", value)));
            }
        };
        let fields = fields.ok_or_else(|| at.missing())?;
        let value = list.taken(place);
        if let Some(key) = fields.repeated(|_| true) {
            return Err(at.field(key).repeated());
        }
        let text = |name: &str| required_string(&fields, at, name);
        let kind = text("type")?.decode();
        Ok(match kind.as_ref() {
            "text" => Part::Text(text("text")?),
            "refusal" => Part::Refusal(text("refusal")?),
            "image_url" => {
                let at = at.field("image_url");
                let given = some(&fields, "image_url").ok_or_else(|| at.missing())?;
                let image = image.ok_or_else(|| wrong_type(at, "an object", given))?;
                Part::Image { url: required_string(&image, at, "url")? }
            }
            _ => Part::Other { kind, at: at.to_string(), value },
        })
    }
}

impl<'a> ToolCall<'a> {
    fn read(value: &'a RawValue, at: At<'_>) -> Result<Self, Rejection> {
        let fields = object_at(value, at)?;
        function_type(&fields, at)?;
        let function_at = at.field("function");
        let function = some(&fields, "function").ok_or_else(|| function_at.missing())?;
        let function = object_at(function, function_at)?;
        let arguments = match some(&function, "arguments") {
            Some(arguments) => string_at(arguments, function_at.field("arguments"))?,
            None => Str::EMPTY,
        };
        Ok(ToolCall {
            id: required_string(&fields, at, "id")?,
            name: required_string(&function, function_at, "name")?,
            arguments,
        })
    }
}

impl<'a> Tool<'a> {
    fn read(value: &'a RawValue, at: At<'_>) -> Result<Self, Rejection> {
        let fields = object_at(value, at)?;
        function_type(&fields, at)?;
        let at = at.field("function");
        let function = some(&fields, "function").ok_or_else(|| at.missing())?;
        let function = object_at(function, at)?;
        if let Some(key) = function.repeated(|_| true) {
            return Err(at.field(key).repeated());
        }
        let description = some(&function, "description");
        let parameters = some(&function, "parameters");
        if let Some(parameters) = parameters.filter(|value| json::type_of(value) != Type::Object) {
            return Err(wrong_type(at.field("parameters"), "an object", parameters));
        }
        Ok(Tool {
            name: required_string(&function, at, "name")?,
            description: description.map(|text| string_at(text, at.field("description"))).transpose()?,
            parameters,
            strict: bool_of(some(&function, "strict"), at.field("strict"))?.unwrap_or(false),
            fields,
            function,
        })
    }
}

impl<'a> ToolChoice<'a> {
    fn read(value: &'a RawValue) -> Result<Self, Rejection> {
        let at = At::top("tool_choice");
        if let Some(text) = Str::new(value) {
            return match text.decode().as_ref() {
                "none" => Ok(ToolChoice::None),
                "auto" => Ok(ToolChoice::Auto),
                "required" => Ok(ToolChoice::Required),
                other => {
                    let message = format!("'{other}' is not one of: none, auto, required.");
                    Err(Rejection::invalid(at.to_string(), message))
                }
            };
        }
        let fields = object_at(value, at)?;
        match required_string(&fields, at, "type")?.decode().as_ref() {
            "function" => Ok(ToolChoice::Named(function_name(&fields, at)?)),
            "allowed_tools" => {
                let at = at.field("allowed_tools");
                let allowed = some(&fields, "allowed_tools").ok_or_else(|| at.missing())?;
                let allowed = object_at(allowed, at)?;
                let required = match required_string(&allowed, at, "mode")?.decode().as_ref() {
                    "auto" => false,
                    "required" => true,
                    other => {
                        let message = format!("'{other}' is not one of: auto, required.");
                        return Err(Rejection::invalid(at.field("mode").to_string(), message));
                    }
                };
                let tools_at = at.field("tools");
                let tools = some(&allowed, "tools").ok_or_else(|| tools_at.missing())?;
                let tools = json::elements(tools).ok_or_else(|| wrong_type(tools_at, "an array", tools))?;
                let names = tools.into_iter().enumerate().map(|(index, tool)| {
                    let at = tools_at.item(index);
                    function_name(&object_at(tool, at)?, at)
                });
                Ok(ToolChoice::Allowed { names: names.collect::<Result<_, _>>()?, required })
            }
            other => {
                let message = format!("A 'tool_choice' of type '{other}' is not supported.");
                Err(Rejection::unsupported(at.to_string(), message))
            }
        }
    }
}

impl<'a> ResponseFormat<'a> {
    fn read(value: &'a RawValue) -> Result<Self, Rejection> {
        let at = At::top("response_format");
        let fields = object_at(value, at)?;
        match required_string(&fields, at, "type")?.decode().as_ref() {
            "text" => Ok(ResponseFormat::Text),
            "json_object" => Ok(ResponseFormat::JsonObject),
            "json_schema" => {
                let at = at.field("json_schema");
                let format = some(&fields, "json_schema").ok_or_else(|| at.missing())?;
                let format = object_at(format, at)?;
                let schema = some(&format, "schema");
                if let Some(schema) = schema.filter(|value| json::type_of(value) != Type::Object) {
                    return Err(wrong_type(at.field("schema"), "an object", schema));
                }
                let strict = bool_of(some(&format, "strict"), at.field("strict"))?.unwrap_or(false);
                let text = |name: &str| some(&format, name).and_then(Str::new).filter(|text| !text.is_empty());
                Ok(ResponseFormat::JsonSchema { schema, name: text("name"), description: text("description"), strict })
            }
            other => {
                let message = format!("'{other}' is not one of: text, json_object, json_schema.");
                Err(Rejection::invalid("response_format.type", message))
            }
        }
    }
}

fn function_name<'a>(fields: &Object<'a>, at: At<'_>) -> Result<Str<'a>, Rejection> {
    let at = at.field("function");
    let function = some(fields, "function").ok_or_else(|| at.missing())?;
    required_string(&object_at(function, at)?, at, "name")
}

/// Some clients leave out `"type":"function"`; custom tools have no equivalent elsewhere yet.
fn function_type(fields: &Object<'_>, at: At<'_>) -> Result<(), Rejection> {
    let at = at.field("type");
    match some(fields, "type").map(|kind| string_at(kind, at)).transpose()? {
        Some(kind) if kind.decode() != "function" => {
            let message = format!("Tools of type '{}' are not supported by this model.", kind.decode());
            Err(Rejection::unsupported(at.to_string(), message))
        }
        _ => Ok(()),
    }
}

/// A place in the request, for errors. It is put into words only when there is one.
#[derive(Clone, Copy)]
enum At<'p> {
    Top(&'p str),
    Field(&'p At<'p>, &'p str),
    Item(&'p At<'p>, usize),
}

impl<'p> At<'p> {
    /// A field of the top level.
    fn top(name: &'p str) -> Self {
        At::Top(name)
    }

    fn field(&'p self, name: &'p str) -> Self {
        At::Field(self, name)
    }

    fn item(&'p self, index: usize) -> Self {
        At::Item(self, index)
    }

    fn missing(&self) -> Rejection {
        Rejection::missing(&self.to_string())
    }

    fn repeated(&self) -> Rejection {
        let at = self.to_string();
        let message = format!("'{at}' is given more than once.");
        Rejection::invalid(at, message)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Top(name) => f.write_str(name),
            At::Field(of, name) => write!(f, "{of}.{name}"),
            At::Item(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}

/// The value of a key; `null` is absent.
#[inline(always)]
fn some<'a>(fields: &Object<'a>, key: &str) -> Option<&'a RawValue> {
    fields.get(key).filter(|value| json::type_of(value) != Type::Null)
}

fn bool_of(value: Option<&RawValue>, at: At<'_>) -> Result<Option<bool>, Rejection> {
    match value.map(|value| (value, value.get())) {
        None => Ok(None),
        Some((_, "true")) => Ok(Some(true)),
        Some((_, "false")) => Ok(Some(false)),
        Some((value, _)) => Err(wrong_type(at, "a boolean", value)),
    }
}

fn string_at<'a>(value: &'a RawValue, at: At<'_>) -> Result<Str<'a>, Rejection> {
    Str::new(value).ok_or_else(|| wrong_type(at, "a string", value))
}

fn required_string<'a>(fields: &Object<'a>, at: At<'_>, name: &str) -> Result<Str<'a>, Rejection> {
    let at = at.field(name);
    string_at(some(fields, name).ok_or_else(|| at.missing())?, at)
}

fn object_at<'a>(value: &'a RawValue, at: At<'_>) -> Result<Object<'a>, Rejection> {
    Object::of(value).ok_or_else(|| wrong_type(at, "an object", value))
}

fn wrong_type(at: At<'_>, expected: &str, value: &RawValue) -> Rejection {
    let found = match json::type_of(value) {
        Type::Null => "null",
        Type::Bool => "a boolean",
        Type::Number => "a number",
        Type::String => "a string",
        Type::Array => "an array",
        Type::Object => "an object",
    };
    Rejection {
        status: 400,
        code: "invalid_type",
        param: Some(at.to_string()),
        message: format!("Invalid type for '{at}': expected {expected}, but got {found}."),
    }
}

fn not_an_object(body: &[u8], error: &json::Error) -> Rejection {
    let message = match body.trim_ascii().first() {
        None => "The request has no body; a JSON object is expected.".to_owned(),
        Some(_) if matches!(error, json::Error::NotAnObject) => "The request body is not a JSON object.".to_owned(),
        Some(_) => format!("The request body is not valid JSON: {error}."),
    };
    Rejection { status: 400, code: "invalid_json", param: None, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(body: &str) -> Rejection {
        ChatRequest::parse(body.as_bytes()).err().unwrap()
    }

    #[test]
    fn a_repeated_key_that_we_read_is_refused_and_another_is_not() {
        let refused = rejection(r#"{"model":"a","messages":[{}],"m\u006fdel":"b"}"#);
        assert_eq!((refused.status, refused.param.as_deref()), (400, Some("model")));
        assert!(ChatRequest::parse(br#"{"model":"a","messages":[{}],"x":1,"x":2}"#).is_ok());
    }

    #[test]
    fn null_means_absent() {
        let request = ChatRequest::parse(br#"{"model":"a","messages":[{}],"stream":null,"stop":null}"#).unwrap();
        assert!(!request.stream);
        assert!(request.stop().unwrap().is_empty());
        assert_eq!(rejection(r#"{"model":null,"messages":[]}"#).code, "missing_required_parameter");
    }

    #[test]
    fn a_list_of_no_calls_may_stand_in_any_message() {
        let messages = |list: &str| {
            let body = format!(r#"{{"model":"a","messages":[{{"role":"user","content":"x","tool_calls":{list}}}]}}"#);
            ChatRequest::parse(body.as_bytes()).unwrap().messages().is_ok()
        };
        assert_eq!(["[]", "[ ]", "[{}]", "{}"].map(messages), [true, true, false, false]);
    }

    #[test]
    fn errors_name_the_place() {
        let at = |body: &str| {
            let body = format!(r#"{{"model":"a","messages":{body}}}"#);
            ChatRequest::parse(body.as_bytes()).unwrap().messages().unwrap_err().param.unwrap()
        };
        assert_eq!(at(r#"[{"role":"user"},{"role":"robot"}]"#), "messages[1].role");
        assert_eq!(at(r#"[{"role":"user","content":[{"type":"text"}]}]"#), "messages[0].content[0].text");
        assert_eq!(
            at(r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":7}}]}]"#),
            "messages[0].content[0].image_url.url"
        );
        assert_eq!(
            at(r#"[{"role":"assistant","tool_calls":[{"id":"1","function":{}}]}]"#),
            "messages[0].tool_calls[0].function.name"
        );
    }

    #[test]
    fn broken_bodies_say_what_is_wrong() {
        assert!(rejection("").message.contains("no body"));
        assert!(rejection("[]").message.contains("not a JSON object"));
        assert!(rejection("{\"model\":").message.contains("not valid JSON"));
    }
}
