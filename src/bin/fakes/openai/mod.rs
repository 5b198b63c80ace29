//! OpenAI's wire format: `POST /v1/chat/completions` as strict as the vendor, and its words for every no.
//! The vendors that speak it, too, are rows of data.
//!
//! This file is the seam to the HTTP side. Reading is in `request` and `messages`, writing in `answer`,
//! who differs in what in `dialect` and the rows beside it; nothing here knows the other formats.

mod answer;
mod azure;
mod deepseek;
mod dialect;
mod groq;
mod messages;
mod mistral;
mod moonshot;
mod openrouter;
mod others;
mod qwen;
mod request;
mod watsonx;

use serde_json::{Value, json};

pub use self::azure::AZURE;
pub use self::deepseek::DEEPSEEK;
pub use self::dialect::OPENAI;
use self::dialect::{Dialect, ERRORS, KeyHeader, Thoughts};
pub use self::groq::GROQ;
pub use self::mistral::MISTRAL;
pub use self::moonshot::MOONSHOT;
pub use self::openrouter::OPENROUTER;
pub use self::others::{
    ANY, CEREBRAS, FIREWORKS, LITELLM, LLAMACPP, NVIDIA, OLLAMA, PERPLEXITY, PORTKEY, SGLANG, TOGETHER, TOKENMIX, VLLM,
    XAI, XIDAO, ZHIPU,
};
pub use self::qwen::QWEN;
pub use self::watsonx::WATSONX;
use crate::faults::{Faults, Form, Row, SERVER_SENT, row};
use crate::prompt::{Prompt, Reply};
use crate::provider::{
    Event, Events, Fake, Kind, Operation, State, bearer, chat_if, foreign_header, framing_problem, not_allowed,
};
use crate::strict::Refusal;
use crate::target::{Received, Target};

