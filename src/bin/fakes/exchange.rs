//! One request to a fake and its answer: read, check, misbehave where asked to, record.
//!
//! The order is that of a real provider: credentials, then the request, and only a request without fault
//! of its own meets the faults that were asked for. It knows no wire format.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response};

use crate::body::{Body, Broken};
use crate::faults::Faults;
use crate::framing::Framing;
use crate::limits::{Found, Limits};
use crate::prompt::{self, Prompt, Usage};
use crate::provider::{Fake, Operation};
use crate::record::{Head, Open, Records};
use crate::script::{self, Step, Steps};
use crate::serve::Handler;
use crate::strict::Refusal;
use crate::target::{Received, Target};

/// Above every provider's limit, so that their own refusals are seen.
const MOST_BODY: usize = 64 << 20;

const HTML: &str = "text/html; charset=utf-8";
const PAGE: &[u8] = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad \
                      Gateway</h1></center><hr><center>cloudflare</center></body></html>\n";

pub struct Exchange {
    pub fake: &'static dyn Fake,
    pub key: String,
    pub pace: Duration,
    pub records: Arc<Records>,
    pub asked: Mutex<Option<Asked>>,
}

/// The faults that the control listener set.
pub struct Asked {
    pub faults: Faults,
    /// For how many more requests.
    left: Option<u64>,
    limits: Limits,
}

impl Asked {
    #[expect(clippy::disallowed_methods, reason = "limits fill up with time")]
    pub fn new(faults: Faults) -> Self {
        Asked { left: faults.number("times"), limits: Limits::asked(&faults, SystemTime::now()), faults }
    }
}

/// Faults that a model cannot have.
const OF_MANY: &[&str] = &["times", "limit_requests", "limit_tokens", "limit_window_s"];

/// An answer before it travels.
struct Answer {
    status: u16,
    content_type: &'static str,
    /// Known for what is not a stream.
    length: Option<usize>,
    headers: Vec<(&'static str, String)>,
    steps: Steps,
    /// What a whole answer says that it took; of one that a fault shortens or changes, nothing.
    usage: Option<Usage>,
}

/// What was asked, as far as it could be read.
enum Question {
    Chat(Box<Prompt>),
    /// It has one answer.
    Fixed(String),
}

impl Answer {
    fn whole(status: u16, content_type: &'static str, body: impl Into<Bytes>, faults: &Faults) -> Self {
        let body = body.into();
        let body = if faults.has("truncate_json") { body.slice(..body.len() / 2) } else { body };
        // Trailers need a body of no announced length in HTTP/1.1.
        let length = (!faults.has("trailers")).then_some(body.len());
        Self { status, content_type, length, headers: Vec::new(), steps: script::of_bytes(body, faults), usage: None }
    }

