//! A request in the hub's shape: the client's bytes, read where somebody needs to know.
//!
//! Parsing reads the top level and what routing needs. [`ChatRequest::messages`] and
//! [`ChatRequest::tools`] read deeper, for translators to other formats; a relay never calls them.
//! `null` means absent everywhere, as in OpenAI's own API. Every error names the place.

use std::borrow::Cow;

use super::attached::{self, Attachment};
use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type};

pub struct ChatRequest<'a> {
    /// The whole body, as the client sent it. All that is read from it borrows from it.
    pub body: &'a [u8],
    pub model: Str<'a>,
    pub stream: bool,
    /// Whether the client asked for the usage chunk of a stream.
    pub include_usage: bool,
    pub attachments: Vec<Attachment>,
    fields: Object<'a>,
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
        let fields = Object::parse(body).map_err(|error| not_an_object(body, &error))?;
        if let Some(key) = fields.repeated(|key| READ.contains(&key)) {
            return Err(Rejection::invalid(key, format!("'{key}' is given more than once.")));
        }
        let missing = |name: &'static str| move || Rejection::missing(name);
        let model = some(&fields, "model").ok_or_else(missing("model"))?;
        let model = Str::new(model).ok_or_else(|| wrong_type("model", "a string", model))?;
        if model.is_empty() {
            return Err(Rejection::invalid("model", "'model' is empty."));
        }
        let messages = some(&fields, "messages").ok_or_else(missing("messages"))?;
        if json::type_of(messages) != Type::Array {
            return Err(wrong_type("messages", "an array", messages));
        }
        if !messages.get().contains('{') {
            return Err(Rejection::invalid("messages", "'messages' is empty."));
        }
        let stream = bool_of(some(&fields, "stream"), "stream")?.unwrap_or(false);
        let include_usage = match some(&fields, "stream_options") {
            Some(options) => {
                let options = object_at(options, "stream_options")?;
                bool_of(some(&options, "include_usage"), "stream_options.include_usage")?.unwrap_or(false)
            }
            None => false,
        };
        // A list of messages with plain texts is no deeper.
        let has_parts = fields.depth("messages").is_none_or(|depth| depth > 2);
        let attachments = if has_parts { attached::of(messages) } else { Vec::new() };
        Ok(ChatRequest { body, model, stream, include_usage, attachments, fields })
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
        bool_of(self.field(name), name)
    }

    pub fn string(&self, name: &str) -> Result<Option<Str<'a>>, Rejection> {
        self.field(name).map(|value| string_at(value, name)).transpose()
    }

    /// A whole number that is not negative.
    pub fn count(&self, name: &str) -> Result<Option<u64>, Rejection> {
        let Some(value) = self.field(name) else { return Ok(None) };
        match value.get().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(wrong_type(name, "a whole number that is not negative", value)),
        }
    }

    /// A number within a range; its text is kept, so that it can be written as the client wrote it.
    pub fn number(&self, name: &str, from: f64, to: f64) -> Result<Option<&'a str>, Rejection> {
        let Some(value) = self.field(name) else { return Ok(None) };
        match value.get().parse::<f64>() {
            Ok(number) if (from..=to).contains(&number) => Ok(Some(value.get())),
            Ok(_) => Err(Rejection::invalid(name, format!("'{name}' must be between {from} and {to}."))),
            Err(_) => Err(wrong_type(name, "a number", value)),
        }
    }

    pub fn messages(&self) -> Result<Vec<Message<'a>>, Rejection> {
        let list = self.field("messages").ok_or_else(|| Rejection::missing("messages"))?;
        let list = json::elements(list).ok_or_else(|| wrong_type("messages", "an array", list))?;
        list.into_iter().enumerate().map(|(index, value)| Message::read(value, index)).collect()
    }

    pub fn tools(&self) -> Result<Vec<Tool<'a>>, Rejection> {
        let Some(list) = self.field("tools") else { return Ok(Vec::new()) };
        let list = json::elements(list).ok_or_else(|| wrong_type("tools", "an array", list))?;
        list.into_iter().enumerate().map(|(index, value)| Tool::read(value, index)).collect()
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
        let list = json::elements(value).ok_or_else(|| wrong_type("stop", "a string or an array of strings", value))?;
        list.into_iter().enumerate().map(|(index, value)| string_at(value, &format!("stop[{index}]"))).collect()
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
    fn read(value: &'a RawValue, index: usize) -> Result<Self, Rejection> {
        let at = format!("messages[{index}]");
        let fields = object_at(value, &at)?;
        if let Some(key) = fields.repeated(|_| true) {
            return Err(Rejection::invalid(format!("{at}.{key}"), format!("'{at}.{key}' is given more than once.")));
        }
        let role_at = format!("{at}.role");
        let role = some(&fields, "role").ok_or_else(|| Rejection::missing(&role_at))?;
        let role = string_at(role, &role_at)?;
        let role = match role.decode().as_ref() {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            "function" => Role::Function,
            other => {
                let known = "system, developer, user, assistant, tool";
                return Err(Rejection::invalid(
                    role_at,
                    format!("'{other}' is not one of the roles a message can have: {known}."),
                ));
            }
        };
        let text = |name: &str| some(&fields, name).map(|value| string_at(value, &format!("{at}.{name}"))).transpose();
        let tool_calls = match some(&fields, "tool_calls") {
            Some(list) if role == Role::Assistant => {
                let at = format!("{at}.tool_calls");
                let list = json::elements(list).ok_or_else(|| wrong_type(&at, "an array", list))?;
                let calls = list.into_iter().enumerate();
                calls.map(|(index, call)| ToolCall::read(call, &format!("{at}[{index}]"))).collect::<Result<_, _>>()?
            }
            Some(_) => {
                let at = format!("{at}.tool_calls");
                return Err(Rejection::invalid(at, "Only assistant messages can have 'tool_calls'."));
            }
            None => Vec::new(),
        };
        let tool_call_id = text("tool_call_id")?;
        if role == Role::Tool && tool_call_id.is_none() {
            return Err(Rejection::missing(&format!("{at}.tool_call_id")));
        }
        Ok(Message {
            index,
            role,
            content: Content::read(some(&fields, "content"), &format!("{at}.content"))?,
            name: text("name")?,
            refusal: text("refusal")?,
            tool_calls,
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
    fn read(value: Option<&'a RawValue>, at: &str) -> Result<Self, Rejection> {
        let Some(value) = value else { return Ok(Content::None) };
        if let Some(text) = Str::new(value) {
            return Ok(Content::Text(text));
        }
        let parts = json::elements(value).ok_or_else(|| wrong_type(at, "a string or an array of parts", value))?;
        let parts = parts.into_iter().enumerate();
        parts
            .map(|(index, part)| Part::read(part, &format!("{at}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Self::Parts)
    }
}

impl<'a> Part<'a> {
    fn read(value: &'a RawValue, at: &str) -> Result<Self, Rejection> {
        let fields = object_at(value, at)?;
        if let Some(key) = fields.repeated(|_| true) {
            return Err(Rejection::invalid(format!("{at}.{key}"), format!("'{at}.{key}' is given more than once.")));
        }
        let text = |name: &str| required_string(&fields, at, name);
        let kind = text("type")?.decode();
        Ok(match kind.as_ref() {
            "text" => Part::Text(text("text")?),
            "refusal" => Part::Refusal(text("refusal")?),
            "image_url" => {
                let at = format!("{at}.image_url");
                let image = some(&fields, "image_url").ok_or_else(|| Rejection::missing(&at))?;
                Part::Image { url: required_string(&object_at(image, &at)?, &at, "url")? }
            }
            _ => Part::Other { kind, at: at.to_owned(), value },
        })
    }
}

impl<'a> ToolCall<'a> {
    fn read(value: &'a RawValue, at: &str) -> Result<Self, Rejection> {
        let fields = object_at(value, at)?;
        function_type(&fields, at)?;
        let function_at = format!("{at}.function");
        let function = some(&fields, "function").ok_or_else(|| Rejection::missing(&function_at))?;
        let function = object_at(function, &function_at)?;
        let arguments = match some(&function, "arguments") {
            Some(arguments) => string_at(arguments, &format!("{function_at}.arguments"))?,
            None => Str::EMPTY,
        };
        Ok(ToolCall {
            id: required_string(&fields, at, "id")?,
            name: required_string(&function, &function_at, "name")?,
            arguments,
        })
    }
}

impl<'a> Tool<'a> {
    fn read(value: &'a RawValue, index: usize) -> Result<Self, Rejection> {
        let at = format!("tools[{index}]");
        let fields = object_at(value, &at)?;
        function_type(&fields, &at)?;
        let function_at = format!("{at}.function");
        let function = some(&fields, "function").ok_or_else(|| Rejection::missing(&function_at))?;
        let function = object_at(function, &function_at)?;
        if let Some(key) = function.repeated(|_| true) {
            let at = format!("{function_at}.{key}");
            return Err(Rejection::invalid(at.clone(), format!("'{at}' is given more than once.")));
        }
        let description = some(&function, "description");
        let parameters_at = format!("{function_at}.parameters");
        let parameters = some(&function, "parameters");
        if let Some(parameters) = parameters.filter(|value| json::type_of(value) != Type::Object) {
            return Err(wrong_type(&parameters_at, "an object", parameters));
        }
        Ok(Tool {
            name: required_string(&function, &function_at, "name")?,
            description: description.map(|text| string_at(text, &format!("{function_at}.description"))).transpose()?,
            parameters,
            strict: bool_of(some(&function, "strict"), &format!("{function_at}.strict"))?.unwrap_or(false),
            fields,
            function,
        })
    }
}

impl<'a> ToolChoice<'a> {
    fn read(value: &'a RawValue) -> Result<Self, Rejection> {
        let at = "tool_choice";
        if let Some(text) = Str::new(value) {
            return match text.decode().as_ref() {
                "none" => Ok(ToolChoice::None),
                "auto" => Ok(ToolChoice::Auto),
                "required" => Ok(ToolChoice::Required),
                other => Err(Rejection::invalid(at, format!("'{other}' is not one of: none, auto, required."))),
            };
        }
        let fields = object_at(value, at)?;
        match required_string(&fields, at, "type")?.decode().as_ref() {
            "function" => Ok(ToolChoice::Named(function_name(&fields, at)?)),
            "allowed_tools" => {
                let at = "tool_choice.allowed_tools";
                let allowed = some(&fields, "allowed_tools").ok_or_else(|| Rejection::missing(at))?;
                let allowed = object_at(allowed, at)?;
                let required = match required_string(&allowed, at, "mode")?.decode().as_ref() {
                    "auto" => false,
                    "required" => true,
                    other => {
                        let message = format!("'{other}' is not one of: auto, required.");
                        return Err(Rejection::invalid(format!("{at}.mode"), message));
                    }
                };
                let tools_at = format!("{at}.tools");
                let tools = some(&allowed, "tools").ok_or_else(|| Rejection::missing(&tools_at))?;
                let tools = json::elements(tools).ok_or_else(|| wrong_type(&tools_at, "an array", tools))?;
                let names = tools.into_iter().enumerate().map(|(index, tool)| {
                    let at = format!("{tools_at}[{index}]");
                    function_name(&object_at(tool, &at)?, &at)
                });
                Ok(ToolChoice::Allowed { names: names.collect::<Result<_, _>>()?, required })
            }
            other => Err(Rejection::unsupported(at, format!("A 'tool_choice' of type '{other}' is not supported."))),
        }
    }
}

impl<'a> ResponseFormat<'a> {
    fn read(value: &'a RawValue) -> Result<Self, Rejection> {
        let at = "response_format";
        let fields = object_at(value, at)?;
        match required_string(&fields, at, "type")?.decode().as_ref() {
            "text" => Ok(ResponseFormat::Text),
            "json_object" => Ok(ResponseFormat::JsonObject),
            "json_schema" => {
                let at = "response_format.json_schema";
                let format = some(&fields, "json_schema").ok_or_else(|| Rejection::missing(at))?;
                let format = object_at(format, at)?;
                let schema = some(&format, "schema");
                if let Some(schema) = schema.filter(|value| json::type_of(value) != Type::Object) {
                    return Err(wrong_type(&format!("{at}.schema"), "an object", schema));
                }
                let strict = bool_of(some(&format, "strict"), &format!("{at}.strict"))?.unwrap_or(false);
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

fn function_name<'a>(fields: &Object<'a>, at: &str) -> Result<Str<'a>, Rejection> {
    let at = format!("{at}.function");
    let function = some(fields, "function").ok_or_else(|| Rejection::missing(&at))?;
    required_string(&object_at(function, &at)?, &at, "name")
}

/// Some clients leave out `"type":"function"`; custom tools have no equivalent elsewhere yet.
fn function_type(fields: &Object<'_>, at: &str) -> Result<(), Rejection> {
    let at = format!("{at}.type");
    match some(fields, "type").map(|kind| string_at(kind, &at)).transpose()? {
        Some(kind) if kind.decode() != "function" => {
            let message = format!("Tools of type '{}' are not supported by this model.", kind.decode());
            Err(Rejection::unsupported(at, message))
        }
        _ => Ok(()),
    }
}

/// The value of a key; `null` is absent.
fn some<'a>(fields: &Object<'a>, key: &str) -> Option<&'a RawValue> {
    fields.get(key).filter(|value| json::type_of(value) != Type::Null)
}

fn bool_of(value: Option<&RawValue>, at: &str) -> Result<Option<bool>, Rejection> {
    match value.map(|value| (value, value.get())) {
        None => Ok(None),
        Some((_, "true")) => Ok(Some(true)),
        Some((_, "false")) => Ok(Some(false)),
        Some((value, _)) => Err(wrong_type(at, "a boolean", value)),
    }
}

fn string_at<'a>(value: &'a RawValue, at: &str) -> Result<Str<'a>, Rejection> {
    Str::new(value).ok_or_else(|| wrong_type(at, "a string", value))
}

fn required_string<'a>(fields: &Object<'a>, at: &str, name: &str) -> Result<Str<'a>, Rejection> {
    let at = format!("{at}.{name}");
    string_at(some(fields, name).ok_or_else(|| Rejection::missing(&at))?, &at)
}

fn object_at<'a>(value: &'a RawValue, at: &str) -> Result<Object<'a>, Rejection> {
    Object::of(value).ok_or_else(|| wrong_type(at, "an object", value))
}

fn wrong_type(at: &str, expected: &str, value: &RawValue) -> Rejection {
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
        param: Some(at.to_owned()),
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