pub struct Compatible(pub &'static Dialect);

const INVALID: &str = "invalid_request_error";

const FAULTS: &[Row] = &[
    row("role_every_chunk", Form::Flag),
    row("null_delta", Form::Flag),
    row("done", Form::OneOf(&["missing", "nospace", "twice", "then_data", "json"])),
    row("usage", Form::OneOf(&["missing", "every", "with_finish"])),
];

impl Compatible {
    /// What the path asks for: `None` if it is not one for chat.
    fn chat(&self, target: &Target) -> Option<Asked> {
        let of_stream = self.0.stream_path.map(|path| (path, true));
        let paths = [(self.0.chat_path, false)].into_iter().chain(of_stream);
        paths.into_iter().find_map(|(path, stream)| {
            let whole = format!("{}{path}", self.0.base_path);
            match whole.split_once("{}") {
                None => (target.path() == whole).then_some(Asked { model: None, stream }),
                Some((before, after)) => {
                    let model = target.between(before, after)?;
                    Some(Asked { model: Some(model), stream })
                }
            }
        })
    }
}

/// What a path says that a body need not.
pub struct Asked {
    pub model: Option<String>,
    pub stream: bool,
}

impl Fake for Compatible {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn kind(&self) -> &'static str {
        self.0.kind.unwrap_or(self.0.name)
    }

    fn format(&self) -> &'static str {
        OPENAI.name
    }

    fn base_path(&self) -> &'static str {
        self.0.base_path
    }

    fn model(&self) -> &'static str {
        self.0.model
    }

    fn provider_settings(&self) -> Value {
        (self.0.provider_settings)()
    }

    fn model_settings(&self) -> Value {
        (self.0.model_settings)()
    }

    fn state(&self) -> State {
        match (self.0.wants_thoughts_back, self.0.thoughts) {
            (false, _) => State::None,
            (true, Thoughts::Details) => State::Signature,
            (true, _) => State::Text,
        }
    }

    fn lacks(&self) -> &'static [&'static str] {
        match (self.0.user_parts.contains(&"image_url"), self.0.tool_types.is_empty()) {
            (true, false) => &[],
            (true, true) => &["tools"],
            (false, false) => &["images", "image_urls"],
            (false, true) => &["images", "image_urls", "tools"],
        }
    }

    fn default_key(&self) -> &'static str {
        self.0.key
    }

    fn faults(&self) -> &'static [&'static [Row]] {
        &[SERVER_SENT, FAULTS]
    }

    fn route(&self, target: &Target) -> Result<Operation, Refusal> {
        if target.path() != format!("{}/models", self.0.base_path) {
            return chat_if(self.chat(target).is_some(), self, target);
        }
        if target.method != hyper::Method::GET {
            return Err(not_allowed(self, target));
        }
        let model = |id: &str| json!({"id": id, "object": "model", "created": answer::CREATED, "owned_by": "fake"});
        let models = [model(self.0.model), model(&format!("{}-mini", self.0.model))];
        Ok(Operation::Fixed(json!({"object": "list", "data": models}).to_string()))
    }

    fn check_credentials(&self, request: &Received<'_>, key: &str) -> Result<(), Refusal> {
        let (own, given) = match self.0.key_header {
            KeyHeader::Bearer => ("authorization", bearer(request.headers)),
            KeyHeader::Named(name) => (name, request.header(name)),
        };
        match given {
            None => {
                let message = "You didn't provide an API key. You need to provide your API key in an Authorization \
                               header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
                return Err(Refusal { message: message.to_owned(), ..self.failure(None, Some("invalid_api_key")) });
            }
            Some(given) if given != key => return Err(self.failure(None, Some("invalid_api_key"))),
            Some(_) => {}
        }
        let own: Vec<_> = self.0.own_headers.iter().copied().chain([own]).collect();
        match foreign_header(request.headers, &own) {
            Some(name) => {
                let message = format!("Header '{name}' does not belong in a request to this provider");
                Err(Refusal::new(400, INVALID, message).code("foreign_header").param(name))
            }
            None => Ok(()),
        }
    }

    fn read(&self, request: &Received<'_>) -> Result<Prompt, Refusal> {
        if let Some((status, message)) = framing_problem(request.headers, request.body) {
            return Err(Refusal::new(status, INVALID, message));
        }
        if let Some(missing) = self.0.query.iter().find(|name| request.target.parameter(name).is_none()) {
            return Err(Refusal::new(400, INVALID, format!("Missing required query parameter: {missing}")));
        }
        request::read(self.0, self.chat(request.target), request.body)
    }

    fn message(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> String {
        answer::message(self.0, prompt, reply, faults)
    }

    fn events(&self, prompt: &Prompt, reply: Reply, faults: &Faults) -> Events {
        answer::events(self.0, prompt, reply, faults)
    }

    fn error(&self, refusal: &Refusal, request_id: &str) -> String {
        (self.0.error)(refusal, request_id).to_string()
    }

    fn error_event(&self, refusal: &Refusal, request_id: &str) -> Event {
        Event::new(Kind::Other, None, self.error(refusal, request_id))
    }

    fn ping(&self) -> Event {
        Event::comment(self.0.keep_alive.unwrap_or("ping"))
    }

    fn failure(&self, status: Option<u16>, error: Option<&str>) -> Refusal {
        let rows = || self.0.errors.iter().chain(ERRORS);
        let of_status = |status| rows().find(|row| row.1 == status && status != 400).map(|row| row.0);
        let name = error.or_else(|| status.and_then(of_status)).unwrap_or(match status {
            Some(400..=499) => INVALID,
            _ => "server_error",
        });
        match rows().find(|row| row.0 == name) {
            Some((_, own, kind, code, message)) => {
                Refusal { code: code.map(Into::into), ..Refusal::new(status.unwrap_or(*own), kind, *message) }
            }
            None => Refusal {
                kind: name.to_owned().into(),
                ..Refusal::new(status.unwrap_or(400), INVALID, format!("The fake was asked for {name}"))
            },
        }
    }

    fn request_id(&self, seq: u64) -> String {
        format!("req_{seq:032x}")
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some(self.0.request_id_header)
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.0.headers
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use hyper::header::{HeaderMap, HeaderValue};

    use super::*;

    /// The model in the path, and the key in a header of its own.
    const DEPLOYED: Dialect = Dialect {
        name: "deployed",
        key_header: KeyHeader::Named("api-key"),
        base_path: "",
        chat_path: "/openai/deployments/{}/chat/completions",
        query: &["api-version"],
        ..OPENAI
    };
    const FAKE: Compatible = Compatible(&DEPLOYED);
    const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hi"}]}"#;

    fn asked(uri: &str) -> Result<Prompt, Refusal> {
        let target = Target::new(&Method::POST, &uri.parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("api-key", HeaderValue::from_static("key"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", HeaderValue::from(BODY.len()));
        let request = Received { target: &target, headers: &headers, body: BODY };
        FAKE.route(&target)?;
        FAKE.check_credentials(&request, "key")?;
        FAKE.read(&request)
    }

    #[test]
    fn model_may_be_in_the_path() {
        let path = "/openai/deployments/gpt-fake%3Fstatus=503/chat/completions";
        let prompt = asked(&format!("{path}?api-version=1")).unwrap();
        assert_eq!((prompt.model.as_str(), prompt.faults.as_deref()), ("gpt-fake", Some("status=503")));
        assert_eq!(asked(path).unwrap_err().status, 400);
        assert_eq!(asked("/openai/deployments/a/b/chat/completions?api-version=1").unwrap_err().status, 404);
        assert_eq!(asked("/openai/deployments/llama/chat/completions?api-version=1").unwrap_err().status, 404);
    }
}