    fn stream(framing: Framing, steps: Steps) -> Self {
        Self {
            status: 200,
            content_type: framing.content_type(),
            length: None,
            headers: Vec::new(),
            steps,
            usage: None,
        }
    }
}

impl Handler for Exchange {
    async fn handle(
        self: Arc<Self>,
        sni: Option<Arc<str>>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let (parts, incoming) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let open = self.records.begin(Head {
            provider: self.fake.name(),
            method: parts.method.to_string(),
            path,
            http_version: format!("{:?}", parts.version),
            sni,
            headers: parts.headers,
        });
        let body = read(incoming).await?;
        if let Some(body) = &body {
            self.records.body(&open, body);
        }
        let request_id = self.fake.request_id(open.record.seq);
        let target = Target::new(&parts.method, &parts.uri);
        let checked = self.checked(&target, &open.record.head.headers, body.as_ref());
        let (question, faults, found) = match checked {
            Ok(checked) => checked,
            Err(refusal) => {
                let answer = self.refused(&refusal, &request_id, &Faults::default());
                return Ok(self.respond(answer, &Faults::default(), &request_id, open));
            }
        };
        if let Some(delay) = script::millis(&faults, "delay_ms") {
            tokio::time::sleep(delay).await;
        }
        if faults.has("reset") {
            open.broken();
            return Err(Broken);
        }
        if faults.has("silent") {
            // The connection's end drops this, and the record with it.
            std::future::pending::<()>().await;
        }
        let mut answer = match found.wait {
            Some(_) => {
                let refusal = Refusal { retry_after: found.wait, ..self.fake.failure(Some(429), None) };
                self.refused(&refusal, &request_id, &faults)
            }
            None => self.answer(question, &body.unwrap_or_default(), &faults, &request_id),
        };
        answer.headers.extend(found.headers);
        Ok(self.respond(answer, &faults, &request_id, open))
    }
}

impl Exchange {
    /// What is asked, the faults for this request, and what it has found of the limits.
    fn checked(
        &self,
        target: &Target,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) -> Result<(Question, Faults, Found), Refusal> {
        let fake = self.fake;
        let operation = fake.route(target)?;
        let request = Received { target, headers, body: body.map(|body| &**body).unwrap_or_default() };
        fake.check_credentials(&request, &self.key)?;
        if body.is_none() {
            return Err(Refusal { status: 413, ..fake.failure(Some(413), None) });
        }
        let question = match operation {
            Operation::Chat => Question::Chat(Box::new(fake.read(&request)?)),
            Operation::Fixed(answer) => Question::Fixed(answer),
        };
        let of_model = match &question {
            Question::Chat(prompt) => prompt.faults.as_deref().unwrap_or_default(),
            Question::Fixed(_) => "",
        };
        let of_model = fake.vocabulary().parse(of_model).map_err(|unknown| self.mistaken(unknown.to_string()))?;
        if let Some(name) = OF_MANY.iter().find(|name| of_model.has(name)) {
            let text = format!("`{name}` is for the control listener: the faults of a model are those of one request");
            return Err(self.mistaken(text));
        }
        let (asked, found) = self.take_asked(prompt::input_tokens(request.body));
        Ok((question, asked.and(of_model), found))
    }

    /// A test asked for a fault that is none: the answer has to say so.
    fn mistaken(&self, message: String) -> Refusal {
        Refusal { message, ..self.fake.failure(Some(500), None) }
    }

    #[expect(clippy::disallowed_methods, reason = "limits fill up with time")]
    fn take_asked(&self, tokens: u64) -> (Faults, Found) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.as_ref().is_some_and(|asked| asked.left == Some(0)) {
            *asked = None;
        }
        let Some(Asked { faults, left, limits }) = asked.as_mut() else { return Default::default() };
        if let Some(left) = left {
            *left -= 1;
        }
        (faults.clone(), limits.take(tokens, self.fake.headers(), SystemTime::now()))
    }

    fn refused(&self, refusal: &Refusal, request_id: &str, faults: &Faults) -> Answer {
        let retry_after = faults.number("retry_after").or(refusal.retry_after);
        let refusal = Refusal { retry_after, ..refusal.clone() };
        let body = self.fake.error(&refusal, request_id);
        let answer = Answer::whole(refusal.status, self.fake.json_type(), body, faults);
        Answer { headers: self.fake.error_headers(&refusal), ..answer }
    }

    fn answer(&self, question: Question, body: &[u8], faults: &Faults, request_id: &str) -> Answer {
        let fake = self.fake;
        let status = faults.number("status").and_then(|status| u16::try_from(status).ok());
        let failure = || fake.failure(status, faults.word("error"));
        let error_event = || fake.error_event(&failure(), request_id);
        let in_band = faults.has("error_in_200") || faults.has("error_in_stream") || faults.has("error_after");
        let (asked, framing) = match &question {
            Question::Chat(prompt) => (prompt.stream, prompt.framing),
            Question::Fixed(_) => (false, Framing::default()),
        };
        let streams = (asked || faults.has("stream_for_json")) && !faults.has("json_for_stream");
        let content_type = if streams { framing.content_type() } else { fake.json_type() };

        if faults.has("headers_then_silence") {
            return Answer { content_type, ..Answer::stream(framing, Box::new([Step::Hang].into_iter())) };
        }
        if faults.has("pings_then_silence") {
            return Answer::stream(framing, script::of_pings(fake.ping(), framing, faults, self.pace));
        }
        if let Some(status) = faults.number("html_status").or(faults.has("html").then_some(200)) {
            return Answer::whole(u16::try_from(status).unwrap_or(502), HTML, PAGE, faults);
        }
        if faults.has("empty_body") {
            return Answer::whole(status.unwrap_or(200), content_type, "", faults);
        }
        if faults.has("empty_stream") {
            return Answer::stream(framing, Box::new(std::iter::empty()));
        }
        if faults.has("garbage") {
            return Answer::whole(200, content_type, garbage(), faults);
        }
        if faults.has("error_in_stream") {
            let events = Box::new([error_event()].into_iter());
            let steps = script::of_stream(events, framing, faults, self.pace, error_event);
            return Answer::stream(framing, steps);
        }
        if faults.has("error_in_200") {
            return self.refused(&Refusal { status: 200, ..failure() }, request_id, faults);
        }
        if !in_band && (status.is_some_and(|status| status >= 300) || faults.has("error")) {
            return self.refused(&failure(), request_id, faults);
        }
        let status = status.filter(|_| !in_band).unwrap_or(200);
        let prompt = match question {
            Question::Chat(prompt) => prompt,
            Question::Fixed(body) => return Answer::whole(status, fake.json_type(), body, faults),
        };
        let reply = prompt.reply(fake.name(), body);
        let usage = faults.change_nothing().then(|| reply.usage.of(prompt.choices as u64));
        if streams {
            let events = fake.events(&prompt, reply, faults);
            let steps = script::of_stream(events, framing, faults, self.pace, error_event);
            return Answer { status, usage, ..Answer::stream(framing, steps) };
        }
        let message = fake.message(&prompt, reply, faults);
        Answer { usage, ..Answer::whole(status, fake.json_type(), message, faults) }
    }

    fn respond(&self, answer: Answer, faults: &Faults, request_id: &str, open: Open) -> Response<Body> {
        let Answer { status, content_type, length, headers: more, steps, usage } = answer;
        open.status(status);
        let mut open = open;
        open.usage = usage.map(|usage| (usage.input, usage.output));
        let mut open = Some(open);
        if length == Some(0) {
            // No body is asked for its frames when there are none.
            open.take().into_iter().for_each(Open::finish);
        }
        let mut response = Response::new(Body::new(steps, length.map(|length| length as u64), open));
        // A status that is none cannot come here: `status=` and refusals are checked.
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.extend(
            self.fake
                .headers()
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
        );
        let id = self.fake.request_id_header().map(|name| (name, request_id.to_owned()));
        for (name, value) in id.into_iter().chain(more) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if faults.has("gzip_header") {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let (true, Ok(value)) = (faults.has("bad_header"), HeaderValue::from_bytes(b"caf\xe9 \xff\xfe")) {
            headers.insert("x-fake-bad", value);
        }
        if faults.has("trailers") {
            headers.insert("trailer", HeaderValue::from_static("x-fake-trailer"));
        }
        response
    }
}

/// The body, or none when it is longer than any provider takes.
async fn read(mut incoming: Incoming) -> Result<Option<Bytes>, Broken> {
    let mut first = Bytes::new();
    let mut more = Vec::new();
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut incoming).poll_frame(cx)).await;
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(Broken),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        if first.is_empty() {
            first = data;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&first);
        }
        more.extend_from_slice(&data);
        if more.len() > MOST_BODY {
            return Ok(None);
        }
    }
    Ok(Some(if more.is_empty() { first } else { more.into() }))
}

/// No UTF-8, no JSON, and the same each time.
fn garbage() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(4096).collect()
}

/// Tests of a whole exchange need sockets; the pieces are tested where they are.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_text() {
        assert!(String::from_utf8(garbage()).is_err());
        assert!(serde_json::from_slice::<serde_json::Value>(&garbage()).is_err());
    }
}
